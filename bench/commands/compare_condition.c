#include "bench/commands/compare_condition.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/verdict.h"
#include "model/config.h"

static const struct {
    const char *word;
    int sign;
    metric_id metric;
    metric_id others[2]; /* that it may be about instead; METRIC_COUNT: none */
} words[] = {
    {"slower", 1, METRIC_STEP_AVG, {METRIC_STEP_MEDIAN, METRIC_TOKENS_PER_S}},
    {"faster", -1, METRIC_STEP_AVG, {METRIC_STEP_MEDIAN, METRIC_TOKENS_PER_S}},
    {"worse", 1, METRIC_VAL_LOSS, {METRIC_BEST_VAL_LOSS, METRIC_COUNT}},
    {"better", -1, METRIC_VAL_LOSS, {METRIC_BEST_VAL_LOSS, METRIC_COUNT}},
    {"larger", 1, METRIC_PEAK_MEMORY, {METRIC_N_PARAMS, METRIC_FLOPS}},
    {"smaller", -1, METRIC_PEAK_MEMORY, {METRIC_N_PARAMS, METRIC_FLOPS}},
    {"more_memory", 1, METRIC_PEAK_MEMORY, {METRIC_COUNT, METRIC_COUNT}},
    {"less_memory", -1, METRIC_PEAK_MEMORY, {METRIC_COUNT, METRIC_COUNT}},
};
enum { WORDS = sizeof words / sizeof *words };

#define UNCLEAR "unclear"

const char *compare_condition_word(int i)
{
    return i < WORDS ? words[i].word : i == WORDS ? UNCLEAR : NULL;
}

static gb_status condition_bad_word(const char *text, const char *word, gb_error *err)
{
    const char *names[WORDS + 2] = {NULL};
    for (int i = 0; i <= WORDS; i++) {
        names[i] = compare_condition_word(i);
    }
    const char *nearest = gb_nearest_name(word, names);
    return gb_fail(err, GB_ERR_USAGE,
                   "--fail-on '%s': `%s` is no condition%s%s%s There are slower>N%%, faster>N%%, "
                   "worse>N%%, better>N%%, larger>N%%, smaller>N%%, more_memory>N%%, "
                   "less_memory>N%% and unclear",
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

/* `larger` names no metric: of another one than it is about it must not check peak_memory. */
static gb_status metric_choose(compare_condition *out, int which, metric_id asked, gb_error *err)
{
    const metric_id *others = words[which].others;
    bool other = others[0] != METRIC_COUNT && (asked == others[0] || asked == others[1]);
    out->metric = asked != METRIC_COUNT && other ? asked : words[which].metric;
    bool vague = words[which].metric == METRIC_PEAK_MEMORY && others[0] != METRIC_COUNT;
    if (vague && asked != METRIC_COUNT && out->metric != asked) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--fail-on '%s': `%s` is about peak_memory, n_params or flops, not about "
                       "--metric %s. There are slower, faster (times), worse and better (losses)",
                       out->text, words[which].word, metric_names[asked]);
    }
    return GB_OK;
}

gb_status compare_condition_parse(compare_condition *out, const char *text, metric_id asked,
                                  gb_error *err)
{
    const char *p = skip_blanks(text);
    char word[32];
    size_t n = strcspn(p, " >");
    snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), p);
    if (strcmp(word, UNCLEAR) == 0 && *skip_blanks(p + n) == '\0') {
        metric_id metric = asked == METRIC_COUNT ? METRIC_STEP_AVG : asked;
        *out = (compare_condition){.text = text, .metric = metric, .unclear = true};
        return GB_OK;
    }
    if (strcmp(word, UNCLEAR) == 0) {
        return gb_fail(err, GB_ERR_USAGE, "--fail-on '%s': after `" UNCLEAR "` comes nothing",
                       text);
    }
    int which = 0;
    while (which < WORDS && strcmp(words[which].word, word) != 0) {
        which++;
    }
    if (which == WORDS) {
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
    *out = (compare_condition){.text = text, .sign = words[which].sign, .limit = limit / 100};
    return metric_choose(out, which, asked, err);
}

/* Steps that are far slower than most say otherwise of what depends on all of them. */
static bool means_contradict(const comparison *c)
{
    return c->means.disagree && c->metric != METRIC_STEP_MEDIAN;
}

/* Without an interval of losses: a config that diverged is worse than one that did not, whatever
 * the numbers are. Of one beside a baseline that diverged itself nothing is known. */
static bool is_worse_by_divergence(const comparison *c)
{
    return c->new_diverged && !c->base_diverged && !isfinite(c->change.low);
}

static bool change_is_clear(const comparison *c)
{
    stats_interval change = c->change;
    double band = metric_is_loss(c->metric) ? 0 : verdict_rule_default().band;
    bool same = change.low > -band && change.high < band;
    if (means_contradict(c)) {
        return false;
    }
    if (is_worse_by_divergence(c)) {
        return true;
    }
    return c->exact ? isfinite(change.value) : change.low > 0 || change.high < 0 || same;
}

static compare_outcome interval_check(const compare_condition *condition, stats_interval change)
{
    double low = condition->sign * change.low, high = condition->sign * change.high;
    double least = fmin(low, high), most = fmax(low, high);
    if (!isfinite(change.low) || !isfinite(change.high)) {
        return COMPARE_UNDECIDED;
    }
    return least > condition->limit  ? COMPARE_MET
           : most < condition->limit ? COMPARE_NOT_MET
                                     : COMPARE_REACHES;
}

/* `slower` and `faster` are about times; of rates about the time per token. */
static stats_interval time_change(stats_interval change, bool of_rate)
{
    return of_rate ? (stats_interval){1 / (1 + change.value) - 1, 1 / (1 + change.high) - 1,
                                      1 / (1 + change.low) - 1}
                   : change;
}

compare_outcome compare_condition_check(const compare_condition *condition, const comparison *c)
{
    if (condition->unclear) {
        return change_is_clear(c) ? COMPARE_CLEAR : COMPARE_UNCLEAR;
    }
    if (is_worse_by_divergence(c)) {
        return condition->sign > 0 ? COMPARE_MET_DIVERGED : COMPARE_NOT_MET_DIVERGED;
    }
    bool rate = c->metric == METRIC_TOKENS_PER_S;
    compare_outcome outcome = interval_check(condition, time_change(c->change, rate));
    bool contradicted = means_contradict(c) && (rate || c->metric == METRIC_STEP_AVG) &&
                        interval_check(condition, c->means.by_means) != outcome;
    return contradicted ? COMPARE_CONTRADICTED : outcome;
}

void compare_conditions_relate(compare_condition *conditions, int n)
{
    const compare_condition *first = NULL;
    for (int i = n - 1; i >= 0; i--) {
        first = conditions[i].unclear ? first : &conditions[i];
    }
    for (int i = 0; i < n && first; i++) {
        if (conditions[i].unclear) {
            conditions[i].metric = first->metric;
        }
    }
}

void compare_conditions_check(compare_outcome *out, const compare_condition *conditions, int n,
                              const comparison *made)
{
    int others = 0;
    bool open = false;
    for (int i = 0; i < n; i++) {
        out[i] = compare_condition_check(&conditions[i], &made[conditions[i].metric]);
        others += !conditions[i].unclear;
        open = open || out[i] == COMPARE_REACHES || out[i] == COMPARE_UNDECIDED ||
               out[i] == COMPARE_CONTRADICTED;
    }
    for (int i = 0; i < n && others > 0; i++) {
        if (conditions[i].unclear) {
            out[i] = open ? COMPARE_UNCLEAR : COMPARE_CLEAR;
        }
    }
}

bool compare_outcome_fails(compare_outcome outcome)
{
    return outcome == COMPARE_MET || outcome == COMPARE_MET_DIVERGED;
}

bool compare_outcome_is_met(compare_outcome outcome)
{
    return compare_outcome_fails(outcome) || outcome == COMPARE_UNCLEAR;
}

const char *compare_outcome_words(compare_outcome outcome)
{
    static const char *const texts[COMPARE_OUTCOME_COUNT] = {
        [COMPARE_MET] = "met: the whole interval lies beyond the limit",
        [COMPARE_NOT_MET] = "not met: the whole interval lies on this side of the limit",
        [COMPARE_REACHES] = "not met: the interval reaches the limit",
        [COMPARE_UNDECIDED] = "undecided, so not met: there is no interval",
        [COMPARE_CONTRADICTED] = "undecided, so not met: the means of bursts say otherwise",
        [COMPARE_MET_DIVERGED] = "met: the new side diverged, the base did not",
        [COMPARE_NOT_MET_DIVERGED] = "not met: the new side diverged, the base did not",
        [COMPARE_UNCLEAR] = "met: inconclusive, the interval does not decide or there is none",
        [COMPARE_CLEAR] = "not met: it is decided",
    };
    return texts[outcome];
}
