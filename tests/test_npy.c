/* NumPy's files: what is written is what numpy would write, and damaged ones are refused with one line. */
#include <reel/npy.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/reel_test_npy_XXXXXX";

static void write_bytes(const void *bytes, size_t count) {
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(bytes, 1, count, stream), count);
    fclose(stream);
}

static size_t read_bytes(void *bytes, size_t room) {
    FILE *stream = fopen(path, "rb");
    ck_assert_ptr_nonnull(stream);
    const size_t count = fread(bytes, 1, room, stream);
    fclose(stream);
    return count;
}

static reel_npy *open_good(void) {
    reel_npy *file;
    reel_error error = {0};
    ck_assert_msg(reel_npy_open(&file, path, &error) == REEL_OK, "%s", error.message);
    return file;
}

/* A file of format `version` with this dictionary and so many bytes of elements, all 1. */
static void write_file(int version, const char *dictionary, size_t data_bytes) {
    char bytes[1024] = "\x93NUMPY";
    const size_t length = strlen(dictionary) + 1, width = version == 1 ? 2 : 4;
    bytes[6] = (char)version;
    bytes[7] = 0;
    memcpy(bytes + 8, &length, width);
    memcpy(bytes + 8 + width, dictionary, length - 1);
    bytes[8 + width + length - 1] = '\n';
    memset(bytes + 8 + width + length, 1, data_bytes);
    write_bytes(bytes, 8 + width + length + data_bytes);
}

static reel_npy_writer *create(reel_npy_type type, int rank, const int64_t *shape) {
    reel_npy_writer *writer;
    reel_error error = {0};
    ck_assert_msg(reel_npy_create(&writer, path, type, rank, shape, &error) == REEL_OK, "%s", error.message);
    return writer;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

START_TEST(test_files_are_numpys_byte_for_byte) {
    /* numpy.save("f.npy", numpy.arange(3, dtype="int32")) */
    static const char expected[] =
        "\x93NUMPY\x01\0v\0{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }"
        "                                                            \n"
        "\0\0\0\0\1\0\0\0\2\0\0";
    const int32_t values[3] = {0, 1, 2};
    reel_npy_writer *writer = create(REEL_NPY_I32, 1, (int64_t[]){-1});
    reel_npy_append(writer, values, 2);
    reel_npy_append(writer, values + 2, 1);
    ck_assert_int_eq(reel_npy_commit(writer, NULL), REEL_OK);
    char bytes[1024];
    const size_t count = read_bytes(bytes, sizeof bytes);
    ck_assert_uint_eq(count, 128 + 12);
    ck_assert_uint_eq(sizeof expected, count);
    ck_assert_mem_eq(bytes, expected, count);
}
END_TEST

START_TEST(test_what_is_written_reads_back) {
    static const int64_t shapes[][2] = {{-1, 3}, {4, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        reel_npy_writer *writer = create(REEL_NPY_I64, 2, shapes[i]);
        for (int64_t value = -6; value < 6; value++)
            reel_npy_append(writer, &value, 1);
        ck_assert_int_eq(reel_npy_commit(writer, NULL), REEL_OK);
        reel_npy *file = open_good();
        ck_assert_int_eq(file->type, REEL_NPY_I64);
        ck_assert_int_eq(file->rank, 2);
        ck_assert_int_eq(file->shape[0], 4);
        ck_assert_int_eq(file->shape[1], 3);
        ck_assert_int_eq(file->count, 12);
        for (int64_t k = 0; k < 12; k++)
            ck_assert_int_eq(reel_npy_integer(file, k), k - 6);
        reel_npy_close(file);
    }
}
END_TEST

START_TEST(test_elements_that_do_not_fill_the_shape_are_no_file) {
    static const struct {
        int rank;
        int64_t shape[3], count;
    } cases[] = {{2, {-1, 3}, 4}, {2, {2, 3}, 3},  {1, {5}, 6},
                 {0, {0}, 2},     {2, {-1, 0}, 1}, {1, {INT64_MAX}, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unlink(path);
        reel_npy_writer *writer = create(REEL_NPY_U8, cases[i].rank, cases[i].shape);
        reel_npy_append(writer, "\1\1\1\1\1\1", cases[i].count);
        reel_error error = {0};
        ck_assert_int_eq(reel_npy_commit(writer, &error), REEL_ERROR_STATE);
        ck_assert_ptr_nonnull(strstr(error.message, "do not fill"));
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    reel_npy_writer *writer;
    ck_assert_int_eq(reel_npy_create(&writer, path, REEL_NPY_U8, 7, NULL, NULL), REEL_ERROR_ARGUMENT);
    const int64_t huge[] = {-1, INT64_MAX, 2};
    ck_assert_int_eq(reel_npy_create(&writer, path, REEL_NPY_U8, 3, huge, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_npy_create(&writer, "/nonexistent/f.npy", REEL_NPY_U8, 1, huge, NULL),
                     REEL_ERROR_IO);
    writer = create(REEL_NPY_U8, 1, (int64_t[]){-1});
    reel_npy_discard(writer);
    reel_npy_discard(NULL);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_empty_arrays_and_scalars_read_back) {
    reel_npy_writer *writer = create(REEL_NPY_U8, 2, (int64_t[]){-1, 900});
    ck_assert_int_eq(reel_npy_commit(writer, NULL), REEL_OK);
    reel_npy *file = open_good();
    ck_assert_int_eq(file->shape[0], 0);
    ck_assert_int_eq(file->shape[1], 900);
    ck_assert_int_eq(file->count, 0);
    reel_npy_close(file);
    writer = create(REEL_NPY_F64, 0, NULL);
    reel_npy_append(writer, &(double){2.5}, 1);
    ck_assert_int_eq(reel_npy_commit(writer, NULL), REEL_OK);
    file = open_good();
    ck_assert_int_eq(file->rank, 0);
    ck_assert_double_eq(reel_npy_number(file, 0), 2.5);
    reel_npy_close(file);
}
END_TEST

/* ---- reading ----------------------------------------------------------------------------------------- */

START_TEST(test_every_type_reads) {
    static const struct {
        const char *descr, *name;
        size_t bytes;
        double ones; /* the value whose bytes are all 1 */
    } cases[REEL_NPY_TYPES] = {
        [REEL_NPY_U8] = {"|u1", "uint8", 1, 1},
        [REEL_NPY_BOOL] = {"|b1", "bool", 1, 1},
        [REEL_NPY_I8] = {"|i1", "int8", 1, 1},
        [REEL_NPY_I16] = {"<i2", "int16", 2, 0x0101},
        [REEL_NPY_I32] = {"<i4", "int32", 4, 0x01010101},
        [REEL_NPY_I64] = {"<i8", "int64", 8, (double)0x0101010101010101},
        [REEL_NPY_F16] = {"<f2", "float16", 2, 0x0101 * 0x1p-24},
        [REEL_NPY_F32] = {"<f4", "float32", 4, 0x1.020202p-125},
        [REEL_NPY_F64] = {"<f8", "float64", 8, 0x1.1010101010101p-1007},
    };
    for (int type = 0; type < REEL_NPY_TYPES; type++) {
        char header[128];
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }",
                 cases[type].descr);
        write_file(1 + type % 3, header, 2 * cases[type].bytes);
        reel_npy *file = open_good();
        ck_assert_int_eq(file->type, type);
        ck_assert_str_eq(reel_npy_type_name(file->type), cases[type].name);
        ck_assert_uint_eq(reel_npy_type_bytes(file->type), cases[type].bytes);
        ck_assert_double_eq(reel_npy_number(file, 1), cases[type].ones);
        if (reel_npy_is_integer(file->type))
            ck_assert_double_eq((double)reel_npy_integer(file, 1), cases[type].ones);
        reel_npy_close(file);
    }
}
END_TEST

START_TEST(test_headers_of_other_writers_read) {
    static const char *const headers[] = {
        "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"|u1\"}",
        "{'fortran_order': False, 'descr': '|u1', 'shape': ( 2 , 3 , ) , }",
        "  {'descr':'|u1','fortran_order':False,'shape':(2,3)}       ",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        write_file(1, headers[i], 6);
        reel_npy *file = open_good();
        ck_assert_int_eq(file->rank, 2);
        ck_assert_int_eq(file->shape[0], 2);
        ck_assert_int_eq(file->shape[1], 3);
        reel_npy_close(file);
    }
}
END_TEST

/* Every prefix of a good file is refused, and none is read past its end. */
START_TEST(test_truncated_files_are_refused) {
    char bytes[1024];
    write_file(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", 24);
    const size_t count = read_bytes(bytes, sizeof bytes);
    for (size_t kept = 0; kept < count; kept++) {
        write_bytes(bytes, kept);
        reel_npy *file;
        reel_error error = {0};
        ck_assert_int_eq(reel_npy_open(&file, path, &error), REEL_ERROR_FORMAT);
        ck_assert_ptr_null(file);
        ck_assert_ptr_eq(strstr(error.message, path), error.message);
        ck_assert_ptr_null(strchr(error.message, '\n'));
    }
}
END_TEST

START_TEST(test_bad_headers_are_refused_by_name) {
    static const struct {
        const char *header, *why;
        size_t bytes;
        reel_status status;
    } cases[] = {
        {"{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }", "type '>i4'", 8, REEL_ERROR_DTYPE},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", "type '<c8'", 16, REEL_ERROR_DTYPE},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "type '|O'", 16, REEL_ERROR_DTYPE},
        {"{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2,), }", "records", 8,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': True, 'shape': (2, 2), }", "Fortran order", 16,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': 0, 'shape': (2,), }", "'fortran_order'", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }", "needs 12 bytes, the file has 8", 8,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", "needs 4 bytes, the file has 8", 8,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }",
         "shape (1000000000000) of int64 needs 8000000000000 bytes, the file has 8", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "larger than any",
         8, REEL_ERROR_FORMAT},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999999999,), }", "larger than any", 8,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (-1,), }", "'shape'", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1.5,), }", "'shape'", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': 2, }", "'shape'", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,2), }", "more than 6 axes", 8,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (2", "'shape'", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False}", "does not say", 8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", "twice the key 'descr'",
         8, REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "unknown key 'x'", 8,
         REEL_ERROR_FORMAT},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), } x", "no more", 8, REEL_ERROR_FORMAT},
        {"{'descr: '<i4'", "not a dictionary", 8, REEL_ERROR_FORMAT},
        {"[]", "not a dictionary", 8, REEL_ERROR_FORMAT},
        {"", "not a dictionary", 8, REEL_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(1, cases[i].header, cases[i].bytes);
        reel_npy *file;
        reel_error error = {0};
        ck_assert_msg(reel_npy_open(&file, path, &error) == cases[i].status, "%s: %s", cases[i].header,
                      error.message);
        ck_assert_ptr_null(file);
        ck_assert_msg(strstr(error.message, cases[i].why) != NULL, "%s: %s", cases[i].header, error.message);
    }
}
END_TEST

START_TEST(test_other_files_are_refused) {
    reel_npy *file;
    reel_error error = {0};
    ck_assert_int_eq(reel_npy_open(&file, "/nonexistent.npy", NULL), REEL_ERROR_IO);
    ck_assert_int_eq(reel_npy_open(&file, "/tmp", NULL), REEL_ERROR_FORMAT);
    write_bytes("PK\3\4 an archive of arrays", 25);
    ck_assert_int_eq(reel_npy_open(&file, path, &error), REEL_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "no NumPy file"));
    write_file(9, "{}", 0);
    error = (reel_error){0};
    ck_assert_int_eq(reel_npy_open(&file, path, &error), REEL_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "format 9"));
    reel_npy_close(NULL);
}
END_TEST

static Suite *npy_suite(void) {
    Suite *suite = suite_create("npy");
    TCase *t = tcase_create("npy");
    tcase_add_test(t, test_files_are_numpys_byte_for_byte);
    tcase_add_test(t, test_what_is_written_reads_back);
    tcase_add_test(t, test_elements_that_do_not_fill_the_shape_are_no_file);
    tcase_add_test(t, test_empty_arrays_and_scalars_read_back);
    tcase_add_test(t, test_every_type_reads);
    tcase_add_test(t, test_headers_of_other_writers_read);
    tcase_add_test(t, test_truncated_files_are_refused);
    tcase_add_test(t, test_bad_headers_are_refused_by_name);
    tcase_add_test(t, test_other_files_are_refused);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    const int fd = mkstemp(path);
    if (fd < 0)
        return EXIT_FAILURE;
    close(fd);
    SRunner *runner = srunner_create(npy_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    unlink(path);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
