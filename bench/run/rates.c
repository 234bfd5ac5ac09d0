#include "bench/run/rates.h"

#include <math.h>
#include <string.h>

#include "model/config.h"

gb_status rates_open(const gb_backend *backend, gb_precision precision, int threads,
                     int device_index, gb_device **out, gb_error *err)
{
    gpt_config small = gpt_config_default();
    small.n_embd = 64 * small.n_head;
    gb_options options = {.precision = precision,
                          .threads = threads,
                          .device_index = device_index,
                          .shape = gpt_config_shape(&small, 1, 64)};
    return backend->open(&options, out, err);
}

static double rate_known(double rate)
{
    return isfinite(rate) && rate > 0 ? rate : 0;
}

op_rates rates_measure(const gb_backend *backend, gb_device *dev, int64_t copy_bytes)
{
    double flops_per_s = backend->measure_gemm_peak(dev);
    double bytes_per_s = backend->measure_copy_rate(dev, copy_bytes);
    return (op_rates){.flops_per_s = rate_known(flops_per_s),
                      .bytes_per_s = rate_known(bytes_per_s)};
}

double rates_sustained(const gb_backend *backend, gb_device *dev)
{
    return backend->measure_gemm_sustained ? rate_known(backend->measure_gemm_sustained(dev)) : 0;
}

double rates_start_ms(const char *backend)
{
    return strcmp(backend, "cuda") == 0 ? OP_START_MS_GPU : OP_START_MS_CPU;
}

const char rates_peak_beaten[] = "MFU above 100 %: the GEMM peak was measured on a busy machine;"
                                 " `gptbench run` there measures it again.";
