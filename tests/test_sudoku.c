/* Sudoku: rules, solver, generator, symmetries. */
#include <reel/sudoku.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = REEL_SUDOKU_MAX_CELLS, SIZES = 3 };
static const int sizes[SIZES] = {4, 6, 9};

static void parse(const char *text, uint8_t *grid) {
    for (; *text != '\0'; text++)
        *grid++ = *text == '.' ? 0 : (uint8_t)(*text - '0');
}

static reel_sudoku_set *generate(int size, int64_t count, uint64_t seed, const reel_sudoku_set *exclude) {
    reel_sudoku_set *set;
    reel_error error = {0};
    const reel_status status = reel_sudoku_generate(size, count, seed, exclude, &set, &error);
    ck_assert_msg(status == REEL_OK, "%s", error.message);
    return set;
}

static reel_random draw(uint64_t index) {
    return reel_random_begin(3, (reel_draw){REEL_STREAM_USER, index, 0});
}

/* ---- rules and solver -------------------------------------------------------------------------------- */

START_TEST(test_check_names_the_broken_rule) {
    static const struct {
        const char *question, *answer, *why;
    } cases[] = {
        {"1...............", "1234341221434321", ""},
        {"2...............", "1234341221434321",
         "the answer has 1 at row 1, column 1, where the question has 2"},
        {"................", "1234341221434325", "the answer has 5 at row 4, column 4: digits are 1 to 4"},
        {"................", "1234341.21434321", "the answer is blank at row 2, column 4"},
        {"................", "1234341321434321", "the answer has 3 twice in row 2"},
        {"................", "1234341223414321", "the answer has 3 twice in column 2"},
        {"................", "1234214334124321", "the answer has 2 twice in box 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t question[CELLS], answer[CELLS];
        parse(cases[i].question, question);
        parse(cases[i].answer, answer);
        reel_error error = {0};
        const reel_status status = reel_sudoku_check(4, question, answer, &error);
        ck_assert_int_eq(status, *cases[i].why == '\0' ? REEL_OK : REEL_ERROR_FORMAT);
        ck_assert_str_eq(error.message, cases[i].why);
    }
    static const uint8_t nothing[CELLS] = {0};
    ck_assert_int_eq(reel_sudoku_check(5, nothing, nothing, NULL), REEL_ERROR_ARGUMENT);
}
END_TEST

START_TEST(test_six_has_boxes_of_two_rows_and_three_columns) {
    uint8_t good[CELLS], tall[CELLS], question[CELLS] = {0};
    parse("123456456123231564564231312645645312", good);
    parse("123456214365345621436512561234652143", tall); /* valid for boxes of three rows and two columns */
    ck_assert_int_eq(reel_sudoku_check(6, question, good, NULL), REEL_OK);
    ck_assert_int_eq(reel_sudoku_check(6, question, tall, NULL), REEL_ERROR_FORMAT);
}
END_TEST

START_TEST(test_solver_counts_all_grids_of_size_four) {
    static const uint8_t empty[CELLS] = {0};
    ck_assert_int_eq(reel_sudoku_solve(4, empty, 1000, NULL, NULL), 288); /* https://oeis.org/A107739 */
    ck_assert_int_eq(reel_sudoku_solve(4, empty, 100, NULL, NULL), 100);
    ck_assert_int_eq(reel_sudoku_solve(4, empty, 0, NULL, NULL), 0);
}
END_TEST

START_TEST(test_solver_solves_a_seventeen_clue_puzzle) {
    uint8_t question[CELLS], answer[CELLS];
    int64_t guesses;
    parse("000000010400000000020000000000050407008000300001090000300400200050100000000806000", question);
    ck_assert_int_eq(reel_sudoku_solve(9, question, 2, answer, &guesses), 1);
    ck_assert_int_eq(reel_sudoku_check(9, question, answer, NULL), REEL_OK);
    ck_assert_int_gt(guesses, 0);
}
END_TEST

START_TEST(test_solver_finds_no_solution_for_contradictions) {
    uint8_t question[CELLS];
    parse("11..............", question);
    ck_assert_int_eq(reel_sudoku_solve(4, question, 2, NULL, NULL), 0);
    parse("123....4........", question); /* no clue breaks a rule, but cell 4 has no digit left */
    ck_assert_int_eq(reel_sudoku_solve(4, question, 2, NULL, NULL), 0);
    parse("9...............", question);
    ck_assert_int_eq(reel_sudoku_solve(4, question, 2, NULL, NULL), 0);
}
END_TEST

/* ---- generator --------------------------------------------------------------------------------------- */

START_TEST(test_generated_puzzles_are_unique_and_minimal) {
    const int size = sizes[_i], cells = size * size;
    reel_sudoku_set *set = generate(size, 30, 5, NULL);
    ck_assert_int_eq(set->count, 30);
    for (int64_t i = 0; i < set->count; i++) {
        uint8_t *question = set->questions + i * cells, answer[CELLS];
        ck_assert_int_eq(reel_sudoku_solve(size, question, 2, answer, NULL), 1);
        ck_assert_mem_eq(answer, set->answers + i * cells, (size_t)cells);
        for (int c = 0; c < cells; c++) {
            const uint8_t clue = question[c];
            question[c] = 0;
            ck_assert(clue == 0 || reel_sudoku_solve(size, question, 2, NULL, NULL) == 2);
            question[c] = clue;
        }
    }
    reel_puzzle_set_free(set);
}
END_TEST

START_TEST(test_same_seed_gives_same_puzzles_and_prefix) {
    reel_sudoku_set *a = generate(6, 40, 7, NULL), *b = generate(6, 20, 7, NULL),
                    *c = generate(6, 20, 8, NULL);
    ck_assert_mem_eq(a->questions, b->questions, 20 * 36);
    ck_assert_mem_eq(a->answers, b->answers, 20 * 36);
    ck_assert_mem_ne(b->questions, c->questions, 20 * 36);
    reel_puzzle_set_free(a);
    reel_puzzle_set_free(b);
    reel_puzzle_set_free(c);
}
END_TEST

/* How many puzzles of `a` are equivalent to one of `b` with a higher index (a == b) or any index. */
static int count_equivalent(const reel_sudoku_set *a, const reel_sudoku_set *b) {
    const int64_t cells = a->size * a->size;
    uint8_t *forms = malloc((size_t)(b->count * cells)), form[CELLS];
    ck_assert_ptr_nonnull(forms);
    for (int64_t i = 0; i < b->count; i++)
        reel_sudoku_canonical(b->size, b->questions + i * cells, forms + i * cells);
    int count = 0;
    for (int64_t i = 0; i < a->count; i++) {
        reel_sudoku_canonical(a->size, a->questions + i * cells, form);
        for (int64_t j = a == b ? i + 1 : 0; j < b->count; j++)
            count += memcmp(form, forms + j * cells, (size_t)cells) == 0;
    }
    free(forms);
    return count;
}

START_TEST(test_no_test_puzzle_is_equivalent_to_a_training_puzzle) {
    /* 24 + 12 are all puzzles of size 4 that there are, so that both sets must avoid each other throughout.
     */
    reel_sudoku_set *training = generate(4, 24, 0, NULL), *test = generate(4, 12, 0, training);
    ck_assert_int_eq(count_equivalent(training, training), 0);
    ck_assert_int_eq(count_equivalent(test, test), 0);
    ck_assert_int_eq(count_equivalent(test, training), 0);
    reel_puzzle_set_free(training);
    reel_puzzle_set_free(test);
}
END_TEST

START_TEST(test_generator_refuses_what_does_not_exist) {
    reel_sudoku_set *set;
    reel_error error = {0};
    ck_assert_int_eq(reel_sudoku_generate(4, 37, 0, NULL, &set, &error), REEL_ERROR_ARGUMENT);
    ck_assert_ptr_null(set);
    ck_assert_ptr_nonnull(strstr(error.message, "only 36 were found"));
    ck_assert_int_eq(reel_sudoku_generate(5, 1, 0, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_sudoku_generate(6, 0, 0, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_sudoku_generate(6, INT64_MAX, 0, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
}
END_TEST

/* ---- symmetries -------------------------------------------------------------------------------------- */

START_TEST(test_augmented_puzzles_are_valid_and_equivalent) {
    const int size = sizes[_i], cells = size * size;
    reel_sudoku_set *set = generate(size, 3, 2, NULL);
    int changed = 0;
    for (int64_t i = 0; i < 60; i++) {
        const uint8_t *question = set->questions + i % 3 * cells, *answer = set->answers + i % 3 * cells;
        uint8_t new_question[CELLS], new_answer[CELLS], form[CELLS], new_form[CELLS];
        reel_random random = draw((uint64_t)i);
        reel_sudoku_augment(size, question, answer, &random, new_question, new_answer);
        ck_assert_int_eq(reel_sudoku_check(size, new_question, new_answer, NULL), REEL_OK);
        ck_assert_int_eq(reel_sudoku_solve(size, new_question, 2, NULL, NULL), 1);
        reel_sudoku_canonical(size, question, form);
        reel_sudoku_canonical(size, new_question, new_form);
        ck_assert_mem_eq(form, new_form, (size_t)cells);
        changed += memcmp(question, new_question, (size_t)cells) != 0;
    }
    ck_assert_int_ge(changed, 50);
    reel_puzzle_set_free(set);
}
END_TEST

static int compare_grids(const void *a, const void *b) {
    return memcmp(a, b, 16);
}

/* A puzzle of size 4 that no symmetry maps to itself has 4! digits x 8 rows x 8 columns x 2 = 3,072 images.
 */
START_TEST(test_augmentation_reaches_every_symmetry_equally_often) {
    enum { IMAGES = 3072, MEAN = 40, DRAWS = MEAN * IMAGES };
    uint8_t question[CELLS], answer[CELLS], scrap[CELLS];
    parse("123.4...2.......", question);
    parse("1234432121433412", answer);
    uint8_t(*images)[16] = malloc(sizeof *images * DRAWS);
    ck_assert_ptr_nonnull(images);
    for (int i = 0; i < DRAWS; i++) {
        reel_random random = draw((uint64_t)i);
        reel_sudoku_augment(4, question, answer, &random, images[i], scrap);
    }
    qsort(images, DRAWS, sizeof *images, compare_grids);
    int kinds = 0, fewest = DRAWS, most = 0;
    for (int i = 0, run = 0; i < DRAWS; i++) {
        run++;
        if (i + 1 == DRAWS || compare_grids(images[i], images[i + 1]) != 0) {
            kinds++;
            fewest = run < fewest ? run : fewest;
            most = run > most ? run : most;
            run = 0;
        }
    }
    free(images);
    ck_assert_int_eq(kinds, IMAGES);
    ck_assert_int_ge(fewest, MEAN / 4); /* a deviation is sqrt(40) */
    ck_assert_int_le(most, 2 * MEAN);
}
END_TEST

/* The canonical form against its definition, by trying all 3,456 ways to place the cells of a size 6. */
static void smallest_by_trying(const uint8_t *question, uint8_t *best) {
    static const uint8_t threes[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    memset(best, 0xff, 36);
    for (int code = 0; code < 6 * 8 * 2 * 36; code++) {
        const uint8_t *bands = threes[code % 6];
        const int swaps = code / 6 % 8, swap_stacks = code / 48 % 2;
        const uint8_t *within[2] = {threes[code / 96 % 6], threes[code / 576 % 6]};
        uint8_t grid[36], names[7] = {0}, used = 0;
        for (int i = 0; i < 36; i++) {
            const int r = i / 6, c = i % 6, stack = c / 3;
            const int row = bands[r / 2] * 2 + (r % 2 ^ (swaps >> r / 2 & 1));
            const int column = (stack ^ swap_stacks) * 3 + within[stack][c % 3];
            const uint8_t digit = question[row * 6 + column];
            if (digit != 0 && names[digit] == 0)
                names[digit] = ++used;
            grid[i] = names[digit];
        }
        if (memcmp(grid, best, 36) < 0)
            memcpy(best, grid, 36);
    }
}

START_TEST(test_canonical_form_is_the_smallest_of_all_images) {
    reel_sudoku_set *set = generate(6, 20, 4, NULL);
    for (int i = 0; i < 20; i++) {
        uint8_t form[CELLS], smallest[CELLS];
        reel_sudoku_canonical(6, set->questions + i * 36, form);
        smallest_by_trying(set->questions + i * 36, smallest);
        ck_assert_mem_eq(form, smallest, 36);
    }
    reel_puzzle_set_free(set);
}
END_TEST

static Suite *sudoku_suite(void) {
    Suite *suite = suite_create("sudoku");
    TCase *t = tcase_create("sudoku");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_check_names_the_broken_rule);
    tcase_add_test(t, test_six_has_boxes_of_two_rows_and_three_columns);
    tcase_add_test(t, test_solver_counts_all_grids_of_size_four);
    tcase_add_test(t, test_solver_solves_a_seventeen_clue_puzzle);
    tcase_add_test(t, test_solver_finds_no_solution_for_contradictions);
    tcase_add_loop_test(t, test_generated_puzzles_are_unique_and_minimal, 0, SIZES);
    tcase_add_test(t, test_same_seed_gives_same_puzzles_and_prefix);
    tcase_add_test(t, test_no_test_puzzle_is_equivalent_to_a_training_puzzle);
    tcase_add_test(t, test_generator_refuses_what_does_not_exist);
    tcase_add_loop_test(t, test_augmented_puzzles_are_valid_and_equivalent, 0, SIZES);
    tcase_add_test(t, test_augmentation_reaches_every_symmetry_equally_often);
    tcase_add_test(t, test_canonical_form_is_the_smallest_of_all_images);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(sudoku_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
