#include "bench/read/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/shell_words.h"
#include "bench/read/facts_internal.h"
#include "bench/read/snapshot.h"
#include "bench/store/store.h"
#include "model/flops.h"
#include "model/keys_json.h"

/* ---- the suite ---- */

typedef struct suite_row {
    const char *name, *whole_name, *path, *text, *baseline;
    int64_t replicates, suite_id;
} suite_row;

#define SUITE(column, type, field)                                                                 \
    {                                                                                              \
        column, type, offsetof(suite_row, field)                                                   \
    }
static const row_field SUITE_FIELDS[] = {
    SUITE("name", ROW_TEXT, name),         SUITE("name", ROW_VERBATIM, whole_name),
    SUITE("path", ROW_TEXT, path),         SUITE("text", ROW_VERBATIM, text),
    SUITE("baseline", ROW_TEXT, baseline), SUITE("replicates", ROW_INT, replicates),
    SUITE("suite_id", ROW_INT, suite_id),
};

/* None of n suites is the wanted one, or it is not said which. */
static gb_status suite_unknown(row_reader *r, const suite_row *rows, int64_t n, const char *wanted)
{
    enum { NAMES = 64 };
    const char *names[NAMES + 1] = {NULL};
    char list[512] = "";
    if (n == 0 || !rows) {
        return gb_fail(r->err, GB_ERR_USAGE,
                       "%s: holds no suite yet; `gptbench run SUITE.ini` fills it", r->path);
    }
    for (int i = 0, used = 0; i < n && i < NAMES; i++) {
        names[i] = rows[i].name;
        if (used < (int)sizeof list) {
            used +=
                snprintf(list + used, sizeof list - (size_t)used, "%s%s", i ? ", " : "", names[i]);
        }
    }
    if (!wanted) {
        return gb_fail(r->err, GB_ERR_USAGE, "%s: holds %lld suites; choose one with --suite: %s",
                       r->path, (long long)n, list);
    }
    const char *nearest = gb_nearest_name(wanted, names);
    return gb_fail(r->err, GB_ERR_USAGE, "%s: no suite `%s`%s%s%s It holds: %s", r->path, wanted,
                   nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : ".",
                   list);
}

static const suite_row *suite_choose(const suite_row *rows, int64_t n, const char *wanted)
{
    for (int64_t i = 0; wanted && i < n; i++) {
        if (strcmp(rows[i].name, wanted) == 0 || strcmp(rows[i].whole_name, wanted) == 0) {
            return &rows[i];
        }
    }
    return !wanted && n == 1 ? rows : NULL;
}

static gb_status suite_read_row(row_reader *r, facts *f, const facts_wanted *wanted)
{
    static const row_table suites = ROW_TABLE(SUITE_FIELDS, suite_row);
    suite_row *rows = NULL;
    int64_t n = 0;
    const char *rest = wanted->run_id
                           ? "FROM suite WHERE suite_id = (SELECT c.suite_id FROM run r JOIN config"
                             " c USING (config_id) WHERE r.run_id = ?1)"
                           : "FROM suite ORDER BY name";
    gb_status status = rows_read(r, &suites, rest, wanted->run_id, (void **)&rows, &n);
    const suite_row *chosen = status == GB_OK ? suite_choose(rows, n, wanted->suite) : NULL;
    if (chosen) {
        f->suite_name = chosen->name;
        f->suite_path = chosen->path;
        f->suite_text = chosen->text;
        f->baseline_name = chosen->baseline;
        f->replicates = chosen->replicates;
        f->suite_id = chosen->suite_id;
    } else if (status == GB_OK && wanted->run_id) {
        status =
            gb_fail(r->err, GB_ERR_USAGE, "%s: no run %lld; `gptbench list --db %s` lists them",
                    r->path, (long long)wanted->run_id, shell_word(r->path).text);
    } else if (status == GB_OK) {
        status = suite_unknown(r, rows, n, wanted->suite);
    }
    free(rows);
    return status;
}

/* ---- machines, configs, claims ---- */

#define MACHINE(field, type)                                                                       \
    {                                                                                              \
#field, type, offsetof(machine_facts, field)                                               \
    }
static const row_field MACHINE_FIELDS[] = {
    MACHINE(machine_id, ROW_INT), MACHINE(hostname, ROW_TEXT),    MACHINE(os, ROW_TEXT),
    MACHINE(cpu, ROW_TEXT),       MACHINE(device, ROW_TEXT),      MACHINE(driver, ROW_TEXT),
    MACHINE(cpu_count, ROW_INT),  MACHINE(memory_bytes, ROW_INT),
};

#define CONFIG(field, type)                                                                        \
    {                                                                                              \
#field, type, offsetof(config_facts, field)                                                \
    }
/* No column per model key: they are in settings_json, all of them. */
static const row_field CONFIG_FIELDS[] = {
    CONFIG(config_id, ROW_INT),        CONFIG(name, ROW_TEXT),
    CONFIG(is_baseline, ROW_BOOL),     CONFIG(n_params, ROW_INT),
    CONFIG(flops_per_token, ROW_REAL), CONFIG(settings_json, ROW_VERBATIM),
};

#define SHARD(field, type)                                                                         \
    {                                                                                              \
#field, type, offsetof(data_shard, field)                                                  \
    }
static const row_field SHARD_FIELDS[] = {
    SHARD(path, ROW_TEXT),
    SHARD(hash, ROW_TEXT),
    SHARD(tokens, ROW_INT),
};

#define OVERLAP(column, field, type)                                                               \
    {                                                                                              \
        column, type, offsetof(data_overlap, field)                                                \
    }
static const row_field OVERLAP_FIELDS[] = {
    OVERLAP("val_tokens", val_tokens, ROW_INT),
    OVERLAP("val_looked_tokens", val_looked, ROW_INT),
    OVERLAP("found_tokens", found, ROW_INT),
    OVERLAP("train_tokens", train_tokens, ROW_INT),
    OVERLAP("train_looked_tokens", train_looked, ROW_INT),
    OVERLAP("val_path", val_path, ROW_TEXT),
    OVERLAP("train_path", train_path, ROW_TEXT),
};

#define CLAIM(field, type)                                                                         \
    {                                                                                              \
#field, type, offsetof(claim_row, field)                                                   \
    }
static const row_field CLAIM_FIELDS[] = {
    CLAIM(name, ROW_TEXT),   CLAIM(config, ROW_TEXT), CLAIM(baseline, ROW_TEXT),
    CLAIM(expect, ROW_TEXT), CLAIM(source, ROW_TEXT),
};

/* A key that settings_json lacks has its default, as in a database from before there was the key.
 * Where the row's number of parameters contradicts that, it had another value, which nobody knows.
 */
static bool model_is_guessed(const config_facts *c)
{
    bool lacks = false;
    if (gpt_count_params(&c->model) == c->n_params) {
        return false;
    }
    for (const gb_key *key = gpt_config_keys(); key->name && !lacks; key++) {
        lacks = gpt_config_key_matters(&c->model, key->name, NULL) &&
                !keys_settings_have(c->settings_json, key->name);
    }
    return lacks;
}

static gb_status shards_read(row_reader *r, facts *f)
{
    static const row_table shards = ROW_TABLE(SHARD_FIELDS, data_shard);
    static const row_table overlap = ROW_TABLE(OVERLAP_FIELDS, data_overlap);
    GB_TRY(rows_read_few(r, &overlap, "FROM data_overlap WHERE suite_id = ?1", f->suite_id,
                         (void **)&f->overlap, &f->n_overlap));
    GB_TRY(rows_read_few(r, &shards,
                         "FROM data_shard WHERE suite_id = ?1 AND is_validation = 0"
                         " ORDER BY position",
                         f->suite_id, (void **)&f->train_shards, &f->n_train_shards));
    return rows_read_few(r, &shards,
                         "FROM data_shard WHERE suite_id = ?1 AND is_validation = 1"
                         " ORDER BY position",
                         f->suite_id, (void **)&f->val_shards, &f->n_val_shards);
}

static gb_status plan_read(row_reader *r, facts *f, int64_t run_id)
{
    const char *of_run =
        "FROM config WHERE config_id = (SELECT config_id FROM run WHERE run_id = ?1)";
    const char *of_suite =
        "FROM config WHERE suite_id = ?1 AND in_plan = 1 ORDER BY position, config_id";
    static const row_table machines = ROW_TABLE(MACHINE_FIELDS, machine_facts);
    static const row_table configs = ROW_TABLE(CONFIG_FIELDS, config_facts);
    static const row_table claims = ROW_TABLE(CLAIM_FIELDS, claim_row);
    GB_TRY(rows_read_few(r, &machines, "FROM machine ORDER BY machine_id", 0, (void **)&f->machines,
                         &f->n_machines));
    GB_TRY(rows_read_few(r, &configs, run_id ? of_run : of_suite, run_id ? run_id : f->suite_id,
                         (void **)&f->configs, &f->n_configs));
    for (int i = 0; i < f->n_configs; i++) {
        config_facts *c = &f->configs[i];
        c->model = gpt_config_default();
        c->model_known = keys_from_settings(&c->model, gpt_config_keys(), c->settings_json) &&
                         gpt_config_validate(&c->model, NULL) == GB_OK && !model_is_guessed(c);
    }
    return rows_read_few(r, &claims, "FROM claim WHERE suite_id = ?1 AND in_plan = 1 ORDER BY name",
                         f->suite_id, (void **)&f->claims, &f->n_claims);
}

/* ---- all ---- */

/* Whether the comparison that is asked for may need this run; a label begins with the name. */
static bool run_is_wanted(const facts *f, const run_facts *run, const char *const *names)
{
    const config_facts *c = run->config >= 0 ? &f->configs[run->config] : NULL;
    bool wanted = !names || (c && c->is_baseline);
    for (int i = 0; c && !wanted && names[i]; i++) {
        wanted = strncmp(names[i], c->name, strlen(c->name)) == 0;
    }
    return wanted;
}

static gb_status all_read(row_reader *r, facts *f, const facts_wanted *wanted)
{
    GB_TRY(suite_read_row(r, f, wanted));
    GB_TRY(plan_read(r, f, wanted->run_id));
    if (!wanted->run_id) {
        GB_TRY(shards_read(r, f));
        GB_TRY(timing_rows_read(r, f));
    }
    GB_TRY(run_rows_read(r, f, wanted->run_id));
    if (wanted->detail == FACTS_SUMMARY) {
        return run_summaries_read(r, f);
    }
    for (int i = 0; i < f->n_runs; i++) {
        if (run_is_wanted(f, &f->runs[i], wanted->names)) {
            GB_TRY(run_details_read(r, &f->runs[i]));
        }
    }
    return GB_OK;
}

gb_status facts_read(facts **out, store *s, const facts_wanted *wanted, gb_error *err)
{
    facts *f = calloc(1, sizeof *f);
    if (!f) {
        return gb_fail(err, GB_ERR_OOM, "no memory to read %s", store_path(s));
    }
    f->detail = wanted->detail;
    f->db_path = facts_text(f, "%s", store_path(s));
    row_reader r = {.db = store_sqlite(s), .path = store_path(s), .texts = &f->texts, .err = err};
    gb_status status =
        f->db_path ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory to read %s", store_path(s));
    /* A run that ends meanwhile is seen whole or not at all. */
    bool begun = snapshot_begin(s);
    if (status == GB_OK) {
        status = all_read(&r, f, wanted);
    }
    snapshot_end(s, begun);
    if (status != GB_OK) {
        facts_free(f);
        return status;
    }
    *out = f;
    return GB_OK;
}

static void run_free(run_facts *run)
{
    free(run->steps);
    free(run->timed_ms);
    free(run->evals);
    free(run->segments);
    free(run->ops);
    free(run->spans);
    free(run->kernels);
    free(run->sensors.samples);
    free(run->sensors.stretches);
}

void facts_free(facts *f)
{
    if (!f) {
        return;
    }
    for (int i = 0; i < f->n_runs; i++) {
        run_free(&f->runs[i]);
    }
    for (int i = 0; i < f->n_timings; i++) {
        timing_facts_free(&f->timings[i]);
    }
    row_texts_free(&f->texts);
    free(f->machines);
    free(f->configs);
    free(f->runs);
    free(f->timings);
    free(f->claims);
    free(f->train_shards);
    free(f->val_shards);
    free(f->overlap);
    free(f);
}
