/* attention_rounding.h: one head of causal attention, forward and backward, in float64, and beside
 * each result the standard deviation of what is left of its roundings to bf16 in a kernel that sums
 * in fp32.
 *
 * bf16 has 8 significant bits: rounding x to the nearest moves it by at most u |x|, u = 2^-8, and
 * evenly within that, so with a standard deviation of at most c |x|, c = u / sqrt(3). What is
 * rounded: p       weights of the softmax, before their product with v, and backward with dout out
 * the result, which is also what delta = sum over d of dout out is taken from, backward ds      p
 * (dp - delta), before its products with k and q dq, dk, dv   the results Products of bf16 are
 * exact in fp32, and fp32's own roundings are 2^-16 of these. To first order, with every rounding
 * on its own, variances add up: out_i   c^2 (sum_j p_ij^2 v_j^2 + out_i^2) delta_i c^2 sum_d
 * dout_i^2 out_i^2 dv_j    c^2 (sum_i p_ij^2 dout_i^2 + dv_j^2) dk_j    c^2 (s^2 sum_i ds_ij^2
 * q_i^2 + dk_j^2) + s^2 sum_i p_ij^2 var(delta_i) q_i^2 dq_i    c^2 (s^2 sum_j ds_ij^2 k_j^2 +
 * dq_i^2) + s^2 var(delta_i) (sum_j p_ij k_j)^2 with s = 1 / sqrt(D). */
#ifndef GPTBENCH_TESTS_REF_ATTENTION_ROUNDING_H
#define GPTBENCH_TESTS_REF_ATTENTION_ROUNDING_H

#include <stdint.h>

typedef enum ar_part { AR_OUT, AR_DQ, AR_DK, AR_DV, AR_PARTS } ar_part;

extern const char *const ar_part_names[AR_PARTS];
/* Roundings to bf16 one after another on the way to each: 2, 3, 3, 2. Each moves a result by at
 * most u of what it is summed from. */
extern const int ar_part_roundings[AR_PARTS];

typedef struct ar_head {
    int64_t T, D;
    double *q, *k, *v, *dout;  /* (T, D) each */
    double *lse;               /* (T) */
    double *result[AR_PARTS];  /* (T, D) */
    double *squares[AR_PARTS]; /* (T, D): the variance that roundings give */
    double *memory;            /* of all these; owned */
} ar_head;

/* Makes room for a head; ends the program where there is none. Ended with ar_head_free. */
ar_head ar_head_new(int64_t T, int64_t D);
void ar_head_free(ar_head *head);
/* From q, k, v and dout everything else. */
void ar_head_compute(ar_head *head);

typedef struct ar_distance {
    double worst_row; /* over rows: root of the mean square of a row's errors, by that of its
                         variances */
    double all;       /* the same over the whole head: at most 1 but for chance */
    int64_t at;       /* the worst row */
} ar_distance;

/* How far x (T, D) is from a part, in standard deviations; not finite where x is not. */
ar_distance ar_head_distance(const ar_head *head, ar_part part, const double *x);

#endif
