/* JSON files, parsed by cJSON after a look at what its parser would not survive or would misread. */
#ifndef REEL_DATA_JSON_FILE_H
#define REEL_DATA_JSON_FILE_H

#include <reel/atomic_file.h>
#include <reel/tensor.h>

#include <cjson/cJSON.h>

/* What forbids giving the text to the parser, or NULL: nesting deeper than max_depth, which it would follow
 * by recursion, zero characters, which would cut its strings short, and text that is not UTF-8. */
const char *reel__json_hazard(const char *text, size_t length, int max_depth);

/* The parser gives up in the same way where a text is wrong and where memory ends. Whether it was memory, of
 * a text it gave up after `parsed` bytes. */
int reel__json_lacks_memory(size_t parsed);

/* Parses a text that is JSON from end to end; `name` is what errors call it. The error names the line at
 * which it stops being JSON. The tree is freed by cJSON_Delete. */
reel_status reel__json_parse(cJSON **tree, const char *name, const char *text, size_t length, int max_depth,
                             reel_error *error);

/* Reads the whole of a file, at most max_bytes of it: a parsed file takes up to forty times as much memory.
 */
reel_status reel__json_load(cJSON **tree, const char *path, size_t max_bytes, int max_depth,
                            reel_error *error);

/* "an array", "a string", ...: for messages. */
const char *reel__json_kind(const cJSON *item);

/* Writes a UTF-8 text as a JSON string. */
void reel__json_write_string(reel_atomic_file *file, const char *text);

#endif
