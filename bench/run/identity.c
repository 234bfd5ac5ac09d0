#include "bench/run/identity.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* Several times what the longest configuration takes (about 60 keys, texts of at most 255). */
typedef struct canonical {
    char text[16384];
    size_t used;
} canonical;

const char *identity_compiler(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

static void canonical_add(canonical *c, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void canonical_add(canonical *c, const char *name, const char *format, ...)
{
    size_t room = sizeof c->text - c->used;
    int n = snprintf(c->text + c->used, room, "%s=", name);
    c->used += n < (int)room ? (size_t)n : room - 1;
    room = sizeof c->text - c->used;
    va_list args;
    va_start(args, format);
    n = vsnprintf(c->text + c->used, room, format, args);
    va_end(args);
    c->used += n < (int)room ? (size_t)n : room - 1;
    if (c->used + 1 < sizeof c->text) {
        c->text[c->used++] = '\n';
    }
}

static void canonical_add_keys(canonical *c, const void *object, const gb_key *keys,
                               const gpt_config *config)
{
    for (; keys->name; keys++) {
        if (!config || gpt_config_key_matters(config, keys->name, NULL)) {
            char value[320];
            gb_key_format(object, keys, value, sizeof value);
            canonical_add(c, keys->name, "%s", value);
        }
    }
}

static void hash_format(XXH128_hash_t hash, char out[33])
{
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    for (int i = 0; i < 16; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes.digest[i]);
    }
}

void identity_hash(const run_identity *id, char out[33])
{
    canonical c = {.used = 0};
    canonical_add(&c, "identity", "1");
    canonical_add_keys(&c, id->config, gpt_config_keys(), id->config);
    canonical_add_keys(&c, id->spec, train_spec_keys(), NULL);
    canonical_add(&c, "train_data_hash", "%s", id->train_data_hash);
    canonical_add(&c, "val_data_hash", "%s", id->val_data_hash);
    if (id->val_in_shards) { /* what is read at the end of a shard was another number of tokens once
                              */
        canonical_add(&c, "val_reads", "sequences");
    }
    canonical_add(&c, "replicate", "%lld", (long long)id->replicate);
    canonical_add(&c, "profile_steps", "%lld", (long long)id->profile_steps);
    canonical_add(&c, "backend", "%s", id->backend);
    canonical_add(&c, "device", "%s", id->device);
    canonical_add(&c, "isa", "%s", id->isa);
    canonical_add(&c, "threads", "%lld", (long long)id->threads);
    canonical_add(&c, "version", "%s", id->version);
    canonical_add(&c, "code", "%s", id->code);
    canonical_add(&c, "compiler", "%s", id->compiler);
    hash_format(XXH3_128bits(c.text, c.used), out);
}

void identity_hash_text(const char *text, char out[33])
{
    hash_format(XXH3_128bits(text, strlen(text)), out);
}
