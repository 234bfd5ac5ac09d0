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

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/clock.h"
#include "kernels/cuda/cupti_library.h"

/* Records grow at their end from toolkit to toolkit. */
#if CUDA_VERSION >= 13000
typedef CUpti_ActivityKernel10 kernel_record;
typedef CUpti_ActivityOverhead3 overhead_record;
#else
typedef CUpti_ActivityKernel9 kernel_record;
typedef CUpti_ActivityOverhead overhead_record;
#endif

enum { BUFFER_BYTES = 1 << 20, BUFFERS_MAX = 64 };

/* CUPTI's callbacks carry no context, so what they touch is global. */
static struct {
    cupti_api api;
    char reason[512];
    bool has_run;         /* there was a profile in this process */
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
} cupti = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const CUpti_ActivityKind kinds[] = {
    CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
    CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
    /* An external id is told beside the record of the call that it was in force for. */
    CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

void activity_source_describe(gb_profiler_description *out)
{
    cupti_library_describe(out);
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
                     .node_id = r->graphNodeId,
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

static void copy_take(attribution *into, const CUpti_ActivityMemcpy6 *r)
{
    gb_activity a = {.kind = GB_ACTIVITY_MEMCPY,
                     .begin_ns = r->start,
                     .end_ns = r->end,
                     .correlation_id = r->correlationId,
                     .node_id = r->graphNodeId};
    snprintf(a.name, sizeof a.name, "%s", copy_name(r->copyKind));
    attribution_activity(into, &a);
}

static void fill_take(attribution *into, const CUpti_ActivityMemset4 *r)
{
    const gb_activity a = {.kind = GB_ACTIVITY_MEMSET,
                           .begin_ns = r->start,
                           .end_ns = r->end,
                           .correlation_id = r->correlationId,
                           .node_id = r->graphNodeId,
                           .name = "memset"};
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
    case CUPTI_ACTIVITY_KIND_MEMCPY:
        copy_take(into, (const CUpti_ActivityMemcpy6 *)record);
        break;
    case CUPTI_ACTIVITY_KIND_MEMSET:
        fill_take(into, (const CUpti_ActivityMemset4 *)record);
        break;
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
    const char *missing = cupti_library_get(&cupti.api);
    if (missing) {
        return missing;
    }
    if (cupti.has_run && cupti_library_version() < CUPTI_MANY_PROFILES) {
        return "before CUDA 13.1 Update 1 CUPTI takes the launches of graphs for each other in all "
               "but the first profile of a process";
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
    cupti.has_run = true;
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
