/* SPDX-License-Identifier: Apache-2.0 */
/* Delta JSON to actions and back. */
#include "model/action_fields.h"

struct source {
    const struct lh_json *json;
    struct lh_arena *arena;
};

/* The member's text, key to value. */
static struct lh_slice member_text(const struct lh_json *json, uint32_t key)
{
    struct lh_slice from = lh_json_raw(json, key), to = lh_json_raw(json, key + 1);
    return (struct lh_slice){from.data, (size_t)(to.data + to.size - from.data)};
}

/* Whether nothing but a comma and blanks stand between the end of `before` and `member`. */
static bool follows(struct lh_slice before, struct lh_slice member)
{
    if (!before.data || before.data + before.size > member.data)
        return false;
    for (const char *at = before.data + before.size; at < member.data; at++) {
        if (!strchr(", \t\r\n", *at) || *at == '\0')
            return false;
    }
    return true;
}

/* Keep a member raw: neighbours are borrowed in one piece, others are joined in the arena. */
static vde_status keep_raw(struct source source, uint32_t key, struct lh_slice *extra)
{
    struct lh_slice member = member_text(source.json, key);
    if (extra->size == 0) {
        *extra = member;
        return VDE_OK;
    }
    const char *text = source.json->text;
    if (extra->data >= text && extra->data < text + source.json->size && follows(*extra, member)) {
        extra->size = (size_t)(member.data + member.size - extra->data);
        return VDE_OK;
    }
    char *joined = lh_arena_alloc(source.arena, 1, extra->size + 1 + member.size);
    if (!joined)
        return VDE_NOMEM;
    memcpy(joined, extra->data, extra->size);
    joined[extra->size] = ',';
    memcpy(joined + extra->size + 1, member.data, member.size);
    *extra = (struct lh_slice){joined, extra->size + 1 + member.size};
    return VDE_OK;
}

/* What became of a value. */
enum outcome { TAKEN, TAKEN_RAW /* understood, but spelled in a way that only its text gives back */, NOT_TAKEN };

static vde_status take_map(struct source source, uint32_t token, struct lh_map *ret, enum outcome *outcome)
{
    const struct lh_json *json = source.json;
    uint32_t count = json->tokens[token].count;
    *outcome = NOT_TAKEN;
    if (json->tokens[token].kind != LH_JSON_OBJECT)
        return VDE_OK;
    struct lh_pair *pairs = lh_arena_alloc(source.arena, count, sizeof *pairs);
    if (!pairs)
        return VDE_NOMEM;
    enum outcome all = TAKEN;
    uint32_t at = token + 1;
    for (uint32_t i = 0; i < count; i++, at = json->tokens[at + 1].next) {
        vde_status status = lh_json_string(json, at, source.arena, &pairs[i].key);
        enum lh_json_kind kind = lh_json_kind_of(json, at + 1);
        if (kind == LH_JSON_OBJECT || kind == LH_JSON_ARRAY)
            return VDE_OK;
        if (kind == LH_JSON_STRING && status == VDE_OK)
            status = lh_json_string(json, at + 1, source.arena, &pairs[i].value);
        else if (kind != LH_JSON_NULL) {
            /* Readers turn scalars into strings. */
            pairs[i].value = lh_json_raw(json, at + 1);
            all = TAKEN_RAW;
        }
        pairs[i].null = kind == LH_JSON_NULL;
        if (status != VDE_OK)
            return status;
    }
    *ret = (struct lh_map){pairs, count};
    *outcome = all;
    return VDE_OK;
}

static vde_status take_list(struct source source, uint32_t token, struct lh_list *ret, enum outcome *outcome)
{
    const struct lh_json *json = source.json;
    uint32_t count = json->tokens[token].count;
    *outcome = NOT_TAKEN;
    if (json->tokens[token].kind != LH_JSON_ARRAY)
        return VDE_OK;
    struct lh_slice *items = lh_arena_alloc(source.arena, count, sizeof *items);
    if (!items)
        return VDE_NOMEM;
    uint32_t at = token + 1;
    for (uint32_t i = 0; i < count; i++, at = json->tokens[at].next) {
        if (json->tokens[at].kind != LH_JSON_STRING)
            return VDE_OK;
        vde_status status = lh_json_string(json, at, source.arena, &items[i]);
        if (status != VDE_OK)
            return status;
    }
    *ret = (struct lh_list){items, count};
    *outcome = TAKEN;
    return VDE_OK;
}

static enum outcome take_int64(const struct lh_json *json, uint32_t token, int64_t *ret)
{
    if (json->tokens[token].kind != LH_JSON_NUMBER)
        return NOT_TAKEN;
    struct lh_slice text = lh_json_raw(json, token);
    if (lh_json_int64_text(text, ret))
        return TAKEN;
    return lh_json_whole(text, ret) ? TAKEN_RAW : NOT_TAKEN;
}

static vde_status take_part(struct source source, const struct part_def *def, uint32_t object, void *part);

static vde_status take_value(struct source source, const struct field_def *field, uint32_t token, void *target,
                             enum outcome *outcome)
{
    const struct lh_json *json = source.json;
    enum lh_json_kind kind = lh_json_kind_of(json, token);
    *outcome = NOT_TAKEN;
    switch (field->kind) {
    case FIELD_STRING:
        *outcome = kind == LH_JSON_STRING ? TAKEN : NOT_TAKEN;
        return kind == LH_JSON_STRING ? lh_json_string(json, token, source.arena, target) : VDE_OK;
    case FIELD_INT64:
        *outcome = take_int64(json, token, target);
        return VDE_OK;
    case FIELD_BOOL:
        *(bool *)target = kind == LH_JSON_TRUE;
        *outcome = kind == LH_JSON_TRUE || kind == LH_JSON_FALSE ? TAKEN : NOT_TAKEN;
        return VDE_OK;
    case FIELD_MAP:
        return take_map(source, token, target, outcome);
    case FIELD_LIST:
        return take_list(source, token, target, outcome);
    case FIELD_RAW:
        *(struct lh_slice *)target = lh_json_raw(json, token);
        *outcome = TAKEN;
        return VDE_OK;
    case FIELD_PART:
        if (kind != LH_JSON_OBJECT)
            return VDE_OK;
        *outcome = TAKEN;
        return take_part(source, field->part, token, target);
    }
    return VDE_OK;
}

/* The index of the field with the key's name; `hint` is tried first, since writers keep one order. */
static unsigned find_field(const struct lh_json *json, const struct part_def *def, uint32_t key, unsigned hint)
{
    for (unsigned n = 0; n < def->count; n++) {
        unsigned i = hint + n < def->count ? hint + n : hint + n - def->count;
        if (lh_json_string_is(json, key, def->fields[i].name))
            return i;
    }
    return def->count;
}

/* Nesting is that of the field tables, two levels, not of the document. */
static vde_status take_part(struct source source, const struct part_def *def, uint32_t object, void *target)
{
    const struct lh_json *json = source.json;
    struct lh_part *part = target;
    *part = (struct lh_part){0};
    unsigned hint = 0;
    for (uint32_t at = object + 1; at < json->tokens[object].next; at = json->tokens[at + 1].next) {
        unsigned index = find_field(json, def, at, hint);
        enum outcome outcome = NOT_TAKEN;
        uint32_t bit = 0;
        vde_status status = VDE_OK;
        if (index < def->count) {
            hint = index + 1 < def->count ? index + 1 : 0;
            bit = LH_BIT(index);
            /* A duplicate replaces what was there; printing puts raw members first, so the last one wins there too. */
            part->set &= ~bit;
            part->null &= ~bit;
            part->raw &= ~bit;
            if (json->tokens[at + 1].kind == LH_JSON_NULL) {
                part->null |= bit;
                continue;
            }
            status = take_value(source, &def->fields[index], at + 1, field_at(target, &def->fields[index]), &outcome);
        }
        if (outcome != NOT_TAKEN)
            part->set |= bit;
        if (outcome != TAKEN) {
            part->raw |= bit;
            if (status == VDE_OK)
                status = keep_raw(source, at, &part->extra);
        }
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

static vde_status bad_action(const char *found, const char *expected)
{
    return vde_error_set(VDE_INVAL, "action", found, expected);
}

static enum lh_action_kind kind_of_key(const struct lh_json *json, uint32_t key, bool native)
{
    for (int kind = LH_ACTION_ADD; kind < LH_ACTION_KIND_COUNT; kind++) {
        if (kind >= LH_ACTION_ADD_PARTITION && !native)
            break;
        if (lh_json_string_is(json, key, lh_action_name((enum lh_action_kind)kind)))
            return (enum lh_action_kind)kind;
    }
    return LH_ACTION_UNKNOWN;
}

static vde_status from_object(struct source source, uint32_t object, bool native, struct lh_action *action)
{
    const struct lh_json *json = source.json;
    memset(action, 0, sizeof *action);
    if (lh_json_kind_of(json, object) != LH_JSON_OBJECT)
        return bad_action(lh_json_kind_name(lh_json_kind_of(json, object)), "an object");
    uint32_t body = LH_JSON_NONE;
    for (uint32_t at = object + 1; at < json->tokens[object].next; at = json->tokens[at + 1].next) {
        enum lh_action_kind kind = kind_of_key(json, at, native);
        enum lh_json_kind value = lh_json_kind_of(json, at + 1);
        if (kind == LH_ACTION_UNKNOWN || value == LH_JSON_NULL) {
            if (kind != LH_ACTION_UNKNOWN && kind == action->kind) {
                action->kind = LH_ACTION_UNKNOWN;    /* the last duplicate counts */
                body = LH_JSON_NONE;
            }
            vde_status status = keep_raw(source, at, &action->line);
            if (status != VDE_OK)
                return status;
            continue;
        }
        if (value != LH_JSON_OBJECT)
            return bad_action(lh_json_kind_name(value), "an object as the action's value");
        if (action->kind != LH_ACTION_UNKNOWN && action->kind != kind)
            return bad_action("two actions in one line", "one action");
        action->kind = kind;
        body = at + 1;
    }
    if (body == LH_JSON_NONE) {
        action->line = lh_json_raw(json, object);
        return VDE_OK;
    }
    return take_part(source, lh_action_part_def(action->kind), body, &action->part);
}

vde_status lh_action_from_json(struct lh_decoder *decoder, struct lh_slice line, struct lh_action *ret_action)
{
    vde_status status = lh_json_parse(&decoder->json, line.data, line.size);
    if (status != VDE_OK)
        return status;
    return from_object((struct source){&decoder->json, &decoder->arena}, 0, false, ret_action);
}

vde_status lh_action_from_tokens(struct lh_decoder *decoder, const struct lh_json *json, uint32_t object,
                                 struct lh_action *ret_action)
{
    return from_object((struct source){json, &decoder->arena}, object, true, ret_action);
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static void print_map(const struct lh_map *map, struct lh_buffer *out)
{
    lh_buffer_byte(out, '{');
    for (uint32_t i = 0; i < map->count; i++) {
        if (i > 0)
            lh_buffer_byte(out, ',');
        lh_json_print_string(out, map->pairs[i].key);
        lh_buffer_byte(out, ':');
        if (map->pairs[i].null)
            lh_buffer_text(out, "null");
        else
            lh_json_print_string(out, map->pairs[i].value);
    }
    lh_buffer_byte(out, '}');
}

static void print_list(const struct lh_list *list, struct lh_buffer *out)
{
    lh_buffer_byte(out, '[');
    for (uint32_t i = 0; i < list->count; i++) {
        if (i > 0)
            lh_buffer_byte(out, ',');
        lh_json_print_string(out, list->items[i]);
    }
    lh_buffer_byte(out, ']');
}

static void print_part(const struct part_def *def, const void *source, struct lh_buffer *out);

static void print_value(const struct field_def *field, const void *value, struct lh_buffer *out)
{
    switch (field->kind) {
    case FIELD_STRING:
        lh_json_print_string(out, *(const struct lh_slice *)value);
        break;
    case FIELD_INT64:
        lh_buffer_int(out, *(const int64_t *)value);
        break;
    case FIELD_BOOL:
        lh_buffer_text(out, *(const bool *)value ? "true" : "false");
        break;
    case FIELD_MAP:
        print_map(value, out);
        break;
    case FIELD_LIST:
        print_list(value, out);
        break;
    case FIELD_RAW:
        lh_buffer_slice(out, *(const struct lh_slice *)value);
        break;
    case FIELD_PART:
        print_part(field->part, value, out);
        break;
    }
}

static void print_part(const struct part_def *def, const void *source, struct lh_buffer *out)
{
    const struct lh_part *part = source;
    bool first = part->extra.size == 0;
    lh_buffer_byte(out, '{');
    lh_buffer_slice(out, part->extra);
    for (unsigned i = 0; i < def->count; i++) {
        uint32_t bit = LH_BIT(i);
        if ((part->raw & bit) || !((part->set | part->null) & bit))
            continue;
        lh_buffer_text(out, first ? "\"" : ",\"");
        first = false;
        lh_buffer_text(out, def->fields[i].name);
        lh_buffer_text(out, "\":");
        if (part->set & bit)
            print_value(&def->fields[i], field_at_const(source, &def->fields[i]), out);
        else
            lh_buffer_text(out, "null");
    }
    lh_buffer_byte(out, '}');
}

void lh_action_to_json(const struct lh_action *action, struct lh_buffer *out)
{
    if (action->kind == LH_ACTION_ADD_PARTITION || action->kind == LH_ACTION_REMOVE_PARTITION)
        return;
    const struct part_def *def = lh_action_part_def(action->kind);
    if (!def) {
        lh_buffer_slice(out, action->line);
        return;
    }
    lh_buffer_byte(out, '{');
    lh_buffer_slice(out, action->line);
    lh_buffer_text(out, action->line.size > 0 ? ",\"" : "\"");
    lh_buffer_text(out, lh_action_name(action->kind));
    lh_buffer_text(out, "\":");
    print_part(def, &action->part, out);
    lh_buffer_byte(out, '}');
}
