/* ARC tasks from JSON, grids as tokens, and what a reader says of damaged files. */
#include "arc_format.h"

#include <reel/arc.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/reel-arc-tasks-XXXXXX";
static char challenges[sizeof folder + 16], solutions[sizeof folder + 16];

static void make_folder(void) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(challenges, sizeof challenges, "%s/c.json", folder);
    snprintf(solutions, sizeof solutions, "%s/s.json", folder);
}

static void remove_folder(void) {
    unlink(challenges);
    unlink(solutions);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void expect_grid(const reel_arc_grid *grid, int rows, int columns, const char *cells) {
    ck_assert_int_eq(grid->rows, rows);
    ck_assert_int_eq(grid->columns, columns);
    for (int i = 0; i < rows * columns; i++)
        ck_assert_int_eq(grid->cells[i], cells[i] - '0');
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static const char two_tasks[] =
    "{\"a\": {\"test\": [{\"input\": [[1, 2, 3]]}, {\"input\": [[4]]}],\n"
    "         \"train\": [{\"input\": [[0, 9], [5, 6]], \"output\": [[7], [8]]}]},\n"
    " \"b\": {\"train\": [], \"test\": [{\"input\": [[1]], \"output\": [[2]]}]}}\n";

START_TEST(test_tasks_take_their_outputs_from_the_solutions) {
    write_text(challenges, two_tasks);
    write_text(solutions, "{\"other\": [], \"b\": [[[3]]], \"a\": [[[1, 1]], [[2], [2]]]}");
    reel_arc_tasks *tasks;
    reel_error error = {0};
    ck_assert_msg(reel_arc_tasks_read(&tasks, challenges, solutions, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(tasks->count, 2);
    const reel_arc_task *a = &tasks->tasks[0], *b = &tasks->tasks[1];
    ck_assert_str_eq(a->id, "a");
    ck_assert_int_eq(a->train_count, 1);
    ck_assert_int_eq(a->test_count, 2);
    expect_grid(&a->pairs[0].input, 2, 2, "0956");
    expect_grid(&a->pairs[0].output, 2, 1, "78");
    expect_grid(&a->pairs[1].input, 1, 3, "123");
    expect_grid(&a->pairs[1].output, 1, 2, "11");
    expect_grid(&a->pairs[2].output, 2, 1, "22");
    expect_grid(&b->pairs[0].output, 1, 1, "3"); /* in place of the task's own */
    ck_assert_int_eq(a->unsolved + b->unsolved, 0);
    reel_arc_tasks_free(tasks);
}
END_TEST

START_TEST(test_tests_without_output_get_a_black_cell) {
    write_text(challenges, two_tasks);
    reel_arc_tasks *tasks;
    ck_assert_int_eq(reel_arc_tasks_read(&tasks, challenges, NULL, NULL), REEL_OK);
    ck_assert_int_eq(tasks->tasks[0].unsolved, 2);
    ck_assert_int_eq(tasks->tasks[1].unsolved, 0);
    expect_grid(&tasks->tasks[0].pairs[1].output, 1, 1, "0");
    expect_grid(&tasks->tasks[1].pairs[0].output, 1, 1, "2");
    reel_arc_tasks_free(tasks);
}
END_TEST

START_TEST(test_one_bare_task_is_called_by_its_file) {
    static const char text[] = "{\"test\": [{\"input\": [[1]]}], \"train\": []}";
    reel_arc_tasks *tasks;
    ck_assert_int_eq(reel_arc_tasks_parse(&tasks, text, strlen(text), "task.json", NULL), REEL_OK);
    ck_assert_int_eq(tasks->count, 1);
    ck_assert_str_eq(tasks->tasks[0].id, "task.json");
    reel_arc_tasks_free(tasks);
    ck_assert_int_eq(reel_arc_tasks_parse(&tasks, two_tasks, strlen(two_tasks), "-", NULL), REEL_OK);
    ck_assert_int_eq(tasks->count, 2);
    reel_arc_tasks_free(tasks);
}
END_TEST

#define TASK(train, test) "{\"x1\": {\"train\": [" train "], \"test\": [" test "]}}"
#define TEST              "{\"input\": [[1]]}"
#define ROW31             "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"
#define ROWS31                                                                                               \
    "[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],[1],"   \
    "[1],[1],[1],[1],[1],[1]"

/* Files that are refused, and what the one line must say beside their name. */
static const struct {
    const char *text, *says;
} bad_files[] = {
    {"", "empty"},
    {"{", "c.json:1: not JSON"},
    {"{\"x1\":\n\n 3,}", "c.json:3: not JSON"},
    {"{} {}", "not JSON"},
    {"[1]", "holds an array"},
    {"{}", "an empty object"},
    {"{\"x1\": 3}", "task x1: is a number"},
    {"{\"x1\": {\"train\": []}}", "test is missing"},
    {"{\"x1\": {\"train\": {}, \"test\": []}}", "train is an object"},
    {TASK("", ""), "task x1: has no test"},
    {TASK("[]", TEST), "task x1, train pair 1: is an array"},
    {TASK("{\"input\": [[1]]}", TEST), "task x1, train pair 1, output: the grid is missing"},
    {TASK("", TEST ", {\"output\": [[1]]}"), "task x1, test pair 2, input: the grid is missing"},
    {TASK("", "{\"input\": []}"), "test pair 1, input: the grid has no rows"},
    {TASK("", "{\"input\": [[]]}"), "row 1 is empty"},
    {TASK("", "{\"input\": [[1, 2], [1]]}"), "row 2 has 1 cells, the first has 2"},
    {TASK("", "{\"input\": [1]}"), "row 1 is a number"},
    {TASK("", "{\"input\": [[1], [10]]}"), "row 2, column 1 is 10: colours are whole numbers from 0 to 9"},
    {TASK("", "{\"input\": [[-1]]}"), "is -1"},
    {TASK("", "{\"input\": [[0.5]]}"), "is 0.5"},
    {TASK("", "{\"input\": [[1e999]]}"), "is inf"},
    {TASK("", "{\"input\": [[\"1\"]]}"), "row 1, column 1 is a string"},
    {TASK("", "{\"input\": [[true]]}"), "is true or false"},
    {TASK("", "{\"input\": [[[1]]]}"), "nested too deeply"},
    {TASK("", "{\"input\": [[" ROW31 "]]}"), "row 1 has 31 cells"},
    {TASK("", "{\"input\": [" ROWS31 "]}"), "more than 30 rows"},
    {"{\"x1\": {\"train\": [], \"test\": [" TEST "]}, \"x1\": 0}", "task x1 is there twice"},
    {"{\"\": {\"train\": [], \"test\": [" TEST "]}}", "task ''"},
    {"{\"a|||t1\": {\"train\": [], \"test\": [" TEST "]}}", "task 'a|||t1'"},
    {"{\"<blank>\": {\"train\": [], \"test\": [" TEST "]}}", "task '<blank>'"},
    {"{\"\xff\": 1}", "not UTF-8"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested too deeply"},
};

START_TEST(test_damaged_tasks_are_refused_by_place) {
    write_text(challenges, bad_files[_i].text);
    reel_arc_tasks *tasks = NULL;
    reel_error error = {0};
    ck_assert_int_ne(reel_arc_tasks_read(&tasks, challenges, NULL, &error), REEL_OK);
    ck_assert_ptr_null(tasks);
    ck_assert_msg(strstr(error.message, "c.json") != NULL, "%s", error.message);
    ck_assert_msg(strstr(error.message, bad_files[_i].says) != NULL, "%s", error.message);
    ck_assert_ptr_null(strchr(error.message, '\n'));
}
END_TEST

static const struct {
    const char *text, *says;
} bad_solutions[] = {
    {"[]", "holds an array"},
    {"{\"a\": [[[1]], [[1]]]}", "task b: its solutions are missing"},
    {"{\"a\": [[[1]]], \"b\": [[[1]]]}", "task a: has 1 solutions for 2 tests"},
    {"{\"a\": [[[1]], [[1]], [[1]]], \"b\": [[[1]]]}", "task a: has 3 solutions for 2 tests"},
    {"{\"a\": {}, \"b\": [[[1]]]}", "task a: its solutions are an object"},
    {"{\"a\": [[[1]], [[1, 2], [3]]], \"b\": [[[1]]]}", "task a, solution 2: row 2 has 1 cells"},
};

START_TEST(test_solutions_that_do_not_match_are_refused) {
    write_text(challenges, two_tasks);
    write_text(solutions, bad_solutions[_i].text);
    reel_arc_tasks *tasks = NULL;
    reel_error error = {0};
    ck_assert_int_ne(reel_arc_tasks_read(&tasks, challenges, solutions, &error), REEL_OK);
    ck_assert_ptr_null(tasks);
    ck_assert_msg(strstr(error.message, "s.json") != NULL, "%s", error.message);
    ck_assert_msg(strstr(error.message, bad_solutions[_i].says) != NULL, "%s", error.message);
}
END_TEST

/* Whatever one byte becomes, there is a result or one error, and no crash. */
START_TEST(test_tasks_survive_any_flipped_byte) {
    static const char noise[] = {'\0', '[', ']', '{', '"', ',', ':', '-', '9', '\\', '\x80'};
    char text[sizeof two_tasks];
    for (size_t i = 0; i < strlen(two_tasks); i++)
        for (size_t k = 0; k < sizeof noise; k++) {
            memcpy(text, two_tasks, sizeof text);
            text[i] = noise[k];
            reel_arc_tasks *tasks = NULL;
            reel_error error = {0};
            const reel_status status = reel_arc_tasks_parse(&tasks, text, strlen(two_tasks), "text", &error);
            ck_assert_int_eq(status == REEL_OK, tasks != NULL);
            ck_assert_int_eq(status, error.status);
            reel_arc_tasks_free(tasks);
        }
}
END_TEST

/* ---- tokens ------------------------------------------------------------------------------------------ */

static void to_tokens(const uint8_t from[REEL_ARC_SEQ_LEN], int32_t to[REEL_ARC_SEQ_LEN]) {
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++)
        to[i] = from[i];
}

START_TEST(test_a_frame_has_its_grid_and_an_edge) {
    const reel_arc_grid grid = {.rows = 2, .columns = 3, .cells = {0, 1, 2, 7, 8, 9}};
    uint8_t tokens[REEL_ARC_SEQ_LEN];
    reel_arc_encode(&grid, 4, 5, tokens);
    for (int r = 0; r < REEL_ARC_MAX_SIZE; r++)
        for (int c = 0; c < REEL_ARC_MAX_SIZE; c++) {
            const int is_inside_row = r >= 4 && r < 6, is_inside_column = c >= 5 && c < 8;
            const int expected = is_inside_row && is_inside_column ? grid.cells[(r - 4) * 3 + c - 5] + 2
                                 : (is_inside_row && c == 8) || (r == 6 && is_inside_column) ? 1
                                                                                             : 0;
            ck_assert_int_eq(tokens[r * REEL_ARC_MAX_SIZE + c], expected);
        }
}
END_TEST

START_TEST(test_a_full_grid_has_no_edge_and_comes_back) {
    reel_arc_grid grid = {.rows = REEL_ARC_MAX_SIZE, .columns = REEL_ARC_MAX_SIZE}, back;
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++)
        grid.cells[i] = (uint8_t)(i % REEL_ARC_COLOURS);
    uint8_t tokens[REEL_ARC_SEQ_LEN];
    int32_t wide[REEL_ARC_SEQ_LEN];
    reel_arc_encode(&grid, 0, 0, tokens);
    to_tokens(tokens, wide);
    reel_arc_crop(wide, &back);
    ck_assert_int_eq(reel__arc_same_grid(&grid, &back), 1);
}
END_TEST

/* Rows of colours of these lengths; the largest rectangle that begins at the first cell. */
static const struct {
    int lengths[4], rows, columns;
} crops[] = {
    {{0, 3, 3, 3}, 0, 0},     {{5, 0, 3, 3}, 1, 5},
    {{4, 2, 9, 0}, 3, 2},     {{4, 2, 0, 0}, 1, 4}, /* 2 x 2 is no larger than 1 x 4 */
    {{30, 30, 30, 1}, 3, 30},
};

START_TEST(test_crop_takes_the_largest_rectangle) {
    int32_t tokens[REEL_ARC_SEQ_LEN] = {0};
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < crops[_i].lengths[r]; c++)
            tokens[r * REEL_ARC_MAX_SIZE + c] = 2 + c % REEL_ARC_COLOURS;
    reel_arc_grid grid;
    reel_arc_crop(tokens, &grid);
    ck_assert_int_eq(grid.rows, crops[_i].rows);
    ck_assert_int_eq(grid.columns, crops[_i].columns);
    for (int i = 0; i < grid.rows * grid.columns; i++)
        ck_assert_int_eq(grid.cells[i], i % grid.columns % REEL_ARC_COLOURS);
}
END_TEST

START_TEST(test_crop_takes_other_tokens_for_edges) {
    static const int32_t edges[] = {-1, 0, 1, 12, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        int32_t tokens[REEL_ARC_SEQ_LEN] = {11, 2, edges[i]};
        reel_arc_grid grid;
        reel_arc_crop(tokens, &grid);
        expect_grid(&grid, 1, 2, "90");
    }
}
END_TEST

/* ---- names ------------------------------------------------------------------------------------------- */

START_TEST(test_names_say_how_to_undo_a_variant) {
    reel__arc_variant variant;
    ck_assert_int_eq(reel__arc_parse_name("ab|||t3|||0132456789", &variant), 2);
    const reel_arc_grid grid = {.rows = 2, .columns = 3, .cells = {1, 2, 3, 4, 5, 6}};
    reel_arc_grid there, back;
    reel__arc_apply(variant, &grid, &there);
    expect_grid(&there, 3, 2, "415362"); /* turned right; then 2 and 3 change places */
    reel__arc_undo(variant, &there, &back);
    ck_assert_int_eq(reel__arc_same_grid(&grid, &back), 1);
    char name[32];
    reel__arc_name("ab", variant, name, sizeof name);
    ck_assert_str_eq(name, "ab|||t3|||0132456789");
    reel__arc_name("ab", reel__arc_original(), name, sizeof name);
    ck_assert_str_eq(name, "ab");
    ck_assert_int_eq(reel__arc_parse_name("ab", &variant), 2);
    ck_assert(variant == reel__arc_original());
}
END_TEST

START_TEST(test_names_that_say_nothing_are_refused) {
    static const char *const bad[] = {"a|||",
                                      "a|||t8|||0123456789",
                                      "a|||3|||0123456789",
                                      "a|||t3|0123456789",
                                      "a|||t3|||012345678",
                                      "a|||t3|||0123456788",
                                      "a|||t3|||01234567890",
                                      "a|||t3|||a123456789",
                                      "a|||t-1|||0123456789"};
    reel__arc_variant variant;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(reel__arc_parse_name(bad[i], &variant) == -1, "%s", bad[i]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("arc_tasks");
    TCase *t = tcase_create("arc_tasks");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, test_tasks_take_their_outputs_from_the_solutions);
    tcase_add_test(t, test_tests_without_output_get_a_black_cell);
    tcase_add_test(t, test_one_bare_task_is_called_by_its_file);
    tcase_add_loop_test(t, test_damaged_tasks_are_refused_by_place, 0, sizeof bad_files / sizeof *bad_files);
    tcase_add_loop_test(t, test_solutions_that_do_not_match_are_refused, 0,
                        sizeof bad_solutions / sizeof *bad_solutions);
    tcase_add_test(t, test_tasks_survive_any_flipped_byte);
    tcase_add_test(t, test_a_frame_has_its_grid_and_an_edge);
    tcase_add_test(t, test_a_full_grid_has_no_edge_and_comes_back);
    tcase_add_loop_test(t, test_crop_takes_the_largest_rectangle, 0, sizeof crops / sizeof *crops);
    tcase_add_test(t, test_crop_takes_other_tokens_for_edges);
    tcase_add_test(t, test_names_say_how_to_undo_a_variant);
    tcase_add_test(t, test_names_that_say_nothing_are_refused);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
