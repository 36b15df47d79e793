/* Ctrl-C and kill: the first asks the run to end well, the second ends it at once. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

/* From here on SIGINT, SIGTERM and, unless nohup wants otherwise, SIGHUP are caught; a terminal is told what
 * is done then, "saving". Also makes a vanished terminal and a file size limit errors of the write that meets
 * them, and not the end of the program; and a data file that shrinks under the program's hands an end with
 * one line. */
void interrupt_watch(const char *promise);

/* The first signal that arrived, 0 while there was none. */
int interrupt_signal(void);

/* Between the two a second signal waits, so that no half-written file stays behind. */
void interrupt_hold(void);
void interrupt_release(void);

/* What a shell calls the end by this signal: 130 for Ctrl-C. */
int interrupt_exit_status(int signal);

#endif
