#include "bench/plan/memory_fit.h"

#include <stdio.h>
#include <string.h>

#include "bench/base/numbers.h"
#include "kernels/process_limits.h"
#include "kernels/process_memory.h"

memory_fit memory_fit_make(const train_job *job, int64_t process_bytes, int64_t device_bytes,
                           const run_limits *limits)
{
    bool on_host = job->backend->overhead_bytes != NULL;
    memory_fit fit = {.needed_bytes =
                          trainer_plan_memory_total(job) + (on_host ? process_bytes : 0),
                      .available_bytes = on_host ? gb_memory_limit_bytes() : device_bytes};
    int64_t most = limits->max_memory_bytes;
    if (most > 0 && (fit.available_bytes == 0 || most < fit.available_bytes)) {
        fit.available_bytes = most;
        fit.by_limit = true;
    }
    fit.fits = fit.available_bytes == 0 || fit.needed_bytes <= fit.available_bytes;
    return fit;
}

void memory_fit_format(const memory_fit *fit, char *out, size_t size)
{
    char needed[sizeof(number_text)];
    snprintf(needed, sizeof needed, "%s", number_bytes((double)fit->needed_bytes).text);
    bool by_ulimit = !fit->by_limit && fit->available_bytes == gb_limits_address_space_bytes();
    snprintf(out, size,
             fit->by_limit ? "needs %s, max_memory is %s"
             : by_ulimit   ? "needs %s, the address space is limited to %s (ulimit -v)"
                           : "needs %s, %s are there",
             needed, number_bytes((double)fit->available_bytes).text);
}
