/* Reading and writing safetensors files: every dtype both ways, and files that are not what they say. */
#include <reel/atomic_file.h>
#include <reel/safetensors.h>

#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/reel-safetensors-XXXXXX";
static char path[sizeof folder + 16];
static reel_context *ctx;

static void set_up(void) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/t", folder);
    ck_assert_int_eq(reel_context_new(&ctx, NULL, NULL), REEL_OK);
}

static void tear_down(void) {
    reel_context_free(ctx);
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* fails if anything else was left in it */
}

/* A file made of a header's text and data, whatever they say. */
static void write_raw(const char *header, size_t header_bytes, const void *data, size_t data_bytes) {
    const uint64_t length = header_bytes;
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(&length, 1, sizeof length, f), sizeof length);
    ck_assert_uint_eq(fwrite(header, 1, header_bytes, f), header_bytes);
    ck_assert_uint_eq(fwrite(data, 1, data_bytes, f), data_bytes);
    ck_assert_int_eq(fclose(f), 0);
}

static void write_header(const char *header, const void *data, size_t data_bytes) {
    write_raw(header, strlen(header), data, data_bytes);
}

static reel_safetensors *open_file(void) {
    reel_safetensors *file;
    reel_error error = {0};
    ck_assert_msg(reel_safetensors_open(&file, path, &error) == REEL_OK, "%s", error.message);
    return file;
}

/* Expects opening to fail with one line that begins with the path and says `why`. */
static void expect_refusal(const char *why) {
    reel_safetensors *file;
    reel_error error = {0};
    const reel_status status = reel_safetensors_open(&file, path, &error);
    ck_assert_int_ne(status, REEL_OK);
    ck_assert_ptr_null(file);
    ck_assert_msg(strncmp(error.message, path, strlen(path)) == 0, "'%s' does not name the file",
                  error.message);
    ck_assert_msg(strstr(error.message, why) != NULL, "'%s' does not say '%s'", error.message, why);
    ck_assert_ptr_null(strchr(error.message, '\n'));
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static const char small[] = "{\"__metadata__\":{\"b\":\"2\",\"a\":\"\\u00e9\\n\"},"
                            "\"y\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]},"
                            "\"none\":{\"dtype\":\"F64\",\"shape\":[0,3],\"data_offsets\":[8,8]},"
                            "\"x\":{\"data_offsets\":[0,8],\"shape\":[2,1],\"dtype\":\"F32\"}} \n";

START_TEST(test_reader_gives_names_shapes_data_and_metadata) {
    const struct {
        float x[2];
        uint8_t y;
    } data = {{1.5f, -2}, 7};
    write_header(small, &data, 9);
    reel_safetensors *file = open_file();
    ck_assert_int_eq(reel_safetensors_count(file), 3);
    ck_assert_str_eq(reel_safetensors_at(file, 0)->name, "none");
    ck_assert_str_eq(reel_safetensors_at(file, 1)->name, "x");
    ck_assert_str_eq(reel_safetensors_at(file, 2)->name, "y");
    const reel_safetensors_entry *x = reel_safetensors_find(file, "x"),
                                 *none = reel_safetensors_find(file, "none");
    ck_assert_str_eq(x->dtype, "F32");
    ck_assert_int_eq(x->rank, 2);
    ck_assert_int_eq(x->shape[0], 2);
    ck_assert_int_eq(x->shape[1], 1);
    ck_assert_uint_eq(x->bytes, 8);
    ck_assert_mem_eq(x->data, data.x, 8);
    ck_assert_uint_eq(none->bytes, 0);
    ck_assert_int_eq(reel_safetensors_find(file, "y")->rank, 0);
    ck_assert_ptr_null(reel_safetensors_find(file, "z"));
    ck_assert_int_eq(reel_safetensors_metadata_count(file), 2);
    ck_assert_str_eq(reel_safetensors_metadata_at(file, 0)->key, "a");
    ck_assert_str_eq(reel_safetensors_metadata(file, "a"), "\xc3\xa9\n");
    ck_assert_str_eq(reel_safetensors_metadata(file, "b"), "2");
    ck_assert_ptr_null(reel_safetensors_metadata(file, "c"));
    reel_safetensors_close(file);
}
END_TEST

START_TEST(test_reader_accepts_a_file_without_tensors) {
    write_header("{}", "", 0);
    reel_safetensors *file = open_file();
    ck_assert_int_eq(reel_safetensors_count(file), 0);
    ck_assert_ptr_null(reel_safetensors_find(file, "x"));
    ck_assert_ptr_null(reel_safetensors_metadata(file, "x"));
    reel_safetensors_close(file);
}
END_TEST

#define X(dtype, shape, offsets)                                                                             \
    "{\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define U8_AT(name, offsets) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets "}"

/* Headers in front of 8 bytes of data. */
static const struct {
    const char *header, *why;
} bad_headers[] = {
    {"", "not a JSON object"},
    {"[]", "not a JSON object"},
    {" {}", "not a JSON object"},
    {"{", "not valid JSON"},
    {"{}x", "not valid JSON"},
    {"{}{}", "not valid JSON"},
    {"{\"x\":1e}", "not valid JSON"},
    {"{}", "8 bytes behind the last tensor"},
    {"{\"x\":{\"y\":[[", "nested too deeply"},
    {"{\"x\":\"\xff\"}", "not UTF-8"},
    {"{\"x\":\"\xc0\x80\"}", "not UTF-8"},
    {"{\"x\":\"\xed\xa0\x80\"}", "not UTF-8"},
    {"{\"a\\u0000b\":1}", "zero character"},
    {"{\"__metadata__\":1}", "__metadata__ is not one JSON object"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__ is not one JSON object"},
    {"{\"__metadata__\":{\"a\":1}}", "other than strings"},
    {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", "a key twice"},
    {"{\"x\":1}", "tensor 'x': its description is not a JSON object"},
    {"{\"\":{}}", "name is empty"},
    {"{\"a\\nb\":{}}", "control characters"},
    {"{\"x\":{\"shape\":[8],\"data_offsets\":[0,8]}}", "dtype (string)"},
    {"{\"x\":{\"dtype\":\"U8\",\"data_offsets\":[0,8]}}", "shape (array)"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[8]}}", "data_offsets (array)"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":{},\"data_offsets\":[0,8]}}", "shape (array)"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8],\"more\":1}}", "a key other than"},
    {"{\"x\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", "one twice"},
    {X("U16", "[4]", "[0,8]"), "dtype 'U16' is not supported"},
    {X("I16", "[8]", "[0,8]"), "need 16 bytes, the offsets give 8"},
    {X("F8_E4M3", "[8]", "[0,8]"), "dtype 'F8_E4M3' is not supported"},
    {X("u8", "[8]", "[0,8]"), "dtype 'u8' is not supported"},
    {X("U8", "[1,1,1,1,1,1,8]", "[0,8]"), "more than 6 axes"},
    {X("U8", "[-8]", "[0,8]"), "'shape' holds"},
    {X("U8", "[8.5]", "[0,8]"), "'shape' holds"},
    {X("U8", "[\"8\"]", "[0,8]"), "'shape' holds"},
    {X("U8", "[1e300]", "[0,8]"), "'shape' holds"},
    {X("U8", "[1e999]", "[0,8]"), "'shape' holds"},
    {X("U8", "[8]", "[0]"), "not a pair"},
    {X("U8", "[8]", "[0,8,8]"), "not a pair"},
    {X("U8", "[8]", "[-1,7]"), "not a pair"},
    {X("U8", "[8]", "[0.5,8.5]"), "not a pair"},
    {X("U8", "[8]", "[8,0]"), "offsets 8 to 0"},
    {X("U8", "[9]", "[0,9]"), "offsets 0 to 9, in 8 bytes"},
    {X("U8", "[9]", "[0,8]"), "need 9 bytes, the offsets give 8"},
    {X("F64", "[8]", "[0,8]"), "need 64 bytes, the offsets give 8"},
    {X("U8", "[4294967296,4294967296]", "[0,0]"), "more elements"},
    {X("F64", "[2305843009213693952]", "[0,0]"), "'shape' holds"},
    {X("F64", "[4503599627370496,512]", "[0,0]"), "more elements"},
    {X("U8", "[7]", "[0,7]"), "1 bytes behind the last tensor"},
    {X("U8", "[7]", "[1,8]"), "a hole before its data"},
    {"{" U8_AT("x", "[0,4]") "," U8_AT("y", "[3,7]") "}", "overlaps"},
    {"{" U8_AT("x", "[0,4]") "," U8_AT("y", "[0,4]") "}", "overlaps"},
    {"{" U8_AT("x", "[0,4]") "," U8_AT("x", "[4,8]") "}", "tensor 'x': appears twice"},
};

START_TEST(test_reader_refuses_headers_that_lie) {
    write_header(bad_headers[_i].header, "12345678", 8);
    expect_refusal(bad_headers[_i].why);
}
END_TEST

START_TEST(test_reader_refuses_nul_and_deep_nesting) {
    write_raw("{}\0 ", 4, "", 0);
    expect_refusal("NUL byte");
    enum { DEPTH = 1000 * 1000 };
    char *deep = malloc(DEPTH);
    ck_assert_ptr_nonnull(deep);
    memset(deep, '[', DEPTH);
    deep[0] = '{';
    write_raw(deep, DEPTH, "", 0);
    expect_refusal("nested too deeply");
    free(deep);
}
END_TEST

START_TEST(test_reader_checks_the_header_length_against_the_file) {
    static const uint64_t lengths[] = {
        3, 8, UINT64_C(1) << 31, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        FILE *f = fopen(path, "wb");
        ck_assert_ptr_nonnull(f);
        fwrite(&lengths[i], 1, sizeof *lengths, f);
        fputs("{}", f);
        fclose(f);
        expect_refusal("no safetensors file: a header of");
    }
    for (int bytes = 1; bytes < 8; bytes++) {
        ck_assert_int_eq(truncate(path, bytes), 0);
        expect_refusal("no safetensors file");
    }
    ck_assert_int_eq(truncate(path, 0), 0);
    expect_refusal("empty");
}
END_TEST

START_TEST(test_reader_refuses_a_header_over_sixteen_mebibytes) {
    enum { BYTES = (16 << 20) + 1 };
    char *spaces = malloc(BYTES);
    ck_assert_ptr_nonnull(spaces);
    memset(spaces, ' ', BYTES);
    memcpy(spaces, "{}", 2);
    write_raw(spaces, BYTES, "", 0);
    expect_refusal("a header of 16777217 bytes");
    write_raw(spaces, BYTES - 1, "", 0);
    reel_safetensors_close(open_file());
    free(spaces);
}
END_TEST

START_TEST(test_reader_refuses_what_is_no_file) {
    reel_safetensors *file;
    reel_error error = {0};
    expect_refusal("cannot open: No such file");
    ck_assert_int_eq(reel_safetensors_open(&file, folder, &error), REEL_ERROR_FORMAT);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_refusal("not a regular file"); /* and does not wait for a writer */
}
END_TEST

START_TEST(test_reader_survives_any_flipped_byte) {
    char header[sizeof small];
    memcpy(header, small, sizeof small);
    for (size_t i = 0; i < sizeof small - 1; i++) {
        for (int bit = 0; bit < 8; bit++) {
            header[i] ^= (char)(1 << bit);
            write_raw(header, sizeof small - 1, "123456789", 9);
            header[i] ^= (char)(1 << bit);
            reel_safetensors *file;
            if (reel_safetensors_open(&file, path, NULL) != REEL_OK)
                continue;
            unsigned sum = 0; /* an address outside the file would be seen by the sanitizer or the kernel */
            for (int64_t t = 0; t < reel_safetensors_count(file); t++)
                for (size_t b = 0; b < reel_safetensors_at(file, t)->bytes; b++)
                    sum += ((const unsigned char *)reel_safetensors_at(file, t)->data)[b];
            ck_assert_uint_eq(sum, '1' + '2' + '3' + '4' + '5' + '6' + '7' + '8' + '9');
            reel_safetensors_close(file);
        }
    }
}
END_TEST

/* ---- loading ----------------------------------------------------------------------------------------- */

/* Loads the one-axis tensor x of a file with this data into a new tensor and reads that as f64. */
static reel_status load(const char *dtype, int64_t count, const void *data, size_t bytes, reel_dtype into,
                        double *out, reel_error *error) {
    char header[256];
    snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[%lld],\"data_offsets\":[0,%zu]}}",
             dtype, (long long)count, bytes);
    write_header(header, data, bytes);
    reel_safetensors *file = open_file();
    reel_tensor *t = reel_tensor_new(ctx, into, REEL_SHAPE(count));
    reel_tensor *wide = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(count));
    const reel_status status = reel_safetensors_load(ctx, file, "x", t, error);
    ck_assert_int_eq(reel_context_status(ctx), REEL_OK);
    ck_assert_int_eq(reel_copy(ctx, wide, t), REEL_OK);
    ck_assert_int_eq(reel_read(ctx, wide, out, (size_t)count * sizeof *out), REEL_OK);
    reel_tensor_free(ctx, t);
    reel_tensor_free(ctx, wide);
    reel_safetensors_close(file);
    return status;
}

static void expect_loaded(const char *dtype, const void *data, size_t bytes, reel_dtype into, int count,
                          const double *expected) {
    double got[16];
    reel_error error = {0};
    ck_assert_msg(load(dtype, count, data, bytes, into, got, &error) == REEL_OK, "%s", error.message);
    for (int i = 0; i < count; i++)
        ck_assert_msg(got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i])),
                      "%s into %s: element %d is %.17g, expected %.17g", dtype, reel_dtype_name(into), i,
                      got[i], expected[i]);
}

START_TEST(test_loading_converts_floats) {
    static const double f64[] = {0.1, -3, 1e30};
    static const float f32[] = {0.1f, -3, 1e30f};
    static const uint16_t bf16[] = {0x3f80, 0xc040, 0x7f80},
                          f16[] = {0x3c00, 0xc200, 0x7bff, 0x0001, 0x83ff, 0x7c00, 0xfc00, 0x7e00, 0x8000};
    expect_loaded("F64", f64, sizeof f64, REEL_F64, 3, f64);
    expect_loaded("F64", f64, sizeof f64, REEL_F32, 3, (const double[]){0.1f, -3, 1e30f});
    expect_loaded("F32", f32, sizeof f32, REEL_F32, 3, (const double[]){0.1f, -3, 1e30f});
    expect_loaded("F32", f32, sizeof f32, REEL_F64, 3, (const double[]){0.1f, -3, 1e30f});
    expect_loaded("F32", f32, 2 * sizeof *f32, REEL_BF16, 2, (const double[]){0.10009765625, -3});
    expect_loaded("BF16", bf16, sizeof bf16, REEL_BF16, 3, (const double[]){1, -3, INFINITY});
    expect_loaded("BF16", bf16, sizeof bf16, REEL_F32, 3, (const double[]){1, -3, INFINITY});
    expect_loaded("F16", f16, sizeof f16, REEL_F32, 9,
                  (const double[]){1, -3, 65504, 0x1p-24, -0x1.ff8p-15, INFINITY, -INFINITY, NAN, 0});
    expect_loaded("F16", f16, 2 * sizeof *f16, REEL_F64, 2, (const double[]){1, -3});
}
END_TEST

START_TEST(test_loading_converts_integers_that_fit) {
    static const int64_t i64[] = {INT32_MIN, -1, INT32_MAX}, small64[] = {-256, 0, 256}, bytes64[] = {0, 255};
    static const int32_t i32[] = {-(1 << 24), 5, 1 << 24};
    static const int16_t i16[] = {INT16_MIN, 0, INT16_MAX};
    static const int8_t i8[] = {INT8_MIN, 0, INT8_MAX};
    static const uint8_t u8[] = {0, 1, 255}, truth[] = {1, 0, 1};
    expect_loaded("I16", i16, sizeof i16, REEL_F32, 3, (const double[]){INT16_MIN, 0, INT16_MAX});
    expect_loaded("I8", i8, sizeof i8, REEL_I32, 3, (const double[]){INT8_MIN, 0, INT8_MAX});
    expect_loaded("I64", i64, sizeof i64, REEL_I32, 3, (const double[]){INT32_MIN, -1, INT32_MAX});
    expect_loaded("I64", i64, sizeof i64, REEL_F64, 3, (const double[]){INT32_MIN, -1, INT32_MAX});
    expect_loaded("I64", small64, sizeof small64, REEL_BF16, 3, (const double[]){-256, 0, 256});
    expect_loaded("I64", bytes64, sizeof bytes64, REEL_U8, 2, (const double[]){0, 255});
    expect_loaded("I32", i32, sizeof i32, REEL_F32, 3, (const double[]){-(1 << 24), 5, 1 << 24});
    expect_loaded("U8", u8, sizeof u8, REEL_U8, 3, (const double[]){0, 1, 255});
    expect_loaded("U8", u8, sizeof u8, REEL_I32, 3, (const double[]){0, 1, 255});
    expect_loaded("U8", u8, sizeof u8, REEL_BF16, 3, (const double[]){0, 1, 255});
    expect_loaded("BOOL", truth, sizeof truth, REEL_U8, 3, (const double[]){1, 0, 1});
    expect_loaded("BOOL", truth, sizeof truth, REEL_F32, 3, (const double[]){1, 0, 1});
}
END_TEST

START_TEST(test_loading_refuses_values_that_do_not_fit) {
    static const struct {
        const char *dtype;
        int64_t value;
        size_t bytes;
        reel_dtype into;
        const char *why;
    } cases[] = {
        {"I64", INT64_C(1) << 31, 8, REEL_I32, "element 0 is 2147483648, out of range for I64 into i32"},
        {"I64", INT64_MIN, 8, REEL_F64, "out of range"},
        {"I64", 256, 8, REEL_U8, "out of range"},
        {"I32", -1, 4, REEL_U8, "element 0 is -1, out of range for I32 into u8"},
        {"I32", (1 << 24) + 1, 4, REEL_F32, "out of range"},
        {"I32", 257, 4, REEL_BF16, "out of range"},
        {"BOOL", 2, 1, REEL_U8, "element 0 is 2, out of range for BOOL"},
        {"F32", 0, 4, REEL_I32, "is F32, which does not convert to i32"},
        {"F16", 0, 2, REEL_U8, "is F16, which does not convert to u8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double out;
        reel_error error = {0};
        ck_assert_int_ne(
            load(cases[i].dtype, 1, &cases[i].value, cases[i].bytes, cases[i].into, &out, &error), REEL_OK);
        ck_assert_msg(strstr(error.message, cases[i].why) != NULL, "'%s' does not say '%s'", error.message,
                      cases[i].why);
        ck_assert_double_eq(out, 0); /* nothing was written */
    }
}
END_TEST

START_TEST(test_loading_reads_unaligned_data) {
    char data[9] = {1};
    const float values[] = {2.5f, -1};
    memcpy(data + 1, values, sizeof values);
    write_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                 "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}  ",
                 data, sizeof data);
    reel_safetensors *file = open_file();
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2));
    float got[2];
    ck_assert_int_eq(reel_safetensors_load(ctx, file, "b", t, NULL), REEL_OK);
    ck_assert_int_eq(reel_read(ctx, t, got, sizeof got), REEL_OK);
    ck_assert_mem_eq(got, values, sizeof got);
    reel_tensor_free(ctx, t);
    reel_safetensors_close(file);
}
END_TEST

START_TEST(test_loading_names_missing_tensors_and_wrong_shapes) {
    write_header(small, "123456789", 9);
    reel_safetensors *file = open_file();
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(1, 2)),
                *scalar = reel_tensor_new(ctx, REEL_U8, 0, t->shape);
    reel_error error = {0};
    ck_assert_int_eq(reel_safetensors_load(ctx, file, "z", t, &error), REEL_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "no tensor 'z'"));
    error = (reel_error){0};
    ck_assert_int_eq(reel_safetensors_load(ctx, file, "x", t, &error), REEL_ERROR_SHAPE);
    ck_assert_ptr_nonnull(strstr(error.message, "has shape [2,1], expected [1,2]"));
    error = (reel_error){0};
    ck_assert_int_eq(reel_safetensors_load(ctx, file, "y", t, &error), REEL_ERROR_SHAPE);
    ck_assert_ptr_nonnull(strstr(error.message, "has shape [], expected [1,2]"));
    ck_assert_int_eq(reel_safetensors_load(ctx, file, "y", scalar, NULL), REEL_OK);
    ck_assert_double_eq(reel_item(ctx, scalar), '9');
    reel_tensor_free(ctx, t);
    reel_tensor_free(ctx, scalar);
    reel_safetensors_close(file);
}
END_TEST

/* ---- writing ----------------------------------------------------------------------------------------- */

static reel_tensor *new_tensor(reel_dtype dtype, int64_t rows, int64_t columns) {
    reel_tensor *t = reel_tensor_new(ctx, dtype, REEL_SHAPE(rows, columns));
    reel_tensor *values = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(rows, columns));
    ck_assert_int_eq(reel_fill_uniform(ctx, values, 0, 200, (reel_draw){REEL_STREAM_USER, 0, 0}), REEL_OK);
    ck_assert_int_eq(reel_copy(ctx, t, values), REEL_OK);
    reel_tensor_free(ctx, values);
    return t;
}

static char *read_bytes(size_t *size) {
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    char *bytes = malloc(1 << 16);
    ck_assert_ptr_nonnull(bytes);
    *size = fread(bytes, 1, 1 << 16, f);
    fclose(f);
    return bytes;
}

START_TEST(test_written_file_reads_back_bit_for_bit) {
    static const char *const names[REEL_DTYPE_COUNT] = {"a", "quote\"back\\slash", "\xc3\xa9", "d.0/1", "e"};
    static const reel_safetensors_pair metadata[] = {{"config", "{\"a\": 1}\n\t\x01\x7f\xf0\x9f\x98\x80"},
                                                     {"", ""}};
    reel_tensor *tensors[REEL_DTYPE_COUNT];
    reel_named_tensor items[REEL_DTYPE_COUNT];
    for (int d = 0; d < REEL_DTYPE_COUNT; d++) {
        const reel_dtype dtype = (reel_dtype)(REEL_DTYPE_COUNT - 1 - d); /* narrow ones first */
        tensors[d] = new_tensor(dtype, 3, d + 1);
        items[d] = (reel_named_tensor){names[d], tensors[d]};
    }
    reel_error error = {0};
    reel_status status = reel_safetensors_write(ctx, path, items, REEL_DTYPE_COUNT, metadata, 2, &error);
    ck_assert_msg(status == REEL_OK, "%s", error.message);

    reel_safetensors *file = open_file();
    ck_assert_int_eq(reel_safetensors_count(file), REEL_DTYPE_COUNT);
    ck_assert_int_eq(reel_safetensors_metadata_count(file), 2);
    ck_assert_str_eq(reel_safetensors_metadata(file, "config"), metadata[0].value);
    ck_assert_str_eq(reel_safetensors_metadata(file, ""), "");
    for (int d = 0; d < REEL_DTYPE_COUNT; d++) {
        const reel_safetensors_entry *entry = reel_safetensors_find(file, names[d]);
        ck_assert_ptr_nonnull(entry);
        ck_assert_mem_eq(entry->data, tensors[d]->data, entry->bytes);
        ck_assert_uint_eq((uintptr_t)entry->data % reel_dtype_bytes(tensors[d]->dtype), 0);
        ck_assert_int_eq(reel_fill(ctx, tensors[d], 1), REEL_OK);
        ck_assert_int_eq(reel_safetensors_load(ctx, file, names[d], tensors[d], NULL), REEL_OK);
        ck_assert_mem_eq(entry->data, tensors[d]->data, entry->bytes);
    }
    reel_safetensors_close(file);

    size_t size, size_again;
    char *bytes = read_bytes(&size);
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    ck_assert_uint_eq((header + sizeof header) % 64, 0);
    status = reel_safetensors_write(ctx, path, items, REEL_DTYPE_COUNT, metadata, 2, &error);
    ck_assert_msg(status == REEL_OK, "%s", error.message);
    char *again = read_bytes(&size_again);
    ck_assert_uint_eq(size, size_again);
    ck_assert_mem_eq(bytes, again, size);
    free(bytes);
    free(again);
    for (int d = 0; d < REEL_DTYPE_COUNT; d++)
        reel_tensor_free(ctx, tensors[d]);
}
END_TEST

START_TEST(test_a_list_is_read_from_a_file_that_has_all_of_it) {
    reel_tensor *const x = new_tensor(REEL_F32, 2, 3), *const y = new_tensor(REEL_F32, 4, 1);
    const reel_named_tensor both[] = {{"x", x}, {"y", y}}, more[] = {{"y", y}, {"z", x}}, wrong = {"y", x};
    ck_assert_int_eq(reel_safetensors_write(ctx, path, both, 2, NULL, 0, NULL), REEL_OK);
    float kept[4];
    memcpy(kept, y->data, sizeof kept);
    ck_assert_int_eq(reel_fill(ctx, y, 7), REEL_OK);
    ck_assert_int_eq(reel_safetensors_read(ctx, path, &both[1], 1, NULL), REEL_OK);
    ck_assert_mem_eq(y->data, kept, sizeof kept);
    reel_error error = {0};
    ck_assert_int_eq(reel_safetensors_read(ctx, path, more, 2, &error), REEL_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "no tensor 'z'"));
    ck_assert_int_eq(reel_safetensors_read(ctx, path, &wrong, 1, NULL), REEL_ERROR_SHAPE);
    ck_assert_int_eq(reel_safetensors_read(ctx, "/nowhere", both, 2, NULL), REEL_ERROR_IO);
    reel_tensor_free(ctx, x);
    reel_tensor_free(ctx, y);
}
END_TEST

START_TEST(test_writer_writes_empty_files_and_empty_tensors) {
    ck_assert_int_eq(reel_safetensors_write(ctx, path, NULL, 0, NULL, 0, NULL), REEL_OK);
    reel_safetensors_close(open_file());
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(0, 3));
    const reel_named_tensor item = {"x", t};
    reel_error error = {0};
    ck_assert_msg(reel_safetensors_write(ctx, path, &item, 1, NULL, 0, &error) == REEL_OK, "%s",
                  error.message);
    reel_safetensors *file = open_file();
    ck_assert_int_eq(reel_safetensors_find(file, "x")->shape[1], 3);
    ck_assert_int_eq(reel_safetensors_load(ctx, file, "x", t, NULL), REEL_OK);
    reel_safetensors_close(file);
    reel_tensor_free(ctx, t);
}
END_TEST

START_TEST(test_header_is_padded_whatever_its_length) {
    char value[65] = "";
    for (size_t length = 0; length < 64; length++) {
        const reel_safetensors_pair pair = {"k", value};
        ck_assert_int_eq(reel_safetensors_write(ctx, path, NULL, 0, &pair, 1, NULL), REEL_OK);
        reel_safetensors *file = open_file();
        ck_assert_str_eq(reel_safetensors_metadata(file, "k"), value);
        reel_safetensors_close(file);
        struct stat facts;
        ck_assert_int_eq(stat(path, &facts), 0);
        ck_assert_int_eq(facts.st_size % 64, 0);
        value[length] = 'v';
    }
}
END_TEST

START_TEST(test_writer_refuses_names_no_reader_could_use) {
    reel_tensor *t = new_tensor(REEL_F32, 2, 2);
    static const char *const names[] = {"", "__metadata__", "a\nb", "\xff", "x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const reel_named_tensor items[] = {{"x", t}, {"y", t}, {names[i], t}};
        reel_error error = {0};
        ck_assert_int_eq(reel_safetensors_write(ctx, path, items, 3, NULL, 0, &error), REEL_ERROR_ARGUMENT);
        ck_assert_ptr_nonnull(
            strstr(error.message, i == 4 ? "two tensors are called 'x'" : "name 2 is empty"));
    }
    const reel_named_tensor item = {"x", t}, none = {"x", NULL};
    const reel_safetensors_pair twice[] = {{"a", "1"}, {"a", "2"}}, latin = {"a", "\xe9"};
    ck_assert_int_eq(reel_safetensors_write(ctx, path, &item, 1, twice, 2, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_safetensors_write(ctx, path, &item, 1, &latin, 1, NULL), REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(reel_safetensors_write(ctx, path, &none, 1, NULL, 0, NULL), REEL_ERROR_STATE);
    ck_assert_int_ne(access(path, F_OK), 0);
    reel_tensor_free(ctx, t);
}
END_TEST

/* A file size limit stands in for a full disk. */
START_TEST(test_failed_write_keeps_the_old_file_and_leaves_nothing) {
    ck_assert_int_eq(reel_atomic_save(path, "old", 3, NULL), REEL_OK);
    reel_tensor *t = new_tensor(REEL_F32, 100, 100);
    const reel_named_tensor item = {"x", t};
    struct rlimit before, tight;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 20000;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    reel_error error = {0};
    const reel_status status = reel_safetensors_write(ctx, path, &item, 1, NULL, 0, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    ck_assert_int_eq(status, REEL_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "cannot write: File too large"));
    size_t size;
    char *bytes = read_bytes(&size);
    ck_assert_uint_eq(size, 3);
    ck_assert_mem_eq(bytes, "old", 3);
    free(bytes);
    reel_tensor_free(ctx, t);
}
END_TEST

START_TEST(test_discarded_file_never_appears) {
    reel_atomic_file *file;
    ck_assert_int_eq(reel_atomic_open(&file, path, NULL), REEL_OK);
    reel_atomic_write(file, "x", 1);
    ck_assert_int_ne(access(path, F_OK), 0);
    reel_atomic_discard(file);
    reel_atomic_discard(NULL);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_names_of_temporary_files_are_known) {
    static const char *const temporary[] = {"a.tmp-1-0", "step_3.safetensors.tmp-4194304-99",
                                            "x.tmp-y.tmp-1-2"};
    static const char *const others[] = {"a",         "a.tmp",      "a.tmp-",     "a.tmp-1",
                                         "a.tmp-1-",  "a.tmp-1-0x", "a.tmp-x-0",  "a.tmp-1-0.tmp",
                                         "tmp-1-0.a", "",           "a.tmp--1-0x"};
    for (size_t i = 0; i < sizeof temporary / sizeof *temporary; i++)
        ck_assert_msg(reel_atomic_is_temporary(temporary[i]), "%s", temporary[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!reel_atomic_is_temporary(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(test_saved_file_has_the_mode_of_a_new_file) {
    const mode_t mask = umask(027);
    ck_assert_int_eq(reel_atomic_save(path, "", 0, NULL), REEL_OK);
    umask(mask);
    struct stat facts;
    ck_assert_int_eq(stat(path, &facts), 0);
    ck_assert_uint_eq(facts.st_mode & 0777, 0640);
}
END_TEST

START_TEST(test_what_is_no_file_is_not_replaced) {
    char link[sizeof path + 8];
    snprintf(link, sizeof link, "%s.link", path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(symlink(path, link), 0);
    const char *const targets[] = {path, link};
    struct stat facts;
    for (int i = 0; i < 2; i++) {
        reel_error error = {0};
        ck_assert_int_eq(reel_atomic_save(targets[i], "x", 1, &error), REEL_ERROR_IO);
        ck_assert_ptr_nonnull(strstr(error.message, "not a regular file"));
        ck_assert_int_eq(stat(targets[i], &facts), 0);
        ck_assert(S_ISFIFO(facts.st_mode));
    }
    unlink(link);
}
END_TEST

static Suite *safetensors_suite(void) {
    Suite *suite = suite_create("safetensors");
    TCase *t = tcase_create("safetensors");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_reader_gives_names_shapes_data_and_metadata);
    tcase_add_test(t, test_reader_accepts_a_file_without_tensors);
    tcase_add_loop_test(t, test_reader_refuses_headers_that_lie, 0, sizeof bad_headers / sizeof *bad_headers);
    tcase_add_test(t, test_reader_refuses_nul_and_deep_nesting);
    tcase_add_test(t, test_reader_checks_the_header_length_against_the_file);
    tcase_add_test(t, test_reader_refuses_a_header_over_sixteen_mebibytes);
    tcase_add_test(t, test_reader_refuses_what_is_no_file);
    tcase_add_test(t, test_reader_survives_any_flipped_byte);
    tcase_add_test(t, test_loading_converts_floats);
    tcase_add_test(t, test_loading_converts_integers_that_fit);
    tcase_add_test(t, test_loading_refuses_values_that_do_not_fit);
    tcase_add_test(t, test_loading_reads_unaligned_data);
    tcase_add_test(t, test_loading_names_missing_tensors_and_wrong_shapes);
    tcase_add_test(t, test_written_file_reads_back_bit_for_bit);
    tcase_add_test(t, test_writer_writes_empty_files_and_empty_tensors);
    tcase_add_test(t, test_header_is_padded_whatever_its_length);
    tcase_add_test(t, test_a_list_is_read_from_a_file_that_has_all_of_it);
    tcase_add_test(t, test_writer_refuses_names_no_reader_could_use);
    tcase_add_test(t, test_failed_write_keeps_the_old_file_and_leaves_nothing);
    tcase_add_test(t, test_discarded_file_never_appears);
    tcase_add_test(t, test_names_of_temporary_files_are_known);
    tcase_add_test(t, test_saved_file_has_the_mode_of_a_new_file);
    tcase_add_test(t, test_what_is_no_file_is_not_replaced);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(safetensors_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
