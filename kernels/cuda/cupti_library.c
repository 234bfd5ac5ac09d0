#include "kernels/cuda/cupti_library.h"

#ifdef GB_CUPTI

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUDA_MAJOR = CUDA_VERSION / 1000 };

/* One library per process, as CUPTI itself has it. */
static struct {
    cupti_api api;
    CUptiResult(CUPTIAPI *get_version)(uint32_t *version); /* NULL: it has none */
    const char *missing; /* why there is no library; NULL when there is */
    char reason[512];
    char path[256]; /* of the library */
} library = {.missing = "not looked for"};

/* Tries one name, and keeps why it was not that. */
static void *library_try(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    const size_t used = strlen(library.reason);
    if (!handle) {
        snprintf(library.reason + used, sizeof library.reason - used, "%s%s", used ? ", " : "",
                 name);
    }
    return handle;
}

/* GPTBENCH_CUPTI_LIBRARY names another, for tests; library.reason is where it was looked for. */
static void *library_open(void)
{
    char name[32];
    const char *wanted = getenv("GPTBENCH_CUPTI_LIBRARY");
    if (wanted && *wanted) {
        return library_try(wanted);
    }
    snprintf(name, sizeof name, "libcupti.so.%d", CUDA_MAJOR);
    void *handle = library_try(name);
#ifdef GB_CUDA_LIBRARY_DIR /* of the toolkit that the program was built with */
    static const char *const places[] = {GB_CUDA_LIBRARY_DIR,
                                         GB_CUDA_LIBRARY_DIR "/../extras/CUPTI/lib64"};
    for (size_t i = 0; !handle && i < sizeof places / sizeof places[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", places[i], name);
        handle = library_try(path);
    }
#endif
    return handle;
}

static const char *library_load(void)
{
    library.reason[0] = '\0';
    void *handle = library_open();
    if (!handle) {
        char places[300];
        snprintf(places, sizeof places, "%.299s", library.reason);
        snprintf(library.reason, sizeof library.reason,
                 "CUPTI of the CUDA toolkit %d is not installed (looked for %s)", CUDA_MAJOR,
                 places);
        return library.reason;
    }
    bool whole = true;
#define X(name)                                                                                    \
    *(void **)&library.api.name = dlsym(handle, #name); /* as POSIX asks for function pointers */  \
    whole = whole && library.api.name;
    CUPTI_FUNCTIONS(X)
#undef X
    *(void **)&library.get_version = dlsym(handle, "cuptiGetVersion");
    Dl_info info;
    void *known;
    memcpy(&known, &library.api.cuptiActivityEnable, sizeof known);
    if (known && dladdr(known, &info) && info.dli_fname) {
        snprintf(library.path, sizeof library.path, "%s", info.dli_fname);
    }
    return whole ? NULL : "the installed CUPTI lacks functions of the activity API";
}

static void library_load_once(void)
{
    library.missing = library_load();
}

static const char *library_need(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_load_once);
    return library.missing;
}

const char *cupti_library_get(cupti_api *out)
{
    const char *missing = library_need();
    *out = library.api;
    return missing;
}

uint32_t cupti_library_version(void)
{
    uint32_t version = 0;
    const bool known =
        !library_need() && library.get_version && library.get_version(&version) == CUPTI_SUCCESS;
    return known ? version : 0;
}

void cupti_library_describe(gb_profiler_description *out)
{
    *out = (gb_profiler_description){.found = false};
    const char *missing = library_need();
    const uint32_t version = cupti_library_version();
    snprintf(out->library, sizeof out->library, "%s", library.path);
    if (missing) {
        snprintf(out->problem, sizeof out->problem, "%s", missing);
        return;
    }
    out->found = true;
    if (version > 0) {
        snprintf(out->version, sizeof out->version, "API version %u, built for %u", version,
                 (unsigned)CUPTI_API_VERSION);
    }
    if (version / 10000 == 13 && version < CUPTI_ENDS_WELL) {
        snprintf(out->problem, sizeof out->problem,
                 "CUPTI 13.0 may hang or crash at the end of a profile, which ends the run; CUDA "
                 "13.0 Update 1 mends it");
    }
}

#endif
