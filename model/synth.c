#include "model/synth.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/fraction.h"

#define SYNTH_PREFIX     "synth:"
#define SYNTH_BRANCH_MAX 64
#define SYNTH_ONE        ((uint64_t)1 << 32) /* probability 1 in the generator's fixed point */
#define SYNTH_TABLE_MAX  ((int64_t)32 << 20) /* entries */

struct synth_chain {
    synth_spec spec;
    uint64_t draw_key, token_key;
    uint64_t noise;                        /* of SYNTH_ONE */
    uint64_t cumulative[SYNTH_BRANCH_MAX]; /* of SYNTH_ONE; the last one is SYNTH_ONE */
    uint16_t *successors;                  /* (contexts, branch) */
};

/* ---- text form ---- */

bool synth_spec_matches(const char *text)
{
    return strncmp(text, SYNTH_PREFIX, strlen(SYNTH_PREFIX)) == 0;
}

static bool parse_whole(const char *text, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static gb_status parse_range(const char *name, const char *text, int64_t min, int64_t max,
                             int64_t *out, gb_error *err)
{
    uint64_t value;
    if (!parse_whole(text, &value) || value < (uint64_t)min || value > (uint64_t)max) {
        return gb_fail(err, GB_ERR_USAGE,
                       "synth: %s = %s: expected a whole number from %" PRId64 " to %" PRId64, name,
                       text, min, max);
    }
    *out = (int64_t)value;
    return GB_OK;
}

static gb_status parse_seed(const char *name, const char *text, uint64_t *out, gb_error *err)
{
    if (!parse_whole(text, out)) {
        return gb_fail(err, GB_ERR_USAGE,
                       "synth: %s = %s: expected a whole number from 0 to 2^64 - 1", name, text);
    }
    return GB_OK;
}

static gb_status parse_fraction(const char *name, const char *text, double min, double *out,
                                gb_error *err)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= 1.0)) {
        return gb_fail(err, GB_ERR_USAGE, "synth: %s = %s: expected a number from %g to 1", name,
                       text, min);
    }
    *out = value;
    return GB_OK;
}

static gb_status parse_pair(synth_spec *spec, const char *name, const char *value, gb_error *err)
{
    if (strcmp(name, "vocab") == 0) {
        return parse_range(name, value, 2, 65536, &spec->vocab, err);
    }
    if (strcmp(name, "seed") == 0) {
        return parse_seed(name, value, &spec->seed, err);
    }
    if (strcmp(name, "stream") == 0) {
        spec->stream_given = true;
        if (strcmp(value, "train") == 0 || strcmp(value, "val") == 0) {
            spec->stream = *value == 't' ? SYNTH_STREAM_TRAIN : SYNTH_STREAM_VAL;
            return GB_OK;
        }
        return parse_seed(name, value, &spec->stream, err);
    }
    if (strcmp(name, "order") == 0) {
        return parse_range(name, value, 1, 2, &spec->order, err);
    }
    if (strcmp(name, "classes") == 0) {
        return parse_range(name, value, 2, 64, &spec->classes, err);
    }
    if (strcmp(name, "branch") == 0) {
        return parse_range(name, value, 1, SYNTH_BRANCH_MAX, &spec->branch, err);
    }
    if (strcmp(name, "ratio") == 0) {
        return parse_fraction(name, value, 1e-6, &spec->ratio, err);
    }
    if (strcmp(name, "noise") == 0) {
        return parse_fraction(name, value, 1.0 / 128.0, &spec->noise, err);
    }
    return gb_fail(err, GB_ERR_USAGE,
                   "synth: unknown parameter \"%s\"; known: vocab, seed, stream, order, classes, "
                   "branch, ratio, noise",
                   name);
}

/* Which parameter was named, as one bit, to find doubles. */
static unsigned pair_bit(const char *name)
{
    static const char *const names[] = {"vocab",   "seed",   "stream", "order",
                                        "classes", "branch", "ratio",  "noise"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return 1u << i;
        }
    }
    return 0;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t", text[length - 1])) {
        text[--length] = '\0';
    }
    return text;
}

static gb_status parse_pairs(synth_spec *spec, char *text, gb_error *err)
{
    unsigned seen = 0;
    bool branch_given = false;
    for (char *rest = text, *pair; (pair = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(pair, '=');
        if (!value) {
            return gb_fail(err, GB_ERR_USAGE,
                           "synth: \"%s\": expected name=value, as in synth:vocab=256,seed=1",
                           trim(pair));
        }
        *value++ = '\0';
        char *name = trim(pair);
        GB_TRY(parse_pair(spec, name, trim(value), err));
        if (seen & pair_bit(name)) {
            return gb_fail(err, GB_ERR_USAGE, "synth: %s is given twice", name);
        }
        seen |= pair_bit(name);
        branch_given |= strcmp(name, "branch") == 0;
    }
    if (spec->branch > spec->vocab) {
        if (branch_given) {
            return gb_fail(err, GB_ERR_USAGE,
                           "synth: branch = %" PRId64 " is more than vocab = %" PRId64,
                           spec->branch, spec->vocab);
        }
        spec->branch = spec->vocab;
    }
    return GB_OK;
}

gb_status synth_spec_parse(synth_spec *out, const char *text, gb_error *err)
{
    *out = (synth_spec){.vocab = 256,
                        .seed = 1,
                        .stream = SYNTH_STREAM_TRAIN,
                        .order = 1,
                        .classes = 4,
                        .branch = 8,
                        .ratio = 0.5,
                        .noise = 1.0 / 16.0};
    if (!synth_spec_matches(text)) {
        return gb_fail(err, GB_ERR_USAGE, "\"%s\": expected synth:name=value,...", text);
    }
    char *copy = strdup(text + strlen(SYNTH_PREFIX));
    if (!copy) {
        return gb_fail(err, GB_ERR_OOM, "synth: no memory for its parameters");
    }
    gb_status status = *trim(copy) ? parse_pairs(out, copy, err) : GB_OK;
    free(copy);
    return status;
}

void synth_spec_format(const synth_spec *spec, char *text, int capacity)
{
    snprintf(text, (size_t)capacity,
             SYNTH_PREFIX "vocab=%" PRId64 ",seed=%" PRIu64 ",stream=%" PRIu64 ",order=%" PRId64
                          ",classes=%" PRId64 ",branch=%" PRId64 ",ratio=%.17g,noise=%.17g",
             spec->vocab, spec->seed, spec->stream, spec->order, spec->classes, spec->branch,
             spec->ratio, spec->noise);
}

/* ---- generator ---- */

/* The splitmix64 finaliser (Steele, Lea & Flood 2014): word number `counter` of the sequence that
 * `key` starts. */
static uint64_t synth_word(uint64_t key, uint64_t counter)
{
    uint64_t z = key + (counter + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static int32_t token_from_word(uint64_t word, int64_t vocab)
{
    return (int32_t)fraction_of(word, (uint64_t)vocab);
}

static int64_t context_count(const synth_spec *spec)
{
    return spec->order == 2 ? spec->vocab * spec->classes : spec->vocab;
}

static int64_t context_of(const synth_spec *spec, int32_t before, int32_t previous)
{
    return spec->order == 2 ? previous * spec->classes + before % spec->classes : previous;
}

/* The first `branch` distinct tokens of a sequence of draws that belongs to the context. */
static void fill_successors(const synth_spec *spec, uint64_t key, int64_t context, uint16_t *out)
{
    uint64_t context_key = synth_word(key, (uint64_t)context), attempt = 0;
    for (int64_t k = 0; k < spec->branch;) {
        uint16_t token = (uint16_t)token_from_word(synth_word(context_key, attempt++), spec->vocab);
        int64_t same = 0;
        while (same < k && out[same] != token) {
            same++;
        }
        if (same == k) {
            out[k++] = token;
        }
    }
}

/* Rounds q_k to multiples of 2^-32; the first rank takes up the rounding, so that they sum to 1
 * exactly and the entropy below is that of what is really drawn. */
static void fill_cumulative(synth_chain *chain)
{
    const synth_spec *spec = &chain->spec;
    uint64_t weight[SYNTH_BRANCH_MAX], others = 0;
    double sum = 0.0;
    for (int64_t k = 0; k < spec->branch; k++) {
        sum += pow(spec->ratio, (double)k);
    }
    for (int64_t k = 1; k < spec->branch; k++) {
        weight[k] = (uint64_t)(pow(spec->ratio, (double)k) / sum * (double)SYNTH_ONE + 0.5);
        others += weight[k];
    }
    weight[0] = SYNTH_ONE - others;
    uint64_t total = 0;
    for (int64_t k = 0; k < spec->branch; k++) {
        total += weight[k];
        chain->cumulative[k] = total;
    }
}

gb_status synth_chain_open(synth_chain **out, const synth_spec *spec, gb_error *err)
{
    *out = NULL;
    int64_t contexts = context_count(spec);
    if (contexts * spec->branch > SYNTH_TABLE_MAX) {
        return gb_fail(err, GB_ERR_USAGE,
                       "synth: vocab * classes * branch = %" PRId64 " successors: at most %" PRId64,
                       contexts * spec->branch, SYNTH_TABLE_MAX);
    }
    synth_chain *chain = calloc(1, sizeof *chain);
    uint16_t *successors = malloc((size_t)(contexts * spec->branch) * sizeof *successors);
    if (!chain || !successors) {
        free(chain);
        free(successors);
        return gb_fail(err, GB_ERR_OOM, "synth: no memory for %" PRId64 " successors",
                       contexts * spec->branch);
    }
    chain->spec = *spec;
    chain->successors = successors;
    chain->noise = (uint64_t)(spec->noise * (double)SYNTH_ONE + 0.5);
    uint64_t language = synth_word(spec->seed, 0), text = synth_word(spec->seed, 1);
    chain->draw_key = synth_word(text, 2 * spec->stream);
    chain->token_key = synth_word(text, 2 * spec->stream + 1);
    for (int64_t c = 0; c < contexts; c++) {
        fill_successors(spec, language, c, successors + c * spec->branch);
    }
    fill_cumulative(chain);
    *out = chain;
    return GB_OK;
}

void synth_chain_close(synth_chain *chain)
{
    if (chain) {
        free(chain->successors);
        free(chain);
    }
}

/* The upper half of a position's word decides whether the token is noise, the lower its rank. */
static bool draw_is_noise(const synth_chain *chain, uint64_t draw)
{
    return (draw >> 32) < chain->noise;
}

static int32_t chain_step(const synth_chain *chain, uint64_t t, int32_t before, int32_t previous)
{
    uint64_t draw = synth_word(chain->draw_key, t);
    if (draw_is_noise(chain, draw)) {
        return token_from_word(synth_word(chain->token_key, t), chain->spec.vocab);
    }
    uint64_t low = draw & (SYNTH_ONE - 1);
    int64_t rank = 0;
    while (low >= chain->cumulative[rank]) {
        rank++;
    }
    return chain
        ->successors[context_of(&chain->spec, before, previous) * chain->spec.branch + rank];
}

/* Last position <= t from which on `order` tokens in a row are noise and end at or before t. */
static uint64_t find_start(const synth_chain *chain, uint64_t t)
{
    for (int64_t run = 0;; t--) {
        run = draw_is_noise(chain, synth_word(chain->draw_key, t)) ? run + 1 : 0;
        if (run == chain->spec.order) {
            return t;
        }
    }
}

void synth_chain_read(const synth_chain *chain, uint64_t position, int64_t count, int32_t *out)
{
    if (count <= 0) {
        return;
    }
    int32_t before = 0, previous = 0;
    /* The first `order` steps are noise and do not look at before and previous. */
    for (uint64_t t = find_start(chain, position); t != position; t++) {
        int32_t token = chain_step(chain, t, before, previous);
        before = previous;
        previous = token;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] = chain_step(chain, position + (uint64_t)i, before, previous);
        before = previous;
        previous = out[i];
    }
}

static double rank_probability(const synth_chain *chain, int64_t rank)
{
    double noise = (double)chain->noise / (double)SYNTH_ONE;
    uint64_t weight = chain->cumulative[rank] - (rank > 0 ? chain->cumulative[rank - 1] : 0);
    return (1.0 - noise) * ((double)weight / (double)SYNTH_ONE) + noise / (double)chain->spec.vocab;
}

/* The mean of (-ln p)^power over the tokens that are drawn. */
static double information_moment(const synth_chain *chain, int power)
{
    double noise = (double)chain->noise / (double)SYNTH_ONE;
    double other = noise / (double)chain->spec.vocab;
    double moment =
        (double)(chain->spec.vocab - chain->spec.branch) * other * pow(-log(other), power);
    for (int64_t k = 0; k < chain->spec.branch; k++) {
        double p = rank_probability(chain, k);
        moment += p * pow(-log(p), power);
    }
    return moment;
}

double synth_chain_entropy_rate(const synth_chain *chain)
{
    return information_moment(chain, 1);
}

double synth_chain_entropy_spread(const synth_chain *chain)
{
    const double rate = information_moment(chain, 1), square = information_moment(chain, 2);
    return sqrt(fmax(square - rate * rate, 0));
}

double synth_chain_probability(const synth_chain *chain, int32_t before, int32_t previous,
                               int32_t token)
{
    int64_t first = context_of(&chain->spec, before, previous) * chain->spec.branch;
    for (int64_t k = 0; k < chain->spec.branch; k++) {
        if (chain->successors[first + k] == token) {
            return rank_probability(chain, k);
        }
    }
    return (double)chain->noise / (double)SYNTH_ONE / (double)chain->spec.vocab;
}
