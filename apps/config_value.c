/* One value as a user wrote it, to one field of the configuration. */
#include "config_parts.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- messages ---------------------------------------------------------------------------------------- */

const char *config_quote(char out[static CONFIG_QUOTE_BYTES], const char *text) {
    static const char dots[] = "...";
    const size_t length = strlen(text);
    size_t keep = length;
    if (length >= CONFIG_QUOTE_BYTES) {
        keep = CONFIG_QUOTE_BYTES - sizeof dots;
        while (keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80) /* not inside a UTF-8 character */
            keep--;
    }
    for (size_t i = 0; i < keep; i++)
        out[i] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
    strcpy(out + keep, keep < length ? dots : "");
    return out;
}

const char *config_place(char out[static CONFIG_PLACE_BYTES], const char *name, int line) {
    enum { NAME_BYTES = CONFIG_PLACE_BYTES - 16 }; /* room for dots and line */
    const size_t length = strlen(name);
    const bool cut = length > NAME_BYTES;
    const int used =
        snprintf(out, CONFIG_PLACE_BYTES, "%s%s", cut ? "..." : "", cut ? name + length - NAME_BYTES : name);
    if (line > 0)
        snprintf(out + used, CONFIG_PLACE_BYTES - (size_t)used, ":%d", line);
    return out;
}

/* What is being converted, for messages. */
typedef struct conversion {
    const config_key *key;
    const config_node *node;
    const char *place;
    reel_error *error;
} conversion;

/* "config.yaml:3: lr: ..." */
static reel_status refuse(const conversion *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static reel_status refuse(const conversion *c, const char *format, ...) {
    char what[REEL_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return reel_fail(c->error, REEL_ERROR_ARGUMENT, "%s: %s: %s", c->place, c->key->name, what);
}

static reel_status no_memory(const conversion *c) {
    return reel_fail(c->error, REEL_ERROR_MEMORY, "%s: no memory left for the configuration", c->key->name);
}

/* "expected a number, got 'abc'" */
static reel_status expected(const conversion *c, const char *what, const config_node *got) {
    char quoted[CONFIG_QUOTE_BYTES];
    switch (got->kind) {
    case CONFIG_NODE_LIST:
        return refuse(c, "expected %s, got a list", what);
    case CONFIG_NODE_MAP:
        return refuse(c, "expected %s, got a map of keys", what);
    case CONFIG_NODE_SCALAR:
        break;
    }
    if (got->text[0] == '\0')
        return refuse(c, "expected %s, got nothing", what);
    return refuse(c, "expected %s, got '%s'", what, config_quote(quoted, got->text));
}

enum { DIGITS_MAX = 18 }; /* of a number that an int64_t surely holds */

/* ---- bool, numbers ----------------------------------------------------------------------------------- */

static reel_status to_bool(const conversion *c, bool *field) {
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    if (c->node->kind == CONFIG_NODE_SCALAR) {
        for (int i = 0; i < 6; i++) {
            if (strcasecmp(c->node->text, words[i / 3][i % 3]) == 0) {
                *field = i / 3 == 1;
                return REEL_OK;
            }
        }
    }
    return expected(c, "True or False", c->node);
}

static const char *skip_digits(const char *s) {
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

/* A decimal number such as 768, -0.5, .5 or 1e-4, and nothing else of what strtod takes (inf, nan, 0x10).
 * 010 is no number here: YAML 1.1 reads it as eight, everybody else as ten. */
static bool is_number(const char *s) {
    if (*s == '+' || *s == '-')
        s++;
    const char *const whole = s;
    s = skip_digits(s);
    const ptrdiff_t whole_digits = s - whole;
    if (whole_digits > 1 && whole[0] == '0')
        return false;
    ptrdiff_t digits = whole_digits;
    if (*s == '.') {
        const char *const fraction = s + 1;
        s = skip_digits(fraction);
        digits += s - fraction;
    }
    if (digits == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-')
            s++;
        const char *const exponent = s;
        s = skip_digits(exponent);
        if (s == exponent)
            return false;
    }
    return *s == '\0';
}

const char *config_range(char out[static CONFIG_RANGE_BYTES], const config_rule *rule) {
    const int digits =
        rule->kind == CONFIG_FLOAT ? 15 : 16; /* whole numbers have at most 16, doubles keep 15 */
    snprintf(out, CONFIG_RANGE_BYTES, "%.*g to %.*g", digits, rule->low, digits, rule->high);
    return out;
}

static reel_status to_number(const conversion *c, double *value) {
    const config_rule *const rule = &c->key->rule;
    const bool whole = rule->kind == CONFIG_INT || rule->kind == CONFIG_INTS;
    const char *const what = whole ? "a whole number" : "a number";
    const char *const text = c->node->text;
    char *end = NULL;
    if (c->node->kind != CONFIG_NODE_SCALAR || !is_number(text))
        return expected(c, what, c->node);
    *value = strtod(text, &end);
    if (*end != '\0')
        return expected(c, what, c->node);
    if (!(*value >= rule->low && *value <= rule->high)) { /* infinity, from 1e999, ends here too */
        char quoted[CONFIG_QUOTE_BYTES], range[CONFIG_RANGE_BYTES];
        return refuse(c, "%s is outside %s", config_quote(quoted, text), config_range(range, rule));
    }
    if (whole && *value != floor(*value))
        return expected(c, what, c->node);
    return REEL_OK;
}

static reel_status to_int(const conversion *c, int64_t *field) {
    if (c->key->rule.nullable && config_is_null(c->node)) {
        *field = (int64_t)c->key->rule.low - 1;
        return REEL_OK;
    }
    double value = 0;
    const reel_status status = to_number(c, &value);
    if (status == REEL_OK)
        *field = (int64_t)value; /* exact: rules stay below 2^53 */
    return status;
}

/* 500 or 10min */
static reel_status to_period(const conversion *c, config_period *field) {
    static const char unit[] = "min";
    if (config_is_null(c->node)) /* the field is zero already */
        return REEL_OK;
    const char *const text = c->node->kind == CONFIG_NODE_SCALAR ? c->node->text : "";
    const size_t digits = (size_t)(skip_digits(text) - text);
    const bool in_minutes = strcmp(text + digits, unit) == 0;
    if (digits == 0 || digits > DIGITS_MAX || text[0] == '0' || (text[digits] && !in_minutes))
        return expected(c, "a number of steps such as 500, or of minutes such as 10min", c->node);
    const int64_t value = strtoll(text, NULL, 10);
    if (value > (int64_t)c->key->rule.high) {
        char quoted[CONFIG_QUOTE_BYTES], range[CONFIG_RANGE_BYTES];
        return refuse(c, "%s is outside %s", config_quote(quoted, text), config_range(range, &c->key->rule));
    }
    *(in_minutes ? &field->minutes : &field->steps) = value;
    return REEL_OK;
}

/* ---- text -------------------------------------------------------------------------------------------- */

/* A new string with the scalar's text. Control characters would garble every line that shows the value. */
static reel_status to_text(const conversion *c, const config_node *node, char **text) {
    if (node->kind != CONFIG_NODE_SCALAR || config_is_null(node) || node->text[0] == '\0')
        return expected(c, "text", node);
    for (const char *s = node->text; *s; s++) {
        if (iscntrl((unsigned char)*s))
            return expected(c, "text without control characters", node);
    }
    if (strstr(node->text, "${"))
        return expected(c, "text without ${ (only a whole value may refer to another key)", node);
    *text = strdup(node->text);
    return *text ? REEL_OK : no_memory(c);
}

static reel_status to_string(const conversion *c, char **field) {
    if (config_is_null(c->node)) /* the field is NULL already */
        return REEL_OK;
    return to_text(c, c->node, field);
}

/* ---- lists ------------------------------------------------------------------------------------------- */

/* Room for the items of a list, zeroed, and their number; nothing for an empty one. */
static reel_status make_room(const conversion *c, size_t item_bytes, void **items, size_t *count) {
    *items = NULL;
    *count = 0;
    if (c->node->kind != CONFIG_NODE_LIST)
        return expected(c, "a list such as [a, b]", c->node);
    for (const config_node *item = c->node->children; item; item = item->next)
        ++*count;
    if (*count > 0)
        *items = calloc(*count, item_bytes);
    return *items || *count == 0 ? REEL_OK : no_memory(c);
}

static reel_status to_list(const conversion *c, config_strings *field) {
    void *room;
    size_t count;
    reel_status status = make_room(c, sizeof *field->items, &room, &count);
    field->items = room;
    for (const config_node *item = c->node->children; status == REEL_OK && field->count < count;
         item = item->next) {
        status = to_text(c, item, &field->items[field->count]);
        field->count += status == REEL_OK;
    }
    return status;
}

static reel_status to_ints(const conversion *c, config_ints *field) {
    void *room;
    size_t count;
    reel_status status = make_room(c, sizeof *field->items, &room, &count);
    field->items = room;
    for (const config_node *item = c->node->children; status == REEL_OK && field->count < count;
         item = item->next) {
        conversion of_item = *c;
        of_item.node = item;
        double value = 0;
        status = to_number(&of_item, &value);
        field->items[field->count++] = (int64_t)value;
    }
    return status;
}

/* The word that `text` spells, NULL when it is none. */
static const config_word *find_word(const config_rule *rule, const char *text) {
    for (size_t i = 0; i < rule->word_count; i++) {
        const config_word *const word = &rule->words[i];
        if (strcmp(text, word->word) == 0)
            return word->same_as ? find_word(rule, word->same_as) : word;
    }
    return NULL;
}

const char *config_next_choice(const config_rule *rule, size_t *i) {
    while (*i < rule->word_count && (rule->words[*i].refusal || rule->words[*i].same_as))
        ++*i;
    if (*i == rule->word_count)
        return NULL;
    const char *const word = rule->words[(*i)++].word;
    for (size_t j = *i; j < rule->word_count; j++) {
        const char *const same_as = rule->words[j].same_as;
        if (same_as && strcmp(same_as, word) == 0)
            return rule->words[j].word;
    }
    return word;
}

/* "rope, learned or none": the words that this version takes. */
static void list_words(const config_rule *rule, char *out, size_t bytes) {
    size_t i = 0, used = 0;
    const char *word = config_next_choice(rule, &i);
    out[0] = '\0';
    for (bool first = true; word && used < bytes; first = false) {
        const char *const next = config_next_choice(rule, &i);
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", first ? "" : next ? ", " : " or ", word);
        word = next;
    }
}

static reel_status read_word(const conversion *c, const config_node *node, int *enumerator) {
    const config_rule *const rule = &c->key->rule;
    const config_word *const word = node->kind == CONFIG_NODE_SCALAR ? find_word(rule, node->text) : NULL;
    if (!word) {
        char words[REEL_MESSAGE_BYTES / 2];
        list_words(rule, words, sizeof words);
        return expected(c, words, node);
    }
    if (word->refusal)
        return refuse(c, "'%s' refused: %s", word->word, word->refusal);
    *enumerator = (int)(word - rule->words);
    return REEL_OK;
}

static reel_status to_word(const conversion *c, void *field) {
    int enumerator = 0;
    _Static_assert(sizeof(config_model) == sizeof enumerator, "enumerations are stored as int");
    const reel_status status = read_word(c, c->node, &enumerator);
    if (status == REEL_OK)
        memcpy(field, &enumerator, sizeof enumerator);
    return status;
}

static reel_status to_words(const conversion *c, uint32_t *field) {
    if (c->node->kind != CONFIG_NODE_LIST)
        return expected(c, "a list such as [a, b]", c->node);
    for (const config_node *item = c->node->children; item; item = item->next) {
        int enumerator = 0;
        const reel_status status = read_word(c, item, &enumerator);
        if (status != REEL_OK)
            return status;
        *field |= UINT32_C(1) << enumerator;
    }
    return REEL_OK;
}

/* ---- evaluators -------------------------------------------------------------------------------------- */

/* The evaluator's keys carry the list's name in front: "evaluators.name". */
static const config_key *find_evaluator_key(const char *word) {
    for (size_t i = 0; i < config_evaluator_key_count; i++) {
        if (strcmp(strchr(config_evaluator_keys[i].name, '.') + 1, word) == 0)
            return &config_evaluator_keys[i];
    }
    return NULL;
}

static const config_node *child_named(const config_node *map, const char *word) {
    for (const config_node *child = map->children; child; child = child->next) {
        if (strcmp(child->key, word) == 0)
            return child;
    }
    return NULL;
}

static reel_status convert_default(config_evaluator *e, const config_key *key, reel_error *error) {
    config_node *tree = NULL;
    reel_status status = config_tree_read(&tree, "default value", CONFIG_WITHOUT_LINES, key->default_text,
                                          strlen(key->default_text), error);
    if (status == REEL_OK)
        status = config_convert(e, key, tree, "default value", error);
    config_tree_free(tree);
    return status;
}

/* `{name: arc@ARC, submission_K: 2}`: the name must be there, the rest has defaults. */
static reel_status to_evaluator(const conversion *c, const config_node *map, config_evaluator *e) {
    char quoted[CONFIG_QUOTE_BYTES];
    if (map->kind != CONFIG_NODE_MAP || !child_named(map, "name"))
        return expected(c, "a list of evaluators such as [{name: arc@ARC}]", map);
    for (const config_node *child = map->children; child; child = child->next) {
        if (!find_evaluator_key(child->key))
            return refuse(c, "an evaluator has no key '%s'", config_quote(quoted, child->key));
    }
    reel_status status = REEL_OK;
    for (size_t i = 0; i < config_evaluator_key_count && status == REEL_OK; i++) {
        const config_key *const key = &config_evaluator_keys[i];
        const config_node *const node = child_named(map, strchr(key->name, '.') + 1);
        status = node ? config_convert(e, key, node, c->place, c->error) : convert_default(e, key, c->error);
    }
    return status;
}

static reel_status to_evaluators(const conversion *c, config_evaluators *field) {
    void *room;
    size_t count;
    reel_status status = make_room(c, sizeof *field->items, &room, &count);
    field->items = room;
    for (const config_node *item = c->node->children; status == REEL_OK && field->count < count;
         item = item->next)
        status = to_evaluator(c, item, &field->items[field->count++]);
    return status;
}

reel_status config_convert(void *fields, const config_key *key, const config_node *node, const char *place,
                           reel_error *error) {
    const conversion c = {.key = key, .node = node, .place = place, .error = error};
    void *const field = (char *)fields + key->offset;
    double value = 0;
    reel_status status = REEL_ERROR_STATE;
    switch (key->rule.kind) {
    case CONFIG_BOOL:
        return to_bool(&c, field);
    case CONFIG_INT:
        return to_int(&c, field);
    case CONFIG_FLOAT:
        status = to_number(&c, &value);
        if (status == REEL_OK)
            *(double *)field = value;
        return status;
    case CONFIG_STRING:
        return to_string(&c, field);
    case CONFIG_LIST:
        return to_list(&c, field);
    case CONFIG_INTS:
        return to_ints(&c, field);
    case CONFIG_PERIOD:
        return to_period(&c, field);
    case CONFIG_WORD:
        return to_word(&c, field);
    case CONFIG_WORDS:
        return to_words(&c, field);
    case CONFIG_EVALUATORS:
        return to_evaluators(&c, field);
    }
    return status;
}
