/* Which attention path runs.
 *
 * The forward paths give the same out and lse, so that any of them goes with any backward. */
#include "kernels/cuda/attention_trial.cuh"
#include "kernels/cuda/cuda_sizes.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_D = 256 };

static gb_status check(gb_device *dev, int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                       int64_t window)
{
    const int64_t max = INT32_MAX / 4;
    if (B < 1 || T < 1 || T > max || H < 1 || K < 1 || H % K != 0 || H + 2 * K > max || D < 2 ||
        D % 2 != 0 || D > MAX_D || window < 0 || B > INT32_MAX) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL,
                       "attention: B = %lld, T = %lld, H = %lld, K = %lld, D = %lld, window = "
                       "%lld; the CUDA kernels need an even D of at most %d and H mod K = 0",
                       (long long)B, (long long)T, (long long)H, (long long)K, (long long)D,
                       (long long)window, (int)MAX_D);
    }
    return GB_OK;
}

/* ---- which kernels ---- */

static const attention_pair PAIRS[CUDA_ATTENTION_KERNELS] = {
    {"attention forward by wgmma", false, cuda_attention_hopper_forward,
     cuda_attention_flash_forward},
    {"attention backward by wgmma", true, cuda_attention_hopper_backward,
     cuda_attention_flash_backward}};

/* The head_dim given at open, where Hopper's kernels fit it and tensor cores are used; else 0. */
static int64_t hopper_head_dim(const gb_device *dev)
{
    const int64_t D = dev->options.shape.head_dim;
    return dev->bf16 && cuda_attention_hopper_fits(D) ? D : 0;
}

gb_status cuda_attention_open(gb_device *dev)
{
    const char *choice = getenv("GPTBENCH_CUDA_ATTENTION");
    const bool any = choice == NULL || *choice == '\0' || strcmp(choice, "auto") == 0;
    bool present = false;
    memset(dev->attention, 0, sizeof dev->attention);
    if (!any && strcmp(choice, "portable") != 0 && strcmp(choice, "hopper") != 0) {
        return gb_fail(&dev->error, GB_ERR_USAGE,
                       "GPTBENCH_CUDA_ATTENTION=%s: it is one of auto, portable, hopper", choice);
    }
    if ((!any && strcmp(choice, "portable") == 0) || (any && hopper_head_dim(dev) == 0)) {
        return GB_OK;
    }
    if (dev->compute_capability == 90) {
        GB_TRY(cuda_attention_hopper_present(dev, &present));
    }
    if (any) {
        return present ? attention_trial_decide(dev, PAIRS, hopper_head_dim(dev)) : GB_OK;
    }
    if (!present) {
        return gb_fail(&dev->error, GB_ERR_ENV,
                       "GPTBENCH_CUDA_ATTENTION=hopper needs a GPU of compute capability 9.0 (this "
                       "one has %d.%d) and a program built with 90a in CUDA_ARCHS",
                       dev->compute_capability / 10, dev->compute_capability % 10);
    }
    dev->attention[CUDA_ATTENTION_FORWARD].head_dim = -1;
    dev->attention[CUDA_ATTENTION_BACKWARD].head_dim = -1;
    return GB_OK;
}

static bool uses_hopper(const gb_device *dev, int kernel, int64_t D)
{
    const int64_t where = dev->attention[kernel].head_dim;
    return (where == D || where < 0) && cuda_attention_hopper_fits(D);
}

/* "wgmma (agreed with mma.sync on ...)", "mma.sync (wgmma differed by ...)" */
static void use_describe(const gb_device *dev, int kernel, char *out, size_t size)
{
    const char *words = dev->attention[kernel].words;
    const bool hopper = uses_hopper(dev, kernel, dev->options.shape.head_dim);
    snprintf(out, size, "%s%s%s%s", hopper ? "wgmma" : "mma.sync",
             words[0] == '\0' ? ""
             : hopper         ? " ("
                              : " (wgmma ",
             words, words[0] == '\0' ? "" : ")");
}

void cuda_attention_describe(const gb_device *dev, char *out, size_t size)
{
    char forward[160], backward[160];
    if (!dev->bf16 || dev->options.shape.head_dim % 8 != 0) {
        snprintf(out, size, "attention without tensor cores");
        return;
    }
    use_describe(dev, CUDA_ATTENTION_FORWARD, forward, sizeof forward);
    use_describe(dev, CUDA_ATTENTION_BACKWARD, backward, sizeof backward);
    if (strcmp(forward, backward) == 0) {
        snprintf(out, size, "attention %s", forward);
    } else {
        snprintf(out, size, "attention forward %s, backward %s", forward, backward);
    }
}

const char *cuda_attention_path(const gb_device *dev)
{
    const int64_t D = dev->options.shape.head_dim;
    const bool asked = dev->attention[0].head_dim < 0; /* whatever D is */
    const bool forward = uses_hopper(dev, CUDA_ATTENTION_FORWARD, D);
    const bool backward = uses_hopper(dev, CUDA_ATTENTION_BACKWARD, D);
    return asked || (forward && backward) ? ", hopper attention"
           : forward                      ? ", hopper attention forward"
           : backward                     ? ", hopper attention backward"
                                          : "";
}

/* ---- calls ---- */

template <class act>
static attention_args<act> shape_args(int64_t B, int64_t T, int64_t H, int64_t K, int64_t D,
                                      int64_t window)
{
    attention_args<act> a = {};
    a.B = (int)B;
    a.T = (int)T;
    a.H = (int)H;
    a.K = (int)K;
    a.D = (int)D;
    a.window = (int)(window < T ? window : T);
    return a;
}

gb_status cuda_attention_forward(gb_device *dev, void *out, float *lse, const void *qkv, int64_t B,
                                 int64_t T, int64_t H, int64_t K, int64_t D, int64_t window)
{
    GB_TRY(check(dev, B, T, H, K, D, window));
    if (!dev->bf16) {
        attention_args<float> a = shape_args<float>(B, T, H, K, D, window);
        a.qkv = (const float *)qkv;
        a.out = (float *)out;
        a.lse = lse;
        return cuda_attention_simple_forward(dev, a);
    }
    attention_args<bf16> a = shape_args<bf16>(B, T, H, K, D, window);
    a.qkv = (const bf16 *)qkv;
    a.out = (bf16 *)out;
    a.lse = lse;
    if (!cuda_aligned(D * (int64_t)sizeof(bf16), qkv, out)) {
        return cuda_attention_simple_forward(dev, a);
    }
    return uses_hopper(dev, CUDA_ATTENTION_FORWARD, D) ? cuda_attention_hopper_forward(dev, a)
                                                       : cuda_attention_flash_forward(dev, a);
}

/* lse and out are only read, and only forward writes them; one struct serves both directions. */
gb_status cuda_attention_backward(gb_device *dev, void *dqkv, const void *dout, const void *qkv,
                                  const void *out, const float *lse, int64_t B, int64_t T,
                                  int64_t H, int64_t K, int64_t D, int64_t window)
{
    void *delta = NULL;
    GB_TRY(check(dev, B, T, H, K, D, window));
    GB_TRY(cuda_slot_get(dev, CUDA_SLOT_ATTENTION, cuda_attention_delta_bytes(B, T, H), &delta));
    if (!dev->bf16) {
        attention_args<float> a = shape_args<float>(B, T, H, K, D, window);
        a.qkv = (const float *)qkv;
        a.out = (float *)const_cast<void *>(out);
        a.lse = const_cast<float *>(lse);
        a.dout = (const float *)dout;
        a.dqkv = (float *)dqkv;
        a.delta = (float *)delta;
        return cuda_attention_simple_backward(dev, a);
    }
    attention_args<bf16> a = shape_args<bf16>(B, T, H, K, D, window);
    a.qkv = (const bf16 *)qkv;
    a.out = (bf16 *)const_cast<void *>(out);
    a.lse = const_cast<float *>(lse);
    a.dout = (const bf16 *)dout;
    a.dqkv = (bf16 *)dqkv;
    a.delta = (float *)delta;
    if (!cuda_aligned(D * (int64_t)sizeof(bf16), qkv, out, dout, dqkv)) {
        return cuda_attention_simple_backward(dev, a);
    }
    return uses_hopper(dev, CUDA_ATTENTION_BACKWARD, D) ? cuda_attention_hopper_backward(dev, a)
                                                        : cuda_attention_flash_backward(dev, a);
}
