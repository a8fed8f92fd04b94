/* SPDX-License-Identifier: Apache-2.0 */
/* instant.c -- the catalog of one instant in memory, and which of its records a relocated copy keeps. */
#include "copy/instant.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"

vde_status instant_append(void **array, size_t *capacity, size_t *count, const void *item, size_t size)
{
    if (*count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 64;
        void *grown = realloc(*array, more * size);
        if (!grown)
            return fail_nomem("catalog");
        *array = grown;
        *capacity = more;
    }
    memcpy((uint8_t *)*array + (*count)++ * size, item, size);
    return VDE_OK;
}

static void forget(struct instant *instant)
{
    for (size_t i = 0; i < instant->entry_count; i++)
        free((void *)(uintptr_t)instant->entries[i].bytes);
    instant->entry_count = 0;
}

void instant_done(struct instant *instant)
{
    forget(instant);
    for (size_t i = 0; i < instant->member_count; i++)
        free(instant->members[i].dead);
    free(instant->entries);
    free(instant->members);
    free(instant->versions);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static vde_status add_entry(struct instant *instant, const struct tree_cursor *cursor)
{
    const void *key;
    struct tree_value value;
    struct entry entry;
    tree_cursor_record(cursor, &key, &entry.key_size, &value);
    if (value.kind != VALUE_INLINE)
        return fail_corrupt("catalog|a record of kind %u|an inline one", (unsigned)value.kind);
    entry.value_size = value.size;
    uint8_t *bytes = malloc(entry.key_size + value.size);
    if (!bytes)
        return fail_nomem("catalog");
    memcpy(bytes, key, entry.key_size);
    if (value.size)
        memcpy(bytes + entry.key_size, value.data, value.size);
    entry.bytes = bytes;
    void *array = instant->entries;
    vde_status status = instant_append(&array, &instant->entry_capacity, &instant->entry_count, &entry, sizeof entry);
    instant->entries = array;
    if (status != VDE_OK)
        free(bytes);
    return status;
}

static vde_status read_entries(struct instant *instant)
{
    struct tree_cursor *cursor;
    forget(instant);
    VDE_TRY(tree_cursor_open(&instant->image->store, DATASET_CATALOG, &instant->catalog, &cursor));
    vde_status status = tree_cursor_seek(cursor, NULL, 0);
    while (status == VDE_OK && tree_cursor_valid(cursor)) {
        status = add_entry(instant, cursor);
        if (status == VDE_OK)
            status = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    return status;
}

static bool is_key(const struct entry *entry, uint8_t tag, size_t size)
{
    return entry->bytes[0] == tag && entry->key_size == size;
}

/* Go back to the catalog that a snapshot of the image shows. */
static vde_status go_back(struct instant *instant, const char *name)
{
    for (size_t i = 0; i < instant->entry_count; i++) {
        const struct entry *entry = &instant->entries[i];
        struct snapshot_record record;
        if (!is_key(entry, CATALOG_KEY_SNAPSHOT, 17) || be64_get(entry->bytes + 1) != DATASET_CATALOG)
            continue;
        VDE_TRY(snapshot_record_get(entry_value(entry), entry->value_size, instant->layout, &record));
        if (strcmp(record.name, name) != 0)
            continue;
        instant->catalog = record.root;
        instant->lsn = record.lsn;
        return read_entries(instant);
    }
    return fail_as(VDE_NOT_FOUND, "image snapshot %s", name);
}

/* --- datasets and snapshots ----------------------------------------------------------------------------------------- */

struct member *instant_member(const struct instant *instant, uint64_t id)
{
    size_t low = 0, high = instant->member_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (instant->members[middle].record.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < instant->member_count && instant->members[low].record.id == id ? &instant->members[low] : NULL;
}

static vde_status add_member(struct instant *instant, const struct entry *entry)
{
    struct member member = {.dropped = false};
    void *array = instant->members;
    VDE_TRY(dataset_record_get(entry_value(entry), entry->value_size, be64_get(entry->bytes + 1), instant->layout,
                               &member.record));
    vde_status status = instant_append(&array, &instant->member_capacity, &instant->member_count, &member, sizeof member);
    instant->members = array;
    return status;
}

static vde_status add_version(struct instant *instant, const struct entry *entry)
{
    struct version version = {.dataset = be64_get(entry->bytes + 1), .tag = be64_get(entry->bytes + 9)};
    void *array = instant->versions;
    if (version.dataset == DATASET_CATALOG)
        return VDE_OK;
    VDE_TRY(snapshot_record_get(entry_value(entry), entry->value_size, instant->layout, &version.record));
    vde_status status =
        instant_append(&array, &instant->version_capacity, &instant->version_count, &version, sizeof version);
    instant->versions = array;
    return status;
}

static vde_status add_volume(struct instant *instant, const struct entry *entry)
{
    struct volume_record volume;
    uint64_t id = be64_get(entry->bytes + 1);
    VDE_TRY(volume_record_get(entry_value(entry), entry->value_size, id, &volume));
    const struct member *member = instant_member(instant, id);
    uint64_t blocks = div_up(volume.size_bytes, BLOCK_BYTES);
    if (member && member->kept && (volume.flags & VOLUME_PREALLOC) && blocks > member->record.mapped_blocks)
        instant->unmapped_blocks += blocks - member->record.mapped_blocks;
    return VDE_OK;
}

/* A clone that is kept began with that snapshot; LSN 0: with any. */
static bool is_cloned(const struct instant *instant, uint64_t dataset, uint64_t lsn)
{
    for (size_t i = 0; i < instant->member_count; i++) {
        const struct member *m = &instant->members[i];
        if (m->kept && m->record.origin == dataset && (lsn == 0 || m->record.origin_lsn == lsn))
            return true;
    }
    return false;
}

/* What was dropped is kept for the sake of clones, and of clones of them. */
static void choose(struct instant *instant)
{
    for (size_t i = 0; i < instant->member_count; i++)
        instant->members[i].kept = !instant->members[i].dropped;
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < instant->member_count; i++) {
            struct member *m = &instant->members[i];
            if (!m->kept && is_cloned(instant, m->record.id, 0))
                again = m->kept = true;
        }
    }
}

vde_status instant_load(struct instant *instant, const char *snapshot)
{
    VDE_TRY(read_entries(instant));
    if (snapshot)
        VDE_TRY(go_back(instant, snapshot));
    for (size_t i = 0; i < instant->entry_count; i++) {
        const struct entry *entry = &instant->entries[i];
        if (is_key(entry, CATALOG_KEY_DATASET, 9))
            VDE_TRY(add_member(instant, entry));
        if (is_key(entry, CATALOG_KEY_SNAPSHOT, 17))
            VDE_TRY(add_version(instant, entry));
        struct member *member = NULL; /* 'd' comes before 'z' */
        if (is_key(entry, CATALOG_KEY_ZOMBIE, 10) && entry->bytes[1] == 'd')
            member = instant_member(instant, be64_get(entry->bytes + 2));
        if (member)
            member->dropped = true;
    }
    choose(instant);
    for (size_t i = 0; i < instant->entry_count; i++)
        if (is_key(&instant->entries[i], CATALOG_KEY_VOLUME, 9))
            VDE_TRY(add_volume(instant, &instant->entries[i]));
    return VDE_OK;
}

/* --- what is kept --------------------------------------------------------------------------------------------------- */

static bool keeps_dataset(const struct instant *instant, uint64_t id)
{
    const struct member *member = instant_member(instant, id);
    return member && member->kept;
}

const struct version *instant_version(const struct instant *instant, uint64_t id, uint64_t tag)
{
    size_t low = 0, high = instant->version_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct version *v = &instant->versions[middle];
        if (v->dataset < id || (v->dataset == id && v->tag < tag))
            low = middle + 1;
        else
            high = middle;
    }
    const struct version *found = low < instant->version_count ? &instant->versions[low] : NULL;
    return found && found->dataset == id && found->tag == tag ? found : NULL;
}

static uint64_t number_of(const struct entry *entry)
{
    vde_le64 number = {{0}};
    if (entry->value_size == sizeof number)
        memcpy(&number, entry_value(entry), sizeof number);
    return le64_get(number);
}

/* The list by LSN: of the snapshots, and of the dropped ones that stay for a clone. */
static bool keeps_lsn(const struct instant *instant, const struct entry *entry)
{
    uint64_t id = be64_get(entry->bytes + 1), lsn = be64_get(entry->bytes + 9);
    return keeps_dataset(instant, id) &&
           (instant_version(instant, id, number_of(entry)) || is_cloned(instant, id, lsn));
}

static bool keeps_zombie(const struct instant *instant, const struct entry *entry)
{
    uint64_t id = be64_get(entry->bytes + 2);
    switch (entry->bytes[1]) {
    case 's':
        return true; /* the entries that are left of it are copied */
    case 'd':
        return keeps_dataset(instant, id);
    default:
        return entry->key_size == 18 && keeps_dataset(instant, id) &&
               is_cloned(instant, id, be64_get(entry->bytes + 10));
    }
}

bool instant_keeps(const struct instant *instant, const struct entry *entry)
{
    if (entry->bytes[0] == CATALOG_KEY_NAME)
        return keeps_dataset(instant, number_of(entry));
    if (entry->key_size < 9)
        return false;
    uint64_t id = be64_get(entry->bytes + 1);
    switch (entry->bytes[0]) {
    case CATALOG_KEY_DATASET:
    case CATALOG_KEY_VOLUME:
    case CATALOG_KEY_SNAPSHOT:
    case CATALOG_KEY_ALIAS:
        return keeps_dataset(instant, id);
    case CATALOG_KEY_LSN:
        return entry->key_size == 17 && keeps_lsn(instant, entry);
    case CATALOG_KEY_CLONE:
        return entry->key_size == 25 && keeps_dataset(instant, be64_get(entry->bytes + 17));
    case CATALOG_KEY_ZOMBIE:
        return entry->key_size >= 10 && keeps_zombie(instant, entry);
    default:
        return false;
    }
}
