#include "status_line.h"

#include "terminal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 512 };

static const char clear_to_end[] = "\033[K"; /* ECMA-48 */

status_line status_line_on(FILE *out) {
    return (status_line){.out = out, .terminal = isatty(fileno(out))};
}

void status_line_show(status_line *line, const char *format, ...) {
    char text[LINE_BYTES];
    if (!line->terminal)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* What is longer than the terminal is wide would not go away again. */
    fprintf(line->out, "\r%.*s%s", terminal_columns(line->out) - 1, text, clear_to_end);
    fflush(line->out);
    line->open = true;
}

void status_line_clear(status_line *line) {
    if (line->open) {
        fprintf(line->out, "\r%s", clear_to_end);
        fflush(line->out);
    }
    line->open = false;
}

void status_line_say(status_line *line, const char *format, ...) {
    status_line_clear(line);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(line->out, format, arguments);
    va_end(arguments);
    fputc('\n', line->out);
    fflush(line->out);
}

void status_line_end(status_line *line) {
    if (line->open) {
        fputc('\n', line->out);
        fflush(line->out);
    }
    line->open = false;
}

const char *status_time(char text[STATUS_TIME_BYTES], double seconds) {
    enum { MINUTE = 60, HOUR = 60 * MINUTE };
    const int64_t s = (int64_t)seconds;
    if (s < HOUR)
        snprintf(text, STATUS_TIME_BYTES, "%" PRId64 ":%02d", s / MINUTE, (int)(s % MINUTE));
    else
        snprintf(text, STATUS_TIME_BYTES, "%" PRId64 ":%02d:%02d", s / HOUR, (int)(s % HOUR / MINUTE),
                 (int)(s % MINUTE));
    return text;
}

/* ---- a bar ------------------------------------------------------------------------------------------- */

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

progress_bar progress_bar_on(FILE *out, const char *what, const char *unit, double scale, int64_t first) {
    const double now = now_seconds();
    return (progress_bar){.line = status_line_on(out),
                          .what = what,
                          .unit = unit,
                          .scale = scale,
                          .first = first,
                          .begin = now,
                          .next = now};
}

void progress_bar_show(progress_bar *bar, int64_t done, int64_t total) {
    enum { BAR_CELLS = 20 };
    static const char full[BAR_CELLS + 1] = "####################";
    static const double interval_seconds = 0.1;
    if (!bar->line.terminal)
        return;
    const double now = now_seconds();
    if (now < bar->next)
        return;
    bar->next = now + interval_seconds;

    const int digits = bar->scale == 1 ? 0 : 1;
    const double seconds = now - bar->begin, amount = (double)done / bar->scale;
    const double speed = seconds > 0 ? (double)(done - bar->first) / bar->scale / seconds : 0;
    if (total <= 0) {
        status_line_show(&bar->line, "%s  %.*f %s  %.*f %s/s", bar->what, digits, amount, bar->unit, digits,
                         speed, bar->unit);
        return;
    }
    const double whole = (double)total / bar->scale, missing = done < total ? whole - amount : 0;
    const double share = 1 - missing / whole;
    char left[STATUS_TIME_BYTES] = "-:--";
    if (speed > 0)
        status_time(left, missing / speed);
    status_line_show(&bar->line, "%s [%-*.*s] %3.0f %%  %.*f of %.*f %s  %.*f %s/s  %s left", bar->what,
                     BAR_CELLS, (int)(share * BAR_CELLS), full, 100 * share, digits, amount, digits, whole,
                     bar->unit, digits, speed, bar->unit, left);
}
