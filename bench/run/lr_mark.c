#include "bench/run/lr_mark.h"

#include <stdio.h>

#include "bench/run/retry.h"

lr_mark_text lr_mark(double lr_scale)
{
    lr_mark_text out = {""};
    long long halvings = (long long)retry_halvings_of(lr_scale);
    if (halvings > 0) {
        snprintf(out.text, sizeof out.text, ", lr halved %lldx", halvings);
    }
    return out;
}
