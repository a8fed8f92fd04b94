/* SPDX-License-Identifier: Apache-2.0 */
/* tag.c -- tags: made, deleted and listed. What they stand for is looked up in point.c. */
#include <lakehouse/tag.h>

#include "state/fail.h"
#include "timetravel/point.h"
#include "txlog/change.h"
#include "txlog/pack.h"

static vde_status check_name(const char *tag)
{
    return lh_fail_again(lh_name_check_part(lh_slice_of(tag)), LH_NAME);
}

static vde_status put(struct lh_change_txn *change, const struct lh_key *key, uint64_t version)
{
    struct lh_buffer value = LH_BUFFER_INIT;
    lh_buffer_varint(&value, version);
    lh_buffer_varint(&value, lh_now_us());
    vde_status status = lh_buffer_status(&value);
    if (status == VDE_OK)
        status = vde_txn_put(change->txn, change->lakehouse->catalog, key->data, key->size, value.data, value.size);
    lh_buffer_done(&value);
    return status;
}

/* Under the names lock, which a drop takes too: the table is there, and nobody else gives the name. */
static vde_status create(struct lh_change_txn *change, uint64_t table, uint64_t version, const char *tag)
{
    struct lh_table_record record;
    struct lh_tag_record other;
    struct lh_key key;
    LH_TRY(lh_catalog_record(&change->catalog, table, &record));
    vde_status status = VDE_OK;
    if (record.flags & LH_TABLE_DROPPED)
        status = lh_fail(LH_TABLE_NOT_FOUND, "table %s|one that was dropped meanwhile|a table", record.name);
    if (status == VDE_OK)
        status = lh_catalog_tag(&change->catalog, &record, lh_slice_of(tag), &other);
    if (status == VDE_OK)
        status = lh_fail(LH_TAG_EXISTS, "tag %s of table %s|one for version %llu|none", tag, record.name,
                         (unsigned long long)other.version);
    lh_table_record_done(&record);
    if (status != LH_TAG_NOT_FOUND)
        return status;
    vde_error_clear();
    lh_key_text(&key, 'g', table, lh_slice_of(tag));
    return put(change, &key, version);
}

vde_status lh_tag_create(lh_lakehouse *lakehouse, const char *table, const char *tag, uint64_t *ret_version)
{
    struct lh_point point;
    struct lh_change_txn change;
    LH_TRY(check_name(tag));
    LH_TRY(lh_point_open(lakehouse, table, &point));
    uint64_t id = point.record.id, version = point.version;
    lh_point_close(&point);
    LH_TRY(lh_change_begin(lakehouse, &change));
    LH_TRY(lh_change_end(&change, create(&change, id, version, tag)));
    if (ret_version)
        *ret_version = version;
    return VDE_OK;
}

static vde_status delete(struct lh_change_txn *change, const char *table, const char *tag)
{
    struct lh_table_record record;
    struct lh_tag_record found;
    struct lh_key key;
    uint64_t id;
    LH_TRY(lh_catalog_table(&change->catalog, lh_slice_of(table), &id, &record));
    vde_status status = lh_catalog_tag(&change->catalog, &record, lh_slice_of(tag), &found);
    lh_table_record_done(&record);
    LH_TRY(status);
    lh_key_text(&key, 'g', id, lh_slice_of(tag));
    vde_txn_frees_space(change->txn);
    return vde_txn_delete(change->txn, change->lakehouse->catalog, key.data, key.size);
}

vde_status lh_tag_delete(lh_lakehouse *lakehouse, const char *table, const char *tag)
{
    struct lh_change_txn change;
    LH_TRY(check_name(tag));
    LH_TRY(lh_change_begin(lakehouse, &change));
    return lh_change_end(&change, delete(&change, table, tag));
}

/* --- listing ---------------------------------------------------------------------------------------------------- */
struct listing {
    struct lh_buffer found;
    size_t count;
};

static vde_status take(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct listing *listing = context;
    struct lh_tag_record tag;
    LH_TRY(lh_tag_record_decode(value, size, &tag));
    lh_buffer_sized(&listing->found, rest);
    lh_buffer_varint(&listing->found, tag.version);
    lh_buffer_varint(&listing->found, tag.created_us);
    listing->count++;
    return lh_buffer_status(&listing->found);
}

static vde_status pack_tags(const struct listing *listing, struct lh_tags **ret_tags)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_tags *all = lh_pack_alloc(&pack, 1, sizeof *all);
        struct lh_tag *tags = lh_pack_alloc(&pack, listing->count, sizeof *tags);
        struct lh_reader reader = {(const uint8_t *)listing->found.data, listing->found.size, 0, false};
        for (size_t i = 0; i < listing->count; i++) {
            struct lh_tag tag = {.name = lh_pack_text(&pack, lh_reader_sized(&reader))};
            tag.version = lh_reader_varint(&reader);
            tag.created_us = lh_reader_varint(&reader);
            if (all)
                tags[i] = tag;
        }
        if (all)
            *all = (struct lh_tags){listing->count, tags};
    }
    return lh_pack_done(&pack, (void **)ret_tags);
}

vde_status lh_tag_list(lh_lakehouse *lakehouse, const char *table, struct lh_tags **ret_tags)
{
    struct lh_catalog catalog;
    struct listing listing = {LH_BUFFER_INIT, 0};
    uint64_t id;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = lh_catalog_table(&catalog, lh_slice_of(table), &id, NULL);
    if (status == VDE_OK)
        status = lh_catalog_walk(&catalog, 'g', &id, take, &listing);
    lh_catalog_close(&catalog);
    if (status == VDE_OK)
        status = pack_tags(&listing, ret_tags);
    lh_buffer_done(&listing.found);
    return status;
}
