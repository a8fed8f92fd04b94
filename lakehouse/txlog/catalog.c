/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/catalog.h"

#include <stdlib.h>

#include "state/fail.h"

void lh_key_number(struct lh_key *key, char letter, uint64_t number)
{
    key->data[0] = (uint8_t)letter;
    lh_be64_put(key->data + 1, number);
    key->size = 9;
}

void lh_key_text(struct lh_key *key, char letter, uint64_t number, struct lh_slice text)
{
    lh_key_number(key, letter, number);
    size_t size = text.size <= LH_KEY_TEXT_MAX ? text.size : LH_KEY_TEXT_MAX;
    if (size)
        memcpy(key->data + key->size, text.data, size);
    key->size += size;
    if (size < text.size) {
        lh_be64_put(key->data + key->size, lh_hash(text));
        key->size += 8;
    }
}

vde_status lh_catalog_open(struct lh_lakehouse *lakehouse, bool pending, struct lh_catalog *ret_catalog)
{
    struct lh_catalog c = {lakehouse, NULL, NULL};
    LH_TRY(pending ? vde_view_open_pending(lakehouse->image, &c.view) : vde_view_open(lakehouse->image, &c.view));
    if (lakehouse->catalog) {
        vde_status status = vde_kv_open(c.view, lakehouse->catalog, &c.kv);
        if (status != VDE_OK) {
            vde_view_close(c.view);
            return status;
        }
    }
    *ret_catalog = c;
    return VDE_OK;
}

void lh_catalog_close(struct lh_catalog *catalog)
{
    if (catalog->kv)
        vde_kv_close(catalog->kv);
    if (catalog->view)
        vde_view_close(catalog->view);
    catalog->kv = NULL;
    catalog->view = NULL;
}

vde_status lh_catalog_get(struct lh_catalog *catalog, const struct lh_key *key, struct vde_bytes *ret_value)
{
    return catalog->kv ? vde_kv_get(catalog->kv, key->data, key->size, ret_value) : VDE_NOT_FOUND;
}

vde_status lh_catalog_number(struct lh_catalog *catalog, const struct lh_key *key, uint64_t *ret_number)
{
    struct vde_bytes bytes = {NULL, 0};
    LH_TRY(lh_catalog_get(catalog, key, &bytes));
    struct lh_reader reader = {bytes.data, bytes.size, 0, false};
    uint64_t number = lh_reader_varint(&reader);
    vde_bytes_free(&bytes);
    if (reader.failed)
        return lh_fail(VDE_CORRUPT, "catalog of tables, key '%c'|a number that ends early|a number", key->data[0]);
    *ret_number = number;
    return VDE_OK;
}

vde_status lh_catalog_namespace(struct lh_catalog *catalog, struct lh_slice name, uint64_t *ret_id)
{
    uint64_t id = 0;
    if (name.size) {
        struct lh_name parts;
        LH_TRY(lh_fail_again(lh_name_split(name, &parts), LH_NAME));
        for (uint32_t i = 0; i < parts.count; i++) {
            struct lh_key key;
            lh_key_text(&key, 'N', id, parts.parts[i]);
            vde_status status = lh_catalog_number(catalog, &key, &id);
            if (status == VDE_NOT_FOUND) {
                size_t size = (size_t)(parts.parts[i].data + parts.parts[i].size - name.data);
                return lh_fail(LH_NAMESPACE_NOT_FOUND, "namespace %.*s|nothing of that name|a namespace", (int)size,
                               name.data);
            }
            LH_TRY(status);
        }
    }
    *ret_id = id;
    return VDE_OK;
}

vde_status lh_catalog_table(struct lh_catalog *catalog, struct lh_slice name, uint64_t *ret_id,
                            struct lh_table_record *ret_record)
{
    struct lh_name parts;
    LH_TRY(lh_fail_again(lh_name_split(name, &parts), LH_NAME));
    uint64_t name_space = 0, id = 0;
    vde_status status = lh_catalog_namespace(catalog, lh_name_parent(name), &name_space);
    if (status == VDE_OK) {
        struct lh_key key;
        lh_key_text(&key, 'T', name_space, lh_name_leaf(name));
        status = lh_catalog_number(catalog, &key, &id);
    }
    if (status == VDE_NOT_FOUND || status == LH_NAMESPACE_NOT_FOUND)
        return lh_fail(LH_TABLE_NOT_FOUND, "table %.*s|%s|a table", (int)name.size, name.data,
                       status == VDE_NOT_FOUND ? "nothing of that name" : "no namespace of its name");
    LH_TRY(status);
    *ret_id = id;
    return ret_record ? lh_catalog_record(catalog, id, ret_record) : VDE_OK;
}

vde_status lh_catalog_name_free(struct lh_catalog *catalog, struct lh_slice name, uint64_t *ret_namespace)
{
    uint64_t name_space, id;
    struct lh_key key;
    LH_TRY(lh_catalog_namespace(catalog, lh_name_parent(name), &name_space));
    lh_key_text(&key, 'T', name_space, lh_name_leaf(name));
    vde_status status = lh_catalog_number(catalog, &key, &id);
    if (status == VDE_OK)
        return lh_fail(LH_TABLE_EXISTS, "table %.*s|a table of that name|none", (int)name.size, name.data);
    if (status != VDE_NOT_FOUND)
        return status;
    lh_key_text(&key, 'N', name_space, lh_name_leaf(name));
    status = lh_catalog_number(catalog, &key, &id);
    if (status == VDE_OK)
        return lh_fail(LH_NAMESPACE_EXISTS, "table %.*s|a namespace of that name|none", (int)name.size, name.data);
    if (status != VDE_NOT_FOUND)
        return status;
    *ret_namespace = name_space;
    return VDE_OK;
}

vde_status lh_catalog_record(struct lh_catalog *catalog, uint64_t id, struct lh_table_record *ret_record)
{
    struct lh_key key;
    struct vde_bytes bytes = {NULL, 0};
    lh_key_number(&key, 't', id);
    vde_status status = lh_catalog_get(catalog, &key, &bytes);
    if (status == VDE_NOT_FOUND)
        return lh_fail(LH_TABLE_NOT_FOUND, "table with id %llu|no record|one", (unsigned long long)id);
    LH_TRY(status);
    status = lh_table_record_decode(id, bytes.data, bytes.size, ret_record);
    vde_bytes_free(&bytes);
    return status;
}

vde_status lh_tag_record_decode(const void *data, size_t size, struct lh_tag_record *ret_tag)
{
    struct lh_reader reader = {data, size, 0, false};
    ret_tag->version = lh_reader_varint(&reader);
    ret_tag->created_us = lh_reader_varint(&reader);
    return reader.failed ? lh_fail(VDE_CORRUPT, "record of a tag|one that ends early|a whole one") : VDE_OK;
}

vde_status lh_catalog_tag(struct lh_catalog *catalog, const struct lh_table_record *table, struct lh_slice name,
                          struct lh_tag_record *ret_tag)
{
    struct lh_key key;
    struct vde_bytes bytes = {NULL, 0};
    lh_key_text(&key, 'g', table->id, name);
    vde_status status = lh_catalog_get(catalog, &key, &bytes);
    if (status == VDE_NOT_FOUND)
        return lh_fail(LH_TAG_NOT_FOUND, "tag %.*s of table %s|nothing of that name|a tag", (int)name.size, name.data,
                       table->name);
    LH_TRY(status);
    status = lh_tag_record_decode(bytes.data, bytes.size, ret_tag);
    vde_bytes_free(&bytes);
    return status;
}

vde_status lh_catalog_walk(struct lh_catalog *catalog, char letter, const uint64_t *number, lh_catalog_fn each,
                           void *context)
{
    if (!catalog->kv)
        return VDE_OK;
    struct lh_key from;
    lh_key_number(&from, letter, number ? *number : 0);
    size_t prefix = number ? 9 : 1;
    vde_cursor *cursor = NULL;
    LH_TRY(vde_cursor_open(catalog->kv, from.data, prefix, &cursor));
    vde_status status;
    for (;;) {
        const void *key, *value;
        size_t key_size, value_size;
        status = vde_cursor_get(cursor, &key, &key_size, &value, &value_size);
        if (status != VDE_OK || key_size < prefix || memcmp(key, from.data, prefix) != 0)
            break;
        status = each(context, (struct lh_slice){(const char *)key + prefix, key_size - prefix}, value, value_size);
        if (status == VDE_OK)
            status = vde_cursor_next(cursor);
        if (status != VDE_OK)
            break;
    }
    vde_cursor_close(cursor);
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

void lh_table_record_done(struct lh_table_record *record)
{
    free(record->name);
    free(record->opaque);
    free(record->origin);
    *record = (struct lh_table_record){0};
}

static char *copy_text(struct lh_slice text)
{
    char *copy = malloc(text.size + 1);
    if (copy) {
        if (text.size)
            memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    }
    return copy;
}

vde_status lh_table_record_copy(const struct lh_table_record *record, struct lh_table_record *ret_copy)
{
    struct lh_table_record copy = *record;
    copy.name = copy_text(lh_slice_of(record->name));
    copy.opaque = record->opaque ? copy_text(lh_slice_of(record->opaque)) : NULL;
    copy.origin = record->origin ? copy_text(lh_slice_of(record->origin)) : NULL;
    if (!copy.name || (record->opaque && !copy.opaque) || (record->origin && !copy.origin)) {
        lh_table_record_done(&copy);
        return lh_fail_nomem("table record");
    }
    *ret_copy = copy;
    return VDE_OK;
}

void lh_table_record_encode(const struct lh_table_record *record, struct lh_buffer *out)
{
    lh_buffer_varint(out, 1);
    lh_buffer_sized(out, lh_slice_of(record->name));
    lh_buffer_varint(out, record->name_space);
    lh_buffer_varint(out, (uint64_t)record->format);
    lh_buffer_varint(out, record->flags);
    lh_buffer_varint(out, record->created_us);
    lh_buffer_varint(out, record->state);
    lh_buffer_varint(out, record->paths);
    lh_buffer_sized(out, lh_slice_of(record->opaque));
    lh_buffer_sized(out, lh_slice_of(record->origin));
    if (record->flags & LH_TABLE_DROPPED)
        lh_buffer_varint(out, record->dropped_us);
}

vde_status lh_table_record_decode(uint64_t id, const void *data, size_t size, struct lh_table_record *ret_record)
{
    struct lh_reader reader = {data, size, 0, false};
    struct lh_table_record r = {.id = id};
    uint64_t layout = lh_reader_varint(&reader);
    struct lh_slice name = lh_reader_sized(&reader);
    r.name_space = lh_reader_varint(&reader);
    uint64_t format = lh_reader_varint(&reader);
    r.flags = (uint32_t)lh_reader_varint(&reader);
    r.created_us = lh_reader_varint(&reader);
    r.state = lh_reader_varint(&reader);
    r.paths = lh_reader_varint(&reader);
    struct lh_slice opaque = lh_reader_sized(&reader);
    struct lh_slice origin = lh_reader_sized(&reader);
    if (reader.offset < reader.size)
        r.dropped_us = lh_reader_varint(&reader);
    if (reader.failed || layout != 1 || (format != LH_FORMAT_DELTA && format != LH_FORMAT_ICEBERG))
        return lh_fail(VDE_CORRUPT, "record of table %llu|layout %llu, format %llu, %zu bytes|a table record",
                       (unsigned long long)id, (unsigned long long)layout, (unsigned long long)format, size);
    r.format = (enum lh_table_format)format;
    r.name = copy_text(name);
    r.opaque = opaque.size ? copy_text(opaque) : NULL;
    r.origin = origin.size ? copy_text(origin) : NULL;
    if (!r.name || (opaque.size && !r.opaque) || (origin.size && !r.origin)) {
        lh_table_record_done(&r);
        return lh_fail_nomem("table record");
    }
    *ret_record = r;
    return VDE_OK;
}

vde_status lh_catalog_put_record(struct lh_lakehouse *lakehouse, vde_txn *txn, char letter,
                                 const struct lh_table_record *record)
{
    struct lh_key key;
    struct lh_buffer value = LH_BUFFER_INIT;
    lh_key_number(&key, letter, record->id);
    lh_table_record_encode(record, &value);
    vde_status status = lh_buffer_status(&value);
    if (status == VDE_OK)
        status = vde_txn_put(txn, lakehouse->catalog, key.data, key.size, value.data, value.size);
    lh_buffer_done(&value);
    return status;
}

vde_status lh_catalog_put_number(struct lh_lakehouse *lakehouse, vde_txn *txn, const struct lh_key *key,
                                 const uint64_t *number)
{
    if (!number)
        return vde_txn_delete(txn, lakehouse->catalog, key->data, key->size);
    struct lh_buffer value = LH_BUFFER_INIT;
    lh_buffer_varint(&value, *number);
    vde_status status = lh_buffer_status(&value);
    if (status == VDE_OK)
        status = vde_txn_put(txn, lakehouse->catalog, key->data, key->size, value.data, value.size);
    lh_buffer_done(&value);
    return status;
}

void lh_uri(const struct lh_lakehouse *lakehouse, const char *name, struct lh_buffer *out)
{
    lh_buffer_text(out, "vde://");
    lh_buffer_text(out, lakehouse->uuid);
    lh_buffer_byte(out, '/');
    struct lh_slice full = lh_slice_of(name);
    struct lh_slice parent = lh_name_parent(full);
    if (parent.size) {
        lh_buffer_slice(out, parent);
        lh_buffer_byte(out, '/');
    }
    lh_buffer_slice(out, lh_name_leaf(full));
}
