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

/* W neighbours, read or written by one access of their common size. */
template <typename T, int W> struct alignas(sizeof(T) * W) pack {
    T v[W];
};

/* Elements of one 16-byte access. */
template <typename T> __host__ __device__ constexpr int wide_access()
{
    return (int)(16 / sizeof(T));
}

template <typename T, int W> static __device__ __forceinline__ void load(float *out, const T *from)
{
    const pack<T, W> p = *reinterpret_cast<const pack<T, W> *>(from);
#pragma unroll
    for (int i = 0; i < W; i++) {
        out[i] = to_float(p.v[i]);
    }
}

template <typename T, int W> static __device__ __forceinline__ void store(T *to, const float *from)
{
    pack<T, W> p;
#pragma unroll
    for (int i = 0; i < W; i++) {
        p.v[i] = from_float<T>(from[i]);
    }
    *reinterpret_cast<pack<T, W> *>(to) = p;
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
