/* What the parts of the configuration share: config_yaml.c reads text into a tree, config.c brings the tree
 * to the table of keys, config_value.c turns one value into one field, config_rules.c checks the whole,
 * config_text.c writes it. */
#ifndef CONFIG_PARTS_H
#define CONFIG_PARTS_H

#include "config.h"

/* ---- the tree of a YAML text (config_yaml.c) --------------------------------------------------------- */

typedef enum config_node_kind { CONFIG_NODE_SCALAR, CONFIG_NODE_LIST, CONFIG_NODE_MAP } config_node_kind;

typedef struct config_node {
    config_node_kind kind;
    bool quoted;                  /* a scalar in quotes: never null */
    int line;                     /* in the text, from 1; 0 when lines say nothing (arguments) */
    char *key;                    /* within a map */
    char *text;                   /* of a scalar */
    struct config_node *children; /* of a list or map, in order */
    struct config_node *next;     /* sibling */
} config_node;

typedef enum config_lines { CONFIG_WITHOUT_LINES, CONFIG_WITH_LINES } config_lines;

/* Reads one YAML document. Text without a document gives an empty scalar. `name` stands in errors. Anchors,
 * aliases, tags, duplicate keys, NUL bytes and more than a configuration's depth and size are refused. On
 * success *tree is freed by config_tree_free; on failure it is NULL. */
reel_status config_tree_read(config_node **tree, const char *name, config_lines lines, const char *text,
                             size_t bytes, reel_error *error);
void config_tree_free(config_node *tree);

/* Whether a scalar is one of YAML's words for nothing: null, ~ and the empty text; and Python's None. */
bool config_is_null(const config_node *node);

/* ---- the table of keys (config.c) -------------------------------------------------------------------- */

typedef enum config_kind {
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_FLOAT,
    CONFIG_STRING,
    CONFIG_LIST,
    CONFIG_INTS,
    CONFIG_PERIOD,
    CONFIG_WORD,
    CONFIG_WORDS,
    CONFIG_EVALUATORS,
} config_kind;

typedef struct config_word {
    const char *word;
    const char *refusal; /* why this version does not take it; NULL: it does */
    const char *same_as; /* the word that it is another spelling of; NULL: of none */
} config_word;

typedef struct config_rule {
    config_kind kind;
    bool nullable;
    double low, high;         /* INT, INTS, PERIOD, FLOAT */
    const config_word *words; /* WORD, WORDS: words[enumerator], then other spellings */
    size_t word_count;
} config_rule;

typedef struct config_key {
    const char *name;
    config_rule rule;
    size_t offset; /* of its field in train_config, or in config_evaluator */
    const char *default_text, *help;
} config_key;

extern const config_key config_keys[];
extern const size_t config_key_count;

/* The key's default under a model; default_text is that of trm. */
const char *config_default_text(const config_key *key, config_model model);

/* The keys of one evaluator; their names begin with "evaluators." */
extern const config_key config_evaluator_keys[];
extern const size_t config_evaluator_key_count;

/* Whether it is one of CONFIG_CHANGEABLE_KEYS. */
bool config_is_changeable(const config_key *key);

/* Frees what the fields of `keys` hold in the struct at `fields`. */
void config_free_fields(void *fields, const config_key *keys, size_t count);

/* ---- one value (config_value.c) ---------------------------------------------------------------------- */

/* Sets the key's field in the struct at `fields` from what a user wrote, under the key's rule. `place` stands
 * in errors. */
reel_status config_convert(void *fields, const config_key *key, const config_node *node, const char *place,
                           reel_error *error);

/* The words that a rule takes, one per call with *i 0 at first, NULL after the last. Of a word with other
 * spellings, the first of those: it is shorter. */
const char *config_next_choice(const config_rule *rule, size_t *i);

enum { CONFIG_RANGE_BYTES = 64 };

/* "1 to 65536": the range of an INT or FLOAT. Returns out. */
const char *config_range(char out[static CONFIG_RANGE_BYTES], const config_rule *rule);

/* ---- text (config_text.c) ---------------------------------------------------------------------------- */

/* The value of a key, or all but the changeable ones, as JSON to be freed by free(); NULL without memory. */
char *config_value_json(const train_config *config, const config_key *key);
char *config_essence_json(const train_config *config);

/* ---- errors (config_value.c) ------------------------------------------------------------------------- */

enum { CONFIG_QUOTE_BYTES = 96, CONFIG_PLACE_BYTES = 208 };

/* Copies text (NULL: nothing) for use in a message: cut where it is long, control characters shown as '?'.
 * Returns out. */
const char *config_quote(char out[static CONFIG_QUOTE_BYTES], const char *text);

/* "config.yaml:12", or the name alone for line 0; of a long name, the end. Returns out. */
const char *config_place(char out[static CONFIG_PLACE_BYTES], const char *name, int line);

/* ---- the whole (config_rules.c) ---------------------------------------------------------------------- */

/* Checks values against each other; `name` stands in errors. */
reel_status config_check(const train_config *config, const char *name, reel_error *error);

/* Fills in what follows from other values: names, the run's folder, the evaluation interval, the device. */
reel_status config_complete(train_config *config, const char *name, reel_error *error);

#endif
