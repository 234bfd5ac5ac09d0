/* [timing]: how the speed of the cells is measured in turn. */
#include <string.h>

#include "bench/base/quantity.h"
#include "bench/suite/suite_internal.h"

static const gb_key timing_keys[] = {
    {"blocks", GB_KEY_INT, offsetof(timing_options, blocks), 0, TIMING_MAX_BLOCKS, NULL,
     "blocks that are measured in any case; 0: no interleaved timing"},
    {"max_blocks", GB_KEY_INT, offsetof(timing_options, max_blocks), 1, TIMING_MAX_BLOCKS, NULL,
     "with stop: at most so many blocks"},
    {"burst_steps", GB_KEY_INT, offsetof(timing_options, burst_steps), 1, TIMING_MAX_BURST_STEPS,
     NULL, "timed steps of a burst"},
    {"process_blocks", GB_KEY_INT, offsetof(timing_options, process_blocks), 0, TIMING_MAX_BLOCKS,
     NULL, "blocks after which every config gets a fresh process; 0: never"},
    {"seed", GB_KEY_INT, offsetof(timing_options, seed), 0, 1e15, NULL,
     "of the order of configs within the blocks"},
    {NULL, GB_KEY_INT, 0, 0, 0, NULL, NULL}};

const gb_key *suite_timing_keys(void)
{
    return timing_keys;
}

/* "precision 1%": a fraction, 0.01. False when it is not that. */
static bool precision_parse(const char *text, double *out)
{
    static const char word[] = "precision";
    if (strncmp(text, word, sizeof word - 1) != 0 || !strchr(" \t", text[sizeof word - 1])) {
        return false;
    }
    text += sizeof word;
    text += strspn(text, " \t");
    if (!quantity_parse(out, text, quantity_percent)) {
        return false;
    }
    *out /= 100;
    return *out >= 1e-5 && *out <= 1;
}

static gb_status stop_read(suite_reader *reader, const suite_ini_entry *entry)
{
    if (!precision_parse(entry->value, &reader->suite->timing.stop_precision)) {
        return suite_fail(reader, entry->line,
                          "stop = %.64s: write 'precision 1%%', half the width of the widest 95 %% "
                          "interval, from 0.001 to 100 %%",
                          entry->value);
    }
    return GB_OK;
}

gb_status suite_timing_read(suite_reader *reader)
{
    static const char *const names[] = {"blocks",         "max_blocks", "stop", "burst_steps",
                                        "process_blocks", "seed",       NULL};
    const suite_ini_section *section = reader->timing;
    timing_options *timing = &reader->suite->timing;
    *timing = timing_options_default();
    if (!section) {
        return GB_OK;
    }
    GB_TRY(suite_section_check(reader, section, "timing", names));
    GB_TRY(suite_keys_read(reader, section, timing_keys, timing, &reader->suite->timing_given));
    const suite_ini_entry *stop = suite_entry_find(section, "stop");
    const suite_ini_entry *most = suite_entry_find(section, "max_blocks");
    if (stop) {
        GB_TRY(stop_read(reader, stop));
    }
    if (most && !stop) {
        return suite_fail(reader, most->line,
                          "max_blocks bounds 'stop': add 'stop = precision 1%%', or write 'blocks ="
                          " %lld' for exactly so many",
                          (long long)timing->max_blocks);
    }
    if (stop && timing->max_blocks < timing->blocks) {
        if (most) {
            return suite_fail(reader, most->line, "max_blocks = %lld is below blocks = %lld",
                              (long long)timing->max_blocks, (long long)timing->blocks);
        }
        timing->max_blocks = timing->blocks;
    }
    return GB_OK;
}
