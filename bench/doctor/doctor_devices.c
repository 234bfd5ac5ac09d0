#include "bench/doctor/doctor.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/run/rates.h"
#include "kernels/backend.h"
#include "version.h"

/* ---- backends ---- */

/* A workspace of a few MiB: the doctor looks at the device, it does not train. */
static gb_options options_smallest(gb_precision precision, int device_index)
{
    return (gb_options){.precision = precision,
                        .device_index = device_index,
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

/* Nothing for a backend that does not tell it from the peak. */
static void add_sustained(doctor_report *report, const gb_backend *backend, gb_device *dev,
                          gb_precision precision)
{
    char name[32];
    double rate = rates_sustained(backend, dev);
    if (rate > 0) {
        snprintf(name, sizeof name, "%s_gemm_rate_%s", backend->name, gb_precision_name(precision));
        doctor_finding *f = doctor_add(report, DOCTOR_OK, name,
                                       "%.1f GFLOP/s kept up for more than a second", rate * 1e-9);
        f->number = rate;
        f->unit = "FLOP/s";
    }
}

static void add_copy_rate(doctor_report *report, const gb_backend *backend, gb_device *dev)
{
    char name[32];
    snprintf(name, sizeof name, "%s_copy_rate", backend->name);
    double rate = backend->measure_copy_rate(dev, 0);
    if (!(rate > 0)) {
        doctor_finding *f = doctor_add(report, DOCTOR_WARN, name, "could not be measured");
        doctor_advise(f, "ops have no share of a roofline on this machine");
        return;
    }
    doctor_finding *f =
        doctor_add(report, DOCTOR_OK, name, "%.1f GB/s sustained, read and written", rate * 1e-9);
    f->number = rate;
    f->unit = "bytes/s";
}

static void check_backend(doctor_report *report, const gb_backend *backend, gb_precision precision,
                          bool measure, int device_index)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%s", backend->name, gb_precision_name(precision));
    bool needed = strcmp(backend->name, "cpu") == 0;
    bool chosen = device_index >= 0 && backend->list_devices;
    const char *reason = chosen ? NULL : backend->unavailable(precision); /* that is of the first */
    if (reason) {
        doctor_finding *f = doctor_add(report, DOCTOR_MISSING, name, "%s", reason);
        f->needed = needed;
        return;
    }
    gb_options options = options_smallest(precision, device_index);
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
    if (d.threads_note[0]) {
        f = doctor_add(report, DOCTOR_WARN, "threads", "%s", d.threads_note);
        doctor_advise(f, "ask for fewer, with OMP_NUM_THREADS or --threads");
    }
    if (measure) {
        add_peak(report, backend, dev, precision);
        add_sustained(report, backend, dev, precision);
        if (precision == GB_FP32) { /* it is the same in any */
            add_copy_rate(report, backend, dev);
        }
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

void doctor_check_backends(doctor_report *report, bool measure, int device_index)
{
    static const gb_precision precisions[] = {GB_FP32, GB_BF16};
    doctor_cpu_ticks before = doctor_read_cpu_ticks();
    for (const gb_backend *const *backend = gb_backends(); *backend; backend++) {
        for (int i = 0; i < 2; i++) {
            check_backend(report, *backend, precisions[i], measure, device_index);
        }
    }
    add_steal(report, before);
}

/* ---- GPU ---- */

bool doctor_read_field(const char *path, const char *key, char *out, size_t size)
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

/* One line per GPU that the program can see, with the number that --device takes. */
static int add_visible_gpus(doctor_report *report, const gb_backend *backend)
{
    enum { SHOWN = 16 };
    gb_device_entry rows[SHOWN];
    int count = backend->list_devices(rows, SHOWN);
    for (int i = 0; i < count && i < SHOWN; i++) {
        const gb_device_entry *d = &rows[i];
        char name[32];
        const char *fp32 = d->unavailable[GB_FP32], *bf16 = d->unavailable[GB_BF16];
        snprintf(name, sizeof name, "gpu_%d", i);
        doctor_finding *f =
            doctor_add(report, bf16 ? DOCTOR_WARN : DOCTOR_OK, name, "%s, %s, %.1f GiB, %s",
                       d->name, d->isa, (double)d->memory_bytes / (1 << 30),
                       fp32   ? "cannot be used"
                       : bf16 ? "fp32 only"
                              : "fits this program: fp32 and bf16");
        if (bf16) {
            doctor_advise(f, "%s", fp32 ? fp32 : bf16);
        }
        f->number = (double)d->memory_bytes;
        f->unit = "bytes";
    }
    return count;
}

/* What the driver says of the GPUs, for a program that cannot ask them. */
static void add_driver_gpus(doctor_report *report)
{
    glob_t found = {0};
    if (glob("/proc/driver/nvidia/gpus/*/information", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && i < 16; i++) {
            char model[128] = "unknown model";
            doctor_read_field(found.gl_pathv[i], "Model", model, sizeof model);
            doctor_add(report, DOCTOR_OK, "gpu", "%s", model);
        }
    }
    globfree(&found);
}

/* Whether CUDA is built in and on, and its GPUs; returns how many can be seen. */
static int check_cuda(doctor_report *report)
{
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        if ((*b)->list_devices) {
            const char *off = (*b)->unavailable(GB_FP32);
            doctor_add(report, DOCTOR_OK, "cuda", "built in%s%s", off ? ", off here: " : "",
                       off ? off : "");
            return add_visible_gpus(report, *b);
        }
    }
    doctor_finding *off =
        doctor_add(report, DOCTOR_WARN, "cuda", "not built in: %s", GPTBENCH_CUDA_OFF_REASON);
    doctor_advise(off, "the CPU backend does everything that this version can do");
    return 0;
}

void doctor_check_gpu(doctor_report *report)
{
    int visible = check_cuda(report);
    char driver[256];
    if (!doctor_read_field("/proc/driver/nvidia/version", "NVRM version", driver, sizeof driver)) {
        if (visible == 0) {
            doctor_add(report, DOCTOR_OK, "gpu", "no NVIDIA driver is loaded; none is needed");
        }
        return;
    }
    doctor_add(report, DOCTOR_OK, "gpu_driver", "%s", driver);
    if (visible == 0) {
        add_driver_gpus(report);
    }
}
