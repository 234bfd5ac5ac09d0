/* identity.h: the hash of all that defines a run's result. Two runs of equal identity give
 * bit-equal losses and comparable times; a run whose identity is in the database is not done again.
 *
 * What is in it: every model key that has an effect in this configuration, every training key but
 * the data's paths (the hash of the data stands for them), the replicate, the number of profiled
 * steps; backend, device, code path (isa), threads; the program's version, the compiler, and the
 * hash of the sources that compute (kernels/ and model/, GPTBENCH_CODE). Neither the commit nor the
 * machine's name, driver or memory are: a change of the report, a reboot or a rename make nothing
 * untrue. */
#ifndef GPTBENCH_BENCH_IDENTITY_H
#define GPTBENCH_BENCH_IDENTITY_H

#include "model/config.h"
#include "model/train_spec.h"

typedef struct run_identity {
    const gpt_config *config;
    const train_spec *spec; /* resolved */
    const char *train_data_hash, *val_data_hash;
    bool val_in_shards; /* validation data are several shards */
    int64_t replicate, profile_steps;
    const char *backend, *device, *isa;
    int64_t threads;
    const char *version, *code, *compiler;
} run_identity;

/* The compiler that this program was built with, as run.compiler holds it. */
const char *identity_compiler(void);

/* 32 hex digits and NUL: XXH3-128 over the canonical text. */
void identity_hash(const run_identity *identity, char out[33]);
/* XXH3-128 of any text, in the same form. */
void identity_hash_text(const char *text, char out[33]);

#endif
