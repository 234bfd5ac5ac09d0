/* ptx.cuh: the few machine instructions that CUDA C++ has no name for, one wrapper each. All need
 * sm_80; code for older architectures must not be reached and traps.
 *
 * Fragments of mma.m16n8k16, for lane l of the warp with g = l / 4 and t = l % 4; a register holds
 * two bf16, the one with the lower index in the low half:
 *   A (16 x 16)  a[0] (g, 2t..2t+1)      a[1] (g+8, 2t..)      a[2] (g, 2t+8..)   a[3] (g+8,
 * 2t+8..) B (16 x 8)   b[0] (2t..2t+1, g)      b[1] (2t+8.., g) D (16 x 8)   d[0..1] (g, 2t..2t+1)
 * d[2..3] (g+8, 2t..2t+1)      fp32
 *
 * Under the emulator (GB_SIMT) the same functions come from simt_ptx.h. */
#ifndef GPTBENCH_KERNELS_CUDA_PTX_CUH
#define GPTBENCH_KERNELS_CUDA_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#ifdef GB_SIMT
#include "simt_ptx.h"

#include <math.h>
#include <string.h>
#else

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define PTX_SM80(...) __trap()
#else
#define PTX_SM80(...) asm volatile(__VA_ARGS__)
#endif

/* d (16 x 8) += a (16 x 16) . b (16 x 8); bf16 factors, fp32 sums. */
static __device__ __forceinline__ void ptx_mma_m16n8k16_bf16(float d[4], const uint32_t a[4],
                                                             const uint32_t b[2])
{
    PTX_SM80("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
             "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
             : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ uint32_t ptx_shared_address(const void *smem)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(smem));
}

/* Four 8 x 8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix l / 8
 * (16 bytes, aligned to 16); r[i] receives matrix i, row g, columns 2t..2t+1. */
static __device__ __forceinline__ void ptx_ldmatrix_x4(uint32_t r[4], const void *smem_row)
{
    PTX_SM80("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
             : "r"(ptx_shared_address(smem_row))
             : "memory");
}

/* As above, each matrix transposed: r[i] receives rows 2t..2t+1 of column g. */
static __device__ __forceinline__ void ptx_ldmatrix_x4_trans(uint32_t r[4], const void *smem_row)
{
    PTX_SM80("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
             : "r"(ptx_shared_address(smem_row))
             : "memory");
}

/* Two matrices; the addresses of lanes 0..15 count. */
static __device__ __forceinline__ void ptx_ldmatrix_x2(uint32_t r[2], const void *smem_row)
{
    PTX_SM80("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
             : "=r"(r[0]), "=r"(r[1])
             : "r"(ptx_shared_address(smem_row))
             : "memory");
}

static __device__ __forceinline__ void ptx_ldmatrix_x2_trans(uint32_t r[2], const void *smem_row)
{
    PTX_SM80("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
             : "=r"(r[0]), "=r"(r[1])
             : "r"(ptx_shared_address(smem_row))
             : "memory");
}

/* Starts a copy of 16 bytes (both sides aligned to 16) to shared memory, past the L1 cache. When
 * !valid nothing is read and 16 zero bytes are written. */
static __device__ __forceinline__ void ptx_cp_async_16(void *smem, const void *gmem, bool valid)
{
    PTX_SM80("cp.async.cg.shared.global [%0], [%1], 16, %2;"
             :
             : "r"(ptx_shared_address(smem)), "l"(__cvta_generic_to_global(gmem)),
               "r"(valid ? 16 : 0)
             : "memory");
}

/* The same for 4 bytes, aligned to 4, through the L1 cache. */
static __device__ __forceinline__ void ptx_cp_async_4(void *smem, const void *gmem, bool valid)
{
    PTX_SM80("cp.async.ca.shared.global [%0], [%1], 4, %2;"
             :
             : "r"(ptx_shared_address(smem)), "l"(__cvta_generic_to_global(gmem)),
               "r"(valid ? 4 : 0)
             : "memory");
}

/* The copies that this thread started since the last commit become one group. */
static __device__ __forceinline__ void ptx_cp_async_commit()
{
    PTX_SM80("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most n of this thread's groups are under way. Others see the data after a
 * barrier. */
template <int n> static __device__ __forceinline__ void ptx_cp_async_wait()
{
    PTX_SM80("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

#endif

/* Two floats rounded to nearest even, `low` in the low half. */
static __device__ __forceinline__ uint32_t ptx_pack_bf16x2(float low, float high)
{
#ifdef GB_SIMT
    __nv_bfloat16 parts[2] = {__float2bfloat16(low), __float2bfloat16(high)};
    uint32_t packed;
    memcpy(&packed, parts, sizeof packed);
    return packed;
#else
    uint32_t packed = 0;
    PTX_SM80("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#endif
}

/* 2^x with a relative error of about 2^-22; subnormal results become 0. */
static __device__ __forceinline__ float ptx_exp2(float x)
{
#ifdef GB_SIMT
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

/* 1 / x with a relative error of about 2^-23; subnormal results become 0. */
static __device__ __forceinline__ float ptx_reciprocal(float x)
{
#ifdef GB_SIMT
    return 1.0f / x;
#else
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

#endif
