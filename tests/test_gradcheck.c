/* The test of the test: reel_gradient_check accepts the right rule and rejects each wrong one. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"

/* y_ij = x_ij^2 of a square matrix, with one of these for its gradient 2 x_ij dy_ij. */
typedef enum rule_kind {
    RIGHT,
    SIGN_FLIPPED,
    SCALED,
    ZERO,
    TRANSPOSED,
    NOT_A_NUMBER,
    INFINITE,
    ONE_ELEMENT_FORGOTTEN,
    WITHOUT_INPUT, /* dy alone */
    NOT_WRITTEN,
} rule_kind;

enum { N = 3 };

static double wrong_or_right(rule_kind rule, const double *x, const double *dy, int i, int j) {
    const double right = 2 * x[i * N + j] * dy[i * N + j];
    switch (rule) {
    case SIGN_FLIPPED:
        return -right;
    case SCALED:
        return 1.01 * right;
    case ZERO:
        return 0;
    case TRANSPOSED:
        return 2 * x[j * N + i] * dy[j * N + i];
    case NOT_A_NUMBER:
        return NAN;
    case INFINITE:
        return INFINITY;
    case ONE_ELEMENT_FORGOTTEN:
        return i == N - 1 && j == N - 1 ? 0 : right;
    case WITHOUT_INPUT:
        return dy[i * N + j];
    default:
        return right;
    }
}

static void square_backward(reel_context *ctx, const reel_node *node) {
    const rule_kind rule = (rule_kind)node->integer[0];
    if (rule == NOT_WRITTEN)
        return;
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    const double *x = node->saved[0]->data, *dy = reel__row_major(ctx, node->grad)->data;
    double *to = dx.to->data;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            to[i * N + j] = (dx.accumulate ? to[i * N + j] : 0) + wrong_or_right(rule, x, dy, i, j);
}

/* The function under check; arg points at the rule. */
static reel_tensor *square(reel_context *ctx, reel_tensor *const *inputs, void *arg) {
    reel_tensor *x = inputs[0], *y = reel__result_like(ctx, x);
    if (reel_is_void(y))
        return y;
    const double *from = x->data;
    double *to = y->data;
    for (int i = 0; i < N * N; i++)
        to[i] = from[i] * from[i];
    return REEL_RECORD(ctx, y, .op = "square", .backward = square_backward, .inputs = {x}, .saved = {x},
                       .integer = {*(const rule_kind *)arg});
}

/* What the check says of a rule; *check receives its findings. */
static reel_status verdict(rule_kind rule, reel_check *check) {
    reel_context *ctx;
    ck_assert_int_eq(reel_context_new(&ctx, NULL, NULL), REEL_OK);
    reel_tensor *x = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(N, N));
    reel_fill_uniform(ctx, x, 0.5, 2, (reel_draw){0});
    reel_require_grad(ctx, x);
    const reel_status status = reel_gradient_check(ctx, square, &rule, &x, 1, check);
    if (status != REEL_OK)
        ck_assert_int_eq(strncmp(reel_context_message(ctx), "gradient check: ", 16), 0);
    reel_context_free(ctx);
    return status;
}

START_TEST(test_gradient_check_accepts_the_right_rule) {
    reel_check check = {0};
    ck_assert_int_eq(verdict(RIGHT, &check), REEL_OK);
    ck_assert(check.worst < 1e-8);
}
END_TEST

START_TEST(test_gradient_check_rejects_a_wrong_rule) {
    static const rule_kind wrong[] = {SIGN_FLIPPED,          SCALED,        ZERO,       TRANSPOSED,
                                      ONE_ELEMENT_FORGOTTEN, WITHOUT_INPUT, NOT_WRITTEN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        reel_check check = {0};
        ck_assert_msg(verdict(wrong[i], &check) == REEL_ERROR_ARGUMENT, "rule %d was accepted", wrong[i]);
        ck_assert(check.worst > check.tolerance);
    }
}
END_TEST

START_TEST(test_gradient_check_rejects_what_is_not_finite) {
    reel_check check = {0};
    ck_assert_int_eq(verdict(NOT_A_NUMBER, &check), REEL_ERROR_NOT_FINITE);
    ck_assert_int_ne(verdict(INFINITE, &check), REEL_OK);
}
END_TEST

START_TEST(test_gradient_check_names_input_and_element) {
    reel_check check = {0};
    ck_assert_int_ne(verdict(ONE_ELEMENT_FORGOTTEN, &check), REEL_OK);
    ck_assert_int_eq(check.input, 0);
    ck_assert_int_eq(check.element, N * N - 1);
    ck_assert_double_eq(check.analytic, 0);
    ck_assert(fabs(check.numeric) > check.tolerance);
}
END_TEST

START_TEST(test_gradient_check_leaves_the_input_as_it_was) {
    reel_context *ctx;
    rule_kind rule = RIGHT;
    reel_check check = {0};
    double before[N * N], after[N * N];
    ck_assert_int_eq(reel_context_new(&ctx, NULL, NULL), REEL_OK);
    reel_tensor *x = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(N, N));
    reel_fill_uniform(ctx, x, -2, 2, (reel_draw){0});
    reel_require_grad(ctx, x);
    reel_read(ctx, x, before, sizeof before);
    ck_assert_int_eq(reel_gradient_check(ctx, square, &rule, &x, 1, &check), REEL_OK);
    reel_read(ctx, x, after, sizeof after);
    ck_assert_mem_eq(before, after, sizeof before);
    reel_context_free(ctx);
}
END_TEST

START_TEST(test_gradient_check_refuses_f32) {
    reel_context *ctx;
    rule_kind rule = NOT_WRITTEN;
    reel_check check = {0};
    ck_assert_int_eq(reel_context_new(&ctx, NULL, NULL), REEL_OK);
    reel_tensor *x = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2 * N, N)); /* room for what square reads */
    reel_require_grad(ctx, x);
    ck_assert_int_eq(reel_gradient_check(ctx, square, &rule, &x, 1, &check), REEL_ERROR_DTYPE);
    reel_context_free(ctx);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gradcheck");
    TCase *tcase = tcase_create("rules");
    tcase_add_test(tcase, test_gradient_check_accepts_the_right_rule);
    tcase_add_test(tcase, test_gradient_check_rejects_a_wrong_rule);
    tcase_add_test(tcase, test_gradient_check_rejects_what_is_not_finite);
    tcase_add_test(tcase, test_gradient_check_names_input_and_element);
    tcase_add_test(tcase, test_gradient_check_leaves_the_input_as_it_was);
    tcase_add_test(tcase, test_gradient_check_refuses_f32);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
