#include "tests/ref/attention_rounding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ar_part_names[AR_PARTS] = {"out", "dq", "dk", "dv"};
const int ar_part_roundings[AR_PARTS] = {2, 3, 3, 2};

/* Variance of a rounding of x, by x^2: (2^-8)^2 / 3. */
static const double rounding = 1.0 / 65536 / 3;

ar_head ar_head_new(int64_t T, int64_t D)
{
    ar_head head = {.T = T, .D = D};
    size_t n = (size_t)(T * D);
    head.memory = calloc((4 + 2 * AR_PARTS) * n + (size_t)T, sizeof(double));
    if (!head.memory) {
        fputs("attention_rounding: out of memory\n", stderr);
        abort();
    }
    double *next = head.memory;
    double **const inputs[] = {&head.q, &head.k, &head.v, &head.dout};
    for (int i = 0; i < 4; i++, next += n) {
        *inputs[i] = next;
    }
    for (int part = 0; part < AR_PARTS; part++, next += 2 * n) {
        head.result[part] = next;
        head.squares[part] = next + n;
    }
    head.lse = next;
    return head;
}

void ar_head_free(ar_head *head)
{
    free(head->memory);
    *head = (ar_head){0};
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* p (i + 1): the weights of query i; its log-sum-exp is returned. */
static double weights(const ar_head *h, int64_t i, double *p)
{
    double scale = 1 / sqrt((double)h->D), max = -INFINITY, total = 0;
    for (int64_t j = 0; j <= i; j++) {
        p[j] = scale * dot(h->q + i * h->D, h->k + j * h->D, h->D);
        max = fmax(max, p[j]);
    }
    for (int64_t j = 0; j <= i; j++) {
        p[j] = exp(p[j] - max);
        total += p[j];
    }
    for (int64_t j = 0; j <= i; j++) {
        p[j] /= total;
    }
    return max + log(total);
}

static void forward_row(const ar_head *h, int64_t i, const double *p)
{
    double *out = h->result[AR_OUT] + i * h->D, *squares = h->squares[AR_OUT] + i * h->D;
    for (int64_t j = 0; j <= i; j++) {
        const double *v = h->v + j * h->D;
        for (int64_t d = 0; d < h->D; d++) {
            out[d] += p[j] * v[d];
            squares[d] += rounding * p[j] * p[j] * v[d] * v[d];
        }
    }
}

/* What query i adds to the gradients and their variances; mean_k (D) is for its own use. */
static void backward_row(const ar_head *h, int64_t i, const double *p, double *mean_k)
{
    const int64_t D = h->D, at = i * D;
    const double *q = h->q + at, *dout = h->dout + at, *out = h->result[AR_OUT] + at;
    double *dq = h->result[AR_DQ] + at, *dq_squares = h->squares[AR_DQ] + at;
    double scale = 1 / sqrt((double)D), delta = dot(dout, out, D), delta_variance = 0;
    for (int64_t d = 0; d < D; d++) {
        delta_variance += rounding * dout[d] * dout[d] * out[d] * out[d];
        mean_k[d] = 0;
    }
    for (int64_t j = 0; j <= i; j++) {
        const double *k = h->k + j * D;
        double *dk = h->result[AR_DK] + j * D, *dk_squares = h->squares[AR_DK] + j * D;
        double *dv = h->result[AR_DV] + j * D, *dv_squares = h->squares[AR_DV] + j * D;
        /* The softmax over one key does not depend on its score. */
        double ds = i == 0 ? 0 : p[j] * (dot(dout, h->v + j * D, D) - delta);
        double of_ds = scale * scale * rounding * ds * ds;
        double of_delta = i == 0 ? 0 : scale * scale * p[j] * p[j] * delta_variance;
        double of_p = rounding * p[j] * p[j];
        for (int64_t d = 0; d < D; d++) {
            dq[d] += scale * ds * k[d];
            dq_squares[d] += of_ds * k[d] * k[d];
            mean_k[d] += p[j] * k[d];
            dk[d] += scale * ds * q[d];
            dk_squares[d] += (of_ds + of_delta) * q[d] * q[d];
            dv[d] += p[j] * dout[d];
            dv_squares[d] += of_p * dout[d] * dout[d];
        }
    }
    for (int64_t d = 0; d < D && i > 0; d++) {
        dq_squares[d] += scale * scale * delta_variance * mean_k[d] * mean_k[d];
    }
}

void ar_head_compute(ar_head *h)
{
    const size_t n = (size_t)(h->T * h->D);
    double *p = malloc((size_t)(h->T + h->D) * sizeof *p);
    if (!p) {
        fputs("attention_rounding: out of memory\n", stderr);
        abort();
    }
    memset(h->result[0], 0, 2 * AR_PARTS * n * sizeof(double)); /* they lie in one piece */
    for (int64_t i = 0; i < h->T; i++) {
        h->lse[i] = weights(h, i, p);
        forward_row(h, i, p);
        backward_row(h, i, p, p + h->T);
    }
    for (int part = 0; part < AR_PARTS; part++) {
        for (size_t x = 0; x < n; x++) {
            h->squares[part][x] += rounding * h->result[part][x] * h->result[part][x];
        }
    }
    free(p);
}

ar_distance ar_head_distance(const ar_head *h, ar_part part, const double *x)
{
    ar_distance far = {0};
    double all_errors = 0, all_squares = 0;
    for (int64_t i = 0; i < h->T; i++) {
        double errors = 0, squares = 0;
        for (int64_t at = i * h->D; at < (i + 1) * h->D; at++) {
            double error = x[at] - h->result[part][at];
            errors += error * error;
            squares += h->squares[part][at];
        }
        all_errors += errors;
        all_squares += squares;
        /* A row that has to be zero is so: 0 / 0 would be NaN. */
        double ratio = errors == 0 ? 0 : sqrt(errors / squares);
        if (!(ratio <= far.worst_row)) {
            far.worst_row = ratio;
            far.at = i;
        }
    }
    far.all = all_errors == 0 ? 0 : sqrt(all_errors / all_squares);
    return far;
}
