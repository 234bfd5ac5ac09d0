/* gptbench plan: what a suite would run, and what that would take. Nothing runs, except, where no
 * database knows how fast this machine is, a GEMM of about a second per precision. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/plan_claims.h"
#include "bench/commands/plan_rates.h"
#include "bench/plan/axis_explain.h"
#include "bench/plan/cost_estimate.h"
#include "bench/plan/data_check.h"
#include "bench/words/data_words.h"
#include "bench/words/design_words.h"
#include "kernels/process_memory.h"

typedef struct plan_command {
    const char *path, *backend, *only, *train, *val, *db;
    int64_t gflops, threads; /* 0: measure; all */
    bool explain, no_data;
    data_check *data; /* NULL: not looked at, or not as they should be */
    plan_rates rates;
} plan_command;

static gb_status options_read(plan_command *c, int argc, char **argv, bool *help, gb_error *err)
{
    const cli_option options[] = {
        {"--backend", NULL, CLI_TEXT, &c->backend, "auto|cuda|cpu",
         "whose memory and speed to plan for (default: auto, the first that works)", 0, 0},
        {"--only", NULL, CLI_TEXT, &c->only, "GLOB", "only the cells with such names", 0, 0},
        {"--train", NULL, CLI_TEXT, &c->train, "GLOB", "training data, instead of the suite's", 0,
         0},
        {"--val", NULL, CLI_TEXT, &c->val, "GLOB", "validation data, instead of the suite's", 0, 0},
        {"--gflops", NULL, CLI_INT, &c->gflops, "N",
         "large-GEMM rate to assume, GFLOP/s, instead of what runs have reached here", 1,
         100000000},
        {"--db", NULL, CLI_TEXT, &c->db, "FILE",
         "database that says how fast this machine trains (default: all of results/)", 0, 0},
        {"--threads", NULL, CLI_INT, &c->threads, "N",
         "threads of the CPU backend (default: every CPU)", 1, 4096},
        {"--no-data", NULL, CLI_FLAG, &c->no_data, NULL,
         "do not look at the data: they are elsewhere", 0, 0},
        {"--explain", NULL, CLI_FLAG, &c->explain, NULL,
         "instead: what each axis changes between neighbouring cells", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        .usage = "gptbench plan SUITE.ini [options]",
        .summary = "Shows the cells of a suite with their parameters, exact FLOPs per token, "
                   "predicted memory and\nestimated time, what its claims would come to by "
                   "arithmetic alone, and every setting that holds\nfor all cells. Nothing runs. "
                   "The data are checked as `run` checks them.",
        .options = options,
        .min_positional = 1,
        .max_positional = 1,
        .positional_help = "SUITE.ini  the suite to plan; docs/SUITES.md describes the language",
        .examples = "  gptbench plan suites/quick.ini\n"
                    "  gptbench plan suites/mlp_claims.ini --backend cpu --only 'd12*'\n"
                    "  gptbench plan suites/expansion_x_width.ini --explain\n"};
    int n;
    return cli_parse(&command, argc, argv, &c->path, &n, help, err);
}

/* ---- the backend ---- */

static gb_status backend_choose(const plan_command *c, const suite *s, const gb_backend **out,
                                gb_error *err)
{
    gb_precision precision = (gb_precision)s->cells[s->baseline].spec.precision;
    *out = gb_backend_find(c->backend, precision);
    if (*out) {
        return GB_OK;
    }
    const char *names[16] = {"auto"};
    int count = 1;
    for (const gb_backend *const *b = gb_backends(); *b && count < 15; b++) {
        names[count++] = (*b)->name;
    }
    if (strcmp(c->backend, "auto") == 0) {
        return gb_fail(err, GB_ERR_ENV, "no backend can run %s here; `gptbench doctor` says why",
                       gb_precision_name(precision));
    }
    if (strcmp(c->backend, "cuda") == 0) {
        return gb_fail(err, GB_ERR_ENV,
                       "--backend cuda: this program is built without it; `gptbench doctor` says "
                       "why");
    }
    const char *near = gb_nearest_name(c->backend, names);
    return gb_fail(err, GB_ERR_USAGE, "--backend %s: no such backend%s%s; it is auto, cuda or cpu",
                   c->backend, near ? ", did you mean " : "", near ? near : "");
}

/* ---- printing ---- */

static bool passes_known(const cost_estimate *p)
{
    bool known = false;
    for (int i = 0; i < p->n_rows; i++) {
        known = known || isfinite(p->rows[i].passes);
    }
    return known;
}

static gb_status cells_print(const cost_estimate *p, gb_error *err)
{
    const bool with_passes = passes_known(p);
    table *t = table_create();
    table_add_column(t, "cell", TABLE_LEFT);
    table_add_column(t, "parameters", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 4);
    table_add_column(t, "FLOPs/token", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 3);
    table_add_column(t, "FLOPs vs base", TABLE_RIGHT);
    table_column_wrap(t, 10, 2);
    table_add_column(t, "memory", TABLE_RIGHT);
    table_add_column(t, "tokens/run", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 5);
    if (with_passes) {
        table_add_column(t, "epochs/run", TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, 6);
    }
    table_add_column(t, "time/run", TABLE_RIGHT);
    for (int i = 0; i < p->n_rows; i++) {
        const cost_row *row = &p->rows[i];
        table_begin_row(t);
        table_add_cell(t, "%s", row->cell->name);
        table_add_cell(t, "%s", number_count(row->n_params).text);
        table_add_cell(t, "%s", number_rounded(row->flops_per_token).text);
        if (row->cell->is_baseline) {
            table_add_cell(t, "baseline");
        } else {
            table_add_cell(t, "%s", number_percent_signed(row->vs_baseline).text);
        }
        table_add_cell(t, "%s%s", number_bytes((double)row->memory_bytes).text,
                       row->fit.fits ? "" : " (oom)");
        table_add_cell(t, "%s", number_rounded(row->run_tokens).text);
        if (with_passes) {
            table_add_cell(t, "%s", data_passes_number(row->passes).text);
        }
        table_add_cell(t, "%s", number_duration_ms(row->run_ms).text);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

/* A key of the specs: its value where all cells agree, else that it varies. */
static void setting_add(table *t, const cost_estimate *p, const gb_key *key, uint32_t bit)
{
    char first[300], other[300];
    bool varies = false, given = false;
    gb_key_format(&p->rows[0].cell->spec, key, first, sizeof first);
    for (int i = 0; i < p->n_rows; i++) {
        gb_key_format(&p->rows[i].cell->spec, key, other, sizeof other);
        varies = varies || strcmp(first, other) != 0;
        given = given || (p->rows[i].cell->spec_given & bit);
    }
    table_begin_row(t);
    table_add_cell(t, "%s", key->name);
    table_add_cell(t, "%s", varies ? "varies" : first);
    table_add_cell(t, "%s", given ? "" : "default");
    table_add_cell(t, "%s", key->help);
}

static void timing_settings_add(table *t, const suite *s)
{
    for (int i = 0; suite_timing_keys()[i].name; i++) {
        const gb_key *key = &suite_timing_keys()[i];
        bool given = s->timing_given >> i & 1;
        char value[64];
        if (strcmp(key->name, "max_blocks") == 0 && !(s->timing.stop_precision > 0)) {
            continue;
        }
        gb_key_format(&s->timing, key, value, sizeof value);
        bool automatic = strcmp(key->name, "burst_steps") == 0 && !given;
        table_begin_row(t);
        table_add_cell(t, "timing: %s", key->name);
        table_add_cell(t, "%s", automatic ? "auto" : value);
        table_add_cell(t, "%s", given ? "" : "default");
        table_add_cell(t, "%s%s", key->help, automatic ? ": as many as last 250 ms" : "");
    }
    table_begin_row(t);
    table_add_cell(t, "timing: stop");
    if (s->timing.stop_precision > 0) {
        table_add_cell(t, "precision %g%%", 100 * s->timing.stop_precision);
    } else {
        table_add_cell(t, "after blocks");
    }
    table_add_cell(t, "%s", s->timing.stop_precision > 0 ? "" : "default");
    table_add_cell(t, "when speeds are known well enough");
}

static void limits_settings_add(table *t, const suite *s)
{
    for (int i = 0; limits_keys()[i].name; i++) {
        char value[64];
        run_limits_format(&s->limits, &limits_keys()[i], value, sizeof value);
        table_begin_row(t);
        table_add_cell(t, "limits: %s", limits_keys()[i].name);
        table_add_cell(t, "%s", value);
        table_add_cell(t, "%s", s->limits_given >> i & 1 ? "" : "default");
        table_add_cell(t, "%s", limits_keys()[i].help);
    }
}

static gb_status settings_print(const cost_estimate *p, gb_error *err)
{
    const suite *s = p->suite;
    printf("\nSettings, defaults filled in:\n\n");
    table *t = table_create();
    table_add_column(t, "key", TABLE_LEFT);
    table_add_column(t, "value", TABLE_LEFT);
    table_column_wrap(t, 16, 1);
    table_add_column(t, "", TABLE_LEFT);
    table_column_fit(t, TABLE_MOVE, 2);
    table_add_column(t, "meaning", TABLE_LEFT);
    table_column_wrap(t, 24, 3);
    table_begin_row(t);
    table_add_cell(t, "replicates");
    table_add_cell(t, "%lld", (long long)s->replicates);
    table_add_cell(t, "%s", s->replicates_given ? "" : "default");
    table_add_cell(t, "runs of every cell, each with its own seed and place in the data");
    table_begin_row(t);
    table_add_cell(t, "profile_steps");
    table_add_cell(t, "%lld", (long long)s->profile_steps);
    table_add_cell(t, "%s", s->profile_steps_given ? "" : "default");
    table_add_cell(t, "steps of each run's per-op window");
    char every[SUITE_CHECKPOINT_TEXT];
    suite_checkpoint_format(s, every);
    table_begin_row(t);
    table_add_cell(t, "checkpoint_every");
    table_add_cell(t, "%s", every);
    table_add_cell(t, "%s", s->checkpoint_given ? "" : "default");
    table_add_cell(t, "how often a run's state is kept, to go on from");
    timing_settings_add(t, s);
    limits_settings_add(t, s);
    for (const gb_key *key = train_spec_data_keys(); key->name; key++) {
        setting_add(t, p, key, UINT32_MAX);
    }
    for (int i = 0; train_spec_keys()[i].name; i++) {
        setting_add(t, p, &train_spec_keys()[i], (uint32_t)1 << i);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

static gb_status data_warn(const plan_command *c, const suite *s, gb_error *err)
{
    data_use use;
    if (!c->data) {
        return GB_OK;
    }
    GB_TRY(data_check_use(&use, c->data, s, c->only, err));
    data_warnings w = data_warnings_make(&use);
    for (int i = 0; i < w.n; i++) {
        terminal_say(stdout, 2, "warning: %s\n", w.texts[i]);
    }
    return GB_OK;
}

static gb_status estimate_print(const plan_command *c, const cost_estimate *p,
                                const cost_options *options, gb_error *err)
{
    const suite *s = p->suite;
    terminal_say(
        stdout, 2,
        "suite %s (%s): %d cell%s x %lld replicate%s = %lld run%s, planned for backend %s\n\n",
        s->name, s->path, p->n_rows, p->n_rows == 1 ? "" : "s", (long long)s->replicates,
        s->replicates == 1 ? "" : "s", (long long)p->n_runs, p->n_runs == 1 ? "" : "s",
        options->backend->name);
    GB_TRY(cells_print(p, err));
    for (int i = 0; i < p->n_rows; i++) {
        char words[128];
        memory_fit_format(&p->rows[i].fit, words, sizeof words);
        if (!p->rows[i].fit.fits) {
            terminal_say(stdout, 2, "oom: %s %s; `run` does not start it\n", p->rows[i].cell->name,
                         words);
        }
    }
    GB_TRY(data_warn(c, s, err));
    terminal_say(stdout, 2, "\ntotal: %s tokens, estimated time %s\n",
                 number_rounded(p->total_tokens).text, number_duration_ms(p->total_ms).text);
    if (p->timing_arms > 0) {
        terminal_say(
            stdout, 2, "before that, speeds in turn: %lld blocks of %d bursts, estimated time %s\n",
            (long long)s->timing.blocks, p->timing_arms, number_duration_ms(p->timing_ms).text);
    }
    verdict_text few = design_blocks_words(s);
    if (p->timing_arms > 0 && few.text[0]) {
        terminal_say(stdout, 2, "warning: %s\n", few.text);
    }
    plan_rates_say(&c->rates, p, stdout);
    GB_TRY(plan_claims_print(s, options, err));
    return settings_print(p, err);
}

/* The plan, and behind it what is wrong with the data: `run` would not begin. */
static gb_status plan_print(plan_command *c, const suite *s, gb_error *err)
{
    cost_estimate *p = NULL;
    gb_error data_error = {.message = ""};
    gb_device_entry device;
    cost_options options = {
        .only = c->only, .threads = (int)c->threads, .process_bytes = gb_process_resident_bytes(0)};
    GB_TRY(backend_choose(c, s, &options.backend, err));
    if (options.backend->list_devices && options.backend->list_devices(&device, 1) > 0) {
        options.device_bytes = device.memory_bytes;
    }
    gb_status data_status = c->no_data ? GB_OK : data_check_make(&c->data, s, &data_error);
    options.train = c->data ? &data_check_find(c->data, &s->cells[0], false)->shards : NULL;
    gb_status status = plan_rates_find(&c->rates, &(plan_rates_asked){s, c->db, c->only, c->gflops},
                                       &options, err);
    if (status == GB_OK) {
        status = cost_estimate_make(&p, s, &options, err);
    }
    if (status == GB_OK) {
        status = estimate_print(c, p, &options, err);
    }
    cost_estimate_free(p);
    data_check_free(c->data);
    plan_rates_free(&c->rates);
    if (status == GB_OK && data_status != GB_OK) {
        return gb_fail(err, data_status, "%s; --no-data plans without it", data_error.message);
    }
    return status;
}

gb_status cmd_plan(int argc, char **argv, gb_error *err)
{
    plan_command c = {.backend = "auto"};
    bool help = false;
    GB_TRY(options_read(&c, argc, argv, &help, err));
    if (help) {
        return GB_OK;
    }
    suite *s = NULL;
    gb_status status = suite_read(&s, c.path, err);
    if (status == GB_OK) {
        status = suite_override_data(s, c.train, c.val, err);
    }
    if (status == GB_OK) {
        status = c.explain ? axis_explain_write(s, stdout, err) : plan_print(&c, s, err);
    }
    suite_free(s);
    return status;
}
