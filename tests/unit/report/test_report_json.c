/* report.json on made-up databases (tests/fakes/fake_db.h): it parses, its values are those of the
 * tables (asked through SQL) and of the verdicts, and every field is described in
 * docs/REPORT_JSON.md.
 *
 * kinds: plain sanitized memcheck */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "bench/analysis/load.h"
#include "bench/analysis/verdicts.h"
#include "bench/report/report.h"
#include "tests/fakes/fake_db.h"

static json_t *json_of(const char *path, findings **data)
{
    char *text = NULL;
    size_t size = 0;
    gb_error err = {0};
    json_error_t where;
    if (findings_read(data, path, NULL, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(report_write_json(*data, out, &err), GB_OK);
    fclose(out);
    /* JSON_ALLOW_NUL is not given, and jansson refuses NaN: what it reads is JSON. */
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        fail_msg("line %d: %s", where.line, where.text);
    }
    free(text);
    return root;
}

static char *path_make(const fake_db *like, int blocks, bool failed_arms)
{
    char *path = malloc(64);
    assert_non_null(path);
    fake_db_name(path);
    fake_db fake = *like;
    fake.path = path;
    fake_db_make(&fake);
    if (blocks > 0) {
        fake_db_add_timing(&fake, blocks, failed_arms);
    }
    return path;
}

static void path_remove(char *path)
{
    fake_db_remove(path);
    free(path);
}

static double number_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value) {
        fail_msg("no field %s", key);
    }
    return json_is_null(value) ? NAN : json_number_value(value);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value) {
        fail_msg("no text %s", key);
    }
    return value;
}

static void check_close(double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= 1e-12 * fabs(want))) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

static void check_interval(const json_t *object, const char *key, stats_interval want)
{
    const json_t *got = json_object_get(object, key);
    check_close(number_at(got, "value"), want.value);
    check_close(number_at(got, "low"), want.low);
    check_close(number_at(got, "high"), want.high);
}

static double sql_number(const char *path, const char *query)
{
    store *s = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(store_open(&s, path, STORE_READ, NULL), GB_OK);
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(s), query, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    double x = sqlite3_column_double(stmt, 0);
    sqlite3_finalize(stmt);
    store_close(s);
    return x;
}

/* ---- values ---- */

static void check_verdict(const json_t *got, const verdict *v, bool judged, const char *name)
{
    assert_string_equal(text_at(got, "verdict"), name);
    assert_int_equal(json_is_true(json_object_get(got, "judged")), judged);
    assert_true(strlen(text_at(got, "reason")) > 5);
    if (judged) {
        check_interval(got, "change", v->change);
        check_interval(got, "corrected", v->corrected);
        check_close(number_at(got, "level"), v->level);
        check_close(number_at(got, "p_beyond"), v->p_beyond);
        check_close(number_at(got, "further"), isinf(v->further) ? NAN : v->further);
        assert_int_equal(json_integer_value(json_object_get(got, "n")), v->n);
    }
}

static void test_values(void **state)
{
    (void)state;
    char *path = path_make(&(fake_db){NULL, NULL, 5, 3, 40, false, false, true, true}, 16, true);
    findings *data;
    json_t *root = json_of(path, &data);
    assert_int_equal(json_integer_value(json_object_get(root, "schema_version")), 1);
    assert_string_equal(text_at(json_object_get(root, "suite"), "name"), "fake");
    const json_t *results = json_object_get(root, "results");
    assert_int_equal(json_array_size(results), 5);
    assert_true(json_is_null(json_object_get(json_array_get(results, 0), "speed")));
    for (int i = 1; i < 5; i++) {
        const json_t *result = json_array_get(results, (size_t)i);
        const config_verdict *row = &data->verdicts->rows[i];
        assert_string_equal(text_at(result, "label"), row->label);
        check_verdict(json_object_get(result, "speed"), &row->speed, row->speed_judged,
                      verdict_speed_name(row->speed.kind));
        check_verdict(json_object_get(result, "loss"), &row->loss, row->loss_judged,
                      verdict_loss_name(row->loss.kind));
        check_interval(result, "step_avg_ms", data->entries[i].pace.step_avg_ms);
    }
    /* Config 2 did not get through its timing, config 1 did. */
    assert_true(json_is_false(json_object_get(json_array_get(results, 2), "interleaved")));
    assert_true(json_is_true(json_object_get(json_array_get(results, 1), "interleaved")));
    check_close(number_at(json_object_get(json_array_get(results, 1), "step_avg_ms"), "value"),
                sql_number(path, "SELECT step_avg_ms FROM timing_summary WHERE arm = 1"));

    const json_t *session = json_array_get(json_object_get(root, "sessions"), 0);
    const json_t *arms = json_object_get(session, "arms");
    assert_int_equal(json_array_size(arms), 6);
    check_close(number_at(session, "blocks"), 16);
    check_close(number_at(session, "clock_mean_mhz"),
                sql_number(path, "SELECT avg(cpu_clock_mhz) FROM timing_sample"));
    check_close(number_at(json_object_get(session, "control"), "n"), 16);
    /* Ten steps before the first burst, two at the start of each of 16. */
    check_close(number_at(json_array_get(arms, 1), "warmup_steps"), 10 + 16 * 2);
    check_close(number_at(json_array_get(arms, 1), "marked_steps"),
                sql_number(path, "SELECT disturbed_steps FROM timing_summary WHERE arm = 1"));
    const json_t *medians = json_object_get(json_array_get(arms, 3), "burst_medians_ms");
    assert_int_equal(json_array_size(medians), 16);
    assert_true(json_is_real(json_array_get(medians, 7)));
    assert_true(json_is_null(json_array_get(medians, 8))); /* it had failed by then */

    const json_t *run = json_array_get(json_object_get(root, "runs"), 0);
    assert_int_equal(json_array_size(json_object_get(root, "runs")), 15);
    check_close(
        number_at(run, "final_val_loss"),
        sql_number(path, "SELECT val_loss FROM eval WHERE run_id = 100 ORDER BY step DESC"));
    assert_string_equal(text_at(json_object_get(run, "provenance"), "train_data_hash"),
                        "000000000000feed");
    json_decref(root);
    findings_free(data);
    path_remove(path);
}

/* Names that are no UTF-8, and numbers that are not there. */
static void test_missing_and_hostile(void **state)
{
    (void)state;
    char *path = path_make(&(fake_db){NULL, NULL, 9, 1, 40, true, true, false, false}, 0, false);
    findings *data;
    json_t *root = json_of(path, &data);
    const json_t *results = json_object_get(root, "results");
    assert_int_equal(json_array_size(results), 9);
    assert_int_equal(json_array_size(json_object_get(root, "sessions")), 0);
    const json_t *result = json_array_get(results, 1), *loss = json_object_get(result, "loss");
    assert_string_equal(text_at(result, "label"), fake_hostile_names[0]);
    assert_string_equal(text_at(loss, "verdict"), "UNCLEAR");
    assert_string_equal(text_at(loss, "doubt"), "no_interval");
    assert_true(json_is_null(json_object_get(json_object_get(loss, "change"), "low")));
    assert_true(json_is_null(json_object_get(result, "mfu"))); /* no peak was measured */
    assert_true(json_is_false(json_object_get(json_object_get(result, "speed"), "judged")));
    assert_string_equal(text_at(json_array_get(results, 6), "label"),
                        "&amp;&lt; ]]> --> \xef\xbf\xbd\xef\xbf\xbd");
    json_decref(root);
    findings_free(data);
    path_remove(path);
}

/* ---- the description ---- */

static char *description_read(void)
{
    char *text = NULL, chunk[4096];
    size_t size = 0, n;
    FILE *in = fopen("docs/REPORT_JSON.md", "r");
    if (!in) {
        fail_msg("docs/REPORT_JSON.md cannot be read from here");
    }
    FILE *all = open_memstream(&text, &size);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) {
        fwrite(chunk, 1, n, all);
    }
    fclose(in);
    fclose(all);
    return text;
}

static int check_described(const json_t *value, const char *description)
{
    int fields = 0;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            fields += check_described(json_array_get(value, i), description);
        }
    }
    for (void *at = json_object_iter((json_t *)value); at;
         at = json_object_iter_next((json_t *)value, at)) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "`%s`", json_object_iter_key(at));
        if (!strstr(description, quoted)) {
            fail_msg("docs/REPORT_JSON.md does not have %s", quoted);
        }
        fields += 1 + check_described(json_object_iter_value(at), description);
    }
    return fields;
}

/* Two claims about the first config that is not the baseline, in the database as `run` writes them:
 * one that parameters decide, whatever the model, and one that no speed fulfils. */
static void claims_plant(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "INSERT INTO claim SELECT s.suite_id, 'has', c.name, s.baseline,"
                     " 'n_params within 1000%', 'a note', 1 FROM suite s JOIN config c USING"
                     " (suite_id) WHERE c.name <> s.baseline ORDER BY position LIMIT 1;"
                     "INSERT INTO claim SELECT suite_id, 'runs', config, baseline,"
                     " 'step_avg speedup >= 900%', '', 1 FROM claim",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
}

static void test_every_field_is_described(void **state)
{
    (void)state;
    char *path = path_make(&(fake_db){NULL, NULL, 3, 2, 40, false, false, true, true}, 12, false);
    claims_plant(path);
    findings *data;
    json_t *root = json_of(path, &data);
    json_t *claims = json_object_get(root, "claims");
    assert_int_equal(json_array_size(claims), 2); /* by name */
    assert_string_equal(json_string_value(json_object_get(json_array_get(claims, 0), "outcome")),
                        "supported");
    assert_string_equal(json_string_value(json_object_get(json_array_get(claims, 1), "outcome")),
                        "refuted");
    char *description = description_read();
    assert_true(check_described(root, description) > 300);
    free(description);
    json_decref(root);
    findings_free(data);
    path_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_missing_and_hostile),
        cmocka_unit_test(test_every_field_is_described),
    };
    return cmocka_run_group_tests_name("report_json", tests, NULL, NULL);
}
