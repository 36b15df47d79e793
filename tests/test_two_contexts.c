/* Contexts in different threads do not touch each other: trained at the same time, each model gets the bits
 * that it gets alone. Built with ThreadSanitizer, this also shows that they share no memory without a lock.
 */
#include "tiny_training.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

enum { TRAININGS = 4, ROUNDS = 3 };

/* Two with the same seed, and every dtype, so that whatever a process has only once is used by two. */
static const tiny_training trainings[TRAININGS] = {
    {.arch = "trm", .dtype = REEL_F32, .threads = 2, .seed = 1},
    {.arch = "trm", .dtype = REEL_F32, .threads = 1, .seed = 2},
    {.arch = "trm", .dtype = REEL_BF16, .threads = 2, .seed = 1},
    {.arch = "hrm", .dtype = REEL_F64, .threads = 2, .seed = 3},
};

static pthread_barrier_t start;

static void *train_with_others(void *arg) {
    pthread_barrier_wait(&start);
    tiny_train(arg);
    return NULL;
}

static void expect_same(const tiny_training *a, const tiny_training *b) {
    ck_assert_msg(a->error.status == REEL_OK, "%s", a->error.message);
    ck_assert_msg(b->error.status == REEL_OK, "%s", b->error.message);
    ck_assert_int_gt(a->count, 0);
    ck_assert_int_eq(a->count, b->count);
    ck_assert_mem_eq(a->weights, b->weights, (size_t)a->count * sizeof *a->weights);
    ck_assert_mem_eq(a->ema, b->ema, (size_t)a->count * sizeof *a->ema);
    ck_assert_mem_eq(a->metrics, b->metrics, sizeof a->metrics);
}

static void train_together(tiny_training *together) {
    pthread_t threads[TRAININGS];
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, TRAININGS), 0);
    for (int i = 0; i < TRAININGS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, train_with_others, &together[i]), 0);
    for (int i = 0; i < TRAININGS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

/* Together first: then a library's first use falls into several threads at once. */
START_TEST(test_contexts_in_threads_train_as_alone) {
    tiny_training alone[TRAININGS];
    memcpy(alone, trainings, sizeof alone);
    for (int round = 0; round < ROUNDS; round++) {
        tiny_training together[TRAININGS];
        memcpy(together, trainings, sizeof together);
        train_together(together);
        for (int i = 0; i < TRAININGS; i++) {
            if (round == 0)
                tiny_train(&alone[i]);
            expect_same(&alone[i], &together[i]);
            tiny_free(&together[i]);
        }
    }
    for (int i = 0; i < TRAININGS; i++)
        tiny_free(&alone[i]);
}
END_TEST

/* What was compared above depends on what it should. */
START_TEST(test_trainings_differ_by_seed) {
    tiny_training one = trainings[0], other = trainings[1];
    tiny_train(&one);
    tiny_train(&other);
    ck_assert_int_eq(one.count, other.count);
    ck_assert_mem_ne(one.weights, other.weights, (size_t)one.count * sizeof *one.weights);
    tiny_free(&one);
    tiny_free(&other);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("two contexts");
    TCase *tcase = tcase_create("two contexts");
    tcase_add_test(tcase, test_contexts_in_threads_train_as_alone);
    tcase_add_test(tcase, test_trainings_differ_by_seed);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
