/* SPDX-License-Identifier: Apache-2.0 */
/* lakehouse.h -- the open table layer and the heads of its tables. */
#ifndef LH_TXLOG_LAKEHOUSE_H
#define LH_TXLOG_LAKEHOUSE_H

#include <stdatomic.h>

#include <vde/txn.h>
#include <vde/view.h>

#include <lakehouse/table.h>

#include "model/features.h"
#include "state/map.h"
#include "state/state.h"
#include "txlog/locks.h"
#include "txlog/partitions.h"

/* What the catalog knows of a table. The stream's id is the table's id: the engine never gives it out again. */
struct lh_table_record {
    uint64_t id;
    uint64_t name_space;
    char *name;              /* full, "ns.t" */
    enum lh_table_format format;
    uint32_t flags;          /* LH_TABLE_* */
    uint64_t created_us;
    uint64_t state;          /* dataset ids, 0: not made yet */
    uint64_t paths;
    char *opaque;            /* NULL: native */
    char *origin;            /* NULL: not imported */
    uint64_t dropped_us;     /* of a dropped one; 0: not noted */
};
#define LH_TABLE_EXTERNAL 1u
#define LH_TABLE_DROPPED 2u
#define LH_TABLE_IMPORTED 4u

/* Protocol and metaData in force, shared and immutable. */
struct lh_meta {
    atomic_uint refs;
    uint64_t metadata_version;   /* which versions set them */
    uint64_t protocol_version;
    struct lh_buffer bytes;      /* both, compact form: protocol, metaData */
    size_t protocol_size;
    struct lh_decoder decoder;
    struct lh_action protocol;
    struct lh_action metadata;
    uint32_t rules;              /* LH_RULE_* */
    int isolation;               /* enum lh_isolation, or -1: the table does not say */
    struct lh_partition_keys partitions;
    bool partitions_known;       /* false: the schema can't be read */
    struct lh_duties duties;
    char refusal[160];           /* why commits are refused: "writer feature x"; empty: they are not */
    struct lh_slice clustering;  /* configuration of the domain delta.clustering; empty: none */
    struct lh_arena arena;
};
/* What a head's meta is made of: compact forms and a text, all copied. */
struct lh_meta_source {
    struct lh_slice protocol, metadata, clustering;
    uint64_t protocol_version, metadata_version;
    enum lh_table_format format;
};
vde_status lh_meta_create(const struct lh_meta_source *source, struct lh_meta **ret_meta);
struct lh_meta *lh_meta_ref(struct lh_meta *meta);
void lh_meta_unref(struct lh_meta *meta);

#define LH_RECENT_MAX 128u
#define LH_RECENT_BYTES_MAX (256u * 1024u)
struct lh_recent {
    uint64_t version;
    uint8_t *data;
    size_t size;
};

/* A table in memory. Never freed before lh_close(), so that a pointer stays good; `dropped` says that it is over. */
struct lh_head {
    struct lh_lock lock;
    uint64_t id;
    struct lh_lakehouse *lakehouse;
    /* guarded by lock */
    bool loaded;
    bool dropped;
    uint64_t drop_lsn;
    struct lh_table_record record;
    uint64_t latest;             /* LH_NO_VERSION before version 0 */
    uint64_t lsn;
    uint64_t time_us;
    struct lh_meta *meta;        /* NULL for opaque tables */
    uint64_t snapshot_id;        /* Iceberg: current, 0: none */
    int64_t row_highest;         /* highest row id given out; -1: none */
    struct lh_hash_map apps;     /* application id -> number = version */
    struct lh_arena apps_arena;
    struct lh_recent recent[LH_RECENT_MAX]; /* ring by version, newest at (latest % MAX) */
    uint64_t recent_first;       /* oldest version that the ring holds; > latest when it is empty */
    size_t recent_bytes;
    uint64_t tail_actions;       /* since the last root */
    uint64_t files;              /* about as many are active */
    uint64_t root_files;
    bool flushing;
    uint64_t flush_after;        /* after a failure: not before the tail is so long */
};

struct lh_described;
#define LH_DESCRIBED_MAX 64u

struct lh_lakehouse {
    /* immutable after open */
    vde_image *image;
    char uuid[LH_UUID_TEXT];
    bool read_only;
    uint32_t flags;
    uint64_t catalog;            /* dataset ids, 0 in a read-only image without tables */
    uint64_t files;
    uint64_t record_limit;
    struct lh_lock names;
    struct lh_lock heads_lock;
    /* guarded by heads_lock */
    struct lh_hash_map by_name;  /* keys borrow from heads; number = pointer */
    struct lh_head **heads;      /* open addressing by id */
    size_t head_slots, head_count;
    struct lh_lock described_lock;
    struct lh_described *described[LH_DESCRIBED_MAX]; /* guarded by described_lock; by hash of the table's id */
    /* atomic */
    atomic_ullong nonce;
    atomic_ullong commits, conflicts, queries_latest, queries_version, queries_time, replayed, states_written,
        state_failures, lock_wait_max_us;
};

/* --- open.c --- */
/* Random bytes for ids: a seeded counter through a mixer; unique, not secret. */
uint64_t lh_random64(struct lh_lakehouse *lakehouse);
void lh_uuid_random(struct lh_lakehouse *lakehouse, uint8_t uuid[16]);
void lh_uuid_text(const uint8_t uuid[16], char text[LH_UUID_TEXT]);
bool lh_uuid_parse(const char *text, uint8_t uuid[16]);
uint64_t lh_now_us(void);
vde_status lh_writable(const struct lh_lakehouse *lakehouse);
void lh_note_wait(struct lh_lakehouse *lakehouse, uint64_t wait_us);

/* --- import.c --- */
/* Remove what an interrupted import left. */
vde_status lh_import_clean(struct lh_lakehouse *lakehouse, uint64_t table);

/* --- head.c --- */
/* The head of a table by id, made if missing; not locked, maybe not loaded. NULL: out of memory. */
struct lh_head *lh_head_get(struct lh_lakehouse *lakehouse, uint64_t id);
/* By name: cached, or through a view. LH_TABLE_NOT_FOUND, LH_NAME. */
vde_status lh_head_find(struct lh_lakehouse *lakehouse, struct lh_slice name, struct lh_head **ret_head);
/* Forget a cached name. */
void lh_head_forget(struct lh_lakehouse *lakehouse, struct lh_head *head);
void lh_head_lock(struct lh_head *head);
void lh_head_unlock(struct lh_head *head);
/* With the lock held: read record, latest version, meta and applications. Sets `dropped` when there is no such table. */
vde_status lh_head_load(struct lh_head *head);
/* With the lock held: a new table, nothing to load. */
void lh_head_start(struct lh_head *head, const struct lh_table_record *record);
/* With the lock held: version `version` with these entry bytes was submitted. Takes over `meta` (NULL: unchanged). */
void lh_head_advance(struct lh_head *head, uint64_t version, struct vde_commit commit, const void *data, size_t size,
                     struct lh_meta *meta);
/* With the lock held: entry bytes of a recent version, or NULL. */
const struct lh_recent *lh_head_recent(const struct lh_head *head, uint64_t version);
/* With the lock held: whether so much was committed since the last root that one should be written. */
bool lh_head_wants_root(const struct lh_head *head);
/* With the lock held: the table has a name again; what is known of it is read anew. */
void lh_head_revive(struct lh_head *head);
void lh_heads_free(struct lh_lakehouse *lakehouse);

/* --- flush.c --- */
/* Write a root if one is due and nobody does it. Never fails: what can't be written now is written later. */
void lh_flush_if_due(struct lh_head *head);
#endif
