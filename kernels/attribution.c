#include "kernels/attribution.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- growing arrays ---- */

typedef struct array {
    void *items;
    size_t count, capacity;
} array;

/* Room for one more item of `size` bytes; NULL when memory is short. */
static void *array_add(array *a, size_t size)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? 2 * a->capacity : 256;
        void *grown = realloc(a->items, capacity * size);
        if (!grown) {
            return NULL;
        }
        a->items = grown;
        a->capacity = capacity;
    }
    return (char *)a->items + a->count++ * size;
}

/* ---- what is known ---- */

/* One external id: an op, or a replay when it has marks. */
typedef struct issue {
    gb_scope scope;
    bool overlaps;
    gb_node_mark *marks; /* owned */
    int n_marks;
} issue;

typedef struct link_record {
    uint32_t correlation_id;
    uint64_t external_id;
} link_record;

/* What the profiler did of one kind. */
typedef struct overhead {
    const char *what;
    int64_t spells;
    uint64_t time_ns;
} overhead;

enum { OVERHEADS_MAX = 16 };

struct attribution {
    array issues, links, activities, kernels;
    uint64_t zero_ns;
    int64_t dropped, unplaced;
    uint64_t seen_ns, unplaced_ns; /* of all activities, of those without an op */
    int64_t replays, odd_replays;  /* odd: with another number of nodes than their recording */
    bool short_of_memory;
    char broken[120]; /* why records may be missing; empty: nothing went wrong */
    overhead overheads[OVERHEADS_MAX];
    int n_overheads;
    bool clocks_known;
    gb_clock_pair start, end;
    char note[240];
};

attribution *attribution_open(void)
{
    return calloc(1, sizeof(attribution));
}

static void issues_free(attribution *a)
{
    issue *issues = a->issues.items;
    for (size_t i = 0; i < a->issues.count; i++) {
        free(issues[i].marks);
    }
    a->issues.count = 0;
}

void attribution_close(attribution *a)
{
    if (a) {
        issues_free(a);
        free(a->issues.items);
        free(a->links.items);
        free(a->activities.items);
        free(a->kernels.items);
        free(a);
    }
}

void attribution_reset(attribution *a, uint64_t zero_ns)
{
    issues_free(a);
    a->links.count = a->activities.count = a->kernels.count = 0;
    a->zero_ns = zero_ns;
    a->dropped = a->unplaced = a->replays = a->odd_replays = 0;
    a->seen_ns = a->unplaced_ns = 0;
    a->short_of_memory = a->clocks_known = false;
    a->n_overheads = 0;
    a->note[0] = a->broken[0] = '\0';
}

/* Ids count from 1: a profiler says 0 for none. */
static uint64_t issue_add(attribution *a, const issue *what)
{
    issue *added = array_add(&a->issues, sizeof *added);
    if (!added) {
        a->short_of_memory = true;
        return 0;
    }
    *added = *what;
    return a->issues.count;
}

uint64_t attribution_op(attribution *a, gb_scope scope, bool overlaps)
{
    return issue_add(a, &(issue){.scope = scope, .overlaps = overlaps});
}

uint64_t attribution_replay(attribution *a, const gb_node_mark *marks, int n_marks)
{
    issue what = {.n_marks = n_marks};
    what.marks = malloc(((size_t)n_marks + 1) * sizeof *marks);
    if (!what.marks) {
        a->short_of_memory = true;
        return 0;
    }
    memcpy(what.marks, marks, (size_t)n_marks * sizeof *marks);
    uint64_t id = issue_add(a, &what);
    if (id == 0) {
        free(what.marks);
    }
    return id;
}

void attribution_external(attribution *a, uint32_t correlation_id, uint64_t external_id)
{
    link_record *added = array_add(&a->links, sizeof *added);
    if (added) {
        *added = (link_record){correlation_id, external_id};
    }
    a->short_of_memory |= !added;
}

void attribution_activity(attribution *a, const gb_activity *activity)
{
    gb_activity *added = array_add(&a->activities, sizeof *added);
    if (added) {
        *added = *activity;
        added->name[sizeof added->name - 1] = '\0';
        if (added->end_ns < added->begin_ns) { /* not a time: some profilers leave 0 */
            added->end_ns = added->begin_ns;
        }
    }
    a->short_of_memory |= !added;
}

void attribution_dropped(attribution *a, int64_t records)
{
    a->dropped += records;
}

void attribution_broken(attribution *a, const char *why)
{
    if (!a->broken[0]) {
        snprintf(a->broken, sizeof a->broken, "%s", why);
    }
}

void attribution_overhead(attribution *a, const char *what, uint64_t begin_ns, uint64_t end_ns)
{
    int i = 0;
    while (i < a->n_overheads && strcmp(a->overheads[i].what, what) != 0) {
        i++;
    }
    if (i == a->n_overheads && i < OVERHEADS_MAX) {
        a->overheads[a->n_overheads++] = (overhead){.what = what};
    }
    i = i < OVERHEADS_MAX ? i : OVERHEADS_MAX - 1;
    a->overheads[i].spells++;
    a->overheads[i].time_ns += end_ns > begin_ns ? end_ns - begin_ns : 0;
}

void attribution_clocks(attribution *a, const gb_clock_pair *start, const gb_clock_pair *end)
{
    a->start = *start;
    a->end = *end;
    a->clocks_known = true;
}

/* ---- bringing together ---- */

static int by_correlation(const void *x, const void *y)
{
    const link_record *a = x, *b = y;
    return (a->correlation_id > b->correlation_id) - (a->correlation_id < b->correlation_id);
}

/* The calls in order, and the activities of each in the order in which they ran. Where two begin at
 * once, as a clock that counts in steps may have it, the one that has ended by then was first. */
static int by_call_and_time(const void *x, const void *y)
{
    const gb_activity *a = x, *b = y;
    if (a->correlation_id != b->correlation_id) {
        return a->correlation_id > b->correlation_id ? 1 : -1;
    }
    if (a->begin_ns != b->begin_ns) {
        return a->begin_ns > b->begin_ns ? 1 : -1;
    }
    return (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
}

static const issue *issue_of(const attribution *a, uint32_t correlation_id)
{
    const link_record key = {.correlation_id = correlation_id};
    const link_record *link = a->links.count == 0 ? NULL
                                                  : bsearch(&key, a->links.items, a->links.count,
                                                            sizeof key, by_correlation);
    bool known = link && link->external_id >= 1 && link->external_id <= a->issues.count;
    return known ? (const issue *)a->issues.items + (link->external_id - 1) : NULL;
}

static bool same_launch(const gb_kernel_time *row, const gb_activity *activity, gb_scope scope)
{
    return row->phase == scope.phase && row->layer == scope.layer && row->op == scope.op &&
           memcmp(row->grid, activity->grid, sizeof row->grid) == 0 &&
           memcmp(row->block, activity->block, sizeof row->block) == 0 &&
           row->registers == activity->registers && row->shared_bytes == activity->shared_bytes &&
           strcmp(row->name, activity->name) == 0;
}

static void kernel_add(attribution *a, const gb_activity *activity, gb_scope scope)
{
    const double time_ms = (double)(activity->end_ns - activity->begin_ns) * 1e-6;
    gb_kernel_time *rows = a->kernels.items;
    for (size_t i = 0; i < a->kernels.count; i++) {
        if (same_launch(&rows[i], activity, scope)) {
            rows[i].calls++;
            rows[i].time_ms += time_ms;
            return;
        }
    }
    gb_kernel_time *row = array_add(&a->kernels, sizeof *row);
    if (!row) {
        a->short_of_memory = true;
        return;
    }
    *row = (gb_kernel_time){.phase = scope.phase,
                            .layer = scope.layer,
                            .op = scope.op,
                            .calls = 1,
                            .time_ms = time_ms,
                            .registers = activity->registers,
                            .shared_bytes = activity->shared_bytes};
    memcpy(row->name, activity->name, sizeof row->name);
    memcpy(row->grid, activity->grid, sizeof row->grid);
    memcpy(row->block, activity->block, sizeof row->block);
}

static double since_zero_ms(const attribution *a, uint64_t ns)
{
    return ns >= a->zero_ns ? (double)(ns - a->zero_ns) * 1e-6 : -(double)(a->zero_ns - ns) * 1e-6;
}

static void place(attribution *a, gb_ledger *ledger, const gb_activity *activity,
                  const gb_scope *scope, bool overlaps)
{
    static const gb_scope nowhere = {GB_PHASE_IDLE, -1, GB_OP_UNATTRIBUTED};
    const uint64_t time_ns = activity->end_ns - activity->begin_ns;
    a->seen_ns += time_ns;
    a->unplaced += !scope;
    a->unplaced_ns += scope ? 0 : time_ns;
    scope = scope ? scope : &nowhere;
    kernel_add(a, activity, *scope);
    if (!overlaps && !gb_ledger_add_span(ledger, *scope, since_zero_ms(a, activity->begin_ns),
                                         since_zero_ms(a, activity->end_ns))) {
        a->short_of_memory = true;
    }
}

/* The activities of one call, all + from to all + to, and what was called; NULL: not known. */
typedef struct call {
    const issue *what;
    size_t from, to;
} call;

/* The call whose activities begin at `from`; false at the end. */
static bool call_next(const attribution *a, size_t from, call *out)
{
    const gb_activity *all = a->activities.items;
    if (from == a->activities.count) {
        return false;
    }
    *out = (call){issue_of(a, all[from].correlation_id), from, from + 1};
    while (out->to < a->activities.count &&
           all[out->to].correlation_id == all[from].correlation_id) {
        out->to++;
    }
    return true;
}

static gb_replay replay_of(const attribution *a, const call *c)
{
    return (gb_replay){c->what->marks, c->what->n_marks,
                       (const gb_activity *)a->activities.items + c->from, c->to - c->from};
}

/* `scopes` has room for all activities. */
static void place_call(attribution *a, gb_ledger *ledger, const replay_nodes *nodes, const call *c,
                       const gb_scope **scopes)
{
    const gb_activity *all = a->activities.items;
    const bool is_replay = c->what && c->what->marks;
    if (is_replay) {
        const gb_replay replay = replay_of(a, c);
        a->replays++;
        a->odd_replays += !replay_is_whole(&replay);
        replay_nodes_place(nodes, &replay, scopes);
    }
    for (size_t i = c->from; i < c->to; i++) {
        const gb_scope *scope = is_replay ? scopes[i - c->from] : c->what ? &c->what->scope : NULL;
        place(a, ledger, &all[i], scope, c->what && c->what->overlaps);
    }
}

/* All calls, whole replays first: the others are placed by what these teach. */
static void place_all(attribution *a, gb_ledger *ledger)
{
    const gb_scope **scopes = calloc(a->activities.count + 1, sizeof *scopes);
    replay_nodes *nodes = replay_nodes_open();
    call c = {NULL, 0, 0};
    a->short_of_memory |= !scopes || !nodes;
    for (; nodes && call_next(a, c.to, &c);) {
        if (c.what && c.what->marks) {
            const gb_replay replay = replay_of(a, &c);
            a->short_of_memory |= !replay_nodes_learn(nodes, &replay);
        }
    }
    for (c.to = 0; scopes && nodes && call_next(a, c.to, &c);) {
        place_call(a, ledger, nodes, &c, scopes);
    }
    replay_nodes_close(nodes);
    free(scopes);
}

static int slower_first(const void *x, const void *y)
{
    const gb_kernel_time *a = x, *b = y;
    return (a->time_ms < b->time_ms) - (a->time_ms > b->time_ms);
}

/* ---- the note ---- */

/* Nothing where every activity has an op and every replay its nodes. */
static void unplaced_write(const attribution *a, char *out, size_t size)
{
    char replays[120] = "";
    if (a->odd_replays > 0) {
        snprintf(replays, sizeof replays,
                 "%" PRId64 " of %" PRId64 " replays had another number of nodes than recorded",
                 a->odd_replays, a->replays);
    }
    if (a->unplaced > 0) {
        const double share = a->seen_ns > 0 ? (double)a->unplaced_ns / (double)a->seen_ns : 0;
        snprintf(out, size,
                 "incomplete: %" PRId64
                 " of %zu activities, %.1f %% of their time, belong to no op%s%s",
                 a->unplaced, a->activities.count, 100 * share, replays[0] ? ": " : "", replays);
    } else if (a->odd_replays > 0) {
        snprintf(out, size, "incomplete: %s; all activities have their op", replays);
    } else {
        out[0] = '\0';
    }
}

static void missing_write(const attribution *a, char *out, size_t size)
{
    if (a->short_of_memory) {
        snprintf(out, size, "incomplete: host memory was short while profiling");
    } else if (a->dropped > 0) {
        snprintf(out, size, "incomplete: the profiler dropped %" PRId64 " records", a->dropped);
    } else if (a->broken[0]) {
        snprintf(out, size, "incomplete: %s", a->broken);
    } else {
        unplaced_write(a, out, size);
    }
}

/* "the profiler itself took 0.420 ms of the host's time in 3 spells, most in buffer flush" */
static void overhead_write(const attribution *a, char *out, size_t size)
{
    int64_t spells = 0;
    uint64_t time_ns = 0;
    const overhead *most = a->overheads;
    for (int i = 0; i < a->n_overheads; i++) {
        const overhead *o = &a->overheads[i];
        spells += o->spells;
        time_ns += o->time_ns;
        most = o->time_ns > most->time_ns ? o : most;
    }
    out[0] = '\0';
    if (spells > 0) {
        snprintf(out, size,
                 "the profiler itself took %.3f ms of the host's time in %" PRId64
                 " spell%s, most in %s",
                 (double)time_ns * 1e-6, spells, spells == 1 ? "" : "s", most->what);
    }
}

/* What the profiler's clock gained on the host's from start to end. */
static int64_t drift_ns(const attribution *a)
{
    return (int64_t)(a->end.profiler_ns - a->start.profiler_ns) -
           (int64_t)(a->end.host_ns - a->start.host_ns);
}

/* Only where it is more than the two readings may be off. */
static void drift_write(const attribution *a, char *out, size_t size)
{
    const int64_t drift = a->clocks_known ? drift_ns(a) : 0;
    const uint64_t off = a->start.within_ns + a->end.within_ns;
    out[0] = '\0';
    if (a->clocks_known && (uint64_t)(drift < 0 ? -drift : drift) > off) {
        snprintf(out, size, "the profiler's clock gained %.3f us on the host's",
                 (double)drift * 1e-3);
    }
}

static void note_write(attribution *a)
{
    enum { PARTS = 3 };
    char parts[PARTS][320];
    size_t used = 0;
    missing_write(a, parts[0], sizeof parts[0]);
    overhead_write(a, parts[1], sizeof parts[1]);
    drift_write(a, parts[2], sizeof parts[2]);
    a->note[0] = '\0';
    for (int i = 0; i < PARTS; i++) {
        if (parts[i][0] && used < sizeof a->note) {
            int n =
                snprintf(a->note + used, sizeof a->note - used, "%s%s", used ? "; " : "", parts[i]);
            used += n > 0 ? (size_t)n : 0;
        }
    }
}

double attribution_zero_s(const attribution *a)
{
    if (!a->clocks_known) {
        return NAN;
    }
    return ((double)a->start.host_ns + (double)(int64_t)(a->zero_ns - a->start.profiler_ns)) * 1e-9;
}

/* ---- the end ---- */

void attribution_finish(attribution *a, gb_ledger *ledger)
{
    if (a->links.count > 0) {
        qsort(a->links.items, a->links.count, sizeof(link_record), by_correlation);
    }
    if (a->activities.count > 0) {
        qsort(a->activities.items, a->activities.count, sizeof(gb_activity), by_call_and_time);
    }
    place_all(a, ledger);
    gb_ledger_sort_spans(ledger);
    if (a->kernels.count > 0) {
        qsort(a->kernels.items, a->kernels.count, sizeof(gb_kernel_time), slower_first);
    }
    note_write(a);
}

int attribution_kernels(const attribution *a, gb_kernel_time *rows, int capacity)
{
    const size_t n = a->kernels.count < (size_t)capacity ? a->kernels.count : (size_t)capacity;
    if (n > 0) {
        memcpy(rows, a->kernels.items, n * sizeof *rows);
    }
    return (int)a->kernels.count;
}

const char *attribution_note(const attribution *a)
{
    return a->note[0] ? a->note : NULL;
}
