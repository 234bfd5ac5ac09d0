#include "bench/report/figures/figure_choice.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
    int entry;
    double key;
} candidate;

static int by_rising_key(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : x->entry - y->entry;
}

/* Marks an entry as drawn where there is room for one more of `limit`. */
static void take(bool *taken, int *n, int entry, int limit)
{
    if (!taken[entry] && *n < limit) {
        taken[entry] = true;
        ++*n;
    }
}

static void take_baselines(const findings *data, bool *taken, int *n)
{
    for (int i = 0; i < data->n_entries; i++) {
        int base = data->entries[i].baseline;
        if (base >= 0) {
            take(taken, n, base, FIGURE_ENTRIES_MAX);
        }
    }
}

/* At most half of the room, so that the field behind the front is seen too. */
static void take_front(const findings *data, candidate *list, bool *taken, int *n)
{
    int found = 0;
    for (int i = 0; i < data->n_entries; i++) {
        const result_entry *e = &data->entries[i];
        if (e->on_front && !taken[i]) {
            list[found++] =
                (candidate){i, isfinite(e->front_probability) ? -e->front_probability : 0};
        }
    }
    qsort(list, (size_t)found, sizeof *list, by_rising_key);
    for (int k = 0; k < found; k++) {
        take(taken, n, list[k].entry, FIGURE_ENTRIES_MAX / 2);
    }
}

/* Evenly over the rest by time per step, both ends included. */
static void take_field(const findings *data, candidate *list, bool *taken, int *n)
{
    int found = 0, room = FIGURE_ENTRIES_MAX - *n;
    for (int i = 0; i < data->n_entries; i++) {
        double ms = data->entries[i].pace.step_avg_ms.value;
        if (!taken[i]) {
            list[found++] = (candidate){i, isfinite(ms) ? ms : INFINITY};
        }
    }
    qsort(list, (size_t)found, sizeof *list, by_rising_key);
    for (int k = 0; k < room && found > 0; k++) {
        int place = room > 1 ? (int)((int64_t)k * (found - 1) / (room - 1)) : 0;
        take(taken, n, list[place].entry, FIGURE_ENTRIES_MAX);
    }
}

static void entries_copy(figure_choice *c, const bool *taken)
{
    int n = 0;
    for (int i = 0; i < c->all->n_entries; i++) {
        c->slots[i] = taken[i] ? n : -1;
        if (taken[i]) {
            c->drawn.entries[n++] = c->all->entries[i];
        }
    }
    c->drawn.n_entries = n;
    for (int i = 0; i < n; i++) {
        int *base = &c->drawn.entries[i].baseline, *beside = &c->drawn.entries[i].beside;
        *base = *base >= 0 ? c->slots[*base] : -1;
        *beside = *beside >= 0 ? c->slots[*beside] : -1;
    }
}

/* Rows of the chosen entries; those of configs without one while there is room. */
static void verdicts_copy(figure_choice *c)
{
    int n = 0, room = FIGURE_ENTRIES_MAX - c->drawn.n_entries;
    for (int i = 0; i < c->all->verdicts->n; i++) {
        config_verdict row = c->all->verdicts->rows[i];
        if (row.entry >= 0 ? c->slots[row.entry] >= 0 : room-- > 0) {
            row.entry = row.entry >= 0 ? c->slots[row.entry] : -1;
            c->verdicts.rows[n++] = row;
        }
    }
    c->verdicts.n = n;
}

gb_status figure_choice_make(figure_choice *c, const findings *data, gb_error *err)
{
    const size_t entries = (size_t)data->n_entries + 1;
    const size_t rows = data->verdicts ? (size_t)data->verdicts->n : 0;
    *c = (figure_choice){.all = data, .drawn = *data};
    if (data->n_entries <= FIGURE_ENTRIES_MAX && rows <= FIGURE_ENTRIES_MAX) {
        return GB_OK;
    }
    bool *taken = calloc(entries, sizeof *taken);
    candidate *list = calloc(entries, sizeof *list);
    c->slots = calloc(entries, sizeof *c->slots);
    c->verdicts.rows = calloc(rows + 1, sizeof *c->verdicts.rows);
    c->drawn.entries = calloc(FIGURE_ENTRIES_MAX, sizeof *c->drawn.entries);
    gb_status status = GB_OK;
    if (taken && list && c->slots && c->verdicts.rows && c->drawn.entries) {
        int n = 0;
        take_baselines(data, taken, &n);
        take_front(data, list, taken, &n);
        take_field(data, list, taken, &n);
        entries_copy(c, taken);
        c->drawn.verdicts = &c->verdicts;
        if (data->verdicts) {
            verdicts_copy(c);
        }
    } else {
        free(c->drawn.entries);
        free(c->verdicts.rows);
        free(c->slots);
        *c = (figure_choice){.all = data, .drawn = *data};
        status = gb_fail(err, GB_ERR_OOM, "no memory to choose what figures draw");
    }
    free(list);
    free(taken);
    return status;
}

void figure_choice_free(figure_choice *c)
{
    if (c->slots) {
        free(c->drawn.entries);
        free(c->verdicts.rows);
        free(c->slots);
        c->slots = NULL;
    }
}

int figure_choice_slot(const figure_choice *c, int entry)
{
    return c->slots ? c->slots[entry] : entry;
}
