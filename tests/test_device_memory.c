/* A device whose memory runs out, one that a kernel has ended, and uploads: on the simulator, which can be
 * told to have little memory and to fail, and whose pinned memory must not be touched too early. */
#include "device.h"
#include "simulator.h"
#include "tiny_training.h"

#include "context.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static reel_context *ctx;

static void setup(void) {
    const reel_context_options options = {.device = REEL_CUDA, .threads = 1, .seed = 5};
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
}

static void teardown(void) {
    reel_context_free(ctx);
    reel__sim_limit_memory(0);
    reel__sim_fail_at_launch(0);
}

enum { KIB = 1024, LIMIT = 1024 * KIB };

/* Of f32. */
static reel_tensor *new_kib(int64_t kib) {
    return reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(kib, KIB / 4));
}

/* ---- what is said -------------------------------------------------------------------------------------- */

static double in_kib(double value, const char *unit) {
    return strcmp(unit, "KiB") == 0 ? value : strcmp(unit, "MiB") == 0 ? KIB * value : NAN;
}

START_TEST(test_who_is_short_of_memory_says_what_holds_it) {
    reel__sim_limit_memory(LIMIT);
    reel_tensor *x = new_kib(256);
    ck_assert(!reel_is_void(reel_exp(ctx, x)));
    reel_tensor *column = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(400, 1));
    reel_tensor *row = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(1, 400));
    ck_assert(reel_is_void(reel_matmul(ctx, column, row)));
    ck_assert_int_eq(reel_context_status(ctx), REEL_ERROR_MEMORY);
    const char *const message = reel_context_message(ctx);
    double asked, left, total, kept, tape;
    char units[4][8];
    const int read =
        sscanf(message,
               "matmul: no memory for a result [400,400] of %lf KiB on the device: %lf %7s of "
               "%lf %7s are free; Reel holds %lf %7s of tensors that are kept, %lf %7[A-Za-z] of "
               "the tape; a smaller batch",
               &asked, &left, units[0], &total, units[1], &kept, units[2], &tape, units[3]);
    ck_assert_msg(read == 9 && strstr(message, "; a smaller batch needs less"), "%s", message);
    left = in_kib(left, units[0]), total = in_kib(total, units[1]);
    kept = in_kib(kept, units[2]), tape = in_kib(tape, units[3]);
    const double rounding = 0.5;
    ck_assert_double_eq(asked, 625);
    ck_assert_double_eq(total, KIB);
    ck_assert_msg(kept >= 259 && kept <= 259 + 34 && tape >= 256 && tape <= 256 + 32, "%s", message);
    ck_assert_double_eq_tol(left + kept + tape, total, rounding);
}
END_TEST

/* Nothing of the tape is in the way, so that a smaller batch would not help. */
START_TEST(test_a_tensor_that_is_too_large_is_told_by_its_shape) {
    reel__sim_limit_memory(LIMIT);
    ck_assert(reel_is_void(new_kib(2000)));
    ck_assert_str_eq(reel_context_message(ctx),
                     "tensor: no memory for f32 [2000,256] of 2.0 MiB on the device: "
                     "1.0 MiB of 1.0 MiB are free; Reel holds 0 bytes of tensors "
                     "that are kept, 0 bytes of the tape");
}
END_TEST

/* ---- free blocks --------------------------------------------------------------------------------------- */

START_TEST(test_free_blocks_of_other_sizes_make_room) {
    reel__sim_limit_memory(LIMIT);
    reel_tensor *kept = new_kib(100);
    reel_fill(ctx, kept, 7);
    for (int i = 0; i < 3; i++) {
        reel_tensor *freed[2] = {new_kib(200), new_kib(400)};
        reel_tensor_free(ctx, freed[0]);
        reel_tensor_free(ctx, freed[1]);
        reel_tensor *large = new_kib(800);
        ck_assert_msg(!reel_is_void(large), "%s", reel_context_message(ctx));
        const reel_memory memory = reel_memory_of(ctx);
        ck_assert_int_eq(memory.reserved_bytes, memory.live_bytes); /* all else was given back */
        reel_tensor_free(ctx, large);
    }
    float first;
    reel_read(ctx, reel_narrow(ctx, reel_narrow(ctx, kept, 0, 0, 1), 1, 0, 1), &first, sizeof first);
    ck_assert_float_eq(first, 7);
}
END_TEST

/* ---- training ------------------------------------------------------------------------------------------ */

typedef struct training {
    reel_model *model;
    reel_optimizer *optimizer;
} training;

static training begin_training(void) {
    const tiny_training how = {.arch = "trm", .dtype = REEL_F32};
    training t = {.model = tiny_model(ctx, &how)};
    const reel_optimizer_options options = {.beta1 = 0.9, .beta2 = 0.95, .ema_rate = 0.9};
    t.optimizer = reel_optimizer_new(reel_model_parameters(t.model), &options);
    ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
    return t;
}

static void end_training(training *t) {
    reel_optimizer_free(t->optimizer);
    reel_model_free(t->model);
}

/* A step with a batch of so many rows. */
static reel_status train(training *t, int64_t rows) {
    reel_carry *carry = reel_carry_new(ctx, t->model, rows);
    int32_t *const tokens = calloc((size_t)(rows * TINY_CELLS), sizeof *tokens);
    int32_t *const identifiers = calloc((size_t)rows, sizeof *identifiers);
    for (int64_t i = 0; i < rows * TINY_CELLS; i++)
        tokens[i] = (int32_t)(i * i) % TINY_VOCABULARY;
    reel_carry_offer(ctx, carry, tokens, tokens, identifiers);
    reel_carry_explore(ctx, t->model, carry, 1);
    reel_backward(ctx, reel_act_step(ctx, t->model, carry, REEL_ACT_TRAIN).loss);
    reel_optimizer_step(t->optimizer, 1e-3);
    const reel_status status = reel_context_status(ctx);
    if (status == REEL_OK)
        reel_tape_reset(ctx);
    reel_carry_free(ctx, carry);
    free(tokens);
    free(identifiers);
    return status;
}

/* The weights after training with so many rows, on the C heap. */
static double *weights_after(training *t, int64_t rows, int64_t *count) {
    ck_assert_msg(train(t, rows) == REEL_OK, "%s", reel_context_message(ctx));
    reel_tensor *const values = reel_parameters_values(reel_model_parameters(t->model));
    *count = reel_elements(values);
    double *const weights = tiny_copy(ctx, values);
    reel_tape_reset(ctx);
    return weights;
}

START_TEST(test_training_goes_on_with_a_smaller_batch) {
    enum { ROWS = 1, MANY = 12 };
    int64_t count;
    training t = begin_training();
    double *const wanted = weights_after(&t, ROWS, &count);
    const size_t taken = (size_t)reel_memory_of(ctx).reserved_bytes, enough = taken + taken / 4;
    end_training(&t);
    reel_context_free(ctx);

    setup();
    t = begin_training();
    const int64_t before = reel_memory_of(ctx).live_bytes;
    reel__sim_limit_memory(enough);
    ck_assert_int_eq(train(&t, MANY), REEL_ERROR_MEMORY);
    ck_assert_msg(strstr(reel_context_message(ctx), "of the tape; a smaller batch needs less"), "%s",
                  reel_context_message(ctx));
    reel_tape_reset(ctx);
    reel_parameters_zero_grad(reel_model_parameters(t.model));
    double *const weights = weights_after(&t, ROWS, &count);
    ck_assert_mem_eq(weights, wanted, (size_t)count * sizeof *wanted);
    const int64_t asked = reel_memory_of(ctx).system_allocations;
    ck_assert_int_eq(train(&t, ROWS), REEL_OK);
    ck_assert_int_eq(reel_memory_of(ctx).system_allocations, asked); /* as if nothing had been */
    ck_assert_int_eq(reel_tape_of(ctx).live_bytes, 0);
    end_training(&t);
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, 0);
    ck_assert_int_gt(before, 0);
    free(weights);
    free(wanted);
}
END_TEST

/* ---- a kernel that ends all work ----------------------------------------------------------------------- */

START_TEST(test_a_device_that_is_lost_says_so_to_every_call) {
    static const char lost[] = "cuda: a kernel failed: an illegal memory access was encountered "
                               "(cudaErrorIllegalAddress); it shows at: ";
    float value = 1;
    reel_tensor *x = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(1));
    reel__sim_fail_at_launch(1);
    reel_fill(ctx, x, 3);
    for (int i = 0; i < 4; i++) {
        reel_status status = i == 0   ? reel_context_synchronise(ctx)
                             : i == 1 ? reel_write(ctx, x, &value, sizeof value)
                             : i == 2 ? reel_read(ctx, x, &value, sizeof value)
                                      : (new_kib(8), reel_context_status(ctx));
        if (i == 1) /* a write is queued */
            status = reel_context_status(ctx);
        ck_assert_int_eq(status, REEL_ERROR_DEVICE);
        ck_assert_msg(strncmp(reel_context_message(ctx), lost, strlen(lost)) == 0, "%s",
                      reel_context_message(ctx));
        reel_tape_reset(ctx);
    }
}
END_TEST

/* ---- uploads ------------------------------------------------------------------------------------------- */

/* More than all of the pinned memory, in pieces small and large, none of them read between. */
START_TEST(test_uploads_arrive_whole_and_in_order) {
    enum { TENSORS = 40, MOST = 3 << 18 };
    const int64_t sizes[] = {1, 1000, MOST, 77777, 1 << 18};
    int32_t *const values = malloc(MOST * sizeof *values), *const read = malloc(MOST * sizeof *read);
    reel_tensor *t[TENSORS];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TENSORS; i++) {
            const int64_t n = sizes[i % 5];
            for (int64_t k = 0; k < n; k++)
                values[k] = (int32_t)(k * 7 + i + round);
            if (round == 0)
                t[i] = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(n));
            ck_assert_int_eq(reel_write(ctx, t[i], values, (size_t)n * sizeof *values), REEL_OK);
        }
    }
    memset(values, 0, MOST * sizeof *values); /* the caller's again */
    for (int i = 0; i < TENSORS; i++) {
        const int64_t n = sizes[i % 5];
        ck_assert_int_eq(reel_read(ctx, t[i], read, (size_t)n * sizeof *read), REEL_OK);
        int64_t wrong = 0;
        for (int64_t k = 0; k < n; k++)
            wrong += read[k] != (int32_t)(k * 7 + i + 1);
        ck_assert_int_eq(wrong, 0);
    }
    free(values);
    free(read);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("device_memory");
    TCase *tcase = tcase_create("device_memory");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_who_is_short_of_memory_says_what_holds_it);
    tcase_add_test(tcase, test_a_tensor_that_is_too_large_is_told_by_its_shape);
    tcase_add_test(tcase, test_free_blocks_of_other_sizes_make_room);
    tcase_add_test(tcase, test_training_goes_on_with_a_smaller_batch);
    tcase_add_test(tcase, test_a_device_that_is_lost_says_so_to_every_call);
    tcase_add_test(tcase, test_uploads_arrive_whole_and_in_order);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
