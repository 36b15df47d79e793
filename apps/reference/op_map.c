/* Prints the map of ops, which ops/op_list.h becomes: as text for a terminal, or as a page of the reference.
 *
 *   op_map          text
 *   op_map --page   for Doxygen */
#include <stdio.h>
#include <string.h>

/* A line of the list: the title of a kind, or an op. */
typedef struct entry {
    const char *kind; /* NULL for an op */
    const char *name, *inputs, *dtypes, *formula, *gradient;
} entry;

static const entry entries[] = {
#define REEL_OP_KIND(title) {.kind = (title)},
#define REEL_OP(name, inputs, differentiable, dtypes, formula, gradient)                                     \
    {NULL, #name, inputs, dtypes, formula, gradient},
#include "op_list.h"
};
enum { ENTRIES = sizeof entries / sizeof entries[0] };

static const char *dtypes_of(const entry *op) {
    return strcmp(op->dtypes, "float") == 0 ? "f64 f32 bf16" : "f64 f32 bf16 i32 u8";
}

static const char *gradient_of(const entry *op) {
    return *op->gradient ? op->gradient : "none";
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static void print_text(void) {
    for (int i = 0; i < ENTRIES; i++) {
        const entry *op = &entries[i];
        if (op->kind)
            printf("%s%s\n", i ? "\n" : "", op->kind);
        else
            printf("  %s(%s)  %s\n      %s\n      %s\n", op->name, op->inputs, dtypes_of(op), op->formula,
                   gradient_of(op));
    }
}

/* ---- page ---------------------------------------------------------------------------------------------- */

/* Characters that mean something to Doxygen stand for themselves behind a backslash. */
static void print_cell(const char *text) {
    printf("<td><code>");
    for (; *text; text++)
        printf(strchr("\\@&<>#%$", *text) ? "\\%c" : "%c", *text);
    printf("</code></td>");
}

static void print_page(void) {
    printf(
        "/** \\page ops Map of ops\n"
        "What every op computes, and what backward adds to the gradients of its inputs. [p] is 1 where p\n"
        "holds, else 0. Indices and labels are i32. Of ops that take integers too, float inputs alone have\n"
        "a gradient. The contracts are in ops.h.\n"
        "<table>\n");
    for (int i = 0; i < ENTRIES; i++) {
        const entry *op = &entries[i];
        if (op->kind) {
            printf("<tr><th colspan=\"5\">%s</th></tr>\n"
                   "<tr><th>op</th><th>inputs</th><th>dtypes</th><th>formula</th><th>gradient</th></tr>\n",
                   op->kind);
            continue;
        }
        printf("<tr><td>\\ref reel_%s \"%s\"</td>", op->name, op->name);
        print_cell(op->inputs);
        print_cell(dtypes_of(op));
        print_cell(op->formula);
        print_cell(gradient_of(op));
        printf("</tr>\n");
    }
    printf("</table> */\n");
}

int main(int argc, char **argv) {
    if (argc == 1) {
        print_text();
    } else if (argc == 2 && strcmp(argv[1], "--page") == 0) {
        print_page();
    } else {
        fprintf(stderr, "usage: op_map [--page]\n");
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
