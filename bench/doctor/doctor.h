/* doctor.h: what this machine offers, as a list of findings. Each check adds its findings; the
 * command prints them. */
#ifndef GPTBENCH_BENCH_DOCTOR_H
#define GPTBENCH_BENCH_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum { DOCTOR_FINDINGS_MAX = 64 };

typedef enum doctor_level {
    DOCTOR_OK,
    DOCTOR_WARN,   /* works, but numbers or comfort suffer; advice says what to do */
    DOCTOR_MISSING /* not there; advice says how to get it */
} doctor_level;

typedef struct doctor_finding {
    doctor_level level;
    bool needed;      /* DOCTOR_MISSING and needed: the main job cannot run */
    char name[32];    /* "gemm_peak_fp32" */
    char value[384];  /* what was found, for people */
    char advice[384]; /* what to do about it; empty when there is nothing to do */
    double number;    /* the same for programs, where it is a number; NAN otherwise */
    const char *unit; /* static storage; NULL without a number */
} doctor_finding;

typedef struct doctor_report {
    doctor_finding findings[DOCTOR_FINDINGS_MAX];
    int count;
} doctor_report;

/* "ok", "warn", "missing". */
const char *doctor_level_name(doctor_level level);

/* Adds a finding without number and advice, its value printf-style, and returns it for more to be
 * filled in; the last one is overwritten when the report is full. */
doctor_finding *doctor_add(doctor_report *report, doctor_level level, const char *name,
                           const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;
/* Sets the advice printf-style. */
void doctor_advise(doctor_finding *finding, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* CPU time of the whole machine since boot, in clock ticks; zeros where /proc/stat is not there. */
typedef struct doctor_cpu_ticks {
    double total, steal;
} doctor_cpu_ticks;
doctor_cpu_ticks doctor_read_cpu_ticks(void);

/* Processor, cores, memory, load, clock, environment variables. About 0.2 s. */
void doctor_check_host(doctor_report *report);
/* Every backend of this binary at fp32 and bf16: whether it can run, on what (GPU `device_index`
 * of the visible ones, -1 the first), and with `measure` its large-GEMM rate (about a second each).
 * Needs a working CPU backend. */
void doctor_check_backends(doctor_report *report, bool measure, int device_index);
/* CUDA in this binary, driver, GPUs. */
void doctor_check_gpu(doctor_report *report);
/* CUPTI, whether the driver lets this user profile, NVTX. `root` stands before /proc; "" for the
 * real one. */
void doctor_check_profiling(doctor_report *report, const char *root);
/* Text behind "key:" in a file such as /proc/self/status; false where there is none. */
bool doctor_read_field(const char *path, const char *key, char *out, size_t size);
/* What can be sampled beside a run, of the CPU and of the GPU that `device_index` names. */
void doctor_check_sensors(doctor_report *report, int device_index);
/* gnuplot, SQLite, room in the directory for results. */
void doctor_check_tools(doctor_report *report, const char *results_dir);

#endif
