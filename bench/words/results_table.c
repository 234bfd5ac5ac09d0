#include "bench/words/results_table.h"

#include <math.h>
#include <string.h>

#include "bench/analysis/report_speed.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/run/rates.h"
#include "bench/words/verdict_words.h"

/* Runs of a config by status, the newest attempt of each: "ok 2, nan 1", "ok 3 (lr halved: 1)". */
static const char ENDS_SQL[] =
    "SELECT group_concat(status || ' ' || n || iif(h > 0, ' (lr halved: ' || h || ')', ''), ', ')"
    " FROM (SELECT status, count(*) AS n, sum(lr_scale < 1) AS h FROM run r"
    " WHERE config_id = ?1 AND backend = ?2 AND precision = ?3 AND in_plan = 1 AND NOT EXISTS"
    " (SELECT 1 FROM run o WHERE o.config_id = r.config_id AND o.replicate = r.replicate"
    "  AND o.identity = r.identity AND o.attempt > r.attempt)"
    " GROUP BY status ORDER BY status <> 'ok', status)";

static const char SUMMARY_SQL[] =
    "SELECT c.config, c.n_params, c.flops_per_token, c.step_avg_ms, c.tokens_per_s, c.mfu,"
    " c.final_val_loss, b.flops_per_token, b.step_avg_ms, c.backend, c.precision, c.config_id,"
    " c.is_baseline FROM config_summary c LEFT JOIN config_summary b ON b.suite = c.suite"
    " AND b.is_baseline = 1 AND b.backend = c.backend WHERE c.suite = ?1"
    " ORDER BY c.backend, c.position";

static double column_real(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? NAN
                                                           : sqlite3_column_double(row, column);
}

static table *table_with_headings(void)
{
    static const struct {
        const char *heading;
        table_align align;
    } columns[] = {
        {"config", TABLE_LEFT},        {"backend", TABLE_LEFT},   {"params", TABLE_RIGHT},
        {"FLOPs/token", TABLE_RIGHT},  {"vs base", TABLE_RIGHT},  {"step_avg", TABLE_RIGHT},
        {"time vs base", TABLE_RIGHT}, {"tokens/s", TABLE_RIGHT}, {"MFU", TABLE_RIGHT},
        {"val_loss", TABLE_RIGHT},     {"runs", TABLE_LEFT}};
    table *t = table_create();
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        table_add_column(t, columns[i].heading, columns[i].align);
    }
    return t;
}

static void ratio_add(table *t, double value, double base, bool is_baseline)
{
    if (is_baseline) {
        table_add_cell(t, "baseline");
    } else {
        table_add_cell(t, "%s", number_percent_signed(value / base - 1).text);
    }
}

/* ---- interleaved timing ---- */

static int config_index(const report_data *data, int64_t config_id)
{
    for (int i = 0; i < data->n_configs; i++) {
        if (data->configs[i].config_id == config_id) {
            return i;
        }
    }
    return -1;
}

/* The arm of a row: the newest, whatever machine it was on, as the row is over all of them. */
static const speed_arm *arm_of_row(const report_data *data, sqlite3_stmt *row)
{
    const speed_session *session;
    const speed_arm *arm = NULL;
    int config = config_index(data, sqlite3_column_int64(row, 11));
    for (int i = 0; !arm && config >= 0 && i < data->speeds->n_sessions; i++) {
        arm = speed_report_find_on(data->speeds, config, data->speeds->sessions[i].machine,
                                   store_text(row, 9), store_text(row, 10), &session);
    }
    return arm;
}

static bool arm_has_speed(const speed_arm *arm)
{
    return arm && strcmp(arm->status, "ok") == 0 && arm->step_avg_ms > 0;
}

/* "SLOWER +7.4 %" */
static void verdict_add(table *t, const speed_arm *arm, bool is_baseline)
{
    if (is_baseline || (arm && arm->is_baseline)) {
        table_add_cell(t, "baseline");
    } else if (arm && !arm_has_speed(arm)) {
        table_add_cell(t, "not timed: %s", arm->status);
    } else if (arm) {
        table_add_cell(t, "%s %s", verdict_speed_name(arm->verdict.kind),
                       number_percent_signed(arm->verdict.change.value).text);
    } else {
        table_add_cell(t, "not timed");
    }
}

/* What stands beneath a table with interleaved times. */
static void sessions_print(const speed_report *speeds, FILE *out)
{
    for (int i = 0; i < speeds->n_sessions; i++) {
        const speed_session *s = &speeds->sessions[i];
        fprintf(out, "%sstep_avg, tokens/s and MFU: interleaved, %lld blocks. Noise floor: ",
                i == 0 ? "\n" : "", (long long)s->blocks);
        if (s->control < 0) {
            fprintf(out, "not known, the baseline was timed once\n");
            continue;
        }
        verdict_text words = verdict_control_words(&s->aa);
        char *alarms = strstr(words.text, "; "); /* a line of its own: a terminal is narrow */
        if (alarms) {
            *alarms = '\0';
            alarms += 2;
        }
        fprintf(out, "%s; the baseline is\n%s%s%s\n", number_percent(s->aa.floor).text, words.text,
                alarms ? ";\n" : "", alarms ? alarms : "");
    }
}

/* ---- rows ---- */

static void row_add(table *t, sqlite3_stmt *row, const report_data *data, const char *ends,
                    bool *beaten)
{
    double flops = column_real(row, 2), avg_ms = column_real(row, 3), loss = column_real(row, 6);
    double tokens_per_s = column_real(row, 4), mfu = column_real(row, 5);
    bool is_baseline = sqlite3_column_int(row, 12) != 0, in_turn = data->speeds->n_sessions > 0;
    const speed_arm *arm = arm_of_row(data, row);
    double base_ms = column_real(row, 8), run_ms = avg_ms;
    if (arm_has_speed(arm)) {
        avg_ms = arm->step_avg_ms;
        tokens_per_s = (double)arm->tokens_per_step * 1000 / avg_ms;
        mfu *= run_ms / avg_ms;
    }
    table_begin_row(t);
    table_add_cell(t, "%s", store_text(row, 0));
    table_add_cell(t, "%s %s", store_text(row, 9), store_text(row, 10));
    table_add_cell(t, "%s", number_short(sqlite3_column_double(row, 1)).text);
    table_add_cell(t, "%s", number_short(flops).text);
    ratio_add(t, flops, column_real(row, 7), is_baseline);
    table_add_cell(t, "%s", number_duration_ms(avg_ms).text);
    if (in_turn) {
        verdict_add(t, arm, is_baseline);
    } else {
        ratio_add(t, avg_ms, base_ms, is_baseline);
    }
    table_add_cell(t, "%s", number_rounded(tokens_per_s).text);
    table_add_cell(t, "%s", number_percent(mfu).text);
    *beaten |= mfu > 1;
    if (isfinite(loss)) {
        table_add_cell(t, "%.4f", loss);
    } else {
        table_add_cell(t, "-");
    }
    table_add_cell(t, "%s", ends);
}

static gb_status row_print(store *s, table *t, sqlite3_stmt *row, const report_data *data,
                           bool *beaten, gb_error *err)
{
    sqlite3_stmt *ends = NULL;
    bool found;
    GB_TRY(store_query(s, &ends, err, ENDS_SQL, "itt", (int64_t)sqlite3_column_int64(row, 11),
                       store_text(row, 9), store_text(row, 10)));
    GB_TRY(store_step(s, ends, &found, err));
    const char *text = found ? (const char *)sqlite3_column_text(ends, 0) : NULL;
    row_add(t, row, data, text ? text : "", beaten);
    sqlite3_reset(ends);
    return GB_OK;
}

gb_status results_table_print(store *s, const char *suite_name, FILE *out, gb_error *err)
{
    sqlite3_stmt *row = NULL;
    bool found = false, beaten = false;
    report_data *data = NULL;
    table *t = NULL;
    GB_TRY(report_data_read_speeds(&data, s, suite_name, err));
    t = table_with_headings();
    gb_status status = store_query(s, &row, err, SUMMARY_SQL, "t", suite_name);
    while (status == GB_OK) {
        status = store_step(s, row, &found, err);
        if (status != GB_OK || !found) {
            break;
        }
        status = row_print(s, t, row, data, &beaten, err);
    }
    if (status == GB_OK && table_row_count(t) == 0) {
        status = gb_fail(err, GB_ERR_USAGE, "%s: no runs of a suite named %s", store_path(s),
                         suite_name);
    }
    if (status == GB_OK) {
        status = table_write(t, out, TABLE_TEXT, err);
    }
    if (status == GB_OK) {
        sessions_print(data->speeds, out);
    }
    if (status == GB_OK && beaten) {
        fprintf(out, "\n%s\n", rates_peak_beaten);
    }
    if (row) {
        sqlite3_reset(row);
    }
    table_free(t);
    report_data_free(data);
    return status;
}
