/* Flash attention forward for compute capability 9.0 in bf16: products of warpgroups (wgmma), which
 * on that chip reach the rate that mma.sync cannot. Never run on a GPU yet; see attention_dispatch.
 *
 * A block owns bm queries of one (b, h) at a time and walks the tiles of bn keys that they see: see
 * attention_hopper.cuh. The slots of its ring hold K and V in turn.
 *
 * A consumer starts S = Q K^T of a tile, then the product of the tile before it with V, and takes
 * the softmax of S while that one runs: exponentials cost as much time as products do. Tiles are
 * visited from the diagonal backwards, so that every row has seen a key in its first tile. Sums,
 * P and softmax stay in registers as in attention_bf16_forward.cu.
 *
 * Floors per call: 4*D*pairs*H*B FLOPs, at most 4096 per clock and multiprocessor; pairs*H*B
 * exponentials, at most 16 per clock and multiprocessor, which with D = 64 takes just as long;
 * 2*(2H+2K)*D*T*B + 4*H*T*B bytes (q, k, v, out, lse). Issued beyond that: whole tiles of 64 x bn
 * along the diagonal and the window's edge, and per block bm rows' worth of K and V from L2. */
#include "kernels/cuda/attention_hopper.cuh"

template <int dim_> struct hopper_tiles {
    static constexpr int dim = dim_; /* head_dim */
    static constexpr int consumers = dim == 64 ? 3 : 2;
    static constexpr int threads = WARPGROUP * (consumers + 1);
    static constexpr int bm = 64 * consumers, bn = 128;
    /* 65536 registers in all: threads / 128 groups start with 128 or 168 each. */
    static constexpr int producer_registers = dim == 64 ? 32 : 40;
    static constexpr int consumer_registers = dim == 64 ? 160 : 232;
    static constexpr int slots = dim == 64 ? 8 : 4;
    static constexpr int own_bytes = 2 * bm * dim, slot_bytes = 2 * bn * dim;
    static constexpr int out_bytes = tile_bytes(bm, dim), value_bytes = 0;
    static_assert(slots >= 4, "K of a tile is waited for before V of the one before is given back");
    static_assert(bn % 64 == 0, "64 queries have their diagonal in one tile");
};

/* One entry: queries [q0, q0 + bm) of (b, h), which see key tiles [first, last]. */
struct hopper_entry {
    int b, h, q0, first, last;
};

#ifdef GB_HOPPER_CODE

template <class tiles>
static __device__ __forceinline__ hopper_entry hopper_entry_at(const attention_args<bf16> &a,
                                                               const hopper_list &list, int entry)
{
    hopper_entry e;
    int bh, tile;
    hopper_place(list, entry, &bh, &tile);
    e.b = bh / a.H;
    e.h = bh % a.H;
    e.q0 = (list.row_tiles - 1 - tile) * tiles::bm;
    attention_key_tiles(e.q0, tiles::bm, tiles::bn, a.T, a.window, &e.first, &e.last);
    return e;
}

/* ---- producer ---- */

template <class tiles>
static __device__ __forceinline__ void hopper_produce(const attention_args<bf16> &a,
                                                      const hopper_list &list,
                                                      const hopper_shared<tiles> &shared)
{
    constexpr int dim = tiles::dim, bn = tiles::bn, slots = tiles::slots;
    hopper_copy copy = {nullptr};
    unsigned at = 0; /* copies into the ring so far */
    for (int round = 0, entry, n = 0; round * (int)gridDim.x < list.entries; round++) {
        if (!hopper_entry_of(list, round, &entry)) {
            continue;
        }
        const hopper_entry e = hopper_entry_at<tiles>(a, list, entry);
        const attention_head<bf16> head = attention_head_at(a, e.b, e.h);
        for (int tile = e.last; tile >= e.first; tile--) {
#pragma unroll 1
            for (int value = 0; value < 2; value++, at++) {
                const unsigned slot = at % slots;
                ptx_mbarrier_wait(shared.empty + slot, at / slots % 2 ^ 1);
                hopper_load<dim, bn>(shared.slots + slot * tiles::slot_bytes,
                                     head.k + value * a.K * dim, head.stride, tile * bn, a.T);
                copy.started(shared.full + slot);
            }
            if (tile == e.last) { /* Q last: its place is taken until the entry before is done */
                ptx_mbarrier_wait(shared.own_empty, (unsigned)n % 2 ^ 1);
                hopper_load<dim, tiles::bm>(shared.own, head.q, head.stride, e.q0, a.T);
                copy.started(shared.own_full);
            }
        }
        n++;
    }
    copy.finish();
}

/* ---- consumers ---- */

/* The 64 queries from row0 over key tiles `last` down to `first`, whose first copy in the ring is
 * `at`. */
template <class tiles>
static __device__ __forceinline__ void
hopper_rows(const attention_args<bf16> &a, float scale2, const hopper_ring<tiles> &ring, uint64_t q,
            uint64_t *q_empty, int row0, int first, int last, unsigned at,
            float (&acc)[tiles::dim / 8][4], float (&top)[2], float (&total)[2])
{
    constexpr int bn = tiles::bn;
    const int warp_row = row0 + (int)(threadIdx.x / 32u % 4u) * 16;
    float s[bn / 8][4], correction[2];
    uint32_t p[bn / 16][4];

    ring.wait(at);
    ptx_hold(s);
    ptx_wgmma_fence();
    hopper_scores<tiles>(s, q, ring.at_slot(at));
    ptx_wgmma_wait<0>();
    ptx_hold(s);
    ring.give_back(at);
    if (first == last) {
        hopper_arrive(q_empty);
    }
    mask_keys<bn>(s, warp_row, last * bn, a.window);
    softmax_step<bn>(s, top, total, correction, scale2);
    ring.wait(at + 1); /* V */
    hopper_pack<bn>(p, s);

#pragma unroll 1
    for (int tile = last - 1; tile >= first; tile--, at += 2) {
        ring.wait(at + 2); /* K of this tile */
        ptx_hold(s);
        ptx_hold(p);
        ptx_hold(acc);
        ptx_wgmma_fence();
        hopper_scores<tiles>(s, q, ring.at_slot(at + 2));
        ptx_wgmma_fence();
        hopper_values<tiles>(acc, p, ring.at_slot(at + 1));
        ptx_wgmma_wait<1>();
        ptx_hold(s);
        ring.give_back(at + 2);
        if (tile == first) {
            hopper_arrive(q_empty);
        }
        if (attention_cuts(row0, 64, tile * bn, bn, a.window)) {
            mask_keys<bn>(s, warp_row, tile * bn, a.window);
        }
        softmax_step<bn>(s, top, total, correction, scale2);
        ptx_hold(s);
        /* V of this tile, for the next round. It stands here because the branch in it keeps the
         * compiler from moving the softmax behind the wait that follows. */
        ring.wait(at + 3);
        ptx_wgmma_wait<0>();
        ptx_hold(acc);
        ptx_hold(p);
        ring.give_back(at + 1);
        hopper_pack<bn>(p, s);
#pragma unroll
        for (int n = 0; n < tiles::dim / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                acc[n][e] *= correction[e / 2];
            }
        }
    }

    ptx_hold(p);
    ptx_hold(acc);
    ptx_wgmma_fence();
    hopper_values<tiles>(acc, p, ring.at_slot(at + 1));
    ptx_wgmma_wait<0>();
    ptx_hold(acc);
    ptx_hold(p);
    ring.give_back(at + 1);
}

template <class tiles>
static __device__ __forceinline__ void
hopper_write(const attention_args<bf16> &a, float scale, const attention_head<bf16> &head,
             bf16 *stage, int warp_row, const float (&acc)[tiles::dim / 8][4],
             const float (&top)[2], const float (&total)[2])
{
    const int lane = (int)threadIdx.x % 32;
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = warp_row + lane / 4 + 8 * half;
        const float sum = quad_sum(total[half]);
        inverse[half] = 1 / sum; /* every row sees its own key */
        if (row < a.T && lane % 4 == 0) {
            a.lse[head.row_at + row] = top[half] * scale + logf(sum);
        }
    }
    store_rows<tiles::dim, tiles::dim>(stage, a.out + head.out_at, (int64_t)a.H * tiles::dim,
                                       warp_row, a.T, 0, tiles::dim, acc, inverse[0], inverse[1]);
}

template <class tiles>
static __device__ __forceinline__ void hopper_consume(const attention_args<bf16> &a, float scale,
                                                      const hopper_list &list,
                                                      const hopper_shared<tiles> &shared, int group)
{
    constexpr int dim = tiles::dim;
    const int warp = (int)(threadIdx.x / 32u % 4u);
    const uint64_t q = ptx_wgmma_descriptor(
        ptx_shared_address(shared.own) + group * 64 * SWIZZLE_ROW_BYTES, 0, SWIZZLE_ATOM_BYTES);
    const hopper_ring<tiles> ring(shared);
    bf16 *stage = shared.out + (64 * group + 16 * warp) * (dim + PAD);
    unsigned at = 0;
    for (int round = 0, entry, n = 0; round * (int)gridDim.x < list.entries; round++) {
        if (!hopper_entry_of(list, round, &entry)) {
            continue;
        }
        const hopper_entry e = hopper_entry_at<tiles>(a, list, entry);
        const int n_tiles = e.last - e.first + 1, row0 = e.q0 + 64 * group;
        ptx_mbarrier_wait(shared.own_full, (unsigned)n % 2);
        if (row0 < a.T) {
            int first, last; /* of this warpgroup's queries alone */
            attention_key_tiles(row0, 64, tiles::bn, a.T, a.window, &first, &last);
            float acc[dim / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
            ring.skip(at, 2 * (e.last - last));
            hopper_rows<tiles>(a, scale * LOG2_E, ring, q, shared.own_empty, row0, first, last,
                               at + 2 * (e.last - last), acc, top, total);
            ring.skip(at + 2 * (e.last - first + 1), 2 * (first - e.first));
            hopper_write<tiles>(a, scale, attention_head_at(a, e.b, e.h), stage, row0 + 16 * warp,
                                acc, top, total);
        } else {
            hopper_arrive(shared.own_empty);
            ring.skip(at, 2 * n_tiles);
        }
        at += 2 * n_tiles;
        n++;
    }
}

#endif

template <class tiles>
static __global__ void __launch_bounds__(tiles::threads, 1)
    flash_forward_hopper(attention_args<bf16> a, float scale, hopper_list list)
{
#ifdef GB_HOPPER_CODE
    const hopper_shared<tiles> shared;
    const int group = hopper_group();
    shared.start_barriers();
    if (group == tiles::consumers) {
        ptx_registers_give_back<tiles::producer_registers>();
        hopper_produce<tiles>(a, list, shared);
    } else {
        ptx_registers_take<tiles::consumer_registers>();
        hopper_consume<tiles>(a, scale, list, shared, group);
    }
#else
    __trap();
#endif
}

/* 1 in code for sm_90a, 0 in all other code that the driver may have chosen. */
#if defined(__CUDA_ARCH__) && !defined(GB_HOPPER_CODE)
static __device__ int hopper_code = 0;
#else
static __device__ int hopper_code = 1;
#endif

gb_status cuda_attention_hopper_present(gb_device *dev, bool *present)
{
    int value = 0;
    CUDA_TRY(dev, "attention", cudaMemcpyFromSymbol(&value, hopper_code, sizeof value));
    *present = value != 0;
    return GB_OK;
}

bool cuda_attention_hopper_fits(int64_t D)
{
    return D == 64 || D == 128;
}

template <int dim> static gb_status launch(gb_device *dev, const attention_args<bf16> &a)
{
    using tiles = hopper_tiles<dim>;
    const int64_t query_tiles = (a.T + tiles::bm - 1) / tiles::bm;
    const int64_t kv_bytes = (int64_t)4 * a.T * a.D * a.K / a.H; /* a query head's share */
    const hopper_list list = hopper_list_of((int64_t)a.B * a.H, query_tiles, kv_bytes);
    return CUDA_LAUNCH(
        dev, "attention", flash_forward_hopper<tiles>,
        cuda_grid_of(hopper_blocks(dev, list), tiles::threads, 1, hopper_shared<tiles>::bytes), a,
        attention_scale(a.D), list);
}

gb_status cuda_attention_hopper_forward(gb_device *dev, const attention_args<bf16> &a)
{
    return a.D == 64 ? launch<64>(dev, a) : launch<128>(dev, a);
}
