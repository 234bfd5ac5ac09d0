/* settings.h: `--model NAME --set key=value ...` turned into a checked config and training spec. */
#ifndef GPTBENCH_BENCH_SETTINGS_H
#define GPTBENCH_BENCH_SETTINGS_H

#include "bench/base/cli.h"
#include "model/config.h"
#include "model/train_spec.h"

/* The preset first, then every key=value in order; model keys, train keys, and the data keys
 * `train` and `val`. Resolves and validates both. `preset` NULL means d12. GB_ERR_USAGE names the
 * key and the nearest known one; a model key that can have no effect is refused with the reason. */
gb_status settings_read(gpt_config *config, train_spec *spec, const char *preset,
                        const cli_list *settings, gb_error *err);

/* The backend by name ("auto", "cpu", ...) that can run `precision` here, on GPU `device_index` of
 * the visible ones where that is not negative: then "auto" means the backend that has GPUs.
 * GB_ERR_USAGE when there is no such backend or device, GB_ERR_ENV with the reason when it cannot
 * run here. */
gb_status settings_backend(const gb_backend **out, const char *name, gb_precision precision,
                           int64_t device_index, gb_error *err);

#endif
