/* simt_types.h: CUDA's vector types, with the alignment that the device demands. */
#ifndef GPTBENCH_TESTS_SIMT_TYPES_H
#define GPTBENCH_TESTS_SIMT_TYPES_H

#include <cstddef>
#include <cstdint>

#define SIMT_VECTORS(base, type, align2, align4)                                                   \
    struct base##1                                                                                 \
    {                                                                                              \
        type x;                                                                                    \
    };                                                                                             \
    struct alignas(align2) base##2                                                                 \
    {                                                                                              \
        type x, y;                                                                                 \
    };                                                                                             \
    struct base##3                                                                                 \
    {                                                                                              \
        type x, y, z;                                                                              \
    };                                                                                             \
    struct alignas(align4) base##4                                                                 \
    {                                                                                              \
        type x, y, z, w;                                                                           \
    };                                                                                             \
    inline base##2 make_##base##2(type x, type y)                                                  \
    {                                                                                              \
        return base##2 {x, y};                                                                     \
    }                                                                                              \
    inline base##3 make_##base##3(type x, type y, type z)                                          \
    {                                                                                              \
        return base##3 {x, y, z};                                                                  \
    }                                                                                              \
    inline base##4 make_##base##4(type x, type y, type z, type w)                                  \
    {                                                                                              \
        return base##4 {x, y, z, w};                                                               \
    }
SIMT_VECTORS(char, signed char, 2, 4)
SIMT_VECTORS(uchar, unsigned char, 2, 4)
SIMT_VECTORS(short, short, 4, 8)
SIMT_VECTORS(ushort, unsigned short, 4, 8)
SIMT_VECTORS(int, int, 8, 16)
SIMT_VECTORS(uint, unsigned int, 8, 16)
SIMT_VECTORS(float, float, 8, 16)
SIMT_VECTORS(longlong, long long, 16, 16)
SIMT_VECTORS(ulonglong, unsigned long long, 16, 16)
SIMT_VECTORS(double, double, 16, 16)
#undef SIMT_VECTORS

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1)
        : x(vx), y(vy), z(vz)
    {
    }
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z)
    {
    }
};

#endif
