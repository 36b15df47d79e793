/* The eight symmetries of grids, beside what the published code makes of them. */
#include "dihedral.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 2, COLUMNS = 3, CELLS = ROWS * COLUMNS };

/* 1 2 3
 * 4 5 6 under each transform, as numpy's rot90, fliplr, flipud and transpose give it. */
static const struct {
    int rows, columns;
    uint8_t cells[CELLS];
} expected[REEL__DIHEDRAL_COUNT] = {
    {2, 3, {1, 2, 3, 4, 5, 6}}, {3, 2, {3, 6, 2, 5, 1, 4}}, {2, 3, {6, 5, 4, 3, 2, 1}},
    {3, 2, {4, 1, 5, 2, 6, 3}}, {2, 3, {3, 2, 1, 6, 5, 4}}, {2, 3, {4, 5, 6, 1, 2, 3}},
    {3, 2, {1, 4, 2, 5, 3, 6}}, {3, 2, {6, 3, 5, 2, 4, 1}},
};
static const uint8_t original[CELLS] = {1, 2, 3, 4, 5, 6};

START_TEST(test_dihedral_is_the_published_transform) {
    const reel__dihedral_walk walk = reel__dihedral_walk_of(_i, ROWS, COLUMNS);
    uint8_t out[CELLS];
    reel__dihedral(_i, ROWS, COLUMNS, original, out);
    ck_assert_int_eq(walk.rows, expected[_i].rows);
    ck_assert_int_eq(walk.columns, expected[_i].columns);
    ck_assert_mem_eq(out, expected[_i].cells, CELLS);
}
END_TEST

START_TEST(test_dihedral_inverse_undoes_it) {
    uint8_t there[CELLS], back[CELLS];
    reel__dihedral(_i, ROWS, COLUMNS, original, there);
    reel__dihedral(reel__dihedral_inverse(_i), expected[_i].rows, expected[_i].columns, there, back);
    ck_assert_mem_eq(back, original, CELLS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dihedral");
    TCase *t = tcase_create("dihedral");
    tcase_add_loop_test(t, test_dihedral_is_the_published_transform, 0, REEL__DIHEDRAL_COUNT);
    tcase_add_loop_test(t, test_dihedral_inverse_undoes_it, 0, REEL__DIHEDRAL_COUNT);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
