/* rates.h: what a device can do at most, measured: the two rates that the roofline is made of. */
#ifndef GPTBENCH_BENCH_RATES_H
#define GPTBENCH_BENCH_RATES_H

#include "kernels/backend.h"
#include "model/op_floor.h"

/* Opens a device with a small workspace, for looks and measurements. *out is the caller's: close.
 */
gb_status rates_open(const gb_backend *backend, gb_precision precision, int threads,
                     int device_index, gb_device **out, gb_error *err);

/* Both rates, about two seconds; 0 where one could not be measured. copy_bytes as in
 * measure_copy_rate. */
op_rates rates_measure(const gb_backend *backend, gb_device *dev, int64_t copy_bytes);

/* FLOP/s that a large product keeps up, more than a second of measuring; 0 where the backend does
 * not tell it from its peak, or where it failed. */
double rates_sustained(const gb_backend *backend, gb_device *dev);

/* What starting one call of an op costs on a backend, for op_floor_bound. */
double rates_start_ms(const char *backend);

/* What stands beside an MFU above 100 %: a sentence. */
extern const char rates_peak_beaten[];

#endif
