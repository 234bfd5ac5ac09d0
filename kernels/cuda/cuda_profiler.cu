/* The profile of a step: each op issued under an id of its own, each replay under one for all its
 * nodes, and what the activities say of them (kernels/attribution.h). Without a source of
 * activities ops are timed between events instead (cuda_ledger.cu). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/activity_source.h"
#include "kernels/cuda/cuda_device.cuh"

struct cuda_profiler {
    attribution *activities;
    bool running;
    bool in_op;          /* its id is in force */
    char note[240];      /* of the last profile; empty: complete */
    gb_node_mark *marks; /* of the recording under way */
    int n_marks, capacity;
};

gb_status cuda_profiler_open(gb_device *dev)
{
    dev->profiler = (cuda_profiler *)calloc(1, sizeof *dev->profiler);
    if (dev->profiler != NULL) {
        dev->profiler->activities = attribution_open();
    }
    return dev->profiler != NULL && dev->profiler->activities != NULL
               ? GB_OK
               : gb_fail(&dev->error, GB_ERR_OOM, "out of host memory");
}

void cuda_profiler_close(cuda_profiler *profiler)
{
    if (profiler == NULL) {
        return;
    }
    if (profiler->running) {
        activity_source_stop(profiler->activities);
    }
    attribution_close(profiler->activities);
    free(profiler->marks);
    free(profiler);
}

/* ---- start and end ---- */

bool cuda_profiler_start(gb_device *dev)
{
    cuda_profiler *p = dev->profiler;
    const char *wanted = getenv("GPTBENCH_CUPTI");
    const bool off = wanted != NULL && strcmp(wanted, "0") == 0;
    attribution_reset(p->activities, 0); /* also of a profile before this one */
    const char *reason = off ? "GPTBENCH_CUPTI=0" : activity_source_start();
    p->note[0] = '\0';
    if (reason != NULL) {
        snprintf(p->note, sizeof p->note, "op by op between events, gaps within an op included: %s",
                 reason);
        return false;
    }
    attribution_reset(p->activities, activity_source_now_ns());
    p->running = true;
    return true;
}

void cuda_profiler_stop(gb_device *dev)
{
    cuda_profiler *p = dev->profiler;
    if (!p->running) {
        return;
    }
    p->running = false;
    cudaDeviceSynchronize(); /* the copy stream too; a failure shows in the next call */
    activity_source_stop(p->activities);
    attribution_finish(p->activities, dev->ledger);
    const char *note = attribution_note(p->activities);
    snprintf(p->note, sizeof p->note, "%s", note != NULL ? note : "");
}

bool cuda_profiler_runs(const gb_device *dev)
{
    return dev->profiler->running;
}

const char *cuda_backend_profile_note(gb_device *dev)
{
    return dev->profiler->note[0] != '\0' ? dev->profiler->note : NULL;
}

double cuda_backend_timers_zero_s(gb_device *dev)
{
    return attribution_zero_s(dev->profiler->activities);
}

void cuda_backend_profiler_describe(gb_profiler_description *out)
{
    activity_source_describe(out);
}

int cuda_backend_kernels_read(gb_device *dev, gb_kernel_time *rows, int capacity)
{
    return attribution_kernels(dev->profiler->activities, rows, capacity);
}

/* ---- what is issued ---- */

void cuda_profiler_op_begin(gb_device *dev, gb_scope scope)
{
    cuda_profiler *p = dev->profiler;
    if (p->running) {
        p->in_op = true;
        activity_source_push(attribution_op(p->activities, scope, false));
    }
}

void cuda_profiler_op_end(gb_device *dev)
{
    cuda_profiler *p = dev->profiler;
    if (p->running && p->in_op) {
        activity_source_pop();
        p->in_op = false;
    }
}

void cuda_profiler_overlap_begin(gb_device *dev, gb_scope scope)
{
    cuda_profiler *p = dev->profiler;
    if (p->running) {
        activity_source_push(attribution_op(p->activities, scope, true));
    }
}

void cuda_profiler_overlap_end(gb_device *dev)
{
    if (dev->profiler->running) {
        activity_source_pop();
    }
}

/* ---- recordings ---- */

/* Nodes that the graph being captured has; -1 where that cannot be told. */
static int64_t captured_nodes(const gb_device *dev)
{
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaGraph_t graph = NULL;
    unsigned long long id = 0;
    size_t nodes = 0;
#if CUDART_VERSION >= 13000
    cudaError_t code =
        cudaStreamGetCaptureInfo(dev->stream, &status, &id, &graph, NULL, NULL, NULL);
#else
    cudaError_t code = cudaStreamGetCaptureInfo(dev->stream, &status, &id, &graph, NULL, NULL);
#endif
    if (code != cudaSuccess || status != cudaStreamCaptureStatusActive ||
        cudaGraphGetNodes(graph, NULL, &nodes) != cudaSuccess) {
        (void)cudaGetLastError();
        return -1;
    }
    return (int64_t)nodes;
}

bool cuda_profiler_mark(gb_device *dev, gb_scope scope)
{
    cuda_profiler *p = dev->profiler;
    if (p->n_marks == p->capacity) {
        const int capacity = p->capacity > 0 ? 2 * p->capacity : 256;
        gb_node_mark *grown = (gb_node_mark *)realloc(p->marks, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        p->marks = grown;
        p->capacity = capacity;
    }
    p->marks[p->n_marks].scope = scope;
    p->marks[p->n_marks++].nodes_after = captured_nodes(dev);
    return true;
}

int cuda_profiler_marks_take(gb_device *dev, gb_node_mark **out)
{
    cuda_profiler *p = dev->profiler;
    const int count = p->n_marks;
    *out = p->marks;
    p->marks = NULL;
    p->n_marks = p->capacity = 0;
    return count;
}

void cuda_profiler_replay_begin(gb_device *dev, const gb_node_mark *marks, int n_marks)
{
    cuda_profiler *p = dev->profiler;
    if (p->running) {
        activity_source_push(attribution_replay(p->activities, marks, n_marks));
    }
}

void cuda_profiler_replay_end(gb_device *dev)
{
    if (dev->profiler->running) {
        activity_source_pop();
    }
}
