/* A stand-in for NVIDIA's management library, loaded by the program's own loader: two GPUs whose
 * readings the environment variable FAKE_NVML sets, "power=350000 energy_error=3": a number for
 * clock, memory_clock (MHz), power (mW), temperature (degrees Celsius), reasons (mask), memory
 * (bytes), energy (mJ), or an error code for any of them or for init, as NAME_error. What is not
 * set has a value of its own. Energy is otherwise what 250 W make since the machine started.
 *
 * With FAKE_NVML_OLD defined it is a library of long ago: first names only, no energy counter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef struct fake_device {
    const char *bus_id;
    unsigned clock_mhz;
} fake_device;

static fake_device devices[] = {{"00000000:01:00.0", 1980}, {"00000000:02:00.0", 1410}};

/* Calls of init less calls of shutdown, for tests. */
extern int fake_nvml_users;
int fake_nvml_users = 0;

static unsigned long long setting(const char *name, unsigned long long otherwise)
{
    const char *text = getenv("FAKE_NVML");
    size_t length = strlen(name);
    while (text && *text) {
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            return strtoull(text + length + 1, NULL, 0);
        }
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return otherwise;
}

/* 0, or the error that the test wants. */
static int failure(const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s_error", name);
    return (int)setting(key, 0);
}

#ifdef FAKE_NVML_OLD
#define INIT             nvmlInit
#define HANDLE_BY_BUS_ID nvmlDeviceGetHandleByPciBusId
#define CLOCK_REASONS    nvmlDeviceGetCurrentClocksThrottleReasons
#else
#define INIT             nvmlInit_v2
#define HANDLE_BY_BUS_ID nvmlDeviceGetHandleByPciBusId_v2
#define CLOCK_REASONS    nvmlDeviceGetCurrentClocksEventReasons
#endif

struct memory {
    unsigned long long total, free, used;
};

int INIT(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int HANDLE_BY_BUS_ID(const char *bus_id, void **device);
int nvmlDeviceGetClockInfo(void *device, int kind, unsigned *mhz);
int nvmlDeviceGetPowerUsage(void *device, unsigned *mw);
int nvmlDeviceGetTemperature(void *device, int kind, unsigned *celsius);
int CLOCK_REASONS(void *device, unsigned long long *mask);
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory);

int INIT(void)
{
    int code = failure("init");
    fake_nvml_users += code == 0;
    return code;
}

int nvmlShutdown(void)
{
    fake_nvml_users--;
    return 0;
}

const char *nvmlErrorString(int code)
{
    return code == 3   ? "Not Supported"
           : code == 4 ? "Insufficient Permissions"
           : code == 6 ? "Not Found"
           : code == 9 ? "Driver Not Loaded"
                       : "Unknown Error";
}

int HANDLE_BY_BUS_ID(const char *bus_id, void **device)
{
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        /* The domain may come with four digits or eight. */
        if (strcasecmp(strchr(bus_id, ':'), strchr(devices[i].bus_id, ':')) == 0) {
            *device = &devices[i];
            return 0;
        }
    }
    return 6;
}

int nvmlDeviceGetClockInfo(void *device, int kind, unsigned *mhz)
{
    const fake_device *gpu = device;
    const char *name = kind == 1 ? "clock" : kind == 2 ? "memory_clock" : "other_clock";
    *mhz = (unsigned)setting(name, kind == 1 ? gpu->clock_mhz : 2619);
    return kind == 1 || kind == 2 ? failure(name) : 2;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *mw)
{
    (void)device;
    *mw = (unsigned)setting("power", 250500);
    return failure("power");
}

int nvmlDeviceGetTemperature(void *device, int kind, unsigned *celsius)
{
    (void)device;
    *celsius = (unsigned)setting("temperature", 61);
    return kind == 0 ? failure("temperature") : 2;
}

int CLOCK_REASONS(void *device, unsigned long long *mask)
{
    (void)device;
    *mask = setting("reasons", 0);
    return failure("reasons");
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
    (void)device;
    memory->total = 80ull << 30;
    memory->used = setting("memory", 3ull << 30);
    memory->free = memory->total - memory->used;
    return failure("memory");
}

#ifndef FAKE_NVML_OLD
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj);

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj)
{
    struct timespec t;
    (void)device;
    clock_gettime(CLOCK_MONOTONIC, &t);
    *mj = setting("energy",
                  (unsigned long long)(250e3 * ((double)t.tv_sec + (double)t.tv_nsec * 1e-9)));
    return failure("energy");
}
#endif
