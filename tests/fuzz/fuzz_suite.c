/* libFuzzer harness for the suite reader: no bytes make it crash, leak or hang; every refusal has
 * a place; and every suite that it accepts is as sound as suite.h promises.
 *
 * `make fuzz` runs it, with suites/ and tests/fixtures/suites/ as further seeds (scripts/fuzz.sh).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/suite/suite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

static void check_suite(const suite *s)
{
    require(s->n_cells > 0, "a suite has a cell");
    require(s->baseline >= 0 && s->baseline < s->n_cells, "the baseline is a cell");
    require(s->replicates >= 1 && s->replicates <= SUITE_MAX_REPLICATES, "replicates in range");
    for (int i = 0; i < s->n_cells; i++) {
        const suite_cell *cell = &s->cells[i];
        require(memchr(cell->name, 0, sizeof cell->name) && cell->name[0], "cells have names");
        require(strspn(cell->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789-_.") == strlen(cell->name),
                "names are plain");
        require(gpt_config_validate(&cell->config, NULL) == GB_OK, "configs are valid");
        require(train_spec_validate(&cell->spec, NULL) == GB_OK, "specs are valid");
        require(cell->is_baseline == (i == s->baseline), "one baseline");
        /* quadratic, so for the smaller suites only */
        require(s->n_cells > 300 || suite_cell_find(s, cell->name) == i, "names are unique");
    }
    for (int i = 0; i < s->n_claims; i++) {
        require(suite_cell_find(s, s->claims[i].config) >= 0, "claims name cells");
        require(suite_cell_find(s, s->claims[i].baseline) >= 0, "claims name cells");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    suite *read;
    gb_error err = {.message = ""};
    if (suite_parse(&read, "s.ini", text, &err) == GB_OK) {
        check_suite(read);
    } else {
        require(read == NULL, "nothing is returned with an error");
        require(err.status == GB_ERR_USAGE, "a refusal is a usage error");
        require(strncmp(err.message, "s.ini:", 6) == 0, "a message has a place");
    }
    suite_free(read);
    free(text);
    return 0;
}
