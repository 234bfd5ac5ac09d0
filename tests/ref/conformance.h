/* conformance.h: holds any backend against the reference backend, op by op.
 *
 * A case is one op call: its tensors with the values they start from, and a function that makes
 * the call. conformance_check makes it on the reference and twice on the subject, with the same
 * values (rounded to the subject's types first), and reports
 *   - outputs that differ: norm-wise ||a - b|| / ||b||, and element by element with ten times the
 *     tolerance, so that one wrong row of a large tensor does not hide in its norm;
 *   - outputs left unwritten (they start as NaN), inputs that changed;
 *   - writes before or behind any buffer (canaries; they are NaNs, so reads show as well);
 *   - two calls that are not bit-equal;
 *   - FLOPs and calls that differ in the ledger.
 *
 * To test another backend call each of conformance_groups with a subject that names it; see
 * tests/unit/kernels/test_conformance.c. Nothing here depends on a test framework. */
#ifndef GPTBENCH_TESTS_REF_CONFORMANCE_H
#define GPTBENCH_TESTS_REF_CONFORMANCE_H

#include "kernels/backend.h"
#include "tests/ref/random.h"

typedef struct cf_subject {
    const gb_backend *backend;
    gb_precision precision;
    int threads;     /* gb_options.threads */
    const char *isa; /* value for GPTBENCH_ISA, for messages; NULL = not set */
    bool quiet;      /* prints nothing: for backends that are meant to fail */
} cf_subject;

/* 1e-5 in fp32, 2e-2 in bf16, 1e-12 in fp64. */
double conformance_tolerance(gb_precision precision);

/* One group of cases. `run` returns the number of failed cases and prints each to stderr. */
typedef struct cf_group {
    const char *name;
    int (*run)(const cf_subject *subject);
} cf_group;

extern const cf_group conformance_groups[]; /* ends with name == NULL */

/* Parts of conformance_groups, by file. */
int conformance_embed(const cf_subject *subject);
int conformance_add_norm(const cf_subject *subject);
int conformance_linear(const cf_subject *subject);
int conformance_mlp(const cf_subject *subject);
int conformance_classifier(const cf_subject *subject);
int conformance_optimizer(const cf_subject *subject);
int conformance_qk_rope(const cf_subject *subject);
int conformance_attention(const cf_subject *subject);
int conformance_device(const cf_subject *subject);

/* ---- for writing cases ---- */

typedef enum cf_role {
    CF_IN,
    CF_OUT,    /* starts as NaN */
    CF_INOUT,  /* starts from its values */
    CF_WEIGHT, /* an input that arrives through weights_refresh */
    CF_COPY    /* act copy of `alias`: the same buffer where act and wide are one type */
} cf_role;

typedef enum cf_type { CF_ACT, CF_WIDE, CF_TOKENS, CF_DOUBLE } cf_type;

typedef struct cf_tensor {
    const char *name;
    cf_role role;
    cf_type type;
    int64_t n;        /* 0: the pointer is NULL in the call */
    int64_t padding;  /* elements behind those n that belong to the buffer: zero, not compared */
    double *values;   /* (n), owned by the case; tokens too */
    int alias;        /* index of the tensor whose buffer this one uses (in place), or -1 */
    int64_t width;    /* columns of a row, for n_parts > 1 */
    int64_t parts[4]; /* column where each part starts; each is compared on its own */
    int n_parts;
} cf_tensor;

enum { CF_MAX_TENSORS = 9 };

typedef struct cf_case cf_case;
struct cf_case {
    char label[160];
    gb_status (*call)(const cf_case *c, const gb_backend *backend, gb_device *dev, void **t);
    gb_precision precision; /* of the subject; values are rounded to its types */
    test_random rng;
    double tolerance_factor; /* 0 means 1; a case that sets it says why */
    int64_t B, T, N, C, I, O, F, V, H, K, D, window;
    double scale;
    bool post_norm, qk_norm, first, eval;
    double double_floor; /* doubles may also differ by tolerance * double_floor */
    int n_tensors;
    cf_tensor tensors[CF_MAX_TENSORS];
};

/* Adds a tensor with random normal values times `scale`, rounded to the subject's type; returns
 * its values for the case to change (round again with cf_round). n = 0 gives a NULL tensor. */
double *cf_add(cf_case *c, const char *name, cf_role role, cf_type type, int64_t n, double scale);
/* As above, values in [0, limit). */
double *cf_add_tokens(cf_case *c, const char *name, int64_t n, int64_t limit);
/* Rounds the values of tensor `index` to the subject's type. */
void cf_round(cf_case *c, int index);

/* Runs the case and frees its values. Returns 0, or 1 after saying what failed. */
int conformance_check(const cf_subject *subject, cf_case *c);

#endif
