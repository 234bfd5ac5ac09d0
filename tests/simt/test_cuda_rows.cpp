/* Kernels of the CUDA backend that count accesses in 32 bits, on a backend whose launches may count
 * to very little: what a model of more than 2^31 accesses would need, many launches for the rows of
 * one call, must give what one launch gives. And their division, against the machine's. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>

#include "tests/ref/conformance.h"
}
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/launch.cuh"

namespace
{

/* 100 accesses: of rows of 8 to 32 accesses some at once and the last time fewer, of wider ones,
 * and of positions times heads, one at a time. */
gb_status open_100(const gb_options *options, gb_device **out, gb_error *err)
{
    const gb_status status = gb_backend_cuda.open(options, out, err);
    if (status == GB_OK) {
        (*out)->most_accesses = 100;
    }
    return status;
}

/* Against the float64 reference, the group's own shapes. */
template <gb_precision PRECISION, int (*GROUP)(const cf_subject *)> void agrees(void **)
{
    gb_backend few = gb_backend_cuda;
    few.open = open_100;
    cf_subject subject = {};
    subject.backend = &few;
    subject.precision = PRECISION;
    assert_int_equal(GROUP(&subject), 0);
}

void rows_are_as_many_as_fit(void **)
{
    gb_device dev = {};
    dev.most_accesses = 100;
    assert_int_equal(cuda_rows_at_once(&dev, 8), 12); /* 96 of 100 */
    assert_int_equal(cuda_rows_at_once(&dev, 100), 1);
    assert_int_equal(cuda_rows_at_once(&dev, 101), 1); /* never none */
}

/* Every divisor that 31 bits hold is right if the worst numerators are: those just below and at a
 * multiple, the largest most of all. Divisors: the first thousands, around powers of two, the last.
 */
void division_is_exact(void **)
{
    const auto holds = [](int64_t by) {
        const cuda_divisor d = cuda_divisor_of(by);
        const int64_t last = INT32_MAX / by;
        const int64_t multiples[] = {0, 1, 2, 3, last / 2, last - 1, last};
        for (int64_t m : multiples) {
            for (int64_t n = m * by - 1; n <= m * by + 1; n++) {
                if (n >= 0 && n <= INT32_MAX) {
                    assert_int_equal(cuda_quotient((uint32_t)n, d), n / by);
                }
            }
        }
        assert_int_equal(cuda_quotient(INT32_MAX, d), INT32_MAX / by);
    };
    for (int64_t by = 1; by <= 5000; by++) {
        holds(by);
    }
    for (int bit = 12; bit < 31; bit++) {
        for (int64_t by = ((int64_t)1 << bit) - 3; by <= ((int64_t)1 << bit) + 3; by++) {
            holds(by);
        }
    }
    for (int64_t by = INT32_MAX - 3; by <= INT32_MAX; by++) {
        holds(by);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_as_many_as_fit),
        cmocka_unit_test(division_is_exact),
        {"agrees: fp32 embed", agrees<GB_FP32, conformance_embed>, nullptr, nullptr, nullptr},
        {"agrees: bf16 embed", agrees<GB_BF16, conformance_embed>, nullptr, nullptr, nullptr},
        {"agrees: fp32 mlp", agrees<GB_FP32, conformance_mlp>, nullptr, nullptr, nullptr},
        {"agrees: bf16 mlp", agrees<GB_BF16, conformance_mlp>, nullptr, nullptr, nullptr},
        {"agrees: fp32 qk_rope", agrees<GB_FP32, conformance_qk_rope>, nullptr, nullptr, nullptr},
        {"agrees: bf16 qk_rope", agrees<GB_BF16, conformance_qk_rope>, nullptr, nullptr, nullptr},
    };
    return cmocka_run_group_tests_name("cuda rows", tests, nullptr, nullptr);
}
