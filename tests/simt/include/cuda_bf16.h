/* cuda_bf16.h of the emulator: bfloat16 as the device has it: float with the lower half of its
 * bits rounded away, to nearest even; NaN becomes 0x7fff. */
#ifndef GPTBENCH_TESTS_SIMT_CUDA_BF16_H
#define GPTBENCH_TESTS_SIMT_CUDA_BF16_H

#include "cuda_runtime.h"

struct __nv_bfloat16_raw {
    unsigned short x;
};

namespace simt
{
inline unsigned short bf16_bits(float value)
{
    uint32_t bits = bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return 0x7fff;
    }
    return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
} // namespace simt

struct alignas(2) __nv_bfloat16 {
    unsigned short __x;
    __nv_bfloat16() = default;
    __nv_bfloat16(__nv_bfloat16_raw raw) : __x(raw.x)
    {
    }
    __nv_bfloat16(float value) : __x(simt::bf16_bits(value))
    {
    }
    operator float() const
    {
        return simt::bit_cast<float>((uint32_t)__x << 16);
    }
};

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
    __nv_bfloat162() = default;
    __nv_bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) : x(low), y(high)
    {
    }
};

typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

inline float __bfloat162float(__nv_bfloat16 a)
{
    return (float)a;
}

inline __nv_bfloat16 __float2bfloat16_rn(float a)
{
    return __nv_bfloat16(a);
}

inline __nv_bfloat16 __float2bfloat16(float a)
{
    return __nv_bfloat16(a);
}

inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high)
{
    return __nv_bfloat162(__nv_bfloat16(low), __nv_bfloat16(high));
}

inline __nv_bfloat162 __float22bfloat162_rn(float2 a)
{
    return __floats2bfloat162_rn(a.x, a.y);
}

inline __nv_bfloat162 __float2bfloat162_rn(float a)
{
    return __floats2bfloat162_rn(a, a);
}

inline float2 __bfloat1622float2(__nv_bfloat162 a)
{
    return float2{(float)a.x, (float)a.y};
}

inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high)
{
    return __nv_bfloat162(low, high);
}

inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 a)
{
    return a.x;
}

inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 a)
{
    return a.y;
}

inline float __low2float(__nv_bfloat162 a)
{
    return (float)a.x;
}

inline float __high2float(__nv_bfloat162 a)
{
    return (float)a.y;
}

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 a)
{
    return a.__x;
}

inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
    return __nv_bfloat16(__nv_bfloat16_raw{bits});
}

#endif
