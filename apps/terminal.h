/* What the programs know about the terminal they write to. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/* How many characters fit on a line; 80 where `out` is no terminal. */
int terminal_columns(FILE *out);

/* Whether `out` is a terminal on which colours are welcome: not a dumb one, and NO_COLOR is not set
 * (https://no-color.org). */
bool terminal_has_colours(FILE *out);

#endif
