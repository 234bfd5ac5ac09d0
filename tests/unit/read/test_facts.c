/* Rows into structs by tables of columns, and one snapshot for all that is read. Databases are
 * tests/fakes/fake_db.h's; expected values stand in the SQL beside each check. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/analysis/load.h"
#include "bench/analysis/verdicts.h"
#include "bench/read/list_rows.h"
#include "bench/read/run_texts.h"
#include "bench/stats/disturbance.h"
#include "tests/fakes/fake_db.h"

/* ---- rows ---- */

typedef struct every_type {
    int64_t whole;
    double real;
    bool yes;
    char letter;
    unsigned marks;
    const char *plain, *verbatim, *optional;
} every_type;

static const row_field FIELDS[] = {
    {"b", ROW_BOOL, offsetof(every_type, yes)},
    {"i", ROW_INT, offsetof(every_type, whole)},
    {"r", ROW_REAL, offsetof(every_type, real)},
    {"t", ROW_TEXT, offsetof(every_type, plain)},
    {"t", ROW_VERBATIM, offsetof(every_type, verbatim)},
    {"t", ROW_OPTIONAL, offsetof(every_type, optional)},
    {"m", ROW_MARKS, offsetof(every_type, marks)},
    {"t", ROW_LETTER, offsetof(every_type, letter)},
};

static sqlite3 *table_of_types(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TABLE x (id, i, r, b, t, m);"
                     "INSERT INTO x VALUES (1, -9223372036854775807, 0.1, 2, 'a' || char(10) ||"
                     " 'b', 'steal,clock_drop'), (1, NULL, NULL, NULL, NULL, NULL),"
                     " (2, 5, 5, 0, '', ''), (1, 7.9, '3.5', 1, 'w', 'none such');",
                     NULL, NULL, NULL),
        SQLITE_OK);
    return db;
}

static void test_types(void **state)
{
    (void)state;
    static const row_table table = ROW_TABLE(FIELDS, every_type);
    gb_error err = {GB_OK, ""};
    row_texts texts = {NULL, 0};
    row_reader r = {table_of_types(), "x.db", &texts, &err};
    every_type *rows = NULL;
    int64_t n = 0;
    assert_int_equal(
        rows_read(&r, &table, "FROM x WHERE id = ?1 ORDER BY rowid", 1, (void **)&rows, &n), GB_OK);
    assert_int_equal(n, 3);
    assert_true(rows[0].whole == -INT64_MAX && rows[0].real == 0.1 && rows[0].yes);
    assert_string_equal(rows[0].verbatim, "a\nb");
    assert_null(strchr(rows[0].plain, '\n'));
    assert_string_equal(rows[0].optional, "a\nb");
    assert_int_equal(rows[0].letter, 'a');
    assert_int_equal(rows[0].marks, disturbance_from_names("steal,clock_drop"));
    assert_true(rows[0].marks != 0);
    /* NULLs are what row_reader.h says. */
    assert_true(rows[1].whole == 0 && isnan(rows[1].real) && !rows[1].yes);
    assert_string_equal(rows[1].plain, "");
    assert_string_equal(rows[1].verbatim, "");
    assert_null(rows[1].optional);
    assert_true(rows[1].letter == '?' && rows[1].marks == 0);
    /* A damaged file has other types: SQLite converts. */
    assert_true(rows[2].whole == 7 && rows[2].real == 3.5 && rows[2].letter == 'w');
    /* More rows go behind those that there are. */
    assert_int_equal(rows_read(&r, &table, "FROM x WHERE id = ?1", 2, (void **)&rows, &n), GB_OK);
    assert_int_equal(n, 4);
    assert_int_equal(rows[3].whole, 5);
    assert_int_equal(rows_read(&r, &table, "FROM none_such", 0, (void **)&rows, &n),
                     GB_ERR_INTERNAL);
    assert_non_null(strstr(err.message, "x.db"));
    assert_int_equal(n, 4);
    free(rows);
    row_texts_free(&texts);
    sqlite3_close(r.db);
}

/* ---- one snapshot ---- */

typedef struct meddler {
    const char *path;
    int at;   /* the statement before which it writes */
    int seen; /* statements */
} meddler;

/* Beside every statement of the reader another program finishes a run, throws away a claim and
 * renames what there is. */
static int meddle(unsigned what, void *user, void *statement, void *text)
{
    (void)what, (void)statement, (void)text;
    meddler *m = user;
    if (m->seen++ == m->at) {
        sqlite3 *other = NULL;
        assert_int_equal(sqlite3_open(m->path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other,
                                      "UPDATE eval SET val_loss = 99; UPDATE run SET message = 'x',"
                                      " steps_done = 1; DELETE FROM claim; DELETE FROM step WHERE"
                                      " run_id % 2 = 0; UPDATE config SET flops_per_token = 1;"
                                      "UPDATE burst SET median_ms = 1",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
        sqlite3_close(other);
    }
    return 0;
}

static void planted_make(char path[64])
{
    store *s = NULL;
    fake_db_name(path);
    const fake_db fake = {path, NULL, 3, 2, 60, false, false, false, true};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 10, false);
    assert_int_equal(store_open(&s, path, STORE_WRITE, NULL), GB_OK);
    fake_exec(s, "INSERT INTO claim VALUES (1,'a','d12_mlp3x','d12','flops within 9%%','',1)");
    store_close(s);
}

/* What somebody meddled with before statement `at` was read as if nobody had. */
static int read_beside_meddler(int at)
{
    char path[64];
    store *s = NULL;
    facts *alone = NULL, *beside = NULL;
    planted_make(path);
    assert_int_equal(store_open(&s, path, STORE_READ, NULL), GB_OK);
    assert_int_equal(facts_read(&alone, s, &(facts_wanted){.suite = NULL}, NULL), GB_OK);
    meddler m = {path, at, 0};
    sqlite3_trace_v2(store_sqlite(s), SQLITE_TRACE_STMT, meddle, &m);
    assert_int_equal(facts_read(&beside, s, &(facts_wanted){.suite = NULL}, NULL), GB_OK);
    sqlite3_trace_v2(store_sqlite(s), 0, NULL, NULL);
    assert_true(m.seen > at);
    assert_int_equal(beside->n_claims, 1);
    assert_int_equal(beside->n_runs, alone->n_runs);
    for (int i = 0; i < alone->n_configs; i++) {
        assert_true(beside->configs[i].flops_per_token == alone->configs[i].flops_per_token);
    }
    for (int i = 0; i < alone->n_runs; i++) {
        const run_facts *a = &alone->runs[i], *b = &beside->runs[i];
        assert_string_equal(a->message, b->message);
        assert_int_equal(a->steps_done, b->steps_done);
        assert_int_equal(a->n_steps, b->n_steps);
        assert_int_equal(a->n_evals, b->n_evals);
        assert_memory_equal(a->timed_ms, b->timed_ms, (size_t)a->n_timed * sizeof *a->timed_ms);
        for (int64_t k = 0; k < a->n_evals; k++) {
            assert_true(a->evals[k].val_loss == b->evals[k].val_loss);
        }
    }
    assert_int_equal(beside->n_timings, 1);
    assert_true(beside->timings[0].arms[1].median_ms[0] == alone->timings[0].arms[1].median_ms[0]);
    facts_free(alone);
    facts_free(beside);
    /* It has been there, though. */
    assert_int_equal(facts_read(&beside, s, &(facts_wanted){.suite = NULL}, NULL), GB_OK);
    assert_int_equal(beside->n_claims, 0);
    assert_true(beside->configs[0].flops_per_token == 1);
    facts_free(beside);
    store_close(s);
    fake_db_remove(path);
    return m.seen;
}

static void test_snapshot(void **state)
{
    (void)state;
    /* Statement 0 is BEGIN, which takes no snapshot yet; 1 is the first that reads: what is written
     * while it begins is either in all of it or in none. From 2 on it must be in none. */
    int n = read_beside_meddler(2);
    for (int at = 3; at < n; at += 4) {
        read_beside_meddler(at);
    }
}

/* ---- one run, and lists ---- */

static void test_run(void **state)
{
    (void)state;
    char path[64];
    store *s = NULL;
    findings *all = NULL, *one = NULL;
    gb_error err = {GB_OK, ""};
    planted_make(path);
    assert_int_equal(findings_read(&all, path, NULL, NULL), GB_OK);
    const run_facts *last = &all->facts->runs[all->facts->n_runs - 1];
    assert_int_equal(store_open(&s, path, STORE_WRITE, NULL), GB_OK);
    fake_exec(s, "UPDATE config SET in_plan = 0; UPDATE run SET in_plan = 0");
    assert_int_equal(findings_read_run(&one, s, last->run_id, NULL), GB_OK);
    assert_int_equal(one->facts->n_runs, 1);
    const run_facts *run = &one->facts->runs[0];
    assert_int_equal(run->run_id, last->run_id);
    assert_int_equal(run->config, 0);
    assert_true(run->step_avg_ms == last->step_avg_ms);
    assert_true(run->step_median_ms == last->step_median_ms);
    assert_true(run->final_val_loss == last->final_val_loss);
    findings_free(one);
    assert_int_equal(findings_read_run(&one, s, 123456, &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "no run 123456"));
    store_close(s);
    findings_free(all);
    fake_db_remove(path);
}

/* Averages of the views are those of the steps. */
static void test_summary(void **state)
{
    (void)state;
    char path[64];
    store *s = NULL;
    findings *all = NULL, *summary = NULL;
    list_rows list;
    planted_make(path);
    assert_int_equal(store_open(&s, path, STORE_READ, NULL), GB_OK);
    assert_int_equal(findings_read(&all, path, NULL, NULL), GB_OK);
    assert_int_equal(findings_read_summary(&summary, s, "fake", NULL), GB_OK);
    assert_int_equal(list_rows_read(&list, s, NULL), GB_OK);
    assert_int_equal(summary->n_entries, all->n_entries);
    assert_int_equal(list.n_runs, all->facts->n_runs);
    for (int i = 0; i < all->n_entries; i++) {
        const result_entry *a = &all->entries[i], *b = &summary->entries[i];
        /* Sums of 34 numbers in another order: 34 roundings of 2^-53 each. */
        assert_true(fabs(a->step_avg_ms.value / b->step_avg_ms.value - 1) < 34 * 0x1p-53);
        assert_true(fabs(a->mfu / b->mfu - 1) < 68 * 0x1p-53);
        assert_true(a->pace.mfu == b->pace.mfu); /* of the session: the same sums */
        assert_true(a->val_loss.value == b->val_loss.value);
        assert_true(a->best_val_loss == b->best_val_loss);
        assert_int_equal(all->verdicts->rows[i].speed.kind, summary->verdicts->rows[i].speed.kind);
        assert_int_equal(all->verdicts->rows[i].loss.kind, summary->verdicts->rows[i].loss.kind);
    }
    list_rows_free(&list);
    findings_free(all);
    findings_free(summary);
    store_close(s);
    fake_db_remove(path);
}

/* One replicate and no interleaved timing: no interval, but the same numbers. */
static void test_summary_of_single_runs(void **state)
{
    (void)state;
    char path[64];
    store *s = NULL;
    findings *all = NULL, *summary = NULL;
    fake_db_name(path);
    const fake_db fake = {path, NULL, 3, 1, 60, false, false, false, true};
    fake_db_make(&fake);
    assert_int_equal(store_open(&s, path, STORE_READ, NULL), GB_OK);
    assert_int_equal(findings_read(&all, path, NULL, NULL), GB_OK);
    assert_int_equal(findings_read_summary(&summary, s, "fake", NULL), GB_OK);
    for (int i = 0; i < all->n_entries; i++) {
        const result_entry *a = &all->entries[i], *b = &summary->entries[i];
        double change = all->verdicts->rows[i].time_change.value;
        assert_true(isfinite(a->pace.step_avg_ms.value) && (i == 0 || isfinite(change)));
        assert_true(fabs(a->pace.step_avg_ms.value / b->pace.step_avg_ms.value - 1) < 34 * 0x1p-53);
        assert_true(i == 0 || fabs(summary->verdicts->rows[i].time_change.value - change) < 1e-12);
    }
    findings_free(all);
    findings_free(summary);
    store_close(s);
    fake_db_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_summary_of_single_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
