/* parity_fixture.h: reads what tests/fixtures/make_fixtures.py wrote; that file says what is in a
 * fixture. Paths are relative to the root of the repository. */
#ifndef GPTBENCH_TESTS_REF_PARITY_FIXTURE_H
#define GPTBENCH_TESTS_REF_PARITY_FIXTURE_H

#include "model/config.h"
#include "model/safetensors.h"
#include "model/train_spec.h"

#define PARITY_FIXTURES "tests/fixtures/parity"
enum { FIXTURE_NAME = 64, PARITY_MAX_TOKENS = 8192, PARITY_STEPS = 10 };

typedef struct fixture {
    char name[FIXTURE_NAME];
    gpt_config config;
    train_spec spec;
    char final_variant[32];
    safetensors_file weights, expected;
    int32_t tokens[PARITY_MAX_TOKENS];
    int n_tokens;
} fixture;

/* Names of all fixtures, sorted; returns their number, 0 when the folder is not there. */
int fixture_list(char names[][FIXTURE_NAME], int capacity);

/* Reads one; ends with fixture_close. GB_ERR_FORMAT or GB_ERR_IO when anything is missing, or a
 * key is unknown, or the tokens are not enough for PARITY_STEPS steps with accumulation. */
gb_status fixture_open(fixture *f, const char *name, gb_error *err);
void fixture_close(fixture *f);

#endif
