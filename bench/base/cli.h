/* cli.h: command-line options from one table per command: parsing, help text and the nearest
 * known option in the error. */
#ifndef GPTBENCH_BENCH_CLI_H
#define GPTBENCH_BENCH_CLI_H

#include <stdbool.h>

#include "kernels/status.h"

/* Asked by `gptbench complete` alone, as argv[1] of a command; the command does nothing then.
 * CLI_ASK_OPTIONS TYPED GIVEN...: prints the options that begin with TYPED, a line each: name, tab,
 * help; without those among GIVEN that may be given once. *help_shown is set.
 * CLI_ASK_VALUE OPTION: GB_ERR_USAGE, whose whole message is what the table calls the option's
 * value; empty for a flag, or where there is no such option. */
#define CLI_ASK_OPTIONS "--complete-options"
#define CLI_ASK_VALUE   "--complete-value"

typedef enum cli_type {
    CLI_FLAG,   /* bool * */
    CLI_TEXT,   /* const char ** (points into argv) */
    CLI_INT,    /* int64_t *; refused when not a whole number in [min, max] */
    CLI_LIST,   /* cli_list *: may be given several times */
    CLI_HEADING /* no option: name is "", and help a line above the options that follow */
} cli_type;

typedef struct cli_list {
    const char *items[64]; /* point into argv */
    int count;
} cli_list;

typedef struct cli_option {
    const char *name;       /* "--db"; NULL ends the table */
    const char *short_name; /* "-o" or NULL */
    cli_type type;
    void *target;           /* keeps its value when the option is not given */
    const char *value_name; /* "FILE", for help; NULL for flags */
    const char *help;
    long long min, max; /* CLI_INT */
} cli_option;

typedef struct cli_command {
    const char *usage;         /* "gptbench run SUITE.ini [options]" */
    const char *summary;       /* one or two sentences for --help */
    const cli_option *options; /* at most 255 */
    int min_positional, max_positional;
    const char *positional_help; /* "SUITE.ini  the suite to run"; may be NULL */
    const char *examples;        /* lines for --help; may be NULL */
} cli_command;

/* Parses argv[1..argc). Accepts --name value, --name=value, -o value and "--" to end options.
 * positional receives up to max_positional pointers into argv. On --help prints the help to
 * stdout, sets *help_shown and returns GB_OK: the command then returns at once. GB_ERR_USAGE
 * names the option and the nearest known one, or one that is given twice and is no CLI_LIST. */
gb_status cli_parse(const cli_command *command, int argc, char **argv, const char **positional,
                    int *n_positional, bool *help_shown, gb_error *err);

#endif
