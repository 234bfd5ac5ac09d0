#include "bench/worker/event_pipe.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "kernels/process_limits.h"

#define FRAME_MAGIC   0x56456247u /* "GbEV" */
#define FRAME_VERSION 1

typedef struct frame_header {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    uint32_t length; /* of the payload */
    uint32_t hash;   /* XXH32 of the payload */
} frame_header;

struct event_reader {
    uint64_t position; /* bytes of the stream taken so far */
    bool broken;
    size_t used;
    unsigned char buffer[16 * (sizeof(frame_header) + sizeof(event_frame))];
};

static gb_status bytes_write(int fd, const void *bytes, size_t n, gb_error *err)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t wrote = write(fd, p, n);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            return gb_fail(err, GB_ERR_IO, "event pipe: %s", gb_reason(errno));
        }
        p += wrote;
        n -= (size_t)wrote;
    }
    return GB_OK;
}

static gb_status frame_write(int fd, event_kind kind, const void *payload, size_t n, gb_error *err)
{
    unsigned char frame[sizeof(frame_header) + sizeof(event_frame)];
    frame_header header = {FRAME_MAGIC, FRAME_VERSION, (uint16_t)kind, (uint32_t)n,
                           XXH32(payload, n, 0)};
    memcpy(frame, &header, sizeof header);
    memcpy(frame + sizeof header, payload, n);
    return bytes_write(fd, frame, sizeof header + n, err);
}

gb_status event_write_train(int fd, const train_event *event, gb_error *err)
{
    return frame_write(fd, EVENT_KIND_TRAIN, event, sizeof *event, err);
}

gb_status event_write_probe(int fd, const event_probe *probe, gb_error *err)
{
    return frame_write(fd, EVENT_KIND_PROBE, probe, sizeof *probe, err);
}

/* ---- orders ---- */

#define ORDER_MAX_STEPS 1000000

typedef struct order {
    uint32_t magic;
    uint32_t hash; /* XXH32 of what follows */
    int64_t lead_steps, timed_steps;
} order;

static uint32_t order_hash(const order *o)
{
    return XXH32(&o->lead_steps, sizeof o->lead_steps + sizeof o->timed_steps, 0);
}

gb_status event_order_write(int fd, const train_burst *burst, gb_error *err)
{
    order o = {FRAME_MAGIC, 0, burst->lead_steps, burst->timed_steps};
    o.hash = order_hash(&o);
    const char *p = (const char *)&o;
    for (size_t left = sizeof o; left > 0;) {
        ssize_t sent = send(fd, p, left, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return gb_fail(err, GB_ERR_IO, "orders to a worker: %s", gb_reason(errno));
        }
        p += sent > 0 ? sent : 0;
        left -= sent > 0 ? (size_t)sent : 0;
    }
    return GB_OK;
}

gb_status event_order_read(int fd, train_burst *out, bool *found, const volatile sig_atomic_t *stop,
                           gb_error *err)
{
    order o;
    size_t got = 0;
    *found = false;
    while (got < sizeof o && !(stop && *stop)) {
        ssize_t n = read(fd, (char *)&o + got, sizeof o - got);
        if (n == 0) {
            return got == 0 ? GB_OK : gb_fail(err, GB_ERR_FORMAT, "orders: the last one is torn");
        }
        if (n < 0 && errno != EINTR) {
            return gb_fail(err, GB_ERR_IO, "orders: %s", gb_reason(errno));
        }
        got += n > 0 ? (size_t)n : 0;
    }
    if (got < sizeof o) {
        return GB_OK;
    }
    if (o.magic != FRAME_MAGIC || o.hash != order_hash(&o) || o.lead_steps < 0 ||
        o.timed_steps < 0 || o.lead_steps > ORDER_MAX_STEPS || o.timed_steps > ORDER_MAX_STEPS) {
        return gb_fail(err, GB_ERR_FORMAT, "orders: not an order");
    }
    *out = (train_burst){o.lead_steps, o.timed_steps};
    *found = true;
    return GB_OK;
}

/* ---- reading ---- */

event_reader *event_reader_create(void)
{
    return calloc(1, sizeof(event_reader));
}

void event_reader_free(event_reader *reader)
{
    free(reader);
}

size_t event_reader_room(const event_reader *reader)
{
    return sizeof reader->buffer - reader->used;
}

void event_reader_add(event_reader *reader, const void *bytes, size_t n)
{
    if (!reader->broken && n <= event_reader_room(reader)) {
        memcpy(reader->buffer + reader->used, bytes, n);
        reader->used += n;
    }
}

size_t event_reader_left(const event_reader *reader)
{
    return reader->used;
}

/* ---- what may be believed ---- */

static bool text_ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}
#define TEXT_ENDS(array) text_ends(array, sizeof(array))

static bool duration_valid(double ms)
{
    return isfinite(ms) && ms >= 0;
}

static bool description_valid(const gb_description *d)
{
    return TEXT_ENDS(d->device) && TEXT_ENDS(d->driver) && TEXT_ENDS(d->libraries) &&
           TEXT_ENDS(d->isa) && TEXT_ENDS(d->precision_note) && TEXT_ENDS(d->threads_note) &&
           TEXT_ENDS(d->bus_id) && d->threads >= 0;
}

static bool start_valid(const train_start *e)
{
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        if (e->memory_plan_bytes[group] < 0) {
            return false;
        }
    }
    return e->n_params >= 0 && e->tokens_per_step >= 0 && e->process_memory_bytes >= 0 &&
           e->overhead_bytes >= 0 && TEXT_ENDS(e->train_data_hash) && TEXT_ENDS(e->val_data_hash) &&
           TEXT_ENDS(e->val_stretch_hash) && description_valid(&e->device);
}

static bool step_valid(const train_step *e)
{
    return e->step >= 0 && e->tag >= 0 && e->tag < TRAIN_STEP_TAGS && duration_valid(e->step_ms) &&
           isfinite(e->learning_rate) && isfinite(e->flops_issued) && isfinite(e->ended_s) &&
           e->major_faults >= 0 && e->minor_faults >= 0 && e->preemptions >= 0 && e->session >= 0;
}

static bool eval_valid(const train_eval *e)
{
    return e->step >= 0 && e->val_tokens >= 0 && duration_valid(e->eval_ms) &&
           duration_valid(e->train_time_ms);
}

static bool optime_valid(const train_event *event)
{
    const gb_op_time *row = &event->u.optime.row;
    return (int)row->phase >= 0 && row->phase < GB_PHASE_COUNT && (int)row->op >= 0 &&
           row->op < GB_OP_COUNT && row->layer >= -1 && isfinite(row->time_ms) &&
           isfinite(row->flops) && event->u.optime.steps >= 0 &&
           duration_valid(event->u.optime.step_ms);
}

static bool span_valid(const gb_op_span *span)
{
    return (int)span->phase >= 0 && span->phase < GB_PHASE_COUNT && (int)span->op >= 0 &&
           span->op < GB_OP_COUNT && span->layer >= -1 && duration_valid(span->begin_ms) &&
           isfinite(span->end_ms) && span->end_ms >= span->begin_ms;
}

static bool kernel_valid(const gb_kernel_time *k)
{
    return TEXT_ENDS(k->name) && (int)k->phase >= 0 && k->phase < GB_PHASE_COUNT &&
           (int)k->op >= 0 && k->op < GB_OP_COUNT && k->layer >= -1 && k->calls >= 0 &&
           duration_valid(k->time_ms);
}

static bool train_valid(const train_event *event)
{
    switch ((train_event_type)event->type) {
    case TRAIN_EVENT_START:
        return start_valid(&event->u.start);
    case TRAIN_EVENT_STEP:
        return step_valid(&event->u.step);
    case TRAIN_EVENT_EVAL:
        return eval_valid(&event->u.eval);
    case TRAIN_EVENT_OPTIME:
        return optime_valid(event);
    case TRAIN_EVENT_SPANS_ZERO:
        return isfinite(event->u.spans_zero_s);
    case TRAIN_EVENT_SPAN:
        return span_valid(&event->u.span);
    case TRAIN_EVENT_KERNEL:
        return kernel_valid(&event->u.kernel);
    case TRAIN_EVENT_PROFILE_NOTE:
        return TEXT_ENDS(event->u.profile_note);
    case TRAIN_EVENT_PROFILE:
    case TRAIN_EVENT_PAUSE:
    case TRAIN_EVENT_ALIVE:
        return true;
    case TRAIN_EVENT_RESUME:
    case TRAIN_EVENT_CHECKPOINT:
        return event->u.checkpoint.step > 0 && event->u.checkpoint.session > 0 &&
               event->u.checkpoint.bytes >= 0 && duration_valid(event->u.checkpoint.ms) &&
               duration_valid(event->u.checkpoint.train_time_ms);
    case TRAIN_EVENT_NOTE:
        return TEXT_ENDS(event->u.note);
    case TRAIN_EVENT_END:
        return event->u.end.status >= GB_OK && event->u.end.status <= GB_ERR_INTERNAL &&
               event->u.end.steps_done >= 0 && TEXT_ENDS(event->u.end.message);
    }
    return false;
}

static bool probe_valid(const event_probe *probe)
{
    return probe->status >= GB_OK && probe->status <= GB_ERR_INTERNAL &&
           TEXT_ENDS(probe->message) && TEXT_ENDS(probe->backend) &&
           description_valid(&probe->device) && isfinite(probe->gemm_flops_per_s) &&
           isfinite(probe->copy_bytes_per_s) && isfinite(probe->gemm_sustained_flops_per_s) &&
           probe->process_memory_bytes >= 0;
}

/* NULL when the header may be what it claims. */
static const char *header_complaint(const frame_header *header)
{
    if (header->magic != FRAME_MAGIC) {
        return "not a frame";
    }
    if (header->version != FRAME_VERSION) {
        return "a frame of another version";
    }
    size_t expected = header->kind == EVENT_KIND_TRAIN   ? sizeof(train_event)
                      : header->kind == EVENT_KIND_PROBE ? sizeof(event_probe)
                                                         : 0;
    return expected == 0                ? "a frame of no known kind"
           : header->length != expected ? "a frame of the wrong length"
                                        : NULL;
}

static gb_status reader_fail(event_reader *reader, const char *complaint, gb_error *err)
{
    reader->broken = true;
    reader->used = 0;
    return gb_fail(err, GB_ERR_FORMAT, "the worker's event stream is broken at byte %llu: %s",
                   (unsigned long long)reader->position, complaint);
}

gb_status event_reader_next(event_reader *reader, event_frame *out, bool *found, gb_error *err)
{
    frame_header header;
    *found = false;
    if (reader->broken) {
        return reader_fail(reader, "nothing after the first error is read", err);
    }
    if (reader->used < sizeof header) {
        return GB_OK;
    }
    memcpy(&header, reader->buffer, sizeof header);
    const char *complaint = header_complaint(&header);
    if (complaint) {
        return reader_fail(reader, complaint, err);
    }
    size_t whole = sizeof header + header.length;
    if (reader->used < whole) {
        return GB_OK;
    }
    const unsigned char *payload = reader->buffer + sizeof header;
    if (XXH32(payload, header.length, 0) != header.hash) {
        return reader_fail(reader, "a frame with the wrong checksum", err);
    }
    out->kind = (event_kind)header.kind;
    memcpy(&out->u, payload, header.length);
    if (!(out->kind == EVENT_KIND_TRAIN ? train_valid(&out->u.train)
                                        : probe_valid(&out->u.probe))) {
        return reader_fail(reader, "an event with impossible values", err);
    }
    memmove(reader->buffer, reader->buffer + whole, reader->used - whole);
    reader->used -= whole;
    reader->position += whole;
    *found = true;
    return GB_OK;
}
