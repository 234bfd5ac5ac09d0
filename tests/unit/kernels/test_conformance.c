/* Every backend of this binary, in fp32 and bf16 and on every instruction set that the machine
 * has, held op by op against the float64 reference. What is compared, and how: conformance.h.
 *
 * The CUDA backend's other attention kernels are a subject of their own.
 *
 * GPTBENCH_CONFORMANCE=NAME (cpu, cuda, ref) restricts it to one backend,
 * GPTBENCH_CONFORMANCE_TESTS=GLOB to the tests of such names ("cuda bf16 - attention").
 *
 * kinds: plain sanitized emulated first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/conformance.h"
#include "tests/ref/ref_backend.h"

enum { MAX_SUBJECTS = 32, MAX_TESTS = 300, THREADS = 2 };

/* The device check asks for 2^61 bytes: the sanitizer must refuse as malloc does, not abort. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

typedef struct trial {
    cf_subject subject;
    const cf_group *group;
    char name[80];
} trial;

/* A subject's `isa` is an instruction set of the CPU backend, or attention kernels of the CUDA
 * backend. */
static void set_isa(const cf_subject *subject)
{
    bool cpu = subject && strcmp(subject->backend->name, "cpu") == 0;
    unsetenv("GPTBENCH_ISA");
    setenv("GPTBENCH_CUDA_ATTENTION", "portable", 1); /* not what agrees with it: itself */
    if (subject && subject->isa) {
        setenv(cpu ? "GPTBENCH_ISA" : "GPTBENCH_CUDA_ATTENTION", subject->isa, 1);
    }
}

/* Whether the subject opens here, on the instruction set that it asks for. */
static bool can_run(const cf_subject *subject)
{
    const char *reason = subject->backend->unavailable(subject->precision);
    bool cpu = strcmp(subject->backend->name, "cpu") == 0;
    gb_options options = {.precision = subject->precision,
                          .threads = subject->threads,
                          .device_index = -1,
                          .shape = {.batch_size = 1,
                                    .sequence_length = 1,
                                    .n_embd = 2,
                                    .n_head = 1,
                                    .n_kv_head = 1,
                                    .head_dim = 2,
                                    .mlp_hidden = 2,
                                    .vocab_size = 2}};
    gb_device *dev = NULL;
    gb_error error = {0};
    gb_description about = {0};
    bool ok = !reason;
    if (ok && subject->backend->open(&options, &dev, &error) != GB_OK) {
        ok = error.status != GB_ERR_ENV; /* anything else is a failure that the trials will show */
        reason = error.message;
    }
    if (dev) {
        subject->backend->describe(dev, &about);
        if (cpu && subject->isa && strncmp(about.isa, subject->isa, strlen(subject->isa)) != 0) {
            ok = false;
            reason = about.isa;
        }
        subject->backend->close(dev);
    }
    printf("%s %s %s %s: %s\n", ok ? "# test" : "# skip", subject->backend->name,
           gb_precision_name(subject->precision), subject->isa ? subject->isa : "",
           ok ? about.isa : reason);
    return ok;
}

static int find_subjects(cf_subject *subjects)
{
    static const char *const isas[] = {"generic", "avx2", "avx512", "avx512_bf16"};
    static const char *const attentions[] = {NULL, "hopper"};
    const char *only = getenv("GPTBENCH_CONFORMANCE");
    int n = 0;
    if (!only || strcmp(only, "ref") == 0) {
        subjects[n++] = (cf_subject){.backend = &gb_backend_ref, .precision = GB_FP64};
    }
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        bool cpu = strcmp((*b)->name, "cpu") == 0, cuda = strcmp((*b)->name, "cuda") == 0;
        for (int i = 0; i < 2 * (cpu ? 4 : cuda ? 2 : 1); i++) {
            cf_subject subject = {.backend = *b,
                                  .precision = i % 2 ? GB_BF16 : GB_FP32,
                                  .threads = THREADS,
                                  .isa = cpu    ? isas[i / 2]
                                         : cuda ? attentions[i / 2]
                                                : NULL};
            bool of_bf16 = (cuda && subject.isa) || (cpu && i / 2 == 3);
            if (of_bf16 && subject.precision == GB_FP32) {
                continue;
            }
            set_isa(&subject);
            if ((!only || strcmp(only, (*b)->name) == 0) && n < MAX_SUBJECTS && can_run(&subject)) {
                subjects[n++] = subject;
            }
        }
    }
    return n;
}

static void run_trial(void **state)
{
    const trial *t = *state;
    set_isa(&t->subject);
    int failed = t->group->run(&t->subject);
    set_isa(NULL);
    assert_int_equal(failed, 0);
}

/* ---- backends that are wrong, each of which its group must find ---- */

static gb_status wrong_linear(gb_device *dev, void *y, const void *x, const void *w, int64_t N,
                              int64_t I, int64_t O)
{
    gb_status status = gb_backend_ref.linear_forward(dev, y, x, w, N, I, O);
    ((double *)y)[N * O - 1] += 1e-6; /* one element, hardly */
    return status;
}

static gb_status wrong_gelu(gb_device *dev, void *out, const void *in, int64_t n)
{
    gb_backend_ref.gelu_forward(dev, out, in, n);
    ((double *)out)[n] = 0; /* one element too far */
    return GB_OK;
}

static gb_status wrong_embed(gb_device *dev, void *out, const int32_t *tokens, const void *wte,
                             int64_t N, int64_t C)
{
    /* The last row is never written. */
    return N > 1 ? gb_backend_ref.embed_forward(dev, out, tokens, wte, N - 1, C) : GB_OK;
}

static gb_status wrong_attention(gb_device *dev, void *out, void *lse, const void *qkv, int64_t B,
                                 int64_t T, int64_t H, int64_t K, int64_t D, int64_t window)
{
    ((double *)(uintptr_t)qkv)[0] += 1; /* scribbles on its input */
    gb_status status = gb_backend_ref.attention_forward(dev, out, lse, qkv, B, T, H, K, D, window);
    return status;
}

static gb_status wrong_sum(gb_device *dev, void *out, const void *x, int64_t n)
{
    gb_backend_ref.sum_squares(dev, out, x, n);
    gb_backend_ref.sum_squares(dev, out, x, n); /* counted twice in the ledger */
    return GB_OK;
}

/* Every other call differs in the last bit of one element, as racing threads might. */
static gb_status wrong_rope(gb_device *dev, void *qkv, void *inv_rms, bool qk_norm, int64_t B,
                            int64_t T, int64_t H, int64_t K, int64_t D)
{
    static int calls;
    gb_status status = gb_backend_ref.qk_rope_forward(dev, qkv, inv_rms, qk_norm, B, T, H, K, D);
    ((double *)qkv)[B * T * (H + 2 * K) * D - 1] *= calls++ % 2 ? 1 : 1 + 4.5e-16;
    return status;
}

static void test_bites(void **state)
{
    (void)state;
    gb_backend wrong = gb_backend_ref;
    cf_subject subject = {.backend = &wrong, .precision = GB_FP64, .quiet = true};
    wrong.linear_forward = wrong_linear;
    wrong.gelu_forward = wrong_gelu;
    wrong.embed_forward = wrong_embed;
    wrong.attention_forward = wrong_attention;
    wrong.sum_squares = wrong_sum;
    wrong.qk_rope_forward = wrong_rope;
    assert_true(conformance_linear(&subject) >= 11); /* the number of shapes there */
    assert_true(conformance_mlp(&subject) >= 24);
    assert_true(conformance_embed(&subject) >= 7);
    assert_true(conformance_attention(&subject) >= 12);
    assert_true(conformance_optimizer(&subject) >= 7);
    assert_true(conformance_qk_rope(&subject) >= 20);
}

int main(void)
{
    static cf_subject subjects[MAX_SUBJECTS];
    static trial trials[MAX_TESTS];
    static struct CMUnitTest tests[MAX_TESTS];
    int n_subjects = find_subjects(subjects), n = 0;
    for (int i = 0; i < n_subjects; i++) {
        for (const cf_group *group = conformance_groups; group->name; group++) {
            const cf_subject *s = &subjects[i];
            bool other_attention = s->isa && strcmp(s->backend->name, "cuda") == 0;
            if (other_attention && strcmp(group->name, "attention") != 0) {
                continue;
            }
            trials[n] = (trial){.subject = *s, .group = group};
            snprintf(trials[n].name, sizeof trials[n].name, "%s %s %s %s", s->backend->name,
                     gb_precision_name(s->precision), s->isa ? s->isa : "-", group->name);
            tests[n] = (struct CMUnitTest){
                .name = trials[n].name, .test_func = run_trial, .initial_state = &trials[n]};
            n++;
        }
    }
    cmocka_set_test_filter(getenv("GPTBENCH_CONFORMANCE_TESTS")); /* NULL: no filter */
    tests[n++] = (struct CMUnitTest){.name = "wrong backends are found", .test_func = test_bites};
    return _cmocka_run_group_tests("conformance", tests, (size_t)n, NULL, NULL);
}
