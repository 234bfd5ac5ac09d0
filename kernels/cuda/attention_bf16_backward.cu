/* Flash attention backward in bf16 on tensor cores (mma.sync m16n8k16, sm_80 and later), in two
 * kernels, each of which owns what it writes: no atomics, the same bits every time.
 *
 *   queries  a block owns bm queries of one (b, h), computes delta = rowsum(dout * out) and walks
 *            the key tiles that they see:
 *            dS = P * (dout V^T - delta),   dQ = dS K / sqrt D
 *   keys     a block owns bn keys of one (b, kv head) and walks, for each query head of the group,
 *            the query tiles that see them:
 *            dV = P^T dout,   dK = dS^T Q / sqrt D
 *
 * The keys kernel computes S and dS transposed (keys are the rows), so that in both kernels the
 * weights go from accumulator to operand of the next product without leaving their lane, and no
 * sums cross warps. P = exp(S / sqrt D - lse) needs no running maximum. P and dS are rounded to
 * bf16 as factors; all sums are fp32.
 *
 * Floors: 8*D*pairs*H*B FLOPs of gradients; with S, and once more S and dP, recomputed
 * 14*D*pairs*H*B are issued (queries 6, keys 8). Bytes 2*(2*(H+2K) + 2H)*D*T*B + 8*H*T*B: q, k, v,
 * out, dout, dqkv and lse, delta; dout, q, k, v are read by both kernels.
 *
 * Above dp = 128 the sums of dK and dV would not fit into registers: blocks then own half of their
 * columns, and S and dP are computed in both halves. */
#include "kernels/cuda/attention_gradients.cuh"

/* Tile sizes for padded width dp. Registers of the sums per thread: dp / 2 + bn. */
template <int dp_> struct query_tiles {
    static constexpr int dp = dp_;
    static constexpr int warps = 4;
    static constexpr int bm = 16 * warps;
    static constexpr int bn = dp <= 96 ? 64 : 32;
    static constexpr bool rows_in_registers = dp <= 64;
    static constexpr int stages = dp <= 160 ? 2 : 1;
    static constexpr int threads = 32 * warps;
    static constexpr int shared_bytes = tile_bytes(2 * bm + stages * 2 * bn, dp);
    static_assert(shared_bytes <= MAX_SHARED_BYTES, "tiles do not fit");
};

/* As above; registers of the sums per thread: width + bm. */
template <int dp_> struct key_tiles {
    static constexpr int dp = dp_;
    static constexpr int parts = dp <= 128 ? 1 : 2; /* of the columns of dK and dV */
    static constexpr int width = dp / parts;
    static constexpr int warps = dp <= 192 ? 4 : 3;
    static constexpr int bn = 16 * warps;
    static constexpr int bm = dp <= 64 ? 64 : 32;
    static constexpr bool rows_in_registers = dp <= 64;
    static constexpr int stages = dp <= 160 ? 2 : 1;
    static constexpr int threads = 32 * warps;
    static constexpr int shared_bytes =
        tile_bytes(2 * bn + stages * 2 * bm, dp) + stages * 2 * bm * (int)sizeof(float);
    static_assert(shared_bytes <= MAX_SHARED_BYTES, "tiles do not fit");
    static_assert(width % 16 == 0, "halves of dK and dV are whole fragments");
};

/* dout . out of one row of D, by the four lanes of a quad together. */
static __device__ __forceinline__ float quad_dot(const bf16 *x, const bf16 *y, int D)
{
    float sum = 0;
    for (int d = (int)threadIdx.x % 4 * 8; d < D; d += 32) {
        float u[8], v[8];
        load<bf16, 8>(u, x + d);
        load<bf16, 8>(v, y + d);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            sum = fmaf(u[i], v[i], sum);
        }
    }
    return quad_sum(sum);
}

template <class tiles>
static __global__ void __launch_bounds__(tiles::threads)
    flash_backward_queries(attention_args<bf16> a, float scale)
{
    constexpr int dp = tiles::dp, bm = tiles::bm, bn = tiles::bn, stages = tiles::stages;
    constexpr int tile_elements = bn * (dp + PAD);
    const int n_tiles = (a.T + bm - 1) / bm;
    const int bh = (int)(blockIdx.x / n_tiles);
    const int q0 = (n_tiles - 1 - (int)(blockIdx.x % n_tiles)) * bm;
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int64_t out_stride = (int64_t)a.H * a.D;
    const attention_head<bf16> head = attention_head_at(a, bh / a.H, bh % a.H);
    const float scale2 = scale * LOG2_E;
    bf16 *q_tile = reinterpret_cast<bf16 *>(gb_dynamic_shared()); /* (bm, dp + PAD) */
    bf16 *dout_tile = q_tile + bm * (dp + PAD);                   /* (bm, dp + PAD) */
    bf16 *kv_tiles = dout_tile + bm * (dp + PAD);                 /* stages of K, V */
    int first, last;
    attention_key_tiles(q0, bm, bn, a.T, a.window, &first, &last);

    const auto load_step = [&](int tile) {
        bf16 *stage = kv_tiles + (tile - first) % stages * 2 * tile_elements;
        tile_load<dp, bn, tiles::threads>(stage, head.k, head.stride, tile * bn, a.T, a.D);
        tile_load<dp, bn, tiles::threads>(stage + tile_elements, head.v, head.stride, tile * bn,
                                          a.T, a.D);
    };
    tile_load<dp, bm, tiles::threads>(q_tile, head.q, head.stride, q0, a.T, a.D);
    tile_load<dp, bm, tiles::threads>(dout_tile, a.dout + head.out_at, out_stride, q0, a.T, a.D);
    ptx_cp_async_commit();
    load_step(first);
    ptx_cp_async_commit();

    float lse2[2], delta[2]; /* of rows g and g + 8; lse in bits */
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = q0 + 16 * warp + lane / 4 + 8 * half;
        const int64_t at = head.out_at + (row < a.T ? row : a.T - 1) * out_stride;
        delta[half] = quad_dot(a.dout + at, a.out + at, a.D);
        lse2[half] = row < a.T ? a.lse[head.row_at + row] * LOG2_E : INFINITY;
        if (row < a.T && lane % 4 == 0) {
            a.delta[head.row_at + row] = delta[half];
        }
    }
    row_fragments<dp, 1, tiles::rows_in_registers> q, dout;
    ptx_cp_async_wait<1>(); /* Q and dout are there */
    __syncthreads();
    q.init(q_tile, 16 * warp);
    dout.init(dout_tile, 16 * warp);
    float dq[1][dp / 8][4] = {};
    for (int tile = first; tile <= last; tile++) {
        const int k0 = tile * bn;
        const bf16 *k_tile = kv_tiles + (tile - first) % stages * 2 * tile_elements;
        if (stages == 2 && tile < last) {
            load_step(tile + 1);
        }
        ptx_cp_async_commit();
        ptx_cp_async_wait<stages - 1>();
        __syncthreads();
        float s[1][bn / 8][4], ds[1][bn / 8][4];
        product_rows<dp, 1, bn>(s, q, k_tile);
        product_rows<dp, 1, bn>(ds, dout, k_tile + tile_elements);
        const int row0 = q0 + 16 * warp;
        if (attention_cuts(row0, 16, k0, bn, a.window)) {
            query_weights<true, bn>(s[0], lse2, scale2, row0, k0, a.window);
            query_gradients<true, bn>(ds[0], s[0], delta, row0);
        } else {
            query_weights<false, bn>(s[0], lse2, scale2, row0, k0, a.window);
            query_gradients<false, bn>(ds[0], s[0], delta, row0);
        }
        product_columns<dp, 1, bn, dp>(dq, ds, k_tile, 0);
        __syncthreads();
        if (stages == 1 && tile < last) {
            load_step(tile + 1);
        }
    }
    store_rows<dp, dp>(q_tile + 16 * warp * (dp + PAD), a.dqkv + head.q_at, head.stride,
                       q0 + 16 * warp, a.T, 0, a.D, dq[0], scale, scale);
}

template <class tiles>
static __global__ void __launch_bounds__(tiles::threads)
    flash_backward_keys(attention_args<bf16> a, float scale)
{
    constexpr int dp = tiles::dp, bm = tiles::bm, bn = tiles::bn, stages = tiles::stages;
    constexpr int width = tiles::width;
    constexpr int tile_elements = bm * (dp + PAD);
    const int n_tiles = (a.T + bn - 1) / bn, group = a.H / a.K;
    const int part = (int)(blockIdx.x % tiles::parts);
    const int k0 = (int)(blockIdx.x / tiles::parts % n_tiles) * bn;
    const int bk = (int)(blockIdx.x / tiles::parts / n_tiles);
    const int b = bk / a.K, h0 = bk % a.K * group;
    const int warp = (int)threadIdx.x / 32;
    const attention_head<bf16> first_head = attention_head_at(a, b, h0);
    const float scale2 = scale * LOG2_E;
    bf16 *k_tile = reinterpret_cast<bf16 *>(gb_dynamic_shared()); /* (bn, dp + PAD) */
    bf16 *v_tile = k_tile + bn * (dp + PAD);                      /* (bn, dp + PAD) */
    bf16 *q_tiles = v_tile + bn * (dp + PAD);                     /* stages of Q, dout */
    float *row_values = reinterpret_cast<float *>(q_tiles + stages * 2 * tile_elements);
    int first, last;
    attention_query_tiles(k0, bn, bm, a.T, a.window, &first, &last);
    const int per_head = last - first + 1, steps = group * per_head;

    /* Step i: query head i / per_head of the group, its query tile i % per_head, which the loads
     * and the products each count along. */
    int load_head = 0, load_tile = first;
    const auto load_step = [&](int i) {
        const attention_head<bf16> head = attention_head_at(a, b, h0 + load_head);
        const int q0 = load_tile * bm;
        load_head += load_tile == last;
        load_tile = load_tile == last ? first : load_tile + 1;
        bf16 *stage = q_tiles + i % stages * 2 * tile_elements;
        tile_load<dp, bm, tiles::threads>(stage, head.q, head.stride, q0, a.T, a.D);
        tile_load<dp, bm, tiles::threads>(stage + tile_elements, a.dout + head.out_at,
                                          (int64_t)a.H * a.D, q0, a.T, a.D);
        /* lse (bm), delta (bm). Queries behind T get zeros, as in Q and dout: they add nothing. */
        float *values = row_values + i % stages * 2 * bm;
        const int r = (int)threadIdx.x;
        static_assert(2 * bm <= tiles::threads, "one value each");
        if (r < 2 * bm) {
            const int query = q0 + r % bm;
            const float *from = (r < bm ? a.lse : a.delta) + head.row_at + query;
            ptx_cp_async_4(values + r, from, query < a.T);
        }
    };
    tile_load<dp, bn, tiles::threads>(k_tile, first_head.k, first_head.stride, k0, a.T, a.D);
    tile_load<dp, bn, tiles::threads>(v_tile, first_head.v, first_head.stride, k0, a.T, a.D);
    ptx_cp_async_commit();
    load_step(0);
    ptx_cp_async_commit();

    row_fragments<dp, 1, tiles::rows_in_registers> k, v;
    ptx_cp_async_wait<1>(); /* K and V are there */
    __syncthreads();
    k.init(k_tile, 16 * warp);
    v.init(v_tile, 16 * warp);
    float dk[1][width / 8][4] = {}, dv[1][width / 8][4] = {};
    for (int i = 0, tile = first; i < steps; i++, tile = tile == last ? first : tile + 1) {
        const int q0 = tile * bm;
        const bf16 *q_tile = q_tiles + i % stages * 2 * tile_elements;
        const float *values = row_values + i % stages * 2 * bm;
        if (stages == 2 && i + 1 < steps) {
            load_step(i + 1);
        }
        ptx_cp_async_commit();
        ptx_cp_async_wait<stages - 1>();
        __syncthreads();
        float p[1][bm / 8][4], ds[1][bm / 8][4]; /* keys are the rows, queries the columns */
        product_rows<dp, 1, bm>(p, k, q_tile);
        const bool cut = attention_cuts(q0, bm, k0 + 16 * warp, 16, a.window);
        if (cut) {
            key_weights<true, bm>(p[0], values, scale2, k0 + 16 * warp, q0, a.window);
        } else {
            key_weights<false, bm>(p[0], values, scale2, k0 + 16 * warp, q0, a.window);
        }
        product_columns<dp, 1, bm, width>(dv, p, q_tile + tile_elements, part * width);
        product_rows<dp, 1, bm>(ds, v, q_tile + tile_elements);
        if (q0 == 0) {
            key_gradients<true, bm>(ds[0], p[0], values + bm);
        } else {
            key_gradients<false, bm>(ds[0], p[0], values + bm);
        }
        product_columns<dp, 1, bm, width>(dk, ds, q_tile, part * width);
        __syncthreads();
        if (stages == 1 && i + 1 < steps) {
            load_step(i + 1);
        }
    }
    store_rows<dp, width>(k_tile + 16 * warp * (dp + PAD), a.dqkv + first_head.k_at,
                          first_head.stride, k0 + 16 * warp, a.T, part * width, a.D, dk[0], scale,
                          scale);
    store_rows<dp, width>(v_tile + 16 * warp * (dp + PAD), a.dqkv + first_head.v_at,
                          first_head.stride, k0 + 16 * warp, a.T, part * width, a.D, dv[0], 1, 1);
}

template <int dp> static gb_status launch(gb_device *dev, const attention_args<bf16> &a)
{
    using queries = query_tiles<dp>;
    using keys = key_tiles<dp>;
    const float scale = attention_scale(a.D);
    const int64_t query_blocks = (int64_t)a.B * a.H * ((a.T + queries::bm - 1) / queries::bm);
    const int64_t key_blocks = (int64_t)a.B * a.K * ((a.T + keys::bn - 1) / keys::bn) * keys::parts;
    GB_TRY(CUDA_LAUNCH(dev, "attention", flash_backward_queries<queries>,
                       cuda_grid_of(query_blocks, queries::threads, 1, queries::shared_bytes), a,
                       scale));
    return CUDA_LAUNCH(dev, "attention", flash_backward_keys<keys>,
                       cuda_grid_of(key_blocks, keys::threads, 1, keys::shared_bytes), a, scale);
}

gb_status cuda_attention_flash_backward(gb_device *dev, const attention_args<bf16> &a)
{
#define RUN(dp) return launch<dp>(dev, a)
    ATTENTION_FOR_WIDTH(a.D, RUN);
#undef RUN
}
