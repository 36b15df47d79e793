/* Augmentations of one ARC task, without duplicates. */
#include "arc_plan.h"
#include "dihedral.h"

#include <stdlib.h>

enum { TRIES = 5 }; /* draws for each wanted augmentation, as published */

/* ---- hashing variants --------------------------------------------------------------------------------
 *
 * A grid's hash is  sum over its cells of key[place] * value[colour]  mod 2^64 with random keys and
 * values (multilinear hashing: Carter and Wegman, 1979). It is linear in the values, so it can be summed once
 * for each transform and colour and then recoloured with ten multiplications, where a hash of the bytes would
 * go through every cell of every variant. A task's hash is the sum of the mixed hashes of its pairs, which
 * have no order. Among a thousand variants two different ones meet with a probability of about 10^-13. */

typedef struct grid_sums {
    uint64_t of_colour[REEL_ARC_COLOURS]; /* sum of the keys of its places */
} grid_sums;

typedef struct pair_sums {
    grid_sums input, output;
} pair_sums;

typedef struct hasher {
    uint64_t place[REEL_ARC_SEQ_LEN], value[REEL_ARC_COLOURS];
    int64_t pair_count;
    pair_sums *pairs; /* (REEL__DIHEDRAL_COUNT, pair_count) */
} hasher;

static uint64_t random_u64(reel_random *random) {
    const uint64_t high = reel_random_u32(random);
    return high << 32 | reel_random_u32(random);
}

/* The keys are the same for all tasks and seeds: nothing that is drawn depends on them but by collisions. */
static void draw_keys(hasher *h) {
    reel_random random = reel_random_begin(0, (reel_draw){.stream = REEL_STREAM_PUZZLE});
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++)
        h->place[i] = random_u64(&random);
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        h->value[c] = random_u64(&random);
}

static grid_sums sum_grid(const hasher *h, int transform, const reel_arc_grid *grid) {
    const reel__dihedral_walk walk = reel__dihedral_walk_of(transform, grid->rows, grid->columns);
    grid_sums sums = {0};
    for (int r = 0; r < walk.rows; r++)
        for (int c = 0; c < walk.columns; c++)
            sums.of_colour[grid->cells[walk.first + r * walk.down + c * walk.across]] +=
                h->place[r * REEL_ARC_MAX_SIZE + c];
    return sums;
}

static reel_status hasher_begin(hasher *h, const reel_arc_task *task, reel_error *error) {
    h->pair_count = (int64_t)task->train_count + task->test_count;
    h->pairs = malloc((size_t)h->pair_count * REEL__DIHEDRAL_COUNT * sizeof *h->pairs);
    if (h->pairs == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "task %.60s: no memory to augment it", task->id);
    draw_keys(h);
    pair_sums *sums = h->pairs;
    for (int transform = 0; transform < REEL__DIHEDRAL_COUNT; transform++)
        for (int64_t i = 0; i < h->pair_count; i++, sums++) {
            sums->input = sum_grid(h, transform, &task->pairs[i].input);
            sums->output = sum_grid(h, transform, &task->pairs[i].output);
        }
    return REEL_OK;
}

static uint64_t hash_grid(const grid_sums *sums, const uint64_t value[REEL_ARC_COLOURS]) {
    uint64_t hash = 0;
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        hash += value[c] * sums->of_colour[c];
    return hash;
}

static uint64_t hash_variant(const hasher *h, reel__arc_variant variant) {
    uint64_t value[REEL_ARC_COLOURS], hash = 0;
    for (int c = 0; c < REEL_ARC_COLOURS; c++)
        value[c] = h->value[reel__arc_colour(variant, c)];
    const pair_sums *sums = h->pairs + reel__arc_transform(variant) * h->pair_count;
    for (int64_t i = 0; i < h->pair_count; i++)
        hash += reel__arc_mix(reel__arc_mix(hash_grid(&sums[i].input, value)) +
                              hash_grid(&sums[i].output, value));
    return hash;
}

/* ---- the hashes that were seen ----------------------------------------------------------------------- */

/* Open addressing; slots are a power of two and more than twice as many as hashes. 0 is a free slot. */
typedef struct hash_set {
    uint64_t *slots;
    uint64_t mask;
} hash_set;

static int hash_set_begin(hash_set *set, int64_t most) {
    uint64_t slots = 4;
    while (slots < 2 * (uint64_t)most)
        slots *= 2;
    set->mask = slots - 1;
    set->slots = calloc(slots, sizeof *set->slots);
    return set->slots != NULL;
}

/* False if it was there. */
static bool hash_set_add(hash_set *set, uint64_t hash) {
    hash += hash == 0;
    uint64_t at = hash & set->mask;
    while (set->slots[at] != 0 && set->slots[at] != hash)
        at = (at + 1) & set->mask;
    const bool is_new = set->slots[at] == 0;
    set->slots[at] = hash;
    return is_new;
}

/* ---- drawing ----------------------------------------------------------------------------------------- */

/* A transform, and colours 1..9 permuted (Fisher and Yates); black stays black. */
static reel__arc_variant draw_variant(reel_random *random) {
    uint8_t colours[REEL_ARC_COLOURS] = {0};
    const int transform = (int)reel_random_below(random, REEL__DIHEDRAL_COUNT);
    for (int c = 1; c < REEL_ARC_COLOURS; c++) {
        const int other = 1 + (int)reel_random_below(random, (uint32_t)c);
        colours[c] = colours[other];
        colours[other] = (uint8_t)c;
    }
    return reel__arc_variant_of(transform, colours);
}

static reel_status append(reel__arc_variants *variants, reel__arc_variant variant, reel_error *error) {
    if (variants->count == variants->room) {
        const int64_t room = variants->room == 0 ? 1024 : 2 * variants->room;
        reel__arc_variant *items = realloc(variants->items, (size_t)room * sizeof *items);
        if (items == NULL)
            return reel_fail(error, REEL_ERROR_MEMORY, "no memory for more than %lld augmentations",
                             (long long)variants->count);
        variants->items = items;
        variants->room = room;
    }
    variants->items[variants->count++] = variant;
    return REEL_OK;
}

static reel_status draw_all(const hasher *h, int64_t num_aug, hash_set *seen, reel_random *random,
                            reel__arc_variants *variants, reel_error *error) {
    const int64_t full = variants->count + num_aug + 1;
    hash_set_add(seen, hash_variant(h, reel__arc_original()));
    reel_status status = append(variants, reel__arc_original(), error);
    for (int64_t i = 0; i < TRIES * num_aug && variants->count < full && status == REEL_OK; i++) {
        const reel__arc_variant variant = draw_variant(random);
        if (hash_set_add(seen, hash_variant(h, variant)))
            status = append(variants, variant, error);
    }
    return status;
}

reel_status reel__arc_draw_variants(const reel_arc_task *task, int64_t num_aug, reel_random *random,
                                    reel__arc_variants *variants, reel_error *error) {
    hasher h;
    hash_set seen;
    reel_status status = hasher_begin(&h, task, error);
    if (status != REEL_OK)
        return status;
    if (hash_set_begin(&seen, num_aug + 1))
        status = draw_all(&h, num_aug, &seen, random, variants, error);
    else
        status = reel_fail(error, REEL_ERROR_MEMORY, "no memory for %lld augmentations", (long long)num_aug);
    free(seen.slots);
    free(h.pairs);
    return status;
}
