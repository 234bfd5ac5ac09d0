#include "bench/suite/limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"

#define TIME_MOST_S   (366.0 * 86400)
#define MEMORY_MOST_B 0x1p60 /* an int64_t holds it, and sums of some of it */

static const limits_key keys[] = {
    {"max_memory", "of a run, measured and planned; on a GPU its own memory"},
    {"max_time", "of a run, from its start"},
    {"heartbeat_timeout", "without a sign of life; automatic: 10 times the longest pause before, "
                          "5 minutes at least"},
    {"max_retries", "more attempts after transient faults"},
    {"on_nan", "stop, or halve_lr: another attempt at half the learning rate"},
    {NULL, NULL}};

const limits_key *limits_keys(void)
{
    return keys;
}

run_limits run_limits_default(void)
{
    return (run_limits){.on_nan = LIMITS_NAN_STOP};
}

typedef struct unit {
    const char *name;
    double size;
} unit;

/* "8 GiB": a decimal number above 0 and one of the units. False when it is not that. */
static bool quantity_parse(const char *text, const unit *units, double most, double *out)
{
    char *end;
    if (!strchr("0123456789.", text[0]) || text[0] == '\0') {
        return false; /* strtod would take inf, nan and signs */
    }
    *out = strtod(text, &end);
    end += strspn(end, " \t");
    for (; units->name; units++) {
        if (strcmp(end, units->name) == 0) {
            *out *= units->size;
            return *out > 0 && *out <= most;
        }
    }
    return false;
}

static gb_status memory_set(run_limits *limits, const char *text, gb_error *err)
{
    static const unit units[] = {{"B", 1},        {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30},
                                 {"TiB", 0x1p40}, {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                                 {"TB", 1e12},    {NULL, 0}};
    double bytes;
    if (!quantity_parse(text, units, MEMORY_MOST_B, &bytes) || bytes < 1) {
        return gb_fail(err, GB_ERR_USAGE,
                       "max_memory = %.64s: write an amount with its unit, as '8 GiB' or '500 MiB'",
                       text);
    }
    limits->max_memory_bytes = (int64_t)bytes;
    return GB_OK;
}

static gb_status time_set(double *out, const char *name, const char *text, const char *or_else,
                          gb_error *err)
{
    static const unit units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
    double seconds;
    if (!quantity_parse(text, units, TIME_MOST_S, &seconds)) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s = %.64s: write a time with its unit, as '300 s', '90 min', '2 h' or "
                       "'1 d'%s",
                       name, text, or_else);
    }
    *out = seconds;
    return GB_OK;
}

static gb_status retries_set(run_limits *limits, const char *text, gb_error *err)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0 || n > LIMITS_MAX_RETRIES) {
        return gb_fail(err, GB_ERR_USAGE, "max_retries = %.64s: must be a number from 0 to %d",
                       text, LIMITS_MAX_RETRIES);
    }
    limits->max_retries = n;
    return GB_OK;
}

static gb_status on_nan_set(run_limits *limits, const char *text, gb_error *err)
{
    if (strcmp(text, "stop") != 0 && strcmp(text, "halve_lr") != 0) {
        return gb_fail(err, GB_ERR_USAGE, "on_nan = %.64s: it is stop or halve_lr", text);
    }
    limits->on_nan = strcmp(text, "stop") == 0 ? LIMITS_NAN_STOP : LIMITS_NAN_HALVE_LR;
    return GB_OK;
}

gb_status run_limits_set(run_limits *limits, const char *name, const char *text, gb_error *err)
{
    if (strcmp(name, "max_memory") == 0) {
        return memory_set(limits, text, err);
    }
    if (strcmp(name, "max_time") == 0) {
        return time_set(&limits->max_time_s, name, text, "", err);
    }
    if (strcmp(name, "heartbeat_timeout") == 0) {
        if (strcmp(text, "off") == 0) {
            limits->heartbeat_timeout_s = -1;
            return GB_OK;
        }
        return time_set(&limits->heartbeat_timeout_s, name, text, ", or 'off'", err);
    }
    if (strcmp(name, "max_retries") == 0) {
        return retries_set(limits, text, err);
    }
    return strcmp(name, "on_nan") == 0 ? on_nan_set(limits, text, err)
                                       : gb_fail(err, GB_ERR_INTERNAL, "limits: no key %s", name);
}

static void time_format(double seconds, const char *none, char *out, size_t size)
{
    snprintf(out, size, "%s", seconds > 0 ? number_duration_ms(1e3 * seconds).text : none);
}

void run_limits_format(const run_limits *limits, const char *name, char *out, size_t size)
{
    if (strcmp(name, "max_memory") == 0) {
        snprintf(out, size, "%s",
                 limits->max_memory_bytes > 0 ? number_bytes((double)limits->max_memory_bytes).text
                                              : "what is there");
    } else if (strcmp(name, "max_time") == 0) {
        time_format(limits->max_time_s, "none", out, size);
    } else if (strcmp(name, "heartbeat_timeout") == 0) {
        time_format(limits->heartbeat_timeout_s,
                    limits->heartbeat_timeout_s < 0 ? "off" : "automatic", out, size);
    } else if (strcmp(name, "max_retries") == 0) {
        snprintf(out, size, "%lld", (long long)limits->max_retries);
    } else {
        snprintf(out, size, "%s", limits->on_nan == LIMITS_NAN_STOP ? "stop" : "halve_lr");
    }
}
