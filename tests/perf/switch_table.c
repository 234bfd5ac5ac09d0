/* What a switch of the model gains in time, against what it saves in FLOPs: switch_table DB
 *
 * For each config of the newest timing session in the database: change of FLOPs and of time against
 * the baseline, both with their sign, and what the session's interval says of "at least 90 % of
 * what is saved in FLOPs is saved in time" (of "at most 110 % of what is added", where they are
 * added). `make bench-switches` makes the database from suites/switches.ini. Exit code 1 when a
 * switch is surely short of that, which is when its whole interval is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/analysis/findings.h"
#include "bench/analysis/load.h"
#include "bench/analysis/speed.h"
#include "bench/base/cli.h"
#include "bench/base/table.h"

/* The most that time may change, as a ratio minus 1, when the FLOPs change by so much. */
static double time_allowed(double flops_change)
{
    return flops_change * (flops_change < 0 ? 0.9 : 1.1);
}

typedef struct counts {
    int reached, short_of, open;
} counts;

static const char *judge(const stats_interval *time, double allowed, counts *n)
{
    if (!isfinite(time->low)) {
        n->open++;
        return "no interval: fewer than 8 blocks";
    }
    if (time->high <= allowed) {
        n->reached++;
        return "reached";
    }
    if (time->low > allowed) {
        n->short_of++;
        return "SHORT";
    }
    n->open++;
    return time->value <= allowed ? "unclear, rather reached" : "unclear, rather short";
}

static gb_status add_row(table *t, const findings *data, const speed_session *session,
                         const speed_arm *arm, counts *n, gb_error *err)
{
    const config_facts *config = &data->facts->configs[arm->facts->config];
    const config_facts *base =
        &data->facts->configs[session->arms[session->facts->baseline].facts->config];
    double flops = config->flops_per_token / base->flops_per_token - 1;
    table_begin_row(t);
    table_add_cell(t, "%s", config->name);
    if (strcmp(arm->facts->status, "ok") != 0) {
        n->open++;
        table_add_cell(t, "%s: %s", arm->facts->status, arm->facts->message);
        return GB_OK;
    }
    stats_interval time = estimate_change(&arm->ratio, 0.95);
    if (isnan(time.value)) {
        return gb_fail(err, GB_ERR_FORMAT, "config %s has no burst beside the baseline's",
                       config->name);
    }
    table_add_cell(t, "%.1f ms", arm->step_median_ms);
    table_add_cell(t, "%+.1f %%", 100 * flops);
    table_add_cell(t, "%+.1f %%", 100 * time.value);
    if (isfinite(time.low)) {
        table_add_cell(t, "%+.1f to %+.1f %%", 100 * time.low, 100 * time.high);
    } else {
        table_add_cell(t, "–");
    }
    if (fabs(flops) < 1e-9) {
        table_add_cell(t, "–");
        table_add_cell(t, "–");
        table_add_cell(t, "the same FLOPs: what it costs besides");
        return GB_OK;
    }
    table_add_cell(t, "%+.1f %%", 100 * time_allowed(flops));
    table_add_cell(t, "%.2f", time.value / flops);
    table_add_cell(t, "%s", judge(&time, time_allowed(flops), n));
    return GB_OK;
}

static gb_status write_switches(const findings *data, counts *n, gb_error *err)
{
    static const char *const headings[] = {"config", "step",   "FLOPs",      "time",
                                           "95 %",   "wanted", "time/FLOPs", "verdict"};
    const speed_report *speeds = data->speeds;
    if (speeds == NULL || speeds->n_sessions == 0) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: no finished timing session; gptbench run "
                       "suites/switches.ini --speed-only makes one",
                       data->facts->db_path);
    }
    const speed_session *session = &speeds->sessions[0];
    if (session->arms[session->facts->baseline].facts->config < 0) {
        return gb_fail(err, GB_ERR_USAGE, "%s: the baseline has left the plan",
                       data->facts->db_path);
    }
    table *t = table_create();
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i],
                         i == 0 || i + 1 == sizeof headings / sizeof *headings ? TABLE_LEFT
                                                                               : TABLE_RIGHT);
    }
    gb_status status = GB_OK;
    for (int i = 0; i < session->n_arms && status == GB_OK; i++) {
        const speed_arm *arm = &session->arms[i];
        if (i != session->facts->baseline && !arm->facts->is_control && arm->facts->config >= 0) {
            status = add_row(t, data, session, arm, n, err);
        }
    }
    if (status == GB_OK) {
        printf("baseline %s: %.1f ms a step; %lld blocks; the control differs by %.1f %%\n",
               data->facts->configs[session->arms[session->facts->baseline].facts->config].name,
               session->arms[session->facts->baseline].step_median_ms,
               (long long)session->facts->blocks,
               session->facts->control < 0
                   ? NAN
                   : 100 * fabs(estimate_change(&session->arms[session->facts->control].ratio, 0.95)
                                    .value));
        status = table_write(t, stdout, TABLE_TEXT, err);
    }
    table_free(t);
    return status;
}

int main(int argc, char **argv)
{
    const char *db = NULL;
    const cli_option options[] = {{.name = NULL}};
    const cli_command command = {.usage = "switch_table DB",
                                 .summary = "What switches gain in time against their FLOPs.",
                                 .options = options,
                                 .min_positional = 1,
                                 .max_positional = 1};
    gb_error err = {0};
    bool help_shown = false;
    int n_positional = 0;
    findings *data = NULL;
    counts n = {0};
    gb_status status = cli_parse(&command, argc, argv, &db, &n_positional, &help_shown, &err);
    if (status == GB_OK && !help_shown) {
        status = findings_read(&data, db, NULL, &err);
        if (status == GB_OK) {
            status = write_switches(data, &n, &err);
        }
        if (status == GB_OK) {
            printf("wanted: at least 90 %% of the FLOPs saved as time, at most 110 %% of those "
                   "added. %d reached it, %d fell short, %d not settled.\n",
                   n.reached, n.short_of, n.open);
        }
    }
    findings_free(data);
    if (status != GB_OK) {
        fprintf(stderr, "switch_table: %s\n", err.message);
        return gb_status_exit_code(status);
    }
    return n.short_of > 0;
}
