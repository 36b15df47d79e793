/* Reads a configuration: defaults, file and arguments, each a tree of YAML, go the same way.
 *
 *   gather   every value found lands in the slot of its key, later layers over earlier ones; once the model
 *            is known, its defaults fill what is left
 *   convert  each slot, through references such as ${.hidden_size}, becomes a field under the key's rule
 *   check    values against each other; then come the names that follow from them (config_rules.c) */
#include "config_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table --------------------------------------------------------------------------------------- */

#define WORD_ROW(enumerator, word, refusal) {word, refusal, NULL},
#define PUBLISHED(name, class)              "recursive_reasoning." #name "@" class
#define MODEL_ROW(ID, name, class, ...)     {PUBLISHED(name, class), NULL, NULL},
#define SHORT_ROW(ID, name, class, ...)     {#name, NULL, PUBLISHED(name, class)},
#define ALIAS_ROW(word, same_as)            {word, NULL, same_as},
static const config_word config_model_words[] = {REEL_ARCHITECTURES(MODEL_ROW) REEL_ARCHITECTURES(SHORT_ROW)
                                                     CONFIG_MODEL_ALIASES(ALIAS_ROW)};
static const config_word config_loss_head_words[] = {CONFIG_LOSS_HEADS(WORD_ROW)};
static const config_word config_loss_words[] = {CONFIG_LOSSES(WORD_ROW)};
static const config_word config_positions_words[] = {CONFIG_POSITIONS(WORD_ROW)};
static const config_word config_dtype_words[] = {CONFIG_DTYPES(WORD_ROW)};
static const config_word config_optimizer_words[] = {CONFIG_OPTIMIZERS(WORD_ROW)};
static const config_word config_device_words[] = {CONFIG_DEVICES(WORD_ROW)};
static const config_word config_evaluator_kind_words[] = {CONFIG_EVALUATOR_KINDS(WORD_ROW)};
static const config_word config_output_words[] = {CONFIG_OUTPUTS(WORD_ROW)};

/* The rule behind each TYPE of the table; clang-format would spread each over many lines. */
/* clang-format off */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define RULE_BOOL              {.kind = CONFIG_BOOL}
#define RULE_INT(a, b)         {.kind = CONFIG_INT, .low = a, .high = b}
#define RULE_INT_OR_NULL(a, b) {.kind = CONFIG_INT, .low = a, .high = b, .nullable = true}
#define RULE_FLOAT(a, b)       {.kind = CONFIG_FLOAT, .low = a, .high = b}
#define RULE_STRING            {.kind = CONFIG_STRING, .nullable = true}
#define RULE_LIST              {.kind = CONFIG_LIST}
#define RULE_INTS(a, b)        {.kind = CONFIG_INTS, .low = a, .high = b}
#define RULE_PERIOD(a, b)      {.kind = CONFIG_PERIOD, .low = a, .high = b, .nullable = true}
#define RULE_WORD(t)           {.kind = CONFIG_WORD, .words = t##_words, .word_count = COUNT_OF(t##_words)}
#define RULE_WORDS(t)          {.kind = CONFIG_WORDS, .words = t##_words, .word_count = COUNT_OF(t##_words)}
#define RULE_EVALUATORS        {.kind = CONFIG_EVALUATORS}

#define FIELD(path)                      offsetof(train_config, path)
#define RUN_KEY(key, type, value, help)  {#key, RULE_##type, FIELD(key), value, help},
#define ARCH_KEY(key, type, value, help) {"arch." #key, RULE_##type, FIELD(arch.key), value, help},
#define LOSS_KEY(key, type, value, help) {"arch.loss." #key, RULE_##type, FIELD(arch.loss.key), value, help},
#define EVALUATOR_KEY(key, type, value, help) \
    {"evaluators." #key, RULE_##type, offsetof(config_evaluator, key), value, help},
/* clang-format on */

const config_key config_keys[] = {CONFIG_RUN_KEYS(RUN_KEY) CONFIG_ARCH_KEYS(ARCH_KEY)
                                      CONFIG_LOSS_KEYS(LOSS_KEY)};
enum { KEY_COUNT = COUNT_OF(config_keys) };
const size_t config_key_count = KEY_COUNT;

const config_key config_evaluator_keys[] = {CONFIG_EVALUATOR_KEYS(EVALUATOR_KEY)};
const size_t config_evaluator_key_count = COUNT_OF(config_evaluator_keys);

/* The columns of REEL_ARCHITECTURES from the first default on, as text. */
static const char *const column_keys[] = {
    "arch.H_cycles",        "arch.L_cycles",          "arch.H_layers",
    "arch.L_layers",        "arch.num_heads",         "arch.puzzle_emb_len",
    "arch.no_ACT_continue", "arch.one_step_gradient", "arch.separate_networks",
};
#define DEFAULT_ROW(ID, name, class, a, b, c, d, e, f, g, h, i) {#a, #b, #c, #d, #e, #f, #g, #h, #i},
static const char *const default_rows[][COUNT_OF(column_keys)] = {REEL_ARCHITECTURES(DEFAULT_ROW)};

const char *config_default_text(const config_key *key, config_model model) {
    for (size_t i = 0; i < COUNT_OF(column_keys); i++) {
        if (strcmp(key->name, column_keys[i]) == 0)
            return default_rows[model][i];
    }
    return key->default_text;
}

bool config_is_changeable(const config_key *key) {
#define NAME(key) #key,
    static const char *const names[] = {CONFIG_CHANGEABLE_KEYS(NAME)};
#undef NAME
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(key->name, names[i]) == 0)
            return true;
    }
    return false;
}

static const config_key *find_key(const char *name) {
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    }
    return NULL;
}

/* Whether name is a map of keys, as arch and arch.loss are. */
static bool is_map_of_keys(const char *name) {
    const size_t length = strlen(name);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strncmp(config_keys[i].name, name, length) == 0 && config_keys[i].name[length] == '.')
            return true;
    }
    return false;
}

/* ---- the nearest key --------------------------------------------------------------------------------- */

enum { NAME_BYTES = 64 }; /* longer than any key; longer names resemble none */

/* Levenshtein's distance, for names shorter than NAME_BYTES. */
static int edit_distance(const char *a, const char *b) {
    int row[NAME_BYTES];
    const int n = (int)strlen(b);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            const int change = diagonal + (a[i] != b[j]);
            const int drop = row[j] + 1, add = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = drop < add ? drop : add;
            if (change < row[j + 1])
                row[j + 1] = change;
        }
    }
    return row[n];
}

static const char *last_word(const char *name) {
    const char *const dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* The key that was probably meant, or NULL. A forgotten or wrong prefix (hidden_size) and a forgotten part
 * of a word (batch_size) count little. */
static const char *nearest_key(const char *name) {
    if (strnlen(name, NAME_BYTES) == NAME_BYTES)
        return NULL;
    const int length = (int)strlen(name);
    const char *nearest = NULL;
    int least = length < 6 ? 2 : length / 3 + 1; /* from here on a name resembles nothing */
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const char *const key = config_keys[i].name;
        int distance = edit_distance(name, key);
        const int by_word = edit_distance(last_word(name), last_word(key)) + 1;
        if (by_word < distance)
            distance = by_word;
        if (distance > 2 && length > 4 && strstr(key, name))
            distance = 2;
        if (distance < least) {
            least = distance;
            nearest = key;
        }
    }
    return nearest;
}

/* ---- gathering --------------------------------------------------------------------------------------- */

typedef enum layer { LAYER_DEFAULT, LAYER_FILE, LAYER_ARGUMENT } layer;

/* One text that values come from. */
typedef struct source {
    layer layer;
    const char *name; /* in errors */
    char name_buffer[CONFIG_QUOTE_BYTES + 16];
    char *path; /* of a file that another one builds on, else NULL */
    config_node *tree;
} source;

/* The value that stands for a key so far, and where it was written. */
typedef struct slot {
    const config_node *node;
    const source *from;
} slot;

enum { BASES_MAX = 4 }; /* files that one configuration builds on, directly or not */

typedef struct loader {
    slot slots[KEY_COUNT];
    source *sources; /* each key's default, the files with their lists of defaults, the arguments */
    size_t source_count, sources_used;
    int base_count;
    reel_error *error;
} loader;

static source *next_source(loader *l, layer of, const char *name) {
    source *const from = &l->sources[l->sources_used++];
    from->layer = of;
    from->name = name;
    return from;
}

/* Fails with "config.yaml:12: ...". */
static reel_status refuse(const loader *l, const source *from, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static reel_status refuse(const loader *l, const source *from, int line, const char *format, ...) {
    char place[CONFIG_PLACE_BYTES], what[REEL_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return reel_fail(l->error, REEL_ERROR_ARGUMENT, "%s: %s", config_place(place, from->name, line), what);
}

static reel_status unknown_key(const loader *l, const source *from, int line, const char *name) {
    char quoted[CONFIG_QUOTE_BYTES];
    const char *const nearest = nearest_key(name);
    config_quote(quoted, name);
    if (nearest)
        return refuse(l, from, line, "unknown key '%s'; did you mean '%s'?", quoted, nearest);
    return refuse(l, from, line, "unknown key '%s'; --help lists all keys", quoted);
}

/* Where two keys name one thing, one given as an argument replaces the other of the file, so that an
 * all_config.yaml can be run again elsewhere. */
static void drop_other_name(loader *l, const config_key *key) {
    static const char *const names[][2] = {{"run_dir", "checkpoint_path"}, {"data_paths", "data_path"}};
    for (int i = 0; i < 4; i++) {
        if (strcmp(key->name, names[i / 2][i % 2]) != 0)
            continue;
        const size_t other = (size_t)(find_key(names[i / 2][1 - i % 2]) - config_keys);
        if (l->slots[other].from->layer == LAYER_FILE)
            l->slots[other] = (slot){.node = l->sources[other].tree, .from = &l->sources[other]};
    }
}

/* Puts a value into the slot of its key. */
static reel_status put(loader *l, const source *from, const config_key *key, const config_node *node) {
    slot *const place = &l->slots[key - config_keys];
    /* YAML's own duplicates are refused by its reader; these are a nested and a dotted form of one key. */
    if (from->layer == LAYER_FILE && place->from == from)
        return refuse(l, from, node->line, "duplicate key '%s', first given in line %d", key->name,
                      place->node->line);
    if (from->layer == LAYER_ARGUMENT)
        drop_other_name(l, key);
    place->node = node;
    place->from = from;
    return REEL_OK;
}

/* `arch: NAME`, in defaults or as an argument: Hydra's choice among config/arch/NAME.yaml. Here it is another
 * way to give arch.name, which brings its defaults along. */
static reel_status choose_arch(loader *l, const source *from, const config_node *node) {
    return put(l, from, find_key("arch.name"), node);
}

static bool is_self(const config_node *item) {
    return item->kind == CONFIG_NODE_SCALAR && strcmp(item->text, "_self_") == 0;
}

static reel_status gather_base(loader *l, const source *from, const config_node *item);

/* Hydra's list of what a configuration is composed of, in order: `- arch: trm`, `- NAME` for the values of
 * NAME.yaml in the same folder, and last `- _self_`. */
static reel_status read_defaults(loader *l, const source *from, const config_node *list) {
    if (list->kind != CONFIG_NODE_LIST)
        return refuse(l, from, list->line, "defaults: expected a list such as [arch: trm, _self_]");
    bool self_seen = false;
    /* an origin of its own, so that this file's values are no second mention */
    source *const composed = next_source(l, LAYER_FILE, from->name);
    for (const config_node *item = list->children; item; item = item->next) {
        const config_node *const choice = item->kind == CONFIG_NODE_MAP ? item->children : NULL;
        reel_status status = REEL_OK;
        if (is_self(item))
            self_seen = true;
        else if (self_seen) /* Hydra would let its values win over this file's */
            status = refuse(l, from, item->line, "defaults: _self_ must come last");
        else if (item->kind == CONFIG_NODE_SCALAR)
            status = gather_base(l, from, item);
        else if (choice && !choice->next && choice->kind == CONFIG_NODE_SCALAR &&
                 strcmp(choice->key, "arch") == 0)
            status = choose_arch(l, composed, choice);
        else
            status = refuse(l, from, item->line,
                            "defaults: only 'arch: NAME', a file's name and _self_ are known here");
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static reel_status gather_map(loader *l, const source *from, const char *path, const config_node *map);

/* Takes in the value found under the dotted name `path`. */
static reel_status gather(loader *l, const source *from, const char *path, const config_node *node) {
    if (strcmp(path, "hydra") == 0 || strncmp(path, "hydra.", strlen("hydra.")) == 0)
        return REEL_OK; /* settings of the program that read the published configuration */
    if (strcmp(path, "defaults") == 0)
        return REEL_OK; /* read before all else */
    const bool scalar = node->kind == CONFIG_NODE_SCALAR;
    if (strcmp(path, "arch") == 0 && scalar && !config_is_null(node))
        return choose_arch(l, from, node);
    const config_key *const key = find_key(path);
    if (key)
        return put(l, from, key, node);
    const bool known = is_map_of_keys(path);
    if (node->kind == CONFIG_NODE_MAP &&
        (known || node->children)) /* the first unknown child will be named */
        return gather_map(l, from, path, node);
    if (known)
        return refuse(l, from, node->line, "%s: expected a map of keys, got %s", path,
                      scalar ? "a single value" : "a list");
    return unknown_key(l, from, node->line, path);
}

/* Takes in a map's children under `path`.child, or child for an empty path. */
static reel_status gather_map(loader *l, const source *from, const char *path, const config_node *map) {
    char child_path[4 * NAME_BYTES];
    for (const config_node *child = map->children; child; child = child->next) {
        const int used =
            snprintf(child_path, sizeof child_path, "%s%s%s", path, path[0] ? "." : "", child->key);
        const reel_status status = (size_t)used < sizeof child_path
                                       ? gather(l, from, child_path, child)
                                       : unknown_key(l, from, child->line, child_path);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

/* A key's default under a model, into `from`, in place of one under another. */
static reel_status gather_default(loader *l, source *from, const config_key *key, config_model model) {
    const char *const text = config_default_text(key, model);
    config_tree_free(from->tree);
    const reel_status status =
        config_tree_read(&from->tree, from->name, CONFIG_WITHOUT_LINES, text, strlen(text), l->error);
    if (status == REEL_OK)
        l->slots[key - config_keys] = (slot){.node = from->tree, .from = from};
    return status;
}

static reel_status gather_text(loader *l, source *from, const char *text, size_t bytes) {
    reel_status status = config_tree_read(&from->tree, from->name, CONFIG_WITH_LINES, text, bytes, l->error);
    if (status != REEL_OK || config_is_null(from->tree)) /* nothing but comments */
        return status;
    if (from->tree->kind != CONFIG_NODE_MAP)
        return refuse(l, from, from->tree->line, "expected lines of the form `key: value`");
    for (const config_node *child = from->tree->children; child && status == REEL_OK; child = child->next) {
        if (strcmp(child->key, "defaults") == 0)
            status = read_defaults(l, from, child);
    }
    return status == REEL_OK ? gather_map(l, from, "", from->tree) : status;
}

static reel_status read_file(const char *path, char **text, size_t *bytes, reel_error *error);

/* Takes in NAME.yaml beside the file that names it. */
static reel_status gather_base(loader *l, const source *from, const config_node *item) {
    char quoted[CONFIG_QUOTE_BYTES];
    if (item->text[0] == '\0' || item->text[0] == '.' || strchr(item->text, '/'))
        return refuse(l, from, item->line, "defaults: '%s' is not the name of a file in the same folder",
                      config_quote(quoted, item->text));
    if (l->base_count++ == BASES_MAX)
        return refuse(l, from, item->line, "defaults: more than %d files build on each other", BASES_MAX);
    const char *const slash = strrchr(from->name, '/');
    const int folder_bytes = slash ? (int)(slash + 1 - from->name) : 0;
    source *const base = next_source(l, LAYER_FILE, NULL);
    if (asprintf(&base->path, "%.*s%s.yaml", folder_bytes, from->name, item->text) < 0) {
        base->path = NULL;
        return reel_fail(l->error, REEL_ERROR_MEMORY, "%s: no memory left to read it", from->name);
    }
    base->name = base->path;
    char *text = NULL;
    size_t bytes = 0;
    reel_status status = read_file(base->path, &text, &bytes, l->error);
    if (status == REEL_OK)
        status = gather_text(l, base, text, bytes);
    free(text);
    return status;
}

/* key=value, +key=value or ++key=value */
static reel_status gather_argument(loader *l, const char *argument) {
    char quoted[CONFIG_QUOTE_BYTES], path[4 * NAME_BYTES];
    source *const from = next_source(l, LAYER_ARGUMENT, NULL);
    from->name = from->name_buffer;
    snprintf(from->name_buffer, sizeof from->name_buffer, "argument '%s'", config_quote(quoted, argument));
    if (argument[0] == '~')
        return refuse(l, from, 0, "a key cannot be deleted; give it the value it shall have");
    const char *const equals = strchr(argument, '=');
    for (int i = 0; i < 2 && argument[0] == '+'; i++)
        argument++; /* Hydra's "add" and "add or change": here every key exists */
    if (!equals || equals <= argument)
        return refuse(l, from, 0, "expected key=value");
    const int used = snprintf(path, sizeof path, "%.*s", (int)(equals - argument), argument);
    if ((size_t)used >= sizeof path)
        return unknown_key(l, from, 0, path);
    const reel_status status = config_tree_read(&from->tree, from->name, CONFIG_WITHOUT_LINES, equals + 1,
                                                strlen(equals + 1), l->error);
    return status == REEL_OK ? gather(l, from, path, from->tree) : status;
}

/* ---- converting -------------------------------------------------------------------------------------- */

/* Writes to path the dotted name inside a reference: of "${arch.hidden_size}" that itself, of
 * "${.hidden_size}" the one beside `key`; each further dot leads one level up. False when it is none. */
static bool read_reference(const char *text, const char *key, char *path, size_t bytes) {
    const char *name = text + strlen("${");
    const char *const close = strchr(name, '}');
    if (!close || close[1] != '\0')
        return false;
    char parent[NAME_BYTES] = "";
    if (*name == '.')
        snprintf(parent, sizeof parent, "%s", key);
    for (; *name == '.'; name++) {
        if (parent[0] == '\0')
            return false; /* above everything */
        char *const dot = strrchr(parent, '.');
        *(dot ? dot : parent) = '\0';
    }
    const int used =
        snprintf(path, bytes, "%s%s%.*s", parent, parent[0] ? "." : "", (int)(close - name), name);
    return close > name && (size_t)used < bytes;
}

/* The key that `value`, a reference written for `key`, names; NULL and a message when there is none. */
static const config_key *referred_key(const loader *l, const config_key *key, const slot *value) {
    char path[4 * NAME_BYTES], quoted[CONFIG_QUOTE_BYTES];
    if (!read_reference(value->node->text, key->name, path, sizeof path)) {
        refuse(l, value->from, value->node->line, "%s: '%s' is not a reference such as ${arch.hidden_size}",
               key->name, config_quote(quoted, value->node->text));
        return NULL;
    }
    const config_key *const target = find_key(path);
    if (!target)
        unknown_key(l, value->from, value->node->line, path);
    return target;
}

static bool is_reference(const config_node *node) {
    return node->kind == CONFIG_NODE_SCALAR && strncmp(node->text, "${", strlen("${")) == 0;
}

static reel_status convert(const loader *l, train_config *config, const config_key *key) {
    const slot *const own = &l->slots[key - config_keys];
    const slot *value = own;
    const config_key *holder = key;
    for (size_t hops = 0; is_reference(value->node); hops++) {
        if (hops == KEY_COUNT)
            return refuse(l, own->from, own->node->line, "%s: its reference leads back to itself", key->name);
        holder = referred_key(l, holder, value);
        if (!holder)
            return REEL_ERROR_ARGUMENT;
        value = &l->slots[holder - config_keys];
    }
    char place[CONFIG_PLACE_BYTES];
    config_place(place, own->from->name, own->node->line);
    return config_convert(config, key, value->node, place, l->error);
}

/* ---- loading ----------------------------------------------------------------------------------------- */

/* Finds out which model it is and puts its defaults where no value was given. */
static reel_status gather_own_defaults(loader *l, train_config *config) {
    reel_status status = convert(l, config, find_key("arch.name"));
    for (size_t i = 0; status == REEL_OK && i < KEY_COUNT; i++) {
        if (l->slots[i].from->layer == LAYER_DEFAULT)
            status = gather_default(l, &l->sources[i], &config_keys[i], config->arch.name);
    }
    return status;
}

static reel_status load_all(loader *l, train_config *config, const char *name, const char *text, size_t bytes,
                            int argument_count, char *const *arguments) {
    reel_status status = REEL_OK;
    for (size_t i = 0; status == REEL_OK && i < KEY_COUNT; i++)
        status = gather_default(l, next_source(l, LAYER_DEFAULT, "default value"), &config_keys[i],
                                CONFIG_MODEL_TRM);
    if (status == REEL_OK)
        status = gather_text(l, next_source(l, LAYER_FILE, name), text, bytes);
    for (int i = 0; status == REEL_OK && i < argument_count; i++)
        status = gather_argument(l, arguments[i]);
    if (status == REEL_OK)
        status = gather_own_defaults(l, config);
    for (size_t i = 0; status == REEL_OK && i < KEY_COUNT; i++)
        status = convert(l, config, &config_keys[i]);
    if (status == REEL_OK)
        status = config_check(config, name, l->error);
    if (status == REEL_OK)
        status = config_complete(config, name, l->error);
    return status;
}

reel_status train_config_parse(train_config *config, const char *name, const char *text, size_t bytes,
                               int argument_count, char *const *arguments, reel_error *error) {
    memset(config, 0, sizeof *config);
    loader l = {.source_count = (size_t)KEY_COUNT + 2 * (1 + BASES_MAX) + (size_t)argument_count,
                .error = error};
    l.sources = calloc(l.source_count, sizeof *l.sources);
    if (!l.sources)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to read it", name);
    const reel_status status = load_all(&l, config, name, text, bytes, argument_count, arguments);
    for (size_t i = 0; i < l.source_count; i++) {
        config_tree_free(l.sources[i].tree);
        free(l.sources[i].path);
    }
    free(l.sources);
    if (status != REEL_OK)
        train_config_free(config);
    return status;
}

enum { FILE_BYTES_MAX = 1 << 20 };

/* The file's whole text, to be freed by the caller. */
static reel_status read_file(const char *path, char **text, size_t *bytes, reel_error *error) {
    char place[CONFIG_PLACE_BYTES];
    config_place(place, path, 0);
    FILE *const file = fopen(path, "rb");
    if (!file)
        return reel_fail(error, REEL_ERROR_IO, "%s: %s", place, strerror(errno));
    reel_status status = REEL_OK;
    *text = malloc(FILE_BYTES_MAX + 1);
    if (!*text) {
        status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to read it", place);
    } else {
        *bytes = fread(*text, 1, FILE_BYTES_MAX + 1, file);
        if (ferror(file))
            status = reel_fail(error, REEL_ERROR_IO, "%s: %s", place, strerror(errno));
        else if (*bytes > FILE_BYTES_MAX)
            status = reel_fail(error, REEL_ERROR_FORMAT, "%s: larger than 1 MiB, which no configuration is",
                               place);
    }
    fclose(file);
    return status;
}

reel_status train_config_load(train_config *config, const char *path, int argument_count,
                              char *const *arguments, reel_error *error) {
    memset(config, 0, sizeof *config);
    char *text = NULL;
    size_t bytes = 0;
    reel_status status = read_file(path, &text, &bytes, error);
    if (status == REEL_OK)
        status = train_config_parse(config, path, text, bytes, argument_count, arguments, error);
    free(text);
    return status;
}

static void free_evaluators(config_evaluators *list) {
    for (size_t i = 0; i < list->count; i++)
        config_free_fields(&list->items[i], config_evaluator_keys, config_evaluator_key_count);
    free(list->items);
}

void config_free_fields(void *fields, const config_key *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        void *const field = (char *)fields + keys[i].offset;
        config_strings *const strings = field;
        switch (keys[i].rule.kind) {
        case CONFIG_STRING:
            free(*(char **)field);
            break;
        case CONFIG_LIST:
            for (size_t j = 0; j < strings->count; j++)
                free(strings->items[j]);
            free(strings->items);
            break;
        case CONFIG_INTS:
            free(((config_ints *)field)->items);
            break;
        case CONFIG_EVALUATORS:
            free_evaluators(field);
            break;
        default:
            break;
        }
    }
}

void train_config_free(train_config *config) {
    config_free_fields(config, config_keys, KEY_COUNT);
    memset(config, 0, sizeof *config);
}
