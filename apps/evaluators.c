#include "evaluators.h"

#include "eval_arc.h"

#include <reel/folders.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Votes as bytes. */
struct evaluators_votes {
    uint8_t *bytes;
    size_t size;
};

reel_status evaluators_open(evaluators *e, const config_evaluators *wanted, const reel_dataset *test,
                            reel_error *error) {
    *e = (evaluators){.wanted = wanted};
    if (wanted->count == 0)
        return REEL_OK;
    if (!test)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "evaluators: there are no test data; give data_paths_test, or evaluators: []");
    e->votes = calloc(wanted->count, sizeof *e->votes);
    e->before = calloc(wanted->count, sizeof *e->before);
    if (!e->votes || !e->before)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for evaluators");
    reel_status status = REEL_OK;
    for (size_t i = 0; i < wanted->count && status == REEL_OK; i++)
        status = reel_arc_vote_of_dataset(&e->votes[i], test, error);
    return status;
}

void evaluators_free(evaluators *e) {
    for (size_t i = 0; e->votes && i < e->wanted->count; i++)
        reel_arc_vote_free(e->votes[i]);
    for (size_t i = 0; e->before && i < e->wanted->count; i++)
        free(e->before[i].bytes);
    free(e->votes);
    free(e->before);
    *e = (evaluators){0};
}

reel_status evaluators_begin(evaluators *e, reel_error *error) {
    reel_status status = REEL_OK;
    for (size_t i = 0; e->votes && i < e->wanted->count && status == REEL_OK; i++) {
        struct evaluators_votes *const before = &e->before[i];
        free(before->bytes);
        before->bytes = NULL;
        status = reel_arc_vote_save(e->votes[i], &before->bytes, &before->size, error);
        if (status == REEL_OK && !e->wanted->items[i].aggregated_voting)
            reel_arc_vote_clear(e->votes[i]);
    }
    return status;
}

reel_status evaluators_undo(evaluators *e, reel_error *error) {
    reel_status status = REEL_OK;
    for (size_t i = 0; e->votes && i < e->wanted->count && status == REEL_OK; i++) {
        if (e->before[i].bytes)
            status = reel_arc_vote_load(e->votes[i], e->before[i].bytes, e->before[i].size, error);
    }
    return status;
}

reel_status evaluators_add(evaluators *e, const evaluate_example *example, reel_error *error) {
    const evaluate_step *const last = &example->steps[example->steps_taken - 1];
    reel_status status = REEL_OK;
    for (size_t i = 0; e->votes && i < e->wanted->count && status == REEL_OK; i++)
        status = reel_arc_vote_add(e->votes[i], example->puzzle_identifier, example->inputs, example->answer,
                                   last->q_halt, error);
    return status;
}

/* FOLDER/evaluator_NAME_step_N/submission.json */
static reel_status write_submission(const reel_arc_vote *vote, const config_evaluator *wanted,
                                    const char *name, const char *folder, int64_t step, reel_error *error) {
    char own[64];
    int made = 0;
    snprintf(own, sizeof own, "evaluator_%s_step_%" PRId64, name, step);
    char *const path = reel_path_in(folder, own);
    char *const file = path ? reel_path_in(path, "submission.json") : NULL;
    reel_status status = file ? reel_make_folders(path, &made, error)
                              : reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", folder);
    if (status == REEL_OK)
        status = reel_arc_vote_write(vote, file, (int)wanted->submission_K, error);
    free(file);
    free(path);
    return status;
}

static reel_status end_one(const evaluators *e, size_t i, const char *folder, int64_t step,
                           metrics_line *line, reel_error *error) {
    const config_evaluator *const wanted = &e->wanted->items[i];
    char name[24] = "ARC";
    if (i > 0)
        snprintf(name, sizeof name, "ARC%zu", i + 1);
    named_value *scores = NULL;
    reel_status status =
        eval_arc_scores(e->votes[i], name, wanted->pass_Ks.items, (int)wanted->pass_Ks.count, &scores, error);
    for (size_t k = 0; status == REEL_OK && k < wanted->pass_Ks.count; k++)
        metrics_write_score(line, &scores[k]);
    free(scores);
    return status == REEL_OK ? write_submission(e->votes[i], wanted, name, folder, step, error) : status;
}

reel_status evaluators_end(evaluators *e, const char *folder, int64_t step, metrics_line *line,
                           reel_error *error) {
    reel_status status = REEL_OK;
    for (size_t i = 0; e->votes && i < e->wanted->count && status == REEL_OK; i++)
        status = end_one(e, i, folder, step, line, error);
    return status;
}
