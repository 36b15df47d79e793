/* Products by AVX512-BF16 and AMX. The one file that is compiled for these instructions. */
#include "gemm_bf16.h"

#ifndef REEL_BF16_UNITS

bool reel__bf16_ready(const reel_context *ctx) {
    (void)ctx;
    return false;
}

bool reel__bf16_pays(const reel_context *ctx, reel_dtype dtype, int64_t m, int64_t n, int64_t k) {
    (void)ctx, (void)dtype, (void)m, (void)n, (void)k;
    return false;
}

void reel__bf16_pack_a(reel_dtype dtype, int64_t m, int64_t k, reel__matrix a, char *to, int64_t group) {
    (void)dtype, (void)m, (void)k, (void)a, (void)to, (void)group;
}

void reel__bf16_pack_b(reel_dtype dtype, int64_t k, int64_t n, reel__matrix b, char *to, int64_t group) {
    (void)dtype, (void)k, (void)n, (void)b, (void)to, (void)group;
}

void reel__bf16_pack_a_f32(int64_t m, int64_t k, const float *a, int64_t row, char *to) {
    (void)m, (void)k, (void)a, (void)row, (void)to;
}

void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_product *product) {
    (void)ctx, (void)product;
}

void reel__gemm_gated_bf16(const reel_context *ctx, const reel__bf16_gated *gated) {
    (void)ctx, (void)gated;
}

#else

#include "rows.h"
#include "vector.h"

#include <immintrin.h>

enum { GROUP = REEL__BF16_GROUP, TERMS = REEL__BF16_TERMS, TILE_BYTES = REEL__BF16_TILE_BYTES };
enum { PARTS = REEL__BF16_PARTS, LINE_BYTES = 64, ELEMENT = sizeof(reel_bf16) };

bool reel__bf16_ready(const reel_context *ctx) {
    return ctx->bf16_unit != REEL__BF16_NONE;
}

static int64_t whole(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

bool reel__bf16_pays(const reel_context *ctx, reel_dtype dtype, int64_t m, int64_t n, int64_t k) {
    enum { LEAST_OTHERS = 64 }; /* of c's rows that share b's packing, or columns that share a's */
    if (dtype == REEL_BF16)
        return reel__bf16_ready(ctx);
    const double useful = (double)(m * n * k) / (double)(whole(m, GROUP) * whole(n, GROUP) * whole(k, TERMS));
    return dtype == REEL_F32 && ctx->bf16_unit == REEL__BF16_TILES && m >= LEAST_OTHERS &&
           n >= LEAST_OTHERS && useful >= 0.75;
}

/* ---- packing -------------------------------------------------------------------------------------------
 *
 * A tile is 16 lines of 16 pairs of numbers, a pair being two terms of one row of a or column of b. In a tile
 * of a, line i is row i with its 32 terms; in one of b, line i has terms 2 i and 2 i + 1 of all columns:
 * either is the other transposed. */

typedef struct tile {
    __m512i line[GROUP];
} tile;

REEL_ALWAYS_INLINE __mmask16 first_of_16(int64_t n) {
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

REEL_ALWAYS_INLINE __mmask32 first_of_32(int64_t n) {
    return n >= 32 ? 0xffffffffu : (1u << n) - 1;
}

/* The three parts of f32 numbers, in the upper half of each; the lower one is zero. The last takes what the
 * others leave without rounding. */
REEL_ALWAYS_INLINE void split(__m512 x, __m512i part[static PARTS]) {
    const __m512i half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32((int)0xffff0000u);
    for (int i = 0; i < PARTS - 1; i++) {
        part[i] = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), upper);
        x -= _mm512_castsi512_ps(part[i]);
    }
    part[PARTS - 1] = _mm512_castps_si512(x);
}

/* The upper halves of x and y, those of x first. */
REEL_ALWAYS_INLINE __m512i upper_halves(__m512i x, __m512i y) {
    const __m512i from = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31,
                                          29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi16(x, from, y);
}

/* In turns: x0 y0 x1 y1 .. */
REEL_ALWAYS_INLINE __m512i upper_pairs(__m512i x, __m512i y) {
    return _mm512_or_si512(_mm512_srli_epi32(x, 16), y);
}

/* 32 terms of a row or column that lie side by side, in so many parts. */
REEL_ALWAYS_INLINE void read_terms(int parts, const char *from, int64_t terms, __m512i line[static PARTS]) {
    if (parts == 1) {
        line[0] = _mm512_maskz_loadu_epi16(first_of_32(terms), from);
        return;
    }
    __m512i x[PARTS], y[PARTS];
    split(_mm512_maskz_loadu_ps(first_of_16(terms), from), x);
    split(_mm512_maskz_loadu_ps(first_of_16(terms - GROUP), from + GROUP * sizeof(float)), y);
    for (int i = 0; i < PARTS; i++)
        line[i] = upper_halves(x[i], y[i]);
}

/* Two terms of 16 rows or columns, of which one term lies side by side, the next `stride` bytes behind. */
REEL_ALWAYS_INLINE void read_pairs(int parts, const char *from, int64_t stride, __mmask16 lines,
                                   int64_t terms, __m512i line[static PARTS]) {
    const __mmask16 of_first = terms > 0 ? lines : 0, of_second = terms > 1 ? lines : 0;
    if (parts == 1) {
        const __m256i x = _mm256_maskz_loadu_epi16(of_first, from);
        const __m256i y = _mm256_maskz_loadu_epi16(of_second, from + stride);
        line[0] = _mm512_or_si512(_mm512_cvtepu16_epi32(x), _mm512_slli_epi32(_mm512_cvtepu16_epi32(y), 16));
        return;
    }
    __m512i x[PARTS], y[PARTS];
    split(_mm512_maskz_loadu_ps(of_first, from), x);
    split(_mm512_maskz_loadu_ps(of_second, from + stride), y);
    for (int i = 0; i < PARTS; i++)
        line[i] = upper_pairs(x[i], y[i]);
}

/* Of 16 x 16 pairs. */
REEL_ALWAYS_INLINE tile transposed(tile t) {
    tile u;
    for (int i = 0; i < 16; i += 2) {
        u.line[i] = _mm512_unpacklo_epi32(t.line[i], t.line[i + 1]);
        u.line[i + 1] = _mm512_unpackhi_epi32(t.line[i], t.line[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* t.line[i + j]: column 4 q + j of rows i .. i + 3 in quarter q */
        t.line[i] = _mm512_unpacklo_epi64(u.line[i], u.line[i + 2]);
        t.line[i + 1] = _mm512_unpackhi_epi64(u.line[i], u.line[i + 2]);
        t.line[i + 2] = _mm512_unpacklo_epi64(u.line[i + 1], u.line[i + 3]);
        t.line[i + 3] = _mm512_unpackhi_epi64(u.line[i + 1], u.line[i + 3]);
    }
    enum { EVEN = 0x88, ODD = 0xdd }; /* quarters */
    for (int j = 0; j < 4; j++) {
        const __m512i even = _mm512_shuffle_i32x4(t.line[j], t.line[4 + j], EVEN);
        const __m512i odd = _mm512_shuffle_i32x4(t.line[j], t.line[4 + j], ODD);
        const __m512i even_below = _mm512_shuffle_i32x4(t.line[8 + j], t.line[12 + j], EVEN);
        const __m512i odd_below = _mm512_shuffle_i32x4(t.line[8 + j], t.line[12 + j], ODD);
        u.line[j] = _mm512_shuffle_i32x4(even, even_below, EVEN);
        u.line[4 + j] = _mm512_shuffle_i32x4(odd, odd_below, EVEN);
        u.line[8 + j] = _mm512_shuffle_i32x4(even, even_below, ODD);
        u.line[12 + j] = _mm512_shuffle_i32x4(odd, odd_below, ODD);
    }
    return u;
}

REEL_ALWAYS_INLINE void store_tile(char *to, const tile *t) {
    for (int i = 0; i < GROUP; i++)
        _mm512_store_si512(to + i * LINE_BYTES, t->line[i]);
}

/* Packs 16 lines of 32 terms, or what there is of them. `by_terms`: terms lie side by side in memory, else
 * rows of a or columns of b do, and the next of the others are `stride` bytes behind. `turn`: tiles of lines
 * as they are read, transposed. */
REEL_ALWAYS_INLINE void pack_tile(int parts, bool by_terms, bool turn, const char *from, int64_t stride,
                                  int64_t lines, int64_t terms, char *to) {
    tile read[PARTS];
    for (int i = 0; i < GROUP; i++) {
        __m512i line[PARTS];
        if (by_terms)
            read_terms(parts, from + (i < lines ? i * stride : 0), i < lines ? terms : 0, line);
        else
            read_pairs(parts, from + 2 * i * stride, stride, first_of_16(lines), terms - 2 * i, line);
        for (int p = 0; p < parts; p++)
            if (turn)
                read[p].line[i] = line[p];
            else
                _mm512_store_si512(to + p * TILE_BYTES + i * LINE_BYTES, line[p]);
    }
    for (int p = 0; turn && p < parts; p++) {
        const tile turned = transposed(read[p]);
        store_tile(to + p * TILE_BYTES, &turned);
    }
}

REEL_ALWAYS_INLINE void pack(int parts, bool by_terms, bool turn, int64_t lines, int64_t k, const char *from,
                             int64_t stride, char *to, int64_t group) {
    const int64_t element = parts == 1 ? ELEMENT : (int64_t)sizeof(float), step = stride * element;
    const int64_t line_step = by_terms ? step : element, term_step = by_terms ? element : step;
    const int64_t together =
        by_terms ? GROUP : REEL__BF16_PACKED_TOGETHER; /* groups whose lines are neighbours */
    for (int64_t begin = 0; begin < lines; begin += together)
        for (int64_t term = 0; term < k; term += TERMS)
            for (int64_t line = begin; line < lines && line < begin + together; line += GROUP)
                pack_tile(parts, by_terms, turn, from + line * line_step + term * term_step, step,
                          lines - line, k - term,
                          to + line / GROUP * group + term / TERMS * parts * TILE_BYTES);
}

REEL_ALWAYS_INLINE void pack_a(int parts, int64_t m, int64_t k, reel__matrix a, char *to, int64_t group) {
    enum { AS_READ, TURNED };
    if (a.column == 1 || k == 1)
        pack(parts, true, AS_READ, m, k, a.data, a.row, to, group);
    else
        pack(parts, false, TURNED, m, k, a.data, a.column, to, group);
}

REEL_ALWAYS_INLINE void pack_b(int parts, int64_t k, int64_t n, reel__matrix b, char *to, int64_t group) {
    enum { AS_READ, TURNED };
    if (b.column == 1 || n == 1)
        pack(parts, false, AS_READ, n, k, b.data, b.row, to, group);
    else
        pack(parts, true, TURNED, n, k, b.data, b.column, to, group);
}

void reel__bf16_pack_a(reel_dtype dtype, int64_t m, int64_t k, reel__matrix a, char *to, int64_t group) {
    if (dtype == REEL_F32)
        pack_a(PARTS, m, k, a, to, group);
    else
        pack_a(1, m, k, a, to, group);
}

void reel__bf16_pack_b(reel_dtype dtype, int64_t k, int64_t n, reel__matrix b, char *to, int64_t group) {
    if (dtype == REEL_F32)
        pack_b(PARTS, k, n, b, to, group);
    else
        pack_b(1, k, n, b, to, group);
}

void reel__bf16_pack_a_f32(int64_t m, int64_t k, const float *a, int64_t row, char *to) {
    const int64_t group = reel__bf16_group_bytes(REEL_BF16, k);
    for (int64_t i = 0; i < m; i++, a += row)
        for (int64_t term = 0; term < k; term += TERMS) {
            const __m512 x = _mm512_maskz_loadu_ps(first_of_16(k - term), a + term);
            const __m512 y = _mm512_maskz_loadu_ps(first_of_16(k - term - GROUP), a + term + GROUP);
            char *const line = to + i / GROUP * group + term / TERMS * TILE_BYTES + i % GROUP * LINE_BYTES;
            _mm512_store_si512(line, (__m512i)_mm512_cvtne2ps_pbh(y, x));
        }
}

/* ---- products ------------------------------------------------------------------------------------------
 *
 * The product is computed in squares of 2 x 2 groups. A square's sums go to memory of the thread's own, and
 * from there to c while the next square is multiplied: the tiles of AMX work beside the vectors. */

enum { SIDE = 2 * GROUP };

/* What becomes of sums: constants of the kernels, as `parts` is. Of gates and what they multiply, one is a
 * square's left half and the other its right, or one its upper and the other its lower. */
typedef enum destination { SET_BF16, ADD_BF16, SET_F32, ADD_F32, GATE_ROWS, GATE_COLUMNS } destination;

typedef struct square {
    const float *sums;
    int64_t step, steps;   /* written so far, and in all: rows, or pairs of rows of h for its columns */
    int64_t fetched;       /* steps */
    char *c, *h;           /* NULL for none */
    int64_t row_bytes;     /* of c */
    int64_t to_up;         /* bytes in c from a gate to what it multiplies */
    int64_t h_group;       /* bytes from a group of h to the next */
    int64_t h_rows;        /* for h's columns: the rows that there are */
    __mmask16 left, right; /* the columns that there are */
} square;

REEL_ALWAYS_INLINE __m512 widened(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

/* The columns that there are, of a row's two halves. */
REEL_ALWAYS_INLINE void store_halves(bool as_f32, const square *s, char *to, __m512 x, __m512 y) {
    if (as_f32) {
        _mm512_mask_storeu_ps(to, s->left, x);
        _mm512_mask_storeu_ps(to + GROUP * sizeof(float), s->right, y);
    } else {
        const __mmask32 both = (__mmask32)s->left | (__mmask32)s->right << GROUP;
        _mm512_mask_storeu_epi16(to, both, (__m512i)_mm512_cvtne2ps_pbh(y, x));
    }
}

REEL_ALWAYS_INLINE void write_row(destination to, const square *s) {
    const float *const sums = s->sums + s->step * SIDE;
    char *const c = s->c + s->step * s->row_bytes;
    __m512 x = _mm512_load_ps(sums), y = _mm512_load_ps(sums + GROUP);
    if (to == ADD_F32) {
        x += _mm512_maskz_loadu_ps(s->left, c);
        y += _mm512_maskz_loadu_ps(s->right, c + GROUP * sizeof(float));
    }
    if (to == ADD_BF16) {
        x += widened(_mm256_maskz_loadu_epi16(s->left, c));
        y += widened(_mm256_maskz_loadu_epi16(s->right, c + GROUP * ELEMENT));
    }
    store_halves(to == SET_F32 || to == ADD_F32, s, c, x, y);
}

/* h = silu(g) u of so many vectors. */
REEL_ALWAYS_INLINE void gate(int parts, int vectors, const __m512 *g, const __m512 *u, __m512 *h) {
    for (int i = 0; i < vectors; i++)
        h[i] = g[i];
    if (parts == 1)
        reel__v_gate_of_bf16_each(vectors, h);
    else
        reel__v_gate_each(vectors, h);
    for (int i = 0; i < vectors; i++)
        h[i] = g[i] * u[i] * h[i];
}

/* 16 numbers of a row of h: half a line of a tile. */
REEL_ALWAYS_INLINE void store_terms(int parts, char *to, __m512 h) {
    if (parts == 1) {
        _mm256_store_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(h));
        return;
    }
    __m512i part[PARTS];
    split(h, part);
    for (int i = 0; i < PARTS; i++)
        _mm256_store_si256((__m256i *)(void *)(to + i * TILE_BYTES),
                           _mm512_cvtepi32_epi16(_mm512_srli_epi32(part[i], 16)));
}

/* 16 numbers of each of two rows of h: a line of a tile. */
REEL_ALWAYS_INLINE void store_pairs(int parts, char *to, __m512 x, __m512 y) {
    if (parts == 1) {
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
        const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(y));
        _mm512_store_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        return;
    }
    __m512i of_x[PARTS], of_y[PARTS];
    split(x, of_x);
    split(y, of_y);
    for (int i = 0; i < PARTS; i++)
        _mm512_store_si512(to + i * TILE_BYTES, upper_pairs(of_x[i], of_y[i]));
}

REEL_ALWAYS_INLINE int64_t element_of(int parts) {
    return parts == 1 ? ELEMENT : (int64_t)sizeof(float);
}

/* A row of h, 16 columns. */
REEL_ALWAYS_INLINE void gate_row(int parts, const square *s) {
    const float *const sums = s->sums + s->step * SIDE;
    const __m512 g = _mm512_load_ps(sums), u = _mm512_load_ps(sums + GROUP);
    __m512 h;
    gate(parts, 1, &g, &u, &h);
    store_terms(parts, s->h + s->step / GROUP * s->h_group + s->step % GROUP * LINE_BYTES, h);
    if (s->c) {
        char *const c = s->c + s->step * s->row_bytes;
        store_halves(parts != 1, s, c, g, g);
        store_halves(parts != 1, s, c + s->to_up, u, u);
    }
}

/* Two rows of h, 2 x 16 columns. */
REEL_ALWAYS_INLINE void gate_row_pair(int parts, const square *s) {
    enum { ROWS = 2, VECTORS = 2 * ROWS, TO_UP = GROUP * SIDE };
    const float *const sums = s->sums + s->step * ROWS * SIDE;
    char *const to = s->h + s->step * LINE_BYTES;
    __m512 g[VECTORS], u[VECTORS], h[VECTORS];
    for (int i = 0; i < VECTORS; i++) {
        g[i] = _mm512_load_ps(sums + i * GROUP);
        u[i] = _mm512_load_ps(sums + i * GROUP + TO_UP);
    }
    gate(parts, VECTORS, g, u, h);
    store_pairs(parts, to, h[0], h[2]);
    if (s->right)
        store_pairs(parts, to + s->h_group, h[1], h[3]);
    if (!s->c)
        return;
    for (int i = 0; i < ROWS && s->step * ROWS + i < s->h_rows; i++) {
        char *const c = s->c + (s->step * ROWS + i) * s->row_bytes;
        store_halves(parts != 1, s, c, g[2 * i], g[2 * i + 1]);
        store_halves(parts != 1, s, c + s->to_up, u[2 * i], u[2 * i + 1]);
    }
}

/* The next part of a square, in at most so many steps. */
REEL_ALWAYS_INLINE void write_steps(int parts, destination to, square *s, int64_t most) {
    const int64_t end = s->steps - s->step < most ? s->steps : s->step + most;
    for (; s->step < end; s->step++)
        if (to == GATE_COLUMNS)
            gate_row_pair(parts, s);
        else if (to == GATE_ROWS)
            gate_row(parts, s);
        else
            write_row(to, s);
}

/* Fetches what the next part of a square is going to be written to. A line of c comes from memory, or from
 * far away, before it is written, and stores that wait for lines hold up all that follows. */
REEL_ALWAYS_INLINE void fetch_steps(destination to, square *s, int64_t most) {
    const int64_t end = s->steps - s->fetched < most ? s->steps : s->fetched + most;
    const int64_t rows = to == GATE_COLUMNS ? 2 : 1; /* a step's */
    for (; s->c && s->fetched < end; s->fetched++)
        for (int64_t i = 0; i < rows; i++) {
            const char *const c = s->c + (s->fetched * rows + i) * s->row_bytes;
            _mm_prefetch(c, _MM_HINT_T1);
            if (to == GATE_ROWS || to == GATE_COLUMNS)
                _mm_prefetch(c + s->to_up, _MM_HINT_T1);
            else if (to == SET_F32 || to == ADD_F32)
                _mm_prefetch(c + LINE_BYTES, _MM_HINT_T1);
        }
}

/* The factors of a square: two groups of each, or one, of so many tiles. */
typedef struct factors {
    reel__bf16_tiles a;
    const char *b;
    int64_t rows;          /* of a that there are, at most two groups */
    int64_t group, tiles;  /* bytes from one group to the next */
    int64_t next_b, pairs; /* bytes to the groups of b that come next, 0 for none; pairs that are not zeros */
} factors;

/* The parts of a and b that are multiplied with one another, the least first; from one product to the next
 * one of them stays where it is, but for the last. */
static const struct { int a, b; } of_parts[] = {{2, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 2}, {0, 0}};
enum { PRODUCTS = sizeof of_parts / sizeof of_parts[0] };

REEL_ALWAYS_INLINE void prefetch_tile(const char *at) {
    for (int line = 0; line < GROUP; line++)
        _mm_prefetch(at + line * LINE_BYTES, _MM_HINT_T1);
}

/* Instructions for tiles that follow one another at once hold each other up for seconds on end on a shared
 * host, as if another thread used the core too: loads then wait for products, and either takes two to three
 * times as long. With so many others between them they lose much less; at other times it costs nothing. */
#define SPACED(instruction)                                                                                  \
    do {                                                                                                     \
        instruction;                                                                                         \
        __asm__ volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop");                                   \
    } while (0)

/* Tiles 0 to 3 are the sums; 4 and 5 are a's, 6 and 7 b's. */
REEL_ALWAYS_INLINE void sum_by_tiles(int parts, int rows, int columns, destination to, const factors *f,
                                     float *sums, square *before, square *now) {
    const int first = parts == 1 ? PRODUCTS - 1 : 0;
    const int64_t steps = (SIDE + f->tiles - 1) / f->tiles; /* with each tile */
    const char *a = f->a.data, *b = f->b;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < f->tiles; i++, a += f->a.tile, b += parts * TILE_BYTES) {
#pragma GCC unroll 6
        for (int p = first; p < PRODUCTS; p++) {
            const bool new_a = p == first || of_parts[p].a != of_parts[p - 1].a;
            const bool new_b = p == first || of_parts[p].b != of_parts[p - 1].b;
            const char *const of_a = a + of_parts[p].a * TILE_BYTES;
            const char *const of_b = b + of_parts[p].b * TILE_BYTES;
            if (new_a)
                SPACED(_tile_loadd(4, of_a, f->a.line));
            if (new_b)
                SPACED(_tile_loadd(6, of_b, LINE_BYTES));
            SPACED(_tile_dpbf16ps(0, 4, 6));
            if (columns == 2) {
                if (new_b)
                    SPACED(_tile_loadd(7, of_b + f->group, LINE_BYTES));
                SPACED(_tile_dpbf16ps(1, 4, 7));
            }
            if (rows == 2) {
                if (new_a)
                    SPACED(_tile_loadd(5, of_a + f->a.group, f->a.line));
                SPACED(_tile_dpbf16ps(2, 5, 6));
            }
            if (rows == 2 && columns == 2)
                SPACED(_tile_dpbf16ps(3, 5, 7));
            if (f->next_b && new_b && (parts == 1 || p < PRODUCTS - 1)) {
                prefetch_tile(of_b + f->next_b);
                prefetch_tile(of_b + f->next_b + f->group);
            }
        }
        write_steps(parts, to, before, steps);
        fetch_steps(to, now, steps);
    }
    enum { ROW_BYTES = SIDE * sizeof(float) };
    _tile_stored(0, sums, ROW_BYTES);
    _tile_stored(1, sums + GROUP, ROW_BYTES);
    _tile_stored(2, sums + GROUP * SIDE, ROW_BYTES);
    _tile_stored(3, sums + GROUP * SIDE + GROUP, ROW_BYTES);
}

/* A pair of each of some rows of a, times the pairs of all columns, goes to sums in registers. */
REEL_ALWAYS_INLINE void sum_by_vectors(int columns, destination to, const factors *f, float *sums,
                                       square *before) {
    enum { SUMS = 16 }; /* of 32 registers */
    const int at_once = SUMS / columns;
    write_steps(1, to, before, SIDE);
    for (int first = 0; first < f->rows; first += at_once) {
        const char *const of_rows = f->a.data + first / GROUP * f->a.group + first % GROUP * f->a.line;
        __m512 sum[SUMS];
        for (int i = 0; i < SUMS; i++)
            sum[i] = _mm512_setzero_ps();
        for (int64_t pair = 0; pair < f->pairs; pair++) {
            const char *const of_a = of_rows + pair / GROUP * f->a.tile + pair % GROUP * 2 * ELEMENT;
            const char *const of_b = f->b + pair * LINE_BYTES;
            const __m512bh left = (__m512bh)_mm512_load_si512(of_b);
            const __m512bh right = (__m512bh)_mm512_load_si512(of_b + (columns - 1) * f->group);
            for (int i = 0; i < at_once; i++) {
                int of_row_pair; /* rows in place are aligned to a number, not to a pair */
                memcpy(&of_row_pair, of_a + i * f->a.line, sizeof of_row_pair);
                const __m512bh of_row = (__m512bh)_mm512_set1_epi32(of_row_pair);
                sum[i] = _mm512_dpbf16_ps(sum[i], of_row, left);
                if (columns == 2)
                    sum[at_once + i] = _mm512_dpbf16_ps(sum[at_once + i], of_row, right);
            }
        }
        for (int i = 0; i < at_once; i++) {
            _mm512_store_ps(sums + (first + i) * SIDE, sum[i]);
            if (columns == 2)
                _mm512_store_ps(sums + (first + i) * SIDE + GROUP, sum[at_once + i]);
        }
    }
}

REEL_ALWAYS_INLINE void sum_square(bool by_tiles, int parts, int rows, int columns, destination to,
                                   const factors *f, float *sums, square *before, square *now) {
    if (by_tiles)
        sum_by_tiles(parts, rows, columns, to, f, sums, before, now);
    else
        sum_by_vectors(columns, to, f, sums, before);
}

/* The square of c at a row and column, its sums to be written. */
REEL_ALWAYS_INLINE square square_at(destination to, const reel__bf16_product *p, int64_t row, int64_t column,
                                    const float *sums) {
    const int64_t element = to == SET_F32 || to == ADD_F32 ? (int64_t)sizeof(float) : ELEMENT;
    const int64_t rows = p->m - row, columns = p->n - column;
    return (square){.sums = sums,
                    .steps = rows < SIDE ? rows : SIDE,
                    .c = (char *)p->c + (row * p->c_row + column) * element,
                    .row_bytes = p->c_row * element,
                    .left = first_of_16(columns),
                    .right = first_of_16(columns - GROUP)};
}

/* The same of a gated product: each second group is g's, so that h has half as many columns, or rows. */
REEL_ALWAYS_INLINE square gated_square_at(int parts, destination to, const reel__bf16_gated *g, int64_t row,
                                          int64_t column, const float *sums) {
    const reel__bf16_product *const p = &g->product;
    const int64_t group = reel__bf16_group_bytes(p->dtype, g->inner), element = element_of(parts);
    const int64_t tile_bytes = parts * TILE_BYTES;
    square s = square_at(parts == 1 ? SET_BF16 : SET_F32, p, row, column, sums);
    s.h_group = group;
    int64_t h_row = row, h_column = column / 2;
    if (to == GATE_ROWS) { /* whose right half is no column of c */
        s.right = 0;
        s.h = g->h + h_row / GROUP * group + h_column / TERMS * tile_bytes + h_column % TERMS * ELEMENT;
        s.left = first_of_16(g->inner - h_column);
        s.to_up = g->inner * element;
    } else {
        h_row = row / 2;
        h_column = column;
        s.h = g->h + h_column / GROUP * group + h_row / TERMS * tile_bytes + h_row % TERMS / 2 * LINE_BYTES;
        s.steps = GROUP / 2;
        s.h_rows = g->inner - h_row;
        s.to_up = g->inner * s.row_bytes;
    }
    s.c = p->c ? (char *)p->c + (h_row * p->c_row + h_column) * element : NULL;
    return s;
}

/* Two groups of b stay in the cache while a goes by. `gated`: for gates alone. */
REEL_ALWAYS_INLINE void multiply_to(bool by_tiles, int parts, destination to, const reel__bf16_product *p,
                                    const reel__bf16_gated *gated) {
    float sums[2][SIDE * SIDE] __attribute__((aligned(LINE_BYTES)));
    const int64_t group = reel__bf16_group_bytes(p->dtype, p->k);
    factors f = {.a = p->a, .group = group, .tiles = (p->k + TERMS - 1) / TERMS, .pairs = (p->k + 1) / 2};
    square before = {.steps = 0};
    int turn = 0;
    for (int64_t column = 0; column < p->n; column += SIDE)
        for (int64_t row = 0; row < p->m; row += SIDE, turn ^= 1) {
            f.a.data = p->a.data + row / GROUP * p->a.group;
            f.b = p->b + column / GROUP * group;
            f.rows = p->m - row < SIDE ? p->m - row : SIDE;
            f.next_b = row == 0 && column + SIDE < p->n ? 2 * group : 0;
            square now = gated ? gated_square_at(parts, to, gated, row, column, sums[turn])
                               : square_at(to, p, row, column, sums[turn]);
            const bool two_rows = p->m - row > GROUP, two_columns = p->n - column > GROUP;
            if (two_rows && two_columns)
                sum_square(by_tiles, parts, 2, 2, to, &f, sums[turn], &before, &now);
            else if (two_rows)
                sum_square(by_tiles, parts, 2, 1, to, &f, sums[turn], &before, &now);
            else if (two_columns)
                sum_square(by_tiles, parts, 1, 2, to, &f, sums[turn], &before, &now);
            else
                sum_square(by_tiles, parts, 1, 1, to, &f, sums[turn], &before, &now);
            before = now;
        }
    write_steps(parts, to, &before, SIDE);
}

REEL_ALWAYS_INLINE void multiply_by(bool by_tiles, int parts, const reel__bf16_product *p,
                                    const reel__bf16_gated *gated) {
    if (gated && gated->rows)
        multiply_to(by_tiles, parts, GATE_ROWS, p, gated);
    else if (gated)
        multiply_to(by_tiles, parts, GATE_COLUMNS, p, gated);
    else if (p->c_is_f32 && p->accumulate)
        multiply_to(by_tiles, parts, ADD_F32, p, NULL);
    else if (p->c_is_f32)
        multiply_to(by_tiles, parts, SET_F32, p, NULL);
    else if (p->accumulate && parts == 1)
        multiply_to(by_tiles, parts, ADD_BF16, p, NULL);
    else if (parts == 1)
        multiply_to(by_tiles, parts, SET_BF16, p, NULL);
}

/* All of 8 tiles: 16 lines of 64 bytes. */
REEL_ALWAYS_INLINE void configure_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t line_bytes[16];
        uint8_t lines[16];
    } configuration = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        configuration.line_bytes[i] = LINE_BYTES;
        configuration.lines[i] = GROUP;
    }
    _tile_loadconfig(&configuration);
}

static void multiply(const reel_context *ctx, const reel__bf16_product *p, const reel__bf16_gated *gated) {
    if (ctx->bf16_unit == REEL__BF16_VECTORS) {
        multiply_by(false, 1, p, gated);
        return;
    }
    configure_tiles();
    if (p->dtype == REEL_F32)
        multiply_by(true, PARTS, p, gated);
    else
        multiply_by(true, 1, p, gated);
    _tile_release();
}

void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_product *product) {
    multiply(ctx, product, NULL);
}

void reel__gemm_gated_bf16(const reel_context *ctx, const reel__bf16_gated *gated) {
    multiply(ctx, &gated->product, gated);
}

#endif
