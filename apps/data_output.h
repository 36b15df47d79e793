/* The folder that trm_data writes a data set to (<reel/puzzle_folder.h>). */
#ifndef DATA_OUTPUT_H
#define DATA_OUTPUT_H

#include <reel/puzzle_folder.h>

#include <argp.h>
#include <stdbool.h>

typedef enum data_split { DATA_TRAIN, DATA_TEST, DATA_SPLITS } data_split;

const char *data_split_name(data_split split); /* "train" */
const char *data_table_name(data_split split); /* "train.csv" */

typedef struct data_output {
    const char *folder;       /* --output-dir */
    bool overwrite;           /* --overwrite */
    char *paths[DATA_SPLITS]; /* FOLDER/train, FOLDER/test */
    bool made_folder, made_split[DATA_SPLITS];
} data_output;

/* --output-dir and --overwrite, as a child of a command's parser; its input is a data_output, whose `folder`
 * is the default. */
extern const struct argp data_output_argp;

/* Makes the folder. One that holds a data set already is refused, unless it may be overwritten. */
reel_status data_output_begin(data_output *output, reel_error *error);

/* Begins a split with the one set "all". */
reel_status data_output_split(data_output *output, data_split split, int64_t seq_len,
                              reel_folder_writer **writer, reel_error *error);

/* Before the first split is committed: nothing of what is overwritten looks like a data set any more. */
reel_status data_output_replace(data_output *output, reel_error *error);

/* Ends the output; when the status is an error, folders that were made for it and are empty go away again. */
void data_output_end(data_output *output, reel_status status);

#endif
