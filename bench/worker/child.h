/* child.h: one worker process: started with a job on its standard input, heard through its event
 * pipe and its standard error, ended and judged. */
#ifndef GPTBENCH_BENCH_CHILD_H
#define GPTBENCH_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernels/status.h"

#define CHILD_STDERR_KEPT 4096
#define CHILD_NOT_STARTED 127 /* exit code of a child that could not become the program */

typedef struct child {
    pid_t pid;
    int event_fd;   /* reading end, non-blocking; -1 once it has ended */
    int stderr_fd;  /* likewise */
    int control_fd; /* writing end of the orders; -1: there is none, or it was closed */
    bool ended;
    int wait_status;                         /* waitpid's, once ended */
    double cpu_s;                            /* CPU time that it took, once ended */
    char stderr_tail[CHILD_STDERR_KEPT + 1]; /* the last of what it wrote; NUL-terminated */
    size_t stderr_used;
} child;

/* Starts argv (argv[0] is the path) in a process group of its own, so that a terminal's Ctrl-C
 * reaches the parent alone. The child gets `input` as its standard input, the event pipe as
 * descriptor EVENT_PIPE_FD, with `controlled` a socket for orders as CONTROL_FD, and its standard
 * output and error captured. It dies with the calling thread (PR_SET_PDEATHSIG). GB_ERR_IO when
 * the system refuses; child_close ends it. */
gb_status child_start(child *c, char *const *argv, const char *input, bool controlled,
                      gb_error *err);

/* Reads what there is on standard error into stderr_tail; closes it at its end. */
void child_drain_stderr(child *c);

/* Sends a signal to the child's whole process group. */
void child_signal(child *c, int signal);

/* Waits up to timeout_ms for the process to end. True when it has. */
bool child_wait(child *c, int timeout_ms);

/* Kills what still runs, collects it, closes the descriptors. Fine on a zeroed struct. */
void child_close(child *c);

/* How often the kernel's OOM killer has struck where this process would be struck: in its cgroup
 * (v2 or v1), else on the machine; -1 when nothing can be read. */
long long child_oom_kills(void);

#endif
