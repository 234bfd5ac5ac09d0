/* What a step brings and takes back without waiting: staged uploads on a stream of their own,
 * results with the time between them, and recordings (CUDA graphs). */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_sizes.cuh"

/* One more than can be under way, so that the event before the oldest is still that event. */
enum { RESULT_SLOTS = GB_RESULTS_UNDER_WAY + 1 };

struct stage_entry {
    cudaEvent_t arrived; /* on the copy stream: the bytes are in device memory */
    cudaEvent_t used;    /* on the main stream: they are where they belong */
    bool busy;           /* `used` was recorded */
};

struct result_slot {
    cudaEvent_t mark;
    cudaEvent_t before; /* the mark to count from; not owned; NULL for none */
    int count;
};

struct cuda_step {
    cudaStream_t copies;
    char *pinned; /* CUDA_STAGE_ENTRIES entries, then (RESULT_SLOTS, GB_RESULTS_MAX) doubles */
    int64_t entry_bytes;
    int next_entry;
    stage_entry entries[CUDA_STAGE_ENTRIES];
    cudaEvent_t start, last_mark; /* last_mark: start, or of a slot; NULL before any */
    result_slot slots[RESULT_SLOTS];
    int first, under_way;
    bool graphs; /* wanted */
};

struct gb_recording {
    cudaGraphExec_t graph;
    gb_ledger *rows; /* calls and FLOPs of one replay */
    gb_node_mark *marks;
    int n_marks;
};

/* ---- life ---- */

static gb_status events_create(gb_device *dev, cuda_step *step)
{
    for (stage_entry &entry : step->entries) {
        CUDA_TRY(dev, "open", cudaEventCreateWithFlags(&entry.arrived, cudaEventDisableTiming));
        CUDA_TRY(dev, "open", cudaEventCreateWithFlags(&entry.used, cudaEventDisableTiming));
    }
    for (result_slot &slot : step->slots) {
        CUDA_TRY(dev, "open", cudaEventCreate(&slot.mark));
    }
    CUDA_TRY(dev, "open", cudaEventCreate(&step->start));
    return GB_OK;
}

gb_status cuda_step_open(gb_device *dev)
{
    const char *graphs = getenv("GPTBENCH_CUDA_GRAPHS");
    cuda_step *step = (cuda_step *)calloc(1, sizeof *step);
    if (step == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "out of host memory");
    }
    dev->step = step;
    step->graphs = graphs == NULL || strcmp(graphs, "0") != 0;
    step->entry_bytes = cuda_stage_entry_bytes(&dev->options.shape);
    CUDA_TRY(dev, "open", cudaStreamCreateWithFlags(&step->copies, cudaStreamNonBlocking));
    CUDA_TRY(
        dev, "open",
        cudaMallocHost((void **)&step->pinned, (size_t)(CUDA_STAGE_ENTRIES * step->entry_bytes) +
                                                   sizeof(double) * RESULT_SLOTS * GB_RESULTS_MAX));
    return events_create(dev, step);
}

static void event_destroy(cudaEvent_t event)
{
    if (event != NULL) {
        cudaEventDestroy(event);
    }
}

void cuda_step_close(cuda_step *step)
{
    if (step == NULL) {
        return;
    }
    if (step->copies != NULL) {
        cudaStreamSynchronize(step->copies);
        cudaStreamDestroy(step->copies);
    }
    for (const stage_entry &entry : step->entries) {
        event_destroy(entry.arrived);
        event_destroy(entry.used);
    }
    for (const result_slot &slot : step->slots) {
        event_destroy(slot.mark);
    }
    event_destroy(step->start);
    if (step->pinned != NULL) {
        cudaFreeHost(step->pinned);
    }
    free(step);
}

bool cuda_step_records(const gb_device *dev)
{
    return dev->step->graphs;
}

/* ---- staged uploads ---- */

/* The bytes go to pinned memory, from there to a buffer of their own while the device computes,
 * and then to dst in the order of the main stream: that last copy takes no longer than a kernel's
 * launch. */
gb_status cuda_backend_stage(gb_device *dev, void *dst, const void *host_src, int64_t bytes)
{
    cuda_step *step = dev->step;
    void *ring;
    if (bytes > step->entry_bytes) {
        return cuda_backend_upload(dev, dst, host_src, bytes);
    }
    const int at = step->next_entry;
    stage_entry *entry = &step->entries[at];
    char *pinned = step->pinned + at * step->entry_bytes;
    GB_TRY(cuda_op_begin(dev, GB_OP_COPY));
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_STAGE, CUDA_STAGE_ENTRIES * step->entry_bytes, &ring));
    char *arrival = (char *)ring + at * step->entry_bytes;
    if (entry->busy) {
        CUDA_TRY(dev, "stage", cudaEventSynchronize(entry->used));
    }
    memcpy(pinned, host_src, (size_t)bytes);
    cuda_profiler_overlap_begin(dev, gb_ledger_scope_of(dev->ledger, GB_OP_COPY));
    cudaError_t code =
        cudaMemcpyAsync(arrival, pinned, (size_t)bytes, cudaMemcpyHostToDevice, step->copies);
    cuda_profiler_overlap_end(dev);
    CUDA_TRY(dev, "stage", code);
    CUDA_TRY(dev, "stage", cudaEventRecord(entry->arrived, step->copies));
    CUDA_TRY(dev, "stage", cudaStreamWaitEvent(dev->stream, entry->arrived, 0));
    CUDA_TRY(dev, "stage",
             cudaMemcpyAsync(dst, arrival, (size_t)bytes, cudaMemcpyDeviceToDevice, dev->stream));
    CUDA_TRY(dev, "stage", cudaEventRecord(entry->used, dev->stream));
    entry->busy = true;
    step->next_entry = (at + 1) % CUDA_STAGE_ENTRIES;
    return cuda_op_end(dev, 0);
}

/* ---- results ---- */

static double *slot_values(const cuda_step *step, int slot)
{
    char *results = step->pinned + CUDA_STAGE_ENTRIES * step->entry_bytes;
    return (double *)results + slot * GB_RESULTS_MAX;
}

gb_status cuda_backend_clock_start(gb_device *dev)
{
    cuda_step *step = dev->step;
    if (step->under_way > 0) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "clock_start: %d results are under way",
                       step->under_way);
    }
    CUDA_TRY(dev, "clock_start", cudaSetDevice(dev->ordinal));
    CUDA_TRY(dev, "clock_start", cudaEventRecord(step->start, dev->stream));
    step->last_mark = step->start;
    return GB_OK;
}

gb_status cuda_backend_results_post(gb_device *dev, const void *src, int count)
{
    cuda_step *step = dev->step;
    if (count < 0 || count > GB_RESULTS_MAX || step->under_way == GB_RESULTS_UNDER_WAY) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "results_post: %d values, %d posts under way",
                       count, step->under_way);
    }
    const int at = (step->first + step->under_way) % RESULT_SLOTS;
    result_slot *slot = &step->slots[at];
    CUDA_TRY(dev, "results_post", cudaSetDevice(dev->ordinal));
    /* A validation's result is no part of the steps around it. */
    const bool of_eval = gb_ledger_scope_of(dev->ledger, GB_OP_COPY).phase == GB_PHASE_EVAL;
    const gb_phase phase = of_eval ? GB_PHASE_EVAL : GB_PHASE_DATA;
    cuda_profiler_op_begin(dev, gb_scope{phase, -1, GB_OP_COPY});
    cudaError_t code = cudaMemcpyAsync(slot_values(step, at), src, (size_t)count * sizeof(double),
                                       cudaMemcpyDeviceToHost, dev->stream);
    cuda_profiler_op_end(dev);
    CUDA_TRY(dev, "results_post", code);
    CUDA_TRY(dev, "results_post", cudaEventRecord(slot->mark, dev->stream));
    slot->count = count;
    slot->before = step->last_mark;
    step->last_mark = slot->mark;
    step->under_way++;
    return GB_OK;
}

gb_status cuda_backend_results_take(gb_device *dev, double *values, double *elapsed_ms)
{
    cuda_step *step = dev->step;
    const result_slot *slot = &step->slots[step->first];
    float ms = 0;
    if (step->under_way == 0) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "results_take: nothing was posted");
    }
    CUDA_TRY(dev, "results_take", cudaSetDevice(dev->ordinal));
    CUDA_TRY(dev, "results_take", cudaEventSynchronize(slot->mark));
    if (slot->before != NULL) {
        CUDA_TRY(dev, "results_take", cudaEventElapsedTime(&ms, slot->before, slot->mark));
    }
    memcpy(values, slot_values(step, step->first), (size_t)slot->count * sizeof *values);
    *elapsed_ms = (double)ms;
    step->first = (step->first + 1) % RESULT_SLOTS;
    step->under_way--;
    return GB_OK;
}

/* ---- recordings ---- */

gb_status cuda_backend_record_begin(gb_device *dev)
{
    if (cuda_timers_on(dev) || dev->recorded != NULL) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "record: %s",
                       cuda_timers_on(dev) ? "timers are on" : "another recording is under way");
    }
    CUDA_TRY(dev, "record", cudaSetDevice(dev->ordinal));
    gb_node_mark *stale; /* of a recording that failed */
    (void)cuda_profiler_marks_take(dev, &stale);
    free(stale);
    dev->recorded = gb_ledger_open();
    if (dev->recorded == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "record: out of host memory");
    }
    cudaError_t code = cudaStreamBeginCapture(dev->stream, cudaStreamCaptureModeThreadLocal);
    if (code != cudaSuccess) {
        gb_ledger_close(dev->recorded);
        dev->recorded = NULL;
    }
    CUDA_TRY(dev, "record", code);
    return GB_OK;
}

gb_status cuda_backend_record_end(gb_device *dev, gb_recording **out)
{
    cudaGraph_t graph = NULL;
    gb_recording *recording = (gb_recording *)calloc(1, sizeof *recording);
    cudaError_t code = cudaStreamEndCapture(dev->stream, &graph);
    gb_ledger *rows = dev->recorded;
    dev->recorded = NULL;
    *out = NULL;
    if (code == cudaSuccess && recording != NULL) {
        recording->rows = rows;
        code = cudaGraphInstantiate(&recording->graph, graph, 0);
    }
    if (graph != NULL) {
        cudaGraphDestroy(graph);
    }
    if (code == cudaSuccess && recording != NULL) {
        recording->n_marks = cuda_profiler_marks_take(dev, &recording->marks);
        *out = recording;
        return GB_OK;
    }
    gb_ledger_close(rows);
    free(recording);
    return code == cudaSuccess ? gb_fail(&dev->error, GB_ERR_OOM, "record: out of host memory")
                               : cuda_fail(dev, code, "record",
                                           "the step cannot be captured as a CUDA graph; "
                                           "GPTBENCH_CUDA_GRAPHS=0 does without",
                                           __FILE__, __LINE__);
}

gb_status cuda_backend_replay(gb_device *dev, gb_recording *recording)
{
    CUDA_TRY(dev, "replay", cudaSetDevice(dev->ordinal));
    cuda_profiler_replay_begin(dev, recording->marks, recording->n_marks);
    cudaError_t code = cudaGraphLaunch(recording->graph, dev->stream);
    cuda_profiler_replay_end(dev);
    CUDA_TRY(dev, "replay", code);
    return gb_ledger_add_all(dev->ledger, recording->rows)
               ? GB_OK
               : gb_fail(&dev->error, GB_ERR_OOM, "replay: out of host memory");
}

void cuda_backend_recording_free(gb_device *dev, gb_recording *recording)
{
    if (recording == NULL) {
        return;
    }
    /* A graph that still runs keeps what it needs; its memory is freed when it has ended. */
    if (cudaSetDevice(dev->ordinal) == cudaSuccess) {
        cudaGraphExecDestroy(recording->graph);
    }
    gb_ledger_close(recording->rows);
    free(recording->marks);
    free(recording);
}
