/* cupti_library.h: CUPTI, loaded when a profile is asked for, and what its version is known to do
 * wrong. For activity_cupti.c; empty where its headers were not found (GB_CUPTI). */
#ifndef GPTBENCH_KERNELS_CUDA_CUPTI_LIBRARY_H
#define GPTBENCH_KERNELS_CUDA_CUPTI_LIBRARY_H

#ifdef GB_CUPTI

#include <cupti.h>

#include "kernels/backend.h"

#define CUPTI_FUNCTIONS(X)                                                                         \
    X(cuptiActivityRegisterCallbacks)                                                              \
    X(cuptiActivityEnable)                                                                         \
    X(cuptiActivityDisable)                                                                        \
    X(cuptiActivityFlushAll)                                                                       \
    X(cuptiActivityGetNextRecord)                                                                  \
    X(cuptiActivityGetNumDroppedRecords)                                                           \
    X(cuptiActivityPushExternalCorrelationId)                                                      \
    X(cuptiActivityPopExternalCorrelationId)                                                       \
    X(cuptiGetTimestamp)                                                                           \
    X(cuptiGetResultString)

typedef struct cupti_api {
#define X(name) __typeof__(&name) name;
    CUPTI_FUNCTIONS(X)
#undef X
} cupti_api;

/* CUPTI's release notes, by versions of its API as cuptiGetVersion gives them (cupti_version.h). */
enum {
    /* 13.0 Update 1: a potential deadlock while kernels are disabled, and a potential crash while
     * records are flushed, are mended. */
    CUPTI_ENDS_WELL = 130001,
    /* 13.1 Update 1: launches of graphs and their kernels have the right correlation ids in the
     * profiles of a process after its first. */
    CUPTI_MANY_PROFILES = 130101
};

/* NULL and the functions, or why there are none and where they were looked for; static. */
const char *cupti_library_get(cupti_api *out);
/* 0: there is no library, or it does not say. */
uint32_t cupti_library_version(void);
/* As activity_source_describe. */
void cupti_library_describe(gb_profiler_description *out);

#endif
#endif
