-- The results database of gptbench. Public: scripts query the views.
-- Units stand in the column names; times are UTC, ISO 8601; fractions are fractions of 1.
-- Every statement here runs once, on an empty file. An older file is brought up to date by
-- bench/store/migrations.c; then the views, which stand last, are dropped and made anew.
--
-- How to add a column:
--   1. Here: at the end of its table, with a comment. NOT NULL needs a DEFAULT.
--   2. bench/store/migrations.c: a line at the end of the list, with the next version and
--      ALTER TABLE ... ADD COLUMN as it stands here. That is the newest version from then on. What
--      older rows have elsewhere is copied in the same line: UPDATE config SET x =
--      json_extract(settings_json, '$.x').
--   3. Who writes it: of a config or a planned run one line in bench/store/store_columns.h; of other
--      tables the INSERT or UPDATE in bench/store/store_*.c that writes the table's other columns.
--   4. Who reads it: bench/read/row_reader.h.
--   5. docs/DATABASE.md: the version in its list; the column, if people should query it.
--   6. Tests that know every column: tests/unit/store/test_store_columns.c, test_migration in
--      tests/unit/report/test_scale.c, tests/fakes/fake_db.h, tests/perf/bench_db.c.
-- A table goes to the end of the tables, below a heading "-- ---- version N: ...", and its line in
-- migrations.c is {N, ""}: it is made from the text below that heading. A view is changed here alone;
-- a line {N, ";"} makes older files take it over.
--
-- A row of table `session` is what the code calls a segment: what one process did of a run. A
-- session of interleaved timing is a row of table `timing`.

-- 'gptb': tells a database of ours from any other SQLite file.
PRAGMA application_id = 1735423074;

CREATE TABLE schema_version (
  version         INTEGER PRIMARY KEY,
  applied_at      TEXT NOT NULL,
  program_version TEXT NOT NULL
) STRICT;

-- One row per suite name. Running a changed suite under the same name updates the row; runs that
-- are still true are kept (see run.identity).
CREATE TABLE suite (
  suite_id    INTEGER PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  path        TEXT NOT NULL,          -- as given on the command line
  text        TEXT NOT NULL,          -- the whole file, byte for byte
  baseline    TEXT NOT NULL,          -- config.name that others are compared with
  replicates  INTEGER NOT NULL,
  created_at  TEXT NOT NULL,
  updated_at  TEXT NOT NULL
) STRICT;

-- One row per machine as a run sees it: another driver or core count is another machine.
CREATE TABLE machine (
  machine_id     INTEGER PRIMARY KEY,
  fingerprint    TEXT NOT NULL UNIQUE, -- hash of the columns below
  hostname       TEXT NOT NULL,
  os             TEXT NOT NULL,        -- uname: system, release
  cpu            TEXT NOT NULL,
  cpu_count      INTEGER NOT NULL,     -- that this process may use
  memory_bytes   INTEGER NOT NULL,
  device         TEXT NOT NULL,        -- what computes: the CPU again, or the GPU
  driver         TEXT NOT NULL
) STRICT;

-- Measured large-GEMM rate, the denominator of MFU, and rate of a large copy, the other half of the
-- roofline: the best of those measured on a machine with a backend, precision, threads.
CREATE TABLE gemm_peak (
  machine_id    INTEGER NOT NULL REFERENCES machine ON DELETE CASCADE,
  backend       TEXT NOT NULL,
  precision     TEXT NOT NULL,
  threads       INTEGER NOT NULL,
  flops_per_s   REAL NOT NULL,
  measured_at   TEXT NOT NULL,
  copy_bytes_per_s REAL,               -- read and written bytes together; NULL: not measured
  sustained_flops_per_s REAL,          -- what the product keeps up for a second and more; NULL: not told from flops_per_s
  PRIMARY KEY (machine_id, backend, precision, threads)
) STRICT, WITHOUT ROWID;

-- One row per cell of the matrix. A cell whose settings change under the same name becomes a new
-- row; the old one stays, with its runs, as in_plan = 0.
CREATE TABLE config (
  config_id                  INTEGER PRIMARY KEY,
  suite_id                   INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
  name                       TEXT NOT NULL,
  position                   INTEGER NOT NULL, -- order in the suite, from 0
  in_plan                    INTEGER NOT NULL, -- 1 while the suite's current text has this cell
  is_baseline                INTEGER NOT NULL,
  -- the model (docs/MODEL.md)
  vocab_size                 INTEGER NOT NULL,
  n_layer                    INTEGER NOT NULL,
  n_head                     INTEGER NOT NULL,
  n_embd                     INTEGER NOT NULL,
  head_dim                   INTEGER NOT NULL,
  attention_type             TEXT NOT NULL,
  n_kv_head                  INTEGER NOT NULL, -- as attention sees it
  window_size                INTEGER,          -- NULL: full causal
  n_latent                   INTEGER,          -- NULL unless latent
  mlp_expansion_factor       REAL NOT NULL,
  mlp_hidden                 INTEGER NOT NULL,
  use_swiglu_mlp             INTEGER NOT NULL,
  post_norm                  INTEGER NOT NULL,
  qk_norm                    INTEGER NOT NULL,
  n_params                   INTEGER NOT NULL, -- tied matrix once
  flops_per_token            REAL NOT NULL,    -- exact, at this suite's sequence_length
  flops_per_token_6n         REAL NOT NULL,
  flops_per_token_nanogpt    REAL NOT NULL,
  flops_per_token_llmc       REAL NOT NULL,
  settings_json              TEXT NOT NULL     -- every model and train key, resolved; no paths
) STRICT;
CREATE UNIQUE INDEX config_in_plan ON config (suite_id, name) WHERE in_plan = 1;
CREATE INDEX config_by_suite ON config (suite_id);

-- One row per attempt at (config, replicate). A run that was interrupted or is tried again keeps
-- its row and its data; the next try is a new row with the next attempt number.
CREATE TABLE run (
  run_id               INTEGER PRIMARY KEY,
  config_id            INTEGER NOT NULL REFERENCES config ON DELETE CASCADE,
  replicate            INTEGER NOT NULL,       -- from 0
  attempt              INTEGER NOT NULL,       -- from 1
  identity             TEXT NOT NULL,          -- hash of all that defines the result
  in_plan              INTEGER NOT NULL,       -- 0 once the suite's text asks for something else
  status               TEXT NOT NULL CHECK (status IN
    ('planned','running','ok','nan','oom','failed','killed','interrupted')),
  message              TEXT NOT NULL DEFAULT '', -- why the status is not ok
  backend              TEXT NOT NULL,
  precision            TEXT NOT NULL,
  threads              INTEGER NOT NULL,
  isa                  TEXT,                   -- code path in use: avx512_bf16, sm_90a
  precision_note       TEXT,                   -- how the precision is emulated, where it is
  libraries            TEXT,                   -- with versions
  machine_id           INTEGER REFERENCES machine,
  program_version      TEXT NOT NULL,
  program_commit       TEXT NOT NULL,
  compiler             TEXT NOT NULL,
  seed                 INTEGER NOT NULL,       -- of the suite; replicate shifts it
  batch_size           INTEGER NOT NULL,
  sequence_length      INTEGER NOT NULL,
  grad_accumulation_steps INTEGER NOT NULL,
  tokens_per_step      INTEGER NOT NULL,
  num_iterations       INTEGER NOT NULL,
  steps_done           INTEGER NOT NULL DEFAULT 0,
  learning_rate        REAL NOT NULL,
  train_data           TEXT NOT NULL,
  val_data             TEXT NOT NULL,
  train_data_hash      TEXT,
  val_data_hash        TEXT,
  entropy_rate_nats    REAL,                   -- of the validation source, where known exactly
  peak_memory_bytes    INTEGER,                -- measured
  planned_memory_bytes INTEGER,                -- predicted, the process included (docs/MEASURING.md)
  warmup_steps         INTEGER,                -- leading steps dropped from step_avg
  pid                  INTEGER,
  created_at           TEXT NOT NULL,
  started_at           TEXT,
  ended_at             TEXT,
  profile_note         TEXT,                   -- what per-op times lack, and why, and what the profiler took; NULL: nothing to say
  energy_j             REAL,                   -- of the last session's timed steps, by what computed
  energy_source        TEXT,                   -- gpu_counter, gpu_power, cpu_package; NULL with it
  sensors_missing      TEXT,                   -- 'cpu_clock: why; ...'; NULL: nothing was sampled
  spans_zero_s         REAL,                   -- begin of the first op in op_span, on the clock of ended_s
  resumed_from         INTEGER,                -- run_id of the attempt that this one goes on from
  resumed_step         INTEGER,                -- how many of its steps stand here too; NULL with it
  runner_id            INTEGER,                -- who has it or did it (table runner); NULL before version 6
  lr_scale             REAL NOT NULL DEFAULT 1, -- learning_rate is this times what the suite asks for:
                                               -- a power of a half (on_nan = halve_lr)
  process_memory_bytes INTEGER,                -- of the worker before it opened anything; a part of
                                               -- planned_memory_bytes; 0 where a GPU computes
  val_tokens           INTEGER,                -- of a validation; NULL: planned before version 11, never validated
  val_stretch_hash     TEXT,                   -- of the tokens that a validation reads, whatever the files are
                                               -- called and hold beyond them; NULL before version 11
  UNIQUE (config_id, replicate, identity, attempt)
) STRICT;
CREATE INDEX run_by_identity ON run (identity);

-- Every optimiser step, raw. Nothing is ever removed or averaged here.
CREATE TABLE step (
  run_id         INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  step           INTEGER NOT NULL,             -- from 0
  tag            TEXT NOT NULL CHECK (tag IN ('warmup','timed','profiled','eval','checkpoint')),
  train_loss     REAL,                         -- nats/token, before the update; NULL if not finite
  grad_norm      REAL,
  learning_rate  REAL NOT NULL,
  step_ms        REAL NOT NULL,
  flops          REAL NOT NULL,                -- as issued by the ops of this step
  ended_s        REAL,                         -- since the run started; NULL before version 2, and
                                               -- in steps taken over from another attempt
  disturbance    TEXT,                         -- '' none, NULL not known, else any of throttled,
                                               -- clock_drop, steal, page_faults, preempted,
                                               -- stopped, shared:
                                               -- docs/MEASURING.md
  session        INTEGER,                      -- from 1; NULL before version 5: 1
  PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;

-- The machine beside the run, some four times a second, read by the process that waits for it.
-- NULL: could not be read.
CREATE TABLE sample (
  run_id               INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  at_s                 REAL NOT NULL,          -- since the run started, on the clock of ended_s
  gpu_clock_mhz        REAL,                   -- of the multiprocessors
  gpu_memory_clock_mhz REAL,
  gpu_power_w          REAL,
  gpu_temperature_c    REAL,
  gpu_throttle         TEXT,                   -- reasons by name: 'sw_thermal,hw_slowdown'; '' none
  gpu_memory_bytes     REAL,                   -- in use, by every process
  gpu_energy_j         REAL,                   -- since the run started
  cpu_clock_mhz        REAL,                   -- usable CPUs, each weighed by how busy it was
  cpu_load             REAL,                   -- runnable tasks, mean over about a minute
  cpu_busy             REAL,                   -- fraction of the time since the sample before
  cpu_steal            REAL,                   -- fraction that another virtual machine got
  cpu_energy_j         REAL,                   -- all packages, since the run started
  PRIMARY KEY (run_id, at_s)
) STRICT, WITHOUT ROWID;

-- Every validation.
CREATE TABLE eval (
  run_id         INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  step           INTEGER NOT NULL,             -- optimiser steps done before it
  val_loss       REAL,                         -- nats/token; NULL if not finite
  val_tokens     INTEGER NOT NULL,
  eval_ms        REAL NOT NULL,
  train_time_ms  REAL NOT NULL,                -- sum of step_ms so far
  PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;

-- What the op timers measured in the profiled steps; rows are sums over `steps` steps.
CREATE TABLE op_time (
  run_id   INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  phase    TEXT NOT NULL,                      -- data, forward, backward, update, eval, idle
  layer    INTEGER NOT NULL,                   -- -1 outside the blocks
  op       TEXT NOT NULL,                      -- gb_op_name, or 'unattributed'
  steps    INTEGER NOT NULL,
  calls    INTEGER NOT NULL,
  time_ms  REAL NOT NULL,
  flops    REAL NOT NULL,
  thread_mean_ms REAL,                         -- how long the threads of a CPU were busy with their
  thread_max_ms  REAL,                         -- share, on average and the slowest; NULL: unknown
  PRIMARY KEY (run_id, phase, layer, op)
) STRICT, WITHOUT ROWID;

-- The last profiled step of replicate 0, op by op in the order in which they ran.
CREATE TABLE op_span (
  run_id   INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  position INTEGER NOT NULL,                   -- from 0
  phase    TEXT NOT NULL,
  layer    INTEGER NOT NULL,
  op       TEXT NOT NULL,
  begin_ms REAL NOT NULL,                      -- since the first op of the step
  end_ms   REAL NOT NULL,
  PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;

-- GPU kernels of the profiled steps by name (CUPTI); empty on the CPU.
CREATE TABLE kernel (
  run_id    INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  name      TEXT NOT NULL,
  phase     TEXT NOT NULL,
  layer     INTEGER NOT NULL,
  op        TEXT NOT NULL,
  calls     INTEGER NOT NULL,
  time_ms   REAL NOT NULL,
  grid      TEXT NOT NULL,
  block     TEXT NOT NULL,
  registers INTEGER NOT NULL,
  shared_bytes INTEGER NOT NULL,
  PRIMARY KEY (run_id, name, phase, layer, op, grid, block)
) STRICT, WITHOUT ROWID;

-- What somebody expects, as written in the suite.
CREATE TABLE claim (
  suite_id   INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
  name       TEXT NOT NULL,
  config     TEXT NOT NULL,
  baseline   TEXT NOT NULL,
  expect     TEXT NOT NULL,                    -- 'step_avg speedup >= 15%'
  source     TEXT NOT NULL,
  in_plan    INTEGER NOT NULL,
  PRIMARY KEY (suite_id, name)
) STRICT, WITHOUT ROWID;

-- ---- version 4: interleaved timing, the speed of all configs measured in turn ----

-- A session: blocks of bursts, in which every config of a suite takes its turn.
CREATE TABLE timing (
  timing_id        INTEGER PRIMARY KEY,
  suite_id         INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
  identity         TEXT NOT NULL,              -- hash of all that defines it
  status           TEXT NOT NULL CHECK (status IN ('running','ok','failed','interrupted')),
  message          TEXT NOT NULL DEFAULT '',   -- why the status is not ok
  machine_id       INTEGER REFERENCES machine,
  program_version  TEXT NOT NULL,
  program_commit   TEXT NOT NULL,
  compiler         TEXT NOT NULL,
  seed             INTEGER NOT NULL,           -- of the order of the arms in each block
  min_blocks       INTEGER NOT NULL,
  max_blocks       INTEGER NOT NULL,
  stop_precision   REAL,                       -- half width of the widest 95 % interval that ends
                                               -- the session; NULL: none was asked for
  process_blocks   INTEGER NOT NULL,           -- blocks after which processes are fresh; 0: never
  blocks_done      INTEGER NOT NULL DEFAULT 0, -- whole ones
  lead_steps       INTEGER,                    -- of each burst, untimed
  timed_steps      INTEGER,                    -- of each burst
  precision_reached INTEGER,                   -- NULL: none was asked for
  sensors_missing  TEXT,                       -- as run.sensors_missing
  pid              INTEGER,
  started_at       TEXT NOT NULL,
  ended_at         TEXT
) STRICT;
CREATE INDEX timing_by_suite ON timing (suite_id);

-- What takes its turn: each config, and the control, which is the baseline a second time.
CREATE TABLE timing_arm (
  timing_id         INTEGER NOT NULL REFERENCES timing ON DELETE CASCADE,
  arm               INTEGER NOT NULL,          -- from 0
  config_id         INTEGER NOT NULL REFERENCES config ON DELETE CASCADE,
  is_control        INTEGER NOT NULL,
  is_baseline       INTEGER NOT NULL,
  backend           TEXT NOT NULL,
  precision         TEXT NOT NULL,
  threads           INTEGER NOT NULL,
  isa               TEXT NOT NULL,
  tokens_per_step   INTEGER NOT NULL,
  status            TEXT NOT NULL CHECK (status IN ('ok','nan','oom','failed','killed')),
  message           TEXT NOT NULL DEFAULT '',
  processes         INTEGER NOT NULL DEFAULT 0, -- that were started for it
  PRIMARY KEY (timing_id, arm)
) STRICT, WITHOUT ROWID;

-- The schedule as it was carried out.
CREATE TABLE burst (
  timing_id   INTEGER NOT NULL REFERENCES timing ON DELETE CASCADE,
  block       INTEGER NOT NULL,                -- from 0
  position    INTEGER NOT NULL,                -- in the block, from 0
  arm         INTEGER NOT NULL,
  process     INTEGER NOT NULL,                -- of the arm, from 1
  median_ms   REAL NOT NULL,                   -- of the timed steps: what verdicts compare
  mean_ms     REAL NOT NULL,                   -- of the same
  began_s     REAL NOT NULL,                   -- since the session started
  ended_s     REAL NOT NULL,
  PRIMARY KEY (timing_id, block, arm)
) STRICT, WITHOUT ROWID;

-- Every step of a session, raw.
CREATE TABLE burst_step (
  timing_id   INTEGER NOT NULL REFERENCES timing ON DELETE CASCADE,
  position    INTEGER NOT NULL,                -- in the session, from 0
  arm         INTEGER NOT NULL,
  block       INTEGER,                         -- NULL: warm-up of a process, before its bursts
  tag         TEXT NOT NULL CHECK (tag IN ('warmup','timed')),
  step_ms     REAL NOT NULL,
  ended_s     REAL NOT NULL,                   -- since the session started
  disturbance TEXT,                            -- as step.disturbance
  PRIMARY KEY (timing_id, position)
) STRICT, WITHOUT ROWID;

-- The machine beside a session; columns as in `sample`.
CREATE TABLE timing_sample (
  timing_id            INTEGER NOT NULL REFERENCES timing ON DELETE CASCADE,
  at_s                 REAL NOT NULL,
  gpu_clock_mhz        REAL,
  gpu_memory_clock_mhz REAL,
  gpu_power_w          REAL,
  gpu_temperature_c    REAL,
  gpu_throttle         TEXT,
  gpu_memory_bytes     REAL,
  gpu_energy_j         REAL,
  cpu_clock_mhz        REAL,
  cpu_load             REAL,
  cpu_busy             REAL,
  cpu_steal            REAL,
  cpu_energy_j         REAL,
  PRIMARY KEY (timing_id, at_s)
) STRICT, WITHOUT ROWID;

-- ---- version 5: segments of runs that were interrupted and continued ----

-- What each process did of a run is a segment, with a warm-up of its own. Those of the attempts
-- before stand here too, with the steps that were taken over from them.
CREATE TABLE session (
  run_id          INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  session         INTEGER NOT NULL,            -- from 1
  started_at      TEXT NOT NULL,
  ended_at        TEXT,                        -- NULL: it goes on, or its end was not seen
  first_step      INTEGER NOT NULL,
  steps           INTEGER NOT NULL DEFAULT 0,  -- written at its end
  warmup_steps    INTEGER NOT NULL DEFAULT 0,
  checkpoint_step INTEGER,                     -- steps done at its last checkpoint; NULL: none
  PRIMARY KEY (run_id, session)
) STRICT, WITHOUT ROWID;

-- ---- version 6: several runners on one database ----

-- One row per `gptbench run`. That one without ended_at lives, is for other runners to see by its
-- lock on the file (bench/store/store_share.h), not here.
CREATE TABLE runner (
  runner_id   INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  suite_id    INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
  plan        TEXT NOT NULL,          -- hash of all that decides which runs there are
  hostname    TEXT NOT NULL,
  boot_id     TEXT NOT NULL,          -- of the machine's start, '' where it has none
  pid         INTEGER NOT NULL,
  started_at  TEXT NOT NULL,
  ended_at    TEXT                    -- NULL: at work, or died and nobody has noticed yet
) STRICT;
CREATE INDEX runner_open ON runner (suite_id) WHERE ended_at IS NULL;
CREATE INDEX run_running ON run (status) WHERE status = 'running';

-- ---- version 8: sums over the steps of runs that have ended ----

-- What run_steps_live says of a run, kept when the run ends: millions of steps need not be read again
-- for a list of runs. It may be deleted at any time: the views then read the steps, and the next
-- program that opens the file for writing fills it again. Whoever changes steps of a run that has
-- ended deletes the run's row here.
CREATE TABLE step_summary (
  run_id            INTEGER PRIMARY KEY REFERENCES run ON DELETE CASCADE,
  timed_steps       INTEGER NOT NULL,
  step_avg_ms       REAL,                      -- over the timed steps; NULL: there are none
  step_median_ms    REAL,
  profiled_avg_ms   REAL,
  disturbed_steps   INTEGER                    -- of the timed ones; NULL: none was watched
) STRICT;

-- ---- version 10: what training and validation data are made of ----

-- The files that a suite's runs read, in the order of reading, as the newest `gptbench run` found
-- them. Equal hashes: equal content.
CREATE TABLE data_shard (
  suite_id      INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
  is_validation INTEGER NOT NULL,
  position      INTEGER NOT NULL,              -- from 0
  path          TEXT NOT NULL,                 -- of synthetic data the source: 'synth:vocab=256,...'
  hash          TEXT NOT NULL,                 -- of all that is in it
  tokens        INTEGER,                       -- NULL: endless
  PRIMARY KEY (suite_id, is_validation, position)
) STRICT, WITHOUT ROWID;

-- ---- version 14: validation tokens in training data ----

-- Which tokens of a suite's validation stand in its training data too, as the newest `gptbench run`
-- found them; shards that are in both whole are told by data_shard.hash and not counted here. No
-- row: synthetic data, or nothing to look for.
CREATE TABLE data_overlap (
  suite_id            INTEGER PRIMARY KEY REFERENCES suite ON DELETE CASCADE,
  val_tokens          INTEGER NOT NULL,        -- that a validation reads, of the config that reads most
  val_looked_tokens   INTEGER NOT NULL,        -- of them: looked for
  found_tokens        INTEGER NOT NULL,        -- of those: found in the training data, at least
  train_tokens        INTEGER NOT NULL,        -- of the training data
  train_looked_tokens INTEGER NOT NULL,        -- of these: gone through
  val_path            TEXT,                    -- the first two shards that share tokens; NULL: none do
  train_path          TEXT
) STRICT;

-- ---- views: a migration makes them anew from here to the end ----

-- Sums over the steps of each run, from the steps themselves. Every subquery reads one run's.
CREATE VIEW run_steps_live AS
  SELECT r.run_id,
         (SELECT count(*) FROM step WHERE step.run_id = r.run_id AND tag = 'timed')
           AS timed_steps,
         (SELECT avg(step_ms) FROM step WHERE step.run_id = r.run_id AND tag = 'timed')
           AS step_avg_ms,
         (SELECT avg(step_ms) FROM
           (SELECT step_ms, row_number() OVER (ORDER BY step_ms) AS rank, count(*) OVER () AS n
            FROM step WHERE step.run_id = r.run_id AND tag = 'timed')
          WHERE rank IN ((n + 1) / 2, (n + 2) / 2)) AS step_median_ms,
         (SELECT avg(step_ms) FROM step WHERE step.run_id = r.run_id AND tag = 'profiled')
           AS profiled_avg_ms,
         (SELECT sum(disturbance <> '') FROM step WHERE step.run_id = r.run_id AND tag = 'timed')
           AS disturbed_steps
  FROM run r;

-- The same, kept where it is known.
CREATE VIEW run_steps AS
  SELECT run_id, timed_steps, step_avg_ms, step_median_ms, profiled_avg_ms, disturbed_steps
  FROM step_summary
  UNION ALL
  SELECT l.run_id, timed_steps, step_avg_ms, step_median_ms, profiled_avg_ms, disturbed_steps
  FROM run_steps_live l
  WHERE NOT EXISTS (SELECT 1 FROM step_summary k WHERE k.run_id = l.run_id);

-- Timed steps of each run that has any: the only ones that enter step_avg.
CREATE VIEW run_timing AS
  SELECT run_id, timed_steps, step_avg_ms, step_median_ms FROM run_steps WHERE timed_steps > 0;

-- One row per attempt at a run that the suite's current text asks for; is_latest = 1 marks the
-- newest attempt of each run.
CREATE VIEW run_summary AS
  SELECT s.name AS suite, c.name AS config, r.replicate, r.status, r.backend, r.precision,
         c.n_params, c.flops_per_token,
         t.step_avg_ms, t.step_median_ms,
         r.tokens_per_step * 1000.0 / t.step_avg_ms AS tokens_per_s,
         c.flops_per_token * r.tokens_per_step * 1000.0 / t.step_avg_ms / p.flops_per_s AS mfu,
         (SELECT e.val_loss FROM eval e WHERE e.run_id = r.run_id ORDER BY e.step DESC LIMIT 1)
           AS final_val_loss,
         (SELECT min(e.val_loss) FROM eval e WHERE e.run_id = r.run_id) AS best_val_loss,
         r.peak_memory_bytes, r.seed,
         r.run_id, r.config_id, r.attempt, r.message, r.steps_done, r.num_iterations,
         r.tokens_per_step, nullif(t.timed_steps, 0) AS timed_steps, r.warmup_steps, r.entropy_rate_nats,
         c.position, c.is_baseline, r.started_at, r.ended_at, r.threads,
         NOT EXISTS (SELECT 1 FROM run n WHERE n.config_id = r.config_id
                     AND n.replicate = r.replicate AND n.identity = r.identity
                     AND n.attempt > r.attempt) AS is_latest,
         t.profiled_avg_ms / t.step_avg_ms - 1 AS profiling_overhead,
         r.profile_note,
         r.energy_j,
         r.energy_j / (CASE WHEN r.resumed_step IS NULL THEN t.timed_steps
                            ELSE (SELECT count(*) FROM step x WHERE x.run_id = r.run_id
                                  AND x.tag = 'timed' AND x.step >= r.resumed_step) END
                       * r.tokens_per_step) AS energy_per_token_j,
         t.disturbed_steps,
         r.resumed_from, r.resumed_step,
         (SELECT count(*) FROM session x WHERE x.run_id = r.run_id) AS sessions,
         r.learning_rate, r.lr_scale, r.planned_memory_bytes,
         r.machine_id, p.flops_per_s AS gemm_peak_flops_per_s,
         r.val_tokens, r.val_stretch_hash,
         (SELECT e.val_loss FROM eval e WHERE e.run_id = r.run_id AND e.step = 0) AS first_val_loss
  FROM run r
  JOIN config c USING (config_id)
  JOIN suite s USING (suite_id)
  LEFT JOIN run_steps t ON t.run_id = r.run_id
  LEFT JOIN gemm_peak p ON p.machine_id = r.machine_id AND p.backend = r.backend
                       AND p.precision = r.precision AND p.threads = r.threads
  WHERE r.in_plan = 1 AND c.in_plan = 1;

-- Timing of each segment of a run apart; only runs from version 5 on have any.
CREATE VIEW session_summary AS
  SELECT x.run_id, x.session, x.started_at, x.ended_at, x.first_step, x.steps, x.warmup_steps,
         x.checkpoint_step,
         (SELECT count(*) FROM step t WHERE t.run_id = x.run_id AND t.session = x.session
          AND t.tag = 'timed') AS timed_steps,
         (SELECT avg(t.step_ms) FROM step t WHERE t.run_id = x.run_id AND t.session = x.session
          AND t.tag = 'timed') AS step_avg_ms
  FROM session x;

-- Where the loss of each run that ended as nan stopped being finite, and what was before.
CREATE VIEW run_divergence AS
  WITH bad AS (
    SELECT r.run_id,
           (SELECT min(t.step) FROM step t WHERE t.run_id = r.run_id AND t.train_loss IS NULL)
             AS train_step,
           (SELECT min(e.step) FROM eval e WHERE e.run_id = r.run_id AND e.val_loss IS NULL)
             AS val_step
    FROM run r WHERE r.status = 'nan')
  SELECT b.run_id, coalesce(b.train_step, b.val_step) AS nan_step,
         CASE WHEN b.train_step IS NOT NULL THEN 'training loss'
              WHEN b.val_step IS NOT NULL THEN 'validation loss' END AS nan_in,
         g.step AS last_good_step, g.train_loss AS last_good_loss,
         g.grad_norm AS last_good_grad_norm,           -- NULL: not computed (grad_clip = 0), or not finite
         coalesce(n.learning_rate, g.learning_rate) AS learning_rate -- of the step itself
  FROM bad b
  LEFT JOIN step n ON n.run_id = b.run_id AND n.step = b.train_step
  LEFT JOIN step g ON g.run_id = b.run_id AND g.step =
    (SELECT max(t.step) FROM step t WHERE t.run_id = b.run_id AND t.train_loss IS NOT NULL
     AND t.step < coalesce(b.train_step, b.val_step));

-- One row per config over its finished replicates; counts of the others beside it. Times are those of
-- interleaved timing where the config was timed so, else means over its runs; what begins with run_ is
-- of the runs in any case. tokens_per_s is the tokens of a step by step_avg_ms, mfu is
-- flops_per_token * tokens_per_s by the measured peak: never means of rates.
CREATE VIEW config_summary AS
  WITH runs AS (
    SELECT suite, config, position, is_baseline, backend, precision, n_params, flops_per_token,
           sum(status = 'ok') AS replicates_ok,
           sum(status NOT IN ('ok', 'planned', 'running')) AS attempts_not_ok,
           avg(CASE WHEN status = 'ok' THEN step_avg_ms END)    AS step_avg_ms,
           avg(CASE WHEN status = 'ok' THEN step_median_ms END) AS step_median_ms,
           sum(CASE WHEN status = 'ok' THEN timed_steps END)    AS timed_steps,
           avg(CASE WHEN status = 'ok' THEN final_val_loss END) AS final_val_loss,
           min(CASE WHEN status = 'ok' THEN best_val_loss END)  AS best_val_loss,
           max(CASE WHEN status = 'ok' THEN peak_memory_bytes END) AS peak_memory_bytes,
           config_id,
           avg(CASE WHEN status = 'ok' THEN energy_per_token_j END) AS energy_per_token_j,
           sum(CASE WHEN status = 'ok' THEN disturbed_steps END) AS disturbed_steps,
           sum(status = 'ok' AND lr_scale < 1) AS replicates_lr_halved,
           max(CASE WHEN status = 'ok' THEN tokens_per_step END) AS tokens_per_step,
           avg(CASE WHEN status = 'ok' THEN gemm_peak_flops_per_s END) AS peak
    FROM run_summary
    GROUP BY suite, config, backend, precision),
  -- The newest session that the config took its turn in, on a machine where it also ran.
  newest AS (
    SELECT r.config_id, r.backend, r.precision, max(a.timing_id) AS timing_id
    FROM runs r
    JOIN timing_arm a ON a.config_id = r.config_id AND a.is_control = 0
                     AND a.backend = r.backend AND a.precision = r.precision
    JOIN timing t ON t.timing_id = a.timing_id AND t.status = 'ok'
    WHERE r.replicates_ok = 0
       OR EXISTS (SELECT 1 FROM run x WHERE x.config_id = r.config_id AND x.in_plan = 1
                  AND x.status = 'ok' AND x.backend = r.backend AND x.precision = r.precision
                  AND x.machine_id IS t.machine_id)
    GROUP BY r.config_id, r.backend, r.precision),
  arms AS (
    SELECT n.config_id, n.backend, n.precision, n.timing_id, a.arm, a.tokens_per_step
    FROM newest n
    JOIN timing_arm a ON a.timing_id = n.timing_id AND a.config_id = n.config_id
                     AND a.is_control = 0 AND a.status = 'ok'),
  bursts AS (
    SELECT b.timing_id, b.arm, avg(b.step_ms) AS step_avg_ms, count(*) AS timed_steps
    FROM (SELECT DISTINCT timing_id FROM arms) n
    JOIN burst_step b ON b.timing_id = n.timing_id
    WHERE b.tag = 'timed'
    GROUP BY b.timing_id, b.arm)
  SELECT r.suite, r.config, r.position, r.is_baseline, r.backend, r.precision, r.n_params,
         r.flops_per_token, r.replicates_ok, r.attempts_not_ok,
         coalesce(b.step_avg_ms, r.step_avg_ms) AS step_avg_ms,
         CASE WHEN b.timing_id IS NULL THEN r.step_median_ms ELSE
           (SELECT avg(step_ms) FROM
             (SELECT step_ms, row_number() OVER (ORDER BY step_ms) AS rank, count(*) OVER () AS n
              FROM burst_step s WHERE s.timing_id = b.timing_id AND s.arm = b.arm
              AND s.tag = 'timed')
            WHERE rank IN ((n + 1) / 2, (n + 2) / 2)) END AS step_median_ms,
         coalesce(a.tokens_per_step * 1000.0 / b.step_avg_ms,
                  r.tokens_per_step * 1000.0 / r.step_avg_ms) AS tokens_per_s,
         r.flops_per_token * coalesce(a.tokens_per_step * 1000.0 / b.step_avg_ms,
                  r.tokens_per_step * 1000.0 / r.step_avg_ms) / r.peak AS mfu,
         r.final_val_loss,
         r.best_val_loss,                      -- the lowest of all replicates
         r.peak_memory_bytes,                  -- the largest of all replicates
         r.config_id, r.energy_per_token_j, r.disturbed_steps,
         -- finished ones whose learning rate was halved after a NaN: losses are not like the others'
         r.replicates_lr_halved,
         b.timing_id IS NOT NULL AS interleaved,
         coalesce(b.timed_steps, r.timed_steps) AS timed_steps,
         r.step_avg_ms AS run_step_avg_ms, r.step_median_ms AS run_step_median_ms,
         r.timed_steps AS run_timed_steps,
         r.tokens_per_step * 1000.0 / r.step_avg_ms AS run_tokens_per_s,
         r.flops_per_token * (r.tokens_per_step * 1000.0 / r.step_avg_ms) / r.peak AS run_mfu,
         b.timing_id
  FROM runs r
  LEFT JOIN arms a ON a.config_id = r.config_id AND a.backend = r.backend
                  AND a.precision = r.precision
  LEFT JOIN bursts b ON b.timing_id = a.timing_id AND b.arm = a.arm AND b.step_avg_ms > 0;

-- One row per arm of each finished session of interleaved timing, the newest session first.
-- Averages are over timed steps; verdicts come from the ratios within blocks (table burst).
CREATE VIEW timing_summary AS
  WITH timed AS (
    SELECT timing_id, arm, step_ms, disturbance,
           row_number() OVER (PARTITION BY timing_id, arm ORDER BY step_ms) AS rank,
           count(*)     OVER (PARTITION BY timing_id, arm) AS n
    FROM burst_step WHERE tag = 'timed')
  SELECT s.name AS suite, c.name AS config, a.is_control, a.is_baseline, a.status, a.backend,
         a.precision, m.step_avg_ms, m.step_median_ms,
         a.tokens_per_step * 1000.0 / m.step_avg_ms AS tokens_per_s,
         m.timed_steps, m.disturbed_steps,
         (SELECT count(*) FROM burst b WHERE b.timing_id = a.timing_id AND b.arm = a.arm) AS blocks,
         a.processes, t.timing_id, a.arm, a.config_id, t.started_at, t.ended_at
  FROM timing_arm a
  JOIN timing t USING (timing_id)
  JOIN config c USING (config_id)
  JOIN suite s ON s.suite_id = t.suite_id
  LEFT JOIN (SELECT timing_id, arm, max(n) AS timed_steps, avg(step_ms) AS step_avg_ms,
                    avg(CASE WHEN rank IN ((n + 1) / 2, (n + 2) / 2) THEN step_ms END)
                      AS step_median_ms,
                    sum(disturbance <> '') AS disturbed_steps
             FROM timed GROUP BY timing_id, arm) m
    ON m.timing_id = a.timing_id AND m.arm = a.arm
  WHERE t.status = 'ok'
  ORDER BY t.timing_id DESC, a.arm;
