/* How a training run tells of itself. */
#include "kernels/clock.h"
#include "model/trainer_internal.h"

void trainer_emit(trainer *t, const train_event *event)
{
    t->told_ms = gb_monotonic_ms();
    if (t->observer.on_event && t->observer.on_event(t->observer.user, event) != 0) {
        t->stop_asked = true;
    }
}

void trainer_alive(trainer *t)
{
    if (gb_monotonic_ms() - t->told_ms >= 1000) {
        trainer_emit(t, &(train_event){.type = TRAIN_EVENT_ALIVE});
    }
}
