/* Every backward op of the reference backend against finite differences, in float64.
 *
 * For random inputs x and random weights r the scalar loss(x) = sum(r * op(x)) has the gradient
 * that the backward op gives for dout = r. It is compared, element by element, with the central
 * five-point difference
 *   (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h  =  f'(x) - h^4/30 f^(5)(x) + ...
 * Tolerance. With h = 1e-3 the truncation is 3e-14 f^(5); rounding of f adds 1.5 ulp(f) / h,
 * which is 1.5 * 3.6e-15 / 1e-3 = 5e-12 with |f| around 30. Gradients are of order 1, and f^(5)
 * reaches some thousands where a norm runs over a few small values. So a right backward op stays
 * below 1e-10 of the gradient's norm (measured: 1e-11); TOLERANCE leaves a factor 10 to that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/ref/random.h"
#include "tests/ref/ref_backend.h"

static const double STEP = 1e-3;
static const double TOLERANCE = 1e-9;
enum { SEEDS = 12, MAX_INPUTS = 2 };

/* One op on one random shape. The fields that an op does not use stay zero. */
typedef struct problem {
    const gb_backend *backend;
    gb_device *dev;
    test_random rng;
    int64_t B, T, N, C, O, V, F, H, K, D, window;
    double scale;
    bool post_norm, qk_norm, first, with_x, with_y, with_h, in_place;
    int32_t tokens[64];
    int n_inputs;
    double *x[MAX_INPUTS];    /* (n[i]): the inputs to differentiate by */
    double *grad[MAX_INPUTS]; /* (n[i]): what the backward op says */
    int64_t n[MAX_INPUTS];
    double *r, *r2;     /* the weights of the outputs in the loss */
    double *out, *out2; /* the outputs */
    double *save, *save2;
} problem;

/* The ops under test: `loss` runs forward and returns the loss, `gradient` runs backward after
 * it and fills grad. */
typedef struct op_check {
    void (*setup)(problem *p);
    double (*loss)(problem *p);
    void (*gradient)(problem *p);
} op_check;

/* ---- pieces ---- */

static void expect_ok(problem *p, gb_status status)
{
    if (status != GB_OK) {
        fail_msg("%s", p->backend->last_error(p->dev));
    }
}

/* n random normal values, owned by the device. */
static double *new_normal(problem *p, int64_t n)
{
    void *x = NULL;
    expect_ok(p, p->backend->alloc(p->dev, GB_MEM_ACTIVATIONS, n * (int64_t)sizeof(double), &x));
    test_random_fill(&p->rng, x, n, 1);
    return x;
}

static void add_input(problem *p, int64_t n)
{
    p->x[p->n_inputs] = new_normal(p, n);
    p->grad[p->n_inputs] = new_normal(p, n); /* poison: backward must overwrite it */
    p->n[p->n_inputs++] = n;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static void copy(double *to, const double *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

/* Calls that accumulate start from these values, which are subtracted afterwards: a call that
 * overwrites instead is found. */
static void accumulate_begin(double *grad, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        grad[i] = 0.25;
    }
}

static void accumulate_end(double *grad, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        grad[i] -= 0.25;
    }
}

/* ---- the ops ---- */

static void embed_setup(problem *p)
{
    p->N = test_random_int(&p->rng, 1, 12);
    p->C = test_random_int(&p->rng, 1, 9);
    p->V = test_random_int(&p->rng, 1, 7);
    for (int64_t n = 0; n < p->N; n++) {
        p->tokens[n] = (int32_t)test_random_int(&p->rng, 0, p->V - 1);
    }
    add_input(p, p->V * p->C);
    p->r = new_normal(p, p->N * p->C);
    p->out = new_normal(p, p->N * p->C);
}

static double embed_loss(problem *p)
{
    expect_ok(p, p->backend->embed_forward(p->dev, p->out, p->tokens, p->x[0], p->N, p->C));
    return dot(p->r, p->out, p->N * p->C);
}

static void embed_gradient(problem *p)
{
    accumulate_begin(p->grad[0], p->n[0]);
    expect_ok(p, p->backend->embed_backward(p->dev, p->grad[0], p->r, p->tokens, p->N, p->C, p->V));
    accumulate_end(p->grad[0], p->n[0]);
}

static void add_norm_setup(problem *p)
{
    p->N = test_random_int(&p->rng, 1, 6);
    p->C = test_random_int(&p->rng, 3, 17);
    p->scale = 0.5 + (double)test_random_int(&p->rng, 0, 4) / 7;
    add_input(p, p->N * p->C);
    if (p->with_y) {
        add_input(p, p->N * p->C);
    }
    p->r = new_normal(p, p->N * p->C);
    p->r2 = new_normal(p, p->N * p->C);
    p->out = new_normal(p, p->N * p->C);
    p->out2 = new_normal(p, p->N * p->C);
    p->save = new_normal(p, p->N);
    p->save2 = new_normal(p, p->N);
}

static double add_norm_loss(problem *p)
{
    int64_t n = p->N * p->C;
    expect_ok(p, p->backend->add_norm_forward(
                     p->dev, p->with_y ? p->out : NULL, p->with_h ? p->out2 : NULL,
                     p->with_h ? p->save : NULL, p->post_norm ? p->save2 : NULL, p->x[0],
                     p->with_y ? p->x[1] : NULL, p->scale, p->post_norm, p->N, p->C));
    const double *x_out = p->with_y ? p->out : p->x[0];
    return (p->with_x ? dot(p->r, x_out, n) : 0) + (p->with_h ? dot(p->r2, p->out2, n) : 0);
}

static void add_norm_gradient(problem *p)
{
    /* Without the x_out term the incoming gradient is zero: that is what `first` stands for. */
    if (p->with_x) {
        copy(p->grad[0], p->r, p->n[0]);
    }
    double *dy = p->with_y ? p->grad[1] : NULL;
    double *dh = p->with_h ? p->r2 : NULL;
    if (p->in_place) {
        copy(dy, p->r2, p->n[1]);
        dh = dy;
    }
    expect_ok(p, p->backend->add_norm_backward(
                     p->dev, p->grad[0], dy, dh, p->with_h ? p->out2 : NULL, p->save,
                     p->post_norm ? p->x[1] : NULL, p->post_norm ? p->save2 : NULL, p->scale,
                     p->post_norm, !p->with_x, p->N, p->C));
}

static void linear_setup(problem *p)
{
    p->N = test_random_int(&p->rng, 1, 9);
    p->C = test_random_int(&p->rng, 1, 11);
    p->O = test_random_int(&p->rng, 1, 11);
    add_input(p, p->N * p->C);
    add_input(p, p->O * p->C);
    p->r = new_normal(p, p->N * p->O);
    p->out = new_normal(p, p->N * p->O);
}

static double linear_loss(problem *p)
{
    expect_ok(p, p->backend->linear_forward(p->dev, p->out, p->x[0], p->x[1], p->N, p->C, p->O));
    return dot(p->r, p->out, p->N * p->O);
}

static void linear_gradient(problem *p)
{
    expect_ok(
        p, p->backend->linear_backward_input(p->dev, p->grad[0], p->r, p->x[1], p->N, p->C, p->O));
    if (!p->first) {
        accumulate_begin(p->grad[1], p->n[1]);
    }
    expect_ok(p, p->backend->linear_backward_weight(p->dev, p->grad[1], p->r, p->x[0], p->first,
                                                    p->N, p->C, p->O));
    if (!p->first) {
        accumulate_end(p->grad[1], p->n[1]);
    }
}

static void heads_setup(problem *p)
{
    p->B = test_random_int(&p->rng, 1, 3);
    p->T = test_random_int(&p->rng, 1, 9);
    p->K = test_random_int(&p->rng, 1, 2);
    p->H = p->K * test_random_int(&p->rng, 1, 3);
    p->D = 2 * test_random_int(&p->rng, 1, 5);
    if (p->qk_norm && p->D < 4) {
        p->D = 4; /* with two values a small head makes f^(5) exceed what TOLERANCE assumes */
    }
    p->N = p->B * p->T;
    add_input(p, p->N * (p->H + 2 * p->K) * p->D);
    p->r = new_normal(p, p->n[0]);
    p->out = new_normal(p, p->n[0]);
    p->save = new_normal(p, p->N * (p->H + p->K));
}

static double qk_rope_loss(problem *p)
{
    copy(p->out, p->x[0], p->n[0]);
    expect_ok(p, p->backend->qk_rope_forward(p->dev, p->out, p->qk_norm ? p->save : NULL,
                                             p->qk_norm, p->B, p->T, p->H, p->K, p->D));
    return dot(p->r, p->out, p->n[0]);
}

static void qk_rope_gradient(problem *p)
{
    copy(p->grad[0], p->r, p->n[0]);
    expect_ok(p,
              p->backend->qk_rope_backward(p->dev, p->grad[0], p->out, p->qk_norm ? p->save : NULL,
                                           p->qk_norm, p->B, p->T, p->H, p->K, p->D));
}

static double attention_loss(problem *p)
{
    expect_ok(p, p->backend->attention_forward(p->dev, p->out, p->save, p->x[0], p->B, p->T, p->H,
                                               p->K, p->D, p->window));
    return dot(p->r, p->out, p->N * p->H * p->D);
}

static void attention_gradient(problem *p)
{
    expect_ok(p, p->backend->attention_backward(p->dev, p->grad[0], p->r, p->x[0], p->out, p->save,
                                                p->B, p->T, p->H, p->K, p->D, p->window));
}

static void gelu_setup(problem *p)
{
    p->N = test_random_int(&p->rng, 1, 99);
    add_input(p, p->N);
    p->r = new_normal(p, p->N);
    p->out = new_normal(p, p->N);
}

static double gelu_loss(problem *p)
{
    expect_ok(p, p->backend->gelu_forward(p->dev, p->out, p->x[0], p->N));
    return dot(p->r, p->out, p->N);
}

static void gelu_gradient(problem *p)
{
    const double *dout = p->r;
    if (p->in_place) {
        copy(p->grad[0], p->r, p->N);
        dout = p->grad[0];
    }
    expect_ok(p, p->backend->gelu_backward(p->dev, p->grad[0], dout, p->x[0], p->N));
}

static void swiglu_setup(problem *p)
{
    p->N = test_random_int(&p->rng, 1, 7);
    p->F = test_random_int(&p->rng, 1, 13);
    add_input(p, p->N * 2 * p->F);
    p->r = new_normal(p, p->N * p->F);
    p->out = new_normal(p, p->N * p->F);
}

static double swiglu_loss(problem *p)
{
    expect_ok(p, p->backend->swiglu_forward(p->dev, p->out, p->x[0], p->N, p->F));
    return dot(p->r, p->out, p->N * p->F);
}

static void swiglu_gradient(problem *p)
{
    const double *gv = p->x[0];
    if (p->in_place) {
        copy(p->grad[0], p->x[0], p->n[0]);
        gv = p->grad[0];
    }
    expect_ok(p, p->backend->swiglu_backward(p->dev, p->grad[0], p->r, gv, p->N, p->F));
}

static void classifier_setup(problem *p)
{
    p->N = test_random_int(&p->rng, 1, 7);
    p->C = test_random_int(&p->rng, 1, 9);
    p->V = test_random_int(&p->rng, 2, 13);
    p->scale = 1.0 / (double)p->N;
    for (int64_t n = 0; n < p->N; n++) {
        p->tokens[n] = (int32_t)test_random_int(&p->rng, 0, p->V - 1);
    }
    add_input(p, p->N * p->C);
    add_input(p, p->V * p->C);
}

static double classifier_loss(problem *p)
{
    double sum = NAN;
    expect_ok(p, p->backend->classifier(p->dev, &sum, NULL, NULL, p->x[0], p->x[1], p->tokens, 1,
                                        true, p->N, p->C, p->V));
    return sum * p->scale;
}

static void classifier_gradient(problem *p)
{
    double sum = p->first ? NAN : 0, plain = classifier_loss(p);
    if (!p->first) {
        accumulate_begin(p->grad[1], p->n[1]);
    }
    expect_ok(p, p->backend->classifier(p->dev, &sum, p->grad[0], p->grad[1], p->x[0], p->x[1],
                                        p->tokens, p->scale, p->first, p->N, p->C, p->V));
    if (!p->first) {
        accumulate_end(p->grad[1], p->n[1]);
    }
    assert_true(sum * p->scale == plain); /* grad_scale is not in the loss */
}

static const op_check EMBED = {embed_setup, embed_loss, embed_gradient};
static const op_check ADD_NORM = {add_norm_setup, add_norm_loss, add_norm_gradient};
static const op_check LINEAR = {linear_setup, linear_loss, linear_gradient};
static const op_check QK_ROPE = {heads_setup, qk_rope_loss, qk_rope_gradient};
static const op_check ATTENTION = {heads_setup, attention_loss, attention_gradient};
static const op_check GELU = {gelu_setup, gelu_loss, gelu_gradient};
static const op_check SWIGLU = {swiglu_setup, swiglu_loss, swiglu_gradient};
static const op_check CLASSIFIER = {classifier_setup, classifier_loss, classifier_gradient};

/* ---- the check ---- */

static double difference(problem *p, const op_check *op, double *x)
{
    double at = *x, f[4];
    const double offset[4] = {-2 * STEP, -STEP, STEP, 2 * STEP};
    for (int i = 0; i < 4; i++) {
        *x = at + offset[i];
        f[i] = op->loss(p);
    }
    *x = at;
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * STEP);
}

/* Worst ||backward - difference|| / ||difference|| over the inputs and SEEDS random shapes. */
static double worst_error(const gb_backend *backend, const op_check *op, problem variant)
{
    double worst = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        problem p = variant;
        p.backend = backend;
        p.rng.state = seed * 7919;
        gb_options options = {.precision = GB_FP64};
        assert_int_equal(backend->open(&options, &p.dev, NULL), GB_OK);
        op->setup(&p);
        op->loss(&p);
        op->gradient(&p);
        double error = 0, norm = 0;
        for (int i = 0; i < p.n_inputs; i++) {
            for (int64_t j = 0; j < p.n[i]; j++) {
                double d = difference(&p, op, &p.x[i][j]);
                error += (p.grad[i][j] - d) * (p.grad[i][j] - d);
                norm += d * d;
            }
        }
        backend->close(p.dev);
        double relative = sqrt(error / norm);
        worst = relative <= worst ? worst : relative; /* a NaN stays */
    }
    return worst;
}

static void expect_right(const op_check *op, problem variant)
{
    double error = worst_error(&gb_backend_ref, op, variant);
    if (!(error <= TOLERANCE)) {
        fail_msg("relative error %.3g exceeds %.3g", error, TOLERANCE);
    }
}

static void test_embed(void **state)
{
    (void)state;
    expect_right(&EMBED, (problem){0});
}

/* All of: y or not, post_norm, gradient through x_out, h or both, dy in place of dh. */
static void test_add_norm(void **state)
{
    (void)state;
    for (int bits = 0; bits < 32; bits++) {
        problem p = {.with_y = bits & 1,
                     .post_norm = bits & 2,
                     .with_x = bits & 4,
                     .with_h = bits & 8,
                     .in_place = bits & 16};
        bool no_loss = !p.with_x && !p.with_h;
        if (no_loss || (p.post_norm && !p.with_y) || (p.in_place && !(p.with_y && p.with_h))) {
            continue;
        }
        expect_right(&ADD_NORM, p);
    }
}

static void test_linear(void **state)
{
    (void)state;
    expect_right(&LINEAR, (problem){.first = true});
    expect_right(&LINEAR, (problem){.first = false});
}

static void test_qk_rope(void **state)
{
    (void)state;
    expect_right(&QK_ROPE, (problem){.qk_norm = false});
    expect_right(&QK_ROPE, (problem){.qk_norm = true});
}

static void test_attention(void **state)
{
    (void)state;
    static const int64_t windows[] = {0, 1, 2, 3, 8, 100};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        expect_right(&ATTENTION, (problem){.window = windows[i]});
    }
}

static void test_mlp(void **state)
{
    (void)state;
    expect_right(&GELU, (problem){.in_place = false});
    expect_right(&GELU, (problem){.in_place = true});
    expect_right(&SWIGLU, (problem){.in_place = false});
    expect_right(&SWIGLU, (problem){.in_place = true});
}

static void test_classifier(void **state)
{
    (void)state;
    expect_right(&CLASSIFIER, (problem){.first = true});
    expect_right(&CLASSIFIER, (problem){.first = false});
}

/* ---- wrong gradients, each of which the check must find ---- */

/* gelu' of the tanh approximation: off by less than 1e-3. */
static gb_status wrong_gelu(gb_device *dev, void *din, const void *dout, const void *in, int64_t n)
{
    (void)dev;
    for (int64_t i = 0; i < n; i++) {
        double x = ((const double *)in)[i], c = sqrt(2 / 3.14159265358979323846);
        double t = tanh(c * (x + 0.044715 * x * x * x));
        ((double *)din)[i] = ((const double *)dout)[i] *
                             ((1 + t) / 2 + x / 2 * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x));
    }
    return GB_OK;
}

/* Forgets that the norms depend on their inputs: no mean(dh * h) term. */
static gb_status wrong_add_norm(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                double scale, bool post_norm, bool first, int64_t N, int64_t C)
{
    (void)dev, (void)dy, (void)h, (void)y, (void)inv_rms_y, (void)scale, (void)post_norm;
    for (int64_t i = 0; i < N * C; i++) {
        double *g = (double *)dx + i;
        *g = (first ? 0 : *g) + ((const double *)inv_rms_h)[i / C] * ((const double *)dh)[i];
    }
    return GB_OK;
}

/* One key too many in the window. */
static gb_status wrong_attention(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                 const void *out, const void *lse, int64_t B, int64_t T, int64_t H,
                                 int64_t K, int64_t D, int64_t window)
{
    return gb_backend_ref.attention_backward(dev, dqkv, dout, qkv, out, lse, B, T, H, K, D,
                                             window + 1);
}

/* Turns the gradient forward instead of back. */
static gb_status wrong_qk_rope(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                               bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D)
{
    (void)qkv, (void)inv_rms, (void)qk_norm;
    return gb_backend_ref.qk_rope_forward(dev, dqkv, NULL, false, B, T, H, K, D);
}

/* Right but for the last element, which is off by one part in 1e6. */
static gb_status wrong_linear(gb_device *dev, void *dw, const void *dy, const void *x, bool first,
                              int64_t N, int64_t I, int64_t O)
{
    gb_status status = gb_backend_ref.linear_backward_weight(dev, dw, dy, x, first, N, I, O);
    ((double *)dw)[O * I - 1] *= 1 + 1e-6;
    return status;
}

/* Overwrites where it should accumulate. */
static gb_status wrong_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte,
                                  const void *h, const void *wte, const int32_t *targets,
                                  double grad_scale, bool first, int64_t N, int64_t C, int64_t V)
{
    (void)first;
    return gb_backend_ref.classifier(dev, loss_sum, dh, dwte, h, wte, targets, grad_scale, true, N,
                                     C, V);
}

static void test_bites(void **state)
{
    (void)state;
    gb_backend wrong = gb_backend_ref;
    wrong.gelu_backward = wrong_gelu;
    wrong.add_norm_backward = wrong_add_norm;
    wrong.attention_backward = wrong_attention;
    wrong.qk_rope_backward = wrong_qk_rope;
    wrong.linear_backward_weight = wrong_linear;
    wrong.classifier = wrong_classifier;
    assert_true(worst_error(&wrong, &GELU, (problem){0}) > 10 * TOLERANCE);
    assert_true(worst_error(&wrong, &ADD_NORM, (problem){.with_h = true}) > 10 * TOLERANCE);
    assert_true(worst_error(&wrong, &ATTENTION, (problem){.window = 2}) > 10 * TOLERANCE);
    assert_true(worst_error(&wrong, &QK_ROPE, (problem){0}) > 10 * TOLERANCE);
    assert_true(worst_error(&wrong, &LINEAR, (problem){.first = true}) > 10 * TOLERANCE);
    assert_true(worst_error(&wrong, &CLASSIFIER, (problem){.first = false}) > 10 * TOLERANCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed),      cmocka_unit_test(test_add_norm),
        cmocka_unit_test(test_linear),     cmocka_unit_test(test_qk_rope),
        cmocka_unit_test(test_attention),  cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_classifier), cmocka_unit_test(test_bites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
