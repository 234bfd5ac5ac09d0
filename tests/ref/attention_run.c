#include "tests/ref/attention_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/random.h"

static void *must(void *memory)
{
    if (!memory) {
        fputs("attention_run: out of memory\n", stderr);
        abort();
    }
    return memory;
}

int64_t at_count(const at_shape *s)
{
    return s->B * s->T * s->H * s->D;
}

int64_t at_index(const at_shape *s, ar_part part, int64_t bh, int64_t t, int64_t d)
{
    int64_t row = bh / s->H * s->T + t, column = bh % s->H * s->D + d, width = s->H * s->D;
    return part == AR_OUT ? row * width + column : (row * 3 + part - AR_DQ) * width + column;
}

/* ---- values ---- */

static uint16_t bf16_from(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static float bf16_to(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float at_bf16(float x)
{
    return bf16_to(bf16_from(x));
}

float *at_random(int64_t rows, int64_t width, uint64_t seed)
{
    float *x = must(malloc((size_t)(rows * width) * sizeof *x));
#pragma omp parallel for
    for (int64_t row = 0; row < rows; row++) {
        test_random rng = {.state = seed * 1000003 + (uint64_t)row};
        rng.state = test_random_bits(&rng); /* so that neighbours' streams have nothing in common */
        for (int64_t i = 0; i < width; i++) {
            x[row * width + i] = at_bf16((float)test_random_normal(&rng));
        }
    }
    return x;
}

static uint16_t *halves_of(const float *values, int64_t n)
{
    uint16_t *halves = must(malloc((size_t)n * sizeof *halves));
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        halves[i] = bf16_from(values[i]);
    }
    return halves;
}

gb_status at_write(const char *folder, const char *name, const float *values, int64_t n,
                   gb_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.bf16", folder, name);
    FILE *file = fopen(path, "wb");
    uint16_t *halves = halves_of(values, n);
    bool good = file && fwrite(halves, sizeof *halves, (size_t)n, file) == (size_t)n;
    good = (!file || fclose(file) == 0) && good;
    free(halves);
    return good ? GB_OK : gb_fail(err, GB_ERR_IO, "%s: could not be written", path);
}

/* ---- results ---- */

float *at_part(const at_results *r, ar_part part)
{
    return part == AR_OUT ? r->out : r->dqkv;
}

void at_results_free(at_results *r)
{
    free(r->out);
    free(r->dqkv);
    free(r->lse);
    *r = (at_results){0};
}

/* ---- on the device ---- */

typedef struct run {
    const gb_backend *be;
    gb_device *dev;
    const at_shape *s;
    int bytes; /* of an act */
    void *qkv, *dout, *out, *dqkv, *lse;
} run;

static gb_status device_upload(run *r, void *at, const float *values, int64_t n)
{
    if (r->bytes == 4) {
        return r->be->upload(r->dev, at, values, n * 4);
    }
    uint16_t *halves = halves_of(values, n);
    gb_status status = r->be->upload(r->dev, at, halves, n * 2);
    free(halves);
    return status;
}

static gb_status host_copy(run *r, const void *at, int64_t n, int bytes, float **out)
{
    float *values = *out = must(malloc((size_t)n * 4));
    if (bytes == 4) {
        return r->be->download(r->dev, values, at, n * 4);
    }
    uint16_t *halves = must(malloc((size_t)n * 2));
    gb_status status = r->be->download(r->dev, halves, at, n * 2);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        values[i] = status == GB_OK ? bf16_to(halves[i]) : 0;
    }
    free(halves);
    return status;
}

static gb_status run_alloc(run *r, const float *qkv, const float *dout)
{
    const int64_t n = at_count(r->s), rows = r->s->B * r->s->H * r->s->T;
    const gb_memory_group group = GB_MEM_ACTIVATIONS;
    GB_TRY(r->be->alloc(r->dev, group, 3 * n * r->bytes, &r->qkv));
    GB_TRY(r->be->alloc(r->dev, group, n * r->bytes, &r->dout));
    GB_TRY(r->be->alloc(r->dev, group, n * r->bytes, &r->out));
    GB_TRY(r->be->alloc(r->dev, group, 3 * n * r->bytes, &r->dqkv));
    GB_TRY(r->be->alloc(r->dev, group, rows * 4, &r->lse));
    GB_TRY(device_upload(r, r->qkv, qkv, 3 * n));
    return device_upload(r, r->dout, dout, n);
}

static gb_status run_once(run *r, at_results *out)
{
    const at_shape *s = r->s;
    const int64_t n = at_count(s);
    GB_TRY(
        r->be->attention_forward(r->dev, r->out, r->lse, r->qkv, s->B, s->T, s->H, s->H, s->D, 0));
    GB_TRY(r->be->attention_backward(r->dev, r->dqkv, r->dout, r->qkv, r->out, r->lse, s->B, s->T,
                                     s->H, s->H, s->D, 0));
    GB_TRY(host_copy(r, r->out, n, r->bytes, &out->out));
    GB_TRY(host_copy(r, r->dqkv, 3 * n, r->bytes, &out->dqkv));
    return host_copy(r, r->lse, s->B * s->H * s->T, 4, &out->lse);
}

static gb_status run_open(run *r, gb_precision precision, const char *attention, gb_error *err)
{
    const at_shape *s = r->s;
    gb_options options = {.precision = precision,
                          .device_index = -1,
                          .shape = {.batch_size = s->B,
                                    .sequence_length = s->T,
                                    .n_embd = s->H * s->D,
                                    .n_head = s->H,
                                    .n_kv_head = s->H,
                                    .head_dim = s->D,
                                    .mlp_hidden = 2,
                                    .vocab_size = 2}};
    setenv("GPTBENCH_CUDA_ATTENTION", attention, 1);
    gb_status status = r->be->open(&options, &r->dev, err);
    unsetenv("GPTBENCH_CUDA_ATTENTION");
    return status;
}

gb_status at_run(const gb_backend *be, gb_precision precision, const char *attention,
                 const at_shape *s, const float *qkv, const float *dout, at_results *out,
                 bool *same, gb_error *err)
{
    run r = {.be = be, .s = s, .bytes = precision == GB_FP32 ? 4 : 2};
    at_results second = {0};
    *out = (at_results){0};
    GB_TRY(run_open(&r, precision, attention, err));
    gb_status status = run_alloc(&r, qkv, dout);
    status = status == GB_OK ? run_once(&r, out) : status;
    status = status == GB_OK ? run_once(&r, &second) : status;
    if (status == GB_OK) {
        const size_t bytes = (size_t)at_count(s) * sizeof(float);
        *same = memcmp(out->out, second.out, bytes) == 0 &&
                memcmp(out->dqkv, second.dqkv, 3 * bytes) == 0;
    } else {
        gb_fail(err, status, "%s", be->last_error(r.dev));
        at_results_free(out);
    }
    at_results_free(&second);
    be->close(r.dev);
    return status;
}
