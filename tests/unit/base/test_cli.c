/* Option parsing. The expected values are what the table in `fixture` and the contract in
 * bench/base/cli.h say.
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/base/cli.h"

enum { POSITIONAL_MAX = 2, ARGS_MAX = 160 };

typedef struct fixture {
    bool dry_run;
    const char *db;
    int64_t steps;
    cli_list sets;
    const char *positional[POSITIONAL_MAX];
    int n_positional;
    bool help_shown;
    gb_error err;
} fixture;

/* Parses the NULL-terminated words after the command's name. */
static gb_status parse(fixture *f, const char *const *words)
{
    const cli_option options[] = {
        {.name = "--dry-run", .type = CLI_FLAG, .target = &f->dry_run, .help = "plan only"},
        {.name = "--db",
         .short_name = "-d",
         .type = CLI_TEXT,
         .target = &f->db,
         .value_name = "FILE",
         .help = "a help text that is long enough to need a second line in the help, since it "
                 "goes on and on about the database file and where it lies by default"},
        {.name = "--steps",
         .type = CLI_INT,
         .target = &f->steps,
         .value_name = "N",
         .min = -5,
         .max = 100,
         .help = "steps"},
        {.name = "", .type = CLI_HEADING, .help = "settings:"},
        {.name = "--set",
         .type = CLI_LIST,
         .target = &f->sets,
         .value_name = "KEY=VALUE",
         .help = "one setting; may be repeated"},
        {.name = NULL},
    };
    const cli_command command = {.usage = "gptbench data pack IN [OUT] [options]",
                                 .summary = "Packs.",
                                 .options = options,
                                 .min_positional = 1,
                                 .max_positional = POSITIONAL_MAX};
    static char name[] = "pack";
    static char storage[ARGS_MAX][128];
    char *argv[ARGS_MAX + 2] = {name};
    int argc = 1;
    for (; words[argc - 1] && argc <= ARGS_MAX; argc++) {
        snprintf(storage[argc - 1], sizeof storage[0], "%s", words[argc - 1]);
        argv[argc] = storage[argc - 1];
    }
    return cli_parse(&command, argc, argv, f->positional, &f->n_positional, &f->help_shown,
                     &f->err);
}

#define PARSE(f, ...) parse((f), (const char *const[]){__VA_ARGS__, NULL})

static fixture fixture_default(void)
{
    return (fixture){.db = "default.db", .steps = 7};
}

static void test_values_in_every_form(void **state)
{
    (void)state;
    fixture f = fixture_default();
    assert_int_equal(
        PARSE(&f, "--dry-run", "a.txt", "--db=x=y.db", "--steps", "-5", "--set", "n=1", "--set=m"),
        GB_OK);
    assert_true(f.dry_run);
    assert_string_equal(f.db, "x=y.db");
    assert_int_equal(f.steps, -5);
    assert_int_equal(f.sets.count, 2);
    assert_string_equal(f.sets.items[0], "n=1");
    assert_string_equal(f.sets.items[1], "m");
    assert_int_equal(f.n_positional, 1);
    assert_string_equal(f.positional[0], "a.txt");
    assert_false(f.help_shown);

    f = fixture_default();
    assert_int_equal(PARSE(&f, "-d", "short.db", "a", "b"), GB_OK);
    assert_string_equal(f.db, "short.db");
    assert_int_equal(f.n_positional, 2);
}

static void test_absent_options_keep_their_value(void **state)
{
    (void)state;
    fixture f = fixture_default();
    assert_int_equal(PARSE(&f, "a"), GB_OK);
    assert_false(f.dry_run);
    assert_string_equal(f.db, "default.db");
    assert_int_equal(f.steps, 7);
    assert_int_equal(f.sets.count, 0);
}

static void test_double_dash_ends_the_options(void **state)
{
    (void)state;
    fixture f = fixture_default();
    assert_int_equal(PARSE(&f, "--", "--dry-run", "-d"), GB_OK);
    assert_false(f.dry_run);
    assert_int_equal(f.n_positional, 2);
    assert_string_equal(f.positional[0], "--dry-run");
    assert_string_equal(f.positional[1], "-d");
    /* A lone dash is an argument: standard input by custom. */
    assert_int_equal(PARSE(&f, "-"), GB_OK);
    assert_string_equal(f.positional[0], "-");
}

typedef struct bad_case {
    const char *words[4];
    const char *message;
} bad_case;

static void test_errors_name_the_command_and_the_remedy(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {{"a", "--dry-rum"}, "data pack: unknown option --dry-rum; did you mean --dry-run?"},
        {{"a", "--stepz=3"}, "data pack: unknown option --stepz; did you mean --steps?"},
        {{"a", "--quux-frobnicate"},
         "data pack: unknown option --quux-frobnicate; `gptbench data pack --help` lists the "
         "options"},
        {{"a", "-x"}, NULL},
        {{"a", "--exports"}, /* of 7 letters, two other than those of a near name */
         "data pack: unknown option --exports; `gptbench data pack --help` lists the options"},
        {{"a", "--db=x.db", "-d", "y.db"},
         "data pack: --db is given twice, x.db and y.db; give it once"},
        {{"a", "--steps=3", "--steps=3"},
         "data pack: --steps is given twice, 3 and 3; give it once"},
        {{"--dry-run", "a", "--dry-run"}, "data pack: --dry-run is given twice; give it once"},
        {{"a", "--dry-run=yes"}, "data pack: --dry-run takes no value"},
        {{"a", "--db"}, "data pack: --db needs a value: --db FILE"},
        {{"a", "--db", "--dry-run"}, "data pack: --db needs a value: --db FILE"},
        {{"a", "--steps", "twelve"}, "data pack: --steps twelve: not a whole number"},
        {{"a", "--steps", "12x"}, "data pack: --steps 12x: not a whole number"},
        {{"a", "--steps="}, "data pack: --steps : not a whole number"},
        {{"a", "--steps", "101"}, "data pack: --steps 101: must be between -5 and 100"},
        {{"a", "--steps", "99999999999999999999"},
         "data pack: --steps 99999999999999999999: must be between -5 and 100"},
        {{"--dry-run"},
         "data pack: too few arguments; usage: gptbench data pack IN [OUT] [options]"},
        {{"a", "b", "c"},
         "data pack: unexpected argument c; usage: gptbench data pack IN [OUT] [options]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = fixture_default();
        assert_int_equal(parse(&f, cases[i].words), GB_ERR_USAGE);
        assert_int_equal(f.err.status, GB_ERR_USAGE);
        if (cases[i].message) {
            assert_string_equal(f.err.message, cases[i].message);
        } else {
            assert_non_null(strstr(f.err.message, "unknown option -x"));
        }
    }
}

static void test_a_list_has_an_end(void **state)
{
    (void)state;
    const char *words[ARGS_MAX + 1] = {NULL};
    int count = 0;
    words[count++] = "a";
    for (int i = 0; i < 65; i++) { /* cli_list holds 64 */
        words[count++] = "--set=k=v";
    }
    fixture f = fixture_default();
    assert_int_equal(parse(&f, words), GB_ERR_USAGE);
    assert_string_equal(f.err.message, "data pack: --set is given more than 64 times");
    words[count - 1] = NULL;
    f = fixture_default();
    assert_int_equal(parse(&f, words), GB_OK);
    assert_int_equal(f.sets.count, 64);
}

/* What parsing the words prints to stdout, in `text`. */
static void capture(fixture *f, char *text, size_t size, const char *const *words)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    gb_status status = parse(f, words);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_int_equal(status, GB_OK);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void test_help_shows_every_option_in_short_lines(void **state)
{
    (void)state;
    fixture f = fixture_default();
    char text[4096];
    capture(&f, text, sizeof text, (const char *const[]){"--help", "--no-such-option", NULL});
    assert_true(f.help_shown);
    assert_memory_equal(text, "usage: gptbench data pack IN [OUT] [options]\n", 45);
    /* The longest head, "  --set KEY=VALUE", and two blanks set the column. */
    assert_non_null(strstr(text, "\n  --dry-run        plan only\n"));
    assert_non_null(strstr(text, "\n  -d, --db FILE    a help text"));
    assert_non_null(strstr(text, "show this help\n\nsettings:\n  --set KEY=VALUE"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 88); /* HELP_WIDTH */
    }
}

/* The questions of `gptbench complete`. Of a list more may come. */
static void test_values_are_named_when_asked(void **state)
{
    (void)state;
    const struct {
        const char *option, *value;
    } cases[] = {{"--db", "FILE"},  {"-d", "FILE"}, {"--set", "KEY=VALUE"},
                 {"--dry-run", ""}, {"--no", ""},   {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = fixture_default();
        assert_int_equal(PARSE(&f, CLI_ASK_VALUE, cases[i].option), GB_ERR_USAGE);
        assert_string_equal(f.err.message, cases[i].value);
    }
    fixture f = fixture_default();
    char text[1024];
    capture(
        &f, text, sizeof text,
        (const char *const[]){CLI_ASK_OPTIONS, "--", "--steps=3", "-d", "x", "--set", "a", NULL});
    assert_true(f.help_shown);
    assert_string_equal(text, "--dry-run\tplan only\n--set\tone setting; may be repeated\n"
                              "--help\tshow this help\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_in_every_form),
        cmocka_unit_test(test_absent_options_keep_their_value),
        cmocka_unit_test(test_double_dash_ends_the_options),
        cmocka_unit_test(test_errors_name_the_command_and_the_remedy),
        cmocka_unit_test(test_a_list_has_an_end),
        cmocka_unit_test(test_help_shows_every_option_in_short_lines),
        cmocka_unit_test(test_values_are_named_when_asked),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
