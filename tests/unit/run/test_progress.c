/* The live display: which parts a narrow terminal gets, and what is said before anything is known.
 * Expected texts are written out by hand.
 *
 * kinds: plain sanitized */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/base/text_lines.h"
#include "bench/run/progress.h"
#include "bench/run/progress_line.h"

static void check_line(const progress_line *line, int width, const char *want)
{
    char text[PROGRESS_PART_BYTES];
    progress_line_write(line, width, text, sizeof text);
    assert_string_equal(text, want);
}

static void test_line_parts(void **state)
{
    (void)state;
    progress_line line = {.indent = 2};
    progress_line_add(&line, 0, "step %d/%d", 5, 20);
    progress_line_add_bar(&line, 2, 0.25);
    progress_line_add(&line, 1, "loss 5.1234");
    progress_line_add(&line, 9, "%s", ""); /* left out, and no gap for it */
    progress_line_add(&line, 3, "val 5.0000");
    /* 2 + 9 + 2 + 12 + 2 + 11 + 2 + 10 = 50, and what is left is the bar's */
    check_line(&line, 50, "  step 5/20  [##........]  loss 5.1234  val 5.0000");
    check_line(&line, 52, "  step 5/20  [###.........]  loss 5.1234  val 5.0000");
    check_line(&line, 49, "  step 5/20  [#####................]  loss 5.1234");
    check_line(&line, 37, "  step 5/20  loss 5.1234");
    check_line(&line, 23, "  step 5/20");
    check_line(&line, 10, "  step ..."); /* what has to stay is cut */
}

static void test_line_any_width(void **state)
{
    (void)state;
    progress_line line = {.n = 0};
    progress_line_add(&line, 0, "\xe6\xbc\xa2\xe5\xad\x97 %s", "a name of many words and letters");
    progress_line_add(&line, 1, "about 2 min left");
    progress_line_add_bar(&line, 2, 1.5);
    for (int width = 1; width < 200; width++) {
        char text[PROGRESS_PART_BYTES];
        progress_line_write(&line, width, text, sizeof text);
        assert_true(text_width(text) <= width);
    }
    char text[PROGRESS_PART_BYTES];
    progress_line_write(&line, 199, text, sizeof text);
    assert_non_null(strstr(text, "[##############################]")); /* 30, and full */
}

/* The screen after the last drawing: what follows the last clearing of a line. */
static char *drawn(void (*happen)(progress *p))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    progress *p = progress_create(out, true, false);
    assert_non_null(p);
    happen(p);
    fflush(out);
    char *copy = strdup(text);
    progress_free(p);
    fclose(out);
    free(text);
    assert_non_null(copy);
    return copy;
}

static const progress_run one_run = {.config = "cell",
                                     .replicate = 1,
                                     .attempt = 1,
                                     .num_iterations = 100,
                                     .tokens_per_step = 1000,
                                     .flops = 1e9};

static void steps(progress *p, int n)
{
    train_event event;
    memset(&event, 0, sizeof event);
    event.type = TRAIN_EVENT_STEP;
    for (int i = 0; i < n; i++) {
        event.u.step =
            (train_step){.step = i, .tag = TRAIN_STEP_TIMED, .train_loss = 5.25, .step_ms = 1000};
        progress_event(p, &event);
    }
}

static void begin(progress *p)
{
    progress_suite(p, 3, 3e9);
    progress_run_begin(p, &one_run);
    progress_tick(p);
}

static void begin_and_step(progress *p)
{
    progress_suite(p, 3, 3e9);
    progress_run_begin(p, &one_run);
    steps(p, 1); /* the first drawing: nothing of the time to come is known yet */
}

static void test_nothing_known(void **state)
{
    (void)state;
    char *text = drawn(begin);
    assert_non_null(strstr(text, "[1/3] cell  replicate 1\n  step 0/100  [......"));
    const char *const unknown[] = {"nan", "loss", "ETA", "left", " us", "tok/s", "step_avg"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_null(strstr(text, unknown[i]));
    }
    free(text);
    text = drawn(begin_and_step);
    assert_non_null(strstr(text, "loss 5.2500  1,000 tok/s"));
    assert_null(strstr(text, "left"));
    assert_null(strstr(text, "nan"));
    free(text);
}

static void task(progress *p)
{
    progress_note_plain(p, "for files");
    progress_task_begin(p, "timing %d configs in turn", 5);
    progress_note(p, "a note");
    progress_task_end(p);
    progress_tick(p); /* nothing is going on: nothing is drawn */
}

static void test_task(void **state)
{
    (void)state;
    char *text = drawn(task);
    assert_string_equal(text, "timing 5 configs in turn\r\033[Ka note\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_parts),
        cmocka_unit_test(test_line_any_width),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_task),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
