/* Errors, device, memory, launches. Streams are in simt_stream.cpp. */
#include <cstdio>
#include <cstdlib>
#include <map>

#include "cuda_runtime.h"
#include "simt_activity.h"
#include "simt_stream.h"
#include "simt_test.h"

extern "C" {
void __asan_poison_memory_region(const volatile void *start, size_t bytes) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *start, size_t bytes) __attribute__((weak));
}

namespace simt
{

static const size_t MEMORY_BYTES = (size_t)16 << 30;
static size_t memory_bytes = MEMORY_BYTES; /* for us, whoever has the rest: leave_memory */
/* Of large allocations the beginning is poisoned while no work runs: all of it would take long. */
static const size_t POISON_LIMIT = 64 << 10;
static const size_t SHARED_DEFAULT = 48 << 10, SHARED_LIMIT = 227 << 10;

static struct {
    cudaError_t last_error;
    int current_device;
    std::map<const char *, size_t> device, pinned; /* address, bytes */
    std::map<const char *, int> owner;             /* of what is in `device` */
    size_t used;
    std::map<const void *, int> dynamic_limit; /* by kernel */
    int working;                               /* device work runs: memory is not poisoned */
} s;

cudaError_t error(cudaError_t code)
{
    if (code != cudaSuccess) {
        s.last_error = code;
    }
    return code;
}

/* Work of zero bytes still has an address in some map; they are at least one byte long there. */
static bool inside(const std::map<const char *, size_t> &blocks, const void *ptr, size_t bytes)
{
    auto after = blocks.upper_bound((const char *)ptr);
    if (after == blocks.begin()) {
        return false;
    }
    --after;
    const char *p = (const char *)ptr;
    return p + bytes <= after->first + after->second && p < after->first + after->second + !bytes;
}

void leave_memory(size_t bytes)
{
    memory_bytes = s.used + bytes;
}

bool is_device(const void *ptr, size_t bytes)
{
    return inside(s.device, ptr, bytes);
}

int device_of(const void *ptr)
{
    auto after = s.owner.upper_bound((const char *)ptr);
    return inside(s.device, ptr, 1) ? (--after)->second : -1;
}

int current_device()
{
    return s.current_device;
}

bool is_pinned(const void *ptr, size_t bytes)
{
    return inside(s.pinned, ptr, bytes);
}

void begin_work()
{
    if (s.working++ == 0 && __asan_unpoison_memory_region) {
        for (const auto &block : s.device) {
            __asan_unpoison_memory_region(block.first, min(block.second, POISON_LIMIT));
        }
    }
}

void end_work()
{
    if (--s.working == 0 && __asan_poison_memory_region) {
        for (const auto &block : s.device) {
            __asan_poison_memory_region(block.first, min(block.second, POISON_LIMIT));
        }
    }
}

static cudaError_t check_launch(const cudaLaunchConfig_t *c, const void *entry)
{
    const dim3 &g = c->gridDim, &b = c->blockDim;
    if (g.x < 1 || g.y < 1 || g.z < 1 || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535 ||
        b.x < 1 || b.y < 1 || b.z < 1 || b.z > 64 || (uint64_t)b.x * b.y * b.z > 1024) {
        return cudaErrorInvalidConfiguration;
    }
    auto limit = s.dynamic_limit.find(entry);
    size_t fixed = static_shared_bytes(entry);
    size_t allowed = SHARED_DEFAULT > fixed ? SHARED_DEFAULT - fixed : 0;
    if (limit != s.dynamic_limit.end() && (size_t)limit->second > allowed) {
        allowed = (size_t)limit->second;
    }
    return c->dynamicSmemBytes > allowed ? cudaErrorInvalidValue : cudaSuccess;
}

/* From the launch of this number on (SIMT_FAULT_AT=N) the device is lost to the process: as after a
 * bad address in a kernel, every further launch fails, whatever is asked in between. */
static bool device_is_lost()
{
    static const char *const text = getenv("SIMT_FAULT_AT");
    static const long long at = text ? atoll(text) : 0;
    static long long launches;
    return at > 0 && ++launches >= at;
}

cudaError_t launch(const cudaLaunchConfig_t *config, const void *entry, std::function<void()> body)
{
    cudaError_t code = check_launch(config, entry);
    if (code == cudaSuccess && config->stream &&
        stream_device(config->stream) != s.current_device) {
        code = cudaErrorInvalidResourceHandle;
    }
    if (code == cudaSuccess && device_is_lost()) {
        code = cudaErrorIllegalAddress;
    }
    if (code != cudaSuccess) {
        return error(code);
    }
    grid what = {entry, config->gridDim, config->blockDim, config->dynamicSmemBytes,
                 std::move(body)};
    activity_label(GB_ACTIVITY_KERNEL, nullptr, entry, config);
    return enqueue(config->stream, [what]() { run(what); });
}

} // namespace simt

using simt::error;
using simt::s;

cudaError_t cudaGetLastError()
{
    cudaError_t code = s.last_error;
    s.last_error = cudaSuccess;
    return code;
}

cudaError_t cudaPeekAtLastError()
{
    return s.last_error;
}

const char *cudaGetErrorName(cudaError_t code)
{
    static const char *const names[] = {"cudaSuccess",
                                        "cudaErrorInvalidValue",
                                        "cudaErrorMemoryAllocation",
                                        "cudaErrorInvalidConfiguration",
                                        "cudaErrorInvalidDevice",
                                        "cudaErrorNoDevice",
                                        "cudaErrorInsufficientDriver",
                                        "cudaErrorNotReady",
                                        "cudaErrorNotSupported",
                                        "cudaErrorInvalidResourceHandle",
                                        "cudaErrorStreamCaptureUnsupported",
                                        "cudaErrorStreamCaptureInvalidated",
                                        "cudaErrorStreamCaptureIsolation",
                                        "cudaErrorLaunchOutOfResources",
                                        "cudaErrorHostMemoryAlreadyRegistered",
                                        "cudaErrorIllegalAddress",
                                        "cudaErrorMisalignedAddress",
                                        "cudaErrorLaunchFailure",
                                        "cudaErrorIllegalInstruction",
                                        "cudaErrorUnknown"};
    return names[code];
}

const char *cudaGetErrorString(cudaError_t code)
{
    return cudaGetErrorName(code);
}

/* ---- device ---- */

/* SIMT_DEVICES="90 75" pretends that there are devices of these compute capabilities. They share
 * one memory. Returns how many there are, and the capability of `device`. */
static int pretended_devices(int device, int *capability)
{
    const char *text = getenv("SIMT_DEVICES");
    char *after;
    int count = 0;
    for (text = text ? text : "90";; text = after) {
        long value = strtol(text, &after, 10);
        if (after == text) {
            return count;
        }
        if (count++ == device && capability) {
            *capability = (int)value;
        }
    }
}

static bool is_device_number(int device)
{
    return device >= 0 && device < pretended_devices(-1, NULL);
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = pretended_devices(-1, NULL);
    return *count > 0 ? cudaSuccess : error(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = s.current_device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    if (!is_device_number(device)) {
        return error(cudaErrorInvalidDevice);
    }
    s.current_device = device;
    return cudaSuccess;
}

cudaError_t cudaSetDeviceFlags(unsigned)
{
    return cudaSuccess;
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned)
{
    return cudaSetDevice(device);
}

/* As sm_90, but with few multiprocessors, so that grids sized by them stay small. */
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    int capability = 0;
    if (!is_device_number(device)) {
        return error(cudaErrorInvalidDevice);
    }
    pretended_devices(device, &capability);
    *p = cudaDeviceProp();
    snprintf(p->name, sizeof p->name, capability == 90 ? "SIMT emulator" : "SIMT emulator %d",
             capability);
    p->totalGlobalMem = simt::MEMORY_BYTES;
    p->sharedMemPerBlock = simt::SHARED_DEFAULT;
    p->sharedMemPerBlockOptin = simt::SHARED_LIMIT;
    p->sharedMemPerMultiprocessor = 228 << 10;
    p->reservedSharedMemPerBlock = 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->major = capability / 10;
    p->minor = capability % 10;
    p->multiProcessorCount = 2;
    p->l2CacheSize = 50 << 20;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    p->asyncEngineCount = p->concurrentKernels = p->canMapHostMemory = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    cudaDeviceProp p;
    cudaError_t code = cudaGetDeviceProperties(&p, device);
    if (code != cudaSuccess) {
        return code;
    }
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = p.maxThreadsPerBlock;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)p.sharedMemPerBlock;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)p.sharedMemPerBlockOptin;
        break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = (int)p.sharedMemPerMultiprocessor;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
    case cudaDevAttrL2CacheSize:
        *value = p.l2CacheSize;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = p.maxThreadsPerMultiProcessor;
        break;
    case cudaDevAttrWarpSize:
        *value = p.warpSize;
        break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
    case cudaDevAttrGlobalMemoryBusWidth:
        *value = 0;
        break;
    }
    return cudaSuccess;
}

/* Device n is at bus n + 1. */
cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device)
{
    if (!is_device_number(device)) {
        return error(cudaErrorInvalidDevice);
    }
    snprintf(text, (size_t)length, "0000:%02X:00.0", (unsigned)device + 1);
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    *total_bytes = simt::MEMORY_BYTES;
    *free_bytes = simt::memory_bytes - s.used;
    return cudaSuccess;
}

/* ---- memory ---- */

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = nullptr;
    if (simt::capture_breaks()) {
        return error(cudaErrorStreamCaptureUnsupported);
    }
    if (bytes == 0) {
        return cudaSuccess;
    }
    if (bytes > simt::memory_bytes - s.used || posix_memalign(out, 256, bytes) != 0) {
        *out = nullptr;
        return error(cudaErrorMemoryAllocation);
    }
    memset(*out, 0xff, bytes);
    s.device[(char *)*out] = bytes;
    s.owner[(char *)*out] = s.current_device;
    s.used += bytes;
    if (!s.working && __asan_poison_memory_region) {
        __asan_poison_memory_region(*out, min(bytes, simt::POISON_LIMIT));
    }
    return cudaSuccess;
}

cudaError_t cudaFree(void *ptr)
{
    if (!ptr) {
        return cudaSuccess;
    }
    auto block = s.device.find((char *)ptr);
    if (block == s.device.end()) {
        return error(cudaErrorInvalidValue);
    }
    cudaError_t code = cudaDeviceSynchronize();
    if (__asan_unpoison_memory_region) {
        __asan_unpoison_memory_region(ptr, block->second);
    }
    s.used -= block->second;
    s.owner.erase(block->first);
    s.device.erase(block);
    free(ptr);
    return code;
}

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t)
{
    return cudaMalloc(out, bytes);
}

cudaError_t cudaFreeAsync(void *ptr, cudaStream_t)
{
    return cudaFree(ptr);
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    *out = nullptr;
    if (simt::capture_breaks()) {
        return error(cudaErrorStreamCaptureUnsupported);
    }
    if (posix_memalign(out, 256, bytes) != 0) {
        *out = nullptr;
        return error(cudaErrorMemoryAllocation);
    }
    s.pinned[(char *)*out] = bytes;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes, unsigned flags)
{
    return cudaHostAlloc(out, bytes, flags);
}

cudaError_t cudaFreeHost(void *ptr)
{
    if (!ptr) {
        return cudaSuccess;
    }
    if (!s.pinned.erase((char *)ptr)) {
        return error(cudaErrorInvalidValue);
    }
    cudaError_t code = cudaDeviceSynchronize();
    free(ptr);
    return code;
}

/* ---- kernels ---- */

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value)
{
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        if (value < 0 || (size_t)value + simt::static_shared_bytes(kernel) > simt::SHARED_LIMIT) {
            return error(cudaErrorInvalidValue);
        }
        s.dynamic_limit[kernel] = value;
    }
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *kernel)
{
    *out = cudaFuncAttributes();
    out->sharedSizeBytes = simt::static_shared_bytes(kernel);
    out->maxThreadsPerBlock = 1024;
    out->numRegs = 64;
    auto limit = s.dynamic_limit.find(kernel);
    out->maxDynamicSharedSizeBytes =
        limit == s.dynamic_limit.end() ? (int)simt::SHARED_DEFAULT : limit->second;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *kernel, int threads,
                                                          size_t dynamic_bytes)
{
    size_t shared = dynamic_bytes + simt::static_shared_bytes(kernel) + 1024;
    int by_shared = (int)(((size_t)228 << 10) / shared), by_threads = 2048 / max(threads, 1);
    *out = min(min(by_shared, by_threads), 32);
    return cudaSuccess;
}
