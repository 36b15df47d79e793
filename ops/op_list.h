/* Every op, once. Define REEL_OP and include this file: the tests expand it to their gradient and value
 * cases, so that an op without one does not link; the reference expands it to a table.
 *
 * REEL_OP(name, inputs, differentiable, dtypes, formula): the tensors it takes, which of them get a gradient,
 * the dtypes of its result's family ("float" = f64 f32 bf16, "any" = also i32 u8), and what it computes.
 * No include guard: it is included again. */

REEL_OP(neg, "x", "x", "float", "y = -x")
REEL_OP(exp, "x", "x", "float", "y = e^x")
REEL_OP(log, "x", "x", "float", "y = ln x")
REEL_OP(sqrt, "x", "x", "float", "y = x^(1/2)")
REEL_OP(rsqrt, "x", "x", "float", "y = x^(-1/2)")
REEL_OP(sigmoid, "x", "x", "float", "y = 1 / (1 + e^-x)")
REEL_OP(tanh, "x", "x", "float", "y = tanh x")
REEL_OP(relu, "x", "x", "float", "y = max(x, 0)")
REEL_OP(gelu, "x", "x", "float", "y = x Phi(x)")
REEL_OP(silu, "x", "x", "float", "y = x / (1 + e^-x)")
REEL_OP(scale, "x", "x", "float", "y = factor x")
REEL_OP(add_scalar, "x", "x", "float", "y = x + constant")
REEL_OP(pow, "x", "x", "float", "y = x^exponent")

REEL_OP(add, "a b", "a b", "float", "y = a + b")
REEL_OP(add_n, "x...", "x...", "float", "y = x_0 + ... + x_n-1")
REEL_OP(sub, "a b", "a b", "float", "y = a - b")
REEL_OP(mul, "a b", "a b", "float", "y = a b")
REEL_OP(div, "a b", "a b", "float", "y = a / b")
REEL_OP(eq, "a b", "", "any", "y = [a == b]")
REEL_OP(lt, "a b", "", "any", "y = [a < b]")
REEL_OP(le, "a b", "", "any", "y = [a <= b]")
REEL_OP(where, "condition a b", "a b", "any", "y = condition ? a : b")

REEL_OP(matmul, "a b", "a b", "float", "c_mn = sum_k a_mk b_kn")
REEL_OP(linear, "x weight bias", "x weight bias", "float", "y_o = sum_i x_i w_oi + b_o")

REEL_OP(sum, "x", "x", "float", "y = sum x")
REEL_OP(mean, "x", "x", "float", "y = sum x / n")
REEL_OP(max, "x", "x", "float", "y = max x")
REEL_OP(argmax, "x", "", "any", "y = first index of max x")
REEL_OP(softmax, "x", "x", "float", "y_i = e^x_i / sum_j e^x_j")
REEL_OP(log_softmax, "x", "x", "float", "y_i = x_i - ln sum_j e^x_j")

REEL_OP(reshape, "x", "x", "any", "y = x in another shape")
REEL_OP(transpose, "x", "x", "any", "y = x with two axes exchanged")
REEL_OP(permute, "x", "x", "any", "y = x with its axes reordered")
REEL_OP(expand, "x", "x", "any", "y = x repeated along axes of size 1")
REEL_OP(narrow, "x", "x", "any", "y = x[start .. start + length - 1]")
REEL_OP(split, "x", "x", "any", "y_0, y_1, ... = the parts of x")
REEL_OP(detach, "x", "", "any", "y = x")
REEL_OP(clone, "x", "x", "any", "y = x")
REEL_OP(cast, "x", "x", "any", "y = x in another dtype")
REEL_OP(concat, "x...", "x...", "any", "y = x_0 then x_1 ...")
REEL_OP(stack, "x...", "x...", "any", "y_i = x_i")
REEL_OP(pad, "x", "x", "any", "y = x among cells of a constant")

REEL_OP(embedding, "table indices", "table", "float", "y_i = scale table[indices_i]")
REEL_OP(gather, "x indices", "x", "any", "y_i = x[indices_i]")
REEL_OP(scatter_add, "x indices source", "x source", "float", "y = x; y[indices_i] += source_i")

REEL_OP(rms_norm, "x weight", "x weight", "float", "y = x / sqrt(mean x^2 + eps) w")
REEL_OP(add_rms_norm, "a b", "a b", "float", "y = rms_norm(a + b)")
REEL_OP(layer_norm, "x weight bias", "x weight bias", "float", "y = (x - mean) / sqrt(var + eps) w + b")
REEL_OP(swiglu, "x", "x", "float", "y = silu(g) u, (g, u) = x")
REEL_OP(swiglu_linear, "x weight", "x weight", "float", "y = swiglu(x) w^T, or w swiglu(x)")
REEL_OP(gated_mlp, "x up down", "x up down", "float", "y = down swiglu(up x)")
REEL_OP(rotary, "x cosine sine", "x", "float", "y = x cos + rotate_half(x) sin")
REEL_OP(scaled_dot_product_attention, "q k v mask", "q k v", "float", "y = softmax(q k^T / sqrt d + mask) v")
REEL_OP(dropout, "x", "x", "float", "y = x [u >= p] / (1 - p)")

REEL_OP(softmax_cross_entropy, "logits labels", "logits", "float", "l = -ln softmax(x)_label")
REEL_OP(stablemax_cross_entropy, "logits labels", "logits", "float", "l = -ln(s(x)_label / sum s(x))")
REEL_OP(binary_cross_entropy_with_logits, "logits targets", "logits", "float",
        "l = max(x, 0) - x t + ln(1 + e^-|x|)")
