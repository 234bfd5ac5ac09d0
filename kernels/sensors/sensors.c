#include "kernels/sensors/sensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/clock.h"
#include "kernels/sensors/cpu_sensors.h"
#include "kernels/sensors/nvml.h"

struct gb_sensors {
    bool wants_gpu;
    nvml_gpu *gpu; /* NULL: gpu_reason says why */
    char gpu_reason[192];
    cpu_sensors *cpu;
};

void gb_throttle_names(int64_t mask, char *out, size_t size)
{
    static const struct {
        int64_t bit;
        const char *name;
    } reasons[] = {
#define X(suffix, bit, name) {bit, name},
        GB_THROTTLE_REASONS(X)
#undef X
    };
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (mask & reasons[i].bit && used < size) {
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", reasons[i].name);
        }
        mask &= ~reasons[i].bit;
    }
    if (mask > 0 && used < size) {
        snprintf(out + used, size - used, "%s0x%llx", used ? "," : "", (unsigned long long)mask);
    }
}

gb_sample gb_sample_missing(void)
{
    return (gb_sample){.monotonic_s = NAN,
                       .gpu_clock_mhz = NAN,
                       .gpu_memory_clock_mhz = NAN,
                       .gpu_power_w = NAN,
                       .gpu_temperature_c = NAN,
                       .gpu_throttle = -1,
                       .gpu_memory_bytes = NAN,
                       .gpu_energy_j = NAN,
                       .cpu_clock_mhz = NAN,
                       .cpu_load = NAN,
                       .cpu_busy = NAN,
                       .cpu_steal = NAN,
                       .cpu_energy_j = NAN};
}

gb_sensors_options gb_sensors_options_default(void)
{
    const char *library = getenv("GPTBENCH_NVML_LIBRARY"), *root = getenv("GPTBENCH_SENSORS_ROOT");
    return (gb_sensors_options){.nvml_library = library && *library ? library : NVML_LIBRARY,
                                .root = root ? root : ""};
}

gb_sensors *gb_sensors_open(const gb_sensors_options *options)
{
    gb_sensors *sensors = calloc(1, sizeof *sensors);
    if (!sensors) {
        return NULL;
    }
    sensors->cpu = cpu_sensors_open(options->root, options->cpus);
    if (!sensors->cpu) {
        free(sensors);
        return NULL;
    }
    sensors->wants_gpu = options->gpu_bus_id && options->gpu_bus_id[0];
    if (sensors->wants_gpu) {
        sensors->gpu =
            nvml_gpu_open(options->nvml_library ? options->nvml_library : NVML_LIBRARY,
                          options->gpu_bus_id, sensors->gpu_reason, sizeof sensors->gpu_reason);
    }
    return sensors;
}

void gb_sensors_close(gb_sensors *sensors)
{
    if (sensors) {
        nvml_gpu_close(sensors->gpu);
        cpu_sensors_close(sensors->cpu);
        free(sensors);
    }
}

void gb_sensors_read(gb_sensors *sensors, gb_sample *out)
{
    *out = gb_sample_missing();
    cpu_sensors_read(sensors->cpu, out);
    if (sensors->gpu) {
        nvml_gpu_read(sensors->gpu, out);
    }
    out->monotonic_s = gb_monotonic_s();
}

/* ---- what can be read ---- */

static void state_add(gb_sensor_state *states, int *n, const char *name, const char *reason)
{
    gb_sensor_state *state = &states[(*n)++];
    state->name = name;
    state->readable = !reason || !*reason;
    snprintf(state->reason, sizeof state->reason, "%s", reason ? reason : "");
}

int gb_sensors_states(gb_sensors *sensors, gb_sensor_state *states)
{
    static const char *const gpu_names[NVML_FIELD_COUNT] = {
        "gpu_clock",    "gpu_memory_clock", "gpu_power", "gpu_temperature",
        "gpu_throttle", "gpu_memory",       "gpu_energy"};
    static const char *const cpu_names[CPU_FIELD_COUNT] = {"cpu_clock", "cpu_load", "cpu_steal",
                                                           "cpu_energy"};
    int n = 0;
    gb_sample sample;
    gb_sensors_read(sensors, &sample);
    for (int i = 0; i < NVML_FIELD_COUNT && sensors->wants_gpu; i++) {
        state_add(states, &n, gpu_names[i],
                  sensors->gpu ? nvml_gpu_complaint(sensors->gpu, (nvml_field)i)
                               : sensors->gpu_reason);
    }
    for (int i = 0; i < CPU_FIELD_COUNT; i++) {
        state_add(states, &n, cpu_names[i], cpu_sensors_complaint(sensors->cpu, (cpu_field)i));
    }
    return n;
}
