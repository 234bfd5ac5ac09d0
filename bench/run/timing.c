#include "bench/run/timing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats/stats.h"

static int64_t steps_in(double ms, double step_ms, int64_t least, int64_t most)
{
    double steps = ceil(ms / step_ms);
    return steps > (double)least ? (steps < (double)most ? (int64_t)steps : most) : least;
}

train_burst timing_burst_size(const timing_options *options, double baseline_step_ms)
{
    train_burst burst = {1, options->burst_steps};
    double step_ms = baseline_step_ms > 1e-3 ? baseline_step_ms : 1e-3;
    burst.lead_steps = steps_in(TIMING_LEAD_MS, step_ms, 1, TIMING_MAX_BURST_STEPS);
    if (burst.timed_steps == 0) {
        burst.timed_steps =
            steps_in(TIMING_BURST_MS, step_ms, TIMING_MIN_BURST_STEPS, TIMING_MAX_BURST_STEPS);
    }
    return burst;
}

void timing_block_order(int *order, int n_arms, uint64_t seed, int64_t block)
{
    for (int i = 0; i < n_arms; i++) {
        order[i] = i;
    }
    /* Fisher and Yates; every block has its own stretch of the generator. */
    for (int i = n_arms - 1; i > 0; i--) {
        uint64_t counter = (uint64_t)block * TIMING_MAX_ARMS + (uint64_t)i;
        int j = (int)stats_random_below(seed, counter, (uint64_t)i + 1);
        int swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

/* ---- the table ---- */

double timing_table_get(const timing_table *table, int arm, int64_t block)
{
    return table->step_ms[(int64_t)arm * table->capacity + block];
}

static gb_status table_make(timing_table *table, int n_arms, int64_t capacity, gb_error *err)
{
    *table = (timing_table){.n_arms = n_arms, .capacity = capacity};
    size_t n = (size_t)n_arms * (size_t)capacity;
    table->step_ms = malloc(n * sizeof *table->step_ms);
    if (!table->step_ms) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %d arms and %lld blocks", n_arms,
                       (long long)capacity);
    }
    for (size_t i = 0; i < n; i++) {
        table->step_ms[i] = NAN;
    }
    return GB_OK;
}

void timing_table_free(timing_table *table)
{
    free(table->step_ms);
    *table = (timing_table){.n_arms = 0};
}

/* ---- a session ---- */

typedef struct session {
    const timing_options *options;
    const timing_executor *executor;
    int n_arms, baseline;
    int *order;
    bool *out; /* arms that failed */
    timing_table *table;
    timing_outcome *outcome;
} session;

/* An arm that failed is out; only the baseline takes the others with it. */
static gb_status arm_status(session *s, int arm, gb_status status)
{
    if (status == GB_ERR_NAN || status == GB_ERR_OOM || status == GB_ERR_FAILED) {
        s->out[arm] = true;
        return arm == s->baseline ? status : GB_OK;
    }
    return status;
}

static gb_status block_do(session *s, int64_t block, gb_error *err)
{
    const timing_executor *ex = s->executor;
    const int64_t lifetime = s->options->process_blocks;
    timing_block_order(s->order, s->n_arms, (uint64_t)s->options->seed, block);
    for (int i = 0; i < s->n_arms; i++) {
        const timing_turn turn = {s->order[i], block, i};
        const int arm = turn.arm;
        double step_ms = NAN;
        if (s->out[arm]) {
            continue;
        }
        if (lifetime > 0 && block > 0 && block % lifetime == 0) {
            ex->retire(ex->user, arm);
        }
        GB_TRY(arm_status(s, arm, ex->burst(ex->user, &turn, &s->outcome->burst, &step_ms, err)));
        if (!s->out[arm]) {
            s->table->step_ms[(int64_t)arm * s->table->capacity + block] = step_ms;
        }
    }
    s->table->n_blocks = s->outcome->blocks_done = block + 1;
    return ex->block_done(ex->user, s->table, err);
}

static gb_status blocks_do(session *s, gb_error *err)
{
    const timing_options *o = s->options;
    const bool may_stop = o->stop_precision > 0;
    const int64_t most = may_stop ? o->max_blocks : o->blocks;
    bool enough = false;
    for (int64_t block = 0; block < most && !enough; block++) {
        GB_TRY(block_do(s, block, err));
        if (may_stop && block + 1 >= o->blocks) {
            GB_TRY(
                s->executor->precise(s->executor->user, s->table, o->stop_precision, &enough, err));
        }
    }
    s->outcome->precision_reached = enough;
    return GB_OK;
}

gb_status timing_run(const timing_options *options, const timing_executor *executor,
                     timing_table *table, timing_outcome *outcome, gb_error *err)
{
    const int n_arms = executor->n_arms, baseline = executor->baseline;
    const int64_t most = options->stop_precision > 0 ? options->max_blocks : options->blocks;
    session s = {.options = options,
                 .executor = executor,
                 .n_arms = n_arms,
                 .baseline = baseline,
                 .table = table,
                 .outcome = outcome};
    double step_ms = NAN;
    *outcome = (timing_outcome){.blocks_done = 0};
    GB_TRY(table_make(table, n_arms, most, err));
    s.order = calloc((size_t)n_arms, sizeof *s.order);
    s.out = calloc((size_t)n_arms, sizeof *s.out);
    gb_status status = s.order && s.out ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory to time");
    if (status == GB_OK) {
        status = executor->settle(executor->user, baseline, &step_ms, err);
    }
    if (status == GB_OK) {
        outcome->burst = timing_burst_size(options, step_ms);
        status = blocks_do(&s, err);
    }
    free(s.order);
    free(s.out);
    return status;
}
