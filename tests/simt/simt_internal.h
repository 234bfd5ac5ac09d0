/* simt_internal.h: between the files of the emulator. */
#ifndef GPTBENCH_TESTS_SIMT_INTERNAL_H
#define GPTBENCH_TESTS_SIMT_INTERNAL_H

#include <vector>

#include "simt.h"

namespace simt
{

struct span {
    void *start;
    size_t bytes;
};

/* The static __shared__ variables of a kernel, from the program's own symbol table. */
const std::vector<span> &static_shared(const void *entry);
/* Those of the running kernel. */
const std::vector<span> &running_statics();
/* The dynamic shared memory of the running block. */
void *dynamic_shared(size_t *bytes);

/* ---- cp.async: a copy's target is garbage from its issue to the wait that covers it ---- */

struct async_item {
    void *shared;
    unsigned char data[16];
    size_t bytes; /* 4 or 16 */
    int group;
};

struct async_queue {
    std::vector<async_item> items; /* in order of issue */
    int group = 0;                 /* number of the group that is open */
    std::vector<size_t> unfenced;  /* 16-byte pieces written since the last fence.proxy.async */
};

void async_add(async_queue *queue, void *shared, const void *global, size_t bytes, bool valid);
void async_close_group(async_queue *queue);
void async_complete(async_queue *queue, int pending_groups);
void async_forget(async_queue *queue);
void async_make_visible(async_queue *queue);
/* Whether a copy wrote there and its thread has not made that visible to wgmma. */
bool async_unfenced(const void *shared);

/* ---- wgmma ---- */

void wgmma_start_block();
void wgmma_end_block();
/* Of the running thread in its block. */
int thread_number();

} // namespace simt

#endif
