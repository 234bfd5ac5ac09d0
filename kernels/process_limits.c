#include "kernels/process_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* CPU time that is kept for an orderly end: a tenth of the limit, but no less and no more. */
#define CPU_KEPT_LEAST_S 0.5
#define CPU_KEPT_MOST_S  30.0

/* For the signal handler, which can reach nothing else. */
static volatile sig_atomic_t cpu_spent;
static char cpu_words[160] = "the limit of CPU time (ulimit -t) is used up; raise it";

int64_t gb_limits_get(int resource)
{
    struct rlimit limit;
    return getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY
               ? -1
               : (int64_t)limit.rlim_cur;
}

static void size_format(char *out, size_t size, int64_t bytes)
{
    if (bytes < (int64_t)10 << 20) {
        snprintf(out, size, "%lld KiB", (long long)(bytes >> 10));
    } else {
        snprintf(out, size, "%lld MiB", (long long)(bytes >> 20));
    }
}

/* ---- before work begins ---- */

/* The way in which they are opened keeps reads and writes failing. */
static void descriptors_occupy(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            /* The lowest free number: this one, since those below it are taken. */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

static void soft_limit_raise(int resource, int64_t wanted)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur < (rlim_t)wanted &&
        limit.rlim_cur != RLIM_INFINITY) {
        limit.rlim_cur = limit.rlim_max < (rlim_t)wanted ? limit.rlim_max : (rlim_t)wanted;
        (void)setrlimit((__rlimit_resource_t)resource, &limit);
    }
}

int64_t gb_limits_cpu_s(void)
{
    int64_t limit_s = gb_limits_get(RLIMIT_CPU);
    return limit_s > 0 ? limit_s : 0;
}

static void on_cpu_time(int signal_number)
{
    struct sigaction stop;
    int saved = errno;
    (void)signal_number;
    if (!cpu_spent) { /* the kernel says it again every second */
        cpu_spent = 1;
        if (sigaction(SIGTERM, NULL, &stop) == 0 && stop.sa_handler != SIG_DFL &&
            stop.sa_handler != SIG_IGN) {
            kill(getpid(), SIGTERM);
        } else {
            static const char before[] = "gptbench: ";
            ssize_t ignored = write(STDERR_FILENO, before, sizeof before - 1);
            ignored = write(STDERR_FILENO, cpu_words, strlen(cpu_words));
            ignored = write(STDERR_FILENO, "\n", 1);
            (void)ignored;
            _exit(3);
        }
    }
    errno = saved;
}

/* The soft limit may be the hard one, at which the kernel kills without a word; so a timer of our
 * own comes first. */
static void cpu_time_watch(void)
{
    int64_t limit_s = gb_limits_cpu_s();
    if (limit_s == 0) {
        return;
    }
    snprintf(cpu_words, sizeof cpu_words,
             "the limit of CPU time, %lld s for each process (ulimit -t), is used up; raise it",
             (long long)limit_s);
    struct sigaction action = {.sa_handler = on_cpu_time, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGXCPU, &action, NULL);
    double kept_s = 0.1 * (double)limit_s;
    kept_s = kept_s < CPU_KEPT_LEAST_S ? CPU_KEPT_LEAST_S : kept_s;
    kept_s = kept_s > CPU_KEPT_MOST_S ? CPU_KEPT_MOST_S : kept_s;
    double at_s = (double)limit_s - kept_s;
    struct itimerspec when = {
        .it_value = {(time_t)at_s, (long)((at_s - (double)(time_t)at_s) * 1e9) + 1}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};
    timer_t timer;
    if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0) {
        (void)timer_settime(timer, TIMER_ABSTIME, &when, NULL);
    }
}

void gb_limits_prepare(void)
{
    descriptors_occupy();
    signal(SIGXFSZ, SIG_IGN);
    soft_limit_raise(RLIMIT_NOFILE, GB_LIMITS_FILES_NEEDED);
    soft_limit_raise(RLIMIT_STACK, GB_LIMITS_STACK_NEEDED);
    cpu_time_watch();
}

bool gb_limits_cpu_spent(void)
{
    return cpu_spent != 0;
}

const char *gb_limits_cpu_words(void)
{
    return cpu_words;
}

/* ---- why something failed ---- */

void gb_limits_memory_words(char *out, size_t size)
{
    char most[32];
    int64_t space = gb_limits_get(RLIMIT_AS), data = gb_limits_get(RLIMIT_DATA);
    out[0] = '\0';
    if (space >= 0) {
        size_format(most, sizeof most, space);
        snprintf(out, size, "; the address space is limited to %s (ulimit -v)", most);
    } else if (data >= 0) {
        size_format(most, sizeof most, data);
        snprintf(out, size, "; the data segment is limited to %s (ulimit -d)", most);
    }
}

int64_t gb_limits_address_space_bytes(void)
{
    int64_t space = gb_limits_get(RLIMIT_AS);
    return space > 0 ? space : 0;
}

/* The sizes of the address space and of data and stack, in pages, of /proc/self/statm. */
static bool sizes_read(int64_t *space_bytes, int64_t *data_bytes)
{
    long long space = 0, data = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    bool good = file && fscanf(file, "%lld %*d %*d %*d %*d %lld", &space, &data) == 2;
    if (file) {
        fclose(file);
    }
    *space_bytes = (int64_t)space * sysconf(_SC_PAGESIZE);
    *data_bytes = (int64_t)data * sysconf(_SC_PAGESIZE);
    return good;
}

int64_t gb_limits_memory_left_bytes(void)
{
    int64_t space = gb_limits_get(RLIMIT_AS), data = gb_limits_get(RLIMIT_DATA), used, used_data;
    if ((space < 0 && data < 0) || !sizes_read(&used, &used_data)) {
        return -1;
    }
    int64_t left = space < 0 ? INT64_MAX : space - used;
    int64_t left_data = data < 0 ? INT64_MAX : data - used_data;
    left = left < left_data ? left : left_data;
    return left > 0 ? left : 0;
}

const char *gb_reason(int error_number)
{
    static _Thread_local char words[256];
    char limit[160] = "", most[32];
    int64_t value = -1;
    if (error_number == EFBIG && (value = gb_limits_get(RLIMIT_FSIZE)) >= 0) {
        size_format(most, sizeof most, value);
        snprintf(limit, sizeof limit,
                 ": no file may have more than %s here (ulimit -f); raise that", most);
    } else if (error_number == EMFILE && (value = gb_limits_get(RLIMIT_NOFILE)) >= 0) {
        snprintf(limit, sizeof limit,
                 ": this process may have %lld open at a time (ulimit -n); raise that",
                 (long long)value);
    } else if (error_number == EAGAIN && (value = gb_limits_get(RLIMIT_NPROC)) >= 0) {
        snprintf(limit, sizeof limit,
                 ": this user may have %lld processes and threads (ulimit -u); raise that, or end"
                 " some",
                 (long long)value);
    } else if (error_number == ENOMEM) {
        gb_limits_memory_words(limit, sizeof limit);
    }
    snprintf(words, sizeof words, "%s%s", strerror(error_number), limit);
    return words;
}

const char *gb_write_doubt(void)
{
    static _Thread_local char words[128];
    char most[32];
    int64_t value = gb_limits_get(RLIMIT_FSIZE);
    if (value < 0) {
        return "is the disk full?";
    }
    size_format(most, sizeof most, value);
    snprintf(words, sizeof words,
             "is the disk full? No file may have more than %s here (ulimit -f)", most);
    return words;
}
