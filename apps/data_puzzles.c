#include "data_puzzles.h"

#include <reel/sudoku.h>

enum { FIRST_DIGIT_TOKEN = 1 /* of digit 0, the blank */ };

static void add_tokens(uint8_t *cells, int count, uint8_t first) {
    for (int i = 0; i < count; i++)
        cells[i] = (uint8_t)(cells[i] + first);
}

reel_status add_sudoku(build *b, data_split split, int size, const uint8_t *question, const uint8_t *answer,
                       const sudoku_variants *variants, int64_t total, reel_error *error) {
    const int cells = size * size;
    const int64_t num_aug = variants ? variants->num_aug : 0;
    const uint64_t seed = variants ? variants->seed : 0;
    if (!b->writers[split]) {
        const reel_status status = build_begin_split(b, split, cells, size + FIRST_DIGIT_TOKEN + 1, error);
        if (status != REEL_OK)
            return status;
    }
    const int64_t group = reel_folder_groups(b->writers[split]);
    for (int64_t variant = 0; variant <= num_aug; variant++) {
        uint8_t inputs[REEL_SUDOKU_MAX_CELLS], labels[REEL_SUDOKU_MAX_CELLS];
        reel_sudoku_variant(size, question, answer, seed, group, variant, inputs, labels);
        add_tokens(inputs, cells, FIRST_DIGIT_TOKEN);
        add_tokens(labels, cells, FIRST_DIGIT_TOKEN);
        build_add(b, split, inputs, labels);
    }
    return build_end_group(b, split, total, error);
}
