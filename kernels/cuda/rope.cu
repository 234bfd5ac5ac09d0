/* Query-key norm and rotary positions, in place on the query and key heads of qkv. */
#include <math.h>
#include <stdlib.h>

#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

#define QK_EPS 1e-6f

struct rope_args {
    void *x;             /* qkv, or dqkv backward */
    const void *qkv;     /* backward with norm: as forward left it */
    float *inv_rms;      /* (N, H + K), written; NULL without norm */
    const float *saved;  /* (N, H + K), read backward; NULL without norm */
    const float *table;  /* (T, D): D/2 cosines, D/2 sines */
    uint32_t heads;      /* of this launch: rows (H + K) */
    uint32_t position;   /* of its first row, below T */
    cuda_divisor normed; /* by H + K */
    cuda_divisor T;      /* by T */
    int D;
    float per_element;    /* 1 / D */
    int64_t stride;       /* (H + 2K) D */
    int lanes, lane_bits; /* of a head: a power of two, at most 32 */
};

/* What one lane works on. Lanes behind the last head repeat it without writing, so that every
 * shuffle has its whole warp. */
struct rope_place {
    uint32_t head;  /* n (H + K) + h */
    int64_t offset; /* of the head in x */
    const float *cosines, *sines;
    int lane;
    bool live;
};

static __device__ __forceinline__ rope_place rope_find(const rope_args &a)
{
    rope_place p;
    const uint32_t index = grid_index_32() >> a.lane_bits;
    p.lane = (int)threadIdx.x & (a.lanes - 1);
    p.live = index < a.heads;
    p.head = p.live ? index : a.heads - 1;
    const uint32_t n = cuda_quotient(p.head, a.normed);
    const uint32_t h = p.head - n * a.normed.by, t = a.position + n;
    p.offset = n * a.stride + (int64_t)h * a.D;
    p.cosines = a.table + (size_t)(t - cuda_quotient(t, a.T) * a.T.by) * (unsigned)a.D;
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

/* W pairs of a head, or of its gradient: elements i.. of its first half and of its second. */
template <typename Act, int W> struct rope_pairs {
    packed<Act, W> first, second;
};

template <typename Act, int W>
static __device__ __forceinline__ void load_pairs(rope_pairs<Act, W> *p, const Act *head, int i,
                                                  int half)
{
    load_packed(&p->first, head + i);
    load_packed(&p->second, head + half + i);
}

/* The sum of products of two sets of pairs. */
template <typename Act, int W>
static __device__ __forceinline__ float dot(const rope_pairs<Act, W> &a,
                                            const rope_pairs<Act, W> &b)
{
    float a1[W], a2[W], b1[W], b2[W], sum = 0;
    unpack(a1, a.first);
    unpack(a2, a.second);
    unpack(b1, b.first);
    unpack(b2, b.second);
#pragma unroll
    for (int j = 0; j < W; j++) {
        sum += a1[j] * b1[j] + a2[j] * b2[j];
    }
    return sum;
}

/* About 10 N (H + K) D FLOPs; 2 N (H + K) D A bytes, A = sizeof(act), and the table of 4 T D bytes
 * once. W pairs per access; D/2 is a multiple of W, so that the table's halves of rows start at
 * multiples of W floats. ONCE: a lane has one access at most, which it keeps. */
template <typename Act, int W, bool ONCE>
__global__ void __launch_bounds__(THREADS) qk_rope_forward_kernel(rope_args a)
{
    const rope_place p = rope_find(a);
    const int half = a.D / 2, step = a.lanes * W;
    Act *x = (Act *)a.x + p.offset;
    rope_pairs<Act, W> pairs;
    float u1[W], u2[W], cosine[W], sine[W], inv = 1;
    if (ONCE && p.lane * W < half) {
        load_pairs(&pairs, x, p.lane * W, half);
        load<float, W>(cosine, p.cosines + p.lane * W);
        load<float, W>(sine, p.sines + p.lane * W);
    }
    if (a.inv_rms != nullptr) {
        float squares = 0;
        for (int i = p.lane * W; i < half; i += step) {
            if (!ONCE) {
                load_pairs(&pairs, x, i, half);
            }
            squares += dot(pairs, pairs);
            if (ONCE) {
                break;
            }
        }
        inv = rsqrtf(head_sum(squares, a.lanes) * a.per_element + QK_EPS);
        if (p.live && p.lane == 0) {
            a.inv_rms[p.head] = inv;
        }
    }
    if (!p.live) {
        return;
    }
    for (int i = p.lane * W; i < half; i += step) {
        if (!ONCE) {
            load_pairs(&pairs, x, i, half);
            load<float, W>(cosine, p.cosines + i);
            load<float, W>(sine, p.sines + i);
        }
        unpack(u1, pairs.first);
        unpack(u2, pairs.second);
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float x1 = u1[j] * inv, x2 = u2[j] * inv;
            u1[j] = x1 * cosine[j] + x2 * sine[j];
            u2[j] = x2 * cosine[j] - x1 * sine[j];
        }
        store<Act, W>(x + i, u1);
        store<Act, W>(x + half + i, u2);
        if (ONCE) {
            break;
        }
    }
}

/* About 14 N (H + K) D FLOPs; 2 N (H + K) D A bytes, 3 with norm. A rotation keeps products, so
 * the norm's mean(du u) is mean(dy y) of the rotated vectors, and with R the rotation
 * dx = inv_rms R^T (dy - y mean(dy y)). */
template <typename Act, int W, bool ONCE>
__global__ void __launch_bounds__(THREADS) qk_rope_backward_kernel(rope_args a)
{
    const rope_place p = rope_find(a);
    const int half = a.D / 2, step = a.lanes * W;
    const bool norm = a.saved != nullptr;
    Act *d = (Act *)a.x + p.offset;
    const Act *y = (const Act *)a.qkv + p.offset;
    rope_pairs<Act, W> grads, rotated = {};
    float d1[W], d2[W], y1[W], y2[W], cosine[W], sine[W], inv = 1, mean = 0;
    if (ONCE && p.lane * W < half) {
        load_pairs(&grads, (const Act *)d, p.lane * W, half);
        load<float, W>(cosine, p.cosines + p.lane * W);
        load<float, W>(sine, p.sines + p.lane * W);
    }
    if (norm) {
        float product = 0;
        for (int i = p.lane * W; i < half; i += step) {
            if (!ONCE) {
                load_pairs(&grads, (const Act *)d, i, half);
            }
            load_pairs(&rotated, y, i, half);
            product += dot(grads, rotated);
            if (ONCE) {
                break;
            }
        }
        mean = head_sum(product, a.lanes) * a.per_element;
        inv = a.saved[p.head];
    }
    if (!p.live) {
        return;
    }
    for (int i = p.lane * W; i < half; i += step) {
        if (!ONCE) {
            load_pairs(&grads, (const Act *)d, i, half);
            if (norm) {
                load_pairs(&rotated, y, i, half);
            }
            load<float, W>(cosine, p.cosines + i);
            load<float, W>(sine, p.sines + i);
        }
        unpack(d1, grads.first);
        unpack(d2, grads.second);
        unpack(y1, rotated.first);
        unpack(y2, rotated.second);
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float e1 = norm ? inv * (d1[j] - y1[j] * mean) : d1[j];
            const float e2 = norm ? inv * (d2[j] - y2[j] * mean) : d2[j];
            d1[j] = e1 * cosine[j] - e2 * sine[j];
            d2[j] = e1 * sine[j] + e2 * cosine[j];
        }
        store<Act, W>(d + i, d1);
        store<Act, W>(d + half + i, d2);
        if (ONCE) {
            break;
        }
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

/* Launches `kernel` over B T rows of heads, each by as many lanes as it has accesses of W pairs,
 * or 32. */
template <typename Act, int W>
static gb_status rope_run(gb_device *dev, const char *op, void (*kernel)(rope_args), rope_args a,
                          int64_t rows)
{
    a.lanes = 1;
    a.lane_bits = 0;
    while (a.lanes < 32 && a.lanes < a.D / 2 / W) {
        a.lanes *= 2;
        a.lane_bits++;
    }
    void *const x = a.x;
    const void *const qkv = a.qkv;
    float *const inv_rms = a.inv_rms;
    const float *const saved = a.saved;
    const int64_t heads = a.normed.by, most = cuda_rows_at_once(dev, heads * a.lanes);
    for (int64_t n = 0; n < rows; n += most) {
        const int64_t at_once = rows - n < most ? rows - n : most;
        a.heads = (uint32_t)(at_once * heads);
        a.position = (uint32_t)(n % a.T.by);
        a.x = (Act *)x + n * a.stride;
        a.qkv = qkv == nullptr ? nullptr : (const Act *)qkv + n * a.stride;
        a.inv_rms = inv_rms == nullptr ? nullptr : inv_rms + n * heads;
        a.saved = saved == nullptr ? nullptr : saved + n * heads;
        GB_TRY(CUDA_LAUNCH(
            dev, op, kernel,
            cuda_grid_of((at_once * heads * a.lanes + THREADS - 1) / THREADS, THREADS), a));
    }
    return GB_OK;
}

/* Whether a lane has one access of W pairs at most. */
static bool rope_once(const rope_args &a, int W)
{
    return a.D / 2 <= 32 * W;
}

template <typename Act>
static gb_status rope_forward(gb_device *dev, const rope_args &a, int64_t rows)
{
    constexpr int W = wide_access<Act>();
    const char *op = "qk_rope_forward";
    if (!cuda_aligned(a.D / 2 * (int64_t)sizeof(Act), a.x)) {
        return rope_run<Act, 1>(dev, op, qk_rope_forward_kernel<Act, 1, false>, a, rows);
    }
    return rope_run<Act, W>(dev, op,
                            rope_once(a, W) ? qk_rope_forward_kernel<Act, W, true>
                                            : qk_rope_forward_kernel<Act, W, false>,
                            a, rows);
}

template <typename Act>
static gb_status rope_backward(gb_device *dev, const rope_args &a, int64_t rows)
{
    constexpr int W = wide_access<Act>();
    const char *op = "qk_rope_backward";
    if (!cuda_aligned(a.D / 2 * (int64_t)sizeof(Act), a.x, a.qkv)) {
        return rope_run<Act, 1>(dev, op, qk_rope_backward_kernel<Act, 1, false>, a, rows);
    }
    return rope_run<Act, W>(dev, op,
                            rope_once(a, W) ? qk_rope_backward_kernel<Act, W, true>
                                            : qk_rope_backward_kernel<Act, W, false>,
                            a, rows);
}

static gb_status rope_prepare(gb_device *dev, rope_args *a, int64_t T, int64_t H, int64_t K,
                              int64_t D)
{
    if (D % 2 != 0) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "qk_rope: head_dim %lld is odd", (long long)D);
    }
    a->T = cuda_divisor_of(T);
    a->normed = cuda_divisor_of(H + K);
    a->D = (int)D;
    a->per_element = 1.0f / (float)D;
    a->stride = (H + 2 * K) * D;
    return rope_table(dev, T, D, &a->table);
}

gb_status cuda_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                               int64_t T, int64_t H, int64_t K, int64_t D)
{
    rope_args a = {};
    a.x = qkv;
    a.inv_rms = qk_norm ? (float *)inv_rms : nullptr;
    GB_TRY(cuda_op_begin(dev, GB_OP_QK_ROPE));
    GB_TRY(rope_prepare(dev, &a, T, H, K, D));
    GB_TRY(dev->bf16 ? rope_forward<bf16>(dev, a, B * T) : rope_forward<float>(dev, a, B * T));
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
    GB_TRY(rope_prepare(dev, &a, T, H, K, D));
    GB_TRY(dev->bf16 ? rope_backward<bf16>(dev, a, B * T) : rope_backward<float>(dev, a, B * T));
    return cuda_op_end(dev, 0);
}
