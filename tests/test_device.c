/* On a GPU, or what simulates one: training goes as on the CPU, and what only the device can know to be wrong
 * is told when values come home. What single ops compute there is test_ops' matter. */
#include "tiny_training.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef REEL_CUDA_SIMULATED
#include "simulator.h"
enum { CURVE_STEPS = 16 }; /* half a second each there */
static void choose_another_order(void) {
    reel__sim_set_order(REEL__SIM_SHUFFLED);
}
#else
enum { CURVE_STEPS = TINY_MOST_STEPS };
static void choose_another_order(void) {}
#endif

enum { SKIPPED = 77 };

static reel_context *new_context(reel_device device) {
    const reel_context_options options = {.device = device, .threads = 1, .seed = 5};
    reel_context *made;
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&made, &options, &error) == REEL_OK, "%s", error.message);
    return made;
}

static reel_context *ctx;

static void setup(void) {
    ctx = new_context(REEL_CUDA);
}

static void teardown(void) {
    reel_context_free(ctx);
}

/* ---- training ------------------------------------------------------------------------------------------ */

/* Differences that the order of sums makes, grown by the steps; bf16 rounds what lies between ops. */
static const struct {
    tiny_training training;
    double tolerance; /* of the larger of a value and 1 */
} trainings[] = {
    {{.arch = "trm", .dtype = REEL_F64, .threads = 1}, 1e-9},
    {{.arch = "trm", .mlp_t = true, .dtype = REEL_F64, .threads = 1}, 1e-9},
    {{.arch = "trm", .mlp_t = true, .dtype = REEL_F32, .threads = 1}, 2e-3},
    {{.arch = "trm", .dtype = REEL_BF16, .threads = 1}, 0.1},
    {{.arch = "hrm", .dtype = REEL_F64, .threads = 1}, 1e-9},
};

static void expect_near(const char *what, const double *got, const double *wanted, int64_t n,
                        double tolerance) {
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - wanted[i]) <= tolerance * fmax(1, fabs(wanted[i])),
                      "%s %lld is %.17g, on the CPU %.17g", what, (long long)i, got[i], wanted[i]);
}

START_TEST(test_training_on_a_device_goes_as_on_the_cpu) {
    tiny_training host = trainings[_i].training, device = host;
    const double tolerance = trainings[_i].tolerance;
    device.device = REEL_CUDA;
    ck_assert_msg(tiny_train(&host) == REEL_OK, "%s", host.error.message);
    ck_assert_msg(tiny_train(&device) == REEL_OK, "%s", device.error.message);
    ck_assert_int_eq(host.count, device.count);
    expect_near("metric", device.metrics, host.metrics, REEL_METRIC_KINDS, tolerance);
    expect_near("weight", device.weights, host.weights, host.count, tolerance);
    expect_near("EMA", device.ema, host.ema, host.count, tolerance);
    tiny_free(&host);
    tiny_free(&device);
}
END_TEST

static tiny_training trained(reel_device device, reel_dtype dtype) {
    tiny_training t = {.arch = "trm", .dtype = dtype, .device = device, .threads = 1, .steps = CURVE_STEPS};
    ck_assert_msg(tiny_train(&t) == REEL_OK, "%s", t.error.message);
    for (int i = 0; i < t.steps; i++)
        ck_assert(isfinite(t.loss[i]));
    return t;
}

/* How far from the CPU's curve in f64 the device may be at a step. A disturbance of this training grows to
 * e^0.1 of itself a step: f32 leaves f64 by 4e-7 in 40 steps and by 2e-4 in 100, and after 200 nobody can
 * follow in f32 or bf16. What the CPU in that dtype has left it by up to there, `host`, is what roundings do;
 * those of a device are others, and by chance they do more. */
static double allowed_at(int step, reel_dtype dtype, double host) {
    const double grown = 1e-13 * exp(0.1 * step), as_far = 8, f32_rounding = 1e-6, bf16_rounding = 1e-2;
    if (dtype == REEL_F64)
        return grown;
    return as_far * host + (dtype == REEL_F32 ? f32_rounding : bf16_rounding);
}

START_TEST(test_a_device_learns_along_the_cpus_curve) {
    const reel_dtype dtype = (reel_dtype)_i;
    tiny_training exact = trained(REEL_CPU, REEL_F64), host = trained(REEL_CPU, dtype);
    tiny_training device = trained(REEL_CUDA, dtype);
    double host_left = 0;
    for (int i = 0; i < CURVE_STEPS; i++) {
        host_left = fmax(host_left, fabs(host.loss[i] - exact.loss[i]));
        ck_assert_msg(fabs(device.loss[i] - exact.loss[i]) <= allowed_at(i, dtype, host_left),
                      "%s: the loss of step %d is %.17g, in f64 on the CPU %.17g, in this dtype %.17g",
                      reel_dtype_name(dtype), i, device.loss[i], exact.loss[i], host.loss[i]);
    }
    ck_assert(exact.loss[CURVE_STEPS - 1] < exact.loss[0] && device.loss[CURVE_STEPS - 1] < device.loss[0]);
    tiny_free(&exact);
    tiny_free(&host);
    tiny_free(&device);
}
END_TEST

START_TEST(test_two_runs_give_the_same_bits) {
    const reel_dtype dtype = (reel_dtype)_i;
    tiny_training first = {.arch = "trm", .dtype = dtype, .device = REEL_CUDA, .threads = 1};
    tiny_training second = first;
    ck_assert_msg(tiny_train(&first) == REEL_OK, "%s", first.error.message);
    choose_another_order();
    ck_assert_msg(tiny_train(&second) == REEL_OK, "%s", second.error.message);
    ck_assert_mem_eq(first.loss, second.loss, sizeof first.loss);
    ck_assert_mem_eq(first.metrics, second.metrics, sizeof first.metrics);
    ck_assert_mem_eq(first.weights, second.weights, (size_t)first.count * sizeof *first.weights);
    ck_assert_mem_eq(first.ema, second.ema, (size_t)first.count * sizeof *first.ema);
    tiny_free(&first);
    tiny_free(&second);
}
END_TEST

START_TEST(test_initial_values_have_the_same_bits_on_every_device) {
    enum { N = 300 };
    float values[2][N];
    reel_context *const contexts[2] = {ctx, new_context(REEL_CPU)};
    for (int i = 0; i < 2; i++) {
        reel_tensor *t = reel_tensor_new(contexts[i], REEL_F32, REEL_SHAPE(N));
        reel_fill_truncated_normal(contexts[i], t, 0.5, (reel_draw){.stream = REEL_STREAM_INIT});
        ck_assert_int_eq(reel_read(contexts[i], t, values[i], sizeof values[i]), REEL_OK);
    }
    ck_assert_mem_eq(values[0], values[1], sizeof values[0]);
    reel_context_free(contexts[1]);
}
END_TEST

/* ---- what comes late ----------------------------------------------------------------------------------- */

/* The next look at the device says so, and after the step everything works again. */
static void expect_late_error(reel_status status, const char *message) {
    ck_assert_int_eq(reel_context_synchronise(ctx), status);
    ck_assert_str_eq(reel_context_message(ctx), message);
    ck_assert_int_eq(reel_tape_reset(ctx), status);
    ck_assert_int_eq(reel_context_synchronise(ctx), REEL_OK);
}

static reel_tensor *of_values(reel_dtype dtype, int rank, const int64_t *shape, const void *values,
                              size_t bytes) {
    reel_tensor *t = reel_tensor_new(ctx, dtype, rank, shape);
    ck_assert_int_eq(reel_write(ctx, t, values, bytes), REEL_OK);
    return t;
}

START_TEST(test_a_wrong_index_is_told_when_values_come_home) {
    const int32_t wrong[] = {1, 0, 7, -1};
    reel_tensor *table = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(3, 4));
    reel_tensor *indices = of_values(REEL_I32, REEL_SHAPE(4), wrong, sizeof wrong);
    ck_assert(!reel_is_void(reel_embedding(ctx, table, indices, 1)));
    expect_late_error(REEL_ERROR_ARGUMENT, "embedding: index 7 at element 2 is not in 0 .. 2");
}
END_TEST

/* One parameter of ones, whose gradient is `slope`. */
static void step_with_slope(const float slope[2], float values[2], double *norm) {
    reel_parameters *params = reel_parameters_new(ctx, REEL_F32);
    reel_tensor *weight;
    reel_parameter(params, &weight, "w", REEL_SHAPE(2), (reel_init){REEL_INIT_CONSTANT, 1});
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    const reel_optimizer_options how = {.beta1 = 0.9, .beta2 = 0.95, .max_grad_norm = 1};
    reel_optimizer *optimizer = reel_optimizer_new(params, &how);
    reel_tensor *factor = of_values(REEL_F32, REEL_SHAPE(2), slope, 2 * sizeof *slope);
    reel_backward(ctx, reel_sum(ctx, reel_mul(ctx, weight, factor), NULL, 0, 0));
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    *norm = isfinite(slope[1]) ? reel_optimizer_grad_norm(optimizer) : NAN;
    if (!isfinite(slope[1]))
        expect_late_error(REEL_ERROR_NOT_FINITE,
                          "optimizer: the norm of the gradient is not finite; the step is left out");
    ck_assert_int_eq(reel_read(ctx, weight, values, 2 * sizeof *values), REEL_OK);
    reel_tape_reset(ctx);
    reel_tensor_free(ctx, factor);
    reel_optimizer_free(optimizer);
    reel_parameters_free(params);
}

START_TEST(test_a_gradient_that_is_not_finite_leaves_the_weights) {
    float values[2];
    double norm;
    step_with_slope((const float[]){3, 4}, values, &norm);
    ck_assert_double_eq(norm, 5);
    ck_assert(values[0] < 1 && values[1] < 1);
    step_with_slope((const float[]){3, INFINITY}, values, &norm);
    ck_assert_float_eq(values[0], 1);
    ck_assert_float_eq(values[1], 1);
}
END_TEST

START_TEST(test_weights_and_their_average_change_places) {
    double values[2][2];
    reel_parameters *params = reel_parameters_new(ctx, REEL_F64);
    reel_tensor *weight;
    reel_parameter(params, &weight, "w", REEL_SHAPE(2), (reel_init){REEL_INIT_CONSTANT, 1});
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    reel_optimizer *optimizer =
        reel_optimizer_new(params, &(reel_optimizer_options){.beta1 = 0.9, .beta2 = 0.95, .ema_rate = 0.5});
    ck_assert_int_eq(reel_fill(ctx, weight, 3), REEL_OK); /* the average still is of ones */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(reel_optimizer_swap_ema(optimizer), REEL_OK);
        reel_read(ctx, weight, values[i], sizeof values[i]);
    }
    ck_assert(values[0][0] == 1 && values[0][1] == 1 && values[1][0] == 3 && values[1][1] == 3);
    reel_optimizer_free(optimizer);
    reel_parameters_free(params);
}
END_TEST

/* Rows 0 and 2 of four are named, 2 twice with gradients that add up to -1 and 0; and one that is none. */
START_TEST(test_rows_move_but_for_those_that_are_none) {
    const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1}, slopes[8] = {2, -2, 1, 3, -2, -3, 9, 9};
    const float wanted[8] = {0.75f, 1.25f, 1, 1, 1.25f, 1, 1, 1};
    const int32_t named[4] = {0, 2, 2, 4};
    float values[8];
    reel_tensor *table = of_values(REEL_F32, REEL_SHAPE(4, 2), ones, sizeof ones);
    reel_tensor *gradient = of_values(REEL_F32, REEL_SHAPE(4, 2), slopes, sizeof slopes);
    reel_tensor *ids = of_values(REEL_I32, REEL_SHAPE(4), named, sizeof named);
    reel_sign_sgd_rows(ctx, table, ids, gradient, 0.25, 0);
    expect_late_error(REEL_ERROR_ARGUMENT, "sign_sgd: ids[3] is 4, the table has 4 rows");
    ck_assert_int_eq(reel_read(ctx, table, values, sizeof values), REEL_OK);
    ck_assert_mem_eq(values, wanted, sizeof values);
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------------------- */

START_TEST(test_steps_alike_take_no_new_device_memory) {
    reel_tensor *x = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(7, 5));
    int64_t before = 0;
    for (int step = 0; step < 4; step++) {
        if (step == 2)
            before = reel_memory_of(ctx).system_allocations;
        reel_item(ctx, reel_sum(ctx, reel_exp(ctx, x), NULL, 0, 0));
        ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    }
    ck_assert_int_eq(reel_memory_of(ctx).system_allocations, before);
}
END_TEST

int main(void) {
    reel_error error = {0};
    if (reel_context_new(&ctx, &(reel_context_options){.device = REEL_CUDA}, &error) != REEL_OK) {
        fprintf(stderr, "test_device: %s\n", error.message);
        return error.status == REEL_ERROR_DEVICE ? SKIPPED : EXIT_FAILURE;
    }
    reel_context_free(ctx);
    Suite *suite = suite_create("device");
    TCase *training = tcase_create("training"), *curves = tcase_create("curves"),
          *tcase = tcase_create("late");
    tcase_add_loop_test(training, test_training_on_a_device_goes_as_on_the_cpu, 0,
                        sizeof trainings / sizeof trainings[0]);
    suite_add_tcase(suite, training);
    tcase_add_loop_test(curves, test_a_device_learns_along_the_cpus_curve, REEL_F64, REEL_BF16 + 1);
    tcase_add_loop_test(curves, test_two_runs_give_the_same_bits, REEL_F64, REEL_BF16 + 1);
    suite_add_tcase(suite, curves);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_initial_values_have_the_same_bits_on_every_device);
    tcase_add_test(tcase, test_a_wrong_index_is_told_when_values_come_home);
    tcase_add_test(tcase, test_a_gradient_that_is_not_finite_leaves_the_weights);
    tcase_add_test(tcase, test_weights_and_their_average_change_places);
    tcase_add_test(tcase, test_rows_move_but_for_those_that_are_none);
    tcase_add_test(tcase, test_steps_alike_take_no_new_device_memory);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
