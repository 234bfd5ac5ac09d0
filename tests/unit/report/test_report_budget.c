/* The section "At equal budgets" and the front's shares, over a database whose curves are put there
 * by hand. Expected numbers are worked out below; t(0.975, 1) = 12.7062 (SciPy). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/analysis/load.h"
#include "bench/report/report.h"
#include "tests/fakes/fake_db.h"

#define MINUS "\xe2\x88\x92"
#define TIMES "\xc3\x97"

/* The baseline takes 1 s a step, the config 0.5 s. Losses after 0, 10 and 100 steps of replicates 0
 * and 1. */
static void hand_made(const char *path, int replicates)
{
    static const double losses[2][2][3] = {{{4, 3, 2}, {4, 3, 2}}, {{4, 2.8, 1.9}, {4, 2.6, 1.7}}};
    static const int steps[3] = {0, 10, 100};
    fake_db_make(&(fake_db){path, NULL, 2, replicates, 40, false, false, false, false});
    store *s = NULL;
    assert_int_equal(store_open(&s, path, STORE_WRITE, NULL), GB_OK);
    fake_exec(s, "DELETE FROM eval");
    for (int c = 0; c < 2; c++) {
        for (int r = 0; r < replicates; r++) {
            int run = 100 * (c + 1) + r;
            for (int k = 0; k < 3; k++) {
                fake_exec(s, "INSERT INTO eval VALUES (%d,%d,%.6f,20480,350.5,%.3f)", run, steps[k],
                          losses[c][r][k], 1.0);
            }
            fake_exec(s, "UPDATE step SET step_ms = %d WHERE run_id = %d", c ? 500 : 1000, run);
        }
    }
    store_close(s);
}

/* In turn a step of the baseline takes 2 s, of the config 1 s, whatever the runs took. */
static void time_in_turn(const char *path)
{
    store *s = NULL;
    fake_db_add_timing(&(fake_db){path, NULL, 2, 2, 40, false, false, false, false}, 12, false);
    assert_int_equal(store_open(&s, path, STORE_WRITE, NULL), GB_OK);
    fake_exec(s, "UPDATE burst_step SET step_ms = CASE arm WHEN 1 THEN 1000 ELSE 2000 END");
    fake_exec(s, "UPDATE burst SET mean_ms = CASE arm WHEN 1 THEN 1000 ELSE 2000 END");
    store_close(s);
}

static char *section(int replicates, bool timed, findings **data)
{
    char path[64], *html = NULL, *text = NULL;
    size_t html_size = 0, size = 0;
    gb_error err = {0};
    fake_db_name(path);
    hand_made(path, replicates);
    if (timed) {
        time_in_turn(path);
    }
    if (findings_read(data, path, NULL, &err) != GB_OK) {
        fail_msg("%s", err.message);
    }
    document doc = {.markdown = open_memstream(&text, &size),
                    .html = open_memstream(&html, &html_size),
                    .dir = "/tmp"};
    assert_int_equal(report_write_budgets(&doc, *data, &err), GB_OK);
    fclose(doc.markdown);
    fclose(doc.html);
    free(html);
    fake_db_remove(path);
    return text;
}

static void check_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
}

static void test_pairs(void **state)
{
    (void)state;
    findings *data;
    char *text = section(2, false, &data);
    check_has(text, "## At equal budgets");
    /* -0.1 and -0.3: mean -0.2, half width 12.7062 * 0.1 */
    check_has(text, MINUS "0.2000 (" MINUS "1.4706 to +1.0706) |");
    /* 50 s: 1.9 and 1.7 against 3 - log10(5) = 2.30103: -0.40103 and -0.60103 */
    check_has(text, "50.0 s | " MINUS "0.5010 (" MINUS "1.7717 to +0.7696) |");
    check_has(text, "After 50.0 s of training `d12_mlp3x` is at 1.8000, `d12` at 2.3010 nats/token "
                    "(the interval holds 0: the direction is open).");
    /* to 2.0: 10^(1 + 8/9) and 10^(1 + 6/9) = 77.43 and 46.42 steps, at 0.5 s: 30.96 s; the ratio
     * of steps 10^(-2/9) = 0.599, its interval 10^(-2/9 -+ 12.7062 / 9) */
    check_has(text, "takes it 31.0 s of training, and the baseline 1 min 40 s.");
    check_has(text, "| 0.599" TIMES " (0.023" TIMES " to 15.473" TIMES ") |");
    assert_true(data->entries[1].on_front && data->entries[1].front_probability == 1);
    /* slower by half, and lower in loss only when the mean of -0.1 and -0.3 is above 0: t with one
     * degree of freedom at 2, 1/2 - atan(2)/pi = 0.1476; speeds are known without noise */
    assert_true(fabs(data->entries[0].front_probability - 0.1476) < 0.011);
    free(text);
    findings_free(data);
}

/* Seconds per step twice those of the runs: budgets in seconds double, their ratios stay. */
static void test_interleaved_seconds(void **state)
{
    (void)state;
    findings *data;
    char *text = section(2, true, &data);
    check_has(text, "1 min 40 s | " MINUS "0.5010 (" MINUS "1.7717 to +0.7696) |");
    check_has(text, "takes it 61.9 s of training, and the baseline 3 min 20 s.");
    check_has(text, "| 0.599" TIMES " (0.023" TIMES " to 15.473" TIMES ") |");
    check_has(text, "from interleaved timing where both configs have it");
    /* 2048 tokens in 1 s. */
    assert_true(fabs(data->entries[1].pace.tokens_per_s.value - 2048) < 1e-9);
    free(text);
    findings_free(data);
}

static void test_one_seed(void **state)
{
    (void)state;
    findings *data;
    char *text = section(1, false, &data);
    check_has(text, " " MINUS "0.1000 |");
    check_has(text, "one pair of replicates: no interval, so the sign may be chance");
    free(text);
    findings_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs),
                                       cmocka_unit_test(test_interleaved_seconds),
                                       cmocka_unit_test(test_one_seed)};
    return cmocka_run_group_tests_name("report_budget", tests, NULL, NULL);
}
