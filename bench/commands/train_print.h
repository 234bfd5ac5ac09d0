/* train_print.h: the lines that `gptbench train` prints as it goes. Scripts read them:
 *
 *   step:N/M train_loss:X train_time:Tms step_avg:Ams lr:L step_time:Sms tag:NAME
 *   step:N/M val_loss:X train_time:Tms step_avg:Ams
 *
 * train_time is the sum of all steps so far, without validations. step_avg is the mean of the timed
 * steps, and `nan` until there is one: it stays a number to whoever reads it as one, and trainers
 * of this family print the same while their first steps do not count. */
#ifndef GPTBENCH_BENCH_TRAIN_PRINT_H
#define GPTBENCH_BENCH_TRAIN_PRINT_H

#include "model/observer.h"

/* Zeroed but for the first two. */
typedef struct train_print {
    int64_t num_iterations;
    int64_t val_tokens; /* of a validation */
    int64_t timed_steps, tokens_per_step;
    double timed_ms, train_time_ms;
} train_print;

/* Prints what the event has to tell: notes on standard error, all else on standard output. */
void train_print_event(train_print *p, const train_event *event);

#endif
