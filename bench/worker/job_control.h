/* job_control.h: this process as a job of a terminal. A process-wide thing by nature, as signals
 * are.
 *
 * Ctrl-Z (SIGTSTP) reaches the runner alone, since workers have process groups of their own: it
 * stops them too, then itself, and SIGCONT lets them all go on. When the terminal vanishes (SIGHUP)
 * the runner goes on without it: what it would have said there is dropped. A pipe that nobody reads
 * any more (SIGPIPE) does not end it either. SIGSTOP cannot be seen: after that one the workers run
 * on. */
#ifndef GPTBENCH_BENCH_JOB_CONTROL_H
#define GPTBENCH_BENCH_JOB_CONTROL_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on, to the end of the process, signals are treated as said above; where SIGHUP or
 * SIGTSTP are ignored (nohup) they stay ignored. */
void job_control_catch(void);

/* A process group of ours, to be stopped with us, and no longer. */
void job_control_add(pid_t group);
void job_control_drop(pid_t group);

/* Whether this process was stopped at some time between two moments on the monotonic clock. */
bool job_control_was_stopped(double from_s, double until_s);

#endif
