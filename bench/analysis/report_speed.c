#include "bench/analysis/report_speed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/block_count.h"
#include "kernels/checked.h"

/* Random halves of the blocks by which the false alarms of the control are counted. */
#define CONTROL_SUBSETS 200

/* What is believed of a file: room is made for every arm in every block. */
#define SESSION_MAX_BURSTS (1 << 24)

/* ---- reading ---- */

/* What was sampled beside a session: the clock of what computes, which is the GPU where it has one.
 */
#define SAMPLE_SQL(what) "(SELECT " what " FROM timing_sample x WHERE x.timing_id = t.timing_id)"
#define CLOCK            "coalesce(gpu_clock_mhz, cpu_clock_mhz)"
#define SAMPLES_SQL                                                                                \
    SAMPLE_SQL("count(*)")                                                                         \
    ", " SAMPLE_SQL("avg(" CLOCK ")") ", " SAMPLE_SQL("min(" CLOCK ")") ", " SAMPLE_SQL(           \
        "max(" CLOCK ")") ", " SAMPLE_SQL("max(gpu_temperature_c)") ", " SAMPLE_SQL("avg(gpu_"     \
                                                                                    "power_w)")

static int config_index(const report_data *data, int64_t config_id)
{
    for (int i = 0; i < data->n_configs; i++) {
        if (data->configs[i].config_id == config_id) {
            return i;
        }
    }
    return -1;
}

static int machine_index(const report_data *data, int64_t machine_id)
{
    for (int i = 0; i < data->n_machines; i++) {
        if (data->machines[i].machine_id == machine_id) {
            return i;
        }
    }
    return -1;
}

static gb_status sessions_read(report_reader *r, speed_report *speeds, int64_t suite_id)
{
    bool row;
    GB_TRY(report_reader_open(
        r, "SELECT timing_id, seed, min(blocks_done, (SELECT count(*) FROM burst b WHERE"
           " b.timing_id = t.timing_id)), min_blocks, max_blocks, process_blocks,"
           " lead_steps, timed_steps, stop_precision, precision_reached, started_at, ended_at,"
           " program_version, program_commit, compiler, sensors_missing, machine_id," SAMPLES_SQL
           " FROM timing t"
           " WHERE suite_id = ? AND status = 'ok' AND blocks_done > 0 AND EXISTS"
           " (SELECT 1 FROM burst b WHERE b.timing_id = t.timing_id) ORDER BY timing_id DESC"));
    sqlite3_bind_int64(r->stmt, 1, suite_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(speeds->sessions, speeds->n_sessions)) {
            r->out_of_memory = true;
            continue;
        }
        speed_session *s = &speeds->sessions[speeds->n_sessions++];
        *s = (speed_session){.baseline = -1, .control = -1};
        s->timing_id = report_read_int(r);
        s->seed = report_read_int(r);
        s->blocks = report_read_int(r);
        s->min_blocks = report_read_int(r);
        s->max_blocks = report_read_int(r);
        s->process_blocks = report_read_int(r);
        s->lead_steps = report_read_int(r);
        s->timed_steps = report_read_int(r);
        s->stop_precision = report_read_double(r);
        s->precision_reached = report_read_int(r) != 0;
        s->started_at = report_read_text(r);
        s->ended_at = report_read_text(r);
        s->program_version = report_read_text(r);
        s->program_commit = report_read_text(r);
        s->compiler = report_read_text(r);
        s->sensors_missing = report_read_text(r);
        s->machine = machine_index(r->data, report_read_int(r));
        s->samples = report_read_int(r);
        s->clock_mean_mhz = report_read_double(r);
        s->clock_low = report_read_double(r);
        s->clock_high = report_read_double(r);
        s->temperature_high_c = report_read_double(r);
        s->power_mean_w = report_read_double(r);
    }
}

static double *nans(int64_t n)
{
    double *x = malloc((size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; x && i < n; i++) {
        x[i] = NAN;
    }
    return x;
}

static gb_status arms_read(report_reader *r, speed_session *s)
{
    bool row;
    GB_TRY(report_reader_open(
        r, "SELECT config_id, is_control, is_baseline, status, message, backend, precision, isa,"
           " threads, tokens_per_step, processes, coalesce(warmup, 0), coalesce(marked, 0)"
           " FROM timing_arm a LEFT JOIN"
           " (SELECT arm, sum(tag = 'warmup') AS warmup,"
           "  sum(tag = 'timed' AND disturbance IS NOT NULL AND disturbance <> '') AS marked"
           "  FROM burst_step WHERE timing_id = ?1 GROUP BY arm) b ON b.arm = a.arm"
           " WHERE a.timing_id = ?1 ORDER BY a.arm"));
    sqlite3_bind_int64(r->stmt, 1, s->timing_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        if (!REPORT_GROW(s->arms, s->n_arms)) {
            r->out_of_memory = true;
            continue;
        }
        if (gb_times(s->n_arms + 1, s->blocks) > SESSION_MAX_BURSTS) {
            return gb_fail(r->err, GB_ERR_FORMAT,
                           "%s: session %lld claims %lld blocks of more than %d arms; no session is"
                           " that long",
                           r->data->db_path, (long long)s->timing_id, (long long)s->blocks,
                           s->n_arms);
        }
        speed_arm *arm = &s->arms[s->n_arms];
        *arm = (speed_arm){.config = config_index(r->data, report_read_int(r))};
        arm->is_control = report_read_int(r) != 0;
        arm->is_baseline = report_read_int(r) != 0;
        arm->status = report_read_text(r);
        arm->message = report_read_text(r);
        arm->backend = report_read_text(r);
        arm->precision = report_read_text(r);
        arm->isa = report_read_text(r);
        arm->threads = report_read_int(r);
        arm->tokens_per_step = report_read_int(r);
        arm->processes = report_read_int(r);
        arm->warmup_steps = report_read_int(r);
        arm->marked = report_read_int(r);
        arm->median_ms = nans(s->blocks);
        arm->mean_ms = nans(s->blocks);
        r->out_of_memory = r->out_of_memory || !arm->median_ms || !arm->mean_ms;
        if (arm->is_baseline) {
            s->baseline = s->n_arms;
        } else if (arm->is_control) {
            s->control = s->n_arms;
        }
        s->n_arms++;
    }
}

static gb_status bursts_read(report_reader *r, speed_session *s)
{
    bool row;
    s->hours = nans(s->blocks);
    s->drift_effects = nans(s->blocks);
    if (!s->hours || !s->drift_effects) {
        return gb_fail(r->err, GB_ERR_OOM, "no memory for %lld blocks", (long long)s->blocks);
    }
    GB_TRY(report_reader_open(r, "SELECT block, arm, median_ms, mean_ms, began_s FROM burst"
                                 " WHERE timing_id = ? ORDER BY block, position"));
    sqlite3_bind_int64(r->stmt, 1, s->timing_id);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        int64_t block = report_read_int(r), arm = report_read_int(r);
        if (block < 0 || block >= s->blocks || arm < 0 || arm >= s->n_arms) {
            continue; /* of a block that was not finished */
        }
        s->arms[arm].median_ms[block] = report_read_double(r);
        s->arms[arm].mean_ms[block] = report_read_double(r);
        double hours = report_read_double(r) / 3600;
        if (isnan(s->hours[block])) {
            s->hours[block] = hours; /* its first burst */
        }
    }
}

static gb_status timed_steps_read(report_reader *r, speed_session *s)
{
    bool row;
    GB_TRY(report_reader_open(r, "SELECT arm, step_ms FROM burst_step WHERE timing_id = ?"
                                 " AND tag = 'timed' AND block < ? ORDER BY position"));
    sqlite3_bind_int64(r->stmt, 1, s->timing_id);
    sqlite3_bind_int64(r->stmt, 2, s->blocks);
    for (;;) {
        GB_TRY(report_reader_next(r, &row));
        if (!row) {
            return GB_OK;
        }
        int64_t index = report_read_int(r);
        if (index < 0 || index >= s->n_arms) {
            continue;
        }
        speed_arm *arm = &s->arms[index];
        if (!REPORT_GROW(arm->timed_ms, (int64_t)arm->n_timed)) {
            r->out_of_memory = true;
            continue;
        }
        arm->timed_ms[arm->n_timed++] = report_read_double(r);
    }
}

/* ---- what follows from it ---- */

static double *columns_copy(const speed_session *s)
{
    double *ms = malloc((size_t)s->n_arms * (size_t)s->blocks * sizeof *ms);
    for (int a = 0; ms && a < s->n_arms; a++) {
        memcpy(ms + (int64_t)a * s->blocks, s->arms[a].median_ms, (size_t)s->blocks * sizeof *ms);
    }
    return ms;
}

static gb_status arm_average(speed_arm *arm, gb_error *err)
{
    arm->step_avg_ms = stats_mean(arm->timed_ms, arm->n_timed);
    return stats_median(arm->timed_ms, arm->n_timed, &arm->step_median_ms, err);
}

static gb_status arm_measure(speed_session *s, speed_arm *arm, double *scratch, gb_error *err)
{
    estimate burst;
    size_t n = 0;
    const speed_arm *base = &s->arms[s->baseline];
    GB_TRY(arm_average(arm, err));
    GB_TRY(noise_outliers_count(&arm->outliers, arm->timed_ms, arm->n_timed, err));
    for (int64_t b = 0; b < s->blocks; b++) {
        if (arm->median_ms[b] > 0) {
            scratch[n++] = log(arm->median_ms[b]);
        }
    }
    GB_TRY(estimate_bootstrap(&burst, scratch, n, verdict_resamples(1), 1, err));
    stats_interval logs = estimate_interval(&burst, 0.95);
    arm->burst_ms = (stats_interval){exp(logs.value), exp(logs.low), exp(logs.high)};
    estimate_free(&burst);
    GB_TRY(speed_pair_estimate(&arm->ratio, s, base, arm, false, err));
    GB_TRY(speed_pair_estimate(&burst, s, base, arm, true, err));
    arm->mean_change = estimate_change(&burst, 0.95); /* its resamples would be many megabytes */
    estimate_free(&burst);
    return GB_OK;
}

static gb_status control_measure(speed_session *s, const verdict_rule *rule, double *scratch,
                                 gb_error *err)
{
    if (s->control < 0) {
        return GB_OK;
    }
    size_t n = estimate_log_ratios(s->arms[s->control].median_ms, s->arms[s->baseline].median_ms,
                                   (size_t)s->blocks, scratch);
    return noise_control_measure(&s->aa, (stats_sample){scratch, n}, rule, CONTROL_SUBSETS,
                                 (uint64_t)s->seed, err);
}

static bool arm_is_judged(const speed_arm *arm)
{
    return !arm->is_baseline && !arm->is_control && strcmp(arm->status, "ok") == 0;
}

static gb_status verdicts_make(speed_session *s, const verdict_rule *rule, gb_error *err)
{
    const estimate **estimates = calloc((size_t)s->n_arms, sizeof *estimates);
    verdict *verdicts = calloc((size_t)s->n_arms, sizeof *verdicts);
    size_t m = 0;
    gb_status status = estimates && verdicts
                           ? GB_OK
                           : gb_fail(err, GB_ERR_OOM, "no memory for %d verdicts", s->n_arms);
    for (int a = 0; status == GB_OK && a < s->n_arms; a++) {
        if (arm_is_judged(&s->arms[a])) {
            estimates[m++] = &s->arms[a].ratio;
        }
    }
    if (status == GB_OK) {
        status = verdict_judge(verdicts, estimates, m, rule, err);
    }
    m = 0;
    for (int a = 0; status == GB_OK && a < s->n_arms; a++) {
        if (arm_is_judged(&s->arms[a])) {
            s->arms[a].verdict = verdicts[m++];
        }
    }
    free(estimates);
    free(verdicts);
    return status;
}

/* Blocks for the planner's question, by the widest spread among the configs. */
static double needed_blocks(const speed_session *s, const verdict_rule *rule)
{
    double most = NAN;
    size_t m = 0;
    for (int a = 0; a < s->n_arms; a++) {
        m += arm_is_judged(&s->arms[a]);
    }
    for (int a = 0; a < s->n_arms; a++) {
        if (arm_is_judged(&s->arms[a])) {
            double n = block_count_to_find(block_spread_of(&s->arms[a].ratio), 0.01, rule->band,
                                           rule->alpha, m, rule->power);
            most = n <= most ? most : n;
        }
    }
    return most;
}

static gb_status session_measure(speed_session *s, gb_error *err)
{
    verdict_rule rule = verdict_rule_default();
    double *scratch = malloc((size_t)s->blocks * sizeof *scratch), *ms = columns_copy(s);
    gb_status status = scratch && ms ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for speeds");
    double first_hour = s->hours[0];
    for (int64_t b = 0; b < s->blocks; b++) {
        s->hours[b] -= first_hour;
    }
    for (int a = 0; status == GB_OK && a < s->n_arms; a++) {
        status = arm_measure(s, &s->arms[a], scratch, err);
    }
    if (status == GB_OK) {
        status = control_measure(s, &rule, scratch, err);
    }
    if (status == GB_OK) {
        const drift_bursts bursts = {(size_t)s->n_arms, (size_t)s->blocks, ms, s->hours};
        status = drift_measure(&s->drift, &bursts, s->drift_effects, err);
    }
    rule.floor = s->aa.floor;
    if (status == GB_OK) {
        status = verdicts_make(s, &rule, err);
    }
    s->needed_blocks = needed_blocks(s, &rule);
    free(scratch);
    free(ms);
    return status;
}

/* Of a session from which pairs are compared: each pair makes its own estimate. */
static gb_status session_average(speed_session *s, gb_error *err)
{
    for (int a = 0; a < s->n_arms; a++) {
        GB_TRY(arm_average(&s->arms[a], err));
        s->arms[a].ratio = estimate_exact(NAN); /* not known */
        s->arms[a].mean_change = (stats_interval){NAN, NAN, NAN};
    }
    return GB_OK;
}

/* ---- the newest for each config ---- */

static void session_clear(speed_session *s)
{
    for (int a = 0; a < s->n_arms; a++) {
        free(s->arms[a].median_ms);
        free(s->arms[a].mean_ms);
        free(s->arms[a].timed_ms);
        estimate_free(&s->arms[a].ratio);
    }
    free(s->arms);
    free(s->hours);
    free(s->drift_effects);
    *s = (speed_session){.baseline = -1};
}

static const speed_arm *arm_of(const speed_session *s, int config)
{
    for (int a = 0; a < s->n_arms; a++) {
        if (s->arms[a].config == config && !s->arms[a].is_control) {
            return &s->arms[a];
        }
    }
    return NULL;
}

const speed_arm *speed_report_find_on(const speed_report *speeds, int config, int machine,
                                      const char *backend, const char *precision,
                                      const speed_session **session)
{
    for (int i = 0; speeds && i < speeds->n_sessions; i++) {
        const speed_arm *arm = arm_of(&speeds->sessions[i], config);
        if (arm && speeds->sessions[i].machine == machine && strcmp(arm->backend, backend) == 0 &&
            strcmp(arm->precision, precision) == 0) {
            *session = &speeds->sessions[i];
            return arm;
        }
    }
    return NULL;
}

/* Whether it has a config of today's plan that none of the newer ones has there. The baseline
 * counts where it is alone with its control: it is in every session. */
static bool session_is_new(const speed_session *s, const speed_report *newer)
{
    const speed_session *other;
    bool alone = s->n_arms <= 1 + (s->control >= 0);
    for (int a = 0; a < s->n_arms; a++) {
        const speed_arm *arm = &s->arms[a];
        if (arm->config >= 0 && !arm->is_control && (alone || !arm->is_baseline) &&
            !speed_report_find_on(newer, arm->config, s->machine, arm->backend, arm->precision,
                                  &other)) {
            return true;
        }
    }
    return false;
}

static gb_status session_fill(report_reader *r, speed_session *s, const speed_report *newer,
                              bool *keep)
{
    GB_TRY(arms_read(r, s));
    *keep = s->baseline >= 0 && s->arms[s->baseline].config >= 0 && session_is_new(s, newer);
    if (!*keep) {
        return GB_OK;
    }
    GB_TRY(bursts_read(r, s));
    GB_TRY(timed_steps_read(r, s));
    return r->data->partial ? session_average(s, r->err) : session_measure(s, r->err);
}

gb_status speed_report_read(speed_report **out, report_reader *r, int64_t suite_id)
{
    speed_report *speeds = calloc(1, sizeof *speeds);
    gb_status status = speeds ? sessions_read(r, speeds, suite_id)
                              : gb_fail(r->err, GB_ERR_OOM, "no memory for speeds");
    int kept = 0, n = speeds ? speeds->n_sessions : 0;
    for (int i = 0; i < n && status == GB_OK; i++) {
        bool keep = false;
        const speed_report newer = {speeds->sessions, kept};
        status = session_fill(r, &speeds->sessions[i], &newer, &keep);
        if (status == GB_OK && keep) {
            speed_session moved = speeds->sessions[i];
            speeds->sessions[i] = speeds->sessions[kept];
            speeds->sessions[kept++] = moved;
        }
    }
    if (status != GB_OK) {
        speed_report_free(speeds);
        return status;
    }
    for (int i = kept; i < n; i++) {
        session_clear(&speeds->sessions[i]);
    }
    speeds->n_sessions = kept;
    *out = speeds;
    return GB_OK;
}

void speed_report_free(speed_report *speeds)
{
    if (speeds) {
        for (int i = 0; i < speeds->n_sessions; i++) {
            session_clear(&speeds->sessions[i]);
        }
        free(speeds->sessions);
        free(speeds);
    }
}

/* ---- looking up ---- */

const speed_arm *speed_report_find(const speed_report *speeds, int config,
                                   const speed_session **session)
{
    for (int i = 0; speeds && i < speeds->n_sessions; i++) {
        const speed_arm *arm = arm_of(&speeds->sessions[i], config);
        if (arm) {
            *session = &speeds->sessions[i];
            return arm;
        }
    }
    return NULL;
}

bool speed_report_pair(const speed_report *speeds, int base, int config,
                       const speed_session **session, const speed_arm **base_arm,
                       const speed_arm **config_arm)
{
    for (int i = 0; speeds && i < speeds->n_sessions; i++) {
        *session = &speeds->sessions[i];
        *base_arm = arm_of(*session, base);
        *config_arm = arm_of(*session, config);
        if (*base_arm && *config_arm) {
            return true;
        }
    }
    return false;
}

gb_status speed_pair_estimate(estimate *out, const speed_session *session, const speed_arm *base,
                              const speed_arm *config, bool by_means, gb_error *err)
{
    size_t n = (size_t)session->blocks;
    double *logs = malloc((n + 1) * sizeof *logs);
    if (!logs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu blocks", n);
    }
    n = estimate_log_ratios(by_means ? config->mean_ms : config->median_ms,
                            by_means ? base->mean_ms : base->median_ms, n, logs);
    gb_status status = estimate_bootstrap(out, logs, n, verdict_resamples((size_t)session->n_arms),
                                          (uint64_t)session->seed, err);
    free(logs);
    return status;
}
