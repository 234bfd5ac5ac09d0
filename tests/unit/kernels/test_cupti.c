/* CUPTI's records, as its headers lay them out, through the program's own loader, buffers and
 * parser (kernels/cuda/activity_cupti.c) into the ledger. The library is a stand-in (fake_cupti.c);
 * every time is chosen here, so sums are exact to the nanosecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef GB_CUPTI

static void cupti(void **state)
{
    (void)state;
    print_message("the headers of CUPTI were not found: skipped\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cupti)};
    return cmocka_run_group_tests_name("cupti", tests, NULL, NULL);
}

#else

#include <dlfcn.h>
#include <math.h>
#include <unistd.h>

#include "kernels/clock.h"
#include "kernels/cuda/activity_source.h"
#include "tests/fakes/fake_cupti.h"
#include "tests/ref/random.h"

enum { BUFFERS_MOST = 64 }; /* as activity_cupti.c promises: 64 MiB */

static const gb_scope qkv = {GB_PHASE_FORWARD, 0, GB_OP_LINEAR_QKV};
static const gb_scope norm = {GB_PHASE_FORWARD, 0, GB_OP_NORM};
static const gb_scope adamw = {GB_PHASE_UPDATE, -1, GB_OP_ADAMW};
static const gb_scope copy = {GB_PHASE_DATA, -1, GB_OP_COPY};
static const gb_scope nowhere = {GB_PHASE_IDLE, -1, GB_OP_UNATTRIBUTED};

static struct {
    void *library;
    fake_cupti_settings *control;
    fake_cupti_record_fn *record;
    fake_cupti_call_fn *call;
    fake_cupti_late_fn *late;
    attribution *a;
    gb_ledger *ledger;
    uint64_t zero_ns;
    uint64_t node_id; /* of the records to come */
} f;

static int library_open(void **state)
{
    char path[512];
    (void)state;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    if (n < 0) {
        return -1;
    }
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/fake_cupti.so");
    setenv("GPTBENCH_CUPTI_LIBRARY", path, 1);
    f.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!f.library) {
        return -1;
    }
    f.control = dlsym(f.library, "fake_cupti_control");
    *(void **)&f.record = dlsym(f.library, "fake_cupti_record");
    *(void **)&f.call = dlsym(f.library, "fake_cupti_call");
    *(void **)&f.late = dlsym(f.library, "fake_cupti_late");
    return f.control && f.record && f.call && f.late ? 0 : -1;
}

static int library_close(void **state)
{
    (void)state;
    return dlclose(f.library);
}

static int setup(void **state)
{
    (void)state;
    memset(f.control, 0, sizeof *f.control);
    f.a = attribution_open();
    f.ledger = gb_ledger_open();
    return f.a && f.ledger ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    attribution_close(f.a);
    gb_ledger_close(f.ledger);
    return 0;
}

/* ---- records ---- */

static void kernel(uint32_t correlation_id, uint32_t stream, const char *name, uint64_t begin_ns,
                   uint64_t length_ns)
{
    fake_kernel r;
    memset(&r, 0, sizeof r);
    r.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
    r.graphNodeId = f.node_id;
    r.correlationId = correlation_id;
    r.streamId = stream;
    r.name = name;
    r.start = f.zero_ns + begin_ns;
    r.end = r.start + length_ns;
    r.gridX = 7;
    r.gridY = 3;
    r.gridZ = 1;
    r.blockX = 256;
    r.blockY = r.blockZ = 1;
    r.registersPerThread = 42;
    r.staticSharedMemory = 1024;
    r.dynamicSharedMemory = 2048;
    f.record(&r, sizeof r);
}

static void memory_copy(uint32_t correlation_id, uint8_t kind, uint64_t begin_ns,
                        uint64_t length_ns)
{
    CUpti_ActivityMemcpy6 r;
    memset(&r, 0, sizeof r);
    r.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
    r.graphNodeId = f.node_id;
    r.copyKind = kind;
    r.correlationId = correlation_id;
    r.start = f.zero_ns + begin_ns;
    r.end = r.start + length_ns;
    f.record(&r, sizeof r);
}

static void memory_set(uint32_t correlation_id, uint64_t begin_ns, uint64_t length_ns)
{
    CUpti_ActivityMemset4 r;
    memset(&r, 0, sizeof r);
    r.kind = CUPTI_ACTIVITY_KIND_MEMSET;
    r.graphNodeId = f.node_id;
    r.correlationId = correlation_id;
    r.start = f.zero_ns + begin_ns;
    r.end = r.start + length_ns;
    f.record(&r, sizeof r);
}

static void overhead(int kind, uint64_t begin_ns, uint64_t end_ns)
{
    fake_overhead r;
    memset(&r, 0, sizeof r);
    r.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
    r.overheadKind = (CUpti_ActivityOverheadKind)kind;
    r.start = begin_ns;
    r.end = end_ns;
#if CUDA_VERSION >= 13000
    r.overheadData = malloc(24); /* the program's to free: a sanitizer sees when it does not */
#endif
    f.record(&r, sizeof r);
}

/* ---- a profile ---- */

static void profile_begin(void)
{
    assert_null(activity_source_start());
    f.zero_ns = activity_source_now_ns();
    attribution_reset(f.a, f.zero_ns);
    gb_ledger_reset(f.ledger);
}

static void profile_end(void)
{
    activity_source_stop(f.a);
    attribution_finish(f.a, f.ledger);
    assert_int_equal(f.control->kinds_enabled, 0);
    assert_int_equal(f.control->buffers_out, 0);
    assert_false(f.control->lock_held);
    assert_in_range(f.control->buffers_most, 0, BUFFERS_MOST);
}

/* An op with one call under its id. */
static void issue(gb_scope scope, bool overlaps, uint32_t correlation_id)
{
    activity_source_push(attribution_op(f.a, scope, overlaps));
    f.call(correlation_id);
    activity_source_pop();
}

static double row_ns(gb_scope scope)
{
    gb_op_time rows[64];
    int n = gb_ledger_read(f.ledger, rows, 64);
    for (int i = 0; i < n; i++) {
        if (rows[i].phase == scope.phase && rows[i].layer == scope.layer &&
            rows[i].op == scope.op) {
            return round(rows[i].time_ms * 1e6);
        }
    }
    return 0;
}

static const char *note(void)
{
    const char *text = attribution_note(f.a);
    return text ? text : "";
}

static bool note_begins(const char *text)
{
    return strncmp(note(), text, strlen(text)) == 0;
}

/* A plain op, one with two kernels, a copy beside the stream, and a replay whose nodes are one of
 * `norm` (a kernel), two of `qkv`, and a fill and a kernel of `adamw`. Records come backwards. */
static void step_record(void)
{
    const gb_node_mark marks[] = {{norm, 1}, {qkv, 3}, {adamw, 5}};
    issue(qkv, false, 21);
    issue(copy, true, 22);
    activity_source_push(attribution_replay(f.a, marks, 3));
    f.call(23);
    activity_source_pop();
    issue(copy, false, 24);
    memory_copy(24, CUPTI_ACTIVITY_MEMCPY_KIND_DTOH, 9000, 77);
    kernel(23, 7, "_Z12adamw_kernelILi4EEvPfi", 8000, 500); /* the graph's: 3000 to 8500 */
    memory_set(23, 7000, 30);
    kernel(23, 7, "gemm", 5000, 1000);
    kernel(23, 7, "splitk", 6000, 250);
    kernel(23, 7, "norm", 3000, 640);
    memory_copy(22, CUPTI_ACTIVITY_MEMCPY_KIND_HTOD, 1500, 3000); /* on another stream */
    kernel(21, 7, "gemm", 1000, 1100);
    kernel(21, 7, "splitk", 2200, 300);
}

static void step_check(void)
{
    assert_float_equal(row_ns(qkv), 1100 + 300 + 1000 + 250, 0);
    assert_float_equal(row_ns(norm), 640, 0);
    assert_float_equal(row_ns(adamw), 30 + 500, 0);
    assert_float_equal(row_ns(copy), 77, 0); /* the copy beside the stream costs no time */
    assert_float_equal(row_ns(nowhere), 0, 0);
}

static void a_step_is_attributed_to_the_nanosecond(void **state)
{
    (void)state;
    profile_begin();
    step_record();
    profile_end();
    step_check();
    assert_string_equal(note(), "");
    gb_kernel_time rows[16];
    /* Two gemm in one row, two splitk; norm, adamw, memset, a copy each way. */
    assert_int_equal(attribution_kernels(f.a, rows, 16), 7);
    assert_string_equal(rows[0].name, "memcpy HtoD"); /* 3000 ns: the longest */
    const gb_kernel_time *gemm = &rows[1], *update = NULL;
    assert_string_equal(gemm->name, "gemm");
    assert_int_equal(gemm->calls, 2); /* issued and replayed */
    assert_int_equal(gemm->grid[0] * 100 + gemm->grid[1] * 10 + gemm->grid[2], 731);
    assert_int_equal(gemm->block[0], 256);
    assert_int_equal(gemm->registers, 42);
    assert_int_equal(gemm->shared_bytes, 1024 + 2048);
    for (int i = 0; i < 7; i++) {
        update = strcmp(rows[i].name, "adamw_kernel<4>") == 0 ? &rows[i] : update;
    }
    assert_non_null(update); /* c++filt: void adamw_kernel<4>(float*, int) */
    gb_op_span spans[16];
    assert_int_equal(gb_ledger_spans(f.ledger, spans, 16), 8);
    assert_true(fabs(spans[0].begin_ms - 0.001) < 1e-9 && fabs(spans[7].end_ms - 0.009077) < 1e-9);
}

/* Buffers of three records, handed over last first from a thread of CUPTI's. */
static void buffers_may_come_in_any_order_from_any_thread(void **state)
{
    (void)state;
    f.control->records_per_buffer = 3;
    f.control->other_thread = 1;
    profile_begin();
    step_record();
    profile_end();
    step_check();
    assert_string_equal(note(), "");
    /* 9 activities; 4 calls with a record of the call and one of the id: 17 in threes. */
    assert_int_equal(f.control->records, 17);
    assert_int_equal(f.control->buffers_most, 6);
}

/* Thousands of ops on two streams in random order, over several full buffers of 1 MiB. */
static void many_records_add_up(void **state)
{
    enum { CALLS = 12000 };
    static uint32_t order[CALLS];
    test_random rng = {11};
    uint64_t expected_ns[2] = {0, 0};
    (void)state;
    f.control->other_thread = 1;
    profile_begin();
    for (uint32_t i = 0; i < CALLS; i++) {
        order[i] = i;
        issue(i % 2 ? qkv : norm, false, 1000 + i);
    }
    for (uint32_t i = CALLS - 1; i > 0; i--) {
        uint32_t j = (uint32_t)test_random_int(&rng, 0, i), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (uint32_t i = 0; i < CALLS; i++) {
        uint64_t length_ns = 100 + order[i] % 977;
        kernel(1000 + order[i], 1 + order[i] % 2, "k", 500 + 2000 * (uint64_t)order[i], length_ns);
        expected_ns[order[i] % 2] += length_ns;
    }
    profile_end();
    assert_float_equal(row_ns(norm), (double)expected_ns[0], 0);
    assert_float_equal(row_ns(qkv), (double)expected_ns[1], 0);
    assert_string_equal(note(), "");
    assert_true(f.control->buffers_most > 2);
}

/* ---- what is lost is said ---- */

static void dropped_records_make_a_profile_incomplete(void **state)
{
    enum { CALLS = 50 };
    (void)state;
    f.control->records_per_buffer = 1;
    profile_begin();
    for (uint32_t i = 0; i < CALLS; i++) {
        issue(qkv, false, 100 + i);
        kernel(100 + i, 7, "gemm", 1000 * (i + 1), 10);
    }
    profile_end();
    /* Three records of each call, one to a buffer. */
    char expected[80];
    snprintf(expected, sizeof expected, "incomplete: the profiler dropped %d records",
             3 * CALLS - BUFFERS_MOST);
    assert_string_equal(note(), expected);
    assert_int_equal(f.control->buffers_most, BUFFERS_MOST);
    assert_float_equal(row_ns(qkv), 10 * (BUFFERS_MOST / 3), 0); /* 21 whole calls, and a call */
    /* The pool is whole again, and nothing is left of the records or of the count. */
    f.control->records_per_buffer = 0;
    profile_begin();
    step_record();
    profile_end();
    step_check();
    assert_string_equal(note(), "");
}

/* Ids are given out anew for each profile: a record that comes after the end must not get into the
 * next, where its id is that of another op. */
static void records_that_come_late_are_nobodys(void **state)
{
    (void)state;
    profile_begin();
    issue(norm, false, 31);
    kernel(31, 7, "norm", 100, 10);
    profile_end();
    assert_float_equal(row_ns(norm), 10, 0);
    issue(norm, false, 31);
    CUpti_ActivityExternalCorrelation link;
    memset(&link, 0, sizeof link);
    link.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
    link.externalId = 1; /* of `qkv`, soon */
    link.correlationId = 31;
    f.record(&link, sizeof link);
    kernel(31, 7, "norm", 200, 99);
    f.late();
    profile_begin();
    issue(qkv, false, 32);
    kernel(32, 7, "gemm", 300, 20);
    profile_end();
    assert_float_equal(row_ns(qkv), 20, 0);
    assert_string_equal(note(), "");
}

static void lost_nodes_and_strangers_are_unattributed(void **state)
{
    const gb_node_mark marks[] = {{norm, 1}, {qkv, 3}};
    (void)state;
    profile_begin();
    activity_source_push(attribution_replay(f.a, marks, 2));
    f.call(5);
    activity_source_pop();
    kernel(5, 7, "norm", 100, 10);
    kernel(5, 7, "gemm", 200, 20);
    kernel(6, 7, "of somebody else", 300, 40);
    profile_end();
    assert_float_equal(row_ns(nowhere), 70, 0);
    assert_string_equal(note(),
                        "incomplete: 3 of 3 activities, 100.0 % of their time, belong to no "
                        "op: 1 of 1 replays had another number of nodes than recorded");
}

/* A kernel, a copy and a fill of a graph, whose records carry the ids of their nodes: of a second
 * replay the fill is lost, and the other two find their ops by them. */
static void nodes_are_known_by_their_ids(void **state)
{
    const gb_node_mark marks[] = {{norm, 1}, {copy, 2}, {adamw, 3}};
    (void)state;
    profile_begin();
    for (uint32_t i = 0; i < 2; i++) {
        activity_source_push(attribution_replay(f.a, marks, 3));
        f.call(40 + i);
        activity_source_pop();
        f.node_id = 501;
        kernel(40 + i, 7, "a", 1000 + 10000 * i, 10);
        f.node_id = 502;
        memory_copy(40 + i, CUPTI_ACTIVITY_MEMCPY_KIND_DTOD, 2000 + 10000 * i, 20);
        f.node_id = 503;
        if (i == 0) {
            memory_set(40, 3000, 40);
        } else { /* twice: by their number they would be the fill too */
            f.node_id = 502;
            memory_copy(41, CUPTI_ACTIVITY_MEMCPY_KIND_DTOD, 13000, 80);
            f.node_id = 501;
            kernel(41, 7, "a", 14000, 160);
        }
        f.node_id = 0;
    }
    profile_end();
    assert_float_equal(row_ns(norm), 10 + 10 + 160, 0);
    assert_float_equal(row_ns(copy), 20 + 20 + 80, 0);
    assert_float_equal(row_ns(adamw), 40, 0);
}

/* CUPTI's release notes: before 13.1 Update 1 only a process's first profile has the right ids of
 * graphs' launches. A second is not begun; once the library is as new, it is. */
static void old_libraries_profile_once(void **state)
{
    static const char why[] =
        "before CUDA 13.1 Update 1 CUPTI takes the launches of graphs for each "
        "other in all but the first profile of a process";
    (void)state;
    profile_begin(); /* there is one before, in whatever order the tests run */
    profile_end();
    f.control->version = 130100;
    assert_string_equal(activity_source_start(), why);
    assert_int_equal(f.control->kinds_enabled, 0);
    f.control->version = 28; /* 12.9 Update 1 */
    assert_string_equal(activity_source_start(), why);
    f.control->version = 130101;
    profile_begin();
    step_record();
    profile_end();
    step_check();
}

static void what_goes_wrong_at_the_end_is_said(void **state)
{
    (void)state;
    f.control->broken_after = 2;
    profile_begin();
    step_record();
    profile_end();
    assert_true(note_begins("incomplete: CUPTI: a buffer cannot be read to its end: "
                            "CUPTI_ERROR_INVALID_KIND"));
    f.control->broken_after = 0;
    f.control->flush_error = CUPTI_ERROR_UNKNOWN;
    profile_begin();
    profile_end();
    assert_string_equal(note(), "incomplete: CUPTI: records are not handed over: "
                                "CUPTI_ERROR_UNKNOWN");
    f.control->flush_error = 0;
    f.control->dropped_error = CUPTI_ERROR_UNKNOWN;
    profile_begin();
    profile_end();
    assert_string_equal(note(), "incomplete: CUPTI: it cannot tell whether records were dropped: "
                                "CUPTI_ERROR_UNKNOWN");
}

/* ---- what the profiler costs, and its clock ---- */

static void the_profilers_own_time_is_told(void **state)
{
    (void)state;
    profile_begin();
    step_record();
    overhead(CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH, 1000, 201000);
    overhead(CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION, 5000, 155000);
    overhead(CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION, 300000, 400000);
    overhead(CUPTI_ACTIVITY_OVERHEAD_CUPTI_RESOURCE, 0, 0); /* no times were collected */
    profile_end();
    step_check(); /* no part of the ledger */
    assert_string_equal(note(), "the profiler itself took 0.450 ms of the host's time in 4 spells, "
                                "most in instrumentation");
    f.control->enable_error = CUPTI_ERROR_INVALID_KIND;
    f.control->enable_error_kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
    profile_begin(); /* no reason to do without the rest */
    step_record();
    profile_end();
    step_check();
}

static void clocks_are_held_against_the_hosts(void **state)
{
    (void)state;
    f.control->clock_ahead_ns = 500000000000; /* 500 s */
    double before_s = gb_monotonic_s();
    profile_begin();
    double after_s = gb_monotonic_s();
    f.control->clock_gain_ns = 1000000000; /* 1 s while the profile runs */
    step_record();
    profile_end();
    step_check();
    /* Doubles that near 1e6 s are 1e-10 s apart; the pair is as good as its readings are close. */
    assert_true(attribution_zero_s(f.a) >= before_s - 1e-3);
    assert_true(attribution_zero_s(f.a) <= after_s + 1e-3);
    double gained_us = 0;
    assert_int_equal(sscanf(note(), "the profiler's clock gained %lf us on the host's", &gained_us),
                     1);
    assert_true(fabs(gained_us - 1e6) < 1e5);
    attribution_reset(f.a, 0);
    assert_true(isnan(attribution_zero_s(f.a)));
}

/* ---- no permission, no library ---- */

static void without_permission_nothing_stays_on(void **state)
{
    (void)state;
    f.control->enable_error = CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
    f.control->enable_error_kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION; /* the fourth */
    assert_string_equal(
        activity_source_start(),
        "CUPTI: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES; run as root, or load the driver "
        "with NVreg_RestrictProfilingToAdminUsers=0");
    assert_int_equal(f.control->kinds_enabled, 0);
    f.control->enable_error = 0;
    profile_begin(); /* and later it goes */
    step_record();
    profile_end();
    step_check();
}

static void the_library_is_described(void **state)
{
    (void)state;
    gb_profiler_description d;
    char version[64];
    activity_source_describe(&d);
    assert_true(d.found);
    assert_string_equal(d.library, getenv("GPTBENCH_CUPTI_LIBRARY"));
    snprintf(version, sizeof version, "API version 130101, built for %d", CUPTI_API_VERSION);
    assert_string_equal(d.version, version);
    assert_string_equal(d.problem, "");
    f.control->version = 130000;
    activity_source_describe(&d);
    assert_true(d.found);
    assert_string_equal(d.problem,
                        "CUPTI 13.0 may hang or crash at the end of a profile, which ends "
                        "the run; CUDA 13.0 Update 1 mends it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        T(a_step_is_attributed_to_the_nanosecond),
        T(buffers_may_come_in_any_order_from_any_thread),
        T(many_records_add_up),
        T(dropped_records_make_a_profile_incomplete),
        T(records_that_come_late_are_nobodys),
        T(lost_nodes_and_strangers_are_unattributed),
        T(nodes_are_known_by_their_ids),
        T(old_libraries_profile_once),
        T(what_goes_wrong_at_the_end_is_said),
        T(the_profilers_own_time_is_told),
        T(clocks_are_held_against_the_hosts),
        T(without_permission_nothing_stays_on),
        T(the_library_is_described),
#undef T
    };
    return cmocka_run_group_tests_name("cupti", tests, library_open, library_close);
}

#endif
