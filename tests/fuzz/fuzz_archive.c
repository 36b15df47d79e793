/* PyTorch's checkpoints: the zip archive, the pickle in it, the storages. */
#include "fuzz.h"

#include <reel/pytorch.h>

#include <stdlib.h>
#include <string.h>

enum { SOME_BYTES = 1 << 20 }; /* an expanded view may need 64 times as much, and is not read here */

/* ---- checksums --------------------------------------------------------------------------------------- */

/* CRC-32 of ISO 3309, as in zip archives. */
static uint32_t checksum(const uint8_t *bytes, size_t count) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
    }
    return ~crc;
}

static size_t number_at(const uint8_t *at, int bytes) {
    size_t number = 0;
    for (int i = bytes; i-- > 0;)
        number = number << 8 | at[i];
    return number;
}

/* Makes the checksums of a zip archive's entries right, which no mutation would: in the central directory
 * and in front of the entries themselves. */
static void repair(uint8_t *zip, size_t size) {
    enum { CENTRAL_BYTES = 46, CENTRAL_CRC = 16, CENTRAL_SIZE = 20, CENTRAL_PLACE = 42 };
    enum { LOCAL_BYTES = 30, LOCAL_CRC = 14, LOCAL_NAME = 26, LOCAL_EXTRA = 28 };
    for (size_t at = 0; at + CENTRAL_BYTES <= size; at++) {
        if (memcmp(zip + at, "PK\1\2", 4) != 0)
            continue;
        const size_t local = number_at(zip + at + CENTRAL_PLACE, 4);
        const size_t bytes = number_at(zip + at + CENTRAL_SIZE, 4);
        if (local + LOCAL_BYTES > size)
            continue;
        const size_t begin = local + LOCAL_BYTES + number_at(zip + local + LOCAL_NAME, 2) +
                             number_at(zip + local + LOCAL_EXTRA, 2);
        if (begin > size || bytes > size - begin)
            continue;
        const uint32_t crc = checksum(zip + begin, bytes);
        memcpy(zip + at + CENTRAL_CRC, &crc, sizeof crc);
        memcpy(zip + local + LOCAL_CRC, &crc, sizeof crc);
    }
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static void check_tensor(const reel_file_tensor *t) {
    int64_t bytes = (int64_t)reel_file_dtype_bytes(t->dtype);
    FUZZ_REQUIRE(t->rank >= 0 && t->rank <= REEL_MAX_RANK);
    for (int i = 0; i < t->rank; i++)
        FUZZ_REQUIRE(t->shape[i] >= 0 && !__builtin_mul_overflow(bytes, t->shape[i], &bytes));
    FUZZ_REQUIRE((size_t)bytes == t->bytes);
}

static reel_status read_tensor(void *source, int64_t i, void *bytes, reel_error *error) {
    return reel_pytorch_read(source, i, bytes, error);
}

/* All tensors, for a writer: the number of bytes, or -1 if they are too many to read, or one cannot be. */
static int64_t read_all(reel_pytorch *file, reel_file_tensor *tensors) {
    int64_t total = 0;
    for (int64_t i = 0; i < reel_pytorch_count(file); i++) {
        tensors[i] = *reel_pytorch_at(file, i);
        check_tensor(&tensors[i]);
        FUZZ_REQUIRE(reel_pytorch_find(file, tensors[i].name) == i);
        total += (int64_t)tensors[i].bytes;
        if (total > SOME_BYTES)
            return -1;
        void *const bytes = malloc(tensors[i].bytes);
        reel_error error = {0};
        const reel_status status = reel_pytorch_read(file, i, bytes, &error);
        free(bytes);
        if (status != REEL_OK) {
            fuzz_check_refusal(status, &error);
            return -1;
        }
    }
    return total;
}

static void check_same(reel_pytorch *a, reel_pytorch *b) {
    FUZZ_REQUIRE(reel_pytorch_count(a) == reel_pytorch_count(b));
    for (int64_t i = 0; i < reel_pytorch_count(a); i++) {
        const reel_file_tensor *const x = reel_pytorch_at(a, i), *const y = reel_pytorch_at(b, i);
        FUZZ_REQUIRE(strcmp(x->name, y->name) == 0 && x->dtype == y->dtype && x->rank == y->rank);
        FUZZ_REQUIRE(memcmp(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape) == 0);
        char *const x_bytes = malloc(x->bytes + 1), *const y_bytes = malloc(y->bytes + 1);
        FUZZ_REQUIRE(reel_pytorch_read(a, i, x_bytes, NULL) == REEL_OK);
        FUZZ_REQUIRE(reel_pytorch_read(b, i, y_bytes, NULL) == REEL_OK);
        FUZZ_REQUIRE(memcmp(x_bytes, y_bytes, x->bytes) == 0);
        free(x_bytes);
        free(y_bytes);
    }
}

static void read_archive(const uint8_t *bytes, size_t size) {
    reel_error error = {0};
    reel_pytorch *file, *copy;
    const reel_status status = reel_pytorch_open(&file, fuzz_file(bytes, size), &error);
    FUZZ_REQUIRE((status == REEL_OK) == (file != NULL));
    if (status != REEL_OK) {
        fuzz_check_refusal(status, &error);
        return;
    }
    const int64_t count = reel_pytorch_count(file);
    reel_file_tensor *const tensors = calloc((size_t)count + 1, sizeof *tensors);
    FUZZ_REQUIRE(tensors != NULL);
    if (read_all(file, tensors) >= 0) {
        const char *const path = fuzz_path("copy.pt");
        FUZZ_REQUIRE(reel_pytorch_write(path, tensors, count, read_tensor, file, &error) == REEL_OK);
        FUZZ_REQUIRE(reel_pytorch_open(&copy, path, &error) == REEL_OK);
        check_same(file, copy);
        reel_pytorch_close(copy);
    }
    free(tensors);
    reel_pytorch_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_archive(data, size);
    uint8_t *const bytes = malloc(size + 1);
    FUZZ_REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    repair(bytes, size);
    if (memcmp(bytes, data, size) != 0)
        read_archive(bytes, size);
    free(bytes);
    return 0;
}
