#include "kernels/nvtx.h"

#ifndef GB_NVTX

bool gb_nvtx_built_in(void)
{
    return false;
}

gb_nvtx *gb_nvtx_open(int n_layers)
{
    (void)n_layers;
    return NULL;
}

/* Nobody has ranges to give to these. */
void gb_nvtx_close(gb_nvtx *ranges)
{
    (void)ranges;
}

void gb_nvtx_enter_step(gb_nvtx *ranges, int64_t step)
{
    (void)ranges, (void)step;
}

void gb_nvtx_enter_scope(gb_nvtx *ranges, gb_phase phase, int layer)
{
    (void)ranges, (void)phase, (void)layer;
}

void gb_nvtx_enter_pass(gb_nvtx *ranges)
{
    (void)ranges;
}

void gb_nvtx_enter_op(gb_nvtx *ranges, gb_op op)
{
    (void)ranges, (void)op;
}

void gb_nvtx_leave_op(gb_nvtx *ranges)
{
    (void)ranges;
}

void gb_nvtx_leave_scope(gb_nvtx *ranges)
{
    (void)ranges;
}

void gb_nvtx_leave_step(gb_nvtx *ranges)
{
    (void)ranges;
}

#else

#include <nvtx3/nvToolsExt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum category {
    CATEGORY_NONE, /* NVTX's own default */
#define X(suffix, name) CATEGORY_##suffix,
    GB_NVTX_CATEGORIES(X)
#undef X
};

/* Besides the phases of the ledger. */
enum { NO_PHASE = -1, WHOLE_PASS = GB_PHASE_COUNT, PHASE_NAMES };

struct gb_nvtx {
    nvtxDomainHandle_t domain;
    nvtxStringHandle_t step_name, phase_names[PHASE_NAMES], op_names[GB_OP_COUNT];
    bool in_step, in_op;
    int phase, layer; /* NO_PHASE; -1 */
    int n_layers;
    nvtxStringHandle_t layer_names[];
};

bool gb_nvtx_built_in(void)
{
    return true;
}

static void names_register(gb_nvtx *r)
{
    char name[32];
    r->step_name = nvtxDomainRegisterStringA(r->domain, "step");
    for (int phase = 0; phase < GB_PHASE_COUNT; phase++) {
        r->phase_names[phase] =
            nvtxDomainRegisterStringA(r->domain, gb_phase_name((gb_phase)phase));
    }
    r->phase_names[WHOLE_PASS] = nvtxDomainRegisterStringA(r->domain, GB_NVTX_WHOLE_PASS);
    for (int op = 0; op < GB_OP_COUNT; op++) {
        /* An op and a phase may have the same name, as `data` and `idle` do. */
        const char *text = gb_op_name((gb_op)op);
        for (int phase = 0; phase < GB_PHASE_COUNT && !r->op_names[op]; phase++) {
            bool same = strcmp(text, gb_phase_name((gb_phase)phase)) == 0;
            r->op_names[op] = same ? r->phase_names[phase] : NULL;
        }
        r->op_names[op] =
            r->op_names[op] ? r->op_names[op] : nvtxDomainRegisterStringA(r->domain, text);
    }
    for (int layer = 0; layer < r->n_layers; layer++) {
        snprintf(name, sizeof name, "layer %d", layer);
        r->layer_names[layer] = nvtxDomainRegisterStringA(r->domain, name);
    }
#define X(suffix, text) nvtxDomainNameCategoryA(r->domain, CATEGORY_##suffix, text);
    GB_NVTX_CATEGORIES(X)
#undef X
}

gb_nvtx *gb_nvtx_open(int n_layers)
{
    nvtxDomainHandle_t domain = nvtxDomainCreateA(GB_NVTX_DOMAIN);
    if (!domain) { /* nothing listens; whether something does is settled by the first call */
        return NULL;
    }
    const size_t layers = n_layers > 0 ? (size_t)n_layers : 0;
    gb_nvtx *r = calloc(1, sizeof *r + layers * sizeof r->layer_names[0]);
    if (!r) {
        nvtxDomainDestroy(domain);
        return NULL;
    }
    r->domain = domain;
    r->n_layers = (int)layers;
    r->phase = NO_PHASE;
    r->layer = -1;
    names_register(r);
    return r;
}

void gb_nvtx_close(gb_nvtx *r)
{
    if (r) {
        gb_nvtx_leave_step(r);
        nvtxDomainDestroy(r->domain);
        free(r);
    }
}

static void push(gb_nvtx *r, enum category category, nvtxStringHandle_t name, int64_t payload)
{
    nvtxEventAttributes_t event = {.version = NVTX_VERSION,
                                   .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                   .category = category,
                                   .messageType = NVTX_MESSAGE_TYPE_REGISTERED,
                                   .message.registered = name};
    if (payload >= 0) {
        event.payloadType = NVTX_PAYLOAD_TYPE_INT64;
        event.payload.llValue = payload;
    }
    nvtxDomainRangePushEx(r->domain, &event);
}

static void pop(gb_nvtx *r)
{
    nvtxDomainRangePop(r->domain);
}

void gb_nvtx_leave_op(gb_nvtx *r)
{
    if (r->in_op) {
        pop(r);
        r->in_op = false;
    }
}

static void layer_leave(gb_nvtx *r)
{
    gb_nvtx_leave_op(r);
    if (r->layer >= 0) {
        pop(r);
        r->layer = -1;
    }
}

void gb_nvtx_leave_scope(gb_nvtx *r)
{
    layer_leave(r);
    if (r->phase != NO_PHASE) {
        pop(r);
        r->phase = NO_PHASE;
    }
}

void gb_nvtx_leave_step(gb_nvtx *r)
{
    gb_nvtx_leave_scope(r);
    if (r->in_step) {
        pop(r);
        r->in_step = false;
    }
}

void gb_nvtx_enter_step(gb_nvtx *r, int64_t step)
{
    gb_nvtx_leave_step(r);
    push(r, CATEGORY_STEP, r->step_name, step);
    r->in_step = true;
}

static void phase_enter(gb_nvtx *r, int phase)
{
    if (phase != r->phase) {
        gb_nvtx_leave_scope(r);
        push(r, CATEGORY_PHASE, r->phase_names[phase], -1);
        r->phase = phase;
    }
}

void gb_nvtx_enter_scope(gb_nvtx *r, gb_phase phase, int layer)
{
    phase_enter(r, (int)phase);
    if (layer != r->layer) {
        layer_leave(r);
        if (layer >= 0 && layer < r->n_layers) {
            push(r, CATEGORY_LAYER, r->layer_names[layer], layer);
            r->layer = layer;
        }
    }
}

void gb_nvtx_enter_pass(gb_nvtx *r)
{
    phase_enter(r, WHOLE_PASS);
    layer_leave(r);
}

void gb_nvtx_enter_op(gb_nvtx *r, gb_op op)
{
    gb_nvtx_leave_op(r);
    push(r, CATEGORY_OP, r->op_names[op], -1);
    r->in_op = true;
}

#endif
