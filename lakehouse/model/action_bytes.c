/* SPDX-License-Identifier: Apache-2.0 */
/* The compact form:
 *   byte    version << 4 | kind
 *   part    varint set << 1 | more; if more: varint null, varint raw, sized extra; then the set fields in table order
 *   varint  1: `line` follows (sized), 2: the Iceberg part follows; UNKNOWN has the sized line only
 * int64 zigzag varint, bool one byte, string sized, map count and per pair sized key and varint size + 1 (0: null), list
 * count and sized items. */
#include "model/action_fields.h"

#define BYTES_VERSION 1u
#define TAIL_LINE 1u
#define TAIL_ICEBERG 2u

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void put_map(const struct lh_map *map, struct lh_buffer *out)
{
    lh_buffer_varint(out, map->count);
    for (uint32_t i = 0; i < map->count; i++) {
        const struct lh_pair *pair = &map->pairs[i];
        lh_buffer_sized(out, pair->key);
        lh_buffer_varint(out, pair->null ? 0 : (uint64_t)pair->value.size + 1);
        if (!pair->null)
            lh_buffer_slice(out, pair->value);
    }
}

static void put_list(const struct lh_list *list, struct lh_buffer *out)
{
    lh_buffer_varint(out, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        lh_buffer_sized(out, list->items[i]);
}

static void put_part(const struct part_def *def, const void *source, struct lh_buffer *out);

static void put_value(const struct field_def *field, const void *value, struct lh_buffer *out)
{
    switch (field->kind) {
    case FIELD_STRING:
    case FIELD_RAW:
        lh_buffer_sized(out, *(const struct lh_slice *)value);
        break;
    case FIELD_INT64:
        lh_buffer_zigzag(out, *(const int64_t *)value);
        break;
    case FIELD_BOOL:
        lh_buffer_byte(out, *(const bool *)value ? 1 : 0);
        break;
    case FIELD_MAP:
        put_map(value, out);
        break;
    case FIELD_LIST:
        put_list(value, out);
        break;
    case FIELD_PART:
        put_part(field->part, value, out);
        break;
    }
}

static void put_masks(const struct lh_part *part, struct lh_buffer *out)
{
    bool more = part->null || part->raw || part->extra.size > 0;
    lh_buffer_varint(out, (uint64_t)part->set << 1 | more);
    if (more) {
        lh_buffer_varint(out, part->null);
        lh_buffer_varint(out, part->raw);
        lh_buffer_sized(out, part->extra);
    }
}

static void put_fields(const struct part_def *def, const void *source, unsigned from, unsigned to, struct lh_buffer *out)
{
    const struct lh_part *part = source;
    for (unsigned i = from; i < to; i++) {
        if (part->set & LH_BIT(i))
            put_value(&def->fields[i], field_at_const(source, &def->fields[i]), out);
    }
}

static void put_part(const struct part_def *def, const void *source, struct lh_buffer *out)
{
    put_masks(source, out);
    put_fields(def, source, 0, def->count, out);
}

static void put_tail(const struct lh_action *action, struct lh_buffer *out)
{
    bool iceberg = action->iceberg.part.set != 0;
    lh_buffer_varint(out, (action->line.size > 0 ? TAIL_LINE : 0) | (iceberg ? TAIL_ICEBERG : 0));
    if (action->line.size > 0)
        lh_buffer_sized(out, action->line);
    if (iceberg)
        put_part(&lh_iceberg_part_def, &action->iceberg, out);
}

void lh_action_to_bytes(const struct lh_action *action, struct lh_buffer *out)
{
    const struct part_def *def = lh_action_part_def(action->kind);
    enum lh_action_kind kind = def ? action->kind : LH_ACTION_UNKNOWN;
    lh_buffer_byte(out, (char)(BYTES_VERSION << 4 | (unsigned)kind));
    if (!def) {
        lh_buffer_sized(out, action->line);
        return;
    }
    put_part(def, &action->part, out);
    put_tail(action, out);
}

/* The two ids stand side by side in the table of fields. */
_Static_assert(LH_FILE_DEFAULT_ROW_COMMIT_VERSION == LH_FILE_BASE_ROW_ID << 1, "row ids are neighbours");

size_t lh_add_to_bytes_open(const struct lh_action *add, struct lh_buffer *out)
{
    const struct part_def *def = lh_action_part_def(LH_ACTION_ADD);
    const unsigned ids = (unsigned)__builtin_ctz(LH_FILE_BASE_ROW_ID);
    lh_buffer_byte(out, (char)(BYTES_VERSION << 4 | LH_ACTION_ADD));
    put_masks(&add->part, out);
    put_fields(def, &add->file, 0, ids, out);
    size_t hole = out->size;
    put_fields(def, &add->file, ids + 2, def->count, out);
    put_tail(add, out);
    return hole;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static vde_status corrupt(const char *found)
{
    return vde_error_set(VDE_CORRUPT, "encoded action", found, "an action in version 1 of the form");
}

/* A count of things that take at least `least` bytes each, so that hostile counts can't ask for memory. */
static uint32_t get_count(struct lh_reader *reader, size_t least)
{
    uint64_t count = lh_reader_varint(reader);
    if (reader->failed || count > (reader->size - reader->offset) / least || count > UINT32_MAX) {
        reader->failed = true;
        return 0;
    }
    return (uint32_t)count;
}

static vde_status get_map(struct lh_arena *arena, struct lh_reader *reader, struct lh_map *ret)
{
    uint32_t count = get_count(reader, 2);
    struct lh_pair *pairs = lh_arena_alloc(arena, count, sizeof *pairs);
    if (!pairs)
        return VDE_NOMEM;
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        pairs[i].key = lh_reader_sized(reader);
        uint64_t size = lh_reader_varint(reader);
        pairs[i].null = size == 0;
        if (size > 0 && size - 1 > reader->size - reader->offset)
            reader->failed = true;
        if (size > 0 && !reader->failed) {
            pairs[i].value = (struct lh_slice){(const char *)reader->data + reader->offset, (size_t)(size - 1)};
            reader->offset += (size_t)(size - 1);
        }
    }
    *ret = (struct lh_map){pairs, count};
    return VDE_OK;
}

static vde_status get_list(struct lh_arena *arena, struct lh_reader *reader, struct lh_list *ret)
{
    uint32_t count = get_count(reader, 1);
    struct lh_slice *items = lh_arena_alloc(arena, count, sizeof *items);
    if (!items)
        return VDE_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        items[i] = lh_reader_sized(reader);
    *ret = (struct lh_list){items, count};
    return VDE_OK;
}

static vde_status get_part(const struct part_def *def, struct lh_arena *arena, struct lh_reader *reader, void *target);

static vde_status get_value(const struct field_def *field, struct lh_arena *arena, struct lh_reader *reader,
                            void *target)
{
    switch (field->kind) {
    case FIELD_STRING:
    case FIELD_RAW:
        *(struct lh_slice *)target = lh_reader_sized(reader);
        return VDE_OK;
    case FIELD_INT64:
        *(int64_t *)target = lh_reader_zigzag(reader);
        return VDE_OK;
    case FIELD_BOOL: {
        uint8_t byte = lh_reader_byte(reader);
        reader->failed |= byte > 1;
        *(bool *)target = byte == 1;
        return VDE_OK;
    }
    case FIELD_MAP:
        return get_map(arena, reader, target);
    case FIELD_LIST:
        return get_list(arena, reader, target);
    case FIELD_PART:
        return get_part(field->part, arena, reader, target);
    }
    return VDE_OK;
}

static vde_status get_part(const struct part_def *def, struct lh_arena *arena, struct lh_reader *reader, void *target)
{
    struct lh_part *part = target;
    uint64_t known = ((uint64_t)1 << def->count) - 1;
    uint64_t head = lh_reader_varint(reader), set = head >> 1, null = 0, raw = 0;
    if (head & 1) {
        null = lh_reader_varint(reader);
        raw = lh_reader_varint(reader);
        part->extra = lh_reader_sized(reader);
    }
    if (reader->failed || ((set | null | raw) & ~known) || (set & null) || (null & raw) ||
        (raw && part->extra.size == 0))
        return corrupt("impossible field masks");
    part->set = (uint32_t)set;
    part->null = (uint32_t)null;
    part->raw = (uint32_t)raw;
    for (unsigned i = 0; i < def->count && !reader->failed; i++) {
        if (!(set & LH_BIT(i)))
            continue;
        vde_status status = get_value(&def->fields[i], arena, reader, field_at(target, &def->fields[i]));
        if (status != VDE_OK)
            return status;
    }
    return VDE_OK;
}

static vde_status get_tail(struct lh_arena *arena, struct lh_reader *reader, struct lh_action *action)
{
    uint64_t tail = lh_reader_varint(reader);
    if (tail > (TAIL_LINE | TAIL_ICEBERG))
        return corrupt("an unknown tail");
    if (tail & TAIL_LINE)
        action->line = lh_reader_sized(reader);
    return tail & TAIL_ICEBERG ? get_part(&lh_iceberg_part_def, arena, reader, &action->iceberg) : VDE_OK;
}

vde_status lh_action_from_bytes(struct lh_decoder *decoder, struct lh_reader *reader, struct lh_action *ret_action)
{
    memset(ret_action, 0, sizeof *ret_action);
    uint8_t head = lh_reader_byte(reader);
    if (!reader->failed && head >> 4 != BYTES_VERSION)
        return corrupt("another version");
    enum lh_action_kind kind = (enum lh_action_kind)(head & 15);
    const struct part_def *def = lh_action_part_def(kind);
    if (!def && kind != LH_ACTION_UNKNOWN)
        return corrupt("an unknown kind");
    ret_action->kind = kind;
    vde_status status = VDE_OK;
    if (!def)
        ret_action->line = lh_reader_sized(reader);
    else {
        status = get_part(def, &decoder->arena, reader, &ret_action->part);
        if (status == VDE_OK)
            status = get_tail(&decoder->arena, reader, ret_action);
    }
    if (status == VDE_OK && reader->failed)
        status = corrupt("the bytes end early or are malformed");
    return status;
}
