#include "json_file.h"

#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_METADATA_BYTES = 1 << 20,
    METADATA_DEPTH = 2, /* the object, the list of sets */
    MAX_SETS = 64,
    MAX_NAME_BYTES = 64, /* of a set, which is part of file names */
    NAMES_DEPTH = 1,
    PART_BYTES = MAX_NAME_BYTES + 32, /* SET__puzzle_identifiers.npy */
};

/* A million augmented ARC tasks have 32 MB of names. */
#define MAX_NAMES_BYTES ((size_t)1 << 30)

static reel_status no_memory(const char *path, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a data set", path);
}

/* ---- dataset.json ------------------------------------------------------------------------------------ */

/* A field that must be a whole number from `low` to INT32_MAX; null gives low - 1 where it is allowed. */
typedef enum null_rule { NOT_NULL, OR_NULL } null_rule;

static reel_status read_count(const cJSON *json, const char *path, const char *key, int64_t low,
                              null_rule nulls, int64_t *value, reel_error *error) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(json, key);
    *value = low - 1;
    if (nulls == OR_NULL && cJSON_IsNull(item))
        return REEL_OK;
    const double number = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(number >= (double)low && number <= INT32_MAX) || number != floor(number))
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: '%s' is %s, not a whole number from %lld to %d", path,
                         key, cJSON_IsNumber(item) ? "out of range" : reel__json_kind(item), (long long)low,
                         INT32_MAX);
    *value = (int64_t)number;
    return REEL_OK;
}

static reel_status read_mean(const cJSON *json, const char *path, double *mean, reel_error *error) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(json, "mean_puzzle_examples");
    *mean = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (*mean > 0 && *mean <= INT32_MAX)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: 'mean_puzzle_examples' is not a number above 0", path);
}

static reel_status read_metadata(reel_folder *folder, const cJSON *json, const char *path,
                                 reel_error *error) {
    reel_folder_metadata *const m = &folder->metadata;
    const struct {
        const char *key;
        int64_t low;
        null_rule nulls;
        int64_t *value;
    } counts[] = {
        {"pad_id", 0, NOT_NULL, &m->pad_id},
        {"ignore_label_id", REEL_NO_IGNORE_LABEL + 1, OR_NULL, &m->ignore_label_id},
        {"blank_identifier_id", 0, NOT_NULL, &m->blank_identifier_id},
        {"vocab_size", 1, NOT_NULL, &m->vocab_size},
        {"seq_len", 1, NOT_NULL, &m->seq_len},
        {"num_puzzle_identifiers", 1, NOT_NULL, &m->num_puzzle_identifiers},
        {"total_groups", 0, NOT_NULL, &m->total_groups},
        {"total_puzzles", 0, NOT_NULL, &m->total_puzzles},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const reel_status status =
            read_count(json, path, counts[i].key, counts[i].low, counts[i].nulls, counts[i].value, error);
        if (status != REEL_OK)
            return status;
    }
    const reel_status status = read_mean(json, path, &m->mean_puzzle_examples, error);
    if (status != REEL_OK)
        return status;
    if (m->pad_id >= m->vocab_size || m->blank_identifier_id >= m->num_puzzle_identifiers)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: pad_id %lld and blank_identifier_id %lld must be below vocab_size %lld and "
                         "num_puzzle_identifiers %lld",
                         path, (long long)m->pad_id, (long long)m->blank_identifier_id,
                         (long long)m->vocab_size, (long long)m->num_puzzle_identifiers);
    return REEL_OK;
}

/* A set's name begins the names of its files. */
static int is_set_name(const cJSON *item) {
    const char *const name = cJSON_IsString(item) ? item->valuestring : "";
    for (const char *c = name; *c != '\0'; c++)
        if (strchr("/\\\"", *c) != NULL || (unsigned char)*c < ' ')
            return 0;
    return *name != '\0' && strlen(name) <= MAX_NAME_BYTES;
}

static reel_status read_set_names(reel_folder *folder, const cJSON *json, const char *path,
                                  reel_error *error) {
    const cJSON *const list = cJSON_GetObjectItemCaseSensitive(json, "sets");
    const int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 1 || count > MAX_SETS)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: 'sets' is not a list of 1 to %d names", path,
                         MAX_SETS);
    folder->sets = calloc((size_t)count, sizeof *folder->sets);
    if (folder->sets == NULL)
        return no_memory(path, error);
    for (const cJSON *item = list->child; item != NULL; item = item->next) {
        if (!is_set_name(item))
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: 'sets' has an entry that is no name", path);
        for (int i = 0; i < folder->set_count; i++)
            if (strcmp(folder->sets[i].name, item->valuestring) == 0)
                return reel_fail(error, REEL_ERROR_FORMAT, "%s: 'sets' names '%s' twice", path,
                                 item->valuestring);
        folder->sets[folder->set_count].name = strdup(item->valuestring);
        if (folder->sets[folder->set_count++].name == NULL)
            return no_memory(path, error);
    }
    return REEL_OK;
}

static reel_status read_json(reel_folder *folder, reel_error *error) {
    char *const path = reel_path_in(folder->path, "dataset.json");
    if (path == NULL)
        return no_memory(folder->path, error);
    cJSON *json = NULL;
    reel_status status = reel__json_load(&json, path, MAX_METADATA_BYTES, METADATA_DEPTH, error);
    if (status == REEL_OK && !cJSON_IsObject(json))
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s: %s, not an object", path, reel__json_kind(json));
    if (status == REEL_OK)
        status = read_metadata(folder, json, path, error);
    if (status == REEL_OK)
        status = read_set_names(folder, json, path, error);
    cJSON_Delete(json);
    free(path);
    return status;
}

/* ---- arrays ------------------------------------------------------------------------------------------ */

/* Opens SET__PART.npy, an array of integers with `rank` axes. */
static reel_status open_array(const reel_folder *folder, const reel_folder_set *set, const char *part,
                              int rank, reel_npy **array, reel_error *error) {
    char name[PART_BYTES];
    snprintf(name, sizeof name, "%s__%s.npy", set->name, part);
    char *const path = reel_path_in(folder->path, name);
    if (path == NULL)
        return no_memory(folder->path, error);
    reel_status status = reel_npy_open(array, path, error);
    free(path);
    if (status != REEL_OK)
        return status;
    const reel_npy *const a = *array;
    if (!reel_npy_is_integer(a->type))
        status = reel_fail(error, REEL_ERROR_DTYPE, "%s: elements of type %s, expected integers", a->path,
                           reel_npy_type_name(a->type));
    else if (a->rank != rank)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s: an array of %d axes, expected %d", a->path, a->rank,
                           rank);
    return status;
}

/* Reads a vector of integers into memory of its own. */
static reel_status read_vector(const reel_folder *folder, const reel_folder_set *set, const char *part,
                               int64_t **values, int64_t *count, reel_error *error) {
    reel_npy *array = NULL;
    reel_status status = open_array(folder, set, part, 1, &array, error);
    if (status == REEL_OK) {
        *count = array->count;
        *values = malloc((size_t)array->count * sizeof **values + 1);
        if (*values == NULL)
            status = no_memory(array->path, error);
        for (int64_t i = 0; status == REEL_OK && i < array->count; i++)
            (*values)[i] = reel_npy_integer(array, i);
    }
    reel_npy_close(array);
    return status;
}

/* Fails with "D/train/SET__PART.npy: ...". */
#define REFUSE(folder, set, part, error, format, ...)                                                        \
    reel_fail(error, REEL_ERROR_FORMAT, "%s/%s__%s.npy: " format, (folder)->path, (set)->name, part,         \
              __VA_ARGS__)

/* Whether the things indexed may be none. */
typedef enum empty_rule { MAY_BE_EMPTY, NOT_EMPTY } empty_rule;

/* Reads `part`, whose entry i + 1 is where the things of i end, of `total` things. */
static reel_status read_indices(const reel_folder *folder, const reel_folder_set *set, const char *part,
                                empty_rule rule, int64_t total, int64_t **indices, int64_t *count,
                                reel_error *error) {
    int64_t entries;
    const reel_status status = read_vector(folder, set, part, indices, &entries, error);
    if (status != REEL_OK)
        return status;
    const int64_t *const at = *indices;
    if (entries < 1 || at[0] != 0)
        return REFUSE(folder, set, part, error, "does not begin with %d", 0);
    for (int64_t i = 1; i < entries; i++)
        if (at[i] < at[i - 1] || (rule == NOT_EMPTY && at[i] == at[i - 1]))
            return REFUSE(folder, set, part, error, "entry %lld is %lld, behind %lld", (long long)i,
                          (long long)at[i], (long long)at[i - 1]);
    if (at[entries - 1] != total)
        return REFUSE(folder, set, part, error, "ends with %lld, but there are %lld",
                      (long long)at[entries - 1], (long long)total);
    *count = entries - 1;
    return REEL_OK;
}

static reel_status check_identifiers(const reel_folder *folder, const reel_folder_set *set,
                                     reel_error *error) {
    const int64_t end = folder->metadata.num_puzzle_identifiers;
    for (int64_t i = 0; i < set->puzzles; i++)
        if (set->puzzle_identifiers[i] < 0 || set->puzzle_identifiers[i] >= end)
            return REFUSE(folder, set, "puzzle_identifiers", error,
                          "puzzle %lld has identifier %lld; num_puzzle_identifiers is %lld", (long long)i,
                          (long long)set->puzzle_identifiers[i], (long long)end);
    return REEL_OK;
}

/* The largest of bytes, at the speed of memory. */
static int largest_byte(const uint8_t *bytes, int64_t count) {
    uint8_t largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = bytes[i] > largest ? bytes[i] : largest;
    return largest;
}

/* Looks at every token: below the vocabulary's size, or `also`. */
static reel_status check_tokens(const reel_folder *folder, const reel_npy *array, int64_t also,
                                reel_error *error) {
    const int64_t vocab = folder->metadata.vocab_size, seq_len = folder->metadata.seq_len;
    if (array->type == REEL_NPY_U8 && largest_byte(array->data, array->count) < vocab)
        return REEL_OK;
    for (int64_t i = 0; i < array->count; i++) {
        const int64_t token = reel_npy_integer(array, i);
        if ((token < 0 || token >= vocab) && token != also)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "%s: example %lld has token %lld at %lld; vocab_size is %lld", array->path,
                             (long long)(i / seq_len), (long long)token, (long long)(i % seq_len),
                             (long long)vocab);
    }
    return REEL_OK;
}

static reel_status open_tokens(const reel_folder *folder, reel_folder_set *set, reel_error *error) {
    const reel_folder_metadata *const m = &folder->metadata;
    const int64_t ignored = m->ignore_label_id == REEL_NO_IGNORE_LABEL ? 0 : m->ignore_label_id;
    const int64_t seq_len = m->seq_len;
    const struct {
        const char *part;
        reel_npy **array;
        int64_t also;
    } arrays[] = {{"inputs", &set->inputs, 0}, {"labels", &set->labels, ignored}};
    for (int i = 0; i < 2; i++) {
        reel_status status = open_array(folder, set, arrays[i].part, 2, arrays[i].array, error);
        if (status != REEL_OK)
            return status;
        const reel_npy *const array = *arrays[i].array;
        if (array->shape[1] != seq_len || array->shape[0] != set->inputs->shape[0])
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "%s: %lld rows of %lld; expected %lld rows (as inputs) of %lld (seq_len)",
                             array->path, (long long)array->shape[0], (long long)array->shape[1],
                             (long long)set->inputs->shape[0], (long long)seq_len);
        status = check_tokens(folder, array, arrays[i].also, error);
        if (status != REEL_OK)
            return status;
    }
    set->examples = set->inputs->shape[0];
    return REEL_OK;
}

static reel_status open_set(const reel_folder *folder, reel_folder_set *set, reel_error *error) {
    int64_t puzzles;
    reel_status status = open_tokens(folder, set, error);
    if (status == REEL_OK)
        status = read_vector(folder, set, "puzzle_identifiers", &set->puzzle_identifiers, &puzzles, error);
    if (status == REEL_OK)
        status = read_indices(folder, set, "puzzle_indices", MAY_BE_EMPTY, set->examples,
                              &set->puzzle_indices, &set->puzzles, error);
    if (status == REEL_OK && puzzles != set->puzzles)
        status = REFUSE(folder, set, "puzzle_identifiers", error, "%lld puzzles; puzzle_indices has %lld",
                        (long long)puzzles, (long long)set->puzzles);
    if (status == REEL_OK)
        status = read_indices(folder, set, "group_indices", NOT_EMPTY, set->puzzles, &set->group_indices,
                              &set->groups, error);
    return status == REEL_OK ? check_identifiers(folder, set, error) : status;
}

/* ---- a split ----------------------------------------------------------------------------------------- */

int reel_folder_is_split(const char *path) {
    char *const metadata = reel_path_in(path, "dataset.json");
    const int is_split = metadata != NULL && access(metadata, F_OK) == 0;
    free(metadata);
    return is_split;
}

reel_status reel_folder_open(reel_folder **out, const char *path, reel_error *error) {
    *out = NULL;
    reel_folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL || (folder->path = strdup(path)) == NULL) {
        free(folder);
        return no_memory(path, error);
    }
    int64_t groups = 0;
    reel_status status = read_json(folder, error);
    for (int i = 0; status == REEL_OK && i < folder->set_count; i++) {
        status = open_set(folder, &folder->sets[i], error);
        groups += folder->sets[i].groups;
    }
    if (status == REEL_OK && groups != folder->metadata.total_groups)
        status = reel_fail(error, REEL_ERROR_FORMAT,
                           "%s/dataset.json: total_groups is %lld, but the arrays have %lld", path,
                           (long long)folder->metadata.total_groups, (long long)groups);
    if (status == REEL_OK)
        *out = folder;
    else
        reel_folder_close(folder);
    return status;
}

void reel_folder_close(reel_folder *folder) {
    if (folder == NULL)
        return;
    for (int i = 0; i < folder->set_count; i++) {
        reel_folder_set *const set = &folder->sets[i];
        free(set->name);
        reel_npy_close(set->inputs);
        reel_npy_close(set->labels);
        free(set->puzzle_identifiers);
        free(set->puzzle_indices);
        free(set->group_indices);
    }
    free(folder->sets);
    free(folder->path);
    free(folder);
}

/* ---- identifiers.json -------------------------------------------------------------------------------- */

/* Takes the strings over from the tree. */
static reel_status take_names(cJSON *json, const char *path, reel_names *names, reel_error *error) {
    if (!cJSON_IsArray(json))
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: %s, not an array of names", path,
                         reel__json_kind(json));
    names->items = calloc((size_t)cJSON_GetArraySize(json) + 1, sizeof *names->items);
    if (names->items == NULL)
        return no_memory(path, error);
    for (cJSON *item = json->child; item != NULL; item = item->next) {
        if (!cJSON_IsString(item))
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: entry %lld is %s, not a name", path,
                             (long long)names->count, reel__json_kind(item));
        names->items[names->count] = strdup(item->valuestring);
        if (names->items[names->count++] == NULL)
            return no_memory(path, error);
    }
    return REEL_OK;
}

reel_status reel_folder_read_identifiers(const char *folder, reel_names **out, reel_error *error) {
    *out = NULL;
    char *const path = reel_path_in(folder, "identifiers.json");
    reel_names *names = calloc(1, sizeof *names);
    cJSON *json = NULL;
    reel_status status = path == NULL || names == NULL ? no_memory(folder, error) : REEL_OK;
    if (status == REEL_OK)
        status = reel__json_load(&json, path, MAX_NAMES_BYTES, NAMES_DEPTH, error);
    if (status == REEL_OK)
        status = take_names(json, path, names, error);
    cJSON_Delete(json);
    free(path);
    if (status == REEL_OK)
        *out = names;
    else
        reel_names_free(names);
    return status;
}

void reel_names_free(reel_names *names) {
    if (names == NULL)
        return;
    for (int64_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    free(names);
}
