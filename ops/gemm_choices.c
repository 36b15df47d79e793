#include "gemm_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ----------------------------------------------------------------------------------------- */

/* The largest power of two that divides an address, up to what all storage has: more than that would be an
 * accident of the pool's past, which a run that is continued does not share. Copies to tensor cores ask for
 * 16 bytes. */
static int64_t alignment_of(const void *address) {
    const uintptr_t storage = 64, bits = (uintptr_t)address | storage;
    return (int64_t)(bits & -bits);
}

reel__gemm_question reel__gemm_question_of(const reel__gemm_shape *shape, const void *a, const void *b,
                                           const void *c) {
    return (reel__gemm_question){.shape = *shape,
                                 .a_alignment = alignment_of(a),
                                 .b_alignment = alignment_of(b),
                                 .c_alignment = alignment_of(c)};
}

const reel__gemm_choice *reel__gemm_choices_find(const reel__gemm_choices *table,
                                                 const reel__gemm_question *of) {
    for (int64_t i = 0; i < table->count; i++)
        if (memcmp(&table->items[i].of, of, sizeof *of) == 0)
            return &table->items[i];
    return NULL;
}

bool reel__gemm_choices_add(reel__gemm_choices *table, const reel__gemm_choice *choice) {
    const int64_t count = table->count;
    if (count == REEL__GEMM_MOST_CHOICES)
        return true;
    if ((count & (count - 1)) == 0) { /* room grows in powers of two */
        const size_t room = count > 0 ? 2 * (size_t)count : 1;
        reel__gemm_choice *const items = realloc(table->items, room * sizeof *items);
        if (!items)
            return false;
        table->items = items;
    }
    table->items[table->count++] = *choice;
    return true;
}

/* ---- text ----------------------------------------------------------------------------------------------
 *
 *     reel gemm choices 1
 *     library cuBLASLt 130100
 *     gpu NVIDIA H200
 *     choices 1
 *     m n k batches ... workspace_bytes algorithm
 *     62208 512 1536 1 ... 0 000000000000000b ...
 */

static const char titles[] =
    "m n k batches a_row a_column a_batch b_row b_column b_batch c_row c_batch dtype "
    "c_dtype accumulate a_alignment b_alignment c_alignment workspace_bytes "
    "algorithm";

enum {
    NUMBERS = sizeof(reel__gemm_question) / sizeof(int64_t),
    DTYPE = offsetof(reel__gemm_shape, dtype) / sizeof(int64_t),
    C_DTYPE = offsetof(reel__gemm_shape, c_dtype) / sizeof(int64_t),
    LINE_BYTES = 21 * (NUMBERS + 1) + 17 * REEL__GEMM_WORDS + 1, /* the longest number has 20 characters */
};

static void write_choice(char out[static LINE_BYTES], const reel__gemm_choice *choice) {
    int64_t number[NUMBERS];
    memcpy(number, &choice->of, sizeof number);
    char *at = out;
    for (int i = 0; i < NUMBERS; i++)
        at += i == DTYPE || i == C_DTYPE ? sprintf(at, "%s ", reel_dtype_name((reel_dtype)number[i]))
                                         : sprintf(at, "%" PRId64 " ", number[i]);
    at += sprintf(at, "%" PRId64, choice->workspace_bytes);
    for (int i = 0; i < REEL__GEMM_WORDS; i++)
        at += sprintf(at, " %016" PRIx64, choice->algorithm[i]);
}

char *reel__gemm_choices_write(const reel__gemm_choices *table) {
    char *text = NULL, line[LINE_BYTES];
    size_t bytes;
    FILE *const out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    fprintf(out, "reel gemm choices 1\nlibrary %s\ngpu %s\nchoices %" PRId64 "\n%s\n", table->chosen_by,
            table->gpu, table->count, titles);
    for (int64_t i = 0; i < table->count; i++) {
        write_choice(line, &table->items[i]);
        fprintf(out, "%s\n", line);
    }
    const bool is_whole = !ferror(out);
    if (fclose(out) == 0 && is_whole)
        return text;
    free(text);
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *name, *at, *end;
    char line[LINE_BYTES]; /* the one read last */
    int64_t number;        /* its number */
    reel_error *error;
} reader;

static reel_status refuse(const reader *r, const char *expected) {
    return reel_fail(r->error, REEL_ERROR_FORMAT, "%s:%" PRId64 ": expected %s", r->name, r->number,
                     expected);
}

/* False at the end and where there is no whole line of printable characters that fits. */
static bool next_line(reader *r) {
    const size_t left = (size_t)(r->end - r->at);
    const char *const newline = memchr(r->at, '\n', left);
    r->number++;
    if (!newline || newline - r->at >= LINE_BYTES)
        return false;
    char *out = r->line;
    while (r->at < newline) {
        if (*r->at < ' ' || *r->at > '~')
            return false;
        *out++ = *r->at++;
    }
    *out = '\0';
    r->at++;
    return true;
}

/* Reads "KEY VALUE", where the value must be that of this machine. */
static reel_status read_origin(reader *r, const char *key, const char *here) {
    const size_t length = strlen(key);
    if (!next_line(r) || strncmp(r->line, key, length) != 0)
        return refuse(r, key);
    if (strcmp(r->line + length, here) == 0)
        return REEL_OK;
    return reel_fail(r->error, REEL_ERROR_STATE,
                     "%s:%" PRId64 ": its choices are for %s, and this is %s; remove the file to choose "
                     "anew, with other last bits",
                     r->name, r->number, r->line + length, here);
}

static reel_status read_count(reader *r, int64_t *count) {
    char again[LINE_BYTES];
    *count = next_line(r) && strncmp(r->line, "choices ", 8) == 0 ? strtoll(r->line + 8, NULL, 10) : -1;
    snprintf(again, sizeof again, "choices %" PRId64, *count);
    if (*count < 0 || *count > REEL__GEMM_MOST_CHOICES || strcmp(again, r->line) != 0)
        return refuse(r, "choices and how many lines of them follow, at most 4096");
    return next_line(r) && strcmp(r->line, titles) == 0 ? REEL_OK : refuse(r, titles);
}

/* The dtype of this name, -1 for none. */
static int64_t read_dtype(char **at) {
    *at += **at == ' ';
    for (int64_t dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        const char *const name = reel_dtype_name((reel_dtype)dtype);
        if (strncmp(*at, name, strlen(name)) == 0) {
            *at += strlen(name);
            return dtype;
        }
    }
    return -1;
}

/* A line is one of ours if its numbers make the same line again. */
static bool read_choice(const reader *r, reel__gemm_choice *choice) {
    char *at = (char *)(uintptr_t)r->line, again[LINE_BYTES];
    int64_t number[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        number[i] = i == DTYPE || i == C_DTYPE ? read_dtype(&at) : strtoll(at, &at, 10);
        if (number[i] < 0)
            return false;
    }
    memcpy(&choice->of, number, sizeof number);
    choice->workspace_bytes = strtoll(at, &at, 10);
    for (int i = 0; i < REEL__GEMM_WORDS; i++)
        choice->algorithm[i] = strtoull(at, &at, 16);
    write_choice(again, choice);
    return strcmp(again, r->line) == 0 && choice->workspace_bytes >= 0 &&
           choice->workspace_bytes <= REEL__GEMM_WORKSPACE_BYTES;
}

static reel_status read_choices(reader *r, reel__gemm_choices *table, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        reel__gemm_choice choice;
        if (!next_line(r) || !read_choice(r, &choice))
            return refuse(r, "a choice: what line 5 names, with one space between");
        if (reel__gemm_choices_find(table, &choice.of))
            return refuse(r, "one choice for a product, and this is a second one");
        if (!reel__gemm_choices_add(table, &choice))
            return reel_fail(r->error, REEL_ERROR_MEMORY, "%s: no memory for its choices", r->name);
    }
    r->number++;
    return r->at == r->end ? REEL_OK : refuse(r, "the end, after as many choices as line 4 says");
}

reel_status reel__gemm_choices_parse(reel__gemm_choices *table, const char *name, const char *text,
                                     size_t bytes, reel_error *error) {
    static const char first[] = "reel gemm choices 1";
    reader r = {.name = name, .at = text, .end = text + bytes, .error = error};
    int64_t count = 0;
    reel_status status = next_line(&r) && strcmp(r.line, first) == 0 ? REEL_OK : refuse(&r, first);
    if (status == REEL_OK)
        status = read_origin(&r, "library ", table->chosen_by);
    if (status == REEL_OK)
        status = read_origin(&r, "gpu ", table->gpu);
    if (status == REEL_OK)
        status = read_count(&r, &count);
    if (status == REEL_OK)
        status = read_choices(&r, table, count);
    if (status != REEL_OK)
        table->count = 0;
    return status;
}

/* ---- of a context -------------------------------------------------------------------------------------- */

reel_status reel_gemm_choices_read(reel_context *ctx, const char *name, const char *text, size_t bytes,
                                   reel_error *error) {
    reel__gemm_choices *table;
    const reel_status status = reel__gemm_choices_of(&table, ctx, error);
    if (status != REEL_OK)
        return status;
    if (table->count > 0)
        return reel_fail(error, REEL_ERROR_STATE, "%s: the context has chosen algorithms already", name);
    return reel__gemm_choices_parse(table, name, text, bytes, error);
}

char *reel_gemm_choices_text(reel_context *ctx) {
    reel__gemm_choices *table;
    return reel__gemm_choices_of(&table, ctx, NULL) == REEL_OK ? reel__gemm_choices_write(table) : NULL;
}

int64_t reel_gemm_choices_count(reel_context *ctx) {
    reel__gemm_choices *table;
    return reel__gemm_choices_of(&table, ctx, NULL) == REEL_OK ? table->count : 0;
}

reel_status reel_gemm_choices_measure(reel_context *ctx, reel_error *error) {
    reel__gemm_choices *table;
    const reel_status status = reel__gemm_choices_of(&table, ctx, error);
    if (status == REEL_OK)
        table->measures = true;
    return status;
}
