#include "data_build.h"

#include "interrupt.h"
#include "trm_data.h"

#include <reel/folders.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- options ----------------------------------------------------------------------------------------- */

enum { KEY_SOURCE_REPO = DATA_FIRST_KEY, KEY_INPUT, KEY_TEST_INPUT, KEY_SUBSAMPLE_SIZE, KEY_SEED };

static error_t take_option(int key, char *value, struct argp_state *state) {
    build_options *const options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->output;
        state->child_inputs[1] = &options->fetch;
        return 0;
    case KEY_SOURCE_REPO:
        options->source_repo = value;
        return 0;
    case KEY_INPUT:
        options->input = value;
        return 0;
    case KEY_TEST_INPUT:
        options->test_input = value;
        return 0;
    case KEY_SUBSAMPLE_SIZE:
        options->subsample_size = data_number(state, "--subsample-size", value, 1, INT32_MAX);
        return 0;
    case KEY_SEED:
        options->seed = (uint64_t)data_number(state, "--seed", value, 0, INT64_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argp_options[] = {
    {"input", KEY_INPUT, "CSV|DIR", 0,
     "Training puzzles, a table with the columns source,question,answer,rating; or a folder that holds the "
     "tables train.csv and test.csv. Nothing is fetched then",
     0},
    {"test-input", KEY_TEST_INPUT, "CSV", 0,
     "Test puzzles; without, where --input is a table, there are none", 0},
    {"source-repo", KEY_SOURCE_REPO, "OWNER/NAME", 0,
     "Fetch train.csv and test.csv from this data set of Hugging Face", 0},
    {"subsample-size", KEY_SUBSAMPLE_SIZE, "N", 0,
     "Take N of the training puzzles, drawn at random (default: all)", 0},
    {"seed", KEY_SEED, "N", 0, "Of every random choice (default: 0)", 0},
    {0},
};
static const struct argp_child children[] = {{.argp = &data_output_argp, .header = "Output:", .group = 2},
                                             {.argp = &data_fetch_argp, .header = "Downloads:", .group = 3},
                                             {0}};
const struct argp build_argp = {.options = argp_options, .parser = take_option, .children = children};

/* ---- tables ------------------------------------------------------------------------------------------ */

static bool is_folder(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static reel_status no_memory(reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory to name the tables");
}

/* What the user named; in a folder the test table may be missing. */
static reel_status find_local(const build_options *options, char **paths, reel_error *error) {
    if (options->input && is_folder(options->input)) {
        paths[DATA_TRAIN] = reel_path_in(options->input, data_table_name(DATA_TRAIN));
        paths[DATA_TEST] = reel_path_in(options->input, data_table_name(DATA_TEST));
        if (!paths[DATA_TRAIN] || !paths[DATA_TEST])
            return no_memory(error);
        if (access(paths[DATA_TEST], F_OK) != 0) {
            free(paths[DATA_TEST]);
            paths[DATA_TEST] = NULL;
        }
    } else if (options->input && !(paths[DATA_TRAIN] = strdup(options->input))) {
        return no_memory(error);
    }
    if (options->test_input) {
        free(paths[DATA_TEST]);
        paths[DATA_TEST] = strdup(options->test_input);
        if (!paths[DATA_TEST])
            return no_memory(error);
    }
    return REEL_OK;
}

/* What the user named, or else what can be fetched. */
static reel_status find_tables(const build_options *options, char **paths, reel_error *error) {
    reel_status status = REEL_OK;
    if (options->input || options->test_input)
        return find_local(options, paths, error);
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++) {
        const fetch_file file = {FETCH_DATASET, options->source_repo, data_table_name(split)};
        status = fetch(&options->fetch, &file, &paths[split], error);
    }
    return status;
}

/* The stream is that of choosing examples; training itself draws from index = epoch, hence the step. */
static const uint32_t subsample_step = UINT32_MAX;

build_sample build_sample_begin(int64_t size, uint64_t seed) {
    return (build_sample){
        .size = size, .random = reel_random_begin(seed, (reel_draw){REEL_STREAM_SAMPLE, 0, subsample_step})};
}

/* Vitter's algorithm R (ACM TOMS 11, 1985): row k is kept with probability size / k. */
int64_t build_sample_place(build_sample *sample) {
    if (sample->seen == UINT32_MAX)
        return -1; /* so many rows are enough to choose from */
    const int64_t before = sample->seen++;
    if (before < sample->size)
        return before;
    const int64_t place = reel_random_below(&sample->random, (uint32_t)sample->seen);
    return place < sample->size ? place : -1;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

reel_status build_begin_split(build *b, data_split split, int64_t seq_len, int64_t vocab_size,
                              reel_error *error) {
    if (b->metadata.seq_len == 0) {
        b->metadata = (reel_folder_metadata){
            .seq_len = seq_len, .vocab_size = vocab_size, .num_puzzle_identifiers = 1}; /* all others are 0 */
    } else if (b->metadata.seq_len != seq_len || b->metadata.vocab_size != vocab_size) {
        return reel_fail(error, REEL_ERROR_SHAPE,
                         "the test puzzles have %" PRId64 " cells and %" PRId64
                         " tokens, the training puzzles %" PRId64 " and %" PRId64,
                         seq_len, vocab_size, b->metadata.seq_len, b->metadata.vocab_size);
    }
    return data_output_split(b->output, split, seq_len, &b->writers[split], error);
}

void build_add(build *b, data_split split, const uint8_t *inputs, const uint8_t *labels) {
    enum { ANY_PUZZLE = 0 }; /* the one identifier */
    reel_folder_add_examples(b->writers[split], 1, inputs, labels);
    reel_folder_end_puzzle(b->writers[split], ANY_PUZZLE);
}

/* Another part of the work begins, with its own speed. */
static void restart_bar(build *b, const char *what) {
    const status_line line = b->bar.line;
    b->bar = progress_bar_on(line.out, what, "puzzles", 1, 0);
    b->bar.line = line;
}

reel_status build_go_on(build *b, const char *what, int64_t done, int64_t total, reel_error *error) {
    if (strcmp(what, b->bar.what) != 0)
        restart_bar(b, what);
    progress_bar_show(&b->bar, done, total);
    if (!interrupt_signal())
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_STATE, "%s: stopped before it was complete; nothing was written",
                     b->output->folder);
}

reel_status build_end_group(build *b, data_split split, int64_t total, reel_error *error) {
    const reel_folder_writer *const writer = b->writers[split];
    reel_folder_end_group(b->writers[split]);
    if (reel_folder_examples(writer) > INT32_MAX) /* before the disk is full of what cannot be used */
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: more than %d puzzles, which is what the layout can hold", b->output->folder,
                         INT32_MAX);
    return build_go_on(b, data_split_name(split), reel_folder_groups(writer), total, error);
}

/* Everything is on the disk before anything has its name. Test first: what trains is complete when it is
 * there. */
static reel_status commit(build *b, reel_error *error) {
    static const char *const names[] = {"<blank>"};
    reel_status status = REEL_OK;
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++)
        if (b->writers[split])
            status = reel_folder_flush(b->writers[split], error);
    if (status == REEL_OK)
        status = data_output_replace(b->output, error);
    if (status == REEL_OK)
        status = reel_folder_write_identifiers(b->output->folder, names, 1, error);
    for (int split = DATA_SPLITS - 1; status == REEL_OK && split >= 0; split--) {
        if (!b->writers[split])
            continue;
        b->metadata.total_puzzles = reel_folder_groups(b->writers[split]); /* as published */
        status = reel_folder_commit(b->writers[split], &b->metadata, error);
        b->writers[split] = NULL;
    }
    return status;
}

enum { SUMMARY_BYTES = 256 };

/* "train: 1000 puzzles, 1001000 with their variants; test: 2000 puzzles" */
static void describe(const build *b, char text[static SUMMARY_BYTES]) {
    size_t used = 0;
    text[0] = '\0';
    for (int split = 0; split < DATA_SPLITS; split++) {
        const reel_folder_writer *const writer = b->writers[split];
        if (!writer)
            continue;
        const int64_t groups = reel_folder_groups(writer), examples = reel_folder_examples(writer);
        used += (size_t)snprintf(text + used, SUMMARY_BYTES - used, "%s%s: %" PRId64 " puzzles",
                                 used ? "; " : "", data_split_name(split), groups);
        if (examples != groups)
            used += (size_t)snprintf(text + used, SUMMARY_BYTES - used, ", %" PRId64 " with their variants",
                                     examples);
    }
}

reel_status build_run(data_output *output, const build_options *options, build_reader *read, void *arg,
                      reel_error *error) {
    build b = {.output = output, .bar = progress_bar_on(stdout, "", "puzzles", 1, 0)};
    char summary[SUMMARY_BYTES];
    reel_status status = data_output_begin(output, error);
    if (status == REEL_OK && options)
        status = find_tables(options, b.tables, error);
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++)
        status = read(arg, &b, split, error);
    describe(&b, summary);
    if (status == REEL_OK)
        status = commit(&b, error);
    status_line_clear(&b.bar.line);
    if (status == REEL_OK)
        printf("%s: %s\n", output->folder, summary);
    for (int split = 0; split < DATA_SPLITS; split++) {
        reel_folder_discard(b.writers[split]);
        free(b.tables[split]);
    }
    data_output_end(output, status);
    return status;
}
