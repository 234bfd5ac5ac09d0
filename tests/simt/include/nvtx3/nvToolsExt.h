/* The emulator has no timeline: ranges do nothing. */
#ifndef GPTBENCH_TESTS_SIMT_NVTX_H
#define GPTBENCH_TESTS_SIMT_NVTX_H

inline int nvtxRangePushA(const char *)
{
    return 0;
}

inline int nvtxRangePop()
{
    return 0;
}

#endif
