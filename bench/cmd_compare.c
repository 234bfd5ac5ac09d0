/* gptbench compare: two configs of one suite. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli.h"
#include "bench/commands.h"
#include "bench/comparison.h"
#include "bench/dbfile.h"
#include "bench/entry_pair.h"
#include "bench/numbers.h"
#include "bench/table.h"
#include "model/config.h"

/* ---- conditions: WORD>N% ---- */

typedef struct condition {
    const char *text; /* as given */
    metric_id metric;
    int sign;     /* +1: the change must lie above the limit, -1: below minus the limit */
    double limit; /* fraction */
} condition;

static const struct {
    const char *word;
    metric_id metric;
    int sign;
} condition_words[] = {
    {"slower", METRIC_STEP_AVG, 1},         {"faster", METRIC_STEP_AVG, -1},
    {"worse", METRIC_VAL_LOSS, 1},          {"better", METRIC_VAL_LOSS, -1},
    {"more_memory", METRIC_PEAK_MEMORY, 1}, {"less_memory", METRIC_PEAK_MEMORY, -1},
};
enum { CONDITION_WORDS = sizeof condition_words / sizeof *condition_words };

static gb_status condition_bad_word(const char *text, const char *word, gb_error *err)
{
    const char *words[CONDITION_WORDS + 1] = {NULL};
    for (int i = 0; i < CONDITION_WORDS; i++) {
        words[i] = condition_words[i].word;
    }
    const char *nearest = gb_nearest_name(word, words);
    return gb_fail(err, GB_ERR_USAGE,
                   "--fail-on '%s': `%s` is no condition%s%s%s There are slower>N%%, faster>N%%, "
                   "worse>N%%, better>N%%, more_memory>N%% and less_memory>N%%",
                   text, word, nearest ? "; did you mean `" : "", nearest ? nearest : "",
                   nearest ? "`?" : ".");
}

static const char *skip_blanks(const char *p)
{
    while (*p == ' ') {
        p++;
    }
    return p;
}

/* `slower` and `faster` are about step_median when that is the metric asked for. */
static gb_status condition_parse(condition *out, const char *text, metric_id asked, gb_error *err)
{
    const char *p = skip_blanks(text);
    char word[32];
    size_t n = strcspn(p, " >");
    snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), p);
    int which = 0;
    while (which < CONDITION_WORDS && strcmp(condition_words[which].word, word) != 0) {
        which++;
    }
    if (which == CONDITION_WORDS) {
        return condition_bad_word(text, word, err);
    }
    p = skip_blanks(p + n);
    const char *number = *p == '>' ? skip_blanks(p + 1) : "";
    char *end = NULL;
    /* A plain decimal only: strtod would also take inf, nan and hexadecimal. */
    bool plain = isdigit((unsigned char)*number) && strspn(number, "0123456789.") < 12;
    double limit = plain ? strtod(number, &end) : NAN;
    bool percent = plain && end == number + strspn(number, "0123456789.");
    const char *rest = percent ? skip_blanks(end) : "";
    if (!percent || *rest != '%' || *skip_blanks(rest + 1) != '\0') {
        return gb_fail(err, GB_ERR_USAGE,
                       "--fail-on '%s': after `%s` comes > and a percentage, like %s>2%%", text,
                       word, word);
    }
    *out = (condition){.text = text,
                       .metric = condition_words[which].metric,
                       .sign = condition_words[which].sign,
                       .limit = limit / 100};
    if (out->metric == METRIC_STEP_AVG && asked == METRIC_STEP_MEDIAN) {
        out->metric = METRIC_STEP_MEDIAN;
    }
    return GB_OK;
}

/* ---- output ---- */

static void print_sentence(const report_entry *base, const report_entry *e, const comparison *c)
{
    static const char *const more[METRIC_COUNT] = {"slower per step",    "slower per step (median)",
                                                   "faster in tokens/s", "worse in loss",
                                                   "worse in best loss", "larger in peak memory",
                                                   "larger in FLOPs",    "larger in parameters"};
    static const char *const less[METRIC_COUNT] = {
        "faster per step",  "faster per step (median)", "slower in tokens/s",
        "better in loss",   "better in best loss",      "smaller in peak memory",
        "smaller in FLOPs", "smaller in parameters"};
    double change = c->change.value;
    if (!isfinite(change)) {
        printf("%s cannot be compared: one of the two has no such number.\n",
               metric_names[c->metric]);
        return;
    }
    table_write_escaped(stdout, e->label, TABLE_TEXT);
    printf(" is %s %s than ", number_percent(fabs(change)).text,
           change >= 0 ? more[c->metric] : less[c->metric]);
    table_write_escaped(stdout, base->label, TABLE_TEXT);
    if (c->exact) {
        printf(", exactly.\n");
    } else if (isfinite(c->change.low)) {
        bool settled = c->change.low > 0 || c->change.high < 0;
        printf(" (95 %% interval of the change: %s to %s)%s.\n",
               number_percent_signed(c->change.low).text,
               number_percent_signed(c->change.high).text,
               settled ? "" : "; the interval holds 0, so the direction is not settled");
    } else {
        printf("; %s.\n", c->method);
    }
}

static gb_status print_table(const report_data *data, const report_entry *base,
                             const report_entry *e, metric_id only, gb_error *err)
{
    table *t = table_create();
    table_add_column(t, "metric", TABLE_LEFT);
    table_add_column(t, base->label, TABLE_RIGHT);
    table_add_column(t, e->label, TABLE_RIGHT);
    table_add_column(t, "change", TABLE_RIGHT);
    table_add_column(t, "95 % interval", TABLE_RIGHT);
    table_add_column(t, "how", TABLE_LEFT);
    gb_status status = GB_OK;
    for (int m = 0; m < METRIC_COUNT && status == GB_OK; m++) {
        if (only != METRIC_COUNT && (int)only != m) {
            continue;
        }
        comparison c;
        status = comparison_make(&c, data, base, e, (metric_id)m, err);
        if (status != GB_OK) {
            break;
        }
        table_begin_row(t);
        table_add_cell(t, "%s", metric_names[m]);
        table_add_cell(t, "%s", metric_format((metric_id)m, c.base).text);
        table_add_cell(t, "%s", metric_format((metric_id)m, c.new_value).text);
        table_add_cell(t, "%s", number_percent_signed(c.change.value).text);
        if (c.exact || !isfinite(c.change.low)) {
            table_add_cell(t, "%s", c.exact ? "exact" : "-");
        } else {
            table_add_cell(t, "%s to %s", number_percent_signed(c.change.low).text,
                           number_percent_signed(c.change.high).text);
        }
        table_add_cell(t, "%s", c.method);
    }
    if (status == GB_OK) {
        status = table_write(t, stdout, TABLE_TEXT, err);
    }
    table_free(t);
    return status;
}

/* Says what became of a condition; *failed is set when it is met beyond the interval's doubt. */
static gb_status condition_check(const condition *cond, const report_data *data,
                                 const report_entry *base, const report_entry *e, bool *failed,
                                 gb_error *err)
{
    comparison c;
    GB_TRY(comparison_make(&c, data, base, e, cond->metric, err));
    double low = cond->sign * c.change.low, high = cond->sign * c.change.high;
    double least = low < high ? low : high, most = low < high ? high : low;
    const char *verdict = "not met: the interval reaches the limit";
    if (!isfinite(c.change.low) || !isfinite(c.change.high)) {
        verdict = "undecided, so not met: there is no interval";
    } else if (least > cond->limit) {
        verdict = "met: the whole interval lies beyond the limit";
        *failed = true;
    } else if (most < cond->limit) {
        verdict = "not met: the whole interval lies on this side of the limit";
    }
    printf("--fail-on %s (%s): %s\n", cond->text, metric_names[cond->metric], verdict);
    return GB_OK;
}

static gb_status compare(const report_data *data, const char *const names[2], metric_id only,
                         const condition *conditions, int n_conditions, gb_error *err)
{
    const report_entry *base = NULL, *e = NULL;
    GB_TRY(entry_pair_find(data, names, &base, &e, err));
    GB_TRY(print_table(data, base, e, only, err));
    comparison c;
    metric_id headline = only == METRIC_COUNT ? METRIC_STEP_AVG : only;
    GB_TRY(comparison_make(&c, data, base, e, headline, err));
    printf("\n");
    print_sentence(base, e, &c);
    if (!entry_pair_same_platform(base, e)) {
        printf("The two ran on different machines or backends: times do not compare.\n");
    }
    bool failed = false;
    for (int i = 0; i < n_conditions; i++) {
        GB_TRY(condition_check(&conditions[i], data, base, e, &failed, err));
    }
    return failed ? gb_fail(err, GB_ERR_FAILED, "compare: a --fail-on condition is met") : GB_OK;
}

gb_status cmd_compare(int argc, char **argv, gb_error *err)
{
    const char *db = NULL, *suite = NULL, *metric_name = NULL, *names[2];
    cli_list fail_on = {.count = 0};
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: the newest in results/)", 0, 0},
        {"--suite", NULL, CLI_TEXT, &suite, "NAME", "suite, where the database holds several", 0,
         0},
        {"--metric", NULL, CLI_TEXT, &metric_name, "NAME",
         "one of step_avg, step_median, tokens_per_s, val_loss, best_val_loss, peak_memory, flops, "
         "n_params (default: all)",
         0, 0},
        {"--fail-on", NULL, CLI_LIST, &fail_on, "'slower>2%'",
         "exit code 1 when the 95 % interval lies wholly beyond the limit: slower, faster, worse, "
         "better, more_memory or less_memory, then >N%; may be given several times",
         0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {"gptbench compare BASE NEW [options]",
                                 "Compares two configs of a suite: values, difference, interval.",
                                 options,
                                 2,
                                 2,
                                 "BASE NEW  names of configs, as in the report",
                                 "gptbench compare d12 d12_mlp3x --fail-on 'slower>2%'"};
    int n = 0;
    bool help = false;
    GB_TRY(cli_parse(&command, argc, argv, names, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    metric_id only = metric_name ? metric_find(metric_name) : METRIC_COUNT;
    if (metric_name && only == METRIC_COUNT) {
        const char *nearest = gb_nearest_name(metric_name, metric_names);
        return gb_fail(err, GB_ERR_USAGE,
                       "--metric %s: no such metric%s%s%s There are step_avg, step_median, "
                       "tokens_per_s, val_loss, best_val_loss, peak_memory, flops and n_params",
                       metric_name, nearest ? "; did you mean " : "", nearest ? nearest : "",
                       nearest ? "?" : ".");
    }
    condition conditions[64];
    for (int i = 0; i < fail_on.count; i++) {
        GB_TRY(condition_parse(&conditions[i], fail_on.items[i], only, err));
    }
    char path[4096];
    GB_TRY(dbfile_choose(path, sizeof path, db, err));
    report_data *data = NULL;
    GB_TRY(report_data_read(&data, path, suite, err));
    gb_status status = compare(data, names, only, conditions, fail_on.count, err);
    report_data_free(data);
    return status;
}
