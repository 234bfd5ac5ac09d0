/* The sensors, against a stand-in for NVML that comes through the real loader (fake_nvml.c) and
 * against trees of files that look like /proc and /sys. Expected numbers stand in the files that
 * the tests write, or are worked out beside the check. */
#include <dlfcn.h>
#include <math.h>
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

#include "kernels/sensors/sensors.h"

static void near(double actual, double expected, int line)
{
    if (!(fabs(actual - expected) <= 1e-9 * fabs(expected))) {
        fail_msg("line %d: %.17g is not %.17g", line, actual, expected);
    }
}
#define assert_near(actual, expected) near((actual), (expected), __LINE__)

/* ---- a tree of files ---- */

static char root[64];

static int root_make(void **state)
{
    (void)state;
    strcpy(root, "/tmp/gptbench-sensors-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int root_remove(void **state)
{
    (void)state;
    char command[128];
    unsetenv("FAKE_NVML");
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s%s", root, name);
}

static void put(const char *name, const char *text)
{
    char path[512];
    path_of(path, sizeof path, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0777);
        *p = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void take_away(const char *name)
{
    char path[512];
    path_of(path, sizeof path, name);
    assert_int_equal(unlink(path), 0);
}

/* Sensors of this tree that use CPUs 0 to n - 1. */
static gb_sensors *open_tree(int n)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (int i = 0; i < n; i++) {
        CPU_SET((size_t)i, &cpus);
    }
    gb_sensors_options options = {.root = root, .cpus = &cpus};
    gb_sensors *sensors = gb_sensors_open(&options);
    assert_non_null(sensors);
    return sensors;
}

static gb_sample look(gb_sensors *sensors)
{
    gb_sample sample;
    gb_sensors_read(sensors, &sample);
    return sample;
}

static const char *reason_of(gb_sensors *sensors, const char *name)
{
    static gb_sensor_state states[GB_SENSORS_MAX];
    int n = gb_sensors_states(sensors, states);
    assert_true(n <= GB_SENSORS_MAX);
    for (int i = 0; i < n; i++) {
        if (strcmp(states[i].name, name) == 0) {
            assert_int_equal(states[i].readable, states[i].reason[0] == '\0');
            return states[i].reason;
        }
    }
    fail_msg("no sensor %s", name);
    return NULL;
}

static void assert_reason(gb_sensors *sensors, const char *name, const char *words)
{
    const char *reason = reason_of(sensors, name);
    if (*words ? !strstr(reason, words) : *reason != '\0') {
        fail_msg("%s: %s", name, reason);
    }
}

/* ---- CPU: busy, steal, load ---- */

#define OTHERS "intr 5 4 3\nctxt 17\nbtime 1700000000\n"

static void test_busy_and_steal(void **state)
{
    (void)state;
    /*                 user nice system idle iowait irq softirq steal guest guest_nice */
    put("/proc/stat", "cpu  400 0 200 1600 0 0 0 100 50 0\n"
                      "cpu0 100 0 50 800 0 0 0 50 50 0\n"
                      "cpu1 300 0 150 800 0 0 0 50 0 0\n" OTHERS);
    put("/proc/loadavg", "1.25 0.90 0.70 2/345 6789\n");
    gb_sensors *sensors = open_tree(2);
    gb_sample first = look(sensors);
    assert_true(isnan(first.cpu_busy) && isnan(first.cpu_steal)); /* since when? */
    assert_near(first.cpu_load, 1.25);
    /* cpu0: 20 user, 4 system, 1 irq, 5 idle; cpu1: 10 user, 5 softirq, 3 idle, 2 iowait, 10
     * stolen. Of 60 ticks 24 + 1 + 15 = 40 were busy and 10 stolen. */
    put("/proc/stat", "cpu  430 0 204 1608 2 1 5 110 70 0\n"
                      "cpu0 120 0 54 805 0 1 0 50 70 0\n"
                      "cpu1 310 0 150 803 2 0 5 60 0 0\n" OTHERS);
    gb_sample second = look(sensors);
    assert_near(second.cpu_busy, 40.0 / 60);
    assert_near(second.cpu_steal, 10.0 / 60);
    /* Nothing passed: nothing is known. */
    gb_sample third = look(sensors);
    assert_true(isnan(third.cpu_busy) && isnan(third.cpu_steal));
    assert_reason(sensors, "cpu_steal", "");
    assert_reason(sensors, "cpu_load", "");
    gb_sensors_close(sensors);
}

static void test_only_usable_cpus_count(void **state)
{
    (void)state;
    put("/proc/stat", "cpu0 0 0 0 100 0 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\n" OTHERS);
    gb_sensors *sensors = open_tree(1);
    look(sensors);
    /* CPU 1, all stolen, is not ours. CPU 0 was busy for 1 tick of 4. */
    put("/proc/stat", "cpu0 1 0 0 103 0 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 99 0 0\n" OTHERS);
    gb_sample sample = look(sensors);
    assert_near(sample.cpu_busy, 0.25);
    assert_true(sample.cpu_steal == 0);
    gb_sensors_close(sensors);
}

/* A CPU goes, and comes back with counters that begin at nothing: only the other one counts. */
static void test_unplugged_cpu(void **state)
{
    (void)state;
    put("/proc/stat", "cpu0 100 0 0 0 0 0 0 0 0 0\ncpu1 500 0 0 0 0 0 0 40 0 0\n" OTHERS);
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "3000000\n");
    put("/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2000000\n");
    gb_sensors *sensors = open_tree(2);
    assert_near(look(sensors).cpu_clock_mhz, 2500); /* how busy they were is not known yet */
    put("/proc/stat", "cpu0 110 0 0 10 0 0 0 0 0 0\n" OTHERS);
    take_away("/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq");
    gb_sample gone = look(sensors);
    assert_near(gone.cpu_busy, 0.5);
    assert_near(gone.cpu_clock_mhz, 3000);
    put("/proc/stat", "cpu0 130 0 0 10 0 0 0 0 0 0\ncpu1 7 0 0 0 0 0 0 3 0 0\n" OTHERS);
    put("/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2000000\n");
    gb_sample back = look(sensors);
    assert_near(back.cpu_busy, 1);
    assert_true(back.cpu_steal == 0);
    assert_near(back.cpu_clock_mhz, 3000);
    put("/proc/stat", "cpu0 140 0 0 10 0 0 0 0 0 0\ncpu1 37 0 0 0 0 0 0 3 0 0\n" OTHERS);
    /* 10 ticks at 3 GHz, 30 at 2. */
    assert_near(look(sensors).cpu_clock_mhz, (10 * 3000 + 30 * 2000) / 40.0);
    /* Counters that go back without the CPU having been away are not believed either. */
    put("/proc/stat", "cpu0 150 0 0 20 0 0 0 0 0 0\ncpu1 5 0 0 900 0 0 0 3 0 0\n" OTHERS);
    assert_near(look(sensors).cpu_busy, 0.5);
    gb_sensors_close(sensors);
}

static void test_nothing_there(void **state)
{
    (void)state;
    gb_sensors *sensors = open_tree(2);
    gb_sample sample = look(sensors);
    assert_true(isfinite(sample.monotonic_s));
    assert_true(isnan(sample.cpu_clock_mhz) && isnan(sample.cpu_load) && isnan(sample.cpu_busy) &&
                isnan(sample.cpu_steal) && isnan(sample.cpu_energy_j));
    assert_true(isnan(sample.gpu_clock_mhz) && sample.gpu_throttle == -1);
    assert_reason(sensors, "cpu_clock", "no cpufreq");
    assert_reason(sensors, "cpu_load", "No such file");
    assert_reason(sensors, "cpu_steal", "No such file");
    assert_reason(sensors, "cpu_energy", "no RAPL package");
    gb_sensors_close(sensors);
}

static void test_nonsense_is_not_read(void **state)
{
    (void)state;
    put("/proc/stat", "cpu0 a b c\nnonsense\n");
    put("/proc/loadavg", "much\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "<unknown>\n");
    put("/sys/class/powercap/intel-rapl:0/name", "package-0\n");
    put("/sys/class/powercap/intel-rapl:0/energy_uj", "-5\n");
    gb_sensors *sensors = open_tree(1);
    gb_sample sample = look(sensors);
    assert_true(isnan(sample.cpu_clock_mhz) && isnan(sample.cpu_load) && isnan(sample.cpu_busy) &&
                isnan(sample.cpu_energy_j));
    assert_reason(sensors, "cpu_steal", "no line for the CPUs");
    assert_reason(sensors, "cpu_load", "does not start with a number");
    assert_reason(sensors, "cpu_energy", "energy_uj: Invalid argument");
    gb_sensors_close(sensors);
}

/* ---- CPU: energy ---- */

static void rapl(int zone, const char *name, const char *energy_uj, const char *range_uj)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/name", zone);
    put(path, name);
    snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/energy_uj", zone);
    put(path, energy_uj);
    if (range_uj) {
        snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/max_energy_range_uj", zone);
        put(path, range_uj);
    }
}

static void test_energy_wraps(void **state)
{
    (void)state;
    rapl(0, "package-0\n", "262143000000\n", "262143328850\n");
    rapl(1, "package-1\n", "1000000\n", "262143328850\n");
    rapl(2, "psys\n", "5000000\n", "262143328850\n"); /* more than the CPU: not counted */
    gb_sensors *sensors = open_tree(1);
    assert_true(look(sensors).cpu_energy_j == 0); /* counted from here */
    rapl(0, "package-0\n", "262143300000\n", NULL);
    rapl(1, "package-1\n", "3000000\n", NULL);
    assert_near(look(sensors).cpu_energy_j, 0.3 + 2);
    /* Package 0 passes its range: 28850 microjoules up to it, 671150 after it. */
    rapl(0, "package-0\n", "671150\n", NULL);
    assert_near(look(sensors).cpu_energy_j, 2.3 + 0.7);
    /* A package that cannot be read leaves no sum, for good: what it missed stays unknown. */
    take_away("/sys/class/powercap/intel-rapl:1/energy_uj");
    assert_true(isnan(look(sensors).cpu_energy_j));
    assert_reason(sensors, "cpu_energy", "intel-rapl:1/energy_uj: No such file");
    rapl(1, "package-1\n", "4000000\n", NULL);
    assert_true(isnan(look(sensors).cpu_energy_j));
    gb_sensors_close(sensors);
}

static void test_energy_without_range(void **state)
{
    (void)state;
    rapl(0, "package-0\n", "900\n", NULL);
    gb_sensors *sensors = open_tree(1);
    look(sensors);
    rapl(0, "package-0\n", "100\n", NULL);
    assert_true(isnan(look(sensors).cpu_energy_j));
    assert_reason(sensors, "cpu_energy", "range is not known");
    gb_sensors_close(sensors);
}

/* The usual state of a Linux machine: the counter is there, for root alone. */
static void test_energy_without_permission(void **state)
{
    (void)state;
    char path[256];
    rapl(0, "package-0\n", "900\n", "262143328850\n");
    path_of(path, sizeof path, "/sys/class/powercap/intel-rapl:0/energy_uj");
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(root, 0755), 0);
    bool is_root = geteuid() == 0; /* who may read everything */
    if (is_root) {
        assert_int_equal(seteuid(65534), 0);
    }
    gb_sensors *sensors = open_tree(1);
    double energy_j = look(sensors).cpu_energy_j;
    char reason[256];
    snprintf(reason, sizeof reason, "%s", reason_of(sensors, "cpu_energy"));
    gb_sensors_close(sensors);
    if (is_root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_true(isnan(energy_j));
    assert_string_equal(reason, "/sys/class/powercap/intel-rapl:0/energy_uj: Permission denied");
}

/* ---- GPU ---- */

static char here[512]; /* where this program lies, and the stand-ins with it */

/* A stand-in by its name, anything else as dlopen takes it. */
static gb_sensors *open_gpu(const char *library, const char *bus_id)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", here, library);
    gb_sensors_options options = {.root = root,
                                  .nvml_library = access(path, F_OK) == 0 ? path : library,
                                  .gpu_bus_id = bus_id};
    gb_sensors *sensors = gb_sensors_open(&options);
    assert_non_null(sensors);
    return sensors;
}

static void test_gpu_values(void **state)
{
    (void)state;
    /* Held open here, so that its counter of users can be looked at afterwards. */
    char path[600];
    snprintf(path, sizeof path, "%s/fake_nvml.so", here);
    void *library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    const int *users = dlsym(library, "fake_nvml_users");
    assert_non_null(users);
    setenv("FAKE_NVML", "power=412345 temperature=73 reasons=0x24 memory=123456789 energy=98765432",
           1);
    /* The second GPU of NVML's own order, in CUDA's spelling: its clock is 1410 MHz. */
    gb_sensors *sensors = open_gpu("fake_nvml.so", "0000:02:00.0");
    assert_int_equal(*users, 1);
    gb_sample sample = look(sensors);
    assert_near(sample.gpu_clock_mhz, 1410);
    assert_near(sample.gpu_memory_clock_mhz, 2619);
    assert_near(sample.gpu_power_w, 412.345);
    assert_near(sample.gpu_temperature_c, 73);
    assert_int_equal(sample.gpu_throttle, GB_THROTTLE_SW_POWER_CAP | GB_THROTTLE_SW_THERMAL);
    assert_near(sample.gpu_memory_bytes, 123456789);
    assert_near(sample.gpu_energy_j, 98765.432);
    assert_reason(sensors, "gpu_clock", "");
    gb_sensors_close(sensors);
    assert_int_equal(*users, 0);
    sensors = open_gpu("fake_nvml.so", "0000:01:00.0");
    assert_near(look(sensors).gpu_clock_mhz, 1980);
    gb_sensors_close(sensors);
    assert_int_equal(*users, 0);
    dlclose(library);
}

static void test_gpu_errors_are_single(void **state)
{
    (void)state;
    setenv("FAKE_NVML", "power_error=3 reasons_error=4 energy_error=3 memory_clock_error=999", 1);
    gb_sensors *sensors = open_gpu("fake_nvml.so", "0000:01:00.0");
    gb_sample sample = look(sensors);
    assert_true(isnan(sample.gpu_power_w) && isnan(sample.gpu_energy_j) &&
                isnan(sample.gpu_memory_clock_mhz));
    assert_int_equal(sample.gpu_throttle, -1);
    assert_near(sample.gpu_clock_mhz, 1980);
    assert_near(sample.gpu_temperature_c, 61);
    assert_reason(sensors, "gpu_power", "Not Supported");
    assert_reason(sensors, "gpu_throttle", "Insufficient Permissions");
    assert_reason(sensors, "gpu_memory_clock", "Unknown Error");
    assert_reason(sensors, "gpu_temperature", "");
    gb_sensors_close(sensors);
}

static void test_gpu_old_library(void **state)
{
    (void)state;
    setenv("FAKE_NVML", "reasons=0x40", 1);
    gb_sensors *sensors = open_gpu("fake_nvml_old.so", "0000:01:00.0");
    gb_sample sample = look(sensors);
    assert_near(sample.gpu_power_w, 250.5);
    assert_int_equal(sample.gpu_throttle, GB_THROTTLE_HW_THERMAL);
    assert_true(isnan(sample.gpu_energy_j));
    assert_reason(sensors, "gpu_energy", "does not have it");
    gb_sensors_close(sensors);
}

static void test_gpu_absent(void **state)
{
    (void)state;
    static const struct {
        const char *library, *bus_id, *setting, *words;
    } cases[] = {
        {"/nonexistent/libnvidia-ml.so.1", "0000:01:00.0", "", "cannot be loaded"},
        {"fake_nvml.so", "0000:01:00.0", "init_error=9", "does not start: Driver Not Loaded"},
        {"fake_nvml.so", "0000:77:00.0", "", "does not know the GPU at 0000:77:00.0: Not Found"},
        /* A library that is no NVML at all: every program has this one. */
        {"libm.so.6", "0000:01:00.0", "", "lacks functions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("FAKE_NVML", cases[i].setting, 1);
        gb_sensors *sensors = open_gpu(cases[i].library, cases[i].bus_id);
        gb_sample sample = look(sensors);
        assert_true(isnan(sample.gpu_clock_mhz) && isnan(sample.gpu_power_w));
        assert_int_equal(sample.gpu_throttle, -1);
        assert_reason(sensors, "gpu_clock", cases[i].words);
        assert_reason(sensors, "gpu_energy", cases[i].words);
        gb_sensors_close(sensors);
    }
}

/* ---- names, environment ---- */

static void test_throttle_names(void **state)
{
    (void)state;
    char text[128];
    gb_throttle_names(0, text, sizeof text);
    assert_string_equal(text, "");
    gb_throttle_names(GB_THROTTLE_IDLE | GB_THROTTLE_HW_POWER_BRAKE, text, sizeof text);
    assert_string_equal(text, "idle,hw_power_brake");
    gb_throttle_names(0x1008, text, sizeof text);
    assert_string_equal(text, "hw_slowdown,0x1000");
    char tiny[6];
    gb_throttle_names(0xffff, tiny, sizeof tiny);
    assert_string_equal(tiny, "idle,");
}

static void test_environment(void **state)
{
    (void)state;
    unsetenv("GPTBENCH_NVML_LIBRARY");
    unsetenv("GPTBENCH_SENSORS_ROOT");
    gb_sensors_options options = gb_sensors_options_default();
    assert_string_equal(options.nvml_library, "libnvidia-ml.so.1");
    assert_string_equal(options.root, "");
    assert_null(options.gpu_bus_id);
    setenv("GPTBENCH_NVML_LIBRARY", "other.so", 1);
    setenv("GPTBENCH_SENSORS_ROOT", "/there", 1);
    options = gb_sensors_options_default();
    assert_string_equal(options.nvml_library, "other.so");
    assert_string_equal(options.root, "/there");
    unsetenv("GPTBENCH_NVML_LIBRARY");
    unsetenv("GPTBENCH_SENSORS_ROOT");
}

int main(void)
{
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    char *slash = n > 0 ? strrchr(here, '/') : NULL;
    if (!slash) {
        return 1;
    }
    *slash = '\0';
#define TREE(test) cmocka_unit_test_setup_teardown(test, root_make, root_remove)
    const struct CMUnitTest tests[] = {
        TREE(test_busy_and_steal),
        TREE(test_only_usable_cpus_count),
        TREE(test_unplugged_cpu),
        TREE(test_nothing_there),
        TREE(test_nonsense_is_not_read),
        TREE(test_energy_wraps),
        TREE(test_energy_without_range),
        TREE(test_energy_without_permission),
        TREE(test_gpu_values),
        TREE(test_gpu_errors_are_single),
        TREE(test_gpu_old_library),
        TREE(test_gpu_absent),
        cmocka_unit_test(test_throttle_names),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests_name("sensors", tests, NULL, NULL);
}
