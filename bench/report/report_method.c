/* How a suite was measured. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/analysis/runs_pair.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/numbers.h"
#include "bench/report/report.h"
#include "bench/words/data_words.h"
#include "kernels/checked.h"

/* ---- provenance: what all finished runs have ---- */

typedef const char *(*run_text)(const run_facts *run);

static const char *text_backend(const run_facts *run)
{
    return run->backend;
}
static const char *text_precision(const run_facts *run)
{
    return run->precision;
}
static const char *text_precision_note(const run_facts *run)
{
    return run->precision_note;
}
static const char *text_isa(const run_facts *run)
{
    return run->isa;
}
static const char *text_libraries(const run_facts *run)
{
    return run->libraries;
}
static const char *text_compiler(const run_facts *run)
{
    return run->compiler;
}
static const char *text_version(const run_facts *run)
{
    return run->program_version;
}
static const char *text_commit(const run_facts *run)
{
    return run->program_commit;
}
static const char *text_train_data(const run_facts *run)
{
    return run->train_data;
}
static const char *text_train_hash(const run_facts *run)
{
    return run->train_data_hash;
}
static const char *text_val_data(const run_facts *run)
{
    return run->val_data;
}
static const char *text_val_hash(const run_facts *run)
{
    return run->val_data_hash;
}

/* A list item with every value that finished runs have; nothing when all are empty. */
static void write_distinct(document *doc, const findings *data, const char *name, run_text get)
{
    const char *seen[16];
    int n = 0;
    char list[1024] = "";
    size_t used = 0;
    for (int i = 0; i < data->facts->n_runs && n < 16; i++) {
        const char *value = get(&data->facts->runs[i]);
        bool known = strcmp(data->facts->runs[i].status, "ok") != 0 || !*value;
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

typedef int64_t (*run_number)(const run_facts *run);

static int64_t number_warmup(const run_facts *run)
{
    return run->warmup_steps;
}
static int64_t number_threads(const run_facts *run)
{
    return run->threads;
}
static int64_t number_seed(const run_facts *run)
{
    return run->seed;
}
static int64_t number_batch(const run_facts *run)
{
    return run->batch_size;
}
static int64_t number_sequence(const run_facts *run)
{
    return run->sequence_length;
}
static int64_t number_accumulation(const run_facts *run)
{
    return run->grad_accumulation_steps;
}
static int64_t number_iterations(const run_facts *run)
{
    return run->num_iterations;
}

static void write_range(document *doc, const findings *data, const char *name, run_number get)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (int i = 0; i < data->facts->n_runs; i++) {
        if (strcmp(data->facts->runs[i].status, "ok") == 0) {
            int64_t x = get(&data->facts->runs[i]);
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

static void write_peaks(document *doc, const findings *data)
{
    double seen[16];
    int n = 0;
    for (int i = 0; i < data->facts->n_runs && n < 16; i++) {
        const run_facts *run = &data->facts->runs[i];
        double peak = run->gemm_peak_flops_per_s;
        bool known = strcmp(run->status, "ok") != 0 || !isfinite(peak);
        for (int k = 0; k < n && !known; k++) {
            known = seen[k] == peak;
        }
        if (!known) {
            char sustained[64] = "";
            seen[n++] = peak;
            if (isfinite(run->gemm_sustained_flops_per_s)) {
                snprintf(sustained, sizeof sustained, ", of which %.0f are kept up",
                         run->gemm_sustained_flops_per_s / 1e9);
            }
            document_list_item(
                doc,
                "GEMM peak, measured here on %s in %s with %" PRId64
                " threads: %.0f GFLOP/s%s. MFU is exact FLOPs over time over this peak.%s%s%s",
                run->backend, run->precision, run->threads, peak / 1e9, sustained,
                isfinite(run->copy_bytes_per_s) ? " A large copy there: " : "",
                isfinite(run->copy_bytes_per_s) ? number_gigas(run->copy_bytes_per_s).text : "",
                isfinite(run->copy_bytes_per_s) ? " GB/s, read and written bytes together." : "");
        }
    }
    if (n == 0) {
        document_list_item(doc, "GEMM peak: not measured, so there is no MFU.");
    }
}

static void write_machines(document *doc, const findings *data)
{
    for (int m = 0; m < data->facts->n_machines; m++) {
        const machine_facts *machine = &data->facts->machines[m];
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

/* Nothing of synthetic data, which have no end. */
static void write_shards(document *doc, const char *what, const data_shard *shards, int n,
                         const char *passes)
{
    int64_t tokens = 0;
    bool endless = n == 0;
    for (int i = 0; i < n; i++) {
        endless |= shards[i].tokens < 1;
        tokens = gb_plus(tokens, shards[i].tokens);
    }
    if (!endless) {
        document_list_item(doc, "%s: %d shard%s, %s tokens%s%s", what, n, n == 1 ? "" : "s",
                           number_count(tokens).text, *passes ? "; " : "", passes);
    }
}

static void write_provenance(document *doc, const findings *data)
{
    document_paragraph(doc, "Machine, program and data:");
    document_list_begin(doc);
    write_machines(doc, data);
    write_distinct(doc, data, "Backend", text_backend);
    write_distinct(doc, data, "Precision", text_precision);
    write_distinct(doc, data, "Precision, in detail", text_precision_note);
    write_distinct(doc, data, "Instruction set", text_isa);
    write_range(doc, data, "Threads", number_threads);
    write_distinct(doc, data, "Libraries", text_libraries);
    write_peaks(doc, data);
    write_range(doc, data, "Batch size", number_batch);
    write_range(doc, data, "Sequence length", number_sequence);
    write_range(doc, data, "Gradient accumulation steps", number_accumulation);
    write_distinct(doc, data, "Training data", text_train_data);
    write_shards(doc, "Training data hold", data->facts->train_shards, data->facts->n_train_shards,
                 data_passes_format(&data->data).text);
    write_distinct(doc, data, "Hash of the training data", text_train_hash);
    write_distinct(doc, data, "Validation data", text_val_data);
    write_shards(doc, "Validation data hold", data->facts->val_shards, data->facts->n_val_shards,
                 "");
    write_distinct(doc, data, "Hash of the validation data", text_val_hash);
    write_distinct(doc, data, "gptbench", text_version);
    write_distinct(doc, data, "Commit", text_commit);
    write_distinct(doc, data, "Compiler", text_compiler);
    document_list_item(doc, "Database: %s", data->facts->db_path);
    document_list_end(doc);
}

/* ---- losses ---- */

static int64_t number_tokens(const run_facts *run)
{
    return gb_times(run->steps_done, run->tokens_per_step);
}
static int64_t number_val_tokens(const run_facts *run)
{
    return run->n_evals > 0 ? run->evals[run->n_evals - 1].val_tokens : 0;
}

static void write_losses(document *doc, const findings *data)
{
    document_paragraph(
        doc,
        "Loss: every config is trained once per replicate, one run after the other. Within a "
        "replicate all see the same tokens in the same order and start shared weights from the "
        "same values, so losses are compared in pairs: the verdict goes by the ratio of the means "
        "of "
        "the final validation losses over the replicates that both finished, with a t interval. "
        "Validation loss is the mean over a fixed stretch of validation tokens, in nats per "
        "token.");
    document_list_begin(doc);
    document_list_item(doc, "Replicates asked for: %" PRId64, data->facts->replicates);
    write_range(doc, data, "Seed (replicates shift it)", number_seed);
    write_range(doc, data, "Steps per run", number_iterations);
    write_range(doc, data, "Tokens trained on per run", number_tokens);
    write_range(doc, data, "Validation tokens", number_val_tokens);
    write_range(doc, data, "Warm-up steps left out of each run's own step_avg", number_warmup);
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        bool nats = losses_are_in_nats(e, e, METRIC_VAL_LOSS);
        double noise = entry_seed_noise(e, nats);
        if (e->is_baseline && isfinite(noise)) {
            char size[48];
            if (nats) {
                snprintf(size, sizeof size, "%.4f nats", noise);
            } else {
                snprintf(size, sizeof size, "%s", number_percent(noise).text);
            }
            document_list_item(doc,
                               "Seed noise: two runs of `%s` that differ in nothing but the seed "
                               "typically differ by %s in final loss (standard deviation).",
                               e->label, size);
        }
    }
    document_list_end(doc);
}

gb_status report_write_method(document *doc, const findings *data, gb_error *err)
{
    document_heading(doc, "How this was measured");
    document_paragraph(
        doc,
        "A step is: load the batch, forward and backward of all micro-batches, update. Every step "
        "is stored raw with a tag; step_avg is the mean over steps tagged `timed`. Warm-up steps, "
        "steps beside a validation or checkpoint, and profiled steps never enter it.");
    GB_TRY(report_write_sessions(doc, data, err));
    write_losses(doc, data);
    write_provenance(doc, data);
    return GB_OK;
}
