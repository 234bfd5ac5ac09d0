#include "bench/commands/train_losses.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernels/process_limits.h"

static const char heading[] = "step,train_loss\n";

gb_status train_losses_open(train_losses *l, bool go_on, gb_error *err)
{
    l->file = NULL;
    if (!l->path) {
        return GB_OK;
    }
    l->file = go_on ? fopen(l->path, "r+e") : NULL;
    if (!l->file) {
        l->file = fopen(l->path, "we");
        if (!l->file) {
            return gb_fail(err, GB_ERR_IO, "%s: %s", l->path, gb_reason(errno));
        }
        fputs(heading, l->file);
    }
    return GB_OK;
}

/* Cuts the file behind the line of the step that is number `last`, counted from 1. */
static void cut_behind(train_losses *l, int64_t last)
{
    char line[128];
    off_t keep = 0;
    rewind(l->file);
    while (fgets(line, sizeof line, l->file)) {
        long long step;
        bool whole = strchr(line, '\n') != NULL;
        if (!whole || (sscanf(line, "%lld,", &step) == 1 && step > last)) {
            break;
        }
        keep = ftello(l->file);
    }
    if (fseeko(l->file, keep, SEEK_SET) == 0 && ftruncate(fileno(l->file), keep) == 0 &&
        keep == 0) {
        fputs(heading, l->file);
    }
}

void train_losses_event(train_losses *l, const train_event *event)
{
    if (!l->file) {
        return;
    }
    if (event->type == TRAIN_EVENT_STEP) {
        fprintf(l->file, "%lld,%.17g\n", (long long)event->u.step.step + 1,
                event->u.step.train_loss);
    } else if (event->type == TRAIN_EVENT_RESUME) {
        cut_behind(l, event->u.checkpoint.step);
    } else if (event->type == TRAIN_EVENT_CHECKPOINT) {
        fflush(l->file);
    }
}

gb_status train_losses_close(train_losses *l, gb_error *err)
{
    if (!l->file) {
        return GB_OK;
    }
    bool failed = ferror(l->file) != 0;
    failed |= fclose(l->file) != 0;
    return failed ? gb_fail(err, GB_ERR_IO, "%s: could not be written whole", l->path) : GB_OK;
}
