/* What is typed into trm_solve: a Sudoku, a maze or an ARC task. */
#include "fuzz.h"
#include "solve_puzzle.h"

#include <stdlib.h>
#include <string.h>

/* A question written in the puzzle's own form reads back as the same question. */
static void check_copy(const puzzle_text *puzzle) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *const out = open_memstream(&text, &bytes);
    FUZZ_REQUIRE(out != NULL);
    puzzle_answer_write(out, puzzle, puzzle->inputs);
    FUZZ_REQUIRE(fclose(out) == 0);
    puzzle_text again;
    reel_error error = {0};
    FUZZ_REQUIRE(puzzle_text_read(&again, "copy", text, bytes, &error) == REEL_OK);
    FUZZ_REQUIRE(again.shape.kind == puzzle->shape.kind && again.cells == puzzle->cells);
    FUZZ_REQUIRE(memcmp(again.inputs, puzzle->inputs, (size_t)puzzle->cells * sizeof *puzzle->inputs) == 0);
    puzzle_text_free(&again);
    free(text);
}

static void check_puzzle(const puzzle_text *puzzle) {
    FUZZ_REQUIRE(puzzle->count > 0 && puzzle->shape.kind != GRID_UNKNOWN);
    FUZZ_REQUIRE(puzzle->cells == (int64_t)puzzle->shape.size * puzzle->shape.size);
    for (int64_t i = 0; i < puzzle->count; i++) {
        const int32_t *const tokens = puzzle_text_at(puzzle, i);
        for (int64_t cell = 0; cell < puzzle->cells; cell++)
            FUZZ_REQUIRE(tokens[cell] >= 0 && tokens[cell] < puzzle->vocab_size);
        char why[PUZZLE_WHY_BYTES];
        puzzle_answer_is_consistent(puzzle, i, tokens, why); /* any answer is judged */
        FUZZ_REQUIRE(why[0] != '\0' && strchr(why, '\n') == NULL);
    }
    if (puzzle->shape.kind != GRID_ARC)
        check_copy(puzzle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    puzzle_text puzzle;
    reel_error error = {0};
    const reel_status status = puzzle_text_read(&puzzle, "puzzle", (const char *)data, size, &error);
    if (status == REEL_OK)
        check_puzzle(&puzzle);
    else
        fuzz_check_refusal(status, &error);
    puzzle_text_free(&puzzle);
    return 0;
}
