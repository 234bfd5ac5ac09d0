/* grad_norm_text.h: the gradient norm of the last good step of a run that diverged. */
#ifndef GPTBENCH_BENCH_GRAD_NORM_TEXT_H
#define GPTBENCH_BENCH_GRAD_NORM_TEXT_H

#include "bench/base/numbers.h"
#include "bench/read/facts.h"

/* "12.3"; "not finite" where it was computed and the database has no number; "not computed
 * (grad_clip = 0)". */
number_text grad_norm_text(const run_facts *run);

#endif
