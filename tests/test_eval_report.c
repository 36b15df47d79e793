/* What trm_eval reports to programs. */
#include "eval_report.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The number behind "NAME": in the report of one score. */
static double reported(double score) {
    const named_value metric = {.name = "ARC/pass@1", .value = score};
    const eval_report report = {.step = -1, .task_metrics = &metric, .task_metric_count = 1};
    char *text;
    size_t bytes;
    reel_error error = {0};
    FILE *const out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(eval_report_print_json(out, &report, &error), REEL_OK);
    fclose(out);
    static const char key[] = "{\"ARC/pass@1\":";
    ck_assert_msg(strncmp(text, key, strlen(key)) == 0, "%s", text);
    char *end;
    const double value = strtod(text + strlen(key), &end);
    ck_assert_str_eq(end, "}\n");
    free(text);
    return value;
}

/* A score that was compared with another program's must not differ from it by the last bit. */
START_TEST(test_numbers_are_exact) {
    static const double scores[] = {
        0, 1, 0.5, 0.1, 0.1 + 0.2, 113.0 / 360, 1.0 / 3, 1e-300, 123456789.123456789};
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        const double around[] = {nextafter(scores[i], -1), scores[i], nextafter(scores[i], 2e9)};
        for (int k = 0; k < 3; k++)
            ck_assert_msg(reported(around[k]) == around[k], "%.17g", around[k]);
    }
}
END_TEST

START_TEST(test_json_has_no_nan) {
    const named_value metric = {.name = "x", .value = NAN};
    const eval_report report = {.step = -1, .task_metrics = &metric, .task_metric_count = 1};
    char text[32] = {0};
    reel_error error = {0};
    FILE *const out = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(eval_report_print_json(out, &report, &error), REEL_OK);
    fclose(out);
    ck_assert_str_eq(text, "{\"x\":null}\n");
}
END_TEST

int main(void) {
    TCase *const cases = tcase_create("report");
    tcase_add_test(cases, test_numbers_are_exact);
    tcase_add_test(cases, test_json_has_no_nan);
    Suite *const suite = suite_create("eval_report");
    suite_add_tcase(suite, cases);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
