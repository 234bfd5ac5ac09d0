/* Checkpoints. A run that goes on from one is held against the same run, never stopped: every loss,
 * norm, weight and moment must have the same bits. The file is held against the format's
 * description (model/checkpoint.h); damaged and foreign ones are made by hand.
 *
 * kinds: plain sanitized emulated first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "model/checkpoint.h"
#include "model/checkpoint_dir.h"
#include "model/trainer.h"
#include "model/warmup.h"
#include "tests/ref/ref_backend.h"

enum { STEPS = 14, PROFILED = 2, MAX_STEPS = 64 };

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    char above[] = "/tmp/gptbench-checkpoint-XXXXXX";
    if (!mkdtemp(above)) {
        return -1;
    }
    snprintf(dir, sizeof dir, "%s/run", above);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %.*s", (int)(strrchr(dir, '/') - dir), dir);
    return system(command);
}

/* ---- runs ---- */

typedef struct record {
    bool has[MAX_STEPS];
    train_step step[MAX_STEPS];
    int evals[MAX_STEPS + 1]; /* how often */
    double val_loss[MAX_STEPS + 1];
    int resumes, checkpoints, notes, optimes;
    train_checkpoint resumed, last;
    char note[512];
    train_end end;
    int64_t stop_after; /* steps done; 0: never */
    bool prune;
} record;

static int record_event(void *user, const train_event *e)
{
    record *r = user;
    if (e->type == TRAIN_EVENT_STEP) {
        assert_in_range(e->u.step.step, 0, MAX_STEPS - 1);
        assert_false(r->has[e->u.step.step]);
        r->has[e->u.step.step] = true;
        r->step[e->u.step.step] = e->u.step;
        return r->stop_after > 0 && e->u.step.step + 1 >= r->stop_after;
    }
    if (e->type == TRAIN_EVENT_EVAL) {
        r->evals[e->u.eval.step]++;
        r->val_loss[e->u.eval.step] = e->u.eval.val_loss;
    } else if (e->type == TRAIN_EVENT_RESUME) {
        r->resumes++;
        r->resumed = e->u.checkpoint;
    } else if (e->type == TRAIN_EVENT_CHECKPOINT) {
        r->checkpoints++;
        r->last = e->u.checkpoint;
        if (r->prune) {
            checkpoint_dir_prune(dir, e->u.checkpoint.step);
        }
    } else if (e->type == TRAIN_EVENT_NOTE) {
        r->notes++;
        snprintf(r->note, sizeof r->note, "%s", e->u.note);
    } else if (e->type == TRAIN_EVENT_OPTIME) {
        r->optimes++;
    } else if (e->type == TRAIN_EVENT_END) {
        r->end = e->u.end;
    }
    return 0;
}

static train_job tiny_job(const gb_backend *backend, gb_precision precision)
{
    train_job job = train_job_default();
    job.backend = backend;
    job.config.vocab_size = 31; /* rows behind the tied matrix are a gap */
    job.config.n_layer = 2;
    job.config.n_head = 2;
    job.config.n_embd = 16;
    job.spec.precision = precision;
    job.spec.batch_size = 2;
    job.spec.sequence_length = 8;
    job.spec.num_iterations = STEPS;
    job.spec.val_loss_every = 4;
    job.spec.val_tokens = 32;
    job.spec.warmup_iters = 3;
    job.spec.warmdown_iters = 5;
    job.spec.learning_rate = 0.01;
    job.spec.grad_clip = 1;
    job.profile_steps = PROFILED;
    job.threads = 2;
    job.replicate = 1;
    strcpy(job.spec.train_data, "synth:vocab=31,seed=3");
    strcpy(job.spec.val_data, "synth:vocab=31,seed=3,stream=1");
    train_spec_resolve(&job.spec);
    return job;
}

static record run_job(const train_job *job, int64_t stop_after, gb_status expected)
{
    record r = {.stop_after = stop_after};
    train_observer observer = {record_event, &r};
    gb_error err = {GB_OK, ""};
    gb_status status = trainer_run(job, &observer, &err);
    if (status != expected) {
        fail_msg("ended %s (%s), expected %s", gb_status_name(status), err.message,
                 gb_status_name(expected));
    }
    return r;
}

static void assert_same_bits(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

/* Steps and validations that `part` did are those of `whole`. */
static void assert_same_results(const record *whole, const record *part)
{
    for (int i = 0; i < STEPS; i++) {
        if (part->has[i]) {
            assert_same_bits(part->step[i].train_loss, whole->step[i].train_loss);
            assert_same_bits(part->step[i].grad_norm, whole->step[i].grad_norm);
            assert_same_bits(part->step[i].learning_rate, whole->step[i].learning_rate);
            assert_same_bits(part->step[i].flops_issued, whole->step[i].flops_issued);
        }
    }
    for (int i = 0; i <= STEPS; i++) {
        if (part->evals[i]) {
            assert_same_bits(part->val_loss[i], whole->val_loss[i]);
        }
    }
}

/* ---- files ---- */

static unsigned char *file_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 20, f);
    assert_in_range(*size, 1, (1 << 20) - 1);
    assert_int_equal(fclose(f), 0);
    return bytes;
}

static void file_write(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static size_t header_size(const unsigned char *bytes)
{
    size_t size = 0;
    for (int i = 7; i >= 0; i--) {
        size = size << 8 | bytes[i];
    }
    return size;
}

/* Puts the checksum that belongs there behind size - 16 bytes. */
static void checksum_mend(unsigned char *bytes, size_t size)
{
    XXH128_canonical_t checksum;
    XXH128_canonicalFromHash(&checksum, XXH3_128bits(bytes, size - 16));
    memcpy(bytes + size - 16, checksum.digest, 16);
}

/* Weights and moments of two checkpoints, byte by byte; their headers may differ. */
static void assert_same_tensors(const char *a_path, const char *b_path)
{
    size_t a_size, b_size;
    unsigned char *a = file_read(a_path, &a_size), *b = file_read(b_path, &b_size);
    size_t a_start = 8 + header_size(a), b_start = 8 + header_size(b);
    assert_int_equal(a_size - a_start, b_size - b_start);
    assert_memory_equal(a + a_start, b + b_start, a_size - a_start - 16);
    free(a);
    free(b);
}

/* ---- bit-equal ---- */

static void resumes_bit_equal(train_job job)
{
    static const int64_t stops[] = {1, 4, 7, 12, 13};
    char whole_weights[128], weights[128], whole_last[192], last[192];
    snprintf(whole_weights, sizeof whole_weights, "%s.whole", dir);
    snprintf(weights, sizeof weights, "%s.weights", dir);
    snprintf(whole_last, sizeof whole_last, "%s.last", dir);
    job.save_weights = whole_weights;
    job.checkpoints = (train_checkpoints){.dir = dir, .identity = "1", .every_steps = 5};
    record whole = run_job(&job, 0, GB_OK);
    assert_int_equal(whole.resumes, 0);
    assert_int_equal(whole.checkpoints, 2); /* after 5 and 10 steps */
    checkpoint_dir_path(last, sizeof last, dir, 10);
    assert_int_equal(rename(last, whole_last), 0);
    checkpoint_dir_remove(dir);

    /* Without checkpoints it is the same run. */
    train_job plain = job;
    plain.checkpoints.dir = NULL;
    record bare = run_job(&plain, 0, GB_OK);
    assert_same_results(&whole, &bare);

    job.save_weights = weights;
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        record first = run_job(&job, stops[i], GB_ERR_INTERRUPTED);
        int64_t done = first.end.steps_done;
        assert_true(done >= stops[i]); /* those that were under way come with it */
        assert_same_results(&whole, &first);
        record second = run_job(&job, 0, GB_OK);
        assert_int_equal(second.resumes, 1);
        assert_int_equal(second.notes, 0);
        /* the profiled steps, 12 and 13, are done in one go: from the checkpoint before them */
        int64_t from = done > STEPS - PROFILED ? 10 : done;
        assert_int_equal(second.resumed.step, from);
        assert_int_equal(second.resumed.session, 2);
        assert_same_results(&whole, &second);
        double time_ms = 0;
        for (int64_t s = 0; s < STEPS; s++) {
            assert_int_equal(second.has[s], s >= from);
            assert_int_equal(second.step[s].session, s >= from ? 2 : 0);
            if (s >= from && s < from + WARMUP_MIN_STEPS && s < STEPS - PROFILED) {
                assert_int_equal(second.step[s].tag, TRAIN_STEP_WARMUP); /* one of its own */
            }
            time_ms += s < from ? first.step[s].step_ms : 0;
        }
        assert_true(second.resumed.train_time_ms == time_ms); /* exact: the same sum */
        for (int64_t s = 0; s <= STEPS; s++) {
            bool wanted = s % 4 == 0 || s == STEPS;
            assert_int_equal(second.evals[s], wanted && s > from);
            assert_int_equal(first.evals[s], wanted && s <= done);
        }
        assert_true(second.optimes > 0);
        assert_int_equal(second.step[STEPS - 1].tag, TRAIN_STEP_PROFILED);
        checkpoint_dir_path(last, sizeof last, dir, 10);
        assert_same_tensors(last, whole_last);
        size_t n, m;
        unsigned char *a = file_read(whole_weights, &n), *b = file_read(weights, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
        checkpoint_dir_remove(dir);
    }
}

static void ref_resumes_bit_equal(void **state)
{
    (void)state;
    resumes_bit_equal(tiny_job(&gb_backend_ref, GB_FP64));
}

static void every_backend_resumes_bit_equal(void **state)
{
    (void)state;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        for (int precision = GB_FP32; precision <= GB_BF16; precision++) {
            if ((*b)->unavailable((gb_precision)precision)) {
                continue;
            }
            for (int64_t accumulate = 1; accumulate <= 3; accumulate += 2) {
                train_job job = tiny_job(*b, (gb_precision)precision);
                job.spec.grad_accumulation_steps = accumulate;
                job.spec.grad_clip = accumulate == 1;
                print_message("%s, %s, %d micro-batches a step\n", (*b)->name,
                              gb_precision_name((gb_precision)precision), (int)accumulate);
                resumes_bit_equal(job);
            }
        }
    }
}

/* Stopped over and over, after each step: each session does one, the last the profiled ones. */
static void many_sessions_are_one_run(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu, GB_BF16);
    record whole = run_job(&job, 0, GB_OK);
    job.checkpoints.dir = dir;
    for (int64_t i = 1; i <= STEPS - PROFILED; i++) {
        record part = run_job(&job, i, GB_ERR_INTERRUPTED);
        assert_int_equal(part.step[i - 1].session, i);
        assert_same_results(&whole, &part);
        assert_non_null(strstr(part.end.message, "a checkpoint at step "));
    }
    record last = run_job(&job, 0, GB_OK);
    assert_int_equal(last.resumed.session, STEPS - PROFILED + 1);
    assert_same_results(&whole, &last);
    assert_same_bits(last.val_loss[STEPS], whole.val_loss[STEPS]);
}

/* ---- when ---- */

static void steps_beside_a_checkpoint_say_so(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu, GB_FP32);
    job.spec.num_iterations = MAX_STEPS;
    job.spec.val_loss_every = 20;
    job.profile_steps = 0;
    job.checkpoints = (train_checkpoints){.dir = dir, .every_steps = 15};
    record r = run_job(&job, 0, GB_OK);
    /* the run is warm after 50 steps at the latest */
    assert_int_equal(r.step[59].tag, TRAIN_STEP_TIMED);
    assert_int_equal(r.step[60].tag, TRAIN_STEP_CHECKPOINT); /* a validation is there too */
    assert_int_equal(r.step[61].tag, TRAIN_STEP_TIMED);
    assert_int_equal(r.evals[60], 1);
    checkpoint_dir_remove(dir);
}

static void by_time_or_by_steps(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu, GB_FP32);
    job.checkpoints = (train_checkpoints){.dir = dir, .every_s = 1e-9};
    record r = run_job(&job, 0, GB_OK);
    /* after every step until the profiled ones begin: a billionth of a second has passed */
    assert_int_equal(r.checkpoints, STEPS - PROFILED);
    assert_int_equal(r.last.step, STEPS - PROFILED);
    job.checkpoints = (train_checkpoints){.dir = dir, .every_s = 1e6};
    checkpoint_dir_remove(dir);
    r = run_job(&job, 0, GB_OK);
    assert_int_equal(r.checkpoints, 0);
    assert_int_equal(access(dir, F_OK), -1); /* nor a folder */
}

/* ---- the folder ---- */

static void the_last_two_are_kept(void **state)
{
    (void)state;
    int64_t *steps;
    int n;
    train_job job = tiny_job(&gb_backend_cpu, GB_FP32);
    job.checkpoints = (train_checkpoints){.dir = dir, .every_steps = 2};
    record r = {.prune = true};
    train_observer observer = {record_event, &r};
    assert_int_equal(trainer_run(&job, &observer, NULL), GB_OK);
    assert_int_equal(r.checkpoints, 6);
    assert_int_equal(checkpoint_dir_list(dir, &steps, &n, NULL), GB_OK);
    assert_int_equal(n, 2);
    assert_int_equal(steps[0], 12);
    assert_int_equal(steps[1], 10);
    free(steps);
    checkpoint_dir_prune(dir, 10); /* what is later is not looked at */
    checkpoint_dir_trim(dir, 11);
    assert_int_equal(checkpoint_dir_list(dir, &steps, &n, NULL), GB_OK);
    assert_int_equal(n, 1);
    assert_int_equal(steps[0], 10);
    free(steps);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"step-1.safetensors", "step-000000000001.safetensors.bak",
                                        "step--00000000001.safetensors", "notes.txt", "x.tmp"};
    static const char *const ours[] = {"step-000000000001.safetensors",
                                       "step-000000000003.safetensors.tmp",
                                       "step-1000000000000.safetensors"};
    char path[192];
    assert_int_equal(checkpoint_dir_make(dir, NULL), GB_OK);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        file_write(path, (const unsigned char *)"x", 1);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, ours[i]);
        file_write(path, (const unsigned char *)"x", 1);
    }
    int64_t *steps;
    int n;
    assert_int_equal(checkpoint_dir_list(dir, &steps, &n, NULL), GB_OK);
    assert_int_equal(n, 2);
    assert_int_equal(steps[0], INT64_C(1000000000000));
    free(steps);
    checkpoint_dir_remove(dir);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, ours[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void a_folder_in_use_is_not_shared(void **state)
{
    (void)state;
    int fd;
    train_job job = tiny_job(&gb_backend_cpu, GB_FP32);
    job.checkpoints = (train_checkpoints){.dir = dir, .every_steps = 5, .every_s = 1e-9};
    assert_int_equal(checkpoint_dir_make(dir, NULL), GB_OK);
    assert_int_equal(checkpoint_dir_lock(dir, &fd, NULL), GB_OK);
    record r = run_job(&job, 0, GB_OK);
    assert_int_equal(r.checkpoints, 0);
    assert_int_equal(r.notes, 1);
    assert_non_null(strstr(r.note, "another process"));
    close(fd);
    job.checkpoints.every_s = 0;
    r = run_job(&job, 0, GB_OK);
    assert_int_equal(r.checkpoints, 2);
}

static void a_checkpoint_that_cannot_be_written_is_a_note(void **state)
{
    (void)state;
    train_job job = tiny_job(&gb_backend_cpu, GB_FP32);
    char above[64];
    snprintf(above, sizeof above, "%.*s", (int)(strrchr(dir, '/') - dir), dir);
    file_write(dir, (const unsigned char *)"x", 1); /* a file stands where the folder should be */
    job.checkpoints = (train_checkpoints){.dir = dir, .every_steps = 5};
    record whole = run_job(&job, 0, GB_OK);
    assert_true(whole.notes >= 1);
    assert_int_equal(whole.checkpoints, 0);
    assert_non_null(strstr(whole.note, dir));
}

/* ---- damage ---- */

/* Two checkpoints, after 5 and 10 steps, of a run that was stopped after 11. */
static record stopped_run(const train_job *job)
{
    record r = run_job(job, 10, GB_ERR_INTERRUPTED);
    assert_int_equal(r.last.step, 10);
    return r;
}

static train_job damage_job(void)
{
    train_job job = tiny_job(&gb_backend_cpu, GB_FP32);
    job.checkpoints = (train_checkpoints){.dir = dir, .identity = "abc", .every_steps = 5};
    return job;
}

static void a_bad_one_falls_back_to_the_one_before(void **state)
{
    (void)state;
    char last[192], before[192];
    size_t size;
    train_job job = damage_job(), plain = damage_job();
    plain.checkpoints.dir = NULL;
    record whole = run_job(&plain, 0, GB_OK);
    stopped_run(&job);
    checkpoint_dir_path(last, sizeof last, dir, 10);
    checkpoint_dir_path(before, sizeof before, dir, 5);
    unsigned char *bytes = file_read(last, &size);
    bytes[size / 2] ^= 1;
    file_write(last, bytes, size);
    record r = run_job(&job, 0, GB_OK);
    assert_int_equal(r.resumed.step, 5);
    assert_int_equal(r.notes, 1);
    assert_non_null(strstr(r.note, "checksum"));
    assert_non_null(strstr(r.note, last));
    assert_same_results(&whole, &r);
    /* and with both bad, to the start */
    file_write(last, bytes, size - 1);
    file_write(before, bytes, 7);
    r = run_job(&job, 0, GB_OK);
    assert_int_equal(r.resumes, 0);
    assert_int_equal(r.notes, 2);
    assert_true(r.has[0]);
    assert_same_results(&whole, &r);
    free(bytes);
}

/* A model as damage_job's, to open its checkpoints with. */
typedef struct bench_model {
    gb_device *dev;
    gpt *model;
} bench_model;

static bench_model model_open(const train_job *job)
{
    bench_model m;
    gb_options device = {
        .threads = 1,
        .shape = gpt_config_shape(&job->config, job->spec.batch_size, job->spec.sequence_length)};
    gpt_options options = {.batch_size = job->spec.batch_size,
                           .sequence_length = job->spec.sequence_length,
                           .training = true};
    assert_int_equal(gb_backend_cpu.open(&device, &m.dev, NULL), GB_OK);
    assert_int_equal(gpt_create(&m.model, &job->config, &options, &gb_backend_cpu, m.dev, NULL),
                     GB_OK);
    assert_int_equal(gpt_init_weights(m.model, 7, 0, NULL), GB_OK);
    return m;
}

static void model_close(bench_model *m)
{
    gpt_destroy(m->model);
    gb_backend_cpu.close(m->dev);
}

static void refused(const bench_model *m, const char *run, const char *path, const char *says)
{
    checkpoint *c;
    gb_error err = {GB_OK, ""};
    gb_status status = checkpoint_open(&c, m->model, run, path, &err);
    assert_null(c);
    assert_int_equal(status, GB_ERR_FORMAT);
    if (!strstr(err.message, says) || !strstr(err.message, path)) {
        fail_msg("'%s' does not say '%s'", err.message, says);
    }
}

static const checkpoint_state some_state = {
    .steps_done = 3, .session = 2, .batch_index = 77, .train_time_ms = 0.1};

static void round_trip(void **state)
{
    (void)state;
    char path[192];
    int64_t bytes;
    struct stat info;
    checkpoint *c;
    train_job job = damage_job();
    bench_model a = model_open(&job), b = model_open(&job);
    checkpoint_dir_path(path, sizeof path, dir, 3);
    assert_int_equal(checkpoint_dir_make(dir, NULL), GB_OK);
    /* bits that a detour through other types would change: NaN with a payload, -0, a denormal */
    static const uint32_t odd[4] = {0x7fa12345, 0x80000000, 0x00000001, 0xff800000};
    assert_int_equal(gpt_write_slab(a.model, GPT_SLAB_V, 5, 4, odd, NULL), GB_OK);
    assert_int_equal(checkpoint_save(a.model, &some_state, "x=1\n", path, &bytes, NULL), GB_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, bytes);
    assert_int_equal(checkpoint_open(&c, b.model, "x=1\n", path, NULL), GB_OK);
    const checkpoint_state *found = checkpoint_get_state(c);
    assert_int_equal(found->steps_done, 3);
    assert_int_equal(found->session, 2);
    assert_int_equal(found->batch_index, 77);
    assert_true(found->train_time_ms == 0.1);
    assert_int_equal(checkpoint_restore(c, b.model, NULL), GB_OK);
    checkpoint_close(c);
    const int64_t n = gpt_get_layout(a.model)->slab_size;
    float *x = malloc((size_t)n * 4), *y = malloc((size_t)n * 4);
    assert_true(x && y);
    for (int slab = 0; slab < GPT_SLABS; slab++) { /* the gaps too */
        assert_int_equal(gpt_read_slab(a.model, (gpt_slab)slab, 0, n, x, NULL), GB_OK);
        assert_int_equal(gpt_read_slab(b.model, (gpt_slab)slab, 0, n, y, NULL), GB_OK);
        assert_memory_equal(x, y, (size_t)n * 4);
    }
    free(x);
    free(y);
    model_close(&a);
    model_close(&b);
}

static void no_cut_and_no_flipped_bit_passes(void **state)
{
    (void)state;
    char path[192], other[192];
    int64_t bytes;
    size_t size;
    train_job job = damage_job();
    job.config.n_layer = 1;
    job.config.n_embd = 8;
    bench_model m = model_open(&job);
    checkpoint *c;
    checkpoint_dir_path(path, sizeof path, dir, 3);
    checkpoint_dir_path(other, sizeof other, dir, 4);
    assert_int_equal(checkpoint_dir_make(dir, NULL), GB_OK);
    assert_int_equal(checkpoint_save(m.model, &some_state, "x=1\n", path, &bytes, NULL), GB_OK);
    unsigned char *good = file_read(path, &size);
    const size_t head = 8 + header_size(good);
    /* cut at every byte up to some way into the data, then here and there, and before the end */
    for (size_t cut = 0; cut < size; cut += cut < head + 64 || cut + 64 > size ? 1 : 97) {
        file_write(other, good, cut);
        refused(&m, "x=1\n", other, cut < 26 ? "too short" : "checksum");
    }
    /* one bit of every byte near the seams and in the header, of every 41st elsewhere */
    for (size_t at = 0; at < size; at += at < head + 64 || at + 64 > size ? 1 : 41) {
        good[at] ^= (unsigned char)(1u << (at % 8));
        file_write(other, good, size);
        refused(&m, "x=1\n", other, "checksum");
        good[at] ^= (unsigned char)(1u << (at % 8));
    }
    file_write(other, good, size);
    assert_int_equal(checkpoint_open(&c, m.model, "x=1\n", other, NULL), GB_OK);
    checkpoint_close(c);
    free(good);
    model_close(&m);
}

static void those_of_another_run_are_refused(void **state)
{
    (void)state;
    char path[192];
    int64_t bytes;
    train_job job = damage_job(), wide = damage_job();
    wide.config.n_embd = 32;
    bench_model m = model_open(&job), w = model_open(&wide);
    checkpoint_dir_path(path, sizeof path, dir, 3);
    assert_int_equal(checkpoint_dir_make(dir, NULL), GB_OK);
    assert_int_equal(
        checkpoint_save(m.model, &some_state, "a=1\nlearning_rate=0.1\nb=2\n", path, &bytes, NULL),
        GB_OK);
    refused(&m, "a=1\nlearning_rate=0.2\nb=2\n", path,
            "'learning_rate=0.1' there, 'learning_rate=0.2' here");
    refused(&m, "a=1\nlearning_rate=0.1\n", path, "'b=2' there, '' here");
    refused(&w, "a=1\nlearning_rate=0.1\nb=2\n", path, "transformer.");
    refused(&m, "", dir, "not a regular file");
    model_close(&m);
    model_close(&w);

    /* the trainer: each of these is another run */
    checkpoint_dir_remove(dir);
    stopped_run(&job);
    train_job others[6];
    for (int i = 0; i < 6; i++) {
        others[i] = job;
    }
    others[0].checkpoints.identity = "abd";
    others[1].spec.learning_rate = 0.02;
    others[2].replicate = 2;
    others[3].threads = 1;
    others[4].config.qk_norm = true;
    strcpy(others[5].spec.train_data, "synth:vocab=31,seed=4");
    static const char *const says[] = {
        "identity=", "learning_rate=", "replicate=", "threads=", "qk_norm=", "train_data_hash="};
    for (int i = 0; i < 6; i++) {
        others[i].checkpoints.every_steps = 0;
        record r = run_job(&others[i], 0, GB_OK);
        assert_int_equal(r.resumes, 0);
        assert_int_equal(r.notes, 2);
        if (!strstr(r.note, says[i])) {
            fail_msg("'%s' does not say '%s'", r.note, says[i]);
        }
    }
}

/* Files whose checksum is right, and nothing else. */
static void hostile_headers_are_refused(void **state)
{
    (void)state;
    char path[192], other[192];
    int64_t bytes;
    size_t size;
    train_job job = damage_job();
    bench_model m = model_open(&job);
    checkpoint_dir_path(path, sizeof path, dir, 3);
    checkpoint_dir_path(other, sizeof other, dir, 4);
    assert_int_equal(checkpoint_dir_make(dir, NULL), GB_OK);
    assert_int_equal(checkpoint_save(m.model, &some_state, "x=1\n", path, &bytes, NULL), GB_OK);
    unsigned char *good = file_read(path, &size), *bad = malloc(size);
    assert_non_null(bad);
    static const uint64_t claims[] = {0,
                                      1,
                                      UINT64_MAX,
                                      (uint64_t)INT64_MAX,
                                      (uint64_t)INT64_MAX + 1,
                                      UINT64_C(1) << 40,
                                      64 << 20,
                                      UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        memcpy(bad, good, size);
        for (int b = 0; b < 8; b++) {
            bad[b] = (unsigned char)(claims[i] >> (8 * b));
        }
        checksum_mend(bad, size);
        file_write(other, bad, size);
        refused(&m, "x=1\n", other, "not a checkpoint");
    }
    /* text of the header and what stands there instead; equal lengths keep the rest in place */
    static const struct {
        const char *from, *to, *says;
    } edits[] = {
        {"\"F32\"", "\"F64\"", "transformer."},
        {"\"F32\"", "\"U32\"", "transformer."},
        {"[31,16]", "[16,31]", "transformer.wte"},
        {"[31,16]", "[-1,16]", "transformer.wte"},
        {"[0,1984]", "[1,1984]", "transformer.wte"},
        {"adamw.m.transformer.wte", "adamw.x.transformer.wte", "adamw.m.transformer.wte"},
        {"\"checksum\"", "\"chacksum\"", "checksum"},
        {"\"steps_done\":\"3\"", "\"steps_done\":\"0\"", "steps_done"},
        {"\"steps_done\":\"3\"", "\"steps_done\":\"-\"", "steps_done"},
        {"\"steps_done\":\"3\"", "\"steps_done\":333", "steps_done"},
        {"\"session\":\"2\"", "\"session\":\"x\"", "session"},
        {"\"batch_index\":\"77\"", "\"batch_index\":\"7-\"", "batch_index"},
        {"\"train_time_ms\":\"0x", "\"train_time_ms\":\"-0", "train_time_ms"},
        {"gptbench checkpoint 1", "gptbench checkpoint 2", "not a 'gptbench checkpoint 1'"},
        {"__metadata__", "__metadatA__", "not a 'gptbench checkpoint 1'"},
        {"{\"__m", "[\"__m", "no JSON object"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        memcpy(bad, good, size);
        char *at = memmem(bad, size, edits[i].from, strlen(edits[i].from));
        if (!at) {
            fail_msg("no %s in the header", edits[i].from);
        }
        size_t length = strlen(edits[i].to);
        assert_true(length <= strlen(edits[i].from));
        memcpy(at, edits[i].to, length);
        memset(at + length, ' ', strlen(edits[i].from) - length);
        checksum_mend(bad, size);
        file_write(other, bad, size);
        refused(&m, "x=1\n", other, edits[i].says);
    }
    /* more data than the header tells of */
    unsigned char *longer = calloc(1, size + 8);
    assert_non_null(longer);
    memcpy(longer, good, size);
    checksum_mend(longer, size + 8);
    file_write(other, longer, size + 8);
    refused(&m, "x=1\n", other, "bytes of data");
    free(longer);
    free(bad);
    free(good);
    model_close(&m);
}

/* A checkpoint under another's name does not make its steps vanish. */
static void a_renamed_one_is_passed_over(void **state)
{
    (void)state;
    char from[192], to[192];
    train_job job = damage_job();
    stopped_run(&job);
    checkpoint_dir_path(from, sizeof from, dir, 5);
    checkpoint_dir_path(to, sizeof to, dir, 11);
    assert_int_equal(rename(from, to), 0);
    record r = run_job(&job, 0, GB_OK);
    assert_int_equal(r.resumed.step, 10);
    assert_int_equal(r.notes, 1);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(round_trip),
        IN_DIR(ref_resumes_bit_equal),
        IN_DIR(every_backend_resumes_bit_equal),
        IN_DIR(many_sessions_are_one_run),
        IN_DIR(steps_beside_a_checkpoint_say_so),
        IN_DIR(by_time_or_by_steps),
        IN_DIR(the_last_two_are_kept),
        IN_DIR(other_files_are_left_alone),
        IN_DIR(a_folder_in_use_is_not_shared),
        IN_DIR(a_checkpoint_that_cannot_be_written_is_a_note),
        IN_DIR(a_bad_one_falls_back_to_the_one_before),
        IN_DIR(no_cut_and_no_flipped_bit_passes),
        IN_DIR(those_of_another_run_are_refused),
        IN_DIR(hostile_headers_are_refused),
        IN_DIR(a_renamed_one_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
