/* PyTorch's checkpoints: archives that are what they say, archives that are not, and our own. */
#include "pickle.h"
#include "scratch_folder.h"

#include <reel/atomic_file.h>
#include <reel/pytorch.h>
#include <reel/safetensors.h>

#include <check.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

static reel_context *ctx;
static char path[PATH_BYTES];

static void set_up(void) {
    make_scratch_folder();
    snprintf(path, sizeof path, "%s", in_folder("t.pt"));
    ck_assert_int_eq(reel_context_new(&ctx, NULL, NULL), REEL_OK);
}

static void tear_down(void) {
    reel_context_free(ctx);
    remove_folder();
}

/* ---- archives made by hand --------------------------------------------------------------------------- */

/* A tensor as a pickle describes it. */
typedef struct claim {
    const char *name, *type, *storage; /* "a", "Float", "0" */
    int64_t elements, offset;
    int rank;
    int64_t shape[REEL_MAX_RANK], stride[REEL_MAX_RANK];
} claim;

static void put_text(FILE *out, const char *text) {
    const uint32_t length = (uint32_t)strlen(text);
    putc('X', out);
    fwrite(&length, sizeof length, 1, out);
    fputs(text, out);
}

static void put_number(FILE *out, int64_t number) {
    fputs("\x8a\x08", out);
    fwrite(&number, sizeof number, 1, out);
}

static void put_tuple(FILE *out, int count, const int64_t *numbers) {
    putc('(', out);
    for (int i = 0; i < count; i++)
        put_number(out, numbers[i]);
    putc('t', out);
}

/* The pickle of a dictionary of tensors, to be freed. */
static char *make_pickle(const claim *claims, int count, size_t *size) {
    char *text;
    FILE *const out = open_memstream(&text, size);
    fputs("\x80\x02}(", out);
    for (int i = 0; i < count; i++) {
        const claim *const c = &claims[i];
        put_text(out, c->name);
        fputs("ctorch._utils\n_rebuild_tensor_v2\n((", out);
        put_text(out, "storage");
        fprintf(out, "ctorch\n%sStorage\n", c->type);
        put_text(out, c->storage);
        put_text(out, "cuda:0");
        put_number(out, c->elements);
        fputs("tQ", out);
        put_number(out, c->offset);
        put_tuple(out, c->rank, c->shape);
        put_tuple(out, c->rank, c->stride);
        fputs("\x89}tR", out);
    }
    fputs("u.", out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

typedef struct part {
    const char *name;
    const void *bytes;
    size_t size;
} part;

/* Writes an archive of these entries and a data.pkl; how libzip stores the last part can be changed. */
static void write_archive(const claim *claims, int claim_count, const part *parts, int part_count,
                          int compression, int encryption) {
    size_t size;
    int code;
    char *const pickle = make_pickle(claims, claim_count, &size);
    unlink(path);
    zip_t *const zip = zip_open(path, ZIP_CREATE | ZIP_EXCL, &code);
    ck_assert_ptr_nonnull(zip);
    const part own = {"t/data.pkl", pickle, size};
    for (int i = -1; i < part_count; i++) {
        const part *const p = i < 0 ? &own : &parts[i];
        const zip_int64_t entry = zip_file_add(zip, p->name, zip_source_buffer(zip, p->bytes, p->size, 0), 0);
        ck_assert_msg(entry >= 0, "%s", zip_strerror(zip));
        zip_set_file_compression(zip, (zip_uint64_t)entry, i == part_count - 1 ? compression : ZIP_CM_STORE,
                                 0);
        if (i == part_count - 1 && encryption != ZIP_EM_NONE)
            ck_assert_int_eq(zip_file_set_encryption(zip, (zip_uint64_t)entry, (zip_uint16_t)encryption, "x"),
                             0);
    }
    ck_assert_msg(zip_close(zip) == 0, "%s", zip_strerror(zip));
    free(pickle);
}

static void write_stored(const claim *claims, int claim_count, const part *parts, int part_count) {
    write_archive(claims, claim_count, parts, part_count, ZIP_CM_STORE, ZIP_EM_NONE);
}

static reel_pytorch *open_good(void) {
    reel_pytorch *file;
    reel_error error = {0};
    ck_assert_msg(reel_pytorch_open(&file, path, &error) == REEL_OK, "%s", error.message);
    return file;
}

/* Expects opening to fail with one line that begins with the path and says `why`. */
static void expect_refusal(const char *why) {
    reel_pytorch *file;
    reel_error error = {0};
    ck_assert_msg(reel_pytorch_open(&file, path, &error) != REEL_OK, "opened, expected '%s'", why);
    ck_assert_ptr_null(file);
    ck_assert_msg(strncmp(error.message, path, strlen(path)) == 0, "'%s' does not name the file",
                  error.message);
    ck_assert_msg(strstr(error.message, why) != NULL, "'%s' does not say '%s'", error.message, why);
    ck_assert_ptr_null(strchr(error.message, '\n'));
}

static char *read_bytes(size_t *size) {
    FILE *const f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    char *const bytes = malloc(*size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static void write_bytes(const char *bytes, size_t size) {
    ck_assert_int_eq(reel_atomic_save(path, bytes, size, NULL), REEL_OK);
}

/* Replaces every occurrence of a text in the file by one as long. */
static void replace_in_file(const char *old, const char *new) {
    size_t size;
    char *const bytes = read_bytes(&size);
    int found = 0;
    for (char *at; (at = memmem(bytes, size, old, strlen(old))) != NULL; found++)
        memcpy(at, new, strlen(old));
    ck_assert_int_gt(found, 0);
    write_bytes(bytes, size);
    free(bytes);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static const float twelve[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const part whole = {"t/data/0", twelve, sizeof twelve};

static void expect_values(reel_pytorch *file, const char *name, int count, const float *values) {
    float got[64];
    reel_error error = {0};
    const int64_t i = reel_pytorch_find(file, name);
    ck_assert_int_ge(i, 0);
    ck_assert_uint_eq(reel_pytorch_at(file, i)->bytes, (size_t)count * sizeof *values);
    ck_assert_msg(reel_pytorch_read(file, i, got, &error) == REEL_OK, "%s", error.message);
    for (int k = 0; k < count; k++)
        ck_assert_msg(got[k] == values[k], "%s: element %d is %g, expected %g", name, k, got[k], values[k]);
}

START_TEST(test_views_are_gathered) {
    const claim claims[] = {
        {"whole", "Float", "0", 12, 0, 2, {3, 4}, {4, 1}},
        {"transposed", "Float", "0", 12, 0, 2, {4, 3}, {1, 4}},
        {"corner", "Float", "0", 12, 5, 2, {2, 2}, {4, 1}},
        {"expanded", "Float", "0", 12, 4, 3, {2, 1, 3}, {0, 77, 0}},
        {"overlapping", "Float", "0", 12, 0, 2, {3, 3}, {1, 2}},
        {"scalar", "Float", "0", 12, 11, 0, {0}, {0}},
        {"none", "Float", "0", 12, 12, 2, {0, 3}, {3, 1}},
    };
    write_stored(claims, 7, &whole, 1);
    reel_pytorch *const file = open_good();
    ck_assert_int_eq(reel_pytorch_count(file), 7);
    ck_assert_str_eq(reel_pytorch_at(file, 0)->name, "corner"); /* sorted */
    ck_assert_int_eq(reel_pytorch_find(file, "x"), -1);
    expect_values(file, "whole", 12, twelve);
    expect_values(file, "transposed", 12, (const float[]){0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
    expect_values(file, "corner", 4, (const float[]){5, 6, 9, 10});
    expect_values(file, "expanded", 6, (const float[]){4, 4, 4, 4, 4, 4});
    expect_values(file, "overlapping", 9, (const float[]){0, 2, 4, 1, 3, 5, 2, 4, 6});
    expect_values(file, "scalar", 1, &twelve[11]);
    expect_values(file, "none", 0, NULL);
    reel_pytorch_close(file);
}
END_TEST

START_TEST(test_loading_converts_as_for_safetensors) {
    const int64_t numbers[] = {-1, 300};
    const uint16_t halves[] = {0x3c00, 0xc000};
    const part parts[] = {{"t/data/0", numbers, sizeof numbers}, {"t/data/1", halves, sizeof halves}};
    const claim claims[] = {{"i", "Long", "0", 2, 0, 1, {2}, {1}}, {"h", "Half", "1", 2, 0, 1, {2}, {1}}};
    write_stored(claims, 2, parts, 2);
    reel_pytorch *const file = open_good();
    reel_tensor *const f32 = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2)),
                       *const u8 = reel_tensor_new(ctx, REEL_U8, REEL_SHAPE(2)),
                       *const three = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(3));
    const float *const values = f32->data;
    ck_assert_int_eq(reel_pytorch_load(ctx, file, "i", f32, NULL), REEL_OK);
    ck_assert(values[0] == -1 && values[1] == 300);
    ck_assert_int_eq(reel_pytorch_load(ctx, file, "h", f32, NULL), REEL_OK);
    ck_assert(values[0] == 1 && values[1] == -2);
    ck_assert_int_eq(reel_pytorch_load(ctx, file, "i", u8, NULL), REEL_ERROR_FORMAT);
    ck_assert_int_eq(reel_pytorch_load(ctx, file, "h", u8, NULL), REEL_ERROR_DTYPE);
    ck_assert_int_eq(reel_pytorch_load(ctx, file, "i", three, NULL), REEL_ERROR_SHAPE);
    ck_assert_int_eq(reel_pytorch_load(ctx, file, "x", f32, NULL), REEL_ERROR_ARGUMENT);
    reel_tensor_free(ctx, f32);
    reel_tensor_free(ctx, u8);
    reel_tensor_free(ctx, three);
    reel_pytorch_close(file);
}
END_TEST

/* ---- tensors that lie -------------------------------------------------------------------------------- */

static const struct {
    claim claim;
    const char *why;
} lies[] = {
    {{"a", "Float", "0", 13, 0, 1, {4}, {1}}, "a storage of 13 elements of F32, in an entry of 48 bytes"},
    {{"a", "Double", "0", 12, 0, 1, {4}, {1}}, "a storage of 12 elements of F64, in an entry of 48 bytes"},
    {{"a", "Float", "0", INT64_MAX, 0, 1, {4}, {1}}, "in an entry of 48 bytes"},
    {{"a", "Float", "0", INT64_C(1) << 62, 0, 1, {4}, {1}}, "in an entry of 48 bytes"},
    {{"a", "Float", "1", 12, 0, 1, {4}, {1}}, "its storage data/1 is missing"},
    {{"a", "Float", "../data.pkl", 2, 0, 1, {2}, {1}}, "its storage data/../data.pkl is missing"},
    {{"a", "Float", "", 0, 0, 1, {0}, {1}}, "its storage data/ is missing"},
    {{"a", "Float", "0", 12, 0, 1, {13}, {1}}, "its last element is number 12 of a storage of 12"},
    {{"a", "Float", "0", 12, 12, 0, {0}, {0}}, "its last element is number 12 of a storage of 12"},
    {{"a", "Float", "0", 12, INT64_MAX, 1, {1}, {1}}, "its last element is number 9223372036854775807"},
    {{"a", "Float", "0", 12, 1, 2, {3, 4}, {4, 1}}, "its last element is number 12"},
    {{"a", "Float", "0", 12, 0, 2, {2, 2}, {INT64_MAX, 1}}, "beyond all numbers"},
    {{"a", "Float", "0", 12, 0, 2, {3, 3}, {INT64_C(1) << 62, 1}}, "beyond all numbers"},
    {{"a", "Float", "0", 12, 0, 2, {5, 1}, {INT64_C(1) << 62, 1}}, "beyond all numbers"},
    {{"a", "Float", "0", 12, INT64_MAX, 1, {2}, {1}}, "beyond all numbers"},
    {{"a", "Float", "0", 12, 0, 2, {INT64_C(1) << 32, INT64_C(1) << 32}, {0, 0}},
     "more elements than there are"},
    {{"a", "Float", "0", 12, 0, 1, {INT64_MAX}, {0}}, "more elements than there are"},
    {{"a", "Float", "0", 12, 0, 2, {1 << 12, 1 << 13}, {0, 0}}, "need more than 64 MiB and 16 times"},
    {{"a", "Float", "0", 12, 0, 1, {INT64_C(1) << 60}, {0}}, "need more than 64 MiB and 16 times"},
};

START_TEST(test_tensors_that_lie_are_refused) {
    write_stored(&lies[_i].claim, 1, &whole, 1);
    expect_refusal(lies[_i].why);
}
END_TEST

START_TEST(test_many_tensors_on_one_storage_are_bounded_together) {
    enum { COUNT = 64 };
    claim claims[COUNT];
    char names[COUNT][8];
    for (int i = 0; i < COUNT; i++) { /* 2 MiB each */
        snprintf(names[i], sizeof names[i], "t%d", i);
        claims[i] = (claim){names[i], "Float", "0", 12, 0, 1, {1 << 19}, {0}};
    }
    write_stored(claims, COUNT / 2, &whole, 1);
    reel_pytorch_close(open_good());
    write_stored(claims, COUNT, &whole, 1);
    expect_refusal("need more than 64 MiB");
}
END_TEST

START_TEST(test_a_name_given_twice_is_refused) {
    const claim claims[] = {{"a", "Float", "0", 12, 0, 1, {4}, {1}}, {"a", "Float", "0", 12, 4, 1, {4}, {1}}};
    write_stored(claims, 2, &whole, 1);
    expect_refusal("tensor 'a': appears twice");
}
END_TEST

/* ---- archives that lie ------------------------------------------------------------------------------- */

static const claim honest = {"a", "Float", "0", 12, 0, 1, {12}, {1}};

START_TEST(test_entries_no_checkpoint_has_are_refused) {
    static const struct {
        part part;
        const char *why;
    } bad[] = {
        {{"t/../x", "", 0}, "entry 't/../x': its name is no plain relative path"},
        {{"../x", "", 0}, "its name is no plain relative path"},
        {{"t/..", "", 0}, "its name is no plain relative path"},
        {{"/etc/x", "", 0}, "its name is no plain relative path"},
        {{"t\\..\\x", "", 0}, "its name is no plain relative path"},
        {{"t/\x1b[2J", "", 0}, "its name is no plain relative path"},
        {{"u/data.pkl", "", 0}, "two entries could be the checkpoint's data.pkl"},
        {{"t/constants.pkl", "", 0}, "a TorchScript archive"},
        {{"t/byteorder", "big", 3}, "its byte order is 'big'"},
        {{"t/byteorder", "", 0}, "its byte order is '?'"},
        {{"t/byteorder", "little endian", 13}, "its byte order is '?'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const part parts[] = {whole, bad[i].part};
        write_stored(&honest, 1, parts, 2);
        expect_refusal(bad[i].why);
    }
    const part fine[] = {whole, {"t/byteorder", "little", 6}, {"t/..x/y..", "", 0}, {"t/version", "3\n", 2}};
    write_stored(&honest, 1, fine, 4);
    reel_pytorch_close(open_good());
}
END_TEST

START_TEST(test_compressed_and_encrypted_entries_are_refused) {
    enum { BOMB_BYTES = 1 << 24 };
    char *const zeros = calloc(1, BOMB_BYTES);
    const claim bomb = {"a", "Float", "0", BOMB_BYTES / 4, 0, 1, {BOMB_BYTES / 4}, {1}};
    const part parts[] = {{"t/data/0", zeros, BOMB_BYTES}};
    write_archive(&bomb, 1, parts, 1, ZIP_CM_DEFLATE, ZIP_EM_NONE);
    expect_refusal("entry 't/data/0': it is compressed");
    free(zeros);
    if (zip_encryption_method_supported(ZIP_EM_AES_256, 1)) {
        write_archive(&honest, 1, &whole, 1, ZIP_CM_STORE, ZIP_EM_AES_256);
        expect_refusal("entry 't/data/0': it is encrypted");
    }
}
END_TEST

START_TEST(test_entries_of_one_name_are_refused) {
    const part parts[] = {whole, {"t/data/1", "other", 5}};
    write_stored(&honest, 1, parts, 2);
    replace_in_file("t/data/1", "t/data/0");
    expect_refusal("");
}
END_TEST

START_TEST(test_what_is_no_archive_is_refused) {
    write_bytes("\x80\x02\x8a\nl\xfc\x9c", 7);
    expect_refusal("the format before 1.6");
    write_bytes("", 0);
    expect_refusal("empty");
    write_bytes("PK", 2);
    expect_refusal("it is no zip archive");
    write_bytes("PK\3\4", 4);
    expect_refusal("no intact zip archive");
    write_stored(&honest, 1, &whole, 1);
    replace_in_file("data.pkl", "data.pkk");
    expect_refusal("there is no data.pkl");
    unlink(path);
    expect_refusal("cannot open: No such file");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_refusal("not a regular file"); /* and does not wait for a writer */
}
END_TEST

/* Opens and reads everything; only the address sanitizer and the kernel can object. */
static int try_to_read(void) {
    reel_pytorch *file;
    reel_error error = {0};
    reel_status status = reel_pytorch_open(&file, path, &error);
    for (int64_t i = 0; status == REEL_OK && i < reel_pytorch_count(file); i++) {
        void *const bytes = malloc(reel_pytorch_at(file, i)->bytes + 1);
        status = reel_pytorch_read(file, i, bytes, &error);
        free(bytes);
    }
    if (file != NULL)
        reel_pytorch_close(file);
    ck_assert_msg(status == REEL_OK || strncmp(error.message, path, strlen(path)) == 0, "'%s'",
                  error.message);
    return status == REEL_OK;
}

START_TEST(test_cut_files_are_refused_and_flipped_bits_survived) {
    size_t size;
    write_stored(&honest, 1, &whole, 1);
    char *const bytes = read_bytes(&size);
    ck_assert(try_to_read());
    for (size_t cut = 0; cut < size; cut++) {
        ck_assert_int_eq(truncate(path, (off_t)cut), 0);
        ck_assert_msg(!try_to_read(), "%zu of %zu bytes are a checkpoint", cut, size);
        write_bytes(bytes, size);
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (char)(1 << i % 8);
        write_bytes(bytes, size);
        try_to_read();
        bytes[i] ^= (char)(1 << i % 8);
    }
    free(bytes);
}
END_TEST

START_TEST(test_a_damaged_storage_is_found_by_its_checksum) {
    float values[2];
    reel_error error = {0};
    const claim two = {"a", "Float", "0", 2, 0, 1, {2}, {1}};
    const part intact = {"t/data/0", "unharmed", sizeof values};
    write_stored(&two, 1, &intact, 1);
    replace_in_file("unharmed", "unharned");
    reel_pytorch *const file = open_good();
    ck_assert_int_eq(reel_pytorch_read(file, 0, values, &error), REEL_ERROR_FORMAT);
    ck_assert_msg(strstr(error.message, "entry 't/data/0': CRC error") != NULL, "%s", error.message);
    reel_pytorch_close(file);
}
END_TEST

/* ---- writing ----------------------------------------------------------------------------------------- */

enum { OURS = REEL_FILE_DTYPES + 2 };

/* One tensor of 6 elements of each dtype, a scalar and an empty one. */
static void make_tensors(reel_file_tensor *tensors) {
    static const char *const names[OURS] = {"f64", "f32", "f16", "bf16", "i64", "i32",
                                            "i16", "i8",  "u8",  "bool", "s",   "none"};
    for (int i = 0; i < OURS; i++) {
        const reel_file_dtype dtype = i < REEL_FILE_DTYPES ? (reel_file_dtype)i : REEL_FILE_F32;
        tensors[i] = (reel_file_tensor){names[i], dtype, 2, {2, 3}, 6 * reel_file_dtype_bytes(dtype)};
    }
    tensors[OURS - 2].rank = 0;
    tensors[OURS - 2].bytes = sizeof(float);
    tensors[OURS - 1].shape[0] = 0;
    tensors[OURS - 1].bytes = 0;
}

/* The bytes of tensor i are i, i + 1 ...; of one called "!" there are none. */
static reel_status count_up(void *source, int64_t i, void *bytes, reel_error *error) {
    const reel_file_tensor *const tensors = source;
    if (tensors[i].name[0] == '!')
        return reel_fail(error, REEL_ERROR_IO, "%s is lost", tensors[i].name);
    for (size_t k = 0; k < tensors[i].bytes; k++)
        ((unsigned char *)bytes)[k] = (unsigned char)((size_t)i + k);
    return REEL_OK;
}

START_TEST(test_what_is_written_is_read) {
    reel_file_tensor tensors[OURS];
    reel_error error = {0};
    make_tensors(tensors);
    ck_assert_msg(reel_pytorch_write(path, tensors, OURS, count_up, tensors, &error) == REEL_OK, "%s",
                  error.message);
    reel_pytorch *const file = open_good();
    ck_assert_int_eq(reel_pytorch_count(file), OURS);
    for (int64_t i = 0; i < OURS; i++) {
        unsigned char got[64], expected[64];
        const int64_t there = reel_pytorch_find(file, tensors[i].name);
        ck_assert_int_ge(there, 0);
        const reel_file_tensor *const t = reel_pytorch_at(file, there);
        ck_assert_int_eq(t->dtype, tensors[i].dtype);
        ck_assert_int_eq(t->rank, tensors[i].rank);
        ck_assert_mem_eq(t->shape, tensors[i].shape, (size_t)t->rank * sizeof *t->shape);
        ck_assert_uint_eq(t->bytes, tensors[i].bytes);
        count_up(tensors, i, expected, NULL);
        ck_assert_int_eq(reel_pytorch_read(file, there, got, NULL), REEL_OK);
        ck_assert_mem_eq(got, expected, t->bytes);
    }
    reel_pytorch_close(file);
}
END_TEST

/* Whether the data of an entry, found by its name in its header, begins at a multiple of 64 bytes. */
static int is_aligned(const char *bytes, size_t size, const char *name) {
    enum { EXTRA_LENGTH = 28, HEADER_BYTES = 30 };
    const char *const found = memmem(bytes, size, name, strlen(name));
    uint16_t extra;
    ck_assert_ptr_nonnull(found);
    memcpy(&extra, found - HEADER_BYTES + EXTRA_LENGTH, sizeof extra);
    return ((size_t)(found - bytes) + strlen(name) + extra) % 64 == 0;
}

START_TEST(test_the_same_tensors_give_the_same_bytes_aligned) {
    reel_file_tensor tensors[OURS];
    size_t size, again_size;
    make_tensors(tensors);
    ck_assert_int_eq(reel_pytorch_write(path, tensors, OURS, count_up, tensors, NULL), REEL_OK);
    char *const bytes = read_bytes(&size);
    ck_assert(is_aligned(bytes, size, "archive/data.pkl"));
    ck_assert(is_aligned(bytes, size, "archive/data/0"));
    ck_assert(is_aligned(bytes, size, "archive/data/7"));
    ck_assert(is_aligned(bytes, size, "archive/data/9"));
    sleep(2); /* the time of an entry has steps of two seconds */
    ck_assert_int_eq(reel_pytorch_write(path, tensors, OURS, count_up, tensors, NULL), REEL_OK);
    char *const again = read_bytes(&again_size);
    ck_assert_uint_eq(size, again_size);
    ck_assert_mem_eq(bytes, again, size);
    free(bytes);
    free(again);
}
END_TEST

START_TEST(test_nothing_is_left_of_what_cannot_be_written) {
    reel_file_tensor tensors[2] = {{"a", REEL_FILE_U8, 1, {2}, 2}, {"!b", REEL_FILE_U8, 1, {2}, 2}};
    reel_error error = {0};
    ck_assert_int_eq(reel_pytorch_write(path, tensors, 2, count_up, tensors, &error), REEL_ERROR_IO);
    ck_assert_str_eq(error.message, "!b is lost");
    tensors[1].name = "a";
    ck_assert_int_eq(reel_pytorch_write(path, tensors, 2, count_up, tensors, NULL), REEL_ERROR_ARGUMENT);
    tensors[1].name = "\n";
    ck_assert_int_eq(reel_pytorch_write(path, tensors, 2, count_up, tensors, NULL), REEL_ERROR_ARGUMENT);
    tensors[1].name = "b";
    tensors[1].bytes = 3;
    ck_assert_int_eq(reel_pytorch_write(path, tensors, 2, count_up, tensors, NULL), REEL_ERROR_ARGUMENT);
    tensors[1].shape[0] = 3;
    ck_assert_int_eq(reel_pytorch_write(in_folder("no/t.pt"), tensors, 2, count_up, tensors, NULL),
                     REEL_ERROR_IO);
    ck_assert_int_eq(access(path, F_OK), -1);
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "[ -z \"$(ls -A '%s')\" ]", folder);
    run_shell(command);
}
END_TEST

START_TEST(test_a_full_disk_leaves_the_old_file) {
    enum { SIZE = 1 << 20 };
    const reel_file_tensor big = {"a", REEL_FILE_U8, 1, {SIZE}, SIZE};
    struct rlimit before, tight;
    reel_error error = {0};
    size_t size;
    write_bytes("old", 3);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 1 << 16;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    const reel_status status = reel_pytorch_write(path, &big, 1, count_up, (void *)(uintptr_t)&big, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    ck_assert_int_eq(status, REEL_ERROR_IO);
    ck_assert_msg(strstr(error.message, "cannot write: File too large") != NULL, "%s", error.message);
    char *const bytes = read_bytes(&size);
    ck_assert_uint_eq(size, 3);
    free(bytes);
}
END_TEST

/* ---- recorded files ---------------------------------------------------------------------------------- */

static const char golden_folder[] = "../shared/golden/checkpoint";

/* The file NAME there, and whether it exists. */
static int golden(const char *name) {
    snprintf(path, sizeof path, "%s/%s", golden_folder, name);
    return access(path, R_OK) == 0;
}

/* trm_att.values.safetensors holds the values of trm_att.pt, some in wider dtypes. */
START_TEST(test_a_published_checkpoint_has_the_values_recorded) {
    reel_safetensors *values;
    if (!golden("trm_att.values.safetensors"))
        return;
    ck_assert_int_eq(reel_safetensors_open(&values, path, NULL), REEL_OK);
    ck_assert(golden("trm_att.pt"));
    reel_pytorch *const file = open_good();
    ck_assert_int_eq(reel_pytorch_count(file), reel_safetensors_count(values));
    for (int64_t i = 0; i < reel_pytorch_count(file); i++) {
        const reel_file_tensor *const t = reel_pytorch_at(file, i);
        const reel_safetensors_entry *const entry = reel_safetensors_find(values, t->name);
        ck_assert_msg(entry != NULL, "%s", t->name);
        const reel_file_tensor wide = reel_safetensors_tensor(entry);
        ck_assert_int_eq(t->rank, wide.rank);
        ck_assert_mem_eq(t->shape, wide.shape, sizeof t->shape);
        char *const bytes = malloc(t->bytes + 1);
        ck_assert_int_eq(reel_pytorch_read(file, i, bytes, NULL), REEL_OK);
        const int64_t count = (int64_t)(t->bytes / reel_file_dtype_bytes(t->dtype));
        for (int64_t k = 0; k < count; k++)
            ck_assert_msg(reel_file_number(t->dtype, bytes, k) ==
                              reel_file_number(wide.dtype, entry->data, k),
                          "%s: element %lld", t->name, (long long)k);
        free(bytes);
    }
    reel_pytorch_close(file);
    reel_safetensors_close(values);
}
END_TEST

START_TEST(test_a_checkpoint_from_the_wild_has_the_sums_recorded) {
    size_t size;
    if (!golden("hrm_toy.sums.json"))
        return;
    char *const text = read_bytes(&size);
    cJSON *const sums = cJSON_ParseWithLength(text, size);
    ck_assert(golden("hrm_toy.pth"));
    reel_pytorch *const file = open_good();
    ck_assert_int_eq(reel_pytorch_count(file), cJSON_GetArraySize(sums));
    for (int64_t i = 0; i < reel_pytorch_count(file); i++) {
        const reel_file_tensor *const t = reel_pytorch_at(file, i);
        const cJSON *const recorded = cJSON_GetObjectItemCaseSensitive(sums, t->name);
        ck_assert_msg(recorded != NULL, "%s", t->name);
        const cJSON *axis = cJSON_GetObjectItemCaseSensitive(recorded, "shape")->child;
        for (int k = 0; k < t->rank; k++, axis = axis->next)
            ck_assert_int_eq(t->shape[k], (int64_t)axis->valuedouble);
        ck_assert_ptr_null(axis);
        ck_assert_int_eq(t->dtype, REEL_FILE_F32);
        float *const values = malloc(t->bytes + 1);
        ck_assert_int_eq(reel_pytorch_read(file, i, values, NULL), REEL_OK);
        double sum = 0, abs_sum = 0;
        for (size_t k = 0; k < t->bytes / sizeof *values; k++) {
            sum += (double)values[k];
            abs_sum += fabs((double)values[k]);
        }
        const double wanted = cJSON_GetObjectItemCaseSensitive(recorded, "sum")->valuedouble;
        const double wanted_abs = cJSON_GetObjectItemCaseSensitive(recorded, "abs_sum")->valuedouble;
        ck_assert_msg(fabs(sum - wanted) <= 1e-12 * wanted_abs, "%s: %.17g, %.17g", t->name, sum, wanted);
        ck_assert_msg(fabs(abs_sum - wanted_abs) <= 1e-12 * wanted_abs, "%s", t->name);
        free(values);
    }
    reel_pytorch_close(file);
    cJSON_Delete(sums);
    free(text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pytorch_file");
    TCase *reading = tcase_create("reading"), *hostile = tcase_create("hostile"),
          *writing = tcase_create("writing"), *recorded = tcase_create("recorded");
    TCase *const cases[] = {reading, hostile, writing, recorded};
    tcase_add_test(reading, test_views_are_gathered);
    tcase_add_test(reading, test_loading_converts_as_for_safetensors);
    tcase_add_loop_test(hostile, test_tensors_that_lie_are_refused, 0, sizeof lies / sizeof lies[0]);
    tcase_add_test(hostile, test_many_tensors_on_one_storage_are_bounded_together);
    tcase_add_test(hostile, test_a_name_given_twice_is_refused);
    tcase_add_test(hostile, test_entries_no_checkpoint_has_are_refused);
    tcase_add_test(hostile, test_compressed_and_encrypted_entries_are_refused);
    tcase_add_test(hostile, test_entries_of_one_name_are_refused);
    tcase_add_test(hostile, test_what_is_no_archive_is_refused);
    tcase_add_test(hostile, test_cut_files_are_refused_and_flipped_bits_survived);
    tcase_add_test(hostile, test_a_damaged_storage_is_found_by_its_checksum);
    tcase_add_test(writing, test_what_is_written_is_read);
    tcase_add_test(writing, test_the_same_tensors_give_the_same_bytes_aligned);
    tcase_add_test(writing, test_nothing_is_left_of_what_cannot_be_written);
    tcase_add_test(writing, test_a_full_disk_leaves_the_old_file);
    tcase_add_test(recorded, test_a_published_checkpoint_has_the_values_recorded);
    tcase_add_test(recorded, test_a_checkpoint_from_the_wild_has_the_sums_recorded);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tcase_add_checked_fixture(cases[i], set_up, tear_down);
        tcase_set_timeout(cases[i], 60);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
