#include "kernels/sensors/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is used of NVML's C interface, as its reference documents it ---- */

typedef int nvml_return; /* 0 is success */
typedef void *nvml_device;

enum {
    NVML_OK = 0,
    NVML_CLOCK_SM = 1,
    NVML_CLOCK_MEMORY = 2,
    NVML_SENSOR_GPU = 0 /* the die's temperature */
};

typedef struct nvml_memory {
    unsigned long long total, free, used; /* bytes */
} nvml_memory;

typedef struct nvml_functions {
    nvml_return (*init)(void);
    nvml_return (*shutdown)(void);
    const char *(*error_string)(nvml_return);
    nvml_return (*handle_by_bus_id)(const char *, nvml_device *);
    nvml_return (*clock_info)(nvml_device, int, unsigned *);               /* MHz */
    nvml_return (*power_usage)(nvml_device, unsigned *);                   /* mW */
    nvml_return (*temperature)(nvml_device, int, unsigned *);              /* degrees Celsius */
    nvml_return (*clock_event_reasons)(nvml_device, unsigned long long *); /* mask */
    nvml_return (*memory_info)(nvml_device, nvml_memory *);                /* bytes */
    nvml_return (*total_energy)(nvml_device, unsigned long long *);        /* mJ */
} nvml_functions;

struct nvml_gpu {
    void *library;
    nvml_functions call;
    nvml_device device;
    const char *complaints[NVML_FIELD_COUNT]; /* NULL: read */
};

/* ---- loading ---- */

/* Some functions have got a new name over the years, the first found is taken. */
static const struct {
    size_t offset;
    const char *names[2];
} SYMBOLS[] = {
    {offsetof(nvml_functions, init), {"nvmlInit_v2", "nvmlInit"}},
    {offsetof(nvml_functions, shutdown), {"nvmlShutdown", NULL}},
    {offsetof(nvml_functions, error_string), {"nvmlErrorString", NULL}},
    {offsetof(nvml_functions, handle_by_bus_id),
     {"nvmlDeviceGetHandleByPciBusId_v2", "nvmlDeviceGetHandleByPciBusId"}},
    {offsetof(nvml_functions, clock_info), {"nvmlDeviceGetClockInfo", NULL}},
    {offsetof(nvml_functions, power_usage), {"nvmlDeviceGetPowerUsage", NULL}},
    {offsetof(nvml_functions, temperature), {"nvmlDeviceGetTemperature", NULL}},
    {offsetof(nvml_functions, clock_event_reasons),
     {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"}},
    {offsetof(nvml_functions, memory_info), {"nvmlDeviceGetMemoryInfo", NULL}},
    {offsetof(nvml_functions, total_energy), {"nvmlDeviceGetTotalEnergyConsumption", NULL}},
};

static void functions_find(nvml_gpu *gpu)
{
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++) {
        void *found = NULL;
        for (int k = 0; k < 2 && !found && SYMBOLS[i].names[k]; k++) {
            found = dlsym(gpu->library, SYMBOLS[i].names[k]);
        }
        memcpy((char *)&gpu->call + SYMBOLS[i].offset, &found, sizeof found);
    }
}

static const char *error_text(const nvml_gpu *gpu, nvml_return code)
{
    const char *text = gpu->call.error_string ? gpu->call.error_string(code) : NULL;
    return text ? text : "an error without a name";
}

/* Library, driver, GPU; false with the reason, what was opened being left to nvml_gpu_close. */
static bool gpu_find(nvml_gpu *gpu, const char *library, const char *bus_id, char *reason,
                     size_t size)
{
    gpu->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!gpu->library) {
        const char *text = dlerror();
        snprintf(reason, size, "NVML cannot be loaded: %s", text ? text : library);
        return false;
    }
    functions_find(gpu);
    if (!gpu->call.init || !gpu->call.shutdown || !gpu->call.handle_by_bus_id) {
        snprintf(reason, size, "%s lacks functions that every NVML has", library);
        gpu->call.shutdown = NULL;
        return false;
    }
    nvml_return code = gpu->call.init();
    if (code != NVML_OK) {
        gpu->call.shutdown = NULL; /* nothing to shut down */
        snprintf(reason, size, "NVML does not start: %s", error_text(gpu, code));
        return false;
    }
    code = gpu->call.handle_by_bus_id(bus_id, &gpu->device);
    if (code != NVML_OK) {
        snprintf(reason, size, "NVML does not know the GPU at %s: %s", bus_id,
                 error_text(gpu, code));
        return false;
    }
    return true;
}

nvml_gpu *nvml_gpu_open(const char *library, const char *bus_id, char *reason, size_t size)
{
    nvml_gpu *gpu = calloc(1, sizeof *gpu);
    if (!gpu) {
        snprintf(reason, size, "no memory");
        return NULL;
    }
    if (!gpu_find(gpu, library, bus_id, reason, size)) {
        nvml_gpu_close(gpu);
        return NULL;
    }
    return gpu;
}

void nvml_gpu_close(nvml_gpu *gpu)
{
    if (!gpu) {
        return;
    }
    if (gpu->call.shutdown) {
        gpu->call.shutdown();
    }
    if (gpu->library) {
        dlclose(gpu->library);
    }
    free(gpu);
}

/* ---- reading ---- */

/* Notes what became of a call; true when its result counts. */
static bool read_ok(nvml_gpu *gpu, nvml_field field, bool called, nvml_return code)
{
    gpu->complaints[field] = !called           ? "this driver's NVML does not have it"
                             : code != NVML_OK ? error_text(gpu, code)
                                               : NULL;
    return !gpu->complaints[field];
}

#define READ(field, function, ...)                                                                 \
    read_ok(gpu, field, gpu->call.function != NULL,                                                \
            gpu->call.function ? gpu->call.function(gpu->device, __VA_ARGS__) : NVML_OK)

void nvml_gpu_read(nvml_gpu *gpu, gb_sample *out)
{
    unsigned value = 0;
    unsigned long long wide = 0;
    nvml_memory memory = {0, 0, 0};
    if (READ(NVML_FIELD_CLOCK, clock_info, NVML_CLOCK_SM, &value)) {
        out->gpu_clock_mhz = value;
    }
    if (READ(NVML_FIELD_MEMORY_CLOCK, clock_info, NVML_CLOCK_MEMORY, &value)) {
        out->gpu_memory_clock_mhz = value;
    }
    if (READ(NVML_FIELD_POWER, power_usage, &value)) {
        out->gpu_power_w = value / 1e3;
    }
    if (READ(NVML_FIELD_TEMPERATURE, temperature, NVML_SENSOR_GPU, &value)) {
        out->gpu_temperature_c = value;
    }
    if (READ(NVML_FIELD_THROTTLE, clock_event_reasons, &wide)) {
        out->gpu_throttle = (int64_t)(wide & INT64_MAX);
    }
    if (READ(NVML_FIELD_MEMORY, memory_info, &memory)) {
        out->gpu_memory_bytes = (double)memory.used;
    }
    if (READ(NVML_FIELD_ENERGY, total_energy, &wide)) {
        out->gpu_energy_j = (double)wide / 1e3;
    }
}

const char *nvml_gpu_complaint(const nvml_gpu *gpu, nvml_field field)
{
    return gpu->complaints[field];
}
