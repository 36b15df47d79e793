/* Steps that a GPU has recorded once and runs again by itself.
 *
 * A graph knows addresses and numbers, and nothing of tensors. So it is thrown away when an owned tensor was
 * made or freed, or the pool gave memory back: until then no owned tensor can have come to lie where the step
 * has its tape, and eager work may use that memory between replays, for the tape is empty when one begins.
 * What the step's host code did to owned tensors besides their values (versions, casts, gradients that are
 * there or forgotten) is kept beside the graph and done again with each replay.
 *
 * A cast is cached until its tensor changes, and an optimizer's step writes fresh ones. On those that are
 * fresh when it is recorded a graph relies: whichever of them are stale when it is launched are made before,
 * also those that the step has no use for. The others it makes itself where it uses them. */
#include "device.h"
#include "tape_state.h"

#include <stdlib.h>

enum { EAGER_CALLS = 2, MOST_REPLAYS = 16 };

/* What a step does to an owned tensor. */
typedef struct effect {
    reel__tensor *on;
    int64_t versions; /* that it goes on by; until the end of the recording the one at its beginning */
    bool needs_cast;  /* that is fresh when it begins */
    bool has_cast, cast_is_fresh;    /* one that was needed or made, when it ends */
    bool had_gradient, has_gradient; /* grad_written before and after */
} effect;

typedef struct reel__replay {
    struct reel__replay *next;
    reel_step_fn *step;
    void *arg;
    int eager_calls;         /* in a row that changed no addresses */
    int64_t address_changes; /* the context's after the last call */
    reel__graph *graph;      /* NULL: not recorded yet */
    effect *effects;         /* on every owned tensor, in the order of the context's list */
    int effect_count;
} reel__replay;

/* ---- life ---------------------------------------------------------------------------------------------- */

/* Begins the cycle anew. */
static void forget(reel_context *ctx, reel__replay *r) {
    reel__device_free_graph(ctx, r->graph);
    free(r->effects);
    r->graph = NULL;
    r->effects = NULL;
    r->effect_count = r->eager_calls = 0;
    r->address_changes = ctx->address_changes;
}

static void replays_free(reel_context *ctx) {
    while (ctx->replays) {
        reel__replay *const r = ctx->replays;
        ctx->replays = r->next;
        forget(ctx, r);
        free(r);
    }
}

/* The replay of this step, perhaps new; NULL with the error kept. */
static reel__replay *replay_of(reel_context *ctx, reel_step_fn *step, void *arg) {
    int count = 0;
    for (reel__replay *r = ctx->replays; r; r = r->next, count++)
        if (r->step == step && r->arg == arg)
            return r;
    if (count == MOST_REPLAYS) /* steps that do not come again */
        replays_free(ctx);
    reel__replay *const made = calloc(1, sizeof *made);
    if (!made) {
        reel__error(ctx, REEL_ERROR_MEMORY, "replay", "no memory");
        return NULL;
    }
    made->next = ctx->replays;
    made->step = step;
    made->arg = arg;
    ctx->replays = made;
    ctx->replays_free = replays_free;
    return made;
}

/* ---- what a graph does not know ------------------------------------------------------------------------ */

/* Looks at the owned tensors before the step is recorded. A cast without a version then is one that the step
 * does not touch. */
static bool begin_effects(reel_context *ctx, reel__replay *r) {
    int count = 0;
    for (const reel__tensor *t = ctx->owned; t; t = t->next)
        count++;
    r->effects = calloc((size_t)count + 1, sizeof *r->effects);
    if (!r->effects) {
        reel__error(ctx, REEL_ERROR_MEMORY, "replay", "no memory for %d tensors", count);
        return false;
    }
    for (reel__tensor *t = ctx->owned; t; t = t->next) {
        const bool fresh = t->cast && t->cast_version == t->pub.version;
        if (!fresh)
            t->cast_version = REEL__STALE;
        r->effects[r->effect_count++] = (effect){
            .on = t, .versions = t->pub.version, .needs_cast = fresh, .had_gradient = t->grad_written};
    }
    return true;
}

static void end_effects(reel__replay *r) {
    for (int i = 0; i < r->effect_count; i++) {
        effect *const e = &r->effects[i];
        e->versions = e->on->pub.version - e->versions;
        e->has_cast = e->on->cast_version != REEL__STALE;
        e->cast_is_fresh = e->on->cast_version == e->on->pub.version;
        e->has_gradient = e->on->grad_written;
    }
}

/* The tape is empty, so nobody looks at the memory of a cast. */
static void make_needed_casts(reel_context *ctx, const reel__replay *r) {
    for (int i = 0; i < r->effect_count; i++) {
        reel__tensor *const t = r->effects[i].on;
        if (!r->effects[i].needs_cast || t->cast_version == t->pub.version)
            continue;
        reel__copy_values(ctx, t->cast, &t->pub, false);
        t->cast_version = t->pub.version;
    }
}

static void repeat_effects(const reel__replay *r) {
    for (int i = 0; i < r->effect_count; i++) {
        const effect *const e = &r->effects[i];
        e->on->pub.version += e->versions;
        if (e->has_cast)
            e->on->cast_version = e->cast_is_fresh ? e->on->pub.version : REEL__STALE;
        e->on->grad_written = e->has_gradient;
    }
}

/* A recording that failed has made no cast and no gradient. */
static void undo_effects(reel_context *ctx, const reel__replay *r) {
    const bool same = r->address_changes == ctx->address_changes;
    int i = 0;
    for (reel__tensor *t = ctx->owned; t; t = t->next, i++) {
        t->cast_version = REEL__STALE;
        t->grad_written = same && r->effects[i].had_gradient;
    }
}

/* Whether each gradient is there or forgotten as it was when the step was recorded: it then is added to or
 * overwritten as it must be. */
static bool gradients_are_as_recorded(const reel__replay *r) {
    for (int i = 0; i < r->effect_count; i++)
        if (r->effects[i].on->grad_written != r->effects[i].had_gradient)
            return false;
    return true;
}

/* ---- a call -------------------------------------------------------------------------------------------- */

/* Everything on the tape dies; the error stays for the caller to see. */
static void empty_tape(reel_context *ctx) {
    const reel_error error = ctx->error;
    reel_tape_reset(ctx);
    ctx->error = error;
}

static void run(reel_context *ctx, reel_step_fn *step, void *arg) {
    ctx->tape->in_replay = true;
    step(ctx, arg);
    ctx->tape->in_replay = false;
    empty_tape(ctx);
}

static void run_eagerly(reel_context *ctx, reel__replay *r) {
    run(ctx, r->step, r->arg);
    r->eager_calls = r->address_changes == ctx->address_changes ? r->eager_calls + 1 : 1;
    r->address_changes = ctx->address_changes;
}

static void record(reel_context *ctx, reel__replay *r) {
    if (!begin_effects(ctx, r) || !reel__device_begin_capture(ctx))
        return;
    ctx->capturing = true;
    run(ctx, r->step, r->arg);
    if (r->address_changes != ctx->address_changes)
        reel__error(ctx, REEL_ERROR_STATE, "replay",
                    "the step makes or frees owned tensors, after calls in which it did not");
    r->graph = reel__device_end_capture(ctx);
    ctx->capturing = false;
    if (r->graph)
        end_effects(r);
    else
        undo_effects(ctx, r);
}

static void replay(reel_context *ctx, reel__replay *r) {
    if (r->address_changes != ctx->address_changes || !gradients_are_as_recorded(r))
        forget(ctx, r);
    if (r->graph) {
        make_needed_casts(ctx, r);
        repeat_effects(r);
    } else if (r->eager_calls < EAGER_CALLS) {
        run_eagerly(ctx, r);
        return;
    } else {
        record(ctx, r);
    }
    if (r->graph)
        reel__device_launch_graph(ctx, r->graph);
}

/* False, with the error kept, where a step is under way. */
static bool check_between_steps(reel_context *ctx) {
    const reel__tape *tape = reel__failed(ctx) ? NULL : reel__tape_of(ctx);
    if (!tape)
        return false;
    if (!tape->in_replay && tape->live_count == 0 && tape->node_count == 0 && tape->depth == 0)
        return true;
    if (tape->in_replay)
        reel__error(ctx, REEL_ERROR_STATE, "replay", "within a step that is replayed");
    reel__error(ctx, REEL_ERROR_STATE, "replay", "the tape holds %lld tensors: reset it before",
                (long long)tape->live_count);
    return false;
}

reel_status reel_replay(reel_context *ctx, reel_step_fn *step, void *arg) {
    if (!check_between_steps(ctx))
        return ctx->error.status;
    if (!ctx->device || ctx->check_finite || reel__profiling(ctx)) {
        run(ctx, step, arg);
        return ctx->error.status;
    }
    reel__replay *const r = replay_of(ctx, step, arg);
    if (r)
        replay(ctx, r);
    if (r && reel__failed(ctx))
        forget(ctx, r);
    return ctx->error.status;
}
