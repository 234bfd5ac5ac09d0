#include "bench/read/run_texts.h"

#include <stdlib.h>
#include <string.h>

#include "bench/store/store.h"
#include "bench/store/store_share.h"

/* A name that is shown, and the expression that is its text; NULL begins a group. */
typedef struct text_field {
    const char *name, *column;
} text_field;

static const text_field RUN_FIELDS[] = {
    {"run", "r.run_id"},
    {"suite", "s.name"},
    {"config", "c.name"},
    {"replicate", "r.replicate"},
    {"attempt", "r.attempt"},
    {"status", "state_now(r.status, r.runner_id)"},
    {"message", "iif(state_now(r.status, r.runner_id) <> r.status, '" STORE_DEAD_MESSAGE
                "', nullif(r.message, ''))"},
    {"in_plan", "CASE r.in_plan AND c.in_plan WHEN 1 THEN 'yes'"
                " ELSE 'no: the suite asks for something else now' END"},
    {"steps", "r.steps_done || ' of ' || r.num_iterations"},
    {"goes_on_from",
     "'run ' || r.resumed_from || ', from its checkpoint at step ' || r.resumed_step"},
    {"started_at", "r.started_at"},
    {"ended_at", "r.ended_at"},
    {"identity", "r.identity"},
};

static const text_field TRAINING_FIELDS[] = {
    {"training", NULL},
    {"batch_size", "r.batch_size"},
    {"sequence_length", "r.sequence_length"},
    {"grad_accumulation_steps", "r.grad_accumulation_steps"},
    {"tokens_per_step", "r.tokens_per_step"},
    {"learning_rate", "r.learning_rate"},
    {"lr_scale", "iif(r.lr_scale < 1, printf('%g of what the suite asks for, after a NaN',"
                 " r.lr_scale), NULL)"},
    {"seed", "r.seed"},
    {"train_data", "r.train_data"},
    {"train_data_hash", "r.train_data_hash"},
    {"val_data", "r.val_data"},
    {"val_data_hash", "r.val_data_hash"},
    {"val_tokens", "r.val_tokens"},
    {"val_stretch_hash", "r.val_stretch_hash"},
    {"entropy_rate_nats", "r.entropy_rate_nats"},
    {"provenance", NULL},
    {"program", "r.program_version"},
    {"commit", "r.program_commit"},
    {"compiler", "r.compiler"},
    {"backend", "r.backend"},
    {"precision", "r.precision"},
    {"threads", "r.threads"},
    {"isa", "r.isa"},
    {"precision_note", "nullif(r.precision_note, '')"},
    {"libraries", "r.libraries"},
    {"hostname", "m.hostname"},
    {"os", "m.os"},
    {"cpu", "m.cpu"},
    {"cpu_count", "m.cpu_count"},
    {"memory_bytes", "m.memory_bytes"},
    {"device", "m.device"},
    {"driver", "nullif(m.driver, '')"},
};

#define RUN_TABLES                                                                                 \
    "FROM run r JOIN config c USING (config_id) JOIN suite s USING (suite_id)"                     \
    " LEFT JOIN machine m USING (machine_id) WHERE r.run_id = ?1"

/* x: the samples, t: the marks of the timed steps that were watched. */
#define SAMPLE(expression) "(SELECT " expression " FROM sample x WHERE run_id = ?1)"
#define CLOCK              "coalesce(gpu_clock_mhz, cpu_clock_mhz)"
#define WATCHED            "FROM step WHERE run_id = ?1 AND tag = 'timed' AND disturbance IS NOT NULL"
static const text_field SENSOR_FIELDS[] = {
    {"the machine meanwhile", NULL},
    {"samples", "nullif(" SAMPLE("count(*)") ", 0)"},
    {"disturbed", "(SELECT iif(count(*), sum(disturbance <> '') || ' of ' || count(*) ||"
                  " ' timed steps', NULL) " WATCHED ")"},
    {"marks", "(SELECT group_concat(n || ' ' || d, '; ') FROM (SELECT disturbance AS d, count(*) AS"
              " n " WATCHED " AND disturbance <> '' GROUP BY d))"},
    {"clock", SAMPLE("iif(count(" CLOCK "), printf('%.0f MHz (%.0f to %.0f)', avg(" CLOCK
                     "), min(" CLOCK "), max(" CLOCK ")), NULL)")},
    {"gpu_power", SAMPLE("iif(count(gpu_power_w), printf('%.0f W (%.0f to %.0f)', avg(gpu_power_w),"
                         " min(gpu_power_w), max(gpu_power_w)), NULL)")},
    {"gpu_temperature", SAMPLE("iif(count(gpu_temperature_c), printf('%.0f degrees Celsius at"
                               " most', max(gpu_temperature_c)), NULL)")},
    {"steal", SAMPLE("iif(count(cpu_steal), printf('%.1f %% of the CPU time at most', 100 *"
                     " max(cpu_steal)), NULL)")},
    {"energy", "printf('%.4g J in the timed steps%s, by ', r.energy_j, iif(r.resumed_step IS NULL,"
               " '', ' of the last session')) || r.energy_source"},
    {"energy_per_token", "(SELECT iif(energy_per_token_j IS NULL, NULL, printf('%.4g mJ', 1e3 *"
                         " energy_per_token_j)) FROM run_summary v WHERE v.run_id = r.run_id)"},
    {"not_read", "nullif(r.sensors_missing, '')"},
};

/* One row: a text for each field, in their order. */
static gb_status texts_read(run_texts *out, const text_field *fields, int n, const char *rest,
                            store *s, int64_t run_id, gb_error *err)
{
    row_field columns[RUN_TEXTS_MAX];
    const char **row = NULL;
    int64_t n_rows = 0;
    row_reader r = {store_sqlite(s), store_path(s), &out->texts, err};
    for (int i = 0; i < n; i++) {
        columns[i] = (row_field){fields[i].column ? fields[i].column : "NULL", ROW_OPTIONAL,
                                 (size_t)i * sizeof *row};
    }
    const row_table table = {columns, n, (size_t)n * sizeof *row};
    gb_status status = rows_read(&r, &table, rest, run_id, (void **)&row, &n_rows);
    for (int i = 0; status == GB_OK && n_rows > 0 && i < n; i++) {
        if (row[i] || !fields[i].column) {
            out->items[out->n++] = (run_text){fields[i].name, row[i]};
        }
    }
    free(row);
    return status;
}

#define TEXTS_READ(out, fields, rest, s, run_id, err)                                              \
    texts_read(out, fields, (int)(sizeof(fields) / sizeof *(fields)), rest, s, run_id, err)

gb_status run_texts_read(run_texts *before_model, run_texts *after_model, store *s, int64_t run_id,
                         gb_error *err)
{
    GB_TRY(TEXTS_READ(before_model, RUN_FIELDS, RUN_TABLES, s, run_id, err));
    return TEXTS_READ(after_model, TRAINING_FIELDS, RUN_TABLES, s, run_id, err);
}

gb_status run_texts_read_sensors(run_texts *out, store *s, int64_t run_id, gb_error *err)
{
    GB_TRY(TEXTS_READ(out, SENSOR_FIELDS, "FROM run r WHERE r.run_id = ?1", s, run_id, err));
    if (out->n < 2 || strcmp(out->items[1].name, "samples") != 0) {
        out->n = 0; /* nothing was sampled */
    }
    return GB_OK;
}

void run_texts_free(run_texts *texts)
{
    row_texts_free(&texts->texts);
}
