/* A configuration written out: as YAML, as JSON, and its keys as help. */
#include "config_parts.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- values ------------------------------------------------------------------------------------------ */

/* The shortest of 15 to 17 digits that reads back as the same double. (cJSON's own printing settles for a
 * relative error of one epsilon, and the name of a run is made from these digits.) */
static cJSON *float_value(double value) {
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return cJSON_CreateRaw(text);
}

static cJSON *int_value(int64_t value, const config_rule *rule) {
    if (rule->nullable && value < (int64_t)rule->low)
        return cJSON_CreateNull();
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return cJSON_CreateRaw(text);
}

static cJSON *period_value(const config_period *period) {
    char text[32];
    if (period->minutes == 0)
        return int_value(period->steps, &(config_rule){.nullable = true, .low = 1});
    snprintf(text, sizeof text, "%" PRId64 "min", period->minutes);
    return cJSON_CreateString(text);
}

/* Adds an item, NULL without memory, to an array; without memory the array goes, too. */
static bool add_item(cJSON **array, cJSON *item) {
    if (*array && cJSON_AddItemToArray(*array, item))
        return true;
    cJSON_Delete(item);
    cJSON_Delete(*array);
    *array = NULL;
    return false;
}

static cJSON *list_value(const config_strings *list) {
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < list->count && add_item(&array, cJSON_CreateString(list->items[i])); i++) {
    }
    return array;
}

/* The words whose bits are set. */
static cJSON *words_value(uint32_t set, const config_rule *rule) {
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < rule->word_count; i++) {
        if (set >> i & 1 && !add_item(&array, cJSON_CreateString(rule->words[i].word)))
            break;
    }
    return array;
}

static cJSON *ints_value(const config_ints *list, const config_rule *rule) {
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < list->count && add_item(&array, int_value(list->items[i], rule)); i++) {
    }
    return array;
}

static cJSON *value_of(const void *fields, const config_key *key);

static cJSON *evaluator_value(const config_evaluator *evaluator) {
    cJSON *const object = cJSON_CreateObject();
    for (size_t i = 0; object && i < config_evaluator_key_count; i++) {
        const config_key *const key = &config_evaluator_keys[i];
        if (!cJSON_AddItemToObject(object, strchr(key->name, '.') + 1, value_of(evaluator, key))) {
            cJSON_Delete(object);
            return NULL;
        }
    }
    return object;
}

static cJSON *evaluators_value(const config_evaluators *list) {
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < list->count && add_item(&array, evaluator_value(&list->items[i])); i++) {
    }
    return array;
}

/* The value of a key, or NULL without memory. */
static cJSON *value_of(const void *fields, const config_key *key) {
    const void *const field = (const char *)fields + key->offset;
    int enumerator = 0;
    switch (key->rule.kind) {
    case CONFIG_BOOL:
        return cJSON_CreateBool(*(const bool *)field);
    case CONFIG_INT:
        return int_value(*(const int64_t *)field, &key->rule);
    case CONFIG_FLOAT:
        return float_value(*(const double *)field);
    case CONFIG_STRING:
        return *(char *const *)field ? cJSON_CreateString(*(char *const *)field) : cJSON_CreateNull();
    case CONFIG_LIST:
        return list_value(field);
    case CONFIG_INTS:
        return ints_value(field, &key->rule);
    case CONFIG_PERIOD:
        return period_value(field);
    case CONFIG_WORD:
        memcpy(&enumerator, field, sizeof enumerator);
        return cJSON_CreateString(key->rule.words[enumerator].word);
    case CONFIG_WORDS:
        return words_value(*(const uint32_t *)field, &key->rule);
    case CONFIG_EVALUATORS:
        return evaluators_value(field);
    }
    return NULL;
}

/* The object for the maps in front of a key's last word, made where missing, and that last word in *word:
 * for arch.loss.name the object root["arch"]["loss"] and "name". */
static cJSON *object_of(cJSON *root, const char *name, const char **word) {
    cJSON *object = root;
    const char *dot;
    for (; object && (dot = strchr(name, '.')); name = dot + 1) {
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)(dot - name), name);
        cJSON *const inner = cJSON_GetObjectItemCaseSensitive(object, part);
        object = inner ? inner : cJSON_AddObjectToObject(object, part);
    }
    *word = name;
    return object;
}

typedef enum config_part { ALL_KEYS, ESSENCE } config_part;

static cJSON *tree_of(const train_config *config, config_part part) {
    cJSON *const root = cJSON_CreateObject();
    for (size_t i = 0; root && i < config_key_count; i++) {
        const char *word;
        if (part == ESSENCE && config_is_changeable(&config_keys[i]))
            continue;
        cJSON *const object = object_of(root, config_keys[i].name, &word);
        cJSON *const value = value_of(config, &config_keys[i]);
        if (!object || !cJSON_AddItemToObject(object, word, value)) {
            cJSON_Delete(value);
            cJSON_Delete(root);
            return NULL;
        }
    }
    return root;
}

/* Ends writing into memory: the text when all of it was written, else NULL. */
static char *finish(FILE *out, char *const *text) {
    const bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed) /* only now is *text complete */
        return *text;
    free(*text);
    return NULL;
}

/* ---- JSON, YAML -------------------------------------------------------------------------------------- */

/* The tree, NULL without memory, as one line; deletes it. */
static char *print(cJSON *tree) {
    char *const text = tree ? cJSON_PrintUnformatted(tree) : NULL;
    cJSON_Delete(tree);
    return text;
}

char *train_config_json(const train_config *config) {
    return print(tree_of(config, ALL_KEYS));
}

char *config_essence_json(const train_config *config) {
    return print(tree_of(config, ESSENCE));
}

char *config_value_json(const train_config *config, const config_key *key) {
    return print(value_of(config, key));
}

/* Writes an object's members at an indentation. Values other than maps look the same in YAML as in JSON. */
static bool write_members(FILE *out, const cJSON *object, int indentation) {
    for (const cJSON *member = object->child; member; member = member->next) {
        if (cJSON_IsObject(member)) {
            fprintf(out, "%*s%s:\n", indentation, "", member->string);
            if (!write_members(out, member, indentation + 2))
                return false;
            continue;
        }
        char *const value = cJSON_PrintUnformatted(member);
        if (!value)
            return false;
        fprintf(out, "%*s%s: %s\n", indentation, "", member->string, value);
        free(value);
    }
    return true;
}

char *train_config_yaml(const train_config *config) {
    char *text = NULL;
    size_t bytes = 0;
    cJSON *const tree = tree_of(config, ALL_KEYS);
    FILE *const out = tree ? open_memstream(&text, &bytes) : NULL;
    if (out) {
        const bool complete = write_members(out, tree, 0);
        text = finish(out, &text);
        if (!complete) {
            free(text);
            text = NULL;
        }
    }
    cJSON_Delete(tree);
    return text;
}

/* ---- help -------------------------------------------------------------------------------------------- */

enum { HELP_COLUMNS = 78, HELP_INDENT = 6, HELP_BYTES = 512 };

/* " [1 to 65536]": what the value may be, or nothing where any text will do. */
static void limits_text(char out[static HELP_BYTES], const config_rule *rule) {
    char range[CONFIG_RANGE_BYTES];
    size_t used = 0;
    out[0] = '\0';
    if (rule->high > rule->low)
        snprintf(out, HELP_BYTES, " [%s%s]", config_range(range, rule), rule->nullable ? ", or null" : "");
    for (size_t i = 0; used < HELP_BYTES;) {
        const char *const word = config_next_choice(rule, &i);
        if (!word)
            break;
        used += (size_t)snprintf(out + used, HELP_BYTES - used, "%s%s", used ? "|" : " [", word);
    }
    if (used > 0 && used < HELP_BYTES)
        snprintf(out + used, HELP_BYTES - used, "]");
}

/* " (hrm: 2, transformers_baseline: 1)": the models whose default differs, or nothing. */
static void exceptions_text(char out[static HELP_BYTES], const config_key *key) {
#define MODEL_NAME(ID, name, ...) #name,
    static const char *const models[] = {REEL_ARCHITECTURES(MODEL_NAME)};
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof models / sizeof models[0] && used < HELP_BYTES; i++) {
        const char *const text = config_default_text(key, (config_model)i);
        if (strcasecmp(text, key->default_text) != 0)
            used += (size_t)snprintf(out + used, HELP_BYTES - used, "%s%s: %s", used ? ", " : " (", models[i],
                                     text);
    }
    if (used > 0 && used < HELP_BYTES)
        snprintf(out + used, HELP_BYTES - used, ")");
}

/* Words, as many to a line as fit. */
static void write_wrapped(FILE *out, const char *text) {
    size_t column = HELP_COLUMNS; /* so that the first word begins a line */
    while (*text) {
        const size_t length = strcspn(text, " ");
        if (column + 1 + length > HELP_COLUMNS) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

/* "  lr=1e-4", then what it is for. */
static void write_key(FILE *out, const char *name, const char *between, const config_key *key) {
    char limits[HELP_BYTES], exceptions[HELP_BYTES], help[3 * HELP_BYTES];
    limits_text(limits, &key->rule);
    exceptions_text(exceptions, key);
    snprintf(help, sizeof help, "%s%s%s", key->help, limits, exceptions);
    fprintf(out, "  %s%s%s", name, between, key->default_text);
    write_wrapped(out, help);
}

char *train_config_help(void) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *const out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    for (size_t i = 0; i < config_key_count; i++)
        write_key(out, config_keys[i].name, "=", &config_keys[i]);
    fputs("\nOf each evaluator:\n", out);
    for (size_t i = 0; i < config_evaluator_key_count; i++)
        write_key(out, strchr(config_evaluator_keys[i].name, '.') + 1, ": ", &config_evaluator_keys[i]);
    return finish(out, &text);
}
