#include "bench/run/run_watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/store/store_share.h"
#include "bench/store/store_timing.h"
#include "bench/worker/job_control.h"
#include "kernels/clock.h"

const run_watch_sink run_watch_run_sink = {store_sample, store_run_marks};
const run_watch_sink run_watch_timing_sink = {store_timing_sample, store_timing_marks};

/* Room for one more element of *array, which has n: it doubles at every power of two. */
static gb_status array_grow(void **array, size_t n, size_t element_bytes, gb_error *err)
{
    if ((n & (n - 1)) != 0) {
        return GB_OK;
    }
    void *bigger = realloc(*array, (n ? 2 * n : 1) * element_bytes);
    if (!bigger) {
        return gb_fail(err, GB_ERR_OOM, "no memory for what the sensors say");
    }
    *array = bigger;
    return GB_OK;
}

static gb_status sample_take(run_watch *w, store *s, gb_error *err)
{
    gb_sample sample;
    gb_sensors_read(w->sensors, &sample);
    if (w->n_samples == 0) {
        w->gpu_energy_j = sample.gpu_energy_j;
        w->cpu_energy_j = sample.cpu_energy_j;
        sample.cpu_busy = sample.cpu_steal = NAN; /* of the time before this run */
    }
    sample.monotonic_s -= w->started_s;
    sample.gpu_energy_j -= w->gpu_energy_j;
    sample.cpu_energy_j -= w->cpu_energy_j;
    GB_TRY(array_grow((void **)&w->samples, w->n_samples, sizeof *w->samples, err));
    w->samples[w->n_samples++] = sample;
    w->next_s = gb_monotonic_s() + w->period_s;
    w->shared = store_lock_is_held(s, STORE_LOCK_WORK);
    return w->sink->sample(s, w->id, &sample, err);
}

gb_status run_watch_begin(run_watch *w, store *s, const run_watch_options *options, gb_error *err)
{
    *w = (run_watch){.sink = options->sink,
                     .sensors = options->sensors,
                     .gpu = options->gpu,
                     .id = options->id,
                     .period_s = options->period_ms / 1e3,
                     .started_s = gb_monotonic_s()};
    return w->sensors ? sample_take(w, s, err) : GB_OK;
}

gb_status run_watch_sample(run_watch *w, store *s, bool now, gb_error *err)
{
    return w->sensors && (now || gb_monotonic_s() >= w->next_s) ? sample_take(w, s, err) : GB_OK;
}

int run_watch_wait_ms(const run_watch *w, int limit_ms)
{
    double ms = w->sensors ? ceil(1e3 * (w->next_s - gb_monotonic_s())) : limit_ms;
    return ms < 0 ? 0 : ms < limit_ms ? (int)ms : limit_ms;
}

gb_status run_watch_step(run_watch *w, const train_step *step, gb_error *err)
{
    GB_TRY(array_grow((void **)&w->steps, w->n_steps, sizeof *w->steps, err));
    double start_s = step->ended_s - step->step_ms / 1e3;
    unsigned known = w->shared ? DISTURBANCE_SHARED : 0;
    if (job_control_was_stopped(start_s + w->started_s, step->ended_s + w->started_s)) {
        known |= DISTURBANCE_STOPPED;
    }
    w->steps[w->n_steps++] = (disturbance_span){.start_s = start_s,
                                                .end_s = step->ended_s,
                                                .timed = step->tag == TRAIN_STEP_TIMED,
                                                .major_faults = step->major_faults,
                                                .minor_faults = step->minor_faults,
                                                .preemptions = step->preemptions,
                                                .known = known};
    return GB_OK;
}

/* "cpu_clock: why; cpu_energy: why" of the sensors that cannot be read. */
static void missing_list(const run_watch *w, char *out, size_t size)
{
    gb_sensor_state states[GB_SENSORS_MAX];
    int n = gb_sensors_states(w->sensors, states);
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < n && used < size; i++) {
        if (!states[i].readable) {
            used += (size_t)snprintf(out + used, size - used, "%s%s: %s", used ? "; " : "",
                                     states[i].name, states[i].reason);
        }
    }
}

gb_status run_watch_end(run_watch *w, store *s, store_run_result *result, char *missing,
                        size_t missing_size, gb_error *err)
{
    disturbance_energy energy;
    result->energy_j = NAN;
    result->energy_source = result->sensors_missing = NULL;
    if (!w->sensors) {
        return GB_OK;
    }
    unsigned char *marks = malloc(w->n_steps + 1);
    if (!marks) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu steps", w->n_steps);
    }
    const disturbance_watch watched = {w->steps, w->n_steps, w->samples, w->n_samples, w->gpu};
    gb_status status = disturbance_mark(&watched, marks, err);
    if (status == GB_OK) {
        status = w->sink->marks(s, w->id, marks, w->n_steps, err);
    }
    free(marks);
    GB_TRY(status);
    GB_TRY(disturbance_energy_of(&watched, &energy, err));
    missing_list(w, missing, missing_size);
    result->energy_j = energy.energy_j;
    result->energy_source = energy.source;
    result->sensors_missing = missing;
    return GB_OK;
}

void run_watch_free(run_watch *w)
{
    free(w->samples);
    free(w->steps);
    w->samples = NULL;
    w->steps = NULL;
}
