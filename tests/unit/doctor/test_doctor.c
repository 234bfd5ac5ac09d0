/* What the doctor says of profiling, from a tree of files that look like /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bench/doctor/doctor.h"
#include "kernels/nvtx.h"

static char root[64];

static int root_make(void **state)
{
    static const char *const directories[] = {"/proc", "/proc/self", "/proc/driver",
                                              "/proc/driver/nvidia"};
    (void)state;
    strcpy(root, "/tmp/gptbench-doctor-XXXXXX");
    if (!mkdtemp(root)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s%s", root, directories[i]);
        mkdir(path, 0777);
    }
    return 0;
}

static int root_remove(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* What is said of `name`; NULL: nothing. */
static const doctor_finding *find(doctor_report *report, const char *name)
{
    report->count = 0;
    doctor_check_profiling(report, root);
    for (int i = 0; i < report->count; i++) {
        if (strcmp(report->findings[i].name, name) == 0) {
            return &report->findings[i];
        }
    }
    return NULL;
}

/* A capability mask of /proc/self/status as capabilities(7) has it: bit 21 is CAP_SYS_ADMIN. */
static const char ordinary[] =
    "Name:\tgptbench\nCapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\n";
static const char administrator[] = "Name:\tgptbench\nCapEff:\t00000000a82425fb\n";
static const char restricted[] = "ResmanDebugLevel: 4294967295\nRmProfilingAdminOnly: 1\n";

static void without_a_driver_there_is_nothing_to_say(void **state)
{
    static doctor_report report;
    (void)state;
    put("/proc/self/status", ordinary);
    assert_null(find(&report, "gpu_profiling"));
    put("/proc/driver/nvidia/params", "ResmanDebugLevel: 4294967295\n"); /* an old driver */
    assert_null(find(&report, "gpu_profiling"));
}

static void a_user_who_may_not_gets_the_remedy(void **state)
{
    static doctor_report report;
    (void)state;
    put("/proc/self/status", ordinary);
    put("/proc/driver/nvidia/params", restricted);
    const doctor_finding *f = find(&report, "gpu_profiling");
    assert_non_null(f);
    assert_int_equal(f->level, DOCTOR_WARN);
    assert_false(f->needed);
    assert_non_null(strstr(f->value, "no CAP_SYS_ADMIN"));
    assert_non_null(strstr(f->advice, "run as root"));
    assert_non_null(strstr(f->advice, "`options nvidia NVreg_RestrictProfilingToAdminUsers=0` into "
                                      "/etc/modprobe.d/nvidia.conf and reload the driver"));
}

static void the_others_may(void **state)
{
    static doctor_report report;
    (void)state;
    put("/proc/driver/nvidia/params", restricted);
    put("/proc/self/status", administrator);
    const doctor_finding *f = find(&report, "gpu_profiling");
    assert_non_null(f);
    assert_int_equal(f->level, DOCTOR_OK);
    assert_non_null(strstr(f->value, "(CAP_SYS_ADMIN)"));
    assert_string_equal(f->advice, "");
    put("/proc/self/status", ordinary);
    put("/proc/driver/nvidia/params", "RmProfilingAdminOnly: 0\n");
    f = find(&report, "gpu_profiling");
    assert_non_null(f);
    assert_int_equal(f->level, DOCTOR_OK);
    assert_string_equal(f->value, "open to every user");
}

static void nvtx_is_in_or_not(void **state)
{
    static doctor_report report;
    (void)state;
    const doctor_finding *f = find(&report, "nvtx");
    assert_non_null(f);
    assert_int_equal(f->level, DOCTOR_OK);
    assert_int_equal(strncmp(f->value, "not built in", 12) != 0, gb_nvtx_built_in());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, root_make, root_remove)
        T(without_a_driver_there_is_nothing_to_say),
        T(a_user_who_may_not_gets_the_remedy),
        T(the_others_may),
        T(nvtx_is_in_or_not),
#undef T
    };
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
