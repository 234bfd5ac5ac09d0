/* What became of a kernel's trial, from process to process: found again, replaced by who began it
 * alone. The form of the file is held by test_gemm_cache.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cuda/kernel_verdict.h"

static char directory[64];

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/gptbench-verdict-XXXXXX");
    return mkdtemp(directory) && setenv("GPTBENCH_CACHE_DIR", directory, 1) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/kernels-a_GPU.txt", directory);
    unlink(path);
    return rmdir(directory);
}

static bool same(const kernel_verdict *a, const kernel_verdict *b)
{
    return a->kind == b->kind && a->at_s == b->at_s && a->error == b->error;
}

static void a_verdict_is_found_by_later_processes(void **state)
{
    const kernel_verdict none = {KERNEL_UNTRIED, 0, 0}, begun = {KERNEL_BEGUN, 1764567890, 4194303},
                         agreed = {KERNEL_AGREED, 1764567891, 0.25};
    (void)state;
    kernel_verdicts *first = kernel_verdicts_open("a GPU");
    kernel_verdict found = kernel_verdicts_find(first, "driver 1: forward");
    assert_true(same(&found, &none));
    assert_true(kernel_verdicts_replace(first, "driver 1: forward", &none, &begun));
    found = kernel_verdicts_find(first, "driver 1: forward");
    assert_true(same(&found, &begun));
    assert_true(kernel_verdicts_replace(first, "driver 1: forward", &begun, &agreed));
    kernel_verdicts_close(first);
    kernel_verdicts *later = kernel_verdicts_open("a GPU");
    found = kernel_verdicts_find(later, "driver 1: forward");
    assert_true(same(&found, &agreed));
    found = kernel_verdicts_find(later, "driver 2: forward");
    assert_true(same(&found, &none)); /* another driver, another trial */
    kernel_verdicts_close(later);
}

/* Two processes meet an untried kernel: one begins, and the other, which thought so too, does not.
 */
static void one_process_tries(void **state)
{
    const kernel_verdict none = {KERNEL_UNTRIED, 0, 0}, mine = {KERNEL_BEGUN, 1764567890, 11},
                         theirs = {KERNEL_BEGUN, 1764567890, 12},
                         differed = {KERNEL_DIFFERED, 1764567892, 7.5};
    (void)state;
    kernel_verdicts *v = kernel_verdicts_open("a GPU");
    assert_true(kernel_verdicts_replace(v, "k", &none, &mine));
    assert_false(kernel_verdicts_replace(v, "k", &none, &theirs));
    assert_false(kernel_verdicts_replace(v, "k", &theirs, &differed));
    kernel_verdict found = kernel_verdicts_find(v, "k");
    assert_true(same(&found, &mine));
    assert_true(kernel_verdicts_replace(v, "k", &mine, &differed));
    found = kernel_verdicts_find(v, "k");
    assert_true(same(&found, &differed));
    kernel_verdicts_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_verdict_is_found_by_later_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_tries, setup, teardown),
    };
    return cmocka_run_group_tests_name("kernel verdict", tests, NULL, NULL);
}
