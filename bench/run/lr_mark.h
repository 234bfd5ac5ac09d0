/* lr_mark.h: how attempts at a halved learning rate are marked wherever results are shown. */
#ifndef GPTBENCH_BENCH_LR_MARK_H
#define GPTBENCH_BENCH_LR_MARK_H

typedef struct lr_mark_text {
    char text[40];
} lr_mark_text;

/* ", lr halved 2x" for a scale of 1/4; empty for 1 and for 0, which stands for 1. */
lr_mark_text lr_mark(double lr_scale);

#endif
