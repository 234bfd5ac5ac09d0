#include "bench/run/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/base/numbers.h"
#include "bench/base/terminal.h"
#include "bench/run/lr_mark.h"
#include "kernels/clock.h"

#define REDRAW_MS 100
#define LINE_MAX_ 512

struct progress {
    FILE *out;
    bool live, color;
    bool drawn; /* the live lines stand on the screen */
    int64_t drawn_ms;
    int n_runs, run_index;          /* index of the current run, from 1 */
    double flops_total, flops_past; /* of all runs; of those that are over, whole */
    double flops_done;              /* what the runs that are over really did */
    int64_t busy_ms;                /* wall time of the runs that flops_done stands for */
    progress_run run;
    bool running;
    int64_t run_started_ms;
    int64_t steps_done, steps_before; /* by other segments of the run */
    double train_loss, val_loss;
    double timed_sum_ms, eval_ms, train_time_ms;
    int64_t timed_steps;
    double recent_step_ms; /* moving average, for the ETA */
    int64_t evals;
};

bool progress_wants_live(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

bool progress_wants_color(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    return progress_wants_live(out) && !(no_color && *no_color);
}

progress *progress_create(FILE *out, bool live, bool color)
{
    progress *p = calloc(1, sizeof *p);
    if (p) {
        p->out = out;
        p->live = live;
        p->color = color;
    }
    return p;
}

void progress_suite(progress *p, int n_runs, double flops_total)
{
    if (p) {
        p->n_runs = n_runs;
        p->flops_total = flops_total;
    }
}

/* ---- drawing ---- */

/* Takes the live lines off the screen; the cursor then stands where they began. */
static void display_erase(progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K\033[1A\r\033[K", p->out);
        p->drawn = false;
    }
}

void progress_free(progress *p)
{
    if (p) {
        display_erase(p);
        fflush(p->out);
        free(p);
    }
}

static double step_avg_ms(const progress *p)
{
    return p->timed_steps ? p->timed_sum_ms / (double)p->timed_steps : NAN;
}

static double run_eta_ms(const progress *p)
{
    if (p->recent_step_ms <= 0) {
        return NAN;
    }
    double steps_left = (double)(p->run.num_iterations - p->steps_done);
    double per_step = p->recent_step_ms;
    if (p->steps_done > 0) {
        per_step += p->eval_ms * (double)p->evals / (double)p->steps_done;
    }
    return steps_left * per_step;
}

/* The runs to come take as long per FLOP as those before them did. */
static double suite_eta_ms(const progress *p)
{
    double run_left = run_eta_ms(p);
    double here = (double)(p->steps_done - p->steps_before);
    double share = p->run.num_iterations ? here / (double)p->run.num_iterations : 0;
    double flops = p->flops_done + share * p->run.flops;
    double busy = (double)p->busy_ms + (double)(gb_monotonic_whole_ms() - p->run_started_ms);
    if (!(flops > 0)) {
        return NAN;
    }
    double later = p->flops_total - p->flops_past - p->run.flops;
    return (isfinite(run_left) ? run_left : 0) + (later > 0 ? later * busy / flops : 0);
}

static int screen_width(const progress *p)
{
    struct winsize size;
    if (ioctl(fileno(p->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
        return size.ws_col < LINE_MAX_ ? size.ws_col - 1 : LINE_MAX_ - 1;
    }
    return 79;
}

static void display_draw(progress *p)
{
    char head[LINE_MAX_], line[LINE_MAX_];
    int width = screen_width(p);
    double avg = step_avg_ms(p);
    double rate =
        p->recent_step_ms > 0 ? (double)p->run.tokens_per_step * 1e3 / p->recent_step_ms : NAN;
    snprintf(head, sizeof head, "[%d/%d] %s  replicate %lld  suite ETA %s", p->run_index, p->n_runs,
             p->run.config, (long long)p->run.replicate, number_duration_ms(suite_eta_ms(p)).text);
    char val[32] = "";
    if (isfinite(p->val_loss)) {
        snprintf(val, sizeof val, "  val %.4f", p->val_loss);
    }
    snprintf(line, sizeof line, "  step %lld/%lld  loss %.4f%s  step_avg %s  %s tok/s  ETA %s",
             (long long)p->steps_done, (long long)p->run.num_iterations, p->train_loss, val,
             number_duration_ms(avg).text, number_rounded(rate).text,
             number_duration_ms(run_eta_ms(p)).text);
    display_erase(p);
    fprintf(p->out, "%s%.*s%s\n%.*s", p->color ? "\033[1m" : "", width, head,
            p->color ? "\033[0m" : "", width, line);
    fflush(p->out);
    p->drawn = true;
    p->drawn_ms = gb_monotonic_whole_ms();
}

void progress_tick(progress *p)
{
    if (p && p->live && p->running && gb_monotonic_whole_ms() - p->drawn_ms >= REDRAW_MS) {
        display_draw(p);
    }
}

void progress_note(progress *p, const char *format, ...)
{
    if (!p) {
        return;
    }
    va_list args;
    char *text = NULL;
    display_erase(p);
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length >= 0 && strchr(text, '\033')) { /* its own colours */
        fprintf(p->out, "%s\n", text);
    } else if (length >= 0) {
        terminal_say(p->out, 2, "%s\n", text);
    }
    free(length >= 0 ? text : NULL);
    fflush(p->out);
}

/* ---- facts ---- */

void progress_run_begin(progress *p, const progress_run *run)
{
    if (!p) {
        return;
    }
    p->run = *run;
    p->running = true;
    p->run_index += !run->again;
    p->flops_past -= run->again ? run->flops : 0;
    p->run_started_ms = gb_monotonic_whole_ms();
    p->steps_done = p->steps_before = p->timed_steps = p->evals = 0;
    p->timed_sum_ms = p->eval_ms = p->train_time_ms = p->recent_step_ms = 0;
    p->train_loss = p->val_loss = NAN;
    if (!p->live) {
        char words[64] = "";
        if (run->attempt > 1) {
            snprintf(words, sizeof words, " (attempt %lld)", (long long)run->attempt);
        }
        progress_note(p, "run %d of %d: %s, replicate %lld%s%s", p->run_index, p->n_runs,
                      run->config, (long long)run->replicate, words, lr_mark(run->lr_scale).text);
    }
}

void progress_timing(progress *p, int64_t blocks_done, int64_t blocks_most)
{
    if (p && p->live) {
        display_erase(p);
        fprintf(p->out, "%stiming speeds in turn%s\n  block %lld of %lld",
                p->color ? "\033[1m" : "", p->color ? "\033[0m" : "", (long long)blocks_done,
                (long long)blocks_most);
        fflush(p->out);
        p->drawn = true;
        p->drawn_ms = gb_monotonic_whole_ms();
    }
}

static void step_count(progress *p, const train_step *step)
{
    p->steps_done = step->step + 1;
    p->train_loss = step->train_loss;
    p->train_time_ms += step->step_ms;
    p->recent_step_ms =
        p->recent_step_ms > 0 ? 0.9 * p->recent_step_ms + 0.1 * step->step_ms : step->step_ms;
    if (step->tag == TRAIN_STEP_TIMED) {
        p->timed_sum_ms += step->step_ms;
        p->timed_steps++;
    }
}

static void eval_count(progress *p, const train_eval *eval)
{
    p->evals++;
    p->eval_ms += (eval->eval_ms - p->eval_ms) / (double)p->evals;
    p->val_loss = eval->val_loss;
    if (!p->live) {
        char avg[32] = "-"; /* no timed step yet */
        if (p->timed_steps) {
            snprintf(avg, sizeof avg, "%.2fms", step_avg_ms(p));
        }
        progress_note(p, "step:%lld/%lld val_loss:%.4f train_time:%.0fms step_avg:%s",
                      (long long)eval->step, (long long)p->run.num_iterations, eval->val_loss,
                      eval->train_time_ms, avg);
    }
}

void progress_event(progress *p, const train_event *event)
{
    if (!p) {
        return;
    }
    if (event->type == TRAIN_EVENT_STEP) {
        step_count(p, &event->u.step);
    } else if (event->type == TRAIN_EVENT_EVAL) {
        eval_count(p, &event->u.eval);
    } else if (event->type == TRAIN_EVENT_RESUME) {
        p->steps_done = p->steps_before = event->u.checkpoint.step;
        p->train_time_ms = event->u.checkpoint.train_time_ms;
    }
    progress_tick(p);
}

static const char *status_color(const progress *p, const char *status)
{
    return !p->color ? "" : strcmp(status, "ok") == 0 ? "\033[32m" : "\033[31m";
}

void progress_run_end(progress *p, const char *status, const char *message)
{
    if (!p) {
        return;
    }
    p->running = false;
    p->busy_ms += gb_monotonic_whole_ms() - p->run_started_ms;
    p->flops_past += p->run.flops;
    if (p->run.num_iterations > 0) {
        p->flops_done += p->run.flops * (double)(p->steps_done - p->steps_before) /
                         (double)p->run.num_iterations;
    }
    char val[48] = "";
    if (isfinite(p->val_loss)) {
        snprintf(val, sizeof val, ", val_loss %.4f", p->val_loss);
    }
    progress_note(p, "%s%s%s: %s, replicate %lld%s: %lld steps, step_avg %s%s%s%s",
                  status_color(p, status), status, p->color ? "\033[0m" : "", p->run.config,
                  (long long)p->run.replicate, lr_mark(p->run.lr_scale).text,
                  (long long)p->steps_done, number_duration_ms(step_avg_ms(p)).text, val,
                  *message ? ": " : "", message);
}
