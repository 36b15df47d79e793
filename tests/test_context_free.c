/* With its context goes everything that the engine took: nothing is left on the heap, whether a training went
 * well or stopped at an error. The linker leads the calls of tensor, autograd, ops, optim and models to the
 * counters below (--wrap), and nobody else's.
 *
 * What a process keeps is not the engine's: OpenBLAS's buffers, oneDNN's code, the OpenMP run time's. They
 * are taken once and do not grow with contexts. */
#include "tiny_training.h"

#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_llong live, taken;
static long long taken_at_most = -1; /* the next one fails; -1: none does */

/* False for one that shall fail. */
static bool may_take(void) {
    return taken_at_most < 0 || atomic_load(&taken) < taken_at_most;
}

static void *count(void *memory) {
    if (memory) {
        atomic_fetch_add(&live, 1);
        atomic_fetch_add(&taken, 1);
    }
    return memory;
}

void *__real_malloc(size_t bytes), *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes), *__real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **out, size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
void __real_free(void *memory);

void *__wrap_malloc(size_t bytes), *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes), *__wrap_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t bytes) {
    return may_take() ? count(__real_malloc(bytes)) : NULL;
}

void *__wrap_calloc(size_t n, size_t bytes) {
    return may_take() ? count(__real_calloc(n, bytes)) : NULL;
}

void *__wrap_realloc(void *old, size_t bytes) {
    if (!may_take())
        return NULL;
    if (old)
        atomic_fetch_sub(&live, 1);
    return count(__real_realloc(old, bytes));
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return may_take() ? count(__real_aligned_alloc(alignment, bytes)) : NULL;
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes) {
    if (!may_take())
        return ENOMEM;
    const int status = __real_posix_memalign(out, alignment, bytes);
    if (status == 0)
        count(*out);
    return status;
}

char *__wrap_strdup(const char *text) {
    return may_take() ? count(__real_strdup(text)) : NULL;
}

void __wrap_free(void *memory) {
    if (memory)
        atomic_fetch_sub(&live, 1);
    __real_free(memory);
}

static const tiny_training trainings[] = {
    {.arch = "trm", .dtype = REEL_F32, .threads = 2, .seed = 1},
    {.arch = "trm", .dtype = REEL_BF16, .threads = 2, .seed = 1},
    {.arch = "hrm", .dtype = REEL_F64, .threads = 1, .seed = 1},
};
enum { TRAININGS = sizeof trainings / sizeof trainings[0] };

/* Trains while all but the first `most` allocations fail; -1: none does. Check is linked statically and would
 * be counted too, so nothing is asserted meanwhile. Returns how many were taken, and in *left how many are.
 */
static long long train_with(tiny_training *t, long long most, long long *left) {
    atomic_store(&taken, 0);
    atomic_store(&live, 0);
    taken_at_most = most;
    tiny_train(t);
    taken_at_most = -1;
    const long long all = atomic_load(&taken);
    tiny_free(t); /* the results are the test's */
    *left = atomic_load(&live);
    return all;
}

START_TEST(test_nothing_is_left_after_a_training) {
    tiny_training t = trainings[_i];
    long long left;
    const long long all = train_with(&t, -1, &left);
    ck_assert_msg(t.error.status == REEL_OK, "%s", t.error.message);
    ck_assert_int_gt(all, 100); /* they are counted */
    ck_assert_int_eq(left, 0);
}
END_TEST

/* Every allocation in turn fails, and all after it. */
START_TEST(test_nothing_is_left_where_memory_ends) {
    tiny_training t = trainings[_i];
    long long left;
    const long long all = train_with(&t, -1, &left);
    for (long long n = 0; n < all; n++) {
        t = trainings[_i];
        train_with(&t, n, &left);
        ck_assert_msg(t.error.status == REEL_ERROR_MEMORY, "without allocation %lld of %lld: '%s'", n + 1,
                      all, t.error.message);
        ck_assert_msg(left == 0, "without allocation %lld of %lld, %lld are left", n + 1, all, left);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("context free");
    TCase *tcase = tcase_create("context free");
    tcase_add_loop_test(tcase, test_nothing_is_left_after_a_training, 0, TRAININGS);
    tcase_add_loop_test(tcase, test_nothing_is_left_where_memory_ends, 0, TRAININGS);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
