/* The classifier: logits, loss and gradients, some tokens at a time and of those some columns of
 * the vocabulary at a time, so that what one product leaves is still in the cache when the next
 * reads it. */
#include <math.h>

#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_ops.h"

/* Some tokens; their buffers are shared by all. */
typedef struct classifier_chunk {
    float *logits;         /* (V), lots of (n, columns) one after the other */
    uint16_t *dlogits;     /* (n, columns), bf16 alone */
    uint16_t *h_packed;    /* h, where products read packed ones; else NULL */
    float *dh_sum;         /* (n, C) where dh is bf16 and comes in several parts; else NULL */
    cpu_softmax_row *rows; /* (n) */
    const void *h, *wte;
    const int32_t *targets;
    void *dh, *dwte;
    double grad_scale;
    bool first;
    int64_t n, C, V, columns;
} classifier_chunk;

static cpu_softmax_args softmax_args(const classifier_chunk *k, int64_t v, int64_t columns)
{
    return (cpu_softmax_args){.logits = k->logits + v * k->n,
                              .dlogits = k->dlogits,
                              .rows = k->rows,
                              .targets = k->targets,
                              .grad_scale = (float)k->grad_scale,
                              .N = k->n,
                              .columns = columns,
                              .first_column = v};
}

static gb_status logits_make(gb_device *dev, const classifier_chunk *k, int64_t v, int64_t columns)
{
    const int64_t act = dev->bf16 ? 2 : 4;
    GB_TRY(cpu_gemm_run(dev, &(cpu_gemm){.M = k->n,
                                         .N = columns,
                                         .K = k->C,
                                         .b_transposed = true,
                                         .c_float = true,
                                         .a = k->h,
                                         .b = (const char *)k->wte + v * k->C * act,
                                         .c = k->logits + v * k->n}));
    cpu_softmax_args args = softmax_args(k, v, columns);
    dev->kernels.softmax_gather(&args);
    return GB_OK;
}

/* dh (+)= dlogits . wte and dwte (+)= dlogits^T . h of these columns. */
static gb_status gradients_make(gb_device *dev, const classifier_chunk *k, int64_t v,
                                int64_t columns)
{
    const int64_t act = dev->bf16 ? 2 : 4;
    cpu_softmax_args args = softmax_args(k, v, columns);
    dev->kernels.softmax_gradient(&args);
    const bool sums = k->dh_sum != NULL || !dev->bf16;
    cpu_gemm product = {.M = k->n,
                        .N = k->C,
                        .K = columns,
                        .a = dev->bf16 ? (const void *)k->dlogits
                                       : (const void *)(k->logits + v * k->n),
                        .b = (const char *)k->wte + v * k->C * act,
                        .c = k->dh_sum != NULL ? k->dh_sum : k->dh,
                        .c_float = sums,
                        .accumulate = sums && v > 0};
    GB_TRY(cpu_gemm_run(dev, &product));
    product = (cpu_gemm){.M = columns,
                         .N = k->C,
                         .K = k->n,
                         .a_transposed = true,
                         .a = product.a,
                         .b = k->h_packed != NULL ? k->h_packed : k->h,
                         .b_packed = k->h_packed != NULL,
                         .c = (float *)k->dwte + v * k->C,
                         .c_float = true,
                         .accumulate = !k->first};
    return cpu_gemm_run(dev, &product);
}

static gb_status chunk_run(gb_device *dev, const classifier_chunk *k)
{
    for (int64_t v = 0; v < k->V; v += k->columns) {
        GB_TRY(logits_make(dev, k, v, k->V - v < k->columns ? k->V - v : k->columns));
    }
    if (k->dh == NULL) {
        return GB_OK;
    }
    if (k->h_packed != NULL) {
        dev->kernels.pack(
            &(cpu_pack_args){.out = k->h_packed, .in = k->h, .K = k->n, .N = k->C, .stride = k->C});
    }
    for (int64_t v = 0; v < k->V; v += k->columns) {
        GB_TRY(gradients_make(dev, k, v, k->V - v < k->columns ? k->V - v : k->columns));
    }
    if (k->dh_sum != NULL) {
        dev->kernels.to_bf16(k->dh, k->dh_sum, k->n * k->C);
    }
    return GB_OK;
}

static gb_status buffers_get(gb_device *dev, classifier_chunk *k, int64_t rows, bool grad)
{
    k->logits = cpu_slot_get(dev, CPU_SLOT_LOGITS, rows * k->V * (int64_t)sizeof(float));
    k->rows = cpu_slot_get(dev, CPU_SLOT_LOSSES, rows * (int64_t)sizeof *k->rows);
    bool have = k->logits != NULL && k->rows != NULL;
    if (grad && dev->bf16) {
        k->dlogits = cpu_slot_get(dev, CPU_SLOT_DLOGITS, rows * k->columns * 2);
        have = have && k->dlogits != NULL;
    }
    if (grad && dev->bf16 && k->columns < k->V) {
        k->dh_sum = cpu_slot_get(dev, CPU_SLOT_DH, rows * k->C * (int64_t)sizeof(float));
        have = have && k->dh_sum != NULL;
    }
    return have ? GB_OK : GB_ERR_OOM;
}

/* The last columns may be too few for packed products: then none is. */
static gb_status packing_choose(gb_device *dev, classifier_chunk *k)
{
    const int64_t rest = k->V % k->columns == 0 ? k->columns : k->V % k->columns;
    k->h_packed = NULL;
    if (k->dh == NULL || !cpu_onednn_packs(dev, rest, k->C, k->n)) {
        return GB_OK;
    }
    k->h_packed = cpu_slot_get(dev, CPU_SLOT_HIDDEN, 2 * cpu_packed_elements(k->n, k->C));
    return k->h_packed != NULL ? GB_OK : GB_ERR_OOM;
}

gb_status cpu_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                         const void *wte, const int32_t *targets, double grad_scale, bool first,
                         int64_t N, int64_t C, int64_t V)
{
    const int64_t rows = cpu_classifier_rows(N, V), act = dev->bf16 ? 2 : 4;
    const cpu_op op = cpu_op_begin(dev, GB_OP_CLASSIFIER);
    classifier_chunk k = {.wte = wte,
                          .dwte = dwte,
                          .grad_scale = grad_scale,
                          .C = C,
                          .V = V,
                          .columns = cpu_classifier_columns(rows, V)};
    GB_TRY(buffers_get(dev, &k, rows, dh != NULL));
    double sum = 0;
    for (int64_t n = 0; n < N; n += rows) {
        k.n = N - n < rows ? N - n : rows;
        k.h = (const char *)h + n * C * act;
        k.dh = dh != NULL ? (char *)dh + n * C * act : NULL;
        k.targets = targets + n;
        k.first = first && n == 0;
        GB_TRY(packing_choose(dev, &k));
        GB_TRY(chunk_run(dev, &k));
        for (int64_t i = 0; i < k.n; i++) {
            const cpu_softmax_row *r = &k.rows[i];
            sum += log(r->sum) + (double)r->top - (double)r->target;
        }
    }
    *(double *)loss_sum = first ? sum : *(double *)loss_sum + sum;
    double products = dh != NULL ? 3.0 : 1.0;
    cpu_op_end(dev, op, products * 2.0 * (double)N * (double)V * (double)C);
    return GB_OK;
}
