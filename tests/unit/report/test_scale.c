/* What keeps large suites quick, without looking at a clock: plans of the central queries, which
 * read no table of millions of rows as a whole; the kept sums over steps, held against numbers
 * worked out by hand; commands that read the configs they are asked for alone; figures with a
 * bounded number of configs. `make bench` has the times. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/load.h"
#include "bench/report/figures/figures.h"
#include "bench/stats/disturbance.h"
#include "bench/store/migrations.h"
#include "tests/fakes/fake_db.h"
#include "tests/unit/number_of.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        gb_error error_ = {0};                                                                     \
        gb_error *err = &error_;                                                                   \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error_.message);                                             \
        }                                                                                          \
    } while (0)

static char dir[64], db[96];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptbench-scale-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(db, sizeof db, "%s/s.db", dir);
    return 0;
}

static int remove_dir(void **state)
{
    char command[160];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static store *opened(store_mode mode)
{
    store *s = NULL;
    OK(store_open(&s, db, mode, err));
    return s;
}

/* NAN for NULL and for no row. */
/* ---- plans ---- */

/* A line of the plan that reads a table with rows per step, op or sample from end to end; "" when
 * there is none. */
static void whole_scan(store *s, const char *sql, char *out, size_t size)
{
    static const char *const large[] = {"step",    "eval",   "op_time",
                                        "op_span", "sample", "burst_step"};
    sqlite3_stmt *stmt = NULL;
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    out[0] = '\0';
    if (sqlite3_prepare_v2(store_sqlite(s), explain, -1, &stmt, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sqlite3_errmsg(store_sqlite(s)), sql);
    }
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(stmt, 3);
        for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
            char scan[32];
            size_t n = (size_t)snprintf(scan, sizeof scan, "SCAN %s", large[i]);
            if (strncmp(line, scan, n) == 0 && (line[n] == '\0' || line[n] == ' ')) {
                snprintf(out, size, "%s", line);
            }
        }
    }
    sqlite3_finalize(stmt);
    sqlite3_free(explain);
}

static void test_plans(void **state)
{
    /* What list, show, report, the table at the end of a run and a script ask for. */
    static const char *const queries[] = {
        "SELECT * FROM run_summary ORDER BY suite, replicate, position, attempt",
        "SELECT suite, status FROM run_summary WHERE is_latest = 1",
        "SELECT * FROM run_summary WHERE run_id = 1",
        "SELECT * FROM config_summary",
        "SELECT * FROM run_steps",
        "SELECT * FROM run_steps WHERE run_id = 1",
        "SELECT * FROM run_timing JOIN run USING (run_id) WHERE run_id = 1",
        "SELECT * FROM run_steps_live WHERE run_id = 1",
        "SELECT tag, step_ms FROM step WHERE run_id = 1 ORDER BY step",
        "SELECT arm, step_ms FROM burst_step WHERE timing_id = 1 ORDER BY position"};
    char scan[256];
    (void)state;
    store *s = opened(STORE_WRITE);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        whole_scan(s, queries[i], scan, sizeof scan);
        if (scan[0]) {
            fail_msg("%s: %s", scan, queries[i]);
        }
    }
    /* The check itself: a query that must read every step is seen to. */
    whole_scan(s, "SELECT avg(step_ms) FROM step", scan, sizeof scan);
    assert_string_equal(scan, "SCAN step");
    store_close(s);
}

/* ---- kept sums ---- */

static void step_say(store *s, int64_t run_id, int64_t step, train_step_tag tag, double ms)
{
    train_event event = {.type = TRAIN_EVENT_STEP};
    event.u.step = (train_step){.step = step, .tag = tag, .step_ms = ms, .learning_rate = 1};
    OK(store_run_event(s, run_id, &event, err));
}

static int64_t run_make(store *s)
{
    fake_exec(s, "INSERT INTO suite VALUES (1, 's', '', '', 'c', 1, '', '')");
    fake_exec(s,
              "INSERT INTO config VALUES (1, 1, 'c', 0, 1, 1, 1, 1, 1, 1, 1, 'standard', 1, NULL,"
              " NULL, 4, 4, 0, 0, 0, 1, 1, 1, 1, 1, '{}')");
    fake_exec(s,
              "INSERT INTO run (run_id, config_id, replicate, attempt, identity, in_plan, status,"
              " backend, precision, threads, program_version, program_commit, compiler, seed,"
              " batch_size, sequence_length, grad_accumulation_steps, tokens_per_step,"
              " num_iterations, learning_rate, train_data, val_data, created_at) VALUES (1, 1,"
              " 0, 1, 'i', 1, 'planned', 'cpu', 'fp32', 1, '', '', '', 1, 1, 1, 1, 1, 6, 1, '',"
              " '', '')");
    return 1;
}

/* Timed 10, 20, 40 and 30 ms, the third disturbed: mean 25, median 25, one marked. Profiled 50. */
static void steps_say(store *s, int64_t run_id)
{
    static const unsigned char marks[6] = {0, 0, 0, 16, 0, 0};
    step_say(s, run_id, 0, TRAIN_STEP_WARMUP, 900);
    step_say(s, run_id, 1, TRAIN_STEP_TIMED, 10);
    step_say(s, run_id, 2, TRAIN_STEP_TIMED, 20);
    step_say(s, run_id, 3, TRAIN_STEP_TIMED, 40);
    step_say(s, run_id, 4, TRAIN_STEP_TIMED, 30);
    step_say(s, run_id, 5, TRAIN_STEP_PROFILED, 50);
    OK(store_run_marks(s, run_id, marks, 6, err));
}

static void numbers_check(store *s, double kept)
{
    assert_true(number_of(s, "SELECT count(*) FROM step_summary") == kept);
    assert_true(number_of(s, "SELECT count(*) FROM run_steps") == 1);
    assert_true(number_of(s, "SELECT timed_steps FROM run_summary") == 4);
    assert_true(number_of(s, "SELECT step_avg_ms FROM run_summary") == 25);
    assert_true(number_of(s, "SELECT step_median_ms FROM run_summary") == 25);
    assert_true(number_of(s, "SELECT profiling_overhead FROM run_summary") == 1); /* 50 / 25 - 1 */
    assert_true(number_of(s, "SELECT disturbed_steps FROM run_summary") == 1);
}

static void test_summary(void **state)
{
    const store_run_result result = {.status = "ok", .message = "", .steps_done = 6};
    (void)state;
    store *s = opened(STORE_WRITE);
    int64_t run_id = run_make(s);
    assert_true(isnan(number_of(s, "SELECT timed_steps FROM run_summary"))); /* none yet */
    OK(store_run_start(s, run_id, 1, err));
    steps_say(s, run_id);
    numbers_check(s, 0); /* while it goes on: from the steps */
    OK(store_run_end(s, run_id, &result, err));
    numbers_check(s, 1);
    /* Proof that the kept row is what is read. */
    fake_exec(s, "UPDATE step_summary SET step_avg_ms = 26");
    assert_true(number_of(s, "SELECT step_avg_ms FROM run_summary") == 26);
    OK(store_run_start(s, run_id, 1, err)); /* goes on: nothing stale stays */
    numbers_check(s, 0);
    OK(store_run_end(s, run_id, &result, err));
    fake_exec(s, "DELETE FROM step_summary");
    numbers_check(s, 0);
    store_close(s);
    s = opened(STORE_WRITE); /* whoever opens the file to write fills it */
    numbers_check(s, 1);
    fake_exec(s, "DELETE FROM run");
    assert_true(number_of(s, "SELECT count(*) FROM step_summary") == 0);
    store_close(s);
}

/* A file of version 4, with runs of all kinds, as every reader finds it. */
static void test_migration(void **state)
{
    fake_db fake = {.path = db, .configs = 5, .replicates = 2, .steps = 60, .failures = true};
    (void)state;
    fake_db_make(&fake);
    store *s = opened(STORE_WRITE);
    double average = number_of(s, "SELECT avg(step_ms) FROM step WHERE run_id = 100 AND tag ="
                                  " 'timed'");
    double ended = number_of(s, "SELECT count(*) FROM run WHERE status NOT IN ('planned',"
                                " 'running')");
    assert_true(ended > 5 && average > 0);
    fake_exec(s, "DROP VIEW config_summary; DROP VIEW run_summary; DROP VIEW run_timing;"
                 "DROP VIEW run_steps; DROP VIEW run_steps_live; DROP TABLE step_summary;"
                 "DROP VIEW session_summary; DROP VIEW run_divergence; DROP TABLE session;"
                 "DROP INDEX run_running; DROP TABLE runner; DROP TABLE data_shard;"
                 "DROP TABLE data_overlap; ALTER TABLE "
                 "step DROP COLUMN session;"
                 "ALTER TABLE run DROP COLUMN resumed_from;"
                 "ALTER TABLE run DROP COLUMN resumed_step;"
                 "ALTER TABLE run DROP COLUMN runner_id; ALTER TABLE run DROP COLUMN lr_scale;"
                 "ALTER TABLE run DROP COLUMN process_memory_bytes;"
                 "ALTER TABLE run DROP COLUMN val_tokens;"
                 "ALTER TABLE run DROP COLUMN val_stretch_hash;"
                 "ALTER TABLE gemm_peak DROP COLUMN sustained_flops_per_s;"
                 "DELETE FROM schema_version; INSERT INTO schema_version VALUES (4, '', '')");
    store_close(s);
    s = opened(STORE_READ);
    assert_int_equal(migrations_version(store_sqlite(s)), migrations_newest());
    assert_true(number_of(s, "SELECT count(*) FROM step_summary") == ended);
    assert_true(number_of(s, "SELECT step_avg_ms FROM run_summary WHERE run_id = 100") == average);
    store_close(s);
}

/* ---- marks ---- */

/* Instructions of SQLite's machine so far, in all statements that are kept. */
static int64_t instructions_of(store *s)
{
    int64_t n = 0;
    for (sqlite3_stmt *stmt = NULL; (stmt = sqlite3_next_stmt(store_sqlite(s), stmt)) != NULL;) {
        n += sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 0);
    }
    return n;
}

/* On a machine where every step is disturbed, each is found by its key: a few dozen instructions a
 * step. A scan for each would be some ten instructions for every pair of steps: 100 times the
 * bound.
 */
static void test_marks(void **state)
{
    enum { STEPS = 4000, MOST_PER_STEP = 400 };
    fake_db fake = {.path = db, .configs = 1, .replicates = 1, .steps = STEPS};
    static unsigned char marks[STEPS];
    (void)state;
    fake_db_make(&fake);
    memset(marks, DISTURBANCE_STEAL, sizeof marks);
    store *s = opened(STORE_WRITE);
    OK(store_run_marks(s, 100, marks, STEPS, err));
    assert_in_range(instructions_of(s), STEPS, (int64_t)STEPS * MOST_PER_STEP);
    OK(store_commit(s, err));
    assert_true(number_of(s, "SELECT count(*) FROM step WHERE run_id = 100 AND disturbance ="
                             " 'steal'") == STEPS);
    store_close(s);
}

/* ---- some configs alone ---- */

static void test_some_configs(void **state)
{
    fake_db fake = {.path = db, .configs = 5, .replicates = 2, .steps = 60};
    const char *const wanted[] = {"d12_mlp3x", NULL};
    findings *all = NULL, *some = NULL;
    (void)state;
    fake_db_make(&fake);
    OK(findings_read(&all, db, NULL, err));
    OK(findings_read_configs(&some, db, NULL, wanted, err));
    assert_int_equal(some->facts->n_runs, all->facts->n_runs);
    assert_int_equal(some->n_entries, all->n_entries);
    for (int i = 0; i < all->facts->n_runs; i++) {
        const run_facts *a = &all->facts->runs[i], *b = &some->facts->runs[i];
        const char *name = all->facts->configs[a->config].name;
        /* The baseline, and what was asked for; d12_mlp3x_gqa only begins like it. */
        bool read = strcmp(name, "d12") == 0 || strcmp(name, "d12_mlp3x") == 0;
        assert_int_equal(b->n_steps, read ? a->n_steps : 0);
        assert_int_equal(b->n_evals, read ? a->n_evals : 0);
        assert_int_equal(b->n_ops, read ? a->n_ops : 0);
        assert_true(read ? b->step_avg_ms == a->step_avg_ms : isnan(b->step_avg_ms));
    }
    findings_free(all);
    findings_free(some);
}

/* ---- figures ---- */

static int lines_of(const char *name)
{
    char path[160];
    int n = 0, c;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while ((c = fgetc(f)) != EOF) {
        n += c == '\n';
    }
    fclose(f);
    return n;
}

static findings *suite_of(int configs)
{
    findings *data = NULL;
    fake_db fake = {.path = db, .configs = configs, .replicates = 1, .steps = 40};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 8, false);
    OK(findings_read(&data, db, NULL, err));
    assert_int_equal(data->n_entries, configs);
    return data;
}

static void test_figures_bounded(void **state)
{
    figure_choice choice;
    char path[96];
    int before = -1, fastest = 0, slowest = 0;
    (void)state;
    findings *data = suite_of(40);
    OK(figure_choice_make(&choice, data, err));
    assert_int_equal(choice.drawn.n_entries, FIGURE_ENTRIES_MAX);
    assert_true(choice.drawn.verdicts->n <= FIGURE_ENTRIES_MAX);
    for (int i = 0; i < data->n_entries; i++) {
        double ms = data->entries[i].pace.step_avg_ms.value;
        int slot = figure_choice_slot(&choice, i);
        fastest = ms < data->entries[fastest].pace.step_avg_ms.value ? i : fastest;
        slowest = ms > data->entries[slowest].pace.step_avg_ms.value ? i : slowest;
        if (slot >= 0) { /* in the order of the suite, each once */
            assert_int_equal(slot, before + 1);
            before = slot;
            assert_string_equal(choice.drawn.entries[slot].label, data->entries[i].label);
        }
    }
    assert_int_equal(before, FIGURE_ENTRIES_MAX - 1);
    assert_true(figure_choice_slot(&choice, fastest) >= 0);
    assert_true(figure_choice_slot(&choice, slowest) >= 0);
    for (int i = 0; i < choice.drawn.n_entries; i++) {
        int base = choice.drawn.entries[i].baseline;
        assert_in_range(base, 0, FIGURE_ENTRIES_MAX - 1);
        assert_true(choice.drawn.entries[base].is_baseline);
    }
    for (int i = 0; i < choice.drawn.verdicts->n; i++) {
        const config_verdict *row = &choice.drawn.verdicts->rows[i];
        assert_string_equal(row->label, choice.drawn.entries[row->entry].label);
    }
    snprintf(path, sizeof path, "%s/data", dir);
    assert_int_equal(mkdir(path, 0777), 0);
    OK(figures_write_data(&choice, dir, err));
    assert_int_equal(lines_of("data/entries.tsv"), 1 + FIGURE_ENTRIES_MAX);
    assert_true(lines_of("data/speed_loss.tsv") <= 1 + FIGURE_ENTRIES_MAX);
    assert_int_equal(lines_of("data/clocks_runs.tsv"), 1 + 40); /* the machine's: every run */
    /* One run of 1000 s and 39 of 0.1 s. The figure's 1200 places of 0.837 s hold eight of these
     * each, the last one seven: five strips beside the long run's. */
    for (int i = 0; i < data->facts->n_runs; i++) {
        sensor_facts *sensors = &data->facts->runs[i].sensors;
        sensors->n_samples = 1;
        sensors->samples[0].at_s = 0;
        sensors->end_s = i == 0 ? 1000 : 0.1;
    }
    OK(figures_write_data(&choice, dir, err));
    assert_int_equal(lines_of("data/clocks_runs.tsv"), 1 + 1 + 5);
    figure_choice_free(&choice);
    findings_free(data);
}

static void test_figures_of_few(void **state)
{
    figure_choice choice;
    (void)state;
    findings *data = suite_of(FIGURE_ENTRIES_MAX);
    OK(figure_choice_make(&choice, data, err));
    assert_null(choice.slots);
    assert_ptr_equal(choice.drawn.entries, data->entries);
    figure_choice_free(&choice);
    findings_free(data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        TEST(plans),        TEST(summary),         TEST(migration),     TEST(marks),
        TEST(some_configs), TEST(figures_bounded), TEST(figures_of_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
