/* disturbance.h: what the machine's state beside a run says about its steps: which of them were
 * disturbed, and the energy that the timed ones took. Pure computation on samples and spans.
 *
 * A sample stands for the time from the sample before it to its own: that is what its fractions
 * cover, and the best that can be said of its clocks and reasons. A step is marked when any sample
 * whose time it overlaps is bad. Marks are shown and counted. No step is left out of step_avg for
 * them, except one in which the program was stopped. */
#ifndef GPTBENCH_BENCH_DISTURBANCE_H
#define GPTBENCH_BENCH_DISTURBANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/sensors/sensors.h"

/* A clock this much under the run's median, or this much of the CPU time stolen, is bad. */
#define DISTURBANCE_CLOCK_DROP_LIMIT 0.05
#define DISTURBANCE_STEAL_LIMIT      0.05
/* A timed step allocates nothing, so it faults for the next pages of its data alone: so many minor
 * faults, or one that reads a disk, are something else. */
#define DISTURBANCE_MINOR_FAULTS_LIMIT 64
/* The kernel's own threads, and the process that watches, preempt a thread now and then; another
 * program that wants the CPU does so at every tick of the scheduler, some 250 times a second. */
#define DISTURBANCE_PREEMPTIONS_PER_S_LIMIT 50
#define DISTURBANCE_PREEMPTIONS_LEAST       3
/* Timed steps that last less together are within a few samples: no energy is reported then. */
#define DISTURBANCE_ENERGY_LEAST_S 1.0

/* X(suffix, bit, name in the database) */
#define DISTURBANCES(X)                                                                            \
    X(THROTTLED, 1, "throttled")   /* a GPU reason in GB_THROTTLE_TROUBLE */                       \
    X(CLOCK_DROP, 2, "clock_drop") /* of the GPU in a GPU run, of the CPU otherwise */             \
    X(STEAL, 4, "steal")                                                                           \
    X(PAGE_FAULTS, 8, "page_faults")                                                               \
    X(PREEMPTED, 16, "preempted") /* other programs wanted the CPUs of a CPU run */                \
    X(STOPPED, 32, "stopped")     /* the program was stopped (Ctrl-Z) and continued */             \
    X(SHARED, 64, "shared")       /* another runner on the database was at work */

/* Their positions in an array with one element for each. */
enum {
#define X(suffix, bit, name) DISTURBANCE_INDEX_##suffix,
    DISTURBANCES(X)
#undef X
        DISTURBANCE_KINDS
};
/* The bit of the kind at a position. */
unsigned disturbance_bit(int index);

enum {
#define X(suffix, bit, name) DISTURBANCE_##suffix = (bit),
    DISTURBANCES(X)
#undef X
        DISTURBANCE_UNKNOWN = 128 /* nothing was sampled beside the step, or nothing of use */
};

enum { DISTURBANCE_NAMES_SIZE = 80 };
/* "throttled,steal" in order of the bits; "" for none. */
void disturbance_names(unsigned mask, char out[DISTURBANCE_NAMES_SIZE]);
/* The reverse, for what a database holds; unknown words are skipped. */
unsigned disturbance_from_names(const char *names);

/* A step on the clock of the samples. */
typedef struct disturbance_span {
    double start_s, end_s; /* ascending from step to step */
    bool timed;
    int64_t major_faults, minor_faults, preemptions; /* model/observer.h */
    unsigned known; /* marks that the watcher sets, whatever the samples say */
} disturbance_span;

/* A run as it was watched: its steps, and the samples beside them; both ascend in time. Borrowed.
 */
typedef struct disturbance_watch {
    const disturbance_span *steps;
    size_t n_steps;
    const gb_sample *samples;
    size_t n_samples;
    bool gpu; /* it is a GPU that computes: its clock, its energy */
} disturbance_watch;

/* Writes the mark of each step. The median clock is over the samples from the first step to the
 * last. GB_ERR_OOM. */
gb_status disturbance_mark(const disturbance_watch *watch, unsigned char *marks, gb_error *err);

typedef struct disturbance_energy {
    double energy_j;    /* NAN: not known */
    const char *source; /* gpu_counter, gpu_power, cpu_package; NULL: not known */
} disturbance_energy;

/* Energy of the timed steps, by the counter of what computes, else (GPU) by its power over time;
 * what lies between samples is interpolated. Not known where a timed step is not between two
 * samples, a counter went back, a power is missing, or the timed steps are shorter than
 * DISTURBANCE_ENERGY_LEAST_S together. GB_ERR_OOM. */
gb_status disturbance_energy_of(const disturbance_watch *watch, disturbance_energy *out,
                                gb_error *err);

#endif
