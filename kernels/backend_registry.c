/* The backends that this binary was built with. The only file that knows them all: nothing that a
 * backend is made of may need it. */
#include "kernels/backend.h"

#include <string.h>

const gb_backend *const *gb_backends(void)
{
    static const gb_backend *const all[] = {
#ifdef GPTBENCH_CUDA
        &gb_backend_cuda,
#endif
        &gb_backend_cpu, NULL};
    return all;
}

const gb_backend *gb_backend_find(const char *name, gb_precision precision)
{
    bool any = strcmp(name, "auto") == 0;
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        if (any ? !(*b)->unavailable(precision) : strcmp((*b)->name, name) == 0) {
            return *b;
        }
    }
    return NULL;
}
