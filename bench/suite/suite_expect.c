/* The grammar of [claim] expect, and what it means for two measured values. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/quantity.h"
#include "bench/suite/suite.h"

static const char *const relation_names[] = {"speedup", "increase", "reduction", "within", NULL};

/* The next blank-separated word of *text, copied; "" at the end. */
static void word_next(const char **text, char *word, size_t word_size)
{
    const char *start = *text + strspn(*text, " \t\n");
    size_t length = strcspn(start, " \t\n");
    snprintf(word, word_size, "%.*s", (int)(length < word_size ? length : word_size - 1), start);
    *text = start + length;
}

static int name_index(const char *name, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

/* "one, two, three" */
static void names_join(char *out, size_t out_size, const char *const *names)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; names[i] && used < out_size; i++) {
        used += (size_t)snprintf(out + used, out_size - used, "%s%s", i ? ", " : "", names[i]);
    }
}

static gb_status word_unknown(const char *what, const char *word, const char *const *names,
                              gb_error *err)
{
    char all[256];
    names_join(all, sizeof all, names);
    const char *near = gb_nearest_name(word, names);
    return gb_fail(err, GB_ERR_USAGE, "no such %s '%s'%s%s; it is one of %s", what, word,
                   near ? ", did you mean " : "", near ? near : "", all);
}

static gb_status comparison_parse(suite_comparison *out, const char *word, gb_error *err)
{
    static const char *const names[] = {">=", "<=", ">", "<", NULL};
    int found = name_index(word, names);
    if (found < 0) {
        return gb_fail(err, GB_ERR_USAGE, "'%s' where >=, <=, > or < is expected", word);
    }
    *out = (suite_comparison)found;
    return GB_OK;
}

static gb_status percent_parse(double *out, const char *word, gb_error *err)
{
    bool plain = strspn(word, "0123456789.") == strcspn(word, "%"); /* no exponent */
    if (!plain || !quantity_parse(out, word, quantity_percent)) {
        return gb_fail(err, GB_ERR_USAGE, "'%s' is no percentage: write one as 15%% or 2.5%%",
                       word);
    }
    return GB_OK;
}

static gb_status metric_parse(metric_id *out, const char *word, gb_error *err)
{
    const char *names[METRIC_COUNT + 1];
    metric_list_for_claims(names);
    if (name_index(word, names) < 0) {
        return word_unknown("metric", word, names, err);
    }
    *out = metric_find(word);
    return GB_OK;
}

static gb_status speedup_refuse(metric_id metric, gb_error *err)
{
    const char *names[METRIC_COUNT + 1], *with[METRIC_COUNT + 1];
    int n = 0;
    metric_list_for_claims(names);
    for (int i = 0; names[i]; i++) {
        if (metric_is_time(metric_find(names[i]))) {
            with[n++] = names[i];
        }
    }
    with[n] = NULL;
    char all[256];
    names_join(all, sizeof all, with);
    return gb_fail(err, GB_ERR_USAGE,
                   "%s has no speedup: use increase, reduction or within, or one of %s",
                   metric_names[metric], all);
}

gb_status suite_expect_parse(suite_expect *out, const char *text, gb_error *err)
{
    char word[64];
    word_next(&text, word, sizeof word);
    metric_id metric = METRIC_COUNT;
    GB_TRY(metric_parse(&metric, word, err));
    *out = (suite_expect){.metric = metric, .comparison = SUITE_LE};
    word_next(&text, word, sizeof word);
    int relation = name_index(word, relation_names);
    if (relation < 0) {
        return word_unknown("relation", word, relation_names, err);
    }
    out->relation = (suite_relation)relation;
    if (out->relation == SUITE_SPEEDUP && !metric_is_time(metric)) {
        return speedup_refuse(metric, err);
    }
    if (out->relation != SUITE_WITHIN) {
        word_next(&text, word, sizeof word);
        GB_TRY(comparison_parse(&out->comparison, word, err));
    }
    word_next(&text, word, sizeof word);
    GB_TRY(percent_parse(&out->percent, word, err));
    word_next(&text, word, sizeof word);
    if (word[0]) {
        return gb_fail(err, GB_ERR_USAGE, "'%s' after the percentage: nothing belongs there", word);
    }
    return GB_OK;
}

double suite_expect_percent(const suite_expect *expect, double config, double baseline)
{
    if (!(config > 0) || !(baseline > 0)) {
        return NAN;
    }
    switch (expect->relation) {
    case SUITE_SPEEDUP:
        return metric_is_rate(expect->metric) ? 100 * (config / baseline - 1)
                                              : 100 * (baseline / config - 1);
    case SUITE_INCREASE:
        return 100 * (config / baseline - 1);
    case SUITE_REDUCTION:
        return 100 * (1 - config / baseline);
    case SUITE_WITHIN:
        return 100 * fabs(config / baseline - 1);
    case SUITE_RELATION_COUNT:
        break;
    }
    return NAN;
}

bool suite_expect_holds(const suite_expect *expect, double percent)
{
    switch (expect->comparison) {
    case SUITE_GE:
        return percent >= expect->percent;
    case SUITE_LE:
        return percent <= expect->percent;
    case SUITE_GT:
        return percent > expect->percent;
    case SUITE_LT:
        return percent < expect->percent;
    }
    return false;
}
