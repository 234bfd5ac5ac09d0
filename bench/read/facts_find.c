/* Texts of facts, and indices into them. */
#include <stdarg.h>
#include <stdio.h>

#include "bench/read/facts.h"

char *facts_text(facts *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    return length < 0 ? NULL : row_texts_keep(&f->texts, text);
}

int facts_find_config(const facts *f, int64_t config_id)
{
    for (int i = 0; i < f->n_configs; i++) {
        if (f->configs[i].config_id == config_id) {
            return i;
        }
    }
    return -1;
}

int facts_find_machine(const facts *f, int64_t machine_id)
{
    for (int i = 0; i < f->n_machines; i++) {
        if (f->machines[i].machine_id == machine_id) {
            return i;
        }
    }
    return -1;
}
