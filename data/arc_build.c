/* An ARC data set in the published layout. */
#include "arc_plan.h"
#include "context.h"
#include "json_file.h"

#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK_EXAMPLES = 4096, /* made at once; two chunks are in memory */
    PIECE_PUZZLES = 32,    /* made by one thread at once */
    BUFFERS = 2,
};

/* Some puzzles with their examples. */
typedef struct chunk {
    int64_t first_puzzle, end_puzzle;
    int64_t first_example, end_example;
    uint8_t *inputs, *labels; /* (examples, REEL_ARC_SEQ_LEN) */
} chunk;

typedef struct builder {
    const reel_arc_plan *plan;
    const char *dir;
    reel_context *ctx; /* for its threads */
    chunk chunks[BUFFERS];
    int64_t room; /* examples in each */
    int64_t written, total;
    reel_arc_build_watch *watch;
    void *watch_arg;
    reel_folder_writer *writers[REEL_ARC_SPLITS];
} builder;

static const char *const split_names[REEL_ARC_SPLITS] = {
    [REEL_ARC_TRAIN] = "train", [REEL_ARC_TEST] = "test"};

static reel_status no_memory(const builder *b, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to build a data set", b->dir);
}

/* ---- examples ---------------------------------------------------------------------------------------- */

/* What one round does: the chunk made in the last round is written while the next one is made. */
typedef struct round {
    const builder *builder;
    reel_arc_split split;
    const chunk *write, *make;
} round;

static void make_puzzles(const round *r, int64_t first, int64_t end) {
    const reel_arc_plan *plan = r->builder->plan;
    for (int64_t p = first; p < end; p++) {
        const reel_arc_puzzle puzzle = reel_arc_plan_puzzle(plan, r->split, p);
        for (int32_t i = 0; i < puzzle.example_count; i++) {
            const int64_t at = (puzzle.first_example + i - r->make->first_example) * REEL_ARC_SEQ_LEN;
            reel_arc_write_example(plan, r->split, p, i, r->make->inputs + at, r->make->labels + at);
        }
    }
}

static void write_puzzles(const round *r) {
    const builder *b = r->builder;
    reel_folder_writer *writer = b->writers[r->split];
    const reel_arc_layout layout = reel_arc_plan_layout(b->plan, r->split);
    for (int64_t p = r->write->first_puzzle; p < r->write->end_puzzle; p++) {
        const reel_arc_puzzle puzzle = reel_arc_plan_puzzle(b->plan, r->split, p);
        const int64_t at = (puzzle.first_example - r->write->first_example) * REEL_ARC_SEQ_LEN;
        reel_folder_add_examples(writer, puzzle.example_count, r->write->inputs + at, r->write->labels + at);
        reel_folder_end_puzzle(writer, puzzle.identifier);
        if (p + 1 == layout.first_puzzle[puzzle.group + 1])
            reel_folder_end_group(writer);
    }
}

/* Piece 0 writes, the others make PIECE_PUZZLES each. */
static void run_piece(int64_t begin, int64_t end, void *arg) {
    const round *r = arg;
    for (int64_t piece = begin; piece < end; piece++) {
        if (piece == 0) {
            write_puzzles(r);
            continue;
        }
        const int64_t first = r->make->first_puzzle + (piece - 1) * PIECE_PUZZLES;
        const int64_t last = first + PIECE_PUZZLES;
        make_puzzles(r, first, last < r->make->end_puzzle ? last : r->make->end_puzzle);
    }
}

/* The puzzles from `first` on that fit into a chunk. */
static void take_puzzles(const builder *b, reel_arc_split split, int64_t first, chunk *c) {
    const int64_t end = reel_arc_plan_layout(b->plan, split).puzzle_count;
    c->first_puzzle = c->end_puzzle = first;
    c->first_example = c->end_example = 0;
    while (c->end_puzzle < end) {
        const reel_arc_puzzle puzzle = reel_arc_plan_puzzle(b->plan, split, c->end_puzzle);
        const int64_t end_example = puzzle.first_example + puzzle.example_count;
        if (c->end_puzzle == first)
            c->first_example = puzzle.first_example;
        if (end_example - c->first_example > b->room)
            return;
        c->end_example = end_example;
        c->end_puzzle++;
    }
}

static reel_status build_split(builder *b, reel_arc_split split, reel_error *error) {
    const int64_t puzzles = reel_arc_plan_layout(b->plan, split).puzzle_count;
    chunk *write = &b->chunks[0], *make = &b->chunks[1];
    take_puzzles(b, split, 0, write); /* nothing is in it yet */
    write->end_puzzle = 0;
    for (int64_t next = 0; next < puzzles || write->first_puzzle < write->end_puzzle;) {
        take_puzzles(b, split, next, make);
        round r = {b, split, write, make};
        const int64_t pieces = (make->end_puzzle - make->first_puzzle + PIECE_PUZZLES - 1) / PIECE_PUZZLES;
        reel__parallel_for(b->ctx, 1 + pieces, 1, run_piece, &r);
        next = make->end_puzzle;
        b->written += write->end_puzzle > write->first_puzzle ? write->end_example - write->first_example : 0;
        if (b->watch != NULL && b->watch(b->written, b->total, b->watch_arg) != 0)
            return reel_fail(error, REEL_ERROR_STATE,
                             "%s: stopped before it was complete; nothing was written", b->dir);
        chunk *const made = make;
        make = write;
        write = made;
    }
    return REEL_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

static reel_status write_identifiers(const builder *b, reel_error *error) {
    const int64_t count = reel_arc_plan_identifier_count(b->plan);
    size_t bytes = 0;
    for (int64_t i = 0; i < count; i++)
        bytes += (size_t)reel_arc_plan_identifier_name(b->plan, i, NULL, 0) + 1;
    char *text = malloc(bytes + 1), *at = text;
    const char **names = malloc((size_t)count * sizeof *names);
    for (int64_t i = 0; text != NULL && names != NULL && i < count; i++) {
        names[i] = at;
        at += reel_arc_plan_identifier_name(b->plan, i, at, bytes - (size_t)(at - text)) + 1;
    }
    const reel_status status = text != NULL && names != NULL
                                   ? reel_folder_write_identifiers(b->dir, names, count, error)
                                   : no_memory(b, error);
    free(text);
    free(names);
    return status;
}

static void write_text(reel_atomic_file *file, const char *text) {
    reel_atomic_write(file, text, strlen(text));
}

static void write_pairs(reel_atomic_file *file, const char *key, const reel_arc_pair *pairs, int count) {
    write_text(file, key);
    for (int i = 0; i < count; i++) {
        write_text(file, i == 0 ? "{\"input\": " : ", {\"input\": ");
        reel__arc_write_grid(file, &pairs[i].input);
        write_text(file, ", \"output\": ");
        reel__arc_write_grid(file, &pairs[i].output);
        write_text(file, "}");
    }
    write_text(file, "]");
}

static reel_status write_test_puzzles(const builder *b, reel_error *error) {
    int64_t count;
    const reel_arc_task **tasks = reel__arc_test_tasks(b->plan, &count);
    char *path = reel_path_in(b->dir, "test_puzzles.json");
    reel_atomic_file *file = NULL;
    reel_status status =
        tasks != NULL && path != NULL ? reel_atomic_open(&file, path, error) : no_memory(b, error);
    if (status == REEL_OK) {
        write_text(file, "{");
        for (int64_t i = 0; i < count; i++) {
            write_text(file, i == 0 ? "" : ", ");
            reel__json_write_string(file, tasks[i]->id);
            write_pairs(file, ": {\"train\": [", tasks[i]->pairs, tasks[i]->train_count);
            write_pairs(file, ", \"test\": [", tasks[i]->pairs + tasks[i]->train_count, tasks[i]->test_count);
            write_text(file, "}");
        }
        write_text(file, "}");
        status = reel_atomic_commit(file, error);
    }
    free(path);
    free(tasks);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static char *split_path(const builder *b, int split) {
    return reel_path_in(b->dir, split_names[split]);
}

static bool has_split(const builder *b, int split) {
    return reel_arc_plan_layout(b->plan, split).group_count > 0;
}

static reel_status begin_split(builder *b, int split, reel_error *error) {
    char *path = split_path(b, split);
    const reel_status status =
        path == NULL ? no_memory(b, error)
                     : reel_folder_create(&b->writers[split], path, "all", REEL_ARC_SEQ_LEN, error);
    free(path);
    return status;
}

/* A chunk holds at least the largest puzzle. */
static reel_status begin(builder *b, int threads, reel_error *error) {
    b->room = CHUNK_EXAMPLES;
    for (int64_t t = 0; t < b->plan->task_count; t++) {
        const int64_t pairs = (int64_t)b->plan->tasks[t]->train_count + b->plan->tasks[t]->test_count;
        if (pairs > b->room)
            b->room = pairs;
    }
    for (int i = 0; i < BUFFERS; i++) {
        b->chunks[i].inputs = malloc((size_t)b->room * REEL_ARC_SEQ_LEN);
        b->chunks[i].labels = malloc((size_t)b->room * REEL_ARC_SEQ_LEN);
        if (b->chunks[i].inputs == NULL || b->chunks[i].labels == NULL)
            return no_memory(b, error);
    }
    const reel_context_options options = {.threads = threads};
    reel_status status = reel_context_new(&b->ctx, &options, error);
    for (int split = 0; split < REEL_ARC_SPLITS && status == REEL_OK; split++) {
        b->total += reel_arc_plan_layout(b->plan, split).example_count;
        if (has_split(b, split))
            status = begin_split(b, split, error);
    }
    return status;
}

static reel_status commit_split(builder *b, int split, reel_error *error) {
    const reel_folder_metadata metadata = {
        .pad_id = REEL_ARC_PAD,
        .ignore_label_id = REEL_ARC_PAD,
        .blank_identifier_id = REEL_ARC_BLANK,
        .vocab_size = REEL_ARC_VOCAB_SIZE,
        .num_puzzle_identifiers = reel_arc_plan_identifier_count(b->plan),
    };
    reel_folder_writer *writer = b->writers[split];
    b->writers[split] = NULL;
    return reel_folder_commit(writer, &metadata, error);
}

static void remove_file(const char *folder, const char *name) {
    char *path = folder != NULL ? reel_path_in(folder, name) : NULL;
    if (path != NULL)
        unlink(path);
    free(path);
}

/* From here on a data set that was there before is none any more: nothing of it is mixed with this one. */
static void remove_old(const builder *b) {
    for (int split = 0; split < REEL_ARC_SPLITS; split++) {
        char *folder = split_path(b, split);
        remove_file(folder, "dataset.json");
        free(folder);
    }
}

/* All that takes long comes before anything takes its name; the training split, without which there is no
 * data set, is the last. */
static reel_status build(builder *b, int threads, reel_error *error) {
    reel_status status = begin(b, threads, error);
    for (int split = 0; split < REEL_ARC_SPLITS && status == REEL_OK; split++)
        if (has_split(b, split))
            status = build_split(b, split, error);
    for (int split = 0; split < REEL_ARC_SPLITS && status == REEL_OK; split++)
        if (has_split(b, split))
            status = reel_folder_flush(b->writers[split], error);
    if (status == REEL_OK) {
        remove_old(b);
        status = write_identifiers(b, error);
    }
    if (status == REEL_OK)
        status = write_test_puzzles(b, error);
    for (int split = REEL_ARC_SPLITS - 1; split >= 0 && status == REEL_OK; split--)
        if (has_split(b, split))
            status = commit_split(b, split, error);
    return status;
}

/* Takes away what a failed build made; folders with something in them stay. */
static void clean_up(builder *b, int made_folder) {
    for (int split = 0; split < REEL_ARC_SPLITS; split++) {
        reel_folder_discard(b->writers[split]);
        char *path = split_path(b, split);
        if (path != NULL)
            rmdir(path);
        free(path);
    }
    if (made_folder) {
        remove_file(b->dir, "identifiers.json");
        remove_file(b->dir, "test_puzzles.json");
        rmdir(b->dir);
    }
}

reel_status reel_arc_build(const reel_arc_plan *plan, const char *dir, int threads,
                           reel_arc_build_watch *watch, void *arg, reel_error *error) {
    builder b = {.plan = plan, .dir = dir, .watch = watch, .watch_arg = arg};
    int made_folder;
    reel_status status = reel_make_folders(dir, &made_folder, error);
    if (status != REEL_OK)
        return status;
    status = build(&b, threads, error);
    if (status != REEL_OK)
        clean_up(&b, made_folder);
    for (int i = 0; i < BUFFERS; i++) {
        free(b.chunks[i].inputs);
        free(b.chunks[i].labels);
    }
    reel_context_free(b.ctx);
    return status;
}
