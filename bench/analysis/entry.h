/* entry.h: from runs to entries: which runs belong together, and what they say together. */
#ifndef GPTBENCH_BENCH_ENTRY_H
#define GPTBENCH_BENCH_ENTRY_H

#include "bench/analysis/findings.h"

/* Gathers the finished runs into data->entries, with what their runs say. GB_ERR_OOM. */
gb_status entries_make(findings *data, gb_error *err);

/* Index of the entry with this label or config name (first match), or -1. */
int findings_find_entry(const findings *data, const char *name);

/* The entry's run of a replicate, or NULL. */
const run_facts *entry_find_run(const result_entry *entry, int64_t replicate);

#endif
