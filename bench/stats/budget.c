#include "bench/stats/budget.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

const char *budget_kind_name(budget_kind kind)
{
    static const char *const names[BUDGET_KINDS] = {"steps", "tokens", "FLOPs", "seconds"};
    return names[kind];
}

/* ---- one curve ---- */

/* Validations that can be used. */
static int curve_length(const budget_run *run)
{
    int n = 0;
    while (n < run->n_evals && isfinite(run->evals[n].val_loss) && run->evals[n].steps >= 0 &&
           (n == 0 || run->evals[n].steps > run->evals[n - 1].steps)) {
        n++;
    }
    return n;
}

/* What one step takes; NAN where unknown or not above 0. */
static double per_step(const budget_run *run, budget_kind kind)
{
    double tokens = run->tokens_per_step;
    double amount = kind == BUDGET_STEPS    ? 1
                    : kind == BUDGET_TOKENS ? tokens
                    : kind == BUDGET_FLOPS  ? tokens * run->flops_per_token
                                            : run->seconds_per_step;
    return isfinite(amount) && amount > 0 ? amount : NAN;
}

double budget_end(const budget_run *run, budget_kind kind)
{
    int n = curve_length(run);
    return n > 0 ? run->evals[n - 1].steps * per_step(run, kind) : NAN;
}

double budget_loss_at(const budget_run *run, budget_kind kind, double budget)
{
    const double rounding = 1e-12; /* of an end that was multiplied and is divided again */
    const budget_eval *e = run->evals;
    const int n = curve_length(run);
    double s = budget / per_step(run, kind);
    if (n == 0 || !(s >= e[0].steps * (1 - rounding)) || !(s <= e[n - 1].steps * (1 + rounding))) {
        return NAN;
    }
    int i = 0;
    while (i < n - 1 && e[i].steps < s) {
        i++;
    }
    if (i == 0 || s >= e[i].steps) {
        return e[i].val_loss;
    }
    double a = e[i - 1].steps, b = e[i].steps;
    double share = a > 0 ? log(s / a) / log(b / a) : s / b;
    return e[i - 1].val_loss + share * (e[i].val_loss - e[i - 1].val_loss);
}

double budget_to_reach(const budget_run *run, budget_kind kind, double loss)
{
    const budget_eval *e = run->evals;
    const int n = curve_length(run);
    int i = 0;
    while (i < n && !(e[i].val_loss <= loss)) {
        i++;
    }
    if (i == n) {
        return NAN;
    }
    double s = e[i].steps;
    if (i > 0) {
        double a = e[i - 1].steps;
        double share = (e[i - 1].val_loss - loss) / (e[i - 1].val_loss - e[i].val_loss);
        s = a > 0 ? a * pow(s / a, share) : share * s;
    }
    return s * per_step(run, kind);
}

/* ---- pairs ---- */

typedef struct pair {
    const budget_run *config, *base;
} pair;

static int pairs_make(pair *out, const budget_run *config, int n_config, const budget_run *base,
                      int n_base)
{
    int n = 0;
    for (int i = 0; i < n_config; i++) {
        bool again = false;
        for (int k = 0; k < n; k++) {
            again = again || out[k].config->replicate == config[i].replicate;
        }
        for (int k = 0; k < n_base && !again; k++) {
            if (base[k].replicate == config[i].replicate) {
                out[n++] = (pair){&config[i], &base[k]};
                again = true;
            }
        }
    }
    return n;
}

static void equal_make(budget_equal *out, const pair *pairs, int n, budget_kind kind,
                       double *scratch)
{
    double base = 0, config = 0;
    *out = (budget_equal){NAN, 0, NAN, NAN, {NAN, NAN, NAN}};
    for (int i = 0; i < n; i++) {
        double one = budget_end(pairs[i].config, kind), other = budget_end(pairs[i].base, kind);
        if (isfinite(one) && isfinite(other)) {
            out->budget = fmin(out->budget, fmin(one, other)); /* fmin passes over NAN */
        }
    }
    for (int i = 0; i < n; i++) {
        double one = budget_loss_at(pairs[i].config, kind, out->budget);
        double other = budget_loss_at(pairs[i].base, kind, out->budget);
        if (isfinite(one) && isfinite(other)) {
            config += one;
            base += other;
            scratch[out->n_pairs++] = one - other;
        }
    }
    if (out->n_pairs > 0) {
        out->config = config / out->n_pairs;
        out->base = base / out->n_pairs;
        out->difference = stats_mean_interval(scratch, (size_t)out->n_pairs, 0.95);
    }
}

static void reach_make(budget_reach *out, const pair *pairs, int n, budget_kind kind,
                       double *scratch)
{
    double base = 0, config = 0;
    *out = (budget_reach){0, 0, NAN, NAN, {NAN, NAN, NAN}};
    for (int i = 0; i < n; i++) {
        int length = curve_length(pairs[i].base);
        double target = length > 0 ? pairs[i].base->evals[length - 1].val_loss : NAN;
        double own = budget_to_reach(pairs[i].base, kind, target);
        if (!(own > 0) || curve_length(pairs[i].config) == 0 ||
            isnan(per_step(pairs[i].config, kind))) {
            continue; /* nothing to reach, or no way to tell */
        }
        double need = budget_to_reach(pairs[i].config, kind, target);
        out->n_pairs++;
        if (isfinite(need)) {
            base += own;
            config += need;
            scratch[out->n_reached++] = log(need / own);
        }
    }
    if (out->n_pairs > 0 && out->n_reached == out->n_pairs) {
        stats_interval logs = stats_mean_interval(scratch, (size_t)out->n_pairs, 0.95);
        out->base = base / out->n_pairs;
        out->config = config / out->n_pairs;
        out->ratio = (stats_interval){exp(logs.value), exp(logs.low), exp(logs.high)};
    }
}

gb_status budget_compare(budget_comparison *out, const budget_run *config, int n_config,
                         const budget_run *base, int n_base, gb_error *err)
{
    pair *pairs = calloc((size_t)n_config + 1, sizeof *pairs);
    double *scratch = calloc((size_t)n_config + 1, sizeof *scratch);
    gb_status status = GB_OK;
    if (pairs && scratch) {
        out->n_shared = pairs_make(pairs, config, n_config, base, n_base);
        for (int kind = 0; kind < BUDGET_KINDS; kind++) {
            equal_make(&out->equal[kind], pairs, out->n_shared, (budget_kind)kind, scratch);
            reach_make(&out->reach[kind], pairs, out->n_shared, (budget_kind)kind, scratch);
        }
    } else {
        status = gb_fail(err, GB_ERR_OOM, "no memory for %d replicates", n_config);
    }
    free(pairs);
    free(scratch);
    return status;
}
