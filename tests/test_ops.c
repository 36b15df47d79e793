/* Every op of op_list.h against its case. `test_ops NAME ...` checks the ops named only, `test_ops K/N` the
 * K-th and every N-th after it, so that N runs side by side check all.
 * REEL_TEST_DEVICE=cuda has them computed by the GPU, or what simulates one. */
#include "op_case.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REEL_OP(name, ...) void op_case_##name(op_case *c);
#include "op_list.h"

static const op_entry entries[] = {
#define REEL_OP(name, inputs, differentiable, dtypes, formula, gradient)                                     \
    {#name, inputs, differentiable, dtypes, op_case_##name},
#include "op_list.h"
};
enum { OP_COUNT = sizeof entries / sizeof entries[0], SKIPPED = 77 };

static const op_entry *selected[OP_COUNT];
static int n_selected;
static reel_context_options options = {.device = REEL_CPU};

START_TEST(test_op_computes_its_formula_and_gradient) {
    op_case_check(selected[_i], &options);
}
END_TEST

/* All ops, or those named; false for a name that is no op's. */
static bool select_ops(int n, char *const *names) {
    int part = 1, parts = 1;
    const bool in_parts =
        n == 1 && sscanf(names[0], "%d/%d", &part, &parts) == 2 && part >= 1 && parts >= part;
    for (int i = part - 1; i < OP_COUNT && (n == 0 || in_parts); i += parts)
        selected[n_selected++] = &entries[i];
    if (in_parts)
        return true;
    for (int k = 0; k < n; k++) {
        const int before = n_selected;
        for (int i = 0; i < OP_COUNT && n_selected < OP_COUNT; i++)
            if (strcmp(entries[i].name, names[k]) == 0)
                selected[n_selected++] = &entries[i];
        if (n_selected == before) {
            fprintf(stderr, "test_ops: no op is called %s\n", names[k]);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    reel_context *ctx;
    reel_error error = {0};
    const char *device = getenv("REEL_TEST_DEVICE");
    if (device && strcmp(device, "cuda") == 0)
        options.device = REEL_CUDA;
    if (reel_context_new(&ctx, &options, &error) != REEL_OK) {
        fprintf(stderr, "test_ops: %s\n", error.message);
        return error.status == REEL_ERROR_DEVICE ? SKIPPED : EXIT_FAILURE;
    }
    reel_context_free(ctx);
    if (!select_ops(argc - 1, argv + 1))
        return EXIT_FAILURE;
    Suite *suite = suite_create("ops");
    TCase *tcase = tcase_create("op_list");
    tcase_add_loop_test(tcase, test_op_computes_its_formula_and_gradient, 0, n_selected);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
