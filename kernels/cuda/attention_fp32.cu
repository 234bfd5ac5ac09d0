/* Causal attention without tensor cores: every product in fp32, one thread per few elements. This
 * is the path that checks are made with (fp32), and the fallback for bf16 heads whose width is not
 * a multiple of 8. Any even D up to 256, any T, any number of heads per key/value head, any window.
 *
 * A block of 256 threads works on 16 rows; thread (r, c) = (tid / 16, tid % 16) owns score (r, c)
 * of a tile and the columns c, c + 16, ... of row r of a result. The 16 threads of a row are half a
 * warp, so row sums are shuffles. Rows in shared memory have an odd stride: a half-warp that reads
 * one column of 16 rows meets 16 banks.
 *
 * Floors: forward 4*D*pairs*H*B FLOPs, (H+2K+H)*D*T*B act bytes; backward 14*D*pairs*H*B FLOPs
 * (scores and dP are computed in both kernels; 8*D are the gradient's own, 2*D the recomputed
 * scores) and (2*(H+2K)+2H)*D*T*B act bytes. */
#include "kernels/cuda/attention_common.cuh"

enum { TILE = 16, THREADS = TILE * TILE, MAX_D = 256, COLUMNS = MAX_D / TILE };

/* Rows [row0, row0 + TILE) of a head to tile (TILE, D + 1); zero behind row T. */
template <class act>
static __device__ void load_rows(float *tile, const act *head, int64_t stride, int row0, int T,
                                 int D)
{
    for (int i = (int)threadIdx.x; i < TILE * D; i += THREADS) {
        int r = i / D, d = i % D;
        tile[r * (D + 1) + d] = row0 + r < T ? to_float(head[(row0 + r) * stride + d]) : 0;
    }
}

static __device__ __forceinline__ float dot_rows(const float *a, const float *b, int D)
{
    float sum = 0;
    for (int d = 0; d < D; d++) {
        sum = fmaf(a[d], b[d], sum);
    }
    return sum;
}

/* acc[i] += sum over j of w[j] * tile[j][c + 16 i]. */
static __device__ __forceinline__ void add_weighted(float acc[COLUMNS], const float *w,
                                                    const float *tile, int c, int D)
{
    for (int j = 0; j < TILE; j++) {
        float x = w[j];
#pragma unroll
        for (int i = 0; i < COLUMNS; i++) {
            if (c + TILE * i < D) {
                acc[i] = fmaf(x, tile[j * (D + 1) + c + TILE * i], acc[i]);
            }
        }
    }
}

template <class act>
static __device__ __forceinline__ void store_row(act *row, const float acc[COLUMNS], float factor,
                                                 int c, int D)
{
#pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
        if (c + TILE * i < D) {
            row[c + TILE * i] = from_float<act>(acc[i] * factor);
        }
    }
}

/* Over the 16 threads of a row. */
static __device__ __forceinline__ float row_sum(float x)
{
    for (int step = TILE / 2; step > 0; step /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, step);
    }
    return x;
}

static __device__ __forceinline__ float row_max(float x)
{
    for (int step = TILE / 2; step > 0; step /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    }
    return x;
}

/* One block per (b, h, 16 queries). */
template <class act>
static __global__ void __launch_bounds__(THREADS) simple_forward(attention_args<act> a, float scale)
{
    const int D = a.D, ld = D + 1, n_tiles = (a.T + TILE - 1) / TILE;
    const int r = (int)threadIdx.x / TILE, c = (int)threadIdx.x % TILE;
    const int bh = (int)(blockIdx.x / n_tiles), q0 = (int)(blockIdx.x % n_tiles) * TILE;
    const attention_head<act> head = attention_head_at(a, bh / a.H, bh % a.H);
    float *q = reinterpret_cast<float *>(gb_dynamic_shared()); /* (TILE, ld) */
    float *kv = q + TILE * ld;                                 /* (TILE, ld): K, then V */
    float *p = kv + TILE * ld;                                 /* (TILE, TILE + 1) */
    float acc[COLUMNS] = {};
    float top = -INFINITY, total = 0; /* of row r; the same in its 16 threads */
    int first, last;
    attention_key_tiles(q0, TILE, TILE, a.T, a.window, &first, &last);
    load_rows(q, head.q, head.stride, q0, a.T, D);
    for (int tile = first; tile <= last; tile++) {
        const int k0 = tile * TILE;
        __syncthreads(); /* the previous tile has been used */
        load_rows(kv, head.k, head.stride, k0, a.T, D);
        __syncthreads();
        float s = attention_sees(q0 + r, k0 + c, a.window)
                      ? scale * dot_rows(q + r * ld, kv + c * ld, D)
                      : -INFINITY;
        float new_top = fmaxf(top, row_max(s));
        float used = new_top == -INFINITY ? 0 : new_top; /* a row may see nothing of this tile */
        float weight = expf(s - used), correction = expf(top - used);
        p[r * (TILE + 1) + c] = weight;
        total = total * correction + row_sum(weight);
        top = new_top;
        __syncthreads(); /* K has been used, p is there */
        load_rows(kv, head.v, head.stride, k0, a.T, D);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < COLUMNS; i++) {
            acc[i] *= correction;
        }
        add_weighted(acc, p + r * (TILE + 1), kv, c, D);
    }
    if (q0 + r < a.T) {
        store_row(a.out + head.out_at + (int64_t)(q0 + r) * a.H * D, acc, 1 / total, c, D);
        if (c == 0) {
            a.lse[head.row_at + q0 + r] = top + logf(total);
        }
    }
}

/* delta and dQ. One block per (b, h, 16 queries). */
template <class act>
static __global__ void __launch_bounds__(THREADS)
    simple_backward_queries(attention_args<act> a, float scale)
{
    const int D = a.D, ld = D + 1, n_tiles = (a.T + TILE - 1) / TILE;
    const int r = (int)threadIdx.x / TILE, c = (int)threadIdx.x % TILE;
    const int bh = (int)(blockIdx.x / n_tiles), q0 = (int)(blockIdx.x % n_tiles) * TILE;
    const int64_t out_stride = (int64_t)a.H * D;
    const attention_head<act> head = attention_head_at(a, bh / a.H, bh % a.H);
    float *q = reinterpret_cast<float *>(gb_dynamic_shared()); /* (TILE, ld) */
    float *dout = q + TILE * ld, *kv = dout + TILE * ld;       /* (TILE, ld) each */
    float *ds = kv + TILE * ld;                                /* (TILE, TILE + 1) */
    float acc[COLUMNS] = {};
    load_rows(q, head.q, head.stride, q0, a.T, D);
    load_rows(dout, a.dout + head.out_at, out_stride, q0, a.T, D);
    load_rows(kv, a.out + head.out_at, out_stride, q0, a.T, D);
    __syncthreads();
    float delta = 0, lse = q0 + r < a.T ? a.lse[head.row_at + q0 + r] : INFINITY;
    for (int d = c; d < D; d += TILE) {
        delta = fmaf(dout[r * ld + d], kv[r * ld + d], delta);
    }
    delta = row_sum(delta);
    if (c == 0 && q0 + r < a.T) {
        a.delta[head.row_at + q0 + r] = delta;
    }
    int first, last;
    attention_key_tiles(q0, TILE, TILE, a.T, a.window, &first, &last);
    for (int tile = first; tile <= last; tile++) {
        const int k0 = tile * TILE;
        __syncthreads();
        load_rows(kv, head.v, head.stride, k0, a.T, D);
        __syncthreads();
        float dp = dot_rows(dout + r * ld, kv + c * ld, D);
        __syncthreads();
        load_rows(kv, head.k, head.stride, k0, a.T, D);
        __syncthreads();
        float p = attention_sees(q0 + r, k0 + c, a.window)
                      ? expf(scale * dot_rows(q + r * ld, kv + c * ld, D) - lse)
                      : 0;
        ds[r * (TILE + 1) + c] = attention_score_gradient(q0 + r, p, dp, delta);
        __syncwarp();
        add_weighted(acc, ds + r * (TILE + 1), kv, c, D);
    }
    if (q0 + r < a.T) {
        store_row(a.dqkv + head.q_at + (q0 + r) * head.stride, acc, scale, c, D);
    }
}

/* dK and dV, over the query heads of the group one after another. One block per (b, kv head, 16
 * keys). */
template <class act>
static __global__ void __launch_bounds__(THREADS)
    simple_backward_keys(attention_args<act> a, float scale)
{
    const int D = a.D, ld = D + 1, n_tiles = (a.T + TILE - 1) / TILE, group = a.H / a.K;
    const int r = (int)threadIdx.x / TILE, c = (int)threadIdx.x % TILE;
    const int bk = (int)(blockIdx.x / n_tiles), k0 = (int)(blockIdx.x % n_tiles) * TILE;
    const int64_t out_stride = (int64_t)a.H * D;
    attention_head<act> head = attention_head_at(a, bk / a.K, bk % a.K * group);
    float *k = reinterpret_cast<float *>(gb_dynamic_shared()); /* (TILE, ld) */
    float *v = k + TILE * ld, *rows = v + TILE * ld;           /* (TILE, ld) each */
    float *w = rows + TILE * ld;                               /* (TILE, TILE + 1) */
    float dk[COLUMNS] = {}, dv[COLUMNS] = {};
    int first, last;
    attention_query_tiles(k0, TILE, TILE, a.T, a.window, &first, &last);
    load_rows(k, head.k, head.stride, k0, a.T, D);
    load_rows(v, head.v, head.stride, k0, a.T, D);
    for (int i = 0; i < group * (last - first + 1); i++) {
        const int h = bk % a.K * group + i / (last - first + 1);
        const int q0 = (first + i % (last - first + 1)) * TILE, row = q0 + c;
        head = attention_head_at(a, bk / a.K, h);
        const float lse = row < a.T ? a.lse[head.row_at + row] : INFINITY;
        const float delta = row < a.T ? a.delta[head.row_at + row] : 0;
        __syncthreads();
        load_rows(rows, head.q, head.stride, q0, a.T, D);
        __syncthreads();
        float p = row < a.T && attention_sees(row, k0 + r, a.window)
                      ? expf(scale * dot_rows(k + r * ld, rows + c * ld, D) - lse)
                      : 0;
        __syncthreads();
        load_rows(rows, a.dout + head.out_at, out_stride, q0, a.T, D);
        w[r * (TILE + 1) + c] = p;
        __syncthreads();
        float ds = attention_score_gradient(row, p, dot_rows(v + r * ld, rows + c * ld, D), delta);
        add_weighted(dv, w + r * (TILE + 1), rows, c, D);
        __syncthreads();
        load_rows(rows, head.q, head.stride, q0, a.T, D);
        w[r * (TILE + 1) + c] = ds;
        __syncthreads();
        add_weighted(dk, w + r * (TILE + 1), rows, c, D);
    }
    if (k0 + r < a.T) {
        store_row(a.dqkv + head.k_at + (k0 + r) * head.stride, dk, scale, c, D);
        store_row(a.dqkv + head.v_at + (k0 + r) * head.stride, dv, 1, c, D);
    }
}

static size_t shared_bytes(int tiles, int D)
{
    return sizeof(float) * (size_t)(tiles * TILE * (D + 1) + TILE * (TILE + 1));
}

template <class act> static int64_t row_tiles(const attention_args<act> &a)
{
    return (a.T + TILE - 1) / TILE;
}

template <class act> static gb_status forward(gb_device *dev, const attention_args<act> &a)
{
    const cuda_grid grid =
        cuda_grid_of((int64_t)a.B * a.H * row_tiles(a), THREADS, 1, shared_bytes(2, a.D));
    return CUDA_LAUNCH(dev, "attention", simple_forward<act>, grid, a, attention_scale(a.D));
}

template <class act> static gb_status backward(gb_device *dev, const attention_args<act> &a)
{
    const size_t bytes = shared_bytes(3, a.D);
    const float scale = attention_scale(a.D);
    GB_TRY(CUDA_LAUNCH(dev, "attention", simple_backward_queries<act>,
                       cuda_grid_of((int64_t)a.B * a.H * row_tiles(a), THREADS, 1, bytes), a,
                       scale));
    return CUDA_LAUNCH(dev, "attention", simple_backward_keys<act>,
                       cuda_grid_of((int64_t)a.B * a.K * row_tiles(a), THREADS, 1, bytes), a,
                       scale);
}

gb_status cuda_attention_simple_forward(gb_device *dev, const attention_args<float> &a)
{
    return forward(dev, a);
}

gb_status cuda_attention_simple_forward(gb_device *dev, const attention_args<bf16> &a)
{
    return forward(dev, a);
}

gb_status cuda_attention_simple_backward(gb_device *dev, const attention_args<float> &a)
{
    return backward(dev, a);
}

gb_status cuda_attention_simple_backward(gb_device *dev, const attention_args<bf16> &a)
{
    return backward(dev, a);
}
