#include "bench/worker/job_control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kernels/clock.h"

enum { GROUPS = 256, STOPS = 64 };

/* What the handlers may touch. */
static volatile pid_t groups[GROUPS]; /* 0: free */
static volatile double stopped_s[STOPS], continued_s[STOPS];
static volatile sig_atomic_t n_stops;
static volatile sig_atomic_t terminal[3];  /* which standard descriptors are terminals */
static volatile sig_atomic_t nowhere = -1; /* a descriptor of /dev/null */

static void groups_signal(int signal)
{
    for (int i = 0; i < GROUPS; i++) {
        if (groups[i] > 0) {
            kill(-groups[i], signal);
        }
    }
}

static void on_stop(int signal)
{
    (void)signal;
    int saved = errno, slot = (int)(n_stops % STOPS);
    stopped_s[slot] = gb_monotonic_s();
    groups_signal(SIGSTOP);
    raise(SIGSTOP); /* returns when somebody continues us */
    continued_s[slot] = gb_monotonic_s();
    n_stops++;
    groups_signal(SIGCONT);
    errno = saved;
}

static void on_hangup(int signal)
{
    (void)signal;
    int saved = errno;
    for (int fd = 0; fd < 3; fd++) {
        if (terminal[fd] && nowhere >= 0) {
            dup2((int)nowhere, fd);
            terminal[fd] = 0;
        }
    }
    errno = saved;
}

static void catch_one(int signal, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
        sigaction(signal, &action, NULL);
    }
}

void job_control_catch(void)
{
    if (nowhere < 0) {
        nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    for (int fd = 0; fd < 3; fd++) {
        terminal[fd] = isatty(fd);
    }
    catch_one(SIGTSTP, on_stop);
    catch_one(SIGHUP, on_hangup);
    catch_one(SIGPIPE, SIG_IGN);
}

void job_control_add(pid_t group)
{
    for (int i = 0; i < GROUPS; i++) {
        if (groups[i] == 0) {
            groups[i] = group;
            return;
        }
    }
}

void job_control_drop(pid_t group)
{
    for (int i = 0; i < GROUPS; i++) {
        if (groups[i] == group) {
            groups[i] = 0;
        }
    }
}

bool job_control_was_stopped(double from_s, double until_s)
{
    int n = n_stops;
    for (int i = n > STOPS ? n - STOPS : 0; i < n; i++) {
        if (stopped_s[i % STOPS] < until_s && continued_s[i % STOPS] > from_s) {
            return true;
        }
    }
    return false;
}
