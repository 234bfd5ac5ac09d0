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
    t->backend->free(t->dev, a);
    t->backend->free(t->dev, NULL);

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

/* y = x . w^T for one row and one output, read back as double. */
static double one_product(check *t, void *y, void *x, void *w, int64_t n)
{
    expect_ok(t, t->backend->linear_forward(t->dev, y, x, w, 1, n, 1), "linear_forward");
    unsigned char raw[8] = {0};
    expect_ok(t, t->backend->download(t->dev, raw, y, t->about.act_bytes), "download");
    if (t->about.act_bytes == 8) {
        double value;
        memcpy(&value, raw, 8);
        return value;
    }
    float single;
    unsigned char shifted[4] = {0, 0, raw[0], raw[1]};
    memcpy(&single, t->about.act_bytes == 4 ? raw : shifted, 4);
    return (double)single;
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
    if (one_type) {
        expect_ok(t, t->backend->upload_wide(t->dev, x, one, N), "upload_wide");
    } else {
        expect_ok(t, t->backend->weights_refresh(t->dev, x, grad, N), "weights_refresh");
    }
    expect_ok(t, t->backend->upload_wide(t->dev, master, one, N), "upload_wide");
    expect_ok(t, t->backend->weights_refresh(t->dev, weights, master, N), "weights_refresh");
    expect(t, one_product(t, y, x, weights, N) == N, "sum of ones");
    expect_ok(t, t->backend->upload_wide(t->dev, master, two, N), "upload_wide");
    expect_ok(t, t->backend->weights_refresh(t->dev, weights, master, N), "weights_refresh");
    expect(t, one_product(t, y, x, weights, N) == 2 * N, "weights are stale after refresh");
    gb_adamw step = {
        .learning_rate = 1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .grad_scale = 1, .step = 1};
    expect_ok(t, t->backend->adamw(t->dev, weights, master, m, v, grad, N, &step), "adamw");
    double product = one_product(t, y, x, weights, N);
    expect(t, fabs(product - N) < 1e-3, "weights are stale after adamw");
}

static int read_rows(check *t, gb_op_time *rows, int capacity)
{
    return t->backend->timers_read(t->dev, rows, capacity);
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
    }
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
    check_timers(&t);
    t.backend->close(t.dev);
    t.backend->close(NULL);
    return t.failed;
}
