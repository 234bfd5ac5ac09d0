#include "bench/base/numbers.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const number_text none = {"-"};

static number_text grouped(uint64_t n, int negative)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    number_text out = {""};
    char *p = out.text;
    if (negative) {
        *p++ = '-';
    }
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *p++ = ',';
        }
        *p++ = digits[i];
    }
    *p = '\0';
    return out;
}

number_text number_count(int64_t n)
{
    return grouped(n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n, n < 0);
}

number_text number_rounded(double x)
{
    if (!isfinite(x) || fabs(x) > 9e18) {
        return none;
    }
    return number_count((int64_t)llround(x));
}

/* Three significant digits of x in [0, 1000). */
static int decimals_for(double x)
{
    return x < 9.995 ? 2 : x < 99.95 ? 1 : 0;
}

number_text number_short(double x)
{
    static const char *const suffixes[] = {"", "k", "M", "G", "T", "P", "E"};
    if (!isfinite(x)) {
        return none;
    }
    double size = fabs(x);
    int i = 0;
    while (size >= 999.5 && i < 6) {
        size /= 1000;
        i++;
    }
    number_text out;
    int decimals = i == 0 && size == floor(size) ? 0 : decimals_for(size);
    snprintf(out.text, sizeof out.text, "%s%.*f%s", x < 0 ? "-" : "", decimals, size, suffixes[i]);
    return out;
}

number_text number_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    if (!isfinite(bytes)) {
        return none;
    }
    int i = 0;
    while (fabs(bytes) >= 1023.5 && i < 4) {
        bytes /= 1024;
        i++;
    }
    number_text out;
    snprintf(out.text, sizeof out.text, "%.*f %s", i >= 3 ? 1 : 0, bytes, units[i]);
    return out;
}

number_text number_percent_signed(double fraction)
{
    if (!isfinite(fraction)) {
        return none;
    }
    double tenths = round(fraction * 1000);
    number_text out;
    snprintf(out.text, sizeof out.text, "%s%.1f %%",
             tenths > 0 ? "+" : (tenths < 0 ? "\xe2\x88\x92" : ""), fabs(tenths) / 10);
    return out;
}

number_text number_percent(double fraction)
{
    if (!isfinite(fraction)) {
        return none;
    }
    number_text out;
    snprintf(out.text, sizeof out.text, "%.1f %%", fraction * 100);
    return out;
}

number_text number_nats_signed(double nats)
{
    if (!isfinite(nats)) {
        return none;
    }
    int decimals = fabs(nats) < 0.001 ? 6 : 4;
    bool nothing = fabs(nats) < 0.5 * pow(10, -decimals);
    number_text out;
    snprintf(out.text, sizeof out.text, "%s%.*f nats",
             nothing    ? ""
             : nats > 0 ? "+"
                        : "\xe2\x88\x92",
             nothing ? 4 : decimals, fabs(nats));
    return out;
}

number_text number_gigas(double x)
{
    if (!isfinite(x)) {
        return none;
    }
    double gigas = x / 1e9;
    number_text out;
    snprintf(out.text, sizeof out.text, "%.*f",
             fabs(gigas) < 10    ? 2
             : fabs(gigas) < 100 ? 1
                                 : 0,
             gigas);
    return out;
}

number_text number_duration_ms(double ms)
{
    if (!isfinite(ms)) {
        return none;
    }
    number_text out;
    double s = ms / 1000;
    if (fabs(ms) < 0.9995) {
        snprintf(out.text, sizeof out.text, "%.0f us", ms * 1000);
    } else if (fabs(ms) < 999.5) {
        snprintf(out.text, sizeof out.text, "%.*f ms", decimals_for(fabs(ms)), ms);
    } else if (fabs(s) < 99.95) {
        snprintf(out.text, sizeof out.text, "%.*f s", s < 9.995 ? 2 : 1, s);
    } else if (fabs(s) < 3599.5) {
        long whole = lround(s);
        snprintf(out.text, sizeof out.text, "%ld min %02ld s", whole / 60, labs(whole) % 60);
    } else {
        long minutes = lround(fmin(fabs(s) / 60, 1e12));
        snprintf(out.text, sizeof out.text, "%s%ld h %02ld min", s < 0 ? "-" : "", minutes / 60,
                 minutes % 60);
    }
    return out;
}

number_text number_elapsed_ms(double ms)
{
    if (!isfinite(ms)) {
        return none;
    }
    number_text out;
    long s = (long)fmin(fmax(ms, 0) / 1000, 1e12);
    if (s < 60) {
        snprintf(out.text, sizeof out.text, "%ld s", s);
    } else if (s < 3600) {
        snprintf(out.text, sizeof out.text, "%ld min %02ld s", s / 60, s % 60);
    } else {
        snprintf(out.text, sizeof out.text, "%ld h %02ld min", s / 3600, s / 60 % 60);
    }
    return out;
}

number_text number_about_ms(double ms)
{
    number_text out = {""};
    double s = ms / 1000, minutes = s / 60, hours = s / 3600;
    if (!isfinite(ms) || ms <= 0) {
        return out;
    }
    if (s < 7.5) {
        snprintf(out.text, sizeof out.text, "a few s");
    } else if (s < 57.5) {
        snprintf(out.text, sizeof out.text, "about %ld s", 5 * lround(s / 5));
    } else if (minutes < 9.5) {
        snprintf(out.text, sizeof out.text, "about %ld min", lround(minutes));
    } else if (minutes < 57.5) {
        snprintf(out.text, sizeof out.text, "about %ld min", 5 * lround(minutes / 5));
    } else if (hours < 9.75) {
        int halves = (int)lround(hours * 2);
        snprintf(out.text, sizeof out.text, "about %d h%s", halves / 2 % 100,
                 halves % 2 ? " 30 min" : "");
    } else if (hours < 35.5) {
        snprintf(out.text, sizeof out.text, "about %ld h", lround(hours));
    } else {
        snprintf(out.text, sizeof out.text, "about %ld days", lround(fmin(hours / 24, 1e12)));
    }
    return out;
}
