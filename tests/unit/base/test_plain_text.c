/* What text of others may be shown, and what a table makes of it. Code points from the Unicode
 * tables: C1 is U+0080..U+009F, marks of direction U+202A..U+202E and U+2066..U+2069.
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/base/plain_text.h"
#include "bench/base/table.h"

static void test_plain(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain, with \xc3\xa9 and \xe2\x86\x92", "plain, with \xc3\xa9 and \xe2\x86\x92"},
        {"", ""},
        {"a\nb\tc", "a b c"},
        {"\x1b[31mred\x1b[0m\x07", "?[31mred?[0m?"},
        {"\x7f", "?"},
        {"\xc2\x9b"
         "31m",
         "?31m"},                 /* CSI as one code point */
        {"\xc2\xa0", "\xc2\xa0"}, /* the first one behind C1 */
        {"a\xe2\x80\xae"
         "cba",
         "a?cba"}, /* right-to-left override */
        {"\xe2\x81\xa6", "?"},
        {"\xe2\x80\xa9", "?"}, /* paragraph separator */
        {"\xff\xfe", "\xff\xfe"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        strcpy(text, cases[i][0]);
        plain_text_make(text);
        assert_string_equal(text, cases[i][1]);
    }
}

static char *escaped(const char *text, table_format format)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    table_write_escaped(stream, text, format);
    fclose(stream);
    return out;
}

static void escapes_to(const char *text, table_format format, const char *expected)
{
    char *out = escaped(text, format);
    assert_string_equal(out, expected);
    free(out);
}

static void test_escaped(void **state)
{
    (void)state;
    escapes_to("a\x1b"
               "b\xff\xc2\x9b"
               "c",
               TABLE_TEXT, "a?b??c");
    escapes_to("<b a='x'>\xe2\x80\xae&", TABLE_HTML, "&lt;b a=&#39;x&#39;&gt;?&amp;");
    escapes_to("[x](http://y) a_b", TABLE_MARKDOWN, "\\[x\\](http\\://y) a_b");
    escapes_to("synth:vocab=3", TABLE_MARKDOWN, "synth:vocab=3");
}

static void row_is(const char *cell, const char *expected)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    table *t = table_create();
    table_add_column(t, "h", TABLE_LEFT);
    table_begin_row(t);
    table_add_cell(t, "%s", cell);
    assert_int_equal(table_write(t, stream, TABLE_TSV, NULL), GB_OK);
    fclose(stream);
    assert_memory_equal(out, "h\n", 2);
    out[strlen(out) - 1] = '\0';
    assert_string_equal(out + 2, expected);
    free(out);
    table_free(t);
}

/* A spreadsheet computes cells that begin with one of = + - @ (OWASP, "CSV Injection"). */
static void test_formulas(void **state)
{
    (void)state;
    row_is("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0");
    row_is("@SUM(1)", "'@SUM(1)");
    row_is("+1+cmd|x", "'+1+cmd|x");
    row_is("-2+3", "'-2+3");
    row_is("\t=x", " =x");
    row_is("-1.5e-3", "-1.5e-3");
    row_is("+4.2 %", "+4.2 %");
    row_is("-", "-");
    row_is("e=3", "e=3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
