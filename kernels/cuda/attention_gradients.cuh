/* attention_gradients.cuh: from products to weights and their gradients, in the registers of a
 * warp: what the bf16 backward kernels share.
 *
 * s, p and ds are the sums of 16 rows and n columns, as in attention_mma.cuh. In the kernels of the
 * queries rows are queries and columns keys; in those of the keys it is the other way round. With
 * P = exp(S / sqrt D - lse), dP = dout V^T and delta = rowsum(dout * out) the gradient of the
 * scores is dS = P * (dP - delta) (FlashAttention-2, arXiv 2307.08691, algorithm 2).
 *
 * The pairs of a tile that lies off the diagonal and the window's edge (not `cut`) cost no
 * comparison. */
#ifndef GPTBENCH_KERNELS_CUDA_ATTENTION_GRADIENTS_CUH
#define GPTBENCH_KERNELS_CUDA_ATTENTION_GRADIENTS_CUH

#include "kernels/cuda/attention_mma.cuh"

/* p: from S to P of 16 queries from row0, whose lse in bits is lse2 (rows g and g + 8), and n keys
 * from k0. */
template <bool cut, int n>
static __device__ __forceinline__ void query_weights(float p[n / 8][4], const float lse2[2],
                                                     float scale2, int row0, int k0, int window)
{
    const int lane = (int)(threadIdx.x % 32u);
#pragma unroll
    for (int j = 0; j < n / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const float x = ptx_exp2(fmaf(p[j][e], scale2, -lse2[e / 2]));
            const int row = row0 + lane / 4 + e / 2 * 8;
            const int key = k0 + 8 * j + lane % 4 * 2 + e % 2;
            p[j][e] = cut && !attention_sees(row, key, window) ? 0 : x;
        }
    }
}

/* ds: from dP to dS = P * (dP - delta) of 16 queries from row0; query 0 lies in cut tiles only. */
template <bool cut, int n>
static __device__ __forceinline__ void query_gradients(float ds[n / 8][4], const float p[n / 8][4],
                                                       const float delta[2], int row0)
{
    const int lane = (int)(threadIdx.x % 32u);
#pragma unroll
    for (int j = 0; j < n / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int row = row0 + lane / 4 + e / 2 * 8;
            ds[j][e] = cut ? attention_score_gradient(row, p[j][e], ds[j][e], delta[e / 2])
                           : p[j][e] * (ds[j][e] - delta[e / 2]);
        }
    }
}

/* p: from S to P of 16 keys from key0 and n queries from q0, whose lse is given. */
template <bool cut, int n>
static __device__ __forceinline__ void key_weights(float p[n / 8][4], const float *lse,
                                                   float scale2, int key0, int q0, int window)
{
    const int lane = (int)(threadIdx.x % 32u);
#pragma unroll
    for (int j = 0; j < n / 8; j++) {
        const float2 shift = *reinterpret_cast<const float2 *>(lse + 8 * j + lane % 4 * 2);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const float x = ptx_exp2(fmaf(p[j][e], scale2, -LOG2_E * (e % 2 ? shift.y : shift.x)));
            const int query = q0 + 8 * j + lane % 4 * 2 + e % 2;
            const int key = key0 + lane / 4 + e / 2 * 8;
            p[j][e] = cut && !attention_sees(query, key, window) ? 0 : x;
        }
    }
}

/* ds: from dP to dS = P * (dP - delta), whose queries are the columns; with `first` the first of
 * them is query 0. */
template <bool first, int n>
static __device__ __forceinline__ void key_gradients(float ds[n / 8][4], const float p[n / 8][4],
                                                     const float *delta)
{
    const int lane = (int)(threadIdx.x % 32u);
#pragma unroll
    for (int j = 0; j < n / 8; j++) {
        const float2 d = *reinterpret_cast<const float2 *>(delta + 8 * j + lane % 4 * 2);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int query = 8 * j + lane % 4 * 2 + e % 2;
            const float of = e % 2 ? d.y : d.x;
            ds[j][e] = first ? attention_score_gradient(query, p[j][e], ds[j][e], of)
                             : p[j][e] * (ds[j][e] - of);
        }
    }
}

#endif
