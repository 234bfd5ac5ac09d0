/* fake_db.h: a results database as a run of a suite would leave it, with made-up but plausible
 * numbers (the same ones each time): noisy step times with a slow start and a heavy tail, falling
 * losses, an op ledger, and a few runs that did not end well. For tests of report and compare. */
#ifndef GPTBENCH_TESTS_FAKE_DB_H
#define GPTBENCH_TESTS_FAKE_DB_H

#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/stats/stats.h"
#include "bench/store/store.h"
#include "kernels/backend.h"

/* A name in /tmp for a database that is not there yet; `path` holds 64 bytes. */
static __attribute__((unused)) void fake_db_name(char path[64])
{
    strcpy(path, "/tmp/gptbench-fake-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) {
        exit(99);
    }
    close(fd);
    unlink(path);
}

/* The database, and what SQLite leaves beside one that was last open for reading. */
static __attribute__((unused)) void fake_db_remove(const char *path)
{
    char beside[80];
    unlink(path);
    snprintf(beside, sizeof beside, "%s-wal", path);
    unlink(beside);
    snprintf(beside, sizeof beside, "%s-shm", path);
    unlink(beside);
}

typedef struct fake_db {
    const char *path;
    const char *suite; /* NULL: fake */
    int configs, replicates, steps;
    bool hostile;     /* names that try to be markup, shell and SQL */
    bool failures;    /* some runs end as nan, killed, planned */
    bool floor_known; /* entropy_rate_nats is set */
    bool peak_known;  /* gemm_peak has a row: 420 GFLOP/s, 20 GB/s */
} fake_db;

static const char *const fake_hostile_names[] = {
    "<script>alert(1)</script>",
    "a|b_c*d*`e`",
    "$(touch pwned)`touch pwned`",
    "quote\"s and 'ticks' \\n\\",
    "@macro {/Symbol x}^2_3 %s %d",
    "&amp;&lt; ]]> --> \xff\xfe",
    "a name that is far longer than any figure has room for, with commas, and = signs, e=2.6667",
};

static uint64_t fake_counter = 0;

static double fake_uniform(void)
{
    return (double)(stats_random_u64(42, fake_counter++) >> 11) * 0x1p-53;
}

static double fake_normal(void)
{
    double radius = sqrt(-2 * log(1 - fake_uniform()));
    return radius * cos(6.283185307179586 * fake_uniform());
}

/* sqlite3_mprintf's formats: %Q quotes a text for SQL. */
static void fake_exec(store *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *sql = sqlite3_vmprintf(format, args);
    va_end(args);
    char *message = NULL;
    if (sqlite3_exec(store_sqlite(s), sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "fake_db: %s in: %.200s\n", message, sql);
        exit(99);
    }
    sqlite3_free(sql);
}

static void fake_name(char *out, size_t size, const fake_db *fake, int i)
{
    static const char *const presets[] = {"d12", "d12_mlp3x", "d12_mlp3x_gqa", "d12_mlp3x_swiglu",
                                          "d12_post_norm_qk_norm"};
    int hostile = (int)(sizeof fake_hostile_names / sizeof *fake_hostile_names);
    if (fake->hostile && i > 0 && i <= hostile) {
        snprintf(out, size, "%s", fake_hostile_names[i - 1]);
    } else if (fake->configs <= 5) {
        snprintf(out, size, "%s", presets[i % 5]);
    } else {
        snprintf(out, size, "e=%d,n_embd=%d%s%s", 2 + i % 3, 640 + 64 * (i / 3 % 5),
                 i / 15 % 2 ? ",swiglu" : "", i / 30 ? ",gqa" : "");
    }
}

/* Of every config: the keys that the columns of `config` say. */
static const char fake_settings[] =
    "{\"vocab_size\":512,\"n_layer\":4,\"n_head\":4,\"n_embd\":256,\"attention_type\":\"standard\","
    "\"n_kv_head\":4,\"mlp_expansion_factor\":4.0,\"mlp_hidden_multiple_of\":0,\"use_swiglu_mlp\":"
    "false,"
    "\"post_norm\":false,\"qk_norm\":false}";

/* Step time and final loss that a config is heading for. */
static double fake_step_ms(int config)
{
    static const double of[] = {182, 187.6, 151.3, 214.9, 193.2};
    return of[config % 5] * (1 + 0.045 * (config / 5));
}

static double fake_final_loss(int config)
{
    static const double of[] = {1.62, 1.601, 1.645, 1.578, 1.615};
    return of[config % 5] - 0.011 * (config / 5);
}

static void fake_steps(store *s, const fake_db *fake, int run, int config)
{
    double total = 0, ms = 0, level = fake_final_loss(config) + 0.004 * fake_normal();
    double shift = 1 + 0.004 * fake_normal();
    for (int i = 0; i <= fake->steps; i++) {
        double loss = level + 3.9 * exp(-i / (0.03 * fake->steps)) +
                      0.9 * exp(-i / (0.3 * fake->steps)) - 0.9 * exp(-1 / 0.3);
        if (i % (fake->steps / 20) == 0) {
            fake_exec(s, "INSERT INTO eval VALUES (%d,%d,%.6f,20480,350.5,%.3f)", run, i,
                      loss + 0.03, total);
        }
        if (i == fake->steps) {
            break;
        }
        const char *tag = i < 10 ? "warmup" : i % (fake->steps / 20) == 0 ? "eval" : "timed";
        tag = i >= fake->steps - 3 ? "profiled" : tag;
        ms = fake_step_ms(config) * shift *
             (1 + 0.008 * fake_normal() + (i < 5 ? 0.5 / (i + 1) : 0));
        ms *= fake_uniform() < 0.03 ? 1.05 + 0.2 * fake_uniform() : 1;
        total += ms;
        fake_exec(s, "INSERT INTO step VALUES (%d,%d,%Q,%.6f,1.5,0.0018,%.6f,1.6e10,%.6f,'',NULL)",
                  run, i, tag, loss + 0.05 * fake_normal(), ms, total / 1e3);
    }
}

static void fake_ops(store *s, int run, int config)
{
    static const double share[] = {0.4, 4, 11, 2.5, 14, 5, 17, 6, 16, 12, 0.3, 6, 0.5, 0.6, 0.2};
    /* GFLOPs of the ops that multiply: linear_qkv, attention, linear_attn_out, the MLP, classifier
     */
    static const double gflops[15] = {
        [2] = 1, [4] = 0.3, [5] = 0.4, [6] = 1.6, [8] = 1.6, [9] = 0.9};
    for (int op = 0; op < GB_OP_COUNT; op++) {
        for (int layer = 0; layer < 4; layer++) {
            double ms = share[op % 15] / 100 / 4 * fake_step_ms(config) * (1 + 0.1 * fake_normal());
            double flops = 1e9 * gflops[op % 15] * fake_step_ms(config) / 182;
            fake_exec(s, "INSERT INTO op_time VALUES (%d,'forward',%d,%Q,3,3,%.6f,%.1f,NULL,NULL)",
                      run, layer, gb_op_name((gb_op)op), ms, flops);
            fake_exec(s, "INSERT INTO op_time VALUES (%d,'backward',%d,%Q,3,3,%.6f,%.1f,NULL,NULL)",
                      run, layer, gb_op_name((gb_op)op), 2 * ms, 2 * flops);
        }
    }
    fake_exec(s, "INSERT INTO op_time VALUES (%d,'eval',0,'attention',3,3,99999,1,NULL,NULL)", run);
    fake_exec(s, "INSERT INTO op_time VALUES (%d,'idle',-1,'unattributed',3,3,%.6f,0,NULL,NULL)",
              run, 0.1 * fake_step_ms(config));
}

/* One step, op after op: down through the layers and up again. */
static void fake_spans(store *s, int run, int config)
{
    static const gb_op ops[] = {GB_OP_NORM, GB_OP_LINEAR_QKV, GB_OP_ATTENTION, GB_OP_LINEAR_MLP_UP};
    enum { LAYERS = 4, OPS = sizeof ops / sizeof *ops };
    double at = 0, length = fake_step_ms(config) / (LAYERS * OPS * 3 + 2);
    int position = 0;
    fake_exec(s, "INSERT INTO op_span VALUES (%d,%d,'forward',-1,'embed',0,%.6f)", run, position++,
              length);
    at += length;
    for (int i = 0; i < 2 * LAYERS * OPS; i++) {
        bool backward = i >= LAYERS * OPS;
        int k = backward ? 2 * LAYERS * OPS - 1 - i : i;
        double took = backward ? 2 * length : length;
        fake_exec(s, "INSERT INTO op_span VALUES (%d,%d,%Q,%d,%Q,%.6f,%.6f)", run, position++,
                  backward ? "backward" : "forward", k / OPS, gb_op_name(ops[k % OPS]), at,
                  at + took);
        at += took;
    }
    fake_exec(s, "INSERT INTO op_span VALUES (%d,%d,'update',-1,'adamw',%.6f,%.6f)", run, position,
              at, at + length);
}

/* A GPU that warms up and, in the middle of the run, slows down for a tenth of it. */
static void fake_samples(store *s, int run, double length_s)
{
    for (int k = 0; k <= 100; k++) {
        bool slow = k > 50 && k <= 60;
        fake_exec(s,
                  "INSERT INTO sample VALUES (%d,%.6f,%d,2619,%.3f,%.1f,%Q,1e9,%.3f,NULL,1.5,%.4f,"
                  "%.4f,NULL)",
                  run, k * 1.1 * length_s / 100, slow ? 1500 : 1950 + 30 * (k % 2),
                  slow ? 400.0 : 620.0 + 7 * (k % 5), 50 + 0.2 * k, slow ? "hw_thermal" : "",
                  6.0 * k * length_s, 0.9 + 0.02 * (k % 5), 0.002 * (k % 4));
    }
    fake_exec(s,
              "UPDATE step SET disturbance = 'throttled,clock_drop' WHERE run_id = %d"
              " AND ended_s > %.6f AND ended_s <= %.6f",
              run, 0.55 * length_s, 0.66 * length_s);
    fake_exec(s, "UPDATE run SET energy_j = 1e5, energy_source = 'gpu_counter' WHERE run_id = %d",
              run);
}

static void fake_run(store *s, const fake_db *fake, int run, int config_id, int config,
                     int replicate)
{
    const char *status = "ok";
    if (fake->failures && config > 0) {
        int kind = (config * 7 + replicate) % 5;
        status = kind == 1 ? "nan" : kind == 3 ? "planned" : "ok";
    }
    bool ok = strcmp(status, "ok") == 0;
    fake_exec(s,
              "INSERT INTO run ("
              "run_id, config_id, replicate, attempt, identity, in_plan, status, "
              "message, backend, precision, threads, isa, precision_note, libraries, "
              "machine_id, program_version, program_commit, compiler, seed, "
              "batch_size, sequence_length, grad_accumulation_steps, tokens_per_step, "
              "num_iterations, steps_done, learning_rate, train_data, val_data, "
              "train_data_hash, val_data_hash, entropy_rate_nats, peak_memory_bytes, "
              "planned_memory_bytes, warmup_steps, pid, created_at, started_at, "
              "ended_at)"
              " VALUES (%d,%d,%d,1,'id%d',1,%Q,%Q,'cpu','fp32',2,'avx512',"
              "NULL,'own products, oneDNN 2.6.3',1,'0.1.0','abc123','gcc 12',1337,8,256,1,2048,"
              "%d,%d,0.0018,'books_*.bin','val.bin','%016x','%016x',%s,%d,%d,10,4242,"
              "'2026-01-01T00:00:00Z','2026-01-01T00:00:01Z','2026-01-01T00:10:00Z')",
              run, config_id, replicate, run, status, ok ? "" : "the loss is not finite at step 17",
              fake->steps, ok ? fake->steps : 17, 0xfeed, 0xbeef,
              fake->floor_known ? "1.2345" : "NULL", 700000000 + 9000000 * config, 690000000);
    if (ok) {
        fake_steps(s, fake, run, config);
        fake_samples(s, run, fake->steps * fake_step_ms(config) / 1e3);
        fake_ops(s, run, config);
        if (replicate == 0) {
            fake_spans(s, run, config);
        }
    }
}

static __attribute__((unused)) void fake_db_make(const fake_db *fake)
{
    store *s = NULL;
    gb_error err = {0};
    const char *name_of_suite = fake->suite ? fake->suite : "fake";
    if (store_open(&s, fake->path, STORE_WRITE, &err) != GB_OK) {
        fprintf(stderr, "fake_db: %s\n", err.message);
        exit(99);
    }
    fake_exec(s, "BEGIN");
    fake_exec(s, "INSERT OR IGNORE INTO machine VALUES (1,'f','host','Linux 6.1','AMD EPYC 9B14',2,"
                 "25769803776,'AMD EPYC 9B14','')");
    if (fake->peak_known) {
        fake_exec(
            s, "INSERT OR IGNORE INTO gemm_peak VALUES (1,'cpu','fp32',2,4.2e11,'2026',2e10,NULL)");
    }
    fake_exec(s,
              "INSERT INTO suite (name,path,text,baseline,replicates,created_at,updated_at)"
              " VALUES (%Q,'suites/fake.ini',%Q,'d12',%d,'2026','2026')",
              name_of_suite, "[suite]\nname = fake\n; <b>http://example.org</b> ```\n",
              fake->replicates);
    int suite_id = (int)sqlite3_last_insert_rowid(store_sqlite(s));
    for (int i = 0; i < fake->configs; i++) {
        char name[256];
        fake_name(name, sizeof name, fake, i);
        double flops = 1.6e7 * (i == 0 ? 1 : fake_step_ms(i) / 182 * (1 + 0.02 * (i % 4 - 1.5)));
        fake_exec(s,
                  "INSERT INTO config VALUES (NULL,%d,%Q,%d,1,%d,512,4,4,256,64,'standard',4,NULL,"
                  "NULL,4.0,1024,0,0,0,%d,%.1f,1e7,1e7,1e7,%Q)",
                  suite_id, name, i, i == 0, 3277000 + 150000 * i, flops, fake_settings);
        int config_id = (int)sqlite3_last_insert_rowid(store_sqlite(s));
        for (int r = 0; r < fake->replicates; r++) {
            fake_run(s, fake, config_id * 100 + r, config_id, i, r);
        }
    }
    fake_exec(s, "COMMIT");
    store_close(s);
}

/* ---- interleaved timing ---- */

enum { FAKE_LEAD = 2, FAKE_TIMED = 8, FAKE_PROCESS_WARMUP = 10 };

typedef struct fake_session {
    int timing_id, position;
    double now_s;
} fake_session;

static double fake_step(store *s, fake_session *session, int arm, int block, const char *tag,
                        double ms)
{
    char at[16];
    snprintf(at, sizeof at, "%d", block);
    session->now_s += ms / 1e3;
    fake_exec(s, "INSERT INTO burst_step VALUES (%d,%d,%d,nullif(%s,-1),%Q,%.6f,%.6f,%Q)",
              session->timing_id, session->position, arm, at, tag, ms, session->now_s,
              session->position % 97 == 96 ? "clock_drop" : "");
    session->position++;
    return ms;
}

static int fake_double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The machine slows down by 2 % over the session, and every block has a weather of its own. */
static void fake_burst(store *s, fake_session *session, int arm, int config, int block, int blocks,
                       double weather)
{
    double began_s = session->now_s, sorted[FAKE_TIMED] = {0}, sum = 0;
    double level =
        fake_step_ms(config) * (1 + 0.02 * block / blocks) * weather * (1 + 0.003 * fake_normal());
    for (int k = 0; k < FAKE_LEAD + FAKE_TIMED; k++) {
        double ms = level * (1 + 0.004 * fake_normal()) * (fake_uniform() < 0.03 ? 1.15 : 1);
        fake_step(s, session, arm, block, k < FAKE_LEAD ? "warmup" : "timed", ms);
        if (k >= FAKE_LEAD) {
            sorted[k - FAKE_LEAD] = ms;
            sum += ms;
        }
    }
    qsort(sorted, FAKE_TIMED, sizeof *sorted, fake_double_compare);
    fake_exec(s, "INSERT INTO burst VALUES (%d,%d,%d,%d,1,%.9f,%.9f,%.6f,%.6f)", session->timing_id,
              block, arm, arm, (sorted[3] + sorted[4]) / 2, sum / FAKE_TIMED, began_s,
              session->now_s);
}

/* Blocks that an arm got through. */
static int fake_arm_blocks(int arm, int configs, int blocks, bool failures)
{
    bool failed = failures && arm < configs;
    return failed && arm == 2 ? 0 : failed && arm == 3 ? blocks / 2 : blocks;
}

/* Adds a session of interleaved timing to what fake_db_make has made; with `failures` configs 2 and
 * 3 do not get through it. Config k is arm k, the control comes last. */
static __attribute__((unused)) void fake_db_add_timing(const fake_db *fake, int blocks,
                                                       bool failures)
{
    store *s = NULL;
    const char *name = fake->suite ? fake->suite : "fake";
    if (store_open(&s, fake->path, STORE_WRITE, NULL) != GB_OK) {
        exit(99);
    }
    fake_exec(s, "BEGIN");
    fake_exec(
        s,
        "INSERT INTO timing (suite_id, identity, status, machine_id, program_version,"
        " program_commit, compiler, seed, min_blocks, max_blocks, stop_precision,"
        " process_blocks, blocks_done, lead_steps, timed_steps, precision_reached,"
        " sensors_missing, started_at, ended_at) VALUES ((SELECT suite_id FROM suite WHERE name ="
        " %Q),'t','ok',1,'0.1.0','abc123',"
        "'gcc 12',9,10,40,0.01,8,%d,%d,%d,1,'gpu: no GPU here','2026-01-01T00:00:00Z',"
        "'2026-01-01T00:30:00Z')",
        name, blocks, FAKE_LEAD, FAKE_TIMED);
    fake_session session = {(int)sqlite3_last_insert_rowid(store_sqlite(s)), 0, 0};
    for (int arm = 0; arm <= fake->configs; arm++) {
        bool control = arm == fake->configs;
        bool half = fake_arm_blocks(arm, fake->configs, blocks, failures) < blocks;
        fake_exec(
            s,
            "INSERT INTO timing_arm SELECT %d,%d,config_id,%d,%d,'cpu','fp32',2,'avx512',2048,"
            "%Q,%Q,%d FROM config JOIN suite USING (suite_id) WHERE suite.name = %Q AND"
            " position = %d",
            session.timing_id, arm, control, arm == 0,
            !half      ? "ok"
            : arm == 2 ? "oom"
                       : "nan",
            half ? "it was <not> to be" : "", 1 + blocks / 8, name, control ? 0 : arm);
        for (int k = 0; k < FAKE_PROCESS_WARMUP; k++) {
            fake_step(s, &session, arm, -1, "warmup", 200);
        }
    }
    for (int block = 0; block < blocks; block++) {
        double weather = 1 + 0.004 * fake_normal();
        for (int arm = 0; arm <= fake->configs; arm++) {
            if (block < fake_arm_blocks(arm, fake->configs, blocks, failures)) {
                fake_burst(s, &session, arm, arm == fake->configs ? 0 : arm, block, blocks,
                           weather);
            }
        }
        fake_exec(s,
                  "INSERT INTO timing_sample (timing_id, at_s, cpu_clock_mhz) VALUES (%d,%.6f,%d)",
                  session.timing_id, session.now_s, 2900 + 100 * (block % 3));
    }
    fake_exec(s, "COMMIT");
    store_close(s);
}

#endif
