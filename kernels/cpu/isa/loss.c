/* Softmax cross-entropy over rows of logits that come some columns at a time, and its gradient. */
#include "kernels/cpu/isa/isa.h"

/* Sums of a few thousand terms in float lose digits that the loss must keep, so partial sums of one
 * block each are added up in double. */
enum { SUM_BLOCK = 1024 };

static double sum_of_exps(const float *row, int64_t n, float top)
{
    double sum = 0;
    for (int64_t from = 0; from < n; from += SUM_BLOCK) {
        int64_t to = n - from < SUM_BLOCK ? n : from + SUM_BLOCK;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = from; i < to; i++) {
            part += isa_exp(row[i] - top);
        }
        sum += (double)part;
    }
    return sum;
}

/* A NaN among the logits may get lost in the maximum; it is in the sum. */
static void softmax_gather(const cpu_softmax_args *a)
{
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < a->N; n++) {
        const float *row = a->logits + n * a->columns;
        cpu_softmax_row *r = &a->rows[n];
        if (a->first_column == 0) {
            *r = (cpu_softmax_row){.top = row[0]};
        }
        float top = isa_max(row, a->columns);
        if (top > r->top) {
            r->sum *= (double)isa_exp(r->top - top);
            r->top = top;
        }
        r->sum += sum_of_exps(row, a->columns, r->top);
        int64_t target = a->targets[n] - a->first_column;
        if (target >= 0 && target < a->columns) {
            r->target = row[target];
        }
    }
}

ISA_INLINE void gradient_row(const cpu_softmax_args *a, int64_t n, bool bf16)
{
    const cpu_softmax_row *r = &a->rows[n];
    float *row = a->logits + n * a->columns;
    void *out = bf16 ? (void *)(a->dlogits + n * a->columns) : (void *)row;
    const float top = r->top, scale = (float)((double)a->grad_scale / r->sum);
    const int64_t target = a->targets[n] - a->first_column;
    const bool here = target >= 0 && target < a->columns;
    const float at_target = here ? isa_exp(row[target] - top) * scale - a->grad_scale : 0;
#pragma omp simd
    for (int64_t i = 0; i < a->columns; i++) {
        isa_store(out, i, isa_exp(row[i] - top) * scale, bf16);
    }
    if (here) {
        isa_store(out, target, at_target, bf16);
    }
}

static void softmax_gradient(const cpu_softmax_args *a)
{
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < a->N; n++) {
        if (a->dlogits != NULL) {
            gradient_row(a, n, true);
        } else {
            gradient_row(a, n, false);
        }
    }
}

void ISA_NAME(cpu_fill_loss)(cpu_kernels *table)
{
    table->softmax_gather = softmax_gather;
    table->softmax_gradient = softmax_gradient;
}
