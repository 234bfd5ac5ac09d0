/* What a step does, by the trace: against the real CPU backend's ledger, against the exact count of
 * FLOPs, and in suites whose axes have, or with a planted fault have not, an effect. Runs from the
 * root of the repository. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/suite/suite_internal.h"
#include "model/flops.h"
#include "model/gpt.h"
#include "model/step_trace.h"

#define OK "[suite]\nname = t\n[data]\ntrain = a.bin\nval = b.bin\n"

enum { ROWS = 512 };

static gpt_config config_of(const char *preset)
{
    gpt_config c;
    assert_int_equal(gpt_config_preset(&c, preset, NULL), GB_OK);
    return c;
}

static train_spec spec_of(int64_t batch, int64_t length)
{
    train_spec s = train_spec_default();
    s.batch_size = batch;
    s.sequence_length = length;
    train_spec_resolve(&s);
    return s;
}

static step_trace trace_of(const gpt_config *config, const train_spec *spec, bool list)
{
    step_trace trace;
    gb_error err = {0};
    if (step_trace_make(&trace, config, spec, list, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    return trace;
}

/* ---- against the CPU backend ---- */

/* Row of a ledger for each phase, layer and op; the trace's calls summed. */
static gb_op_time traced_row(const step_trace *trace, const gb_op_time *like)
{
    gb_op_time row = {.phase = like->phase, .layer = like->layer, .op = like->op};
    for (int64_t i = 0; i < trace->n_calls; i++) {
        const op_trace_call *call = &trace->calls[i];
        if (call->phase == row.phase && call->layer == row.layer && call->op == row.op) {
            row.calls++;
            row.flops += call->flops;
        }
    }
    return row;
}

static int real_step(const gpt_config *config, const train_spec *spec, gb_op_time *rows)
{
    const gb_backend *be = gb_backend_find("cpu", GB_FP32);
    const gpt_options options = {.batch_size = spec->batch_size,
                                 .sequence_length = spec->sequence_length,
                                 .training = true,
                                 .recompute = spec->recompute_activations};
    const gb_options device = {
        .precision = (gb_precision)spec->precision,
        .threads = 1,
        .device_index = -1,
        .shape = gpt_config_shape(config, spec->batch_size, spec->sequence_length)};
    const gpt_update_options update = {
        .learning_rate = 0.001, .grad_clip = spec->grad_clip, .step = 1};
    int32_t tokens[64] = {1, 2, 3};
    gb_device *dev = NULL;
    gpt *model = NULL;
    gb_error err = {0};
    if (gpt_config_validate(config, &err) != GB_OK || be->open(&device, &dev, &err) != GB_OK ||
        gpt_create(&model, config, &options, be, dev, &err) != GB_OK ||
        gpt_init_weights(model, 1, 0, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    be->timers_reset(dev);
    for (int i = 0; i < spec->grad_accumulation_steps; i++) {
        assert_int_equal(gpt_stage_batch(model, tokens, tokens, &err), GB_OK);
        assert_int_equal(gpt_accumulate(model, 1, i == 0, &err), GB_OK);
    }
    assert_int_equal(gpt_update(model, &update, &err), GB_OK);
    int n = be->timers_read(dev, rows, ROWS);
    gpt_destroy(model);
    be->close(dev);
    assert_in_range(n, 1, ROWS);
    return n;
}

/* Every row of the ledger, calls and FLOPs, and nothing besides; the sum is the exact count. */
static void check_against_cpu(const gpt_config *config, const train_spec *spec)
{
    gb_op_time rows[ROWS];
    int n = real_step(config, spec, rows);
    step_trace trace = trace_of(config, spec, true);
    int64_t calls = 0, traced = 0;
    double flops = 0;
    for (int i = 0; i < n; i++) {
        if (rows[i].phase == GB_PHASE_DATA) {
            continue; /* the CPU's copies of tokens; staged, in the trace */
        }
        gb_op_time want = rows[i], got = traced_row(&trace, &want);
        if (got.calls != want.calls || got.flops != want.flops) {
            fail_msg("%s %s layer %d: traced %lld calls, %.17g FLOPs; the CPU did %lld, %.17g",
                     gb_phase_name(want.phase), gb_op_name(want.op), want.layer,
                     (long long)got.calls, got.flops, (long long)want.calls, want.flops);
        }
        calls += want.calls;
        flops += want.flops;
    }
    for (int64_t i = 0; i < trace.n_calls; i++) {
        traced += trace.calls[i].op != GB_OP_DATA;
    }
    assert_int_equal(traced, calls);
    double exact =
        gpt_flops_exact(config, spec->sequence_length) * (double)train_spec_tokens_per_step(spec);
    assert_true(fabs(flops - exact) <= 1e-12 * exact);
    step_trace_clear(&trace);
}

static gpt_config tiny(void)
{
    gpt_config c = gpt_config_default();
    c.vocab_size = 50;
    c.n_layer = 3;
    c.n_head = 4;
    c.n_embd = 24;
    c.mlp_expansion_factor = 3;
    c.n_kv_head = 2;
    c.window_size = 5;
    c.n_latent = 16;
    return c;
}

static void test_cpu_ledger(void **state)
{
    (void)state;
    for (int bits = 0; bits < GPT_ATTENTION_COUNT * 64; bits++) {
        gpt_config c = tiny();
        train_spec s = spec_of(2, 8);
        c.attention_type = bits / 64;
        c.use_swiglu_mlp = bits & 1;
        c.post_norm = bits & 2;
        c.qk_norm = bits & 4;
        s.recompute_activations = bits & 8;
        s.grad_clip = bits & 16 ? 1 : 0;
        s.grad_accumulation_steps = bits & 32 ? 2 : 1;
        check_against_cpu(&c, &s);
    }
}

/* ---- presets ---- */

/* Calls: per layer 9 forward (2 norms, 4 products, rope, attention, activation) and 13 backward (2
 * norms, 8 products, rope, attention, activation); embedding and its gradient, final norm and its
 * gradient, classifier: 5; tokens and targets staged, the optimiser's numbers, adamw, results: 5.
 */
static void test_presets(void **state)
{
    (void)state;
    const char *const *names = gpt_config_preset_names();
    uint64_t hashes[32];
    int n = 0;
    for (int i = 0; names[i]; i++) {
        gpt_config c = config_of(names[i]);
        train_spec s = spec_of(4, 512);
        if (gpt_config_validate(&c, NULL) != GB_OK) {
            assert_string_equal(names[i], "custom_mlp2x");
            continue;
        }
        step_trace trace = trace_of(&c, &s, true);
        assert_int_equal(trace.n_calls, 22 * c.n_layer + 10);
        double flops = 0;
        for (int64_t k = 0; k < trace.n_calls; k++) {
            flops += trace.calls[k].flops;
        }
        double exact = gpt_flops_exact(&c, 512) * 4 * 512;
        assert_true(fabs(flops - exact) <= 1e-12 * exact);
        for (int k = 0; k < n; k++) {
            assert_true(trace.hash != hashes[k]);
        }
        hashes[n++] = trace.hash;
        step_trace_clear(&trace);
    }
    assert_int_equal(n, 14);
}

/* ---- the trace itself ---- */

static void test_window(void **state)
{
    (void)state;
    gpt_config full = config_of("d12"), window = config_of("d12_window");
    train_spec s = spec_of(4, 64);
    uint64_t standard = trace_of(&full, &s, false).hash;
    window.window_size = 64;
    assert_true(trace_of(&window, &s, false).hash == standard);
    window.window_size = 63; /* the last query, 63, still sees key 0 */
    assert_true(trace_of(&window, &s, false).hash == standard);
    window.window_size = 62;
    assert_true(trace_of(&window, &s, false).hash != standard);
}

/* 2 * gelu, with the buffers given by index. */
static uint64_t two_calls(gb_device *dev, char *const buffers[3], const int order[4])
{
    op_trace_begin(dev, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(op_trace_backend.gelu_forward(dev, buffers[order[2 * i]],
                                                       buffers[order[2 * i + 1]], 10),
                         GB_OK);
    }
    assert_int_equal(op_trace_count(dev), 2);
    return op_trace_hash(dev);
}

/* Which buffers are the same counts; where they lie does not. */
static void test_buffers(void **state)
{
    (void)state;
    const gb_options options = {.precision = GB_FP32};
    gb_device *dev = NULL;
    void *at = NULL;
    assert_int_equal(op_trace_backend.open(&options, &dev, NULL), GB_OK);
    assert_int_equal(op_trace_backend.alloc(dev, GB_MEM_WEIGHTS, 4096, &at), GB_OK);
    char *one = at;
    char *const near[3] = {one, one + 64, one + 128}, *const far[3] = {one + 999, one, one + 5};
    uint64_t chain = two_calls(dev, near, (int[]){0, 1, 2, 0});
    assert_true(two_calls(dev, far, (int[]){0, 1, 2, 0}) == chain);
    assert_true(two_calls(dev, near, (int[]){0, 1, 2, 1}) != chain); /* both from the same */
    assert_true(two_calls(dev, near, (int[]){0, 1, 0, 2}) != chain); /* overwritten */
    op_trace_backend.close(dev);
}

/* 1024 layers of width 65536: 220 TB of weights in fp32, which nothing allocates. */
static void test_size(void **state)
{
    (void)state;
    gpt_config c = config_of("d12");
    c.n_layer = 1024;
    c.n_embd = 65536;
    c.n_head = 512;
    train_spec s = spec_of(1024, 4096);
    step_trace trace = trace_of(&c, &s, false);
    assert_int_equal(trace.n_calls, 22 * 1024 + 10);
}

static void test_reads_nothing(void **state)
{
    (void)state;
    gpt_config c = tiny();
    const gb_options device = {.precision = GB_FP32};
    const gpt_options options = {.batch_size = 1, .sequence_length = 4, .training = true};
    gb_device *dev = NULL;
    gpt *model = NULL;
    gb_error err = {0};
    int32_t tokens[4] = {0};
    double loss;
    assert_int_equal(op_trace_backend.open(&device, &dev, &err), GB_OK);
    assert_int_equal(gpt_create(&model, &c, &options, &op_trace_backend, dev, &err), GB_OK);
    assert_int_equal(gpt_loss(model, tokens, tokens, &loss, &err), GB_ERR_INTERNAL);
    assert_string_equal(err.message, "a trace computes nothing that could be read");
    gpt_destroy(model);
    op_trace_backend.close(dev);
}

/* The schedules that train_spec_reduce makes one are equal at every step; others are not. */
static void test_reduced_schedules(void **state)
{
    (void)state;
    train_spec a = spec_of(4, 64);
    a.num_iterations = 9;
    for (int64_t warm = 0; warm <= 4; warm++) {
        for (int64_t down = 0; down <= 4; down++) {
            train_spec b = a, plain = a;
            b.warmup_iters = warm;
            b.warmdown_iters = down;
            plain.warmup_iters = plain.warmdown_iters = 0;
            train_spec reduced = b;
            train_spec_reduce(&reduced);
            bool same = true;
            for (int64_t step = 0; step < 9; step++) {
                double rate = train_spec_learning_rate(&b, step);
                assert_true(rate == train_spec_learning_rate(&reduced, step));
                same = same && rate == train_spec_learning_rate(&plain, step);
            }
            assert_int_equal(same, reduced.warmup_iters == 0 && reduced.warmdown_iters == 0);
        }
    }
}

/* ---- suites ---- */

/* For every key an axis that it has an effect on. */
static const struct {
    const char *key, *values, *others; /* a section of its own before [matrix] */
} axes[] = {
    {"vocab_size", "256, 300", ""},
    {"n_layer", "2, 3", ""},
    {"n_head", "12, 6", ""},
    {"n_embd", "768, 384", ""},
    {"attention_type", "standard, mqa", ""},
    {"n_kv_head", "2, 4", "[model]\nattention_type = gqa\n"},
    {"window_size", "32, 64", "[model]\nattention_type = sliding_window\n"},
    {"n_latent", "384, 192", "[model]\nattention_type = latent\n"},
    {"mlp_expansion_factor", "3, 4", ""},
    {"mlp_hidden_multiple_of", "0, 1000", ""},
    {"use_swiglu_mlp", "false, true", ""},
    {"post_norm", "false, true", ""},
    {"qk_norm", "false, true", ""},
    {"batch_size", "4, 8", ""},
    {"sequence_length", "256, 512", ""},
    {"grad_accumulation_steps", "2, 3", ""},
    {"num_iterations", "500, 501", ""},
    {"val_loss_every", "10, 20", ""},
    {"val_tokens", "4096, 8192", ""},
    {"learning_rate", "0.001, 0.0018", ""},
    {"warmup_iters", "100, 101", ""},
    {"warmdown_iters", "100, 101", ""},
    {"weight_decay", "0.1, 0.2", ""},
    {"grad_clip", "1, 2", ""},
    {"precision", "fp32, bf16", ""},
    {"recompute_activations", "false, true", ""},
    {"seed", "1, 2", ""},
};

static int axis_find(const char *key)
{
    for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++) {
        if (strcmp(axes[i].key, key) == 0) {
            return (int)i;
        }
    }
    fail_msg("no axis for the key %s", key);
    return -1;
}

/* The suite is fine; of a program that reads the key and forgets it, it is refused, and the message
 * names the axis and its line. */
static void check_planted(const char *key)
{
    int a = axis_find(key);
    char text[1024], start[160];
    suite *s = NULL;
    gb_error err = {0};
    bool other = axes[a].others[0] != '\0';
    snprintf(text, sizeof text, OK "%s[matrix]\n%s = %s\n", axes[a].others, key, axes[a].values);
    if (suite_parse(&s, "s.ini", text, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(s->n_axes, 1);
    assert_string_equal(s->axes[0].name, key);
    assert_int_equal(s->axes[0].n_values, 2);
    suite_free(s);
    if (suite_parse_ignoring(&s, "s.ini", text, key, &err) != GB_ERR_USAGE) {
        fail_msg("%s is ignored, and nobody notices", key);
    }
    assert_null(s);
    char values[64];
    snprintf(values, sizeof values, "%s", axes[a].values);
    char *comma = strchr(values, ',');
    *comma = '\0';
    snprintf(start, sizeof start, "s.ini:%d: %s = %s and %s change nothing between cells ",
             other ? 9 : 7, key, values, comma + 2);
    if (strncmp(err.message, start, strlen(start)) != 0) {
        fail_msg("got: %s\nwant: %s", err.message, start);
    }
}

static void test_every_key(void **state)
{
    (void)state;
    for (const gb_key *key = gpt_config_keys(); key->name; key++) {
        check_planted(key->name);
    }
    for (const gb_key *key = train_spec_keys(); key->name; key++) {
        check_planted(key->name);
    }
}

/* The axis that is ignored is found among others, also where the product has holes. */
static void test_ignored_among_others(void **state)
{
    (void)state;
    const char *text =
        OK "[matrix]\nn_layer = 2, 3\nqk_norm = false, true\npost_norm = false, true\n"
           "[exclude]\nn_layer = 2\npost_norm = false\n";
    suite *s = NULL;
    gb_error err = {0};
    assert_int_equal(suite_parse(&s, "s.ini", text, &err), GB_OK);
    assert_int_equal(s->n_cells, 6);
    suite_free(s);
    assert_int_equal(suite_parse_ignoring(&s, "s.ini", text, "qk_norm", &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "s.ini:8: qk_norm = false and true change nothing"));
}

/* Cells of the product that differ in one axis. */
static int neighbours(const suite *s, int a, int b)
{
    int n = 0;
    for (int k = 0; k < s->n_axes; k++) {
        int one = s->places[a * s->n_axes + k], other = s->places[b * s->n_axes + k];
        n += one < 0 || other < 0 ? 2 : one != other;
    }
    return n == 1;
}

static void test_shipped_suites(void **state)
{
    (void)state;
    static const char *const files[] = {"suites/quick.ini", "suites/tiny_text.ini",
                                        "suites/mlp_claims.ini", "suites/expansion_x_width.ini"};
    int pairs = 0;
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        suite *s = NULL;
        gb_error err = {0};
        if (suite_read(&s, files[f], &err) != GB_OK) {
            fail_msg("%s", err.message);
        }
        for (int a = 0; a < s->n_cells; a++) {
            for (int b = a + 1; b < s->n_cells; b++) {
                if (neighbours(s, a, b)) {
                    uint64_t one = trace_of(&s->cells[a].config, &s->cells[a].spec, false).hash;
                    uint64_t other = trace_of(&s->cells[b].config, &s->cells[b].spec, false).hash;
                    assert_true(one != other);
                    pairs++;
                }
            }
        }
        suite_free(s);
    }
    /* quick and tiny_text: one each. expansion_x_width: 9
     * rows (plain, gqa and swiglu, each with e = 2, 3, 4) of 4 widths, the last of 2: along widths
     * 8 * 6 + 1; along e: at each width plain 3, gqa 3, swiglu 3 (1 at the two wide ones);
     * plain-gqa 3 * 4; plain-swiglu 4 + 4 + 2. */
    assert_int_equal(pairs, 1 + 1 + (8 * 6 + 1) + (4 * 3 + 4 * 3 + 2 * 3 + 2 * 1) + 12 + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_ledger),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_reads_nothing),
        cmocka_unit_test(test_reduced_schedules),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_ignored_among_others),
        cmocka_unit_test(test_shipped_suites),
    };
    return cmocka_run_group_tests_name("step_trace", tests, NULL, NULL);
}
