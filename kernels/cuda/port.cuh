/* port.cuh: what differs between nvcc and the SIMT emulator of tests/simt, outside inline PTX. */
#ifndef GPTBENCH_KERNELS_CUDA_PORT_CUH
#define GPTBENCH_KERNELS_CUDA_PORT_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#ifdef GB_SIMT
#include "simt_port.h" /* gb_dynamic_shared() */
#else
/* The block's dynamic shared memory, as many bytes as the launch asked for. */
static __device__ __forceinline__ unsigned char *gb_dynamic_shared(void)
{
    extern __shared__ __align__(128) unsigned char gb_shared_bytes[];
    return gb_shared_bytes;
}
#endif

#endif
