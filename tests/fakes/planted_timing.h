/* planted_timing.h: a session of interleaved timing with planted times, added to a database that
 * fake_db.h made: what comes out is known beforehand.
 *
 * The logarithm of a burst's time is that of its config's `ms`, plus `weather` (the same for all
 * arms of a block) and `noise` (its own) times a normal quantile. The quantiles of (b + 1/2) /
 * blocks are dealt out over the blocks in another order for each arm and `shuffle`, such that the
 * first block has minus what the last has, and so on: of the noise and of differences of it the
 * mean, the median and the trimmed mean are 0. */
#ifndef GPTBENCH_TESTS_PLANTED_TIMING_H
#define GPTBENCH_TESTS_PLANTED_TIMING_H

#include <math.h>

#include "bench/stats/stats.h"
#include "tests/fakes/fake_db.h"

typedef struct planted {
    const char *path;
    int blocks; /* no multiple of 7, 11, 13, 17, 19 or 23 */
    double weather, noise, clock_mhz;
    int shuffle;
    int n;
    struct {
        const char *config;
        double ms;
        int tokens;         /* per step; 0: 2048 */
        const char *failed; /* status of the arm with a message; NULL: ok */
    } arms[4];              /* the first is the baseline */
} planted;

static inline double planted_quantile(int block, int blocks, int which)
{
    static const int steps[] = {7, 11, 13, 17, 19, 23};
    int u = 2 * block + 1 - blocks, v = u * steps[which % 6] % (2 * blocks); /* odd in u */
    v += v > blocks ? -2 * blocks : v < -blocks ? 2 * blocks : 0;
    return stats_normal_quantile((v + blocks) / (2.0 * blocks));
}

static inline void planted_burst(store *s, const planted *p, int timing_id, int block, int arm)
{
    double ms =
        p->arms[arm].ms * exp(p->weather * planted_quantile(block, p->blocks, 5) +
                              p->noise * planted_quantile(block, p->blocks, arm + p->shuffle));
    double at_s = 10.0 * block + arm;
    int position = 2 * (block * p->n + arm);
    fake_exec(s, "INSERT INTO burst VALUES (%d,%d,%d,%d,1,%!.17g,%!.17g,%.3f,%.3f)", timing_id,
              block, arm, arm, ms, ms, at_s, at_s + 0.5);
    for (int step = 0; step < 2; step++) {
        fake_exec(s, "INSERT INTO burst_step VALUES (%d,%d,%d,%d,'timed',%!.17g,%.3f,'')",
                  timing_id, position + step, arm, block, ms, at_s + 0.2);
    }
}

/* Returns the session's timing_id. */
static inline int planted_add(const planted *p)
{
    store *s = NULL;
    if (store_open(&s, p->path, STORE_WRITE, NULL) != GB_OK) {
        exit(99);
    }
    fake_exec(s, "BEGIN");
    fake_exec(s,
              "INSERT INTO timing (suite_id, identity, status, machine_id, program_version,"
              " program_commit, compiler, seed, min_blocks, max_blocks, process_blocks,"
              " blocks_done, lead_steps, timed_steps, started_at, ended_at)"
              " VALUES (1,'planted','ok',1,'0.1.0','abc123','gcc 12',7,%d,%d,0,%d,0,2,"
              "'2026-01-01T00:00:00Z','2026-01-01T00:10:00Z')",
              p->blocks, p->blocks, p->blocks);
    int timing_id = (int)sqlite3_last_insert_rowid(store_sqlite(s));
    for (int arm = 0; arm < p->n; arm++) {
        const char *failed = p->arms[arm].failed;
        fake_exec(
            s,
            "INSERT INTO timing_arm SELECT %d,%d,config_id,0,%d,'cpu','fp32',2,'avx512',%d,%Q,"
            "%Q,1 FROM config WHERE name = %Q",
            timing_id, arm, arm == 0, p->arms[arm].tokens ? p->arms[arm].tokens : 2048,
            failed ? failed : "ok", failed ? "it did not fit" : "", p->arms[arm].config);
    }
    for (int block = 0; block < p->blocks; block++) {
        for (int arm = 0; arm < p->n; arm++) {
            planted_burst(s, p, timing_id, block, arm);
        }
        if (p->clock_mhz > 0) {
            fake_exec(s,
                      "INSERT INTO timing_sample (timing_id, at_s, cpu_clock_mhz) VALUES (%d,%d,"
                      "%.1f)",
                      timing_id, 10 * block, p->clock_mhz + block % 3 - 1);
        }
    }
    fake_exec(s, "COMMIT");
    store_close(s);
    return timing_id;
}

static inline void planted_sql(const char *path, const char *text)
{
    store *s = NULL;
    if (store_open(&s, path, STORE_WRITE, NULL) != GB_OK) {
        exit(99);
    }
    fake_exec(s, "%s", text);
    store_close(s);
}

#endif
