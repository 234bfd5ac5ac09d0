/* The functions of cuBLASLt that the products call, forwarded to the library, which is loaded when
 * the first of them is. Linking it would map several hundred megabytes at every start of the
 * program and keep it from starting at all on a machine without it. */
#include <cublasLt.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

static void *library;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_open(void)
{
    static const char name[] = "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR);
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
#ifdef GB_CUDA_LIBRARY_DIR /* of the toolkit that the program was built with */
    if (library == NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", GB_CUDA_LIBRARY_DIR, name);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
#endif
}

/* NULL where the library or the function is missing. */
static void *find(const char *function)
{
    pthread_once(&library_once, library_open);
    return library != NULL ? dlsym(library, function) : NULL;
}

/* FORWARD(name, (parameters), (arguments)): a missing function is "not initialised". */
#define FORWARD(name, parameters, arguments)                                                       \
    cublasStatus_t CUBLASWINAPI name parameters                                                    \
    {                                                                                              \
        cublasStatus_t(*function) parameters;                                                      \
        *(void **)&function = find(#name); /* as POSIX asks for function pointers */               \
        return function != NULL ? function arguments : CUBLAS_STATUS_NOT_INITIALIZED;              \
    }

size_t CUBLASWINAPI cublasLtGetVersion(void)
{
    size_t (*function)(void);
    *(void **)&function = find("cublasLtGetVersion");
    return function != NULL ? function() : 0;
}

FORWARD(cublasLtCreate, (cublasLtHandle_t * lightHandle), (lightHandle))
FORWARD(cublasLtDestroy, (cublasLtHandle_t lightHandle), (lightHandle))
FORWARD(cublasLtMatmulDescCreate,
        (cublasLtMatmulDesc_t * matmulDesc, cublasComputeType_t computeType,
         cudaDataType_t scaleType),
        (matmulDesc, computeType, scaleType))
FORWARD(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t matmulDesc), (matmulDesc))
FORWARD(cublasLtMatmulDescSetAttribute,
        (cublasLtMatmulDesc_t matmulDesc, cublasLtMatmulDescAttributes_t attr, const void *buf,
         size_t sizeInBytes),
        (matmulDesc, attr, buf, sizeInBytes))
FORWARD(cublasLtMatrixLayoutCreate,
        (cublasLtMatrixLayout_t * matLayout, cudaDataType type, uint64_t rows, uint64_t cols,
         int64_t ld),
        (matLayout, type, rows, cols, ld))
FORWARD(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t matLayout), (matLayout))
FORWARD(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * pref), (pref))
FORWARD(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t pref), (pref))
FORWARD(cublasLtMatmulPreferenceSetAttribute,
        (cublasLtMatmulPreference_t pref, cublasLtMatmulPreferenceAttributes_t attr,
         const void *buf, size_t sizeInBytes),
        (pref, attr, buf, sizeInBytes))
FORWARD(cublasLtMatmulAlgoGetHeuristic,
        (cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
         cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc,
         cublasLtMatrixLayout_t Ddesc, cublasLtMatmulPreference_t preference,
         int requestedAlgoCount, cublasLtMatmulHeuristicResult_t *results, int *returned),
        (lightHandle, operationDesc, Adesc, Bdesc, Cdesc, Ddesc, preference, requestedAlgoCount,
         results, returned))
FORWARD(cublasLtMatmulAlgoCheck,
        (cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
         cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc,
         cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t *algo,
         cublasLtMatmulHeuristicResult_t *result),
        (lightHandle, operationDesc, Adesc, Bdesc, Cdesc, Ddesc, algo, result))
FORWARD(cublasLtMatmul,
        (cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc, const void *alpha,
         const void *A, cublasLtMatrixLayout_t Adesc, const void *B, cublasLtMatrixLayout_t Bdesc,
         const void *beta, const void *C, cublasLtMatrixLayout_t Cdesc, void *D,
         cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t *algo, void *workspace,
         size_t workspaceSizeInBytes, cudaStream_t stream),
        (lightHandle, computeDesc, alpha, A, Adesc, B, Bdesc, beta, C, Cdesc, D, Ddesc, algo,
         workspace, workspaceSizeInBytes, stream))
