#include "kernels/cpu/cpu_threads.h"

#include <limits.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/limits_check.h"

/* ---- how many there are ---- */

/* CPUs that the two numbers of a quota give, the period by default 100 ms; 0: none, or no file. */
static double quota_of_file(const char *quota_path, const char *period_path)
{
    double quota = 0, period = 100000;
    FILE *file = fopen(quota_path, "re");
    bool found = file && fscanf(file, "%lf %lf", &quota, &period) >= 1; /* "max" is no number */
    if (file) {
        fclose(file);
    }
    file = found && period_path ? fopen(period_path, "re") : NULL;
    if (file) {
        found = fscanf(file, "%lf", &period) == 1;
        fclose(file);
    }
    return found && quota > 0 && period > 0 ? quota / period : 0;
}

/* The least of a group's and of those that it lies in. */
static double quota_of_group(const char *root, const char *mount, char *group, bool v2)
{
    char quota[PATH_MAX], period[PATH_MAX];
    double least = 0;
    for (;;) {
        const char *name = v2 ? "cpu.max" : "cpu.cfs_quota_us";
        int n = snprintf(quota, sizeof quota, "%s%s%s/%s", root, mount, group, name);
        int m = snprintf(period, sizeof period, "%s%s%s/cpu.cfs_period_us", root, mount, group);
        if (n < (int)sizeof quota && m < (int)sizeof period) {
            double cpus = quota_of_file(quota, v2 ? NULL : period);
            least = cpus > 0 && (least == 0 || cpus < least) ? cpus : least;
        }
        char *slash = strrchr(group, '/');
        if (!slash) {
            return least;
        }
        *slash = '\0';
    }
}

/* Whether the controllers of a line "4:cpu,cpuacct:/group" are those of CPU time. */
static bool is_of_cpu(const char *controllers, const char *group)
{
    for (const char *at = controllers; at < group; at += strcspn(at, ",:") + 1) {
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == ':')) {
            return true;
        }
    }
    return false;
}

double cpu_quota_read(const char *root)
{
    char path[PATH_MAX], line[PATH_MAX];
    double least = 0;
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path) {
        return 0;
    }
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(++controllers, ':') : NULL;
        bool v2 = strncmp(line, "0::", 3) == 0;
        if (group && (v2 || is_of_cpu(controllers, group))) {
            double cpus =
                quota_of_group(root, v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group + 1, v2);
            least = cpus > 0 && (least == 0 || cpus < least) ? cpus : least;
        }
    }
    if (file) {
        fclose(file);
    }
    return least;
}

static int cpus_allowed(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

int cpu_count_usable(void)
{
    int count = cpus_allowed();
    double quota = cpu_quota_read("");
    return quota >= count || quota == 0 ? count : quota < 1 ? 1 : (int)quota;
}

/* ---- how many are wanted ---- */

gb_status cpu_threads_choose(int asked, int *out, gb_error *err)
{
    const char *text = cpu_env_threads();
    int most = omp_get_thread_limit();
    *out = asked > 0 ? asked : cpu_count_usable();
    if (asked <= 0 && text && text[strspn(text, " \t")]) {
        *out = cpu_env_list_first(text);
    }
    if (*out == 0) {
        *out = 1;
        return gb_fail(err, GB_ERR_USAGE,
                       CPU_ENV_THREADS " = %.64s: expected a number of threads from 1 to %d, or a"
                                       " list that begins with it; or give --threads",
                       text, CPU_THREADS_MAX);
    }
    *out = most > 0 && *out > most ? most : *out;
    return GB_OK;
}

/* ---- the team ---- */

/* OpenMP's team lives as long as the process, and so does what is known of it. */
static atomic_int team_made = 1;

gb_status cpu_threads_start(int threads, gb_error *err)
{
    if (threads <= team_made) {
        return GB_OK;
    }
    GB_TRY(gb_limits_threads_check(threads - team_made, err));
    omp_set_dynamic(0); /* or a busy machine would get fewer than are written down */
#pragma omp parallel num_threads(threads)
    {
    }
    team_made = threads;
    return GB_OK;
}

void cpu_threads_note(int threads, char *out, size_t size)
{
    int allowed = cpus_allowed();
    double quota = cpu_quota_read("");
    out[0] = '\0';
    if (threads > allowed) {
        snprintf(out, size,
                 "%d threads on %d CPU%s: they wait for each other, and steps take longer"
                 " and vary more",
                 threads, allowed, allowed == 1 ? "" : "s");
    } else if (quota > 0 && threads > 1 && threads > quota) {
        snprintf(out, size,
                 "%d threads, and the quota of the cgroup is %.3g CPUs: they are held up, and steps"
                 " take longer and vary more",
                 threads, quota);
    }
}
