/* load.h: from a database to findings: facts (bench/read), then numbers of runs, speeds, entries,
 * results, the front. */
#ifndef GPTBENCH_BENCH_LOAD_H
#define GPTBENCH_BENCH_LOAD_H

#include "bench/analysis/findings.h"

struct store;

/* Reads a suite. With suite_name NULL the database must hold exactly one. Errors as store_open and
 * facts_read. *out is the caller's: findings_free. */
gb_status findings_read(findings **out, const char *db_path, const char *suite_name, gb_error *err);

/* The same for a comparison of some configs: of the others there are rows of configs and runs, but
 * nothing that was measured in them, and nothing is judged across configs (verdicts, Pareto front,
 * the control and the drift of timing sessions). A config is read when its name, with or without
 * what a label adds, is one of `names` (ended by NULL), or it is the suite's baseline. */
gb_status findings_read_configs(findings **out, const char *db_path, const char *suite_name,
                                const char *const *names, gb_error *err);
/* The same through an open store, in its transaction where one is open. */
gb_status findings_read_some(findings **out, struct store *s, const char *suite_name,
                             const char *const *names, gb_error *err);

/* Through an open store, for a table of results: of runs only averages, as the views have them, so
 * that millions of steps need not be read. Intervals over the steps of a run and the front are
 * missing. */
gb_status findings_read_summary(findings **out, struct store *s, const char *suite_name,
                                gb_error *err);

/* One run, whether or not its suite still asks for it: facts->runs[0], with its numbers; there are
 * no entries and nothing is judged. Through an open store. GB_ERR_USAGE: there is no such run. */
gb_status findings_read_run(findings **out, struct store *s, int64_t run_id, gb_error *err);

void findings_free(findings *data); /* NULL is fine */

#endif
