#include "bench/suite/metric.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/numbers.h"

static const struct {
    const char *unit, *more, *less;
    metric_kind kind;
    int claim_place;
} rows[METRIC_COUNT] = {
#define X(suffix, name, kind, unit, more, less, claim_place) {unit, more, less, kind, claim_place},
    METRICS(X)
#undef X
};

const char *const metric_names[METRIC_COUNT + 1] = {
#define X(suffix, name, ...) name,
    METRICS(X)
#undef X
        NULL};

metric_id metric_find(const char *name)
{
    int i = 0;
    while (i < METRIC_COUNT && strcmp(metric_names[i], name) != 0) {
        i++;
    }
    return (metric_id)i;
}

void metric_list_for_claims(const char *names[METRIC_COUNT + 1])
{
    int n = 0;
    for (int place = 1; place <= METRIC_COUNT; place++) {
        for (int i = 0; i < METRIC_COUNT; i++) {
            if (rows[i].claim_place == place) {
                names[n++] = metric_names[i];
            }
        }
    }
    names[n] = NULL;
}

metric_text metric_format(metric_id metric, double value)
{
    metric_text out = {"-"};
    if (!isfinite(value)) {
        return out;
    }
    const char *unit = rows[metric].unit;
    switch (rows[metric].kind) {
    case METRIC_TIME:
        snprintf(out.text, sizeof out.text, "%.*f %s", value < 10 ? 3 : 2, value, unit);
        break;
    case METRIC_LOSS:
        snprintf(out.text, sizeof out.text, "%.4f %s", value, unit);
        break;
    case METRIC_MEMORY:
        snprintf(out.text, sizeof out.text, "%s", number_bytes(value).text);
        break;
    case METRIC_RATE:
    case METRIC_EXACT:
        snprintf(out.text, sizeof out.text, "%s %s", number_rounded(value).text, unit);
        break;
    }
    return out;
}

bool metric_is_time(metric_id metric)
{
    return rows[metric].kind == METRIC_TIME || rows[metric].kind == METRIC_RATE;
}

bool metric_is_rate(metric_id metric)
{
    return rows[metric].kind == METRIC_RATE;
}

bool metric_is_loss(metric_id metric)
{
    return rows[metric].kind == METRIC_LOSS;
}

bool metric_is_exact(metric_id metric)
{
    return rows[metric].kind == METRIC_EXACT;
}

const char *metric_comparative(metric_id metric, bool more)
{
    return more ? rows[metric].more : rows[metric].less;
}
