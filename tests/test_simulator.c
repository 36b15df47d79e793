/* The simulator of CUDA runs right kernels alike in every order of their threads, and catches planted faults.
 */
#include "planted.h"
#include "simulator.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 3 * PLANTED_PIECE + 5 };

static reel_context *ctx;
static reel_tensor *x, *y;

static void setup(void) {
    const reel_context_options options = {.device = REEL_CUDA, .threads = 1};
    reel_error error = {0};
    float values[N];
    for (int i = 0; i < N; i++)
        values[i] = (float)(i + 1);
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
    x = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(N));
    y = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(N));
    reel_write(ctx, x, values, sizeof values);
}

static void teardown(void) {
    reel_context_free(ctx);
}

/* What reversing pieces gives. */
static float reversed(int i) {
    const int first = i / PLANTED_PIECE * PLANTED_PIECE;
    const int length = N - first < PLANTED_PIECE ? N - first : PLANTED_PIECE;
    return (float)(first + length - (i - first));
}

typedef void planted_kernel(const reel_context *, const reel_tensor *, reel_tensor *, planted_fault);

/* Whether the kernel gives the right values in this order. */
static bool is_right(planted_kernel *kernel, planted_fault fault, reel__sim_order order) {
    float values[N];
    reel__sim_set_order(order);
    reel_fill(ctx, y, -1);
    kernel(ctx, x, y, fault);
    reel_read(ctx, y, values, sizeof values);
    for (int i = 0; i < N; i++)
        if (!(values[i] == reversed(i)))
            return false;
    return true;
}

START_TEST(test_right_kernels_give_the_same_in_every_order) {
    for (reel__sim_order order = 0; order < REEL__SIM_ORDERS; order++) {
        ck_assert(is_right(planted_reverse, PLANTED_NONE, order));
        ck_assert(is_right(planted_roll, PLANTED_NONE, order));
        planted_warp_sum(ctx, x, y, PLANTED_NONE);
        float sum[N];
        reel_read(ctx, y, sum, sizeof sum);
        ck_assert_float_eq(sum[0], 32 * 33 / 2);
    }
}
END_TEST

static bool is_right_in_every_order(planted_kernel *kernel, planted_fault fault) {
    bool right = true;
    for (reel__sim_order order = 0; order < REEL__SIM_ORDERS; order++)
        right &= is_right(kernel, fault, order);
    return right;
}

START_TEST(test_a_missing_barrier_shows_in_some_order) {
    ck_assert(!is_right_in_every_order(planted_reverse, PLANTED_NO_BARRIER));
    ck_assert(!is_right_in_every_order(planted_roll, PLANTED_NO_LAST_BARRIER));
}
END_TEST

START_TEST(test_copies_arrive_when_they_are_waited_for) {
    for (reel__sim_order order = 0; order < REEL__SIM_ORDERS; order++)
        ck_assert(!is_right(planted_roll, PLANTED_NO_WAIT, order));
}
END_TEST

START_TEST(test_a_wrong_tail_shows_in_the_values) {
    ck_assert(!is_right(planted_reverse, PLANTED_SHORT_TAIL, REEL__SIM_ASCENDING));
}
END_TEST

/* ---- what ends the process ----------------------------------------------------------------------------- */

static void run_fault(planted_fault fault) {
    if (fault == PLANTED_ABSENT_LANE)
        planted_warp_sum(ctx, x, y, fault);
    else
        planted_reverse(ctx, x, y, fault);
}

/* Runs the fault in a process of its own and returns whether that ended badly, with its first words. */
static bool dies(planted_fault fault, char *words, size_t room) {
    int ends[2], status;
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        run_fault(fault);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    char rest[512];
    for (ssize_t got = 1; got > 0;) {
        const bool full = used + 1 >= room;
        got = full ? read(ends[0], rest, sizeof rest) : read(ends[0], words + used, room - 1 - used);
        used += full || got < 0 ? 0 : (size_t)got;
    }
    words[used] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static const struct {
    planted_fault fault;
    const char *words;
    bool needs_asan;
} deadly[] = {
    {PLANTED_EARLY_RETURN, "simulator: kernel reverse_kernel: part of a block ended", false},
    {PLANTED_ABSENT_LANE, "simulator: kernel warp_sum_kernel: its threads wait for one another", false},
    {PLANTED_NO_GUARD, "AddressSanitizer", true},
    {PLANTED_SMALL_SHARED, "AddressSanitizer", true},
};

START_TEST(test_a_fault_ends_the_process_and_says_so) {
    char words[1024];
#ifndef __SANITIZE_ADDRESS__
    if (deadly[_i].needs_asan)
        return;
#endif
    ck_assert(dies(deadly[_i].fault, words, sizeof words));
    ck_assert_msg(strstr(words, deadly[_i].words) != NULL, "it said: %s", words);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("simulator");
    TCase *tcase = tcase_create("planted");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_right_kernels_give_the_same_in_every_order);
    tcase_add_test(tcase, test_a_missing_barrier_shows_in_some_order);
    tcase_add_test(tcase, test_copies_arrive_when_they_are_waited_for);
    tcase_add_test(tcase, test_a_wrong_tail_shows_in_the_values);
    tcase_add_loop_test(tcase, test_a_fault_ends_the_process_and_says_so, 0,
                        sizeof deadly / sizeof deadly[0]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
