/* train_losses.h: every step's loss with all its digits, as CSV: `train --losses FILE`. */
#ifndef GPTBENCH_BENCH_TRAIN_LOSSES_H
#define GPTBENCH_BENCH_TRAIN_LOSSES_H

#include <stdbool.h>
#include <stdio.h>

#include "model/observer.h"

typedef struct train_losses {
    const char *path; /* NULL: not wanted */
    FILE *file;
} train_losses;

/* Opens it: anew, or, to go on, with the lines that are in it. GB_ERR_IO. */
gb_status train_losses_open(train_losses *l, bool go_on, gb_error *err);
/* Writes the loss of a STEP; at RESUME drops the steps behind it; at CHECKPOINT the file has all
 * that came before. */
void train_losses_event(train_losses *l, const train_event *event);
/* GB_ERR_IO when something could not be written. */
gb_status train_losses_close(train_losses *l, gb_error *err);

#endif
