/* The training run: events, tags, data order, accumulation, clipping, replicates, determinism,
 * honest ends. Runs on the float64 reference backend and, where it says so, on the CPU backend.
 *
 * kinds: plain sanitized emulated threads */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "model/flops.h"
#include "model/trainer.h"
#include "tests/ref/ref_backend.h"

enum { MAX_STEPS = 64 };

typedef struct record {
    int starts, steps, evals, ends, optimes;
    train_start start;
    train_step step[MAX_STEPS];
    train_eval eval[MAX_STEPS];
    train_end end;
    double optime_ms, optime_step_ms;
    int64_t optime_steps, optime_calls;
    int eval_optimes;
    int spans, kernels, profiles;
    double kernel_ms, idle_ms, unattributed_ms;
    char note[240];
    double span_ms, span_end_ms;
    double zero_s;  /* of the spans; 0: not told */
    int stop_after; /* steps; 0 = never */
} record;

static int record_event(void *user, const train_event *e)
{
    record *r = user;
    assert_int_equal(r->ends, 0); /* nothing comes after END */
    switch (e->type) {
    case TRAIN_EVENT_START:
        r->start = e->u.start;
        r->starts++;
        break;
    case TRAIN_EVENT_STEP:
        r->step[r->steps++] = e->u.step;
        break;
    case TRAIN_EVENT_EVAL:
        r->eval[r->evals++] = e->u.eval;
        break;
    case TRAIN_EVENT_OPTIME:
        r->optimes++;
        r->optime_calls += e->u.optime.row.calls;
        r->eval_optimes += e->u.optime.row.phase == GB_PHASE_EVAL;
        r->optime_ms += e->u.optime.row.time_ms;
        r->idle_ms += e->u.optime.row.op == GB_OP_IDLE ? e->u.optime.row.time_ms : 0;
        r->unattributed_ms +=
            e->u.optime.row.op == GB_OP_UNATTRIBUTED ? e->u.optime.row.time_ms : 0;
        r->optime_steps = e->u.optime.steps;
        r->optime_step_ms = e->u.optime.step_ms;
        break;
    case TRAIN_EVENT_SPANS_ZERO:
        assert_int_equal(r->spans, 0);
        r->zero_s = e->u.spans_zero_s;
        break;
    case TRAIN_EVENT_SPAN:
        assert_true(e->u.span.begin_ms >= r->span_end_ms - 1e-6); /* one op at a time */
        r->span_ms += e->u.span.end_ms - e->u.span.begin_ms;
        r->span_end_ms = e->u.span.end_ms;
        r->spans++;
        break;
    case TRAIN_EVENT_KERNEL:
        r->kernels++;
        r->kernel_ms += e->u.kernel.time_ms;
        break;
    case TRAIN_EVENT_PROFILE_NOTE:
        snprintf(r->note, sizeof r->note, "%s", e->u.profile_note);
        break;
    case TRAIN_EVENT_PROFILE:
        assert_int_equal(r->optimes, 0);
        r->profiles++;
        break;
    case TRAIN_EVENT_ALIVE: /* on a slow machine */
        break;
    default:
        r->end = e->u.end;
        r->ends++;
    }
    return r->stop_after > 0 && r->steps >= r->stop_after;
}

static train_job tiny_job(const gb_backend *backend)
{
    train_job job = train_job_default();
    job.backend = backend;
    job.config.vocab_size = 32;
    job.config.n_layer = 2;
    job.config.n_head = 2;
    job.config.n_embd = 16;
    job.spec.precision = backend == &gb_backend_ref ? GB_FP64 : GB_FP32;
    job.spec.batch_size = 2;
    job.spec.sequence_length = 8;
    job.spec.num_iterations = 6;
    job.spec.val_loss_every = 3;
    job.spec.val_tokens = 64;
    job.spec.warmup_iters = 2;
    job.spec.warmdown_iters = 2;
    job.spec.learning_rate = 0.01;
    job.profile_steps = 0;
    job.threads = 2;
    strcpy(job.spec.train_data, "synth:vocab=32,seed=3");
    strcpy(job.spec.val_data, "synth:vocab=32,seed=3,stream=1");
    train_spec_resolve(&job.spec);
    return job;
}

static record run_job(const train_job *job, gb_status expected)
{
    record r = {.starts = 0};
    train_observer observer = {record_event, &r};
    gb_error err = {GB_OK, ""};
    gb_status status = trainer_run(job, &observer, &err);
    if (status != expected) {
        fail_msg("ended %s (%s), expected %s", gb_status_name(status), err.message,
                 gb_status_name(expected));
    }
    assert_int_equal(r.ends, 1);
    assert_int_equal(r.end.status, expected);
    return r;
}

static void events_come_in_order_with_their_facts(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_ref);
    record r = run_job(&job, GB_OK);
    assert_int_equal(r.starts, 1);
    assert_int_equal(r.steps, 6);
    assert_int_equal(r.end.steps_done, 6);
    assert_int_equal(r.evals, 3); /* after 0, 3 and 6 steps */
    assert_int_equal(r.eval[1].step, 3);
    assert_int_equal(r.eval[2].step, 6);
    assert_int_equal(r.start.tokens_per_step, 16);
    assert_int_equal(r.start.n_params, gpt_count_params(&job.config));
    for (int i = 0; i < 6; i++) {
        assert_int_equal(r.step[i].step, i);
        assert_true(r.step[i].learning_rate == train_spec_learning_rate(&job.spec, i));
        /* issued GEMMs and attention pairs add up to the exact formula */
        assert_true(fabs(r.step[i].flops_issued - 16 * gpt_flops_exact(&job.config, 8)) < 0.5);
        assert_int_equal(r.step[i].tag, TRAIN_STEP_WARMUP); /* at least the first 10 steps */
    }
    /* Initial logits h . w, with mean square of h 1 and w uniform in +-1/sqrt(C), have variance
     * 1/3: were they normal, the expected loss would be ln V + 1/6. 64 tokens leave a spread of
     * about sqrt(1/3) / 8 = 0.07 on the mean. */
    assert_true(fabs(r.eval[0].val_loss - (log(32) + 1.0 / 6)) < 3 * 0.07);
    assert_true(r.eval[2].val_loss < r.eval[0].val_loss);
}

/* Warm-up has ended after 50 steps at the latest, however the times of these steps vary. */
static void warm_steps_are_timed_but_not_beside_a_validation(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_ref);
    job.spec.num_iterations = 60;
    job.spec.val_loss_every = 7;
    job.profile_steps = 3;
    record r = run_job(&job, GB_OK);
    for (int i = 0; i < 60; i++) {
        bool warm = i > 50, profiled = i >= 57, beside = i % 7 == 0;
        assert_true(i >= 10 || r.step[i].tag == TRAIN_STEP_WARMUP);
        if (warm) {
            assert_int_equal(r.step[i].tag, profiled ? TRAIN_STEP_PROFILED
                                            : beside ? TRAIN_STEP_EVAL
                                                     : TRAIN_STEP_TIMED);
        }
    }
}

/* Two micro-batches of B make the step that one batch of 2B makes: the same tokens, since a batch
 * of 2B takes 2B*T tokens and two of B take B*T each; the loss is the mean over all of them. */
static void accumulation_equals_a_larger_batch(void **state)
{
    (void)state;
    train_job small = tiny_job(&gb_backend_ref), large = small;
    small.spec.grad_accumulation_steps = 2;
    large.spec.batch_size = 4;
    record a = run_job(&small, GB_OK), b = run_job(&large, GB_OK);
    for (int i = 0; i < 6; i++) {
        assert_true(fabs(a.step[i].train_loss - b.step[i].train_loss) < 1e-10);
    }
    assert_true(fabs(a.eval[2].val_loss - b.eval[2].val_loss) < 1e-10);
}

/* A clip far above every norm changes nothing; one far below makes it lr*sign-like smaller. */
static void clipping_acts_only_above_its_norm(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_ref);
    record plain = run_job(&job, GB_OK);
    job.spec.grad_clip = 1e6;
    record loose = run_job(&job, GB_OK);
    job.spec.grad_clip = 1e-9; /* g * scale is then below AdamW's eps: the step shrinks */
    record tight = run_job(&job, GB_OK);
    assert_true(isnan(plain.step[0].grad_norm));
    assert_true(loose.step[0].grad_norm > 0);
    assert_true(plain.eval[2].val_loss == loose.eval[2].val_loss);
    assert_true(fabs(tight.eval[2].val_loss - plain.eval[0].val_loss) <
                fabs(plain.eval[2].val_loss - plain.eval[0].val_loss));
}

static void same_identity_gives_bit_equal_losses(void **state)
{
    (void)state;
    const int64_t precisions[] = {GB_FP32, GB_BF16};
    for (int p = 0; p < 2; p++) {
        train_job job = tiny_job(&gb_backend_cpu);
        job.spec.precision = precisions[p];
        record a = run_job(&job, GB_OK), b = run_job(&job, GB_OK);
        for (int i = 0; i < 6; i++) {
            assert_memory_equal(&a.step[i].train_loss, &b.step[i].train_loss, sizeof(double));
        }
        assert_memory_equal(&a.eval[2].val_loss, &b.eval[2].val_loss, sizeof(double));
    }
}

/* Every switch of the model at once, and attention of each type. */
static void set_switches(train_job *job, gpt_attention attention)
{
    job->config.n_embd = 32;
    job->config.n_head = 4;
    job->config.attention_type = attention;
    job->config.n_kv_head = 2;
    job->config.window_size = 3;
    job->config.n_latent = 16;
    job->config.use_swiglu_mlp = job->config.post_norm = job->config.qk_norm = true;
}

static void compare_with_reference(const gb_backend *backend, gb_precision precision, int attention)
{
    train_job ref = tiny_job(&gb_backend_ref), job = tiny_job(backend);
    if (attention >= 0) {
        set_switches(&ref, (gpt_attention)attention);
        set_switches(&job, (gpt_attention)attention);
    }
    job.spec.precision = precision;
    record a = run_job(&ref, GB_OK), b = run_job(&job, GB_OK), c = run_job(&job, GB_OK);
    for (int i = 0; i < 6; i++) {
        double bound = (precision == GB_BF16 ? 2e-2 : 1e-5) * a.step[i].train_loss;
        if (!(fabs(a.step[i].train_loss - b.step[i].train_loss) < bound)) {
            fail_msg("%s %s, attention %d, step %d: loss %.9g, expected %.9g", backend->name,
                     gb_precision_name(precision), attention, i, b.step[i].train_loss,
                     a.step[i].train_loss);
        }
        assert_true(b.step[i].flops_issued == a.step[i].flops_issued);
        assert_memory_equal(&b.step[i].train_loss, &c.step[i].train_loss, sizeof(double));
    }
}

/* fp32 (1e-5) and bf16 (2e-2) against float64 over six steps of the same model on the same data,
 * and twice the same bits, on every backend that runs here. */
static void backends_follow_the_reference(void **state)
{
    (void)state;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        for (int p = GB_FP32; p <= GB_BF16; p++) {
            if ((*b)->unavailable((gb_precision)p)) {
                continue;
            }
            for (int attention = -1; attention < GPT_ATTENTION_COUNT; attention++) {
                compare_with_reference(*b, (gb_precision)p, attention);
            }
        }
    }
}

/* Seven sequences, whether one, two, three or five make a batch, or more than there are: the same
 * tokens, and the same loss of the same first weights but for the order of sums. */
static void validation_reads_the_same_for_every_batch(void **state)
{
    (void)state;
    const int64_t batches[] = {1, 2, 3, 5, 7, 11};
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        for (int p = GB_FP32; p <= GB_BF16; p++) {
            if ((*b)->unavailable((gb_precision)p)) {
                continue;
            }
            record first = {.starts = 0};
            for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
                train_job job = tiny_job(*b);
                job.spec.precision = p;
                job.spec.batch_size = batches[i];
                job.spec.val_tokens = 7 * 8 + 7; /* rounded down to whole sequences of 8 */
                train_spec_resolve(&job.spec);
                record r = run_job(&job, GB_OK);
                first = i == 0 ? r : first;
                assert_int_equal(r.eval[0].val_tokens, 56);
                assert_string_equal(r.start.val_stretch_hash, first.start.val_stretch_hash);
                double bound = (p == GB_BF16 ? 2e-2 : 1e-5) * first.eval[0].val_loss;
                assert_true(fabs(r.eval[0].val_loss - first.eval[0].val_loss) < bound);
            }
        }
    }
}

static void what_is_validated_by_default_does_not_follow_the_batch(void **state)
{
    (void)state;
    for (int64_t batch = 1; batch <= 1000; batch *= 10) {
        train_spec spec = train_spec_default();
        spec.batch_size = batch;
        train_spec_resolve(&spec);
        assert_int_equal(spec.val_tokens, 80 * 512);
    }
}

/* Replicates differ in weights and data; a config change leaves the data alone. */
static void replicates_are_paired(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_ref);
    record zero = run_job(&job, GB_OK);
    job.replicate = 1;
    record one = run_job(&job, GB_OK);
    assert_true(zero.step[0].train_loss != one.step[0].train_loss);
    assert_string_equal(zero.start.train_data_hash, one.start.train_data_hash);
}

static void an_observer_can_stop_the_run(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_ref);
    record r = {.stop_after = 2};
    train_observer observer = {record_event, &r};
    gb_error err;
    assert_int_equal(trainer_run(&job, &observer, &err), GB_ERR_INTERRUPTED);
    assert_int_equal(r.steps, 2);
    assert_int_equal(r.end.steps_done, 2);
    assert_non_null(strstr(r.end.message, "after 2 of 6 steps"));
}

static void a_diverging_run_ends_as_nan(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu);
    job.spec.learning_rate = 100; /* weights pass 1e38 through decay: 1 - lr*wd = -999 a step */
    job.spec.weight_decay = 10;
    job.spec.num_iterations = 60;
    job.spec.warmup_iters = 0;
    record r = run_job(&job, GB_ERR_NAN);
    assert_non_null(strstr(r.end.message, "not finite"));
    assert_true(r.steps < 60);
}

static void broken_jobs_end_with_a_reason(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_ref);
    job.config.n_head = 3;
    record r = run_job(&job, GB_ERR_USAGE);
    assert_int_equal(r.starts, 0);
    assert_non_null(strstr(r.end.message, "not a multiple of 3 heads"));
    job = tiny_job(&gb_backend_ref);
    strcpy(job.spec.train_data, "/nonexistent/*.bin");
    r = run_job(&job, GB_ERR_USAGE);
    assert_non_null(strstr(r.end.message, "/nonexistent/*.bin"));
    job = tiny_job(&gb_backend_ref);
    job.spec.warmup_iters = 5;
    run_job(&job, GB_ERR_USAGE);
}

/* The ledger's rows, `data` and `unattributed` included, add up to the profiled steps. */
static void the_ledger_adds_up(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu);
    job.profile_steps = 2;
    job.spans = true;
    record r = run_job(&job, GB_OK);
    assert_int_equal(r.optime_steps, 2);
    assert_true(r.optimes > 10);
    assert_true(fabs(r.optime_ms - 2 * r.optime_step_ms) < 1e-6 * r.optime_ms);
    assert_int_equal(r.step[4].tag, TRAIN_STEP_PROFILED);
    assert_int_equal(r.step[5].tag, TRAIN_STEP_PROFILED);
    double steps_ms = r.step[4].step_ms + r.step[5].step_ms;
    /* Spans are of the last step alone, which they cannot outlast. Ops of a step of two layers:
     * batch and numbers 3, embed 1, layers 2 * 9, last norm 1, classifier 1; backward: norm 1,
     * layers 2 * 13, embed 1; update 1. */
    assert_int_equal(r.spans, 3 + 1 + 2 * 9 + 1 + 1 + 1 + 2 * 13 + 1 + 1);
    assert_int_equal(r.profiles, 1);
    assert_true(r.span_ms > 0 && r.span_end_ms <= r.step[5].step_ms);
    assert_true(fabs(steps_ms - 2 * r.optime_step_ms) < 1e-6 * steps_ms);
    /* They lie where the last step does on the clock of steps and samples. */
    assert_true(r.zero_s >= r.step[4].ended_s - 1e-6);
    assert_true(r.zero_s + r.span_end_ms / 1e3 <= r.step[5].ended_s + 1e-6);
}

/* A validation that falls between two profiled steps is done, at its step and with the loss that it
 * has without a profile, and neither rows nor spans have anything of it. */
static void a_validation_among_profiled_steps_is_done_beside_them(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu);
    job.spec.num_iterations = 8;
    job.spec.val_loss_every = 1;
    record plain = run_job(&job, GB_OK);
    job.profile_steps = 4;
    job.spans = true;
    record r = run_job(&job, GB_OK);
    assert_int_equal(r.evals, 9); /* before the first step and after each of the 8 */
    for (int i = 0; i < 9; i++) {
        assert_int_equal(r.eval[i].step, i);
        assert_memory_equal(&r.eval[i].val_loss, &plain.eval[i].val_loss, sizeof(double));
    }
    job.spec.val_loss_every = 8;
    record calm = run_job(&job, GB_OK);
    assert_int_equal(r.optimes, calm.optimes);
    assert_int_equal(r.eval_optimes, 0);
    assert_int_equal(r.spans, calm.spans);
    assert_true(fabs(r.optime_ms - 4 * r.optime_step_ms) < 1e-6 * r.optime_ms);
    assert_true(r.optime_calls == calm.optime_calls);
    for (int i = 0; i < 8; i++) {
        assert_memory_equal(&r.step[i].train_loss, &plain.step[i].train_loss, sizeof(double));
        assert_true(r.step[i].flops_issued == calm.step[i].flops_issued);
    }
}

/* The window opens once as many steps were timed as were asked for, and the run ends with it: 10
 * steps of warm-up at least and 50 at most (model/warmup.h), 4 timed ones, 2 profiled ones. */
static void the_profile_waits_for_timed_steps(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu);
    job.spec.num_iterations = 63;
    job.spec.val_loss_every = 63;
    job.profile_steps = 2;
    job.timed_steps = 4;
    record r = run_job(&job, GB_OK);
    int timed = 0, warm = 0;
    while (r.step[warm].tag == TRAIN_STEP_WARMUP) {
        warm++;
    }
    for (int i = warm; i < r.steps; i++) {
        timed += r.step[i].tag == TRAIN_STEP_TIMED;
    }
    assert_in_range(warm, 10, 50);
    assert_int_equal(timed, 4);
    assert_int_equal(r.steps, warm + 4 + 2);
    assert_int_equal(r.step[r.steps - 2].tag, TRAIN_STEP_PROFILED);
    assert_int_equal(r.step[r.steps - 1].tag, TRAIN_STEP_PROFILED);
    assert_int_equal(r.optime_steps, 2);
    assert_int_equal(r.eval[r.evals - 1].step, r.steps);
}

static const gb_backend *counted; /* behind a backend that counts calls */
static int replays;

static gb_status counting_replay(gb_device *dev, gb_recording *recording)
{
    replays++;
    return counted->replay(dev, recording);
}

/* A backend that sees what its device does profiles the very replays that are timed: every op has
 * its time, nothing is left without an op, and the rest of the step is idle time. */
static void a_profiler_places_everything(void **state)
{
    (void)state;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        if (!(*b)->kernels_read || (*b)->unavailable(GB_FP32)) {
            continue;
        }
        gb_backend counting = **b;
        counted = *b;
        counting.replay = counting_replay;
        train_job job = tiny_job(*b);
        job.backend = &counting;
        job.spec.num_iterations = 8;
        job.spec.grad_clip = 1;
        job.profile_steps = 3;
        job.spans = true;
        replays = 0;
        record r = run_job(&job, GB_OK);
        assert_int_equal(replays, 2 * (8 - 2));
        assert_string_equal(r.note, "");
        assert_true(fabs(r.optime_ms - 3 * r.optime_step_ms) < 1e-6 * r.optime_ms);
        assert_true(r.idle_ms >= 0 && r.unattributed_ms == 0);
        /* Rows of a layer: norm, qkv, rope, attention, attn_out, up, act, down, forward and
         * backward; outside: embed, norm, classifier; norm, embed; grad_norm, adamw; copy; data;
         * idle. */
        assert_int_equal(r.optimes, 2 * (8 + 8) + 3 + 2 + 2 + 1 + 1 + 1);
        assert_true(r.kernels > 10 && r.kernel_ms > 0);
        assert_true(r.spans > 0 && r.span_ms <= r.kernel_ms / 3 * 1.5 + 1);
        assert_true(r.zero_s >= r.step[6].ended_s - 1e-6);
        assert_true(r.zero_s + r.span_end_ms / 1e3 <= r.step[7].ended_s + 1e-6);
        setenv("GPTBENCH_CUPTI", "0", 1);
        r = run_job(&job, GB_OK);
        unsetenv("GPTBENCH_CUPTI");
        assert_non_null(strstr(r.note, "between events"));
        assert_int_equal(r.kernels, 0);
        assert_true(r.zero_s == 0); /* events have no place on the host's clock */
        assert_true(fabs(r.optime_ms - 3 * r.optime_step_ms) < 1e-6 * r.optime_ms);
    }
}

/* ---- the memory plan against what the backend has given out ---- */

static int64_t used_bytes[GB_MEM_GROUPS];

/* At the end of a run the model is gone: its memory is counted when its first part is freed. */
static void counting_free(gb_device *dev, void *ptr)
{
    int64_t now[GB_MEM_GROUPS];
    counted->memory_used(dev, now);
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        used_bytes[group] = now[group] > used_bytes[group] ? now[group] : used_bytes[group];
    }
    counted->free(dev, ptr);
}

static void check_memory_plan(const gb_backend *backend, int precision, bool recompute)
{
    int64_t plan[GB_MEM_GROUPS];
    gb_backend counting = *backend;
    counted = backend;
    counting.free = counting_free;
    train_job job = tiny_job(backend);
    job.backend = &counting;
    set_switches(&job, GPT_ATTENTION_GQA);
    job.spec.precision = precision;
    job.spec.recompute_activations = recompute;
    memset(used_bytes, 0, sizeof used_bytes);
    record r = run_job(&job, GB_OK);
    trainer_plan_memory(&job, plan);
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        assert_int_equal(r.start.memory_plan_bytes[group], plan[group]);
        assert_int_equal(used_bytes[group], plan[group]);
    }
}

static void the_memory_plan_is_what_is_allocated(void **state)
{
    (void)state;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        for (int i = 0; i < 4; i++) {
            if (!(*b)->unavailable((gb_precision)(i / 2))) {
                check_memory_plan(*b, i / 2, i % 2);
            }
        }
    }
}

/* ---- the same step by other ways ---- */

static void expect_same_losses(const train_job *a, const train_job *b)
{
    record x = run_job(a, GB_OK), y = run_job(b, GB_OK);
    assert_int_equal(x.steps, y.steps);
    for (int i = 0; i < x.steps; i++) {
        assert_memory_equal(&x.step[i].train_loss, &y.step[i].train_loss, sizeof(double));
        assert_memory_equal(&x.step[i].grad_norm, &y.step[i].grad_norm, sizeof(double));
    }
    assert_memory_equal(&x.eval[2].val_loss, &y.eval[2].val_loss, sizeof(double));
}

/* The activation is a function of what is kept: computed again it has the same bits. */
static void recomputation_changes_memory_and_nothing_else(void **state)
{
    (void)state;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        for (int i = 0; i < 4; i++) {
            int64_t keeps[GB_MEM_GROUPS], saves[GB_MEM_GROUPS];
            train_job job = tiny_job(*b);
            job.spec.precision = i / 2;
            if ((*b)->unavailable((gb_precision)job.spec.precision)) {
                continue;
            }
            job.config.n_layer = 3;
            job.config.use_swiglu_mlp = i % 2;
            job.spec.grad_accumulation_steps = 2;
            train_job again = job;
            again.spec.recompute_activations = true;
            expect_same_losses(&job, &again);
            trainer_plan_memory(&job, keeps);
            trainer_plan_memory(&again, saves);
            /* All layers but one: (N, F) = (16, 64) act each, rounded up to 128 bytes. */
            int64_t act_bytes = job.spec.precision == GB_BF16 ? 2 : 4;
            assert_int_equal(keeps[GB_MEM_ACTIVATIONS] - saves[GB_MEM_ACTIVATIONS],
                             2 * 16 * 64 * act_bytes);
        }
    }
}

/* A backend that records replays whole steps: with accumulation and clipping, and across
 * validations, the same bits as without. Those that do not have nothing to show. */
static void recorded_steps_are_the_plain_ones(void **state)
{
    (void)state;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        for (int p = GB_FP32; p <= GB_BF16 && strcmp((*b)->name, "cuda") == 0; p++) {
            if ((*b)->unavailable((gb_precision)p)) {
                continue;
            }
            gb_backend counting = **b;
            counted = *b;
            counting.replay = counting_replay;
            train_job job = tiny_job(*b);
            job.backend = &counting;
            job.spec.precision = p;
            job.spec.grad_accumulation_steps = 3;
            job.spec.grad_clip = 0.5;
            job.spec.num_iterations = 12;
            replays = 0;
            setenv("GPTBENCH_CUDA_GRAPHS", "0", 1);
            record plain = run_job(&job, GB_OK);
            unsetenv("GPTBENCH_CUDA_GRAPHS");
            assert_int_equal(replays, 0);
            record replayed = run_job(&job, GB_OK);
            /* first micro-batches, further ones, updates; each but for its two plain runs */
            assert_int_equal(replays, (12 - 2) + (24 - 2) + (12 - 2));
            for (int i = 0; i < 12; i++) {
                assert_memory_equal(&plain.step[i].train_loss, &replayed.step[i].train_loss,
                                    sizeof(double));
                assert_memory_equal(&plain.step[i].grad_norm, &replayed.step[i].grad_norm,
                                    sizeof(double));
                assert_true(plain.step[i].flops_issued == replayed.step[i].flops_issued);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_with_their_facts),
        cmocka_unit_test(warm_steps_are_timed_but_not_beside_a_validation),
        cmocka_unit_test(accumulation_equals_a_larger_batch),
        cmocka_unit_test(clipping_acts_only_above_its_norm),
        cmocka_unit_test(same_identity_gives_bit_equal_losses),
        cmocka_unit_test(backends_follow_the_reference),
        cmocka_unit_test(validation_reads_the_same_for_every_batch),
        cmocka_unit_test(what_is_validated_by_default_does_not_follow_the_batch),
        cmocka_unit_test(replicates_are_paired),
        cmocka_unit_test(an_observer_can_stop_the_run),
        cmocka_unit_test(a_diverging_run_ends_as_nan),
        cmocka_unit_test(broken_jobs_end_with_a_reason),
        cmocka_unit_test(the_ledger_adds_up),
        cmocka_unit_test(a_validation_among_profiled_steps_is_done_beside_them),
        cmocka_unit_test(the_profile_waits_for_timed_steps),
        cmocka_unit_test(a_profiler_places_everything),
        cmocka_unit_test(the_memory_plan_is_what_is_allocated),
        cmocka_unit_test(recomputation_changes_memory_and_nothing_else),
        cmocka_unit_test(recorded_steps_are_the_plain_ones),
    };
    return cmocka_run_group_tests_name("trainer", tests, NULL, NULL);
}
