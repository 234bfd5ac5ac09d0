#include "bench/stats/disturbance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/stats.h"

static const struct {
    unsigned bit;
    const char *name;
} NAMES[] = {
#define X(suffix, bit, name) {bit, name},
    DISTURBANCES(X)
#undef X
};
enum { N_NAMES = sizeof NAMES / sizeof *NAMES };

unsigned disturbance_bit(int index)
{
    return NAMES[index].bit;
}

void disturbance_names(unsigned mask, char out[DISTURBANCE_NAMES_SIZE])
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < N_NAMES; i++) {
        if (mask & NAMES[i].bit) {
            used += (size_t)snprintf(out + used, DISTURBANCE_NAMES_SIZE - used, "%s%s",
                                     used ? "," : "", NAMES[i].name);
        }
    }
}

unsigned disturbance_from_names(const char *names)
{
    unsigned mask = 0;
    while (*names) {
        size_t length = strcspn(names, ",");
        for (int i = 0; i < N_NAMES; i++) {
            if (strlen(NAMES[i].name) == length && strncmp(names, NAMES[i].name, length) == 0) {
                mask |= NAMES[i].bit;
            }
        }
        names += length + (names[length] == ',');
    }
    return mask;
}

/* ---- marks ---- */

static double clock_of(const gb_sample *sample, bool gpu)
{
    return gpu ? sample->gpu_clock_mhz : sample->cpu_clock_mhz;
}

/* Median clock while there were steps; NAN when it was never read. */
static gb_status clock_median(const disturbance_watch *watch, double *out, gb_error *err)
{
    const gb_sample *samples = watch->samples;
    const double first_s = watch->steps[0].start_s, last_s = watch->steps[watch->n_steps - 1].end_s;
    double *clocks = malloc((watch->n_samples + 1) * sizeof *clocks);
    size_t count = 0;
    *out = NAN;
    if (!clocks) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu samples", watch->n_samples);
    }
    for (size_t k = 1; k < watch->n_samples; k++) {
        double clock = clock_of(&samples[k], watch->gpu);
        if (isfinite(clock) && samples[k - 1].monotonic_s < last_s &&
            samples[k].monotonic_s > first_s) {
            clocks[count++] = clock;
        }
    }
    gb_status status = count ? stats_median(clocks, count, out, err) : GB_OK;
    free(clocks);
    return status;
}

static unsigned sample_judge(const gb_sample *sample, bool gpu, double median)
{
    double clock = clock_of(sample, gpu);
    bool clock_known = isfinite(clock) && isfinite(median);
    unsigned mask = 0;
    if (sample->gpu_throttle < 0 && !clock_known && isnan(sample->cpu_steal)) {
        return DISTURBANCE_UNKNOWN;
    }
    if (sample->gpu_throttle > 0 && sample->gpu_throttle & GB_THROTTLE_TROUBLE) {
        mask |= DISTURBANCE_THROTTLED;
    }
    if (clock_known && clock < (1 - DISTURBANCE_CLOCK_DROP_LIMIT) * median) {
        mask |= DISTURBANCE_CLOCK_DROP;
    }
    if (sample->cpu_steal > DISTURBANCE_STEAL_LIMIT) {
        mask |= DISTURBANCE_STEAL;
    }
    return mask;
}

/* What the step itself tells. */
static unsigned step_judge(const disturbance_span *step, bool gpu)
{
    double most = DISTURBANCE_PREEMPTIONS_PER_S_LIMIT * (step->end_s - step->start_s);
    unsigned mask = step->known;
    if (step->timed &&
        (step->major_faults > 0 || step->minor_faults > DISTURBANCE_MINOR_FAULTS_LIMIT)) {
        mask |= DISTURBANCE_PAGE_FAULTS;
    }
    if (!gpu && step->preemptions >= DISTURBANCE_PREEMPTIONS_LEAST &&
        (double)step->preemptions > most) {
        mask |= DISTURBANCE_PREEMPTED;
    }
    return mask;
}

/* The first sample after `time`; samples ascend. */
static size_t sample_after(const gb_sample *samples, size_t m, double time)
{
    size_t low = 0, high = m;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (samples[middle].monotonic_s > time) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

gb_status disturbance_mark(const disturbance_watch *watch, unsigned char *marks, gb_error *err)
{
    const gb_sample *samples = watch->samples;
    const size_t m = watch->n_samples;
    double median;
    if (watch->n_steps == 0) {
        return GB_OK;
    }
    GB_TRY(clock_median(watch, &median, err));
    for (size_t i = 0; i < watch->n_steps; i++) {
        const disturbance_span *step = &watch->steps[i];
        unsigned mask = step_judge(step, watch->gpu);
        bool known = mask != 0;
        size_t k = sample_after(samples, m, step->start_s);
        for (k = k > 0 ? k : 1; k < m && samples[k - 1].monotonic_s < step->end_s; k++) {
            unsigned judged = sample_judge(&samples[k], watch->gpu, median);
            if (judged != DISTURBANCE_UNKNOWN) {
                known = true;
                mask |= judged;
            }
        }
        marks[i] = (unsigned char)(known ? mask : DISTURBANCE_UNKNOWN);
    }
    return GB_OK;
}

/* ---- energy ---- */

/* Energy from some beginning up to each of `n` moments, straight lines between them. */
typedef struct energy_curve {
    double *time_s, *energy_j;
    size_t n;
} energy_curve;

static void curve_add(energy_curve *curve, double time_s, double energy_j)
{
    curve->time_s[curve->n] = time_s;
    curve->energy_j[curve->n++] = energy_j;
}

/* A counter may be missing now and then, since it loses nothing meanwhile. */
static bool curve_of_counter(energy_curve *curve, const gb_sample *samples, size_t m, bool gpu)
{
    curve->n = 0;
    for (size_t k = 0; k < m; k++) {
        double energy = gpu ? samples[k].gpu_energy_j : samples[k].cpu_energy_j;
        if (!isfinite(energy)) {
            continue;
        }
        if (curve->n > 0 && energy < curve->energy_j[curve->n - 1]) {
            return false;
        }
        curve_add(curve, samples[k].monotonic_s, energy);
    }
    return curve->n >= 2 && curve->energy_j[curve->n - 1] > curve->energy_j[0];
}

static bool curve_of_power(energy_curve *curve, const gb_sample *samples, size_t m)
{
    double energy = 0;
    curve->n = 0;
    for (size_t k = 0; k < m; k++) {
        if (!isfinite(samples[k].gpu_power_w)) {
            return false;
        }
        if (k > 0) {
            energy += (samples[k].gpu_power_w + samples[k - 1].gpu_power_w) / 2 *
                      (samples[k].monotonic_s - samples[k - 1].monotonic_s);
        }
        curve_add(curve, samples[k].monotonic_s, energy);
    }
    return curve->n >= 2;
}

/* `at` lies between the first moment and the last; *segment is where the search begins. */
static double curve_at(const energy_curve *curve, double at, size_t *segment)
{
    while (*segment + 2 < curve->n && curve->time_s[*segment + 1] < at) {
        ++*segment;
    }
    double t0 = curve->time_s[*segment], t1 = curve->time_s[*segment + 1];
    double e0 = curve->energy_j[*segment], e1 = curve->energy_j[*segment + 1];
    return t1 > t0 ? e0 + (e1 - e0) * (at - t0) / (t1 - t0) : e1;
}

/* Over the timed steps; NAN when one of them is not covered or they are too short. */
static double curve_sum(const energy_curve *curve, const disturbance_span *steps, size_t n)
{
    double sum = 0, length_s = 0;
    size_t from = 0, to = 0;
    for (size_t i = 0; i < n; i++) {
        if (!steps[i].timed) {
            continue;
        }
        if (steps[i].start_s < curve->time_s[0] || steps[i].end_s > curve->time_s[curve->n - 1]) {
            return NAN;
        }
        sum += curve_at(curve, steps[i].end_s, &to) - curve_at(curve, steps[i].start_s, &from);
        length_s += steps[i].end_s - steps[i].start_s;
    }
    return length_s >= DISTURBANCE_ENERGY_LEAST_S ? sum : NAN;
}

gb_status disturbance_energy_of(const disturbance_watch *watch, disturbance_energy *out,
                                gb_error *err)
{
    const size_t m = watch->n_samples;
    *out = (disturbance_energy){NAN, NULL};
    double *memory = malloc((2 * m + 1) * sizeof *memory);
    if (!memory) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu samples", m);
    }
    energy_curve curve = {memory, memory + m, 0};
    if (curve_of_counter(&curve, watch->samples, m, watch->gpu)) {
        out->energy_j = curve_sum(&curve, watch->steps, watch->n_steps);
        out->source = watch->gpu ? "gpu_counter" : "cpu_package";
    }
    if (isnan(out->energy_j) && watch->gpu && curve_of_power(&curve, watch->samples, m)) {
        out->energy_j = curve_sum(&curve, watch->steps, watch->n_steps);
        out->source = "gpu_power";
    }
    if (isnan(out->energy_j)) {
        out->source = NULL;
    }
    free(memory);
    return GB_OK;
}
