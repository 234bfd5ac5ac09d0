/* Ops that are timed between events, on the emulator, whose clock goes on as the test says: what a
 * float of milliseconds cannot hold must not become an overlap. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
extern "C" {
#include <cmocka.h>
}

#include "kernels/cuda/cuda_device.cuh"
#include "simt_test.h"

namespace
{

enum { N = 3, I = 8, O = 5, OPS = 5000 }; /* more ops than there are pairs of events */

void *buffer(gb_device *dev, int64_t n)
{
    void *data;
    assert_int_equal(gb_backend_cuda.alloc(dev, GB_MEM_DATA, n * 4, &data), GB_OK);
    assert_int_equal(gb_backend_cuda.zero(dev, data, n * 4), GB_OK);
    return data;
}

/* An op of 100 s, and then ops of 1.1 us without a gap. At 1e5 ms floats are 7.8 us apart. */
void ops_after_a_long_time_do_not_overlap(void **)
{
    static gb_op_span spans[OPS];
    gb_options options = {};
    gb_error error;
    gb_device *dev;
    setenv("GPTBENCH_CUPTI", "0", 1);
    setenv("GPTBENCH_CUDA_TUNE", "0", 1);
    options.device_index = -1;
    options.shape.batch_size = options.shape.sequence_length = 1;
    options.shape.n_embd = options.shape.head_dim = options.shape.mlp_hidden = 2;
    options.shape.n_head = options.shape.n_kv_head = 1;
    options.shape.vocab_size = 2;
    assert_int_equal(gb_backend_cuda.open(&options, &dev, &error), GB_OK);
    void *y = buffer(dev, N * O), *x = buffer(dev, N * I), *w = buffer(dev, O * I);
    simt::blas_candidate slow;
    slow.cost_ms = {1e5 + 0.003, 0.0011};
    simt::blas_offer({slow});
    gb_backend_cuda.timers_reset(dev);
    gb_backend_cuda.timers_enable(dev, true);
    for (int i = 0; i < OPS; i++) {
        assert_int_equal(gb_backend_cuda.linear_forward(dev, y, x, w, N, I, O), GB_OK);
    }
    gb_backend_cuda.timers_enable(dev, false);
    assert_int_equal(gb_backend_cuda.timers_spans(dev, spans, OPS), OPS);
    for (int i = 1; i < OPS; i++) {
        assert_true(spans[i].begin_ms >= spans[i - 1].end_ms);
    }
    /* All of it is there: 100 s to 24 bits, and 4999 times 1.1 us. A round of events starts from
     * the zero anew, and is off by no more than a float there. */
    assert_true(spans[OPS - 1].end_ms - (1e5 + 0.003 + (OPS - 1) * 0.0011) < 3 * 0.0079);
    assert_true((1e5 + 0.003 + (OPS - 1) * 0.0011) - spans[OPS - 1].end_ms < 3 * 0.0079);
    gb_backend_cuda.close(dev);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(ops_after_a_long_time_do_not_overlap)};
    return cmocka_run_group_tests_name("cuda timers", tests, nullptr, nullptr);
}
