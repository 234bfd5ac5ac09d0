#include "bench/base/json_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/json_text.h"
#include "model/utf8.h"

json_t *json_value_text(const char *text)
{
    size_t n = strlen(text);
    unsigned char *fit = json_memory_take(3 * n + 1);
    if (!fit) {
        return NULL;
    }
    json_t *out = json_stringn((char *)fit, utf8_repair((const unsigned char *)text, n, fit));
    free(fit);
    return out;
}

json_t *json_value_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

gb_status json_value_print(json_t *root, gb_error *err)
{
    if (!root || json_memory_lacked()) {
        json_decref(root);
        return gb_fail(err, GB_ERR_OOM, "no memory for the JSON");
    }
    int failed = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0;
    json_decref(root);
    if (failed) {
        return gb_fail(err, GB_ERR_IO, "standard output: the JSON could not be written");
    }
    printf("\n");
    return GB_OK;
}
