/* Sign-SGD on the rows of a table that a batch names. */
#include "optim_kernels.h"
#include "row_groups.h"
#include "tape.h"

#include <math.h>
#include <stdlib.h>

/* N rows of the table, D elements per row, B examples. */

static reel_status check_layout(reel_context *ctx, const reel_tensor *table, const reel_tensor *ids,
                                const reel_tensor *gradient) {
    if (reel__failed(ctx))
        return ctx->error.status;
    if (!table->data || !ids->data || !gradient->data)
        return reel__error(ctx, REEL_ERROR_STATE, "sign_sgd", "no tensor");
    if ((table->dtype != REEL_F32 && table->dtype != REEL_F64) || gradient->dtype != table->dtype ||
        ids->dtype != REEL_I32)
        return reel__error(ctx, REEL_ERROR_DTYPE, "sign_sgd",
                           "table %s, ids %s, gradient %s: must be f32 or f64, i32, and as the table",
                           reel_dtype_name(table->dtype), reel_dtype_name(ids->dtype),
                           reel_dtype_name(gradient->dtype));
    if (table->rank != 2 || ids->rank != 1 || gradient->rank != 2 || gradient->shape[0] != ids->shape[0] ||
        gradient->shape[1] != table->shape[1])
        return reel__error(
            ctx, REEL_ERROR_SHAPE, "sign_sgd", "table %s, ids %s, gradient %s: must be (N,D), (B) and (B,D)",
            reel__shape_text(table->rank, table->shape).text, reel__shape_text(ids->rank, ids->shape).text,
            reel__shape_text(gradient->rank, gradient->shape).text);
    if (!reel_is_contiguous(table) || !reel_is_contiguous(ids) || !reel_is_contiguous(gradient))
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "sign_sgd", "all tensors must be row-major");
    return REEL_OK;
}

static reel_status check_rates(reel_context *ctx, const reel_tensor *rates) {
    if (reel_is_void(rates) || !rates->data)
        return reel__error(ctx, REEL_ERROR_STATE, "sign_sgd", "no rates");
    if (rates->dtype != REEL_F64)
        return reel__error(ctx, REEL_ERROR_DTYPE, "sign_sgd", "rates are %s, must be f64",
                           reel_dtype_name(rates->dtype));
    if (rates->rank != 1 || rates->shape[0] != REEL__SIGN_RATES || !reel_is_contiguous(rates))
        return reel__error(ctx, REEL_ERROR_SHAPE, "sign_sgd", "rates %s must be (2), row-major",
                           reel__shape_text(rates->rank, rates->shape).text);
    return REEL_OK;
}

reel_status reel_sign_sgd_schedule(reel_context *ctx, reel_tensor *rates, double lr, double weight_decay) {
    if (reel__failed(ctx) || reel__needs_host(ctx, "reel_sign_sgd_schedule takes rates of the host"))
        return ctx->error.status;
    if (!(lr >= 0) || !isfinite(lr) || !(weight_decay >= 0) || !isfinite(weight_decay))
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "sign_sgd",
                           "lr is %g and weight_decay %g, must be 0 or more", lr, weight_decay);
    if (check_rates(ctx, rates) != REEL_OK)
        return ctx->error.status;
    const double values[] = {[REEL__SIGN_LR] = lr, [REEL__SIGN_DECAY] = 1 - lr * weight_decay};
    return reel_write(ctx, rates, values, sizeof values);
}

reel_status reel_sign_sgd_apply(reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                                const reel_tensor *gradient, const reel_tensor *rates) {
    if (check_layout(ctx, table, ids, gradient) != REEL_OK || check_rates(ctx, rates) != REEL_OK ||
        ids->shape[0] == 0)
        return ctx->error.status;
    REEL_DISPATCH(ctx, sign_sgd_rows, (ctx, table, ids, gradient, rates));
    reel_touch(table);
    return ctx->error.status;
}

reel_status reel_sign_sgd_rows(reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                               const reel_tensor *gradient, double lr, double weight_decay) {
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_tensor *const rates = reel__result(ctx, REEL_F64, REEL_SHAPE(REEL__SIGN_RATES));
    if (check_layout(ctx, table, ids, gradient) == REEL_OK &&
        reel_sign_sgd_schedule(ctx, rates, lr, weight_decay) == REEL_OK)
        reel_sign_sgd_apply(ctx, table, ids, gradient, rates);
    reel_scope_end(ctx, scope, NULL, 0);
    return ctx->error.status;
}

/* ---- rows and the examples that name them, on the CPU -------------------------------------------------- */

static reel_status check_values(reel_context *ctx, const reel_tensor *table, const reel_tensor *ids,
                                const reel_tensor *gradient) {
    const int32_t *id = ids->data;
    for (int64_t i = 0; i < ids->shape[0]; i++)
        if (id[i] < 0 || id[i] >= table->shape[0])
            return reel__error(ctx, REEL_ERROR_ARGUMENT, "sign_sgd",
                               "ids[%lld] is %d, the table has %lld rows", (long long)i, (int)id[i],
                               (long long)table->shape[0]);
    for (int64_t i = 0, n = reel_elements(gradient); i < n; i++) {
        const double g = gradient->dtype == REEL_F64 ? ((const double *)gradient->data)[i]
                                                     : ((const float *)gradient->data)[i];
        if (!isfinite(g))
            return reel__error(ctx, REEL_ERROR_NOT_FINITE, "sign_sgd", "the gradient of example %lld is %g",
                               (long long)(i / gradient->shape[1]), g);
    }
    return REEL_OK;
}

static int by_key(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts keys of id and position, so that no two are equal and the order is one. */
reel__row_groups reel__group_rows(reel_context *ctx, const reel_tensor *table, const reel_tensor *ids,
                                  const reel_tensor *gradient) {
    reel__row_groups out = {0};
    const int32_t *id = ids->data;
    const int64_t B = ids->shape[0];
    if (check_values(ctx, table, ids, gradient) != REEL_OK)
        return out;
    int64_t *key = reel__region_take(ctx, (size_t)B * sizeof *key);
    reel__row_group *groups = reel__region_take(ctx, (size_t)B * sizeof *groups);
    if (!key || !groups)
        return out;
    for (int64_t i = 0; i < B; i++)
        key[i] = (int64_t)id[i] * B + i;
    qsort(key, (size_t)B, sizeof *key, by_key);
    out = (reel__row_groups){.order = key, .groups = groups};
    for (int64_t i = 0; i < B; i++) {
        const int64_t row = key[i] / B;
        if (out.count == 0 || groups[out.count - 1].row != row)
            groups[out.count++] = (reel__row_group){row, i, i};
        groups[out.count - 1].end++;
        key[i] %= B; /* the order, in the key's place */
    }
    return out;
}
