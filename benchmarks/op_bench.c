#include "op_bench.h"

#include <string.h>

#define REEL_OP(name, inputs, differentiable, dtypes, formula, gradient)                                     \
    extern const op_bench op_bench_##name;
#include "op_list.h"

const bench_op bench_ops[] = {
#define REEL_OP(name, inputs, differentiable, dtypes, formula, gradient)                                     \
    {#name, inputs, differentiable, &op_bench_##name},
#include "op_list.h"
};
const int bench_op_count = sizeof bench_ops / sizeof bench_ops[0];

int bench_names(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strspn(at, " ")) {
        const size_t word = strcspn(at, " .");
        if (word == length && strncmp(at, name, length) == 0)
            return 1;
        at += strcspn(at, " ");
    }
    return 0;
}

bench_values bench_values_of(const bench_op *op, int i) {
    enum { LAST = sizeof op->bench->values / sizeof op->bench->values[0] - 1 };
    return op->bench->values[i < LAST ? i : LAST];
}
