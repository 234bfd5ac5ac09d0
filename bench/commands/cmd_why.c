/* gptbench why: where the difference between two configs of a suite lies. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/comparability.h"
#include "bench/analysis/entry_pair.h"
#include "bench/analysis/ledger_work.h"
#include "bench/analysis/load.h"
#include "bench/base/cli.h"
#include "bench/base/json_value.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/words/ledger_text.h"
#include "model/config.h"
#include "model/json_text.h"

enum { ROWS_IN_WORDS = 6 };

/* ---- JSON ---- */

static json_t *ratio_json(double new_value, double base)
{
    return base > 0 ? json_value_number(new_value / base) : json_null();
}

static json_t *total_json(const ledger_total *t)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "base_ms", json_value_number(t->base_ms),
                     "new_ms", json_value_number(t->new_ms), "difference_ms",
                     json_value_number(t->change_ms.value), "low_ms",
                     json_value_number(t->change_ms.low), "high_ms",
                     json_value_number(t->change_ms.high));
}

static json_t *gemms_json(const ledger *l, const ledger_row *row, bool of_base)
{
    gpt_gemm gemms[GPT_GEMMS_MAX];
    int n = ledger_row_gemms(l, row, of_base, gemms);
    json_t *out = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(out, json_pack("{s:s, s:I, s:I, s:I}", "product", gemms[i].product,
                                             "m", (json_int_t)gemms[i].m, "n",
                                             (json_int_t)gemms[i].n, "k", (json_int_t)gemms[i].k));
    }
    return out;
}

/* base_floor_ms, base_roofline, base_bound, base_imbalance; null where not known. */
static gb_status roof_add(json_t *out, const ledger *l, const ledger_row *row, bool of_base)
{
    static const char *const keys[2][4] = {
        {"new_floor_ms", "new_roofline", "new_bound", "new_imbalance"},
        {"base_floor_ms", "base_roofline", "base_bound", "base_imbalance"}};
    op_row op = {.op = ""};
    const op_roof roof = op_roof_of_entry(of_base ? l->base : l->new_entry);
    bool known;
    GB_TRY(ledger_row_op(l, row, of_base, &op, &known));
    double floor_ms = known ? op_floor_ms(&op.floor, roof.rates) : NAN;
    op_bound bound = known ? op_row_bound(&op, &roof) : OP_BOUND_UNKNOWN;
    json_object_set_new(out, keys[of_base][0],
                        floor_ms > 0 ? json_value_number(floor_ms) : json_null());
    json_object_set_new(out, keys[of_base][1],
                        json_value_number(known ? op_row_share(&op, &roof) : NAN));
    json_object_set_new(out, keys[of_base][2],
                        bound ? json_string(op_bound_name(bound)) : json_null());
    json_object_set_new(out, keys[of_base][3],
                        json_value_number(known ? op_row_imbalance(&op) : NAN));
    return GB_OK;
}

/* NULL without memory. */
static json_t *row_json(const ledger *l, const ledger_row *row)
{
    int noise = ledger_within_noise(row->change_ms);
    double total = l->profiled.change_ms.value;
    json_t *out = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "base_ms", json_value_number(row->base_ms), "new_ms",
        json_value_number(row->new_ms), "difference_ms", json_value_number(row->change_ms.value),
        "low_ms", json_value_number(row->change_ms.low), "high_ms",
        json_value_number(row->change_ms.high), "within_noise",
        noise < 0 ? json_null() : json_boolean(noise), "share",
        total != 0 ? json_value_number(row->change_ms.value / total) : json_null());
    if (row->layer >= 0) {
        json_object_set_new(out, "layer", json_integer(row->layer));
    } else {
        json_object_set_new(out, "op", json_value_text(row->op));
    }
    if (*row->phase) {
        json_object_set_new(out, "phase", json_value_text(row->phase));
    }
    json_object_set_new(out, "time_ratio", ratio_json(row->new_ms, row->base_ms));
    json_object_set_new(out, "base_flops", json_value_number(row->base_flops));
    json_object_set_new(out, "new_flops", json_value_number(row->new_flops));
    json_object_set_new(out, "flops_ratio", ratio_json(row->new_flops, row->base_flops));
    bool base_rate = row->base_flops > 0, new_rate = row->new_flops > 0;
    json_object_set_new(out, "base_flops_per_s",
                        base_rate ? ratio_json(1e3 * row->base_flops, row->base_ms) : json_null());
    json_object_set_new(out, "new_flops_per_s",
                        new_rate ? ratio_json(1e3 * row->new_flops, row->new_ms) : json_null());
    if (row->base_flops > 0 && row->new_flops > 0) {
        json_object_set_new(out, "beyond_flops_ms", json_value_number(row->rate_ms.value));
        json_object_set_new(out, "beyond_flops_low_ms", json_value_number(row->rate_ms.low));
        json_object_set_new(out, "beyond_flops_high_ms", json_value_number(row->rate_ms.high));
    }
    double base_bytes = ledger_row_bytes(l, row, true), bytes = ledger_row_bytes(l, row, false);
    json_object_set_new(out, "base_least_bytes",
                        base_bytes > 0 ? json_real(base_bytes) : json_null());
    json_object_set_new(out, "new_least_bytes", bytes > 0 ? json_real(bytes) : json_null());
    if (roof_add(out, l, row, true) != GB_OK || roof_add(out, l, row, false) != GB_OK) {
        json_decref(out);
        return NULL;
    }
    json_object_set_new(out, "base_gemms", gemms_json(l, row, true));
    json_object_set_new(out, "new_gemms", gemms_json(l, row, false));
    return out;
}

static json_t *sentences_json(const ledger_sentences *s)
{
    json_t *out = json_array();
    for (int i = 0; i < s->n; i++) {
        json_array_append_new(out, json_value_text(s->texts[i]));
    }
    return out;
}

static gb_status print_json(const ledger *l, const ledger_sentences *reading,
                            const ledger_sentences *notes, gb_error *err)
{
    json_memory_watch();
    json_t *rows = json_array();
    for (int i = 0; i < l->n_rows; i++) {
        json_t *row = row_json(l, &l->rows[i]);
        if (!row) {
            json_decref(rows);
            return gb_fail(err, GB_ERR_OOM, "no memory for the JSON");
        }
        json_array_append_new(rows, row);
    }
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, "
        "s:{s:o, s:o, s:o, s:b}}",
        "database", json_value_text(l->data->facts->db_path), "suite",
        json_value_text(l->data->facts->suite_name), "base", json_value_text(l->base->label), "new",
        json_value_text(l->new_entry->label), "by", ledger_by_names[l->by], "backend",
        json_value_text(l->new_entry->backend), "precision",
        json_value_text(l->new_entry->precision), "replicates_paired", l->n_pairs,
        "replicates_base", l->n_base, "replicates_new", l->n_new, "profiled_step",
        total_json(&l->profiled), "step_avg", total_json(&l->timed), "rows", rows, "reading",
        sentences_json(reading), "notes", sentences_json(notes), "measured_change", "value",
        json_value_number(l->measured.value), "low", json_value_number(l->measured.low), "high",
        json_value_number(l->measured.high), "interleaved", l->measured_in_turn);
    return json_value_print(root, err);
}

/* ---- text ---- */

static void print_list(const ledger_sentences *s)
{
    for (int i = 0; i < s->n; i++) {
        terminal_say(stdout, 2, "- %s\n", s->texts[i]);
    }
}

static gb_status print_text(const ledger *l, const ledger_sentences *reading,
                            const ledger_sentences *notes, gb_error *err)
{
    table *t = NULL;
    GB_TRY(ledger_table(&t, l, err));
    dbfile_say(l->data->facts->db_path, l->data->facts->suite_name);
    terminal_say(stdout, 6, "base: %s\n", l->base->label);
    terminal_say(stdout, 6, "new:  %s\n", l->new_entry->label);
    terminal_say(stdout, 0, "Milliseconds per profiled step; the rows add up to it.\n\n");
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    printf("\n");
    print_list(reading);
    printf("\n");
    print_list(notes);
    return status;
}

/* ---- the command ---- */

static gb_status steps_check(const findings *data, const result_entry *base, const result_entry *e,
                             gb_error *err)
{
    comparability c;
    GB_TRY(comparability_of_entries(&c, data->facts, base, e, METRIC_STEP_AVG, err));
    return c.n == 0 ? GB_OK
                    : gb_fail(err, GB_ERR_USAGE,
                              "`%s` and `%s` do not compare step by step: %s. The difference of an "
                              "op would be that; --force shows it all the same",
                              base->label, e->label, comparability_words(&c).text);
}

typedef struct why_options {
    ledger_by by;
    bool json, force;
} why_options;

static gb_status why(const findings *data, const char *const names[2], const why_options *options,
                     gb_error *err)
{
    const result_entry *base = NULL, *e = NULL;
    GB_TRY(entry_pair_find(data, names, &base, &e, err));
    if (!options->force) {
        GB_TRY(steps_check(data, base, e, err));
    }
    ledger *l = NULL;
    GB_TRY(ledger_make(&l, data, base, e, options->by, err));
    ledger_sentences reading = {NULL, 0}, notes = {NULL, 0};
    gb_status status = ledger_read(&reading, l, ROWS_IN_WORDS, err);
    if (status == GB_OK) {
        status = ledger_notes(&notes, l, err);
    }
    if (status == GB_OK) {
        status = options->json ? print_json(l, &reading, &notes, err)
                               : print_text(l, &reading, &notes, err);
    }
    ledger_sentences_free(&reading);
    ledger_sentences_free(&notes);
    ledger_free(l);
    return status;
}

static gb_status by_parse(const char *text, ledger_by *out, gb_error *err)
{
    for (int i = 0; i < LEDGER_BY_COUNT; i++) {
        if (strcmp(text, ledger_by_names[i]) == 0) {
            *out = (ledger_by)i;
            return GB_OK;
        }
    }
    const char *nearest = gb_nearest_name(text, ledger_by_names);
    return gb_fail(err, GB_ERR_USAGE, "--by %s: rows can be by op,phase, by op or by layer%s%s%s",
                   text, nearest ? "; did you mean " : "", nearest ? nearest : "",
                   nearest ? "?" : "");
}

gb_status cmd_why(int argc, char **argv, gb_error *err)
{
    const char *db = NULL, *suite = NULL, *by = NULL, *names[2];
    why_options chosen = {.by = LEDGER_BY_OP_PHASE};
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: the newest in results/)", 0, 0},
        {"--suite", NULL, CLI_TEXT, &suite, "NAME", "suite, where the database holds several", 0,
         0},
        {"--by", NULL, CLI_TEXT, &by, "op,phase|op|layer", "rows of the table (op,phase)", 0, 0},
        {"--json", NULL, CLI_FLAG, &chosen.json, NULL, "print JSON", 0, 0},
        {"--force", NULL, CLI_FLAG, &chosen.force, NULL,
         "show the difference of what does not compare too: other machines, precisions, tokens per "
         "step",
         0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        "gptbench why BASE NEW [options]",
        "Says where the difference in step time between two configs of a suite lies: op by op and "
        "phase by phase, from the profiled steps, in rows that add up to it.",
        options,
        2,
        2,
        "BASE NEW  names of configs, as in the report",
        "gptbench why d12 d12_mlp3x --by op"};
    int n = 0;
    bool help = false;
    GB_TRY(cli_parse(&command, argc, argv, names, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    if (by) {
        GB_TRY(by_parse(by, &chosen.by, err));
    }
    char path[4096];
    GB_TRY(dbfile_choose(path, sizeof path, db, err));
    findings *data = NULL;
    const char *const wanted[] = {names[0], names[1], NULL};
    gb_status status = findings_read_configs(&data, path, suite, wanted, err);
    if (status == GB_OK) {
        status = why(data, names, &chosen, err);
    }
    findings_free(data);
    return status == GB_ERR_USAGE
               ? dbfile_tell_others(path, &(dbfile_wanted){suite, {names[0], names[1]}, 0, NULL},
                                    err)
               : status;
}
