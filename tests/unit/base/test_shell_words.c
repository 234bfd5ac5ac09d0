/* Words as a shell reads them: bash itself is asked.
 *
 * kinds: plain sanitized */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/base/shell_words.h"

static void test_by_hand(void **state)
{
    (void)state;
    assert_string_equal(shell_word("results/quick-1.db").text, "results/quick-1.db");
    assert_string_equal(shell_word("mlp*").text, "'mlp*'");
    assert_string_equal(shell_word("slower>2%").text, "'slower>2%'");
    assert_string_equal(shell_word("").text, "''");
    assert_string_equal(shell_word("it's").text, "'it'\\''s'");
    assert_string_equal(shell_word("two\nlines\033[0m").text, "$'two\\012lines\\033[0m'");
    char word[6000];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_non_null(strstr(shell_word(word).text, "aaa..."));
}

/* What bash makes of the command that is written. */
static void test_bash_reads_it(void **state)
{
    (void)state;
    static char *const words[] = {"printf",
                                  "%s|",
                                  "a b",
                                  "it's",
                                  "$HOME `x` \\n",
                                  "~",
                                  "#x",
                                  "",
                                  "!x",
                                  "a=b;c&d",
                                  "\xc3\xa4\xe2\x88\x92",
                                  "\xff",
                                  "t\tab",
                                  "new\nline'\\",
                                  "{a,b}*?[c]"};
    enum { N = sizeof words / sizeof *words };
    char name[] = "/tmp/shell_words_XXXXXX", want[512] = "", got[512] = "", command[64];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    FILE *out = fdopen(fd, "w");
    assert_non_null(out);
    shell_words_write(out, N, words);
    fclose(out);
    for (int i = 2; i < N; i++) {
        strcat(strcat(want, words[i]), "|");
    }
    snprintf(command, sizeof command, "bash %s", name);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t n = fread(got, 1, sizeof got - 1, in);
    got[n] = '\0';
    assert_int_equal(pclose(in), 0);
    remove(name);
    assert_string_equal(got, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_bash_reads_it),
    };
    return cmocka_run_group_tests_name("shell_words", tests, NULL, NULL);
}
