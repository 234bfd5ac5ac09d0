/* Flash attention backward for compute capability 9.0 in bf16, the gradients of keys and values,
 * with products of warpgroups (wgmma): the second of two kernels, after
 * attention_hopper_backward_queries.cu, whose delta it reads. Mathematics, order of sums and
 * roundings are those of flash_backward_keys in attention_bf16_backward.cu. Never run on a GPU yet;
 * see attention_dispatch.
 *
 * A block owns bm keys of one (b, kv head) at a time and walks, for each query head of the group,
 * the tiles of bn queries that see them (attention_hopper.cuh; a slot of the ring holds Q and dout,
 * and the queries' lse and delta). Keys are the rows of what it computes:
 *
 *   S' = K Q^T, dP' = V dout^T     factors K-major; with dim 64 K and V in registers
 *   P' = exp(S' / sqrt dim - lse), dS' = P' * (dP' - delta)
 *                                  in the registers of the sums, rounded to bf16 as factors
 *   dV += P' dout, dK += dS' Q     P' and dS' from registers, dout and Q N-major
 *
 * P' is computed while the product dP' runs; with dim 64 dV and dK are awaited with S' of the next
 * tile. Shapes: q, dout (T, dim) of one head; k, v, dk, dv (T, dim) of its kv head; lse, delta (T).
 *
 * Floors per call: 8*D*pairs*H*B FLOPs, at most 4096 per clock and multiprocessor, and pairs*H*B
 * exponentials, at most 16; 2*(2H+4K)*D*T*B + 8*H*T*B bytes (q, k, v, dout, dk, dv and lse, delta).
 * Estimated by hand, nothing was measured: a tile of 64 x 64 pairs takes 8 * dim clocks of tensor
 * cores, 256 of exponentials, and of shared memory, at 128 bytes per clock, 256 (dim 64) or 768
 * (dim 128) to read factors; in flash_backward_keys, whose warps read each for itself, 1024 or
 * 2560. */
#include "kernels/cuda/attention_gradients.cuh"
#include "kernels/cuda/attention_hopper.cuh"

/* Own rows are keys here, and the tiles they meet are of queries. */
template <int dim_> struct hopper_key_tiles {
    static constexpr int dim = dim_; /* head_dim */
    static constexpr int consumers = 2;
    static constexpr int threads = WARPGROUP * (consumers + 1);
    static constexpr int bm = 64 * consumers, bn = 64;
    /* 65536 registers in all: threads / 128 groups start with 168 each. */
    static constexpr int producer_registers = dim == 64 ? 40 : 24;
    static constexpr int consumer_registers = dim == 64 ? 232 : 240;
    static constexpr bool own_in_registers = dim == 64;
    /* Whether S' and dP' of a tile run beside dV and dK of the one before: with dim 128 their sums
     * and factors together do not fit into registers. */
    static constexpr bool overlapped = dim == 64;
    static constexpr int slots = dim == 64 ? 6 : 3;
    static constexpr int own_bytes = 2 * (2 * bm * dim), slot_bytes = 2 * (2 * bn * dim);
    static constexpr int out_bytes = tile_bytes(bm, dim);
    static constexpr int value_bytes = 2 * bn * (int)sizeof(float); /* lse (bn), delta (bn) */
    static_assert(slots >= 3, "a slot is waited for before the one before it is given back");
    static_assert(2 * bn == WARPGROUP, "the producer's threads copy a value each");
};

/* One entry: keys [k0, k0 + bm) of (b, kv), which query tiles [first, last] of each of the group's
 * heads from h0 see. */
struct hopper_key_entry {
    int b, h0, k0, first, last;
};

#ifdef GB_HOPPER_CODE

template <class tiles>
static __device__ __forceinline__ hopper_key_entry key_entry_at(const attention_args<bf16> &a,
                                                                const hopper_list &list, int entry)
{
    hopper_key_entry e;
    int bk, tile;
    hopper_place(list, entry, &bk, &tile);
    e.b = bk / a.K;
    e.h0 = bk % a.K * (a.H / a.K);
    e.k0 = tile * tiles::bm;
    attention_query_tiles(e.k0, tiles::bm, tiles::bn, a.T, a.window, &e.first, &e.last);
    return e;
}

/* Starts copying a tile of queries from q0: Q, dout, lse and delta; zero behind row T, which adds
 * nothing. */
template <class tiles>
static __device__ __forceinline__ void
key_load(const attention_args<bf16> &a, const hopper_shared<tiles> &shared,
         const attention_head<bf16> &head, unsigned slot, int q0)
{
    constexpr int dim = tiles::dim, bn = tiles::bn;
    unsigned char *place = shared.slots + slot * tiles::slot_bytes;
    hopper_load<dim, bn>(place, head.q, head.stride, q0, a.T);
    hopper_load<dim, bn>(place + tiles::slot_bytes / 2, a.dout + head.out_at, (int64_t)a.H * dim,
                         q0, a.T);
    int r = (int)(threadIdx.x % (unsigned)WARPGROUP);
    ptx_hold(r);
    const int query = q0 + r % bn;
    const float *from = (r < bn ? a.lse : a.delta) + head.row_at + query;
    ptx_cp_async_4(shared.values + slot * (2 * bn) + r, from, query < a.T);
}

template <class tiles>
static __device__ __forceinline__ void key_produce(const attention_args<bf16> &a,
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
        const hopper_key_entry e = key_entry_at<tiles>(a, list, entry);
#pragma unroll 1
        for (int h = e.h0; h < e.h0 + a.H / a.K; h++) {
            const attention_head<bf16> head = attention_head_at(hopper_fresh<dim>(a), e.b, h);
#pragma unroll 1
            for (int tile = e.first; tile <= e.last; tile++, at++) {
                const unsigned slot = at % slots;
                ptx_mbarrier_wait(shared.empty + slot, at / slots % 2 ^ 1);
                key_load<tiles>(a, shared, head, slot, tile * bn);
                copy.started(shared.full + slot);
                if (h == e.h0 && tile == e.first) { /* its place is taken until the entry before is
                                                       done */
                    ptx_mbarrier_wait(shared.own_empty, (unsigned)n % 2 ^ 1);
                    hopper_load<dim, bm>(shared.own, head.k, head.stride, e.k0, a.T);
                    hopper_load<dim, bm>(shared.own + tiles::own_bytes / 2, head.v, head.stride,
                                         e.k0, a.T);
                    copy.started(shared.own_full);
                }
            }
        }
        n++;
    }
    copy.finish();
}

/* ---- consumers ---- */

/* What stays the same from tile to tile: a warpgroup's 64 keys, of which the warp's first is
 * first_key. */
template <class tiles> struct key_factors {
    hopper_own<tiles, tiles::own_in_registers> k, v;
    const float *values; /* lse and delta of every slot */
    float scale2;
    int first_key, window;

    /* S' and dP' of the tile in this slot, started one after the other. */
    __device__ __forceinline__ void products(float (&s)[tiles::bn / 8][4],
                                             float (&ds)[tiles::bn / 8][4], uint64_t slot) const
    {
        hopper_scores<tiles>(s, k.factor, slot);
        hopper_scores<tiles>(ds, v.factor, ptx_wgmma_advance(slot, tiles::slot_bytes / 2));
    }

    /* P' of a tile of queries from q0, in the place of S'. */
    __device__ __forceinline__ void weights(float (&p)[tiles::bn / 8][4], const float *lse,
                                            int q0) const
    {
        if (attention_cuts(q0, tiles::bn, first_key, 16, window)) {
            key_weights<true, tiles::bn>(p, lse, scale2, first_key, q0, window);
        } else {
            key_weights<false, tiles::bn>(p, lse, scale2, first_key, q0, window);
        }
    }
};

/* dV and dK of the tile in this slot, likewise. */
template <class tiles>
static __device__ __forceinline__ void
key_sums(float (&dv)[tiles::dim / 8][4], float (&dk)[tiles::dim / 8][4],
         uint32_t (&p)[tiles::bn / 16][4], uint32_t (&ds)[tiles::bn / 16][4], uint64_t slot)
{
    ptx_hold(p);
    ptx_hold(ds);
    ptx_hold(dv);
    ptx_hold(dk);
    ptx_wgmma_fence();
    hopper_values<tiles>(dv, p, ptx_wgmma_advance(slot, tiles::slot_bytes / 2));
    hopper_values<tiles>(dk, ds, slot);
}

template <class tiles>
static __device__ __forceinline__ void
key_sums_wait(float (&dv)[tiles::dim / 8][4], float (&dk)[tiles::dim / 8][4],
              uint32_t (&p)[tiles::bn / 16][4], uint32_t (&ds)[tiles::bn / 16][4])
{
    ptx_wgmma_wait<0>();
    ptx_hold(dv);
    ptx_hold(dk);
    ptx_hold(p);
    ptx_hold(ds);
}

/* dk and dv of query tiles [first, last] of one head, the first of which is in the ring's `slot`.
 */
template <class tiles>
static __device__ __forceinline__ void
key_walk(const hopper_ring<tiles> &ring, const key_factors<tiles> &factors,
         float (&dk)[tiles::dim / 8][4], float (&dv)[tiles::dim / 8][4], int first, int last,
         unsigned slot)
{
    constexpr int bn = tiles::bn;
    float s[bn / 8][4], ds[bn / 8][4];
    uint32_t p_factor[bn / 16][4], ds_factor[bn / 16][4];
    ring.wait(slot);
    ptx_hold(s);
    ptx_hold(ds);
    ptx_wgmma_fence();
    factors.products(s, ds, ring.at_slot(slot));
#pragma unroll 1
    for (int tile = first;; tile++, slot++) {
        const float *lse = factors.values + slot % tiles::slots * (2 * bn);
        ptx_wgmma_wait<1>(); /* S', and, where overlapped, dV and dK of the tile before */
        ptx_hold(s);
        ptx_hold(dv);
        ptx_hold(dk);
        ptx_hold(p_factor);
        ptx_hold(ds_factor);
        if (tiles::overlapped && tile > first) {
            ring.give_back(slot - 1);
        }
        factors.weights(s, lse, tile * bn);
        ptx_hold(s);
        ptx_wgmma_wait<0>(); /* dP' */
        ptx_hold(ds);
        if (tile == 0) {
            key_gradients<true, bn>(ds, s, lse + bn);
        } else {
            key_gradients<false, bn>(ds, s, lse + bn);
        }
        hopper_pack<bn>(p_factor, s);
        hopper_pack<bn>(ds_factor, ds);
        if (tile == last) {
            break;
        }
        if (tiles::overlapped) {
            ring.wait(slot + 1);
        }
        key_sums<tiles>(dv, dk, p_factor, ds_factor, ring.at_slot(slot));
        if (!tiles::overlapped) {
            key_sums_wait<tiles>(dv, dk, p_factor, ds_factor);
            ring.give_back(slot);
            ring.wait(slot + 1);
            ptx_wgmma_fence();
        }
        ptx_hold(s);
        ptx_hold(ds);
        factors.products(s, ds, ring.at_slot(slot + 1));
    }
    key_sums<tiles>(dv, dk, p_factor, ds_factor, ring.at_slot(slot));
    key_sums_wait<tiles>(dv, dk, p_factor, ds_factor);
    ring.give_back(slot);
}

/* Writes dK and dV of a warp's 16 keys from warp_key. */
template <class tiles>
static __device__ __forceinline__ void
key_write(const attention_args<bf16> &a, const attention_head<bf16> &head, float scale, bf16 *stage,
          int warp_key, const float (&dk)[tiles::dim / 8][4], const float (&dv)[tiles::dim / 8][4])
{
    constexpr int dim = tiles::dim;
    store_rows<dim, dim>(stage, a.dqkv + head.k_at, head.stride, warp_key, a.T, 0, dim, dk, scale,
                         scale);
    store_rows<dim, dim>(stage, a.dqkv + head.v_at, head.stride, warp_key, a.T, 0, dim, dv, 1, 1);
}

template <class tiles>
static __device__ __forceinline__ void
key_consume(const attention_args<bf16> &a, const hopper_scale &scale, const hopper_list &list,
            const hopper_shared<tiles> &shared)
{
    constexpr int dim = tiles::dim, bn = tiles::bn;
    const hopper_ring<tiles> ring(shared);
    unsigned at = 0;
    for (int round = 0, entry, n = 0; round * (int)gridDim.x < list.entries; round++) {
        if (!hopper_entry_of(list, round, &entry)) {
            continue;
        }
        const int group = hopper_group(); /* here, for it would take a register all along */
        const hopper_key_entry e = key_entry_at<tiles>(a, list, entry);
        const int per_head = e.last - e.first + 1, row0 = e.k0 + 64 * group;
        ptx_mbarrier_wait(shared.own_full, (unsigned)n++ % 2);
        if (row0 >= a.T) {
            hopper_arrive(shared.own_empty);
            ring.skip(at, a.H / a.K * per_head);
            at += a.H / a.K * per_head;
            continue;
        }
        int first, last; /* of this warpgroup's keys alone */
        attention_query_tiles(row0, 64, bn, a.T, a.window, &first, &last);
        int warp0 = 64 * group + (int)(threadIdx.x / 32u % 4u) * 16;
        ptx_hold(warp0);
        const key_factors<tiles> factors = {{shared.own, 64 * group, warp0},
                                            {shared.own + tiles::own_bytes / 2, 64 * group, warp0},
                                            shared.values,
                                            scale.in_bits,
                                            e.k0 + warp0,
                                            a.window};
        if (tiles::own_in_registers) {
            hopper_arrive(shared.own_empty);
        }
        float dk[dim / 8][4] = {}, dv[dim / 8][4] = {};
#pragma unroll 1
        for (int i = 0; i < a.H / a.K; i++, at += per_head) {
            ring.skip(at, first - e.first);
            key_walk<tiles>(ring, factors, dk, dv, first, last, at + (first - e.first));
            ring.skip(at + (last - e.first + 1), e.last - last);
        }
        if (!tiles::own_in_registers) {
            hopper_arrive(shared.own_empty);
        }
        const attention_args<bf16> fresh = hopper_fresh<dim>(a);
        key_write<tiles>(fresh, attention_head_at(fresh, e.b, e.h0), scale.factor,
                         shared.out + warp0 * (dim + PAD), e.k0 + warp0, dk, dv);
    }
}

#endif

template <class tiles>
static __global__ void __launch_bounds__(tiles::threads, 1)
    flash_backward_keys_hopper(attention_args<bf16> a, hopper_scale scale, hopper_list list)
{
#ifdef GB_HOPPER_CODE
    const hopper_shared<tiles> shared;
    shared.start_barriers();
    if (hopper_group() == tiles::consumers) {
        ptx_registers_give_back<tiles::producer_registers>();
        key_produce<tiles>(a, list, shared);
    } else {
        ptx_registers_take<tiles::consumer_registers>();
        key_consume<tiles>(a, scale, list, shared);
    }
#else
    __trap();
#endif
}

template <int dim> static gb_status launch(gb_device *dev, const attention_args<bf16> &a)
{
    using tiles = hopper_key_tiles<dim>;
    const int64_t key_tiles = (a.T + tiles::bm - 1) / tiles::bm;
    const int64_t group_bytes = (int64_t)4 * a.T * a.D * (a.H / a.K); /* Q and dout */
    const hopper_list list = hopper_list_of((int64_t)a.B * a.K, key_tiles, group_bytes);
    return CUDA_LAUNCH(
        dev, "attention", flash_backward_keys_hopper<tiles>,
        cuda_grid_of(hopper_blocks(dev, list), tiles::threads, 1, hopper_shared<tiles>::bytes), a,
        hopper_scale_of(a.D), list);
}

gb_status cuda_attention_hopper_backward_keys(gb_device *dev, const attention_args<bf16> &a)
{
    return a.D == 64 ? launch<64>(dev, a) : launch<128>(dev, a);
}

gb_status cuda_attention_hopper_backward(gb_device *dev, const attention_args<bf16> &a)
{
    GB_TRY(cuda_attention_hopper_backward_queries(dev, a));
    return cuda_attention_hopper_backward_keys(dev, a);
}
