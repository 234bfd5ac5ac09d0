#include <stdio.h>
#include <string.h>

#include "bench/doctor/doctor.h"
#include "kernels/backend.h"
#include "kernels/sensors/sensors.h"

/* The PCI address of the GPU that a run would use; empty when there is none. */
static void bus_id_find(char *out, size_t size, int device_index)
{
    gb_options options = {.precision = GB_FP32,
                          .device_index = device_index,
                          .shape = {.batch_size = 1,
                                    .sequence_length = 16,
                                    .n_embd = 64,
                                    .n_head = 2,
                                    .n_kv_head = 2,
                                    .head_dim = 32,
                                    .mlp_hidden = 256,
                                    .vocab_size = 256}};
    out[0] = '\0';
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        gb_device *dev = NULL;
        if (!(*b)->list_devices || (*b)->unavailable(GB_FP32) ||
            (*b)->open(&options, &dev, NULL) != GB_OK) {
            continue;
        }
        gb_description d = {0};
        (*b)->describe(dev, &d);
        snprintf(out, size, "%s", d.bus_id);
        (*b)->close(dev);
        return;
    }
}

static void add_state(doctor_report *report, const gb_sensor_state *state)
{
    char name[32];
    snprintf(name, sizeof name, "sensor_%s", state->name);
    if (state->readable) {
        doctor_add(report, DOCTOR_OK, name, "readable");
        return;
    }
    bool denied = strstr(state->reason, "ermission") != NULL;
    doctor_finding *f =
        doctor_add(report, denied ? DOCTOR_WARN : DOCTOR_OK, name, "not read: %s", state->reason);
    if (denied && strcmp(state->name, "cpu_energy") == 0) {
        doctor_advise(f, "for energy per token: sudo chmod a+r "
                         "/sys/class/powercap/intel-rapl:*/energy_uj (until the next boot)");
    } else if (denied) {
        doctor_advise(f, "ask the administrator of this machine for access to NVML");
    }
}

void doctor_check_sensors(doctor_report *report, int device_index)
{
    char bus_id[32];
    gb_sensor_state states[GB_SENSORS_MAX];
    bus_id_find(bus_id, sizeof bus_id, device_index);
    gb_sensors_options options = gb_sensors_options_default();
    options.gpu_bus_id = bus_id;
    gb_sensors *sensors = gb_sensors_open(&options);
    if (!sensors) {
        return;
    }
    int n = gb_sensors_states(sensors, states);
    for (int i = 0; i < n; i++) {
        add_state(report, &states[i]);
    }
    gb_sensors_close(sensors);
}
