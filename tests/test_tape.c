/* The tape: what lives how long, and where gradients go. */
#include "tape.h"

#include "on_tape.h"

#include <string.h>

/* ---- helpers ------------------------------------------------------------------------------------------- */

static int64_t live(void) {
    return reel_memory_of(ctx).live_bytes;
}

static void expect_message(reel_status status, const char *words) {
    ck_assert_int_eq(reel_context_status(ctx), status);
    ck_assert_msg(strstr(reel_context_message(ctx), words) != NULL, "\"%s\" says not \"%s\"",
                  reel_context_message(ctx), words);
}

/* ---- scopes -------------------------------------------------------------------------------------------- */

START_TEST(test_scope_end_frees_what_is_not_kept) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(1000), 1);
    const int64_t before = live();
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *a = reel_exp(ctx, x), *b = reel_exp(ctx, a), *c = reel_exp(ctx, b);
    const int64_t one = (live() - before) / 3;
    ck_assert_int_ge(one, 4000);
    reel_scope_end(ctx, scope, &b, 1);
    ck_assert_int_eq(live(), before + one);
    ck_assert_ptr_null(a->data);
    ck_assert_ptr_nonnull(b->data);
    ck_assert_ptr_null(c->data);
    reel_tape_reset(ctx);
    ck_assert_int_eq(live(), before);
}
END_TEST

START_TEST(test_scope_roll_lets_die_what_the_last_roll_kept) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(1000), 0);
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_tensor *first = reel_add_scalar(ctx, x, 1), *second;
    reel_scope_roll(ctx, scope, &first, 1);
    ck_assert_ptr_nonnull(first->data);
    second = reel_add_scalar(ctx, first, 1);
    reel_scope_roll(ctx, scope, &second, 1);
    ck_assert_ptr_null(first->data);
    ck_assert_float_eq(((const float *)second->data)[999], 2);
    reel_scope_end(ctx, scope, NULL, 0);
    ck_assert_ptr_null(second->data);
}
END_TEST

START_TEST(test_scope_end_passes_the_kept_to_the_outer_scope) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(10), 0);
    const reel_scope outer = reel_scope_begin(ctx, 0);
    const reel_scope inner = reel_scope_begin(ctx, 0);
    reel_tensor *y = reel_exp(ctx, x);
    reel_scope_end(ctx, inner, &y, 1);
    ck_assert_ptr_nonnull(y->data);
    reel_scope_end(ctx, outer, NULL, 0);
    ck_assert_ptr_null(y->data);
}
END_TEST

START_TEST(test_scope_leaves_tensors_from_outside_alone) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(10), 0), *outside = reel_exp(ctx, x);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *const keep[] = {x, outside};
    reel_scope_roll(ctx, scope, keep, 2);
    reel_scope_end(ctx, scope, keep, 2);
    ck_assert_ptr_nonnull(outside->data);
    ck_assert_ptr_nonnull(x->data);
}
END_TEST

START_TEST(test_scope_keeps_the_memory_under_a_kept_view) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(4, 5), 0);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *y = reel_exp(ctx, x), *view = reel_transpose(ctx, y, 0, 1);
    reel_scope_end(ctx, scope, &view, 1);
    ck_assert_ptr_null(y->data);
    double values[20];
    reel_tensor *copy = filled(REEL_F64, REEL_SHAPE(5, 4), 0);
    ck_assert_int_eq(reel_copy(ctx, copy, view), REEL_OK);
    ck_assert_int_eq(reel_read(ctx, copy, values, sizeof values), REEL_OK);
    for (int i = 0; i < 20; i++)
        ck_assert_double_eq(values[i], 1);
}
END_TEST

/* The memory of `passes` passes of a network of three layers in a no-gradient loop. */
static int64_t peak_of_passes(int passes) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(1000), 0.5), *z = x;
    reel_memory_reset_peak(ctx);
    const int64_t before = live();
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    for (int i = 0; i < passes; i++) {
        z = reel_tanh(ctx, reel_add(ctx, reel_sigmoid(ctx, z), x));
        reel_scope_roll(ctx, scope, &z, 1);
    }
    reel_scope_end(ctx, scope, &z, 1);
    const int64_t peak = reel_memory_of(ctx).peak_bytes - before;
    reel_tape_reset(ctx);
    reel_tensor_free(ctx, x);
    return peak;
}

START_TEST(test_tape_frees_no_grad_temporaries) {
    const int64_t two = peak_of_passes(2);
    ck_assert_int_eq(peak_of_passes(14), two);
    ck_assert_int_le(two, 4 * (4096 + 512)); /* the pass before's result and three of this one */
}
END_TEST

START_TEST(test_scopes_end_innermost_first) {
    const reel_scope outer = reel_scope_begin(ctx, 0);
    const reel_scope inner = reel_scope_begin(ctx, 0);
    reel_scope_roll(ctx, outer, NULL, 0);
    expect_message(REEL_ERROR_STATE, "scope_roll: ");
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_ERROR_STATE);
    reel_scope_end(ctx, inner, NULL, 0);
    expect_message(REEL_ERROR_STATE, "scope_end: ");
}
END_TEST

START_TEST(test_reset_ends_open_scopes) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(3), 1);
    const int64_t before = live();
    reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_exp(ctx, x);
    reel_scope_begin(ctx, 0);
    reel_exp(ctx, x);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    ck_assert_int_eq(live(), before);
    ck_assert_int_eq(reel_needs_grad(reel_exp(ctx, x)), 1);
}
END_TEST

/* ---- no gradient --------------------------------------------------------------------------------------- */

START_TEST(test_no_grad_records_nothing) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(3), 1);
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const reel_scope inside = reel_scope_begin(ctx, 0); /* a scope in a no-gradient one is one too */
    reel_tensor *y = reel_exp(ctx, x);
    ck_assert_int_eq(reel_needs_grad(y), 0);
    ck_assert_int_eq(reel_tape_of(ctx).nodes, 0);
    reel_scope_end(ctx, inside, &y, 1);
    reel_scope_end(ctx, scope, &y, 1);
    reel_tensor *z = reel_mul(ctx, x, y); /* outside again, y is a constant */
    ck_assert_int_eq(reel_tape_of(ctx).nodes, 1);
    backward(sum(z));
    expect_gradient(x, exp(1));
}
END_TEST

START_TEST(test_constants_record_nothing) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(3), 1);
    reel_exp(ctx, reel_add(ctx, x, x));
    ck_assert_int_eq(reel_tape_of(ctx).nodes, 0);
    ck_assert_int_eq(reel_tape_of(ctx).tensors, 2);
}
END_TEST

START_TEST(test_a_constant_lives_and_dies_on_the_tape) {
    const int64_t before = live();
    reel_tensor *c = reel_constant(ctx, REEL_F32, REEL_SHAPE(1000), 2.5);
    ck_assert_double_eq(reel_item(ctx, sum(c)), 2500);
    ck_assert(!reel_needs_grad(c));
    ck_assert_double_eq(reel_item(ctx, reel_constant(ctx, REEL_I32, 0, NULL, -3)), -3);
    ck_assert_int_eq(reel_tape_of(ctx).nodes, 0);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    ck_assert_int_eq(live(), before);
    ck_assert(reel_is_void(reel_constant(ctx, REEL_F32, REEL_SHAPE(INT64_MAX, 2), 0)));
    expect_message(REEL_ERROR_SHAPE, "too large");
}
END_TEST

START_TEST(test_detach_stops_the_gradient) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 2);
    backward(sum(reel_mul(ctx, x, reel_detach(ctx, x))));
    expect_gradient(x, 2);
}
END_TEST

/* ---- errors -------------------------------------------------------------------------------------------- */

START_TEST(test_a_freed_tensor_is_refused_by_name) {
    reel_tensor *x = filled(REEL_F32, REEL_SHAPE(2, 3), 0);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *y = reel_exp(ctx, x);
    reel_scope_end(ctx, scope, NULL, 0);
    ck_assert(reel_is_void(reel_tanh(ctx, y)));
    expect_message(REEL_ERROR_STATE, "tanh: ");
    expect_message(REEL_ERROR_STATE, "[2,3]");
    reel_tape_reset(ctx);
}
END_TEST

START_TEST(test_reading_a_freed_tensor_is_refused) {
    reel_tensor *x = filled(REEL_F32, 0, NULL, 0);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *y = reel_exp(ctx, x);
    reel_scope_end(ctx, scope, NULL, 0);
    ck_assert_double_nan(reel_item(ctx, y));
    expect_message(REEL_ERROR_STATE, "item: ");
}
END_TEST

START_TEST(test_the_first_error_stays_until_reset) {
    reel_tensor *a = leaf(REEL_F32, REEL_SHAPE(8, 64), 1), *b = leaf(REEL_F32, REEL_SHAPE(32, 16), 1);
    reel_tensor *c = reel_matmul(ctx, a, b);
    ck_assert(reel_is_void(c));
    ck_assert_int_eq(c->rank, 0); /* readable */
    reel_tensor *loss = sum(reel_add(ctx, c, a));
    ck_assert(reel_is_void(loss));
    ck_assert_int_eq(reel_backward(ctx, loss), REEL_ERROR_SHAPE);
    ck_assert_int_eq(reel_fill(ctx, a, 3), REEL_ERROR_SHAPE);
    expect_message(REEL_ERROR_SHAPE, "matmul: a [8,64] x b [32,16]");
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_ERROR_SHAPE);
    ck_assert_int_eq(reel_context_status(ctx), REEL_OK);
    ck_assert_str_eq(reel_context_message(ctx), "");
    ck_assert(!reel_is_void(reel_exp(ctx, a)));
    expect_gradient(a, 0);
}
END_TEST

START_TEST(test_a_step_ends_with_its_error) {
    reel_error error = {0};
    reel_exp(ctx, filled(REEL_F32, REEL_SHAPE(3), 1));
    ck_assert_int_eq(reel_end_step(ctx, &error), REEL_OK);
    ck_assert_int_eq(error.status, REEL_OK);
    reel_exp(ctx, filled(REEL_I32, REEL_SHAPE(3), 1));
    ck_assert_int_eq(reel_end_step(ctx, &error), REEL_ERROR_DTYPE);
    ck_assert_int_eq(error.status, REEL_ERROR_DTYPE);
    ck_assert_ptr_nonnull(strstr(error.message, "exp"));
    ck_assert_int_eq(reel_context_status(ctx), REEL_OK);
    ck_assert_int_eq(reel_tape_of(ctx).tensors, 0);
    ck_assert_int_eq(reel_end_step(ctx, NULL), REEL_OK);
}
END_TEST

START_TEST(test_backward_refuses_what_is_no_loss) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(3), 1);
    ck_assert_int_eq(reel_backward(ctx, reel_exp(ctx, x)), REEL_ERROR_ARGUMENT);
    expect_message(REEL_ERROR_ARGUMENT, "backward: [3]");
    reel_tape_reset(ctx);
    reel_tensor *constant = filled(REEL_F32, REEL_SHAPE(3), 1);
    ck_assert_int_eq(reel_backward(ctx, sum(constant)), REEL_ERROR_ARGUMENT);
    reel_tape_reset(ctx);
    reel_tensor *loss = sum(x);
    backward(loss);
    ck_assert_int_eq(reel_backward(ctx, loss), REEL_ERROR_ARGUMENT); /* consumed */
}
END_TEST

START_TEST(test_require_grad_refuses_what_can_have_none) {
    reel_tensor *whole = filled(REEL_I32, REEL_SHAPE(3), 1), *x = leaf(REEL_F32, REEL_SHAPE(3), 1);
    ck_assert_int_eq(reel_require_grad(ctx, whole), REEL_ERROR_ARGUMENT);
    reel_tape_reset(ctx);
    ck_assert_int_eq(reel_require_grad(ctx, x), REEL_ERROR_ARGUMENT); /* twice */
    reel_tape_reset(ctx);
    ck_assert_int_eq(reel_require_grad(ctx, reel_exp(ctx, x)), REEL_ERROR_ARGUMENT);
    reel_tape_reset(ctx);
    reel_tensor *y = filled(REEL_F32, REEL_SHAPE(3), 1), *other = filled(REEL_F32, REEL_SHAPE(4), 1);
    ck_assert_int_eq(reel_require_grad_in(ctx, y, other), REEL_ERROR_SHAPE);
}
END_TEST

/* ---- gradients ----------------------------------------------------------------------------------------- */

START_TEST(test_gradients_of_leaves_are_wide_and_start_as_zeros) {
    static const reel_dtype dtypes[][2] = {{REEL_F64, REEL_F64}, {REEL_F32, REEL_F32}, {REEL_BF16, REEL_F32}};
    for (int i = 0; i < 3; i++) {
        reel_tensor *x = leaf(dtypes[i][0], REEL_SHAPE(2, 3), 1);
        ck_assert_int_eq(reel_grad(ctx, x)->dtype, dtypes[i][1]);
        expect_gradient(x, 0);
        backward(sum(reel_scale(ctx, x, 3)));
        expect_gradient(x, 3);
        reel_tape_reset(ctx);
        expect_gradient(x, 3); /* survives */
    }
    ck_assert_ptr_null(reel_grad(ctx, filled(REEL_F32, 0, NULL, 0)));
}
END_TEST

START_TEST(test_gradients_in_an_arena_lie_where_they_were_put) {
    reel_tensor *values = filled(REEL_F32, REEL_SHAPE(10), 1),
                *gradients = filled(REEL_F32, REEL_SHAPE(10), 0);
    reel_tensor *a = reel_tensor_new_view(ctx, values, 0, REEL_SHAPE(4));
    reel_tensor *b = reel_tensor_new_view(ctx, values, 4, REEL_SHAPE(2, 3));
    reel_require_grad_in(ctx, a, reel_tensor_new_view(ctx, gradients, 0, REEL_SHAPE(4)));
    reel_require_grad_in(ctx, b, reel_tensor_new_view(ctx, gradients, 4, REEL_SHAPE(2, 3)));
    backward(reel_add(ctx, sum(reel_scale(ctx, a, 2)), sum(reel_scale(ctx, b, 3))));
    float got[10];
    reel_read(ctx, gradients, got, sizeof got);
    for (int i = 0; i < 10; i++)
        ck_assert_float_eq(got[i], i < 4 ? 2 : 3);
}
END_TEST

START_TEST(test_gradients_of_two_backwards_add_up) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 1);
    backward(sum(reel_scale(ctx, x, 2)));
    reel_tape_reset(ctx);
    backward(sum(reel_scale(ctx, x, 5)));
    expect_gradient(x, 7);
}
END_TEST

START_TEST(test_zero_grad_overwrites_even_what_is_no_number) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 1);
    backward(sum(reel_scale(ctx, x, NAN)));
    ck_assert_double_nan(((const double *)reel_grad(ctx, x)->data)[0]);
    reel_tape_reset(ctx);
    reel_zero_grad(x);
    backward(sum(reel_scale(ctx, x, 5)));
    expect_gradient(x, 5);
    reel_zero_grad(x);
    expect_gradient(x, 0);
}
END_TEST

START_TEST(test_keep_tape_lets_backward_run_again) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 2);
    reel_tensor *y = reel_mul(ctx, x, x), *loss = sum(reel_mul(ctx, y, y)); /* x^4 */
    ck_assert_int_eq(reel_backward_flags(ctx, loss, REEL_KEEP_TAPE), REEL_OK);
    expect_gradient(x, 32);
    ck_assert_int_eq(reel_backward_flags(ctx, loss, REEL_KEEP_TAPE), REEL_OK);
    expect_gradient(x, 64);
    backward(loss);
    expect_gradient(x, 96);
    ck_assert_int_eq(reel_tape_of(ctx).nodes, 0);
}
END_TEST

/* add hands one gradient to both inputs without a copy; what is then added to one must not reach the other.
 */
static void expect_no_leak(bool first_is_reused) {
    reel_tensor *a = leaf(REEL_F64, REEL_SHAPE(3), 1), *b = leaf(REEL_F64, REEL_SHAPE(3), 1);
    reel_tensor *u = reel_scale(ctx, a, 1), *v = reel_scale(ctx, b, 1);
    reel_tensor *again = reel_scale(ctx, first_is_reused ? u : v, 3); /* its rule runs after add's */
    reel_tensor *both = reel_add(ctx, u, v);
    backward(sum(reel_add(ctx, both, reel_scale(ctx, again, 2))));
    expect_gradient(a, first_is_reused ? 7 : 1);
    expect_gradient(b, first_is_reused ? 1 : 7);
    reel_tape_reset(ctx);
}

START_TEST(test_a_shared_gradient_does_not_leak_to_siblings) {
    expect_no_leak(true);
    expect_no_leak(false);
}
END_TEST

START_TEST(test_a_tensor_added_to_itself_gets_both_gradients) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 2), *t = reel_scale(ctx, x, 1);
    reel_tensor *y = reel_add(ctx, t, t);
    reel_tensor *loss = sum(reel_add(ctx, reel_mul(ctx, y, y), y)); /* 4 x^2 + 2 x */
    ck_assert_int_eq(reel_backward_flags(ctx, loss, REEL_KEEP_TAPE), REEL_OK);
    expect_gradient(x, 8 * 2 + 2);
    backward(loss);
    expect_gradient(x, 2 * (8 * 2 + 2));
}
END_TEST

START_TEST(test_an_expanded_gradient_can_be_added_to) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 2), *t = reel_scale(ctx, x, 1);
    reel_tensor *later = sum(reel_mul(ctx, t, t)); /* its rule runs after the sum's */
    backward(reel_add(ctx, sum(t), later));
    expect_gradient(x, 1 + 2 * 2);
}
END_TEST

START_TEST(test_what_the_loss_does_not_need_gets_no_gradient) {
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(3), 2), *unused = leaf(REEL_F64, REEL_SHAPE(3), 2);
    reel_exp(ctx, unused);
    backward(sum(x));
    expect_gradient(unused, 0);
    expect_gradient(x, 1);
}
END_TEST

/* ---- mixed dtypes -------------------------------------------------------------------------------------- */

START_TEST(test_the_gradient_of_a_cast_leaf_is_the_leafs_own) {
    /* 257 products of 1: bf16 has no 257, f32 does */
    reel_tensor *w = leaf(REEL_F32, REEL_SHAPE(2, 3), 1), *x = filled(REEL_BF16, REEL_SHAPE(257, 3), 1);
    reel_tensor *copy = reel_cast(ctx, w, REEL_BF16);
    ck_assert_int_eq(copy->dtype, REEL_BF16);
    ck_assert_int_eq(reel_needs_grad(copy), 1);
    reel_tensor *y = reel_linear(ctx, x, copy, NULL);
    backward(sum(reel_cast(ctx, y, REEL_F32)));
    ck_assert_int_eq(reel_grad(ctx, w)->dtype, REEL_F32);
    expect_gradient(w, 257);
}
END_TEST

START_TEST(test_a_leaf_and_its_cast_share_one_gradient) {
    reel_tensor *w = leaf(REEL_F32, REEL_SHAPE(4), 2);
    reel_tensor *half = reel_scale(ctx, reel_cast(ctx, w, REEL_BF16), 3);
    reel_tensor *more = reel_exp(ctx, reel_scale(ctx, reel_cast(ctx, w, REEL_BF16), 0)); /* gradient 0 */
    backward(
        reel_add(ctx, sum(reel_mul(ctx, w, w)), sum(reel_cast(ctx, reel_add(ctx, half, more), REEL_F32))));
    expect_gradient(w, 2 * 2 + 3);
}
END_TEST

START_TEST(test_a_cast_leaf_follows_its_values) {
    reel_tensor *w = leaf(REEL_F32, REEL_SHAPE(4), 2);
    ck_assert_double_eq(reel_item(ctx, sum(reel_cast(ctx, w, REEL_F64))), 8);
    reel_tape_reset(ctx);
    reel_fill(ctx, w, 3);
    ck_assert_double_eq(reel_item(ctx, sum(reel_cast(ctx, w, REEL_F64))), 12);
    ((float *)w->data)[0] = 5;
    reel_touch(w);
    ck_assert_double_eq(reel_item(ctx, sum(reel_cast(ctx, w, REEL_F64))), 14);
}
END_TEST

START_TEST(test_a_cast_on_the_tape_outlives_a_change_of_its_leaf) {
    reel_tensor *w = leaf(REEL_F32, REEL_SHAPE(4), 2);
    reel_tensor *before = reel_cast(ctx, w, REEL_F64);
    reel_fill(ctx, w, 3);
    reel_tensor *after = reel_cast(ctx, w, REEL_F64);
    ck_assert_double_eq(reel_item(ctx, sum(before)), 8);
    ck_assert_double_eq(reel_item(ctx, sum(after)), 12);
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------------------- */

enum { CHAIN = 50, WIDTH = 1000 };

/* exp saves its result: the scope lets go of the rest. */
static reel_tensor *chain_in_a_scope(reel_tensor *x) {
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *y = x;
    for (int i = 0; i < CHAIN; i++)
        y = reel_exp(ctx, reel_scale(ctx, y, 0.1));
    reel_tensor *loss = sum(y);
    reel_scope_end(ctx, scope, &loss, 1);
    return loss;
}

START_TEST(test_scope_keeps_only_what_rules_asked_for) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(WIDTH), 0);
    const int64_t before = live();
    chain_in_a_scope(x);
    const int64_t saved = live() - before, one = 4096;
    ck_assert_int_ge(saved, CHAIN * WIDTH * (int64_t)sizeof(float));
    ck_assert_int_le(saved, (CHAIN + 2) * (one + 512));
    ck_assert_int_eq(reel_tape_of(ctx).live_bytes, saved);
}
END_TEST

START_TEST(test_backward_frees_activations_as_it_goes) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(WIDTH), 0);
    const int64_t before = live();
    reel_tensor *loss = chain_in_a_scope(x);
    const int64_t saved = live() - before, one = saved / CHAIN;
    reel_memory_reset_peak(ctx);
    backward(loss);
    ck_assert_int_le(reel_memory_of(ctx).peak_bytes - before, saved + 4 * one);
    ck_assert_int_le(live() - before, one);
    reel_tape_reset(ctx);
    ck_assert_int_eq(live(), before);
}
END_TEST

START_TEST(test_keep_tape_keeps_activations) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(WIDTH), 0);
    reel_tensor *loss = chain_in_a_scope(x);
    const int64_t before = live();
    ck_assert_int_eq(reel_backward_flags(ctx, loss, REEL_KEEP_TAPE), REEL_OK);
    ck_assert_int_le(before - live(), 0);
    ck_assert_int_le(live() - before, 4096 + 512); /* the loss's own gradient at most */
}
END_TEST

/* A step of everything: scopes, no-gradient passes, views, mixed dtypes, backward. */
static void train_step(reel_tensor *w, reel_tensor *x) {
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_tensor *z = x;
    for (int i = 0; i < 3; i++) {
        z = reel_tanh(ctx, reel_matmul(ctx, z, w));
        reel_scope_roll(ctx, scope, &z, 1);
    }
    reel_scope_end(ctx, scope, &z, 1);
    reel_tensor *half = reel_cast(ctx, w, REEL_BF16);
    reel_tensor *y = reel_linear(ctx, reel_cast(ctx, z, REEL_BF16), half, NULL);
    y = reel_softmax(ctx, reel_transpose(ctx, y, 0, 1), -1);
    backward(reel_mean(ctx, reel_cast(ctx, y, REEL_F32), NULL, 0, 0));
    reel_touch(w);
    reel_zero_grad(w);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
}

START_TEST(test_a_steady_state_asks_the_system_for_nothing) {
    reel_tensor *w = leaf(REEL_F32, REEL_SHAPE(40, 40), 0.1), *x = filled(REEL_F32, REEL_SHAPE(30, 40), 0.5);
    for (int i = 0; i < 3; i++)
        train_step(w, x);
    const reel_memory before = reel_memory_of(ctx);
    for (int i = 0; i < 5; i++)
        train_step(w, x);
    const reel_memory after = reel_memory_of(ctx);
    ck_assert_int_eq(after.system_allocations, before.system_allocations);
    ck_assert_int_eq(after.reserved_bytes, before.reserved_bytes);
    ck_assert_int_eq(after.live_bytes, before.live_bytes);
}
END_TEST

START_TEST(test_tape_info_counts) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(WIDTH), 0);
    reel_tensor *y = reel_exp(ctx, x);
    reel_transpose(ctx, reel_reshape(ctx, y, REEL_SHAPE(10, 100)), 0,
                   1); /* views hold nothing of their own */
    const reel_tape_info info = reel_tape_of(ctx);
    ck_assert_int_eq(info.tensors, 3);
    ck_assert_int_eq(info.nodes, 3);
    ck_assert_int_ge(info.live_bytes, WIDTH * (int64_t)sizeof(float));
    ck_assert_int_lt(info.live_bytes, 2 * WIDTH * (int64_t)sizeof(float));
    ck_assert_int_eq(info.peak_bytes, info.live_bytes);
    reel_tape_reset(ctx);
    ck_assert_int_eq(reel_tape_of(ctx).tensors, 0);
    ck_assert_int_eq(reel_tape_of(ctx).nodes, 0);
    ck_assert_int_eq(reel_tape_of(ctx).live_bytes, 0);
    ck_assert_int_eq(reel_tape_of(ctx).peak_bytes, 0);
}
END_TEST

static const reel_profile_row *profile_row(const char *op, int of_gradient) {
    const reel_profile_row *rows;
    const int count = reel_profile_rows(ctx, &rows);
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].op, op) == 0 && rows[i].backward == of_gradient)
            return &rows[i];
    return NULL;
}

START_TEST(test_profile_counts_ops_and_their_gradients) {
    enum { M = 3, K = 5, N = 7 };
    const double product = 2.0 * M * K * N;
    const reel_profile_row *rows;
    reel_tensor *a = leaf(REEL_F32, REEL_SHAPE(M, K), 1), *b = leaf(REEL_F32, REEL_SHAPE(K, N), 1);
    sum(reel_matmul(ctx, a, b));
    ck_assert_int_eq(reel_profile_rows(ctx, &rows), 0);

    ck_assert_int_eq(reel_profile_start(ctx), REEL_OK);
    backward(sum(reel_reshape(ctx, reel_matmul(ctx, a, b), REEL_SHAPE(N, M))));
    reel_profile_mark(ctx, "else");
    reel_profile_stop(ctx);
    reel_matmul(ctx, a, b);
    reel_profile_mark(ctx, "too late");

    const reel_profile_row *forward = profile_row("matmul", 0), *gradient = profile_row("matmul", 1);
    ck_assert(forward && gradient && profile_row("else", 0) && !profile_row("too late", 0));
    ck_assert_int_eq(forward->calls, 1);
    ck_assert(forward->seconds > 0 && forward->flop == product);
    ck_assert(forward->bytes == 4 * (M * K + K * N + M * N));
    ck_assert(gradient->calls == 1 && gradient->flop == 2 * product);
    ck_assert(profile_row("reshape", 0)->bytes == 0); /* a view */
}
END_TEST

START_TEST(test_freeing_a_context_frees_all_it_owns) {
    leaf(REEL_F32, REEL_SHAPE(10), 1);
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(10), 1);
    reel_exp(ctx, reel_cast(ctx, x, REEL_BF16));
    reel_scope_begin(ctx, 0);
    reel_exp(ctx, x); /* the sanitizer looks for what is left */
}
END_TEST

/* ---- REEL_CHECK ---------------------------------------------------------------------------------------- */

START_TEST(test_reel_check_names_the_first_op_that_is_not_finite) {
    reel_context_free(ctx);
    setenv("REEL_CHECK", "1", 1);
    setup();
    unsetenv("REEL_CHECK");
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(2, 3), 100);
    reel_tensor *y = reel_scale(ctx, x, 1), *z = reel_exp(ctx, y);
    reel_log(ctx, reel_neg(ctx, z));
    expect_message(REEL_ERROR_NOT_FINITE, "exp: ");
    expect_message(REEL_ERROR_NOT_FINITE, "[2,3]");
    expect_message(REEL_ERROR_NOT_FINITE, "inf");
    ck_assert(reel_is_void(z));
}
END_TEST

START_TEST(test_without_reel_check_infinities_pass) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(2), 100);
    ck_assert(!reel_is_void(reel_log(ctx, reel_neg(ctx, reel_exp(ctx, x)))));
    ck_assert_int_eq(reel_context_status(ctx), REEL_OK);
}
END_TEST

/* ---- main ---------------------------------------------------------------------------------------------- */

int main(void) {
    const TTest *const tests[] = {
        test_scope_end_frees_what_is_not_kept,
        test_scope_roll_lets_die_what_the_last_roll_kept,
        test_scope_end_passes_the_kept_to_the_outer_scope,
        test_scope_leaves_tensors_from_outside_alone,
        test_scope_keeps_the_memory_under_a_kept_view,
        test_tape_frees_no_grad_temporaries,
        test_scopes_end_innermost_first,
        test_reset_ends_open_scopes,
        test_no_grad_records_nothing,
        test_constants_record_nothing,
        test_a_constant_lives_and_dies_on_the_tape,
        test_detach_stops_the_gradient,
        test_a_freed_tensor_is_refused_by_name,
        test_reading_a_freed_tensor_is_refused,
        test_the_first_error_stays_until_reset,
        test_a_step_ends_with_its_error,
        test_backward_refuses_what_is_no_loss,
        test_require_grad_refuses_what_can_have_none,
        test_gradients_of_leaves_are_wide_and_start_as_zeros,
        test_gradients_in_an_arena_lie_where_they_were_put,
        test_gradients_of_two_backwards_add_up,
        test_zero_grad_overwrites_even_what_is_no_number,
        test_keep_tape_lets_backward_run_again,
        test_a_shared_gradient_does_not_leak_to_siblings,
        test_a_tensor_added_to_itself_gets_both_gradients,
        test_an_expanded_gradient_can_be_added_to,
        test_what_the_loss_does_not_need_gets_no_gradient,
        test_the_gradient_of_a_cast_leaf_is_the_leafs_own,
        test_a_leaf_and_its_cast_share_one_gradient,
        test_a_cast_leaf_follows_its_values,
        test_a_cast_on_the_tape_outlives_a_change_of_its_leaf,
        test_scope_keeps_only_what_rules_asked_for,
        test_backward_frees_activations_as_it_goes,
        test_keep_tape_keeps_activations,
        test_a_steady_state_asks_the_system_for_nothing,
        test_tape_info_counts,
        test_profile_counts_ops_and_their_gradients,
        test_freeing_a_context_frees_all_it_owns,
        test_reel_check_names_the_first_op_that_is_not_finite,
        test_without_reel_check_infinities_pass,
    };
    return run_tests("tape", tests, sizeof tests / sizeof tests[0]);
}
