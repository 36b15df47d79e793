/* The Tiny Recursion Model (Jolicoeur-Martineau 2025, arXiv 2510.04871). */
#ifndef REEL_TRM_H
#define REEL_TRM_H

#include <reel/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One network of two layers that improves a latent z_L and an answer z_H in turn; see trm.c. */
extern const reel_architecture reel_trm;

#ifdef __cplusplus
}
#endif
#endif
