/* The CPU backend against plain double loops written here from the formulas of kernels/backend.h,
 * on shapes that are odd on purpose, in both precisions, on every instruction set of this CPU and
 * with one and several threads. Inputs are multiples of 1/64, exact in bfloat16; expected values
 * are the double results. Tolerances: float ops sum at most a few hundred terms of order one, so
 * 2e-5 of the largest value is ten times the rounding error of a bad order; bfloat16 has 8 bits,
 * so one rounding is 2^-9 = 0.002 and 1e-2 covers the two or three in a chain.
 *
 * kinds: plain sanitized threads */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_device.h"

typedef struct fixture {
    gb_device *dev;
    bool bf16;
    uint64_t random;
} fixture;

static const gb_backend *const cpu = &gb_backend_cpu;

static double next_value(fixture *f)
{
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (double)((int64_t)(f->random >> 57) - 64) / 64.0;
}

static double *random_array(fixture *f, int64_t n)
{
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = next_value(f);
    }
    return x;
}

static void *device_act(fixture *f, const double *x, int64_t n)
{
    void *p = NULL;
    assert_int_equal(cpu->alloc(f->dev, GB_MEM_ACTIVATIONS, n * (f->bf16 ? 2 : 4), &p), GB_OK);
    for (int64_t i = 0; i < n; i++) {
        float v = x != NULL ? (float)x[i] : 1e30f;
        uint32_t bits;
        memcpy(&bits, &v, 4);
        if (f->bf16) {
            ((uint16_t *)p)[i] = (uint16_t)(bits >> 16); /* exact for the inputs used here */
        } else {
            ((float *)p)[i] = v;
        }
    }
    return p;
}

static void *device_wide(fixture *f, const double *x, int64_t n)
{
    void *p = NULL;
    assert_int_equal(cpu->alloc(f->dev, GB_MEM_GRADIENTS, n * 4, &p), GB_OK);
    if (x != NULL) {
        assert_int_equal(cpu->upload_wide(f->dev, p, x, n), GB_OK);
    }
    return p;
}

static double act_at(const fixture *f, const void *p, int64_t i)
{
    if (!f->bf16) {
        return (double)((const float *)p)[i];
    }
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float v;
    memcpy(&v, &bits, 4);
    return (double)v;
}

static void check(const fixture *f, const char *what, const void *got, bool wide,
                  const double *want, int64_t n)
{
    double largest = 1e-2, worst = 0, tolerance = f->bf16 ? 1e-2 : 2e-5;
    for (int64_t i = 0; i < n; i++) {
        double value = wide ? (double)((const float *)got)[i] : act_at(f, got, i);
        largest = fmax(largest, fabs(want[i]));
        double error = fabs(value - want[i]);
        worst = error > worst || isnan(error) ? (isnan(error) ? INFINITY : error) : worst;
    }
    if (worst > tolerance * largest) {
        fail_msg("%s: error %g of %g", what, worst, largest);
    }
}

static void open_device(fixture *f, bool bf16, int threads)
{
    gb_options options = {.precision = bf16 ? GB_BF16 : GB_FP32,
                          .threads = threads,
                          .device_index = -1,
                          .shape = {.batch_size = 2,
                                    .sequence_length = 8,
                                    .n_embd = 16,
                                    .n_head = 2,
                                    .n_kv_head = 1,
                                    .head_dim = 8,
                                    .mlp_hidden = 32,
                                    .vocab_size = 11}};
    gb_error err;
    f->bf16 = bf16;
    f->random = 42;
    if (cpu->open(&options, &f->dev, &err) != GB_OK) {
        fail_msg("open: %s", err.message);
    }
}

static double rms(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum / (double)n + 1e-6);
}

static void check_linear(fixture *f, int64_t N, int64_t I, int64_t O)
{
    double *x = random_array(f, N * I), *w = random_array(f, O * I), *dy = random_array(f, N * O);
    double *dw0 = random_array(f, O * I);
    double *y = calloc((size_t)(N * O), 8), *dx = calloc((size_t)(N * I), 8);
    double *dw = calloc((size_t)(O * I), 8);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t o = 0; o < O; o++) {
            for (int64_t i = 0; i < I; i++) {
                y[n * O + o] += x[n * I + i] * w[o * I + i];
                dx[n * I + i] += dy[n * O + o] * w[o * I + i];
                dw[o * I + i] += dy[n * O + o] * x[n * I + i];
            }
        }
    }
    void *dev_x = device_act(f, x, N * I), *dev_w = device_act(f, w, O * I);
    void *dev_dy = device_act(f, dy, N * O), *dev_y = device_act(f, NULL, N * O);
    void *dev_dx = device_act(f, NULL, N * I), *dev_dw = device_wide(f, dw0, O * I);
    assert_int_equal(cpu->linear_forward(f->dev, dev_y, dev_x, dev_w, N, I, O), GB_OK);
    check(f, "linear_forward", dev_y, false, y, N * O);
    assert_int_equal(cpu->linear_backward_input(f->dev, dev_dx, dev_dy, dev_w, N, I, O), GB_OK);
    check(f, "linear_backward_input", dev_dx, false, dx, N * I);
    assert_int_equal(cpu->linear_backward_weight(f->dev, dev_dw, dev_dy, dev_x, true, N, I, O),
                     GB_OK);
    check(f, "linear_backward_weight first", dev_dw, true, dw, O * I);
    assert_int_equal(cpu->upload_wide(f->dev, dev_dw, dw0, O * I), GB_OK);
    assert_int_equal(cpu->linear_backward_weight(f->dev, dev_dw, dev_dy, dev_x, false, N, I, O),
                     GB_OK);
    for (int64_t i = 0; i < O * I; i++) {
        dw[i] += dw0[i];
    }
    check(f, "linear_backward_weight", dev_dw, true, dw, O * I);
    free(x), free(w), free(dy), free(dw0), free(y), free(dx), free(dw);
}

/* Attention of one (b, h) by definition. p (T, T) receives the probabilities. */
static void plain_probabilities(double *p, const double *qkv, int64_t b, int64_t h, int64_t T,
                                int64_t H, int64_t K, int64_t D, int64_t window, double *lse)
{
    const int64_t W = (H + 2 * K) * D, kv = h / (H / K);
    for (int64_t i = 0; i < T; i++) {
        double sum = 0;
        for (int64_t j = 0; j < T; j++) {
            double dot = 0;
            for (int64_t d = 0; d < D; d++) {
                dot += qkv[(b * T + i) * W + h * D + d] * qkv[(b * T + j) * W + (H + kv) * D + d];
            }
            bool seen = j <= i && (window == 0 || i - j <= window);
            p[i * T + j] = seen ? exp(dot / sqrt((double)D)) : 0;
            sum += p[i * T + j];
        }
        for (int64_t j = 0; j < T; j++) {
            p[i * T + j] /= sum;
        }
        /* cppcheck-suppress invalidFunctionArg ; the query sees itself */
        lse[i] = log(sum);
    }
}

static void check_attention(fixture *f, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                            int64_t window)
{
    const int64_t W = (H + 2 * K) * D, N = B * T;
    double *qkv = random_array(f, N * W), *dout = random_array(f, N * H * D);
    double *out = calloc((size_t)(N * H * D), 8), *dqkv = calloc((size_t)(N * W), 8);
    double *lse = calloc((size_t)(B * H * T), 8), *p = calloc((size_t)(T * T), 8);
    for (int64_t bh = 0; bh < B * H; bh++) {
        int64_t b = bh / H, h = bh % H, kv = h / (H / K);
        plain_probabilities(p, qkv, b, h, T, H, K, D, window, lse + bh * T);
        const double *q = qkv + b * T * W + h * D, *k = qkv + b * T * W + (H + kv) * D;
        const double *v = k + K * D, *go = dout + b * T * H * D + h * D;
        double *dq = dqkv + b * T * W + h * D, *dk = dqkv + b * T * W + (H + kv) * D;
        double *dv = dk + K * D, *o = out + b * T * H * D + h * D;
        for (int64_t i = 0; i < T; i++) {
            double delta = 0;
            for (int64_t j = 0; j <= i; j++) {
                for (int64_t d = 0; d < D; d++) {
                    o[i * H * D + d] += p[i * T + j] * v[j * W + d];
                    dv[j * W + d] += p[i * T + j] * go[i * H * D + d];
                }
            }
            for (int64_t d = 0; d < D; d++) {
                delta += o[i * H * D + d] * go[i * H * D + d];
            }
            for (int64_t j = 0; j <= i; j++) {
                double dp = 0;
                for (int64_t d = 0; d < D; d++) {
                    dp += go[i * H * D + d] * v[j * W + d];
                }
                double ds = p[i * T + j] * (dp - delta) / sqrt((double)D);
                for (int64_t d = 0; d < D; d++) {
                    dq[i * W + d] += ds * k[j * W + d];
                    dk[j * W + d] += ds * q[i * W + d];
                }
            }
        }
    }
    void *dev_qkv = device_act(f, qkv, N * W), *dev_dout = device_act(f, dout, N * H * D);
    void *dev_out = device_act(f, NULL, N * H * D), *dev_dqkv = device_act(f, NULL, N * W);
    void *dev_lse = device_wide(f, NULL, B * H * T);
    assert_int_equal(
        cpu->attention_forward(f->dev, dev_out, dev_lse, dev_qkv, B, T, H, K, D, window), GB_OK);
    check(f, "attention_forward", dev_out, false, out, N * H * D);
    check(f, "attention lse", dev_lse, true, lse, B * H * T);
    assert_int_equal(cpu->attention_backward(f->dev, dev_dqkv, dev_dout, dev_qkv, dev_out, dev_lse,
                                             B, T, H, K, D, window),
                     GB_OK);
    check(f, "attention_backward", dev_dqkv, false, dqkv, N * W);
    free(qkv), free(dout), free(out), free(dqkv), free(lse), free(p);
}

static void check_norm(fixture *f, int64_t N, int64_t C, bool post_norm)
{
    double *x = random_array(f, N * C), *y = random_array(f, N * C), *dh = random_array(f, N * C);
    double *dx = random_array(f, N * C), scale = 0.375;
    double *out = malloc((size_t)(N * C) * 8), *h = malloc((size_t)(N * C) * 8);
    double *dy = malloc((size_t)(N * C) * 8), *inv_h = malloc((size_t)N * 8);
    void *dev_x = device_act(f, x, N * C), *dev_y = device_act(f, y, N * C);
    void *dev_out = device_act(f, NULL, N * C), *dev_h = device_act(f, NULL, N * C);
    void *dev_dh = device_act(f, dh, N * C), *dev_dx = device_act(f, dx, N * C);
    void *dev_inv_h = device_wide(f, NULL, N), *dev_inv_y = device_wide(f, NULL, N);
    for (int64_t n = 0; n < N; n++) {
        double ry = post_norm ? rms(y + n * C, C) : 1.0, dot = 0, along = 0;
        for (int64_t i = n * C; i < (n + 1) * C; i++) {
            out[i] = x[i] + scale * y[i] / ry;
        }
        double rx = rms(out + n * C, C);
        inv_h[n] = 1 / rx;
        for (int64_t i = n * C; i < (n + 1) * C; i++) {
            h[i] = out[i] / rx;
            dot += dh[i] * h[i] / (double)C;
        }
        for (int64_t i = n * C; i < (n + 1) * C; i++) {
            dx[i] += (dh[i] - h[i] * dot) / rx;
            along += dx[i] * y[i] / ry / (double)C;
        }
        for (int64_t i = n * C; i < (n + 1) * C; i++) {
            dy[i] = scale * (post_norm ? (dx[i] - y[i] / ry * along) / ry : dx[i]);
        }
    }
    assert_int_equal(cpu->add_norm_forward(f->dev, dev_out, dev_h, dev_inv_h, dev_inv_y, dev_x,
                                           dev_y, scale, post_norm, N, C),
                     GB_OK);
    check(f, "add_norm x_out", dev_out, false, out, N * C);
    check(f, "add_norm h", dev_h, false, h, N * C);
    check(f, "add_norm inv_rms_h", dev_inv_h, true, inv_h, N);
    /* dy in place of dh */
    assert_int_equal(cpu->add_norm_backward(f->dev, dev_dx, dev_dh, dev_dh, dev_h, dev_inv_h, dev_y,
                                            dev_inv_y, scale, post_norm, false, N, C),
                     GB_OK);
    check(f, "add_norm dx", dev_dx, false, dx, N * C);
    check(f, "add_norm dy", dev_dh, false, dy, N * C);
    /* without y, in place, then `first` */
    assert_int_equal(
        cpu->add_norm_forward(f->dev, NULL, dev_h, dev_inv_h, NULL, dev_x, NULL, 1, false, N, C),
        GB_OK);
    void *dev_dh2 = device_act(f, dh, N * C);
    assert_int_equal(cpu->add_norm_backward(f->dev, dev_dx, NULL, dev_dh2, dev_h, dev_inv_h, NULL,
                                            NULL, 1, false, true, N, C),
                     GB_OK);
    for (int64_t n = 0; n < N; n++) {
        double rx = rms(x + n * C, C), dot = 0;
        for (int64_t i = n * C; i < (n + 1) * C; i++) {
            h[i] = x[i] / rx;
            dot += dh[i] * h[i] / (double)C;
        }
        for (int64_t i = n * C; i < (n + 1) * C; i++) {
            dx[i] = (dh[i] - h[i] * dot) / rx;
        }
    }
    check(f, "norm h", dev_h, false, h, N * C);
    check(f, "norm dx", dev_dx, false, dx, N * C);
    free(x), free(y), free(dh), free(dx), free(out), free(h), free(dy), free(inv_h);
}

static void check_rope(fixture *f, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                       bool qk_norm)
{
    const int64_t W = (H + 2 * K) * D, N = B * T;
    double *x = random_array(f, N * W), *dy = random_array(f, N * W);
    double *y = malloc((size_t)(N * W) * 8), *dx = malloc((size_t)(N * W) * 8);
    memcpy(y, x, (size_t)(N * W) * 8);
    memcpy(dx, dy, (size_t)(N * W) * 8);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t head = 0; head < H + K; head++) {
            int64_t at = n * W + head * D, half = D / 2;
            double r = qk_norm ? rms(x + at, D) : 1, dot = 0;
            for (int64_t i = 0; i < half; i++) {
                double angle = (double)(n % T) * pow(10000, -2.0 * (double)i / (double)D);
                double c = cos(angle), s = sin(angle), u1 = x[at + i] / r,
                       u2 = x[at + half + i] / r;
                y[at + i] = u1 * c + u2 * s;
                y[at + half + i] = -u1 * s + u2 * c;
                dx[at + i] = dy[at + i] * c - dy[at + half + i] * s;
                dx[at + half + i] = dy[at + i] * s + dy[at + half + i] * c;
                dot += (dx[at + i] * u1 + dx[at + half + i] * u2) / (double)D;
            }
            for (int64_t i = 0; qk_norm && i < D; i++) {
                dx[at + i] = (dx[at + i] - x[at + i] / r * dot) / r;
            }
        }
    }
    void *dev_x = device_act(f, x, N * W), *dev_dy = device_act(f, dy, N * W);
    void *dev_inv = device_wide(f, NULL, N * (H + K));
    assert_int_equal(cpu->qk_rope_forward(f->dev, dev_x, dev_inv, qk_norm, B, T, H, K, D), GB_OK);
    check(f, "qk_rope_forward", dev_x, false, y, N * W);
    assert_int_equal(cpu->qk_rope_backward(f->dev, dev_dy, dev_x, dev_inv, qk_norm, B, T, H, K, D),
                     GB_OK);
    check(f, "qk_rope_backward", dev_dy, false, dx, N * W);
    free(x), free(dy), free(y), free(dx);
}

static void check_activations(fixture *f, int64_t N, int64_t F)
{
    double *x = random_array(f, N * 2 * F), *dout = random_array(f, N * F);
    double *out = malloc((size_t)(N * F) * 8), *din = malloc((size_t)(N * 2 * F) * 8);
    for (int64_t i = 0; i < N * 2 * F; i++) {
        x[i] *= 8; /* reaches the tails */
    }
    for (int64_t i = 0; i < N * F; i++) {
        double cdf = 0.5 * (1 + erf(x[i] / sqrt(2.0)));
        out[i] = x[i] * cdf;
        din[i] = dout[i] * (cdf + x[i] * exp(-0.5 * x[i] * x[i]) / sqrt(2 * acos(-1.0)));
    }
    void *dev_x = device_act(f, x, N * 2 * F), *dev_dout = device_act(f, dout, N * F);
    void *dev_out = device_act(f, NULL, N * F);
    assert_int_equal(cpu->gelu_forward(f->dev, dev_out, dev_x, N * F), GB_OK);
    check(f, "gelu_forward", dev_out, false, out, N * F);
    assert_int_equal(cpu->gelu_backward(f->dev, dev_out, dev_dout, dev_x, N * F), GB_OK);
    check(f, "gelu_backward", dev_out, false, din, N * F);
    for (int64_t i = 0; i < N * F; i++) {
        int64_t at = i / F * 2 * F + i % F;
        double g = x[at], v = x[at + F], s = 1 / (1 + exp(-g));
        out[i] = g * s * v;
        din[at] = dout[i] * v * s * (1 + g * (1 - s));
        din[at + F] = dout[i] * g * s;
    }
    assert_int_equal(cpu->swiglu_forward(f->dev, dev_out, dev_x, N, F), GB_OK);
    check(f, "swiglu_forward", dev_out, false, out, N * F);
    assert_int_equal(cpu->swiglu_backward(f->dev, dev_x, dev_dout, dev_x, N, F), GB_OK);
    check(f, "swiglu_backward", dev_x, false, din, N * 2 * F);
    free(x), free(dout), free(out), free(din);
}

static void check_classifier(fixture *f, int64_t N, int64_t C, int64_t V)
{
    double *h = random_array(f, N * C), *w = random_array(f, V * C), *dw = random_array(f, V * C);
    double *dh = calloc((size_t)(N * C), 8), *e = malloc((size_t)V * 8), want = 0, scale = 0.25;
    int32_t *targets = malloc((size_t)N * sizeof *targets);
    void *dev_h = device_act(f, h, N * C), *dev_w = device_act(f, w, V * C);
    void *dev_dh = device_act(f, NULL, N * C), *dev_dw = device_wide(f, dw, V * C);
    for (int64_t n = 0; n < N; n++) {
        targets[n] = (int32_t)((n * 7919) % V);
        double sum = 0;
        for (int64_t v = 0; v < V; v++) {
            double logit = 0;
            for (int64_t c = 0; c < C; c++) {
                logit += h[n * C + c] * w[v * C + c];
            }
            e[v] = exp(logit);
            sum += e[v];
        }
        /* cppcheck-suppress invalidFunctionArg ; V >= 1 */
        want += log(sum) - log(e[targets[n]]);
        for (int64_t v = 0; v < V; v++) {
            double d = scale * (e[v] / sum - (v == targets[n] ? 1 : 0));
            for (int64_t c = 0; c < C; c++) {
                dh[n * C + c] += d * w[v * C + c];
                dw[v * C + c] += d * h[n * C + c];
            }
        }
    }
    double loss = 0;
    assert_int_equal(
        cpu->classifier(f->dev, &loss, NULL, NULL, dev_h, dev_w, targets, scale, true, N, C, V),
        GB_OK);
    assert_true(fabs(loss - want) <= 2e-6 * want);
    assert_int_equal(cpu->classifier(f->dev, &loss, dev_dh, dev_dw, dev_h, dev_w, targets, scale,
                                     false, N, C, V),
                     GB_OK);
    assert_true(fabs(loss - 2 * want) <= 2e-6 * 2 * want); /* added to the first */
    check(f, "classifier dh", dev_dh, false, dh, N * C);
    check(f, "classifier dwte", dev_dw, true, dw, V * C);
    free(h), free(w), free(dw), free(dh), free(e), free(targets);
}

static void check_embed(fixture *f, int64_t N, int64_t C, int64_t V)
{
    double *w = random_array(f, V * C), *d = random_array(f, N * C), *dw = random_array(f, V * C);
    double *out = malloc((size_t)(N * C) * 8);
    int32_t *tokens = malloc((size_t)N * sizeof *tokens);
    void *dev_w = device_act(f, w, V * C), *dev_d = device_act(f, d, N * C);
    void *dev_out = device_act(f, NULL, N * C), *dev_dw = device_wide(f, dw, V * C);
    for (int64_t n = 0; n < N; n++) {
        tokens[n] = (int32_t)(n * n % V);
        for (int64_t c = 0; c < C; c++) {
            out[n * C + c] = w[tokens[n] * C + c];
            dw[tokens[n] * C + c] += d[n * C + c];
        }
    }
    assert_int_equal(cpu->embed_forward(f->dev, dev_out, tokens, dev_w, N, C), GB_OK);
    check(f, "embed_forward", dev_out, false, out, N * C);
    assert_int_equal(cpu->embed_backward(f->dev, dev_dw, dev_d, tokens, N, C, V), GB_OK);
    check(f, "embed_backward", dev_dw, true, dw, V * C);
    free(w), free(d), free(dw), free(out), free(tokens);
}

static void check_update(fixture *f, int64_t n)
{
    double *p = random_array(f, n), *m = random_array(f, n), *v = random_array(f, n);
    double *g = random_array(f, n), sum = 0, got = 0;
    gb_adamw a = {0.01, 0.9, 0.95, 1e-8, 0.1, .grad_clip = 0, .step = 3};
    for (int64_t i = 0; i < n; i++) {
        v[i] = fabs(v[i]) + 0.125;
    }
    void *dev_p = device_wide(f, p, n), *dev_m = device_wide(f, m, n),
         *dev_v = device_wide(f, v, n);
    void *dev_g = device_wide(f, g, n), *weights = f->bf16 ? device_act(f, NULL, n) : dev_p;
    for (int64_t i = 0; i < n; i++) {
        sum += g[i] * g[i];
    }
    a.grad_clip = sqrt(sum) / 2; /* halves the gradient */
    for (int64_t i = 0; i < n; i++) {
        double gi = g[i] / 2;
        p[i] -= a.learning_rate * a.weight_decay * p[i];
        m[i] = a.beta1 * m[i] + (1 - a.beta1) * gi;
        v[i] = a.beta2 * v[i] + (1 - a.beta2) * gi * gi;
        p[i] -= a.learning_rate * m[i] / (1 - pow(a.beta1, 3)) /
                (sqrt(v[i] / (1 - pow(a.beta2, 3))) + a.eps);
    }
    assert_int_equal(cpu->sum_squares(f->dev, &got, dev_g, n), GB_OK);
    assert_true(fabs(got - sum) <= 1e-12 * sum);
    assert_int_equal(cpu->adamw(f->dev, weights, dev_p, dev_m, dev_v, dev_g, n, &a, NULL, &got),
                     GB_OK);
    check(f, "adamw master", dev_p, true, p, n);
    check(f, "adamw m", dev_m, true, m, n);
    check(f, "adamw v", dev_v, true, v, n);
    check(f, "adamw weights", weights, false, p, n);
    free(p), free(m), free(v), free(g);
}

static void check_all(bool bf16, int threads)
{
    fixture f;
    open_device(&f, bf16, threads);
    check_linear(&f, 1, 1, 1);
    check_linear(&f, 37, 50, 21);
    check_linear(&f, 64, 96, 128);
    check_attention(&f, 1, 1, 1, 1, 2, 0);
    check_attention(&f, 2, 70, 6, 2, 18, 0);
    check_attention(&f, 1, 131, 3, 1, 64, 0);
    check_attention(&f, 3, 97, 2, 2, 32, 40);
    check_attention(&f, 1, 65, 2, 1, 80, 1);
    check_attention(&f, 1, 64, 2, 2, 16, 500);
    /* Windows and lengths where blocks of keys reach beyond what queries see. */
    check_attention(&f, 1, 150, 2, 1, 34, 17);
    check_attention(&f, 2, 101, 2, 2, 6, 5);
    check_attention(&f, 1, 96, 1, 1, 16, 47);
    check_attention(&f, 1, 49, 2, 1, 8, 0);
    check_norm(&f, 5, 1, false);
    check_norm(&f, 9, 100, false);
    check_norm(&f, 9, 100, true);
    check_rope(&f, 2, 9, 3, 1, 6, false);
    check_rope(&f, 2, 33, 2, 2, 64, true);
    check_rope(&f, 1, 1, 1, 1, 2, true);
    check_activations(&f, 3, 77);
    check_classifier(&f, 1, 3, 1);
    check_classifier(&f, 70, 24, 1037);
    check_classifier(&f, 130, 70, 200);
    check_classifier(&f, 1030, 8, 3200); /* two lots of tokens, two of columns */
    check_embed(&f, 50, 45, 7);
    check_update(&f, 1);
    check_update(&f, 70001);
    check_linear(&f, 160, 192, 128); /* large enough for packed products: whole blocks */
    check_linear(&f, 141, 101, 135); /* and edges */
    cpu->close(f.dev);
}

static void test_ops_on_every_isa(void **state)
{
    (void)state;
    const char *const names[] = {"generic", "avx2", "avx512", "avx512_bf16"};
    for (int i = 0; i < 4; i++) {
        setenv("GPTBENCH_ISA", names[i], 1);
        gb_device *dev = NULL;
        gb_options options = {
            .precision = GB_FP32, .threads = 1, .shape = {1, 1, 2, 1, 1, 2, 2, 2, false}};
        gb_error err;
        if (cpu->open(&options, &dev, &err) != GB_OK) {
            assert_int_equal(err.status, GB_ERR_ENV);
            print_message("skip: %s\n", err.message);
            continue;
        }
        cpu->close(dev);
        for (int threads = 1; threads <= 3; threads += 2) {
            check_all(false, threads);
            check_all(true, threads);
        }
    }
    unsetenv("GPTBENCH_ISA");
}

/* Lots of packed products: h is packed once for all. */
static void test_classifier_in_lots(void **state)
{
    (void)state;
    fixture f;
    open_device(&f, true, 2);
    check_classifier(&f, 1030, 66, 3200);
    cpu->close(f.dev);
}

/* A forced lesser instruction set stands for a CPU without bfloat16 products: they run in float,
 * and the description says so. test_ops_on_every_isa checks the results on this path. */
static void test_emulated_bf16_is_said(void **state)
{
    (void)state;
    setenv("GPTBENCH_ISA", "generic", 1);
    fixture f;
    open_device(&f, true, 1);
    gb_description d;
    cpu->describe(f.dev, &d);
    assert_non_null(strstr(d.precision_note, "fp32"));
    assert_string_equal(d.isa, "generic");
    cpu->close(f.dev);
    unsetenv("GPTBENCH_ISA");
}

/* Without being asked the backend takes the faster one of bfloat16 dot products and float ones:
 * the clock of this CPU decides, so either may be right, but both the path and the words go
 * together. Asked for, the dot products are taken. */
static void test_bf16_path_is_said(void **state)
{
    (void)state;
    unsetenv("GPTBENCH_ISA");
    fixture f;
    gb_description d;
    open_device(&f, true, 1);
    cpu->describe(f.dev, &d);
    assert_int_equal(strcmp(d.isa, "avx512_bf16") == 0, d.precision_note[0] == '\0');
    cpu->close(f.dev);
    if (!cpu_isa_exists(CPU_ISA_AVX512_BF16)) {
        print_message("skip: this CPU has no avx512_bf16\n");
        return;
    }
    setenv("GPTBENCH_ISA", "avx512", 1);
    open_device(&f, true, 1);
    cpu->describe(f.dev, &d);
    assert_string_equal(d.isa, "avx512");
    assert_non_null(strstr(d.precision_note, "more multiply-adds in fp32"));
    cpu->close(f.dev);
    setenv("GPTBENCH_ISA", "avx512_bf16", 1);
    open_device(&f, true, 1);
    cpu->describe(f.dev, &d);
    assert_string_equal(d.isa, "avx512_bf16");
    assert_string_equal(d.precision_note, "");
    cpu->close(f.dev);
    open_device(&f, false, 1);
    cpu->describe(f.dev, &d);
    assert_string_equal(d.isa, "avx512"); /* in fp32 there is no difference */
    cpu->close(f.dev);
    unsetenv("GPTBENCH_ISA");
}

static void test_unknown_isa_is_refused(void **state)
{
    (void)state;
    setenv("GPTBENCH_ISA", "avx1024", 1);
    gb_device *dev = NULL;
    gb_options options = {.precision = GB_FP32, .shape = {1, 1, 2, 1, 1, 2, 2, 2, false}};
    gb_error err;
    assert_int_equal(cpu->open(&options, &dev, &err), GB_ERR_USAGE);
    assert_null(dev);
    unsetenv("GPTBENCH_ISA");
}

static void test_out_of_memory_names_group_and_size(void **state)
{
    (void)state;
    fixture f;
    open_device(&f, false, 1);
    void *p = &f;
    assert_int_equal(cpu->alloc(f.dev, GB_MEM_OPTIMIZER, (int64_t)1 << 50, &p), GB_ERR_OOM);
    assert_null(p);
    assert_non_null(strstr(cpu->last_error(f.dev), gb_memory_group_name(GB_MEM_OPTIMIZER)));
    cpu->close(f.dev);
}

/* FLOPs by hand: 2*N*I*O = 2*3*4*5; pairs of T = 5 with window 2 are 1+2+3+3+3 = 12. */
static void test_ledger_counts(void **state)
{
    (void)state;
    fixture f;
    open_device(&f, false, 1);
    double zeros[256] = {0};
    void *a = device_act(&f, zeros, 256), *b = device_act(&f, zeros, 256);
    void *c = device_act(&f, zeros, 256), *lse = device_wide(&f, NULL, 64);
    cpu->timers_enable(f.dev, true);
    cpu->set_scope(f.dev, GB_PHASE_FORWARD, 1, GB_OP_LINEAR_MLP_UP);
    cpu->linear_forward(f.dev, c, a, b, 3, 4, 5);
    cpu->linear_forward(f.dev, c, a, b, 3, 4, 5);
    cpu->attention_forward(f.dev, c, lse, a, 2, 5, 2, 1, 4, 2);
    gb_op_time rows[4];
    assert_int_equal(cpu->timers_read(f.dev, rows, 4), 2);
    assert_int_equal(rows[0].op, GB_OP_ATTENTION);
    assert_true(rows[0].flops == 4.0 * 4 * 12 * 2 * 2);
    assert_int_equal(rows[1].op, GB_OP_LINEAR_MLP_UP);
    assert_int_equal(rows[1].layer, 1);
    assert_int_equal(rows[1].calls, 2);
    assert_true(rows[1].flops == 2.0 * 2 * 3 * 4 * 5);
    assert_true(rows[1].time_ms > 0);
    cpu->timers_reset(f.dev);
    assert_int_equal(cpu->timers_read(f.dev, rows, 4), 0);
    cpu->close(f.dev);
}

static void test_nan_reaches_the_loss(void **state)
{
    (void)state;
    fixture f;
    open_device(&f, false, 1);
    double h[64] = {NAN}, w[64] = {1};
    int32_t targets[2] = {1, 0};
    void *dev_h = device_act(&f, h, 64), *dev_w = device_act(&f, w, 64);
    double loss = 0;
    cpu->classifier(f.dev, &loss, NULL, NULL, dev_h, dev_w, targets, 1, true, 2, 4, 16);
    assert_true(isnan(loss));
    cpu->close(f.dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops_on_every_isa),
        cmocka_unit_test(test_classifier_in_lots),
        cmocka_unit_test(test_emulated_bf16_is_said),
        cmocka_unit_test(test_bf16_path_is_said),
        cmocka_unit_test(test_unknown_isa_is_refused),
        cmocka_unit_test(test_out_of_memory_names_group_and_size),
        cmocka_unit_test(test_ledger_counts),
        cmocka_unit_test(test_nan_reaches_the_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
