/* machine.h: what this machine is, for the database's machine table. */
#ifndef GPTBENCH_BENCH_MACHINE_H
#define GPTBENCH_BENCH_MACHINE_H

#include "bench/store/store.h"
#include "kernels/backend.h"

/* Fills *out from the operating system and, for device and driver, from the backend's own
 * description. What cannot be read is "unknown" or 0. */
void machine_describe(store_machine *out, const gb_description *device);

/* Bytes of memory that programs could take now without swapping; -1 when it cannot be read. */
int64_t machine_memory_free(void);

#endif
