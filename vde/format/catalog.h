/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.h -- keys and values of the datasets that the engine itself keeps. docs/format.md "Catalog", "History",
 * "Files". Integers in keys are big-endian, so that key order is number order. */
#ifndef VDE_FORMAT_CATALOG_H
#define VDE_FORMAT_CATALOG_H

#include "format/node.h"

#define DATASET_CATALOG 1u  /* the tree of datasets; its root is in the superblock */
#define DATASET_HISTORY 2u  /* stream entries */
#define DATASET_FILES 3u    /* sealed files and their blobs */
#define DATASET_DEAD_BIT (1ull << 62) /* tree id of dataset d's dead tree: d | this */
#define ID_FIRST 16u        /* first id handed out */
#define ID_LIMIT (1ull << 61)

/* Catalog keys: a tag byte and
 *   'd' id                  -> struct disk_dataset
 *   'n' name                -> le64 id; a volume's name has "volumes/" in front
 *   'v' id                  -> struct disk_volume
 *   's' id tag              -> struct disk_snapshot + name bytes; id DATASET_CATALOG: a snapshot of the image
 *   'a' id name             -> le64 tag: the named snapshots
 *   'l' id lsn              -> le64 tag: the same snapshots in order of their LSN, those being freed left out; written by
 *                              checkpoints only
 *   'c' origin lsn clone    -> empty: a clone of the snapshot at that LSN exists (tags may be used again)
 *   'r' id                  -> le64 tag: roll back to that snapshot; gone with the checkpoint that does it
 *   'z' 'd' id              -> struct disk_zombie: dataset waiting to be freed
 *   'z' 's' stream          -> struct disk_zombie: stream waiting to be freed; also marks the id as dropped
 *   'z' 'p' id lsn          -> struct disk_zombie: snapshot waiting to be freed
 */
#define CATALOG_KEY_DATASET 'd'
#define CATALOG_KEY_NAME 'n'
#define CATALOG_KEY_SNAPSHOT 's'
#define CATALOG_KEY_LSN 'l'
#define CATALOG_KEY_ZOMBIE 'z'
#define CATALOG_KEY_VOLUME 'v'
#define CATALOG_KEY_ALIAS 'a'
#define CATALOG_KEY_CLONE 'c'
#define CATALOG_KEY_ROLLBACK 'r'

#define DATASET_KIND_KV 1u
#define DATASET_KIND_VOLUME 2u
#define DATASET_NAME_MAX 255u

struct disk_dataset {         /* followed by name_size bytes */
    vde_le64 id;
    uint8_t kind;
    uint8_t name_size;
    uint8_t reserved[6];      /* zero */
    struct disk_root root;    /* of the newest checkpoint; in a log record all zero, or a clone's: its snapshot's */
    struct disk_root dead;    /* dead tree: key (newest snapshot LSN at death, birth, address) -> le32 blocks */
    vde_le64 newest_snapshot; /* LSN of its own newest snapshot, 0: none */
    vde_le64 created_lsn;     /* 0 in a log record: the record's own */
    vde_le64 tree;            /* the id that its nodes carry: its own, or for a clone that of its origin */
    vde_le64 origin;          /* clones: dataset it comes from, else 0 */
    vde_le64 origin_tag;      /* and the tag of the snapshot */
    vde_le64 origin_lsn;      /* what was born up to here belongs to the origin */
    vde_le64 mapped_blocks;   /* volumes: logical blocks in runs */
    vde_le64 stored_blocks;   /* device blocks of runs and extents in the newest version */
    vde_le64 dead_blocks;     /* device blocks in the dead tree */
};
static_assert(sizeof(struct disk_dataset) == 200, "dataset record size");
#define DATASET_VALUE_MAX (sizeof(struct disk_dataset) + DATASET_NAME_MAX)

struct disk_snapshot {        /* followed by name_size bytes */
    vde_le64 lsn;             /* 0 in a log record: the record's own */
    vde_le64 created_us;
    struct disk_root root;    /* all zero in a log record */
    vde_le64 size_bytes;      /* volumes: their size at that time, else 0 */
    vde_le64 mapped_blocks;   /* of the dataset at that time */
    vde_le64 stored_blocks;
    uint8_t name_size;
    uint8_t reserved[7];      /* zero */
};
static_assert(sizeof(struct disk_snapshot) == 104, "snapshot record size");
#define SNAPSHOT_NAME_MAX 200u

struct disk_volume {
    vde_le64 size_bytes;
    vde_le64 created_us;
    vde_le32 flags;           /* VOLUME_PREALLOC */
    uint8_t compression;      /* 0 none, 1..9 zstd level */
    uint8_t reserved[11];     /* zero */
};
static_assert(sizeof(struct disk_volume) == 32, "volume record size");
#define VOLUME_PREALLOC 1u
#define VOLUME_MAX_BYTES (1ull << 56)
#define VOLUME_NAME_PREFIX "volumes/"

/* Something that nobody can find any more, but whose blocks are not all free yet. It is freed when no image snapshot
 * taken in its lifetime and no clone is left; then in steps, each of which is part of a checkpoint. */
struct disk_zombie {          /* followed by the key to resume at: datasets only */
    vde_le64 dropped_lsn;     /* 0 in a log record: the record's own */
    vde_le64 lsn;             /* snapshots: their LSN */
    vde_le64 tag;             /* snapshots: their tag */
    uint8_t freeing;          /* 1: freeing has begun */
    uint8_t reserved[7];      /* zero */
};
static_assert(sizeof(struct disk_zombie) == 32, "zombie record size");

struct dataset_record {
    uint64_t id;
    uint8_t kind;
    struct tree_root root, dead;
    uint64_t newest_snapshot, created_lsn, tree;
    uint64_t origin, origin_tag, origin_lsn;
    uint64_t mapped_blocks, stored_blocks, dead_blocks;
    char name[DATASET_NAME_MAX + 1];
};
/* Both forms of a value: `value` has DATASET_VALUE_MAX, SNAPSHOT_VALUE_MAX bytes; the size used is returned. */
size_t dataset_record_put(const struct dataset_record *record, uint8_t *value);
vde_status dataset_record_get(const void *value, size_t size, uint64_t id, const struct layout *layout,
                              struct dataset_record *ret_record);
struct snapshot_record {
    uint64_t lsn, created_us;
    struct tree_root root;
    uint64_t size_bytes, mapped_blocks, stored_blocks;
    char name[SNAPSHOT_NAME_MAX + 1];
};
#define SNAPSHOT_VALUE_MAX (sizeof(struct disk_snapshot) + SNAPSHOT_NAME_MAX)
size_t snapshot_record_put(const struct snapshot_record *record, uint8_t *value);
vde_status snapshot_record_get(const void *value, size_t size, const struct layout *layout,
                               struct snapshot_record *ret_record);
struct volume_record {
    uint64_t size_bytes, created_us;
    uint32_t flags;
    uint8_t compression;
};
void volume_record_put(const struct volume_record *record, struct disk_volume *ret_disk);
vde_status volume_record_get(const void *value, size_t size, uint64_t id, struct volume_record *ret_record);
struct zombie_record {
    uint64_t dropped_lsn, lsn, tag;
    bool freeing;
    size_t resume_size;
    uint8_t resume[NODE_KEY_MAX];
};
#define ZOMBIE_VALUE_MAX (sizeof(struct disk_zombie) + NODE_KEY_MAX)
size_t zombie_record_put(const struct zombie_record *record, uint8_t *value);
vde_status zombie_record_get(const void *value, size_t size, const char *object, struct zombie_record *ret_record);

#define CATALOG_KEY_MAX 300u
size_t key_dataset(uint8_t *key, uint64_t id);
size_t key_name(uint8_t *key, const char *name, size_t name_size);
size_t key_snapshot(uint8_t *key, uint64_t id, uint64_t tag);
size_t key_lsn(uint8_t *key, uint64_t id, uint64_t lsn);
size_t key_zombie(uint8_t *key, uint8_t what, uint64_t id);
size_t key_zombie_snapshot(uint8_t *key, uint64_t id, uint64_t lsn);
size_t key_volume(uint8_t *key, uint64_t id);
size_t key_alias(uint8_t *key, uint64_t id, const char *name, size_t name_size);
size_t key_clone(uint8_t *key, uint64_t origin, uint64_t lsn, uint64_t clone);
size_t key_rollback(uint8_t *key, uint64_t id);
size_t key_dead(uint8_t *key, uint64_t newest_snapshot, uint64_t birth, uint64_t address);

/* History: key (stream, number of the first entry) -> a batch. In a log record one entry is a batch of its own whose
 * value is struct disk_log_entry + bytes; checkpoints pack entries of a stream together. An entry larger than
 * STREAM_INLINE_MAX keeps its bytes as a spilled value at key (stream | STREAM_BIG_BIT, number). */
#define STREAM_BIG_BIT (1ull << 63)
#define STREAM_INLINE_MAX (64u << 10)
struct disk_log_entry {
    vde_le64 time_us;  /* 0: the record's */
    vde_le32 size;     /* of the entry, also when its bytes lie elsewhere */
    vde_le32 flags;    /* ENTRY_BIG */
};
static_assert(sizeof(struct disk_log_entry) == 16, "log entry size");
#define ENTRY_BIG 1u

/* Batch header: in a leaf it is followed by the payload (kind inline), or stands behind the struct disk_ptr of an extent
 * that holds the payload (kind extent). */
struct disk_batch {
    vde_le32 count;       /* entries, >= 1, numbered from the key's number on */
    vde_le32 raw_bytes;   /* of the payload, decompressed */
    vde_le32 stored_bytes;/* of the payload as stored */
    uint8_t compression;  /* 0 none, 1 zstd */
    uint8_t reserved[3];  /* zero */
    vde_le64 first_time_us;
    vde_le64 last_time_us;
};
static_assert(sizeof(struct disk_batch) == 32, "batch header size");
/* Payload: `count` of these, then the entries' bytes one after the other. */
struct disk_batch_entry {
    vde_le64 lsn;
    vde_le64 time_us;
    vde_le32 size;        /* bytes in this batch: 0 for ENTRY_BIG */
    vde_le32 flags;
};
static_assert(sizeof(struct disk_batch_entry) == 24, "batch entry size");
size_t key_stream(uint8_t *key, uint64_t stream, uint64_t number);

/* Files: 'f' file -> struct disk_file; 'e' file offset -> extent value: struct disk_ptr + one le64 checksum for every
 * 64 KiB of it. The blob of a file has the file's id until files share blobs. */
#define FILE_CHUNK_BYTES (64u << 10)
#define FILE_EXTENT_MAX_BYTES (4u << 20)
struct disk_file {
    vde_le64 size;
    vde_le32 extents;
    vde_le32 flags;       /* zero */
};
static_assert(sizeof(struct disk_file) == 16, "file record size");
size_t key_file(uint8_t *key, uint64_t file);
size_t key_extent(uint8_t *key, uint64_t file, uint64_t offset);
#endif
