/* checkpoint_every of [suite]: how often a run's state is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/quantity.h"
#include "bench/suite/suite_internal.h"

#define MOST_STEPS   1e12
#define MOST_SECONDS 1e7 /* some four months */

/* "never", "200", "200 steps", "10 min", "30 s", "1.5 h". False when it is none of these. */
static bool every_parse(const char *text, suite *out)
{
    char *end;
    out->checkpoint_steps = 0;
    out->checkpoint_s = 0;
    if (strcmp(text, "never") == 0) {
        return true;
    }
    if (*text < '0' || *text > '9') {
        return false; /* strtod would take inf, nan and signs */
    }
    if (quantity_parse(&out->checkpoint_s, text, quantity_seconds)) {
        return out->checkpoint_s >= 1 && out->checkpoint_s <= MOST_SECONDS;
    }
    out->checkpoint_s = 0;
    const double value = strtod(text, &end); /* without a unit of time: steps */
    end += strspn(end, " \t");
    if (*end != '\0' && strcmp(end, "steps") != 0) {
        return false;
    }
    out->checkpoint_steps = value >= 1 && value <= MOST_STEPS ? (int64_t)value : 0;
    return out->checkpoint_steps > 0 && (double)out->checkpoint_steps == value;
}

gb_status suite_checkpoint_read(suite_reader *reader)
{
    const suite_ini_entry *entry = suite_entry_find(reader->suite_section, "checkpoint_every");
    reader->suite->checkpoint_given = entry != NULL;
    if (!every_parse(entry ? entry->value : SUITE_CHECKPOINT_DEFAULT, reader->suite) && entry) {
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
