/* attention_common.cuh: what the files of the attention kernels share. What others may call is in
 * cuda_attention.cuh.
 *
 * Paths, chosen in attention_dispatch.cu:
 *   attention_fp32.cu               float, and bf16 whose head_dim is not a multiple of 8
 *   attention_bf16_forward.cu       bf16 flash attention on tensor cores (mma.sync)
 *   attention_bf16_backward.cu      its gradient
 *   attention_hopper_forward.cu     the same for compute capability 9.0 (wgmma)
 *   attention_hopper_backward_*.cu  its gradient: of queries, of keys and values
 * Hopper's have to agree with the others first: attention_trial.cu.
 *
 * Notation: query (b, h, i) has kv head h / (H / K) and sees keys j with j <= i and, where
 * window > 0, i - j <= window. pairs is the number of (i, j) seen in one head. */
#ifndef GPTBENCH_KERNELS_CUDA_ATTENTION_COMMON_CUH
#define GPTBENCH_KERNELS_CUDA_ATTENTION_COMMON_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>

#include "kernels/backend.h"
#include "kernels/cuda/cuda_attention.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/port.cuh"

/* One call. act is float or bf16. */
template <class act> struct attention_args {
    const act *qkv;    /* (B*T, (H+2K)*D) */
    act *out;          /* (B*T, H*D): forward writes, backward reads */
    float *lse;        /* (B, H, T): forward writes, backward reads */
    const act *dout;   /* (B*T, H*D), backward */
    act *dqkv;         /* (B*T, (H+2K)*D), backward */
    float *delta;      /* (B, H, T), backward: rowsum(dout * out), between its two kernels */
    int B, T, H, K, D; /* T at most INT32_MAX / 4 */
    int window;        /* at most T; 0 = none */
};

/* Everything about one (b, head) that the kernels need, in elements of act. */
template <class act> struct attention_head {
    const act *q, *k, *v; /* row 0; rows are `stride` apart */
    int64_t stride;
    int64_t q_at, k_at, v_at; /* the same as offsets into qkv and dqkv */
    int64_t out_at;           /* row 0 in out and dout; rows are H*D apart */
    int64_t row_at;           /* query 0 in lse and delta */
};

template <class act>
static __device__ __forceinline__ attention_head<act>
attention_head_at(const attention_args<act> &a, int b, int h)
{
    attention_head<act> head;
    int kv = h / (a.H / a.K);
    head.stride = (int64_t)(a.H + 2 * a.K) * a.D;
    int64_t row0 = (int64_t)b * a.T * head.stride;
    head.q_at = row0 + (int64_t)h * a.D;
    head.k_at = row0 + (int64_t)(a.H + kv) * a.D;
    head.v_at = row0 + (int64_t)(a.H + a.K + kv) * a.D;
    head.q = a.qkv + head.q_at;
    head.k = a.qkv + head.k_at;
    head.v = a.qkv + head.v_at;
    head.out_at = ((int64_t)b * a.T * a.H + h) * a.D;
    head.row_at = ((int64_t)b * a.H + h) * a.T;
    return head;
}

/* Whether query i sees key j. Keys >= T are never seen by queries < T. */
static __device__ __forceinline__ bool attention_sees(int i, int j, int window)
{
    return j <= i && (window == 0 || i - j <= window);
}

/* dS of one score. The softmax over query 0's one key does not depend on its score: exactly 0,
 * where dp - delta leaves rounding noise, which AdamW would turn into steps of full length. */
static __device__ __forceinline__ float attention_score_gradient(int row, float p, float dp,
                                                                 float delta)
{
    return row == 0 ? 0 : p * (dp - delta);
}

/* Whether any of queries [q0, q0 + n_q) does not see one of keys [k0, k0 + n_k). */
static __device__ __forceinline__ bool attention_cuts(int q0, int n_q, int k0, int n_k, int window)
{
    return k0 + n_k - 1 > q0 || (window > 0 && q0 + n_q - 1 - k0 > window);
}

/* Tiles [first, last] of `tile` keys that queries [q0, q0 + n) see. */
static __device__ __forceinline__ void attention_key_tiles(int q0, int n, int tile, int T,
                                                           int window, int *first, int *last)
{
    *first = (window > 0 && q0 > window ? q0 - window : 0) / tile;
    *last = (min(T, q0 + n) - 1) / tile;
}

/* Tiles [first, last] of `tile` queries that see any of keys [k0, k0 + n). */
static __device__ __forceinline__ void attention_query_tiles(int k0, int n, int tile, int T,
                                                             int window, int *first, int *last)
{
    const int end = window > 0 ? min(T, k0 + n) + window : T; /* one past the last query */
    *first = k0 / tile;
    *last = (min(end, T) - 1) / tile;
}

static inline float attention_scale(int D)
{
    return (float)(1 / sqrt((double)D));
}

/* attention_fp32.cu. delta (and all of its buffers) must be there; D even, at most 256. */
gb_status cuda_attention_simple_forward(gb_device *dev, const attention_args<float> &a);
gb_status cuda_attention_simple_forward(gb_device *dev, const attention_args<bf16> &a);
gb_status cuda_attention_simple_backward(gb_device *dev, const attention_args<float> &a);
gb_status cuda_attention_simple_backward(gb_device *dev, const attention_args<bf16> &a);

/* attention_bf16_*.cu. D a multiple of 8, at most 256; every buffer aligned to 16 bytes; sm_80. */
gb_status cuda_attention_flash_forward(gb_device *dev, const attention_args<bf16> &a);
gb_status cuda_attention_flash_backward(gb_device *dev, const attention_args<bf16> &a);

/* attention_hopper_forward.cu. D 64 or 128; every buffer aligned to 16 bytes; sm_90a. */
bool cuda_attention_hopper_fits(int64_t D);
/* Whether the code that the driver took from this binary is that for sm_90a. */
gb_status cuda_attention_hopper_present(gb_device *dev, bool *present);
gb_status cuda_attention_hopper_forward(gb_device *dev, const attention_args<bf16> &a);
/* attention_hopper_backward_*.cu, likewise: both kernels, queries first; then each by itself. */
gb_status cuda_attention_hopper_backward(gb_device *dev, const attention_args<bf16> &a);
gb_status cuda_attention_hopper_backward_queries(gb_device *dev, const attention_args<bf16> &a);
gb_status cuda_attention_hopper_backward_keys(gb_device *dev, const attention_args<bf16> &a);

#endif
