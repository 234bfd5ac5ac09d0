#include "kernels/process_memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kernels/process_limits.h"

int64_t gb_process_resident_bytes(pid_t pid)
{
    char path[64];
    long long size, resident = 0;
    if (pid > 0) {
        snprintf(path, sizeof path, "/proc/%lld/statm", (long long)pid);
    } else {
        snprintf(path, sizeof path, "/proc/self/statm");
    }
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lld %lld", &size, &resident) != 2) {
        resident = 0;
    }
    if (file) {
        fclose(file);
    }
    if (resident == 0 && pid == 0) { /* at its largest it was hardly larger */
        return gb_process_peak_bytes();
    }
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

int64_t gb_process_peak_bytes(void)
{
    char line[128];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && kib == 0 && fgets(line, sizeof line, file)) {
        sscanf(line, "VmHWM: %lld kB", &kib);
    }
    if (file) {
        fclose(file);
    }
    if (kib == 0) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        kib = usage.ru_maxrss;
    }
    return (int64_t)kib * 1024;
}

/* The number in a file of one number; 0 for "max" and for what cannot be read. */
static int64_t limit_read(const char *path)
{
    long long value = 0;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lld", &value) != 1) {
        value = 0;
    }
    if (file) {
        fclose(file);
    }
    return value > 0 ? (int64_t)value : 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

/* The least of the limits of a cgroup and of those that it lies in, up to `root`. */
static int64_t limit_of_group(const char *root, char *group, const char *file)
{
    char path[PATH_MAX];
    int64_t least = 0;
    while (1) {
        int n = snprintf(path, sizeof path, "%s%s/%s", root, group, file);
        if (n > 0 && n < (int)sizeof path) {
            least = smaller(least, limit_read(path));
        }
        char *slash = strrchr(group, '/');
        if (!slash) {
            return least;
        }
        *slash = '\0';
    }
}

static int64_t limit_of_cgroups(void)
{
    char line[PATH_MAX];
    int64_t least = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *v1 = strstr(line, ":memory:");
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0) {
            least = smaller(least, limit_of_group("/sys/fs/cgroup", line + 3, "memory.max"));
        } else if (v1) {
            least = smaller(least, limit_of_group("/sys/fs/cgroup/memory", v1 + strlen(":memory:"),
                                                  "memory.limit_in_bytes"));
        }
    }
    if (file) {
        fclose(file);
    }
    return least;
}

int64_t gb_memory_limit_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    int64_t machine = pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : 0;
    return smaller(gb_limits_address_space_bytes(), smaller(machine, limit_of_cgroups()));
}
