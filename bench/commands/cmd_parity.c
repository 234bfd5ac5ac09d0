#include <stdio.h>
#include <stdlib.h>

#include "bench/base/cli.h"
#include "bench/commands/commands.h"
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

gb_status cmd_parity(int argc, char **argv, gb_error *err)
{
    parity_job job = {.spec = train_spec_default(), .device_index = -1};
    const char *preset = NULL, *backend = "auto";
    int64_t threads = 0, device = -1;
    cli_list settings = {.count = 0};
    const cli_option options[] = {
        {"--weights", NULL, CLI_TEXT, &job.weights, "FILE", "safetensors file, PyTorch's names", 0,
         0},
        {"--tokens", NULL, CLI_TEXT, &job.tokens, "FILE", ".bin shard; its first B*T+1 tokens", 0,
         0},
        {"--out", "-o", CLI_TEXT, &job.out, "FILE", "where loss and gradients go (safetensors)", 0,
         0},
        {"--model", NULL, CLI_TEXT, &preset, "PRESET", "preset to start from (d12)", 0, 0},
        {"--set", NULL, CLI_LIST, &settings, "KEY=VALUE",
         "a model or train key (batch_size, sequence_length, precision); may be repeated", 0, 0},
        {"--backend", NULL, CLI_TEXT, &backend, "NAME", "auto, cuda or cpu", 0, 0},
        {"--threads", NULL, CLI_INT, &threads, "N", "CPU threads (all)", 0, 1024},
        {"--device", NULL, CLI_INT, &device, "N", "GPU to use, of the visible ones (the first)", 0,
         1023},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        .usage = "gptbench parity --weights W.safetensors --tokens B.bin [--set KEY=VALUE ...] "
                 "-o OUT.safetensors",
        .summary = "One batch through forward and backward. OUT holds `loss` (one float64, mean "
                   "nats/token)\nand each gradient under its weight's own name, for checks "
                   "against PyTorch.",
        .options = options};
    const char *positional[1];
    int n_positional;
    bool help_shown;
    GB_TRY(cli_parse(&command, argc, argv, positional, &n_positional, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    if (!job.weights || !job.tokens || !job.out) {
        return gb_fail(err, GB_ERR_USAGE, "parity needs --weights, --tokens and -o");
    }
    snprintf(job.spec.train_data, sizeof job.spec.train_data, "%s", job.tokens);
    snprintf(job.spec.val_data, sizeof job.spec.val_data, "%s", job.tokens);
    GB_TRY(settings_read(&job.config, &job.spec, preset, &settings, err));
    GB_TRY(settings_backend(&job.backend, backend, (gb_precision)job.spec.precision, device, err));
    job.threads = (int)threads;
    job.device_index = (int)device;
    return parity_run(&job, err);
}
