/* simt_stream.h: between simt_runtime.cpp and simt_stream.cpp. */
#ifndef GPTBENCH_TESTS_SIMT_STREAM_H
#define GPTBENCH_TESTS_SIMT_STREAM_H

#include "cuda_runtime.h"
#include "simt_internal.h"

namespace simt
{

/* Remembers the code for cudaGetLastError and returns it. */
cudaError_t error(cudaError_t code);
/* Whether all these bytes lie in one allocation of this kind. */
bool is_device(const void *ptr, size_t bytes);
bool is_pinned(const void *ptr, size_t bytes);
/* The device that was current when the memory was allocated; -1: no device memory. */
int device_of(const void *ptr);
int current_device();
/* The device that was current when the stream was made. */
int stream_device(cudaStream_t stream);
/* For calls that a capture does not bear: breaks those under way, returns whether there are any. */
bool capture_breaks();
/* Around device work: the host's view of device memory is poisoned outside. They nest. */
void begin_work();
void end_work();

} // namespace simt

#endif
