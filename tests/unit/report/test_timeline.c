/* The timeline's data. The longest step takes 1400 ms: a column of the figure, of which there are
 * 1400, is 1 ms, so boxes begin and end where the spans do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/load.h"
#include "bench/report/figures/figures.h"
#include "bench/report/report.h"
#include "tests/fakes/fake_db.h"

typedef struct place {
    char dir[64], db[96], out[96];
} place;

static place place_make(int configs, const char *change)
{
    place p;
    store *s = NULL;
    snprintf(p.dir, sizeof p.dir, "/tmp/gptbench-timeline-XXXXXX");
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.db, sizeof p.db, "%s/r.db", p.dir);
    snprintf(p.out, sizeof p.out, "%s/out", p.dir);
    fake_db_make(&(fake_db){p.db, NULL, configs, 1, 40, false, false, false, true});
    assert_int_equal(store_open(&s, p.db, STORE_WRITE, NULL), GB_OK);
    assert_int_equal(sqlite3_exec(store_sqlite(s), change, NULL, NULL, NULL), SQLITE_OK);
    store_close(s);
    return p;
}

static void place_remove(const place *p)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    assert_int_equal(system(command), 0);
}

/* The whole of DIR/out/data/NAME; the caller frees it. */
static char *data_read(const place *p, const char *name)
{
    char path[160], *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/data/%s", p->out, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(getdelim(&text, &n, 0, f) > 0);
    fclose(f);
    return text;
}

static void check_has(const place *p, const char *name, const char *text, bool there)
{
    char *all = data_read(p, name);
    if ((strstr(all, text) != NULL) != there) {
        fail_msg("%s: `%s` is %s", name, text, there ? "not there" : "there");
    }
    free(all);
}

static int lines_count(const place *p, const char *name)
{
    char *all = data_read(p, name);
    int n = 0;
    for (size_t i = 0; all[i]; i++) {
        n += all[i] == '\n';
    }
    free(all);
    return n;
}

/* Whether a line of timeline.tsv has this beginning and this op, whatever its colour. */
static void check_box(const place *p, const char *start, const char *op)
{
    char *all = data_read(p, "timeline.tsv"), *save = NULL;
    bool found = false;
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        const char *last = strrchr(line, '\t');
        found |= strncmp(line, start, strlen(start)) == 0 && last && strcmp(last + 1, op) == 0;
    }
    free(all);
    if (!found) {
        fail_msg("no box `%s` of %s", start, op);
    }
}

static void report_without_gnuplot(const place *p)
{
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    assert_int_equal(report_write(p->db, NULL, p->out, NULL), GB_ERR_ENV);
    setenv("PATH", path, 1);
    free(path);
}

static bool is_drawn(const place *p)
{
    findings *data = NULL;
    assert_int_equal(findings_read(&data, p->db, NULL, NULL), GB_OK);
    bool any = figure_find("timeline")->has_data(data);
    findings_free(data);
    return any;
}

/* Two layers; the numbers that are checked below are these. */
static const char STEP[] =
    "DELETE FROM op_span; INSERT INTO op_span SELECT run_id, column1, column2, column3, column4,"
    " column5, column6 FROM (SELECT min(run_id) AS run_id FROM run), (VALUES"
    " (0, 'forward', -1, 'embed', 0, 100), (1, 'forward', 0, 'attention', 100, 300),"
    " (2, 'forward', 1, 'norm', 300, 400.5), (3, 'forward', 1, 'norm', 400.5, 500),"
    " (4, 'forward', -1, 'classifier', 500, 600), (5, 'backward', 1, 'attention', 650, 900),"
    " (6, 'backward', 0, 'attention', 900, 1300), (7, 'backward', -1, 'embed', 1299.9, 1300),"
    " (8, 'update', -1, 'adamw', 1300, 1400))";

static void test_boxes(void **state)
{
    (void)state;
    place p = place_make(1, STEP);
    assert_true(is_drawn(&p));
    report_without_gnuplot(&p);
    /* Rows: embedding, two layers, output. Neighbours of one op are one box, time without an op has
     * none, and an op of a tenth of a column fills it where it is the only one. */
    const struct {
        const char *start, *op;
    } boxes[] = {{"1\t0\t100\t", "embed"},       {"2\t100\t300\t", "attention"},
                 {"3\t300\t500\t", "norm"},      {"4\t500\t600\t", "classifier"},
                 {"3\t650\t900\t", "attention"}, {"2\t900\t1300\t", "attention"},
                 {"1\t1299\t1300\t", "embed"},   {"4\t1300\t1400\t", "adamw"}};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        check_box(&p, boxes[i].start, boxes[i].op);
    }
    /* Heading, boxes, the two empty lines at the block's end. */
    assert_int_equal(lines_count(&p, "timeline.tsv"), 1 + 8 + 2);
    check_has(&p, "timeline_phases.tsv", "\n0\t600\t", true);
    check_has(&p, "timeline_phases.tsv", "\tforward\t", true);
    check_has(&p, "timeline_phases.tsv", "\n650\t1300\t", true);
    check_has(&p, "timeline_phases.tsv", "\n1300\t1400\t", true);
    check_has(&p, "timeline_rows.tsv", "1\tembedding\n2\tlayer 0\n3\tlayer 1\n4\toutput, update\n",
              true);
    check_has(&p, "settings.gp", "timeline_panels = 1\n", true);
    check_has(&p, "settings.gp", "timeline_max = 1400\n", true);
    place_remove(&p);
}

/* Times that are none, layers beyond any, names that are none. */
static void test_nonsense(void **state)
{
    (void)state;
    place p = place_make(
        1, "UPDATE op_span SET begin_ms = -5 WHERE position = 1; UPDATE op_span SET end_ms = 9e999"
           " WHERE position = 2; UPDATE op_span SET layer = 1000000000 WHERE position = 3;"
           "UPDATE op_span SET op = '<x>', phase = '\"y' WHERE position = 4");
    report_without_gnuplot(&p);
    check_has(&p, "timeline.tsv", "\tother\n", true);
    check_has(&p, "timeline.tsv", "<x>", false);
    check_has(&p, "timeline_phases.tsv", "\"y", false);
    place_remove(&p);
}

/* Of five configs the baseline and the two whose step differs most from its 182 ms: 214.9 (+18 %)
 * and 151.3 (-17 %), the farther one, as a ratio, first. */
static void test_panels(void **state)
{
    (void)state;
    place p = place_make(5, "");
    report_without_gnuplot(&p);
    check_has(&p, "settings.gp", "timeline_panels = 3\n", true);
    char *titles = data_read(&p, "timeline_titles.tsv");
    const char *base = strstr(titles, "\n1\td12 (baseline): ");
    const char *second = strstr(titles, "\n2\td12_mlp3x_gqa: ");
    const char *third = strstr(titles, "\n3\td12_mlp3x_swiglu: ");
    assert_true(base && second && third);
    free(titles);
    place_remove(&p);
}

static void test_none(void **state)
{
    (void)state;
    place p = place_make(2, "DELETE FROM op_span");
    assert_false(is_drawn(&p));
    report_without_gnuplot(&p);
    check_has(&p, "settings.gp", "timeline_panels = 0\n", true);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_panels),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
