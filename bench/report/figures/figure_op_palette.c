#include "bench/report/figures/figure_op_palette.h"

#include <string.h>

#include "kernels/backend.h"

static const int own_colors[FIGURE_OPS_OWN] = {0x0072b2, 0xe69f00, 0x009e73, 0xd55e00, 0x56b4e9,
                                               0xcc79a7, 0xf0e442, 0x004a73, 0x7a4a1e};

enum { OPS_MAX = 64 };

/* Ops that occur in any run, in the order in which they are met. */
typedef struct op_list {
    const char *names[OPS_MAX];
    double totals_ms[OPS_MAX]; /* over all configs */
    int n;
} op_list;

double figure_op_ms(const result_entry *entry, const char *op)
{
    double sum = 0;
    int runs = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        const run_facts *run = entry->runs[r];
        runs += run->n_ops > 0;
        for (int64_t k = 0; k < run->n_ops; k++) {
            sum += !op || strcmp(run->ops[k].op, op) == 0 ? run->ops[k].time_ms : 0;
        }
    }
    return runs ? sum / runs : 0;
}

/* Place of an op in a step; GB_OP_COUNT for a name that is none. */
static int op_order(const char *name)
{
    int i = 0;
    while (i < GB_OP_COUNT && strcmp(gb_op_name((gb_op)i), name) != 0) {
        i++;
    }
    return i;
}

static double op_total_ms(const findings *data, const char *name)
{
    double sum = 0;
    for (int i = 0; i < data->n_entries; i++) {
        sum += figure_op_ms(&data->entries[i], name);
    }
    return sum;
}

static void list_add(op_list *list, const char *name)
{
    for (int i = 0; i < list->n; i++) {
        if (strcmp(list->names[i], name) == 0) {
            return;
        }
    }
    if (list->n < OPS_MAX && strcmp(name, "unattributed") != 0) {
        list->names[list->n++] = name;
    }
}

static op_list list_make(const findings *data)
{
    op_list list = {.n = 0};
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            const run_facts *run = data->entries[i].runs[r];
            for (int64_t k = 0; k < run->n_ops; k++) {
                list_add(&list, run->ops[k].op);
            }
        }
    }
    for (int i = 0; i < list.n; i++) {
        list.totals_ms[i] = op_total_ms(data, list.names[i]);
    }
    return list;
}

/* How many ops take more time than op i; of equals the first counts as more. */
static int list_rank(const op_list *list, int i)
{
    int larger = 0;
    for (int k = 0; k < list->n; k++) {
        larger += list->totals_ms[k] > list->totals_ms[i] ||
                  (list->totals_ms[k] == list->totals_ms[i] && k < i);
    }
    return larger;
}

figure_op_palette figure_op_palette_make(const findings *data)
{
    const op_list all = list_make(data);
    figure_op_palette palette = {.n = 0};
    for (int order = 0; order <= GB_OP_COUNT; order++) {
        for (int i = 0; i < all.n && palette.n < FIGURE_OPS_OWN; i++) {
            if (op_order(all.names[i]) == order && list_rank(&all, i) < FIGURE_OPS_OWN) {
                palette.names[palette.n] = all.names[i];
                palette.colors[palette.n] = own_colors[palette.n];
                palette.n++;
            }
        }
    }
    return palette;
}

int figure_op_color(const figure_op_palette *palette, const char *op)
{
    for (int i = 0; i < palette->n; i++) {
        if (strcmp(palette->names[i], op) == 0) {
            return palette->colors[i];
        }
    }
    return FIGURE_OP_UNATTRIBUTED_COLOR;
}
