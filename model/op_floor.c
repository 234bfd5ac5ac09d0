#include "model/op_floor.h"

#include <math.h>

#include "model/flops.h"
#include "model/layout.h"

/* What the formulas below are written in, as in kernels/backend.h; Q, R, U are the widths of the
 * heads together, of qkv and of what goes into the activation. All double: products of five of
 * them pass 2^53 only where a byte more or less is nothing. */
typedef struct dims {
    double L, N, T, B, C, H, K, D, Q, R, F, U, V, P, A;
    double pairs; /* (query, key) that one head of one sequence sees */
    bool swiglu, post, qk_norm;
} dims;

static dims dims_of(const gpt_config *c, const op_floor_shape *s)
{
    gpt_layout layout;
    gpt_layout_init(&layout, c);
    dims d = {.L = (double)c->n_layer,
              .B = (double)s->batch_size,
              .T = (double)s->sequence_length,
              .C = (double)c->n_embd,
              .H = (double)c->n_head,
              .K = (double)gpt_config_kv_heads(c),
              .D = (double)gpt_config_head_dim(c),
              .F = (double)gpt_config_mlp_hidden(c),
              .V = (double)c->vocab_size,
              .P = (double)layout.n_params,
              .A = (double)s->act_bytes,
              .pairs = (double)gpt_attention_pairs(s->sequence_length, gpt_config_window(c)),
              .swiglu = c->use_swiglu_mlp,
              .post = c->post_norm,
              .qk_norm = c->qk_norm};
    d.N = d.B * d.T;
    d.Q = d.H * d.D;
    d.R = (d.H + 2 * d.K) * d.D;
    d.U = d.swiglu ? 2 * d.F : d.F;
    return d;
}

/* y (N, O) = x (N, I) . w (O, I)^T in each layer. Backward: dw = dy^T . x in wide, dx = dy . w. */
static op_floor linear(const dims *d, bool backward, double I, double O)
{
    if (!backward) {
        return (op_floor){d->L * 2 * d->N * I * O, d->L * (d->N * I + I * O + d->N * O) * d->A};
    }
    double weight = (d->N * O + d->N * I) * d->A + 4 * I * O;
    double input = (d->N * O + I * O + d->N * I) * d->A;
    return (op_floor){d->L * 4 * d->N * I * O, d->L * (weight + input)};
}

/* 2L + 1 calls, counted in rows of C. Forward, the first: x read, h written; each other: x and y
 * read, x and h written. Backward, the final norm's: dh, h read, dx written; a block's first norm
 * has dx read besides, its second also dy written. With post_norm a branch's y is read and its dy
 * written in every call but the first norm's. And the statistics, 4 bytes a row each. */
static op_floor norm(const dims *d, bool backward)
{
    double forward_rows = 2 + 4 * 2 * d->L;
    double backward_rows = d->post ? 5 + 6 * d->L + 6 * (d->L - 1) + 4 : 3 + 5 * d->L + 4 * d->L;
    double statistics = 2 * d->L + 1 + (d->post ? 2 * d->L : 0);
    double rows = backward ? backward_rows : forward_rows;
    return (op_floor){0, rows * d->N * d->C * d->A + statistics * 4 * d->N};
}

/* The query and key heads read and written, backward with norm also as forward left them; the
 * table of T D angles; 1/rms of each head. */
static op_floor qk_rope(const dims *d, bool backward)
{
    double heads = d->N * (d->H + d->K);
    double passes = backward && d->qk_norm ? 3 : 2;
    double bytes = passes * heads * d->D * d->A + 4 * d->T * d->D + (d->qk_norm ? 4 * heads : 0);
    return (op_floor){0, d->L * bytes};
}

/* Forward S = Q K^T and P V; backward dV, dP, dQ, dK, without the scores computed again. Bytes:
 * qkv and out (and dout and dqkv), lse. */
static op_floor attention(const dims *d, bool backward)
{
    double product = 2 * d->D * d->pairs * d->H * d->B;
    double bytes = (backward ? 2 * d->R + 2 * d->Q : d->R + d->Q) * d->N * d->A + 4 * d->N * d->H;
    return (op_floor){d->L * (backward ? 4 : 2) * product, d->L * bytes};
}

/* Forward u read, act written; backward dact and u read, du written. */
static op_floor mlp_act(const dims *d, bool backward)
{
    double columns = backward ? d->F + 2 * d->U : d->U + d->F;
    return (op_floor){0, d->L * columns * d->N * d->A};
}

/* h, wte and targets read, dh and dwte (wide) written; the logits need not leave the chip. */
static op_floor classifier(const dims *d)
{
    double bytes = (2 * d->N * d->C + d->V * d->C) * d->A + 4 * d->V * d->C + 4 * d->N;
    return (op_floor){6 * d->N * d->V * d->C, bytes};
}

/* Rows gathered and written; backward dx read. Which rows of dwte are touched depends on the data:
 * they are left out. */
static op_floor embed(const dims *d, bool backward)
{
    return (op_floor){0, (backward ? 1 : 2) * d->N * d->C * d->A + 4 * d->N};
}

static op_floor of_pass(const dims *d, bool backward, gb_op op)
{
    switch (op) {
    case GB_OP_EMBED:
        return embed(d, backward);
    case GB_OP_NORM:
        return norm(d, backward);
    case GB_OP_LINEAR_QKV:
        return linear(d, backward, d->C, d->R);
    case GB_OP_QK_ROPE:
        return qk_rope(d, backward);
    case GB_OP_ATTENTION:
        return attention(d, backward);
    case GB_OP_LINEAR_ATTN_OUT:
        return linear(d, backward, d->Q, d->C);
    case GB_OP_LINEAR_MLP_UP:
        return linear(d, backward, d->C, d->U);
    case GB_OP_MLP_ACT:
        return mlp_act(d, backward);
    case GB_OP_LINEAR_MLP_DOWN:
        return linear(d, backward, d->F, d->C);
    case GB_OP_CLASSIFIER:
        return backward ? (op_floor){0, 0} : classifier(d);
    default:
        return (op_floor){0, 0};
    }
}

op_floor op_floor_of_step(const gpt_config *config, const op_floor_shape *shape, gb_phase phase,
                          gb_op op)
{
    dims d = dims_of(config, shape);
    if (phase == GB_PHASE_FORWARD || phase == GB_PHASE_BACKWARD) {
        return of_pass(&d, phase == GB_PHASE_BACKWARD, op);
    }
    if (phase == GB_PHASE_UPDATE && op == GB_OP_GRAD_NORM) {
        return (op_floor){0, 4 * d.P}; /* the gradient */
    }
    if (phase == GB_PHASE_UPDATE && op == GB_OP_ADAMW) {
        /* master, m, v read and written, gradient read, and the compute copy where there is one */
        return (op_floor){0, 28 * d.P + (d.A < 4 ? d.A * d.P : 0)};
    }
    return (op_floor){0, 0};
}

op_floor op_floor_of_batches(const gpt_config *config, const op_floor_shape *shape,
                             int64_t micro_batches, gb_phase phase, gb_op op)
{
    op_floor one = op_floor_of_step(config, shape, phase, op);
    double times = phase == GB_PHASE_UPDATE ? 1 : (double)micro_batches;
    return (op_floor){times * one.flops, times * one.bytes};
}

static double part_ms(double work, double rate)
{
    return work > 0 ? (rate > 0 ? work / rate * 1e3 : NAN) : 0;
}

double op_floor_ms(const op_floor *floor, op_rates rates)
{
    double compute = part_ms(floor->flops, rates.flops_per_s);
    double memory = part_ms(floor->bytes, rates.bytes_per_s);
    return isnan(compute) || isnan(memory) ? NAN : fmax(compute, memory);
}

const char *op_bound_name(op_bound bound)
{
    static const char *const names[] = {"", "compute", "memory", "latency"};
    return names[bound];
}

op_bound op_floor_bound(const op_floor *floor, op_rates rates, double calls, double time_ms,
                        double start_ms)
{
    double floor_ms = op_floor_ms(floor, rates);
    if (!(floor_ms > 0) || !(calls > 0) || !(time_ms > 0)) {
        return OP_BOUND_UNKNOWN;
    }
    if (time_ms >= OP_LATENCY_TIMES * floor_ms && floor_ms / calls < start_ms) {
        return OP_BOUND_LATENCY;
    }
    return part_ms(floor->flops, rates.flops_per_s) > part_ms(floor->bytes, rates.bytes_per_s)
               ? OP_BOUND_COMPUTE
               : OP_BOUND_MEMORY;
}
