#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/process_limits.h"
#include "model/json_text.h"
#include "model/near_file.h"

#define METADATA "__metadata__"

/* The header of a model with thousands of tensors is below 1 MB; the reference caps it too. */
enum { MAX_HEADER_BYTES = 100000000 };

typedef enum dtype { DTYPE_F32, DTYPE_F64, DTYPE_BF16, DTYPE_UNKNOWN } dtype;

static dtype dtype_parse(const char *name)
{
    return strcmp(name, "F32") == 0    ? DTYPE_F32
           : strcmp(name, "F64") == 0  ? DTYPE_F64
           : strcmp(name, "BF16") == 0 ? DTYPE_BF16
                                       : DTYPE_UNKNOWN;
}

static int64_t dtype_bytes(dtype type)
{
    return type == DTYPE_F64 ? 8 : type == DTYPE_F32 ? 4 : 2;
}

/* ---- reading ---- */

typedef struct reader {
    const char *path;
    FILE *file;
    int64_t data_start, data_bytes;
} reader;

static uint64_t little_endian_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void decode_values(double *out, const unsigned char *bytes, int64_t n, dtype type)
{
    for (int64_t i = 0; i < n; i++) {
        if (type == DTYPE_F64) {
            memcpy(&out[i], bytes + 8 * i, 8);
        } else {
            float value;
            uint32_t bits;
            if (type == DTYPE_F32) {
                memcpy(&bits, bytes + 4 * i, 4);
            } else {
                uint16_t high;
                memcpy(&high, bytes + 2 * i, 2);
                bits = (uint32_t)high << 16;
            }
            memcpy(&value, &bits, 4);
            out[i] = value;
        }
    }
}

static gb_status read_values(const reader *r, safetensor *t, dtype type, int64_t begin,
                             gb_error *err)
{
    int64_t bytes = t->count * dtype_bytes(type);
    unsigned char *raw = malloc((size_t)bytes + 1);
    t->values = malloc((size_t)t->count * sizeof *t->values + 1);
    gb_status status = GB_OK;
    if (!raw || !t->values) {
        status = gb_fail(err, GB_ERR_OOM, "%s: no memory for %s (%lld bytes)", r->path, t->name,
                         (long long)bytes);
    } else if (fseeko(r->file, r->data_start + begin, SEEK_SET) != 0 ||
               fread(raw, 1, (size_t)bytes, r->file) != (size_t)bytes) {
        status = gb_fail(err, GB_ERR_IO, "%s: cannot read %s", r->path, t->name);
    } else {
        decode_values(t->values, raw, t->count, type);
    }
    free(raw);
    return status;
}

/* A whole number from 0 on, as every number of the header is. */
static bool read_count(const json_t *number, int64_t *out)
{
    *out = json_is_integer(number) ? (int64_t)json_integer_value(number) : -1;
    return *out >= 0;
}

/* Shape and place; every product is checked against the file's own size before it is used. */
static gb_status parse_entry(const reader *r, const char *name, json_t *entry, safetensor *t,
                             dtype *type, int64_t *begin, gb_error *err)
{
    json_t *shape = json_object_get(entry, "shape");
    json_t *offsets = json_object_get(entry, "data_offsets");
    const char *type_name = json_string_value(json_object_get(entry, "dtype"));
    if (!json_is_array(shape) || !json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !type_name || strlen(name) >= sizeof t->name ||
        json_array_size(shape) > SAFETENSORS_MAX_DIMS) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: entry %.100s: needs dtype, shape (at most %d numbers) and two "
                       "data_offsets",
                       r->path, name, SAFETENSORS_MAX_DIMS);
    }
    *type = dtype_parse(type_name);
    if (*type == DTYPE_UNKNOWN) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: %s has dtype %.16s; F32, F64 and BF16 are read",
                       r->path, name, type_name);
    }
    strcpy(t->name, name);
    t->n_dims = (int)json_array_size(shape);
    t->count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        int64_t dim = -1;
        if (!read_count(json_array_get(shape, (size_t)i), &dim) ||
            (dim > 0 && t->count > r->data_bytes / dim)) {
            return gb_fail(err, GB_ERR_FORMAT, "%s: %s: dimension %d does not fit the file",
                           r->path, name, i);
        }
        t->dims[i] = dim;
        t->count *= dim;
    }
    int64_t first = -1, last = -1;
    if (!read_count(json_array_get(offsets, 0), &first) ||
        !read_count(json_array_get(offsets, 1), &last) || last < first || last > r->data_bytes ||
        last - first != t->count * dtype_bytes(*type)) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: %s: data_offsets [%lld, %lld] do not hold %lld values of %s in %lld "
                       "bytes of data",
                       r->path, name, (long long)first, (long long)last, (long long)t->count,
                       type_name, (long long)r->data_bytes);
    }
    *begin = first;
    return GB_OK;
}

/* Where the values of a tensor lie. */
typedef struct place {
    int64_t begin, end;
    const char *name; /* borrowed */
} place;

static int place_compare(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1)
                                : (x->end > y->end) - (x->end < y->end);
}

/* The format: no bytes are left out, none belong to two, none are behind the last one. */
static gb_status check_places(const reader *r, place *places, int n, gb_error *err)
{
    int64_t covered = 0;
    qsort(places, (size_t)n, sizeof *places, place_compare);
    for (int i = 0; i < n; covered = places[i++].end) {
        if (places[i].begin < covered) {
            return gb_fail(
                err, GB_ERR_FORMAT,
                "%s: tensors overlap: %s begins at byte %lld of the data, %s ends at %lld", r->path,
                places[i].name, (long long)places[i].begin, places[i - 1].name, (long long)covered);
        }
        if (places[i].begin > covered) {
            return gb_fail(
                err, GB_ERR_FORMAT,
                "%s: bytes %lld to %lld of the data belong to no tensor; %s should begin at %lld",
                r->path, (long long)covered, (long long)places[i].begin, places[i].name,
                (long long)covered);
        }
    }
    if (covered != r->data_bytes) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: %lld bytes behind the last tensor, which ends at byte %lld of the data",
                       r->path, (long long)(r->data_bytes - covered), (long long)covered);
    }
    return GB_OK;
}

/* Reads the entries without their values into `out` and `places`, which have room for all. */
static gb_status parse_entries(const reader *r, json_t *header, safetensors_file *out,
                               place *places, dtype *types, gb_error *err)
{
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, METADATA) == 0) {
            continue; /* checked with the header */
        }
        int i = out->n_tensors;
        safetensor *t = &out->tensors[i];
        GB_TRY(parse_entry(r, name, entry, t, &types[i], &places[i].begin, err));
        places[i].end = places[i].begin + t->count * dtype_bytes(types[i]);
        places[i].name = t->name;
        out->n_tensors++;
    }
    return GB_OK;
}

/* All places are checked before any values are read. */
static gb_status read_tensors(const reader *r, json_t *header, safetensors_file *out, gb_error *err)
{
    size_t room = json_object_size(header) + 1;
    gb_status status = GB_OK;
    place *places = calloc(room, 2 * sizeof *places); /* in the header's order, and in the data's */
    dtype *types = calloc(room, sizeof *types);
    out->tensors = calloc(room, sizeof *out->tensors);
    if (!places || !types || !out->tensors) {
        status = gb_fail(err, GB_ERR_OOM, "%s: no memory for the table of tensors", r->path);
        goto done;
    }
    status = parse_entries(r, header, out, places, types, err);
    if (status == GB_OK) {
        memcpy(places + room, places, (size_t)out->n_tensors * sizeof *places);
        status = check_places(r, places + room, out->n_tensors, err);
    }
    for (int i = 0; i < out->n_tensors && status == GB_OK; i++) {
        status = read_values(r, &out->tensors[i], types[i], places[i].begin, err);
    }
done:
    free(places);
    free(types);
    return status;
}

/* The format's own library refuses anything but text, too. */
static gb_status check_metadata(const char *path, json_t *header, gb_error *err)
{
    json_t *metadata = json_object_get(header, METADATA), *value;
    const char *key;
    if (metadata && !json_is_object(metadata) && !json_is_null(metadata)) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: " METADATA " is no JSON object", path);
    }
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) {
            return gb_fail(err, GB_ERR_FORMAT,
                           "%s: " METADATA ": %.64s is no text; the format has text there alone",
                           path, key);
        }
    }
    return GB_OK;
}

static gb_status read_header(reader *r, json_t **header, gb_error *err)
{
    unsigned char prefix[8];
    struct stat info;
    json_error_t json_err;
    if (fstat(fileno(r->file), &info) != 0 || !S_ISREG(info.st_mode)) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: not a regular file", r->path);
    }
    if (fread(prefix, 1, 8, r->file) != 8) {
        return gb_fail(err, GB_ERR_FORMAT, "%s: too short for a safetensors file", r->path);
    }
    uint64_t size = little_endian_u64(prefix);
    if (size > MAX_HEADER_BYTES || (int64_t)size > (int64_t)info.st_size - 8) {
        return gb_fail(err, GB_ERR_FORMAT,
                       "%s: not a safetensors file, or cut off: its header claims %llu bytes, the "
                       "file has %lld",
                       r->path, (unsigned long long)size, (long long)info.st_size);
    }
    char *text = malloc((size_t)size + 1);
    if (!text) {
        return gb_fail(err, GB_ERR_OOM, "%s: no memory for the header", r->path);
    }
    json_memory_watch();
    bool whole = fread(text, 1, (size_t)size, r->file) == (size_t)size;
    *header = whole ? json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, &json_err) : NULL;
    free(text);
    if (json_memory_lacked()) {
        json_decref(*header);
        *header = NULL;
        return gb_fail(err, GB_ERR_OOM, "%s: no memory for the header", r->path);
    }
    if (!json_is_object(*header)) {
        json_decref(*header);
        *header = NULL;
        return gb_fail(err, GB_ERR_FORMAT, "%s: the header is not a JSON object: %s", r->path,
                       whole ? json_err.text : "cut off");
    }
    r->data_start = 8 + (int64_t)size;
    r->data_bytes = (int64_t)info.st_size - r->data_start;
    return check_metadata(r->path, *header, err);
}

static gb_status open_header(reader *r, json_t **header, gb_error *err)
{
    /* O_NONBLOCK: a FIFO is refused below, not waited for. */
    int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    r->file = fd >= 0 ? fdopen(fd, "rb") : NULL;
    if (!r->file) {
        return gb_fail(err, GB_ERR_USAGE, "%s: %s%s", r->path, gb_reason(errno),
                       near_file_find(r->path, ".safetensors").hint);
    }
    return read_header(r, header, err);
}

static void close_header(reader *r, json_t *header)
{
    json_decref(header);
    if (r->file) {
        fclose(r->file);
    }
}

gb_status safetensors_read(safetensors_file *out, const char *path, gb_error *err)
{
    *out = (safetensors_file){0};
    reader r = {.path = path};
    json_t *header = NULL;
    gb_status status = open_header(&r, &header, err);
    if (status == GB_OK) {
        status = read_tensors(&r, header, out, err);
    }
    close_header(&r, header);
    if (status != GB_OK) {
        safetensors_close(out);
    }
    return status;
}

gb_status safetensors_read_note(char **text, const char *path, const char *key, gb_error *err)
{
    reader r = {.path = path};
    json_t *header = NULL;
    *text = NULL;
    gb_status status = open_header(&r, &header, err);
    const char *found =
        status == GB_OK ? json_string_value(json_object_get(json_object_get(header, METADATA), key))
                        : NULL;
    if (found && !(*text = strdup(found))) {
        status = gb_fail(err, GB_ERR_OOM, "%s: no memory for its metadata", path);
    }
    close_header(&r, header);
    return status;
}

void safetensors_close(safetensors_file *file)
{
    for (int i = 0; file->tensors && i < file->n_tensors; i++) {
        free(file->tensors[i].values);
    }
    free(file->tensors);
    *file = (safetensors_file){0};
}

const safetensor *safetensors_find(const safetensors_file *file, const char *name)
{
    for (int i = 0; i < file->n_tensors; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

/* ---- writing ---- */

static int64_t count_of(const safetensor_out *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        count *= t->dims[i];
    }
    return count;
}

/* False without memory. */
static bool header_add_notes(json_t *header, const safetensors_note *notes)
{
    bool whole = true;
    json_t *metadata = json_object();
    for (; notes && notes->key; notes++) {
        whole &= json_object_set_new(metadata, notes->key, json_string(notes->text)) == 0;
    }
    if (json_object_size(metadata) == 0) {
        json_decref(metadata);
        return whole;
    }
    return json_object_set_new(header, METADATA, metadata) == 0 && whole;
}

static char *make_header(const safetensors_note *notes, const safetensor_out *tensors, int n)
{
    json_t *header = json_object();
    int64_t offset = 0;
    bool whole = header_add_notes(header, notes); /* memory never lacked */
    for (int i = 0; i < n; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < tensors[i].n_dims; d++) {
            whole &= json_array_append_new(shape, json_integer(tensors[i].dims[d])) == 0;
        }
        int64_t bytes = count_of(&tensors[i]) * (tensors[i].as_double ? 8 : 4);
        json_t *entry =
            json_pack("{s:s, s:o, s:[I,I]}", "dtype", tensors[i].as_double ? "F64" : "F32", "shape",
                      shape, "data_offsets", (json_int_t)offset, (json_int_t)(offset + bytes));
        whole &= json_object_set_new(header, tensors[i].name, entry) == 0;
        offset += bytes;
    }
    char *text = whole ? json_text(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

static bool write_values(FILE *file, const safetensor_out *t)
{
    int64_t count = count_of(t);
    if (t->as_double) {
        return fwrite(t->values, 8, (size_t)count, file) == (size_t)count;
    }
    float chunk[1024];
    for (int64_t at = 0; at < count;) {
        int n = 0;
        for (; n < 1024 && at < count; n++, at++) {
            chunk[n] = (float)t->values[at];
        }
        if (fwrite(chunk, 4, (size_t)n, file) != (size_t)n) {
            return false;
        }
    }
    return true;
}

static bool write_file(FILE *file, const char *header, const safetensor_out *tensors, int n)
{
    /* Data starts at a multiple of 8: the header is padded with spaces, as the format allows. */
    size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) {
        prefix[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    }
    bool good = fwrite(prefix, 1, 8, file) == 8 && fwrite(header, 1, length, file) == length;
    for (size_t i = length; i < padded && good; i++) {
        good = fputc(' ', file) != EOF;
    }
    for (int i = 0; i < n && good; i++) {
        good = write_values(file, &tensors[i]);
    }
    return good && fflush(file) == 0 && fsync(fileno(file)) == 0;
}

gb_status safetensors_write(const char *path, const safetensor_out *tensors, int n_tensors,
                            gb_error *err)
{
    return safetensors_write_noted(path, NULL, tensors, n_tensors, err);
}

gb_status safetensors_write_noted(const char *path, const safetensors_note *notes,
                                  const safetensor_out *tensors, int n_tensors, gb_error *err)
{
    char temporary[4096];
    struct stat there;
    if (snprintf(temporary, sizeof temporary, "%s.tmp-%ld", path, (long)getpid()) >=
        (int)sizeof temporary) {
        return gb_fail(err, GB_ERR_USAGE, "%.200s...: path too long", path);
    }
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) { /* renaming would take its place */
        return gb_fail(err, GB_ERR_USAGE, "%s: exists and is not a regular file; name another",
                       path);
    }
    unlink(temporary); /* of a process that had our number and was killed */
    FILE *file = fopen(temporary, "wbxe");
    if (!file) {
        return gb_fail(err, GB_ERR_IO, "%s: %s", temporary, gb_reason(errno));
    }
    char *header = make_header(notes, tensors, n_tensors);
    bool good = header && write_file(file, header, tensors, n_tensors);
    int why = errno;
    free(header);
    if (fclose(file) != 0 || !good || rename(temporary, path) != 0) {
        why = good ? errno : why;
        unlink(temporary);
        return gb_fail(err, GB_ERR_IO, "%s: cannot write: %s", path, gb_reason(why));
    }
    return GB_OK;
}
