#include "kernels/sensors/cpu_sensors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/process_limits.h"

enum { PACKAGES_MAX = 64, PATH_SIZE = 512, REASON_SIZE = 192 };

/* Time of one CPU since the machine started, in the kernel's ticks; -1 when it was not there. */
typedef struct cpu_ticks {
    double total, busy, steal;
} cpu_ticks;

/* One RAPL package: a counter in microjoules that starts again at its range. */
typedef struct rapl_package {
    int zone; /* intel-rapl:N */
    double range_uj, last_uj;
} rapl_package;

struct cpu_sensors {
    char root[256];
    cpu_set_t cpus;
    cpu_ticks before[CPU_SETSIZE];
    double weight[CPU_SETSIZE]; /* busy ticks since the last reading; -1 unknown */
    int n_packages;
    rapl_package packages[PACKAGES_MAX];
    double energy_uj; /* since open; NAN once a package could not be read */
    char reasons[CPU_FIELD_COUNT][REASON_SIZE];
};

/* ---- files ---- */

static void path_make(const cpu_sensors *cpu, char *out, const char *tail)
{
    snprintf(out, PATH_SIZE, "%s%s", cpu->root, tail);
}

/* First line of a file, without its newline. On failure errno says why. */
static bool line_read(const char *path, char *out, size_t size)
{
    errno = 0;
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    bool ok = fgets(out, (int)size, file) != NULL; /* sysfs may fail here only, as in ENODEV */
    int code = errno;
    fclose(file);
    if (ok) {
        out[strcspn(out, "\n")] = '\0';
    }
    errno = code ? code : EIO;
    return ok;
}

/* A number that is not negative, and nothing else on the line. */
static bool number_read(const char *path, double *out)
{
    char line[64], *end;
    if (!line_read(path, line, sizeof line)) {
        return false;
    }
    double value = strtod(line, &end);
    if (end == line || *end || !isfinite(value) || value < 0) {
        errno = EINVAL;
        return false;
    }
    *out = value;
    return true;
}

/* ---- busy and steal ---- */

/* "cpu3 user nice system idle iowait irq softirq steal guest ..."; guest is in user already. */
static bool stat_line_parse(const char *line, int *index, cpu_ticks *ticks)
{
    double t[8] = {0};
    if (sscanf(line, "cpu%d %lf %lf %lf %lf %lf %lf %lf %lf", index, &t[0], &t[1], &t[2], &t[3],
               &t[4], &t[5], &t[6], &t[7]) != 9 ||
        *index < 0 || *index >= CPU_SETSIZE) {
        return false;
    }
    ticks->busy = t[0] + t[1] + t[2] + t[5] + t[6];
    ticks->steal = t[7];
    ticks->total = ticks->busy + t[3] + t[4] + t[7];
    return true;
}

/* What the CPUs did since the last reading. A CPU that was not there then, or is not there now,
 * takes no part; nor does one whose counters went back, as they may when it was unplugged between
 * the two. */
static cpu_ticks stat_advance(cpu_sensors *cpu, FILE *file)
{
    char line[512];
    bool seen[CPU_SETSIZE] = {false};
    cpu_ticks sum = {0, 0, 0};
    while (fgets(line, sizeof line, file) && strncmp(line, "cpu", 3) == 0) {
        int i;
        cpu_ticks now;
        if (!stat_line_parse(line, &i, &now) || !CPU_ISSET((size_t)i, &cpu->cpus)) {
            continue;
        }
        cpu_ticks *was = &cpu->before[i];
        bool counts = was->total >= 0 && now.total >= was->total && now.busy >= was->busy &&
                      now.steal >= was->steal;
        cpu->weight[i] = counts ? now.busy - was->busy : -1;
        if (counts) {
            sum.total += now.total - was->total;
            sum.busy += now.busy - was->busy;
            sum.steal += now.steal - was->steal;
        }
        *was = now;
        seen[i] = true;
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!seen[i]) {
            cpu->before[i].total = cpu->weight[i] = -1;
        }
    }
    return sum;
}

static void stat_read(cpu_sensors *cpu, gb_sample *out)
{
    char path[PATH_SIZE], *reason = cpu->reasons[CPU_FIELD_STAT];
    path_make(cpu, path, "/proc/stat");
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(reason, REASON_SIZE, "/proc/stat: %s", gb_reason(errno));
        return;
    }
    cpu_ticks sum = stat_advance(cpu, file);
    fclose(file);
    bool any = false;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        any |= cpu->before[i].total >= 0;
    }
    snprintf(reason, REASON_SIZE, "%s", any ? "" : "/proc/stat has no line for the CPUs in use");
    if (sum.total > 0) {
        out->cpu_busy = sum.busy / sum.total;
        out->cpu_steal = sum.steal / sum.total;
    }
}

static void load_read(cpu_sensors *cpu, gb_sample *out)
{
    char path[PATH_SIZE], line[128], *end, *reason = cpu->reasons[CPU_FIELD_LOAD];
    path_make(cpu, path, "/proc/loadavg");
    if (!line_read(path, line, sizeof line)) {
        snprintf(reason, REASON_SIZE, "/proc/loadavg: %s", gb_reason(errno));
        return;
    }
    double load = strtod(line, &end);
    if (end != line && isfinite(load) && load >= 0) {
        out->cpu_load = load;
        reason[0] = '\0';
    } else {
        snprintf(reason, REASON_SIZE, "/proc/loadavg does not start with a number");
    }
}

/* ---- clock ---- */

static bool clock_of(const cpu_sensors *cpu, int i, double *mhz)
{
    char tail[96], path[PATH_SIZE];
    double khz;
    snprintf(tail, sizeof tail, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", i);
    path_make(cpu, path, tail);
    if (!number_read(path, &khz) || khz == 0) {
        return false;
    }
    *mhz = khz / 1e3;
    return true;
}

/* Mean over the CPUs in use. What an idle one runs at says nothing, so each counts by its busy
 * time; where nothing is known of that, all count the same. */
static void clock_read(cpu_sensors *cpu, gb_sample *out)
{
    double weights = 0, sum = 0, plain = 0;
    int n = 0, usable = CPU_COUNT(&cpu->cpus);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        weights += cpu->weight[i] > 0 ? cpu->weight[i] : 0;
    }
    double used = 0;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        double mhz, weight = cpu->weight[i] > 0 ? cpu->weight[i] : 0;
        if (!CPU_ISSET((size_t)i, &cpu->cpus) || (weights > 0 && weight == 0) ||
            !clock_of(cpu, i, &mhz)) {
            continue;
        }
        sum += weight * mhz;
        used += weight;
        plain += mhz;
        n++;
    }
    if (n > 0) {
        out->cpu_clock_mhz = used > 0 ? sum / used : plain / n;
    }
    snprintf(cpu->reasons[CPU_FIELD_CLOCK], REASON_SIZE, "%s",
             n > 0 || usable == 0 ? ""
                                  : "no cpufreq below /sys/devices/system/cpu, as on most virtual "
                                    "machines");
}

/* ---- energy ---- */

/* The packages are the top-level zones that are named so; zones within them (core, dram) would
 * count twice, and psys covers more than the CPU. */
static void zone_path(const cpu_sensors *cpu, char *out, int zone, const char *file)
{
    char tail[96];
    snprintf(tail, sizeof tail, "/sys/class/powercap/intel-rapl:%d/%s", zone, file);
    path_make(cpu, out, tail);
}

static void packages_find(cpu_sensors *cpu)
{
    for (int zone = 0; zone < PACKAGES_MAX; zone++) {
        char path[PATH_SIZE], name[64];
        rapl_package found = {.zone = zone, .last_uj = NAN};
        zone_path(cpu, path, zone, "name");
        if (!line_read(path, name, sizeof name) || strncmp(name, "package", 7) != 0) {
            continue;
        }
        zone_path(cpu, path, zone, "max_energy_range_uj");
        if (!number_read(path, &found.range_uj)) {
            found.range_uj = 0;
        }
        cpu->packages[cpu->n_packages++] = found;
    }
}

/* Microjoules since the last reading; NAN when that cannot be told. */
static double package_advance(cpu_sensors *cpu, rapl_package *p)
{
    char path[PATH_SIZE];
    double now, was = p->last_uj;
    zone_path(cpu, path, p->zone, "energy_uj");
    if (!number_read(path, &now)) {
        p->last_uj = NAN;
        snprintf(cpu->reasons[CPU_FIELD_ENERGY], REASON_SIZE, "%.120s: %s",
                 path + strlen(cpu->root), gb_reason(errno));
        return NAN;
    }
    p->last_uj = now;
    if (isnan(was)) {
        return 0; /* the first reading */
    }
    if (now < was && p->range_uj < was) {
        snprintf(cpu->reasons[CPU_FIELD_ENERGY], REASON_SIZE,
                 "an energy counter went back and its range is not known");
        return NAN;
    }
    return now < was ? now + (p->range_uj - was) : now - was;
}

static void energy_read(cpu_sensors *cpu, gb_sample *out)
{
    if (cpu->n_packages == 0) {
        snprintf(cpu->reasons[CPU_FIELD_ENERGY], REASON_SIZE,
                 "no RAPL package below /sys/class/powercap, as on most virtual machines");
        return;
    }
    for (int i = 0; i < cpu->n_packages; i++) {
        cpu->energy_uj += package_advance(cpu, &cpu->packages[i]); /* NAN stays: a sum with a gap
                                                                    * is no sum */
    }
    if (isfinite(cpu->energy_uj)) {
        cpu->reasons[CPU_FIELD_ENERGY][0] = '\0';
        out->cpu_energy_j = cpu->energy_uj / 1e6;
    }
}

/* ---- all ---- */

cpu_sensors *cpu_sensors_open(const char *root, const cpu_set_t *cpus)
{
    cpu_sensors *cpu = calloc(1, sizeof *cpu);
    if (!cpu) {
        return NULL;
    }
    snprintf(cpu->root, sizeof cpu->root, "%s", root ? root : "");
    if (cpus) {
        cpu->cpus = *cpus;
    } else if (sched_getaffinity(0, sizeof cpu->cpus, &cpu->cpus) != 0) {
        memset(&cpu->cpus, 0xff, sizeof cpu->cpus); /* more CPUs than a cpu_set_t has room for */
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        cpu->before[i].total = cpu->weight[i] = -1;
    }
    packages_find(cpu);
    return cpu;
}

void cpu_sensors_close(cpu_sensors *cpu)
{
    free(cpu);
}

void cpu_sensors_read(cpu_sensors *cpu, gb_sample *out)
{
    stat_read(cpu, out);
    load_read(cpu, out);
    clock_read(cpu, out);
    energy_read(cpu, out);
}

const char *cpu_sensors_complaint(const cpu_sensors *cpu, cpu_field field)
{
    return cpu->reasons[field];
}
