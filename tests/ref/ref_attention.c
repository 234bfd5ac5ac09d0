/* Reference qk-norm, rotary embedding and causal attention. Formulas: kernels/backend.h. */
#include "tests/ref/ref_internal.h"

#include <math.h>
#include <stdlib.h>

static gb_status check_heads(gb_device *dev, int64_t H, int64_t K, int64_t D, int64_t window)
{
    if (K < 1 || H % K != 0 || D < 2 || D % 2 != 0 || window < 0) {
        return ref_fail(dev, "attention: H = %lld, K = %lld, D = %lld, window = %lld", (long long)H,
                        (long long)K, (long long)D, (long long)window);
    }
    return GB_OK;
}

/* Rotates one head u (D) by its position's angles; sign = -1 turns it back. */
static void rotate_head(double *u, int64_t t, int64_t D, double sign)
{
    for (int64_t i = 0; i < D / 2; i++) {
        double angle = sign * (double)t * pow(10000, -2.0 * (double)i / (double)D);
        double x1 = u[i], x2 = u[i + D / 2];
        u[i] = x1 * cos(angle) + x2 * sin(angle);
        u[i + D / 2] = -x1 * sin(angle) + x2 * cos(angle);
    }
}

gb_status ref_qk_rope_forward(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                              int64_t T, int64_t H, int64_t K, int64_t D)
{
    ref_begin(dev);
    GB_TRY(check_heads(dev, H, K, D, 0));
    for (int64_t n = 0; n < B * T; n++) {
        for (int64_t head = 0; head < H + K; head++) {
            double *u = (double *)qkv + (n * (H + 2 * K) + head) * D;
            if (qk_norm) {
                double inv = ref_inv_rms(u, D);
                ((double *)inv_rms)[n * (H + K) + head] = inv;
                for (int64_t d = 0; d < D; d++) {
                    u[d] *= inv;
                }
            }
            rotate_head(u, n % T, D, 1);
        }
    }
    return ref_end(dev, GB_OP_QK_ROPE, 0);
}

gb_status ref_qk_rope_backward(gb_device *dev, void *dqkv, const void *qkv, const void *inv_rms,
                               bool qk_norm, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D)
{
    ref_begin(dev);
    GB_TRY(check_heads(dev, H, K, D, 0));
    double *u = malloc((size_t)D * sizeof *u); /* (D): the head after the norm, before rotation */
    if (!u) {
        return ref_fail(dev, "qk_rope: no memory");
    }
    for (int64_t n = 0; n < B * T; n++) {
        for (int64_t head = 0; head < H + K; head++) {
            int64_t at = (n * (H + 2 * K) + head) * D;
            double *du = (double *)dqkv + at;
            rotate_head(du, n % T, D, -1);
            if (qk_norm) {
                for (int64_t d = 0; d < D; d++) {
                    u[d] = ((const double *)qkv)[at + d];
                }
                rotate_head(u, n % T, D, -1);
                ref_norm_backward(du, du, u, ((const double *)inv_rms)[n * (H + K) + head], D);
            }
        }
    }
    free(u);
    return ref_end(dev, GB_OP_QK_ROPE, 0);
}

/* One (batch, query head, query): where its rows are, and which keys it sees. */
typedef struct query {
    int64_t q_at;                /* offset of the query's D values in qkv */
    int64_t k_at, v_at;          /* of key and value 0 of its sequence and key/value head */
    int64_t stride;              /* from one position's row to the next in qkv */
    int64_t out_at, lse_at;      /* in out, lse */
    int64_t first_key, last_key; /* inclusive */
} query;

static query query_at(int64_t b, int64_t h, int64_t i, int64_t T, int64_t H, int64_t K, int64_t D,
                      int64_t window)
{
    int64_t stride = (H + 2 * K) * D;
    int64_t kv_head = h / (H / K);
    return (query){
        .q_at = (b * T + i) * stride + h * D,
        .k_at = b * T * stride + (H + kv_head) * D,
        .v_at = b * T * stride + (H + K + kv_head) * D,
        .stride = stride,
        .out_at = ((b * T + i) * H + h) * D,
        .lse_at = (b * H + h) * T + i,
        .first_key = window > 0 && i > window ? i - window : 0,
        .last_key = i,
    };
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* FLOPs of one product (D multiply-adds) for each (query, key) pair that is seen. */
static double pair_flops(int64_t B, int64_t T, int64_t H, int64_t D, int64_t window)
{
    int64_t pairs = 0;
    for (int64_t i = 0; i < T; i++) {
        pairs += (window > 0 && i > window ? window : i) + 1;
    }
    return 2.0 * (double)D * (double)pairs * (double)H * (double)B;
}

gb_status ref_attention_forward(gb_device *dev, void *out, void *lse, const void *qkv, int64_t B,
                                int64_t T, int64_t H, int64_t K, int64_t D, int64_t window)
{
    const double *x = qkv;
    double scale = 1 / sqrt((double)D);
    ref_begin(dev);
    GB_TRY(check_heads(dev, H, K, D, window));
    double *score = malloc((size_t)T * sizeof *score); /* (T): of one query */
    if (!score) {
        return ref_fail(dev, "attention: no memory");
    }
    for (int64_t row = 0; row < B * H * T; row++) {
        query at = query_at(row / (H * T), row / T % H, row % T, T, H, K, D, window);
        double max = -INFINITY, total = 0;
        for (int64_t j = at.first_key; j <= at.last_key; j++) {
            score[j] = scale * dot(x + at.q_at, x + at.k_at + j * at.stride, D);
            max = fmax(max, score[j]);
        }
        for (int64_t j = at.first_key; j <= at.last_key; j++) {
            total += exp(score[j] - max);
        }
        double *o = (double *)out + at.out_at;
        for (int64_t d = 0; d < D; d++) {
            o[d] = 0;
        }
        for (int64_t j = at.first_key; j <= at.last_key; j++) {
            double p = exp(score[j] - max) / total;
            for (int64_t d = 0; d < D; d++) {
                o[d] += p * x[at.v_at + j * at.stride + d];
            }
        }
        ((double *)lse)[at.lse_at] = max + log(total);
    }
    free(score);
    return ref_end(dev, GB_OP_ATTENTION, 2 * pair_flops(B, T, H, D, window));
}

gb_status ref_attention_backward(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                 const void *out, const void *lse, int64_t B, int64_t T, int64_t H,
                                 int64_t K, int64_t D, int64_t window)
{
    const double *x = qkv;
    double *dx = dqkv;
    double scale = 1 / sqrt((double)D);
    ref_begin(dev);
    GB_TRY(check_heads(dev, H, K, D, window));
    for (int64_t i = 0; i < B * T * (H + 2 * K) * D; i++) {
        dx[i] = 0;
    }
    for (int64_t row = 0; row < B * H * T; row++) {
        query at = query_at(row / (H * T), row / T % H, row % T, T, H, K, D, window);
        const double *dout_row = (const double *)dout + at.out_at; /* (D) */
        double delta = dot(dout_row, (const double *)out + at.out_at, D);
        for (int64_t j = at.first_key; j <= at.last_key; j++) {
            int64_t k_at = at.k_at + j * at.stride, v_at = at.v_at + j * at.stride;
            double p =
                exp(scale * dot(x + at.q_at, x + k_at, D) - ((const double *)lse)[at.lse_at]);
            double dscore = p * (dot(dout_row, x + v_at, D) - delta);
            for (int64_t d = 0; d < D; d++) {
                dx[v_at + d] += p * dout_row[d];
                dx[at.q_at + d] += scale * dscore * x[k_at + d];
                dx[k_at + d] += scale * dscore * x[at.q_at + d];
            }
        }
    }
    /* Four products per pair, as the scores' recomputation is not counted (by convention). */
    return ref_end(dev, GB_OP_ATTENTION, 4 * pair_flops(B, T, H, D, window));
}
