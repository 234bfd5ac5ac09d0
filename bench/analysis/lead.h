/* lead.h: whether one config is shown to be ahead of another one in speed or in loss, and with that
 * whether the verdicts bear out what the estimates alone say of the best ones. */
#ifndef GPTBENCH_BENCH_LEAD_H
#define GPTBENCH_BENCH_LEAD_H

#include "bench/analysis/verdicts.h"

typedef enum lead_in { LEAD_IN_SPEED, LEAD_IN_LOSS } lead_in;

/* Whether `first` is shown to be faster, or lower in loss, than `second`; both are rows of
 * data->verdicts. Against the baseline by its verdict; else where the two lie on different sides of
 * the baseline, or their intervals are apart by more than the noise floor, or a verdict on the pair
 * says so. Never by a speed whose means contradict its medians. GB_ERR_OOM. */
gb_status lead_is_shown(bool *shown, const findings *data, lead_in in, const config_verdict *first,
                        const config_verdict *second, gb_error *err);

/* Whether it is shown that no peer of the entry is lower in loss; true of one without peers. */
gb_status lead_is_lowest(bool *shown, const findings *data, int entry, gb_error *err);

/* Whether it is shown who is on the fronts and who is not: each of those set off is ahead of each
 * other entry of its front in one of the two, and each of the rest is behind one of them in both.
 * entries_set_off must have been. GB_ERR_OOM. */
gb_status lead_front_is_shown(bool *shown, const findings *data, gb_error *err);

#endif
