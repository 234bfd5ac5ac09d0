/* The plan of the workspace, its arena, the buffers that alloc gives out, and copies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_sizes.cuh"

static const int64_t SLOT_ALIGN = 256, STAGING_ITEMS = 1 << 18;

struct cuda_block {
    cuda_block *next;
    void *data;
    gb_memory_group group;
    int64_t bytes;
};

/* ---- workspace ---- */

static int64_t round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

int64_t cuda_memory_bytes(int ordinal)
{
    cudaDeviceProp properties;
    int count = 0;
    const bool known = cudaGetDeviceCount(&count) == cudaSuccess && ordinal < count &&
                       cudaGetDeviceProperties(&properties, ordinal) == cudaSuccess;
    (void)cudaGetLastError();
    return known ? (int64_t)properties.totalGlobalMem : 0;
}

/* Bytes of each workspace slot for these options on a GPU of so much memory; returns their sum. */
static int64_t slots_plan(const gb_options *options, int64_t memory_bytes,
                          int64_t bytes[CUDA_SLOT_COUNT])
{
    const gb_shape *s = &options->shape;
    const int64_t N = s->batch_size * s->sequence_length, V = s->vocab_size;
    const int act = options->precision == GB_BF16 ? 2 : 4;
    bytes[CUDA_SLOT_GEMM] = cuda_gemm_workspace_bytes(memory_bytes);
    bytes[CUDA_SLOT_LOGITS] =
        cuda_classifier_rows(N, V, act, memory_bytes) * cuda_classifier_stride(V) * act;
    bytes[CUDA_SLOT_LOSSES] = N * (int64_t)sizeof(double);
    bytes[CUDA_SLOT_ROPE] = s->sequence_length * s->head_dim * (int64_t)sizeof(float);
    bytes[CUDA_SLOT_PARTIALS] = CUDA_SUM_MAX_BLOCKS * (int64_t)sizeof(double);
    bytes[CUDA_SLOT_EMBED] = (2 * V + 1 + 2 * N) * (int64_t)sizeof(int32_t);
    bytes[CUDA_SLOT_ATTENTION] =
        cuda_attention_delta_bytes(s->batch_size, s->sequence_length, s->n_head);
    bytes[CUDA_SLOT_ADAMW] = CUDA_ADAMW_BYTES;
    bytes[CUDA_SLOT_STAGE] = CUDA_STAGE_ENTRIES * cuda_stage_entry_bytes(s);
    int64_t total = 0;
    for (int i = 0; i < CUDA_SLOT_COUNT; i++) {
        bytes[i] = round_up(bytes[i], SLOT_ALIGN);
        total += bytes[i];
    }
    return total;
}

int64_t cuda_backend_workspace_bytes(const gb_options *options)
{
    int64_t bytes[CUDA_SLOT_COUNT];
    const int ordinal = options->device_index > 0 ? options->device_index : 0;
    return slots_plan(options, cuda_memory_bytes(ordinal), bytes);
}

/* "12.3 MiB for workspace do not fit: 10.0 of 139.8 MiB are free" into dev->error. */
static gb_status fail_oom(gb_device *dev, int64_t bytes, const char *group)
{
    size_t available = 0, total = 0;
    (void)cudaGetLastError();
    if (cudaMemGetInfo(&available, &total) != cudaSuccess) {
        (void)cudaGetLastError();
        return gb_fail(&dev->error, GB_ERR_OOM, "out of device memory: %.1f MiB for %s",
                       (double)bytes / (1 << 20), group);
    }
    return gb_fail(&dev->error, GB_ERR_OOM,
                   "out of device memory: %.1f MiB for %s, where %.1f of %.1f MiB are free",
                   (double)bytes / (1 << 20), group, (double)available / (1 << 20),
                   (double)total / (1 << 20));
}

static gb_status device_malloc(gb_device *dev, int64_t bytes, const char *group, void **out)
{
    *out = NULL;
    cudaError_t code = cudaMalloc(out, (size_t)(bytes > 0 ? bytes : 1));
    if (code == cudaSuccess) {
        return GB_OK;
    }
    *out = NULL;
    return code == cudaErrorMemoryAllocation
               ? fail_oom(dev, bytes, group)
               : cuda_fail(dev, code, "alloc", group, __FILE__, __LINE__);
}

gb_status cuda_arena_open(gb_device *dev)
{
    int64_t bytes[CUDA_SLOT_COUNT];
    void *data;
    dev->staging = (float *)malloc(STAGING_ITEMS * sizeof(float));
    if (dev->staging == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "out of host memory for staging copies");
    }
    const int64_t total = slots_plan(&dev->options, dev->memory_bytes, bytes);
    GB_TRY(device_malloc(dev, total, gb_memory_group_name(GB_MEM_WORKSPACE), &data));
    dev->used[GB_MEM_WORKSPACE] = total;
    dev->arena = (char *)data;
    char *at = dev->arena;
    for (int i = 0; i < CUDA_SLOT_COUNT; i++) {
        dev->slots[i].data = at;
        dev->slots[i].bytes = bytes[i];
        at += bytes[i];
    }
    return GB_OK;
}

void cuda_arena_close(gb_device *dev)
{
    for (int i = 0; i < CUDA_SLOT_COUNT; i++) {
        if (dev->slots[i].own) {
            cudaFree(dev->slots[i].data);
        }
    }
    if (dev->arena != NULL) {
        cudaFree(dev->arena);
    }
    free(dev->staging);
}

gb_status cuda_slot_get(gb_device *dev, cuda_slot slot, int64_t bytes, void **out)
{
    *out = dev->slots[slot].data;
    if (dev->slots[slot].bytes >= bytes) {
        return GB_OK;
    }
    GB_TRY(device_malloc(dev, bytes, gb_memory_group_name(GB_MEM_WORKSPACE), out));
    if (dev->slots[slot].own) {
        cudaFree(dev->slots[slot].data); /* waits for kernels that still use it */
    }
    dev->used[GB_MEM_WORKSPACE] += bytes - (dev->slots[slot].own ? dev->slots[slot].bytes : 0);
    dev->slots[slot].data = *out;
    dev->slots[slot].bytes = bytes;
    dev->slots[slot].own = true;
    if (slot == CUDA_SLOT_ROPE) {
        dev->rope_T = dev->rope_D = 0;
    }
    return GB_OK;
}

/* ---- buffers ---- */

gb_status cuda_backend_alloc(gb_device *dev, gb_memory_group group, int64_t bytes, void **out)
{
    *out = NULL;
    if (bytes < 0) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "alloc: negative size %lld", (long long)bytes);
    }
    cuda_block *block = (cuda_block *)malloc(sizeof *block);
    if (block == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "out of host memory for %s",
                       gb_memory_group_name(group));
    }
    /* The current device is the thread's, and may be that of another gb_device. */
    cudaError_t code = cudaSetDevice(dev->ordinal);
    gb_status status = code == cudaSuccess
                           ? device_malloc(dev, bytes, gb_memory_group_name(group), out)
                           : cuda_fail(dev, code, "alloc", "cudaSetDevice", __FILE__, __LINE__);
    if (status != GB_OK) {
        free(block);
        return status;
    }
    dev->used[group] += bytes;
    block->data = *out;
    block->group = group;
    block->bytes = bytes;
    block->next = dev->blocks;
    dev->blocks = block;
    return GB_OK;
}

void cuda_backend_free(gb_device *dev, void *ptr)
{
    for (cuda_block **link = &dev->blocks; *link != NULL; link = &(*link)->next) {
        cuda_block *block = *link;
        if (block->data == ptr) {
            *link = block->next;
            dev->used[block->group] -= block->bytes;
            cudaFree(block->data);
            free(block);
            return;
        }
    }
}

void cuda_backend_memory_used(gb_device *dev, int64_t bytes[GB_MEM_GROUPS])
{
    memcpy(bytes, dev->used, sizeof dev->used);
}

void cuda_blocks_close(gb_device *dev)
{
    while (dev->blocks != NULL) {
        cuda_backend_free(dev, dev->blocks->data);
    }
}

/* ---- copies ---- */

/* A blocking copy of the ledger's row "copy". */
static gb_status copy(gb_device *dev, const char *op, void *dst, const void *src, int64_t bytes,
                      cudaMemcpyKind kind)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_COPY));
    CUDA_TRY(dev, op, cudaMemcpyAsync(dst, src, (size_t)bytes, kind, dev->stream));
    CUDA_TRY(dev, op, cudaStreamSynchronize(dev->stream));
    return cuda_op_end(dev, 0);
}

gb_status cuda_backend_upload(gb_device *dev, void *dst, const void *host_src, int64_t bytes)
{
    return copy(dev, "upload", dst, host_src, bytes, cudaMemcpyHostToDevice);
}

gb_status cuda_backend_download(gb_device *dev, void *host_dst, const void *src, int64_t bytes)
{
    return copy(dev, "download", host_dst, src, bytes, cudaMemcpyDeviceToHost);
}

gb_status cuda_backend_zero(gb_device *dev, void *dst, int64_t bytes)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_ZERO));
    CUDA_TRY(dev, "zero", cudaMemsetAsync(dst, 0, (size_t)bytes, dev->stream));
    return cuda_op_end(dev, 0);
}

gb_status cuda_backend_upload_wide(gb_device *dev, void *dst, const double *host_src, int64_t n)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_COPY));
    for (int64_t at = 0; at < n; at += STAGING_ITEMS) {
        const int64_t count = n - at < STAGING_ITEMS ? n - at : STAGING_ITEMS;
        for (int64_t i = 0; i < count; i++) {
            dev->staging[i] = (float)host_src[at + i];
        }
        CUDA_TRY(dev, "upload_wide",
                 cudaMemcpyAsync((float *)dst + at, dev->staging, (size_t)count * sizeof(float),
                                 cudaMemcpyHostToDevice, dev->stream));
        CUDA_TRY(dev, "upload_wide", cudaStreamSynchronize(dev->stream));
    }
    return cuda_op_end(dev, 0);
}

gb_status cuda_backend_download_wide(gb_device *dev, double *host_dst, const void *src, int64_t n)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_COPY));
    for (int64_t at = 0; at < n; at += STAGING_ITEMS) {
        const int64_t count = n - at < STAGING_ITEMS ? n - at : STAGING_ITEMS;
        CUDA_TRY(dev, "download_wide",
                 cudaMemcpyAsync(dev->staging, (const float *)src + at,
                                 (size_t)count * sizeof(float), cudaMemcpyDeviceToHost,
                                 dev->stream));
        CUDA_TRY(dev, "download_wide", cudaStreamSynchronize(dev->stream));
        for (int64_t i = 0; i < count; i++) {
            host_dst[at + i] = (double)dev->staging[i];
        }
    }
    return cuda_op_end(dev, 0);
}
