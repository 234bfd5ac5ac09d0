/* entry_pair.h: the two entries that a command line names: BASE and NEW of compare and why. */
#ifndef GPTBENCH_BENCH_ENTRY_PAIR_H
#define GPTBENCH_BENCH_ENTRY_PAIR_H

#include "bench/analysis/findings.h"

/* Names are labels or names of configs. Where the base's name fits several entries, it is the one
 * that ran where the new one did. GB_ERR_USAGE names the nearest config; GB_ERR_FAILED when there
 * is such a config and no run of it has finished. The entries belong to `data`. */
gb_status entry_pair_find(const findings *data, const char *const names[2],
                          const result_entry **base, const result_entry **new_entry, gb_error *err);

/* What to say of a name that is no entry: as above. */
gb_status entry_name_unknown(const findings *data, const char *name, gb_error *err);
/* The entry of base's config that ran where `like` did; base itself where there is none. */
const result_entry *entry_beside(const findings *data, const result_entry *base,
                                 const result_entry *like);

#endif
