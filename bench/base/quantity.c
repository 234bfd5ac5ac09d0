#include "bench/base/quantity.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const quantity_unit quantity_bytes[] = {
    {"B", 1},    {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
    {"kB", 1e3}, {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},    {NULL, 0}};
const quantity_unit quantity_seconds[] = {
    {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
const quantity_unit quantity_percent[] = {{"%", 1}, {NULL, 0}};

bool quantity_parse(double *out, const char *text, const quantity_unit *units)
{
    char *end;
    if (text[0] == '\0' || !strchr("0123456789.", text[0])) {
        return false; /* strtod would take inf, nan and signs */
    }
    *out = strtod(text, &end);
    if (end == text) {
        return false;
    }
    end += strspn(end, " \t");
    for (; units->name; units++) {
        if (strcmp(end, units->name) == 0) {
            *out *= units->size;
            return true;
        }
    }
    return false;
}
