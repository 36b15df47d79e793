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
        rule->kind == CONFIG_INT ? 16 : 15; /* whole numbers have at most 16, doubles keep 15 */
    snprintf(out, CONFIG_RANGE_BYTES, "%.*g to %.*g", digits, rule->low, digits, rule->high);
    return out;
}

static reel_status to_number(const conversion *c, double *value) {
    const config_rule *const rule = &c->key->rule;
    const char *const what = rule->kind == CONFIG_INT ? "a whole number" : "a number";
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
    if (rule->kind == CONFIG_INT && *value != floor(*value))
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

/* A list that this version takes only empty: says what was asked for and why it is refused. */
static reel_status refuse_item(const conversion *c, const config_node *item) {
    char quoted[CONFIG_QUOTE_BYTES];
    if (item->kind == CONFIG_NODE_MAP && item->children) /* `- name: arc@ARC` */
        item = item->children;
    const char *const text = item->kind == CONFIG_NODE_SCALAR ? item->text : "...";
    return refuse(c, "'%s' refused: %s", config_quote(quoted, text), c->key->rule.refusal);
}

static reel_status to_list(const conversion *c, config_strings *field) {
    if (c->node->kind != CONFIG_NODE_LIST)
        return expected(c, "a list such as [a, b]", c->node);
    const config_node *const first = c->node->children;
    if (!first)
        return REEL_OK;
    if (c->key->rule.refusal)
        return refuse_item(c, first);
    size_t count = 0;
    for (const config_node *item = first; item; item = item->next)
        count++;
    field->items = calloc(count, sizeof *field->items);
    if (!field->items)
        return no_memory(c);
    for (const config_node *item = first; item; item = item->next) {
        const reel_status status = to_text(c, item, &field->items[field->count]);
        if (status != REEL_OK)
            return status;
        field->count++;
    }
    return REEL_OK;
}

/* "rope, learned or none": the words that this version takes. */
static void list_words(const config_rule *rule, char *out, size_t bytes) {
    size_t left = 0, used = 0;
    for (size_t i = 0; i < rule->word_count; i++)
        left += !rule->words[i].refusal;
    out[0] = '\0';
    for (size_t i = 0; i < rule->word_count && used < bytes; i++) {
        if (rule->words[i].refusal)
            continue;
        left--;
        const char *const then = left > 1 ? ", " : left == 1 ? " or " : "";
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", rule->words[i].word, then);
    }
}

static reel_status to_word(const conversion *c, void *field) {
    const config_rule *const rule = &c->key->rule;
    for (size_t i = 0; i < rule->word_count && c->node->kind == CONFIG_NODE_SCALAR; i++) {
        if (strcmp(c->node->text, rule->words[i].word) != 0)
            continue;
        if (rule->words[i].refusal)
            return refuse(c, "'%s' refused: %s", rule->words[i].word, rule->words[i].refusal);
        const int enumerator = (int)i;
        _Static_assert(sizeof(config_model) == sizeof enumerator, "enumerations are stored as int");
        memcpy(field, &enumerator, sizeof enumerator);
        return REEL_OK;
    }
    char words[REEL_MESSAGE_BYTES / 2];
    list_words(rule, words, sizeof words);
    return expected(c, words, c->node);
}

reel_status config_convert(train_config *config, const config_key *key, const config_node *node,
                           const char *place, reel_error *error) {
    const conversion c = {.key = key, .node = node, .place = place, .error = error};
    void *const field = (char *)config + key->offset;
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
    case CONFIG_WORD:
        return to_word(&c, field);
    }
    return status;
}
