/* same_file.h: whether two names are of one file. */
#ifndef GPTBENCH_BENCH_SAME_FILE_H
#define GPTBENCH_BENCH_SAME_FILE_H

#include <stdbool.h>

/* By device and inode, so that links of both kinds and other ways to it count; where neither is
 * there yet, by the letters of the names. */
bool same_file(const char *a, const char *b);

#endif
