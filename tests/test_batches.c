/* Data sets and the batches that training and evaluation take from them. */
#include <reel/batches.h>
#include <reel/puzzle_folder.h>
#include <reel/sudoku.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ROWS = 64, MAX_TOKENS = MAX_ROWS * REEL_SUDOKU_MAX_CELLS, PATH_BYTES = 512, SEED = 1 };

static const reel_dataset_options defaults = {.seed = SEED, .num_aug = REEL_AUG_DEFAULT};
static const reel_dataset_options originals = {.seed = SEED, .num_aug = 0};

static reel_dataset *open_all(const char *const *specs, int count, reel_data_split split,
                              const reel_dataset_options *options, const reel_dataset *training) {
    reel_dataset *dataset;
    reel_error error = {0};
    ck_assert_msg(reel_dataset_open(&dataset, specs, count, split, options, training, &error) == REEL_OK,
                  "%s", error.message);
    return dataset;
}

static reel_dataset *open_training(const char *spec, const reel_dataset_options *options) {
    return open_all(&spec, 1, REEL_SPLIT_TRAIN, options, NULL);
}

static reel_dataset *open_test(const char *spec, const reel_dataset *training) {
    return open_all(&spec, 1, REEL_SPLIT_TEST, &defaults, training);
}

/* The puzzles that "sudoku:SIZE:COUNT" stands for. */
static reel_sudoku_set *sudokus(int size, int64_t count, const reel_sudoku_set *exclude) {
    reel_sudoku_set *set;
    ck_assert_int_eq(reel_sudoku_generate(size, count, SEED, exclude, &set, NULL), REEL_OK);
    return set;
}

typedef struct buffers {
    int32_t inputs[MAX_TOKENS], labels[MAX_TOKENS], puzzle_identifiers[MAX_ROWS];
} buffers;

static reel_batch batch_of(buffers *b) {
    memset(b, 0x55, sizeof *b);
    return (reel_batch){b->inputs, b->labels, b->puzzle_identifiers};
}

static void train_batch(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step, buffers *b) {
    const reel_batch batch = batch_of(b);
    reel_error error = {0};
    ck_assert_msg(reel_train_batch(dataset, plan, step, &batch, &error) == REEL_OK, "%s", error.message);
}

static reel_test_rows test_batch(const reel_dataset *dataset, int64_t rows, int64_t index, buffers *b) {
    const reel_batch batch = batch_of(b);
    reel_test_rows here;
    reel_error error = {0};
    ck_assert_msg(reel_test_batch(dataset, rows, index, &batch, &here, &error) == REEL_OK, "%s",
                  error.message);
    return here;
}

/* The index of the puzzle whose question a row shows unaugmented, or -1. */
static int64_t find_puzzle(const reel_sudoku_set *set, const int32_t *inputs) {
    const int64_t cells = (int64_t)set->size * set->size;
    for (int64_t i = 0; i < set->count; i++) {
        int64_t c = 0;
        while (c < cells && inputs[c] == set->questions[i * cells + c] + 1)
            c++;
        if (c == cells)
            return i;
    }
    return -1;
}

/* ---- plans ------------------------------------------------------------------------------------------- */

START_TEST(test_dataset_states_its_sizes) {
    reel_dataset *d = open_training("sudoku:6:10", &defaults);
    ck_assert_int_eq(d->seq_len, 36);
    ck_assert_int_eq(d->vocab_size, 8);
    ck_assert_int_eq(d->num_puzzle_identifiers, 1);
    ck_assert_int_eq(d->total_groups, 10);
    ck_assert_int_eq(d->total_examples, 10);
    ck_assert_double_eq(d->mean_puzzle_examples, 1);
    ck_assert_int_eq(d->set_count, 1);
    ck_assert_str_eq(d->sets[0].name, "all");
    reel_dataset_close(d);
    reel_dataset_close(NULL);
}
END_TEST

START_TEST(test_plan_counts_steps_as_published) {
    reel_dataset *d = open_training("sudoku:6:10", &defaults);
    reel_batch_plan plan = {.batch_size = 4, .epochs = 6, .eval_interval = 2};
    ck_assert_int_eq(reel_plan_total_steps(d, &plan), 15); /* 60 / 4 */
    ck_assert_int_eq(reel_plan_max_steps(d, &plan), 15);   /* 3 * (20 / 4) */
    ck_assert_int_eq(reel_plan_interval(d, &plan, 0), 0);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 4), 0);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 5), 1);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 15), 3); /* the end */
    plan.eval_interval = 1;
    ck_assert_int_eq(reel_plan_max_steps(d, &plan), 12); /* 6 * (10 / 4), the partial batches are dropped */
    ck_assert_int_eq(reel_plan_interval(d, &plan, 11), 5);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 2), 1);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_plan_that_cannot_run_is_refused) {
    static const reel_batch_plan plans[] = {
        {.batch_size = 0, .epochs = 1, .eval_interval = 1},
        {.batch_size = 1, .epochs = -1, .eval_interval = 1},
        {.batch_size = 1, .epochs = 1, .eval_interval = 0},
        {.batch_size = 1, .epochs = 4, .eval_interval = 3},
        {.batch_size = 11, .epochs = 4, .eval_interval = 1},
        {.batch_size = 1, .epochs = INT64_MAX, .eval_interval = 1},
    };
    reel_dataset *d = open_training("sudoku:6:10", &defaults);
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        ck_assert_int_eq(reel_batch_plan_check(d, &plans[i], NULL), REEL_ERROR_ARGUMENT);
    const reel_batch_plan good = {.batch_size = 10, .epochs = 4, .eval_interval = 2};
    ck_assert_int_eq(reel_batch_plan_check(d, &good, NULL), REEL_OK);
    reel_dataset_close(d);
}
END_TEST

/* ---- Sudoku ------------------------------------------------------------------------------------------ */

START_TEST(test_batches_do_without_identifiers) {
    reel_dataset *d = open_training("sudoku:4:10", &defaults), *t = open_test("sudoku:4:3", d);
    const reel_batch_plan plan = {.batch_size = 4, .epochs = 4, .eval_interval = 4};
    buffers with, without;
    train_batch(d, &plan, 0, &with);
    const reel_batch batch = {batch_of(&without).inputs, without.labels, NULL};
    ck_assert_int_eq(reel_train_batch(d, &plan, 0, &batch, NULL), REEL_OK);
    ck_assert_mem_eq(with.inputs, without.inputs, sizeof with.inputs);
    test_batch(t, 4, 0, &with);
    ck_assert_int_eq(reel_test_batch(t, 4, 0, &batch, NULL, NULL), REEL_OK);
    ck_assert_mem_eq(with.labels, without.labels, 4 * 16 * sizeof *with.labels);
    reel_dataset_close(t);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_every_epoch_draws_each_puzzle_once_in_a_new_order) {
    reel_dataset *d = open_training("sudoku:6:10", &originals);
    reel_sudoku_set *set = sudokus(6, 10, NULL);
    const reel_batch_plan plan = {.batch_size = 4, .epochs = 4, .eval_interval = 2, .seed = 9};
    static buffers b;
    int64_t intervals[2][20];
    for (int interval = 0; interval < 2; interval++) {
        int64_t *drawn = intervals[interval];
        for (int step = 0; step < 5; step++) {
            train_batch(d, &plan, interval * 5 + step, &b);
            for (int row = 0; row < 4; row++) {
                drawn[step * 4 + row] = find_puzzle(set, b.inputs + row * 36);
                ck_assert_int_eq(b.puzzle_identifiers[row], 0);
            }
        }
        for (int epoch = 0; epoch < 2; epoch++) {
            unsigned seen = 0;
            for (int i = 0; i < 10; i++)
                seen |= 1u << drawn[epoch * 10 + i];
            ck_assert_uint_eq(seen, (1u << 10) - 1);
        }
        ck_assert_mem_ne(drawn, drawn + 10, 10 * sizeof *drawn);
    }
    ck_assert_mem_ne(intervals[0], intervals[1], sizeof intervals[0]);
    reel_puzzle_set_free(set);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_batches_can_be_made_again_in_any_order) {
    reel_dataset *d = open_training("sudoku:9:7", &defaults), *again = open_training("sudoku:9:7", &defaults);
    const reel_batch_plan plan = {.batch_size = 16, .epochs = 30, .eval_interval = 30, .seed = 3};
    static buffers forwards[13], b;
    for (int step = 0; step < 13; step++)
        train_batch(d, &plan, step, &forwards[step]);
    for (int step = 12; step >= 0; step--) {
        train_batch(again, &plan, step, &b);
        ck_assert_mem_eq(&b, &forwards[step], sizeof b);
    }
    const reel_batch_plan other = {.batch_size = 16, .epochs = 30, .eval_interval = 30, .seed = 4};
    train_batch(d, &other, 0, &b);
    ck_assert_mem_ne(&b, &forwards[0], sizeof b);
    const reel_batch batch = batch_of(&b);
    ck_assert_int_eq(reel_train_batch(d, &plan, 13, &batch, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_train_batch(d, &plan, -1, &batch, NULL), REEL_ERROR_ARGUMENT);
    reel_dataset_close(d);
    reel_dataset_close(again);
}
END_TEST

/* With one puzzle, all rows show it, each under its own symmetry. */
START_TEST(test_rows_are_augmented_one_by_one) {
    enum { CELLS = 81, ROWS = 8, BATCHES = 2 };
    reel_dataset *d = open_training("sudoku:9:1", &defaults);
    reel_sudoku_set *set = sudokus(9, 1, NULL);
    const reel_batch_plan plan = {.batch_size = ROWS, .epochs = 16, .eval_interval = 16, .seed = 3};
    static buffers b;
    uint8_t form[CELLS], seen[ROWS * BATCHES][CELLS];
    reel_sudoku_canonical(9, set->questions, form);
    for (int i = 0; i < ROWS * BATCHES; i++) {
        uint8_t answer[CELLS], row_form[CELLS];
        if (i % ROWS == 0)
            train_batch(d, &plan, i / ROWS, &b);
        for (int c = 0; c < CELLS; c++) {
            seen[i][c] = (uint8_t)(b.inputs[i % ROWS * CELLS + c] - 1);
            answer[c] = (uint8_t)(b.labels[i % ROWS * CELLS + c] - 1);
        }
        ck_assert_int_eq(reel_sudoku_check(9, seen[i], answer, NULL), REEL_OK);
        reel_sudoku_canonical(9, seen[i], row_form);
        ck_assert_mem_eq(form, row_form, CELLS);
        for (int j = 0; j < i; j++)
            ck_assert_mem_ne(seen[i], seen[j], CELLS);
    }
    reel_puzzle_set_free(set);
    reel_dataset_close(d);
}
END_TEST

/* num_aug K: exactly the puzzle and its variants 1..K, all of them. */
START_TEST(test_num_aug_shows_so_many_variants) {
    enum { CELLS = 81, VARIANTS = 4, DRAWS = 64 };
    const reel_dataset_options options = {.seed = SEED, .num_aug = VARIANTS - 1};
    reel_dataset *d = open_training("sudoku:9:1", &options);
    reel_sudoku_set *set = sudokus(9, 1, NULL);
    const reel_batch_plan plan = {.batch_size = DRAWS, .epochs = DRAWS, .eval_interval = DRAWS, .seed = 3};
    static buffers b;
    int seen[VARIANTS] = {0};
    train_batch(d, &plan, 0, &b);
    for (int row = 0; row < DRAWS; row++) {
        int variant = 0;
        for (; variant < VARIANTS; variant++) {
            uint8_t question[CELLS], answer[CELLS];
            reel_sudoku_variant(9, set->questions, set->answers, SEED, 0, variant, question, answer);
            int c = 0;
            while (c < CELLS && b.inputs[row * CELLS + c] == question[c] + 1 &&
                   b.labels[row * CELLS + c] == answer[c] + 1)
                c++;
            if (c == CELLS)
                break;
        }
        ck_assert_int_lt(variant, VARIANTS);
        seen[variant]++;
    }
    for (int variant = 0; variant < VARIANTS; variant++)
        ck_assert_int_ge(seen[variant], DRAWS / VARIANTS / 3);
    reel_puzzle_set_free(set);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_evaluation_goes_through_all_in_order_and_pads) {
    enum { CELLS = 36, COUNT = 10, ROWS = 4 };
    reel_dataset *d = open_test("sudoku:6:10", NULL);
    reel_sudoku_set *set = sudokus(6, COUNT, NULL);
    ck_assert_int_eq(reel_test_batches(d, ROWS), 3);
    ck_assert_int_eq(reel_test_batches(d, 5), 2);
    static buffers b;
    for (int64_t index = 0; index < 3; index++) {
        const reel_test_rows here = test_batch(d, ROWS, index, &b);
        ck_assert_int_eq(here.set, 0);
        ck_assert_int_eq(here.first, index * ROWS);
        ck_assert_int_eq(here.count, index < 2 ? 4 : 2);
        for (int64_t row = 0; row < ROWS; row++) {
            const int64_t example = index * ROWS + row;
            ck_assert_int_eq(b.puzzle_identifiers[row], 0);
            for (int64_t c = row * CELLS; c < (row + 1) * CELLS; c++) {
                const int64_t cell = example * CELLS + c % CELLS;
                const int is_padding = example >= COUNT;
                ck_assert_int_eq(b.inputs[c], is_padding ? 0 : set->questions[cell] + 1);
                ck_assert_int_eq(b.labels[c], is_padding ? -100 : set->answers[cell] + 1);
            }
        }
    }
    for (int64_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(reel_dataset_rating(d, i), set->ratings[i]);
    const reel_batch batch = batch_of(&b);
    ck_assert_int_eq(reel_test_batch(d, ROWS, 3, &batch, NULL, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_test_batch(d, 0, 0, &batch, NULL, NULL), REEL_ERROR_ARGUMENT);
    reel_puzzle_set_free(set);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_generated_test_set_avoids_its_training_set) {
    /* 24 + 12 are all puzzles of size 4 that there are. */
    reel_dataset *training = open_training("sudoku:4:24", &defaults),
                 *test = open_test("sudoku:4:12", training);
    reel_sudoku_set *shown = sudokus(4, 24, NULL), *others = sudokus(4, 12, shown);
    static buffers b;
    test_batch(test, 12, 0, &b);
    for (int64_t i = 0; i < 12; i++)
        ck_assert_int_eq(find_puzzle(others, b.inputs + i * 16), i);
    reel_puzzle_set_free(shown);
    reel_puzzle_set_free(others);
    reel_dataset_close(training);
    reel_dataset_close(test);
}
END_TEST

START_TEST(test_dataset_reads_csv_files) {
    char path[] = "/tmp/reel-sudoku-XXXXXX.csv";
    const int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    close(fd);
    reel_sudoku_set *set = sudokus(6, 5, NULL);
    ck_assert_int_eq(reel_sudoku_write_csv(path, set, NULL), REEL_OK);
    ck_assert_int_eq(reel_dataset_has_test(path), 0);
    reel_dataset *d = open_training(path, &originals), *other;
    ck_assert_int_eq(d->total_groups, 5);
    static buffers b;
    const reel_batch_plan plan = {.batch_size = 5, .epochs = 1, .eval_interval = 1};
    train_batch(d, &plan, 0, &b);
    ck_assert_int_ge(find_puzzle(set, b.inputs), 0);

    reel_error error = {0};
    const char *const small = "sudoku:4:5";
    ck_assert_int_eq(reel_dataset_open(&other, &small, 1, REEL_SPLIT_TEST, &defaults, d, &error),
                     REEL_ERROR_SHAPE);
    ck_assert_ptr_null(other);
    ck_assert_ptr_nonnull(strstr(error.message, "'sudoku:4:5' has sequence length 16"));
    reel_dataset_close(d);
    reel_puzzle_set_free(set);
    unlink(path);
}
END_TEST

START_TEST(test_unknown_data_sets_are_refused_by_name) {
    static const char *const specs[] = {"",
                                        "train",
                                        ".csv",
                                        "sudoku:",
                                        "sudoku:6",
                                        "sudoku:6:",
                                        "sudoku:6:10x",
                                        "sudoku:6:10:",
                                        "sudoku:5:10",
                                        "sudoku:6:0",
                                        "sudoku:6:-1",
                                        "sudoku:99999:1",
                                        "sudoku:6:99999999999999999999"};
    reel_dataset *dataset;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        reel_error error = {0};
        ck_assert_int_eq(reel_dataset_open(&dataset, &specs[i], 1, REEL_SPLIT_TRAIN, &defaults, NULL, &error),
                         REEL_ERROR_ARGUMENT);
        ck_assert_ptr_null(dataset);
        ck_assert_str_ne(error.message, "");
    }
    const char *const missing = "/nonexistent.csv";
    ck_assert_int_eq(reel_dataset_open(&dataset, &missing, 1, REEL_SPLIT_TRAIN, &defaults, NULL, NULL),
                     REEL_ERROR_IO);
    ck_assert_int_eq(reel_dataset_open(&dataset, NULL, 0, REEL_SPLIT_TRAIN, &defaults, NULL, NULL),
                     REEL_ERROR_ARGUMENT);
}
END_TEST

/* ---- folders ----------------------------------------------------------------------------------------- */

/* Folders whose examples say where they come from: token 0 the set's mark, 1 group, 2 puzzle within the
 * group, 3 example within the puzzle, all counted from 1; the label is the same but for token 3, which is 0.
 */
enum { TOKENS = 4 };

static char root[] = "/tmp/reel_test_batches_XXXXXX";

typedef struct fixture {
    const char *name;
    int mark;
    int groups, puzzles; /* in each group */
    int (*examples)(int group, int puzzle);
} fixture;

static const char *split_of(const char *name, const char *split) {
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s%s%s", root, name, *split != '\0' ? "/" : "", split);
    return path;
}

static void write_fixture(const fixture *f, const char *split) {
    reel_folder_writer *w;
    ck_assert_int_eq(reel_folder_create(&w, split_of(f->name, split), "all", TOKENS, NULL), REEL_OK);
    int64_t identifier = 0;
    for (int group = 0; group < f->groups; group++) {
        for (int puzzle = 0; puzzle < f->puzzles; puzzle++) {
            for (int example = 0; example < f->examples(group, puzzle); example++) {
                const uint8_t inputs[TOKENS] = {(uint8_t)f->mark, (uint8_t)(group + 1), (uint8_t)(puzzle + 1),
                                                (uint8_t)(example + 1)};
                const uint8_t labels[TOKENS] = {inputs[0], inputs[1], inputs[2], 0};
                reel_folder_add_examples(w, 1, inputs, labels);
            }
            reel_folder_end_puzzle(w, ++identifier);
        }
        reel_folder_end_group(w);
    }
    const reel_folder_metadata metadata = {.vocab_size = 32, .num_puzzle_identifiers = identifier + 1};
    ck_assert_int_eq(reel_folder_commit(w, &metadata, NULL), REEL_OK);
}

static int one(int group, int puzzle) {
    (void)group, (void)puzzle;
    return 1;
}
static int by_group(int group, int puzzle) {
    (void)puzzle;
    return 1 + group % 3;
}
static int by_puzzle(int group, int puzzle) {
    return (group + 2 * puzzle) % 4; /* 0 too */
}
static int five(int group, int puzzle) {
    (void)group, (void)puzzle;
    return 5;
}

static const fixture fixtures[] = {{"one", 1, 7, 3, one},
                                   {"groups", 2, 8, 3, by_group},
                                   {"puzzles", 3, 9, 4, by_puzzle},
                                   {"five", 4, 2, 1, five}};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };

/* Follows a run through a fixture: whatever the sizes, each batch is made of whole puzzles, each epoch of all
 * groups, and only the last puzzle of a batch may be cut. */
START_TEST(test_epochs_are_as_published) {
    enum { EPOCHS = 30, INTERVAL = 10, ROWS = 7 };
    const fixture *const f = &fixtures[_i];
    write_fixture(f, "train");
    reel_dataset *d = open_training(split_of(f->name, ""), &defaults);
    ck_assert_int_eq(d->total_groups, f->groups);
    ck_assert_int_eq(d->num_puzzle_identifiers, f->groups * f->puzzles + 1);
    const reel_batch_plan plan = {.batch_size = ROWS, .epochs = EPOCHS, .eval_interval = INTERVAL, .seed = 5};
    ck_assert_int_eq(reel_batch_plan_check(d, &plan, NULL), REEL_OK);

    int drawn[EPOCHS / INTERVAL][INTERVAL * 16], draws[EPOCHS / INTERVAL] = {0}; /* groups, in order */
    int64_t step = 0;
    static buffers b;
    for (int64_t interval; (interval = reel_plan_interval(d, &plan, step)) < EPOCHS / INTERVAL; step++) {
        train_batch(d, &plan, step, &b);
        for (int row = 0; row < ROWS;) {
            const int32_t *first = b.inputs + row * TOKENS;
            const int group = first[1] - 1, puzzle = first[2] - 1, size = f->examples(group, puzzle);
            ck_assert_int_eq(first[0], f->mark);
            drawn[interval][draws[interval]++] = group;
            unsigned seen = 0;
            int count = 0;
            for (; count < size && row < ROWS; count++, row++) {
                const int32_t *inputs = b.inputs + row * TOKENS, *labels = b.labels + row * TOKENS;
                ck_assert_mem_eq(inputs, first, 3 * sizeof *inputs);
                ck_assert_mem_eq(labels, first, 3 * sizeof *inputs);
                ck_assert_int_eq(labels[3], REEL_BATCH_LABEL_IGNORED); /* 0 is ignored */
                ck_assert_int_eq(b.puzzle_identifiers[row], group * f->puzzles + puzzle + 1);
                ck_assert_uint_eq(seen >> inputs[3] & 1, 0);
                seen |= 1u << inputs[3];
            }
            ck_assert(count == size || row == ROWS);
        }
    }
    ck_assert_int_le(step, reel_plan_max_steps(d, &plan));
    for (int interval = 0; interval < EPOCHS / INTERVAL; interval++) {
        ck_assert_int_gt(draws[interval], 0);
        /* Groups without an example, which by_puzzle has, leave no trace. */
        for (int i = 0; f->examples != by_puzzle && i < draws[interval]; i++)
            for (int j = i - i % f->groups; j < i; j++)
                ck_assert_int_ne(drawn[interval][i], drawn[interval][j]);
    }
    reel_dataset_close(d);
}
END_TEST

/* The last batches of an interval are all that fit in. */
START_TEST(test_intervals_end_when_nothing_fills_a_batch) {
    write_fixture(&fixtures[3], "train");
    reel_dataset *d = open_training(split_of("five", ""), &defaults);
    /* Two puzzles of five an epoch. A batch of 4 takes one puzzle and loses the fifth example. */
    reel_batch_plan plan = {.batch_size = 4, .epochs = 6, .eval_interval = 3};
    ck_assert_int_eq(reel_plan_interval(d, &plan, 5), 0);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 6), 1);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 12), 2);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 100), 2);
    ck_assert_int_eq(reel_plan_max_steps(d, &plan), 14);
    ck_assert_int_eq(reel_plan_total_steps(d, &plan), 15); /* 6 * 2 * 5 / 4 */
    plan.batch_size = 12;                                  /* three puzzles; three epochs have six */
    ck_assert_int_eq(reel_plan_interval(d, &plan, 1), 0);
    ck_assert_int_eq(reel_plan_interval(d, &plan, 2), 1);
    plan.batch_size = 31;
    ck_assert_int_eq(reel_batch_plan_check(d, &plan, NULL), REEL_ERROR_ARGUMENT);
    plan.batch_size = 30;
    ck_assert_int_eq(reel_batch_plan_check(d, &plan, NULL), REEL_OK);
    reel_dataset_close(d);
}
END_TEST

/* Of a puzzle that overflows its batch any examples may be lost, and whole puzzles come in any order. */
START_TEST(test_puzzles_are_cut_and_ordered_at_random) {
    enum { STEPS = 200, ROWS = 4, SIZE = 5 };
    write_fixture(&fixtures[3], "train");
    reel_dataset *d = open_training(split_of("five", ""), &defaults);
    const reel_batch_plan plan = {.batch_size = ROWS, .epochs = STEPS, .eval_interval = STEPS};
    int at[ROWS][SIZE] = {{0}};
    static buffers b;
    for (int step = 0; step < STEPS; step++) {
        train_batch(d, &plan, step, &b);
        for (int row = 0; row < ROWS; row++)
            at[row][b.inputs[row * TOKENS + 3] - 1]++;
    }
    for (int row = 0; row < ROWS; row++)
        for (int example = 0; example < SIZE; example++)
            ck_assert_int_ge(at[row][example], STEPS / SIZE / 2);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_batches_of_folders_can_be_made_again_in_any_order) {
    enum { STEPS = 20 };
    const fixture *const f = &fixtures[_i];
    write_fixture(f, "train");
    reel_dataset *d = open_training(split_of(f->name, ""), &defaults),
                 *again = open_training(split_of(f->name, ""), &defaults);
    const reel_batch_plan plan = {.batch_size = 5, .epochs = 40, .eval_interval = 4, .seed = 8};
    static buffers forwards[STEPS], b;
    for (int step = 0; step < STEPS; step++)
        train_batch(d, &plan, step, &forwards[step]);
    static const int order[] = {19, 3, 4, 18, 0, 7, 7};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        train_batch(again, &plan, order[i], &b);
        ck_assert_mem_eq(&b, &forwards[order[i]], sizeof b);
    }
    reel_dataset_close(d);
    reel_dataset_close(again);
}
END_TEST

START_TEST(test_num_aug_takes_the_first_puzzles_of_a_folder) {
    write_fixture(&fixtures[1], "train");
    const reel_dataset_options options = {.seed = SEED, .num_aug = 1};
    reel_dataset *d = open_training(split_of("groups", ""), &options);
    const reel_batch_plan plan = {.batch_size = 32, .epochs = 30, .eval_interval = 30};
    static buffers b;
    int seen[4] = {0};
    train_batch(d, &plan, 0, &b);
    for (int row = 0; row < 32; row++)
        seen[b.inputs[row * TOKENS + 2]]++;
    ck_assert_int_gt(seen[1], 0);
    ck_assert_int_gt(seen[2], 0);
    ck_assert_int_eq(seen[3], 0);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_evaluation_of_a_folder_finds_the_puzzle_of_each_example) {
    const fixture *const f = &fixtures[2]; /* puzzles of 0 to 3 examples */
    write_fixture(f, "train");
    write_fixture(f, "test");
    ck_assert_int_eq(reel_dataset_has_test(split_of(f->name, "")), 1);
    ck_assert_int_eq(reel_dataset_has_test(split_of(f->name, "test")), 0);
    reel_dataset *d = open_test(split_of(f->name, ""), NULL),
                 *same = open_test(split_of(f->name, "test"), NULL);
    ck_assert_int_eq(d->total_examples, same->total_examples);
    static buffers b;
    int64_t example = 0;
    for (int group = 0; group < f->groups; group++)
        for (int puzzle = 0; puzzle < f->puzzles; puzzle++)
            for (int i = 0; i < f->examples(group, puzzle); i++, example++) {
                test_batch(d, 1, example, &b);
                ck_assert_int_eq(b.inputs[1], group + 1);
                ck_assert_int_eq(b.inputs[2], puzzle + 1);
                ck_assert_int_eq(b.inputs[3], i + 1);
                ck_assert_int_eq(b.puzzle_identifiers[0], group * f->puzzles + puzzle + 1);
                ck_assert_int_eq(reel_dataset_rating(d, example), -1);
            }
    ck_assert_int_eq(example, d->total_examples);
    reel_dataset_close(d);
    reel_dataset_close(same);
}
END_TEST

/* ---- several sources --------------------------------------------------------------------------------- */

START_TEST(test_sources_are_mixed_and_their_identifiers_shifted) {
    char first[PATH_BYTES], second[PATH_BYTES];
    strcpy(first, split_of("one", ""));
    strcpy(second, split_of("groups", ""));
    for (int i = 0; i < 2; i++) {
        write_fixture(&fixtures[i], "train");
        write_fixture(&fixtures[i], "test");
    }
    const char *const specs[] = {first, second};
    reel_dataset *d = open_all(specs, 2, REEL_SPLIT_TRAIN, &defaults, NULL);
    ck_assert_int_eq(d->total_groups, 7 + 8);
    ck_assert_int_eq(d->num_puzzle_identifiers, 1 + 21 + 24);
    ck_assert_double_eq_tol(d->mean_puzzle_examples, (21 + 45) / 45., 1e-12);
    ck_assert_int_eq(d->set_count, 2);
    ck_assert_str_eq(d->sets[0].name, "all");
    ck_assert_str_eq(d->sets[1].name, "all1");
    const reel_batch_plan plan = {.batch_size = 8, .epochs = 30, .eval_interval = 30};
    static buffers b;
    int mixed = 0;
    for (int step = 0; step < 10; step++) {
        int rows[3] = {0};
        train_batch(d, &plan, step, &b);
        for (int row = 0; row < 8; row++) {
            const int32_t *inputs = b.inputs + row * TOKENS;
            const int own = (inputs[1] - 1) * 3 + inputs[2];
            ck_assert_int_eq(b.puzzle_identifiers[row], inputs[0] == 1 ? own : own + 21);
            rows[inputs[0]]++;
        }
        mixed += rows[1] > 0 && rows[2] > 0;
    }
    ck_assert_int_ge(mixed, 5);

    /* The second source alone as a test set keeps its identifiers. */
    reel_dataset *test = open_test(second, d);
    test_batch(test, 1, 0, &b);
    ck_assert_int_eq(b.puzzle_identifiers[0], 1 + 21);
    ck_assert_str_eq(test->sets[0].name, "all");
    reel_dataset_close(test);

    /* Both, set by set, the last batch of each set padded. */
    const reel_dataset_options few = {.seed = SEED, .num_aug = REEL_AUG_DEFAULT, .max_examples = 5};
    test = open_all(specs, 2, REEL_SPLIT_TEST, &few, d);
    ck_assert_int_eq(test->total_examples, 10);
    ck_assert_int_eq(reel_test_batches(test, 4), 4);
    for (int index = 0; index < 4; index++) {
        const reel_test_rows here = test_batch(test, 4, index, &b);
        ck_assert_int_eq(here.set, index / 2);
        ck_assert_int_eq(here.first, index % 2 * 4);
        ck_assert_int_eq(here.count, index % 2 == 0 ? 4 : 1);
        for (int row = 0; row < 4; row++)
            ck_assert_int_eq(b.inputs[row * TOKENS], row < here.count ? index / 2 + 1 : 0);
    }
    reel_dataset_close(test);
    reel_dataset_close(d);
}
END_TEST

START_TEST(test_sources_that_do_not_fit_together_are_refused) {
    write_fixture(&fixtures[0], "train");
    write_fixture(&fixtures[1], "train");
    char folder[PATH_BYTES], larger[PATH_BYTES];
    strcpy(folder, split_of("one", ""));
    strcpy(larger, split_of("groups", "train"));
    const char *const specs[] = {folder, "sudoku:6:5"};
    reel_dataset *d;
    reel_error error = {0};
    ck_assert_int_eq(reel_dataset_open(&d, specs, 2, REEL_SPLIT_TRAIN, &defaults, NULL, &error),
                     REEL_ERROR_SHAPE);
    ck_assert_ptr_null(d);
    ck_assert_ptr_nonnull(strstr(error.message, "cannot be mixed: their sequence length is 4 and 36"));
    reel_dataset *training = open_training(folder, &defaults);
    const char *const spec = larger;
    error = (reel_error){0};
    ck_assert_int_eq(reel_dataset_open(&d, &spec, 1, REEL_SPLIT_TEST, &defaults, training, &error),
                     REEL_ERROR_SHAPE);
    ck_assert_ptr_nonnull(strstr(error.message, "has 25 puzzle identifiers, the training set 22"));
    reel_dataset_close(training);
    const char *const nothing = root; /* a folder without a data set */
    error = (reel_error){0};
    ck_assert_int_eq(reel_dataset_open(&d, &nothing, 1, REEL_SPLIT_TRAIN, &defaults, NULL, &error),
                     REEL_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "/train/dataset.json: cannot open"));
}
END_TEST

static Suite *batches_suite(void) {
    Suite *suite = suite_create("batches");
    TCase *t = tcase_create("batches");
    tcase_add_test(t, test_dataset_states_its_sizes);
    tcase_add_test(t, test_plan_counts_steps_as_published);
    tcase_add_test(t, test_plan_that_cannot_run_is_refused);
    tcase_add_test(t, test_batches_do_without_identifiers);
    tcase_add_test(t, test_every_epoch_draws_each_puzzle_once_in_a_new_order);
    tcase_add_test(t, test_batches_can_be_made_again_in_any_order);
    tcase_add_test(t, test_rows_are_augmented_one_by_one);
    tcase_add_test(t, test_num_aug_shows_so_many_variants);
    tcase_add_test(t, test_evaluation_goes_through_all_in_order_and_pads);
    tcase_add_test(t, test_generated_test_set_avoids_its_training_set);
    tcase_add_test(t, test_dataset_reads_csv_files);
    tcase_add_test(t, test_unknown_data_sets_are_refused_by_name);
    tcase_add_loop_test(t, test_epochs_are_as_published, 0, FIXTURES);
    tcase_add_test(t, test_intervals_end_when_nothing_fills_a_batch);
    tcase_add_test(t, test_puzzles_are_cut_and_ordered_at_random);
    tcase_add_loop_test(t, test_batches_of_folders_can_be_made_again_in_any_order, 0, FIXTURES);
    tcase_add_test(t, test_num_aug_takes_the_first_puzzles_of_a_folder);
    tcase_add_test(t, test_evaluation_of_a_folder_finds_the_puzzle_of_each_example);
    tcase_add_test(t, test_sources_are_mixed_and_their_identifiers_shifted);
    tcase_add_test(t, test_sources_that_do_not_fit_together_are_refused);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    char command[PATH_BYTES];
    if (mkdtemp(root) == NULL)
        return EXIT_FAILURE;
    SRunner *runner = srunner_create(batches_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) == 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
