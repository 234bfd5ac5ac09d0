/* How many threads the CPU backend takes, and whether it may have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cpu/cpu_threads.h"
#include "kernels/limits_check.h"

/* What OpenMP 5.0, section 6.2, says of OMP_NUM_THREADS: a list of positive integers, the first for
 * the outermost team. */
static void test_omp_num_threads(void **state)
{
    static const struct {
        const char *text;
        int threads; /* 0: refused */
    } rows[] = {{"3", 3},       {"4,2", 4},
                {" 5 , 1 ", 5}, {"4096", 4096},
                {"0", 0},       {"-1", 0},
                {"4x", 0},      {"4,", 0},
                {",4", 0},      {"4,,2", 0},
                {"abc", 0},     {"4097", 0},
                {"1.5", 0},     {"99999999999999999999", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int threads = -1;
        gb_error err = {.message = ""};
        setenv("OMP_NUM_THREADS", rows[i].text, 1);
        gb_status status = cpu_threads_choose(0, &threads, &err);
        if (rows[i].threads > 0) {
            assert_int_equal(status, GB_OK);
            assert_int_equal(threads, rows[i].threads);
        } else {
            assert_int_equal(status, GB_ERR_USAGE);
            assert_non_null(strstr(err.message, "OMP_NUM_THREADS = "));
        }
        /* What is asked for by name does not look at it. */
        assert_int_equal(cpu_threads_choose(2, &threads, &err), GB_OK);
        assert_int_equal(threads, 2);
    }
    int threads = 0;
    setenv("OMP_NUM_THREADS", "", 1);
    assert_int_equal(cpu_threads_choose(0, &threads, NULL), GB_OK);
    assert_int_equal(threads, cpu_count_usable());
    unsetenv("OMP_NUM_THREADS");
    assert_int_equal(cpu_threads_choose(0, &threads, NULL), GB_OK);
    assert_int_equal(threads, cpu_count_usable());
}

static void file_write(const char *root, const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(whole, 0777);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The kernel's documents: cgroup-v2.rst, "cpu.max" holds "$MAX $PERIOD" in microseconds;
 * sched-bwc.rst, cpu.cfs_quota_us -1 is no limit; a limit binds all groups below. */
static void test_quota(void **state)
{
    (void)state;
    char root[] = "/tmp/test_cpu_threads_XXXXXX";
    assert_non_null(mkdtemp(root));
    assert_true(cpu_quota_read(root) == 0);
    file_write(root, "/proc/self/cgroup", "0::/a/b\n");
    assert_true(cpu_quota_read(root) == 0);
    file_write(root, "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_true(cpu_quota_read(root) == 0);
    file_write(root, "/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    assert_true(cpu_quota_read(root) == 1.5);
    file_write(root, "/sys/fs/cgroup/a/b/cpu.max", "50000 200000\n");
    assert_true(cpu_quota_read(root) == 0.25);
    file_write(root, "/proc/self/cgroup", "7:memory:/m\n4:cpuacct,cpu:/c\n3:cpuset:/\n");
    assert_true(cpu_quota_read(root) == 0);
    file_write(root, "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "-1\n");
    file_write(root, "/sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    assert_true(cpu_quota_read(root) == 0);
    file_write(root, "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "300000\n");
    assert_true(cpu_quota_read(root) == 3);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void test_note(void **state)
{
    (void)state;
    char note[160];
    cpu_threads_note(1, note, sizeof note);
    assert_string_equal(note, "");
    cpu_threads_note(CPU_THREADS_MAX, note, sizeof note); /* no machine of ours has as many CPUs */
    assert_non_null(strstr(note, "4096 threads "));
}

static void test_start(void **state)
{
    (void)state;
    gb_error err = {.message = ""};
    assert_int_equal(cpu_threads_start(2, &err), GB_OK);
    assert_int_equal(gb_limits_threads_check(3, &err), GB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_omp_num_threads),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_note),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests_name("cpu_threads", tests, NULL, NULL);
}
