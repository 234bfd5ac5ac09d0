/* The CUDA classifier in several chunks of tokens, which sizes that an emulator can bear would not
 * reach: the classifier's conformance group on a backend whose devices hold few rows of logits. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>

#include "tests/ref/conformance.h"
}
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_sizes.cuh"
#include "simt_test.h"

namespace
{

gb_status open_with_rows(int64_t rows, const gb_options *options, gb_device **out, gb_error *err)
{
    const gb_status status = gb_backend_cuda.open(options, out, err);
    if (status == GB_OK) {
        (*out)->classifier_rows = rows;
    }
    return status;
}

/* Of the group's shapes, N = 300 makes chunks of 128, 128 and 44 rows, N = 130 of 128 and 2. */
gb_status open_128(const gb_options *options, gb_device **out, gb_error *err)
{
    return open_with_rows(128, options, out, err);
}

/* N = 300 makes eight chunks of 37 and one of 4, N = 130 three and one of 19, N = 64 37 and 27. */
gb_status open_37(const gb_options *options, gb_device **out, gb_error *err)
{
    return open_with_rows(37, options, out, err);
}

/* Multiprocessors without shared memory: the loss kernel reads each row twice. */
gb_status open_unkept(const gb_options *options, gb_device **out, gb_error *err)
{
    const gb_status status = gb_backend_cuda.open(options, out, err);
    if (status == GB_OK) {
        (*out)->shared_bytes = 0;
    }
    return status;
}

/* Rows of a GPT-2 (50,304 columns with padding) for a batch of 65,536 tokens. */
void large_cards_hold_more_rows(void **)
{
    const int64_t GIB = (int64_t)1 << 30, N = 65536, V = 50257;
    /* 512 MiB / (50304 * 2 bytes) = 5336, whole steps of 128 rows */
    assert_int_equal(cuda_classifier_rows(N, V, 2, 0), 5248);
    assert_int_equal(cuda_classifier_rows(N, V, 2, 16 * GIB), 5248);
    /* 40 / 32 GiB / (50304 * 2 bytes) = 13340.6 */
    assert_int_equal(cuda_classifier_rows(N, V, 2, 40 * GIB), 13312);
    assert_int_equal(cuda_classifier_rows(N, V, 2, 139 * GIB), 32768);
    assert_int_equal(cuda_classifier_rows(300, V, 2, 139 * GIB), 300);
}

/* Loss, dh and dwte against the float64 reference, evaluating, accumulating and with `first`. */
template <gb_precision PRECISION, decltype(&open_128) OPEN> void agrees(void **)
{
    gb_backend few_rows = gb_backend_cuda;
    few_rows.open = OPEN;
    cf_subject subject = {};
    subject.backend = &few_rows;
    subject.precision = PRECISION;
    assert_int_equal(conformance_classifier(&subject), 0);
}

/* One product per chunk without gradient, three with: that the limit is in force. */
void chunks_are_as_many_as_said(void **)
{
    enum { N = 300, C = 16, V = 65, ROWS = GB_VOCABULARY_STEP };
    gb_options options = {};
    gb_error error;
    gb_device *dev;
    void *loss, *h, *wte, *targets, *dh, *dwte;
    options.device_index = -1;
    options.shape.batch_size = options.shape.sequence_length = 1;
    options.shape.n_embd = options.shape.head_dim = options.shape.mlp_hidden = 2;
    options.shape.n_head = options.shape.n_kv_head = 1;
    options.shape.vocab_size = 2;
    assert_int_equal(open_128(&options, &dev, &error), GB_OK);
    const struct {
        void **buffer;
        int64_t bytes;
    } buffers[] = {{&loss, 8},        {&h, N * C * 4},  {&wte, ROWS * C * 4},
                   {&targets, N * 4}, {&dh, N * C * 4}, {&dwte, ROWS * C * 4}};
    for (const auto &b : buffers) {
        assert_int_equal(gb_backend_cuda.alloc(dev, GB_MEM_DATA, b.bytes, b.buffer), GB_OK);
        assert_int_equal(gb_backend_cuda.zero(dev, *b.buffer, b.bytes), GB_OK);
    }
    simt::blas_offer({simt::blas_candidate()});
    assert_int_equal(gb_backend_cuda.classifier(dev, loss, nullptr, nullptr, h, wte,
                                                (const int32_t *)targets, 1, true, N, C, V),
                     GB_OK);
    assert_int_equal(simt::blas_runs(0), 3);
    assert_int_equal(gb_backend_cuda.classifier(dev, loss, dh, dwte, h, wte,
                                                (const int32_t *)targets, 1, true, N, C, V),
                     GB_OK);
    assert_int_equal(simt::blas_runs(0), 3 + 9);
    gb_backend_cuda.close(dev);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_as_many_as_said),
        cmocka_unit_test(large_cards_hold_more_rows),
        {"agrees: fp32, chunks of 128", agrees<GB_FP32, open_128>, nullptr, nullptr, nullptr},
        {"agrees: bf16, chunks of 128", agrees<GB_BF16, open_128>, nullptr, nullptr, nullptr},
        {"agrees: fp32, chunks of 37", agrees<GB_FP32, open_37>, nullptr, nullptr, nullptr},
        {"agrees: fp32, rows read twice", agrees<GB_FP32, open_unkept>, nullptr, nullptr, nullptr},
        {"agrees: bf16, rows read twice", agrees<GB_BF16, open_unkept>, nullptr, nullptr, nullptr},
    };
    return cmocka_run_group_tests_name("cuda classifier", tests, nullptr, nullptr);
}
