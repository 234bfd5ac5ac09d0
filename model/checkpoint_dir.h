/* checkpoint_dir.h: the folder that holds the checkpoints of one run, one file for each, named by
 * the steps done: step-000000000120.safetensors. Other files in it are left alone. */
#ifndef GPTBENCH_MODEL_CHECKPOINT_DIR_H
#define GPTBENCH_MODEL_CHECKPOINT_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

enum { CHECKPOINTS_KEPT = 2 };

/* Makes the folder, and those above it, and syncs what was made. GB_ERR_IO. */
gb_status checkpoint_dir_make(const char *dir, gb_error *err);
/* Syncs the folder that holds `path`, so that its name outlives a power cut. GB_ERR_IO. */
gb_status checkpoint_dir_sync(const char *path, gb_error *err);
/* A lock that one process holds until it closes *fd or ends. GB_ERR_USAGE when another has it,
 * GB_ERR_IO when there is no such folder. */
gb_status checkpoint_dir_lock(const char *dir, int *fd, gb_error *err);

/* The checkpoint of so many steps. */
void checkpoint_dir_path(char *out, size_t out_size, const char *dir, int64_t steps);
/* The steps of the checkpoints that are there, the newest first; none where there is no folder.
 * *steps is owned by the caller: free. GB_ERR_OOM. */
gb_status checkpoint_dir_list(const char *dir, int64_t **steps, int *n, gb_error *err);

/* Removes all but the newest CHECKPOINTS_KEPT of those that have at most `steps`; later ones stay.
 */
void checkpoint_dir_prune(const char *dir, int64_t steps);
/* Removes those that have more than `steps`. */
void checkpoint_dir_trim(const char *dir, int64_t steps);
/* Removes what a process left that died while it wrote one. */
void checkpoint_dir_sweep(const char *dir);
/* Removes all checkpoints, then the folder where it is empty. */
void checkpoint_dir_clear(const char *dir);
/* The same, and the folder above it where that is empty then. */
void checkpoint_dir_remove(const char *dir);

#endif
