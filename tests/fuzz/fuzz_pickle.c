/* The machine that reads the pickle of a PyTorch checkpoint. */
#include "fuzz.h"
#include "pickle.h"
#include "safetensors_format.h"

#include <stdlib.h>
#include <string.h>

static void check_tensor(const reel__pickle_tensor *t, const char *pickle, size_t pickle_bytes) {
    const size_t length = strlen(t->name);
    FUZZ_REQUIRE(length <= REEL__PICKLE_MAX_NAME && reel__is_utf8(t->name, length));
    FUZZ_REQUIRE(reel__is_tensor_name(t->name));
    FUZZ_REQUIRE(t->storage >= pickle && t->storage_length <= pickle_bytes);
    FUZZ_REQUIRE(t->storage + t->storage_length <= pickle + pickle_bytes);
    FUZZ_REQUIRE(t->dtype < REEL_FILE_DTYPES && t->rank >= 0 && t->rank <= REEL_MAX_RANK);
    FUZZ_REQUIRE(t->offset >= 0 && t->storage_elements >= 0);
    for (int i = 0; i < t->rank; i++)
        FUZZ_REQUIRE(t->shape[i] >= 0 && t->stride[i] >= 0);
}

/* The tensor as one that fills a storage of its own; of shapes that no storage has, only the name. */
static reel_file_tensor whole(const reel__pickle_tensor *t) {
    reel_file_tensor out = {.name = t->name, .dtype = t->dtype, .bytes = reel_file_dtype_bytes(t->dtype)};
    int64_t bytes = (int64_t)out.bytes;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] == 0 || __builtin_mul_overflow(bytes, t->shape[i], &bytes))
            return out;
    out.rank = t->rank;
    out.bytes = (size_t)bytes;
    memcpy(out.shape, t->shape, sizeof out.shape);
    return out;
}

/* Written and read again, the tensors have their names and shapes and fill their storages. */
static void check_copy(const reel__pickle *pickle) {
    reel_file_tensor *const tensors = calloc((size_t)pickle->count + 1, sizeof *tensors);
    FUZZ_REQUIRE(tensors != NULL);
    for (int64_t i = 0; i < pickle->count; i++)
        tensors[i] = whole(&pickle->tensors[i]);
    size_t bytes;
    reel__pickle again;
    char *const text = reel__pickle_write(tensors, pickle->count, &bytes);
    FUZZ_REQUIRE(text != NULL && reel__pickle_read(&again, "copy", text, bytes, NULL) == REEL_OK);
    FUZZ_REQUIRE(again.count == pickle->count);
    for (int64_t i = 0; i < again.count; i++) {
        const reel__pickle_tensor *const t = &again.tensors[i];
        FUZZ_REQUIRE(strcmp(t->name, tensors[i].name) == 0 && t->dtype == tensors[i].dtype);
        FUZZ_REQUIRE(t->rank == tensors[i].rank && t->offset == 0);
        FUZZ_REQUIRE(memcmp(t->shape, tensors[i].shape, (size_t)t->rank * sizeof *t->shape) == 0);
        FUZZ_REQUIRE((size_t)t->storage_elements * reel_file_dtype_bytes(t->dtype) == tensors[i].bytes);
    }
    reel__pickle_free(&again);
    free(text);
    free(tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel__pickle pickle;
    reel_error error = {0};
    const reel_status status = reel__pickle_read(&pickle, "checkpoint", data, size, &error);
    if (status != REEL_OK) {
        FUZZ_REQUIRE(pickle.tensors == NULL && pickle.count == 0);
        fuzz_check_refusal(status, &error);
        return 0;
    }
    for (int64_t i = 0; i < pickle.count; i++)
        check_tensor(&pickle.tensors[i], (const char *)data, size);
    check_copy(&pickle);
    reel__pickle_free(&pickle);
    return 0;
}
