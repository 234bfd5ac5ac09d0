#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/commands/commands.h"
#include "bench/commands/settings.h"
#include "model/trainer.h"

/* Set by the signal handler, which can reach nothing else. */
static volatile sig_atomic_t train_stop;

static void train_on_signal(int signal_number)
{
    (void)signal_number;
    train_stop = 1;
}

typedef struct train_printer {
    int64_t num_iterations, timed_steps;
    double timed_ms, last_step_ms;
    int64_t tokens_per_step;
    FILE *losses; /* every step's loss with all its digits; NULL: not wanted */
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
    printf("parameters:%lld flops/token:%.0f tokens/step:%lld steps:%lld memory:%.1f MiB\n",
           (long long)s->n_params, s->flops_per_token, (long long)s->tokens_per_step,
           (long long)p->num_iterations, (double)total / (1 << 20));
    printf("device:%s threads:%d isa:%s libraries:%s\n", s->device.device, s->device.threads,
           s->device.isa, s->device.libraries);
    if (s->device.precision_note[0]) {
        printf("note:%s\n", s->device.precision_note);
    }
    if (!isnan(s->entropy_rate_nats)) {
        printf("entropy floor of the validation source: %.6f nats/token\n", s->entropy_rate_nats);
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
        if (p->losses) {
            fprintf(p->losses, "%lld,%.17g\n", (long long)s->step + 1, s->train_loss);
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
    case TRAIN_EVENT_END:
        print_end(p, &event->u.end);
        break;
    default:
        break;
    }
    fflush(stdout);
    return 0;
}

/* Runs the job; `losses` is the name of a CSV file of the steps' losses, or NULL. */
static gb_status train_run(const train_job *job, const char *losses, gb_error *err)
{
    train_printer printer = {.num_iterations = job->spec.num_iterations};
    train_observer observer = {train_on_event, &printer};
    if (losses) {
        printer.losses = fopen(losses, "w");
        if (!printer.losses) {
            return gb_fail(err, GB_ERR_IO, "%s: %s", losses, strerror(errno));
        }
        fprintf(printer.losses, "step,train_loss\n");
    }
    gb_status status = trainer_run(job, &observer, err);
    if (printer.losses) {
        bool failed = ferror(printer.losses) != 0;
        failed |= fclose(printer.losses) != 0;
        if (failed && status == GB_OK) {
            status = gb_fail(err, GB_ERR_IO, "%s: could not be written whole", losses);
        }
    }
    return status;
}

gb_status cmd_train(int argc, char **argv, gb_error *err)
{
    train_job job = train_job_default();
    const char *preset = NULL, *backend = "auto", *train = NULL, *val = NULL, *losses = NULL;
    int64_t threads = 0, device = -1;
    cli_list settings = {.count = 0};
    const cli_option options[] = {
        {"--model", NULL, CLI_TEXT, &preset, "PRESET", "preset to start from (d12)", 0, 0},
        {"--set", NULL, CLI_LIST, &settings, "KEY=VALUE", "a model or train key; may be repeated",
         0, 0},
        {"--train", NULL, CLI_TEXT, &train, "GLOB", "training tokens, or synth:...", 0, 0},
        {"--val", NULL, CLI_TEXT, &val, "GLOB", "validation tokens, or synth:...", 0, 0},
        {"--backend", NULL, CLI_TEXT, &backend, "NAME", "auto, cuda or cpu", 0, 0},
        {"--threads", NULL, CLI_INT, &threads, "N", "CPU threads (all)", 0, 1024},
        {"--device", NULL, CLI_INT, &device, "N", "GPU to use, of the visible ones (the first)", 0,
         1023},
        {"--losses", NULL, CLI_TEXT, &losses, "FILE",
         "write every step's loss, with all its digits (CSV)", 0, 0},
        {"--save", NULL, CLI_TEXT, &job.save_weights, "FILE", "write the weights (safetensors)", 0,
         0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        .usage = "gptbench train [--model PRESET] [--set KEY=VALUE ...] --train GLOB --val GLOB",
        .summary = "Trains one model and prints every step and validation as it goes.",
        .options = options,
        .examples = "  gptbench train --set vocab_size=256 --set n_layer=2 --set n_embd=64 "
                    "--set n_head=2 \\\n      --train synth:vocab=256,seed=1 --val "
                    "synth:vocab=256,seed=1,stream=1"};
    const char *positional[1];
    int n_positional;
    bool help_shown;
    GB_TRY(cli_parse(&command, argc, argv, positional, &n_positional, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    GB_TRY(gb_key_set(&job.spec, gb_key_find(train_spec_data_keys(), "train"), train ? train : "",
                      err));
    GB_TRY(gb_key_set(&job.spec, gb_key_find(train_spec_data_keys(), "val"), val ? val : "", err));
    GB_TRY(settings_read(&job.config, &job.spec, preset, &settings, err));
    GB_TRY(settings_backend(&job.backend, backend, (gb_precision)job.spec.precision, device, err));
    job.threads = (int)threads;
    job.device_index = (int)device;
    job.stop = &train_stop;
    struct sigaction action = {.sa_handler = train_on_signal,
                               .sa_flags = SA_RESTART | SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return train_run(&job, losses, err);
}
