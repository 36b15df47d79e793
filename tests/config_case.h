/* A configuration under test: read, accepted or refused. */
#ifndef CONFIG_CASE_H
#define CONFIG_CASE_H

#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static train_config config;
static reel_error error;

static inline void begin(void) {
    memset(&config, 0, sizeof config);
    memset(&error, 0, sizeof error);
}

static inline void end(void) {
    train_config_free(&config);
}

enum { MAX_ARGUMENTS = 8 };

/* Parses text as config.yaml, training data given by an argument, and a NULL-terminated list of arguments. */
static inline reel_status parse_with(const char *text, const char *const *more) {
    char *arguments[MAX_ARGUMENTS + 1] = {"data_paths=[a.csv]"};
    int count = 1;
    for (; more && more[count - 1]; count++) {
        ck_assert_int_lt(count, MAX_ARGUMENTS);
        arguments[count] = (char *)more[count - 1];
    }
    end();
    begin();
    return train_config_parse(&config, "config.yaml", text, strlen(text), count, arguments, &error);
}

#define PARSE(text, ...) parse_with(text, (const char *const[]){__VA_ARGS__, NULL})
#define PARSE_FILE(text) parse_with(text, NULL)

static inline void expect_ok(reel_status status) {
    ck_assert_msg(status == REEL_OK, "refused: %s", error.message);
}

static inline void expect_refused(reel_status status, const char *message) {
    ck_assert_int_ne(status, REEL_OK);
    ck_assert_int_eq(status, error.status);
    ck_assert_str_eq(error.message, message);
    static const train_config zero;
    ck_assert_mem_eq(&config, &zero, sizeof zero);
}

/* What main returns after running all tests of a case. */
static inline int run_config_tests(const char *name, TCase *tests) {
    Suite *const suite = suite_create(name);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
