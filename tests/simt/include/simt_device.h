/* simt_device.h: the language of kernels: qualifiers, barriers, warp operations, atomics, and the
 * intrinsics for numbers and memory. Included by cuda_runtime.h. */
#ifndef GPTBENCH_TESTS_SIMT_DEVICE_H
#define GPTBENCH_TESTS_SIMT_DEVICE_H

#include <cmath>
#include <math.h>
#include <type_traits>

#include "simt.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__      static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

/* ---- barriers ---- */

inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    simt::barrier(0, file, line);
}

inline int __syncthreads_count(int vote, const char *file = __builtin_FILE(),
                               int line = __builtin_LINE())
{
    return simt::barrier(vote, file, line);
}

inline int __syncthreads_or(int vote, const char *file = __builtin_FILE(),
                            int line = __builtin_LINE())
{
    return simt::barrier(vote, file, line) > 0;
}

inline int __syncthreads_and(int vote, const char *file = __builtin_FILE(),
                             int line = __builtin_LINE())
{
    return simt::barrier(!vote, file, line) == 0;
}

inline void __syncwarp(uint32_t mask = ~0u)
{
    simt::warp(mask, nullptr, nullptr);
}

inline void __threadfence()
{
}

inline void __threadfence_block()
{
}

[[noreturn]] inline void __trap()
{
    simt::die("__trap()");
}

/* ---- warp operations ---- */

namespace simt
{

enum shuffle_kind { SHUFFLE_INDEX, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR };

struct shuffle_args {
    uint64_t value, result;
    int which, width;
};

/* Lane that `lane` reads, as the PTX manual (shfl.sync) has it: its own where the source lies
 * outside of its segment. */
int shuffle_source(shuffle_kind kind, int lane, int which, int width);
uint64_t shuffle(shuffle_kind kind, uint32_t mask, uint64_t value, int which, int width);

enum vote_kind { VOTE_BALLOT, VOTE_ALL, VOTE_ANY };
uint32_t vote(uint32_t mask, bool predicate); /* the ballot */

template <typename T>
inline T shuffle_typed(shuffle_kind kind, uint32_t mask, T value, int which, int width)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "at most 8 plain bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = shuffle(kind, mask, bits, which, width);
    memcpy(&value, &bits, sizeof value);
    return value;
}

enum reduce_kind { REDUCE_ADD, REDUCE_MIN, REDUCE_MAX, REDUCE_AND, REDUCE_OR, REDUCE_XOR };
int64_t reduce(reduce_kind kind, uint32_t mask, int64_t value);

} // namespace simt

template <typename T> inline T __shfl_sync(uint32_t mask, T value, int lane, int width = 32)
{
    return simt::shuffle_typed(simt::SHUFFLE_INDEX, mask, value, lane, width);
}

template <typename T>
inline T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int width = 32)
{
    return simt::shuffle_typed(simt::SHUFFLE_UP, mask, value, (int)delta, width);
}

template <typename T>
inline T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int width = 32)
{
    return simt::shuffle_typed(simt::SHUFFLE_DOWN, mask, value, (int)delta, width);
}

template <typename T>
inline T __shfl_xor_sync(uint32_t mask, T value, int lane_mask, int width = 32)
{
    return simt::shuffle_typed(simt::SHUFFLE_XOR, mask, value, lane_mask, width);
}

inline uint32_t __ballot_sync(uint32_t mask, int predicate)
{
    return simt::vote(mask, predicate != 0);
}

inline int __any_sync(uint32_t mask, int predicate)
{
    return simt::vote(mask, predicate != 0) != 0;
}

inline int __all_sync(uint32_t mask, int predicate)
{
    return simt::vote(mask, predicate == 0) == 0;
}

template <typename T> inline T __reduce_add_sync(uint32_t mask, T value)
{
    return (T)simt::reduce(simt::REDUCE_ADD, mask, (int64_t)value);
}

template <typename T> inline T __reduce_min_sync(uint32_t mask, T value)
{
    return (T)simt::reduce(simt::REDUCE_MIN, mask, (int64_t)value);
}

template <typename T> inline T __reduce_max_sync(uint32_t mask, T value)
{
    return (T)simt::reduce(simt::REDUCE_MAX, mask, (int64_t)value);
}

inline uint32_t __reduce_and_sync(uint32_t mask, uint32_t value)
{
    return (uint32_t)simt::reduce(simt::REDUCE_AND, mask, value);
}

inline uint32_t __reduce_or_sync(uint32_t mask, uint32_t value)
{
    return (uint32_t)simt::reduce(simt::REDUCE_OR, mask, value);
}

inline uint32_t __reduce_xor_sync(uint32_t mask, uint32_t value)
{
    return (uint32_t)simt::reduce(simt::REDUCE_XOR, mask, value);
}

/* ---- atomics: one host thread runs everything, so plain operations will do ---- */

template <typename T> inline T atomicAdd(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = (T)(old + value);
    return old;
}

template <typename T> inline T atomicSub(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = (T)(old - value);
    return old;
}

template <typename T> inline T atomicMax(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = old < value ? value : old;
    return old;
}

template <typename T> inline T atomicMin(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = value < old ? value : old;
    return old;
}

template <typename T> inline T atomicAnd(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = old & value;
    return old;
}

template <typename T> inline T atomicOr(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = old | value;
    return old;
}

template <typename T> inline T atomicExch(T *at, std::common_type_t<T> value)
{
    T old = *at;
    *at = value;
    return old;
}

template <typename T>
inline T atomicCAS(T *at, std::common_type_t<T> expected, std::common_type_t<T> value)
{
    T old = *at;
    *at = old == expected ? value : old;
    return old;
}

inline unsigned atomicInc(unsigned *at, unsigned limit)
{
    unsigned old = *at;
    *at = old >= limit ? 0 : old + 1;
    return old;
}

/* ---- memory ---- */

template <typename T> inline T __ldg(const T *from)
{
    return *from;
}

template <typename T> inline T __ldcs(const T *from)
{
    return *from;
}

template <typename T> inline T __ldcg(const T *from)
{
    return *from;
}

template <typename T> inline T __ldca(const T *from)
{
    return *from;
}

template <typename T> inline T __ldlu(const T *from)
{
    return *from;
}

template <typename T> inline void __stcs(T *to, std::common_type_t<T> value)
{
    *to = value;
}

template <typename T> inline void __stcg(T *to, std::common_type_t<T> value)
{
    *to = value;
}

template <typename T> inline void __stwt(T *to, std::common_type_t<T> value)
{
    *to = value;
}

/* ---- bits ---- */

namespace simt
{
template <typename To, typename From> inline To bit_cast(From from)
{
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
} // namespace simt

inline unsigned __float_as_uint(float x)
{
    return simt::bit_cast<unsigned>(x);
}

inline int __float_as_int(float x)
{
    return simt::bit_cast<int>(x);
}

inline float __uint_as_float(unsigned x)
{
    return simt::bit_cast<float>(x);
}

inline float __int_as_float(int x)
{
    return simt::bit_cast<float>(x);
}

inline long long __double_as_longlong(double x)
{
    return simt::bit_cast<long long>(x);
}

inline double __longlong_as_double(long long x)
{
    return simt::bit_cast<double>(x);
}

inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}

inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

/* ---- numbers ----
 * The fast versions are exact ones here: a kernel that passes may still be less accurate on the
 * device, within the bounds of the CUDA programming guide. */
#define __expf(x)          expf(x)
#define __exp10f(x)        exp10f(x)
#define __logf(x)          logf(x)
#define __log2f(x)         log2f(x)
#define __log10f(x)        log10f(x)
#define __sinf(x)          sinf(x)
#define __cosf(x)          cosf(x)
#define __powf(x, y)       powf((x), (y))
#define __tanhf(x)         tanhf(x)
#define __fdividef(x, y)   ((float)(x) / (float)(y))
#define __fdiv_rn(x, y)    ((float)(x) / (float)(y))
#define __frcp_rn(x)       (1.0f / (float)(x))
#define __fsqrt_rn(x)      sqrtf(x)
#define __fmaf_rn(x, y, z) fmaf((x), (y), (z))

inline float __fadd_rn(float x, float y)
{
    return x + y;
}

inline float __fmul_rn(float x, float y)
{
    return x * y;
}

inline float rsqrtf(float x)
{
    return (float)(1.0 / std::sqrt((double)x));
}

inline double rsqrt(double x)
{
    return 1.0 / std::sqrt(x);
}

inline float __frsqrt_rn(float x)
{
    return rsqrtf(x);
}

inline float __saturatef(float x)
{
    return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; /* NaN gives 0, as there */
}

template <typename A, typename B>
constexpr typename std::enable_if<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value,
                                  std::common_type_t<A, B>>::type
min(A a, B b)
{
    typedef std::common_type_t<A, B> both;
    return (both)b < (both)a ? (both)b : (both)a;
}

template <typename A, typename B>
constexpr typename std::enable_if<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value,
                                  std::common_type_t<A, B>>::type
max(A a, B b)
{
    typedef std::common_type_t<A, B> both;
    return (both)a < (both)b ? (both)b : (both)a;
}

#endif
