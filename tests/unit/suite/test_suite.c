/* Good suites: the cells that they give, worked out by hand in the comments. The malformed ones
 * are in test_suite_errors.c. Runs from the root of the repository.
 *
 * kinds: plain sanitized memcheck */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/suite/suite_internal.h"
#include "model/flops.h"

#define OK "[suite]\nname = t\n[data]\ntrain = a.bin\nval = b.bin\n"

static suite *parse(const char *text)
{
    suite *read;
    gb_error err = {.message = ""};
    gb_status status = suite_parse(&read, "s.ini", text, &err);
    if (status != GB_OK) {
        fail_msg("%s", err.message);
    }
    return read;
}

/* The cells' names, one space between them. */
static void assert_names(const suite *s, const char *expected)
{
    char names[2048] = "";
    for (int i = 0; i < s->n_cells; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? " " : "", s->cells[i].name);
    }
    assert_string_equal(names, expected);
}

static void check_names(const char *text, const char *expected)
{
    suite *s = parse(text);
    assert_names(s, expected);
    suite_free(s);
}

/* The design's own example: 3 factors * 2 widths * 2 activations = 12 cells; [exclude] takes the
 * two with factor 2 and SwiGLU; one named config: 11. */
static const char design_example[] = "[suite]\n"
                                     "name = mlp-expansion\n"
                                     "baseline = d12\n"
                                     "[data]\n"
                                     "train = data/fineweb_train_*.bin      ; or synth:vocab=256\n"
                                     "val   = synth:vocab=256,seed=1\n"
                                     "[train]\n"
                                     "num_iterations = 2000\n"
                                     "warmup_iters = 256\n"
                                     "precision = bf16\n"
                                     "[matrix]                  ; a product over these axes\n"
                                     "model = d12\n"
                                     "mlp_expansion_factor = 2, 3, 4\n"
                                     "n_embd+n_head = 768+12, 832+13 ; axes that move together\n"
                                     "use_swiglu_mlp = false, true\n"
                                     "[config d12_mlp3x]\n"
                                     "model = d12_mlp3x\n"
                                     "[exclude]\n"
                                     "mlp_expansion_factor = 2\n"
                                     "use_swiglu_mlp = true\n"
                                     "[claim mlp3x-speed]\n"
                                     "config = d12_mlp3x\n"
                                     "expect = step_avg speedup >= 15%\n"
                                     "source = a note\n"
                                     "    in two lines\n";

/* checkpoint_every: text, steps, seconds, and how plan writes it. */
static void test_checkpoint_every(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t steps;
        double seconds;
        const char *text;
    } cases[] = {
        {"", 0, 600, "10 min"},
        {"checkpoint_every = never\n", 0, 0, "never"},
        {"checkpoint_every = 200\n", 200, 0, "200 steps"},
        {"checkpoint_every = 200 steps\n", 200, 0, "200 steps"},
        {"checkpoint_every = 30 s\n", 0, 30, "30 s"},
        {"checkpoint_every = 10min\n", 0, 600, "10 min"},
        {"checkpoint_every = 1.5 h\n", 0, 5400, "1.5 h"},
        {"checkpoint_every = 90 s\n", 0, 90, "1.5 min"},
        {"checkpoint_every = 1 d\n", 0, 86400, "24 h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512], shown[SUITE_CHECKPOINT_TEXT];
        snprintf(text, sizeof text,
                 "[suite]\nname = s\n%s[data]\ntrain = synth:vocab=64,seed=1\n"
                 "val = synth:vocab=64,seed=1\n[config a]\nvocab_size = 64\n",
                 cases[i].line);
        suite *s = parse(text);
        suite_checkpoint_format(s, shown);
        assert_int_equal(s->checkpoint_steps, cases[i].steps);
        assert_true(s->checkpoint_s == cases[i].seconds);
        assert_int_equal(s->checkpoint_given, i > 0);
        assert_string_equal(shown, cases[i].text);
        suite_free(s);
    }
}

static void test_design_example(void **state)
{
    (void)state;
    suite *s = parse(design_example);
    assert_string_equal(s->name, "mlp-expansion");
    assert_int_equal(s->replicates, 3);    /* the default */
    assert_int_equal(s->profile_steps, 3); /* the default */
    assert_names(s, "d12-e2 d12-e2-c832h13 d12-e3 d12-e3-swiglu d12-e3-c832h13 "
                    "d12-e3-c832h13-swiglu d12 d12-swiglu d12-c832h13 d12-c832h13-swiglu "
                    "d12_mlp3x");
    assert_int_equal(s->baseline, 6);
    for (int i = 0; i < s->n_cells; i++) {
        assert_int_equal(s->cells[i].is_baseline, i == 6);
        assert_int_equal(s->cells[i].line, i < 10 ? 11 : 16);
        assert_string_equal(s->cells[i].spec.train_data, "data/fineweb_train_*.bin");
        assert_string_equal(s->cells[i].spec.val_data, "synth:vocab=256,seed=1");
        assert_int_equal(s->cells[i].spec.precision, GB_BF16);
        assert_int_equal(s->cells[i].spec.val_loss_every, 100);  /* auto: 2000 / 20 */
        assert_int_equal(s->cells[i].spec.warmdown_iters, 1000); /* auto: 2000 / 2 */
    }
    const gpt_config *wide = &s->cells[suite_cell_find(s, "d12-e3-c832h13-swiglu")].config;
    assert_int_equal(wide->n_embd, 832);
    assert_int_equal(wide->n_head, 13);
    assert_true(wide->mlp_expansion_factor == 3);
    assert_true(wide->use_swiglu_mlp && !wide->post_norm && !wide->qk_norm);
    /* parameters of d12 and d12_mlp3x: MODEL's table */
    assert_int_equal(gpt_count_params(&s->cells[6].config), 123532032);
    assert_int_equal(gpt_count_params(&s->cells[10].config), 124880704);
    assert_int_equal(s->n_claims, 1);
    assert_string_equal(s->claims[0].baseline, "d12");
    assert_string_equal(s->claims[0].source, "a note in two lines");
    assert_int_equal(s->claims[0].line, 21);
    assert_int_equal(suite_cell_find(s, "d13"), -1);
    suite_free(s);
}

static void test_lists_and_ranges(void **state)
{
    (void)state;
    /* d12's 12 layers are left out of the name, so no case here has a cell with 12 */
    check_names(OK "[matrix]\nn_layer = 1..4\n", "l1 l2 l3 l4");
    check_names(OK "[matrix]\nn_layer = 1..10..4\n", "l1 l5 l9"); /* 13 is past the end */
    check_names(OK "[matrix]\nn_layer = 7..7\n", "l7");
    check_names(OK "[matrix]\nn_layer = 5, 1..2,8\n", "l5 l1 l2 l8");
    check_names(OK "[matrix]\nn_layer = 1,\n ; gap\n\n    2, ; two\n\t3\n", "l1 l2 l3");
    check_names("\xef\xbb\xbf[suite]\r\nname = t\r\n[data]\r\ntrain = a\r\nval = b\r\n[matrix]\r\n"
                "n_layer = 1,\r\n  2\r\n",
                "l1 l2");
    /* 256, 384, ... 1024: (1024 - 256) / 128 + 1 = 7 values, one of which (768) is d12's own */
    suite *s = parse(OK "[model]\nn_head = 4\n[matrix]\nn_embd = 256..1024..128\n");
    assert_names(s, "c256 c384 c512 c640 base c896 c1024");
    assert_int_equal(s->cells[5].config.n_embd, 896);
    suite_free(s);
    s = parse(OK "[matrix]\nseed = 1..10000\n"); /* the limit itself */
    assert_int_equal(s->n_cells, 10000);
    suite_free(s);
}

static void test_names(void **state)
{
    (void)state;
    /* constants stay out of the names, unless there is nothing else */
    check_names(OK "[matrix]\nmlp_expansion_factor = 3\n", "e3");
    check_names(OK "[matrix]\nmodel = d12\nmlp_expansion_factor = 3\n", "d12-e3");
    check_names(OK "[matrix]\nmodel = d12_mlp3x\n", "d12_mlp3x");
    check_names(OK "[matrix]\nmodel = d12, d12_gqa\n", "d12 d12_gqa");
    check_names(OK "[matrix]\nmodel = d12, d12_gqa\nmlp_expansion_factor = 3, 4\n",
                "d12-e3 d12 d12_gqa-e3 d12_gqa");
    /* six layers are no d12: the preset's name would not be true */
    check_names(OK "[model]\nn_layer = 6\n[matrix]\nmodel = d12\nmlp_expansion_factor = 3, 4\n",
                "e3 base");
    /* ... but n_kv_head changes nothing in a standard d12 */
    check_names(OK "[matrix]\nmodel = d12\nn_kv_head = 2\nattention_type = standard, gqa\n",
                "d12 d12-gqa");
    check_names(OK "[matrix]\nattention_type+n_kv_head = standard+4, gqa+4, gqa+2\n",
                "base gqa-kv4 gqa-kv2");
    check_names(OK "[matrix]\nmlp_expansion_factor = 8/3, 2.5\nqk_norm = true, false\n",
                "e8over3-qknorm e8over3 e2.5-qknorm e2.5");
    check_names(OK "[matrix]\nmodel = d12_mlp3x\nqk_norm = true, false\n",
                "d12_mlp3x d12_mlp3x-noqknorm");
    /* train keys are axes too; a value equal to the default is left out */
    check_names(OK "[matrix]\nlearning_rate = 1e-3, 0.0018\nprecision = fp32, bf16\n",
                "lr1e-3 lr1e-3-bf16 base bf16");
    check_names(OK "[matrix]\nmodel+learning_rate = d12+0.001, d24+0.0005\n",
                "d12-lr0.001 d24-lr0.0005");
}

static void test_precedence(void **state)
{
    (void)state;
    /* preset, then [model] and [train], then the cell; whatever the order of the lines */
    suite *s = parse(OK "[train]\nseed = 7\nbatch_size = 2\n"
                        "[model]\nn_layer = 6\nvocab_size = 256\n"
                        "[config a]\nn_embd = 896\nn_head = 14\nmodel = d12_mlp3x\n"
                        "[config b]\nn_layer = 3\nseed = 8\n");
    const gpt_config *a = &s->cells[0].config, *b = &s->cells[1].config;
    assert_int_equal(a->n_embd, 896); /* the cell's, not the preset's 832 */
    assert_int_equal(a->n_layer, 6);  /* [model]'s, not the preset's 12 */
    assert_true(a->mlp_expansion_factor == 3 && a->post_norm && a->qk_norm); /* the preset's */
    assert_int_equal(b->n_layer, 3);
    assert_int_equal(b->vocab_size, 256);
    assert_int_equal(b->n_embd, 768); /* the default */
    assert_int_equal(s->cells[0].spec.seed, 7);
    assert_int_equal(s->cells[1].spec.seed, 8);
    assert_int_equal(s->cells[1].spec.batch_size, 2);
    assert_int_equal(s->baseline, 0); /* the first cell */
    suite_free(s);
}

static void test_exclude(void **state)
{
    (void)state;
    /* 2 * 3 = 6; any of a list matches, so {1,2} x {fp32} takes 2, and 3 x bf16 takes 1 */
    check_names(OK "[matrix]\nprecision = fp32, bf16\nn_layer = 1, 2, 3\n"
                   "[exclude]\nprecision = fp32\nn_layer = 1, 2\n"
                   "[exclude]\nprecision = bf16\nn_layer = 3\n",
                "l3 bf16-l1 bf16-l2");
    /* shapes that do not fit may be taken out: 896 / 12 and 768 / 14 are no whole numbers */
    check_names(OK "[matrix]\nn_embd = 768, 896\nn_head = 12, 14\n"
                   "[exclude]\nn_embd = 896\nn_head = 12\n"
                   "[exclude]\nn_embd = 768\nn_head = 14\n",
                "base c896-h14");
    /* by preset, and by a value that the preset brings */
    check_names(OK "[matrix]\nmodel = d12, d24, d12_swiglu\nmlp_expansion_factor = 3, 4\n"
                   "[exclude]\nuse_swiglu_mlp = true\nmlp_expansion_factor = 4.0\n"
                   "[exclude]\nmodel = d24\n",
                "d12-e3 d12 d12_swiglu-e3");
}

/* Percentages by the definitions in suite.h. */
static void test_expect(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double config, baseline, percent;
        bool holds;
    } cases[] = {
        {"step_avg speedup >= 15%", 80, 100, 25, true}, /* 100 ms -> 80 ms: 1.25 times as fast */
        {"step_avg reduction >= 25%", 80, 100, 20, false},
        {"tokens_per_s speedup >= 15%", 110, 100, 10, false},
        {"step_median  speedup\t> 25%", 80, 100, 25, false},
        {"val_loss within 2%", 3.06, 3, 2, true},
        {"val_loss within 2.5%", 2.9, 3, 10.0 / 3, false},
        {"best_val_loss increase <= 2%", 2.9, 3, -10.0 / 3, true},
        {"peak_memory reduction >= 10%", 90, 100, 10, true},
        {"n_params increase < 1%", 124880704, 123532032, 1.091759, false}, /* MODEL's table */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        suite_expect expect;
        assert_int_equal(suite_expect_parse(&expect, cases[i].text, NULL), GB_OK);
        double percent = suite_expect_percent(&expect, cases[i].config, cases[i].baseline);
        assert_true(fabs(percent - cases[i].percent) < 1e-6);
        /* exactly on the edge rounding decides, so ask with the exact figure */
        assert_int_equal(suite_expect_holds(&expect, cases[i].percent), cases[i].holds);
    }
    suite_expect expect;
    assert_int_equal(suite_expect_parse(&expect, "flops within 1%", NULL), GB_OK);
    assert_string_equal(metric_names[expect.metric], "flops");
    assert_true(isnan(suite_expect_percent(&expect, 1, 0)));
    assert_true(isnan(suite_expect_percent(&expect, NAN, 1)));
    assert_false(suite_expect_holds(&expect, NAN));
}

static void test_override_data(void **state)
{
    (void)state;
    suite *s = parse(OK "[matrix]\nn_layer = 1, 2\n");
    char too_long[300];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    gb_error err;
    assert_int_equal(suite_override_data(s, "c.bin", NULL, &err), GB_OK);
    assert_string_equal(s->cells[1].spec.train_data, "c.bin");
    assert_string_equal(s->cells[1].spec.val_data, "b.bin");
    assert_int_equal(suite_override_data(s, "d.bin", too_long, &err), GB_ERR_USAGE);
    assert_string_equal(err.message, "--val: a path of 1 to 255 bytes is expected");
    assert_string_equal(s->cells[0].spec.train_data, "c.bin");
    suite_free(s);
}

/* Every suite that ships is a good one, with names that suit files, plots and shells. */
static void test_shipped_suites(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int n_cells, n_claims;
        const char *baseline;
    } shipped[] = {
        {"suites/quick.ini", 5, 2, "base"},      /* 2 of the matrix + 3 configs */
        {"suites/tiny_text.ini", 5, 4, "base"},  /* 2 + 3 */
        {"suites/mlp_claims.ini", 7, 14, "d12"}, /* 7 configs */
        /* 3 factors * 4 widths * 2 attentions * 2 activations = 48; without gqa-with-SwiGLU
         * (12) and two wide SwiGLU with factor 4: 34 */
        {"suites/expansion_x_width.ini", 34, 0, "d12"},
        /* 3 factors * 2 widths * 3 attentions * 2 batches = 36, less 3 * 1 * 2 * 1 and
         * 1 * 1 * 3 * 2, and one config: 25 */
        {"tests/fixtures/suites/every_feature.ini", 25, 1, "e2-c64h4"},
    };
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++) {
        suite *s;
        gb_error err = {.message = ""};
        if (suite_read(&s, shipped[i].path, &err) != GB_OK) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(s->n_cells, shipped[i].n_cells);
        assert_int_equal(s->n_claims, shipped[i].n_claims);
        assert_string_equal(s->cells[s->baseline].name, shipped[i].baseline);
        for (int c = 0; c < s->n_cells; c++) {
            const char *name = s->cells[c].name;
            assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_."),
                             strlen(name));
            assert_int_equal(suite_cell_find(s, name), c);
        }
        suite_free(s);
    }
}

/* The figures that suites/mlp_claims.ini states beside its claims, from the formula of MODEL at
 * T = 512: d12 has 6 * (12 * 12 * 768^2 + 50257 * 768) + 6 * 12 * 768 * 513 = 769,559,040. */
static void test_claims_state_exact_flops(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double percent; /* against d12, as the comments round it */
    } stated[] = {{"d12_mlp3x", 1.4},
                  {"d12_mlp3x_gqa", -18.4},
                  {"d12_gqa", -7.4},
                  {"d12_mlp3x_swiglu", 20.8}};
    suite *s;
    assert_int_equal(suite_read(&s, "suites/mlp_claims.ini", NULL), GB_OK);
    double d12 = gpt_flops_exact(&s->cells[s->baseline].config, 512);
    assert_true(d12 == 769559040);
    for (size_t i = 0; i < sizeof stated / sizeof stated[0]; i++) {
        const suite_cell *cell = &s->cells[suite_cell_find(s, stated[i].name)];
        double percent = 100 * (gpt_flops_exact(&cell->config, 512) / d12 - 1);
        assert_true(fabs(percent - stated[i].percent) < 0.05);
    }
    suite_free(s);
}

static int keys_count(const gb_key *keys)
{
    int n = 0;
    while (keys[n].name) {
        n++;
    }
    return n;
}

/* The reader's arrays have room for every key of the tables, and the bits of spec_given for every
 * train key: a new key needs no change in the reader until one of these fails. The text of a step
 * (suite_effect.c, 1024 bytes) holds values of up to 24 characters ("%.17g") with a bar each. */
static void test_room_for_keys(void **state)
{
    (void)state;
    const int config = keys_count(gpt_config_keys()), spec = keys_count(train_spec_keys());
    assert_true(config + spec + 1 <= SUITE_MAX_KEYS);
    assert_true(spec <= 32);
    assert_true((config + spec + 1) * 25 < 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_every), cmocka_unit_test(test_design_example),
        cmocka_unit_test(test_lists_and_ranges), cmocka_unit_test(test_names),
        cmocka_unit_test(test_precedence),       cmocka_unit_test(test_exclude),
        cmocka_unit_test(test_expect),           cmocka_unit_test(test_override_data),
        cmocka_unit_test(test_shipped_suites),   cmocka_unit_test(test_claims_state_exact_flops),
        cmocka_unit_test(test_room_for_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
