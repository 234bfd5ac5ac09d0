/* safetensors.h: named float tensors in one file (github.com/huggingface/safetensors, format:
 * u64 little-endian header length, JSON header, data). Reads F32, F64 and BF16, writes F32 and F64.
 */
#ifndef GPTBENCH_MODEL_SAFETENSORS_H
#define GPTBENCH_MODEL_SAFETENSORS_H

#include <stdint.h>

#include "kernels/status.h"

#define SAFETENSORS_MAX_DIMS 8

typedef struct safetensor {
    char name[128];
    int n_dims;
    int64_t dims[SAFETENSORS_MAX_DIMS];
    int64_t count;  /* product of dims */
    double *values; /* (count), owned by the file object */
} safetensor;

/* One entry of a file's `__metadata__`. */
typedef struct safetensors_note {
    const char *key, *text;
} safetensors_note;

typedef struct safetensors_file {
    int n_tensors;
    safetensor *tensors;
} safetensors_file;

/* Reads the whole file. What the format's own library refuses is refused: holes in the data,
 * tensors that overlap, bytes behind the last, sizes that do not fit the shape, a header above 100
 * MB. So are keys that come twice. All is checked before values are read; GB_ERR_FORMAT says what
 * is wrong. End with safetensors_close. */
gb_status safetensors_read(safetensors_file *out, const char *path, gb_error *err);
void safetensors_close(safetensors_file *file); /* fine on a zeroed struct */
/* NULL when absent. */
const safetensor *safetensors_find(const safetensors_file *file, const char *name);

/* What the file says of itself under `key`: *text is owned by the caller (free), NULL where it says
 * nothing. Reads the header alone. Errors are those of safetensors_read, to which a `__metadata__`
 * that is no table of text to text is one, too. */
gb_status safetensors_read_note(char **text, const char *path, const char *key, gb_error *err);

/* Writes to path.tmp-PID, fsyncs, renames; GB_ERR_USAGE where something else than a regular file
 * has the name. dtype by `as_double`: per tensor F64 when nonzero. */
typedef struct safetensor_out {
    const char *name;
    int n_dims;
    int64_t dims[SAFETENSORS_MAX_DIMS];
    const double *values;
    int as_double;
} safetensor_out;
gb_status safetensors_write(const char *path, const safetensor_out *tensors, int n_tensors,
                            gb_error *err);
/* The same with `__metadata__`, notes up to one whose key is NULL. */
gb_status safetensors_write_noted(const char *path, const safetensors_note *notes,
                                  const safetensor_out *tensors, int n_tensors, gb_error *err);

#endif
