/* Reports and comparisons over a made-up database (tests/fakes/fake_db.h). Expected numbers come
 * from the views of the schema, asked through SQL, or are worked out by hand beside the check.
 *
 * `test_report --make-db FILE CONFIGS REPLICATES STEPS HOSTILE FAILURES [BLOCKS FAILED_ARMS]`
 * writes such a database, for tests/e2e/e2e_report.sh. */
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

#include "bench/analysis/comparison.h"
#include "bench/analysis/load.h"
#include "bench/analysis/run_numbers.h"
#include "bench/report/figures/figure_layout.h"
#include "bench/report/figures/gnuplot.h"
#include "bench/report/report.h"
#include "tests/fakes/fake_db.h"

/* ---- files ---- */

typedef struct place {
    char dir[64], db[96];
} place;

static place place_make(void)
{
    place p;
    snprintf(p.dir, sizeof p.dir, "/tmp/gptbench-report-XXXXXX");
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.db, sizeof p.db, "%s/r.db", p.dir);
    return p;
}

static void place_remove(const place *p)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    assert_int_equal(system(command), 0);
}

static char *file_read(const char *dir, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
    }
    char *text = NULL;
    size_t size = 0, n;
    char chunk[4096];
    FILE *all = open_memstream(&text, &size);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        fwrite(chunk, 1, n, all);
    }
    fclose(f);
    fclose(all);
    return text;
}

static void sql(const char *db, const char *text)
{
    store *s = NULL;
    assert_int_equal(store_open(&s, db, STORE_WRITE, NULL), GB_OK);
    assert_int_equal(sqlite3_exec(store_sqlite(s), text, NULL, NULL, NULL), SQLITE_OK);
    store_close(s);
}

/* One number from SQL; NAN for NULL. %s in the query is the config's name. */
static double sql_number(sqlite3 *db, const char *query, const char *config)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &stmt, NULL), SQLITE_OK);
    sqlite3_bind_text(stmt, 1, config, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    double x = sqlite3_column_type(stmt, 0) == SQLITE_NULL ? NAN : sqlite3_column_double(stmt, 0);
    sqlite3_finalize(stmt);
    return x;
}

static void check_close(double got, double want, double relative)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= relative * fabs(want) + 1e-300)) {
        fail_msg("got %.12g, want %.12g", got, want);
    }
}

static findings *read_ok(const char *db, const char *suite)
{
    findings *data = NULL;
    gb_error err = {0};
    if (findings_read(&data, db, suite, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    return data;
}

/* ---- data ---- */

static void check_entry(sqlite3 *db, const result_entry *e)
{
    const struct {
        const char *query;
        double got;
    } checks[] = {
        {"SELECT step_avg_ms FROM config_summary WHERE config = ?1", e->step_avg_ms.value},
        {"SELECT step_median_ms FROM config_summary WHERE config = ?1", e->step_median_ms},
        {"SELECT tokens_per_s FROM config_summary WHERE config = ?1", e->tokens_per_s.value},
        {"SELECT mfu FROM config_summary WHERE config = ?1", e->mfu},
        {"SELECT final_val_loss FROM config_summary WHERE config = ?1", e->val_loss.value},
        {"SELECT best_val_loss FROM config_summary WHERE config = ?1", e->best_val_loss},
        {"SELECT peak_memory_bytes FROM config_summary WHERE config = ?1", e->peak_memory_bytes},
        {"SELECT replicates_ok FROM config_summary WHERE config = ?1", e->n_runs},
        {"SELECT sum(timed_steps) FROM run_summary WHERE config = ?1 AND status = 'ok'",
         (double)e->n_timed},
        {"SELECT c.flops_per_token / b.flops_per_token - 1 FROM config c, config b"
         " WHERE c.name = ?1 AND b.is_baseline",
         e->flops_fraction},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        check_close(checks[i].got, sql_number(db, checks[i].query, e->label), 1e-12);
    }
}

/* Against SQL: the counts, the energy, and that stretches hold the marked steps and no others. */
static void test_sensors_equal_tables(void **state)
{
    (void)state;
    place p = place_make();
    fake_db_make(&(fake_db){p.db, NULL, 2, 2, 60, false, false, true, true});
    findings *data = read_ok(p.db, NULL);
    store *s = NULL;
    assert_int_equal(store_open(&s, p.db, STORE_READ, NULL), GB_OK);
    for (int i = 0; i < data->facts->n_runs; i++) {
        const run_facts *run = &data->facts->runs[i];
        char id[32];
        snprintf(id, sizeof id, "%lld", (long long)run->run_id);
        check_close((double)run->sensors.timed_marked,
                    sql_number(store_sqlite(s),
                               "SELECT disturbed_steps FROM run_summary WHERE run_id = ?1", id),
                    0);
        check_close(run_energy_per_token_j(run),
                    sql_number(store_sqlite(s),
                               "SELECT energy_per_token_j FROM run_summary WHERE run_id = ?1", id),
                    1e-12);
        assert_true(run->sensors.timed_marked > 0);
        assert_int_equal(run->sensors.timed_known, run->n_timed);
        assert_int_equal(run->sensors.timed_by[DISTURBANCE_INDEX_STEAL], 0);
        assert_int_equal(run->sensors.timed_by[DISTURBANCE_INDEX_CLOCK_DROP],
                         run->sensors.timed_marked);
        assert_int_equal(run->sensors.n_samples, 101);
        assert_true(run->sensors.of_gpu);
        assert_int_equal(run->sensors.n_stretches, 1); /* the marked steps follow each other */
        check_close(run->sensors.stretches[0].end_s - run->sensors.stretches[0].start_s,
                    sql_number(store_sqlite(s),
                               "SELECT sum(step_ms) / 1e3 FROM step WHERE run_id = ?1"
                               " AND disturbance <> ''",
                               id),
                    1e-5); /* the file has microseconds */
    }
    store_close(s);
    findings_free(data);
    place_remove(&p);
}

static void test_entries_equal_views(void **state)
{
    (void)state;
    place p = place_make();
    fake_db_make(&(fake_db){p.db, NULL, 5, 3, 60, false, true, true, true});
    findings *data = read_ok(p.db, NULL);
    store *s = NULL;
    assert_int_equal(store_open(&s, p.db, STORE_READ, NULL), GB_OK);
    assert_true(data->n_entries >= 3);
    for (int i = 0; i < data->n_entries; i++) {
        check_entry(store_sqlite(s), &data->entries[i]);
        assert_int_equal(data->entries[i].baseline, 0);
        /* on the front exactly when SQL finds nobody better */
        double better = sql_number(
            store_sqlite(s),
            "SELECT count(*) FROM config_summary a, config_summary b WHERE b.config = ?1"
            " AND a.tokens_per_s >= b.tokens_per_s AND a.final_val_loss <= b.final_val_loss"
            " AND a.config <> b.config AND a.replicates_ok > 0",
            data->entries[i].label);
        assert_int_equal(data->entries[i].on_front, better == 0);
    }
    assert_true(data->entries[0].is_baseline);
    store_close(s);
    findings_free(data);
    place_remove(&p);
}

static void test_paired_by_hand(void **state)
{
    (void)state;
    place p = place_make();
    fake_db_make(&(fake_db){p.db, NULL, 2, 3, 40, false, false, false, false});
    /* Times that leave nothing to chance: base 100, 200, 400 ms; new 110, 210, 440 ms. */
    sql(p.db, "UPDATE step SET step_ms = CASE run_id WHEN 100 THEN 100 WHEN 101 THEN 200"
              " WHEN 102 THEN 400 WHEN 200 THEN 110 WHEN 201 THEN 210 ELSE 440 END");
    findings *data = read_ok(p.db, "fake");
    comparison c;
    assert_int_equal(
        comparison_make(&c, data, &data->entries[0], &data->entries[1], METRIC_STEP_AVG, NULL),
        GB_OK);
    check_close(c.base, 700.0 / 3, 1e-12);
    check_close(c.new_value, 760.0 / 3, 1e-12);
    /* The ratio of these means. Its standard error: that of the mean of new / mean - base / mean,
     * which are 3 * 110 / 760 - 3 * 100 / 700 and so on; t(0.975, 2) = 4.302652729911275 (SciPy).
     */
    double d[] = {3 * (110.0 / 760 - 100.0 / 700), 3 * (210.0 / 760 - 200.0 / 700),
                  3 * (440.0 / 760 - 400.0 / 700)};
    double mean = log(760.0 / 700);
    double half = 4.302652729911275 * sqrt((d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) / 6);
    check_close(c.change.value, 760.0 / 700 - 1, 1e-12);
    check_close(c.change.low, exp(mean - half) - 1, 1e-9);
    check_close(c.change.high, exp(mean + half) - 1, 1e-9);
    assert_non_null(strstr(c.method, "paired t of the ratio of means over 3"));
    /* MFU has no peak here: NULL, never a guess. */
    assert_true(isnan(data->entries[0].mfu));
    findings_free(data);

    /* One replicate: over the steps, and no interval for a loss. */
    sql(p.db, "UPDATE run SET status = 'killed' WHERE replicate > 0");
    sql(p.db, "UPDATE step SET step_ms = step_ms + step / 2 % 2");
    data = read_ok(p.db, "fake");
    assert_int_equal(
        comparison_make(&c, data, &data->entries[0], &data->entries[1], METRIC_STEP_AVG, NULL),
        GB_OK);
    assert_non_null(strstr(c.method, "Welch"));
    assert_true(c.change.low < c.change.value && c.change.value < c.change.high);
    assert_int_equal(
        comparison_make(&c, data, &data->entries[0], &data->entries[1], METRIC_STEP_MEDIAN, NULL),
        GB_OK);
    assert_non_null(strstr(c.method, "bootstrap"));
    assert_int_equal(
        comparison_make(&c, data, &data->entries[0], &data->entries[1], METRIC_VAL_LOSS, NULL),
        GB_OK);
    assert_true(isnan(c.change.low) && isfinite(c.change.value));
    findings_free(data);
    place_remove(&p);
}

static void test_platforms(void **state)
{
    (void)state;
    place p = place_make();
    fake_db_make(&(fake_db){p.db, NULL, 2, 2, 40, false, false, false, false});
    sql(p.db, "UPDATE run SET backend = 'cuda', precision = 'bf16' WHERE replicate = 1");
    findings *data = read_ok(p.db, NULL);
    assert_int_equal(data->n_entries, 4);
    static const char *const labels[] = {"d12 (cpu fp32)", "d12 (cuda bf16)",
                                         "d12_mlp3x (cpu fp32)", "d12_mlp3x (cuda bf16)"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(data->entries[i].label, labels[i]);
        assert_int_equal(data->entries[i].baseline, i % 2); /* its own backend's */
    }
    findings_free(data);
    /* A second finished attempt of the same replicate replaces the first. */
    sql(p.db, "UPDATE run SET backend = 'cpu', precision = 'fp32', replicate = 0, attempt = 2,"
              " identity = 'again' WHERE replicate = 1");
    data = read_ok(p.db, NULL);
    assert_int_equal(data->n_entries, 2);
    assert_int_equal(data->entries[1].n_runs, 1);
    assert_int_equal(data->entries[1].runs[0]->run_id, 201);
    findings_free(data);
    place_remove(&p);
}

static void check_refused(const char *db, const char *suite, gb_status status, const char *part)
{
    findings *data = NULL;
    gb_error err = {0};
    assert_int_equal(findings_read(&data, db, suite, &err), status);
    assert_null(data);
    if (!strstr(err.message, part)) {
        fail_msg("message `%s` lacks `%s`", err.message, part);
    }
}

static void test_suite_choice(void **state)
{
    (void)state;
    place p = place_make();
    store *s = NULL;
    assert_int_equal(store_open(&s, p.db, STORE_WRITE, NULL), GB_OK);
    store_close(s);
    check_refused(p.db, NULL, GB_ERR_USAGE, "no suite yet");
    fake_db_make(&(fake_db){p.db, "mlp-sweep", 1, 1, 20, false, false, false, false});
    findings_free(read_ok(p.db, NULL));
    sql(p.db, "INSERT INTO suite VALUES (99,'other','o','o','d12',1,'','')");
    check_refused(p.db, NULL, GB_ERR_USAGE, "choose one with --suite: mlp-sweep, other");
    check_refused(p.db, "mlp-swep", GB_ERR_USAGE, "`mlp-sweep`");
    findings_free(read_ok(p.db, "mlp-sweep"));
    char missing[128];
    snprintf(missing, sizeof missing, "%s/none.db", p.dir);
    check_refused(missing, NULL, GB_ERR_USAGE, "none.db");
    place_remove(&p);
}

/* ---- layout ---- */

static void test_ticks(void **state)
{
    (void)state;
    figure_ticks t = figure_ticks_make(0, 230, 6);
    assert_true(t.first == 0 && t.step == 50 && t.count == 5);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    figure_ticks_write(out, "a", figure_ticks_make(9100, 13900, 5), false);
    figure_ticks_write(out, "b", figure_ticks_make(0, 2.1e6, 4), true);
    figure_ticks_write(out, "c", figure_ticks_make(1.58, 1.69, 5), false);
    figure_ticks_write(out, "d", figure_ticks_make(3, 3, 5), false);
    fclose(out);
    assert_string_equal(text, "a = '(\"10,000\" 10000, \"11,000\" 11000, \"12,000\" 12000,"
                              " \"13,000\" 13000)'\n"
                              "b = '(\"0\" 0, \"0.5M\" 500000, \"1.0M\" 1000000, \"1.5M\" 1500000,"
                              " \"2.0M\" 2000000)'\n"
                              "c = '(\"1.58\" 1.58, \"1.60\" 1.6, \"1.62\" 1.62, \"1.64\" 1.64,"
                              " \"1.66\" 1.66, \"1.68\" 1.68)'\n"
                              "d = '(\"3\" 3)'\n");
    free(text);
}

static void test_label_text(void **state)
{
    (void)state;
    assert_string_equal(figure_label_make("d12_mlp3x").text, "d12_mlp3x");
    assert_string_equal(figure_label_make("a\"b\\c\td").text, "a'b/c d");
    assert_string_equal(figure_label_make("]]>x").text, "]] x");
    assert_string_equal(figure_label_make("\xff\xc0\xaf e\xc3\xa9").text, "??? e\xc3\xa9");
    assert_string_equal(figure_label_make("").text, "(no name)");
    figure_label lengthy = figure_label_make("0123456789012345678901234567890123456789");
    assert_string_equal(lengthy.text, "01234567890123456\xe2\x80\xa6"
                                      "4567890123456789");
    assert_int_equal(lengthy.width, FIGURE_LABEL_MAX);
}

static void test_label_places(void **state)
{
    (void)state;
    const figure_box frame = {95, 70, 875, 580};
    figure_point points[10];
    for (int i = 0; i < 10; i++) { /* close together, long names */
        double x = 400 + 20 * fake_uniform() * i, y = 300 + 25 * fake_uniform() * i;
        points[i] = (figure_point){
            .x = x, .y = y, .low_x = x, .high_x = x, .low_y = y, .high_y = y, .width = 120};
    }
    figure_labels_place(points, 10, 17, frame);
    for (int i = 0; i < 10; i++) {
        const figure_point *a = &points[i];
        assert_true(a->label_x >= frame.left && a->label_x + a->width <= frame.right);
        assert_true(a->label_y >= frame.bottom && a->label_y <= frame.top);
        for (int k = 0; k < i; k++) {
            const figure_point *b = &points[k];
            bool apart =
                fabs(a->label_y - b->label_y) >= 16 || fabs(a->label_x - b->label_x) >= 119;
            assert_true(apart);
        }
    }
}

/* ---- gnuplot and the whole report ---- */

static void test_without_gnuplot(void **state)
{
    (void)state;
    place p = place_make();
    fake_db_make(&(fake_db){p.db, NULL, 3, 2, 40, true, false, true, true});
    char out[128], *path = strdup(getenv("PATH"));
    snprintf(out, sizeof out, "%s/deep/er/out", p.dir);
    setenv("PATH", "/nowhere", 1);
    gb_error err = {0};
    gb_status status = report_write(p.db, NULL, out, &err);
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(status, GB_ERR_ENV);
    assert_non_null(strstr(err.message, "apt install gnuplot"));
    char *html = file_read(out, "index.html"), *markdown = file_read(out, "report.md");
    char *tsv = file_read(out, "results.tsv"), *data = file_read(out, "data/speed_loss.tsv");
    assert_true(html && markdown && tsv && data);
    assert_null(strstr(html, "<script"));
    assert_non_null(strstr(html, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(html, "gnuplot is not installed"));
    assert_non_null(strstr(html, "</html>"));
    assert_non_null(strstr(markdown, "\\<script\\>alert(1)\\</script\\>"));
    assert_non_null(strstr(markdown, "a\\|b_c\\*d\\*\\`e\\`"));
    free(html);
    free(markdown);
    free(tsv);
    free(data);
    place_remove(&p);
}

static void test_nothing_finished(void **state)
{
    (void)state;
    place p = place_make();
    fake_db_make(&(fake_db){p.db, NULL, 2, 1, 20, false, false, false, false});
    sql(p.db, "UPDATE run SET status = 'oom', message = 'no memory for <weights>'");
    gb_error err = {0};
    assert_int_equal(report_write(p.db, NULL, p.dir, &err), GB_OK);
    char *html = file_read(p.dir, "index.html");
    assert_non_null(html);
    assert_non_null(strstr(html, "none of its 2 runs has finished yet"));
    assert_non_null(strstr(html, "no memory for &lt;weights&gt;"));
    free(html);
    place_remove(&p);
}

static void test_gnuplot_failure(void **state)
{
    (void)state;
    if (system("gnuplot --version >/dev/null 2>&1") != 0) {
        print_message("skip: gnuplot is not installed\n");
        skip();
    }
    place p = place_make();
    char path[128];
    snprintf(path, sizeof path, "%s/bad.gp", p.dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("plot 'no such file' nonsense\n", f);
    fclose(f);
    gb_error err = {0};
    assert_int_equal(gnuplot_run(p.dir, "bad.gp", &err), GB_ERR_FAILED);
    assert_non_null(strstr(err.message, "bad.gp"));
    assert_null(strchr(err.message, '\n'));
    place_remove(&p);
}

int main(int argc, char **argv)
{
    if (argc >= 8 && strcmp(argv[1], "--make-db") == 0) {
        fake_db fake = {argv[2],
                        NULL,
                        atoi(argv[3]),
                        atoi(argv[4]),
                        atoi(argv[5]),
                        atoi(argv[6]) != 0,
                        atoi(argv[7]) != 0,
                        true,
                        true};
        fake_db_make(&fake);
        if (argc > 8) {
            fake_db_add_timing(&fake, atoi(argv[8]), argc > 9 && atoi(argv[9]) != 0);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_equal_views), cmocka_unit_test(test_sensors_equal_tables),
        cmocka_unit_test(test_paired_by_hand),      cmocka_unit_test(test_platforms),
        cmocka_unit_test(test_suite_choice),        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_label_text),          cmocka_unit_test(test_label_places),
        cmocka_unit_test(test_without_gnuplot),     cmocka_unit_test(test_nothing_finished),
        cmocka_unit_test(test_gnuplot_failure),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
