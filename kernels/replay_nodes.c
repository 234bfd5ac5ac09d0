#include "kernels/replay_nodes.h"

#include <stdlib.h>
#include <string.h>

typedef struct node {
    uint64_t id;
    const gb_scope *scope;
} node;

struct replay_nodes {
    node *nodes; /* by id, an open hash table; id 0: free */
    size_t n_nodes, capacity;
    gb_replay *whole; /* the first of each recording */
    size_t n_whole;
};

replay_nodes *replay_nodes_open(void)
{
    return calloc(1, sizeof(replay_nodes));
}

void replay_nodes_close(replay_nodes *r)
{
    if (r) {
        free(r->nodes);
        free(r->whole);
        free(r);
    }
}

/* ---- ids ---- */

/* The entry of the id, or the free one where it belongs. There is a free one. */
static node *node_at(const replay_nodes *r, uint64_t id)
{
    size_t i = (size_t)(id * 0x9e3779b97f4a7c15u) & (r->capacity - 1);
    while (r->nodes[i].id != 0 && r->nodes[i].id != id) {
        i = (i + 1) & (r->capacity - 1);
    }
    return &r->nodes[i];
}

static bool nodes_grow(replay_nodes *r)
{
    const replay_nodes before = *r;
    const size_t capacity = r->capacity ? 2 * r->capacity : 1024;
    node *grown = calloc(capacity, sizeof *grown);
    if (!grown) {
        return false;
    }
    r->nodes = grown;
    r->capacity = capacity;
    for (size_t i = 0; i < before.capacity; i++) {
        if (before.nodes[i].id != 0) {
            *node_at(r, before.nodes[i].id) = before.nodes[i];
        }
    }
    free(before.nodes);
    return true;
}

/* What was learned first stays. */
static bool node_learn(replay_nodes *r, uint64_t id, const gb_scope *scope)
{
    if (id == 0) {
        return true;
    }
    if (2 * (r->n_nodes + 1) > r->capacity && !nodes_grow(r)) {
        return false;
    }
    node *entry = node_at(r, id);
    r->n_nodes += entry->id == 0;
    *entry = entry->id == 0 ? (node){id, scope} : *entry;
    return true;
}

static const gb_scope *scope_by_id(const replay_nodes *r, uint64_t id)
{
    return id != 0 && r->capacity > 0 ? node_at(r, id)->scope : NULL;
}

/* ---- order ---- */

static int64_t nodes_recorded(const gb_replay *replay)
{
    return replay->n_marks > 0 ? replay->marks[replay->n_marks - 1].nodes_after : 0;
}

bool replay_is_whole(const gb_replay *replay)
{
    return (int64_t)replay->n == nodes_recorded(replay);
}

/* Of the i-th node of a recording that has it. */
static const gb_scope *scope_by_order(const gb_replay *whole, size_t i)
{
    const gb_node_mark *mark = whole->marks;
    while ((int64_t)i >= mark->nodes_after) {
        mark++;
    }
    return &mark->scope;
}

static bool same_recording(const gb_replay *a, const gb_replay *b)
{
    if (a->n_marks != b->n_marks) {
        return false;
    }
    for (int i = 0; i < a->n_marks; i++) {
        const gb_node_mark *x = &a->marks[i], *y = &b->marks[i];
        if (x->nodes_after != y->nodes_after || x->scope.phase != y->scope.phase ||
            x->scope.layer != y->scope.layer || x->scope.op != y->scope.op) {
            return false;
        }
    }
    return true;
}

static const gb_replay *whole_of(const replay_nodes *r, const gb_replay *replay)
{
    for (size_t i = 0; i < r->n_whole; i++) {
        if (same_recording(&r->whole[i], replay)) {
            return &r->whole[i];
        }
    }
    return NULL;
}

bool replay_nodes_learn(replay_nodes *r, const gb_replay *replay)
{
    if (!replay_is_whole(replay) || replay->n == 0) {
        return true;
    }
    for (size_t i = 0; i < replay->n; i++) {
        if (!node_learn(r, replay->activities[i].node_id, scope_by_order(replay, i))) {
            return false;
        }
    }
    if (whole_of(r, replay)) {
        return true;
    }
    gb_replay *grown = realloc(r->whole, (r->n_whole + 1) * sizeof *grown);
    if (!grown) {
        return false;
    }
    r->whole = grown;
    r->whole[r->n_whole++] = *replay;
    return true;
}

/* ---- names ---- */

static bool same_launch(const gb_activity *a, const gb_activity *b)
{
    return a->kind == b->kind && memcmp(a->grid, b->grid, sizeof a->grid) == 0 &&
           memcmp(a->block, b->block, sizeof a->block) == 0 && strcmp(a->name, b->name) == 0;
}

/* How many of the first n are launches like this one. */
static size_t launches_count(const gb_activity *of, const gb_activity *all, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += same_launch(of, &all[i]);
    }
    return count;
}

/* The i-th activity of the replay is the k-th of its name: so it is in the whole one, if both have
 * as many of that name. */
static const gb_scope *scope_by_name(const gb_replay *whole, const gb_replay *replay, size_t i)
{
    const gb_activity *of = &replay->activities[i];
    if (launches_count(of, replay->activities, replay->n) !=
        launches_count(of, whole->activities, whole->n)) {
        return NULL;
    }
    size_t before = launches_count(of, replay->activities, i), at = 0;
    while (!same_launch(of, &whole->activities[at]) || before-- > 0) {
        at++;
    }
    return scope_by_order(whole, at);
}

void replay_nodes_place(const replay_nodes *r, const gb_replay *replay, const gb_scope **scopes)
{
    const bool is_whole = replay_is_whole(replay);
    const gb_replay *whole = whole_of(r, replay);
    for (size_t i = 0; i < replay->n; i++) {
        scopes[i] = scope_by_id(r, replay->activities[i].node_id);
        if (!scopes[i] && is_whole) {
            scopes[i] = scope_by_order(replay, i);
        } else if (!scopes[i] && whole) {
            scopes[i] = scope_by_name(whole, replay, i);
        }
    }
}
