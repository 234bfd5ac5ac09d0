#include "bench/analysis/load.h"

#include <stdlib.h>

#include "bench/analysis/entry.h"
#include "bench/analysis/front.h"
#include "bench/analysis/peers.h"
#include "bench/analysis/run_numbers.h"
#include "bench/analysis/speed.h"
#include "bench/analysis/verdicts.h"
#include "bench/store/store.h"
#include "kernels/checked.h"

/* Of all runs that the suite asks for, finished or not. */
static gb_status data_use_find(data_use *use, const facts *f, gb_error *err)
{
    data_run *runs = calloc((size_t)f->n_runs + 1, sizeof *runs);
    if (!runs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d runs", f->n_runs);
    }
    for (int i = 0; i < f->n_runs; i++) {
        const run_facts *run = &f->runs[i];
        runs[i] = (data_run){run->config >= 0 ? f->configs[run->config].name : "?",
                             gb_times(run->batch_size, run->sequence_length),
                             gb_times(run->num_iterations, run->grad_accumulation_steps),
                             run->val_tokens};
    }
    *use = data_use_make(&(data_shards){f->train_shards, f->n_train_shards},
                         &(data_shards){f->val_shards, f->n_val_shards},
                         f->n_overlap > 0 ? &f->overlap[0] : NULL, runs, f->n_runs);
    free(runs);
    return GB_OK;
}

static gb_status findings_make(findings *data, gb_error *err)
{
    GB_TRY(run_numbers_make(data->facts, err));
    if (data->of_run) {
        return GB_OK;
    }
    GB_TRY(data_use_find(&data->data, data->facts, err));
    GB_TRY(speed_report_make(&data->speeds, data->facts, data->partial, err));
    GB_TRY(entries_make(data, err));
    GB_TRY(config_verdicts_make(data, err));
    GB_TRY(peers_make(data, err));
    entries_set_off(data);
    return data->partial || data->facts->detail == FACTS_SUMMARY ? GB_OK : front_make(data, err);
}

static gb_status load(findings **out, store *s, const facts_wanted *wanted, gb_error *err)
{
    findings *data = calloc(1, sizeof *data);
    if (!data) {
        return gb_fail(err, GB_ERR_OOM, "no memory to read %s", store_path(s));
    }
    data->partial = wanted->names != NULL;
    data->of_run = wanted->run_id != 0;
    gb_status status = facts_read(&data->facts, s, wanted, err);
    if (status == GB_OK) {
        status = findings_make(data, err);
    }
    if (status != GB_OK) {
        findings_free(data);
        return status;
    }
    *out = data;
    return GB_OK;
}

gb_status findings_read_some(findings **out, store *s, const char *suite_name,
                             const char *const *names, gb_error *err)
{
    return load(out, s, &(facts_wanted){.suite = suite_name, .names = names}, err);
}

gb_status findings_read_configs(findings **out, const char *db_path, const char *suite_name,
                                const char *const *names, gb_error *err)
{
    store *s = NULL;
    GB_TRY(store_open(&s, db_path, STORE_READ, err));
    gb_status status = findings_read_some(out, s, suite_name, names, err);
    store_close(s);
    return status;
}

gb_status findings_read(findings **out, const char *db_path, const char *suite_name, gb_error *err)
{
    return findings_read_configs(out, db_path, suite_name, NULL, err);
}

gb_status findings_read_summary(findings **out, store *s, const char *suite_name, gb_error *err)
{
    return load(out, s, &(facts_wanted){.suite = suite_name, .detail = FACTS_SUMMARY}, err);
}

gb_status findings_read_run(findings **out, store *s, int64_t run_id, gb_error *err)
{
    return load(out, s, &(facts_wanted){.run_id = run_id}, err);
}

void findings_free(findings *data)
{
    if (!data) {
        return;
    }
    for (int i = 0; i < data->n_entries; i++) {
        free(data->entries[i].runs);
    }
    free(data->entries);
    config_verdicts_free(data->verdicts);
    speed_report_free(data->speeds);
    facts_free(data->facts);
    free(data);
}
