/* gptbench's side of `make bench-peers` (scripts/bench_peers.sh): opens a model of
 * tests/perf/bench_case.h, warms up, prints {"ready": "what this is"}, and then for every line on
 * its standard input runs a block of training steps and prints, on one line,
 *
 *   {"step_ms": [..], "peak_rss_bytes": .., "base_rss_bytes": .., "loss": ..,
 * "gemm_peak_flops_per_s": .., "flops_per_step": .., "tokens_per_step": ..}
 *
 * tests/perf/peers/pytorch_step.py speaks the same. The GEMM peak is measured after each block's
 * steps, so that the machine is as fast or slow for it as it was for them. */
#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>

#include "bench/base/cli.h"
#include "kernels/cpu/cpu_env.h"
#include "tests/perf/bench_case.h"
#include "version.h"

enum { MAX_STEPS = 1000 };

typedef struct peer_options {
    const char *model, *precision;
    int64_t threads, steps, lead, warmup, batch, length;
} peer_options;

typedef struct rss {
    int64_t base_bytes, peak_bytes; /* before there is a model; after the first block */
} rss;

/* The largest resident size that this process has had; 0 when the system does not say. */
static int64_t peak_rss_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

static gb_status json_line(json_t *object, gb_error *err)
{
    if (object == NULL || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0) {
        json_decref(object);
        return gb_fail(err, GB_ERR_IO, "a result could not be written");
    }
    json_decref(object);
    putchar('\n');
    fflush(stdout);
    return GB_OK;
}

/* Before the model and its buffers are counted the GEMM peak must not have been measured: its
 * matrices would be part of what the process took. So the first block reads its own peak before
 * that, and later blocks say the same again. */
static gb_status run_block(bench_run *run, const bench_case *c, const peer_options *o, rss *memory,
                           gb_error *err)
{
    double ms = 0;
    for (int64_t i = 0; i < o->lead; i++) {
        GB_TRY(bench_run_step(run, c, &ms, err));
    }
    json_t *times = json_array();
    for (int64_t i = 0; i < o->steps; i++) {
        gb_status status = bench_run_step(run, c, &ms, err);
        if (status != GB_OK || json_array_append_new(times, json_real(ms)) != 0) {
            json_decref(times);
            return status != GB_OK ? status : gb_fail(err, GB_ERR_OOM, "out of memory");
        }
    }
    if (memory->peak_bytes == 0) {
        memory->peak_bytes = peak_rss_bytes();
    }
    double tokens = (double)(c->B * c->T);
    double peak = run->be->measure_gemm_peak(run->dev);
    return json_line(
        json_pack("{s:o,s:I,s:I,s:f,s:f,s:f,s:f}", "step_ms", times, "peak_rss_bytes",
                  (json_int_t)memory->peak_bytes, "base_rss_bytes", (json_int_t)memory->base_bytes,
                  "loss", run->last_loss / tokens, "gemm_peak_flops_per_s", peak, "flops_per_step",
                  gpt_flops_exact(&c->config, c->T) * tokens, "tokens_per_step", tokens),
        err);
}

static gb_status peer_serve(bench_run *run, const bench_case *c, const peer_options *o,
                            gb_error *err)
{
    rss memory = {.base_bytes = peak_rss_bytes()};
    GB_TRY(bench_run_open(run, c, (int)o->threads, err));
    double ms = 0;
    for (int64_t i = 0; i < o->warmup; i++) {
        GB_TRY(bench_run_step(run, c, &ms, err));
    }
    gb_description d;
    run->be->describe(run->dev, &d);
    char text[1024];
    snprintf(text, sizeof text, "gptbench %s %s, %d threads, %s, %s", GPTBENCH_COMMIT,
             gb_precision_name(c->precision), d.threads, d.isa, d.libraries);
    GB_TRY(json_line(json_pack("{s:s}", "ready", text), err));
    for (int letter = getchar(); letter != EOF; letter = getchar()) {
        if (letter == '\n') {
            GB_TRY(run_block(run, c, o, &memory, err));
        }
    }
    return GB_OK;
}

static gb_status peer_run(const peer_options *o, gb_error *err)
{
    bench_case c;
    bool bf16 = strcmp(o->precision, "bf16") == 0;
    if (!bf16 && strcmp(o->precision, "fp32") != 0) {
        return gb_fail(err, GB_ERR_USAGE, "--precision is fp32 or bf16, not '%s'", o->precision);
    }
    GB_TRY(bench_case_find(&c, o->model, bf16 ? GB_BF16 : GB_FP32, err));
    c.B = o->batch > 0 ? o->batch : c.B;
    c.T = o->length > 0 ? o->length : c.T;
    bench_run run = {0};
    gb_status status = peer_serve(&run, &c, o, err);
    bench_run_close(&run);
    return status;
}

int main(int argc, char **argv)
{
    cpu_env_prepare(argv);
    peer_options o = {.model = "small", .precision = "fp32", .steps = 8, .lead = 1, .warmup = 3};
    const cli_option options[] = {
        {"--model", NULL, CLI_TEXT, &o.model, "NAME", "small or d12", 0, 0},
        {"--precision", NULL, CLI_TEXT, &o.precision, "P", "fp32 or bf16", 0, 0},
        {"--threads", NULL, CLI_INT, &o.threads, "N", "0: all that the process may use", 0, 4096},
        {"--steps", NULL, CLI_INT, &o.steps, "N", "timed steps of a block", 1, MAX_STEPS},
        {"--lead", NULL, CLI_INT, &o.lead, "N", "steps before them, untimed", 0, MAX_STEPS},
        {"--warmup", NULL, CLI_INT, &o.warmup, "N", "steps before the first block", 0, MAX_STEPS},
        {"--batch", NULL, CLI_INT, &o.batch, "B", "0: the model's own", 0, 1 << 16},
        {"--length", NULL, CLI_INT, &o.length, "T", "0: the model's own", 0, 1 << 16},
        {.name = NULL}};
    const cli_command command = {.usage = "bench_peer [options]",
                                 .summary = "A block of training steps for each line it reads.",
                                 .options = options};
    gb_error err = {0};
    bool help_shown = false;
    int n_positional = 0;
    gb_status status = cli_parse(&command, argc, argv, NULL, &n_positional, &help_shown, &err);
    if (status == GB_OK && !help_shown) {
        status = peer_run(&o, &err);
    }
    if (status != GB_OK) {
        fprintf(stderr, "bench_peer: %s\n", err.message);
    }
    return gb_status_exit_code(status);
}
