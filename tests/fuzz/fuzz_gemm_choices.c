/* The file of algorithms of matrix products. */
#include "fuzz.h"
#include "gemm_table.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel__gemm_choices table = {.chosen_by = "cuBLASLt 1", .gpu = "A"};
    reel_error error = {0};
    const reel_status status = reel__gemm_choices_parse(&table, "choices", (const char *)data, size, &error);
    if (status == REEL_OK) { /* what is read is what would be written */
        char *const text = reel__gemm_choices_write(&table);
        FUZZ_REQUIRE(text != NULL && strlen(text) == size && memcmp(text, data, size) == 0);
        free(text);
    } else {
        fuzz_check_refusal(status, &error);
        FUZZ_REQUIRE(table.count == 0);
    }
    free(table.items);
    return 0;
}
