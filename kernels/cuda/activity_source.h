/* activity_source.h: where the activities of a GPU come from: CUPTI (activity_cupti.c), or a
 * stand-in in tests. There is one source per process, used by one thread at a time. */
#ifndef GPTBENCH_KERNELS_CUDA_ACTIVITY_SOURCE_H
#define GPTBENCH_KERNELS_CUDA_ACTIVITY_SOURCE_H

#include "kernels/attribution.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Starts to collect. NULL, or why there is nothing to collect with and what would help; static. */
const char *activity_source_start(void);
/* Calls from now on carry this external id, until the matching pop. */
void activity_source_push(uint64_t external_id);
void activity_source_pop(void);
/* The clock of the activities. */
uint64_t activity_source_now_ns(void);
/* Ends collecting and hands everything over. The device must have finished what is to be seen. */
void activity_source_stop(attribution *into);

/* What there is; may be called at any time. */
void activity_source_describe(gb_profiler_description *out);

#ifdef __cplusplus
}
#endif
#endif
