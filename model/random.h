/* random.h: the one random generator: Philox-4x32-10 (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011). Counter-based: value i of a stream does not depend on any other. */
#ifndef GPTBENCH_MODEL_RANDOM_H
#define GPTBENCH_MODEL_RANDOM_H

#include <stdint.h>

/* One block of four words. */
void random_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* A stream is keyed by a name and a seed; `replicate` selects one of 2^32 parallel streams. */
typedef struct random_stream {
    uint32_t key[2];
    uint32_t replicate;
} random_stream;

random_stream random_stream_open(const char *name, uint64_t seed, uint32_t replicate);
/* Values start..start+n of the stream, uniform in (-bound, bound): (2u + 1) * 2^-24 - 1 for a
 * 24-bit u, times bound, so that they are exact in float32 before the multiplication. */
void random_fill_uniform(const random_stream *stream, double *out, int64_t start, int64_t n,
                         double bound);

#endif
