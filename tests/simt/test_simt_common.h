/* test_simt_common.h: what the tests of the emulator share. */
#ifndef GPTBENCH_TESTS_SIMT_COMMON_H
#define GPTBENCH_TESTS_SIMT_COMMON_H

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>
}
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "cuda_bf16.h"
#include "cuda_runtime.h"
#include "simt_port.h"

template <typename T> struct device_array {
    T *data;
    size_t n;
    explicit device_array(size_t count) : n(count)
    {
        assert_int_equal(cudaMalloc(&data, count * sizeof(T)), cudaSuccess);
    }
    explicit device_array(const std::vector<T> &values) : device_array(values.size())
    {
        cudaMemcpy(data, values.data(), n * sizeof(T), cudaMemcpyHostToDevice);
    }
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;
    ~device_array()
    {
        cudaFree(data);
    }
    std::vector<T> get() const
    {
        std::vector<T> out(n);
        assert_int_equal(cudaMemcpy(out.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost),
                         cudaSuccess);
        return out;
    }
};

template <typename... Params, typename... Args>
static cudaError_t launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared,
                          cudaStream_t stream, Args... args)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, args...);
}

/* Runs `what` in a child and returns what it wrote to stderr; it must not end well. */
inline std::string last_words(void (*what)())
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        what();
        _exit(0);
    }
    close(ends[1]);
    std::string text;
    char part[512];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) {
        text.append(part, (size_t)n);
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        fail_msg("the kernel ended well, but it is wrong");
    }
    return text;
}

inline void assert_says(const std::string &text, const char *part)
{
    if (text.find(part) == std::string::npos) {
        fail_msg("expected \"%s\" in: %s", part, text.c_str());
    }
}

#endif
