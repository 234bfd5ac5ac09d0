/* Embedding, activations, AdamW, sums and conversions: loops that memory bandwidth bounds. */
#include <math.h>

#include "kernels/cpu/isa/isa.h"

enum {
    BLOCK = 4096, /* elements per unit of parallel work */
    LOT = 256,    /* elements between two times of asking ahead */
};

/* Asks for the lot after the one at i, which is read and written in place: out of the caches such a
 * loop was measured to take half of the time with this. Whether it becomes a request to write or a
 * plain one is for the instruction set to say. */
ISA_INLINE void ask_for_lot(void *array, int64_t i, bool bf16)
{
    const char *at = isa_at(array, i + LOT, bf16);
    for (int64_t byte = 0; byte < LOT * (bf16 ? 2 : 4); byte += 64) {
        __builtin_prefetch(at + byte, 1);
    }
}

static void embed_forward(void *out, const int32_t *tokens, const void *wte, int64_t N, int64_t C,
                          bool bf16, double *ends)
{
    size_t row_bytes = (size_t)C * (bf16 ? 2 : 4);
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < N; n++) {
            memcpy((char *)out + (size_t)n * row_bytes,
                   (const char *)wte + (size_t)tokens[n] * row_bytes, row_bytes);
        }
        isa_note_end(ends);
    }
}

ISA_INLINE void add_row(float *acc, const void *row, int64_t n, bool bf16)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        acc[i] += isa_load(row, i, bf16);
    }
}

/* Threads share out columns, so that every element is summed in token order by one thread. */
static void embed_backward(float *dwte, const void *dout, const int32_t *tokens, int64_t N,
                           int64_t C, bool bf16, double *ends)
{
    const int64_t columns = 32;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t c = 0; c < C; c += columns) {
            int64_t width = C - c < columns ? C - c : columns;
            for (int64_t n = 0; n < N; n++) {
                float *acc = dwte + (int64_t)tokens[n] * C + c;
                if (bf16) {
                    add_row(acc, isa_at(dout, n * C + c, true), width, true);
                } else {
                    add_row(acc, isa_at(dout, n * C + c, false), width, false);
                }
            }
        }
        isa_note_end(ends);
    }
}

ISA_INLINE void gelu_block(void *out, const void *in, int64_t from, int64_t to, bool bf16)
{
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float x = isa_load(in, i, bf16);
        isa_store(out, i, 0.5f * x * (1.0f + isa_erf(x * 0.70710678f)), bf16);
    }
}

static void gelu_forward(void *out, const void *in, int64_t n, bool bf16, double *ends)
{
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < n; i += BLOCK) {
            int64_t to = n - i < BLOCK ? n : i + BLOCK;
            if (bf16) {
                gelu_block(out, in, i, to, true);
            } else {
                gelu_block(out, in, i, to, false);
            }
        }
        isa_note_end(ends);
    }
}

/* gelu'(x) = Phi(x) + x * phi(x), phi the normal density. */
ISA_INLINE void gelu_grad_lot(void *din, const void *dout, const void *in, int64_t from, int64_t to,
                              bool bf16)
{
    ask_for_lot(din, from, bf16);
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float x = isa_load(in, i, bf16);
        const float falling = isa_exp(-0.5f * x * x), tail = isa_normal_tail(x, falling);
        const float cdf = x < 0.0f ? tail : 1.0f - tail, density = 0.39894228f * falling;
        isa_store(din, i, isa_load(dout, i, bf16) * (cdf + x * density), bf16);
    }
}

static void gelu_backward(void *din, const void *dout, const void *in, int64_t n, bool bf16,
                          double *ends)
{
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < n; i += BLOCK) {
            const int64_t end = n - i < BLOCK ? n : i + BLOCK;
            for (int64_t k = i; k < end; k += LOT) {
                const int64_t to = end - k < LOT ? end : k + LOT;
                if (bf16) {
                    gelu_grad_lot(din, dout, in, k, to, true);
                } else {
                    gelu_grad_lot(din, dout, in, k, to, false);
                }
            }
        }
        isa_note_end(ends);
    }
}

ISA_INLINE float sigmoid(float x)
{
    return 1.0f / (1.0f + isa_exp(x < -88.0f ? 88.0f : -x));
}

ISA_INLINE void swiglu_row(void *out, const void *gv, int64_t n, int64_t F, bool bf16)
{
    const void *gate = isa_at(gv, n * 2 * F, bf16), *value = isa_at(gv, n * 2 * F + F, bf16);
    void *row = isa_at(out, n * F, bf16);
#pragma omp simd
    for (int64_t i = 0; i < F; i++) {
        float g = isa_load(gate, i, bf16);
        isa_store(row, i, g * sigmoid(g) * isa_load(value, i, bf16), bf16);
    }
}

static void swiglu_forward(void *out, const void *gv, int64_t N, int64_t F, bool bf16, double *ends)
{
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < N; n++) {
            if (bf16) {
                swiglu_row(out, gv, n, F, true);
            } else {
                swiglu_row(out, gv, n, F, false);
            }
        }
        isa_note_end(ends);
    }
}

ISA_INLINE void swiglu_grad_row(void *dgv, const void *dout, const void *gv, int64_t n, int64_t F,
                                bool bf16)
{
    const void *gate = isa_at(gv, n * 2 * F, bf16), *value = isa_at(gv, n * 2 * F + F, bf16);
    void *dgate = isa_at(dgv, n * 2 * F, bf16), *dvalue = isa_at(dgv, n * 2 * F + F, bf16);
    const void *drow = isa_at(dout, n * F, bf16);
    for (int64_t k = 0; k < F; k += LOT) {
        const int64_t to = F - k < LOT ? F : k + LOT;
        ask_for_lot(dgate, k, bf16);
        ask_for_lot(dvalue, k, bf16);
#pragma omp simd
        for (int64_t i = k; i < to; i++) {
            float g = isa_load(gate, i, bf16), v = isa_load(value, i, bf16);
            float d = isa_load(drow, i, bf16), s = sigmoid(g);
            isa_store(dvalue, i, d * g * s, bf16);
            isa_store(dgate, i, d * v * s * (1.0f + g * (1.0f - s)), bf16);
        }
    }
}

static void swiglu_backward(void *dgv, const void *dout, const void *gv, int64_t N, int64_t F,
                            bool bf16, double *ends)
{
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < N; n++) {
            if (bf16) {
                swiglu_grad_row(dgv, dout, gv, n, F, true);
            } else {
                swiglu_grad_row(dgv, dout, gv, n, F, false);
            }
        }
        isa_note_end(ends);
    }
}

static double sum_squares(const float *x, int64_t n, double *partials, double *ends)
{
    int64_t units = (n + CPU_SUM_BLOCK - 1) / CPU_SUM_BLOCK;
    int64_t per_block = (units + CPU_SUM_MAX_BLOCKS - 1) / CPU_SUM_MAX_BLOCKS;
    int64_t block = (per_block > 0 ? per_block : 1) * CPU_SUM_BLOCK;
    int64_t blocks = (n + block - 1) / block;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t b = 0; b < blocks; b++) {
            int64_t to = n - b * block < block ? n : (b + 1) * block;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = b * block; i < to; i++) {
                sum += (double)x[i] * (double)x[i];
            }
            partials[b] = sum;
        }
        isa_note_end(ends);
    }
    double total = 0;
    for (int64_t b = 0; b < blocks; b++) {
        total += partials[b];
    }
    return total;
}

typedef struct adamw_factors {
    float beta1, beta2, one_minus_beta1, one_minus_beta2, eps, decay, step_size, v_scale;
    float grad_scale;
} adamw_factors;

ISA_INLINE void adamw_block(uint16_t *weights, float *master, float *m, float *v, const float *grad,
                            int64_t from, int64_t to, adamw_factors f, bool bf16)
{
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float g = grad[i] * f.grad_scale;
        float mi = f.beta1 * m[i] + f.one_minus_beta1 * g;
        float vi = f.beta2 * v[i] + f.one_minus_beta2 * g * g;
        float p = master[i] * f.decay;
        p -= f.step_size * mi / (sqrtf(vi) * f.v_scale + f.eps);
        m[i] = mi;
        v[i] = vi;
        master[i] = p;
        if (bf16) {
            weights[i] = isa_round_bf16(p);
        }
    }
}

static void adamw(uint16_t *weights, float *master, float *m, float *v, const float *grad,
                  int64_t n, const gb_adamw *params, double grad_scale, double *ends)
{
    double correction1 = 1.0 - pow(params->beta1, params->step);
    double correction2 = 1.0 - pow(params->beta2, params->step);
    adamw_factors f = {
        .beta1 = (float)params->beta1,
        .beta2 = (float)params->beta2,
        .one_minus_beta1 = (float)(1.0 - params->beta1),
        .one_minus_beta2 = (float)(1.0 - params->beta2),
        .eps = (float)params->eps,
        .decay = (float)(1.0 - params->learning_rate * params->weight_decay),
        .step_size = (float)(params->learning_rate / correction1),
        .v_scale = (float)(1.0 / sqrt(correction2)),
        .grad_scale = (float)grad_scale,
    };
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < n; i += BLOCK) {
            int64_t to = n - i < BLOCK ? n : i + BLOCK;
            if (weights != NULL) {
                adamw_block(weights, master, m, v, grad, i, to, f, true);
            } else {
                adamw_block(weights, master, m, v, grad, i, to, f, false);
            }
        }
        isa_note_end(ends);
    }
}

static void to_bf16(uint16_t *out, const float *in, int64_t n)
{
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        out[i] = isa_round_bf16(in[i]);
    }
}

static void to_float(float *out, const uint16_t *in, int64_t n)
{
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        out[i] = isa_from_bits((uint32_t)in[i] << 16);
    }
}

void ISA_NAME(cpu_fill_elementwise)(cpu_kernels *table)
{
    table->embed_forward = embed_forward;
    table->embed_backward = embed_backward;
    table->gelu_forward = gelu_forward;
    table->gelu_backward = gelu_backward;
    table->swiglu_forward = swiglu_forward;
    table->swiglu_backward = swiglu_backward;
    table->sum_squares = sum_squares;
    table->adamw = adamw;
    table->to_bf16 = to_bf16;
    table->to_float = to_float;
}
