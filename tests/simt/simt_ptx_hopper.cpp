/* The instructions of kernels/cuda/ptx_hopper.cuh. Layouts are those of the PTX ISA manual,
 * sections "wgmma.mma_async", "Shared Memory Matrix Layout" and "Matrix Descriptor Format".
 *
 * A warp's part of a product (16 of the 64 rows) is computed when it is issued, and its sums are
 * handed out by the wait. In between the sums' registers hold NaN, and what was read is kept: if it
 * is not the same at the wait, the device might have read something else. */
#include <cmath>
#include <map>

#include "simt_internal.h"
#include "simt_ptx.h"
#include "simt_ptx_hopper.h"

namespace simt
{

/* ---- addresses ---- */

/* Where dynamic shared memory starts: a multiple of 128, and of no more. */
enum { SHARED_BASE = 1024 + 384 };

static const unsigned char *shared_pointer(uint32_t address, size_t bytes)
{
    size_t size;
    const unsigned char *dynamic = (const unsigned char *)dynamic_shared(&size);
    if (address < SHARED_BASE || address + bytes > SHARED_BASE + size) {
        die("wgmma reads the shared address %u, outside of dynamic shared memory", address);
    }
    return dynamic + (address - SHARED_BASE);
}

/* ---- products under way ---- */

struct kept { /* 16 bytes of an operand, as they were read */
    const unsigned char *at;
    unsigned char bytes[16];
};

struct product {
    std::vector<kept> read;
    const uint32_t *registers[32]; /* of each lane, or nullptr */
    uint32_t values[32][4];
    int group;
};

struct sums { /* of one warp */
    float (*at[32])[4];
    float values[32][32][4]; /* lane, fragment: n is at most 256 */
    int fragments, last_group;
};

struct watched { /* registers that products used, as the last wgmma.fence found them */
    const void *at[32];
    size_t bytes;
    bool under_way; /* at that fence: sums that nobody may look at */
    unsigned char values[32][32 * sizeof(float[4])];
};

struct warp_products {
    std::vector<product> products;
    std::map<const void *, sums> pending;      /* by lane 0's registers */
    std::map<const void *, watched> registers; /* likewise */
    int group;
    bool fenced;
    uint64_t history; /* hash of what was issued */
};

static warp_products all[32];
static bool used; /* by the running block */

static warp_products *running_warp()
{
    return &all[thread_number() / 32];
}

void wgmma_start_block()
{
    for (int i = 0; i < 32 && used; i++) {
        all[i] = {};
    }
    used = false;
}

void wgmma_end_block()
{
    for (int i = 0; i < 32 && used; i++) {
        if (!all[i].pending.empty()) {
            die("warp %d ends before its wgmma products are waited for", i);
        }
        if (all[i].history != all[i / 4 * 4].history) {
            die("warps %d and %d of one warpgroup issued different wgmma products", i / 4 * 4, i);
        }
    }
}

static const uint32_t POISON = 0x7fc0dead;

static bool poisoned(const float *x)
{
    uint32_t bits;
    memcpy(&bits, x, 4);
    return bits == POISON;
}

/* ---- operands ---- */

static float bf16_value(const unsigned char *bytes)
{
    uint32_t bits = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 24;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

struct descriptor {
    uint32_t start, lead, stride;
};

static descriptor decode(uint64_t bits)
{
    if (bits >> 62 != 1 || (bits >> 49 & 7) != 0) {
        die("wgmma descriptor %016llx: the emulator knows 128-byte swizzling with base offset 0",
            (unsigned long long)bits);
    }
    return {(uint32_t)(bits & 0x3fff) << 4, (uint32_t)(bits >> 16 & 0x3fff) << 4,
            (uint32_t)(bits >> 32 & 0x3fff) << 4};
}

/* Eight neighbours along the major dimension, whose address before swizzling is given. */
static void read_piece(product *p, float out[8], uint32_t address)
{
    const unsigned char *at = shared_pointer(address ^ (address >> 7 & 7) << 4, 16);
    if (async_unfenced(at)) {
        die("wgmma reads what cp.async wrote without fence.proxy.async in between");
    }
    kept piece = {at, {0}};
    memcpy(piece.bytes, at, 16);
    for (int i = 0; i < 8; i++) {
        out[i] = bf16_value(piece.bytes + 2 * i);
    }
    p->read.push_back(piece);
}

/* x[i][k] of rows [row0, row0 + rows) of a K-major operand, 16 columns. */
static void read_k_major(product *p, float (*x)[16], uint64_t bits, int row0, int rows)
{
    const descriptor d = decode(bits);
    for (int i = 0; i < rows; i++) {
        uint32_t row = (uint32_t)(row0 + i);
        for (uint32_t k = 0; k < 16; k += 8) {
            read_piece(p, x[i] + k, d.start + row / 8 * d.stride + row % 8 * 128 + 2 * k);
        }
    }
}

/* x[n][k] of an N-major operand, 16 rows of `columns`. */
static void read_n_major(product *p, float (*x)[16], uint64_t bits, int columns)
{
    const descriptor d = decode(bits);
    for (uint32_t k = 0; k < 16; k++) {
        for (uint32_t n = 0; n < (uint32_t)columns; n += 8) {
            float piece[8];
            read_piece(p, piece,
                       d.start + n / 64 * d.lead + k / 8 * d.stride + k % 8 * 128 + n % 64 * 2);
            for (int i = 0; i < 8; i++) {
                x[n + (uint32_t)i][k] = piece[i];
            }
        }
    }
}

/* ---- registers and the fence ---- */

/* Registers of a product that starts: what other instructions wrote there, a fence has followed.
 * Seen from the second product with the same registers on. */
static void check_fenced(warp_products *w, const void *const at[32], size_t bytes)
{
    auto found = w->registers.find(at[0]);
    if (found == w->registers.end()) {
        watched *fresh = &w->registers[at[0]];
        memcpy(fresh->at, at, sizeof fresh->at);
        fresh->bytes = bytes;
        fresh->under_way = true;
        return;
    }
    const watched &was = found->second;
    for (int lane = 0; lane < 32 && !was.under_way && was.bytes == bytes; lane++) {
        if (at[lane] == was.at[lane] && memcmp(at[lane], was.values[lane], bytes) != 0) {
            die("a register that a wgmma product reads was written after wgmma.fence");
        }
    }
}

static void complete_fence(void *const *, uint32_t)
{
    warp_products *w = running_warp();
    used = true;
    w->fenced = true;
    for (auto &entry : w->registers) {
        watched *r = &entry.second;
        r->under_way = w->pending.count(entry.first) != 0;
        for (int lane = 0; lane < 32; lane++) {
            memcpy(r->values[lane], r->at[lane], r->bytes);
        }
    }
}

/* ---- issue ---- */

struct wgmma_args {
    wgmma_form form;
    float (*d)[4];
    int fragments;
    const uint32_t *registers;
    uint64_t a, b;
    bool accumulate;
};

static void read_a(warp_products *w, product *p, float a[16][16], void *const lane_args[32])
{
    const wgmma_args *first = (const wgmma_args *)lane_args[0];
    if (first->form == WGMMA_SHARED) {
        read_k_major(p, a, first->a, thread_number() / 32 % 4 * 16, 16);
        return;
    }
    for (int lane = 0; lane < 32; lane++) {
        p->registers[lane] = ((const wgmma_args *)lane_args[lane])->registers;
        memcpy(p->values[lane], p->registers[lane], 16);
    }
    check_fenced(w, (const void *const *)p->registers, 16);
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++) {
            for (int h = 0; h < 2; h++) {
                unsigned char bytes[2];
                memcpy(bytes, (const unsigned char *)(p->values[lane] + i) + 2 * h, 2);
                a[lane / 4 + i % 2 * 8][lane % 4 * 2 + i / 2 * 8 + h] = bf16_value(bytes);
            }
        }
    }
}

/* The sums of these registers: those of products under way, or what the registers hold. */
static sums *sums_of(warp_products *w, void *const lane_args[32])
{
    const wgmma_args *first = (const wgmma_args *)lane_args[0];
    auto found = w->pending.find(first->d);
    if (found != w->pending.end()) {
        return &found->second;
    }
    sums *s = &w->pending[first->d];
    s->fragments = first->fragments;
    for (int lane = 0; lane < 32; lane++) {
        s->at[lane] = ((const wgmma_args *)lane_args[lane])->d;
    }
    if (first->accumulate) {
        check_fenced(w, (const void *const *)s->at, sizeof(float[4]) * (size_t)s->fragments);
    }
    for (int lane = 0; lane < 32; lane++) {
        memcpy(s->values[lane], s->at[lane], sizeof(float[4]) * (size_t)s->fragments);
        for (int i = 0; i < 4 * s->fragments; i++) {
            memcpy(&s->at[lane][i / 4][i % 4], &POISON, 4);
        }
    }
    return s;
}

static void multiply(sums *s, const float a[16][16], const float (*b)[16], bool accumulate)
{
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4 * s->fragments; i++) {
            const float *x = a[lane / 4 + i % 4 / 2 * 8];
            const float *y = b[i / 4 * 8 + lane % 4 * 2 + i % 2];
            float sum = accumulate ? s->values[lane][i / 4][i % 4] : 0;
            for (int k = 0; k < 16; k++) {
                sum += x[k] * y[k];
            }
            s->values[lane][i / 4][i % 4] = sum;
        }
    }
}

static void complete_wgmma(void *const lane_args[32], uint32_t mask)
{
    static float b[256][16];
    warp_products *w = running_warp();
    const wgmma_args *first = (const wgmma_args *)lane_args[0];
    used = true;
    if (mask != ~0u) {
        die("wgmma needs all 32 lanes, came with %08x", mask);
    }
    for (int lane = 1; lane < 32; lane++) {
        const wgmma_args *args = (const wgmma_args *)lane_args[lane];
        if (args->form != first->form || args->a != first->a || args->b != first->b) {
            die("lanes of one warp give wgmma different forms or descriptors");
        }
    }
    if (!w->fenced) {
        die("wgmma without wgmma.fence since the last wait");
    }
    float a[16][16];
    product p = {};
    p.group = w->group;
    read_a(w, &p, a, lane_args);
    if (first->form == WGMMA_REGISTERS) {
        read_n_major(&p, b, first->b, 8 * first->fragments);
    } else {
        read_k_major(&p, b, first->b, 0, 8 * first->fragments);
    }
    sums *s = sums_of(w, lane_args);
    multiply(s, a, b, first->accumulate);
    s->last_group = w->group;
    w->products.push_back(p);
    w->history = (w->history ^ first->a ^ first->b << 1) * 0x9e3779b97f4a7c15u +
                 (uint64_t)(first->fragments + 512 * first->form);
}

void wgmma(wgmma_form form, float (*d)[4], int fragments, const uint32_t *registers, uint64_t a,
           uint64_t b, bool accumulate)
{
    wgmma_args args = {form, d, fragments, registers, a, b, accumulate};
    warp(~0u, complete_wgmma, &args);
}

static void complete_commit(void *const *, uint32_t)
{
    running_warp()->group++;
}

/* ---- wait ---- */

static void check_unchanged(const product &p)
{
    for (const kept &piece : p.read) {
        if (memcmp(piece.at, piece.bytes, 16) != 0) {
            die("shared memory that a wgmma product reads changed before its wait");
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        if (p.registers[lane] && memcmp(p.registers[lane], p.values[lane], 16) != 0) {
            die("a register that a wgmma product reads changed before its wait");
        }
    }
}

static void hand_out(const sums &s)
{
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4 * s.fragments; i++) {
            if (!poisoned(&s.at[lane][i / 4][i % 4])) {
                die("a register that a wgmma product sums into changed before its wait");
            }
            s.at[lane][i / 4][i % 4] = s.values[lane][i / 4][i % 4];
        }
    }
}

static void complete_wait(void *const lane_args[32], uint32_t)
{
    warp_products *w = running_warp();
    const int done = w->group - *(const int *)lane_args[0]; /* groups below are complete */
    std::vector<product> left;
    for (const product &p : w->products) {
        if (p.group < done) {
            check_unchanged(p);
        } else {
            left.push_back(p);
        }
    }
    w->products.swap(left);
    for (auto s = w->pending.begin(); s != w->pending.end();) {
        if (s->second.last_group < done) {
            hand_out(s->second);
            s = w->pending.erase(s);
        } else {
            ++s;
        }
    }
    w->fenced = false;
}

void wgmma_wait(int pending_groups)
{
    warp(~0u, complete_wait, &pending_groups);
}

/* ---- mbarrier: its 8 bytes of shared memory hold this ---- */

struct mbarrier {
    uint16_t magic, expected, arrived, phase;
};

static const uint16_t MAGIC = 0x6d62;

static mbarrier *mbarrier_at(uint64_t *place)
{
    mbarrier *b = reinterpret_cast<mbarrier *>(place);
    shared_pointer(ptx_shared_address(place), sizeof *b);
    if (b->magic != MAGIC) {
        die("an mbarrier is used that was not initialised");
    }
    return b;
}

} // namespace simt

uint32_t ptx_shared_address(const void *smem)
{
    return (uint32_t)((const unsigned char *)smem - gb_dynamic_shared()) + simt::SHARED_BASE;
}

void ptx_mbarrier_init(uint64_t *barrier, uint32_t arrivals)
{
    const simt::mbarrier b = {simt::MAGIC, (uint16_t)arrivals, 0, 0};
    memcpy(barrier, &b, sizeof b);
}

void ptx_mbarrier_arrive(uint64_t *barrier)
{
    simt::mbarrier *b = simt::mbarrier_at(barrier);
    if (++b->arrived == b->expected) {
        b->arrived = 0;
        b->phase++;
        simt::wake(barrier);
        simt::yield(); /* those that waited may be faster than this thread is */
    }
}

void ptx_mbarrier_wait(uint64_t *barrier, uint32_t parity)
{
    simt::mbarrier *b = simt::mbarrier_at(barrier);
    while ((b->phase & 1u) == parity) {
        simt::sleep_on(barrier);
    }
}

void ptx_fence_proxy_async()
{
    simt::yield(); /* the others need not wait for what is not yet visible */
    simt::async_fence();
}

void ptx_wgmma_fence()
{
    simt::warp(~0u, simt::complete_fence, nullptr);
}

void ptx_wgmma_commit()
{
    simt::warp(~0u, simt::complete_commit, nullptr);
}
