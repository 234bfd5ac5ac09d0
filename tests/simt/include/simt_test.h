/* simt_test.h: what a test can tell the emulator, and ask it. */
#ifndef GPTBENCH_TESTS_SIMT_TEST_H
#define GPTBENCH_TESTS_SIMT_TEST_H

#include <functional>
#include <vector>

#include "cublasLt.h"

namespace simt
{

/* The device has so many bytes of memory left. */
void leave_memory(size_t bytes);

/* Device time goes on by so much, for the events recorded after this on any stream; from the first
 * call on there is no other time. */
void pass_time(double ms);

/* ---- cuBLASLt: algorithms that multiply in the same way and claim to take their time ---- */

struct blas_candidate {
    std::vector<double> cost_ms; /* of the first run, the second...; the last holds from then on */
    bool refused = false;        /* by cublasLtMatmulAlgoCheck */
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS; /* what cublasLtMatmul returns */
    cublasLtReductionScheme_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t workspace_bytes = 0;
};

/* What the heuristic finds from now on, best guess first; runs are counted from 0 again. Without a
 * call there is one candidate, which takes what it takes. */
void blas_offer(const std::vector<blas_candidate> &candidates);

/* Called once, when a candidate runs next. */
void blas_at_run(const std::function<void()> &what);

/* Runs of a candidate since the offer; those that failed too. */
int blas_runs(size_t candidate);
/* The candidate that ran last, -1 for none. */
int blas_last();
/* Calls of the heuristic since the offer. */
int blas_heuristics();

} // namespace simt

#endif
