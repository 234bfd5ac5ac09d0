/* [limits]: what a run may take, and what is done when one ends badly. */
#include "bench/suite/suite_internal.h"

gb_status suite_limits_read(suite_reader *reader)
{
    const char *names[16];
    const suite_ini_section *section = reader->limits;
    suite *target = reader->suite;
    int n = 0;
    for (; limits_keys()[n].name && n < 15; n++) {
        names[n] = limits_keys()[n].name;
    }
    names[n] = NULL;
    target->limits = run_limits_default();
    GB_TRY(suite_section_check(reader, section, "limits", names));
    for (int i = 0; i < n; i++) {
        const suite_ini_entry *entry = suite_entry_find(section, names[i]);
        target->limits_given |= (uint32_t)(entry != NULL) << i;
        if (entry &&
            run_limits_set(&target->limits, names[i], entry->value, reader->err) != GB_OK) {
            return gb_error_prefix(reader->err, "%s:%d", reader->path, entry->line);
        }
    }
    return GB_OK;
}
