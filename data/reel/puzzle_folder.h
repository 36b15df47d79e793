/* Data sets in the published layout (TinyRecursiveModels, puzzle_dataset.py and dataset/):
 *
 *     D/{train,test}/dataset.json                  the metadata below
 *     D/{train,test}/SET__inputs.npy               (examples, seq_len) tokens
 *     D/{train,test}/SET__labels.npy               (examples, seq_len) tokens, or ignore_label_id
 *     D/{train,test}/SET__puzzle_identifiers.npy   (puzzles)
 *     D/{train,test}/SET__puzzle_indices.npy       (puzzles + 1): puzzle p has examples from [p] to [p + 1]
 *     D/{train,test}/SET__group_indices.npy        (groups + 1): group g has puzzles from [g] to [g + 1]
 *     D/identifiers.json                           names of the puzzle identifiers
 *
 * with one or more sets in a split, usually the one set "all". */
#ifndef REEL_PUZZLE_FOLDER_H
#define REEL_PUZZLE_FOLDER_H

#include <reel/npy.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { REEL_NO_IGNORE_LABEL = INT32_MIN }; /* ignore_label_id: null */

/* dataset.json. The learning-rate schedule follows total_groups and mean_puzzle_examples; total_puzzles is
 * the number of groups in published Sudoku and Maze data and means nothing to a reader. */
typedef struct reel_folder_metadata {
    int64_t pad_id;          /* the token behind the end of a puzzle */
    int64_t ignore_label_id; /* a label that no loss counts, or REEL_NO_IGNORE_LABEL */
    int64_t blank_identifier_id;
    int64_t vocab_size, seq_len, num_puzzle_identifiers;
    int64_t total_groups, total_puzzles;
    double mean_puzzle_examples;
} reel_folder_metadata;

/* ---- reading ----------------------------------------------------------------------------------------- */

/* One set of a split. Plain and readable, made only by the library. */
typedef struct reel_folder_set {
    char *name;
    int64_t groups, puzzles, examples;
    reel_npy *inputs, *labels;   /* (examples, seq_len) of an integer type, mapped */
    int64_t *puzzle_identifiers; /* (puzzles) */
    int64_t *puzzle_indices;     /* (puzzles + 1) */
    int64_t *group_indices;      /* (groups + 1) */
} reel_folder_set;

/* A split. Plain and readable, made only by the library. */
typedef struct reel_folder {
    char *path;
    reel_folder_metadata metadata;
    int set_count;
    reel_folder_set *sets;
} reel_folder;

/* 1 if `path` is one split, "D/train", and not the whole data set D: it holds a dataset.json. */
REEL_API int reel_folder_is_split(const char *path);

/* Opens one split, "D/train", and checks all of it: dataset.json and the arrays against each other, types and
 * shapes, indices that begin at 0, never fall and end at the number of what they index, no group without a
 * puzzle, identifiers and tokens in range. Of the arrays, integers of any type are taken. *folder is NULL
 * upon an error: IO, FORMAT, DTYPE for an array that is not of integers, MEMORY. */
REEL_API reel_status reel_folder_open(reel_folder **folder, const char *path, reel_error *error);

/* Frees it with all that it has given out. NULL is accepted. */
REEL_API void reel_folder_close(reel_folder *folder);

/* Plain and readable, made only by the library. */
typedef struct reel_names {
    int64_t count;
    char **items;
} reel_names;

/* Reads D/identifiers.json, an array of strings; `path` is D. Freed by reel_names_free; *names is NULL upon
 * an error: IO, FORMAT, MEMORY. */
REEL_API reel_status reel_folder_read_identifiers(const char *path, reel_names **names, reel_error *error);

/* Frees it with all that it holds. NULL is accepted. */
REEL_API void reel_names_free(reel_names *names);

/* ---- writing ----------------------------------------------------------------------------------------- */

/* A split that is being written. */
typedef struct reel_folder_writer reel_folder_writer;

/* Begins one split with one set; the folder is made. Nothing of it changes before commit, and until then
 * memory stays the same however much is written. It ends with exactly one of reel_folder_commit and
 * reel_folder_discard. *writer is NULL upon an error: IO, ARGUMENT for a path that is too long, MEMORY. */
REEL_API reel_status reel_folder_create(reel_folder_writer **writer, const char *path, const char *set,
                                        int64_t seq_len, reel_error *error);

/* Appends examples, `count` rows of seq_len tokens each, to the puzzle that ends next. The first failure is
 * kept; commit reports it. */
REEL_API void reel_folder_add_examples(reel_folder_writer *writer, int64_t count, const uint8_t *inputs,
                                       const uint8_t *labels);
/* Ends a puzzle, whose examples have been added. */
REEL_API void reel_folder_end_puzzle(reel_folder_writer *writer, int64_t identifier);
/* Ends a group, which has at least one puzzle. */
REEL_API void reel_folder_end_group(reel_folder_writer *writer);

REEL_API int64_t reel_folder_groups(const reel_folder_writer *writer);   /* that have ended */
REEL_API int64_t reel_folder_puzzles(const reel_folder_writer *writer);  /* that have ended */
REEL_API int64_t reel_folder_examples(const reel_folder_writer *writer); /* that have been added */

/* Brings the arrays onto the disk, so that of a commit little but the renames is left. Of two splits that
 * belong together, neither is committed before both have been flushed. Nothing is added afterwards. Errors:
 * as commit. */
REEL_API reel_status reel_folder_flush(reel_folder_writer *writer, reel_error *error);

/* Gives the arrays their names, writes the metadata and frees `writer` whatever happens. Of the metadata,
 * seq_len, total_groups and mean_puzzle_examples are those of what was written, and so is total_puzzles where
 * it is 0. Commit brings everything onto the disk and only then replaces what the folder held; dataset.json
 * appears last, so that a folder without it is not whole. Errors: the first of a call before, ARGUMENT for
 * indices beyond 32 bits, IO, MEMORY. */
REEL_API reel_status reel_folder_commit(reel_folder_writer *writer, const reel_folder_metadata *metadata,
                                        reel_error *error);
/* Leaves the folder as it was and frees `writer`. NULL is accepted. */
REEL_API void reel_folder_discard(reel_folder_writer *writer);

/* Writes D/identifiers.json, atomically; `path` is D, names are UTF-8. Errors: IO, MEMORY. */
REEL_API reel_status reel_folder_write_identifiers(const char *path, const char *const *names, int64_t count,
                                                   reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
