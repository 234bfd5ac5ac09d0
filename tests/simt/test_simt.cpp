/* The emulator itself: what kernels may rely on, and that it catches what it says it catches. The
 * kernels that must die do so in a child process, whose last words are compared. */
#include "cublasLt.h"
#include "simt_ptx.h"
#include "test_simt_common.h"

namespace
{

/* ---- blocks, barriers, shared memory ---- */

__global__ void reduce_kernel(const int *in, long long *out, int n, bool with_barrier)
{
    __shared__ long long sums[256];
    long long sum = 0;
    for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < n;
         i += (int)(gridDim.x * blockDim.x)) {
        sum += in[i];
    }
    sums[threadIdx.x] = sum;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (with_barrier) {
            __syncthreads();
        }
        if (threadIdx.x < half) {
            sums[threadIdx.x] += sums[threadIdx.x + half];
        }
    }
    if (threadIdx.x == 0) {
        atomicAdd(out, sums[0]);
    }
}

long long reduce_on_device(bool with_barrier)
{
    std::vector<int> in(10000);
    for (int i = 0; i < 10000; i++) {
        in[(size_t)i] = i;
    }
    device_array<int> from(in);
    device_array<long long> to(1);
    cudaMemset(to.data, 0, sizeof(long long));
    assert_int_equal(
        launch(reduce_kernel, 5, 256, 0, nullptr, from.data, to.data, 10000, with_barrier),
        cudaSuccess);
    return to.get()[0];
}

void a_block_reduces(void **)
{
    assert_true(reduce_on_device(true) == 49995000); /* 9999 * 10000 / 2 */
}

void a_dropped_barrier_shows(void **)
{
    assert_true(reduce_on_device(false) != 49995000);
}

__global__ void index_kernel(unsigned *out)
{
    unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    unsigned at = block * blockDim.x * blockDim.y * blockDim.z + thread;
    __syncthreads(); /* indices are right behind a switch, too */
    out[at] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z + 1000 * threadIdx.x +
              10000 * threadIdx.y + 100000 * threadIdx.z;
}

void indices_are_per_thread(void **)
{
    device_array<unsigned> out(2 * 3 * 2 * 3 * 4 * 5);
    launch(index_kernel, dim3(2, 3, 2), dim3(3, 4, 5), 0, nullptr, out.data);
    std::vector<unsigned> values = out.get();
    size_t at = 0;
    for (unsigned bz = 0; bz < 2; bz++) {
        for (unsigned by = 0; by < 3; by++) {
            for (unsigned bx = 0; bx < 2; bx++) {
                for (unsigned t = 0; t < 60; t++) {
                    unsigned expected = bx + 10 * by + 100 * bz + 1000 * (t % 3) +
                                        10000 * (t / 3 % 4) + 100000 * (t / 12);
                    assert_int_equal(values[at++], expected);
                }
            }
        }
    }
}

__global__ void votes_kernel(int *out)
{
    int i = (int)threadIdx.x;
    int odd = __syncthreads_count(i % 2), any = __syncthreads_or(i == 69);
    int all = __syncthreads_and(i < 70), not_all = __syncthreads_and(i < 69);
    out[i] = odd * 8 + any * 4 + all * 2 + not_all;
}

void barriers_count_votes(void **)
{
    device_array<int> out(70);
    launch(votes_kernel, 1, 70, 0, nullptr, out.data);
    for (int value : out.get()) {
        assert_int_equal(value, 35 * 8 + 4 + 2); /* 35 odd numbers below 70 */
    }
}

__global__ void stale_kernel(unsigned *out)
{
    __shared__ unsigned fixed[4];
    unsigned *dynamic = reinterpret_cast<unsigned *>(gb_dynamic_shared());
    out[blockIdx.x * 2] = fixed[1];
    out[blockIdx.x * 2 + 1] = dynamic[1];
    fixed[1] = dynamic[1] = 7;
}

void shared_memory_starts_as_garbage(void **)
{
    device_array<unsigned> out(6);
    launch(stale_kernel, 3, 1, 16, nullptr, out.data);
    for (unsigned value : out.get()) {
        assert_int_equal(value, 0xffffffffu);
    }
}

__global__ void early_end_kernel()
{
    if (threadIdx.x == 40) {
        return;
    }
    __syncthreads();
}

__global__ void other_barrier_kernel()
{
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

__global__ void half_warp_kernel(int *out)
{
    if (threadIdx.x != 3) {
        *out = __shfl_xor_sync(0xffffffffu, 1, 1);
    } else {
        __syncthreads();
    }
}

__global__ void dynamic_overrun_kernel(int at)
{
    gb_dynamic_shared()[at] = 1;
}

__attribute__((noinline)) __device__ void store_one(float *to, int at)
{
    to[at] = 1;
}

__global__ void static_overrun_kernel(int at)
{
    __shared__ float tile[10];
    store_one(tile, at);
    __syncthreads();
}

__global__ void misaligned_kernel(float *data)
{
    *reinterpret_cast<float4 *>(data + 1) = make_float4(0, 0, 0, 0);
}

template <typename... Args> void run_now(Args... args)
{
    launch(args...);
    cudaDeviceSynchronize();
}

void divergence_is_caught(void **)
{
    std::string words = last_words([]() { run_now(early_end_kernel, 1, 64, 0, nullptr); });
    assert_says(words, "early_end_kernel");
    assert_says(words, "thread");
    assert_says(words, "barrier of");
    words = last_words([]() { run_now(other_barrier_kernel, 1, 64, 0, nullptr); });
    assert_says(words, "other_barrier_kernel");
    assert_says(words, "wait at that of");
    words = last_words([]() {
        device_array<int> out(1);
        run_now(half_warp_kernel, 1, 32, 0, nullptr, out.data);
    });
    assert_says(words, "lanes 00000008 never come");
}

void bad_memory_is_caught(void **)
{
#ifndef __SANITIZE_ADDRESS__
    skip(); /* built without sanitizers */
#endif
    std::string words =
        last_words([]() { run_now(dynamic_overrun_kernel, 1, 1, 100, nullptr, 100); });
    assert_says(words, "heap-buffer-overflow");
    assert_says(words, "dynamic_overrun_kernel");
    words = last_words([]() { run_now(static_overrun_kernel, 1, 1, 0, nullptr, 10); });
    assert_says(words, "global-buffer-overflow");
    words = last_words([]() {
        device_array<float> data(8);
        run_now(misaligned_kernel, 1, 1, 0, nullptr, data.data);
    });
    assert_says(words, "misaligned address");
    words = last_words([]() {
        device_array<int> data(8);
        data.data[3] = 1; /* the host writes to device memory */
    });
    assert_says(words, "use-after-poison");
}

/* ---- warps ---- */

__global__ void shuffle_kernel(int *out, int width)
{
    int lane = (int)threadIdx.x, *row = out + lane * 4;
    row[0] = __shfl_sync(~0u, lane * 10, lane + 3, width);
    row[1] = __shfl_up_sync(~0u, lane * 10, 3, width);
    row[2] = __shfl_down_sync(~0u, lane * 10, 3, width);
    row[3] = (int)__shfl_xor_sync(~0u, (double)lane * 10, 5, width);
}

void shuffles_follow_the_manual(void **)
{
    for (int width = 1; width <= 32; width *= 2) {
        device_array<int> out(32 * 4);
        launch(shuffle_kernel, 1, 32, 0, nullptr, out.data, width);
        std::vector<int> values = out.get();
        for (int lane = 0; lane < 32; lane++) {
            /* CUDA C++ Programming Guide, "Warp Shuffle Functions" */
            int first = lane / width * width, in = lane % width;
            int up = in >= 3 ? lane - 3 : lane, down = in + 3 < width ? lane + 3 : lane;
            int exchanged = (lane ^ 5) < first + width ? lane ^ 5 : lane;
            const int *row = &values[(size_t)lane * 4];
            assert_int_equal(row[0], 10 * (first + (lane + 3) % width));
            assert_int_equal(row[1], 10 * up);
            assert_int_equal(row[2], 10 * down);
            assert_int_equal(row[3], 10 * exchanged);
        }
    }
}

__global__ void vote_kernel(unsigned *out)
{
    unsigned lane = threadIdx.x, *row = out + lane * 4;
    row[0] = __ballot_sync(~0u, lane % 3 == 0);
    if (lane < 8) { /* part of a warp */
        row[0] ^= __ballot_sync(0xffu, lane > 4);
    }
    row[1] = (unsigned)__any_sync(~0u, lane == 31) * 2 + (unsigned)__all_sync(~0u, lane != 31);
    row[2] = __reduce_add_sync(~0u, lane);
    row[3] = (unsigned)__reduce_max_sync(~0u, -(int)lane) + __reduce_or_sync(~0u, lane);
}

void votes_and_reductions(void **)
{
    device_array<unsigned> out(32 * 4);
    launch(vote_kernel, 1, 32, 0, nullptr, out.data);
    std::vector<unsigned> values = out.get();
    for (size_t lane = 0; lane < 32; lane++) {
        unsigned ballot = 0x49249249u; /* bits 0, 3, 6, ... 30 */
        assert_int_equal(values[lane * 4], lane < 8 ? ballot ^ 0xe0u : ballot);
        assert_int_equal(values[lane * 4 + 1], 2);
        assert_int_equal(values[lane * 4 + 2], 496); /* 31 * 32 / 2 */
        assert_int_equal(values[lane * 4 + 3], 31);
    }
}

/* ---- bfloat16 ---- */

/* Nearest, ties to even, by search among the neighbours: the definition, not the bit trick. */
unsigned short nearest_bf16(float x)
{
    unsigned short low = (unsigned short)(simt::bit_cast<uint32_t>(x) >> 16); /* towards zero */
    unsigned short high = (unsigned short)(low + 1);
    double a = simt::bit_cast<float>((uint32_t)low << 16);
    double b = simt::bit_cast<float>((uint32_t)high << 16);
    if (std::isinf(b) && !std::isinf(a)) {
        b = std::copysign(std::ldexp(1.0, 128), b); /* where the next number would be */
    }
    double to_a = std::fabs(x - a), to_b = std::fabs(x - b);
    return to_a < to_b || (to_a == to_b && low % 2 == 0) ? low : high;
}

void bf16_rounds_to_nearest_even(void **)
{
    static const uint32_t lower[] = {0x0000, 0x0001, 0x7fff, 0x8000,
                                     0x8001, 0xffff, 0x1234, 0xabcd};
    for (uint32_t upper = 0; upper < 0x10000; upper++) {
        for (uint32_t low : lower) {
            float x = simt::bit_cast<float>(upper << 16 | low);
            unsigned short got = __bfloat16_as_ushort(__float2bfloat16_rn(x));
            if (std::isnan(x)) {
                assert_int_equal(got, 0x7fff);
            } else if (std::isinf(x)) {
                assert_int_equal(got, upper);
            } else {
                assert_int_equal(got, nearest_bf16(x));
            }
        }
        if ((upper & 0x7fff) <= 0x7f80) { /* every bf16 comes back as itself */
            __nv_bfloat16 value = __ushort_as_bfloat16((unsigned short)upper);
            assert_int_equal(__bfloat16_as_ushort(__nv_bfloat16(__bfloat162float(value))), upper);
        }
    }
}

/* ---- matrix instructions and asynchronous copies ---- */

/* out (16, 8) = a (16, 16) . b (8, 16)^T through shared memory, with or without transposition of
 * b on the way: then b is given as (16, 8). */
__global__ void mma_kernel(float *out, const __nv_bfloat16 *a, const __nv_bfloat16 *b,
                           bool b_transposed)
{
    __nv_bfloat16 *sa = reinterpret_cast<__nv_bfloat16 *>(gb_dynamic_shared()), *sb = sa + 256;
    int lane = (int)threadIdx.x;
    for (int i = lane; i < 256; i += 32) {
        sa[i] = a[i];
    }
    for (int i = lane; i < 128; i += 32) {
        sb[i] = b[i];
    }
    __syncwarp();
    uint32_t ra[4], rb[2];
    /* matrices of A: rows 0-7 and 8-15 of columns 0-7, then of columns 8-15 */
    ptx_ldmatrix_x4(ra, sa + (lane % 16) * 16 + lane / 16 * 8);
    if (b_transposed) {
        ptx_ldmatrix_x2_trans(rb, sb + lane % 16 * 8);
    } else {
        ptx_ldmatrix_x2(rb, sb + lane % 8 * 16 + lane / 8 % 2 * 8);
    }
    float d[4] = {1, 1, 1, 1};
    ptx_mma_m16n8k16_bf16(d, ra, rb);
    for (int i = 0; i < 4; i++) {
        out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
    }
}

void mma_is_a_matrix_product(void **)
{
    for (int transposed = 0; transposed < 2; transposed++) {
        std::vector<__nv_bfloat16> a(256), b(128);
        for (int i = 0; i < 256; i++) {
            a[(size_t)i] = __nv_bfloat16((float)(i * 37 % 19 - 9)); /* small integers are exact */
        }
        for (int i = 0; i < 128; i++) {
            b[(size_t)i] = __nv_bfloat16((float)(i * 23 % 17 - 8));
        }
        device_array<__nv_bfloat16> da(a), db(b);
        device_array<float> out(128);
        launch(mma_kernel, 1, 32, 768, nullptr, out.data, (const __nv_bfloat16 *)da.data,
               (const __nv_bfloat16 *)db.data, transposed == 1);
        std::vector<float> values = out.get();
        for (size_t m = 0; m < 16; m++) {
            for (size_t n = 0; n < 8; n++) {
                float sum = 1;
                for (size_t k = 0; k < 16; k++) {
                    sum += (float)a[m * 16 + k] * (float)b[transposed ? k * 8 + n : n * 16 + k];
                }
                assert_true(values[m * 8 + n] == sum);
            }
        }
    }
}

/* Each thread copies 16 bytes in each of two groups and adds up what its neighbour copied. */
__global__ void async_kernel(int *out, const int *in, bool wait, bool barrier)
{
    int *tile = reinterpret_cast<int *>(gb_dynamic_shared());
    int i = (int)threadIdx.x, n = (int)blockDim.x, other = (i + 1) % n;
    for (int g = 0; g < 2; g++) {
        ptx_cp_async_16(tile + (g * n + i) * 4, in + (g * n + i) * 4, i != 0);
        ptx_cp_async_commit();
    }
    if (wait) {
        ptx_cp_async_wait<1>();
    }
    if (barrier) {
        __syncthreads();
    }
    out[i] = tile[other * 4 + 2];
    out[n + i] = tile[(n + other) * 4 + 2]; /* not yet waited for */
    __syncthreads();
    ptx_cp_async_wait<0>();
    __syncthreads();
    out[2 * n + i] = tile[(n + other) * 4 + 2];
}

std::vector<int> async_values(bool wait, bool barrier)
{
    std::vector<int> in(2 * 64 * 4);
    for (size_t i = 0; i < in.size(); i++) {
        in[i] = (int)i;
    }
    device_array<int> from(in), to(3 * 64);
    launch(async_kernel, 1, 64, 2048, nullptr, to.data, (const int *)from.data, wait, barrier);
    return to.get();
}

void copies_arrive_with_the_wait(void **)
{
    std::vector<int> good = async_values(true, true), no_wait = async_values(false, true),
                     no_barrier = async_values(true, false);
    int late = 0;
    for (int i = 0; i < 64; i++) {
        int other = (i + 1) % 64;
        assert_int_equal(good[(size_t)i], other ? other * 4 + 2 : 0); /* 0: !valid */
        assert_int_equal(good[(size_t)(64 + i)], -1);
        assert_int_equal(good[(size_t)(128 + i)], other ? (64 + other) * 4 + 2 : 0);
        assert_int_equal(no_wait[(size_t)i], -1);
        late += no_barrier[(size_t)i] == -1;
    }
    assert_true(late > 0);
}

/* ---- runtime ---- */

__global__ void add_kernel(int *to, const int *value)
{
    *to = *to * 10 + *value;
}

void streams_and_events_keep_order(void **)
{
    cudaStream_t first, second;
    cudaEvent_t copied, start, end;
    int *host;
    cudaStreamCreate(&first);
    cudaStreamCreate(&second);
    cudaEventCreate(&copied);
    cudaEventCreate(&start);
    cudaEventCreate(&end);
    cudaHostAlloc(&host, sizeof(int), 0);
    device_array<int> sum(1), value(1);
    *host = 0;
    cudaMemsetAsync(sum.data, 0, sizeof(int), first);
    cudaEventRecord(start, first);
    *host = 4;
    cudaMemcpyAsync(value.data, host, sizeof(int), cudaMemcpyHostToDevice, second);
    cudaEventRecord(copied, second);
    cudaStreamWaitEvent(first, copied);
    launch(add_kernel, 1, 1, 0, first, sum.data, (const int *)value.data);
    cudaEventRecord(end, first);
    float ms = -1;
    assert_int_equal(cudaEventElapsedTime(&ms, start, end), cudaErrorNotReady);
    cudaEventSynchronize(end);
    assert_int_equal(cudaEventElapsedTime(&ms, start, end), cudaSuccess);
    assert_true(ms >= 0);
    cudaMemcpyAsync(host, sum.data, sizeof(int), cudaMemcpyDeviceToHost, first);
    *host = -1;
    cudaStreamSynchronize(first);
    assert_int_equal(*host, 4);
    cudaFreeHost(host);
    cudaEventDestroy(copied);
    cudaEventDestroy(start);
    cudaEventDestroy(end);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
}

void graphs_replay(void **)
{
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int *host;
    cudaStreamCreate(&stream);
    cudaHostAlloc(&host, sizeof(int), 0);
    device_array<int> sum(1), value(1);
    cudaMemset(sum.data, 0, sizeof(int));
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    cudaMemcpyAsync(value.data, host, sizeof(int), cudaMemcpyHostToDevice, stream);
    launch(add_kernel, 1, 1, 0, stream, sum.data, (const int *)value.data);
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    cudaGraphDestroy(graph);
    assert_int_equal(sum.get()[0], 0); /* a capture runs nothing */
    for (*host = 1; *host <= 3; ++*host) {
        cudaGraphLaunch(exec, stream);
        cudaStreamSynchronize(stream);
    }
    assert_int_equal(sum.get()[0], 123);

    cudaGraphExecDestroy(exec);
    cudaFreeHost(host);
    cudaStreamDestroy(stream);
}

/* What the manual of cudaStreamBeginCapture forbids between begin and end, one call at a time. */
void captures_refuse(void **)
{
    cudaStream_t stream, other;
    cudaEvent_t event;
    cudaGraph_t graph;
    void *memory;
    cudaStreamCreate(&stream);
    cudaStreamCreate(&other);
    cudaEventCreate(&event);
    cudaEventRecord(event, other);
    for (int i = 0; i < 5; i++) {
        cudaError_t code, expected = cudaErrorStreamCaptureUnsupported;
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
        switch (i) {
        case 0:
            code = cudaStreamSynchronize(stream);
            break;
        case 1:
            code = cudaDeviceSynchronize();
            break;
        case 2:
            code = cudaMalloc(&memory, 4);
            break;
        case 3:
            code = cudaHostAlloc(&memory, 4, 0);
            break;
        default:
            code = cudaStreamWaitEvent(stream, event);
            expected = cudaErrorStreamCaptureIsolation;
        }
        assert_int_equal(code, expected);
        assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
        cudaGetLastError();
    }
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
}

__global__ void nothing_kernel()
{
}

/* Memory and streams belong to the device that was current when they were made. */
void devices_are_kept_apart(void **)
{
    cudaStream_t stream;
    void *here, *there;
    setenv("SIMT_DEVICES", "90 90", 1);
    assert_int_equal(cudaMalloc(&here, 4), cudaSuccess);
    assert_int_equal(cudaSetDevice(1), cudaSuccess);
    assert_int_equal(cudaMalloc(&there, 4), cudaSuccess);
    cudaStreamCreate(&stream);
    assert_int_equal(cudaMemsetAsync(there, 0, 4, stream), cudaSuccess);
    assert_int_equal(cudaMemsetAsync(here, 0, 4, stream), cudaErrorInvalidValue);
    assert_int_equal(launch(nothing_kernel, 1, 1, 0, stream), cudaSuccess);
    assert_int_equal(cudaSetDevice(0), cudaSuccess);
    assert_int_equal(launch(nothing_kernel, 1, 1, 0, stream), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
    cudaStreamDestroy(stream);
    cudaFree(here);
    cudaFree(there);
    unsetenv("SIMT_DEVICES");
}

void limits_are_checked(void **)
{
    assert_int_equal(launch(nothing_kernel, 1, 1025, 0, nullptr), cudaErrorInvalidConfiguration);
    assert_int_equal(launch(nothing_kernel, 0, 1, 0, nullptr), cudaErrorInvalidConfiguration);
    assert_int_equal(launch(nothing_kernel, dim3(1, 65536), 1, 0, nullptr),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(launch(nothing_kernel, 1, 1, 49152, nullptr), cudaSuccess);
    assert_int_equal(launch(nothing_kernel, 1, 1, 49153, nullptr), cudaErrorInvalidValue);
    const cudaFuncAttribute dynamic = cudaFuncAttributeMaxDynamicSharedMemorySize;
    assert_int_equal(cudaFuncSetAttribute(nothing_kernel, dynamic, 232448), cudaSuccess);
    assert_int_equal(launch(nothing_kernel, 1, 1, 232448, nullptr), cudaSuccess);
    assert_int_equal(cudaFuncSetAttribute(nothing_kernel, dynamic, 232449), cudaErrorInvalidValue);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    assert_int_equal(simt::static_shared_bytes((const void *)reduce_kernel), 2048);
    void *memory;
    assert_int_equal(cudaMalloc(&memory, (size_t)1 << 50), cudaErrorMemoryAllocation);
    int host = 0;
    device_array<int> data(1);
    assert_int_equal(cudaMemcpy(data.data, &host, 5, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(&host, data.data, 4, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    cudaGetLastError();
}

/* ---- cuBLASLt ---- */

/* C (2, 2) = A (2, 3) . B (3, 2), column-major as is the default, or B row-major. */
void products_follow_orders(void **)
{
    const std::vector<float> a = {1, 4, 2, 5, 3, 6}; /* columns of 1 2 3 / 4 5 6 */
    const std::vector<float> b = {7, 9, 11, 8, 10, 12}, b_rows = {7, 8, 9, 10, 11, 12};
    for (int rows = 0; rows < 2; rows++) {
        device_array<float> A(a), B(rows ? b_rows : b), C(std::vector<float>{1, 1, 1, 1});
        cublasLtHandle_t handle;
        cublasLtMatmulDesc_t desc;
        cublasLtMatrixLayout_t la, lb, lc;
        cublasLtCreate(&handle);
        cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
        cublasLtMatrixLayoutCreate(&la, CUDA_R_32F, 2, 3, 2);
        cublasLtMatrixLayoutCreate(&lb, CUDA_R_32F, 3, 2, rows ? 2 : 3);
        cublasLtMatrixLayoutCreate(&lc, CUDA_R_32F, 2, 2, 2);
        cublasLtOrder_t order = rows ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
        cublasLtMatrixLayoutSetAttribute(lb, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
        float alpha = 2, beta = 3;
        assert_int_equal(cublasLtMatmul(handle, desc, &alpha, A.data, la, B.data, lb, &beta, C.data,
                                        lc, C.data, lc, nullptr, nullptr, 0, nullptr),
                         CUBLAS_STATUS_SUCCESS);
        const float expected[] = {58, 139, 64, 154}; /* the product, by columns */
        std::vector<float> c = C.get();
        for (size_t i = 0; i < 4; i++) {
            assert_true(c[i] == 2 * expected[i] + 3);
        }
        cublasLtMatrixLayoutDestroy(la);
        cublasLtMatrixLayoutDestroy(lb);
        cublasLtMatrixLayoutDestroy(lc);
        cublasLtMatmulDescDestroy(desc);
        cublasLtDestroy(handle);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_block_reduces),
        cmocka_unit_test(a_dropped_barrier_shows),
        cmocka_unit_test(indices_are_per_thread),
        cmocka_unit_test(barriers_count_votes),
        cmocka_unit_test(shared_memory_starts_as_garbage),
        cmocka_unit_test(divergence_is_caught),
        cmocka_unit_test(bad_memory_is_caught),
        cmocka_unit_test(shuffles_follow_the_manual),
        cmocka_unit_test(votes_and_reductions),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(mma_is_a_matrix_product),
        cmocka_unit_test(copies_arrive_with_the_wait),
        cmocka_unit_test(streams_and_events_keep_order),
        cmocka_unit_test(graphs_replay),
        cmocka_unit_test(captures_refuse),
        cmocka_unit_test(devices_are_kept_apart),
        cmocka_unit_test(limits_are_checked),
        cmocka_unit_test(products_follow_orders),
    };
    return cmocka_run_group_tests_name("simt", tests, nullptr, nullptr);
}
