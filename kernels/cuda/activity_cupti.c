/* Activities from CUPTI's activity API (CUDA toolkit, CUPTI documentation, "Activity API" and
 * "External correlation"). The library is loaded when a profile is asked for. */
#include "kernels/cuda/activity_source.h"

#include <cupti.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The record of a kernel grows at its end from toolkit to toolkit. */
#if CUDA_VERSION >= 13000
typedef CUpti_ActivityKernel10 kernel_record;
#else
typedef CUpti_ActivityKernel9 kernel_record;
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
    const char *missing; /* why there is no library; NULL when there is */
    char reason[200];
    pthread_mutex_t lock; /* of what follows; never held while CUPTI is called */
    int allocated, n_full;
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

static void *library_open(void)
{
    char name[32];
    snprintf(name, sizeof name, "libcupti.so.%d", CUDA_MAJOR);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
#ifdef GB_CUDA_LIBRARY_DIR /* of the toolkit that the program was built with */
    static const char *const places[] = {GB_CUDA_LIBRARY_DIR,
                                         GB_CUDA_LIBRARY_DIR "/../extras/CUPTI/lib64"};
    for (size_t i = 0; !library && i < sizeof places / sizeof places[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", places[i], name);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
#endif
    return library;
}

static const char *library_load(void)
{
    void *library = library_open();
    if (!library) {
        snprintf(cupti.reason, sizeof cupti.reason,
                 "CUPTI is not installed (libcupti.so.%d of the CUDA toolkit)", CUDA_MAJOR);
        return cupti.reason;
    }
    bool whole = true;
#define X(name)                                                                                    \
    *(void **)&cupti.api.name = dlsym(library, #name); /* as POSIX asks for function pointers */   \
    whole = whole && cupti.api.name;
    CUPTI_FUNCTIONS(X)
#undef X
    return whole ? NULL : "the installed CUPTI lacks functions of the activity API";
}

static void library_load_once(void)
{
    cupti.missing = library_load();
}

/* ---- buffers ---- */

/* No buffer: CUPTI drops records then, and counts them. */
static void CUPTIAPI buffer_give(uint8_t **buffer, size_t *size, size_t *max_records)
{
    pthread_mutex_lock(&cupti.lock);
    bool allowed = cupti.allocated < BUFFERS_MAX;
    cupti.allocated += allowed;
    pthread_mutex_unlock(&cupti.lock);
    *buffer = allowed ? aligned_alloc(8, BUFFER_BYTES) : NULL;
    *size = *buffer ? BUFFER_BYTES : 0;
    *max_records = 0; /* as many as fit */
}

static void CUPTIAPI buffer_take(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size,
                                 size_t valid)
{
    (void)context, (void)stream, (void)size;
    pthread_mutex_lock(&cupti.lock);
    bool kept = buffer && valid > 0 && cupti.n_full < BUFFERS_MAX;
    if (kept) {
        cupti.full[cupti.n_full].data = buffer;
        cupti.full[cupti.n_full++].bytes = valid;
    }
    pthread_mutex_unlock(&cupti.lock);
    if (!kept) {
        free(buffer);
    }
}

/* ---- records ---- */

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
    default:
        break; /* the calls themselves */
    }
}

static void buffers_parse(attribution *into)
{
    for (int i = 0; i < cupti.n_full; i++) {
        CUpti_Activity *record = NULL;
        while (cupti.api.cuptiActivityGetNextRecord(cupti.full[i].data, cupti.full[i].bytes,
                                                    &record) == CUPTI_SUCCESS) {
            record_take(into, record);
        }
        free(cupti.full[i].data);
    }
    cupti.n_full = 0;
    cupti.allocated = 0;
}

/* ---- the source ---- */

static const char *fail(CUptiResult code)
{
    const char *text = "unknown error";
    (void)cupti.api.cuptiGetResultString(code, &text);
    snprintf(cupti.reason, sizeof cupti.reason, "CUPTI: %s%s", text,
             code == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES
                 ? "; run as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0"
                 : "");
    return cupti.reason;
}

const char *activity_source_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_load_once);
    if (cupti.missing) {
        return cupti.missing;
    }
    CUptiResult code = cupti.api.cuptiActivityRegisterCallbacks(buffer_give, buffer_take);
    int enabled = 0;
    while (code == CUPTI_SUCCESS && enabled < KINDS) {
        code = cupti.api.cuptiActivityEnable(kinds[enabled]);
        enabled += code == CUPTI_SUCCESS;
    }
    if (code == CUPTI_SUCCESS) {
        return NULL;
    }
    while (enabled-- > 0) {
        (void)cupti.api.cuptiActivityDisable(kinds[enabled]);
    }
    return fail(code);
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

void activity_source_stop(attribution *into)
{
    size_t dropped = 0;
    (void)cupti.api.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    for (int i = 0; i < KINDS; i++) {
        (void)cupti.api.cuptiActivityDisable(kinds[i]);
    }
    buffers_parse(into);
    if (cupti.api.cuptiActivityGetNumDroppedRecords(NULL, 0, &dropped) == CUPTI_SUCCESS) {
        attribution_dropped(into, (int64_t)dropped);
    }
}
