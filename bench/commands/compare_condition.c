#include "bench/commands/compare_condition.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"

static const struct {
    const char *word;
    int sign;
    metric_id metric;
    metric_id others[2]; /* that it may be about instead; METRIC_COUNT: none */
} words[] = {
    {"slower", 1, METRIC_STEP_AVG, {METRIC_STEP_MEDIAN, METRIC_COUNT}},
    {"faster", -1, METRIC_STEP_AVG, {METRIC_STEP_MEDIAN, METRIC_COUNT}},
    {"worse", 1, METRIC_VAL_LOSS, {METRIC_BEST_VAL_LOSS, METRIC_COUNT}},
    {"better", -1, METRIC_VAL_LOSS, {METRIC_BEST_VAL_LOSS, METRIC_COUNT}},
    {"larger", 1, METRIC_PEAK_MEMORY, {METRIC_N_PARAMS, METRIC_FLOPS}},
    {"smaller", -1, METRIC_PEAK_MEMORY, {METRIC_N_PARAMS, METRIC_FLOPS}},
    {"more_memory", 1, METRIC_PEAK_MEMORY, {METRIC_COUNT, METRIC_COUNT}},
    {"less_memory", -1, METRIC_PEAK_MEMORY, {METRIC_COUNT, METRIC_COUNT}},
};
enum { WORDS = sizeof words / sizeof *words };

const char *compare_condition_word(int i)
{
    return i < WORDS ? words[i].word : NULL;
}

static gb_status condition_bad_word(const char *text, const char *word, gb_error *err)
{
    const char *names[WORDS + 1] = {NULL};
    for (int i = 0; i < WORDS; i++) {
        names[i] = words[i].word;
    }
    const char *nearest = gb_nearest_name(word, names);
    return gb_fail(err, GB_ERR_USAGE,
                   "--fail-on '%s': `%s` is no condition%s%s%s There are slower>N%%, faster>N%%, "
                   "worse>N%%, better>N%%, larger>N%%, smaller>N%%, more_memory>N%% and "
                   "less_memory>N%%",
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

gb_status compare_condition_parse(compare_condition *out, const char *text, metric_id asked,
                                  gb_error *err)
{
    const char *p = skip_blanks(text);
    char word[32];
    size_t n = strcspn(p, " >");
    snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), p);
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
    *out = (compare_condition){.text = text,
                               .metric = words[which].metric,
                               .sign = words[which].sign,
                               .limit = limit / 100};
    if (asked != METRIC_COUNT && words[which].others[0] != METRIC_COUNT &&
        (asked == words[which].others[0] || asked == words[which].others[1])) {
        out->metric = asked;
    }
    return GB_OK;
}

compare_outcome compare_condition_check(const compare_condition *condition, const comparison *c)
{
    double low = condition->sign * c->change.low, high = condition->sign * c->change.high;
    double least = fmin(low, high), most = fmax(low, high);
    if (!isfinite(c->change.low) || !isfinite(c->change.high)) {
        return COMPARE_UNDECIDED;
    }
    return least > condition->limit  ? COMPARE_MET
           : most < condition->limit ? COMPARE_NOT_MET
                                     : COMPARE_REACHES;
}

const char *compare_outcome_words(compare_outcome outcome)
{
    static const char *const texts[COMPARE_OUTCOME_COUNT] = {
        [COMPARE_MET] = "met: the whole interval lies beyond the limit",
        [COMPARE_NOT_MET] = "not met: the whole interval lies on this side of the limit",
        [COMPARE_REACHES] = "not met: the interval reaches the limit",
        [COMPARE_UNDECIDED] = "undecided, so not met: there is no interval",
    };
    return texts[outcome];
}
