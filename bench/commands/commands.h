/* commands.h: the commands of the program, one file each (cmd_*.c). */
#ifndef GPTBENCH_BENCH_COMMANDS_H
#define GPTBENCH_BENCH_COMMANDS_H

#include "kernels/status.h"

/* A command gets its own arguments, argv[0] being its name. It prints results to stdout and
 * returns a status; main prints the error to stderr and turns the status into the exit code. */
typedef gb_status (*command_fn)(int argc, char **argv, gb_error *err);

gb_status cmd_run(int argc, char **argv, gb_error *err);
gb_status cmd_plan(int argc, char **argv, gb_error *err);
gb_status cmd_report(int argc, char **argv, gb_error *err);
gb_status cmd_compare(int argc, char **argv, gb_error *err);
gb_status cmd_claims(int argc, char **argv, gb_error *err);
gb_status cmd_why(int argc, char **argv, gb_error *err);
gb_status cmd_list(int argc, char **argv, gb_error *err);
gb_status cmd_show(int argc, char **argv, gb_error *err);
gb_status cmd_train(int argc, char **argv, gb_error *err);
gb_status cmd_profile(int argc, char **argv, gb_error *err);
gb_status cmd_parity(int argc, char **argv, gb_error *err);
gb_status cmd_data(int argc, char **argv, gb_error *err);
gb_status cmd_doctor(int argc, char **argv, gb_error *err);
gb_status cmd_worker(int argc, char **argv, gb_error *err); /* hidden: one run in a child process */

#endif
