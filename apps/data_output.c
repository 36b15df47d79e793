#include "data_output.h"

#include "trm_data.h"

#include <reel/folders.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *data_split_name(data_split split) {
    return split == DATA_TRAIN ? "train" : "test";
}

const char *data_table_name(data_split split) {
    return split == DATA_TRAIN ? "train.csv" : "test.csv";
}

/* ---- options ----------------------------------------------------------------------------------------- */

enum { KEY_OUTPUT_DIR = DATA_FIRST_KEY, KEY_OVERWRITE };

static error_t take_option(int key, char *value, struct argp_state *state) {
    data_output *const output = state->input;
    if (key == KEY_OUTPUT_DIR)
        output->folder = value;
    else if (key == KEY_OVERWRITE)
        output->overwrite = true;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp_option options[] = {
    {"output-dir", KEY_OUTPUT_DIR, "DIR", 0, "Where the data set goes", 0},
    {"overwrite", KEY_OVERWRITE, NULL, 0, "Replace a data set that is there", 0},
    {0},
};
const struct argp data_output_argp = {.options = options, .parser = take_option};

/* ---- folders ----------------------------------------------------------------------------------------- */

static reel_status no_memory(const data_output *output, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", output->folder);
}

/* What makes a folder a data set. */
static const char *const marks[] = {"train/dataset.json", "test/dataset.json", "test_puzzles.json"};
enum { MARKS = sizeof marks / sizeof marks[0] };

static reel_status refuse_data_set(const data_output *output, reel_error *error) {
    for (int i = 0; i < MARKS; i++) {
        char *const path = reel_path_in(output->folder, marks[i]);
        if (!path)
            return no_memory(output, error);
        const bool exists = access(path, F_OK) == 0;
        free(path);
        if (exists)
            return reel_fail(error, REEL_ERROR_STATE,
                             "%s: holds a data set already (%s); --overwrite replaces it", output->folder,
                             marks[i]);
    }
    return REEL_OK;
}

reel_status data_output_begin(data_output *output, reel_error *error) {
    int made = 0;
    reel_status status = REEL_OK;
    if (!output->overwrite)
        status = refuse_data_set(output, error);
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++) {
        output->paths[split] = reel_path_in(output->folder, data_split_name(split));
        if (!output->paths[split])
            status = no_memory(output, error);
    }
    if (status == REEL_OK)
        status = reel_make_folders(output->folder, &made, error);
    output->made_folder = made;
    if (status == REEL_OK && access(output->folder, W_OK | X_OK) != 0)
        status = reel_fail(error, REEL_ERROR_IO, "%s: %s", output->folder, strerror(errno));
    return status;
}

reel_status data_output_split(data_output *output, data_split split, int64_t seq_len,
                              reel_folder_writer **writer, reel_error *error) {
    int made;
    reel_status status = reel_make_folders(output->paths[split], &made, error);
    if (status == REEL_OK) {
        output->made_split[split] = made;
        status = reel_folder_create(writer, output->paths[split], "all", seq_len, error);
    }
    return status;
}

reel_status data_output_replace(data_output *output, reel_error *error) {
    for (int i = 0; i < MARKS; i++) {
        char *const path = reel_path_in(output->folder, marks[i]);
        if (!path)
            return no_memory(output, error);
        const bool gone = unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR;
        free(path);
        if (!gone)
            return reel_fail(error, REEL_ERROR_IO, "%s: cannot replace %s: %s", output->folder, marks[i],
                             strerror(errno));
    }
    return REEL_OK;
}

void data_output_end(data_output *output, reel_status status) {
    for (int split = 0; split < DATA_SPLITS; split++) {
        if (status != REEL_OK && output->made_split[split])
            rmdir(output->paths[split]);
        free(output->paths[split]);
    }
    if (status != REEL_OK && output->made_folder)
        rmdir(output->folder);
}
