/* A listener for NVTX, loaded by NVTX itself through NVTX_INJECTION64_PATH: writes what it is told
 * to the file that FAKE_NVTX_OUT names, one line each: domain NAME | string NAME | category NUMBER
 * NAME | push CATEGORY PAYLOAD NAME | pop | destroy PAYLOAD is "-" for none. What the program must
 * not do (a domain that is not known, text that is not registered, a range of another thread) is a
 * line "wrong ...".
 *
 * The interface is that of NVTX 3, from its headers' nvtxDetail/nvtxTypes.h. */
#include <nvtx3/nvToolsExt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRINGS_MAX = 256 };

static FILE *out;
static pthread_t owner;
static struct nvtxDomainRegistration_st {
    char unused;
} the_domain;
static struct nvtxStringRegistration_st {
    char name[64];
} strings[STRINGS_MAX];
static int n_strings;

static void check(int right, const char *what)
{
    if (!right) {
        fprintf(out, "wrong %s\n", what);
    }
}

static void check_caller(nvtxDomainHandle_t domain)
{
    check(domain == &the_domain, "domain");
    check(pthread_equal(owner, pthread_self()), "thread");
}

static nvtxDomainHandle_t NVTX_API domain_create(const char *name)
{
    owner = pthread_self();
    fprintf(out, "domain %s\n", name);
    return &the_domain;
}

static void NVTX_API domain_destroy(nvtxDomainHandle_t domain)
{
    check_caller(domain);
    fprintf(out, "destroy\n");
    fflush(out);
}

static nvtxStringHandle_t NVTX_API string_register(nvtxDomainHandle_t domain, const char *name)
{
    check_caller(domain);
    check(n_strings < STRINGS_MAX, "number of strings");
    struct nvtxStringRegistration_st *s = &strings[n_strings < STRINGS_MAX ? n_strings++ : 0];
    snprintf(s->name, sizeof s->name, "%s", name);
    fprintf(out, "string %s\n", name);
    return s;
}

static void NVTX_API category_name(nvtxDomainHandle_t domain, uint32_t category, const char *name)
{
    check_caller(domain);
    fprintf(out, "category %u %s\n", category, name);
}

static int NVTX_API range_push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *event)
{
    check_caller(domain);
    check(event->version == NVTX_VERSION && event->size == sizeof *event, "attributes");
    const struct nvtxStringRegistration_st *s = event->message.registered;
    int known = event->messageType == NVTX_MESSAGE_TYPE_REGISTERED && s >= strings &&
                s < strings + n_strings;
    check(known, "text");
    char payload[32] = "-";
    if (event->payloadType == NVTX_PAYLOAD_TYPE_INT64) {
        snprintf(payload, sizeof payload, "%lld", (long long)event->payload.llValue);
    }
    fprintf(out, "push %u %s %s\n", event->category, payload, known ? s->name : "?");
    return 0;
}

static int NVTX_API range_pop(nvtxDomainHandle_t domain)
{
    check_caller(domain);
    fprintf(out, "pop\n");
    return 0;
}

static void set(NvtxFunctionTable table, unsigned size, unsigned id, const void *function)
{
    if (id < size && table[id]) {
        memcpy((void *)table[id], &function, sizeof function);
    }
}

#define FUNCTION(name) ((const void *)(uintptr_t)(name))

int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_export_table);

int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_export_table)
{
    const char *path = getenv("FAKE_NVTX_OUT");
    const NvtxExportTableCallbacks *callbacks = get_export_table(NVTX_ETID_CALLBACKS);
    NvtxFunctionTable table;
    unsigned size;
    out = path ? fopen(path, "w") : NULL;
    if (!out || !callbacks) {
        return 0;
    }
    if (callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size)) {
        set(table, size, NVTX_CBID_CORE2_DomainCreateA, FUNCTION(domain_create));
        set(table, size, NVTX_CBID_CORE2_DomainDestroy, FUNCTION(domain_destroy));
        set(table, size, NVTX_CBID_CORE2_DomainRegisterStringA, FUNCTION(string_register));
        set(table, size, NVTX_CBID_CORE2_DomainNameCategoryA, FUNCTION(category_name));
        set(table, size, NVTX_CBID_CORE2_DomainRangePushEx, FUNCTION(range_push));
        set(table, size, NVTX_CBID_CORE2_DomainRangePop, FUNCTION(range_pop));
    }
    return 1;
}
