#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHELL_SIGNAL_BASE = 128 };

/* A signal may be delivered to any thread, so that blocking it in one would not hold it back. */
static volatile sig_atomic_t first, second, held;

static char note[256]; /* what a terminal is told after the first */
static size_t note_bytes;

int interrupt_exit_status(int signal) {
    return SHELL_SIGNAL_BASE + signal;
}

static void on_signal(int signal) {
    if (!first) {
        first = signal;
        if (isatty(STDERR_FILENO) && write(STDERR_FILENO, note, note_bytes) < 0)
            return; /* nobody to tell */
    } else {
        second = signal;
        if (!held)
            _exit(interrupt_exit_status(signal));
    }
}

/* The data are mapped, and this is how the system says that a file has become shorter or its disk cannot be
 * read. The step cannot be finished; what was saved is untouched. */
static void on_bus_error(int signal) {
    static const char text[] = ": a file that is read has become shorter, or its disk fails\n";
    const char *const name = program_invocation_short_name;
    const bool told =
        write(STDERR_FILENO, name, strlen(name)) > 0 && write(STDERR_FILENO, text, sizeof text - 1) > 0;
    _exit(told ? EXIT_FAILURE : interrupt_exit_status(signal));
}

void interrupt_watch(const char *promise) {
    const int length = snprintf(note, sizeof note, "\n%s; Ctrl-C again exits at once\n", promise);
    note_bytes = length < 0 ? 0 : (size_t)length < sizeof note ? (size_t)length : sizeof note - 1;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    /* Also where they were ignored, as in a shell's background jobs: a run must always be stoppable. */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup means it */
        sigaction(SIGHUP, &action, NULL);
    signal(SIGBUS, on_bus_error);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int interrupt_signal(void) {
    return first;
}

void interrupt_hold(void) {
    held = 1;
}

void interrupt_release(void) {
    held = 0;
    if (second)
        _exit(interrupt_exit_status(second));
}
