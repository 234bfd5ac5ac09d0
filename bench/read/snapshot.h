/* snapshot.h: one state of the database for several queries, whatever is written meanwhile. */
#ifndef GPTBENCH_BENCH_SNAPSHOT_H
#define GPTBENCH_BENCH_SNAPSHOT_H

#include <stdbool.h>

struct store;

/* Begins a read transaction where none is open; the first query takes the snapshot. Returns whether
 * it did, which snapshot_end is to be given: inside of another transaction it is that one's state.
 */
bool snapshot_begin(struct store *s);
void snapshot_end(struct store *s, bool begun);

#endif
