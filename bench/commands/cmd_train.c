#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/base/cli.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/outputs.h"
#include "bench/commands/settings.h"
#include "bench/commands/train_keep.h"
#include "bench/commands/train_losses.h"
#include "bench/suite/suite.h"
#include "kernels/clock.h"
#include "model/trainer.h"

/* Set by the signal handler, which can reach nothing else. */
static volatile sig_atomic_t train_stop;

static volatile double train_stop_ms; /* when */

/* The first asks for a stop between two steps; one that comes later, of either kind, ends the
 * process. What comes within half a second is the same wish: `timeout` signals a process and then
 * its group. */
static void train_on_signal(int signal_number)
{
    static const char words[] =
        "\nstopping after this step or validation; once more stops at once\n";
    enum { SAME_WISH_MS = 500 };
    const double now_ms = gb_monotonic_ms(); /* clock_gettime, which a handler may call */
    if (!train_stop) {
        train_stop = 1;
        train_stop_ms = now_ms;
        ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
        (void)ignored;
    } else if (now_ms - train_stop_ms > SAME_WISH_MS) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

static void train_catch_signals(train_job *job)
{
    struct sigaction action = {.sa_handler = train_on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    job->stop = &train_stop;
}

typedef struct train_printer {
    int64_t num_iterations, timed_steps;
    double timed_ms, last_step_ms;
    int64_t tokens_per_step;
    train_losses losses;
    train_keep *keep;
    train_end end;
} train_printer;

static double printer_step_avg(const train_printer *p)
{
    return p->timed_steps > 0 ? p->timed_ms / (double)p->timed_steps : p->last_step_ms;
}

static void print_start(const train_printer *p, const train_start *s)
{
    int64_t total = s->overhead_bytes + s->process_memory_bytes;
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        total += s->memory_plan_bytes[group];
    }
    terminal_say(stdout, 2,
                 "parameters:%lld flops/token:%.0f tokens/step:%lld steps:%lld memory:%.1f MiB\n",
                 (long long)s->n_params, s->flops_per_token, (long long)s->tokens_per_step,
                 (long long)p->num_iterations, (double)total / (1 << 20));
    terminal_say(stdout, 2, "device:%s threads:%d isa:%s libraries:%s\n", s->device.device,
                 s->device.threads, s->device.isa, s->device.libraries);
    if (s->device.precision_note[0]) {
        terminal_say(stdout, 2, "note:%s\n", s->device.precision_note);
    }
    if (s->device.threads_note[0]) {
        printf("note:%s\n", s->device.threads_note);
    }
    if (!isnan(s->entropy_rate_nats)) {
        terminal_say(stdout, 2, "entropy floor of the validation source: %.6f nats/token\n",
                     s->entropy_rate_nats);
    }
}

static void print_end(const train_printer *p, const train_end *end)
{
    if (p->timed_steps > 0) {
        double step_avg_ms = printer_step_avg(p);
        printf("timed steps:%lld step_avg:%.2fms tokens/s:%.0f ", (long long)p->timed_steps,
               step_avg_ms, (double)p->tokens_per_step * 1000 / step_avg_ms);
    }
    printf("peak memory:%.1f MiB\n", (double)end->peak_memory_bytes / (1 << 20));
}

static int train_on_event(void *user, const train_event *event)
{
    train_printer *p = user;
    train_losses_event(&p->losses, event);
    train_keep_event(p->keep, event);
    switch (event->type) {
    case TRAIN_EVENT_START:
        p->tokens_per_step = event->u.start.tokens_per_step;
        print_start(p, &event->u.start);
        break;
    case TRAIN_EVENT_STEP: {
        const train_step *s = &event->u.step;
        p->last_step_ms = s->step_ms;
        if (s->tag == TRAIN_STEP_TIMED) {
            p->timed_ms += s->step_ms;
            p->timed_steps++;
        }
        printf("step:%lld/%lld train_loss:%.6f lr:%.3g step_time:%.2fms tag:%s\n",
               (long long)s->step + 1, (long long)p->num_iterations, s->train_loss,
               s->learning_rate, s->step_ms, train_step_tag_name((train_step_tag)s->tag));
        break;
    }
    case TRAIN_EVENT_EVAL: {
        const train_eval *e = &event->u.eval;
        printf("step:%lld/%lld val_loss:%.6f train_time:%.0fms step_avg:%.2fms\n",
               (long long)e->step, (long long)p->num_iterations, e->val_loss, e->train_time_ms,
               printer_step_avg(p));
        break;
    }
    case TRAIN_EVENT_RESUME:
        fprintf(stderr, "going on from the checkpoint at step %lld\n",
                (long long)event->u.checkpoint.step);
        break;
    case TRAIN_EVENT_NOTE:
        fprintf(stderr, "%s\n", event->u.note);
        break;
    case TRAIN_EVENT_END:
        p->end = event->u.end;
        print_end(p, &event->u.end);
        break;
    default:
        break;
    }
    fflush(stdout);
    return 0;
}

static gb_status train_run(train_job *job, train_keep *keep, const char *losses, gb_error *err)
{
    train_printer printer = {
        .num_iterations = job->spec.num_iterations, .losses = {.path = losses}, .keep = keep};
    train_observer observer = {train_on_event, &printer};
    GB_TRY(train_keep_begin(keep, job, err));
    GB_TRY(train_losses_open(&printer.losses, keep->resume, err));
    train_catch_signals(job);
    gb_status status = trainer_run(job, &observer, err);
    gb_status written = train_losses_close(&printer.losses, status == GB_OK ? err : NULL);
    status = train_keep_end(keep, job, &printer.end, status, err);
    return status == GB_OK ? written : status;
}

/* What people type who know other programs that train a GPT, and what they mean here. */
static gb_status refuse_foreign(int argc, char **argv, gb_error *err)
{
    static const char launcher[] =
        "gptbench trains by itself, in one process: leave out torchrun's options and the script's "
        "name; --device N chooses a GPU";
    static const char *const foreign[][2] = {{"--standalone", launcher},
                                             {"--nproc_per_node", launcher},
                                             {"--nproc-per-node", launcher},
                                             {"--nnodes", launcher},
                                             {"--input_bin", "here it is --train GLOB"},
                                             {"--input_val_bin", "here it is --val GLOB"},
                                             {"--dtype", "here it is --precision fp32|bf16"}};
    for (int i = 1; i < argc; i++) {
        const size_t length = strcspn(argv[i], "=");
        const char *dot = strrchr(argv[i], '.');
        if (argv[i][0] != '-' && dot && strcmp(dot, ".py") == 0 &&
            (i == 1 || strchr(argv[i - 1], '=') || argv[i - 1][0] != '-')) {
            return gb_fail(err, GB_ERR_USAGE, "train: %.64s: %s", argv[i], launcher);
        }
        for (size_t f = 0; f < sizeof foreign / sizeof foreign[0]; f++) {
            if (strlen(foreign[f][0]) == length && strncmp(argv[i], foreign[f][0], length) == 0) {
                return gb_fail(err, GB_ERR_USAGE, "train: no option %s: %s", foreign[f][0],
                               foreign[f][1]);
            }
        }
    }
    return GB_OK;
}

/* What the command line says. */
typedef struct train_command {
    settings_args args;
    settings_options options;
    train_keep keep;
    const char *backend, *losses;
    int64_t threads, device;
} train_command;

static gb_status train_parse(train_command *c, int argc, char **argv, bool *help_shown,
                             gb_error *err)
{
    const cli_option own[] = {
        {"--model", NULL, CLI_TEXT, &c->args.preset, "PRESET", "preset to start from (d12)", 0, 0},
        {"--set", NULL, CLI_LIST, &c->args.set, "KEY=VALUE",
         "a key of the model or its training, as --KEY VALUE below; may be repeated", 0, 0},
        {"--backend", NULL, CLI_TEXT, &c->backend, "NAME", "auto, cuda or cpu", 0, 0},
        {"--threads", NULL, CLI_INT, &c->threads, "N", "CPU threads (all)", 0, 1024},
        {"--device", NULL, CLI_INT, &c->device, "N", "GPU to use, of the visible ones (the first)",
         0, 1023},
        {"--losses", NULL, CLI_TEXT, &c->losses, "FILE",
         "write every step's loss, with all its digits (CSV)", 0, 0},
        {"--load", NULL, CLI_TEXT, &c->args.weights, "FILE",
         "weights to start from (safetensors); the file says what model it is", 0, 0},
        {"--save", NULL, CLI_TEXT, &c->keep.save, "FILE",
         "write the weights (safetensors), when stopped too", 0, 0},
        {"--checkpoints", NULL, CLI_TEXT, &c->keep.dir, "DIR",
         "keep checkpoints there (with --save FILE: FILE.checkpoints)", 0, 0},
        {"--checkpoint-every", NULL, CLI_TEXT, &c->keep.every, "WHAT",
         "so many steps, a time such as '10 min', or never (" SUITE_CHECKPOINT_DEFAULT
         "); one is written at a stop too",
         0, 0},
        {"--resume", NULL, CLI_FLAG, &c->keep.resume, NULL,
         "go on from the last checkpoint, with the losses of a training that was never stopped", 0,
         0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    settings_options_make(&c->options, own, true, &c->args);
    const cli_command command = {
        .usage = "gptbench train [--model PRESET] [--KEY VALUE ...] [--train GLOB --val GLOB]",
        .summary = "Trains one model and prints every step and validation as it goes. Without data "
                   "it trains on synthetic tokens.",
        .options = c->options.rows,
        .examples = "  gptbench train --vocab_size=256 --n_layer=2 --n_embd=64 --n_head=2 \\\n"
                    "      --train synth:vocab=256,seed=1 --val synth:vocab=256,seed=1,stream=val\n"
                    "  gptbench train --model=d12_mlp3x --batch_size=4 --save d12.safetensors"};
    const char *positional[1];
    int n_positional;
    GB_TRY(refuse_foreign(argc, argv, err));
    return cli_parse(&command, argc, argv, positional, &n_positional, help_shown, err);
}

gb_status cmd_train(int argc, char **argv, gb_error *err)
{
    train_job job = train_job_default();
    train_command c = {.backend = "auto", .device = -1};
    bool help_shown;
    job.profile_steps = 0; /* nobody would see it, and a checkpoint may be at any step */
    GB_TRY(train_parse(&c, argc, argv, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    c.args.synthetic = true;
    c.keep.load = c.args.weights;
    GB_TRY(settings_read(&job.config, &job.spec, &c.args, err));
    GB_TRY(
        settings_backend(&job.backend, c.backend, (gb_precision)job.spec.precision, c.device, err));
    settings_say_synthetic(settings_value(&c.args, "train"), &job.spec, "--train GLOB --val GLOB");
    const named_file written[] = {{"--save", c.keep.save}, {"--losses", c.losses}, {NULL, NULL}};
    const named_file read[] = {{"--load", c.args.weights},
                               {"--train", job.spec.train_data},
                               {"--val", job.spec.val_data},
                               {NULL, NULL}};
    GB_TRY(outputs_check(written, read, err));
    job.threads = (int)c.threads;
    job.device_index = (int)c.device;
    return train_run(&job, &c.keep, c.losses, err);
}
