/* ARC data sets: what a plan holds, and that what is built maps back to the tasks it was made of. */
#include "arc_format.h"
#include "scratch_folder.h"

#include <reel/arc.h>
#include <reel/puzzle_folder.h>

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TASKS = 16, MAX_PAIRS = 16 };

static char made[sizeof folder + 2]; /* the prefix of the tasks made here */

/* Made up for this test: a shape moves, a row is completed, colours are swapped; and two tests in one task.
 */
static void make_folder(void) {
    make_scratch_folder();
    snprintf(made, sizeof made, "%s/t", folder);
    write_text(
        "t_training_challenges.json",
        "{\"move\": {\"train\": [{\"input\": [[1, 0, 0], [0, 0, 0]], \"output\": [[0, 1, 0], [0, 0, 0]]},"
        "                       {\"input\": [[0, 2, 0]], \"output\": [[0, 0, 2]]}],"
        "            \"test\": [{\"input\": [[3, 0, 0, 0]]}]},"
        " \"spot\": {\"test\": [{\"input\": [[1]]}], \"train\": [{\"input\": [[1]], \"output\": [[0, 1]]}]},"
        " \"dark\": {\"train\": [{\"input\": [[0]], \"output\": [[0]]}], \"test\": [{\"input\": [[0]]}]}}");
    write_text("t_training_solutions.json",
               "{\"move\": [[[0, 3, 0, 0]]], \"spot\": [[[0]]], \"dark\": [[[0]]]}");
    write_text(
        "t_evaluation_challenges.json",
        "{\"swap\": {\"train\": [{\"input\": [[4, 5], [5, 4], [4, 4]], \"output\": [[5, 4], [4, 5], [5, 5]]},"
        "                       {\"input\": [[4, 5, 5]], \"output\": [[5, 4, 4]]},"
        "                       {\"input\": [[6]], \"output\": [[6]]}],"
        "            \"test\": [{\"input\": [[4, 4, 5]]}, {\"input\": [[5], [4]]}]},"
        " \"fill\": {\"train\": [{\"input\": [[7, 0, 7, 0]], \"output\": [[7, 7, 7, 7]]}],"
        "            \"test\": [{\"input\": [[0, 8], [0, 0]]}]}}");
    write_text("t_evaluation_solutions.json",
               "{\"swap\": [[[5, 5, 4]], [[4], [5]]], \"fill\": [[[8, 8], [8, 8]]]}");
}

static const char *const both[] = {"training", "evaluation"};

static reel_arc_options options_of(const char *prefix, int64_t num_aug) {
    return (reel_arc_options){.prefix = prefix,
                              .subsets = both,
                              .subset_count = 2,
                              .test_set_name = "evaluation",
                              .num_aug = num_aug,
                              .identifiers_start = 1,
                              .seed = 42};
}

static reel_arc_plan *make_plan(const reel_arc_options *options) {
    reel_arc_plan *plan;
    reel_error error = {0};
    ck_assert_msg(reel_arc_plan_new(&plan, options, &error) == REEL_OK, "%s", error.message);
    return plan;
}

static void build(const reel_arc_options *options, const char *dir, int threads) {
    reel_arc_plan *plan = make_plan(options);
    reel_error error = {0};
    ck_assert_msg(reel_arc_build(plan, dir, threads, NULL, NULL, &error) == REEL_OK, "%s", error.message);
    reel_arc_plan_free(plan);
}

/* ---- back to the tasks ------------------------------------------------------------------------------- */

typedef struct known_tasks {
    reel_arc_tasks *subsets[2]; /* training, evaluation */
} known_tasks;

static void read_tasks(const char *prefix, known_tasks *known) {
    for (int i = 0; i < 2; i++) {
        char challenges[PATH_BYTES], solutions[PATH_BYTES];
        reel_error error = {0};
        snprintf(challenges, sizeof challenges, "%s_%s_challenges.json", prefix, both[i]);
        snprintf(solutions, sizeof solutions, "%s_%s_solutions.json", prefix, both[i]);
        ck_assert_msg(reel_arc_tasks_read(&known->subsets[i], challenges, solutions, &error) == REEL_OK, "%s",
                      error.message);
    }
}

static void free_tasks(known_tasks *known) {
    reel_arc_tasks_free(known->subsets[0]);
    reel_arc_tasks_free(known->subsets[1]);
}

static const reel_arc_task *find_task(const known_tasks *known, const char *id, ptrdiff_t length,
                                      bool *is_evaluation) {
    for (int s = 0; s < 2; s++)
        for (int64_t i = 0; i < known->subsets[s]->count; i++) {
            const reel_arc_task *task = &known->subsets[s]->tasks[i];
            *is_evaluation = s == 1;
            if (strlen(task->id) == (size_t)length && memcmp(task->id, id, (size_t)length) == 0)
                return task;
        }
    ck_abort_msg("no task is called %.*s", (int)length, id);
}

/* The pairs that a split must have of the task called name[0..length-1], in order. */
static int expected_pairs(const known_tasks *known, const char *name, ptrdiff_t length, bool is_test,
                          const reel_arc_pair *pairs[MAX_PAIRS]) {
    bool is_evaluation;
    const reel_arc_task *task = find_task(known, name, length, &is_evaluation);
    const bool has_train = !is_test, has_test = is_test || !is_evaluation;
    int count = 0;
    ck_assert(!is_test || is_evaluation);
    ck_assert_int_le(task->train_count + task->test_count, MAX_PAIRS);
    for (int i = 0; i < task->test_count && has_test && task->tests_first; i++)
        pairs[count++] = &task->pairs[task->train_count + i];
    for (int i = 0; i < task->train_count && has_train; i++)
        pairs[count++] = &task->pairs[i];
    for (int i = 0; i < task->test_count && has_test && !task->tests_first; i++)
        pairs[count++] = &task->pairs[task->train_count + i];
    return count;
}

/* Moves a frame's content by `offset` tokens towards its beginning and undoes the variant. */
static void read_frame(const reel_npy *tokens, int64_t example, int offset, reel__arc_variant variant,
                       reel_arc_grid *grid) {
    int32_t frame[REEL_ARC_SEQ_LEN] = {0};
    for (int i = offset; i < REEL_ARC_SEQ_LEN; i++)
        frame[i - offset] = (int32_t)reel_npy_integer(tokens, example * REEL_ARC_SEQ_LEN + i);
    reel_arc_grid cropped;
    reel_arc_crop(frame, &cropped);
    reel__arc_undo(variant, &cropped, grid);
}

/* Where a frame's content begins: a grid's first cell is a colour, and all before it is padding. */
static int offset_of(const reel_npy *tokens, int64_t example) {
    int offset = 0;
    while (reel_npy_integer(tokens, example * REEL_ARC_SEQ_LEN + offset) == REEL_ARC_PAD)
        offset++;
    return offset;
}

/* One puzzle maps back, and one of its examples at least stands at the origin. */
static void check_puzzle(const reel_folder_set *set, int64_t puzzle, const char *name,
                         const known_tasks *known, bool is_test) {
    reel__arc_variant variant;
    const ptrdiff_t length = reel__arc_parse_name(name, &variant);
    ck_assert_msg(length > 0, "%s", name);
    const reel_arc_pair *pairs[MAX_PAIRS];
    const int count = expected_pairs(known, name, length, is_test, pairs);
    const int64_t first = set->puzzle_indices[puzzle];
    bool has_origin = false;
    ck_assert_int_eq(set->puzzle_indices[puzzle + 1] - first, count);
    for (int i = 0; i < count; i++) {
        reel_arc_grid input, output;
        const int offset = offset_of(set->inputs, first + i);
        ck_assert_int_eq(offset, offset_of(set->labels, first + i));
        ck_assert(offset == 0 || !is_test);
        has_origin = has_origin || offset == 0;
        read_frame(set->inputs, first + i, offset, variant, &input);
        read_frame(set->labels, first + i, offset, variant, &output);
        ck_assert_msg(reel__arc_same_grid(&input, &pairs[i]->input), "%s: input %d", name, i);
        ck_assert_msg(reel__arc_same_grid(&output, &pairs[i]->output), "%s: output %d", name, i);
    }
    ck_assert_msg(has_origin, "%s", name);
}

/* What a group must have in common with the same group of another build. */
typedef struct group_facts {
    char id[64];
    int64_t puzzles, examples;
} group_facts;

/* Checks a whole split and lists its groups. */
static int check_split(const char *dir, const char *split, const known_tasks *known, group_facts *groups) {
    char path[PATH_BYTES];
    reel_folder *data;
    reel_names *names;
    reel_error error = {0};
    snprintf(path, sizeof path, "%s/%s", dir, split);
    ck_assert_msg(reel_folder_open(&data, path, &error) == REEL_OK, "%s", error.message);
    ck_assert_msg(reel_folder_read_identifiers(dir, &names, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(data->metadata.num_puzzle_identifiers, names->count);
    ck_assert_int_eq(data->metadata.seq_len, REEL_ARC_SEQ_LEN);
    ck_assert_int_eq(data->metadata.vocab_size, REEL_ARC_VOCAB_SIZE);
    ck_assert_int_eq(data->metadata.ignore_label_id, 0);
    ck_assert_int_eq(data->set_count, 1);
    const reel_folder_set *set = data->sets;
    ck_assert_str_eq(set->name, "all");
    ck_assert_int_eq(data->metadata.total_puzzles, set->puzzles);
    for (int64_t g = 0; g < set->groups; g++) {
        const int64_t first = set->group_indices[g], end = set->group_indices[g + 1];
        const char *original = names->items[set->puzzle_identifiers[first]];
        ck_assert_ptr_null(strstr(original, "|||")); /* the original comes first */
        ck_assert_int_lt(g, MAX_TASKS);
        snprintf(groups[g].id, sizeof groups[g].id, "%s", original);
        groups[g].puzzles = end - first;
        groups[g].examples = set->puzzle_indices[end] - set->puzzle_indices[first];
        for (int64_t p = first; p < end; p++) {
            const char *name = names->items[set->puzzle_identifiers[p]];
            ck_assert(strncmp(name, original, strlen(original)) == 0);
            check_puzzle(set, p, name, known, strcmp(split, "test") == 0);
            for (int64_t q = first; q < p; q++)
                ck_assert_int_ne(set->puzzle_identifiers[p], set->puzzle_identifiers[q]);
        }
    }
    const int count = (int)set->groups;
    reel_names_free(names);
    reel_folder_close(data);
    return count;
}

/* ---- what a plan holds ------------------------------------------------------------------------------- */

START_TEST(test_built_data_map_back_to_their_tasks) {
    known_tasks known;
    group_facts groups[MAX_TASKS];
    const reel_arc_options options = options_of(made, 30);
    build(&options, in_folder("d"), 2);
    read_tasks(made, &known);
    ck_assert_int_eq(check_split(in_folder("d"), "train", &known, groups), 5);
    ck_assert_int_eq(check_split(in_folder("d"), "test", &known, groups), 2);
    free_tasks(&known);
}
END_TEST

static int64_t puzzles_of(const reel_arc_plan *plan, const char *id) {
    const reel_arc_layout layout = reel_arc_plan_layout(plan, REEL_ARC_TRAIN);
    for (int64_t g = 0; g < layout.group_count; g++) {
        char name[64];
        const reel_arc_puzzle first = reel_arc_plan_puzzle(plan, REEL_ARC_TRAIN, layout.first_puzzle[g]);
        reel_arc_plan_identifier_name(plan, first.identifier, name, sizeof name);
        if (strcmp(name, id) == 0)
            return layout.first_puzzle[g + 1] - layout.first_puzzle[g];
    }
    return -1;
}

START_TEST(test_no_two_variants_give_the_same_puzzle) {
    const reel_arc_options options = options_of(made, 60);
    reel_arc_plan *plan = make_plan(&options);
    ck_assert_int_eq(puzzles_of(plan, "dark"), 1);  /* black stays black */
    ck_assert_int_eq(puzzles_of(plan, "spot"), 36); /* nine colours, four places */
    ck_assert_int_eq(puzzles_of(plan, "swap"), 61);
    bool is_said = false;
    for (int i = 0; i < reel_arc_plan_note_count(plan); i++)
        is_said = is_said || strstr(reel_arc_plan_note(plan, i), "2 tasks have fewer than 60") != NULL;
    ck_assert(is_said);
    reel_arc_plan_free(plan);
}
END_TEST

START_TEST(test_originals_alone_have_no_variants) {
    const reel_arc_options options = options_of(made, 0);
    reel_arc_plan *plan = make_plan(&options);
    ck_assert_int_eq(reel_arc_plan_identifier_count(plan), 6);
    ck_assert_int_eq(reel_arc_plan_layout(plan, REEL_ARC_TRAIN).example_count, 3 + 2 + 2 + 3 + 1);
    ck_assert_int_eq(reel_arc_plan_layout(plan, REEL_ARC_TEST).example_count, 2 + 1);
    ck_assert_int_eq(reel_arc_plan_note_count(plan), 0);
    reel_arc_plan_free(plan);
}
END_TEST

START_TEST(test_identifiers_begin_where_they_are_told) {
    reel_arc_options options = options_of(made, 0);
    options.identifiers_start = 4;
    reel_arc_plan *plan = make_plan(&options);
    char name[64];
    ck_assert_int_eq(reel_arc_plan_identifier_count(plan), 9);
    reel_arc_plan_identifier_name(plan, 3, name, sizeof name);
    ck_assert_str_eq(name, "<blank>");
    reel_arc_plan_identifier_name(plan, 4, name, sizeof name);
    ck_assert_str_ne(name, "<blank>");
    ck_assert_int_eq(reel_arc_plan_puzzle(plan, REEL_ARC_TRAIN, 0).identifier, 4);
    reel_arc_plan_free(plan);
}
END_TEST

static bool has_note(const reel_arc_plan *plan, const char *text) {
    for (int i = 0; i < reel_arc_plan_note_count(plan); i++)
        if (strstr(reel_arc_plan_note(plan, i), text) != NULL)
            return true;
    return false;
}

START_TEST(test_a_task_in_two_subsets_has_one_identifier_and_a_note) {
    write_text("t_more_challenges.json",
               "{\"fill\": {\"train\": [{\"input\": [[7, 0, 7, 0]], \"output\": [[7, 7, 7, 7]]}],"
               "            \"test\": [{\"input\": [[0, 8], [0, 0]]}]}}");
    static const char *const three[] = {"more", "training", "evaluation"};
    reel_arc_options options = options_of(made, 0);
    options.subsets = three;
    options.subset_count = 3;
    reel_arc_plan *plan = make_plan(&options);
    ck_assert_int_eq(reel_arc_plan_layout(plan, REEL_ARC_TRAIN).puzzle_count, 6);
    ck_assert_int_eq(reel_arc_plan_identifier_count(plan), 6);
    ck_assert(has_note(plan, "subset more holds 1 tasks of the test set evaluation"));
    ck_assert(has_note(plan, "t_more_solutions.json: no such file: the outputs of 1 tests"));
    reel_arc_plan_free(plan);
    options.test_set_name = "more";
    options.test_set_name2 = "evaluation";
    plan = make_plan(&options);
    ck_assert_int_eq(reel_arc_plan_layout(plan, REEL_ARC_TEST).group_count, 3);
    ck_assert(!has_note(plan, "holds"));
    reel_arc_plan_free(plan);
    options.test_set_name = "no_such_set";
    options.test_set_name2 = NULL;
    plan = make_plan(&options);
    ck_assert_int_eq(reel_arc_plan_layout(plan, REEL_ARC_TEST).group_count, 0);
    ck_assert(has_note(plan, "no subset is called no_such_set"));
    reel_arc_plan_free(plan);
}
END_TEST

static const struct {
    int64_t num_aug, start;
    int subset_count;
    const char *second, *says;
} bad_options[] = {
    {-1, 1, 2, "evaluation", "-1 augmentations"},
    {2903041, 1, 2, "evaluation", "2903041 augmentations"},
    {10, 0, 2, "evaluation", "identifiers start at 0"},
    {10, INT32_MAX - 20, 2, "evaluation", "more identifiers than"},
    {10, 1, 0, "evaluation", "no subset"},
    {10, 1, 2, "training", "subset training is named twice"},
    {10, 1, 2, "missing", "t_missing_challenges.json"},
};

START_TEST(test_plans_that_cannot_be_are_refused) {
    const char *const subsets[] = {"training", bad_options[_i].second};
    reel_arc_options options = options_of(made, bad_options[_i].num_aug);
    options.identifiers_start = bad_options[_i].start;
    options.subsets = subsets;
    options.subset_count = bad_options[_i].subset_count;
    reel_arc_plan *plan = NULL;
    reel_error error = {0};
    ck_assert_int_ne(reel_arc_plan_new(&plan, &options, &error), REEL_OK);
    ck_assert_ptr_null(plan);
    ck_assert_msg(strstr(error.message, bad_options[_i].says) != NULL, "%s", error.message);
}
END_TEST

/* Rows and columns that a frame's content takes, its edge included. */
static void measure(const uint8_t frame[REEL_ARC_SEQ_LEN], int first[2], int end[2]) {
    first[0] = first[1] = REEL_ARC_MAX_SIZE;
    end[0] = end[1] = 0;
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++) {
        const int place[2] = {i / REEL_ARC_MAX_SIZE, i % REEL_ARC_MAX_SIZE};
        for (int axis = 0; axis < 2 && frame[i] >= REEL_ARC_FIRST_COLOUR; axis++) {
            first[axis] = place[axis] < first[axis] ? place[axis] : first[axis];
            end[axis] = place[axis] >= end[axis] ? place[axis] + 1 : end[axis];
        }
    }
}

START_TEST(test_grids_are_moved_as_far_as_the_frame_goes) {
    const reel_arc_options options = options_of(made, 400);
    reel_arc_plan *plan = make_plan(&options);
    const reel_arc_layout layout = reel_arc_plan_layout(plan, REEL_ARC_TRAIN);
    int nearest[2] = {REEL_ARC_MAX_SIZE, REEL_ARC_MAX_SIZE}, farthest[2] = {0, 0};
    for (int64_t p = 0; p < layout.puzzle_count; p++) {
        uint8_t inputs[REEL_ARC_SEQ_LEN], labels[REEL_ARC_SEQ_LEN];
        int first[2], end[2];
        reel_arc_write_example(plan, REEL_ARC_TRAIN, p, 0, inputs, labels);
        measure(inputs, first, end);
        for (int axis = 0; axis < 2; axis++) {
            nearest[axis] = first[axis] < nearest[axis] ? first[axis] : nearest[axis];
            farthest[axis] = end[axis] > farthest[axis] ? end[axis] : farthest[axis];
        }
    }
    for (int axis = 0; axis < 2; axis++) {
        ck_assert_int_eq(nearest[axis], 0);
        ck_assert_int_eq(farthest[axis], REEL_ARC_MAX_SIZE);
    }
    reel_arc_plan_free(plan);
}
END_TEST

/* ---- building ---------------------------------------------------------------------------------------- */

START_TEST(test_files_follow_from_the_seed_and_not_from_the_threads) {
    char command[2 * PATH_BYTES];
    reel_arc_options options = options_of(made, 400);
    build(&options, in_folder("one"), 1);
    build(&options, in_folder("three"), 3);
    snprintf(command, sizeof command, "diff -r '%s' '%s'", in_folder("one"), in_folder("three"));
    run_shell(command);
    options.seed = 43;
    build(&options, in_folder("other"), 1);
    snprintf(command, sizeof command, "! cmp -s '%s' '%s'", in_folder("one/train/all__inputs.npy"),
             in_folder("other/train/all__inputs.npy"));
    run_shell(command);
}
END_TEST

static int stop_soon(int64_t written, int64_t total, void *arg) {
    (void)arg;
    return total > 0 && written > 0;
}

static bool exists(const char *path) {
    struct stat facts;
    return stat(path, &facts) == 0;
}

START_TEST(test_an_interrupted_build_leaves_nothing) {
    const reel_arc_options options = options_of(made, 100);
    reel_arc_plan *plan = make_plan(&options);
    reel_error error = {0};
    ck_assert_int_eq(reel_arc_build(plan, in_folder("d"), 1, stop_soon, NULL, &error), REEL_ERROR_STATE);
    ck_assert_msg(strstr(error.message, "stopped before") != NULL, "%s", error.message);
    ck_assert(!exists(in_folder("d")));
    reel_arc_plan_free(plan);
}
END_TEST

START_TEST(test_a_full_disk_leaves_nothing) {
    const reel_arc_options options = options_of(made, 400);
    reel_arc_plan *plan = make_plan(&options);
    struct rlimit before, small = {100000, 100000};
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    reel_error error = {0};
    const reel_status status = reel_arc_build(plan, in_folder("d"), 1, NULL, NULL, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    ck_assert_int_eq(status, REEL_ERROR_IO);
    ck_assert_msg(strstr(error.message, "all__") != NULL, "%s", error.message);
    ck_assert(!exists(in_folder("d")));
    reel_arc_plan_free(plan);
}
END_TEST

/* ---- straight from the tasks ------------------------------------------------------------------------- */

enum { BATCH = 7 };

static reel_dataset *open_data(const char *spec, reel_data_split split, const reel_dataset *training) {
    const reel_dataset_options options = {.seed = 42, .num_aug = 25};
    reel_dataset *data;
    reel_error error = {0};
    ck_assert_msg(reel_dataset_open(&data, &spec, 1, split, &options, training, &error) == REEL_OK, "%s",
                  error.message);
    return data;
}

typedef struct rows {
    int32_t inputs[BATCH * REEL_ARC_SEQ_LEN], labels[BATCH * REEL_ARC_SEQ_LEN], identifiers[BATCH];
} rows;

static reel_batch batch_of(rows *r) {
    memset(r, 0, sizeof *r);
    return (reel_batch){r->inputs, r->labels, r->identifiers};
}

START_TEST(test_batches_from_tasks_are_those_from_the_folder) {
    const reel_arc_options options = options_of(made, 25);
    char spec[PATH_BYTES];
    build(&options, in_folder("d"), 1);
    snprintf(spec, sizeof spec, "arc:%s", made);
    reel_dataset *train[2], *test[2];
    static rows r[2];
    for (int i = 0; i < 2; i++) {
        train[i] = open_data(i == 0 ? spec : in_folder("d"), REEL_SPLIT_TRAIN, NULL);
        test[i] = open_data(i == 0 ? spec : in_folder("d"), REEL_SPLIT_TEST, train[i]);
    }
    ck_assert_int_eq(train[0]->num_puzzle_identifiers, train[1]->num_puzzle_identifiers);
    ck_assert_int_eq(train[0]->total_groups, train[1]->total_groups);
    ck_assert_ptr_nonnull(reel_arc_plan_of_dataset(train[0], 0));
    ck_assert_ptr_null(reel_arc_plan_of_dataset(train[0], 1));
    ck_assert_ptr_null(reel_arc_plan_of_dataset(train[1], 0));
    ck_assert_double_eq(train[0]->mean_puzzle_examples, train[1]->mean_puzzle_examples);
    const reel_batch_plan plan = {.batch_size = BATCH, .epochs = 40, .eval_interval = 20, .seed = 1};
    for (int64_t step = 0; step < reel_plan_max_steps(train[0], &plan) / 2; step++) {
        for (int i = 0; i < 2; i++) {
            const reel_batch batch = batch_of(&r[i]);
            ck_assert_int_eq(reel_train_batch(train[i], &plan, step, &batch, NULL), REEL_OK);
        }
        ck_assert_mem_eq(&r[0], &r[1], sizeof r[0]);
    }
    ck_assert_int_eq(reel_test_batches(test[0], BATCH), reel_test_batches(test[1], BATCH));
    for (int64_t b = 0; b < reel_test_batches(test[0], BATCH); b++) {
        for (int i = 0; i < 2; i++) {
            const reel_batch batch = batch_of(&r[i]);
            ck_assert_int_eq(reel_test_batch(test[i], BATCH, b, &batch, NULL, NULL), REEL_OK);
        }
        ck_assert_mem_eq(&r[0], &r[1], sizeof r[0]);
    }
    for (int i = 0; i < 2; i++) {
        reel_arc_vote *vote;
        ck_assert_int_eq(reel_arc_vote_of_dataset(&vote, test[i], NULL), REEL_OK);
        ck_assert_int_eq(reel_arc_vote_tests(vote), 3);
        reel_arc_vote_free(vote);
        reel_dataset_close(test[i]);
        reel_dataset_close(train[i]);
    }
}
END_TEST

/* Beside another training set the identifiers of a data set are shifted, in its test split too. */
START_TEST(test_votes_know_shifted_identifiers) {
    const reel_arc_options options = options_of(made, 25);
    build(&options, in_folder("d"), 1);
    char spec[PATH_BYTES], tasks[PATH_BYTES];
    snprintf(spec, sizeof spec, "%s", in_folder("d"));
    snprintf(tasks, sizeof tasks, "arc:%s", made);
    const reel_dataset_options seeded = {.seed = 42, .num_aug = 3};
    const char *const mixed[] = {tasks, spec};
    reel_dataset *train;
    ck_assert_int_eq(reel_dataset_open(&train, mixed, 2, REEL_SPLIT_TRAIN, &seeded, NULL, NULL), REEL_OK);
    reel_dataset *const test = open_data(spec, REEL_SPLIT_TEST, train);
    reel_arc_vote *vote;
    ck_assert_int_eq(reel_arc_vote_of_dataset(&vote, test, NULL), REEL_OK);
    static rows r;
    for (int64_t i = 0; i < test->total_examples; i++) {
        const reel_batch batch = batch_of(&r);
        ck_assert_int_eq(reel_test_batch(test, 1, i, &batch, NULL, NULL), REEL_OK);
        ck_assert_int_eq(reel_arc_vote_add(vote, r.identifiers[0], r.inputs, r.labels, 0, NULL), REEL_OK);
    }
    ck_assert_int_eq(reel_arc_vote_unanswered(vote), 0);
    const int64_t K = 1;
    double pass;
    ck_assert_int_eq(reel_arc_vote_pass(vote, &K, 1, &pass, NULL), REEL_OK);
    ck_assert_double_eq(pass, 1);
    reel_error error = {0};
    ck_assert_int_eq(reel_arc_vote_add(vote, 1, r.inputs, r.labels, 0, &error), REEL_ERROR_ARGUMENT);
    ck_assert_msg(strstr(error.message, "puzzle identifier 1: they are ") != NULL, "%s", error.message);
    reel_arc_vote_free(vote);
    reel_dataset_close(test);
    reel_dataset_close(train);
}
END_TEST

/* What stands behind "arc:FOLDER/t". */
static const struct {
    const char *rest, *says;
    int has_test;
} specs[] = {
    {"", NULL, 1},
    {":training+evaluation", NULL, 1},
    {":evaluation:evaluation", NULL, 1},
    {":training", "no test examples", 0},
    {":training+evaluation:training", NULL, 1},
    {":training+", "expected 1 to", 0},
    {":training:nothing", "no test examples", 0},
    {":absent", "t_absent_challenges.json", 0},
    {"x", "there is no", 0},
};

START_TEST(test_specs_name_subsets_and_test_set) {
    char text[PATH_BYTES];
    snprintf(text, sizeof text, "arc:%s%s", made, specs[_i].rest);
    const char *const spec = text;
    const reel_dataset_options options = {.num_aug = 1};
    reel_dataset *data = NULL;
    reel_error error = {0};
    const reel_status status = reel_dataset_open(&data, &spec, 1, REEL_SPLIT_TEST, &options, NULL, &error);
    ck_assert_int_eq(reel_dataset_has_test(spec), specs[_i].has_test);
    ck_assert_msg((status == REEL_OK) == (specs[_i].says == NULL), "%s", error.message);
    if (specs[_i].says != NULL)
        ck_assert_msg(strstr(error.message, specs[_i].says) != NULL, "%s", error.message);
    reel_dataset_close(data);
}
END_TEST

/* ---- beside the published builder -------------------------------------------------------------------- */

static const char golden_folder[] = "../shared/golden/arc";

static const group_facts *find_group(const group_facts *groups, int count, const char *id) {
    for (int i = 0; i < count; i++)
        if (strcmp(groups[i].id, id) == 0)
            return &groups[i];
    ck_abort_msg("no group of task %s", id);
}

static void compare_with_published(const char *dir, const char *published, const char *split,
                                   const known_tasks *known) {
    group_facts ours[MAX_TASKS], theirs[MAX_TASKS];
    const int count = check_split(dir, split, known, ours);
    ck_assert_int_eq(check_split(published, split, known, theirs), count);
    for (int i = 0; i < count; i++) {
        const group_facts *other = find_group(theirs, count, ours[i].id);
        ck_assert_int_eq(ours[i].puzzles, other->puzzles);
        ck_assert_int_eq(ours[i].examples, other->examples);
    }
}

START_TEST(test_data_have_the_layout_of_the_published_builder) {
    char source[PATH_BYTES], published[PATH_BYTES];
    known_tasks known;
    snprintf(source, sizeof source, "%s/source/arc", golden_folder);
    snprintf(published, sizeof published, "%s/dataset", golden_folder);
    const reel_arc_options options = options_of(source, 9);
    build(&options, in_folder("d"), 2);
    read_tasks(source, &known);
    compare_with_published(in_folder("d"), published, "train", &known);
    compare_with_published(in_folder("d"), published, "test", &known);
    free_tasks(&known);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("arc_data");
    TCase *t = tcase_create("arc_data");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, test_built_data_map_back_to_their_tasks);
    tcase_add_test(t, test_no_two_variants_give_the_same_puzzle);
    tcase_add_test(t, test_originals_alone_have_no_variants);
    tcase_add_test(t, test_identifiers_begin_where_they_are_told);
    tcase_add_test(t, test_a_task_in_two_subsets_has_one_identifier_and_a_note);
    tcase_add_loop_test(t, test_plans_that_cannot_be_are_refused, 0,
                        sizeof bad_options / sizeof *bad_options);
    tcase_add_test(t, test_grids_are_moved_as_far_as_the_frame_goes);
    tcase_add_test(t, test_files_follow_from_the_seed_and_not_from_the_threads);
    tcase_add_test(t, test_an_interrupted_build_leaves_nothing);
    tcase_add_test(t, test_a_full_disk_leaves_nothing);
    tcase_add_test(t, test_batches_from_tasks_are_those_from_the_folder);
    tcase_add_test(t, test_votes_know_shifted_identifiers);
    tcase_add_loop_test(t, test_specs_name_subsets_and_test_set, 0, sizeof specs / sizeof *specs);
    if (exists(golden_folder))
        tcase_add_test(t, test_data_have_the_layout_of_the_published_builder);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
