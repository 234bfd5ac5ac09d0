/* Runs a fuzzer without clang: on every file of a corpus, then on inputs made of them by a
 * generator that starts the same each time. Linked with one fuzz_NAME.c: fuzz_NAME SECONDS
 * MAX_BYTES FILE... Ends after SECONDS of processor time and prints how many inputs that were; what
 * breaks ends it by a signal or a sanitizer, with the input in the file fuzz_input. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : 0;
}

static input file_load(const char *path)
{
    input in = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (file && fseek(file, 0, SEEK_END) == 0) {
        in.size = (size_t)ftell(file);
        rewind(file);
        in.bytes = malloc(in.size + 1);
        in.size = in.bytes ? fread(in.bytes, 1, in.size, file) : 0;
    }
    if (!in.bytes) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    fclose(file);
    return in;
}

/* A few of the changes that find most: bytes, bits, numbers, pieces moved, cut, or of another. */
static size_t change(uint8_t *bytes, size_t size, size_t most, const input *other)
{
    static const uint8_t words[] = {0, 1, 127, 128, 255, '"', '\n', '=', '%', '-'};
    size_t at = draw(size + 1), n = 1 + draw(8);
    switch (draw(6)) {
    case 0:
        if (size > 0) {
            bytes[at % size] ^= (uint8_t)(1u << draw(8));
        }
        return size;
    case 1:
        if (size > 0) {
            bytes[at % size] = words[draw(sizeof words)];
        }
        return size;
    case 2: /* a piece away */
        n = n < size - at ? n : size - at;
        memmove(bytes + at, bytes + at + n, size - at - n);
        return size - n;
    case 3: /* something in */
        n = n < most - size ? n : most - size;
        memmove(bytes + at + n, bytes + at, size - at);
        for (size_t i = 0; i < n; i++) {
            bytes[at + i] = (uint8_t)draw(256);
        }
        return size + n;
    case 4: /* of another input from here on */
        n = other->size > at ? other->size - at : 0;
        n = n < most - at ? n : most - at;
        if (n > 0) {
            memcpy(bytes + at, other->bytes + at, n);
        }
        return at + n;
    default:
        return draw(8) == 0 ? at : size;
    }
}

static const uint8_t *running;
static size_t running_size;

static void keep_input(int signal_number)
{
    int fd = open("fuzz_input", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0) {
        ssize_t ignored = write(fd, running, running_size);
        (void)ignored;
        close(fd);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1); /* so that reading beyond it is seen */
    if (exact) {
        memcpy(exact, bytes, size);
        running = exact;
        running_size = size;
        LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s SECONDS MAX_BYTES FILE...\n", argv[0]);
        return 2;
    }
    double seconds = atof(argv[1]);
    size_t most = (size_t)atol(argv[2]);
    int files = argc - 3, fd = dup(STDOUT_FILENO);
    long count = 0;
    input *inputs = calloc((size_t)files, sizeof *inputs);
    uint8_t *work = malloc(most);
    if (!inputs || !work) {
        exit(2);
    }
    signal(SIGABRT, keep_input);
    signal(SIGSEGV, keep_input);
    for (int i = 0; i < files; i++) {
        inputs[i] = file_load(argv[3 + i]);
    }
    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 0; i < files; i++, count++) {
        run(inputs[i].bytes, inputs[i].size);
    }
    while ((double)clock() / CLOCKS_PER_SEC < seconds) {
        const input *from = &inputs[draw((uint64_t)files)];
        size_t size = from->size < most ? from->size : most;
        memcpy(work, from->bytes, size);
        for (uint64_t k = 1 + draw(5); k > 0; k--) {
            size = change(work, size, most, &inputs[draw((uint64_t)files)]);
        }
        run(work, size);
        count++;
    }
    for (int i = 0; i < files; i++) {
        free(inputs[i].bytes);
    }
    free(inputs);
    free(work);
    dprintf(fd, "%ld inputs\n", count); /* a fuzzer may have sent stdout away */
    return 0;
}
