/* A stand-in for libcupti, loaded by the program's own loader: the functions of the activity API
 * that it uses, with records as CUPTI's headers lay them out. Records come from the test
 * (fake_cupti.h) and go through the program's own callbacks into its own buffers, several of them,
 * the last first, from a thread of CUPTI's when the test wants that. Where the program gives no
 * buffer records are dropped and counted.
 *
 * At each call another thread asks for a buffer and hands it back empty: when that does not get
 * done the program has called with its lock held. */
#include <cupti.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fakes/fake_cupti.h"

enum { RECORD_BYTES = 512, RECORDS_MAX = 1 << 20, IDS_MAX = 64, KINDS_MAX = 128 };

extern fake_cupti_settings fake_cupti_control;
fake_cupti_settings fake_cupti_control;
fake_cupti_record_fn fake_cupti_record;
fake_cupti_call_fn fake_cupti_call;
fake_cupti_activity_fn fake_cupti_activity;
fake_cupti_late_fn fake_cupti_late;

static CUpti_BuffersCallbackRequestFunc give;
static CUpti_BuffersCallbackCompleteFunc take;
static bool enabled[KINDS_MAX];
static uint64_t ids[IDS_MAX];
static int n_ids;
static struct stored {
    size_t bytes;
    _Alignas(8) unsigned char record[RECORD_BYTES];
} * pending;
static int n_pending, capacity;

/* The number behind the name in the environment; 0: not there. */
static int setting(const char *name)
{
    const char *text = getenv("FAKE_CUPTI"), *at = text ? strstr(text, name) : NULL;
    return at ? atoi(at + strlen(name)) : 0;
}

__attribute__((constructor)) static void settings_read(void)
{
    fake_cupti_control.enable_error = setting("enable_error=");
    fake_cupti_control.records_per_buffer = setting("records_per_buffer=");
    fake_cupti_control.lose_every = setting("lose_every=");
    fake_cupti_control.hang = setting("hang=");
}

__attribute__((destructor)) static void pending_free(void)
{
    free(pending);
}

/* ---- buffers ---- */

typedef struct buffer {
    uint8_t *data;
    size_t bytes, used;
} buffer;

static buffer buffer_ask(void)
{
    buffer b = {NULL, 0, 0};
    size_t most = 0;
    give(&b.data, &b.bytes, &most);
    int out = fake_cupti_control.buffers_out += b.data != NULL;
    if (out > fake_cupti_control.buffers_most) {
        fake_cupti_control.buffers_most = out;
    }
    return b;
}

static void buffer_back(const buffer *b)
{
    if (b->data) {
        fake_cupti_control.buffers_out--;
        take(NULL, 0, b->data, b->bytes, b->used);
    }
}

static void *ask_and_return(void *unused)
{
    uint8_t *data = NULL;
    size_t bytes = 0, most = 0;
    (void)unused;
    give(&data, &bytes, &most);
    if (data) {
        take(NULL, 0, data, bytes, 0);
    }
    return NULL;
}

/* Whether the callbacks get through while the program waits for CUPTI. */
static void lock_try(void)
{
    pthread_t thread;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    if (give && !fake_cupti_control.lock_held &&
        pthread_create(&thread, NULL, ask_and_return, NULL) == 0) {
        fake_cupti_control.lock_held = pthread_timedjoin_np(thread, NULL, &until) != 0;
    }
}

static void *hand_over(void *unused)
{
    if (n_pending == 0) {
        return NULL;
    }
    enum { MOST = 1024 };
    static buffer buffers[MOST];
    int n = 0, in_buffer = 0, at_most = fake_cupti_control.records_per_buffer;
    bool none = false;
    (void)unused;
    for (int i = 0; i < n_pending; i++) {
        const struct stored *s = &pending[i];
        buffer *b = n > 0 ? &buffers[n - 1] : NULL;
        if (!none && (!b || b->used + s->bytes > b->bytes || in_buffer == at_most) && n < MOST) {
            buffers[n] = buffer_ask();
            none = buffers[n].data == NULL;
            n += !none;
            b = n > 0 ? &buffers[n - 1] : NULL;
            in_buffer = at_most > 0 ? 0 : -1;
        }
        if (none || !b) {
            fake_cupti_control.dropped++;
            continue;
        }
        memcpy(b->data + b->used, s->record, s->bytes);
        b->used += s->bytes;
        in_buffer += at_most > 0;
        fake_cupti_control.records++;
    }
    while (n-- > 0) {
        buffer_back(&buffers[n]);
    }
    /* No pointer of theirs is kept: a sanitizer is to see what the program forgets. */
    memset(pending, 0, (size_t)n_pending * sizeof *pending);
    n_pending = 0;
    return NULL;
}

/* ---- the test's side ---- */

/* Names live as long as the library, as those of CUPTI's records do. */
static const char *name_keep(const char *name)
{
    enum { NAMES_MAX = 256 };
    static char names[NAMES_MAX][128];
    int i = 0;
    while (i < NAMES_MAX - 1 && names[i][0] && strcmp(names[i], name) != 0) {
        i++;
    }
    snprintf(names[i], sizeof names[i], "%s", name);
    return names[i];
}

void fake_cupti_record(const void *record, size_t bytes)
{
    if (n_pending == capacity && capacity < RECORDS_MAX) {
        int more = capacity ? 2 * capacity : 1024;
        struct stored *grown = realloc(pending, (size_t)more * sizeof *grown);
        pending = grown ? grown : pending;
        capacity = grown ? more : capacity;
    }
    if (n_pending == capacity || bytes > RECORD_BYTES || bytes % 8 != 0) {
        abort();
    }
    pending[n_pending].bytes = bytes;
    memcpy(pending[n_pending++].record, record, bytes);
}

void fake_cupti_call(uint32_t correlation_id)
{
    CUpti_ActivityAPI call;
    memset(&call, 0, sizeof call);
    call.kind = CUPTI_ACTIVITY_KIND_RUNTIME;
    call.correlationId = correlation_id;
    if (enabled[CUPTI_ACTIVITY_KIND_RUNTIME]) {
        fake_cupti_record(&call, sizeof call);
    }
    if (n_ids > 0 && enabled[CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION]) {
        CUpti_ActivityExternalCorrelation link;
        memset(&link, 0, sizeof link);
        link.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
        link.externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0;
        link.externalId = ids[n_ids - 1];
        link.correlationId = correlation_id;
        fake_cupti_record(&link, sizeof link);
    }
}

void fake_cupti_late(void)
{
    hand_over(NULL);
}

void fake_cupti_activity(int kind, const char *name, uint32_t correlation_id, uint64_t begin_ns,
                         uint64_t end_ns, const int32_t *grid, const int32_t *block,
                         int32_t shared_bytes, uint64_t node_id)
{
    enum { KERNEL, COPY, FILL }; /* as gb_activity_kind has them */
    static int seen;
    fake_kernel k;
    CUpti_ActivityMemcpy6 c;
    CUpti_ActivityMemset4 m;
    if (fake_cupti_control.lose_every > 0 && ++seen % fake_cupti_control.lose_every == 0) {
        return;
    }
    switch (kind) {
    case KERNEL:
        memset(&k, 0, sizeof k);
        k.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
        k.correlationId = correlation_id;
        k.start = begin_ns;
        k.end = end_ns;
        k.graphNodeId = node_id;
        k.name = name_keep(name);
        k.gridX = grid[0];
        k.gridY = grid[1];
        k.gridZ = grid[2];
        k.blockX = block[0];
        k.blockY = block[1];
        k.blockZ = block[2];
        k.dynamicSharedMemory = shared_bytes;
        fake_cupti_record(&k, sizeof k);
        break;
    case COPY:
        memset(&c, 0, sizeof c);
        c.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
        c.copyKind = strstr(name, "HtoD")   ? CUPTI_ACTIVITY_MEMCPY_KIND_HTOD
                     : strstr(name, "DtoH") ? CUPTI_ACTIVITY_MEMCPY_KIND_DTOH
                                            : CUPTI_ACTIVITY_MEMCPY_KIND_DTOD;
        c.correlationId = correlation_id;
        c.start = begin_ns;
        c.end = end_ns;
        c.graphNodeId = node_id;
        fake_cupti_record(&c, sizeof c);
        break;
    default:
        memset(&m, 0, sizeof m);
        m.kind = CUPTI_ACTIVITY_KIND_MEMSET;
        m.correlationId = correlation_id;
        m.start = begin_ns;
        m.end = end_ns;
        m.graphNodeId = node_id;
        fake_cupti_record(&m, sizeof m);
    }
}

/* ---- CUPTI's side ---- */

CUptiResult CUPTIAPI cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc request,
                                                    CUpti_BuffersCallbackCompleteFunc complete)
{
    give = request;
    take = complete;
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityEnable(CUpti_ActivityKind kind)
{
    const fake_cupti_settings *c = &fake_cupti_control;
    lock_try();
    if (c->enable_error && (!c->enable_error_kind || c->enable_error_kind == (int)kind)) {
        return (CUptiResult)c->enable_error;
    }
    fake_cupti_control.kinds_enabled += !enabled[kind];
    enabled[kind] = true;
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityDisable(CUpti_ActivityKind kind)
{
    while (fake_cupti_control.hang) { /* as CUPTI 13.0 may */
        pause();
    }
    lock_try();
    fake_cupti_control.kinds_enabled -= enabled[kind];
    enabled[kind] = false;
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityFlushAll(uint32_t flag)
{
    pthread_t thread;
    lock_try();
    if (fake_cupti_control.flush_error || !(flag & CUPTI_ACTIVITY_FLAG_FLUSH_FORCED)) {
        return fake_cupti_control.flush_error
                   ? (CUptiResult)fake_cupti_control.flush_error
                   : CUPTI_SUCCESS; /* full buffers alone: there are none */
    }
    if (fake_cupti_control.other_thread && pthread_create(&thread, NULL, hand_over, NULL) == 0) {
        pthread_join(thread, NULL);
    } else {
        hand_over(NULL);
    }
    return CUPTI_SUCCESS;
}

/* 0: no such record. */
static size_t record_bytes(CUpti_ActivityKind kind)
{
    switch ((int)kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
        return sizeof(fake_kernel);
    case CUPTI_ACTIVITY_KIND_MEMCPY:
        return sizeof(CUpti_ActivityMemcpy6);
    case CUPTI_ACTIVITY_KIND_MEMSET:
        return sizeof(CUpti_ActivityMemset4);
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
        return sizeof(fake_overhead);
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
        return sizeof(CUpti_ActivityExternalCorrelation);
    case CUPTI_ACTIVITY_KIND_RUNTIME:
        return sizeof(CUpti_ActivityAPI);
    default:
        return 0;
    }
}

CUptiResult CUPTIAPI cuptiActivityGetNextRecord(uint8_t *data, size_t valid,
                                                CUpti_Activity **record)
{
    static int read;
    uint8_t *at = *record ? (uint8_t *)*record : data;
    CUpti_ActivityKind kind;
    lock_try();
    if (*record) {
        memcpy(&kind, at, sizeof kind);
        at += record_bytes(kind);
    } else {
        read = 0;
    }
    if (at >= data + valid) {
        return CUPTI_ERROR_MAX_LIMIT_REACHED;
    }
    memcpy(&kind, at, sizeof kind);
    if (record_bytes(kind) == 0 ||
        (fake_cupti_control.broken_after && read == fake_cupti_control.broken_after)) {
        return CUPTI_ERROR_INVALID_KIND;
    }
    read++;
    *record = (CUpti_Activity *)(void *)at;
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityGetNumDroppedRecords(CUcontext context, uint32_t stream,
                                                       size_t *dropped)
{
    (void)context, (void)stream;
    lock_try();
    if (fake_cupti_control.dropped_error) {
        return (CUptiResult)fake_cupti_control.dropped_error;
    }
    *dropped = (size_t)fake_cupti_control.dropped;
    fake_cupti_control.dropped = 0; /* as the headers say */
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind,
                                                            uint64_t id)
{
    if (kind != CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0 || n_ids == IDS_MAX) {
        abort();
    }
    ids[n_ids++] = id;
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind,
                                                           uint64_t *last)
{
    if (kind != CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0 || n_ids == 0) {
        return CUPTI_ERROR_QUEUE_EMPTY;
    }
    *last = ids[--n_ids];
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetTimestamp(uint64_t *now_ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    *now_ns = (uint64_t)((int64_t)t.tv_sec * 1000000000 + t.tv_nsec +
                         fake_cupti_control.clock_ahead_ns + fake_cupti_control.clock_gain_ns);
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetVersion(uint32_t *version)
{
    *version = fake_cupti_control.version ? (uint32_t)fake_cupti_control.version : 130101;
    return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetResultString(CUptiResult result, const char **text)
{
    *text = result == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES ? "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES"
            : result == CUPTI_ERROR_INVALID_KIND          ? "CUPTI_ERROR_INVALID_KIND"
            : result == CUPTI_ERROR_UNKNOWN               ? "CUPTI_ERROR_UNKNOWN"
                                                          : "another error";
    return CUPTI_SUCCESS;
}
