#include "bench/commands/trace.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/whole_file.h"
#include "kernels/process_limits.h"

/* Tracks, from top to bottom. */
typedef enum track { TRACK_PHASES = 1, TRACK_LAYERS, TRACK_OPS } track;

void trace_add(trace *t, const gb_op_span *span)
{
    if (t->count == t->capacity) {
        int capacity = t->capacity ? 2 * t->capacity : 512;
        gb_op_span *grown = realloc(t->spans, (size_t)capacity * sizeof *grown);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->spans = grown;
        t->capacity = capacity;
    }
    t->spans[t->count++] = *span;
}

void trace_free(trace *t)
{
    free(t->spans);
    *t = (trace){.spans = NULL};
}

/* Each function returns false when memory is short. json_array_append_new takes NULL for that. */

static bool track_name(json_t *events, track tid, const char *what, const char *name)
{
    return json_array_append_new(events,
                                 json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "ph", "M", "name", what,
                                           "pid", 1, "tid", (int)tid, "args", "name", name)) == 0;
}

static bool event_add(json_t *events, track tid, const char *name, const gb_op_span *first,
                      double end_ms)
{
    return json_array_append_new(
               events,
               json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:{s:s, s:i}}", "ph", "X", "name",
                         name, "cat", gb_phase_name(first->phase), "pid", 1, "tid", (int)tid, "ts",
                         first->begin_ms * 1e3, "dur", (end_ms - first->begin_ms) * 1e3, "args",
                         "phase", gb_phase_name(first->phase), "layer", first->layer)) == 0;
}

static bool together(track tid, const gb_op_span *a, const gb_op_span *b)
{
    return a->phase == b->phase && (tid == TRACK_PHASES || a->layer == b->layer);
}

/* Neighbours of one phase, or of one phase and layer, become one event. */
static bool runs_add(json_t *events, track tid, const trace *t)
{
    int from = 0;
    for (int i = 1; i <= t->count; i++) {
        const gb_op_span *first = &t->spans[from];
        if (i < t->count && together(tid, first, &t->spans[i])) {
            continue;
        }
        char name[32];
        snprintf(name, sizeof name, "layer %d", first->layer);
        const char *text = tid == TRACK_PHASES ? gb_phase_name(first->phase) : name;
        bool shown = tid == TRACK_PHASES || first->layer >= 0;
        if (shown && !event_add(events, tid, text, first, t->spans[i - 1].end_ms)) {
            return false;
        }
        from = i;
    }
    return true;
}

static bool events_fill(json_t *events, const trace *t, const char *process)
{
    bool ok =
        track_name(events, TRACK_PHASES, "process_name", process) &&
        track_name(events, TRACK_PHASES, "thread_name", "phases") &&
        track_name(events, TRACK_LAYERS, "thread_name", "layers") &&
        track_name(events, TRACK_OPS, "thread_name", "ops") &&
        (t->count == 0 || (runs_add(events, TRACK_PHASES, t) && runs_add(events, TRACK_LAYERS, t)));
    for (int i = 0; ok && i < t->count; i++) {
        const gb_op_span *span = &t->spans[i];
        ok = event_add(events, TRACK_OPS, gb_op_name(span->op), span, span->end_ms);
    }
    return ok;
}

gb_status trace_write(const trace *t, const char *path, const char *process, gb_error *err)
{
    json_t *events = json_array();
    json_t *root = json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms");
    json_t *other =
        t->zero_s > 0 ? json_pack("{s:f}", "zero_monotonic_s", t->zero_s) : json_object();
    if (!root || t->failed || !events_fill(events, t, process) ||
        json_object_set_new(root, "otherData", other) != 0) {
        json_decref(root);
        return gb_fail(err, GB_ERR_OOM, "%s: no memory for the trace", path);
    }
    FILE *file = whole_file_open(path, err);
    bool good = file && json_dumpf(root, file, JSON_COMPACT | JSON_REAL_PRECISION(12)) == 0;
    json_decref(root);
    if (!file) {
        return GB_ERR_IO;
    }
    gb_status status = whole_file_close(file, path, good, err);
    return status == GB_OK && !good
               ? gb_fail(err, GB_ERR_IO, "%s: writing failed (%s)", path, gb_write_doubt())
               : status;
}
