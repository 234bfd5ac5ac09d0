/* Conformance cases of qk_rope and attention. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/ref/conformance.h"
#include "tests/ref/ref_backend.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct heads_shape {
    int64_t B, T, H, K, D;
} heads_shape;

static cf_case heads_case(const cf_subject *subject, uint64_t seed, heads_shape s, const char *op)
{
    cf_case c = {.precision = subject->precision, .rng.state = seed};
    c.B = s.B, c.T = s.T, c.H = s.H, c.K = s.K, c.D = s.D;
    c.N = s.B * s.T;
    snprintf(c.label, sizeof c.label, "%s B=%d T=%d H=%d K=%d D=%d", op, (int)s.B, (int)s.T,
             (int)s.H, (int)s.K, (int)s.D);
    return c;
}

static int64_t qkv_width(const cf_case *c)
{
    return (c->H + 2 * c->K) * c->D;
}

/* q, k and v columns of the last added tensor are compared each on their own. */
static void split_qkv(cf_case *c)
{
    cf_tensor *t = &c->tensors[c->n_tensors - 1];
    t->width = qkv_width(c);
    t->n_parts = 3;
    t->parts[1] = c->H * c->D;
    t->parts[2] = (c->H + c->K) * c->D;
}

static gb_device *open_reference(void)
{
    gb_options options = {.precision = GB_FP64};
    gb_device *dev = NULL;
    if (gb_backend_ref.open(&options, &dev, NULL) != GB_OK) {
        abort();
    }
    return dev;
}

/* ---- qk_rope ---- */

static gb_status call_qk_rope_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                      void **t)
{
    return backend->qk_rope_forward(dev, t[0], t[1], c->qk_norm, c->B, c->T, c->H, c->K, c->D);
}

static gb_status call_qk_rope_backward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                       void **t)
{
    return backend->qk_rope_backward(dev, t[0], t[1], t[2], c->qk_norm, c->B, c->T, c->H, c->K,
                                     c->D);
}

static int check_qk_rope(const cf_subject *subject, uint64_t seed, heads_shape s, bool qk_norm)
{
    cf_case c = heads_case(subject, seed, s, qk_norm ? "qk_rope_forward norm" : "qk_rope_forward");
    c.call = call_qk_rope_forward;
    c.qk_norm = qk_norm;
    int64_t n = c.N * qkv_width(&c), n_rms = qk_norm ? c.N * (c.H + c.K) : 0;
    cf_add(&c, "qkv", CF_INOUT, CF_ACT, n, 2);
    split_qkv(&c);
    cf_add(&c, "inv_rms", CF_OUT, CF_WIDE, n_rms, 1);
    int failed = conformance_check(subject, &c);

    c = heads_case(subject, seed + 1, s, qk_norm ? "qk_rope_backward norm" : "qk_rope_backward");
    c.call = call_qk_rope_backward;
    c.qk_norm = qk_norm;
    cf_add(&c, "dqkv", CF_INOUT, CF_ACT, n, 1);
    split_qkv(&c);
    double *qkv = cf_add(&c, "qkv", CF_IN, CF_ACT, n, 2);
    double *inv_rms = cf_add(&c, "inv_rms", CF_IN, CF_WIDE, n_rms, 1);
    gb_device *ref = open_reference();
    gb_backend_ref.qk_rope_forward(ref, qkv, inv_rms, qk_norm, c.B, c.T, c.H, c.K, c.D);
    gb_backend_ref.close(ref);
    cf_round(&c, 1);
    cf_round(&c, 2);
    return failed + conformance_check(subject, &c);
}

int conformance_qk_rope(const cf_subject *subject)
{
    static const heads_shape shapes[] = {
        {1, 1, 1, 1, 2},     {3, 5, 2, 1, 4},   {1, 33, 3, 3, 16},  {2, 17, 4, 2, 64},
        {1, 9, 8, 1, 80},    {1, 40, 2, 2, 6},  {1, 12, 2, 1, 128}, {1, 3, 3, 3, 256},
        {2, 7, 12, 4, 10},   {1, 3, 1, 1, 528}, /* wider than the accesses of 32 lanes */
        {1, 2048, 1, 1, 64},                    /* angles to 2047: exact only when not in fp32 */
    };
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        failed += check_qk_rope(subject, 6000 + 8 * i, shapes[i], false);
        failed += check_qk_rope(subject, 6004 + 8 * i, shapes[i], true);
    }
    return failed;
}

/* ---- attention ---- */

static gb_status call_attention_forward(const cf_case *c, const gb_backend *backend, gb_device *dev,
                                        void **t)
{
    return backend->attention_forward(dev, t[0], t[1], t[2], c->B, c->T, c->H, c->K, c->D,
                                      c->window);
}

static gb_status call_attention_backward(const cf_case *c, const gb_backend *backend,
                                         gb_device *dev, void **t)
{
    return backend->attention_backward(dev, t[0], t[1], t[2], t[3], t[4], c->B, c->T, c->H, c->K,
                                       c->D, c->window);
}

static cf_case attention_case(const cf_subject *subject, uint64_t seed, heads_shape s,
                              int64_t window, double scale, const char *op)
{
    cf_case c = heads_case(subject, seed, s, op);
    size_t used = 0;
    while (c.label[used]) {
        used++;
    }
    snprintf(c.label + used, sizeof c.label - used, " window=%d scale=%g", (int)window, scale);
    c.window = window;
    /* Scores of size s = scale^2 are off by s * 2^-24 in fp32 whatever the order of their sum, and
     * so is log p; one order above that is allowed where s is not small. */
    c.tolerance_factor = scale > 3 ? scale * scale / 9 : 1;
    /* A query with one key: its dq and dk cancel to zero, and what rounding leaves of them is held
     * against the scale of dv (T = 1) or against the one other query (T = 2; 1.08e-5 was seen). */
    c.tolerance_factor *= s.T <= 2 ? 5 : 1;
    return c;
}

static int check_attention_forward(const cf_subject *subject, uint64_t seed, heads_shape s,
                                   int64_t window, double scale)
{
    cf_case c = attention_case(subject, seed, s, window, scale, "attention_forward");
    c.call = call_attention_forward;
    cf_add(&c, "out", CF_OUT, CF_ACT, c.N * c.H * c.D, 1);
    cf_add(&c, "lse", CF_OUT, CF_WIDE, c.N * c.H, 1);
    cf_add(&c, "qkv", CF_IN, CF_ACT, c.N * qkv_width(&c), scale);
    return conformance_check(subject, &c);
}

static int check_attention(const cf_subject *subject, uint64_t seed, heads_shape s, int64_t window,
                           double scale)
{
    int failed = check_attention_forward(subject, seed, s, window, scale);

    cf_case c = attention_case(subject, seed + 1, s, window, scale, "attention_backward");
    c.call = call_attention_backward;
    cf_add(&c, "dqkv", CF_OUT, CF_ACT, c.N * qkv_width(&c), 1);
    split_qkv(&c);
    cf_add(&c, "dout", CF_IN, CF_ACT, c.N * c.H * c.D, 1);
    double *qkv = cf_add(&c, "qkv", CF_IN, CF_ACT, c.N * qkv_width(&c), scale);
    double *out = cf_add(&c, "out", CF_IN, CF_ACT, c.N * c.H * c.D, 1);
    double *lse = cf_add(&c, "lse", CF_IN, CF_WIDE, c.N * c.H, 1);
    gb_device *ref = open_reference();
    gb_backend_ref.attention_forward(ref, out, lse, qkv, c.B, c.T, c.H, c.K, c.D, window);
    gb_backend_ref.close(ref);
    cf_round(&c, 3);
    cf_round(&c, 4);
    return failed + conformance_check(subject, &c);
}

int conformance_attention(const cf_subject *subject)
{
    static const heads_shape shapes[] = {
        {1, 1, 1, 1, 2},    {3, 1, 4, 2, 16},   {1, 2, 1, 1, 64},   {1, 5, 3, 3, 6},
        {2, 17, 4, 2, 16},  {3, 33, 4, 1, 64},  {1, 70, 3, 1, 80},  {1, 65, 2, 2, 128},
        {1, 40, 2, 1, 256}, {1, 130, 6, 2, 32}, {1, 200, 1, 1, 64}, {5, 16, 12, 4, 10},
    };
    int failed = 0;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        int64_t T = shapes[i].T;
        const int64_t windows[] = {0, 1, 3, 31, 64, T - 1, T, T + 100};
        for (size_t j = 0; j < COUNT(windows); j++) {
            uint64_t seed = 7000 + 32 * i + 2 * j;
            if (windows[j] >= 0 && (windows[j] > 0 || j == 0)) {
                failed += check_attention(subject, seed, shapes[i], windows[j], 1);
            }
        }
    }
    /* Scores in the hundreds: the maximum must be taken out before exp. */
    failed += check_attention(subject, 7900, shapes[5], 0, 12);
    failed += check_attention(subject, 7910, shapes[5], 3, 12);
    /* More tiles than a kernel's ring of tiles has places. */
    failed += check_attention_forward(subject, 7920, (heads_shape){1, 650, 1, 1, 64}, 0, 1);
    failed += check_attention_forward(subject, 7930, (heads_shape){1, 650, 2, 1, 128}, 250, 1);
    /* Heads of 64 and 128 in groups, rows that fill no tile, blocks that take several heads. */
    failed += check_attention(subject, 7950, (heads_shape){3, 1, 4, 2, 64}, 0, 1);
    failed += check_attention(subject, 7960, (heads_shape){1, 1, 2, 1, 128}, 0, 1);
    failed += check_attention(subject, 7970, (heads_shape){2, 200, 4, 2, 128}, 0, 1);
    failed += check_attention(subject, 7980, (heads_shape){2, 200, 6, 2, 64}, 90, 1);
    return failed;
}
