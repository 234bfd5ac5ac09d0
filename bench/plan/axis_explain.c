#include "bench/plan/axis_explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "bench/base/terminal.h"
#include "model/flops.h"
#include "model/layout.h"
#include "model/step_trace.h"

#define ARROW "\xe2\x86\x92"

/* ---- pairs ---- */

/* Whether b is a's neighbour on the axis, at the given values. */
static bool is_pair(const suite *s, int axis, int value, int a, int b)
{
    const int *left = &s->places[a * s->n_axes], *right = &s->places[b * s->n_axes];
    for (int k = 0; k < s->n_axes; k++) {
        if (k == axis ? left[k] != value || right[k] != value + 1
                      : left[k] < 0 || left[k] != right[k]) {
            return false;
        }
    }
    return true;
}

/* The cell at value + 1 beside `cell`; -1: excluded. The product's order is kept, so it is behind.
 */
static int partner(const suite *s, int axis, int value, int cell)
{
    for (int other = cell + 1; other < s->n_cells; other++) {
        if (is_pair(s, axis, value, cell, other)) {
            return other;
        }
    }
    return -1;
}

static void pairs_find(axis_change *out, const suite *s, int axis, int value)
{
    bool at_baseline = false;
    for (int cell = 0; cell < s->n_cells; cell++) {
        int other =
            s->places[cell * s->n_axes + axis] == value ? partner(s, axis, value, cell) : -1;
        if (other < 0) {
            continue;
        }
        /* the pair on the baseline's line through the product */
        bool near = true;
        for (int k = 0; k < s->n_axes; k++) {
            near = near && (k == axis || s->places[cell * s->n_axes + k] ==
                                             s->places[s->baseline * s->n_axes + k]);
        }
        if (out->n_pairs == 0 || (near && !at_baseline)) {
            out->from = cell;
            out->to = other;
            at_baseline = near;
        }
        out->n_pairs++;
    }
}

/* ---- what differs ---- */

/* A list of parts, a comma between two. */
typedef struct parts {
    FILE *out;
    int n;
} parts;

static FILE *parts_next(parts *p)
{
    fputs(p->n++ ? ", " : "", p->out);
    return p->out;
}

/* "transformer.h.0.mlp.c_fc.weight" -> "mlp.c_fc". */
static void tensor_name(const gpt_tensor *t, char *out, size_t size)
{
    const char *start = t->name + strlen("transformer.");
    start += t->layer >= 0 ? strlen("h.0.") : 0;
    snprintf(out, size, "%.*s", (int)(strlen(start) - strlen(".weight")), start);
}

/* Tensors of the first block and the embedding; all blocks are alike. */
static const gpt_tensor *tensor_find(const gpt_tensor *list, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

enum { TENSORS_MAX = 1 + GPT_ROLE_COUNT };

static int tensors_list(const gpt_config *config, gpt_tensor out[TENSORS_MAX])
{
    gpt_layout layout;
    gpt_layout_init(&layout, config);
    int n = 0;
    for (; n < 1 + layout.tensors_per_layer && n < TENSORS_MAX; n++) {
        out[n] = gpt_layout_tensor(&layout, n);
    }
    return n;
}

static void tensors_compare(parts *p, const gpt_config *from, const gpt_config *to)
{
    gpt_tensor old[TENSORS_MAX], new[TENSORS_MAX];
    int n_old = tensors_list(from, old), n_new = tensors_list(to, new);
    char name[64];
    for (int i = 0; i < n_old; i++) {
        const gpt_tensor *now = tensor_find(new, n_new, old[i].name);
        tensor_name(&old[i], name, sizeof name);
        if (!now) {
            fprintf(parts_next(p), "no %s", name);
        } else if (now->rows != old[i].rows || now->cols != old[i].cols) {
            fprintf(parts_next(p), "%s %lldx%lld " ARROW " %lldx%lld", name, (long long)old[i].cols,
                    (long long)old[i].rows, (long long)now->cols, (long long)now->rows);
        }
    }
    for (int i = 0; i < n_new; i++) {
        if (!tensor_find(old, n_old, new[i].name)) {
            tensor_name(&new[i], name, sizeof name);
            fprintf(parts_next(p), "%s %lldx%lld new", name, (long long)new[i].cols,
                    (long long)new[i].rows);
        }
    }
    if (from->n_layer != to->n_layer) {
        fprintf(parts_next(p), "%lld " ARROW " %lld blocks", (long long)from->n_layer,
                (long long)to->n_layer);
    }
}

/* The first call of this entry and op; *count: how many there are. */
static const op_trace_call *call_find(const step_trace *t, const op_trace_call *like,
                                      int64_t *count)
{
    const op_trace_call *found = NULL;
    *count = 0;
    for (int64_t i = 0; i < t->n_calls; i++) {
        const op_trace_call *call = &t->calls[i];
        if (call->op == like->op && call->n_numbers == like->n_numbers &&
            strcmp(call->entry, like->entry) == 0) {
            found = found ? found : call;
            (*count)++;
        }
    }
    return found;
}

static bool is_first(const step_trace *t, int64_t i)
{
    int64_t count;
    return call_find(t, &t->calls[i], &count) == &t->calls[i];
}

/* Sizes that weights and parameters show already. */
static bool is_plain_size(const op_trace_number *x)
{
    static const char *const names[] = {"I", "O", "C", "V", "F", "n", "bytes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(x->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool number_equal(const op_trace_number *a, const op_trace_number *b)
{
    return a->whole == b->whole && a->real == b->real;
}

static void number_write(FILE *out, const op_trace_number *x)
{
    if (x->is_real) {
        fprintf(out, "%.6g", x->real);
    } else {
        fprintf(out, "%lld", (long long)x->whole);
    }
}

/* Arguments of ops that changed, each pair of values once, with the op where it shows first. */
typedef struct argument_change {
    const op_trace_number *from, *to;
} argument_change;

static void argument_compare(parts *p, const op_trace_call *from, const op_trace_call *to,
                             argument_change *said, int *n_said, bool sizes_too)
{
    enum { SAID_MAX = 16 };
    for (int i = 0; i < from->n_numbers && i < to->n_numbers; i++) {
        const op_trace_number *a = &from->numbers[i], *b = &to->numbers[i];
        bool known = number_equal(a, b) || (!sizes_too && is_plain_size(a));
        for (int k = 0; k < *n_said && !known; k++) {
            known = strcmp(said[k].from->name, a->name) == 0 && number_equal(said[k].from, a) &&
                    number_equal(said[k].to, b);
        }
        if (known || *n_said == SAID_MAX) {
            continue;
        }
        said[(*n_said)++] = (argument_change){a, b};
        FILE *out = parts_next(p);
        if (strcmp(from->entry, "stage") == 0) { /* the optimiser's numbers */
            fprintf(out, "%s of the first step ", a->name);
        } else {
            fprintf(out, "%s in %s ", a->name, from->entry);
        }
        number_write(out, a);
        fputs(" " ARROW " ", out);
        number_write(out, b);
    }
}

static void calls_compare(parts *p, const step_trace *from, const step_trace *to,
                          bool depth_differs, bool sizes_too)
{
    argument_change said[16];
    int n_said = 0;
    int64_t before, after;
    for (int64_t i = 0; i < from->n_calls; i++) {
        if (!is_first(from, i)) {
            continue;
        }
        const op_trace_call *old = &from->calls[i], *new = call_find(to, old, &after);
        (void)call_find(from, old, &before);
        if (new) {
            argument_compare(p, old, new, said, &n_said, sizes_too);
        }
        if (before != after && !(depth_differs && new)) {
            fprintf(parts_next(p), "%lld " ARROW " %lld %s", (long long)before, (long long)after,
                    old->entry);
        }
    }
    for (int64_t i = 0; i < to->n_calls; i++) {
        const op_trace_call *new = &to->calls[i];
        if (is_first(to, i) && !call_find(from, new, &before)) {
            (void)call_find(to, new, &after);
            fprintf(parts_next(p), "0 " ARROW " %lld %s", (long long)after, new->entry);
        }
    }
}

static void spec_compare(parts *p, const train_spec *from, const train_spec *to)
{
    char one[64], other[64];
    for (const gb_key *key = train_spec_keys(); key->name; key++) {
        gb_key_format(from, key, one, sizeof one);
        gb_key_format(to, key, other, sizeof other);
        bool said = step_trace_shows(key->name) && strcmp(key->name, "precision") != 0 &&
                    strcmp(key->name, "grad_accumulation_steps") != 0;
        if (!said && strcmp(one, other) != 0) {
            fprintf(parts_next(p), "%s %s " ARROW " %s", key->name, one, other);
        }
    }
}

static void totals_compare(parts *p, const suite_cell *from, const suite_cell *to)
{
    double params = (double)gpt_count_params(&to->config) / (double)gpt_count_params(&from->config);
    double flops = gpt_flops_exact(&to->config, to->spec.sequence_length) /
                   gpt_flops_exact(&from->config, from->spec.sequence_length);
    if (params != 1) {
        fprintf(parts_next(p), "parameters %s", number_percent_signed(params - 1).text);
    }
    if (flops != 1) {
        fprintf(parts_next(p), "FLOPs/token %s", number_percent_signed(flops - 1).text);
    }
}

static gb_status pair_describe(axis_change *change, const suite *s, gb_error *err)
{
    const suite_cell *from = &s->cells[change->from], *to = &s->cells[change->to];
    step_trace old = {0}, new = {0};
    size_t size = 0;
    GB_TRY(step_trace_make(&old, &from->config, &from->spec, true, err));
    gb_status status = step_trace_make(&new, &to->config, &to->spec, true, err);
    parts p = {.out = status == GB_OK ? open_memstream(&change->text, &size) : NULL};
    if (p.out) {
        bool depth = from->config.n_layer != to->config.n_layer;
        tensors_compare(&p, &from->config, &to->config);
        calls_compare(&p, &old, &new, depth, false);
        spec_compare(&p, &from->spec, &to->spec);
        if (p.n == 0) { /* nothing but a size of some op */
            calls_compare(&p, &old, &new, depth, true);
        }
        totals_compare(&p, from, to);
        status = fclose(p.out) == 0 ? GB_OK : GB_ERR_OOM;
    } else if (status == GB_OK) {
        status = GB_ERR_OOM;
    }
    step_trace_clear(&old);
    step_trace_clear(&new);
    return status == GB_ERR_OOM ? gb_fail(err, status, "no memory to explain the axes") : status;
}

gb_status axis_change_make(axis_change *out, const suite *s, int axis, int value, gb_error *err)
{
    *out = (axis_change){.from = -1, .to = -1};
    pairs_find(out, s, axis, value);
    return out->n_pairs > 0 ? pair_describe(out, s, err) : GB_OK;
}

void axis_change_clear(axis_change *change)
{
    free(change->text);
    *change = (axis_change){0};
}

/* ---- all ---- */

static gb_status axis_write(const suite *s, int a, FILE *out, gb_error *err)
{
    const suite_matrix_axis *axis = &s->axes[a];
    fprintf(out, "%s\n", axis->name);
    for (int v = 0; v + 1 < axis->n_values; v++) {
        axis_change change;
        GB_TRY(axis_change_make(&change, s, a, v, err));
        const char *from = axis->values[v], *to = axis->values[v + 1];
        char more[48] = "";
        if (change.n_pairs > 1) {
            snprintf(more, sizeof more, ", and %d more pair%s", change.n_pairs - 1,
                     change.n_pairs == 2 ? "" : "s");
        }
        if (change.n_pairs == 0) {
            terminal_say(out, 4, "  %s " ARROW " %s: no two cells differ in this alone\n", from,
                         to);
        } else {
            terminal_say(out, 4, "  %s " ARROW " %s (%s " ARROW " %s%s)\n", from, to,
                         s->cells[change.from].name, s->cells[change.to].name, more);
            terminal_say(out, 4, "    %s\n", change.text);
        }
        axis_change_clear(&change);
    }
    return GB_OK;
}

gb_status axis_explain_write(const suite *s, FILE *out, gb_error *err)
{
    int written = 0;
    for (int a = 0; a < s->n_axes; a++) {
        if (s->axes[a].n_values > 1) {
            terminal_say(out, 0, "%s",
                         written++ ? "\n"
                                   : "What each axis changes between neighbouring cells, in the "
                                     "step that the model issues; weights are in x out:\n\n");
            GB_TRY(axis_write(s, a, out, err));
        }
    }
    if (!written) {
        terminal_say(out, 0,
                     "No axis to explain: suite %s has no [matrix] in which a key takes several "
                     "values.\n",
                     s->name);
    }
    return GB_OK;
}
