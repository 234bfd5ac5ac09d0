/* Products of matrices in float, of float or bfloat16 operands. Threads share out the rows of the
 * result and, where these are few, its columns. A thread copies some columns of the right-hand
 * side, DEPTH rows of them, into panels which its second cache holds; a tile's rows of the
 * left-hand side, in its first cache, pass by all of them (an order of loops after Goto and van de
 * Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008).
 *
 * Every element is summed by one thread at a time in an order that depends on K alone.
 */
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

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

static stored rhs_stored(const cpu_product_args *g, range k, range n)
{
    const int64_t bytes = g->bf16 ? 2 : 4;
    return (stored){g->b, g->ldb * bytes, g->b_transposed ? n : k, g->b_transposed ? k : n, bytes};
}

/* Asking for a matrix bit by bit: `once` at each of so many times, and then `step` bytes further. */
typedef struct errand {
    ahead once;
    int64_t step;
} errand;

/* Some lines of each row each time; a time has `segments` goes, of some of the rows each. */
static errand lines_errand(const stored *s, range rows, int64_t times, int64_t segments)
{
    const int64_t lines = isa_parts((s->columns.count - 1) * s->bytes + LINE, LINE);
    errand e = {.once = {.at = s->at + (s->rows.begin + rows.begin) * s->row +
                               s->columns.begin * s->bytes,
                         .stride = s->row,
                         .rows = (int32_t)isa_parts(rows.count, segments),
                         .lines = (int32_t)isa_parts(lines, times)}};
    e.step = e.once.lines * LINE;
    return e;
}

/* Some rows each time. */
static errand rows_errand(const stored *s, int64_t times, int64_t segments)
{
    errand e = lines_errand(s, (range){0, isa_parts(s->rows.count, times)}, 1, segments);
    e.step = e.once.rows * segments * s->row;
    return e;
}

/* What comes after some rows: others of a, and then other panels of b, of which these rows ask for
 * part i of `parts`. */
typedef struct upcoming {
    stored a, b;
    int64_t i, parts; /* 0: no b */
} upcoming;

/* Adds the products of columns k of a's rows m with the panels of columns n to the sums. */
static void rows_run(const cpu_product_args *g, float *copy, const float *panels, range m, range n,
                     range k, const upcoming *up)
{
    const int64_t count = isa_parts(n.count, PANEL);
    const int64_t segments = isa_parts(m.count, TILE) * isa_parts(k.count, SEGMENT);
    const bool last = k.begin + k.count == g->K, first = k.begin == 0;
    const lhs a = lhs_prepare(g, copy, m, k);
    float *sums = g->c_bf16 ? g->sums : g->c;
    errand next_a = g->a_transposed
                        ? rows_errand(&up->a, count, segments)
                        : lines_errand(&up->a, (range){0, up->a.rows.count}, count, segments);
    errand next_b = {0};
    if (up->parts > 0) {
        next_b =
            lines_errand(&up->b, part_of(up->b.rows.count, up->parts, up->i), count, segments);
    }
    for (int64_t j = 0; j < count; j++) {
        ahead next[2] = {{0}, {0}}; if (g->a_transposed) next[0] = next_a.once;
        next_a.once.at += next_a.step;
        next_b.once.at += next_b.step;
        lhs rows = a;
        for (int64_t i = 0; i < m.count; i += TILE, rows.at += a.tile) {
            const int64_t at = (m.begin + i) * g->N + n.begin + j * PANEL;
            const target to = {.sums = sums != NULL ? sums + at : NULL,
                               .c = g->c_bf16 && last ? (uint16_t *)g->c + at : NULL,
                               .row = g->N,
                               .add = g->accumulate || !first};
            tile(min64(m.count - i, TILE), k.count, rows, panels + j * PANEL * k.count, to,
                 min64(n.count - j * PANEL, PANEL), next);
        }
    }
}

/* Threads with the same columns. They work in stages, counted from 1: the first lot of columns with
 * the first columns of a, with the next, and so on, then the next lot. Each holds the panels of its
 * stage and has a part of the tiles, the same in every stage; who is through with it takes from the
 * ends of the others' parts. The sums of a tile's rows grow stage by stage. */
typedef struct team {
    const cpu_product_args *g;
    range panels; /* of b */
    int64_t lots, chunks, stages, tiles, rows, height, threads;
    _Atomic int32_t *reached; /* (tiles) the stage that their rows have been through */
    _Atomic uint64_t *left;   /* LEFT_STRIDE * member: what is left of each part */
} team;

/* What is left of a part in a stage: tiles [low, high), counted from the part's first. */
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

/* A tile of a member's part that nobody has yet in this stage, the first or, for others, the last;
 * -1 if there is none. Who is in a stage has seen every part of the stage before taken. */
static int64_t tile_take(const team *t, int64_t member, int64_t stage, bool own)
{
    const range part = part_of(t->tiles, t->threads, member);
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
        const int64_t tile = own ? l.low++ : --l.high;
        if (atomic_compare_exchange_weak_explicit(word, &seen, left_pack(l), memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return part.begin + tile;
        }
    }
}

/* Whoever has the tile may be behind, and without a processor. */
static void tile_wait(const team *t, int64_t tile, int64_t stage)
{
    enum { PATIENCE = 1000 };
    for (int i = 1; atomic_load_explicit(&t->reached[tile], memory_order_acquire) < stage; i++) {
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

static range tile_rows(const team *t, int64_t tile)
{
    const range rows = part_of(t->rows, t->tiles, tile);
    const int64_t begin = rows.begin * t->height;
    return (range){begin, min64(t->g->M - begin, rows.count * t->height)};
}

/* A thread's stage and the one after it, and its panels. */
typedef struct worker {
    float *panels, *copy;
    int64_t stage;
    bool filled;
    range n, k, next_n, next_k; /* next_k is empty in the last stage */
} worker;

static void stage_enter(const team *t, worker *w, int64_t stage)
{
    const bool last = stage == t->stages;
    w->stage = stage;
    w->filled = false;
    w->n = stage_columns(t, stage);
    w->k = stage_depth(t, stage);
    w->next_n = last ? (range){0, 0} : stage_columns(t, stage + 1);
    w->next_k = last ? (range){0, 0} : stage_depth(t, stage + 1);
}

/* The one that is likely to be next is `step` tiles further. */
static void tile_run(const team *t, worker *w, int64_t tile, int64_t step)
{
    const int64_t soon = tile + step;
    const bool here = soon >= 0 && soon < t->tiles;
    upcoming up = {.a = lhs_stored(t->g, tile_rows(t, here ? soon : 0), here ? w->k : w->next_k)};
    if (!w->filled) {
        panels_fill(w->panels, t->g, w->k, w->n);
        w->filled = true;
    }
    /* Rows of a transposed b are too many, and in too many pages. */
    if (!t->g->b_transposed && w->next_k.count > 0) {
        up.b = rhs_stored(t->g, w->next_k, w->next_n);
        up.parts = isa_parts(t->tiles, t->threads);
        up.i = tile % up.parts;
    }
    tile_wait(t, tile, w->stage - 1);
    rows_run(t->g, w->copy, w->panels, tile_rows(t, tile), w->n, w->k, &up);
    atomic_store_explicit(&t->reached[tile], (int32_t)w->stage, memory_order_release);
}

static void team_work(const team *t, int64_t member, float *scratch)
{
    worker w = {.panels = scratch, .copy = scratch + DEPTH * COLUMNS};
    for (int64_t stage = 1; stage <= t->stages; stage++) {
        stage_enter(t, &w, stage);
        for (int64_t i = 0; i < t->threads; i++) {
            const int64_t of = (member + i) % t->threads;
            int64_t tile;
            while ((tile = tile_take(t, of, stage, i == 0)) >= 0) {
                tile_run(t, &w, tile, i == 0 ? 1 : -1);
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
    t.rows = isa_parts(g->M, TILE);
    t.height = BLOCK == 1 ? isa_parts(g->M, t.rows) : TILE;
    t.tiles = BLOCK == 1 ? t.rows : min64(t.rows, isa_parts(isa_parts(t.rows, BLOCK), t.threads) * t.threads);
    t.left = (_Atomic uint64_t *)g->workspace + i * t.threads * LEFT_STRIDE;
    t.reached =
        (_Atomic int32_t *)((_Atomic uint64_t *)g->workspace + threads * LEFT_STRIDE) + i * t.tiles;
    return t;
}

static void product(const cpu_product_args *g)
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

void ISA_NAME(cpu_fill_product)(cpu_kernels *table)
{
    table->product = product;
}
