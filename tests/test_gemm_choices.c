/* Choices of GEMM algorithms: as text and in a context. */
#include "gemm_table.h"

#include <reel/ops.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel__gemm_choice choice_of(int64_t m) {
    const reel__gemm_shape shape = {.m = m,
                                    .n = 512,
                                    .k = 97,
                                    .batches = 768,
                                    .a_row = 97,
                                    .a_column = 1,
                                    .b_row = 1,
                                    .b_column = INT64_MAX,
                                    .c_row = 512,
                                    .c_batch = 512 * m,
                                    .dtype = REEL_BF16,
                                    .c_dtype = REEL_F32,
                                    .accumulate = 1};
    return (reel__gemm_choice){
        .of = reel__gemm_question_of(&shape, (void *)48, (void *)2, (void *)4096),
        .workspace_bytes = REEL__GEMM_WORKSPACE_BYTES,
        .algorithm = {11, UINT64_MAX, 0, (uint64_t)m, 0, 0xabcdef, 0, 1},
    };
}

static reel__gemm_choices new_table(void) {
    return (reel__gemm_choices){.chosen_by = "cuBLASLt 130100", .gpu = "NVIDIA H200"};
}

enum { COUNT = 5 };

static char *text_of_five(void) {
    reel__gemm_choices table = new_table();
    for (int i = 0; i < COUNT; i++) {
        const reel__gemm_choice choice = choice_of(1 + i);
        ck_assert(reel__gemm_choices_add(&table, &choice));
    }
    char *const text = reel__gemm_choices_write(&table);
    ck_assert_ptr_nonnull(text);
    free(table.items);
    return text;
}

static reel_status parse(reel__gemm_choices *table, const char *text, reel_error *error) {
    const size_t bytes = strlen(text);
    char *const exact = malloc(bytes + 1); /* the sanitizer sees a step past the end */
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, text, bytes);
    char *const ends = realloc(exact, bytes > 0 ? bytes : 1);
    *error = (reel_error){0};
    *table = new_table();
    const reel_status status = reel__gemm_choices_parse(table, "c.txt", ends, bytes, error);
    free(ends);
    return status;
}

/* ---- text ---------------------------------------------------------------------------------------------- */

START_TEST(test_choices_come_back_from_text) {
    char *const text = text_of_five();
    reel__gemm_choices table;
    reel_error error;
    ck_assert_msg(parse(&table, text, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(table.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const reel__gemm_choice choice = choice_of(1 + i);
        const reel__gemm_choice *const found = reel__gemm_choices_find(&table, &choice.of);
        ck_assert_ptr_nonnull(found);
        ck_assert_mem_eq(found, &choice, sizeof choice);
    }
    const reel__gemm_choice other = choice_of(COUNT + 1);
    ck_assert_ptr_null(reel__gemm_choices_find(&table, &other.of));
    char *const again = reel__gemm_choices_write(&table);
    ck_assert_str_eq(again, text);
    free(again);
    free(text);
    free(table.items);
}
END_TEST

START_TEST(test_table_without_choices_comes_back) {
    reel__gemm_choices table = new_table();
    char *const text = reel__gemm_choices_write(&table);
    reel_error error;
    ck_assert_msg(parse(&table, text, &error) == REEL_OK, "%s", error.message);
    ck_assert_int_eq(table.count, 0);
    free(text);
}
END_TEST

/* Replaces the first `from` of the text. */
static char *replaced(const char *text, const char *from, const char *to) {
    const char *const at = strstr(text, from);
    ck_assert_msg(at != NULL, "no '%s' in %s", from, text);
    char *const out = malloc(strlen(text) + strlen(to) + 1);
    ck_assert_ptr_nonnull(out);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

START_TEST(test_text_is_refused_by_line) {
    static const struct {
        const char *from, *to;
        reel_status status;
        const char *message;
    } cases[] = {
        {"choices 1\n", "choices 2\n", REEL_ERROR_FORMAT, "c.txt:1: expected reel gemm choices 1"},
        {"library ", "librarian ", REEL_ERROR_FORMAT, "c.txt:2: expected library "},
        {"cuBLASLt 130100", "cuBLASLt 120803", REEL_ERROR_STATE,
         "c.txt:2: its choices are for cuBLASLt 120803, and this is cuBLASLt 130100; remove the file to "
         "choose anew, with other last bits"},
        {"gpu ", "", REEL_ERROR_FORMAT, "c.txt:3: expected gpu "},
        {"NVIDIA H200", "NVIDIA H100", REEL_ERROR_STATE,
         "c.txt:3: its choices are for NVIDIA H100, and this is NVIDIA H200; remove the file to choose "
         "anew, with other last bits"},
        {"H200", "H2\n00", REEL_ERROR_STATE, "c.txt:3: its choices are for NVIDIA H2,"},
        {"H200", "H2\t0", REEL_ERROR_FORMAT, "c.txt:3: expected gpu "},
        {"choices 5", "choices x", REEL_ERROR_FORMAT, "c.txt:4: expected choices and how many"},
        {"choices 5", "choices 05", REEL_ERROR_FORMAT, "c.txt:4: expected choices and how many"},
        {"choices 5", "choices -1", REEL_ERROR_FORMAT, "c.txt:4: expected choices and how many"},
        {"choices 5", "choices 4097", REEL_ERROR_FORMAT, "c.txt:4: expected choices and how many"},
        {"choices 5", "choices 4", REEL_ERROR_FORMAT, "c.txt:10: expected the end"},
        {"choices 5", "choices 6", REEL_ERROR_FORMAT, "c.txt:11: expected a choice"},
        {"m n k", "n m k", REEL_ERROR_FORMAT, "c.txt:5: expected m n k batches"},
        {"\n3 512 ", "\n3  512 ", REEL_ERROR_FORMAT, "c.txt:8: expected a choice"},
        {"\n3 512 ", "\n3 +512 ", REEL_ERROR_FORMAT, "c.txt:8: expected a choice"},
        {"\n3 512 ", "\n3 -512 ", REEL_ERROR_FORMAT, "c.txt:8: expected a choice"},
        {"\n3 512 ", "\n3 ", REEL_ERROR_FORMAT, "c.txt:8: expected a choice"},
        {"\n3 512 ", "\n3 512 512 ", REEL_ERROR_FORMAT, "c.txt:8: expected a choice"},
        {"9223372036854775807", "9223372036854775808", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"bf16", "f16", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"bf16", "bf16x", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"33554432", "33554433", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"33554432", "-1", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"abcdef", "ABCDEF", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"0000000000abcdef", "abcdef", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"0000000000abcdef", "10000000000abcdef", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"0000000000abcdef ", "", REEL_ERROR_FORMAT, "c.txt:6: expected a choice"},
        {"0000000000abcdef", "0000000000abcdef 0000000000000000", REEL_ERROR_FORMAT, "c.txt:6: expected a"},
    };
    char *const text = text_of_five();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *const wrong = replaced(text, cases[i].from, cases[i].to);
        reel__gemm_choices table;
        reel_error error;
        ck_assert_msg(parse(&table, wrong, &error) == cases[i].status, "%s: %s", cases[i].to, error.message);
        ck_assert_msg(strncmp(error.message, cases[i].message, strlen(cases[i].message)) == 0, "%s: %s",
                      cases[i].to, error.message);
        ck_assert_int_eq(table.count, 0);
        free(table.items);
        free(wrong);
    }
    free(text);
}
END_TEST

START_TEST(test_second_choice_for_a_product_is_refused) {
    reel__gemm_choices table = new_table();
    for (int64_t m = 1; m <= 3; m++) {
        const reel__gemm_choice choice = choice_of(m == 3 ? 1 : m);
        ck_assert(reel__gemm_choices_add(&table, &choice));
    }
    char *const text = reel__gemm_choices_write(&table);
    free(table.items);
    reel_error error;
    ck_assert_int_eq(parse(&table, text, &error), REEL_ERROR_FORMAT);
    ck_assert_str_eq(error.message, "c.txt:8: expected one choice for a product, and this is a second one");
    free(table.items);
    free(text);
}
END_TEST

START_TEST(test_text_that_is_cut_is_refused) {
    char *const text = text_of_five();
    for (size_t bytes = strlen(text); bytes-- > 0;) {
        reel__gemm_choices table;
        reel_error error;
        text[bytes] = '\0';
        ck_assert_int_eq(parse(&table, text, &error), REEL_ERROR_FORMAT);
        free(table.items);
    }
    free(text);
}
END_TEST

START_TEST(test_full_table_keeps_what_it_has) {
    reel__gemm_choices table = new_table();
    for (int i = 0; i <= REEL__GEMM_MOST_CHOICES; i++) {
        const reel__gemm_choice choice = choice_of(1 + i);
        ck_assert(reel__gemm_choices_add(&table, &choice));
    }
    ck_assert_int_eq(table.count, REEL__GEMM_MOST_CHOICES);
    ck_assert_int_eq(table.items[REEL__GEMM_MOST_CHOICES - 1].of.shape.m, REEL__GEMM_MOST_CHOICES);
    free(table.items);
}
END_TEST

START_TEST(test_alignment_is_that_of_storage_at_most) {
    const reel__gemm_shape shape = {.m = 1};
    const reel__gemm_question of = reel__gemm_question_of(&shape, (void *)48, (void *)2, (void *)4096);
    ck_assert_int_eq(of.a_alignment, 16);
    ck_assert_int_eq(of.b_alignment, 2);
    ck_assert_int_eq(of.c_alignment, 64);
}
END_TEST

/* ---- in a context -------------------------------------------------------------------------------------- */

START_TEST(test_cpu_has_no_choices) {
    reel_context *ctx;
    reel_error error = {0};
    ck_assert_int_eq(reel_context_new(&ctx, NULL, &error), REEL_OK);
    ck_assert_int_eq(reel_gemm_choices_read(ctx, "c.txt", "", 0, &error), REEL_ERROR_ARGUMENT);
    ck_assert_str_eq(error.message, "the CPU has no choices of algorithms");
    ck_assert_int_eq(reel_gemm_choices_measure(ctx, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_gemm_choices_count(ctx), 0);
    ck_assert_ptr_null(reel_gemm_choices_text(ctx));
    reel_context_free(ctx);
}
END_TEST

/* A context of a GPU, or NULL where there is none. */
static reel_context *gpu_context(void) {
    const reel_context_options options = {.device = REEL_CUDA, .threads = 1};
    reel_context *ctx = NULL;
    const reel_status status = reel_context_new(&ctx, &options, NULL);
    ck_assert(status == REEL_OK || status == REEL_ERROR_DEVICE);
    return ctx;
}

/* c = a b with a of `rows` rows; the context's status. */
static reel_status multiply(reel_context *ctx, int64_t rows) {
    reel_tensor *const a = reel_tensor_new(ctx, REEL_F32, 2, (const int64_t[]){rows, 8});
    reel_tensor *const b = reel_tensor_new(ctx, REEL_F32, 2, (const int64_t[]){8, 4});
    reel_matmul(ctx, a, b);
    const reel_status status = reel_context_status(ctx);
    reel_tensor_free(ctx, a);
    reel_tensor_free(ctx, b);
    return status;
}

START_TEST(test_gpu_keeps_what_it_chose) {
    reel_context *const first = gpu_context();
    if (!first)
        return;
    ck_assert_int_eq(multiply(first, 3), REEL_OK);
    ck_assert_int_eq(multiply(first, 5), REEL_OK);
    ck_assert_int_eq(multiply(first, 3), REEL_OK); /* no new question */
    ck_assert_int_eq(reel_gemm_choices_count(first), 2);
    char *const text = reel_gemm_choices_text(first);
    reel_error error = {0};
    ck_assert_int_eq(reel_gemm_choices_read(first, "c.txt", text, strlen(text), &error), REEL_ERROR_STATE);
    ck_assert_str_eq(error.message, "c.txt: the context has chosen algorithms already");
    reel_context_free(first);

    reel_context *const second = gpu_context();
    ck_assert_int_eq(reel_gemm_choices_measure(second, &error), REEL_OK); /* but nothing is left to measure */
    ck_assert_int_eq(reel_gemm_choices_read(second, "c.txt", text, strlen(text), &error), REEL_OK);
    ck_assert_int_eq(multiply(second, 5), REEL_OK);
    char *const same = reel_gemm_choices_text(second);
    ck_assert_str_eq(same, text);
    ck_assert_int_eq(multiply(second, 7), REEL_OK);
    ck_assert_int_eq(reel_gemm_choices_count(second), 3);
    reel_context_free(second);
    free(same);
    free(text);
}
END_TEST

START_TEST(test_gpu_refuses_an_algorithm_that_there_is_not) {
    reel_context *ctx = gpu_context();
    if (!ctx)
        return;
    ck_assert_int_eq(multiply(ctx, 3), REEL_OK);
    char *const text = reel_gemm_choices_text(ctx);
    reel_context_free(ctx);
    char *const algorithm = strrchr(text, '\n') - 17 * REEL__GEMM_WORDS + 1;
    memset(algorithm, 'f', 16);
    ctx = gpu_context();
    reel_error error = {0};
    ck_assert_int_eq(reel_gemm_choices_read(ctx, "c.txt", text, strlen(text), &error), REEL_OK);
    ck_assert_int_eq(multiply(ctx, 3), REEL_ERROR_DEVICE);
    ck_assert_ptr_nonnull(strstr(reel_context_message(ctx), "chosen"));
    reel_context_free(ctx);
    free(text);
}
END_TEST

int main(void) {
    TCase *const tests = tcase_create("gemm_choices");
    tcase_add_test(tests, test_choices_come_back_from_text);
    tcase_add_test(tests, test_table_without_choices_comes_back);
    tcase_add_test(tests, test_text_is_refused_by_line);
    tcase_add_test(tests, test_second_choice_for_a_product_is_refused);
    tcase_add_test(tests, test_text_that_is_cut_is_refused);
    tcase_add_test(tests, test_full_table_keeps_what_it_has);
    tcase_add_test(tests, test_alignment_is_that_of_storage_at_most);
    tcase_add_test(tests, test_cpu_has_no_choices);
    tcase_add_test(tests, test_gpu_keeps_what_it_chose);
    tcase_add_test(tests, test_gpu_refuses_an_algorithm_that_there_is_not);
    Suite *const suite = suite_create("gemm_choices");
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
