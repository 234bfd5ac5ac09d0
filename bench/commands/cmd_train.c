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
#include "bench/commands/train_print.h"
#include "bench/plan/data_check.h"
#include "bench/suite/suite.h"
#include "bench/words/data_words.h"
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

/* Those who hear of the training. */
typedef struct train_listeners {
    train_print print;
    train_losses losses;
    train_keep *keep;
    train_end end;
} train_listeners;

static int train_on_event(void *user, const train_event *event)
{
    train_listeners *l = user;
    train_losses_event(&l->losses, event);
    train_keep_event(l->keep, event);
    train_print_event(&l->print, event);
    if (event->type == TRAIN_EVENT_END) {
        l->end = event->u.end;
    }
    return 0;
}

/* What is to be known of the data before losses are believed, as `plan` and `run` say it of a
 * suite. Also says which option named data that are not as they should be. */
static gb_status train_data_warn(const train_job *job, gb_error *err)
{
    suite_cell cell = {.name = "", .config = job->config, .spec = job->spec};
    const suite one = {.cells = &cell, .n_cells = 1};
    data_check *data = NULL;
    data_use use;
    GB_TRY(data_check_make(&data, &one, err));
    gb_status status = data_check_use(&use, data, &one, NULL, err);
    if (status == GB_OK) {
        const data_warnings w = data_warnings_make(&use);
        for (int i = 0; i < w.n; i++) {
            terminal_say(stderr, 2, "warning: %s\n", w.texts[i]);
        }
    }
    data_check_free(data);
    return status;
}

static gb_status train_run(train_job *job, train_keep *keep, const char *losses, gb_error *err)
{
    train_listeners all = {
        .print = {.num_iterations = job->spec.num_iterations, .val_tokens = job->spec.val_tokens},
        .losses = {.path = losses},
        .keep = keep};
    train_observer observer = {train_on_event, &all};
    GB_TRY(train_data_warn(job, err));
    GB_TRY(train_keep_begin(keep, job, err));
    GB_TRY(train_losses_open(&all.losses, keep->resume, err));
    train_catch_signals(job);
    gb_status status = trainer_run(job, &observer, err);
    gb_status written = train_losses_close(&all.losses, status == GB_OK ? err : NULL);
    status = train_keep_end(keep, job, &all.end, status, err);
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
    const char *losses;
} train_command;

static gb_status train_parse(train_command *c, int argc, char **argv, bool *help_shown,
                             gb_error *err)
{
    const cli_option own[] = {
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
    train_command c = {.args = settings_args_default()};
    bool help_shown;
    job.profile_steps = 0; /* nobody would see it, and a checkpoint may be at any step */
    GB_TRY(train_parse(&c, argc, argv, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    c.args.synthetic = true;
    c.keep.load = c.args.weights;
    GB_TRY(settings_read(&job.config, &job.spec, &c.args, err));
    GB_TRY(settings_backend(&job.backend, c.args.backend, (gb_precision)job.spec.precision,
                            c.args.device, err));
    settings_say_synthetic(settings_value(&c.args, "train"), &job.spec, "--train GLOB --val GLOB");
    const named_file written[] = {{"--save", c.keep.save}, {"--losses", c.losses}, {NULL, NULL}};
    const named_file read[] = {{"--load", c.args.weights},
                               {"--train", job.spec.train_data},
                               {"--val", job.spec.val_data},
                               {NULL, NULL}};
    GB_TRY(outputs_check(written, read, err));
    outputs_say_safetensors("--save", c.keep.save);
    job.threads = (int)c.args.threads;
    job.device_index = (int)c.args.device;
    return train_run(&job, &c.keep, c.losses, err);
}
