/* Attention of the CUDA backend at the size of a real step, which conformance and the bounds of
 * test_attention_bounds.c do not reach: its float kernels against float64 on some heads, and its
 * bf16 kernels (mma.sync; wgmma where the GPU has it) against both, on all heads. Runs where there
 * is a CUDA device; the emulator's is slow, hence the small size unless another is asked for.
 *
 * GPTBENCH_ATTENTION_SIZE=64x1024x12x64   sequences, tokens, heads, head_dim
 * GPTBENCH_ATTENTION_DUMP=DIR             writes inputs and results there, raw, for
 *                                         tests/perf/peers/pytorch_attention.py
 *
 * kinds: emulated */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/attention_rounding.h"
#include "tests/ref/attention_run.h"

/* What is allowed.
 *
 * fp32 against float64: 1e-5 of a head's norm, what conformance allows (conformance.h).
 *
 * bf16 against float64, in the standard deviations that attention_rounding.h derives from the
 * number of roundings. Of a whole head: 1.1, since they are upper bounds of it and some ten
 * thousand numbers leave chance a few per cent. Of a row, the D numbers of one position: 3. A row
 * that hangs on one or two keys, or on one delta, has one rounding in all of its numbers: sqrt(3)
 * for the largest that there is, and chance. A key that is left out of a thousand is ten.
 *
 * bf16 against fp32, on every head, by the norms of 64 rows each: u = 2^-8 for each rounding on the
 * way to the result, which is the most that a rounding can do. */
static const double fp32_tolerance = 1e-5, head_tolerance = 1.1, row_tolerance = 3, u = 1.0 / 256;
enum { TILE_ROWS = 64, MAX_SAMPLES = 24 };

typedef struct fixture {
    at_shape s;
    const gb_backend *cuda;
    float *qkv, *dout; /* (B*T, 3*H*D), (B*T, H*D): values of bf16 */
    at_results fp32;
    ar_head heads[MAX_SAMPLES];
    int64_t sampled[MAX_SAMPLES]; /* b * H + h, the first and the last among them */
    int n_heads;
} fixture;

static void *must(void *memory)
{
    assert_non_null(memory);
    return memory;
}

/* ---- judging ---- */

static double *head_values(const fixture *f, const float *from, ar_part part, int64_t bh)
{
    const at_shape *s = &f->s;
    double *x = must(malloc((size_t)(s->T * s->D) * sizeof *x));
    for (int64_t i = 0; i < s->T * s->D; i++) {
        x[i] = from[at_index(s, part, bh, i / s->D, i % s->D)];
    }
    return x;
}

typedef struct verdict {
    double row, head; /* the worst of the sampled heads, in standard deviations */
    double tile;      /* the worst of all tiles against fp32, by what is allowed */
} verdict;

static verdict judge_samples(const fixture *f, const at_results *r, ar_part part)
{
    verdict worst = {0};
    for (int i = 0; i < f->n_heads; i++) {
        double *x = head_values(f, at_part(r, part), part, f->sampled[i]);
        ar_distance far = ar_head_distance(&f->heads[i], part, x);
        worst.row = far.worst_row <= worst.row ? worst.row : far.worst_row;
        worst.head = far.all <= worst.head ? worst.head : far.all;
        free(x);
    }
    return worst;
}

/* ||x - fp32|| / ||fp32|| over TILE_ROWS rows of one head. */
static double tile_error(const fixture *f, const at_results *r, ar_part part, int64_t bh,
                         int64_t t0)
{
    const at_shape *s = &f->s;
    const float *x = at_part(r, part), *want = at_part(&f->fp32, part);
    double errors = 0, squares = 0;
    for (int64_t t = t0; t < s->T && t < t0 + TILE_ROWS; t++) {
        int64_t at = at_index(s, part, bh, t, 0);
        for (int64_t d = 0; d < s->D; d++) {
            double error = (double)x[at + d] - want[at + d];
            errors += error * error;
            squares += (double)want[at + d] * want[at + d];
        }
    }
    return sqrt(errors / squares);
}

static double judge_tiles(const fixture *f, const at_results *r, ar_part part)
{
    const at_shape *s = &f->s;
    const int64_t tiles = (s->T + TILE_ROWS - 1) / TILE_ROWS, n = s->B * s->H * tiles;
    double worst = 0;
    bool finite = true;
#pragma omp parallel for reduction(max : worst) reduction(&& : finite)
    for (int64_t i = 0; i < n; i++) {
        double error = tile_error(f, r, part, i / tiles, i % tiles * TILE_ROWS);
        worst = error > worst ? error : worst;
        finite = finite && isfinite(error);
    }
    return finite ? worst / (ar_part_roundings[part] * u) : INFINITY;
}

/* The number of parts that are further off than roundings explain; says how far each is, and then
 * the worst of them on a line `# worst`. */
static int judge(const fixture *f, const at_results *r, const char *name)
{
    int failed = 0;
    verdict worst = {0};
    printf("# figure %s:", name);
    for (int part = 0; part < AR_PARTS; part++) {
        verdict v = judge_samples(f, r, (ar_part)part);
        v.tile = judge_tiles(f, r, (ar_part)part);
        bool good = v.row <= row_tolerance && v.head <= head_tolerance && v.tile <= 1;
        printf(" %s %.2f sd (row %.2f), tile %.2f%s", ar_part_names[part], v.head, v.row, v.tile,
               good ? "" : " TOO FAR");
        printf(part + 1 < AR_PARTS ? ";" : "\n");
        failed += !good;
        worst.head = fmax(worst.head, v.head);
        worst.row = fmax(worst.row, v.row);
        worst.tile = fmax(worst.tile, v.tile);
    }
    printf("# worst %s: %.2f sd of roundings (of %.1f), row %.2f (of %.0f), tile %.2f (of 1)\n",
           name, worst.head, head_tolerance, worst.row, row_tolerance, worst.tile);
    return failed;
}

/* Log-sum-exp is fp32 in every kernel: 1e-5 of its size or of one, as conformance allows. */
static int judge_lse(const fixture *f, const at_results *r)
{
    int failed = 0;
    for (int i = 0; i < f->n_heads; i++) {
        for (int64_t t = 0; t < f->s.T; t++) {
            double want = f->heads[i].lse[t], error = r->lse[f->sampled[i] * f->s.T + t] - want;
            failed += !(fabs(error) <= fp32_tolerance * fmax(1, fabs(want)));
        }
    }
    return failed;
}

/* ---- the fixture ---- */

static void read_size(at_shape *s)
{
    const char *text = getenv("GPTBENCH_ATTENTION_SIZE");
    long long n[4] = {1, 150, 3, 64}; /* ragged, more than one tile of each kernel */
    char end;
    if (text && *text &&
        (sscanf(text, "%lldx%lldx%lldx%lld%c", &n[0], &n[1], &n[2], &n[3], &end) != 4 || n[0] < 1 ||
         n[1] < 2 || n[2] < 1 || n[3] < 8)) {
        fprintf(stderr, "GPTBENCH_ATTENTION_SIZE=%s: it is four sizes, as 64x1024x12x64\n", text);
        exit(2);
    }
    *s = (at_shape){n[0], n[1], n[2], n[3]};
}

static void compute_heads(fixture *f)
{
    const at_shape *s = &f->s;
    const int64_t all = s->B * s->H;
    f->n_heads = (int)(all < MAX_SAMPLES ? all : MAX_SAMPLES);
    for (int i = 0; i < f->n_heads; i++) {
        f->sampled[i] = f->n_heads > 1 ? i * (all - 1) / (f->n_heads - 1) : 0;
        f->heads[i] = ar_head_new(s->T, s->D);
    }
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < f->n_heads; i++) {
        ar_head *h = &f->heads[i];
        for (int64_t at = 0; at < s->T * s->D; at++) {
            int64_t t = at / s->D, d = at % s->D, bh = f->sampled[i];
            h->q[at] = f->qkv[at_index(s, AR_DQ, bh, t, d)];
            h->k[at] = f->qkv[at_index(s, AR_DK, bh, t, d)];
            h->v[at] = f->qkv[at_index(s, AR_DV, bh, t, d)];
            h->dout[at] = f->dout[at_index(s, AR_OUT, bh, t, d)];
        }
        ar_head_compute(h);
    }
}

/* ---- for PyTorch ---- */

static void dump(const char *name, const float *values, int64_t n)
{
    const char *folder = getenv("GPTBENCH_ATTENTION_DUMP");
    gb_error err = {0};
    if (folder && *folder && at_write(folder, name, values, n, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
}

static void dump_results(const fixture *f, const at_results *r, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.out", name);
    dump(file, r->out, at_count(&f->s));
    snprintf(file, sizeof file, "%s.dqkv", name);
    dump(file, r->dqkv, 3 * at_count(&f->s));
}

/* ---- the tests ---- */

static int setup(void **state)
{
    static fixture f;
    f.cuda = gb_backend_find("cuda", GB_BF16);
    if (!f.cuda || f.cuda->unavailable(GB_BF16)) {
        printf("# skip: %s\n",
               f.cuda ? f.cuda->unavailable(GB_BF16) : "the CUDA backend is not built in");
        *state = NULL;
        return 0;
    }
    read_size(&f.s);
    f.qkv = at_random(f.s.B * f.s.T, 3 * f.s.H * f.s.D, 1);
    f.dout = at_random(f.s.B * f.s.T, f.s.H * f.s.D, 2);
    compute_heads(&f);
    dump("qkv", f.qkv, 3 * at_count(&f.s));
    dump("dout", f.dout, at_count(&f.s));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int i = 0; f && i < f->n_heads; i++) {
        ar_head_free(&f->heads[i]);
    }
    if (f) {
        free(f->qkv);
        free(f->dout);
        at_results_free(&f->fp32);
    }
    return 0;
}

static void test_fp32(void **state)
{
    fixture *f = *state;
    gb_error err = {0};
    bool same = false;
    double worst = 0;
    if (!f) {
        skip();
    }
    if (at_run(f->cuda, GB_FP32, "portable", &f->s, f->qkv, f->dout, &f->fp32, &same, &err) !=
        GB_OK) {
        fail_msg("%s", err.message);
    }
    for (int i = 0; i < f->n_heads * AR_PARTS; i++) {
        const ar_part part = (ar_part)(i % AR_PARTS);
        const double *want = f->heads[i / AR_PARTS].result[part];
        double *x = head_values(f, at_part(&f->fp32, part), part, f->sampled[i / AR_PARTS]);
        double errors = 0, squares = 0;
        for (int64_t at = 0; at < f->s.T * f->s.D; at++) {
            errors += (x[at] - want[at]) * (x[at] - want[at]);
            squares += want[at] * want[at];
        }
        free(x);
        worst = sqrt(errors / squares) <= worst ? worst : sqrt(errors / squares);
    }
    printf("# worst fp32: %.1e of float64 (of %.0e)\n", worst, fp32_tolerance);
    assert_true(worst <= fp32_tolerance);
    assert_int_equal(judge_lse(f, &f->fp32), 0);
    assert_true(same);
}

/* Both calls of one subject agree to the last bit, and with what they should be. */
static void check_bf16(fixture *f, const char *name)
{
    gb_error err = {0};
    at_results r;
    bool same = false;
    if (!f) {
        skip();
    }
    assert_non_null(f->fp32.out);
    gb_status status = at_run(f->cuda, GB_BF16, name, &f->s, f->qkv, f->dout, &r, &same, &err);
    if (status == GB_ERR_ENV) {
        printf("# worst %s: skipped, %s\n", name, err.message);
        skip();
    } else if (status != GB_OK) {
        fail_msg("%s", err.message);
    }
    int failed = judge(f, &r, name) + judge_lse(f, &r);
    dump_results(f, &r, name);
    at_results_free(&r);
    assert_int_equal(failed, 0);
    assert_true(same);
}

static void test_portable(void **state)
{
    check_bf16(*state, "portable");
}

static void test_hopper(void **state)
{
    check_bf16(*state, "hopper");
}

/* The fp32 results, rounded, are as good as can be; then a fault is put into them. */
static at_results rounded_copy(const fixture *f)
{
    int64_t n = at_count(&f->s);
    at_results r = {.out = must(malloc((size_t)n * 4)), .dqkv = must(malloc((size_t)n * 12))};
    for (int64_t i = 0; i < n; i++) {
        r.out[i] = at_bf16(f->fp32.out[i]);
    }
    for (int64_t i = 0; i < 3 * n; i++) {
        r.dqkv[i] = at_bf16(f->fp32.dqkv[i]);
    }
    return r;
}

/* The last query of the first head misses the key that it weighs most. */
static void drop_key(const fixture *f, at_results *r)
{
    const at_shape *s = &f->s;
    const ar_head *h = &f->heads[0];
    const double *q = h->q + (s->T - 1) * s->D;
    double best = -INFINITY;
    int64_t key = 0;
    for (int64_t j = 0; j < s->T; j++) {
        double score = 0;
        for (int64_t d = 0; d < s->D; d++) {
            score += q[d] * h->k[j * s->D + d] / sqrt((double)s->D);
        }
        key = score > best ? j : key;
        best = fmax(best, score);
    }
    for (int64_t d = 0; d < s->D; d++) {
        r->out[at_index(s, AR_OUT, 0, s->T - 1, d)] -=
            (float)(exp(best - h->lse[s->T - 1]) * h->v[key * s->D + d]);
    }
}

static void test_bites(void **state)
{
    const fixture *f = *state;
    if (!f) {
        skip();
    }
    const at_shape *s = &f->s;
    at_results r = rounded_copy(f);
    printf("# from here on with planted faults\n");
    assert_int_equal(judge(f, &r, "only rounded"), 0);
    drop_key(f, &r);
    assert_int_equal(judge(f, &r, "a key too few"), 1);
    at_results_free(&r);
    /* Gradients of keys that are 2 u too large throughout: what three roundings may do to one
     * number, but not to all. */
    r = rounded_copy(f);
    for (int64_t i = 0; i < s->B * s->H * s->T * s->D; i++) {
        r.dqkv[at_index(s, AR_DK, i / (s->T * s->D), i / s->D % s->T, i % s->D)] *=
            1 + 2 * (float)u;
    }
    assert_int_equal(judge(f, &r, "dk too large"), 1);
    at_results_free(&r);
    /* Rows of one tile of the last head stand in the wrong order. */
    r = rounded_copy(f);
    for (int64_t d = 0; d < s->D; d++) {
        float *a = &r.dqkv[at_index(s, AR_DV, s->B * s->H - 1, 0, d)];
        float *b = &r.dqkv[at_index(s, AR_DV, s->B * s->H - 1, 1, d)], kept = *a;
        *a = *b;
        *b = kept;
    }
    assert_int_equal(judge(f, &r, "rows of dv exchanged"), 1);
    at_results_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp32),
        cmocka_unit_test(test_portable),
        cmocka_unit_test(test_hopper),
        cmocka_unit_test(test_bites),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
