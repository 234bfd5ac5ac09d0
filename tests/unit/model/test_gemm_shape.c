/* The products of model/gemm_shape.h are those that a step issues: their FLOPs, 2*m*n*k each, equal
 * what the backend's ledger counts for every op, phase and layer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/gemm_shape.h"
#include "model/gpt.h"

enum { BATCH = 2, LENGTH = 6, ROWS = 256 };

static double gemm_flops(const gb_shape *shape, gb_op op, gb_phase phase)
{
    gpt_gemm gemms[GPT_GEMMS_MAX];
    int n = gpt_op_gemms(shape, op, phase == GB_PHASE_FORWARD, phase == GB_PHASE_BACKWARD, gemms);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += 2.0 * (double)gemms[i].m * (double)gemms[i].n * (double)gemms[i].k;
    }
    return sum;
}

static void check_step(const gpt_config *config)
{
    const gb_backend *be = gb_backend_find("cpu", GB_FP32);
    const gpt_options options = {.batch_size = BATCH, .sequence_length = LENGTH, .training = true};
    gb_options device = {.precision = GB_FP32,
                         .threads = 1,
                         .device_index = -1,
                         .shape = gpt_config_shape(config, BATCH, LENGTH)};
    int32_t tokens[BATCH * LENGTH] = {1, 2, 3, 4, 5, 6, 7};
    gb_op_time rows[ROWS];
    gb_device *dev = NULL;
    gpt *model = NULL;
    gb_error err = {0};
    double loss;
    if (gpt_config_validate(config, &err) != GB_OK || be->open(&device, &dev, &err) != GB_OK ||
        gpt_create(&model, config, &options, be, dev, &err) != GB_OK ||
        gpt_init_weights(model, 1, 0, &err) != GB_OK ||
        gpt_loss_and_grad(model, tokens, tokens, 1, true, &loss, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    int n = be->timers_read(dev, rows, ROWS), products = 0;
    assert_in_range(n, 1, ROWS);
    for (int i = 0; i < n; i++) {
        bool other = rows[i].op == GB_OP_ATTENTION; /* its FLOPs are products, but of activations */
        double want = gemm_flops(&device.shape, rows[i].op, rows[i].phase);
        if (!other && rows[i].flops != want) {
            fail_msg("%s %s layer %d: %.17g FLOPs issued, %.17g by shape", gb_op_name(rows[i].op),
                     gb_phase_name(rows[i].phase), rows[i].layer, rows[i].flops, want);
        }
        products += want > 0;
    }
    /* four linear maps in both phases of two layers, and the classifier */
    assert_int_equal(products, 4 * 2 * 2 + 1);
    gpt_destroy(model);
    be->close(dev);
}

static gpt_config tiny(void)
{
    gpt_config c = gpt_config_default();
    c.vocab_size = 50;
    c.n_layer = 2;
    c.n_head = 4;
    c.n_embd = 24;
    c.mlp_expansion_factor = 3;
    return c;
}

static void test_standard(void **state)
{
    (void)state;
    gpt_config c = tiny();
    check_step(&c);
}

static void test_gqa_swiglu(void **state)
{
    (void)state;
    gpt_config c = tiny();
    c.attention_type = GPT_ATTENTION_GQA;
    c.n_kv_head = 2;
    c.use_swiglu_mlp = true;
    check_step(&c);
}

static void test_latent(void **state)
{
    (void)state;
    gpt_config c = tiny();
    c.attention_type = GPT_ATTENTION_LATENT;
    c.n_latent = 16;
    c.post_norm = true;
    check_step(&c);
}

/* By hand: 12 tokens, C = 24, F = 72. */
static void test_by_hand(void **state)
{
    (void)state;
    gpt_config c = tiny();
    gb_shape shape = gpt_config_shape(&c, BATCH, LENGTH);
    gpt_gemm g[GPT_GEMMS_MAX];
    assert_int_equal(gpt_op_gemms(&shape, GB_OP_LINEAR_MLP_UP, true, true, g), 3);
    assert_true(g[0].m == 12 && g[0].n == 72 && g[0].k == 24);
    assert_true(g[1].m == 12 && g[1].n == 24 && g[1].k == 72);
    assert_true(g[2].m == 72 && g[2].n == 24 && g[2].k == 12);
    assert_string_equal(g[2].product, "dw");
    assert_int_equal(gpt_op_gemms(&shape, GB_OP_NORM, true, true, g), 0);
    assert_int_equal(gpt_op_find("linear_mlp_up"), GB_OP_LINEAR_MLP_UP);
    assert_int_equal(gpt_op_find("<b>"), GB_OP_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard),
        cmocka_unit_test(test_gqa_swiglu),
        cmocka_unit_test(test_latent),
        cmocka_unit_test(test_by_hand),
    };
    return cmocka_run_group_tests_name("gemm_shape", tests, NULL, NULL);
}
