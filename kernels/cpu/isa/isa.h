/* isa.h: what the kernel files share: element access in two types, and exp and erf that the
 * compiler can vectorize. Included by files that are compiled once per instruction set; everything
 * here is static.
 *
 * Accuracy, in float arithmetic:
 *   isa_exp   relative error below 2e-7 on [-87, 88]; 0 below; not for more
 *   isa_erf   absolute error below 2e-7
 *   isa_normal_tail  absolute error below 2e-7
 * All are minimax fits of ours: Lawson-weighted least squares in 40-digit arithmetic, that of
 * isa_normal_tail in double. tests/unit/kernels/test_cpu_curves.c holds them against the C library.
 */
#ifndef GPTBENCH_KERNELS_CPU_ISA_H
#define GPTBENCH_KERNELS_CPU_ISA_H

#include <omp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/clock.h"
#include "kernels/cpu/cpu_kernels.h"

#define ISA_CAT2(a, b) a##_##b
#define ISA_CAT(a, b)  ISA_CAT2(a, b)
/* The external name of a fill function in this instruction set. */
#define ISA_NAME(name) ISA_CAT(name, GB_ISA)

#define ISA_INLINE static inline __attribute__((always_inline))

#if defined(GB_ISA_avx512)
#define ISA_LANES 16
#elif defined(GB_ISA_avx2)
#define ISA_LANES 8
#else
#define ISA_LANES 4
#endif

#define VW ISA_LANES
/* Columns of a panel: what is multiplied from the right is packed into panels. */
#define PANEL (2 * VW)

typedef float isa_vec __attribute__((vector_size(4 * ISA_LANES)));
typedef uint32_t isa_uint_vec __attribute__((vector_size(4 * ISA_LANES)));
typedef uint16_t isa_half_vec __attribute__((vector_size(2 * ISA_LANES)));
typedef float isa_vec_unaligned __attribute__((vector_size(4 * ISA_LANES), aligned(4), may_alias));

#if defined(__clang__)
#define ISA_UNROLL _Pragma("unroll")
#else
#define ISA_UNROLL _Pragma("GCC unroll 16")
#endif

/* How many parts of `size` hold n, the last of them perhaps in part. */
ISA_INLINE int64_t isa_parts(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* The calling thread has done its share of a loop. */
ISA_INLINE void isa_note_end(double *ends)
{
    if (ends != NULL) {
        const double now_ms = gb_monotonic_ms();
        ends[CPU_ENDS_STRIDE * omp_get_thread_num()] = now_ms;
    }
}

ISA_INLINE float isa_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

ISA_INLINE uint32_t isa_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Round to nearest even; a NaN stays one. */
ISA_INLINE uint16_t isa_round_bf16(float value)
{
    uint32_t bits = isa_to_bits(value);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)(value != value ? 0x7fc0u : rounded);
}

/* Element i of an act array. `bf16` is a constant wherever this is used in a loop. */
ISA_INLINE float isa_load(const void *array, int64_t i, bool bf16)
{
    return bf16 ? isa_from_bits((uint32_t)((const uint16_t *)array)[i] << 16)
                : ((const float *)array)[i];
}

ISA_INLINE void isa_store(void *array, int64_t i, float value, bool bf16)
{
    if (bf16) {
        ((uint16_t *)array)[i] = isa_round_bf16(value);
    } else {
        ((float *)array)[i] = value;
    }
}

/* What a load after a store of `value` would give. */
ISA_INLINE float isa_rounded(float value, bool bf16)
{
    return bf16 ? isa_from_bits((uint32_t)isa_round_bf16(value) << 16) : value;
}

/* ISA_LANES elements at once, of any alignment; the same as isa_load and isa_store of each. Written
 * with vectors since compilers take such a loop through memory, in parts. */
ISA_INLINE isa_vec isa_load_vec(const void *array, int64_t i, bool bf16)
{
    if (!bf16) {
        return *(const isa_vec_unaligned *)((const float *)array + i);
    }
    isa_half_vec halves;
    memcpy(&halves, (const uint16_t *)array + i, sizeof halves);
    return (isa_vec)(__builtin_convertvector(halves, isa_uint_vec) << 16);
}

ISA_INLINE void isa_store_vec(void *array, int64_t i, isa_vec v, bool bf16)
{
    if (!bf16) {
        *(isa_vec_unaligned *)((float *)array + i) = v;
        return;
    }
    const isa_uint_vec bits = (isa_uint_vec)v;
    const isa_uint_vec rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const isa_uint_vec is_nan = (isa_uint_vec)(v != v); /* NOLINT(misc-redundant-expression) */
    const isa_half_vec halves =
        __builtin_convertvector((rounded & ~is_nan) | (0x7fc0u & is_nan), isa_half_vec);
    memcpy((uint16_t *)array + i, &halves, sizeof halves);
}

ISA_INLINE void *isa_at(const void *array, int64_t i, bool bf16)
{
    return (char *)array + i * (bf16 ? 2 : 4);
}

ISA_INLINE float isa_exp(float x)
{
    /* n = round(x / ln 2): adding 1.5 * 2^23 leaves the integer in the low mantissa bits. */
    const float magic = 12582912.0f;
    float shifted = x * 1.44269504f + magic;
    float n = shifted - magic;
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.3836835241e-3f;
    p = p * r + 8.3748240551e-3f;
    p = p * r + 4.1668226199e-2f;
    p = p * r + 1.6666420072e-1f;
    p = p * r + 4.9999992075e-1f;
    p = p * r + 1.0000000363f;
    p = p * r + 1.0f;
    const float power = isa_from_bits((isa_to_bits(shifted) + 127u) << 23);
    return x < -87.0f ? 0.0f : p * power;
}

/* The largest of lanes [0, width) into lane 0, by halves. */
ISA_INLINE void isa_max_fold(float *lanes, const int width)
{
    ISA_UNROLL
    for (int half = width / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) {
            lanes[l] = lanes[l + half] > lanes[l] ? lanes[l + half] : lanes[l];
        }
    }
}

/* The largest of x (n), n >= 1; a NaN may get lost. Lanes are written out because not every
 * compiler vectorizes a maximum without being told that there are no NaNs. */
ISA_INLINE float isa_max(const float *x, int64_t n)
{
    enum { WIDTH = 4 * ISA_LANES };
    float lanes[WIDTH];
    for (int l = 0; l < WIDTH; l++) {
        lanes[l] = x[0];
    }
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        for (int l = 0; l < WIDTH; l++) {
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
        }
    }
    for (; i + ISA_LANES <= n; i += ISA_LANES) {
        for (int l = 0; l < ISA_LANES; l++) {
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
        }
    }
    isa_max_fold(lanes, WIDTH);
    float top = lanes[0];
    for (; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    return top;
}

/* erf(x) = x * P(x^2) / Q(x^2) on |x| < 3.92, where erf is 1 to float accuracy. */
ISA_INLINE float isa_erf(float x)
{
    x = x < -3.92f ? -3.92f : x;
    x = x > 3.92f ? 3.92f : x;
    float t = x * x;
    float p = 2.05008706604838e-6f;
    p = p * t + 2.84882068099465e-4f;
    p = p * t + 3.765598245768131e-3f;
    p = p * t + 5.274866311643531e-2f;
    p = p * t + 1.9040606738546484e-1f;
    p = p * t + 1.128379146152316f;
    float q = 3.809167880391037e-5f;
    q = q * t + 1.1625305617725403e-3f;
    q = q * t + 1.4969178742349093e-2f;
    q = q * t + 1.1410894034829827e-1f;
    q = q * t + 5.020757246855629e-1f;
    q = q * t + 1.0f;
    return x * p / q;
}

/* The part of the normal distribution beyond |x|, at most 1/2, from falling = exp(-x^2/2): that
 * times a polynomial for exp(x^2/2) Phi(-|x|). */
ISA_INLINE float isa_normal_tail(float x, float falling)
{
    float y = x < 0.0f ? -x : x;
    y = y > 6.0f ? 6.0f : y;
    float p = 1.63168979e-06f;
    p = p * y - 3.52077813e-05f;
    p = p * y + 0.000339738424f;
    p = p * y - 0.00197462727f;
    p = p * y + 0.00793939022f;
    p = p * y - 0.0243139292f;
    p = p * y + 0.0611548851f;
    p = p * y - 0.132513797f;
    p = p * y + 0.249916793f;
    p = p * y - 0.398936515f;
    p = p * y + 0.499999934f;
    return p * falling;
}

#if ISA_LANES == 16
#define ISA_LOW_LANES  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ISA_HIGH_LANES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif ISA_LANES == 8
#define ISA_LOW_LANES  0, 8, 1, 9, 2, 10, 3, 11
#define ISA_HIGH_LANES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define ISA_LOW_LANES  0, 4, 1, 5
#define ISA_HIGH_LANES 2, 6, 3, 7
#endif

/* Transposes (ISA_LANES, ISA_LANES) in place by log2(ISA_LANES) perfect shuffles: each interleaves
 * row i with row i + ISA_LANES/2. */
ISA_INLINE void isa_transpose(isa_vec tile[ISA_LANES])
{
    for (int stage = 1; stage < ISA_LANES; stage *= 2) {
        isa_vec next[ISA_LANES];
        ISA_UNROLL
        for (int i = 0; i < ISA_LANES / 2; i++) {
            next[2 * i] = __builtin_shufflevector(tile[i], tile[i + ISA_LANES / 2], ISA_LOW_LANES);
            next[2 * i + 1] =
                __builtin_shufflevector(tile[i], tile[i + ISA_LANES / 2], ISA_HIGH_LANES);
        }
        ISA_UNROLL
        for (int i = 0; i < ISA_LANES; i++) {
            tile[i] = next[i];
        }
    }
}

#endif
