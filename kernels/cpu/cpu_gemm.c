/* Matrix products. In float, of float or bfloat16 matrices: our own product (isa/product.c). Of
 * bfloat16 matrices where the CPU has fast products of them: oneDNN's (cpu_onednn.c); where that
 * has none for a shape, it is multiplied in float. */
#include <omp.h>
#include <stdio.h>

#include "kernels/cpu/cpu_device.h"

static bool is_native(const gb_device *dev)
{
    return dev->bf16 && !dev->bf16_emulated;
}

gb_status cpu_gemm_open(gb_device *dev, gb_error *err)
{
    omp_set_num_threads(dev->threads);
    dev->bf16_emulated = dev->bf16 && dev->isa != CPU_ISA_AVX512_BF16;
    return is_native(dev) ? cpu_onednn_open(dev, err) : GB_OK;
}

void cpu_gemm_close(gb_device *dev)
{
    cpu_onednn_close(dev);
}

/* Of operands of either type. */
static gb_status product_in_float(gb_device *dev, const cpu_gemm *g)
{
    cpu_product_args args = {.a = g->a,
                             .b = g->b,
                             .c = g->c,
                             .M = g->M,
                             .N = g->N,
                             .K = g->K,
                             .lda = cpu_gemm_a_stride(g),
                             .ldb = cpu_gemm_b_stride(g),
                             .a_transposed = g->a_transposed,
                             .b_transposed = g->b_transposed,
                             .bf16 = dev->bf16,
                             .c_bf16 = dev->bf16 && !g->c_float,
                             .accumulate = g->accumulate};
    args.workspace = cpu_slot_get(dev, CPU_SLOT_PRODUCT,
                                  cpu_product_workspace_bytes(g->M, omp_get_max_threads()));
    if (args.c_bf16 && g->K > CPU_PRODUCT_DEPTH) {
        args.sums = cpu_slot_get(dev, CPU_SLOT_GEMM_C, g->M * g->N * (int64_t)sizeof *args.sums);
    }
    if (args.workspace == NULL || (args.c_bf16 && g->K > CPU_PRODUCT_DEPTH && args.sums == NULL)) {
        return GB_ERR_OOM;
    }
    dev->kernels.product(&args);
    return GB_OK;
}

gb_status cpu_gemm_run(gb_device *dev, const cpu_gemm *g)
{
    bool done = false;
    if (is_native(dev)) {
        GB_TRY(cpu_onednn_run(dev, g, &done));
    }
    return done ? GB_OK : product_in_float(dev, g);
}

void cpu_gemm_libraries(const gb_device *dev, char *out, size_t size)
{
    char onednn[64];
    cpu_onednn_describe(onednn, sizeof onednn);
    if (is_native(dev)) {
        snprintf(out, size, "%s", onednn);
    } else if (onednn[0] != '\0') {
        snprintf(out, size, "own products, %s (unused)", onednn);
    } else {
        snprintf(out, size, "own products");
    }
}
