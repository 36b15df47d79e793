#include "interrupt.h"

#include <signal.h>
#include <stdio.h>
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

void interrupt_watch(const char *promise) {
    const int length = snprintf(note, sizeof note, "\n%s; Ctrl-C again exits at once\n", promise);
    note_bytes = length < 0 ? 0 : (size_t)length < sizeof note ? (size_t)length : sizeof note - 1;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    /* Also where they were ignored, as in a shell's background jobs: a run must always be stoppable. */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hang_up;
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
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
