/* The floors of the ops: bytes against numbers worked out by hand from the shapes in the comment
 * beside each, FLOPs against what the reference backend's ledger counts in a real step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "model/gpt.h"
#include "model/op_floor.h"
#include "tests/ref/ref_backend.h"

/* L 2, C 8, H 2, D 4, F 16, V 10; B 1, T 3: N 3. Parameters: 10*8 + 2*(24*8 + 8*8 + 16*8 + 8*16).
 */
static gpt_config plain(void)
{
    gpt_config c = gpt_config_default();
    c.vocab_size = 10;
    c.n_layer = 2;
    c.n_head = 2;
    c.n_embd = 8;
    c.mlp_expansion_factor = 2;
    return c;
}

/* As above with K 1 (R = 16), SwiGLU (U = 32) and both norms. */
static gpt_config variant(void)
{
    gpt_config c = plain();
    c.attention_type = GPT_ATTENTION_GQA;
    c.n_kv_head = 1;
    c.use_swiglu_mlp = true;
    c.post_norm = true;
    c.qk_norm = true;
    return c;
}

typedef struct expected {
    gb_phase phase;
    gb_op op;
    double bytes;
} expected;

static void check_bytes(const gpt_config *c, int act_bytes, const expected *rows, size_t n)
{
    op_floor_shape shape = {1, 3, act_bytes};
    for (size_t i = 0; i < n; i++) {
        op_floor f = op_floor_of_step(c, &shape, rows[i].phase, rows[i].op);
        if (f.bytes != rows[i].bytes) {
            fail_msg("%s %s: %.17g bytes, expected %.17g", gb_phase_name(rows[i].phase),
                     gb_op_name(rows[i].op), f.bytes, rows[i].bytes);
        }
    }
}

static void bytes_of_the_plain_model_in_fp32(void **state)
{
    (void)state;
    const gpt_config c = plain();
    const expected rows[] = {
        /* out and rows of wte, 3*8 floats each, and 3 tokens */
        {GB_PHASE_FORWARD, GB_OP_EMBED, 2 * 96 + 12},
        {GB_PHASE_BACKWARD, GB_OP_EMBED, 96 + 12},
        /* norms of 96 bytes: 2 in the first, 4 in each of 4 others; 5 statistics of 3 floats */
        {GB_PHASE_FORWARD, GB_OP_NORM, 18 * 96 + 5 * 12},
        /* the final 3, second norms 5 each, first norms 4 each */
        {GB_PHASE_BACKWARD, GB_OP_NORM, 21 * 96 + 5 * 12},
        /* per layer x 3*8, w 24*8, y 3*24 floats */
        {GB_PHASE_FORWARD, GB_OP_LINEAR_QKV, 2 * 4 * (24 + 192 + 72)},
        /* dw: dy 72, x 24, dw 192; dx: dy 72, w 192, dx 24 */
        {GB_PHASE_BACKWARD, GB_OP_LINEAR_QKV, 2 * 4 * (288 + 288)},
        /* 3 rows of 4 heads of 4 floats, twice; table of 3*4 floats */
        {GB_PHASE_FORWARD, GB_OP_QK_ROPE, 2 * (2 * 3 * 4 * 4 * 4 + 48)},
        {GB_PHASE_BACKWARD, GB_OP_QK_ROPE, 2 * (2 * 3 * 4 * 4 * 4 + 48)},
        /* qkv 3*24, out 3*8, lse 3*2 floats */
        {GB_PHASE_FORWARD, GB_OP_ATTENTION, 2 * 4 * (72 + 24 + 6)},
        {GB_PHASE_BACKWARD, GB_OP_ATTENTION, 2 * 4 * (72 + 24 + 24 + 72 + 6)},
        {GB_PHASE_FORWARD, GB_OP_LINEAR_ATTN_OUT, 2 * 4 * (24 + 64 + 24)},
        {GB_PHASE_FORWARD, GB_OP_LINEAR_MLP_UP, 2 * 4 * (24 + 128 + 48)},
        {GB_PHASE_FORWARD, GB_OP_MLP_ACT, 2 * 4 * (48 + 48)},
        {GB_PHASE_BACKWARD, GB_OP_MLP_ACT, 2 * 4 * (48 + 48 + 48)},
        {GB_PHASE_FORWARD, GB_OP_LINEAR_MLP_DOWN, 2 * 4 * (48 + 128 + 24)},
        /* h, dh 3*8, wte 10*8, dwte 10*8 floats, 3 targets */
        {GB_PHASE_FORWARD, GB_OP_CLASSIFIER, 4 * (24 + 24 + 80 + 80) + 12},
        {GB_PHASE_BACKWARD, GB_OP_CLASSIFIER, 0},
        /* 1104 parameters: 7 floats of state; no copy, master is what computes */
        {GB_PHASE_UPDATE, GB_OP_ADAMW, 28 * 1104},
        {GB_PHASE_UPDATE, GB_OP_GRAD_NORM, 4 * 1104},
        {GB_PHASE_FORWARD, GB_OP_ADAMW, 0},
        {GB_PHASE_DATA, GB_OP_DATA, 0},
    };
    check_bytes(&c, 4, rows, sizeof rows / sizeof rows[0]);
}

static void bytes_of_the_variant_in_bf16(void **state)
{
    (void)state;
    const gpt_config c = variant();
    const expected rows[] = {
        {GB_PHASE_FORWARD, GB_OP_EMBED, 2 * 48 + 12},
        /* 5 statistics of h, 4 of y */
        {GB_PHASE_FORWARD, GB_OP_NORM, 18 * 48 + 9 * 12},
        /* final: dh, h, y read, dx, dy written; then 6 and 6; 6 and, in layer 0, 4 */
        {GB_PHASE_BACKWARD, GB_OP_NORM, (5 + 6 + 6 + 6 + 4) * 48 + 9 * 12},
        {GB_PHASE_FORWARD, GB_OP_LINEAR_QKV, 2 * 2 * (24 + 128 + 48)},
        /* dw is in float */
        {GB_PHASE_BACKWARD, GB_OP_LINEAR_QKV, 2 * (2 * (48 + 24) + 4 * 128 + 2 * (48 + 128 + 24))},
        /* 3 rows of 3 heads; inv_rms of 9 heads */
        {GB_PHASE_FORWARD, GB_OP_QK_ROPE, 2 * (2 * 9 * 4 * 2 + 48 + 36)},
        {GB_PHASE_BACKWARD, GB_OP_QK_ROPE, 2 * (3 * 9 * 4 * 2 + 48 + 36)},
        {GB_PHASE_FORWARD, GB_OP_ATTENTION, 2 * (2 * (48 + 24) + 24)},
        {GB_PHASE_FORWARD, GB_OP_LINEAR_MLP_UP, 2 * 2 * (24 + 256 + 96)},
        /* gate and value 3*32, act 3*16; backward act once, gate and value twice */
        {GB_PHASE_FORWARD, GB_OP_MLP_ACT, 2 * 2 * (96 + 48)},
        {GB_PHASE_BACKWARD, GB_OP_MLP_ACT, 2 * 2 * (48 + 96 + 96)},
        {GB_PHASE_FORWARD, GB_OP_CLASSIFIER, 2 * (24 + 24 + 80) + 4 * 80 + 12},
        /* 80 + 2 * (128 + 64 + 256 + 128) = 1232 parameters, and their copy of 2 bytes */
        {GB_PHASE_UPDATE, GB_OP_ADAMW, 30 * 1232},
    };
    check_bytes(&c, 2, rows, sizeof rows / sizeof rows[0]);
}

/* Every op of a step of the reference backend, against the floor of its (phase, op). */
static void check_flops(const gpt_config *c)
{
    enum { B = 2, T = 5, ROWS = 256 };
    gb_device *dev = NULL;
    gpt *model = NULL;
    gb_error err = {0};
    const gb_backend *be = &gb_backend_ref;
    gb_options options = {.precision = GB_FP64, .shape = gpt_config_shape(c, B, T)};
    gpt_options sizes = {.batch_size = B, .sequence_length = T, .training = true};
    int32_t tokens[B * T + 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1};
    double loss, counted[GB_PHASE_COUNT][GB_OP_COUNT] = {{0}};
    gb_op_time rows[ROWS];
    assert_int_equal(be->open(&options, &dev, &err), GB_OK);
    assert_int_equal(gpt_create(&model, c, &sizes, be, dev, &err), GB_OK);
    assert_int_equal(gpt_init_weights(model, 1, 0, &err), GB_OK);
    be->timers_reset(dev);
    assert_int_equal(gpt_loss_and_grad(model, tokens, tokens + 1, 1.0 / (B * T), true, &loss, &err),
                     GB_OK);
    int n = be->timers_read(dev, rows, ROWS);
    assert_in_range(n, 10, ROWS);
    for (int i = 0; i < n; i++) {
        counted[rows[i].phase][rows[i].op] += rows[i].flops;
    }
    op_floor_shape shape = {B, T, 4};
    for (int phase = GB_PHASE_FORWARD; phase <= GB_PHASE_BACKWARD; phase++) {
        for (int op = 0; op < GB_OP_COUNT; op++) {
            op_floor f = op_floor_of_step(c, &shape, (gb_phase)phase, (gb_op)op);
            if (fabs(f.flops - counted[phase][op]) > 0.5) {
                fail_msg("%s %s: %.0f FLOPs, the ledger counts %.0f",
                         gb_phase_name((gb_phase)phase), gb_op_name((gb_op)op), f.flops,
                         counted[phase][op]);
            }
        }
    }
    gpt_destroy(model);
    be->close(dev);
}

static void flops_are_those_of_the_ledger(void **state)
{
    (void)state;
    gpt_config c = plain();
    check_flops(&c);
    c.attention_type = GPT_ATTENTION_SLIDING_WINDOW;
    c.window_size = 2;
    check_flops(&c);
    c = variant();
    check_flops(&c);
}

/* 6e9 FLOPs at 1e12/s are 6 ms, 2e9 bytes at 1e12/s are 2 ms. */
static double ms_at(const op_floor *floor, double flops_per_s, double bytes_per_s)
{
    return op_floor_ms(floor, (op_rates){flops_per_s, bytes_per_s});
}

static void the_longer_of_both_is_the_floor(void **state)
{
    (void)state;
    op_floor f = {6e9, 2e9};
    assert_true(fabs(ms_at(&f, 1e12, 1e12) - 6) < 1e-12);
    assert_true(fabs(ms_at(&f, 1e13, 1e12) - 2) < 1e-12);
    assert_true(isnan(ms_at(&f, 0, 1e12)));
    assert_true(isnan(ms_at(&f, 1e12, 0)));
    f.flops = 0;
    assert_true(fabs(ms_at(&f, 0, 1e12) - 2) < 1e-12);
}

/* Rates of 1e12: 2e9 FLOPs take 2 ms, 2e9 bytes take 2 ms. */
static void what_bounds_an_op(void **state)
{
    (void)state;
    const op_rates r = {1e12, 1e12};
    const struct {
        double flops, bytes, calls, time_ms;
        op_rates rates;
        op_bound want;
    } rows[] = {
        {4e9, 2e9, 1, 5, r, OP_BOUND_COMPUTE},
        {2e9, 4e9, 1, 5, r, OP_BOUND_MEMORY},
        {0, 4e9, 1, 400, r, OP_BOUND_MEMORY}, /* slow, but 4 ms a call is no start's cost */
        /* 1000 calls of 4 us each at least: under the 20 us of a start. Four times the floor, 16
         * ms, is latency; a little less is what it was. */
        {0, 4e9, 1000, 16, r, OP_BOUND_LATENCY},
        {0, 4e9, 1000, 15.9, r, OP_BOUND_MEMORY},
        {4e9, 0, 1000, 100, r, OP_BOUND_LATENCY},
        {4e9, 0, 200, 100, r, OP_BOUND_COMPUTE}, /* 20 us a call: no shorter than a start */
        {4e9, 0, 201, 100, r, OP_BOUND_LATENCY},
        {0, 0, 1, 5, r, OP_BOUND_UNKNOWN},
        {2e9, 4e9, 1, 5, {1e12, 0}, OP_BOUND_UNKNOWN},
        {2e9, 4e9, 1, 5, {NAN, 1e12}, OP_BOUND_UNKNOWN},
        {0, 4e9, 1, 5, {0, 1e12}, OP_BOUND_MEMORY}, /* needs no rate of products */
        {2e9, 4e9, 0, 5, r, OP_BOUND_UNKNOWN},
        {2e9, 4e9, 1, 0, r, OP_BOUND_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const op_floor f = {rows[i].flops, rows[i].bytes};
        op_bound got = op_floor_bound(&f, rows[i].rates, rows[i].calls, rows[i].time_ms, 0.020);
        if (got != rows[i].want) {
            fail_msg("row %zu: %s, expected %s", i, op_bound_name(got),
                     op_bound_name(rows[i].want));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_the_plain_model_in_fp32),
        cmocka_unit_test(bytes_of_the_variant_in_bf16),
        cmocka_unit_test(flops_are_those_of_the_ledger),
        cmocka_unit_test(the_longer_of_both_is_the_floor),
        cmocka_unit_test(what_bounds_an_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
