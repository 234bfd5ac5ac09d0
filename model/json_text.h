/* json_text.h: JSON as a string, and whether memory lacked for it. */
#ifndef GPTBENCH_MODEL_JSON_TEXT_H
#define GPTBENCH_MODEL_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>

/* Where jansson gets no memory it leaves out what it was to add, or calls a text malformed that is
 * not: some of its own calls do not look, and callers that build one value of many cannot. So its
 * memory is watched, in this thread, from json_memory_watch on; json_memory_lacked tells whether
 * any was refused since. json_memory_take is malloc, watched. */
void json_memory_watch(void);
bool json_memory_lacked(void);
void *json_memory_take(size_t n);

/* As json_dumps; NULL without memory, and only whole otherwise: json_dumps itself goes on where its
 * buffer could not grow for a key, and returns what lacks it. To be freed. */
char *json_text(const json_t *json, size_t flags);

#endif
