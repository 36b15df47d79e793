/* Batches prepared ahead are those that reel_train_batch makes, in the same order, with the same errors.
 * Built with ThreadSanitizer, this also shows that the thread and its caller share nothing without a lock. */
#include "batch_worker.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 8, CELLS = 16, STEPS = 12, ALL = 1000 };

static const reel_batch_plan plan = {.batch_size = ROWS, .epochs = 6, .eval_interval = 2, .seed = 3};
static reel_dataset *ahead, *reference;
static batch_worker *worker;
static reel_batch batch, wanted;

static reel_dataset *open_puzzles(void) {
    reel_dataset *d;
    reel_error error = {0};
    const reel_dataset_options options = {.seed = 1, .num_aug = REEL_AUG_DEFAULT};
    ck_assert_msg(reel_dataset_open(&d, &(const char *){"sudoku:4:16"}, 1, REEL_SPLIT_TRAIN, &options, NULL,
                                    &error) == REEL_OK,
                  "%s", error.message);
    return d;
}

static void setup(void) {
    ahead = open_puzzles();
    reference = open_puzzles();
    ck_assert(batch_new(&batch, ROWS, CELLS) && batch_new(&wanted, ROWS, CELLS));
    worker = batch_worker_new(ahead, &plan);
    ck_assert_ptr_nonnull(worker);
}

static void teardown(void) {
    batch_worker_free(worker);
    batch_free(&batch);
    batch_free(&wanted);
    reel_dataset_close(ahead);
    reel_dataset_close(reference);
}

/* The worker gives the batch of this step. */
static void expect_batch(int64_t step, int64_t last_step) {
    reel_error error = {0};
    int64_t interval = -1;
    ck_assert_msg(batch_worker_take(worker, step, last_step, &batch, &interval, &error) == REEL_OK, "%s",
                  error.message);
    ck_assert_int_eq(reel_train_batch(reference, &plan, step, &wanted, NULL), REEL_OK);
    ck_assert_mem_eq(batch.inputs, wanted.inputs, ROWS * CELLS * sizeof *batch.inputs);
    ck_assert_mem_eq(batch.labels, wanted.labels, ROWS * CELLS * sizeof *batch.labels);
    ck_assert_mem_eq(batch.puzzle_identifiers, wanted.puzzle_identifiers, ROWS * sizeof(int32_t));
    ck_assert_int_eq(interval, reel_plan_interval(reference, &plan, step + 1));
}

START_TEST(test_batches_ahead_are_those_of_the_steps) {
    for (int64_t step = 0; step < STEPS; step++) {
        expect_batch(step, ALL);
        memset(batch.inputs, 0xff, ROWS * CELLS * sizeof *batch.inputs); /* the caller's until the next */
    }
}
END_TEST

START_TEST(test_a_step_behind_the_end_is_refused_as_ever) {
    expect_batch(STEPS - 1, ALL); /* none is begun behind it */
    for (int i = 0; i < 2; i++) {
        reel_error error = {0}, expected = {0};
        int64_t interval;
        ck_assert_int_eq(batch_worker_take(worker, STEPS, ALL, &batch, &interval, &error),
                         REEL_ERROR_ARGUMENT);
        reel_train_batch(reference, &plan, STEPS, &wanted, &expected);
        ck_assert_str_eq(error.message, expected.message);
        expect_batch(STEPS - 1, ALL);
    }
}
END_TEST

START_TEST(test_a_run_may_go_to_any_step) {
    static const int64_t steps[] = {5, 6, 2, 3, 3, 11, 0, 1};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        expect_batch(steps[i], ALL);
}
END_TEST

/* Where the thread sleeps the data set may be used; where nothing is asked for it sleeps. */
START_TEST(test_the_thread_rests) {
    int64_t interval;
    for (int64_t step = 0; step < STEPS; step++) { /* at once, while it makes the next */
        batch_worker_take(worker, step, ALL, &batch, &interval, NULL);
        batch_worker_rest(worker);
        ck_assert_int_eq(reel_plan_interval(ahead, &plan, 9), 2);
    }
    expect_batch(4, 5);
    ck_assert_int_eq(reel_plan_interval(ahead, &plan, 0), 0); /* 5 is not of the run, so nothing is made */
    expect_batch(5, 6);
}
END_TEST

START_TEST(test_the_thread_ends_in_the_middle_of_a_batch) {
    for (int i = 0; i < 20; i++) {
        expect_batch(i % STEPS, ALL);
        batch_worker_free(worker);
        worker = batch_worker_new(ahead, &plan);
    }
    batch_worker_free(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("batch_worker");
    TCase *tcase = tcase_create("batch_worker");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_batches_ahead_are_those_of_the_steps);
    tcase_add_test(tcase, test_a_step_behind_the_end_is_refused_as_ever);
    tcase_add_test(tcase, test_a_run_may_go_to_any_step);
    tcase_add_test(tcase, test_the_thread_rests);
    tcase_add_test(tcase, test_the_thread_ends_in_the_middle_of_a_batch);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
