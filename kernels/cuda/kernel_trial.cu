/* One kernel's trial, and what is remembered of it.
 *
 * Before it begins that is noted: where the kernel takes the process with it (an illegal address
 * stays with a process, a barrier that nobody reaches waits for ever), the next one finds the note
 * and does without the kernel. A process that finds a note of the last minute waits for what comes
 * of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernels/cuda/kernel_trial.cuh"
#include "kernels/cuda/kernel_verdict.h"

enum { DEVICE_CHARS = 160, KEY_CHARS = 384, LOOK_MS = 5, WAIT_MOST_S = 20 };

/* A trial takes far less, unless it hangs. */
static const int64_t TRIAL_MOST_S = 60;

struct trial_keys {
    char device[DEVICE_CHARS]; /* of the file */
    char key[KEY_CHARS];
    int driver;
};

static gb_status keys_make(gb_device *dev, const kernel_trial *trial, trial_keys *out)
{
    cudaDeviceProp properties;
    CUDA_TRY(dev, "trial", cudaGetDeviceProperties(&properties, dev->ordinal));
    CUDA_TRY(dev, "trial", cudaDriverGetVersion(&out->driver));
    snprintf(out->device, sizeof out->device, "%.120s", properties.name);
    snprintf(out->key, sizeof out->key, "%.120s, sm_%d, %d SMs, driver %d: %s", properties.name,
             dev->compute_capability, dev->multiprocessors, out->driver, trial->name);
    for (char *c = out->key; *c != '\0'; c++) {
        *c = *c < ' ' ? '_' : *c; /* a key is one line */
    }
    return GB_OK;
}

static int64_t now_s()
{
    return (int64_t)time(NULL);
}

/* What is remembered, once no other process is at it any more. */
static kernel_verdict settled(const kernel_verdicts *verdicts, const char *key)
{
    kernel_verdict v = kernel_verdicts_find(verdicts, key);
    while (v.kind == KERNEL_BEGUN && now_s() - v.at_s <= TRIAL_MOST_S && now_s() >= v.at_s) {
        usleep(LOOK_MS * 1000);
        v = kernel_verdicts_find(verdicts, key);
    }
    return v;
}

/* Whether the device does what it is told after an error. */
static bool device_lives(const gb_device *dev)
{
    (void)cudaGetLastError();
    return !dev->lost && cudaStreamSynchronize(dev->stream) == cudaSuccess &&
           cudaGetLastError() == cudaSuccess;
}

gb_status kernel_trial_wait(gb_device *dev)
{
    int64_t looks = 0;
    cudaError_t code = cudaStreamQuery(dev->stream);
    for (; code == cudaErrorNotReady && looks < WAIT_MOST_S * 1000 / LOOK_MS; looks++) {
        usleep(LOOK_MS * 1000);
        code = cudaStreamQuery(dev->stream);
    }
    dev->lost = code == cudaErrorNotReady;
    if (dev->lost) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "no end after %d s", (int)WAIT_MOST_S);
    }
    CUDA_TRY(dev, "trial", code);
    return GB_OK;
}

static uint64_t fresh_seed()
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec + (uint64_t)getpid() * 7919u;
}

/* Holds the trial; *v is what came of it. */
static gb_status trial_hold(gb_device *dev, const kernel_trial *trial, kernel_verdict *v)
{
    const gb_error before = dev->error; /* a kernel that fails is nobody's failure */
    double error = INFINITY;
    const gb_status status = trial->hold(dev, trial->user, fresh_seed(), &error);
    v->at_s = now_s();
    v->error = status == GB_OK ? error : 0;
    v->kind = status == GB_OK && error <= 1 ? KERNEL_AGREED
              : status == GB_OK             ? KERNEL_DIFFERED
              : status == GB_ERR_OOM        ? KERNEL_UNTRIED
                                            : KERNEL_FAILED;
    if (status != GB_OK && !device_lives(dev)) {
        const gb_error why = dev->error;
        return gb_fail(&dev->error, GB_ERR_INTERNAL,
                       "%s lost the device in its trial: %s; try again: it will not be used",
                       trial->name, why.message);
    }
    dev->error = before;
    return GB_OK;
}

static void words_write(const kernel_verdict *v, int driver, char words[KERNEL_WORDS])
{
    char date[16] = "", what[64] = "";
    const time_t at = (time_t)v->at_s;
    struct tm day;
    if (gmtime_r(&at, &day) != NULL) {
        strftime(date, sizeof date, "%Y-%m-%d", &day);
    }
    switch (v->kind) {
    case KERNEL_AGREED:
        snprintf(what, sizeof what, "agreed with the portable kernel");
        break;
    case KERNEL_DIFFERED:
        snprintf(what, sizeof what, "differed from the portable kernel by %.3g of its bounds",
                 v->error);
        break;
    case KERNEL_FAILED:
        snprintf(what, sizeof what, "could not be launched");
        break;
    case KERNEL_BEGUN:
        snprintf(what, sizeof what, "did not end its trial");
        break;
    case KERNEL_UNTRIED:
        snprintf(words, KERNEL_WORDS, "had no memory for its trial");
        return;
    }
    snprintf(words, KERNEL_WORDS, "%s on %s, driver %d.%d", what, date, driver / 1000 % 100,
             driver % 1000 / 10);
}

gb_status kernel_trial_decide(gb_device *dev, const kernel_trial *trial, bool *use,
                              char words[KERNEL_WORDS])
{
    trial_keys keys;
    gb_status status = GB_OK;
    *use = false;
    GB_TRY(keys_make(dev, trial, &keys));
    kernel_verdicts *verdicts = kernel_verdicts_open(keys.device);
    if (verdicts == NULL) {
        return gb_fail(&dev->error, GB_ERR_OOM, "trial: out of host memory");
    }
    kernel_verdict v = settled(verdicts, keys.key);
    if (v.kind == KERNEL_UNTRIED) {
        kernel_verdict begun = {KERNEL_BEGUN, now_s(), (double)getpid()};
        if (kernel_verdicts_replace(verdicts, keys.key, &v, &begun)) {
            status = trial_hold(dev, trial, &v);
            if (status == GB_OK) {
                (void)kernel_verdicts_replace(verdicts, keys.key, &begun, &v);
            }
        } else { /* another process is at it */
            v = settled(verdicts, keys.key);
        }
    }
    kernel_verdicts_close(verdicts);
    *use = v.kind == KERNEL_AGREED;
    words_write(&v, keys.driver, words);
    return status;
}
