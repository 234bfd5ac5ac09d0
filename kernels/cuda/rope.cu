/* Query-key norm and rotary positions, in place on the query and key heads of qkv. */
#include <math.h>
#include <stdlib.h>

#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

#define QK_EPS 1e-6f

struct rope_args {
    void *x;            /* qkv, or dqkv backward */
    const void *qkv;    /* backward with norm: as forward left it */
    float *inv_rms;     /* (N, H + K), written; NULL without norm */
    const float *saved; /* (N, H + K), read backward; NULL without norm */
    const float *table; /* (T, D): D/2 cosines, D/2 sines */
    int64_t heads;      /* N (H + K) */
    int64_t T, D;
    int normed;     /* H + K */
    int64_t stride; /* (H + 2K) D */
    int lanes;      /* of a head: a power of two, at most 32 */
};

/* What one lane works on. Lanes behind the last head repeat it without writing, so that every
 * shuffle has its whole warp. */
struct rope_place {
    int64_t head;   /* n (H + K) + h */
    int64_t offset; /* of the head in x */
    const float *cosines, *sines;
    int lane;
    bool live;
};

static __device__ __forceinline__ rope_place rope_find(const rope_args &a)
{
    rope_place p;
    const int64_t index = grid_index() / a.lanes;
    p.lane = (int)(threadIdx.x % (unsigned)a.lanes);
    p.live = index < a.heads;
    p.head = p.live ? index : a.heads - 1;
    const int64_t n = p.head / a.normed;
    p.offset = n * a.stride + (p.head - n * a.normed) * a.D;
    p.cosines = a.table + n % a.T * a.D;
    p.sines = p.cosines + a.D / 2;
    return p;
}

static __device__ __forceinline__ float head_sum(float x, int lanes)
{
    for (int offset = lanes / 2; offset > 0; offset /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, offset);
    }
    return x;
}

/* About 10 N (H + K) D FLOPs; 2 N (H + K) D A bytes, A = sizeof(act), and the table of 4 T D bytes
 * once. W pairs per access; D/2 is a multiple of W, so that the table's halves of rows start at
 * multiples of W floats. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS) qk_rope_forward_kernel(rope_args a)
{
    const rope_place p = rope_find(a);
    const int64_t half = a.D / 2;
    Act *x = (Act *)a.x + p.offset;
    float u1[W], u2[W], cosine[W], sine[W], inv = 1;
    if (a.inv_rms != nullptr) {
        float squares = 0;
        for (int64_t i = (int64_t)p.lane * W; i < half; i += a.lanes * W) {
            load<Act, W>(u1, x + i);
            load<Act, W>(u2, x + half + i);
#pragma unroll
            for (int j = 0; j < W; j++) {
                squares += u1[j] * u1[j] + u2[j] * u2[j];
            }
        }
        inv = rsqrtf(head_sum(squares, a.lanes) / (float)a.D + QK_EPS);
        if (p.live && p.lane == 0) {
            a.inv_rms[p.head] = inv;
        }
    }
    if (!p.live) {
        return;
    }
    for (int64_t i = (int64_t)p.lane * W; i < half; i += a.lanes * W) {
        load<Act, W>(u1, x + i);
        load<Act, W>(u2, x + half + i);
        load<float, W>(cosine, p.cosines + i);
        load<float, W>(sine, p.sines + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float x1 = u1[j] * inv, x2 = u2[j] * inv;
            u1[j] = x1 * cosine[j] + x2 * sine[j];
            u2[j] = x2 * cosine[j] - x1 * sine[j];
        }
        store<Act, W>(x + i, u1);
        store<Act, W>(x + half + i, u2);
    }
}

/* About 14 N (H + K) D FLOPs; 2 N (H + K) D A bytes, 3 with norm. A rotation keeps products, so
 * the norm's mean(du u) is mean(dy y) of the rotated vectors, and with R the rotation
 * dx = inv_rms R^T (dy - y mean(dy y)). */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS) qk_rope_backward_kernel(rope_args a)
{
    const rope_place p = rope_find(a);
    const int64_t half = a.D / 2;
    const bool norm = a.saved != nullptr;
    Act *d = (Act *)a.x + p.offset;
    const Act *y = (const Act *)a.qkv + p.offset;
    float d1[W], d2[W], y1[W], y2[W], cosine[W], sine[W], inv = 1, mean = 0;
    if (norm) {
        float product = 0;
        for (int64_t i = (int64_t)p.lane * W; i < half; i += a.lanes * W) {
            load<Act, W>(d1, d + i);
            load<Act, W>(d2, d + half + i);
            load<Act, W>(y1, y + i);
            load<Act, W>(y2, y + half + i);
#pragma unroll
            for (int j = 0; j < W; j++) {
                product += d1[j] * y1[j] + d2[j] * y2[j];
            }
        }
        mean = head_sum(product, a.lanes) / (float)a.D;
        inv = a.saved[p.head];
    }
    if (!p.live) {
        return;
    }
    for (int64_t i = (int64_t)p.lane * W; i < half; i += a.lanes * W) {
        load<Act, W>(d1, d + i);
        load<Act, W>(d2, d + half + i);
        if (norm) {
            load<Act, W>(y1, y + i);
            load<Act, W>(y2, y + half + i);
        }
        load<float, W>(cosine, p.cosines + i);
        load<float, W>(sine, p.sines + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float e1 = norm ? inv * (d1[j] - y1[j] * mean) : d1[j];
            const float e2 = norm ? inv * (d2[j] - y2[j] * mean) : d2[j];
            d1[j] = e1 * cosine[j] - e2 * sine[j];
            d2[j] = e1 * sine[j] + e2 * cosine[j];
        }
        store<Act, W>(d + i, d1);
        store<Act, W>(d + half + i, d2);
    }
}

/* The (T, D) table, its angles computed in double; made once per T and D. */
static gb_status rope_table(gb_device *dev, int64_t T, int64_t D, const float **out)
{
    void *slot;
    const int64_t bytes = T * D * (int64_t)sizeof(float), half = D / 2;
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_ROPE, bytes, &slot));
    *out = (const float *)slot;
    if (dev->rope_D == D && dev->rope_T >= T) {
        return GB_OK;
    }
    float *table = (float *)malloc((size_t)bytes);
    if (table == nullptr) {
        return gb_fail(&dev->error, GB_ERR_OOM, "qk_rope: no memory for the table of angles");
    }
    for (int64_t i = 0; i < half; i++) {
        const double frequency = pow(10000.0, -2.0 * (double)i / (double)D);
        for (int64_t t = 0; t < T; t++) {
            table[t * D + i] = (float)cos((double)t * frequency);
            table[t * D + half + i] = (float)sin((double)t * frequency);
        }
    }
    cudaError_t code =
        cudaMemcpyAsync(slot, table, (size_t)bytes, cudaMemcpyHostToDevice, dev->stream);
    if (code == cudaSuccess) {
        code = cudaStreamSynchronize(dev->stream);
    }
    free(table);
    CUDA_TRY(dev, "qk_rope", code);
    dev->rope_T = T;
    dev->rope_D = D;
    return GB_OK;
}

static gb_status rope_prepare(gb_device *dev, rope_args *a, int64_t B, int64_t T, int64_t H,
                              int64_t K, int64_t D)
{
    if (D % 2 != 0) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "qk_rope: head_dim %lld is odd", (long long)D);
    }
    a->heads = B * T * (H + K);
    a->T = T;
    a->D = D;
    a->normed = (int)(H + K);
    a->stride = (H + 2 * K) * D;
    return rope_table(dev, T, D, &a->table);
}

/* Sets the lanes of a head for accesses of W pairs; returns the grid. */
static cuda_grid rope_grid(rope_args *a, int W)
{
    const int64_t accesses = a->D / 2 / W;
    a->lanes = 1;
    while (a->lanes < 32 && a->lanes < accesses) {
        a->lanes *= 2;
    }
    return cuda_grid_of((a->heads * a->lanes + THREADS - 1) / THREADS, THREADS);
}

template <typename Act> static gb_status rope_forward(gb_device *dev, rope_args *a)
{
    constexpr int W = wide_access<Act>();
    if (cuda_aligned(a->D / 2 * (int64_t)sizeof(Act), a->x)) {
        const cuda_grid grid = rope_grid(a, W);
        return CUDA_LAUNCH(dev, "qk_rope_forward", (qk_rope_forward_kernel<Act, W>), grid, *a);
    }
    const cuda_grid grid = rope_grid(a, 1);
    return CUDA_LAUNCH(dev, "qk_rope_forward", (qk_rope_forward_kernel<Act, 1>), grid, *a);
}

template <typename Act> static gb_status rope_backward(gb_device *dev, rope_args *a)
{
    constexpr int W = wide_access<Act>();
    if (cuda_aligned(a->D / 2 * (int64_t)sizeof(Act), a->x, a->qkv)) {
        const cuda_grid grid = rope_grid(a, W);
        return CUDA_LAUNCH(dev, "qk_rope_backward", (qk_rope_backward_kernel<Act, W>), grid, *a);
    }
    const cuda_grid grid = rope_grid(a, 1);
    return CUDA_LAUNCH(dev, "qk_rope_backward", (qk_rope_backward_kernel<Act, 1>), grid, *a);
}

gb_status cuda_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                               int64_t T, int64_t H, int64_t K, int64_t D)
{
    rope_args a = {};
    a.x = qkv;
    a.inv_rms = qk_norm ? (float *)inv_rms : nullptr;
    GB_TRY(cuda_op_begin(dev, GB_OP_QK_ROPE));
    GB_TRY(rope_prepare(dev, &a, B, T, H, K, D));
    GB_TRY(dev->bf16 ? rope_forward<bf16>(dev, &a) : rope_forward<float>(dev, &a));
    return cuda_op_end(dev, 0);
}

gb_status cuda_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                                bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D)
{
    rope_args a = {};
    a.x = dqkv;
    a.qkv = qkv;
    a.saved = qk_norm ? (const float *)inv_rms : nullptr;
    GB_TRY(cuda_op_begin(dev, GB_OP_QK_ROPE));
    GB_TRY(rope_prepare(dev, &a, B, T, H, K, D));
    GB_TRY(dev->bf16 ? rope_backward<bf16>(dev, &a) : rope_backward<float>(dev, &a));
    return cuda_op_end(dev, 0);
}
