/* sensors.h: what the machine does while a run goes on: clocks, power, temperature, throttling and
 * memory of the GPU (NVML, loaded when it is wanted); clock, load, steal and energy of the CPU (the
 * kernel's own files). Read by a process that stands beside the one that is measured.
 *
 * A value that cannot be read is missing: NAN, or -1 in a mask. Nothing is filled in. */
#ifndef GPTBENCH_KERNELS_SENSORS_SENSORS_H
#define GPTBENCH_KERNELS_SENSORS_SENSORS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

/* Why a GPU runs slower than it could; bits as NVML gives them. X(suffix, bit, name). */
#define GB_THROTTLE_REASONS(X)                                                                     \
    X(IDLE, 0x001, "idle")                                                                         \
    X(APPLICATION_CLOCKS, 0x002, "application_clocks")                                             \
    X(SW_POWER_CAP, 0x004, "sw_power_cap")                                                         \
    X(HW_SLOWDOWN, 0x008, "hw_slowdown")                                                           \
    X(SYNC_BOOST, 0x010, "sync_boost")                                                             \
    X(SW_THERMAL, 0x020, "sw_thermal")                                                             \
    X(HW_THERMAL, 0x040, "hw_thermal")                                                             \
    X(HW_POWER_BRAKE, 0x080, "hw_power_brake")                                                     \
    X(DISPLAY_CLOCKS, 0x100, "display_clocks")

enum {
#define X(suffix, bit, name) GB_THROTTLE_##suffix = (bit),
    GB_THROTTLE_REASONS(X)
#undef X
    /* The reasons that mean trouble: heat, a power brake, the hardware's own slowdown. The power
     * cap is not among them: many GPUs are at it whenever they are busy. */
    GB_THROTTLE_TROUBLE = GB_THROTTLE_HW_SLOWDOWN | GB_THROTTLE_SW_THERMAL |
                          GB_THROTTLE_HW_THERMAL | GB_THROTTLE_HW_POWER_BRAKE
};

/* "sw_thermal,hw_slowdown" in order of the bits; "" for none; bits without a name come last, as
 * "0x..." . Cut to `size`. */
void gb_throttle_names(int64_t mask, char *out, size_t size);

/* One reading. Means and fractions are over the CPUs that the process may use. */
typedef struct gb_sample {
    double monotonic_s; /* when: kernels/clock.h */
    double gpu_clock_mhz, gpu_memory_clock_mhz;
    double gpu_power_w;
    double gpu_temperature_c;
    int64_t gpu_throttle;    /* mask of GB_THROTTLE_*, -1 unknown */
    double gpu_memory_bytes; /* in use, by whomever */
    double gpu_energy_j;     /* counted by the GPU since its driver was loaded */
    double cpu_clock_mhz;    /* each CPU weighed by how busy it was since the last reading */
    double cpu_load;         /* runnable tasks of the machine, mean over about a minute */
    double cpu_busy;         /* fraction of the time since the last reading that ran something */
    double cpu_steal;        /* fraction that another virtual machine got */
    double cpu_energy_j;     /* all packages, since gb_sensors_open */
} gb_sample;

/* A sample in which everything is missing. */
gb_sample gb_sample_missing(void);

typedef struct gb_sensors gb_sensors;

typedef struct gb_sensors_options {
    const char *gpu_bus_id;   /* "0000:3b:00.0"; NULL or "" reads no GPU, and loads nothing */
    const char *nvml_library; /* name or path for dlopen */
    const char *root;         /* stands before /proc and /sys; "" for the real ones */
    const cpu_set_t *cpus;    /* NULL: those that this process may use */
} gb_sensors_options;

/* No GPU; the library and the root from the environment variables GPTBENCH_NVML_LIBRARY and
 * GPTBENCH_SENSORS_ROOT where they are set, which is for tests. */
gb_sensors_options gb_sensors_options_default(void);

/* Never fails but for memory (NULL): what is not there is missing in the samples. */
gb_sensors *gb_sensors_open(const gb_sensors_options *options);
void gb_sensors_close(gb_sensors *sensors); /* NULL is fine */
void gb_sensors_read(gb_sensors *sensors, gb_sample *out);

/* What can be read, as found by a reading of its own. */
typedef struct gb_sensor_state {
    const char *name; /* "gpu_clock", "cpu_energy": static storage */
    bool readable;
    char reason[192]; /* why not; empty when readable */
} gb_sensor_state;

enum { GB_SENSORS_MAX = 12 };
/* Fills `states` (room for GB_SENSORS_MAX), those of the GPU only when one was asked for; returns
 * how many. */
int gb_sensors_states(gb_sensors *sensors, gb_sensor_state *states);

#endif
