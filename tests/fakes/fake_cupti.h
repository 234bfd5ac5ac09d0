/* fake_cupti.h: what a test tells the stand-in for CUPTI (fake_cupti.c), and asks it. The library
 * is opened by its path once more, and these are found by dlsym. */
#ifndef GPTBENCH_TESTS_FAKE_CUPTI_H
#define GPTBENCH_TESTS_FAKE_CUPTI_H

#include <cupti.h>
#include <stddef.h>
#include <stdint.h>

/* The records of this toolkit, as CUPTI's headers say which belong to which. */
#if CUDA_VERSION >= 13000
typedef CUpti_ActivityKernel10 fake_kernel;
typedef CUpti_ActivityOverhead3 fake_overhead;
#else
typedef CUpti_ActivityKernel9 fake_kernel;
typedef CUpti_ActivityOverhead fake_overhead;
#endif

/* `fake_cupti_control`. The first part is set by the test, and by the environment variable
 * FAKE_CUPTI="enable_error=35 ..." when the library is loaded; codes are those of CUptiResult. */
typedef struct fake_cupti_settings {
    int enable_error, enable_error_kind; /* kind 0: whichever */
    int flush_error, dropped_error;
    int records_per_buffer; /* 0: as many as fit */
    int broken_after;       /* records after which reading a buffer fails; 0: never */
    int lose_every;         /* every so manyth activity of the emulated GPU is lost; 0: none */
    int hang;               /* disabling a kind never returns */
    int version;            /* as cuptiGetVersion says; 0: 130101, CUDA 13.1 Update 1 */
    int other_thread;       /* buffers are asked for and handed over on a thread of CUPTI's */
    int64_t clock_ahead_ns; /* of CLOCK_MONOTONIC */
    int64_t clock_gain_ns;  /* more than that */
    /* what happened */
    int kinds_enabled;        /* that are on now */
    int buffers_out;          /* given and not handed back */
    int buffers_most;         /* at one time */
    int64_t records, dropped; /* handed over; lost for want of a buffer */
    int lock_held;            /* a callback could not go on while the program was in CUPTI */
} fake_cupti_settings;

/* A record as the headers lay it out, to be handed over by the next flush. */
typedef void fake_cupti_record_fn(const void *record, size_t bytes);
/* A call to the runtime is made now: its record, and that of the external id in force. */
typedef void fake_cupti_call_fn(uint32_t correlation_id);

/* Hands over what there is without having been asked. */
typedef void fake_cupti_late_fn(void);
/* What the emulated GPU did (tests/simt/simt_activity.cpp); `kind` is a gb_activity_kind. */
typedef void fake_cupti_activity_fn(int kind, const char *name, uint32_t correlation_id,
                                    uint64_t begin_ns, uint64_t end_ns, const int32_t *grid,
                                    const int32_t *block, int32_t shared_bytes, uint64_t node_id);

#endif
