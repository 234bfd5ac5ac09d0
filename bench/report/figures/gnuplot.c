#include "bench/report/figures/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/clock.h"
#include "kernels/process_limits.h"

/* The child's exit code where gnuplot did not take over. */
enum { EXIT_NO_DIRECTORY = 126 };

/* The program's whole path. Looked for before the working directory changes, and in absolute
 * folders of PATH only: a file called gnuplot in somebody's report is not to be run. */
static int program_find(char *out, size_t size)
{
    const char *entry = getenv("PATH");
    while (entry && *entry) {
        size_t length = strcspn(entry, ":");
        int wrote = snprintf(out, size, "%.*s/gnuplot", (int)length, entry);
        if (*entry == '/' && wrote < (int)size && access(out, X_OK) == 0) {
            return 1;
        }
        entry += length + (entry[length] == ':');
    }
    return 0;
}

/* Where gnuplot's own words would come from. */
static void child_say(int pipe_end, const char *why)
{
    ssize_t ignored = write(pipe_end, why, strlen(why));
    (void)ignored;
}

/* `heard` is the stream of the child that goes into the pipe; the others are /dev/null. */
static void child_exec(const char *program, const char *directory, const char *const *argv,
                       int heard, int pipe_end)
{
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || chdir(directory) != 0) {
        child_say(pipe_end, strerror(errno));
        _exit(EXIT_NO_DIRECTORY);
    }
    dup2(nothing, STDIN_FILENO);
    dup2(heard == STDOUT_FILENO ? pipe_end : nothing, STDOUT_FILENO);
    dup2(heard == STDERR_FILENO ? pipe_end : nothing, STDERR_FILENO);
    execv(program, (char *const *)argv);
    child_say(pipe_end, strerror(errno));
    _exit(EXIT_NO_DIRECTORY);
}

/* Reads what the child says until it closes its end; keeps the last size - 1 bytes. Returns false
 * when the time ran out. */
static int read_errors(int fd, char *said, size_t size)
{
    double deadline = gb_monotonic_s() + GNUPLOT_TIMEOUT_S;
    size_t used = 0;
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        double left = deadline - gb_monotonic_s();
        if (left <= 0 || poll(&waiting, 1, (int)(left * 1000) + 1) == 0) {
            said[used] = '\0';
            return 0;
        }
        char chunk[512];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            said[used] = '\0';
            return 1;
        }
        size_t drop = used + (size_t)n >= size ? used + (size_t)n - (size - 1) : 0;
        drop = drop > used ? used : drop;
        memmove(said, said + drop, used - drop);
        used -= drop;
        memcpy(said + used, chunk, (size_t)n);
        used += (size_t)n;
    }
}

/* One line, without blanks at its ends. */
static void flatten(char *text)
{
    size_t n = 0;
    for (char *p = text; *p; p++) {
        char c = *p == '\n' || *p == '\t' || *p == '\r' ? ' ' : *p;
        if (c != ' ' || (n > 0 && text[n - 1] != ' ')) {
            text[n++] = c;
        }
    }
    while (n > 0 && text[n - 1] == ' ') {
        n--;
    }
    text[n] = '\0';
}

enum { OUTCOME_NONE = -1, OUTCOME_LATE = -2 };

/* Runs it to its end; `said` is what it said on `heard`. The outcome is waitpid's, or OUTCOME_LATE,
 * or OUTCOME_NONE with *err filled. */
static int program_run(const char *program, const char *directory, const char *const *argv,
                       int heard, char *said, size_t size, gb_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        gb_fail(err, GB_ERR_IO, "gnuplot: no pipe: %s", gb_reason(errno));
        return OUTCOME_NONE;
    }
    pid_t pid = fork();
    if (pid < 0) {
        gb_fail(err, GB_ERR_IO, "gnuplot: no process: %s", gb_reason(errno));
        close(ends[0]);
        close(ends[1]);
        return OUTCOME_NONE;
    }
    if (pid == 0) {
        child_exec(program, directory, argv, heard, ends[1]);
    }
    close(ends[1]);
    int in_time = read_errors(ends[0], said, size), result = 0;
    close(ends[0]);
    if (!in_time) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &result, 0) < 0 && errno == EINTR) {
    }
    flatten(said);
    return in_time ? result : OUTCOME_LATE;
}

/* gnuplot ended otherwise than it should. Where this process is limited, gnuplot was too, and that
 * is the likely reason; ended by a signal, or never begun, it was the system's doing. */
static gb_status program_failed(const char *directory, const char *script, int outcome,
                                const char *said, gb_error *err)
{
    char limit[128], how[64] = "failed";
    const bool begun = !WIFEXITED(outcome) || WEXITSTATUS(outcome) != EXIT_NO_DIRECTORY;
    gb_limits_memory_words(limit, sizeof limit);
    if (WIFSIGNALED(outcome)) {
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(outcome));
    }
    const bool environment = WIFSIGNALED(outcome) || !begun || limit[0];
    return gb_fail(err, environment ? GB_ERR_ENV : GB_ERR_FAILED, "gnuplot %s/%s %s%s%s: %.400s",
                   directory, script, how, limit, limit[0] ? ", raise that for figures" : "",
                   said[0] ? said : "it said nothing");
}

gb_status gnuplot_run(const char *directory, const char *script, gb_error *err)
{
    /* -d: what stands in the user's ~/.gnuplot must not change a figure. */
    const char *const argv[] = {"gnuplot", "-d", script, NULL};
    char said[768], program[4096];
    if (!program_find(program, sizeof program)) {
        return gb_fail(err, GB_ERR_ENV,
                       "gnuplot is not installed, so no figures were drawn; install it (Debian: "
                       "apt install gnuplot-nox) and make the report again");
    }
    int outcome = program_run(program, directory, argv, STDERR_FILENO, said, sizeof said, err);
    if (outcome == OUTCOME_NONE) {
        return GB_ERR_IO;
    }
    if (outcome == OUTCOME_LATE) {
        return gb_fail(err, GB_ERR_FAILED, "gnuplot %s/%s took more than %d s and was ended",
                       directory, script, GNUPLOT_TIMEOUT_S);
    }
    if (!WIFEXITED(outcome) || WEXITSTATUS(outcome) != 0) {
        return program_failed(directory, script, outcome, said, err);
    }
    return GB_OK;
}

bool gnuplot_version(char *out, size_t size)
{
    static const char *const argv[] = {"gnuplot", "--version", NULL};
    char program[4096];
    return program_find(program, sizeof program) &&
           program_run(program, "/", argv, STDOUT_FILENO, out, size, NULL) == 0 && out[0];
}
