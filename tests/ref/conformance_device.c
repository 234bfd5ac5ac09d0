/* Conformance of what is not an op: memory, copies, stale weights, timers, scope. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/conformance.h"

typedef struct check {
    const cf_subject *subject;
    const gb_backend *backend;
    gb_device *dev;
    gb_options options;
    gb_description about;
    int failed;
} check;

static void expect(check *t, bool ok, const char *what)
{
    if (ok) {
        return;
    }
    t->failed++;
    if (!t->subject->quiet) {
        fprintf(stderr, "%s %s%s%s: device: %s (last error: %s)\n", t->backend->name,
                gb_precision_name(t->subject->precision), t->subject->isa ? " " : "",
                t->subject->isa ? t->subject->isa : "", what, t->backend->last_error(t->dev));
    }
}

static void expect_ok(check *t, gb_status status, const char *what)
{
    expect(t, status == GB_OK, what);
}

static void *new_buffer(check *t, int64_t bytes)
{
    void *buffer = NULL;
    if (t->backend->alloc(t->dev, GB_MEM_ACTIVATIONS, bytes, &buffer) != GB_OK) {
        abort(); /* a few kilobytes */
    }
    return buffer;
}

static void check_memory(check *t)
{
    enum { BYTES = 1000 };
    unsigned char out[BYTES], in[BYTES];
    for (int i = 0; i < BYTES; i++) {
        out[i] = (unsigned char)(i * 7);
    }
    void *a = new_buffer(t, BYTES), *b = new_buffer(t, 1);
    expect(t, (uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0, "memory is not 64-byte aligned");
    expect_ok(t, t->backend->upload(t->dev, a, out, BYTES), "upload");
    expect_ok(t, t->backend->zero(t->dev, (char *)a + 100, 33), "zero at an offset");
    expect_ok(t, t->backend->download(t->dev, in, a, BYTES), "download");
    memset(out + 100, 0, 33);
    expect(t, memcmp(in, out, BYTES) == 0, "bytes come back as they went, the zeroed ones as 0");
    int64_t before[GB_MEM_GROUPS], after[GB_MEM_GROUPS];
    t->backend->memory_used(t->dev, before);
    t->backend->free(t->dev, a);
    t->backend->free(t->dev, NULL);
    t->backend->memory_used(t->dev, after);
    expect(t, before[GB_MEM_ACTIVATIONS] == BYTES + 1 && after[GB_MEM_ACTIVATIONS] == 1,
           "memory_used follows alloc and free");
    expect(t, after[GB_MEM_WORKSPACE] == t->backend->workspace_bytes(&t->options),
           "workspace_bytes is what open allocates");

    void *huge = NULL;
    gb_status status = t->backend->alloc(t->dev, GB_MEM_OPTIMIZER, INT64_MAX / 4, &huge);
    expect(t, status == GB_ERR_OOM, "2^61 bytes must end in GB_ERR_OOM");
    expect(t, strstr(t->backend->last_error(t->dev), "optimizer") != NULL,
           "the out-of-memory message names the group");
}

static void check_wide(check *t)
{
    enum { N = 300 };
    double out[N], in[N];
    test_random rng = {8000};
    test_random_fill(&rng, out, N, 3);
    void *a = new_buffer(t, N * t->about.wide_bytes);
    expect_ok(t, t->backend->upload_wide(t->dev, a, out, N), "upload_wide");
    expect_ok(t, t->backend->download_wide(t->dev, in, a, N), "download_wide");
    bool same = true;
    for (int i = 0; i < N; i++) {
        same = same && in[i] == (t->about.wide_bytes == 4 ? (double)(float)out[i] : out[i]);
    }
    expect(t, same, "upload_wide and download_wide keep the values, rounded to wide");
}

/* Value `index` of an act buffer. */
static double act_value(check *t, const void *buffer, int64_t index)
{
    unsigned char raw[8] = {0};
    const int bytes = t->about.act_bytes;
    const char *at = (const char *)buffer + index * bytes;
    expect_ok(t, t->backend->download(t->dev, raw, at, bytes), "download");
    if (bytes == 8) {
        double value;
        memcpy(&value, raw, 8);
        return value;
    }
    float single;
    unsigned char shifted[4] = {0, 0, raw[0], raw[1]};
    memcpy(&single, bytes == 4 ? raw : shifted, 4);
    return (double)single;
}

/* n ones into an act buffer; `wide` is room for as many wide values. */
static void fill_ones(check *t, void *act, void *wide, int64_t n)
{
    double ones[256];
    for (int64_t i = 0; i < n && i < 256; i++) {
        ones[i] = 1;
    }
    bool one_type = t->about.act_bytes == t->about.wide_bytes;
    expect_ok(t, t->backend->upload_wide(t->dev, one_type ? act : wide, ones, n), "upload_wide");
    if (!one_type) {
        expect_ok(t, t->backend->weights_refresh(t->dev, act, wide, n), "weights_refresh");
    }
}

/* y = x . w^T for one row and one output, read back as double. */
static double one_product(check *t, void *y, void *x, void *w, int64_t n)
{
    expect_ok(t, t->backend->linear_forward(t->dev, y, x, w, 1, n, 1), "linear_forward");
    return act_value(t, y, 0);
}

/* What a backend keeps of its rotations must follow T and D. Of ones the query head at position t
 * becomes cos + sin of t * 10000^(-2i/D) in element i: D = 8 after 4, D = 4 after 8, T = 5 after 3.
 */
static void check_stale_rotations(check *t)
{
    static const int64_t shapes[][2] = {{3, 4}, {3, 8}, {2, 4}, {5, 4}};
    void *qkv = new_buffer(t, 256 * 8), *wide = new_buffer(t, 256 * 8);
    for (int i = 0; i < 4; i++) {
        const int64_t T = shapes[i][0], D = shapes[i][1];
        fill_ones(t, qkv, wide, T * 3 * D);
        expect_ok(t, t->backend->qk_rope_forward(t->dev, qkv, NULL, false, 1, T, 1, 1, D),
                  "qk_rope_forward");
        const double angle = (double)(T - 1) * pow(10000, -2.0 / (double)D);
        const double got = act_value(t, qkv, (T - 1) * 3 * D + 1), want = cos(angle) + sin(angle);
        expect(t, fabs(got - want) <= conformance_tolerance(t->subject->precision) * want,
               "the rotation is that of another shape");
    }
}

/* Whatever a backend keeps of its weights (packed copies) must follow weights_refresh and adamw.
 * The numbers are powers of two, so every precision is exact: x = 1, w = 1 gives n; w = 2 gives
 * 2n; then AdamW at step 1 with gradient 1 and lr = 1 takes 1 from each weight: n again. */
static void check_stale_weights(check *t)
{
    enum { N = 64 };
    double one[N], two[N], zero[N] = {0};
    for (int i = 0; i < N; i++) {
        one[i] = 1, two[i] = 2;
    }
    void *wide[4];
    for (int i = 0; i < 4; i++) {
        wide[i] = new_buffer(t, N * t->about.wide_bytes);
    }
    bool one_type = t->about.act_bytes == t->about.wide_bytes;
    void *master = wide[0], *m = wide[1], *v = wide[2], *grad = wide[3];
    void *weights = one_type ? master : new_buffer(t, N * t->about.act_bytes);
    void *x = new_buffer(t, N * t->about.act_bytes), *y = new_buffer(t, 64);
    expect_ok(t, t->backend->upload_wide(t->dev, grad, one, N), "upload_wide");
    expect_ok(t, t->backend->upload_wide(t->dev, m, zero, N), "upload_wide");
    expect_ok(t, t->backend->upload_wide(t->dev, v, zero, N), "upload_wide");
    fill_ones(t, x, grad, N);
    expect_ok(t, t->backend->upload_wide(t->dev, master, one, N), "upload_wide");
    expect_ok(t, t->backend->weights_refresh(t->dev, weights, master, N), "weights_refresh");
    expect(t, one_product(t, y, x, weights, N) == N, "sum of ones");
    expect_ok(t, t->backend->upload_wide(t->dev, master, two, N), "upload_wide");
    expect_ok(t, t->backend->weights_refresh(t->dev, weights, master, N), "weights_refresh");
    expect(t, one_product(t, y, x, weights, N) == 2 * N, "weights are stale after refresh");
    const gb_adamw step = {.learning_rate = 1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = 1};
    void *params = new_buffer(t, sizeof step);
    expect_ok(t, t->backend->upload(t->dev, params, &step, sizeof step), "upload");
    expect_ok(t, t->backend->adamw(t->dev, weights, master, m, v, grad, N, params, NULL, NULL),
              "adamw");
    double product = one_product(t, y, x, weights, N);
    expect(t, fabs(product - N) < 1e-3, "weights are stale after adamw");

    /* A loss that is not finite stops the update, wherever in the slabs one looks. */
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    void *loss = new_buffer(t, sizeof bad[0]);
    double before[3][N], after[3][N];
    for (int i = 0; i < 3; i++) {
        expect_ok(t, t->backend->download_wide(t->dev, before[i], wide[i], N), "download_wide");
    }
    for (int i = 0; i < 3; i++) {
        expect_ok(t, t->backend->upload(t->dev, loss, &bad[i], sizeof bad[i]), "upload");
        expect_ok(t, t->backend->adamw(t->dev, weights, master, m, v, grad, N, params, loss, NULL),
                  "adamw");
        expect_ok(t, t->backend->download_wide(t->dev, after[i], wide[i], N), "download_wide");
    }
    expect(t,
           memcmp(before, after, sizeof before) == 0 && one_product(t, y, x, weights, N) == product,
           "adamw changed something though the loss is not finite");
}

static int read_rows(check *t, gb_op_time *rows, int capacity)
{
    return t->backend->timers_read(t->dev, rows, capacity);
}

/* The spans are in order, do not overlap, and add up to the rows' times. */
static void check_spans(check *t, const gb_op_time rows[3], int wanted)
{
    gb_op_span spans[8];
    int n = t->backend->timers_spans(t->dev, spans, 8);
    double sum_ms = 0, rows_ms = 0, before_ms = 0;
    expect(t, n == wanted, "a span per op that was timed");
    for (int i = 0; i < n && i < 8; i++) {
        expect(t, spans[i].begin_ms >= before_ms - 1e-6 && spans[i].end_ms >= spans[i].begin_ms,
               "spans come in order");
        expect(t,
               spans[i].op == GB_OP_LINEAR_QKV && spans[i].layer == (i < 1   ? 0
                                                                     : i < 3 ? 2
                                                                             : -1),
               "spans know their scope");
        before_ms = spans[i].end_ms;
        sum_ms += spans[i].end_ms - spans[i].begin_ms;
    }
    for (int i = 0; i < 3; i++) {
        rows_ms += rows[i].time_ms;
    }
    expect(t, fabs(sum_ms - rows_ms) <= 1e-9 + 1e-9 * rows_ms, "spans add up to the rows");
    expect(t, t->backend->timers_spans(t->dev, NULL, 0) == wanted, "how many spans there are");
}

/* Three scopes, out of order: rows come in (phase, layer, op) order, FLOPs with timers off too. */
static void check_timers(check *t)
{
    enum { N = 16 };
    gb_op_time rows[8];
    void *x = new_buffer(t, N * N * 8), *w = new_buffer(t, N * N * 8),
         *y = new_buffer(t, N * N * 8);
    expect_ok(t, t->backend->zero(t->dev, x, N * N * 8), "zero");
    expect_ok(t, t->backend->zero(t->dev, w, N * N * 8), "zero");
    for (int timed = 0; timed < 2; timed++) {
        t->backend->timers_enable(t->dev, timed);
        t->backend->timers_reset(t->dev);
        expect(t, read_rows(t, rows, 8) == 0, "no rows after timers_reset");
        static const gb_phase phases[] = {GB_PHASE_BACKWARD, GB_PHASE_FORWARD, GB_PHASE_FORWARD};
        static const int layers[] = {0, 2, -1};
        for (int i = 0; i < 3; i++) {
            t->backend->set_scope(t->dev, phases[i], layers[i], GB_OP_LINEAR_QKV);
            for (int call = 0; call <= i; call++) {
                expect_ok(t, t->backend->linear_forward(t->dev, y, x, w, N, N, N), "linear");
            }
        }
        expect_ok(t, t->backend->sync(t->dev), "sync");
        t->backend->timers_enable(t->dev, false);
        int n = read_rows(t, rows, 8);
        expect(t, n == 3, "three scopes give three rows");
        expect(t, n == 3 && rows[0].layer == -1 && rows[1].layer == 2 && rows[2].layer == 0,
               "rows come in (phase, layer, op) order");
        for (int i = 0; n == 3 && i < 3; i++) {
            int calls = 3 - (i == 1) - 2 * (i == 2);
            expect(t, rows[i].flops == calls * 2.0 * N * N * N, "FLOPs are 2 N I O per call");
            expect(t, !timed || rows[i].calls == calls, "calls are counted");
            expect(t, !timed || rows[i].time_ms > 0, "time is taken");
        }
        expect(t, read_rows(t, rows, 1) == 3, "timers_read returns how many rows there are");
        check_spans(t, rows, timed ? 6 : 0);
    }
    t->backend->timers_enable(t->dev, false);
}

/* ---- what every step brings and takes back ---- */

/* Every one of many stagings reaches its own place, whatever becomes of the host's buffer, and in
 * order with the ops around it. BYTES is more than stage can hold ready for this shape. */
static void check_stage(check *t)
{
    enum { TIMES = 20, BYTES = 100000 };
    static const int64_t sizes[] = {1, 40, GB_STAGE_MIN_BYTES, BYTES};
    unsigned char *host = malloc(BYTES), *back = malloc(BYTES);
    if (!host || !back) {
        abort();
    }
    char *a = new_buffer(t, TIMES * (int64_t)BYTES);
    bool same = true;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int i = 0; i < TIMES; i++) {
            memset(host, i + 1, (size_t)sizes[s]);
            char *at = a + i * (int64_t)BYTES;
            expect_ok(t, t->backend->zero(t->dev, at, BYTES), "zero");
            expect_ok(t, t->backend->stage(t->dev, at, host, sizes[s]), "stage");
            if (i % 3 == 0) {
                expect_ok(t, t->backend->zero(t->dev, at, 1), "zero");
            }
        }
        for (int i = 0; i < TIMES; i++) {
            char *at = a + i * (int64_t)BYTES;
            expect_ok(t, t->backend->download(t->dev, back, at, sizes[s]), "download");
            for (int64_t b = 0; b < sizes[s]; b++) {
                same = same && back[b] == (b == 0 && i % 3 == 0 ? 0 : i + 1);
            }
        }
    }
    expect(t, same, "staged bytes arrive, in order with the ops around them");
    free(host);
    free(back);
}

static void check_results(check *t)
{
    double values[GB_RESULTS_MAX] = {0}, got[GB_RESULTS_MAX], elapsed_ms;
    double *a = new_buffer(t, sizeof values);
    expect(t, t->backend->results_take(t->dev, got, &elapsed_ms) != GB_OK,
           "nothing can be taken before it is posted");
    expect_ok(t, t->backend->clock_start(t->dev), "clock_start");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < GB_RESULTS_UNDER_WAY; i++) {
            values[0] = i + 0.5;
            values[GB_RESULTS_MAX - 1] = -1.0 / (i + 1);
            expect_ok(t, t->backend->stage(t->dev, a, values, sizeof values), "stage");
            expect_ok(t, t->backend->results_post(t->dev, a, GB_RESULTS_MAX), "results_post");
        }
        expect(t, t->backend->results_post(t->dev, a, 1) != GB_OK, "one post too many is refused");
        for (int i = 0; i < GB_RESULTS_UNDER_WAY; i++) {
            expect_ok(t, t->backend->results_take(t->dev, got, &elapsed_ms), "results_take");
            expect(t, got[0] == i + 0.5 && got[GB_RESULTS_MAX - 1] == -1.0 / (i + 1),
                   "results come in the order of their posts");
            expect(t, elapsed_ms >= 0 && elapsed_ms < 60e3, "time between two posts");
        }
    }
    expect(t, t->backend->results_post(t->dev, a, GB_RESULTS_MAX + 1) != GB_OK,
           "too many values are refused");
}

/* ---- recording ---- */

enum { RECORDED = 64 };

typedef struct recorded {
    void *weights, *master, *m, *v, *grad, *x, *y, *params, *squares;
} recorded;

static gb_status recorded_ops(check *t, const recorded *r)
{
    t->backend->set_scope(t->dev, GB_PHASE_FORWARD, 0, GB_OP_LINEAR_QKV);
    GB_TRY(t->backend->linear_forward(t->dev, r->y, r->x, r->weights, 1, RECORDED, 1));
    GB_TRY(t->backend->sum_squares(t->dev, r->squares, r->grad, RECORDED));
    return t->backend->adamw(t->dev, r->weights, r->master, r->m, r->v, r->grad, RECORDED,
                             r->params, NULL, r->squares);
}

/* The state after `steps` steps of recorded_ops with another learning rate each: run plainly, or
 * replayed from the third on. */
static void run_recorded(check *t, bool replay, int steps, double state[4 * RECORDED])
{
    recorded r;
    gb_recording *recording = NULL;
    double values[RECORDED];
    void **wide[] = {&r.master, &r.m, &r.v, &r.grad};
    test_random rng = {8100};
    for (int i = 0; i < 4; i++) {
        *wide[i] = new_buffer(t, RECORDED * t->about.wide_bytes);
        test_random_fill(&rng, values, RECORDED, 1);
        for (int j = 0; j < RECORDED; j++) {
            values[j] = fabs(values[j]); /* second moments are not negative */
        }
        expect_ok(t, t->backend->upload_wide(t->dev, *wide[i], values, RECORDED), "upload_wide");
    }
    bool one_type = t->about.act_bytes == t->about.wide_bytes;
    r.weights = one_type ? r.master : new_buffer(t, RECORDED * t->about.act_bytes);
    r.x = one_type ? r.grad : r.weights;
    r.y = new_buffer(t, 8);
    r.params = new_buffer(t, sizeof(gb_adamw));
    r.squares = new_buffer(t, sizeof(double));
    expect_ok(t, t->backend->weights_refresh(t->dev, r.weights, r.master, RECORDED), "refresh");
    for (int step = 1; step <= steps; step++) {
        const gb_adamw params = {0.01 * step, 0.9, 0.95, 1e-8, 0.1, step % 2 ? 3 : 0, step};
        expect_ok(t, t->backend->stage(t->dev, r.params, &params, sizeof params), "stage");
        if (!replay || step < 3) {
            expect_ok(t, recorded_ops(t, &r), "ops");
            continue;
        }
        if (!recording) {
            expect_ok(t, t->backend->record_begin(t->dev), "record_begin");
            expect_ok(t, recorded_ops(t, &r), "ops while recording");
            expect_ok(t, t->backend->record_end(t->dev, &recording), "record_end");
            if (!recording) {
                return;
            }
        }
        expect_ok(t, t->backend->replay(t->dev, recording), "replay");
    }
    for (int i = 0; i < 4; i++) {
        expect_ok(t, t->backend->download_wide(t->dev, state + i * RECORDED, *wide[i], RECORDED),
                  "download_wide");
    }
    if (recording) {
        t->backend->recording_free(t->dev, recording);
    }
}

/* Replayed steps do what plain ones do, to the last bit, and are counted like them. */
static void check_recording(check *t)
{
    enum { STEPS = 7 };
    static double plain[4 * RECORDED], replayed[4 * RECORDED];
    gb_op_time rows[8];
    if (!t->about.records) {
        return;
    }
    run_recorded(t, false, STEPS, plain);
    t->backend->timers_reset(t->dev);
    run_recorded(t, true, STEPS, replayed);
    expect(t, memcmp(plain, replayed, sizeof plain) == 0, "replayed ops differ from plain ones");
    int n = read_rows(t, rows, 8);
    bool counted = false;
    for (int i = 0; i < n && i < 8; i++) {
        counted |= rows[i].op == GB_OP_LINEAR_QKV && rows[i].calls == STEPS &&
                   rows[i].flops == STEPS * 2.0 * RECORDED;
    }
    expect(t, counted, "a replay counts calls and FLOPs, a recording none");
}

int conformance_device(const cf_subject *subject)
{
    check t = {.subject = subject, .backend = subject->backend};
    gb_options options = {.precision = subject->precision,
                          .threads = subject->threads,
                          .device_index = -1,
                          .shape = {.batch_size = 1,
                                    .sequence_length = 16,
                                    .n_embd = 64,
                                    .n_head = 4,
                                    .n_kv_head = 4,
                                    .head_dim = 16,
                                    .mlp_hidden = 64,
                                    .vocab_size = 64}};
    t.options = options;
    gb_error error = {0};
    if (t.backend->workspace_bytes(&options) < 0 ||
        t.backend->open(&options, &t.dev, &error) != GB_OK) {
        fprintf(stderr, "%s: %s\n", t.backend->name, error.message);
        return 1;
    }
    t.backend->describe(t.dev, &t.about);
    int act = subject->precision == GB_FP64 ? 8 : subject->precision == GB_FP32 ? 4 : 2;
    expect(&t, t.about.act_bytes == act && t.about.wide_bytes == (act == 8 ? 8 : 4),
           "sizes of act and wide");
    expect(&t, t.about.device[0] && t.about.threads > 0, "describe names device and threads");
    expect(&t, t.backend->last_error(t.dev) != NULL, "last_error is never NULL");
    check_memory(&t);
    check_wide(&t);
    check_stale_weights(&t);
    check_stale_rotations(&t);
    check_timers(&t);
    check_stage(&t);
    check_results(&t);
    check_recording(&t);
    t.backend->close(t.dev);
    t.backend->close(NULL);
    return t.failed;
}
