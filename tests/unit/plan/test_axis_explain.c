/* What `plan --explain` says of an axis. Shapes and percentages are worked out in the comments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/plan/axis_explain.h"

#define OK                                                                                         \
    "[suite]\nname = t\nbaseline = d12\n[data]\ntrain = a.bin\nval = b.bin\n[matrix]\nmodel = "    \
    "d12\n"
#define ARROW " \xe2\x86\x92 "
#define MINUS "\xe2\x88\x92"

static suite *parse(const char *text)
{
    suite *s;
    gb_error err = {0};
    if (suite_parse(&s, "s.ini", text, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    return s;
}

/* The text of the last axis, first value against the second. */
static void check(const char *axis, int n_pairs, const char *expected)
{
    char text[512];
    snprintf(text, sizeof text, OK "%s\n", axis);
    suite *s = parse(text);
    axis_change change;
    assert_int_equal(axis_change_make(&change, s, s->n_axes - 1, 0, NULL), GB_OK);
    assert_int_equal(change.n_pairs, n_pairs);
    assert_string_equal(change.text, expected);
    axis_change_clear(&change);
    suite_free(s);
}

static void test_axes(void **state)
{
    (void)state;
    /* d12 has 123,532,032 parameters, with e = 3 it has 109,376,256 (docs/MODEL.md): +12.9 %; FLOPs
     * 6 N + 6 L C (T + 1), at T = 512 with 6 * 12 * 768 * 513 = 28,366,848 of attention:
     * 769,559,040 / 684,624,384 = 1.1241 */
    check("mlp_expansion_factor = 3, 4", 1,
          "mlp.c_fc 768x2304" ARROW "768x3072, mlp.c_proj 2304x768" ARROW
          "3072x768, parameters +12.9 %, FLOPs/token +12.4 %");
    check("qk_norm = false, true", 1, "qk_norm in qk_rope_forward 0" ARROW "1");
    /* all but the last block's */
    check("recompute_activations = false, true", 1, "12" ARROW "23 gelu_forward");
    check("seed = 1337, 7", 1, "seed 1337" ARROW "7");
    check("precision = fp32, bf16", 1, "precision fp32" ARROW "bf16");
    /* of 1000 steps 125 are warm-up: 0.0125 / 125 */
    check("learning_rate = 0.0018, 0.0125", 1,
          "learning_rate of the first step 1.44e-05" ARROW "0.0001");
    /* swiglu has a third matrix of 768 * 3072 in 12 blocks: 28,311,552 more, +22.9 %; FLOPs
     * 169,869,312 / 769,559,040 = 0.2207 */
    check("use_swiglu_mlp = false, true", 1,
          "no mlp.c_fc, mlp.gate_proj 768x3072 new, mlp.value_proj 768x3072 new, 12" ARROW
          "0 gelu_forward, 12" ARROW "0 gelu_backward, 0" ARROW "12 swiglu_forward, 0" ARROW
          "12 swiglu_backward, parameters +22.9 %, FLOPs/token +22.1 %");
    /* a block has 12 * 768 * 768 = 7,077,888 parameters: 5.73 %; attention 2,363,904 FLOPs besides
     */
    check("n_layer = 12, 13", 1, "12" ARROW "13 blocks, parameters +5.7 %, FLOPs/token +5.8 %");
    /* mean keys 256.5 before, (36 + 504 * 9) / 512 = 8.93 after; 12 * 12 * 768 = 110,592 FLOPs for
     * each: 27,379,000 of 769,559,040 less, 3.56 % */
    check("window_size = 8\nattention_type = standard, sliding_window", 1,
          "window in attention_forward 0" ARROW "8, FLOPs/token " MINUS "3.6 %");
}

/* Of four pairs the one on the baseline's line; where [exclude] leaves one, that. */
static void test_pairs(void **state)
{
    (void)state;
    suite *s = parse(OK "n_layer = 6, 12\nqk_norm = true, false\npost_norm = false, true\n"
                        "[exclude]\nn_layer = 6\npost_norm = true\nqk_norm = true\n");
    axis_change change;
    assert_int_equal(axis_change_make(&change, s, 3, 0, NULL), GB_OK); /* post_norm */
    assert_int_equal(change.n_pairs, 3);
    assert_string_equal(s->cells[change.from].name, "d12");
    assert_string_equal(s->cells[change.to].name, "d12-postnorm");
    axis_change_clear(&change);
    assert_int_equal(axis_change_make(&change, s, 2, 0, NULL), GB_OK); /* qk_norm */
    assert_int_equal(change.n_pairs, 3);
    assert_string_equal(s->cells[change.from].name, "d12-qknorm");
    assert_string_equal(s->cells[change.to].name, "d12");
    axis_change_clear(&change);
    suite_free(s);
}

static void check_all(const char *text, const char *expected)
{
    suite *s = parse(text);
    char *got = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&got, &size);
    assert_int_equal(axis_explain_write(s, out, NULL), GB_OK);
    fclose(out);
    assert_string_equal(got, expected);
    free(got);
    suite_free(s);
}

static void test_text(void **state)
{
    (void)state;
    check_all(OK
              "seed = 1337, 7, 8\nqk_norm = false, true\n[exclude]\nseed = 7, 8\nqk_norm = true\n",
              "What each axis changes between neighbouring cells, in the step that the model "
              "issues; weights are in x out:\n\n"
              "seed\n"
              "  1337" ARROW "7 (d12" ARROW "d12-seed7)\n    seed 1337" ARROW "7\n"
              "  7" ARROW "8 (d12-seed7" ARROW "d12-seed8)\n    seed 7" ARROW "8\n\n"
              "qk_norm\n"
              "  false" ARROW "true (d12" ARROW
              "d12-qknorm)\n    qk_norm in qk_rope_forward 0" ARROW "1\n");
    check_all("[suite]\nname = t\n[data]\ntrain = a\nval = b\n[config a]\nmodel = d12\n",
              "No axis to explain: suite t has no [matrix] in which a key takes several values.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("axis_explain", tests, NULL, NULL);
}
