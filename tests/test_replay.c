/* A step that a GPU, or what simulates one, replays does what it does when the host queues it, whatever
 * happens between two replays. */
#include "context.h"
#include "simulator.h"
#include "tiny_training.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SKIPPED = 77, EAGER_CALLS = 2, N = 5 };

static reel_context *ctx;

static reel_context *new_context(reel_device device) {
    const reel_context_options options = {.device = device, .threads = 1, .seed = 5};
    reel_context *made;
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&made, &options, &error) == REEL_OK, "%s", error.message);
    return made;
}

static void setup(void) {
    ctx = new_context(REEL_CUDA);
}

static void teardown(void) {
    reel_context_free(ctx);
}

/* ---- training ------------------------------------------------------------------------------------------ */

/* Few steps, since the simulator takes seconds for each; by attention in one dtype, since it takes most
 * there. */
static const tiny_training trainings[] = {
    {.arch = "trm", .mlp_t = true, .dtype = REEL_F64, .steps = EAGER_CALLS + 4},
    {.arch = "trm", .mlp_t = true, .dtype = REEL_F32, .steps = EAGER_CALLS + 3},
    {.arch = "trm", .mlp_t = true, .dtype = REEL_BF16, .steps = EAGER_CALLS + 3},
    {.arch = "trm", .dtype = REEL_BF16, .steps = EAGER_CALLS + 2},
};
enum { TRAININGS = sizeof trainings / sizeof trainings[0] };

/* Trains by replay and from the host, expects the same bits and returns how often the host took the step. */
static int expect_same_training(const tiny_training *training) {
    tiny_training ways[2] = {*training, *training};
    for (int replay = 0; replay < 2; replay++) {
        tiny_training *const t = &ways[replay];
        t->device = REEL_CUDA;
        t->threads = 1;
        t->warms_up = true;
        t->replay = replay;
        ck_assert_msg(tiny_train(t) == REEL_OK, "%s", t->error.message);
    }
    ck_assert_int_eq(ways[0].calls, training->steps);
    ck_assert_int_gt(ways[0].count, 0);
    const size_t bytes = (size_t)ways[0].count * sizeof *ways[0].weights;
    ck_assert_mem_eq(ways[0].weights, ways[1].weights, bytes);
    ck_assert_mem_eq(ways[0].ema, ways[1].ema, bytes);
    ck_assert_mem_eq(ways[0].metrics, ways[1].metrics, sizeof ways[0].metrics);
    ck_assert_mem_eq(ways[0].loss, ways[1].loss, sizeof ways[0].loss);
    for (int i = 0; i < 2; i++)
        tiny_free(&ways[i]);
    return ways[1].calls;
}

START_TEST(test_replayed_training_has_the_bits_of_training_from_the_host) {
    ck_assert_int_eq(expect_same_training(&trainings[_i]), EAGER_CALLS + 1);
}
END_TEST

/* Thinks about a carry's puzzles with the average of the weights, in the memory of the step's tape. */
static void evaluate(tiny_run *run, reel_carry *carry) {
    ck_assert_int_eq(reel_optimizer_swap_ema(run->optimizer), REEL_OK);
    const reel_scope scope = reel_scope_begin(run->ctx, REEL_NO_GRAD);
    const reel_act_result r = reel_act_step(run->ctx, run->model, carry, REEL_ACT_EVALUATE);
    ck_assert(isfinite(reel_item(run->ctx, r.lm_loss)));
    reel_scope_end(run->ctx, scope, NULL, 0);
    ck_assert_int_eq(reel_optimizer_swap_ema(run->optimizer), REEL_OK);
    ck_assert_int_eq(reel_tape_reset(run->ctx), REEL_OK);
}

/* Evaluates with a carry that the first step makes and the last one frees. */
static void evaluate_between(tiny_run *run, int step) {
    reel_carry **const carry = run->training->arg;
    if (step == 1)
        *carry = reel_carry_new(run->ctx, run->model, TINY_ROWS);
    if (step == 1 || step == 1 + EAGER_CALLS + 1)
        evaluate(run, *carry);
    if (step == run->training->steps)
        reel_carry_free(run->ctx, *carry);
}

START_TEST(test_evaluation_and_its_average_between_replays_do_not_disturb_them) {
    reel_carry *carry;
    const tiny_training training = {.arch = "trm",
                                    .mlp_t = true,
                                    .dtype = REEL_BF16,
                                    .steps = 1 + EAGER_CALLS + 3,
                                    .between = evaluate_between,
                                    .arg = &carry};
    ck_assert_int_eq(expect_same_training(&training),
                     1 + EAGER_CALLS + 1); /* the carry comes after the first */
}
END_TEST

/* Every step leaves bf16 copies of the weights behind it, so that the next one, replayed or not, begins with
 * them; and once someone writes the weights. */
static void write_between(tiny_run *run, int step) {
    reel_parameters *const params = reel_model_parameters(run->model);
    for (int i = 0; i < reel_parameters_count(params); i++) {
        const reel__tensor *const p = reel__inside(reel_parameters_at(params, i));
        ck_assert(p->cast && p->cast->dtype == REEL_BF16 && p->cast_version == p->pub.version);
    }
    if (step != EAGER_CALLS + 2)
        return;
    reel_copy(run->ctx, reel_parameters_values(params), reel_optimizer_state_of(run->optimizer).ema);
    reel_parameters_touch(params);
}

START_TEST(test_steps_write_the_copies_that_the_next_ones_read) {
    const tiny_training training = {
        .arch = "trm", .mlp_t = true, .dtype = REEL_BF16, .steps = EAGER_CALLS + 4, .between = write_between};
    ck_assert_int_eq(expect_same_training(&training), EAGER_CALLS + 1);
}
END_TEST

/* ---- small steps --------------------------------------------------------------------------------------- */

typedef struct small {
    reel_tensor *x, *y; /* (N) f32 */
    reel_tensor *rates; /* of sign-SGD */
    double number;
    int calls;
    bool wrong;
} small;

static reel_tensor *of_value(int64_t n, double value) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(n));
    ck_assert_int_eq(reel_fill(ctx, t, value), REEL_OK);
    return t;
}

static small new_small(void) {
    reel_tensor *const rates = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(2));
    return (small){.x = of_value(N, 3), .y = of_value(N, 0), .rates = rates, .number = 2};
}

/* t's elements, which are all the same. */
static double value_of(reel_tensor *t) {
    float values[2 * N];
    const int64_t n = reel_elements(t);
    ck_assert_int_eq(reel_read(ctx, t, values, (size_t)n * sizeof *values), REEL_OK);
    for (int64_t i = 1; i < n; i++)
        ck_assert_float_eq(values[i], values[0]);
    return (double)values[0];
}

static void expect_replay(reel_step_fn *step, void *arg) {
    ck_assert_msg(reel_replay(ctx, step, arg) == REEL_OK, "%s", reel_context_message(ctx));
    ck_assert_int_eq(reel_tape_of(ctx).tensors, 0);
}

static void expect_refused(reel_step_fn *step, void *arg, reel_status status, const char *message) {
    ck_assert_int_eq(reel_replay(ctx, step, arg), status);
    ck_assert_msg(strstr(reel_context_message(ctx), message) != NULL, "%s", reel_context_message(ctx));
    ck_assert_int_eq(reel_tape_of(ctx).tensors, 0);
    ck_assert_int_eq(reel_tape_reset(ctx), status);
}

/* y = number x */
static void scale_step(reel_context *c, void *arg) {
    small *const s = arg;
    s->calls++;
    reel_copy(c, s->y, reel_scale(c, s->x, s->number));
}

START_TEST(test_a_number_of_the_host_is_that_of_the_recording) {
    small s = new_small();
    for (int call = 1; call <= EAGER_CALLS + 3; call++) {
        s.number = call;
        reel_fill(ctx, s.x, 10 * call);
        expect_replay(scale_step, &s);
        const int recorded = call < EAGER_CALLS + 1 ? call : EAGER_CALLS + 1;
        ck_assert_int_eq(s.calls, recorded);
        ck_assert_double_eq(value_of(s.y), 10.0 * call * recorded);
    }
}
END_TEST

/* y = x + 1 + 2 + ... + 15 by way of many tensors of x's size. */
static void sum_step(reel_context *c, void *arg) {
    small *const s = arg;
    s->calls++;
    reel_tensor *sum = s->x;
    for (int i = 1; i < 16; i++)
        sum = reel_add(c, sum, reel_constant(c, REEL_F32, REEL_SHAPE(N), i));
    reel_copy(c, s->y, sum);
}

START_TEST(test_owned_tensors_made_between_replays_are_left_alone) {
    enum { KEPT = 64 };
    small s = new_small();
    reel_tensor *kept[KEPT];
    for (int call = 1; call <= EAGER_CALLS + 2; call++)
        expect_replay(sum_step, &s);
    for (int i = 0; i < KEPT; i++)
        kept[i] = of_value(N, i); /* as large as what the step had on its tape */
    for (int call = 1; call <= EAGER_CALLS + 2; call++)
        expect_replay(sum_step, &s);
    ck_assert_double_eq(value_of(s.y), 3 + 15 * 16 / 2);
    ck_assert_int_eq(s.calls, 2 * (EAGER_CALLS + 1));
    for (int i = 0; i < KEPT; i++)
        ck_assert_double_eq(value_of(kept[i]), i);
}
END_TEST

START_TEST(test_new_shapes_make_a_new_recording) {
    small s = new_small();
    for (int call = 1; call <= 2 * EAGER_CALLS + 4; call++) {
        if (call == EAGER_CALLS + 3) {
            reel_tensor_free(ctx, s.x);
            reel_tensor_free(ctx, s.y);
            s.x = of_value(2 * N, 0);
            s.y = of_value(2 * N, 0);
            s.calls = 0;
        }
        reel_fill(ctx, s.x, call);
        expect_replay(scale_step, &s);
        ck_assert_double_eq(value_of(s.y), 2.0 * call);
    }
    ck_assert_int_eq(s.calls, EAGER_CALLS + 1);
}
END_TEST

START_TEST(test_steps_alike_have_recordings_of_their_own) {
    enum { MANY = 20 }; /* more than are kept */
    small s[MANY];
    for (int i = 0; i < MANY; i++) {
        s[i] = new_small();
        s[i].number = i;
    }
    for (int call = 0; call < 2 * EAGER_CALLS + 2; call++)
        for (int i = 0; i < (call < EAGER_CALLS + 2 ? 3 : MANY); i++) {
            reel_fill(ctx, s[i].x, call);
            expect_replay(scale_step, &s[i]);
            ck_assert_double_eq(value_of(s[i].y), i * call);
        }
    ck_assert_int_ge(s[0].calls, EAGER_CALLS + 1);
    ck_assert_int_lt(s[0].calls, 2 * EAGER_CALLS + 2);
}
END_TEST

/* y = x in bf16 and back; then x += x */
static void cast_step(reel_context *c, void *arg) {
    small *const s = arg;
    s->calls++;
    reel_copy(c, s->y, reel_cast(c, s->x, REEL_BF16));
    reel_copy(c, s->x, reel_add(c, s->x, s->x));
}

START_TEST(test_casts_are_of_the_values_at_hand) {
    small s = new_small();
    double x = 3;
    for (int call = 1; call <= 3 * EAGER_CALLS + 4; call++) {
        if (call % 3 == 0)
            reel_fill(ctx, s.x, x = call);
        if (call % 4 == 0) { /* the cast is then fresh when the replay begins */
            ck_assert_double_eq(value_of(reel_cast(ctx, reel_cast(ctx, s.x, REEL_BF16), REEL_F32)), x);
            reel_tape_reset(ctx);
        }
        expect_replay(cast_step, &s);
        ck_assert_double_eq(value_of(s.y), x);
        x *= 2;
        if (call % 2 == 0) { /* and stale behind it */
            ck_assert_double_eq(value_of(reel_cast(ctx, reel_cast(ctx, s.x, REEL_BF16), REEL_F32)), x);
            reel_tape_reset(ctx);
        }
    }
    ck_assert_int_eq(s.calls, 1 + EAGER_CALLS); /* the first makes the cast */
}
END_TEST

/* y = x in bf16 */
static void round_step(reel_context *c, void *arg) {
    small *const s = arg;
    s->calls++;
    reel_copy(c, s->y, reel_cast(c, s->x, REEL_BF16));
}

START_TEST(test_a_cast_that_was_fresh_at_the_recording_is_made_anew) {
    small s = new_small();
    for (int call = 1; call <= EAGER_CALLS + 5; call++) {
        if (call > EAGER_CALLS + 2)
            reel_fill(ctx, s.x, call);
        expect_replay(round_step, &s);
        ck_assert_double_eq(value_of(s.y), call > EAGER_CALLS + 2 ? call : 3);
    }
    ck_assert_int_eq(s.calls, 1 + EAGER_CALLS);
}
END_TEST

/* What the cast holds is read, so it is not made in the graph. */
START_TEST(test_a_cast_that_is_still_fresh_is_used_as_it_is) {
    small s = new_small();
    for (int call = 1; call <= EAGER_CALLS + 2; call++) {
        expect_replay(round_step, &s);
        ck_assert_double_eq(value_of(s.y), call > 1 ? call - 1 : 3);
        reel__fill_values(ctx, reel__inside(s.x)->cast, call);
    }
    ck_assert_int_eq(s.calls, 1 + EAGER_CALLS);
}
END_TEST

/* x += x */
static void double_step(reel_context *c, void *arg) {
    small *const s = arg;
    s->calls++;
    reel_copy(c, s->x, reel_add(c, s->x, s->x));
}

START_TEST(test_a_cast_between_replays_is_of_the_last) {
    small s = new_small();
    double x = 3;
    for (int call = 1; call <= 2 * EAGER_CALLS + 3; call++) {
        expect_replay(double_step, &s);
        x *= 2;
        ck_assert_double_eq(value_of(reel_cast(ctx, reel_cast(ctx, s.x, REEL_BF16), REEL_F32)), x);
        reel_tape_reset(ctx);
    }
    ck_assert_int_eq(s.calls, 1 + EAGER_CALLS + 1); /* the first cast is made behind the first call */
}
END_TEST

typedef struct trained {
    reel_parameters *params;
    reel_tensor *x; /* (N) f32 */
    reel_optimizer *optimizer;
    int calls;
} trained;

/* A step on sum(x^2). */
static void train_step(reel_context *c, void *arg) {
    trained *const t = arg;
    t->calls++;
    reel_backward(c, reel_sum(c, reel_mul(c, t->x, t->x), NULL, 0, 0));
    reel_optimizer_apply(t->optimizer);
}

/* Nobody casts the weights before they are trained by replays. */
START_TEST(test_copies_of_weights_that_come_late_follow_every_replay) {
    const reel_optimizer_options how = {.beta1 = 0.9, .beta2 = 0.95};
    trained t = {.params = reel_parameters_new(ctx, REEL_F32)};
    reel_parameter(t.params, &t.x, "x", REEL_SHAPE(N), reel_init_constant(3));
    ck_assert_int_eq(reel_parameters_build(t.params), REEL_OK);
    t.optimizer = reel_optimizer_new(t.params, &how);
    reel_tensor *const rounded = reel_tensor_new(ctx, REEL_BF16, REEL_SHAPE(N));
    for (int call = 1; call <= 2 * EAGER_CALLS + 5; call++) {
        ck_assert_int_eq(reel_optimizer_schedule(t.optimizer, 0.1), REEL_OK);
        expect_replay(train_step, &t);
        if (call < EAGER_CALLS + 2)
            continue;
        reel_copy(ctx, rounded, t.x);
        const double wanted = reel_item(ctx, reel_narrow(ctx, rounded, 0, 0, 1));
        reel_tensor *const half = reel_cast(ctx, t.x, REEL_BF16);
        ck_assert_double_eq(reel_item(ctx, reel_narrow(ctx, half, 0, N - 1, 1)), wanted);
        reel_tape_reset(ctx);
        if (call > EAGER_CALLS + 2)
            ck_assert_ptr_nonnull(reel__inside(reel__inside(t.x)->cast)->storage->whole);
    }
    ck_assert_int_eq(t.calls, 2 * (EAGER_CALLS + 1));
    reel_optimizer_free(t.optimizer);
    reel_parameters_free(t.params);
}
END_TEST

/* d sum(3 x) / dx, added to what is there */
static void gradient_step(reel_context *c, void *arg) {
    small *const s = arg;
    s->calls++;
    reel_backward(c, reel_sum(c, reel_scale(c, s->x, 3), NULL, 0, 0));
}

START_TEST(test_gradients_add_up_until_they_are_forgotten) {
    small s = new_small();
    ck_assert_int_eq(reel_require_grad(ctx, s.x), REEL_OK);
    double expected = 0;
    for (int call = 1; call <= 4 * EAGER_CALLS + 4; call++) {
        if (call == 2 * EAGER_CALLS + 2) {
            ck_assert_int_eq(s.calls, EAGER_CALLS + 1);
            reel_zero_grad(s.x);
            expected = 0;
        }
        expect_replay(gradient_step, &s);
        expected += 3;
        ck_assert_double_eq(value_of(reel_grad(ctx, s.x)), expected);
    }
    ck_assert_int_eq(s.calls, 2 * (EAGER_CALLS + 1));
}
END_TEST

START_TEST(test_a_gradient_is_there_after_every_replay) {
    small s = new_small();
    ck_assert_int_eq(reel_require_grad(ctx, s.x), REEL_OK);
    for (int call = 1; call <= EAGER_CALLS + 3; call++) {
        reel_zero_grad(s.x);
        expect_replay(gradient_step, &s);
        ck_assert_double_eq(value_of(reel_grad(ctx, s.x)), 3);
    }
    ck_assert_int_eq(s.calls, EAGER_CALLS + 1);
}
END_TEST

START_TEST(test_replays_take_no_new_memory) {
    small s = new_small();
    reel_memory before = {0};
    for (int call = 1; call <= EAGER_CALLS + 4; call++) {
        expect_replay(scale_step, &s);
        if (call == EAGER_CALLS)
            before = reel_memory_of(ctx);
        if (call > EAGER_CALLS) {
            ck_assert_int_eq(reel_memory_of(ctx).system_allocations, before.system_allocations);
            ck_assert_int_eq(reel_memory_of(ctx).live_bytes, before.live_bytes);
        }
    }
}
END_TEST

#ifdef REEL_CUDA_SIMULATED
/* The pool gives free memory back when the device has no more; that of the step's tape is free between two.
 */
START_TEST(test_memory_that_is_given_back_makes_a_new_recording) {
    enum { LARGE = 1 << 16, FULL = 1 };
    small s = new_small();
    for (int call = 1; call <= EAGER_CALLS + 2; call++)
        expect_replay(sum_step, &s);
    reel__sim_limit_memory(FULL);
    reel_constant(ctx, REEL_F32, REEL_SHAPE(LARGE), 0);
    reel__sim_limit_memory(0);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_ERROR_MEMORY);
    for (int call = 1; call <= EAGER_CALLS + 2; call++)
        expect_replay(sum_step, &s);
    ck_assert_double_eq(value_of(s.y), 3 + 15 * 16 / 2);
    ck_assert_int_eq(s.calls, 2 * (EAGER_CALLS + 1));
}
END_TEST
#endif

/* ---- what cannot be replayed --------------------------------------------------------------------------- */

static void read_step(reel_context *c, void *arg) {
    float values[N];
    scale_step(c, arg);
    reel_read(c, ((small *)arg)->y, values, sizeof values);
}
static void item_step(reel_context *c, void *arg) {
    scale_step(c, arg);
    reel_item(c, reel_sum(c, ((small *)arg)->y, NULL, 0, 0));
}
static void write_step(reel_context *c, void *arg) {
    const float values[N] = {0};
    scale_step(c, arg);
    reel_write(c, ((small *)arg)->x, values, sizeof values);
}
static void draw_step(reel_context *c, void *arg) {
    reel_fill_normal(c, ((small *)arg)->x, 0, 1, (reel_draw){.stream = REEL_STREAM_USER});
    scale_step(c, arg);
}
static void dropout_step(reel_context *c, void *arg) {
    scale_step(c, arg);
    reel_dropout(c, ((small *)arg)->x, 0.5, (reel_draw){.stream = REEL_STREAM_DROPOUT});
}
static void wait_step(reel_context *c, void *arg) {
    scale_step(c, arg);
    reel_context_synchronise(c);
}
static void profile_step(reel_context *c, void *arg) {
    scale_step(c, arg);
    reel_profile_start(c);
    reel_profile_stop(c);
}
static void rate_step(reel_context *c, void *arg) {
    scale_step(c, arg);
    reel_sign_sgd_schedule(c, ((small *)arg)->rates, 1, 0);
}
static void inner_step(reel_context *c, void *arg) {
    reel_replay(c, scale_step, arg);
    scale_step(c, arg);
}

static const struct {
    reel_step_fn *step;
    const char *message;
} needing_the_host[] = {
    {read_step, "replay: reel_read reads values"},
    {item_step, "replay: reel_item reads values"},
    {write_step, "replay: reel_write takes values of the host"},
    {draw_step, "replay: reel_fill_... draws on the host"},
    {dropout_step, "replay: reel_dropout"},
    {wait_step, "replay: reel_context_synchronise"},
    {profile_step, "replay: reel_profile_start"},
    {rate_step, "replay: reel_sign_sgd_schedule"},
};

START_TEST(test_what_needs_the_host_is_refused_by_name) {
    small s = new_small();
    reel_step_fn *const step = needing_the_host[_i].step;
    for (int call = 0; call < EAGER_CALLS; call++)
        expect_replay(step, &s);
    reel_fill(ctx, s.y, -1);
    expect_refused(step, &s, REEL_ERROR_STATE, needing_the_host[_i].message);
    ck_assert_double_eq(value_of(s.y), -1); /* nothing of it has run */
    expect_replay(step, &s);                /* eagerly again */
}
END_TEST

/* As scale_step, or wrong. */
static void shape_step(reel_context *c, void *arg) {
    small *const s = arg;
    scale_step(c, s);
    if (s->wrong)
        reel_add(c, s->x, reel_constant(c, REEL_F32, REEL_SHAPE(N + 1), 0));
}

START_TEST(test_an_error_of_the_step_comes_out_and_leaves_no_recording) {
    for (int wrong_call = 1; wrong_call <= EAGER_CALLS + 1; wrong_call++) {
        small s = new_small();
        for (int call = 1; call <= 3 * EAGER_CALLS + 3; call++) {
            s.wrong = call == wrong_call;
            s.number = call;
            if (s.wrong) {
                expect_refused(shape_step, &s, REEL_ERROR_SHAPE, "add: ");
                s.calls = 0;
            } else {
                expect_replay(shape_step, &s);
            }
        }
        ck_assert_int_eq(s.calls, EAGER_CALLS + 1);
        ck_assert_double_eq(value_of(s.y), 3.0 * (wrong_call + EAGER_CALLS + 1));
    }
}
END_TEST

/* y = number x by way of an owned tensor, or in the third call alone. */
static void making_step(reel_context *c, void *arg) {
    small *const s = arg;
    if (s->wrong && s->calls != EAGER_CALLS) {
        scale_step(c, arg);
        return;
    }
    reel_tensor *const made = reel_tensor_new(c, REEL_F32, REEL_SHAPE(N));
    s->calls++;
    reel_copy(c, made, reel_scale(c, s->x, s->number));
    reel_copy(c, s->y, made);
    reel_tensor_free(c, made);
}

START_TEST(test_a_step_that_makes_owned_tensors_is_never_recorded) {
    small s = new_small();
    for (int call = 1; call <= 2 * EAGER_CALLS + 2; call++) {
        s.number = call;
        expect_replay(making_step, &s);
        ck_assert_double_eq(value_of(s.y), 3.0 * call);
    }
    small late = new_small();
    late.wrong = true;
    for (int call = 0; call < EAGER_CALLS; call++)
        expect_replay(making_step, &late);
    expect_refused(making_step, &late, REEL_ERROR_STATE, "replay: the step makes or frees owned tensors");
}
END_TEST

START_TEST(test_a_replay_begins_with_an_empty_tape) {
    small s = new_small();
    reel_exp(ctx, s.x);
    ck_assert_int_eq(reel_replay(ctx, scale_step, &s), REEL_ERROR_STATE);
    ck_assert_str_eq(reel_context_message(ctx), "replay: the tape holds 1 tensors: reset it before");
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_ERROR_STATE);
    expect_replay(scale_step, &s);
}
END_TEST

START_TEST(test_steps_do_not_contain_one_another) {
    small s = new_small();
    expect_refused(inner_step, &s, REEL_ERROR_STATE, "replay: within a step that is replayed");
    expect_replay(scale_step, &s);
}
END_TEST

START_TEST(test_a_profile_sees_every_op) {
    small s = new_small();
    for (int call = 1; call <= EAGER_CALLS + 2; call++)
        expect_replay(scale_step, &s);
    ck_assert_int_eq(s.calls, EAGER_CALLS + 1);
    reel_profile_start(ctx);
    expect_replay(scale_step, &s);
    reel_profile_stop(ctx);
    ck_assert_int_eq(s.calls, EAGER_CALLS + 2);
    expect_replay(scale_step, &s);
    ck_assert_int_eq(s.calls, EAGER_CALLS + 2);
}
END_TEST

/* On the CPU, and on a GPU with REEL_CHECK=1, every call is as written. */
static void expect_calls_as_written(void) {
    small s = new_small();
    for (int call = 1; call <= EAGER_CALLS + 3; call++) {
        s.number = call;
        expect_replay(scale_step, &s);
        ck_assert_int_eq(s.calls, call);
        ck_assert_double_eq(value_of(s.y), 3.0 * call);
    }
}

START_TEST(test_the_cpu_and_checks_of_every_op_call_the_step) {
    reel_context *const device = ctx;
    ctx = new_context(REEL_CPU);
    expect_calls_as_written();
    reel_context_free(ctx);
    ck_assert_int_eq(setenv("REEL_CHECK", "1", 1), 0);
    ctx = new_context(REEL_CUDA);
    ck_assert_int_eq(unsetenv("REEL_CHECK"), 0);
    expect_calls_as_written();
    reel_context_free(ctx);
    ctx = device;
}
END_TEST

int main(void) {
    reel_error error = {0};
    if (reel_context_new(&ctx, &(reel_context_options){.device = REEL_CUDA}, &error) != REEL_OK) {
        fprintf(stderr, "test_replay: %s\n", error.message);
        return error.status == REEL_ERROR_DEVICE ? SKIPPED : EXIT_FAILURE;
    }
    reel_context_free(ctx);
    Suite *suite = suite_create("replay");
    TCase *training = tcase_create("training"), *steps = tcase_create("steps");
    tcase_add_checked_fixture(steps, setup, teardown);
    tcase_add_loop_test(training, test_replayed_training_has_the_bits_of_training_from_the_host, 0,
                        TRAININGS);
    tcase_add_test(training, test_evaluation_and_its_average_between_replays_do_not_disturb_them);
    tcase_add_test(training, test_steps_write_the_copies_that_the_next_ones_read);
    tcase_add_test(steps, test_a_number_of_the_host_is_that_of_the_recording);
    tcase_add_test(steps, test_owned_tensors_made_between_replays_are_left_alone);
    tcase_add_test(steps, test_new_shapes_make_a_new_recording);
    tcase_add_test(steps, test_steps_alike_have_recordings_of_their_own);
    tcase_add_test(steps, test_casts_are_of_the_values_at_hand);
    tcase_add_test(steps, test_a_cast_that_was_fresh_at_the_recording_is_made_anew);
    tcase_add_test(steps, test_a_cast_that_is_still_fresh_is_used_as_it_is);
    tcase_add_test(steps, test_copies_of_weights_that_come_late_follow_every_replay);
    tcase_add_test(steps, test_a_cast_between_replays_is_of_the_last);
    tcase_add_test(steps, test_a_gradient_is_there_after_every_replay);
    tcase_add_test(steps, test_gradients_add_up_until_they_are_forgotten);
    tcase_add_test(steps, test_replays_take_no_new_memory);
#ifdef REEL_CUDA_SIMULATED
    tcase_add_test(steps, test_memory_that_is_given_back_makes_a_new_recording);
#endif
    tcase_add_loop_test(steps, test_what_needs_the_host_is_refused_by_name, 0,
                        sizeof needing_the_host / sizeof needing_the_host[0]);
    tcase_add_test(steps, test_an_error_of_the_step_comes_out_and_leaves_no_recording);
    tcase_add_test(steps, test_a_step_that_makes_owned_tensors_is_never_recorded);
    tcase_add_test(steps, test_a_replay_begins_with_an_empty_tape);
    tcase_add_test(steps, test_steps_do_not_contain_one_another);
    tcase_add_test(steps, test_a_profile_sees_every_op);
    tcase_add_test(steps, test_the_cpu_and_checks_of_every_op_call_the_step);
    suite_add_tcase(suite, training);
    suite_add_tcase(suite, steps);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
