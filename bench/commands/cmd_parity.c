#include <stdio.h>
#include <stdlib.h>

#include "bench/base/cli.h"
#include "bench/commands/commands.h"
#include "bench/commands/outputs.h"
#include "bench/commands/settings.h"
#include "model/gpt.h"
#include "model/loader.h"
#include "model/weights.h"

typedef struct parity_job {
    gpt_config config;
    train_spec spec;
    const gb_backend *backend;
    const char *weights, *tokens, *out;
    int threads, device_index;
} parity_job;

static gb_status read_batch(const parity_job *job, int32_t *inputs, int32_t *targets, gb_error *err)
{
    token_source *source = NULL;
    token_loader loader;
    gb_status status = token_source_open(&source, job->tokens, job->config.vocab_size, err);
    if (status == GB_OK) {
        status = token_loader_open(&loader, source, job->spec.batch_size, job->spec.sequence_length,
                                   0, err);
    }
    if (status == GB_OK) {
        status = token_loader_next(&loader, inputs, targets, err);
    }
    token_source_close(source);
    return status;
}

static gb_status run_batch(const parity_job *job, gpt *model, gb_error *err)
{
    int64_t n = job->spec.batch_size * job->spec.sequence_length;
    int32_t *inputs = malloc((size_t)n * 2 * sizeof *inputs);
    double loss_sum = 0;
    if (!inputs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a batch of %lld tokens", (long long)n);
    }
    gb_status status = read_batch(job, inputs, inputs + n, err);
    if (status == GB_OK) {
        status = gpt_load_weights(model, job->weights, err);
    }
    if (status == GB_OK) {
        status =
            gpt_loss_and_grad(model, inputs, inputs + n, 1.0 / (double)n, true, &loss_sum, err);
    }
    free(inputs);
    if (status == GB_OK) {
        status = gpt_save_grads(model, loss_sum / (double)n, job->out, err);
    }
    if (status == GB_OK) {
        printf("loss:%.9f tokens:%lld written:%s\n", loss_sum / (double)n, (long long)n, job->out);
    }
    return status;
}

static gb_status parity_run(const parity_job *job, gb_error *err)
{
    const train_spec *s = &job->spec;
    gb_device *dev = NULL;
    gpt *model = NULL;
    gb_options device = {.precision = (gb_precision)s->precision,
                         .threads = job->threads,
                         .device_index = job->device_index,
                         .shape =
                             gpt_config_shape(&job->config, s->batch_size, s->sequence_length)};
    gpt_options options = {.batch_size = s->batch_size,
                           .sequence_length = s->sequence_length,
                           .training = true,
                           .recompute = s->recompute_activations};
    gb_status status = job->backend->open(&device, &dev, err);
    if (status == GB_OK) {
        status = gpt_create(&model, &job->config, &options, job->backend, dev, err);
    }
    if (status == GB_OK) {
        status = run_batch(job, model, err);
    }
    gpt_destroy(model);
    job->backend->close(dev);
    return status;
}

/* What the command line says. */
typedef struct parity_command {
    settings_args args;
    settings_options options;
} parity_command;

static gb_status parity_parse(parity_command *c, parity_job *job, int argc, char **argv,
                              bool *help_shown, gb_error *err)
{
    const cli_option own[] = {
        {"--weights", NULL, CLI_TEXT, &c->args.weights, "FILE",
         "safetensors file, PyTorch's names; one of `train --save` says what model it is", 0, 0},
        {"--tokens", NULL, CLI_TEXT, &job->tokens, "FILE",
         ".bin shard; its first B*T+1 tokens (synthetic ones)", 0, 0},
        {"--out", "-o", CLI_TEXT, &job->out, "FILE", "where loss and gradients go (safetensors)", 0,
         0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    settings_options_make(&c->options, own, false, &c->args);
    const cli_command command = {
        .usage = "gptbench parity --weights W.safetensors [--tokens B.bin] [--KEY VALUE ...] "
                 "-o OUT.safetensors",
        .summary = "One batch through forward and backward. OUT holds `loss` (one float64, mean "
                   "nats/token)\nand each gradient under its weight's own name, for checks "
                   "against PyTorch.",
        .options = c->options.rows};
    const char *positional[1];
    int n_positional;
    return cli_parse(&command, argc, argv, positional, &n_positional, help_shown, err);
}

static gb_status parity_settle(const parity_command *c, parity_job *job, gb_error *err)
{
    static const char *const idle[] = {"grad_accumulation_steps",
                                       "num_iterations",
                                       "val_loss_every",
                                       "val_tokens",
                                       "learning_rate",
                                       "warmup_iters",
                                       "warmdown_iters",
                                       "weight_decay",
                                       "grad_clip",
                                       "seed",
                                       NULL};
    train_spec *spec = &job->spec;
    const char *given = job->tokens;
    if (given) {
        snprintf(spec->train_data, sizeof spec->train_data, "%s", given);
        snprintf(spec->val_data, sizeof spec->val_data, "%s", given);
    }
    GB_TRY(settings_read(&job->config, spec, &c->args, err));
    GB_TRY(settings_backend(&job->backend, c->args.backend, (gb_precision)spec->precision,
                            c->args.device, err));
    settings_say_synthetic(given, spec, "--tokens FILE");
    settings_say_idle(&c->args, idle, "one batch goes forward and backward, without an update");
    job->weights = c->args.weights;
    job->tokens = spec->train_data;
    const named_file written[] = {{"-o", job->out}, {NULL, NULL}};
    const named_file read[] = {
        {"--weights", job->weights}, {"--tokens", job->tokens}, {NULL, NULL}};
    GB_TRY(outputs_check(written, read, err));
    outputs_say_safetensors("-o", job->out);
    job->threads = (int)c->args.threads;
    job->device_index = (int)c->args.device;
    return GB_OK;
}

gb_status cmd_parity(int argc, char **argv, gb_error *err)
{
    parity_job job = {.spec = train_spec_default(), .device_index = -1};
    parity_command c = {.args = settings_args_default()};
    bool help_shown;
    GB_TRY(parity_parse(&c, &job, argc, argv, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    c.args.synthetic = true;
    if (!c.args.weights || !job.out) {
        return gb_fail(err, GB_ERR_USAGE, "parity needs --weights and -o");
    }
    GB_TRY(parity_settle(&c, &job, err));
    return parity_run(&job, err);
}
