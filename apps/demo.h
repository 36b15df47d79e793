/* The end of a run for people who watch: one test puzzle solved before their eyes. */
#ifndef DEMO_H
#define DEMO_H

#include "trainer.h"

/* Prints a puzzle of the first test batch and the model's board after each supervision step, with the moving
 * average of the weights. A puzzle is chosen whose solution takes more than one step, if there is one. Ends
 * with commands to try next, on the configuration at `config_path`. */
reel_status demo_show(trainer *t, const char *config_path, reel_error *error);

#endif
