#include "kernels/attribution.h"

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

struct attribution {
    array issues, links, activities, kernels;
    uint64_t zero_ns;
    int64_t dropped, unplaced;
    bool short_of_memory;
    bool broken_replays; /* some had another number of nodes than their recording */
    char note[200];
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
    a->dropped = a->unplaced = 0;
    a->short_of_memory = a->broken_replays = false;
    a->note[0] = '\0';
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

void attribution_set_scope(attribution *a, uint64_t external_id, gb_scope scope)
{
    if (external_id >= 1 && external_id <= a->issues.count) {
        ((issue *)a->issues.items)[external_id - 1].scope = scope;
    }
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

/* ---- bringing together ---- */

static int by_correlation(const void *x, const void *y)
{
    const link_record *a = x, *b = y;
    return (a->correlation_id > b->correlation_id) - (a->correlation_id < b->correlation_id);
}

/* The calls in order, and the activities of each in the order in which they ran. */
static int by_call_and_time(const void *x, const void *y)
{
    const gb_activity *a = x, *b = y;
    if (a->correlation_id != b->correlation_id) {
        return a->correlation_id > b->correlation_id ? 1 : -1;
    }
    return (a->begin_ns > b->begin_ns) - (a->begin_ns < b->begin_ns);
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
    a->unplaced += !scope;
    scope = scope ? scope : &nowhere;
    kernel_add(a, activity, *scope);
    if (!overlaps && !gb_ledger_add_span(ledger, *scope, since_zero_ms(a, activity->begin_ns),
                                         since_zero_ms(a, activity->end_ns))) {
        a->short_of_memory = true;
    }
}

/* The n activities of one replay, in order. */
static void place_replay(attribution *a, gb_ledger *ledger, const issue *what,
                         const gb_activity *activities, size_t n)
{
    const int64_t nodes = what->n_marks > 0 ? what->marks[what->n_marks - 1].nodes_after : 0;
    const bool whole = (int64_t)n == nodes;
    int mark = 0;
    a->broken_replays |= !whole;
    for (size_t i = 0; i < n; i++) {
        while (whole && (int64_t)i >= what->marks[mark].nodes_after) {
            mark++;
        }
        place(a, ledger, &activities[i], whole ? &what->marks[mark].scope : NULL, false);
    }
}

static int slower_first(const void *x, const void *y)
{
    const gb_kernel_time *a = x, *b = y;
    return (a->time_ms < b->time_ms) - (a->time_ms > b->time_ms);
}

static void note_write(attribution *a)
{
    if (a->short_of_memory) {
        snprintf(a->note, sizeof a->note, "incomplete: host memory was short while profiling");
    } else if (a->dropped > 0) {
        snprintf(a->note, sizeof a->note, "incomplete: the profiler dropped %lld records",
                 (long long)a->dropped);
    } else if (a->unplaced > 0) {
        snprintf(a->note, sizeof a->note, "incomplete: %lld of %zu activities belong to no op%s",
                 (long long)a->unplaced, a->activities.count,
                 a->broken_replays ? ", as replays had another number of nodes than recorded" : "");
    }
}

void attribution_finish(attribution *a, gb_ledger *ledger)
{
    gb_activity *all = a->activities.items;
    const size_t count = a->activities.count;
    if (a->links.count > 0) {
        qsort(a->links.items, a->links.count, sizeof(link_record), by_correlation);
    }
    if (count > 0) {
        qsort(all, count, sizeof *all, by_call_and_time);
    }
    for (size_t from = 0, to; from < count; from = to) {
        const issue *what = issue_of(a, all[from].correlation_id);
        for (to = from + 1; to < count && all[to].correlation_id == all[from].correlation_id;) {
            to++;
        }
        if (what && what->marks) {
            place_replay(a, ledger, what, all + from, to - from);
            continue;
        }
        for (size_t i = from; i < to; i++) {
            place(a, ledger, &all[i], what ? &what->scope : NULL, what && what->overlaps);
        }
    }
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
