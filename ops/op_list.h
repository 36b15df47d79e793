/* Every op, once. Define REEL_OP and include this file: the tests expand it to their gradient and value
 * cases, so that an op without one does not link; the reference expands it to its map of ops.
 *
 * REEL_OP(name, inputs, differentiable, dtypes, formula, gradient): the tensors it takes, which of them get a
 * gradient, the dtypes of its result's family ("float" = f64 f32 bf16, "any" = also i32 u8), what it
 * computes, and what backward adds to its inputs' gradients, in the words of the comment at the rule (a test
 * holds the two together). REEL_OP_KIND(title) begins a kind of ops; it may be left undefined. No include
 * guard: it is included again. Both macros end with it. */
#ifndef REEL_OP_KIND
#define REEL_OP_KIND(title)
#endif

REEL_OP_KIND("Elementwise, one input")
REEL_OP(neg, "x", "x", "float", "y = -x", "dx -= dy")
REEL_OP(exp, "x", "x", "float", "y = e^x", "dx += dy y")
REEL_OP(log, "x", "x", "float", "y = ln x", "dx += dy / x")
REEL_OP(sqrt, "x", "x", "float", "y = x^(1/2)", "dx += dy / (2 y)")
REEL_OP(rsqrt, "x", "x", "float", "y = x^(-1/2)", "dx -= dy y^3 / 2")
REEL_OP(sigmoid, "x", "x", "float", "y = 1 / (1 + e^-x)", "dx += dy y (1 - y)")
REEL_OP(tanh, "x", "x", "float", "y = tanh x", "dx += dy (1 - y^2)")
REEL_OP(relu, "x", "x", "float", "y = max(x, 0)", "dx += dy [x > 0]")
REEL_OP(gelu, "x", "x", "float", "y = x Phi(x)", "dx += dy (Phi(x) + x phi(x))")
REEL_OP(silu, "x", "x", "float", "y = x s, s = sigmoid(x)", "dx += dy s (1 + x (1 - s))")
REEL_OP(scale, "x", "x", "float", "y = factor x", "dx += factor dy")
REEL_OP(add_scalar, "x", "x", "float", "y = x + constant", "dx += dy")
REEL_OP(pow, "x", "x", "float", "y = x^exponent", "dx += dy exponent x^(exponent - 1)")

REEL_OP_KIND("Elementwise, several inputs, broadcast")
REEL_OP(add, "a b", "a b", "float", "y = a + b", "da += dy, db += dy")
REEL_OP(add_n, "x...", "x...", "float", "y = x_0 + ... + x_n-1", "dx_i += dy")
REEL_OP(sub, "a b", "a b", "float", "y = a - b", "da += dy, db -= dy")
REEL_OP(mul, "a b", "a b", "float", "y = a b", "da += dy b, db += dy a")
REEL_OP(div, "a b", "a b", "float", "y = a / b", "da += dy / b, db -= dy y / b")
REEL_OP(eq, "a b", "", "any", "y = [a == b], u8", "")
REEL_OP(lt, "a b", "", "any", "y = [a < b], u8", "")
REEL_OP(le, "a b", "", "any", "y = [a <= b], u8", "")
REEL_OP(where, "condition a b", "a b", "any", "y = condition ? a : b",
        "da += condition ? dy : 0, db += condition ? 0 : dy")

REEL_OP_KIND("Matrix products")
REEL_OP(matmul, "a b", "a b", "float", "c_mn = sum_k a_mk b_kn", "da += dc b^T, db += a^T dc")
REEL_OP(linear, "x weight bias", "x weight bias", "float", "y = x W^T + b",
        "dx += dy W, dW += dy^T x, db += sum dy")

REEL_OP_KIND("Reductions over axes")
REEL_OP(sum, "x", "x", "float", "y = sum x", "dx_i += dy")
REEL_OP(mean, "x", "x", "float", "y = sum x / n", "dx_i += dy / n")
REEL_OP(max, "x", "x", "float", "y = max x", "dx[argmax x] += dy")
REEL_OP(argmax, "x", "", "any", "y = first index of max x, i32", "")

REEL_OP_KIND("Softmax along an axis")
REEL_OP(softmax, "x", "x", "float", "y_i = e^x_i / sum_j e^x_j", "dx += y (dy - sum y dy)")
REEL_OP(log_softmax, "x", "x", "float", "y_i = x_i - ln sum_j e^x_j", "dx += dy - e^y sum dy")

REEL_OP_KIND("Views")
REEL_OP(reshape, "x", "x", "any", "y = x in another shape", "dx += dy in x's shape")
REEL_OP(transpose, "x", "x", "any", "y = x with two axes exchanged", "dx += dy with its axes put back")
REEL_OP(permute, "x", "x", "any", "y = x with its axes reordered", "dx += dy with its axes put back")
REEL_OP(expand, "x", "x", "any", "y = x repeated along axes of size 1", "dx += dy summed over the repeats")
REEL_OP(narrow, "x", "x", "any", "y = x[start .. start + length - 1]",
        "dx[start .. start + length - 1] += dy")
REEL_OP(split, "x", "x", "any", "y_0, y_1, ... = the parts of x", "dx[part i] += dy_i")
REEL_OP(detach, "x", "", "any", "y = x", "")

REEL_OP_KIND("Copies")
REEL_OP(clone, "x", "x", "any", "y = x", "dx += dy")
REEL_OP(cast, "x", "x", "any", "y = x in another dtype", "dx += dy in x's dtype")
REEL_OP(concat, "x...", "x...", "any", "y = x_0 then x_1 ...", "dx_i += the part of dy that x_i became")
REEL_OP(stack, "x...", "x...", "any", "y_i = x_i", "dx_i += dy_i")
REEL_OP(pad, "x", "x", "any", "y = x among cells of a constant", "dx += the part of dy that x became")

REEL_OP_KIND("Indexing")
REEL_OP(embedding, "table indices", "table", "float", "y_i = scale table[indices_i]",
        "dtable[indices_i] += scale dy_i")
REEL_OP(gather, "x indices", "x", "any", "y_i = x[indices_i]", "dx[indices_i] += dy_i")
REEL_OP(scatter_add, "x indices source", "x source", "float", "y = x; y[indices_i] += source_i",
        "dx += dy, dsource_i += dy[indices_i]")

REEL_OP_KIND("Building blocks of networks")
REEL_OP(rms_norm, "x weight", "x weight", "float", "y = h w, h = r x, r = 1 / sqrt(mean x^2 + eps)",
        "dx += r (g - h mean(g h)), g = dy w, dw += sum dy h")
REEL_OP(add_rms_norm, "a b", "a b", "float", "y = r (a + b), r = 1 / sqrt(mean (a + b)^2 + eps)",
        "da += r (dy - y mean(dy y)), db likewise")
REEL_OP(layer_norm, "x weight bias", "x weight bias", "float",
        "y = h w + b, h = r (x - mean x), r = 1 / sqrt(var x + eps)",
        "dx += r (g - h mean(g h) - mean g), g = dy w, dw += sum dy h, db += sum dy")
REEL_OP(swiglu, "x", "x", "float", "y = silu(g) u, (g, u) = x",
        "dg += dy u s (1 + g (1 - s)), du += dy g s, s = sigmoid(g)")
REEL_OP(swiglu_linear, "x weight", "x weight", "float", "y = h W^T or W h, h = swiglu(x)",
        "dx as of swiglu from dh = dy W or W^T dy, dW += dy^T h or dy h^T")
REEL_OP(gated_mlp, "x up down", "x up down", "float", "y = down swiglu(up x)",
        "as of linear or matmul, then swiglu_linear")
REEL_OP(rotary, "x cosine sine", "x", "float", "y = x cos + rotate_half(x) sin",
        "dx += dy cos - rotate_half(dy sin)")
REEL_OP(scaled_dot_product_attention, "q k v mask", "q k v", "float",
        "y = p v, p = softmax(q k^T / sqrt d + mask)",
        "dv += p^T dy, ds = p (dy v^T - rowsum(dy y)), dq += ds k / sqrt d, dk += ds^T q / sqrt d")
REEL_OP(dropout, "x", "x", "float", "y = x [u >= p] / (1 - p)", "dx += dy [u >= p] / (1 - p)")

REEL_OP_KIND("Losses, one value per row, f32 (f64 for f64)")
REEL_OP(softmax_cross_entropy, "logits labels", "logits", "float", "l = ln sum_j e^x_j - x_label",
        "dx_j += dl (softmax(x)_j - [j = label])")
REEL_OP(stablemax_cross_entropy, "logits labels", "logits", "float", "l = ln sum_j s(x_j) - ln s(x_label)",
        "dx_j += dl s'(x_j) (1 / sum_j s(x_j) - [j = label] / s(x_j))")
REEL_OP(binary_cross_entropy_with_logits, "logits targets", "logits", "float",
        "l = max(x, 0) - x t + ln(1 + e^-|x|)", "dx += dl (sigmoid(x) - t)")

#undef REEL_OP
#undef REEL_OP_KIND
