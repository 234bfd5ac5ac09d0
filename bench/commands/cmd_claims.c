/* gptbench claims: what the measurements say of the claims of a suite. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/analysis/load.h"
#include "bench/base/cli.h"
#include "bench/base/json_value.h"
#include "bench/base/shell_words.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/dbfile.h"
#include "bench/plan/runplan.h"
#include "bench/words/claims_text.h"
#include "model/json_text.h"

typedef struct asked {
    const suite *suite;
    const findings *data;
    claim_result *results; /* suite->n_claims */
    char *changed; /* in what the database is of another text of the suite; NULL: it is not */
} asked;

/* ---- another text of the suite ---- */

/* Whether the database has the cell with other settings than the suite gives it. */
static gb_status cell_is_other(bool *other, const asked *a, const char *name, gb_error *err)
{
    *other = false;
    const facts *f = a->data->facts;
    int cell = suite_cell_find(a->suite, name);
    char *settings = cell < 0 ? NULL : runplan_settings_json(&a->suite->cells[cell]);
    if (!settings) {
        return cell < 0 ? GB_OK : gb_fail(err, GB_ERR_OOM, "no memory for settings");
    }
    for (int i = 0; i < f->n_configs; i++) {
        const config_facts *c = &f->configs[i];
        *other |= strcmp(c->name, name) == 0 && strcmp(c->settings_json, settings) != 0;
    }
    free(settings);
    return GB_OK;
}

static gb_status names_write(FILE *out, const asked *a, gb_error *err)
{
    int n = 0;
    for (int i = 0; i < 2 * a->suite->n_claims; i++) {
        bool other, said = false;
        const suite_claim *claim = &a->suite->claims[i / 2];
        const char *name = i % 2 ? claim->baseline : claim->config;
        for (int k = 0; k < i; k++) {
            const suite_claim *earlier = &a->suite->claims[k / 2];
            said = said || strcmp(k % 2 ? earlier->baseline : earlier->config, name) == 0;
        }
        GB_TRY(cell_is_other(&other, a, name, err));
        if (other && !said) {
            fprintf(out, "%s`%s`", n++ ? ", " : ": other settings are meant by ", name);
        }
    }
    if (n == 0) {
        fprintf(out, ", but with the same settings of all configs that claims are about");
    }
    return GB_OK;
}

static gb_status changes_find(asked *a, gb_error *err)
{
    size_t size;
    const facts *f = a->data->facts;
    if (strcmp(a->suite->text, f->suite_text) == 0) {
        return GB_OK;
    }
    FILE *out = open_memstream(&a->changed, &size);
    if (!out) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a note");
    }
    fprintf(out, "%s was filled from another text of the suite than %s is now", f->db_path,
            a->suite->path);
    gb_status status = names_write(out, a, err);
    fclose(out);
    return status;
}

/* ---- text ---- */

static gb_status print_table(const asked *a, gb_error *err)
{
    table *t = claims_table(a->results, a->suite->n_claims);
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

static void print_reading(const claim_result *r)
{
    const char *name = r->claim->name, *outcome = claim_outcome_name(r->test.outcome);
    if (r->reason[0]) {
        terminal_say(stdout, 2, "- %s is %s: %s.\n", name, outcome, r->reason);
    } else {
        terminal_say(stdout, 2, "- %s is %s: %s; %s.\n", name, outcome, claim_result_words(r).text,
                     r->method);
    }
    verdict_text means = claim_means_words(r);
    if (means.text[0]) {
        terminal_say(stdout, 2, "  %s\n", means.text);
    }
    verdict_text terms = claim_terms_words(r);
    if (terms.text[0]) {
        terminal_say(stdout, 2, "  %s\n", terms.text);
    }
    if (r->prediction_note[0]) {
        terminal_say(stdout, 2, "  It %s.\n", r->prediction_note);
    }
}

static gb_status print_text(const asked *a, gb_error *err)
{
    if (a->suite->n_claims == 0) {
        terminal_say(stdout, 0,
                     "%s makes no claims; a [claim NAME] section would be one (docs/SUITES.md).\n",
                     a->suite->path);
        return GB_OK;
    }
    dbfile_say(a->data->facts->db_path, a->suite->name);
    printf("\n");
    GB_TRY(print_table(a, err));
    printf("\n");
    for (int i = 0; i < a->suite->n_claims; i++) {
        print_reading(&a->results[i]);
    }
    terminal_say(
        stdout, 0,
        "\np is how likely data that speak so much for the claim are if it just fails. Step "
        "times are compared\nby the medians of bursts, step_avg too, as verdicts are.\n");
    if (a->changed) {
        terminal_say(stdout, 0, "\nWarning: %s.\n", a->changed);
    }
    return GB_OK;
}

/* ---- JSON ---- */

static gb_status print_json(const asked *a, gb_error *err)
{
    json_memory_watch();
    json_t *claims = json_array(), *warnings = json_array();
    for (int i = 0; i < a->suite->n_claims; i++) {
        json_array_append_new(claims, claim_result_json(&a->results[i]));
    }
    if (a->changed) {
        json_array_append_new(warnings, json_value_text(a->changed));
    }
    return json_value_print(
        json_pack("{s:o, s:o, s:o, s:o}", "suite", json_value_text(a->suite->name), "database",
                  json_value_text(a->data->facts->db_path), "claims", claims, "warnings", warnings),
        err);
}

/* ---- the command ---- */

/* --fail-on; CLAIM_SUPPORTED: never. */
static gb_status limit_parse(claim_outcome *out, const char *text, gb_error *err)
{
    *out = CLAIM_SUPPORTED;
    if (text && strcmp(text, "refuted") == 0) {
        *out = CLAIM_REFUTED;
    } else if (text && strcmp(text, "unsettled") == 0) {
        *out = CLAIM_UNSETTLED;
    } else if (text) {
        return gb_fail(err, GB_ERR_USAGE,
                       "--fail-on %s: it is refuted, or unsettled for what is not supported", text);
    }
    return GB_OK;
}

static gb_status limit_check(const asked *a, claim_outcome limit, gb_error *err)
{
    int refuted = 0, unsettled = 0;
    for (int i = 0; i < a->suite->n_claims; i++) {
        refuted += a->results[i].test.outcome == CLAIM_REFUTED;
        unsettled += a->results[i].test.outcome == CLAIM_UNSETTLED;
    }
    if (limit == CLAIM_SUPPORTED || refuted + (limit == CLAIM_UNSETTLED ? unsettled : 0) == 0) {
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_FAILED, "claims: %d refuted, %d unsettled, of %d", refuted,
                   unsettled, a->suite->n_claims);
}

static gb_status claims_show(asked *a, bool json, claim_outcome limit, gb_error *err)
{
    GB_TRY(changes_find(a, err));
    GB_TRY(claims_test(a->results, a->data, a->suite->claims, a->suite->n_claims, err));
    GB_TRY(json ? print_json(a, err) : print_text(a, err));
    return limit_check(a, limit, err);
}

static gb_status database_choose(char *out, size_t size, const char *given, const suite *s,
                                 gb_error *err)
{
    int n =
        given ? snprintf(out, size, "%s", given) : snprintf(out, size, "results/%s.db", s->name);
    if (n < 0 || n >= (int)size) {
        return gb_fail(err, GB_ERR_USAGE, "--db: the path is too long");
    }
    if (access(out, F_OK) != 0) {
        gb_fail(err, GB_ERR_USAGE,
                "%s: there is no such database; `gptbench run %s%s%s` makes it%s", out,
                shell_word(s->path).text, given ? " --db " : "",
                given ? shell_word(given).text : "", given ? "" : ", --db FILE names another");
        return dbfile_tell_others(out, &(dbfile_wanted){.suite = s->name}, err);
    }
    return GB_OK;
}

static gb_status suite_claims(const suite *s, const char *db, bool json, claim_outcome limit,
                              gb_error *err)
{
    char path[4096];
    findings *data = NULL;
    GB_TRY(database_choose(path, sizeof path, db, s, err));
    const char **wanted = calloc(2 * (size_t)s->n_claims + 1, sizeof *wanted);
    if (!wanted) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the claims");
    }
    for (int i = 0; i < s->n_claims; i++) {
        wanted[2 * i] = s->claims[i].config;
        wanted[2 * i + 1] = s->claims[i].baseline;
    }
    gb_status read = findings_read_configs(&data, path, s->name, wanted, err);
    free(wanted);
    if (read != GB_OK) {
        return dbfile_tell_others(path, &(dbfile_wanted){.suite = s->name}, err);
    }
    asked a = {
        .suite = s, .data = data, .results = calloc((size_t)s->n_claims + 1, sizeof *a.results)};
    gb_status status = a.results ? claims_show(&a, json, limit, err)
                                 : gb_fail(err, GB_ERR_OOM, "no memory for the claims");
    free(a.results);
    free(a.changed);
    findings_free(data);
    return status;
}

gb_status cmd_claims(int argc, char **argv, gb_error *err)
{
    const char *db = NULL, *fail_on = NULL, *path = NULL;
    bool json = false, help = false;
    int n = 0;
    const cli_option options[] = {
        {"--db", NULL, CLI_TEXT, &db, "FILE", "database (default: results/NAME.db of the suite)", 0,
         0},
        {"--fail-on", NULL, CLI_TEXT, &fail_on, "refuted|unsettled",
         "exit code 1 when a claim is refuted; with unsettled, when one is not supported", 0, 0},
        {"--json", NULL, CLI_FLAG, &json, NULL, "print JSON", 0, 0},
        {NULL, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0}};
    const cli_command command = {
        "gptbench claims SUITE.ini [options]",
        "Holds the claims of a suite against what was measured: supported, refuted or unsettled, "
        "with the interval\nin the claim's own terms, and what exact FLOPs alone would give. "
        "Nothing runs.",
        options,
        1,
        1,
        "SUITE.ini  the suite whose claims are tested; its runs are in the database",
        "gptbench claims suites/mlp_claims.ini --fail-on refuted"};
    GB_TRY(cli_parse(&command, argc, argv, &path, &n, &help, err));
    if (help) {
        return GB_OK;
    }
    claim_outcome limit;
    suite *s = NULL;
    GB_TRY(limit_parse(&limit, fail_on, err));
    GB_TRY(suite_read(&s, path, err));
    gb_status status = suite_claims(s, db, json, limit, err);
    suite_free(s);
    return status;
}
