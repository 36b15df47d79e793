/* YAML text to a tree of scalars, lists and maps, through libyaml's events.
 *
 * A configuration needs little of YAML, and events (unlike libyaml's own documents) let us refuse the rest
 * where it stands: anchors and aliases (a few lines of which can mean gigabytes), tags, second documents. */
#include "config_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum {
    MAX_DEPTH = 8,     /* nested lists and maps; the deepest key is arch.loss.name */
    MAX_NODES = 10000, /* the table has about fifty keys; the rest is room for lists */
};

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    config_lines lines;
    int nodes;
    reel_error *error;
} reader;

static int line_of(const reader *r, yaml_mark_t mark) {
    return r->lines == CONFIG_WITH_LINES ? (int)mark.line + 1 : 0;
}

static reel_status refuse(reader *r, yaml_mark_t mark, const char *what) {
    char place[CONFIG_PLACE_BYTES];
    return reel_fail(r->error, REEL_ERROR_FORMAT, "%s: %s", config_place(place, r->name, line_of(r, mark)),
                     what);
}

static reel_status no_memory(reader *r) {
    return reel_fail(r->error, REEL_ERROR_MEMORY, "%s: no memory left to read it", r->name);
}

/* ---- events ------------------------------------------------------------------------------------------ */

static reel_status syntax_error(reader *r) {
    const yaml_parser_t *parser = &r->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    char place[CONFIG_PLACE_BYTES];
    if (parser->error == YAML_READER_ERROR) /* it knows the byte and not the line */
        return reel_fail(r->error, REEL_ERROR_FORMAT, "%s: not UTF-8 text: %s at byte %zu",
                         config_place(place, r->name, 0), parser->problem, parser->problem_offset);
    config_place(place, r->name, line_of(r, parser->problem_mark));
    return reel_fail(r->error, REEL_ERROR_FORMAT, "%s: not valid YAML: %s%s%s", place,
                     parser->context ? parser->context : "", parser->context ? ": " : "",
                     parser->problem ? parser->problem : "unknown problem");
}

/* What of an event no configuration needs, or NULL. */
static const char *superfluous(const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not supported; write the value out, or as ${key}";
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return "anchors (&name) are not supported";
    return tag ? "tags (!name) are not supported" : NULL;
}

/* The next event, to be deleted by the caller; nothing to delete after a failure. */
static reel_status next_event(reader *r, yaml_event_t *event) {
    if (!yaml_parser_parse(&r->parser, event))
        return syntax_error(r);
    const char *what = superfluous(event);
    if (!what)
        return REEL_OK;
    const yaml_mark_t mark = event->start_mark;
    yaml_event_delete(event);
    return refuse(r, mark, what);
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

/* A scalar event's text as a new string. */
static reel_status take_text(reader *r, const yaml_event_t *event, char **text) {
    const char *const value = (const char *)event->data.scalar.value;
    if (memchr(value, '\0', event->data.scalar.length)) /* "\0" in double quotes */
        return refuse(r, event->start_mark, "a NUL byte in a value");
    *text = strdup(value);
    return *text ? REEL_OK : no_memory(r);
}

/* Makes the node that `event` begins in *slot and deletes the event. Lists and maps are left empty. */
static reel_status begin_node(reader *r, yaml_event_t *event, config_node **slot) {
    reel_status status = REEL_OK;
    config_node *node = NULL;
    if (++r->nodes > MAX_NODES)
        status = refuse(r, event->start_mark, "more values than any configuration has");
    else if (!(node = calloc(1, sizeof *node)))
        status = no_memory(r);
    else {
        node->line = line_of(r, event->start_mark);
        if (event->type == YAML_SCALAR_EVENT) {
            node->kind = CONFIG_NODE_SCALAR;
            node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
            status = take_text(r, event, &node->text);
        } else {
            node->kind = event->type == YAML_MAPPING_START_EVENT ? CONFIG_NODE_MAP : CONFIG_NODE_LIST;
        }
    }
    *slot = node;
    yaml_event_delete(event);
    return status;
}

/* Takes a map's key out of its event, refusing what is not a new word, and deletes the event. */
static reel_status take_key(reader *r, const config_node *map, yaml_event_t *event, char **key) {
    reel_status status = REEL_OK;
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.length == 0)
        status = refuse(r, event->start_mark, "a key must be a word");
    else
        status = take_text(r, event, key);
    for (const config_node *other = map->children; status == REEL_OK && other; other = other->next) {
        if (strcmp(other->key, *key) == 0) {
            char place[CONFIG_PLACE_BYTES], quoted[CONFIG_QUOTE_BYTES];
            config_place(place, r->name, line_of(r, event->start_mark));
            status = reel_fail(r->error, REEL_ERROR_FORMAT, "%s: duplicate key '%s'", place,
                               config_quote(quoted, *key));
        }
    }
    yaml_event_delete(event);
    return status;
}

static reel_status read_children(reader *r, config_node *parent, int depth);

/* Reads the node that `event` begins, and all below it, into *slot. The event is deleted in any case, and
 * what was made hangs in the tree in any case, so that freeing the tree frees all. */
static reel_status read_node(reader *r, yaml_event_t *event, int depth, config_node **slot) {
    const yaml_mark_t mark = event->start_mark;
    reel_status status = begin_node(r, event, slot);
    if (status != REEL_OK || (*slot)->kind == CONFIG_NODE_SCALAR)
        return status;
    if (depth == MAX_DEPTH)
        return refuse(r, mark, "lists and maps are nested too deeply");
    return read_children(r, *slot, depth + 1);
}

static reel_status read_children(reader *r, config_node *parent, int depth) {
    const bool in_map = parent->kind == CONFIG_NODE_MAP;
    config_node **slot = &parent->children;
    for (;; slot = &(*slot)->next) {
        yaml_event_t event;
        reel_status status = next_event(r, &event);
        if (status != REEL_OK)
            return status;
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return REEL_OK;
        }
        char *key = NULL;
        const int line = line_of(r, event.start_mark); /* of the key, in a map: its value may begin later */
        if (in_map) {
            status = take_key(r, parent, &event, &key);
            if (status == REEL_OK)
                status = next_event(r, &event);
        }
        if (status == REEL_OK)
            status = read_node(r, &event, depth, slot);
        if (*slot) {
            (*slot)->key = key;
            (*slot)->line = line;
        } else {
            free(key);
        }
        if (status != REEL_OK)
            return status;
    }
}

/* stream start, document start, root node, document end, stream end */
static reel_status read_stream(reader *r, config_node **root) {
    yaml_event_t event;
    for (;;) {
        reel_status status = next_event(r, &event);
        if (status != REEL_OK)
            return status;
        const yaml_mark_t mark = event.start_mark;
        switch (event.type) {
        case YAML_SCALAR_EVENT:
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT:
            if (*root) {
                yaml_event_delete(&event);
                return refuse(r, mark, "a second document begins here; one is expected");
            }
            status = read_node(r, &event, 0, root);
            if (status != REEL_OK)
                return status;
            break;
        case YAML_STREAM_END_EVENT:
            if (!*root) { /* no document: the empty scalar */
                yaml_event_delete(&event);
                *root = calloc(1, sizeof **root);
                return *root && ((*root)->text = strdup("")) ? REEL_OK : no_memory(r);
            }
            yaml_event_delete(&event);
            return REEL_OK;
        default:
            yaml_event_delete(&event);
        }
    }
}

reel_status config_tree_read(config_node **tree, const char *name, config_lines lines, const char *text,
                             size_t bytes, reel_error *error) {
    *tree = NULL;
    reader r = {.name = name, .lines = lines, .error = error};
    if (memchr(text, '\0', bytes)) {
        char place[CONFIG_PLACE_BYTES];
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: it holds NUL bytes; a text file is expected",
                         config_place(place, name, 0));
    }
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    const reel_status status = read_stream(&r, tree);
    yaml_parser_delete(&r.parser);
    if (status != REEL_OK) {
        config_tree_free(*tree);
        *tree = NULL;
    }
    return status;
}

void config_tree_free(config_node *tree) {
    while (tree) {
        config_node *const next = tree->next;
        config_tree_free(tree->children);
        free(tree->key);
        free(tree->text);
        free(tree);
        tree = next;
    }
}

bool config_is_null(const config_node *node) {
    if (node->kind != CONFIG_NODE_SCALAR || node->quoted)
        return false;
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcasecmp(node->text, "null") == 0 ||
           strcmp(node->text, "None") == 0;
}
