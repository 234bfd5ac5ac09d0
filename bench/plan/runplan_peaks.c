/* The peaks that MFU and the roofline are made of: which are to be measured, and measuring them. */
#include <stdio.h>

#include "bench/base/numbers.h"
#include "bench/plan/runplan_internal.h"

static bool environment_needed(const runplan *plan, int64_t precision)
{
    for (int i = 0; i < plan->n_runs; i++) {
        const runplan_run *run = &plan->runs[i];
        if (run->selected && run->planned.to_do &&
            plan->suite->cells[run->cell].spec.precision == precision) {
            return true;
        }
    }
    return false;
}

static store_engine environment_engine(const environment *env, int precision)
{
    return (store_engine){env->machine_id, env->probe.backend,
                          gb_precision_name((gb_precision)precision), env->probe.device.threads};
}

typedef struct peak_state {
    store_peak before; /* 0: never measured */
    double reached;    /* by finished runs; 0: there are none */
    bool missing;      /* and runs are to be done */
    bool beaten;       /* it was measured on a busy machine */
} peak_state;

static gb_status peak_state_get(const runplan *plan, store *s, int precision, peak_state *out,
                                gb_error *err)
{
    const environment *env = &plan->environments[precision];
    *out = (peak_state){.missing = false};
    if (!env->used) {
        return GB_OK;
    }
    store_engine engine = environment_engine(env, precision);
    GB_TRY(store_peak_get(s, &engine, &out->before, err));
    if (out->before.flops_per_s > 0) {
        GB_TRY(store_rate_reached(s, &engine, &out->reached, err));
    }
    out->beaten = out->reached > out->before.flops_per_s;
    out->missing = !(out->before.flops_per_s > 0 && out->before.copy_bytes_per_s > 0) &&
                   environment_needed(plan, precision);
    return GB_OK;
}

static bool peak_is_wanted(const runplan *plan, const peak_state *peak, int precision,
                           bool once_more)
{
    return peak->missing || peak->beaten ||
           (once_more && plan->environments[precision].peak_measured);
}

gb_status runplan_peaks_wanted(const runplan *plan, store *s, bool once_more, bool *wanted,
                               gb_error *err)
{
    *wanted = false;
    for (int i = 0; i < PRECISIONS && !*wanted; i++) {
        peak_state peak;
        GB_TRY(peak_state_get(plan, s, i, &peak, err));
        *wanted = peak_is_wanted(plan, &peak, i, once_more);
    }
    return GB_OK;
}

/* `stored`: the rates that the database has from now on, and that everything is held against. */
static void peak_report(const peak_state *peak, const event_probe *answer, const store_peak *stored,
                        const char *precision, progress *display)
{
    double now = answer->gemm_flops_per_s;
    char sustained[48] = "";
    if (stored->sustained_flops_per_s > 0) {
        snprintf(sustained, sizeof sustained, ", %.0f sustained",
                 stored->sustained_flops_per_s / 1e9);
    }
    progress_note(display, "GEMM peak of %s, %s, %lld threads: %.0f GFLOP/s%s; copy rate: %s GB/s",
                  answer->device.device, precision, (long long)answer->device.threads,
                  stored->flops_per_s / 1e9, sustained,
                  number_gigas(stored->copy_bytes_per_s).text);
    if (peak->beaten) {
        progress_note(display,
                      "it was measured again: training had reached %.0f GFLOP/s, beyond the %.0f "
                      "measured before%s",
                      peak->reached / 1e9, peak->before.flops_per_s / 1e9,
                      peak->reached > now ? ", and beyond this too; is the machine busy?" : "");
    } else if (peak->before.flops_per_s > 0) {
        progress_note(
            display,
            "measured once more: %.0f GFLOP/s and %s GB/s now, %.0f and %s before; of each "
            "the better counts",
            now / 1e9, number_gigas(answer->copy_bytes_per_s).text, peak->before.flops_per_s / 1e9,
            number_gigas(peak->before.copy_bytes_per_s).text);
    }
}

gb_status runplan_measure_peaks(runplan *plan, store *s, bool once_more,
                                const runner_options *runner, gb_error *err)
{
    for (int i = 0; i < PRECISIONS; i++) {
        environment *env = &plan->environments[i];
        peak_state peak;
        event_probe answer;
        GB_TRY(peak_state_get(plan, s, i, &peak, err));
        if (!peak_is_wanted(plan, &peak, i, once_more)) {
            continue;
        }
        const char *precision = gb_precision_name((gb_precision)i);
        progress_task_begin(runner->display, "measuring GEMM peak and copy rate of %s, %s",
                            env->probe.backend, precision);
        gb_status status = runplan_probe(plan, i, true, runner, &answer, err);
        progress_task_end(runner->display);
        GB_TRY(status);
        env->peak_measured = true;
        if (answer.gemm_flops_per_s > 0) {
            store_engine engine = environment_engine(env, i);
            store_peak stored;
            const store_peak found = {answer.gemm_flops_per_s, answer.copy_bytes_per_s,
                                      answer.gemm_sustained_flops_per_s};
            GB_TRY(store_peak_put(s, &engine, &found, err));
            GB_TRY(store_peak_get(s, &engine, &stored, err));
            peak_report(&peak, &answer, &stored, engine.precision, runner->display);
            GB_TRY(store_commit(s, err));
        }
    }
    return GB_OK;
}

gb_status runplan_wants_alone(runplan *plan, store *s, bool with_timing, bool *wanted,
                              gb_error *err)
{
    *wanted = false;
    for (int i = 0; i < PRECISIONS && !*wanted; i++) {
        peak_state peak;
        GB_TRY(peak_state_get(plan, s, i, &peak, err));
        *wanted = peak.missing;
    }
    return *wanted || !with_timing ? GB_OK : runplan_timing_wanted(plan, s, wanted, err);
}
