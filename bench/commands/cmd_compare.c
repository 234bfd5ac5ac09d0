/* gptbench compare: two configs, of one suite or of two databases. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/analysis/divergence.h"
#include "bench/analysis/load.h"
#include "bench/base/cli.h"
#include "bench/base/json_value.h"
#include "bench/base/numbers.h"
#include "bench/base/same_file.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/compare_condition.h"
#include "bench/commands/dbfile.h"
#include "bench/words/loss_terms_text.h"
#include "bench/words/means_text.h"
#include "bench/words/verdict_words.h"
#include "model/config.h"
#include "model/json_text.h"

/* What the command line asks for, and what it leads to. */
typedef struct asked {
    metric_id only; /* METRIC_COUNT: all */
    compare_condition conditions[64];
    int n_conditions;
    bool force, json;

    pair_side base, config;
    char names[2][256]; /* of the two, apart even where both have one name */
    comparison made[METRIC_COUNT];
    compare_outcome outcomes[64];    /* of the conditions */
    char refusal[METRIC_COUNT][512]; /* what stands against a metric; empty: nothing */
    bool answered[METRIC_COUNT];     /* which answers the conditions on it */
    bool by_rate[METRIC_COUNT];      /* which leaves tokens_per_s to compare */
} asked;

static bool metric_is_shown(const asked *a, int metric)
{
    return a->only == METRIC_COUNT || (int)a->only == metric;
}

static bool condition_is_about(const asked *a, int metric)
{
    bool about = false;
    for (int i = 0; i < a->n_conditions; i++) {
        about = about || (int)a->conditions[i].metric == metric;
    }
    return about;
}

static bool metric_is_wanted(const asked *a, int metric)
{
    return (int)a->only == metric || condition_is_about(a, metric);
}

/* ---- what stands against it ---- */

/* Runs that diverged are no obstacle to a condition on their losses that they answer: where they
 * are of the new side alone, or it may be unclear (compare_condition.h). */
static bool divergence_answers(const asked *a, metric_id metric)
{
    bool unclear = false, of_base;
    for (int i = 0; i < a->n_conditions; i++) {
        unclear = unclear || a->conditions[i].unclear;
    }
    of_base = divergence_of_side(a->base.data->facts, a->base.config, a->base.entry);
    return condition_is_about(a, metric) && (unclear || !of_base);
}

static gb_status refusal_find(asked *a, metric_id metric, gb_error *err)
{
    comparability c;
    GB_TRY(pair_comparability(&c, &a->base, &a->config, metric, err));
    snprintf(a->refusal[metric], sizeof a->refusal[metric], "%s", comparability_words(&c).text);
    a->by_rate[metric] = comparability_wants_rate(&c, metric);
    a->answered[metric] = comparability_is_divergence(&c) && divergence_answers(a, metric);
    return GB_OK;
}

/* Other validation data leave the other metrics alone; all else says that the two were measured
 * under other circumstances, and is fatal to the whole comparison. */
static gb_status refusals_find(asked *a, gb_error *err)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        bool wanted = metric_is_wanted(a, m);
        if (!wanted && !metric_is_shown(a, m)) {
            continue;
        }
        GB_TRY(refusal_find(a, (metric_id)m, err));
        if (a->refusal[m][0] && !a->force && !a->answered[m] &&
            (wanted || !metric_is_loss((metric_id)m))) {
            return gb_fail(
                err, GB_ERR_USAGE,
                "`%s` and `%s` were measured under other circumstances: %s. So their %s does not "
                "compare%s; --force shows it all the same",
                a->names[0], a->names[1], a->refusal[m], metric_names[m],
                a->by_rate[m] ? "; per token their speeds do: --metric tokens_per_s" : "");
        }
    }
    return GB_OK;
}

static gb_status comparisons_make(asked *a, gb_error *err)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (!metric_is_wanted(a, m) && !metric_is_shown(a, m)) {
            continue;
        }
        comparison *c = &a->made[m];
        GB_TRY(comparison_of_pair(c, &a->base, &a->config, (metric_id)m, err));
        if (a->refusal[m][0] && !a->force) {
            comparison_withdraw(c, a->refusal[m]);
        }
    }
    return GB_OK;
}

/* ---- text ---- */

static void print_sentence(const asked *a, const comparison *c)
{
    double change = c->change.value;
    if (c->refused) {
        terminal_say(stdout, 0, "%s: %s.\n", metric_names[c->metric], c->method);
        return;
    }
    if (!isfinite(change)) {
        terminal_say(stdout, 0, "%s cannot be compared: one of the two has no such number.\n",
                     metric_names[c->metric]);
        return;
    }
    char more[320];
    if (c->exact) {
        snprintf(more, sizeof more, ", exactly");
    } else if (isfinite(c->change.low)) {
        bool settled = c->change.low > 0 || c->change.high < 0;
        snprintf(more, sizeof more, " (95 %% interval of the change: %s to %s)%s",
                 verdict_signed(c->change.low, c->in_nats).text,
                 verdict_signed(c->change.high, c->in_nats).text,
                 settled ? "" : "; the interval holds 0, so the direction is not settled");
    } else {
        snprintf(more, sizeof more, "; %s", c->method);
    }
    char size[48];
    if (c->in_nats) {
        snprintf(size, sizeof size, "%.*f nats", fabs(log1p(change)) < 0.001 ? 6 : 4,
                 fabs(log1p(change)));
    } else {
        snprintf(size, sizeof size, "%s", number_percent(fabs(change)).text);
    }
    terminal_say(stdout, 0, "%s%s is %s %s than %s%s.\n",
                 c->exact || isfinite(c->change.low) ? "" : "By the estimates alone, ", a->names[1],
                 size, metric_comparative(c->metric, change >= 0), a->names[0], more);
}

static gb_status print_table(const asked *a, gb_error *err)
{
    table *t = table_create();
    table_add_column(t, "metric", TABLE_LEFT);
    for (int i = 0; i < 2; i++) {
        table_add_column(t, a->names[i], TABLE_RIGHT);
        table_column_wrap(t, 16, 2);
    }
    table_add_column(t, "change", TABLE_RIGHT);
    table_add_column(t, "95 % interval", TABLE_RIGHT);
    table_add_column(t, "how", TABLE_LEFT);
    table_column_fit(t, TABLE_BELOW, 1);
    for (int m = 0; m < METRIC_COUNT; m++) {
        const comparison *c = &a->made[m];
        if (!metric_is_shown(a, m)) {
            continue;
        }
        table_begin_row(t);
        table_add_cell(t, "%s", metric_names[m]);
        table_add_cell(t, "%s", metric_format((metric_id)m, c->base).text);
        table_add_cell(t, "%s", metric_format((metric_id)m, c->new_value).text);
        table_add_cell(t, "%s", verdict_signed(c->change.value, c->in_nats).text);
        if (c->exact || !isfinite(c->change.low)) {
            table_add_cell(t, "%s", c->exact ? "exact" : "-");
        } else {
            table_add_cell(t, "%s to %s", verdict_signed(c->change.low, c->in_nats).text,
                           verdict_signed(c->change.high, c->in_nats).text);
        }
        table_add_cell(t, "%s", c->method);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

typedef struct build {
    const char *version, *commit;
} build;

static build side_build(const pair_side *side)
{
    const run_facts *run = side->entry ? side->entry->runs[0] : NULL;
    return side->session ? (build){side->session->facts->program_version,
                                   side->session->facts->program_commit}
           : run         ? (build){run->program_version, run->program_commit}
                         : (build){"unknown", "unknown"};
}

static void print_sides(const asked *a)
{
    static const char *const headings[] = {"base: ", "new:  "};
    const pair_side *sides[] = {&a->base, &a->config};
    for (int i = 0; i < 2; i++) {
        build b = side_build(sides[i]);
        terminal_say(stdout, 6, "%s%s of suite %s in %s, by gptbench %s, commit %s\n", headings[i],
                     pair_side_name(sides[i]), sides[i]->data->facts->suite_name,
                     sides[i]->data->facts->db_path, b.version, b.commit);
    }
    printf("\n");
}

/* Beneath whichever loss is shown. */
static void print_terms(const asked *a)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        const comparison *c = &a->made[m];
        verdict_text terms = loss_terms_words(&c->terms, a->names[0]);
        if (metric_is_shown(a, m) && !c->refused && terms.text[0]) {
            terminal_say(stdout, 0, "%s: %s\n", a->names[1], terms.text);
            return;
        }
    }
}

static gb_status print_text(const asked *a, gb_error *err)
{
    if (a->base.data != a->config.data) {
        print_sides(a);
    } else {
        dbfile_say(a->base.data->facts->db_path, a->base.data->facts->suite_name);
        printf("\n");
    }
    GB_TRY(print_table(a, err));
    printf("\n");
    metric_id headline = a->only == METRIC_COUNT ? METRIC_STEP_AVG : a->only;
    print_sentence(a, &a->made[headline]);
    if (metric_is_time(headline) && pair_is_timed(&a->base, &a->config)) {
        terminal_say(
            stdout, 0,
            "The change of times is that of typical bursts; the values beside it are means "
            "over all steps, so it is not just their quotient.\n");
    }
    verdict_text means = means_text(a->names[1], &a->made[headline].means);
    if (means.text[0]) {
        terminal_say(stdout, 0, "%s\n", means.text);
    }
    print_terms(a);
    if (a->base.data == a->config.data && a->base.config == a->config.config &&
        a->base.entry == a->config.entry) {
        printf("Both sides are the same measurement.\n");
    }
    for (int m = 0; m < METRIC_COUNT; m++) {
        bool said = false;
        for (int earlier = 0; earlier < m; earlier++) {
            said = said || strcmp(a->refusal[earlier], a->refusal[m]) == 0;
        }
        if (a->force && a->refusal[m][0] && !said) {
            terminal_say(stdout, 0,
                         "Forced: the two were measured under other circumstances (%s), and the "
                         "difference in %s "
                         "may be that.\n",
                         a->refusal[m], metric_names[m]);
        }
    }
    for (int i = 0; i < a->n_conditions; i++) {
        const compare_condition *c = &a->conditions[i];
        terminal_say(stdout, 2, "--fail-on %s (%s): %s\n", c->text, metric_names[c->metric],
                     compare_outcome_words(a->outcomes[i]));
    }
    return GB_OK;
}

/* ---- JSON ---- */

static json_t *side_json(const pair_side *side)
{
    build b = side_build(side);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "config", json_value_text(pair_side_name(side)),
                     "suite", json_value_text(side->data->facts->suite_name), "database",
                     json_value_text(side->data->facts->db_path), "program_version",
                     json_value_text(b.version), "program_commit", json_value_text(b.commit));
}

static json_t *metric_json(const asked *a, int m)
{
    const comparison *c = &a->made[m];
    verdict_text terms = loss_terms_words(&c->terms, a->names[0]);
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:b, s:s, s:o}", "metric", metric_names[m],
        "base", json_value_number(c->base), "new", json_value_number(c->new_value), "change",
        json_value_number(c->change.value), "low", json_value_number(c->change.low), "high",
        json_value_number(c->change.high), "exact", c->exact, "method", json_value_text(c->method),
        "mismatch", a->refusal[m][0] ? json_value_text(a->refusal[m]) : json_null(),
        "means_disagree", c->means.disagree, "change_of",
        c->in_nats ? "perplexity" : metric_names[m], "remark",
        terms.text[0] ? json_value_text(terms.text) : json_null());
}

static gb_status print_json(const asked *a, gb_error *err)
{
    json_memory_watch();
    json_t *metrics = json_array(), *conditions = json_array();
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (metric_is_shown(a, m)) {
            json_array_append_new(metrics, metric_json(a, m));
        }
    }
    for (int i = 0; i < a->n_conditions; i++) {
        const compare_condition *c = &a->conditions[i];
        compare_outcome outcome = a->outcomes[i];
        json_array_append_new(conditions,
                              json_pack("{s:o, s:s, s:b, s:s}", "condition",
                                        json_value_text(c->text), "metric", metric_names[c->metric],
                                        "met", compare_outcome_is_met(outcome), "why",
                                        compare_outcome_words(outcome)));
    }
    return json_value_print(json_pack("{s:o, s:o, s:b, s:o, s:o}", "base", side_json(&a->base),
                                      "new", side_json(&a->config), "forced", a->force, "metrics",
                                      metrics, "fail_on", conditions),
                            err);
}

/* ---- the command ---- */

static gb_status compare(asked *a, const findings *base_data, const findings *data,
                         const char *const names[2], gb_error *err)
{
    GB_TRY(pair_side_find(&a->base, base_data, names[0], err));
    GB_TRY(pair_side_find(&a->config, data, names[1], err));
    pair_align(&a->base, &a->config, names[0]);
    const char *const labels[] = {pair_side_name(&a->base), pair_side_name(&a->config)};
    bool apart = base_data == data || strcmp(labels[0], labels[1]) != 0;
    for (int i = 0; i < 2; i++) {
        snprintf(a->names[i], sizeof a->names[i], "%.200s%s", labels[i],
                 apart    ? ""
                 : i == 0 ? " (base)"
                          : " (new)");
    }
    GB_TRY(refusals_find(a, err));
    GB_TRY(comparisons_make(a, err));
    compare_conditions_check(a->outcomes, a->conditions, a->n_conditions, a->made);
    GB_TRY(a->json ? print_json(a, err) : print_text(a, err));
    bool unclear = false;
    for (int i = 0; i < a->n_conditions; i++) {
        if (compare_outcome_fails(a->outcomes[i])) {
            return gb_fail(err, GB_ERR_FAILED, "compare: a --fail-on condition is met");
        }
        unclear = unclear || a->outcomes[i] == COMPARE_UNCLEAR;
    }
    return unclear ? gb_fail(err, GB_ERR_UNCLEAR, "compare: inconclusive (--fail-on unclear)")
                   : GB_OK;
}

static gb_status databases_compare(asked *a, const char *base_db, const char *db,
                                   const char *suite_name, const char *const names[2],
                                   gb_error *err)
{
    char path[4096];
    findings *data = NULL, *base_data = NULL;
    const char *const wanted[] = {names[0], names[1], NULL};
    GB_TRY(dbfile_choose(path, sizeof path, db, err));
    bool two = base_db && !same_file(base_db, path);
    gb_status status = findings_read_configs(&data, path, suite_name, wanted, err);
    if (status == GB_OK && two) {
        status = findings_read_configs(&base_data, base_db, suite_name, wanted, err);
    }
    if (status == GB_OK) {
        status = compare(a, two ? base_data : data, data, names, err);
    }
    if (status == GB_ERR_USAGE && two) {
        dbfile_tell_others(base_db, &(dbfile_wanted){suite_name, {names[0]}, 0, "--base-db"}, err);
        status = dbfile_tell_others(path, &(dbfile_wanted){suite_name, {names[1]}, 0, NULL}, err);
    } else if (status == GB_ERR_USAGE) {
        status = dbfile_tell_others(
            path, &(dbfile_wanted){suite_name, {names[0], names[1]}, 0, NULL}, err);
    }
    findings_free(base_data);
    findings_free(data);
    return status;
}

static gb_status metric_parse(metric_id *out, const char *name, gb_error *err)
{
    *out = name ? metric_find(name) : METRIC_COUNT;
    if (name && *out == METRIC_COUNT) {
        const char *nearest = gb_nearest_name(name, metric_names);
        return gb_fail(err, GB_ERR_USAGE,
                       "--metric %s: no such metric%s%s%s There are step_avg, step_median, "
                       "tokens_per_s, val_loss, best_val_loss, peak_memory, flops and n_params",
                       name, nearest ? "; did you mean " : "", nearest ? nearest : "",
                       nearest ? "?" : ".");
    }
    return GB_OK;
}

gb_status cmd_compare(int argc, char **argv, gb_error *err)
{
    asked a = {.only = METRIC_COUNT};
    const char *db = NULL, *base_db = NULL, *suite_name = NULL, *metric_name = NULL, *names[2];
    cli_list fail_on = {.count = 0};
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: the newest in results/)", 0, 0},
        {"--base-db", NULL, CLI_TEXT, &base_db, "FILE",
         "database of BASE, where that is another one: measured before, or by another version", 0,
         0},
        {"--suite", NULL, CLI_TEXT, &suite_name, "NAME", "suite, where a database holds several", 0,
         0},
        {"--metric", NULL, CLI_TEXT, &metric_name, "NAME",
         "one of step_avg, step_median, tokens_per_s, val_loss, best_val_loss, peak_memory, flops, "
         "n_params (default: all)",
         0, 0},
        {"--fail-on", NULL, CLI_LIST, &fail_on, "'slower>2%'",
         "exit code 1 when the 95 % interval lies wholly beyond the limit: slower, faster, worse, "
         "better, larger or smaller (in memory), then >N%; unclear: exit code 4 when the interval "
         "does "
         "not decide those given beside it, or the direction; may be given several times",
         0, 0},
        {"--json", NULL, CLI_FLAG, &a.json, NULL, "print JSON", 0, 0},
        {"--force", NULL, CLI_FLAG, &a.force, NULL,
         "compare what was measured under other circumstances too", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        "gptbench compare BASE NEW [options]",
        "Compares two configs: values, difference, interval. Times come from interleaved timing "
        "where both were in one\nsession. Other machines, backends, precisions, threads, tokens "
        "per "
        "step or clocks are refused.",
        options,
        2,
        2,
        "BASE NEW  names of configs, as in the report",
        "gptbench compare d12 d12_mlp3x --fail-on 'slower>2%'\n"
        "  gptbench compare d12 d12 --base-db results/before.db --db results/after.db --fail-on "
        "'slower>2%'"};
    int n = 0;
    bool help = false;
    GB_TRY(cli_parse(&command, argc, argv, names, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    GB_TRY(metric_parse(&a.only, metric_name, err));
    for (int i = 0; i < fail_on.count; i++) {
        GB_TRY(compare_condition_parse(&a.conditions[i], fail_on.items[i], a.only, err));
    }
    a.n_conditions = fail_on.count;
    compare_conditions_relate(a.conditions, a.n_conditions);
    return databases_compare(&a, base_db, db, suite_name, names, err);
}
