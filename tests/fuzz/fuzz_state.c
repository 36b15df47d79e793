/* The state that a run continues from, into the trainer of a small run, and the step that follows. */
#include "fuzz.h"
#include "run_state.c" /* for its checksum, which no mutation would get right */

#include <reel/act.h>
#include <reel/autograd.h>

static const char config_text[] = "data_paths: [sudoku:4:2]\nglobal_batch_size: 2\nepochs: 10\n"
                                  "eval_interval: null\nema: True\nthreads: 1\narch: {hidden_size: 2, "
                                  "num_heads: 1, round_width: 2, expansion: 1, L_layers: 1, H_cycles: 1, "
                                  "L_cycles: 1, puzzle_emb_len: 1, forward_dtype: float32}\n";

static train_config config;
static trainer run;
static char good_path[PATH_MAX]; /* the state before its first step */

static void free_run(void) {
    trainer_free(&run);
    train_config_free(&config);
}

static void build_run(void) {
    FUZZ_REQUIRE(train_config_parse(&config, "config", config_text, strlen(config_text), 0, NULL, NULL) ==
                 REEL_OK);
    FUZZ_REQUIRE(trainer_build(&run, &config, TRAINER_BEGINS, NULL) == REEL_OK);
    atexit(free_run);
    snprintf(good_path, sizeof good_path, "%s", fuzz_path("good.safetensors"));
    run.step = 1;
    FUZZ_REQUIRE(run_state_save(&run, &(run_record){0}, good_path, NULL) == REEL_OK);
}

/* Every input meets the same trainer. */
static void restore(void) {
    run_state state;
    FUZZ_REQUIRE(run_state_open(&state, good_path, NULL) == REEL_OK);
    FUZZ_REQUIRE(run_state_load(&state, &run, NULL) == REEL_OK);
    run_state_close(&state);
}

/* What was loaded may make no sense, but a step with it ends. */
static void take_step(void) {
    reel_context *const ctx = run.ctx;
    reel_carry_offer(ctx, run.carry, run.batch.inputs, run.batch.labels, run.batch.puzzle_identifiers);
    reel_carry_explore(ctx, run.model, run.carry, (uint32_t)(run.step + 1));
    const reel_act_result result = reel_act_step(ctx, run.model, run.carry, REEL_ACT_TRAIN);
    reel_backward(ctx, result.loss);
    trainer_count_step(&run);
    reel_tape_reset(ctx);
}

static void load(const char *path) {
    run_state state;
    reel_error error = {0};
    reel_status status = run_state_open(&state, path, &error);
    FUZZ_REQUIRE((status == REEL_OK) == (state.file != NULL));
    if (status == REEL_OK) {
        FUZZ_REQUIRE(state.config != NULL && state.record.step >= 1 && state.record.metrics_lines >= 0);
        restore();
        status = run_state_load(&state, &run, &error);
        if (status == REEL_OK)
            take_step();
        reel_tape_reset(run.ctx);
    }
    if (status != REEL_OK)
        fuzz_check_refusal(status, &error);
    run_state_close(&state);
}

/* Makes the checksum right in a file that is whole but for it; false where that is no change. */
static bool repair(uint8_t *bytes, size_t size) {
    static const char begin[] = "\"checksum\":\"";
    enum { DIGITS = 16 };
    reel_safetensors *file;
    if (reel_safetensors_open(&file, fuzz_file(bytes, size), NULL) != REEL_OK)
        return false;
    number_text sum;
    checksum_text(sum, hash_file(file));
    reel_safetensors_close(file);
    uint8_t *const at = memmem(bytes, size, begin, strlen(begin));
    if (!at || size - (size_t)(at - bytes) < strlen(begin) + DIGITS ||
        memcmp(at + strlen(begin), sum, DIGITS) == 0)
        return false;
    memcpy(at + strlen(begin), sum, DIGITS);
    return true;
}

/* Before libFuzzer limits memory: a first product takes the room of the BLAS, which no input has a say in. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    build_run();
    take_step();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!run.ctx)
        build_run();
    load(fuzz_file(data, size));
    uint8_t *const bytes = malloc(size + 1);
    FUZZ_REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    if (repair(bytes, size))
        load(fuzz_file(bytes, size));
    free(bytes);
    return 0;
}
