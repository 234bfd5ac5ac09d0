/* Ops whose elements do not depend on each other: activations of the MLP, and the compute copy of
 * the weights. All are bound by memory; A is sizeof(act). */
#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

enum { THREADS = 256 };

/* ---- GELU ---- */

/* The standard normal distribution at x, for activations of type Act. */
template <typename Act> struct normal;

template <> struct normal<float> {
    static __device__ __forceinline__ float density(float x)
    {
        return 0.39894228040143268f * expf(-0.5f * x * x);
    }

    static __device__ __forceinline__ float below(float x)
    {
        return 0.5f * (1.0f + erff(x * 0.70710678118654752f));
    }
};

/* With half of the instructions, which would else take longer than the memory: one exponential
 * serves both, exp(-x^2/2) times a polynomial in 1 / (1 + |x|/5) being the tail. The polynomial is
 * the minimax fit of degree 7, without a constant, to the tail over exp(-x^2/2) for |x| <= 14; its
 * relative error is 1.3e-6, that of the tail in fp32 below 5e-6: bf16 rounds by up to 2e-3. */
template <> struct normal<bf16> {
    static __device__ __forceinline__ float bell(float x)
    {
        return ptx_exp2(x * x * -0.72134752044448170f); /* log2(e) / 2 */
    }

    static __device__ __forceinline__ float density(float x)
    {
        return 0.39894228040143268f * bell(x);
    }

    static __device__ __forceinline__ float below(float x)
    {
        const float t = ptx_reciprocal(fmaf(0.2f, fabsf(x), 1.0f));
        float tail = 0.2790942373f;
        tail = fmaf(tail, t, -0.3868261095f);
        tail = fmaf(tail, t, 0.4469394211f);
        tail = fmaf(tail, t, -0.1231863078f);
        tail = fmaf(tail, t, 0.1325370508f);
        tail = fmaf(tail, t, 0.07109214504f);
        tail = fmaf(tail, t, 0.0803501887f);
        tail *= t * bell(x);
        return x < 0 ? tail : 1.0f - tail;
    }
};

template <typename Act> static __device__ __forceinline__ float gelu(float x)
{
    return x * normal<Act>::below(x);
}

template <typename Act> static __device__ __forceinline__ float gelu_slope(float x)
{
    return fmaf(x, normal<Act>::density(x), normal<Act>::below(x));
}

/* About 20 n FLOPs; 2 n A bytes. W elements per access; n is a multiple of W. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS) gelu_forward_kernel(Act *out, const Act *in, int64_t n)
{
    for (int64_t i = grid_index() * W; i < n; i += grid_size() * W) {
        float x[W];
        load<Act, W>(x, in + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            x[j] = gelu<Act>(x[j]);
        }
        store<Act, W>(out + i, x);
    }
}

/* About 30 n FLOPs; 3 n A bytes. din may be dout. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS)
    gelu_backward_kernel(Act *din, const Act *dout, const Act *in, int64_t n)
{
    for (int64_t i = grid_index() * W; i < n; i += grid_size() * W) {
        float d[W], x[W];
        load<Act, W>(d, dout + i);
        load<Act, W>(x, in + i);
#pragma unroll
        for (int j = 0; j < W; j++) {
            d[j] *= gelu_slope<Act>(x[j]);
        }
        store<Act, W>(din + i, d);
    }
}

template <typename Act>
static gb_status gelu_forward(gb_device *dev, void *out, const void *in, int64_t n)
{
    constexpr int W = wide_access<Act>();
    if (cuda_aligned(n * (int64_t)sizeof(Act), out, in)) {
        return CUDA_LAUNCH(dev, "gelu_forward", (gelu_forward_kernel<Act, W>),
                           cuda_grid_stride(dev, n / W, THREADS), (Act *)out, (const Act *)in, n);
    }
    return CUDA_LAUNCH(dev, "gelu_forward", (gelu_forward_kernel<Act, 1>),
                       cuda_grid_stride(dev, n, THREADS), (Act *)out, (const Act *)in, n);
}

template <typename Act>
static gb_status gelu_backward(gb_device *dev, void *din, const void *dout, const void *in,
                               int64_t n)
{
    constexpr int W = wide_access<Act>();
    if (cuda_aligned(n * (int64_t)sizeof(Act), din, dout, in)) {
        return CUDA_LAUNCH(dev, "gelu_backward", (gelu_backward_kernel<Act, W>),
                           cuda_grid_stride(dev, n / W, THREADS), (Act *)din, (const Act *)dout,
                           (const Act *)in, n);
    }
    return CUDA_LAUNCH(dev, "gelu_backward", (gelu_backward_kernel<Act, 1>),
                       cuda_grid_stride(dev, n, THREADS), (Act *)din, (const Act *)dout,
                       (const Act *)in, n);
}

gb_status cuda_gelu_forward(gb_device *dev, void *out, const void *in, int64_t n)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_MLP_ACT));
    GB_TRY(dev->bf16 ? gelu_forward<bf16>(dev, out, in, n) : gelu_forward<float>(dev, out, in, n));
    return cuda_op_end(dev, 0);
}

gb_status cuda_gelu_backward(gb_device *dev, void *din, const void *dout, const void *in, int64_t n)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_MLP_ACT));
    GB_TRY(dev->bf16 ? gelu_backward<bf16>(dev, din, dout, in, n)
                     : gelu_backward<float>(dev, din, dout, in, n));
    return cuda_op_end(dev, 0);
}

/* ---- SwiGLU ---- */

/* For activations of type Act; in bf16 an error of 1e-6 is far below what rounding adds. */
template <typename Act> static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x)); /* expf may be infinite: then 0 */
}

template <> __device__ __forceinline__ float sigmoid<bf16>(float x)
{
    return ptx_reciprocal(1.0f + ptx_exp2(x * -1.4426950408889634f));
}

/* Rows of gate and value side by side; row.by accesses each hold half a row. Access i of the N F
 * elements has its gate at access i + n row.by of gv, n its row, and its value row.by later: below
 * 2^32 where i is below 2^31. */
template <typename Act, int W>
static __device__ __forceinline__ const Act *swiglu_gate(const Act *gv, uint32_t i,
                                                         cuda_divisor row)
{
    return gv + (size_t)(i + cuda_quotient(i, row) * row.by) * W;
}

/* About 10 N F FLOPs; 3 N F A bytes. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS)
    swiglu_forward_kernel(Act *out, const Act *gv, uint32_t accesses, cuda_divisor row)
{
    for (uint32_t i = grid_index_32(); i < accesses; i += grid_size_32()) {
        const Act *from = swiglu_gate<Act, W>(gv, i, row);
        float gate[W], value[W];
        load<Act, W>(gate, from);
        load<Act, W>(value, from + (size_t)row.by * W);
#pragma unroll
        for (int j = 0; j < W; j++) {
            value[j] *= gate[j] * sigmoid<Act>(gate[j]);
        }
        store<Act, W>(out + (size_t)i * W, value);
    }
}

/* About 15 N F FLOPs; 5 N F A bytes. dgv may be gv. */
template <typename Act, int W>
__global__ void __launch_bounds__(THREADS)
    swiglu_backward_kernel(Act *dgv, const Act *dout, const Act *gv, uint32_t accesses,
                           cuda_divisor row)
{
    for (uint32_t i = grid_index_32(); i < accesses; i += grid_size_32()) {
        const Act *from = swiglu_gate<Act, W>(gv, i, row);
        Act *to = dgv + (from - gv);
        float d[W], gate[W], value[W];
        load<Act, W>(d, dout + (size_t)i * W);
        load<Act, W>(gate, from);
        load<Act, W>(value, from + (size_t)row.by * W);
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float s = sigmoid<Act>(gate[j]), g = gate[j];
            gate[j] = d[j] * value[j] * s * (1.0f + g * (1.0f - s));
            value[j] = d[j] * g * s;
        }
        store<Act, W>(to, gate);
        store<Act, W>(to + (size_t)row.by * W, value);
    }
}

template <typename Act, int W>
static gb_status swiglu_forward(gb_device *dev, Act *out, const Act *gv, int64_t N, int64_t F)
{
    const int64_t rows = cuda_rows_at_once(dev, F / W);
    for (int64_t n = 0; n < N; n += rows) {
        const int64_t accesses = (N - n < rows ? N - n : rows) * (F / W);
        GB_TRY(CUDA_LAUNCH(dev, "swiglu_forward", (swiglu_forward_kernel<Act, W>),
                           cuda_grid_stride(dev, accesses, THREADS), out + n * F, gv + n * 2 * F,
                           (uint32_t)accesses, cuda_divisor_of(F / W)));
    }
    return GB_OK;
}

template <typename Act, int W>
static gb_status swiglu_backward(gb_device *dev, Act *dgv, const Act *dout, const Act *gv,
                                 int64_t N, int64_t F)
{
    const int64_t rows = cuda_rows_at_once(dev, F / W);
    for (int64_t n = 0; n < N; n += rows) {
        const int64_t accesses = (N - n < rows ? N - n : rows) * (F / W);
        GB_TRY(CUDA_LAUNCH(dev, "swiglu_backward", (swiglu_backward_kernel<Act, W>),
                           cuda_grid_stride(dev, accesses, THREADS), dgv + n * 2 * F, dout + n * F,
                           gv + n * 2 * F, (uint32_t)accesses, cuda_divisor_of(F / W)));
    }
    return GB_OK;
}

template <typename Act>
static gb_status swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F)
{
    constexpr int W = wide_access<Act>();
    return cuda_aligned(F * (int64_t)sizeof(Act), out, gv)
               ? swiglu_forward<Act, W>(dev, (Act *)out, (const Act *)gv, N, F)
               : swiglu_forward<Act, 1>(dev, (Act *)out, (const Act *)gv, N, F);
}

template <typename Act>
static gb_status swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                                 int64_t N, int64_t F)
{
    constexpr int W = wide_access<Act>();
    return cuda_aligned(F * (int64_t)sizeof(Act), dgv, dout, gv)
               ? swiglu_backward<Act, W>(dev, (Act *)dgv, (const Act *)dout, (const Act *)gv, N, F)
               : swiglu_backward<Act, 1>(dev, (Act *)dgv, (const Act *)dout, (const Act *)gv, N, F);
}

gb_status cuda_swiglu_forward(gb_device *dev, void *out, const void *gv, int64_t N, int64_t F)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_MLP_ACT));
    GB_TRY(dev->bf16 ? swiglu_forward<bf16>(dev, out, gv, N, F)
                     : swiglu_forward<float>(dev, out, gv, N, F));
    return cuda_op_end(dev, 0);
}

gb_status cuda_swiglu_backward(gb_device *dev, void *dgv, const void *dout, const void *gv,
                               int64_t N, int64_t F)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_MLP_ACT));
    GB_TRY(dev->bf16 ? swiglu_backward<bf16>(dev, dgv, dout, gv, N, F)
                     : swiglu_backward<float>(dev, dgv, dout, gv, N, F));
    return cuda_op_end(dev, 0);
}

/* ---- compute copy of the weights ---- */

/* No FLOPs; 6 n bytes. The last n % 4 elements are taken one by one. */
__global__ void __launch_bounds__(THREADS) narrow_kernel(bf16 *out, const float *in, int64_t n)
{
    const int64_t whole = n / 4 * 4;
    for (int64_t i = grid_index() * 4; i < whole; i += grid_size() * 4) {
        float x[4];
        load<float, 4>(x, in + i);
        store<bf16, 4>(out + i, x);
    }
    for (int64_t i = whole + grid_index(); i < n; i += grid_size()) {
        out[i] = from_float<bf16>(in[i]);
    }
}

gb_status cuda_weights_refresh(gb_device *dev, void *weights, const void *master, int64_t n)
{
    GB_TRY(cuda_op_begin(dev, GB_OP_COPY));
    if (dev->bf16) {
        GB_TRY(CUDA_LAUNCH(dev, "weights_refresh", narrow_kernel,
                           cuda_grid_stride(dev, (n + 3) / 4, THREADS), (bf16 *)weights,
                           (const float *)master, n));
    } else if (weights != master) {
        CUDA_TRY(dev, "weights_refresh",
                 cudaMemcpyAsync(weights, master, (size_t)n * sizeof(float),
                                 cudaMemcpyDeviceToDevice, dev->stream));
    }
    return cuda_op_end(dev, 0);
}
