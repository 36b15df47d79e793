/* The stack machine: one short function per opcode, and the table of them at the end. Each value that it
 * makes costs at least one byte of the pickle, so that memory is bounded by the pickle's size. */
#include "pickle_machine.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors and memory ------------------------------------------------------------------------------- */

static const char *opcode_name(unsigned char opcode);

reel_status reel__pickle_refuse(const pickle_machine *m, const char *format, ...) {
    char what[REEL_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const char *const name = opcode_name(*m->opcode);
    if (name == NULL)
        return reel_fail(m->error, REEL_ERROR_FORMAT, "%s: data.pkl, byte %td: 0x%02x: %s", m->path,
                         m->opcode - m->begin, *m->opcode, what);
    return reel_fail(m->error, REEL_ERROR_FORMAT, "%s: data.pkl, byte %td: opcode %s: %s", m->path,
                     m->opcode - m->begin, name, what);
}

int reel__pickle_reserve(void **array, size_t count, size_t *room, size_t element_bytes) {
    enum { FIRST_ROOM = 4 };
    if (count < *room)
        return 1;
    const size_t more = *room == 0 ? FIRST_ROOM : 2 * *room;
    void *const larger = reallocarray(*array, more, element_bytes);
    if (larger == NULL)
        return 0;
    *array = larger;
    *room = more;
    return 1;
}

static reel_status no_memory(const pickle_machine *m) {
    return reel_fail(m->error, REEL_ERROR_MEMORY, "%s: no memory to read data.pkl", m->path);
}

static reel_status add(const pickle_machine *m, pickle_items *items, pickle_value value) {
    void *array = items->at;
    const int fits = reel__pickle_reserve(&array, items->count, &items->room, sizeof value);
    items->at = array;
    if (!fits)
        return no_memory(m);
    items->at[items->count++] = value;
    return REEL_OK;
}

reel_status reel__pickle_container(pickle_machine *m, pickle_kind kind, pickle_value *result) {
    void *array = m->containers;
    const int fits =
        reel__pickle_reserve(&array, m->container_count, &m->container_room, sizeof *m->containers);
    m->containers = array;
    if (!fits)
        return no_memory(m);
    m->containers[m->container_count] = (pickle_items){0};
    *result = (pickle_value){.kind = kind, .index = m->container_count++};
    return REEL_OK;
}

/* ---- the stack --------------------------------------------------------------------------------------- */

static reel_status push(pickle_machine *m, pickle_value value) {
    return add(m, &m->stack, value);
}

/* The value on top, which a mark does not count as. */
static reel_status pop(pickle_machine *m, pickle_value *value) {
    *value = (pickle_value){.kind = PICKLE_NONE};
    if (m->stack.count == 0 || m->stack.at[m->stack.count - 1].kind == PICKLE_MARK)
        return reel__pickle_refuse(m, "no value on the stack");
    *value = m->stack.at[--m->stack.count];
    return REEL_OK;
}

/* A value of one kind, from the top. */
static reel_status pop_kind(pickle_machine *m, pickle_kind kind, const char *what, pickle_value *value) {
    const reel_status status = pop(m, value);
    return status != REEL_OK || value->kind == kind ? status : reel__pickle_refuse(m, "expected %s", what);
}

/* Where the values above the topmost mark begin. */
static reel_status find_mark(const pickle_machine *m, size_t *first) {
    *first = m->stack.count;
    while (*first > 0 && m->stack.at[*first - 1].kind != PICKLE_MARK)
        --*first;
    return *first > 0 ? REEL_OK : reel__pickle_refuse(m, "no mark on the stack");
}

/* Moves the values from `first` on, and the mark below if there is one, off the stack into a container. */
static reel_status move_to(pickle_machine *m, size_t first, size_t marks, pickle_items *items) {
    for (size_t i = first; i < m->stack.count; i++) {
        const reel_status status = add(m, items, m->stack.at[i]);
        if (status != REEL_OK)
            return status;
    }
    m->stack.count = first - marks;
    return REEL_OK;
}

/* ---- the bytes behind an opcode ---------------------------------------------------------------------- */

/* The next `count` bytes. */
static reel_status take(pickle_machine *m, uint64_t count, const unsigned char **bytes) {
    if (count > (uint64_t)(m->end - m->at))
        return reel__pickle_refuse(m, "cut short");
    *bytes = m->at;
    m->at += count;
    return REEL_OK;
}

/* A little-endian number without sign of so many bytes. */
static reel_status take_number(pickle_machine *m, int count, uint64_t *number) {
    const unsigned char *bytes = NULL;
    const reel_status status = take(m, (uint64_t)count, &bytes);
    *number = 0;
    for (int i = 0; status == REEL_OK && i < count; i++)
        *number |= (uint64_t)bytes[i] << CHAR_BIT * i;
    return status;
}

/* ---- numbers and texts ------------------------------------------------------------------------------- */

static reel_status push_int(pickle_machine *m, int64_t integer) {
    return push(m, (pickle_value){.kind = PICKLE_INT, .integer = integer});
}

static reel_status run_none(pickle_machine *m) {
    return push(m, (pickle_value){.kind = PICKLE_NONE});
}

static reel_status run_true(pickle_machine *m) {
    return push(m, (pickle_value){.kind = PICKLE_BOOL, .integer = 1});
}

static reel_status run_false(pickle_machine *m) {
    return push(m, (pickle_value){.kind = PICKLE_BOOL, .integer = 0});
}

static reel_status push_unsigned(pickle_machine *m, int bytes) {
    uint64_t number;
    const reel_status status = take_number(m, bytes, &number);
    return status == REEL_OK ? push_int(m, (int64_t)number) : status;
}

static reel_status run_binint1(pickle_machine *m) {
    return push_unsigned(m, 1);
}

static reel_status run_binint2(pickle_machine *m) {
    return push_unsigned(m, 2);
}

static reel_status run_binint(pickle_machine *m) {
    uint64_t number;
    const reel_status status = take_number(m, sizeof(int32_t), &number);
    return status == REEL_OK ? push_int(m, (int32_t)(uint32_t)number) : status;
}

/* Two's complement of any length. */
static reel_status run_long1(pickle_machine *m) {
    uint64_t length;
    const unsigned char *bytes = NULL;
    reel_status status = take_number(m, 1, &length);
    if (status == REEL_OK)
        status = take(m, length, &bytes);
    if (status != REEL_OK)
        return status;
    if (length > sizeof(int64_t))
        return push(m, (pickle_value){.kind = PICKLE_NUMBER});
    uint64_t number = length > 0 && bytes[length - 1] >> (CHAR_BIT - 1) ? UINT64_MAX : 0;
    for (size_t i = length; i-- > 0;)
        number = number << CHAR_BIT | bytes[i];
    return push_int(m, (int64_t)number);
}

static reel_status run_binfloat(pickle_machine *m) {
    const unsigned char *bytes = NULL;
    const reel_status status = take(m, sizeof(double), &bytes);
    return status == REEL_OK ? push(m, (pickle_value){.kind = PICKLE_NUMBER}) : status;
}

/* A text behind its length, which has so many bytes itself. */
static reel_status push_text(pickle_machine *m, int length_bytes) {
    uint64_t length;
    const unsigned char *bytes = NULL;
    reel_status status = take_number(m, length_bytes, &length);
    if (status == REEL_OK)
        status = take(m, length, &bytes);
    if (status != REEL_OK)
        return status;
    return push(m,
                (pickle_value){.kind = PICKLE_TEXT, .length = (uint32_t)length, .text = (const char *)bytes});
}

static reel_status run_short_binunicode(pickle_machine *m) {
    return push_text(m, 1);
}

static reel_status run_binunicode(pickle_machine *m) {
    return push_text(m, 4);
}

static reel_status run_binunicode8(pickle_machine *m) {
    return push_text(m, 8);
}

/* ---- tuples, lists, dictionaries --------------------------------------------------------------------- */

static reel_status run_mark(pickle_machine *m) {
    return push(m, (pickle_value){.kind = PICKLE_MARK});
}

static reel_status push_container(pickle_machine *m, pickle_kind kind) {
    pickle_value value;
    const reel_status status = reel__pickle_container(m, kind, &value);
    return status == REEL_OK ? push(m, value) : status;
}

static reel_status run_empty_tuple(pickle_machine *m) {
    return push_container(m, PICKLE_TUPLE);
}

static reel_status run_empty_list(pickle_machine *m) {
    return push_container(m, PICKLE_LIST);
}

static reel_status run_empty_dict(pickle_machine *m) {
    return push_container(m, PICKLE_DICT);
}

/* A tuple of the values from `first` on; `marks` below them go, too. */
static reel_status make_tuple(pickle_machine *m, size_t first, size_t marks) {
    pickle_value value;
    reel_status status = reel__pickle_container(m, PICKLE_TUPLE, &value);
    if (status == REEL_OK)
        status = move_to(m, first, marks, &m->containers[value.index]);
    return status == REEL_OK ? push(m, value) : status;
}

static reel_status run_tuple(pickle_machine *m) {
    size_t first;
    const reel_status status = find_mark(m, &first);
    return status == REEL_OK ? make_tuple(m, first, 1) : status;
}

static reel_status make_short_tuple(pickle_machine *m, size_t count) {
    for (size_t i = 1; i <= count; i++)
        if (m->stack.count < i || m->stack.at[m->stack.count - i].kind == PICKLE_MARK)
            return reel__pickle_refuse(m, "no value on the stack");
    return make_tuple(m, m->stack.count - count, 0);
}

static reel_status run_tuple1(pickle_machine *m) {
    return make_short_tuple(m, 1);
}

static reel_status run_tuple2(pickle_machine *m) {
    return make_short_tuple(m, 2);
}

static reel_status run_tuple3(pickle_machine *m) {
    return make_short_tuple(m, 3);
}

/* Moves the values from `first` on into the list or dictionary below them. */
static reel_status extend(pickle_machine *m, size_t first, size_t marks, pickle_kind kind) {
    const size_t below = first - marks;
    if (below == 0 || m->stack.at[below - 1].kind != kind)
        return reel__pickle_refuse(m, "no %s to add to", kind == PICKLE_LIST ? "list" : "dictionary");
    if (kind == PICKLE_DICT && (m->stack.count - first) % 2 != 0)
        return reel__pickle_refuse(m, "a key without a value");
    return move_to(m, first, marks, &m->containers[m->stack.at[below - 1].index]);
}

static reel_status extend_from_mark(pickle_machine *m, pickle_kind kind) {
    size_t first;
    const reel_status status = find_mark(m, &first);
    return status == REEL_OK ? extend(m, first, 1, kind) : status;
}

/* With the `count` values on top. */
static reel_status extend_by(pickle_machine *m, size_t count, pickle_kind kind) {
    for (size_t i = 1; i <= count; i++)
        if (m->stack.count < i || m->stack.at[m->stack.count - i].kind == PICKLE_MARK)
            return reel__pickle_refuse(m, "no value on the stack");
    return extend(m, m->stack.count - count, 0, kind);
}

static reel_status run_append(pickle_machine *m) {
    return extend_by(m, 1, PICKLE_LIST);
}

static reel_status run_appends(pickle_machine *m) {
    return extend_from_mark(m, PICKLE_LIST);
}

static reel_status run_setitem(pickle_machine *m) {
    return extend_by(m, 2, PICKLE_DICT);
}

static reel_status run_setitems(pickle_machine *m) {
    return extend_from_mark(m, PICKLE_DICT);
}

/* ---- the memo ---------------------------------------------------------------------------------------- */

/* Writers number what they keep from 0 on, so a number past the next is none that anything was kept under. */
static reel_status put(pickle_machine *m, uint64_t number) {
    pickle_value value;
    reel_status status = pop(m, &value);
    if (status == REEL_OK && number > m->memo.count)
        status = reel__pickle_refuse(m, "number %llu of the memo, which has %zu", (unsigned long long)number,
                                     m->memo.count);
    if (status == REEL_OK && number == m->memo.count)
        status = add(m, &m->memo, value);
    if (status != REEL_OK)
        return status;
    m->memo.at[number] = value;
    return push(m, value);
}

static reel_status run_memoize(pickle_machine *m) {
    return put(m, m->memo.count);
}

static reel_status put_numbered(pickle_machine *m, int bytes) {
    uint64_t number;
    const reel_status status = take_number(m, bytes, &number);
    return status == REEL_OK ? put(m, number) : status;
}

static reel_status run_binput(pickle_machine *m) {
    return put_numbered(m, 1);
}

static reel_status run_long_binput(pickle_machine *m) {
    return put_numbered(m, 4);
}

static reel_status get_numbered(pickle_machine *m, int bytes) {
    uint64_t number;
    const reel_status status = take_number(m, bytes, &number);
    if (status != REEL_OK)
        return status;
    if (number >= m->memo.count)
        return reel__pickle_refuse(m, "number %llu of the memo, which has %zu", (unsigned long long)number,
                                   m->memo.count);
    return push(m, m->memo.at[number]);
}

static reel_status run_binget(pickle_machine *m) {
    return get_numbered(m, 1);
}

static reel_status run_long_binget(pickle_machine *m) {
    return get_numbered(m, 4);
}

/* ---- names, objects ---------------------------------------------------------------------------------- */

static reel_status push_global(pickle_machine *m, const char *module, size_t module_length, const char *name,
                               size_t name_length) {
    pickle_value value;
    const reel_status status = reel__pickle_global(m, module, module_length, name, name_length, &value);
    return status == REEL_OK ? push(m, value) : status;
}

/* Takes a line, without its line feed. */
static reel_status take_line(pickle_machine *m, const char **line, size_t *length) {
    const unsigned char *const feed = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (feed == NULL)
        return reel__pickle_refuse(m, "cut short");
    *line = (const char *)m->at;
    *length = (size_t)(feed - m->at);
    m->at = feed + 1;
    return REEL_OK;
}

static reel_status run_global(pickle_machine *m) {
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    reel_status status = take_line(m, &module, &module_length);
    if (status == REEL_OK)
        status = take_line(m, &name, &name_length);
    return status == REEL_OK ? push_global(m, module, module_length, name, name_length) : status;
}

static reel_status run_stack_global(pickle_machine *m) {
    pickle_value name, module;
    reel_status status = pop_kind(m, PICKLE_TEXT, "a text", &name);
    if (status == REEL_OK)
        status = pop_kind(m, PICKLE_TEXT, "a text", &module);
    return status == REEL_OK ? push_global(m, module.text, module.length, name.text, name.length) : status;
}

static reel_status run_binpersid(pickle_machine *m) {
    pickle_value id, value;
    reel_status status = pop_kind(m, PICKLE_TUPLE, "a tuple that describes a storage", &id);
    if (status == REEL_OK)
        status = reel__pickle_storage(m, &m->containers[id.index], &value);
    return status == REEL_OK ? push(m, value) : status;
}

static reel_status run_reduce(pickle_machine *m) {
    pickle_value arguments, function, value;
    reel_status status = pop_kind(m, PICKLE_TUPLE, "a tuple of arguments", &arguments);
    if (status == REEL_OK)
        status = pop_kind(m, PICKLE_GLOBAL, "a global to apply", &function);
    if (status == REEL_OK) {
        const pickle_items items = m->containers[arguments.index]; /* the array may move, the items do not */
        status = reel__pickle_apply(m, function, &items, &value);
    }
    return status == REEL_OK ? push(m, value) : status;
}

/* Gives an object its attributes, as a state_dict has its modules' versions: no tensor is among them. */
static reel_status run_build(pickle_machine *m) {
    pickle_value state, object;
    reel_status status = pop(m, &state);
    if (status == REEL_OK)
        status = pop_kind(m, PICKLE_DICT, "a dictionary to give attributes to", &object);
    return status == REEL_OK ? push(m, object) : status;
}

/* ---- the program ------------------------------------------------------------------------------------- */

static reel_status run_proto(pickle_machine *m) {
    enum { OLDEST = 2, NEWEST = 5 };
    uint64_t protocol;
    const reel_status status = take_number(m, 1, &protocol);
    if (status == REEL_OK && (protocol < OLDEST || protocol > NEWEST))
        return reel__pickle_refuse(m, "protocol %d; expected 2 to 5", (int)protocol);
    return status;
}

/* Says how much follows, which readers of streams want to know. */
static reel_status run_frame(pickle_machine *m) {
    uint64_t length;
    const reel_status status = take_number(m, sizeof length, &length);
    return status == REEL_OK && length > (uint64_t)(m->end - m->at) ? reel__pickle_refuse(m, "cut short")
                                                                    : status;
}

static reel_status run_stop(pickle_machine *m) {
    m->is_done = 1;
    if (m->stack.count != 1 || m->stack.at[0].kind == PICKLE_MARK)
        return reel__pickle_refuse(m, "%zu values are left, not one", m->stack.count);
    return REEL_OK;
}

typedef struct opcode {
    const char *name;
    reel_status (*run)(pickle_machine *m); /* NULL: refused */
} opcode;

/* All opcodes of protocols 0 to 5, under the names that pickletools gives them. */
static const opcode opcodes[UCHAR_MAX + 1] = {
    ['('] = {"MARK", run_mark},
    [')'] = {"EMPTY_TUPLE", run_empty_tuple},
    ['.'] = {"STOP", run_stop},
    ['0'] = {"POP", NULL},
    ['1'] = {"POP_MARK", NULL},
    ['2'] = {"DUP", NULL},
    ['B'] = {"BINBYTES", NULL},
    ['C'] = {"SHORT_BINBYTES", NULL},
    ['F'] = {"FLOAT", NULL},
    ['G'] = {"BINFLOAT", run_binfloat},
    ['I'] = {"INT", NULL},
    ['J'] = {"BININT", run_binint},
    ['K'] = {"BININT1", run_binint1},
    ['L'] = {"LONG", NULL},
    ['M'] = {"BININT2", run_binint2},
    ['N'] = {"NONE", run_none},
    ['P'] = {"PERSID", NULL},
    ['Q'] = {"BINPERSID", run_binpersid},
    ['R'] = {"REDUCE", run_reduce},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", NULL},
    ['U'] = {"SHORT_BINSTRING", NULL},
    ['V'] = {"UNICODE", NULL},
    ['X'] = {"BINUNICODE", run_binunicode},
    [']'] = {"EMPTY_LIST", run_empty_list},
    ['a'] = {"APPEND", run_append},
    ['b'] = {"BUILD", run_build},
    ['c'] = {"GLOBAL", run_global},
    ['d'] = {"DICT", NULL},
    ['e'] = {"APPENDS", run_appends},
    ['g'] = {"GET", NULL},
    ['h'] = {"BINGET", run_binget},
    ['i'] = {"INST", NULL},
    ['j'] = {"LONG_BINGET", run_long_binget},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    ['q'] = {"BINPUT", run_binput},
    ['r'] = {"LONG_BINPUT", run_long_binput},
    ['s'] = {"SETITEM", run_setitem},
    ['t'] = {"TUPLE", run_tuple},
    ['u'] = {"SETITEMS", run_setitems},
    ['}'] = {"EMPTY_DICT", run_empty_dict},
    [0x80] = {"PROTO", run_proto},
    [0x81] = {"NEWOBJ", NULL},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x85] = {"TUPLE1", run_tuple1},
    [0x86] = {"TUPLE2", run_tuple2},
    [0x87] = {"TUPLE3", run_tuple3},
    [0x88] = {"NEWTRUE", run_true},
    [0x89] = {"NEWFALSE", run_false},
    [0x8a] = {"LONG1", run_long1},
    [0x8b] = {"LONG4", NULL},
    [0x8c] = {"SHORT_BINUNICODE", run_short_binunicode},
    [0x8d] = {"BINUNICODE8", run_binunicode8},
    [0x8e] = {"BINBYTES8", NULL},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x93] = {"STACK_GLOBAL", run_stack_global},
    [0x94] = {"MEMOIZE", run_memoize},
    [0x95] = {"FRAME", run_frame},
    [0x96] = {"BYTEARRAY8", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

static const char *opcode_name(unsigned char code) {
    return opcodes[code].name;
}

reel_status reel__pickle_run(pickle_machine *m) {
    reel_status status = REEL_OK;
    while (status == REEL_OK && !m->is_done) {
        if (m->at == m->end)
            return reel_fail(m->error, REEL_ERROR_FORMAT, "%s: data.pkl is cut short: it ends without STOP",
                             m->path);
        m->opcode = m->at++;
        const opcode *const code = &opcodes[*m->opcode];
        if (code->run != NULL)
            status = code->run(m);
        else
            status = reel__pickle_refuse(m, code->name != NULL ? "tensors do not need it"
                                                               : "no opcode of any protocol");
    }
    return status;
}

void reel__pickle_machine_free(pickle_machine *m) {
    for (size_t i = 0; i < m->container_count; i++)
        free(m->containers[i].at);
    free(m->containers);
    free(m->storages);
    free(m->tensors);
    free(m->memo.at);
    free(m->stack.at);
}
