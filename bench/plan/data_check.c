#include "bench/plan/data_check.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plan/data_overlap.h"
#include "model/shard_set.h"
#include "model/trainer.h"

typedef struct checked_data {
    data_facts facts;
    token_source *source; /* NULL once all cells are checked */
    data_shard *shards;   /* facts.shards; paths and hashes are owned */
} checked_data;

struct data_check {
    checked_data *data;
    int n;
    data_overlap overlap; /* of the first cell's data; paths are those of data_facts */
};

static gb_status no_memory(gb_error *err)
{
    return gb_fail(err, GB_ERR_OOM, "no memory for what the data are made of");
}

/* Where the data were named; the cell is added where the complaint is about it. */
static gb_status data_fail_at(const suite *s, const suite_cell *cell, bool validation,
                              bool about_cell, gb_error *err)
{
    char where[160] = "";
    if (about_cell && cell->name[0]) {
        snprintf(where, sizeof where, ": cell %s", cell->name);
    }
    if (s->data_lines[validation] == 0) {
        return gb_error_prefix(err, "%s%s", validation ? "--val" : "--train", where);
    }
    return gb_error_prefix(err, "%s:%d%s", s->path, s->data_lines[validation], where);
}

/* ---- what they are made of ---- */

static gb_status shard_keep(checked_data *d, const char *path, const char *hash, int64_t tokens,
                            gb_error *err)
{
    data_shard *x = &d->shards[d->facts.shards.n++];
    *x = (data_shard){strdup(path), strdup(hash), tokens};
    return x->path && x->hash ? GB_OK : no_memory(err);
}

static gb_status shards_keep(checked_data *d, gb_error *err)
{
    const shard_set *set = token_source_shard_set(d->source);
    d->shards = calloc((size_t)set->count + 1, sizeof *d->shards);
    if (!d->shards) {
        return no_memory(err);
    }
    d->facts.shards.items = d->shards;
    if (set->count == 0) {
        return shard_keep(d, d->facts.spec, d->facts.hash, 0, err);
    }
    for (int64_t i = 0; i < set->count; i++) {
        const shard_entry *shard = &set->shards[i];
        GB_TRY(shard_keep(d, shard->path, shard->info.hash, shard->info.tokens, err));
    }
    return GB_OK;
}

/* ---- checking ---- */

static checked_data *data_find(const data_check *check, const suite_cell *cell, bool validation)
{
    const char *spec = validation ? cell->spec.val_data : cell->spec.train_data;
    for (int i = 0; i < check->n; i++) {
        const data_facts *facts = &check->data[i].facts;
        if (facts->vocab_size == cell->config.vocab_size && facts->validation == validation &&
            strcmp(facts->spec, spec) == 0) {
            return &check->data[i];
        }
    }
    return NULL;
}

static bool one_vocabulary(const suite *s)
{
    bool one = true;
    for (int i = 1; i < s->n_cells; i++) {
        one = one && s->cells[i].config.vocab_size == s->cells[0].config.vocab_size;
    }
    return one;
}

/* Opened as the trainer opens it: synthetic validation data is another stretch than training. */
static gb_status data_open(data_check *check, const suite *s, const suite_cell *cell,
                           bool validation, gb_error *err)
{
    if (data_find(check, cell, validation)) {
        return GB_OK;
    }
    checked_data *d = &check->data[check->n];
    const char *spec = validation ? cell->spec.val_data : cell->spec.train_data;
    const int64_t vocab_size = cell->config.vocab_size;
    gb_status status = validation ? token_source_open_val(&d->source, spec, vocab_size, err)
                                  : token_source_open(&d->source, spec, vocab_size, err);
    if (status != GB_OK) {
        return data_fail_at(s, cell, validation, !one_vocabulary(s), err);
    }
    check->n++;
    d->facts.validation = validation;
    d->facts.vocab_size = vocab_size;
    d->facts.entropy_rate_nats = token_source_entropy_rate(d->source);
    snprintf(d->facts.spec, sizeof d->facts.spec, "%s", spec);
    snprintf(d->facts.hash, sizeof d->facts.hash, "%s", token_source_hash(d->source));
    return shards_keep(d, err);
}

static gb_status cell_check(data_check *check, const suite *s, const suite_cell *cell,
                            gb_error *err)
{
    token_loader loader;
    GB_TRY(data_open(check, s, cell, false, err));
    GB_TRY(data_open(check, s, cell, true, err));
    if (trainer_open_train(&loader, data_find(check, cell, false)->source, &cell->spec, 0, err) !=
        GB_OK) {
        return data_fail_at(s, cell, false, true, err);
    }
    if (trainer_open_val(&loader, data_find(check, cell, true)->source, &cell->spec, err) !=
        GB_OK) {
        return data_fail_at(s, cell, true, true, err);
    }
    return GB_OK;
}

/* ---- validation tokens in training data ---- */

/* The facts outlive the source. */
static const char *path_kept(const checked_data *d, const char *path)
{
    const char *kept = NULL;
    for (int64_t i = 0; i < d->facts.shards.n && path && !kept; i++) {
        kept = strcmp(d->shards[i].path, path) == 0 ? d->shards[i].path : NULL;
    }
    return kept;
}

static gb_status overlap_look(data_check *check, const suite *s, gb_error *err)
{
    const checked_data *train = data_find(check, &s->cells[0], false);
    const checked_data *val = data_find(check, &s->cells[0], true);
    data_overlap_wanted wanted = {.train = token_source_shard_set(train->source),
                                  .val = token_source_shard_set(val->source),
                                  .val_most = DATA_OVERLAP_VAL_MOST,
                                  .train_most = DATA_OVERLAP_TRAIN_MOST};
    for (int i = 0; i < s->n_cells; i++) {
        const int64_t tokens = s->cells[i].spec.val_tokens;
        wanted.val_tokens = tokens > wanted.val_tokens ? tokens : wanted.val_tokens;
    }
    if (wanted.train->count == 0 || wanted.val->count == 0) {
        return GB_OK; /* one of them is a source without an end */
    }
    GB_TRY(data_overlap_find(&check->overlap, &wanted, err));
    check->overlap.train_path = path_kept(train, check->overlap.train_path);
    check->overlap.val_path = path_kept(val, check->overlap.val_path);
    return GB_OK;
}

static void sources_close(data_check *check)
{
    for (int i = 0; i < check->n; i++) {
        token_source_close(check->data[i].source);
        check->data[i].source = NULL;
    }
}

gb_status data_check_make(data_check **out, const suite *s, gb_error *err)
{
    *out = NULL;
    gb_error unused = {.message = ""};
    data_check *check = calloc(1, sizeof *check);
    if (!check || !(check->data = calloc((size_t)s->n_cells * 2, sizeof *check->data))) {
        free(check);
        return no_memory(err);
    }
    gb_status status = GB_OK;
    for (int i = 0; i < s->n_cells && status == GB_OK; i++) {
        status = cell_check(check, s, &s->cells[i], err ? err : &unused);
    }
    if (status == GB_OK) {
        status = overlap_look(check, s, err);
    }
    sources_close(check);
    if (status != GB_OK) {
        data_check_free(check);
        return status;
    }
    *out = check;
    return GB_OK;
}

void data_check_free(data_check *check)
{
    if (!check) {
        return;
    }
    sources_close(check);
    for (int i = 0; i < check->n; i++) {
        checked_data *d = &check->data[i];
        for (int64_t k = 0; k < d->facts.shards.n; k++) {
            free((char *)d->shards[k].path);
            free((char *)d->shards[k].hash);
        }
        free(d->shards);
    }
    free(check->data);
    free(check);
}

const data_facts *data_check_find(const data_check *check, const suite_cell *cell, bool validation)
{
    const checked_data *found = data_find(check, cell, validation);
    return found ? &found->facts : NULL;
}

const data_overlap *data_check_overlap(const data_check *check)
{
    return &check->overlap;
}

gb_status data_check_use(data_use *use, const data_check *check, const suite *s, const char *only,
                         gb_error *err)
{
    data_run *runs = calloc((size_t)s->n_cells, sizeof *runs);
    int n = 0;
    if (!runs) {
        return no_memory(err);
    }
    for (int i = 0; i < s->n_cells; i++) {
        const suite_cell *cell = &s->cells[i];
        const train_spec *spec = &cell->spec;
        if (!only || fnmatch(only, cell->name, 0) == 0) {
            runs[n++] =
                (data_run){cell->name, spec->batch_size * spec->sequence_length,
                           spec->num_iterations * spec->grad_accumulation_steps, spec->val_tokens};
        }
    }
    *use = data_use_make(&data_check_find(check, &s->cells[0], false)->shards,
                         &data_check_find(check, &s->cells[0], true)->shards, &check->overlap, runs,
                         n);
    free(runs);
    return GB_OK;
}
