/* Which op each activity of a GPU belongs to, from records made by hand: every time is known, so
 * all sums are exact. Nanoseconds in, milliseconds out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "kernels/attribution.h"
#include "tests/ref/random.h"

#define EMBED                                                                                      \
    {                                                                                              \
        GB_PHASE_FORWARD, -1, GB_OP_EMBED                                                          \
    }
#define UP                                                                                         \
    {                                                                                              \
        GB_PHASE_FORWARD, 3, GB_OP_LINEAR_MLP_UP                                                   \
    }
#define ACT                                                                                        \
    {                                                                                              \
        GB_PHASE_BACKWARD, 3, GB_OP_MLP_ACT                                                        \
    }
static const gb_scope embed = EMBED;
static const gb_scope up = UP;
static const gb_scope act = ACT;
static const gb_scope copy = {GB_PHASE_DATA, -1, GB_OP_COPY};

typedef struct fixture {
    attribution *a;
    gb_ledger *ledger;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f.a = attribution_open();
    f.ledger = gb_ledger_open();
    attribution_reset(f.a, 1000);
    *state = &f;
    return f.a && f.ledger ? 0 : 1;
}

static int teardown(void **state)
{
    fixture *f = *state;
    attribution_close(f->a);
    gb_ledger_close(f->ledger);
    return 0;
}

static gb_activity activity(uint32_t correlation_id, const char *name, uint64_t begin_ns,
                            uint64_t end_ns)
{
    gb_activity r = {.begin_ns = begin_ns,
                     .end_ns = end_ns,
                     .correlation_id = correlation_id,
                     .grid = {4, 2, 1},
                     .block = {128, 1, 1},
                     .registers = 40,
                     .shared_bytes = 1024};
    snprintf(r.name, sizeof r.name, "%s", name);
    return r;
}

static void add(fixture *f, uint32_t correlation_id, const char *name, uint64_t begin_ns,
                uint64_t end_ns)
{
    gb_activity r = activity(correlation_id, name, begin_ns, end_ns);
    attribution_activity(f->a, &r);
}

/* Milliseconds of one row; 0 where there is none. */
static double row_ms(const fixture *f, gb_scope scope)
{
    gb_op_time rows[64];
    int n = gb_ledger_read(f->ledger, rows, 64);
    for (int i = 0; i < n; i++) {
        if (rows[i].phase == scope.phase && rows[i].layer == scope.layer &&
            rows[i].op == scope.op) {
            return rows[i].time_ms;
        }
    }
    return 0;
}

static double unattributed_ms(const fixture *f)
{
    return row_ms(f, (gb_scope){GB_PHASE_IDLE, -1, GB_OP_UNATTRIBUTED});
}

static void near_ms(double actual, double expected)
{
    if (!(fabs(actual - expected) <= 1e-12)) {
        fail_msg("%.15g ms, expected %.15g", actual, expected);
    }
}

/* Records come as the profiler likes, links after the activities that they explain. */
static void ops_find_their_activities_in_any_order(void **state)
{
    fixture *f = *state;
    uint64_t first = attribution_op(f->a, embed, false), second = attribution_op(f->a, up, false);
    add(f, 12, "gemm", 5000, 9000);
    add(f, 11, "embed", 2000, 3500);
    add(f, 13, "splitk", 9000, 9250);
    attribution_external(f->a, 13, second);
    attribution_external(f->a, 11, first);
    attribution_external(f->a, 12, second);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, embed), 0.0015);
    near_ms(row_ms(f, up), 0.00425);
    assert_null(attribution_note(f->a));
    gb_op_span spans[4];
    assert_int_equal(gb_ledger_spans(f->ledger, spans, 4), 3);
    near_ms(spans[0].begin_ms, 0.001); /* since 1000 ns */
    near_ms(spans[2].end_ms, 0.00825);
    assert_int_equal(spans[1].op, GB_OP_LINEAR_MLP_UP);
    /* Calls and FLOPs are counted where ops are issued, not here. */
    gb_op_time rows[4];
    assert_int_equal(gb_ledger_read(f->ledger, rows, 4), 2);
    assert_int_equal(rows[0].calls + rows[1].calls, 0);
}

/* Two kernels of `up`, one of `act`, a fill of `embed`; replayed twice, the records shuffled. */
static void replays_are_taken_apart_by_their_nodes(void **state)
{
    fixture *f = *state;
    const gb_node_mark marks[] = {{embed, 1}, {up, 3}, {act, 3}, {copy, 4}};
    uint64_t one = attribution_replay(f->a, marks, 4), two = attribution_replay(f->a, marks, 4);
    add(f, 8, "act", 50000, 50400);
    add(f, 7, "fill", 2000, 2100);
    add(f, 8, "fill", 20000, 20300);
    add(f, 7, "b", 5000, 7000);
    add(f, 8, "b", 40000, 41000);
    add(f, 7, "act", 8000, 8100);
    add(f, 7, "a", 3000, 4000);
    add(f, 8, "a", 30000, 31500);
    attribution_external(f->a, 8, two);
    attribution_external(f->a, 7, one);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, embed), 0.0001 + 0.0003);
    near_ms(row_ms(f, up), 0.003 + 0.0025);
    near_ms(row_ms(f, act), 0); /* an op without nodes of its own */
    near_ms(row_ms(f, copy), 0.0001 + 0.0004);
    assert_null(attribution_note(f->a));
}

/* ---- replays with a record too many or too few ---- */

/* One of `embed`, two of `up`, one of `act`: four nodes, of which two have the same name. */
static const gb_node_mark four[] = {{EMBED, 1}, {UP, 3}, {ACT, 4}};

static void add_node(fixture *f, uint32_t correlation_id, const char *name, uint64_t begin_ns,
                     uint64_t length_ns, uint64_t node_id)
{
    gb_activity r = activity(correlation_id, name, begin_ns, begin_ns + length_ns);
    r.node_id = node_id;
    attribution_activity(f->a, &r);
}

/* A whole replay of `four` under this id, 1 + 10 + 100 + 1000 ns; node ids from `id` on, or 0. */
static void add_whole(fixture *f, uint32_t correlation_id, uint64_t begin_ns, uint64_t id)
{
    attribution_external(f->a, correlation_id, attribution_replay(f->a, four, 3));
    add_node(f, correlation_id, "fill", begin_ns, 1, id);
    add_node(f, correlation_id, "gemm", begin_ns + 2000, 10, id ? id + 1 : 0);
    add_node(f, correlation_id, "gemm", begin_ns + 4000, 100, id ? id + 2 : 0);
    add_node(f, correlation_id, "act", begin_ns + 6000, 1000, id ? id + 3 : 0);
}

/* The first gemm's record is lost: the second is known by its node, which a whole replay told. */
static void a_lost_record_leaves_the_others_their_ops(void **state)
{
    fixture *f = *state;
    attribution_external(f->a, 2, attribution_replay(f->a, four, 3));
    add_node(f, 2, "fill", 90000, 2, 70);
    add_node(f, 2, "gemm", 91000, 20, 72);
    add_node(f, 2, "act", 92000, 2000, 73);
    add_whole(f, 1, 20000, 70);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, embed), 3e-6);
    near_ms(row_ms(f, up), 130e-6);
    near_ms(row_ms(f, act), 3000e-6);
    near_ms(unattributed_ms(f), 0);
    assert_string_equal(attribution_note(f->a),
                        "incomplete: 1 of 2 replays had another number of nodes than recorded; all "
                        "activities have their op");
}

/* A record that no node of the graph explains: it alone belongs to nobody. */
static void a_record_too_many_costs_no_more_than_itself(void **state)
{
    fixture *f = *state;
    add_whole(f, 1, 20000, 70);
    add_whole(f, 2, 90000, 70);
    add_node(f, 2, "stranger", 92500, 3000, 99);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, embed), 2e-6);
    near_ms(row_ms(f, up), 220e-6);
    near_ms(row_ms(f, act), 2000e-6);
    near_ms(unattributed_ms(f), 3000e-6);
    /* 3000 of 1111 + 1111 + 3000 ns. */
    assert_string_equal(
        attribution_note(f->a),
        "incomplete: 1 of 9 activities, 57.4 % of their time, belong to no op: 1 of 2 "
        "replays had another number of nodes than recorded");
}

/* A record too many and one too few: as many as recorded, but the nodes say which is which. */
static void equal_numbers_do_not_hide_a_swap(void **state)
{
    fixture *f = *state;
    add_whole(f, 1, 20000, 70);
    attribution_external(f->a, 2, attribution_replay(f->a, four, 3));
    add_node(f, 2, "gemm", 91000, 10, 71);
    add_node(f, 2, "gemm", 92000, 100, 72);
    add_node(f, 2, "act", 93000, 1000, 73);
    add_node(f, 2, "act", 95000, 5000, 73);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, embed), 1e-6);
    near_ms(row_ms(f, up), 220e-6);
    near_ms(row_ms(f, act), 7000e-6);
}

/* Without ids of nodes: by order among launches of a name, where a whole replay has as many. */
static void without_ids_names_place_what_they_can(void **state)
{
    fixture *f = *state;
    add_whole(f, 1, 20000, 0);
    attribution_external(f->a, 2, attribution_replay(f->a, four, 3));
    add_node(f, 2, "fill", 90000, 1, 0);
    add_node(f, 2, "gemm", 91000, 10, 0); /* one of two: which is not known */
    add_node(f, 2, "act", 93000, 1000, 0);
    attribution_external(f->a, 3, attribution_replay(f->a, four, 3));
    add_node(f, 3, "gemm", 191000, 20, 0); /* both, though the fill is lost */
    add_node(f, 3, "gemm", 192000, 200, 0);
    add_node(f, 3, "act", 193000, 2000, 0);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, embed), 2e-6);
    near_ms(row_ms(f, up), 330e-6);
    near_ms(row_ms(f, act), 4000e-6);
    near_ms(unattributed_ms(f), 10e-6);
}

/* No replay of this recording was whole, and one of another recording says nothing of it. */
static void what_no_whole_replay_explains_is_not_guessed(void **state)
{
    fixture *f = *state;
    const gb_node_mark other[] = {{copy, 1}, {up, 3}, {act, 4}};
    add_whole(f, 1, 20000, 70);
    attribution_external(f->a, 2, attribution_replay(f->a, other, 3));
    add_node(f, 2, "fill", 90000, 5, 80);
    add_node(f, 2, "act", 91000, 50, 83);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, act), 1000e-6);
    near_ms(unattributed_ms(f), 55e-6);
}

/* A clock that counts in steps: what took no time by it came before what began in the same step. */
static void ops_that_begin_at_once_do_not_overlap(void **state)
{
    fixture *f = *state;
    attribution_external(f->a, 1, attribution_replay(f->a, four, 3));
    add_node(f, 1, "act", 9000, 1000, 0);
    add_node(f, 1, "gemm", 8000, 1000, 0);
    add_node(f, 1, "gemm", 8000, 0, 0);
    add_node(f, 1, "fill", 2000, 6000, 0);
    attribution_finish(f->a, f->ledger);
    gb_op_span spans[4];
    assert_int_equal(gb_ledger_spans(f->ledger, spans, 4), 4);
    for (int i = 1; i < 4; i++) {
        assert_true(spans[i].begin_ms >= spans[i - 1].end_ms);
    }
    near_ms(row_ms(f, embed), 6000e-6);
    near_ms(row_ms(f, act), 1000e-6);
}

static void lost_and_foreign_records_are_said(void **state)
{
    fixture *f = *state;
    add(f, 99, "of somebody else", 2000, 2500);
    attribution_external(f->a, 5, 77); /* an id that was never given out */
    add(f, 5, "stranger", 2500, 2600);
    attribution_finish(f->a, f->ledger);
    near_ms(unattributed_ms(f), 0.0006);
    assert_string_equal(attribution_note(f->a),
                        "incomplete: 2 of 2 activities, 100.0 % of their time, belong to no op");
    attribution_reset(f->a, 0);
    gb_ledger_reset(f->ledger);
    attribution_dropped(f->a, 3);
    attribution_finish(f->a, f->ledger);
    assert_string_equal(attribution_note(f->a), "incomplete: the profiler dropped 3 records");
    assert_int_equal(attribution_kernels(f->a, NULL, 0), 0);
}

/* A copy on another stream runs while kernels do: a step is not longer by it. */
static void overlapping_copies_are_listed_but_cost_no_time(void **state)
{
    fixture *f = *state;
    attribution_external(f->a, 1, attribution_op(f->a, copy, true));
    attribution_external(f->a, 2, attribution_op(f->a, up, false));
    add(f, 2, "gemm", 2000, 9000);
    add(f, 1, "memcpy HtoD", 3000, 8000);
    attribution_finish(f->a, f->ledger);
    near_ms(row_ms(f, copy), 0);
    near_ms(row_ms(f, up), 0.007);
    gb_kernel_time rows[2];
    assert_int_equal(attribution_kernels(f->a, rows, 2), 2);
    assert_string_equal(rows[0].name, "gemm"); /* the longest first */
    assert_string_equal(rows[1].name, "memcpy HtoD");
    near_ms(rows[1].time_ms, 0.005);
}

static void kernels_are_summed_by_launch(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 1; i <= 3; i++) {
        attribution_external(f->a, i, attribution_op(f->a, up, false));
        add(f, i, "gemm", i * 10000, i * 10000 + 100 * i);
    }
    gb_activity other = activity(3, "gemm", 40000, 40050);
    other.grid[0] = 8;
    attribution_activity(f->a, &other);
    gb_activity backwards = activity(2, "gemm", 50000, 40000); /* ends before it begins */
    attribution_activity(f->a, &backwards);
    attribution_finish(f->a, f->ledger);
    gb_kernel_time rows[4];
    assert_int_equal(attribution_kernels(f->a, rows, 4), 2);
    assert_int_equal(rows[0].calls, 4);
    near_ms(rows[0].time_ms, 0.0006);
    assert_int_equal(rows[0].registers, 40);
    assert_int_equal(rows[0].shared_bytes, 1024);
    assert_int_equal(rows[1].grid[0], 8);
    near_ms(row_ms(f, up), 0.00065);
}

/* Hundreds of ops and replays with random lengths, their records in random order: each row holds
 * exactly what was put there. */
static void random_steps_add_up(void **state)
{
    fixture *f = *state;
    enum { CALLS = 400, SCOPES = 20, MOST = CALLS * 6 };
    static gb_activity all[MOST];
    uint64_t expected_ns[SCOPES] = {0}, now_ns = 1000;
    test_random rng = {7};
    int n = 0;
    for (uint32_t call = 1; call <= CALLS; call++) {
        gb_scope scopes[3];
        int chosen[3];
        gb_node_mark marks[3];
        int64_t nodes = 0;
        bool replay = test_random_int(&rng, 0, 1);
        int ops = replay ? 3 : 1;
        for (int i = 0; i < ops; i++) {
            chosen[i] = (int)test_random_int(&rng, 0, SCOPES - 1);
            scopes[i] = (gb_scope){chosen[i] % 2 ? GB_PHASE_FORWARD : GB_PHASE_BACKWARD,
                                   chosen[i] / 2 - 1, GB_OP_ATTENTION};
            int64_t more = test_random_int(&rng, 0, 2);
            for (int64_t k = 0; k < more; k++) {
                uint64_t length = (uint64_t)test_random_int(&rng, 1, 5000);
                all[n++] = activity(call, "k", now_ns, now_ns + length);
                now_ns += length + (uint64_t)test_random_int(&rng, 0, 300);
                expected_ns[chosen[i]] += length;
            }
            nodes += more;
            marks[i] = (gb_node_mark){scopes[i], nodes};
        }
        attribution_external(f->a, call,
                             replay ? attribution_replay(f->a, marks, ops)
                                    : attribution_op(f->a, scopes[0], false));
    }
    for (int i = n - 1; i > 0; i--) {
        int j = (int)test_random_int(&rng, 0, i);
        gb_activity swap = all[i];
        all[i] = all[j];
        all[j] = swap;
    }
    for (int i = 0; i < n; i++) {
        attribution_activity(f->a, &all[i]);
    }
    attribution_finish(f->a, f->ledger);
    assert_null(attribution_note(f->a));
    for (int s = 0; s < SCOPES; s++) {
        gb_scope scope = {s % 2 ? GB_PHASE_FORWARD : GB_PHASE_BACKWARD, s / 2 - 1, GB_OP_ATTENTION};
        assert_true(fabs(row_ms(f, scope) - (double)expected_ns[s] * 1e-6) < 1e-9);
    }
    assert_int_equal(gb_ledger_spans(f->ledger, NULL, 0), n);
}

/* Two readings of both clocks, 1 s apart on the host's: the profiler's went 2.5 us further. */
static void the_clocks_are_brought_together(void **state)
{
    fixture *f = *state;
    const gb_clock_pair start = {500000, 7000000000, 200}, end = {1000502500, 8000000000, 300};
    assert_true(isnan(attribution_zero_s(f->a)));
    attribution_reset(f->a, 502000); /* 2 us after the first reading */
    attribution_clocks(f->a, &start, &end);
    attribution_finish(f->a, f->ledger);
    assert_true(fabs(attribution_zero_s(f->a) - 7.000002) < 1e-12);
    assert_string_equal(attribution_note(f->a),
                        "the profiler's clock gained 2.500 us on the host's");
    /* Lost; and no more than the readings may be off together, which says nothing. */
    const gb_clock_pair slow = {1000496000, 8000000000, 300}, same = {1000500500, 8000000000, 300};
    attribution_clocks(f->a, &start, &slow);
    attribution_finish(f->a, f->ledger);
    assert_string_equal(attribution_note(f->a),
                        "the profiler's clock gained -4.000 us on the host's");
    attribution_clocks(f->a, &start, &same);
    attribution_finish(f->a, f->ledger);
    assert_null(attribution_note(f->a));
    attribution_reset(f->a, 0);
    assert_true(isnan(attribution_zero_s(f->a)));
}

/* What is missing comes first; what it cost after it. */
static void overheads_are_summed_and_said(void **state)
{
    fixture *f = *state;
    attribution_overhead(f->a, "buffer flush", 1000, 301000);
    attribution_finish(f->a, f->ledger);
    assert_string_equal(attribution_note(f->a),
                        "the profiler itself took 0.300 ms of the host's time in "
                        "1 spell, most in buffer flush");
    attribution_overhead(f->a, "instrumentation", 0, 0);    /* no times */
    attribution_overhead(f->a, "buffer flush", 9000, 8000); /* nor these */
    attribution_overhead(f->a, "instrumentation", 0, 700000);
    attribution_broken(f->a, "a buffer was torn");
    attribution_broken(f->a, "and another");
    attribution_finish(f->a, f->ledger);
    assert_string_equal(
        attribution_note(f->a),
        "incomplete: a buffer was torn; the profiler itself took 1.000 ms of the host's "
        "time in 4 spells, most in instrumentation");
    assert_int_equal(gb_ledger_read(f->ledger, NULL, 0), 0); /* no time of the device's */
    attribution_reset(f->a, 0);
    attribution_finish(f->a, f->ledger);
    assert_null(attribution_note(f->a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        T(ops_find_their_activities_in_any_order),
        T(replays_are_taken_apart_by_their_nodes),
        T(a_lost_record_leaves_the_others_their_ops),
        T(a_record_too_many_costs_no_more_than_itself),
        T(equal_numbers_do_not_hide_a_swap),
        T(without_ids_names_place_what_they_can),
        T(what_no_whole_replay_explains_is_not_guessed),
        T(ops_that_begin_at_once_do_not_overlap),
        T(lost_and_foreign_records_are_said),
        T(overlapping_copies_are_listed_but_cost_no_time),
        T(kernels_are_summed_by_launch),
        T(random_steps_add_up),
        T(the_clocks_are_brought_together),
        T(overheads_are_summed_and_said),
#undef T
    };
    return cmocka_run_group_tests_name("attribution", tests, NULL, NULL);
}
