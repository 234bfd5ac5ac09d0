#include "bench/words/verdict_words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/numbers.h"

static void add(verdict_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(verdict_text *out, const char *format, ...)
{
    size_t used = strlen(out->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->text + used, sizeof out->text - used, format, arguments);
    va_end(arguments);
}

typedef struct words {
    const char *less, *more, *unit, *units;
} words;

static const words subject_words[] = {
    [VERDICT_OF_SPEED] = {"faster", "slower", "block", "blocks"},
    [VERDICT_OF_LOSS] = {"better", "worse", "replicate", "replicates"},
    [VERDICT_OF_NATS] = {"better", "worse", "replicate", "replicates"},
};

/* A change as it is shown: in per cent or in nats, with digits that tell the ends of its interval
 * apart. */
typedef struct shown {
    verdict_subject subject;
    int decimals;
} shown;

static double shown_size(shown how, double change)
{
    return fabs(how.subject == VERDICT_OF_NATS ? log1p(change) : 100 * change);
}

static const char *shown_unit(shown how)
{
    return how.subject == VERDICT_OF_NATS ? "nats" : "%";
}

static shown shown_make(verdict_subject subject, stats_interval change)
{
    if (subject == VERDICT_OF_NATS) {
        double width = log1p(change.high) - log1p(change.low);
        return (shown){subject, width < 0.002 ? 6 : 4};
    }
    double width = (change.high - change.low) * 100;
    return (shown){subject, width < 0.2 ? 2 : width < 100 ? 1 : 0};
}

/* Where nothing but the value is told. */
static shown shown_alone(verdict_subject subject)
{
    return (shown){subject, subject == VERDICT_OF_NATS ? 4 : 1};
}

/* A change that is 0 with the digits shown has no direction. */
static bool shows_nothing(shown how, double change)
{
    return shown_size(how, change) < 0.5 * pow(10, -how.decimals);
}

static void add_change(verdict_text *out, double change, shown how)
{
    const words *w = &subject_words[how.subject];
    if (!isfinite(change)) {
        add(out, "unknown");
    } else if (shows_nothing(how, change)) {
        add(out, "no different");
    } else {
        add(out, "%.*f %s %s", how.decimals, shown_size(how, change), shown_unit(how),
            change < 0 ? w->less : w->more);
    }
}

verdict_text verdict_change(double change, verdict_subject subject)
{
    verdict_text out = {""};
    add_change(&out, change, shown_alone(subject));
    return out;
}

number_text verdict_signed(double change, bool in_nats)
{
    return in_nats ? number_nats_signed(log1p(change)) : number_percent_signed(change);
}

verdict_text verdict_range(stats_interval change, verdict_subject subject)
{
    verdict_text out = {""};
    const words *w = &subject_words[subject];
    if (!isfinite(change.low) || !isfinite(change.high)) {
        add(&out, "no interval");
        return out;
    }
    shown how = shown_make(subject, change);
    const char *unit = shown_unit(how);
    double low = shown_size(how, change.low), high = shown_size(how, change.high);
    if ((change.low > 0) == (change.high > 0) && (change.low < 0) == (change.high < 0)) {
        add(&out, "%.*f to %.*f %s %s", how.decimals, fmin(low, high), how.decimals,
            fmax(low, high), unit, change.low < 0 ? w->less : w->more);
    } else {
        add(&out, "%.*f %s %s to %.*f %s %s", how.decimals, low, unit, w->less, how.decimals, high,
            unit, w->more);
    }
    return out;
}

/* ---- reasons ---- */

/* A sentence of its own; claims put it behind a semicolon. */
static void add_further(verdict_text *out, const char *before, double further, const words *w)
{
    if (isinf(further)) {
        add(out, "%sno sensible number of %s would settle it", before, w->units);
    } else if (!isnan(further)) {
        add(out, "%sabout %s more %s needed", before, number_rounded(further).text,
            further < 1.5 ? w->unit : w->units);
    }
}

static void add_interval(verdict_text *out, const verdict *v, verdict_subject subject)
{
    add(out, "95 %% interval: %s.", verdict_range(v->change, subject).text);
}

static void add_no_interval(verdict_text *out, const verdict *v, verdict_subject subject,
                            double seed_noise)
{
    const words *w = &subject_words[subject];
    add(out, "Cannot tell: estimate ");
    add_change(out, v->change.value, shown_alone(subject));
    add(out, ", no interval from %zu %s", v->n, v->n == 1 ? w->unit : w->units);
    if (subject == VERDICT_OF_SPEED) {
        add(out, " (it takes %d)", ESTIMATE_MIN_BLOCKS);
    }
    add(out, ".");
    if (isfinite(seed_noise)) {
        add(out, " Other seeds alone change it by ");
        if (subject == VERDICT_OF_NATS) {
            add(out, "%.4f nats.", fabs(seed_noise));
        } else {
            add(out, "%s.", number_percent(fabs(seed_noise)).text);
        }
    }
}

static void add_doubt(verdict_text *out, const verdict *v, verdict_subject subject,
                      double seed_noise)
{
    const words *w = &subject_words[subject];
    switch (v->doubt) {
    case VERDICT_NO_VALUE:
        add(out, "Cannot tell: one of the two has no number.");
        break;
    case VERDICT_NO_INTERVAL:
        add_no_interval(out, v, subject, seed_noise);
        break;
    case VERDICT_FLOOR:
        add(out, "Cannot tell: %s, but the baseline differs from itself by %s.",
            verdict_change(v->change.value, subject).text, number_percent(v->floor).text);
        break;
    case VERDICT_CORRECTION:
        add_interval(out, v, subject);
        add(out, " Not significant after correction for %zu comparisons", v->comparisons);
        add_further(out, "; ", v->further, w);
        add(out, ".");
        break;
    case VERDICT_WIDE:
    case VERDICT_NO_DOUBT:
        add(out, "Cannot tell: estimate ");
        add_change(out, v->change.value, shown_alone(subject));
        add(out, ", 95 %% interval %s", verdict_range(v->change, subject).text);
        add_further(out, "; ", v->further, w);
        add(out, ".");
        break;
    }
}

verdict_text verdict_reason(const verdict *v, verdict_subject subject, double seed_noise)
{
    verdict_text out = {""};
    switch (v->kind) {
    case VERDICT_LESS:
    case VERDICT_MORE:
        add_change(&out, v->change.value, shown_make(subject, v->change));
        add(&out, ". ");
        add_interval(&out, v, subject);
        break;
    case VERDICT_SAME:
        add(&out, "No difference found (%s to %s).",
            verdict_signed(v->change.low, subject == VERDICT_OF_NATS).text,
            verdict_signed(v->change.high, subject == VERDICT_OF_NATS).text);
        break;
    case VERDICT_UNCLEAR:
        add_doubt(&out, v, subject, seed_noise);
        break;
    }
    return out;
}

/* ---- the measurement ---- */

verdict_text verdict_control_words(const noise_control *control)
{
    verdict_text out = {""};
    if (!isfinite(control->change.value)) {
        add(&out, "the baseline was not measured against itself");
        return out;
    }
    add(&out, "%s than itself (%s%s)", verdict_change(control->change.value, VERDICT_OF_SPEED).text,
        isfinite(control->change.low) ? "95 % interval: " : "",
        verdict_range(control->change, VERDICT_OF_SPEED).text);
    if (control->subsets > 0) {
        double alarms = control->false_alarm_rate * (double)control->subsets;
        add(&out,
            "; judged on %zu random halves of the blocks, it was falsely called different %.0f "
            "time%s",
            control->subsets, alarms, alarms > 0.5 && alarms < 1.5 ? "" : "s");
    }
    return out;
}

verdict_text verdict_drift_words(const drift *d)
{
    verdict_text out = {""};
    if (!isfinite(d->total.value)) {
        add(&out, "too few blocks for a trend");
        return out;
    }
    add(&out, "%s over %s (95 %% interval: %s)",
        verdict_change(d->total.value, VERDICT_OF_SPEED).text,
        number_duration_ms(d->hours * 3600e3).text, verdict_range(d->total, VERDICT_OF_SPEED).text);
    return out;
}

/* ---- claims ---- */

/* With its sign, unless the claim is about the size of a change. */
static void add_percent(verdict_text *out, double percent, int decimals, bool sign)
{
    bool nothing = fabs(percent) < 0.5 * pow(10, -decimals);
    add(out, "%s%.*f",
        !sign || nothing ? ""
        : percent < 0    ? "\xe2\x88\x92"
                         : "+",
        decimals, fabs(percent));
}

verdict_text verdict_claim_words(const claim_test *test, const suite_expect *expect,
                                 verdict_subject subject)
{
    static const char *const signs[] = {
        [SUITE_GE] = ">=", [SUITE_LE] = "<=", [SUITE_GT] = ">", [SUITE_LT] = "<"};
    static const char *const relations[SUITE_RELATION_COUNT] = {
        [SUITE_SPEEDUP] = "speedup",
        [SUITE_INCREASE] = "increase",
        [SUITE_REDUCTION] = "reduction",
        [SUITE_WITHIN] = "difference",
    };
    verdict_text out = {""};
    stats_interval p = test->percent;
    if (!isfinite(p.value)) {
        add(&out, "one of the two has no number");
        return out;
    }
    /* As the table above the sentence has them, or finer. */
    int decimals = isfinite(p.low) && !test->exact && p.high - p.low < 0.2 ? 2 : 1;
    bool sign = expect->relation != SUITE_WITHIN;
    add(&out, "%s ", relations[expect->relation]);
    add_percent(&out, p.value, decimals, sign);
    add(&out, " %%%s", subject == VERDICT_OF_NATS ? " in perplexity" : "");
    if (test->exact) {
        add(&out, " exactly");
    } else if (isfinite(p.low) && isfinite(p.high)) {
        add(&out, ", 95 %% interval ");
        add_percent(&out, p.low, decimals, sign);
        add(&out, " to ");
        add_percent(&out, p.high, decimals, sign);
        add(&out, " %%");
    } else {
        add(&out, ", no interval");
    }
    add(&out, "; claimed: %s %g %%", signs[expect->comparison], expect->percent);
    if (test->outcome == CLAIM_UNSETTLED) {
        add_further(&out, "; ", test->further, &subject_words[subject]);
    }
    return out;
}
