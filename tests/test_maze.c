/* Mazes: rules, search, generator, symmetries, files; and the data sets made of them. */
#include <reel/batches.h>
#include <reel/maze.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CELLS = REEL_MAZE_MAX_CELLS, SEED = 1 };

static void parse(const char *text, uint8_t *maze) {
    for (; *text != '\0'; text++)
        *maze++ = (uint8_t)(strchr(reel_maze_characters, *text) - reel_maze_characters + 1);
}

static reel_maze_set *generate(int size, int64_t count, const reel_maze_set *exclude) {
    reel_maze_set *set;
    reel_error error = {0};
    const reel_status status = reel_maze_generate(size, count, SEED, exclude, &set, &error);
    ck_assert_msg(status == REEL_OK, "%s", error.message);
    return set;
}

/* ---- one maze ---------------------------------------------------------------------------------------- */

START_TEST(test_check_says_what_is_wrong) {
    static const struct {
        const char *question, *answer, *why;
    } cases[] = {
        {"S   ### G       ", "Sooo###oGooo    ", ""},
        {"S G             ", "S Gooo          ", "the answer marks 3 cells"},
        {"S  G            ", "SooG            ", ""},
        {"S  G            ", "S  G            ", "the answer marks 0 cells"},
        {"S  G            ", "S ooG           ", "the answer changes row 1, column 4"},
        {"S  G            ", "SooGo           ", "the answer marks 3 cells"},
        {"S  G            ", "S##G            ", "the answer changes row 1, column 2"},
        {"S  o            ", "S  o            ", "the question has a path"},
        {"S               ", "S               ", "the question has not exactly one G"},
        {"S  G      S     ", "SooG      S     ", "the question has not exactly one S"},
        {"S #  # G##      ", "S #  # G##      ", "there is no way from S to G"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t question[CELLS], answer[CELLS];
        parse(cases[i].question, question);
        parse(cases[i].answer, answer);
        reel_error error = {0};
        const reel_status status = reel_maze_check(4, question, answer, &error);
        ck_assert_int_eq(status, *cases[i].why == '\0' ? REEL_OK : REEL_ERROR_FORMAT);
        ck_assert_msg(strstr(error.message, cases[i].why) == error.message, "case %zu: %s", i, error.message);
    }
    static const uint8_t nothing[CELLS] = {0};
    ck_assert_int_eq(reel_maze_check(3, nothing, nothing, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_maze_check(65, nothing, nothing, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_maze_check(4, nothing, nothing, NULL), REEL_ERROR_FORMAT);
}
END_TEST

/* Of several shortest paths the one is marked that a search finds which looks down, left, right, up. */
START_TEST(test_solver_prefers_down_left_right_up) {
    static const struct {
        const char *question, *answer;
        int32_t steps;
    } cases[] = {
        {"S           G   ", "S   o   o   G   ", 3},
        {"S              G", "S   o   o   oooG", 6},
        {"G              S", "G   o   o   oooS", 6},
        {"   S        G   ", "   S   o   oGooo", 6},
        {"S## ## ## ##G###", NULL, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t question[CELLS], answer[CELLS], expected[CELLS];
        parse(cases[i].question, question);
        ck_assert_int_eq(reel_maze_solve(4, question, answer), cases[i].steps);
        ck_assert_int_eq(reel_maze_solve(4, question, NULL), cases[i].steps);
        if (cases[i].answer == NULL)
            continue;
        parse(cases[i].answer, expected);
        char text[17] = {0};
        for (int c = 0; c < 16; c++)
            text[c] = reel_maze_characters[answer[c] - 1];
        ck_assert_str_eq(text, cases[i].answer);
        ck_assert_int_eq(reel_maze_check(4, question, answer, NULL), REEL_OK);
        ck_assert_int_eq(reel_maze_solve(4, question, question), cases[i].steps); /* in place */
        ck_assert_mem_eq(question, expected, 16);
    }
}
END_TEST

/* ---- generator --------------------------------------------------------------------------------------- */

/* Shortest paths between the ends, counted backwards from the goal along falling distances. */
static int64_t count_shortest_paths(int size, const uint8_t *maze) {
    static int steps[CELLS];
    static int64_t ways[CELLS];
    int start = -1, goal = -1, changed = 1;
    for (int i = 0; i < size * size; i++) {
        steps[i] = maze[i] == REEL_MAZE_START ? 0 : size * size;
        ways[i] = maze[i] == REEL_MAZE_START;
        start = maze[i] == REEL_MAZE_START ? i : start;
        goal = maze[i] == REEL_MAZE_GOAL ? i : goal;
    }
    for (int length = 0; changed; length++) {
        changed = 0;
        for (int i = 0; i < size * size; i++) {
            if (steps[i] != length)
                continue;
            const int row = i / size, column = i % size;
            const int to[] = {row > 0 ? i - size : -1, row < size - 1 ? i + size : -1,
                              column > 0 ? i - 1 : -1, column < size - 1 ? i + 1 : -1};
            for (int k = 0; k < 4; k++) {
                if (to[k] < 0 || maze[to[k]] == REEL_MAZE_WALL || steps[to[k]] <= length)
                    continue;
                steps[to[k]] = length + 1;
                ways[to[k]] += ways[i];
                changed = 1;
            }
        }
    }
    return ways[goal];
}

static const int sizes[] = {4, 6, 10, 30, 64};

START_TEST(test_generated_mazes_have_one_long_shortest_path) {
    const int size = sizes[_i], cells = size * size;
    reel_maze_set *set = generate(size, 10, NULL);
    ck_assert_int_eq(set->count, 10);
    for (int64_t i = 0; i < set->count; i++) {
        const uint8_t *question = set->questions + i * cells, *answer = set->answers + i * cells;
        uint8_t found[CELLS];
        ck_assert_int_eq(reel_maze_check(size, question, answer, NULL), REEL_OK);
        ck_assert_int_eq(reel_maze_solve(size, question, found), set->ratings[i]);
        ck_assert_mem_eq(found, answer, (size_t)cells);
        ck_assert_int_eq(count_shortest_paths(size, question), 1);
        ck_assert_int_ge(set->ratings[i], size);
        int walls = 0;
        for (int c = 0; c < cells; c++)
            walls += question[c] == REEL_MAZE_WALL;
        ck_assert(size < 10 || (100 * walls > 33 * cells && 100 * walls < 50 * cells));
    }
    reel_puzzle_set_free(set);
}
END_TEST

/* How many mazes of `a`, turned and mirrored, are one of `b`'s. */
static int count_equal(const reel_maze_set *a, const reel_maze_set *b) {
    const int64_t cells = a->size * a->size;
    int count = 0;
    for (int64_t i = 0; i < a->count; i++)
        for (int variant = 0; variant < REEL_MAZE_VARIANTS; variant++) {
            uint8_t turned[CELLS];
            reel_maze_variant(a->size, a->questions + i * cells, variant, turned);
            for (int64_t j = a == b ? i + 1 : 0; j < b->count; j++)
                count += memcmp(turned, b->questions + j * cells, (size_t)cells) == 0;
        }
    return count;
}

START_TEST(test_no_test_maze_is_a_training_maze_turned_or_mirrored) {
    reel_maze_set *training = generate(4, 200, NULL), *test = generate(4, 100, training);
    ck_assert_int_eq(count_equal(training, training), 0);
    ck_assert_int_eq(count_equal(test, test), 0);
    ck_assert_int_eq(count_equal(test, training), 0);
    reel_maze_set *again = generate(4, 100, NULL);
    ck_assert_mem_eq(again->questions, training->questions, 100 * 16); /* the same seed, the same beginning */
    reel_puzzle_set_free(training);
    reel_puzzle_set_free(test);
    reel_puzzle_set_free(again);
}
END_TEST

START_TEST(test_generator_refuses_what_it_cannot_make) {
    reel_maze_set *set;
    reel_error error = {0};
    ck_assert_int_eq(reel_maze_generate(4, 1000 * 1000, SEED, NULL, &set, &error), REEL_ERROR_ARGUMENT);
    ck_assert_ptr_null(set);
    ck_assert_msg(strstr(error.message, "cannot make 1000000 mazes of size 4: only") != NULL, "%s",
                  error.message);
    ck_assert_int_eq(reel_maze_generate(3, 1, SEED, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_maze_generate(65, 1, SEED, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_maze_generate(10, 0, SEED, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_maze_generate(64, 10 * 1000 * 1000, SEED, NULL, &set, NULL), REEL_ERROR_ARGUMENT);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/reel-maze-XXXXXX.csv";

START_TEST(test_files_read_back) {
    reel_maze_set *set = generate(10, 5, NULL), *read;
    ck_assert_int_eq(reel_maze_write_csv(path, set, NULL), REEL_OK);
    reel_error error = {0};
    ck_assert_msg(reel_maze_read_csv(path, &read, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(read->size, 10);
    ck_assert_int_eq(read->count, 5);
    ck_assert_mem_eq(read->questions, set->questions, 500);
    ck_assert_mem_eq(read->answers, set->answers, 500);
    ck_assert_mem_eq(read->ratings, set->ratings, 5 * sizeof *set->ratings);
    reel_puzzle_set_free(set);
    reel_puzzle_set_free(read);
}
END_TEST

START_TEST(test_bad_files_are_refused) {
    static const struct {
        const char *row, *why;
    } cases[] = {
        {"S  G            ,SooG            ,3,4", ":2: the row has 4 fields"},
        {"S  G            ,SooG            ,x", ":2: the rating"},
        {"S  G           ,SooG            ,3", ":2: the question has 15 characters, expected a square"},
        {"S  G            ,SooG           ,3", ":2: the answer has 15 characters, expected 16"},
        {"S  G      ?     ,SooG            ,3", ":2: the question has '?' at character 11: # is a wall"},
        {"S  G            ,S  G            ,3", ":2: the answer marks 0 cells"},
        {"", ": no puzzle behind the header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *stream = fopen(path, "w");
        ck_assert_ptr_nonnull(stream);
        fprintf(stream, "question,answer,rating\n%s\n", cases[i].row);
        fclose(stream);
        reel_maze_set *set;
        reel_error error = {0};
        ck_assert_int_eq(reel_maze_read_csv(path, &set, &error), REEL_ERROR_FORMAT);
        ck_assert_ptr_null(set);
        ck_assert_msg(strstr(error.message, cases[i].why) != NULL, "'%s' does not say '%s'", error.message,
                      cases[i].why);
    }
}
END_TEST

/* Every label of the published mazes is the path that the solver finds, and every rating its length. */
START_TEST(test_published_mazes_are_solved_as_published) {
    static const char *const names[] = {"../shared/data/maze-30x30-hard-1k/train.csv",
                                        "../shared/data/maze-30x30-hard-1k/test.csv"};
    for (size_t n = 0; n < 2; n++) {
        if (access(names[n], R_OK) != 0)
            continue;
        reel_maze_set *set;
        reel_error error = {0};
        ck_assert_msg(reel_maze_read_csv(names[n], &set, &error) == REEL_OK, "%s", error.message);
        ck_assert_int_eq(set->size, 30);
        for (int64_t i = 0; i < set->count; i++) {
            uint8_t answer[CELLS];
            ck_assert_int_eq(reel_maze_solve(30, set->questions + i * 900, answer), set->ratings[i]);
            ck_assert_mem_eq(answer, set->answers + i * 900, 900);
        }
        reel_puzzle_set_free(set);
    }
}
END_TEST

/* ---- data sets --------------------------------------------------------------------------------------- */

static reel_dataset *open_dataset(const char *spec, reel_data_split split, int64_t num_aug,
                                  const reel_dataset *training) {
    const reel_dataset_options options = {.seed = SEED, .num_aug = num_aug};
    reel_dataset *dataset;
    reel_error error = {0};
    ck_assert_msg(reel_dataset_open(&dataset, &spec, 1, split, &options, training, &error) == REEL_OK, "%s",
                  error.message);
    return dataset;
}

/* The variant of the maze that a row shows, or -1. */
static int find_variant(int size, const reel_maze_set *set, int64_t index, const int32_t *inputs,
                        const int32_t *labels) {
    const int cells = size * size;
    for (int variant = 0; variant < REEL_MAZE_VARIANTS; variant++) {
        uint8_t question[CELLS], answer[CELLS];
        reel_maze_variant(size, set->questions + index * cells, variant, question);
        reel_maze_variant(size, set->answers + index * cells, variant, answer);
        int c = 0;
        while (c < cells && inputs[c] == question[c] && labels[c] == answer[c])
            c++;
        if (c == cells)
            return variant;
    }
    return -1;
}

START_TEST(test_num_aug_7_shows_all_sides) {
    enum { ROWS = 64 };
    static int32_t inputs[ROWS * 100], labels[ROWS * 100], identifiers[ROWS];
    const reel_batch batch = {inputs, labels, identifiers};
    const reel_batch_plan plan = {.batch_size = ROWS, .epochs = ROWS, .eval_interval = ROWS};
    reel_maze_set *set = generate(10, 1, NULL);
    for (int all = 0; all < 2; all++) {
        reel_dataset *d = open_dataset("maze:10:1", REEL_SPLIT_TRAIN,
                                       all ? REEL_MAZE_VARIANTS - 1 : REEL_AUG_DEFAULT, NULL);
        ck_assert_int_eq(d->vocab_size, REEL_MAZE_VOCAB_SIZE);
        ck_assert_int_eq(d->seq_len, 100);
        ck_assert_int_eq(d->total_groups, 1);
        ck_assert_int_eq(reel_train_batch(d, &plan, 0, &batch, NULL), REEL_OK);
        int seen[REEL_MAZE_VARIANTS] = {0};
        for (int row = 0; row < ROWS; row++) {
            const int variant = find_variant(10, set, 0, inputs + row * 100, labels + row * 100);
            ck_assert_int_ge(variant, 0);
            seen[variant]++;
        }
        for (int variant = 0; variant < REEL_MAZE_VARIANTS; variant++)
            ck_assert(all ? seen[variant] > 0 : seen[variant] == (variant == 0 ? ROWS : 0));
        reel_dataset_close(d);
    }
    reel_puzzle_set_free(set);
    const reel_dataset_options options = {.num_aug = 3};
    const char *const spec = "maze:10:1";
    reel_dataset *d;
    reel_error error = {0};
    ck_assert_int_eq(reel_dataset_open(&d, &spec, 1, REEL_SPLIT_TRAIN, &options, NULL, &error),
                     REEL_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "'maze:10:1': num_aug is 3"));
}
END_TEST

START_TEST(test_csv_files_of_mazes_are_known_by_their_grids) {
    reel_maze_set *set = generate(6, 3, NULL);
    ck_assert_int_eq(reel_maze_write_csv(path, set, NULL), REEL_OK);
    reel_dataset *d = open_dataset(path, REEL_SPLIT_TRAIN, REEL_AUG_DEFAULT, NULL);
    ck_assert_int_eq(d->seq_len, 36);
    ck_assert_int_eq(d->vocab_size, REEL_MAZE_VOCAB_SIZE);
    reel_dataset *test = open_dataset("maze:6:4", REEL_SPLIT_TEST, REEL_AUG_DEFAULT, d);
    reel_maze_set *others = generate(6, 4, set);
    int32_t inputs[36], labels[36], identifier;
    const reel_batch batch = {inputs, labels, &identifier};
    for (int64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(reel_test_batch(test, 1, i, &batch, NULL, NULL), REEL_OK);
        ck_assert_int_eq(find_variant(6, others, i, inputs, labels), 0);
        ck_assert_int_eq(identifier, 0);
        ck_assert_int_eq(reel_dataset_rating(test, i), others->ratings[i]);
    }
    reel_dataset_close(test);
    reel_dataset_close(d);
    reel_puzzle_set_free(set);
    reel_puzzle_set_free(others);
}
END_TEST

static Suite *maze_suite(void) {
    Suite *suite = suite_create("maze");
    TCase *t = tcase_create("maze");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_check_says_what_is_wrong);
    tcase_add_test(t, test_solver_prefers_down_left_right_up);
    tcase_add_loop_test(t, test_generated_mazes_have_one_long_shortest_path, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(t, test_no_test_maze_is_a_training_maze_turned_or_mirrored);
    tcase_add_test(t, test_generator_refuses_what_it_cannot_make);
    tcase_add_test(t, test_files_read_back);
    tcase_add_test(t, test_bad_files_are_refused);
    tcase_add_test(t, test_published_mazes_are_solved_as_published);
    tcase_add_test(t, test_num_aug_7_shows_all_sides);
    tcase_add_test(t, test_csv_files_of_mazes_are_known_by_their_grids);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    const int fd = mkstemps(path, (int)strlen(".csv"));
    if (fd < 0)
        return EXIT_FAILURE;
    close(fd);
    SRunner *runner = srunner_create(maze_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    unlink(path);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
