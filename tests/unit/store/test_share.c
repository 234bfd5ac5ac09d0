/* Several runners on one database: two stores of one process play them, since what keeps them apart
 * are locks of the open file and not of the process. And rows that wait while the file is locked.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/run/work_gate.h"
#include "bench/store/store.h"
#include "bench/store/store_share.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        gb_error error_ = {0};                                                                     \
        gb_error *err = &error_;                                                                   \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error_.message);                                             \
        }                                                                                          \
    } while (0)

enum { RUNS = 6 };

/* A runner and what it has planned. */
typedef struct runner {
    store *s;
    int64_t suite_id, config_id;
    store_planned runs[RUNS];
} runner;

static char dir[64], db[96];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptbench-share-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(db, sizeof db, "%s/shared.db", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

/* Plans RUNS replicates of one config, as a suite with the plan `plan` does. */
static gb_status plan_again(runner *r, const char *plan, bool retry, gb_error *err)
{
    const gpt_config model = gpt_config_default();
    const train_spec spec = train_spec_default();
    const store_suite suite = {"s", "s.ini", plan, "c", RUNS, plan};
    const store_config config = {.name = "c",
                                 .model = &model,
                                 .sequence_length = spec.sequence_length,
                                 .settings_json = "{}"};
    GB_TRY(store_plan_begin(r->s, &suite, &r->suite_id, err));
    GB_TRY(store_plan_config(r->s, r->suite_id, &config, &r->config_id, err));
    for (int i = 0; i < RUNS; i++) {
        const store_run run = {.config_id = r->config_id,
                               .replicate = i,
                               .identity = "i",
                               .backend = "cpu",
                               .program_version = "",
                               .program_commit = "",
                               .compiler = "",
                               .spec = &spec};
        GB_TRY(store_plan_run(r->s, r->suite_id, &run, retry, &r->runs[i], err));
    }
    GB_TRY(store_plan_end(r->s, r->suite_id, err));
    GB_TRY(store_runner_begin(r->s, r->suite_id, plan, err));
    return store_commit(r->s, err);
}

static void runner_open(runner *r)
{
    memset(r, 0, sizeof *r);
    OK(store_open(&r->s, db, STORE_WRITE, err));
    OK(plan_again(r, "plan", false, err));
}

/* As the system does with a process that was killed: locks go, nothing is said. */
static void runner_die(runner *r)
{
    store_close(r->s);
    r->s = NULL;
}

static int64_t number_of(runner *r, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(r->s), sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

static bool claim(runner *r, int i)
{
    bool taken = false;
    OK(store_run_claim(r->s, r->runs[i].run_id, &taken, err));
    return taken;
}

static void add_step(runner *r, int i, int64_t step)
{
    train_event event = {.type = TRAIN_EVENT_STEP};
    event.u.step = (train_step){.step = step, .tag = TRAIN_STEP_TIMED, .step_ms = 1};
    OK(store_run_event(r->s, r->runs[i].run_id, &event, err));
}

static void end_as(runner *r, int i, const char *status)
{
    const store_run_result result = {.status = status, .message = "", .energy_j = NAN};
    OK(store_run_end(r->s, r->runs[i].run_id, &result, err));
}

/* ---- claims ---- */

static void test_each_run_is_taken_once(void **state)
{
    (void)state;
    runner a, b;
    runner_open(&a);
    runner_open(&b);
    for (int i = 0; i < RUNS; i++) {
        /* The second knows the runs by the numbers that the first gave them. */
        assert_int_equal(a.runs[i].run_id, b.runs[i].run_id);
        assert_true(a.runs[i].to_do && b.runs[i].to_do);
        runner *first = i % 2 ? &a : &b, *second = i % 2 ? &b : &a;
        assert_true(claim(first, i));
        assert_false(claim(second, i));
        assert_false(claim(first, i));
    }
    assert_int_equal(number_of(&a, "SELECT count(*) FROM run WHERE status = 'running'"), RUNS);
    assert_int_equal(number_of(&a, "SELECT count(DISTINCT runner_id) FROM run"), 2);
    OK(store_run_unclaim(a.s, a.runs[1].run_id, err));
    assert_true(claim(&b, 1));
    store_close(a.s);
    store_close(b.s);
}

static void test_only_the_dead_are_buried(void **state)
{
    (void)state;
    runner a, b, c;
    runner_open(&a);
    runner_open(&b);
    assert_true(claim(&a, 0) && claim(&b, 1));
    add_step(&a, 0, 0);
    add_step(&a, 0, 1);
    OK(store_commit(a.s, err));
    runner_die(&a);
    runner_open(&c);
    /* a's run: interrupted after its two steps, to be done again. b lives: its run is not touched,
     * and not to be retried by whoever retries what failed. */
    assert_int_equal(number_of(&c, "SELECT count(*) FROM run WHERE status = 'interrupted'"
                                   " AND steps_done = 2 AND replicate = 0"),
                     1);
    assert_true(c.runs[0].to_do);
    assert_int_equal(c.runs[0].attempt, 2);
    OK(plan_again(&c, "plan", true, err));
    assert_false(c.runs[1].to_do);
    assert_string_equal(c.runs[1].status, "running");
    assert_int_equal(number_of(&c, "SELECT count(*) FROM run WHERE status = 'running'"), 1);
    store_run_state seen;
    OK(store_run_state_get(c.s, c.config_id, 1, "i", &seen, err));
    assert_string_equal(seen.status, "running");
    assert_int_equal(seen.other_pid, getpid());
    OK(store_run_state_get(b.s, b.config_id, 1, "i", &seen, err)); /* its own */
    assert_int_equal(seen.other_pid, 0);
    runner_die(&b);
    OK(store_run_state_get(c.s, c.config_id, 1, "i", &seen, err));
    assert_int_equal(seen.other_pid, 0);
    store_close(c.s);
}

/* A runner that ended is no runner, whatever others do to the numbers. */
static void test_runners_come_and_go(void **state)
{
    (void)state;
    runner a, b;
    int others;
    runner_open(&a);
    OK(store_runners_count_others(a.s, "s", "plan", &others, err));
    assert_int_equal(others, 0);
    runner_open(&b);
    OK(store_runners_count_others(a.s, "s", "plan", &others, err));
    assert_int_equal(others, 1);
    OK(store_runners_count_others(a.s, "another suite", "plan", &others, err));
    assert_int_equal(others, 0);
    OK(store_runner_end(b.s, err));
    OK(store_runners_count_others(a.s, "s", "plan", &others, err));
    assert_int_equal(others, 0);
    assert_int_equal(number_of(&a, "SELECT count(*) FROM runner WHERE ended_at IS NOT NULL"), 1);
    store_close(a.s);
    store_close(b.s);
}

static void test_another_plan_is_refused(void **state)
{
    (void)state;
    runner a, b = {0};
    gb_error err_ = {0};
    runner_open(&a);
    assert_true(claim(&a, 0));
    OK(store_open(&b.s, db, STORE_WRITE, err));
    assert_int_equal(plan_again(&b, "another plan", false, &err_), GB_ERR_USAGE);
    char pid[64];
    snprintf(pid, sizeof pid, "process %ld is at work on suite s", (long)getpid());
    assert_non_null(strstr(err_.message, pid));
    store_rollback(b.s);
    assert_int_equal(number_of(&a, "SELECT count(*) FROM suite WHERE text = 'plan'"), 1);
    assert_int_equal(number_of(&a, "SELECT count(*) FROM run WHERE in_plan = 1"), RUNS);
    runner_die(&a);
    OK(plan_again(&b, "another plan", false, err));
    store_close(b.s);
}

/* ---- bytes ---- */

static void test_bytes(void **state)
{
    (void)state;
    runner a, b;
    runner_open(&a);
    runner_open(&b);
    assert_true(store_lock_set(a.s, STORE_LOCK_WORK, STORE_SHARED));
    assert_false(store_lock_is_held(a.s, STORE_LOCK_WORK)); /* one's own does not count */
    assert_true(store_lock_is_held(b.s, STORE_LOCK_WORK));
    assert_true(store_lock_set(b.s, STORE_LOCK_WORK, STORE_SHARED));
    assert_false(store_lock_set(b.s, STORE_LOCK_WORK, STORE_ALONE));
    assert_true(store_lock_set(b.s, STORE_LOCK_GATE, STORE_ALONE));
    assert_false(store_lock_set(a.s, STORE_LOCK_GATE, STORE_SHARED));
    store_lock_set(a.s, STORE_LOCK_WORK, STORE_FREE);
    assert_true(store_lock_set(b.s, STORE_LOCK_WORK, STORE_ALONE));
    assert_false(store_lock_set(a.s, STORE_LOCK_WORK, STORE_SHARED));
    runner_die(&b);
    assert_true(store_lock_set(a.s, STORE_LOCK_WORK, STORE_SHARED));
    assert_true(store_lock_set(a.s, STORE_LOCK_GATE, STORE_ALONE));
    store_close(a.s);
}

/* Alone at once: not beside work, nor beside one who waits to be alone, and then without a trace.
 */
static void test_alone_at_once(void **state)
{
    (void)state;
    runner a, b;
    runner_open(&a);
    runner_open(&b);
    assert_true(store_lock_set(a.s, STORE_LOCK_WORK, STORE_SHARED));
    assert_false(work_gate_try_alone(b.s));
    assert_false(store_lock_is_held(a.s, STORE_LOCK_GATE)); /* a can begin more work */
    store_lock_set(a.s, STORE_LOCK_WORK, STORE_FREE);
    assert_true(store_lock_set(a.s, STORE_LOCK_GATE, STORE_ALONE));
    assert_false(work_gate_try_alone(b.s));
    assert_false(store_lock_is_held(a.s, STORE_LOCK_WORK));
    work_gate_leave(a.s);
    assert_true(work_gate_try_alone(b.s));
    assert_false(store_lock_set(a.s, STORE_LOCK_WORK, STORE_SHARED));
    work_gate_leave(b.s);
    assert_true(work_gate_try_alone(a.s));
    store_close(a.s);
    store_close(b.s);
}

/* ---- rows that wait ---- */

static sqlite3 *lock_file(void)
{
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(db, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return other;
}

static void test_rows_wait_for_the_file(void **state)
{
    (void)state;
    runner a;
    runner_open(&a);
    OK(store_run_start(a.s, a.runs[0].run_id, 1, err));
    sqlite3 *other = lock_file();
    store_defer(a.s, true);
    for (int i = 0; i < 2500; i++) { /* some are due by their number, and cannot be written */
        add_step(&a, 0, i);
        OK(store_commit_due(a.s, false, err));
    }
    OK(store_commit_due(a.s, true, err));
    assert_int_equal(number_of(&a, "SELECT count(*) FROM step"), 0);
    sqlite3_close(other);
    end_as(&a, 0, "ok");
    store_defer(a.s, false);
    /* Every value as it was given: NaN as NULL, the text of the tag. */
    assert_int_equal(number_of(&a, "SELECT count(*) FROM step WHERE tag = 'timed'"), 2500);
    assert_int_equal(number_of(&a, "SELECT max(step) FROM step"), 2499);
    assert_int_equal(number_of(&a, "SELECT status = 'ok' AND energy_j IS NULL AND message = ''"
                                   " AND energy_source IS NULL FROM run WHERE replicate = 0"),
                     1);
    store_close(a.s);
}

static void note_take(void *user, const char *text)
{
    snprintf(user, 512, "%s", text);
}

static void test_patience_has_an_end(void **state)
{
    (void)state;
    runner a;
    char note[512] = "";
    gb_error err_ = {0};
    runner_open(&a);
    OK(store_run_start(a.s, a.runs[0].run_id, 1, err));
    store_set_waiting(a.s, &(store_waiting){.limit_ms = 2500, .note = note_take, .user = note});
    sqlite3 *other = lock_file();
    store_defer(a.s, true);
    add_step(&a, 0, 0);
    assert_int_equal(store_commit(a.s, &err_), GB_ERR_IO);
    assert_non_null(strstr(err_.message, "locked by another program"));
    assert_non_null(strstr(err_.message, "the last 1 rows"));
    assert_non_null(strstr(note, "waiting for up to 2 s"));
    /* The user, asking twice, need not wait at all; and the row is still there. */
    const volatile sig_atomic_t twice = 2;
    store_set_waiting(a.s, &(store_waiting){.limit_ms = 3600 * 1000, .stops = &twice});
    assert_int_equal(store_commit(a.s, &err_), GB_ERR_IO);
    sqlite3_close(other);
    OK(store_commit(a.s, err));
    store_defer(a.s, false);
    assert_int_equal(number_of(&a, "SELECT count(*) FROM step"), 1);
    store_close(a.s);
}

/* What cannot be written does not hide what is wrong, and is not written by half. */
static void test_bad_rows_are_no_half_transaction(void **state)
{
    (void)state;
    runner a;
    gb_error err_ = {0};
    runner_open(&a);
    store_defer(a.s, true);
    add_step(&a, 0, 0);
    add_step(&a, 0, 1);
    add_step(&a, 0, 1); /* twice the same */
    assert_int_equal(store_commit(a.s, &err_), GB_ERR_INTERNAL);
    assert_non_null(strstr(err_.message, "UNIQUE"));
    store_defer(a.s, false);
    assert_int_equal(number_of(&a, "SELECT count(*) FROM step"), 0);
    store_close(a.s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_run_is_taken_once),
        TEST(test_only_the_dead_are_buried),
        TEST(test_runners_come_and_go),
        TEST(test_another_plan_is_refused),
        TEST(test_bytes),
        TEST(test_alone_at_once),
        TEST(test_rows_wait_for_the_file),
        TEST(test_patience_has_an_end),
        TEST(test_bad_rows_are_no_half_transaction),
    };
    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
