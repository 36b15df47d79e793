#include "terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { USUAL_COLUMNS = 80 };

int terminal_columns(FILE *out) {
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : USUAL_COLUMNS;
}

bool terminal_has_colours(FILE *out) {
    const char *const refusal = getenv("NO_COLOR"), *const kind = getenv("TERM");
    return isatty(fileno(out)) && !(refusal && *refusal) && !(kind && strcmp(kind, "dumb") == 0);
}
