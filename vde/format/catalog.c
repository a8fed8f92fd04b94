/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c -- encode and verify catalog records and keys. */
#include "format/catalog.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"

void dataset_record_put(const struct dataset_record *record, struct disk_dataset *ret_disk)
{
    size_t name_size = strlen(record->name);
    memset(ret_disk, 0, sizeof *ret_disk);
    ret_disk->id = le64(record->id);
    ret_disk->kind = record->kind;
    ret_disk->name_size = (uint8_t)name_size;
    ret_disk->root = root_put(record->root);
    ret_disk->dead = root_put(record->dead);
    ret_disk->newest_snapshot = le64(record->newest_snapshot);
    memcpy(ret_disk->name, record->name, name_size);
}

vde_status dataset_record_get(const void *value, size_t size, uint64_t id, const struct layout *layout,
                              struct dataset_record *ret_record)
{
    char object[64];
    snprintf(object, sizeof object, "dataset %llu record", (unsigned long long)id);
    struct disk_dataset d;
    if (size != sizeof d)
        return fail_corrupt("%s|%zu bytes|%zu", object, size, sizeof d);
    memcpy(&d, value, sizeof d);
    struct dataset_record r = {.id = le64_get(d.id), .kind = d.kind, .newest_snapshot = le64_get(d.newest_snapshot)};
    if (r.id != id || d.kind != DATASET_KIND_KV)
        return fail_corrupt("%s|id %llu of kind %u|its own id", object, (unsigned long long)r.id, d.kind);
    if (strnlen((const char *)d.name, sizeof d.name) != d.name_size)
        return fail_corrupt("%s|a name that is not %u bytes|its length", object, d.name_size);
    memcpy(r.name, d.name, sizeof r.name);
    VDE_TRY(root_get(&d.root, layout, object, &r.root));
    VDE_TRY(root_get(&d.dead, layout, object, &r.dead));
    *ret_record = r;
    return VDE_OK;
}

void snapshot_record_put(const struct snapshot_record *record, struct disk_snapshot *ret_disk)
{
    *ret_disk = (struct disk_snapshot){le64(record->lsn), root_put(record->root)};
}

vde_status snapshot_record_get(const void *value, size_t size, const struct layout *layout,
                               struct snapshot_record *ret_record)
{
    struct disk_snapshot d;
    if (size != sizeof d)
        return fail_corrupt("snapshot record|%zu bytes|%zu", size, sizeof d);
    memcpy(&d, value, sizeof d);
    ret_record->lsn = le64_get(d.lsn);
    return root_get(&d.root, layout, "snapshot record", &ret_record->root);
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
