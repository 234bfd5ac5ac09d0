/* Tables and numbers as text. Expected texts are written out by hand.
 *
 * kinds: plain sanitized memcheck */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/base/numbers.h"
#include "bench/base/table.h"

static char *table_text(const table *t, table_format format)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    gb_error err = {0};
    assert_int_equal(table_write(t, stream, format, &err), GB_OK);
    fclose(stream);
    return text;
}

static void check_table(const char *cell, const char *number, table_format format, const char *want)
{
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "step", TABLE_RIGHT);
    table_begin_row(t);
    table_add_cell(t, "%s", cell);
    table_add_cell(t, "%s", number);
    table_begin_row(t); /* a short row: the rest is empty */
    table_add_cell(t, "b");
    char *text = table_text(t, format);
    assert_string_equal(text, want);
    free(text);
    table_free(t);
}

#define HTML_HEAD                                                                                  \
    "<table>\n<thead><tr><th>config</th><th "                                                      \
    "class=\"number\">step</th></tr>\n</thead>\n<tbody>\n<tr>"
#define HTML_TAIL                                                                                  \
    "<td class=\"number\">1</td></tr>\n<tr><td>b</td><td "                                         \
    "class=\"number\"></td></tr>\n</tbody>\n</table>\n"

static void test_formats(void **state)
{
    (void)state;
    /* the plus-minus sign is two bytes and one column */
    check_table("d12", "1.0 \xc2\xb1 2", TABLE_TEXT,
                "config     step\n------  -------\nd12     1.0 \xc2\xb1 2\nb              \n");
    check_table("d12", "1.0", TABLE_MARKDOWN,
                "| config | step |\n| ------ | ---: |\n| d12    |  1.0 |\n| b      |      |\n");
    check_table("d12", "1.0", TABLE_TSV, "config\tstep\nd12\t1.0\nb\t\n");
    check_table("d12", "1", TABLE_HTML, HTML_HEAD "<td>d12</td>" HTML_TAIL);
}

static void test_hostile(void **state)
{
    (void)state;
    check_table("<script>&'\"", "1", TABLE_HTML,
                HTML_HEAD "<td>&lt;script&gt;&amp;&#39;&quot;</td>" HTML_TAIL);
    check_table("a|b_c_", "1", TABLE_MARKDOWN,
                "| config   | step |\n| -------- | ---: |\n| a\\|b_c\\_ |    1 |\n"
                "| b        |      |\n");
    check_table("a\tb\nc\033[31m", "1", TABLE_TSV, "config\tstep\na b c?[31m\t1\nb\t\n");
    /* U+009B is a control sequence introducer of its own */
    check_table("x\xc2\x9b"
                "31m",
                "1", TABLE_TSV, "config\tstep\nx?31m\t1\nb\t\n");
}

static void test_nothing(void **state)
{
    (void)state;
    table *t = table_create();
    table_begin_row(t); /* no columns: ignored */
    table_add_cell(t, "x");
    char *text = table_text(t, TABLE_TSV);
    assert_string_equal(text, "");
    free(text);
    table_free(t);
    table_add_column(NULL, "a", TABLE_LEFT);
    table_begin_row(NULL);
    table_add_cell(NULL, "x");
    assert_int_equal(table_row_count(NULL), 0);
    gb_error err = {0};
    assert_int_equal(table_write(NULL, stdout, TABLE_TEXT, &err), GB_ERR_OOM);
    table_free(NULL);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_string_equal(number_count(0).text, "0");
    assert_string_equal(number_count(999).text, "999");
    assert_string_equal(number_count(-1000).text, "-1,000");
    assert_string_equal(number_count(123532032).text, "123,532,032");
    assert_string_equal(number_count(INT64_MIN).text, "-9,223,372,036,854,775,808");
    assert_string_equal(number_rounded(11264.5).text, "11,265");
    assert_string_equal(number_rounded(NAN).text, "-");
    assert_string_equal(number_short(123532032).text, "124M");
    assert_string_equal(number_short(999.6).text, "1.00k");
    assert_string_equal(number_short(12).text, "12");
    assert_string_equal(number_short(1.6e9).text, "1.60G");
    assert_string_equal(number_short(-45600).text, "-45.6k");
    assert_string_equal(number_bytes(805306368).text, "768 MiB");
    assert_string_equal(number_bytes(1.5 * 1024 * 1024 * 1024).text, "1.5 GiB");
    assert_string_equal(number_bytes(17).text, "17 B");
    assert_string_equal(number_percent_signed(0.0312).text, "+3.1 %");
    assert_string_equal(number_percent_signed(-0.177).text, "\xe2\x88\x92"
                                                            "17.7 %");
    assert_string_equal(number_percent_signed(-0.0001).text, "0.0 %");
    assert_string_equal(number_percent_signed(INFINITY).text, "-");
    assert_string_equal(number_percent(0.421).text, "42.1 %");
    assert_string_equal(number_duration_ms(0.41).text, "410 us");
    assert_string_equal(number_duration_ms(12.345).text, "12.3 ms");
    assert_string_equal(number_duration_ms(182).text, "182 ms");
    assert_string_equal(number_duration_ms(61000).text, "61.0 s");
    assert_string_equal(number_duration_ms(605000).text, "10 min 05 s");
    assert_string_equal(number_duration_ms(2.05 * 3600e3).text, "2 h 03 min");
    assert_string_equal(number_elapsed_ms(12999).text, "12 s");
    assert_string_equal(number_elapsed_ms(185e3).text, "3 min 05 s");
    assert_string_equal(number_elapsed_ms(123 * 60e3).text, "2 h 03 min");
}

static void test_guesses(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *text;
    } cases[] = {{0, ""},
                 {-1, ""},
                 {NAN, ""},
                 {0.001, "a few s"},
                 {7, "a few s"},
                 {8, "about 10 s"},
                 {57, "about 55 s"},
                 {58, "about 1 min"},
                 {100, "about 2 min"},
                 {9.4 * 60, "about 9 min"},
                 {9.6 * 60, "about 10 min"},
                 {23 * 60, "about 25 min"},
                 {57 * 60, "about 55 min"},
                 {58 * 60, "about 1 h"},
                 {1.4 * 3600, "about 1 h 30 min"},
                 {9.7 * 3600, "about 9 h 30 min"},
                 {9.8 * 3600, "about 10 h"},
                 {35 * 3600, "about 35 h"},
                 {36 * 3600, "about 2 days"},
                 {1e30, "about 1000000000000 days"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(number_about_ms(1000 * cases[i].s).text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_guesses),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
