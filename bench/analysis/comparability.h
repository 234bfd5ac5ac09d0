/* comparability.h: whether two measurements may be held against each other. This is the one rule
 * for that: tables, verdicts, "fastest", the front, equal budgets, claims, `compare`, `why`,
 * figures and report.json all ask it, within a database and across two.
 *
 *   step times   the same machine (each column of its row), backend, precision, threads and tokens
 *                per step, and, where the two did not take turns, a median clock within 5 %
 *   tokens/s     the same without the tokens per step: it is a time per token, and so the speed to
 *                judge where steps hold other numbers of tokens
 *   memory       machine, backend, precision, threads, tokens per step
 *   losses       the same validation tokens: as many, and the same ones. What counts is the stretch
 *                that was read, whatever the file is called and holds beyond it. No learning
 *                rate that was halved on one side after a NaN, and no run that diverged
 *                (bench/analysis/divergence.h) on either
 *   exact ones   always
 *
 * Losses may be compared across lengths of context and sizes of vocabulary, precisions and
 * machines, as long as the tokens that were predicted are the same ones. */
#ifndef GPTBENCH_BENCH_COMPARABILITY_H
#define GPTBENCH_BENCH_COMPARABILITY_H

#include "bench/analysis/findings.h"
#include "bench/suite/metric.h"

/* Clocks that differ by more than this count as different. */
#define COMPARABILITY_CLOCK_TOLERANCE 0.05

/* Where, how and on what something was measured. */
typedef struct circumstances {
    const machine_facts *machine; /* NULL: unknown */
    const char *backend, *precision;
    int64_t threads, tokens_per_step;
    double clock_mhz;           /* median of what computed; NAN: unknown, or the two shared it */
    const result_entry *losses; /* the runs that were validated; NULL: none, losses are not looked
                                   at */
} circumstances;

/* Of the runs of an entry. GB_ERR_OOM. */
gb_status circumstances_of_entry(circumstances *out, const facts *f, const result_entry *entry,
                                 gb_error *err);
/* Of what took its turn in a session. */
circumstances circumstances_of_arm(const facts *f, const timing_facts *session,
                                   const timing_arm *arm);

typedef struct obstacle {
    char what[32]; /* "backend", "threads", "median clock" */
    char base[160], config[160];
} obstacle;

enum { COMPARABILITY_MAX = 16 };

typedef struct comparability {
    obstacle obstacles[COMPARABILITY_MAX];
    int n; /* 0: they compare */
} comparability;

comparability comparability_of(const circumstances *base, const circumstances *config,
                               metric_id metric);
/* The metric by which speeds are judged: step_avg, or tokens_per_s where steps differ in tokens. */
metric_id comparability_speed_metric(const circumstances *base, const circumstances *config);
/* The same of two entries. GB_ERR_OOM. */
gb_status comparability_of_entries(comparability *out, const facts *f, const result_entry *base,
                                   const result_entry *config, metric_id metric, gb_error *err);

/* Whether nothing but the tokens per step stand against the times of steps: tokens/s compare then.
 */
bool comparability_wants_rate(const comparability *c, metric_id metric);
/* "; per token their speeds do: tokens_per_s" behind the obstacles, where that is so; else "". */
const char *comparability_rate_hint(const comparability *c, metric_id metric);
/* Whether nothing else stands against it than runs that diverged. */
bool comparability_is_divergence(const comparability *c);

/* "tokens per step 256 and 64; threads 1 and 2"; empty when they compare. */
typedef struct comparability_text {
    char text[400];
} comparability_text;
comparability_text comparability_words(const comparability *c);

/* What two losses that compare do not have in common; 0: they do. */
typedef struct loss_terms {
    double trained, base_trained;  /* tokens that a run trains on */
    int64_t context, base_context; /* sequence_length */
} loss_terms;
loss_terms comparability_loss_terms(const result_entry *base, const result_entry *config);

/* Whether two runs were validated on the same tokens. By the hash of the stretch that was read
 * where both have it; else, in older databases, by the data's hash and how many tokens were read.
 */
bool comparability_same_validation(const run_facts *a, const run_facts *b);

#endif
