/* The gradient of attention by the kernels for compute capability 9.0 against that by the portable
 * ones: the same mathematics, roundings and order of sums, so that in the emulator, whose products
 * add one term after the other, they give the same bits. On a GPU the order of sums inside of a
 * product may differ; tests/unit/kernels/test_attention_bounds.c says by how much results may. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>
extern "C" {
#include <cmocka.h>

#include "tests/ref/random.h"
}
#include "kernels/backend.h"

#include <cuda_bf16.h>

namespace
{

struct shape {
    int64_t B, T, H, K, D, window;
};

std::vector<__nv_bfloat16> normals(test_random *rng, int64_t n)
{
    std::vector<__nv_bfloat16> x((size_t)n);
    for (auto &value : x) {
        value = __nv_bfloat16((float)test_random_normal(rng));
    }
    return x;
}

void *place(gb_device *dev, const std::vector<__nv_bfloat16> &x)
{
    void *ptr = nullptr;
    const int64_t bytes = (int64_t)(2 * x.size());
    assert_int_equal(gb_backend_cuda.alloc(dev, GB_MEM_ACTIVATIONS, bytes, &ptr), GB_OK);
    assert_int_equal(gb_backend_cuda.upload(dev, ptr, x.data(), bytes), GB_OK);
    return ptr;
}

/* dqkv of random inputs: not those of a softmax, which the kernels do not ask for. */
std::vector<uint16_t> gradient(const shape &s, const char *kernels)
{
    test_random rng = {(uint64_t)(s.T * 1000 + s.D + s.H)};
    gb_options options = {};
    gb_error error;
    gb_device *dev;
    options.precision = GB_BF16;
    options.device_index = -1;
    options.shape.batch_size = s.B;
    options.shape.sequence_length = s.T;
    options.shape.n_embd = s.H * s.D;
    options.shape.n_head = s.H;
    options.shape.n_kv_head = s.K;
    options.shape.head_dim = s.D;
    options.shape.mlp_hidden = options.shape.vocab_size = 8;
    setenv("GPTBENCH_CUDA_ATTENTION", kernels, 1);
    assert_int_equal(gb_backend_cuda.open(&options, &dev, &error), GB_OK);
    const int64_t width = (s.H + 2 * s.K) * s.D, rows = s.B * s.T;
    void *qkv = place(dev, normals(&rng, rows * width));
    void *dout = place(dev, normals(&rng, rows * s.H * s.D));
    void *out = place(dev, normals(&rng, rows * s.H * s.D));
    void *dqkv = place(dev, normals(&rng, rows * width));
    void *lse = nullptr;
    assert_int_equal(gb_backend_cuda.alloc(dev, GB_MEM_ACTIVATIONS, 4 * rows * s.H, &lse), GB_OK);
    std::vector<float> top((size_t)(rows * s.H));
    for (auto &value : top) { /* of the order of log(sum of exp) of normal scores */
        value = 3 + (float)test_random_normal(&rng);
    }
    assert_int_equal(gb_backend_cuda.upload(dev, lse, top.data(), 4 * rows * s.H), GB_OK);
    assert_int_equal(gb_backend_cuda.attention_backward(dev, dqkv, dout, qkv, out, (float *)lse,
                                                        s.B, s.T, s.H, s.K, s.D, s.window),
                     GB_OK);
    std::vector<uint16_t> got((size_t)(rows * width));
    assert_int_equal(gb_backend_cuda.download(dev, got.data(), dqkv, 2 * rows * width), GB_OK);
    gb_backend_cuda.close(dev);
    unsetenv("GPTBENCH_CUDA_ATTENTION");
    return got;
}

void bits_are_those_of_the_portable_kernels(void **)
{
    const shape shapes[] = {
        {1, 1, 1, 1, 64, 0},     {2, 64, 2, 1, 64, 0},    {1, 200, 3, 3, 64, 0},
        {1, 321, 2, 1, 64, 100}, {1, 1, 2, 2, 128, 0},    {1, 128, 1, 1, 128, 0},
        {2, 200, 4, 2, 128, 0},  {1, 257, 1, 1, 128, 65},
    };
    for (const shape &s : shapes) {
        std::vector<uint16_t> portable = gradient(s, "portable"), hopper = gradient(s, "hopper");
        assert_memory_equal(portable.data(), hopper.data(), 2 * portable.size());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_those_of_the_portable_kernels),
    };
    return cmocka_run_group_tests_name("cuda attention", tests, nullptr, nullptr);
}
