#include "checkpoint.h"

#include "interrupt.h"

#include <reel/autograd.h>
#include <reel/ops.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format_name[] = "reel weights 1";

/* ---- the tensors of a checkpoint --------------------------------------------------------------------- */

typedef struct tensor_list {
    int64_t count;
    reel_named_tensor *items;
} tensor_list;

/* Parameters, then buffers. `items` is freed by the caller; NULL without memory. */
static tensor_list list_tensors(reel_model *model) {
    const reel_parameters *const parameters = reel_model_parameters(model);
    const int count = reel_parameters_count(parameters);
    tensor_list list = {0};
    list.items = calloc((size_t)count + REEL_MAX_LATENTS + 1, sizeof *list.items);
    if (!list.items)
        return list;
    memcpy(list.items, reel_parameters_list(parameters), (size_t)count * sizeof *list.items);
    list.count = count + reel_model_buffers(model, list.items + count);
    return list;
}

static reel_status no_memory(const char *path, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left for a checkpoint", path);
}

/* ---- saving ------------------------------------------------------------------------------------------ */

/* Where the host cannot look: the mean of finite numbers is finite. */
static bool is_finite_on_device(reel_context *ctx, reel_tensor *t) {
    if (t->dtype != REEL_F64 && t->dtype != REEL_F32)
        return true;
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const bool finite = isfinite(reel_item(ctx, reel_mean(ctx, t, NULL, 0, 0)));
    reel_scope_end(ctx, scope, NULL, 0);
    return finite;
}

static bool is_finite(reel_context *ctx, reel_tensor *t) {
    if (t->device != REEL_CPU)
        return is_finite_on_device(ctx, t);
    const int64_t n = reel_elements(t);
    bool finite = true;
    for (int64_t i = 0; i < n && finite; i++) {
        if (t->dtype == REEL_F64)
            finite = isfinite(((const double *)t->data)[i]);
        else if (t->dtype == REEL_F32)
            finite = isfinite(((const float *)t->data)[i]);
    }
    return finite;
}

reel_status checkpoint_check(reel_context *ctx, const reel_named_tensor *items, int64_t count,
                             const char *path, reel_error *error) {
    for (int64_t i = 0; i < count; i++) {
        if (is_finite(ctx, items[i].tensor))
            continue;
        const reel_status status = reel_context_status(ctx);
        return status == REEL_OK
                   ? reel_fail(error, REEL_ERROR_NOT_FINITE, "%s: %s is not finite", path, items[i].name)
                   : reel_fail(error, status, "%s: %s", path, reel_context_message(ctx));
    }
    return REEL_OK;
}

static reel_status write_list(trainer *t, const tensor_list *list, const char *config, const char *path,
                              reel_error *error) {
    char step[24];
    snprintf(step, sizeof step, "%" PRId64, t->step);
    const reel_safetensors_pair metadata[] = {{"config", config}, {"format", format_name}, {"step", step}};
    const int64_t metadata_count = sizeof metadata / sizeof metadata[0];
    reel_status status = checkpoint_check(t->ctx, list->items, list->count, path, error);
    interrupt_hold();
    if (status == REEL_OK)
        status =
            reel_safetensors_write(t->ctx, path, list->items, list->count, metadata, metadata_count, error);
    interrupt_release();
    return status;
}

reel_status checkpoint_save(trainer *t, const char *path, reel_error *error) {
    const tensor_list list = list_tensors(t->model);
    char *const config = train_config_json(t->config);
    reel_status status = REEL_ERROR_MEMORY;
    if (list.items && config) {
        trainer_swap_ema(t);
        status = write_list(t, &list, config, path, error);
        if (status != REEL_OK)
            reel_tape_reset(t->ctx); /* or the weights would not come back */
        trainer_swap_ema(t);
    } else {
        no_memory(path, error);
    }
    free(config);
    free(list.items);
    return status;
}

/* ---- loading ----------------------------------------------------------------------------------------- */

enum { SHAPE_BYTES = 24 * REEL_MAX_RANK };

/* "[512, 128]". Returns out. */
static const char *shape_text(char out[static SHAPE_BYTES], int rank, const int64_t *shape) {
    size_t used = (size_t)snprintf(out, SHAPE_BYTES, "[");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(out + used, SHAPE_BYTES - used, "%s%" PRId64, i ? ", " : "", shape[i]);
    snprintf(out + used, SHAPE_BYTES - used, "]");
    return out;
}

static bool same_shape(const reel_safetensors_entry *entry, const reel_tensor *t) {
    return entry->rank == t->rank &&
           memcmp(entry->shape, t->shape, (size_t)t->rank * sizeof t->shape[0]) == 0;
}

/* table[i] = mean of the rows of the file's table, for every i. */
static reel_status load_mean_row(reel_context *ctx, const reel_safetensors *file,
                                 const reel_safetensors_entry *entry, reel_tensor *table, const char *path,
                                 reel_error *error) {
    reel_tensor *const rows = reel_tensor_new(ctx, table->dtype, entry->rank, entry->shape);
    reel_status status = REEL_OK;
    if (!reel_is_void(rows))
        status = reel_safetensors_load(ctx, file, entry->name, rows, error);
    if (status == REEL_OK) {
        reel_tensor *const mean = reel_mean(ctx, rows, (const int[]){0}, 1, REEL_KEEP_AXES);
        reel_copy(ctx, table, reel_expand(ctx, mean, table->rank, table->shape));
        status = reel_context_status(ctx);
        if (status != REEL_OK)
            reel_fail(error, status, "%s: %s: %s", path, entry->name, reel_context_message(ctx));
    }
    reel_tensor_free(ctx, rows);
    reel_tape_reset(ctx);
    return status;
}

static reel_status load_one(reel_context *ctx, const reel_model *model, const reel_safetensors *file,
                            const reel_named_tensor *wanted, const char *path, reel_error *error) {
    const reel_safetensors_entry *const entry = reel_safetensors_find(file, wanted->name);
    if (!entry)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: tensor %s is missing", path, wanted->name);
    reel_tensor *const to = wanted->tensor;
    if (same_shape(entry, to))
        return reel_safetensors_load(ctx, file, wanted->name, to, error);
    if (to == reel_model_puzzle_embeddings(model) && entry->rank == to->rank && entry->shape[0] > 0 &&
        entry->shape[1] == to->shape[1])
        return load_mean_row(ctx, file, entry, to, path, error);
    char have[SHAPE_BYTES], need[SHAPE_BYTES];
    return reel_fail(error, REEL_ERROR_SHAPE, "%s: tensor %s has shape %s, the model needs %s", path,
                     wanted->name, shape_text(have, entry->rank, entry->shape),
                     shape_text(need, to->rank, to->shape));
}

static bool list_has(const tensor_list *list, const char *name) {
    for (int64_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    }
    return false;
}

static reel_status load_list(reel_context *ctx, const reel_model *model, const reel_safetensors *file,
                             const tensor_list *list, const char *path, reel_error *error) {
    for (int64_t i = 0; i < list->count; i++) {
        const reel_status status = load_one(ctx, model, file, &list->items[i], path, error);
        if (status != REEL_OK)
            return status;
    }
    for (int64_t i = 0; i < reel_safetensors_count(file); i++) {
        const char *const name = reel_safetensors_at(file, i)->name;
        if (!list_has(list, name))
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: the model has no tensor %s", path, name);
    }
    return REEL_OK;
}

/* Says what a file is that someone may well take for a checkpoint of ours. */
static reel_status refuse_pytorch(const char *path, reel_error *error) {
    static const char zip[] = "PK\3\4", pickle[] = "\x80\2";
    char begin[sizeof zip] = {0};
    FILE *const file = fopen(path, "rb");
    if (!file)
        return reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(errno));
    const size_t bytes = fread(begin, 1, sizeof begin - 1, file);
    fclose(file);
    if (bytes == sizeof begin - 1 &&
        (memcmp(begin, zip, strlen(zip)) == 0 || memcmp(begin, pickle, strlen(pickle)) == 0))
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: a checkpoint of PyTorch; convert it first: trm_convert %s OUT.safetensors",
                         path, path);
    return REEL_OK;
}

reel_status checkpoint_open(reel_safetensors **file, const char *path, reel_error *error) {
    *file = NULL;
    const reel_status status = refuse_pytorch(path, error);
    return status == REEL_OK ? reel_safetensors_open(file, path, error) : status;
}

reel_status checkpoint_load(reel_context *ctx, reel_model *model, const char *path, reel_error *error) {
    reel_safetensors *file = NULL;
    reel_status status = checkpoint_open(&file, path, error);
    if (status != REEL_OK)
        return status;
    const tensor_list list = list_tensors(model);
    status = list.items ? load_list(ctx, model, file, &list, path, error) : no_memory(path, error);
    free(list.items);
    reel_safetensors_close(file);
    return status;
}
