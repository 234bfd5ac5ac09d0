/* The hidden command `worker`: reads one job (bench/worker/job.h) from standard input, does it and
 * reports through descriptor EVENT_PIPE_FD. Started by the runner, never by hand.
 *
 * For tests of what happens when a run goes wrong, the environment variable GPTBENCH_TEST_FAULT
 * makes one go wrong: KIND@STEP, KIND@STEP@CELL or KIND@STEP@CELL@FILE, where CELL is a glob of the
 * cells that it is meant for and STEP the step after which it strikes; with FILE it strikes only
 * while there is no such file, and makes it.
 *   crash  dies of SIGSEGV           exit   exits with code 7, saying so on stderr
 *   kill   dies of SIGKILL           hang   waits for ever, ignores SIGTERM
 *   nan    a loss that is NaN        pause  waits until a signal comes
 *   oom    out of memory             garbage  writes nonsense into the event pipe
 *   grow   takes more and more memory, a gigabyte at most, then waits as pause does
 *   slow   every step takes STEP tenths of a per cent longer, in a busy wait */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/commands/commands.h"
#include "bench/commands/settings.h"
#include "bench/run/rates.h"
#include "bench/worker/event_pipe.h"
#include "bench/worker/job.h"
#include "kernels/process_limits.h"
#include "kernels/process_memory.h"
#include "model/trainer.h"

#define JOB_MAX_BYTES (1 << 20)

static volatile sig_atomic_t stop_wanted;

static void stop_set(int signal)
{
    (void)signal;
    stop_wanted = 1;
}

/* ---- faults ---- */

typedef struct fault {
    char kind[16]; /* empty: none */
    long long step;
    char once[256]; /* the file; empty: every time */
    bool struck;
} fault;

static fault fault_read(const char *label)
{
    fault f = {.step = 0};
    char cell[128] = "*";
    const char *text = getenv("GPTBENCH_TEST_FAULT");
    if (text && (sscanf(text, "%15[a-z]@%lld@%127[^@]@%255s", f.kind, &f.step, cell, f.once) < 2 ||
                 fnmatch(cell, label, 0) != 0 || (f.once[0] && access(f.once, F_OK) == 0))) {
        f.kind[0] = '\0';
    }
    return f;
}

static bool fault_is(const fault *f, const char *kind)
{
    return strcmp(f->kind, kind) == 0;
}

static void memory_grow(void)
{
    enum { PART = 8 << 20 };
    const struct timespec nap = {0, 20 * 1000 * 1000};
    for (int i = 0; i < 128 && !stop_wanted; i++) {
        volatile char *part = malloc(PART); /* never freed: the process ends with it */
        for (int at = 0; part && at < PART; at += 1024) {
            part[at] = 1;
        }
        nanosleep(&nap, NULL);
    }
}

static void fault_strike(fault *f)
{
    f->struck = true;
    if (f->once[0]) {
        FILE *mark = fopen(f->once, "w");
        if (mark) {
            fclose(mark);
        }
    }
    if (fault_is(f, "crash")) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    } else if (fault_is(f, "kill")) {
        raise(SIGKILL);
    } else if (fault_is(f, "exit")) {
        fprintf(stderr, "worker: exiting because the test asks for it\n");
        _exit(7);
    } else if (fault_is(f, "hang") || fault_is(f, "pause") || fault_is(f, "grow")) {
        if (fault_is(f, "grow")) {
            memory_grow();
        }
        if (fault_is(f, "hang")) {
            signal(SIGTERM, SIG_IGN);
        }
        while (!stop_wanted) {
            pause();
        }
    } else if (fault_is(f, "garbage")) {
        static const char nonsense[256] = "this is no event";
        ssize_t ignored = write(EVENT_PIPE_FD, nonsense, sizeof nonsense);
        (void)ignored;
    }
}

/* ---- events ---- */

typedef struct reporter {
    fault fault;
    bool broken; /* the runner is gone */
} reporter;

static int event_report(void *user, const train_event *event)
{
    reporter *r = user;
    train_event copy = *event;
    if (event->type == TRAIN_EVENT_STEP && event->u.step.step >= r->fault.step &&
        r->fault.kind[0] && !r->fault.struck) {
        if (fault_is(&r->fault, "nan")) {
            copy.u.step.train_loss = NAN;
        }
        fault_strike(&r->fault);
    }
    if (event->type == TRAIN_EVENT_END && event->u.end.status == GB_ERR_INTERRUPTED &&
        gb_limits_cpu_spent()) {
        copy.u.end.status = GB_ERR_ENV;
        snprintf(copy.u.end.message, sizeof copy.u.end.message, "%s", gb_limits_cpu_words());
    }
    if (event->type == TRAIN_EVENT_END && r->fault.struck) {
        if (fault_is(&r->fault, "nan") || fault_is(&r->fault, "oom")) {
            copy.u.end.status = fault_is(&r->fault, "nan") ? GB_ERR_NAN : GB_ERR_OOM;
            snprintf(copy.u.end.message, sizeof copy.u.end.message, "test fault: %s",
                     r->fault.kind);
        }
    }
    if (!r->broken && event_write_train(EVENT_PIPE_FD, &copy, NULL) != GB_OK) {
        r->broken = true;
    }
    return r->broken || r->fault.struck;
}

/* ---- what it does ---- */

static gb_status backend_get(const worker_job *job, const gb_backend **out, gb_error *err)
{
    return settings_backend(out, job->backend, (gb_precision)job->spec.precision, job->device_index,
                            err);
}

/* Blocks until the runner wants a burst. */
static bool burst_next(void *user, train_burst *out)
{
    (void)user;
    bool found;
    return event_order_read(CONTROL_FD, out, &found, &stop_wanted, NULL) == GB_OK && found;
}

static gb_status train(const worker_job *job, gb_error *err)
{
    train_job work = train_job_default();
    reporter r = {.fault = fault_read(job->label)};
    train_observer observer = {event_report, &r};
    GB_TRY(backend_get(job, &work.backend, err));
    work.config = job->config;
    work.spec = job->spec;
    work.threads = (int)job->threads;
    work.device_index = (int)job->device_index;
    work.replicate = job->replicate;
    work.profile_steps = job->profile_steps;
    work.checkpoints =
        (train_checkpoints){.dir = job->checkpoint_dir[0] ? job->checkpoint_dir : NULL,
                            .identity = job->identity,
                            .every_steps = job->checkpoint_steps,
                            .every_s = job->checkpoint_s};
    work.spans = job->replicate == 0; /* once per config is enough for a timeline */
    work.stop = &stop_wanted;
    if (fault_is(&r.fault, "slow")) {
        work.drag = (double)r.fault.step / 1000;
        r.fault.kind[0] = '\0';
    }
    return job->mode == WORKER_TIMING ? trainer_run_bursts(&work, burst_next, NULL, &observer, err)
                                      : trainer_run(&work, &observer, err);
}

static gb_status probe_do(const worker_job *job, event_probe *out, gb_error *err)
{
    const gb_backend *backend;
    gb_device *device = NULL;
    GB_TRY(backend_get(job, &backend, err));
    snprintf(out->backend, sizeof out->backend, "%s", backend->name);
    GB_TRY(rates_open(backend, (gb_precision)job->spec.precision, (int)job->threads,
                      (int)job->device_index, &device, err));
    backend->describe(device, &out->device);
    if (job->measure_peak) {
        op_rates rates = rates_measure(backend, device, 0);
        out->gemm_flops_per_s = rates.flops_per_s;
        out->copy_bytes_per_s = rates.bytes_per_s;
        out->gemm_sustained_flops_per_s = rates_sustained(backend, device);
    }
    backend->close(device);
    return GB_OK;
}

static gb_status probe(const worker_job *job, gb_error *err)
{
    event_probe answer;
    gb_error error = {0};
    memset(&answer, 0, sizeof answer);
    answer.process_memory_bytes = gb_process_resident_bytes(0);
    answer.status = probe_do(job, &answer, &error);
    snprintf(answer.message, sizeof answer.message, "%.511s", error.message);
    return event_write_probe(EVENT_PIPE_FD, &answer, err);
}

static gb_status input_read(char **out, gb_error *err)
{
    char *text = malloc(JOB_MAX_BYTES + 1);
    if (!text) {
        return gb_fail(err, GB_ERR_OOM, "worker: no memory for the job");
    }
    size_t n = fread(text, 1, JOB_MAX_BYTES, stdin);
    text[n] = '\0';
    *out = text;
    return GB_OK;
}

gb_status cmd_worker(int argc, char **argv, gb_error *err)
{
    (void)argv;
    if (argc != 1 || fcntl(EVENT_PIPE_FD, F_GETFD) < 0) {
        return gb_fail(err, GB_ERR_USAGE,
                       "worker: started by `gptbench run` for each run, not by hand");
    }
    char *text = NULL;
    worker_job job;
    struct sigaction action = {.sa_handler = stop_set};
    sigemptyset(&action.sa_mask);
    signal(SIGHUP, SIG_IGN);  /* the runner decides what becomes of a run without a terminal */
    signal(SIGPIPE, SIG_IGN); /* the runner is gone: event_report notices */
    GB_TRY(input_read(&text, err));
    gb_status status = worker_job_from_json(&job, text, err);
    free(text);
    if (status != GB_OK) {
        return status;
    }
    if (job.mode == WORKER_PROBE) { /* signals simply end it */
        return probe(&job, err);
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return train(&job, err);
}
