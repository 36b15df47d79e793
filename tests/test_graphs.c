/* Reverse mode on graphs of any shape, against gradients known in closed form. */
#include "on_tape.h"

#include <stdbool.h>

/* ---- helpers ------------------------------------------------------------------------------------------- */

static reel_tensor *scalar(double value) {
    return leaf(REEL_F64, 0, NULL, value);
}

/* A tensor of the values low, low + 1, ..., low + kinds - 1, low, ... */
static reel_tensor *counting(reel_dtype dtype, int rank, const int64_t *shape, int low, int kinds) {
    reel_tensor *t = reel_tensor_new(ctx, dtype, rank, shape),
                *wide = reel_tensor_new(ctx, REEL_F64, rank, shape);
    for (int64_t i = 0, n = reel_elements(wide); i < n; i++)
        ((double *)wide->data)[i] = low + (double)(i % kinds);
    ck_assert_int_eq(reel_copy(ctx, t, wide), REEL_OK);
    reel_tensor_free(ctx, wide);
    return t;
}

static reel_tensor *counting_leaf(reel_dtype dtype, int rank, const int64_t *shape, int low, int kinds) {
    reel_tensor *t = counting(dtype, rank, shape, low, kinds);
    ck_assert_int_eq(reel_require_grad(ctx, t), REEL_OK);
    return t;
}

static void keep_tape_and_go_back(reel_tensor *loss) {
    ck_assert_msg(reel_backward_flags(ctx, loss, REEL_KEEP_TAPE) == REEL_OK, "%s", reel_context_message(ctx));
}

/* A leaf's gradient, each element to `tolerance` of the largest that is wanted. */
static void expect_gradients(reel_tensor *t, const double *want, double tolerance) {
    const reel_tensor *grad = reel_grad(ctx, t);
    const int64_t n = reel_elements(grad);
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(gradient_at(grad, i) - want[i]) <= tolerance * largest,
                      "gradient %lld is %.17g, not %.17g", (long long)i, gradient_at(grad, i), want[i]);
}

static void expect_derivative(reel_tensor *x, double want, double tolerance) {
    expect_gradients(x, &want, tolerance);
}

enum { EXACTLY = 0 };                      /* for whole numbers below 2^53 */
static const double rounded = 1e-13;       /* for some hundred rounded operations in f64 */
static const double rounded_often = 1e-11; /* for some ten thousand */

/* ---- shared expressions -------------------------------------------------------------------------------- */

/* Row by row of Pascal's triangle: the i-th of n + 1 leaves reaches the top on C(n, i) paths, 10^15 in all.
 */
START_TEST(test_a_lattice_of_sums_counts_its_paths) {
    enum { N = 50 };
    reel_tensor *x[N + 1], *y[N + 1];
    double paths[N + 1] = {1};
    for (int i = 0; i <= N; i++) {
        x[i] = y[i] = scalar(i);
        for (int k = i; k > 0; k--)
            paths[k] += paths[k - 1];
    }
    for (int width = N; width > 0; width--)
        for (int i = 0; i < width; i++)
            y[i] = reel_add(ctx, y[i], y[i + 1]);
    backward(y[0]);
    for (int i = 0; i <= N; i++)
        expect_derivative(x[i], paths[i], EXACTLY);
}
END_TEST

/* p_k = p_k-1 p_k-2 is a^F(k-1) b^F(k), with Fibonacci's numbers. */
START_TEST(test_products_of_products_give_fibonacci_powers) {
    enum { N = 12, A = 0, B = 1 };
    const double base[] = {[A] = 1.01, [B] = 0.98};
    double last[] = {[A] = 1, [B] = 0}, power[] = {[A] = 0, [B] = 1};
    reel_tensor *x[] = {scalar(base[A]), scalar(base[B])}, *before = x[A], *p = x[B];
    for (int k = 1; k < N; k++) {
        reel_tensor *next = reel_mul(ctx, p, before);
        before = p;
        p = next;
        for (int i = A; i <= B; i++) {
            const double sum_of_both = last[i] + power[i];
            last[i] = power[i];
            power[i] = sum_of_both;
        }
    }
    ck_assert_double_eq(power[B], 144);
    backward(p);
    for (int i = A; i <= B; i++)
        expect_derivative(x[i], power[i] / base[i] * pow(base[A], power[A]) * pow(base[B], power[B]),
                          rounded);
}
END_TEST

/* x (n) stands on both sides as another view: d/dx x^T A x = (A + A^T) x. */
START_TEST(test_a_quadratic_form_has_both_gradients_of_its_argument) {
    enum { N = 5 };
    reel_tensor *x = counting_leaf(REEL_F64, REEL_SHAPE(N), -2, N),
                *A = counting_leaf(REEL_F64, REEL_SHAPE(N, N), -9, 17);
    const double *at_x = x->data, *at_A = A->data;
    double to_x[N] = {0}, to_A[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            to_x[i] += (at_A[i * N + j] + at_A[j * N + i]) * at_x[j];
            to_A[i * N + j] = at_x[i] * at_x[j];
        }
    reel_tensor *row = reel_reshape(ctx, x, REEL_SHAPE(1, N));
    backward(sum(reel_matmul(ctx, reel_matmul(ctx, row, A), reel_transpose(ctx, row, 0, 1))));
    expect_gradients(x, to_x, EXACTLY);
    expect_gradients(A, to_A, EXACTLY);
}
END_TEST

/* d tr(A^k) / dA = k (A^(k-1))^T */
START_TEST(test_a_matrix_may_be_its_own_factor) {
    enum { N = 3, POWER = 6 };
    reel_tensor *A = counting_leaf(REEL_F64, REEL_SHAPE(N, N), -2, 5), *power = A, *below = A;
    double identity[N * N] = {0}, want[N * N];
    for (int i = 0; i < N; i++)
        identity[i * N + i] = 1;
    for (int k = 1; k < POWER; k++) {
        below = power;
        power = reel_matmul(ctx, power, A);
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            want[i * N + j] = POWER * ((const double *)below->data)[j * N + i];
    reel_tensor *mask = filled(REEL_F64, REEL_SHAPE(N, N), 0);
    ck_assert_int_eq(reel_write(ctx, mask, identity, sizeof identity), REEL_OK);
    backward(sum(reel_mul(ctx, power, mask)));
    expect_gradients(A, want, EXACTLY);
}
END_TEST

/* In f32 factors like these, of more than 512 rows a multiple of 2 KiB apart, are multiplied by way of
 * copies; in f64 they are not. Whole numbers below 2^24 come out the same. */
START_TEST(test_products_of_whole_numbers_are_exact_however_their_rows_lie) {
    enum { M = 514, K = 1024, N = 512 };
    static const reel_dtype dtypes[2] = {REEL_F64, REEL_F32};
    reel_tensor *a[2], *b[2], *c[2];
    for (int i = 0; i < 2; i++) {
        a[i] = counting_leaf(dtypes[i], REEL_SHAPE(M, K), -5, 11);
        b[i] = counting_leaf(dtypes[i], REEL_SHAPE(K, N), -6, 13);
        c[i] = reel_matmul(ctx, a[i], b[i]);
        reel_tensor *const w = counting(dtypes[i], REEL_SHAPE(M, N), -3, 7);
        backward(sum(reel_mul(ctx, w, c[i])));
    }
    expect_gradients(a[1], reel_grad(ctx, a[0])->data, EXACTLY);
    expect_gradients(b[1], reel_grad(ctx, b[0])->data, EXACTLY);
    for (int64_t i = 0; i < M * N; i++)
        ck_assert_double_eq(gradient_at(c[1], i), gradient_at(c[0], i));
}
END_TEST

/* ---- one tensor, many uses ----------------------------------------------------------------------------- */

enum { USES = 100 };

START_TEST(test_a_tensor_may_be_added_a_hundred_times) {
    reel_tensor *x = leaf(REEL_F32, REEL_SHAPE(4), 1), *y = reel_scale(ctx, x, 2), *total = y;
    for (int i = 1; i < USES; i++)
        total = reel_add(ctx, total, y);
    backward(sum(total));
    expect_gradient(x, 2 * USES);
}
END_TEST

/* 1 + x (1 + x (...)) of n terms is (1 - x^n) / (1 - x). */
START_TEST(test_a_tensor_may_be_multiplied_a_hundred_times) {
    const double x = 0.97, power = pow(x, USES - 1);
    reel_tensor *at = scalar(x), *y = filled(REEL_F64, 0, NULL, 1);
    for (int i = 1; i < USES; i++)
        y = reel_add_scalar(ctx, reel_mul(ctx, y, at), 1);
    backward(y);
    expect_derivative(at, (1 - USES * power + (USES - 1) * power * x) / ((1 - x) * (1 - x)), rounded);
}
END_TEST

/* Once by each of many kinds of rule, which write, add and hand on: the sum of the slopes. */
START_TEST(test_gradients_of_different_rules_add_up) {
    const double x = 0.75, s = 1 / (1 + exp(-x)), t = tanh(x);
    reel_tensor *at = leaf(REEL_F64, REEL_SHAPE(2, 3), x), *y = reel_scale(ctx, at, 1);
    reel_tensor *largest = reel_max(ctx, y, NULL, 0, 0); /* the first of equals; its rule runs last */
    reel_tensor *const terms[] = {
        largest,
        reel_exp(ctx, y),
        reel_log(ctx, y),
        reel_sigmoid(ctx, y),
        reel_tanh(ctx, y),
        reel_mul(ctx, y, y),
        reel_sub(ctx, y, reel_neg(ctx, y)),
        reel_div(ctx, y, reel_add_scalar(ctx, y, 1)),
        reel_transpose(ctx, reel_reshape(ctx, reel_transpose(ctx, y, 0, 1), REEL_SHAPE(2, 3)), 1, 0),
        reel_sum(ctx, y, (const int[]){0}, 1, REEL_KEEP_AXES),
        reel_expand(ctx, reel_narrow(ctx, y, 1, 0, 1), REEL_SHAPE(2, 3)),
        reel_concat(ctx, (reel_tensor *const[]){y, y}, 2, 0),
    };
    reel_tensor *loss = sum(terms[0]);
    for (size_t i = 1; i < sizeof terms / sizeof terms[0]; i++)
        loss = reel_add(ctx, loss, sum(terms[i]));
    backward(loss);
    const double alike =
        exp(x) + 1 / x + s * (1 - s) + 1 - t * t + 2 * x + 2 + 1 / ((1 + x) * (1 + x)) + 1 + 1 + 2;
    const double first = alike + 3, largest_one = first + 1;
    expect_gradients(at, (const double[]){largest_one, alike, alike, first, alike, alike}, rounded);
}
END_TEST

/* ---- long chains --------------------------------------------------------------------------------------- */

/* y <- y / (1 + h y), 10,000 times, is y / (1 + n h y), with derivative 1 / (1 + n h y)^2. Every round has
 * three nodes and uses y twice. */
START_TEST(test_a_chain_of_thirty_thousand_nodes) {
    enum { ROUNDS = 10000 };
    const double start = 2, h = 1e-4, slope = 1 / (1 + ROUNDS * h * start);
    reel_tensor *x = scalar(start), *y = x;
    for (int i = 0; i < ROUNDS; i++)
        y = reel_div(ctx, y, reel_add_scalar(ctx, reel_scale(ctx, y, h), 1));
    ck_assert_int_ge(reel_tape_of(ctx).nodes, 3 * ROUNDS);
    ck_assert_double_eq_tol(reel_item(ctx, y), start * slope, rounded_often);
    backward(y);
    expect_derivative(x, slope * slope, rounded_often);
}
END_TEST

/* The same in scopes that roll, where each round's storage is freed but for what the rules saved. */
START_TEST(test_a_chain_through_rolling_scopes) {
    enum { ROUNDS = 1000 };
    const double start = 2, h = 1e-3, slope = 1 / (1 + ROUNDS * h * start);
    reel_tensor *x = scalar(start), *y = x;
    const reel_scope scope = reel_scope_begin(ctx, 0);
    for (int i = 0; i < ROUNDS; i++) {
        y = reel_div(ctx, y, reel_add_scalar(ctx, reel_scale(ctx, y, h), 1));
        reel_scope_roll(ctx, scope, &y, 1);
    }
    reel_scope_end(ctx, scope, &y, 1);
    backward(y);
    expect_derivative(x, slope * slope, rounded_often);
}
END_TEST

/* ---- views --------------------------------------------------------------------------------------------- */

START_TEST(test_views_of_views_send_gradients_home) {
    double want[24] = {0};
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(4, 6), 1), *w = counting(REEL_F64, REEL_SHAPE(2, 3), 1, 6);
    reel_tensor *cube = reel_reshape(ctx, x, REEL_SHAPE(2, 2, 6));         /* (a, b, c) */
    reel_tensor *part = reel_narrow(ctx, cube, 2, 2, 3);                   /* (a, b, c) of c = 2 .. 4 */
    reel_tensor *turned = reel_permute(ctx, part, (const int[]){1, 2, 0}); /* (b, c, a) */
    reel_tensor *slice = reel_narrow(ctx, turned, 2, 1, 1);                /* (b, c, 1) of a = 1 */
    reel_tensor *flat = reel_reshape(ctx, slice, REEL_SHAPE(2, 3));        /* (b, c) */
    ck_assert_ptr_eq(flat->data, (const double *)x->data + 14);
    backward(sum(reel_mul(ctx, flat, w)));
    for (int b = 0; b < 2; b++)
        for (int c = 0; c < 3; c++)
            want[12 + b * 6 + 2 + c] = b * 3 + c + 1;
    expect_gradients(x, want, EXACTLY);
}
END_TEST

/* Windows of three that overlap: element i of n lies in min(i + 1, 3, n - i) of them. */
START_TEST(test_overlapping_views_add_their_gradients) {
    enum { N = 8, WINDOW = 3 };
    reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(N), 1), *loss = filled(REEL_F64, 0, NULL, 0);
    for (int i = 0; i + WINDOW <= N; i++)
        loss = reel_add(ctx, loss, sum(reel_narrow(ctx, x, 0, i, WINDOW)));
    backward(loss);
    expect_gradients(x, (const double[N]){1, 2, 3, 3, 3, 3, 2, 1}, EXACTLY);
}
END_TEST

/* A view of x that the draw chooses by its shape alone; now and then one that must copy. */
static reel_tensor *look(reel_tensor *x, reel_random *r) {
    enum { MERGE, SPLIT_AXIS, TURN, EXCHANGE, NARROW, EXPAND, HALVES, LOOKS, MOST = 200 };
    const int axis = (int)reel_random_below(r, (uint32_t)x->rank), last = x->rank - 1;
    const int64_t size = x->shape[axis], start = reel_random_below(r, (uint32_t)size);
    int64_t shape[REEL_MAX_RANK + 1];
    int rank = 0, turned[REEL_MAX_RANK];
    reel_tensor *half[2];
    switch (reel_random_below(r, LOOKS)) {
    case MERGE: /* with the axis before */
        for (int i = 0; i < x->rank; i++)
            if (i == axis && i > 0)
                shape[rank - 1] *= x->shape[i];
            else
                shape[rank++] = x->shape[i];
        return reel_reshape(ctx, x, rank, shape);
    case SPLIT_AXIS:
        if (size % 2 != 0 || x->rank == REEL_MAX_RANK)
            return x;
        for (int i = 0; i < x->rank; i++) {
            if (i == axis)
                shape[rank++] = 2;
            shape[rank++] = i == axis ? size / 2 : x->shape[i];
        }
        return reel_reshape(ctx, x, rank, shape);
    case TURN:
        for (int i = 0; i < x->rank; i++)
            turned[i] = (i + axis) % x->rank;
        return reel_permute(ctx, x, turned);
    case EXCHANGE:
        return reel_transpose(ctx, x, axis, last);
    case NARROW:
        return reel_narrow(ctx, x, axis, start, size - start);
    case EXPAND:
        if (x->rank == REEL_MAX_RANK || reel_elements(x) > MOST)
            return x;
        shape[0] = 2;
        for (int i = 0; i < x->rank; i++)
            shape[i + 1] = x->shape[i];
        return reel_expand(ctx, x, x->rank + 1, shape);
    default: /* HALVES, exchanged */
        if (start == 0)
            return x;
        reel_split(ctx, x, axis, (const int64_t[]){start, size - start}, 2, half);
        return reel_concat(ctx, (reel_tensor *const[]){half[1], half[0]}, 2, axis);
    }
}

/* Adds sum(w * looks at x), w = 1, 2, ..., to *loss, and to want where those looks find the positions. */
static void add_looks(reel_tensor *x, reel_tensor *positions, uint64_t index, reel_tensor **loss,
                      double *want) {
    enum { DEEP = 8 };
    const reel_draw draw = {.stream = REEL_STREAM_USER, .index = index};
    reel_random r = reel_random_begin(0, draw), again = r;
    reel_tensor *found = positions;
    for (int i = 0; i < DEEP; i++) {
        x = look(x, &r);
        found = look(found, &again);
    }
    found = reel_clone(ctx, found);
    const int64_t n = reel_elements(found);
    for (int64_t i = 0; i < n; i++)
        want[(int)((const double *)found->data)[i]] += (double)(i + 1);
    *loss = reel_add(ctx, *loss, sum(reel_mul(ctx, x, counting(REEL_F64, x->rank, x->shape, 1, (int)n))));
}

/* Any views of views of views: what they do to a tensor of positions says where gradients must arrive. */
START_TEST(test_random_views_of_views_send_gradients_home) {
    enum { ROUNDS = 200, N = 24 };
    for (uint64_t round = 0; round < ROUNDS; round++) {
        double want[N] = {0};
        reel_tensor *x = leaf(REEL_F64, REEL_SHAPE(4, 6), 1);
        reel_tensor *positions = counting(REEL_F64, REEL_SHAPE(4, 6), 0, N);
        reel_tensor *loss = filled(REEL_F64, 0, NULL, 0);
        add_looks(x, positions, 3 * round, &loss, want);     /* at the leaf */
        reel_tensor *y = reel_scale(ctx, x, 1);              /* and at a result, */
        add_looks(y, positions, 3 * round + 1, &loss, want); /* twice */
        add_looks(y, positions, 3 * round + 2, &loss, want);
        backward(loss);
        expect_gradients(x, want, EXACTLY);
        ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
    }
}
END_TEST

/* ---- backward again ------------------------------------------------------------------------------------ */

/* One network, two losses. */
static void two_losses(reel_tensor *w, reel_tensor *x, reel_tensor *loss[2]) {
    reel_tensor *h = reel_tanh(ctx, reel_linear(ctx, x, w, NULL));
    reel_tensor *y = reel_softmax(ctx, reel_rms_norm(ctx, reel_add(ctx, h, x), NULL, -1, 1e-5), -1);
    loss[0] = sum(reel_mul(ctx, y, y));
    loss[1] = sum(reel_log(ctx, reel_transpose(ctx, y, 0, 1)));
}

START_TEST(test_losses_share_a_tape_that_is_kept) {
    enum { B = 3, N = 4 };
    reel_tensor *w = counting_leaf(REEL_F64, REEL_SHAPE(N, N), -1, 3),
                *x = counting(REEL_F64, REEL_SHAPE(B, N), -3, 7);
    double alone[2][N * N], both[N * N];
    reel_tensor *loss[2];
    for (int i = 0; i < 2; i++) {
        two_losses(w, x, loss);
        backward(loss[i]);
        ck_assert_int_eq(reel_read(ctx, reel_grad(ctx, w), alone[i], sizeof alone[i]), REEL_OK);
        reel_tape_reset(ctx);
        reel_zero_grad(w);
    }
    two_losses(w, x, loss);
    for (int again = 0; again < 3; again++)
        for (int i = 0; i < 2; i++) { /* the same bits every time */
            reel_zero_grad(w);
            keep_tape_and_go_back(loss[i]);
            expect_gradients(w, alone[i], EXACTLY);
        }
    reel_zero_grad(w);
    keep_tape_and_go_back(loss[0]);
    backward(loss[1]);
    for (int i = 0; i < N * N; i++)
        both[i] = alone[0][i] + alone[1][i];
    expect_gradients(w, both, rounded);
}
END_TEST

/* ---- accumulation -------------------------------------------------------------------------------------- */

enum { ROWS = 12, IN = 4, OUT = 3 };

/* Adds |X W^T - Y|^2 of the rows from `first` on, `count` of them, to W's gradient. */
static void accumulate_rows(reel_tensor *W, reel_tensor *X, reel_tensor *Y, int first, int count) {
    reel_tensor *y = reel_linear(ctx, reel_narrow(ctx, X, 0, first, count), W, NULL);
    reel_tensor *off = reel_sub(ctx, y, reel_narrow(ctx, Y, 0, first, count));
    backward(sum(reel_mul(ctx, off, off)));
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
}

/* The same values in f64, owned until the context is freed. */
static const double *values_of(const reel_tensor *t) {
    reel_tensor *wide = reel_tensor_new(ctx, REEL_F64, t->rank, t->shape);
    ck_assert_int_eq(reel_copy(ctx, wide, t), REEL_OK);
    return wide->data;
}

/* 2 (X W^T - Y)^T X. All numbers are whole and small, so that no order of summing matters. */
START_TEST(test_gradients_of_batches_add_up_to_that_of_all) {
    static const reel_dtype dtypes[] = {REEL_F64, REEL_F32};
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        reel_tensor *W = counting_leaf(dtypes[d], REEL_SHAPE(OUT, IN), -2, 5);
        reel_tensor *X = counting(dtypes[d], REEL_SHAPE(ROWS, IN), -3, 7);
        reel_tensor *Y = counting(dtypes[d], REEL_SHAPE(ROWS, OUT), -5, 11);
        const double *w = values_of(W), *x = values_of(X), *y = values_of(Y);
        double want[OUT * IN] = {0};
        for (int b = 0; b < ROWS; b++)
            for (int o = 0; o < OUT; o++) {
                double off = -y[b * OUT + o];
                for (int i = 0; i < IN; i++)
                    off += w[o * IN + i] * x[b * IN + i];
                for (int i = 0; i < IN; i++)
                    want[o * IN + i] += 2 * off * x[b * IN + i];
            }
        for (int count = 1; count <= ROWS; count++) {
            reel_zero_grad(W);
            for (int first = 0; first < ROWS; first += count) /* the last may be smaller */
                accumulate_rows(W, X, Y, first, first + count <= ROWS ? count : ROWS - first);
            expect_gradients(W, want, EXACTLY);
        }
    }
}
END_TEST

/* ---- mixed dtypes -------------------------------------------------------------------------------------- */

/* sum(a b) + sum(b c), each product in the narrower dtype of its factors and summed in f32: da = b, db = a +
 * c, dc = b. */
START_TEST(test_one_graph_across_three_dtypes) {
    enum { N = 6 };
    reel_tensor *a = counting_leaf(REEL_F64, REEL_SHAPE(N), 1, N),
                *b = counting_leaf(REEL_F32, REEL_SHAPE(N), -3, N),
                *c = counting_leaf(REEL_BF16, REEL_SHAPE(N), 10, N);
    double to_b[N], of_b[N];
    for (int i = 0; i < N; i++) {
        of_b[i] = -3 + i;
        to_b[i] = (1 + i) + (10 + i);
    }
    reel_tensor *ab = reel_mul(ctx, reel_cast(ctx, a, REEL_F32), b);
    reel_tensor *bc =
        reel_mul(ctx, reel_cast(ctx, reel_scale(ctx, b, 1), REEL_BF16), c); /* no leaf is cast */
    backward(reel_add(ctx, sum(ab), sum(reel_cast(ctx, bc, REEL_F32))));
    ck_assert_int_eq(reel_grad(ctx, a)->dtype, REEL_F64);
    ck_assert_int_eq(reel_grad(ctx, c)->dtype, REEL_F32);
    expect_gradients(a, of_b, EXACTLY);
    expect_gradients(b, to_b, EXACTLY);
    expect_gradients(c, of_b, EXACTLY);
}
END_TEST

/* ---- where gradients stop ------------------------------------------------------------------------------ */

/* A straight-through estimator (Bengio et al. 2013): the value is [x > 0], the slope that of x. */
START_TEST(test_detach_lets_a_step_pass_its_gradient_straight_through) {
    enum { N = 5 };
    reel_tensor *x = counting_leaf(REEL_F64, REEL_SHAPE(N), -2, N), *one = filled(REEL_F64, REEL_SHAPE(N), 1);
    reel_tensor *zero = filled(REEL_F64, REEL_SHAPE(N), 0), *w = counting(REEL_F64, REEL_SHAPE(N), 3, N);
    reel_tensor *step = reel_where(ctx, reel_lt(ctx, zero, x), one, zero);
    reel_tensor *y = reel_add(ctx, x, reel_detach(ctx, reel_sub(ctx, step, x)));
    ck_assert_double_eq(reel_item(ctx, sum(y)), 2);
    backward(sum(reel_mul(ctx, reel_mul(ctx, y, y), w))); /* 2 w y */
    expect_gradients(x, (const double[N]){0, 0, 0, 2 * 6, 2 * 7}, EXACTLY);
}
END_TEST

/* z <- a z + x, most rounds without gradient and one with, as deep supervision does: z is then a constant. */
START_TEST(test_rounds_without_gradient_leave_a_constant) {
    enum { ROUNDS = 5, STEPS = 3 };
    const double a = 0.5, x = 3;
    reel_tensor *at_a = scalar(a), *at_x = scalar(x), *z = filled(REEL_F64, 0, NULL, 0), *loss = z;
    double value = 0, to_a = 0, to_x = 0;
    for (int step = 0; step < STEPS; step++) {
        const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
        for (int i = 0; i < ROUNDS; i++) {
            z = reel_add(ctx, reel_mul(ctx, at_a, z), at_x);
            reel_scope_roll(ctx, scope, &z, 1);
            value = a * value + x;
        }
        reel_scope_end(ctx, scope, &z, 1);
        ck_assert_int_eq(reel_needs_grad(z), 0);
        to_a += value;
        to_x += 1;
        value = a * value + x;
        z = reel_add(ctx, reel_mul(ctx, at_a, z), at_x);
        loss = reel_add(ctx, loss, z);
    }
    ck_assert_double_eq(reel_item(ctx, z), value);
    backward(loss);
    expect_derivative(at_a, to_a, rounded);
    expect_derivative(at_x, to_x, EXACTLY);
}
END_TEST

/* ---- what is made again -------------------------------------------------------------------------------- */

typedef struct mlp {
    int rank, axis;
    int64_t x[REEL_MAX_RANK], inner, out;
} mlp;

enum { X, UP, DOWN, LEAVES };

/* Goes back from sum w (y + y), y = down swiglu(up x), and returns it; `whole`: as one op, which goes through
 * its inside in parts, and makes it again where the axis is short. */
static double go_back_through(const mlp *m, bool whole, reel_tensor *leaf_of[LEAVES]) {
    const int64_t n = m->x[m->axis];
    reel_tensor *const x = leaf_of[X] =
        counting_leaf(REEL_F64, m->rank, m->x, -5, 11); /* no part begins as another */
    reel_tensor *const up = leaf_of[UP] = counting_leaf(REEL_F64, REEL_SHAPE(2 * m->inner, n), -1, 3);
    reel_tensor *const down = leaf_of[DOWN] = counting_leaf(REEL_F64, REEL_SHAPE(m->out, m->inner), -3, 7);
    reel_tensor *y[2];
    for (int i = 0; i < 2; i++) {
        if (whole)
            y[i] = reel_gated_mlp(ctx, x, up, down, m->axis);
        else if (m->axis == m->rank - 1)
            y[i] = reel_swiglu_linear(ctx, reel_linear(ctx, x, up, NULL), down, m->axis);
        else
            y[i] = reel_swiglu_linear(ctx, reel_matmul(ctx, up, x), down, m->axis);
    }
    reel_tensor *const w = counting(REEL_F64, y[0]->rank, y[0]->shape, -4, 9);
    reel_tensor *const loss = sum(reel_mul(ctx, w, reel_add(ctx, y[0], y[1])));
    backward(loss);
    return reel_item(ctx, loss);
}

/* Rows of 3 KiB between the products and examples of 450 or 2000, of which 4 MiB are gone through at a time;
 * and rows of 2 and 4 KiB, which lie a little further apart. What is kept comes in blocks, of rows or of
 * columns. Few rows of large weights take whole products, whether what is between is kept or made again. */
START_TEST(test_an_mlp_in_parts_has_the_gradients_of_a_whole_one) {
    static const mlp mlps[] = {{.rank = 2, .axis = 1, .x = {2000, 40}, .inner = 192, .out = 24},
                               {.rank = 2, .axis = 1, .x = {2000, 130}, .inner = 192, .out = 24},
                               {.rank = 2, .axis = 1, .x = {1100, 40}, .inner = 256, .out = 24},
                               {.rank = 2, .axis = 1, .x = {301, 130}, .inner = 640, .out = 24},
                               {.rank = 2, .axis = 1, .x = {301, 90}, .inner = 1024, .out = 24},
                               {.rank = 3, .axis = 1, .x = {19, 40, 300}, .inner = 96, .out = 24},
                               {.rank = 3, .axis = 1, .x = {19, 40, 256}, .inner = 96, .out = 24},
                               {.rank = 3, .axis = 1, .x = {5, 130, 1301}, .inner = 96, .out = 24}};
    for (size_t i = 0; i < sizeof mlps / sizeof mlps[0]; i++) {
        reel_tensor *parts[LEAVES], *steps[LEAVES];
        const double in_parts = go_back_through(&mlps[i], true, parts);
        ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
        const double in_steps = go_back_through(&mlps[i], false, steps);
        ck_assert_double_eq_tol(in_parts, in_steps, 1e-10 * fabs(in_steps));
        for (int k = 0; k < LEAVES; k++)
            expect_gradients(parts[k], reel_grad(ctx, steps[k])->data, rounded_often);
    }
}
END_TEST

/* ---- main ---------------------------------------------------------------------------------------------- */

int main(void) {
    const TTest *const tests[] = {
        test_a_lattice_of_sums_counts_its_paths,
        test_products_of_products_give_fibonacci_powers,
        test_a_quadratic_form_has_both_gradients_of_its_argument,
        test_a_matrix_may_be_its_own_factor,
        test_products_of_whole_numbers_are_exact_however_their_rows_lie,
        test_a_tensor_may_be_added_a_hundred_times,
        test_a_tensor_may_be_multiplied_a_hundred_times,
        test_gradients_of_different_rules_add_up,
        test_a_chain_of_thirty_thousand_nodes,
        test_a_chain_through_rolling_scopes,
        test_views_of_views_send_gradients_home,
        test_overlapping_views_add_their_gradients,
        test_random_views_of_views_send_gradients_home,
        test_losses_share_a_tape_that_is_kept,
        test_gradients_of_batches_add_up_to_that_of_all,
        test_one_graph_across_three_dtypes,
        test_detach_lets_a_step_pass_its_gradient_straight_through,
        test_rounds_without_gradient_leave_a_constant,
        test_an_mlp_in_parts_has_the_gradients_of_a_whole_one,
    };
    return run_tests("graphs", tests, sizeof tests / sizeof tests[0]);
}
