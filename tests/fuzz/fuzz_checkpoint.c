/* A stranger's checkpoint, as trm_eval and trm_solve open it: configuration, sizes, model, weights. */
#include "fuzz.h"
#include "model_file.h"

#include <reel/autograd.h>

/* Loads the weights of a file, with no more memory than its size explains. */
static void load(const model_file *file, size_t file_bytes) {
    enum { SOME_CELLS = 4, ALWAYS = 2 << 20, TIMES = 1024 };
    reel_context *const ctx = fuzz_context();
    reel_error error = {0};
    reel_model *model;
    reel_memory_reset_peak(ctx);
    const model_sizes sizes = {.seq_len = file->seq_len > 0 ? file->seq_len : SOME_CELLS,
                               .vocab_size = file->vocab_size,
                               .num_puzzle_identifiers = 1};
    const reel_status status = model_file_load(&model, ctx, file, sizes, &error);
    FUZZ_REQUIRE(status != REEL_ERROR_MEMORY);
    FUZZ_REQUIRE(reel_memory_of(ctx).peak_bytes <= ALWAYS + TIMES * (int64_t)file_bytes);
    if (status != REEL_OK)
        fuzz_check_refusal(status, &error);
    else
        FUZZ_REQUIRE(model != NULL && reel_parameters_elements(reel_model_parameters(model)) > 0);
    reel_model_free(model);
    reel_tape_reset(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_error error = {0};
    model_file file;
    const char *const path = fuzz_path("checkpoint/step_1.safetensors");
    fuzz_write("checkpoint/step_1.safetensors", data, size);
    const reel_status status = model_file_open(&file, path, NULL, 0, NULL, &error);
    if (status == REEL_OK)
        load(&file, size);
    else
        fuzz_check_refusal(status, &error);
    model_file_close(&file);
    return 0;
}
