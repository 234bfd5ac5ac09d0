/* Fuzzes what the runner reads from a worker: any bytes, in pieces of any length, are frames whose
 * numbers and texts may be believed, or an error that ends the stream.
 *
 * The first byte says how long the pieces are and whether frames are mended: then each gets a
 * header with a true length and checksum in front, so that the fuzzer need not guess them, and the
 * input is payloads. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/store/store.h"
#include "bench/worker/event_pipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct header { /* as event_pipe.c has it */
    uint32_t magic;
    uint16_t version, kind;
    uint32_t length, hash;
} header;

/* Whatever was believed goes into a database, as the runner does it. */
static void store_frame(store *s, const event_frame *frame)
{
    gb_error err = {GB_OK, ""};
    if (frame->kind != EVENT_KIND_TRAIN) {
        return;
    }
    gb_status status = store_run_event(s, 1, &frame->u.train, &err);
    if (status != GB_OK && !err.message[0]) {
        abort();
    }
    const train_event *e = &frame->u.train;
    if (e->type == TRAIN_EVENT_STEP && !(e->u.step.step >= 0 && isfinite(e->u.step.step_ms))) {
        abort();
    }
    if (e->type == TRAIN_EVENT_END && !memchr(e->u.end.message, 0, sizeof e->u.end.message)) {
        abort();
    }
}

static void stream_read(const uint8_t *bytes, size_t n, size_t piece)
{
    static store *s; /* one for all inputs: rolled back after each */
    event_reader *reader = event_reader_create();
    if (!reader || (!s && store_open(&s, ":memory:", STORE_WRITE, NULL) != GB_OK)) {
        abort();
    }
    sqlite3_exec(store_sqlite(s), "PRAGMA foreign_keys = OFF", NULL, NULL, NULL);
    gb_status status = GB_OK;
    for (size_t at = 0; at < n && status == GB_OK;) {
        size_t room = event_reader_room(reader), more = n - at < piece ? n - at : piece;
        more = more < room ? more : room;
        if (more == 0) {
            abort(); /* a full buffer holds a whole frame */
        }
        event_reader_add(reader, bytes + at, more);
        at += more;
        for (bool found = true; found && status == GB_OK;) {
            event_frame frame;
            gb_error err = {GB_OK, ""};
            status = event_reader_next(reader, &frame, &found, &err);
            if (status == GB_OK && found) {
                store_frame(s, &frame);
            } else if (status != GB_OK && (found || !err.message[0])) {
                abort();
            }
        }
    }
    store_rollback(s);
    event_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t piece = 1 + (size_t)(data[0] & 127) * 37;
    if (!(data[0] & 128)) {
        stream_read(data + 1, size - 1, piece);
        return 0;
    }
    /* Payloads of the true length; what the input lacks is zero. */
    bool probe = data[1] & 1;
    size_t length = probe ? sizeof(event_probe) : sizeof(train_event), n = 0;
    size_t count = (size - 2) / length + 1;
    uint8_t *stream = calloc(count, sizeof(header) + length);
    for (size_t i = 0; stream && i < count; i++) {
        header head = {0x56456247u, 1, probe ? EVENT_KIND_PROBE : EVENT_KIND_TRAIN,
                       (uint32_t)length, 0};
        size_t left = size - 2 - i * length;
        uint8_t *payload = stream + n + sizeof head;
        memcpy(payload, data + 2 + i * length, left < length ? left : length);
        head.hash = XXH32(payload, length, 0);
        memcpy(stream + n, &head, sizeof head);
        n += sizeof head + length;
    }
    stream_read(stream, n, piece);
    free(stream);
    return 0;
}
