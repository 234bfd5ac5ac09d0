/* `gptbench profile`: where a step's time goes, for one configuration, without a suite. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/outputs.h"
#include "bench/commands/settings.h"
#include "bench/commands/trace.h"
#include "bench/run/progress.h"
#include "bench/run/rates.h"
#include "bench/words/op_table.h"
#include "model/trainer.h"
#include "model/warmup.h"

static volatile sig_atomic_t profile_stop;

static void profile_on_signal(int signal_number)
{
    (void)signal_number;
    profile_stop = 1;
}

enum { MAX_ROWS = 4096 };

typedef struct profiler {
    bool by_layer;
    gb_op_time rows[MAX_ROWS]; /* summed over layers, or over ops */
    int n_rows;
    int64_t steps, timed_steps, warmup_steps;
    double step_ms, timed_ms; /* mean profiled step; sum of timed ones */
    trace spans;
    train_start start;
    op_roof roof;
    char note[240]; /* what is to be known of the profile; empty: nothing */
    progress *display;
} profiler;

/* A row of the table is an op of a phase over all layers, or a layer of a phase over all ops. */
static void row_add(profiler *p, const gb_op_time *row)
{
    for (int i = 0; i < p->n_rows; i++) {
        gb_op_time *have = &p->rows[i];
        bool same = p->by_layer ? have->layer == row->layer : have->op == row->op;
        if (same && have->phase == row->phase) {
            have->calls += row->calls;
            have->time_ms += row->time_ms;
            have->flops += row->flops;
            have->thread_mean_ms += row->thread_mean_ms;
            have->thread_max_ms += row->thread_max_ms;
            return;
        }
    }
    if (p->n_rows < MAX_ROWS) {
        p->rows[p->n_rows++] = *row;
    }
}

static int profile_on_event(void *user, const train_event *event)
{
    profiler *p = user;
    switch ((train_event_type)event->type) {
    case TRAIN_EVENT_START:
        p->start = event->u.start;
        progress_note(p->display, "%s, %d threads, %s: warming up, then timing, then profiling",
                      p->start.device.device, p->start.device.threads, p->start.device.isa);
        if (p->start.device.threads_note[0]) {
            progress_note(p->display, "warning: %s", p->start.device.threads_note);
        }
        break;
    case TRAIN_EVENT_STEP:
        if (event->u.step.tag == TRAIN_STEP_TIMED) {
            p->timed_steps++;
            p->timed_ms += event->u.step.step_ms;
        } else if (event->u.step.tag == TRAIN_STEP_WARMUP &&
                   ++p->warmup_steps == WARMUP_MIN_STEPS + 1) {
            progress_note(p->display,
                          "step times have not settled in %d steps: warming up further, %d at most",
                          WARMUP_MIN_STEPS, WARMUP_MAX_STEPS);
        }
        progress_tick(p->display);
        break;
    case TRAIN_EVENT_OPTIME:
        p->steps = event->u.optime.steps;
        p->step_ms = event->u.optime.step_ms;
        row_add(p, &event->u.optime.row);
        break;
    case TRAIN_EVENT_SPANS_ZERO:
        p->spans.zero_s = event->u.spans_zero_s;
        break;
    case TRAIN_EVENT_SPAN:
        trace_add(&p->spans, &event->u.span);
        break;
    case TRAIN_EVENT_PROFILE_NOTE:
        snprintf(p->note, sizeof p->note, "%s", event->u.profile_note);
        break;
    case TRAIN_EVENT_PROFILE:
    case TRAIN_EVENT_KERNEL:
    case TRAIN_EVENT_EVAL:
    case TRAIN_EVENT_PAUSE:
    case TRAIN_EVENT_RESUME:
    case TRAIN_EVENT_CHECKPOINT:
    case TRAIN_EVENT_NOTE:
    case TRAIN_EVENT_ALIVE:
    case TRAIN_EVENT_END:
        break;
    }
    return 0;
}

static int slower_first(const void *a, const void *b)
{
    double x = ((const gb_op_time *)a)->time_ms, y = ((const gb_op_time *)b)->time_ms;
    return (x < y) - (x > y);
}

static void layer_row_print(table *t, const profiler *p, const gb_op_time *row)
{
    double steps = (double)p->steps, ms = row->time_ms / steps;
    table_begin_row(t);
    if (row->layer >= 0) {
        table_add_cell(t, "layer %d", row->layer);
    } else {
        table_add_cell(t, "outside the layers");
    }
    table_add_cell(t, "%s", gb_phase_name(row->phase));
    table_add_cell(t, "%.3f", ms);
    table_add_cell(t, "%s", number_percent(ms / p->step_ms).text);
    table_add_cell(t, "%g", (double)row->calls / steps);
    if (row->flops > 0 && row->time_ms > 0) {
        table_add_cell(t, "%s", number_short(row->flops / steps).text);
        table_add_cell(t, "%s", number_short(row->flops / (row->time_ms * 1e-3)).text);
    }
}

static table *layer_table(profiler *p)
{
    static const char *const headings[] = {"ms/step", "share", "calls/step", "FLOPs/step",
                                           "FLOP/s"};
    table *t = table_create();
    table_add_column(t, "layer", TABLE_LEFT);
    table_add_column(t, "phase", TABLE_LEFT);
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        table_add_column(t, headings[i], TABLE_RIGHT);
        table_column_fit(t, TABLE_MOVE, (int)i);
    }
    qsort(p->rows, (size_t)p->n_rows, sizeof p->rows[0], slower_first);
    for (int i = 0; i < p->n_rows; i++) {
        layer_row_print(t, p, &p->rows[i]);
    }
    return t;
}

/* An op against its floor, which is known from the model and the batch. */
static op_row op_row_make(const profiler *p, const train_job *job, const gb_op_time *row)
{
    const double steps = (double)p->steps;
    op_floor_shape shape = {.batch_size = job->spec.batch_size,
                            .sequence_length = job->spec.sequence_length,
                            .act_bytes = p->start.device.act_bytes};
    return (op_row){.op = gb_op_name(row->op),
                    .phase = gb_phase_name(row->phase),
                    .calls = (double)row->calls / steps,
                    .time_ms = row->time_ms / steps,
                    .flops = row->flops / steps,
                    .thread_mean_ms = row->thread_mean_ms / steps,
                    .thread_max_ms = row->thread_max_ms / steps,
                    .floor =
                        op_floor_of_batches(&job->config, &shape, job->spec.grad_accumulation_steps,
                                            row->phase, row->op)};
}

static gb_status op_table(table **out, const profiler *p, const train_job *job, gb_error *err)
{
    op_row rows[GB_PHASE_COUNT * GB_OP_COUNT];
    for (int i = 0; i < p->n_rows; i++) {
        rows[i] = op_row_make(p, job, &p->rows[i]);
    }
    op_rows_sort(rows, p->n_rows);
    return op_table_make(out, rows, p->n_rows, p->step_ms, &p->roof, err);
}

static void roof_print(const profiler *p)
{
    const op_rates *r = &p->roof.rates;
    terminal_say(
        stdout, 2,
        "roofline: a large product at %s FLOP/s, a large copy at %s GB/s, measured before;\n"
        "  imbalance: the slowest thread by the mean of all, where that is 1.05 or more and the "
        "threads are ours\n",
        r->flops_per_s > 0 ? number_short(r->flops_per_s).text : "-",
        number_gigas(r->bytes_per_s).text);
}

static gb_status profile_print(profiler *p, const train_job *job, gb_error *err)
{
    double sum_ms = 0;
    table *t = NULL;
    for (int i = 0; i < p->n_rows; i++) {
        sum_ms += p->rows[i].time_ms / (double)p->steps;
    }
    if (p->by_layer) {
        t = layer_table(p);
    } else {
        GB_TRY(op_table(&t, p, job, err));
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    GB_TRY(status);
    terminal_say(stdout, 2,
                 "\nrows add up to %.3f ms; the profiled step took %.3f ms (mean of %lld)\n",
                 sum_ms, p->step_ms, (long long)p->steps);
    if (!p->by_layer) {
        roof_print(p);
    }
    if (p->note[0]) {
        terminal_say(stdout, 2, "note: %s\n", p->note);
    }
    /* There are always some: the profile waits for them, and a warm-up has an end. */
    double timed_ms = p->timed_ms / (double)p->timed_steps;
    terminal_say(
        stdout, 2, "without profiling a step took %.3f ms (mean of %lld): profiling costs %s\n",
        timed_ms, (long long)p->timed_steps, number_percent_signed(p->step_ms / timed_ms - 1).text);
    if (p->warmup_steps >= WARMUP_MAX_STEPS) {
        terminal_say(stdout, 2,
                     "not settled: after %lld steps of warm-up step times still changed by more "
                     "than 5 %%; the shares above are surer than the milliseconds\n",
                     (long long)p->warmup_steps);
    }
    return GB_OK;
}

/* A short run on whatever tokens: warm first, however long that takes, then timed, then profiled.
 */
static void job_shorten(train_job *job, int64_t timed_steps)
{
    train_spec *spec = &job->spec;
    job->timed_steps = timed_steps;
    spec->num_iterations = WARMUP_MAX_STEPS + timed_steps + job->profile_steps;
    spec->val_loss_every = spec->num_iterations;
    spec->val_tokens = spec->batch_size * spec->sequence_length;
    spec->warmup_iters = spec->warmdown_iters = 0;
}

static gb_status by_read(profiler *p, const char *by, gb_error *err)
{
    p->by_layer = strcmp(by, "layer") == 0;
    return p->by_layer || strcmp(by, "op") == 0
               ? GB_OK
               : gb_fail(err, GB_ERR_USAGE, "--by %.64s: expected op or layer", by);
}

static void stop_on_signals(train_job *job)
{
    struct sigaction action = {.sa_handler = profile_on_signal,
                               .sa_flags = SA_RESTART | SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    job->stop = &profile_stop;
}

static gb_status roof_measure(profiler *p, const train_job *job, gb_error *err)
{
    gb_device *dev = NULL;
    GB_TRY(rates_open(job->backend, (gb_precision)job->spec.precision, job->threads,
                      job->device_index, &dev, err));
    progress_task_begin(p->display, "measuring GEMM peak and copy rate of %s", job->backend->name);
    p->roof = (op_roof){rates_measure(job->backend, dev, 0), rates_start_ms(job->backend->name)};
    progress_task_end(p->display);
    job->backend->close(dev);
    return GB_OK;
}

static gb_status profile_run(profiler *p, const train_job *job, const char *preset,
                             const char *trace_path, gb_error *err)
{
    train_observer observer = {profile_on_event, p};
    if (!p->by_layer) {
        GB_TRY(roof_measure(p, job, err));
    }
    progress_task_begin(p->display, "profiling on %s", job->backend->name);
    gb_status ran = trainer_run(job, &observer, err);
    progress_task_end(p->display);
    GB_TRY(ran);
    GB_TRY(profile_print(p, job, err));
    if (trace_path) {
        char process[128];
        snprintf(process, sizeof process, "%s, %s %s, one step", preset ? preset : "d12",
                 job->backend->name, gb_precision_name((gb_precision)job->spec.precision));
        GB_TRY(trace_write(&p->spans, trace_path, process, err));
        terminal_say(
            stdout, 2,
            "trace of the last profiled step: %s (open it in Perfetto or chrome://tracing)\n",
            trace_path);
    }
    return GB_OK;
}

/* What the command line says. */
typedef struct profile_command {
    settings_args args;
    settings_options options;
    const char *data, *by, *trace_path;
    int64_t steps, timed_steps;
} profile_command;

static gb_status profile_parse(profile_command *c, int argc, char **argv, bool *help_shown,
                               gb_error *err)
{
    const cli_option own[] = {
        {"--train", NULL, CLI_TEXT, &c->data, "GLOB", "tokens, or synth:... (synthetic ones)", 0,
         0},
        {"--by", NULL, CLI_TEXT, &c->by, "op|layer", "rows of the table (op)", 0, 0},
        {"--steps", NULL, CLI_INT, &c->steps, "N", "profiled steps (3)", 1, 1000},
        {"--timed-steps", NULL, CLI_INT, &c->timed_steps, "N",
         "steps timed without profiling, to compare with (10)", 1, 100000},
        {"--trace", NULL, CLI_TEXT, &c->trace_path, "FILE.json",
         "write one step as a Chrome/Perfetto trace", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    settings_options_make(&c->options, own, false, &c->args);
    const cli_command command = {
        .usage = "gptbench profile [--model PRESET] [--KEY VALUE ...] [--trace FILE.json]",
        .summary = "Where the time of a training step goes: a few profiled steps of one model, op "
                   "by op.",
        .options = c->options.rows,
        .examples = "  gptbench profile --model=d12 --batch_size=4 --sequence_length=256 "
                    "--trace d12.json"};
    const char *positional[1];
    int n_positional;
    return cli_parse(&command, argc, argv, positional, &n_positional, help_shown, err);
}

static gb_status profile_settle(const profile_command *c, train_job *job, gb_error *err)
{
    static const char *const idle[] = {"num_iterations", "val_loss_every", "val_tokens",
                                       "warmup_iters",   "warmdown_iters", NULL};
    train_spec *spec = &job->spec;
    if (c->data) {
        snprintf(spec->train_data, sizeof spec->train_data, "%s", c->data);
        snprintf(spec->val_data, sizeof spec->val_data, "%s", c->data);
    }
    GB_TRY(settings_read(&job->config, spec, &c->args, err));
    GB_TRY(settings_backend(&job->backend, c->args.backend, (gb_precision)spec->precision,
                            c->args.device, err));
    settings_say_synthetic(c->data ? c->data : settings_value(&c->args, "train"), spec,
                           "--train GLOB");
    settings_say_idle(&c->args, idle, "--timed-steps and --steps say how many steps are done");
    job->profile_steps = c->steps;
    job_shorten(job, c->timed_steps);
    const named_file written[] = {{"--trace", c->trace_path}, {NULL, NULL}};
    const named_file read[] = {{"--train", job->spec.train_data}, {NULL, NULL}};
    GB_TRY(outputs_check(written, read, err));
    job->threads = (int)c->args.threads;
    job->device_index = (int)c->args.device;
    job->spans = c->trace_path != NULL;
    return GB_OK;
}

gb_status cmd_profile(int argc, char **argv, gb_error *err)
{
    static profiler p; /* too large for the stack */
    train_job job = train_job_default();
    profile_command c = {
        .args = settings_args_default(), .by = "op", .steps = job.profile_steps, .timed_steps = 10};
    bool help_shown;
    GB_TRY(profile_parse(&c, argc, argv, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    c.args.synthetic = true;
    GB_TRY(by_read(&p, c.by, err));
    GB_TRY(profile_settle(&c, &job, err));
    stop_on_signals(&job);
    p.display = progress_create_for(stderr);
    gb_status status = profile_run(&p, &job, c.args.preset, c.trace_path, err);
    progress_free(p.display);
    trace_free(&p.spans);
    return status;
}
