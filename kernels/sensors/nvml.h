/* nvml.h: one GPU through NVIDIA's management library, which comes with the driver and is loaded at
 * run time: the program neither needs nor is built with it. */
#ifndef GPTBENCH_KERNELS_SENSORS_NVML_H
#define GPTBENCH_KERNELS_SENSORS_NVML_H

#include "kernels/sensors/sensors.h"

#define NVML_LIBRARY "libnvidia-ml.so.1"

typedef struct nvml_gpu nvml_gpu;

/* The GPU at this PCI bus address: the order of NVML's own numbers is not that of CUDA's, which
 * CUDA_VISIBLE_DEVICES changes too. NULL with the reason: no library, no driver, no such GPU. */
nvml_gpu *nvml_gpu_open(const char *library, const char *bus_id, char *reason, size_t size);
void nvml_gpu_close(nvml_gpu *gpu); /* NULL is fine */
/* Fills the gpu_* fields. */
void nvml_gpu_read(nvml_gpu *gpu, gb_sample *out);
/* Why a field of the latest reading is missing. */
typedef enum nvml_field {
    NVML_FIELD_CLOCK,
    NVML_FIELD_MEMORY_CLOCK,
    NVML_FIELD_POWER,
    NVML_FIELD_TEMPERATURE,
    NVML_FIELD_THROTTLE,
    NVML_FIELD_MEMORY,
    NVML_FIELD_ENERGY,
    NVML_FIELD_COUNT
} nvml_field;
const char *nvml_gpu_complaint(const nvml_gpu *gpu, nvml_field field);

#endif
