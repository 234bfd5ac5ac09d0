#include "bench/doctor.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/backend.h"
#include "version.h"

/* ---- backends ---- */

/* A workspace of a few MiB: the doctor looks at the device, it does not train. */
static gb_options options_smallest(gb_precision precision)
{
    return (gb_options){.precision = precision,
                        .device_index = -1,
                        .shape = {.batch_size = 1,
                                  .sequence_length = 16,
                                  .n_embd = 64,
                                  .n_head = 2,
                                  .n_kv_head = 2,
                                  .head_dim = 32,
                                  .mlp_hidden = 256,
                                  .vocab_size = 256}};
}

static void add_peak(doctor_report *report, const gb_backend *backend, gb_device *dev,
                     gb_precision precision)
{
    char name[32];
    snprintf(name, sizeof name, "%s_gemm_peak_%s", backend->name, gb_precision_name(precision));
    double peak = backend->measure_gemm_peak(dev);
    if (!(peak > 0)) {
        doctor_finding *f = doctor_add(report, DOCTOR_WARN, name, "could not be measured");
        doctor_advise(f, "MFU stays empty on this machine");
        return;
    }
    doctor_finding *f = doctor_add(report, DOCTOR_OK, name, "%.1f GFLOP/s sustained", peak * 1e-9);
    f->number = peak;
    f->unit = "FLOP/s";
}

static void check_backend(doctor_report *report, const gb_backend *backend, gb_precision precision,
                          bool measure)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%s", backend->name, gb_precision_name(precision));
    bool needed = strcmp(backend->name, "cpu") == 0;
    const char *reason = backend->unavailable(precision);
    if (reason) {
        doctor_finding *f = doctor_add(report, DOCTOR_MISSING, name, "%s", reason);
        f->needed = needed;
        return;
    }
    gb_options options = options_smallest(precision);
    gb_device *dev = NULL;
    gb_error err = {GB_OK, ""};
    if (backend->open(&options, &dev, &err) != GB_OK) {
        doctor_finding *f = doctor_add(report, DOCTOR_MISSING, name, "%s", err.message);
        f->needed = needed;
        return;
    }
    gb_description d = {0};
    backend->describe(dev, &d);
    bool emulated = d.precision_note[0] != '\0';
    doctor_finding *f =
        doctor_add(report, emulated ? DOCTOR_WARN : DOCTOR_OK, name,
                   "%s, code path %s, %d threads; %s", d.device, d.isa, d.threads, d.libraries);
    if (emulated) {
        doctor_advise(f, "emulated: %s", d.precision_note);
    }
    if (measure) {
        add_peak(report, backend, dev, precision);
    }
    backend->close(dev);
}

static void add_steal(doctor_report *report, doctor_cpu_ticks before)
{
    doctor_cpu_ticks after = doctor_read_cpu_ticks();
    if (after.total <= before.total) {
        return;
    }
    double stolen = (after.steal - before.steal) / (after.total - before.total);
    bool much = stolen > 0.01;
    doctor_finding *f = doctor_add(report, much ? DOCTOR_WARN : DOCTOR_OK, "steal",
                                   "%.1f %% of the CPU time went to other virtual machines "
                                   "meanwhile",
                                   100 * stolen);
    f->number = stolen;
    f->unit = "fraction";
    if (much) {
        doctor_advise(f, "neighbours on this host slow every step: run again later, or on a "
                         "machine of your own");
    }
}

void doctor_check_backends(doctor_report *report, bool measure)
{
    static const gb_precision precisions[] = {GB_FP32, GB_BF16};
    doctor_cpu_ticks before = doctor_read_cpu_ticks();
    for (const gb_backend *const *backend = gb_backends(); *backend; backend++) {
        for (int i = 0; i < 2; i++) {
            check_backend(report, *backend, precisions[i], measure);
        }
    }
    add_steal(report, before);
}

/* ---- GPU ---- */

/* Text behind "key:" in a file of the NVIDIA driver. */
static bool driver_field(const char *path, const char *key, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return false;
    }
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            const char *at = line + length + 1;
            at += strspn(at, " \t");
            snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
            found = true;
        }
    }
    fclose(file);
    return found;
}

static void check_gpus(doctor_report *report)
{
    glob_t found = {0};
    if (glob("/proc/driver/nvidia/gpus/*/information", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && i < 16; i++) {
            char model[128] = "unknown model";
            driver_field(found.gl_pathv[i], "Model", model, sizeof model);
            doctor_add(report, DOCTOR_OK, "gpu", "%s", model);
        }
    }
    globfree(&found);
}

static void check_profiling_permission(doctor_report *report)
{
    char text[32];
    if (!driver_field("/proc/driver/nvidia/params", "RmProfilingAdminOnly", text, sizeof text)) {
        return;
    }
    if (text[0] == '0') {
        doctor_add(report, DOCTOR_OK, "gpu_counters", "open to every user");
        return;
    }
    doctor_finding *f =
        doctor_add(report, DOCTOR_WARN, "gpu_counters", "open to the administrator alone");
    doctor_advise(f,
                  "for hardware counters: `options nvidia NVreg_RestrictProfilingToAdminUsers=0` "
                  "in /etc/modprobe.d, then reload the driver; timelines do not need it");
}

void doctor_check_gpu(doctor_report *report)
{
#ifdef GPTBENCH_CUDA
    doctor_add(report, DOCTOR_OK, "cuda", "built in");
#else
    doctor_finding *off =
        doctor_add(report, DOCTOR_WARN, "cuda", "not built in: %s", GPTBENCH_CUDA_OFF_REASON);
    doctor_advise(off, "the CPU backend does everything that this version can do");
#endif
    char driver[256];
    if (!driver_field("/proc/driver/nvidia/version", "NVRM version", driver, sizeof driver)) {
        doctor_add(report, DOCTOR_OK, "gpu", "no NVIDIA driver is loaded; none is needed");
        return;
    }
    doctor_add(report, DOCTOR_OK, "gpu_driver", "%s", driver);
    check_gpus(report);
    check_profiling_permission(report);
}
