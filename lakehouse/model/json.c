/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer: one pass, an explicit stack, eight bytes of string at a time. */
#include "model/json.h"

#include <stdlib.h>

#define JSON_TOKENS_MAX ((1u << 28) - 1)
#define SKIM_BYTES_MAX (1u << 20)

struct parser {
    struct lh_json *json;
    const char *at;
    const char *end;
    uint32_t depth;
    uint32_t stack[LH_JSON_DEPTH_MAX];   /* open containers, token indexes */
};

static vde_status fail_at(const struct parser *ps, const char *expected)
{
    char object[64] = "JSON at byte ";
    struct lh_buffer text = {object, strlen(object), sizeof object, false};
    lh_buffer_uint(&text, (uint64_t)(ps->at - ps->json->text));
    lh_buffer_byte(&text, '\0');
    char found[16] = "end of text";
    if (ps->at < ps->end) {
        static const char hex[] = "0123456789abcdef";
        uint8_t byte = (uint8_t)*ps->at;
        memcpy(found, "byte 0x", 8);
        found[7] = hex[byte >> 4];
        found[8] = hex[byte & 15];
        found[9] = '\0';
    }
    return vde_error_set(VDE_INVAL, object, found, expected);
}

static struct lh_json_token *push(struct parser *ps, enum lh_json_kind kind)
{
    struct lh_json *json = ps->json;
    if (json->count == json->capacity) {
        uint32_t capacity = json->capacity ? json->capacity * 2 : 64;
        if (capacity > JSON_TOKENS_MAX + 1)
            return NULL;
        struct lh_json_token *tokens = realloc(json->tokens, capacity * sizeof *tokens);
        if (!tokens)
            return NULL;
        json->tokens = tokens;
        json->capacity = capacity;
    }
    struct lh_json_token *token = &json->tokens[json->count++];
    *token = (struct lh_json_token){0};
    token->start = (uint32_t)(ps->at - json->text);
    token->next = json->count;
    token->kind = (uint32_t)kind & 7u;
    return token;
}

static vde_status push_failed(void)
{
    return vde_error_set(VDE_NOMEM, "JSON index", NULL, NULL);
}

static inline void skip_blank(struct parser *ps)
{
    while (ps->at < ps->end && (*ps->at == ' ' || *ps->at == '\n' || *ps->at == '\r' || *ps->at == '\t'))
        ps->at++;
}

/* Bytes of the UTF-8 sequence at `p`, 0 when it is none. `surrogates`: take the three-byte form of those too. */
static size_t utf8_sequence(const uint8_t *p, const uint8_t *end, bool surrogates)
{
    uint8_t c = p[0];
    size_t left = (size_t)(end - p);
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    size_t need = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (left < need || (p[1] & 0xc0) != 0x80)
        return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f && !surrogates) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

bool lh_utf8_valid(struct lh_slice text)
{
    const uint8_t *p = (const uint8_t *)(text.size ? text.data : ""), *end = p + text.size;
    while (p < end) {
        size_t size = utf8_sequence(p, end, false);
        if (size == 0)
            return false;
        p += size;
    }
    return true;
}

/* The first byte of a string that is not plain: quote, backslash, control, or beyond ASCII. */
static inline const char *skip_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        uint64_t hits = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20) | word) & high;
        if (hits) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            /* Borrows only reach bytes behind the first hit, so the first is exact. */
            return p + (__builtin_ctzll(hits) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && (uint8_t)*p >= 0x20 && (uint8_t)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static vde_status escape(struct parser *ps)
{
    ps->at++;
    if (ps->at == ps->end || !strchr("\"\\/bfnrtu", *ps->at) || *ps->at == '\0')
        return fail_at(ps, "an escape");
    if (*ps->at++ != 'u')
        return VDE_OK;
    for (int i = 0; i < 4; i++, ps->at++) {
        if (ps->at == ps->end || !is_hex(*ps->at))
            return fail_at(ps, "a hexadecimal digit");
    }
    return VDE_OK;
}

/* What stands at a byte that skip_plain() stopped at and that is no quote: an escape or a character beyond ASCII. */
static vde_status special(struct parser *ps, struct lh_json_token *token)
{
    if (*ps->at == '\\') {
        token->escaped = 1;
        return escape(ps);
    }
    size_t size = (uint8_t)*ps->at < 0x20 ? 0 : utf8_sequence((const uint8_t *)ps->at, (const uint8_t *)ps->end, false);
    if (size == 0)
        return fail_at(ps, "a character in UTF-8, controls escaped");
    ps->at += size;
    return VDE_OK;
}

/* At the opening quote. */
static vde_status string(struct parser *ps)
{
    ps->at++;
    struct lh_json_token *token = push(ps, LH_JSON_STRING);
    if (!token)
        return push_failed();
    const char *at = ps->at, *end = ps->end;
    for (;;) {
        at = skip_plain(at, end);
        if (at != end && *at == '"')
            break;
        /* JSON inside a string, as statistics are, escapes little but quotes. */
        if (end - at >= 2 && at[0] == '\\' && at[1] == '"') {
            token->escaped = 1;
            at += 2;
            continue;
        }
        ps->at = at;
        if (at == end)
            return fail_at(ps, "a closing quote");
        vde_status status = special(ps, token);
        if (status != VDE_OK)
            return status;
        at = ps->at;
    }
    token->end = (uint32_t)(at - ps->json->text);
    ps->at = at + 1;
    return VDE_OK;
}

static bool digits(struct parser *ps)
{
    const char *from = ps->at;
    while (ps->at < ps->end && *ps->at >= '0' && *ps->at <= '9')
        ps->at++;
    return ps->at > from;
}

static vde_status number(struct parser *ps)
{
    uint32_t index = ps->json->count;
    if (!push(ps, LH_JSON_NUMBER))
        return push_failed();
    if (*ps->at == '-')
        ps->at++;
    if (ps->at < ps->end && *ps->at == '0')
        ps->at++;
    else if (!digits(ps))
        return fail_at(ps, "a value");
    if (ps->at < ps->end && *ps->at == '.') {
        ps->at++;
        if (!digits(ps))
            return fail_at(ps, "a digit");
    }
    if (ps->at < ps->end && (*ps->at == 'e' || *ps->at == 'E')) {
        ps->at++;
        if (ps->at < ps->end && (*ps->at == '+' || *ps->at == '-'))
            ps->at++;
        if (!digits(ps))
            return fail_at(ps, "a digit");
    }
    ps->json->tokens[index].end = (uint32_t)(ps->at - ps->json->text);
    return VDE_OK;
}

static vde_status literal(struct parser *ps, const char *text, enum lh_json_kind kind)
{
    size_t size = strlen(text);
    if ((size_t)(ps->end - ps->at) < size || memcmp(ps->at, text, size) != 0)
        return fail_at(ps, "a value");
    struct lh_json_token *token = push(ps, kind);
    if (!token)
        return push_failed();
    ps->at += size;
    token->end = (uint32_t)(ps->at - ps->json->text);
    return VDE_OK;
}

static vde_status open_container(struct parser *ps, enum lh_json_kind kind)
{
    if (ps->depth == LH_JSON_DEPTH_MAX)
        return vde_error_set(VDE_TOO_LARGE, "JSON document", "deeper nesting", "at most 256 levels");
    ps->stack[ps->depth++] = ps->json->count;
    if (!push(ps, kind))
        return push_failed();
    ps->at++;
    return VDE_OK;
}

static void close_container(struct parser *ps)
{
    struct lh_json_token *token = &ps->json->tokens[ps->stack[--ps->depth]];
    ps->at++;
    token->end = (uint32_t)(ps->at - ps->json->text);
    token->next = ps->json->count;
}

static vde_status value(struct parser *ps)
{
    switch (ps->at < ps->end ? *ps->at : '\0') {
    case '{':
        return open_container(ps, LH_JSON_OBJECT);
    case '[':
        return open_container(ps, LH_JSON_ARRAY);
    case '"':
        return string(ps);
    case 't':
        return literal(ps, "true", LH_JSON_TRUE);
    case 'f':
        return literal(ps, "false", LH_JSON_FALSE);
    case 'n':
        return literal(ps, "null", LH_JSON_NULL);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return number(ps);
    default:
        return fail_at(ps, "a value");
    }
}

static inline bool in_object(const struct parser *ps)
{
    return ps->depth > 0 && ps->json->tokens[ps->stack[ps->depth - 1]].kind == LH_JSON_OBJECT;
}

static inline bool at_closer(const struct parser *ps)
{
    return ps->depth > 0 && ps->at < ps->end && *ps->at == (in_object(ps) ? '}' : ']');
}

static vde_status key(struct parser *ps)
{
    if (ps->at == ps->end || *ps->at != '"')
        return fail_at(ps, "a key");
    vde_status status = string(ps);
    if (status != VDE_OK)
        return status;
    skip_blank(ps);
    if (ps->at == ps->end || *ps->at != ':')
        return fail_at(ps, "':'");
    ps->at++;
    skip_blank(ps);
    return VDE_OK;
}

static inline void count_child(struct parser *ps)
{
    if (ps->depth > 0) {
        struct lh_json_token *parent = &ps->json->tokens[ps->stack[ps->depth - 1]];
        parent->count = (parent->count + 1) & 0xfffffffu;
    }
}

static vde_status document(struct parser *ps)
{
    bool opened = false;
    for (;;) {
        skip_blank(ps);
        if (!(opened && at_closer(ps))) {
            vde_status status = in_object(ps) ? key(ps) : VDE_OK;
            count_child(ps);
            uint32_t depth = ps->depth;
            if (status == VDE_OK)
                status = value(ps);
            if (status != VDE_OK)
                return status;
            opened = ps->depth > depth;
            if (opened)
                continue;
        }
        opened = false;
        /* Behind a value, or at the end of an empty container. */
        for (;;) {
            if (ps->depth == 0)
                return VDE_OK;
            skip_blank(ps);
            if (at_closer(ps)) {
                close_container(ps);
                continue;
            }
            if (ps->at == ps->end || *ps->at != ',')
                return fail_at(ps, in_object(ps) ? "',' or '}'" : "',' or ']'");
            ps->at++;
            break;
        }
    }
}

vde_status lh_json_parse(struct lh_json *json, const char *text, size_t size)
{
    if (size == 0)
        text = "";
    json->text = text;
    json->size = size;
    json->count = 0;
    if (size > LH_JSON_SIZE_MAX)
        return vde_error_set(VDE_TOO_LARGE, "JSON document", "more than 2 GiB", "at most 2 GiB");
    struct parser ps = {.json = json, .at = text, .end = text + size};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        ps.at += 3;
    vde_status status = document(&ps);
    if (status == VDE_OK) {
        skip_blank(&ps);
        if (ps.at != ps.end)
            status = fail_at(&ps, "the end of the text");
    }
    if (status != VDE_OK)
        json->count = 0;
    return status;
}

/* --- skimming --------------------------------------------------------------------------------------------------- */
/* Behind a string, literal or number that is spelled plainly, else NULL. */
static const char *skim_scalar(const char *p, const char *end)
{
    size_t left = (size_t)(end - p);
    if (*p == '"') {
        p = skip_plain(p + 1, end);
        return p < end && *p == '"' ? p + 1 : NULL;
    }
    if (left >= 4 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0))
        return p + 4;
    if (left >= 5 && memcmp(p, "false", 5) == 0)
        return p + 5;
    struct parser ps = {.at = p, .end = end};
    if (*p == '-')
        ps.at++;
    if (ps.at < end && *ps.at == '0')
        ps.at++;
    else if (!digits(&ps))
        return NULL;
    if (ps.at < end && *ps.at == '.') {
        ps.at++;
        if (!digits(&ps))
            return NULL;
    }
    return ps.at < end && (*ps.at == 'e' || *ps.at == 'E') ? NULL : ps.at;
}

/* Behind an object's key and its colon, else NULL. */
static const char *skim_key(const char *p, const char *end, struct lh_slice wanted, bool *ret_wanted)
{
    if (p == end || *p != '"')
        return NULL;
    const char *from = p + 1;
    p = skip_plain(from, end);
    if (end - p < 2 || p[0] != '"' || p[1] != ':')
        return NULL;
    *ret_wanted = lh_slice_equal((struct lh_slice){from, (size_t)(p - from)}, wanted);
    return p + 2;
}

bool lh_json_skim(struct lh_slice text, struct lh_slice key, struct lh_slice *ret_number)
{
    const char *p = text.data, *end = p + text.size;
    uint64_t objects = 0; /* a bit for each open container, the innermost lowest */
    unsigned depth = 0;
    bool wanted = false;
    *ret_number = (struct lh_slice){NULL, 0};
    if (text.size == 0 || text.size > SKIM_BYTES_MAX || *p != '{')
        return false;
    for (;;) {
        const char *from = p;
        bool opened = p < end && (*p == '{' || *p == '[');
        if (p == end || (opened && (wanted || depth == 64)))
            return false;
        if (opened) {
            objects = objects << 1 | (*p++ == '{');
            depth++;
            /* An empty container is at its end already. */
            opened = !(p < end && *p == (objects & 1 ? '}' : ']'));
        } else if (!(p = skim_scalar(p, end))) {
            return false;
        }
        if (wanted) {
            if (*from != '-' && (*from < '0' || *from > '9'))
                return false;
            *ret_number = (struct lh_slice){from, (size_t)(p - from)};
        }
        while (!opened) {
            if (depth == 0)
                return p == end;
            if (p == end)
                return false;
            opened = *p == ',';
            if (!opened && *p != (objects & 1 ? '}' : ']'))
                return false;
            p++;
            if (!opened) {
                objects >>= 1;
                depth--;
            }
        }
        wanted = false;
        if ((objects & 1) && !(p = skim_key(p, end, key, &wanted)))
            return false;
        wanted &= depth == 1;
    }
}

void lh_json_done(struct lh_json *json)
{
    free(json->tokens);
    *json = (struct lh_json)LH_JSON_INIT;
}
