#include "eval_outputs.h"

#include <stdlib.h>

reel_status eval_outputs_open(eval_outputs *o, const char *const paths[EVAL_OUTPUTS], const reel_model *model,
                              int64_t examples, reel_error *error) {
    const reel_model_config *const config = reel_model_config_of(model);
    *o = (eval_outputs){.token_type = config->vocab_size <= UINT8_MAX + 1 ? REEL_NPY_U8 : REEL_NPY_I32,
                        .number_type = config->forward_dtype == REEL_F64 ? REEL_NPY_F64 : REEL_NPY_F32,
                        .cells = config->seq_len};
    const struct {
        reel_npy_type type;
        int rank;
    } forms[EVAL_OUTPUTS] = {
        [EVAL_PREDICTIONS] = {o->token_type, 2},
        [EVAL_Q_HALT] = {o->number_type, 1},
        [EVAL_IDENTIFIERS] = {REEL_NPY_I32, 1},
        [EVAL_STEPS] = {REEL_NPY_I32, 1},
    };
    const int64_t shape[] = {examples, o->cells};
    o->tokens = malloc((size_t)o->cells);
    reel_status status = REEL_OK;
    if (!o->tokens)
        status = reel_fail(error, REEL_ERROR_MEMORY, "no memory left to write answers");
    for (int i = 0; i < EVAL_OUTPUTS && status == REEL_OK; i++) {
        if (paths[i])
            status = reel_npy_create(&o->files[i], paths[i], forms[i].type, forms[i].rank, shape, error);
    }
    return status;
}

static void add_answer(eval_outputs *o, const int32_t *answer) {
    if (o->token_type == REEL_NPY_I32) {
        reel_npy_append(o->files[EVAL_PREDICTIONS], answer, o->cells);
        return;
    }
    for (int64_t i = 0; i < o->cells; i++)
        o->tokens[i] = (uint8_t)answer[i];
    reel_npy_append(o->files[EVAL_PREDICTIONS], o->tokens, o->cells);
}

static void add_number(eval_outputs *o, double number) {
    const float narrow = (float)number;
    const void *const element = o->number_type == REEL_NPY_F64 ? (const void *)&number : &narrow;
    reel_npy_append(o->files[EVAL_Q_HALT], element, 1);
}

void eval_outputs_add(eval_outputs *o, const evaluate_example *example) {
    if (o->files[EVAL_PREDICTIONS])
        add_answer(o, example->answer);
    if (o->files[EVAL_Q_HALT])
        add_number(o, example->steps[example->steps_taken - 1].q_halt);
    if (o->files[EVAL_IDENTIFIERS])
        reel_npy_append(o->files[EVAL_IDENTIFIERS], &example->puzzle_identifier, 1);
    if (o->files[EVAL_STEPS])
        reel_npy_append(o->files[EVAL_STEPS], &(int32_t){(int32_t)example->steps_taken}, 1);
}

reel_status eval_outputs_commit(eval_outputs *o, reel_error *error) {
    reel_status status = REEL_OK;
    for (int i = 0; i < EVAL_OUTPUTS && status == REEL_OK; i++) {
        if (o->files[i])
            status = reel_npy_commit(o->files[i], error);
        o->files[i] = NULL; /* commit frees it whatever happens */
    }
    eval_outputs_discard(o);
    return status;
}

void eval_outputs_discard(eval_outputs *o) {
    for (int i = 0; i < EVAL_OUTPUTS; i++)
        reel_npy_discard(o->files[i]);
    free(o->tokens);
    *o = (eval_outputs){0};
}
