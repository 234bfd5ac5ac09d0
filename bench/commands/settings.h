/* settings.h: what a command line says of a model and its training: `--model PRESET`, `--set
 * KEY=VALUE` and `--KEY VALUE` for every key of the tables, turned into a checked config and
 * training spec. */
#ifndef GPTBENCH_BENCH_SETTINGS_H
#define GPTBENCH_BENCH_SETTINGS_H

#include "bench/base/cli.h"
#include "model/config.h"
#include "model/train_spec.h"

enum { SETTINGS_KEYS = 64, SETTINGS_OPTIONS = 96 };

/* As settings_args_default has it: nothing was said. */
typedef struct settings_args {
    const char *preset;                /* of --model; NULL: d12 */
    cli_list set;                      /* of --set */
    const char *values[SETTINGS_KEYS]; /* of --KEY: model keys, then train keys, then data keys */
    const char *backend;               /* of --backend */
    int64_t threads;                   /* of --threads; 0: all */
    int64_t device;                    /* of --device; -1: the first */
    const char *weights;               /* a file of weights whose model counts; NULL: none */
    bool synthetic; /* without data: take a synthetic source of the model's vocabulary */
} settings_args;

settings_args settings_args_default(void);

/* The options of a command, with those of the keys behind them. Holds the texts they point to. */
typedef struct settings_options {
    cli_option rows[SETTINGS_OPTIONS];
    char names[SETTINGS_KEYS][40], value_names[SETTINGS_KEYS][64];
} settings_options;

/* --model and --set, `own` (ended by a NULL name), --backend, --threads and --device, then `--KEY
 * VALUE` for every model and train key, and with `data_keys` for `train` and `val`; what they are
 * given goes to args->values. */
void settings_options_make(settings_options *out, const cli_option *own, bool data_keys,
                           settings_args *args);

/* The preset first, then every key that was given; model keys, train keys, and the data keys
 * `train` and `val`. With a file of weights that says what model it is of, that model instead of
 * the preset, and what is given must agree with it. Resolves and validates both. GB_ERR_USAGE names
 * the key and the nearest known one, a key that is given twice, and what contradicts the file; a
 * model key that can have no effect is refused with the reason. GB_ERR_FORMAT: the file. */
gb_status settings_read(gpt_config *config, train_spec *spec, const settings_args *args,
                        gb_error *err);

/* Says on stderr that `spec` has synthetic data because none were given, and how to give some;
 * nothing where some were. `given` is the source that the command line named, NULL for none. */
void settings_say_synthetic(const char *given, const train_spec *spec, const char *how);

/* What a key was given, by --KEY or --set; NULL: nothing. */
const char *settings_value(const settings_args *args, const char *key);
/* Says on stderr which of the keys `names` (NULL-terminated) were given and do nothing in this
 * command, and why. */
void settings_say_idle(const settings_args *args, const char *const *names, const char *why);

/* The backend by name ("auto", "cpu", ...) that can run `precision` here, on GPU `device_index` of
 * the visible ones where that is not negative: then "auto" means the backend that has GPUs.
 * GB_ERR_USAGE when there is no such backend or device, GB_ERR_ENV with the reason when it cannot
 * run here. */
gb_status settings_backend(const gb_backend **out, const char *name, gb_precision precision,
                           int64_t device_index, gb_error *err);

#endif
