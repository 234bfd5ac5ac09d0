/* launch.cuh: the one way kernels are launched, and element access that they share. */
#ifndef GPTBENCH_KERNELS_CUDA_LAUNCH_CUH
#define GPTBENCH_KERNELS_CUDA_LAUNCH_CUH

#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/port.cuh"

struct cuda_grid {
    int64_t blocks;
    unsigned threads;
    unsigned blocks_y;
    size_t shared_bytes;
};

static inline cuda_grid cuda_grid_of(int64_t blocks, unsigned threads, unsigned blocks_y = 1,
                                     size_t shared_bytes = 0)
{
    cuda_grid grid = {blocks, threads, blocks_y, shared_bytes};
    return grid;
}

/* Blocks for a grid-stride loop over `items`: enough to fill the device, no more than needed. */
static inline cuda_grid cuda_grid_stride(const gb_device *dev, int64_t items, unsigned threads)
{
    const int64_t needed = (items + threads - 1) / threads;
    const int64_t full = (int64_t)dev->multiprocessors * 2048 / threads * 2;
    return cuda_grid_of(needed < full ? needed : full, threads);
}

/* Launches on the device's stream; dynamic shared memory above 48 KiB is asked for. */
template <typename... Params, typename... Args>
gb_status cuda_launch(gb_device *dev, const char *op, const char *file, int line,
                      void (*kernel)(Params...), const cuda_grid &grid, const Args &...args)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)grid.blocks, grid.blocks_y, 1);
    config.blockDim = dim3(grid.threads, 1, 1);
    config.dynamicSmemBytes = grid.shared_bytes;
    config.stream = dev->stream;
    if (grid.blocks > INT32_MAX || grid.blocks_y > 65535) {
        return cuda_fail(dev, cudaErrorInvalidConfiguration, op, "grid", file, line);
    }
    if (grid.shared_bytes > (48 << 10)) {
        cudaError_t code =
            cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)grid.shared_bytes);
        if (code != cudaSuccess) {
            return cuda_fail(dev, code, op, "dynamic shared memory", file, line);
        }
    }
    cudaError_t code = cudaLaunchKernelEx(&config, kernel, args...);
    return code == cudaSuccess ? GB_OK : cuda_fail(dev, code, op, "launch", file, line);
}

/* CUDA_LAUNCH(dev, "gelu", (kernel<Act, 8>), grid, args...) */
#define CUDA_LAUNCH(dev, op, kernel, grid, ...)                                                    \
    cuda_launch((dev), (op), __FILE__, __LINE__, kernel, (grid), __VA_ARGS__)

/* ---- elements ---- */

typedef __nv_bfloat16 bf16;

static __device__ __forceinline__ float to_float(float x)
{
    return x;
}

static __device__ __forceinline__ float to_float(bf16 x)
{
    return __bfloat162float(x);
}

template <typename Act> static __device__ __forceinline__ Act from_float(float x);

template <> __device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}

template <> __device__ __forceinline__ bf16 from_float<bf16>(float x)
{
    return __float2bfloat16(x);
}

/* Elements of one 16-byte access. */
template <typename T> __host__ __device__ constexpr int wide_access()
{
    return (int)(16 / sizeof(T));
}

/* W neighbours as memory has them. They move in whole words, of 16 bytes or of their common size:
 * an array of elements the compiler may well store one by one. */
template <typename T, int W> struct packed {
    static constexpr int BYTES = (int)sizeof(T) * W, WORDS = BYTES < 4 ? 1 : BYTES / 4;
    static_assert(BYTES == 2 || BYTES == 4 || BYTES == 8 || BYTES % 16 == 0, "whole accesses");
    uint32_t word[WORDS];
};

template <typename T, int W>
static __device__ __forceinline__ void load_packed(packed<T, W> *p, const T *from)
{
    typedef packed<T, W> P;
    if constexpr (P::BYTES == 2) {
        p->word[0] = *reinterpret_cast<const uint16_t *>(from);
    } else if constexpr (P::BYTES == 4) {
        p->word[0] = *reinterpret_cast<const uint32_t *>(from);
    } else if constexpr (P::BYTES == 8) {
        const uint2 w = *reinterpret_cast<const uint2 *>(from);
        p->word[0] = w.x, p->word[1] = w.y;
    } else {
#pragma unroll
        for (int i = 0; i < P::WORDS; i += 4) {
            const uint4 w = reinterpret_cast<const uint4 *>(from)[i / 4];
            p->word[i] = w.x, p->word[i + 1] = w.y, p->word[i + 2] = w.z, p->word[i + 3] = w.w;
        }
    }
}

template <typename T, int W>
static __device__ __forceinline__ void store_packed(T *to, const packed<T, W> &p)
{
    typedef packed<T, W> P;
    if constexpr (P::BYTES == 2) {
        *reinterpret_cast<uint16_t *>(to) = (uint16_t)p.word[0];
    } else if constexpr (P::BYTES == 4) {
        *reinterpret_cast<uint32_t *>(to) = p.word[0];
    } else if constexpr (P::BYTES == 8) {
        *reinterpret_cast<uint2 *>(to) = make_uint2(p.word[0], p.word[1]);
    } else {
#pragma unroll
        for (int i = 0; i < P::WORDS; i += 4) {
            reinterpret_cast<uint4 *>(to)[i / 4] =
                make_uint4(p.word[i], p.word[i + 1], p.word[i + 2], p.word[i + 3]);
        }
    }
}

template <int W>
static __device__ __forceinline__ void unpack(float *out, const packed<float, W> &p)
{
#pragma unroll
    for (int i = 0; i < W; i++) {
        out[i] = __uint_as_float(p.word[i]);
    }
}

/* A bfloat16 is the upper half of a float. */
template <int W> static __device__ __forceinline__ void unpack(float *out, const packed<bf16, W> &p)
{
#pragma unroll
    for (int i = 0; i < W; i++) {
        const uint32_t word = p.word[i / 2];
        out[i] = __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
    }
}

template <int W> static __device__ __forceinline__ void pack(packed<float, W> *p, const float *from)
{
#pragma unroll
    for (int i = 0; i < W; i++) {
        p->word[i] = __float_as_uint(from[i]);
    }
}

template <int W> static __device__ __forceinline__ void pack(packed<bf16, W> *p, const float *from)
{
    if constexpr (W == 1) {
        p->word[0] = __bfloat16_as_ushort(__float2bfloat16(from[0]));
    } else {
#pragma unroll
        for (int i = 0; i < W; i += 2) {
            const __nv_bfloat162 pair = __floats2bfloat162_rn(from[i], from[i + 1]);
            p->word[i / 2] = *reinterpret_cast<const uint32_t *>(&pair);
        }
    }
}

template <typename T, int W> static __device__ __forceinline__ void load(float *out, const T *from)
{
    packed<T, W> p;
    load_packed(&p, from);
    unpack(out, p);
}

template <typename T, int W> static __device__ __forceinline__ void store(T *to, const float *from)
{
    packed<T, W> p;
    pack(&p, from);
    store_packed(to, p);
}

/* Whether 16-byte accesses reach every row: pointers aligned and rows a multiple of 16 bytes. */
template <typename... Pointers>
static inline bool cuda_aligned(int64_t row_bytes, const Pointers *...pointers)
{
    uintptr_t bits = (uintptr_t)row_bytes;
    const uintptr_t each[] = {(uintptr_t)pointers...};
    for (uintptr_t p : each) {
        bits |= p;
    }
    return bits % 16 == 0;
}

/* The sum over a warp, in every lane. */
template <typename T> static __device__ __forceinline__ T warp_sum(T x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, offset);
    }
    return x;
}

/* ---- indices ---- */

/* Division by a number that is known at the launch, of what lies below 2^31: a product instead of a
 * division, which takes some twenty instructions in 32 bits and a call in 64. With
 * 2^(b-1) < by <= 2^b, magic = ceil(2^(31+b) / by) exceeds 2^(31+b) / by by less than 2^b / by, so
 * that n magic / 2^(31+b) exceeds n / by by less than 1 / by: not enough to reach the next whole
 * number. */
struct cuda_divisor {
    uint32_t by, magic;
    int shift;
};

static inline cuda_divisor cuda_divisor_of(int64_t by)
{
    int shift = 0;
    while ((int64_t)1 << shift < by) {
        shift++;
    }
    const uint64_t power = (uint64_t)1 << (31 + shift);
    return {(uint32_t)by, (uint32_t)((power + (uint64_t)by - 1) / (uint64_t)by), shift};
}

static __host__ __device__ __forceinline__ uint32_t cuda_quotient(uint32_t n, cuda_divisor d)
{
    return (uint32_t)((uint64_t)(2 * n) * d.magic >> 32) >> d.shift;
}

/* Kernels that count accesses in 32 bits take so many rows at once; launches for further rows
 * follow. A row alone is always within the limit: its length is a few widths of the model. */
static inline int64_t cuda_rows_at_once(const gb_device *dev, int64_t accesses_of_row)
{
    const int64_t rows = dev->most_accesses / accesses_of_row;
    return rows > 1 ? rows : 1;
}

/* Thread of a one-dimensional grid, and threads of that grid, where both are below 2^31. */
static __device__ __forceinline__ uint32_t grid_index_32(void)
{
    return blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ uint32_t grid_size_32(void)
{
    return gridDim.x * blockDim.x;
}

/* Index of the thread in a one-dimensional grid, and the size of that grid. */
static __device__ __forceinline__ int64_t grid_index(void)
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ int64_t grid_size(void)
{
    return (int64_t)gridDim.x * blockDim.x;
}

#endif
