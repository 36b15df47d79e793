#include "eval_arc.h"

#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the data set ------------------------------------------------------------------------------------ */

/* The test split of a data set, or the split itself where that is given. */
static reel_status open_split(const char *dataset, reel_folder **split, reel_error *error) {
    char *const path = reel_folder_is_split(dataset) ? strdup(dataset) : reel_path_in(dataset, "test");
    const reel_status status = path ? reel_folder_open(split, path, error)
                                    : reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", dataset);
    free(path);
    return status;
}

static reel_status check_split(const reel_folder *split, reel_error *error) {
    const reel_folder_metadata *const m = &split->metadata;
    if (m->seq_len == REEL_ARC_SEQ_LEN && m->vocab_size == REEL_ARC_VOCAB_SIZE)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_FORMAT,
                     "%s: %" PRId64 " tokens of %" PRId64 " kinds: ARC has %d of %d", split->path, m->seq_len,
                     m->vocab_size, REEL_ARC_SEQ_LEN, REEL_ARC_VOCAB_SIZE);
}

static int64_t examples_of(const reel_folder *split) {
    int64_t examples = 0;
    for (int i = 0; i < split->set_count; i++)
        examples += split->sets[i].examples;
    return examples;
}

/* ---- the answers ------------------------------------------------------------------------------------- */

typedef struct answers {
    reel_npy *predictions, *q_halt, *identifiers; /* the last one may be NULL */
} answers;

static void close_answers(answers *a) {
    reel_npy_close(a->predictions);
    reel_npy_close(a->q_halt);
    reel_npy_close(a->identifiers);
}

static reel_status check_column(const reel_npy *file, const reel_npy *predictions, reel_error *error) {
    if (file->rank == 1 && file->shape[0] == predictions->shape[0])
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_SHAPE,
                     "%s: %d axes, %" PRId64 " elements: one for each of the %" PRId64
                     " rows of %s is needed",
                     file->path, file->rank, file->count, predictions->shape[0], predictions->path);
}

static reel_status open_answers(const eval_arc_files *files, answers *a, reel_error *error) {
    reel_status status = reel_npy_open(&a->predictions, files->predictions, error);
    if (status == REEL_OK)
        status = reel_npy_open(&a->q_halt, files->q_halt, error);
    if (status == REEL_OK && files->identifiers)
        status = reel_npy_open(&a->identifiers, files->identifiers, error);
    if (status != REEL_OK)
        return status;
    const reel_npy *const p = a->predictions;
    if (!reel_npy_is_integer(p->type) || p->rank != 2 || p->shape[1] != REEL_ARC_SEQ_LEN)
        return reel_fail(error, REEL_ERROR_SHAPE, "%s: rows of %d integers are needed", p->path,
                         REEL_ARC_SEQ_LEN);
    if (a->identifiers && !reel_npy_is_integer(a->identifiers->type))
        return reel_fail(error, REEL_ERROR_DTYPE, "%s: %s: integers are needed", a->identifiers->path,
                         reel_npy_type_name(a->identifiers->type));
    status = check_column(a->q_halt, p, error);
    return status == REEL_OK && a->identifiers ? check_column(a->identifiers, p, error) : status;
}

/* ---- voting ------------------------------------------------------------------------------------------ */

/* Row `row` of an array of tokens; what does not fit is no token anyway. */
static void read_tokens(const reel_npy *file, int64_t row, int32_t tokens[REEL_ARC_SEQ_LEN]) {
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++) {
        const int64_t token = reel_npy_integer(file, row * REEL_ARC_SEQ_LEN + i);
        tokens[i] = token >= 0 && token < REEL_ARC_VOCAB_SIZE ? (int32_t)token : REEL_ARC_PAD;
    }
}

/* The next row, at or behind *row, that answers an example. */
static reel_status find_row(const answers *a, int64_t identifier, int64_t example, int64_t *row,
                            reel_error *error) {
    const int64_t rows = a->predictions->shape[0];
    while (a->identifiers && *row < rows && reel_npy_integer(a->identifiers, *row) == REEL_ARC_BLANK)
        ++*row;
    if (*row == rows)
        return reel_fail(error, REEL_ERROR_SHAPE, "%s: no row answers example %" PRId64, a->predictions->path,
                         example);
    if (!a->identifiers || reel_npy_integer(a->identifiers, *row) == identifier)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_FORMAT,
                     "%s: row %" PRId64 " has identifier %" PRId64 ", but example %" PRId64
                     " of the data set has %" PRId64,
                     a->identifiers->path, *row, reel_npy_integer(a->identifiers, *row), example, identifier);
}

static reel_status vote_on_set(const reel_folder_set *set, const answers *a, int64_t first_example,
                               int64_t *row, reel_arc_vote *vote, reel_error *error) {
    int32_t inputs[REEL_ARC_SEQ_LEN], predictions[REEL_ARC_SEQ_LEN];
    reel_status status = REEL_OK;
    for (int64_t p = 0; p < set->puzzles; p++)
        for (int64_t e = set->puzzle_indices[p]; e < set->puzzle_indices[p + 1]; e++, ++*row) {
            status = find_row(a, set->puzzle_identifiers[p], first_example + e, row, error);
            if (status != REEL_OK)
                return status;
            const double q_halt = reel_npy_number(a->q_halt, *row);
            if (isnan(q_halt))
                return reel_fail(error, REEL_ERROR_NOT_FINITE, "%s: row %" PRId64 " is not a number",
                                 a->q_halt->path, *row);
            read_tokens(set->inputs, e, inputs);
            read_tokens(a->predictions, *row, predictions);
            status = reel_arc_vote_add(vote, set->puzzle_identifiers[p], inputs, predictions, q_halt, error);
            if (status != REEL_OK)
                return status;
        }
    return status;
}

static reel_status vote_on_split(const reel_folder *split, const answers *a, reel_arc_vote *vote,
                                 reel_error *error) {
    int64_t row = 0, first = 0;
    reel_status status = check_split(split, error);
    for (int i = 0; i < split->set_count && status == REEL_OK; i++) {
        status = vote_on_set(&split->sets[i], a, first, &row, vote, error);
        first += split->sets[i].examples;
    }
    const int64_t rows = a->predictions->shape[0];
    while (a->identifiers && row < rows && reel_npy_integer(a->identifiers, row) == REEL_ARC_BLANK)
        row++;
    if (status == REEL_OK && row < rows)
        status = reel_fail(error, REEL_ERROR_SHAPE, "%s: %" PRId64 " rows for the %" PRId64 " examples of %s",
                           a->predictions->path, rows, examples_of(split), split->path);
    return status;
}

reel_status eval_arc_from_files(const eval_arc_files *files, reel_arc_vote **vote, reel_error *error) {
    *vote = NULL;
    answers a = {0};
    reel_folder *split = NULL;
    reel_status status = reel_arc_vote_open(vote, files->dataset, error);
    if (status == REEL_OK)
        status = open_answers(files, &a, error);
    if (status == REEL_OK)
        status = open_split(files->dataset, &split, error);
    if (status == REEL_OK)
        status = vote_on_split(split, &a, *vote, error);
    if (status != REEL_OK) {
        reel_arc_vote_free(*vote);
        *vote = NULL;
    }
    reel_folder_close(split);
    close_answers(&a);
    return status;
}

reel_status eval_arc_scores(const reel_arc_vote *vote, const char *name, const int64_t *pass_Ks, int count,
                            named_value **scores, reel_error *error) {
    const size_t n = (size_t)count;
    double *const values = calloc(n + 1, sizeof *values);
    *scores = calloc(n + 1, sizeof **scores);
    reel_status status = values && *scores ? reel_arc_vote_pass(vote, pass_Ks, count, values, error)
                                           : reel_fail(error, REEL_ERROR_MEMORY, "no memory for scores");
    for (int i = 0; i < count && status == REEL_OK; i++) {
        snprintf((*scores)[i].name, sizeof(*scores)[i].name, "%s/pass@%" PRId64, name, pass_Ks[i]);
        (*scores)[i].value = values[i];
    }
    free(values);
    if (status != REEL_OK) {
        free(*scores);
        *scores = NULL;
    }
    return status;
}
