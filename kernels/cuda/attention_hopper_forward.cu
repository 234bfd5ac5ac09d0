/* Flash attention forward for compute capability 9.0 in bf16: products of warpgroups (wgmma), which
 * on that chip reach the rate that mma.sync cannot. Never run on a GPU yet; see attention_dispatch.
 *
 * A block owns bm queries of one (b, h) at a time: each of its consumer warpgroups 64 of them. One
 * more warpgroup, the producer, copies Q and the tiles of bn keys, and gives its registers to the
 * others. Tiles go through a ring of slots (K, V, K, V, ...), each with two barriers: `full` when
 * the copy is there, `empty` when every consumer has read it. The producer waits for a copy only
 * after it has started the next, and tells wgmma of it by a proxy fence before it arrives at
 * `full`.
 *
 * A consumer starts S = Q K^T of a tile, then the product of the tile before it with V, and takes
 * the softmax of S while that one runs: exponentials cost as much time as products do. Tiles are
 * visited from the diagonal backwards, so that every row has seen a key in its first tile. Sums,
 * P and softmax stay in registers as in attention_bf16_forward.cu.
 *
 * Blocks are as many as multiprocessors, and walk a list of (queries, head) sorted by work, the
 * heaviest first, forwards in one round and backwards in the next. Between two entries the producer
 * runs ahead while the consumers write out. Heads whose K and V fit the L2 cache together are
 * worked on together.
 *
 * Floors per call: 4*D*pairs*H*B FLOPs, at most 4096 per clock and multiprocessor; pairs*H*B
 * exponentials, at most 16 per clock and multiprocessor, which with D = 64 takes just as long;
 * 2*(2H+2K)*D*T*B + 4*H*T*B bytes (q, k, v, out, lse). Issued beyond that: whole tiles of 64 x bn
 * along the diagonal and the window's edge, and per block bm rows' worth of K and V from L2. */
#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/ptx_hopper.cuh"

enum { L2_BYTES = 24 << 20 }; /* for K and V; half of what the chip has */

template <int dim_> struct hopper_tiles {
    static constexpr int dim = dim_; /* head_dim */
    static constexpr int consumers = dim == 64 ? 3 : 2;
    static constexpr int threads = WARPGROUP * (consumers + 1);
    static constexpr int bm = 64 * consumers, bn = 128;
    /* 65536 registers in all: threads / 128 groups start with 128 or 168 each. */
    static constexpr int producer_registers = dim == 64 ? 32 : 40;
    static constexpr int consumer_registers = dim == 64 ? 160 : 232;
    static constexpr int panels = dim / 64; /* of 64 columns, a swizzled row's worth */
    static constexpr int slots = dim == 64 ? 8 : 4;
    static constexpr int q_bytes = 2 * bm * dim, slot_bytes = 2 * bn * dim;
    static constexpr int out_bytes = tile_bytes(bm, dim);
    static constexpr int barriers = 2 * slots + 2;
    static constexpr int shared_bytes =
        SWIZZLE_ATOM_BYTES + q_bytes + slots * slot_bytes + out_bytes + 8 * barriers;
    static_assert(shared_bytes <= 227 * 1024, "tiles do not fit");
    static_assert(slots >= 4, "K of a tile is waited for before V of the one before is given back");
    static_assert(bn % 64 == 0, "64 queries have their diagonal in one tile");
};

/* What a block walks: entries (queries, head), see hopper_entry_at. */
struct hopper_list {
    int entries, query_tiles, heads_per_group;
};

/* One entry: queries [q0, q0 + bm) of (b, h), which see key tiles [first, last]. */
struct hopper_entry {
    int b, h, q0, first, last;
};

/* Shared memory of a block, from its first multiple of 1024. */
template <class tiles> struct hopper_shared {
    unsigned char *q, *slots;
    bf16 *out; /* (bm, dim + PAD) */
    uint64_t *full, *empty, *q_full, *q_empty;

    __device__ __forceinline__ hopper_shared()
    {
        unsigned char *base = gb_dynamic_shared();
        const uint32_t past = ptx_shared_address(base) % SWIZZLE_ATOM_BYTES;
        q = base + (past == 0 ? 0 : SWIZZLE_ATOM_BYTES - past);
        slots = q + tiles::q_bytes;
        out = reinterpret_cast<bf16 *>(slots + tiles::slots * tiles::slot_bytes);
        full =
            reinterpret_cast<uint64_t *>(reinterpret_cast<unsigned char *>(out) + tiles::out_bytes);
        empty = full + tiles::slots;
        q_full = empty + tiles::slots;
        q_empty = q_full + 1;
    }
};

#ifdef GB_HOPPER_CODE

template <class tiles>
static __device__ __forceinline__ hopper_entry hopper_entry_at(const attention_args<bf16> &a,
                                                               const hopper_list &list, int entry)
{
    const int per_group = list.heads_per_group * list.query_tiles;
    const int group = entry / per_group, i = entry % per_group;
    const int head0 = group * list.heads_per_group;
    const int heads = min(list.heads_per_group, a.B * a.H - head0);
    const int bh = head0 + i % heads;
    hopper_entry e;
    e.b = bh / a.H;
    e.h = bh % a.H;
    e.q0 = (list.query_tiles - 1 - i / heads) * tiles::bm;
    attention_key_tiles(e.q0, tiles::bm, tiles::bn, a.T, a.window, &e.first, &e.last);
    return e;
}

/* This block's entry of one round: false where it has none. */
static __device__ __forceinline__ bool hopper_entry_of(const hopper_list &list, int round,
                                                       int *entry)
{
    const int blocks = (int)gridDim.x, block = (int)blockIdx.x;
    *entry = round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
    return *entry < list.entries;
}

/* ---- producer ---- */

/* Starts copying `rows` rows of dim columns into swizzled panels; zero behind row T. */
template <int dim, int rows>
static __device__ __forceinline__ void hopper_load(unsigned char *tile, const bf16 *head,
                                                   int64_t stride, int row0, int T)
{
    constexpr int step = WARPGROUP / 8; /* 8 threads to a row of a panel */
    static_assert(step % 8 == 0 && rows % step == 0, "a thread keeps its place in the atom");
    const int first = (int)(threadIdx.x / 8u % step), piece = (int)(threadIdx.x % 8u);
    const int rows_left = T - row0 - first;
    const bf16 *from = head + (row0 + first) * stride + 8 * piece;
    unsigned char *to = tile + first * SWIZZLE_ROW_BYTES + (piece ^ first % 8) * 16;
#pragma unroll 4 /* the producer has few registers */
    for (int r = 0; r < rows; r += step) {
#pragma unroll
        for (int panel = 0; panel < dim / 64; panel++) {
            ptx_cp_async_16(to + (panel * rows + r) * SWIZZLE_ROW_BYTES, from + 64 * panel,
                            r < rows_left);
        }
        from += step * stride;
    }
}

/* The copy that was started before the last, and its barrier. */
struct hopper_copy {
    uint64_t *full;

    /* The copy into the place of `next` has been started: the one before it is told of. */
    __device__ __forceinline__ void started(uint64_t *next)
    {
        ptx_cp_async_commit();
        ptx_cp_async_wait<1>();
        tell();
        full = next;
    }

    __device__ __forceinline__ void finish()
    {
        ptx_cp_async_wait<0>();
        tell();
    }

    __device__ __forceinline__ void tell()
    {
        ptx_fence_proxy_async();
        __syncwarp();
        if (full != nullptr && threadIdx.x % 32 == 0) {
            ptx_mbarrier_arrive(full);
        }
    }
};

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
                ptx_mbarrier_wait(shared.q_empty, (unsigned)n % 2 ^ 1);
                hopper_load<dim, tiles::bm>(shared.q, head.q, head.stride, e.q0, a.T);
                copy.started(shared.q_full);
            }
        }
        n++;
    }
    copy.finish();
}

/* ---- consumers ---- */

/* s (64 x bn) = Q K^T, started; `q` and `k` are at row 0 of their first panels. */
template <class tiles>
static __device__ __forceinline__ void hopper_scores(float (&s)[tiles::bn / 8][4], uint64_t q,
                                                     uint64_t k)
{
#pragma unroll
    for (int i = 0; i < tiles::dim / 16; i++) {
        const uint32_t column = i % 4 * 32;
        const uint64_t qi = ptx_wgmma_advance(q, i / 4 * tiles::bm * SWIZZLE_ROW_BYTES + column);
        const uint64_t ki = ptx_wgmma_advance(k, i / 4 * tiles::bn * SWIZZLE_ROW_BYTES + column);
        if (i == 0) {
            ptx_wgmma_shared<false>(s, qi, ki);
        } else {
            ptx_wgmma_shared<true>(s, qi, ki);
        }
    }
    ptx_wgmma_commit();
}

/* acc (64 x dim) += P V, started. */
template <class tiles>
static __device__ __forceinline__ void
hopper_values(float (&acc)[tiles::dim / 8][4], const uint32_t (&p)[tiles::bn / 16][4], uint64_t v)
{
#pragma unroll
    for (int i = 0; i < tiles::bn / 16; i++) {
        ptx_wgmma_registers(acc, p[i], ptx_wgmma_advance(v, i * 16 * SWIZZLE_ROW_BYTES));
    }
    ptx_wgmma_commit();
}

/* P as operand: two fragments of sums side by side are one of a factor. */
template <int n>
static __device__ __forceinline__ void hopper_pack(uint32_t (&p)[n / 16][4],
                                                   const float (&s)[n / 8][4])
{
#pragma unroll
    for (int i = 0; i < n / 16; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float *pair = s[2 * i + j / 2] + j % 2 * 2;
            p[i][j] = ptx_pack_bf16x2(pair[0], pair[1]);
        }
    }
}

/* A consumer's view of the ring. Every warp gives a slot back by itself, when its own part of the
 * warpgroup's products is done. */
template <class tiles> struct hopper_ring {
    uint64_t *full, *empty;
    uint64_t descriptor; /* of slot 0 */

    __device__ __forceinline__ void wait(unsigned at) const
    {
        ptx_mbarrier_wait(full + at % tiles::slots, at / tiles::slots % 2);
    }

    __device__ __forceinline__ void give_back(unsigned at) const
    {
        __syncwarp();
        if (threadIdx.x % 32 == 0) {
            ptx_mbarrier_arrive(empty + at % tiles::slots);
        }
    }

    /* Tiles that this warpgroup does not see. */
    __device__ __forceinline__ void skip(unsigned at, int n_tiles) const
    {
        for (unsigned i = at; i < at + 2 * n_tiles; i++) {
            wait(i);
            give_back(i);
        }
    }

    __device__ __forceinline__ uint64_t at_slot(unsigned at) const
    {
        return ptx_wgmma_advance(descriptor, at % tiles::slots * tiles::slot_bytes);
    }
};

static __device__ __forceinline__ void hopper_arrive(uint64_t *barrier)
{
    __syncwarp();
    if (threadIdx.x % 32 == 0) {
        ptx_mbarrier_arrive(barrier);
    }
}

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
    constexpr int dim = tiles::dim, bn = tiles::bn;
    const int warp = (int)(threadIdx.x / 32u % 4u);
    const uint64_t q = ptx_wgmma_descriptor(
        ptx_shared_address(shared.q) + group * 64 * SWIZZLE_ROW_BYTES, 0, SWIZZLE_ATOM_BYTES);
    const hopper_ring<tiles> ring = {shared.full, shared.empty,
                                     ptx_wgmma_descriptor(ptx_shared_address(shared.slots),
                                                          bn * SWIZZLE_ROW_BYTES,
                                                          SWIZZLE_ATOM_BYTES)};
    bf16 *stage = shared.out + (64 * group + 16 * warp) * (dim + PAD);
    unsigned at = 0;
    for (int round = 0, entry, n = 0; round * (int)gridDim.x < list.entries; round++) {
        if (!hopper_entry_of(list, round, &entry)) {
            continue;
        }
        const hopper_entry e = hopper_entry_at<tiles>(a, list, entry);
        const int n_tiles = e.last - e.first + 1, row0 = e.q0 + 64 * group;
        ptx_mbarrier_wait(shared.q_full, (unsigned)n % 2);
        if (row0 < a.T) {
            int first, last; /* of this warpgroup's queries alone */
            attention_key_tiles(row0, 64, bn, a.T, a.window, &first, &last);
            float acc[dim / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
            ring.skip(at, e.last - last);
            hopper_rows<tiles>(a, scale * LOG2_E, ring, q, shared.q_empty, row0, first, last,
                               at + 2 * (e.last - last), acc, top, total);
            ring.skip(at + 2 * (e.last - first + 1), first - e.first);
            hopper_write<tiles>(a, scale, attention_head_at(a, e.b, e.h), stage, row0 + 16 * warp,
                                acc, top, total);
        } else {
            hopper_arrive(shared.q_empty);
            ring.skip(at, n_tiles);
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
    /* The same in all lanes, and by this the compiler knows it. */
    const int group = __shfl_sync(0xffffffffu, (int)(threadIdx.x / (unsigned)WARPGROUP), 0);
    if (threadIdx.x == 0) {
        for (int i = 0; i < tiles::slots; i++) {
            ptx_mbarrier_init(shared.full + i, WARPGROUP / 32);
            ptx_mbarrier_init(shared.empty + i, tiles::consumers * WARPGROUP / 32);
        }
        ptx_mbarrier_init(shared.q_full, WARPGROUP / 32);
        ptx_mbarrier_init(shared.q_empty, tiles::consumers * WARPGROUP / 32);
    }
    __syncthreads();
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
    const int64_t heads = L2_BYTES / (kv_bytes > 0 ? kv_bytes : 1);
    const int64_t entries = (int64_t)a.B * a.H * query_tiles;
    const int64_t all = (int64_t)a.B * a.H;
    hopper_list list;
    list.entries = (int)entries;
    list.query_tiles = (int)query_tiles;
    list.heads_per_group = (int)(heads < 1 ? 1 : heads < all ? heads : all);
    const int64_t blocks = entries < dev->multiprocessors ? entries : dev->multiprocessors;
    return CUDA_LAUNCH(dev, "attention", flash_forward_hopper<tiles>,
                       cuda_grid_of(blocks, tiles::threads, 1, tiles::shared_bytes), a,
                       attention_scale(a.D), list);
}

gb_status cuda_attention_hopper_forward(gb_device *dev, const attention_args<bf16> &a)
{
    return a.D == 64 ? launch<64>(dev, a) : launch<128>(dev, a);
}
