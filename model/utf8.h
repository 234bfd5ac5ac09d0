/* utf8.h: telling well-formed UTF-8 from the rest. */
#ifndef GPTBENCH_MODEL_UTF8_H
#define GPTBENCH_MODEL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks at the start of text[0..bytes), bytes > 0. Returns the length of the well-formed sequence
 * there, with *valid set; else the length of the longest prefix of one (at least 1), which counts
 * as one error: the rule of Unicode 15, section 3.9, "maximal subparts", and of Python. */
size_t utf8_step(const unsigned char *text, size_t bytes, bool *valid);

/* Code point of a well-formed sequence of `length` bytes. */
uint32_t utf8_decode(const unsigned char *text, size_t length);

/* Number of ill-formed subsequences in text[0..bytes); 0: all is well. */
int64_t utf8_count_errors(const unsigned char *text, size_t bytes);

/* Copies text to `out`, each ill-formed subsequence replaced by U+FFFD, as Python's
 * decode(errors="replace") does. `out` needs room for 3 * bytes at most, bytes + 2 * errors to be
 * exact. Returns the bytes written. */
size_t utf8_repair(const unsigned char *text, size_t bytes, unsigned char *out);

#endif
