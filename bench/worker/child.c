#include "bench/worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/worker/event_pipe.h"
#include "bench/worker/job_control.h"
#include "kernels/process_limits.h"

/* Many events fit, so that a worker does not wait for whoever reads them. */
#define EVENT_PIPE_BYTES (256 * 1024)

/* After fork: only async-signal-safe calls until exec. */
static _Noreturn void child_become(char *const *argv, int input, int events, int errors,
                                   int control, pid_t parent)
{
    static const char complaint[] = "the worker could not be started\n";
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(CHILD_NOT_STARTED); /* the parent died before prctl */
    }
    const int defaults[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP};
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        signal(defaults[i], SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* They may lie on the numbers that they are to get: move them up first. */
    input = fcntl(input, F_DUPFD, CONTROL_FD + 1);
    events = fcntl(events, F_DUPFD, CONTROL_FD + 1);
    errors = fcntl(errors, F_DUPFD, CONTROL_FD + 1);
    control = control < 0 ? -1 : fcntl(control, F_DUPFD, CONTROL_FD + 1);
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(errors, STDOUT_FILENO) >= 0 &&
        dup2(errors, STDERR_FILENO) >= 0 && dup2(events, EVENT_PIPE_FD) >= 0 &&
        (control < 0 || dup2(control, CONTROL_FD) >= 0)) {
        close(input);
        close(events);
        close(errors);
        if (control >= 0) {
            close(control);
        }
        execv(argv[0], argv);
    }
    ssize_t ignored = write(STDERR_FILENO, complaint, sizeof complaint - 1);
    (void)ignored;
    _exit(CHILD_NOT_STARTED);
}

/* A file in memory rather than a pipe: any length, no writer that could block or be signalled. */
static int input_make(const char *text)
{
    int fd = memfd_create("gptbench-job", MFD_CLOEXEC);
    size_t n = strlen(text);
    if (fd >= 0 && (write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void fd_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

gb_status child_start(child *c, char *const *argv, const char *input, bool controlled,
                      gb_error *err)
{
    int events[2] = {-1, -1}, errors[2] = {-1, -1}, control[2] = {-1, -1};
    gb_status status = GB_ERR_IO;
    memset(c, 0, sizeof *c);
    c->event_fd = c->stderr_fd = c->control_fd = -1;
    int input_fd = input_make(input);
    /* A socket, since a write to it can be kept from raising SIGPIPE. */
    if (input_fd < 0 || pipe2(events, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0 ||
        (controlled && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0)) {
        gb_fail(err, GB_ERR_IO, "cannot make the pipes of a worker: %s", gb_reason(errno));
        goto done;
    }
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        gb_fail(err, GB_ERR_IO, "cannot start a worker process: %s", gb_reason(errno));
        goto done;
    }
    if (pid == 0) {
        child_become(argv, input_fd, events[1], errors[1], control[1], parent);
    }
    setpgid(pid, pid); /* here too, so that it is done before any child_signal */
    job_control_add(pid);
    c->pid = pid;
    c->event_fd = events[0];
    c->stderr_fd = errors[0];
    fcntl(c->event_fd, F_SETFL, O_NONBLOCK);
    fcntl(c->stderr_fd, F_SETFL, O_NONBLOCK);
    fcntl(c->event_fd, F_SETPIPE_SZ, EVENT_PIPE_BYTES); /* where it may not, the usual size does */
    c->control_fd = control[0];
    events[0] = errors[0] = control[0] = -1;
    status = GB_OK;
done:
    fd_close(&input_fd);
    fd_close(&events[0]);
    fd_close(&events[1]);
    fd_close(&errors[0]);
    fd_close(&errors[1]);
    fd_close(&control[0]);
    fd_close(&control[1]);
    return status;
}

/* Keeps the last CHILD_STDERR_KEPT bytes. */
static void tail_add(child *c, const char *bytes, size_t n)
{
    if (n > CHILD_STDERR_KEPT) {
        bytes += n - CHILD_STDERR_KEPT;
        n = CHILD_STDERR_KEPT;
    }
    if (c->stderr_used + n > CHILD_STDERR_KEPT) {
        size_t drop = c->stderr_used + n - CHILD_STDERR_KEPT;
        memmove(c->stderr_tail, c->stderr_tail + drop, c->stderr_used - drop);
        c->stderr_used -= drop;
    }
    memcpy(c->stderr_tail + c->stderr_used, bytes, n);
    c->stderr_used += n;
    c->stderr_tail[c->stderr_used] = '\0';
}

void child_drain_stderr(child *c)
{
    char bytes[4096];
    while (c->stderr_fd >= 0) {
        ssize_t n = read(c->stderr_fd, bytes, sizeof bytes);
        if (n > 0) {
            tail_add(c, bytes, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            return;
        } else {
            fd_close(&c->stderr_fd);
        }
    }
}

void child_signal(child *c, int signal)
{
    if (c->pid > 0 && !c->ended) {
        kill(-c->pid, signal);
    }
}

bool child_wait(child *c, int timeout_ms)
{
    const struct timespec pause = {0, 5 * 1000 * 1000};
    for (int waited = 0; !c->ended; waited += 5) {
        struct rusage usage;
        pid_t pid = wait4(c->pid, &c->wait_status, WNOHANG, &usage);
        if (pid == c->pid) {
            c->cpu_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                       1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        }
        if (pid == c->pid || (pid < 0 && errno != EINTR)) {
            c->ended = true;
            job_control_drop(c->pid); /* the number may be somebody else's from now on */
        } else if (waited >= timeout_ms) {
            return false;
        } else {
            nanosleep(&pause, NULL);
        }
    }
    return true;
}

void child_close(child *c)
{
    if (c->pid <= 0) {
        return;
    }
    child_signal(c, SIGKILL);
    while (!child_wait(c, 1000)) {
    }
    child_drain_stderr(c);
    fd_close(&c->event_fd);
    fd_close(&c->stderr_fd);
    fd_close(&c->control_fd);
    c->pid = 0;
}

/* The number behind `key` in a file of "key number" lines, -1 when there is none. */
static long long counter_read(const char *path, const char *key)
{
    FILE *file = fopen(path, "re");
    char name[64];
    long long value, found = -1;
    while (file && found < 0 && fscanf(file, "%63s %lld", name, &value) == 2) {
        if (strcmp(name, key) == 0) {
            found = value;
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

long long child_oom_kills(void)
{
    char line[512], path[640];
    long long kills = -1;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && kills < 0 && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.events", line + 3);
            kills = counter_read(path, "oom_kill");
        } else if (strstr(line, ":memory:")) {
            snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.oom_control",
                     strstr(line, ":memory:") + 8);
            kills = counter_read(path, "oom_kill");
        }
    }
    if (file) {
        fclose(file);
    }
    return kills >= 0 ? kills : counter_read("/proc/vmstat", "oom_kill");
}
