#include "model/json_text.h"

#include <stdlib.h>

/* jansson takes functions for its memory without a pointer to go with them. */
static _Thread_local bool lacked;

void *json_memory_take(size_t n)
{
    void *p = malloc(n);
    lacked |= !p;
    return p;
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(json_memory_take, free);
    lacked = false;
}

bool json_memory_lacked(void)
{
    return lacked;
}

char *json_text(const json_t *json, size_t flags)
{
    size_t n = json_dumpb(json, NULL, 0, flags); /* 0: it failed */
    char *text = n ? malloc(n + 1) : NULL;
    if (text && json_dumpb(json, text, n, flags) != n) {
        free(text);
        return NULL;
    }
    if (text) {
        text[n] = '\0';
    }
    return text;
}
