/* The model's facts: parameters, FLOPs, presets, refusals, learning-rate schedule, random streams.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "model/flops.h"
#include "model/layout.h"
#include "model/random.h"
#include "model/train_spec.h"
#include "model/warmup.h"

static gpt_config preset(const char *name)
{
    gpt_config config;
    gb_error err = {GB_OK, ""};
    assert_int_equal(gpt_config_preset(&config, name, &err), GB_OK);
    return config;
}

/* Parameters as docs/MODEL.md lists them, V = 50257. Independent of layout.c: computed here from
 * V*C + L*(attention + MLP matrices) by hand for each preset. */
static void params_match_the_formula(void **state)
{
    (void)state;
    const struct {
        const char *name;
        int64_t params;
    } facts[] = {
        {"d12", 50257LL * 768 + 12 * (4LL * 768 * 768 + 8LL * 768 * 768)},
        {"d12", 123532032},
        {"d12_mlp3x", 124880704},
        {"d12_mlp3x_gqa", 99939072},
        {"d12_mlp3x_swiglu", 149800768},
        {"d12_gqa", 114094848},
        {"d12_mqa", 50257LL * 768 + 12 * (2LL * 768 * 768 + 2 * 64LL * 768 + 8LL * 768 * 768)},
        {"d12_mla", 50257LL * 1280 + 12 * (4LL * 320 * 1280 + 8LL * 1280 * 1280)},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        gpt_config config = preset(facts[i].name);
        assert_int_equal(gpt_count_params(&config), facts[i].params);
    }
    gpt_config narrow = preset("d12");
    narrow.mlp_expansion_factor = 3;
    assert_int_equal(gpt_count_params(&narrow), 109376256);
}

/* Exact FLOPs per token at T = 1024; the percentages are those of docs/MODEL.md, to 0.05 points. */
static void flops_match_the_facts(void **state)
{
    (void)state;
    gpt_config d12 = preset("d12");
    double base = gpt_flops_exact(&d12, 1024);
    assert_true(base == 797870592.0); /* 6*123532032 + 6*12*768*1025 */
    const struct {
        const char *name;
        double percent;
    } facts[] = {{"d12_mlp3x", 1.6},
                 {"d12_mlp3x_gqa", -17.7},
                 {"d12_mlp3x_swiglu", 20.3},
                 {"d12_gqa", -7.1}};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        gpt_config config = preset(facts[i].name);
        double percent = 100 * (gpt_flops_exact(&config, 1024) / base - 1);
        assert_true(fabs(percent - facts[i].percent) < 0.05);
    }
    d12.mlp_expansion_factor = 3;
    assert_true(fabs(100 * (gpt_flops_exact(&d12, 1024) / base - 1) + 10.6) < 0.05);
}

static void other_conventions_follow_their_sources(void **state)
{
    (void)state;
    gpt_config c = preset("d12");
    double n = 123532032;
    assert_true(gpt_flops_6n(&c) == 6 * n);
    assert_true(gpt_flops_nanogpt(&c, 1024) == 6 * n + 12.0 * 12 * 12 * 64 * 1024);
    assert_true(gpt_flops_llmc(&c, 1024) == 6 * n + 6.0 * 12 * 768 * 1024);
}

/* Counted one pair at a time. */
static void attention_pairs_equal_a_count(void **state)
{
    (void)state;
    const int64_t windows[] = {0, 1, 3, 15, 16, 17, 100};
    for (int64_t T = 1; T < 40; T++) {
        for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
            int64_t count = 0;
            for (int64_t i = 0; i < T; i++) {
                for (int64_t j = 0; j <= i; j++) {
                    count += windows[w] == 0 || i - j <= windows[w];
                }
            }
            assert_int_equal(gpt_attention_pairs(T, windows[w]), count);
        }
    }
}

static void every_preset_but_one_is_valid(void **state)
{
    (void)state;
    gb_error err = {GB_OK, ""};
    for (const char *const *name = gpt_config_preset_names(); *name; name++) {
        gpt_config config = preset(*name);
        gb_status status = gpt_config_validate(&config, &err);
        assert_int_equal(status, strcmp(*name, "custom_mlp2x") == 0 ? GB_ERR_USAGE : GB_OK);
    }
    assert_non_null(strstr(err.message, "head_dim would be 75, which is odd"));
    assert_non_null(strstr(err.message, "896 with 14 heads and 960 with 15 heads"));
}

static void invalid_shapes_are_refused_with_the_nearest(void **state)
{
    (void)state;
    const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"n_head", "7", "not a multiple of 7 heads"},
        {"n_embd", "767", "nearest valid widths are 704 with 11 heads and 768 with 12"},
        {"n_head", "2", "more than the largest supported, 256"},
        /* 100 / 24 = 4.2 pairs of numbers for each of 12 heads: 4 * 24 and 5 * 24 */
        {"n_embd", "100",
         "are 96 or 120 with 12 heads; with other heads, 96 with 6 heads and 112 with 7"},
        {"n_embd", "20", "are 16 with 1 head and 32 with 2 heads (head_dim 16)"},
        {"mlp_expansion_factor", "2.7182", "mlp_hidden_multiple_of = 64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gb_error err = {GB_OK, ""};
        gpt_config config = preset("d12");
        const gb_key *key = gb_key_find(gpt_config_keys(), cases[i].key);
        assert_int_equal(gb_key_set(&config, key, cases[i].value, &err), GB_OK);
        assert_int_equal(gpt_config_validate(&config, &err), GB_ERR_USAGE);
        assert_non_null(strstr(err.message, cases[i].says));
    }
    gb_error err;
    gpt_config gqa = preset("d12_gqa");
    gqa.n_kv_head = 5;
    assert_int_equal(gpt_config_validate(&gqa, &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "nearest valid n_kv_head are 4 and 6"));
}

/* Every word of other trainers leads to a key that there is: a key that is renamed takes its words
 * along. The words are those of nanoGPT, llm.c, Hugging Face, Megatron and torchtitan. */
static void words_of_other_trainers_are_known(void **state)
{
    (void)state;
    static const char *const words[][2] = {
        {"d_model", "n_embd"},
        {"hidden_size", "n_embd"},
        {"n_layers", "n_layer"},
        {"num_hidden_layers", "n_layer"},
        {"num_heads", "n_head"},
        {"num_attention_heads", "n_head"},
        {"num_key_value_heads", "n_kv_head"},
        {"mlp_expansion", "mlp_expansion_factor"},
        {"mlp_ratio", "mlp_expansion_factor"},
        {"swiglu", "use_swiglu_mlp"},
        {"window", "window_size"},
        {"lr", "learning_rate"},
        {"bs", "batch_size"},
        {"micro_batch_size", "batch_size"},
        {"seq_len", "sequence_length"},
        {"block_size", "sequence_length"},
        {"n_ctx", "sequence_length"},
        {"max_iters", "num_iterations"},
        {"max_steps", "num_iterations"},
        {"eval_interval", "val_loss_every"},
        {"gradient_accumulation_steps", "grad_accumulation_steps"},
        {"max_grad_norm", "grad_clip"},
        {"wd", "weight_decay"},
        {"warmup_steps", "warmup_iters"},
        {"dtype", "precision"},
        {"gradient_checkpointing", "recompute_activations"}};
    const char *keys[64];
    int n = 0;
    const gb_key *tables[] = {gpt_config_keys(), train_spec_keys()};
    for (int t = 0; t < 2; t++) {
        for (const gb_key *key = tables[t]; key->name; key++) {
            keys[n++] = key->name;
        }
    }
    keys[n] = NULL;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *near = gb_nearest_name(words[i][0], keys);
        assert_non_null(near);
        assert_string_equal(near, words[i][1]);
    }
}

/* Slips: a letter too many, too few, another, or two swapped. One in up to 7 letters, two in up to
 * 11, three in more. */
static void only_near_names_are_suggested(void **state)
{
    (void)state;
    static const char *const names[] = {
        "report", "plan", "learning_rate", "--report", "a", "mlp_expansion_factor", "n_embd", NULL};
    const struct {
        const char *given, *near;
    } cases[] = {
        {"reprot", "report"}, /* one swap */
        {"Report", "report"}, /* case is no slip */
        {"export", NULL},     /* two: an r before, the x away; and so is the option's */
        {"import", NULL},
        {"--export", NULL},
        {"plot", NULL},
        {"plam", "plan"},
        {"larning_rat", "learning_rate"}, /* two, in 11 letters */
        {"larning_ra", NULL},             /* three, in 10 */
        {"lr", "learning_rate"},          /* known by heart */
        {"LR", "learning_rate"},
        {"d-model", "n_embd"}, /* a dash for an underscore */
        {"mlp_ratio", "mlp_expansion_factor"},
        {"bs", NULL},                                /* whose name is not among these */
        {"mlp_expansion_f", "mlp_expansion_factor"}, /* the only one that begins so */
        {"repo", "report"},
        {"rep", NULL}, /* three letters are too few to say */
        {"b", NULL},   /* one letter, and another one */
        {"ab", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *near = gb_nearest_name(cases[i].given, names);
        if (cases[i].near) {
            assert_non_null(near);
            assert_string_equal(near, cases[i].near);
        } else {
            assert_null(near);
        }
    }
}

static void values_are_parsed_strictly(void **state)
{
    (void)state;
    const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"n_layer", "twelve", "not a whole number"},
        {"n_layer", "12x", "not a whole number"},
        {"n_layer", "", "not a whole number"},
        {"n_layer", "0", "must be between 1 and 1024"},
        {"n_layer", "99999999999999999999", "not a whole number"},
        {"mlp_expansion_factor", "nan", "not a number"},
        {"mlp_expansion_factor", "inf", "not a number"},
        {"mlp_expansion_factor", "0x10", "not a number"},
        {"mlp_expansion_factor", "8/0", "not a number"},
        {"mlp_expansion_factor", "8/3/2", "not a number"},
        {"use_swiglu_mlp", "yes", "did you mean true"},
        {"attention_type", "grouped_query", "did you mean gqa"},
        {"attention_type", "sliding-window", "did you mean sliding_window"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gb_error err = {GB_OK, ""};
        gpt_config config = gpt_config_default();
        const gb_key *key = gb_key_find(gpt_config_keys(), cases[i].key);
        assert_int_equal(gb_key_set(&config, key, cases[i].value, &err), GB_ERR_USAGE);
        assert_non_null(strstr(err.message, cases[i].says));
        assert_true(
            gpt_config_equal(&config, &(gpt_config){gpt_config_default().vocab_size, 12, 12, 768, 0,
                                                    4, 64, 384, 4, 0, false, false, false}));
    }
}

static void fractions_give_whole_hidden_sizes(void **state)
{
    (void)state;
    gb_error err;
    gpt_config c = gpt_config_default();
    const gb_key *key = gb_key_find(gpt_config_keys(), "mlp_expansion_factor");
    assert_int_equal(gb_key_set(&c, key, "8/3", &err), GB_OK);
    assert_int_equal(gpt_config_mlp_hidden(&c), 2048); /* 8/3 * 768 */
    assert_int_equal(gpt_config_validate(&c, &err), GB_OK);
    c.n_embd = 832;
    c.n_head = 13; /* 8/3 * 832 = 2218.67 */
    assert_int_equal(gpt_config_validate(&c, &err), GB_ERR_USAGE);
    c.mlp_hidden_multiple_of = 64;
    assert_int_equal(gpt_config_validate(&c, &err), GB_OK);
    assert_int_equal(gpt_config_mlp_hidden(&c), 2240);
}

/* What gb_key_format writes, gb_key_set reads back to the same value. */
static void keys_round_trip(void **state)
{
    (void)state;
    gb_error err;
    gpt_config a = preset("d12_mla"), b = gpt_config_default();
    a.mlp_expansion_factor = 8.0 / 3.0;
    for (const gb_key *key = gpt_config_keys(); key->name; key++) {
        char text[64];
        gb_key_format(&a, key, text, sizeof text);
        assert_int_equal(gb_key_set(&b, key, text, &err), GB_OK);
    }
    assert_true(gpt_config_equal(&a, &b));
    assert_true(a.mlp_expansion_factor == b.mlp_expansion_factor);
}

/* No two tensors overlap, groups that one GEMM reads are adjacent, and names are the module tree's.
 */
static void layout_is_dense_within_groups(void **state)
{
    (void)state;
    gpt_config c = preset("d12_mlp3x_gqa");
    c.use_swiglu_mlp = true;
    gpt_layout layout;
    gpt_layout_init(&layout, &c);
    assert_int_equal(layout.n_tensors, 1 + 12 * 7);
    int64_t end = 0;
    for (int i = 0; i < layout.n_tensors; i++) {
        gpt_tensor t = gpt_layout_tensor(&layout, i);
        bool joined =
            t.role == GPT_ROLE_K_PROJ || t.role == GPT_ROLE_V_PROJ || t.role == GPT_ROLE_MLP_VALUE;
        assert_true(joined ? t.offset == end : t.offset >= end && t.offset % 64 == 0);
        assert_int_equal(t.offset, gpt_layout_offset(&layout, t.role, t.layer));
        end = t.offset + t.rows * t.cols;
    }
    assert_true(end <= layout.slab_size);
    assert_string_equal(gpt_layout_tensor(&layout, 0).name, "transformer.wte.weight");
    assert_string_equal(gpt_layout_tensor(&layout, 2).name, "transformer.h.0.attn.k_proj.weight");
    assert_string_equal(gpt_layout_tensor(&layout, 84).name, "transformer.h.11.mlp.c_proj.weight");
}

/* Known answers of the Random123 distribution (kat_vectors: philox4x32 10). */
static void philox_matches_known_answers(void **state)
{
    (void)state;
    uint32_t out[4];
    random_philox4x32(out, (uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0});
    assert_memory_equal(out, ((uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}), 16);
    random_philox4x32(out, (uint32_t[4]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                      (uint32_t[2]){0xffffffff, 0xffffffff});
    assert_memory_equal(out, ((uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}), 16);
    random_philox4x32(out, (uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                      (uint32_t[2]){0xa4093822, 0x299f31d0});
    assert_memory_equal(out, ((uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}), 16);
}

static void random_values_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    double whole[100], part[100];
    random_stream s = random_stream_open("transformer.wte.weight", 1337, 0);
    random_fill_uniform(&s, whole, 0, 100, 0.5);
    random_fill_uniform(&s, part, 37, 11, 0.5);
    assert_memory_equal(whole + 37, part, 11 * sizeof part[0]);
    random_stream other = random_stream_open("transformer.wte.weight", 1337, 1);
    random_fill_uniform(&other, part, 0, 100, 0.5);
    assert_true(whole[0] != part[0] && whole[99] != part[99]);
}

/* Uniform in (-b, b): mean 0 and variance b^2/3, each within five standard errors. */
static void random_values_are_uniform(void **state)
{
    (void)state;
    enum { N = 100000 };
    double *x = malloc(N * sizeof *x), sum = 0, squares = 0;
    random_stream s = random_stream_open("x", 1, 0);
    random_fill_uniform(&s, x, 0, N, 2.0);
    for (int i = 0; i < N; i++) {
        assert_true(fabs(x[i]) < 2.0);
        sum += x[i];
        squares += x[i] * x[i];
    }
    free(x);
    double variance = 4.0 / 3, fourth = 16.0 / 5; /* E x^2, E x^4 of U(-2, 2) */
    assert_true(fabs(sum / N) < 5 * sqrt(variance / N));
    assert_true(fabs(squares / N - variance) < 5 * sqrt((fourth - variance * variance) / N));
}

/* docs/MODEL.md's schedule, by hand for n = 10, warm-up 4, warm-down 5, lr 1. */
static void learning_rate_follows_the_schedule(void **state)
{
    (void)state;
    train_spec s = train_spec_default();
    s.num_iterations = 10;
    s.warmup_iters = 4;
    s.warmdown_iters = 5;
    s.learning_rate = 1;
    const double expected[10] = {0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2};
    for (int i = 0; i < 10; i++) {
        assert_true(fabs(train_spec_learning_rate(&s, i) - expected[i]) < 1e-15);
    }
    s.warmup_iters = s.warmdown_iters = 0;
    assert_true(train_spec_learning_rate(&s, 0) == 1 && train_spec_learning_rate(&s, 9) == 1);
}

static int64_t steps_until_warm(const double *times_ms, int64_t n)
{
    warmup_state w = {.steps = 0};
    for (int64_t i = 0; i < n; i++) {
        if (warmup_add_step(&w, times_ms[i])) {
            return i + 1;
        }
    }
    return -1;
}

static void warmup_ends_by_rule(void **state)
{
    (void)state;
    double times[100];
    for (int i = 0; i < 100; i++) {
        times[i] = 10;
    }
    times[0] = 900; /* one slow first step hides in a median */
    assert_int_equal(steps_until_warm(times, 100), 10);
    for (int i = 0; i < 20; i++) {
        times[i] = 100 - 4 * i; /* still speeding up at step 20, flat at 10 ms from there */
    }
    /* Spans [15..19] and [20..24] have medians 32 and 10; equal first when the older span's median
     * is 10: at least three of steps [i-9..i-5] are flat, so i - 7 >= 20, that is step 27, the
     * 28th. */
    assert_int_equal(steps_until_warm(times, 100), 28);
    for (int i = 0; i < 100; i++) {
        times[i] = 1000.0 / (i + 1); /* never settles within 5 % before step 50 */
    }
    assert_int_equal(steps_until_warm(times, 100), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_match_the_formula),
        cmocka_unit_test(flops_match_the_facts),
        cmocka_unit_test(other_conventions_follow_their_sources),
        cmocka_unit_test(attention_pairs_equal_a_count),
        cmocka_unit_test(every_preset_but_one_is_valid),
        cmocka_unit_test(invalid_shapes_are_refused_with_the_nearest),
        cmocka_unit_test(only_near_names_are_suggested),
        cmocka_unit_test(words_of_other_trainers_are_known),
        cmocka_unit_test(values_are_parsed_strictly),
        cmocka_unit_test(fractions_give_whole_hidden_sizes),
        cmocka_unit_test(keys_round_trip),
        cmocka_unit_test(layout_is_dense_within_groups),
        cmocka_unit_test(philox_matches_known_answers),
        cmocka_unit_test(random_values_do_not_depend_on_neighbours),
        cmocka_unit_test(random_values_are_uniform),
        cmocka_unit_test(learning_rate_follows_the_schedule),
        cmocka_unit_test(warmup_ends_by_rule),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
