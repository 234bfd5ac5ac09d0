/* The synthetic source: its entropy rate, random access, streams and errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/loader.h"
#include "model/synth.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static synth_chain *open_chain(const char *text, synth_spec *spec)
{
    synth_chain *chain = NULL;
    gb_error err = {0};
    assert_int_equal(synth_spec_parse(spec, text, &err), GB_OK);
    assert_int_equal(synth_chain_open(&chain, spec, &err), GB_OK);
    return chain;
}

/* Expected: tests/ref/synth_reference.py, which generates them from the description in synth.h with
 * Python's own integers. */
static void test_reference(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        uint64_t position;
        int32_t tokens[16];
    } rows[] = {
        {"synth:", 0, {97, 207, 21, 174, 2, 254, 190, 237, 155, 217, 215, 184, 34, 15, 185, 206}},
        {"synth:stream=val",
         0,
         {134, 147, 182, 223, 13, 134, 108, 188, 214, 224, 134, 170, 236, 183, 85, 85}},
        {"synth:vocab=97,seed=7,stream=3,order=2,classes=5,branch=6,ratio=0.6,noise=0.2",
         1000000007,
         {18, 87, 74, 32, 36, 3, 14, 64, 43, 3, 42, 93, 67, 46, 94, 1}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        synth_spec spec;
        int32_t tokens[16];
        synth_chain *chain = open_chain(rows[i].spec, &spec);
        synth_chain_read(chain, rows[i].position, 16, tokens);
        assert_memory_equal(tokens, rows[i].tokens, sizeof tokens);
        synth_chain_close(chain);
    }
}

/* The entropy of the mixture by another road: H(coin) + noise * ln V + (1 - noise) * H(branch),
 * less what a token leaves open about which of the two it came from. */
static double entropy_by_parts(const synth_spec *spec)
{
    double e = spec->noise, V = (double)spec->vocab, sum = 0.0, h_branch = 0.0, h_which = 0.0;
    for (int64_t k = 0; k < spec->branch; k++) {
        sum += pow(spec->ratio, (double)k);
    }
    for (int64_t k = 0; k < spec->branch; k++) {
        double q = pow(spec->ratio, (double)k) / sum;
        double from_branch = (1.0 - e) * q, from_noise = e / V;
        double p = from_branch + from_noise;
        h_branch -= q * log(q);
        h_which -= from_noise * log(from_noise / p);
        h_which -= from_branch > 0.0 ? from_branch * log(from_branch / p) : 0.0;
    }
    double h_coin = -e * log(e) - (e < 1.0 ? (1.0 - e) * log(1.0 - e) : 0.0);
    return h_coin + e * log(V) + (1.0 - e) * h_branch - h_which;
}

static void test_entropy_formula(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "synth:",
        "synth:vocab=50257,branch=64,ratio=0.9",
        "synth:vocab=2,noise=0.25",
        "synth:vocab=1000,order=2,classes=7,branch=1",
        "synth:noise=1",
        "synth:ratio=1,noise=0.01",
    };
    for (size_t i = 0; i < COUNT(specs); i++) {
        synth_spec spec;
        synth_chain *chain = open_chain(specs[i], &spec);
        /* 1e-7: the generator's probabilities are multiples of 2^-32 = 2.3e-10, up to 64 of them,
         * each weighted with |ln p| < 16. */
        assert_true(fabs(synth_chain_entropy_rate(chain) - entropy_by_parts(&spec)) < 1e-7);
        synth_chain_close(chain);
    }
}

/* What the source says is what the chain says; synth: is endless. */
static void test_source_entropy(void **state)
{
    (void)state;
    token_source *source;
    gb_error err = {0};
    synth_spec spec;
    assert_int_equal(synth_spec_parse(&spec, "synth:", &err), GB_OK);
    assert_int_equal(token_source_open(&source, "synth:", 256, &err), GB_OK);
    assert_true(fabs(token_source_entropy_rate(source) - entropy_by_parts(&spec)) < 1e-7);
    assert_true(token_source_tokens(source) == INT64_MAX);
    token_source_close(source);
}

/* Conditional entropy of the next token from counts alone, without looking at the generator.
 * Bounds: the plug-in estimate falls short by about (cells used - contexts) / 2n (Miller & Madow
 * 1955); that is added back, and a quarter of it allowed, since the formula supposes that every
 * cell is well filled. The standard error is sd(-ln p) / sqrt(n), with sd at most half the range
 * ln(vocab / noise) (Popoviciu); five of those are allowed. */
static void check_empirical_entropy(const char *text, int64_t contexts)
{
    enum { N = 1 << 21 };
    synth_spec spec;
    synth_chain *chain = open_chain(text, &spec);
    int64_t *count = calloc((size_t)(contexts * spec.vocab), sizeof *count);
    int32_t *tokens = malloc((N + 2) * sizeof *tokens);
    synth_chain_read(chain, 12345, N + 2, tokens);
    for (int64_t i = 2; i < N + 2; i++) {
        int64_t context = tokens[i - 1] * (contexts / spec.vocab) +
                          (spec.order == 2 ? tokens[i - 2] % spec.classes : 0);
        count[context * spec.vocab + tokens[i]]++;
    }
    double entropy = 0.0;
    int64_t used = 0;
    for (int64_t c = 0; c < contexts; c++) {
        const int64_t *row = count + c * spec.vocab;
        int64_t total = 0;
        for (int64_t v = 0; v < spec.vocab; v++) {
            total += row[v];
        }
        for (int64_t v = 0; v < spec.vocab; v++) {
            used += row[v] > 0;
            entropy -= row[v] > 0 ? (double)row[v] / N * log((double)row[v] / (double)total) : 0.0;
        }
    }
    double bias = (double)(used - contexts) / (2.0 * N);
    double spread = log((double)spec.vocab / spec.noise) / 2.0 / sqrt((double)N);
    double allowed = 5.0 * spread + bias / 4.0;
    double stated = synth_chain_entropy_rate(chain);
    if (fabs(entropy + bias - stated) > allowed) {
        fail_msg("%s: counts give %.5f nats (bias %.5f added), stated %.5f, allowed +-%.5f", text,
                 entropy + bias, bias, stated, allowed);
    }
    free(tokens);
    free(count);
    synth_chain_close(chain);
}

static void test_entropy_empirical(void **state)
{
    (void)state;
    check_empirical_entropy("synth:", 256);
    check_empirical_entropy("synth:vocab=16,branch=5,ratio=0.7,noise=0.3,seed=9", 16);
    check_empirical_entropy("synth:vocab=24,order=2,classes=3,noise=0.1,seed=4,stream=2", 24 * 3);
}

/* The stated probabilities sum to 1 over the vocabulary, and give the entropy rate. */
static void test_probabilities(void **state)
{
    (void)state;
    synth_spec spec;
    synth_chain *chain = open_chain("synth:vocab=50,order=2", &spec);
    for (int32_t before = 0; before < 5; before++) {
        double sum = 0.0, entropy = 0.0;
        for (int32_t token = 0; token < 50; token++) {
            double p = synth_chain_probability(chain, before, 17, token);
            sum += p;
            entropy -= p * log(p);
        }
        assert_true(fabs(sum - 1.0) < 1e-12);
        assert_true(fabs(entropy - synth_chain_entropy_rate(chain)) < 1e-12);
    }
    synth_chain_close(chain);
}

/* The mean of -ln p over the text, p from the generator's own table, is the entropy rate to
 * within five standard errors (see check_empirical_entropy): the table is what is drawn from. */
static void test_probabilities_describe_text(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    static const char *const specs[] = {"synth:", "synth:vocab=512,order=2,stream=val"};
    int32_t *tokens = malloc((N + 2) * sizeof *tokens);
    for (size_t s = 0; s < COUNT(specs); s++) {
        synth_spec spec;
        synth_chain *chain = open_chain(specs[s], &spec);
        double sum = 0.0, squares = 0.0;
        synth_chain_read(chain, 999, N + 2, tokens);
        for (int64_t i = 2; i < N + 2; i++) {
            double nats =
                -log(synth_chain_probability(chain, tokens[i - 2], tokens[i - 1], tokens[i]));
            sum += nats;
            squares += nats * nats;
        }
        /* Its relative standard error is sqrt((kurtosis - 1) / 4N), below 0.3 % for a kurtosis of
         * up to 10: five of those. */
        double measured = sqrt(squares / N - sum / N * (sum / N));
        assert_true(fabs(measured / synth_chain_entropy_spread(chain) - 1) < 0.015);
        double spread = log((double)spec.vocab / spec.noise) / 2.0 / sqrt((double)N);
        assert_true(fabs(sum / N - synth_chain_entropy_rate(chain)) < 5.0 * spread);
        synth_chain_close(chain);
    }
    free(tokens);
}

/* Any window equals the same stretch of one long read, around 2^63 and the wrap of 2^64 too. */
static void test_random_access(void **state)
{
    (void)state;
    enum { N = 5000 };
    static const uint64_t bases[] = {0, UINT64_C(1) << 63, UINT64_MAX - 2000};
    static const char *const specs[] = {"synth:", "synth:order=2,noise=0.02"};
    int32_t *whole = malloc(N * sizeof *whole), part[64];
    for (size_t s = 0; s < COUNT(specs); s++) {
        synth_spec spec;
        synth_chain *chain = open_chain(specs[s], &spec);
        for (size_t b = 0; b < COUNT(bases); b++) {
            synth_chain_read(chain, bases[b], N, whole);
            for (int start = 0; start + 64 <= N; start += 37) {
                synth_chain_read(chain, bases[b] + (uint64_t)start, 64, part);
                assert_memory_equal(part, whole + start, sizeof part);
            }
        }
        synth_chain_close(chain);
    }
    free(whole);
}

static void test_spec_errors(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *message;
    } rows[] = {
        {"synth:vocab=1", "synth: vocab = 1: expected a whole number from 2 to 65536"},
        {"synth:vocab=65537", "from 2 to 65536"},
        {"synth:vocab=", "synth: vocab = : expected a whole number"},
        {"synth:vocab=0x10", "expected a whole number"},
        {"synth:vocab=-5", "expected a whole number"},
        {"synth:seed=18446744073709551616", "from 0 to 2^64 - 1"},
        {"synth:seed=-1", "from 0 to 2^64 - 1"},
        {"synth:stream=test", "synth: stream = test"},
        {"synth:order=3", "from 1 to 2"},
        {"synth:branch=65", "from 1 to 64"},
        {"synth:vocab=4,branch=5", "branch = 5 is more than vocab = 4"},
        {"synth:noise=0", "from 0.0078125 to 1"},
        {"synth:noise=nan", "expected a number from"},
        {"synth:ratio=1.5", "expected a number from"},
        {"synth:vocabulary=256", "unknown parameter \"vocabulary\"; known: vocab, seed"},
        {"synth:vocab=256,vocab=256", "vocab is given twice"},
        {"synth:vocab", "expected name=value"},
        {"synth:vocab=256,", "expected name=value"},
        {"synth:vocab=512", "its 512 tokens are more than vocab_size = 256"},
        {"", "no data given"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        token_source *source;
        gb_error err = {0};
        assert_int_equal(token_source_open(&source, rows[i].spec, 256, &err), GB_ERR_USAGE);
        assert_null(source);
        if (!strstr(err.message, rows[i].message)) {
            fail_msg("\"%s\": message \"%s\" lacks \"%s\"", rows[i].spec, err.message,
                     rows[i].message);
        }
    }
}

/* The longest text there is fits, parses back to the same, and is refused for its table. */
static void test_format_parses_back(void **state)
{
    (void)state;
    synth_spec spec, again;
    char text[256], text_again[256];
    gb_error err = {0};
    const char *longest = "synth:vocab=65536,seed=18446744073709551615,"
                          "stream=18446744073709551615,order=2,classes=64,branch=64,"
                          "ratio=0.3333333333333333,noise=0.0123456789012345678";
    assert_int_equal(synth_spec_parse(&spec, longest, &err), GB_OK);
    synth_spec_format(&spec, text, sizeof text);
    assert_int_equal(synth_spec_parse(&again, text, &err), GB_OK);
    synth_spec_format(&again, text_again, sizeof text_again);
    assert_string_equal(text, text_again);
    assert_true(again.noise == spec.noise && again.ratio == spec.ratio);
    synth_chain *chain;
    assert_int_equal(synth_chain_open(&chain, &spec, &err), GB_ERR_USAGE);
    assert_non_null(strstr(err.message, "successors: at most"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_entropy_formula),
        cmocka_unit_test(test_source_entropy),
        cmocka_unit_test(test_entropy_empirical),
        cmocka_unit_test(test_probabilities),
        cmocka_unit_test(test_probabilities_describe_text),
        cmocka_unit_test(test_random_access),
        cmocka_unit_test(test_spec_errors),
        cmocka_unit_test(test_format_parses_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
