/* Runs the cases of ops: see op_case.h for what is checked. */
#include "op_case.h"

#ifdef REEL_CUDA_SIMULATED
#include "simulator.h"
#endif

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"

/* ---- the words of op_list.h ---------------------------------------------------------------------------- */

/* The k-th of the words separated by spaces, and its length; NULL when there are fewer. */
static const char *word(const char *words, int k, size_t *length) {
    for (;; words++) {
        *length = strcspn(words, " ");
        if (k-- == 0)
            return *length > 0 ? words : NULL;
        words += *length;
        if (!*words)
            return NULL;
    }
}

static bool is_list(const op_entry *entry) {
    return strstr(entry->inputs, "...") != NULL;
}

static int inputs_of(const op_entry *entry, const op_variant *v) {
    size_t length;
    int count = 0;
    while (word(entry->inputs, count, &length))
        count++;
    return v->inputs ? v->inputs : count;
}

static bool is_differentiable(const op_entry *entry, int input) {
    size_t length, other;
    const char *name = word(entry->inputs, is_list(entry) ? 0 : input, &length), *candidate;
    for (int k = 0; (candidate = word(entry->differentiable, k, &other)); k++)
        if (name && other == length && memcmp(name, candidate, length) == 0)
            return true;
    return false;
}

/* ---- ways to run a device ------------------------------------------------------------------------- */

/* The same bits are asked of a CPU with 1, 2 and 3 threads, of a GPU in two runs, and of a simulated one for
 * every order of its threads. */
#ifdef REEL_CUDA_SIMULATED
enum { CPU_WAYS = 3, CUDA_WAYS = REEL__SIM_ORDERS, CUDA_IS_SLOW = 1 };
static void choose_order(int way) {
    reel__sim_set_order((reel__sim_order)(way % CUDA_WAYS));
}
#else
enum { CPU_WAYS = 3, CUDA_WAYS = 2, CUDA_IS_SLOW = 0 };
static void choose_order(int way) {
    (void)way;
}
#endif

/* ---- dtypes -------------------------------------------------------------------------------------------- */

static reel_dtype dtype_of(op_type type, reel_dtype run) {
    switch (type) {
    case OP_WIDE:
        return reel__wide(run);
    case OP_F64:
        return REEL_F64;
    case OP_F32:
        return REEL_F32;
    case OP_BF16:
        return REEL_BF16;
    case OP_I32:
        return REEL_I32;
    case OP_U8:
        return REEL_U8;
    default:
        return run;
    }
}

/* The tolerance in absolute terms for a value of magnitude 1; integers are exact. */
static double tolerance_in(op_tolerance tolerance, reel_dtype dtype) {
    switch (dtype) {
    case REEL_F64:
        return tolerance.f64 * 0x1p-52;
    case REEL_F32:
        return tolerance.f32 * 0x1p-23;
    case REEL_BF16:
        return tolerance.bf16 * 0x1p-7;
    default:
        return 0;
    }
}

/* To the eight significant bits that bf16 has. */
static double rounded_to_bf16(double x) {
    int exponent;
    frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(x, 8 - exponent)), exponent - 8);
}

/* ---- inputs in memory ---------------------------------------------------------------------------------- */

typedef enum op_layout {
    ROW_MAJOR,  /* the input is an owned tensor itself */
    TRANSPOSED, /* a view of one whose axes lie in reverse order */
    NARROWED,   /* a view into a larger one */
    CLIPPED,    /* the beginning of a larger one, so that only its strides are odd */
    EXPANDED,   /* a view of one that is repeated along an axis */
    PLAIN_LAYOUTS,
    MIXED = PLAIN_LAYOUTS, /* each input another one of these */
    LAYOUTS,
} op_layout;

static const char *const layout_names[LAYOUTS] = {"row-major", "transposed", "narrowed",
                                                  "clipped",   "expanded",   "mixed"};

/* One variant in one dtype and layout, with its inputs in memory. */
typedef struct setup {
    const op_entry *entry;
    const op_case *c;
    const op_variant *v;
    reel_context *ctx;
    reel_dtype dtype;
    op_layout layout;
    int inputs;
    reel_tensor *base[OP_MAX_INPUTS]; /* owned; NULL where the input is absent */
    reel_tensor view[OP_MAX_INPUTS];  /* shape and strides of the input over its base */
    int64_t offset[OP_MAX_INPUTS];
    op_array values[OP_MAX_INPUTS]; /* what the op reads */
} setup;

static void report(const setup *s, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
static void report(const setup *s, const char *format, ...) {
    char text[REEL_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ck_abort_msg("%s, %s, %s, %s: %s", s->entry->name, s->v->name, reel_dtype_name(s->dtype),
                 layout_names[s->layout], text);
}

static reel_tensor host_tensor(const reel_tensor *like, double *values) {
    reel_tensor host = *like;
    host.dtype = REEL_F64;
    host.data = values;
    reel__contiguous_strides(like->rank, like->shape, host.stride);
    return host;
}

static void read_values(reel_context *ctx, const reel_tensor *x, op_array *values) {
    op_shape(values, x->rank, x->shape);
    reel_tensor host = host_tensor(x, values->values);
    reel__read_values(ctx, &host, x);
}

static void write_values(reel_context *ctx, reel_tensor *x, const op_array *values) {
    const reel_tensor host = host_tensor(x, values->values);
    reel__write_values(ctx, x, &host);
    reel_touch(x);
}

/* Random word i of a sequence: from a table, as the large variants ask for millions. */
static uint32_t random_word(int sequence, int64_t i) {
    enum { TABLE = 1 << 16, APART = 12289 };
    static uint32_t table[TABLE];
    if (table[0] == 0)
        for (uint32_t block = 0; block < TABLE / 4; block++)
            reel_random_bits(0, (reel_draw){.stream = REEL_STREAM_USER}, block, table + 4 * block);
    return table[(i + (int64_t)sequence * APART) % TABLE];
}

/* Element i of input k: the same in every dtype and layout. */
static double drawn(const op_input *in, int k, int64_t i) {
    enum { NEIGHBOURS = 251, FACTOR = 97, SHIFT = 31 };
    if (in->draw == OP_DISTINCT)
        return (double)((i * FACTOR + SHIFT) % NEIGHBOURS - NEIGHBOURS / 2) / 64;
    if (in->draw == OP_GIVEN)
        return in->values[i % in->n_values];
    const uint32_t word = random_word(1 + k, i);
    if (in->draw == OP_INTEGERS)
        return in->low + word % (uint32_t)(in->high - in->low + 1);
    const bool named = in->low != 0 || in->high != 0;
    const double low = named ? in->low : -2, high = named ? in->high : 2;
    return rounded_to_bf16(low + (high - low) * (word * 0x1p-32));
}

/* How the input lies over its base: fills view and offset and returns the base's shape. */
static void lay_out(setup *s, int k, op_layout layout, int64_t *base_shape) {
    const op_input *in = &s->v->in[k];
    reel_tensor *view = &s->view[k];
    int64_t stride[REEL_MAX_RANK];
    bool expanded = false;
    view->rank = in->rank;
    s->offset[k] = 0;
    for (int i = 0; i < in->rank; i++) {
        view->shape[i] = in->shape[i];
        base_shape[i] = layout == TRANSPOSED ? in->shape[in->rank - 1 - i] : in->shape[i];
        if (layout == NARROWED || layout == CLIPPED)
            base_shape[i] += 1 + i % 2 * 2;
        if (layout == EXPANDED && !expanded && in->shape[i] > 1) {
            base_shape[i] = 1;
            expanded = true;
        }
    }
    reel__contiguous_strides(in->rank, base_shape, stride);
    for (int i = 0; i < in->rank; i++) {
        view->stride[i] = layout == TRANSPOSED ? stride[in->rank - 1 - i] : stride[i];
        if (layout == NARROWED)
            s->offset[k] += stride[i];
        if (base_shape[i] != in->shape[i] && layout == EXPANDED)
            view->stride[i] = 0;
    }
}

/* Draws input k into its base, whose cells beside the view hold a number no op may read. */
static void fill_input(setup *s, int k) {
    const double beside = 1e6;
    op_array base = {0};
    reel_tensor *view = &s->view[k];
    op_shape(&base, s->base[k]->rank, s->base[k]->shape);
    for (int64_t i = 0; i < op_count(&base); i++)
        base.values[i] = beside;
    op_shape(&s->values[k], view->rank, view->shape);
    const int64_t n = op_count(&s->values[k]);
    int64_t index[REEL_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, op_next(view->rank, view->shape, index)) {
        int64_t at = s->offset[k];
        for (int axis = 0; axis < view->rank; axis++)
            at += index[axis] * view->stride[axis];
        base.values[at] = drawn(&s->v->in[k], k, i);
    }
    write_values(s->ctx, s->base[k], &base);
    view->dtype = s->base[k]->dtype;
    view->data = (char *)s->base[k]->data + s->offset[k] * (int64_t)reel_dtype_bytes(view->dtype);
    if (n > 0)
        read_values(s->ctx, view, &s->values[k]);
    free(base.values);
}

/* `gradients` is a set of bits: which inputs get one, where they can. */
static setup setup_new(const op_entry *entry, const op_case *c, const op_variant *v, reel_context *ctx,
                       reel_dtype dtype, op_layout layout, unsigned gradients) {
    setup s = {entry, c, v, ctx, dtype, layout, .inputs = inputs_of(entry, v)};
    for (int k = 0; k < s.inputs; k++) {
        if (v->in[k].absent)
            continue;
        int64_t shape[REEL_MAX_RANK];
        lay_out(&s, k, layout == MIXED ? (op_layout)((k + 1) % PLAIN_LAYOUTS) : layout, shape);
        s.base[k] = reel_tensor_new(ctx, dtype_of(v->in[k].type, dtype), v->in[k].rank, shape);
        if (reel_is_void(s.base[k]))
            report(&s, "%s", reel_context_message(ctx));
        fill_input(&s, k);
        /* an op without gradient gets inputs with one, to see that it stops there */
        const bool wanted = is_differentiable(entry, k) || !*entry->differentiable;
        if (wanted && (gradients >> k & 1) && reel__is_float(s.base[k]->dtype))
            reel_require_grad(ctx, s.base[k]);
    }
    return s;
}

static void setup_free(setup *s) {
    reel_tape_reset(s->ctx);
    for (int k = 0; k < s->inputs; k++) {
        reel_tensor_free(s->ctx, s->base[k]);
        free(s->values[k].values);
    }
}

/* ---- two ops of the harness's own ---------------------------------------------------------------------- */

/* dx[position of i] += dy[i], one after another, so that it holds for any strides. */
static void lay_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__wide_gradient_of(ctx, node, 0);
    op_array sum = {0}, dy = {0};
    if (!dx.to)
        return;
    read_values(ctx, dx.to, &sum);
    if (!dx.accumulate)
        op_shape(&sum, dx.to->rank, dx.to->shape);
    read_values(ctx, node->grad, &dy);
    const int64_t *stride = node->integer;
    int64_t index[REEL_MAX_RANK] = {0};
    for (int64_t i = 0, n = op_count(&dy); i < n; i++, op_next(dy.rank, dy.shape, index)) {
        int64_t at = node->integer[REEL_MAX_RANK];
        for (int axis = 0; axis < dy.rank; axis++)
            at += index[axis] * stride[axis];
        sum.values[at] += dy.values[i];
    }
    write_values(ctx, dx.to, &sum);
    free(sum.values);
    free(dy.values);
}

/* The input that the op gets: its base seen through the layout's strides. */
static reel_tensor *lay(reel_context *ctx, reel_tensor *base, const reel_tensor *view, int64_t offset) {
    reel_record record = {.op = "layout", .backward = lay_backward, .inputs = {base}};
    memcpy(record.integer, view->stride, sizeof view->stride);
    record.integer[REEL_MAX_RANK] = offset;
    return reel__record(ctx, reel__view(ctx, base, view->rank, view->shape, view->stride, offset), &record);
}

/* What gradient the op's rule is given, and how it lies. */
typedef enum op_arrival {
    RANDOM_ROW_MAJOR,
    RANDOM_TRANSPOSED,
    CONSTANT_ROW_MAJOR,
    CONSTANT_EXPANDED, /* strides of 0, as behind a sum */
} op_arrival;

static double weight(op_arrival how, int64_t i) {
    if (how == CONSTANT_ROW_MAJOR || how == CONSTANT_EXPANDED)
        return 0.75;
    return rounded_to_bf16(random_word(0, i) * 0x1p-31 - 1);
}

/* A tensor to write a gradient of y's shape to, which lies as the arrival says. */
static reel_tensor *arriving(reel_context *ctx, const reel_tensor *y, op_arrival how) {
    int64_t shape[REEL_MAX_RANK], stride[REEL_MAX_RANK] = {0};
    for (int i = 0; i < y->rank; i++)
        shape[i] = y->shape[y->rank - 1 - i];
    if (how == CONSTANT_EXPANDED)
        return reel__view(ctx, reel__result(ctx, y->dtype, 0, NULL), y->rank, y->shape, stride, 0);
    if (how != RANDOM_TRANSPOSED)
        return reel__result_like(ctx, y);
    const reel_tensor *base = reel__result(ctx, y->dtype, y->rank, shape);
    for (int i = 0; i < y->rank; i++)
        stride[i] = base->stride[y->rank - 1 - i];
    return reel__view(ctx, base, y->rank, y->shape, stride, 0);
}

static void weigh_backward(reel_context *ctx, const reel_node *node) {
    const op_arrival how = (op_arrival)node->integer[0];
    for (int k = 0; k < REEL__MAX_INPUTS && node->in[k]; k++) {
        reel_tensor *dy = arriving(ctx, node->in[k], how);
        op_array weights = {0};
        op_shape(&weights, dy->rank, dy->shape);
        for (int64_t i = 0, n = op_count(&weights); i < n; i++)
            weights.values[i] = weight(how, i);
        write_values(ctx, dy, &weights);
        free(weights.values);
        reel__pass_gradient(ctx, node, k, dy);
    }
}

/* The loss: the weighted sum over the elements of n tensors of one shape, in f64. */
static reel_tensor *weigh(reel_context *ctx, reel_tensor *const *y, int n, op_arrival how) {
    reel_tensor *loss = reel__result(ctx, REEL_F64, 0, NULL);
    if (reel__failed(ctx))
        return ctx->void_tensor;
    reel_record record = {.op = "weighted sum", .backward = weigh_backward, .integer = {how}};
    double sum = 0;
    for (int k = 0; k < n; k++) {
        op_array values = {0};
        read_values(ctx, y[k], &values);
        for (int64_t i = 0, count = op_count(&values); i < count; i++)
            sum += weight(how, i) * values.values[i];
        free(values.values);
        record.inputs[k] = y[k];
    }
    reel_write(ctx, loss, &sum, sizeof sum);
    return reel__record(ctx, loss, &record);
}

/* ---- running the op ------------------------------------------------------------------------------------ */

static void make_inputs(const setup *s, reel_tensor *const *base, bool laid, reel_tensor **in) {
    for (int k = 0; k < s->inputs; k++)
        in[k] = base[k] && laid ? lay(s->ctx, base[k], &s->view[k], s->offset[k]) : base[k];
}

/* The op's result over the setup's bases. */
static reel_tensor *call(const setup *s) {
    reel_tensor *in[OP_MAX_INPUTS] = {0};
    make_inputs(s, s->base, s->layout != ROW_MAJOR, in);
    reel_tensor *y = s->c->call(s->ctx, in, s->v);
    if (reel_is_void(y))
        report(s, "%s", reel_context_message(s->ctx));
    return y;
}

static reel_dtype result_dtype(const setup *s) {
    return dtype_of(s->v->result ? s->v->result : s->c->result, s->dtype);
}

static bool has_gradient(const setup *s) {
    return *s->entry->differentiable && reel__is_float(s->dtype) && reel__is_float(result_dtype(s)) &&
           !s->v->forward_only;
}

static bool is_leaf(const setup *s, int k) {
    return s->base[k] && reel_needs_grad(s->base[k]);
}

/* The gradients of all leaves after `uses` uses of the op in one loss. */
static void gradients(const setup *s, int uses, op_arrival how, op_array *gradient) {
    reel_tensor *in[OP_MAX_INPUTS] = {0}, *y[2];
    /* used twice, the rules add to a tape gradient, which has the run's dtype; else they write to a leaf's */
    make_inputs(s, s->base, s->layout != ROW_MAJOR || uses > 1, in);
    for (int k = 0; k < s->inputs; k++)
        if (is_leaf(s, k))
            reel_zero_grad(s->base[k]);
    for (int use = 0; use < uses; use++)
        y[use] = s->c->call(s->ctx, in, s->v);
    if (reel_backward(s->ctx, weigh(s->ctx, y, uses, how)) != REEL_OK)
        report(s, "%s", reel_context_message(s->ctx));
    for (int k = 0; k < s->inputs; k++)
        if (is_leaf(s, k))
            read_values(s->ctx, reel_grad(s->ctx, s->base[k]), &gradient[k]);
    reel_tape_reset(s->ctx);
}

static void arrays_free(op_array *arrays, int n) {
    for (int k = 0; k < n; k++)
        free(arrays[k].values);
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

/* `got` against factor * `want`, which sums so many `terms`: the op's floor is the size of one term's error,
 * and sums of several have as many. What is infinite or NaN must be so in both. */
static void compare(const setup *s, const char *what, const op_array *got, const op_array *want,
                    double factor, double terms, double tolerance) {
    const double floor = terms * (s->c->floor > 0 ? s->c->floor : 1);
    if (got->rank != want->rank ||
        memcmp(got->shape, want->shape, (size_t)got->rank * sizeof *got->shape) != 0)
        report(s, "%s has shape %s, not %s", what, reel__shape_text(got->rank, got->shape).text,
               reel__shape_text(want->rank, want->shape).text);
    for (int64_t i = 0, n = op_count(want); i < n; i++) {
        const double a = got->values[i], b = factor * want->values[i];
        if (a == b || (isnan(a) && isnan(b)))
            continue;
        const double error = fabs(a - b) / fmax(fabs(b), floor);
        if (!(error <= tolerance)) /* also when it is NaN */
            report(s, "%s element %lld is %.9g, not %.9g: error %.3g, allowed %.3g", what, (long long)i, a, b,
                   error, tolerance);
    }
}

static void check_forward(const setup *s) {
    op_array want = {0}, got = {0};
    reel_tensor *y = call(s);
    if (y->dtype != result_dtype(s))
        report(s, "the result is %s, not %s", reel_dtype_name(y->dtype), reel_dtype_name(result_dtype(s)));
    if (reel_needs_grad(y) && !has_gradient(s) && !s->v->forward_only)
        report(s, "the result of an op without gradient needs one");
    if (s->c->is_view && s->layout == ROW_MAJOR &&
        reel__inside(y)->storage != reel__inside(s->base[0])->storage)
        report(s, "the result is no view");
    s->c->reference(s->v, s->values, &want);
    read_values(s->ctx, y, &got);
    compare(s, "the result", &got, &want, 1, 1, tolerance_in(s->c->forward, y->dtype));
    reel_tape_reset(s->ctx);
    free(want.values);
    free(got.values);
}

/* ---- gradients ----------------------------------------------------------------------------------------- */

/* The function that reel_gradient_check differentiates: its inputs are the bases that are present. */
static reel_tensor *checked_call(reel_context *ctx, reel_tensor *const *present, void *arg) {
    const setup *s = arg;
    reel_tensor *base[OP_MAX_INPUTS] = {0}, *in[OP_MAX_INPUTS] = {0};
    for (int k = 0, j = 0; k < s->inputs; k++)
        base[k] = s->base[k] ? present[j++] : NULL;
    make_inputs(s, base, s->layout != ROW_MAJOR, in);
    return s->c->call(ctx, in, s->v);
}

/* Every element of every input against central differences. */
static void check_differences(setup *s) {
    reel_tensor *present[OP_MAX_INPUTS];
    int n = 0;
    for (int k = 0; k < s->inputs; k++)
        if (s->base[k])
            present[n++] = s->base[k];
    reel_check check = {0};
    if (reel_gradient_check(s->ctx, checked_call, s, present, n, &check) != REEL_OK)
        report(s, "%s", reel_context_message(s->ctx));
    reel_tape_reset(s->ctx);
}

static double loss_of(const setup *s) {
    reel_tensor *y = call(s);
    const double loss = reel_item(s->ctx, weigh(s->ctx, &y, 1, RANDOM_ROW_MAJOR));
    reel_tape_reset(s->ctx);
    return loss;
}

/* Moves all elements of input k along the direction of its weights. */
static void move_input(const setup *s, int k, double distance) {
    op_array x = {0};
    read_values(s->ctx, s->base[k], &x);
    for (int64_t i = 0, n = op_count(&x); i < n; i++)
        x.values[i] += distance * weight(RANDOM_ROW_MAJOR, i);
    write_values(s->ctx, s->base[k], &x);
    free(x.values);
}

/* One derivative per input, along a random direction: what a large input can afford. */
static void check_direction(const setup *s, const op_array *gradient) {
    const double step = 1e-6, tolerance = 1e-6;
    for (int k = 0; k < s->inputs; k++) {
        if (!is_leaf(s, k))
            continue;
        double analytic = 0, norm = 1;
        for (int64_t i = 0, n = op_count(&gradient[k]); i < n; i++) {
            analytic += gradient[k].values[i] * weight(RANDOM_ROW_MAJOR, i);
            norm += fabs(gradient[k].values[i]);
        }
        move_input(s, k, step);
        const double up = loss_of(s);
        move_input(s, k, -2 * step);
        const double down = loss_of(s);
        move_input(s, k, step);
        const double numeric = (up - down) / (2 * step);
        if (!(fabs(numeric - analytic) <= tolerance * norm))
            report(s, "input %d along a direction: backward gives %.9g, differences give %.9g", k, analytic,
                   numeric);
    }
}

/* The gradients of a variant in f64, which the differences have proven, for other runs to be held against. */
typedef struct proven {
    op_array random[OP_MAX_INPUTS], constant[OP_MAX_INPUTS];
} proven;

/* By how much the error of one rounded term grows in an element of input k's gradient: signs are random, so
 * that the variant's terms add up by their square root; elements that are one in memory may all err alike. */
static double terms_of(const setup *s, int k) {
    const double stored = (double)reel_elements(s->base[k]), seen = (double)op_count(&s->values[k]);
    const double repeated = stored > 0 && seen > stored ? seen / stored : 1;
    return repeated * sqrt(fmax(1, s->v->terms));
}

static void compare_all(const setup *s, const char *what, op_array *got, const op_array *want, double factor,
                        double tolerance) {
    for (int k = 0; k < s->inputs; k++) {
        if (!is_leaf(s, k))
            continue;
        char text[80];
        snprintf(text, sizeof text, "%s of input %d:", what, k);
        compare(s, text, &got[k], &want[k], factor, factor * terms_of(s, k), tolerance);
    }
    arrays_free(got, s->inputs);
}

/* In any dtype, however the gradient arrives, added to another or not, the gradients are the proven ones. */
static void check_precision(const setup *s, const proven *p) {
    const reel_dtype narrowest =
        reel_dtype_bytes(result_dtype(s)) < reel_dtype_bytes(s->dtype) ? result_dtype(s) : s->dtype;
    const double tolerance = tolerance_in(s->c->backward, narrowest);
    op_array got[4][OP_MAX_INPUTS] = {0};
    gradients(s, 1, RANDOM_ROW_MAJOR, got[0]);
    compare_all(s, "gradient", got[0], p->random, 1, tolerance);
    if (s->v->large)
        return;
    gradients(s, 1, RANDOM_TRANSPOSED, got[1]);
    compare_all(s, "gradient from a transposed one", got[1], p->random, 1, tolerance);
    gradients(s, 1, CONSTANT_EXPANDED, got[2]);
    compare_all(s, "gradient from an expanded one", got[2], p->constant, 1, tolerance);
    gradients(s, 2, RANDOM_ROW_MAJOR, got[3]);
    compare_all(s, "gradient of two uses", got[3], p->random, 2, tolerance);
}

/* An input's gradient is the same when no other input wants one. */
static void check_single(const setup *all, reel_context *ctx, int k, const op_array *want) {
    setup s = setup_new(all->entry, all->c, all->v, ctx, all->dtype, all->layout, 1u << k);
    op_array got[OP_MAX_INPUTS] = {0};
    gradients(&s, 1, RANDOM_ROW_MAJOR, got);
    const double tolerance = tolerance_in(s.c->backward, s.dtype);
    compare(&s, "the gradient of one input alone", &got[k], want, 1, terms_of(&s, k), tolerance);
    arrays_free(got, s.inputs);
    setup_free(&s);
}

static const unsigned all_gradients = ~0u;

/* Proves the gradients in f64, then holds the other dtypes to them. Those of a device are held to the CPU's
 * in every dtype, which is closer than differences could be: those are the CPU's own tests' matter. */
static void check_gradients(const op_entry *entry, const op_case *c, const op_variant *v, reel_context *ctx,
                            reel_context *cpu, op_layout layout) {
    setup exact = setup_new(entry, c, v, cpu, REEL_F64, layout, all_gradients);
    proven p = {0};
    if (has_gradient(&exact)) {
        gradients(&exact, 1, RANDOM_ROW_MAJOR, p.random);
        if (!v->large)
            gradients(&exact, 1, CONSTANT_ROW_MAJOR, p.constant);
        if (cpu == ctx && !v->result_rounds) {
            if (v->large)
                check_direction(&exact, p.random);
            else
                check_differences(&exact);
        }
        for (int k = 0; k < exact.inputs && exact.inputs > 1 && !v->large; k++)
            if (is_leaf(&exact, k))
                check_single(&exact, ctx, k, &p.random[k]);
        for (reel_dtype dtype = REEL_F64; dtype <= REEL_BF16; dtype++) {
            choose_order((int)layout + (int)dtype + 1);
            setup s = setup_new(entry, c, v, ctx, dtype, layout, all_gradients);
            check_precision(&s, &p);
            setup_free(&s);
        }
    }
    arrays_free(p.random, exact.inputs);
    arrays_free(p.constant, exact.inputs);
    setup_free(&exact);
}

/* ---- ways to run --------------------------------------------------------------------------------------- */

/* Result and gradients of one run. */
static void run_in_way(const op_entry *entry, const op_case *c, const op_variant *v, reel_dtype dtype,
                       reel_context_options options, int way, op_array out[1 + OP_MAX_INPUTS]) {
    reel_context *ctx;
    reel_error error = {0};
    if (options.device == REEL_CPU)
        options.threads = 1 + way;
    else
        choose_order(way);
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
    setup s = setup_new(entry, c, v, ctx, dtype, ROW_MAJOR, all_gradients);
    read_values(ctx, call(&s), &out[0]);
    reel_tape_reset(ctx);
    if (has_gradient(&s))
        gradients(&s, 1, RANDOM_ROW_MAJOR, out + 1);
    setup_free(&s);
    reel_context_free(ctx);
    choose_order(0);
}

static void check_ways(const op_entry *entry, const op_case *c, const op_variant *v, reel_dtype dtype,
                       const reel_context_options *options) {
    const int ways = options->device == REEL_CPU ? CPU_WAYS : CUDA_WAYS;
    op_array first[1 + OP_MAX_INPUTS] = {0};
    run_in_way(entry, c, v, dtype, *options, 0, first);
    for (int way = 1; way < ways; way++) {
        op_array other[1 + OP_MAX_INPUTS] = {0};
        run_in_way(entry, c, v, dtype, *options, way, other);
        for (int k = 0; k < 1 + OP_MAX_INPUTS; k++) {
            const size_t bytes = first[k].values ? (size_t)op_count(&first[k]) * sizeof(double) : 0;
            ck_assert_msg(bytes == 0 || memcmp(first[k].values, other[k].values, bytes) == 0,
                          "%s, %s, %s: %s %d has other bits with %s %d than before", entry->name, v->name,
                          reel_dtype_name(dtype), k == 0 ? "result" : "gradient of input", k == 0 ? 0 : k - 1,
                          options->device == REEL_CPU ? "threads" : "order", 1 + way);
        }
        arrays_free(other, 1 + OP_MAX_INPUTS);
    }
    arrays_free(first, 1 + OP_MAX_INPUTS);
}

/* ---- refusals ------------------------------------------------------------------------------------------ */

/* The call fails, in the op's own name, and whatever follows fails with it. Of values that only a GPU has
 * seen it says so when it has run. */
static void expect_refusal(const setup *s, const char *why, reel_tensor *const *in) {
    reel_context *ctx = s->ctx;
    const reel_tensor *y = s->c->call(ctx, in, s->v);
    const bool may_be_late = !reel_is_void(y) && reel_context_device(ctx) == REEL_CUDA;
    if (may_be_late)
        reel_context_synchronise(ctx);
    if ((!reel_is_void(y) && !may_be_late) || reel_context_status(ctx) == REEL_OK)
        report(s, "accepted: %s", why);
    char start[64];
    snprintf(start, sizeof start, "%s: ", s->entry->name);
    if (strncmp(reel_context_message(ctx), start, strlen(start)) != 0)
        report(s, "%s: the message does not begin with \"%s\": %s", why, start, reel_context_message(ctx));
    char first[REEL_MESSAGE_BYTES];
    snprintf(first, sizeof first, "%s", reel_context_message(ctx));
    if (!reel_is_void(s->c->call(ctx, s->base, s->v)) || strcmp(first, reel_context_message(ctx)) != 0)
        report(s, "%s: the first error does not stay", why);
    reel_tape_reset(ctx);
}

/* What every op refuses: no tensor, a dead one, integers in a float op, two dtypes where one is asked. */
static void check_common_refusals(const op_entry *entry, const op_case *c, reel_context *ctx) {
    const op_variant *plain = &c->variants[0];
    setup s = setup_new(entry, c, plain, ctx, REEL_F64, ROW_MAJOR, all_gradients);
    for (int k = 0; k < s.inputs; k++) {
        reel_tensor *in[OP_MAX_INPUTS];
        memcpy(in, s.base, sizeof in);
        const reel_scope scope = reel_scope_begin(ctx, 0);
        in[k] = lay(ctx, s.base[k], &s.view[k], 0);
        reel_scope_end(ctx, scope, NULL, 0);
        expect_refusal(&s, "an input whose scope has ended", in);
        in[k] = NULL;
        if (k == 0)
            expect_refusal(&s, "NULL", in);
        if (plain->in[k].type != OP_FLOAT)
            continue;
        const reel_dtype wrong = k == 0 ? REEL_I32 : REEL_F32;
        if (k == 0 && strcmp(entry->dtypes, "float") != 0)
            continue;
        reel_tensor *other = reel_tensor_new(ctx, wrong, s.view[k].rank, s.view[k].shape);
        in[k] = other;
        expect_refusal(&s, k == 0 ? "integers" : "an input of another dtype", in);
        reel_tensor_free(ctx, other);
    }
    setup_free(&s);
}

static void check_refusals(const op_entry *entry, const op_case *c, reel_context *ctx) {
    for (int i = 0; i < OP_MAX_REFUSALS && c->refusals[i].name; i++) {
        setup s = setup_new(entry, c, &c->refusals[i], ctx, REEL_F64, ROW_MAJOR, all_gradients);
        expect_refusal(&s, c->refusals[i].name, s.base);
        setup_free(&s);
    }
    check_common_refusals(entry, c, ctx);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Whether elements that are one in memory would make the variant something else. */
static bool can_expand(const op_entry *entry, const op_variant *v) {
    for (int k = 0; k < inputs_of(entry, v); k++)
        if (v->in[k].draw == OP_DISTINCT)
            return false;
    return true;
}

static void check_variant(const op_entry *entry, const op_case *c, const op_variant *v, reel_context *ctx,
                          reel_context *cpu, const reel_context_options *options) {
    const bool any_dtype = strcmp(entry->dtypes, "any") == 0, on_device = options->device == REEL_CUDA;
    const reel_dtype last_dtype = any_dtype ? REEL_U8 : REEL_BF16;
    const bool slow = v->large && on_device && CUDA_IS_SLOW;
    const op_layout last_layout = slow ? ROW_MAJOR : v->large ? TRANSPOSED : MIXED;
    for (op_layout layout = ROW_MAJOR; layout <= last_layout; layout++) {
        if (layout == EXPANDED && !can_expand(entry, v))
            continue;
        for (reel_dtype dtype = REEL_F64; dtype <= last_dtype; dtype++) {
            choose_order((int)layout + (int)dtype);
            setup s = setup_new(entry, c, v, ctx, dtype, layout, all_gradients);
            check_forward(&s);
            setup_free(&s);
        }
        check_gradients(entry, c, v, ctx, cpu, layout);
    }
    const bool is_cut = v->large || on_device; /* into pieces that run side by side */
    for (reel_dtype dtype = REEL_F64; dtype <= last_dtype && is_cut && !slow; dtype++)
        check_ways(entry, c, v, dtype, options);
}

static reel_context *open_context(const reel_context_options *options) {
    reel_context *ctx;
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&ctx, options, &error) == REEL_OK, "%s", error.message);
    return ctx;
}

void op_case_check(const op_entry *entry, const reel_context_options *options) {
    op_case c = {0};
    entry->describe(&c);
    reel_context *const ctx = open_context(options);
    reel_context *const cpu = options->device == REEL_CPU ? ctx : open_context(&(reel_context_options){0});
    for (int i = 0; i < OP_MAX_VARIANTS && c.variants[i].name; i++)
        check_variant(entry, &c, &c.variants[i], ctx, cpu, options);
    check_refusals(entry, &c, ctx);
    if (c.also)
        c.also(ctx);
    if (cpu != ctx)
        reel_context_free(cpu);
    reel_context_free(ctx);
}
