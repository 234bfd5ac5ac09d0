/* data_use.h: how the runs of a suite use their data: what training and validation share, how often
 * a run reads its training data, over how many tokens a loss is taken. Numbers in, numbers out;
 * what is said of them stands in bench/words/data_words.h. */
#ifndef GPTBENCH_BENCH_DATA_USE_H
#define GPTBENCH_BENCH_DATA_USE_H

#include <stdint.h>

/* Passes over the training data up to which a further one is worth almost as much as new text:
 * Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", for up to 4 epochs. */
#define DATA_PASSES_MANY 4.0
/* Losses of single tokens scatter by some 2 nats (standard deviation), so that the mean over n of
 * them is uncertain by 2 / sqrt(n): 0.03 nats, 1 % of a loss of 3, with so many. */
#define DATA_TOKEN_SPREAD_NATS 2.0
#define DATA_VAL_TOKENS_FEW    4096

/* A file of tokens, or a synthetic source. */
typedef struct data_shard {
    const char *path; /* of a synthetic source its text */
    const char *hash; /* of all that is in it */
    int64_t tokens;   /* 0: endless */
} data_shard;

typedef struct data_shards {
    const data_shard *items; /* in the order in which they are read */
    int64_t n;               /* 0: not known */
} data_shards;

/* Share of a validation's tokens that may stand in the training data before it is a warning. A
 * model that knew them by heart would lose that share less: about the least difference of two
 * losses that is of interest. */
#define DATA_OVERLAP_SHARE 0.01

/* What was found of validation tokens in training data (bench/plan/data_overlap.h). */
typedef struct data_overlap {
    const char *val_path, *train_path; /* the first two shards that share some; NULL: none do */
    int64_t val_tokens;   /* that a validation reads, of the config that reads the most */
    int64_t val_looked;   /* of them: looked for */
    int64_t found;        /* of those: in the training data, at least so many */
    int64_t train_tokens; /* of the training data, */
    int64_t train_looked; /* and of these: gone through */
} data_overlap;

/* What one run asks of the data. */
typedef struct data_run {
    const char *config;   /* "": it has no name */
    int64_t batch_tokens; /* of a micro-batch */
    int64_t batches;      /* micro-batches in all */
    int64_t val_tokens;   /* of a validation; 0: not known */
} data_run;

typedef struct data_use {
    /* Shards whose content is read in training and in validation. */
    int64_t shared, shared_tokens;               /* of the validation data; tokens 0: endless */
    const data_shard *shared_train, *shared_val; /* the first of them; NULL: there are none */
    data_overlap overlap;                        /* zeroed: not looked for */
    /* Shards of the training data that have the content of another one before them. */
    int64_t repeated;
    const data_shard *repeated_first, *repeated_again; /* the first such pair; NULL */
    /* How often runs read their training data; NAN: endless, or not known. */
    double passes_low, passes_high;
    const char *passes_high_config;
    /* Of the run that validates on the fewest tokens; 0: not known. */
    int64_t val_tokens_low;
    const char *val_tokens_low_config;
} data_use;

/* Points into what it was given. `overlap` NULL: it is not known. */
data_use data_use_make(const data_shards *train, const data_shards *val,
                       const data_overlap *overlap, const data_run *runs, int n_runs);

/* How often so many micro-batches pass over the data; NAN where the data are endless or not known,
 * or hold no batch. A shard's rest that is too short for a batch is not read (model/loader.h). */
double data_passes(const data_shards *train, int64_t batch_tokens, int64_t batches);

#endif
