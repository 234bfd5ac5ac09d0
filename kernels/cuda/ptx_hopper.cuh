/* ptx_hopper.cuh: machine instructions of compute capability 9.0 that CUDA C++ has no name for, one
 * wrapper each: matrix products of a warpgroup (wgmma), barriers in shared memory (mbarrier), and
 * registers handed from one warpgroup to another. They exist in code for sm_90a alone; in other
 * code the kernels that use them are empty (GB_HOPPER_CODE is not defined).
 *
 * A warpgroup is four warps, the first of which has a number divisible by 4. wgmma computes
 * D (64 x n) += A (64 x 16) . B (16 x n) while the warps go on; sums and A in registers must not be
 * touched from the issue until a wait covers it.
 *
 * Registers: warp w of the group holds rows 16 w to 16 w + 15, as the fragments A and D of
 * mma.m16n8k16 (ptx.cuh): d[j] are columns 8 j to 8 j + 7.
 *
 * Operands in shared memory are made of atoms of 8 rows of 128 bytes, aligned to 1024 bytes, in
 * which the 16-byte pieces of row r change places: piece c lies at c XOR r. The hardware finds a
 * piece by XOR of bits 4-6 of the address with bits 7-9, whatever the start address is, so a step
 * of 16 columns is 32 bytes more in it. Two forms (PTX ISA, "Shared Memory Matrix Layout"):
 *   K-major    a row of the atom is one row of A or one column of B, and holds 64 values of k;
 *              `stride` = bytes from 8 rows to the next 8, `lead` is not used
 *   N-major    a row of the atom is one k of B, and holds 64 columns;
 *              `stride` = bytes from 8 values of k to the next 8,
 *              `lead` = bytes from 64 columns to the next 64
 *
 * Under the emulator (GB_SIMT) the same functions come from simt_ptx_hopper.h. */
#ifndef GPTBENCH_KERNELS_CUDA_PTX_HOPPER_CUH
#define GPTBENCH_KERNELS_CUDA_PTX_HOPPER_CUH

#include "kernels/cuda/ptx.cuh"

enum { WARPGROUP = 128, SWIZZLE_ROW_BYTES = 128, SWIZZLE_ATOM_BYTES = 1024 };

/* What wgmma is told about an operand in shared memory: bits 0-13 address, 16-29 lead, 32-45
 * stride, each without its low 4 bits; 62-63 swizzling, 1 for 128 bytes. */
static __device__ __forceinline__ uint64_t ptx_wgmma_descriptor(uint32_t shared_address,
                                                                uint32_t lead, uint32_t stride)
{
    return (uint64_t)(shared_address >> 4 & 0x3fff) | (uint64_t)(lead >> 4 & 0x3fff) << 16 |
           (uint64_t)(stride >> 4 & 0x3fff) << 32 | (uint64_t)1 << 62;
}

/* The descriptor of what lies `bytes` further on; shared memory ends before the sum overflows. */
static __device__ __forceinline__ uint64_t ptx_wgmma_advance(uint64_t descriptor, uint32_t bytes)
{
    return descriptor + (bytes >> 4);
}

#ifdef GB_SIMT
#define GB_HOPPER_CODE 1
#include "simt_ptx_hopper.h"
#else

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define GB_HOPPER_CODE 1
#define PTX_SM90A(...) asm volatile(__VA_ARGS__)
#else
#define PTX_SM90A(...) __trap()
#endif

/* ---- barriers in shared memory ---- */

/* A phase ends when `arrivals` have come. Others see the barrier after __syncthreads. */
static __device__ __forceinline__ void ptx_mbarrier_init(uint64_t *barrier, uint32_t arrivals)
{
    PTX_SM90A("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(ptx_shared_address(barrier)),
              "r"(arrivals)
              : "memory");
}

/* One arrival; what this thread did before is seen by those who wait for the phase. */
static __device__ __forceinline__ void ptx_mbarrier_arrive(uint64_t *barrier)
{
    PTX_SM90A(
        "mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(ptx_shared_address(barrier))
        : "memory");
}

/* Waits until the phase of this parity has ended. The phase before the first counts as one of
 * parity 1 that has. */
static __device__ __forceinline__ void ptx_mbarrier_wait(uint64_t *barrier, uint32_t parity)
{
    PTX_SM90A("{\n"
              ".reg .pred done;\n"
              "again:\n"
              "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 done, [%0], %1;\n"
              "@!done bra again;\n"
              "}" ::"r"(ptx_shared_address(barrier)),
              "r"(parity)
              : "memory");
}

/* What this thread wrote to shared memory is seen by wgmma, once its reader is told. */
static __device__ __forceinline__ void ptx_fence_proxy_async()
{
    PTX_SM90A("fence.proxy.async.shared::cta;" ::: "memory");
}

/* ---- registers ---- */

/* By all warps of a warpgroup: from now on it has n registers per thread, n divisible by 8. */
template <int n> static __device__ __forceinline__ void ptx_registers_give_back()
{
    PTX_SM90A("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
}

template <int n> static __device__ __forceinline__ void ptx_registers_take()
{
    PTX_SM90A("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
}

/* ---- products ---- */

/* Before the first product, and before those that read registers written since the last. */
static __device__ __forceinline__ void ptx_wgmma_fence()
{
    PTX_SM90A("wgmma.fence.sync.aligned;" ::: "memory");
}

/* The products issued since the last commit become one group. */
static __device__ __forceinline__ void ptx_wgmma_commit()
{
    PTX_SM90A("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Waits until at most n groups are under way. */
template <int n> static __device__ __forceinline__ void ptx_wgmma_wait()
{
    PTX_SM90A("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
}

/* Keeps the compiler from moving uses of these registers past this place: what is issued or
 * awaited around it does not name them. */
template <int n> static __device__ __forceinline__ void ptx_hold(float (&x)[n][4])
{
#pragma unroll
    for (int i = 0; i < n; i++) {
        asm volatile("" : "+f"(x[i][0]), "+f"(x[i][1]), "+f"(x[i][2]), "+f"(x[i][3])::"memory");
    }
}

template <int n> static __device__ __forceinline__ void ptx_hold(uint32_t (&x)[n][4])
{
#pragma unroll
    for (int i = 0; i < n; i++) {
        asm volatile("" : "+r"(x[i][0]), "+r"(x[i][1]), "+r"(x[i][2]), "+r"(x[i][3])::"memory");
    }
}

/* A number as if it were new here: what follows from it is not computed ahead of a loop, where it
 * would take registers that the sums need. */
static __device__ __forceinline__ void ptx_hold(int &x)
{
    asm volatile("" : "+r"(x));
}

#define PTX_SUM1(d, j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
#define PTX_SUM4(d, j)                                                                             \
    PTX_SUM1(d, j), PTX_SUM1(d, (j) + 1), PTX_SUM1(d, (j) + 2), PTX_SUM1(d, (j) + 3)
#define PTX_SUM8(d)  PTX_SUM4(d, 0), PTX_SUM4(d, 4)
#define PTX_SUM16(d) PTX_SUM8(d), PTX_SUM4(d, 8), PTX_SUM4(d, 12)
#define PTX_REGISTERS_0_31                                                                         \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "   \
    "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define PTX_REGISTERS_32_63                                                                        \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "   \
    "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

/* d (64 x 128) = a . b, or += with `accumulate`; both in shared memory, K-major. */
template <bool accumulate>
static __device__ __forceinline__ void ptx_wgmma_shared(float (&d)[16][4], uint64_t a, uint64_t b)
{
    PTX_SM90A("{\n"
              ".reg .pred add;\n"
              "setp.ne.b32 add, %66, 0;\n"
              "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
              "{" PTX_REGISTERS_0_31 ", " PTX_REGISTERS_32_63 "}, %64, %65, add, 1, 1, 0, 0;\n"
              "}"
              : PTX_SUM16(d)
              : "l"(a), "l"(b), "n"(accumulate ? 1 : 0));
}

/* The same for d (64 x 64). */
template <bool accumulate>
static __device__ __forceinline__ void ptx_wgmma_shared(float (&d)[8][4], uint64_t a, uint64_t b)
{
    PTX_SM90A("{\n"
              ".reg .pred add;\n"
              "setp.ne.b32 add, %34, 0;\n"
              "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
              "{" PTX_REGISTERS_0_31 "}, %32, %33, add, 1, 1, 0, 0;\n"
              "}"
              : PTX_SUM8(d)
              : "l"(a), "l"(b), "n"(accumulate ? 1 : 0));
}

/* d (64 x 64) = a . b, or += with `accumulate`; a in registers, b in shared memory, K-major. */
template <bool accumulate>
static __device__ __forceinline__ void ptx_wgmma_registers_rows(float (&d)[8][4],
                                                                const uint32_t (&a)[4], uint64_t b)
{
    PTX_SM90A("{\n"
              ".reg .pred add;\n"
              "setp.ne.b32 add, %37, 0;\n"
              "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
              "{" PTX_REGISTERS_0_31 "}, {%32, %33, %34, %35}, %36, add, 1, 1, 0;\n"
              "}"
              : PTX_SUM8(d)
              : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(accumulate ? 1 : 0));
}

/* d (64 x 64) += a . b; a in registers, b in shared memory, N-major. */
static __device__ __forceinline__ void ptx_wgmma_registers(float (&d)[8][4], const uint32_t (&a)[4],
                                                           uint64_t b)
{
    PTX_SM90A("{\n"
              ".reg .pred add;\n"
              "setp.ne.b32 add, 1, 0;\n"
              "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
              "{" PTX_REGISTERS_0_31 "}, {%32, %33, %34, %35}, %36, add, 1, 1, 1;\n"
              "}"
              : PTX_SUM8(d)
              : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

/* The same for d (64 x 128). */
static __device__ __forceinline__ void ptx_wgmma_registers(float (&d)[16][4],
                                                           const uint32_t (&a)[4], uint64_t b)
{
    PTX_SM90A("{\n"
              ".reg .pred add;\n"
              "setp.ne.b32 add, 1, 0;\n"
              "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
              "{" PTX_REGISTERS_0_31 ", " PTX_REGISTERS_32_63
              "}, {%64, %65, %66, %67}, %68, add, 1, 1, 1;\n"
              "}"
              : PTX_SUM16(d)
              : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#endif
#endif
