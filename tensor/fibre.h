/* Stacks that one host thread runs on in turn. */
#ifndef REEL_FIBRE_H
#define REEL_FIBRE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __x86_64__
typedef void *reel__kept_registers; /* on the stack, by their address */
#else
#include <ucontext.h>
typedef ucontext_t reel__kept_registers;
#endif

/* A stack with what is kept of it while another runs. All zeros is the thread's own. */
typedef struct reel__fibre {
    void *stack; /* NULL: the thread's own */
    reel__kept_registers at;
    void (*run)(void);
    /* AddressSanitizer's: what it keeps of the fibre, and where it says that the stack lies. */
    void *sanitizer_kept;
    const void *sanitizer_stack;
    size_t sanitizer_bytes;
} reel__fibre;

/* Makes one that calls `run`, which must not return, when it is first switched to; false without memory. */
bool reel__fibre_open(reel__fibre *fibre, void (*run)(void));
/* Not the running one. */
void reel__fibre_close(reel__fibre *fibre);

/* Goes on with `to`; returns when somebody switches to `from`, the running one. */
void reel__fibre_switch(reel__fibre *from, reel__fibre *to);

#endif
