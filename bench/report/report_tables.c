/* The tables of a report. */
#include <math.h>
#include <string.h>

#include "bench/analysis/comparison.h"
#include "bench/analysis/divergence.h"
#include "bench/analysis/learning_rates.h"
#include "bench/analysis/peers.h"
#include "bench/analysis/run_numbers.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/report.h"
#include "bench/report/report_limits.h"
#include "bench/run/lr_mark.h"
#include "bench/run/rates.h"
#include "bench/stats/pareto.h"

/* "1.6000 ± 0.0100"; the value alone where there is no interval. */
static void interval_text(char *out, size_t size, stats_interval x, int decimals)
{
    if (!isfinite(x.value)) {
        snprintf(out, size, "-");
    } else if (isfinite(x.low)) {
        snprintf(out, size, "%.*f \xc2\xb1 %.*f", decimals, x.value, decimals,
                 (x.high - x.low) / 2);
    } else {
        snprintf(out, size, "%.*f", decimals, x.value);
    }
}

/* "+3.1 % (+2.0 % to +4.2 %)" */
static void change_text(char *out, size_t size, stats_interval change)
{
    if (isfinite(change.low) && isfinite(change.high)) {
        snprintf(out, size, "%s (%s to %s)", number_percent_signed(change.value).text,
                 number_percent_signed(change.low).text, number_percent_signed(change.high).text);
    } else {
        snprintf(out, size, "%s", number_percent_signed(change.value).text);
    }
}

static bool any_floor(const findings *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        if (isfinite(data->entries[i].entropy_rate_nats)) {
            return true;
        }
    }
    return false;
}

/* step_avg with as many decimals as its size wants. */
static int ms_decimals(double ms)
{
    return ms < 10 ? 3 : ms < 1000 ? 2 : 1;
}

/* Marks a row whose time is not interleaved among others whose time is. */
#define NOT_INTERLEAVED "\xe2\x80\xa0"

static bool some_interleaved(const findings *data, bool *all)
{
    int n = 0;
    for (int i = 0; i < data->n_entries; i++) {
        n += data->entries[i].pace.interleaved;
    }
    *all = n == data->n_entries;
    return n > 0;
}

static void add_cells_of_time(table *t, const result_entry *e, const config_verdict *row,
                              const char *mark, bool compared)
{
    char text[128];
    stats_interval change = row ? row->time_change : (stats_interval){NAN, NAN, NAN};
    const entry_pace *pace = &e->pace;
    interval_text(text, sizeof text, pace->step_avg_ms, ms_decimals(pace->step_avg_ms.value));
    table_add_cell(t, "%s%s", text, mark);
    table_add_cell(t, "%.*f", ms_decimals(pace->step_median_ms), pace->step_median_ms);
    table_add_cell(t, "%s", number_count(pace->n_timed).text);
    if (compared && isfinite(change.value)) {
        change_text(text, sizeof text, change);
        table_add_cell(t, "%s%s", text, row->per_token ? ", per token" : "");
        table_add_cell(t, "%.3f\xc3\x97", 1 / (1 + change.value));
    } else {
        table_add_cell(t, "%s",
                       e->is_baseline              ? "baseline"
                       : row && row->speed_refused ? "not compared"
                                                   : "-");
        table_add_cell(t, "%s", e->is_baseline ? "1" : "-");
    }
    table_add_cell(t, "%s", number_rounded(pace->tokens_per_s.value).text);
    table_add_cell(t, "%s", number_percent(pace->mfu).text);
}

static void add_result_row(table *t, const findings *data, int i, bool floor)
{
    const result_entry *e = &data->entries[i];
    const config_facts *config = &data->facts->configs[e->config];
    bool compared = e->baseline >= 0 && e->baseline != i;
    const config_verdict *row = config_verdict_of(data, i);
    bool all, some = some_interleaved(data, &all);
    char text[128];
    entry_rates rates = entry_rates_of(e);
    table_begin_row(t);
    table_add_cell(t, "%s%s%s", e->label, rates.halved ? ", lr " : "",
                   rates.halved ? rates.text : "");
    table_add_cell(t, "%s", number_count(config->n_params).text);
    table_add_cell(t, "%s", number_rounded(config->flops_per_token).text);
    table_add_cell(t, "%s", e->is_baseline ? "-" : number_percent_signed(e->flops_fraction).text);
    add_cells_of_time(t, e, row, some && !e->pace.interleaved ? " " NOT_INTERLEAVED : "", compared);
    interval_text(text, sizeof text, e->val_loss, 4);
    table_add_cell(t, "%s", text);
    if (floor) {
        double excess = e->val_loss.value - e->entropy_rate_nats;
        if (isfinite(excess)) {
            table_add_cell(t, "%.4f", excess);
        } else {
            table_add_cell(t, "-");
        }
    }
    table_add_cell(t, "%s", number_bytes(e->peak_memory_bytes).text);
    table_add_cell(t, "%d", e->n_runs);
    if (!peers_may_lead_front(data, i)) {
        table_add_cell(t, "-");
    } else {
        table_add_cell(t, "%s%s", e->on_front ? "yes, " : "",
                       e->n_runs < 2 ? "one seed" : pareto_share_text(e->front_probability).text);
    }
}

static table *result_table(bool floor, bool interleaved)
{
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "parameters", TABLE_RIGHT);
    table_add_column(t, "FLOPs/token", TABLE_RIGHT);
    table_add_column(t, "FLOPs vs base", TABLE_RIGHT);
    table_add_column(t, interleaved ? "step_avg, timed in turn (ms)" : "step_avg, of the runs (ms)",
                     TABLE_RIGHT);
    table_add_column(t, "step median (ms)", TABLE_RIGHT);
    table_add_column(t, "timed steps", TABLE_RIGHT);
    table_add_column(t, interleaved ? "step time vs base" : "step_avg vs base", TABLE_RIGHT);
    table_add_column(t, "speedup", TABLE_RIGHT);
    table_add_column(t, "tokens/s", TABLE_RIGHT);
    table_add_column(t, "MFU", TABLE_RIGHT);
    table_add_column(t, "final val loss (nats/token)", TABLE_RIGHT);
    if (floor) {
        table_add_column(t, "excess over entropy", TABLE_RIGHT);
    }
    table_add_column(t, "peak memory", TABLE_RIGHT);
    table_add_column(t, "replicates", TABLE_RIGHT);
    table_add_column(t, "Pareto front", TABLE_LEFT);
    return t;
}

static void add_run_row(table *t, const result_entry *e, const run_facts *run)
{
    stats_interval within = run_step_avg(run);
    int64_t tags[128] = {0};
    for (int64_t k = 0; k < run->n_steps; k++) {
        tags[run->steps[k].tag & 127]++;
    }
    char text[128];
    table_begin_row(t);
    table_add_cell(t, "%s%s", e->label, lr_mark(run->lr_scale).text);
    table_add_cell(t, "%lld", (long long)run->replicate);
    interval_text(text, sizeof text, within, ms_decimals(within.value));
    table_add_cell(t, "%s", text);
    table_add_cell(t, "%.*f", ms_decimals(run->step_median_ms), run->step_median_ms);
    table_add_cell(t, "%lld", (long long)run->n_timed);
    table_add_cell(t, "%lld", (long long)tags['w']);
    table_add_cell(t, "%lld", (long long)tags['e']);
    table_add_cell(t, "%lld", (long long)tags['p']);
    table_add_cell(t, "%lld", (long long)tags['c']);
    if (isfinite(run->final_val_loss)) {
        table_add_cell(t, "%.4f", run->final_val_loss);
        table_add_cell(t, "%.4f", run->best_val_loss);
    } else {
        table_add_cell(t, "-");
        table_add_cell(t, "-");
    }
    table_add_cell(t, "%s", number_bytes(run->peak_memory_bytes).text);
    table_add_cell(t, "%s",
                   run->planned_memory_bytes > 0 ? number_bytes(run->planned_memory_bytes).text
                                                 : "-");
    table_add_cell(t, "%lld", (long long)run->run_id);
}

static gb_status write_run_table(document *doc, const findings *data, gb_error *err)
{
    static const char *const headings[] = {"replicate",
                                           "step_avg (ms)",
                                           "step median (ms)",
                                           "timed",
                                           "warm-up",
                                           "beside a validation",
                                           "profiled",
                                           "beside a checkpoint",
                                           "final val loss",
                                           "best val loss",
                                           "peak memory",
                                           "memory as planned",
                                           "run"};
    document_paragraph(doc, "Run by run, with the number of steps of each kind. The interval of "
                            "step_avg here is a t interval over the run's timed steps.");
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            add_run_row(t, &data->entries[i], data->entries[i].runs[r]);
        }
    }
    gb_status status = document_table(doc, t, err);
    table_free(t);
    return status;
}

static void explain_runs(document *doc, bool single, bool several)
{
    document_paragraph(
        doc,
        "\xc2\xb1 is half of a 95 %% interval.%s%s The change of step_avg against the baseline "
        "has its 95 %% interval beside it%s. FLOPs are exact, forward and backward.",
        several ? " Over two or more replicates it is a t interval of their means." : "",
        single
            ? " For step_avg with one replicate it is a t interval over the timed steps, which "
              "is too narrow because neighbouring steps resemble each other; a loss has none then."
            : "",
        several ? ": paired over replicates where there are two or more" : "");
}

static void explain_interleaved(document *doc, bool all)
{
    document_paragraph(
        doc,
        "Times, tokens/s and MFU are from interleaved timing, in which all configs took turns; "
        "what each run took by itself is in the table below.%s \xc2\xb1 is half of a 95 %% "
        "interval: for step_avg a t interval over its bursts, which also holds the machine's "
        "drift; "
        "for losses over replicates, where there are two or more. The step time against the "
        "baseline is the typical ratio of medians within a block, with its 95 %% interval, and "
        "free of that drift: it is what the verdict goes by. FLOPs are exact, forward and "
        "backward.",
        all ? "" : " Rows with " NOT_INTERLEAVED " have no such time, and their runs' stands in.");
}

gb_status report_write_results(document *doc, const findings *data, gb_error *err)
{
    document_heading(doc, "Results");
    if (data->n_entries == 0) {
        document_paragraph(doc, "No run has finished yet.");
        return GB_OK;
    }
    bool floor = any_floor(data), single = false, several = false, beaten = false;
    bool all, interleaved = some_interleaved(data, &all);
    table *t = result_table(floor, interleaved);
    for (int i = 0; i < data->n_entries; i++) {
        add_result_row(t, data, i, floor);
        single |= data->entries[i].n_runs == 1;
        several |= data->entries[i].n_runs > 1;
        beaten |= data->entries[i].pace.mfu > 1;
    }
    gb_status status = document_table(doc, t, err);
    table_free(t);
    GB_TRY(status);
    if (interleaved) {
        explain_interleaved(doc, all);
    } else {
        explain_runs(doc, single, several);
    }
    if (beaten) {
        document_paragraph(doc, "%s", rates_peak_beaten);
    }
    report_write_halved(doc, data);
    return write_run_table(doc, data, err);
}

gb_status report_write_unfinished(document *doc, const findings *data, gb_error *err)
{
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "replicate", TABLE_RIGHT);
    table_add_column(t, "attempt", TABLE_RIGHT);
    table_add_column(t, "status", TABLE_LEFT);
    table_add_column(t, "steps done", TABLE_RIGHT);
    table_add_column(t, "reason", TABLE_LEFT);
    table_add_column(t, "run", TABLE_RIGHT);
    for (int i = 0; i < data->facts->n_runs; i++) {
        const run_facts *run = &data->facts->runs[i];
        if (strcmp(run->status, "ok") == 0) {
            continue;
        }
        table_begin_row(t);
        table_add_cell(t, "%s", run->config >= 0 ? data->facts->configs[run->config].name : "?");
        table_add_cell(t, "%lld", (long long)run->replicate);
        table_add_cell(t, "%lld", (long long)run->attempt);
        table_add_cell(t, "%s", run->status);
        table_add_cell(t, "%lld of %lld", (long long)run->steps_done,
                       (long long)run->num_iterations);
        table_add_cell(t, "%s", run->message);
        table_add_cell(t, "%lld", (long long)run->run_id);
    }
    gb_status status = GB_OK;
    if (table_row_count(t) > 0) {
        document_heading(doc, "Runs that are not ok");
        document_paragraph(doc, "They take no part in any number or figure of this report.");
        status = document_table(doc, t, err);
    }
    table_free(t);
    return status;
}

static void add_number(table *t, double x)
{
    if (isfinite(x)) {
        table_add_cell(t, "%.10g", x);
    } else {
        table_add_cell(t, "%s", "");
    }
}

static void add_interval(table *t, stats_interval x, bool known)
{
    add_number(t, known ? x.value : NAN);
    add_number(t, known ? x.low : NAN);
    add_number(t, known ? x.high : NAN);
}

static void add_tsv_verdicts(table *t, const result_entry *e, const config_verdict *row)
{
    add_interval(t, e->pace.step_avg_ms, e->pace.interleaved);
    table_add_cell(t, "%s", row->speed_judged ? verdict_speed_name(row->speed.kind) : "");
    add_interval(t, row->speed.change, row->speed_judged);
    table_add_cell(t, "%s", row->loss_judged ? verdict_loss_name(row->loss.kind) : "");
    add_interval(t, row->loss.change, row->loss_judged);
}

static void add_tsv_refusals(table *t, const config_verdict *row)
{
    table_add_cell(t, "%d", row->per_token);
    table_add_cell(t, "%s", row->speed_refused ? row->speed_refused : "");
    table_add_cell(t, "%s", row->loss_refused ? row->loss_refused : "");
}

/* What loss_change is the change of. */
static void add_tsv_loss_scale(table *t, const config_verdict *row)
{
    table_add_cell(t, "%s", !row->loss_judged ? "" : row->loss_in_nats ? "perplexity" : "loss");
}

/* Of the runs themselves, also where the config is quoted with interleaved times. */
static void add_tsv_runs(table *t, const result_entry *e)
{
    add_interval(t, e->step_avg_ms, true);
    add_number(t, e->step_median_ms);
    add_number(t, (double)e->n_timed);
    add_number(t, e->tokens_per_s.value);
    add_number(t, e->mfu);
}

gb_status report_write_tsv(const findings *data, FILE *out, gb_error *err)
{
    static const char *const columns[] = {"config",
                                          "backend",
                                          "precision",
                                          "replicates",
                                          "n_params",
                                          "flops_per_token",
                                          "flops_vs_baseline",
                                          "step_avg_ms",
                                          "step_avg_low",
                                          "step_avg_high",
                                          "step_median_ms",
                                          "timed_steps",
                                          "tokens_per_s",
                                          "mfu",
                                          "final_val_loss",
                                          "final_val_loss_low",
                                          "final_val_loss_high",
                                          "best_val_loss",
                                          "entropy_rate_nats",
                                          "peak_memory_bytes",
                                          "on_pareto_front",
                                          "pareto_front_probability",
                                          "interleaved_step_avg_ms",
                                          "interleaved_step_avg_low",
                                          "interleaved_step_avg_high",
                                          "speed_verdict",
                                          "speed_change",
                                          "speed_change_low",
                                          "speed_change_high",
                                          "loss_verdict",
                                          "loss_change",
                                          "loss_change_low",
                                          "loss_change_high",
                                          "run_step_avg_ms",
                                          "run_step_avg_low",
                                          "run_step_avg_high",
                                          "run_step_median_ms",
                                          "run_timed_steps",
                                          "run_tokens_per_s",
                                          "run_mfu",
                                          "speed_per_token",
                                          "speed_not_compared",
                                          "loss_not_compared",
                                          "diverged_runs",
                                          "loss_change_of"};
    table *t = table_create();
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        table_add_column(t, columns[i], TABLE_LEFT);
    }
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        const entry_pace *pace = &e->pace;
        const config_facts *config = &data->facts->configs[e->config];
        table_begin_row(t);
        table_add_cell(t, "%s", e->label);
        table_add_cell(t, "%s", e->backend);
        table_add_cell(t, "%s", e->precision);
        table_add_cell(t, "%d", e->n_runs);
        table_add_cell(t, "%lld", (long long)config->n_params);
        const double numbers[] = {
            config->flops_per_token, e->flops_fraction,        pace->step_avg_ms.value,
            pace->step_avg_ms.low,   pace->step_avg_ms.high,   pace->step_median_ms,
            (double)pace->n_timed,   pace->tokens_per_s.value, pace->mfu,
            e->val_loss.value,       e->val_loss.low,          e->val_loss.high,
            e->best_val_loss,        e->entropy_rate_nats,     e->peak_memory_bytes};
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            add_number(t, numbers[k]);
        }
        table_add_cell(t, "%d", e->on_front);
        add_number(t, e->front_probability);
        add_tsv_verdicts(t, e, config_verdict_of(data, i));
        add_tsv_runs(t, e);
        add_tsv_refusals(t, config_verdict_of(data, i));
        table_add_cell(t, "%d", divergence_of_entry(e).n_runs);
        add_tsv_loss_scale(t, config_verdict_of(data, i));
    }
    gb_status status = table_write(t, out, TABLE_TSV, err);
    table_free(t);
    return status;
}
