/* How fast this CPU's dot products of bfloat16 pairs (AVX512_BF16) are beside its float
 * multiply-adds. AMD's Zen 4 and 5 do twice as many multiply-adds a cycle with them, Intel's
 * Golden Cove, which has tiles (AMX) for such work, half as many; and a virtual machine may hide
 * the tiles. So it is measured, in registers alone.
 */
#include "kernels/cpu/isa/isa.h"

#if defined(GB_ISA_avx512)

#include <immintrin.h>

enum { ROUNDS = 2000, REPEATS = 15 };

/* Chains of sums, each a variable so that it is a register: more of them than an instruction takes
 * cycles times those that start in one. */
#define EACH(DO)                                                                                   \
    DO(a) DO(b) DO(c) DO(d) DO(e) DO(f) DO(g) DO(h) DO(i) DO(j) DO(k) DO(l) DO(m) DO(n) DO(o) DO(p)
#define ZERO(name)                                                                                 \
    __m512 name = _mm512_setzero_ps();                                                             \
    __asm__("" : "+v"(name));
#define FLOATS(name) (name) = _mm512_fmadd_ps(x, y, name);
#define DOTS(name)   (name) = _mm512_dpbf16_ps(name, (__m512bh)x, (__m512bh)y);
#define SUM(name)    sum = _mm512_add_ps(sum, name);

/* The compiler must neither leave the sums out nor know what they are of: it makes one of two that
 * it knows to be equal. */
static double time_floats_ns(volatile float *sink)
{
    __m512 x = _mm512_set1_ps(1e-3f), y = x, sum = _mm512_setzero_ps();
    EACH(ZERO)
    const uint64_t start_ns = gb_monotonic_ns();
    for (int round = 0; round < ROUNDS; round++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
        EACH(FLOATS)
    }
    const uint64_t taken_ns = gb_monotonic_ns() - start_ns;
    EACH(SUM)
    *sink = _mm512_reduce_add_ps(sum);
    return (double)taken_ns;
}

static double time_dots_ns(volatile float *sink)
{
    __m512i x = _mm512_set1_epi16(0x3a83), y = x; /* 1e-3 */
    __m512 sum = _mm512_setzero_ps();
    EACH(ZERO)
    const uint64_t start_ns = gb_monotonic_ns();
    for (int round = 0; round < ROUNDS; round++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
        EACH(DOTS)
    }
    const uint64_t taken_ns = gb_monotonic_ns() - start_ns;
    EACH(SUM)
    *sink = _mm512_reduce_add_ps(sum);
    return (double)taken_ns;
}

double ISA_NAME(cpu_bf16_dot_advantage)(void)
{
    volatile float sink;
    double floats = 1e30, dots = 1e30;
    for (int i = 0; i < REPEATS; i++) { /* in turn; the best, as interruptions only lengthen */
        double f = time_floats_ns(&sink), d = time_dots_ns(&sink);
        floats = f < floats ? f : floats;
        dots = d < dots ? d : dots;
    }
    (void)sink;
    return 2 * floats / dots;
}

#else

double ISA_NAME(cpu_bf16_dot_advantage)(void)
{
    return 0;
}

#endif
