/* Scaled-dot-product attention. With p = softmax(s), s = q k^T / sqrt d + mask and y = p v:
 *
 *     dv += p^T dy, ds = p (dy v^T - rowsum(dy y)), dq += ds k / sqrt d, dk += ds^T q / sqrt d
 *
 * p is not kept: it is made again, a tile of rows at a time, from the logarithm of each row's sum of
 * exponentials (Rabe & Staats 2021, arXiv 2112.05682; Dao et al. 2022, arXiv 2205.14135). */
#include "blas.h"
#include "kernels.h"
#include "loop.h"
#include "tape.h"
#include <reel/ops.h>

#include <math.h>

/* Numbers and integers of the record. */
enum { SCALE = 0, CAUSAL = 0 };

enum { FORWARD_PRODUCTS = 2, BACKWARD_PRODUCTS = 5 };

/* Operations of one product of queries with keys or the like. */
static double product_flop(const reel_tensor *q, const reel_tensor *k) {
    return 2 * (double)reel_elements(q) * (double)k->shape[2];
}

/* A tensor of x's shape (B, H, T, d) whose memory is laid out as (B, T, H, d). */
static reel_tensor *heads_inside(reel_context *ctx, const reel_tensor *x) {
    const int64_t B = x->shape[0], H = x->shape[1], T = x->shape[2], d = x->shape[3];
    reel_tensor *joined = reel__result(ctx, x->dtype, REEL_SHAPE(B, T, H, d));
    return reel__view(ctx, joined, 4, x->shape, (const int64_t[]){T * H * d, d, H * d, 1}, 0);
}

static void attention_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *q = node->saved[0], *k = node->saved[1], *v = node->saved[2], *mask = node->saved[3];
    const reel_tensor *y = node->saved[4], *log_sum = node->saved[5];
    reel_tensor *dx[3]; /* of q, k and v */
    for (int i = 0; i < 3; i++)
        dx[i] = reel__wants_gradient(node, i) ? heads_inside(ctx, node->saved[i]) : NULL;
    reel__profile_flop(ctx, BACKWARD_PRODUCTS * product_flop(q, k));
    REEL_DISPATCH(ctx, attention_backward,
                  (ctx, q, k, v, mask, (int)node->integer[CAUSAL], node->number[SCALE], y, log_sum,
                   node->grad, dx[0], dx[1], dx[2]));
    for (int i = 0; i < 3; i++)
        if (dx[i])
            reel__pass_gradient(ctx, node, i, dx[i]);
}

static bool check_attention(reel_context *ctx, reel_tensor *q, reel_tensor *k, reel_tensor *v,
                            reel_tensor *mask) {
    const char *const op = "scaled_dot_product_attention";
    reel_tensor *const inputs[] = {q, k, v, mask};
    if (!reel__check_inputs(ctx, op, inputs, mask ? 4 : 3) || !reel__check_float(ctx, op, q))
        return false;
    const reel__text qt = reel__shape_text(q->rank, q->shape), kt = reel__shape_text(k->rank, k->shape);
    if (k->dtype != q->dtype || v->dtype != q->dtype || (mask && mask->dtype != q->dtype))
        reel__error(ctx, REEL_ERROR_DTYPE, op, "q is %s, k %s, v %s, mask %s; cast",
                    reel_dtype_name(q->dtype), reel_dtype_name(k->dtype), reel_dtype_name(v->dtype),
                    mask ? reel_dtype_name(mask->dtype) : "absent");
    else if (q->rank != 4 || k->rank != 4 || !reel__same_shape(k, v) || q->shape[0] != k->shape[0] ||
             q->shape[1] != k->shape[1] || q->shape[3] != k->shape[3] || q->shape[3] == 0)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "q %s, k %s, v %s must be [B,H,Tq,d], [B,H,Tk,d], [B,H,Tk,d]",
                    qt.text, kt.text, reel__shape_text(v->rank, v->shape).text);
    if (reel__failed(ctx) || !mask)
        return !reel__failed(ctx);
    const int64_t scores[4] = {q->shape[0], q->shape[1], q->shape[2], k->shape[2]};
    bool fits = mask->rank <= 4;
    for (int i = 0; fits && i < mask->rank; i++)
        fits = mask->shape[i] == 1 || mask->shape[i] == scores[i + 4 - mask->rank];
    if (!fits)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "mask %s does not broadcast to [B,H,Tq,Tk] %s",
                    reel__shape_text(mask->rank, mask->shape).text, reel__shape_text(4, scores).text);
    return fits;
}

/* x (B, H, T, d) as (B, T, H, d), in which order it most often lies in memory. */
static reel_tensor tokens_first(reel_tensor x) {
    const int64_t H = x.shape[1], next_head = x.stride[1];
    x.shape[1] = x.shape[2];
    x.stride[1] = x.stride[2];
    x.shape[2] = H;
    x.stride[2] = next_head;
    return x;
}

/* v as the rule keeps it. A model cuts q, k and v out of one result and may turn q and k: what is then kept
 * of it for the sake of v alone is v, in a copy. */
static reel_tensor *kept(reel_context *ctx, reel_tensor *q, reel_tensor *k, reel_tensor *v) {
    const reel__storage *whole = reel__inside(v)->storage;
    const size_t bytes = (size_t)reel_elements(v) * reel_dtype_bytes(v->dtype);
    if (whole->bytes < 2 * bytes || !reel__records(ctx, (reel_tensor *[]){q, k, v}, 3) ||
        whole == reel__inside(q)->storage || whole == reel__inside(k)->storage)
        return v;
    reel_tensor *copy = heads_inside(ctx, v), to = tokens_first(*copy);
    const reel_tensor from = tokens_first(*v);
    if (!reel__failed(ctx))
        reel__copy_values(ctx, &to, &from, false);
    return copy;
}

reel_tensor *reel_scaled_dot_product_attention(reel_context *ctx, reel_tensor *q, reel_tensor *k,
                                               reel_tensor *v, reel_tensor *mask, unsigned flags) {
    if (!check_attention(ctx, q, k, v, mask) || !reel__blas_prepare(ctx, "scaled_dot_product_attention"))
        return ctx->void_tensor;
    const double scale = 1 / sqrt((double)q->shape[3]);
    const int causal = (flags & REEL_CAUSAL) != 0;
    if (mask) {
        const int64_t scores[4] = {q->shape[0], q->shape[1], q->shape[2], k->shape[2]};
        const reel_tensor full = reel__broadcast(mask, 4, scores);
        mask = reel__view(ctx, mask, 4, full.shape, full.stride, 0);
    }
    reel_tensor *y = heads_inside(ctx, q);
    reel_tensor *log_sum =
        reel__result(ctx, reel__wide(q->dtype), REEL_SHAPE(q->shape[0], q->shape[1], q->shape[2]));
    reel__profile_flop(ctx, FORWARD_PRODUCTS * product_flop(q, k));
    REEL_DISPATCH(ctx, attention, (ctx, q, k, v, mask, causal, scale, y, log_sum));
    return REEL_RECORD(ctx, y, .op = "scaled_dot_product_attention", .backward = attention_backward,
                       .inputs = {q, k, v}, .saved = {q, k, kept(ctx, q, k, v), mask, y, log_sum},
                       .number = {[SCALE] = scale}, .integer = {[CAUSAL] = causal});
}
