/* simt_ptx_hopper.h: the emulator's side of kernels/cuda/ptx_hopper.cuh; same names, same meaning.
 *
 * Addresses in shared memory are numbers as on the device; dynamic shared memory starts at one that
 * is a multiple of 128 only, as CUDA promises. wgmma reads its operands through the descriptor:
 * start address, offsets and the XOR of address bits. Found, and ended with abort():
 *   - operands outside of shared memory, that no proxy fence made visible, or that change between
 *     the issue of a product and the wait that covers it (a slot given back too early);
 *   - sums and factors in registers that change in that time; sums read NaN until the wait;
 *   - a product without wgmma.fence after a wait, or on registers that were written after the fence
 *     (sums that are added to, and factors; from the second product with the same registers on);
 *   - warps of one warpgroup that issue different products;
 *   - an mbarrier that was not initialised. */
#ifndef GPTBENCH_TESTS_SIMT_PTX_HOPPER_H
#define GPTBENCH_TESTS_SIMT_PTX_HOPPER_H

#include "simt.h"

void ptx_mbarrier_init(uint64_t *barrier, uint32_t arrivals);
void ptx_mbarrier_arrive(uint64_t *barrier);
void ptx_mbarrier_wait(uint64_t *barrier, uint32_t parity);
void ptx_fence_proxy_async();

template <int n> inline void ptx_registers_give_back()
{
    static_assert(n >= 24 && n <= 256 && n % 8 == 0, "setmaxnreg");
}

template <int n> inline void ptx_registers_take()
{
    static_assert(n >= 24 && n <= 256 && n % 8 == 0, "setmaxnreg");
}

void ptx_wgmma_fence();
void ptx_wgmma_commit();

namespace simt
{
void wgmma_wait(int pending_groups);
/* Where the factors of a product lie. */
enum wgmma_form {
    WGMMA_SHARED,         /* both in shared memory, K-major */
    WGMMA_REGISTERS_ROWS, /* a in registers, b K-major */
    WGMMA_REGISTERS       /* a in registers, b N-major */
};

/* d (64 x 8 fragments) += or = a . b; a from `registers`, or with WGMMA_SHARED through its
 * descriptor. */
void wgmma(wgmma_form form, float (*d)[4], int fragments, const uint32_t *registers, uint64_t a,
           uint64_t b, bool accumulate);
} // namespace simt

template <int n> inline void ptx_wgmma_wait()
{
    simt::wgmma_wait(n);
}

/* Sums and factors are in memory here, behind pointers that the emulator holds. */
template <int n> inline void ptx_hold(float (&)[n][4])
{
}

template <int n> inline void ptx_hold(uint32_t (&)[n][4])
{
}

inline void ptx_hold(int &)
{
}

template <bool accumulate, int fragments>
inline void ptx_wgmma_shared(float (&d)[fragments][4], uint64_t a, uint64_t b)
{
    static_assert(fragments == 8 || fragments == 16, "the forms of ptx_hopper.cuh");
    simt::wgmma(simt::WGMMA_SHARED, d, fragments, nullptr, a, b, accumulate);
}

template <bool accumulate>
inline void ptx_wgmma_registers_rows(float (&d)[8][4], const uint32_t (&a)[4], uint64_t b)
{
    simt::wgmma(simt::WGMMA_REGISTERS_ROWS, d, 8, a, 0, b, accumulate);
}

template <int fragments>
inline void ptx_wgmma_registers(float (&d)[fragments][4], const uint32_t (&a)[4], uint64_t b)
{
    static_assert(fragments == 8 || fragments == 16, "the forms of ptx_hopper.cuh");
    simt::wgmma(simt::WGMMA_REGISTERS, d, fragments, a, 0, b, true);
}

#endif
