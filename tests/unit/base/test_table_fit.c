/* Tables and sentences in terminals of given widths. Expected texts are written out by hand.
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/base/text_lines.h"

#define NAME_40 "mlp_of_three_times_the_width_of_the_mode"

static char *fitted(const table *t, int width)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    gb_error err = {0};
    assert_non_null(stream);
    assert_int_equal(table_write_fitted(t, stream, width, &err), GB_OK);
    fclose(stream);
    return text;
}

static void check_fitted(const table *t, int width, const char *want)
{
    char *text = fitted(t, width);
    assert_string_equal(text, want);
    free(text);
}

/* Three columns: a name, a number that matters, one that matters less. */
static table *small_table(void)
{
    static const char *const rows[][3] = {{"base", "1.0 ms", "12,800"}, {"e3", "2.0 ms", "9"}};
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "step", TABLE_RIGHT);
    table_add_column(t, "tokens/s", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 2);
    for (int r = 0; r < 2; r++) {
        table_begin_row(t);
        for (int c = 0; c < 3; c++) {
            table_add_cell(t, "%s", rows[r][c]);
        }
    }
    return t;
}

static void test_moves(void **state)
{
    (void)state;
    table *t = small_table();
    const char *whole = "config    step  tokens/s\n"
                        "------  ------  --------\n"
                        "base    1.0 ms    12,800\n"
                        "e3      2.0 ms         9\n";
    check_fitted(t, 0, whole);
    check_fitted(t, 24, whole); /* 6 + 2 + 6 + 2 + 8 */
    check_fitted(t, 23,
                 "config    step\n"
                 "  tokens/s\n"
                 "--------------\n"
                 "base    1.0 ms\n"
                 "    12,800\n"
                 "e3      2.0 ms\n"
                 "         9\n");
    check_fitted(t, 13,
                 "config\n"
                 "    step\n"
                 "  tokens/s\n"
                 "----------\n"
                 "base\n"
                 "  1.0 ms\n"
                 "    12,800\n"
                 "e3\n"
                 "  2.0 ms\n"
                 "         9\n");
    table_free(t);
}

/* What is the same in all rows is said once, unless it is what the table is about (rank 1); what
 * has left makes room again. */
static void test_same(void **state)
{
    (void)state;
    table *t = table_create();
    table_add_column(t, "run", TABLE_RIGHT);
    table_add_column(t, "backend", TABLE_LEFT);
    table_column_fit(t, TABLE_MOVE, 3);
    table_add_column(t, "status", TABLE_LEFT);
    table_add_column(t, "notes", TABLE_LEFT);
    table_column_fit(t, TABLE_MOVE, 2);
    for (int r = 1; r <= 2; r++) {
        table_begin_row(t);
        table_add_cell(t, "%d", r);
        table_add_cell(t, "cpu fp32");
        table_add_cell(t, "ok");
        table_add_cell(t, r == 1 ? "a" : "b");
    }
    check_fitted(t, 26,
                 "run  status  notes\n"
                 "---  ------  -----\n"
                 "  1  ok      a\n"
                 "  2  ok      b\n"
                 "\n"
                 "in all rows: backend cpu\n"
                 "  fp32\n");
    check_fitted(t, 15,
                 "run  status\n"
                 "  notes\n"
                 "-----------\n"
                 "  1  ok\n"
                 "  a\n"
                 "  2  ok\n"
                 "  b\n"
                 "\n"
                 "in all rows:\n"
                 "  backend cpu\n"
                 "  fp32\n");
    table_free(t);
}

static void test_below(void **state)
{
    (void)state;
    table *t = table_create();
    table_add_column(t, "metric", TABLE_LEFT);
    table_add_column(t, "change", TABLE_RIGHT);
    table_add_column(t, "how", TABLE_LEFT);
    table_column_fit(t, TABLE_BELOW, 1);
    const char *rows[][3] = {{"step_avg", "+1 %", "medians of bursts in turn"},
                             {"flops", "0 %", "exact"},
                             {"tokens/s",
                              "\xe2\x88\x92"
                              "1 %",
                              "medians of bursts in turn"}};
    for (int r = 0; r < 3; r++) {
        table_begin_row(t);
        for (int c = 0; c < 3; c++) {
            table_add_cell(t, "%s", rows[r][c]);
        }
    }
    check_fitted(t, 30,
                 "metric    change\n"
                 "--------  ------\n"
                 "step_avg    +1 %\n"
                 "flops        0 %\n"
                 "tokens/s    \xe2\x88\x92"
                 "1 %\n"
                 "\n"
                 "how:\n"
                 "  step_avg, tokens/s: medians\n"
                 "    of bursts in turn\n"
                 "  flops: exact\n");
    table_free(t);
}

static void test_wraps(void **state)
{
    (void)state;
    table *t = table_create();
    table_add_column(t, "key", TABLE_LEFT);
    table_add_column(t, "meaning", TABLE_LEFT);
    table_column_wrap(t, 12, 1);
    table_begin_row(t);
    table_add_cell(t, "seed");
    table_add_cell(t, "of weights and of data");
    check_fitted(t, 20,
                 "key   meaning\n"
                 "----  --------------\n"
                 "seed  of weights and\n"
                 "      of data\n");
    check_fitted(t, 17,
                 "key\n" /* 11 columns are not enough for it */
                 "  meaning\n"
                 "-----------------\n"
                 "seed\n"
                 "  of weights and\n"
                 "  of data\n");
    table_free(t);
}

/* Whatever the width, and with names of 40 letters: no line is wider, and nothing is lost. */
static void test_any_width(void **state)
{
    (void)state;
    table *t = table_create();
    const char *headings[] = {"config", "time vs base", "long words", "how"};
    for (int i = 0; i < 4; i++) {
        table_add_column(t, headings[i], i % 2 ? TABLE_RIGHT : TABLE_LEFT);
    }
    table_column_fit(t, TABLE_BELOW, 1);
    for (int r = 0; r < 3; r++) {
        table_begin_row(t);
        table_add_cell(t, r == 1 ? NAME_40 : "b");
        table_add_cell(t, "FASTER \xe2\x88\x92%d %%", r);
        table_add_cell(t, "\xe6\xbc\xa2\xe5\xad\x97 %d", r); /* two letters of two columns */
        table_add_cell(t, "a sentence of some length, number %d", r);
    }
    for (int width = 10; width < 150; width++) {
        char *text = fitted(t, width), *rest = text;
        int digits = 0;
        for (char *line; (line = strsep(&rest, "\n"));) {
            assert_true(text_width(line) <= width);
            for (const char *p = line; *p; p++) {
                digits += *p >= '0' && *p <= '9';
            }
        }
        assert_int_equal(digits, 9); /* three in each row */
        free(text);
    }
    table_free(t);
}

static void check_paragraph(int width, int hang, const char *text, const char *want)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    assert_non_null(stream);
    char *copy = strdup(text);
    assert_non_null(copy);
    terminal_write_paragraph(stream, width, 0, hang, copy);
    free(copy);
    fclose(stream);
    assert_string_equal(out, want);
    free(out);
}

static void test_paragraphs(void **state)
{
    (void)state;
    /* Elsewhere than on a terminal: as it stands, made inert. */
    check_paragraph(0, 2, "\none two\nthree\033\n", "\none two\nthree?\n");
    /* 123456789 */
    check_paragraph(9, 2, "\none two\nthree four\n", "\none two\n  three\n  four\n");
    check_paragraph(9, 0, "one\n\ntwo\n", "one\n\ntwo\n");
    /* A number keeps its unit of one letter, a command stays whole as long as it can. */
    check_paragraph(9, 0, "about 12 % off", "about\n12 % off");
    check_paragraph(12, 0, "say `make it` now", "say\n`make it`\nnow");
    check_paragraph(6, 0, "say `make it`, now", "say\n`make it`,\nnow");
    check_paragraph(6, 0, "say `make it", "say\n`make\nit"); /* no quotation */
    /* A long name is broken behind a mark in it, else anywhere. */
    check_paragraph(8, 0, "results/quick.db", "results/\nquick.db");
    check_paragraph(4, 0, "abcdefgh", "abcd\nefgh");
    check_paragraph(12, 30, "a hanging indent", "a hanging\n      indent"); /* at most half */
}

static void test_widths(void **state)
{
    (void)state;
    size_t next;
    assert_int_equal(text_width("a \xc2\xb1 \xe2\x88\x92 \xc3\x97"),
                     7);                          /* plus-minus, minus, times */
    assert_int_equal(text_width("e\xcc\x81"), 1); /* e, combining acute */
    assert_int_equal(text_width("\xe6\xbc\xa2"), 2);
    assert_int_equal(text_width("\xff"), 1); /* not UTF-8: one that is shown as '?' */
    assert_int_equal(text_cut("\xe6\xbc\xa2x", 2), 3);
    assert_int_equal(text_cut("x\xe6\xbc\xa2", 2), 1);
    assert_int_equal(text_first_line("\xe6\xbc\xa2", 1, &next), 3); /* must go somewhere */
    assert_int_equal(next, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),     cmocka_unit_test(test_same),
        cmocka_unit_test(test_below),     cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_any_width), cmocka_unit_test(test_paragraphs),
        cmocka_unit_test(test_widths),
    };
    return cmocka_run_group_tests_name("table_fit", tests, NULL, NULL);
}
