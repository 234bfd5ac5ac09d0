/* replay_nodes.h: which op each activity of a replay belongs to. A recording says how many nodes
 * each of its ops has; a replay whose activities are as many is whole, and they are its nodes one
 * after the other. Whole replays teach what each node is (its id, its place among launches of the
 * same name), by which most of a replay can be placed that has a record too many or too few.
 * Nothing is guessed. Plain C, shared with tests. */
#ifndef GPTBENCH_KERNELS_REPLAY_NODES_H
#define GPTBENCH_KERNELS_REPLAY_NODES_H

#include "kernels/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gb_activity_kind {
    GB_ACTIVITY_KERNEL,
    GB_ACTIVITY_MEMCPY,
    GB_ACTIVITY_MEMSET
} gb_activity_kind;

typedef struct gb_activity {
    gb_activity_kind kind;
    uint64_t begin_ns, end_ns; /* of the profiler's clock */
    uint32_t correlation_id;
    uint64_t node_id; /* of the graph's node, the same in each of its replays; 0: not told */
    char name[GB_KERNEL_NAME]; /* "memcpy HtoD", "memset" where it is not a kernel */
    int32_t grid[3], block[3];
    int32_t registers, shared_bytes;
} gb_activity;

/* One op of a recording: its scope, and the nodes that the graph has up to its end. */
typedef struct gb_node_mark {
    gb_scope scope;
    int64_t nodes_after;
} gb_node_mark;

/* One replay: what was recorded, and what was seen, in the order in which it ran. */
typedef struct gb_replay {
    const gb_node_mark *marks; /* equal marks: the same recording */
    int n_marks;
    const gb_activity *activities;
    size_t n;
} gb_replay;

typedef struct replay_nodes replay_nodes; /* opaque */

replay_nodes *replay_nodes_open(void); /* NULL when memory is short */
void replay_nodes_close(replay_nodes *r);

/* Whether the replay has as many activities as its recording has nodes. */
bool replay_is_whole(const gb_replay *replay);
/* Learns from a whole replay, and nothing from another. What `replay` points to is kept, not
 * copied. False when memory is short. */
bool replay_nodes_learn(replay_nodes *r, const gb_replay *replay);
/* The op of each activity, NULL where it cannot be placed with certainty, once all whole replays
 * are learned: by its node's id, else in a whole replay by order, else by order among the launches
 * of its name where there are as many as in a whole one. `scopes` (n) points into marks. */
void replay_nodes_place(const replay_nodes *r, const gb_replay *replay, const gb_scope **scopes);

#ifdef __cplusplus
}
#endif
#endif
