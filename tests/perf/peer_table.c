/* What `make bench-peers` measured, as a table: peer_table SAMPLES.jsonl [--json FILE] [--markdown
 * FILE]
 *
 * SAMPLES.jsonl has a line per thing that happened, in order:
 *   {"about": {..}}      texts about machine and settings, once
 *   {"note": "text"}     what a reader must know, such as a peer that could not run
 *   {"model", "precision", "program", "round": 0, "block": {"ready": "what it is"}}
 *   {"model", "precision", "program", "round": 1.., "block": {"step_ms": [..], ..}}
 * with blocks as tests/perf/bench_peer.c and tests/perf/peers/pytorch_step.py print them. The
 * program named "gptbench" is what the others are held against.
 *
 * A round's time is the median of its steps. The ratio is the geometric mean over the rounds of
 * theirs / ours, with the t interval of the mean log ratio: both of a pair met the machine in the
 * same mood. Table to stdout, as text; Markdown and JSON, with every sample, to the files. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/base/table.h"
#include "bench/stats/stats.h"

enum { MAX_PROGRAMS = 64, MAX_ROUNDS = 1000, MAX_STEPS = 1000 };
static const char own_name[] = "gptbench";

typedef struct program {
    const char *model, *precision, *name, *ready; /* all of the samples' JSON */
    double round_ms[MAX_ROUNDS + 1];              /* by round, from 1; NAN: not measured */
    double *steps;                                /* all of them */
    size_t n_steps, n_rounds;
    double tokens_per_step, flops_per_step;
    double peak_rss_bytes, base_rss_bytes; /* of the first block; base: before there was a model */
    double peak_share[MAX_ROUNDS];         /* of the GEMM peak, per round that knows it */
    size_t n_shares;
    double median_ms, share; /* NAN: not known */
    stats_interval ratio;    /* of theirs to ours */
    double rss_ratio;
} program;

typedef struct results {
    json_t *samples; /* an array of the lines */
    json_t *about, *notes;
    program *programs; /* (MAX_PROGRAMS) */
    int n_programs;
} results;

/* ---- reading ---- */

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static gb_status program_find(results *r, const json_t *line, program **out, gb_error *err)
{
    const char *model = json_string_value(json_object_get(line, "model"));
    const char *precision = json_string_value(json_object_get(line, "precision"));
    const char *name = json_string_value(json_object_get(line, "program"));
    if (model == NULL || precision == NULL || name == NULL) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "a line has no model, precision or program, nor is it "
                       "about or a note");
    }
    for (int i = 0; i < r->n_programs; i++) {
        program *p = &r->programs[i];
        if (strcmp(p->model, model) == 0 && strcmp(p->precision, precision) == 0 &&
            strcmp(p->name, name) == 0) {
            *out = p;
            return GB_OK;
        }
    }
    if (r->n_programs == MAX_PROGRAMS) {
        return gb_fail(err, GB_ERR_FORMAT, "more than %d programs", MAX_PROGRAMS);
    }
    program *p = &r->programs[r->n_programs++];
    *p = (program){.model = model, .precision = precision, .name = name, .ready = ""};
    for (int i = 0; i <= MAX_ROUNDS; i++) {
        p->round_ms[i] = NAN;
    }
    p->peak_rss_bytes = p->base_rss_bytes = p->tokens_per_step = p->flops_per_step = NAN;
    p->share = p->median_ms = p->rss_ratio = NAN;
    p->ratio = (stats_interval){NAN, NAN, NAN};
    *out = p;
    return GB_OK;
}

static gb_status block_add(program *p, json_int_t round, const json_t *block, gb_error *err)
{
    const json_t *times = json_object_get(block, "step_ms");
    size_t n = json_array_size(times);
    if (round < 1 || round > MAX_ROUNDS || n < 1 || n > MAX_STEPS || !isnan(p->round_ms[round])) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s, round %lld: a round from 1 to %d, once, with 1 to %d times in step_ms",
                       p->name, (long long)round, MAX_ROUNDS, MAX_STEPS);
    }
    double *all = realloc(p->steps, (p->n_steps + n) * sizeof *all);
    if (all == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    p->steps = all;
    for (size_t i = 0; i < n; i++) {
        double ms = json_number_value(json_array_get(times, i));
        if (!(ms > 0 && isfinite(ms))) {
            return gb_fail(err, GB_ERR_FORMAT, "%s, round %lld: a step's time is not above 0",
                           p->name, (long long)round);
        }
        all[p->n_steps + i] = ms;
    }
    GB_TRY(stats_median(all + p->n_steps, n, &p->round_ms[round], err));
    p->n_steps += n;
    double peak = number_of(block, "gemm_peak_flops_per_s");
    double flops = number_of(block, "flops_per_step");
    if (p->n_rounds++ == 0) {
        p->peak_rss_bytes = number_of(block, "peak_rss_bytes");
        p->base_rss_bytes = number_of(block, "base_rss_bytes");
        p->tokens_per_step = number_of(block, "tokens_per_step");
        p->flops_per_step = flops;
    }
    if (peak > 0 && flops > 0) {
        p->peak_share[p->n_shares++] = flops / p->round_ms[round] * 1e3 / peak;
    }
    return GB_OK;
}

static gb_status line_add(results *r, const json_t *line, gb_error *err)
{
    json_t *note = json_object_get(line, "note"), *about = json_object_get(line, "about");
    if (json_is_string(note)) {
        return json_array_append(r->notes, note) == 0 ? GB_OK
                                                      : gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    if (json_is_object(about)) {
        return json_object_update(r->about, about) == 0 ? GB_OK
                                                        : gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    program *p = NULL;
    GB_TRY(program_find(r, line, &p, err));
    const json_t *block = json_object_get(line, "block");
    const char *ready = json_string_value(json_object_get(block, "ready"));
    if (ready != NULL) {
        p->ready = ready;
        return GB_OK;
    }
    return block_add(p, json_integer_value(json_object_get(line, "round")), block, err);
}

static gb_status results_read(results *r, const char *path, gb_error *err)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return gb_fail(err, GB_ERR_IO, "%s cannot be opened", path);
    }
    gb_status status = GB_OK;
    int number = 0;
    for (;;) {
        json_error_t where;
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, &where);
        if (line == NULL) {
            if (!feof(file) || json_error_code(&where) != json_error_premature_end_of_input) {
                status = gb_fail(err, GB_ERR_FORMAT, "%s: entry %d is not JSON: %s", path,
                                 number + 1, where.text);
            }
            break;
        }
        number++;
        gb_error inner = {0};
        status = json_array_append_new(r->samples, line) == 0
                     ? line_add(r, line, &inner)
                     : gb_fail(&inner, GB_ERR_OOM, "out of memory");
        if (status != GB_OK) {
            gb_fail(err, status, "%s: entry %d: %s", path, number, inner.message);
            break;
        }
    }
    fclose(file);
    return status;
}

/* ---- what follows from it ---- */

static const program *own_of(const results *r, const program *p)
{
    for (int i = 0; i < r->n_programs; i++) {
        const program *own = &r->programs[i];
        if (strcmp(own->name, own_name) == 0 && strcmp(own->model, p->model) == 0 &&
            strcmp(own->precision, p->precision) == 0) {
            return own;
        }
    }
    return NULL;
}

static stats_interval ratio_of(const program *p, const program *own)
{
    double logs[MAX_ROUNDS];
    size_t n = 0;
    for (int i = 1; i <= MAX_ROUNDS; i++) {
        if (!isnan(p->round_ms[i]) && !isnan(own->round_ms[i])) {
            logs[n++] = log(p->round_ms[i] / own->round_ms[i]);
        }
    }
    stats_interval of_logs = stats_mean_interval(logs, n, 0.95);
    return (stats_interval){exp(of_logs.value), exp(of_logs.low), exp(of_logs.high)};
}

static gb_status results_work_out(results *r, gb_error *err)
{
    for (int i = 0; i < r->n_programs; i++) {
        program *p = &r->programs[i];
        if (p->n_steps == 0) {
            continue;
        }
        GB_TRY(stats_median(p->steps, p->n_steps, &p->median_ms, err));
        if (p->n_shares > 0) {
            GB_TRY(stats_median(p->peak_share, p->n_shares, &p->share, err));
        }
        const program *own = own_of(r, p);
        if (own != NULL && own != p) {
            p->ratio = ratio_of(p, own);
            p->rss_ratio = p->peak_rss_bytes / own->peak_rss_bytes;
        }
    }
    return GB_OK;
}

/* ---- writing ---- */

/* A number in the given format, or a dash where there is none. */
static void add_number(table *t, const char *suffix, int digits, double value)
{
    if (isfinite(value)) {
        table_add_cell(t, "%.*f%s", digits, value, suffix);
    } else {
        table_add_cell(t, "–");
    }
}

static gb_status write_table(const results *r, FILE *out, table_format format, gb_error *err)
{
    static const char *const headings[] = {
        "model", "precision", "program",      "rounds",   "steps",    "ms/step",  "tokens/s",
        "ratio", "95 %",      "of GEMM peak", "peak RSS", "at start", "RSS ratio"};
    table *t = table_create();
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], i < 3 ? TABLE_LEFT : TABLE_RIGHT);
    }
    for (int i = 0; i < r->n_programs; i++) {
        const program *p = &r->programs[i];
        if (p->n_steps == 0) {
            continue;
        }
        table_begin_row(t);
        table_add_cell(t, "%s", p->model);
        table_add_cell(t, "%s", p->precision);
        table_add_cell(t, "%s", p->name);
        table_add_cell(t, "%zu", p->n_rounds);
        table_add_cell(t, "%zu", p->n_steps);
        add_number(t, "", 1, p->median_ms);
        add_number(t, "", 0, p->tokens_per_step / p->median_ms * 1e3);
        add_number(t, "", 3, p->ratio.value);
        if (isfinite(p->ratio.low)) {
            table_add_cell(t, "%.3f to %.3f", p->ratio.low, p->ratio.high);
        } else {
            table_add_cell(t, "–");
        }
        add_number(t, " %", 1, 100 * p->share);
        add_number(t, " MiB", 0, p->peak_rss_bytes / 1048576);
        add_number(t, " MiB", 0, p->base_rss_bytes / 1048576);
        add_number(t, "", 2, p->rss_ratio);
    }
    gb_status status = table_write(t, out, format, err);
    table_free(t);
    return status;
}

/* Per model and precision the peer that takes least, which is the one that counts. */
static void write_fastest(const results *r, FILE *out, const char *bullet)
{
    for (int i = 0; i < r->n_programs; i++) {
        const program *own = &r->programs[i], *best = NULL;
        for (int k = 0; k < r->n_programs && own_of(r, own) == own; k++) {
            const program *p = &r->programs[k];
            if (p != own && own_of(r, p) == own && isfinite(p->ratio.value) &&
                (best == NULL || p->ratio.value < best->ratio.value)) {
                best = p;
            }
        }
        if (best == NULL) {
            continue;
        }
        fprintf(out, "%s%s %s: gptbench is %.2f times as fast as the fastest peer, %s", bullet,
                own->model, own->precision, best->ratio.value, best->name);
        if (isfinite(best->ratio.low)) {
            fprintf(out, " (95 %%: %.2f to %.2f)", best->ratio.low, best->ratio.high);
        }
        fprintf(out, "; peak RSS %.0f MiB against %.0f\n", own->peak_rss_bytes / 1048576,
                best->peak_rss_bytes / 1048576);
    }
}

static void write_about(const results *r, FILE *out, const char *bullet)
{
    const char *key;
    json_t *value;
    json_object_foreach(r->about, key, value)
    {
        fprintf(out, "%s%s: %s\n", bullet, key, json_string_value(value));
    }
    const char *seen[MAX_PROGRAMS];
    int n_seen = 0;
    for (int i = 0; i < r->n_programs; i++) {
        int k = 0;
        while (k < n_seen && strcmp(seen[k], r->programs[i].ready) != 0) {
            k++;
        }
        if (k == n_seen && r->programs[i].ready[0] != '\0') {
            seen[n_seen++] = r->programs[i].ready;
            fprintf(out, "%s%s\n", bullet, r->programs[i].ready);
        }
    }
    size_t index;
    json_array_foreach(r->notes, index, value)
    {
        fprintf(out, "%snote: %s\n", bullet, json_string_value(value));
    }
}

static gb_status file_close(FILE *file, const char *path, gb_status status, gb_error *err)
{
    bool failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    return failed && status == GB_OK ? gb_fail(err, GB_ERR_IO, "%s cannot be written", path)
                                     : status;
}

static gb_status write_markdown(const results *r, const char *path, gb_error *err)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return gb_fail(err, GB_ERR_IO, "%s cannot be written", path);
    }
    fprintf(out, "# Training steps on the CPU: gptbench and others in turn\n\n");
    gb_status status = write_table(r, out, TABLE_MARKDOWN, err);
    fprintf(out, "\nratio: their time over ours, geometric mean over the rounds with its 95 %% t "
                 "interval; docs/MEASURING.md says how it is measured.\n\n");
    write_fastest(r, out, "- ");
    fprintf(out, "\n");
    write_about(r, out, "- ");
    return file_close(out, path, status, err);
}

/* NAN is null. */
static json_t *json_number_of(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static gb_status write_json(const results *r, const char *path, gb_error *err)
{
    json_t *rows = json_array();
    for (int i = 0; i < r->n_programs; i++) {
        const program *p = &r->programs[i];
        json_array_append_new(
            rows,
            json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "model",
                      p->model, "precision", p->precision, "program", p->name, "ready", p->ready,
                      "rounds", (json_int_t)p->n_rounds, "steps", (json_int_t)p->n_steps,
                      "median_ms", json_number_of(p->median_ms), "tokens_per_s",
                      json_number_of(p->tokens_per_step / p->median_ms * 1e3), "ratio",
                      json_number_of(p->ratio.value), "ratio_low", json_number_of(p->ratio.low),
                      "ratio_high", json_number_of(p->ratio.high), "gemm_peak_share",
                      json_number_of(p->share), "peak_rss_bytes", json_number_of(p->peak_rss_bytes),
                      "base_rss_bytes", json_number_of(p->base_rss_bytes)));
    }
    json_t *all = json_pack("{s:O,s:O,s:o,s:O}", "about", r->about, "notes", r->notes, "programs",
                            rows, "samples", r->samples);
    bool failed = all == NULL || json_dump_file(all, path, JSON_INDENT(1)) != 0;
    json_decref(all);
    return failed ? gb_fail(err, GB_ERR_IO, "%s cannot be written", path) : GB_OK;
}

static gb_status peer_table(const char *samples, const char *json, const char *markdown,
                            gb_error *err)
{
    results r = {json_array(), json_object(), json_array(),
                 calloc(MAX_PROGRAMS, sizeof *r.programs), 0};
    gb_status status = r.samples && r.about && r.notes && r.programs
                           ? results_read(&r, samples, err)
                           : gb_fail(err, GB_ERR_OOM, "out of memory");
    if (status == GB_OK) {
        status = results_work_out(&r, err);
    }
    if (status == GB_OK) {
        status = write_table(&r, stdout, TABLE_TEXT, err);
        printf("\n");
        write_fastest(&r, stdout, "");
        write_about(&r, stdout, "");
    }
    if (status == GB_OK && json != NULL) {
        status = write_json(&r, json, err);
    }
    if (status == GB_OK && markdown != NULL) {
        status = write_markdown(&r, markdown, err);
    }
    for (int i = 0; i < r.n_programs; i++) {
        free(r.programs[i].steps);
    }
    free(r.programs);
    json_decref(r.samples);
    json_decref(r.about);
    json_decref(r.notes);
    return status;
}

int main(int argc, char **argv)
{
    const char *samples = NULL, *json = NULL, *markdown = NULL;
    const cli_option options[] = {
        {"--json", NULL, CLI_TEXT, &json, "FILE", "table and samples as JSON", 0, 0},
        {"--markdown", NULL, CLI_TEXT, &markdown, "FILE", "table as Markdown", 0, 0},
        {.name = NULL}};
    const cli_command command = {.usage = "peer_table SAMPLES.jsonl [options]",
                                 .summary = "The table of `make bench-peers`.",
                                 .options = options,
                                 .min_positional = 1,
                                 .max_positional = 1};
    gb_error err = {0};
    bool help_shown = false;
    int n_positional = 0;
    gb_status status = cli_parse(&command, argc, argv, &samples, &n_positional, &help_shown, &err);
    if (status == GB_OK && !help_shown) {
        status = peer_table(samples, json, markdown, &err);
    }
    if (status != GB_OK) {
        fprintf(stderr, "peer_table: %s\n", err.message);
    }
    return gb_status_exit_code(status);
}
