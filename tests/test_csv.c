/* The CSV splitter, and reading and writing Sudoku tables through it. */
#include "csv.h"

#include <reel/sudoku.h>

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/reel-csv-XXXXXX";
static char path[sizeof folder + 16];

static void make_folder(void) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/t.csv", folder);
}

static void remove_folder(void) {
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* fails if anything else was left in it */
}

static void write_bytes(const char *bytes, size_t count) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, count, f), count);
    ck_assert_int_eq(fclose(f), 0);
}

static void write_text(const char *text) {
    write_bytes(text, strlen(text));
}

/* ---- the splitter ------------------------------------------------------------------------------------ */

static reel__csv *open_csv(void) {
    reel__csv *csv;
    reel_error error = {0};
    ck_assert_msg(reel__csv_open(&csv, path, &error) == REEL_OK, "%s", error.message);
    return csv;
}

/* Expects a next row with these fields. */
static void expect_row(reel__csv *csv, int count, const char *const *fields) {
    int has_row;
    reel_error error = {0};
    ck_assert_msg(reel__csv_next(csv, &has_row, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(has_row, 1);
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(reel__csv_field_at(csv, i).text, fields[i]);
        ck_assert_uint_eq(reel__csv_field_at(csv, i).length, strlen(fields[i]));
    }
}

static void expect_end(reel__csv *csv) {
    int has_row;
    ck_assert_int_eq(reel__csv_next(csv, &has_row, NULL), REEL_OK);
    ck_assert_int_eq(has_row, 0);
}

START_TEST(test_csv_splits_quoted_fields_and_all_line_ends) {
    write_text("\xef\xbb\xbf\"a\",b\r\n1,2\r\n\r\n\n\"x,\"\"y\"\"\nz\",\n,\"\"");
    reel__csv *csv = open_csv();
    ck_assert_int_eq(reel__csv_column(csv, "a"), 0);
    ck_assert_int_eq(reel__csv_column(csv, "b"), 1);
    ck_assert_int_eq(reel__csv_column(csv, "c"), -1);
    expect_row(csv, 2, (const char *[]){"1", "2"});
    expect_row(csv, 2, (const char *[]){"x,\"y\"\nz", ""});
    expect_row(csv, 2, (const char *[]){"", ""});
    expect_end(csv);
    reel__csv_close(csv);
}
END_TEST

/* Texts that do not split, with the line and the reason that the error must name. */
static const struct {
    const char *text, *where, *why;
} bad_tables[] = {
    {"a,b\n1\n", ":2:", "1 field, the header 2"},
    {"a,b\n1,2\n\n1,2,3\n", ":4:", "3 fields, the header 2"},
    {"a,b\n\"1\n2\",3\n4\n", ":4:", "1 field, the header 2"},
    {"a,b\n\"1\"x,2\n", ":2:", "behind its closing quote"},
    {"a,b\n1,\"2\n3,4\n", ":2:", "never closes"},
    {"a,b,a\n", ":1:", "'a' appears twice"},
    {"", "", "the file is empty"},
    {"\n\r\n", "", "the file is empty"},
    {"\xef\xbb", ":1:", "byte order mark"},
};

/* Reads to the end or the first error. */
static reel_status read_all(reel_error *error) {
    reel__csv *csv;
    reel_status status = reel__csv_open(&csv, path, error);
    for (int has_row = 1; status == REEL_OK && has_row;)
        status = reel__csv_next(csv, &has_row, error);
    reel__csv_close(csv);
    return status;
}

static void expect_error(const reel_error *error, const char *where, const char *why) {
    char start[sizeof path + 16];
    snprintf(start, sizeof start, "%s%s", path, where);
    ck_assert_msg(strncmp(error->message, start, strlen(start)) == 0, "'%s' is not about %s", error->message,
                  start);
    ck_assert_msg(strstr(error->message, why) != NULL, "'%s' does not say '%s'", error->message, why);
    ck_assert_ptr_null(strchr(error->message, '\n'));
}

START_TEST(test_csv_refuses_broken_tables_by_line) {
    reel_error error = {0};
    write_text(bad_tables[_i].text);
    ck_assert_int_eq(read_all(&error), REEL_ERROR_FORMAT);
    expect_error(&error, bad_tables[_i].where, bad_tables[_i].why);
}
END_TEST

START_TEST(test_csv_refuses_nul_bytes) {
    reel_error error = {0};
    write_bytes("a\n1\n\0\n", 6);
    ck_assert_int_eq(read_all(&error), REEL_ERROR_FORMAT);
    expect_error(&error, ":3:", "NUL");
}
END_TEST

START_TEST(test_csv_refuses_endless_line) {
    enum { BYTES = 3 << 20 };
    char *bytes = malloc(BYTES);
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'x', BYTES);
    memcpy(bytes, "a\n", 2);
    write_bytes(bytes, BYTES);
    reel_error error = {0};
    ck_assert_int_eq(read_all(&error), REEL_ERROR_FORMAT);
    expect_error(&error, ":2:", "longer than");

    memset(bytes, ',', BYTES);
    write_bytes(bytes, BYTES);
    error = (reel_error){0};
    ck_assert_int_eq(read_all(&error), REEL_ERROR_FORMAT);
    expect_error(&error, ":1:", "more than 64 fields");
    free(bytes);
}
END_TEST

START_TEST(test_csv_passes_a_million_empty_lines) {
    enum { LINES = 1000 * 1000 };
    char *bytes = malloc(LINES);
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, '\n', LINES);
    bytes[0] = 'a';
    bytes[LINES - 1] = ','; /* behind LINES - 2 line ends */
    write_bytes(bytes, LINES);
    reel_error error = {0};
    ck_assert_int_eq(read_all(&error), REEL_ERROR_FORMAT);
    expect_error(&error, ":999999:", "2 fields, the header 1");
    free(bytes);
}
END_TEST

START_TEST(test_csv_reports_missing_file_and_folder) {
    reel_error error = {0};
    ck_assert_int_eq(read_all(&error), REEL_ERROR_IO);
    expect_error(&error, "", "No such file");
    reel__csv *csv;
    error = (reel_error){0};
    ck_assert_int_eq(reel__csv_open(&csv, folder, &error), REEL_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "directory"));
}
END_TEST

/* ---- Sudoku tables ----------------------------------------------------------------------------------- */

START_TEST(test_sudoku_csv_reads_columns_by_name) {
    write_text("\xef\xbb\xbfrating,\"answer\",source,question\r\n7,1234341221434321,x,1234341221434321\r\n"
               "0,1234341221434321,\"a, b\",.23030.200430320\r\n");
    reel_sudoku_set *set;
    reel_error error = {0};
    ck_assert_msg(reel_sudoku_read_csv(path, &set, &error) == REEL_OK, "%s", error.message);
    static const uint8_t question[16] = {0, 2, 3, 0, 3, 0, 0, 2, 0, 0, 4, 3, 0, 3, 2, 0};
    ck_assert_int_eq(set->size, 4);
    ck_assert_int_eq(set->count, 2);
    ck_assert_int_eq(set->ratings[0], 7);
    ck_assert_int_eq(set->ratings[1], 0);
    ck_assert_mem_eq(set->questions + 16, question, sizeof question);
    ck_assert_int_eq(set->answers[16 + 15], 1);
    reel_puzzle_set_free(set);
}
END_TEST

#define HEADER "source,question,answer,rating\n"
#define FULL   "1234341221434321"
#define BLANK  "................"

static const struct {
    const char *text, *where, *why;
} bad_sudokus[] = {
    {HEADER, "", "no puzzle"},
    {"source,question,rating\n", ":1:", "no column 'answer'"},
    {"source,answer,rating\n", ":1:", "no column 'question'"},
    {"quesion,answer\n", ":1:", "no column 'question'"},
    {HEADER "s," BLANK "," FULL "\n", ":2:", "3 fields, the header 4"},
    {HEADER "s,123,1234,0\n", ":2:", "3 characters, expected 16, 36 or 81"},
    {HEADER "s," BLANK ".," FULL ",0\n", ":2:", "17 characters, expected 16, 36 or 81"},
    {HEADER "s," BLANK "," FULL "1,0\n", ":2:", "the answer has 17 characters, expected 16"},
    {HEADER "s," BLANK "," FULL ",0\ns,....................................,x,0\n",
     ":3:", "the question has 36 characters, expected 16"},
    {HEADER "s,5...............," FULL ",0\n",
     ":2:", "the question has '5' at character 1: digits are 1 to 4"},
    {HEADER "s,.\x01..............," FULL ",0\n", ":2:", "the question has byte 1 at character 2"},
    {HEADER "s,.\xff..............," FULL ",0\n", ":2:", "the question has byte 255 at character 2"},
    {HEADER "s," BLANK ",123434122143432x,0\n", ":2:", "the answer has 'x' at character 16"},
    {HEADER "s," BLANK ",123434122143432.,0\n", ":2:", "the answer is blank at row 4, column 4"},
    {HEADER "s,2...............," FULL ",0\n",
     ":2:", "the answer has 1 at row 1, column 1, where the question has 2"},
    {HEADER "s," BLANK ",1224341221434321,0\n", ":2:", "the answer has 2 twice in row 1"},
    {HEADER "s," BLANK ",1234143223414123,0\n", ":2:", "the answer has 1 twice in column 1"},
    {HEADER "s," BLANK ",1234234134124123,0\n", ":2:", "the answer has 2 twice in box 1"},
    {HEADER "s," BLANK "," FULL ",-1\n", ":2:", "the rating"},
    {HEADER "s," BLANK "," FULL ",\n", ":2:", "the rating"},
    {HEADER "s," BLANK "," FULL ",1.5\n", ":2:", "the rating"},
    {HEADER "s," BLANK "," FULL ",99999999999999999999999999\n", ":2:", "the rating"},
};

START_TEST(test_sudoku_csv_refuses_bad_rows_by_line) {
    write_text(bad_sudokus[_i].text);
    reel_sudoku_set *set;
    reel_error error = {0};
    ck_assert_int_eq(reel_sudoku_read_csv(path, &set, &error), REEL_ERROR_FORMAT);
    ck_assert_ptr_null(set);
    expect_error(&error, bad_sudokus[_i].where, bad_sudokus[_i].why);
}
END_TEST

START_TEST(test_sudoku_csv_survives_any_flipped_byte) {
    char text[] =
        HEADER "s,1..............1,1234341221434321,0\n\"s\",1234............,1234341221434321,12\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] ^= (char)(1 << bit);
            write_bytes(text, sizeof text - 1);
            text[i] ^= (char)(1 << bit);
            reel_sudoku_set *set;
            reel_error error = {0};
            if (reel_sudoku_read_csv(path, &set, &error) == REEL_OK)
                ck_assert_int_ge(set->count, 1);
            else
                ck_assert_str_ne(error.message, "");
            reel_puzzle_set_free(set);
        }
    }
}
END_TEST

static reel_sudoku_set *generate(int size, int64_t count) {
    reel_sudoku_set *set;
    reel_error error = {0};
    ck_assert_msg(reel_sudoku_generate(size, count, 1, NULL, &set, &error) == REEL_OK, "%s", error.message);
    return set;
}

START_TEST(test_sudoku_csv_reads_back_what_it_wrote) {
    static const int sizes[] = {4, 6, 9};
    reel_sudoku_set *set = generate(sizes[_i], 20), *read;
    reel_error error = {0};
    ck_assert_msg(reel_sudoku_write_csv(path, set, &error) == REEL_OK, "%s", error.message);
    ck_assert_msg(reel_sudoku_read_csv(path, &read, &error) == REEL_OK, "%s", error.message);
    const size_t cells = (size_t)(set->size * set->size);
    ck_assert_int_eq(read->size, set->size);
    ck_assert_int_eq(read->count, set->count);
    ck_assert_mem_eq(read->questions, set->questions, 20 * cells);
    ck_assert_mem_eq(read->answers, set->answers, 20 * cells);
    ck_assert_mem_eq(read->ratings, set->ratings, 20 * sizeof *set->ratings);
    reel_puzzle_set_free(set);
    reel_puzzle_set_free(read);
}
END_TEST

/* A file size limit stands in for a full disk. */
START_TEST(test_failed_write_leaves_the_old_file_and_nothing_else) {
    write_text("old");
    reel_sudoku_set *set = generate(6, 100);
    struct rlimit before, tight;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 5000;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    reel_error error = {0};
    const reel_status status = reel_sudoku_write_csv(path, set, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    ck_assert_int_eq(status, REEL_ERROR_IO);
    expect_error(&error, "", "cannot write: File too large");
    char content[8] = "";
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(content, sizeof content, f));
    fclose(f);
    ck_assert_str_eq(content, "old");
    reel_puzzle_set_free(set);
}
END_TEST

START_TEST(test_write_into_missing_folder_names_the_path) {
    reel_sudoku_set *set = generate(4, 1);
    reel_error error = {0};
    ck_assert_int_eq(reel_sudoku_write_csv("/nonexistent/t.csv", set, &error), REEL_ERROR_IO);
    ck_assert_str_eq(error.message, "/nonexistent/t.csv: cannot create: No such file or directory");
    reel_puzzle_set_free(set);
}
END_TEST

START_TEST(test_write_onto_a_folder_fails_and_cleans_up) {
    reel_sudoku_set *set = generate(4, 1);
    char inside[sizeof path + 8];
    snprintf(inside, sizeof inside, "%s/sub", folder);
    ck_assert_int_eq(mkdir(inside, 0777), 0);
    reel_error error = {0};
    ck_assert_int_eq(reel_sudoku_write_csv(inside, set, &error), REEL_ERROR_IO);
    ck_assert_int_eq(rmdir(inside), 0);
    reel_puzzle_set_free(set);
}
END_TEST

static Suite *csv_suite(void) {
    Suite *suite = suite_create("csv");
    TCase *t = tcase_create("csv");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, test_csv_splits_quoted_fields_and_all_line_ends);
    tcase_add_loop_test(t, test_csv_refuses_broken_tables_by_line, 0, sizeof bad_tables / sizeof *bad_tables);
    tcase_add_test(t, test_csv_refuses_nul_bytes);
    tcase_add_test(t, test_csv_refuses_endless_line);
    tcase_add_test(t, test_csv_passes_a_million_empty_lines);
    tcase_add_test(t, test_csv_reports_missing_file_and_folder);
    tcase_add_test(t, test_sudoku_csv_reads_columns_by_name);
    tcase_add_loop_test(t, test_sudoku_csv_refuses_bad_rows_by_line, 0,
                        sizeof bad_sudokus / sizeof *bad_sudokus);
    tcase_add_test(t, test_sudoku_csv_survives_any_flipped_byte);
    tcase_add_loop_test(t, test_sudoku_csv_reads_back_what_it_wrote, 0, 3);
    tcase_add_test(t, test_failed_write_leaves_the_old_file_and_nothing_else);
    tcase_add_test(t, test_write_into_missing_folder_names_the_path);
    tcase_add_test(t, test_write_onto_a_folder_fails_and_cleans_up);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(csv_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
