/* ARC grids: as tokens, under augmentations, as JSON. */
#include "arc_format.h"
#include "dihedral.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- tokens ------------------------------------------------------------------------------------------ */

void reel_arc_encode(const reel_arc_grid *grid, int row, int column, uint8_t tokens[REEL_ARC_SEQ_LEN]) {
    const int end_row = row + grid->rows, end_column = column + grid->columns;
    assert(row >= 0 && column >= 0 && end_row <= REEL_ARC_MAX_SIZE && end_column <= REEL_ARC_MAX_SIZE);
    memset(tokens, REEL_ARC_PAD, REEL_ARC_SEQ_LEN);
    const uint8_t *cell = grid->cells;
    for (int r = row; r < end_row; r++) {
        uint8_t *const line = tokens + r * REEL_ARC_MAX_SIZE;
        for (int c = column; c < end_column; c++)
            line[c] = (uint8_t)(REEL_ARC_FIRST_COLOUR + *cell++);
        if (end_column < REEL_ARC_MAX_SIZE)
            line[end_column] = REEL_ARC_END;
    }
    if (end_row < REEL_ARC_MAX_SIZE)
        memset(tokens + end_row * REEL_ARC_MAX_SIZE + column, REEL_ARC_END, (size_t)grid->columns);
}

static int is_colour(int32_t token) {
    return token >= REEL_ARC_FIRST_COLOUR && token < REEL_ARC_VOCAB_SIZE;
}

/* Of two rectangles of one area the lower one counts (evaluators/arc.py, _crop). */
void reel_arc_crop(const int32_t tokens[REEL_ARC_SEQ_LEN], reel_arc_grid *grid) {
    int area = 0, columns = REEL_ARC_MAX_SIZE;
    *grid = (reel_arc_grid){0};
    for (int rows = 1; rows <= REEL_ARC_MAX_SIZE; rows++) {
        const int32_t *line = tokens + (rows - 1) * REEL_ARC_MAX_SIZE;
        int c = 0;
        while (c < columns && is_colour(line[c]))
            c++;
        columns = c;
        if (rows * columns > area) {
            area = rows * columns;
            grid->rows = rows;
            grid->columns = columns;
        }
    }
    for (int r = 0; r < grid->rows; r++)
        for (int c = 0; c < grid->columns; c++)
            grid->cells[r * grid->columns + c] =
                (uint8_t)(tokens[r * REEL_ARC_MAX_SIZE + c] - REEL_ARC_FIRST_COLOUR);
}

/* ---- variants ---------------------------------------------------------------------------------------- */

reel__arc_variant reel__arc_variant_of(int transform, const uint8_t colours[REEL_ARC_COLOURS]) {
    reel__arc_variant variant = (reel__arc_variant)transform << REEL__ARC_TRANSFORM_SHIFT;
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        variant |= (reel__arc_variant)colours[c] << (REEL__ARC_COLOUR_BITS * c);
    return variant;
}

reel__arc_variant reel__arc_original(void) {
    static const uint8_t same[REEL_ARC_COLOURS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    return reel__arc_variant_of(0, same);
}

static void transform_and_map(int transform, const uint8_t map[REEL_ARC_COLOURS], const reel_arc_grid *grid,
                              reel_arc_grid *out) {
    const reel__dihedral_walk walk = reel__dihedral_walk_of(transform, grid->rows, grid->columns);
    uint8_t *cell = out->cells;
    out->rows = walk.rows;
    out->columns = walk.columns;
    for (int r = 0; r < walk.rows; r++)
        for (int c = 0; c < walk.columns; c++)
            *cell++ = map[grid->cells[walk.first + r * walk.down + c * walk.across]];
}

void reel__arc_apply(reel__arc_variant variant, const reel_arc_grid *grid, reel_arc_grid *out) {
    uint8_t map[REEL_ARC_COLOURS];
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        map[c] = reel__arc_colour(variant, c);
    transform_and_map(reel__arc_transform(variant), map, grid, out);
}

void reel__arc_undo(reel__arc_variant variant, const reel_arc_grid *grid, reel_arc_grid *out) {
    uint8_t map[REEL_ARC_COLOURS];
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        map[reel__arc_colour(variant, c)] = (uint8_t)c;
    transform_and_map(reel__dihedral_inverse(reel__arc_transform(variant)), map, grid, out);
}

uint64_t reel__arc_hash(uint64_t hash, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (; count > 0; at += sizeof hash) {
        uint64_t word = 0;
        const size_t step = count < sizeof word ? count : sizeof word;
        memcpy(&word, at, step);
        hash = reel__arc_mix(hash + word) + step;
        count -= step;
    }
    return hash;
}

int reel__arc_same_grid(const reel_arc_grid *a, const reel_arc_grid *b) {
    return a->rows == b->rows && a->columns == b->columns &&
           memcmp(a->cells, b->cells, (size_t)a->rows * (size_t)a->columns) == 0;
}

/* ---- names ------------------------------------------------------------------------------------------- */

int reel__arc_name(const char *id, reel__arc_variant variant, char *name, size_t room) {
    if (variant == reel__arc_original())
        return snprintf(name, room, "%s", id);
    char digits[REEL_ARC_COLOURS + 1] = "";
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        digits[c] = (char)('0' + reel__arc_colour(variant, c));
    return snprintf(name, room, "%s" REEL__ARC_SEPARATOR "t%d" REEL__ARC_SEPARATOR "%s", id,
                    reel__arc_transform(variant), digits);
}

/* Reads a permutation of the ten digits that ends the text. */
static int parse_colours(const char *text, uint8_t colours[REEL_ARC_COLOURS]) {
    unsigned seen = 0;
    for (int c = 0; c < REEL_ARC_COLOURS; c++) {
        if (text[c] < '0' || text[c] > '9')
            return 0;
        colours[c] = (uint8_t)(text[c] - '0');
        seen |= 1u << colours[c];
    }
    return seen == (1u << REEL_ARC_COLOURS) - 1 && text[REEL_ARC_COLOURS] == '\0';
}

ptrdiff_t reel__arc_parse_name(const char *name, reel__arc_variant *variant) {
    const char *first = strstr(name, REEL__ARC_SEPARATOR);
    *variant = reel__arc_original();
    if (first == NULL)
        return (ptrdiff_t)strlen(name);
    uint8_t colours[REEL_ARC_COLOURS];
    const size_t separator = strlen(REEL__ARC_SEPARATOR);
    const char *transform = first + separator;
    if (transform[0] != 't' || transform[1] < '0' || transform[1] >= '0' + REEL__DIHEDRAL_COUNT ||
        strncmp(transform + 2, REEL__ARC_SEPARATOR, separator) != 0 ||
        !parse_colours(transform + 2 + separator, colours))
        return -1;
    *variant = reel__arc_variant_of(transform[1] - '0', colours);
    return first - name;
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

void reel__arc_write_grid(reel_atomic_file *file, const reel_arc_grid *grid) {
    char row[3 * REEL_ARC_MAX_SIZE + 8];
    reel_atomic_write(file, "[", 1);
    for (int r = 0; r < grid->rows; r++) {
        size_t used = 0;
        for (int c = 0; c < grid->columns; c++) {
            row[used++] = c == 0 ? '[' : ' ';
            row[used++] = (char)('0' + grid->cells[r * grid->columns + c]);
            row[used++] = c + 1 < grid->columns ? ',' : ']';
        }
        if (r + 1 < grid->rows) {
            row[used++] = ',';
            row[used++] = ' ';
        }
        reel_atomic_write(file, row, used);
    }
    reel_atomic_write(file, "]", 1);
}
