/* simt_ptx.h: the emulator's side of kernels/cuda/ptx.cuh; same names, same meaning.
 *
 * mma and ldmatrix are operations of a whole warp: all 32 lanes must come. Shared addresses must
 * be multiples of 16 (of 4 for a copy of 4 bytes) inside the block's shared memory. A cp.async
 * leaves garbage in its target until the wait that covers it, in which the data arrive. */
#ifndef GPTBENCH_TESTS_SIMT_PTX_H
#define GPTBENCH_TESTS_SIMT_PTX_H

#include "simt.h"

/* Of a place in dynamic shared memory, as a number on the device. */
uint32_t ptx_shared_address(const void *smem);
void ptx_mma_m16n8k16_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]);
void ptx_ldmatrix_x4(uint32_t r[4], const void *smem_row);
void ptx_ldmatrix_x4_trans(uint32_t r[4], const void *smem_row);
void ptx_ldmatrix_x2(uint32_t r[2], const void *smem_row);
void ptx_ldmatrix_x2_trans(uint32_t r[2], const void *smem_row);

inline void ptx_cp_async_16(void *smem, const void *gmem, bool valid)
{
    simt::async_copy(smem, gmem, 16, valid);
}

inline void ptx_cp_async_4(void *smem, const void *gmem, bool valid)
{
    simt::async_copy(smem, gmem, 4, valid);
}

inline void ptx_cp_async_commit()
{
    simt::async_commit();
}

template <int n> inline void ptx_cp_async_wait()
{
    simt::async_wait(n);
}

#endif
