/* observer.h: facts that flow out of a training run. The trainer calls one function with one
 * event at a time; whether it prints, writes to a pipe or does nothing is the caller's affair.
 * Events are plain data without pointers, so that they can be sent as bytes between two
 * processes of the same program. */
#ifndef GPTBENCH_MODEL_OBSERVER_H
#define GPTBENCH_MODEL_OBSERVER_H

#include <stdint.h>

#include "kernels/backend.h"

typedef enum train_event_type {
    TRAIN_EVENT_START,      /* once, after allocation and before the first step */
    TRAIN_EVENT_STEP,       /* after each optimiser step */
    TRAIN_EVENT_EVAL,       /* after each validation */
    TRAIN_EVENT_PROFILE,    /* the profiled steps begin; the first OPTIME says that they are over */
    TRAIN_EVENT_OPTIME,     /* one row of the per-op ledger, several after the profiled steps */
    TRAIN_EVENT_SPANS_ZERO, /* before the spans, where it is known: when they begin */
    TRAIN_EVENT_SPAN,   /* one op of the last profiled step; all of them in a row, if asked for */
    TRAIN_EVENT_KERNEL, /* one kernel of the profiled steps, where the backend sees kernels */
    TRAIN_EVENT_PROFILE_NOTE, /* what is to be known of the profile; none where there is nothing */
    TRAIN_EVENT_PAUSE,        /* warm, or a burst is over: the run waits for the next burst */
    TRAIN_EVENT_RESUME,     /* after START: the run goes on from a checkpoint, not from its start */
    TRAIN_EVENT_CHECKPOINT, /* one was written, and is safe */
    TRAIN_EVENT_NOTE,       /* what a person should know, and the run survives */
    TRAIN_EVENT_ALIVE, /* nothing to tell, but it goes on: after a batch, where nothing else was
                        * said for a second */
    TRAIN_EVENT_END    /* once, whatever the outcome */
} train_event_type;

/* Tags of a step; only TIMED enters step_avg (docs/MEASURING.md). */
typedef enum train_step_tag {
    TRAIN_STEP_WARMUP,
    TRAIN_STEP_TIMED,
    TRAIN_STEP_PROFILED,
    TRAIN_STEP_EVAL, /* the step right after a validation: caches are cold */
    TRAIN_STEP_CHECKPOINT,
    TRAIN_STEP_TAGS
} train_step_tag;

const char *train_step_tag_name(train_step_tag tag);

typedef struct train_start {
    int64_t n_params;
    double flops_per_token;                   /* exact, forward and backward */
    int64_t memory_plan_bytes[GB_MEM_GROUPS]; /* as planned, equal to what was allocated */
    int64_t overhead_bytes;                   /* planned beside the groups: trainer_plan_overhead */
    int64_t process_memory_bytes;             /* of the process before; 0 on a GPU */
    int64_t tokens_per_step;
    double entropy_rate_nats;   /* of the validation source; NAN if unknown */
    double entropy_spread_nats; /* of one token's; token_source_entropy_spread */
    char train_data_hash[40], val_data_hash[40];
    char val_stretch_hash[40]; /* of the tokens that a validation reads */
    gb_description device;
} train_start;

typedef struct train_step {
    int64_t step;      /* 0-based */
    int64_t tag;       /* train_step_tag */
    double train_loss; /* mean nats/token over the whole step's tokens, before the update */
    double grad_norm;  /* global L2 norm before clipping; NAN where not computed */
    double learning_rate;
    double step_ms;      /* data + micro-batches + update */
    double flops_issued; /* summed over the ops of this step */
    double ended_s;      /* when the host saw its end: kernels/clock.h, as samples have it
                          * (kernels/sensors); the runner counts it from the start of the run */
    int64_t major_faults, minor_faults; /* page faults of this process meanwhile */
    int64_t preemptions; /* how often one of its threads had to leave a CPU to others meanwhile */
    int64_t session;     /* from 1, one more after each resume; 0: nobody said */
} train_step;

typedef struct train_eval {
    int64_t step;    /* optimiser steps done before this validation */
    double val_loss; /* mean nats/token */
    int64_t val_tokens;
    double eval_ms;
    double train_time_ms; /* sum of step_ms so far, all tags */
} train_eval;

/* Of RESUME and CHECKPOINT. */
typedef struct train_checkpoint {
    int64_t step;         /* optimiser steps done before it: the next step has this number */
    int64_t session;      /* of the steps that follow */
    double train_time_ms; /* sum of step_ms so far */
    int64_t bytes;        /* of the file */
    double ms;            /* that it took to write, or to read */
} train_checkpoint;

typedef struct train_end {
    int64_t status; /* gb_status: OK, NAN, OOM, INTERRUPTED, ... */
    int64_t steps_done;
    int64_t peak_memory_bytes; /* CPU: peak resident set; GPU: device memory in use */
    double train_time_ms;
    char message[512]; /* why it did not end OK; empty otherwise */
} train_end;

typedef struct train_event {
    int64_t type; /* train_event_type */
    union {
        train_start start;
        train_step step;
        train_eval eval;
        struct {
            gb_op_time row;
            int64_t steps;  /* profiled steps that the row sums over */
            double step_ms; /* their mean duration */
        } optime;
        double spans_zero_s; /* kernels/clock.h at the begin of the first op, as ended_s */
        gb_op_span span;     /* times since the begin of the first op of the step */
        gb_kernel_time kernel;
        char profile_note[240];
        train_checkpoint checkpoint;
        char note[512];
        train_end end;
    } u;
} train_event;

/* Returns 0 to go on; anything else asks the trainer to stop as soon as a step is whole (the run
 * then ends GB_ERR_INTERRUPTED). `event` is valid during the call only. */
typedef int (*train_observer_fn)(void *user, const train_event *event);

typedef struct train_observer {
    train_observer_fn on_event; /* NULL: nobody looks */
    void *user;
} train_observer;

#endif
