#include "run_state.h"

#include "checkpoint.h"
#include "interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format_name[] = "reel state";
enum { FORMAT_VERSION = 1, NUMBER_BYTES = 32 };

static reel_status no_memory(const char *path, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left for a state", path);
}

/* ---- the tensors of a state -------------------------------------------------------------------------- */

enum { LIST_MAX = 4 + REEL_MAX_LATENTS + 1 + REEL_CARRY_TENSORS_MAX };

typedef struct tensor_list {
    int count;
    reel_named_tensor items[LIST_MAX];
} tensor_list;

static void add(tensor_list *list, const char *name, reel_tensor *tensor) {
    if (tensor)
        list->items[list->count++] = (reel_named_tensor){name, tensor};
}

/* All but the votes. */
static tensor_list list_tensors(const trainer *t) {
    const reel_optimizer_state optimizer = reel_optimizer_state_of(t->optimizer);
    tensor_list list = {0};
    add(&list, "weights", reel_parameters_values(reel_model_parameters(t->model)));
    add(&list, "optimizer.m", optimizer.m);
    add(&list, "optimizer.v", optimizer.v);
    add(&list, "optimizer.ema", optimizer.ema);
    list.count += reel_model_buffers(t->model, list.items + list.count);
    list.count += reel_carry_tensors(t->carry, list.items + list.count);
    return list;
}

/* ---- votes ------------------------------------------------------------------------------------------- */

/* The name of evaluator i's votes. Returns out. */
static const char *votes_name(char out[static NUMBER_BYTES], size_t i) {
    snprintf(out, NUMBER_BYTES, "votes.%zu", i);
    return out;
}

typedef struct ballot {
    char name[NUMBER_BYTES];
    reel_tensor *tensor; /* (bytes) u8 */
} ballot;

static size_t evaluator_count(const trainer *t) {
    return t->evaluators.votes ? t->evaluators.wanted->count : 0;
}

static void free_ballots(const trainer *t, ballot *ballots) {
    for (size_t i = 0; ballots && i < evaluator_count(t); i++)
        reel_tensor_free(t->ctx, ballots[i].tensor);
    free(ballots);
}

static reel_status fill_ballot(const trainer *t, size_t i, ballot *b, const char *path, reel_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    reel_status status = reel_arc_vote_save(t->evaluators.votes[i], &bytes, &size, error);
    if (status == REEL_OK) {
        votes_name(b->name, i);
        b->tensor = reel_tensor_new(t->ctx, REEL_U8, REEL_SHAPE((int64_t)size));
        status = reel_write(t->ctx, b->tensor, bytes, size);
        if (status != REEL_OK)
            reel_fail(error, status, "%s: %s", path, reel_context_message(t->ctx));
    }
    free(bytes);
    return status;
}

/* ---- checksum ---------------------------------------------------------------------------------------- */

/* Finds a torn or worn disk, and nobody who means it. Names and order are of no matter to the sum of a file:
 * each part is hashed by itself, under its name, and the parts are added up. */
static uint64_t hash(uint64_t so_far, const void *bytes, size_t count) {
    const uint64_t odd = 0x9e3779b97f4a7c15; /* 2^64 over the golden ratio */
    const unsigned char *at = bytes;
    for (; count > 0;) {
        uint64_t word = 0;
        const size_t n = count < sizeof word ? count : sizeof word;
        memcpy(&word, at, n);
        so_far = (so_far ^ word ^ n) * odd;
        so_far ^= so_far >> 29;
        at += n;
        count -= n;
    }
    return so_far;
}

static uint64_t hash_part(const char *name, const void *bytes, size_t count) {
    return hash(hash(0, name, strlen(name) + 1), bytes, count);
}

static const char checksum_key[] = "checksum";

static uint64_t hash_pairs(const reel_safetensors_pair *pairs, int64_t count) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].key, checksum_key) != 0)
            sum += hash_part(pairs[i].key, pairs[i].value, strlen(pairs[i].value));
    }
    return sum;
}

static reel_status hash_items(reel_context *ctx, const reel_named_tensor *items, int64_t count, uint64_t *sum,
                              const char *path, reel_error *error) {
    for (int64_t i = 0; i < count; i++) {
        const reel_tensor *const t = items[i].tensor;
        const size_t bytes = (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
        void *const host = malloc(bytes + 1);
        if (!host)
            return no_memory(path, error);
        const reel_status status = reel_read(ctx, t, host, bytes);
        if (status == REEL_OK)
            *sum += hash_part(items[i].name, host, bytes);
        else
            reel_fail(error, status, "%s: %s: %s", path, items[i].name, reel_context_message(ctx));
        free(host);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static uint64_t hash_file(const reel_safetensors *file) {
    const int64_t pairs = reel_safetensors_metadata_count(file);
    uint64_t sum = pairs > 0 ? hash_pairs(reel_safetensors_metadata_at(file, 0), pairs) : 0;
    for (int64_t i = 0; i < reel_safetensors_count(file); i++) {
        const reel_safetensors_entry *const entry = reel_safetensors_at(file, i);
        sum += hash_part(entry->name, entry->data, entry->bytes);
    }
    return sum;
}

/* ---- saving ------------------------------------------------------------------------------------------ */

typedef char number_text[NUMBER_BYTES];

static const char *integer_text(number_text out, int64_t value) {
    snprintf(out, NUMBER_BYTES, "%" PRId64, value);
    return out;
}

static const char *checksum_text(number_text out, uint64_t value) {
    snprintf(out, NUMBER_BYTES, "%016" PRIx64, value);
    return out;
}

static reel_status write_items(trainer *t, const run_record *record, const reel_named_tensor *items,
                               int64_t count, const char *config, const char *path, reel_error *error) {
    number_text format, step, evaluated, metrics_lines, best_step, accuracy, checksum;
    snprintf(format, sizeof format, "%s %d", format_name, FORMAT_VERSION);
    snprintf(accuracy, sizeof accuracy, "%.17g", record->best_accuracy);
    reel_safetensors_pair metadata[] = {
        {"format", format},
        {"config", config},
        {"step", integer_text(step, t->step)},
        {"evaluated", integer_text(evaluated, record->evaluated_step == t->step)},
        {"metrics_lines", integer_text(metrics_lines, record->metrics_lines)},
        {"best_step", integer_text(best_step, record->best_step)},
        {"best_accuracy", accuracy},
        {checksum_key, ""},
    };
    enum { PAIRS = sizeof metadata / sizeof metadata[0] };
    uint64_t sum = hash_pairs(metadata, PAIRS);
    reel_status status = hash_items(t->ctx, items, count, &sum, path, error);
    metadata[PAIRS - 1].value = checksum_text(checksum, sum);
    interrupt_hold();
    if (status == REEL_OK)
        status = reel_safetensors_write(t->ctx, path, items, count, metadata, PAIRS, error);
    interrupt_release();
    return status;
}

reel_status run_state_save(trainer *t, const run_record *record, const char *path, reel_error *error) {
    const size_t votes = evaluator_count(t);
    const tensor_list list = list_tensors(t);
    char *const config = train_config_json(t->config);
    ballot *const ballots = calloc(votes + 1, sizeof *ballots);
    reel_named_tensor *const items = calloc((size_t)list.count + votes, sizeof *items);
    reel_status status = config && ballots && items ? REEL_OK : no_memory(path, error);
    int64_t count = 0;
    for (int i = 0; i < list.count && status == REEL_OK; i++)
        items[count++] = list.items[i];
    if (status == REEL_OK)
        status = checkpoint_check(t->ctx, items, count, path, error);
    for (size_t i = 0; i < votes && status == REEL_OK; i++) {
        status = fill_ballot(t, i, &ballots[i], path, error);
        items[count++] = (reel_named_tensor){ballots[i].name, ballots[i].tensor};
    }
    if (status == REEL_OK)
        status = write_items(t, record, items, count, config, path, error);
    free(items);
    free_ballots(t, ballots);
    free(config);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static reel_status damaged(const run_state *s, const char *what, reel_error *error) {
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: damaged: %s", s->path, what);
}

static reel_status check_format(const run_state *s, reel_error *error) {
    const char *const format = reel_safetensors_metadata(s->file, "format");
    const size_t length = strlen(format_name);
    char *end = NULL;
    long version = 0;
    if (format && strncmp(format, format_name, length) == 0 && format[length] == ' ')
        version = strtol(format + length, &end, 10);
    if (version < 1 || *end != '\0')
        return damaged(s, "it does not say that it is a state", error);
    if (version > FORMAT_VERSION)
        return reel_fail(error, REEL_ERROR_STATE,
                         "%s: written by a newer version, in the format '%.40s'; this one knows '%s %d'",
                         s->path, format, format_name, FORMAT_VERSION);
    number_text sum;
    const char *const checksum = reel_safetensors_metadata(s->file, checksum_key);
    if (!checksum || strcmp(checksum, checksum_text(sum, hash_file(s->file))) != 0)
        return damaged(s, "its checksum differs", error);
    return REEL_OK;
}

static reel_status read_integer(const run_state *s, const char *key, int64_t *value, reel_error *error) {
    const char *const text = reel_safetensors_metadata(s->file, key);
    char *end = NULL;
    errno = 0;
    *value = text ? strtoll(text, &end, 10) : -1;
    if (*value >= 0 && errno == 0 && end != text && *end == '\0')
        return REEL_OK;
    return damaged(s, key, error);
}

static reel_status read_record(run_state *s, reel_error *error) {
    run_record *const r = &s->record;
    int64_t evaluated = 0;
    const struct {
        const char *key;
        int64_t *value;
    } integers[] = {
        {"step", &r->step},
        {"evaluated", &evaluated},
        {"metrics_lines", &r->metrics_lines},
        {"best_step", &r->best_step},
    };
    reel_status status = REEL_OK;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0] && status == REEL_OK; i++)
        status = read_integer(s, integers[i].key, integers[i].value, error);
    if (status != REEL_OK)
        return status;
    const char *const accuracy = reel_safetensors_metadata(s->file, "best_accuracy");
    s->config = reel_safetensors_metadata(s->file, "config");
    if (r->step < 1 || r->step > CONFIG_STEPS_MAX || !s->config || !accuracy)
        return damaged(s, "step, configuration or accuracy is missing or out of range", error);
    r->best_accuracy = strtod(accuracy, NULL);
    r->evaluated_step = evaluated ? r->step : 0;
    return REEL_OK;
}

reel_status run_state_open(run_state *s, const char *path, reel_error *error) {
    *s = (run_state){0};
    snprintf(s->path, sizeof s->path, "%s", path);
    reel_status status = reel_safetensors_open(&s->file, path, error);
    if (status == REEL_OK)
        status = check_format(s, error);
    if (status == REEL_OK)
        status = read_record(s, error);
    if (status != REEL_OK)
        run_state_close(s);
    return status;
}

void run_state_close(run_state *s) {
    reel_safetensors_close(s->file);
    *s = (run_state){0};
}

/* ---- loading ----------------------------------------------------------------------------------------- */

static reel_status load_votes(const run_state *s, trainer *t, reel_error *error) {
    reel_status status = REEL_OK;
    for (size_t i = 0; i < evaluator_count(t) && status == REEL_OK; i++) {
        char name[NUMBER_BYTES];
        const reel_safetensors_entry *const entry = reel_safetensors_find(s->file, votes_name(name, i));
        reel_error why = {0};
        status = entry ? reel_arc_vote_load(t->evaluators.votes[i], entry->data, entry->bytes, &why)
                       : reel_fail(&why, REEL_ERROR_FORMAT, "%s is missing", name);
        if (status != REEL_OK)
            reel_fail(error, status, "%s: %s", s->path, why.message);
    }
    return status;
}

reel_status run_state_load(const run_state *s, trainer *t, reel_error *error) {
    const tensor_list list = list_tensors(t);
    reel_status status = REEL_OK;
    for (int i = 0; i < list.count && status == REEL_OK; i++)
        status = reel_safetensors_load(t->ctx, s->file, list.items[i].name, list.items[i].tensor, error);
    if (status == REEL_OK)
        status = load_votes(s, t, error);
    if (status != REEL_OK)
        return status;
    reel_parameters_touch(reel_model_parameters(t->model)); /* they lie in the arena that was written */
    if (t->optimizer)
        reel_optimizer_set_steps(t->optimizer, s->record.step);
    trainer_go_to_step(t, s->record.step);
    return REEL_OK;
}
