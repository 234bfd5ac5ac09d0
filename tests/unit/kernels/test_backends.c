/* Promises of kernels/backend.h beside the numbers of single ops: a process can hold two devices,
 * and a loss that is no number says so. Every backend of this binary.
 *
 * kinds: plain sanitized emulated threads */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"

enum { N = 3, C = 16, V = 1000 };

static gb_device *device_open(const gb_backend *be, gb_precision precision, int index)
{
    gb_options options = {.precision = precision,
                          .threads = 1,
                          .device_index = index,
                          .shape = {.batch_size = 1,
                                    .sequence_length = N,
                                    .n_embd = C,
                                    .n_head = 1,
                                    .n_kv_head = 1,
                                    .head_dim = C,
                                    .mlp_hidden = C,
                                    .vocab_size = V}};
    gb_device *dev = NULL;
    gb_error err = {GB_OK, ""};
    if (be->open(&options, &dev, &err) != GB_OK) {
        fail_msg("%s: %s", be->name, err.message);
    }
    return dev;
}

static void *upload_act(const gb_backend *be, gb_device *dev, const double *values, int64_t n)
{
    void *wide, *act;
    gb_description about;
    be->describe(dev, &about);
    assert_int_equal(be->alloc(dev, GB_MEM_MASTER, n * about.wide_bytes, &wide), GB_OK);
    assert_int_equal(be->upload_wide(dev, wide, values, n), GB_OK);
    if (about.act_bytes == about.wide_bytes) {
        return wide;
    }
    assert_int_equal(be->alloc(dev, GB_MEM_WEIGHTS, n * about.act_bytes, &act), GB_OK);
    assert_int_equal(be->weights_refresh(dev, act, wide, n), GB_OK);
    return act;
}

/* The loss where h is all ones and wte all zeros but for row `row`, whose first element is
 * `value`. */
static double loss_with(const gb_backend *be, gb_precision precision, int row, double value)
{
    enum { ROWS = (V + GB_VOCABULARY_STEP - 1) / GB_VOCABULARY_STEP * GB_VOCABULARY_STEP };
    static double h[N * C], wte[ROWS * C];
    const int32_t targets[N] = {0, 1, 2};
    double loss;
    void *loss_sum, *tokens;
    gb_device *dev = device_open(be, precision, -1);
    for (int i = 0; i < N * C; i++) {
        h[i] = 1;
    }
    memset(wte, 0, sizeof wte);
    wte[row * C] = value;
    void *h_act = upload_act(be, dev, h, N * C), *wte_act = upload_act(be, dev, wte, ROWS * C);
    assert_int_equal(be->alloc(dev, GB_MEM_DATA, sizeof loss, &loss_sum), GB_OK);
    assert_int_equal(be->alloc(dev, GB_MEM_DATA, sizeof targets, &tokens), GB_OK);
    assert_int_equal(be->upload(dev, tokens, targets, sizeof targets), GB_OK);
    assert_int_equal(
        be->classifier(dev, loss_sum, NULL, NULL, h_act, wte_act, tokens, 1, true, N, C, V), GB_OK);
    assert_int_equal(be->download(dev, &loss, loss_sum, sizeof loss), GB_OK);
    be->close(dev);
    return loss;
}

/* Logits are 0, but NaN or inf in one column that is no target: log(sum of exp) is not finite
 * then, and adamw, which leaves the weights alone after such a loss, must get to know. With zeros
 * alone the loss is N log V. */
static void a_loss_of_no_number_shows(void **state)
{
    (void)state;
    const int rows[] = {3, 500, V - 1};
    for (const gb_backend *const *be = gb_backends(); *be; be++) {
        for (int p = GB_FP32; p <= GB_BF16; p++) {
            if ((*be)->unavailable((gb_precision)p)) {
                continue;
            }
            assert_true(fabs(loss_with(*be, (gb_precision)p, 3, 0) - N * log(V)) < 1e-4);
            for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                assert_false(isfinite(loss_with(*be, (gb_precision)p, rows[i], NAN)));
                assert_false(isfinite(loss_with(*be, (gb_precision)p, rows[i], INFINITY)));
            }
        }
    }
}

static double value_of(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return (double)x;
}

/* GELU and its derivative at every bfloat16 below 1024 (0 in place of the others), against erfc in
 * double. Storing rounds by 2^-9; what fp32 loses before may turn a tie over, so 2^-8 is allowed,
 * and where terms of order 1 cancel (1 + erf far below zero, the slope near its zero) four units of
 * fp32's last place; `least` is the smallest bfloat16. */
static void check_gelu(const gb_backend *be, gb_device *dev)
{
    enum { ALL = 1 << 16 };
    static uint16_t x[ALL], ones[ALL], y[ALL], dx[ALL];
    void *in, *out, *din;
    for (int i = 0; i < ALL; i++) {
        x[i] = (i & 0x7fff) < 0x4480 ? (uint16_t)i : 0; /* 0x4480: 1024 */
        ones[i] = 0x3f80;
    }
    assert_int_equal(be->alloc(dev, GB_MEM_ACTIVATIONS, sizeof x, &in), GB_OK);
    assert_int_equal(be->alloc(dev, GB_MEM_ACTIVATIONS, sizeof x, &out), GB_OK);
    assert_int_equal(be->alloc(dev, GB_MEM_ACTIVATIONS, sizeof x, &din), GB_OK);
    assert_int_equal(be->upload(dev, in, x, sizeof x), GB_OK);
    assert_int_equal(be->upload(dev, din, ones, sizeof x), GB_OK);
    assert_int_equal(be->gelu_forward(dev, out, in, ALL), GB_OK);
    assert_int_equal(be->gelu_backward(dev, din, din, in, ALL), GB_OK);
    assert_int_equal(be->download(dev, y, out, sizeof x), GB_OK);
    assert_int_equal(be->download(dev, dx, din, sizeof x), GB_OK);
    for (int i = 0; i < ALL; i++) {
        const double v = value_of(x[i]), cdf = erfc(-v / sqrt(2)) / 2;
        const double slope = cdf + v * exp(-v * v / 2) / sqrt(2 * acos(-1));
        const double lost = 4 * ldexp(1, -24), least = ldexp(1, -133);
        if (!(fabs(value_of(y[i]) - v * cdf) <= fabs(v * cdf) / 256 + fabs(v) * lost + least) ||
            !(fabs(value_of(dx[i]) - slope) <= fabs(slope) / 256 + lost)) {
            fail_msg("%s: gelu(%g) = %g, not %g; slope %g, not %g", be->name, v, value_of(y[i]),
                     v * cdf, value_of(dx[i]), slope);
        }
    }
}

static void gelu_of_every_bfloat16(void **state)
{
    (void)state;
    for (const gb_backend *const *be = gb_backends(); *be; be++) {
        if (!(*be)->unavailable(GB_BF16)) {
            gb_device *dev = device_open(*be, GB_BF16, -1);
            check_gelu(*be, dev);
            (*be)->close(dev);
        }
    }
}

/* A value that made its way to the device and back, through memory that was allocated while the
 * other device was the last to work. */
static void check_memory(const gb_backend *be, gb_device *dev, double value)
{
    void *data;
    double back = 0;
    assert_int_equal(be->alloc(dev, GB_MEM_MASTER, 64, &data), GB_OK);
    assert_int_equal(be->zero(dev, data, 64), GB_OK);
    assert_int_equal(be->upload_wide(dev, data, &value, 1), GB_OK);
    assert_int_equal(be->download_wide(dev, &back, data, 1), GB_OK);
    assert_true(back == value);
    be->free(dev, data);
}

static void two_devices_in_one_process(void **state)
{
    (void)state;
    bool any = false;
    setenv("SIMT_DEVICES", "90 90", 1); /* for the emulator of tests/simt */
    for (const gb_backend *const *be = gb_backends(); *be; be++) {
        gb_device_entry rows[2];
        if (!(*be)->list_devices || (*be)->list_devices(rows, 2) < 2 ||
            rows[0].unavailable[GB_FP32] || rows[1].unavailable[GB_FP32]) {
            continue;
        }
        any = true;
        gb_device *first = device_open(*be, GB_FP32, 0), *second = device_open(*be, GB_FP32, 1);
        check_memory(*be, first, 3);
        check_memory(*be, second, 5);
        (*be)->close(first);
        (*be)->close(second);
    }
    unsetenv("SIMT_DEVICES");
    if (!any) {
        skip();
    }
}

/* A copy has a rate, one that fits nowhere has none, and neither leaves anything allocated. */
static void the_copy_rate_is_measured(void **state)
{
    (void)state;
    for (const gb_backend *const *be = gb_backends(); *be; be++) {
        if ((*be)->unavailable(GB_FP32)) {
            continue;
        }
        int64_t before[GB_MEM_GROUPS], after[GB_MEM_GROUPS];
        gb_device *dev = device_open(*be, GB_FP32, -1);
        (*be)->memory_used(dev, before);
        assert_true((*be)->measure_copy_rate(dev, 1 << 20) > 0);
        assert_true((*be)->measure_copy_rate(dev, 1) > 0); /* fewer bytes than threads, say */
        assert_true((*be)->measure_copy_rate(dev, (int64_t)1 << 50) <= 0);
        (*be)->memory_used(dev, after);
        assert_memory_equal(before, after, sizeof before);
        (*be)->close(dev);
    }
}

/* ---- how long threads were busy ---- */

static gb_op_time row_of(const gb_backend *be, gb_device *dev, gb_op op)
{
    gb_op_time rows[8], none = {.op = GB_OP_COUNT};
    int n = be->timers_read(dev, rows, 8);
    assert_true(n <= 8);
    for (int i = 0; i < n; i++) {
        none = rows[i].op == op ? rows[i] : none;
    }
    assert_int_equal(none.op, op);
    return none;
}

/* One kernel of ours and one product of a library, three times each, on so many threads. */
static void busy_threads(int threads, bool timers, gb_op_time *ours, gb_op_time *library)
{
    enum { ROWS = 512, WIDTH = 64 };
    const gb_backend *be = &gb_backend_cpu;
    gb_options options = {
        .threads = threads, .device_index = -1, .shape = {1, 8, 8, 1, 1, 8, 8, 8, false}};
    gb_device *dev = NULL;
    void *x, *y, *w;
    assert_int_equal(be->open(&options, &dev, NULL), GB_OK);
    assert_int_equal(be->alloc(dev, GB_MEM_ACTIVATIONS, ROWS * WIDTH * 4, &x), GB_OK);
    assert_int_equal(be->alloc(dev, GB_MEM_ACTIVATIONS, ROWS * WIDTH * 4, &y), GB_OK);
    assert_int_equal(be->alloc(dev, GB_MEM_WEIGHTS, WIDTH * WIDTH * 4, &w), GB_OK);
    assert_int_equal(be->zero(dev, x, ROWS * WIDTH * 4), GB_OK);
    assert_int_equal(be->zero(dev, w, WIDTH * WIDTH * 4), GB_OK);
    be->timers_reset(dev);
    be->timers_enable(dev, timers);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(be->gelu_forward(dev, y, x, ROWS * WIDTH), GB_OK);
        assert_int_equal(be->linear_forward(dev, y, x, w, ROWS, WIDTH, WIDTH), GB_OK);
    }
    *ours = row_of(be, dev, GB_OP_MLP_ACT);
    *library = row_of(be, dev, GB_OP_LINEAR_QKV);
    be->close(dev);
}

/* What must hold whatever the clock says: the slowest thread took at least the mean, at most the
 * sum of all and no longer than the op, which waits for it. Nothing is known of products. */
static void threads_are_watched(void **state)
{
    (void)state;
    gb_op_time ours, library;
    busy_threads(4, true, &ours, &library);
    assert_int_equal(ours.calls, 3);
    assert_true(ours.thread_mean_ms > 0);
    assert_true(ours.thread_max_ms >= ours.thread_mean_ms);
    assert_true(ours.thread_max_ms <= 4 * ours.thread_mean_ms);
    assert_true(ours.thread_max_ms <= ours.time_ms);
    assert_true(library.time_ms > 0);
    assert_true(library.thread_mean_ms == 0 && library.thread_max_ms == 0);
    busy_threads(1, true, &ours, &library); /* one thread is always as slow as the mean */
    assert_true(ours.time_ms > 0 && ours.thread_mean_ms == 0 && ours.thread_max_ms == 0);
    busy_threads(4, false, &ours, &library);
    assert_true(ours.calls == 3 && ours.thread_mean_ms == 0 && ours.thread_max_ms == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_of_no_number_shows),  cmocka_unit_test(gelu_of_every_bfloat16),
        cmocka_unit_test(two_devices_in_one_process), cmocka_unit_test(the_copy_rate_is_measured),
        cmocka_unit_test(threads_are_watched),
    };
    return cmocka_run_group_tests_name("backends", tests, NULL, NULL);
}
