/* simt.h: runs CUDA kernels on the host, one fiber per CUDA thread, one host thread for all.
 *
 * A launch runs its blocks one after another. A thread runs until it ends or waits (at a barrier,
 * or in an operation of its warp); then the next one that can run goes on. The order of warps,
 * lanes and blocks changes from phase to phase and from launch to launch, always in the same way
 * in every process: a missing barrier shows as a wrong or unrepeatable result.
 *
 * Found, and ended with abort() after a message that names kernel, block and thread:
 *   - a thread that ends, or waits at another barrier, while others of its block wait at one;
 *   - threads that wait for each other for ever;
 *   - a warp operation whose lanes do not all come, or come with different operations;
 *   - with AddressSanitizer: accesses behind dynamic shared memory, static shared arrays and
 *     device allocations; with UndefinedBehaviorSanitizer: misaligned vector accesses.
 * Shared memory is filled with 0xff (NaN as float and as bfloat16) before each block. */
#ifndef GPTBENCH_TESTS_SIMT_H
#define GPTBENCH_TESTS_SIMT_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "simt_types.h"

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

/* The dynamic shared memory of the running block: exactly as many bytes as the launch asked for. */
unsigned char *gb_dynamic_shared(void);

namespace simt
{

struct grid {
    const void *entry; /* the kernel's address, for its name and its static shared memory */
    dim3 grid_dim, block_dim;
    size_t dynamic_bytes;
    std::function<void()> body; /* calls the kernel with its arguments */
};

/* Runs all blocks of the grid. */
void run(const grid &what);

/* Name of the function at this address, demangled; its address as text where it is not known. */
const char *name_of(const void *entry);
/* Bytes of the static __shared__ variables inside this kernel. */
size_t static_shared_bytes(const void *entry);

/* Prints "simt: kernel, block, thread: message" and aborts. */
[[noreturn]] void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- what the device functions of cuda_runtime.h and simt_ptx.h are made of ---- */

/* All threads of the block; returns how many passed a nonzero `vote`. file and line tell one
 * barrier from another. */
int barrier(int vote, const char *file, int line);

/* An operation of the lanes in `mask`: when the last of them has come, `complete` is called once
 * with what each lane passed (nullptr: not part of it), then all go on. */
typedef void warp_complete(void *const lane_args[32], uint32_t mask);
void warp(uint32_t mask, warp_complete *complete, void *args);

uint32_t lane_id();
/* Lanes of the running warp that exist and have not ended. */
uint32_t live_lanes();

/* Whether all bytes lie in memory that the sanitizer knows as valid. */
bool readable(const void *ptr, size_t bytes);

/* Asynchronous copies of the running thread, see simt_ptx.h. */
void async_copy(void *shared, const void *global, size_t bytes, bool valid);
void async_commit();
void async_wait(int pending_groups);
/* What the running thread's copies wrote so far is visible to the tensor cores. */
void async_fence();

/* The running thread waits until somebody wakes those that sleep on this place. */
void sleep_on(const void *place);
void wake(const void *place);
/* Another warp goes on, if one can. */
void yield();

} // namespace simt

#endif
