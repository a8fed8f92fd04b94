/* SPDX-License-Identifier: Apache-2.0 */
/* Reading values through the index: members, strings, exact integers, equality. */
#include "model/json.h"

/* --- string values, a byte at a time ---------------------------------------------------------------------------- */

struct bytes {
    const char *at;
    const char *end;
    char pending[4];
    unsigned pending_at, pending_count;
};

static unsigned hex4(const char *p)
{
    unsigned x = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        x = x << 4 | digit;
    }
    return x;
}

static unsigned encode_utf8(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decode the escape at *p (which the tokenizer has checked) and move behind it. */
static unsigned decode_escape(const char **p, const char *end, char out[4])
{
    char kind = (*p)[1];
    *p += 2;
    if (kind != 'u') {
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *hit = strchr(from, kind);
        out[0] = hit ? to[hit - from] : kind;
        return 1;
    }
    unsigned code = hex4(*p);
    *p += 4;
    if (code >= 0xd800 && code < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        unsigned low = hex4(*p + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            *p += 6;
        }
    }
    return encode_utf8(code, out);
}

/* The next byte of the value, -1 at its end. */
static int next_byte(struct bytes *it)
{
    if (it->pending_at < it->pending_count)
        return (uint8_t)it->pending[it->pending_at++];
    if (it->at == it->end)
        return -1;
    if (*it->at != '\\')
        return (uint8_t)*it->at++;
    it->pending_count = decode_escape(&it->at, it->end, it->pending);
    it->pending_at = 1;
    return (uint8_t)it->pending[0];
}

static bool same_value(struct lh_slice a, bool a_escaped, struct lh_slice b, bool b_escaped)
{
    if (!a_escaped && !b_escaped)
        return lh_slice_equal(a, b);
    struct bytes x = {.at = a.data, .end = a.data + a.size}, y = {.at = b.data, .end = b.data + b.size};
    for (;;) {
        int p = next_byte(&x), q = next_byte(&y);
        if (p != q)
            return false;
        if (p < 0)
            return true;
    }
}

bool lh_json_string_is(const struct lh_json *json, uint32_t token, const char *text)
{
    if (lh_json_kind_of(json, token) != LH_JSON_STRING)
        return false;
    struct lh_slice inner = lh_json_inner(json, token);
    if (!json->tokens[token].escaped)
        return lh_slice_is(inner, text);
    struct bytes it = {.at = inner.data, .end = inner.data + inner.size};
    for (;; text++) {
        int byte = next_byte(&it);
        if (byte < 0)
            return *text == '\0';
        if (*text == '\0' || byte != (uint8_t)*text)
            return false;
    }
}

void lh_json_unescape(struct lh_buffer *out, struct lh_slice inner)
{
    const char *at = inner.data, *end = at + inner.size;
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        if (!slash)
            slash = end;
        lh_buffer_add(out, at, (size_t)(slash - at));
        at = slash;
        if (end - at >= 2 && at[1] == '"') {
            lh_buffer_byte(out, '"');
            at += 2;
        } else if (at < end) {
            char bytes[4];
            lh_buffer_add(out, bytes, decode_escape(&at, end, bytes));
        }
    }
}

vde_status lh_json_string(const struct lh_json *json, uint32_t token, struct lh_arena *arena, struct lh_slice *ret)
{
    struct lh_slice inner = lh_json_inner(json, token);
    if (!json->tokens[token].escaped) {
        *ret = inner;
        return VDE_OK;
    }
    /* A value is never longer than its escaped spelling. */
    char *memory = lh_arena_alloc(arena, 1, inner.size);
    if (!memory)
        return VDE_NOMEM;
    struct lh_buffer out = {memory, 0, inner.size, false};
    lh_json_unescape(&out, inner);
    *ret = (struct lh_slice){out.data, out.size};
    return VDE_OK;
}

/* --- members ---------------------------------------------------------------------------------------------------- */

struct lh_slice lh_json_inner(const struct lh_json *json, uint32_t token)
{
    const struct lh_json_token *t = &json->tokens[token];
    return (struct lh_slice){json->text + t->start, t->end - t->start};
}

struct lh_slice lh_json_raw(const struct lh_json *json, uint32_t token)
{
    struct lh_slice inner = lh_json_inner(json, token);
    if (json->tokens[token].kind == LH_JSON_STRING)
        inner = (struct lh_slice){inner.data - 1, inner.size + 2};
    return inner;
}

const char *lh_json_kind_name(enum lh_json_kind kind)
{
    static const char *const names[] = {"null", "boolean", "boolean", "number", "string", "array", "object"};
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

uint32_t lh_json_first(const struct lh_json *json, uint32_t container)
{
    return container != LH_JSON_NONE && json->tokens[container].count > 0 ? container + 1 : LH_JSON_NONE;
}

uint32_t lh_json_find(const struct lh_json *json, uint32_t object, const char *key)
{
    uint32_t found = LH_JSON_NONE;
    if (lh_json_kind_of(json, object) != LH_JSON_OBJECT)
        return found;
    for (uint32_t at = object + 1; at < json->tokens[object].next; at = json->tokens[at + 1].next) {
        if (lh_json_string_is(json, at, key))
            found = at + 1;
    }
    return found;
}

/* The value of the last member of b's object with the same key as a's key token. */
static uint32_t find_like(const struct lh_json *b, uint32_t object, const struct lh_json *a, uint32_t key)
{
    uint32_t found = LH_JSON_NONE;
    for (uint32_t at = object + 1; at < b->tokens[object].next; at = b->tokens[at + 1].next) {
        if (same_value(lh_json_inner(a, key), a->tokens[key].escaped, lh_json_inner(b, at), b->tokens[at].escaped))
            found = at + 1;
    }
    return found;
}

/* --- equality --------------------------------------------------------------------------------------------------- */

/* One container that is being compared: the next child of a, where a's container ends, and b's side. */
struct level {
    uint32_t a;          /* the object of a; NONE for an array */
    uint32_t at_a, end_a;
    uint32_t b;          /* the object, or the next element of the array */
};

static uint32_t distinct_keys(const struct lh_json *json, uint32_t object)
{
    uint32_t count = 0;
    for (uint32_t at = object + 1; at < json->tokens[object].next; at = json->tokens[at + 1].next)
        count += find_like(json, object, json, at) == at + 1;
    return count;
}

/* Compare what the two tokens are in themselves; containers' children are compared by the caller. */
static bool same_token(const struct lh_json *a, uint32_t x, const struct lh_json *b, uint32_t y)
{
    const struct lh_json_token *p = &a->tokens[x], *q = &b->tokens[y];
    if (p->kind != q->kind)
        return false;
    switch (p->kind) {
    case LH_JSON_NUMBER:
        return lh_slice_equal(lh_json_raw(a, x), lh_json_raw(b, y));
    case LH_JSON_STRING:
        return same_value(lh_json_inner(a, x), p->escaped, lh_json_inner(b, y), q->escaped);
    case LH_JSON_ARRAY:
        return p->count == q->count;
    case LH_JSON_OBJECT:
        return distinct_keys(a, x) == distinct_keys(b, y);
    default:
        return true;
    }
}

/* Move to the next pair of children of the innermost container. False: it has none left. A member of b that is missing
 * gives NONE. */
static bool next_pair(const struct lh_json *a, const struct lh_json *b, struct level *top, uint32_t *x, uint32_t *y)
{
    while (top->at_a != top->end_a) {
        if (top->a == LH_JSON_NONE) {
            *x = top->at_a;
            *y = top->b;
            top->at_a = a->tokens[*x].next;
            top->b = b->tokens[*y].next;
            return true;
        }
        uint32_t key = top->at_a;
        *x = key + 1;
        top->at_a = a->tokens[*x].next;
        if (find_like(a, top->a, a, key) != *x)
            continue;    /* shadowed by a later duplicate */
        *y = find_like(b, top->b, a, key);
        return true;
    }
    return false;
}

bool lh_json_equal(const struct lh_json *a, uint32_t token_a, const struct lh_json *b, uint32_t token_b)
{
    struct level levels[LH_JSON_DEPTH_MAX + 1];
    unsigned depth = 0;
    uint32_t x = token_a, y = token_b;
    for (;;) {
        if (y == LH_JSON_NONE || !same_token(a, x, b, y))
            return false;
        if (a->tokens[x].kind == LH_JSON_OBJECT)
            levels[depth++] = (struct level){x, x + 1, a->tokens[x].next, y};
        else if (a->tokens[x].kind == LH_JSON_ARRAY)
            levels[depth++] = (struct level){LH_JSON_NONE, x + 1, a->tokens[x].next, y + 1};
        while (depth > 0 && !next_pair(a, b, &levels[depth - 1], &x, &y))
            depth--;
        if (depth == 0)
            return true;
    }
}
