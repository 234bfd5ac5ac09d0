/* `make bench`: how long a training step takes on the CPU backend, in ms and tokens/s, what share
 * of the measured GEMM peak that is, and where the time goes. The two models of
 * tests/perf/bench_case.h. The steps that the median is taken over run without per-op timers; the
 * table comes from steps of its own after them, and what timers cost from steps with and without
 * them in turn. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/cli.h"
#include "kernels/cpu/cpu_env.h"
#include "kernels/nvtx.h"
#include "tests/perf/bench_case.h"

enum { MAX_STEPS = 1000, MAX_ROWS = 2048, TABLE_STEPS = 3 };
enum { PAIRS_MIN = 5, PAIRS_MAX = 400, COST_SECONDS = 5 };

typedef struct bench_options {
    const char *model;     /* NULL: both */
    const char *precision; /* NULL: both */
    int64_t threads, steps;
    bool no_ops;
} bench_options;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Nanoseconds that the timer of one op costs, by itself: an op that does nothing to speak of, many
 * times with and without timers, the least of several rounds each. The noise of whole steps
 * is larger than that on a shared machine. The
 * clock that each thread of our kernels reads besides, once, is not in it. */
static double timer_ns(bench_run *run)
{
    enum { CALLS = 20000, ROUNDS = 9 };
    double best[2] = {INFINITY, INFINITY};
    int64_t value = 0, copy = 0;
    for (int i = 0; i < 2 * ROUNDS; i++) {
        run->be->timers_enable(run->dev, i % 2 == 1);
        run->be->timers_reset(run->dev);
        double start = gb_monotonic_ms();
        for (int k = 0; k < CALLS; k++) {
            (void)run->be->upload(run->dev, &copy, &value, sizeof value);
        }
        best[i % 2] = fmin(best[i % 2], gb_monotonic_ms() - start);
    }
    run->be->timers_enable(run->dev, false);
    return (best[1] - best[0]) / CALLS * 1e6;
}

/* Ops that the ledger holds: of one step where it was reset before. */
static int64_t step_calls(bench_run *run)
{
    static gb_op_time rows[MAX_ROWS];
    int n = run->be->timers_read(run->dev, rows, MAX_ROWS);
    int64_t calls = 0;
    for (int i = 0; i < n && i < MAX_ROWS; i++) {
        calls += rows[i].calls;
    }
    return calls;
}

/* What the per-op timers cost: steps with and without them in turn, the pair's order changing, so
 * that what drifts on the machine meets both. As many pairs as fit into
 * `seconds`, at least PAIRS_MIN. */
static gb_status print_timer_cost(bench_run *run, const bench_case *c, double seconds,
                                  gb_error *err)
{
    double on[PAIRS_MAX], off[PAIRS_MAX], ratio[PAIRS_MAX];
    double start = gb_monotonic_ms();
    int n = 0;
    gb_status status = GB_OK;
    while (status == GB_OK && n < PAIRS_MAX &&
           (n < PAIRS_MIN || gb_monotonic_ms() - start < 1e3 * seconds)) {
        for (int k = 0; k < 2 && status == GB_OK; k++) {
            bool timed = (n + k) % 2 == 0;
            run->be->timers_enable(run->dev, timed);
            run->be->timers_reset(run->dev);
            status = bench_run_step(run, c, timed ? &on[n] : &off[n], err);
        }
        ratio[n] = on[n] / off[n];
        n++;
    }
    run->be->timers_enable(run->dev, false);
    if (status == GB_OK) {
        double of_pairs = median_of(ratio, n) - 1, with = median_of(on, n),
               without = median_of(off, n);
        double calls = (double)step_calls(run), ns = timer_ns(run);
        printf("  one op's timer: %.0f ns; %.0f ops a step: %.3f %% of it\n", ns, calls,
               100 * ns * calls / (without * 1e6));
        printf("  per-op timers cost %+.2f %% of a step (median of %d pairs in turn, half of them "
               "within %+.2f and %+.2f %%; medians %.3f ms with and %.3f without)\n",
               100 * of_pairs, n, 100 * (ratio[n / 4] - 1), 100 * (ratio[n - 1 - n / 4] - 1), with,
               without);
    }
    return status;
}

/* Per op and phase, summed over layers. */
static gb_status print_ops(bench_run *run, const bench_case *c, double peak, gb_error *err)
{
    static const char *const rule = "------------------";
    gb_op_time *rows = calloc(MAX_ROWS, sizeof *rows);
    if (rows == NULL) {
        return gb_fail(err, GB_ERR_OOM, "out of memory");
    }
    double ms = 0, total = 0;
    run->be->timers_enable(run->dev, true);
    run->be->timers_reset(run->dev);
    for (int i = 0; i < TABLE_STEPS; i++) {
        gb_status status = bench_run_step(run, c, &ms, err);
        if (status != GB_OK) {
            free(rows);
            return status;
        }
        total += ms / TABLE_STEPS;
    }
    int n = run->be->timers_read(run->dev, rows, MAX_ROWS);
    double listed = 0;
    printf("  %-9s %-16s %9s %7s %9s %8s\n", "phase", "op", "ms/step", "share", "GFLOP/s",
           "of peak");
    printf("  %.9s %.16s %.9s %.7s %.9s %.8s\n", rule, rule, rule, rule, rule, rule);
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        for (int op = 0; op < GB_OP_COUNT; op++) {
            double time = 0, flops = 0;
            for (int i = 0; i < n && i < MAX_ROWS; i++) {
                if ((int)rows[i].phase == phase && (int)rows[i].op == op) {
                    time += rows[i].time_ms / TABLE_STEPS;
                    flops += rows[i].flops / TABLE_STEPS;
                }
            }
            if (time <= 0) {
                continue;
            }
            listed += time;
            printf("  %-9s %-16s %9.3f %6.1f%%", gb_phase_name((gb_phase)phase),
                   gb_op_name((gb_op)op), time, 100 * time / total);
            if (flops > 0) {
                printf(" %9.1f %7.1f%%", flops / time * 1e-6, 100 * flops / time * 1e3 / peak);
            }
            printf("\n");
        }
    }
    printf("  %-9s %-16s %9.3f %6.1f%%\n", "", "unattributed", total - listed,
           100 * (total - listed) / total);
    free(rows);
    return GB_OK;
}

static gb_status bench_case_run(const bench_case *c, const bench_options *o, gb_error *err)
{
    bench_run run = {0};
    double *times = calloc(MAX_STEPS, sizeof *times), warmup_ms;
    gb_status status = GB_ERR_OOM;
    if (times == NULL) {
        gb_fail(err, GB_ERR_OOM, "out of memory");
        goto done;
    }
    status = bench_run_open(&run, c, (int)o->threads, err);
    if (status != GB_OK) {
        goto done;
    }
    double peak = run.be->measure_gemm_peak(run.dev);
    for (int i = 0; i < 3 && status == GB_OK; i++) {
        status = bench_run_step(&run, c, &warmup_ms, err);
    }
    int64_t steps = 0;
    double start = gb_monotonic_ms();
    /* As many as asked for, or five seconds' worth, at least five. */
    while (status == GB_OK && steps < MAX_STEPS &&
           (o->steps > 0 ? steps < o->steps : steps < 5 || gb_monotonic_ms() - start < 5000)) {
        status = bench_run_step(&run, c, &times[steps++], err);
    }
    if (status != GB_OK) {
        goto done;
    }
    qsort(times, (size_t)steps, sizeof *times, compare_doubles);
    double median = times[steps / 2], tokens = (double)(c->B * c->T);
    double rate = gpt_flops_exact(&c->config, c->T) * tokens / median * 1e3;
    gb_description d;
    run.be->describe(run.dev, &d);
    printf("%s %s, %d threads: %.1f ms/step (median of %lld, best %.1f), %.0f tokens/s, "
           "%.1f GFLOP/s = %.1f %% of the GEMM peak (%.1f)\n",
           c->name, gb_precision_name(c->precision), d.threads, median, (long long)steps, times[0],
           tokens / median * 1e3, rate * 1e-9, 100 * rate / peak, peak * 1e-9);
    if (!o->no_ops) {
        printf("  %s, %s, %s%s%s\n", d.device, d.isa, d.libraries,
               d.precision_note[0] != '\0' ? "; " : "", d.precision_note);
        status = print_ops(&run, c, peak, err);
        if (status == GB_OK) {
            status = print_timer_cost(&run, c, COST_SECONDS, err);
        }
    }
done:
    bench_run_close(&run);
    free(times);
    return status;
}

/* What begin and end of an op's range cost: mostly nothing listens, and they find that out. */
static void print_range_cost(void)
{
    enum { OPS = 10000000, OPS_HEARD = 100000, REPEATS = 5 };
    gb_nvtx *const opened = gb_nvtx_open(1);
    gb_nvtx *volatile ranges = opened; /* read anew for each op, as a device's is */
    const int ops = opened ? OPS_HEARD : OPS;
    double best = INFINITY;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = gb_monotonic_ms();
        for (int i = 0; i < ops; i++) {
            gb_nvtx_op_begin(ranges, GB_OP_NORM);
            gb_nvtx_op_end(ranges);
        }
        double ns = (gb_monotonic_ms() - start) * 1e6 / ops;
        best = ns < best ? ns : best;
    }
    printf("ranges of an op: %.2f ns (%s)\n", best,
           opened               ? "a listener is there"
           : gb_nvtx_built_in() ? "nothing listens"
                                : "NVTX is not built in");
    gb_nvtx_close(opened);
}

static gb_status bench_all(const bench_options *o, gb_error *err)
{
    static const char *const models[] = {"small", "d12"};
    bool any = false;
    for (int i = 0; i < 4; i++) {
        bench_case c;
        GB_TRY(bench_case_find(&c, models[i / 2], i % 2 ? GB_BF16 : GB_FP32, err));
        if ((o->model == NULL || strcmp(o->model, c.name) == 0) &&
            (o->precision == NULL || strcmp(o->precision, gb_precision_name(c.precision)) == 0)) {
            any = true;
            GB_TRY(bench_case_run(&c, o, err));
            fflush(stdout);
        }
    }
    if (any) {
        print_range_cost();
    }
    return any ? GB_OK
               : gb_fail(err, GB_ERR_USAGE,
                         "nothing to run: --model is small or d12, "
                         "--precision fp32 or bf16");
}

int main(int argc, char **argv)
{
    cpu_env_prepare(argv);
    bench_options o = {0};
    const cli_option options[] = {{.name = "--model",
                                   .type = CLI_TEXT,
                                   .target = &o.model,
                                   .value_name = "NAME",
                                   .help = "small or d12; both when left out"},
                                  {.name = "--precision",
                                   .type = CLI_TEXT,
                                   .target = &o.precision,
                                   .value_name = "P",
                                   .help = "fp32 or bf16; both when left out"},
                                  {.name = "--threads",
                                   .type = CLI_INT,
                                   .target = &o.threads,
                                   .value_name = "N",
                                   .help = "0 = all that the process may use",
                                   .min = 0,
                                   .max = 4096},
                                  {.name = "--steps",
                                   .type = CLI_INT,
                                   .target = &o.steps,
                                   .value_name = "N",
                                   .help = "steps to take the median over; 0 = five seconds' worth",
                                   .min = 0,
                                   .max = MAX_STEPS},
                                  {.name = "--no-ops",
                                   .type = CLI_FLAG,
                                   .target = &o.no_ops,
                                   .help = "leave out the table of ops"},
                                  {.name = NULL}};
    const cli_command command = {.usage = "bench_step [options]",
                                 .summary = "Times a training step on the CPU backend.",
                                 .options = options};
    gb_error err = {0};
    bool help_shown = false;
    int n_positional = 0;
    gb_status status = cli_parse(&command, argc, argv, NULL, &n_positional, &help_shown, &err);
    if (status == GB_OK && !help_shown) {
        status = bench_all(&o, &err);
    }
    if (status != GB_OK) {
        fprintf(stderr, "bench_step: %s\n", err.message);
    }
    return gb_status_exit_code(status);
}
