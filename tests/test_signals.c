/* A signal may come at any moment: its handler must run on the stack of the thread that it interrupts,
 * whatever a library of matrix products does with the stack pointer meanwhile, or its frame overwrites the
 * heap. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <reel/autograd.h>
#include <reel/ops.h>

enum { ROWS = 256, COLUMNS = 256, TERMS = 512, SIGNALS = 200, MOST_ROUNDS = 20000, PAUSE_NS = 100000 };

static uintptr_t stack_begin, stack_end;
static volatile sig_atomic_t arrived;

static void expect_stack(int signal) {
    static const char message[] = "a signal's handler runs outside the stack, over the heap\n";
    const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    (void)signal;
    if (frame < stack_begin || frame >= stack_end)
        _exit(write(STDERR_FILENO, message, sizeof message - 1) < 0 ? 2 : 1); /* nothing can be trusted now */
    arrived++;
}

static void find_stack(void) {
    pthread_attr_t attributes;
    void *begin;
    size_t bytes;
    ck_assert_int_eq(pthread_getattr_np(pthread_self(), &attributes), 0);
    ck_assert_int_eq(pthread_attr_getstack(&attributes, &begin, &bytes), 0);
    pthread_attr_destroy(&attributes);
    stack_begin = (uintptr_t)begin;
    stack_end = stack_begin + bytes;
}

typedef struct pest {
    pthread_t victim;
    atomic_bool stop;
} pest;

static void *signal_often(void *arg) {
    pest *const p = arg;
    const struct timespec pause = {0, PAUSE_NS};
    while (!atomic_load(&p->stop)) {
        pthread_kill(p->victim, SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* c = a b with either factor stored as it is or transposed: each has code of its own. */
static void multiply(reel_context *ctx, reel_dtype dtype, bool transpose_a, bool transpose_b) {
    reel_tensor *a = transpose_a ? reel_tensor_new(ctx, dtype, REEL_SHAPE(TERMS, ROWS))
                                 : reel_tensor_new(ctx, dtype, REEL_SHAPE(ROWS, TERMS));
    reel_tensor *b = transpose_b ? reel_tensor_new(ctx, dtype, REEL_SHAPE(COLUMNS, TERMS))
                                 : reel_tensor_new(ctx, dtype, REEL_SHAPE(TERMS, COLUMNS));
    const int enough = arrived + SIGNALS;
    for (int round = 0; round < MOST_ROUNDS && arrived < enough; round++) {
        reel_matmul(ctx, transpose_a ? reel_transpose(ctx, a, 0, 1) : a,
                    transpose_b ? reel_transpose(ctx, b, 0, 1) : b);
        ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
        reel_tape_reset(ctx);
    }
    ck_assert_int_ge(arrived, enough); /* they are held back, not lost */
    reel_tensor_free(ctx, a);
    reel_tensor_free(ctx, b);
}

START_TEST(test_handlers_run_on_the_stack_during_products) {
    const reel_dtype dtypes[] = {REEL_F32, REEL_BF16, REEL_F64};
    const reel_context_options options = {.device = REEL_CPU, .threads = 1};
    reel_context *ctx;
    ck_assert_int_eq(reel_context_new(&ctx, &options, NULL), REEL_OK);
    find_stack();
    const struct sigaction action = {.sa_handler = expect_stack, .sa_flags = SA_RESTART};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    static pest p; /* outlives a failure */
    p.victim = pthread_self();
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, signal_often, &p), 0);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        for (int transposed = 0; transposed < 4; transposed++)
            multiply(ctx, dtypes[i], transposed & 1, transposed >> 1);
    atomic_store(&p.stop, true);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < SIGRTMIN; signal++)
        ck_assert_int_eq(sigismember(&after, signal), sigismember(&before, signal));
    reel_context_free(ctx);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("signals");
    TCase *tcase = tcase_create("signals");
    tcase_add_test(tcase, test_handlers_run_on_the_stack_during_products);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
