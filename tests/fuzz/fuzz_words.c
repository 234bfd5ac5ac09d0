/* Fuzzes the readers of one line: what a claim expects, conditions of compare, synthetic sources,
 * keys and their values, numbers of the command line, settings of a session. Any text is a value in
 * its range or an error with a message. The first byte picks the reader. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/commands/compare_condition.h"
#include "bench/commands/settings.h"
#include "bench/suite/suite.h"
#include "model/synth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

static gb_status expectation(const char *text, gb_error *err)
{
    suite_expect expect;
    return suite_expect_parse(&expect, text, err);
}

static gb_status condition(const char *text, gb_error *err)
{
    compare_condition c;
    gb_status status = compare_condition_parse(&c, text, METRIC_COUNT, err);
    require(status != GB_OK || (isfinite(c.limit) && (c.sign == 1 || c.sign == -1)));
    return status;
}

static gb_status source(const char *text, gb_error *err)
{
    synth_spec spec, again;
    char canonical[256];
    gb_status status = synth_spec_matches(text) ? synth_spec_parse(&spec, text, err) : GB_OK;
    if (status == GB_OK && synth_spec_matches(text)) {
        synth_spec_format(&spec, canonical, sizeof canonical);
        require(synth_spec_parse(&again, canonical, NULL) == GB_OK);
    }
    if (status == GB_OK && synth_spec_matches(text) && spec.vocab * spec.classes < 4096) {
        synth_chain *chain = NULL;
        status = synth_chain_open(&chain, &spec, err);
        if (status == GB_OK) {
            int32_t tokens[64];
            double rate = synth_chain_entropy_rate(chain);
            synth_chain_read(chain, UINT64_MAX / 2, 64, tokens);
            for (int i = 0; i < 64; i++) {
                require(tokens[i] >= 0 && tokens[i] < spec.vocab);
            }
            require(rate >= 0 && rate <= log((double)spec.vocab) + 1e-9);
            synth_chain_close(chain);
        }
    }
    return status;
}

/* KEY=VALUE, as many as there are, as `train --set` takes them. */
static gb_status settings(char *text, gb_error *err)
{
    gpt_config config;
    train_spec spec = train_spec_default();
    settings_args args = {.preset = NULL};
    cli_list *list = &args.set;
    snprintf(spec.train_data, sizeof spec.train_data, "x");
    snprintf(spec.val_data, sizeof spec.val_data, "x");
    for (char *item; (item = strsep(&text, "\n")) && list->count < 16;) {
        list->items[list->count++] = item;
    }
    gb_status status = settings_read(&config, &spec, &args, err);
    require(status != GB_OK || gpt_config_validate(&config, NULL) == GB_OK);
    return status;
}

static gb_status command_line(char *text, gb_error *err)
{
    int64_t number = 5;
    const char *word = NULL, *positional[2];
    bool flag = false, help = false;
    int n = 0, argc = 1;
    const cli_option options[] = {{"--number", "-n", CLI_INT, &number, "N", "a number", -3, 70000},
                                  {"--word", NULL, CLI_TEXT, &word, "W", "a word", 0, 0},
                                  {"--flag", NULL, CLI_FLAG, &flag, NULL, "a flag", 0, 0},
                                  {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {"gptbench fuzz [options]", "Tries.", options, 0, 2, NULL, NULL};
    char *argv[12] = {text};
    for (char *item; (item = strsep(&text, "\n")) && argc < 11;) {
        if (strcmp(item, "--help") != 0 && strcmp(item, "-h") != 0) {
            argv[argc++] = item;
        }
    }
    gb_status status = cli_parse(&command, argc, argv, positional, &n, &help, err);
    require(number >= -3 && number <= 70000 && n >= 0 && n <= 2);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    char *text = malloc(size);
    if (!text) {
        return 0;
    }
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    gb_error err = {GB_OK, ""};
    gb_status status = data[0] % 5 == 0   ? expectation(text, &err)
                       : data[0] % 5 == 1 ? condition(text, &err)
                       : data[0] % 5 == 2 ? source(text, &err)
                       : data[0] % 5 == 3 ? settings(text, &err)
                                          : command_line(text, &err);
    require(status == GB_OK || err.message[0]);
    free(text);
    return 0;
}
