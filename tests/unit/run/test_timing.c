/* The order and the end of a timing session, with an executor that runs nothing: it answers with
 * made-up times and notes what it was asked for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/run/timing.h"

enum { MAX_CALLS = 4096 };

typedef struct call {
    char what; /* s settle, b burst, r retire, d block done, p precise */
    int arm, position;
    int64_t block;
} call;

typedef struct mock {
    call calls[MAX_CALLS];
    int n;
    int fails_arm; /* gives `fails` at its burst in block `fails_block`; -1: none */
    int64_t fails_block;
    gb_status fails;
    int64_t precise_at; /* blocks after which it says precise; 0: never */
    double settled_ms;
} mock;

static void note(mock *m, char what, int arm, int64_t block, int position)
{
    assert_true(m->n < MAX_CALLS);
    m->calls[m->n++] = (call){what, arm, position, block};
}

static gb_status mock_settle(void *user, int arm, double *step_ms, gb_error *err)
{
    mock *m = user;
    (void)err;
    note(m, 's', arm, -1, -1);
    *step_ms = m->settled_ms;
    return GB_OK;
}

/* 10 ms for arm 0, 11 for arm 1, ...; a whole millisecond more with every block. */
static gb_status mock_burst(void *user, const timing_turn *turn, const train_burst *burst,
                            double *step_ms, gb_error *err)
{
    mock *m = user;
    (void)burst;
    note(m, 'b', turn->arm, turn->block, turn->position);
    if (turn->arm == m->fails_arm && turn->block == m->fails_block) {
        return gb_fail(err, m->fails, "as asked");
    }
    *step_ms = 10.0 + turn->arm + (double)turn->block;
    return GB_OK;
}

static void mock_retire(void *user, int arm)
{
    note(user, 'r', arm, -1, -1);
}

static gb_status mock_block_done(void *user, const timing_table *table, gb_error *err)
{
    (void)err;
    note(user, 'd', -1, table->n_blocks, -1);
    return GB_OK;
}

static gb_status mock_precise(void *user, const timing_table *table, double precision, bool *out,
                              gb_error *err)
{
    mock *m = user;
    (void)err;
    assert_true(precision == 0.01);
    note(m, 'p', -1, table->n_blocks, -1);
    *out = table->n_blocks == m->precise_at;
    return GB_OK;
}

static gb_status run(mock *m, const timing_options *options, int n_arms, int baseline,
                     timing_table *table, timing_outcome *outcome, gb_error *err)
{
    const timing_executor executor = {
        n_arms, baseline, m, mock_settle, mock_burst, mock_retire, mock_block_done, mock_precise};
    return timing_run(options, &executor, table, outcome, err);
}

static int count(const mock *m, char what, int arm)
{
    int n = 0;
    for (int i = 0; i < m->n; i++) {
        n += m->calls[i].what == what && (arm < 0 || m->calls[i].arm == arm);
    }
    return n;
}

/* ---- the order ---- */

static void test_an_order_is_a_permutation(void **state)
{
    (void)state;
    for (int n = 1; n <= 40; n++) {
        for (int64_t block = 0; block < 20; block++) {
            int order[40];
            bool seen[40] = {false};
            timing_block_order(order, n, 7, block);
            for (int i = 0; i < n; i++) {
                assert_in_range(order[i], 0, n - 1);
                assert_false(seen[order[i]]);
                seen[order[i]] = true;
            }
        }
    }
}

static void test_an_order_depends_on_seed_and_block_alone(void **state)
{
    (void)state;
    int a[8], b[8];
    int differs_by_block = 0, differs_by_seed = 0;
    for (int64_t block = 0; block < 50; block++) {
        timing_block_order(a, 8, 3, block);
        timing_block_order(b, 8, 3, block);
        assert_memory_equal(a, b, sizeof a);
        timing_block_order(b, 8, 3, block + 1);
        differs_by_block += memcmp(a, b, sizeof a) != 0;
        timing_block_order(b, 8, 4, block);
        differs_by_seed += memcmp(a, b, sizeof a) != 0;
    }
    /* Two random orders of 8 are equal once in 40320. */
    assert_true(differs_by_block >= 49);
    assert_true(differs_by_seed >= 49);
}

/* Every one of the 24 orders of 4 arms comes equally often: chi-squared with 23 degrees of freedom
 * is above 49.7 with a chance of 0.001 (SciPy, chi2.isf(0.001, 23) = 49.728). */
static void test_all_orders_are_equally_likely(void **state)
{
    (void)state;
    enum { BLOCKS = 24000 };
    int seen[256] = {0};
    double chi2 = 0;
    int orders = 0;
    for (int64_t block = 0; block < BLOCKS; block++) {
        int o[4];
        timing_block_order(o, 4, 11, block);
        seen[o[0] * 64 + o[1] * 16 + o[2] * 4 + o[3]]++;
    }
    for (int i = 0; i < 256; i++) {
        if (seen[i] > 0) {
            double off = seen[i] - BLOCKS / 24.0;
            chi2 += off * off / (BLOCKS / 24.0);
            orders++;
        }
    }
    assert_int_equal(orders, 24);
    assert_true(chi2 < 49.728);
}

static void test_the_size_of_a_burst(void **state)
{
    (void)state;
    timing_options o = timing_options_default();
    /* 250 ms of 20 ms steps are 12.5, 30 ms of lead are 1.5: both rounded up. */
    train_burst burst = timing_burst_size(&o, 20);
    assert_int_equal(burst.timed_steps, 13);
    assert_int_equal(burst.lead_steps, 2);
    burst = timing_burst_size(&o, 5000); /* never below three, or one */
    assert_int_equal(burst.timed_steps, TIMING_MIN_BURST_STEPS);
    assert_int_equal(burst.lead_steps, 1);
    burst = timing_burst_size(&o, 0); /* a clock that did not tick */
    assert_int_equal(burst.timed_steps, TIMING_MAX_BURST_STEPS);
    assert_int_equal(burst.lead_steps, TIMING_MAX_BURST_STEPS);
    o.burst_steps = 7;
    assert_int_equal(timing_burst_size(&o, 20).timed_steps, 7);
}

/* ---- a session ---- */

static void test_every_block_visits_every_arm_once(void **state)
{
    (void)state;
    mock m = {.fails_arm = -1, .settled_ms = 50};
    timing_options o = timing_options_default();
    timing_table table;
    timing_outcome outcome;
    o.blocks = 6;
    o.process_blocks = 0;
    assert_int_equal(run(&m, &o, 4, 2, &table, &outcome, NULL), GB_OK);
    assert_int_equal(outcome.blocks_done, 6);
    assert_int_equal(outcome.burst.timed_steps, 5); /* 250 / 50 */
    assert_int_equal(m.calls[0].what, 's');
    assert_int_equal(m.calls[0].arm, 2); /* the baseline says how long a burst is */
    assert_int_equal(count(&m, 'r', -1), 0);
    assert_int_equal(count(&m, 'p', -1), 0); /* no precision was asked for */
    int at = 1;
    for (int64_t block = 0; block < 6; block++) {
        int order[4];
        timing_block_order(order, 4, (uint64_t)o.seed, block);
        for (int i = 0; i < 4; i++, at++) {
            assert_int_equal(m.calls[at].what, 'b');
            assert_int_equal(m.calls[at].arm, order[i]);
            assert_int_equal(m.calls[at].block, block);
            assert_int_equal(m.calls[at].position, i);
            assert_true(timing_table_get(&table, order[i], block) ==
                        10.0 + order[i] + (double)block);
        }
        assert_int_equal(m.calls[at].what, 'd');
        assert_int_equal(m.calls[at++].block, block + 1);
    }
    assert_int_equal(at, m.n);
    timing_table_free(&table);
}

static void test_processes_are_fresh_after_some_blocks(void **state)
{
    (void)state;
    mock m = {.fails_arm = -1, .settled_ms = 50};
    timing_options o = timing_options_default();
    timing_table table;
    timing_outcome outcome;
    o.blocks = 7;
    o.process_blocks = 3;
    assert_int_equal(run(&m, &o, 2, 0, &table, &outcome, NULL), GB_OK);
    assert_int_equal(count(&m, 'r', 0), 2); /* before blocks 3 and 6 */
    assert_int_equal(count(&m, 'r', 1), 2);
    for (int i = 0; i < m.n; i++) {
        if (m.calls[i].what == 'r') {
            assert_int_equal(m.calls[i + 1].what, 'b');
            assert_int_equal(m.calls[i + 1].arm, m.calls[i].arm);
            assert_int_equal(m.calls[i + 1].block % 3, 0);
        }
    }
    timing_table_free(&table);
}

static void test_an_arm_that_fails_is_left_out(void **state)
{
    (void)state;
    static const gb_status statuses[] = {GB_ERR_NAN, GB_ERR_OOM, GB_ERR_FAILED};
    for (int i = 0; i < 3; i++) {
        mock m = {.fails_arm = 1, .fails_block = 2, .fails = statuses[i], .settled_ms = 50};
        timing_options o = timing_options_default();
        timing_table table;
        timing_outcome outcome;
        o.blocks = 5;
        assert_int_equal(run(&m, &o, 3, 0, &table, &outcome, NULL), GB_OK);
        assert_int_equal(outcome.blocks_done, 5);
        assert_int_equal(count(&m, 'b', 1), 3);
        assert_int_equal(count(&m, 'b', 0), 5);
        assert_int_equal(count(&m, 'b', 2), 5);
        assert_true(timing_table_get(&table, 1, 1) == 12);
        assert_true(isnan(timing_table_get(&table, 1, 2)));
        assert_true(isnan(timing_table_get(&table, 1, 4)));
        timing_table_free(&table);
    }
}

static void test_what_ends_a_session(void **state)
{
    (void)state;
    static const struct {
        int arm;
        gb_status status;
    } cases[] = {{0, GB_ERR_NAN},         /* the baseline */
                 {1, GB_ERR_INTERRUPTED}, /* the user */
                 {2, GB_ERR_IO}};         /* a full disk */
    for (int i = 0; i < 3; i++) {
        mock m = {.fails_arm = cases[i].arm,
                  .fails_block = 2,
                  .fails = cases[i].status,
                  .settled_ms = 50};
        timing_options o = timing_options_default();
        timing_table table;
        timing_outcome outcome;
        gb_error error = {0};
        assert_int_equal(run(&m, &o, 3, 0, &table, &outcome, &error), cases[i].status);
        assert_string_equal(error.message, "as asked");
        assert_int_equal(outcome.blocks_done, 2);
        assert_int_equal(m.calls[m.n - 1].arm, cases[i].arm);
        timing_table_free(&table);
    }
}

static void test_it_stops_when_it_is_precise(void **state)
{
    (void)state;
    mock m = {.fails_arm = -1, .precise_at = 9, .settled_ms = 50};
    timing_options o = timing_options_default();
    timing_table table;
    timing_outcome outcome;
    o.blocks = 6;
    o.max_blocks = 12;
    o.stop_precision = 0.01;
    assert_int_equal(run(&m, &o, 2, 0, &table, &outcome, NULL), GB_OK);
    assert_int_equal(outcome.blocks_done, 9);
    assert_true(outcome.precision_reached);
    assert_int_equal(count(&m, 'p', -1), 4); /* after 6, 7, 8, 9 */
    timing_table_free(&table);

    m = (mock){.fails_arm = -1, .precise_at = 99, .settled_ms = 50};
    assert_int_equal(run(&m, &o, 2, 0, &table, &outcome, NULL), GB_OK);
    assert_int_equal(outcome.blocks_done, 12);
    assert_false(outcome.precision_reached);
    timing_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_order_is_a_permutation),
        cmocka_unit_test(test_an_order_depends_on_seed_and_block_alone),
        cmocka_unit_test(test_all_orders_are_equally_likely),
        cmocka_unit_test(test_the_size_of_a_burst),
        cmocka_unit_test(test_every_block_visits_every_arm_once),
        cmocka_unit_test(test_processes_are_fresh_after_some_blocks),
        cmocka_unit_test(test_an_arm_that_fails_is_left_out),
        cmocka_unit_test(test_what_ends_a_session),
        cmocka_unit_test(test_it_stops_when_it_is_precise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
