#include "bench/doctor/doctor.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bench/report/figures/gnuplot.h"
#include "kernels/process_limits.h"

static void check_gnuplot(doctor_report *report)
{
    char line[128] = "";
    if (gnuplot_version(line, sizeof line)) {
        doctor_add(report, DOCTOR_OK, "gnuplot", "%s", line);
        return;
    }
    doctor_finding *f = doctor_add(report, DOCTOR_MISSING, "gnuplot", "not found");
    f->needed = true;
    doctor_advise(f, "reports have no figures without it: apt-get install gnuplot-nox");
}

static void check_sqlite(doctor_report *report)
{
    enum { STRICT_TABLES_SINCE = 3037000 };
    bool old = sqlite3_libversion_number() < STRICT_TABLES_SINCE;
    doctor_finding *f = doctor_add(report, old ? DOCTOR_MISSING : DOCTOR_OK, "sqlite", "SQLite %s",
                                   sqlite3_libversion());
    if (old) {
        f->needed = true;
        doctor_advise(f, "the database needs SQLite 3.37 or newer (strict tables)");
    }
}

static void check_results(doctor_report *report, const char *dir)
{
    /* Results are created where the program stands; before the first run that is the place. */
    const char *place = access(dir, F_OK) == 0 ? dir : ".";
    struct statvfs fs;
    if (access(place, W_OK) != 0 || statvfs(place, &fs) != 0) {
        doctor_finding *f =
            doctor_add(report, DOCTOR_MISSING, "results", "%s: %s", place, gb_reason(errno));
        f->needed = true;
        doctor_advise(f, "results need a directory that can be written; go to one, or use --db");
        return;
    }
    double free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    double gib = free_bytes / (1024.0 * 1024.0 * 1024.0);
    bool little = gib < 1;
    doctor_finding *f = doctor_add(report, little ? DOCTOR_WARN : DOCTOR_OK, "results",
                                   "%.1f GiB free at %s", gib, place);
    f->number = free_bytes;
    f->unit = "bytes";
    if (little) {
        doctor_advise(f, "a suite's database takes megabytes, saved weights far more: make room");
    }
}

void doctor_check_tools(doctor_report *report, const char *results_dir)
{
    check_gnuplot(report);
    check_sqlite(report);
    check_results(report, results_dir);
}
