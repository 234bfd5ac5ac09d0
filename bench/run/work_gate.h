/* work_gate.h: who may work now, among the runners on one database: several train side by side,
 * but whoever measures speeds does it alone (the two locks of store_share.h). All calls that wait
 * say so once on `display` (may be NULL), and give GB_ERR_INTERRUPTED when the user stops that
 * (worker->stops). */
#ifndef GPTBENCH_BENCH_WORK_GATE_H
#define GPTBENCH_BENCH_WORK_GATE_H

#include "bench/run/progress.h"
#include "bench/store/store_share.h"
#include "bench/worker/worker_link.h"

/* Before work that others may do theirs beside. */
gb_status work_gate_enter_shared(store *s, const worker_options *worker, progress *display,
                                 gb_error *err);
/* Waits while another measures, then keeps the others from beginning anything. */
gb_status work_gate_block_new(store *s, const worker_options *worker, progress *display,
                              gb_error *err);
/* After work_gate_block_new: waits until what the others have begun is done. */
gb_status work_gate_wait_idle(store *s, const worker_options *worker, progress *display,
                              gb_error *err);
/* Alone at once, or not at all: true when nobody works or waits to. */
bool work_gate_try_alone(store *s);
/* Ends any of them; fine when none was begun. */
void work_gate_leave(store *s);

#endif
