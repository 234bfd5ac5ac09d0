/* Stands in for what other rooms have yet to deliver; the Makefile turns on what is missing. */
#include <stdlib.h>
#include <string.h>

#include "bench/commands.h"
#include "kernels/backend.h"
#include "model/config.h"

#define STUB(name)                                                                                 \
    gb_status cmd_##name(int argc, char **argv, gb_error *err)                                     \
    {                                                                                              \
        (void)argc;                                                                                \
        return gb_fail(err, GB_ERR_ENV, "%s: not there yet", argv[0]);                             \
    }

#ifdef STUB_run
STUB(run)
#endif
#ifdef STUB_plan
STUB(plan)
#endif
#ifdef STUB_report
STUB(report)
#endif
#ifdef STUB_compare
STUB(compare)
#endif
#ifdef STUB_list
STUB(list)
#endif
#ifdef STUB_show
STUB(show)
#endif
#ifdef STUB_train
STUB(train)
#endif
#ifdef STUB_parity
STUB(parity)
#endif
#ifdef STUB_data
STUB(data)
#endif
#ifdef STUB_doctor
STUB(doctor)
#endif
#ifdef STUB_worker
STUB(worker)
#endif
#ifdef STUB_backend
static const char *stub_unavailable(gb_precision precision)
{
    (void)precision;
    return "not there yet";
}
const gb_backend gb_backend_cpu = {.name = "cpu", .unavailable = stub_unavailable};
#endif
#ifdef STUB_nearest
const char *gb_nearest_name(const char *name, const char *const *names)
{
    (void)name;
    (void)names;
    return NULL;
}
#endif
