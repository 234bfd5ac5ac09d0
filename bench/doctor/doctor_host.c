#include "bench/doctor/doctor.h"

#include <ctype.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernels/clock.h"
#include "kernels/cpu/cpu_threads.h"

static const double bytes_per_gib = 1024.0 * 1024.0 * 1024.0;

/* ---- the list ---- */

const char *doctor_level_name(doctor_level level)
{
    static const char *const names[] = {"ok", "warn", "missing"};
    return names[level];
}

doctor_finding *doctor_add(doctor_report *report, doctor_level level, const char *name,
                           const char *format, ...)
{
    if (report->count < DOCTOR_FINDINGS_MAX) {
        report->count++;
    }
    doctor_finding *finding = &report->findings[report->count - 1];
    *finding = (doctor_finding){.level = level, .number = NAN};
    snprintf(finding->name, sizeof finding->name, "%s", name);
    va_list args;
    va_start(args, format);
    vsnprintf(finding->value, sizeof finding->value, format, args);
    va_end(args);
    return finding;
}

void doctor_advise(doctor_finding *finding, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(finding->advice, sizeof finding->advice, format, args);
    va_end(args);
}

/* ---- small files of the kernel ---- */

/* First line of a file without its newline; false where it cannot be read. */
static bool line_read(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return false;
    }
    bool ok = fgets(out, (int)size, file) != NULL;
    fclose(file);
    if (ok) {
        out[strcspn(out, "\n")] = '\0';
    }
    return ok;
}

/* Text behind "key<blanks>:" in a file like /proc/cpuinfo or /proc/meminfo. */
static bool field_read(const char *path, const char *key, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return false;
    }
    char line[4096];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) != 0) {
            continue;
        }
        const char *at = line + length + strspn(line + length, " \t");
        if (*at == ':') {
            at += 1 + strspn(at + 1, " \t");
            snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
            found = true;
        }
    }
    fclose(file);
    return found;
}

static double meminfo_bytes(const char *key)
{
    char text[64];
    return field_read("/proc/meminfo", key, text, sizeof text) ? strtod(text, NULL) * 1024.0 : NAN;
}

/* ---- checks ---- */

#if defined(__x86_64__)

static void check_cpu(doctor_report *report)
{
    static const char *const wanted[] = {"avx2",        "avx512f",  "avx512_bf16",
                                         "avx512_vnni", "amx_bf16", NULL};
    char model[128] = "unknown", flags[4096] = "", has[128] = "";
    field_read("/proc/cpuinfo", "model name", model, sizeof model);
    field_read("/proc/cpuinfo", "flags", flags, sizeof flags);
    for (int i = 0; wanted[i]; i++) {
        const char *at = strstr(flags, wanted[i]);
        size_t length = strlen(wanted[i]);
        if (at && (at[length] == ' ' || at[length] == '\0')) {
            size_t used = strlen(has);
            snprintf(has + used, sizeof has - used, " %s", wanted[i]);
        }
    }
    bool plain = flags[0] && !has[0];
    doctor_finding *f = doctor_add(report, plain ? DOCTOR_WARN : DOCTOR_OK, "cpu", "%s;%s", model,
                                   has[0] ? has : " no vector extension that would help");
    if (plain) {
        doctor_advise(f, "the program has code for avx2 and avx512; here it runs on its generic "
                         "path, several times slower");
    }
}

#else

static void check_cpu(doctor_report *report)
{
    struct utsname system = {0};
    (void)uname(&system);
    doctor_finding *f =
        doctor_add(report, DOCTOR_WARN, "cpu", "%s, code path generic", system.machine);
    doctor_advise(f, "only for x86-64 is there code for a CPU's own vectors (avx2, avx512); here "
                     "the compiler's are used, which was tried in an emulator and on no hardware");
}

#endif

static int check_cores(doctor_report *report)
{
    cpu_set_t set;
    int usable = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    double limit = cpu_quota_read("");
    bool throttled = limit > 0 && limit < usable;
    doctor_finding *f = doctor_add(report, throttled ? DOCTOR_WARN : DOCTOR_OK, "cores",
                                   "%d of %ld may be used by this process", usable, online);
    f->number = usable;
    f->unit = "cores";
    if (throttled) {
        doctor_advise(f,
                      "the container may use %.2f CPUs at a time and is stopped beyond that: give "
                      "it whole CPUs; the CPU backend takes %d threads unless it is told otherwise",
                      limit, cpu_count_usable());
    }
    return usable;
}

static void check_memory(doctor_report *report)
{
    double total = meminfo_bytes("MemTotal"), available = meminfo_bytes("MemAvailable");
    char text[64];
    if (line_read("/sys/fs/cgroup/memory.max", text, sizeof text) &&
        isdigit((unsigned char)text[0])) {
        double limit = strtod(text, NULL);
        total = limit < total ? limit : total;
        available = limit < available ? limit : available;
    }
    if (isnan(total)) {
        doctor_add(report, DOCTOR_WARN, "memory", "cannot be read here");
        return;
    }
    bool little = available < 2 * bytes_per_gib;
    doctor_finding *f =
        doctor_add(report, little ? DOCTOR_WARN : DOCTOR_OK, "memory", "%.1f GiB, %.1f GiB free",
                   total / bytes_per_gib, available / bytes_per_gib);
    f->number = available;
    f->unit = "bytes";
    if (little) {
        doctor_advise(f, "enough for small models; `gptbench plan` says what a suite needs");
    }
}

static void check_load(doctor_report *report, int cores)
{
    double load = 0;
    if (getloadavg(&load, 1) != 1) {
        return;
    }
    bool busy = load > 0.25 * cores;
    doctor_finding *f = doctor_add(report, busy ? DOCTOR_WARN : DOCTOR_OK, "load",
                                   "%.2f on average over the last minute", load);
    f->number = load;
    f->unit = "runnable";
    if (busy) {
        doctor_advise(f, "something else is using this machine: step times will be noisy until "
                         "it is done");
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The same chain of dependent operations again and again: on a steady clock every round takes the
 * same time. The spread is that of the middle eight tenths, so that one interrupt is no alarm. */
static void check_clock(doctor_report *report)
{
    enum { ROUNDS = 40, STEPS = 2000000 };
    double round_ms[ROUNDS];
    volatile uint64_t sink = 1;
    for (int r = 0; r < ROUNDS; r++) {
        double begin = gb_monotonic_ms();
        uint64_t x = sink;
        for (int i = 0; i < STEPS; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
        }
        sink = x;
        round_ms[r] = gb_monotonic_ms() - begin;
    }
    qsort(round_ms, ROUNDS, sizeof round_ms[0], compare_doubles);
    double spread = (round_ms[ROUNDS * 9 / 10] - round_ms[ROUNDS / 10]) / round_ms[ROUNDS / 2];
    bool unsteady = spread > 0.05;
    doctor_finding *f = doctor_add(report, unsteady ? DOCTOR_WARN : DOCTOR_OK, "clock",
                                   "the same work varies by %.1f %% within %.2f s", 100 * spread,
                                   ROUNDS * round_ms[ROUNDS / 2] * 1e-3);
    f->number = spread;
    f->unit = "fraction";
    if (unsteady) {
        doctor_advise(f, "other work or a changing clock: close programs, fix the frequency if "
                         "you can, and trust differences below this only with many replicates");
    }
}

static void check_governor(doctor_report *report)
{
    char governor[64];
    if (!line_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
                   sizeof governor)) {
        doctor_add(report, DOCTOR_OK, "frequency",
                   "not readable here, as on most virtual machines");
        return;
    }
    bool steady = strcmp(governor, "performance") == 0;
    doctor_finding *f =
        doctor_add(report, steady ? DOCTOR_OK : DOCTOR_WARN, "frequency", "governor %s", governor);
    if (!steady) {
        doctor_advise(f, "for steadier step times: cpupower frequency-set -g performance");
    }
}

static void check_environment(doctor_report *report)
{
    const char *threads = cpu_env_threads();
    if (threads && threads[0] && cpu_env_list_first(threads) == 0) {
        doctor_finding *f = doctor_add(report, DOCTOR_WARN, "environment",
                                       "OMP_NUM_THREADS=%s: no number of threads", threads);
        doctor_advise(f, "set it to one, or unset it: what trains refuses it");
    } else if (threads && threads[0]) {
        doctor_finding *f = doctor_add(
            report, DOCTOR_WARN, "environment",
            "OMP_NUM_THREADS=%s: the CPU backend's threads where --threads is not given", threads);
        doctor_advise(f, "unset it to use every core that this process may use");
    }
}

void doctor_check_host(doctor_report *report)
{
    check_cpu(report);
    int cores = check_cores(report);
    check_memory(report);
    check_load(report, cores);
    check_governor(report);
    check_clock(report);
    check_environment(report);
}

doctor_cpu_ticks doctor_read_cpu_ticks(void)
{
    char line[512];
    doctor_cpu_ticks ticks = {0, 0};
    double field[8] = {0};
    if (line_read("/proc/stat", line, sizeof line) &&
        sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &field[0], &field[1], &field[2],
               &field[3], &field[4], &field[5], &field[6], &field[7]) == 8) {
        for (int i = 0; i < 8; i++) {
            ticks.total += field[i];
        }
        ticks.steal = field[7];
    }
    return ticks;
}
