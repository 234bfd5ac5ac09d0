#include "model/op_log.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static size_t seen_place(const op_log_buffer *seen, size_t capacity, const void *address)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)address * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
    for (at &= capacity - 1; seen[at].address && seen[at].address != address;) {
        at = (at + 1) & (capacity - 1);
    }
    return at;
}

static bool seen_grow(op_log *log)
{
    size_t capacity = log->seen_capacity ? 2 * log->seen_capacity : 512;
    op_log_buffer *grown = calloc(capacity, sizeof *grown);
    if (!grown) {
        return false;
    }
    for (size_t i = 0; i < log->seen_capacity; i++) {
        if (log->seen[i].address) {
            grown[seen_place(grown, capacity, log->seen[i].address)] = log->seen[i];
        }
    }
    free(log->seen);
    log->seen = grown;
    log->seen_capacity = capacity;
    return true;
}

/* 0 for NULL, else 1, 2, ... in the order of first appearance. */
static bool buffer_number(op_log *log, const void *address, uint64_t *number)
{
    *number = 0;
    if (!address) {
        return true;
    }
    if (2 * (log->n_seen + 1) > log->seen_capacity && !seen_grow(log)) {
        return false;
    }
    op_log_buffer *place = &log->seen[seen_place(log->seen, log->seen_capacity, address)];
    if (!place->address) {
        *place = (op_log_buffer){address, ++log->n_seen};
    }
    *number = place->number;
    return true;
}

static void call_keep(op_log *log, const op_trace_call *call)
{
    if (log->count >= log->capacity) {
        int64_t capacity = log->capacity ? 2 * log->capacity : 256;
        op_trace_call *grown = realloc(log->calls, (size_t)capacity * sizeof *grown);
        if (!grown) {
            log->lost = true;
            return;
        }
        log->calls = grown;
        log->capacity = capacity;
    }
    log->calls[log->count] = *call;
}

void op_log_begin(op_log *log, bool list, uint64_t seed)
{
    if (log->seen) {
        memset(log->seen, 0, log->seen_capacity * sizeof *log->seen);
    }
    log->n_seen = 0;
    log->hash = seed;
    log->count = 0;
    log->list = list;
    log->lost = false;
}

bool op_log_add(op_log *log, const op_trace_call *call, const void *const *buffers, int n_buffers)
{
    uint64_t words[4 + OP_LOG_BUFFERS + OP_TRACE_NUMBERS];
    size_t n = 0;
    words[n++] = XXH3_64bits(call->entry, strlen(call->entry));
    words[n++] = (uint64_t)call->phase;
    words[n++] = (uint64_t)call->layer;
    words[n++] = (uint64_t)call->op;
    for (int i = 0; i < n_buffers; i++) {
        if (!buffer_number(log, buffers[i], &words[n++])) {
            return false;
        }
    }
    for (int i = 0; i < call->n_numbers; i++) {
        const op_trace_number *x = &call->numbers[i];
        words[n] = (uint64_t)x->whole;
        if (x->is_real) {
            memcpy(&words[n], &x->real, sizeof words[n]);
        }
        n++;
    }
    log->hash = XXH3_64bits_withSeed(words, n * sizeof words[0], log->hash);
    if (log->list) {
        call_keep(log, call);
    }
    log->count++;
    return true;
}

void op_log_clear(op_log *log)
{
    free(log->seen);
    free(log->calls);
    *log = (op_log){0};
}
