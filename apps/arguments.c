#include "arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void arguments_no_memory(void) {
    fprintf(stderr, "%s: no memory left to read the command line\n", program_invocation_short_name);
    exit(EXIT_FAILURE);
}

/* A file that is opened takes the lowest free number, so where a standard stream is closed, what is meant for
 * it would go into that file. The stand-ins fail what a closed stream fails. */
static void occupy_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(EXIT_FAILURE);
    }
}

void arguments_parse(const struct argp *parser, int argc, char **argv, unsigned flags, void *input) {
    occupy_standard_streams();
    if (argp_parse(parser, argc, argv, flags, NULL, input) != 0)
        arguments_no_memory();
}
