/* Sessions of interleaved timing, their arms, bursts and steps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/read/facts_internal.h"
#include "kernels/checked.h"

/* What is believed of a file: room is made for every arm in every block. */
#define SESSION_MAX_BURSTS (1 << 24)

/* ---- sessions ---- */

/* What was sampled beside a session: the clock of what computes, which is the GPU where it has one.
 */
#define SAMPLED(what) "(SELECT " what " FROM timing_sample x WHERE x.timing_id = t.timing_id)"
#define CLOCK         "coalesce(gpu_clock_mhz, cpu_clock_mhz)"
#define MEDIAN(column)                                                                             \
    "(SELECT avg(mhz) FROM (SELECT " column " AS mhz, row_number() OVER (ORDER BY " column         \
    ") AS rank, count(*) OVER () AS n FROM timing_sample x WHERE x.timing_id = t.timing_id "       \
    "AND " column " > 0) WHERE rank IN ((n + 1) / 2, (n + 2) / 2))"

#define TIMING(column, type, field)                                                                \
    {                                                                                              \
        column, type, offsetof(timing_facts, field)                                                \
    }
#define SAME(field, type)                                                                          \
    {                                                                                              \
#field, type, offsetof(timing_facts, field)                                                \
    }
static const row_field TIMING_FIELDS[] = {
    SAME(timing_id, ROW_INT),
    SAME(seed, ROW_INT),
    TIMING("min(blocks_done, (SELECT count(*) FROM burst b WHERE b.timing_id = t.timing_id))",
           ROW_INT, blocks),
    SAME(min_blocks, ROW_INT),
    SAME(max_blocks, ROW_INT),
    SAME(process_blocks, ROW_INT),
    SAME(lead_steps, ROW_INT),
    SAME(timed_steps, ROW_INT),
    SAME(stop_precision, ROW_REAL),
    SAME(precision_reached, ROW_BOOL),
    SAME(started_at, ROW_TEXT),
    SAME(ended_at, ROW_TEXT),
    SAME(program_version, ROW_TEXT),
    SAME(program_commit, ROW_TEXT),
    SAME(compiler, ROW_TEXT),
    SAME(sensors_missing, ROW_TEXT),
    SAME(machine_id, ROW_INT),
    TIMING(SAMPLED("count(*)"), ROW_INT, samples),
    TIMING(SAMPLED("avg(" CLOCK ")"), ROW_REAL, clock_mean_mhz),
    TIMING(SAMPLED("min(" CLOCK ")"), ROW_REAL, clock_low),
    TIMING(SAMPLED("max(" CLOCK ")"), ROW_REAL, clock_high),
    TIMING(MEDIAN("gpu_clock_mhz"), ROW_REAL, gpu_clock_median_mhz),
    TIMING(MEDIAN("cpu_clock_mhz"), ROW_REAL, cpu_clock_median_mhz),
    TIMING(SAMPLED("max(gpu_temperature_c)"), ROW_REAL, temperature_high_c),
    TIMING(SAMPLED("avg(gpu_power_w)"), ROW_REAL, power_mean_w),
};

/* ---- arms ---- */

#define ARM(column, type, field)                                                                   \
    {                                                                                              \
        column, type, offsetof(timing_arm, field)                                                  \
    }
static const row_field ARM_FIELDS[] = {
    ARM("config_id", ROW_INT, config_id),
    ARM("is_control", ROW_BOOL, is_control),
    ARM("is_baseline", ROW_BOOL, is_baseline),
    ARM("status", ROW_TEXT, status),
    ARM("message", ROW_TEXT, message),
    ARM("backend", ROW_TEXT, backend),
    ARM("precision", ROW_TEXT, precision),
    ARM("isa", ROW_TEXT, isa),
    ARM("threads", ROW_INT, threads),
    ARM("tokens_per_step", ROW_INT, tokens_per_step),
    ARM("processes", ROW_INT, processes),
    ARM("coalesce(warmup, 0)", ROW_INT, warmup_steps),
    ARM("coalesce(marked, 0)", ROW_INT, marked),
};

static double *nans(int64_t n)
{
    double *x = malloc((size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; x && i < n; i++) {
        x[i] = NAN;
    }
    return x;
}

static gb_status arms_read(row_reader *r, const facts *f, timing_facts *t)
{
    static const row_table arms = ROW_TABLE(ARM_FIELDS, timing_arm);
    GB_TRY(rows_read_few(r, &arms,
                         "FROM timing_arm a LEFT JOIN"
                         " (SELECT arm, sum(tag = 'warmup') AS warmup,"
                         "  sum(tag = 'timed' AND disturbance IS NOT NULL AND disturbance <> '')"
                         "  AS marked FROM burst_step WHERE timing_id = ?1 GROUP BY arm) b"
                         " ON b.arm = a.arm WHERE a.timing_id = ?1 ORDER BY a.arm",
                         t->timing_id, (void **)&t->arms, &t->n_arms));
    if (gb_times(t->n_arms, t->blocks) > SESSION_MAX_BURSTS) {
        return gb_fail(r->err, GB_ERR_FORMAT,
                       "%s: session %lld claims %lld blocks of %d arms; no session is that long",
                       r->path, (long long)t->timing_id, (long long)t->blocks, t->n_arms);
    }
    for (int a = 0; a < t->n_arms; a++) {
        timing_arm *arm = &t->arms[a];
        arm->config = facts_find_config(f, arm->config_id);
        if (arm->is_baseline) {
            t->baseline = a;
        } else if (arm->is_control) {
            t->control = a;
        }
    }
    return GB_OK;
}

/* ---- bursts and steps ---- */

typedef struct burst_row {
    int64_t block, arm;
    double median_ms, mean_ms, began_s;
} burst_row;

#define BURST(field, type)                                                                         \
    {                                                                                              \
#field, type, offsetof(burst_row, field)                                                   \
    }
static const row_field BURST_FIELDS[] = {
    BURST(block, ROW_INT),    BURST(arm, ROW_INT),      BURST(median_ms, ROW_REAL),
    BURST(mean_ms, ROW_REAL), BURST(began_s, ROW_REAL),
};

static bool bursts_make_room(timing_facts *t)
{
    bool room = (t->began_hours = nans(t->blocks)) != NULL;
    for (int a = 0; a < t->n_arms; a++) {
        t->arms[a].median_ms = nans(t->blocks);
        t->arms[a].mean_ms = nans(t->blocks);
        room = room && t->arms[a].median_ms && t->arms[a].mean_ms;
    }
    return room;
}

static gb_status bursts_read(row_reader *r, timing_facts *t)
{
    static const row_table bursts = ROW_TABLE(BURST_FIELDS, burst_row);
    burst_row *rows = NULL;
    int64_t n = 0;
    gb_status status =
        rows_read(r, &bursts, "FROM burst WHERE timing_id = ?1 ORDER BY block, position",
                  t->timing_id, (void **)&rows, &n);
    if (status == GB_OK && !bursts_make_room(t)) {
        status = gb_fail(r->err, GB_ERR_OOM, "no memory for %lld blocks", (long long)t->blocks);
    }
    for (int64_t i = 0; status == GB_OK && i < n; i++) {
        const burst_row *x = &rows[i];
        if (x->block < 0 || x->block >= t->blocks || x->arm < 0 || x->arm >= t->n_arms) {
            continue; /* of a block that was not finished */
        }
        t->arms[x->arm].median_ms[x->block] = x->median_ms;
        t->arms[x->arm].mean_ms[x->block] = x->mean_ms;
        if (isnan(t->began_hours[x->block])) {
            t->began_hours[x->block] = x->began_s / 3600; /* its first burst */
        }
    }
    free(rows);
    return status;
}

typedef struct timed_row {
    int64_t arm, block;
    double step_ms;
} timed_row;

#define TIMED(field, type)                                                                         \
    {                                                                                              \
#field, type, offsetof(timed_row, field)                                                   \
    }
static const row_field TIMED_FIELDS[] = {TIMED(arm, ROW_INT), TIMED(block, ROW_INT),
                                         TIMED(step_ms, ROW_REAL)};

static gb_status timed_steps_read(row_reader *r, timing_facts *t)
{
    static const row_table steps = ROW_TABLE(TIMED_FIELDS, timed_row);
    timed_row *rows = NULL;
    int64_t n = 0;
    gb_status status = rows_read(r, &steps,
                                 "FROM burst_step WHERE timing_id = ?1 AND tag = 'timed'"
                                 " AND block IS NOT NULL ORDER BY position",
                                 t->timing_id, (void **)&rows, &n);
    for (int64_t i = 0; status == GB_OK && i < n; i++) {
        if (rows[i].arm < 0 || rows[i].arm >= t->n_arms || rows[i].block >= t->blocks) {
            continue;
        }
        timing_arm *arm = &t->arms[rows[i].arm];
        if (!ROW_GROW(arm->timed_ms, (int64_t)arm->n_timed)) {
            status = gb_fail(r->err, GB_ERR_OOM, "no memory to read %s", r->path);
            break;
        }
        arm->timed_ms[arm->n_timed++] = rows[i].step_ms;
    }
    free(rows);
    return status;
}

/* ---- the newest for each config ---- */

static bool timing_has(const timing_facts *t, const timing_arm *wanted, int machine)
{
    for (int a = 0; a < t->n_arms; a++) {
        const timing_arm *arm = &t->arms[a];
        if (arm->config == wanted->config && !arm->is_control && t->machine == machine &&
            strcmp(arm->backend, wanted->backend) == 0 &&
            strcmp(arm->precision, wanted->precision) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether it has a config of today's plan that none of the n newer ones has on that machine, with
 * that backend and precision. The baseline counts where it is alone with its control: it is in
 * every session. */
static bool timing_is_new(const timing_facts *t, const timing_facts *newer, int n)
{
    bool alone = t->n_arms <= 1 + (t->control >= 0);
    for (int a = 0; a < t->n_arms; a++) {
        const timing_arm *arm = &t->arms[a];
        if (arm->config < 0 || arm->is_control || (!alone && arm->is_baseline)) {
            continue;
        }
        int k = 0;
        while (k < n && !timing_has(&newer[k], arm, t->machine)) {
            k++;
        }
        if (k == n) {
            return true;
        }
    }
    return false;
}

static gb_status timing_fill(row_reader *r, const facts *f, timing_facts *t, int n_newer,
                             bool *keep)
{
    t->baseline = t->control = -1;
    t->machine = facts_find_machine(f, t->machine_id);
    GB_TRY(arms_read(r, f, t));
    *keep = t->baseline >= 0 && t->arms[t->baseline].config >= 0 &&
            timing_is_new(t, f->timings, n_newer);
    if (!*keep) {
        return GB_OK;
    }
    GB_TRY(bursts_read(r, t));
    return timed_steps_read(r, t);
}

gb_status timing_rows_read(row_reader *r, facts *f)
{
    static const row_table timings = ROW_TABLE(TIMING_FIELDS, timing_facts);
    int n = 0, kept = 0;
    gb_status status =
        rows_read_few(r, &timings,
                      "FROM timing t WHERE suite_id = ?1 AND status = 'ok' AND blocks_done > 0"
                      " AND EXISTS (SELECT 1 FROM burst b WHERE b.timing_id = t.timing_id)"
                      " ORDER BY timing_id DESC",
                      f->suite_id, (void **)&f->timings, &n);
    for (int i = 0; i < n && status == GB_OK; i++) {
        bool keep = false;
        status = timing_fill(r, f, &f->timings[i], kept, &keep);
        if (status == GB_OK && keep) {
            timing_facts moved = f->timings[i];
            f->timings[i] = f->timings[kept];
            f->timings[kept++] = moved;
        }
    }
    for (int i = status == GB_OK ? kept : 0; i < n; i++) {
        timing_facts_free(&f->timings[i]);
    }
    f->n_timings = status == GB_OK ? kept : 0;
    return status;
}

void timing_facts_free(timing_facts *t)
{
    for (int a = 0; a < t->n_arms; a++) {
        free(t->arms[a].median_ms);
        free(t->arms[a].mean_ms);
        free(t->arms[a].timed_ms);
    }
    free(t->arms);
    free(t->began_hours);
    *t = (timing_facts){.baseline = -1, .control = -1};
}
