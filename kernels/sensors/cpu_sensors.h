/* cpu_sensors.h: the CPU as the Linux kernel shows it: /proc/stat, /proc/loadavg, cpufreq and the
 * RAPL counters below /sys/class/powercap. */
#ifndef GPTBENCH_KERNELS_SENSORS_CPU_SENSORS_H
#define GPTBENCH_KERNELS_SENSORS_CPU_SENSORS_H

#include "kernels/sensors/sensors.h"

typedef struct cpu_sensors cpu_sensors;

/* NULL without memory. `cpus` as in gb_sensors_options. */
cpu_sensors *cpu_sensors_open(const char *root, const cpu_set_t *cpus);
void cpu_sensors_close(cpu_sensors *cpu); /* NULL is fine */
/* Fills the cpu_* fields. The first reading has neither busy nor steal. */
void cpu_sensors_read(cpu_sensors *cpu, gb_sample *out);

typedef enum cpu_field {
    CPU_FIELD_CLOCK,
    CPU_FIELD_LOAD,
    CPU_FIELD_STAT, /* busy and steal */
    CPU_FIELD_ENERGY,
    CPU_FIELD_COUNT
} cpu_field;
/* Why a field of the latest reading is missing; empty when it is not. */
const char *cpu_sensors_complaint(const cpu_sensors *cpu, cpu_field field);

#endif
