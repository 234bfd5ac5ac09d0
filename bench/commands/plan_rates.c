#include "bench/commands/plan_rates.h"

#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "bench/base/terminal.h"
#include "bench/commands/dbfile.h"
#include "bench/run/machine.h"
#include "bench/run/progress.h"
#include "bench/store/store.h"

static void words_add(plan_rates *rates, const char *text)
{
    size_t used = strlen(rates->words);
    snprintf(rates->words + used, sizeof rates->words - used, "%s%s", used ? "; " : "", text);
}

/* ---- what databases know ---- */

static gb_status reached_add(plan_rates *rates, gb_precision precision, const store_rate *rate,
                             const char *path, gb_error *err)
{
    cost_rate *more = realloc(rates->reached, ((size_t)rates->n_reached + 1) * sizeof *more);
    char *config = strdup(rate->config), *source = strdup(path);
    rates->reached = more ? more : rates->reached;
    if (!more || !config || !source) {
        free(config);
        free(source);
        return gb_fail(err, GB_ERR_OOM, "no memory for what runs have reached");
    }
    more[rates->n_reached++] =
        (cost_rate){precision, rate->flops_per_step, rate->flops_per_s, config, source};
    return GB_OK;
}

static gb_status database_ask(plan_rates *rates, store *s, const store_machine *machine,
                              store_engine *engine, gb_precision precision, gb_error *err)
{
    store_peak peak;
    store_rate *list = NULL;
    int n = 0;
    GB_TRY(store_machine_find(s, machine, &engine->machine_id, err));
    if (engine->machine_id == 0) {
        return GB_OK;
    }
    GB_TRY(store_peak_get(s, engine, &peak, err));
    if (peak.flops_per_s > rates->peaks[precision]) {
        rates->peaks[precision] = peak.flops_per_s;
        snprintf(rates->sources[precision], sizeof rates->sources[0], "%s", store_path(s));
    }
    gb_status status = store_rates_list(s, engine, &list, &n, err);
    for (int i = 0; i < n && status == GB_OK; i++) {
        status = reached_add(rates, precision, &list[i], store_path(s), err);
    }
    free(list);
    return status;
}

static gb_status file_ask(plan_rates *rates, const char *path, const store_machine *machine,
                          store_engine *engine, gb_precision precision, gb_error *err)
{
    store *s = NULL;
    GB_TRY(store_open(&s, path, STORE_READ, err));
    gb_status status = database_ask(rates, s, machine, engine, precision, err);
    store_close(s);
    return status;
}

static gb_status databases_ask(plan_rates *rates, const char *db, const gb_backend *backend,
                               const gb_description *device, gb_precision precision, gb_error *err)
{
    store_machine machine;
    store_engine engine = {0, backend->name, gb_precision_name(precision), device->threads};
    glob_t found = {0};
    machine_describe(&machine, device);
    if (db) {
        return file_ask(rates, db, &machine, &engine, precision, err);
    }
    gb_status status = GB_OK;
    if (glob(DBFILE_PATTERN, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && status != GB_ERR_OOM; i++) {
            gb_error unused = {.message = ""};
            status = file_ask(rates, found.gl_pathv[i], &machine, &engine, precision, &unused);
        }
    }
    globfree(&found);
    return status == GB_ERR_OOM ? gb_fail(err, status, "no memory for what runs have reached")
                                : GB_OK;
}

/* ---- the rate of large products ---- */

/* Whether every cell of this precision is like something that has run here. */
static bool all_have_run(const plan_rates_asked *asked, gb_precision precision,
                         const cost_options *options)
{
    const suite *s = asked->suite;
    for (int i = 0; i < s->n_cells; i++) {
        if (s->cells[i].spec.precision == precision && !cost_rate_like(&s->cells[i], options)) {
            return false;
        }
    }
    return true;
}

/* About a second; on a terminal it is said what for. */
static double peak_measure(const gb_backend *backend, gb_device *device, const char *precision)
{
    progress *display = progress_create_for(stderr);
    progress_task_begin(display, "measuring the GEMM rate of %s in %s", backend->name, precision);
    double rate = backend->measure_gemm_peak(device);
    progress_free(display);
    return rate;
}

static double peak_find(plan_rates *rates, const gb_backend *backend, gb_device *device,
                        gb_precision precision)
{
    char text[400];
    const char *name = gb_precision_name(precision);
    double rate = rates->peaks[precision];
    if (rate > 0) {
        snprintf(text, sizeof text, "%s GFLOP/s on %s in %s, from %s",
                 number_rounded(rate / 1e9).text, backend->name, name, rates->sources[precision]);
    } else if ((rate = peak_measure(backend, device, name)) > 0) {
        snprintf(text, sizeof text, "%s GFLOP/s, measured now on %s in %s",
                 number_rounded(rate / 1e9).text, backend->name, name);
    } else {
        snprintf(text, sizeof text, "%s in %s: no rate (the measurement failed)", backend->name,
                 name);
    }
    words_add(rates, text);
    return rate > 0 ? rate : 0;
}

/* Of one precision, with the shape of one of its cells. */
static gb_status precision_find(plan_rates *rates, const plan_rates_asked *asked,
                                const suite_cell *cell, cost_options *options, gb_error *err)
{
    const gb_precision precision = (gb_precision)cell->spec.precision;
    const gb_backend *backend = options->backend;
    const char *why = backend->unavailable(precision);
    gb_device *device = NULL;
    gb_description description;
    gb_error error = {.message = ""};
    gb_options device_options = {
        .precision = precision, .threads = options->threads, .device_index = -1};
    device_options.shape =
        gpt_config_shape(&cell->config, cell->spec.batch_size, cell->spec.sequence_length);
    if (why || backend->open(&device_options, &device, &error) != GB_OK) {
        char text[300];
        snprintf(text, sizeof text, "%s in %s: no rate (%.200s)", backend->name,
                 gb_precision_name(precision), why ? why : error.message);
        words_add(rates, text);
        return GB_OK;
    }
    backend->describe(device, &description);
    gb_status status = databases_ask(rates, asked->db, backend, &description, precision, err);
    options->reached = rates->reached;
    options->n_reached = rates->n_reached;
    if (status == GB_OK && !all_have_run(asked, precision, options)) {
        options->gemm_flops_per_s[precision] = peak_find(rates, backend, device, precision);
    }
    backend->close(device);
    return status;
}

gb_status plan_rates_find(plan_rates *rates, const plan_rates_asked *asked, cost_options *options,
                          gb_error *err)
{
    *rates = (plan_rates){.n_reached = 0};
    if (asked->gflops > 0) {
        snprintf(rates->words, sizeof rates->words, "%lld GFLOP/s, as given",
                 (long long)asked->gflops);
        options->gemm_flops_per_s[0] = options->gemm_flops_per_s[1] = 1e9 * (double)asked->gflops;
        return GB_OK;
    }
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < asked->suite->n_cells; i++) {
            const suite_cell *cell = &asked->suite->cells[i];
            if (cell->spec.precision == p &&
                (!asked->only || fnmatch(asked->only, cell->name, 0) == 0)) {
                GB_TRY(precision_find(rates, asked, cell, options, err));
                break;
            }
        }
    }
    return GB_OK;
}

void plan_rates_free(plan_rates *rates)
{
    for (int i = 0; i < rates->n_reached; i++) {
        free((char *)rates->reached[i].config);
        free((char *)rates->reached[i].source);
    }
    free(rates->reached);
    rates->reached = NULL;
    rates->n_reached = 0;
}

/* ---- words ---- */

/* "`base` of results/s.db, 22.9 GFLOP/s, 14.8 % of the GEMM peak". */
static void rate_format(char *out, size_t size, const plan_rates *rates, const cost_rate *rate)
{
    double peak = rates->peaks[rate->precision];
    snprintf(out, size, "`%.100s` of %.200s, %s GFLOP/s%s%s%s", rate->config, rate->source,
             number_rounded(rate->flops_per_s / 1e9).text, peak > 0 ? ", " : "",
             peak > 0 ? number_percent(rate->flops_per_s / peak).text : "",
             peak > 0 ? " of the GEMM peak" : "");
}

/* The rates that the rows have, each once; how many rows have none. */
static int rates_used(const cost_estimate *p, const cost_rate **used, int max, int *n_used)
{
    int without = 0;
    *n_used = 0;
    for (int i = 0; i < p->n_rows; i++) {
        const cost_rate *like = p->rows[i].like;
        bool known = !like;
        without += !like;
        for (int k = 0; k < *n_used && !known; k++) {
            known = used[k] == like;
        }
        if (!known && *n_used < max) {
            used[(*n_used)++] = like;
        }
    }
    return without;
}

void plan_rates_say(const plan_rates *rates, const cost_estimate *p, FILE *out)
{
    enum { SHOWN = 3, MOST = 64 };
    const cost_rate *used[MOST];
    int n;
    int without = rates_used(p, used, MOST, &n);
    char list[1400] = "";
    for (int i = 0; i < n && i < SHOWN; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s", i ? "; " : "");
        at = strlen(list);
        rate_format(list + at, sizeof list - at, rates, used[i]);
    }
    if (n > 0) {
        terminal_say(out, 2,
                     "Time is an estimate: exact FLOPs at the rate that training has reached on "
                     "this machine with the nearest FLOPs per step (%s%s).\n",
                     list, n > SHOWN ? "; and others" : "");
    }
    if (without > 0) {
        terminal_say(out, 2, "%s%s at %.0f %% of the large-GEMM rate (%s).\n",
                     n > 0 ? "Of configs that are like none of these" : "Time is an estimate",
                     n > 0 ? ":" : ": exact FLOPs", 100 * COST_ASSUMED_EFFICIENCY, rates->words);
    }
    terminal_say(out, 2, "Validation counts, at a third of a training token's FLOPs.\n");
}
