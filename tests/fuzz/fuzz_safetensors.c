/* safetensors files: every tensor into every dtype that takes it, and all of them out again. */
#include "fuzz.h"

#include <reel/autograd.h>
#include <reel/safetensors.h>

#include <stdlib.h>
#include <string.h>

static void check_entries(const reel_safetensors *file, size_t file_bytes) {
    size_t total = 0;
    for (int64_t i = 0; i < reel_safetensors_count(file); i++) {
        const reel_safetensors_entry *const entry = reel_safetensors_at(file, i);
        FUZZ_REQUIRE(entry->rank >= 0 && entry->rank <= REEL_MAX_RANK);
        FUZZ_REQUIRE(i == 0 || strcmp(reel_safetensors_at(file, i - 1)->name, entry->name) < 0);
        FUZZ_REQUIRE(reel_safetensors_find(file, entry->name) == entry);
        total += entry->bytes;
        for (size_t b = 0; b < entry->bytes; b++) /* the sanitizer looks on */
            (void)((const volatile char *)entry->data)[b];
    }
    FUZZ_REQUIRE(total < file_bytes);
    for (int64_t i = 0; i < reel_safetensors_metadata_count(file); i++) {
        const reel_safetensors_pair *const pair = reel_safetensors_metadata_at(file, i);
        FUZZ_REQUIRE(reel_safetensors_metadata(file, pair->key) == pair->value);
    }
}

/* The tensor in a dtype, or NULL where it does not convert. */
static reel_tensor *load(const reel_safetensors *file, const reel_safetensors_entry *entry,
                         reel_dtype dtype) {
    reel_context *const ctx = fuzz_context();
    reel_error error = {0};
    reel_tensor *const t = reel_tensor_new(ctx, dtype, entry->rank, entry->shape);
    const reel_status status =
        reel_is_void(t) ? reel_context_status(ctx) : reel_safetensors_load(ctx, file, entry->name, t, &error);
    if (!reel_is_void(t) && status != REEL_OK)
        fuzz_check_refusal(status, &error);
    reel_tape_reset(ctx);
    if (status == REEL_OK)
        return t;
    reel_tensor_free(ctx, t);
    return NULL;
}

/* The widest that holds the values: what F16, I64 and BOOL come to is written as something else. */
static reel_tensor *load_any(const reel_safetensors *file, const reel_safetensors_entry *entry) {
    reel_tensor *loaded = NULL;
    for (int dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        reel_tensor *const t = load(file, entry, (reel_dtype)dtype);
        if (loaded == NULL)
            loaded = t;
        else
            reel_tensor_free(fuzz_context(), t);
    }
    return loaded;
}

static void check_copied(const reel_safetensors *copy, const char *name, const reel_tensor *t) {
    const reel_safetensors_entry *const entry = reel_safetensors_find(copy, name);
    FUZZ_REQUIRE(entry != NULL && entry->rank == t->rank);
    FUZZ_REQUIRE(memcmp(entry->shape, t->shape, (size_t)t->rank * sizeof *t->shape) == 0);
    FUZZ_REQUIRE(entry->bytes == (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype));
    FUZZ_REQUIRE(memcmp(entry->data, t->data, entry->bytes) == 0);
}

/* Writes what could be loaded, with the metadata, and finds it again. */
static void check_copy(const reel_safetensors *file) {
    const int64_t count = reel_safetensors_count(file), pairs = reel_safetensors_metadata_count(file);
    reel_named_tensor *const items = calloc((size_t)count + 1, sizeof *items);
    int64_t used = 0;
    FUZZ_REQUIRE(items != NULL);
    for (int64_t i = 0; i < count; i++) {
        const reel_safetensors_entry *const entry = reel_safetensors_at(file, i);
        reel_tensor *const t = load_any(file, entry);
        if (t != NULL)
            items[used++] = (reel_named_tensor){entry->name, t};
    }
    const char *const path = fuzz_path("copy.safetensors");
    const reel_safetensors_pair *const metadata = pairs > 0 ? reel_safetensors_metadata_at(file, 0) : NULL;
    reel_safetensors *copy;
    reel_error error = {0};
    FUZZ_REQUIRE(reel_safetensors_write(fuzz_context(), path, items, used, metadata, pairs, &error) ==
                 REEL_OK);
    FUZZ_REQUIRE(reel_safetensors_open(&copy, path, &error) == REEL_OK);
    FUZZ_REQUIRE(reel_safetensors_count(copy) == used && reel_safetensors_metadata_count(copy) == pairs);
    for (int64_t i = 0; i < pairs; i++)
        FUZZ_REQUIRE(strcmp(reel_safetensors_metadata(copy, metadata[i].key), metadata[i].value) == 0);
    for (int64_t i = 0; i < used; i++) {
        check_copied(copy, items[i].name, items[i].tensor);
        reel_tensor_free(fuzz_context(), (reel_tensor *)(uintptr_t)items[i].tensor);
    }
    reel_safetensors_close(copy);
    free(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_error error = {0};
    reel_safetensors *file;
    const reel_status status = reel_safetensors_open(&file, fuzz_file(data, size), &error);
    FUZZ_REQUIRE((status == REEL_OK) == (file != NULL));
    if (status != REEL_OK) {
        fuzz_check_refusal(status, &error);
        return 0;
    }
    check_entries(file, size);
    check_copy(file);
    reel_safetensors_close(file);
    return 0;
}
