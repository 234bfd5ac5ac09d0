#include "bench/run/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/base/numbers.h"
#include "bench/base/terminal.h"
#include "bench/base/text_lines.h"
#include "bench/run/lr_mark.h"
#include "bench/run/progress_line.h"
#include "kernels/clock.h"

#define REDRAW_MS 100
/* Of a task, at which the machine should do nothing else. */
#define REDRAW_TASK_MS 500
/* Steps before the time of a step says anything of those to come. */
#define STEPS_KNOWN 3
/* Columns at the right that stay empty: for the ^C that a terminal writes there. */
#define MARGIN 3

typedef enum showing { SHOW_NOTHING, SHOW_RUN, SHOW_TASK } showing;

struct progress {
    FILE *out;
    bool live, color;
    int drawn[2]; /* widths of the live lines on the screen; -1: there is none */
    int64_t drawn_ms;
    int n_runs, run_index;          /* index of the current run, from 1 */
    double flops_total, flops_past; /* of all runs; of those that are over, whole */
    double flops_done;              /* what the runs that are over really did */
    int64_t busy_ms;                /* wall time of the runs that flops_done stands for */
    showing shows;
    progress_run run;
    int64_t run_started_ms;
    int64_t steps_done, steps_before; /* by other segments of the run */
    double train_loss, val_loss;
    double timed_sum_ms, eval_ms, train_time_ms;
    int64_t timed_steps;
    double recent_step_ms; /* moving average, for the ETA */
    int64_t evals;
    char task[PROGRESS_PART_BYTES];
    int64_t task_started_ms;
    progress_blocks blocks; /* of the task; n_blocks 0: it has none */
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
        p->drawn[0] = p->drawn[1] = -1;
    }
    return p;
}

progress *progress_create_for(FILE *out)
{
    return progress_create(out, progress_wants_live(out), progress_wants_color(out));
}

void progress_suite(progress *p, int n_runs, double flops_total)
{
    if (p) {
        p->n_runs = n_runs;
        p->flops_total = flops_total;
    }
}

/* ---- drawing ---- */

/* How many rows of the screen a line of that width takes: a terminal that has become narrower since
 * then has broken it. */
static int rows_of(int drawn, int width)
{
    return drawn < 0 ? 0 : drawn <= width ? 1 : (drawn + width - 1) / width;
}

static int screen_width(const progress *p)
{
    int width = terminal_width(p->out);
    return width > 0 ? width : 80;
}

/* What takes the live lines off the screen; the cursor then stands where they began. */
static void display_erase(progress *p, FILE *out)
{
    int width = screen_width(p);
    int rows = rows_of(p->drawn[0], width) + rows_of(p->drawn[1], width);
    fputs(rows > 0 ? "\r\033[K" : "", out);
    for (; rows > 1; rows--) {
        fputs("\033[1A\033[K", out);
    }
    p->drawn[0] = p->drawn[1] = -1;
}

/* Drawings go out in one piece, so that nothing flickers: this, what is to be written, and
 * drawing_end. NULL without memory: then nothing is drawn. */
typedef struct drawing {
    char *text;
    size_t size;
} drawing;

static FILE *drawing_begin(progress *p, drawing *d)
{
    *d = (drawing){NULL, 0};
    FILE *out = open_memstream(&d->text, &d->size);
    if (out) {
        display_erase(p, out);
    }
    return out;
}

static void drawing_end(progress *p, drawing *d, FILE *out)
{
    if (out && fclose(out) == 0) {
        fwrite(d->text, 1, d->size, p->out);
        fflush(p->out);
    }
    free(d->text);
}

void progress_free(progress *p)
{
    if (p) {
        display_erase(p, p->out);
        fflush(p->out);
        free(p);
    }
}

static double step_avg_ms(const progress *p)
{
    return p->timed_steps ? p->timed_sum_ms / (double)p->timed_steps : NAN;
}

/* NAN until it is known. */
static double run_left_ms(const progress *p)
{
    if (p->steps_done - p->steps_before < STEPS_KNOWN || !(p->recent_step_ms > 0)) {
        return NAN;
    }
    double steps_left = (double)(p->run.num_iterations - p->steps_done);
    double evals = p->eval_ms * (double)p->evals / (double)p->steps_done;
    return steps_left * (p->recent_step_ms + evals);
}

/* The runs to come take as long per FLOP as those before them did. NAN until it is known. */
static double suite_left_ms(const progress *p)
{
    double run_left = run_left_ms(p);
    double here = (double)(p->steps_done - p->steps_before);
    double share = p->run.num_iterations ? here / (double)p->run.num_iterations : 0;
    double flops = p->flops_done + share * p->run.flops;
    double busy = (double)p->busy_ms + (double)(gb_monotonic_whole_ms() - p->run_started_ms);
    if (!(flops > 0) || !isfinite(run_left)) {
        return NAN;
    }
    double later = p->flops_total - p->flops_past - p->run.flops;
    return run_left + (later > 0 ? later * busy / flops : 0);
}

static void lines_draw(progress *p, const progress_line *head, const progress_line *line)
{
    char texts[2][PROGRESS_PART_BYTES];
    int width = screen_width(p) - MARGIN;
    progress_line_write(head, width, texts[0], sizeof texts[0]);
    progress_line_write(line, width, texts[1], sizeof texts[1]);
    drawing d;
    FILE *out = drawing_begin(p, &d);
    if (out) {
        fprintf(out, "%s%s%s%s%s", p->color ? "\033[1m" : "", texts[0], p->color ? "\033[0m" : "",
                line->n > 0 ? "\n" : "", line->n > 0 ? texts[1] : "");
        p->drawn[0] = text_width(texts[0]);
        p->drawn[1] = line->n > 0 ? text_width(texts[1]) : -1;
    }
    drawing_end(p, &d, out);
    p->drawn_ms = gb_monotonic_whole_ms();
}

/* "left: about 2 min" of what is known; nothing else. */
static void left_add(progress_line *line, int rank, const char *words, double ms)
{
    number_text left = number_about_ms(ms);
    if (*left.text) {
        progress_line_add(line, rank, "%s%s left", words, left.text);
    }
}

/* "run 12: ": the one name of a run, which `show` takes. How many of all there are is progress. */
static number_text run_name(const progress_run *run, const char *behind)
{
    number_text out = {""};
    if (run->run_id > 0) {
        snprintf(out.text, sizeof out.text, "run %lld%.4s", (long long)run->run_id, behind);
    }
    return out;
}

static void run_draw(progress *p)
{
    progress_line head = {.n = 0}, line = {.indent = 2};
    progress_line_add(&head, 0, "[%d/%d] %s%s", p->run_index, p->n_runs,
                      run_name(&p->run, ": ").text, p->run.config);
    progress_line_add(&head, 2, "replicate %lld", (long long)p->run.replicate);
    if (p->run_index < p->n_runs) {
        left_add(&head, 1, "all runs: ", suite_left_ms(p));
    }
    progress_line_add(&line, 0, "step %lld/%lld", (long long)p->steps_done,
                      (long long)p->run.num_iterations);
    if (p->run.num_iterations > 0) {
        progress_line_add_bar(&line, 3, (double)p->steps_done / (double)p->run.num_iterations);
    }
    if (isfinite(p->train_loss)) {
        progress_line_add(&line, 1, "loss %.4f", p->train_loss);
    }
    if (isfinite(p->val_loss)) {
        progress_line_add(&line, 4, "val %.4f", p->val_loss);
    }
    if (p->recent_step_ms > 0) {
        double rate = (double)p->run.tokens_per_step * 1e3 / p->recent_step_ms;
        progress_line_add(&line, 5, "%s tok/s", number_rounded(rate).text);
    }
    if (p->timed_steps > 0) {
        progress_line_add(&line, 6, "step_avg %s", number_duration_ms(step_avg_ms(p)).text);
    }
    left_add(&line, 2, "", run_left_ms(p));
    lines_draw(p, &head, &line);
}

static void task_draw(progress *p)
{
    const progress_blocks *b = &p->blocks;
    progress_line head = {.n = 0}, line = {.indent = 2};
    double elapsed_ms = (double)(gb_monotonic_whole_ms() - p->task_started_ms);
    progress_line *last = b->n_blocks > 0 ? &line : &head;
    progress_line_add(&head, 0, "%s", p->task);
    if (b->n_blocks > 0) {
        double share = ((double)b->done + (double)b->turn / (b->n_turns > 0 ? b->n_turns : 1)) /
                       (double)b->n_blocks;
        int64_t block = b->done < b->n_blocks ? b->done + 1 : b->n_blocks;
        progress_line_add(&head, 3, "%s", b->name ? b->name : "");
        progress_line_add(&line, 0, "%s %lld of %s%lld", b->unit ? b->unit : "block",
                          (long long)block, b->at_most ? "at most " : "", (long long)b->n_blocks);
        progress_line_add_bar(&line, 3, share);
        left_add(&line, 1, b->at_most ? "at most " : "",
                 b->done > 0 ? elapsed_ms * (1 - share) / share : NAN);
    }
    if (elapsed_ms >= 1000) {
        progress_line_add(last, 2, "%s so far", number_elapsed_ms(elapsed_ms).text);
    }
    lines_draw(p, &head, &line);
}

static void display_draw(progress *p)
{
    if (p->live && p->shows == SHOW_RUN) {
        run_draw(p);
    } else if (p->live && p->shows == SHOW_TASK) {
        task_draw(p);
    }
}

void progress_tick(progress *p)
{
    const int64_t period_ms = p && p->shows == SHOW_TASK ? REDRAW_TASK_MS : REDRAW_MS;
    if (p && gb_monotonic_whole_ms() - p->drawn_ms >= period_ms) {
        display_draw(p);
    }
}

/* A line of its own that begins with `mark`, in its colour. */
static void note_write(progress *p, const char *color, const char *mark, char *text)
{
    drawing d;
    FILE *out = drawing_begin(p, &d);
    if (out) {
        fprintf(out, "%s%s%s", p->color ? color : "", mark, p->color && *color ? "\033[0m" : "");
        terminal_write_paragraph(out, terminal_width(p->out), text_width(mark), 2, text);
        fputc('\n', out);
    }
    drawing_end(p, &d, out);
}

void progress_note(progress *p, const char *format, ...)
{
    if (!p) {
        return;
    }
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length >= 0) {
        note_write(p, "", "", text);
        free(text);
    }
}

void progress_note_plain(progress *p, const char *text)
{
    if (p && !p->live) {
        progress_note(p, "%s", text);
    }
}

/* ---- facts ---- */

void progress_run_begin(progress *p, const progress_run *run)
{
    if (!p) {
        return;
    }
    p->run = *run;
    p->shows = SHOW_RUN;
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
        progress_note(p, "[%d of %d] %s%s, replicate %lld%s%s", p->run_index, p->n_runs,
                      run_name(run, ": ").text, run->config, (long long)run->replicate, words,
                      lr_mark(run->lr_scale).text);
    }
}

void progress_task_begin(progress *p, const char *what, ...)
{
    if (!p) {
        return;
    }
    va_list args;
    va_start(args, what);
    vsnprintf(p->task, sizeof p->task, what, args);
    va_end(args);
    p->shows = SHOW_TASK;
    p->blocks = (progress_blocks){.n_blocks = 0};
    p->task_started_ms = gb_monotonic_whole_ms();
    display_draw(p);
}

void progress_task_blocks(progress *p, const progress_blocks *blocks)
{
    if (p) {
        p->blocks = *blocks;
        progress_tick(p);
    }
}

void progress_task_end(progress *p)
{
    if (p) {
        p->shows = SHOW_NOTHING;
        display_erase(p, p->out);
        fflush(p->out);
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
        progress_note(p, "step:%lld/%lld val_loss:%.4f train_time:%.0fms step_avg:%.2fms",
                      (long long)eval->step, (long long)p->run.num_iterations, eval->val_loss,
                      eval->train_time_ms, step_avg_ms(p));
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

void progress_run_end(progress *p, const char *status, const char *message)
{
    if (!p) {
        return;
    }
    p->shows = SHOW_NOTHING;
    p->busy_ms += gb_monotonic_whole_ms() - p->run_started_ms;
    p->flops_past += p->run.flops;
    if (p->run.num_iterations > 0) {
        p->flops_done += p->run.flops * (double)(p->steps_done - p->steps_before) /
                         (double)p->run.num_iterations;
    }
    char val[48] = "", *text = NULL;
    if (isfinite(p->val_loss)) {
        snprintf(val, sizeof val, ", val_loss %.4f", p->val_loss);
    }
    int length =
        asprintf(&text, ": %s%s, replicate %lld%s: %lld steps, step_avg %s%s%s%s",
                 run_name(&p->run, ", ").text, p->run.config, (long long)p->run.replicate,
                 lr_mark(p->run.lr_scale).text, (long long)p->steps_done,
                 number_duration_ms(step_avg_ms(p)).text, val, *message ? ": " : "", message);
    if (length >= 0) {
        note_write(p, strcmp(status, "ok") == 0 ? "\033[32m" : "\033[31m", status, text);
        free(text);
    }
}
