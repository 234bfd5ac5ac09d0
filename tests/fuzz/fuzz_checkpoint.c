/* Fuzzes the reader of checkpoints: any bytes are either a checkpoint of the model and run, which
 * can then be gone on from, or an error with a message. Builds and runs like fuzz_shard.c.
 *
 * The input is the header, or with an odd first byte the whole file without its checksum; lengths
 * and checksum are put where they belong, so that the fuzzer need not guess them, and a header gets
 * the data that it should have. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "model/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX_BYTES = 1 << 16 };

/* The smallest model there is; made once, for the whole process. */
static gpt *model_get(void)
{
    static gpt *model;
    static gb_device *device;
    if (!model) {
        gpt_config config = gpt_config_default();
        gpt_options options = {.batch_size = 1, .sequence_length = 2, .training = true};
        config.vocab_size = 2;
        config.n_layer = config.n_head = 1;
        config.n_embd = 2;
        gb_options wanted = {.threads = 1, .shape = gpt_config_shape(&config, 1, 2)};
        if (gb_backend_cpu.open(&wanted, &device, NULL) != GB_OK ||
            gpt_create(&model, &config, &options, &gb_backend_cpu, device, NULL) != GB_OK) {
            abort();
        }
    }
    return model;
}

static void check_file(const char *path)
{
    checkpoint *c = NULL;
    gb_error err = {GB_OK, ""};
    if (checkpoint_open(&c, model_get(), "", path, &err) != GB_OK) {
        if (!err.message[0] || c) {
            abort();
        }
        return;
    }
    const checkpoint_state *state = checkpoint_get_state(c);
    if (state->steps_done < 1 || state->session < 1 || state->batch_index < 0 ||
        !(state->train_time_ms >= 0) || checkpoint_restore(c, model_get(), NULL) != GB_OK) {
        abort();
    }
    checkpoint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char file[2 * INPUT_MAX_BYTES];
    const gpt_layout *layout = gpt_get_layout(model_get());
    const size_t tensors = (size_t)layout->n_params * 3 * sizeof(float);
    size_t used = size ? size - 1 : 0;
    if (size < 1 || size > INPUT_MAX_BYTES || tensors > INPUT_MAX_BYTES - 64) {
        return 0;
    }
    memset(file, 0, sizeof file);
    if (data[0] & 1) {
        memcpy(file, data + 1, used);
    } else {
        for (int i = 0; i < 8; i++) {
            file[i] = (unsigned char)((uint64_t)used >> (8 * i));
        }
        memcpy(file + 8, data + 1, used);
        used += 8 + tensors;
    }
    XXH128_canonical_t checksum;
    XXH128_canonicalFromHash(&checksum, XXH3_128bits(file, used));
    memcpy(file + used, checksum.digest, sizeof checksum.digest);
    used += sizeof checksum.digest;
    char path[64];
    int fd = memfd_create("checkpoint", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd >= 0 && write(fd, file, used) == (ssize_t)used) {
        check_file(path);
    }
    close(fd);
    return 0;
}
