#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/settings.h"
#include "bench/doctor/doctor.h"
#include "bench/run/progress.h"
#include "kernels/sensors/sensors.h"
#include "version.h"

/* Names of needed things that are missing, "a, b"; empty when the main job can run. */
static void missing_names(const doctor_report *report, char *out, size_t size)
{
    out[0] = '\0';
    for (int i = 0; i < report->count; i++) {
        const doctor_finding *f = &report->findings[i];
        if (f->level == DOCTOR_MISSING && f->needed) {
            size_t used = strlen(out);
            snprintf(out + used, size - used, "%s%s", used ? ", " : "", f->name);
        }
    }
}

static void print_text(const doctor_report *report, bool ready)
{
    int warnings = 0;
    for (int i = 0; i < report->count; i++) {
        const doctor_finding *f = &report->findings[i];
        terminal_say(stdout, 28, "%-8s %-18s %s\n", doctor_level_name(f->level), f->name, f->value);
        if (f->advice[0]) {
            terminal_say(stdout, 31, "%-8s %-18s -> %s\n", "", "", f->advice);
        }
        warnings += f->level == DOCTOR_WARN;
    }
    if (ready) {
        terminal_say(stdout, 0, "\nready: suites can be run and reported here (%d warning%s)\n",
                     warnings, warnings == 1 ? "" : "s");
    }
}

static gb_status print_json(const doctor_report *report, bool ready, gb_error *err)
{
    json_t *checks = json_array();
    for (int i = 0; i < report->count; i++) {
        const doctor_finding *f = &report->findings[i];
        json_t *check = json_pack("{s:s, s:s, s:b, s:s, s:s}", "name", f->name, "status",
                                  doctor_level_name(f->level), "needed", (int)f->needed, "value",
                                  f->value, "advice", f->advice);
        if (check && f->unit && isfinite(f->number)) {
            json_object_set_new(check, "number", json_real(f->number));
            json_object_set_new(check, "unit", json_string(f->unit));
        }
        json_array_append_new(checks, check);
    }
    json_t *root = json_pack("{s:s, s:s, s:b, s:o}", "version", GPTBENCH_VERSION, "commit",
                             GPTBENCH_COMMIT, "ready", (int)ready, "checks", checks);
    if (!root || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0) {
        json_decref(root);
        return gb_fail(err, GB_ERR_OOM, "doctor: the JSON text could not be made");
    }
    putchar('\n');
    json_decref(root);
    return GB_OK;
}

gb_status cmd_doctor(int argc, char **argv, gb_error *err)
{
    bool json = false, quick = false, help_shown = false;
    int64_t device = -1;
    const char *results_dir = "results";
    const cli_option options[] = {
        {.name = "--json", .type = CLI_FLAG, .target = &json, .help = "print JSON"},
        {.name = "--quick",
         .type = CLI_FLAG,
         .target = &quick,
         .help = "do not measure the GEMM rate (saves some seconds)"},
        {.name = "--device",
         .type = CLI_INT,
         .target = &device,
         .value_name = "N",
         .help = "which of the visible GPUs to open and measure (default: the first)",
         .min = 0,
         .max = 1023},
        {.name = "--results",
         .type = CLI_TEXT,
         .target = &results_dir,
         .value_name = "DIR",
         .help = "where databases and reports would go (default: results)"},
        {.name = NULL},
    };
    const cli_command command = {
        .usage = "gptbench doctor [options]",
        .summary = "Says what this machine offers for a comparison: processor, code path, memory, "
                   "noise, libraries, measured GEMM rate, gnuplot, GPU. Each line is ok, warn or "
                   "missing, and says what to do. Exit code 3 when a suite could not be run here.",
        .options = options,
        .examples = "gptbench doctor\n"
                    "gptbench doctor --json | jq '.checks[] | select(.status != \"ok\")'"};
    GB_TRY(cli_parse(&command, argc, argv, NULL, NULL, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    if (device >= 0) {
        const gb_backend *chosen;
        GB_TRY(settings_backend(&chosen, "auto", GB_FP32, device, err));
    }
    doctor_report report = {.count = 0};
    doctor_check_host(&report);
    progress *display = progress_create_for(stderr);
    progress_task_begin(display, "%s",
                        quick ? "asking the backends" : "measuring the GEMM rate of each backend");
    doctor_check_backends(&report, !quick, (int)device);
    progress_free(display);
    doctor_check_gpu(&report);
    doctor_check_profiling(&report, gb_sensors_options_default().root);
    doctor_check_sensors(&report, (int)device);
    doctor_check_tools(&report, results_dir);

    char missing[256];
    missing_names(&report, missing, sizeof missing);
    if (json) {
        GB_TRY(print_json(&report, !missing[0], err));
    } else {
        print_text(&report, !missing[0]);
    }
    if (missing[0]) {
        return gb_fail(err, GB_ERR_ENV, "doctor: a suite cannot be run here without: %s", missing);
    }
    return GB_OK;
}
