/* Data sets in the published layout: written, read back, read as numpy writes them, and refused with one line
 * where files are damaged or do not fit together. */
#include <reel/atomic_file.h>
#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEQ_LEN = 4, PATH_BYTES = 512 };

static char root[] = "/tmp/reel_test_folder_XXXXXX";
static char split[PATH_BYTES]; /* root/train */

static const reel_folder_metadata metadata = {
    .pad_id = 0,
    .ignore_label_id = 0,
    .blank_identifier_id = 0,
    .vocab_size = 12,
    .num_puzzle_identifiers = 5,
};

/* Two groups: puzzles of 2 and 1 examples, and one puzzle of 3; all tokens of example e are e + 1. */
static void write_folder(void) {
    static const int examples[3] = {2, 1, 3};
    reel_folder_writer *w;
    reel_error error = {0};
    ck_assert_msg(reel_folder_create(&w, split, "all", SEQ_LEN, &error) == REEL_OK, "%s", error.message);
    for (int puzzle = 0, example = 0; puzzle < 3; puzzle++) {
        for (int i = 0; i < examples[puzzle]; i++, example++) {
            uint8_t tokens[SEQ_LEN], labels[SEQ_LEN];
            memset(tokens, example + 1, SEQ_LEN);
            memset(labels, example, SEQ_LEN);
            reel_folder_add_examples(w, 1, tokens, labels);
        }
        reel_folder_end_puzzle(w, puzzle + 2);
        if (puzzle > 0)
            reel_folder_end_group(w);
    }
    ck_assert_int_eq(reel_folder_groups(w), 2);
    ck_assert_int_eq(reel_folder_puzzles(w), 3);
    ck_assert_int_eq(reel_folder_examples(w), 6);
    ck_assert_msg(reel_folder_commit(w, &metadata, &error) == REEL_OK, "%s", error.message);
}

static const char *path_of(const char *name) {
    static char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", split, name);
    return path;
}

static void write_text(const char *name, const char *text) {
    ck_assert_int_eq(reel_atomic_save(path_of(name), text, strlen(text), NULL), REEL_OK);
}

static void write_array(const char *name, reel_npy_type type, int rank, const int64_t *shape,
                        const void *elements, int64_t count) {
    reel_npy_writer *w;
    ck_assert_int_eq(reel_npy_create(&w, path_of(name), type, rank, shape, NULL), REEL_OK);
    reel_npy_append(w, elements, count);
    ck_assert_int_eq(reel_npy_commit(w, NULL), REEL_OK);
}

static reel_folder *open_good(const char *path) {
    reel_folder *folder;
    reel_error error = {0};
    ck_assert_msg(reel_folder_open(&folder, path, &error) == REEL_OK, "%s", error.message);
    return folder;
}

/* The folder is refused with one line that names the file `name` and says `why`; then it is made good. */
static void expect_refusal(const char *name, const char *why) {
    reel_folder *folder;
    reel_error error = {0};
    ck_assert_msg(reel_folder_open(&folder, split, &error) != REEL_OK, "taken, in spite of: %s", why);
    ck_assert_ptr_null(folder);
    ck_assert_msg(strstr(error.message, path_of(name)) == error.message, "'%s' does not name %s",
                  error.message, name);
    ck_assert_msg(strstr(error.message, why) != NULL, "'%s' does not say '%s'", error.message, why);
    ck_assert_ptr_null(strchr(error.message, '\n'));
    write_folder();
    reel_folder_close(open_good(split));
}

/* ---- good folders ------------------------------------------------------------------------------------ */

START_TEST(test_what_is_written_reads_back) {
    write_folder();
    reel_folder *folder = open_good(split);
    const reel_folder_metadata *m = &folder->metadata;
    ck_assert_int_eq(m->pad_id, 0);
    ck_assert_int_eq(m->ignore_label_id, 0);
    ck_assert_int_eq(m->vocab_size, 12);
    ck_assert_int_eq(m->seq_len, SEQ_LEN);
    ck_assert_int_eq(m->num_puzzle_identifiers, 5);
    ck_assert_int_eq(m->total_groups, 2);
    ck_assert_int_eq(m->total_puzzles, 3);
    ck_assert_double_eq(m->mean_puzzle_examples, 2);
    ck_assert_int_eq(folder->set_count, 1);
    const reel_folder_set *set = folder->sets;
    ck_assert_str_eq(set->name, "all");
    ck_assert_int_eq(set->groups, 2);
    ck_assert_int_eq(set->puzzles, 3);
    ck_assert_int_eq(set->examples, 6);
    ck_assert_mem_eq(set->puzzle_indices, ((const int64_t[]){0, 2, 3, 6}), 4 * sizeof(int64_t));
    ck_assert_mem_eq(set->group_indices, ((const int64_t[]){0, 2, 3}), 3 * sizeof(int64_t));
    ck_assert_mem_eq(set->puzzle_identifiers, ((const int64_t[]){2, 3, 4}), 3 * sizeof(int64_t));
    for (int64_t i = 0; i < 6 * SEQ_LEN; i++) {
        ck_assert_int_eq(reel_npy_integer(set->inputs, i), i / SEQ_LEN + 1);
        ck_assert_int_eq(reel_npy_integer(set->labels, i), i / SEQ_LEN);
    }
    reel_folder_close(folder);
    reel_folder_close(NULL);
}
END_TEST

START_TEST(test_dataset_json_is_pythons_byte_for_byte) {
    write_folder();
    char text[1024] = {0};
    FILE *stream = fopen(path_of("dataset.json"), "r");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, stream), 0);
    fclose(stream);
    ck_assert_str_eq(text, "{\"pad_id\": 0, \"ignore_label_id\": 0, \"blank_identifier_id\": 0, "
                           "\"vocab_size\": 12, \"seq_len\": 4, \"num_puzzle_identifiers\": 5, "
                           "\"total_groups\": 2, \"mean_puzzle_examples\": 2.0, \"total_puzzles\": 3, "
                           "\"sets\": [\"all\"]}");
}
END_TEST

START_TEST(test_sudoku_folders_of_the_published_builder_read) {
    /* int64 tokens, total_puzzles counts groups, an ignored label that may be null */
    static const int64_t tokens[2 * SEQ_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};
    write_folder();
    write_array("all__inputs.npy", REEL_NPY_I64, 2, (int64_t[]){2, SEQ_LEN}, tokens, 2 * SEQ_LEN);
    write_array("all__labels.npy", REEL_NPY_I64, 2, (int64_t[]){2, SEQ_LEN}, tokens, 2 * SEQ_LEN);
    write_array("all__puzzle_identifiers.npy", REEL_NPY_I32, 1, (int64_t[]){2}, (int32_t[]){0, 0}, 2);
    write_array("all__puzzle_indices.npy", REEL_NPY_I32, 1, (int64_t[]){3}, (int32_t[]){0, 1, 2}, 3);
    write_array("all__group_indices.npy", REEL_NPY_I32, 1, (int64_t[]){2}, (int32_t[]){0, 2}, 2);
    write_text("dataset.json", "{\"pad_id\": 0, \"ignore_label_id\": null, \"blank_identifier_id\": 0, "
                               "\"vocab_size\": 11, \"seq_len\": 4, \"num_puzzle_identifiers\": 1, "
                               "\"total_groups\": 1, \"mean_puzzle_examples\": 1, \"total_puzzles\": 1, "
                               "\"sets\": [\"all\"]}");
    reel_folder *folder = open_good(split);
    ck_assert_int_eq(folder->metadata.ignore_label_id, REEL_NO_IGNORE_LABEL);
    ck_assert_int_eq(folder->sets[0].puzzles, 2);
    ck_assert_int_eq(reel_npy_integer(folder->sets[0].inputs, 7), 8);
    reel_folder_close(folder);
}
END_TEST

START_TEST(test_identifiers_read_back) {
    static const char *const names[] = {"<blank>", "a\"b\\c\n", "9565186b|||t2|||0614732958", "\xc3\xa9"};
    ck_assert_int_eq(reel_folder_write_identifiers(root, names, 4, NULL), REEL_OK);
    reel_names *read;
    reel_error error = {0};
    ck_assert_msg(reel_folder_read_identifiers(root, &read, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(read->count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(read->items[i], names[i]);
    reel_names_free(read);
    reel_names_free(NULL);

    static const struct {
        const char *text, *why;
    } bad[] = {{"{}", "an object, not an array"},
               {"[\"a\", 1]", "entry 1 is a number"},
               {"[\"a\"", "not JSON"},
               {"[[]]", "nested too deeply"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/identifiers.json", root);
        ck_assert_int_eq(reel_atomic_save(path, bad[i].text, strlen(bad[i].text), NULL), REEL_OK);
        error = (reel_error){0};
        ck_assert_int_eq(reel_folder_read_identifiers(root, &read, &error), REEL_ERROR_FORMAT);
        ck_assert_ptr_null(read);
        ck_assert_msg(strstr(error.message, bad[i].why) != NULL, "%s", error.message);
    }
}
END_TEST

START_TEST(test_the_published_arc_folder_reads) {
    const char *const golden = getenv("REEL_GOLDEN");
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/arc/dataset/train", golden != NULL ? golden : "../shared/golden");
    if (access(path, R_OK) != 0)
        return;
    reel_folder *folder = open_good(path);
    ck_assert_int_eq(folder->metadata.seq_len, 900);
    ck_assert_int_eq(folder->metadata.num_puzzle_identifiers, 91);
    ck_assert_int_eq(folder->sets[0].groups, 9);
    ck_assert_int_eq(folder->sets[0].puzzles, 90);
    ck_assert_int_eq(folder->sets[0].examples, 390);
    reel_folder_close(folder);
    *strrchr(path, '/') = '\0';
    reel_names *names;
    ck_assert_int_eq(reel_folder_read_identifiers(path, &names, NULL), REEL_OK);
    ck_assert_int_eq(names->count, 91);
    ck_assert_str_eq(names->items[0], "<blank>");
    reel_names_free(names);
}
END_TEST

/* ---- writing ----------------------------------------------------------------------------------------- */

START_TEST(test_discarded_folders_leave_what_was_there) {
    write_folder();
    reel_folder_writer *w;
    ck_assert_int_eq(reel_folder_create(&w, split, "all", SEQ_LEN, NULL), REEL_OK);
    reel_folder_add_examples(w, 1, (const uint8_t[SEQ_LEN]){0}, (const uint8_t[SEQ_LEN]){0});
    reel_folder_discard(w);
    reel_folder *folder = open_good(split);
    ck_assert_int_eq(folder->sets[0].examples, 6);
    reel_folder_close(folder);
    reel_folder_discard(NULL);
}
END_TEST

START_TEST(test_writers_that_cannot_write_say_so) {
    reel_folder_writer *w;
    reel_error error = {0};
    ck_assert_int_eq(reel_folder_create(&w, "/proc/nothing/here", "all", SEQ_LEN, &error), REEL_ERROR_IO);
    ck_assert_ptr_null(w);
    ck_assert_ptr_nonnull(strstr(error.message, "/proc/nothing/here"));
    write_folder();
    ck_assert_int_eq(reel_folder_create(&w, split, "all", SEQ_LEN, NULL), REEL_OK);
    reel_folder_end_puzzle(w, INT64_C(1) << 40);
    error = (reel_error){0};
    ck_assert_int_eq(reel_folder_commit(w, &metadata, &error), REEL_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "does not fit into 32 bits"));
    reel_folder *folder = open_good(split); /* still what it was */
    ck_assert_int_eq(folder->sets[0].examples, 6);
    reel_folder_close(folder);
}
END_TEST

/* ---- damaged folders --------------------------------------------------------------------------------- */

/* dataset.json of the folder above, but for one key, whose value is `value`; NULL leaves it out. */
static void write_json_with(const char *key, const char *value) {
    static const char *const pairs[][2] = {
        {"pad_id", "0"},
        {"ignore_label_id", "0"},
        {"blank_identifier_id", "0"},
        {"vocab_size", "12"},
        {"seq_len", "4"},
        {"num_puzzle_identifiers", "5"},
        {"total_groups", "2"},
        {"mean_puzzle_examples", "2"},
        {"total_puzzles", "3"},
        {"sets", "[\"all\"]"},
    };
    char text[1024] = "{\"more\": {\"is\": \"ignored\"}";
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *const here = strcmp(pairs[i][0], key) == 0 ? value : pairs[i][1];
        const size_t used = strlen(text);
        if (here != NULL)
            snprintf(text + used, sizeof text - used, ", \"%s\": %s", pairs[i][0], here);
    }
    strcat(text, "}");
    write_text("dataset.json", text);
}

START_TEST(test_bad_metadata_is_refused) {
    static const struct {
        const char *key, *value, *why;
    } cases[] = {
        {"seq_len", NULL, "'seq_len' is missing"},
        {"seq_len", "\"4\"", "'seq_len' is a string"},
        {"seq_len", "0", "'seq_len' is out of range"},
        {"seq_len", "4.5", "not a whole number"},
        {"seq_len", "1e300", "'seq_len' is out of range"},
        {"vocab_size", "-1", "'vocab_size'"},
        {"pad_id", "12", "pad_id 12"},
        {"blank_identifier_id", "5", "blank_identifier_id 5"},
        {"ignore_label_id", "\"x\"", "'ignore_label_id' is a string"},
        {"mean_puzzle_examples", "0", "'mean_puzzle_examples'"},
        {"mean_puzzle_examples", "null", "'mean_puzzle_examples'"},
        {"total_groups", "3", "total_groups is 3, but the arrays have 2"},
        {"sets", "[]", "'sets'"},
        {"sets", "\"all\"", "'sets'"},
        {"sets", "[\"../all\"]", "no name"},
        {"sets", "[7]", "no name"},
        {"sets", "[\"all\", \"all\"]", "'all' twice"},
    };
    write_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_json_with(cases[i].key, cases[i].value);
        expect_refusal("dataset.json", cases[i].why);
    }
    write_json_with("seq_len", "5");
    expect_refusal("all__inputs.npy", "6 rows of 4; expected 6 rows (as inputs) of 5 (seq_len)");
    write_json_with("sets", "[\"some\"]");
    expect_refusal("some__inputs.npy", "cannot open");
    write_json_with("vocab_size", "6");
    expect_refusal("all__inputs.npy", "example 5 has token 6 at 0; vocab_size is 6");
    write_json_with("num_puzzle_identifiers", "4");
    expect_refusal("all__puzzle_identifiers.npy", "puzzle 2 has identifier 4");
    write_text("dataset.json", "[]");
    expect_refusal("dataset.json", "an array, not an object");
    write_text("dataset.json", "{\"pad_id\": 0,");
    expect_refusal("dataset.json", "not JSON");
    unlink(path_of("dataset.json"));
    expect_refusal("dataset.json", "cannot open");
}
END_TEST

START_TEST(test_bad_indices_are_refused) {
    static const struct {
        const char *name;
        int64_t values[5];
        int count;
        const char *why;
    } cases[] = {
        {"all__puzzle_indices.npy", {1, 2, 3, 6}, 4, "does not begin with 0"},
        {"all__puzzle_indices.npy", {0, 4, 3, 6}, 4, "entry 2 is 3, behind 4"},
        {"all__puzzle_indices.npy", {0, 2, 3, 7}, 4, "ends with 7, but there are 6"},
        {"all__puzzle_indices.npy", {0, 2, 3, 5}, 4, "ends with 5, but there are 6"},
        {"all__puzzle_indices.npy", {0}, 0, "does not begin with 0"},
        {"all__group_indices.npy", {0, 0, 3}, 3, "entry 1 is 0, behind 0"},
        {"all__group_indices.npy", {0, 2, 4}, 3, "ends with 4, but there are 3"},
        {"all__group_indices.npy", {0, INT64_MAX, 3}, 3, "entry 2 is 3, behind 9223372036854775807"},
        {"all__puzzle_identifiers.npy", {2, 3, 4, 4}, 4, "4 puzzles; puzzle_indices has 3"},
        {"all__puzzle_identifiers.npy", {2, 3, 5}, 3, "puzzle 2 has identifier 5"},
        {"all__puzzle_identifiers.npy", {2, 3, -1}, 3, "puzzle 2 has identifier -1"},
    };
    write_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_array(cases[i].name, REEL_NPY_I64, 1, (int64_t[]){-1}, cases[i].values, cases[i].count);
        expect_refusal(cases[i].name, cases[i].why);
    }
}
END_TEST

START_TEST(test_bad_arrays_are_refused) {
    static const uint8_t tokens[7 * SEQ_LEN] = {0};
    static const float floats[6 * SEQ_LEN] = {0};
    static const int64_t large[6 * SEQ_LEN] = {[9] = INT64_C(1) << 40}, negative[6 * SEQ_LEN] = {[9] = -100},
                                   smallest[6 * SEQ_LEN] = {[9] = INT32_MIN};
    write_folder();
    write_array("all__inputs.npy", REEL_NPY_F32, 2, (int64_t[]){6, SEQ_LEN}, floats, 6 * SEQ_LEN);
    expect_refusal("all__inputs.npy", "elements of type float32, expected integers");
    write_array("all__inputs.npy", REEL_NPY_U8, 1, (int64_t[]){6 * SEQ_LEN}, tokens, 6 * SEQ_LEN);
    expect_refusal("all__inputs.npy", "an array of 1 axes, expected 2");
    write_array("all__inputs.npy", REEL_NPY_I64, 2, (int64_t[]){6, SEQ_LEN}, large, 6 * SEQ_LEN);
    expect_refusal("all__inputs.npy", "example 2 has token 1099511627776 at 1");
    write_array("all__labels.npy", REEL_NPY_I64, 2, (int64_t[]){6, SEQ_LEN}, negative, 6 * SEQ_LEN);
    expect_refusal("all__labels.npy", "example 2 has token -100 at 1");
    write_json_with("ignore_label_id", "null");
    write_array("all__labels.npy", REEL_NPY_I64, 2, (int64_t[]){6, SEQ_LEN}, smallest, 6 * SEQ_LEN);
    expect_refusal("all__labels.npy", "example 2 has token -2147483648 at 1");
    write_array("all__labels.npy", REEL_NPY_U8, 2, (int64_t[]){7, SEQ_LEN}, tokens, 7 * SEQ_LEN);
    expect_refusal("all__labels.npy", "7 rows of 4; expected 6 rows");
    write_text("all__labels.npy", "PK");
    expect_refusal("all__labels.npy", "no NumPy file");
    ck_assert_int_eq(truncate(path_of("all__group_indices.npy"), 100), 0);
    expect_refusal("all__group_indices.npy", "cut short");
}
END_TEST

/* Labels that are ignored may lie outside the vocabulary. */
START_TEST(test_ignored_labels_may_be_any_number) {
    static const int32_t labels[6 * SEQ_LEN] = {[9] = -100};
    write_folder();
    write_array("all__labels.npy", REEL_NPY_I32, 2, (int64_t[]){6, SEQ_LEN}, labels, 6 * SEQ_LEN);
    write_json_with("ignore_label_id", "-100");
    reel_folder *folder = open_good(split);
    ck_assert_int_eq(folder->metadata.ignore_label_id, -100);
    reel_folder_close(folder);
}
END_TEST

static Suite *folder_suite(void) {
    Suite *suite = suite_create("puzzle_folder");
    TCase *t = tcase_create("puzzle_folder");
    tcase_add_test(t, test_what_is_written_reads_back);
    tcase_add_test(t, test_dataset_json_is_pythons_byte_for_byte);
    tcase_add_test(t, test_sudoku_folders_of_the_published_builder_read);
    tcase_add_test(t, test_identifiers_read_back);
    tcase_add_test(t, test_the_published_arc_folder_reads);
    tcase_add_test(t, test_discarded_folders_leave_what_was_there);
    tcase_add_test(t, test_writers_that_cannot_write_say_so);
    tcase_add_test(t, test_bad_metadata_is_refused);
    tcase_add_test(t, test_bad_indices_are_refused);
    tcase_add_test(t, test_bad_arrays_are_refused);
    tcase_add_test(t, test_ignored_labels_may_be_any_number);
    suite_add_tcase(suite, t);
    return suite;
}

static void remove_all(void) {
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", root);
}

int main(void) {
    if (mkdtemp(root) == NULL)
        return EXIT_FAILURE;
    snprintf(split, sizeof split, "%s/train", root);
    SRunner *runner = srunner_create(folder_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    remove_all();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
