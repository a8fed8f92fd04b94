/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c -- encode and verify catalog records and keys. */
#include "format/catalog.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"

size_t dataset_record_put(const struct dataset_record *record, uint8_t *value)
{
    size_t name_size = strlen(record->name);
    struct disk_dataset d;
    memset(&d, 0, sizeof d);
    d.id = le64(record->id);
    d.kind = record->kind;
    d.name_size = (uint8_t)name_size;
    d.root = root_put(record->root);
    d.dead = root_put(record->dead);
    d.newest_snapshot = le64(record->newest_snapshot);
    d.created_lsn = le64(record->created_lsn);
    d.tree = le64(record->tree);
    d.origin = le64(record->origin);
    d.origin_tag = le64(record->origin_tag);
    d.origin_lsn = le64(record->origin_lsn);
    d.mapped_blocks = le64(record->mapped_blocks);
    d.stored_blocks = le64(record->stored_blocks);
    d.dead_blocks = le64(record->dead_blocks);
    memcpy(value, &d, sizeof d);
    memcpy(value + sizeof d, record->name, name_size);
    return sizeof d + name_size;
}

/* Copy a name behind a record: `size` bytes are there, none of them NUL. */
static vde_status name_get(const char *object, const uint8_t *from, size_t size, unsigned expected, char *to)
{
    if (size != expected || memchr(from, 0, size))
        return fail_corrupt("%s|a name of %zu bytes|%u bytes without NUL", object, size, expected);
    memcpy(to, from, size);
    to[size] = 0;
    return VDE_OK;
}

vde_status dataset_record_get(const void *value, size_t size, uint64_t id, const struct layout *layout,
                              struct dataset_record *ret_record)
{
    char object[64];
    snprintf(object, sizeof object, "dataset %llu record", (unsigned long long)id);
    struct disk_dataset d;
    if (size < sizeof d || size > DATASET_VALUE_MAX)
        return fail_corrupt("%s|%zu bytes|%zu and a name", object, size, sizeof d);
    memcpy(&d, value, sizeof d);
    struct dataset_record r = {.id = le64_get(d.id), .kind = d.kind, .newest_snapshot = le64_get(d.newest_snapshot),
                               .created_lsn = le64_get(d.created_lsn), .tree = le64_get(d.tree),
                               .origin = le64_get(d.origin), .origin_tag = le64_get(d.origin_tag),
                               .origin_lsn = le64_get(d.origin_lsn), .mapped_blocks = le64_get(d.mapped_blocks),
                               .stored_blocks = le64_get(d.stored_blocks), .dead_blocks = le64_get(d.dead_blocks)};
    if (r.id != id || (d.kind != DATASET_KIND_KV && d.kind != DATASET_KIND_VOLUME))
        return fail_corrupt("%s|id %llu of kind %u|its own id", object, (unsigned long long)r.id, d.kind);
    if (r.tree == 0 || (r.origin == 0) != (r.origin_lsn == 0) || (r.origin == 0 && r.tree != id))
        return fail_corrupt("%s|tree %llu, origin %llu at LSN %llu|ids that fit together", object,
                            (unsigned long long)r.tree, (unsigned long long)r.origin, (unsigned long long)r.origin_lsn);
    VDE_TRY(name_get(object, (const uint8_t *)value + sizeof d, size - sizeof d, d.name_size, r.name));
    VDE_TRY(root_get(&d.root, layout, object, &r.root));
    VDE_TRY(root_get(&d.dead, layout, object, &r.dead));
    *ret_record = r;
    return VDE_OK;
}

size_t snapshot_record_put(const struct snapshot_record *record, uint8_t *value)
{
    size_t name_size = strlen(record->name);
    struct disk_snapshot d;
    memset(&d, 0, sizeof d);
    d.lsn = le64(record->lsn);
    d.created_us = le64(record->created_us);
    d.root = root_put(record->root);
    d.size_bytes = le64(record->size_bytes);
    d.mapped_blocks = le64(record->mapped_blocks);
    d.stored_blocks = le64(record->stored_blocks);
    d.name_size = (uint8_t)name_size;
    memcpy(value, &d, sizeof d);
    memcpy(value + sizeof d, record->name, name_size);
    return sizeof d + name_size;
}

vde_status snapshot_record_get(const void *value, size_t size, const struct layout *layout,
                               struct snapshot_record *ret_record)
{
    struct disk_snapshot d;
    struct snapshot_record r;
    if (size < sizeof d || size > SNAPSHOT_VALUE_MAX)
        return fail_corrupt("snapshot record|%zu bytes|%zu and a name", size, sizeof d);
    memcpy(&d, value, sizeof d);
    r = (struct snapshot_record){.lsn = le64_get(d.lsn), .created_us = le64_get(d.created_us),
                                 .size_bytes = le64_get(d.size_bytes),
                                 .mapped_blocks = le64_get(d.mapped_blocks), .stored_blocks = le64_get(d.stored_blocks)};
    VDE_TRY(name_get("snapshot record", (const uint8_t *)value + sizeof d, size - sizeof d, d.name_size, r.name));
    VDE_TRY(root_get(&d.root, layout, "snapshot record", &r.root));
    *ret_record = r;
    return VDE_OK;
}

void volume_record_put(const struct volume_record *record, struct disk_volume *ret_disk)
{
    *ret_disk = (struct disk_volume){le64(record->size_bytes), le64(record->created_us), le32(record->flags),
                                     record->compression, {0}};
}

vde_status volume_record_get(const void *value, size_t size, uint64_t id, struct volume_record *ret_record)
{
    struct disk_volume d;
    if (size != sizeof d)
        return fail_corrupt("volume %llu record|%zu bytes|%zu", (unsigned long long)id, size, sizeof d);
    memcpy(&d, value, sizeof d);
    *ret_record = (struct volume_record){le64_get(d.size_bytes), le64_get(d.created_us), le32_get(d.flags), d.compression};
    if (ret_record->size_bytes == 0 || ret_record->size_bytes % 512 || ret_record->size_bytes > VOLUME_MAX_BYTES ||
        d.compression > 9 || (ret_record->flags & ~VOLUME_PREALLOC))
        return fail_corrupt("volume %llu record|%llu bytes, compression %u, flags %x|legal ones", (unsigned long long)id,
                            (unsigned long long)ret_record->size_bytes, d.compression, ret_record->flags);
    return VDE_OK;
}

size_t zombie_record_put(const struct zombie_record *record, uint8_t *value)
{
    struct disk_zombie d = {le64(record->dropped_lsn), le64(record->lsn), le64(record->tag), record->freeing, {0}};
    memcpy(value, &d, sizeof d);
    memcpy(value + sizeof d, record->resume, record->resume_size);
    return sizeof d + record->resume_size;
}

vde_status zombie_record_get(const void *value, size_t size, const char *object, struct zombie_record *ret_record)
{
    struct disk_zombie d;
    if (size < sizeof d || size > ZOMBIE_VALUE_MAX)
        return fail_corrupt("%s|%zu bytes|%zu and a key", object, size, sizeof d);
    memcpy(&d, value, sizeof d);
    if (d.freeing > 1)
        return fail_corrupt("%s|freeing %u|0 or 1", object, d.freeing);
    ret_record->dropped_lsn = le64_get(d.dropped_lsn);
    ret_record->lsn = le64_get(d.lsn);
    ret_record->tag = le64_get(d.tag);
    ret_record->freeing = d.freeing;
    ret_record->resume_size = size - sizeof d;
    memcpy(ret_record->resume, (const uint8_t *)value + sizeof d, size - sizeof d);
    return VDE_OK;
}

static size_t key_two(uint8_t *key, uint8_t tag, uint64_t a, uint64_t b)
{
    key[0] = tag;
    be64_put(key + 1, a);
    be64_put(key + 9, b);
    return 17;
}

size_t key_dataset(uint8_t *key, uint64_t id)
{
    key[0] = CATALOG_KEY_DATASET;
    be64_put(key + 1, id);
    return 9;
}

size_t key_name(uint8_t *key, const char *name, size_t name_size)
{
    key[0] = CATALOG_KEY_NAME;
    memcpy(key + 1, name, name_size);
    return 1 + name_size;
}

size_t key_snapshot(uint8_t *key, uint64_t id, uint64_t tag)
{
    return key_two(key, CATALOG_KEY_SNAPSHOT, id, tag);
}

size_t key_lsn(uint8_t *key, uint64_t id, uint64_t lsn)
{
    return key_two(key, CATALOG_KEY_LSN, id, lsn);
}

size_t key_zombie(uint8_t *key, uint8_t what, uint64_t id)
{
    key[0] = CATALOG_KEY_ZOMBIE;
    key[1] = what;
    be64_put(key + 2, id);
    return 10;
}

size_t key_zombie_snapshot(uint8_t *key, uint64_t id, uint64_t lsn)
{
    key_zombie(key, 'p', id);
    be64_put(key + 10, lsn);
    return 18;
}

size_t key_volume(uint8_t *key, uint64_t id)
{
    key[0] = CATALOG_KEY_VOLUME;
    be64_put(key + 1, id);
    return 9;
}

size_t key_alias(uint8_t *key, uint64_t id, const char *name, size_t name_size)
{
    key[0] = CATALOG_KEY_ALIAS;
    be64_put(key + 1, id);
    memcpy(key + 9, name, name_size);
    return 9 + name_size;
}

size_t key_clone(uint8_t *key, uint64_t origin, uint64_t lsn, uint64_t clone)
{
    key_two(key, CATALOG_KEY_CLONE, origin, lsn);
    be64_put(key + 17, clone);
    return 25;
}

size_t key_rollback(uint8_t *key, uint64_t id)
{
    key[0] = CATALOG_KEY_ROLLBACK;
    be64_put(key + 1, id);
    return 9;
}

size_t key_dead(uint8_t *key, uint64_t newest_snapshot, uint64_t birth, uint64_t address)
{
    be64_put(key, newest_snapshot);
    be64_put(key + 8, birth);
    be64_put(key + 16, address);
    return 24;
}

size_t key_stream(uint8_t *key, uint64_t stream, uint64_t number)
{
    be64_put(key, stream);
    be64_put(key + 8, number);
    return 16;
}

size_t key_file(uint8_t *key, uint64_t file)
{
    key[0] = 'f';
    be64_put(key + 1, file);
    return 9;
}

size_t key_extent(uint8_t *key, uint64_t file, uint64_t offset)
{
    return key_two(key, 'e', file, offset);
}
