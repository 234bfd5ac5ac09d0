#include "bench/read/report_sensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "bench/base/plain_text.h"
#include "bench/stats/disturbance.h"
#include "bench/store/store_error.h"

/* ---- reading ---- */

static gb_status read_fail(sqlite3 *db, sqlite3_stmt *stmt, gb_error *err)
{
    gb_status status =
        store_connection_fail(db, sqlite3_db_filename(db, NULL), err, "sensors cannot be read");
    sqlite3_finalize(stmt);
    return status;
}

static gb_status query(sqlite3 *db, sqlite3_stmt **stmt, const char *sql, int64_t run_id,
                       gb_error *err)
{
    if (sqlite3_prepare_v2(db, sql, -1, stmt, NULL) != SQLITE_OK) {
        return read_fail(db, NULL, err);
    }
    sqlite3_bind_int64(*stmt, 1, run_id);
    return GB_OK;
}

static double column(sqlite3_stmt *stmt, int i)
{
    return sqlite3_column_type(stmt, i) == SQLITE_NULL ? NAN : sqlite3_column_double(stmt, i);
}

static gb_status grow(void **array, int64_t n, size_t element_bytes, gb_error *err)
{
    if ((n & (n - 1)) != 0) {
        return GB_OK;
    }
    void *bigger = realloc(*array, (n ? 2 * (size_t)n : 1) * element_bytes);
    if (!bigger) {
        return gb_fail(err, GB_ERR_OOM, "no memory for what the sensors saw");
    }
    *array = bigger;
    return GB_OK;
}

static double value_or(double value, double otherwise)
{
    return isfinite(value) ? value : otherwise;
}

/* The clock and the power are those of the GPU where one was seen, else those of the CPU, whose
 * power is what its counter took since the sample before. */
static gb_status samples_read(report_sensors *s, sqlite3 *db, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    double last_s = NAN, last_j = NAN;
    int rc;
    GB_TRY(query(db, &stmt,
                 "SELECT at_s, gpu_clock_mhz, gpu_power_w, gpu_temperature_c, cpu_clock_mhz,"
                 " cpu_busy, cpu_steal, cpu_energy_j FROM sample WHERE run_id = ?1 ORDER BY at_s",
                 run_id, err));
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        gb_status status = grow((void **)&s->samples, s->n_samples, sizeof *s->samples, err);
        if (status != GB_OK) {
            sqlite3_finalize(stmt);
            return status;
        }
        double at_s = column(stmt, 0), energy_j = column(stmt, 7);
        s->samples[s->n_samples++] = (report_sample){
            .at_s = at_s,
            .clock_mhz = value_or(column(stmt, 1), column(stmt, 4)),
            .power_w = value_or(column(stmt, 2), (energy_j - last_j) / (at_s - last_s)),
            .temperature_c = column(stmt, 3),
            .busy = column(stmt, 5),
            .steal = column(stmt, 6)};
        s->of_gpu |= isfinite(column(stmt, 1));
        last_s = at_s;
        last_j = energy_j;
    }
    if (rc != SQLITE_DONE) {
        return read_fail(db, stmt, err);
    }
    sqlite3_finalize(stmt);
    return GB_OK;
}

static void timed_count(report_sensors *s, unsigned mask)
{
    s->timed_known++;
    s->timed_marked += mask != 0;
    for (int k = 0; k < DISTURBANCE_KINDS; k++) {
        s->timed_by[k] += (mask & disturbance_bit(k)) != 0;
    }
}

/* Counts the marks of timed steps and joins marked steps that follow each other to stretches. */
static gb_status marks_read(report_sensors *s, sqlite3 *db, int64_t run_id, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    unsigned before = 0;
    int rc;
    GB_TRY(query(db, &stmt,
                 "SELECT ended_s, step_ms, tag = 'timed', disturbance FROM step"
                 " WHERE run_id = ?1 AND ended_s IS NOT NULL ORDER BY step",
                 run_id, err));
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        double end_s = column(stmt, 0), start_s = end_s - column(stmt, 1) / 1e3;
        const char *names = (const char *)sqlite3_column_text(stmt, 3);
        unsigned mask = names ? disturbance_from_names(names) : 0;
        if (names && sqlite3_column_int(stmt, 2)) {
            timed_count(s, mask);
        }
        s->end_s = fmax(s->end_s, end_s);
        if (mask != 0 && mask == before) {
            s->stretches[s->n_stretches - 1].end_s = end_s;
        } else if (mask != 0) {
            gb_status status =
                grow((void **)&s->stretches, s->n_stretches, sizeof *s->stretches, err);
            if (status != GB_OK) {
                sqlite3_finalize(stmt);
                return status;
            }
            s->stretches[s->n_stretches++] = (report_stretch){start_s, end_s, mask};
        }
        before = mask;
    }
    if (rc != SQLITE_DONE) {
        return read_fail(db, stmt, err);
    }
    sqlite3_finalize(stmt);
    return GB_OK;
}

static gb_status energy_read(report_data *data, report_run *run, sqlite3 *db, gb_error *err)
{
    sqlite3_stmt *stmt = NULL;
    report_sensors *s = &run->sensors;
    GB_TRY(query(db, &stmt,
                 "SELECT energy_j, started_at, sensors_missing FROM run WHERE run_id = ?1",
                 run->run_id, err));
    s->energy_per_token_j = NAN;
    s->started_at = s->missing = "";
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *started = (const char *)sqlite3_column_text(stmt, 1);
        const char *missing = (const char *)sqlite3_column_text(stmt, 2);
        if (run->n_timed > 0 && run->tokens_per_step > 0) {
            s->energy_per_token_j = column(stmt, 0) / (double)(run->n_timed * run->tokens_per_step);
        }
        s->started_at = report_data_text(data, "%s", started ? started : "");
        char *what = report_data_text(data, "%s", missing ? missing : "");
        if (what) {
            plain_text_make(what);
        }
        s->missing = what;
    }
    sqlite3_finalize(stmt);
    return s->started_at && s->missing ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for a text");
}

gb_status report_sensors_read_run(report_data *data, report_run *run, sqlite3 *db, gb_error *err)
{
    GB_TRY(energy_read(data, run, db, err));
    GB_TRY(samples_read(&run->sensors, db, run->run_id, err));
    return marks_read(&run->sensors, db, run->run_id, err);
}

void report_sensors_free(report_sensors *sensors)
{
    free(sensors->samples);
    free(sensors->stretches);
}

/* ---- telling ---- */

bool report_sensors_any(const report_data *data)
{
    for (int i = 0; i < data->n_entries; i++) {
        for (int r = 0; r < data->entries[i].n_runs; r++) {
            const report_sensors *s = &data->entries[i].runs[r]->sensors;
            for (int64_t k = 0; k < s->n_samples; k++) {
                const report_sample *x = &s->samples[k];
                if (isfinite(x->clock_mhz) || isfinite(x->power_w) || isfinite(x->busy)) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* Sums over the entry's runs; the energy is the mean of those that know it. */
static report_sensors entry_sum(const report_entry *entry)
{
    report_sensors sum = {.energy_per_token_j = 0};
    int known = 0;
    for (int r = 0; r < entry->n_runs; r++) {
        const report_sensors *s = &entry->runs[r]->sensors;
        sum.timed_known += s->timed_known;
        sum.timed_marked += s->timed_marked;
        for (int k = 0; k < DISTURBANCE_KINDS; k++) {
            sum.timed_by[k] += s->timed_by[k];
        }
        if (isfinite(s->energy_per_token_j)) {
            sum.energy_per_token_j += s->energy_per_token_j;
            known++;
        }
    }
    sum.energy_per_token_j = known ? sum.energy_per_token_j / known : NAN;
    return sum;
}

static void add_row(table *t, const report_entry *entry, const report_sensors *sum, bool energy)
{
    table_begin_row(t);
    table_add_cell(t, "%s", entry->label);
    table_add_cell(t, "%lld", (long long)sum->timed_known);
    table_add_cell(t, "%lld", (long long)sum->timed_marked);
    for (int k = 0; k < DISTURBANCE_KINDS; k++) {
        table_add_cell(t, "%lld", (long long)sum->timed_by[k]);
    }
    if (energy) {
        table_add_cell(t, isfinite(sum->energy_per_token_j) ? "%.4g" : "-",
                       1e3 * sum->energy_per_token_j);
    }
}

static gb_status write_table(document *doc, const report_data *data, bool energy, gb_error *err)
{
    static const char *const headings[] = {
        "timed steps watched", "marked",    "throttled", "clock drop", "steal",
        "page faults",         "preempted", "stopped",   "shared",     "mJ/token"};
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    for (int i = 0; i < 2 + DISTURBANCE_KINDS + energy; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
    }
    for (int i = 0; i < data->n_entries; i++) {
        report_sensors sum = entry_sum(&data->entries[i]);
        add_row(t, &data->entries[i], &sum, energy);
    }
    gb_status status = document_table(doc, t, err);
    table_free(t);
    return status;
}

gb_status report_write_disturbances(document *doc, const report_data *data, gb_error *err)
{
    int64_t known = 0, marked = 0;
    bool energy = false;
    for (int i = 0; i < data->n_entries; i++) {
        report_sensors sum = entry_sum(&data->entries[i]);
        known += sum.timed_known;
        marked += sum.timed_marked;
        energy |= isfinite(sum.energy_per_token_j);
    }
    if (data->n_entries == 0) {
        return GB_OK;
    }
    document_heading(doc, "Disturbances and energy");
    if (known == 0) {
        document_paragraph(doc, "No sensors were read beside these runs, so nothing is known of "
                                "clocks, power and disturbances.");
        return GB_OK;
    }
    document_paragraph(doc,
                       "%s of %s timed steps are marked: while they ran a GPU was throttled, the "
                       "clock was more than 5 %% under the run's median, more than 5 %% of the "
                       "CPU time went to other virtual machines, pages had to be fetched, or other "
                       "programs pushed the run off its CPUs. They stay in step_avg.%s",
                       number_count(marked).text, number_count(known).text,
                       energy ? "" : " No energy counter could be read.");
    return marked > 0 || energy ? write_table(doc, data, energy, err) : GB_OK;
}
