/* Streams, events, graphs and copies. A stream is a queue of closures, worked off when the host
 * waits. While a stream is captured its work goes into the graph instead. */
#include <chrono>
#include <cstdio>
#include <deque>
#include <list>
#include <set>

#include "simt_activity.h"
#include "simt_stream.h"
#include "simt_test.h"

typedef std::function<void()> work;

struct CUgraph_st {
    std::vector<work> nodes;
    bool broken;
};

struct CUgraphExec_st {
    std::vector<work> nodes;
    uint64_t first_id; /* of its nodes, which count up from there */
};

struct item {
    work run;
    cudaEvent_t wait;   /* first wait until this event has... */
    uint64_t wait_turn; /* ...been recorded so many times */
};

struct CUstream_st {
    std::deque<item> queue;
    int device;
    cudaGraph_t capture; /* the graph that takes its work, or nullptr */
    bool origin;         /* the capture began here */
};

struct CUevent_st {
    uint64_t asked, done; /* how often recorded: by the host's calls, by work that ran */
    double time_ms;
    bool timing;
    cudaStream_t stream; /* where it was recorded last */
    cudaGraph_t capture; /* set when that was during a capture */
};

namespace simt
{

static std::set<cudaStream_t> streams;
static std::set<cudaEvent_t> events;

static double passed_ms = -1; /* by pass_time; real time where that is negative */

void pass_time(double ms)
{
    passed_ms = (passed_ms < 0 ? 0 : passed_ms) + ms;
}

static double now_ms()
{
    if (passed_ms >= 0) {
        return passed_ms;
    }
    return std::chrono::duration<double, std::milli>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/* Works off the queue; with `until`, only so far as that event needs. */
static void drain(cudaStream_t stream, cudaEvent_t until = nullptr, uint64_t turn = 0)
{
    begin_work();
    while (!stream->queue.empty() && !(until && until->done >= turn)) {
        item next = std::move(stream->queue.front());
        stream->queue.pop_front();
        if (next.wait && events.count(next.wait) && next.wait->done < next.wait_turn &&
            streams.count(next.wait->stream)) {
            drain(next.wait->stream, next.wait, next.wait_turn);
        }
        if (next.run) {
            next.run();
        }
    }
    end_work();
}

static void drain_all()
{
    begin_work();
    for (cudaStream_t stream : streams) {
        drain(stream);
    }
    end_work();
}

int stream_device(cudaStream_t stream)
{
    return streams.count(stream) ? stream->device : -1;
}

bool capture_breaks()
{
    bool any = false;
    for (cudaStream_t stream : streams) {
        if (stream->capture) {
            stream->capture->broken = any = true;
        }
    }
    return any;
}

cudaError_t enqueue(cudaStream_t stream, work what)
{
    what = activity_wrap(std::move(what));
    if (!stream) { /* the null stream waits for all others, and they for it */
        if (capture_breaks()) {
            return error(cudaErrorStreamCaptureUnsupported);
        }
        drain_all();
        begin_work();
        what();
        end_work();
        return cudaSuccess;
    }
    if (!streams.count(stream)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    if (stream->capture) {
        stream->capture->nodes.push_back(std::move(what));
    } else {
        stream->queue.push_back(item{std::move(what), nullptr, 0});
    }
    return cudaSuccess;
}

} // namespace simt

using simt::error;

static cudaError_t wait_for_all()
{
    if (simt::capture_breaks()) {
        return error(cudaErrorStreamCaptureUnsupported);
    }
    simt::drain_all();
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize()
{
    return wait_for_all();
}

cudaError_t cudaDeviceReset()
{
    return wait_for_all();
}

/* ---- copies ---- */

/* Streams work on memory of their own device only: more than CUDA asks for where one GPU can reach
 * into another, but this program never does it on purpose. */
static bool of_stream(const void *ptr, cudaStream_t stream)
{
    int device = simt::device_of(ptr);
    return device < 0 || !stream || device == simt::stream_device(stream);
}

/* Whether the addresses are of the kind that the caller says. */
static bool copy_valid(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    bool to_device = simt::is_device(to, bytes), from_device = simt::is_device(from, bytes);
    switch (kind) {
    case cudaMemcpyHostToHost:
        return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
        return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
        return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
        return to_device && from_device;
    case cudaMemcpyDefault:
        return true;
    }
    return false;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    if (bytes == 0) {
        return cudaSuccess;
    }
    if (!copy_valid(to, from, bytes, kind) || !of_stream(to, stream) || !of_stream(from, stream)) {
        return error(cudaErrorInvalidValue);
    }
    bool pageable_source = !simt::is_device(from, bytes) && !simt::is_pinned(from, bytes);
    bool pageable_target = !simt::is_device(to, bytes) && !simt::is_pinned(to, bytes);
    if (stream && stream->capture && (pageable_source || pageable_target)) {
        stream->capture->broken = true;
        return error(cudaErrorStreamCaptureUnsupported);
    }
    simt::activity_label(GB_ACTIVITY_MEMCPY, kind == cudaMemcpyHostToDevice   ? "memcpy HtoD"
                                             : kind == cudaMemcpyDeviceToHost ? "memcpy DtoH"
                                                                              : "memcpy DtoD");
    if (pageable_source) { /* staged before the call returns */
        std::vector<char> staged((const char *)from, (const char *)from + bytes);
        return simt::enqueue(stream, [to, staged]() { memcpy(to, staged.data(), staged.size()); });
    }
    cudaError_t code = simt::enqueue(stream, [to, from, bytes]() { memmove(to, from, bytes); });
    if (code == cudaSuccess && pageable_target && stream) {
        simt::drain(stream); /* such a copy blocks */
    }
    return code;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    cudaError_t code = wait_for_all();
    return code == cudaSuccess ? cudaMemcpyAsync(to, from, bytes, kind, nullptr) : code;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    if (width > to_pitch || width > from_pitch) {
        return error(cudaErrorInvalidValue);
    }
    for (size_t row = 0; row < height; row++) {
        cudaError_t code =
            cudaMemcpyAsync((char *)to + row * to_pitch, (const char *)from + row * from_pitch,
                            width, kind, stream);
        if (code != cudaSuccess) {
            return code;
        }
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes == 0) {
        return cudaSuccess;
    }
    if (!simt::is_device(to, bytes) || !of_stream(to, stream)) {
        return error(cudaErrorInvalidValue);
    }
    simt::activity_label(GB_ACTIVITY_MEMSET, "memset");
    return simt::enqueue(stream, [to, value, bytes]() { memset(to, value, bytes); });
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    return cudaMemsetAsync(to, value, bytes, nullptr);
}

cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream)
{
    for (size_t row = 0; row < height; row++) {
        cudaError_t code = cudaMemsetAsync((char *)to + row * pitch, value, width, stream);
        if (code != cudaSuccess) {
            return code;
        }
    }
    return cudaSuccess;
}

/* ---- streams and events ---- */

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    *out = new CUstream_st();
    (*out)->device = simt::current_device();
    simt::streams.insert(*out);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned)
{
    return cudaStreamCreate(out);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned, int)
{
    return cudaStreamCreate(out);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (!simt::streams.count(stream)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    simt::drain(stream);
    simt::streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (!stream) {
        return wait_for_all();
    }
    if (!simt::streams.count(stream)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    if (stream->capture) {
        stream->capture->broken = true;
        return error(cudaErrorStreamCaptureUnsupported);
    }
    simt::drain(stream);
    return cudaSuccess;
}

/* Asking is progress enough: a host that polls must not wait for ever. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return cudaStreamSynchronize(stream);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    *out = new CUevent_st();
    (*out)->timing = !(flags & cudaEventDisableTiming);
    simt::events.insert(*out);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (!simt::events.count(event)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    if (event->done < event->asked && simt::streams.count(event->stream)) {
        simt::drain(event->stream);
    }
    simt::events.erase(event);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (!simt::events.count(event)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    event->stream = stream;
    event->capture = stream ? stream->capture : nullptr;
    if (event->capture) { /* a fork or join within the graph, whose nodes run in order anyway */
        return cudaSuccess;
    }
    uint64_t turn = ++event->asked;
    return simt::enqueue(stream, [event, turn]() {
        event->done = turn;
        event->time_ms = simt::now_ms();
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    if (!stream || !simt::streams.count(stream) || !simt::events.count(event)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    if (event->capture) { /* joins the capture that recorded the event */
        stream->capture = event->capture;
    } else if (stream->capture) { /* what is captured cannot wait for what is not */
        stream->capture->broken = true;
        return error(cudaErrorStreamCaptureIsolation);
    } else {
        stream->queue.push_back(item{nullptr, event, event->asked});
    }
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (!simt::events.count(event)) {
        return error(cudaErrorInvalidResourceHandle);
    }
    if (event->capture) {
        return error(cudaErrorStreamCaptureUnsupported);
    }
    if (event->done < event->asked && simt::streams.count(event->stream)) {
        simt::drain(event->stream, event, event->asked);
    }
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return cudaEventSynchronize(event);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    if (!simt::events.count(start) || !simt::events.count(end) || !start->timing || !end->timing ||
        start->asked == 0 || end->asked == 0) {
        return error(cudaErrorInvalidResourceHandle);
    }
    if (start->done < start->asked || end->done < end->asked) {
        return error(cudaErrorNotReady);
    }
    *ms = (float)(end->time_ms - start->time_ms);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    if (!simt::streams.count(stream) || stream->capture) {
        return error(cudaErrorInvalidResourceHandle);
    }
    stream->capture = new CUgraph_st();
    stream->origin = true;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = nullptr;
    if (!simt::streams.count(stream) || !stream->capture || !stream->origin) {
        return error(cudaErrorInvalidResourceHandle);
    }
    cudaGraph_t graph = stream->capture;
    for (cudaStream_t each : simt::streams) {
        if (each->capture == graph) {
            each->capture = nullptr;
        }
    }
    for (cudaEvent_t each : simt::events) {
        if (each->capture == graph) {
            each->capture = nullptr;
        }
    }
    stream->origin = false;
    if (graph->broken) {
        delete graph;
        return error(cudaErrorStreamCaptureInvalidated);
    }
    *out = graph;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out)
{
    *out = !stream || !stream->capture ? cudaStreamCaptureStatusNone
           : stream->capture->broken   ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus *status,
                                     unsigned long long *id, cudaGraph_t *graph,
                                     const cudaGraphNode_t **, const cudaGraphEdgeData **, size_t *)
{
    cudaError_t code = cudaStreamIsCapturing(stream, status);
    if (code == cudaSuccess && *status == cudaStreamCaptureStatusActive) {
        if (id) {
            *id = 1;
        }
        if (graph) {
            *graph = stream->capture;
        }
    }
    return code;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    static uint64_t next_id = 1000;
    *out = new CUgraphExec_st{graph->nodes, next_id};
    next_id += graph->nodes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    /* By value: the graph may be destroyed while it runs. */
    return simt::enqueue(stream, [graph = *exec, call = simt::activity_call()]() {
        simt::activity_graph_begin(call);
        for (size_t i = 0; i < graph.nodes.size(); i++) {
            simt::activity_graph_node(graph.first_id + i);
            graph.nodes[i]();
        }
        simt::activity_graph_end();
    });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    *count = nodes ? 0 : graph->nodes.size();
    return cudaSuccess;
}
