/* Softmax cross-entropy over rows of logits, with its gradient. */
#include <math.h>

#include "kernels/cpu/isa/isa.h"

ISA_INLINE void softmax_row(const cpu_softmax_args *a, int64_t n, bool bf16)
{
    const int64_t V = a->V;
    float *row = a->logits + n * V;
    float top = isa_max(row, V);
    float target = row[a->targets[n]];
    /* Sums of a few thousand terms in float lose digits that the loss must keep, so partial sums
     * of one block each are added up in double. */
    double sum = 0;
    for (int64_t from = 0; from < V; from += 1024) {
        int64_t to = V - from < 1024 ? V : from + 1024;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = from; i < to; i++) {
            float e = isa_exp(row[i] - top);
            row[i] = e;
            part += e;
        }
        sum += (double)part;
    }
    /* A NaN among the logits may have lost the comparisons above; it is in the sum. */
    /* cppcheck-suppress invalidFunctionArg ; V >= 1, so that there is a sum */
    a->losses[n] = log(sum) + (double)top - (double)target;
    if (!a->grad) {
        return;
    }
    float scale = (float)((double)a->grad_scale / sum);
    void *out = bf16 ? (void *)(a->dlogits + n * V) : (void *)row;
    float at_target = row[a->targets[n]] * scale - a->grad_scale;
#pragma omp simd
    for (int64_t i = 0; i < V; i++) {
        isa_store(out, i, row[i] * scale, bf16);
    }
    isa_store(out, a->targets[n], at_target, bf16);
}

static void softmax_loss(const cpu_softmax_args *args)
{
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < args->N; n++) {
        if (args->bf16) {
            softmax_row(args, n, true);
        } else {
            softmax_row(args, n, false);
        }
    }
}

void ISA_NAME(cpu_fill_loss)(cpu_kernels *table)
{
    table->softmax_loss = softmax_loss;
}
