/* gptbench run: a suite, from the file to the database and the report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/base/shell_words.h"
#include "bench/base/table.h"
#include "bench/base/terminal.h"
#include "bench/commands/commands.h"
#include "bench/commands/run_options.h"
#include "bench/report/report.h"
#include "bench/run/work_gate.h"
#include "bench/store/store_share.h"
#include "bench/words/data_words.h"
#include "bench/words/design_words.h"
#include "bench/words/results_table.h"
#include "bench/worker/job_control.h"
#include "kernels/clock.h"

/* ---- what is to do ---- */

typedef struct run_counts {
    int to_do, kept_ok, kept_not_ok;
    int elsewhere; /* other runners are doing them */
    int refused;   /* cannot fit: not begun */
} run_counts;

static run_counts runs_count(const runplan *plan)
{
    int n;
    run_counts counts = {0};
    const runplan_run *runs = runplan_runs(plan, &n);
    for (int i = 0; i < n; i++) {
        if (runs[i].selected && runs[i].refused) {
            counts.refused++;
        } else if (runs[i].selected) {
            bool ok = strcmp(runs[i].planned.status, "ok") == 0;
            bool running = strcmp(runs[i].planned.status, "running") == 0;
            counts.to_do += runs[i].planned.to_do;
            counts.elsewhere += running;
            counts.kept_ok += !runs[i].planned.to_do && ok;
            counts.kept_not_ok += !runs[i].planned.to_do && !ok && !running;
        }
    }
    return counts;
}

static gb_status dry_run_print(const run_command *c, const runplan *plan, const suite *asked,
                               gb_error *err)
{
    int n;
    const runplan_run *runs = runplan_runs(plan, &n);
    table *t = table_create();
    table_add_column(t, "config", TABLE_LEFT);
    table_add_column(t, "replicate", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 2);
    table_add_column(t, "attempt", TABLE_RIGHT);
    table_column_fit(t, TABLE_MOVE, 3);
    table_add_column(t, "would", TABLE_LEFT);
    table_column_wrap(t, 24, 1);
    for (int i = 0; i < n; i++) {
        const store_planned *planned = &runs[i].planned;
        table_begin_row(t);
        table_add_cell(t, "%s", asked->cells[runs[i].cell].name);
        table_add_cell(t, "%lld", (long long)runs[i].replicate);
        table_add_cell(t, "%lld", (long long)planned->attempt);
        if (runs[i].refused) {
            char words[128];
            memory_fit fit = runplan_fit(plan, runs[i].cell);
            memory_fit_format(&fit, words, sizeof words);
            table_add_cell(t, "be oom: %s", words);
            continue;
        }
        bool out = !runs[i].selected || (c->speed_only && planned->to_do);
        table_add_cell(t, "%s%s",
                       out              ? "be left out, now "
                       : planned->to_do ? "run"
                                        : "be kept: ",
                       !out && planned->to_do ? "" : planned->status);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    return status;
}

static gb_status dry_run(const run_command *c, runplan *plan, store *s, const suite *asked,
                         gb_error *err)
{
    timing_session session = {.n_arms = 0};
    bool timed = false;
    run_counts counts = runs_count(plan);
    GB_TRY(dry_run_print(c, plan, asked, err));
    if (!c->loss_only) {
        GB_TRY(runplan_timing(plan, s, &session, &timed, err));
    }
    printf("\n");
    if (timed) {
        terminal_say(stdout, 0, "first, %d configs would be timed in turn, the baseline twice\n",
                     session.n_arms - 1);
    }
    if (counts.refused > 0) {
        printf("%d cannot fit and would be oom\n", counts.refused);
    }
    printf("%d to run, %d kept, %d of them not ok\n", c->speed_only ? 0 : counts.to_do,
           counts.kept_ok + counts.kept_not_ok, counts.kept_not_ok);
    return GB_OK;
}

/* ---- the end ---- */

/* Beside the database, under its name. */
static void report_place(char *out, size_t size, const run_command *c, const store *s)
{
    const char *db = store_path(s), *dot = strrchr(db, '.');
    if (c->report) {
        snprintf(out, size, "%s", c->report);
    } else if (dot && strcmp(dot, ".db") == 0) {
        snprintf(out, size, "%.*s", (int)(dot - db), db);
    } else {
        snprintf(out, size, "%s-report", db);
    }
}

/* A report that was not asked for by name may fail (there may be no gnuplot, or no finished run)
 * without making the runs a failure; that is noted. */
static gb_status report_make(const store *s, const run_command *c, const suite *asked,
                             progress *display, gb_error *err)
{
    char dir[4096];
    gb_error error = {0};
    report_place(dir, sizeof dir, c, s);
    progress_task_begin(display, "drawing the report");
    gb_status status = report_write(store_path(s), asked->name, dir, &error);
    progress_task_end(display);
    if (status == GB_OK) {
        printf("report:   %s/index.html\n", dir);
        fflush(stdout);
    } else if (c->report || status == GB_ERR_IO) {
        return gb_fail(err, status,
                       "report: %s; `gptbench report --db %s --suite %s -o %s` makes it again",
                       error.message, shell_word(store_path(s)).text, shell_word(asked->name).text,
                       shell_word(dir).text);
    } else {
        progress_note(display, "no complete report in %s: %s", dir, error.message);
    }
    return GB_OK;
}

static gb_status results_print(store *s, const run_command *c, const suite *asked, bool with_report,
                               progress *display, gb_error *err)
{
    printf("\n");
    gb_status printed = results_table_print(s, asked->name, stdout, err);
    printf("\ndatabase: %s\n", store_path(s));
    fflush(stdout);
    /* Whether or not somebody still reads the table. */
    gb_status reported =
        with_report ? report_make(s, c, asked, display, printed == GB_OK ? err : NULL) : GB_OK;
    return printed != GB_OK ? printed : reported;
}

static gb_status ended_status(const store *s, const runner_totals *totals,
                              const runplan_state *state, const run_counts *counts, bool speeds_ok,
                              gb_error *err)
{
    if (totals->interrupted) {
        return gb_fail(err, GB_ERR_INTERRUPTED,
                       "interrupted with %d of %d runs done; the same command continues:",
                       totals->ok + totals->not_ok, counts->to_do);
    }
    if (state->not_ok > 0) {
        return gb_fail(err, GB_ERR_FAILED,
                       "%d of %d runs did not end ok; `gptbench show %lld --db %s` tells why%s,"
                       " --retry-failed tries them again",
                       state->not_ok, state->n, (long long)state->not_ok_run,
                       shell_word(store_path(s)).text, state->not_ok > 1 ? " of the first" : "");
    }
    if (!speeds_ok) {
        return gb_fail(err, GB_ERR_FAILED,
                       "not every config's speed could be measured, as said above; --retry-failed"
                       " measures again");
    }
    return GB_OK;
}

/* The speed of all configs in turn, before they train one after the other. */
static gb_status speeds_measure(const run_command *c, runplan *plan, store *s,
                                const runner_options *runner, runner_totals *totals,
                                bool *speeds_ok, gb_error *err)
{
    timing_session session;
    timing_session_result result;
    gb_error why = {0};
    bool to_do = false;
    if (!c->loss_only) {
        GB_TRY(runplan_timing(plan, s, &session, &to_do, err));
    }
    if (!to_do) {
        return GB_OK;
    }
    gb_status status = timing_session_run(s, &session, runner, &result, &why);
    if (status == GB_ERR_INTERRUPTED) {
        totals->interrupted = true;
    } else if (status == GB_ERR_NAN || status == GB_ERR_OOM || status == GB_ERR_FAILED) {
        *speeds_ok = false;
        progress_note(runner->display, "no speeds: the baseline failed: %s", why.message);
    } else if (status != GB_OK) {
        return gb_fail(err, status, "%s", why.message);
    } else {
        *speeds_ok = result.arms_failed == 0;
        progress_note(runner->display, "timed in turn: %lld blocks, %lld steps a burst",
                      (long long)result.outcome.blocks_done,
                      (long long)result.outcome.burst.timed_steps);
    }
    return GB_OK;
}

/* What must be measured without other runners at work: the peaks, the speeds of all configs. */
static gb_status alone_measure(const run_command *c, runplan *plan, store *s,
                               const runner_options *runner, runner_totals *totals, bool *speeds_ok,
                               gb_error *err)
{
    bool wanted;
    *speeds_ok = true;
    GB_TRY(runplan_wants_alone(plan, s, !c->loss_only, &wanted, err));
    if (!wanted) {
        return GB_OK;
    }
    gb_status status = work_gate_block_new(s, &runner->worker, runner->display, err);
    if (status == GB_OK) { /* the one before may have measured it all */
        status = runplan_wants_alone(plan, s, !c->loss_only, &wanted, err);
    }
    if (status == GB_OK && wanted) {
        status = work_gate_wait_idle(s, &runner->worker, runner->display, err);
    }
    if (status == GB_OK && wanted) {
        status = runplan_measure_peaks(plan, s, false, runner, err);
    }
    if (status == GB_OK && wanted) {
        status = speeds_measure(c, plan, s, runner, totals, speeds_ok, err);
    }
    work_gate_leave(s);
    return status;
}

/* The runs; then those that other runners have taken and left, until none is left. */
static gb_status runs_do(runplan *plan, store *s, const runner_options *runner,
                         runner_totals *totals, gb_error *err)
{
    bool again = true;
    while (again) {
        const runner_job *jobs;
        int n_jobs;
        GB_TRY(runplan_jobs(plan, &jobs, &n_jobs, err));
        GB_TRY(runner_run(s, jobs, n_jobs, runner, totals, err));
        if (totals->interrupted) {
            return GB_OK;
        }
        GB_TRY(runplan_wait_for_others(plan, s, runner, &again, err));
        if (again) {
            GB_TRY(runplan_store_again(plan, s, err));
        }
    }
    return GB_OK;
}

static gb_status plan_store(const run_command *c, runplan *plan, store *s, progress *display,
                            gb_error *err)
{
    gb_status status = runplan_store(plan, s, err);
    if (status == GB_OK) {
        status = runplan_refuse(plan, s, c->dry_run ? NULL : display, err);
    }
    if (status == GB_OK && !c->dry_run) {
        status = runplan_register(plan, s, err);
    }
    if (status == GB_OK && !c->dry_run) {
        return store_commit(s, err);
    }
    store_rollback(s); /* nothing of it, or it was a question only */
    return status;
}

/* The peaks once more where the runs have beaten them, or have taken so long that two seconds do
 * not matter: what else is at work comes and goes, and the best measurement counts. Nothing waits
 * for that, and nothing fails by it. */
static gb_status peaks_check(runplan *plan, store *s, double work_s, const runner_options *runner,
                             gb_error *err)
{
    const double long_s = 60;
    gb_error why = {0};
    bool wanted = false;
    gb_status status = runplan_peaks_wanted(plan, s, work_s > long_s, &wanted, &why);
    if (status == GB_OK && wanted && work_gate_try_alone(s)) {
        status = runplan_measure_peaks(plan, s, work_s > long_s, runner, &why);
        work_gate_leave(s);
    }
    if (status == GB_ERR_INTERRUPTED) {
        return gb_fail(err, status, "%s", why.message);
    }
    if (status != GB_OK) {
        progress_note(runner->display, "the GEMM peak was not measured again: %s", why.message);
    }
    return GB_OK;
}

/* All that takes time. */
static gb_status measure(const run_command *c, runplan *plan, store *s,
                         const runner_options *runner, runner_totals *totals, bool *speeds_ok,
                         gb_error *err)
{
    const double began_s = gb_monotonic_s();
    gb_status status = alone_measure(c, plan, s, runner, totals, speeds_ok, err);
    if (status == GB_OK && !c->speed_only && !totals->interrupted) {
        status = runs_do(plan, s, runner, totals, err);
    }
    if (status == GB_OK && !totals->interrupted) {
        status = peaks_check(plan, s, gb_monotonic_s() - began_s, runner, err);
    }
    if (status == GB_ERR_INTERRUPTED) {
        totals->interrupted = true;
        status = GB_OK;
    }
    return status;
}

/* What is to be known of the data and the design before anything is trained. */
static gb_status design_warn(const run_command *c, const runplan *plan, const suite *asked,
                             progress *display, gb_error *err)
{
    data_use use;
    GB_TRY(data_check_use(&use, runplan_data(plan), asked, c->plan.only, err));
    data_warnings w = data_warnings_make(&use);
    for (int i = 0; i < w.n; i++) {
        progress_note(display, "warning: %s", w.texts[i]);
    }
    verdict_text few = design_blocks_words(asked);
    if (!c->loss_only && few.text[0]) {
        progress_note(display, "warning: %s", few.text);
    }
    return GB_OK;
}

static gb_status work(const run_command *c, suite *asked, runplan *plan, store *s,
                      const runner_options *runner, gb_error *err)
{
    runner_totals totals = {0};
    runplan_state state;
    bool speeds_ok = true;
    GB_TRY(design_warn(c, plan, asked, runner->display, err));
    GB_TRY(plan_store(c, plan, s, runner->display, err));
    run_counts counts = runs_count(plan);
    if (c->dry_run) {
        return dry_run(c, plan, s, asked, err);
    }
    progress_note(runner->display, "suite %s: %d runs to do, %d done before, into %s", asked->name,
                  counts.to_do, counts.kept_ok + counts.kept_not_ok, store_path(s));
    if (counts.elsewhere > 0) {
        progress_note(runner->display, "%d run%s in the hands of other runners", counts.elsewhere,
                      counts.elsewhere == 1 ? " is" : "s are");
    }
    GB_TRY(measure(c, plan, s, runner, &totals, &speeds_ok, err));
    if (totals.elsewhere > 0) {
        progress_note(runner->display, "%d of the runs were taken by other runners",
                      totals.elsewhere);
    }
    GB_TRY(runplan_state_get(plan, s, &state, err));
    GB_TRY(store_runner_end(s, err));
    runner_signals_release(); /* from here on Ctrl-C simply ends the program */
    if (totals.retries > 0) {
        progress_note(runner->display, "attempts beyond the first ones: %d, each a row of its own",
                      totals.retries);
    }
    bool with_report = !c->no_report && !totals.interrupted;
    gb_status shown = results_print(s, c, asked, with_report, runner->display, err);
    gb_status ended =
        ended_status(s, &totals, &state, &counts, speeds_ok, shown == GB_OK ? err : NULL);
    return shown == GB_OK ? ended : shown;
}

/* ---- the whole ---- */

static void waiting_note(void *user, const char *text)
{
    progress_note(user, "%s", text);
}

static void waiting_set(const run_command *c, store *s, const runner_options *runner)
{
    store_set_waiting(s, &(store_waiting){.limit_ms = c->db_wait_s * 1000,
                                          .note = waiting_note,
                                          .user = runner->display,
                                          .stops = runner->worker.stops});
}

static gb_status store_choose(store **s, const run_command *c, const suite *asked, gb_error *err)
{
    char path[256];
    snprintf(path, sizeof path, "results/%s.db", asked->name);
    const char *chosen = c->db ? c->db : path;
    if (c->dry_run && access(chosen, F_OK) != 0) {
        chosen = ":memory:"; /* nothing is written, not even a new file */
    }
    return store_open(s, chosen, STORE_WRITE, err);
}

gb_status cmd_run(int argc, char **argv, gb_error *err)
{
    static char self[] = "/proc/self/exe", worker[] = "worker";
    char *worker_argv[] = {self, worker, NULL};
    run_command c;
    bool help = false;
    suite *asked = NULL;
    runplan *plan = NULL;
    store *s = NULL;
    GB_TRY(run_options_read(&c, argc, argv, &help, err));
    if (help) {
        return GB_OK;
    }
    GB_TRY(run_options_check(&c, err));
    GB_TRY(suite_read(&asked, c.suite_path, err));
    runner_options runner = runner_options_default(worker_argv);
    asked->limits.max_retries = c.max_retries >= 0 ? c.max_retries : asked->limits.max_retries;
    runner.worker.limits = asked->limits;
    runner.worker.stops = runner_signals_catch();
    job_control_catch();
    runner.display = progress_create_for(stderr);
    progress_task_begin(runner.display, "looking at the data and the machine");
    gb_status status = runplan_create(&plan, asked, &c.plan, &runner, err);
    progress_task_end(runner.display);
    if (status == GB_OK) {
        status = store_choose(&s, &c, asked, err);
    }
    if (status == GB_OK) {
        waiting_set(&c, s, &runner);
        status = work(&c, asked, plan, s, &runner, err);
    }
    store_close(s);
    progress_free(runner.display);
    runner_signals_release();
    runplan_free(plan);
    suite_free(asked);
    return status;
}
