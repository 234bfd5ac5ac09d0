/* clock.h: the one clock that this program times by, the system's CLOCK_MONOTONIC.
 *
 * Its zero is some moment before the program began, on Linux the start of the machine: a reading
 * means something only beside another one. All processes of a machine read the same clock until it
 * is started anew, so that what a worker stamps can be held against what its runner sees. It never
 * goes back and nobody sets it; the system may run it a little slower or faster, as NTP asks. Time
 * that the machine sleeps is not counted.
 *
 * It counts in nanoseconds; a reading takes some tens of them and no call of the kernel on the
 * usual machines. In a double it is good to a nanosecond until the clock has run for three months.
 *
 * Dates, which people read, are not of this clock: the database writes those (bench/store). A GPU
 * and a profiler have clocks of their own; kernels/attribution.h says how they are held against
 * this one. */
#ifndef GPTBENCH_KERNELS_CLOCK_H
#define GPTBENCH_KERNELS_CLOCK_H

#include <stdint.h>
#include <time.h>

/* In place, also where a kernel notes the time: a call would move its registers about. */
#define GB_CLOCK_INLINE static inline __attribute__((always_inline))

GB_CLOCK_INLINE double gb_monotonic_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

GB_CLOCK_INLINE double gb_monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Milliseconds that are over, for waits and deadlines. */
GB_CLOCK_INLINE int64_t gb_monotonic_whole_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

GB_CLOCK_INLINE uint64_t gb_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
