/* Segments of a run in the database: what an attempt takes over from the one before, what can be
 * continued, when checkpoints go. Expected rows are counted by hand from the rows put in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/run/run_segment.h"
#include "bench/store/store_segment.h"
#include "model/checkpoint_dir.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        gb_error error_ = {0};                                                                     \
        gb_error *err = &error_;                                                                   \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error_.message);                                             \
        }                                                                                          \
    } while (0)

static char above[] = "/tmp/gptbench-segment-XXXXXX";
static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    char *made = mkdtemp(above);
    snprintf(dir, sizeof dir, "%s/run", above);
    return made ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", above);
    return system(command);
}

static int64_t number(store *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

static void text_is(store *s, const char *sql, const char *expected)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), expected);
    sqlite3_finalize(stmt);
}

static int64_t attempt(store *s, double learning_rate)
{
    const gpt_config model = gpt_config_default();
    const train_spec spec = {.batch_size = 1,
                             .sequence_length = 10,
                             .grad_accumulation_steps = 1,
                             .num_iterations = 20,
                             .learning_rate = learning_rate};
    const store_suite suite_row = {"s", "s.ini", "", "c", 1, NULL};
    store_config config = {.name = "c",
                           .model = &model,
                           .sequence_length = spec.sequence_length,
                           .settings_json = "{}"};
    store_run run = {.identity = "i",
                     .backend = "cpu",
                     .program_version = "",
                     .program_commit = "",
                     .compiler = "",
                     .spec = &spec};
    store_planned planned;
    int64_t suite_id;
    OK(store_plan_begin(s, &suite_row, &suite_id, err));
    OK(store_plan_config(s, suite_id, &config, &run.config_id, err));
    OK(store_plan_run(s, suite_id, &run, true, &planned, err));
    assert_true(planned.to_do);
    OK(store_run_start(s, planned.run_id, 1, err));
    return planned.run_id;
}

static void tell(run_segment *r, store *s, const train_event *event)
{
    gb_error why = {0};
    assert_true(run_segment_accepts(r, event, &why));
    OK(run_segment_event(r, s, event, NULL, err));
    OK(store_run_event(s, r->run_id, event, err));
}

/* Steps `from` to `to` - 1, the first two of them warm-up, as segment `segment`. */
static void steps_do(run_segment *r, store *s, int64_t segment, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        train_event event = {.type = TRAIN_EVENT_STEP};
        event.u.step = (train_step){.step = i,
                                    .tag = i < from + 2 ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED,
                                    .train_loss = 5 - 0.1 * (double)i,
                                    .grad_norm = 1,
                                    .step_ms = (double)segment,
                                    .ended_s = 1 + (double)i,
                                    .session = segment};
        tell(r, s, &event);
    }
}

static void eval_do(run_segment *r, store *s, int64_t step)
{
    train_event event = {.type = TRAIN_EVENT_EVAL};
    event.u.eval = (train_eval){step, 4, 10, 1, 1};
    tell(r, s, &event);
}

static void checkpoint_do(run_segment *r, store *s, train_event_type type, int64_t step,
                          int64_t segment)
{
    train_event event = {.type = type};
    event.u.checkpoint = (train_checkpoint){.step = step, .session = segment};
    tell(r, s, &event);
}

/* As a worker leaves it, in name. */
static void file_make(int64_t steps)
{
    char path[128];
    OK(checkpoint_dir_make(dir, err));
    checkpoint_dir_path(path, sizeof path, dir, steps);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static void files_are(const int64_t *expected, int n_expected)
{
    int64_t *steps;
    int n;
    OK(checkpoint_dir_list(dir, &steps, &n, err));
    assert_int_equal(n, n_expected);
    assert_memory_equal(steps, expected, (size_t)n * sizeof *steps);
    free(steps);
}

static void end(run_segment *r, store *s, const char *status, const char *message)
{
    char text[256] = "why";
    store_run_result result = {.status = status, .message = text, .energy_j = 8};
    OK(run_segment_end(r, s, status, text, sizeof text, err));
    assert_string_equal(text, message);
    OK(store_run_end(s, r->run_id, &result, err));
    run_segment_clear(r, status);
}

/* Attempt 1 stops after 8 steps, with checkpoints at 2, 4 and 6; attempt 2 goes on from 6, stops
 * after 10 without another; attempt 3 goes on from 6 again, to the end. */
static void attempts_follow_each_other(void **state)
{
    (void)state;
    store *s = NULL;
    run_segment r;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));

    int64_t first = attempt(s, 1);
    OK(run_segment_begin(&r, s, first, dir, err));
    assert_int_equal(r.resume_from, 0);
    eval_do(&r, s, 0);
    for (int64_t at = 2; at <= 6; at += 2) {
        steps_do(&r, s, 1, at - 2, at);
        eval_do(&r, s, at);
        file_make(at);
        checkpoint_do(&r, s, TRAIN_EVENT_CHECKPOINT, at, 1);
    }
    files_are((const int64_t[]){6, 4}, 2);
    assert_int_equal(number(s, "PRAGMA synchronous"), 1); /* NORMAL again */
    steps_do(&r, s, 1, 6, 8);
    file_make(8); /* written, and never heard of */
    end(&r, s, "killed", "why; a checkpoint at step 6 is kept");
    files_are((const int64_t[]){8, 6, 4}, 3);

    int64_t second = attempt(s, 1);
    OK(run_segment_begin(&r, s, second, dir, err));
    assert_int_equal(r.resume_from, first);
    assert_int_equal(r.resume_step, 6);
    files_are((const int64_t[]){6, 4}, 2); /* what nobody knows of is gone */
    checkpoint_do(&r, s, TRAIN_EVENT_RESUME, 6, 2);
    assert_int_equal(number(s, "SELECT group_concat(step, '') FROM eval WHERE run_id = 2"), 246);
    steps_do(&r, s, 2, 6, 10);
    end(&r, s, "interrupted", "why; a checkpoint at step 6 is kept");
    text_is(s, "SELECT resumed_from || ' ' || resumed_step FROM run WHERE run_id = 2", "1 6");

    int64_t third = attempt(s, 1);
    OK(run_segment_begin(&r, s, third, dir, err));
    assert_int_equal(r.resume_from, second);
    assert_int_equal(r.resume_step, 6);
    checkpoint_do(&r, s, TRAIN_EVENT_RESUME, 6, 2);
    steps_do(&r, s, 2, 6, 20);
    /* warm-up of the first segment: steps 0 and 1 of each call above, all six before 6 */
    assert_int_equal(r.warmup_before, 6);
    unsigned char marks[14] = {0, 4}; /* of this segment's steps: step 7 had steal */
    OK(store_run_marks(s, third, marks, 14, err));
    end(&r, s, "ok", "why");
    assert_int_equal(access(dir, F_OK), -1);

    text_is(s,
            "SELECT group_concat(session || ':' || first_step || '+' || steps || 'w' ||"
            " warmup_steps, ' ') FROM session WHERE run_id = 3",
            "1:0+6w6 2:6+14w2");
    text_is(s, "SELECT count(*) || ' ' || max(step) FROM step WHERE run_id = 3", "20 19");
    text_is(s, "SELECT group_concat(step) FROM step WHERE run_id = 3 AND ended_s IS NULL",
            "0,1,2,3,4,5");
    text_is(s, "SELECT step || disturbance FROM step WHERE run_id = 3 AND disturbance <> ''",
            "7steal");
    assert_int_equal(number(s, "SELECT count(*) FROM step WHERE run_id = 3 AND disturbance = ''"),
                     13);
    /* 12 steps of 2 ms are timed; 8 J over 12 steps of 10 tokens */
    text_is(s,
            "SELECT printf('%g %d %d %d %g', step_avg_ms, timed_steps, sessions, is_latest,"
            " energy_per_token_j * 120) FROM run_summary WHERE run_id = 3",
            "2 12 2 1 8");
    text_is(s,
            "SELECT printf('%d %g', timed_steps, step_avg_ms) FROM session_summary"
            " WHERE run_id = 3 AND session = 2",
            "12 2");
    assert_int_equal(number(s, "SELECT replicates_ok FROM config_summary"), 1);
    store_close(s);
}

/* Energy belongs to the last segment alone, whatever the ones before timed. */
static void energy_is_of_the_last_segment(void **state)
{
    (void)state;
    store *s = NULL;
    run_segment r;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    OK(run_segment_begin(&r, s, attempt(s, 1), dir, err));
    steps_do(&r, s, 1, 0, 8);
    checkpoint_do(&r, s, TRAIN_EVENT_CHECKPOINT, 8, 1);
    end(&r, s, "interrupted", "why; a checkpoint at step 8 is kept");
    OK(run_segment_begin(&r, s, attempt(s, 1), dir, err));
    checkpoint_do(&r, s, TRAIN_EVENT_RESUME, 8, 2);
    steps_do(&r, s, 2, 8, 20);
    end(&r, s, "ok", "why");
    /* timed: 6 of 1 ms, 10 of 2 ms; 8 J over 10 steps of 10 tokens */
    text_is(s,
            "SELECT printf('%g %d %g', step_avg_ms, timed_steps, energy_per_token_j * 100)"
            " FROM run_summary WHERE is_latest",
            "1.625 16 8");
    store_close(s);
}

static void others_are_not_continued(void **state)
{
    (void)state;
    store *s = NULL;
    run_segment r;
    gb_error why = {0};
    train_event resume = {.type = TRAIN_EVENT_RESUME, .u.checkpoint = {.step = 4, .session = 2}};
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    OK(run_segment_begin(&r, s, attempt(s, 1), dir, err));
    assert_false(run_segment_accepts(&r, &resume, &why));
    assert_non_null(strstr(why.message, "step 4"));
    steps_do(&r, s, 1, 0, 4);
    file_make(4);
    checkpoint_do(&r, s, TRAIN_EVENT_CHECKPOINT, 4, 1);
    assert_false(run_segment_accepts(&r, &resume, &why)); /* only as the first word */
    end(&r, s, "failed", "why; a checkpoint at step 4 is kept");

    /* another learning rate under the same identity, as a retry may have */
    OK(run_segment_begin(&r, s, attempt(s, 0.5), NULL, err));
    assert_int_equal(r.resume_from, 0);
    int64_t from, steps;
    OK(store_resume_find(s, r.run_id, &from, &steps, err));
    assert_int_equal(from, 0);
    end(&r, s, "failed", "why");

    int64_t third = attempt(s, 1);
    OK(run_segment_begin(&r, s, third, dir, err));
    assert_int_equal(r.resume_step, 4);
    assert_true(run_segment_accepts(&r, &resume, &why));
    resume.u.checkpoint.step = 5;
    assert_false(run_segment_accepts(&r, &resume, &why));
    /* a loss that is not finite would come again: nothing is kept of it, and it is not continued */
    steps_do(&r, s, 1, 0, 6);
    checkpoint_do(&r, s, TRAIN_EVENT_CHECKPOINT, 6, 1);
    end(&r, s, "nan", "why");
    assert_int_equal(access(dir, F_OK), -1);
    OK(store_resume_find(s, attempt(s, 1), &from, &steps, err));
    assert_int_equal(steps, 4); /* of the first attempt, whose file is gone: then from the start */
    store_close(s);
}

/* Somebody else's lock: nothing is removed under his feet. */
static void a_folder_in_use_is_left_alone(void **state)
{
    (void)state;
    store *s = NULL;
    run_segment r;
    int lock;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    file_make(3);
    OK(checkpoint_dir_lock(dir, &lock, err));
    OK(run_segment_begin(&r, s, attempt(s, 1), dir, err));
    files_are((const int64_t[]){3}, 1);
    end(&r, s, "ok", "why");
    files_are((const int64_t[]){3}, 1);
    close(lock);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_follow_each_other),
        cmocka_unit_test(energy_is_of_the_last_segment),
        cmocka_unit_test(others_are_not_continued),
        cmocka_unit_test(a_folder_in_use_is_left_alone),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
