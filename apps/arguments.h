/* The command line of a program. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <argp.h>

/* argp_parse, which ends the program at a wrong option; so does this where there is no memory to read any.
 * Before that, standard streams that are closed are kept from becoming the files that the program opens. */
void arguments_parse(const struct argp *parser, int argc, char **argv, unsigned flags, void *input);

/* One line on standard error, and the end. */
_Noreturn void arguments_no_memory(void);

#endif
