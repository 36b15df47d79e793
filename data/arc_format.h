/* What the ARC files share: variants of a task, their names, grids as JSON. */
#ifndef REEL_DATA_ARC_FORMAT_H
#define REEL_DATA_ARC_FORMAT_H

#include <reel/arc.h>
#include <reel/atomic_file.h>

#include <stddef.h>

#define REEL__ARC_SEPARATOR  "|||"
#define REEL__ARC_BLANK_NAME "<blank>"

/* A symmetry and a permutation of the colours, in one number: four bits for what each colour becomes, those
 * of colour 0 lowest, and three for the dihedral transform above them. */
typedef uint64_t reel__arc_variant;

enum { REEL__ARC_COLOUR_BITS = 4, REEL__ARC_TRANSFORM_SHIFT = REEL__ARC_COLOUR_BITS * REEL_ARC_COLOURS };

reel__arc_variant reel__arc_variant_of(int transform, const uint8_t colours[REEL_ARC_COLOURS]);

static inline int reel__arc_transform(reel__arc_variant variant) {
    return (int)(variant >> REEL__ARC_TRANSFORM_SHIFT);
}
static inline uint8_t reel__arc_colour(reel__arc_variant variant, int colour) {
    return (uint8_t)(variant >> (REEL__ARC_COLOUR_BITS * colour) & ((1 << REEL__ARC_COLOUR_BITS) - 1));
}

/* The task as it is. */
reel__arc_variant reel__arc_original(void);

/* Transforms the grid and then replaces its colours. */
void reel__arc_apply(reel__arc_variant variant, const reel_arc_grid *grid, reel_arc_grid *out);
void reel__arc_undo(reel__arc_variant variant, const reel_arc_grid *grid, reel_arc_grid *out);

/* "ID", or "ID|||tK|||0123456789" for another variant than the original; as snprintf. */
int reel__arc_name(const char *id, reel__arc_variant variant, char *name, size_t room);

/* The reverse: the length of the task's id within `name`, or -1 where the name is no such name. */
ptrdiff_t reel__arc_parse_name(const char *name, reel__arc_variant *variant);

/* A bijection that leaves no linear relation between what goes in and what comes out (the finaliser of
 * SplitMix64: Steele, Lea and Flood, 2014). */
static inline uint64_t reel__arc_mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* Takes more bytes into a hash. */
uint64_t reel__arc_hash(uint64_t hash, const void *bytes, size_t count);

int reel__arc_same_grid(const reel_arc_grid *a, const reel_arc_grid *b);

/* Writes [[0, 1], [2, 3]], and [] for a grid of 0 x 0. */
void reel__arc_write_grid(reel_atomic_file *file, const reel_arc_grid *grid);

#endif
