/* Numbers with units, and what is none: the values follow from the units' definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/base/quantity.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_read(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const quantity_unit *units;
        double value;
    } cases[] = {{"8 GiB", quantity_bytes, 8589934592.0}, {"1.5MB", quantity_bytes, 1.5e6},
                 {".5 KiB", quantity_bytes, 512},         {"0 B", quantity_bytes, 0},
                 {"90 min", quantity_seconds, 5400},      {"2\th", quantity_seconds, 7200},
                 {"1 d", quantity_seconds, 86400},        {"1%", quantity_percent, 1},
                 {"2.5 %", quantity_percent, 2.5}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        double got;
        if (!quantity_parse(&got, cases[i].text, cases[i].units) || got != cases[i].value) {
            fail_msg("%s", cases[i].text);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",       "8",    "GiB",         "8 gib",  "8 GiB.",
                                        "-8 GiB", "+1 B", "inf B",       "nan B",  ". B",
                                        " 8 B",   "8 B ", "8 GiB of it", "8,5 GiB"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        double got;
        if (quantity_parse(&got, texts[i], quantity_bytes)) {
            fail_msg("%s", texts[i]);
        }
    }
    double got;
    assert_false(quantity_parse(&got, "1 GiB", quantity_seconds));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("quantity", tests, NULL, NULL);
}
