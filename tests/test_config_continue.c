/* The configuration of a run that is saved now and then and continued: how often, and what may have changed.
 */
#include "config_case.h"

#include <stdio.h>

START_TEST(test_config_reads_a_period) {
    const struct {
        const char *argument;
        int64_t steps, minutes;
    } cases[] = {
        {"checkpoint_every=500", 500, 0},    {"checkpoint_every=10min", 0, 10},
        {"checkpoint_every='10min'", 0, 10}, {"checkpoint_every=null", 0, 0},
        {"checkpoint_every=1", 1, 0},        {"checkpoint_every=1min", 0, 1},
        {"+checkpoint_every=500", 500, 0},   {"keep_checkpoints=3", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_ok(PARSE("", cases[i].argument));
        ck_assert_int_eq(config.checkpoint_every.steps, cases[i].steps);
        ck_assert_int_eq(config.checkpoint_every.minutes, cases[i].minutes);
    }
    ck_assert_int_eq(config.keep_checkpoints, 3);
}
END_TEST

START_TEST(test_config_refuses_what_is_no_period) {
    static const char *const values[] = {"0",   "-5",  "1.5",  "10s",   "min", "10 min", "10minutes",
                                         "1e3", "010", "0min", "-1min", "''",  "[10]",   "{a: 1}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char argument[64], message[256];
        snprintf(argument, sizeof argument, "checkpoint_every=%s", values[i]);
        ck_assert_int_eq(PARSE("", argument), REEL_ERROR_ARGUMENT);
        snprintf(message, sizeof message,
                 "argument '%s': checkpoint_every: expected a number of steps such as 500, or "
                 "of minutes such as 10min, got ",
                 argument);
        ck_assert_msg(strncmp(error.message, message, strlen(message)) == 0, "%s", error.message);
    }
    expect_refused(
        PARSE("", "checkpoint_every=2000000000min"),
        "argument 'checkpoint_every=2000000000min': checkpoint_every: 2000000000min is outside 1 to "
        "1000000000");
    ck_assert_int_eq(PARSE("", "checkpoint_every=99999999999999999999"), REEL_ERROR_ARGUMENT);
}
END_TEST

START_TEST(test_config_writes_a_period_as_it_reads_it) {
    static const char *const arguments[] = {"checkpoint_every=500", "checkpoint_every=10min",
                                            "checkpoint_every=null"};
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        expect_ok(PARSE("", arguments[i]));
        const config_period before = config.checkpoint_every;
        char *const texts[] = {train_config_yaml(&config), train_config_json(&config)};
        for (int k = 0; k < 2; k++) {
            end();
            expect_ok(train_config_parse(&config, "dump", texts[k], strlen(texts[k]), 0, NULL, &error));
            ck_assert_int_eq(config.checkpoint_every.steps, before.steps);
            ck_assert_int_eq(config.checkpoint_every.minutes, before.minutes);
            free(texts[k]);
        }
    }
}
END_TEST

/* `config` takes the place of a run begun with no arguments. */
static reel_status continues(const char *argument) {
    train_config begun = {0};
    expect_ok(PARSE_FILE(""));
    begun = config;
    memset(&config, 0, sizeof config);
    expect_ok(PARSE("", argument));
    const reel_status status = train_config_continues(&config, &begun, "RUN", &error);
    train_config_free(&begun);
    return status;
}

START_TEST(test_config_of_a_run_may_change_what_changes_no_result) {
    static const char *const arguments[] = {
        "max_steps=7",        "threads=3",   "device=cpu",     "checkpoint_every=5",
        "keep_checkpoints=2", "demo=True",   "profile=True",   "eval_save_outputs=[preds]",
        "run_dir=elsewhere",  "run_name=x",  "project_name=y", "checkpoint_every_eval=False",
        "checkpoint_path=z",  "resume=auto", "lr=0.0001",
    };
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
        ck_assert_msg(continues(arguments[i]) == REEL_OK, "%s: %s", arguments[i], error.message);
}
END_TEST

START_TEST(test_config_of_a_run_may_change_nothing_else) {
    static const struct {
        const char *argument, *message;
    } cases[] = {
        {"lr=2e-4", "RUN: begun with lr 0.0001, which cannot become 0.0002 when it continues"},
        {"seed=1", "RUN: begun with seed 0, which cannot become 1 when it continues"},
        {"arch=hrm",
         "RUN: begun with arch.name \"recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1\", which "
         "cannot become \"recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1\" when it continues"},
        {"load_checkpoint=w",
         "RUN: begun with load_checkpoint null, which cannot become \"w\" when it continues"},
        {"evaluators=[{name: arc@ARC}]", NULL},
        {"data_paths=[b.csv]",
         "RUN: begun with data_paths [\"a.csv\"], which cannot become [\"b.csv\"] when it "
         "continues"},
        {"arch.loss.loss_type=softmax_cross_entropy", NULL},
        {"epochs=200000", NULL},
        {"eval_max_examples=5", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(continues(cases[i].argument), REEL_ERROR_ARGUMENT);
        if (cases[i].message)
            ck_assert_str_eq(error.message, cases[i].message);
    }
}
END_TEST

START_TEST(test_config_settles_in_one_folder_and_forgets_how) {
    expect_ok(PARSE("", "run_dir=a", "resume=a/b"));
    ck_assert_str_eq(config.resume, "a/b");
    ck_assert(train_config_settle(&config, config.resume));
    ck_assert_str_eq(config.run_dir, "a/b");
    ck_assert_str_eq(config.checkpoint_path, "a/b");
    ck_assert_ptr_null(config.resume);
}
END_TEST

START_TEST(test_config_names_a_run_without_how_long_and_how_often) {
    expect_ok(PARSE_FILE(""));
    char *const name = strdup(config.run_name);
    expect_ok(
        PARSE("", "resume=auto", "checkpoint_every=5", "keep_checkpoints=1", "max_steps=9", "demo=True"));
    ck_assert_str_eq(config.run_name, name);
    free(name);
}
END_TEST

int main(void) {
    TCase *const tests = tcase_create("config_continue");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, test_config_reads_a_period);
    tcase_add_test(tests, test_config_refuses_what_is_no_period);
    tcase_add_test(tests, test_config_writes_a_period_as_it_reads_it);
    tcase_add_test(tests, test_config_of_a_run_may_change_what_changes_no_result);
    tcase_add_test(tests, test_config_of_a_run_may_change_nothing_else);
    tcase_add_test(tests, test_config_settles_in_one_folder_and_forgets_how);
    tcase_add_test(tests, test_config_names_a_run_without_how_long_and_how_often);
    return run_config_tests("config_continue", tests);
}
