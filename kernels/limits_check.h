/* limits_check.h: whether the system lets this process have what it needs, before it is needed. */
#ifndef GPTBENCH_KERNELS_LIMITS_CHECK_H
#define GPTBENCH_KERNELS_LIMITS_CHECK_H

#include "kernels/status.h"

/* GB_ERR_ENV where a limit is below what the program needs itself. */
gb_status gb_limits_check(gb_error *err);

/* Whether `n` threads can be had besides this one, for teams of OpenMP, which ends the process when
 * it cannot have one: they are made, and end again. GB_ERR_ENV says how many could be made. */
gb_status gb_limits_threads_check(int n, gb_error *err);

#endif
