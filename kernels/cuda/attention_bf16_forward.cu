/* Flash attention forward in bf16 on tensor cores (mma.sync m16n8k16, sm_80 and later).
 *
 * A block owns bm queries of one (b, h) and walks the key tiles that they see: causal tiles behind
 * the diagonal and tiles outside the window are never loaded. Each warp owns 16 m query rows and
 * all bn keys of a tile, so softmax needs no exchange between warps: S = Q K^T stays in registers,
 * the running row maximum and sum are kept online in fp32, and P goes from accumulator to operand
 * of P V without leaving its lane. K and V tiles of the next step are copied (cp.async) while this
 * one is worked on. Query heads of one group read the same K and V; nothing is copied.
 *
 * exp is 2^x with log2(e) / sqrt(D) folded into one multiply-add; lse is a natural logarithm.
 *
 * Floors: 4*D*pairs*H*B FLOPs; 2*(2H+2K)*D*T*B + 4*H*T*B bytes (q, k, v, out, lse). What is issued
 * beyond that: D padded to dp, and whole tiles along the diagonal and the window's edge. */
#include "kernels/cuda/attention_mma.cuh"

/* Tile sizes for padded width dp. Registers of the sums per thread: m * (dp / 2 + bn / 2). */
template <int dp_> struct forward_tiles {
    static constexpr int dp = dp_;
    static constexpr int m = dp <= 64 ? 2 : 1; /* 16-row fragments per warp */
    static constexpr int warps = 4;
    static constexpr int bm = 16 * m * warps;
    static constexpr int bn = dp <= 128 ? 64 : 32;
    static constexpr bool q_in_registers = dp <= 48 || (dp > 64 && dp <= 128);
    static constexpr int threads = 32 * warps;
    static constexpr int shared_bytes = tile_bytes(bm, dp) + 4 * tile_bytes(bn, dp);
    static_assert(shared_bytes <= MAX_SHARED_BYTES, "tiles do not fit");
};

template <class tiles>
static __global__ void __launch_bounds__(tiles::threads)
    flash_forward(attention_args<bf16> a, float scale)
{
    constexpr int dp = tiles::dp, m = tiles::m, bm = tiles::bm, bn = tiles::bn;
    constexpr int tile_elements = bn * (dp + PAD);
    const int n_tiles = (a.T + bm - 1) / bm;
    const int bh = (int)(blockIdx.x / n_tiles);
    /* The last queries see most keys: their blocks start first. */
    const int q0 = (n_tiles - 1 - (int)(blockIdx.x % n_tiles)) * bm;
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int warp_row = 16 * m * warp;
    const attention_head<bf16> head = attention_head_at(a, bh / a.H, bh % a.H);
    const float scale2 = scale * LOG2_E;
    bf16 *q_tile = reinterpret_cast<bf16 *>(gb_dynamic_shared()); /* (bm, dp + PAD) */
    bf16 *kv_tiles = q_tile + bm * (dp + PAD);                    /* 2 stages of K, V */
    int first, last;
    attention_key_tiles(q0, bm, bn, a.T, a.window, &first, &last);

    tile_load<dp, bm, tiles::threads>(q_tile, head.q, head.stride, q0, a.T, a.D);
    ptx_cp_async_commit();
    tile_load<dp, bn, tiles::threads>(kv_tiles, head.k, head.stride, first * bn, a.T, a.D);
    tile_load<dp, bn, tiles::threads>(kv_tiles + tile_elements, head.v, head.stride, first * bn,
                                      a.T, a.D);
    ptx_cp_async_commit();

    row_fragments<dp, m, tiles::q_in_registers> q;
    ptx_cp_async_wait<1>(); /* Q is there, K and V may not be */
    __syncthreads();
    q.init(q_tile, warp_row);
    float acc[m][dp / 8][4] = {}, top[m][2], total[m][2];
#pragma unroll
    for (int i = 0; i < m; i++) {
        top[i][0] = top[i][1] = -INFINITY;
        total[i][0] = total[i][1] = 0;
    }
    for (int tile = first; tile <= last; tile++) {
        const int k0 = tile * bn;
        const bf16 *k_tile = kv_tiles + (tile - first) % 2 * 2 * tile_elements;
        if (tile < last) {
            bf16 *next = kv_tiles + (tile - first + 1) % 2 * 2 * tile_elements;
            tile_load<dp, bn, tiles::threads>(next, head.k, head.stride, k0 + bn, a.T, a.D);
            tile_load<dp, bn, tiles::threads>(next + tile_elements, head.v, head.stride, k0 + bn,
                                              a.T, a.D);
        }
        ptx_cp_async_commit();
        ptx_cp_async_wait<1>();
        __syncthreads();
        float s[m][bn / 8][4];
        product_rows<dp, m, bn>(s, q, k_tile);
        const bool cut = attention_cuts(q0 + warp_row, 16 * m, k0, bn, a.window);
#pragma unroll
        for (int i = 0; i < m; i++) {
            float correction[2];
            if (cut) {
                mask_keys<bn>(s[i], q0 + warp_row + 16 * i, k0, a.window);
            }
            softmax_step<bn>(s[i], top[i], total[i], correction, scale2);
#pragma unroll
            for (int n = 0; n < dp / 8; n++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    acc[i][n][e] *= correction[e / 2];
                }
            }
        }
        product_columns<dp, m, bn, dp>(acc, s, k_tile + tile_elements, 0);
        __syncthreads(); /* the next step overwrites this stage */
    }

#pragma unroll
    for (int i = 0; i < m; i++) {
        float inverse[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = q0 + warp_row + 16 * i + lane / 4 + 8 * half;
            const float sum = quad_sum(total[i][half]);
            inverse[half] = sum > 0 ? 1 / sum : sum; /* rows behind T may see nothing; NaN stays */
            if (row < a.T && lane % 4 == 0) {
                a.lse[head.row_at + row] = top[i][half] * scale + logf(sum);
            }
        }
        store_rows<dp, dp>(q_tile + (warp_row + 16 * i) * (dp + PAD), a.out + head.out_at,
                           (int64_t)a.H * a.D, q0 + warp_row + 16 * i, a.T, 0, a.D, acc[i],
                           inverse[0], inverse[1]);
    }
}

template <int dp> static gb_status launch(gb_device *dev, const attention_args<bf16> &a)
{
    using tiles = forward_tiles<dp>;
    const int64_t blocks = (int64_t)a.B * a.H * ((a.T + tiles::bm - 1) / tiles::bm);
    return CUDA_LAUNCH(dev, "attention", flash_forward<tiles>,
                       cuda_grid_of(blocks, tiles::threads, 1, tiles::shared_bytes), a,
                       attention_scale(a.D));
}

gb_status cuda_attention_flash_forward(gb_device *dev, const attention_args<bf16> &a)
{
#define RUN(dp) return launch<dp>(dev, a)
    ATTENTION_FOR_WIDTH(a.D, RUN);
#undef RUN
}
