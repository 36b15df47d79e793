/* Sudoku puzzles, read or made on the spot, as a source. */
#include "dataset_source.h"

#include <reel/sudoku.h>

#include <stdlib.h>
#include <string.h>

typedef struct sudoku_source {
    reel__source head;
    reel__source_set all;
    reel_sudoku_set *sudoku;
    int64_t puzzles_of_group; /* the original and its variants */
    int is_endless;           /* every example is shown under a new symmetry */
    uint64_t seed;            /* of the variants */
} sudoku_source;

static const sudoku_source *as_sudoku(const reel__source *source) {
    return (const sudoku_source *)source;
}

static void free_sudoku(reel__source *source) {
    sudoku_source *const self = (sudoku_source *)source;
    reel_puzzle_set_free(self->sudoku);
    free(self);
}

static reel__span group_of_sudoku(const reel__source *source, int set, int64_t group) {
    (void)set;
    const int64_t count = as_sudoku(source)->puzzles_of_group;
    return (reel__span){group * count, count};
}

static reel__puzzle puzzle_of_sudoku(const reel__source *source, int set, int64_t puzzle) {
    (void)source, (void)set;
    return (reel__puzzle){{puzzle, 1}, 0};
}

static void write_sudoku(const reel__source *source, int set, int64_t puzzle, int64_t example,
                         reel_random *random, int32_t *inputs, int32_t *labels) {
    (void)set, (void)example;
    const sudoku_source *const self = as_sudoku(source);
    const reel_sudoku_set *const sudoku = self->sudoku;
    const int64_t group = puzzle / self->puzzles_of_group, variant = puzzle % self->puzzles_of_group;
    const uint8_t *const question = sudoku->questions + group * source->seq_len;
    const uint8_t *const answer = sudoku->answers + group * source->seq_len;
    uint8_t shown_question[REEL_SUDOKU_MAX_CELLS], shown_answer[REEL_SUDOKU_MAX_CELLS];
    if (self->is_endless && random != NULL)
        reel_sudoku_augment(sudoku->size, question, answer, random, shown_question, shown_answer);
    else
        reel_sudoku_variant(sudoku->size, question, answer, self->seed, group, variant, shown_question,
                            shown_answer);
    for (int64_t i = 0; i < source->seq_len; i++) {
        inputs[i] = shown_question[i] + REEL_SUDOKU_FIRST_TOKEN;
        labels[i] = shown_answer[i] + REEL_SUDOKU_FIRST_TOKEN;
    }
}

static int32_t rating_of_sudoku(const reel__source *source, int set, int64_t puzzle) {
    (void)set;
    const sudoku_source *const self = as_sudoku(source);
    return self->sudoku->ratings[puzzle / self->puzzles_of_group];
}

static const reel__source_kind sudoku_kind = {
    .free = free_sudoku,
    .group = group_of_sudoku,
    .puzzle = puzzle_of_sudoku,
    .write = write_sudoku,
    .rating = rating_of_sudoku,
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static const reel_puzzle_set *sudokus_of(const reel__source *source) {
    return source->kind == &sudoku_kind ? as_sudoku(source)->sudoku : NULL;
}

static reel_status make_puzzles(const reel__source_request *request, reel_sudoku_set **set,
                                reel_error *error) {
    int size;
    int64_t count;
    reel_sudoku_set *exclude = NULL;
    reel_status status = reel__read_generator_spec(request->spec, &size, &count, error);
    if (status == REEL_OK)
        status = reel__training_puzzles(request->training, sudokus_of, size, &exclude, error);
    if (status == REEL_OK)
        status = reel_sudoku_generate(size, count, request->options->seed, exclude, set, error);
    reel_puzzle_set_free(exclude);
    return status;
}

reel_status reel__open_sudoku_source(reel__source **out, const reel__source_request *request,
                                     reel_error *error) {
    const int is_made = strncmp(request->spec, "sudoku:", strlen("sudoku:")) == 0;
    reel_sudoku_set *sudoku;
    const reel_status status =
        is_made ? make_puzzles(request, &sudoku, error) : reel_sudoku_read_csv(request->spec, &sudoku, error);
    if (status != REEL_OK)
        return status;
    sudoku_source *const self = calloc(1, sizeof *self);
    if (self == NULL) {
        reel_puzzle_set_free(sudoku);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a data set", request->spec);
    }
    const int64_t num_aug = request->options->num_aug;
    const int is_training = request->split == REEL_SPLIT_TRAIN;
    self->sudoku = sudoku;
    self->seed = request->options->seed;
    self->is_endless = is_training && num_aug == REEL_AUG_DEFAULT;
    self->puzzles_of_group = is_training && num_aug > 0 ? num_aug + 1 : 1;
    const int64_t puzzles = sudoku->count * self->puzzles_of_group;
    self->all = (reel__source_set){"all", sudoku->count, puzzles, puzzles};
    self->head = (reel__source){
        .kind = &sudoku_kind,
        .seq_len = (int64_t)sudoku->size * sudoku->size,
        .vocab_size = sudoku->size + REEL_SUDOKU_FIRST_TOKEN + 1,
        .pad_id = 0,
        .num_puzzle_identifiers = 1,
        .puzzle_examples = 1,
        .mean_puzzle_examples = 1,
        .total_puzzles = sudoku->count,
        .set_count = 1,
        .sets = &self->all,
    };
    *out = &self->head;
    return REEL_OK;
}
