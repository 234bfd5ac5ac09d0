/* Products of matrices in float, of float or bfloat16 operands. Threads share out the rows of the
 * result and, where these are few, its columns. A thread copies some columns of the right-hand
 * side, DEPTH rows of them, into panels which its second cache holds; blocks of the left-hand
 * side's rows pass by all of them (an order of loops after Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", ACM TOMS 34(3), 2008).
 *
 * Every element is summed by one thread at a time in an order that depends on K alone.
 */
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

#include "kernels/cpu/cpu_sizes.h"
#include "kernels/cpu/isa/product_copy.h"

/* A matrix as it is stored. */
typedef struct stored {
    const char *at;
    int64_t row; /* bytes */
    range rows, columns;
    int64_t bytes; /* of an element */
} stored;

static stored lhs_stored(const cpu_product_args *g, range m, range k)
{
    const int64_t bytes = g->bf16 ? 2 : 4;
    return (stored){g->a, g->lda * bytes, g->a_transposed ? k : m, g->a_transposed ? m : k, bytes};
}

/* What a transposed a's next rows are asked for in, in so many times: their lines are far apart. Of
 * rows that lie in one piece the processor reads ahead by itself, and asking is a loss. */
static ahead ahead_of(const cpu_product_args *g, const stored *s, int64_t times)
{
    if (!g->a_transposed) {
        return (ahead){0};
    }
    return (ahead){.at = s->at + s->rows.begin * s->row + s->columns.begin * s->bytes,
                   .stride = s->row,
                   .rows = (int32_t)isa_parts(s->rows.count, times),
                   .lines = (int32_t)isa_parts((s->columns.count - 1) * s->bytes + LINE, LINE)};
}

/* Adds the products of columns k of a's rows m with the panels of columns n to the sums. `soon` is
 * what is read of a after these. */
static void rows_run(const cpu_product_args *g, float *copy, const float *panels, range m, range n,
                     range k, const stored *soon)
{
    const int64_t count = isa_parts(n.count, PANEL);
    const bool last = k.begin + k.count == g->K, first = k.begin == 0;
    int64_t tile_floats;
    const lhs a = lhs_prepare(g, copy, m, k, &tile_floats);
    float *sums = g->c_bf16 ? g->sums : g->c;
    ahead next = ahead_of(g, soon, count * isa_parts(m.count, TILE));
    for (int64_t j = 0; j < count; j++) {
        lhs rows = a;
        for (int64_t i = 0; i < m.count; i += TILE, rows.at += tile_floats) {
            const int64_t at = (m.begin + i) * g->N + n.begin + j * PANEL;
            const target to = {.sums = sums != NULL ? sums + at : NULL,
                               .c = g->c_bf16 && last ? (uint16_t *)g->c + at : NULL,
                               .row = g->N,
                               .add = g->accumulate || !first};
            tile(min64(m.count - i, TILE), k.count, rows, panels + j * PANEL * k.count, to,
                 min64(n.count - j * PANEL, PANEL), next);
            next.at += next.rows * next.stride;
        }
    }
}

/* Threads with the same columns. They work in stages, counted from 1: the first lot of columns with
 * the first columns of a, with the next, and so on, then the next lot. Each holds the panels of its
 * stage and has a part of the blocks of rows, the same in every stage; who is through with it takes
 * from the ends of the others' parts. The sums of a block's rows grow stage by stage. */
typedef struct team {
    const cpu_product_args *g;
    range panels; /* of b */
    int64_t lots, chunks, stages, tiles, blocks, threads;
    _Atomic int32_t *reached; /* (blocks) the stage that their rows have been through */
    _Atomic uint64_t *left;   /* LEFT_STRIDE * member: what is left of each part */
} team;

/* What is left of a part in a stage: blocks [low, high), counted from the part's first. */
typedef struct left {
    int64_t stage, low, high;
} left;

enum { LEFT_BITS = 20, LEFT_STRIDE = CPU_PRODUCT_SHARED_BYTES / 8 };

static uint64_t left_pack(left l)
{
    return (uint64_t)l.stage << 2 * LEFT_BITS | (uint64_t)l.low << LEFT_BITS | (uint64_t)l.high;
}

static left left_unpack(uint64_t word)
{
    const uint64_t mask = ((uint64_t)1 << LEFT_BITS) - 1;
    return (left){(int64_t)(word >> 2 * LEFT_BITS), (int64_t)(word >> LEFT_BITS & mask),
                  (int64_t)(word & mask)};
}

/* A block of a member's part that nobody has yet in this stage, the first or, for others, the last;
 * -1 if there is none. Who is in a stage has seen every part of the stage before taken. */
static int64_t block_take(const team *t, int64_t member, int64_t stage, bool own)
{
    const range part = part_of(t->blocks, t->threads, member);
    _Atomic uint64_t *word = &t->left[member * LEFT_STRIDE];
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    for (;;) {
        left l = left_unpack(seen);
        if (l.stage < stage) {
            l = (left){stage, 0, part.count};
        }
        if (l.stage > stage || l.low == l.high) {
            return -1;
        }
        const int64_t block = own ? l.low++ : --l.high;
        if (atomic_compare_exchange_weak_explicit(word, &seen, left_pack(l), memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return part.begin + block;
        }
    }
}

/* Whoever has the block may be behind, and without a processor. */
static void block_wait(const team *t, int64_t block, int64_t stage)
{
    enum { PATIENCE = 1000 };
    for (int i = 1; atomic_load_explicit(&t->reached[block], memory_order_acquire) < stage; i++) {
        if (i % PATIENCE == 0) {
            sched_yield();
        }
    }
}

static range stage_columns(const team *t, int64_t stage)
{
    const range p = part_of(t->panels.count, t->lots, (stage - 1) / t->chunks);
    const int64_t begin = (t->panels.begin + p.begin) * PANEL;
    return (range){begin, min64(p.count * PANEL, t->g->N - begin)};
}

static range stage_depth(const team *t, int64_t stage)
{
    return part_of(t->g->K, t->chunks, (stage - 1) % t->chunks);
}

static range block_rows(const team *t, int64_t block)
{
    const range tiles = part_of(t->tiles, t->blocks, block);
    const int64_t begin = tiles.begin * TILE;
    return (range){begin, min64(t->g->M - begin, tiles.count * TILE)};
}

/* A thread's stage and the one after it, and its panels. */
typedef struct worker {
    float *panels, *copy;
    int64_t stage;
    bool filled;
    range n, k, next_k; /* next_k is empty in the last stage */
} worker;

static void stage_enter(const team *t, worker *w, int64_t stage)
{
    const bool last = stage == t->stages;
    w->stage = stage;
    w->filled = false;
    w->n = stage_columns(t, stage);
    w->k = stage_depth(t, stage);
    w->next_k = last ? (range){0, 0} : stage_depth(t, stage + 1);
}

/* The one that is likely to be next is `step` blocks further. */
static void block_run(const team *t, worker *w, int64_t block, int64_t step)
{
    const int64_t soon = block + step;
    const bool here = soon >= 0 && soon < t->blocks;
    const stored rows = lhs_stored(t->g, block_rows(t, here ? soon : 0), here ? w->k : w->next_k);
    if (!w->filled) {
        panels_fill(w->panels, t->g, w->k, w->n);
        w->filled = true;
    }
    block_wait(t, block, w->stage - 1);
    rows_run(t->g, w->copy, w->panels, block_rows(t, block), w->n, w->k, &rows);
    atomic_store_explicit(&t->reached[block], (int32_t)w->stage, memory_order_release);
}

_Static_assert(DEPTH *COLUMNS + BLOCK * (VW * DEPTH + TILE_PAD) <= CPU_PRODUCT_SCRATCH_FLOATS &&
                   DEPTH * COLUMNS + BLOCK * TILE * (DEPTH + ROW_PAD) <= CPU_PRODUCT_SCRATCH_FLOATS,
               "panels and a block's copied rows fit");

static void team_work(const team *t, int64_t member, float *scratch)
{
    worker w = {.panels = scratch, .copy = scratch + DEPTH * COLUMNS};
    for (int64_t stage = 1; stage <= t->stages; stage++) {
        stage_enter(t, &w, stage);
        for (int64_t i = 0; i < t->threads; i++) {
            const int64_t of = (member + i) % t->threads;
            int64_t block;
            while ((block = block_take(t, of, stage, i == 0)) >= 0) {
                block_run(t, &w, block, i == 0 ? 1 : -1);
            }
        }
    }
}

/* In how many parts the team shares the columns: what a thread fetches and copies of both sides is
 * then least. Rows are dearer: threads with the same ones would meet in the rows of the result. */
static int64_t columns_share(int64_t M, int64_t panels, int64_t threads)
{
    /* Multiply-adds that can be done in the time that it takes to copy an element. */
    const int64_t column = 16, row = 64;
    int64_t best = 1, least = INT64_MAX;
    for (int64_t parts = 1; parts <= threads; parts++) {
        const int64_t columns = isa_parts(panels, parts) * PANEL;
        const int64_t rows = isa_parts(M, threads / parts);
        const int64_t cost = rows * columns + row * rows + column * columns;
        if (threads % parts == 0 && cost < least) {
            least = cost;
            best = parts;
        }
    }
    return best;
}

/* Team i of `teams`. */
static team team_of(const cpu_product_args *g, int64_t threads, int64_t teams, int64_t i)
{
    team t = {.g = g, .panels = part_of(isa_parts(g->N, PANEL), teams, i)};
    t.lots = isa_parts(t.panels.count * PANEL, COLUMNS);
    t.chunks = isa_parts(g->K, DEPTH);
    t.stages = t.lots * t.chunks;
    t.threads = threads / teams;
    t.tiles = isa_parts(g->M, TILE);
    t.blocks = isa_parts(t.tiles, BLOCK);
    if (BLOCK > 1) {
        /* As many for each thread. */
        t.blocks = min64(t.tiles, isa_parts(t.blocks, t.threads) * t.threads);
    }
    t.left = (_Atomic uint64_t *)g->workspace + i * t.threads * LEFT_STRIDE;
    t.reached = (_Atomic int32_t *)((_Atomic uint64_t *)g->workspace + threads * LEFT_STRIDE) +
                i * t.blocks;
    return t;
}

static void rows_product(const cpu_product_args *g)
{
    const int64_t threads = omp_get_max_threads();
    const int64_t teams = columns_share(g->M, isa_parts(g->N, PANEL), threads);
    const int64_t shared = cpu_product_workspace_bytes(g->M, threads) -
                           threads * (int64_t)sizeof(float) * CPU_PRODUCT_SCRATCH_FLOATS;
    float *scratch = (float *)(void *)((char *)g->workspace + shared);
    memset(g->workspace, 0, (size_t)shared);
#pragma omp parallel
    {
        /* Should there be fewer threads than were asked for, some have several parts. */
        for (int64_t i = omp_get_thread_num(); i < threads; i += omp_get_num_threads()) {
            const team t = team_of(g, threads, teams, i / (threads / teams));
            team_work(&t, i % t.threads,
                      scratch + omp_get_thread_num() * CPU_PRODUCT_SCRATCH_FLOATS);
        }
    }
}

/* Rows at once: no more blocks than `left` has room for. */
enum { ROWS_MOST = 1 << LEFT_BITS };

static void product(const cpu_product_args *g)
{
    const int64_t a_bytes = g->bf16 ? 2 : 4, c_bytes = g->c_bf16 ? 2 : 4;
    for (int64_t m = 0; m < g->M; m += ROWS_MOST) {
        cpu_product_args part = *g;
        part.M = min64(g->M - m, ROWS_MOST);
        part.a = (const char *)g->a + m * (g->a_transposed ? 1 : g->lda) * a_bytes;
        part.c = (char *)g->c + m * g->N * c_bytes;
        part.sums = g->sums != NULL ? g->sums + m * g->N : NULL;
        rows_product(&part);
    }
}

void ISA_NAME(cpu_fill_product)(cpu_kernels *table)
{
    table->product = product;
}
