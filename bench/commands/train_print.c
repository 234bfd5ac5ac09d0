#include "bench/commands/train_print.h"

#include <math.h>
#include <stdio.h>

#include "bench/base/numbers.h"
#include "bench/base/terminal.h"

static double step_avg_ms(const train_print *p)
{
    return p->timed_steps > 0 ? p->timed_ms / (double)p->timed_steps : NAN;
}

/* What the best model's loss would be: the rate is exact, the tokens of a validation are a sample.
 */
static void print_floor(const train_print *p, const train_start *s)
{
    const double spread = s->entropy_spread_nats / sqrt((double)p->val_tokens);
    terminal_say(
        stdout, 2,
        "entropy floor of the validation source: %.6f nats/token, exact; over the %s tokens "
        "of a validation the best possible loss is that ± %.2g\n",
        s->entropy_rate_nats, number_count(p->val_tokens).text, spread);
}

static void print_start(const train_print *p, const train_start *s)
{
    int64_t total = s->overhead_bytes + s->process_memory_bytes;
    for (int group = 0; group < GB_MEM_GROUPS; group++) {
        total += s->memory_plan_bytes[group];
    }
    terminal_say(stdout, 2,
                 "parameters:%lld flops/token:%.0f tokens/step:%lld steps:%lld memory:%.1f MiB\n",
                 (long long)s->n_params, s->flops_per_token, (long long)s->tokens_per_step,
                 (long long)p->num_iterations, (double)total / (1 << 20));
    terminal_say(stdout, 2, "device:%s threads:%d isa:%s libraries:%s\n", s->device.device,
                 s->device.threads, s->device.isa, s->device.libraries);
    if (s->device.precision_note[0]) {
        terminal_say(stdout, 2, "note:%s\n", s->device.precision_note);
    }
    if (s->device.threads_note[0]) {
        printf("note:%s\n", s->device.threads_note);
    }
    if (!isnan(s->entropy_rate_nats)) {
        print_floor(p, s);
    }
}

static void print_step(train_print *p, const train_step *s)
{
    p->train_time_ms += s->step_ms;
    if (s->tag == TRAIN_STEP_TIMED) {
        p->timed_ms += s->step_ms;
        p->timed_steps++;
    }
    printf("step:%lld/%lld train_loss:%.6f train_time:%.0fms step_avg:%.2fms lr:%.3g "
           "step_time:%.2fms tag:%s\n",
           (long long)s->step + 1, (long long)p->num_iterations, s->train_loss, p->train_time_ms,
           step_avg_ms(p), s->learning_rate, s->step_ms,
           train_step_tag_name((train_step_tag)s->tag));
}

static void print_end(const train_print *p, const train_end *end)
{
    if (p->timed_steps > 0) {
        const double avg_ms = step_avg_ms(p);
        printf("timed steps:%lld step_avg:%.2fms tokens/s:%.0f ", (long long)p->timed_steps, avg_ms,
               (double)p->tokens_per_step * 1000 / avg_ms);
    }
    printf("peak memory:%.1f MiB\n", (double)end->peak_memory_bytes / (1 << 20));
}

void train_print_event(train_print *p, const train_event *event)
{
    const train_eval *e = &event->u.eval;
    switch (event->type) {
    case TRAIN_EVENT_START:
        p->tokens_per_step = event->u.start.tokens_per_step;
        print_start(p, &event->u.start);
        break;
    case TRAIN_EVENT_STEP:
        print_step(p, &event->u.step);
        break;
    case TRAIN_EVENT_EVAL:
        printf("step:%lld/%lld val_loss:%.6f train_time:%.0fms step_avg:%.2fms\n",
               (long long)e->step, (long long)p->num_iterations, e->val_loss, e->train_time_ms,
               step_avg_ms(p));
        break;
    case TRAIN_EVENT_RESUME:
        p->train_time_ms = event->u.checkpoint.train_time_ms;
        fprintf(stderr, "going on from the checkpoint at step %lld\n",
                (long long)event->u.checkpoint.step);
        break;
    case TRAIN_EVENT_NOTE:
        fprintf(stderr, "%s\n", event->u.note);
        break;
    case TRAIN_EVENT_END:
        print_end(p, &event->u.end);
        break;
    default:
        break;
    }
    fflush(stdout);
}
