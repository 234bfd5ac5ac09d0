/* How the CUDA backend chooses algorithms of matrix products, on the emulator's cuBLASLt, whose
 * candidates claim to take what a test says. A "process" is a device that is opened and closed. */
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream> /* before cmocka, whose fail is a macro */
#include <sstream>
#include <string>
extern "C" {
#include <cmocka.h>
}

#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_sizes.cuh"
#include "simt_test.h"

namespace
{

namespace fs = std::filesystem;

/* Sizes of y (N, O) = x (N, I) . w (O, I)^T with all ones: every y is I. */
enum { N = 3, I = 8, O = 5 };

struct process {
    gb_device *dev;

    explicit process(gb_precision precision = GB_FP32, int device = -1)
    {
        gb_options options = {};
        gb_error error;
        options.precision = precision;
        options.device_index = device;
        options.shape.batch_size = options.shape.sequence_length = 1;
        options.shape.n_embd = options.shape.head_dim = options.shape.mlp_hidden = 2;
        options.shape.n_head = options.shape.n_kv_head = 1;
        options.shape.vocab_size = 2;
        assert_int_equal(gb_backend_cuda.open(&options, &dev, &error), GB_OK);
    }
    process(const process &) = delete;
    process &operator=(const process &) = delete;
    ~process()
    {
        gb_backend_cuda.close(dev);
    }

    void *filled(int64_t n, double value)
    {
        const std::vector<double> host((size_t)n, value);
        void *data;
        assert_int_equal(gb_backend_cuda.alloc(dev, GB_MEM_DATA, n * 4, &data), GB_OK);
        assert_int_equal(gb_backend_cuda.upload_wide(dev, data, host.data(), n), GB_OK);
        return data;
    }

    void is_filled(const void *data, int64_t n, double value)
    {
        std::vector<double> host((size_t)n);
        assert_int_equal(gb_backend_cuda.download_wide(dev, host.data(), data, n), GB_OK);
        for (double x : host) {
            assert_true(x == value);
        }
    }

    /* A product of ones in fp32; the candidate that computed it. */
    int forward(int64_t rows = N)
    {
        void *y = filled(rows * O, NAN), *x = filled(rows * I, 1), *w = filled(O * I, 1);
        assert_int_equal(gb_backend_cuda.linear_forward(dev, y, x, w, rows, I, O), GB_OK);
        is_filled(y, rows * O, I);
        return simt::blas_last();
    }

    /* dw (O, I) of ones: N, added to 100 unless `first`. */
    int weight_gradient(bool first)
    {
        void *dw = filled(O * I, first ? NAN : 100), *dy = filled(N * O, 1), *x = filled(N * I, 1);
        assert_int_equal(gb_backend_cuda.linear_backward_weight(dev, dw, dy, x, first, N, I, O),
                         GB_OK);
        is_filled(dw, O * I, first ? N : 100 + N);
        return simt::blas_last();
    }

    std::string libraries()
    {
        gb_description about;
        gb_backend_cuda.describe(dev, &about);
        return about.libraries;
    }
};

/* A cache directory of its own for each test, which does not exist yet, in this one. */
std::string cache_base;

int new_cache(void **)
{
    char name[] = "/tmp/gptbench-gemm-XXXXXX";
    assert_non_null(mkdtemp(name));
    cache_base = name;
    setenv("GPTBENCH_CACHE_DIR", (std::string(name) + "/a/b").c_str(), 1);
    unsetenv("GPTBENCH_CUDA_TUNE");
    return 0;
}

int remove_cache(void **)
{
    fs::remove_all(cache_base); /* whatever the test has made of the variable */
    return 0;
}

/* The cache file; empty where there is none. */
fs::path cache_path()
{
    const fs::path directory = getenv("GPTBENCH_CACHE_DIR");
    fs::path found;
    if (fs::is_directory(directory)) {
        for (const auto &entry : fs::directory_iterator(directory)) {
            assert_true(found.empty()); /* one device, one library: one file */
            found = entry.path();
        }
    }
    return found;
}

std::string cache_text()
{
    std::ifstream in(cache_path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

int cache_lines()
{
    int lines = 0;
    for (char c : cache_text()) {
        lines += c == '\n';
    }
    return lines > 0 ? lines - 1 : 0; /* the first is the heading */
}

simt::blas_candidate takes(std::vector<double> cost_ms)
{
    simt::blas_candidate c;
    c.cost_ms = cost_ms;
    return c;
}

int total_runs(size_t candidates)
{
    int runs = 0;
    for (size_t i = 0; i < candidates; i++) {
        runs += simt::blas_runs(i);
    }
    return runs;
}

/* ---- what is chosen ---- */

void the_cheapest_is_chosen(void **)
{
    process p;
    simt::blas_offer({takes({1.5}), takes({1.1}), takes({1.4})});
    assert_int_equal(p.forward(), 1);
    assert_int_equal(simt::blas_heuristics(), 1);
    const int timed = total_runs(3);
    assert_true(timed > 3 * 5);
    assert_int_equal(p.forward(), 1); /* the plan is kept */
    assert_int_equal(total_runs(3), timed + 1);
}

/* Within 1 % the heuristic's order decides, beyond it the time. */
void ties_go_to_the_heuristic(void **)
{
    process p;
    simt::blas_offer({takes({1.009}), takes({1.0})});
    assert_int_equal(p.forward(), 0);
    simt::blas_offer({takes({1.011}), takes({1.0})});
    assert_int_equal(p.forward(N + 1), 1);
}

/* Loading code and an interruption make single runs slow, which says nothing. */
void outliers_do_not_decide(void **)
{
    process p;
    simt::blas_offer({takes({400, 1, 1, 90, 1, 1, 90, 1, 90, 1}), takes({1.2})});
    assert_int_equal(p.forward(), 0);
}

/* Of what is much slower there are three runs at most: loading, one timed, none after that. */
void hopeless_candidates_cost_little(void **)
{
    process p;
    simt::blas_offer({takes({1}), takes({30}), takes({300})});
    assert_int_equal(p.forward(), 0);
    assert_int_equal(simt::blas_runs(1), 2);
    assert_int_equal(simt::blas_runs(2), 2);
}

/* The heuristic's best may stand far down: the 32nd of 40 is found, and no more are asked for. */
void many_candidates_are_timed(void **)
{
    process p;
    std::vector<simt::blas_candidate> offer(40, takes({1}));
    offer[31] = takes({0.5});
    offer[32] = takes({0.1});
    simt::blas_offer(offer);
    assert_int_equal(p.forward(), 31);
}

/* From 32 to 128 MiB, a 256th of the device's memory; the plan of a run says the same. */
void workspace_goes_by_the_devices_memory(void **)
{
    const int64_t GIB = (int64_t)1 << 30, MIB = 1 << 20;
    assert_int_equal(cuda_gemm_workspace_bytes(0), 32 * MIB); /* not known */
    assert_int_equal(cuda_gemm_workspace_bytes(4 * GIB), 32 * MIB);
    assert_int_equal(cuda_gemm_workspace_bytes(16 * GIB), 64 * MIB);
    assert_int_equal(cuda_gemm_workspace_bytes(32 * GIB), 128 * MIB);
    assert_int_equal(cuda_gemm_workspace_bytes(140 * GIB), 128 * MIB);
    process p; /* the emulator has 16 GiB */
    int64_t used[GB_MEM_GROUPS];
    gb_backend_cuda.memory_used(p.dev, used);
    assert_int_equal(p.dev->slots[CUDA_SLOT_GEMM].bytes, 64 * MIB);
    assert_int_equal(used[GB_MEM_WORKSPACE], gb_backend_cuda.workspace_bytes(&p.dev->options));
    simt::blas_candidate hungry = takes({0.1}); /* what fits is taken */
    hungry.workspace_bytes = (size_t)(64 * MIB);
    simt::blas_offer({takes({1}), hungry});
    assert_int_equal(p.forward(), 1);
}

void candidates_that_do_not_work_are_passed_over(void **)
{
    process p;
    simt::blas_candidate refused = takes({0.1}), failing = refused, hungry = refused;
    refused.refused = true;
    failing.status = CUBLAS_STATUS_EXECUTION_FAILED;
    hungry.workspace_bytes = ((size_t)64 << 20) + 1; /* a 256th of the emulator's 16 GiB */
    simt::blas_offer({refused, takes({2}), failing, takes({1}), hungry});
    assert_int_equal(p.forward(), 3);
    assert_int_equal(simt::blas_runs(0), 0);
    assert_int_equal(simt::blas_runs(4), 0);
    assert_string_equal(gb_backend_cuda.last_error(p.dev), "");
}

/* Sums are fp32 sums: the schemes that add up parts in c's type are not asked for. */
void parts_are_added_in_fp32(void **)
{
    process p(GB_BF16);
    simt::blas_candidate in_place = takes({0.1}), in_output = in_place, wide = takes({0.2});
    in_place.reduction = CUBLASLT_REDUCTION_SCHEME_INPLACE;
    in_output.reduction = CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    wide.reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    simt::blas_offer({in_place, in_output, takes({1}), wide});
    void *x = p.filled(64, 0), *w = p.filled(64, 0), *y = p.filled(64, 0);
    assert_int_equal(gb_backend_cuda.linear_forward(p.dev, y, x, w, 4, 8, 8), GB_OK);
    assert_int_equal(simt::blas_last(), 3);
    assert_int_equal(simt::blas_runs(0) + simt::blas_runs(1), 0);
}

void where_all_fail_the_error_says_so(void **)
{
    process p;
    simt::blas_candidate failing = takes({1});
    failing.status = CUBLAS_STATUS_EXECUTION_FAILED;
    simt::blas_offer({failing, failing});
    void *y = p.filled(N * O, 0), *x = p.filled(N * I, 1), *w = p.filled(O * I, 1);
    assert_int_equal(gb_backend_cuda.linear_forward(p.dev, y, x, w, N, I, O), GB_ERR_INTERNAL);
    assert_non_null(strstr(gb_backend_cuda.last_error(p.dev), "execution failed"));
    assert_int_equal(cache_lines(), 0); /* nothing was learnt */
}

/* ---- accumulation ---- */

void accumulating_takes_its_siblings_choice(void **)
{
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.weight_gradient(true), 1);
    const int timed = total_runs(2);
    assert_int_equal(p.weight_gradient(false), 1);
    assert_int_equal(total_runs(2), timed + 1);
    assert_int_equal(cache_lines(), 1);
}

/* Timing must not touch what is added to: weight_gradient compares the sum. */
void accumulating_alone_is_timed_elsewhere(void **)
{
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.weight_gradient(false), 1);
    const int timed = total_runs(2);
    assert_true(timed > 2 * 5);
    assert_int_equal(p.weight_gradient(true), 1); /* shares it in turn */
    assert_int_equal(total_runs(2), timed + 1);
}

/* No room for a second c: the heuristic's first, and all later processes agree. */
void accumulating_without_memory(void **)
{
    {
        process p;
        void *dw = p.filled(O * I, 100), *dy = p.filled(N * O, 1), *x = p.filled(N * I, 1);
        simt::blas_offer({takes({2}), takes({1})});
        simt::leave_memory(O * I * 4 - 1);
        const gb_status status =
            gb_backend_cuda.linear_backward_weight(p.dev, dw, dy, x, false, N, I, O);
        simt::leave_memory((size_t)1 << 30);
        assert_int_equal(status, GB_OK);
        p.is_filled(dw, O * I, 100 + N);
        assert_int_equal(simt::blas_last(), 0);
        assert_int_equal(total_runs(2), 1);
    }
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.weight_gradient(true), 0);
    assert_int_equal(total_runs(2), 1);
}

/* ---- what the device can do ---- */

/* 256 x 256 on the emulator's two multiprocessors. The clock falls after 40 products of 10 ms, as
 * with a power limit, to 20 ms, and one product takes a second: the best batch is at 10 ms, and the
 * window in the middle of 25, of five products each, at 20. */
void a_peak_is_not_what_is_kept_up(void **)
{
    const double flops = 2.0 * 256 * 256 * 256;
    setenv("GPTBENCH_CUDA_TUNE", "0", 1);
    process p;
    std::vector<double> cost(200, 20);
    std::fill(cost.begin(), cost.begin() + 40, 10);
    cost[100] = 1000;
    simt::blas_offer({takes(cost)});
    const double sustained = gb_backend_cuda.measure_gemm_sustained(p.dev);
    assert_true(fabs(sustained / (flops / 20e-3) - 1) < 1e-4);
    assert_int_equal(simt::blas_runs(0), 2 + 25 * 5);
    simt::blas_offer({takes(cost)});
    const double peak = gb_backend_cuda.measure_gemm_peak(p.dev);
    assert_true(fabs(peak / (flops / 10e-3) - 1) < 1e-4);
}

/* ---- from process to process ---- */

void a_later_process_does_not_time(void **)
{
    {
        process p;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
        assert_non_null(strstr(p.libraries().c_str(), ", algorithms timed"));
        assert_null(strstr(p.libraries().c_str(), "not remembered"));
    }
    assert_int_equal(cache_lines(), 1);
    process p;
    simt::blas_offer({takes({1}), takes({2})}); /* it would choose the other one now */
    assert_int_equal(p.forward(), 1);
    assert_int_equal(total_runs(2), 1);
    assert_int_equal(simt::blas_heuristics(), 0);
    assert_int_equal(cache_lines(), 1);
}

/* Shape, alignment and precision make another product. */
void other_products_are_timed_on_their_own(void **)
{
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.forward(), 1);
    simt::blas_offer({takes({1}), takes({2})});
    assert_int_equal(p.forward(N + 1), 0);
    void *y = p.filled(N * O, 0), *x = p.filled(N * I + 1, 1), *w = p.filled(O * I, 1);
    assert_int_equal(gb_backend_cuda.linear_forward(p.dev, y, (float *)x + 1, w, N, I, O), GB_OK);
    assert_int_equal(simt::blas_last(), 0);
    process q(GB_BF16);
    assert_int_equal(gb_backend_cuda.linear_forward(q.dev, y, x, w, N, I, O), GB_OK);
    assert_int_equal(simt::blas_last(), 0);
    assert_int_equal(cache_lines(), 4);
}

void other_devices_are_timed_on_their_own(void **)
{
    setenv("SIMT_DEVICES", "90 80 90", 1);
    {
        process p(GB_FP32, 0);
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
    }
    {
        process p(GB_FP32, 1);
        simt::blas_offer({takes({1}), takes({2})});
        assert_int_equal(p.forward(), 0);
    }
    process p(GB_FP32, 2); /* of the first one's kind */
    simt::blas_offer({takes({1}), takes({2})});
    assert_int_equal(p.forward(), 1);
    assert_int_equal(total_runs(2), 1);
    unsetenv("SIMT_DEVICES");
}

/* Two processes find nothing and both time. The second one stores while the first is at it, within
 * its first run, and the first takes over what is there. */
void the_first_to_store_wins(void **)
{
    fs::path path;
    std::string stored;
    {
        process p;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
        path = cache_path();
        stored = cache_text();
    }
    fs::remove(path);
    process p;
    simt::blas_offer({takes({1}), takes({2})});
    simt::blas_at_run([&]() { std::ofstream(path) << stored; });
    assert_int_equal(p.forward(), 1);
    assert_true(total_runs(2) > 2 * 5);
    assert_int_equal(cache_lines(), 1);
}

void damaged_lines_are_timed_anew(void **)
{
    {
        process p;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
    }
    std::string text = cache_text();
    text[text.size() - 10] ^= 1;
    text += "something else\n\n\0\n0123456789abcdef"; /* and an unfinished line */
    std::ofstream(cache_path(), std::ios::binary) << text;
    simt::blas_offer({takes({1}), takes({2})});
    {
        process p;
        assert_int_equal(p.forward(), 0);
        assert_true(total_runs(2) > 2 * 5);
    }
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.forward(), 0); /* remembered behind all that */
    assert_int_equal(total_runs(2), 1);
}

void a_refused_algorithm_is_replaced(void **)
{
    {
        process p;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
    }
    simt::blas_candidate refused = takes({1});
    refused.refused = true;
    {
        process p;
        simt::blas_offer({takes({2}), refused, takes({1.5})});
        assert_int_equal(p.forward(), 2);
    }
    process p;
    simt::blas_offer({takes({2}), refused, takes({3})});
    assert_int_equal(p.forward(), 2);
    assert_int_equal(total_runs(3), 1);
    assert_int_equal(cache_lines(), 2);
}

/* ---- where there is no timing, or no remembering ---- */

void the_variable_turns_it_off(void **)
{
    setenv("GPTBENCH_CUDA_TUNE", "0", 1);
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.forward(), 0);
    assert_int_equal(total_runs(2), 1);
    assert_non_null(strstr(p.libraries().c_str(), ", algorithms by heuristic"));
    assert_false(fs::exists(getenv("GPTBENCH_CACHE_DIR")));
}

/* Within a process the choice is one all the same, accumulating or not. */
void without_a_directory_siblings_agree(void **)
{
    setenv("GPTBENCH_CACHE_DIR", "/dev/null/cache", 1);
    process p;
    simt::blas_offer({takes({2}), takes({1})});
    assert_int_equal(p.weight_gradient(true), 1);
    simt::blas_offer({takes({1}), takes({2})});
    assert_int_equal(p.weight_gradient(false), 1);
}

void without_a_directory_it_says_so(void **)
{
    setenv("GPTBENCH_CACHE_DIR", "/dev/null/cache", 1);
    for (int i = 0; i < 2; i++) {
        process p;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
        assert_true(total_runs(2) > 2 * 5);
        assert_non_null(strstr(p.libraries().c_str(),
                               ", algorithms timed, not remembered: Not a directory: /dev/null"));
    }
}

/* A capture bears no waiting: nothing is timed in it, and what was chosen stays. */
void nothing_is_timed_within_a_capture(void **)
{
    for (int later = 0; later < 2; later++) {
        process p;
        void *y = p.filled(N * O, NAN), *x = p.filled(N * I, 1), *w = p.filled(O * I, 1);
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(cudaStreamBeginCapture(p.dev->stream, cudaStreamCaptureModeGlobal),
                         cudaSuccess);
        assert_int_equal(gb_backend_cuda.linear_forward(p.dev, y, x, w, N, I, O), GB_OK);
        assert_int_equal(cudaStreamEndCapture(p.dev->stream, &graph), cudaSuccess);
        assert_int_equal(total_runs(2), 1);
        assert_int_equal(simt::blas_last(), 0);
        assert_int_equal(simt::blas_heuristics(), later ? 0 : 1);
        assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
        assert_int_equal(cudaGraphLaunch(exec, p.dev->stream), cudaSuccess);
        p.is_filled(y, N * O, I);
        assert_int_equal(p.forward(), 0);
        cudaGraphExecDestroy(exec);
        cudaGraphDestroy(graph);
    }
}

void a_capture_uses_what_is_remembered(void **)
{
    {
        process p;
        simt::blas_offer({takes({2}), takes({1})});
        assert_int_equal(p.forward(), 1);
    }
    process p;
    void *y = p.filled(N * O, NAN), *x = p.filled(N * I, 1), *w = p.filled(O * I, 1);
    cudaGraph_t graph;
    assert_int_equal(cudaStreamBeginCapture(p.dev->stream, cudaStreamCaptureModeGlobal),
                     cudaSuccess);
    assert_int_equal(gb_backend_cuda.linear_forward(p.dev, y, x, w, N, I, O), GB_OK);
    assert_int_equal(simt::blas_last(), 1);
    assert_int_equal(cudaStreamEndCapture(p.dev->stream, &graph), cudaSuccess);
    cudaGraphDestroy(graph);
}

} // namespace

#define TEST(f) cmocka_unit_test_setup_teardown(f, new_cache, remove_cache)

int main()
{
    const CMUnitTest tests[] = {
        TEST(the_cheapest_is_chosen),
        TEST(ties_go_to_the_heuristic),
        TEST(outliers_do_not_decide),
        TEST(hopeless_candidates_cost_little),
        TEST(many_candidates_are_timed),
        TEST(workspace_goes_by_the_devices_memory),
        TEST(candidates_that_do_not_work_are_passed_over),
        TEST(parts_are_added_in_fp32),
        TEST(where_all_fail_the_error_says_so),
        TEST(accumulating_takes_its_siblings_choice),
        TEST(accumulating_alone_is_timed_elsewhere),
        TEST(accumulating_without_memory),
        TEST(a_peak_is_not_what_is_kept_up),
        TEST(a_later_process_does_not_time),
        TEST(other_products_are_timed_on_their_own),
        TEST(other_devices_are_timed_on_their_own),
        TEST(the_first_to_store_wins),
        TEST(damaged_lines_are_timed_anew),
        TEST(a_refused_algorithm_is_replaced),
        TEST(the_variable_turns_it_off),
        TEST(without_a_directory_it_says_so),
        TEST(without_a_directory_siblings_agree),
        TEST(nothing_is_timed_within_a_capture),
        TEST(a_capture_uses_what_is_remembered),
    };
    return cmocka_run_group_tests_name("cuda gemm", tests, nullptr, nullptr);
}
