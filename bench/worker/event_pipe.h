/* event_pipe.h: facts from a worker process to the runner, as frames of bytes in a pipe. Both ends
 * are the same executable, so a frame holds a struct as it lies in memory; the frame's magic,
 * version, length and checksum are there because a worker may die in the middle of one, or write
 * nonsense. The reader trusts nothing: it checks every field that could hurt whoever uses it. */
#ifndef GPTBENCH_BENCH_EVENT_PIPE_H
#define GPTBENCH_BENCH_EVENT_PIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/status.h"
#include "model/trainer.h"

/* Where a worker finds the writing end, and the reading end of its orders. */
#define EVENT_PIPE_FD 3
#define CONTROL_FD    4

typedef enum event_kind {
    EVENT_KIND_TRAIN = 1, /* train_event */
    EVENT_KIND_PROBE = 2  /* event_probe */
} event_kind;

/* What a probe finds: the device as a backend sees it. */
typedef struct event_probe {
    int64_t status;    /* gb_status */
    char message[512]; /* why it is not ok */
    char backend[32];
    gb_description device;
    double gemm_flops_per_s, copy_bytes_per_s; /* 0: not asked for, or it failed */
    double gemm_sustained_flops_per_s;         /* 0: the same, or not told from the peak */
    int64_t process_memory_bytes;              /* resident before the backend was opened */
} event_probe;

typedef struct event_frame {
    event_kind kind;
    union {
        train_event train;
        event_probe probe;
    } u;
} event_frame;

/* Writes one frame; blocks while the pipe is full. GB_ERR_IO when nobody reads any more. */
gb_status event_write_train(int fd, const train_event *event, gb_error *err);
gb_status event_write_probe(int fd, const event_probe *probe, gb_error *err);

/* Orders from the runner to a worker that trains in bursts: one after the other through a socket.
 * Writing gives GB_ERR_IO when nobody reads any more. Reading blocks; *found is false at the end of
 * the orders, or when `stop` (may be NULL) was set by a signal; GB_ERR_FORMAT for nonsense. */
gb_status event_order_write(int fd, const train_burst *burst, gb_error *err);
gb_status event_order_read(int fd, train_burst *out, bool *found, const volatile sig_atomic_t *stop,
                           gb_error *err);

typedef struct event_reader event_reader;

/* NULL when there is no memory. */
event_reader *event_reader_create(void);
void event_reader_free(event_reader *reader);

/* Adds n bytes of the stream. After an error of event_reader_next they are dropped. n is at most
 * event_reader_room. */
size_t event_reader_room(const event_reader *reader);
void event_reader_add(event_reader *reader, const void *bytes, size_t n);
/* Takes the next whole frame. *found is false when more bytes are needed. GB_ERR_FORMAT, for good,
 * once the stream is not what it should be; the message says where and why. */
gb_status event_reader_next(event_reader *reader, event_frame *out, bool *found, gb_error *err);
/* Bytes of a frame that never became whole. */
size_t event_reader_left(const event_reader *reader);

#endif
