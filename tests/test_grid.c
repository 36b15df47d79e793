/* Grids as text: what stands where, and that marks are seen with and without colours. */
#include "grid.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SUDOKU_CELLS = 16, MAZE_CELLS = 25, ARC_SIZE = 30, ARC_CELLS = ARC_SIZE * ARC_SIZE };

/* What grid_draw writes; valid until the next call. */
static const char *drawn(grid_shape shape, const grid_view *views, int count, grid_style style) {
    static char *text;
    size_t bytes;
    free(text);
    FILE *const out = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(out);
    grid_draw(out, shape, views, count, style);
    fclose(out);
    return text;
}

/* The tokens of a text: `symbols` by their place. */
static void read_tokens(const char *text, const char *symbols, int32_t *tokens) {
    for (int i = 0; text[i]; i++)
        tokens[i] = (int32_t)(strchr(symbols, text[i]) - symbols);
}

START_TEST(test_shapes_follow_from_cells_and_tokens) {
    static const struct {
        int64_t seq_len, vocab_size;
        grid_kind kind;
        int size;
    } cases[] = {
        {16, 6, GRID_SUDOKU, 4},   {36, 8, GRID_SUDOKU, 6}, {81, 11, GRID_SUDOKU, 9},
        {25, 6, GRID_MAZE, 5},     {36, 6, GRID_MAZE, 6},   {81, 6, GRID_MAZE, 9},
        {900, 6, GRID_MAZE, 30},   {900, 12, GRID_ARC, 30}, {900, 11, GRID_UNKNOWN, 30},
        {82, 11, GRID_UNKNOWN, 0}, {0, 6, GRID_UNKNOWN, 0},
    };
    const grid_shape shape = grid_shape_of(cases[_i].seq_len, cases[_i].vocab_size);
    ck_assert_int_eq(shape.kind, cases[_i].kind);
    if (shape.kind != GRID_UNKNOWN)
        ck_assert_int_eq(shape.size, cases[_i].size);
}
END_TEST

START_TEST(test_marks_stand_beside_the_cells) {
    int32_t question[SUDOKU_CELLS], before[SUDOKU_CELLS], now[SUDOKU_CELLS], right[SUDOKU_CELLS];
    read_tokens("1.3.34..2..34.2.", " .1234", question);
    read_tokens("1234341221434321", " .1234", right);
    read_tokens("1233341221434421", " .1234", before);
    read_tokens("1231341221434321", " .1234", now); /* two have changed, one of them to what is right */
    const grid_view views[] = {{.tokens = question, .question = question},
                               {.tokens = now, .question = question, .before = before, .right = right}};
    ck_assert_str_eq(drawn(grid_shape_of(SUDOKU_CELLS, 6), views, 2, GRID_CHARACTERS),
                     "  +------+------+  +------+------+\n"
                     "  | 1  . | 3  . |  | 1  2 | 3 *1!|\n"
                     "  | 3  4 | .  . |  | 3  4 | 1  2 |\n"
                     "  +------+------+  +------+------+\n"
                     "  | 2  . | .  3 |  | 2  1 | 4  3 |\n"
                     "  | 4  . | 2  . |  | 4 *3 | 2  1 |\n"
                     "  +------+------+  +------+------+\n");
}
END_TEST

START_TEST(test_colours_tell_given_changed_and_wrong) {
    int32_t question[SUDOKU_CELLS], now[SUDOKU_CELLS], right[SUDOKU_CELLS];
    read_tokens("1...............", " .1234", question);
    read_tokens("123.............", " .1234", now);
    read_tokens("124.............", " .1234", right);
    const grid_view view = {.tokens = now, .question = question, .before = question, .right = right};
    const char *const text = drawn(grid_shape_of(SUDOKU_CELLS, 6), &view, 1, GRID_COLOURS);
    ck_assert_ptr_nonnull(strstr(text, "\033[1m1\033[0m"));
    ck_assert_ptr_nonnull(strstr(text, "\033[1;33m\033[4m2\033[0m"));
    ck_assert_ptr_nonnull(strstr(text, "\033[1;31m\033[4m3\033[0m"));
}
END_TEST

START_TEST(test_mazes_show_walls_and_wrong_steps) {
    int32_t question[MAZE_CELLS], answer[MAZE_CELLS], right[MAZE_CELLS];
    read_tokens("S #  "
                " ##  "
                "   # "
                "## # "
                "   #G",
                "\t# SGo", question);
    memcpy(answer, question, sizeof answer);
    memcpy(right, question, sizeof right);
    answer[5] = 5;
    right[5] = right[10] = 5;
    right[0] = -100; /* not counted, hence not wrong */
    answer[0] = 5;
    const grid_view plain = {.tokens = question};
    ck_assert_str_eq(drawn(grid_shape_of(MAZE_CELLS, 6), &plain, 1, GRID_CHARACTERS), "  +----------+\n"
                                                                                      "  |S   ##    |\n"
                                                                                      "  |  ####    |\n"
                                                                                      "  |      ##  |\n"
                                                                                      "  |####  ##  |\n"
                                                                                      "  |      ##G |\n"
                                                                                      "  +----------+\n");
    const grid_view marked = {.tokens = answer, .before = question, .right = right};
    const char *const text = drawn(grid_shape_of(MAZE_CELLS, 6), &marked, 1, GRID_CHARACTERS);
    ck_assert_ptr_nonnull(strstr(text, "  |*o     #       |\n"
                                       "  |*o  #  #       |\n"
                                       "  |  !       #    |\n"));
    const char *const coloured = drawn(grid_shape_of(MAZE_CELLS, 6), &marked, 1, GRID_COLOURS);
    ck_assert_ptr_nonnull(strstr(coloured, "o*")); /* seen by those who do not see yellow, too */
    ck_assert_ptr_nonnull(strstr(coloured, " !"));
}
END_TEST

START_TEST(test_arc_grids_are_cut_out_of_their_frame) {
    int32_t tokens[ARC_CELLS] = {0}, right[ARC_CELLS] = {0};
    for (int row = 0; row < 2; row++)
        for (int column = 0; column < 3; column++)
            tokens[(row + 4) * ARC_SIZE + column + 7] = right[(row + 4) * ARC_SIZE + column + 7] = 2 + column;
    tokens[6 * ARC_SIZE + 7] = 1; /* an end, outside */
    const grid_shape shape = grid_shape_of(ARC_CELLS, 12);
    const grid_view plain = {.tokens = tokens};
    ck_assert_str_eq(drawn(shape, &plain, 1, GRID_CHARACTERS), "  +------+\n"
                                                               "  |0 1 2 |\n"
                                                               "  |0 1 2 |\n"
                                                               "  +------+\n");
    right[6 * ARC_SIZE + 7] = 9; /* the answer is larger */
    const grid_view marked = {.tokens = tokens, .right = right};
    ck_assert_str_eq(drawn(shape, &marked, 1, GRID_CHARACTERS), "  +---------+\n"
                                                                "  | 0  1  2 |\n"
                                                                "  | 0  1  2 |\n"
                                                                "  | .!      |\n"
                                                                "  +---------+\n");
    ck_assert_ptr_nonnull(strstr(drawn(shape, &plain, 1, GRID_COLOURS), "\033[48;5;32;97m  \033[0m"));
    memset(tokens, 0, sizeof tokens);
    ck_assert_str_eq(drawn(shape, &plain, 1, GRID_CHARACTERS), "  +--+\n"
                                                               "  |  |\n"
                                                               "  +--+\n");
}
END_TEST

START_TEST(test_tokens_out_of_range_are_shown) {
    int32_t tokens[SUDOKU_CELLS] = {-100, 0, 1, 2, 5, 6, 1000, INT32_MAX};
    const grid_view view = {.tokens = tokens};
    const char *const text = drawn(grid_shape_of(SUDOKU_CELLS, 6), &view, 1, GRID_CHARACTERS);
    ck_assert_ptr_nonnull(strstr(text, "  |      | .  1 |\n"
                                       "  | 4  ? | ?  ? |\n"));
}
END_TEST

int main(void) {
    Suite *const suite = suite_create("grid");
    TCase *const tests = tcase_create("grid");
    tcase_add_loop_test(tests, test_shapes_follow_from_cells_and_tokens, 0, 11);
    tcase_add_test(tests, test_marks_stand_beside_the_cells);
    tcase_add_test(tests, test_colours_tell_given_changed_and_wrong);
    tcase_add_test(tests, test_mazes_show_walls_and_wrong_steps);
    tcase_add_test(tests, test_arc_grids_are_cut_out_of_their_frame);
    tcase_add_test(tests, test_tokens_out_of_range_are_shown);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
