/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c -- keys and values in words: of what the engine keeps what it says, of what is the user's how much it is. */
#include "check/describe.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/catalog.h"

typedef unsigned long long ull;

struct text {
    char *at;
    size_t left;
};

static void VDE_PRINTF(2, 3) put(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    size_t size = used < 0 ? 0 : (size_t)used < text->left ? (size_t)used : text->left - 1;
    text->at += size;
    text->left -= size;
}

/* Bytes that are meant to be read, others as \xNN; long ones cut. */
static void put_bytes(struct text *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && text->left > 8; i++) {
        if (isprint(bytes[i]) && bytes[i] != '\\')
            put(text, "%c", bytes[i]);
        else
            put(text, "\\x%02x", bytes[i]);
    }
}

/* --- keys ----------------------------------------------------------------------------------------------------------- */

static ull number(const uint8_t *key, size_t at)
{
    return be64_get(key + at);
}

static bool catalog_numbers(struct text *t, const uint8_t *k, size_t size)
{
    if (k[0] == CATALOG_KEY_DATASET && size == 9)
        put(t, "dataset %llu", number(k, 1));
    else if (k[0] == CATALOG_KEY_VOLUME && size == 9)
        put(t, "volume %llu", number(k, 1));
    else if (k[0] == CATALOG_KEY_ROLLBACK && size == 9)
        put(t, "rollback of %llu", number(k, 1));
    else if (k[0] == CATALOG_KEY_SNAPSHOT && size == 17)
        put(t, "snapshot of %llu, tag %llu", number(k, 1), number(k, 9));
    else if (k[0] == CATALOG_KEY_LSN && size == 17)
        put(t, "snapshot of %llu at LSN %llu", number(k, 1), number(k, 9));
    else if (k[0] == CATALOG_KEY_CLONE && size == 25)
        put(t, "clone of %llu at LSN %llu: %llu", number(k, 1), number(k, 9), number(k, 17));
    else if (k[0] == CATALOG_KEY_ZOMBIE && size == 10)
        put(t, "dropped %s %llu", k[1] == 's' ? "stream" : "dataset", number(k, 2));
    else if (k[0] == CATALOG_KEY_ZOMBIE && size == 18)
        put(t, "dropped snapshot of %llu at LSN %llu", number(k, 2), number(k, 10));
    else
        return false;
    return true;
}

static void catalog_key(struct text *t, const uint8_t *k, size_t size)
{
    if (catalog_numbers(t, k, size))
        return;
    size_t skip = k[0] == CATALOG_KEY_NAME ? 1 : k[0] == CATALOG_KEY_ALIAS && size > 9 ? 9 : 0;
    if (skip == 1)
        put(t, "name ");
    else if (skip == 9)
        put(t, "name of a snapshot of %llu: ", number(k, 1));
    put_bytes(t, k + skip, size - skip);
}

static void describe_key(struct text *t, uint64_t dataset, unsigned kind, const uint8_t *k, size_t size)
{
    if (dataset & DATASET_DEAD_BIT && size == 24)
        put(t, "block %llu, born at %llu, dropped under snapshot %llu", number(k, 16), number(k, 8), number(k, 0));
    else if (dataset == DATASET_CATALOG && size > 0)
        catalog_key(t, k, size);
    else if (dataset == DATASET_HISTORY && size == 16)
        put(t, "stream %llu entry %llu%s", (ull)(number(k, 0) & ~STREAM_BIG_BIT), number(k, 8),
            number(k, 0) & STREAM_BIG_BIT ? ", its bytes" : "");
    else if (dataset == DATASET_FILES && size == 9 && k[0] == 'f')
        put(t, "file %llu", number(k, 1));
    else if (dataset == DATASET_FILES && size == 17 && k[0] == 'e')
        put(t, "file %llu offset %llu", number(k, 1), number(k, 9));
    else if ((kind == VALUE_RUN || kind == VALUE_UNMAP) && size == 8)
        put(t, "block %llu", number(k, 0));
    else
        put_bytes(t, k, size);
}

/* --- values --------------------------------------------------------------------------------------------------------- */

static void put_root(struct text *t, const char *what, const struct disk_root *root)
{
    struct ptr p = ptr_get(&root->node);
    if (ptr_is_null(p))
        put(t, ", %s empty", what);
    else
        put(t, ", %s at block %llu born %llu, %llu records in %llu nodes", what, (ull)p.address, (ull)p.birth,
            (ull)le64_get(root->records), (ull)le64_get(root->nodes));
}

static void put_dataset(struct text *t, const uint8_t *value, size_t size)
{
    struct disk_dataset d;
    if (size < sizeof d) {
        put(t, "%zu bytes", size);
        return;
    }
    memcpy(&d, value, sizeof d);
    put(t, "%s", d.kind == DATASET_KIND_VOLUME ? "volume" : "map");
    if (size > sizeof d) {
        put(t, " \"");
        put_bytes(t, value + sizeof d, size - sizeof d);
        put(t, "\"");
    }
    put_root(t, "root", &d.root);
    put_root(t, "dead tree", &d.dead);
    put(t, ", created at %llu, newest snapshot %llu, %llu blocks mapped, %llu stored, %llu dead",
        (ull)le64_get(d.created_lsn), (ull)le64_get(d.newest_snapshot), (ull)le64_get(d.mapped_blocks),
        (ull)le64_get(d.stored_blocks), (ull)le64_get(d.dead_blocks));
    if (le64_get(d.origin))
        put(t, ", clone of %llu, tag %llu at LSN %llu", (ull)le64_get(d.origin), (ull)le64_get(d.origin_tag),
            (ull)le64_get(d.origin_lsn));
}

static void put_snapshot(struct text *t, const uint8_t *value, size_t size)
{
    struct disk_snapshot d;
    if (size < sizeof d) {
        put(t, "%zu bytes", size);
        return;
    }
    memcpy(&d, value, sizeof d);
    put(t, "LSN %llu", (ull)le64_get(d.lsn));
    if (size > sizeof d) {
        put(t, " \"");
        put_bytes(t, value + sizeof d, size - sizeof d);
        put(t, "\"");
    }
    put_root(t, "root", &d.root);
}

static void put_volume(struct text *t, const uint8_t *value, size_t size)
{
    struct disk_volume d;
    if (size != sizeof d) {
        put(t, "%zu bytes", size);
        return;
    }
    memcpy(&d, value, sizeof d);
    put(t, "%llu bytes, zstd %u%s", (ull)le64_get(d.size_bytes), d.compression,
        le32_get(d.flags) & VOLUME_PREALLOC ? ", preallocated" : "");
}

static void put_zombie(struct text *t, const uint8_t *value, size_t size)
{
    struct disk_zombie d;
    if (size < sizeof d) {
        put(t, "%zu bytes", size);
        return;
    }
    memcpy(&d, value, sizeof d);
    put(t, "dropped at LSN %llu, %s", (ull)le64_get(d.dropped_lsn), d.freeing ? "being freed" : "waiting");
    if (le64_get(d.lsn))
        put(t, ", snapshot of LSN %llu", (ull)le64_get(d.lsn));
}

static void catalog_value(struct text *t, uint8_t tag, const uint8_t *value, size_t size)
{
    vde_le64 number;
    if (tag == CATALOG_KEY_DATASET) {
        put_dataset(t, value, size);
    } else if (tag == CATALOG_KEY_SNAPSHOT) {
        put_snapshot(t, value, size);
    } else if (tag == CATALOG_KEY_VOLUME) {
        put_volume(t, value, size);
    } else if (tag == CATALOG_KEY_ZOMBIE) {
        put_zombie(t, value, size);
    } else if (size == sizeof number) {
        memcpy(&number, value, sizeof number);
        put(t, "%s%llu", tag == CATALOG_KEY_NAME ? "dataset " : "tag ", (ull)le64_get(number));
    } else {
        put(t, "%zu bytes", size);
    }
}

static void put_ptr(struct text *t, const uint8_t *value)
{
    struct disk_ptr disk;
    memcpy(&disk, value, sizeof disk);
    struct ptr p = ptr_get(&disk);
    put(t, "%u bytes in %u blocks at %llu born %llu", p.bytes, p.blocks, (ull)p.address, (ull)p.birth);
}

static void put_run(struct text *t, const uint8_t *value, size_t size)
{
    struct disk_run d;
    if (size < sizeof d) {
        put(t, "%zu bytes", size);
        return;
    }
    memcpy(&d, value, sizeof d);
    put(t, "%u blocks at %llu born %llu", le32_get(d.blocks), (ull)le64_get(d.address), (ull)le64_get(d.birth));
    if (le16_get(d.stored) != le32_get(d.blocks))
        put(t, ", compressed in %u less %u bytes", le16_get(d.stored), le16_get(d.tail));
}

static void put_spill(struct text *t, const uint8_t *value, size_t size)
{
    struct disk_spill d;
    if (size < sizeof d) {
        put(t, "%zu bytes", size);
        return;
    }
    memcpy(&d, value, sizeof d);
    put(t, "%llu bytes, %llu stored", (ull)le64_get(d.raw_bytes), (ull)le64_get(d.stored_bytes));
    for (unsigned i = 0; i < d.count && size >= sizeof d + (i + 1) * sizeof(struct disk_ptr); i++) {
        put(t, i ? "; " : ": ");
        put_ptr(t, value + sizeof d + i * sizeof(struct disk_ptr));
    }
}

static void put_batch(struct text *t, const uint8_t *value)
{
    struct disk_batch d;
    memcpy(&d, value, sizeof d);
    put(t, "%u entries in %u bytes, %u stored", le32_get(d.count), le32_get(d.raw_bytes), le32_get(d.stored_bytes));
}

static void describe_value(struct text *t, const struct op *r)
{
    uint64_t dataset = r->dataset;
    vde_le64 number64;
    bool extent = r->kind == VALUE_EXTENT && r->value_size >= sizeof(struct disk_ptr);
    if (r->kind == VALUE_DELETE)
        return;
    if (dataset & DATASET_DEAD_BIT && r->value_size == sizeof(vde_le32)) {
        vde_le32 blocks;
        memcpy(&blocks, r->value, sizeof blocks);
        put(t, "%u blocks", le32_get(blocks));
    } else if (dataset == DATASET_CATALOG && r->kind == VALUE_INLINE && r->key_size > 0) {
        catalog_value(t, r->key[0], r->value, r->value_size);
    } else if (r->kind == VALUE_RUN) {
        put_run(t, r->value, r->value_size);
    } else if (r->kind == VALUE_SPILLED) {
        put_spill(t, r->value, r->value_size);
    } else if (r->kind == VALUE_UNMAP && r->value_size == sizeof number64) {
        memcpy(&number64, r->value, sizeof number64);
        put(t, "%llu blocks", (ull)le64_get(number64));
    } else if (extent) {
        put_ptr(t, r->value);
        if (dataset == DATASET_HISTORY && r->value_size == sizeof(struct disk_ptr) + sizeof(struct disk_batch)) {
            put(t, ": ");
            put_batch(t, r->value + sizeof(struct disk_ptr));
        }
    } else {
        put(t, "%zu bytes", r->value_size);
    }
}

void describe(const struct op *record, struct described *ret_described)
{
    static const char *const kinds[] = {"inline", "spilled", "extent", "delete", "run", "unmap"};
    struct described *d = ret_described;
    struct text key = {d->key, sizeof d->key}, value = {d->value, sizeof d->value};
    d->key[0] = d->value[0] = 0;
    describe_key(&key, record->dataset, record->kind, record->key, record->key_size);
    describe_value(&value, record);
    d->item = (struct vde_inspected){.dataset = record->dataset, .kind = record->kind < 6 ? kinds[record->kind] : "unknown",
                                     .key_text = d->key, .value_text = d->value, .key = record->key,
                                     .value = record->value, .key_size = record->key_size,
                                     .value_size = record->value_size};
}
