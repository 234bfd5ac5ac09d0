/* Products of bfloat16 matrices where the CPU has fast ones, which is on x86-64 alone: oneDNN
 * matmul primitives, whose right-hand sides are packed and left-hand sides made row-major by our
 * own copies first: oneDNN's own, inside its products, cost up to a fifth of them. Primitives are
 * made once per shape and kept. Elsewhere oneDNN is neither needed nor linked. */
#include "kernels/cpu/cpu_device.h"

#if defined(__x86_64__)

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Below these sizes a copy costs more than it saves. */
enum { PACK_MIN_M = 128, PACK_MIN_K = 64 };

typedef struct cached_matmul {
    dnnl_data_type_t type;      /* of a and b */
    cpu_gemm shape;             /* without the matrices */
    dnnl_primitive_t primitive; /* NULL: oneDNN refused */
    dnnl_memory_t a, b, c, scratchpad;
    int64_t scratchpad_bytes;
} cached_matmul;

struct cpu_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    cached_matmul *entries;
    int count, capacity;
};

static void matmul_destroy(cached_matmul *m)
{
    dnnl_memory_destroy(m->a);
    dnnl_memory_destroy(m->b);
    dnnl_memory_destroy(m->c);
    dnnl_memory_destroy(m->scratchpad);
    dnnl_primitive_destroy(m->primitive);
}

void cpu_onednn_close(gb_device *dev)
{
    cpu_onednn *cache = dev->onednn;
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

static dnnl_status_t matrix_describe(dnnl_memory_desc_t *out, int64_t rows, int64_t columns,
                                     dnnl_data_type_t type, int64_t stride, bool transposed)
{
    dnnl_dims_t dims = {rows, columns};
    dnnl_dims_t strides = {transposed ? 1 : stride, transposed ? stride : 1};
    return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides);
}

static dnnl_status_t matmul_describe(const cpu_gemm *g, dnnl_data_type_t type,
                                     dnnl_memory_desc_t *a, dnnl_memory_desc_t *b,
                                     dnnl_memory_desc_t *c)
{
    dnnl_dims_t b_dims = {g->K, g->N};
    dnnl_status_t status =
        matrix_describe(a, g->M, g->K, type, cpu_gemm_a_stride(g), g->a_transposed);
    if (status == dnnl_success) {
        status = g->b_packed
                     ? dnnl_memory_desc_init_by_tag(b, 2, b_dims, type, dnnl_BA16a64b2a)
                     : matrix_describe(b, g->K, g->N, type, cpu_gemm_b_stride(g), g->b_transposed);
    }
    if (status == dnnl_success) {
        status = matrix_describe(c, g->M, g->N, g->c_float ? dnnl_f32 : type, g->N, false);
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

/* oneDNN does everything, some of it a thousand times slower than it could be done. */
static bool is_reference(const_dnnl_primitive_desc_t desc)
{
    const char *name = NULL;
    return dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) != dnnl_success ||
           name == NULL || strncmp(name, "ref", 3) == 0;
}

/* Fills *m for the product's shape; m->primitive stays NULL when oneDNN cannot do it. */
static void matmul_create(dnnl_engine_t engine, cached_matmul *m, const cpu_gemm *g,
                          dnnl_data_type_t type)
{
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t op;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    *m = (cached_matmul){.type = type, .shape = *g};
    m->shape.a = m->shape.b = m->shape.c = NULL;
    if (matmul_describe(g, type, &a, &b, &c) != dnnl_success ||
        dnnl_matmul_desc_init(&op, &a, &b, NULL, &c) != dnnl_success ||
        matmul_attributes(&attr, g->accumulate) != dnnl_success ||
        dnnl_primitive_desc_create(&desc, &op, attr, engine, NULL) != dnnl_success ||
        is_reference(desc)) {
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

static bool shapes_equal(const cpu_gemm *x, const cpu_gemm *y)
{
    return x->M == y->M && x->N == y->N && x->K == y->K && x->a_transposed == y->a_transposed &&
           x->b_transposed == y->b_transposed && x->b_packed == y->b_packed &&
           x->c_float == y->c_float && x->accumulate == y->accumulate;
}

/* The primitive of this shape, made at first use. NULL when oneDNN refused or memory is short. */
static cached_matmul *matmul_find(cpu_onednn *cache, const cpu_gemm *g, dnnl_data_type_t type)
{
    for (int i = 0; i < cache->count; i++) {
        cached_matmul *m = &cache->entries[i];
        if (m->type == type && shapes_equal(&m->shape, g)) {
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

gb_status cpu_onednn_open(gb_device *dev, gb_error *err)
{
    dev->onednn = calloc(1, sizeof *dev->onednn);
    if (dev->onednn == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    if (dnnl_engine_create(&dev->onednn->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&dev->onednn->stream, dev->onednn->engine, dnnl_stream_default_flags) !=
            dnnl_success) {
        return gb_fail(err, GB_ERR_ENV, "oneDNN cannot make a CPU engine");
    }
    const cpu_gemm trial = {.M = PACK_MIN_M, .N = CPU_PACK_N, .K = PACK_MIN_K, .b_packed = true};
    dev->packs = matmul_find(dev->onednn, &trial, dnnl_bf16) != NULL;
    return GB_OK;
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
    dnnl_status_t status = dnnl_primitive_execute(m->primitive, dev->onednn->stream, 4, args);
    if (status == dnnl_success) {
        status = dnnl_stream_wait(dev->onednn->stream);
    }
    return status == dnnl_success ? GB_OK
                                  : gb_fail(&dev->error, GB_ERR_INTERNAL,
                                            "oneDNN matmul failed (status %d)", (int)status);
}

bool cpu_onednn_packs(const gb_device *dev, int64_t M, int64_t N, int64_t K)
{
    return dev->packs && M >= PACK_MIN_M && N >= CPU_PACK_N && K >= PACK_MIN_K;
}

/* The product with its operands copied into the order in which it reads them. *done is false when
 * oneDNN has no primitive for it. */
static gb_status packed_product(gb_device *dev, const cpu_gemm *g, bool *done)
{
    const int64_t element = (int64_t)sizeof(uint16_t);
    cpu_gemm p = *g;
    p.a_transposed = p.b_transposed = false;
    p.b_packed = true;
    const cached_matmul *m = matmul_find(dev->onednn, &p, dnnl_bf16);
    *done = m != NULL;
    if (m == NULL) {
        return GB_OK;
    }
    if (g->a_transposed) {
        uint16_t *a = cpu_slot_get(dev, CPU_SLOT_GEMM_A, g->M * g->K * element);
        if (a == NULL) {
            return GB_ERR_OOM;
        }
        dev->kernels.transpose(&(cpu_transpose_args){
            .out = a, .in = g->a, .rows = g->K, .columns = g->M, .stride = cpu_gemm_a_stride(g)});
        p.a = a;
    }
    if (!g->b_packed) {
        uint16_t *b = cpu_slot_get(dev, CPU_SLOT_GEMM_B, cpu_packed_elements(g->K, g->N) * element);
        if (b == NULL) {
            return GB_ERR_OOM;
        }
        dev->kernels.pack(&(cpu_pack_args){.out = b,
                                           .in = g->b,
                                           .K = g->K,
                                           .N = g->N,
                                           .stride = cpu_gemm_b_stride(g),
                                           .transposed = g->b_transposed});
        p.b = b;
    }
    return matmul_run(dev, m, &p);
}

gb_status cpu_onednn_run(gb_device *dev, const cpu_gemm *g, bool *done)
{
    *done = false;
    if (g->b_packed || cpu_onednn_packs(dev, g->M, g->N, g->K)) {
        GB_TRY(packed_product(dev, g, done));
        if (!*done && g->b_packed) {
            return gb_fail(&dev->error, GB_ERR_INTERNAL,
                           "oneDNN has no product %lld x %lld x %lld of packed matrices",
                           (long long)g->M, (long long)g->N, (long long)g->K);
        }
    }
    if (*done) {
        return GB_OK;
    }
    const cached_matmul *m = matmul_find(dev->onednn, g, dnnl_bf16);
    *done = m != NULL;
    return m != NULL ? matmul_run(dev, m, g) : GB_OK;
}

void cpu_onednn_describe(char *out, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(out, size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

#else

gb_status cpu_onednn_open(gb_device *dev, gb_error *err)
{
    (void)dev;
    return gb_fail(err, GB_ERR_ENV, "oneDNN is used on x86-64 alone");
}

void cpu_onednn_close(gb_device *dev)
{
    (void)dev;
}

bool cpu_onednn_packs(const gb_device *dev, int64_t M, int64_t N, int64_t K)
{
    (void)dev, (void)M, (void)N, (void)K;
    return false;
}

gb_status cpu_onednn_run(gb_device *dev, const cpu_gemm *g, bool *done)
{
    (void)dev, (void)g;
    *done = false;
    return GB_OK;
}

void cpu_onednn_describe(char *out, size_t size)
{
    out[0] = '\0';
    (void)size;
}

#endif
