/* Rows of the embedding: gathered forward, summed backward. */
#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256, WARPS = THREADS / 32, SCAN_THREADS = 1024, HEAVY = 32 };

/* ---- forward ---- */

/* No FLOPs; 2 N C A + 4 N bytes, A = sizeof(act). A row is row.by accesses. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS)
    embed_forward_kernel(Act *out, const int32_t *tokens, const Act *wte, uint32_t accesses,
                         cuda_divisor row)
{
    for (uint32_t i = grid_index_32(); i < accesses; i += grid_size_32()) {
        const uint32_t n = cuda_quotient(i, row), column = i - n * row.by;
        packed<Act, W> p;
        load_packed(&p, wte + ((size_t)(uint32_t)tokens[n] * row.by + column) * W);
        store_packed(out + (size_t)i * W, p);
    }
}

template <typename Act, int W>
static gb_status embed_forward(gb_device *dev, Act *out, const int32_t *tokens, const Act *wte,
                               int64_t N, int64_t C)
{
    const int64_t rows = cuda_rows_at_once(dev, C / W);
    for (int64_t n = 0; n < N; n += rows) {
        const int64_t accesses = (N - n < rows ? N - n : rows) * (C / W);
        GB_TRY(CUDA_LAUNCH(dev, "embed_forward", (embed_forward_kernel<Act, W>),
                           cuda_grid_stride(dev, accesses, THREADS), out + n * C, tokens + n, wte,
                           (uint32_t)accesses, cuda_divisor_of(C / W)));
    }
    return GB_OK;
}

template <typename Act>
static gb_status embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                               int64_t N, int64_t C)
{
    constexpr int W = wide_access<Act>();
    return cuda_aligned(C * (int64_t)sizeof(Act), out, wte)
               ? embed_forward<Act, W>(dev, (Act *)out, tokens, (const Act *)wte, N, C)
               : embed_forward<Act, 1>(dev, (Act *)out, tokens, (const Act *)wte, N, C);
}

gb_status cuda_embed_forward(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                             int64_t N, int64_t C)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_EMBED));
    GB_TRY(dev->bf16 ? embed_forward<bf16>(dev, out, tokens, wte, N, C)
                     : embed_forward<float>(dev, out, tokens, wte, N, C));
    return cuda_op_end(dev, 0);
}

/* ---- backward ----
 * A stable counting sort of the positions by token, then each vocabulary row sums its positions in
 * ascending order. Only integers are added atomically, so the result is the same every time. */

struct embed_sort {
    int32_t *starts;  /* (V + 1): where each token's positions start */
    int32_t *cursor;  /* (V): counts, then the next free place of each token */
    int32_t *bucket;  /* (N): positions by token, in any order within one */
    int32_t *ordered; /* (N): positions by token, ascending within one */
    const int32_t *tokens;
    int64_t N, V;
};

/* A kernel, for what a recorded step does with a cudaMemsetAsync is the driver's choice, and a
 * profile expects a record for each node. */
__global__ void __launch_bounds__(THREADS) embed_clear_kernel(embed_sort s)
{
    const uint32_t V = (uint32_t)s.V;
#pragma unroll 1
    for (uint32_t v = grid_index_32(); v < V; v += grid_size_32()) {
        s.cursor[v] = 0;
    }
}

__global__ void __launch_bounds__(THREADS) embed_count_kernel(embed_sort s)
{
    for (int64_t n = grid_index(); n < s.N; n += grid_size()) {
        atomicAdd(&s.cursor[s.tokens[n]], 1);
    }
}

/* Exclusive sums of the counts, by one block: each thread takes a run of tokens. */
__global__ void __launch_bounds__(SCAN_THREADS) embed_scan_kernel(embed_sort s)
{
    __shared__ int32_t sums[SCAN_THREADS];
    const int64_t run = (s.V + SCAN_THREADS - 1) / SCAN_THREADS;
    const int64_t begin = threadIdx.x * run, end = begin + run < s.V ? begin + run : s.V;
    int32_t own = 0;
    for (int64_t v = begin; v < end; v++) {
        own += s.cursor[v];
    }
    sums[threadIdx.x] = own;
    __syncthreads();
    for (int offset = 1; offset < SCAN_THREADS; offset *= 2) {
        const int32_t before = (int)threadIdx.x >= offset ? sums[threadIdx.x - offset] : 0;
        __syncthreads();
        sums[threadIdx.x] += before;
        __syncthreads();
    }
    int32_t at = sums[threadIdx.x] - own;
    for (int64_t v = begin; v < end; v++) {
        const int32_t count = s.cursor[v];
        s.starts[v] = at;
        s.cursor[v] = at;
        at += count;
    }
    if (threadIdx.x == 0) {
        s.starts[s.V] = (int32_t)s.N;
    }
}

__global__ void __launch_bounds__(THREADS) embed_fill_kernel(embed_sort s)
{
    for (int64_t n = grid_index(); n < s.N; n += grid_size()) {
        s.bucket[atomicAdd(&s.cursor[s.tokens[n]], 1)] = (int32_t)n;
    }
}

/* A position's place among those of its token is the number of smaller ones. */
__global__ void __launch_bounds__(THREADS) embed_rank_kernel(embed_sort s)
{
    for (int64_t i = grid_index(); i < s.N; i += grid_size()) {
        const int32_t n = s.bucket[i], token = s.tokens[n];
        const int32_t begin = s.starts[token], end = s.starts[token + 1];
        int32_t rank = 0;
        for (int32_t j = begin; j < end; j++) {
            rank += s.bucket[j] < n;
        }
        s.ordered[begin + rank] = n;
    }
}

/* dwte[v] of W columns from positions begin, begin + step, ... below end. */
template <typename Act, int W>
static __device__ __forceinline__ void embed_sum(float *sum, const Act *dout,
                                                 const int32_t *ordered, int32_t begin, int32_t end,
                                                 int step, int64_t C, int64_t c)
{
#pragma unroll
    for (int j = 0; j < W; j++) {
        sum[j] = 0;
    }
    for (int32_t i = begin; i < end; i += step) {
        float d[W];
        load<Act, W>(d, dout + ordered[i] * C + c);
#pragma unroll
        for (int j = 0; j < W; j++) {
            sum[j] += d[j];
        }
    }
}

/* N C FLOPs; N C A + 8 U C + 12 V bytes, U the number of different tokens: dout read once, each of
 * U rows of dwte read and written. A block takes WARPS vocabulary rows and 32 W columns: a warp
 * per row, and all warps together for a token of more than HEAVY positions. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS)
    embed_backward_kernel(float *dwte, const Act *dout, const int32_t *starts,
                          const int32_t *ordered, int64_t C, int64_t V)
{
    __shared__ float shared[WARPS][32 * W];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int64_t first = (int64_t)blockIdx.x * WARPS, c = ((int64_t)blockIdx.y * 32 + lane) * W;
    float sum[W];
    const int64_t own = first + warp;
    if (own < V && c < C) {
        const int32_t begin = starts[own], end = starts[own + 1];
        if (end > begin && end - begin <= HEAVY) {
            float old[W];
            embed_sum<Act, W>(sum, dout, ordered, begin, end, 1, C, c);
            load<float, W>(old, dwte + own * C + c);
#pragma unroll
            for (int j = 0; j < W; j++) {
                sum[j] += old[j];
            }
            store<float, W>(dwte + own * C + c, sum);
        }
    }
    for (int64_t v = first; v < first + WARPS && v < V; v++) {
        const int32_t begin = starts[v], end = starts[v + 1];
        if (end - begin <= HEAVY) {
            continue; /* the same for the whole block */
        }
        if (c < C) {
            embed_sum<Act, W>(sum, dout, ordered, begin + warp, end, WARPS, C, c);
            for (int j = 0; j < W; j++) {
                shared[warp][lane * W + j] = sum[j];
            }
        }
        __syncthreads();
        const int64_t column = (int64_t)blockIdx.y * 32 * W + threadIdx.x;
        if (threadIdx.x < 32 * W && column < C) {
            float total = dwte[v * C + column];
            for (int w = 0; w < WARPS; w++) {
                total += shared[w][threadIdx.x];
            }
            dwte[v * C + column] = total;
        }
        __syncthreads();
    }
}

static gb_status embed_sort_run(gb_device *dev, embed_sort *s)
{
    static const char op[] = "embed_backward";
    void *slot;
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_EMBED, (2 * s->V + 1 + 2 * s->N) * 4, &slot));
    s->starts = (int32_t *)slot;
    s->cursor = s->starts + s->V + 1;
    s->bucket = s->cursor + s->V;
    s->ordered = s->bucket + s->N;
    GB_TRY(CUDA_LAUNCH(dev, op, embed_clear_kernel, cuda_grid_stride(dev, s->V, THREADS), *s));
    const cuda_grid grid = cuda_grid_stride(dev, s->N, THREADS);
    GB_TRY(CUDA_LAUNCH(dev, op, embed_count_kernel, grid, *s));
    GB_TRY(CUDA_LAUNCH(dev, op, embed_scan_kernel, cuda_grid_of(1, SCAN_THREADS), *s));
    GB_TRY(CUDA_LAUNCH(dev, op, embed_fill_kernel, grid, *s));
    return CUDA_LAUNCH(dev, op, embed_rank_kernel, grid, *s);
}

template <typename Act, int W>
static gb_status embed_backward(gb_device *dev, void *dwte, const void *dout, const embed_sort &s,
                                int64_t C)
{
    static_assert(32 * W <= THREADS, "a thread per column of the block");
    cuda_grid grid =
        cuda_grid_of((s.V + WARPS - 1) / WARPS, THREADS, (unsigned)((C + 32 * W - 1) / (32 * W)));
    return CUDA_LAUNCH(dev, "embed_backward", (embed_backward_kernel<Act, W>), grid, (float *)dwte,
                       (const Act *)dout, (const int32_t *)s.starts, (const int32_t *)s.ordered, C,
                       s.V);
}

gb_status cuda_embed_backward(gb_device *dev, void *dwte, const void *dout, const int32_t *tokens,
                              int64_t N, int64_t C, int64_t V)
{
    embed_sort s = {};
    s.tokens = tokens;
    s.N = N;
    s.V = V;
    GB_TRY(cuda_op_begin(dev, GB_OP_EMBED));
    GB_TRY(embed_sort_run(dev, &s));
    const bool wide = cuda_aligned(C % 4 * 4, dwte, dout);
    gb_status status = GB_OK;
    if (dev->bf16) {
        status = wide ? embed_backward<bf16, 4>(dev, dwte, dout, s, C)
                      : embed_backward<bf16, 1>(dev, dwte, dout, s, C);
    } else {
        status = wide ? embed_backward<float, 4>(dev, dwte, dout, s, C)
                      : embed_backward<float, 1>(dev, dwte, dout, s, C);
    }
    GB_TRY(status);
    return cuda_op_end(dev, 0);
}
