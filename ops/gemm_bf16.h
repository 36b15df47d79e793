/* Matrix products of bf16 with f32 sums, on CPUs that have instructions for them, and of f32 by the same.
 *
 * AVX512-BF16 multiplies pairs of numbers in vectors, AMX in tiles. Both read a factor packed: 16 rows of a,
 * or columns of b, make a group; of each 32 terms of their sum the group has a tile of 1 KiB, and its tiles
 * follow one another. What a tile has beyond the matrix is zeros. A factor that many blocks of a product
 * share, or many products, is packed once for them all. Numbers below 2^-126 count as zero.
 *
 * A number of f32 is the sum of three of bf16, its parts, each of 8 of its 24 bits, and its packed factor has
 * a tile of each part. Of the nine products of two numbers' parts the three least, together below 2^-24 of
 * the whole, are left out: the result is as exact as that of f32 instructions. AMX does the six in less time
 * than those. (Henry, Tang, Heinecke: Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations, arXiv 1904.06376.) Numbers that are infinite, or above 3.39e38, give NaN. */
#ifndef REEL_GEMM_BF16_H
#define REEL_GEMM_BF16_H

#include "blas.h"

enum { REEL__BF16_GROUP = 16, REEL__BF16_TERMS = 32, REEL__BF16_TILE_BYTES = 1024, REEL__BF16_PARTS = 3 };

/* Whether a CPU context computes products of bf16 here. Where not, they go by way of f32. */
bool reel__bf16_ready(const reel_context *ctx);
/* Whether a product (m x k) (k x n) of a dtype is to be computed here: all of bf16, and such of f32 as are
 * worth the packing and what their tiles have beyond the matrices. */
bool reel__bf16_pays(const reel_context *ctx, reel_dtype dtype, int64_t m, int64_t n, int64_t k);

/* Of bf16 or f32: bytes of the tiles of 32 terms, of a packed group of k terms, of `lines` rows or columns of
 * them; packed factors are aligned to 64. */
static inline int64_t reel__bf16_tile_bytes(reel_dtype dtype) {
    return REEL__BF16_TILE_BYTES * (dtype == REEL_F32 ? REEL__BF16_PARTS : 1);
}
static inline int64_t reel__bf16_group_bytes(reel_dtype dtype, int64_t k) {
    return (k + REEL__BF16_TERMS - 1) / REEL__BF16_TERMS * reel__bf16_tile_bytes(dtype);
}
static inline int64_t reel__bf16_packed_bytes(reel_dtype dtype, int64_t lines, int64_t k) {
    return (lines + REEL__BF16_GROUP - 1) / REEL__BF16_GROUP * reel__bf16_group_bytes(dtype, k);
}

/* Pack a (m x k) and b (k x n), which a BLAS could read, into groups `group` bytes apart. Of a factor that
 * several threads pack a multiple of PACKED_TOGETHER rows or columns is best left to one. */
enum { REEL__BF16_PACKED_TOGETHER = 128 };
void reel__bf16_pack_a(reel_dtype dtype, int64_t m, int64_t k, reel__matrix a, char *to, int64_t group);
void reel__bf16_pack_b(reel_dtype dtype, int64_t k, int64_t n, reel__matrix b, char *to, int64_t group);
/* Rounds and packs a (m x k) of f32, rows `row` apart. */
void reel__bf16_pack_a_f32(int64_t m, int64_t k, const float *a, int64_t row, char *to);

/* Where the tiles of a are: bytes from a line of a tile to the next, from tile to tile, from group to group.
 */
typedef struct reel__bf16_tiles {
    const char *data;
    int64_t line, tile, group;
} reel__bf16_tiles;

static inline reel__bf16_tiles reel__bf16_packed(reel_dtype dtype, const char *data, int64_t k) {
    return (reel__bf16_tiles){data, 2 * REEL__BF16_TERMS, reel__bf16_tile_bytes(dtype),
                              reel__bf16_group_bytes(dtype, k)};
}
/* Rows of whole tiles of bf16 are read where they lie. */
static inline bool reel__bf16_needs_packing(reel_dtype dtype, int64_t m, int64_t k, reel__matrix a) {
    return dtype != REEL_BF16 || a.column != 1 || m % REEL__BF16_GROUP != 0 || k % REEL__BF16_TERMS != 0;
}
static inline reel__bf16_tiles reel__bf16_in_place(reel__matrix a) {
    const int64_t row = a.row * (int64_t)sizeof(reel_bf16);
    return (reel__bf16_tiles){a.data, row, 2 * REEL__BF16_TERMS, REEL__BF16_GROUP * row};
}

/* c (m x n, rows c_row apart) = a b, plus what c holds for accumulate; b packed. c is f32, or of factors of
 * bf16 also that: sums are then rounded once, with what c holds. */
typedef struct reel__bf16_product {
    reel_dtype dtype; /* of a and b */
    int64_t m, n, k;
    reel__bf16_tiles a;
    const char *b;
    void *c;
    int64_t c_row;
    bool c_is_f32, accumulate;
} reel__bf16_product;

void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_product *product);

/* h = silu(g) u, packed for the next product, where it is the factor that is not weights: with `rows` its a,
 * of m rows of `inner` terms, else its b. g and u are the halves of a product's columns, or rows, whose
 * weights are packed so that groups of g and u alternate, as many of each, an even number; beyond `inner`
 * they are zeros. The product goes to c as well, unless that is NULL: in the dtype of a and b, g
 * before u. */
typedef struct reel__bf16_gated {
    reel__bf16_product product; /* n, or m, counts the columns, or rows, of all groups */
    bool rows;
    int64_t inner;
    char *h;
} reel__bf16_gated;

void reel__gemm_gated_bf16(const reel_context *ctx, const reel__bf16_gated *gated);

#endif
