/* Activities from CUPTI's activity API (CUDA toolkit, CUPTI documentation, "Activity API" and
 * "External correlation"). The library is loaded when a profile is asked for. */
#include "kernels/cuda/activity_source.h"

#include <stdio.h>

#ifndef GB_CUPTI /* its headers were not found */

static const char absent[] = "the headers of CUPTI were not found when the program was built";

const char *activity_source_start(void)
{
    return absent;
}

void activity_source_push(uint64_t external_id)
{
    (void)external_id;
}

void activity_source_pop(void)
{
}

uint64_t activity_source_now_ns(void)
{
    return 0;
}

void activity_source_stop(attribution *into)
{
    (void)into;
}

void activity_source_describe(gb_profiler_description *out)
{
    *out = (gb_profiler_description){.found = false};
    snprintf(out->problem, sizeof out->problem, "%s", absent);
}

#else

#include <cupti.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/clock.h"

/* Records grow at their end from toolkit to toolkit. */
#if CUDA_VERSION >= 13000
typedef CUpti_ActivityKernel10 kernel_record;
typedef CUpti_ActivityOverhead3 overhead_record;
#else
typedef CUpti_ActivityKernel9 kernel_record;
typedef CUpti_ActivityOverhead overhead_record;
#endif

enum { BUFFER_BYTES = 1 << 20, BUFFERS_MAX = 64, CUDA_MAJOR = CUDA_VERSION / 1000 };

#define CUPTI_FUNCTIONS(X)                                                                         \
    X(cuptiActivityRegisterCallbacks)                                                              \
    X(cuptiActivityEnable)                                                                         \
    X(cuptiActivityDisable)                                                                        \
    X(cuptiActivityFlushAll)                                                                       \
    X(cuptiActivityGetNextRecord)                                                                  \
    X(cuptiActivityGetNumDroppedRecords)                                                           \
    X(cuptiActivityPushExternalCorrelationId)                                                      \
    X(cuptiActivityPopExternalCorrelationId)                                                       \
    X(cuptiGetTimestamp)                                                                           \
    X(cuptiGetResultString)

typedef struct cupti_api {
#define X(name) __typeof__(&name) name;
    CUPTI_FUNCTIONS(X)
#undef X
} cupti_api;

/* CUPTI's callbacks carry no context, so what they touch is global. */
static struct {
    cupti_api api;
    CUptiResult(CUPTIAPI *get_version)(uint32_t *version); /* NULL: it has none */
    const char *missing; /* why there is no library; NULL when there is */
    char reason[512];
    char path[256];       /* of the library */
    bool overheads;       /* are told */
    gb_clock_pair start;  /* of the profile */
    pthread_mutex_t lock; /* of what follows; never held while CUPTI or malloc is called */
    int allocated;        /* buffers that CUPTI has or that are full */
    int n_full;
    int64_t refused; /* asked for in vain */
    struct {
        uint8_t *data;
        size_t bytes;
    } full[BUFFERS_MAX];
} cupti = {.missing = "not looked for", .lock = PTHREAD_MUTEX_INITIALIZER};

static const CUpti_ActivityKind kinds[] = {
    CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
    CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
    /* An external id is told beside the record of the call that it was in force for. */
    CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- the library ---- */

/* Tries one name, and keeps why it was not that. */
static void *library_try(const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    const size_t used = strlen(cupti.reason);
    if (!library) {
        snprintf(cupti.reason + used, sizeof cupti.reason - used, "%s%s", used ? ", " : "", name);
    }
    return library;
}

/* GPTBENCH_CUPTI_LIBRARY names another, for tests; cupti.reason is where it was looked for. */
static void *library_open(void)
{
    char name[32];
    const char *wanted = getenv("GPTBENCH_CUPTI_LIBRARY");
    if (wanted && *wanted) {
        return library_try(wanted);
    }
    snprintf(name, sizeof name, "libcupti.so.%d", CUDA_MAJOR);
    void *library = library_try(name);
#ifdef GB_CUDA_LIBRARY_DIR /* of the toolkit that the program was built with */
    static const char *const places[] = {GB_CUDA_LIBRARY_DIR,
                                         GB_CUDA_LIBRARY_DIR "/../extras/CUPTI/lib64"};
    for (size_t i = 0; !library && i < sizeof places / sizeof places[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", places[i], name);
        library = library_try(path);
    }
#endif
    return library;
}

static const char *library_load(void)
{
    cupti.reason[0] = '\0';
    void *library = library_open();
    if (!library) {
        char places[300];
        snprintf(places, sizeof places, "%.299s", cupti.reason);
        snprintf(cupti.reason, sizeof cupti.reason,
                 "CUPTI of the CUDA toolkit %d is not installed (looked for %s)", CUDA_MAJOR,
                 places);
        return cupti.reason;
    }
    bool whole = true;
#define X(name)                                                                                    \
    *(void **)&cupti.api.name = dlsym(library, #name); /* as POSIX asks for function pointers */   \
    whole = whole && cupti.api.name;
    CUPTI_FUNCTIONS(X)
#undef X
    *(void **)&cupti.get_version = dlsym(library, "cuptiGetVersion");
    Dl_info info;
    void *known;
    memcpy(&known, &cupti.api.cuptiActivityEnable, sizeof known);
    if (known && dladdr(known, &info) && info.dli_fname) {
        snprintf(cupti.path, sizeof cupti.path, "%s", info.dli_fname);
    }
    return whole ? NULL : "the installed CUPTI lacks functions of the activity API";
}

static void library_load_once(void)
{
    cupti.missing = library_load();
}

static const char *library_need(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_load_once);
    return cupti.missing;
}

void activity_source_describe(gb_profiler_description *out)
{
    *out = (gb_profiler_description){.found = false};
    const char *missing = library_need();
    uint32_t version = 0;
    snprintf(out->library, sizeof out->library, "%s", cupti.path);
    if (missing) {
        snprintf(out->problem, sizeof out->problem, "%s", missing);
        return;
    }
    out->found = true;
    if (cupti.get_version && cupti.get_version(&version) == CUPTI_SUCCESS) {
        snprintf(out->version, sizeof out->version, "API version %u, built for %u", version,
                 (unsigned)CUPTI_API_VERSION);
    }
}

/* ---- buffers ---- */

/* Both are called from CUPTI's threads too. No buffer: CUPTI drops records then, and counts them.
 */
static void CUPTIAPI buffer_give(uint8_t **buffer, size_t *size, size_t *max_records)
{
    pthread_mutex_lock(&cupti.lock);
    const bool allowed = cupti.allocated < BUFFERS_MAX;
    cupti.allocated += allowed;
    pthread_mutex_unlock(&cupti.lock);
    *buffer = allowed ? aligned_alloc(8, BUFFER_BYTES) : NULL;
    if (!*buffer) {
        pthread_mutex_lock(&cupti.lock);
        cupti.allocated -= allowed;
        cupti.refused++;
        pthread_mutex_unlock(&cupti.lock);
    }
    *size = *buffer ? BUFFER_BYTES : 0;
    *max_records = 0; /* as many as fit */
}

/* No more are out than fit into `full`. */
static void CUPTIAPI buffer_take(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size,
                                 size_t valid)
{
    (void)context, (void)stream, (void)size;
    const bool kept = buffer && valid > 0;
    pthread_mutex_lock(&cupti.lock);
    if (kept) {
        cupti.full[cupti.n_full].data = buffer;
        cupti.full[cupti.n_full++].bytes = valid;
    } else if (buffer) {
        cupti.allocated--;
    }
    pthread_mutex_unlock(&cupti.lock);
    if (!kept) {
        free(buffer);
    }
}

/* ---- records ---- */

/* "CUPTI: WHAT: its reason"; static. */
static const char *fail(const char *what, CUptiResult code)
{
    const char *text = "unknown error";
    (void)cupti.api.cuptiGetResultString(code, &text);
    snprintf(cupti.reason, sizeof cupti.reason, "CUPTI: %s%s%s%s", what, *what ? ": " : "", text,
             code == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES
                 ? "; run as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0"
                 : "");
    return cupti.reason;
}

char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

/* "void norm_kernel<float, 4>(args)" -> "norm_kernel<float, 4>". */
static void name_write(char out[GB_KERNEL_NAME], const char *name)
{
    char *plain = name ? __cxa_demangle(name, NULL, NULL, NULL) : NULL;
    const char *text = plain ? plain : name ? name : "unnamed kernel";
    int depth = 0;
    size_t length = 0;
    text += strncmp(text, "void ", 5) == 0 ? 5 : 0;
    while (text[length] && !(depth == 0 && text[length] == '(')) {
        depth += text[length] == '<';
        depth -= text[length] == '>';
        length++;
    }
    snprintf(out, GB_KERNEL_NAME, "%.*s", (int)length, text);
    free(plain);
}

static void kernel_take(attribution *into, const kernel_record *r)
{
    gb_activity a = {.kind = GB_ACTIVITY_KERNEL,
                     .begin_ns = r->start,
                     .end_ns = r->end,
                     .correlation_id = r->correlationId,
                     .grid = {r->gridX, r->gridY, r->gridZ},
                     .block = {r->blockX, r->blockY, r->blockZ},
                     .registers = r->registersPerThread,
                     .shared_bytes = r->staticSharedMemory + r->dynamicSharedMemory};
    name_write(a.name, r->name);
    attribution_activity(into, &a);
}

static const char *copy_name(uint8_t kind)
{
    switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
        return "memcpy HtoD";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
        return "memcpy DtoH";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
        return "memcpy DtoD";
    default:
        return "memcpy";
    }
}

static void plain_take(attribution *into, gb_activity_kind kind, const char *name,
                       uint64_t begin_ns, uint64_t end_ns, uint32_t correlation_id)
{
    gb_activity a = {
        .kind = kind, .begin_ns = begin_ns, .end_ns = end_ns, .correlation_id = correlation_id};
    snprintf(a.name, sizeof a.name, "%s", name);
    attribution_activity(into, &a);
}

static const char *overhead_name(CUpti_ActivityOverheadKind kind)
{
    switch ((int)kind) { /* not every toolkit has all of them */
    case CUPTI_ACTIVITY_OVERHEAD_DRIVER_COMPILER:
        return "the driver's compiler";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH:
        return "buffer flush";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION:
        return "instrumentation";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_RESOURCE:
        return "resource creation";
    case 4 << 16:
    case 5 << 16:
        return "loading of kernels";
    case 6 << 16:
        return "full command buffer";
    case 7 << 16:
        return "buffer request";
    default:
        return "other";
    }
}

static void overhead_take(attribution *into, const overhead_record *r)
{
    attribution_overhead(into, overhead_name(r->overheadKind), r->start, r->end);
#if CUDA_VERSION >= 13000
    free(r->overheadData); /* ours, by the record's description */
#endif
}

static void record_take(attribution *into, const CUpti_Activity *record)
{
    switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
        kernel_take(into, (const kernel_record *)record);
        break;
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
        const CUpti_ActivityMemcpy6 *r = (const CUpti_ActivityMemcpy6 *)record;
        plain_take(into, GB_ACTIVITY_MEMCPY, copy_name(r->copyKind), r->start, r->end,
                   r->correlationId);
        break;
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
        const CUpti_ActivityMemset4 *r = (const CUpti_ActivityMemset4 *)record;
        plain_take(into, GB_ACTIVITY_MEMSET, "memset", r->start, r->end, r->correlationId);
        break;
    }
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
        const CUpti_ActivityExternalCorrelation *r =
            (const CUpti_ActivityExternalCorrelation *)record;
        attribution_external(into, r->correlationId, r->externalId);
        break;
    }
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
        overhead_take(into, (const overhead_record *)record);
        break;
    default:
        break; /* the calls themselves */
    }
}

/* The last full buffer, or NULL; it is the caller's. */
static uint8_t *buffer_next(size_t *bytes)
{
    uint8_t *data = NULL;
    pthread_mutex_lock(&cupti.lock);
    if (cupti.n_full > 0) {
        cupti.n_full--;
        cupti.allocated--;
        data = cupti.full[cupti.n_full].data;
        *bytes = cupti.full[cupti.n_full].bytes;
    }
    pthread_mutex_unlock(&cupti.lock);
    return data;
}

static void buffers_parse(attribution *into)
{
    size_t bytes;
    uint8_t *data;
    while ((data = buffer_next(&bytes)) != NULL) {
        CUpti_Activity *record = NULL;
        CUptiResult code;
        while ((code = cupti.api.cuptiActivityGetNextRecord(data, bytes, &record)) ==
               CUPTI_SUCCESS) {
            record_take(into, record);
        }
        if (code != CUPTI_ERROR_MAX_LIMIT_REACHED) { /* which is how a buffer ends */
            attribution_broken(into, fail("a buffer cannot be read to its end", code));
        }
        free(data);
    }
}

/* ---- the source ---- */

/* Both clocks at once: the closest of a few readings of the one between two of the other. */
static gb_clock_pair clocks_read(void)
{
    gb_clock_pair best = {.within_ns = UINT64_MAX};
    for (int i = 0; i < 8; i++) {
        const uint64_t before = gb_monotonic_ns(), now = activity_source_now_ns();
        const uint64_t within = (gb_monotonic_ns() - before + 1) / 2;
        if (within < best.within_ns) {
            best = (gb_clock_pair){now, before + within, within};
        }
    }
    return best;
}

static void kinds_disable(int count)
{
    while (count-- > 0) {
        (void)cupti.api.cuptiActivityDisable(kinds[count]);
    }
    if (cupti.overheads) {
        (void)cupti.api.cuptiActivityDisable(CUPTI_ACTIVITY_KIND_OVERHEAD);
    }
}

/* What CUPTI may have handed over after the last profile: its ids are given out anew. */
static void leftovers_drop(void)
{
    size_t bytes, dropped;
    uint8_t *data;
    while ((data = buffer_next(&bytes)) != NULL) {
        free(data);
    }
    (void)cupti.api.cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped);
    pthread_mutex_lock(&cupti.lock);
    cupti.refused = 0;
    pthread_mutex_unlock(&cupti.lock);
}

const char *activity_source_start(void)
{
    const char *missing = library_need();
    if (missing) {
        return missing;
    }
    CUptiResult code = cupti.api.cuptiActivityRegisterCallbacks(buffer_give, buffer_take);
    int enabled = 0;
    while (code == CUPTI_SUCCESS && enabled < KINDS) {
        code = cupti.api.cuptiActivityEnable(kinds[enabled]);
        enabled += code == CUPTI_SUCCESS;
    }
    cupti.overheads = false;
    if (code != CUPTI_SUCCESS) {
        kinds_disable(enabled);
        return fail("", code);
    }
    /* A profile is none the worse where CUPTI does not tell of itself. */
    cupti.overheads = cupti.api.cuptiActivityEnable(CUPTI_ACTIVITY_KIND_OVERHEAD) == CUPTI_SUCCESS;
    leftovers_drop();
    cupti.start = clocks_read();
    return NULL;
}

void activity_source_push(uint64_t external_id)
{
    (void)cupti.api.cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0,
                                                           external_id);
}

void activity_source_pop(void)
{
    uint64_t last;
    (void)cupti.api.cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0,
                                                          &last);
}

uint64_t activity_source_now_ns(void)
{
    uint64_t now = 0;
    (void)cupti.api.cuptiGetTimestamp(&now);
    return now;
}

/* Where CUPTI got no buffer it dropped records, whether or not it counts them. */
static void losses_tell(attribution *into)
{
    size_t dropped = 0;
    CUptiResult code = cupti.api.cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped);
    pthread_mutex_lock(&cupti.lock);
    const bool refused = cupti.refused > 0;
    pthread_mutex_unlock(&cupti.lock);
    attribution_dropped(into, code == CUPTI_SUCCESS ? (int64_t)dropped : 0);
    if (code != CUPTI_SUCCESS) {
        attribution_broken(into, fail("it cannot tell whether records were dropped", code));
    } else if (refused) {
        attribution_broken(into, "the profiler wanted more buffers than there are");
    }
}

void activity_source_stop(attribution *into)
{
    const gb_clock_pair end = clocks_read();
    attribution_clocks(into, &cupti.start, &end);
    CUptiResult code = cupti.api.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    if (code != CUPTI_SUCCESS) {
        attribution_broken(into, fail("records are not handed over", code));
    }
    kinds_disable(KINDS);
    buffers_parse(into);
    losses_tell(into);
}

#endif
