#include "model/random.h"

#include <string.h>
#include <xxhash.h>

void random_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

random_stream random_stream_open(const char *name, uint64_t seed, uint32_t replicate)
{
    uint64_t hash = XXH64(name, strlen(name), seed);
    return (random_stream){{(uint32_t)hash, (uint32_t)(hash >> 32)}, replicate};
}

void random_fill_uniform(const random_stream *stream, double *out, int64_t start, int64_t n,
                         double bound)
{
    uint32_t block[4];
    int64_t held = -1;
    for (int64_t i = start; i < start + n; i++) {
        if (i / 4 != held) {
            held = i / 4;
            uint32_t counter[4] = {(uint32_t)held, (uint32_t)((uint64_t)held >> 32),
                                   stream->replicate, 0};
            random_philox4x32(block, counter, stream->key);
        }
        double unit = (2.0 * (double)(block[i % 4] >> 8) + 1.0) * 0x1p-24 - 1.0;
        out[i - start] = unit * bound;
    }
}
