#include "model/observer.h"

const char *train_step_tag_name(train_step_tag tag)
{
    static const char *const names[TRAIN_STEP_TAGS] = {"warmup", "timed", "profiled", "eval",
                                                       "checkpoint"};
    return names[tag];
}
