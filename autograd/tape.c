/* The tape: tensors made by ops, the nodes between them, scopes. */
#include "tape_state.h"

#include "loop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void tape_free(reel_context *ctx) {
    reel_tape_reset(ctx);
    free(ctx->tape->live);
    free(ctx->tape->nodes);
    free(ctx->tape->scopes);
    free(ctx->tape);
    ctx->tape = NULL;
}

reel__tape *reel__tape_of(reel_context *ctx) {
    if (!ctx->tape) {
        ctx->tape = calloc(1, sizeof *ctx->tape);
        ctx->tape_free = ctx->tape ? tape_free : NULL;
        if (!ctx->tape)
            reel__error(ctx, REEL_ERROR_MEMORY, "tape", "no memory");
    }
    return ctx->tape;
}

bool reel__grow(reel_context *ctx, void *array, int64_t *room, int64_t count, size_t size) {
    enum { FIRST_ROOM = 256 };
    if (count < *room)
        return true;
    const int64_t larger = *room ? 2 * *room : FIRST_ROOM;
    void *grown = realloc(*(void **)array, (size_t)larger * size);
    if (!grown) {
        reel__error(ctx, REEL_ERROR_MEMORY, "tape", "no memory for %lld entries", (long long)larger);
        return false;
    }
    ctx->pool.memory.system_allocations++;
    *(void **)array = grown;
    *room = larger;
    return true;
}

bool reel__grad_enabled(const reel__tape *tape) {
    return tape->depth == 0 || !tape->scopes[tape->depth - 1].no_grad;
}

/* ---- checks -------------------------------------------------------------------------------------------- */

bool reel__check_inputs(reel_context *ctx, const char *op, reel_tensor *const *inputs, int n) {
    ctx->op = op;
    if (reel__failed(ctx))
        return false;
    for (int i = 0; i < n; i++) {
        const reel_tensor *x = inputs[i];
        if (!x || reel_is_void(x))
            reel__error(ctx, REEL_ERROR_ARGUMENT, op, "input %d is no tensor", i);
        else if (!x->data)
            reel__error(ctx, REEL_ERROR_STATE, op, "input %d %s was freed at the end of its scope; keep it",
                        i, reel__shape_text(x->rank, x->shape).text);
        if (reel__failed(ctx))
            return false;
    }
    return true;
}

bool reel__check_float(reel_context *ctx, const char *op, reel_tensor *x) {
    if (!reel__check_inputs(ctx, op, &x, 1))
        return false;
    if (!reel__is_float(x->dtype)) {
        reel__error(ctx, REEL_ERROR_DTYPE, op, "input is %s, must be f64, f32 or bf16",
                    reel_dtype_name(x->dtype));
        return false;
    }
    return true;
}

int reel__check_axis(reel_context *ctx, const char *op, const reel_tensor *x, int axis) {
    const int positive = axis < 0 ? axis + x->rank : axis;
    if (positive >= 0 && positive < x->rank)
        return positive;
    reel__error(ctx, REEL_ERROR_SHAPE, op, "axis %d of a tensor of rank %d %s", axis, x->rank,
                reel__shape_text(x->rank, x->shape).text);
    return -1;
}

/* ---- results ------------------------------------------------------------------------------------------- */

/* Puts a header that holds storage on the list of the living; gives it up when there is no room. */
static reel_tensor *append_live(reel_context *ctx, reel_tensor *t) {
    reel__tape *tape = reel__tape_of(ctx);
    if (!tape || !reel__grow(ctx, &tape->live, &tape->live_room, tape->live_count, sizeof(reel_tensor *))) {
        reel__drop(ctx, t);
        return ctx->void_tensor;
    }
    tape->live[tape->live_count++] = t;
    return t;
}

reel_tensor *reel__result(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape) {
    if (reel__failed(ctx))
        return ctx->void_tensor;
    const int64_t count = reel__count(dtype, rank, shape);
    if (count < 0) {
        reel__error(ctx, REEL_ERROR_SHAPE, "tape", "result %s is too large",
                    rank <= REEL_MAX_RANK ? reel__shape_text(rank, shape).text : "of more than 6 axes");
        return ctx->void_tensor;
    }
    const size_t bytes = (size_t)count * reel_dtype_bytes(dtype);
    reel_tensor *t = reel__header(ctx, dtype, rank, shape);
    reel__storage *storage = t ? reel__storage_new(ctx, bytes) : NULL;
    if (!storage) {
        reel__no_memory(ctx, NULL, bytes, "a result %s", reel__shape_text(rank, shape).text);
        return ctx->void_tensor;
    }
    reel__storage_mark_tape(ctx, storage);
    reel__inside(t)->storage = storage;
    t->data = storage->data;
    return append_live(ctx, t);
}

reel_tensor *reel__result_like(reel_context *ctx, const reel_tensor *x) {
    return reel__result(ctx, x->dtype, x->rank, x->shape);
}

reel_tensor *reel_constant(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape,
                           double value) {
    ctx->op = "constant";
    reel_tensor *t = reel__result(ctx, dtype, rank, shape);
    if (!reel_is_void(t))
        reel__fill_values(ctx, t, value);
    return t;
}

reel_tensor *reel__view(reel_context *ctx, const reel_tensor *x, int rank, const int64_t *shape,
                        const int64_t *stride, int64_t offset) {
    reel_tensor *t = reel__failed(ctx) ? NULL : reel__header(ctx, x->dtype, rank, shape);
    if (!t)
        return ctx->void_tensor;
    memcpy(t->stride, stride, (size_t)rank * sizeof *stride);
    reel__share(ctx, t, x, offset);
    return append_live(ctx, t);
}

reel_tensor *reel__cast_view(reel_context *ctx, reel_tensor *copy, reel_tensor *x) {
    reel_tensor *view = reel__view(ctx, copy, copy->rank, copy->shape, copy->stride, 0);
    if (!reel_is_void(view) && reel__inside(x)->needs_grad && reel__grad_enabled(ctx->tape)) {
        reel__inside(view)->needs_grad = true;
        reel__inside(view)->master = x;
    }
    return view;
}

reel_tensor *reel__row_major(reel_context *ctx, reel_tensor *x) {
    if (reel_is_contiguous(x))
        return x;
    reel_tensor *y = reel__result_like(ctx, x);
    if (!reel_is_void(y))
        reel__copy_values(ctx, y, x, false);
    return y;
}

/* ---- recording ----------------------------------------------------------------------------------------- */

/* A private header for a value that a rule will read: it holds the storage whatever happens to the original.
 */
static reel_tensor *save(reel_context *ctx, const reel_tensor *x) {
    reel_tensor *saved = reel__header(ctx, x->dtype, x->rank, x->shape);
    if (!saved)
        return NULL;
    memcpy(saved->stride, x->stride, sizeof saved->stride);
    saved->id = x->id;
    saved->version = x->version;
    reel__share(ctx, saved, x, 0);
    return saved;
}

/* REEL_CHECK=1: names the first op whose result is not finite. */
static void check_finite(reel_context *ctx, const char *op, reel_tensor *y) {
    if (!reel__is_float(y->dtype) || reel_elements(y) == 0)
        return;
    const size_t bytes = (size_t)reel_elements(y) * sizeof(double);
    double *x = malloc(bytes);
    if (!x) {
        reel__error(ctx, REEL_ERROR_MEMORY, op, "no memory to check %zu bytes of its result", bytes);
        return;
    }
    reel_tensor host = {.dtype = REEL_F64, .rank = y->rank, .data = x};
    memcpy(host.shape, y->shape, sizeof host.shape);
    reel__contiguous_strides(y->rank, y->shape, host.stride);
    reel__read_values(ctx, &host, y);
    for (int64_t i = 0, n = reel_elements(y); i < n && !reel__failed(ctx); i++)
        if (!isfinite(x[i]))
            reel__error(ctx, REEL_ERROR_NOT_FINITE, op, "result %s is %g at element %lld",
                        reel__shape_text(y->rank, y->shape).text, x[i], (long long)i);
    free(x);
}

bool reel__records(reel_context *ctx, reel_tensor *const *inputs, int n) {
    const reel__tape *tape = reel__tape_of(ctx);
    bool needed = false;
    for (int i = 0; i < n; i++)
        needed |= inputs[i] && reel__inside(inputs[i])->needs_grad;
    return needed && tape && reel__grad_enabled(tape);
}

/* Views move no bytes. */
static void profile(reel_context *ctx, const reel_tensor *y, const reel_record *record) {
    double bytes = 0;
    bool view = false;
    for (int i = 0; i < REEL__MAX_INPUTS; i++) {
        const reel_tensor *x = record->inputs[i];
        if (!x)
            continue;
        bytes += reel__bytes(x);
        view |= reel__inside(x)->storage == reel__inside(y)->storage;
    }
    reel__profile_add(ctx, record->op, false, view ? 0 : bytes + reel__bytes(y));
}

reel_tensor *reel__record(reel_context *ctx, reel_tensor *y, const reel_record *record) {
    if (reel__failed(ctx) || reel_is_void(y))
        return ctx->void_tensor;
    if (reel__profiling(ctx))
        profile(ctx, y, record);
    if (ctx->check_finite)
        check_finite(ctx, record->op, y);
    if (reel__failed(ctx))
        return ctx->void_tensor;
    reel__tape *tape = reel__tape_of(ctx);
    if (!record->backward || !reel__is_float(y->dtype) ||
        !reel__records(ctx, record->inputs, REEL__MAX_INPUTS))
        return y;
    reel_node *node = reel__region_take(ctx, sizeof *node);
    if (!node || !reel__grow(ctx, &tape->nodes, &tape->node_room, tape->node_count, sizeof(reel_node *)))
        return ctx->void_tensor;
    node->op = record->op;
    node->backward = record->backward;
    node->out = y;
    memcpy(node->in, record->inputs, sizeof node->in);
    memcpy(node->number, record->number, sizeof node->number);
    memcpy(node->integer, record->integer, sizeof node->integer);
    tape->nodes[tape->node_count++] = node;
    for (int i = 0; i < REEL__MAX_SAVED; i++)
        if (record->saved[i])
            node->saved[i] = save(ctx, record->saved[i]);
    reel__inside(y)->needs_grad = true;
    reel__inside(y)->node = node;
    return reel__failed(ctx) ? ctx->void_tensor : y;
}

void reel__release_node(reel_context *ctx, reel_node *node) {
    for (int i = 0; i < REEL__MAX_SAVED; i++)
        if (node->saved[i])
            reel__drop(ctx, node->saved[i]);
}

/* ---- the end of a step --------------------------------------------------------------------------------- */

reel_status reel_tape_reset(reel_context *ctx) {
    reel__tape *tape = ctx->tape;
    if (tape) {
        for (int64_t i = 0; i < tape->node_count; i++) {
            reel_tensor *grad = reel__inside(tape->nodes[i]->out)->grad;
            if (grad)
                reel__drop(ctx, grad);
            reel__release_node(ctx, tape->nodes[i]);
        }
        reel__drop_from(ctx, 0, NULL, 0);
        tape->node_count = 0;
        tape->depth = 0;
        reel__region_reset(&ctx->region);
        ctx->pool.tape_peak_bytes = 0;
    }
    const reel_status status = ctx->error.status;
    ctx->error = (reel_error){0};
    return status;
}

reel_status reel_end_step(reel_context *ctx, reel_error *error) {
    if (reel__failed(ctx))
        reel_fail(error, ctx->error.status, "%s", ctx->error.message);
    return reel_tape_reset(ctx);
}

reel_tape_info reel_tape_of(const reel_context *ctx) {
    return (reel_tape_info){
        .tensors = ctx->tape ? ctx->tape->live_count : 0,
        .nodes = ctx->tape ? ctx->tape->node_count : 0,
        .live_bytes = ctx->pool.tape_bytes,
        .peak_bytes = ctx->pool.tape_peak_bytes,
    };
}

/* ---- scopes -------------------------------------------------------------------------------------------- */

static bool is_kept(const reel_tensor *t, reel_tensor *const *keep, int n) {
    for (int i = 0; i < n; i++)
        if (keep[i] == t)
            return true;
    return false;
}

void reel__drop_from(reel_context *ctx, int64_t first, reel_tensor *const *keep, int n) {
    reel__tape *tape = ctx->tape;
    int64_t kept = first;
    for (int64_t i = first; i < tape->live_count; i++) {
        reel_tensor *t = tape->live[i];
        if (is_kept(t, keep, n))
            tape->live[kept++] = t;
        else
            reel__drop(ctx, t);
    }
    tape->live_count = kept;
}

reel_scope reel_scope_begin(reel_context *ctx, unsigned flags) {
    reel__tape *tape = reel__tape_of(ctx);
    if (!tape)
        return (reel_scope){0};
    int64_t room = tape->scope_room;
    const bool grown = reel__grow(ctx, &tape->scopes, &room, tape->depth, sizeof *tape->scopes);
    tape->scope_room = (int)room;
    if (!grown)
        return (reel_scope){0};
    const bool no_grad = (flags & REEL_NO_GRAD) || !reel__grad_enabled(tape);
    tape->scopes[tape->depth++] = (reel__scope_state){tape->live_count, no_grad};
    return (reel_scope){tape->depth};
}

/* False, with the error kept, unless the scope is the innermost one open. */
static bool check_innermost(reel_context *ctx, reel_scope scope, const char *what) {
    if (ctx->tape && scope.depth > 0 && scope.depth == ctx->tape->depth)
        return true;
    reel__error(ctx, REEL_ERROR_STATE, what, "scope %d is not the innermost, which is %d", scope.depth,
                ctx->tape ? ctx->tape->depth : 0);
    return false;
}

void reel_scope_roll(reel_context *ctx, reel_scope scope, reel_tensor *const *keep, int n) {
    if (check_innermost(ctx, scope, "scope_roll"))
        reel__drop_from(ctx, ctx->tape->scopes[scope.depth - 1].first, keep, n);
}

void reel_scope_end(reel_context *ctx, reel_scope scope, reel_tensor *const *keep, int n) {
    if (!check_innermost(ctx, scope, "scope_end"))
        return;
    reel__drop_from(ctx, ctx->tape->scopes[scope.depth - 1].first, keep, n);
    ctx->tape->depth--;
}
