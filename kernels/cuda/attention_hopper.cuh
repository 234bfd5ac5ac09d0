/* attention_hopper.cuh: what the attention kernels for compute capability 9.0 share
 * (attention_hopper_*.cu): how blocks find their work, the producer's copies, the ring of tiles,
 * and products of a warpgroup on them.
 *
 * A block works on `bm` rows of one head at a time, its own: each of its consumer warpgroups owns
 * 64 of them. One more warpgroup, the producer, copies them and the tiles of `bn` rows that they
 * meet, and gives its registers to the others. Tiles go through a ring of slots, each with two
 * barriers: `full` when the copy is there, `empty` when every consumer has read it. The producer
 * waits for a copy only after it has started the next, and tells wgmma of it by a proxy fence
 * before it arrives at `full`.
 *
 * A struct `tiles` gives the sizes: dim (head_dim), bm, bn, consumers, slots, slot_bytes (a
 * multiple of 1024), own_bytes (likewise), out_bytes, value_bytes, and what registers a thread has
 * (producer_registers, consumer_registers). Tiles are swizzled panels of 64
 * columns, see ptx_hopper.cuh: row r of panel p of a tile of n rows is the 128 bytes from
 * (p * n + r) * 128. */
#ifndef GPTBENCH_KERNELS_CUDA_ATTENTION_HOPPER_CUH
#define GPTBENCH_KERNELS_CUDA_ATTENTION_HOPPER_CUH

#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/ptx_hopper.cuh"

enum {
    L2_BYTES = 24 << 20, /* for what the blocks of a head read; half of what the chip has */
    HOPPER_SHARED_BYTES = 227 << 10, /* the most that a block may use */
    /* Dynamic shared memory starts at a multiple of 128, tiles at one of 1024. */
    HOPPER_SHARED_SLACK = SWIZZLE_ATOM_BYTES - 128
};

/* ---- what a block works on ---- */

/* What blocks walk: entries (tile of own rows, head), sorted by work, the heaviest first: entry i
 * of a group of heads is tile i / heads of head i % heads. Blocks are as many as multiprocessors,
 * and take the list forwards in one round and backwards in the next. Heads of one group, whose
 * tiles fit the L2 cache together, are worked on together. */
struct hopper_list {
    int entries, row_tiles, heads, heads_per_group;
    int group_entries; /* of a whole group of heads */
};

/* head_bytes: what the blocks of a head read again and again. */
static inline hopper_list hopper_list_of(int64_t heads, int64_t row_tiles, int64_t head_bytes)
{
    const int64_t fit = L2_BYTES / (head_bytes > 0 ? head_bytes : 1);
    hopper_list list;
    list.entries = (int)(heads * row_tiles);
    list.row_tiles = (int)row_tiles;
    list.heads = (int)heads;
    list.heads_per_group = (int)(fit < 1 ? 1 : fit < heads ? fit : heads);
    list.group_entries = list.heads_per_group * list.row_tiles;
    return list;
}

static inline int64_t hopper_blocks(const gb_device *dev, const hopper_list &list)
{
    return list.entries < dev->multiprocessors ? list.entries : dev->multiprocessors;
}

/* 1 / sqrt D, and the same for exponents of 2: both of them kernel parameters, which fill no
 * registers. */
struct hopper_scale {
    float factor, in_bits;
};

static inline hopper_scale hopper_scale_of(int D)
{
    const float factor = attention_scale(D);
    return {factor, factor * LOG2_E};
}

/* Shared memory of a block, from its first multiple of 1024. */
template <class tiles> struct hopper_shared {
    unsigned char *own, *slots;
    bf16 *out;     /* (bm, dim + PAD): results on their way out */
    float *values; /* value_bytes of each slot */
    uint64_t *full, *empty, *own_full, *own_empty;

    static constexpr int bytes = HOPPER_SHARED_SLACK + tiles::own_bytes +
                                 tiles::slots * (tiles::slot_bytes + tiles::value_bytes) +
                                 tiles::out_bytes + 8 * (2 * tiles::slots + 2);
    static_assert(bytes <= HOPPER_SHARED_BYTES, "tiles do not fit");
    /* A block starts with as many registers per thread as 65536 allow, in eights; a warpgroup that
     * asks for more than the others gave back would wait for ever. */
    static constexpr int groups = tiles::consumers + 1;
    static_assert(tiles::consumers * tiles::consumer_registers + tiles::producer_registers <=
                      groups * (65536 / (WARPGROUP * groups) / 8 * 8),
                  "more registers than there are");

    __device__ __forceinline__ hopper_shared()
    {
        unsigned char *base = gb_dynamic_shared();
        const uint32_t past = ptx_shared_address(base) % SWIZZLE_ATOM_BYTES;
        own = base + (past == 0 ? 0 : SWIZZLE_ATOM_BYTES - past);
        slots = own + tiles::own_bytes;
        out = reinterpret_cast<bf16 *>(slots + tiles::slots * tiles::slot_bytes);
        unsigned char *behind = reinterpret_cast<unsigned char *>(out) + tiles::out_bytes;
        values = reinterpret_cast<float *>(behind);
        full = reinterpret_cast<uint64_t *>(behind + tiles::slots * tiles::value_bytes);
        empty = full + tiles::slots;
        own_full = empty + tiles::slots;
        own_empty = own_full + 1;
    }

    /* By all threads of the block. */
    __device__ __forceinline__ void start_barriers() const
    {
        if (threadIdx.x == 0) {
            for (int i = 0; i < tiles::slots; i++) {
                ptx_mbarrier_init(full + i, WARPGROUP / 32);
                ptx_mbarrier_init(empty + i, tiles::consumers * WARPGROUP / 32);
            }
            ptx_mbarrier_init(own_full, WARPGROUP / 32);
            ptx_mbarrier_init(own_empty, tiles::consumers * WARPGROUP / 32);
        }
        __syncthreads();
    }
};

#ifdef GB_HOPPER_CODE

/* The same arguments, of head_dim `dim`, from which nothing is computed ahead of a loop: what
 * depends on them alone would fill registers that the sums need. */
template <int dim>
static __device__ __forceinline__ attention_args<bf16> hopper_fresh(attention_args<bf16> a)
{
    ptx_hold(a.T);
    ptx_hold(a.H);
    ptx_hold(a.K);
    a.D = dim;
    return a;
}

/* Head and tile of own rows of an entry; tile 0 is the heaviest. */
static __device__ __forceinline__ void hopper_place(const hopper_list &list, int entry, int *head,
                                                    int *tile)
{
    const int i = entry % list.group_entries;
    const int head0 = entry / list.group_entries * list.heads_per_group;
    const int heads = min(list.heads_per_group, list.heads - head0);
    *head = head0 + i % heads;
    *tile = i / heads;
}

/* This block's entry of one round: false where it has none. */
static __device__ __forceinline__ bool hopper_entry_of(const hopper_list &list, int round,
                                                       int *entry)
{
    const int blocks = (int)gridDim.x, block = (int)blockIdx.x;
    *entry = round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
    return *entry < list.entries;
}

/* The warpgroup of this thread: the same in all lanes, and by the shuffle the compiler knows it. */
static __device__ __forceinline__ int hopper_group()
{
    return __shfl_sync(0xffffffffu, (int)(threadIdx.x / (unsigned)WARPGROUP), 0);
}

/* ---- the producer's copies ---- */

/* Starts copying `rows` rows of dim columns into swizzled panels; zero behind row T. */
template <int dim, int rows>
static __device__ __forceinline__ void hopper_load(unsigned char *tile, const bf16 *head,
                                                   int64_t stride, int row0, int T)
{
    constexpr int step = WARPGROUP / 8; /* 8 threads to a row of a panel */
    static_assert(step % 8 == 0 && rows % step == 0, "a thread keeps its place in the atom");
    int thread = (int)(threadIdx.x % (unsigned)WARPGROUP);
    ptx_hold(thread); /* the producer has few registers */
    const int first = thread / 8, piece = thread % 8;
    const int rows_left = T - row0 - first;
    const bf16 *from = head + (row0 + first) * stride + 8 * piece;
    unsigned char *to = tile + first * SWIZZLE_ROW_BYTES + (piece ^ first % 8) * 16;
#pragma unroll 4 /* for the same reason */
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

/* ---- consumers ---- */

/* A warp's 16 own rows from row0 of a tile of `rows`, as factors in registers. */
template <int dim, int rows>
static __device__ __forceinline__ void hopper_fragments(uint32_t (&a)[dim / 16][4],
                                                        const unsigned char *tile, int row0)
{
    const int lane = (int)(threadIdx.x % 32u), row = row0 + lane % 16;
#pragma unroll
    for (int i = 0; i < dim / 16; i++) {
        const int piece = i % 4 * 2 + lane / 16;
        ptx_ldmatrix_x4(a[i],
                        tile + (i / 4 * rows + row) * SWIZZLE_ROW_BYTES + (piece ^ row % 8) * 16);
    }
}

/* 64 own rows from row0 of a tile of tiles::bm, of which the warp's are those from warp_row: in
 * registers, or where they lie. */
template <class tiles, bool in_registers> struct hopper_own;

template <class tiles> struct hopper_own<tiles, true> {
    uint32_t factor[tiles::dim / 16][4];

    __device__ __forceinline__ hopper_own(const unsigned char *tile, int, int warp_row)
    {
        hopper_fragments<tiles::dim, tiles::bm>(factor, tile, warp_row);
    }
};

template <class tiles> struct hopper_own<tiles, false> {
    uint64_t factor;

    __device__ __forceinline__ hopper_own(const unsigned char *tile, int row0, int)
        : factor(ptx_wgmma_descriptor(ptx_shared_address(tile) + row0 * SWIZZLE_ROW_BYTES, 0,
                                      SWIZZLE_ATOM_BYTES))
    {
    }
};

/* s (64 x bn) = own . tile^T over dim, started; both descriptors are of row 0 of the first panel.
 */
template <class tiles>
static __device__ __forceinline__ void hopper_scores(float (&s)[tiles::bn / 8][4], uint64_t own,
                                                     uint64_t tile)
{
#pragma unroll
    for (int i = 0; i < tiles::dim / 16; i++) {
        const uint32_t column = i % 4 * 32;
        const uint64_t a = ptx_wgmma_advance(own, i / 4 * tiles::bm * SWIZZLE_ROW_BYTES + column);
        const uint64_t b = ptx_wgmma_advance(tile, i / 4 * tiles::bn * SWIZZLE_ROW_BYTES + column);
        if (i == 0) {
            ptx_wgmma_shared<false>(s, a, b);
        } else {
            ptx_wgmma_shared<true>(s, a, b);
        }
    }
    ptx_wgmma_commit();
}

/* The same with own rows in registers. */
template <class tiles>
static __device__ __forceinline__ void hopper_scores(float (&s)[tiles::bn / 8][4],
                                                     const uint32_t (&own)[tiles::dim / 16][4],
                                                     uint64_t tile)
{
#pragma unroll
    for (int i = 0; i < tiles::dim / 16; i++) {
        const uint64_t b =
            ptx_wgmma_advance(tile, i / 4 * tiles::bn * SWIZZLE_ROW_BYTES + i % 4 * 32);
        if (i == 0) {
            ptx_wgmma_registers_rows<false>(s, own[i], b);
        } else {
            ptx_wgmma_registers_rows<true>(s, own[i], b);
        }
    }
    ptx_wgmma_commit();
}

/* acc (64 x dim) += p (64 x bn) . tile, started. */
template <class tiles>
static __device__ __forceinline__ void hopper_values(float (&acc)[tiles::dim / 8][4],
                                                     const uint32_t (&p)[tiles::bn / 16][4],
                                                     uint64_t tile)
{
#pragma unroll
    for (int i = 0; i < tiles::bn / 16; i++) {
        ptx_wgmma_registers(acc, p[i], ptx_wgmma_advance(tile, i * 16 * SWIZZLE_ROW_BYTES));
    }
    ptx_wgmma_commit();
}

/* Weights as operand: two fragments of sums side by side are one of a factor. */
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

/* By every warp of a consumer for itself, or of the producer. */
static __device__ __forceinline__ void hopper_arrive(uint64_t *barrier)
{
    __syncwarp();
    if (threadIdx.x % 32 == 0) {
        ptx_mbarrier_arrive(barrier);
    }
}

/* A consumer's view of the ring. Every warp gives a slot back by itself, when its own part of the
 * warpgroup's products is done. */
template <class tiles> struct hopper_ring {
    uint64_t *full, *empty;
    uint64_t descriptor; /* of slot 0 */

    __device__ __forceinline__ explicit hopper_ring(const hopper_shared<tiles> &shared)
        : full(shared.full), empty(shared.empty),
          descriptor(ptx_wgmma_descriptor(ptx_shared_address(shared.slots),
                                          tiles::bn * SWIZZLE_ROW_BYTES, SWIZZLE_ATOM_BYTES))
    {
    }

    __device__ __forceinline__ void wait(unsigned at) const
    {
        ptx_mbarrier_wait(full + at % tiles::slots, at / tiles::slots % 2);
    }

    __device__ __forceinline__ void give_back(unsigned at) const
    {
        hopper_arrive(empty + at % tiles::slots);
    }

    /* Slots whose tiles this warpgroup does not see. */
    __device__ __forceinline__ void skip(unsigned at, int n) const
    {
#pragma unroll 1
        for (unsigned i = at; i < at + n; i++) {
            wait(i);
            give_back(i);
        }
    }

    __device__ __forceinline__ uint64_t at_slot(unsigned at) const
    {
        return ptx_wgmma_advance(descriptor, at % tiles::slots * tiles::slot_bytes);
    }
};

#endif
#endif
