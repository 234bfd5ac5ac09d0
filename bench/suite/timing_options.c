#include "bench/suite/timing_options.h"

timing_options timing_options_default(void)
{
    return (timing_options){.blocks = 20, .max_blocks = 100, .process_blocks = 5, .seed = 1};
}
