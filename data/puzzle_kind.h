/* Sets of puzzles that grow, are made, read and written, whatever the kind. */
#ifndef REEL_DATA_PUZZLE_KIND_H
#define REEL_DATA_PUZZLE_KIND_H

#include <reel/puzzle_set.h>

/* ---- growing ----------------------------------------------------------------------------------------- */

/* An empty set, and one puzzle more in it. */
reel_puzzle_set *reel__puzzle_set_new(int size); /* NULL without memory */
reel_status reel__puzzle_set_append(reel_puzzle_set *set, const uint8_t *question, const uint8_t *answer,
                                    int32_t rating, reel_error *error);

/* ---- making ------------------------------------------------------------------------------------------ */

/* A kind of puzzle that is made on the spot. */
typedef struct reel__puzzle_maker {
    const char *kind; /* "sudokus" */

    /* Returns the rating, or -1 if nothing came of this draw. */
    int32_t (*make)(int size, reel_random *random, uint8_t *question, uint8_t *answer);

    /* Equal for equivalent puzzles. */
    void (*canonical)(int size, const uint8_t *question, uint8_t *out);

    /* So many puzzles one after the other that are all known mean that hardly any other exists. */
    int max_tries_without_new;
} reel__puzzle_maker;

/* Makes `count` puzzles of which no two are equivalent, nor any to one of `exclude` (NULL: none). Draws
 * puzzle after puzzle from (REEL_STREAM_PUZZLE, number of the try, 0), or 1 instead of 0 where others are
 * excluded. */
reel_status reel__make_puzzles(const reel__puzzle_maker *maker, int size, int64_t count, uint64_t seed,
                               const reel_puzzle_set *exclude, reel_puzzle_set **set, reel_error *error);

/* ---- CSV files --------------------------------------------------------------------------------------- */

/* How a kind of puzzle is written: one character a cell. */
typedef struct reel__puzzle_language {
    int (*size_of)(size_t cells);          /* 0: no puzzle has so many */
    const char *cells_expected;            /* "16, 36 or 81" */
    int (*read)(int size, char character); /* the cell's byte, or -1 */
    const char *(*characters_expected)(int size);
    char (*write)(uint8_t cell);
    reel_status (*check)(int size, const uint8_t *question, const uint8_t *answer, reel_error *error);
} reel__puzzle_language;

enum { REEL__PUZZLE_MAX_CELLS = 64 * 64 }; /* of any kind */

/* The rows of a CSV file with the columns question, answer and, if it likes, rating (0 where it is missing),
 * each checked. Errors name the file and the line. */
reel_status reel__scan_puzzles(const char *path, const reel__puzzle_language *language,
                               reel_puzzle_visitor *visit, void *arg, reel_error *error);
reel_status reel__read_puzzles(const char *path, const reel__puzzle_language *language, reel_puzzle_set **set,
                               reel_error *error);
reel_status reel__write_puzzles(const char *path, const reel__puzzle_language *language,
                                const reel_puzzle_set *set, reel_error *error);

#endif
