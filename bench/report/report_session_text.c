/* How speeds were measured: the sessions of interleaved timing, in words. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/report.h"
#include "bench/words/verdict_words.h"

static const char *arm_name(const findings *data, const speed_arm *arm)
{
    return arm->facts->config >= 0 ? data->facts->configs[arm->facts->config].name
                                   : "(has left the suite)";
}

static int64_t bursts_of(const speed_session *s, const speed_arm *arm)
{
    int64_t n = 0;
    for (int64_t b = 0; b < s->facts->blocks; b++) {
        n += isfinite(arm->facts->median_ms[b]) != 0;
    }
    return n;
}

/* ---- in sentences ---- */

static void write_design(document *doc, const speed_session *s)
{
    char fresh[96] = "the same processes throughout";
    if (s->facts->process_blocks > 0) {
        snprintf(fresh, sizeof fresh, "fresh processes every %" PRId64 " blocks",
                 s->facts->process_blocks);
    }
    document_list_item(
        doc,
        "Design: %" PRId64 " blocks. In each, every config has one burst of %" PRId64
        " untimed and %" PRId64
        " timed steps, in an order drawn anew for every block (seed %" PRId64 "); %s.",
        s->facts->blocks, s->facts->lead_steps, s->facts->timed_steps, s->facts->seed, fresh);
    if (isfinite(s->facts->stop_precision)) {
        document_list_item(doc,
                           "Stop: once the widest 95 %% interval is within %s either way, after at "
                           "least %" PRId64 " and at most %" PRId64 " blocks. %s.",
                           number_percent(s->facts->stop_precision).text, s->facts->min_blocks,
                           s->facts->max_blocks,
                           s->facts->precision_reached ? "Reached" : "Not reached");
    } else {
        document_list_item(doc, "Stop: after %" PRId64 " blocks, whatever they show.",
                           s->facts->max_blocks);
    }
}

/* The least sure of the configs. */
static double detectable_most(const speed_session *s)
{
    double most = NAN;
    for (int a = 0; a < s->n_arms; a++) {
        double x = s->arms[a].verdict.detectable;
        bool judged = !s->arms[a].facts->is_baseline && !s->arms[a].facts->is_control &&
                      strcmp(s->arms[a].facts->status, "ok") == 0;
        most = judged && isfinite(x) && !(x <= most) ? x : most;
    }
    return most;
}

static void write_sharpness(document *doc, const speed_session *s)
{
    if (s->facts->control >= 0) {
        document_list_item(doc, "A/A control: timed a second time, the baseline is %s.",
                           verdict_control_words(&s->aa).text);
    } else {
        document_list_item(doc, "A/A control: none.");
    }
    double found = detectable_most(s);
    if (isfinite(found)) {
        document_list_item(doc,
                           "Smallest true difference that these blocks would find with 90 %% "
                           "probability, for any of the configs: %s.",
                           number_percent(found).text);
    }
    if (isfinite(s->needed_blocks)) {
        document_list_item(doc, "Blocks that would find a true difference of 1 %%: about %s.",
                           number_rounded(ceil(s->needed_blocks)).text);
    } else if (isinf(s->needed_blocks)) {
        document_list_item(doc, "Blocks that would find a true difference of 1 %%: more than a "
                                "million.");
    }
}

static void write_weather(document *doc, const speed_session *s)
{
    document_list_item(doc,
                       "Drift, which all configs had alike and no ratio contains: %s. Around that, "
                       "blocks differ by %s (standard deviation).",
                       verdict_drift_words(&s->drift).text,
                       number_percent(s->drift.effect_sd).text);
    if (isfinite(s->facts->clock_mean_mhz)) {
        document_list_item(
            doc, "Clock: %.0f MHz on average, from %.0f to %.0f, over %" PRId64 " samples%s%s%s.",
            s->facts->clock_mean_mhz, s->facts->clock_low, s->facts->clock_high, s->facts->samples,
            isfinite(s->facts->temperature_high_c) ? "; at most " : "",
            isfinite(s->facts->temperature_high_c)
                ? number_rounded(s->facts->temperature_high_c).text
                : "",
            isfinite(s->facts->temperature_high_c) ? " \xc2\xb0"
                                                     "C"
                                                   : "");
    } else {
        document_list_item(doc, "Clock: not known.");
    }
    if (*s->facts->sensors_missing) {
        document_list_item(doc, "Sensors that could not be read: %s", s->facts->sensors_missing);
    }
}

static void write_when(document *doc, const speed_session *s)
{
    char where[64] = "an unknown machine";
    if (s->facts->machine >= 0) {
        snprintf(where, sizeof where, "machine %d", s->facts->machine + 1);
    }
    document_list_item(doc, "From %s to %s on %s; gptbench %s, commit %s, %s; backend %s, %s.",
                       s->facts->started_at, s->facts->ended_at, where, s->facts->program_version,
                       s->facts->program_commit, s->facts->compiler,
                       s->arms[s->facts->baseline].facts->backend,
                       s->arms[s->facts->baseline].facts->precision);
}

/* ---- config by config ---- */

static table *arm_table(void)
{
    static const char *const headings[] = {
        "bursts",   "processes", "warm-up steps dropped", "timed",
        "outliers", "marked",    "typical burst (ms)"};
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    table_add_column(t, "end", TABLE_LEFT);
    return t;
}

static void arm_add(table *t, const findings *data, const speed_session *s, const speed_arm *arm)
{
    table_begin_row(t);
    table_add_cell(t, "%s%s", arm_name(data, arm), arm->facts->is_control ? " (control)" : "");
    table_add_cell(t, "%" PRId64, bursts_of(s, arm));
    table_add_cell(t, "%" PRId64, arm->facts->processes);
    table_add_cell(t, "%" PRId64, arm->facts->warmup_steps);
    table_add_cell(t, "%s", number_count((int64_t)arm->facts->n_timed).text);
    table_add_cell(t, "%zu", arm->outliers.above + arm->outliers.below);
    table_add_cell(t, "%" PRId64, arm->facts->marked);
    if (isfinite(arm->burst_ms.low)) {
        table_add_cell(t, "%.4g (%.4g to %.4g)", arm->burst_ms.value, arm->burst_ms.low,
                       arm->burst_ms.high);
    } else if (isfinite(arm->burst_ms.value)) {
        table_add_cell(t, "%.4g", arm->burst_ms.value);
    } else {
        table_add_cell(t, "-");
    }
    table_add_cell(t, "%s%s%s", arm->facts->status, *arm->facts->message ? ": " : "",
                   arm->facts->message);
}

static gb_status write_arms(document *doc, const findings *data, const speed_session *s,
                            gb_error *err)
{
    table *t = arm_table();
    for (int a = 0; a < s->n_arms; a++) {
        arm_add(t, data, s, &s->arms[a]);
    }
    gb_status status = document_table(doc, t, err);
    table_free(t);
    return status;
}

gb_status report_write_sessions(document *doc, const findings *data, gb_error *err)
{
    if (!speed_report_any(data)) {
        document_paragraph(doc, "Speed: no interleaved timing. Runs were timed as they trained, "
                                "one after the other; there is no A/A control and no noise floor.");
        return GB_OK;
    }
    document_paragraph(
        doc,
        "Speed: all configs took turns, and each is compared with the "
        "baseline of the same block, by the medians of their bursts; what the machine did to a "
        "block, it did to both. Nothing is removed: outliers (more than 5 scaled median "
        "deviations off) and steps marked as disturbed are counted below and stay in.");
    for (int i = 0; i < data->speeds->n_sessions; i++) {
        const speed_session *s = &data->speeds->sessions[i];
        if (data->speeds->n_sessions > 1) {
            document_paragraph(doc, "Session %" PRId64 ":", s->facts->timing_id);
        }
        document_list_begin(doc);
        write_design(doc, s);
        write_sharpness(doc, s);
        write_weather(doc, s);
        write_when(doc, s);
        document_list_end(doc);
        GB_TRY(write_arms(doc, data, s, err));
    }
    document_paragraph(doc, "Warm-up steps dropped are those of each fresh process and the untimed "
                            "ones at the start of each burst.");
    return GB_OK;
}
