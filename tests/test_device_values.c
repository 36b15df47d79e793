/* Copies, conversions and optimizers on a GPU, or what simulates one, beside the CPU, in sizes around those
 * of the kernels' packs, blocks and chunks. */
#include "context.h"

#include <check.h>
#include <math.h>
#include <reel/autograd.h>
#include <reel/ops.h>
#include <reel/optim.h>
#include <reel/tensor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 2, SKIPPED = 77 };

static reel_context *ctx[DEVICES]; /* the CPU's and the GPU's */

static void setup(void) {
    for (int i = 0; i < DEVICES; i++) {
        const reel_context_options options = {.device = i ? REEL_CUDA : REEL_CPU, .threads = 1, .seed = 3};
        reel_error error = {0};
        ck_assert_msg(reel_context_new(&ctx[i], &options, &error) == REEL_OK, "%s", error.message);
    }
}

static void teardown(void) {
    for (int i = 0; i < DEVICES; i++) {
        ck_assert_msg(reel_context_synchronise(ctx[i]) == REEL_OK, "%s", reel_context_message(ctx[i]));
        reel_context_free(ctx[i]);
    }
}

/* Pseudo-random in (-2, 2). */
static double noise(int64_t i, uint32_t step) {
    uint32_t words[4];
    reel_random_bits(1, (reel_draw){REEL_STREAM_USER, (uint64_t)i, step}, 0, words);
    return words[0] / 1073741824.0 - 2;
}

/* A tensor's values as doubles, to be freed. */
static double *values_of(reel_context *c, const reel_tensor *t) {
    const size_t bytes = (size_t)reel_elements(t) * sizeof(double);
    double *const values = malloc(bytes + 1);
    reel_tensor *const wide = reel_tensor_new(c, REEL_F64, t->rank, t->shape);
    ck_assert_ptr_nonnull(values);
    reel_copy(c, wide, t);
    ck_assert_msg(reel_read(c, wide, values, bytes) == REEL_OK, "%s", reel_context_message(c));
    reel_tensor_free(c, wide);
    return values;
}

static reel_tensor *tensor_of(reel_context *c, reel_dtype dtype, int rank, const int64_t *shape,
                              const double *values) {
    reel_tensor *const wide = reel_tensor_new(c, REEL_F64, rank, shape);
    reel_tensor *const t = reel_tensor_new(c, dtype, rank, shape);
    reel_write(c, wide, values, (size_t)reel_elements(wide) * sizeof *values);
    reel_copy(c, t, wide);
    reel_tensor_free(c, wide);
    return t;
}

/* ---- copies -------------------------------------------------------------------------------------------- */

enum { ROWS = 5, MOST_PITCH = 24, CELLS = (ROWS + 1) * MOST_PITCH };

/* ROWS x columns cells of a buffer, which begin at `offset` and whose rows are `pitch` apart. */
typedef struct window {
    int64_t columns, pitch, step, offset;
} window;

static reel_tensor seen_through(const reel_tensor *buffer, const window *w) {
    reel_tensor view = *buffer;
    view.rank = 2;
    view.shape[0] = ROWS, view.shape[1] = w->columns;
    view.stride[0] = w->pitch, view.stride[1] = w->step;
    view.data = (char *)buffer->data + w->offset * (int64_t)reel_dtype_bytes(buffer->dtype);
    return view;
}

/* All of the buffer that was copied into, what lies beside the window too. */
static double *copied(reel_context *c, reel_dtype to, reel_dtype from, const window *dst, const window *src,
                      bool accumulate) {
    double values[2][CELLS];
    for (int i = 0; i < CELLS; i++)
        values[0][i] = noise(i, 0), values[1][i] = noise(i, 1);
    reel_tensor *const into = tensor_of(c, to, REEL_SHAPE(CELLS), values[0]);
    reel_tensor *const out_of = tensor_of(c, from, REEL_SHAPE(CELLS), values[1]);
    reel_tensor written = seen_through(into, dst);
    const reel_tensor read = seen_through(out_of, src);
    reel__copy_values(c, &written, &read, accumulate);
    double *const got = values_of(c, into);
    reel_tensor_free(c, into);
    reel_tensor_free(c, out_of);
    return got;
}

static void check_copy(reel_dtype to, reel_dtype from, const window *dst, const window *src) {
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        double *const want = copied(ctx[0], to, from, dst, src, accumulate);
        double *const got = copied(ctx[1], to, from, dst, src, accumulate);
        for (int i = 0; i < CELLS; i++)
            ck_assert_msg(
                want[i] == got[i],
                "%s from %s, %d columns, pitches %d and %d, offset %d, step %d, accumulate %d: cell %d "
                "is %g, not %g",
                reel_dtype_name(to), reel_dtype_name(from), (int)dst->columns, (int)dst->pitch,
                (int)src->pitch, (int)dst->offset, (int)src->step, accumulate, i, got[i], want[i]);
        free(want);
        free(got);
    }
}

/* Packs are of 8 elements: rows of one less, one more, of whole ones; rows that begin where packs do or not;
 * one row for all; a source that is transposed; one cell for each row, and for all. */
START_TEST(test_copies_write_their_window_and_nothing_else) {
    static const int64_t columns[] = {1, 7, 8, 9, 12, 16}, pitches[] = {16, 17, MOST_PITCH},
                         offsets[] = {0, 1, 8};
    static const reel_dtype pairs[][2] = {{REEL_F32, REEL_F32}, {REEL_BF16, REEL_F64}, {REEL_F64, REEL_BF16}};
    for (int c = 0; c < 6; c++)
        for (int p = 0; p < 3; p++)
            for (int o = 0; o < 3; o++) {
                const reel_dtype *const pair = pairs[(c + p + o) % 3];
                const window dst = {columns[c], pitches[p], 1, offsets[o]};
                const window sources[] = {dst,
                                          {columns[c], pitches[(p + 1) % 3], 1, 0},
                                          {columns[c], 0, 1, 8},
                                          {columns[c], 1, ROWS, 0},
                                          {columns[c], 1, 0, 3},
                                          {columns[c], 0, 0, 5}};
                for (size_t s = 0; s < sizeof sources / sizeof sources[0]; s++)
                    check_copy(pair[0], pair[1], &dst, &sources[s]);
            }
}
END_TEST

/* Ties, what is lost or cannot be held, and 1 + 2^-8 + 2^-40, which f64 -> f32 -> bf16 would round twice. */
static const double converted[] = {0,
                                   -0.0,
                                   1,
                                   -1,
                                   0.5,
                                   1.5,
                                   2.5,
                                   -0.5,
                                   -1.5,
                                   127.9,
                                   255,
                                   255.5,
                                   256,
                                   300,
                                   -3.7,
                                   1e10,
                                   -1e10,
                                   1e300,
                                   1e-300,
                                   INFINITY,
                                   NAN,
                                   1.00390625,
                                   1.01171875,
                                   1 + 0x1p-8 + 0x1p-40,
                                   1 + 0x1p-8 - 0x1p-40,
                                   3.4e38,
                                   3.40282e38,
                                   65535,
                                   16777217,
                                   2147483647,
                                   -2147483648.0,
                                   2147483648.0,
                                   0x1p-126,
                                   0x1p-133,
                                   0x1.ffp-127,
                                   -INFINITY};

START_TEST(test_conversions_give_what_the_cpus_give) {
    enum { N = sizeof converted / sizeof converted[0] };
    const reel_dtype from = (reel_dtype)(_i / REEL_DTYPE_COUNT), to = (reel_dtype)(_i % REEL_DTYPE_COUNT);
    double *got[DEVICES];
    for (int i = 0; i < DEVICES; i++) {
        reel_tensor *const x = tensor_of(ctx[i], from, REEL_SHAPE(N), converted);
        reel_tensor *const y = reel_tensor_new(ctx[i], to, REEL_SHAPE(N));
        reel_copy(ctx[i], y, x);
        got[i] = values_of(ctx[i], y);
        reel_tensor_free(ctx[i], x);
        reel_tensor_free(ctx[i], y);
    }
    for (int j = 0; j < N; j++)
        ck_assert_msg(got[0][j] == got[1][j] || (isnan(got[0][j]) && isnan(got[1][j])),
                      "%s to %s: %.17g becomes %.17g, on the CPU %.17g", reel_dtype_name(from),
                      reel_dtype_name(to), converted[j], got[1][j], got[0][j]);
    for (int i = 0; i < DEVICES; i++)
        free(got[i]);
}
END_TEST

/* Ops round to bf16 as conversions do: to nearest, ties to even. */
START_TEST(test_ops_round_to_bf16_as_the_cpu_does) {
    enum { N = 8 };
    const double x[N] = {1, 1, 1, -1, 3, 1.0078125, 1.0078125, 2},
                 y[N] = {0x1p-8, 0x1.8p-8, 0x1p-9, -0x1p-8, 0x1p-7, 0x1p-8, 0x1p-9, -0x1p-9};
    double *got[DEVICES];
    for (int i = 0; i < DEVICES; i++) {
        reel_tensor *const a = tensor_of(ctx[i], REEL_BF16, REEL_SHAPE(N), x);
        reel_tensor *const b = tensor_of(ctx[i], REEL_BF16, REEL_SHAPE(N), y);
        got[i] = values_of(ctx[i], reel_add(ctx[i], a, b));
        reel_tape_reset(ctx[i]);
        reel_tensor_free(ctx[i], a);
        reel_tensor_free(ctx[i], b);
    }
    ck_assert_mem_eq(got[0], got[1], N * sizeof *got[0]);
    for (int i = 0; i < DEVICES; i++)
        free(got[i]);
}
END_TEST

/* A view that begins between two packs; what is dropped depends on the place in the view. */
START_TEST(test_dropout_of_a_part_drops_what_the_cpu_drops) {
    enum { N = 29, BEGINS = 3, TAKES = N - BEGINS };
    double values[N], *got[DEVICES];
    for (int i = 0; i < N; i++)
        values[i] = noise(i, 7);
    for (int i = 0; i < DEVICES; i++) {
        reel_tensor *const x = tensor_of(ctx[i], REEL_F32, REEL_SHAPE(N), values);
        reel_tensor *const part = reel_narrow(ctx[i], x, 0, BEGINS, TAKES);
        got[i] = values_of(ctx[i], reel_dropout(ctx[i], part, 0.5, (reel_draw){.stream = REEL_STREAM_USER}));
        reel_tape_reset(ctx[i]);
        reel_tensor_free(ctx[i], x);
    }
    ck_assert_mem_eq(got[0], got[1], TAKES * sizeof *got[0]);
    for (int i = 0; i < DEVICES; i++)
        free(got[i]);
}
END_TEST

/* ---- optimizers ---------------------------------------------------------------------------------------- */

static const reel_optimizer_options optimizers[] = {
    {.kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1, .ema_rate = 0.9},
    {.kind = REEL_ADAM_W, .beta1 = 0.8, .beta2 = 0.9, .eps = 0.1, .weight_decay = 0.3, .ema_rate = 0.75},
    {.kind = REEL_ADAM_W, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .max_grad_norm = 0.5},
    {.kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .ema_rate = 0.5, .max_grad_norm = 1e6},
};
/* A pack, a block of packs, and chunks of the norm, of which a block adds 256 one after another. */
static const int64_t parameter_counts[] = {1, 8, 9, 2049, 3 * 16384 + 17};
enum { OPTIMIZERS = sizeof optimizers / sizeof optimizers[0], COUNTS = 5, STEPS = 3, STATES = 4 };

typedef struct stepped {
    double *state[STATES]; /* p, m, v, ema */
    double norm;
    int64_t count;
} stepped;

static stepped optimize(reel_context *c, const reel_optimizer_options *how, reel_dtype dtype, int64_t count) {
    reel_parameters *const params = reel_parameters_new(c, dtype);
    reel_tensor *weight;
    stepped out = {0};
    reel_parameter(params, &weight, "w", REEL_SHAPE(count), reel_init_truncated_normal(0.5));
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    reel_optimizer *const optimizer = reel_optimizer_new(params, how);
    double *const slope = malloc((size_t)count * sizeof *slope);
    ck_assert_ptr_nonnull(slope);
    for (uint32_t step = 0; step < STEPS; step++) {
        for (int64_t i = 0; i < count; i++)
            slope[i] = noise(i, step);
        reel_tensor *const g = tensor_of(c, dtype, REEL_SHAPE(count), slope);
        reel_copy(c, reel_grad(c, weight), g);
        ck_assert_msg(reel_optimizer_step(optimizer, 0.1) == REEL_OK, "%s", reel_context_message(c));
        reel_tensor_free(c, g);
    }
    ck_assert_int_eq(reel_optimizer_swap_ema(optimizer), REEL_OK);
    const reel_optimizer_state state = reel_optimizer_state_of(optimizer);
    const reel_tensor *const arrays[STATES] = {reel_parameters_values(params), state.m, state.v, state.ema};
    for (int k = 0; k < STATES; k++)
        out.state[k] = arrays[k] ? values_of(c, arrays[k]) : NULL;
    out.count = reel_elements(arrays[0]);
    out.norm = how->max_grad_norm > 0 ? reel_optimizer_grad_norm(optimizer) : 0;
    free(slope);
    reel_optimizer_free(optimizer);
    reel_parameters_free(params);
    return out;
}

/* The same arithmetic in the same order but for the norm's sums and the last bits of atan2. */
START_TEST(test_optimizers_step_as_on_the_cpu) {
    const reel_optimizer_options *const how = &optimizers[_i % OPTIMIZERS];
    const int64_t count = parameter_counts[_i / OPTIMIZERS];
    for (reel_dtype dtype = REEL_F64; dtype <= REEL_F32; dtype++) {
        const double tolerance = dtype == REEL_F64 ? 1e-14 : 2e-6;
        stepped host = optimize(ctx[0], how, dtype, count), device = optimize(ctx[1], how, dtype, count);
        ck_assert(fabs(host.norm - device.norm) <= tolerance * host.norm);
        for (int k = 0; k < STATES; k++) {
            for (int64_t i = 0; i < host.count && host.state[k]; i++)
                ck_assert_msg(fabs(host.state[k][i] - device.state[k][i]) <=
                                  tolerance * fmax(0.1, fabs(host.state[k][i])),
                              "%s: element %lld of %lld of array %d is %.17g, on the CPU %.17g",
                              reel_dtype_name(dtype), (long long)i, (long long)count, k, device.state[k][i],
                              host.state[k][i]);
            free(host.state[k]);
            free(device.state[k]);
        }
    }
}
END_TEST

/* More columns and more examples than a block has threads; rows that several examples name. */
START_TEST(test_sign_sgd_steps_as_on_the_cpu) {
    enum { ROWS_OF_TABLE = 50, WIDTH = 261, EXAMPLES = 300, CHANGED = 40 };
    double *got[DEVICES], *const values = malloc((size_t)EXAMPLES * WIDTH * sizeof *values);
    int32_t ids[EXAMPLES];
    ck_assert_ptr_nonnull(values);
    for (int i = 0; i < EXAMPLES; i++)
        ids[i] = i / 2 * 7 % CHANGED; /* neighbours and others */
    for (int64_t i = 0; i < EXAMPLES * WIDTH; i++)
        values[i] = noise(i, 5);
    for (int i = 0; i < DEVICES; i++) {
        reel_tensor *const table = tensor_of(ctx[i], REEL_F64, REEL_SHAPE(ROWS_OF_TABLE, WIDTH), values);
        reel_tensor *const slope = tensor_of(ctx[i], REEL_F64, REEL_SHAPE(EXAMPLES, WIDTH), values);
        reel_tensor *const named = reel_tensor_new(ctx[i], REEL_I32, REEL_SHAPE(EXAMPLES));
        reel_write(ctx[i], named, ids, sizeof ids);
        ck_assert_int_eq(reel_sign_sgd_rows(ctx[i], table, named, slope, 0.25, 0.5), REEL_OK);
        got[i] = values_of(ctx[i], table);
        reel_tensor_free(ctx[i], table);
        reel_tensor_free(ctx[i], slope);
        reel_tensor_free(ctx[i], named);
    }
    for (int j = 0; j < ROWS_OF_TABLE * WIDTH; j++)
        ck_assert_msg(fabs(got[0][j] - got[1][j]) <= 1e-15, "element %d is %.17g, on the CPU %.17g", j,
                      got[1][j], got[0][j]);
    for (int i = 0; i < DEVICES; i++)
        free(got[i]);
    free(values);
}
END_TEST

/* The last of many examples, which comes to a thread's second turn. */
START_TEST(test_sign_sgd_finds_the_last_that_is_wrong) {
    enum { EXAMPLES = 300, TABLE = 4 };
    int32_t ids[EXAMPLES] = {0};
    ids[EXAMPLES - 1] = TABLE;
    reel_tensor *const table = reel_tensor_new(ctx[1], REEL_F32, REEL_SHAPE(TABLE, 1));
    reel_tensor *const slope = reel_tensor_new(ctx[1], REEL_F32, REEL_SHAPE(EXAMPLES, 1));
    reel_tensor *const named = reel_tensor_new(ctx[1], REEL_I32, REEL_SHAPE(EXAMPLES));
    reel_write(ctx[1], named, ids, sizeof ids);
    reel_sign_sgd_rows(ctx[1], table, named, slope, 0.25, 0);
    ck_assert_int_eq(reel_context_synchronise(ctx[1]), REEL_ERROR_ARGUMENT);
    ck_assert_str_eq(reel_context_message(ctx[1]), "sign_sgd: ids[299] is 4, the table has 4 rows");
    reel_tape_reset(ctx[1]);
    reel_tensor_free(ctx[1], table);
    reel_tensor_free(ctx[1], slope);
    reel_tensor_free(ctx[1], named);
}
END_TEST

/* The lanes and warps that look for it, in their first and second turn; of two the first is told. */
START_TEST(test_a_wrong_index_is_found_wherever_it_is) {
    enum { N = 1500, TABLE = 4 };
    static const int at[] = {0, 31, 32, 1023, 1024, N - 2};
    char message[64];
    int32_t indices[N] = {0};
    indices[at[_i]] = TABLE;
    indices[N - 1] = -1;
    reel_tensor *const table = reel_tensor_new(ctx[1], REEL_F32, REEL_SHAPE(TABLE, 1));
    reel_tensor *const named = reel_tensor_new(ctx[1], REEL_I32, REEL_SHAPE(N));
    reel_write(ctx[1], named, indices, sizeof indices);
    reel_embedding(ctx[1], table, named, 1);
    ck_assert_int_eq(reel_context_synchronise(ctx[1]), REEL_ERROR_ARGUMENT);
    snprintf(message, sizeof message, "embedding: index 4 at element %d is not in 0 .. 3", at[_i]);
    ck_assert_str_eq(reel_context_message(ctx[1]), message);
    reel_tape_reset(ctx[1]);
    reel_tensor_free(ctx[1], table);
    reel_tensor_free(ctx[1], named);
}
END_TEST

int main(void) {
    reel_context *found;
    reel_error error = {0};
    if (reel_context_new(&found, &(reel_context_options){.device = REEL_CUDA}, &error) != REEL_OK) {
        fprintf(stderr, "test_device_values: %s\n", error.message);
        return error.status == REEL_ERROR_DEVICE ? SKIPPED : EXIT_FAILURE;
    }
    reel_context_free(found);
    Suite *suite = suite_create("device_values");
    TCase *copies = tcase_create("copies"), *steps = tcase_create("steps");
    tcase_add_checked_fixture(copies, setup, teardown);
    tcase_add_test(copies, test_copies_write_their_window_and_nothing_else);
    tcase_add_loop_test(copies, test_conversions_give_what_the_cpus_give, 0,
                        REEL_DTYPE_COUNT * REEL_DTYPE_COUNT);
    tcase_add_test(copies, test_ops_round_to_bf16_as_the_cpu_does);
    tcase_add_test(copies, test_dropout_of_a_part_drops_what_the_cpu_drops);
    suite_add_tcase(suite, copies);
    tcase_add_checked_fixture(steps, setup, teardown);
    tcase_add_loop_test(steps, test_optimizers_step_as_on_the_cpu, 0, OPTIMIZERS * COUNTS);
    tcase_add_test(steps, test_sign_sgd_steps_as_on_the_cpu);
    tcase_add_test(steps, test_sign_sgd_finds_the_last_that_is_wrong);
    tcase_add_loop_test(steps, test_a_wrong_index_is_found_wherever_it_is, 0, 6);
    suite_add_tcase(suite, steps);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
