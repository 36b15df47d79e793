/* Deep supervision: who halts, who takes a new puzzle, rows that leave the batch, a batch in parts. */
#include <check.h>
#include <math.h>
#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/ops.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 6, CELLS = 8, VOCABULARY = 5, PUZZLES = 9, MAX_STEPS = 5 };

static reel_context *ctx;
static reel_model *model;

static void make_model(reel_dtype dtype, bool no_ACT_continue) {
    reel_model_config config = reel_model_config_default("trm");
    config.seq_len = CELLS;
    config.vocab_size = VOCABULARY;
    config.num_puzzle_identifiers = PUZZLES;
    config.hidden_size = config.puzzle_emb_ndim = 16;
    config.num_heads = 2;
    config.puzzle_emb_len = 1;
    config.round_width = 16;
    config.H_cycles = config.L_cycles = 2;
    config.halt_max_steps = MAX_STEPS;
    config.forward_dtype = dtype;
    config.no_ACT_continue = no_ACT_continue;
    model = reel_model_new(ctx, &config);
    ck_assert_msg(model != NULL, "%s", reel_context_message(ctx));
    reel_fill_normal(ctx, reel_model_puzzle_embeddings(model), 0, 1, (reel_draw){REEL_STREAM_USER, 1, 0});
    reel_fill_normal(ctx, reel_parameters_find(reel_model_parameters(model), "inner.q_head.weight"), 0, 1,
                     (reel_draw){REEL_STREAM_USER, 2, 0});
}

static void setup(void) {
    const reel_context_options options = {.threads = 2, .seed = 5};
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
}

static void teardown(void) {
    reel_model_free(model);
    model = NULL;
    reel_context_free(ctx);
}

/* Every row of q_head is biased so that q_halt and q_continue lie near these. */
static void bias_halting_head(double q_halt, double q_continue) {
    reel_parameters *const parameters = reel_model_parameters(model);
    const double bias[2] = {q_halt, q_continue};
    reel_fill(ctx, reel_parameters_find(parameters, "inner.q_head.weight"), 0);
    reel_write(ctx, reel_parameters_find(parameters, "inner.q_head.bias"), bias, sizeof bias);
}

/* Puzzle `number` in row `row` of what is offered. */
typedef struct offer {
    int32_t inputs[ROWS * CELLS], labels[ROWS * CELLS], identifiers[ROWS];
} offer;

static void put(offer *o, int64_t row, int32_t number) {
    for (int32_t i = 0; i < CELLS; i++) {
        o->inputs[row * CELLS + i] = (number * 7 + i * 3 + i * i * number) % VOCABULARY;
        o->labels[row * CELLS + i] = (number + i) % VOCABULARY;
    }
    o->identifiers[row] = number % PUZZLES;
}

static void offer_all(reel_carry *carry, const offer *o) {
    ck_assert_int_eq(reel_carry_offer(ctx, carry, o->inputs, o->labels, o->identifiers), REEL_OK);
}

/* What one step said about each row. */
typedef struct spoken {
    double q_halt[ROWS], lm_losses[ROWS], steps[ROWS], logits[ROWS][CELLS * VOCABULARY];
    int32_t predictions[ROWS][CELLS];
    uint8_t halted[ROWS];
} spoken;

static void read_f64(reel_tensor *from, double *to, size_t count) {
    reel_read(ctx, reel_cast(ctx, from, REEL_F64), to, count * sizeof *to);
}

static spoken think(reel_carry *carry, reel_act_mode mode) {
    spoken s;
    const size_t B = (size_t)carry->batch_size;
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const reel_act_result result = reel_act_step(ctx, model, carry, mode);
    read_f64(result.outputs.q_halt, s.q_halt, B);
    read_f64(result.lm_losses, s.lm_losses, B);
    read_f64(result.outputs.logits, s.logits[0], B * CELLS * VOCABULARY);
    read_f64(carry->steps, s.steps, B);
    reel_read(ctx, result.predictions, s.predictions, B * sizeof s.predictions[0]);
    reel_read(ctx, carry->halted, s.halted, B);
    ck_assert_msg(
        fabs(reel_item(ctx, reel_cast(ctx, result.lm_loss, REEL_F64)) -
             reel_item(ctx, reel_sum(ctx, reel_cast(ctx, result.lm_losses, REEL_F64), NULL, 0, 0))) < 1e-5,
        "lm_losses do not add up to lm_loss");
    reel_scope_end(ctx, scope, NULL, 0);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    return s;
}

static reel_carry *carry_of_all_puzzles(offer *o) {
    reel_carry *const carry = reel_carry_new(ctx, model, ROWS);
    ck_assert_ptr_nonnull(carry);
    for (int32_t row = 0; row < ROWS; row++)
        put(o, row, row);
    offer_all(carry, o);
    return carry;
}

static void expect_same_row(const spoken *a, int64_t i, const spoken *b, int64_t j, double tolerance) {
    ck_assert_double_le(fabs(a->q_halt[i] - b->q_halt[j]), tolerance);
    ck_assert_double_le(fabs(a->lm_losses[i] - b->lm_losses[j]), tolerance);
    for (int k = 0; k < CELLS * VOCABULARY; k++)
        ck_assert_double_le(fabs(a->logits[i][k] - b->logits[j][k]), tolerance);
    ck_assert_double_eq(a->steps[i], b->steps[j]);
    ck_assert_int_eq(a->halted[i], b->halted[j]);
}

/* ---- checkpoints ------------------------------------------------------------------------------------- */

static void copy_carry(reel_carry *to, const reel_carry *from) {
    reel_named_tensor a[REEL_CARRY_TENSORS_MAX], b[REEL_CARRY_TENSORS_MAX];
    const int count = reel_carry_tensors(from, a);
    ck_assert_int_le(count, REEL_CARRY_TENSORS_MAX);
    ck_assert_int_eq(reel_carry_tensors(to, b), count);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(a[i].name, a[j].name);
        ck_assert_str_eq(a[i].name, b[i].name);
        ck_assert_int_eq(reel_copy(ctx, b[i].tensor, a[i].tensor), REEL_OK);
    }
}

START_TEST(test_a_carry_goes_on_from_the_tensors_that_it_names) {
    static const reel_dtype dtypes[] = {REEL_F64, REEL_F32, REEL_BF16};
    offer o;
    make_model(dtypes[_i], true);
    reel_carry *const old = carry_of_all_puzzles(&o);
    for (int step = 0; step < 2; step++)
        think(old, REEL_ACT_TRAIN);
    for (int32_t row = 0; row < ROWS; row++)
        put(&o, row, ROWS + row);
    reel_carry *const new = carry_of_all_puzzles(&o);
    think(new, REEL_ACT_TRAIN); /* so that nothing of it is as it was made */
    copy_carry(new, old);
    for (int32_t row = 0; row < ROWS; row++)
        put(&o, row, 2 * ROWS + row);
    for (int step = 2; step <= 2 * MAX_STEPS; step++) {
        offer_all(old, &o);
        offer_all(new, &o);
        const spoken a = think(old, REEL_ACT_TRAIN), b = think(new, REEL_ACT_TRAIN);
        for (int64_t i = 0; i < ROWS; i++)
            expect_same_row(&a, i, &b, i, 0);
    }
    reel_carry_free(ctx, old);
    reel_carry_free(ctx, new);
}
END_TEST

/* ---- compaction -------------------------------------------------------------------------------------- */

START_TEST(test_rows_kept_go_on_as_if_nothing_had_happened) {
    static const reel_dtype dtypes[] = {REEL_F64, REEL_F32, REEL_BF16};
    static const double tolerances[] = {1e-12, 1e-4, 0.2}; /* sums are split otherwise in a smaller batch */
    static const int32_t first[] = {4, 1, 2, 5}, second[] = {3, 0};
    offer o;
    make_model(dtypes[_i], true);
    reel_carry *const whole = carry_of_all_puzzles(&o), *const part = carry_of_all_puzzles(&o);
    think(whole, REEL_ACT_EVALUATE);
    think(part, REEL_ACT_EVALUATE);

    ck_assert_int_eq(reel_carry_compact(ctx, part, first, 4), REEL_OK);
    ck_assert_int_eq(part->batch_size, 4);
    const spoken whole_2 = think(whole, REEL_ACT_EVALUATE), part_2 = think(part, REEL_ACT_EVALUATE);
    for (int i = 0; i < 4; i++)
        expect_same_row(&part_2, i, &whole_2, first[i], tolerances[_i]);

    ck_assert_int_eq(reel_carry_compact(ctx, part, second, 2), REEL_OK);
    for (int step = 3; step <= MAX_STEPS; step++) {
        const spoken whole_n = think(whole, REEL_ACT_EVALUATE), part_n = think(part, REEL_ACT_EVALUATE);
        for (int i = 0; i < 2; i++)
            expect_same_row(&part_n, i, &whole_n, first[second[i]], tolerances[_i]);
        ck_assert_int_eq(part_n.halted[0], step == MAX_STEPS);
    }
    reel_carry_free(ctx, part);
    reel_carry_free(ctx, whole);
}
END_TEST

START_TEST(test_a_compacted_carry_takes_puzzles_and_can_be_trained) {
    offer o;
    make_model(REEL_F64, true);
    reel_carry *const carry = carry_of_all_puzzles(&o), *const fresh = carry_of_all_puzzles(&o);
    const spoken expected = think(fresh, REEL_ACT_EVALUATE);
    think(carry, REEL_ACT_EVALUATE);
    ck_assert_int_eq(reel_carry_compact(ctx, carry, (const int32_t[]){5, 3}, 2), REEL_OK);
    put(&o, 0, 2);
    put(&o, 1, 4);
    reel_carry_restart(ctx, carry);
    offer_all(carry, &o);
    const spoken got = think(carry, REEL_ACT_EVALUATE);
    expect_same_row(&got, 0, &expected, 2, 1e-12);
    expect_same_row(&got, 1, &expected, 4, 1e-12);

    const reel_act_result result = reel_act_step(ctx, model, carry, REEL_ACT_TRAIN);
    ck_assert_msg(reel_backward(ctx, result.loss) == REEL_OK, "%s", reel_context_message(ctx));
    ck_assert_ptr_nonnull(reel_grad(ctx, carry->puzzle_rows));
    ck_assert_int_eq(reel_grad(ctx, carry->puzzle_rows)->shape[0], 2);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    reel_carry_free(ctx, fresh);
    reel_carry_free(ctx, carry);
}
END_TEST

START_TEST(test_compaction_refuses_rows_that_are_none) {
    static const struct {
        int64_t count;
        int32_t rows[ROWS + 1];
        const char *message;
    } cases[] = {
        {0, {0}, "cannot keep 0 rows of 6"},
        {ROWS + 1, {0, 1, 2, 3, 4, 5, 0}, "cannot keep 7 rows of 6"},
        {2, {0, ROWS}, "no row 6 among 6"},
        {1, {-1}, "no row -1 among 6"},
    };
    offer o;
    make_model(REEL_F32, true);
    reel_carry *const carry = carry_of_all_puzzles(&o);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(reel_carry_compact(ctx, carry, cases[i].rows, cases[i].count), REEL_ERROR_ARGUMENT);
        ck_assert_msg(strstr(reel_context_message(ctx), cases[i].message) != NULL, "%s",
                      reel_context_message(ctx));
        ck_assert_int_eq(reel_tape_reset(ctx), REEL_ERROR_ARGUMENT);
    }
    ck_assert_int_eq(carry->batch_size, ROWS);
    think(carry, REEL_ACT_EVALUATE);
    reel_carry_free(ctx, carry);
}
END_TEST

START_TEST(test_compaction_gives_memory_back) {
    offer o;
    make_model(REEL_F32, true);
    reel_carry *const carry = carry_of_all_puzzles(&o);
    const int64_t before = reel_memory_of(ctx).live_bytes;
    ck_assert_int_eq(reel_carry_compact(ctx, carry, (const int32_t[]){0}, 1), REEL_OK);
    ck_assert_int_lt(reel_memory_of(ctx).live_bytes, before);
    reel_carry_free(ctx, carry);
}
END_TEST

/* ---- halting ----------------------------------------------------------------------------------------- */

START_TEST(test_evaluation_halts_when_the_head_says_so) {
    static const struct {
        bool no_ACT_continue;
        double q_halt, q_continue;
        int halts_at;
    } cases[] = {
        {true, 1, 2, 1},
        {true, -1, -2, MAX_STEPS},
        {false, 1, 2, MAX_STEPS},
        {false, -1, -2, 1},
    };
    offer o;
    make_model(REEL_F64, cases[_i].no_ACT_continue);
    bias_halting_head(cases[_i].q_halt, cases[_i].q_continue);
    reel_carry *const carry = carry_of_all_puzzles(&o), *const full = carry_of_all_puzzles(&o);
    for (int step = 1; step <= cases[_i].halts_at; step++) {
        const spoken s = think(carry, REEL_ACT_EVALUATE_HALTING), to_the_end = think(full, REEL_ACT_EVALUATE);
        for (int row = 0; row < ROWS; row++) {
            ck_assert_int_eq(s.halted[row], step == cases[_i].halts_at);
            ck_assert_int_eq(to_the_end.halted[row], step == MAX_STEPS);
        }
    }
    reel_carry_free(ctx, full);
    reel_carry_free(ctx, carry);
}
END_TEST

START_TEST(test_a_row_that_halts_takes_the_next_puzzle_and_the_others_go_on) {
    offer o;
    make_model(REEL_F64, true);
    reel_carry *const carry = carry_of_all_puzzles(&o), *const still = carry_of_all_puzzles(&o);
    think(carry, REEL_ACT_EVALUATE);
    const spoken begun = think(still, REEL_ACT_EVALUATE);
    const uint8_t halted[ROWS] = {0, 1, 0, 0, 1, 0};
    reel_write(ctx, carry->halted, halted, sizeof halted);
    for (int32_t row = 0; row < ROWS; row++)
        put(&o, row, 0);
    offer_all(carry, &o);
    const spoken now = think(carry, REEL_ACT_EVALUATE), going_on = think(still, REEL_ACT_EVALUATE);
    for (int row = 0; row < ROWS; row++)
        expect_same_row(&now, row, halted[row] ? &begun : &going_on, halted[row] ? 0 : row, 1e-12);
    reel_carry_free(ctx, still);
    reel_carry_free(ctx, carry);
}
END_TEST

/* ---- a batch in parts --------------------------------------------------------------------------------- */

static void expect_same(const char *what, reel_tensor *a, reel_tensor *b) {
    const size_t count = (size_t)reel_elements(a);
    double *const x = calloc(2 * count, sizeof *x), *const y = x + count;
    ck_assert_ptr_nonnull(x);
    read_f64(a, x, count);
    read_f64(b, y, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabs(x[i] - y[i]) <= 1e-12 * fmax(1, fabs(x[i])), "%s, element %zu: %.17g and %.17g",
                      what, i, x[i], y[i]);
    free(x);
}

/* Parts of 1, of 4 and 2, of 3, and one that is larger than the batch; rows explore and halt meanwhile. */
START_TEST(test_a_batch_in_parts_trains_as_a_whole_one) {
    static const int64_t parts[] = {1, 4, 3, 100};
    offer o;
    make_model(REEL_F64, false);
    reel_parameters *const parameters = reel_model_parameters(model);
    reel_carry *const whole = carry_of_all_puzzles(&o), *const in_parts = carry_of_all_puzzles(&o);
    reel_tensor *const gradients = reel_parameters_gradients(parameters);
    reel_tensor *const of_whole = reel_tensor_new(ctx, REEL_F64, gradients->rank, gradients->shape);
    for (uint32_t step = 1; step <= 2 * MAX_STEPS; step++) {
        reel_carry_explore(ctx, model, whole, step);
        reel_carry_explore(ctx, model, in_parts, step);
        const reel_act_result r = reel_act_step(ctx, model, whole, REEL_ACT_TRAIN);
        reel_backward(ctx, r.loss);
        reel_copy(ctx, of_whole, gradients);
        reel_parameters_zero_grad(parameters);
        reel_tensor *const metrics = reel_act_train(ctx, model, in_parts, parts[_i]);
        ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
        expect_same("metrics", r.metrics, metrics);
        expect_same("gradients of the weights", of_whole, gradients);
        expect_same("gradients of the puzzles", reel_grad(ctx, whole->puzzle_rows),
                    reel_grad(ctx, in_parts->puzzle_rows));
        reel_named_tensor a[REEL_CARRY_TENSORS_MAX], b[REEL_CARRY_TENSORS_MAX];
        for (int i = 0, n = reel_carry_tensors(whole, a); i < n && i < reel_carry_tensors(in_parts, b); i++)
            expect_same(a[i].name, a[i].tensor, b[i].tensor);
        reel_parameters_zero_grad(parameters);
        ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    }
    reel_tensor_free(ctx, of_whole);
    reel_carry_free(ctx, in_parts);
    reel_carry_free(ctx, whole);
}
END_TEST

START_TEST(test_a_batch_in_parts_holds_less_on_the_tape) {
    offer o;
    make_model(REEL_F32, true);
    reel_carry *const carry = carry_of_all_puzzles(&o);
    int64_t peak[2];
    for (int i = 0; i < 2; i++) {
        reel_act_train(ctx, model, carry, i == 0 ? ROWS : 1);
        peak[i] = reel_tape_of(ctx).peak_bytes;
        ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    }
    ck_assert_int_lt(peak[1], peak[0] / 2);
    reel_carry_free(ctx, carry);
}
END_TEST

/* Puzzles of a large batch are those of a small one, over and over. */
START_TEST(test_a_large_evaluation_says_of_each_row_what_a_small_one_says) {
    enum { MANY = 9002 }; /* states of a million numbers, which are a part, take 7281 */
    offer o;
    make_model(REEL_F32, true);
    reel_carry *const small = carry_of_all_puzzles(&o), *const large = reel_carry_new(ctx, model, MANY);
    int32_t *const inputs = calloc(MANY * (2 * CELLS + 1), sizeof *inputs);
    double *const q_halt = calloc(MANY, sizeof *q_halt);
    ck_assert(large && inputs && q_halt);
    int32_t *const labels = inputs + MANY * CELLS, *const identifiers = labels + MANY * CELLS;
    for (size_t row = 0; row < MANY; row++) {
        memcpy(inputs + row * CELLS, o.inputs + row % ROWS * CELLS, CELLS * sizeof *inputs);
        memcpy(labels + row * CELLS, o.labels + row % ROWS * CELLS, CELLS * sizeof *labels);
        identifiers[row] = o.identifiers[row % ROWS];
    }
    reel_carry_offer(ctx, large, inputs, labels, identifiers);
    for (int step = 1; step <= MAX_STEPS; step++) {
        const spoken s = think(small, REEL_ACT_EVALUATE);
        const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
        const reel_act_result r = reel_act_step(ctx, model, large, REEL_ACT_EVALUATE);
        ck_assert_int_eq(r.predictions->shape[0], MANY);
        read_f64(r.outputs.q_halt, q_halt, MANY);
        for (int row = 0; row < MANY; row++)
            ck_assert_double_eq_tol(q_halt[row], s.q_halt[row % ROWS], 1e-4);
        ck_assert_double_eq_tol(reel_item(ctx, r.lm_loss),
                                reel_item(ctx, reel_sum(ctx, r.lm_losses, NULL, 0, 0)), 1e-1);
        reel_scope_end(ctx, scope, NULL, 0);
        ck_assert_msg(reel_tape_reset(ctx) == REEL_OK, "step %d", step);
    }
    free(q_halt);
    free(inputs);
    reel_carry_free(ctx, large);
    reel_carry_free(ctx, small);
}
END_TEST

int main(void) {
    Suite *const suite = suite_create("act");
    TCase *const compaction = tcase_create("compaction"), *const halting = tcase_create("halting");
    TCase *const in_parts = tcase_create("in parts");
    tcase_add_checked_fixture(compaction, setup, teardown);
    tcase_add_loop_test(compaction, test_a_carry_goes_on_from_the_tensors_that_it_names, 0, 3);
    tcase_add_loop_test(compaction, test_rows_kept_go_on_as_if_nothing_had_happened, 0, 3);
    tcase_add_test(compaction, test_a_compacted_carry_takes_puzzles_and_can_be_trained);
    tcase_add_test(compaction, test_compaction_refuses_rows_that_are_none);
    tcase_add_test(compaction, test_compaction_gives_memory_back);
    suite_add_tcase(suite, compaction);
    tcase_add_checked_fixture(halting, setup, teardown);
    tcase_add_loop_test(halting, test_evaluation_halts_when_the_head_says_so, 0, 4);
    tcase_add_test(halting, test_a_row_that_halts_takes_the_next_puzzle_and_the_others_go_on);
    suite_add_tcase(suite, halting);
    tcase_add_checked_fixture(in_parts, setup, teardown);
    tcase_add_loop_test(in_parts, test_a_batch_in_parts_trains_as_a_whole_one, 0, 4);
    tcase_add_test(in_parts, test_a_batch_in_parts_holds_less_on_the_tape);
    tcase_add_test(in_parts, test_a_large_evaluation_says_of_each_row_what_a_small_one_says);
    suite_add_tcase(suite, in_parts);
    SRunner *const runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
