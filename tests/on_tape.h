/* A context for each test, and the words in which tests of the tape are written. */
#ifndef ON_TAPE_H
#define ON_TAPE_H

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include <reel/autograd.h>
#include <reel/ops.h>

static reel_context *ctx;

static inline void setup(void) {
    const reel_context_options options = {.device = REEL_CPU, .threads = 1};
    ck_assert_int_eq(reel_context_new(&ctx, &options, NULL), REEL_OK);
}

static inline void teardown(void) {
    reel_context_free(ctx);
}

static inline reel_tensor *filled(reel_dtype dtype, int rank, const int64_t *shape, double value) {
    reel_tensor *t = reel_tensor_new(ctx, dtype, rank, shape);
    ck_assert_int_eq(reel_fill(ctx, t, value), REEL_OK);
    return t;
}

static inline reel_tensor *leaf(reel_dtype dtype, int rank, const int64_t *shape, double value) {
    reel_tensor *t = filled(dtype, rank, shape, value);
    ck_assert_int_eq(reel_require_grad(ctx, t), REEL_OK);
    return t;
}

static inline reel_tensor *sum(reel_tensor *x) {
    return reel_sum(ctx, x, NULL, 0, 0);
}

static inline void backward(reel_tensor *loss) {
    ck_assert_msg(reel_backward(ctx, loss) == REEL_OK, "%s", reel_context_message(ctx));
}

static inline double gradient_at(const reel_tensor *grad, int64_t i) {
    return grad->dtype == REEL_F64 ? ((const double *)grad->data)[i] : ((const float *)grad->data)[i];
}

/* Every element of a leaf's gradient. */
static inline void expect_gradient(reel_tensor *t, double value) {
    const reel_tensor *grad = reel_grad(ctx, t);
    for (int64_t i = 0, n = reel_elements(grad); i < n; i++) {
        const double got = gradient_at(grad, i);
        ck_assert_msg(fabs(got - value) <= 1e-6 * fmax(1, fabs(value)), "gradient %lld is %.9g, not %.9g",
                      (long long)i, got, value);
    }
}

static inline int run_tests(const char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
