/* Products of bf16 by AVX512-BF16 and AMX. The one file that is compiled for these instructions. */
#include "gemm_bf16.h"

#ifndef REEL_BF16_UNITS

bool reel__bf16_ready(const reel_context *ctx) {
    (void)ctx;
    return false;
}

void reel__bf16_pack_a(int64_t m, int64_t k, reel__matrix a, char *to, int64_t group) {
    (void)m, (void)k, (void)a, (void)to, (void)group;
}

void reel__bf16_pack_b(int64_t k, int64_t n, reel__matrix b, char *to, int64_t group) {
    (void)k, (void)n, (void)b, (void)to, (void)group;
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
enum { LINE_BYTES = 64, ELEMENT = sizeof(reel_bf16) };

bool reel__bf16_ready(const reel_context *ctx) {
    return ctx->bf16_unit != REEL__BF16_NONE;
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

/* Line i: 32 terms of row or column i, which lie side by side, those of the next `stride` bytes behind. */
REEL_ALWAYS_INLINE tile lines_of_terms(const char *from, int64_t stride, int64_t lines, int64_t terms) {
    tile t;
    for (int i = 0; i < GROUP; i++)
        t.line[i] = i < lines ? _mm512_maskz_loadu_epi16(first_of_32(terms), from + i * stride)
                              : _mm512_setzero_si512();
    return t;
}

/* Line i: terms 2 i and 2 i + 1 of 16 rows or columns, of which one term lies side by side, the next `stride`
 * bytes behind. */
REEL_ALWAYS_INLINE tile lines_of_pairs(const char *from, int64_t stride, int64_t lines, int64_t terms) {
    const __mmask16 mask = first_of_16(lines);
    tile t;
    for (int i = 0; i < GROUP; i++, from += 2 * stride) {
        const __m256i even = _mm256_maskz_loadu_epi16(2 * i < terms ? mask : 0, from);
        const __m256i odd = _mm256_maskz_loadu_epi16(2 * i + 1 < terms ? mask : 0, from + stride);
        t.line[i] =
            _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
    }
    return t;
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

/* `by_terms`: terms lie side by side in memory, else rows of a or columns of b do, and `stride` is the
 * elements between neighbours of the others. `turn`: tiles of lines as they are read, transposed. */
REEL_ALWAYS_INLINE void pack(bool by_terms, bool turn, int64_t lines, int64_t k, const char *from,
                             int64_t stride, char *to, int64_t group) {
    const int64_t line_step = by_terms ? stride * ELEMENT : ELEMENT;
    const int64_t term_step = by_terms ? ELEMENT : stride * ELEMENT;
    const int64_t together =
        by_terms ? GROUP : REEL__BF16_PACKED_TOGETHER; /* groups whose lines are neighbours */
    for (int64_t begin = 0; begin < lines; begin += together)
        for (int64_t term = 0; term < k; term += TERMS)
            for (int64_t line = begin; line < lines && line < begin + together; line += GROUP) {
                const char *const at = from + line * line_step + term * term_step;
                const tile read = by_terms ? lines_of_terms(at, line_step, lines - line, k - term)
                                           : lines_of_pairs(at, term_step, lines - line, k - term);
                const tile packed = turn ? transposed(read) : read;
                char *const tile_at = to + line / GROUP * group + term / TERMS * TILE_BYTES;
                for (int i = 0; i < GROUP; i++)
                    _mm512_store_si512(tile_at + i * LINE_BYTES, packed.line[i]);
            }
}

void reel__bf16_pack_a(int64_t m, int64_t k, reel__matrix a, char *to, int64_t group) {
    enum { AS_READ, TURNED };
    if (a.column == 1 || k == 1)
        pack(true, AS_READ, m, k, a.data, a.row, to, group);
    else
        pack(false, TURNED, m, k, a.data, a.column, to, group);
}

void reel__bf16_pack_b(int64_t k, int64_t n, reel__matrix b, char *to, int64_t group) {
    enum { AS_READ, TURNED };
    if (b.column == 1 || n == 1)
        pack(false, AS_READ, n, k, b.data, b.row, to, group);
    else
        pack(true, TURNED, n, k, b.data, b.column, to, group);
}

void reel__bf16_pack_a_f32(int64_t m, int64_t k, const float *a, int64_t row, char *to) {
    const int64_t group = reel__bf16_group_bytes(k);
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

/* What becomes of sums: constants of the kernels. Of gates and what they multiply, one is a square's left
 * half and the other its right, or one its upper and the other its lower. */
typedef enum destination { SET_BF16, ADD_BF16, SET_F32, ADD_F32, GATE_ROWS, GATE_COLUMNS } destination;

typedef struct square {
    const float *sums;
    int64_t step, steps;   /* written so far, and in all: rows, or pairs of rows of h for its columns */
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

REEL_ALWAYS_INLINE __mmask32 both_halves(const square *s) {
    return (__mmask32)s->left | (__mmask32)s->right << GROUP;
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
    if (to == SET_F32 || to == ADD_F32) {
        _mm512_mask_storeu_ps(c, s->left, x);
        _mm512_mask_storeu_ps(c + GROUP * sizeof(float), s->right, y);
    } else {
        _mm512_mask_storeu_epi16(c, both_halves(s), (__m512i)_mm512_cvtne2ps_pbh(y, x));
    }
}

/* silu(g) u of so many vectors. A division would take longer than the rest; the reciprocal is right to 14
 * bits, of which h keeps 8. */
REEL_ALWAYS_INLINE void gate(int vectors, const __m512 *g, const __m512 *u, __m512 *h) {
    for (int i = 0; i < vectors; i++)
        h[i] = -g[i];
    reel__v_exp_each(vectors, h);
    for (int i = 0; i < vectors; i++)
        h[i] = g[i] * u[i] * _mm512_rcp14_ps(reel__v_set(1) + h[i]);
}

/* A row of h, 16 columns: half a line of a tile. */
REEL_ALWAYS_INLINE void gate_row(const square *s) {
    const float *const sums = s->sums + s->step * SIDE;
    const __m512 g = _mm512_load_ps(sums), u = _mm512_load_ps(sums + GROUP);
    char *const to = s->h + s->step / GROUP * s->h_group + s->step % GROUP * LINE_BYTES;
    __m512 h;
    gate(1, &g, &u, &h);
    _mm256_store_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(h));
    if (s->c) {
        char *const c = s->c + s->step * s->row_bytes;
        _mm256_mask_storeu_epi16(c, s->left, (__m256i)_mm512_cvtneps_pbh(g));
        _mm256_mask_storeu_epi16(c + s->to_up, s->left, (__m256i)_mm512_cvtneps_pbh(u));
    }
}

/* x0 y0 x1 y1 .. */
REEL_ALWAYS_INLINE __m512i paired(__m512 x, __m512 y) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(y));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* Two rows of h, 2 x 16 columns: a line of two tiles. */
REEL_ALWAYS_INLINE void gate_row_pair(const square *s) {
    enum { ROWS = 2, VECTORS = 2 * ROWS, TO_UP = GROUP * SIDE };
    const float *const sums = s->sums + s->step * ROWS * SIDE;
    char *const to = s->h + s->step * LINE_BYTES;
    __m512 g[VECTORS], u[VECTORS], h[VECTORS];
    for (int i = 0; i < VECTORS; i++) {
        g[i] = _mm512_load_ps(sums + i * GROUP);
        u[i] = _mm512_load_ps(sums + i * GROUP + TO_UP);
    }
    gate(VECTORS, g, u, h);
    _mm512_store_si512(to, paired(h[0], h[2]));
    if (s->right)
        _mm512_store_si512(to + s->h_group, paired(h[1], h[3]));
    if (!s->c)
        return;
    for (int i = 0; i < ROWS && s->step * ROWS + i < s->h_rows; i++) {
        char *const c = s->c + (s->step * ROWS + i) * s->row_bytes;
        _mm512_mask_storeu_epi16(c, both_halves(s), (__m512i)_mm512_cvtne2ps_pbh(g[2 * i + 1], g[2 * i]));
        _mm512_mask_storeu_epi16(c + s->to_up, both_halves(s),
                                 (__m512i)_mm512_cvtne2ps_pbh(u[2 * i + 1], u[2 * i]));
    }
}

/* The next part of a square, in at most so many steps. */
REEL_ALWAYS_INLINE void write_steps(destination to, square *s, int64_t most) {
    const int64_t end = s->steps - s->step < most ? s->steps : s->step + most;
    for (; s->step < end; s->step++)
        if (to == GATE_COLUMNS)
            gate_row_pair(s);
        else if (to == GATE_ROWS)
            gate_row(s);
        else
            write_row(to, s);
}

/* The factors of a square: two groups of each, or one, of so many tiles. */
typedef struct factors {
    reel__bf16_tiles a;
    const char *b;
    int64_t group, tiles;  /* bytes from one group to the next */
    int64_t next_b, pairs; /* bytes to the groups of b that come next, 0 for none; pairs that are not zeros */
} factors;

/* Tiles 0 to 3 are the sums; 4 and 5 are a's, 6 and 7 b's. */
REEL_ALWAYS_INLINE void sum_by_tiles(int rows, int columns, destination to, const factors *f, float *sums,
                                     square *before) {
    const int64_t written = (before->steps + f->tiles - 1) / f->tiles; /* with each tile */
    const char *a = f->a.data, *b = f->b;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < f->tiles; i++, a += f->a.tile, b += TILE_BYTES) {
        _tile_loadd(4, a, f->a.line);
        _tile_loadd(6, b, LINE_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        if (columns == 2) {
            _tile_loadd(7, b + f->group, LINE_BYTES);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (rows == 2) {
            _tile_loadd(5, a + f->a.group, f->a.line);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (rows == 2 && columns == 2)
            _tile_dpbf16ps(3, 5, 7);
        if (f->next_b)
            for (int line = 0; line < GROUP; line++) {
                _mm_prefetch(b + f->next_b + line * LINE_BYTES, _MM_HINT_T1);
                _mm_prefetch(b + f->next_b + f->group + line * LINE_BYTES, _MM_HINT_T1);
            }
        write_steps(to, before, written);
    }
    enum { ROW_BYTES = SIDE * sizeof(float) };
    _tile_stored(0, sums, ROW_BYTES);
    _tile_stored(1, sums + GROUP, ROW_BYTES);
    _tile_stored(2, sums + GROUP * SIDE, ROW_BYTES);
    _tile_stored(3, sums + GROUP * SIDE + GROUP, ROW_BYTES);
}

/* A pair of each of some rows of a, times the pairs of all columns, goes to sums in registers. */
REEL_ALWAYS_INLINE void sum_by_vectors(int rows, int columns, destination to, const factors *f, float *sums,
                                       square *before) {
    enum { AT_ONCE = 8 }; /* rows: twice as many sums, of 32 registers */
    write_steps(to, before, SIDE);
    for (int first = 0; first < rows * GROUP; first += AT_ONCE) {
        const char *const of_rows = f->a.data + first / GROUP * f->a.group + first % GROUP * f->a.line;
        __m512 sum[AT_ONCE][2];
        for (int i = 0; i < AT_ONCE; i++)
            sum[i][0] = sum[i][1] = _mm512_setzero_ps();
        for (int64_t pair = 0; pair < f->pairs; pair++) {
            const char *const of_a = of_rows + pair / GROUP * f->a.tile + pair % GROUP * 2 * ELEMENT;
            const char *const of_b = f->b + pair * LINE_BYTES;
            const __m512bh left = (__m512bh)_mm512_load_si512(of_b);
            const __m512bh right = (__m512bh)_mm512_load_si512(of_b + (columns - 1) * f->group);
            for (int i = 0; i < AT_ONCE; i++) {
                int of_row_pair; /* rows in place are aligned to a number, not to a pair */
                memcpy(&of_row_pair, of_a + i * f->a.line, sizeof of_row_pair);
                const __m512bh of_row = (__m512bh)_mm512_set1_epi32(of_row_pair);
                sum[i][0] = _mm512_dpbf16_ps(sum[i][0], of_row, left);
                sum[i][1] = _mm512_dpbf16_ps(sum[i][1], of_row, right);
            }
        }
        for (int i = 0; i < AT_ONCE; i++) {
            _mm512_store_ps(sums + (first + i) * SIDE, sum[i][0]);
            _mm512_store_ps(sums + (first + i) * SIDE + GROUP, sum[i][1]);
        }
    }
}

REEL_ALWAYS_INLINE void sum_square(bool by_tiles, int rows, int columns, destination to, const factors *f,
                                   float *sums, square *before) {
    if (by_tiles)
        sum_by_tiles(rows, columns, to, f, sums, before);
    else
        sum_by_vectors(rows, columns, to, f, sums, before);
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
REEL_ALWAYS_INLINE square gated_square_at(destination to, const reel__bf16_gated *g, int64_t row,
                                          int64_t column, const float *sums) {
    const reel__bf16_product *const p = &g->product;
    const int64_t group = reel__bf16_group_bytes(g->inner);
    square s = square_at(SET_BF16, p, row, column, sums);
    s.h_group = group;
    int64_t h_row = row, h_column = column / 2;
    if (to == GATE_ROWS) {
        s.h = g->h + h_row / GROUP * group + h_column / TERMS * TILE_BYTES + h_column % TERMS * ELEMENT;
        s.left = first_of_16(g->inner - h_column);
        s.to_up = g->inner * ELEMENT;
    } else {
        h_row = row / 2;
        h_column = column;
        s.h = g->h + h_column / GROUP * group + h_row / TERMS * TILE_BYTES + h_row % TERMS / 2 * LINE_BYTES;
        s.steps = GROUP / 2;
        s.h_rows = g->inner - h_row;
        s.to_up = g->inner * s.row_bytes;
    }
    s.c = p->c ? (char *)p->c + (h_row * p->c_row + h_column) * ELEMENT : NULL;
    return s;
}

/* Two groups of b stay in the cache while a goes by. `gated`: for gates alone. */
REEL_ALWAYS_INLINE void multiply_to(bool by_tiles, destination to, const reel__bf16_product *p,
                                    const reel__bf16_gated *gated) {
    float sums[2][SIDE * SIDE] __attribute__((aligned(LINE_BYTES)));
    const int64_t group = reel__bf16_group_bytes(p->k);
    factors f = {.a = p->a, .group = group, .tiles = group / TILE_BYTES, .pairs = (p->k + 1) / 2};
    square before = {.steps = 0};
    int turn = 0;
    for (int64_t column = 0; column < p->n; column += SIDE)
        for (int64_t row = 0; row < p->m; row += SIDE, turn ^= 1) {
            f.a.data = p->a.data + row / GROUP * p->a.group;
            f.b = p->b + column / GROUP * group;
            f.next_b = row == 0 && column + SIDE < p->n ? 2 * group : 0;
            const bool two_rows = p->m - row > GROUP, two_columns = p->n - column > GROUP;
            if (two_rows && two_columns)
                sum_square(by_tiles, 2, 2, to, &f, sums[turn], &before);
            else if (two_rows)
                sum_square(by_tiles, 2, 1, to, &f, sums[turn], &before);
            else if (two_columns)
                sum_square(by_tiles, 1, 2, to, &f, sums[turn], &before);
            else
                sum_square(by_tiles, 1, 1, to, &f, sums[turn], &before);
            before = gated ? gated_square_at(to, gated, row, column, sums[turn])
                           : square_at(to, p, row, column, sums[turn]);
        }
    write_steps(to, &before, SIDE);
}

REEL_ALWAYS_INLINE void multiply_by(bool by_tiles, const reel__bf16_product *p,
                                    const reel__bf16_gated *gated) {
    if (gated && gated->rows)
        multiply_to(by_tiles, GATE_ROWS, p, gated);
    else if (gated)
        multiply_to(by_tiles, GATE_COLUMNS, p, gated);
    else if (p->c_is_f32 && p->accumulate)
        multiply_to(by_tiles, ADD_F32, p, NULL);
    else if (p->c_is_f32)
        multiply_to(by_tiles, SET_F32, p, NULL);
    else if (p->accumulate)
        multiply_to(by_tiles, ADD_BF16, p, NULL);
    else
        multiply_to(by_tiles, SET_BF16, p, NULL);
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
        multiply_by(false, p, gated);
        return;
    }
    configure_tiles();
    multiply_by(true, p, gated);
    _tile_release();
}

void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_product *product) {
    multiply(ctx, product, NULL);
}

void reel__gemm_gated_bf16(const reel_context *ctx, const reel__bf16_gated *gated) {
    multiply(ctx, &gated->product, gated);
}

#endif
