/* Mazes, read or made on the spot, as a source. */
#include "dataset_source.h"

#include <reel/maze.h>

#include <stdlib.h>
#include <string.h>

typedef struct maze_source {
    reel__source head;
    reel__source_set all;
    reel_maze_set *mazes;
    int64_t puzzles_of_group; /* the original, or all variants */
} maze_source;

static const maze_source *as_maze(const reel__source *source) {
    return (const maze_source *)source;
}

static void free_maze(reel__source *source) {
    maze_source *const self = (maze_source *)source;
    reel_puzzle_set_free(self->mazes);
    free(self);
}

static reel__span group_of_maze(const reel__source *source, int set, int64_t group) {
    (void)set;
    const int64_t count = as_maze(source)->puzzles_of_group;
    return (reel__span){group * count, count};
}

static reel__puzzle puzzle_of_maze(const reel__source *source, int set, int64_t puzzle) {
    (void)source, (void)set;
    return (reel__puzzle){{puzzle, 1}, 0};
}

static void write_maze(const reel__source *source, int set, int64_t puzzle, int64_t example,
                       reel_random *random, int32_t *inputs, int32_t *labels) {
    (void)set, (void)example, (void)random;
    const maze_source *const self = as_maze(source);
    const reel_maze_set *const mazes = self->mazes;
    const int64_t first = puzzle / self->puzzles_of_group * source->seq_len;
    const int variant = (int)(puzzle % self->puzzles_of_group);
    uint8_t question[REEL_MAZE_MAX_CELLS], answer[REEL_MAZE_MAX_CELLS];
    reel_maze_variant(mazes->size, mazes->questions + first, variant, question);
    reel_maze_variant(mazes->size, mazes->answers + first, variant, answer);
    for (int64_t i = 0; i < source->seq_len; i++) {
        inputs[i] = question[i];
        labels[i] = answer[i];
    }
}

static int32_t rating_of_maze(const reel__source *source, int set, int64_t puzzle) {
    (void)set;
    const maze_source *const self = as_maze(source);
    return self->mazes->ratings[puzzle / self->puzzles_of_group];
}

static const reel__source_kind maze_kind = {
    .free = free_maze,
    .group = group_of_maze,
    .puzzle = puzzle_of_maze,
    .write = write_maze,
    .rating = rating_of_maze,
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static const reel_puzzle_set *mazes_of(const reel__source *source) {
    return source->kind == &maze_kind ? as_maze(source)->mazes : NULL;
}

static reel_status make_mazes(const reel__source_request *request, reel_maze_set **set, reel_error *error) {
    int size;
    int64_t count;
    reel_maze_set *exclude = NULL;
    reel_status status = reel__read_generator_spec(request->spec, &size, &count, error);
    if (status == REEL_OK)
        status = reel__training_puzzles(request->training, mazes_of, size, &exclude, error);
    if (status == REEL_OK)
        status = reel_maze_generate(size, count, request->options->seed, exclude, set, error);
    reel_puzzle_set_free(exclude);
    return status;
}

/* A maze has eight sides and no end of symmetries: all of them, or itself alone. */
static reel_status count_variants(const reel__source_request *request, int64_t *count, reel_error *error) {
    const int64_t num_aug = request->split == REEL_SPLIT_TEST ? 0 : request->options->num_aug;
    *count = num_aug == REEL_MAZE_VARIANTS - 1 ? REEL_MAZE_VARIANTS : 1;
    if (num_aug == REEL_AUG_DEFAULT || num_aug == 0 || num_aug == REEL_MAZE_VARIANTS - 1)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_ARGUMENT,
                     "data set '%s': num_aug is %lld; of a maze there is 0, the maze as it is, and %d, with "
                     "all its turned and mirrored forms",
                     request->spec, (long long)num_aug, REEL_MAZE_VARIANTS - 1);
}

reel_status reel__open_maze_source(reel__source **out, const reel__source_request *request,
                                   reel_error *error) {
    const int is_made = strncmp(request->spec, "maze:", strlen("maze:")) == 0;
    int64_t variants;
    reel_maze_set *mazes;
    reel_status status = count_variants(request, &variants, error);
    if (status == REEL_OK)
        status =
            is_made ? make_mazes(request, &mazes, error) : reel_maze_read_csv(request->spec, &mazes, error);
    if (status != REEL_OK)
        return status;
    maze_source *const self = calloc(1, sizeof *self);
    if (self == NULL) {
        reel_puzzle_set_free(mazes);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a data set", request->spec);
    }
    self->mazes = mazes;
    self->puzzles_of_group = variants;
    self->all = (reel__source_set){"all", mazes->count, mazes->count * variants, mazes->count * variants};
    self->head = (reel__source){
        .kind = &maze_kind,
        .seq_len = (int64_t)mazes->size * mazes->size,
        .vocab_size = REEL_MAZE_VOCAB_SIZE,
        .pad_id = 0,
        .num_puzzle_identifiers = 1,
        .puzzle_examples = 1,
        .mean_puzzle_examples = 1,
        .total_puzzles = mazes->count,
        .set_count = 1,
        .sets = &self->all,
    };
    *out = &self->head;
    return REEL_OK;
}
