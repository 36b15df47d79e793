/* The gradient check: reverse mode against central differences. */
#include "tape.h"

#include <math.h>
#include <stdlib.h>

enum { REEL__STREAM_CHECK = REEL_STREAM_USER - 1 };

/* The weights of the loss: fixed random numbers, so that no symmetry of the function hides an error. */
static double weight(const reel_context *ctx, int64_t element) {
    const reel_draw draw = {.stream = REEL__STREAM_CHECK, .index = (uint64_t)element};
    reel_random r = reel_random_begin(ctx->seed, draw);
    return 2 * reel_random_uniform(&r) - 1;
}

/* The values of an f64 tensor on the host, until the tape is reset; NULL with the error kept. */
static double *values_of(reel_context *ctx, const reel_tensor *x) {
    const size_t bytes = (size_t)reel_elements(x) * sizeof(double);
    double *values = reel__failed(ctx) ? NULL : reel__region_take(ctx, bytes);
    return values && reel_read(ctx, x, values, bytes) == REEL_OK ? values : NULL;
}

/* One element of a row-major f64 tensor, by value. */
static reel_tensor element_of(const reel_tensor *x, int64_t element) {
    reel_tensor one = *x;
    one.rank = 0;
    one.data = (double *)x->data + element;
    return one;
}

/* y -> sum(w * y), the last op before the check's own backward. */
static void weighted_sum_backward(reel_context *ctx, const reel_node *node) {
    reel_tensor *dy = reel__result(ctx, node->in[0]->dtype, node->in[0]->rank, node->in[0]->shape);
    const size_t bytes = (size_t)reel_elements(dy) * sizeof(double);
    double *weights = reel__failed(ctx) ? NULL : reel__region_take(ctx, bytes);
    if (!weights)
        return;
    const double scale = reel_item(ctx, node->grad);
    for (int64_t i = 0, n = reel_elements(dy); i < n; i++)
        weights[i] = scale * weight(ctx, i);
    reel_write(ctx, dy, weights, bytes);
    reel__pass_gradient(ctx, node, 0, dy);
}

static reel_tensor *weighted_sum(reel_context *ctx, reel_tensor *y) {
    if (!reel__check_float(ctx, "gradient check", y))
        return ctx->void_tensor;
    if (y->dtype != REEL_F64) {
        reel__error(ctx, REEL_ERROR_DTYPE, "gradient check", "result is %s, must be f64",
                    reel_dtype_name(y->dtype));
        return ctx->void_tensor;
    }
    const double *values = values_of(ctx, y);
    reel_tensor *loss = reel__result(ctx, REEL_F64, 0, NULL);
    if (!values || reel__failed(ctx))
        return ctx->void_tensor;
    double sum = 0;
    for (int64_t i = 0, n = reel_elements(y); i < n; i++)
        sum += weight(ctx, i) * values[i];
    reel_write(ctx, loss, &sum, sizeof sum);
    return REEL_RECORD(ctx, loss, .op = "gradient check", .backward = weighted_sum_backward, .inputs = {y});
}

/* loss(inputs) with one element moved; the tape is left empty. */
static reel_status loss_at(reel_context *ctx, reel_check_fn fn, void *arg, reel_tensor *const *inputs,
                           int input, int64_t element, double value, double *loss) {
    reel_tensor at = element_of(inputs[input], element);
    const double before = reel_item(ctx, &at);
    reel_write(ctx, &at, &value, sizeof value);
    reel_touch(inputs[input]);
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    *loss = reel_item(ctx, weighted_sum(ctx, fn(ctx, inputs, arg)));
    reel_scope_end(ctx, scope, NULL, 0);
    reel_write(ctx, &at, &before, sizeof before);
    reel_touch(inputs[input]);
    return ctx->error.status;
}

static reel_status check_element(reel_context *ctx, reel_check_fn fn, void *arg, reel_tensor *const *inputs,
                                 int input, int64_t element, double analytic, reel_check *check) {
    const reel_tensor at = element_of(inputs[input], element);
    const double x = reel_item(ctx, &at), h = check->step * fmax(1, fabs(x));
    double up, down;
    reel_status status = loss_at(ctx, fn, arg, inputs, input, element, x + h, &up);
    if (status == REEL_OK)
        status = loss_at(ctx, fn, arg, inputs, input, element, x - h, &down);
    if (status != REEL_OK)
        return status;
    const double numeric = (up - down) / ((x + h) - (x - h));
    const double error = fabs(analytic - numeric) / fmax(1, fmax(fabs(analytic), fabs(numeric)));
    if (!(error <= check->worst)) {
        check->worst = error;
        check->input = input;
        check->element = element;
        check->analytic = analytic;
        check->numeric = numeric;
    }
    if (!(error <= check->tolerance)) /* also when it is NaN */
        return reel__error(ctx, isnan(error) ? REEL_ERROR_NOT_FINITE : REEL_ERROR_ARGUMENT, "gradient check",
                           "input %d element %lld: backward gives %.10g, differences give %.10g", input,
                           (long long)element, analytic, numeric);
    return REEL_OK;
}

reel_status reel_gradient_check(reel_context *ctx, reel_check_fn fn, void *arg, reel_tensor *const *inputs,
                                int n, reel_check *check) {
    const double default_step = 1e-5, default_tolerance = 1e-6;
    check->step = check->step > 0 ? check->step : default_step;
    check->tolerance = check->tolerance > 0 ? check->tolerance : default_tolerance;
    check->worst = 0;
    for (int i = 0; i < n; i++)
        reel_zero_grad(inputs[i]);
    reel_status status = reel_backward(ctx, weighted_sum(ctx, fn(ctx, inputs, arg)));
    for (int i = 0; i < n && status == REEL_OK; i++) {
        if (!reel_needs_grad(inputs[i]))
            continue;
        if (inputs[i]->dtype != REEL_F64)
            return reel__error(ctx, REEL_ERROR_DTYPE, "gradient check", "input %d is %s, must be f64", i,
                               reel_dtype_name(inputs[i]->dtype));
        const reel_tensor *gradient = reel_grad(ctx, inputs[i]);
        for (int64_t j = 0; j < reel_elements(inputs[i]) && status == REEL_OK; j++) {
            const reel_tensor analytic = element_of(gradient, j);
            status = check_element(ctx, fn, arg, inputs, i, j, reel_item(ctx, &analytic), check);
        }
    }
    return status;
}
