/* Backward: leaves, the walk over the nodes, and where rules write. */
#include "tape_state.h"

#include "loop.h"

#include <string.h>

/* ---- leaves -------------------------------------------------------------------------------------------- */

reel_status reel_require_grad(reel_context *ctx, reel_tensor *t) {
    reel_tensor *grad = reel_tensor_new(ctx, reel__wide(t->dtype), t->rank, t->shape);
    const reel_status status = reel_require_grad_in(ctx, t, grad);
    if (status != REEL_OK)
        reel_tensor_free(ctx, grad);
    return status;
}

reel_status reel_require_grad_in(reel_context *ctx, reel_tensor *t, reel_tensor *grad) {
    if (reel__failed(ctx))
        return ctx->error.status;
    reel__tensor *inside = reel__inside(t);
    if (!inside->owned || inside->is_leaf || !reel__is_float(t->dtype))
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "require_grad",
                           "%s %s must be float, owned and not a leaf already", reel_dtype_name(t->dtype),
                           reel__shape_text(t->rank, t->shape).text);
    if (grad->dtype != reel__wide(t->dtype) || !reel__same_shape(t, grad) || !reel_is_contiguous(grad))
        return reel__error(ctx, REEL_ERROR_SHAPE, "require_grad", "gradient %s %s does not fit %s",
                           reel_dtype_name(grad->dtype), reel__shape_text(grad->rank, grad->shape).text,
                           reel__shape_text(t->rank, t->shape).text);
    inside->grad = grad;
    inside->is_leaf = true;
    inside->needs_grad = true;
    inside->grad_written = false;
    return REEL_OK;
}

reel_tensor *reel_grad(reel_context *ctx, reel_tensor *t) {
    reel__tensor *inside = reel__inside(t);
    if (!inside->is_leaf)
        return NULL;
    if (!inside->grad_written)
        reel__fill_values(ctx, inside->grad, 0);
    inside->grad_written = true;
    return inside->grad;
}

void reel_zero_grad(reel_tensor *t) {
    reel__inside(t)->grad_written = false;
}

int reel_needs_grad(const reel_tensor *t) {
    return reel__inside(t)->needs_grad;
}

/* ---- where rules write --------------------------------------------------------------------------------- */

bool reel__wants_gradient(const reel_node *node, int input) {
    return node->in[input] && reel__inside(node->in[input])->needs_grad;
}

/* The tensor whose gradient counts: a cast copy of a leaf shares the leaf's. */
static reel_tensor *target_of(reel_tensor *t) {
    return reel__inside(t)->master ? reel__inside(t)->master : t;
}

/* A gradient header on the tape for t, with storage of its own; NULL when memory is short. Not on the list
 * of the living: it dies with its node. */
static reel_tensor *new_gradient(reel_context *ctx, const reel_tensor *t) {
    reel_tensor *grad = reel__header(ctx, t->dtype, t->rank, t->shape);
    if (!grad)
        return NULL;
    const size_t bytes = (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
    reel__storage *storage = reel__storage_new(ctx, bytes);
    if (!storage) {
        reel__no_memory(ctx, NULL, bytes, "a gradient %s", reel__shape_text(t->rank, t->shape).text);
        return NULL;
    }
    reel__storage_mark_tape(ctx, storage);
    reel__inside(grad)->storage = storage;
    grad->data = storage->data;
    return grad;
}

/* Whether a tape gradient can be added to in place: nobody else reads it, no two elements are one. */
static bool is_private(const reel_tensor *grad) {
    return reel__inside(grad)->storage->references == 1 && reel_is_contiguous(grad);
}

/* Makes t's existing tape gradient one that can be added to in place. */
static void make_private(reel_context *ctx, reel__tensor *t) {
    if (is_private(t->grad))
        return;
    reel_tensor *own = new_gradient(ctx, &t->pub);
    if (!own)
        return;
    reel__copy_values(ctx, own, t->grad, false);
    reel__drop(ctx, t->grad);
    t->grad = own;
}

/* The gradient of target itself, ready to be written. */
static reel__gradient write_to(reel_context *ctx, reel_tensor *target) {
    reel__tensor *t = reel__inside(target);
    const bool accumulate = t->grad_written;
    if (!t->is_leaf) {
        if (!t->grad)
            t->grad = new_gradient(ctx, target);
        else
            make_private(ctx, t);
    }
    if (reel__failed(ctx))
        return (reel__gradient){NULL, false};
    t->grad_written = true;
    return (reel__gradient){t->grad, accumulate};
}

reel__gradient reel__wide_gradient_of(reel_context *ctx, const reel_node *node, int input) {
    if (!reel__wants_gradient(node, input) || reel__failed(ctx))
        return (reel__gradient){NULL, false};
    return write_to(ctx, target_of(node->in[input]));
}

reel__gradient reel__gradient_of(reel_context *ctx, const reel_node *node, int input) {
    if (!reel__wants_gradient(node, input) || reel__failed(ctx))
        return (reel__gradient){NULL, false};
    reel_tensor *in = node->in[input], *target = target_of(in);
    const reel_dtype dtype = reel__inside(target)->is_leaf ? reel__wide(target->dtype) : target->dtype;
    if (dtype == in->dtype)
        return write_to(ctx, target);
    reel__tape *tape = ctx->tape;
    reel_tensor *written = reel__result_like(ctx, in);
    if (reel_is_void(written))
        return (reel__gradient){NULL, false};
    tape->pending[tape->pending_count++] = (reel__pending){written, target};
    return (reel__gradient){written, false};
}

reel_tensor *reel__partial_gradient_of(reel_context *ctx, const reel_node *node, int input) {
    const reel__gradient gradient = reel__gradient_of(ctx, node, input);
    if (gradient.to && !gradient.accumulate)
        reel__fill_values(ctx, gradient.to, 0);
    return gradient.to;
}

void reel__pass_gradient(reel_context *ctx, const reel_node *node, int input, reel_tensor *g) {
    if (!reel__wants_gradient(node, input) || reel__failed(ctx))
        return;
    reel_tensor *target = target_of(node->in[input]);
    reel__tensor *t = reel__inside(target);
    if (t->is_leaf || t->grad || g->dtype != target->dtype) {
        const reel__gradient gradient = write_to(ctx, target);
        if (gradient.to)
            reel__copy_values(ctx, gradient.to, g, gradient.accumulate);
        return;
    }
    t->grad = reel__header(ctx, g->dtype, g->rank, g->shape);
    if (!t->grad)
        return;
    memcpy(t->grad->stride, g->stride, sizeof g->stride);
    reel__share(ctx, t->grad, g, 0);
    t->grad_written = true;
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

/* Brings what the rule wrote in the op's dtype into the leaves. */
static void deliver_pending(reel_context *ctx) {
    reel__tape *tape = ctx->tape;
    for (int i = 0; i < tape->pending_count && !reel__failed(ctx); i++) {
        const reel__gradient gradient = write_to(ctx, tape->pending[i].leaf);
        if (gradient.to)
            reel__copy_values(ctx, gradient.to, tape->pending[i].written, gradient.accumulate);
    }
    tape->pending_count = 0;
}

/* The gradient that came, the values saved, the gradients written. */
static void profile(reel_context *ctx, const reel_node *node) {
    double bytes = reel__bytes(node->grad);
    for (int i = 0; i < REEL__MAX_SAVED; i++)
        bytes += node->saved[i] ? reel__bytes(node->saved[i]) : 0;
    for (int i = 0; i < REEL__MAX_INPUTS; i++)
        bytes += reel__wants_gradient(node, i) ? reel__bytes(node->in[i]) : 0;
    reel__profile_add(ctx, node->op, true, bytes);
}

/* One node: run the rule, then free what only it needed. */
static void step(reel_context *ctx, reel_node *node, bool keep_tape) {
    reel__tensor *out = reel__inside(node->out);
    const int64_t first = ctx->tape->live_count;
    if (out->grad && !reel__failed(ctx)) {
        ctx->op = node->op;
        node->grad = out->grad;
        node->backward(ctx, node);
        deliver_pending(ctx);
        if (reel__profiling(ctx))
            profile(ctx, node);
        node->grad = NULL;
    }
    reel__drop_from(ctx, first, NULL, 0);
    if (out->grad)
        reel__drop(ctx, out->grad);
    out->grad = NULL;
    out->grad_written = false;
    if (!keep_tape)
        reel__release_node(ctx, node);
}

reel_status reel_backward(reel_context *ctx, reel_tensor *loss) {
    return reel_backward_flags(ctx, loss, 0);
}

reel_status reel_backward_flags(reel_context *ctx, reel_tensor *loss, unsigned flags) {
    if (!reel__check_inputs(ctx, "backward", &loss, 1))
        return ctx->error.status;
    if (reel_elements(loss) != 1 || !reel__inside(loss)->node)
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "backward",
                           "%s must have one element, come from a leaf and not have been consumed",
                           reel__shape_text(loss->rank, loss->shape).text);
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const reel__gradient seed = write_to(ctx, loss);
    if (seed.to)
        reel__fill_values(ctx, seed.to, 1);
    reel__tape *tape = ctx->tape;
    const bool keep_tape = flags & REEL_KEEP_TAPE;
    for (int64_t i = tape->node_count - 1; i >= 0; i--)
        step(ctx, tape->nodes[i], keep_tape);
    if (!keep_tape) {
        for (int64_t i = 0; i < tape->node_count; i++)
            reel__inside(tape->nodes[i]->out)->node = NULL;
        tape->node_count = 0;
    }
    reel_scope_end(ctx, scope, NULL, 0);
    return ctx->error.status;
}
