/* The instructions of kernels/cuda/ptx.cuh: tensor cores, matrix loads, asynchronous copies.
 * Fragment layouts are those of the PTX ISA manual, sections "mma.m16n8k16" and "ldmatrix". */
#include <cmath>
#include <cstdio>

#include "simt_internal.h"
#include "simt_ptx.h"

extern "C" void *__asan_region_is_poisoned(void *start, size_t bytes) __attribute__((weak));

namespace simt
{

bool readable(const void *ptr, size_t bytes)
{
    return !__asan_region_is_poisoned ||
           __asan_region_is_poisoned(const_cast<void *>(ptr), bytes) == nullptr;
}

/* ---- mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 ---- */

struct mma_args {
    float *d;
    const uint32_t *a, *b;
};

static float half_of(uint32_t pair, int which)
{
    uint32_t bits = which ? pair & 0xffff0000u : pair << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static void complete_mma(void *const lane_args[32], uint32_t mask)
{
    if (mask != ~0u) {
        die("mma needs all 32 lanes, came with %08x", mask);
    }
    float a[16][16], b[8][16]; /* b by columns */
    for (int lane = 0; lane < 32; lane++) {
        const mma_args *args = (const mma_args *)lane_args[lane];
        int row = lane / 4, pair = lane % 4 * 2;
        for (int h = 0; h < 2; h++) {
            a[row][pair + h] = half_of(args->a[0], h);
            a[row + 8][pair + h] = half_of(args->a[1], h);
            a[row][pair + 8 + h] = half_of(args->a[2], h);
            a[row + 8][pair + 8 + h] = half_of(args->a[3], h);
            b[row][pair + h] = half_of(args->b[0], h);
            b[row][pair + 8 + h] = half_of(args->b[1], h);
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        float *d = ((const mma_args *)lane_args[lane])->d;
        for (int i = 0; i < 4; i++) {
            const float *x = a[lane / 4 + i / 2 * 8], *y = b[lane % 4 * 2 + i % 2];
            float sum = d[i];
            for (int k = 0; k < 16; k++) {
                sum += x[k] * y[k]; /* a product of two bf16 is exact in float */
            }
            d[i] = sum;
        }
    }
}

/* ---- ldmatrix ---- */

struct load_args {
    uint32_t *r;
    const void *row;
};

template <int matrices, bool transposed>
static void complete_load(void *const lane_args[32], uint32_t mask)
{
    if (mask != ~0u) {
        die("ldmatrix needs all 32 lanes, came with %08x", mask);
    }
    uint16_t values[matrices][8][8];
    for (int i = 0; i < matrices * 8; i++) {
        memcpy(values[i / 8][i % 8], ((const load_args *)lane_args[i])->row, 16);
    }
    for (int lane = 0; lane < 32; lane++) {
        for (int m = 0; m < matrices; m++) {
            int line = lane / 4, pair = lane % 4 * 2;
            uint32_t low = transposed ? values[m][pair][line] : values[m][line][pair];
            uint32_t high = transposed ? values[m][pair + 1][line] : values[m][line][pair + 1];
            ((const load_args *)lane_args[lane])->r[m] = low | high << 16;
        }
    }
}

static bool in_shared(const void *ptr)
{
    size_t bytes;
    const char *dynamic = (const char *)dynamic_shared(&bytes), *p = (const char *)ptr;
    if (p >= dynamic && p < dynamic + bytes) {
        return true;
    }
    for (const span &variable : running_statics()) {
        if (p >= (char *)variable.start && p < (char *)variable.start + variable.bytes) {
            return true;
        }
    }
    return false;
}

/* So many aligned bytes of shared memory. */
static void check_row(const char *what, const void *ptr, size_t bytes)
{
    if ((uintptr_t)ptr % bytes != 0) {
        die("%s: the shared address %p is not a multiple of %zu", what, ptr, bytes);
    }
    if (!in_shared(ptr) || !readable(ptr, bytes)) {
        die("%s: the address %p lies outside of shared memory", what, ptr);
    }
}

template <int matrices, bool transposed> static void load(uint32_t *r, const void *row)
{
    if (lane_id() < matrices * 8) {
        check_row("ldmatrix", row, 16);
    }
    load_args args = {r, row};
    warp(~0u, complete_load<matrices, transposed>, &args);
}

/* ---- cp.async ---- */

/* For each 16 bytes of dynamic shared memory: whether a copy wrote there that no fence.proxy.async
 * has followed. */
static std::vector<bool> unfenced;

static size_t piece_of(const void *shared)
{
    size_t bytes, at = (size_t)((const char *)shared - (const char *)dynamic_shared(&bytes)) / 16;
    unfenced.resize((bytes + 15) / 16);
    return at < unfenced.size() ? at : 0;
}

void async_add(async_queue *queue, void *shared, const void *global, size_t bytes, bool valid)
{
    check_row("cp.async", shared, bytes);
    if (valid && ((uintptr_t)global % bytes != 0 || !readable(global, bytes))) {
        die("cp.async: the global address %p is invalid or not a multiple of %zu", global, bytes);
    }
    async_item item = {shared, {0}, bytes, queue->group};
    if (valid) {
        memcpy(item.data, global, bytes);
    }
    /* The copy may land at any time from now on: nobody may still read what was there. */
    memset(shared, 0xff, bytes);
    queue->items.push_back(item);
}

void async_close_group(async_queue *queue)
{
    queue->group++;
}

void async_complete(async_queue *queue, int pending_groups)
{
    size_t done = 0;
    for (; done < queue->items.size(); done++) {
        const async_item &item = queue->items[done];
        if (item.group >= queue->group - pending_groups) {
            break;
        }
        memcpy(item.shared, item.data, item.bytes);
        size_t piece = piece_of(item.shared);
        if (!unfenced[piece]) {
            unfenced[piece] = true;
            queue->unfenced.push_back(piece);
        }
    }
    queue->items.erase(queue->items.begin(), queue->items.begin() + (long)done);
}

void async_make_visible(async_queue *queue)
{
    for (size_t piece : queue->unfenced) {
        unfenced[piece] = false;
    }
    queue->unfenced.clear();
}

bool async_unfenced(const void *shared)
{
    return unfenced[piece_of(shared)];
}

void async_forget(async_queue *queue)
{
    async_make_visible(queue); /* the block's memory ends with it */
    queue->items.clear();
    queue->group = 0;
}

} // namespace simt

void ptx_mma_m16n8k16_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    simt::mma_args args = {d, a, b};
    simt::warp(~0u, simt::complete_mma, &args);
}

void ptx_ldmatrix_x4(uint32_t r[4], const void *smem_row)
{
    simt::load<4, false>(r, smem_row);
}

void ptx_ldmatrix_x4_trans(uint32_t r[4], const void *smem_row)
{
    simt::load<4, true>(r, smem_row);
}

void ptx_ldmatrix_x2(uint32_t r[2], const void *smem_row)
{
    simt::load<2, false>(r, smem_row);
}

void ptx_ldmatrix_x2_trans(uint32_t r[2], const void *smem_row)
{
    simt::load<2, true>(r, smem_row);
}
