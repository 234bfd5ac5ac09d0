#include "bench/run/timing_session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/run/machine.h"
#include "bench/run/run_watch.h"
#include "bench/run/timing_pool.h"
#include "bench/stats/block_count.h"
#include "bench/stats/clock_grid.h"
#include "bench/stats/stats.h"
#include "bench/worker/job_control.h"
#include "kernels/clock.h"
#include "model/warmup.h"

/* Resamples of the intervals that decide whether a session may stop. */
#define STOP_RESAMPLES 2000

typedef struct state {
    store *s;
    const timing_session *session;
    const runner_options *options;
    timing_pool *pool;
    run_watch watch;
    int64_t timing_id, position;
} state;

static gb_status on_idle(void *user, int *wait_ms, gb_error *err)
{
    state *st = user;
    GB_TRY(run_watch_sample(&st->watch, st->s, false, err));
    progress_tick(st->options->display);
    *wait_ms = run_watch_wait_ms(&st->watch, *wait_ms);
    return GB_OK;
}

static bool was_stopped(const train_step *step)
{
    return job_control_was_stopped(step->ended_s - step->step_ms / 1e3, step->ended_s);
}

/* Writes the steps that the pool has just taken; their times become those of the session. */
static gb_status steps_write(state *st, int arm, int64_t block, const train_step *steps, int64_t n,
                             gb_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        train_step step = steps[i];
        if (was_stopped(&step)) {
            step.tag = TRAIN_STEP_WARMUP;
        }
        step.ended_s -= st->watch.started_s;
        GB_TRY(run_watch_step(&st->watch, &step, err));
        const store_timed_step row = {st->position++, block, arm, &step};
        GB_TRY(store_timing_step(st->s, st->timing_id, &row, err));
    }
    return GB_OK;
}

/* The last warm-up steps, by which they are found to have settled (model/warmup.h). */
static double settled_ms(const train_step *steps, int64_t n)
{
    double last[WARMUP_SPAN];
    size_t count = 0;
    for (int64_t i = n > WARMUP_SPAN ? n - WARMUP_SPAN : 0; i < n; i++) {
        last[count++] = steps[i].step_ms;
    }
    stats_sort(last, count);
    return stats_quantile_sorted(last, count, 0.5);
}

/* Tells the display whose turn it is. */
static void turn_show(const state *st, int64_t blocks_done, int turn, int arm)
{
    const timing_session *session = st->session;
    const timing_options *o = session->row.options;
    const bool at_most = o->stop_precision > 0;
    const progress_blocks blocks = {.done = blocks_done,
                                    .n_blocks = at_most ? o->max_blocks : o->blocks,
                                    .at_most = at_most,
                                    .turn = turn,
                                    .n_turns = session->n_arms,
                                    .name = arm >= 0 ? session->arms[arm].label : ""};
    progress_task_blocks(st->options->display, &blocks);
}

static gb_status start(state *st, int arm, double *step_ms, gb_error *err)
{
    const train_step *steps;
    int64_t n;
    GB_TRY(timing_pool_start(st->pool, arm, &steps, &n, err));
    *step_ms = settled_ms(steps, n);
    return steps_write(st, arm, -1, steps, n, err);
}

static gb_status arm_settle(void *user, int arm, double *step_ms, gb_error *err)
{
    turn_show(user, 0, 0, arm);
    return start(user, arm, step_ms, err);
}

/* Mean and median of the timed steps, but for those in which the program was stopped, unless that
 * leaves none. GB_ERR_OOM. */
static gb_status burst_sum_up(const train_step *steps, int64_t n, double *mean_ms,
                              double *median_ms, gb_error *err)
{
    double *timed = malloc((size_t)(n + 1) * sizeof *timed);
    size_t count = 0;
    if (!timed) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the steps of a burst");
    }
    for (int pass = 0; pass < 2 && count == 0; pass++) {
        for (int64_t i = 0; i < n; i++) {
            if (steps[i].tag == TRAIN_STEP_TIMED && (pass == 1 || !was_stopped(&steps[i]))) {
                timed[count++] = steps[i].step_ms;
            }
        }
    }
    *mean_ms = stats_mean(timed, count);
    stats_sort(timed, count);
    *median_ms = stats_quantile_sorted(timed, count, 0.5);
    free(timed);
    return GB_OK;
}

static gb_status arm_burst(void *user, const timing_turn *turn, const train_burst *burst,
                           double *step_ms, gb_error *err)
{
    state *st = user;
    const int arm = turn->arm;
    const train_step *steps;
    int64_t n;
    double settled, mean_ms = NAN;
    turn_show(st, turn->block, turn->position, arm);
    GB_TRY(start(st, arm, &settled, err));
    double began_s = gb_monotonic_s() - st->watch.started_s;
    GB_TRY(timing_pool_burst(st->pool, arm, burst, &steps, &n, err));
    double ended_s = gb_monotonic_s() - st->watch.started_s;
    GB_TRY(burst_sum_up(steps, n, &mean_ms, step_ms, err));
    GB_TRY(steps_write(st, arm, turn->block, steps, n, err));
    const store_burst row = {.block = turn->block,
                             .position = turn->position,
                             .arm = arm,
                             .process = timing_pool_processes(st->pool, arm),
                             .median_ms = *step_ms,
                             .mean_ms = mean_ms,
                             .began_s = began_s,
                             .ended_s = ended_s};
    return store_timing_burst(st->s, st->timing_id, &row, err);
}

static void arm_retire(void *user, int arm)
{
    timing_pool_retire(((state *)user)->pool, arm);
}

static gb_status block_done(void *user, const timing_table *table, gb_error *err)
{
    state *st = user;
    turn_show(st, table->n_blocks, 0, -1);
    return store_commit_due(st->s, true, err);
}

/* ---- when it is enough ---- */

/* What the clock leaves open of log(config / base), by the medians of n bursts of each; sorts them.
 */
static double resolution_of(double *base, double *config, size_t n)
{
    double step = fmin(clock_grid_step(base, n), clock_grid_step(config, n));
    return clock_grid_log_error(step, base[n / 2], config[n / 2]);
}

/* `room` is for three numbers a block. */
static gb_status estimates_make(const timing_session *session, const timing_table *table,
                                estimate *out, double *room, gb_error *err)
{
    double *base = room, *config = room + table->n_blocks, *ratios = config + table->n_blocks;
    for (int arm = 0; arm < table->n_arms; arm++) {
        for (int64_t b = 0; b < table->n_blocks; b++) {
            base[b] = timing_table_get(table, session->baseline, b);
            config[b] = timing_table_get(table, arm, b);
        }
        size_t n = estimate_log_ratios(config, base, (size_t)table->n_blocks, ratios);
        if (arm != session->baseline) {
            double resolution = resolution_of(base, config, (size_t)table->n_blocks);
            GB_TRY(estimate_bootstrap_coarse(&out[arm], (stats_sample){ratios, n}, resolution,
                                             STOP_RESAMPLES, (uint64_t)arm, err));
        }
    }
    return GB_OK;
}

static gb_status precise(void *user, const timing_table *table, double precision, bool *out,
                         gb_error *err)
{
    const state *st = user;
    size_t n_blocks = (size_t)table->n_blocks, m = 0;
    *out = false;
    if (!block_count_is_look(n_blocks)) {
        return GB_OK;
    }
    estimate *estimates = calloc((size_t)table->n_arms, sizeof *estimates);
    const estimate **usable = calloc((size_t)table->n_arms, sizeof *usable);
    double *room = calloc(3 * n_blocks, sizeof *room);
    gb_status status = estimates && usable && room
                           ? estimates_make(st->session, table, estimates, room, err)
                           : gb_fail(err, GB_ERR_OOM, "no memory for intervals");
    for (int arm = 0; status == GB_OK && arm < table->n_arms; arm++) {
        const char *message; /* an arm that failed will never be precise: it does not count */
        if (arm != st->session->baseline &&
            strcmp(timing_pool_status(st->pool, arm, &message), "ok") == 0) {
            usable[m++] = &estimates[arm];
        }
    }
    *out = status == GB_OK && block_count_may_stop(usable, m, n_blocks, precision);
    for (int arm = 0; estimates && arm < table->n_arms; arm++) {
        estimate_free(&estimates[arm]);
    }
    free(estimates);
    free(usable);
    free(room);
    return status;
}

/* ---- the whole ---- */

static gb_status arms_write(state *st, timing_session_result *result, gb_error *err)
{
    for (int arm = 0; arm < st->session->n_arms; arm++) {
        const char *message, *status = timing_pool_status(st->pool, arm, &message);
        bool ok = strcmp(status, "ok") == 0;
        result->arms_failed += !ok;
        if (!ok) {
            progress_note(st->options->display, "%s: %s: %s", st->session->arms[arm].label, status,
                          message);
        }
        const store_arm_end row = {arm, status, message, timing_pool_processes(st->pool, arm)};
        GB_TRY(store_timing_arm_end(st->s, st->timing_id, &row, err));
    }
    return GB_OK;
}

static gb_status end_write(state *st, gb_status ended, const gb_error *why,
                           timing_session_result *result, gb_error *err)
{
    char missing[GB_SENSORS_MAX * sizeof(gb_sensor_state)];
    store_run_result watched = {.status = "ok"};
    GB_TRY(run_watch_sample(&st->watch, st->s, true, err));
    GB_TRY(run_watch_end(&st->watch, st->s, &watched, missing, sizeof missing, err));
    GB_TRY(arms_write(st, result, err));
    const store_timing_result row = {.status = ended == GB_OK                ? "ok"
                                               : ended == GB_ERR_INTERRUPTED ? "interrupted"
                                                                             : "failed",
                                     .message = ended == GB_OK ? "" : why->message,
                                     .outcome = &result->outcome,
                                     .sensors_missing = watched.sensors_missing};
    return store_timing_end(st->s, st->timing_id, &row, err);
}

static gb_status pool_make(state *st, gb_error *err)
{
    const timing_session *session = st->session;
    timing_pool_options options = {.worker = &st->options->worker,
                                   .on_idle = on_idle,
                                   .user = st,
                                   .memory_free = machine_memory_free};
    timing_pool_arm *arms = calloc((size_t)session->n_arms, sizeof *arms);
    if (!arms) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d workers", session->n_arms);
    }
    for (int i = 0; i < session->n_arms; i++) {
        arms[i] = (timing_pool_arm){session->arms[i].json, session->arms[i].memory_bytes};
    }
    gb_status status = timing_pool_create(&st->pool, arms, session->n_arms, &options, err);
    free(arms);
    return status;
}

static gb_status session_begin(state *st, gb_sensors *sensors, gb_error *err)
{
    const timing_session *session = st->session;
    store_timing_arm *rows = calloc((size_t)session->n_arms, sizeof *rows);
    if (!rows) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d arms", session->n_arms);
    }
    for (int i = 0; i < session->n_arms; i++) {
        rows[i] = session->arms[i].row;
    }
    gb_status status =
        store_timing_begin(st->s, &session->row, rows, session->n_arms, &st->timing_id, err);
    free(rows);
    GB_TRY(status);
    store_defer(st->s, true);
    const run_watch_options watch = {.sink = &run_watch_timing_sink,
                                     .id = st->timing_id,
                                     .sensors = sensors,
                                     .gpu = session->bus_id && session->bus_id[0],
                                     .period_ms = st->options->sample_ms};
    return run_watch_begin(&st->watch, st->s, &watch, err);
}

static void session_announce(const timing_session *session, progress *display)
{
    char what[80];
    snprintf(what, sizeof what, "timing %d configs in turn, the baseline twice",
             session->n_arms - 1);
    progress_note_plain(display, what);
    progress_task_begin(display, "%s", what);
}

gb_status timing_session_run(store *s, const timing_session *session, const runner_options *options,
                             timing_session_result *result, gb_error *err)
{
    state st = {.s = s, .session = session, .options = options};
    timing_table table = {.n_arms = 0};
    gb_sensors_options wanted = options->sensors;
    gb_sensors *sensors = NULL;
    gb_error why = {0}, late = {0};
    *result = (timing_session_result){.timing_id = 0};
    if (options->sample_ms > 0) {
        wanted.gpu_bus_id = session->bus_id;
        sensors = gb_sensors_open(&wanted);
    }
    gb_status status = pool_make(&st, err);
    if (status == GB_OK) {
        status = session_begin(&st, sensors, err);
    }
    if (status == GB_OK) {
        const timing_executor executor = {.n_arms = session->n_arms,
                                          .baseline = session->baseline,
                                          .user = &st,
                                          .settle = arm_settle,
                                          .burst = arm_burst,
                                          .retire = arm_retire,
                                          .block_done = block_done,
                                          .precise = precise};
        session_announce(session, options->display);
        status = timing_run(session->row.options, &executor, &table, &result->outcome, &why);
        progress_task_end(options->display);
        result->timing_id = st.timing_id;
        gb_status written = end_write(&st, status, &why, result, &late);
        if (err) {
            *err = status != GB_OK ? why : late;
        }
        status = status != GB_OK ? status : written;
    }
    store_defer(s, false);
    timing_pool_free(st.pool);
    timing_table_free(&table);
    run_watch_free(&st.watch);
    gb_sensors_close(sensors);
    return status;
}
