#include "bench/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Exit codes by which the child tells what happened before gnuplot took over. */
enum { EXIT_NO_GNUPLOT = 127, EXIT_NO_DIRECTORY = 126 };

/* Where gnuplot's own words would come from. */
static void child_say(int error_pipe, const char *why)
{
    ssize_t ignored = write(error_pipe, why, strlen(why));
    (void)ignored;
}

static void child_exec(const char *directory, const char *script, int error_pipe)
{
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || chdir(directory) != 0) {
        child_say(error_pipe, strerror(errno));
        _exit(EXIT_NO_DIRECTORY);
    }
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(error_pipe, STDERR_FILENO);
    /* -d: what stands in the user's ~/.gnuplot must not change a figure. */
    execlp("gnuplot", "gnuplot", "-d", script, (char *)NULL);
    if (errno == ENOENT) {
        _exit(EXIT_NO_GNUPLOT);
    }
    child_say(error_pipe, strerror(errno));
    _exit(EXIT_NO_DIRECTORY);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads what the child says until it closes its end; keeps the last size - 1 bytes. Returns false
 * when the time ran out. */
static int read_errors(int fd, char *said, size_t size)
{
    double deadline = now_s() + GNUPLOT_TIMEOUT_S;
    size_t used = 0;
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        double left = deadline - now_s();
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

gb_status gnuplot_run(const char *directory, const char *script, gb_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gb_fail(err, GB_ERR_IO, "gnuplot: no pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        gb_status status = gb_fail(err, GB_ERR_IO, "gnuplot: no process: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return status;
    }
    if (pid == 0) {
        child_exec(directory, script, ends[1]);
    }
    close(ends[1]);
    char said[768];
    int in_time = read_errors(ends[0], said, sizeof said);
    close(ends[0]);
    if (!in_time) {
        kill(pid, SIGKILL);
    }
    int result = 0;
    while (waitpid(pid, &result, 0) < 0 && errno == EINTR) {
    }
    flatten(said);
    if (!in_time) {
        return gb_fail(err, GB_ERR_FAILED, "gnuplot %s/%s took more than %d s and was ended",
                       directory, script, GNUPLOT_TIMEOUT_S);
    }
    if (WIFEXITED(result) && WEXITSTATUS(result) == EXIT_NO_GNUPLOT) {
        return gb_fail(err, GB_ERR_ENV,
                       "gnuplot is not installed, so no figures were drawn; install it (Debian: "
                       "apt install gnuplot-nox) and make the report again");
    }
    if (!WIFEXITED(result) || WEXITSTATUS(result) != 0) {
        return gb_fail(err, GB_ERR_FAILED, "gnuplot %s/%s failed: %s", directory, script,
                       said[0] ? said : "it said nothing");
    }
    return GB_OK;
}
