/* Parameters: declared one by one, then laid out in one arena. */
#include "parameters.h"

#include <reel/autograd.h>
#include <stdlib.h>
#include <string.h>

/* A cache line, and a vector of the widest instruction set. The bf16 copies of f32 parameters have it too,
 * for the algorithm of a product is chosen by alignment: a copy in the arena must be as good as one by
 * itself. */
enum { ALIGNMENT = 64 };

reel_parameters *reel_parameters_new(reel_context *ctx, reel_dtype dtype) {
    if (dtype != REEL_F32 && dtype != REEL_F64) {
        reel__error(ctx, REEL_ERROR_DTYPE, "parameters", "%s, must be f32 or f64", reel_dtype_name(dtype));
        return NULL;
    }
    reel_parameters *params = calloc(1, sizeof *params);
    if (!params) {
        reel__error(ctx, REEL_ERROR_MEMORY, "parameters", "no memory");
        return NULL;
    }
    params->ctx = ctx;
    params->dtype = dtype;
    params->values = params->gradients = params->copies = ctx->void_tensor;
    return params;
}

/* Back to the state before the build: no tensors, void slots. */
static void drop_tensors(reel_parameters *params) {
    reel_context *ctx = params->ctx;
    for (int i = 0; i < params->count; i++) {
        reel_tensor_free(ctx, params->named[i].tensor);
        params->named[i].tensor = ctx->void_tensor;
    }
    reel_tensor_free(ctx, params->values);
    reel_tensor_free(ctx, params->gradients);
    reel_tensor_free(ctx, params->copies);
    params->values = params->gradients = params->copies = ctx->void_tensor;
}

void reel_parameters_free(reel_parameters *params) {
    if (!params)
        return;
    drop_tensors(params);
    for (int i = 0; i < params->count; i++)
        free((char *)params->named[i].name);
    free(params->slots);
    free(params->list);
    free(params->named);
    free(params);
}

/* ---- declaration ------------------------------------------------------------------------------------- */

/* FNV-1a, 32 bits (draft-eastlake-fnv). */
static uint32_t hash_of(const char *name) {
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

/* The slot where a name is or belongs; there is always a free one, and their number is a power of two. */
static int *slot_of(const reel_parameters *params, uint32_t hash, const char *name) {
    const uint32_t mask = 2 * (uint32_t)params->room - 1;
    uint32_t at = hash & mask;
    while (params->slots[at] != 0 && strcmp(params->named[params->slots[at] - 1].name, name) != 0)
        at = (at + 1) & mask;
    return &params->slots[at];
}

/* Index of a name, -1 when it is not there. */
static int index_of(const reel_parameters *params, const char *name) {
    return params->room > 0 ? *slot_of(params, hash_of(name), name) - 1 : -1;
}

static reel_status check_declaration(const reel_parameters *params, const char *name, int rank,
                                     const int64_t *shape) {
    reel_context *ctx = params->ctx;
    if (reel__failed(ctx))
        return ctx->error.status;
    if (!name || !*name)
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "parameter", "number %d has no name", params->count);
    if (params->built)
        return reel__error(ctx, REEL_ERROR_STATE, "parameter", "%s comes after the build", name);
    if (index_of(params, name) >= 0)
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "parameter", "%s is declared twice", name);
    if (reel__count(params->dtype, rank, shape) < 1)
        return reel__error(ctx, REEL_ERROR_SHAPE, "parameter",
                           "%s of rank %d has shape %s; it must have elements", name, rank,
                           rank >= 0 && rank <= REEL_MAX_RANK ? reel__shape_text(rank, shape).text : "[...]");
    return REEL_OK;
}

/* Makes room for one more; false when there is no memory. */
static bool make_room(reel_parameters *params) {
    enum { FIRST_ROOM = 64 };
    if (params->count < params->room)
        return true;
    const int larger = params->room ? 2 * params->room : FIRST_ROOM;
    reel__parameter *grown = realloc(params->list, (size_t)larger * sizeof *grown);
    if (!grown)
        return false;
    params->list = grown;
    reel_named_tensor *named = realloc(params->named, (size_t)larger * sizeof *named);
    if (!named)
        return false;
    params->named = named;
    int *slots = calloc(2 * (size_t)larger, sizeof *slots);
    if (!slots)
        return false;
    free(params->slots);
    params->slots = slots;
    params->room = larger;
    for (int i = 0; i < params->count; i++)
        *slot_of(params, params->list[i].hash, params->named[i].name) = i + 1;
    return true;
}

reel_status reel_parameter(reel_parameters *params, reel_tensor **slot, const char *name, int rank,
                           const int64_t *shape, reel_init init) {
    if (!params)
        return REEL_ERROR_STATE;
    *slot = params->ctx->void_tensor;
    const reel_status status = check_declaration(params, name, rank, shape);
    if (status != REEL_OK)
        return status;
    char *own_name = make_room(params) ? strdup(name) : NULL;
    if (!own_name)
        return reel__error(params->ctx, REEL_ERROR_MEMORY, "parameter", "no memory for %s", name);
    params->named[params->count] = (reel_named_tensor){own_name, params->ctx->void_tensor};
    reel__parameter *p = &params->list[params->count++];
    *p = (reel__parameter){.hash = hash_of(name), .slot = slot, .rank = rank, .init = init};
    memcpy(p->shape, shape, (size_t)rank * sizeof *shape);
    *slot_of(params, p->hash, name) = params->count;
    return REEL_OK;
}

/* ---- build ------------------------------------------------------------------------------------------- */

/* Elements that the i-th parameter takes in the arena, with the padding behind it. */
static int64_t room_of(const reel_parameters *params, int i) {
    const reel__parameter *p = &params->list[i];
    const reel_dtype narrowest = params->dtype == REEL_F32 ? REEL_BF16 : params->dtype;
    const int64_t unit = ALIGNMENT / (int64_t)reel_dtype_bytes(narrowest);
    return (reel__count(params->dtype, p->rank, p->shape) + unit - 1) / unit * unit;
}

/* Elements of the arena, -1 when they are too many to count. */
static int64_t arena_elements(const reel_parameters *params) {
    int64_t total = 0;
    for (int i = 0; i < params->count; i++)
        if (__builtin_add_overflow(total, room_of(params, i), &total))
            return -1;
    return total;
}

/* Value and gradient of parameter i from element `offset` of the arena on, joined as a leaf. */
static void place(reel_parameters *params, int i, int64_t offset) {
    reel_context *ctx = params->ctx;
    const reel__parameter *p = &params->list[i];
    reel_tensor *value = reel_tensor_new_view(ctx, params->values, offset, p->rank, p->shape);
    reel_tensor *gradient = reel_tensor_new_view(ctx, params->gradients, offset, p->rank, p->shape);
    if (reel_require_grad_in(ctx, value, gradient) != REEL_OK)
        reel_tensor_free(ctx, gradient);
    params->named[i].tensor = value;
}

static reel_status initialise(const reel_parameters *params, int i) {
    const reel_draw draw = {.stream = REEL_STREAM_INIT, .index = (uint64_t)i};
    const reel_init init = params->list[i].init;
    reel_tensor *value = params->named[i].tensor;
    return init.kind == REEL_INIT_CONSTANT ? reel_fill(params->ctx, value, init.value)
                                           : reel_fill_truncated_normal(params->ctx, value, init.value, draw);
}

reel_status reel_parameters_build(reel_parameters *params) {
    if (!params)
        return REEL_ERROR_STATE;
    reel_context *ctx = params->ctx;
    if (reel__failed(ctx))
        return ctx->error.status;
    if (params->built)
        return reel__error(ctx, REEL_ERROR_STATE, "parameters", "they are built already");
    const int64_t total = arena_elements(params);
    if (total < 0)
        return reel__error(ctx, REEL_ERROR_MEMORY, "parameters", "they are too many to count");
    params->values = reel_tensor_new(ctx, params->dtype, REEL_SHAPE(total));
    params->gradients = reel_tensor_new(ctx, params->dtype, REEL_SHAPE(total));
    int64_t offset = 0;
    for (int i = 0; i < params->count && !reel__failed(ctx); i++) {
        place(params, i, offset);
        initialise(params, i);
        offset += room_of(params, i);
    }
    if (reel__failed(ctx))
        drop_tensors(params);
    for (int i = 0; i < params->count; i++)
        *params->list[i].slot = params->named[i].tensor;
    params->built = !reel__failed(ctx);
    return ctx->error.status;
}

/* ---- bf16 copies ------------------------------------------------------------------------------------- */

/* Whether parameter i's cast is its part of the copies. */
static bool has_part(const reel_parameters *params, int i) {
    const reel_tensor *cast = reel__inside(params->named[i].tensor)->cast;
    return cast && reel__inside(cast)->storage->whole == reel__inside(params->copies)->storage;
}

static bool has_bf16_cast(const reel_parameters *params) {
    for (int i = 0; i < params->count; i++) {
        const reel_tensor *cast = reel__inside(params->named[i].tensor)->cast;
        if (cast && cast->dtype == REEL_BF16)
            return true;
    }
    return false;
}

/* Makes parameter i's part of the copies its cast, stale. One in another dtype stays: somebody uses it. */
static void move_in(reel_parameters *params, int i) {
    reel__tensor *p = reel__inside(params->named[i].tensor);
    if (has_part(params, i) || (p->cast && p->cast->dtype != REEL_BF16))
        return;
    const int64_t offset = (const float *)p->pub.data - (const float *)params->values->data;
    reel_tensor *part = reel__tensor_new_part(params->ctx, params->copies, offset, p->pub.rank, p->pub.shape);
    if (reel_is_void(part))
        return;
    reel_tensor_free(params->ctx, p->cast);
    p->cast = part;
    p->cast_version = REEL__STALE;
}

reel_tensor *reel__parameters_copies(reel_parameters *params) {
    reel_context *ctx = params->ctx;
    if (params->dtype != REEL_F32 || reel_tape_of(ctx).nodes > 0)
        return NULL;
    if (reel_is_void(params->copies) && !ctx->capturing && has_bf16_cast(params))
        params->copies = reel_tensor_new(ctx, REEL_BF16, REEL_SHAPE(params->values->shape[0]));
    if (reel_is_void(params->copies))
        return NULL;
    for (int i = 0; i < params->count && !ctx->capturing && !reel__failed(ctx); i++)
        move_in(params, i);
    return reel__failed(ctx) ? NULL : params->copies;
}

void reel__parameters_copied(const reel_parameters *params) {
    for (int i = 0; i < params->count; i++)
        if (has_part(params, i))
            reel__inside(params->named[i].tensor)->cast_version = params->named[i].tensor->version;
}

/* ---- access ------------------------------------------------------------------------------------------ */

int reel_parameters_count(const reel_parameters *params) {
    return params ? params->count : 0;
}

int64_t reel_parameters_elements(const reel_parameters *params) {
    int64_t elements = 0;
    for (int i = 0; i < reel_parameters_count(params); i++)
        if (__builtin_add_overflow(
                elements, reel__count(params->dtype, params->list[i].rank, params->list[i].shape), &elements))
            return INT64_MAX; /* declared, and never built */
    return elements;
}

const char *reel_parameters_name(const reel_parameters *params, int i) {
    return params->named[i].name;
}

reel_tensor *reel_parameters_at(const reel_parameters *params, int i) {
    return params->named[i].tensor;
}

const reel_named_tensor *reel_parameters_list(const reel_parameters *params) {
    return params ? params->named : NULL;
}

reel_tensor *reel_parameters_find(const reel_parameters *params, const char *name) {
    const int i = params ? index_of(params, name) : -1;
    return i < 0 ? NULL : params->named[i].tensor;
}

reel_tensor *reel_parameters_values(const reel_parameters *params) {
    return params ? params->values : NULL;
}

reel_tensor *reel_parameters_gradients(const reel_parameters *params) {
    if (!params)
        return NULL;
    if (params->built)
        for (int i = 0; i < params->count; i++)
            reel_grad(params->ctx, params->named[i].tensor); /* writes zeros where nothing has flowed */
    return params->gradients;
}

void reel_parameters_touch(const reel_parameters *params) {
    if (!params || !params->built)
        return;
    reel_touch(params->values);
    for (int i = 0; i < params->count; i++)
        reel_touch(params->named[i].tensor);
}

void reel_parameters_zero_grad(const reel_parameters *params) {
    if (!params || !params->built)
        return;
    for (int i = 0; i < params->count; i++)
        reel_zero_grad(params->named[i].tensor);
}
