#include "bench/words/grad_norm_text.h"

#include <math.h>
#include <stdio.h>

number_text grad_norm_text(const run_facts *run)
{
    number_text out;
    if (isfinite(run->last_good_grad_norm)) {
        snprintf(out.text, sizeof out.text, "%.4g", run->last_good_grad_norm);
    } else {
        snprintf(out.text, sizeof out.text, "%s",
                 isinf(run->last_good_grad_norm) || run->grad_clip > 0
                     ? "not finite"
                     : "not computed (grad_clip = 0)");
    }
    return out;
}
