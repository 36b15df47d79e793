/* Configurations: the file, then the arguments over it, one a line, then the file that both may build on. */
#include "config.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ARGUMENTS = 16 };

/* Divides a text into its lines, in place of the line ends; returns how many there are. */
static int split_lines(char *text, char *lines[MAX_ARGUMENTS]) {
    int count = 0;
    for (char *rest = text; rest != NULL && count < MAX_ARGUMENTS;)
        lines[count++] = strsep(&rest, "\n");
    return count;
}

/* The text that a configuration is written as reads back as the same configuration. */
static void check_copy(const train_config *config, char *text) {
    train_config again;
    reel_error error = {0};
    FUZZ_REQUIRE(text != NULL);
    FUZZ_REQUIRE(train_config_parse(&again, "copy", text, strlen(text), 0, NULL, &error) == REEL_OK);
    char *const json = train_config_json(config), *const json_again = train_config_json(&again);
    FUZZ_REQUIRE(json != NULL && json_again != NULL && strcmp(json, json_again) == 0);
    free(json);
    free(json_again);
    free(text);
    train_config_free(&again);
}

static void check_complete(const train_config *c) {
    FUZZ_REQUIRE(c->data_paths.count > 0 && c->data_path == NULL);
    FUZZ_REQUIRE(c->eval_interval > 0 && c->epochs % c->eval_interval == 0);
    FUZZ_REQUIRE(c->project_name != NULL && c->run_name != NULL && c->run_dir != NULL);
    FUZZ_REQUIRE(strcmp(c->run_dir, c->checkpoint_path) == 0);
    FUZZ_REQUIRE(train_config_model(c).hidden_size == c->arch.hidden_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_parts parts = fuzz_split(data, size);
    char *const arguments = parts.bytes[1] != NULL ? strndup(parts.bytes[1], parts.size[1]) : NULL;
    char *lines[MAX_ARGUMENTS];
    const int count = split_lines(arguments, lines);
    fuzz_write("base.yaml", parts.bytes[2], parts.size[2]);
    train_config config;
    reel_error error = {0};
    const reel_status status = train_config_parse(&config, fuzz_path("config.yaml"), parts.bytes[0],
                                                  parts.size[0], count, lines, &error);
    if (status == REEL_OK) {
        check_complete(&config);
        check_copy(&config, train_config_yaml(&config));
        check_copy(&config, train_config_json(&config));
    } else {
        static const train_config zero;
        FUZZ_REQUIRE(memcmp(&config, &zero, sizeof zero) == 0);
        fuzz_check_refusal(status, &error);
    }
    train_config_free(&config);
    free(arguments);
    fuzz_parts_free(&parts);
    return 0;
}
