#include "tests/ref/parity_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARD_HEADER_BYTES = 1024 };

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

int fixture_list(char names[][FIXTURE_NAME], int capacity)
{
    DIR *dir = opendir(PARITY_FIXTURES);
    int n = 0;
    if (!dir) {
        return 0;
    }
    for (struct dirent *entry = readdir(dir); entry && n < capacity; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            snprintf(names[n++], FIXTURE_NAME, "%.63s", entry->d_name);
        }
    }
    closedir(dir);
    qsort(names, (size_t)n, sizeof names[0], compare_names);
    return n;
}

static FILE *open_part(const fixture *f, const char *part, gb_error *err)
{
    char path[256];
    snprintf(path, sizeof path, PARITY_FIXTURES "/%s/%s", f->name, part);
    FILE *file = fopen(path, "rb");
    if (!file) {
        gb_fail(err, GB_ERR_IO, "%s: cannot be read", path);
    }
    return file;
}

static gb_status set_key(fixture *f, const char *key, const char *value, gb_error *err)
{
    const gb_key *known = gb_key_find(gpt_config_keys(), key);
    if (known) {
        return gb_key_set(&f->config, known, value, err);
    }
    known = gb_key_find(train_spec_keys(), key);
    if (known) {
        return gb_key_set(&f->spec, known, value, err);
    }
    if (strcmp(key, "final_variant") != 0) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: config.txt: unknown key %s", f->name, key);
    }
    snprintf(f->final_variant, sizeof f->final_variant, "%.31s", value);
    return GB_OK;
}

static gb_status read_config(fixture *f, gb_error *err)
{
    char line[256], key[64], value[64];
    FILE *file = open_part(f, "config.txt", err);
    if (!file) {
        return GB_ERR_IO;
    }
    gb_status status = GB_OK;
    while (status == GB_OK && fgets(line, sizeof line, file)) {
        status = sscanf(line, "%63s = %63s", key, value) == 2
                     ? set_key(f, key, value, err)
                     : gb_fail(err, GB_ERR_FORMAT, "%s: config.txt: %s", f->name, line);
    }
    fclose(file);
    return status == GB_OK ? gpt_config_validate(&f->config, err) : status;
}

static gb_status read_tokens(fixture *f, gb_error *err)
{
    FILE *file = open_part(f, "tokens.bin", err);
    if (!file) {
        return GB_ERR_IO;
    }
    uint16_t token;
    f->n_tokens = 0;
    if (fseek(file, SHARD_HEADER_BYTES, SEEK_SET) == 0) {
        while (f->n_tokens < PARITY_MAX_TOKENS && fread(&token, sizeof token, 1, file) == 1) {
            f->tokens[f->n_tokens++] = token;
        }
    }
    fclose(file);
    int64_t needed = PARITY_STEPS * train_spec_tokens_per_step(&f->spec) + 1;
    if (f->n_tokens < needed) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: tokens.bin holds %d tokens, not %lld", f->name,
                       f->n_tokens, (long long)needed);
    }
    return GB_OK;
}

gb_status fixture_open(fixture *f, const char *name, gb_error *err)
{
    char path[256];
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%.63s", name);
    f->config = gpt_config_default();
    f->spec = train_spec_default();
    GB_TRY(read_config(f, err));
    GB_TRY(read_tokens(f, err));
    snprintf(path, sizeof path, PARITY_FIXTURES "/%s/weights.safetensors", f->name);
    GB_TRY(safetensors_read(&f->weights, path, err));
    snprintf(path, sizeof path, PARITY_FIXTURES "/%s/expected.safetensors", f->name);
    gb_status status = safetensors_read(&f->expected, path, err);
    if (status != GB_OK) {
        safetensors_close(&f->weights);
    }
    return status;
}

void fixture_close(fixture *f)
{
    safetensors_close(&f->weights);
    safetensors_close(&f->expected);
}
