/* SPDX-License-Identifier: Apache-2.0 */
/* json.h -- an index over a JSON document that keeps its text.
 *
 * Foreign logs hold what general JSON libraries lose: numbers of any length and precision, lone surrogate escapes, \u0000,
 * duplicate keys. So a document is only indexed: one flat array of tokens that point into the text, filled in a single
 * pass. All of RFC 8259 is accepted and nothing else, save that a byte order mark is skipped.
 *
 * Tokens stand in document order. An array's children follow it; an object's children are key, value, key, value.
 * `next` is the token behind a value's subtree, so that siblings are reached without visiting what is inside. */
#ifndef LH_MODEL_JSON_H
#define LH_MODEL_JSON_H

#include "model/buffer.h"

#define LH_JSON_DEPTH_MAX 256u
#define LH_JSON_SIZE_MAX ((1u << 31) - 1)
#define LH_JSON_NONE UINT32_MAX

enum lh_json_kind {
    LH_JSON_NULL = 0,
    LH_JSON_FALSE,
    LH_JSON_TRUE,
    LH_JSON_NUMBER,
    LH_JSON_STRING,
    LH_JSON_ARRAY,
    LH_JSON_OBJECT
};

struct lh_json_token {
    uint32_t start;          /* offset of the first byte; of a string: behind its opening quote */
    uint32_t end;            /* offset behind the last byte; of a string: of its closing quote */
    uint32_t next;           /* index of the token behind this value */
    uint32_t count : 28;     /* elements of an array, members of an object */
    uint32_t kind : 3;
    uint32_t escaped : 1;    /* the string holds escapes */
};

/* Reusable: parsing again keeps the token array. */
struct lh_json {
    const char *text;        /* borrowed from the last parse */
    size_t size;
    struct lh_json_token *tokens;
    uint32_t count;
    uint32_t capacity;
};
#define LH_JSON_INIT {NULL, 0, NULL, 0, 0}

void lh_json_done(struct lh_json *json);
/* Index `text`, which must stay in place while the index is used. Statuses: INVAL (the detail says where and what was
 * expected, never the content), TOO_LARGE, NOMEM. On failure the index is empty. */
vde_status lh_json_parse(struct lh_json *json, const char *text, size_t size);

/* The text of the number that is member `key` of the outermost object, empty when there is no such member; without
 * building an index. False: the text is not plainly spelled JSON (blanks, escapes, exponents, deep nesting, not ASCII), or no
 * object, or the member no number, or no JSON at all: lh_json_parse() then knows. Never true for what that refuses. */
bool lh_json_skim(struct lh_slice text, struct lh_slice key, struct lh_slice *ret_number);

static inline enum lh_json_kind lh_json_kind_of(const struct lh_json *json, uint32_t token)
{
    return token == LH_JSON_NONE ? LH_JSON_NULL : (enum lh_json_kind)json->tokens[token].kind;
}
const char *lh_json_kind_name(enum lh_json_kind kind);

/* The value of member `key` of an object; with duplicates the last one. NONE when absent or `object` is no object. */
uint32_t lh_json_find(const struct lh_json *json, uint32_t object, const char *key);
/* First key of an object or first element of an array; NONE when empty. */
uint32_t lh_json_first(const struct lh_json *json, uint32_t container);
/* Whether the string token's value is `text`, escapes decoded. */
bool lh_json_string_is(const struct lh_json *json, uint32_t token, const char *text);

/* The value's own text; a string's with its quotes. */
struct lh_slice lh_json_raw(const struct lh_json *json, uint32_t token);
/* A string's text between the quotes, escapes as written. */
struct lh_slice lh_json_inner(const struct lh_json *json, uint32_t token);
/* A string's value: borrowed from the text when it has no escapes, else decoded into the arena. Lone surrogates become
 * their three-byte form (as in WTF-8), so that different texts stay different values. */
vde_status lh_json_string(const struct lh_json *json, uint32_t token, struct lh_arena *arena, struct lh_slice *ret);
/* Append a string's value. */
void lh_json_unescape(struct lh_buffer *out, struct lh_slice inner);

/* Exactly an int64: a number token without fraction and exponent within range. */
bool lh_json_int64(const struct lh_json *json, uint32_t token, int64_t *ret);
/* The same, and its text is what lh_buffer_int() prints: "-0", "007" are not. */
bool lh_json_int64_text(struct lh_slice text, int64_t *ret);
/* Any number whose value is a whole int64, however it is spelled (1e3, 5.0). */
bool lh_json_whole(struct lh_slice text, int64_t *ret);

/* Equal as JSON values: members in any order, the last of duplicate keys counts, strings by value, numbers by text. */
bool lh_json_equal(const struct lh_json *a, uint32_t token_a, const struct lh_json *b, uint32_t token_b);

/* Append `value` as a JSON string with its quotes. Bytes that are no UTF-8 are printed as U+FFFD, the three-byte form of
 * a lone surrogate as its \u escape. */
void lh_json_print_string(struct lh_buffer *out, struct lh_slice value);

/* The next line of NDJSON text that is not blank, without its line end. False at the end. */
bool lh_ndjson_next(struct lh_slice *rest, struct lh_slice *ret_line);

/* Whether the bytes are UTF-8 (RFC 3629: shortest forms, no surrogates). */
bool lh_utf8_valid(struct lh_slice text);
#endif
