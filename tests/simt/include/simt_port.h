/* simt_port.h: what kernels/cuda/port.cuh takes from the emulator: gb_dynamic_shared(). */
#ifndef GPTBENCH_TESTS_SIMT_PORT_H
#define GPTBENCH_TESTS_SIMT_PORT_H

#include "simt.h"

#endif
