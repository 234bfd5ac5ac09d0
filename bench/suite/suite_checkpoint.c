/* checkpoint_every of [suite]: how often a run's state is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/quantity.h"
#include "bench/suite/suite_internal.h"

#define MOST_STEPS   1e12
#define MOST_SECONDS 1e7 /* some four months */

bool suite_checkpoint_parse(const char *text, int64_t *steps, double *seconds)
{
    char *end;
    *steps = 0;
    *seconds = 0;
    if (strcmp(text, "never") == 0) {
        return true;
    }
    if (*text < '0' || *text > '9') {
        return false; /* strtod would take inf, nan and signs */
    }
    if (quantity_parse(seconds, text, quantity_seconds)) {
        return *seconds >= 1 && *seconds <= MOST_SECONDS;
    }
    *seconds = 0;
    const double value = strtod(text, &end); /* without a unit of time: steps */
    end += strspn(end, " \t");
    if (*end != '\0' && strcmp(end, "steps") != 0) {
        return false;
    }
    *steps = value >= 1 && value <= MOST_STEPS ? (int64_t)value : 0;
    return *steps > 0 && (double)*steps == value;
}

gb_status suite_checkpoint_read(suite_reader *reader)
{
    const suite_ini_entry *entry = suite_entry_find(reader->suite_section, "checkpoint_every");
    reader->suite->checkpoint_given = entry != NULL;
    if (!suite_checkpoint_parse(entry ? entry->value : SUITE_CHECKPOINT_DEFAULT,
                                &reader->suite->checkpoint_steps, &reader->suite->checkpoint_s) &&
        entry) {
        return suite_fail(reader, entry->line,
                          "checkpoint_every = %.64s: write so many steps, as '200', a time of at"
                          " least a second, as '10 min', '30 s' or '2 h', or 'never'",
                          entry->value);
    }
    return GB_OK;
}

void suite_checkpoint_format(const suite *of, char out[SUITE_CHECKPOINT_TEXT])
{
    const double s = of->checkpoint_s;
    if (of->checkpoint_steps > 0) {
        snprintf(out, SUITE_CHECKPOINT_TEXT, "%lld steps", (long long)of->checkpoint_steps);
    } else if (s >= 3600) {
        snprintf(out, SUITE_CHECKPOINT_TEXT, "%.6g h", s / 3600);
    } else if (s >= 60) {
        snprintf(out, SUITE_CHECKPOINT_TEXT, "%.6g min", s / 60);
    } else if (s > 0) {
        snprintf(out, SUITE_CHECKPOINT_TEXT, "%.6g s", s);
    } else {
        snprintf(out, SUITE_CHECKPOINT_TEXT, "never");
    }
}
