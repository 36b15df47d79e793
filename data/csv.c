#include "csv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_FIELDS = 64,
    MAX_ROW_BYTES = 1 << 20, /* a 30x30 maze needs two thousand; this bounds what a hostile file can take */
    FIRST_ROOM = 4096,
};

struct reel__csv {
    FILE *stream;
    char *path;
    int64_t line;      /* on which the row read last begins, from 1 */
    int64_t next_line; /* on which the next one begins */

    /* The row read last: its fields one behind the other, each with a final zero. */
    char *bytes;
    size_t used, room;
    int fields;
    size_t start[MAX_FIELDS + 1]; /* offsets into bytes; one more than fields */

    char *names; /* the header row, kept in the same form */
    int columns;
    size_t name_start[MAX_FIELDS + 1];
};

reel_status reel__csv_refuse(const reel__csv *csv, reel_error *error, const char *format, ...) {
    char what[REEL_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return reel_fail(error, REEL_ERROR_FORMAT, "%s:%lld: %s", csv->path, (long long)csv->line, what);
}

/* ---- one row ----------------------------------------------------------------------------------------- */

static reel_status append_byte(reel__csv *csv, char byte, reel_error *error) {
    if (csv->used == csv->room) {
        if (csv->room >= MAX_ROW_BYTES)
            return reel__csv_refuse(csv, error, "the row is longer than %d bytes", MAX_ROW_BYTES);
        const size_t room = csv->room == 0 ? FIRST_ROOM : 2 * csv->room;
        char *bytes = realloc(csv->bytes, room);
        if (bytes == NULL)
            return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a row", csv->path);
        csv->bytes = bytes;
        csv->room = room;
    }
    csv->bytes[csv->used++] = byte;
    return REEL_OK;
}

static reel_status end_field(reel__csv *csv, reel_error *error) {
    if (csv->fields == MAX_FIELDS)
        return reel__csv_refuse(csv, error, "the row has more than %d fields", MAX_FIELDS);
    const reel_status status = append_byte(csv, '\0', error);
    csv->start[++csv->fields] = csv->used;
    return status;
}

/* The next byte, with CRLF as one line feed. */
static int next_byte(reel__csv *csv) {
    const int byte = getc(csv->stream);
    if (byte != '\r')
        return byte;
    const int after = getc(csv->stream);
    if (after == '\n' || after == EOF)
        return after;
    ungetc(after, csv->stream);
    return byte;
}

/* Where in a field the splitter stands. */
typedef enum place { FIELD_START, IN_PLAIN, IN_QUOTES, AFTER_QUOTE } place;

/* Takes one byte of a row's text, line ends outside quotes excepted. */
static reel_status take_byte(reel__csv *csv, int byte, place *at, reel_error *error) {
    if (byte == '\0')
        return reel__csv_refuse(csv, error, "a NUL byte: not a text file");
    if (*at == IN_QUOTES) {
        csv->next_line += byte == '\n';
        if (byte != '"')
            return append_byte(csv, (char)byte, error);
        *at = AFTER_QUOTE;
        return REEL_OK;
    }
    if (byte == ',') {
        *at = FIELD_START;
        return end_field(csv, error);
    }
    if (byte == '"' && *at == FIELD_START) {
        *at = IN_QUOTES;
        return REEL_OK;
    }
    if (*at == AFTER_QUOTE) {
        if (byte != '"')
            return reel__csv_refuse(csv, error, "field %d has text behind its closing quote",
                                    csv->fields + 1);
        *at = IN_QUOTES; /* a doubled quote stands for one */
        return append_byte(csv, '"', error);
    }
    *at = IN_PLAIN;
    return append_byte(csv, (char)byte, error);
}

/* Splits one line, or more where quotes hold line ends. *has_row is 0 at the end of the file. */
static reel_status read_row(reel__csv *csv, int *has_row, reel_error *error) {
    csv->used = 0;
    csv->fields = 0;
    csv->start[0] = 0;
    *has_row = 0;
    place at = FIELD_START;
    int byte;
    while ((byte = next_byte(csv)) == '\n')
        csv->next_line++; /* empty lines */
    csv->line = csv->next_line;
    for (; byte != EOF && !(byte == '\n' && at != IN_QUOTES); byte = next_byte(csv)) {
        *has_row = 1;
        const reel_status status = take_byte(csv, byte, &at, error);
        if (status != REEL_OK)
            return status;
    }
    if (ferror(csv->stream))
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot read: %s", csv->path, strerror(errno));
    if (byte == EOF && at == IN_QUOTES)
        return reel__csv_refuse(csv, error, "field %d has a quote that never closes", csv->fields + 1);
    csv->next_line++;
    return *has_row ? end_field(csv, error) : REEL_OK;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

int reel__csv_column(const reel__csv *csv, const char *name) {
    for (int i = 0; i < csv->columns; i++)
        if (strcmp(csv->names + csv->name_start[i], name) == 0)
            return i;
    return -1;
}

/* No other header begins with the mark's first byte, so nothing need be put back behind it. */
static reel_status skip_byte_order_mark(reel__csv *csv, reel_error *error) {
    const int first = getc(csv->stream);
    if (first != 0xef) {
        ungetc(first, csv->stream);
        return REEL_OK;
    }
    if (getc(csv->stream) == 0xbb && getc(csv->stream) == 0xbf)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_FORMAT, "%s:1: half a byte order mark: not a UTF-8 text file",
                     csv->path);
}

static reel_status read_header(reel__csv *csv, reel_error *error) {
    reel_status status = skip_byte_order_mark(csv, error);
    int has_row = 0;
    if (status == REEL_OK)
        status = read_row(csv, &has_row, error);
    if (status != REEL_OK)
        return status;
    if (!has_row)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: the file is empty", csv->path);
    csv->names = csv->bytes;
    memcpy(csv->name_start, csv->start, sizeof csv->start);
    csv->bytes = NULL;
    csv->room = 0;
    for (int i = 0; i < csv->fields; i++) {
        csv->columns = i;
        const char *name = csv->names + csv->name_start[i];
        if (reel__csv_column(csv, name) >= 0)
            return reel__csv_refuse(csv, error, "column '%.40s' appears twice", name);
    }
    csv->columns = csv->fields;
    return REEL_OK;
}

reel_status reel__csv_open(reel__csv **out, const char *path, reel_error *error) {
    *out = NULL;
    reel__csv *csv = calloc(1, sizeof *csv);
    char *copy = strdup(path);
    if (csv == NULL || copy == NULL) {
        free(csv);
        free(copy);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", path);
    }
    csv->path = copy;
    csv->next_line = 1;
    csv->stream = fopen(path, "rbe");
    reel_status status;
    if (csv->stream == NULL)
        status = reel_fail(error, REEL_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    else
        status = read_header(csv, error);
    if (status != REEL_OK) {
        reel__csv_close(csv);
        return status;
    }
    *out = csv;
    return REEL_OK;
}

void reel__csv_close(reel__csv *csv) {
    if (csv == NULL)
        return;
    if (csv->stream != NULL)
        fclose(csv->stream);
    free(csv->path);
    free(csv->bytes);
    free(csv->names);
    free(csv);
}

reel_status reel__csv_next(reel__csv *csv, int *has_row, reel_error *error) {
    const reel_status status = read_row(csv, has_row, error);
    if (status != REEL_OK || !*has_row || csv->fields == csv->columns)
        return status;
    return reel__csv_refuse(csv, error, "the row has %d field%s, the header %d", csv->fields,
                            csv->fields == 1 ? "" : "s", csv->columns);
}

reel__csv_field reel__csv_field_at(const reel__csv *csv, int column) {
    const size_t start = csv->start[column];
    return (reel__csv_field){csv->bytes + start, csv->start[column + 1] - start - 1};
}
