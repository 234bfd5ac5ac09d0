/* A faster kernel's trial, on the emulator: one that is wrong anywhere is not used, nor one that
 * takes its process with it, and what came of it is remembered. A "process" is a device that is
 * opened and closed; the spoiled kernels are the portable ones with something done to their
 * results. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string>
extern "C" {
#include <cmocka.h>
}

#include "kernels/cuda/attention_trial.cuh"
#include "kernels/cuda/kernel_verdict.h"
#include "simt_test.h"

namespace
{

enum { D = 64 };

/* ---- spoiled kernels ---- */

int calls;

template <attention_kernel *KERNEL> gb_status counted(gb_device *dev, const attention_args<bf16> &a)
{
    calls++;
    return KERNEL(dev, a);
}

attention_kernel *const right = counted<cuda_attention_flash_forward>;

/* Fills `bytes` at `at` with 0xff, which is NaN, or zeros. */
gb_status overwrite(gb_device *dev, void *at, int value, size_t bytes)
{
    CUDA_TRY(dev, "test", cudaMemsetAsync(at, value, bytes, dev->stream));
    return GB_OK;
}

/* The last row of the last head is not written, as by a kernel that forgets the ragged edge. */
gb_status edge_missing(gb_device *dev, const attention_args<bf16> &a)
{
    GB_TRY(cuda_attention_flash_forward(dev, a));
    bf16 *end = a.out + (int64_t)a.B * a.T * a.H * a.D;
    return a.T % 64 != 0 ? overwrite(dev, end - a.D, 0xff, 2 * (size_t)a.D) : GB_OK;
}

/* One number of one row is 0. */
gb_status number_wrong(gb_device *dev, const attention_args<bf16> &a)
{
    GB_TRY(cuda_attention_flash_forward(dev, a));
    return overwrite(dev, a.out + 17, 0, 2);
}

/* One log-sum-exp is 0: it is of two keys or more. */
gb_status lse_wrong(gb_device *dev, const attention_args<bf16> &a)
{
    GB_TRY(cuda_attention_flash_forward(dev, a));
    return a.T > 1 ? overwrite(dev, a.lse + a.T - 1, 0, 4) : GB_OK;
}

/* A window one key too narrow: of some hundred keys that a query sees one is missing. */
gb_status key_missing(gb_device *dev, const attention_args<bf16> &a)
{
    attention_args<bf16> less = a;
    less.window -= a.window > 0;
    return cuda_attention_flash_forward(dev, less);
}

gb_status does_not_launch(gb_device *dev, const attention_args<bf16> &)
{
    return gb_fail(&dev->error, GB_ERR_INTERNAL, "a launch that fails");
}

gb_status no_memory(gb_device *dev, const attention_args<bf16> &)
{
    return gb_fail(&dev->error, GB_ERR_OOM, "no memory");
}

/* The gradient of one key's vector is not written. */
gb_status gradient_missing(gb_device *dev, const attention_args<bf16> &a)
{
    GB_TRY(cuda_attention_flash_backward(dev, a));
    return overwrite(dev, a.dqkv + (int64_t)a.H * a.D, 0xff, 2 * (size_t)a.D);
}

/* ---- a process ---- */

struct process {
    gb_device *dev;
    const char *name = "attention forward by a test";
    char words[KERNEL_WORDS] = "";

    explicit process(int64_t head_dim = D, const char *choice = "portable")
    {
        gb_options options = {};
        gb_error error;
        options.precision = GB_BF16;
        options.device_index = -1;
        options.shape.batch_size = options.shape.sequence_length = 1;
        options.shape.n_embd = options.shape.mlp_hidden = options.shape.vocab_size = 8;
        options.shape.n_head = options.shape.n_kv_head = 1;
        options.shape.head_dim = head_dim;
        setenv("GPTBENCH_CUDA_ATTENTION", choice, 1);
        assert_int_equal(gb_backend_cuda.open(&options, &dev, &error), GB_OK);
        unsetenv("GPTBENCH_CUDA_ATTENTION");
        calls = 0;
    }
    process(const process &) = delete;
    process &operator=(const process &) = delete;
    ~process()
    {
        gb_backend_cuda.close(dev);
    }

    bool decides(attention_kernel *candidate)
    {
        const attention_pair pair = {name, false, candidate, cuda_attention_flash_forward};
        const attention_pair pairs[CUDA_ATTENTION_KERNELS] = {
            pair, {"backward", true, cuda_attention_flash_backward, cuda_attention_flash_backward}};
        assert_int_equal(attention_trial_decide(dev, pairs, D), GB_OK);
        snprintf(words, sizeof words, "%s", dev->attention[0].words);
        assert_int_equal(dev->attention[1].head_dim, D); /* decided by itself */
        assert_string_equal(gb_backend_cuda.last_error(dev), "");
        return dev->attention[0].head_dim == D;
    }

    double error_of(attention_kernel *candidate, attention_kernel *reference, bool backward)
    {
        const attention_pair pair = {"a test", backward, candidate, reference};
        double error = -1;
        assert_int_equal(attention_trial_hold(dev, &pair, D, 42, &error), GB_OK);
        return error;
    }
};

std::string cache_base;

int new_cache(void **)
{
    char name[] = "/tmp/gptbench-trial-XXXXXX";
    assert_non_null(mkdtemp(name));
    cache_base = name;
    setenv("GPTBENCH_CACHE_DIR", name, 1);
    return 0;
}

int remove_cache(void **)
{
    std::filesystem::remove_all(cache_base);
    return 0;
}

std::string today()
{
    char text[16];
    const time_t now = time(nullptr);
    strftime(text, sizeof text, "%Y-%m-%d", gmtime(&now));
    return text;
}

bool has(const char *text, const std::string &part)
{
    return strstr(text, part.c_str()) != nullptr;
}

/* ---- tests ---- */

/* Against itself a kernel is off by 0. That of Hopper GPUs and the portable one differ in roundings
 * alone, in a fraction of the bound. */
void what_is_right_is_within_its_bound(void **)
{
    process p;
    assert_true(p.error_of(cuda_attention_flash_forward, cuda_attention_flash_forward, false) == 0);
    const double forward =
        p.error_of(cuda_attention_hopper_forward, cuda_attention_flash_forward, false);
    const double backward =
        p.error_of(cuda_attention_hopper_backward, cuda_attention_flash_backward, true);
    print_message("# forward %.3f, backward %.3f of the bound\n", forward, backward);
    assert_true(forward <= 0.75 && backward <= 0.75);
}

void what_is_wrong_is_not(void **)
{
    process p;
    assert_true(p.error_of(edge_missing, cuda_attention_flash_forward, false) > 1);
    assert_true(p.error_of(number_wrong, cuda_attention_flash_forward, false) > 1);
    assert_true(p.error_of(lse_wrong, cuda_attention_flash_forward, false) > 1);
    assert_true(p.error_of(key_missing, cuda_attention_flash_forward, false) > 1);
    assert_true(p.error_of(gradient_missing, cuda_attention_flash_backward, true) > 1);
}

void one_that_agrees_is_used_and_not_tried_again(void **)
{
    {
        process p;
        assert_true(p.decides(right));
        assert_true(calls > 0);
        assert_true(has(p.words, "agreed with the portable kernel on " + today() + ", driver "));
    }
    process p;
    assert_true(p.decides(right));
    assert_int_equal(calls, 0);
    assert_true(has(p.words, "agreed with the portable kernel on " + today()));
}

void one_that_differs_is_not_used_then_or_later(void **)
{
    {
        process p;
        assert_false(p.decides(number_wrong));
        assert_true(has(p.words, "differed from the portable kernel by "));
        assert_true(has(p.words, " of its bounds on " + today()));
    }
    process p;
    assert_false(p.decides(right)); /* the name is what is remembered */
    assert_int_equal(calls, 0);
    p.name = "attention forward by another";
    assert_true(p.decides(right));
}

void one_that_does_not_launch_is_not_used(void **)
{
    process p;
    assert_false(p.decides(does_not_launch));
    assert_true(has(p.words, "could not be launched on " + today()));
    assert_false(p.decides(right));
}

/* Short memory says nothing of the kernel: it is tried the next time. */
void without_memory_it_is_tried_again(void **)
{
    process p;
    assert_false(p.decides(no_memory));
    assert_string_equal(p.words, "had no memory for its trial");
    assert_true(p.decides(right));
}

/* A process that did not live to the end of the trial, an hour ago. */
void one_that_took_its_process_with_it_is_not_used(void **)
{
    process p;
    cudaDeviceProp properties;
    char key[512];
    int driver = 0;
    assert_int_equal(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    assert_int_equal(cudaDriverGetVersion(&driver), cudaSuccess);
    snprintf(key, sizeof key, "%s, sm_90, %d SMs, driver %d: %s, head_dim %d", properties.name,
             p.dev->multiprocessors, driver, p.name, (int)D);
    kernel_verdicts *verdicts = kernel_verdicts_open(properties.name);
    const kernel_verdict none = {KERNEL_UNTRIED, 0, 0},
                         begun = {KERNEL_BEGUN, (int64_t)time(nullptr) - 3600, 1234567};
    assert_true(kernel_verdicts_replace(verdicts, key, &none, &begun));
    assert_false(p.decides(right));
    assert_int_equal(calls, 0);
    assert_true(has(p.words, "did not end its trial on "));
    kernel_verdicts_close(verdicts);
}

/* Without a place to remember it each process tries for itself. */
void without_a_directory_each_process_tries(void **)
{
    setenv("GPTBENCH_CACHE_DIR", "/dev/null/nowhere", 1);
    for (int i = 0; i < 2; i++) {
        process p;
        assert_true(p.decides(right));
        assert_true(calls > 0);
    }
}

/* By the program itself: what is used, and what its description and code path say. */
void the_device_says_what_it_uses(void **)
{
    gb_description about;
    {
        process p(D, "auto");
        gb_backend_cuda.describe(p.dev, &about);
        assert_int_equal(p.dev->attention[CUDA_ATTENTION_FORWARD].head_dim, D);
        assert_true(
            has(about.libraries, "attention wgmma (agreed with the portable kernel on " + today()));
        assert_string_equal(about.isa, "sm_90, hopper attention");
    }
    {
        process p(D, "portable");
        gb_backend_cuda.describe(p.dev, &about);
        assert_true(has(about.libraries, ", attention mma.sync"));
        assert_string_equal(about.isa, "sm_90");
    }
    process p(48, "auto"); /* it does not fit: nothing is tried */
    gb_backend_cuda.describe(p.dev, &about);
    assert_true(has(about.libraries, ", attention mma.sync"));
    assert_string_equal(about.isa, "sm_90");
    /* One that differed: */
    assert_false(p.decides(number_wrong));
    p.dev->options.shape.head_dim = D;
    gb_backend_cuda.describe(p.dev, &about);
    assert_true(has(about.libraries, "attention forward mma.sync (wgmma differed from the portable "
                                     "kernel by "));
    assert_true(has(about.libraries, "), backward wgmma (agreed with the portable kernel on "));
    assert_string_equal(about.isa, "sm_90, hopper attention backward");
}

} // namespace

#define TEST(f) cmocka_unit_test_setup_teardown(f, new_cache, remove_cache)

int main()
{
    const CMUnitTest tests[] = {
        TEST(what_is_right_is_within_its_bound),
        TEST(what_is_wrong_is_not),
        TEST(one_that_agrees_is_used_and_not_tried_again),
        TEST(one_that_differs_is_not_used_then_or_later),
        TEST(one_that_does_not_launch_is_not_used),
        TEST(without_memory_it_is_tried_again),
        TEST(one_that_took_its_process_with_it_is_not_used),
        TEST(without_a_directory_each_process_tries),
        TEST(the_device_says_what_it_uses),
    };
    return cmocka_run_group_tests_name("cuda trial", tests, nullptr, nullptr);
}
