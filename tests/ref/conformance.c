/* The harness: one case on two backends. Manual: conformance.h. */
#include "tests/ref/conformance.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_backend.h"

enum { CANARY_BYTES = 64, CANARY = 0xff };

static const gb_phase PHASE = GB_PHASE_FORWARD;
static const int LAYER = 3;
static const gb_op WHICH = GB_OP_LINEAR_MLP_UP;

const cf_group conformance_groups[] = {
    {"embed", conformance_embed},           {"add_norm", conformance_add_norm},
    {"linear", conformance_linear},         {"mlp", conformance_mlp},
    {"classifier", conformance_classifier}, {"optimizer", conformance_optimizer},
    {"qk_rope", conformance_qk_rope},       {"attention", conformance_attention},
    {"device", conformance_device},         {NULL, NULL},
};

double conformance_tolerance(gb_precision precision)
{
    return precision == GB_FP32 ? 1e-5 : precision == GB_BF16 ? 2e-2 : 1e-12;
}

/* ---- types ---- */

static uint16_t bf16_from(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x)) {
        return 0x7fff;
    }
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16); /* to nearest, ties to even */
}

static double bf16_to(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int type_bytes(cf_type type, gb_precision precision)
{
    if (type == CF_TOKENS) {
        return 4;
    }
    if (precision == GB_FP64 || type == CF_DOUBLE) {
        return 8;
    }
    return type == CF_ACT && precision == GB_BF16 ? 2 : 4;
}

static void encode(unsigned char *out, const double *in, int64_t n, cf_type type,
                   gb_precision precision)
{
    int bytes = type_bytes(type, precision);
    for (int64_t i = 0; i < n; i++) {
        float single = (float)in[i];
        int32_t token = (int32_t)in[i];
        uint16_t half = bf16_from(single);
        const void *from = type == CF_TOKENS ? (const void *)&token
                           : bytes == 8      ? (const void *)&in[i]
                           : bytes == 4      ? (const void *)&single
                                             : (const void *)&half;
        memcpy(out + i * bytes, from, (size_t)bytes);
    }
}

static void decode(double *out, const unsigned char *in, int64_t n, cf_type type,
                   gb_precision precision)
{
    int bytes = type_bytes(type, precision);
    for (int64_t i = 0; i < n; i++) {
        int32_t token;
        float single;
        uint16_t half;
        if (type == CF_TOKENS) {
            memcpy(&token, in + i * bytes, sizeof token);
            out[i] = token;
        } else if (bytes == 8) {
            memcpy(&out[i], in + i * bytes, 8);
        } else if (bytes == 4) {
            memcpy(&single, in + i * bytes, 4);
            out[i] = single;
        } else {
            memcpy(&half, in + i * bytes, 2);
            out[i] = bf16_to(half);
        }
    }
}

/* ---- cases ---- */

static void *must(void *memory)
{
    if (!memory) {
        fputs("conformance: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void cf_round(cf_case *c, int index)
{
    cf_tensor *t = &c->tensors[index];
    cf_type type = t->role == CF_WEIGHT ? CF_ACT : t->type;
    unsigned char *bytes = must(malloc((size_t)t->n * 8 + 1));
    encode(bytes, t->values, t->n, type, c->precision);
    decode(t->values, bytes, t->n, type, c->precision);
    free(bytes);
}

double *cf_add(cf_case *c, const char *name, cf_role role, cf_type type, int64_t n, double scale)
{
    cf_tensor *t = &c->tensors[c->n_tensors++];
    *t = (cf_tensor){.name = name, .role = role, .type = type, .n = n, .alias = -1};
    t->values = must(calloc((size_t)n + 1, sizeof(double)));
    test_random_fill(&c->rng, t->values, n, scale);
    cf_round(c, c->n_tensors - 1);
    return t->values;
}

double *cf_add_tokens(cf_case *c, const char *name, int64_t n, int64_t limit)
{
    double *values = cf_add(c, name, CF_IN, CF_TOKENS, n, 0);
    for (int64_t i = 0; i < n; i++) {
        values[i] = (double)test_random_int(&c->rng, 0, limit - 1);
    }
    return values;
}

/* ---- one run of a case on one backend ---- */

typedef struct cf_run {
    const gb_backend *backend;
    gb_precision precision;
    gb_device *dev;
    void *base[CF_MAX_TENSORS]; /* with canaries around; NULL where the buffer is shared */
    void *ptr[CF_MAX_TENSORS];
    unsigned char *bytes[CF_MAX_TENSORS]; /* after the call, canaries included */
    int64_t size[CF_MAX_TENSORS];         /* bytes of the tensor alone */
    gb_op_time rows[16];
    int n_rows;
    char problem[400]; /* empty while all is well */
} cf_run;

static bool run_fail(cf_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool run_fail(cf_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->problem, sizeof run->problem, format, args);
    va_end(args);
    return false;
}

static bool run_try(cf_run *run, gb_status status, const char *what)
{
    if (status == GB_OK) {
        return true;
    }
    return run_fail(run, "%s: %s: %s", what, gb_status_name(status),
                    run->dev ? run->backend->last_error(run->dev) : "");
}

static bool shares_buffer(const cf_tensor *t, gb_precision precision)
{
    return t->alias >= 0 && (t->role != CF_COPY || precision != GB_BF16);
}

/* Workspace for just this case, as the model would ask for it. */
static gb_shape case_shape(const cf_case *c)
{
    int64_t widest = c->C > c->I ? c->C : c->I;
    widest = widest > c->O ? widest : c->O;
    return (gb_shape){
        .batch_size = c->T ? c->B : 1,
        .sequence_length = c->T   ? c->T
                           : c->N ? c->N
                                  : 1,
        .n_embd = widest ? widest
                  : c->H ? c->H * c->D
                         : 1,
        .n_head = c->H ? c->H : 1,
        .n_kv_head = c->K ? c->K : 1,
        .head_dim = c->D ? c->D : 2,
        .mlp_hidden = c->F     ? c->F
                      : widest ? widest
                               : 1,
        .vocab_size = c->V ? c->V : 1,
    };
}

/* Puts weight values in place as training does: into a master, then through weights_refresh. */
static bool place_weight(cf_run *run, const cf_tensor *t, void *ptr, unsigned char *scratch)
{
    void *master = ptr;
    int64_t bytes = t->n * type_bytes(CF_WIDE, run->precision);
    if (run->precision == GB_BF16 &&
        !run_try(run, run->backend->alloc(run->dev, GB_MEM_MASTER, bytes, &master), "alloc")) {
        return false;
    }
    encode(scratch, t->values, t->n, CF_WIDE, run->precision);
    return run_try(run, run->backend->upload(run->dev, master, scratch, bytes), "upload") &&
           run_try(run, run->backend->weights_refresh(run->dev, ptr, master, t->n),
                   "weights_refresh");
}

static bool place_tensor(cf_run *run, const cf_case *c, int i)
{
    const cf_tensor *t = &c->tensors[i];
    cf_type type = t->role == CF_WEIGHT ? CF_ACT : t->type;
    run->size[i] = (t->n + t->padding) * type_bytes(type, run->precision);
    if (t->n == 0 || shares_buffer(t, run->precision)) {
        return true;
    }
    int64_t total = run->size[i] + 2 * CANARY_BYTES;
    if (!run_try(run, run->backend->alloc(run->dev, GB_MEM_ACTIVATIONS, total, &run->base[i]),
                 "alloc")) {
        return false;
    }
    run->ptr[i] = (char *)run->base[i] + CANARY_BYTES;
    unsigned char *bytes = must(malloc((size_t)total + (size_t)t->n * 8));
    memset(bytes, CANARY, (size_t)total);
    int64_t own_bytes = t->n * type_bytes(type, run->precision);
    memset(bytes + CANARY_BYTES + own_bytes, 0, (size_t)(run->size[i] - own_bytes));
    if (t->role == CF_IN || t->role == CF_INOUT) {
        encode(bytes + CANARY_BYTES, t->values, t->n, type, run->precision);
    }
    bool ok = run_try(run, run->backend->upload(run->dev, run->base[i], bytes, total), "upload") &&
              (t->role != CF_WEIGHT || place_weight(run, t, run->ptr[i], bytes));
    free(bytes);
    return ok;
}

static bool fetch_tensor(cf_run *run, const cf_case *c, int i)
{
    if (!run->base[i]) {
        return true;
    }
    int64_t total = run->size[i] + 2 * CANARY_BYTES;
    run->bytes[i] = must(malloc((size_t)total));
    if (!run_try(run, run->backend->download(run->dev, run->bytes[i], run->base[i], total),
                 "download")) {
        return false;
    }
    for (int64_t b = 0; b < CANARY_BYTES; b++) {
        if (run->bytes[i][b] != CANARY || run->bytes[i][total - 1 - b] != CANARY) {
            return run_fail(run, "%s: wrote outside of the buffer", c->tensors[i].name);
        }
    }
    return true;
}

static bool run_case(cf_run *run, const cf_case *c)
{
    for (int i = 0; i < c->n_tensors; i++) {
        if (!place_tensor(run, c, i)) {
            return false;
        }
    }
    for (int i = 0; i < c->n_tensors; i++) {
        if (c->tensors[i].n > 0 && shares_buffer(&c->tensors[i], run->precision)) {
            run->ptr[i] = run->ptr[c->tensors[i].alias];
        }
    }
    run->backend->set_scope(run->dev, PHASE, LAYER, WHICH);
    run->backend->timers_enable(run->dev, true);
    run->backend->timers_reset(run->dev);
    if (!run_try(run, c->call(c, run->backend, run->dev, run->ptr), "call") ||
        !run_try(run, run->backend->sync(run->dev), "sync")) {
        return false;
    }
    run->n_rows = run->backend->timers_read(run->dev, run->rows, 16);
    run->backend->timers_enable(run->dev, false);
    for (int i = 0; i < c->n_tensors; i++) {
        if (!fetch_tensor(run, c, i)) {
            return false;
        }
    }
    return true;
}

static bool run_open(cf_run *run, const cf_case *c, const gb_backend *backend,
                     gb_precision precision, int threads)
{
    *run = (cf_run){.backend = backend, .precision = precision};
    gb_options options = {
        .precision = precision, .threads = threads, .device_index = -1, .shape = case_shape(c)};
    gb_error error = {0};
    if (backend->open(&options, &run->dev, &error) != GB_OK) {
        return run_fail(run, "open: %s", error.message);
    }
    return true;
}

static void run_forget_bytes(cf_run *run)
{
    for (int i = 0; i < CF_MAX_TENSORS; i++) {
        free(run->bytes[i]);
        run->bytes[i] = NULL;
        run->base[i] = run->ptr[i] = NULL;
    }
}

static void run_close(cf_run *run)
{
    run_forget_bytes(run);
    run->backend->close(run->dev);
    run->dev = NULL;
}

/* ---- comparison ---- */

/* Values of tensor i after the run, from the buffer that it lives in. */
static double *run_values(const cf_run *run, const cf_case *c, int i)
{
    const cf_tensor *t = &c->tensors[i];
    int at = shares_buffer(t, run->precision) ? t->alias : i;
    cf_type type = t->role == CF_WEIGHT ? CF_ACT : t->type;
    double *values = must(malloc((size_t)t->n * sizeof *values));
    decode(values, run->bytes[at] + CANARY_BYTES, t->n, type, run->precision);
    return values;
}

/* Compares columns [from, to) of rows of `width`. A part whose true values cancel to nothing is
 * held against a hundredth of the whole tensor's scale instead of its own; and where the truth is
 * next to nothing (silu at -60 is 1e-25 of its input), nothing will do. The caller says so by
 * least_rms. */
static bool compare_part(cf_run *run, const cf_tensor *t, const double *a, const double *b,
                         int64_t from, int64_t to, double least_rms, double tolerance)
{
    double error = 0, norm = 0;
    int64_t count = 0, width = t->n_parts > 1 ? t->width : t->n;
    for (int64_t i = 0; i < t->n; i++) {
        if (i % width >= from && i % width < to) {
            error += (a[i] - b[i]) * (a[i] - b[i]);
            norm += b[i] * b[i];
            count++;
        }
    }
    double rms = fmax(fmax(sqrt(norm / (double)count), least_rms), 1e-20);
    double relative = sqrt(error / (double)count) / rms;
    if (!(relative <= tolerance) && error > 0) {
        return run_fail(run, "%s, columns %lld..%lld: relative error %.3g exceeds %.3g", t->name,
                        (long long)from, (long long)to, relative, tolerance);
    }
    if (isnan(error)) {
        return run_fail(run, "%s: NaN (unwritten, or computed from what lies outside)", t->name);
    }
    for (int64_t i = 0; i < t->n; i++) {
        bool inside = i % width >= from && i % width < to;
        if (inside && !(fabs(a[i] - b[i]) <= 10 * tolerance * (rms + fabs(b[i])))) {
            return run_fail(run, "%s[%lld] is %.9g, expected %.9g (rms %.3g)", t->name,
                            (long long)i, a[i], b[i], rms);
        }
    }
    return true;
}

static bool compare_tensor(cf_run *run, const cf_run *ref, const cf_case *c, int i,
                           double tolerance)
{
    const cf_tensor *t = &c->tensors[i];
    if (t->n == 0 || t->type == CF_TOKENS || t->role == CF_IN || t->role == CF_WEIGHT) {
        return true;
    }
    double *a = run_values(run, c, i), *b = run_values(ref, c, i);
    double sum = 0;
    for (int64_t j = 0; j < t->n; j++) {
        sum += b[j] * b[j];
    }
    double least_rms = t->type == CF_DOUBLE ? c->double_floor : sqrt(sum / (double)t->n) / 100;
    bool ok = true;
    for (int part = 0; ok && part < (t->n_parts ? t->n_parts : 1); part++) {
        bool last = part + 1 >= t->n_parts;
        int64_t to = !last ? t->parts[part + 1] : t->n_parts ? t->width : t->n;
        int64_t from = t->n_parts ? t->parts[part] : 0;
        ok = from == to || compare_part(run, t, a, b, from, to, least_rms, tolerance);
    }
    free(a);
    free(b);
    return ok;
}

/* An input must come out as it went in, unless an output lives in its buffer. */
static bool input_unchanged(cf_run *run, const cf_case *c, int i)
{
    const cf_tensor *t = &c->tensors[i];
    if (t->n == 0 || (t->role != CF_IN && t->role != CF_WEIGHT)) {
        return true;
    }
    for (int j = 0; j < c->n_tensors; j++) {
        if (c->tensors[j].alias == i) {
            return true;
        }
    }
    double *now = run_values(run, c, i);
    bool same = memcmp(now, t->values, (size_t)t->n * sizeof *now) == 0;
    free(now);
    return same || run_fail(run, "%s: the input was changed", t->name);
}

/* Each ledger row of the reference must be in the subject's, with equal calls and FLOPs. */
static bool compare_ledger(cf_run *run, const cf_run *ref)
{
    for (int i = 0; i < ref->n_rows; i++) {
        const gb_op_time *want = &ref->rows[i], *got = NULL;
        for (int j = 0; j < run->n_rows; j++) {
            const gb_op_time *row = &run->rows[j];
            if (row->phase == want->phase && row->layer == want->layer && row->op == want->op) {
                got = row;
            }
        }
        if (!got) {
            return run_fail(run, "ledger: no row for %s", gb_op_name(want->op));
        }
        if (got->calls != want->calls || got->flops != want->flops || !(got->time_ms >= 0)) {
            return run_fail(run, "ledger: %s has %lld calls, %.17g FLOPs, expected %lld, %.17g",
                            gb_op_name(want->op), (long long)got->calls, got->flops,
                            (long long)want->calls, want->flops);
        }
    }
    return true;
}

static bool compare_runs(cf_run *run, const cf_run *ref, const cf_case *c)
{
    double factor = c->tolerance_factor > 0 ? c->tolerance_factor : 1;
    double tolerance = factor * conformance_tolerance(run->precision);
    for (int i = 0; i < c->n_tensors; i++) {
        if (!compare_tensor(run, ref, c, i, tolerance) || !input_unchanged(run, c, i)) {
            return false;
        }
    }
    return compare_ledger(run, ref);
}

/* The second call of the subject, on the same device, must give the same bits. */
static bool repeat_equal(cf_run *run, const cf_case *c)
{
    cf_run again = *run;
    memset(again.bytes, 0, sizeof again.bytes);
    memset(again.base, 0, sizeof again.base);
    memset(again.ptr, 0, sizeof again.ptr);
    bool ok = run_case(&again, c);
    if (!ok) {
        run_fail(run, "second call: %s", again.problem);
    }
    for (int i = 0; ok && i < c->n_tensors; i++) {
        if (run->base[i] &&
            memcmp(run->bytes[i], again.bytes[i], (size_t)(run->size[i] + 2 * CANARY_BYTES)) != 0) {
            ok = run_fail(run, "%s: two calls are not bit-equal", c->tensors[i].name);
        }
    }
    run_forget_bytes(&again);
    return ok;
}

int conformance_check(const cf_subject *subject, cf_case *c)
{
    cf_run ref = {0}, run = {0};
    const gb_backend *backend = subject->backend;
    bool ok = run_open(&ref, c, &gb_backend_ref, GB_FP64, 1) && run_case(&ref, c);
    if (!ok) {
        fprintf(stderr, "%s: the reference itself failed: %s\n", c->label, ref.problem);
        abort(); /* a case that makes no sense */
    }
    ok = run_open(&run, c, backend, subject->precision, subject->threads) && run_case(&run, c) &&
         compare_runs(&run, &ref, c) && repeat_equal(&run, c);
    if (!ok && !subject->quiet) {
        fprintf(stderr, "%s %s%s%s: %s: %s\n", backend->name, gb_precision_name(subject->precision),
                subject->isa ? " " : "", subject->isa ? subject->isa : "", c->label, run.problem);
    }
    run_close(&ref);
    run.backend = backend;
    run_close(&run);
    for (int i = 0; i < c->n_tensors; i++) {
        free(c->tensors[i].values);
    }
    return ok ? 0 : 1;
}
