#include "bench/run/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/base/parallel.h"
#include "bench/run/identity.h"

/* The "model name" of /proc/cpuinfo; other architectures have other words for it. */
static void cpu_name_read(char *out, size_t size)
{
    static const char *const keys[] = {"model name", "Model", "cpu model", "Hardware"};
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(out, size, "unknown");
    while (file && strcmp(out, "unknown") == 0 && fgets(line, sizeof line, file)) {
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            char *colon = strchr(line, ':');
            if (colon && strncmp(line, keys[i], strlen(keys[i])) == 0) {
                colon += 1 + strspn(colon + 1, " ");
                colon[strcspn(colon, "\n")] = '\0';
                snprintf(out, size, "%s", colon);
            }
        }
    }
    if (file) {
        fclose(file);
    }
}

static void fingerprint_make(store_machine *m)
{
    char text[1024];
    snprintf(text, sizeof text, "%s\n%s\n%s\n%lld\n%lld\n%s\n%s\n", m->hostname, m->os, m->cpu,
             (long long)m->cpu_count, (long long)m->memory_bytes, m->device, m->driver);
    identity_hash_text(text, m->fingerprint);
}

void machine_describe(store_machine *out, const gb_description *device)
{
    struct utsname name;
    memset(out, 0, sizeof *out);
    if (gethostname(out->hostname, sizeof out->hostname - 1) != 0) {
        snprintf(out->hostname, sizeof out->hostname, "unknown");
    }
    if (uname(&name) == 0) {
        snprintf(out->os, sizeof out->os, "%s %s %s", name.sysname, name.release, name.machine);
    } else {
        snprintf(out->os, sizeof out->os, "unknown");
    }
    cpu_name_read(out->cpu, sizeof out->cpu);
    out->cpu_count = parallel_processors();
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    out->memory_bytes = pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : 0;
    snprintf(out->device, sizeof out->device, "%s", device->device);
    snprintf(out->driver, sizeof out->driver, "%s", device->driver);
    fingerprint_make(out);
}

int64_t machine_memory_free(void)
{
    char line[256];
    long long kib = -1;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && kib < 0 && fgets(line, sizeof line, file)) {
        sscanf(line, "MemAvailable: %lld kB", &kib);
    }
    if (file) {
        fclose(file);
    }
    return kib < 0 ? -1 : (int64_t)kib * 1024;
}
