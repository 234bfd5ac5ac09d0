/* The reference ops outside attention. Formulas, shapes and in-place rules: kernels/backend.h. */
#include "tests/ref/ref_internal.h"

#include <math.h>
#include <stdlib.h>

double ref_inv_rms(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return 1 / sqrt(sum / (double)n + 1e-6);
}

void ref_norm_backward(double *dx, const double *du, const double *u, double inv_rms, int64_t n)
{
    double mean = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += du[i] * u[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        dx[i] = inv_rms * (du[i] - u[i] * mean);
    }
}

/* ---- embedding ---- */

gb_status ref_embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                            int64_t N, int64_t C)
{
    double *x = out;         /* (N, C) */
    const double *row = wte; /* (V, C) */
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        if (tokens[n] < 0) {
            return ref_fail(dev, "embed: token %d", tokens[n]);
        }
        for (int64_t c = 0; c < C; c++) {
            x[n * C + c] = row[tokens[n] * C + c];
        }
    }
    return ref_end(dev, GB_OP_EMBED, 0);
}

gb_status ref_embed_backward(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                             int64_t N, int64_t C, int64_t V)
{
    double *drow = dwte;     /* (V, C) */
    const double *dx = dout; /* (N, C) */
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        if (tokens[n] < 0 || tokens[n] >= V) {
            return ref_fail(dev, "embed: token %d is not below V = %lld", tokens[n], (long long)V);
        }
        for (int64_t c = 0; c < C; c++) {
            drow[tokens[n] * C + c] += dx[n * C + c];
        }
    }
    return ref_end(dev, GB_OP_EMBED, 0);
}

/* ---- residual and norms ---- */

gb_status ref_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                               void *inv_rms_y, const void *x_in, const void *y, double scale,
                               bool post_norm, int64_t N, int64_t C)
{
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        const double *x = (const double *)x_in + n * C;
        if (y) {
            const double *y_row = (const double *)y + n * C;
            double *sum = (double *)x_out + n * C;
            double inv_y = 1;
            if (post_norm) {
                inv_y = ref_inv_rms(y_row, C);
                ((double *)inv_rms_y)[n] = inv_y;
            }
            for (int64_t c = 0; c < C; c++) {
                sum[c] = x[c] + scale * (y_row[c] * inv_y);
            }
            x = sum;
        }
        if (h) {
            double inv_h = ref_inv_rms(x, C);
            ((double *)inv_rms_h)[n] = inv_h;
            for (int64_t c = 0; c < C; c++) {
                ((double *)h)[n * C + c] = x[c] * inv_h;
            }
        }
    }
    return ref_end(dev, GB_OP_NORM, 0);
}

gb_status ref_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                double scale, bool post_norm, bool first, int64_t N, int64_t C)
{
    ref_begin(dev);
    double *work = malloc((size_t)C * sizeof *work); /* (C): through h, then ny */
    if (!work) {
        return ref_fail(dev, "norm: no memory");
    }
    for (int64_t n = 0; n < N; n++) {
        double *g = (double *)dx + n * C; /* (C) */
        for (int64_t c = 0; first && c < C; c++) {
            g[c] = 0;
        }
        if (dh) {
            ref_norm_backward(work, (const double *)dh + n * C, (const double *)h + n * C,
                              ((const double *)inv_rms_h)[n], C);
            for (int64_t c = 0; c < C; c++) {
                g[c] += work[c];
            }
        }
        if (!dy) {
            continue;
        }
        double *dy_row = (double *)dy + n * C;
        if (post_norm) {
            double inv_y = ((const double *)inv_rms_y)[n];
            for (int64_t c = 0; c < C; c++) {
                work[c] = ((const double *)y)[n * C + c] * inv_y;
            }
            ref_norm_backward(dy_row, g, work, inv_y, C);
        }
        for (int64_t c = 0; c < C; c++) {
            dy_row[c] = scale * (post_norm ? dy_row[c] : g[c]);
        }
    }
    free(work);
    return ref_end(dev, GB_OP_NORM, 0);
}

/* ---- linear maps ---- */

gb_status ref_linear_forward(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                             int64_t I, int64_t O)
{
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t o = 0; o < O; o++) {
            double sum = 0;
            for (int64_t i = 0; i < I; i++) {
                sum += ((const double *)x)[n * I + i] * ((const double *)w)[o * I + i];
            }
            ((double *)y)[n * O + o] = sum;
        }
    }
    return ref_end(dev, GB_OP_COUNT, 2.0 * (double)N * (double)I * (double)O);
}

gb_status ref_linear_backward_input(gb_device *dev, void *dx, const void *dy, const void *w,
                                    int64_t N, int64_t I, int64_t O)
{
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        double *row = (double *)dx + n * I;
        for (int64_t i = 0; i < I; i++) {
            row[i] = 0;
        }
        for (int64_t o = 0; o < O; o++) {
            double d = ((const double *)dy)[n * O + o];
            for (int64_t i = 0; i < I; i++) {
                row[i] += d * ((const double *)w)[o * I + i];
            }
        }
    }
    return ref_end(dev, GB_OP_COUNT, 2.0 * (double)N * (double)I * (double)O);
}

gb_status ref_linear_backward_weight(gb_device *dev, void *dw, const void *dy, const void *x,
                                     bool first, int64_t N, int64_t I, int64_t O)
{
    double *grad = dw; /* (O, I) */
    ref_begin(dev);
    for (int64_t i = 0; first && i < O * I; i++) {
        grad[i] = 0;
    }
    for (int64_t n = 0; n < N; n++) {
        for (int64_t o = 0; o < O; o++) {
            double d = ((const double *)dy)[n * O + o];
            for (int64_t i = 0; i < I; i++) {
                grad[o * I + i] += d * ((const double *)x)[n * I + i];
            }
        }
    }
    return ref_end(dev, GB_OP_COUNT, 2.0 * (double)N * (double)I * (double)O);
}

/* ---- activations of the MLP ---- */

gb_status ref_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n)
{
    ref_begin(dev);
    for (int64_t i = 0; i < n; i++) {
        double x = ((const double *)in)[i];
        ((double *)out)[i] = x / 2 * (1 + erf(x / sqrt(2)));
    }
    return ref_end(dev, GB_OP_MLP_ACT, 0);
}

gb_status ref_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in, int64_t n)
{
    const double pi = 3.14159265358979323846;
    ref_begin(dev);
    for (int64_t i = 0; i < n; i++) {
        double x = ((const double *)in)[i];
        double cdf = (1 + erf(x / sqrt(2))) / 2;
        double pdf = exp(-x * x / 2) / sqrt(2 * pi);
        ((double *)din)[i] = ((const double *)dout)[i] * (cdf + x * pdf);
    }
    return ref_end(dev, GB_OP_MLP_ACT, 0);
}

gb_status ref_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F)
{
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        const double *gate = (const double *)gv + n * 2 * F;
        const double *value = gate + F;
        for (int64_t f = 0; f < F; f++) {
            double sigmoid = 1 / (1 + exp(-gate[f]));
            ((double *)out)[n * F + f] = gate[f] * sigmoid * value[f];
        }
    }
    return ref_end(dev, GB_OP_MLP_ACT, 0);
}

gb_status ref_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                              int64_t N, int64_t F)
{
    ref_begin(dev);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t f = 0; f < F; f++) {
            int64_t at = n * 2 * F + f;
            double gate = ((const double *)gv)[at];
            double value = ((const double *)gv)[at + F];
            double d = ((const double *)dout)[n * F + f];
            double sigmoid = 1 / (1 + exp(-gate));
            ((double *)dgv)[at] = d * value * sigmoid * (1 + gate * (1 - sigmoid));
            ((double *)dgv)[at + F] = d * gate * sigmoid;
        }
    }
    return ref_end(dev, GB_OP_MLP_ACT, 0);
}

/* ---- output map and loss ---- */

/* logits (V) of one row h (C) become its softmax; returns the row's loss. */
static double softmax_row(double *logits, const double *h, const double *wte, int32_t target,
                          int64_t C, int64_t V)
{
    double max = -INFINITY;
    for (int64_t v = 0; v < V; v++) {
        double sum = 0;
        for (int64_t c = 0; c < C; c++) {
            sum += h[c] * wte[v * C + c];
        }
        logits[v] = sum;
        max = fmax(max, sum);
    }
    double total = 0;
    for (int64_t v = 0; v < V; v++) {
        total += exp(logits[v] - max);
    }
    double loss = max + log(total) - logits[target];
    for (int64_t v = 0; v < V; v++) {
        logits[v] = exp(logits[v] - max) / total;
    }
    return loss;
}

gb_status ref_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                         const void *wte, const int32_t *targets, double grad_scale, bool first,
                         int64_t N, int64_t C, int64_t V)
{
    const double *w = wte; /* (V, C) */
    double *dw = dwte;     /* (V, C) */
    ref_begin(dev);
    double *p = malloc((size_t)V * sizeof *p); /* (V): softmax of one row */
    if (!p) {
        return ref_fail(dev, "classifier: no memory");
    }
    double sum = 0;
    for (int64_t i = 0; dh && first && i < V * C; i++) {
        dw[i] = 0;
    }
    for (int64_t n = 0; n < N; n++) {
        const double *h_row = (const double *)h + n * C;
        if (targets[n] < 0 || targets[n] >= V) {
            free(p);
            return ref_fail(dev, "classifier: target %d, V = %lld", targets[n], (long long)V);
        }
        sum += softmax_row(p, h_row, w, targets[n], C, V);
        if (!dh) {
            continue;
        }
        double *dh_row = (double *)dh + n * C;
        for (int64_t c = 0; c < C; c++) {
            dh_row[c] = 0;
        }
        for (int64_t v = 0; v < V; v++) {
            double dlogit = grad_scale * (p[v] - (v == targets[n] ? 1 : 0));
            for (int64_t c = 0; c < C; c++) {
                dh_row[c] += dlogit * w[v * C + c];
                dw[v * C + c] += dlogit * h_row[c];
            }
        }
    }
    free(p);
    *(double *)loss_sum = first ? sum : *(double *)loss_sum + sum;
    return ref_end(dev, GB_OP_CLASSIFIER, (dh ? 6.0 : 2.0) * (double)N * (double)V * (double)C);
}

/* ---- optimiser ---- */

gb_status ref_sum_squares(gb_device *dev, void *out, const void *x, int64_t n)
{
    double sum = 0;
    ref_begin(dev);
    for (int64_t i = 0; i < n; i++) {
        sum += ((const double *)x)[i] * ((const double *)x)[i];
    }
    *(double *)out = sum;
    return ref_end(dev, GB_OP_GRAD_NORM, 0);
}

gb_status ref_adamw(gb_device *dev, void *weights, void *master, void *m, void *v, const void *grad,
                    int64_t n, const void *params, const void *loss, const void *grad_squares)
{
    const gb_adamw *a = params;
    double *p = master, *mean = m, *square = v; /* (n) each */
    double mean_bias = 1 - pow(a->beta1, a->step);
    double square_bias = 1 - pow(a->beta2, a->step);
    double scale = 1, norm = grad_squares ? sqrt(*(const double *)grad_squares) : 0;
    ref_begin(dev);
    if (a->grad_clip > 0 && norm > a->grad_clip) {
        scale = a->grad_clip / norm;
    }
    bool update = !loss || isfinite(*(const double *)loss);
    for (int64_t i = 0; update && i < n; i++) {
        double g = ((const double *)grad)[i] * scale;
        p[i] -= a->learning_rate * a->weight_decay * p[i];
        mean[i] = a->beta1 * mean[i] + (1 - a->beta1) * g;
        square[i] = a->beta2 * square[i] + (1 - a->beta2) * g * g;
        p[i] -= a->learning_rate * (mean[i] / mean_bias) / (sqrt(square[i] / square_bias) + a->eps);
        ((double *)weights)[i] = p[i];
    }
    return ref_end(dev, GB_OP_ADAMW, 0);
}
