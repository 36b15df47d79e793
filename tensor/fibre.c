/* Fibres switch by a dozen instructions where we have them, else by swapcontext, which asks the kernel for
 * the signal mask every time and has AddressSanitizer clear the shadow of a whole stack. */
#include "fibre.h"

#include "asan.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef REEL_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 1 << 18 };

static _Thread_local reel__fibre *leaving, *arriving; /* in the last switch */

static void arrive(void) {
#ifdef REEL_ASAN
    __sanitizer_finish_switch_fiber(arriving->sanitizer_kept, &leaving->sanitizer_stack,
                                    &leaving->sanitizer_bytes);
#endif
}

static void begin(void) {
    arrive();
    arriving->run();
    abort();
}

#ifdef __x86_64__
/* Pushes the registers that the ABI has a function keep, but for the control words of floating point, which
 * nobody here changes; keeps the stack pointer in *at, takes the other and pops what was pushed there. */
void reel__fibre_swap(void **at, void *to);
__asm__(".text\n"
        ".globl reel__fibre_swap\n"
        ".hidden reel__fibre_swap\n"
        ".type reel__fibre_swap, @function\n"
        "reel__fibre_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size reel__fibre_swap, . - reel__fibre_swap\n");

/* As if reel__fibre_swap had been called at the entry of begin, and begin by nobody. */
static void prepare(reel__fibre *f) {
    enum { PUSHED = 6 };
    uintptr_t *const top = (uintptr_t *)((char *)f->stack + STACK_BYTES);
    top[-2] = (uintptr_t)begin; /* over top[-1], 0, where it would return to */
    f->at = top - 2 - PUSHED;
}

static void swap(reel__fibre *from, reel__fibre *to) {
    reel__fibre_swap(&from->at, to->at);
}

#else
static void prepare(reel__fibre *f) {
    getcontext(&f->at);
    f->at.uc_stack.ss_sp = f->stack;
    f->at.uc_stack.ss_size = STACK_BYTES;
    makecontext(&f->at, begin, 0);
}

static void swap(reel__fibre *from, reel__fibre *to) {
    swapcontext(&from->at, &to->at);
}
#endif

bool reel__fibre_open(reel__fibre *f, void (*run)(void)) {
    void *const stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return false;
    *f = (reel__fibre){.stack = stack, .run = run, .sanitizer_stack = stack, .sanitizer_bytes = STACK_BYTES};
    prepare(f);
    return true;
}

void reel__fibre_close(reel__fibre *f) {
    munmap(f->stack, STACK_BYTES);
}

void reel__fibre_switch(reel__fibre *from, reel__fibre *to) {
    leaving = from;
    arriving = to;
#ifdef REEL_ASAN
    __sanitizer_start_switch_fiber(&from->sanitizer_kept, to->sanitizer_stack, to->sanitizer_bytes);
#endif
    swap(from, to);
    arrive();
}
