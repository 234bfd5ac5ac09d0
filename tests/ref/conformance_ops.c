/* Conformance cases of the ops outside attention. */
#include "tests/ref/conformance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/ref/ref_internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static cf_case new_case(const cf_subject *subject, uint64_t seed)
{
    return (cf_case){.precision = subject->precision, .rng.state = seed};
}

/* ---- embedding ---- */

static gb_status call_embed_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                    void **t)
{
    return backend->embed_forward(dev, t[0], t[1], t[2], c->N, c->C);
}

static gb_status call_embed_backward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                     void **t)
{
    return backend->embed_backward(dev, t[0], t[1], t[2], c->N, c->C, c->V);
}

int conformance_embed(const cf_subject *subject)
{
    static const int64_t shapes[][3] = {/* N, C, V */
                                        {1, 1, 1},      {1, 64, 3},     {7, 33, 1},    {300, 96, 5},
                                        {64, 128, 511}, {33, 6, 50257}, {129, 768, 17}};
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        int64_t N = shapes[i][0], C = shapes[i][1], V = shapes[i][2];
        cf_case c = new_case(subject, 100 + i);
        c.N = N, c.C = C, c.V = V;
        c.call = call_embed_forward;
        snprintf(c.label, sizeof c.label, "embed_forward N=%d C=%d V=%d", (int)N, (int)C, (int)V);
        cf_add(&c, "out", CF_OUT, CF_ACT, N * C, 1);
        cf_add_tokens(&c, "tokens", N, V);
        cf_add(&c, "wte", CF_WEIGHT, CF_ACT, V * C, 1);
        failed += conformance_check(subject, &c);

        c = new_case(subject, 200 + i);
        c.N = N, c.C = C, c.V = V;
        c.call = call_embed_backward;
        snprintf(c.label, sizeof c.label, "embed_backward N=%d C=%d V=%d", (int)N, (int)C, (int)V);
        cf_add(&c, "dwte", CF_INOUT, CF_WIDE, V * C, 1);
        cf_add(&c, "dout", CF_IN, CF_ACT, N * C, 1);
        cf_add_tokens(&c, "tokens", N, V);
        failed += conformance_check(subject, &c);
    }
    return failed;
}

/* ---- residual and norms ---- */

static gb_status call_add_norm_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                       void **t)
{
    return backend->add_norm_forward(dev, t[0], t[1], t[2], t[3], t[4], t[5], c->scale,
                                     c->post_norm, c->N, c->C);
}

static gb_status call_add_norm_backward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                        void **t)
{
    return backend->add_norm_backward(dev, t[0], t[1], t[2], t[3], t[4], t[5], t[6], c->scale,
                                      c->post_norm, c->first, c->N, c->C);
}

typedef struct norm_variant {
    bool with_y, with_h, post_norm, in_place, first;
} norm_variant;

static void norm_label(cf_case *c, const char *op, norm_variant v)
{
    snprintf(c->label, sizeof c->label, "%s N=%d C=%d%s%s%s%s%s", op, (int)c->N, (int)c->C,
             v.with_y ? "" : " without y", v.with_h ? "" : " without h",
             v.post_norm ? " post_norm" : "", v.in_place ? " in place" : "",
             v.first ? " first" : "");
}

static int check_add_norm_forward(const cf_subject *subject, uint64_t seed, int64_t N, int64_t C,
                                  norm_variant v)
{
    cf_case c = new_case(subject, seed);
    c.N = N, c.C = C;
    c.scale = 0.35355339059327379; /* 1 / sqrt(2L) of L = 4 */
    c.post_norm = v.post_norm;
    c.call = call_add_norm_forward;
    norm_label(&c, "add_norm_forward", v);
    enum { X_OUT, H, INV_H, INV_Y, X_IN, Y };
    cf_add(&c, "x_out", CF_OUT, CF_ACT, v.with_y ? N * C : 0, 1);
    c.tensors[X_OUT].alias = v.in_place ? X_IN : -1;
    cf_add(&c, "h", CF_OUT, CF_ACT, v.with_h ? N * C : 0, 1);
    cf_add(&c, "inv_rms_h", CF_OUT, CF_WIDE, v.with_h ? N : 0, 1);
    cf_add(&c, "inv_rms_y", CF_OUT, CF_WIDE, v.post_norm ? N : 0, 1);
    cf_add(&c, "x_in", CF_IN, CF_ACT, N * C, 1);
    cf_add(&c, "y", CF_IN, CF_ACT, v.with_y ? N * C : 0, 3);
    return conformance_check(subject, &c);
}

/* h and 1/rms as forward would have left them; x becomes x / rms(x). */
static void make_normed(double *x, double *inv_rms, int64_t N, int64_t C)
{
    for (int64_t n = 0; n < N; n++) {
        inv_rms[n] = ref_inv_rms(x + n * C, C);
        for (int64_t i = 0; i < C; i++) {
            x[n * C + i] *= inv_rms[n];
        }
    }
}

static int check_add_norm_backward(const cf_subject *subject, uint64_t seed, int64_t N, int64_t C,
                                   norm_variant v)
{
    cf_case c = new_case(subject, seed);
    c.N = N, c.C = C;
    c.scale = 0.35355339059327379;
    c.post_norm = v.post_norm;
    c.first = v.first;
    c.call = call_add_norm_backward;
    norm_label(&c, "add_norm_backward", v);
    enum { DX, DY, DH, H, INV_H, Y, INV_Y };
    cf_add(&c, "dx", v.first ? CF_OUT : CF_INOUT, CF_ACT, N * C, 1);
    cf_add(&c, "dy", CF_OUT, CF_ACT, v.with_y ? N * C : 0, 1);
    c.tensors[DY].alias = v.in_place ? DH : -1;
    cf_add(&c, "dh", CF_IN, CF_ACT, v.with_h ? N * C : 0, 1);
    double *h = cf_add(&c, "h", CF_IN, CF_ACT, v.with_h ? N * C : 0, 2);
    double *inv_h = cf_add(&c, "inv_rms_h", CF_IN, CF_WIDE, v.with_h ? N : 0, 1);
    double *y = cf_add(&c, "y", CF_IN, CF_ACT, v.post_norm ? N * C : 0, 3);
    double *inv_y = cf_add(&c, "inv_rms_y", CF_IN, CF_WIDE, v.post_norm ? N : 0, 1);
    if (v.with_h) {
        make_normed(h, inv_h, N, C);
        cf_round(&c, H);
        cf_round(&c, INV_H);
    }
    for (int64_t n = 0; v.post_norm && n < N; n++) {
        inv_y[n] = ref_inv_rms(y + n * C, C);
    }
    cf_round(&c, INV_Y);
    return conformance_check(subject, &c);
}

int conformance_add_norm(const cf_subject *subject)
{
    static const int64_t shapes[][2] = {/* N, C */
                                        {1, 2},
                                        {3, 7},
                                        {130, 96},
                                        {17, 50},
                                        {3, 4097},
                                        /* rows of several 16-byte accesses per lane of a GPU's
                                         * warp; the last is too long for its registers */
                                        {3, 400},
                                        {5, 768},
                                        {2, 1104},
                                        {2, 4104}};
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        for (int bits = 0; bits < 32; bits++) {
            norm_variant v = {bits & 1, bits & 2, bits & 4, bits & 8, bits & 16};
            if (v.post_norm && !v.with_y) {
                continue;
            }
            uint64_t seed = 1000 + i * 64 + (uint64_t)bits;
            int64_t N = shapes[i][0], C = shapes[i][1];
            bool any_output = v.with_y || v.with_h;
            if (any_output && !v.first && (v.with_y || !v.in_place)) {
                failed += check_add_norm_forward(subject, seed, N, C, v);
            }
            if (!v.in_place || (v.with_y && v.with_h)) {
                failed += check_add_norm_backward(subject, seed, N, C, v);
            }
        }
    }
    return failed;
}

/* ---- linear maps ---- */

static gb_status call_linear_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                     void **t)
{
    return backend->linear_forward(dev, t[0], t[1], t[2], c->N, c->I, c->O);
}

static gb_status call_linear_backward_input(const cf_case *c, const gb_backend *backend,
                                            gb_device *dev, void **t)
{
    return backend->linear_backward_input(dev, t[0], t[1], t[2], c->N, c->I, c->O);
}

static gb_status call_linear_backward_weight(const cf_case *c, const gb_backend *backend,
                                             gb_device *dev, void **t)
{
    return backend->linear_backward_weight(dev, t[0], t[1], t[2], c->first, c->N, c->I, c->O);
}

static cf_case linear_case(const cf_subject *subject, uint64_t seed, const int64_t shape[3],
                           const char *op)
{
    cf_case c = new_case(subject, seed);
    c.N = shape[0], c.I = shape[1], c.O = shape[2];
    snprintf(c.label, sizeof c.label, "%s N=%d I=%d O=%d", op, (int)c.N, (int)c.I, (int)c.O);
    return c;
}

int conformance_linear(const cf_subject *subject)
{
    static const int64_t shapes[][3] = {/* N, I, O */
                                        {1, 1, 1},     {1, 64, 96},    {2, 3, 5},     {64, 64, 64},
                                        {33, 50, 31},  {130, 96, 7},   {17, 256, 1},  {128, 1, 128},
                                        {96, 80, 240}, {65, 257, 129}, {31, 1024, 36}};
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        int64_t N = shapes[i][0], I = shapes[i][1], O = shapes[i][2];
        cf_case c = linear_case(subject, 2000 + i, shapes[i], "linear_forward");
        c.call = call_linear_forward;
        cf_add(&c, "y", CF_OUT, CF_ACT, N * O, 1);
        cf_add(&c, "x", CF_IN, CF_ACT, N * I, 1);
        cf_add(&c, "w", CF_WEIGHT, CF_ACT, O * I, 1);
        failed += conformance_check(subject, &c);

        c = linear_case(subject, 2100 + i, shapes[i], "linear_backward_input");
        c.call = call_linear_backward_input;
        cf_add(&c, "dx", CF_OUT, CF_ACT, N * I, 1);
        cf_add(&c, "dy", CF_IN, CF_ACT, N * O, 1);
        cf_add(&c, "w", CF_WEIGHT, CF_ACT, O * I, 1);
        failed += conformance_check(subject, &c);

        for (int first = 0; first < 2; first++) {
            c = linear_case(subject, 2200 + i, shapes[i],
                            first ? "linear_backward_weight first" : "linear_backward_weight");
            c.first = first;
            c.call = call_linear_backward_weight;
            cf_add(&c, "dw", first ? CF_OUT : CF_INOUT, CF_WIDE, O * I, 1);
            cf_add(&c, "dy", CF_IN, CF_ACT, N * O, 1);
            cf_add(&c, "x", CF_IN, CF_ACT, N * I, 1);
            failed += conformance_check(subject, &c);
        }
    }
    return failed;
}

/* ---- activations of the MLP ---- */

static gb_status call_gelu_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                   void **t)
{
    return backend->gelu_forward(dev, t[0], t[1], c->N * c->F);
}

static gb_status call_gelu_backward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                    void **t)
{
    return backend->gelu_backward(dev, t[0], t[1], t[2], c->N * c->F);
}

static gb_status call_swiglu_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                     void **t)
{
    return backend->swiglu_forward(dev, t[0], t[1], c->N, c->F);
}

static gb_status call_swiglu_backward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                      void **t)
{
    return backend->swiglu_backward(dev, t[0], t[1], t[2], c->N, c->F);
}

static cf_case mlp_case(const cf_subject *subject, uint64_t seed, const int64_t shape[2],
                        const char *op, double scale, bool in_place)
{
    cf_case c = new_case(subject, seed);
    c.N = shape[0], c.F = shape[1];
    snprintf(c.label, sizeof c.label, "%s N=%d F=%d scale=%g%s", op, (int)c.N, (int)c.F, scale,
             in_place ? " in place" : "");
    return c;
}

int conformance_mlp(const cf_subject *subject)
{
    static const int64_t shapes[][2] = {/* N, F */
                                        {1, 1},
                                        {3, 5},
                                        {33, 96},
                                        {70, 341}};
    /* Large inputs: exp must not overflow into NaN. */
    static const double scales[] = {1, 0.01, 60};
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes) * COUNT(scales) * 2; i++) {
        const int64_t *shape = shapes[i / 2 / COUNT(scales)];
        double scale = scales[i / 2 % COUNT(scales)];
        bool in_place = i % 2;
        int64_t n = shape[0] * shape[1];

        cf_case c = mlp_case(subject, 3000 + i, shape, "gelu_forward", scale, false);
        c.call = call_gelu_forward;
        cf_add(&c, "out", CF_OUT, CF_ACT, n, 1);
        cf_add(&c, "in", CF_IN, CF_ACT, n, scale);
        failed += conformance_check(subject, &c);

        c = mlp_case(subject, 3100 + i, shape, "gelu_backward", scale, in_place);
        c.call = call_gelu_backward;
        cf_add(&c, "din", CF_OUT, CF_ACT, n, 1);
        c.tensors[0].alias = in_place ? 1 : -1;
        cf_add(&c, "dout", CF_IN, CF_ACT, n, 1);
        cf_add(&c, "in", CF_IN, CF_ACT, n, scale);
        failed += conformance_check(subject, &c);

        c = mlp_case(subject, 3200 + i, shape, "swiglu_forward", scale, false);
        c.call = call_swiglu_forward;
        cf_add(&c, "out", CF_OUT, CF_ACT, n, 1);
        cf_add(&c, "gv", CF_IN, CF_ACT, 2 * n, scale);
        failed += conformance_check(subject, &c);

        c = mlp_case(subject, 3300 + i, shape, "swiglu_backward", scale, in_place);
        c.call = call_swiglu_backward;
        cf_add(&c, "dgv", CF_OUT, CF_ACT, 2 * n, 1);
        c.tensors[0].alias = in_place ? 2 : -1;
        cf_add(&c, "dout", CF_IN, CF_ACT, n, 1);
        cf_add(&c, "gv", CF_IN, CF_ACT, 2 * n, scale);
        failed += conformance_check(subject, &c);
    }
    return failed;
}

/* ---- output map and loss ---- */

static gb_status call_classifier(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                 void **t)
{
    return backend->classifier(dev, t[5], t[0], t[1], t[2], t[3], t[4], c->scale, c->first, c->N,
                               c->C, c->V);
}

typedef enum classifier_mode { EVALUATE, EVALUATE_MORE, ACCUMULATE, OVERWRITE } classifier_mode;

static int check_classifier(const cf_subject *subject, uint64_t seed, const int64_t shape[3],
                            classifier_mode mode, double logit_scale)
{
    static const char *const names[] = {"evaluate", "evaluate more", "accumulate", "first"};
    cf_case c = new_case(subject, seed);
    int64_t N = shape[0], C = shape[1], V = shape[2];
    c.N = N, c.C = C, c.V = V;
    c.scale = 1 / (double)(3 * N); /* three micro-batches */
    c.first = mode == OVERWRITE || mode == EVALUATE;
    c.double_floor = (double)N; /* a loss near 0 per token has no relative error to speak of */
    /* A logit of size s is off by s * 2^-24 * sqrt(C) in fp32, and so is log p. */
    c.tolerance_factor = logit_scale > 10 ? logit_scale / 10 : 1;
    c.call = call_classifier;
    snprintf(c.label, sizeof c.label, "classifier %s N=%d C=%d V=%d logits=%g", names[mode], (int)N,
             (int)C, (int)V, logit_scale);
    bool gradient = mode >= ACCUMULATE;
    cf_add(&c, "dh", CF_OUT, CF_ACT, gradient ? N * C : 0, 1);
    const int64_t padding = (GB_VOCABULARY_STEP - V % GB_VOCABULARY_STEP) % GB_VOCABULARY_STEP * C;
    cf_add(&c, "dwte", mode == OVERWRITE ? CF_OUT : CF_INOUT, CF_WIDE, gradient ? V * C : 0, 1e-2);
    c.tensors[1].padding = gradient ? padding : 0;
    cf_add(&c, "h", CF_IN, CF_ACT, N * C, 1);
    cf_add(&c, "wte", CF_WEIGHT, CF_ACT, V * C, logit_scale / sqrt((double)C));
    c.tensors[3].padding = padding;
    cf_add_tokens(&c, "targets", N, V);
    cf_add(&c, "loss_sum", c.first ? CF_OUT : CF_INOUT, CF_DOUBLE, 1, (double)N);
    return conformance_check(subject, &c);
}

int conformance_classifier(const cf_subject *subject)
{
    static const int64_t shapes[][3] = {/* N, C, V */
                                        {1, 2, 1},     {5, 64, 1},     {1, 16, 2},
                                        {3, 33, 61},   {64, 32, 256},  {130, 48, 97},
                                        {37, 80, 511}, {3, 10, 50257}, {300, 16, 65}};
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        for (int mode = EVALUATE; mode <= OVERWRITE; mode++) {
            uint64_t seed = 4000 + i * 8 + (uint64_t)mode;
            failed += check_classifier(subject, seed, shapes[i], (classifier_mode)mode, 2);
        }
    }
    /* Logits in the hundreds: the maximum must be taken out before exp. */
    failed += check_classifier(subject, 4500, shapes[3], OVERWRITE, 200);
    return failed;
}

/* ---- optimiser ---- */

static gb_status call_sum_squares(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                  void **t)
{
    return backend->sum_squares(dev, t[1], t[0], c->N);
}

static gb_status call_adamw(const cf_case *c, const gb_backend *backend, gb_device *dev, void **t)
{
    return backend->adamw(dev, t[4], t[0], t[1], t[2], t[3], c->N, t[5], t[6], t[7]);
}

static int check_sum_squares(const cf_subject *subject, uint64_t seed, int64_t n)
{
    cf_case c = new_case(subject, seed);
    c.N = n;
    c.call = call_sum_squares;
    /* Accumulated in double: nothing of the subject's own precision may show. */
    c.tolerance_factor = 1e-12 / conformance_tolerance(subject->precision);
    snprintf(c.label, sizeof c.label, "sum_squares n=%d", (int)n);
    cf_add(&c, "x", CF_IN, CF_WIDE, n, 1);
    cf_add(&c, "out", CF_OUT, CF_DOUBLE, 1, 1);
    return conformance_check(subject, &c);
}

/* What stands beside the slabs in a call of adamw; NULL pointers where the flag says no. */
typedef struct adamw_case {
    int step;
    double weight_decay, grad_clip;
    bool has_loss, has_squares;
    double loss, squares;
} adamw_case;

static int check_adamw(const cf_subject *subject, uint64_t seed, int64_t n, const adamw_case *a)
{
    cf_case c = new_case(subject, seed);
    c.N = n;
    c.call = call_adamw;
    snprintf(c.label, sizeof c.label, "adamw n=%d step=%d clip=%g squares=%g loss=%g", (int)n,
             a->step, a->grad_clip, a->squares, a->loss);
    cf_add(&c, "master", CF_INOUT, CF_WIDE, n, 1);
    cf_add(&c, "m", CF_INOUT, CF_WIDE, n, 0.1);
    double *v = cf_add(&c, "v", CF_INOUT, CF_WIDE, n, 0.1);
    for (int64_t k = 0; k < n; k++) {
        v[k] *= v[k] * 0.1;
    }
    cf_round(&c, 2);
    cf_add(&c, "grad", CF_IN, CF_WIDE, n, 0.1);
    cf_add(&c, "weights", CF_COPY, CF_ACT, n, 1);
    c.tensors[4].alias = 0;
    const gb_adamw params = {.learning_rate = 1e-2,
                             .beta1 = 0.9,
                             .beta2 = 0.95,
                             .eps = 1e-8,
                             .weight_decay = a->weight_decay,
                             .grad_clip = a->grad_clip,
                             .step = a->step};
    memcpy(cf_add(&c, "params", CF_IN, CF_DOUBLE, sizeof params / sizeof(double), 0), &params,
           sizeof params);
    *cf_add(&c, "loss", CF_IN, CF_DOUBLE, a->has_loss, 0) = a->loss;
    *cf_add(&c, "squares", CF_IN, CF_DOUBLE, a->has_squares, 0) = a->squares;
    return conformance_check(subject, &c);
}

int conformance_optimizer(const cf_subject *subject)
{
    static const int64_t sizes[] = {1, 2, 15, 64, 1000, 4099, 70001};
    static const adamw_case cases[] = {
        {.step = 1},
        {.step = 2, .weight_decay = 0.1},
        {.step = 3, .grad_clip = 2}, /* no norm is given: no clipping */
        {.step = 10, .grad_clip = 2, .has_squares = true, .squares = 3.99}, /* below */
        {.step = 10, .grad_clip = 2, .has_squares = true, .squares = 29, .weight_decay = 0.1},
        {.step = 11, .has_squares = true, .squares = 29, .has_loss = true, .loss = 3},
        {.step = 5000, .weight_decay = 0.1, .has_loss = true, .loss = 1e300},
    };
    int failed = 0;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        failed += check_sum_squares(subject, 5000 + i, sizes[i]);
        for (size_t j = 0; j < COUNT(cases); j++) {
            failed += check_adamw(subject, 5100 + i * 8 + j, sizes[i], &cases[j]);
        }
    }
    return failed;
}
