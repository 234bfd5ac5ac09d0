/* Least bytes of ops from what the database says of a model, and the roofline's data. Expected
 * bytes are worked out by hand from model/op_floor.h's rule (each input once, each output once) for
 * the made-up config of tests/fakes/fake_db.h: V 512, L 4, H 4, C 256, D 64, F 1024; B 8, T 256: N
 * 2048. Parameters: 512*256 + 4*(4*256*256 + 2*256*1024) = 3276800. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/entry_floor.h"
#include "bench/analysis/load.h"
#include "bench/report/figures/figures.h"
#include "bench/report/report.h"
#include "bench/words/op_table.h"
#include "tests/fakes/fake_db.h"

typedef struct place {
    char dir[64], db[96];
} place;

/* Other keys for every config. */
#define SETTINGS(pairs) "UPDATE config SET settings_json = json_set(settings_json, " pairs ")"

static place place_make(int configs)
{
    place p;
    snprintf(p.dir, sizeof p.dir, "/tmp/gptbench-roofline-XXXXXX");
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.db, sizeof p.db, "%s/r.db", p.dir);
    fake_db_make(&(fake_db){p.db, NULL, configs, 1, 40, false, false, false, true});
    return p;
}

static void place_remove(const place *p)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    assert_int_equal(system(command), 0);
}

static findings *read_with(const place *p, const char *change)
{
    store *s = NULL;
    findings *data = NULL;
    assert_int_equal(store_open(&s, p->db, STORE_WRITE, NULL), GB_OK);
    assert_int_equal(sqlite3_exec(store_sqlite(s), change, NULL, NULL, NULL), SQLITE_OK);
    store_close(s);
    assert_int_equal(findings_read(&data, p->db, NULL, NULL), GB_OK);
    return data;
}

static void check_bytes(const place *p, const char *change, const char *phase, const char *op,
                        double want)
{
    findings *data = read_with(p, change);
    double got = entry_op_floor(data, &data->entries[0], phase, op).bytes;
    if (got != want) {
        fail_msg("%s %s after `%s`: %.17g bytes, expected %.17g", op, phase, change, got, want);
    }
    findings_free(data);
}

static void test_bytes(void **state)
{
    (void)state;
    place p = place_make(1);
    /* 2L + 1 = 9 calls: x read and h written by the first, x and y read, x and h written by the
     * eight others: 34 rows of C per token; 9 statistics. fp32. */
    check_bytes(&p, "", "forward", "norm", 34.0 * 2048 * 256 * 4 + 9 * 4 * 2048);
    /* Master, m, v read and written, the gradient read: 28 bytes a parameter. */
    check_bytes(&p, "", "update", "adamw", 28.0 * 3276800);
    /* Two micro-batches a step: twice the passes, one update. */
    check_bytes(&p, "UPDATE run SET grad_accumulation_steps = 2", "forward", "norm",
                2 * (34.0 * 2048 * 256 * 4 + 9 * 4 * 2048));
    check_bytes(&p, "", "update", "adamw", 28.0 * 3276800);
    check_bytes(&p, "UPDATE run SET grad_accumulation_steps = 1, precision = 'bf16'", "update",
                "adamw", 30.0 * 3276800);
    check_bytes(&p, "", "forward", "norm", 34.0 * 2048 * 256 * 2 + 9 * 4 * 2048);
    check_bytes(&p, "UPDATE run SET precision = 'fp32'", "idle", "unattributed", 0);
    check_bytes(&p, "", "forward", "<b>", 0);
    check_bytes(&p, "", "nowhere", "norm", 0);
    /* K = 2 key/value heads: qkv is 8 heads of 64 wide where it was 12. In each layer h and w read,
     * qkv written. */
    check_bytes(&p, SETTINGS("'$.attention_type', 'gqa', '$.n_kv_head', 2"), "forward",
                "linear_qkv", 4.0 * 4 * (2048 * 256 + 256 * 512 + 2048 * 512));
    check_bytes(&p, SETTINGS("'$.attention_type', 'none such'"), "forward", "norm", 0);
    check_bytes(&p, SETTINGS("'$.attention_type', 'standard', '$.n_head', 0"), "forward", "norm",
                0);
    check_bytes(&p, SETTINGS("'$.n_head', 3"), "forward", "norm", 0);
    /* A key that is missing has its default, unless the number of parameters contradicts that. */
    check_bytes(&p,
                "UPDATE config SET n_params = 5, settings_json ="
                " json_remove(json_set(settings_json, '$.n_head', 4), '$.mlp_expansion_factor')",
                "forward", "norm", 0);
    check_bytes(&p, "UPDATE config SET n_params = 3276800", "forward", "norm",
                34.0 * 2048 * 256 * 4 + 9 * 4 * 2048);
    place_remove(&p);
}

/* A line of DIR/data/NAME that has the text, at its beginning or anywhere; the caller frees it.
 * NULL where there is none. */
static char *line_find(const place *p, const char *name, const char *text, bool begins)
{
    char path[160], line[512], *found = NULL;
    snprintf(path, sizeof path, "%s/out/data/%s", p->dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (!found && fgets(line, sizeof line, f)) {
        const char *at = strstr(line, text);
        found = at && (!begins || at == line) ? strdup(line) : NULL;
    }
    fclose(f);
    return found;
}

static char *line_of(const place *p, const char *name, const char *start)
{
    return line_find(p, name, start, true);
}

static char *line_with(const place *p, const char *name, const char *text)
{
    return line_find(p, name, text, false);
}

static void check_line(const place *p, const char *name, const char *start, bool there)
{
    char *line = line_of(p, name, start);
    if ((line != NULL) != there) {
        fail_msg("%s: `%s` is %s", name, start, there ? "not there" : "there");
    }
    free(line);
}

static void report_without_gnuplot(const place *p)
{
    char out[128], *path = strdup(getenv("PATH"));
    snprintf(out, sizeof out, "%s/out", p->dir);
    setenv("PATH", "/nowhere", 1);
    assert_int_equal(report_write(p->db, NULL, out, NULL), GB_ERR_ENV);
    setenv("PATH", path, 1);
    free(path);
}

static void test_points(void **state)
{
    (void)state;
    place p = place_make(2);
    /* Per step of three: attention backward 1e9 FLOPs in 20 ms, norm forward 10 ms. */
    findings *data =
        read_with(&p, "DELETE FROM op_time WHERE op NOT IN ('attention', 'norm') OR layer > 0;"
                      "DELETE FROM op_time WHERE (op = 'attention') = (phase = 'forward');"
                      "UPDATE op_time SET time_ms = 60, flops = 3e9 WHERE op = 'attention';"
                      "UPDATE op_time SET time_ms = 30, flops = 0 WHERE op = 'norm';"
                      "DELETE FROM op_time WHERE phase = 'eval'");
    assert_true(figure_find("roofline")->has_data(data));
    findings_free(data);
    report_without_gnuplot(&p);
    /* Backward reads qkv, out, dout and lse and writes dqkv: (2*768 + 2*256) values of 4 bytes and
     * 4 of 4 bytes a token and layer: 67239936 bytes. 1e9 / that = 14.8721; 1e9 / 20 ms. */
    char *line = line_of(&p, "roofline.tsv", "1\t14.872114\t50\t");
    assert_non_null(line);
    assert_non_null(strstr(line, "\td12\tattention\tbackward\n"));
    free(line);
    /* 71376896 bytes in 10 ms. */
    line = line_of(&p, "roofline_bytes.tsv", "1\t1\tnorm forward\t7.1376896\t");
    assert_non_null(line);
    assert_non_null(strstr(line, "\t7.14\td12\n"));
    free(line);
    /* 420 GFLOP/s and 20 GB/s meet at 21 FLOPs per byte. The axis begins at half of that, over 1.7,
     * where the copy allows 6.17647 * 20 GFLOP/s, and ends at 21 * 2.2. */
    const char *const roof[] = {"6.1764706\t123.52941\n", "21\t420\n", "46.2\t420\n"};
    for (int i = 0; i < 3; i++) {
        check_line(&p, "roofline_roofs.tsv", roof[i], true);
    }
    line = line_with(&p, "roofline_roof_labels.tsv",
                     "\t420\tlarge product, measured: 420 GFLOP/s; copy: 20.0 GB/s\t20\t");
    assert_non_null(line);
    free(line);
    place_remove(&p);
}

/* A database from before copies were measured: a flat roof, across the whole frame. */
static void test_no_copy_rate(void **state)
{
    (void)state;
    place p = place_make(1);
    findings *data =
        read_with(&p, "DELETE FROM op_time WHERE op <> 'attention' OR layer > 0 OR phase <> "
                      "'backward'; UPDATE op_time SET time_ms = 60, flops = 3e9;"
                      "UPDATE gemm_peak SET copy_bytes_per_s = NULL");
    op_row *rows = NULL;
    int n = 0;
    const op_roof roof = op_roof_of_entry(&data->entries[0]);
    assert_int_equal(op_rows_of_entry(&rows, &n, data, &data->entries[0], NULL), GB_OK);
    assert_int_equal(n, 1);
    assert_true(isnan(op_row_share(&rows[0], &roof)));
    assert_int_equal(op_row_bound(&rows[0], &roof), OP_BOUND_UNKNOWN);
    free(rows);
    findings_free(data);
    report_without_gnuplot(&p);
    /* 14.872114 FLOPs per byte, over 1.7 and times 2.2. */
    check_line(&p, "roofline_roofs.tsv", "8.7483024\t420\n", true);
    check_line(&p, "roofline_roofs.tsv", "32.718651\t420\n", true);
    check_line(&p, "roofline_roofs.tsv", "21\t", false);
    place_remove(&p);
}

/* Rows as `show` and the report print them. Per step: attention backward, in 1 of 4 layers, 1e9
 * FLOPs in 20 ms; its floor is that of all 4 layers: 4 products of 2 D (T (T + 1) / 2) FLOPs for
 * each of 8 * 4 heads in 4 layers, 2155872256 in all, 5.13303 ms at 420 GFLOP/s, and 67239936
 * bytes, 3.36200 ms at 20 GB/s. The longer one, by 20 ms: 25.665 %. */
static void test_rows(void **state)
{
    (void)state;
    place p = place_make(1);
    findings *data = read_with(
        &p, "DELETE FROM op_time WHERE op NOT IN ('attention', 'norm') OR phase <> 'backward';"
            "DELETE FROM op_time WHERE op = 'attention' AND layer > 0;"
            "UPDATE op_time SET time_ms = 60, flops = 3e9, thread_mean_ms = 40,"
            " thread_max_ms = 50 WHERE op = 'attention';"
            "UPDATE op_time SET time_ms = 3, flops = 0, calls = 3 WHERE op = 'norm'");
    op_row *rows = NULL;
    int n = 0;
    const op_roof roof = op_roof_of_entry(&data->entries[0]);
    assert_int_equal(op_rows_of_entry(&rows, &n, data, &data->entries[0], NULL), GB_OK);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].op, "attention");
    assert_true(fabs(rows[0].time_ms - 20) < 1e-12);
    assert_true(fabs(rows[0].flops - 1e9) < 1e-3);
    assert_true(fabs(op_row_share(&rows[0], &roof) - 2155872256 / 420e9 / 0.020) < 1e-9);
    assert_int_equal(op_row_bound(&rows[0], &roof), OP_BOUND_COMPUTE);
    assert_true(fabs(op_row_imbalance(&rows[0]) - 1.25) < 1e-12);
    /* Four layers of one call a step, 1 ms each: bytes alone bound it, and its threads are unknown.
     */
    assert_string_equal(rows[1].op, "norm");
    assert_true(fabs(rows[1].calls - 4) < 1e-12);
    assert_int_equal(op_row_bound(&rows[1], &roof), OP_BOUND_MEMORY);
    assert_true(isnan(op_row_imbalance(&rows[1])));
    free(rows);
    findings_free(data);
    place_remove(&p);
}

/* A made-up ledger of three profiled steps of 20 ms: what the rows say with `idle` and
 * `unattributed` among them adds up to the step, as printed to 0.1 % and 1 us a row. */
static void test_rows_add_up(void **state)
{
    (void)state;
    place p = place_make(1);
    findings *data = read_with(
        &p, "DELETE FROM op_time; UPDATE step SET step_ms = 20 WHERE tag = 'profiled';"
            "INSERT INTO op_time SELECT run_id, column1, -1, column2, 3, 3, column3, 0, NULL, NULL"
            " FROM run, (VALUES ('forward', 'norm', 30.3), ('update', 'adamw', 12.6),"
            " ('data', 'data', 0.9), ('idle', 'idle', 15.6), ('idle', 'unattributed', 0.6),"
            " ('eval', 'norm', 1000))");
    op_row *rows = NULL;
    table *t = NULL;
    char *text = NULL;
    size_t size = 0;
    int n = 0, found = 0;
    double sum_ms = 0, shown_ms = 0, shown_percent = 0;
    const op_roof roof = op_roof_of_entry(&data->entries[0]);
    assert_int_equal(op_rows_of_entry(&rows, &n, data, &data->entries[0], NULL), GB_OK);
    for (int i = 0; i < n; i++) {
        sum_ms += rows[i].time_ms;
    }
    assert_int_equal(n, 5);
    assert_true(fabs(sum_ms - 20) < 1e-9);
    assert_int_equal(op_table_make(&t, rows, n, sum_ms, &roof, NULL), GB_OK);
    FILE *f = open_memstream(&text, &size);
    assert_int_equal(table_write(t, f, TABLE_TSV, NULL), GB_OK);
    fclose(f);
    for (char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        char op[32], phase[32];
        double ms, percent;
        assert_int_equal(sscanf(line, " %31s %31s %lf %lf", op, phase, &ms, &percent), 4);
        shown_ms += ms;
        shown_percent += percent;
        found += strcmp(op, "idle") == 0 ? ms == 5.2 && percent == 26.0 : 0;
        found += strcmp(op, "unattributed") == 0 ? ms == 0.2 && percent == 1.0 : 0;
    }
    assert_int_equal(found, 2);
    assert_true(fabs(shown_ms - 20) < 5 * 0.001);
    assert_true(fabs(shown_percent - 100) < 5 * 0.1);
    free(text);
    table_free(t);
    free(rows);
    findings_free(data);
    place_remove(&p);
}

static void test_nothing_known(void **state)
{
    (void)state;
    place p = place_make(2);
    findings *data = read_with(&p, SETTINGS("'$.n_embd', 0"));
    assert_false(figure_find("roofline")->has_data(data));
    findings_free(data);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),        cmocka_unit_test(test_points),
        cmocka_unit_test(test_no_copy_rate), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_add_up),  cmocka_unit_test(test_nothing_known),
    };
    return cmocka_run_group_tests_name("roofline", tests, NULL, NULL);
}
