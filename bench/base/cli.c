#include "bench/base/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/base/terminal.h"
#include "model/config.h"

enum { HELP_WIDTH = 88, HELP_COLUMN_MAX = 32, NAMES_MAX = 64, OPTIONS_MAX = 256 };

/* ---- help ---- */

static int help_width(void)
{
    int width = terminal_width(stdout);
    return width > 0 && width < HELP_WIDTH ? width : HELP_WIDTH;
}

/* Words of `text` from column `at` on, broken at the width of help, further lines indented. */
static void help_print_wrapped(const char *text, int at, int indent)
{
    int column = at, width = help_width();
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column + (int)word > width && column > indent) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        printf("%.*s", (int)word, text);
        column += (int)word;
        text += word;
        if (*text == ' ' || *text == '\n') {
            text += strspn(text, " \n");
            if (*text && column + 1 + (int)strcspn(text, " \n") <= width) {
                putchar(' ');
                column++;
            } else if (*text) {
                printf("\n%*s", indent, "");
                column = indent;
            }
        }
    }
    putchar('\n');
}

/* Lines of `text`, indented by two spaces unless they are already. */
static void help_print_lines(const char *title, const char *text)
{
    printf("\n%s:\n", title);
    while (*text) {
        size_t length = strcspn(text, "\n");
        terminal_say(stdout, 4, "%s%.*s\n", text[0] == ' ' ? "" : "  ", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* "-o, --output DIR"; returns its length. */
static int help_option_head(const cli_option *option, char *out, size_t size)
{
    return snprintf(out, size, "%s%s%s%s%s", option->short_name ? option->short_name : "",
                    option->short_name ? ", " : "", option->name, option->value_name ? " " : "",
                    option->value_name ? option->value_name : "");
}

static void help_print_option(const cli_option *option, int column)
{
    char head[128];
    if (option->type == CLI_HEADING) {
        putchar('\n');
        help_print_wrapped(option->help, 0, 0);
        return;
    }
    int length = help_option_head(option, head, sizeof head);
    printf("  %s", head);
    int at = 2 + length;
    if (at + 2 > column) {
        putchar('\n');
        at = 0;
    }
    printf("%*s", column - at, "");
    help_print_wrapped(option->help ? option->help : "", column, column);
}

static void help_print(const cli_command *command)
{
    static const cli_option help_option = {
        .name = "--help", .short_name = "-h", .help = "show this help"};
    char head[128];
    int column = 2 + help_option_head(&help_option, head, sizeof head) + 2;
    int most = help_width() / 2 < HELP_COLUMN_MAX ? help_width() / 2 : HELP_COLUMN_MAX;
    for (const cli_option *o = command->options; o && o->name; o++) {
        int length = 2 + help_option_head(o, head, sizeof head) + 2;
        column = length > column && length <= most ? length : column;
    }
    terminal_say(stdout, 7, "usage: %s\n\n", command->usage);
    help_print_wrapped(command->summary, 0, 0);
    if (command->positional_help) {
        help_print_lines("arguments", command->positional_help);
    }
    printf("\noptions:\n");
    bool help_shown = false;
    for (const cli_option *o = command->options; o && o->name; o++) {
        if (o->type == CLI_HEADING && !help_shown) {
            help_print_option(&help_option, column);
            help_shown = true;
        }
        help_print_option(o, column);
    }
    if (!help_shown) {
        help_print_option(&help_option, column);
    }
    if (command->examples) {
        help_print_lines("examples", command->examples);
    }
}

/* ---- parsing ---- */

/* "data pack" of "gptbench data pack TEXT -o OUT": what the user typed, also for subcommands. */
static void command_name(const cli_command *command, char *out, size_t size)
{
    const char *word = command->usage;
    size_t used = 0;
    out[0] = '\0';
    while (*word) {
        size_t length = strcspn(word, " ");
        bool is_name = strspn(word, "abcdefghijklmnopqrstuvwxyz") == length && length > 0;
        if (!is_name || used + length + 2 > size) {
            break;
        }
        if (strncmp(word, "gptbench", length) != 0) {
            used += (size_t)snprintf(out + used, size - used, "%s%.*s", used ? " " : "",
                                     (int)length, word);
        }
        word += length + (word[length] == ' ');
    }
}

/* The option that `arg` names; *value points behind '=' when there is one, else is NULL. */
static const cli_option *option_find(const cli_command *command, const char *arg,
                                     const char **value)
{
    size_t length = strcspn(arg, "=");
    *value = arg[length] == '=' && arg[1] == '-' ? arg + length + 1 : NULL;
    for (const cli_option *o = command->options; o && o->name; o++) {
        if (strlen(o->name) == length && strncmp(o->name, arg, length) == 0) {
            return o;
        }
        if (o->short_name && strcmp(o->short_name, arg) == 0) {
            return o;
        }
    }
    return NULL;
}

/* The nearest name without dashes in front, so that what other programs call a key is found: --lr,
 * --d-model. `names` are NULL-terminated options. */
static const char *bare_nearest(const char *given, const char *const *names)
{
    const char *bare[NAMES_MAX + 2];
    char text[64];
    int count = 0;
    for (; *names; names++) {
        bare[count++] = *names + strspn(*names, "-");
    }
    bare[count] = NULL;
    snprintf(text, sizeof text, "%s", given + strspn(given, "-"));
    for (char *dash = text; (dash = strchr(dash, '-')) != NULL;) {
        *dash = '_';
    }
    return gb_nearest_name(text, bare);
}

static gb_status option_fail_unknown(const cli_command *command, const char *name, const char *arg,
                                     gb_error *err)
{
    const char *names[NAMES_MAX + 2];
    int count = 0;
    for (const cli_option *o = command->options; o && o->name && count < NAMES_MAX; o++) {
        if (o->type != CLI_HEADING) {
            names[count++] = o->name;
        }
    }
    names[count++] = "--help";
    names[count] = NULL;
    char given[64];
    snprintf(given, sizeof given, "%.*s", (int)strcspn(arg, "="), arg);
    const char *near = gb_nearest_name(given, names), *dashes = near ? "" : "--";
    near = near ? near : bare_nearest(given, names);
    if (near) {
        return gb_fail(err, GB_ERR_USAGE, "%s: unknown option %s; did you mean %s%s?", name, given,
                       dashes, near);
    }
    return gb_fail(err, GB_ERR_USAGE,
                   "%s: unknown option %s; `gptbench %s --help` lists the options", name, given,
                   name);
}

static gb_status option_set_int(const cli_option *option, const char *name, const char *value,
                                gb_error *err)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end != '\0') {
        return gb_fail(err, GB_ERR_USAGE, "%s: %s %s: not a whole number", name, option->name,
                       value);
    }
    if (errno == ERANGE || number < option->min || number > option->max) {
        return gb_fail(err, GB_ERR_USAGE, "%s: %s %s: must be between %lld and %lld", name,
                       option->name, value, option->min, option->max);
    }
    *(int64_t *)option->target = number;
    return GB_OK;
}

/* Files and folders have names that can be read and typed: one of blanks alone, or with a line
 * break in it, is a slip of the shell. */
static gb_status path_check(const cli_option *option, const char *name, const char *value,
                            gb_error *err)
{
    const char *what = option->value_name ? option->value_name : "";
    const bool file = strncmp(what, "FILE", 4) == 0 || strcmp(what, "OUT") == 0;
    const bool dir = strcmp(what, "DIR") == 0;
    if (!file && !dir) {
        return GB_OK;
    }
    if (!value[strspn(value, " \t\r\n")]) {
        return gb_fail(err, GB_ERR_USAGE, "%s: %s \"%s\": expected the name of a %s", name,
                       option->name, value, dir ? "folder" : "file");
    }
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127) {
            return gb_fail(err, GB_ERR_USAGE,
                           "%s: %s \"%s\": there is a control character in this name; give one "
                           "without",
                           name, option->name, value);
        }
    }
    return GB_OK;
}

static gb_status option_set(const cli_option *option, const char *name, const char *value,
                            gb_error *err)
{
    cli_list *list = NULL;
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        return GB_OK;
    case CLI_TEXT:
        GB_TRY(path_check(option, name, value, err));
        *(const char **)option->target = value;
        return GB_OK;
    case CLI_INT:
        return option_set_int(option, name, value, err);
    case CLI_HEADING:
        break;
    case CLI_LIST:
        list = option->target;
        if (list->count >= (int)(sizeof list->items / sizeof list->items[0])) {
            return gb_fail(err, GB_ERR_USAGE, "%s: %s is given more than %d times", name,
                           option->name, list->count);
        }
        list->items[list->count++] = value;
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_INTERNAL, "%s: option %s has no type", name, option->name);
}

/* Of two values one would be dropped without a word. `before` is what was given first. */
static gb_status option_fail_twice(const cli_option *option, const char *name, const char *before,
                                   const char *value, gb_error *err)
{
    if (option->type == CLI_FLAG) {
        return gb_fail(err, GB_ERR_USAGE, "%s: %s is given twice; give it once", name,
                       option->name);
    }
    return gb_fail(err, GB_ERR_USAGE, "%s: %s is given twice, %s and %s; give it once", name,
                   option->name, before, value);
}

static gb_status option_set_once(const cli_option *option, const char *name, const char *value,
                                 const char **before, gb_error *err)
{
    if (*before && option->type != CLI_LIST) {
        return option_fail_twice(option, name, *before, value, err);
    }
    *before = value;
    return option_set(option, name, value, err);
}

/* One option with its value, from argv[*i] on; leaves *i at the last argument it used. `given` has
 * what each option of the table was given before; NULL: nothing. */
static gb_status option_take(const cli_command *command, const char *name, int argc, char **argv,
                             int *i, const char **given, gb_error *err)
{
    const char *value = NULL;
    const cli_option *option = option_find(command, argv[*i], &value);
    if (!option) {
        return option_fail_unknown(command, name, argv[*i], err);
    }
    if (option->type == CLI_FLAG) {
        if (value) {
            return gb_fail(err, GB_ERR_USAGE, "%s: %s takes no value", name, option->name);
        }
        return option_set_once(option, name, option->name, &given[option - command->options], err);
    }
    if (!value) {
        const char *ignored = NULL;
        /* `--db --dry-run`: a forgotten value, not a file called --dry-run. */
        if (*i + 1 >= argc || option_find(command, argv[*i + 1], &ignored)) {
            return gb_fail(err, GB_ERR_USAGE, "%s: %s needs a value: %s %s", name, option->name,
                           option->name, option->value_name ? option->value_name : "VALUE");
        }
        value = argv[++*i];
    }
    return option_set_once(option, name, value, &given[option - command->options], err);
}

/* A database that stands alone, as in `list results/x.db`: which option takes it. */
static gb_status database_check(const cli_command *command, const char *name, const char *arg,
                                gb_error *err)
{
    static const char ending[] = ".db";
    const char *unused;
    const size_t length = strlen(arg), tail = sizeof ending - 1;
    if (length > tail && strcmp(arg + length - tail, ending) == 0 &&
        option_find(command, "--db", &unused) && access(arg, F_OK) == 0) {
        return gb_fail(err, GB_ERR_USAGE, "%s: %s is a database: give it as --db %s", name, arg,
                       arg);
    }
    return GB_OK;
}

static gb_status positional_check(const cli_command *command, const char *name, int count,
                                  const char *extra, gb_error *err)
{
    if (count < command->min_positional) {
        return gb_fail(err, GB_ERR_USAGE, "%s: too few arguments; usage: %s", name, command->usage);
    }
    if (extra) {
        return gb_fail(err, GB_ERR_USAGE, "%s: unexpected argument %s; usage: %s", name, extra,
                       command->usage);
    }
    return GB_OK;
}

/* ---- completion ---- */

static bool option_is_given(const cli_option *option, int argc, char **argv)
{
    const size_t length = strlen(option->name);
    for (int i = 0; i < argc; i++) {
        bool same = strncmp(argv[i], option->name, length) == 0 &&
                    (argv[i][length] == '\0' || argv[i][length] == '=');
        if (same || (option->short_name && strcmp(argv[i], option->short_name) == 0)) {
            return option->type != CLI_LIST;
        }
    }
    return false;
}

static void options_list(const cli_command *command, const char *typed, int argc, char **argv)
{
    for (const cli_option *o = command->options; o && o->name; o++) {
        if (o->type != CLI_HEADING && strncmp(o->name, typed, strlen(typed)) == 0 &&
            !option_is_given(o, argc, argv)) {
            printf("%s\t%s\n", o->name, o->help ? o->help : "");
        }
    }
    if (strncmp("--help", typed, strlen(typed)) == 0) {
        printf("--help\tshow this help\n");
    }
}

/* True when the command line is one of the two questions; *status is then the answer. */
static bool question_answer(const cli_command *command, int argc, char **argv, bool *help_shown,
                            gb_status *status, gb_error *err)
{
    if (argc < 3) {
        return false;
    }
    if (strcmp(argv[1], CLI_ASK_OPTIONS) == 0) {
        options_list(command, argv[2], argc - 3, argv + 3);
        *help_shown = true;
        *status = GB_OK;
        return true;
    }
    if (strcmp(argv[1], CLI_ASK_VALUE) == 0) {
        const char *unused;
        const cli_option *o = option_find(command, argv[2], &unused);
        *status = gb_fail(err, GB_ERR_USAGE, "%s", o && o->value_name ? o->value_name : "");
        return true;
    }
    return false;
}

gb_status cli_parse(const cli_command *command, int argc, char **argv, const char **positional,
                    int *n_positional, bool *help_shown, gb_error *err)
{
    char name[64];
    command_name(command, name, sizeof name);
    const char *extra = NULL, *given[OPTIONS_MAX] = {NULL};
    bool options_over = false;
    int count = 0;
    *help_shown = false;
    gb_status answer;
    if (question_answer(command, argc, argv, help_shown, &answer, err)) {
        return answer;
    }
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!options_over && strcmp(arg, "--") == 0) {
            options_over = true;
        } else if (!options_over && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            help_print(command);
            *help_shown = true;
            return GB_OK;
        } else if (!options_over && arg[0] == '-' && arg[1] != '\0') {
            GB_TRY(option_take(command, name, argc, argv, &i, given, err));
        } else if (database_check(command, name, arg, err) != GB_OK) {
            return GB_ERR_USAGE;
        } else if (count < command->max_positional) {
            positional[count++] = arg;
        } else if (!extra) {
            extra = arg;
        }
    }
    if (n_positional) {
        *n_positional = count;
    }
    return positional_check(command, name, count, extra, err);
}
