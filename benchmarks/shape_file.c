#include "shape_file.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZES = 32, MAX_SETS = 64, NAME_BYTES = 32 };
static const double LARGEST_SIZE = 0x1p40;

/* A line `sizes NAME LETTER=N ...`. */
typedef struct size_set {
    char name[NAME_BYTES];
    int count;
    struct {
        char name[NAME_BYTES];
        double value;
    } size[MAX_SIZES];
} size_set;

typedef struct reader {
    bench_cases *cases;
    const char *path, *file; /* the name alone */
    int line;
    size_set *sets;
    int set_count;
    bool chosen[MAX_SETS]; /* by the last line `at` */
    bool any_at;
    reel_error *error;
} reader;

static reel_status refuse(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static reel_status refuse(const reader *r, const char *format, ...) {
    char what[REEL_MESSAGE_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return reel_fail(r->error, REEL_ERROR_FORMAT, "%.160s:%d: %s", r->path, r->line, what);
}

static reel_status no_memory(const reader *r) {
    return reel_fail(r->error, REEL_ERROR_MEMORY, "%.160s:%d: no memory", r->path, r->line);
}

/* ---- values -------------------------------------------------------------------------------------------- */

/* One factor: a number, or the name of a size. */
static reel_status read_factor(const reader *r, const size_set *set, const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end != text && !*end && isfinite(*value))
        return REEL_OK;
    for (int i = 0; set && i < set->count; i++) {
        if (strcmp(set->size[i].name, text) == 0) {
            *value = set->size[i].value;
            return REEL_OK;
        }
    }
    if (!set)
        return refuse(r, "'%.40s' is no number", text);
    return refuse(r, "'%.40s' is neither a number nor among the sizes '%s'", text, set->name);
}

/* "3*D" */
static reel_status read_product(const reader *r, const size_set *set, char *text, double *product) {
    *product = 1;
    for (char *factor = text, *next; factor; factor = next) {
        next = strchr(factor, '*');
        if (next)
            *next++ = '\0';
        double value;
        const reel_status status = read_factor(r, set, factor, &value);
        if (status != REEL_OK)
            return status;
        *product *= value;
    }
    return REEL_OK;
}

/* "B,T,3*D" into at most REEL_MAX_RANK values; "" is an empty list. */
static reel_status read_list(const reader *r, const size_set *set, char *text, double *values, int *count) {
    *count = 0;
    for (char *part = *text ? text : NULL, *next; part; part = next) {
        next = strchr(part, ',');
        if (next)
            *next++ = '\0';
        if (*count == REEL_MAX_RANK)
            return refuse(r, "more than %d values in one list", REEL_MAX_RANK);
        const reel_status status = read_product(r, set, part, &values[(*count)++]);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static bool is_size(double value) {
    return value >= 0 && value <= LARGEST_SIZE && value == floor(value);
}

/* Cuts "name=value" in two; NULL when it is no such thing. */
static char *cut_value(char *word) {
    char *const equals = strchr(word, '=');
    if (!equals || equals == word)
        return NULL;
    *equals = '\0';
    return equals + 1;
}

/* ---- sizes and at -------------------------------------------------------------------------------------- */

static int set_named(const reader *r, const char *name) {
    for (int i = 0; i < r->set_count; i++)
        if (strcmp(r->sets[i].name, name) == 0)
            return i;
    return -1;
}

static reel_status read_size(const reader *r, size_set *set, char *word) {
    char *const value = cut_value(word);
    double number;
    if (!value || strlen(word) >= NAME_BYTES)
        return refuse(r, "sizes are written NAME=NUMBER, not '%.40s'", word);
    if (set->count == MAX_SIZES)
        return refuse(r, "more than %d sizes", MAX_SIZES);
    const reel_status status = read_product(r, NULL, value, &number);
    if (status != REEL_OK)
        return status;
    if (!is_size(number))
        return refuse(r, "%.40s=%g is no size: whole numbers from 0 to 2^40 are", word, number);
    snprintf(set->size[set->count].name, NAME_BYTES, "%s", word);
    set->size[set->count++].value = number;
    return REEL_OK;
}

static reel_status read_sizes(reader *r, char **rest) {
    char *const name = strtok_r(NULL, " \t", rest);
    if (!name || strchr(name, '=') || strlen(name) >= NAME_BYTES)
        return refuse(r, "a name of at most %d letters must follow 'sizes'", NAME_BYTES - 1);
    if (set_named(r, name) >= 0)
        return refuse(r, "there are sizes '%s' already", name);
    if (r->set_count == MAX_SETS)
        return refuse(r, "more than %d lines of sizes", MAX_SETS);
    size_set *const set = &r->sets[r->set_count];
    snprintf(set->name, sizeof set->name, "%s", name);
    reel_status status = REEL_OK;
    for (char *word; status == REEL_OK && (word = strtok_r(NULL, " \t", rest));)
        status = read_size(r, set, word);
    r->set_count++;
    return status;
}

static reel_status read_at(reader *r, char **rest) {
    memset(r->chosen, 0, sizeof r->chosen);
    r->any_at = true;
    for (char *name; (name = strtok_r(NULL, " \t", rest));) {
        const int set = set_named(r, name);
        if (set < 0)
            return refuse(r, "there are no sizes '%.40s'", name);
        r->chosen[set] = true;
    }
    return REEL_OK;
}

/* ---- a call -------------------------------------------------------------------------------------------- */

static const bench_op *op_named(const char *name) {
    for (int i = 0; i < bench_op_count; i++)
        if (strcmp(bench_ops[i].name, name) == 0)
            return &bench_ops[i];
    return NULL;
}

/* The position of an input among op_list.h's; a list ("x...") has a place for each time it is named. -1 for
 * none. */
static int input_named(const bench_case *c, const char *name) {
    int i = 0;
    for (const char *at = c->op->inputs; *at; i++, at += strspn(at, " ")) {
        const size_t word = strcspn(at, " "), length = strlen(name);
        if (word == length && strncmp(at, name, length) == 0)
            return i;
        if (word == length + 3 && strncmp(at, name, length) == 0 && strncmp(at + length, "...", 3) == 0)
            return i + c->inputs < BENCH_MAX_INPUTS ? i + c->inputs : -1;
        at += word;
    }
    return -1;
}

static reel_status read_shape(const reader *r, const size_set *set, char *text, bench_shape *shape) {
    double values[REEL_MAX_RANK];
    if (shape->given)
        return refuse(r, "an input is named twice");
    const reel_status status = read_list(r, set, text, values, &shape->rank);
    if (status != REEL_OK)
        return status;
    shape->given = true;
    for (int i = 0; i < shape->rank; i++) {
        if (!is_size(values[i]))
            return refuse(r, "%g is no size: whole numbers from 0 to 2^40 are", values[i]);
        shape->size[i] = (int64_t)values[i];
    }
    return REEL_OK;
}

static reel_status read_argument(const reader *r, const size_set *set, char *word, bench_case *c) {
    if (strcmp(word, "no_grad") == 0) {
        c->no_grad = true;
        return REEL_OK;
    }
    char *const value = cut_value(word);
    if (!value)
        return refuse(r, "'%.40s' is not NAME=VALUES", word);
    for (int i = 0; i < BENCH_MAX_ATTRIBUTES && c->attribute[i].name; i++)
        if (strcmp(c->attribute[i].name, word) == 0)
            return read_list(r, set, value, c->attribute[i].value, &c->attribute[i].count);
    const int input = input_named(c, word);
    if (input < 0)
        return refuse(r, "%s has no input or attribute '%.40s'; its inputs are: %s", c->op->name, word,
                      c->op->inputs);
    c->inputs = input >= c->inputs ? input + 1 : c->inputs;
    return read_shape(r, set, value, &c->shape[input]);
}

/* What the line says, with numbers in the place of names. */
static char *arguments_text(const bench_case *c) {
    char *text = NULL;
    size_t bytes;
    FILE *const out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    const char *at = c->op->inputs;
    for (int i = 0; i < c->inputs; i++) {
        const int word = (int)strcspn(at, " .");
        if (c->shape[i].given)
            fprintf(out, "%s%.*s=", ftell(out) > 0 ? " " : "", word, at);
        for (int k = 0; c->shape[i].given && k < c->shape[i].rank; k++)
            fprintf(out, "%s%lld", k ? "," : "", (long long)c->shape[i].size[k]);
        if (at[word] == ' ')
            at += word + 1;
    }
    for (int i = 0; i < BENCH_MAX_ATTRIBUTES && c->attribute[i].name; i++) {
        fprintf(out, " %s=", c->attribute[i].name);
        for (int k = 0; k < c->attribute[i].count; k++)
            fprintf(out, "%s%g", k ? "," : "", c->attribute[i].value[k]);
    }
    fputs(c->no_grad ? " no_grad" : "", out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static reel_status check_inputs(const reader *r, const bench_case *c) {
    int i = 0;
    for (const char *at = c->op->inputs; *at; i++, at += strspn(at, " ")) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " ."), at);
        if (!c->shape[i].given && !bench_names(c->op->bench->optional, name))
            return refuse(r, "%s lacks its input '%s'", c->op->name, name);
        at += strcspn(at, " ");
    }
    return REEL_OK;
}

static reel_status add_case(const reader *r, const bench_case *made) {
    bench_cases *const to = r->cases;
    if (to->count == to->room) {
        const int room = to->room ? 2 * to->room : 256;
        bench_case *const larger = realloc(to->all, (size_t)room * sizeof *larger);
        if (!larger)
            return no_memory(r);
        to->all = larger;
        to->room = room;
    }
    bench_case *const c = &to->all[to->count++];
    *c = *made;
    c->arguments = arguments_text(c);
    if (asprintf(&c->place, "%s:%d", r->file, r->line) < 0)
        c->place = NULL;
    return c->arguments && c->sizes && c->place ? REEL_OK : no_memory(r);
}

/* The call at one set of sizes; NULL for none. */
static reel_status read_case(const reader *r, const bench_op *op, const size_set *set,
                             const char *arguments) {
    bench_case c = {.op = op};
    memcpy(c.attribute, op->bench->attribute, sizeof c.attribute);
    char *const words = strdup(arguments), *rest = words;
    if (!words)
        return no_memory(r);
    reel_status status = REEL_OK;
    for (char *word; status == REEL_OK && (word = strsep(&rest, " \t"));)
        status = *word ? read_argument(r, set, word, &c) : REEL_OK;
    free(words);
    if (status == REEL_OK)
        status = check_inputs(r, &c);
    if (status != REEL_OK)
        return status;
    c.sizes = strdup(set ? set->name : "");
    return add_case(r, &c);
}

static reel_status read_call(const reader *r, const char *name, const char *arguments) {
    const bench_op *const op = op_named(name);
    if (!op)
        return refuse(r, "'%.40s' is no op, and neither 'sizes' nor 'at'", name);
    if (r->set_count == 0)
        return read_case(r, op, NULL, arguments);
    for (int i = 0; i < r->set_count; i++) {
        if (r->any_at && !r->chosen[i])
            continue;
        const reel_status status = read_case(r, op, &r->sets[i], arguments);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static reel_status read_line(reader *r, char *line) {
    line[strcspn(line, "#\r\n")] = '\0';
    char *rest;
    const char *const first = strtok_r(line, " \t", &rest);
    if (!first)
        return REEL_OK;
    if (strcmp(first, "sizes") == 0)
        return read_sizes(r, &rest);
    if (strcmp(first, "at") == 0)
        return read_at(r, &rest);
    return read_call(r, first, rest);
}

static reel_status read_lines(reader *r, FILE *file) {
    char *line = NULL;
    size_t room = 0;
    reel_status status = REEL_OK;
    while (status == REEL_OK && getline(&line, &room, file) >= 0) {
        r->line++;
        status = read_line(r, line);
    }
    free(line);
    if (status == REEL_OK && ferror(file))
        status = reel_fail(r->error, REEL_ERROR_IO, "%.160s: %s", r->path, strerror(errno));
    return status;
}

reel_status shape_file_read(bench_cases *cases, const char *path, reel_error *error) {
    const char *const slash = strrchr(path, '/');
    reader r = {.cases = cases, .path = path, .file = slash ? slash + 1 : path, .error = error};
    const int before = cases->count;
    FILE *const file = fopen(path, "r");
    if (!file)
        return reel_fail(error, REEL_ERROR_IO, "%.160s: %s", path, strerror(errno));
    r.sets = calloc(MAX_SETS, sizeof *r.sets);
    reel_status status = r.sets ? read_lines(&r, file) : no_memory(&r);
    free(r.sets);
    fclose(file);
    if (status == REEL_OK && cases->count == before)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%.160s: names no op", path);
    return status;
}

void bench_cases_free(bench_cases *cases) {
    for (int i = 0; i < cases->count; i++) {
        free(cases->all[i].sizes);
        free(cases->all[i].arguments);
        free(cases->all[i].place);
    }
    free(cases->all);
    *cases = (bench_cases){0};
}
