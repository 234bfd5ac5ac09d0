/* Matrix products: float through dnnl_sgemm, oneDNN matmul primitives or OpenBLAS, whichever the
 * instruction set and orientation favour; bfloat16 through matmul primitives. Primitives are made
 * once per shape and kept. Where the CPU has no bfloat16 dot product,
 * or oneDNN refuses a shape, bfloat16 operands are widened and multiplied in float. */
/* First: cblas.h brings in complex.h, whose macro I would break the prototypes. */
#include "kernels/cpu/cpu_device.h"

#include <cblas.h>
#include <dnnl.h>
#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cached_matmul {
    dnnl_data_type_t type; /* of a and b */
    int64_t M, N, K;
    bool a_transposed, b_transposed, c_float, accumulate;
    dnnl_primitive_t primitive; /* NULL: oneDNN refused */
    dnnl_memory_t a, b, c, scratchpad;
    int64_t scratchpad_bytes;
} cached_matmul;

struct cpu_gemm_cache {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    cached_matmul *entries;
    int count, capacity;
};

gb_status cpu_gemm_open(gb_device *dev, gb_error *err)
{
    dev->gemm = calloc(1, sizeof *dev->gemm);
    if (dev->gemm == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    omp_set_num_threads(dev->threads);
    if (dnnl_engine_create(&dev->gemm->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&dev->gemm->stream, dev->gemm->engine, dnnl_stream_default_flags) !=
            dnnl_success) {
        return gb_fail(err, GB_ERR_ENV, "oneDNN cannot make a CPU engine");
    }
    dev->bf16_emulated = dev->bf16 && !cpu_isa_has_bf16(dev->isa);
    /* Measured on AVX-512 machines: oneDNN's float product beats OpenBLAS's by a fifth. */
    dev->float_by_onednn = dev->isa == CPU_ISA_AVX512;
    return GB_OK;
}

static void matmul_destroy(cached_matmul *m)
{
    dnnl_memory_destroy(m->a);
    dnnl_memory_destroy(m->b);
    dnnl_memory_destroy(m->c);
    dnnl_memory_destroy(m->scratchpad);
    dnnl_primitive_destroy(m->primitive);
}

void cpu_gemm_close(gb_device *dev)
{
    cpu_gemm_cache *cache = dev->gemm;
    if (cache == NULL) {
        return;
    }
    for (int i = 0; i < cache->count; i++) {
        matmul_destroy(&cache->entries[i]);
    }
    free(cache->entries);
    dnnl_stream_destroy(cache->stream);
    dnnl_engine_destroy(cache->engine);
    free(cache);
}

static dnnl_status_t matmul_describe(const cpu_gemm *g, dnnl_data_type_t type,
                                     dnnl_memory_desc_t *a, dnnl_memory_desc_t *b,
                                     dnnl_memory_desc_t *c)
{
    dnnl_dims_t a_dims = {g->M, g->K}, b_dims = {g->K, g->N}, c_dims = {g->M, g->N};
    dnnl_dims_t a_strides = {g->a_transposed ? 1 : g->K, g->a_transposed ? g->M : 1};
    dnnl_dims_t b_strides = {g->b_transposed ? 1 : g->N, g->b_transposed ? g->K : 1};
    dnnl_dims_t c_strides = {g->N, 1};
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(a, 2, a_dims, type, a_strides);
    if (status == dnnl_success) {
        status = dnnl_memory_desc_init_by_strides(b, 2, b_dims, type, b_strides);
    }
    if (status == dnnl_success) {
        status =
            dnnl_memory_desc_init_by_strides(c, 2, c_dims, g->c_float ? dnnl_f32 : type, c_strides);
    }
    return status;
}

static dnnl_status_t matmul_attributes(dnnl_primitive_attr_t *attr, bool accumulate)
{
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    }
    if (status != dnnl_success || !accumulate) {
        return status;
    }
    dnnl_post_ops_t sum;
    status = dnnl_post_ops_create(&sum);
    if (status == dnnl_success) {
        status = dnnl_post_ops_append_sum(sum, 1.0f);
        if (status == dnnl_success) {
            status = dnnl_primitive_attr_set_post_ops(*attr, sum);
        }
        dnnl_post_ops_destroy(sum);
    }
    return status;
}

/* Fills *m for the product's shape; m->primitive stays NULL when oneDNN cannot do it. */
static void matmul_create(dnnl_engine_t engine, cached_matmul *m, const cpu_gemm *g,
                          dnnl_data_type_t type)
{
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t op;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    *m = (cached_matmul){.type = type,
                         .M = g->M,
                         .N = g->N,
                         .K = g->K,
                         .a_transposed = g->a_transposed,
                         .b_transposed = g->b_transposed,
                         .c_float = g->c_float,
                         .accumulate = g->accumulate};
    if (matmul_describe(g, type, &a, &b, &c) != dnnl_success ||
        dnnl_matmul_desc_init(&op, &a, &b, NULL, &c) != dnnl_success ||
        matmul_attributes(&attr, g->accumulate) != dnnl_success ||
        dnnl_primitive_desc_create(&desc, &op, attr, engine, NULL) != dnnl_success) {
        goto done;
    }
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    m->scratchpad_bytes = (int64_t)dnnl_memory_desc_get_size(pad);
    if (dnnl_memory_create(&m->a, &a, engine, DNNL_MEMORY_NONE) != dnnl_success ||
        dnnl_memory_create(&m->b, &b, engine, DNNL_MEMORY_NONE) != dnnl_success ||
        dnnl_memory_create(&m->c, &c, engine, DNNL_MEMORY_NONE) != dnnl_success ||
        dnnl_memory_create(&m->scratchpad, pad, engine, DNNL_MEMORY_NONE) != dnnl_success ||
        dnnl_primitive_create(&m->primitive, desc) != dnnl_success) {
        m->primitive = NULL;
    }
done:
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
}

/* The primitive of this shape, made at first use. NULL when oneDNN refused or memory is short. */
static cached_matmul *matmul_find(cpu_gemm_cache *cache, const cpu_gemm *g, dnnl_data_type_t type)
{
    for (int i = 0; i < cache->count; i++) {
        cached_matmul *m = &cache->entries[i];
        if (m->type == type && m->M == g->M && m->N == g->N && m->K == g->K &&
            m->a_transposed == g->a_transposed && m->b_transposed == g->b_transposed &&
            m->c_float == g->c_float && m->accumulate == g->accumulate) {
            return m->primitive != NULL ? m : NULL;
        }
    }
    if (cache->count == cache->capacity) {
        int capacity = cache->capacity > 0 ? 2 * cache->capacity : 32;
        cached_matmul *grown = realloc(cache->entries, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        cache->entries = grown;
        cache->capacity = capacity;
    }
    cached_matmul *m = &cache->entries[cache->count++];
    matmul_create(cache->engine, m, g, type);
    return m->primitive != NULL ? m : NULL;
}

static gb_status matmul_run(gb_device *dev, const cached_matmul *m, const cpu_gemm *g)
{
    void *scratchpad = cpu_slot_get(dev, CPU_SLOT_GEMM_PAD, m->scratchpad_bytes);
    if (scratchpad == NULL) {
        return GB_ERR_OOM;
    }
    /* oneDNN's interface is not const-correct; sources are only read. */
    dnnl_memory_set_data_handle(m->a, (void *)(uintptr_t)g->a);
    dnnl_memory_set_data_handle(m->b, (void *)(uintptr_t)g->b);
    dnnl_memory_set_data_handle(m->c, g->c);
    dnnl_memory_set_data_handle(m->scratchpad, scratchpad);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, m->a},
                                    {DNNL_ARG_WEIGHTS, m->b},
                                    {DNNL_ARG_DST, m->c},
                                    {DNNL_ARG_SCRATCHPAD, m->scratchpad}};
    dnnl_status_t status = dnnl_primitive_execute(m->primitive, dev->gemm->stream, 4, args);
    if (status == dnnl_success) {
        status = dnnl_stream_wait(dev->gemm->stream);
    }
    return status == dnnl_success ? GB_OK
                                  : gb_fail(&dev->error, GB_ERR_INTERNAL,
                                            "oneDNN matmul failed (status %d)", (int)status);
}

static gb_status float_product(gb_device *dev, const cpu_gemm *g)
{
    const int64_t lda = g->a_transposed ? g->M : g->K, ldb = g->b_transposed ? g->K : g->N;
    const float beta = g->accumulate ? 1.0f : 0.0f;
    if (dev->float_by_onednn) {
        /* dnnl_sgemm loses up to a third on long rows of a transposed b, where the matmul
         * primitive does not; elsewhere it is as good or better. */
        if (g->b_transposed && !g->accumulate && g->K >= g->N) {
            cached_matmul *m = matmul_find(dev->gemm, g, dnnl_f32);
            if (m != NULL) {
                return matmul_run(dev, m, g);
            }
        }
        dnnl_status_t status =
            dnnl_sgemm(g->a_transposed ? 'T' : 'N', g->b_transposed ? 'T' : 'N', g->M, g->N, g->K,
                       1.0f, g->a, lda, g->b, ldb, beta, g->c, g->N);
        if (status == dnnl_success) {
            return GB_OK;
        }
    }
    if (g->M > INT_MAX || g->N > INT_MAX || g->K > INT_MAX) {
        return gb_fail(&dev->error, GB_ERR_USAGE, "matrix product %lld x %lld x %lld: too large",
                       (long long)g->M, (long long)g->N, (long long)g->K);
    }
    cblas_sgemm(CblasRowMajor, g->a_transposed ? CblasTrans : CblasNoTrans,
                g->b_transposed ? CblasTrans : CblasNoTrans, (int)g->M, (int)g->N, (int)g->K, 1.0f,
                g->a, (int)lda, g->b, (int)ldb, beta, g->c, (int)g->N);
    return GB_OK;
}

/* bfloat16 operands widened, product in float, result rounded where it is act. */
static gb_status emulated_product(gb_device *dev, const cpu_gemm *g)
{
    float *a = cpu_slot_get(dev, CPU_SLOT_GEMM_A, g->M * g->K * (int64_t)sizeof *a);
    float *b = cpu_slot_get(dev, CPU_SLOT_GEMM_B, g->K * g->N * (int64_t)sizeof *b);
    float *c = g->c;
    if (!g->c_float) {
        c = cpu_slot_get(dev, CPU_SLOT_GEMM_C, g->M * g->N * (int64_t)sizeof *c);
    }
    if (a == NULL || b == NULL || c == NULL) {
        return GB_ERR_OOM;
    }
    dev->kernels.to_float(a, g->a, g->M * g->K);
    dev->kernels.to_float(b, g->b, g->K * g->N);
    cpu_gemm wide = *g;
    wide.a = a;
    wide.b = b;
    wide.c = c;
    GB_TRY(float_product(dev, &wide));
    if (!g->c_float) {
        dev->kernels.to_bf16(g->c, c, g->M * g->N);
    }
    return GB_OK;
}

gb_status cpu_gemm_run(gb_device *dev, const cpu_gemm *g)
{
    if (!dev->bf16) {
        return float_product(dev, g);
    }
    cached_matmul *m = dev->bf16_emulated ? NULL : matmul_find(dev->gemm, g, dnnl_bf16);
    return m != NULL ? matmul_run(dev, m, g) : emulated_product(dev, g);
}

void cpu_gemm_libraries(const gb_device *dev, char *out, size_t size)
{
    const dnnl_version_t *dnnl = dnnl_version();
    char version[64] = "";
    /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..." */
    const char *config = openblas_get_config();
    if (sscanf(config, "OpenBLAS %63s", version) != 1) {
        version[0] = '\0';
    }
    snprintf(out, size, "oneDNN %d.%d.%d%s, OpenBLAS %s (%s)%s", dnnl->major, dnnl->minor,
             dnnl->patch, dev->bf16 || dev->float_by_onednn ? "" : " (unused)", version,
             openblas_get_corename(), dev->float_by_onednn ? " (unused)" : "");
}
