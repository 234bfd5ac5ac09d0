/* The ledger between two configs, over databases whose every number is put there by hand. Expected
 * values are worked out beside the checks; t(0.975, 1) = 12.706204736432095 (SciPy). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/entry_pair.h"
#include "bench/analysis/load.h"
#include "bench/words/ledger_text.h"
#include "tests/fakes/fake_db.h"

#define T1    12.706204736432095
#define MINUS "\xe2\x88\x92"
#define TIMES "\xc3\x97"
#define ARROW "\xe2\x86\x92"

/* ---- a database by hand ---- */

typedef struct place {
    char db[64];
    findings *data;
    ledger *l;
} place;

static void sql(const char *db, const char *text)
{
    store *s = NULL;
    assert_int_equal(store_open(&s, db, STORE_WRITE, NULL), GB_OK);
    char *message = NULL;
    if (sqlite3_exec(store_sqlite(s), text, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s in: %s", message, text);
    }
    store_close(s);
}

static void hand_made_row(store *s, int run, const char *phase, int layer, const char *op,
                          double time_ms, double flops)
{
    fake_exec(s,
              "INSERT INTO op_time (run_id, phase, layer, op, steps, calls, time_ms, flops)"
              " VALUES (%d,%Q,%d,%Q,2,2,%.4f,%.1f)",
              run, phase, layer, op, time_ms, flops);
}

/* Two configs, two replicates; runs 100 and 101 are the base's, 200 and 201 the new one's. Rows
 * are sums over two profiled steps:
 *
 *                          per step, ms:  base 0  base 1  new 0  new 1    GFLOPs: base  new
 *   linear_mlp_up forward (two layers)     10      12      9      10               2     1.5
 *   attention backward                     20      22      26     28               1     1
 *   norm forward                            3       3       3      5
 *   zero forward                            -       -       0.5    0.5
 *   unattributed idle                       1       1       1      1
 *   data data                               0.25    0.25    0.25   0.25
 *   profiled step                          34.25   38.25   39.75  44.75
 *   timed steps                            34      38      39     43 */
static void hand_made(place *p)
{
    static const double ms[4][6] = {{10, 20, 3, 0, 1, 0.25},
                                    {12, 22, 3, 0, 1, 0.25},
                                    {9, 26, 3, 0.5, 1, 0.25},
                                    {10, 28, 5, 0.5, 1, 0.25}};
    static const double timed[4] = {34, 38, 39, 43};
    static const int runs[4] = {100, 101, 200, 201};
    fake_db_name(p->db);
    p->data = NULL;
    p->l = NULL;
    fake_db_make(&(fake_db){p->db, NULL, 2, 2, 40, false, false, false, false});
    store *s = NULL;
    assert_int_equal(store_open(&s, p->db, STORE_WRITE, NULL), GB_OK);
    fake_exec(s, "DELETE FROM op_time");
    for (int i = 0; i < 4; i++) {
        const double *row = ms[i];
        double total = 0;
        for (int k = 0; k < 6; k++) {
            total += row[k];
        }
        /* half of it in each layer, twice that for two steps */
        hand_made_row(s, runs[i], "forward", 0, "linear_mlp_up", row[0], i < 2 ? 2e9 : 1.5e9);
        hand_made_row(s, runs[i], "forward", 1, "linear_mlp_up", row[0], i < 2 ? 2e9 : 1.5e9);
        hand_made_row(s, runs[i], "backward", 0, "attention", 2 * row[1], 2e9);
        hand_made_row(s, runs[i], "forward", -1, "norm", 2 * row[2], 0);
        if (row[3] > 0) {
            hand_made_row(s, runs[i], "forward", 0, "zero", 2 * row[3], 0);
        }
        hand_made_row(s, runs[i], "idle", -1, "unattributed", 2 * row[4], 0);
        hand_made_row(s, runs[i], "data", -1, "data", 2 * row[5], 0);
        hand_made_row(s, runs[i], "eval", 0, "attention", 99999, 7e9);
        fake_exec(s,
                  "UPDATE step SET step_ms = CASE tag WHEN 'profiled' THEN %.4f ELSE %.4f END"
                  " WHERE run_id = %d",
                  total, timed[i], runs[i]);
    }
    store_close(s);
    /* Batch 8 x 256 tokens, width 256: the MLP shrinks from 1024 to 768. */
    sql(p->db, "UPDATE config SET settings_json ="
               " json_set(settings_json, '$.mlp_expansion_factor', 3.0) WHERE is_baseline = 0");
}

static void place_open(place *p, ledger_by by)
{
    gb_error err = {0};
    if (findings_read(&p->data, p->db, NULL, &err) != GB_OK ||
        ledger_make(&p->l, p->data, &p->data->entries[0], &p->data->entries[1], by, &err) !=
            GB_OK) {
        fail_msg("%s", err.message);
    }
}

static void place_close(place *p)
{
    ledger_free(p->l);
    findings_free(p->data);
    p->l = NULL;
    p->data = NULL;
}

static void place_remove(place *p)
{
    place_close(p);
    fake_db_remove(p->db);
}

static char *table_text(const ledger *l)
{
    char *text = NULL;
    size_t size = 0;
    table *t = NULL;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(ledger_table(&t, l, NULL), GB_OK);
    assert_int_equal(table_write(t, out, TABLE_TSV, NULL), GB_OK);
    table_free(t);
    fclose(out);
    return text;
}

static void check_close(double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= 1e-10 * (fabs(want) + T1))) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

static const ledger_row *row_named(const ledger *l, const char *name)
{
    for (int i = 0; i < l->n_rows; i++) {
        if (strcmp(ledger_row_name(&l->rows[i]).text, name) == 0) {
            return &l->rows[i];
        }
    }
    fail_msg("no row %s", name);
    return NULL;
}

static bool sentences_have(const ledger_sentences *s, const char *part)
{
    for (int i = 0; i < s->n; i++) {
        if (strstr(s->texts[i], part)) {
            return true;
        }
    }
    return false;
}

/* ---- numbers ---- */

static void check_row(const ledger *l, const char *name, double base, double new_ms, double change,
                      double half, int noise)
{
    const ledger_row *row = row_named(l, name);
    check_close(row->base_ms, base);
    check_close(row->new_ms, new_ms);
    check_close(row->change_ms.value, change);
    check_close(row->change_ms.low, change - half);
    check_close(row->change_ms.high, change + half);
    assert_int_equal(ledger_within_noise(row->change_ms), noise);
}

static void test_rows(void **state)
{
    (void)state;
    place p;
    hand_made(&p);
    place_open(&p, LEDGER_BY_OP_PHASE);
    assert_int_equal(p.l->n_rows, 6);
    assert_int_equal(p.l->n_pairs, 2);
    /* Differences per pair: -1, -2 (standard error of their mean 0.5); 6, 6; 0, 2 (1); ... */
    check_row(p.l, "linear_mlp_up forward", 11, 9.5, -1.5, 0.5 * T1, 1);
    check_row(p.l, "attention backward", 21, 27, 6, 0, 0);
    check_row(p.l, "norm forward", 3, 4, 1, T1, 1);
    check_row(p.l, "zero forward", 0, 0.5, 0.5, 0, 0);
    check_row(p.l, "unattributed idle", 1, 1, 0, 0, 1);
    check_row(p.l, "data data", 0.25, 0.25, 0, 0, 1);
    const ledger_row *up = row_named(p.l, "linear_mlp_up forward");
    check_close(up->base_flops, 2e9);
    check_close(up->new_flops, 1.5e9);
    /* At 3/4 of the FLOPs the base would take 7.5 and 9 ms: 1.5 and 1 ms less than 9 and 10. */
    check_close(up->rate_ms.value, 1.25);
    check_close(up->rate_ms.low, 1.25 - 0.25 * T1);
    assert_true(isnan(row_named(p.l, "norm forward")->rate_ms.value));
    check_close(p.l->profiled.base_ms, 36.25);
    check_close(p.l->profiled.new_ms, 42.25);
    check_close(p.l->profiled.change_ms.low, 6 - 0.5 * T1); /* of 5.5 and 6.5 */
    check_close(p.l->timed.base_ms, 36);
    check_close(p.l->timed.new_ms, 41);
    assert_string_equal(ledger_row_name(&p.l->rows[0]).text, "attention backward");
    assert_string_equal(ledger_row_name(&p.l->rows[1]).text, "linear_mlp_up forward");
    place_remove(&p);
}

static void test_table_to_the_digit(void **state)
{
    (void)state;
    place p;
    hand_made(&p);
    place_open(&p, LEDGER_BY_OP_PHASE);
    char *text = table_text(p.l);
    /* Shares of +6 ms; 2 GFLOPs in 11 ms = 181.8 GFLOP/s, 1.5 in 9.5 = 157.9, 1 in 21 = 47.6, 1 in
     * 27 = 37.0; intervals 0.5, 1 times 12.7062. */
    assert_string_equal(
        text,
        "op\tbase ms\tnew ms\tdifference\t95 % \xc2\xb1\tshare\ttime ratio\tFLOPs ratio\t"
        "base GFLOP/s\tnew GFLOP/s\t\n"
        "attention backward\t21.000\t27.000\t+6.000\t0.000\t+100.0 %\t1.286\t1.000\t47.6\t37.0\t\n"
        "linear_mlp_up forward\t11.000\t9.500\t" MINUS "1.500\t6.353\t" MINUS
        "25.0 %\t0.864\t0.750\t182\t158\twithin noise\n"
        "norm forward\t3.000\t4.000\t+1.000\t12.706\t+16.7 %\t1.333\t-\t-\t-\twithin noise\n"
        "zero forward\t0.000\t0.500\t+0.500\t0.000\t+8.3 %\t-\t-\t-\t-\t\n"
        "data data\t0.250\t0.250\t0.000\t0.000\t0.0 %\t1.000\t-\t-\t-\twithin noise\n"
        "unattributed idle\t1.000\t1.000\t0.000\t0.000\t0.0 %\t1.000\t-\t-\t-\twithin noise\n"
        "'= profiled step\t36.250\t42.250\t+6.000\t6.353\t\t1.166\t\t\t\t\n" MINUS
        " beyond a timed step\t0.250\t1.250\t+1.000\t-\t\t\t\t\t\t\n"
        "'= step_avg, of the runs\t36.000\t41.000\t+5.000\t0.000\t\t1.139\t\t\t\t\n");
    free(text);
    place_close(&p);

    place_open(&p, LEDGER_BY_LAYER);
    assert_int_equal(p.l->n_rows, 5);
    /* Layer 0: half of linear_mlp_up, attention, zero: 25, 28; 31, 33.5. */
    check_row(p.l, "layer 0", 26.5, 32.25, 5.75, 0.25 * T1, 0);
    check_row(p.l, "layer 1", 5.5, 4.75, -0.75, 0.25 * T1, 1);
    place_close(&p);
    place_open(&p, LEDGER_BY_OP);
    assert_int_equal(p.l->n_rows, 6);
    check_row(p.l, "attention", 21, 27, 6, 0, 0);
    place_remove(&p);
}

static void test_words(void **state)
{
    (void)state;
    place p;
    ledger_sentences s, notes;
    hand_made(&p);
    place_open(&p, LEDGER_BY_OP_PHASE);
    assert_int_equal(ledger_read(&s, p.l, 5, NULL), GB_OK);
    assert_int_equal(s.n, 4);
    assert_string_equal(
        s.texts[0],
        "A profiled step takes 36.25 ms in d12 and 42.25 ms in d12_mlp3x: +6.00 ms, +16.6 % (95 % "
        "interval " MINUS "0.35 to +12.35 ms); the interval holds 0, so the direction is not "
        "settled. Its FLOPs: " MINUS "16.7 %.");
    assert_string_equal(
        s.texts[1], "attention backward: the same FLOPs but +28.6 % time, +6.00 ms (95 % interval "
                    "+6.00 to +6.00 ms): 47.6 " ARROW " 37.0 GFLOP/s.");
    assert_string_equal(s.texts[2], "zero forward: +0.50 ms (95 % interval +0.50 to +0.50 ms), only"
                                    " in d12_mlp3x.");
    /* -1.5 + 1 + 0 + 0 */
    assert_string_equal(s.texts[3], "4 of 6 rows are within noise (their intervals hold 0); "
                                    "together they make " MINUS "0.50 ms.");
    ledger_sentences_free(&s);
    assert_int_equal(ledger_notes(&notes, p.l, NULL), GB_OK);
    assert_int_equal(notes.n, 1);
    assert_true(sentences_have(&notes, "Means over 2 replicates that both have"));
    ledger_sentences_free(&notes);
    place_close(&p);

    /* One replicate: no interval anywhere, nothing is called noise, and the note says so. */
    sql(p.db, "UPDATE run SET status = 'killed' WHERE replicate = 1");
    place_open(&p, LEDGER_BY_OP_PHASE);
    assert_int_equal(p.l->n_pairs, 1);
    check_row(p.l, "linear_mlp_up forward", 10, 9, -1, NAN, -1);
    assert_int_equal(ledger_read(&s, p.l, 5, NULL), GB_OK);
    /* 2048 tokens, 256 in, the hidden layer out; 7.5 ms at the old rate; 1.5e9 / 9 ms. */
    assert_true(sentences_have(
        &s, "linear_mlp_up forward: " MINUS "25.0 % FLOPs but " MINUS "10.0 % time, " MINUS
            "1.00 ms: 200 " ARROW " 167 GFLOP/s. At the old rate its FLOPs would make " MINUS
            "2.50 ms; the lower rate makes +1.50 ms. Products (M" TIMES "N" TIMES "K): y 2048" TIMES
            "1024" TIMES "256 " ARROW " 2048" TIMES "768" TIMES "256."));
    assert_false(sentences_have(&s, "noise"));
    ledger_sentences_free(&s);
    assert_int_equal(ledger_notes(&notes, p.l, NULL), GB_OK);
    assert_true(sentences_have(&notes, "One replicate: no row has an interval"));
    ledger_sentences_free(&notes);
    char *text = table_text(p.l);
    assert_null(strstr(text, "within noise"));
    free(text);
    place_close(&p);

    /* 71376896 bytes at least (tests/unit/analysis/test_roofline.c), in 3 and in 5 ms. */
    sql(p.db, "UPDATE op_time SET time_ms = 10 WHERE run_id = 200 AND op = 'norm'");
    place_open(&p, LEDGER_BY_OP_PHASE);
    assert_int_equal(ledger_read(&s, p.l, 5, NULL), GB_OK);
    assert_true(sentences_have(&s, "norm forward: +2.00 ms, +66.7 %. It must move the same bytes: "
                                   "23.8 " ARROW " 14.3 GB/s."));
    ledger_sentences_free(&s);
    place_remove(&p);
}

/* ---- what the database may lack or say ---- */

static void test_gaps(void **state)
{
    (void)state;
    place p;
    gb_error err = {0};
    ledger_sentences notes;
    hand_made(&p);
    /* No replicate in common, no machine, no timed step; one row is missing: its 3 ms are a row. */
    sql(p.db, "UPDATE run SET status = 'nan' WHERE run_id IN (101, 200);"
              "UPDATE run SET machine_id = NULL;"
              "UPDATE step SET tag = 'eval' WHERE tag = 'timed';"
              "DELETE FROM op_time WHERE run_id = 100 AND op = 'norm'");
    place_open(&p, LEDGER_BY_OP_PHASE);
    assert_int_equal(p.l->n_pairs, 0);
    check_row(p.l, LEDGER_GAP, 3, 0, -3, NAN, -1);
    check_row(p.l, "norm forward", 0, 5, 5, NAN, -1);
    check_close(p.l->profiled.change_ms.value, 44.75 - 34.25);
    assert_true(isnan(p.l->timed.base_ms));
    char *text = table_text(p.l);
    assert_non_null(strstr(text, "'= profiled step\t34.250\t44.750\t+10.500"));
    assert_null(strstr(text, "step_avg"));
    free(text);
    assert_int_equal(ledger_notes(&notes, p.l, NULL), GB_OK);
    assert_true(sentences_have(&notes, "no replicate in common (1 and 1)"));
    ledger_sentences_free(&notes);
    place_close(&p);

    sql(p.db, "UPDATE op_time SET time_ms = 9e999 WHERE run_id = 100 AND op = 'attention'");
    assert_int_equal(findings_read(&p.data, p.db, NULL, NULL), GB_OK);
    assert_int_equal(
        ledger_make(&p.l, p.data, &p.data->entries[0], &p.data->entries[1], LEDGER_BY_OP, &err),
        GB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "run 100"));
    place_close(&p);
    sql(p.db, "DELETE FROM op_time WHERE run_id = 100");
    assert_int_equal(findings_read(&p.data, p.db, NULL, NULL), GB_OK);
    assert_int_equal(
        ledger_make(&p.l, p.data, &p.data->entries[0], &p.data->entries[1], LEDGER_BY_OP, &err),
        GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "`d12` has no profiled steps"));
    place_remove(&p);
}

static void test_conditions(void **state)
{
    (void)state;
    place p;
    ledger_sentences notes;
    hand_made(&p);
    sql(p.db,
        "UPDATE run SET threads = 1, tokens_per_step = 512 WHERE run_id >= 200;"
        "UPDATE run SET profile_note = 'incomplete: 7 records were dropped' WHERE run_id = 201");
    place_open(&p, LEDGER_BY_OP);
    assert_int_equal(ledger_notes(&notes, p.l, NULL), GB_OK);
    assert_true(
        sentences_have(&notes, "step by step: threads 2 and 1; tokens per step 2048 and 512"));
    assert_true(sentences_have(
        &notes, "profile of d12_mlp3x, replicate 1: incomplete: 7 records were dropped; "
                "unattributed there: 2.2 % of a step.")); /* 1 of 44.75 ms */
    assert_int_equal(notes.n, 4);
    assert_true(sentences_have(&notes, "2048 tokens in the one and 512 in the other"));
    ledger_sentences_free(&notes);
    place_remove(&p);
}

/* ---- figures that add up as printed ---- */

static int64_t digits_of(const char *cell)
{
    int64_t value = 0;
    bool negative = strncmp(cell, MINUS, 3) == 0;
    for (; *cell && *cell != '\t'; cell++) {
        value = *cell >= '0' && *cell <= '9' ? 10 * value + (*cell - '0') : value;
    }
    return negative ? -value : value;
}

/* Adds up the columns of a printed table in its own digits. */
static void check_sums(const ledger *l)
{
    char *text = table_text(l), *line = strchr(text, '\n') + 1;
    int64_t sum[3] = {0, 0, 0};
    for (int i = 0; i <= l->n_rows; i++) {
        int64_t cells[3];
        char *cell = line;
        for (int k = 0; k < 3; k++) {
            cell = strchr(cell, '\t') + 1;
            cells[k] = digits_of(cell);
        }
        assert_int_equal(cells[2], cells[1] - cells[0]);
        for (int k = 0; k < 3; k++) {
            if (i < l->n_rows) {
                sum[k] += cells[k];
            } else { /* the line of the sum */
                assert_int_equal(strncmp(line, "'= profiled step", 15), 0);
                assert_int_equal(sum[k], cells[k]);
            }
        }
        line = strchr(line, '\n') + 1;
    }
    free(text);
}

static void test_sums(void **state)
{
    (void)state;
    place p;
    fake_db_name(p.db);
    for (int replicates = 1; replicates <= 3; replicates++) {
        fake_db_make(&(fake_db){p.db, NULL, 9, replicates, 40, true, false, true, true});
        p.data = NULL;
        assert_int_equal(findings_read(&p.data, p.db, NULL, NULL), GB_OK);
        for (int i = 1; i < p.data->n_entries; i++) {
            for (int by = 0; by < LEDGER_BY_COUNT; by++) {
                assert_int_equal(ledger_make(&p.l, p.data, &p.data->entries[0], &p.data->entries[i],
                                             (ledger_by)by, NULL),
                                 GB_OK);
                check_sums(p.l);
                ledger_free(p.l);
            }
        }
        p.l = NULL;
        place_remove(&p);
    }
}

static void test_round(void **state)
{
    (void)state;
    /* 0.5 + 0.5 + 0.5 = 1.5, asked to make 2: two of them go up, the first ones. */
    int64_t out[3];
    ledger_round((const double[]){0.5, 0.5, 0.5}, 3, 2, out);
    assert_true(out[0] == 1 && out[1] == 1 && out[2] == 0);
    ledger_round((const double[]){-1.2, 3.9, 0.3}, 3, 3, out);
    assert_true(out[0] == -1 && out[1] == 4 && out[2] == 0);
    ledger_round((const double[]){2, 2, 2}, 3, 5, out); /* the sum was rounded the other way */
    assert_int_equal(out[0] + out[1] + out[2], 5);
    ledger_round(NULL, 0, 7, out);
}

/* ---- lookup ---- */

static void test_pairs(void **state)
{
    (void)state;
    place p;
    gb_error err = {0};
    const result_entry *base, *e;
    hand_made(&p);
    place_open(&p, LEDGER_BY_OP);
    assert_int_equal(entry_pair_find(p.data, (const char *[]){"d12", "d12_mlp3x"}, &base, &e, &err),
                     GB_OK);
    assert_true(base == &p.data->entries[0] && e == &p.data->entries[1]);
    assert_int_equal(entry_pair_find(p.data, (const char *[]){"d12", "d12_mlp3"}, &base, &e, &err),
                     GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "did you mean `d12_mlp3x`?"));
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_table_to_the_digit),
        cmocka_unit_test(test_words),      cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_sums),
        cmocka_unit_test(test_round),      cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
