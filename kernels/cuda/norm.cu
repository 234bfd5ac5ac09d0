/* Fused residual and norms: a warp per row. The row stays in registers where it fits (CHUNKS
 * accesses of W elements per lane), else (CHUNKS = 0) each pass reads it again. */
#include "kernels/cuda/cuda_ops.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 128, ROWS = THREADS / 32 };

#define NORM_EPS 1e-6f

struct norm_args {
    void *x_out, *h;
    float *inv_rms_h, *inv_rms_y;
    const void *x_in, *y;
    float scale;
    bool post_norm;
    int64_t N, C;
};

struct norm_grad_args {
    void *dx, *dy;
    const void *dh, *h, *y;
    const float *inv_rms_h, *inv_rms_y;
    float scale;
    bool post_norm, first;
    int64_t N, C;
};

static __device__ __forceinline__ float inv_rms_of(float squares, int64_t C)
{
    return rsqrtf(warp_sum(squares) / (float)C + NORM_EPS);
}

/* W values as they read back once stored. */
template <typename Act, int W> static __device__ __forceinline__ void round_to(float *x)
{
#pragma unroll
    for (int j = 0; j < W; j++) {
        x[j] = to_float(from_float<Act>(x[j]));
    }
}

template <int W> static __device__ __forceinline__ float dot(const float *a, const float *b)
{
    float sum = 0;
#pragma unroll
    for (int j = 0; j < W; j++) {
        sum += a[j] * b[j];
    }
    return sum;
}

/* Runs `body(c, k)` for each access of the lane: c the column, k its index among the CHUNKS that
 * are kept in registers (always 0 where nothing is kept). */
template <int W, int CHUNKS, typename Body>
static __device__ __forceinline__ void each_chunk(int64_t C, const Body &body)
{
    const int64_t first = (int64_t)(threadIdx.x % 32) * W;
    if (CHUNKS > 0) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            const int64_t c = first + (int64_t)k * 32 * W;
            if (c < C) {
                body(c, k);
            }
        }
    } else {
        for (int64_t c = first; c < C; c += 32 * W) {
            body(c, 0);
        }
    }
}

/* Registers for the chunks that are kept; one chunk where none is. */
template <int W, int CHUNKS> struct norm_row {
    float v[CHUNKS > 0 ? CHUNKS : 1][W];
};

/* About 6 N C FLOPs (4 N C more with post_norm); with A = sizeof(act) (2 + [y] + [h] - [no y]) N C
 * A bytes: x and y read once, x_out and h written once; 4 N bytes per statistic. */
template <typename Act, int W, int CHUNKS>
__global__ void __launch_bounds__(THREADS) add_norm_forward_kernel(norm_args a)
{
    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32, C = a.C;
    if (n >= a.N) {
        return; /* a whole warp */
    }
    const bool leader = threadIdx.x % 32 == 0, has_y = a.y != nullptr;
    const Act *x_in = (const Act *)a.x_in + n * C, *y_row = (const Act *)a.y + n * C;
    Act *x_out = (Act *)a.x_out + n * C, *h = (Act *)a.h + n * C;
    const Act *x_now = has_y ? x_out : x_in; /* the row that h is made from */
    norm_row<W, CHUNKS> x, y;
    float squares = 0, inv_y = 1;
    if (has_y && (a.post_norm || CHUNKS > 0)) {
        each_chunk<W, CHUNKS>(C, [&](int64_t c, int k) {
            load<Act, W>(y.v[k], y_row + c);
            squares += dot<W>(y.v[k], y.v[k]);
        });
    }
    if (a.post_norm) {
        inv_y = inv_rms_of(squares, C);
        if (leader) {
            a.inv_rms_y[n] = inv_y;
        }
    }
    squares = 0;
    each_chunk<W, CHUNKS>(C, [&](int64_t c, int k) {
        load<Act, W>(x.v[k], x_in + c);
        if (has_y) {
            if (CHUNKS == 0) {
                load<Act, W>(y.v[k], y_row + c);
            }
#pragma unroll
            for (int j = 0; j < W; j++) {
                x.v[k][j] += a.scale * (y.v[k][j] * inv_y);
            }
            store<Act, W>(x_out + c, x.v[k]);
            round_to<Act, W>(x.v[k]);
        }
        squares += dot<W>(x.v[k], x.v[k]);
    });
    if (a.h == nullptr) {
        return;
    }
    const float inv_h = inv_rms_of(squares, C);
    if (leader) {
        a.inv_rms_h[n] = inv_h;
    }
    each_chunk<W, CHUNKS>(C, [&](int64_t c, int k) {
        if (CHUNKS == 0) {
            load<Act, W>(x.v[k], x_now + c); /* this lane's own writes */
        }
#pragma unroll
        for (int j = 0; j < W; j++) {
            x.v[k][j] *= inv_h;
        }
        store<Act, W>(h + c, x.v[k]);
    });
}

/* The gradient of x_out of one access: dx (unless `first`) plus what comes through h. */
template <typename Act, int W>
static __device__ __forceinline__ void norm_grad_sum(float *g, const norm_grad_args &a,
                                                     const Act *dx, const float *dh, const float *h,
                                                     float inv_h, float mean_h)
{
    if (a.first) {
#pragma unroll
        for (int j = 0; j < W; j++) {
            g[j] = 0;
        }
    } else {
        load<Act, W>(g, dx);
    }
    if (a.dh != nullptr) {
#pragma unroll
        for (int j = 0; j < W; j++) {
            g[j] += inv_h * (dh[j] - h[j] * mean_h);
        }
    }
}

/* About 9 N C FLOPs (8 N C more with post_norm); bytes: dx read (unless first) and written, dh and
 * h read, dy written, y read with post_norm: up to 6 N C A. dy may be dh. */
template <typename Act, int W, int CHUNKS>
__global__ void __launch_bounds__(THREADS) add_norm_backward_kernel(norm_grad_args a)
{
    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32, C = a.C;
    if (n >= a.N) {
        return; /* a whole warp */
    }
    const bool has_h = a.dh != nullptr, has_dy = a.dy != nullptr, post = a.post_norm && has_dy;
    const Act *dh_row = (const Act *)a.dh + n * C, *h_row = (const Act *)a.h + n * C;
    const Act *y_row = (const Act *)a.y + n * C;
    Act *dx = (Act *)a.dx + n * C, *dy = (Act *)a.dy + n * C;
    norm_row<W, CHUNKS> g, h;
    float product = 0, mean_h = 0, inv_h = 0;
    if (has_h) {
        each_chunk<W, CHUNKS>(C, [&](int64_t c, int k) {
            load<Act, W>(g.v[k], dh_row + c);
            load<Act, W>(h.v[k], h_row + c);
            product += dot<W>(g.v[k], h.v[k]);
        });
        mean_h = warp_sum(product) / (float)C;
        inv_h = a.inv_rms_h[n];
    }
    const float inv_y = post ? a.inv_rms_y[n] : 0;
    product = 0;
    each_chunk<W, CHUNKS>(C, [&](int64_t c, int k) {
        float sum[W];
        if (CHUNKS == 0 && has_h) {
            load<Act, W>(g.v[k], dh_row + c);
            load<Act, W>(h.v[k], h_row + c);
        }
        norm_grad_sum<Act, W>(sum, a, dx + c, g.v[k], h.v[k], inv_h, mean_h);
        store<Act, W>(dx + c, sum);
        if (post) {
            load<Act, W>(h.v[k], y_row + c);
#pragma unroll
            for (int j = 0; j < W; j++) {
                h.v[k][j] *= inv_y;
                g.v[k][j] = sum[j];
            }
            product += dot<W>(g.v[k], h.v[k]);
        } else if (has_dy) {
#pragma unroll
            for (int j = 0; j < W; j++) {
                sum[j] *= a.scale;
            }
            store<Act, W>(dy + c, sum);
        }
    });
    if (!post) {
        return;
    }
    const float mean_y = warp_sum(product) / (float)C;
    each_chunk<W, CHUNKS>(C, [&](int64_t c, int k) {
        if (CHUNKS == 0) {
            load<Act, W>(g.v[k], dx + c); /* this lane's own writes */
            load<Act, W>(h.v[k], y_row + c);
        }
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float ny = CHUNKS == 0 ? h.v[k][j] * inv_y : h.v[k][j];
            g.v[k][j] = a.scale * (inv_y * (g.v[k][j] - ny * mean_y));
        }
        store<Act, W>(dy + c, g.v[k]);
    });
}

template <typename Act> static gb_status add_norm_forward(gb_device *dev, const norm_args &a)
{
    constexpr int W = wide_access<Act>();
    const cuda_grid grid = cuda_grid_of((a.N + ROWS - 1) / ROWS, THREADS);
    const char *op = "add_norm_forward";
    if (!cuda_aligned(a.C * (int64_t)sizeof(Act), a.x_out, a.h, a.x_in, a.y)) {
        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel<Act, 1, 0>), grid, a);
    }
    if (a.C <= 32 * W * 4) {
        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel<Act, W, 4>), grid, a);
    }
    if (a.C <= 32 * W * 8) {
        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel<Act, W, 8>), grid, a);
    }
    return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel<Act, W, 0>), grid, a);
}

template <typename Act> static gb_status add_norm_backward(gb_device *dev, const norm_grad_args &a)
{
    constexpr int W = wide_access<Act>();
    const cuda_grid grid = cuda_grid_of((a.N + ROWS - 1) / ROWS, THREADS);
    const char *op = "add_norm_backward";
    if (!cuda_aligned(a.C * (int64_t)sizeof(Act), a.dx, a.dy, a.dh, a.h, a.y)) {
        return CUDA_LAUNCH(dev, op, (add_norm_backward_kernel<Act, 1, 0>), grid, a);
    }
    if (a.C <= 32 * W * 4) {
        return CUDA_LAUNCH(dev, op, (add_norm_backward_kernel<Act, W, 4>), grid, a);
    }
    if (a.C <= 32 * W * 8) {
        return CUDA_LAUNCH(dev, op, (add_norm_backward_kernel<Act, W, 8>), grid, a);
    }
    return CUDA_LAUNCH(dev, op, (add_norm_backward_kernel<Act, W, 0>), grid, a);
}

gb_status cuda_add_norm_forward(gb_device *dev, void *x_out, void *h, void *inv_rms_h,
                                void *inv_rms_y, const void *x_in, const void *y, double scale,
                                bool post_norm, int64_t N, int64_t C)
{
    norm_args a = {};
    a.x_out = y != nullptr ? x_out : nullptr;
    a.h = h;
    a.inv_rms_h = (float *)inv_rms_h;
    a.inv_rms_y = (float *)inv_rms_y;
    a.x_in = x_in;
    a.y = y;
    a.scale = (float)scale;
    a.post_norm = post_norm && y != nullptr;
    a.N = N;
    a.C = C;
    GB_TRY(cuda_op_begin(dev, GB_OP_NORM));
    GB_TRY(dev->bf16 ? add_norm_forward<bf16>(dev, a) : add_norm_forward<float>(dev, a));
    return cuda_op_end(dev, 0);
}

gb_status cuda_add_norm_backward(gb_device *dev, void *dx, void *dy, const void *dh, const void *h,
                                 const void *inv_rms_h, const void *y, const void *inv_rms_y,
                                 double scale, bool post_norm, bool first, int64_t N, int64_t C)
{
    norm_grad_args a = {};
    a.dx = dx;
    a.dy = dy;
    a.dh = dh;
    a.h = h;
    a.y = y;
    a.inv_rms_h = (const float *)inv_rms_h;
    a.inv_rms_y = (const float *)inv_rms_y;
    a.scale = (float)scale;
    a.post_norm = post_norm;
    a.first = first;
    a.N = N;
    a.C = C;
    GB_TRY(cuda_op_begin(dev, GB_OP_NORM));
    GB_TRY(dev->bf16 ? add_norm_backward<bf16>(dev, a) : add_norm_backward<float>(dev, a));
    return cuda_op_end(dev, 0);
}
