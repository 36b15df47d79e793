/* trm_convert --list FILE */
#ifndef CONVERT_LIST_H
#define CONVERT_LIST_H

#include "tensor_file.h"

#include <stdio.h>

/* Prints a line for every tensor: name, shape, dtype, the sum of its elements and that of their amounts. */
reel_status convert_list(FILE *out, const tensor_file *file, reel_error *error);

#endif
