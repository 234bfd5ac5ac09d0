/* Output map and cross-entropy, chunked over tokens. The logits of one chunk live in act; the loss
 * kernel turns them into their own gradient in place. */
#include <math.h>

#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/cuda_sizes.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

enum { THREADS = 512, WARPS = THREADS / 32 };

/* Shared memory of a block beside its row: what softmax_reduce keeps, and the driver's own. */
static const int64_t LOSS_SHARED_BYTES = 1024 + 1024;

struct loss_args {
    void *logits;   /* (rows, stride) */
    double *losses; /* (rows) */
    const int32_t *targets;
    float grad_scale;
    bool grad;
    int V;
    int64_t stride;
};

/* exp for logits of type Act. In bf16, whose logits are rounded by up to 2e-3 of themselves, a
 * relative error of 1e-6 will do: exact exponentials would take longer than the memory. */
template <typename Act> static __device__ __forceinline__ float exp_of(float x)
{
    return expf(x);
}

template <> __device__ __forceinline__ float exp_of<bf16>(float x)
{
    return ptx_exp2(x * 1.4426950408889634f);
}

/* A maximum and the sum of exp(x - maximum) seen so far. */
struct softmax_state {
    float max, sum;
};

template <typename Act>
static __device__ __forceinline__ softmax_state softmax_join(softmax_state a, softmax_state b)
{
    softmax_state s;
    s.max = fmaxf(a.max, b.max);
    /* Empty states have max = -inf; two of them must not give NaN. A sum that is NaN is no empty
     * one: fmaxf has dropped the NaN from max, and it must not vanish from both. */
    s.sum = (a.sum == 0 ? 0.0f : a.sum * exp_of<Act>(a.max - s.max)) +
            (b.sum == 0 ? 0.0f : b.sum * exp_of<Act>(b.max - s.max));
    return s;
}

/* The state of the whole row, in every thread. */
template <typename Act> static __device__ softmax_state softmax_reduce(softmax_state s)
{
    __shared__ softmax_state shared[WARPS];
    for (int offset = 16; offset > 0; offset /= 2) {
        softmax_state other;
        other.max = __shfl_xor_sync(0xffffffffu, s.max, offset);
        other.sum = __shfl_xor_sync(0xffffffffu, s.sum, offset);
        s = softmax_join<Act>(s, other);
    }
    if (threadIdx.x % 32 == 0) {
        shared[threadIdx.x / 32] = s;
    }
    __syncthreads();
    s = shared[0];
    for (int i = 1; i < WARPS; i++) {
        s = softmax_join<Act>(s, shared[i]);
    }
    return s;
}

/* The row in shared memory. A thread may read at once what it copied itself, W columns at every
 * THREADS * W and then every THREADS-th; all of it after a barrier. */
template <typename Act> static __device__ __forceinline__ const Act *keep_row(const Act *row, int V)
{
    constexpr int W = wide_access<Act>();
    const int whole = V / W * W;
    Act *kept = reinterpret_cast<Act *>(gb_dynamic_shared());
    for (int v = (int)threadIdx.x * W; v < whole; v += THREADS * W) {
        ptx_cp_async_16(kept + v, row + v, true);
    }
    for (int v = whole + (int)threadIdx.x; v < V; v += THREADS) {
        kept[v] = row[v];
    }
    ptx_cp_async_commit();
    ptx_cp_async_wait<0>(); /* the other block of the multiprocessor computes meanwhile */
    return kept;
}

/* A block per row: about 5 N V FLOPs. Bytes with A = sizeof(act): 2 N V A (read and written) where
 * the row is KEPT in shared memory, else 3 N V A (read twice); 1 N V A without gradient. Columns
 * [V, stride), where h meets rows of zeros, are not read; their gradient is zero. */
template <typename Act, bool KEPT>
__global__ void __launch_bounds__(THREADS) loss_kernel(loss_args a)
{
    constexpr int W = wide_access<Act>();
    const int64_t n = blockIdx.x;
    const int V = a.V, whole = V / W * W, target = a.targets[n];
    Act *row = (Act *)a.logits + n * a.stride;
    const Act *from = row;
    if constexpr (KEPT) {
        from = keep_row<Act>(row, V);
    }
    softmax_state s = {-INFINITY, 0};
    float x[W];
    for (int v = (int)threadIdx.x * W; v < whole; v += THREADS * W) {
        load<Act, W>(x, from + v);
        softmax_state here = {x[0], 0};
#pragma unroll
        for (int j = 1; j < W; j++) {
            here.max = fmaxf(here.max, x[j]);
        }
#pragma unroll
        for (int j = 0; j < W; j++) {
            here.sum += exp_of<Act>(x[j] - here.max);
        }
        s = softmax_join<Act>(s, here);
    }
    for (int v = whole + (int)threadIdx.x; v < V; v += THREADS) {
        softmax_state here = {to_float(from[v]), 1};
        s = softmax_join<Act>(s, here);
    }
    s = softmax_reduce<Act>(s); /* has a barrier */
    if (threadIdx.x == 0) {
        a.losses[n] = (double)(s.max - to_float(from[target])) + log((double)s.sum);
    }
    if (!a.grad) {
        return;
    }
    __syncthreads(); /* the target's logit is read before it is overwritten */
    const float scale = a.grad_scale / s.sum;
    for (int v = (int)threadIdx.x * W; v < whole; v += THREADS * W) {
        load<Act, W>(x, from + v);
#pragma unroll
        for (int j = 0; j < W; j++) {
            x[j] = scale * exp_of<Act>(x[j] - s.max) - (v + j == target ? a.grad_scale : 0.0f);
        }
        store<Act, W>(row + v, x);
    }
    for (int v = whole + (int)threadIdx.x; v < V; v += THREADS) {
        const float d = scale * exp_of<Act>(to_float(from[v]) - s.max);
        row[v] = from_float<Act>(d - (v == target ? a.grad_scale : 0.0f));
    }
    for (int v = V + (int)threadIdx.x; v < (int)a.stride; v += THREADS) {
        row[v] = from_float<Act>(0.0f);
    }
}

/* Keeps rows where two blocks find room for theirs: one loads while the other computes. */
template <typename Act> static gb_status loss_run(gb_device *dev, const loss_args &a, int64_t n)
{
    const int64_t row_bytes = (a.V * (int64_t)sizeof(Act) + 15) / 16 * 16;
    if (dev->compute_capability >= 80 && 2 * (row_bytes + LOSS_SHARED_BYTES) <= dev->shared_bytes) {
        return CUDA_LAUNCH(dev, "classifier", (loss_kernel<Act, true>),
                           cuda_grid_of(n, THREADS, 1, (size_t)row_bytes), a);
    }
    return CUDA_LAUNCH(dev, "classifier", (loss_kernel<Act, false>), cuda_grid_of(n, THREADS), a);
}

/* One chunk of n tokens; everything in it points at the chunk's first row. */
struct classifier_chunk {
    loss_args loss;
    const void *h, *wte;
    void *dh, *dwte;
    bool first;
    int64_t n, C;
};

/* The products take the vocabulary with its padding: tensor cores want even extents. */
static gb_status chunk_run(gb_device *dev, const classifier_chunk &k)
{
    const int64_t V = k.loss.stride;
    cuda_gemm logits = {}; /* (n, V) = h (n, C) . wte (V, C)^T */
    logits.M = k.n;
    logits.N = V;
    logits.K = k.C;
    logits.b_transposed = true;
    logits.a = k.h;
    logits.b = k.wte;
    logits.c = k.loss.logits;
    GB_TRY(cuda_gemm_run(dev, &logits));
    GB_TRY(dev->bf16 ? loss_run<bf16>(dev, k.loss, k.n) : loss_run<float>(dev, k.loss, k.n));
    if (!k.loss.grad) {
        return GB_OK;
    }
    cuda_gemm dh = {}; /* (n, C) = dlogits (n, V) . wte (V, C) */
    dh.M = k.n;
    dh.N = k.C;
    dh.K = V;
    dh.a = k.loss.logits;
    dh.b = k.wte;
    dh.c = k.dh;
    GB_TRY(cuda_gemm_run(dev, &dh));
    cuda_gemm dwte = {}; /* (V, C) += dlogits (n, V)^T . h (n, C) */
    dwte.M = V;
    dwte.N = k.C;
    dwte.K = k.n;
    dwte.a_transposed = true;
    dwte.c_float = true;
    dwte.accumulate = !k.first;
    dwte.a = k.loss.logits;
    dwte.b = k.h;
    dwte.c = k.dwte;
    return cuda_gemm_run(dev, &dwte);
}

gb_status cuda_classifier(gb_device *dev, void *loss_sum, void *dh, void *dwte, const void *h,
                          const void *wte, const int32_t *targets, double grad_scale, bool first,
                          int64_t N, int64_t C, int64_t V)
{
    const int act = dev->bf16 ? 2 : 4;
    const int64_t most = cuda_classifier_rows(N, V, act, dev->memory_bytes),
                  stride = cuda_classifier_stride(V);
    const int64_t rows = most < dev->classifier_rows ? most : dev->classifier_rows;
    void *logits, *losses;
    GB_TRY(cuda_op_begin(dev, GB_OP_CLASSIFIER));
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_LOGITS, rows * stride * act, &logits));
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_LOSSES, N * (int64_t)sizeof(double), &losses));
    for (int64_t n = 0; n < N; n += rows) {
        classifier_chunk k = {};
        k.loss.logits = logits;
        k.loss.losses = (double *)losses + n;
        k.loss.targets = targets + n;
        k.loss.grad_scale = (float)grad_scale;
        k.loss.grad = dh != nullptr;
        k.loss.V = (int)V;
        k.loss.stride = stride;
        k.h = (const char *)h + n * C * act;
        k.wte = wte;
        k.dh = dh != nullptr ? (char *)dh + n * C * act : nullptr;
        k.dwte = dwte;
        k.first = first && n == 0;
        k.n = N - n < rows ? N - n : rows;
        k.C = C;
        GB_TRY(chunk_run(dev, k));
    }
    GB_TRY(cuda_sum_double(dev, (double *)loss_sum, (const double *)losses, N, !first));
    const double products = dh != nullptr ? 3.0 : 1.0;
    return cuda_op_end(dev, products * 2.0 * (double)N * (double)V * (double)C);
}
