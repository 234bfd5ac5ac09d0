/* Fuzzes the shard reader: any bytes are either a sound shard, whose tokens are then read and in
 * range, or an error with a message.
 *
 *   make CC=clang BUILD=build-fuzz OPT="-O1 -g" SANITIZE=fuzzer-no-link,address,undefined fuzzers
 *   build-fuzz/fuzz/fuzz_shard -max_len=4096 -max_total_time=300
 *
 * The first byte of the input picks the vocabulary and a stretch to read; the rest is the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/loader.h"
#include "model/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_batches(token_source *source, int64_t vocab, int64_t batch, int64_t length)
{
    token_loader loader;
    gb_error err = {0};
    int32_t inputs[64], targets[64];
    if (token_loader_open(&loader, source, batch, length, 1, &err) != GB_OK) {
        return;
    }
    for (int i = 0; i < 5; i++) {
        if (token_loader_next(&loader, inputs, targets, &err) != GB_OK) {
            abort(); /* the file was checked and does not change */
        }
        for (int64_t n = 0; n < batch * length; n++) {
            if (inputs[n] < 0 || inputs[n] >= vocab || targets[n] < 0 || targets[n] >= vocab) {
                abort();
            }
        }
    }
}

/* Gives an input the header of a sound shard, so that the fuzzer need not find the magic. */
static void mend_header(uint8_t *file, size_t size)
{
    uint32_t words[3] = {SHARD_MAGIC, SHARD_VERSION, (uint32_t)((size - SHARD_HEADER_BYTES) / 2)};
    memcpy(file, words, sizeof words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    uint8_t choice = *data++;
    size--;
    uint8_t *file = malloc(size + 1);
    memcpy(file, data, size);
    if (choice & 128 && size >= SHARD_HEADER_BYTES) {
        mend_header(file, size);
    }
    int fd = memfd_create("shard", 0);
    if (fd < 0 || write(fd, file, size) != (ssize_t)size) {
        abort();
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int64_t vocab = choice & 1 ? 256 : 65536;
    token_source *source;
    gb_error err = {0};
    gb_status status = token_source_open(&source, path, vocab, &err);
    if (status == GB_OK) {
        walk_batches(source, vocab, 1 + (choice >> 1 & 3), 1 + (choice >> 3 & 15));
    } else if (!strstr(err.message, path)) {
        abort(); /* a message names the file */
    }
    token_source_close(source);
    close(fd);
    free(file);
    return 0;
}
