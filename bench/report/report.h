/* report.h: the report of a suite. */
#ifndef GPTBENCH_BENCH_REPORT_H
#define GPTBENCH_BENCH_REPORT_H

#include <jansson.h>

#include "bench/analysis/findings.h"
#include "bench/base/document.h"

struct figure_choice;

/* Writes into out_dir, which is made where it is missing: report.md, index.html (one file, nothing
 * outside it is referred to), results.tsv, report.json, data/, plots/ and figures/ (SVG and PNG).
 * Files of an earlier report there are replaced, and no others: GB_ERR_USAGE. suite_name may be
 * NULL when the database holds one suite.
 *
 * Without gnuplot everything but the figures is written and GB_ERR_ENV names the package; the same
 * for GB_ERR_FAILED when gnuplot could not draw. Otherwise as findings_read; GB_ERR_IO. */
gb_status report_write(const char *db_path, const char *suite_name, const char *out_dir,
                       gb_error *err);

/* Before anything is made for out_dir: GB_ERR_USAGE where it is no folder, or holds a file of the
 * name of one of a report's that no report wrote. */
gb_status report_folder_check(const char *out_dir, gb_error *err);

/* ---- its parts (report_text.c, report_tables.c, report_why.c) ---- */

/* The verdict table and what it comes to (report_verdict_text.c). */
gb_status report_write_verdicts(document *doc, const findings *data, gb_error *err);
/* Suite, machine and baseline in a sentence. */
void report_write_intro(document *doc, const findings *data);
/* What came out, in words; differences from run to run only where nothing was timed in turn. */
gb_status report_write_answer(document *doc, const findings *data, gb_error *err);
/* What became of the suite's claims; nothing where it makes none (report_claims.c). */
gb_status report_write_claims(document *doc, const findings *data, gb_error *err);
/* The same as an array for report.json. */
gb_status report_claims_json(json_t **out, const findings *data, gb_error *err);
/* The result table, and what each run of it measured. */
gb_status report_write_results(document *doc, const findings *data, gb_error *err);
/* Losses at equal budgets; nothing without a config to hold against a baseline (report_budget.c).
 */
gb_status report_write_budgets(document *doc, const findings *data, gb_error *err);
/* Runs that are not finished, with the reason. */
gb_status report_write_unfinished(document *doc, const findings *data, gb_error *err);
/* Where the time goes, with its figures where they were drawn; nothing without profiled steps
 * (report_why.c). */
gb_status report_write_why(document *doc, const findings *data, const struct figure_choice *figures,
                           gb_error *err);
/* The part of it on interleaved timing (report_session_text.c). */
gb_status report_write_sessions(document *doc, const findings *data, gb_error *err);
/* Sessions of interleaved timing, losses, machine, libraries, data (report_method.c). */
gb_status report_write_method(document *doc, const findings *data, gb_error *err);
/* The numbers of the result table at full precision, one row per entry, for programs. */
gb_status report_write_tsv(const findings *data, FILE *out, gb_error *err);
/* All of it for programs: docs/REPORT_JSON.md (report_json.c). GB_ERR_OOM, GB_ERR_IO. */
gb_status report_write_json(const findings *data, FILE *out, gb_error *err);

#endif
