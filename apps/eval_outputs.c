#include "eval_outputs.h"

#include <stdlib.h>

reel_status eval_outputs_open(eval_outputs *o, const char *const paths[CONFIG_OUTPUT_COUNT],
                              const reel_model *model, int64_t examples, reel_error *error) {
    const reel_model_config *const config = reel_model_config_of(model);
    *o = (eval_outputs){.token_type = config->vocab_size <= UINT8_MAX + 1 ? REEL_NPY_U8 : REEL_NPY_I32,
                        .number_type = config->forward_dtype == REEL_F64 ? REEL_NPY_F64 : REEL_NPY_F32,
                        .cells = config->seq_len,
                        .logits = config->seq_len * config->vocab_size};
    const struct {
        reel_npy_type type;
        int rank;
    } forms[CONFIG_OUTPUT_COUNT] = {
        [CONFIG_OUTPUT_INPUTS] = {o->token_type, 2},
        [CONFIG_OUTPUT_LABELS] = {REEL_NPY_I32, 2},
        [CONFIG_OUTPUT_PUZZLE_IDENTIFIERS] = {REEL_NPY_I32, 1},
        [CONFIG_OUTPUT_LOGITS] = {o->number_type, 3},
        [CONFIG_OUTPUT_PREDS] = {o->token_type, 2},
        [CONFIG_OUTPUT_Q_HALT_LOGITS] = {o->number_type, 1},
        [CONFIG_OUTPUT_Q_CONTINUE_LOGITS] = {o->number_type, 1},
        [CONFIG_OUTPUT_STEPS] = {REEL_NPY_I32, 1},
    };
    const int64_t shape[] = {examples, o->cells, config->vocab_size};
    o->row = malloc((size_t)o->logits * sizeof(double));
    reel_status status = REEL_OK;
    if (!o->row)
        status = reel_fail(error, REEL_ERROR_MEMORY, "no memory left to write answers");
    for (int i = 0; i < CONFIG_OUTPUT_COUNT && status == REEL_OK; i++) {
        if (paths[i])
            status = reel_npy_create(&o->files[i], paths[i], forms[i].type, forms[i].rank, shape, error);
    }
    return status;
}

static void add_tokens(eval_outputs *o, config_output output, const int32_t *tokens) {
    const void *row = tokens;
    if (o->token_type == REEL_NPY_U8) {
        uint8_t *const narrow = o->row;
        for (int64_t i = 0; i < o->cells; i++)
            narrow[i] = (uint8_t)tokens[i];
        row = narrow;
    }
    reel_npy_append(o->files[output], row, o->cells);
}

static void add_numbers(eval_outputs *o, config_output output, const double *numbers, int64_t count) {
    const void *row = numbers;
    if (o->number_type == REEL_NPY_F32) {
        float *const narrow = o->row;
        for (int64_t i = 0; i < count; i++)
            narrow[i] = (float)numbers[i];
        row = narrow;
    }
    reel_npy_append(o->files[output], row, count);
}

void eval_outputs_add(eval_outputs *o, const evaluate_example *example) {
    const evaluate_step *const last = &example->steps[example->steps_taken - 1];
    if (o->files[CONFIG_OUTPUT_INPUTS])
        add_tokens(o, CONFIG_OUTPUT_INPUTS, example->inputs);
    if (o->files[CONFIG_OUTPUT_LABELS])
        reel_npy_append(o->files[CONFIG_OUTPUT_LABELS], example->labels, o->cells);
    if (o->files[CONFIG_OUTPUT_PUZZLE_IDENTIFIERS])
        reel_npy_append(o->files[CONFIG_OUTPUT_PUZZLE_IDENTIFIERS], &example->puzzle_identifier, 1);
    if (o->files[CONFIG_OUTPUT_LOGITS])
        add_numbers(o, CONFIG_OUTPUT_LOGITS, example->logits, o->logits);
    if (o->files[CONFIG_OUTPUT_PREDS])
        add_tokens(o, CONFIG_OUTPUT_PREDS, example->answer);
    if (o->files[CONFIG_OUTPUT_Q_HALT_LOGITS])
        add_numbers(o, CONFIG_OUTPUT_Q_HALT_LOGITS, &last->q_halt, 1);
    if (o->files[CONFIG_OUTPUT_Q_CONTINUE_LOGITS])
        add_numbers(o, CONFIG_OUTPUT_Q_CONTINUE_LOGITS, &last->q_continue, 1);
    if (o->files[CONFIG_OUTPUT_STEPS])
        reel_npy_append(o->files[CONFIG_OUTPUT_STEPS], &(int32_t){(int32_t)example->steps_taken}, 1);
}

reel_status eval_outputs_commit(eval_outputs *o, reel_error *error) {
    reel_status status = REEL_OK;
    for (int i = 0; i < CONFIG_OUTPUT_COUNT && status == REEL_OK; i++) {
        if (o->files[i])
            status = reel_npy_commit(o->files[i], error);
        o->files[i] = NULL; /* commit frees it whatever happens */
    }
    eval_outputs_discard(o);
    return status;
}

void eval_outputs_discard(eval_outputs *o) {
    for (int i = 0; i < CONFIG_OUTPUT_COUNT; i++)
        reel_npy_discard(o->files[i]);
    free(o->row);
    *o = (eval_outputs){0};
}
