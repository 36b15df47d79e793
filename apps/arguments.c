#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void arguments_no_memory(void) {
    fprintf(stderr, "%s: no memory left to read the command line\n", program_invocation_short_name);
    exit(EXIT_FAILURE);
}

void arguments_parse(const struct argp *parser, int argc, char **argv, unsigned flags, void *input) {
    if (argp_parse(parser, argc, argv, flags, NULL, input) != 0)
        arguments_no_memory();
}
