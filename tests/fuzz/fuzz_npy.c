/* NumPy's files. */
#include "fuzz.h"

#include <reel/npy.h>

#include <string.h>

static size_t bytes_of(const reel_npy *file) {
    return (size_t)file->count * reel_npy_type_bytes(file->type);
}

/* The shape fills the file from the header's end to its own. */
static void check_file(const reel_npy *file, size_t file_bytes) {
    FUZZ_REQUIRE(file->type < REEL_NPY_TYPES && file->rank >= 0 && file->rank <= REEL_MAX_RANK);
    int64_t count = 1;
    for (int i = 0; i < file->rank && count > 0; i++) {
        FUZZ_REQUIRE(file->shape[i] >= 0);
        count = __builtin_mul_overflow(count, file->shape[i], &count) ? -1 : count;
    }
    FUZZ_REQUIRE(count == file->count || file->count == 0);
    FUZZ_REQUIRE(bytes_of(file) < file_bytes);
    for (int64_t i = 0; i < file->count; i++) {
        const double number = reel_npy_number(file, i);
        if (reel_npy_is_integer(file->type))
            FUZZ_REQUIRE((double)reel_npy_integer(file, i) == number);
    }
}

/* Written and read again it is the same. */
static void check_copy(const reel_npy *file) {
    const char *const path = fuzz_path("copy.npy");
    reel_npy_writer *writer;
    reel_npy *copy;
    if (reel_npy_create(&writer, path, file->type, file->rank, file->shape, NULL) != REEL_OK) {
        FUZZ_REQUIRE(file->count == 0); /* no elements, but axes that no writer would fill */
        return;
    }
    reel_npy_append(writer, file->data, file->count);
    FUZZ_REQUIRE(reel_npy_commit(writer, NULL) == REEL_OK);
    FUZZ_REQUIRE(reel_npy_open(&copy, path, NULL) == REEL_OK);
    FUZZ_REQUIRE(copy->type == file->type && copy->rank == file->rank && copy->count == file->count);
    FUZZ_REQUIRE(memcmp(copy->shape, file->shape, (size_t)file->rank * sizeof *file->shape) == 0);
    FUZZ_REQUIRE(memcmp(copy->data, file->data, bytes_of(file)) == 0);
    reel_npy_close(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_error error = {0};
    reel_npy *file;
    const reel_status status = reel_npy_open(&file, fuzz_file(data, size), &error);
    FUZZ_REQUIRE((status == REEL_OK) == (file != NULL));
    if (status != REEL_OK) {
        fuzz_check_refusal(status, &error);
        return 0;
    }
    check_file(file, size);
    check_copy(file);
    reel_npy_close(file);
    return 0;
}
