/* A data race and a read beyond a block: what `make tsan` and `make valgrind` must see
 * before their silence about the rest means anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int race(void)
{
    int counter = 0;
#pragma omp parallel num_threads(2)
    for (int i = 0; i < 1000; i++) {
        counter++; /* by both threads, with nothing between them */
    }
    return counter;
}

static int beyond(int argc)
{
    volatile int *x = calloc(4, sizeof *x);
    int seen = x && x[3 + argc] == 7; /* NOLINT: on purpose */
    free((void *)x);
    return seen;
}

int main(int argc, char **argv)
{
    int value = argc > 1 && strcmp(argv[1], "race") == 0 ? race() : beyond(argc);
    puts(value > 0 ? "some" : "none"); /* used, so that it is computed */
    return 0;
}
