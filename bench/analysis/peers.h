/* peers.h: which entries stand beside each other where the best of several is named: the fastest,
 * the lowest in loss, the front. */
#ifndef GPTBENCH_BENCH_PEERS_H
#define GPTBENCH_BENCH_PEERS_H

#include "bench/analysis/findings.h"

/* Fills `beside` and the flags behind it of every entry by the rule of
 * bench/analysis/comparability.h. Verdicts and paces must be known. GB_ERR_OOM. */
gb_status peers_make(findings *data, gb_error *err);

/* The entry that most others are beside: the first baseline, else the first entry; -1 without any.
 */
int peers_lead(const findings *data);
/* Whether an entry may be on a front: both its speed and its loss compare, and not with itself
 * alone, unless it is the only one there is. */
bool peers_may_lead_front(const findings *data, int entry);
/* Whether two entries that may be on a front are on the same one. */
bool peers_share_front(const findings *data, int a, int b);

#endif
