/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.h -- names and records in the kv dataset "lakehouse":
 *   'c'                       -> varint: next namespace id
 *   'N' be64(parent) leaf     -> varint: namespace id
 *   'n' be64(id)              -> namespace record
 *   'T' be64(namespace) leaf  -> varint: table id
 *   't' be64(id)              -> table record; kept, marked dropped, while the stream exists
 *   'i' be64(id)              -> table record of an import under way
 *   'k' key                   -> idempotency key: 16 bytes digest, 16 bytes group id
 *   'g' be64(table) name      -> tag: varint version, varint time of its making in us
 *   'x' be64(table) path      -> empty: a data file that was removed by force and not stored again since
 * The root namespace has id 0 and no record. Data files are in the dataset "lakehouse-files":
 *   be64(table) path          -> varint engine file, varint bytes, zigzag time in ns */
#ifndef LH_TXLOG_CATALOG_H
#define LH_TXLOG_CATALOG_H

#include "model/name.h"
#include "txlog/lakehouse.h"

#define LH_CATALOG_DATASET "lakehouse"
#define LH_FILES_DATASET "lakehouse-files"
#define LH_KEY_TEXT_MAX 700u

/* A key: a letter, a number, a text. */
struct lh_key {
    uint8_t data[16 + LH_KEY_TEXT_MAX + 8];
    size_t size;
};
void lh_key_number(struct lh_key *key, char letter, uint64_t number);
/* Texts over LH_KEY_TEXT_MAX are cut and followed by their hash. */
void lh_key_text(struct lh_key *key, char letter, uint64_t number, struct lh_slice text);

struct lh_catalog {
    struct lh_lakehouse *lakehouse;
    vde_view *view;
    vde_kv *kv;              /* NULL: the image has no tables yet */
};
/* `pending`: as of the newest submitted transaction; see vde_view_open_pending(). */
vde_status lh_catalog_open(struct lh_lakehouse *lakehouse, bool pending, struct lh_catalog *ret_catalog);
void lh_catalog_close(struct lh_catalog *catalog);
vde_status lh_catalog_get(struct lh_catalog *catalog, const struct lh_key *key, struct vde_bytes *ret_value);
/* A varint value. VDE_NOT_FOUND. */
vde_status lh_catalog_number(struct lh_catalog *catalog, const struct lh_key *key, uint64_t *ret_number);

/* Namespace id of a dotted name; "" is 0. LH_NAMESPACE_NOT_FOUND, LH_NAME. */
vde_status lh_catalog_namespace(struct lh_catalog *catalog, struct lh_slice name, uint64_t *ret_id);
/* Table id of a full name, and its record if asked for. LH_TABLE_NOT_FOUND, LH_NAME. */
vde_status lh_catalog_table(struct lh_catalog *catalog, struct lh_slice name, uint64_t *ret_id,
                            struct lh_table_record *ret_record);
/* Whether a table may get this full name, and the id of its namespace. LH_TABLE_EXISTS, LH_NAMESPACE_EXISTS,
 * LH_NAMESPACE_NOT_FOUND, LH_NAME. */
vde_status lh_catalog_name_free(struct lh_catalog *catalog, struct lh_slice name, uint64_t *ret_namespace);
/* Record by id, dropped ones included. LH_TABLE_NOT_FOUND. */
vde_status lh_catalog_record(struct lh_catalog *catalog, uint64_t id, struct lh_table_record *ret_record);
/* Walk the keys with a letter and number, calling `each` with the rest of the key; stops at its first failure. */
typedef vde_status (*lh_catalog_fn)(void *context, struct lh_slice rest, const void *value, size_t size);
vde_status lh_catalog_walk(struct lh_catalog *catalog, char letter, const uint64_t *number, lh_catalog_fn each,
                           void *context);

/* A tag of a table, by its name. LH_TAG_NOT_FOUND. */
struct lh_tag_record {
    uint64_t version;
    uint64_t created_us;
};
vde_status lh_catalog_tag(struct lh_catalog *catalog, const struct lh_table_record *table, struct lh_slice name,
                          struct lh_tag_record *ret_tag);
vde_status lh_tag_record_decode(const void *data, size_t size, struct lh_tag_record *ret_tag);

void lh_table_record_done(struct lh_table_record *record);
vde_status lh_table_record_copy(const struct lh_table_record *record, struct lh_table_record *ret_copy);
void lh_table_record_encode(const struct lh_table_record *record, struct lh_buffer *out);
vde_status lh_table_record_decode(uint64_t id, const void *data, size_t size, struct lh_table_record *ret_record);
/* Put the record under 't' or 'i'. */
vde_status lh_catalog_put_record(struct lh_lakehouse *lakehouse, vde_txn *txn, char letter,
                                 const struct lh_table_record *record);
/* Put or, with NULL, delete a varint. */
vde_status lh_catalog_put_number(struct lh_lakehouse *lakehouse, vde_txn *txn, const struct lh_key *key,
                                 const uint64_t *number);

/* "vde://<image>/<namespace>/<table>" of a full name. */
void lh_uri(const struct lh_lakehouse *lakehouse, const char *name, struct lh_buffer *out);
#endif
