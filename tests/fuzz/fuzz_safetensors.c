/* Fuzzes the weight-file reader: any bytes are either a sound file, whose tensors then hold what
 * their shapes say, or an error with a message. Builds and runs like fuzz_shard.c.
 *
 * The input is the JSON header and the data behind a length that is put in front of it, so that
 * the fuzzer need not guess eight bytes; the first byte says how much of the input is header. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdio.h>

#include "model/safetensors.h"
#include "model/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a file says of its model is a valid one, nothing, or an error with a message. */
static void check_config(const char *path)
{
    gpt_config config = {0};
    gb_error err = {GB_OK, ""};
    uint64_t known = 0;
    gb_status status = gpt_read_weights_config(path, &config, &known, &err);
    if (status != GB_OK ? !err.message[0] || status == GB_ERR_USAGE
                        : known && gpt_config_validate(&config, NULL) != GB_OK) {
        abort();
    }
}

static void check_file(const char *path)
{
    check_config(path);
    safetensors_file file;
    gb_error err = {GB_OK, ""};
    double sum = 0;
    if (safetensors_read(&file, path, &err) != GB_OK) {
        if (!err.message[0] || file.tensors) {
            abort();
        }
        return;
    }
    for (int i = 0; i < file.n_tensors; i++) {
        const safetensor *t = &file.tensors[i];
        int64_t count = 1;
        for (int d = 0; d < t->n_dims; d++) {
            count *= t->dims[d];
        }
        if (count != t->count || !safetensors_find(&file, t->name)) {
            abort();
        }
        for (int64_t j = 0; j < count; j++) {
            sum += t->values[j]; /* every value is there: the sanitizer looks */
        }
    }
    volatile double used = sum;
    (void)used;
    safetensors_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    int fd = memfd_create("safetensors", MFD_CLOEXEC);
    char path[64];
    unsigned char prefix[8] = {0};
    uint64_t header = (uint64_t)(size - 1) * data[0] / 255;
    for (int i = 0; i < 8; i++) {
        prefix[i] = (unsigned char)(header >> (8 * i));
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd >= 0 && write(fd, prefix, 8) == 8 &&
        write(fd, data + 1, size - 1) == (ssize_t)(size - 1)) {
        check_file(path);
    }
    close(fd);
    return 0;
}
