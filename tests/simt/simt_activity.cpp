#include "simt_activity.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/cuda/activity_source.h"

static bool collecting;
static std::vector<uint64_t> external; /* ids in force, the innermost last */
static std::vector<std::pair<uint32_t, uint64_t>> links;
static std::vector<gb_activity> activities;
static uint32_t calls, graph_call;
static gb_activity label;
static bool labelled;

namespace simt
{

void activity_label(gb_activity_kind kind, const char *name, const void *entry,
                    const cudaLaunchConfig_t *config)
{
    label = gb_activity{};
    label.kind = kind;
    if (name) {
        snprintf(label.name, sizeof label.name, "%s", name);
    } else {
        snprintf(label.name, sizeof label.name, "kernel at %p", entry);
    }
    if (config) {
        const dim3 &g = config->gridDim, &b = config->blockDim;
        const int32_t grid[] = {(int32_t)g.x, (int32_t)g.y, (int32_t)g.z};
        const int32_t block[] = {(int32_t)b.x, (int32_t)b.y, (int32_t)b.z};
        memcpy(label.grid, grid, sizeof grid);
        memcpy(label.block, block, sizeof block);
        label.shared_bytes = (int32_t)config->dynamicSmemBytes;
    }
    labelled = true;
}

uint32_t activity_call()
{
    calls++;
    if (collecting && !external.empty()) {
        links.emplace_back(calls, external.back());
    }
    return calls;
}

std::function<void()> activity_wrap(std::function<void()> what)
{
    if (!labelled) {
        return what;
    }
    labelled = false;
    gb_activity mine = label;
    mine.correlation_id = activity_call();
    return [mine, what]() {
        gb_activity a = mine;
        a.begin_ns = activity_source_now_ns();
        what();
        a.end_ns = activity_source_now_ns();
        a.correlation_id = graph_call ? graph_call : a.correlation_id;
        if (collecting) {
            activities.push_back(a);
        }
    };
}

void activity_graph_begin(uint32_t call)
{
    graph_call = call;
}

void activity_graph_end()
{
    graph_call = 0;
}

} // namespace simt

const char *activity_source_start(void)
{
    collecting = true;
    return nullptr;
}

void activity_source_push(uint64_t external_id)
{
    external.push_back(external_id);
}

void activity_source_pop(void)
{
    external.pop_back();
}

uint64_t activity_source_now_ns(void)
{
    return (uint64_t)std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

void activity_source_stop(attribution *into)
{
    collecting = false;
    for (const auto &link : links) {
        attribution_external(into, link.first, link.second);
    }
    for (size_t i = activities.size(); i > 0; i--) { /* not in the order in which they ran */
        attribution_activity(into, &activities[i - 1]);
    }
    const uint64_t now_ns = activity_source_now_ns();
    const gb_clock_pair end = {now_ns, now_ns, 0}; /* one clock for both */
    attribution_clocks(into, &end, &end);
    links.clear();
    activities.clear();
}

void activity_source_describe(gb_profiler_description *out)
{
    *out = gb_profiler_description{};
    out->found = true;
    snprintf(out->library, sizeof out->library, "the emulator");
}
