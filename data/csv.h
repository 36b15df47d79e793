/* A streaming CSV splitter (RFC 4180): one header row that names the columns, then one row at a time.
 *
 * Tolerated: a UTF-8 byte order mark, CRLF line ends, empty lines, a last line without an end, quoted fields
 * with doubled quotes and line breaks. Refused, naming file and line: rows with more or fewer fields than the
 * header, text behind a closing quote, a quote that never closes, NUL bytes, rows over a mebibyte, a column
 * named twice. */
#ifndef REEL_DATA_CSV_H
#define REEL_DATA_CSV_H

#include <reel/tensor.h>

typedef struct reel__csv reel__csv;

typedef struct reel__csv_field {
    const char *text; /* ends with a zero that `length` does not count; valid until the next row is read */
    size_t length;
} reel__csv_field;

/* Opens `path` and reads the header row. */
reel_status reel__csv_open(reel__csv **csv, const char *path, reel_error *error);
void reel__csv_close(reel__csv *csv);

/* Finds a column by its name in the header; *column is -1 where there is none. */
int reel__csv_column(const reel__csv *csv, const char *name);

/* Reads the next row: *has_row is 0 at the end of the file. */
reel_status reel__csv_next(reel__csv *csv, int *has_row, reel_error *error);

/* A field of the row read last. */
reel__csv_field reel__csv_field_at(const reel__csv *csv, int column);

/* Fails with "PATH:LINE: ..." for the line on which the row read last begins. */
reel_status reel__csv_refuse(const reel__csv *csv, reel_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
