/* Mazes like those of Maze-Hard: find a shortest path from S to G around walls. Check, solve, generate,
 * transform, read and write.
 *
 * A maze is `size * size` bytes, row by row, which are its tokens too, as published: 1 wall, 2 free, 3 start,
 * 4 goal, 5 path; 0 is padding. Steps go up, down, left and right. */
#ifndef REEL_MAZE_H
#define REEL_MAZE_H

#include <reel/puzzle_set.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a maze. */
typedef enum reel_maze_cell {
    REEL_MAZE_WALL = 1,
    REEL_MAZE_FREE,
    REEL_MAZE_START,
    REEL_MAZE_GOAL,
    REEL_MAZE_PATH, /* in answers only */
    REEL_MAZE_VOCAB_SIZE,
} reel_maze_cell;

/* "# SGo": the character of cell c is [c - 1]. */
REEL_API extern const char reel_maze_characters[];

enum {
    REEL_MAZE_MIN_SIZE = 4,
    REEL_MAZE_MAX_SIZE = 64,
    REEL_MAZE_MAX_CELLS = REEL_MAZE_MAX_SIZE * REEL_MAZE_MAX_SIZE,
    REEL_MAZE_VARIANTS = 8,
};

/* A rating is the length of the path in steps. */
typedef reel_puzzle_set reel_maze_set;
/* One maze of such a set or of a file. */
typedef reel_puzzle_row reel_maze_row;

/* ---- one maze ---------------------------------------------------------------------------------------- */

/* REEL_OK if `question` has one start and one goal, and `answer` is the same with a shortest path between
 * them marked; otherwise the error says what is wrong: FORMAT, or ARGUMENT for a size that is none. */
REEL_API reel_status reel_maze_check(int size, const uint8_t *question, const uint8_t *answer,
                                     reel_error *error);

/* Marks in `answer`, which may be NULL, the shortest path that a breadth-first search from the start finds
 * which looks down, left, right and up in this order: the label of every published maze. Returns its steps,
 * or -1 where there is no way, or not one start and one goal. `answer` may be `question`. */
REEL_API int32_t reel_maze_solve(int size, const uint8_t *question, uint8_t *answer);

/* Draws a maze with one shortest path: of a few mazes of random walls the one in which two cells lie farthest
 * from each other, with those as start and goal, and with walls on what other paths would be as short.
 * Returns the steps, or -1 if nothing came of this draw. */
REEL_API int32_t reel_maze_make(int size, reel_random *random, uint8_t *question, uint8_t *answer);

/* The maze, or its answer, turned and mirrored: 0 leaves it, 1 to 7 are the other symmetries of the square,
 * as numbered by the published code (dataset/common.py, dihedral_transform). `out` must not overlap `maze`.
 */
REEL_API void reel_maze_variant(int size, const uint8_t *maze, int variant, uint8_t *out);

/* ---- sets -------------------------------------------------------------------------------------------- */

/* Makes `count` mazes of which no two are equal, turned and mirrored included, nor any to one of `exclude`
 * (which may be NULL). The same arguments give the same set; a set with `exclude` is drawn from another
 * sequence than one without. Freed by reel_puzzle_set_free. Errors: ARGUMENT for a size or count out of
 * range, or where so many do not exist, MEMORY. */
REEL_API reel_status reel_maze_generate(int size, int64_t count, uint64_t seed, const reel_maze_set *exclude,
                                        reel_maze_set **set, reel_error *error);

/* Reads a CSV file with a header row and at least the columns `question` and `answer` (Maze-Hard also has
 * `source`, which is ignored, and `rating`, 0 where the column is missing). Every answer is checked. Freed by
 * reel_puzzle_set_free; *set is NULL upon an error, which names file and line: IO, FORMAT, MEMORY. */
REEL_API reel_status reel_maze_read_csv(const char *path, reel_maze_set **set, reel_error *error);

/* The same, row by row, for files that need not fit into memory. `arg` is passed on to visit. */
REEL_API reel_status reel_maze_scan_csv(const char *path, reel_puzzle_visitor *visit, void *arg,
                                        reel_error *error);

/* Writes the same form, atomically. Errors: IO, MEMORY. */
REEL_API reel_status reel_maze_write_csv(const char *path, const reel_maze_set *set, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
