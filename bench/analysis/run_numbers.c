#include "bench/analysis/run_numbers.h"

#include <math.h>

static gb_status averages_make(run_facts *run, gb_error *err)
{
    run->step_avg_ms = stats_mean(run->timed_ms, (size_t)run->n_timed);
    for (int64_t k = 0; k < run->n_evals; k++) {
        double loss = run->evals[k].val_loss;
        run->final_val_loss = loss;
        run->first_val_loss = run->evals[k].step == 0 ? loss : run->first_val_loss;
        if (isfinite(loss) && !(loss >= run->best_val_loss)) {
            run->best_val_loss = loss;
        }
    }
    return stats_median(run->timed_ms, (size_t)run->n_timed, &run->step_median_ms, err);
}

gb_status run_numbers_make(facts *f, gb_error *err)
{
    for (int64_t i = 0; i < f->n_runs; i++) {
        run_facts *run = &f->runs[i];
        const config_facts *config = run->config >= 0 ? &f->configs[run->config] : NULL;
        if (config && config->model_known) {
            run->uniform_nats = log(config->model.vocab_size);
        }
        if (run->steps) {
            GB_TRY(averages_make(run, err));
        }
    }
    return GB_OK;
}

stats_interval run_step_avg(const run_facts *run)
{
    if (!run->steps) { /* read as a summary */
        return (stats_interval){run->step_avg_ms, NAN, NAN};
    }
    return stats_mean_interval(run->timed_ms, (size_t)run->n_timed, 0.95);
}

double run_tokens_per_s(int64_t tokens_per_step, double step_ms)
{
    return (double)tokens_per_step * 1000 / step_ms;
}

stats_interval run_tokens_interval(int64_t tokens_per_step, stats_interval step_ms)
{
    bool above = step_ms.low > 0 || isnan(step_ms.low);
    return (stats_interval){run_tokens_per_s(tokens_per_step, step_ms.value),
                            run_tokens_per_s(tokens_per_step, step_ms.high),
                            above ? run_tokens_per_s(tokens_per_step, step_ms.low) : INFINITY};
}

double run_mfu(double flops_per_token, double tokens_per_second, double gemm_peak_flops_per_s)
{
    return flops_per_token * tokens_per_second / gemm_peak_flops_per_s;
}

double run_energy_per_token_j(const run_facts *run)
{
    if (run->n_timed_last <= 0 || run->tokens_per_step <= 0) {
        return NAN;
    }
    return run->sensors.energy_j / (double)(run->n_timed_last * run->tokens_per_step);
}
