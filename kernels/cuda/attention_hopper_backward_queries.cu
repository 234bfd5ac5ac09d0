/* Flash attention backward for compute capability 9.0 in bf16, the gradient of the queries, with
 * products of warpgroups (wgmma): the first of two kernels, see attention_hopper_backward_keys.cu
 * for the other. Mathematics, order of sums and roundings are those of flash_backward_queries in
 * attention_bf16_backward.cu. Never run on a GPU yet; see attention_dispatch.
 *
 * A block owns bm queries of one (b, h) at a time, computes their delta = rowsum(dout * out), which
 * it writes for the keys, and walks the tiles of bn keys that they see (attention_hopper.cuh; a
 * slot of the ring holds K and V):
 *
 *   S = Q K^T, dP = dout V^T     factors K-major; Q in registers
 *   dS = P * (dP - delta)        in the registers of the sums, rounded to bf16 as a factor
 *   dQ += dS K                   dS from registers, K N-major
 *
 * P is computed while the product dP runs, and dQ of a tile is awaited with S of the next. Shapes:
 * q, dout, out, dq (T, dim) of one head; k, v (T, dim) of its kv head; lse, delta (T).
 *
 * Floors per call: 6*D*pairs*H*B FLOPs, at most 4096 per clock and multiprocessor, and pairs*H*B
 * exponentials, at most 16; 2*(4H+2K)*D*T*B + 8*H*T*B bytes (q, k, v, out, dout, dq and lse,
 * delta). Estimated by hand, nothing was measured: a tile of 64 x 64 pairs takes 6 * dim clocks
 * of tensor cores, 256 of exponentials, and of shared memory, at 128 bytes per clock, 256 (dim 64)
 * or 512 (dim 128) to read factors; in flash_backward_queries, whose warps read each for itself,
 * 768 or 2048. */
#include "kernels/cuda/attention_gradients.cuh"
#include "kernels/cuda/attention_hopper.cuh"

template <int dim_> struct hopper_query_tiles {
    static constexpr int dim = dim_; /* head_dim */
    static constexpr int consumers = dim == 64 ? 3 : 2;
    static constexpr int threads = WARPGROUP * (consumers + 1);
    static constexpr int bm = 64 * consumers, bn = 64;
    /* 65536 registers in all: threads / 128 groups start with 128 or 168 each. */
    static constexpr int producer_registers = dim == 64 ? 32 : 40;
    static constexpr int consumer_registers = dim == 64 ? 160 : 232;
    static constexpr int slots = dim == 64 ? 8 : 4;
    static constexpr int own_bytes = 2 * (2 * bm * dim), slot_bytes = 2 * (2 * bn * dim);
    static constexpr int out_bytes = tile_bytes(bm, dim), value_bytes = 0;
    static_assert(slots >= 3, "a slot is waited for before the one before it is given back");
};

/* One entry: queries [q0, q0 + bm) of (b, h), which see key tiles [first, last]. */
struct hopper_query_entry {
    int b, h, q0, first, last;
};

#ifdef GB_HOPPER_CODE

template <class tiles>
static __device__ __forceinline__ hopper_query_entry query_entry_at(const attention_args<bf16> &a,
                                                                    const hopper_list &list,
                                                                    int entry)
{
    hopper_query_entry e;
    int bh, tile;
    hopper_place(list, entry, &bh, &tile);
    e.b = bh / a.H;
    e.h = bh % a.H;
    e.q0 = (list.row_tiles - 1 - tile) * tiles::bm;
    attention_key_tiles(e.q0, tiles::bm, tiles::bn, a.T, a.window, &e.first, &e.last);
    return e;
}

template <class tiles>
static __device__ __forceinline__ void query_produce(const attention_args<bf16> &a,
                                                     const hopper_list &list,
                                                     const hopper_shared<tiles> &shared)
{
    constexpr int dim = tiles::dim, bm = tiles::bm, bn = tiles::bn, slots = tiles::slots;
    hopper_copy copy = {nullptr};
    unsigned at = 0; /* copies into the ring so far */
    for (int round = 0, entry, n = 0; round * (int)gridDim.x < list.entries; round++) {
        if (!hopper_entry_of(list, round, &entry)) {
            continue;
        }
        const hopper_query_entry e = query_entry_at<tiles>(a, list, entry);
        const attention_head<bf16> head = attention_head_at(a, e.b, e.h);
        for (int tile = e.first; tile <= e.last; tile++, at++) {
            const unsigned slot = at % slots;
            unsigned char *place = shared.slots + slot * tiles::slot_bytes;
            ptx_mbarrier_wait(shared.empty + slot, at / slots % 2 ^ 1);
            hopper_load<dim, bn>(place, head.k, head.stride, tile * bn, a.T);
            hopper_load<dim, bn>(place + tiles::slot_bytes / 2, head.v, head.stride, tile * bn,
                                 a.T);
            copy.started(shared.full + slot);
            if (tile == e.first) { /* its place is taken until the entry before is done */
                ptx_mbarrier_wait(shared.own_empty, (unsigned)n % 2 ^ 1);
                hopper_load<dim, bm>(shared.own, head.q, head.stride, e.q0, a.T);
                hopper_load<dim, bm>(shared.own + tiles::own_bytes / 2, a.dout + head.out_at,
                                     (int64_t)a.H * dim, e.q0, a.T);
                copy.started(shared.own_full);
            }
        }
        n++;
    }
    copy.finish();
}

/* ---- consumers ---- */

/* A warpgroup's 64 queries; a lane has rows g and g + 8 of its warp's 16. */
template <class tiles> struct query_rows {
    static constexpr int dim = tiles::dim, chunks = dim / 32;
    int T, first_row;               /* the warp's first query: in the sequence, */
    int own_row;                    /* and in the tile of own rows */
    const unsigned char *dout;      /* that tile */
    float *to;                      /* delta (T) */
    float lse2[2], delta[2];        /* lse in bits */
    packed<bf16, 8> out[2][chunks]; /* a quarter of both rows, the quad's lanes in turn */

    /* Starts reading lse and out; row0 is the first query of the block. */
    __device__ __forceinline__ query_rows(const attention_args<bf16> &a,
                                          const attention_head<bf16> &head,
                                          const unsigned char *dout_tile, int row0, int own)
        : T(a.T), first_row(row0 + own), own_row(own), dout(dout_tile), to(a.delta + head.row_at)
    {
        const int lane = (int)(threadIdx.x % 32u);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = first_row + lane / 4 + 8 * half;
            const bf16 *from =
                a.out + head.out_at + (int64_t)min(row, a.T - 1) * a.H * dim + lane % 4 * 8;
            lse2[half] = row < a.T ? a.lse[head.row_at + row] * LOG2_E : INFINITY;
#pragma unroll
            for (int i = 0; i < chunks; i++) {
                load_packed(&out[half][i], from + 32 * i);
            }
        }
    }

    /* delta, which is also written; dout must be there. */
    __device__ __forceinline__ void dot()
    {
        const int lane = (int)(threadIdx.x % 32u);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int place = own_row + lane / 4 + 8 * half;
            float sum = 0;
#pragma unroll
            for (int i = 0; i < chunks; i++) {
                const int piece = i % 2 * 4 + lane % 4;
                float u[8], v[8];
                load<bf16, 8>(u, reinterpret_cast<const bf16 *>(
                                     dout + (i / 2 * tiles::bm + place) * SWIZZLE_ROW_BYTES +
                                     (piece ^ place % 8) * 16));
                unpack(v, out[half][i]);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    sum = fmaf(u[j], v[j], sum);
                }
            }
            delta[half] = quad_sum(sum);
            const int row = first_row + lane / 4 + 8 * half;
            if (row < T && lane % 4 == 0) {
                to[row] = delta[half];
            }
        }
    }
};

/* What stays the same from tile to tile. */
template <class tiles> struct query_factors {
    hopper_own<tiles, true> q;
    hopper_own<tiles, false> dout;
    float scale2;
    int window;

    /* S and dP of the tile in this slot, started one after the other. */
    __device__ __forceinline__ void products(float (&s)[tiles::bn / 8][4],
                                             float (&ds)[tiles::bn / 8][4], uint64_t slot) const
    {
        hopper_scores<tiles>(s, q.factor, slot);
        hopper_scores<tiles>(ds, dout.factor, ptx_wgmma_advance(slot, tiles::slot_bytes / 2));
    }
};

/* dq += dS K over key tiles [first, last], the first of which is in the ring's `slot`. */
template <class tiles>
static __device__ __forceinline__ void
query_walk(const hopper_ring<tiles> &ring, query_rows<tiles> &rows,
           const query_factors<tiles> &factors, float (&dq)[tiles::dim / 8][4], int first, int last,
           unsigned slot)
{
    constexpr int bn = tiles::bn;
    float s[bn / 8][4], ds[bn / 8][4];
    uint32_t factor[bn / 16][4];
    ring.wait(slot);
    ptx_hold(s);
    ptx_hold(ds);
    ptx_hold(dq);
    ptx_wgmma_fence();
    factors.products(s, ds, ring.at_slot(slot));
    rows.dot();
#pragma unroll 1
    for (int tile = first;; tile++, slot++) {
        const int row0 = rows.first_row, k0 = tile * bn;
        const bool cut = attention_cuts(row0, 16, k0, bn, factors.window);
        ptx_wgmma_wait<1>(); /* S, and dQ of the tile before */
        ptx_hold(s);
        ptx_hold(dq);
        ptx_hold(factor);
        if (tile > first) {
            ring.give_back(slot - 1);
        }
        if (cut) {
            query_weights<true, bn>(s, rows.lse2, factors.scale2, row0, k0, factors.window);
        } else {
            query_weights<false, bn>(s, rows.lse2, factors.scale2, row0, k0, factors.window);
        }
        ptx_hold(s);
        ptx_wgmma_wait<0>();
        ptx_hold(ds);
        if (cut) {
            query_gradients<true, bn>(ds, s, rows.delta, row0);
        } else {
            query_gradients<false, bn>(ds, s, rows.delta, row0);
        }
        hopper_pack<bn>(factor, ds);
        if (tile == last) {
            break;
        }
        ring.wait(slot + 1);
        ptx_hold(s);
        ptx_hold(ds);
        ptx_hold(factor);
        ptx_hold(dq);
        ptx_wgmma_fence();
        hopper_values<tiles>(dq, factor, ring.at_slot(slot));
        factors.products(s, ds, ring.at_slot(slot + 1));
    }
    ptx_hold(factor);
    ptx_hold(dq);
    ptx_wgmma_fence();
    hopper_values<tiles>(dq, factor, ring.at_slot(slot));
    ptx_wgmma_wait<0>();
    ptx_hold(dq);
    ptx_hold(factor);
    ring.give_back(slot);
}

template <class tiles>
static __device__ __forceinline__ void
query_consume(const attention_args<bf16> &a, const hopper_scale &scale, const hopper_list &list,
              const hopper_shared<tiles> &shared, int group)
{
    constexpr int dim = tiles::dim;
    const hopper_ring<tiles> ring(shared);
    const unsigned char *dout_tile = shared.own + tiles::own_bytes / 2;
    unsigned at = 0;
    for (int round = 0, entry, n = 0; round * (int)gridDim.x < list.entries; round++) {
        if (!hopper_entry_of(list, round, &entry)) {
            continue;
        }
        const hopper_query_entry e = query_entry_at<tiles>(a, list, entry);
        const int n_tiles = e.last - e.first + 1, row0 = e.q0 + 64 * group;
        if (row0 >= a.T) {
            ptx_mbarrier_wait(shared.own_full, (unsigned)n++ % 2);
            hopper_arrive(shared.own_empty);
            ring.skip(at, n_tiles);
            at += n_tiles;
            continue;
        }
        int warp0 = 64 * group + (int)(threadIdx.x / 32u % 4u) * 16;
        ptx_hold(warp0);
        int first, last; /* of this warpgroup's queries alone */
        attention_key_tiles(row0, 64, tiles::bn, a.T, a.window, &first, &last);
        const attention_head<bf16> head = attention_head_at(a, e.b, e.h);
        query_rows<tiles> rows(a, head, dout_tile, e.q0, warp0);
        ptx_mbarrier_wait(shared.own_full, (unsigned)n++ % 2);
        const query_factors<tiles> factors = {{shared.own, 64 * group, warp0},
                                              {dout_tile, 64 * group, warp0},
                                              scale.in_bits,
                                              a.window};
        float dq[dim / 8][4] = {};
        ring.skip(at, first - e.first);
        query_walk<tiles>(ring, rows, factors, dq, first, last, at + (first - e.first));
        hopper_arrive(shared.own_empty);
        ring.skip(at + (last - e.first + 1), e.last - last);
        at += n_tiles;
        store_rows<dim, dim>(shared.out + warp0 * (dim + PAD), a.dqkv + head.q_at, head.stride,
                             rows.first_row, a.T, 0, dim, dq, scale.factor, scale.factor);
    }
}

#endif

template <class tiles>
static __global__ void __launch_bounds__(tiles::threads, 1)
    flash_backward_queries_hopper(attention_args<bf16> a, hopper_scale scale, hopper_list list)
{
#ifdef GB_HOPPER_CODE
    const hopper_shared<tiles> shared;
    const int group = hopper_group();
    shared.start_barriers();
    if (group == tiles::consumers) {
        ptx_registers_give_back<tiles::producer_registers>();
        query_produce<tiles>(a, list, shared);
    } else {
        ptx_registers_take<tiles::consumer_registers>();
        query_consume<tiles>(a, scale, list, shared, group);
    }
#else
    __trap();
#endif
}

template <int dim> static gb_status launch(gb_device *dev, const attention_args<bf16> &a)
{
    using tiles = hopper_query_tiles<dim>;
    const int64_t query_tiles = (a.T + tiles::bm - 1) / tiles::bm;
    const int64_t kv_bytes = (int64_t)4 * a.T * a.D * a.K / a.H; /* a query head's share */
    const hopper_list list = hopper_list_of((int64_t)a.B * a.H, query_tiles, kv_bytes);
    return CUDA_LAUNCH(
        dev, "attention", flash_backward_queries_hopper<tiles>,
        cuda_grid_of(hopper_blocks(dev, list), tiles::threads, 1, hopper_shared<tiles>::bytes), a,
        hopper_scale_of(a.D), list);
}

gb_status cuda_attention_hopper_backward_queries(gb_device *dev, const attention_args<bf16> &a)
{
    return a.D == 64 ? launch<64>(dev, a) : launch<128>(dev, a);
}
