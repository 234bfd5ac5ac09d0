#include "bench/stats/verdict.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/block_count.h"

verdict_rule verdict_rule_default(void)
{
    return (verdict_rule){
        .alpha = 0.05, .band = 0.005, .floor = 0, .power = 0.9, .further_cap = 10000};
}

const char *verdict_speed_name(verdict_kind kind)
{
    return kind == VERDICT_LESS   ? "FASTER"
           : kind == VERDICT_MORE ? "SLOWER"
           : kind == VERDICT_SAME ? "SAME"
                                  : "UNCLEAR";
}

const char *verdict_loss_name(verdict_kind kind)
{
    return kind == VERDICT_LESS   ? "BETTER"
           : kind == VERDICT_MORE ? "WORSE"
                                  : verdict_speed_name(kind);
}

size_t verdict_resamples(size_t m)
{
    return m <= 10 ? 4000 : m >= 100 ? 40000 : 400 * m;
}

/* ---- Holm ---- */

typedef struct ranked {
    double p;
    size_t index;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    int by_p = (x->p > y->p) - (x->p < y->p);
    return by_p ? by_p : (x->index > y->index) - (x->index < y->index);
}

gb_status verdict_holm(const double *p, size_t m, double alpha, double *level_alpha, bool *decided,
                       gb_error *err)
{
    ranked *order = malloc((m ? m : 1) * sizeof *order);
    if (!order) {
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu comparisons", m);
    }
    for (size_t i = 0; i < m; i++) {
        order[i] = (ranked){isnan(p[i]) ? 1 : p[i], i};
    }
    qsort(order, m, sizeof *order, compare_ranked);
    bool going = true;
    double level = alpha;
    for (size_t k = 0; k < m; k++) {
        if (going) { /* once stopped, the level stays that of the stop */
            level = alpha / (double)(m - k);
            going = order[k].p <= level;
        }
        level_alpha[order[k].index] = level;
        decided[order[k].index] = going;
    }
    free(order);
    return GB_OK;
}

/* ---- one verdict ---- */

/* The smallest alpha whose two-sided interval lies wholly above or below the band. */
static double p_beyond_band(const estimate *e, double band)
{
    double above = estimate_p_above(e, log1p(band)), below = estimate_p_below(e, log1p(-band));
    return isnan(above) ? NAN : fmin(1, 2 * fmin(above, below));
}

/* ... wholly inside it. */
static double p_within_band(const estimate *e, double band)
{
    double above = estimate_p_above(e, log1p(-band)), below = estimate_p_below(e, log1p(band));
    return isnan(above) ? NAN : fmin(1, 2 * fmax(above, below));
}

static verdict verdict_begin(const estimate *e, const verdict_rule *rule)
{
    return (verdict){
        .kind = VERDICT_UNCLEAR,
        .doubt = e->kind == ESTIMATE_NONE   ? VERDICT_NO_VALUE
                 : estimate_has_interval(e) ? VERDICT_WIDE
                                            : VERDICT_NO_INTERVAL,
        .n = e->n,
        .change = estimate_change(e, 0.95),
        .corrected = {expm1(e->value), NAN, NAN},
        .level = NAN,
        .p_beyond = p_beyond_band(e, rule->band),
        .p_within = p_within_band(e, rule->band),
        .band = rule->band,
        .floor = rule->floor,
        .further = NAN,
        .detectable = NAN,
    };
}

/* How Holm's two passes ended for one config. */
typedef struct passes {
    double beyond_alpha, within_alpha; /* what its two p were held against */
    bool beyond, within;
} passes;

static double further_blocks(const verdict *v, const estimate *e, double alpha,
                             const verdict_rule *rule)
{
    double all =
        block_count_to_settle(block_spread_of(e), e->value, rule->band, alpha, rule->power);
    double more = fmax(all - (double)e->n, 1);
    if (isnan(all) || v->doubt == VERDICT_FLOOR) {
        return NAN;
    }
    return more > rule->further_cap ? INFINITY : more;
}

static void verdict_finish(verdict *v, const estimate *e, const passes *held,
                           const verdict_rule *rule)
{
    double alpha = held->beyond || !held->within ? held->beyond_alpha : held->within_alpha;
    v->level = 1 - alpha;
    v->corrected = estimate_change(e, v->level);
    v->detectable =
        block_count_detectable(block_spread_of(e), (double)e->n, rule->band, alpha, rule->power);
    v->doubt = VERDICT_NO_DOUBT;
    if (held->beyond && fabs(v->change.value) <= rule->floor) {
        v->doubt = VERDICT_FLOOR;
    } else if (held->beyond) {
        v->kind = e->value < 0 ? VERDICT_LESS : VERDICT_MORE;
    } else if (held->within) {
        v->kind = VERDICT_SAME;
    } else {
        bool alone = v->p_beyond <= rule->alpha || v->p_within <= rule->alpha;
        v->doubt = alone ? VERDICT_CORRECTION : VERDICT_WIDE;
    }
    if (v->kind == VERDICT_UNCLEAR) {
        v->further = further_blocks(v, e, alpha, rule);
    }
}

/* Room for the configs that have an interval: Holm's m. */
typedef struct family {
    size_t m;
    size_t *index;
    double *p, *level_alpha;
    bool *decided;
    passes *held;
} family;

static void family_free(family *f)
{
    free(f->index);
    free(f->p);
    free(f->level_alpha);
    free(f->decided);
    free(f->held);
}

static gb_status family_create(family *f, size_t m, gb_error *err)
{
    size_t room = m ? m : 1;
    *f = (family){0,
                  calloc(room, sizeof(size_t)),
                  calloc(room, sizeof(double)),
                  calloc(room, sizeof(double)),
                  calloc(room, sizeof(bool)),
                  calloc(room, sizeof(passes))};
    if (!f->index || !f->p || !f->level_alpha || !f->decided || !f->held) {
        family_free(f);
        return gb_fail(err, GB_ERR_OOM, "no memory for %zu verdicts", m);
    }
    return GB_OK;
}

/* Both of Holm's passes over the family. */
static gb_status family_correct(family *f, const verdict *verdicts, double alpha, gb_error *err)
{
    for (size_t k = 0; k < f->m; k++) {
        f->p[k] = verdicts[f->index[k]].p_beyond;
    }
    GB_TRY(verdict_holm(f->p, f->m, alpha, f->level_alpha, f->decided, err));
    for (size_t k = 0; k < f->m; k++) {
        f->held[k].beyond_alpha = f->level_alpha[k];
        f->held[k].beyond = f->decided[k];
        f->p[k] = verdicts[f->index[k]].p_within;
    }
    GB_TRY(verdict_holm(f->p, f->m, alpha, f->level_alpha, f->decided, err));
    for (size_t k = 0; k < f->m; k++) {
        f->held[k].within_alpha = f->level_alpha[k];
        f->held[k].within = f->decided[k];
    }
    return GB_OK;
}

gb_status verdict_judge(verdict *out, const estimate *const *estimates, size_t m,
                        const verdict_rule *rule, gb_error *err)
{
    family f;
    GB_TRY(family_create(&f, m, err));
    for (size_t i = 0; i < m; i++) {
        out[i] = verdict_begin(estimates[i], rule);
        if (estimate_has_interval(estimates[i])) {
            f.index[f.m++] = i;
        }
    }
    gb_status status = family_correct(&f, out, rule->alpha, err);
    for (size_t k = 0; status == GB_OK && k < f.m; k++) {
        out[f.index[k]].comparisons = f.m;
        verdict_finish(&out[f.index[k]], estimates[f.index[k]], &f.held[k], rule);
    }
    family_free(&f);
    return status;
}
