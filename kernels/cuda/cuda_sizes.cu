#include "kernels/cuda/cuda_sizes.cuh"

/* A chunk of logits takes at most so much, or this share of the GPU's memory where that is more
 * (from 16 GiB on): each chunk reads and writes the (V, C) gradient, so that few are better than
 * many. A share of all memory, not of what is free at the moment: the order of sums follows from
 * it. */
static const int64_t CHUNK_BYTES = (int64_t)512 << 20, CHUNK_SHARE = 32;

int64_t cuda_gemm_workspace_bytes(int64_t memory_bytes)
{
    const int64_t MIB = 1 << 20, share = memory_bytes / 256;
    return share >= 128 * MIB ? 128 * MIB : share >= 64 * MIB ? 64 * MIB : 32 * MIB;
}

int64_t cuda_classifier_stride(int64_t V)
{
    return (V + GB_VOCABULARY_STEP - 1) / GB_VOCABULARY_STEP * GB_VOCABULARY_STEP;
}

int64_t cuda_classifier_rows(int64_t N, int64_t V, int act_bytes, int64_t memory_bytes)
{
    const int64_t share = memory_bytes / CHUNK_SHARE;
    const int64_t most = share > CHUNK_BYTES ? share : CHUNK_BYTES;
    int64_t rows = most / (cuda_classifier_stride(V) * act_bytes) / 128 * 128;
    rows = rows < 128 ? 128 : rows > CUDA_CLASSIFIER_ROWS ? (int64_t)CUDA_CLASSIFIER_ROWS : rows;
    return rows < N ? rows : N;
}

int64_t cuda_attention_delta_bytes(int64_t B, int64_t T, int64_t H)
{
    return (int64_t)sizeof(float) * B * T * H;
}

int64_t cuda_stage_entry_bytes(const gb_shape *shape)
{
    const int64_t tokens = shape->batch_size * shape->sequence_length * (int64_t)sizeof(int32_t);
    const int64_t least = GB_STAGE_MIN_BYTES, bytes = tokens > least ? tokens : least;
    return (bytes + 255) / 256 * 256;
}
