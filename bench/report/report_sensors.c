#include "bench/report/report_sensors.h"

#include <math.h>

#include "bench/analysis/entry_watch.h"
#include "bench/base/numbers.h"
#include "bench/stats/disturbance.h"

static void add_row(table *t, const result_entry *entry, const entry_watch *sum, bool energy)
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

static gb_status write_table(document *doc, const findings *data, bool energy, gb_error *err)
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
        entry_watch sum = entry_watch_of(&data->entries[i]);
        add_row(t, &data->entries[i], &sum, energy);
    }
    gb_status status = document_table(doc, t, err);
    table_free(t);
    return status;
}

gb_status report_write_disturbances(document *doc, const findings *data, gb_error *err)
{
    int64_t known = 0, marked = 0;
    bool energy = false;
    for (int i = 0; i < data->n_entries; i++) {
        entry_watch sum = entry_watch_of(&data->entries[i]);
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
