/* AdamW and AdamAtan2 over an arena, with clipping and EMA. */
#include "optim_kernels.h"
#include "parameters.h"

#include <math.h>
#include <reel/autograd.h>
#include <stdlib.h>

struct reel_optimizer {
    reel_parameters *params;
    reel_optimizer_options options;
    reel_tensor *m, *v;       /* (n) moments */
    reel_tensor *ema;         /* (n), NULL: none */
    reel_tensor *square_sums; /* (chunks) scratch of the norm */
    reel_tensor *clip;        /* (REEL__CLIP_VALUES) of the last step */
    reel_tensor *rates;       /* (REEL__ADAM_RATES) of the next */
    int64_t steps;            /* the scheduled one among them */
    bool scheduled;           /* the host has not seen that step taken; a replay's it never sees */
    bool swapped;             /* the parameters hold the EMA and the other way round */
};

/* ---- life -------------------------------------------------------------------------------------------- */

/* Written so that NaN is outside every range. */
static reel_status check_options(reel_context *ctx, const reel_optimizer_options *o) {
    const struct {
        const char *name;
        double value;
        bool right;
        const char *range;
    } rules[] = {
        {"beta1", o->beta1, o->beta1 >= 0 && o->beta1 < 1, "0 <= beta1 < 1"},
        {"beta2", o->beta2, o->beta2 >= 0 && o->beta2 < 1, "0 <= beta2 < 1"},
        {"eps", o->eps, o->kind != REEL_ADAM_W || (o->eps > 0 && isfinite(o->eps)), "0 < eps"},
        {"weight_decay", o->weight_decay, o->weight_decay >= 0 && isfinite(o->weight_decay),
         "0 <= weight_decay"},
        {"ema_rate", o->ema_rate, o->ema_rate >= 0 && o->ema_rate < 1, "0 <= ema_rate < 1"},
        {"max_grad_norm", o->max_grad_norm, o->max_grad_norm >= 0 && isfinite(o->max_grad_norm),
         "0 <= max_grad_norm"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (!rules[i].right)
            return reel__error(ctx, REEL_ERROR_ARGUMENT, "optimizer", "%s is %g, must be %s", rules[i].name,
                               rules[i].value, rules[i].range);
    return REEL_OK;
}

reel_optimizer *reel_optimizer_new(reel_parameters *params, const reel_optimizer_options *options) {
    reel_context *ctx = params ? params->ctx : NULL;
    if (!ctx || reel__failed(ctx) || check_options(ctx, options) != REEL_OK)
        return NULL;
    reel_optimizer *o = params->built ? calloc(1, sizeof *o) : NULL;
    if (!o) {
        reel__error(ctx, params->built ? REEL_ERROR_MEMORY : REEL_ERROR_STATE, "optimizer",
                    params->built ? "no memory" : "the parameters are not built");
        return NULL;
    }
    const int64_t n = params->values->shape[0];
    o->params = params;
    o->options = *options;
    o->m = reel_tensor_new(ctx, params->dtype, REEL_SHAPE(n));
    o->v = reel_tensor_new(ctx, params->dtype, REEL_SHAPE(n));
    o->square_sums =
        reel_tensor_new(ctx, REEL_F64, REEL_SHAPE((n + REEL__SQUARES_CHUNK - 1) / REEL__SQUARES_CHUNK));
    o->clip = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(REEL__CLIP_VALUES));
    o->rates = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(REEL__ADAM_RATES));
    if (options->ema_rate > 0) {
        o->ema = reel_tensor_new(ctx, params->dtype, REEL_SHAPE(n));
        reel_copy(ctx, o->ema, params->values);
    }
    if (reel__failed(ctx)) {
        reel_optimizer_free(o);
        return NULL;
    }
    return o;
}

void reel_optimizer_free(reel_optimizer *o) {
    if (!o)
        return;
    reel_context *ctx = o->params->ctx;
    reel_tensor_free(ctx, o->m);
    reel_tensor_free(ctx, o->v);
    reel_tensor_free(ctx, o->ema);
    reel_tensor_free(ctx, o->square_sums);
    reel_tensor_free(ctx, o->clip);
    reel_tensor_free(ctx, o->rates);
    free(o);
}

/* ---- a step ------------------------------------------------------------------------------------------ */

static double element(const reel_tensor *t, int64_t i) {
    return t->dtype == REEL_F64 ? ((const double *)t->data)[i] : ((const float *)t->data)[i];
}

/* The error for a gradient whose norm is not finite: says where. */
static reel_status refuse_gradient(const reel_parameters *params, double norm) {
    for (int i = 0; i < params->count; i++) {
        const reel_tensor *g = reel_grad(params->ctx, params->named[i].tensor);
        for (int64_t k = 0, n = reel_elements(g); k < n; k++)
            if (!isfinite(element(g, k)))
                return reel__error(params->ctx, REEL_ERROR_NOT_FINITE, "optimizer",
                                   "the gradient of %s %s is %g at element %lld", params->named[i].name,
                                   reel__shape_text(g->rank, g->shape).text, element(g, k), (long long)k);
    }
    return reel__error(params->ctx, REEL_ERROR_NOT_FINITE, "optimizer", "the norm of the gradient is %g",
                       norm);
}

/* The norm over all parameters and how it scales the gradient. A GPU is not waited for: its kernels leave out
 * a step without finite norm, and the error comes with the next value that is read. */
static reel_status clip_gradient(reel_optimizer *o, const reel_tensor *gradient) {
    reel_context *ctx = o->params->ctx;
    REEL_DISPATCH(ctx, square_sums, (ctx, gradient, o->square_sums));
    REEL_DISPATCH(ctx, clip, (ctx, o->square_sums, o->options.max_grad_norm, o->clip));
    if (reel__failed(ctx) || ctx->device)
        return ctx->error.status;
    const double norm = element(o->clip, REEL__CLIP_NORM);
    return isfinite(norm) ? REEL_OK : refuse_gradient(o->params, norm);
}

static reel_status check_swapped(const reel_optimizer *o) {
    if (reel__failed(o->params->ctx) || !o->swapped)
        return o->params->ctx->error.status;
    return reel__error(o->params->ctx, REEL_ERROR_STATE, "optimizer", "step while the EMA is swapped in");
}

reel_status reel_optimizer_schedule(reel_optimizer *o, double lr) {
    if (!o)
        return REEL_ERROR_STATE;
    reel_context *ctx = o->params->ctx;
    const reel_optimizer_options *options = &o->options;
    if (reel__failed(ctx) || reel__needs_host(ctx, "reel_optimizer_schedule takes a rate of the host"))
        return ctx->error.status;
    if (!(lr >= 0) || !isfinite(lr))
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "optimizer", "lr is %g, must be 0 or more", lr);
    if (check_swapped(o) != REEL_OK)
        return ctx->error.status;
    const double t = (double)(o->steps + 1);
    const double rates[REEL__ADAM_RATES] = {
        [REEL__ADAM_DECAY] = 1 - lr * options->weight_decay,
        [REEL__ADAM_RATE] = lr / (1 - pow(options->beta1, t)),
        [REEL__ADAM_CORRECTION] = 1 - pow(options->beta2, t),
    };
    if (reel_write(ctx, o->rates, rates, sizeof rates) != REEL_OK)
        return ctx->error.status;
    o->steps++;
    o->scheduled = true;
    return REEL_OK;
}

/* Read: the gradient, and once more for its norm; read and written: values, moments, EMA; written: copies. */
static double arena_bytes(const reel_optimizer *o, const reel_tensor *copies) {
    const double arena = reel__bytes(o->params->values);
    return (2 + 2 * (o->ema ? 4 : 3)) * arena + (copies ? reel__bytes(copies) : 0);
}

static reel_status take_step(reel_optimizer *o) {
    reel_context *ctx = o->params->ctx;
    const reel_optimizer_options *options = &o->options;
    if (check_swapped(o) != REEL_OK)
        return ctx->error.status;
    if (!o->scheduled)
        return reel__error(ctx, REEL_ERROR_STATE, "optimizer", "a step without a learning rate: schedule it");
    reel_tensor *const copies = reel__parameters_copies(o->params);
    if (reel__failed(ctx))
        return ctx->error.status;
    const reel_tensor *gradient = reel_parameters_gradients(o->params);
    const reel_status status = clip_gradient(o, gradient);
    if (status != REEL_OK)
        return status;
    const reel__adam constants = {
        .kind = options->kind,
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .eps = options->eps,
        .ema_rate = options->ema_rate,
    };
    REEL_DISPATCH(
        ctx, adam,
        (ctx, &constants, o->rates, o->clip, o->params->values, gradient, o->m, o->v, o->ema, copies));
    reel_parameters_touch(o->params);
    if (copies)
        reel__parameters_copied(o->params);
    reel_parameters_zero_grad(o->params);
    if (reel__profiling(ctx))
        reel__profile_add(ctx, "optimizer", false, arena_bytes(o, copies));
    return REEL_OK;
}

reel_status reel_optimizer_apply(reel_optimizer *o) {
    if (!o)
        return REEL_ERROR_STATE;
    const reel_status status = take_step(o);
    if (status != REEL_OK && o->scheduled)
        o->steps--;
    o->scheduled = false;
    return status;
}

reel_status reel_optimizer_step(reel_optimizer *o, double lr) {
    const reel_status status = reel_optimizer_schedule(o, lr);
    return status == REEL_OK ? reel_optimizer_apply(o) : status;
}

double reel_optimizer_grad_norm(const reel_optimizer *o) {
    double clip[REEL__CLIP_VALUES] = {0};
    if (o)
        reel_read(o->params->ctx, o->clip, clip, sizeof clip);
    return clip[REEL__CLIP_TAKEN];
}

/* ---- EMA and state ----------------------------------------------------------------------------------- */

reel_status reel_optimizer_swap_ema(reel_optimizer *o) {
    if (!o)
        return REEL_ERROR_STATE;
    reel_context *ctx = o->params->ctx;
    if (reel__failed(ctx) || !o->ema)
        return ctx->error.status;
    REEL_DISPATCH(ctx, exchange, (ctx, o->params->values, o->ema));
    reel_parameters_touch(o->params);
    o->swapped = !o->swapped;
    return REEL_OK;
}

reel_optimizer_state reel_optimizer_state_of(const reel_optimizer *o) {
    return o ? (reel_optimizer_state){o->m, o->v, o->ema, o->steps} : (reel_optimizer_state){0};
}

reel_status reel_optimizer_set_steps(reel_optimizer *o, int64_t steps) {
    if (!o)
        return REEL_ERROR_STATE;
    reel_context *ctx = o->params->ctx;
    if (reel__failed(ctx))
        return ctx->error.status;
    if (steps < 0)
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "optimizer", "%lld steps taken", (long long)steps);
    o->steps = steps;
    return REEL_OK;
}
