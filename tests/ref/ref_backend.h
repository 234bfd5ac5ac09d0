/* ref_backend.h: the op table in float64, one thread, no libraries: the executable specification.
 *
 * Every op of kernels/backend.h is written as the plainest loop that computes its formula, with
 * act = wide = double. Other backends are checked against it
 * (tests/unit/kernels/test_conformance.c), its backward ops against finite differences
 * (tests/unit/model/test_gradcheck.c), and the whole model on top of it against PyTorch
 * (tests/unit/model/test_parity.c).
 *
 * Stricter than the contract: tokens outside [0, V), heads that do not divide and odd head_dims
 * end in GB_ERR_INTERNAL with a message. Calls and FLOPs are counted always, times are only taken
 * while the timers are on. */
#ifndef GPTBENCH_TESTS_REF_REF_BACKEND_H
#define GPTBENCH_TESTS_REF_REF_BACKEND_H

#include "kernels/backend.h"

extern const gb_backend gb_backend_ref; /* precision GB_FP64 only */

#endif
