/* `make gpu-bench`, one measurement: trains a preset for some steps through the trainer, as a suite
 * does, and says tokens/s, step_avg with its interval, MFU, peak memory and, per op, how its time
 * compares with its floor (model/op_floor.h). The two rates that the floors and MFU need are
 * measured just before: a large product, and a large copy, as for the reports (bench/run/rates.h).
 * Runs on any backend; scripts/evidence.sh is who calls it.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/commands/settings.h"
#include "bench/run/rates.h"
#include "bench/stats/stats.h"
#include "model/op_floor.h"
#include "model/trainer.h"
#include "model/warmup.h"
#include "version.h"

typedef struct bench_options {
    const char *backend, *json;
    int64_t device, threads, copy_mib, fraction_percent;
    bool fit;
    settings_args args;
} bench_options;

typedef struct bench_run {
    train_start start;
    train_end end;
    double *step_ms; /* (num_iterations), the timed ones */
    size_t n_timed;
    double last_loss;
    double op_ms[GB_PHASE_COUNT][GB_OP_COUNT]; /* per step */
    double profiled_step_ms;
    op_rates rates;
} bench_run;

/* ---- rates ---- */

static gb_status measure_rates(const train_job *job, int64_t copy_mib, bench_run *run,
                               gb_error *err)
{
    const gb_backend *be = job->backend;
    gb_device *dev = NULL;
    GB_TRY(rates_open(be, (gb_precision)job->spec.precision, job->threads, job->device_index, &dev,
                      err));
    run->rates = rates_measure(be, dev, copy_mib << 20);
    be->close(dev);
    return run->rates.bytes_per_s > 0
               ? GB_OK
               : gb_fail(err, GB_ERR_ENV,
                         "a copy of %lld MiB could not be measured; try a smaller"
                         " --copy-mib",
                         (long long)copy_mib);
}

/* Halves the batch until the plan takes no more than that share of the device's memory. */
static gb_status fit_batch(train_job *job, int64_t percent, gb_error *err)
{
    gb_device_entry devices[64];
    const gb_backend *be = job->backend;
    int index = job->device_index > 0 ? job->device_index : 0;
    if (!be->list_devices || be->list_devices(devices, 64) <= index || index >= 64) {
        return GB_OK; /* a backend without a memory of its own */
    }
    for (;;) {
        int64_t bytes[GB_MEM_GROUPS], total = 0;
        trainer_plan_memory(job, bytes);
        for (int i = 0; i < GB_MEM_GROUPS; i++) {
            total += bytes[i];
        }
        if (total <= devices[index].memory_bytes / 100 * percent) {
            return GB_OK;
        }
        if (job->spec.batch_size == 1) {
            return gb_fail(err, GB_ERR_OOM, "not even one sequence fits into the memory of %s",
                           devices[index].name);
        }
        job->spec.batch_size /= 2;
        job->spec.val_tokens = job->spec.batch_size * job->spec.sequence_length;
    }
}

/* ---- the run ---- */

static int on_event(void *user, const train_event *event)
{
    bench_run *run = user;
    if (event->type == TRAIN_EVENT_START) {
        run->start = event->u.start;
    } else if (event->type == TRAIN_EVENT_STEP) {
        const train_step *s = &event->u.step;
        run->last_loss = s->train_loss;
        if (s->tag == TRAIN_STEP_TIMED) {
            run->step_ms[run->n_timed++] = s->step_ms;
        }
    } else if (event->type == TRAIN_EVENT_OPTIME) {
        const gb_op_time *row = &event->u.optime.row;
        run->op_ms[row->phase][row->op] += row->time_ms / (double)event->u.optime.steps;
        run->profiled_step_ms = event->u.optime.step_ms;
    } else if (event->type == TRAIN_EVENT_END) {
        run->end = event->u.end;
    }
    return 0;
}

/* ---- what is said ---- */

typedef struct bench_result {
    stats_interval step_ms; /* mean over the timed steps, 95 % */
    double median_ms, tokens_per_s, flops_per_s, mfu;
} bench_result;

static gb_status result_of(const bench_run *run, bench_result *out, gb_error *err)
{
    if (run->n_timed == 0) {
        return gb_fail(err, GB_ERR_USAGE,
                       "no step was timed: until step times settle, at most %d steps, they warm "
                       "up, and the last ones are profiled; --set num_iterations=60 or more",
                       WARMUP_MAX_STEPS);
    }
    out->step_ms = stats_mean_interval(run->step_ms, run->n_timed, 0.95);
    GB_TRY(stats_median(run->step_ms, run->n_timed, &out->median_ms, err));
    out->tokens_per_s = (double)run->start.tokens_per_step / out->step_ms.value * 1e3;
    out->flops_per_s = out->tokens_per_s * run->start.flops_per_token;
    out->mfu = run->rates.flops_per_s > 0 ? out->flops_per_s / run->rates.flops_per_s : NAN;
    return GB_OK;
}

static op_floor floor_of(const train_job *job, const bench_run *run, int phase, int op)
{
    op_floor_shape shape = {job->spec.batch_size, job->spec.sequence_length,
                            run->start.device.act_bytes};
    return op_floor_of_step(&job->config, &shape, (gb_phase)phase, (gb_op)op);
}

static void print_ops(const train_job *job, const bench_run *run)
{
    static const char rule[] = "----------------";
    double floors = 0;
    printf("  %-9s %-16s %10s %10s %8s\n", "phase", "op", "ms", "floor ms", "floor/ms");
    printf("  %.9s %.16s %.10s %.10s %.8s\n", rule, rule, rule, rule, rule);
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        for (int op = 0; op < GB_OP_COUNT; op++) {
            const double ms = run->op_ms[phase][op];
            if (ms == 0) {
                continue;
            }
            op_floor f = floor_of(job, run, phase, op);
            double floor_ms = op_floor_ms(&f, run->rates);
            printf("  %-9s %-16s %10.4f", gb_phase_name((gb_phase)phase), gb_op_name((gb_op)op),
                   ms);
            if (floor_ms > 0) {
                floors += floor_ms;
                printf(" %10.4f %7.1f%%", floor_ms, 100 * floor_ms / ms);
            }
            printf("\n");
        }
    }
    printf("  %-9s %-16s %10.4f %10.4f %7.1f%%\n", "profiled", "step", run->profiled_step_ms,
           floors, 100 * floors / run->profiled_step_ms);
}

static void print_result(const bench_options *o, const train_job *job, const bench_run *run,
                         const bench_result *r)
{
    const gb_description *d = &run->start.device;
    printf("%s %s B %lld T %lld: %.3f ms/step [%.3f, %.3f] (%zu timed, median %.3f), %.0f "
           "tokens/s, MFU %.1f %%, peak memory %.1f MiB, loss %.4f\n",
           o->args.preset, gb_precision_name((gb_precision)job->spec.precision),
           (long long)job->spec.batch_size, (long long)job->spec.sequence_length, r->step_ms.value,
           r->step_ms.low, r->step_ms.high, run->n_timed, r->median_ms, r->tokens_per_s,
           100 * r->mfu, (double)run->end.peak_memory_bytes / (1 << 20), run->last_loss);
    printf("  %s, %s, %s, %s; large product %.1f TFLOP/s, large copy %.1f GB/s; commit %s\n",
           d->device, d->isa, d->driver, d->libraries, run->rates.flops_per_s * 1e-12,
           run->rates.bytes_per_s * 1e-9, GPTBENCH_COMMIT);
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *ops_to_json(const train_job *job, const bench_run *run)
{
    json_t *ops = json_array();
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        for (int op = 0; op < GB_OP_COUNT; op++) {
            if (run->op_ms[phase][op] == 0) {
                continue;
            }
            op_floor f = floor_of(job, run, phase, op);
            json_array_append_new(
                ops, json_pack(
                         "{s:s, s:s, s:o, s:o, s:f, s:f}", "phase", gb_phase_name((gb_phase)phase),
                         "op", gb_op_name((gb_op)op), "ms", real(run->op_ms[phase][op]), "floor_ms",
                         real(op_floor_ms(&f, run->rates)), "flops", f.flops, "bytes", f.bytes));
        }
    }
    return ops;
}

static gb_status write_json(const bench_options *o, const train_job *job, const bench_run *run,
                            const bench_result *r, gb_error *err)
{
    const gb_description *d = &run->start.device;
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "model",
                  o->args.preset, "precision", gb_precision_name((gb_precision)job->spec.precision),
                  "batch_size", (json_int_t)job->spec.batch_size, "sequence_length",
                  (json_int_t)job->spec.sequence_length, "backend", job->backend->name, "device",
                  d->device, "isa", d->isa, "driver", d->driver, "libraries", d->libraries,
                  "commit", GPTBENCH_COMMIT, "device_memory_bytes", (json_int_t)d->memory_bytes);
    json_t *numbers = json_pack(
        "{s:I, s:f, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:o, s:I, s:f, s:o}", "timed_steps",
        (json_int_t)run->n_timed, "step_avg_ms", r->step_ms.value, "step_avg_low_ms",
        real(r->step_ms.low), "step_avg_high_ms", real(r->step_ms.high), "step_median_ms",
        r->median_ms, "tokens_per_s", r->tokens_per_s, "flops_per_token",
        run->start.flops_per_token, "gemm_flops_per_s", run->rates.flops_per_s, "copy_bytes_per_s",
        run->rates.bytes_per_s, "mfu", real(r->mfu), "peak_memory_bytes",
        (json_int_t)run->end.peak_memory_bytes, "last_train_loss", run->last_loss, "ops",
        ops_to_json(job, run));
    gb_status status = GB_OK;
    if (!json || !numbers || json_object_update(json, numbers) != 0 ||
        json_dump_file(json, o->json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0) {
        status = gb_fail(err, GB_ERR_IO, "%s: could not be written", o->json);
    }
    json_decref(json);
    json_decref(numbers);
    return status;
}

/* ---- the command ---- */

static void set_data(train_spec *spec, int64_t vocab_size)
{
    snprintf(spec->train_data, sizeof spec->train_data, "synth:vocab=%lld,seed=1",
             (long long)vocab_size);
    snprintf(spec->val_data, sizeof spec->val_data, "synth:vocab=%lld,seed=1,stream=val",
             (long long)vocab_size);
}

static gb_status bench(const bench_options *o, gb_error *err)
{
    train_job job = train_job_default();
    bench_run run = {.last_loss = NAN};
    bench_result result;
    set_data(&job.spec, 2); /* any: the settings are checked with data, and say for which */
    GB_TRY(settings_read(&job.config, &job.spec, &o->args, err));
    GB_TRY(settings_backend(&job.backend, o->backend, (gb_precision)job.spec.precision, o->device,
                            err));
    set_data(&job.spec, job.config.vocab_size);
    job.spec.val_loss_every = job.spec.num_iterations;
    job.spec.val_tokens = job.spec.batch_size * job.spec.sequence_length;
    job.threads = (int)o->threads;
    job.device_index = (int)o->device;
    if (o->fit) {
        GB_TRY(fit_batch(&job, o->fraction_percent, err));
    }
    GB_TRY(measure_rates(&job, o->copy_mib, &run, err));
    run.step_ms = calloc((size_t)job.spec.num_iterations, sizeof *run.step_ms);
    if (!run.step_ms) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %lld step times",
                       (long long)job.spec.num_iterations);
    }
    train_observer observer = {on_event, &run};
    gb_status status = trainer_run(&job, &observer, err);
    status = status == GB_OK ? result_of(&run, &result, err) : status;
    if (status == GB_OK) {
        print_ops(&job, &run);
        print_result(o, &job, &run, &result);
        status = o->json ? write_json(o, &job, &run, &result, err) : GB_OK;
    }
    free(run.step_ms);
    return status;
}

int main(int argc, char **argv)
{
    bench_options o = {.args.preset = "d12",
                       .backend = "cuda",
                       .device = -1,
                       .copy_mib = 1024,
                       .fraction_percent = 90};
    const cli_option options[] = {
        {"--model", NULL, CLI_TEXT, &o.args.preset, "PRESET", "what is trained (d12)", 0, 0},
        {"--set", NULL, CLI_LIST, &o.args.set, "KEY=VALUE",
         "a model or train key: batch_size, sequence_length, precision, num_iterations ...", 0, 0},
        {"--backend", NULL, CLI_TEXT, &o.backend, "NAME", "cuda or cpu (cuda)", 0, 0},
        {"--device", NULL, CLI_INT, &o.device, "N", "GPU to use, of the visible ones", 0, 1023},
        {"--threads", NULL, CLI_INT, &o.threads, "N", "CPU threads (all)", 0, 1024},
        {"--copy-mib", NULL, CLI_INT, &o.copy_mib, "N", "size of the large copy (1024)", 1, 65536},
        {"--fit", NULL, CLI_FLAG, &o.fit, NULL,
         "halve the batch until its memory plan takes no more than 90 % of the device", 0, 0},
        {"--fit-percent", NULL, CLI_INT, &o.fraction_percent, "N", "instead of 90", 1, 100},
        {"--json", NULL, CLI_TEXT, &o.json, "FILE", "write the numbers there", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        .usage = "bench_gpu [options]",
        .summary = "Times training steps and holds every op against the floor of its work.",
        .options = options};
    gb_error err = {0};
    bool help_shown = false;
    int n_positional = 0;
    gb_status status = cli_parse(&command, argc, argv, NULL, &n_positional, &help_shown, &err);
    if (status == GB_OK && !help_shown) {
        status = bench(&o, &err);
    }
    if (status != GB_OK) {
        fprintf(stderr, "bench_gpu: %s\n", err.message);
    }
    return gb_status_exit_code(status);
}
