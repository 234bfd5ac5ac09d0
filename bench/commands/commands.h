/* commands.h: the commands of the program, one file each (cmd_*.c).
 *
 * How to add a command:
 *   1. bench/commands/cmd_NAME.c with gb_status cmd_NAME(int argc, char **argv, gb_error *err): its
 *      options are a table for cli_parse (bench/base/cli.h), results go to stdout,
 *      nothing to stderr. The build finds the file.
 *   2. A row in COMMANDS below, in the place where `gptbench --help` shall list it.
 *   3. man/gptbench.1. The completions ask the program (cmd_complete.c): a row there for its
 *      arguments, and for values of its options where their names in the table do not say enough.
 *      tests/e2e/e2e_cli.sh finds a command or an option that is missing.
 *   4. A check of what it does in tests/e2e/. */
#ifndef GPTBENCH_BENCH_COMMANDS_H
#define GPTBENCH_BENCH_COMMANDS_H

#include <stddef.h>

#include "kernels/status.h"

/* A command gets its own arguments, argv[0] being its name. It prints results to stdout and
 * returns a status; main prints the error to stderr and turns the status into the exit code. Under
 * a message of GB_ERR_INTERRUPTED that ends with ':' it repeats the command as it was typed, for
 * whoever wants to go on; with --resume added, where it ends with "--resume:". */
typedef gb_status (*command_fn)(int argc, char **argv, gb_error *err);

/* COMMAND(name, help): help is its line in `gptbench --help`; NULL hides it. */
#define COMMANDS(COMMAND)                                                                          \
    COMMAND(run, "run a suite: every cell of its matrix, into the database, with a report")        \
    COMMAND(plan, "show what a suite would run: parameters, FLOPs, memory, time")                  \
    COMMAND(report, "write the report and figures of a suite from the database")                   \
    COMMAND(compare, "compare two configurations, optionally failing on a difference")             \
    COMMAND(claims, "say which claims of a suite the measurements support or refute")              \
    COMMAND(why, "say in which ops the difference between two configurations lies")                \
    COMMAND(list, "list the suites and runs that the database holds")                              \
    COMMAND(show, "show one run in full")                                                          \
    COMMAND(train, "train one model and print its progress")                                       \
    COMMAND(profile, "show where the time of a step goes, for one model")                          \
    COMMAND(parity, "one batch forward and backward, written out for checking")                    \
    COMMAND(data, "pack text into token shards, check shards, describe sources")                   \
    COMMAND(doctor, "say what this machine offers and what it lacks")                              \
    COMMAND(worker, NULL)   /* one run in a child process */                                       \
    COMMAND(complete, NULL) /* asked by the shells' completions */

#define COMMAND(name, help) gb_status cmd_##name(int argc, char **argv, gb_error *err);
COMMANDS(COMMAND)
#undef COMMAND

#endif
