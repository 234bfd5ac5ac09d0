/* Which backend, and which of its devices, a command line means. */
#include <stdio.h>
#include <string.h>

#include "bench/commands/settings.h"

/* The first backend of this program that counts devices, or NULL. */
static const gb_backend *backend_with_devices(void)
{
    const gb_backend *const *b = gb_backends();
    while (*b && !(*b)->list_devices) {
        b++;
    }
    return *b;
}

static gb_status backend_by_name(const gb_backend **out, const char *name, gb_precision precision,
                                 bool with_device, gb_error *err)
{
    bool devices_asked = with_device && strcmp(name, "auto") == 0;
    *out = devices_asked ? backend_with_devices() : gb_backend_find(name, precision);
    if (*out) {
        return GB_OK;
    }
    if (devices_asked) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--device: chooses a GPU, and this program was built without CUDA; leave "
                       "it out to use the CPU");
    }
    char all[128] = "auto";
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, ", %s", (*b)->name);
    }
    return gb_fail(err, GB_ERR_USAGE, "--backend %.32s: not built into this program; it has %s",
                   name, all);
}

/* NULL when device `index` of the backend can be used, else what to print; *status says whether
 * the number is wrong or the machine. */
static const char *device_why_not(const gb_backend *backend, gb_precision precision, int64_t index,
                                  gb_status *status, char *room, size_t size)
{
    enum { ROWS = 64 };
    gb_device_entry rows[ROWS];
    int count = backend->list_devices(rows, ROWS);
    *status = GB_ERR_ENV;
    if (count == 0) {
        return backend->unavailable(precision);
    }
    if (index >= count) {
        *status = GB_ERR_USAGE;
        snprintf(room, size, count == 1 ? "the one visible device is 0" : "they are 0 to %d",
                 count - 1);
        return room;
    }
    bool listed = index < ROWS && precision <= GB_BF16;
    return listed ? rows[index].unavailable[precision] : backend->unavailable(precision);
}

gb_status settings_backend(const gb_backend **out, const char *name, gb_precision precision,
                           int64_t device_index, gb_error *err)
{
    GB_TRY(backend_by_name(out, name, precision, device_index >= 0, err));
    if (device_index < 0) {
        const char *why_not = (*out)->unavailable(precision);
        return !why_not ? GB_OK
                        : gb_fail(err, GB_ERR_ENV, "backend %s cannot run %s here: %s",
                                  (*out)->name, gb_precision_name(precision), why_not);
    }
    if (!(*out)->list_devices) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--device %lld: chooses a GPU, and backend %s has none; leave one of the "
                       "two out",
                       (long long)device_index, (*out)->name);
    }
    char room[64];
    gb_status status = GB_OK;
    const char *why_not = device_why_not(*out, precision, device_index, &status, room, sizeof room);
    if (!why_not) {
        return GB_OK;
    }
    return status == GB_ERR_USAGE
               ? gb_fail(err, status,
                         "--device %lld: no such device is visible; %s (`gptbench "
                         "doctor` lists them)",
                         (long long)device_index, why_not)
               : gb_fail(err, status, "backend %s cannot run %s on device %lld: %s", (*out)->name,
                         gb_precision_name(precision), (long long)device_index, why_not);
}
