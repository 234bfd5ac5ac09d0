#include "bench/suite/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "bench/base/quantity.h"

#define TIME_MOST_S   (366.0 * 86400)
#define MEMORY_MOST_B 0x1p60 /* an int64_t holds it, and sums of some of it */

static const char *const on_nan_words[] = {
    [LIMITS_NAN_STOP] = "stop", [LIMITS_NAN_HALVE_LR] = "halve_lr", NULL};
static const char *const off_word[] = {"off", NULL};

static const limits_key keys[] = {
    {"max_memory", LIMITS_BYTES, offsetof(run_limits, max_memory_bytes), MEMORY_MOST_B, NULL,
     "what is there", "of a run, measured and planned; on a GPU its own memory"},
    {"max_time", LIMITS_SECONDS, offsetof(run_limits, max_time_s), TIME_MOST_S, NULL, "none",
     "of a run, from its start"},
    {"heartbeat_timeout", LIMITS_SECONDS, offsetof(run_limits, heartbeat_timeout_s), TIME_MOST_S,
     off_word, "automatic",
     "without a sign of life; automatic: 10 times the longest pause before, 5 minutes at least"},
    {"profile_timeout", LIMITS_SECONDS, offsetof(run_limits, profile_timeout_s), TIME_MOST_S,
     off_word, "automatic",
     "the same while steps are profiled; automatic: 10 times the longest pause, 2 minutes at "
     "least"},
    {"max_retries", LIMITS_COUNT, offsetof(run_limits, max_retries), LIMITS_MAX_RETRIES, NULL, NULL,
     "more attempts after transient faults"},
    {"on_nan", LIMITS_WORD, offsetof(run_limits, on_nan), 0, on_nan_words, NULL,
     "stop, or halve_lr: another attempt at half the learning rate"},
    {NULL, LIMITS_COUNT, 0, 0, NULL, NULL, NULL}};

const limits_key *limits_keys(void)
{
    return keys;
}

run_limits run_limits_default(void)
{
    return (run_limits){.on_nan = LIMITS_NAN_STOP};
}

static const limits_key *key_find(const char *name)
{
    const limits_key *key = keys;
    while (key->name && strcmp(key->name, name) != 0) {
        key++;
    }
    return key->name ? key : NULL;
}

static gb_status bytes_set(int64_t *field, const limits_key *key, const char *text, gb_error *err)
{
    double bytes;
    if (!quantity_parse(&bytes, text, quantity_bytes) || bytes < 1 || bytes > key->most) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s = %.64s: write an amount with its unit, as '8 GiB' or '500 MiB'",
                       key->name, text);
    }
    *field = (int64_t)bytes;
    return GB_OK;
}

static gb_status seconds_set(double *field, const limits_key *key, const char *text, gb_error *err)
{
    double seconds;
    if (key->words && strcmp(text, key->words[0]) == 0) {
        *field = -1;
        return GB_OK;
    }
    if (!quantity_parse(&seconds, text, quantity_seconds) || !(seconds > 0) ||
        seconds > key->most) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s = %.64s: write a time with its unit, as '300 s', '90 min', '2 h' or "
                       "'1 d'%s%s%s",
                       key->name, text, key->words ? ", or '" : "", key->words ? key->words[0] : "",
                       key->words ? "'" : "");
    }
    *field = seconds;
    return GB_OK;
}

static gb_status count_set(int64_t *field, const limits_key *key, const char *text, gb_error *err)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0 || (double)n > key->most) {
        return gb_fail(err, GB_ERR_USAGE, "%s = %.64s: must be a number from 0 to %.0f", key->name,
                       text, key->most);
    }
    *field = n;
    return GB_OK;
}

static gb_status word_set(int64_t *field, const limits_key *key, const char *text, gb_error *err)
{
    for (int i = 0; key->words[i]; i++) {
        if (strcmp(key->words[i], text) == 0) {
            *field = i;
            return GB_OK;
        }
    }
    return gb_fail(err, GB_ERR_USAGE, "%s = %.64s: it is %s or %s", key->name, text, key->words[0],
                   key->words[1]);
}

gb_status run_limits_set(run_limits *limits, const char *name, const char *text, gb_error *err)
{
    const limits_key *key = key_find(name);
    if (!key) {
        return gb_fail(err, GB_ERR_INTERNAL, "limits: no key %s", name);
    }
    void *field = (char *)limits + key->offset;
    switch (key->type) {
    case LIMITS_BYTES:
        return bytes_set(field, key, text, err);
    case LIMITS_SECONDS:
        return seconds_set(field, key, text, err);
    case LIMITS_COUNT:
        return count_set(field, key, text, err);
    case LIMITS_WORD:
        break;
    }
    return word_set(field, key, text, err);
}

void run_limits_format(const run_limits *limits, const limits_key *key, char *out, size_t size)
{
    const void *field = (const char *)limits + key->offset;
    const int64_t whole = key->type == LIMITS_SECONDS ? 0 : *(const int64_t *)field;
    const double seconds = key->type == LIMITS_SECONDS ? *(const double *)field : 0;
    if (key->type == LIMITS_WORD) {
        snprintf(out, size, "%s", key->words[whole]);
    } else if (key->type == LIMITS_COUNT) {
        snprintf(out, size, "%lld", (long long)whole);
    } else if (whole > 0) {
        snprintf(out, size, "%s", number_bytes((double)whole).text);
    } else if (seconds > 0) {
        snprintf(out, size, "%s", number_duration_ms(1e3 * seconds).text);
    } else {
        snprintf(out, size, "%s", seconds < 0 ? key->words[0] : key->unset);
    }
}
