/* What the CPU can do at most with its threads: the rates of a large product and of a large copy.
 */
#include <omp.h>
#include <string.h>
#include <unistd.h>

#include "kernels/clock.h"
#include "kernels/cpu/cpu_device.h"

/* +-[1/2, 1) in either type, as in the CUDA backend: a processor that multiplies zeros uses less
 * power, and may clock higher, than one that trains. */
static void fill_random(uint32_t *words, int64_t n, uint32_t seed)
{
    uint32_t x = seed;
    for (int64_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        words[i] = (x & 0x807f807fu) | 0x3f003f00u;
    }
}

double cpu_backend_measure_gemm_peak(gb_device *dev)
{
    enum { SIZE = 2048 };
    const int64_t bytes = (int64_t)SIZE * SIZE * (int64_t)sizeof(float);
    void *matrix[3] = {NULL, NULL, NULL};
    double best = 0;
    omp_set_num_threads(dev->threads);
    for (int i = 0; i < 3; i++) {
        if (cpu_backend_alloc(dev, GB_MEM_WORKSPACE, bytes, &matrix[i]) != GB_OK) {
            goto done;
        }
        fill_random(matrix[i], (int64_t)SIZE * SIZE, 2463534242u + (uint32_t)i);
    }
    const cpu_gemm g = {.M = SIZE,
                        .N = SIZE,
                        .K = SIZE,
                        .b_transposed = true,
                        .a = matrix[0],
                        .b = matrix[1],
                        .c = matrix[2]};
    double start = gb_monotonic_s();
    for (int i = 0; i < 3 || gb_monotonic_s() - start < 1.0; i++) {
        double before = gb_monotonic_s();
        if (cpu_gemm_run(dev, &g) != GB_OK) {
            best = 0;
            break;
        }
        double rate = 2.0 * SIZE * SIZE * (double)SIZE / (gb_monotonic_s() - before);
        best = rate > best ? rate : best;
    }
done:
    for (int i = 0; i < 3; i++) {
        cpu_backend_free(dev, matrix[i]);
    }
    return best;
}

/* Far beyond the last cache, and no more than an eighth of the memory. */
static int64_t copy_bytes_choose(void)
{
    const int64_t mib = 1 << 20;
    int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    int64_t cache = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    cache = (int64_t)sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    int64_t bytes = 8 * cache > 256 * mib ? 8 * cache : 256 * mib;
    bytes = bytes < 1024 * mib ? bytes : 1024 * mib;
    return memory > 0 && bytes > memory / 8 ? memory / 8 : bytes;
}

/* Each thread copies one stretch, the same one every time: where memory belongs to a part of the
 * CPU it is near, and the C library may store past the caches. NULL as `from` fills instead. */
static void copy_shared_out(char *to, const char *from, int64_t bytes)
{
#pragma omp parallel
    {
        const int64_t threads = omp_get_num_threads(), share = (bytes + threads - 1) / threads;
        const int64_t at = share * omp_get_thread_num();
        const int64_t n = at >= bytes ? 0 : bytes - at < share ? bytes - at : share;
        if (n > 0 && from != NULL) {
            memcpy(to + at, from + at, (size_t)n);
        } else if (n > 0) {
            memset(to + at, 0x5a, (size_t)n);
        }
    }
}

double cpu_backend_measure_copy_rate(gb_device *dev, int64_t bytes)
{
    enum { COPIES_MIN = 5 };
    const double enough_s = 0.4;
    void *from = NULL, *to = NULL;
    double best = 0;
    bytes = bytes > 0 ? bytes : copy_bytes_choose();
    omp_set_num_threads(dev->threads);
    if (cpu_backend_alloc(dev, GB_MEM_WORKSPACE, bytes, &from) == GB_OK &&
        cpu_backend_alloc(dev, GB_MEM_WORKSPACE, bytes, &to) == GB_OK) {
        copy_shared_out(from, NULL, bytes);
        copy_shared_out(to, NULL, bytes);
        double start = gb_monotonic_s();
        for (int i = 0; i < COPIES_MIN || gb_monotonic_s() - start < enough_s; i++) {
            double before = gb_monotonic_s();
            copy_shared_out(to, from, bytes);
            double rate = 2.0 * (double)bytes / (gb_monotonic_s() - before);
            best = rate > best ? rate : best;
        }
    }
    cpu_backend_free(dev, to);
    cpu_backend_free(dev, from);
    return best;
}
