/* What a machine can do at most (table gemm_peak), and what finished work on it has reached. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/store/store_internal.h"

gb_status store_peak_get(store *s, const store_engine *e, store_peak *out, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row;
    *out = (store_peak){0, 0, 0};
    GB_TRY(store_query(s, &stmt, err,
                       "SELECT flops_per_s, coalesce(copy_bytes_per_s, 0),"
                       " coalesce(sustained_flops_per_s, 0) FROM gemm_peak"
                       " WHERE machine_id = ? AND backend = ? AND precision = ? AND threads = ?",
                       "itti", e->machine_id, e->backend, e->precision, e->threads));
    GB_TRY(store_step(s, stmt, &row, err));
    if (row) {
        *out = (store_peak){sqlite3_column_double(stmt, 0), sqlite3_column_double(stmt, 1),
                            sqlite3_column_double(stmt, 2)};
    }
    sqlite3_reset(stmt);
    return GB_OK;
}

gb_status store_peak_put(store *s, const store_engine *e, const store_peak *peak, gb_error *err)
{
    if (!(peak->flops_per_s > 0)) {
        return GB_OK;
    }
    return store_exec(s, err,
                      "INSERT INTO gemm_peak VALUES (?, ?, ?, ?, ?, " SQL_NOW
                      ", nullif(?, 0), nullif(?, 0))"
                      " ON CONFLICT DO UPDATE SET"
                      " flops_per_s = max(flops_per_s, excluded.flops_per_s),"
                      " copy_bytes_per_s = max(coalesce(copy_bytes_per_s,"
                      " excluded.copy_bytes_per_s), coalesce(excluded.copy_bytes_per_s,"
                      " copy_bytes_per_s)), measured_at = excluded.measured_at,"
                      " sustained_flops_per_s = max(coalesce(sustained_flops_per_s,"
                      " excluded.sustained_flops_per_s), coalesce(excluded.sustained_flops_per_s,"
                      " sustained_flops_per_s))",
                      "ittiddd", e->machine_id, e->backend, e->precision, e->threads,
                      peak->flops_per_s, peak->copy_bytes_per_s, peak->sustained_flops_per_s);
}

/* FLOPs per second of the average step: of each run, and of each arm of a timing session. */
#define RATES_SQL                                                                                  \
    "SELECT c.flops_per_token * r.tokens_per_step * 1000.0 / t.step_avg_ms AS rate,"               \
    " c.name AS name, c.flops_per_token * r.tokens_per_step AS flops"                              \
    " FROM run r JOIN config c USING (config_id) JOIN run_timing t ON t.run_id = r.run_id"         \
    " WHERE r.machine_id = ?1 AND r.backend = ?2 AND r.precision = ?3 AND r.threads = ?4"          \
    " AND r.status = 'ok'"                                                                         \
    " UNION ALL "                                                                                  \
    "SELECT c.flops_per_token * a.tokens_per_step * 1000.0 / (SELECT avg(b.mean_ms) FROM burst b"  \
    " WHERE b.timing_id = a.timing_id AND b.arm = a.arm),"                                         \
    " c.name, c.flops_per_token * a.tokens_per_step"                                               \
    " FROM timing_arm a JOIN timing t USING (timing_id) JOIN config c USING (config_id)"           \
    " WHERE t.machine_id = ?1 AND a.backend = ?2 AND a.precision = ?3 AND a.threads = ?4"          \
    " AND t.status = 'ok' AND a.status = 'ok'"

gb_status store_rate_reached(store *s, const store_engine *e, double *flops_per_s, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row;
    GB_TRY(store_query(s, &stmt, err, "SELECT coalesce(max(rate), 0) FROM (" RATES_SQL ")", "itti",
                       e->machine_id, e->backend, e->precision, e->threads));
    GB_TRY(store_step(s, stmt, &row, err));
    *flops_per_s = row ? sqlite3_column_double(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return GB_OK;
}

gb_status store_rates_list(store *s, const store_engine *e, store_rate **out, int *n, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row;
    *out = NULL;
    *n = 0;
    /* The mean of times, not of rates. */
    GB_TRY(store_query(s, &stmt, err,
                       "SELECT name, flops, flops * count(*) / sum(flops / rate) FROM (" RATES_SQL
                       ") WHERE rate > 0 AND flops > 0 GROUP BY name, flops ORDER BY name, flops",
                       "itti", e->machine_id, e->backend, e->precision, e->threads));
    GB_TRY(store_step(s, stmt, &row, err));
    while (row) {
        store_rate *more = realloc(*out, ((size_t)*n + 1) * sizeof *more);
        if (!more) {
            sqlite3_reset(stmt);
            return gb_fail(err, GB_ERR_OOM, "no memory for what runs have reached");
        }
        *out = more;
        more += (*n)++;
        snprintf(more->config, sizeof more->config, "%s", store_text(stmt, 0));
        more->flops_per_step = sqlite3_column_double(stmt, 1);
        more->flops_per_s = sqlite3_column_double(stmt, 2);
        GB_TRY(store_step(s, stmt, &row, err));
    }
    return GB_OK;
}
