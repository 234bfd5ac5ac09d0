/* The sentences of a report. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench/comparison.h"
#include "bench/numbers.h"
#include "bench/report.h"

enum { ANSWER_LINES = 12 }; /* configs with a line of their own; the table has them all */

/* ---- the answer ---- */

typedef struct best {
    int fastest, lowest_loss; /* entries, -1: none */
    int on_front;
} best;

static best find_best(const report_data *data)
{
    best b = {-1, -1, 0};
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        double rate = e->tokens_per_s.value, loss = e->val_loss.value;
        if (isfinite(rate) &&
            (b.fastest < 0 || rate > data->entries[b.fastest].tokens_per_s.value)) {
            b.fastest = i;
        }
        if (isfinite(loss) &&
            (b.lowest_loss < 0 || loss < data->entries[b.lowest_loss].val_loss.value)) {
            b.lowest_loss = i;
        }
        b.on_front += e->on_front;
    }
    return b;
}

static void front_text(const report_data *data, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < data->n_entries && used < size; i++) {
        if (data->entries[i].on_front) {
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
                                     data->entries[i].label);
        }
    }
}

static int count_ok(const report_data *data)
{
    int ok = 0;
    for (int i = 0; i < data->n_runs; i++) {
        ok += strcmp(data->runs[i].status, "ok") == 0;
    }
    return ok;
}

static bool several_platforms(const report_data *data)
{
    for (int i = 1; i < data->n_entries; i++) {
        if (data->entries[i].machine != data->entries[0].machine ||
            strcmp(data->entries[i].backend, data->entries[0].backend) != 0) {
            return true;
        }
    }
    return false;
}

static void write_best(document *doc, const report_data *data)
{
    best b = find_best(data);
    if (b.fastest >= 0) {
        const report_entry *e = &data->entries[b.fastest];
        document_paragraph(doc, "Fastest: `%s` with %s tokens/s (step_avg %s).", e->label,
                           number_rounded(e->tokens_per_s.value).text,
                           number_duration_ms(e->step_avg_ms.value).text);
    }
    if (b.lowest_loss >= 0) {
        const report_entry *e = &data->entries[b.lowest_loss];
        document_paragraph(doc, "Lowest final validation loss: `%s` with %.4f nats/token.%s",
                           e->label, e->val_loss.value,
                           e->n_runs == 1
                               ? " It stands on a single replicate: another seed may well "
                                 "give another order."
                               : "");
    }
    if (b.on_front > 1) {
        char front[1024];
        front_text(data, front, sizeof front);
        document_paragraph(doc,
                           "On the Pareto front, where no other config is both faster and lower "
                           "in loss: %s.",
                           front);
    } else if (b.on_front == 1 && data->n_entries > 1) {
        document_paragraph(doc, "No other config is as fast, and none as low in loss, as `%s`.",
                           data->entries[b.fastest].label);
    }
}

static gb_status write_difference(document *doc, const report_data *data, const report_entry *e,
                                  gb_error *err)
{
    const report_entry *base = &data->entries[e->baseline];
    comparison time, loss;
    char interval[96] = "", loss_text[160] = "";
    GB_TRY(comparison_make(&time, data, base, e, METRIC_STEP_AVG, err));
    GB_TRY(comparison_make(&loss, data, base, e, METRIC_VAL_LOSS, err));
    if (isfinite(time.change.low)) {
        snprintf(interval, sizeof interval, " (95 %% interval %s to %s)",
                 number_percent_signed(time.change.low).text,
                 number_percent_signed(time.change.high).text);
    }
    if (isfinite(loss.change.value)) {
        bool known = isfinite(loss.change.low);
        snprintf(loss_text, sizeof loss_text, " Final validation loss %s%s%s%s%s%s.",
                 number_percent_signed(loss.change.value).text, known ? " (95 % interval " : "",
                 known ? number_percent_signed(loss.change.low).text : "", known ? " to " : "",
                 known ? number_percent_signed(loss.change.high).text : "", known ? ")" : "");
    }
    if (isfinite(time.change.value)) {
        double change = time.change.value;
        bool unsettled = time.change.low <= 0 && time.change.high >= 0;
        document_list_item(doc, "`%s`: step_avg %s%s against `%s`, %s; exact FLOPs say %s.%s",
                           e->label, number_percent_signed(change).text, interval, base->label,
                           unsettled    ? "which leaves the direction open"
                           : change > 0 ? "slower"
                           : change < 0 ? "faster"
                                        : "the same",
                           number_percent_signed(e->flops_fraction).text, loss_text);
    }
    return GB_OK;
}

static gb_status write_differences(document *doc, const report_data *data, gb_error *err)
{
    int lines = 0, left = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *e = &data->entries[i];
        if (e->baseline < 0 || e->baseline == i) {
            continue;
        }
        if (lines == ANSWER_LINES) {
            left++;
            continue;
        }
        if (lines++ == 0) {
            document_list_begin(doc);
        }
        GB_TRY(write_difference(doc, data, e, err));
    }
    if (lines > 0) {
        document_list_end(doc);
    }
    if (left > 0) {
        document_paragraph(doc, "%d more are in the table.", left);
    }
    if (lines > 0) {
        document_paragraph(
            doc,
            "An interval that holds 0 means that the direction itself is not settled. Runs were "
            "timed one after the other, not in interleaved blocks, and there is no A/A control "
            "yet: what drifts on the machine between two runs looks like a difference between "
            "configs, and no interval here accounts for it.");
    }
    return GB_OK;
}

gb_status report_write_answer(document *doc, const report_data *data, gb_error *err)
{
    int ok = count_ok(data);
    if (data->n_entries == 0) {
        document_paragraph(doc, "Suite `%s`: %d configs, and none of its %d runs has finished yet.",
                           data->suite_name, data->n_configs, data->n_runs);
        return GB_OK;
    }
    const report_entry *first = &data->entries[0];
    const char *device = first->machine >= 0 ? data->machines[first->machine].device : "";
    document_paragraph(
        doc, "Suite `%s`: %d config%s, %d of %d runs finished%s%s%s. Baseline: `%s`.",
        data->suite_name, data->n_configs, data->n_configs == 1 ? "" : "s", ok, data->n_runs,
        *device && !several_platforms(data) ? ", on " : "", several_platforms(data) ? "" : device,
        several_platforms(data) ? ", on several machines or backends: only configs on "
                                  "the same one are compared"
                                : "",
        data->baseline_name);
    write_best(doc, data);
    return write_differences(doc, data, err);
}

/* ---- how it was measured ---- */

typedef const char *(*run_text)(const report_run *run);

static const char *text_backend(const report_run *run)
{
    return run->backend;
}
static const char *text_precision(const report_run *run)
{
    return run->precision;
}
static const char *text_precision_note(const report_run *run)
{
    return run->precision_note;
}
static const char *text_isa(const report_run *run)
{
    return run->isa;
}
static const char *text_libraries(const report_run *run)
{
    return run->libraries;
}
static const char *text_compiler(const report_run *run)
{
    return run->compiler;
}
static const char *text_version(const report_run *run)
{
    return run->program_version;
}
static const char *text_commit(const report_run *run)
{
    return run->program_commit;
}
static const char *text_train_data(const report_run *run)
{
    return run->train_data;
}
static const char *text_train_hash(const report_run *run)
{
    return run->train_data_hash;
}
static const char *text_val_data(const report_run *run)
{
    return run->val_data;
}
static const char *text_val_hash(const report_run *run)
{
    return run->val_data_hash;
}

/* A list item with every value that finished runs have; nothing when all are empty. */
static void write_distinct(document *doc, const report_data *data, const char *name, run_text get)
{
    const char *seen[16];
    int n = 0;
    char list[1024] = "";
    size_t used = 0;
    for (int i = 0; i < data->n_runs && n < 16; i++) {
        const char *value = get(&data->runs[i]);
        bool known = strcmp(data->runs[i].status, "ok") != 0 || !*value;
        for (int k = 0; k < n && !known; k++) {
            known = strcmp(seen[k], value) == 0;
        }
        if (!known && used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", n ? "; " : "", value);
            seen[n++] = value;
        }
    }
    if (n > 0) {
        document_list_item(doc, "%s: %s", name, list);
    }
}

typedef int64_t (*run_number)(const report_run *run);

static int64_t number_warmup(const report_run *run)
{
    return run->warmup_steps;
}
static int64_t number_threads(const report_run *run)
{
    return run->threads;
}
static int64_t number_seed(const report_run *run)
{
    return run->seed;
}
static int64_t number_batch(const report_run *run)
{
    return run->batch_size;
}
static int64_t number_sequence(const report_run *run)
{
    return run->sequence_length;
}
static int64_t number_accumulation(const report_run *run)
{
    return run->grad_accumulation_steps;
}
static int64_t number_iterations(const report_run *run)
{
    return run->num_iterations;
}

static void write_range(document *doc, const report_data *data, const char *name, run_number get)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (int i = 0; i < data->n_runs; i++) {
        if (strcmp(data->runs[i].status, "ok") == 0) {
            int64_t x = get(&data->runs[i]);
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
    }
    if (low == high) {
        document_list_item(doc, "%s: %" PRId64, name, low);
    } else if (low < high) {
        document_list_item(doc, "%s: %" PRId64 " to %" PRId64, name, low, high);
    }
}

static void write_peaks(document *doc, const report_data *data)
{
    double seen[16];
    int n = 0;
    for (int i = 0; i < data->n_runs && n < 16; i++) {
        const report_run *run = &data->runs[i];
        double peak = run->gemm_peak_flops_per_s;
        bool known = strcmp(run->status, "ok") != 0 || !isfinite(peak);
        for (int k = 0; k < n && !known; k++) {
            known = seen[k] == peak;
        }
        if (!known) {
            seen[n++] = peak;
            document_list_item(
                doc,
                "GEMM peak, measured here on %s in %s with %" PRId64
                " threads: %.0f GFLOP/s. MFU is exact FLOPs over time over this peak.%s%s%s",
                run->backend, run->precision, run->threads, peak / 1e9,
                isfinite(run->copy_bytes_per_s) ? " A large copy there: " : "",
                isfinite(run->copy_bytes_per_s) ? number_gigas(run->copy_bytes_per_s).text : "",
                isfinite(run->copy_bytes_per_s) ? " GB/s, read and written bytes together." : "");
        }
    }
    if (n == 0) {
        document_list_item(doc, "GEMM peak: not measured, so there is no MFU.");
    }
}

static void write_machines(document *doc, const report_data *data)
{
    for (int m = 0; m < data->n_machines; m++) {
        const report_machine *machine = &data->machines[m];
        bool used = false;
        for (int i = 0; i < data->n_entries; i++) {
            used |= data->entries[i].machine == m;
        }
        if (used) {
            document_list_item(doc, "Machine %d: %s; %s; %" PRId64 " cores of %s; memory %s%s%s",
                               m + 1, machine->device, machine->os, machine->cpu_count,
                               machine->cpu, number_bytes((double)machine->memory_bytes).text,
                               *machine->driver ? "; driver " : "", machine->driver);
        }
    }
}

gb_status report_write_method(document *doc, const report_data *data, gb_error *err)
{
    (void)err;
    document_heading(doc, "How it was measured");
    document_paragraph(
        doc,
        "A step is: load the batch, forward and backward of all micro-batches, update. Every step "
        "is stored raw with a tag; step_avg is the mean over steps tagged `timed`. Warm-up steps, "
        "steps beside a validation or checkpoint, and profiled steps never enter it. Validation "
        "loss is the mean over a fixed stretch of validation tokens, in nats per token.");
    document_list_begin(doc);
    write_machines(doc, data);
    write_distinct(doc, data, "Backend", text_backend);
    write_distinct(doc, data, "Precision", text_precision);
    write_distinct(doc, data, "Precision, in detail", text_precision_note);
    write_distinct(doc, data, "Instruction set", text_isa);
    write_range(doc, data, "Threads", number_threads);
    write_distinct(doc, data, "Libraries", text_libraries);
    write_peaks(doc, data);
    write_range(doc, data, "Steps per run", number_iterations);
    write_range(doc, data, "Warm-up steps left out of each run", number_warmup);
    write_range(doc, data, "Batch size", number_batch);
    write_range(doc, data, "Sequence length", number_sequence);
    write_range(doc, data, "Gradient accumulation steps", number_accumulation);
    write_range(doc, data, "Seed (replicates shift it)", number_seed);
    write_distinct(doc, data, "Training data", text_train_data);
    write_distinct(doc, data, "Hash of the training data", text_train_hash);
    write_distinct(doc, data, "Validation data", text_val_data);
    write_distinct(doc, data, "Hash of the validation data", text_val_hash);
    write_distinct(doc, data, "gptbench", text_version);
    write_distinct(doc, data, "Commit", text_commit);
    write_distinct(doc, data, "Compiler", text_compiler);
    document_list_item(doc, "Database: %s", data->db_path);
    document_list_end(doc);
    return GB_OK;
}
