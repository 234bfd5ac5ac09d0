/* attribution.h: which op each activity of a GPU belongs to. Plain C without CUDA, so that it can
 * be tested with records made by hand.
 *
 * What the host knows, in the order in which it happened:
 *   - an op was issued under an external id (attribution_op);
 *   - a recording was replayed under an external id (attribution_replay): its activities are its
 *     nodes, one after the other on one stream, and the recording knows how many each op has.
 * What the profiler tells, in any order:
 *   - an external id was in force when a call with this correlation id was made
 *     (attribution_external);
 *   - an activity, with the correlation id of the call that asked for it (attribution_activity).
 * attribution_finish brings the two together. Whatever cannot be placed with certainty becomes
 * `unattributed`, and the note says how much, and why; nothing is guessed. Of a replay that has a
 * record too many or too few, most can be placed all the same (kernels/replay_nodes.h). */
#ifndef GPTBENCH_KERNELS_ATTRIBUTION_H
#define GPTBENCH_KERNELS_ATTRIBUTION_H

#include "kernels/replay_nodes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct attribution attribution; /* opaque; not thread-safe */

attribution *attribution_open(void); /* NULL when memory is short */
void attribution_close(attribution *a);
/* Forgets everything; `zero_ns` is the moment from which spans count. */
void attribution_reset(attribution *a, uint64_t zero_ns);

/* The id under which to issue the op. `overlaps`: it runs beside the stream that a step is timed
 * on; it is listed among the kernels, but is no part of the step's time. */
uint64_t attribution_op(attribution *a, gb_scope scope, bool overlaps);
/* The id under which to replay; the marks are copied. */
uint64_t attribution_replay(attribution *a, const gb_node_mark *marks, int n_marks);

void attribution_external(attribution *a, uint32_t correlation_id, uint64_t external_id);
void attribution_activity(attribution *a, const gb_activity *activity);
void attribution_dropped(attribution *a, int64_t records); /* lost by the profiler */
/* Something went wrong that may have cost records; the first reason is kept, cut to 120 bytes. */
void attribution_broken(attribution *a, const char *why);

/* What the profiler says of its own doing: time of the host, not of the device, and so no part of
 * the ledger. `what` is static; a spell without times (0 to 0) is counted only. */
void attribution_overhead(attribution *a, const char *what, uint64_t begin_ns, uint64_t end_ns);

/* The profiler's clock and the host's (kernels/clock.h), read at the same moment, give or take
 * `within_ns`. */
typedef struct gb_clock_pair {
    uint64_t profiler_ns, host_ns, within_ns;
} gb_clock_pair;

/* Pairs from the start and the end of the profile. */
void attribution_clocks(attribution *a, const gb_clock_pair *start, const gb_clock_pair *end);

/* Adds spans and times to the ledger (not calls and FLOPs, which the issuing side counts), and
 * makes the table of kernels. Activities without an op go to (idle, -1, unattributed). */
void attribution_finish(attribution *a, gb_ledger *ledger);
/* After finish: as kernels_read of kernels/backend.h. */
int attribution_kernels(const attribution *a, gb_kernel_time *rows, int capacity);
/* After finish: NULL when everything was placed and the profiler told nothing of itself. Else what
 * is missing, beginning with "incomplete: ", and what the profiler cost and how far its clock went
 * away from the host's meanwhile. */
const char *attribution_note(const attribution *a);
/* The host's clock, gb_monotonic_s, at the zero of the spans; NAN where it is not known. A span is
 * off by the drift that the note tells at most. */
double attribution_zero_s(const attribution *a);

#ifdef __cplusplus
}
#endif
#endif
