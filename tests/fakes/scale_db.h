/* scale_db.h: a large suite and the database that a complete run of it would leave, made through
 * the calls that the runner uses: planned by bench/plan/runplan.h, so that `gptbench run` on the
 * same suite finds nothing left to do, and written event by event by bench/store/store.h. The
 * numbers are made up but behave: noisy step times with a heavy tail, falling losses, a ledger per
 * layer, samples four times a second, runs that ended badly, and a session of interleaved timing.
 * The same ones each time. */
#ifndef GPTBENCH_TESTS_SCALE_DB_H
#define GPTBENCH_TESTS_SCALE_DB_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/plan/runplan.h"
#include "bench/plan/runplan_internal.h"
#include "bench/stats/disturbance.h"
#include "bench/store/store_timing.h"
#include "kernels/clock.h"
#include "model/flops.h"

typedef struct scale_size {
    bool full; /* 400 configs instead of 40 */
    int replicates, steps, blocks;
} scale_size;

typedef struct scale_totals {
    int64_t runs, steps, rows; /* attempts at runs, rows of table step, calls that insert a row */
    double cpu_s, wall_s;      /* spent in the store, commits included */
} scale_totals;

typedef struct scale_maker {
    store *s;
    const scale_size *size;
    scale_totals totals;
    uint64_t random;
} scale_maker;

static double scale_cpu_s(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double scale_uniform(scale_maker *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(m->random >> 11) * 0x1p-53;
}

/* Near enough to a normal deviate. */
static double scale_normal(scale_maker *m)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += scale_uniform(m) - 0.5;
    }
    return sum * sqrt(3.0);
}

static gb_status scale_suite_write(const char *path, const scale_size *size, gb_error *err)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot be written", path);
    }
    fprintf(file,
            "[suite]\nname = scale\nreplicates = %d\nbaseline = l2-c64\n\n"
            "[data]\ntrain = synth:vocab=32,seed=1\nval = synth:vocab=32,seed=1,stream=val\n\n"
            "[train]\nbatch_size = 8\nsequence_length = 64\nnum_iterations = %d\n"
            "val_loss_every = %d\nval_tokens = 4096\nlearning_rate = 0.004\nprecision = fp32\n\n"
            "[timing]\nblocks = %d\n\n[model]\nvocab_size = 32\nn_head = 4\n\n"
            "[matrix]\nn_layer = 2, 3, 4, 5, 6\n%s\n"
            "[claim smaller]\nconfig = l2-c64-e3\nexpect = step_avg speedup >= 5%%\n"
            "source = made up\n\n"
            "[claim as-good]\nconfig = l3-c80-e3\nexpect = val_loss within 2%%\n"
            "source = made up\n",
            size->replicates, size->steps, size->steps / 20, size->blocks,
            size->full ? "n_embd = 64, 80, 96, 112, 128, 144, 160, 192\n"
                         "mlp_expansion_factor = 4, 3, 2.5, 2, 1.5\nuse_swiglu_mlp = false, true\n"
                       : "n_embd = 64, 80, 96, 128\nmlp_expansion_factor = 4, 3\n");
    return fclose(file) == 0 ? GB_OK : gb_fail(err, GB_ERR_IO, "%s: the disk is full", path);
}

/* ---- one run ---- */

static double scale_step_ms(const suite_cell *cell)
{
    return 4 + gpt_flops_exact(&cell->config, 64) / 2e5;
}

static double scale_level(const suite_cell *cell)
{
    return 2.4 - 0.02 * (double)cell->config.n_layer - 0.002 * (double)(cell->config.n_embd - 64);
}

static gb_status scale_event(scale_maker *m, int64_t run_id, const train_event *event,
                             gb_error *err)
{
    m->totals.rows++;
    GB_TRY(store_run_event(m->s, run_id, event, err));
    return store_commit_due(m->s, false, err);
}

static gb_status scale_sample(scale_maker *m, int64_t run_id, double at_s, gb_error *err)
{
    gb_sample sample = gb_sample_missing();
    sample.monotonic_s = at_s;
    sample.cpu_clock_mhz = 3000 + 40 * scale_normal(m);
    sample.cpu_load = 2 + 0.1 * scale_normal(m);
    sample.cpu_busy = 0.97 + 0.02 * scale_uniform(m);
    sample.cpu_steal = 0.002 * scale_uniform(m);
    m->totals.rows++;
    return store_sample(m->s, run_id, &sample, err);
}

static gb_status scale_eval(scale_maker *m, int64_t run_id, int64_t step, double loss,
                            double train_ms, gb_error *err)
{
    train_event event = {.type = TRAIN_EVENT_EVAL};
    event.u.eval = (train_eval){step, loss + 0.002 * scale_normal(m), 4096, 20.0, train_ms};
    return scale_event(m, run_id, &event, err);
}

/* Steps, validations and samples; *marks gets a few. */
static gb_status scale_steps(scale_maker *m, int64_t run_id, const suite_cell *cell, int64_t steps,
                             unsigned char *marks, gb_error *err)
{
    const double base_ms = scale_step_ms(cell) * (1 + 0.004 * scale_normal(m));
    const double level = scale_level(cell) + 0.004 * scale_normal(m);
    const int64_t all = m->size->steps, every = all / 20;
    double total_ms = 0, next_s = 0;
    for (int64_t i = 0; i < steps; i++) {
        double loss = level + 1.1 * exp(-(double)i / (0.05 * (double)all));
        bool after_eval = i % every == 0;
        if (after_eval) {
            GB_TRY(scale_eval(m, run_id, i, loss, total_ms, err));
        }
        double ms = base_ms * (1 + 0.01 * scale_normal(m) + (scale_uniform(m) < 0.02 ? 0.2 : 0));
        total_ms += ms;
        train_event event = {.type = TRAIN_EVENT_STEP};
        event.u.step = (train_step){.step = i,
                                    .tag = i < 10         ? TRAIN_STEP_WARMUP
                                           : i >= all - 3 ? TRAIN_STEP_PROFILED
                                           : after_eval   ? TRAIN_STEP_EVAL
                                                          : TRAIN_STEP_TIMED,
                                    .train_loss = loss + 0.03 * scale_normal(m),
                                    .grad_norm = 1 + 0.1 * scale_normal(m),
                                    .learning_rate = 0.004 * (1 - (double)i / (double)all),
                                    .step_ms = ms,
                                    .flops_issued = 3e7,
                                    .ended_s = total_ms / 1e3};
        marks[i] = scale_uniform(m) < 0.01 ? DISTURBANCE_PREEMPTED : 0;
        GB_TRY(scale_event(m, run_id, &event, err));
        m->totals.steps++;
        if (total_ms / 1e3 >= next_s) {
            next_s += 0.25;
            GB_TRY(scale_sample(m, run_id, total_ms / 1e3, err));
        }
    }
    return steps == all ? scale_eval(m, run_id, steps, level, total_ms, err) : GB_OK;
}

/* The ledger, and for replicate 0 the ops of one step, layer by layer. */
static gb_status scale_ops(scale_maker *m, int64_t run_id, const suite_cell *cell, bool spans,
                           gb_error *err)
{
    static const gb_op ops[] = {GB_OP_NORM, GB_OP_LINEAR_QKV, GB_OP_ATTENTION, GB_OP_LINEAR_MLP_UP,
                                GB_OP_LINEAR_MLP_DOWN};
    enum { OPS = sizeof ops / sizeof *ops };
    const int layers = (int)cell->config.n_layer;
    const double each = scale_step_ms(cell) / (3.0 * OPS * layers + 1);
    double at = 0;
    for (int k = 0; k < 2 * OPS * layers; k++) {
        bool backward = k >= OPS * layers;
        int place = backward ? 2 * OPS * layers - 1 - k : k;
        double took = each * (backward ? 2 : 1) * (1 + 0.02 * scale_normal(m));
        train_event event = {.type = TRAIN_EVENT_OPTIME};
        event.u.optime.steps = 3;
        event.u.optime.step_ms = scale_step_ms(cell);
        event.u.optime.row = (gb_op_time){.phase = backward ? GB_PHASE_BACKWARD : GB_PHASE_FORWARD,
                                          .layer = place / OPS,
                                          .op = ops[place % OPS],
                                          .calls = 3,
                                          .time_ms = 3 * took,
                                          .flops = 1e6};
        GB_TRY(scale_event(m, run_id, &event, err));
        if (spans) {
            train_event span = {.type = TRAIN_EVENT_SPAN};
            span.u.span = (gb_op_span){event.u.optime.row.phase, event.u.optime.row.layer,
                                       event.u.optime.row.op, at, at + took};
            GB_TRY(scale_event(m, run_id, &span, err));
        }
        at += took;
    }
    return GB_OK;
}

/* How the runs of a suite end: most well; the first attempts of some are interrupted. */
static const char *scale_status(int run, bool again)
{
    return again             ? "ok"
           : run % 50 == 7   ? "nan"
           : run % 50 == 19  ? "interrupted"
           : run % 100 == 31 ? "failed"
           : run % 100 == 63 ? "killed"
           : run % 200 == 77 ? "oom"
                             : "ok";
}

static gb_status scale_run(scale_maker *m, const runplan *plan, const runplan_run *run, int index,
                           bool again, unsigned char *marks, gb_error *err)
{
    const suite_cell *cell = &plan->suite->cells[run->cell];
    const int64_t id = run->planned.run_id, all = m->size->steps;
    const char *status = scale_status(index, again);
    bool ok = strcmp(status, "ok") == 0;
    int64_t steps = ok ? all : strcmp(status, "oom") == 0 ? 0 : all / 4 + index * 37 % (all / 2);
    train_event start = {.type = TRAIN_EVENT_START};
    start.u.start.device = plan->environments[cell->spec.precision].probe.device;
    start.u.start.entropy_rate_nats = 1.5;
    GB_TRY(store_run_start(m->s, id, 1, err));
    GB_TRY(scale_event(m, id, &start, err));
    GB_TRY(scale_steps(m, id, cell, steps, marks, err));
    GB_TRY(store_run_marks(m->s, id, marks, (size_t)steps, err));
    if (ok) {
        GB_TRY(scale_ops(m, id, cell, run->replicate == 0, err));
    }
    store_run_result result = {.status = status,
                               .message = ok ? "" : "made up",
                               .steps_done = steps,
                               .peak_memory_bytes = 50000000 + 1000000 * run->cell,
                               .warmup_steps = 10,
                               .profiled_ms = ok ? 3 * scale_step_ms(cell) : 0,
                               .profiled_steps = ok ? 3 : 0,
                               .energy_j = NAN,
                               .sensors_missing = "cpu_energy: made up"};
    GB_TRY(store_run_end(m->s, id, &result, err));
    m->totals.runs++;
    /* One after the other, each as long as it would have taken. */
    return store_exec(m->s, err,
                      "UPDATE run SET started_at = strftime('%Y-%m-%dT%H:%M:%fZ', 1767225600 + ?1,"
                      " 'unixepoch') WHERE run_id = ?2",
                      "di", (double)m->totals.steps * 0.03, id);
}

/* ---- the session of interleaved timing ---- */

static gb_status scale_burst(scale_maker *m, int64_t timing_id, const suite_cell *cell, int arm,
                             int64_t block, int64_t *position, double *now_s, gb_error *err)
{
    enum { LEAD = 2, TIMED = 9 };
    double began_s = *now_s, ms[TIMED], sum = 0;
    double level = scale_step_ms(cell) * (1 + 0.003 * scale_normal(m));
    for (int k = 0; k < LEAD + TIMED; k++) {
        train_step step = {.tag = k < LEAD ? TRAIN_STEP_WARMUP : TRAIN_STEP_TIMED,
                           .step_ms = level * (1 + 0.004 * scale_normal(m))};
        *now_s += step.step_ms / 1e3;
        step.ended_s = *now_s;
        const store_timed_step row = {(*position)++, block, arm, &step};
        GB_TRY(store_timing_step(m->s, timing_id, &row, err));
        m->totals.rows++;
        if (k >= LEAD) {
            ms[k - LEAD] = step.step_ms;
            sum += step.step_ms;
        }
    }
    store_burst burst = {block, arm, arm, 1, ms[TIMED / 2], sum / TIMED, began_s, *now_s};
    GB_TRY(store_timing_burst(m->s, timing_id, &burst, err));
    m->totals.rows++;
    return store_commit_due(m->s, false, err);
}

static gb_status scale_timing(scale_maker *m, runplan *plan, gb_error *err)
{
    timing_session session;
    bool to_do = false;
    int64_t timing_id, position = 0;
    double now_s = 0;
    GB_TRY(runplan_timing(plan, m->s, &session, &to_do, err));
    store_timing_arm *arms = calloc((size_t)session.n_arms, sizeof *arms);
    if (!to_do || !arms) {
        free(arms);
        return gb_fail(err, GB_ERR_INTERNAL, "scale_db: no session to make");
    }
    for (int a = 0; a < session.n_arms; a++) {
        arms[a] = session.arms[a].row;
    }
    gb_status status =
        store_timing_begin(m->s, &session.row, arms, session.n_arms, &timing_id, err);
    free(arms);
    GB_TRY(status);
    for (int64_t block = 0; block < m->size->blocks; block++) {
        for (int a = 0; a < session.n_arms; a++) {
            int cell = a < plan->suite->n_cells ? a : plan->suite->baseline;
            GB_TRY(scale_burst(m, timing_id, &plan->suite->cells[cell], a, block, &position, &now_s,
                               err));
        }
        gb_sample sample = gb_sample_missing();
        sample.monotonic_s = now_s;
        sample.cpu_clock_mhz = 3000 + 40 * scale_normal(m);
        GB_TRY(store_timing_sample(m->s, timing_id, &sample, err));
    }
    for (int a = 0; a < session.n_arms; a++) {
        const store_arm_end end = {a, "ok", "", 1};
        GB_TRY(store_timing_arm_end(m->s, timing_id, &end, err));
    }
    timing_outcome outcome = {m->size->blocks, {2, 9}, true};
    const store_timing_result result = {"ok", "", &outcome, "cpu_energy: made up"};
    return store_timing_end(m->s, timing_id, &result, err);
}

/* ---- all of it ---- */

static gb_status scale_runs(scale_maker *m, runplan *plan, bool again, unsigned char *marks,
                            gb_error *err)
{
    int n;
    GB_TRY(runplan_store(plan, m->s, err));
    GB_TRY(store_commit(m->s, err));
    const runplan_run *runs = runplan_runs(plan, &n);
    for (int i = 0; i < n; i++) {
        if (runs[i].planned.to_do) {
            GB_TRY(scale_run(m, plan, &runs[i], i, again, marks, err));
        }
    }
    return store_commit(m->s, err);
}

static gb_status scale_fill(scale_maker *m, runplan *plan, gb_error *err)
{
    unsigned char *marks = calloc((size_t)m->size->steps, 1);
    if (!marks) {
        return gb_fail(err, GB_ERR_OOM, "scale_db: no memory");
    }
    double cpu = scale_cpu_s(RUSAGE_SELF), wall = gb_monotonic_s();
    gb_status status = scale_runs(m, plan, false, marks, err);
    if (status == GB_OK) {
        status = scale_runs(m, plan, true, marks, err); /* the interrupted ones, again */
    }
    if (status == GB_OK) {
        const environment *env = &plan->environments[plan->suite->cells[0].spec.precision];
        const store_engine engine = {env->machine_id, env->probe.backend, "fp32",
                                     env->probe.device.threads};
        status = store_peak_put(m->s, &engine, &(store_peak){1.2e11, 2e10, 0}, err);
    }
    if (status == GB_OK) {
        status = scale_timing(m, plan, err);
    }
    m->totals.cpu_s = scale_cpu_s(RUSAGE_SELF) - cpu;
    m->totals.wall_s = gb_monotonic_s() - wall;
    free(marks);
    return status;
}

/* Writes the suite to `suite_path` and makes the database `db_path`, which must not exist.
 * `program` is gptbench: its worker is asked what the backend is, as in a real run. */
static gb_status scale_db_make(const char *suite_path, const char *db_path, const char *program,
                               const scale_size *size, scale_totals *totals, gb_error *err)
{
    char *worker_argv[] = {(char *)program, (char *)"worker", NULL};
    runner_options runner = runner_options_default(worker_argv);
    runplan_options options = runplan_options_default();
    suite *asked = NULL;
    runplan *plan = NULL;
    scale_maker m = {.size = size, .random = 1};
    options.backend = "cpu";
    GB_TRY(scale_suite_write(suite_path, size, err));
    GB_TRY(suite_read(&asked, suite_path, err));
    gb_status status = runplan_create(&plan, asked, &options, &runner, err);
    if (status == GB_OK) {
        status = store_open(&m.s, db_path, STORE_WRITE, err);
    }
    if (status == GB_OK) {
        status = scale_fill(&m, plan, err);
    }
    store_close(m.s);
    runplan_free(plan);
    suite_free(asked);
    *totals = m.totals;
    return status;
}

#endif
