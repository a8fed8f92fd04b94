/* SPDX-License-Identifier: Apache-2.0 */
/* record.h -- the bytes of one entry of a table's stream: what one commit did to one table.
 *
 *   0  u8   layout, 1
 *   1  u8   table format
 *   2  le16 flags LH_RECORD_*
 *   4  16   group id, zero for imported versions
 *  20  16   commit id
 *  36  le64 Iceberg snapshot id, 0: none
 *  44  le64 Iceberg parent snapshot id, 0: none
 *  52  le32 count of group members, then for each {le64 table id, le64 version or all ones}
 *  ..  varints and sized texts: the summary; the count of actions; the actions in the model's compact form;
 *      with LH_RECORD_BYTES the original text.
 *
 * Fields up to and with the group members have fixed places, so that what is known only under the table locks (versions,
 * ids) is patched into a record that was encoded before they were taken. */
#ifndef LH_STATE_RECORD_H
#define LH_STATE_RECORD_H

#include "model/action.h"

#define LH_RECORD_LAYOUT 1u
#define LH_RECORD_HEAD_BYTES 56u
#define LH_RECORD_MEMBERS_MAX 65535u

/* Written to disk: never renumber. */
#define LH_RECORD_FOREIGN 0x0001u       /* came as bytes of another writer */
#define LH_RECORD_BYTES 0x0002u         /* the original text stands at the end */
#define LH_RECORD_UNDECODED 0x0004u     /* opaque table: no actions are decoded */
#define LH_RECORD_BLIND 0x0008u         /* only adds, nothing was read */
#define LH_RECORD_METADATA 0x0010u      /* has a metaData action */
#define LH_RECORD_METADATA_SOFT 0x0020u /* ... that binds no concurrent writer */
#define LH_RECORD_PROTOCOL 0x0040u
#define LH_RECORD_APP_TXN 0x0080u
#define LH_RECORD_DOMAIN 0x0100u
#define LH_RECORD_SCHEMA 0x0200u        /* schema or partitioning differ from the version before */
#define LH_RECORD_OWN_INFO 0x1000u      /* the commitInfo holds parameters only: the rest is made up when it is printed */
#define LH_RECORD_IN_COMMIT_TIME 0x0400u /* printed commits carry an in-commit timestamp */
#define LH_RECORD_PROTOCOL_SOFT 0x0800u /* has a protocol action that binds no concurrent writer */

struct lh_record_summary {
    uint64_t files_added, files_removed;
    int64_t bytes_added, bytes_removed;     /* INT64_MIN: unknown */
    int64_t records_added, records_removed;
    int64_t file_time_ns;
    int64_t schema_id;                      /* Iceberg; INT64_MIN elsewhere */
    struct lh_slice operation;
    struct lh_slice user_metadata;          /* data == NULL or size 0: none */
    struct lh_slice engine_info;
};
#define LH_RECORD_SUMMARY_INIT                                                                                         \
    { 0, 0, 0, 0, 0, 0, INT64_MIN, INT64_MIN, {NULL, 0}, {NULL, 0}, {NULL, 0} }

struct lh_record {
    uint8_t format;
    uint16_t flags;
    uint8_t group[16];
    uint8_t commit_id[16];
    uint64_t snapshot_id;
    uint64_t parent_snapshot_id;
    uint32_t member_count;
    const uint8_t *members;
    struct lh_record_summary summary;
    uint64_t action_count;
    struct lh_slice actions;                /* compact forms in a row */
    struct lh_slice bytes;                  /* original text */
};

/* Append a whole record; `record->members` may be NULL: room is left, to be patched. */
void lh_record_encode(const struct lh_record *record, struct lh_buffer *out);
/* Read one, bounds-checked; slices borrow from `data`. CORRUPT names `what`. */
vde_status lh_record_decode(const void *data, size_t size, const char *what, struct lh_record *ret_record);
/* Member `index` of a decoded record. */
void lh_record_member(const struct lh_record *record, uint32_t index, uint64_t *ret_table, uint64_t *ret_version);
/* Patch fixed fields of encoded bytes. */
void lh_record_patch_ids(uint8_t *data, const uint8_t group[16], const uint8_t commit_id[16]);
void lh_record_patch_snapshot(uint8_t *data, uint64_t snapshot_id, uint64_t parent_id);
void lh_record_patch_flags(uint8_t *data, uint16_t flags);
void lh_record_patch_member(uint8_t *data, uint32_t index, uint64_t table, uint64_t version);

/* Walk a record's actions. Each decoded action is valid until the next call, which resets the decoder's arena. */
struct lh_action_walk {
    struct lh_decoder *decoder;
    struct lh_reader reader;
    uint64_t left;
    uint32_t index;          /* of the action last returned */
    struct lh_slice encoded; /* its bytes */
};
void lh_action_walk_init(struct lh_action_walk *walk, struct lh_decoder *decoder, const struct lh_record *record);
/* VDE_NOT_FOUND at the end. */
vde_status lh_action_walk_next(struct lh_action_walk *walk, struct lh_action *ret_action);

/* What one action adds to a summary. */
void lh_summary_count(struct lh_record_summary *summary, struct lh_decoder *decoder, const struct lh_action *action);

static inline uint64_t lh_le64_get(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--)
        x = x << 8 | p[i];
    return x;
}
static inline void lh_le64_put(uint8_t *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> (8 * i));
}
/* Big-endian, so that the order of keys is the order of numbers. */
static inline uint64_t lh_be64_get(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x = x << 8 | p[i];
    return x;
}
static inline void lh_be64_put(uint8_t *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> (56 - 8 * i));
}
#endif
