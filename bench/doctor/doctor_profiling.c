/* Whether and how runs can be profiled here: CUPTI, the driver's permission, NVTX. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/doctor/doctor.h"
#include "kernels/backend.h"
#include "kernels/nvtx.h"

enum { CAPABILITY_SYS_ADMIN = 21 }; /* linux/capability.h */

static bool field_read(const char *root, const char *file, const char *key, char *out, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, file);
    return doctor_read_field(path, key, out, size);
}

/* CAP_SYS_ADMIN, which is what the driver asks for. */
static bool is_administrator(const char *root)
{
    char text[64];
    return field_read(root, "/proc/self/status", "CapEff", text, sizeof text) &&
           (strtoull(text, NULL, 16) >> CAPABILITY_SYS_ADMIN & 1) != 0;
}

static void check_permission(doctor_report *report, const char *root)
{
    static const char name[] = "gpu_profiling";
    char text[32];
    if (!field_read(root, "/proc/driver/nvidia/params", "RmProfilingAdminOnly", text,
                    sizeof text)) {
        return; /* no driver, or one that does not say */
    }
    if (text[0] == '0') {
        doctor_add(report, DOCTOR_OK, name, "open to every user");
        return;
    }
    if (is_administrator(root)) {
        doctor_add(report, DOCTOR_OK, name,
                   "for administrators only, and this process is one (CAP_SYS_ADMIN)");
        return;
    }
    doctor_finding *f = doctor_add(report, DOCTOR_WARN, name,
                                   "the driver lets only administrators read its counters, and "
                                   "this process is not one (no CAP_SYS_ADMIN)");
    doctor_advise(f,
                  "per-op times need timelines only, which most drivers give to everybody; where "
                  "a profile_note speaks of privileges: run as root (in a container with "
                  "--cap-add=SYS_ADMIN), or put `options nvidia "
                  "NVreg_RestrictProfilingToAdminUsers=0` into /etc/modprobe.d/nvidia.conf and "
                  "reload the driver");
}

static void check_profiler(doctor_report *report)
{
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        gb_profiler_description d;
        if (!(*b)->profiler_describe) {
            continue;
        }
        (*b)->profiler_describe(&d);
        if (d.found) {
            doctor_finding *f =
                doctor_add(report, d.problem[0] ? DOCTOR_WARN : DOCTOR_OK, "cupti", "%s%s%s",
                           d.library, d.version[0] ? ", " : "", d.version);
            if (d.problem[0]) {
                doctor_advise(f, "%s", d.problem);
            }
            continue;
        }
        doctor_finding *f = doctor_add(report, DOCTOR_WARN, "cupti", "%s", d.problem);
        doctor_advise(f, "profiled steps are timed op by op without it, gaps included: install the "
                         "toolkit's CUPTI (apt-get install cuda-cupti-13-0, or that of your "
                         "toolkit), or put its directory into LD_LIBRARY_PATH");
    }
}

void doctor_check_profiling(doctor_report *report, const char *root)
{
    check_profiler(report);
    check_permission(report, root);
    doctor_add(report, DOCTOR_OK, "nvtx", "%s",
               gb_nvtx_built_in()
                   ? "built in: steps, phases, layers and ops have ranges, domain gptbench"
                   : "not built in: nvtx3/nvToolsExt.h of the CUDA toolkit was not found");
}
