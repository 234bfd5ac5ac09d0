/* Residual + RMS norm, and per-head norm + rotary embedding. One row (or head) is read a few
 * times while it is in the L1 cache and crosses memory once. */
#include <math.h>

#include "kernels/cpu/isa/isa.h"

static const float eps = 1e-6f;

ISA_INLINE float row_dot(const void *a, const void *b, int64_t n, bool bf16)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        sum += isa_load(a, i, bf16) * isa_load(b, i, bf16);
    }
    return sum;
}

ISA_INLINE float inverse_rms(float sum_squares, int64_t n)
{
    return 1.0f / sqrtf(sum_squares / (float)n + eps);
}

ISA_INLINE void norm_row(const cpu_norm_args *a, int64_t n, bool bf16)
{
    const int64_t C = a->C;
    const void *x = isa_at(a->x_in, n * C, bf16);
    float sum = 0;
    if (a->y != NULL) {
        const void *y = isa_at(a->y, n * C, bf16);
        const void *x_in = x;
        void *x_out = isa_at(a->x_out, n * C, bf16);
        float factor = a->scale;
        if (a->post_norm) {
            float inv = inverse_rms(row_dot(y, y, C, bf16), C);
            a->inv_rms_y[n] = inv;
            factor *= inv;
        }
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < C; i++) {
            float value =
                isa_rounded(isa_load(x_in, i, bf16) + factor * isa_load(y, i, bf16), bf16);
            isa_store(x_out, i, value, bf16);
            sum += value * value;
        }
        x = x_out;
    } else {
        sum = row_dot(x, x, C, bf16);
    }
    float inv = inverse_rms(sum, C);
    if (a->inv_rms_h != NULL) {
        a->inv_rms_h[n] = inv;
    }
    if (a->h != NULL) {
        void *h = isa_at(a->h, n * C, bf16);
#pragma omp simd
        for (int64_t i = 0; i < C; i++) {
            isa_store(h, i, isa_load(x, i, bf16) * inv, bf16);
        }
    }
}

static void add_norm_forward(const cpu_norm_args *args)
{
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < args->N; n++) {
            if (args->bf16) {
                norm_row(args, n, true);
            } else {
                norm_row(args, n, false);
            }
        }
        isa_note_end(args->ends);
    }
}

/* g of one row into dx. */
ISA_INLINE void norm_grad_dx(const cpu_norm_grad_args *a, int64_t n, bool bf16)
{
    const int64_t C = a->C;
    void *dx = isa_at(a->dx, n * C, bf16);
    const float keep = a->first ? 0.0f : 1.0f;
    if (a->dh == NULL) {
        if (a->first) {
            memset(dx, 0, (size_t)C * (bf16 ? 2 : 4));
        }
        return;
    }
    const void *dh = isa_at(a->dh, n * C, bf16), *h = isa_at(a->h, n * C, bf16);
    float inv = a->inv_rms_h[n];
    float mean = row_dot(dh, h, C, bf16) / (float)C;
    if (a->first) {
#pragma omp simd
        for (int64_t i = 0; i < C; i++) {
            float g = inv * (isa_load(dh, i, bf16) - isa_load(h, i, bf16) * mean);
            isa_store(dx, i, g, bf16);
        }
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < C; i++) {
        float g = inv * (isa_load(dh, i, bf16) - isa_load(h, i, bf16) * mean);
        isa_store(dx, i, isa_load(dx, i, bf16) * keep + g, bf16);
    }
}

ISA_INLINE void norm_grad_dy(const cpu_norm_grad_args *a, int64_t n, bool bf16)
{
    const int64_t C = a->C;
    const void *g = isa_at(a->dx, n * C, bf16);
    void *dy = isa_at(a->dy, n * C, bf16);
    float scale = a->scale;
    if (!a->post_norm) {
#pragma omp simd
        for (int64_t i = 0; i < C; i++) {
            isa_store(dy, i, scale * isa_load(g, i, bf16), bf16);
        }
        return;
    }
    const void *y = isa_at(a->y, n * C, bf16);
    float inv = a->inv_rms_y[n];
    /* ny * mean(g * ny) = y * inv^2 * mean(g * y) */
    float along = inv * inv * (row_dot(g, y, C, bf16) / (float)C);
    scale *= inv;
#pragma omp simd
    for (int64_t i = 0; i < C; i++) {
        isa_store(dy, i, scale * (isa_load(g, i, bf16) - isa_load(y, i, bf16) * along), bf16);
    }
}

static void add_norm_backward(const cpu_norm_grad_args *args)
{
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < args->N; n++) {
            if (args->bf16) {
                norm_grad_dx(args, n, true);
                if (args->dy != NULL) {
                    norm_grad_dy(args, n, true);
                }
            } else {
                norm_grad_dx(args, n, false);
                if (args->dy != NULL) {
                    norm_grad_dy(args, n, false);
                }
            }
        }
        isa_note_end(args->ends);
    }
}

ISA_INLINE void rope_head(void *x, float *inv_rms, const float *cos_sin, int64_t D, bool bf16)
{
    const int64_t half = D / 2;
    void *x1 = x, *x2 = isa_at(x, half, bf16);
    const float *c = cos_sin, *s = cos_sin + half;
    float inv = 1.0f;
    if (inv_rms != NULL) {
        inv = inverse_rms(row_dot(x, x, D, bf16), D);
        *inv_rms = inv;
    }
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        float u1 = isa_load(x1, i, bf16) * inv, u2 = isa_load(x2, i, bf16) * inv;
        isa_store(x1, i, u1 * c[i] + u2 * s[i], bf16);
        isa_store(x2, i, u2 * c[i] - u1 * s[i], bf16);
    }
}

static void rope_forward(const cpu_rope_args *args)
{
    const int64_t D = args->D, heads = args->H + args->K, width = (heads + args->K) * D;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < args->B * args->T; n++) {
            const float *cos_sin = args->cos_sin + n % args->T * D;
            for (int64_t head = 0; head < heads; head++) {
                float *inv_rms = args->inv_rms != NULL ? args->inv_rms + n * heads + head : NULL;
                int64_t at = n * width + head * D;
                if (args->bf16) {
                    rope_head(isa_at(args->x, at, true), inv_rms, cos_sin, D, true);
                } else {
                    rope_head(isa_at(args->x, at, false), inv_rms, cos_sin, D, false);
                }
            }
        }
        isa_note_end(args->ends);
    }
}

/* The rotation is orthogonal, so mean(du . u) of the normalized head is mean(dy . y) of the
 * rotated one, which is what forward left: du = inv * R^T (dy - y * mean(dy . y)). */
ISA_INLINE void rope_grad_head(void *dx, const void *x, const float *inv_rms, const float *cos_sin,
                               int64_t D, bool bf16)
{
    const int64_t half = D / 2;
    void *d1 = dx, *d2 = isa_at(dx, half, bf16);
    const void *y1 = x, *y2 = isa_at(x, half, bf16);
    const float *c = cos_sin, *s = cos_sin + half;
    if (inv_rms == NULL) {
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float a = isa_load(d1, i, bf16), b = isa_load(d2, i, bf16);
            isa_store(d1, i, a * c[i] - b * s[i], bf16);
            isa_store(d2, i, a * s[i] + b * c[i], bf16);
        }
        return;
    }
    float inv = *inv_rms;
    float mean = row_dot(dx, x, D, bf16) / (float)D;
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        float a = inv * (isa_load(d1, i, bf16) - isa_load(y1, i, bf16) * mean);
        float b = inv * (isa_load(d2, i, bf16) - isa_load(y2, i, bf16) * mean);
        isa_store(d1, i, a * c[i] - b * s[i], bf16);
        isa_store(d2, i, a * s[i] + b * c[i], bf16);
    }
}

static void rope_backward(const cpu_rope_args *args)
{
    const int64_t D = args->D, heads = args->H + args->K, width = (heads + args->K) * D;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < args->B * args->T; n++) {
            const float *cos_sin = args->cos_sin + n % args->T * D;
            for (int64_t head = 0; head < heads; head++) {
                float *inv_rms = args->inv_rms != NULL ? args->inv_rms + n * heads + head : NULL;
                int64_t at = n * width + head * D;
                if (args->bf16) {
                    rope_grad_head(isa_at(args->x, at, true), isa_at(args->qkv, at, true), inv_rms,
                                   cos_sin, D, true);
                } else {
                    rope_grad_head(isa_at(args->x, at, false), isa_at(args->qkv, at, false),
                                   inv_rms, cos_sin, D, false);
                }
            }
        }
        isa_note_end(args->ends);
    }
}

void ISA_NAME(cpu_fill_norm)(cpu_kernels *table)
{
    table->add_norm_forward = add_norm_forward;
    table->add_norm_backward = add_norm_backward;
    table->rope_forward = rope_forward;
    table->rope_backward = rope_backward;
}
