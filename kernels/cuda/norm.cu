/* Fused residual and norms: a warp per row. */
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
    float per_column; /* 1 / C */
};

struct norm_grad_args {
    void *dx, *dy;
    const void *dh, *h, *y;
    const float *inv_rms_h, *inv_rms_y;
    float scale;
    bool post_norm, first;
    int64_t N, C;
    float per_column; /* 1 / C */
};

static __device__ __forceinline__ float inv_rms_of(float squares, float per_column)
{
    return rsqrtf(warp_sum(squares) * per_column + NORM_EPS);
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

/* ---- rows that stay in registers ----
 * Input and output may be the same buffer for all the compiler knows, so that a load that stands
 * behind a store waits for it: every load of a row comes before its first store. */

/* A lane's part of a row, as memory has it: columns (k 32 + lane) W onwards for each chunk k, zeros
 * behind the end. */
template <typename Act, int W, int CHUNKS> struct norm_row {
    packed<Act, W> chunk[CHUNKS];
};

static __device__ __forceinline__ int first_column(int W)
{
    return (int)(threadIdx.x % 32) * W;
}

template <typename Act, int W, int CHUNKS>
static __device__ __forceinline__ void load_row(norm_row<Act, W, CHUNKS> *row, const Act *from,
                                                int C)
{
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) {
        const int c = first_column(W) + k * 32 * W;
        if (c < C) {
            load_packed(&row->chunk[k], from + c);
        } else {
            row->chunk[k] = packed<Act, W>();
        }
    }
}

template <typename Act, int W>
static __device__ __forceinline__ void store_chunk(Act *to, int k, int C,
                                                   const packed<Act, W> &chunk)
{
    const int c = first_column(W) + k * 32 * W;
    if (c < C) {
        store_packed(to + c, chunk);
    }
}

/* About 6 N C FLOPs (4 N C more with post_norm); with A = sizeof(act) (2 + [y] + [h] - [no y]) N C
 * A bytes: x and y read once, x_out and h written once; 4 N bytes per statistic. */
template <typename Act, int W, int CHUNKS>
__global__ void __launch_bounds__(THREADS) add_norm_forward_kernel(norm_args a)
{
    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32;
    const int C = (int)a.C;
    if (n >= a.N) {
        return; /* a whole warp */
    }
    const bool leader = threadIdx.x % 32 == 0, has_y = a.y != nullptr;
    norm_row<Act, W, CHUNKS> x, y;
    float u[W], v[W], squares = 0, inv_y = 1;
    load_row(&x, (const Act *)a.x_in + n * C, C);
    if (has_y) {
        load_row(&y, (const Act *)a.y + n * C, C);
    }
    if (a.post_norm) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            unpack(v, y.chunk[k]);
            squares += dot<W>(v, v);
        }
        inv_y = inv_rms_of(squares, a.per_column);
        squares = 0;
        if (leader) {
            a.inv_rms_y[n] = inv_y;
        }
    }
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) {
        unpack(u, x.chunk[k]);
        if (has_y) {
            unpack(v, y.chunk[k]);
#pragma unroll
            for (int j = 0; j < W; j++) {
                u[j] += a.scale * (v[j] * inv_y);
            }
            pack(&x.chunk[k], u);
            store_chunk((Act *)a.x_out + n * C, k, C, x.chunk[k]);
            unpack(u, x.chunk[k]); /* as it reads back */
        }
        squares += dot<W>(u, u);
    }
    if (a.h == nullptr) {
        return;
    }
    const float inv_h = inv_rms_of(squares, a.per_column);
    if (leader) {
        a.inv_rms_h[n] = inv_h;
    }
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) {
        unpack(u, x.chunk[k]);
#pragma unroll
        for (int j = 0; j < W; j++) {
            u[j] *= inv_h;
        }
        pack(&x.chunk[k], u);
        store_chunk((Act *)a.h + n * C, k, C, x.chunk[k]);
    }
}

/* About 9 N C FLOPs (8 N C more with POST: post_norm, and dy wanted); bytes: dx read (unless first)
 * and written, dh and h read, dy written, y read with POST: up to 6 N C A. dy may be dh. */
template <typename Act, int W, int CHUNKS, bool POST>
__global__ void __launch_bounds__(THREADS) add_norm_backward_kernel(norm_grad_args a)
{
    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32;
    const int C = (int)a.C;
    if (n >= a.N) {
        return; /* a whole warp */
    }
    const bool has_h = a.dh != nullptr;
    Act *dx = (Act *)a.dx + n * C, *dy = (Act *)a.dy + n * C;
    norm_row<Act, W, CHUNKS> dh = {}, h = {}, old = {}, y;
    packed<Act, W> out;
    float g[W], u[W], v[W], product = 0, mean_h = 0, inv_h = 0, inv_y = 0;
    if (has_h) {
        load_row(&dh, (const Act *)a.dh + n * C, C);
        load_row(&h, (const Act *)a.h + n * C, C);
        inv_h = a.inv_rms_h[n];
    }
    if (!a.first) {
        load_row(&old, (const Act *)dx, C);
    }
    if (POST) {
        load_row(&y, (const Act *)a.y + n * C, C);
        inv_y = a.inv_rms_y[n];
    }
    if (has_h) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            unpack(u, dh.chunk[k]);
            unpack(v, h.chunk[k]);
            product += dot<W>(u, v);
        }
        mean_h = warp_sum(product) * a.per_column;
        product = 0;
    }
    float sum[POST ? CHUNKS : 1][W]; /* the gradient of x_out */
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) {
        unpack(g, old.chunk[k]);
        unpack(u, dh.chunk[k]);
        unpack(v, h.chunk[k]);
#pragma unroll
        for (int j = 0; j < W; j++) {
            g[j] += inv_h * (u[j] - v[j] * mean_h);
        }
        pack(&out, g);
        store_chunk(dx, k, C, out);
        if (POST) {
            unpack(v, y.chunk[k]);
#pragma unroll
            for (int j = 0; j < W; j++) {
                v[j] *= inv_y;
                sum[POST ? k : 0][j] = g[j];
            }
            product += dot<W>(g, v);
        } else if (a.dy != nullptr) {
#pragma unroll
            for (int j = 0; j < W; j++) {
                g[j] *= a.scale;
            }
            pack(&out, g);
            store_chunk(dy, k, C, out);
        }
    }
    if (!POST) {
        return;
    }
    const float mean_y = warp_sum(product) * a.per_column;
#pragma unroll
    for (int k = 0; k < CHUNKS; k++) {
        unpack(v, y.chunk[k]);
#pragma unroll
        for (int j = 0; j < W; j++) {
            g[j] = a.scale * (inv_y * (sum[POST ? k : 0][j] - v[j] * inv_y * mean_y));
        }
        pack(&out, g);
        store_chunk(dy, k, C, out);
    }
}

/* ---- rows too long for that, and those that wide accesses do not reach: read again in each pass
 * ---- */

template <typename Act, int W>
__global__ void __launch_bounds__(THREADS) add_norm_forward_long_kernel(norm_args a)
{
    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32, C = a.C;
    if (n >= a.N) {
        return; /* a whole warp */
    }
    const bool leader = threadIdx.x % 32 == 0, has_y = a.y != nullptr;
    const Act *x_in = (const Act *)a.x_in + n * C, *y_row = (const Act *)a.y + n * C;
    Act *x_out = (Act *)a.x_out + n * C, *h = (Act *)a.h + n * C;
    const Act *x_now = has_y ? x_out : x_in; /* the row that h is made from */
    packed<Act, W> stored;
    float x[W], y[W], squares = 0, inv_y = 1;
    if (a.post_norm) {
        for (int64_t c = first_column(W); c < C; c += 32 * W) {
            load<Act, W>(y, y_row + c);
            squares += dot<W>(y, y);
        }
        inv_y = inv_rms_of(squares, a.per_column);
        squares = 0;
        if (leader) {
            a.inv_rms_y[n] = inv_y;
        }
    }
    for (int64_t c = first_column(W); c < C; c += 32 * W) {
        load<Act, W>(x, x_in + c);
        if (has_y) {
            load<Act, W>(y, y_row + c);
#pragma unroll
            for (int j = 0; j < W; j++) {
                x[j] += a.scale * (y[j] * inv_y);
            }
            pack(&stored, x);
            store_packed(x_out + c, stored);
            unpack(x, stored); /* as it reads back */
        }
        squares += dot<W>(x, x);
    }
    if (a.h == nullptr) {
        return;
    }
    const float inv_h = inv_rms_of(squares, a.per_column);
    if (leader) {
        a.inv_rms_h[n] = inv_h;
    }
    for (int64_t c = first_column(W); c < C; c += 32 * W) {
        load<Act, W>(x, x_now + c); /* this lane's own writes */
#pragma unroll
        for (int j = 0; j < W; j++) {
            x[j] *= inv_h;
        }
        store<Act, W>(h + c, x);
    }
}

/* The gradient of x_out of one access: dx (unless `first`) plus what comes through h. */
template <typename Act, int W>
static __device__ __forceinline__ void norm_grad_sum(float *g, const norm_grad_args &a, int64_t at,
                                                     float inv_h, float mean_h)
{
    float dh[W], h[W];
#pragma unroll
    for (int j = 0; j < W; j++) {
        g[j] = 0;
    }
    if (!a.first) {
        load<Act, W>(g, (const Act *)a.dx + at);
    }
    if (a.dh != nullptr) {
        load<Act, W>(dh, (const Act *)a.dh + at);
        load<Act, W>(h, (const Act *)a.h + at);
#pragma unroll
        for (int j = 0; j < W; j++) {
            g[j] += inv_h * (dh[j] - h[j] * mean_h);
        }
    }
}

template <typename Act, int W, bool POST>
__global__ void __launch_bounds__(THREADS) add_norm_backward_long_kernel(norm_grad_args a)
{
    const int64_t n = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32, C = a.C;
    if (n >= a.N) {
        return; /* a whole warp */
    }
    Act *dx = (Act *)a.dx + n * C, *dy = (Act *)a.dy + n * C;
    const Act *y_row = (const Act *)a.y + n * C;
    const float inv_y = POST ? a.inv_rms_y[n] : 0;
    float g[W], u[W], product = 0, mean_h = 0, inv_h = 0;
    if (a.dh != nullptr) {
        for (int64_t c = first_column(W); c < C; c += 32 * W) {
            load<Act, W>(g, (const Act *)a.dh + n * C + c);
            load<Act, W>(u, (const Act *)a.h + n * C + c);
            product += dot<W>(g, u);
        }
        mean_h = warp_sum(product) * a.per_column;
        inv_h = a.inv_rms_h[n];
        product = 0;
    }
    for (int64_t c = first_column(W); c < C; c += 32 * W) {
        norm_grad_sum<Act, W>(g, a, n * C + c, inv_h, mean_h);
        store<Act, W>(dx + c, g);
        if (POST) {
            load<Act, W>(u, y_row + c);
#pragma unroll
            for (int j = 0; j < W; j++) {
                u[j] *= inv_y;
            }
            product += dot<W>(g, u);
        } else if (a.dy != nullptr) {
#pragma unroll
            for (int j = 0; j < W; j++) {
                g[j] *= a.scale;
            }
            store<Act, W>(dy + c, g);
        }
    }
    if (!POST) {
        return;
    }
    const float mean_y = warp_sum(product) * a.per_column;
    for (int64_t c = first_column(W); c < C; c += 32 * W) {
        load<Act, W>(g, dx + c); /* this lane's own writes */
        load<Act, W>(u, y_row + c);
#pragma unroll
        for (int j = 0; j < W; j++) {
            g[j] = a.scale * (inv_y * (g[j] - u[j] * inv_y * mean_y));
        }
        store<Act, W>(dy + c, g);
    }
}

/* ---- launches ---- */

template <typename Act> static gb_status add_norm_forward(gb_device *dev, const norm_args &a)
{
    constexpr int W = wide_access<Act>();
    const cuda_grid grid = cuda_grid_of((a.N + ROWS - 1) / ROWS, THREADS);
    const char *op = "add_norm_forward";
    if (!cuda_aligned(a.C * (int64_t)sizeof(Act), a.x_out, a.h, a.x_in, a.y)) {
        return CUDA_LAUNCH(dev, op, (add_norm_forward_long_kernel<Act, 1>), grid, a);
    }
    if (a.C <= 32 * W * 4) {
        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel<Act, W, 4>), grid, a);
    }
    if (a.C <= 32 * W * 8) {
        return CUDA_LAUNCH(dev, op, (add_norm_forward_kernel<Act, W, 8>), grid, a);
    }
    return CUDA_LAUNCH(dev, op, (add_norm_forward_long_kernel<Act, W>), grid, a);
}

template <typename Act, bool POST>
static gb_status add_norm_backward(gb_device *dev, const norm_grad_args &a)
{
    constexpr int W = wide_access<Act>();
    const cuda_grid grid = cuda_grid_of((a.N + ROWS - 1) / ROWS, THREADS);
    const char *op = "add_norm_backward";
    if (!cuda_aligned(a.C * (int64_t)sizeof(Act), a.dx, a.dy, a.dh, a.h, a.y)) {
        return CUDA_LAUNCH(dev, op, (add_norm_backward_long_kernel<Act, 1, POST>), grid, a);
    }
    if (a.C <= 32 * W * 4) {
        return CUDA_LAUNCH(dev, op, (add_norm_backward_kernel<Act, W, 4, POST>), grid, a);
    }
    if (a.C <= 32 * W * 8) {
        return CUDA_LAUNCH(dev, op, (add_norm_backward_kernel<Act, W, 8, POST>), grid, a);
    }
    return CUDA_LAUNCH(dev, op, (add_norm_backward_long_kernel<Act, W, POST>), grid, a);
}

template <typename Act> static gb_status add_norm_backward(gb_device *dev, const norm_grad_args &a)
{
    return a.post_norm && a.dy != nullptr ? add_norm_backward<Act, true>(dev, a)
                                          : add_norm_backward<Act, false>(dev, a);
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
    a.per_column = 1.0f / (float)C;
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
    a.per_column = 1.0f / (float)C;
    GB_TRY(cuda_op_begin(dev, GB_OP_NORM));
    GB_TRY(dev->bf16 ? add_norm_backward<bf16>(dev, a) : add_norm_backward<float>(dev, a));
    return cuda_op_end(dev, 0);
}
