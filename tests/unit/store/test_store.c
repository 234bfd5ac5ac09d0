/* The results database: schema and views with numbers worked out by hand, files that are not
 * ours, migrations, what a changed suite keeps, readers beside the writer. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/stats/disturbance.h"
#include "bench/store/migrations.h"
#include "bench/store/store.h"
#include "tests/fakes/planted_rows.h"
#include "tests/unit/number_of.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        gb_error error_ = {0};                                                                     \
        gb_error *err = &error_;                                                                   \
        if ((call) != GB_OK) {                                                                     \
            fail_msg("%s: %s", #call, error_.message);                                             \
        }                                                                                          \
    } while (0)

#define assert_near(actual, expected, tolerance) near((actual), (expected), (tolerance), __LINE__)

static void near(double actual, double expected, double tolerance, int line)
{
    if (!(fabs(actual - expected) <= tolerance)) {
        fail_msg("line %d: %.17g is not %.17g", line, actual, expected);
    }
}

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptbench-store-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static char *read_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    *n = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

/* ---- rows ---- */

static void add_step(store *s, int64_t run_id, int64_t step, train_step_tag tag, double step_ms)
{
    train_event event = {.type = TRAIN_EVENT_STEP};
    event.u.step = (train_step){.step = step,
                                .tag = tag,
                                .train_loss = step == 0 ? NAN : 5.0,
                                .grad_norm = 1,
                                .learning_rate = 1e-3,
                                .step_ms = step_ms,
                                .flops_issued = 2e8};
    OK(store_run_event(s, run_id, &event, err));
}

static void add_eval(store *s, int64_t run_id, int64_t step, double loss)
{
    train_event event = {.type = TRAIN_EVENT_EVAL};
    event.u.eval = (train_eval){step, loss, 100, 1.0, 10.0 * (double)step};
    OK(store_run_event(s, run_id, &event, err));
}

static void end_run(store *s, int64_t run_id, const char *status)
{
    store_run_result result = {.status = status, .message = "", .steps_done = 4, .energy_j = NAN};
    OK(store_run_end(s, run_id, &result, err));
}

/* Puts one config with one replicate into the plan and says what is to be done. */
static store_planned plan_one(store *s, const char *name, const char *settings,
                              const char *identity, bool retry, int64_t *config_id)
{
    int64_t suite_id, own;
    store_planned planned;
    store_config config = config_row(name, 0);
    config.settings_json = settings;
    OK(store_plan_begin(s, &SUITE, &suite_id, err));
    OK(store_plan_config(s, suite_id, &config, config_id ? config_id : &own, err));
    store_run run = run_row(config_id ? *config_id : own, 0, identity);
    OK(store_plan_run(s, suite_id, &run, retry, &planned, err));
    OK(store_plan_end(s, suite_id, err));
    OK(store_commit(s, err));
    return planned;
}

static void finish_as(store *s, int64_t run_id, const char *status)
{
    OK(store_run_start(s, run_id, 1, err));
    end_run(s, run_id, status);
}

/* ---- tests ---- */

static void test_views(void **state)
{
    (void)state;
    store *s = NULL;
    int64_t suite_id, config_id, machine_id;
    OK(store_open(&s, in_dir("views/deep/a.db"), STORE_WRITE, err));
    store_machine machine = {.fingerprint = "f", .hostname = "h"};
    store_config config = config_row("base", 0);
    store_planned a, b;
    OK(store_plan_begin(s, &SUITE, &suite_id, err));
    OK(store_machine_put(s, &machine, &machine_id, err));
    OK(store_plan_config(s, suite_id, &config, &config_id, err));
    OK(store_exec(s, err, "UPDATE config SET flops_per_token = 2e6", "")); /* for round numbers */
    store_run run = run_row(config_id, 0, "i0");
    run.machine_id = machine_id;
    OK(store_plan_run(s, suite_id, &run, false, &a, err));
    run.replicate = 1;
    run.identity = "i1";
    OK(store_plan_run(s, suite_id, &run, false, &b, err));
    const store_engine engine = {machine_id, "cpu", "fp32", 2};
    OK(store_peak_put(s, &engine, &(store_peak){1e11, 2e10, 9e10}, err));
    OK(store_plan_end(s, suite_id, err));
    OK(store_commit(s, err));

    OK(store_run_start(s, a.run_id, 1, err));
    /* Timed steps 10, 20, 60 ms: mean 30, median 20; the others are not in it. */
    const double ms[] = {500, 10, 60, 20, 900};
    const train_step_tag tags[] = {TRAIN_STEP_WARMUP, TRAIN_STEP_TIMED, TRAIN_STEP_TIMED,
                                   TRAIN_STEP_TIMED, TRAIN_STEP_PROFILED};
    for (int i = 0; i < 5; i++) {
        add_step(s, a.run_id, i, tags[i], ms[i]);
    }
    add_eval(s, a.run_id, 0, 5.5);
    add_eval(s, a.run_id, 2, 4.0);
    add_eval(s, a.run_id, 4, 4.5);
    /* Ledger of 2 profiled steps of 30 ms: 60 ms, of which 45 are accounted for. */
    train_event op = {.type = TRAIN_EVENT_OPTIME};
    op.u.optime.row = (gb_op_time){GB_PHASE_FORWARD, 1, GB_OP_NORM, 8, 45.0, 1e6, 40.0, 44.0};
    op.u.optime.steps = 2;
    OK(store_run_event(s, a.run_id, &op, err));
    store_run_result result = {.status = "ok",
                               .message = "",
                               .steps_done = 5,
                               .peak_memory_bytes = 1000,
                               .warmup_steps = 1,
                               .profiled_ms = 60,
                               .profiled_steps = 2,
                               .energy_j = NAN};
    OK(store_run_end(s, a.run_id, &result, err));
    /* Two timed steps, 40 and 50 ms: an even count, median 45. */
    OK(store_run_start(s, b.run_id, 1, err));
    add_step(s, b.run_id, 0, TRAIN_STEP_TIMED, 40);
    add_step(s, b.run_id, 1, TRAIN_STEP_TIMED, 50);
    add_eval(s, b.run_id, 2, 3.5);
    end_run(s, b.run_id, "ok");

#define RUN(column, replicate_)                                                                    \
    number_of(s, "SELECT " column " FROM run_summary WHERE replicate = " #replicate_)
    assert_near(RUN("step_avg_ms", 0), 30, 1e-12);
    assert_near(RUN("step_median_ms", 0), 20, 1e-12);
    assert_near(RUN("timed_steps", 0), 3, 0);
    assert_near(RUN("final_val_loss", 0), 4.5, 0);
    assert_near(RUN("best_val_loss", 0), 4.0, 0);
    /* 100 tokens in 30 ms. */
    assert_near(RUN("tokens_per_s", 0), 100 / 0.030, 1e-9);
    /* 2e6 FLOPs/token * 100 tokens / 0.03 s / 1e11 FLOP/s = 1/15. */
    assert_near(RUN("mfu", 0), 1.0 / 15, 1e-12);
    double reached = 0, elsewhere = 1;
    OK(store_rate_reached(s, &engine, &reached, err)); /* the other run's is 1e11 / 22.5 */
    assert_near(reached, 1e11 / 15, 1);
    OK(store_rate_reached(s, &(store_engine){machine_id, "cpu", "fp32", 3}, &elsewhere, err));
    assert_near(elsewhere, 0, 0);
    assert_near(RUN("is_latest", 0), 1, 0);
    assert_near(RUN("step_median_ms", 1), 45, 1e-12);
    /* A loss that is not finite is NULL. */
    assert_true(isnan(number_of(s, "SELECT train_loss FROM step WHERE step = 0 AND run_id = 1")));
    assert_near(number_of(s, "SELECT time_ms FROM op_time WHERE op = 'unattributed'"), 15, 1e-12);
    /* The slowest thread against the mean: 44 to 40 ms; of `unattributed` nobody knows. */
    assert_near(
        number_of(s, "SELECT thread_max_ms / thread_mean_ms FROM op_time WHERE op = 'norm'"), 1.1,
        1e-12);
    assert_true(isnan(number_of(s, "SELECT thread_max_ms FROM op_time WHERE op = 'unattributed'")));
    /* Means over the two runs: (30 + 45) / 2 and (4.5 + 3.5) / 2; the best of both is 3.5. */
    assert_near(number_of(s, "SELECT step_avg_ms FROM config_summary"), 37.5, 1e-12);
    assert_near(number_of(s, "SELECT final_val_loss FROM config_summary"), 4, 1e-12);
    assert_near(number_of(s, "SELECT best_val_loss FROM config_summary"), 3.5, 1e-12);
    assert_near(number_of(s, "SELECT replicates_ok FROM config_summary"), 2, 0);
    assert_near(number_of(s, "SELECT count(*) FROM pragma_foreign_key_check"), 0, 0);
    store_close(s);
}

static void expect_refused(const char *path, store_mode mode, gb_status status, const char *words)
{
    gb_error err = {0};
    store *s = NULL;
    size_t before_n = 0, after_n = 0;
    char *before = read_file(path, &before_n);
    assert_int_equal(store_open(&s, path, mode, &err), status);
    assert_null(s);
    if (!strstr(err.message, words)) {
        fail_msg("message: %s", err.message);
    }
    char *after = read_file(path, &after_n);
    assert_int_equal(before_n, after_n);
    assert_memory_equal(before, after, before_n);
    free(before);
    free(after);
}

static void test_foreign_files_are_refused(void **state)
{
    (void)state;
    static const char text[] = "[suite]\nname = not a database, but long enough to be looked at\n";
    write_file(in_dir("text.db"), text, sizeof text - 1);
    expect_refused(in_dir("text.db"), STORE_WRITE, GB_ERR_FORMAT, "not a SQLite database");
    expect_refused(in_dir("text.db"), STORE_READ, GB_ERR_FORMAT, "not a SQLite database");

    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("other.db"), &db), SQLITE_OK);
    sqlite3_exec(db,
                 "CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version"
                 " VALUES (1);",
                 NULL, NULL, NULL);
    sqlite3_close(db);
    expect_refused(in_dir("other.db"), STORE_WRITE, GB_ERR_FORMAT, "not a database of gptbench");

    gb_error err = {0};
    store *s = NULL;
    assert_int_equal(store_open(&s, in_dir("missing.db"), STORE_READ, &err), GB_ERR_USAGE);
    assert_int_not_equal(access(in_dir("missing.db"), F_OK), 0);
}

/* What is left when the first write ends before its commit: SQLite's header of a WAL database. */
static void test_cut_short_file_is_begun_again(void **state)
{
    (void)state;
    gb_error err = {0};
    store *s = NULL;
    sqlite3 *db = NULL;
    struct stat info;
    assert_int_equal(sqlite3_open(in_dir("short.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(stat(in_dir("short.db"), &info), 0);
    assert_true(info.st_size > 0);
    expect_refused(in_dir("short.db"), STORE_READ, GB_ERR_FORMAT, "not a database of gptbench");
    assert_int_equal(store_open(&s, in_dir("short.db"), STORE_WRITE, &err), GB_OK);
    assert_near(number_of(s, "SELECT max(version) FROM schema_version"), migrations_newest(), 0);
    store_close(s);
}

static void test_newer_version_is_refused(void **state)
{
    (void)state;
    store *s = NULL;
    OK(store_open(&s, in_dir("newer.db"), STORE_WRITE, err));
    OK(store_exec(s, err, "INSERT INTO schema_version VALUES (99, 'now', '9.9')", ""));
    store_close(s);
    expect_refused(in_dir("newer.db"), STORE_WRITE, GB_ERR_FORMAT, "newer gptbench");
    expect_refused(in_dir("newer.db"), STORE_READ, GB_ERR_FORMAT, "schema version 99");
}

static void test_corrupt_file_is_refused(void **state)
{
    (void)state;
    store *s = NULL;
    OK(store_open(&s, in_dir("corrupt.db"), STORE_WRITE, err));
    plan_one(s, "base", "{}", "i", false, NULL);
    store_close(s);
    /* Every page but the first overwritten: the header still says what it is. */
    size_t n;
    char *bytes = read_file(in_dir("corrupt.db"), &n);
    assert_true(n > 8192);
    memset(bytes + 4096, 0xa5, n - 4096);
    write_file(in_dir("corrupt.db"), bytes, n);
    free(bytes);
    expect_refused(in_dir("corrupt.db"), STORE_WRITE, GB_ERR_FORMAT, "corrupt");
    /* Cut in the middle of a page. */
    assert_int_equal(truncate(in_dir("corrupt.db"), 5000), 0);
    expect_refused(in_dir("corrupt.db"), STORE_WRITE, GB_ERR_FORMAT, "corrupt");
}

static void test_migrations(void **state)
{
    (void)state;
    const int NOW = migrations_newest();
    const migration good[] = {
        {NOW + 1, "ALTER TABLE run ADD COLUMN note TEXT; UPDATE run SET note = 'old';"},
        {NOW + 2, "CREATE TABLE extra (a INTEGER) STRICT;"},
        {0, NULL}};
    const migration bad[] = {{NOW + 3, "CREATE TABLE half (a INTEGER) STRICT;"},
                             {NOW + 4, "CREATE TABLE extra (a INTEGER) STRICT;"}, /* is there */
                             {0, NULL}};
    char failing[64];
    store *s = NULL;
    gb_error err_bad = {0};
    OK(store_open(&s, in_dir("migrate.db"), STORE_WRITE, err));
    plan_one(s, "base", "{}", "i", false, NULL);
    assert_int_equal(migrations_version(store_sqlite(s)), migrations_newest());
    OK(migrations_apply(store_sqlite(s), good, NULL, err));
    assert_int_equal(migrations_version(store_sqlite(s)), NOW + 2);
    assert_near(number_of(s, "SELECT count(*) FROM run WHERE note = 'old'"), 1, 0);
    OK(migrations_apply(store_sqlite(s), good, NULL, err)); /* nothing left to do */
    assert_near(number_of(s, "SELECT count(*) FROM schema_version"), 3, 0);
    /* The second fails: the first is undone with it. */
    assert_int_equal(migrations_apply(store_sqlite(s), bad, NULL, &err_bad), GB_ERR_FORMAT);
    snprintf(failing, sizeof failing, "from schema version %d to %d", NOW + 2, NOW + 4);
    assert_non_null(strstr(err_bad.message, failing));
    assert_int_equal(migrations_version(store_sqlite(s)), NOW + 2);
    assert_near(number_of(s, "SELECT count(*) FROM sqlite_master WHERE name = 'half'"), 0, 0);
    store_close(s);
}

/* The first column of the first row; freed by the caller. */
static char *text_of(store *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    assert_non_null(text);
    return text;
}

/* Names, types, order of all columns of all tables and views, and the text of the views. */
static char *schema_of(const char *path)
{
    store *s = NULL;
    OK(store_open(&s, path, STORE_READ, err));
    char *text = text_of(
        s, "SELECT group_concat(m.name || '.' || p.cid || '.' || p.name || '.' || p.type || "
           "'.' || p.\"notnull\" || '.' || p.pk, x'0a') FROM (SELECT * FROM sqlite_master "
           "WHERE type IN ('table', 'view') ORDER BY name) m, pragma_table_info(m.name) p");
    store_close(s);
    return text;
}

/* A file of version 1, made by the schema of then, becomes what a new file is. */
static void test_old_file_becomes_a_new_one(void **state)
{
    (void)state;
    size_t n;
    char *schema = read_file("tests/fixtures/store/schema_v1.sql", &n);
    schema[n] = 0;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("old.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO schema_version VALUES (1, 'then', '0.1.0')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    free(schema);
    store *s = NULL;
    OK(store_open(&s, in_dir("new.db"), STORE_WRITE, err));
    store_close(s);
    char *old_file = schema_of(in_dir("old.db")), *new_file = schema_of(in_dir("new.db"));
    assert_non_null(strstr(new_file, "run_summary.0.suite"));
    assert_string_equal(old_file, new_file);
    free(old_file);
    free(new_file);
}

/* What an old file holds stays, what nobody looked at then is not known, and views that somebody
 * has added to it go on working. */
static void test_data_of_an_old_file(void **state)
{
    (void)state;
    size_t n;
    store *s = NULL;
    sqlite3 *db = NULL;
    char *schema = read_file("tests/fixtures/store/schema_v1.sql", &n);
    schema[n] = '\0';
    assert_int_equal(sqlite3_open(in_dir("v1.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema, NULL, NULL, NULL), SQLITE_OK);
    free(schema);
    assert_int_equal(
        sqlite3_exec(
            db,
            "INSERT INTO schema_version VALUES (1, '2026', '0.1.0');"
            "INSERT INTO suite VALUES (1, 's', 's.ini', '', 'a', 1, '2026', '2026');"
            "INSERT INTO config VALUES (1, 1, 'a', 0, 1, 1, 64, 1, 2, 32, 16, 'standard', 2, NULL,"
            " NULL, 4, 128, 0, 0, 0, 1000, 6000, 6000, 6000, 6000, '{}');"
            "INSERT INTO run VALUES (1, 1, 0, 1, 'i', 1, 'ok', '', 'cpu', 'fp32', 2, NULL, NULL,"
            " NULL, NULL, '0.1.0', 'c', 'gcc', 1, 1, 8, 1, 8, 1, 1, 0.1, 't', 'v', NULL, NULL,"
            " NULL, NULL, NULL, 0, NULL, '2026', '2026', '2026');"
            "INSERT INTO step VALUES (1, 0, 'timed', 5.5, 1, 0.1, 12.5, 1e6);"
            "INSERT INTO machine VALUES (1, 'f', 'h', 'o', 'c', 2, 1, 'd', '');"
            "INSERT INTO gemm_peak VALUES (1, 'cpu', 'fp32', 2, 1e11, '2026');"
            "INSERT INTO op_time VALUES (1, 'forward', 0, 'norm', 3, 3, 1.5, 0);"
            "CREATE VIEW mine AS SELECT config, step_avg_ms FROM run_summary;",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    OK(store_open(&s, in_dir("v1.db"), STORE_READ, err)); /* readers bring it up to date too */
    assert_int_equal(migrations_version(store_sqlite(s)), migrations_newest());
    assert_near(number_of(s, "SELECT step_avg_ms FROM run_summary"), 12.5, 0);
    assert_near(number_of(s, "SELECT step_avg_ms FROM mine WHERE config = 'a'"), 12.5, 0);
    /* Nobody looked then: not known, and not zero. */
    assert_true(isnan(number_of(s, "SELECT energy_per_token_j FROM config_summary")));
    assert_true(isnan(number_of(s, "SELECT disturbed_steps FROM run_summary")));
    assert_near(number_of(s, "SELECT count(*) FROM step WHERE ended_s IS NULL"
                             " AND disturbance IS NULL"),
                1, 0);
    assert_near(number_of(s, "SELECT count(*) FROM sample"), 0, 0);
    assert_near(number_of(s, "SELECT time_ms FROM op_time WHERE thread_mean_ms IS NULL"
                             " AND thread_max_ms IS NULL"),
                1.5, 0);
    store_peak peak;
    const store_engine fp32 = {1, "cpu", "fp32", 2}, bf16 = {1, "cpu", "bf16", 2};
    OK(store_peak_get(s, &fp32, &peak, err));
    assert_near(peak.flops_per_s, 1e11, 0);
    assert_near(peak.copy_bytes_per_s, 0, 0);
    assert_near(peak.sustained_flops_per_s, 0, 0);
    store_close(s);
    /* What was not measured then comes beside it; the best of each rate stays. */
    OK(store_open(&s, in_dir("v1.db"), STORE_WRITE, err));
    OK(store_peak_put(s, &fp32, &(store_peak){0.5e11, 3e10, 4e10}, err));
    OK(store_peak_get(s, &fp32, &peak, err));
    assert_near(peak.flops_per_s, 1e11, 0);
    assert_near(peak.sustained_flops_per_s, 4e10, 0); /* the first that was told */
    assert_near(peak.copy_bytes_per_s, 3e10, 0);
    OK(store_peak_put(s, &fp32, &(store_peak){4e11, 2e10, 3e11}, err));
    OK(store_peak_put(s, &fp32, &(store_peak){2e11, 0, 1e11}, err));
    OK(store_peak_put(s, &bf16, &(store_peak){0, 5e10, 0}, err));
    OK(store_peak_get(s, &fp32, &peak, err));
    assert_near(peak.flops_per_s, 4e11, 0);
    assert_near(peak.sustained_flops_per_s, 3e11, 0);
    assert_near(peak.copy_bytes_per_s, 3e10, 0);
    assert_near(number_of(s, "SELECT count(*) FROM gemm_peak"), 1, 0);
    store_close(s);
}

/* What the sensors say, on its way through the store into the views. */
static void test_samples_and_marks(void **state)
{
    (void)state;
    store *s = NULL;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    store_planned planned = plan_one(s, "base", "{}", "i", false, NULL);
    OK(store_run_start(s, planned.run_id, 1, err));
    for (int i = 0; i < 5; i++) {
        add_step(s, planned.run_id, i, i < 1 ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED, 10);
    }
    gb_sample sample = gb_sample_missing();
    sample.monotonic_s = 0.5;
    OK(store_sample(s, planned.run_id, &sample, err));
    sample.monotonic_s = 0.75;
    sample.gpu_throttle = GB_THROTTLE_SW_POWER_CAP | GB_THROTTLE_HW_THERMAL;
    sample.gpu_clock_mhz = 1980;
    sample.cpu_energy_j = 3.5;
    OK(store_sample(s, planned.run_id, &sample, err));
    const unsigned char marks[] = {1, 0, 6, DISTURBANCE_UNKNOWN, 1};
    OK(store_run_marks(s, planned.run_id, marks, 5, err));
    store_run_result result = {.status = "ok",
                               .message = "",
                               .steps_done = 5,
                               .energy_j = 20,
                               .energy_source = "gpu_counter",
                               .sensors_missing = "cpu_clock: why"};
    OK(store_run_end(s, planned.run_id, &result, err));
    assert_near(number_of(s, "SELECT count(*) FROM sample WHERE at_s = 0.5 AND gpu_throttle IS NULL"
                             " AND gpu_clock_mhz IS NULL AND cpu_energy_j IS NULL"),
                1, 0);
    assert_near(number_of(s,
                          "SELECT count(*) FROM sample WHERE at_s = 0.75 AND gpu_clock_mhz = 1980"
                          " AND gpu_throttle = 'sw_power_cap,hw_thermal'"
                          " AND cpu_energy_j = 3.5"),
                1, 0);
    assert_near(number_of(s, "SELECT group_concat(coalesce(disturbance, 'NULL'), ';')"
                             " = 'throttled;;clock_drop,steal;NULL;throttled' FROM step"),
                1, 0);
    /* Timed steps 2 and 4; 20 J over four timed steps of 100 tokens. */
    assert_near(number_of(s, "SELECT disturbed_steps FROM run_summary"), 2, 0);
    assert_near(number_of(s, "SELECT energy_per_token_j FROM run_summary"), 0.05, 1e-15);
    assert_near(number_of(s, "SELECT energy_per_token_j FROM config_summary"), 0.05, 1e-15);
    assert_near(number_of(s, "SELECT count(*) FROM run WHERE energy_source = 'gpu_counter'"
                             " AND sensors_missing = 'cpu_clock: why'"),
                1, 0);
    store_close(s);
}

static void test_what_is_done_again(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        bool retry, to_do;
    } cases[] = {{"ok", false, false},     {"ok", true, false},         {"nan", false, false},
                 {"nan", true, true},      {"oom", false, false},       {"oom", true, true},
                 {"failed", false, false}, {"failed", true, true},      {"killed", false, false},
                 {"killed", true, true},   {"interrupted", false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        store *s = NULL;
        OK(store_open(&s, ":memory:", STORE_WRITE, err));
        store_planned first = plan_one(s, "base", "{}", "i", false, NULL);
        assert_true(first.to_do);
        assert_int_equal(first.attempt, 1);
        finish_as(s, first.run_id, cases[i].status);
        store_planned second = plan_one(s, "base", "{}", "i", cases[i].retry, NULL);
        assert_int_equal(second.to_do, cases[i].to_do);
        assert_int_equal(second.attempt, cases[i].to_do ? 2 : 1);
        /* The old attempt stays as it was. */
        assert_near(number_of(s, "SELECT count(*) FROM run WHERE attempt = 1"), 1, 0);
        assert_near(number_of(s, "SELECT count(*) FROM run"), cases[i].to_do ? 2 : 1, 0);
        store_close(s);
    }
}

static void test_dead_runs_become_interrupted(void **state)
{
    (void)state;
    store *s = NULL;
    OK(store_open(&s, in_dir("dead.db"), STORE_WRITE, err));
    store_planned first = plan_one(s, "base", "{}", "i", false, NULL);
    OK(store_run_start(s, first.run_id, 1, err));
    add_step(s, first.run_id, 0, TRAIN_STEP_WARMUP, 1);
    store_close(s);
    OK(store_open(&s, in_dir("dead.db"), STORE_WRITE, err));
    store_planned second = plan_one(s, "base", "{}", "i", false, NULL);
    assert_true(second.to_do);
    assert_int_equal(second.attempt, 2);
    assert_near(
        number_of(s, "SELECT count(*) FROM run WHERE status = 'interrupted' AND attempt = 1"), 1,
        0);
    assert_near(number_of(s, "SELECT count(*) FROM step"), 1, 0);
    /* Planned, never started, planned again: still one row of that attempt. */
    store_planned third = plan_one(s, "base", "{}", "i", false, NULL);
    assert_int_equal(third.attempt, 2);
    assert_near(number_of(s, "SELECT count(*) FROM run"), 2, 0);
    store_close(s);
}

static void test_changed_suite(void **state)
{
    (void)state;
    store *s = NULL;
    int64_t first_config, second_config, third_config;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    store_planned first = plan_one(s, "base", "{\"a\":1}", "i1", false, &first_config);
    finish_as(s, first.run_id, "ok");
    /* Other settings under the same name: a new row, the old run out of the plan but there. */
    store_planned second = plan_one(s, "base", "{\"a\":2}", "i2", false, &second_config);
    assert_true(second.to_do);
    assert_int_not_equal(first_config, second_config);
    assert_near(number_of(s, "SELECT count(*) FROM run WHERE status = 'ok'"), 1, 0);
    assert_near(number_of(s, "SELECT count(*) FROM run_summary WHERE status = 'ok'"), 0, 0);
    /* And back: the old run counts again, the planned one has left no trace. */
    store_planned back = plan_one(s, "base", "{\"a\":1}", "i1", false, &third_config);
    assert_false(back.to_do);
    assert_int_equal(third_config, first_config);
    assert_near(number_of(s, "SELECT count(*) FROM run"), 1, 0);
    /* Renamed: the cell takes its finished run along. */
    store_planned renamed = plan_one(s, "other", "{\"a\":1}", "i1", false, NULL);
    assert_false(renamed.to_do);
    assert_int_equal(renamed.run_id, first.run_id);
    assert_near(
        number_of(s, "SELECT count(*) FROM run_summary WHERE config = 'other' AND status = 'ok'"),
        1, 0);
    /* Other data, same settings: out of the plan. */
    store_planned data = plan_one(s, "other", "{\"a\":1}", "i3", false, NULL);
    assert_true(data.to_do);
    assert_near(number_of(s, "SELECT in_plan FROM run WHERE status = 'ok'"), 0, 0);
    store_close(s);
}

/* The same settings under two names are two runs: an A/A pair must not share one. */
static void test_aa_pair(void **state)
{
    (void)state;
    store *s = NULL;
    OK(store_open(&s, ":memory:", STORE_WRITE, err));
    for (int round = 0; round < 2; round++) {
        int64_t suite_id, a_id, b_id;
        store_planned a, b;
        store_config a_row = config_row("a", 0), b_row = config_row("b", 1);
        OK(store_plan_begin(s, &SUITE, &suite_id, err));
        OK(store_plan_config(s, suite_id, &a_row, &a_id, err));
        OK(store_plan_config(s, suite_id, &b_row, &b_id, err));
        store_run a_run = run_row(a_id, 0, "same"), b_run = run_row(b_id, 0, "same");
        OK(store_plan_run(s, suite_id, &a_run, false, &a, err));
        OK(store_plan_run(s, suite_id, &b_run, false, &b, err));
        OK(store_plan_end(s, suite_id, err));
        OK(store_commit(s, err));
        assert_int_not_equal(a.run_id, b.run_id);
        assert_int_equal(a.to_do, round == 0);
        assert_true(b.to_do);
        if (round == 0) {
            finish_as(s, a.run_id, "ok");
        }
    }
    store_close(s);
}

static void test_readers_beside_a_writer(void **state)
{
    (void)state;
    store *writer = NULL, *reader = NULL;
    OK(store_open(&writer, in_dir("rw.db"), STORE_WRITE, err));
    store_planned planned = plan_one(writer, "base", "{}", "i", false, NULL);
    OK(store_run_start(writer, planned.run_id, 1, err));
    OK(store_open(&reader, in_dir("rw.db"), STORE_READ, err));
    add_step(writer, planned.run_id, 0, TRAIN_STEP_TIMED, 1);
    /* Not committed: readers see what was there before, and are not held up. */
    assert_near(number_of(reader, "SELECT count(*) FROM step"), 0, 0);
    OK(store_commit_due(writer, true, err));
    assert_near(number_of(reader, "SELECT count(*) FROM step"), 1, 0);
    assert_int_not_equal(sqlite3_exec(store_sqlite(reader), "DELETE FROM step", NULL, NULL, NULL),
                         SQLITE_OK);
    store_close(reader);

    store_close(writer);
    /* Versions of the program that do not share a database hold it with an exclusive flock. */
    int fd = open(in_dir("rw.db"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    expect_refused(in_dir("rw.db"), STORE_WRITE, GB_ERR_USAGE, "another gptbench");
    close(fd);
}

/* A writer that dies loses what it had not committed and nothing else. */
static void test_killed_writer(void **state)
{
    (void)state;
    store *s = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        if (store_open(&s, in_dir("killed.db"), STORE_WRITE, NULL) == GB_OK) {
            store_planned planned = plan_one(s, "base", "{}", "i", false, NULL);
            store_run_start(s, planned.run_id, 1, NULL);
            for (int i = 0; i < 100; i++) {
                add_step(s, planned.run_id, i, TRAIN_STEP_TIMED, 1);
                if (i == 59) {
                    store_commit(s, NULL);
                }
            }
        }
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    OK(store_open(&s, in_dir("killed.db"), STORE_WRITE, err));
    assert_near(number_of(s, "SELECT count(*) FROM step"), 60, 0);
    assert_near(number_of(s, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1, 0);
    store_close(s);
}

static bool is_beside(const char *end)
{
    char name[64];
    snprintf(name, sizeof name, "quiet.db%s", end);
    return access(in_dir(name), F_OK) == 0;
}

static void read_once(void)
{
    store *s = NULL;
    OK(store_open(&s, in_dir("quiet.db"), STORE_READ, err));
    assert_near(number_of(s, "SELECT count(*) FROM run"), 1, 0);
    store_close(s);
}

/* Who reads leaves no file behind, and takes none away from a writer, be that of this process or of
 * another, whether or not it has anything in its -wal file; what a killed one left there stays. */
static void test_readers_leave_nothing(void **state)
{
    (void)state;
    store *s = NULL;
    struct stat before, after;
    OK(store_open(&s, in_dir("quiet.db"), STORE_WRITE, err));
    store_planned planned = plan_one(s, "base", "{}", "i", false, NULL);
    OK(store_commit(s, err));
    read_once();
    assert_true(is_beside("-wal"));
    OK(store_run_start(s, planned.run_id, 1, err));
    OK(store_commit(s, err));
    assert_near(number_of(s, "SELECT count(*) FROM run WHERE status = 'running'"), 1, 0);
    store_close(s);
    assert_false(is_beside("-wal"));
    assert_int_equal(stat(in_dir("quiet.db"), &before), 0);
    read_once();
    assert_false(is_beside("-wal"));
    assert_false(is_beside("-shm"));
    assert_int_equal(stat(in_dir("quiet.db"), &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);

    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) { /* a writer with an empty -wal file: it only looks, then writes and is killed */
        store *other = NULL;
        (void)(store_open(&other, in_dir("quiet.db"), STORE_WRITE, NULL) == GB_OK &&
               number_of(other, "SELECT count(*) FROM run") == 1 && write(told[1], "o", 1) == 1);
        raise(SIGSTOP);
        (void)(store_exec(other, NULL, "UPDATE run SET threads = 7", "") == GB_OK &&
               store_commit(other, NULL) == GB_OK && write(told[1], "w", 1) == 1);
        raise(SIGKILL);
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    read_once();
    assert_true(is_beside("-wal"));
    waitpid(pid, NULL, WUNTRACED);
    kill(pid, SIGCONT);
    assert_int_equal(read(told[0], &byte, 1), 1);
    waitpid(pid, NULL, 0);
    read_once();
    assert_true(is_beside("-wal"));
    OK(store_open(&s, in_dir("quiet.db"), STORE_READ, err));
    assert_near(number_of(s, "SELECT threads FROM run"), 7, 0);
    store_close(s);
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_foreign_files_are_refused),
        cmocka_unit_test(test_cut_short_file_is_begun_again),
        cmocka_unit_test(test_newer_version_is_refused),
        cmocka_unit_test(test_corrupt_file_is_refused),
        cmocka_unit_test(test_migrations),
        cmocka_unit_test(test_old_file_becomes_a_new_one),
        cmocka_unit_test(test_data_of_an_old_file),
        cmocka_unit_test(test_samples_and_marks),
        cmocka_unit_test(test_what_is_done_again),
        cmocka_unit_test(test_dead_runs_become_interrupted),
        cmocka_unit_test(test_changed_suite),
        cmocka_unit_test(test_aa_pair),
        cmocka_unit_test(test_readers_beside_a_writer),
        cmocka_unit_test(test_readers_leave_nothing),
        cmocka_unit_test(test_killed_writer),
    };
    return cmocka_run_group_tests_name("store", tests, make_dir, remove_dir);
}
