/* work_gate.h: who may work now, among the runners on one database: several train side by side,
 * but whoever measures speeds does it alone (the bytes of store_share.h). All calls wait, say so
 * once, and give GB_ERR_INTERRUPTED when the user stops that. */
#ifndef GPTBENCH_BENCH_WORK_GATE_H
#define GPTBENCH_BENCH_WORK_GATE_H

#include "bench/run/runner.h"
#include "bench/store/store_share.h"

/* Before and after work that bears company. */
gb_status work_gate_join(store *s, const runner_options *options, gb_error *err);
/* Waits while another measures, then keeps the others from beginning anything. */
gb_status work_gate_close(store *s, const runner_options *options, gb_error *err);
/* After work_gate_close: waits until what the others have begun is done. */
gb_status work_gate_empty(store *s, const runner_options *options, gb_error *err);
/* Alone at once, or not at all: true when nobody works or waits to. */
bool work_gate_try_alone(store *s);
/* Ends any of them; fine when none was begun. */
void work_gate_leave(store *s);

#endif
