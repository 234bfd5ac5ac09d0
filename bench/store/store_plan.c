#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/store/store_columns.h"
#include "bench/store/store_internal.h"
#include "bench/store/store_share.h"
#include "bench/suite/limits.h"

gb_status store_plan_begin(store *s, const store_suite *suite, int64_t *suite_id, gb_error *err)
{
    GB_TRY(store_runners_mark_dead(s, err));
    GB_TRY(store_runners_count_others(s, suite->name, suite->plan, &s->others, err));
    GB_TRY(store_exec(s, err,
                      "INSERT INTO suite (name, path, text, baseline, replicates, created_at,"
                      " updated_at) VALUES (?, ?, ?, ?, ?, " SQL_NOW ", " SQL_NOW ")"
                      " ON CONFLICT (name) DO UPDATE SET path = excluded.path,"
                      " text = excluded.text, baseline = excluded.baseline,"
                      " replicates = excluded.replicates, updated_at = excluded.updated_at",
                      "tttti", suite->name, suite->path, suite->text, suite->baseline,
                      suite->replicates));
    GB_TRY(store_get_int(s, suite_id, 0, err, "SELECT suite_id FROM suite WHERE name = ?", "t",
                         suite->name));
    GB_TRY(store_exec(s, err,
                      "UPDATE run SET in_plan = 0 WHERE replicate >= ?2 AND config_id IN"
                      " (SELECT config_id FROM config WHERE suite_id = ?1)",
                      "ii", *suite_id, suite->replicates));
    GB_TRY(store_exec(s, err, "UPDATE config SET in_plan = 0 WHERE suite_id = ?", "i", *suite_id));
    return store_exec(s, err, "UPDATE claim SET in_plan = 0 WHERE suite_id = ?", "i", *suite_id);
}

static gb_status config_insert(store *s, int64_t suite_id, const store_config *c, gb_error *err)
{
    const gpt_config *m = c->model;
    return store_exec(
        s, err, "INSERT INTO config (config_id" CONFIG_NAMES ") VALUES (NULL" CONFIG_PARAMETERS ")",
        CONFIG_LETTERS CONFIG_VALUES);
}

gb_status store_plan_config(store *s, int64_t suite_id, const store_config *config,
                            int64_t *config_id, gb_error *err)
{
    static const char find[] = "SELECT config_id FROM config WHERE suite_id = ? AND name = ?"
                               " AND settings_json = ? ORDER BY config_id DESC LIMIT 1";
    GB_TRY(store_get_int(s, config_id, 0, err, find, "itt", suite_id, config->name,
                         config->settings_json));
    if (*config_id == 0) {
        GB_TRY(config_insert(s, suite_id, config, err));
        *config_id = sqlite3_last_insert_rowid(store_sqlite(s));
        return GB_OK;
    }
    return store_exec(s, err,
                      "UPDATE config SET in_plan = 1, position = ?, is_baseline = ?"
                      " WHERE config_id = ?",
                      "iii", config->position, (int64_t)config->is_baseline, *config_id);
}

gb_status store_plan_claim(store *s, int64_t suite_id, const store_claim *c, gb_error *err)
{
    return store_exec(s, err,
                      "INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, 1)"
                      " ON CONFLICT (suite_id, name) DO UPDATE SET config = excluded.config,"
                      " baseline = excluded.baseline, expect = excluded.expect,"
                      " source = excluded.source, in_plan = 1",
                      "ittttt", suite_id, c->name, c->config, c->baseline, c->expect, c->source);
}

gb_status store_data_begin(store *s, int64_t suite_id, bool validation, gb_error *err)
{
    return store_exec(s, err, "DELETE FROM data_shard WHERE suite_id = ? AND is_validation = ?",
                      "ii", suite_id, (int64_t)validation);
}

gb_status store_data_shard(store *s, int64_t suite_id, bool validation, const store_shard *x,
                           gb_error *err)
{
    return store_exec(s, err, "INSERT INTO data_shard VALUES (?, ?, ?, ?, ?, nullif(?, 0))",
                      "iiitti", suite_id, (int64_t)validation, x->position, x->path, x->hash,
                      x->tokens);
}

gb_status store_data_overlap(store *s, int64_t suite_id, const store_overlap *x, gb_error *err)
{
    GB_TRY(store_exec(s, err, "DELETE FROM data_overlap WHERE suite_id = ?", "i", suite_id));
    return x->val_looked == 0
               ? GB_OK
               : store_exec(s, err, "INSERT INTO data_overlap VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                            "iiiiiitt", suite_id, x->val_tokens, x->val_looked, x->found,
                            x->train_tokens, x->train_looked, x->val_path, x->train_path);
}

static gb_status run_insert(store *s, const store_run *r, int64_t attempt, double lr_scale,
                            gb_error *err)
{
    const train_spec *t = r->spec;
    return store_exec(
        s, err,
        "INSERT INTO run (created_at, status, attempt, learning_rate, lr_scale" RUN_NAMES
        ") VALUES (" SQL_NOW ", 'planned', ?, ?, ?" RUN_PARAMETERS ")",
        "idd" RUN_LETTERS, attempt, t->learning_rate * lr_scale, lr_scale RUN_VALUES);
}

/* The cell may have had another name when this run was made. A/A pairs are not confused: only a
 * config that has left the plan gives runs away. */
static gb_status runs_adopt(store *s, int64_t suite_id, const store_run *run, gb_error *err)
{
    int64_t own, from;
    GB_TRY(store_get_int(s, &own, 0, err,
                         "SELECT count(*) FROM run WHERE config_id = ? AND identity = ?"
                         " AND replicate = ? AND status <> 'planned'",
                         "iti", run->config_id, run->identity, run->replicate));
    if (own > 0) {
        return GB_OK;
    }
    GB_TRY(store_get_int(s, &from, 0, err,
                         "SELECT r.config_id FROM run r JOIN config c USING (config_id)"
                         " WHERE c.suite_id = ? AND c.in_plan = 0 AND r.identity = ?"
                         " AND r.replicate = ? ORDER BY r.status = 'ok' DESC, r.run_id DESC",
                         "iti", suite_id, run->identity, run->replicate));
    if (from == 0) {
        return GB_OK;
    }
    GB_TRY(store_exec(s, err,
                      "DELETE FROM run WHERE config_id = ? AND identity = ? AND replicate = ?"
                      " AND status = 'planned'",
                      "iti", run->config_id, run->identity, run->replicate));
    return store_exec(s, err,
                      "UPDATE run SET config_id = ? WHERE config_id = ? AND identity = ?"
                      " AND replicate = ?",
                      "iiti", run->config_id, from, run->identity, run->replicate);
}

/* The newest attempt decides; an `ok` one wins wherever it stands. A row that was planned or
 * refused and never started comes first: it is to be replaced. */
static gb_status run_latest(store *s, const store_run *run, store_planned *out, bool *never_started,
                            gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row;
    memset(out, 0, sizeof *out);
    out->lr_scale = 1;
    *never_started = false;
    GB_TRY(store_query(s, &stmt, err,
                       "SELECT run_id, status, attempt, lr_scale, started_at IS NULL FROM run"
                       " WHERE config_id = ? AND replicate = ? AND identity = ?"
                       " AND (lr_scale = 1 OR ?)"
                       " ORDER BY status = 'ok' DESC, attempt DESC LIMIT 1",
                       "iiti", run->config_id, run->replicate, run->identity,
                       (int64_t)run->halves));
    GB_TRY(store_step(s, stmt, &row, err));
    if (row) {
        out->run_id = sqlite3_column_int64(stmt, 0);
        snprintf(out->status, sizeof out->status, "%s", store_text(stmt, 1));
        out->attempt = sqlite3_column_int64(stmt, 2);
        out->lr_scale = sqlite3_column_double(stmt, 3);
        *never_started = sqlite3_column_int(stmt, 4) != 0 && strcmp(out->status, "oom") == 0;
        sqlite3_reset(stmt);
    }
    return GB_OK;
}

/* Runs of this cell and replicate with other data, or on this backend with another identity, are
 * no longer what the suite asks for; those of another backend may stand beside. */
static gb_status runs_mark(store *s, const store_run *run, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "UPDATE run SET in_plan = 0 WHERE config_id = ?1 AND replicate = ?2"
                      " AND identity <> ?3 AND (backend = ?4 OR train_data_hash IS NOT ?5"
                      " OR val_data_hash IS NOT ?6)",
                      "iitttt", run->config_id, run->replicate, run->identity, run->backend,
                      run->train_data_hash, run->val_data_hash));
    return store_exec(s, err,
                      "UPDATE run SET in_plan = lr_scale = 1 OR ?4 WHERE config_id = ?1"
                      " AND replicate = ?2 AND identity = ?3",
                      "iiti", run->config_id, run->replicate, run->identity, (int64_t)run->halves);
}

gb_status store_plan_run(store *s, int64_t suite_id, const store_run *run, bool retry_failed,
                         store_planned *out, gb_error *err)
{
    GB_TRY(runs_adopt(s, suite_id, run, err));
    GB_TRY(runs_mark(s, run, err));
    bool never_started;
    GB_TRY(run_latest(s, run, out, &never_started, err));
    bool is_new = out->run_id == 0;
    bool interrupted = strcmp(out->status, "interrupted") == 0;
    bool ok = strcmp(out->status, "ok") == 0;
    bool planned = strcmp(out->status, "planned") == 0 || never_started;
    bool running = strcmp(out->status, "running") == 0; /* by another runner */
    bool halve = strcmp(out->status, "nan") == 0 && run->halves &&
                 out->lr_scale > ldexp(1, -LIMITS_MAX_HALVINGS);
    if (planned && s->others > 0 && !never_started) {
        out->to_do = true; /* they know it by its number */
        return GB_OK;
    }
    if (planned) {
        /* Nothing has happened yet; whatever is not part of the identity may have changed. */
        GB_TRY(store_exec(s, err, "DELETE FROM run WHERE run_id = ?", "i", out->run_id));
    }
    out->to_do = is_new || planned || interrupted || halve || (!ok && !running && retry_failed);
    if (!out->to_do) {
        return GB_OK;
    }
    out->lr_scale *= halve ? 0.5 : 1;
    GB_TRY(store_get_int(s, &out->attempt, 1, err,
                         "SELECT max(attempt) + 1 FROM run WHERE config_id = ? AND replicate = ?"
                         " AND identity = ?",
                         "iit", run->config_id, run->replicate, run->identity));
    GB_TRY(run_insert(s, run, out->attempt, out->lr_scale, err));
    out->run_id = sqlite3_last_insert_rowid(store_sqlite(s));
    snprintf(out->status, sizeof out->status, "planned");
    return GB_OK;
}

gb_status store_plan_end(store *s, int64_t suite_id, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "DELETE FROM run WHERE status = 'planned' AND config_id IN"
                      " (SELECT config_id FROM config WHERE suite_id = ?1 AND (in_plan = 0"
                      " OR run.in_plan = 0))",
                      "i", suite_id));
    return store_exec(s, err,
                      "DELETE FROM config WHERE suite_id = ? AND in_plan = 0 AND NOT EXISTS"
                      " (SELECT 1 FROM run WHERE run.config_id = config.config_id)",
                      "i", suite_id);
}

gb_status store_machine_find(store *s, const store_machine *m, int64_t *machine_id, gb_error *err)
{
    return store_get_int(s, machine_id, 0, err,
                         "SELECT machine_id FROM machine WHERE fingerprint = ?", "t",
                         m->fingerprint);
}

gb_status store_machine_put(store *s, const store_machine *m, int64_t *machine_id, gb_error *err)
{
    GB_TRY(store_exec(s, err,
                      "INSERT INTO machine (fingerprint, hostname, os, cpu, cpu_count,"
                      " memory_bytes, device, driver) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                      " ON CONFLICT (fingerprint) DO NOTHING",
                      "ttttiitt", m->fingerprint, m->hostname, m->os, m->cpu, m->cpu_count,
                      m->memory_bytes, m->device, m->driver));
    return store_machine_find(s, m, machine_id, err);
}
