#include "simt_activity.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <vector>

#include "kernels/cuda/activity_source.h"

/* kernels/cuda/activity_cupti.c, which the emulator's build renames. */
extern "C" {
const char *cupti_source_start(void);
void cupti_source_push(uint64_t external_id);
void cupti_source_pop(void);
uint64_t cupti_source_now_ns(void);
void cupti_source_stop(attribution *into);
void cupti_source_describe(gb_profiler_description *out);
}

/* With GPTBENCH_CUPTI_LIBRARY the real source is used, and the library, a stand-in for CUPTI, is
 * told of calls and activities as the driver would (tests/fakes/fake_cupti.c). */
static struct {
    void (*call)(uint32_t correlation_id);
    void (*activity)(int kind, const char *name, uint32_t correlation_id, uint64_t begin_ns,
                     uint64_t end_ns, const int32_t *grid, const int32_t *block,
                     int32_t shared_bytes, uint64_t node_id);
} driver;

static bool through_cupti()
{
    const char *path = getenv("GPTBENCH_CUPTI_LIBRARY");
    return path && *path;
}

static void driver_find()
{
    void *library = dlopen(getenv("GPTBENCH_CUPTI_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    if (library) {
        *(void **)&driver.call = dlsym(library, "fake_cupti_call");
        *(void **)&driver.activity = dlsym(library, "fake_cupti_activity");
    }
}

static bool collecting;
static std::vector<uint64_t> external; /* ids in force, the innermost last */
static std::vector<std::pair<uint32_t, uint64_t>> links;
static std::vector<gb_activity> activities;
static uint32_t calls, graph_call;
static uint64_t graph_node;
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
    if (collecting && driver.call) {
        driver.call(calls);
    } else if (collecting && !external.empty()) {
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
        a.node_id = graph_node;
        if (collecting && driver.activity) {
            driver.activity(a.kind, a.name, a.correlation_id, a.begin_ns, a.end_ns, a.grid, a.block,
                            a.shared_bytes, a.node_id);
        } else if (collecting) {
            activities.push_back(a);
        }
    };
}

void activity_graph_begin(uint32_t call)
{
    graph_call = call;
}

void activity_graph_node(uint64_t node_id)
{
    graph_node = node_id;
}

void activity_graph_end()
{
    graph_call = 0;
    graph_node = 0;
}

} // namespace simt

const char *activity_source_start(void)
{
    if (through_cupti()) {
        const char *reason = cupti_source_start();
        driver_find();
        collecting = reason == nullptr;
        return reason;
    }
    collecting = true;
    return nullptr;
}

void activity_source_push(uint64_t external_id)
{
    if (through_cupti()) {
        return cupti_source_push(external_id);
    }
    external.push_back(external_id);
}

void activity_source_pop(void)
{
    if (through_cupti()) {
        return cupti_source_pop();
    }
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
    if (through_cupti()) {
        return cupti_source_stop(into);
    }
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
    if (through_cupti()) {
        return cupti_source_describe(out);
    }
    *out = gb_profiler_description{};
    out->found = true;
    snprintf(out->library, sizeof out->library, "the emulator");
}
