/* simt_activity.h: what the emulated device does, told as a profiler would: the stand-in for CUPTI
 * behind kernels/cuda/activity_source.h. */
#ifndef GPTBENCH_TESTS_SIMT_ACTIVITY_H
#define GPTBENCH_TESTS_SIMT_ACTIVITY_H

#include <functional>

#include "cuda_runtime.h"
#include "kernels/attribution.h"

namespace simt
{

/* What the next piece of work that is put into a stream is. `name` NULL: named after its entry. */
void activity_label(gb_activity_kind kind, const char *name, const void *entry = nullptr,
                    const cudaLaunchConfig_t *config = nullptr);
/* The work, telling of itself when it runs; work without a label is no activity. */
std::function<void()> activity_wrap(std::function<void()> what);
/* The correlation id of a call to the runtime made now. */
uint32_t activity_call();
/* Around the nodes of a graph: they carry the id of the launch, and each its own. */
void activity_graph_begin(uint32_t call);
void activity_graph_node(uint64_t node_id);
void activity_graph_end();

} // namespace simt

#endif
