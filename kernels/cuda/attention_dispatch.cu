/* Which attention path runs.
 *
 * The forward paths give the same out and lse, so that any of them goes with any backward. */
#include "kernels/cuda/attention_common.cuh"
#include "kernels/cuda/cuda_sizes.cuh"

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

/* The default is `portable` until `hopper` has passed its checks on a GPU: it never ran on one. */
gb_status cuda_attention_open(gb_device *dev)
{
    const char *choice = getenv("GPTBENCH_CUDA_ATTENTION");
    bool present = false;
    dev->hopper_attention = false;
    if (choice == NULL || *choice == '\0' || strcmp(choice, "portable") == 0) {
        return GB_OK;
    }
    if (strcmp(choice, "hopper") != 0) {
        return gb_fail(&dev->error, GB_ERR_USAGE,
                       "GPTBENCH_CUDA_ATTENTION=%s: it is one of portable, hopper", choice);
    }
    if (dev->compute_capability == 90) {
        GB_TRY(cuda_attention_hopper_present(dev, &present));
    }
    if (!present) {
        return gb_fail(&dev->error, GB_ERR_ENV,
                       "GPTBENCH_CUDA_ATTENTION=hopper needs a GPU of compute capability 9.0 (this "
                       "one has %d.%d) and a program built with 90a in CUDA_ARCHS",
                       dev->compute_capability / 10, dev->compute_capability % 10);
    }
    dev->hopper_attention = true;
    return GB_OK;
}

const char *cuda_attention_name(const gb_device *dev)
{
    const int64_t D = dev->options.shape.head_dim;
    if (!dev->bf16 || D % 8 != 0) {
        return "attention without tensor cores";
    }
    return dev->hopper_attention && cuda_attention_hopper_fits(D) ? "attention wgmma"
                                                                  : "attention mma.sync";
}

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
    return dev->hopper_attention && cuda_attention_hopper_fits(D)
               ? cuda_attention_hopper_forward(dev, a)
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
    return dev->hopper_attention && cuda_attention_hopper_fits(D)
               ? cuda_attention_hopper_backward(dev, a)
               : cuda_attention_flash_backward(dev, a);
}
