/* One line that is written over and over while a person waits, and whole lines between. */
#ifndef STATUS_LINE_H
#define STATUS_LINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct status_line {
    FILE *out;
    bool terminal; /* without one, nothing can be written over */
    bool open;     /* the cursor stands behind an unfinished line */
} status_line;

status_line status_line_on(FILE *out);

/* Writes over the unfinished line, as printf does; does nothing where `out` is no terminal. */
void status_line_show(status_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes a whole line of its own in place of the unfinished one. */
void status_line_say(status_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends an unfinished line. */
void status_line_end(status_line *line);

/* Wipes an unfinished line away. */
void status_line_clear(status_line *line);

/* "3:07" or "12:03:07" */
enum { STATUS_TIME_BYTES = 32 };
const char *status_time(char text[STATUS_TIME_BYTES], double seconds);

/* ---- a bar ------------------------------------------------------------------------------------------- */

/* How far a long task has come: share, amount, speed, time left. Shown on a terminal alone. */
typedef struct progress_bar {
    status_line line;
    const char *what; /* "train.csv" */
    const char *unit; /* "MB", "puzzles" */
    double scale;     /* of what is counted in one unit: 1e6 for bytes in MB */
    int64_t first;    /* what was done before, as by an earlier download */
    double begin, next;
} progress_bar;

progress_bar progress_bar_on(FILE *out, const char *what, const char *unit, double scale, int64_t first);

/* Shows that `done` of `total` are done, when it is time; total 0: not known. */
void progress_bar_show(progress_bar *bar, int64_t done, int64_t total);

#endif
