/* fraction.h: a 64-bit word read as a fraction of 1. */
#ifndef GPTBENCH_MODEL_FRACTION_H
#define GPTBENCH_MODEL_FRACTION_H

#include <stdint.h>

/* floor(word / 2^64 * n): a number in 0..n-1 (0 for n = 0). The upper half of a 128-bit product,
 * in 32-bit pieces because ISO C has no 128-bit type. */
static inline uint64_t fraction_of(uint64_t word, uint64_t n)
{
    uint64_t word_low = word & 0xFFFFFFFF, word_high = word >> 32;
    uint64_t n_low = n & 0xFFFFFFFF, n_high = n >> 32;
    uint64_t middle = word_high * n_low + (word_low * n_low >> 32);
    uint64_t carry = (middle & 0xFFFFFFFF) + word_low * n_high;
    return word_high * n_high + (middle >> 32) + (carry >> 32);
}

#endif
