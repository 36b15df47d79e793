/* Rows that are done leave a batch, and the rest move together. */
#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/ops.h>

/* The shape of `t` with `count` rows. */
static void shape_with_rows(int64_t shape[static REEL_MAX_RANK], const reel_tensor *t, int64_t count) {
    for (int i = 0; i < t->rank; i++)
        shape[i] = i == 0 ? count : t->shape[i];
}

/* Replaces *slot (B, ...) by a tensor of `count` rows, of zeros. */
static void resize(reel_context *ctx, reel_tensor **slot, int64_t count) {
    int64_t shape[REEL_MAX_RANK];
    reel_tensor *const before = *slot;
    shape_with_rows(shape, before, count);
    *slot = reel_tensor_new(ctx, before->dtype, before->rank, shape);
    reel_tensor_free(ctx, before);
}

/* Replaces *slot (B, ...) by those of its rows that indices (count) i32 names. */
static void pick(reel_context *ctx, reel_tensor **slot, reel_tensor *indices) {
    const int64_t count = indices->shape[0];
    int64_t shape[REEL_MAX_RANK], ones[REEL_MAX_RANK] = {count, 1, 1, 1, 1, 1};
    shape_with_rows(shape, *slot, count);
    const int rank = (*slot)->rank;
    reel_tensor *of_rows = reel_expand(ctx, reel_reshape(ctx, indices, rank, ones), rank, shape);
    reel_tensor *picked = reel_gather(ctx, *slot, 0, of_rows); /* (count, ...) */
    resize(ctx, slot, count);
    reel_copy(ctx, *slot, picked);
}

static reel_status check_rows(reel_context *ctx, const reel_carry *carry, const int32_t *rows,
                              int64_t count) {
    const int64_t B = carry->batch_size;
    if (count < 1 || count > B)
        return reel_context_fail(ctx, REEL_ERROR_ARGUMENT, "carry: cannot keep %lld rows of %lld",
                                 (long long)count, (long long)B);
    for (int64_t i = 0; i < count; i++)
        if (rows[i] < 0 || rows[i] >= B)
            return reel_context_fail(ctx, REEL_ERROR_ARGUMENT, "carry: there is no row %lld among %lld",
                                     (long long)rows[i], (long long)B);
    return REEL_OK;
}

reel_status reel_carry_compact(reel_context *ctx, reel_carry *carry, const int32_t *rows, int64_t count) {
    const reel_status status = check_rows(ctx, carry, rows, count);
    if (status != REEL_OK)
        return status;
    reel_tensor **const moved[] = {&carry->inputs, &carry->labels, &carry->puzzle_identifiers, &carry->steps,
                                   &carry->halted};
    reel_tensor **const written_anew[] = {&carry->offered_inputs, &carry->offered_labels,
                                          &carry->offered_identifiers, &carry->least_steps};
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_tensor *indices = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(count));
    reel_write(ctx, indices, rows, (size_t)count * sizeof *rows);
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++)
        pick(ctx, moved[i], indices);
    for (int i = 0; i < REEL_MAX_LATENTS && carry->latents.z[i]; i++)
        pick(ctx, &carry->latents.z[i], indices);
    for (size_t i = 0; i < sizeof written_anew / sizeof written_anew[0]; i++)
        resize(ctx, written_anew[i], count);
    if (carry->puzzle_rows) { /* read from the table at every step */
        resize(ctx, &carry->puzzle_rows, count);
        reel_require_grad(ctx, carry->puzzle_rows);
    }
    carry->batch_size = count;
    reel_tensor_free(ctx, indices);
    reel_scope_end(ctx, scope, NULL, 0);
    return reel_context_status(ctx);
}
