/* The votes on ARC: the published scores and submission on recorded answers, and each rule on its own. */
#include "arc_format.h"
#include "eval_arc.h"
#include "scratch_folder.h"

#include <reel/arc.h>
#include <reel/npy.h>

#include <check.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Identifiers: 1 and 2 are variants of task a, 3 of task b, 4 of a task that is no test. In 2, the grid is
 * turned left by 90 degrees and colours 1 and 2 change places. Task b asks the same question twice. */
static void make_folder(void) {
    make_scratch_folder();
    write_text("identifiers.json", "[\"<blank>\", \"a\", \"a|||t1|||0213456789\", \"b\", \"z\"]");
    write_text("test_puzzles.json",
               "{\"a\": {\"train\": [], \"test\": [{\"input\": [[1, 2]], \"output\": [[1, 1]]},"
               "                                   {\"input\": [[3]], \"output\": [[4, 4]]}]},"
               " \"b\": {\"train\": [], \"test\": [{\"input\": [[5]], \"output\": [[6]]},"
               "                                   {\"input\": [[5]], \"output\": [[7]]}]}}");
}

static reel_arc_vote *open_vote(void) {
    reel_arc_vote *vote;
    reel_error error = {0};
    ck_assert_msg(reel_arc_vote_open(&vote, folder, &error) == REEL_OK, "%s", error.message);
    return vote;
}

/* A grid from text: "12/34" has two rows; "" has none. */
static reel_arc_grid grid_of(const char *text) {
    reel_arc_grid grid = {0};
    int cells = 0;
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '/')
            grid.rows++;
        else
            grid.cells[cells++] = (uint8_t)(*c - '0');
    grid.rows += cells > 0;
    grid.columns = cells > 0 ? cells / grid.rows : 0;
    return grid;
}

static void tokens_of(const char *text, int32_t tokens[REEL_ARC_SEQ_LEN]) {
    const reel_arc_grid grid = grid_of(text);
    uint8_t frame[REEL_ARC_SEQ_LEN] = {0};
    if (grid.rows > 0)
        reel_arc_encode(&grid, 0, 0, frame);
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++)
        tokens[i] = frame[i];
}

static reel_status add(reel_arc_vote *vote, int64_t identifier, const char *input, const char *prediction,
                       double q_halt) {
    int32_t inputs[REEL_ARC_SEQ_LEN], predictions[REEL_ARC_SEQ_LEN];
    tokens_of(input, inputs);
    tokens_of(prediction, predictions);
    return reel_arc_vote_add(vote, identifier, inputs, predictions, q_halt, NULL);
}

static void expect_pass(const reel_arc_vote *vote, int64_t K, double expected) {
    double pass;
    ck_assert_int_eq(reel_arc_vote_pass(vote, &K, 1, &pass, NULL), REEL_OK);
    ck_assert_double_eq(pass, expected);
}

static char *read_all(const char *path) {
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    char *text = calloc(1, 1 << 20);
    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, f), 0);
    fclose(f);
    return text;
}

/* Expects the submission to be this JSON. */
static void expect_submission(const reel_arc_vote *vote, int attempts, const char *expected) {
    reel_error error = {0};
    ck_assert_msg(reel_arc_vote_write(vote, in_folder("submission.json"), attempts, &error) == REEL_OK, "%s",
                  error.message);
    char *text = read_all(in_folder("submission.json"));
    cJSON *ours = cJSON_Parse(text), *theirs = cJSON_Parse(expected);
    ck_assert_ptr_nonnull(theirs);
    ck_assert_msg(cJSON_Compare(ours, theirs, 1), "%s", text);
    cJSON_Delete(ours);
    cJSON_Delete(theirs);
    free(text);
}

/* ---- each rule --------------------------------------------------------------------------------------- */

START_TEST(test_votes_of_all_variants_come_together) {
    reel_arc_vote *vote = open_vote();
    ck_assert_int_eq(reel_arc_vote_tests(vote), 4);
    ck_assert_int_eq(reel_arc_vote_unanswered(vote), 4);
    add(vote, 1, "12", "88", 0);    /* wrong, */
    add(vote, 1, "12", "11", -5);   /* right, */
    add(vote, 2, "1/2", "2/2", -5); /* and right again, turned and recoloured */
    add(vote, 1, "3", "44", 0);
    ck_assert_int_eq(reel_arc_vote_unanswered(vote), 2);
    expect_pass(vote, 1, 0.5); /* of task a both tests, of task b none */
    expect_submission(
        vote, 2,
        "{\"a\": [{\"attempt_1\": [[1, 1]], \"attempt_2\": [[8, 8]]},"
        "         {\"attempt_1\": [[4, 4]], \"attempt_2\": [[4, 4]]}],"
        " \"b\": [{\"attempt_1\": [], \"attempt_2\": []}, {\"attempt_1\": [], \"attempt_2\": []}]}");
    reel_arc_vote_free(vote);
}
END_TEST

START_TEST(test_equal_votes_are_ranked_by_mean_q_then_by_appearance) {
    reel_arc_vote *vote = open_vote();
    add(vote, 3, "5", "1", 0.5);
    add(vote, 3, "5", "2", 0.5);
    add(vote, 3, "5", "3", 1);
    add(vote, 3, "5", "3", -1); /* two votes */
    add(vote, 3, "5", "4", 0.6);
    static const char nothing[] =
        "{\"attempt_1\": [], \"attempt_2\": [], \"attempt_3\": [], \"attempt_4\": [],"
        " \"attempt_5\": []}";
    static const char ranked[] =
        "{\"attempt_1\": [[3]], \"attempt_2\": [[4]], \"attempt_3\": [[1]],"
        " \"attempt_4\": [[2]], \"attempt_5\": [[3]]}"; /* filled up with the first */
    char expected[1024];
    snprintf(expected, sizeof expected, "{\"a\": [%s, %s], \"b\": [%s, %s]}", nothing, nothing, ranked,
             ranked);
    expect_submission(vote, 5, expected);
    reel_arc_vote_free(vote);
}
END_TEST

START_TEST(test_pass_at_K_counts_the_share_of_tests_solved) {
    reel_arc_vote *vote = open_vote();
    add(vote, 3, "5", "9", 0);
    add(vote, 3, "5", "9", 0);
    add(vote, 3, "5", "6", 1);
    add(vote, 3, "5", "7", -1);
    expect_pass(vote, 1, 0);
    expect_pass(vote, 2, 0.25); /* one test of two in one task of two */
    expect_pass(vote, 3, 0.5);
    expect_pass(vote, 1000, 0.5);
    reel_arc_vote_free(vote);
}
END_TEST

/* The published crop gives an array of 0 x 0, which takes part like any other answer. */
START_TEST(test_a_prediction_of_nothing_is_an_answer) {
    reel_arc_vote *vote = open_vote();
    add(vote, 3, "5", "", 0);
    add(vote, 3, "5", "", 0);
    add(vote, 3, "5", "6", 9);
    expect_pass(vote, 1, 0);
    expect_pass(vote, 2, 0.25);
    expect_submission(vote, 1,
                      "{\"a\": [{\"attempt_1\": []}, {\"attempt_1\": []}],"
                      " \"b\": [{\"attempt_1\": []}, {\"attempt_1\": []}]}");
    ck_assert_int_eq(add(vote, 2, "", "", 0), REEL_OK); /* nor is a question of nothing a crash */
    reel_arc_vote_free(vote);
}
END_TEST

START_TEST(test_rows_that_are_no_answers_are_skipped_or_refused) {
    reel_arc_vote *vote = open_vote();
    ck_assert_int_eq(add(vote, 0, "5", "6", 0), REEL_OK); /* padding */
    ck_assert_int_eq(add(vote, 4, "5", "6", 0), REEL_OK); /* not a test task */
    ck_assert_int_eq(add(vote, 3, "9", "6", 0), REEL_OK); /* not a test of the task */
    ck_assert_int_eq(reel_arc_vote_unanswered(vote), 4);
    ck_assert_int_eq(add(vote, 5, "5", "6", 0), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(add(vote, -1, "5", "6", 0), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(add(vote, 3, "5", "6", NAN), REEL_ERROR_NOT_FINITE);
    ck_assert_int_eq(add(vote, 3, "5", "6", -INFINITY), REEL_OK);
    expect_pass(vote, 1, 0.25);
    reel_arc_vote_clear(vote);
    ck_assert_int_eq(reel_arc_vote_unanswered(vote), 4);
    expect_pass(vote, 1, 0);
    reel_arc_vote_free(vote);
}
END_TEST

START_TEST(test_identifier_0_is_blank_whatever_its_name) {
    write_text("identifiers.json", "[\"b\", \"a\"]");
    reel_arc_vote *vote = open_vote();
    ck_assert_int_eq(add(vote, 0, "5", "6", 0), REEL_OK);
    ck_assert_int_eq(reel_arc_vote_unanswered(vote), 4);
    reel_arc_vote_free(vote);
}
END_TEST

START_TEST(test_bad_names_and_missing_files_are_refused) {
    reel_arc_vote *vote = NULL;
    reel_error error = {0};
    write_text("identifiers.json", "[\"<blank>\", \"a|||t9|||0123456789\"]");
    ck_assert_int_eq(reel_arc_vote_open(&vote, folder, &error), REEL_ERROR_FORMAT);
    ck_assert_msg(strstr(error.message, "identifier 1 is 'a|||t9") != NULL, "%s", error.message);
    error = (reel_error){0};
    unlink(in_folder("test_puzzles.json"));
    ck_assert_int_eq(reel_arc_vote_open(&vote, folder, &error), REEL_ERROR_IO);
    ck_assert_msg(strstr(error.message, "test_puzzles.json") != NULL, "%s", error.message);
    ck_assert_ptr_null(vote);
}
END_TEST

/* ---- saved votes ------------------------------------------------------------------------------------- */

static reel_arc_vote *some_votes(void) {
    reel_arc_vote *vote = open_vote();
    add(vote, 3, "5", "", 0);
    add(vote, 3, "5", "123/456/789", 1);
    add(vote, 1, "12", "12", 2);
    add(vote, 1, "12", "11", 3);
    add(vote, 2, "1/2", "2/2", -3);
    return vote;
}

static void expect_same(const reel_arc_vote *a, const reel_arc_vote *b) {
    reel_arc_vote_write(a, in_folder("a.json"), 4, NULL);
    reel_arc_vote_write(b, in_folder("b.json"), 4, NULL);
    char *one = read_all(in_folder("a.json")), *other = read_all(in_folder("b.json"));
    ck_assert_str_eq(one, other);
    free(one);
    free(other);
}

START_TEST(test_saved_votes_go_on_where_they_were) {
    reel_arc_vote *vote = some_votes(), *loaded = open_vote();
    uint8_t *bytes, *again;
    size_t size, again_size;
    reel_error error = {0};
    add(loaded, 1, "3", "9", 0); /* is replaced */
    ck_assert_int_eq(reel_arc_vote_save(vote, &bytes, &size, NULL), REEL_OK);
    ck_assert_msg(reel_arc_vote_load(loaded, bytes, size, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(reel_arc_vote_unanswered(loaded), reel_arc_vote_unanswered(vote));
    expect_same(vote, loaded);
    ck_assert_int_eq(reel_arc_vote_save(loaded, &again, &again_size, NULL), REEL_OK);
    ck_assert_uint_eq(size, again_size);
    ck_assert_mem_eq(bytes, again, size);
    add(vote, 3, "5", "123/456/789", 1);
    add(loaded, 3, "5", "123/456/789", 1);
    expect_same(vote, loaded);
    free(bytes);
    free(again);
    reel_arc_vote_free(vote);
    reel_arc_vote_free(loaded);
}
END_TEST

START_TEST(test_damaged_votes_are_refused_and_nothing_is_lost) {
    reel_arc_vote *vote = some_votes(), *other = some_votes();
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(reel_arc_vote_save(vote, &bytes, &size, NULL), REEL_OK);
    for (size_t cut = 0; cut < size; cut++) {
        reel_error error = {0};
        ck_assert_int_eq(reel_arc_vote_load(other, bytes, cut, &error), REEL_ERROR_FORMAT);
        ck_assert_msg(strstr(error.message, "saved votes") != NULL, "%s", error.message);
    }
    expect_same(vote, other);
    /* Any other byte is refused, or is another answer of the same kind. */
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            reel_arc_vote *fresh = open_vote();
            bytes[i] ^= (uint8_t)(1 << bit);
            if (reel_arc_vote_load(fresh, bytes, size, NULL) == REEL_OK)
                ck_assert_int_eq(reel_arc_vote_write(fresh, in_folder("c.json"), 3, NULL), REEL_OK);
            bytes[i] ^= (uint8_t)(1 << bit);
            reel_arc_vote_free(fresh);
        }
    write_text("test_puzzles.json",
               "{\"a\": {\"train\": [], \"test\": [{\"input\": [[1]], \"output\": [[1]]}]}}");
    reel_arc_vote *stranger = open_vote();
    reel_error error = {0};
    ck_assert_int_eq(reel_arc_vote_load(stranger, bytes, size, &error), REEL_ERROR_FORMAT);
    ck_assert_msg(strstr(error.message, "other tests") != NULL, "%s", error.message);
    free(bytes);
    reel_arc_vote_free(stranger);
    reel_arc_vote_free(vote);
    reel_arc_vote_free(other);
}
END_TEST

/* An answer that is saved twice would be ranked twice. */
START_TEST(test_an_answer_saved_twice_is_refused) {
    enum { HEADER_BYTES = 24, ANSWERS_AT = 16 };
    reel_arc_vote *vote = open_vote();
    uint8_t *bytes, twice[256];
    size_t size;
    reel_error error = {0};
    add(vote, 3, "5", "6", 0);
    ck_assert_int_eq(reel_arc_vote_save(vote, &bytes, &size, NULL), REEL_OK);
    memcpy(twice, bytes, size);
    memcpy(twice + size, bytes + HEADER_BYTES, size - HEADER_BYTES);
    twice[ANSWERS_AT] = 2;
    ck_assert_int_eq(reel_arc_vote_load(vote, twice, 2 * size - HEADER_BYTES, &error), REEL_ERROR_FORMAT);
    ck_assert_msg(strstr(error.message, "answer 2 of 2") != NULL, "%s", error.message);
    free(bytes);
    reel_arc_vote_free(vote);
}
END_TEST

/* ---- a plan instead of files ------------------------------------------------------------------------- */

START_TEST(test_votes_of_a_plan_are_those_of_its_data_set) {
    write_text("t_evaluation_challenges.json",
               "{\"a\": {\"train\": [{\"input\": [[1, 2]], \"output\": [[2, 1]]}],"
               "         \"test\": [{\"input\": [[3, 4, 0]], \"output\": [[4, 3, 0]]}]},"
               " \"b\": {\"train\": [{\"input\": [[5]], \"output\": [[6]]}],"
               "         \"test\": [{\"input\": [[6]], \"output\": [[7]]},"
               "                    {\"input\": [[7], [7]], \"output\": [[8], [8]]}]}}");
    char prefix[PATH_BYTES];
    snprintf(prefix, sizeof prefix, "%s/t", folder);
    const reel_arc_options options = {.prefix = prefix,
                                      .subsets = (const char *const[]){"evaluation"},
                                      .subset_count = 1,
                                      .test_set_name = "evaluation",
                                      .num_aug = 20,
                                      .identifiers_start = 1};
    reel_arc_plan *plan;
    reel_arc_vote *of_plan, *of_files;
    reel_error error = {0};
    ck_assert_msg(reel_arc_plan_new(&plan, &options, &error) == REEL_OK, "%s", error.message);
    ck_assert_msg(reel_arc_build(plan, in_folder("d"), 1, NULL, NULL, &error) == REEL_OK, "%s",
                  error.message);
    ck_assert_msg(reel_arc_vote_of_plan(&of_plan, plan, &error) == REEL_OK, "%s", error.message);
    ck_assert_msg(reel_arc_vote_open(&of_files, in_folder("d"), &error) == REEL_OK, "%s", error.message);
    const reel_arc_layout tests = reel_arc_plan_layout(plan, REEL_ARC_TEST);
    for (int64_t p = 0; p < tests.puzzle_count; p++) {
        const reel_arc_puzzle puzzle = reel_arc_plan_puzzle(plan, REEL_ARC_TEST, p);
        for (int32_t e = 0; e < puzzle.example_count; e++) {
            uint8_t inputs[REEL_ARC_SEQ_LEN], labels[REEL_ARC_SEQ_LEN];
            int32_t asked[REEL_ARC_SEQ_LEN], answered[REEL_ARC_SEQ_LEN];
            reel_arc_write_example(plan, REEL_ARC_TEST, p, e, inputs, labels);
            for (int i = 0; i < REEL_ARC_SEQ_LEN; i++) {
                asked[i] = inputs[i];
                answered[i] = labels[i];
            }
            reel_arc_vote_add(of_plan, puzzle.identifier, asked, answered, 0, NULL);
            reel_arc_vote_add(of_files, puzzle.identifier, asked, answered, 0, NULL);
        }
    }
    expect_pass(of_plan, 1, 1); /* the labels themselves, under every variant */
    expect_pass(of_files, 1, 1);
    expect_same(of_plan, of_files);
    reel_arc_vote_free(of_plan);
    reel_arc_vote_free(of_files);
    reel_arc_plan_free(plan);
}
END_TEST

/* ---- beside the published evaluator ------------------------------------------------------------------ */

static const char golden_folder[] = "../shared/golden/arc";

static const char *golden(const char *name) {
    static char paths[16][PATH_BYTES];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, PATH_BYTES, "%s/%s", golden_folder, name);
    return path;
}

static cJSON *read_json(const char *path) {
    char *text = read_all(path);
    cJSON *json = cJSON_Parse(text);
    ck_assert_ptr_nonnull(json);
    free(text);
    return json;
}

static void expect_published(const eval_arc_files *files) {
    static const int64_t K[] = {1, 2, 5, 10, 100, 1000};
    enum { KS = sizeof K / sizeof *K };
    reel_arc_vote *vote;
    reel_error error = {0};
    double pass[KS];
    ck_assert_msg(eval_arc_from_files(files, &vote, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(reel_arc_vote_pass(vote, K, KS, pass, NULL), REEL_OK);
    cJSON *expected = read_json(golden("expected/pass_at_k.json"));
    for (int i = 0; i < KS; i++) {
        char name[32];
        snprintf(name, sizeof name, "ARC/pass@%lld", (long long)K[i]);
        ck_assert_double_eq(pass[i], cJSON_GetObjectItem(expected, name)->valuedouble);
    }
    char *submission = read_all(golden("expected/submission.json"));
    expect_submission(vote, 2, submission);
    free(submission);
    cJSON_Delete(expected);
    reel_arc_vote_free(vote);
}

START_TEST(test_recorded_answers_score_as_published) {
    eval_arc_files files = {golden("dataset"), golden("predictions.npy"), golden("q_halt_logits.npy"),
                            golden("example_identifiers.npy")};
    expect_published(&files);
    files.identifiers = NULL;
    files.dataset = golden("dataset/test");
    expect_published(&files);
}
END_TEST

/* Writes some rows of a recorded file; row -1 is padding. */
static const char *copy_rows(const char *from, const char *to, const int64_t *rows, int64_t count) {
    reel_npy *file;
    reel_npy_writer *writer;
    static const uint8_t zero[REEL_ARC_SEQ_LEN * 8];
    ck_assert_int_eq(reel_npy_open(&file, golden(from), NULL), REEL_OK);
    int64_t shape[2] = {count, file->shape[1]};
    const int64_t elements = file->count / file->shape[0];
    const size_t bytes = (size_t)elements * reel_npy_type_bytes(file->type);
    const char *path = in_folder(to);
    ck_assert_int_eq(reel_npy_create(&writer, path, file->type, file->rank, shape, NULL), REEL_OK);
    for (int64_t i = 0; i < count; i++)
        reel_npy_append(writer, rows[i] < 0 ? zero : (const uint8_t *)file->data + (size_t)rows[i] * bytes,
                        elements);
    ck_assert_int_eq(reel_npy_commit(writer, NULL), REEL_OK);
    reel_npy_close(file);
    return path;
}

enum { RECORDED = 60 };

static eval_arc_files copy_golden(const int64_t *rows, int64_t count) {
    return (eval_arc_files){golden("dataset"), copy_rows("predictions.npy", "p.npy", rows, count),
                            copy_rows("q_halt_logits.npy", "q.npy", rows, count),
                            copy_rows("example_identifiers.npy", "i.npy", rows, count)};
}

START_TEST(test_padded_rows_are_skipped) {
    int64_t rows[RECORDED + 5], count = 0;
    for (int64_t i = 0; i < RECORDED; i++) {
        if (i % 20 == 19)
            rows[count++] = -1;
        rows[count++] = i;
    }
    rows[count++] = -1;
    const eval_arc_files files = copy_golden(rows, count);
    expect_published(&files);
}
END_TEST

static void write_nans(const char *path, int64_t count) {
    reel_npy_writer *writer;
    ck_assert_int_eq(reel_npy_create(&writer, path, REEL_NPY_F32, 1, &count, NULL), REEL_OK);
    for (int64_t i = 0; i < count; i++)
        reel_npy_append(writer, &(float){NAN}, 1);
    ck_assert_int_eq(reel_npy_commit(writer, NULL), REEL_OK);
}

static void expect_refused(const eval_arc_files *files, const char *says) {
    reel_arc_vote *vote = NULL;
    reel_error error = {0};
    ck_assert_int_ne(eval_arc_from_files(files, &vote, &error), REEL_OK);
    ck_assert_ptr_null(vote);
    ck_assert_msg(strstr(error.message, says) != NULL, "%s", error.message);
}

START_TEST(test_answers_that_do_not_fit_the_data_are_refused) {
    int64_t rows[RECORDED + 1];
    for (int64_t i = 0; i <= RECORDED; i++)
        rows[i] = i < RECORDED ? i : 0;
    eval_arc_files files = copy_golden(rows, RECORDED + 1);
    expect_refused(&files, "61 rows for the 60 examples");
    files = copy_golden(rows, RECORDED - 1);
    expect_refused(&files, "no row answers example 59");
    files.identifiers = golden("example_identifiers.npy");
    expect_refused(&files, "60 elements");
    rows[0] = 59;
    rows[59] = 0;
    files = copy_golden(rows, RECORDED);
    expect_refused(&files, "row 0 has identifier");
    files.identifiers = NULL;
    files.q_halt = in_folder("nan.npy");
    write_nans(files.q_halt, RECORDED);
    expect_refused(&files, "nan.npy: row 0 is not a number");
    files.predictions = files.q_halt;
    expect_refused(&files, "rows of 900 integers");
    files.dataset = folder;
    unlink(in_folder("test_puzzles.json"));
    expect_refused(&files, "test_puzzles.json: cannot open");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("arc_vote");
    TCase *t = tcase_create("arc_vote");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, test_votes_of_all_variants_come_together);
    tcase_add_test(t, test_equal_votes_are_ranked_by_mean_q_then_by_appearance);
    tcase_add_test(t, test_pass_at_K_counts_the_share_of_tests_solved);
    tcase_add_test(t, test_a_prediction_of_nothing_is_an_answer);
    tcase_add_test(t, test_rows_that_are_no_answers_are_skipped_or_refused);
    tcase_add_test(t, test_identifier_0_is_blank_whatever_its_name);
    tcase_add_test(t, test_bad_names_and_missing_files_are_refused);
    tcase_add_test(t, test_saved_votes_go_on_where_they_were);
    tcase_add_test(t, test_damaged_votes_are_refused_and_nothing_is_lost);
    tcase_add_test(t, test_an_answer_saved_twice_is_refused);
    tcase_add_test(t, test_votes_of_a_plan_are_those_of_its_data_set);
    if (access(golden_folder, F_OK) == 0) {
        tcase_add_test(t, test_recorded_answers_score_as_published);
        tcase_add_test(t, test_padded_rows_are_skipped);
        tcase_add_test(t, test_answers_that_do_not_fit_the_data_are_refused);
    }
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
