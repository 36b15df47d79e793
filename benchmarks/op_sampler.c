#include "op_sampler.h"

/* The clock's nodes lie on the tape, which only the engine's inside can write. */
#include "tape.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char CLOCK[] = "clock";

struct op_sampler {
    reel_context *ctx;
    reel_dtype dtype;
    reel_tensor *evictor; /* larger than the caches */
    reel_tensor *mark;    /* a scalar; reading it waits for the device */
    const bench_case *of;
    reel_tensor *input[BENCH_MAX_INPUTS];
    reel_tensor *gradient[BENCH_MAX_INPUTS]; /* values of each result's gradient */
    bool differentiable, has_backward;
    sampler_cache cache;
    double start, backward_seconds; /* of the gradient rule; negative before it has ended */
    double flop[SAMPLER_PASSES], bytes[SAMPLER_PASSES];
};

/* ---- caches and device --------------------------------------------------------------------------------- */

/* Twice the last cache, within reason. */
static int64_t evicting_bytes(reel_device device) {
    enum { LEAST_BYTES = 16 << 20, MOST_BYTES = 512 << 20, OF_A_GPU = 256 << 20 };
    const int64_t bytes = device == REEL_CPU ? 2 * (int64_t)sysconf(_SC_LEVEL3_CACHE_SIZE) : OF_A_GPU;
    return bytes < LEAST_BYTES ? LEAST_BYTES : bytes > MOST_BYTES ? MOST_BYTES : bytes;
}

/* Results come when they come on a device; what reads a value has waited for all of them. */
static void wait_for_device(op_sampler *s) {
    if (s->mark->device != REEL_CPU)
        reel_item(s->ctx, s->mark);
}

/* By reading, and by all threads: nothing is left to be written back, and private caches are cold too. */
static void make_cold(op_sampler *s) {
    if (s->cache == SAMPLER_COLD)
        reel_sum(s->ctx, s->evictor, NULL, 0, 0);
}

op_sampler *op_sampler_new(reel_context *ctx, reel_dtype dtype, int64_t evictor_bytes) {
    op_sampler *const s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ctx = ctx;
    s->dtype = dtype;
    s->mark = reel_tensor_new(ctx, REEL_F32, 0, NULL);
    const int64_t bytes = evictor_bytes > 0 ? evictor_bytes : evicting_bytes(s->mark->device);
    s->evictor = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(bytes / (int64_t)sizeof(float)));
    reel_fill(ctx, s->evictor, 1); /* or its pages would all be the one of zeros */
    return s;
}

void op_sampler_free(op_sampler *s) {
    if (!s)
        return;
    reel_tensor_free(s->ctx, s->evictor);
    reel_tensor_free(s->ctx, s->mark);
    free(s);
}

/* ---- the clock on the tape ----------------------------------------------------------------------------- */

static op_sampler *sampler_of(const reel_node *node) {
    return (op_sampler *)(intptr_t)node->integer[0];
}

/* Runs just before the op's rule. */
static void start_clock(reel_context *ctx, const reel_node *node) {
    op_sampler *const s = sampler_of(node);
    for (int i = 0; i < REEL__MAX_INPUTS && node->in[i]; i++) {
        const reel_tensor *const y = node->in[i];
        int64_t span = 1; /* of y laid out without gaps and repetitions */
        for (int axis = 0; axis < y->rank; axis++)
            span += (y->shape[axis] - 1) * y->stride[axis];
        int64_t row_major[REEL_MAX_RANK];
        reel__contiguous_strides(y->rank, y->shape, row_major);
        reel__pass_gradient(ctx, node, i,
                            reel__view(ctx, s->gradient[i], y->rank, y->shape,
                                       span == reel_elements(y) ? y->stride : row_major, 0));
    }
    make_cold(s);
    wait_for_device(s);
    s->start = timing_seconds();
}

/* Runs just behind it. */
static void stop_clock(reel_context *ctx, const reel_node *node) {
    op_sampler *const s = sampler_of(node);
    (void)ctx;
    if (s->backward_seconds >= 0)
        return;
    wait_for_device(s);
    s->backward_seconds = timing_seconds() - s->start;
}

static reel_tensor *behind_clock(op_sampler *s, reel_tensor *x) {
    if (!x || !reel_needs_grad(x))
        return x;
    reel_tensor *const y = reel__view(s->ctx, x, x->rank, x->shape, x->stride, 0);
    return REEL_RECORD(s->ctx, y, .op = CLOCK, .backward = stop_clock, .inputs = {x},
                       .integer = {(intptr_t)s});
}

static reel_tensor *before_clock(op_sampler *s, reel_tensor *const *y, int n) {
    reel_tensor *const loss = reel__result(s->ctx, REEL_F32, 0, NULL);
    if (!reel_is_void(loss))
        reel__fill_values(s->ctx, loss, 0);
    reel_record record = {.op = CLOCK, .backward = start_clock, .integer = {(intptr_t)s}};
    for (int i = 0; i < n; i++)
        record.inputs[i] = y[i];
    return reel__record(s->ctx, loss, &record);
}

/* ---- inputs -------------------------------------------------------------------------------------------- */

int64_t op_sampler_limit(const bench_case *c, int i) {
    const bench_shape *const first = &c->shape[0];
    int axis = 0;
    switch (bench_values_of(c->op, i)) {
    case BENCH_ROWS:
        axis = 0;
        break;
    case BENCH_PLACES:
        axis = (int)c->attribute[0].value[0];
        break;
    case BENCH_CLASSES:
        axis = -1;
        break;
    default:
        return 0;
    }
    axis += axis < 0 ? first->rank : 0;
    const bool exists = axis >= 0 && axis < first->rank && first->size[axis] > 0;
    return exists && first->size[axis] < INT32_MAX ? first->size[axis] : 1;
}

static reel_dtype dtype_of(const op_sampler *s, bench_values values) {
    switch (values) {
    case BENCH_WIDE:
        return s->dtype == REEL_F64 ? REEL_F64 : REEL_F32;
    case BENCH_CONDITION:
        return REEL_U8;
    case BENCH_ROWS:
    case BENCH_PLACES:
    case BENCH_CLASSES:
        return REEL_I32;
    default:
        return s->dtype;
    }
}

/* Drawn as f32 and rounded down to whole numbers by the copy. */
static void fill_whole(reel_context *ctx, reel_tensor *x, int64_t limit, reel_draw draw) {
    reel_tensor *const drawn = reel_tensor_new(ctx, REEL_F64, x->rank, x->shape);
    reel_fill_uniform(ctx, drawn, 0, (double)limit, draw);
    reel_copy(ctx, x, drawn);
    reel_tensor_free(ctx, drawn);
}

static reel_tensor *new_input(const op_sampler *s, int i) {
    const bench_case *const c = s->of;
    const bench_values values = bench_values_of(c->op, i);
    const reel_draw draw = {.stream = REEL_STREAM_USER, .index = (uint64_t)i};
    reel_tensor *const x = reel_tensor_new(s->ctx, dtype_of(s, values), c->shape[i].rank, c->shape[i].size);
    const int64_t limit = op_sampler_limit(c, i);
    if (limit > 0 || values == BENCH_CONDITION)
        fill_whole(s->ctx, x, values == BENCH_CONDITION ? 2 : limit, draw);
    else if (values == BENCH_POSITIVE)
        reel_fill_uniform(s->ctx, x, 0.5, 2, draw);
    else
        reel_fill_uniform(s->ctx, x, -1, 1, draw);
    return x;
}

/* Whether op_list.h calls input i differentiable. */
static bool is_differentiable(const bench_op *op, int i) {
    char name[32];
    const char *at = op->inputs;
    for (int k = 0; k < i && strchr(at, ' '); k++)
        at = strchr(at, ' ') + 1;
    const size_t length = strcspn(at, " .");
    if (length >= sizeof name)
        return false;
    memcpy(name, at, length);
    name[length] = '\0';
    return bench_names(op->differentiable, name);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

/* The op's results; their number is returned. */
static int call(op_sampler *s, reel_tensor **results) {
    bench_call c = {.inputs = s->of->inputs};
    memcpy(c.attribute, s->of->attribute, sizeof c.attribute);
    for (int i = 0; i < c.inputs; i++)
        c.in[i] = behind_clock(s, s->input[i]);
    make_cold(s);
    wait_for_device(s);
    s->start = timing_seconds();
    results[0] = s->of->op->bench->call(s->ctx, &c);
    for (int i = 1; i < c.parts; i++)
        results[i] = c.part[i];
    return c.parts > 0 ? c.parts : 1;
}

/* Times one call, forward and, where there is one, backward. */
static reel_status call_once(op_sampler *s, timing_samples *to) {
    reel_tensor *results[BENCH_MAX_INPUTS];
    const reel_scope scope = reel_scope_begin(s->ctx, s->differentiable ? 0 : REEL_NO_GRAD);
    const int n = call(s, results);
    wait_for_device(s);
    if (to)
        timing_add(&to[SAMPLER_FORWARD], timing_seconds() - s->start);
    s->backward_seconds = -1;
    if (s->has_backward) {
        reel_backward(s->ctx, before_clock(s, results, n));
        if (to && s->backward_seconds >= 0)
            timing_add(&to[SAMPLER_BACKWARD], s->backward_seconds);
    }
    reel_scope_end(s->ctx, scope, NULL, 0);
    return reel_tape_reset(s->ctx);
}

/* The profile counts for both passes what they calculate and move. */
static void count_work(op_sampler *s, double sign) {
    const reel_profile_row *rows;
    const int count = reel_profile_rows(s->ctx, &rows);
    for (int i = 0; i < count; i++) {
        const sampler_pass pass = rows[i].backward ? SAMPLER_BACKWARD : SAMPLER_FORWARD;
        if (strcmp(rows[i].op, CLOCK) == 0)
            continue;
        s->flop[pass] += sign * rows[i].flop;
        s->bytes[pass] += sign * rows[i].bytes;
    }
}

static reel_status profile_once(op_sampler *s) {
    memset(s->flop, 0, sizeof s->flop);
    memset(s->bytes, 0, sizeof s->bytes);
    s->cache = SAMPLER_WARM;
    count_work(s, -1);
    reel_profile_start(s->ctx);
    const reel_status status = call_once(s, NULL);
    reel_profile_stop(s->ctx);
    count_work(s, 1);
    return status;
}

/* Calls the op once to see what its results are, and makes gradients for them. */
static void make_gradients(op_sampler *s) {
    reel_tensor *results[BENCH_MAX_INPUTS];
    s->cache = SAMPLER_WARM;
    const int n = call(s, results);
    bool needed = s->differentiable && reel_context_status(s->ctx) == REEL_OK;
    for (int i = 0; i < n && needed; i++)
        needed = reel_needs_grad(results[i]);
    for (int i = 0; i < n && needed; i++) {
        s->gradient[i] = reel_tensor_new(s->ctx, results[i]->dtype, REEL_SHAPE(reel_elements(results[i])));
        reel_fill_uniform(s->ctx, s->gradient[i], -1, 1,
                          (reel_draw){.stream = REEL_STREAM_USER, .index = 1000 + (uint64_t)i});
    }
    s->has_backward = needed;
}

reel_status op_sampler_begin(op_sampler *s, const bench_case *c) {
    s->of = c;
    s->differentiable = !c->no_grad;
    for (int i = 0; i < c->inputs; i++) {
        if (!c->shape[i].given)
            continue;
        s->input[i] = new_input(s, i);
        if (s->differentiable && is_differentiable(c->op, i) && reel_context_status(s->ctx) == REEL_OK)
            reel_require_grad(s->ctx, s->input[i]);
    }
    make_gradients(s);
    const reel_status status = reel_context_status(s->ctx);
    if (status != REEL_OK)
        return status;
    reel_tape_reset(s->ctx);
    return profile_once(s);
}

void op_sampler_end(op_sampler *s) {
    for (int i = 0; i < BENCH_MAX_INPUTS; i++) {
        reel_tensor_free(s->ctx, s->input[i]);
        reel_tensor_free(s->ctx, s->gradient[i]);
        s->input[i] = s->gradient[i] = NULL;
    }
    s->of = NULL;
}

bool op_sampler_has_backward(const op_sampler *s) {
    return s->has_backward;
}

double op_sampler_flop(const op_sampler *s, sampler_pass pass) {
    return s->flop[pass];
}

double op_sampler_bytes(const op_sampler *s, sampler_pass pass) {
    return s->bytes[pass];
}

reel_status op_sampler_run(op_sampler *s, sampler_cache cache, double seconds, int least,
                           timing_samples *to) {
    const double warm_up_seconds = 2e-3; /* in which threads wake up, and others' fall asleep */
    s->cache = cache;
    for (double end = timing_seconds() + warm_up_seconds; timing_seconds() < end;)
        if (call_once(s, NULL) != REEL_OK)
            break;
    for (int pass = 0; pass < SAMPLER_PASSES; pass++)
        timing_begin_round(&to[pass]);
    const double end = timing_seconds() + seconds;
    for (int i = 0; i < least || timing_seconds() < end; i++) {
        const reel_status status = call_once(s, to);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}
