/* AdamW over the slab, and sums in a fixed order. */
#include <math.h>

#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256, SUM_ITEMS_PER_BLOCK = 16 * THREADS };

/* ---- sums ---- */

/* The block's sum in thread 0; the order depends on nothing but the number of threads. */
static __device__ double block_sum(double x)
{
    __shared__ double warps[THREADS / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = x;
    }
    __syncthreads();
    double total = 0;
    if (threadIdx.x == 0) {
        for (int i = 0; i < THREADS / 32; i++) {
            total += warps[i];
        }
    }
    return total;
}

/* 2 n FLOPs in double; n sizeof(T) bytes. out (gridDim.x) is overwritten, or added to. */
template <typename T, bool squares>
__global__ void __launch_bounds__(THREADS)
    sum_kernel(double *out, const T *x, int64_t n, bool accumulate)
{
    double sum = 0;
    for (int64_t i = grid_index(); i < n; i += grid_size()) {
        const double value = (double)x[i];
        sum += squares ? value * value : value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        out[blockIdx.x] = accumulate ? out[blockIdx.x] + sum : sum;
    }
}

template <typename T, bool squares>
static gb_status sum(gb_device *dev, const char *op, double *out, const T *x, int64_t n,
                     bool accumulate)
{
    void *slot;
    const int64_t most = CUDA_SUM_MAX_BLOCKS;
    int64_t blocks = (n + SUM_ITEMS_PER_BLOCK - 1) / SUM_ITEMS_PER_BLOCK;
    blocks = blocks < 1 ? 1 : blocks > most ? most : blocks;
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_PARTIALS, CUDA_SUM_MAX_BLOCKS * (int64_t)sizeof(double),
                         &slot));
    double *partials = (double *)slot;
    GB_TRY(CUDA_LAUNCH(dev, op, (sum_kernel<T, squares>), cuda_grid_of(blocks, THREADS), partials,
                       x, n, false));
    return CUDA_LAUNCH(dev, op, (sum_kernel<double, false>), cuda_grid_of(1, THREADS), out,
                       (const double *)partials, blocks, accumulate);
}

gb_status cuda_sum_double(gb_device *dev, double *out, const double *x, int64_t n, bool accumulate)
{
    return sum<double, false>(dev, "sum", out, x, n, accumulate);
}

gb_status cuda_sum_squares(gb_device *dev, void *out, const void *x, int64_t n)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_GRAD_NORM));
    gb_status status =
        sum<float, true>(dev, "sum_squares", (double *)out, (const float *)x, n, false);
    GB_TRY(status);
    return cuda_op_end(dev, 0);
}

/* ---- AdamW ---- */

/* What all elements share; computed on the device, because it changes with every step. */
struct adamw_factors {
    float beta1, rest1, beta2, rest2; /* rest = 1 - beta */
    float keep;                       /* 1 - learning rate * weight decay */
    float step_size;                  /* learning rate / (1 - beta1^step) */
    float square_scale;               /* 1 / (1 - beta2^step) */
    float eps, grad_scale;
    int update; /* 0: the loss is not finite */
};
static_assert(sizeof(adamw_factors) <= CUDA_ADAMW_BYTES, "CUDA_SLOT_ADAMW");

/* One thread. */
__global__ void adamw_prepare_kernel(adamw_factors *out, const gb_adamw *params, const double *loss,
                                     const double *grad_squares)
{
    const gb_adamw p = *params;
    adamw_factors f;
    double scale = 1;
    if (grad_squares != nullptr && p.grad_clip > 0) {
        const double norm = sqrt(*grad_squares);
        scale = norm > p.grad_clip ? p.grad_clip / norm : 1;
    }
    f.beta1 = (float)p.beta1;
    f.rest1 = (float)(1 - p.beta1);
    f.beta2 = (float)p.beta2;
    f.rest2 = (float)(1 - p.beta2);
    f.keep = (float)(1 - p.learning_rate * p.weight_decay);
    f.step_size = (float)(p.learning_rate / (1 - pow(p.beta1, p.step)));
    f.square_scale = (float)(1 / (1 - pow(p.beta2, p.step)));
    f.eps = (float)p.eps;
    f.grad_scale = (float)scale;
    f.update = loss == nullptr || isfinite(*loss);
    *out = f;
}

struct adamw_args {
    const adamw_factors *factors;
    bf16 *narrow; /* compute copy in bf16, or NULL */
    float *copy;  /* compute copy in float where it is another buffer, or NULL */
    float *master, *m, *v;
    const float *grad;
    int64_t n;
};

static __device__ __forceinline__ void adamw_element(const adamw_factors &f, float &p, float &m,
                                                     float &v, float g)
{
    g *= f.grad_scale;
    m = f.beta1 * m + f.rest1 * g;
    v = f.beta2 * v + f.rest2 * g * g;
    p = p * f.keep - f.step_size * m / (sqrtf(v * f.square_scale) + f.eps);
}

template <int W>
static __device__ __forceinline__ void adamw_at(const adamw_args &a, const adamw_factors &f,
                                                int64_t i)
{
    float p[W], m[W], v[W], g[W];
    load<float, W>(p, a.master + i);
    load<float, W>(m, a.m + i);
    load<float, W>(v, a.v + i);
    load<float, W>(g, a.grad + i);
#pragma unroll
    for (int j = 0; j < W; j++) {
        adamw_element(f, p[j], m[j], v[j], g[j]);
    }
    store<float, W>(a.master + i, p);
    store<float, W>(a.m + i, m);
    store<float, W>(a.v + i, v);
    if (a.narrow != nullptr) {
        store<bf16, W>(a.narrow + i, p);
    }
    if (a.copy != nullptr) {
        store<float, W>(a.copy + i, p);
    }
}

/* About 15 n FLOPs; 28 n bytes, and 2 n more with a bf16 copy. */
template <int W> __global__ void __launch_bounds__(THREADS) adamw_kernel(adamw_args a)
{
    const int64_t whole = a.n / W * W;
    const adamw_factors f = *a.factors;
    if (!f.update) {
        return;
    }
    for (int64_t i = grid_index() * W; i < whole; i += grid_size() * W) {
        adamw_at<W>(a, f, i);
    }
    for (int64_t i = whole + grid_index(); i < a.n; i += grid_size()) {
        adamw_at<1>(a, f, i);
    }
}

gb_status cuda_adamw(gb_device *dev, void *weights, void *master, void *m, void *v,
                     const void *grad, int64_t n, const void *params, const void *loss,
                     const void *grad_squares)
{
    void *factors;
    GB_TRY(cuda_op_begin(dev, GB_OP_ADAMW));
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_ADAMW, CUDA_ADAMW_BYTES, &factors));
    GB_TRY(CUDA_LAUNCH(dev, "adamw", adamw_prepare_kernel, cuda_grid_of(1, 1),
                       (adamw_factors *)factors, (const gb_adamw *)params, (const double *)loss,
                       (const double *)grad_squares));
    adamw_args a = {};
    a.factors = (const adamw_factors *)factors;
    a.narrow = dev->bf16 ? (bf16 *)weights : nullptr;
    a.copy = !dev->bf16 && weights != master ? (float *)weights : nullptr;
    a.master = (float *)master;
    a.m = (float *)m;
    a.v = (float *)v;
    a.grad = (const float *)grad;
    a.n = n;
    if (cuda_aligned(0, master, m, v, grad, weights)) {
        GB_TRY(CUDA_LAUNCH(dev, "adamw", adamw_kernel<4>,
                           cuda_grid_stride(dev, (n + 3) / 4, THREADS), a));
    } else {
        GB_TRY(CUDA_LAUNCH(dev, "adamw", adamw_kernel<1>, cuda_grid_stride(dev, n, THREADS), a));
    }
    return cuda_op_end(dev, 0);
}
