/* Least bytes of ops from what the database says of a model, and the roofline's data. Expected
 * bytes are worked out by hand from model/op_floor.h's rule (each input once, each output once) for
 * the made-up config of tests/fake_db.h: V 512, L 4, H 4, C 256, D 64, F 1024; B 8, T 256: N 2048.
 * Parameters: 512*256 + 4*(4*256*256 + 2*256*1024) = 3276800. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/entry_floor.h"
#include "bench/figures.h"
#include "bench/report.h"
#include "tests/fake_db.h"

typedef struct place {
    char dir[64], db[96];
} place;

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

static report_data *read_with(const place *p, const char *change)
{
    store *s = NULL;
    report_data *data = NULL;
    assert_int_equal(store_open(&s, p->db, STORE_WRITE, NULL), GB_OK);
    assert_int_equal(sqlite3_exec(store_sqlite(s), change, NULL, NULL, NULL), SQLITE_OK);
    store_close(s);
    assert_int_equal(report_data_read(&data, p->db, NULL, NULL), GB_OK);
    return data;
}

static void check_bytes(const place *p, const char *change, const char *phase, const char *op,
                        double want)
{
    report_data *data = read_with(p, change);
    double got = entry_op_floor(data, &data->entries[0], phase, op).bytes;
    if (got != want) {
        fail_msg("%s %s after `%s`: %.17g bytes, expected %.17g", op, phase, change, got, want);
    }
    report_data_free(data);
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
    check_bytes(&p, "UPDATE config SET attention_type = 'gqa', n_kv_head = 2", "forward",
                "linear_qkv", 4.0 * 4 * (2048 * 256 + 256 * 512 + 2048 * 512));
    check_bytes(&p, "UPDATE config SET attention_type = 'none such'", "forward", "norm", 0);
    check_bytes(&p, "UPDATE config SET attention_type = 'standard', n_head = 0", "forward", "norm",
                0);
    check_bytes(&p, "UPDATE config SET n_head = 3", "forward", "norm", 0);
    place_remove(&p);
}

/* A line of DIR/data/NAME that begins so; the caller frees it. NULL where there is none. */
static char *line_of(const place *p, const char *name, const char *start)
{
    char path[160], line[512], *found = NULL;
    snprintf(path, sizeof path, "%s/out/data/%s", p->dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (!found && fgets(line, sizeof line, f)) {
        found = strncmp(line, start, strlen(start)) == 0 ? strdup(line) : NULL;
    }
    fclose(f);
    return found;
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
    report_data *data =
        read_with(&p, "DELETE FROM op_time WHERE op NOT IN ('attention', 'norm') OR layer > 0;"
                      "DELETE FROM op_time WHERE (op = 'attention') = (phase = 'forward');"
                      "UPDATE op_time SET time_ms = 60, flops = 3e9 WHERE op = 'attention';"
                      "UPDATE op_time SET time_ms = 30, flops = 0 WHERE op = 'norm';"
                      "DELETE FROM op_time WHERE phase = 'eval'");
    for (int i = 0; i < FIGURE_COUNT; i++) {
        if (strcmp(figure_list[i].name, "roofline") == 0) {
            assert_true(figure_has_data(data, &figure_list[i]));
        }
    }
    report_data_free(data);
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
    line = line_of(&p, "roofline_roofs.tsv", "420\tlarge product, measured: 420 GFLOP/s\n");
    assert_non_null(line);
    free(line);
    place_remove(&p);
}

static void test_nothing_known(void **state)
{
    (void)state;
    place p = place_make(2);
    report_data *data = read_with(&p, "UPDATE config SET n_embd = 0");
    for (int i = 0; i < FIGURE_COUNT; i++) {
        if (strcmp(figure_list[i].name, "roofline") == 0) {
            assert_false(figure_has_data(data, &figure_list[i]));
        }
    }
    report_data_free(data);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_nothing_known),
    };
    return cmocka_run_group_tests_name("roofline", tests, NULL, NULL);
}
