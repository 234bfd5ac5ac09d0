/* synth.h: an endless, seeded token source whose entropy rate is known exactly.
 *
 * A Markov chain of order 1 or 2 over `vocab` tokens. Every context (the token before, and with
 * order 2 also the class, token mod `classes`, of the one before that) has `branch` distinct
 * successors, drawn from the seed. At each position t
 *     with probability noise:      x_t is uniform over the vocabulary,
 *     with probability 1 - noise:  x_t is the context's successor of rank k, with probability
 *                                  q_k proportional to ratio^k, k = 0..branch-1.
 * Whatever the context, the next token's distribution is therefore a permutation of one fixed
 * distribution (branch tokens with (1-noise)*q_k + noise/vocab, the others with noise/vocab), and
 * the entropy rate of the process is the entropy of that distribution: no limit, no estimate.
 *
 * Random access: all randomness is a function of (seed, stream, t). A position whose token came
 * from the noise does not depend on the past, so a reader walks back to the last such position
 * (`order` of them in a row) and forward again; there are no blocks and hence no seams. Positions
 * count modulo 2^64, so the chain is stationary from position 0 on.
 *
 * `seed` makes the language, `stream` the text: two streams of one seed are independent stretches
 * of the same language (training and validation). With order 1 the last token tells all there is
 * to know, so a model can reach the entropy rate at every position; with order 2 the first
 * position of each sequence does not see the token it would need, and attention is needed for
 * the others. */
#ifndef GPTBENCH_MODEL_SYNTH_H
#define GPTBENCH_MODEL_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/status.h"

/* Stream numbers that the names `train` and `val` stand for. */
enum { SYNTH_STREAM_TRAIN = 0, SYNTH_STREAM_VAL = 1 };

/* Text form: "synth:" and then name=value pairs separated by commas, each at most once, in any
 * order; what is left out keeps its default. */
typedef struct synth_spec {
    int64_t vocab;     /* 2..65536; 256 */
    uint64_t seed;     /* the language; 1 */
    uint64_t stream;   /* the text: a number, `train` (0) or `val` (1); 0 */
    int64_t order;     /* 1 or 2; 1 */
    int64_t classes;   /* order 2: classes of the token before last, 2..64; 4 */
    int64_t branch;    /* successors per context, 1..min(vocab, 64); 8, or vocab if that is less */
    double ratio;      /* of one successor's probability to the last one's, in (0, 1]; 0.5 */
    double noise;      /* share of uniform tokens, 1/128..1; 1/16 */
    bool stream_given; /* the text named a stream */
} synth_spec;

typedef struct synth_chain synth_chain;

/* True when `text` starts with "synth:". */
bool synth_spec_matches(const char *text);
/* GB_ERR_USAGE names the parameter, its range, and the known names. */
gb_status synth_spec_parse(synth_spec *out, const char *text, gb_error *err);
/* The full text form, every parameter written out: what is hashed, and what parses back to the
 * same spec. Cut to `capacity`; 256 bytes always suffice. */
void synth_spec_format(const synth_spec *spec, char *text, int capacity);

/* Builds the successor table (contexts * branch * 2 bytes). The chain is owned by the caller and
 * is read-only from then on: any number of threads may read it. GB_ERR_USAGE when the table
 * would be larger than 64 MiB. */
gb_status synth_chain_open(synth_chain **out, const synth_spec *spec, gb_error *err);
void synth_chain_close(synth_chain *chain); /* NULL is fine */

/* Tokens position .. position+count-1. */
void synth_chain_read(const synth_chain *chain, uint64_t position, int64_t count, int32_t *out);
/* Nats per token. The probabilities are those of the generator itself, which draws in steps of
 * 2^-32; the uniform tokens are even to within vocab / 2^64. */
double synth_chain_entropy_rate(const synth_chain *chain);
/* Standard deviation of -ln p of the token that is drawn, in nats. Since every context has the same
 * probabilities in some order, draws are independent: the mean over n tokens scatters about the
 * entropy rate by this / sqrt(n). */
double synth_chain_entropy_spread(const synth_chain *chain);
/* Probability of `token` after `before`, `previous` (`before` counts with order 2 only). */
double synth_chain_probability(const synth_chain *chain, int32_t before, int32_t previous,
                               int32_t token);

#endif
