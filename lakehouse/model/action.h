/* SPDX-License-Identifier: Apache-2.0 */
/* action.h -- one entry of a table's commit: Delta's actions with every field, and Iceberg's facts beside them.
 *
 * Three forms and the ways between: Delta JSON (one line of a commit), struct lh_action, and compact bytes (versioned,
 * read with bounds checks). Nothing is lost on the way: what has no field, or a spelling that the field can't give back,
 * is kept as raw JSON members in `extra`. So a printed action equals the original as JSON values with number text compared.
 *
 * Each part (struct with `set`) tells field by field what it holds, by bit:
 *   set   the field has a value that can be used
 *   null  the original has an explicit null: printed as null
 *   raw   the text stands in `extra` and is printed from there (the value may be set as well: "size":1e3)
 *
 * Slices borrow from the decoded text or from the decoder's arena. */
#ifndef LH_MODEL_ACTION_H
#define LH_MODEL_ACTION_H

#include "model/buffer.h"
#include "model/json.h"

/* Written to disk: never renumber. */
enum lh_action_kind {
    LH_ACTION_UNKNOWN = 0,           /* kept whole in lh_action.line */
    LH_ACTION_ADD = 1,
    LH_ACTION_REMOVE = 2,
    LH_ACTION_CDC = 3,
    LH_ACTION_METADATA = 4,
    LH_ACTION_PROTOCOL = 5,
    LH_ACTION_TXN = 6,
    LH_ACTION_DOMAIN = 7,
    LH_ACTION_COMMIT_INFO = 8,
    LH_ACTION_ADD_PARTITION = 9,     /* native only: prints nothing into foreign logs */
    LH_ACTION_REMOVE_PARTITION = 10, /* native only: a record of intent; the removes stand beside it */
    LH_ACTION_KIND_COUNT
};

struct lh_pair {
    struct lh_slice key;
    struct lh_slice value;
    bool null;
};
/* In document order; with duplicate keys the last counts: use lh_map_find(). */
struct lh_map {
    struct lh_pair *pairs;
    uint32_t count;
};
struct lh_list {
    struct lh_slice *items;
    uint32_t count;
};

/* What every part begins with. */
struct lh_part {
    uint32_t set;
    uint32_t null;
    uint32_t raw;
    struct lh_slice extra;           /* members without braces, comma separated: "a":1,"b":[] */
};
#define LH_BIT(n) (1u << (n))
/* lh_has(&file.part, LH_FILE_STATS) */
static inline bool lh_has(const struct lh_part *part, uint32_t bit) { return (part->set & bit) != 0; }

/* --- add, remove, cdc, partitions ------------------------------------------------------------------------------- */
struct lh_dv {
    struct lh_part part;
    struct lh_slice storage_type;    /* u, i or p */
    struct lh_slice path_or_inline;
    int64_t offset;
    int64_t size_bytes;
    int64_t cardinality;
};
#define LH_DV_STORAGE_TYPE LH_BIT(0)
#define LH_DV_PATH LH_BIT(1)
#define LH_DV_OFFSET LH_BIT(2)
#define LH_DV_SIZE LH_BIT(3)
#define LH_DV_CARDINALITY LH_BIT(4)

struct lh_file_action {
    struct lh_part part;
    struct lh_slice path;            /* as in the log: URI-encoded, relative or absolute */
    struct lh_map partition_values;
    int64_t size_bytes;
    int64_t modification_time_ms;
    int64_t deletion_timestamp_ms;
    bool data_change;
    bool extended_file_metadata;
    struct lh_slice stats;           /* JSON text */
    struct lh_map tags;
    struct lh_dv dv;                 /* iff LH_FILE_DV is set */
    int64_t base_row_id;
    int64_t default_row_commit_version;
    struct lh_slice clustering_provider;
};
#define LH_FILE_PATH LH_BIT(0)
#define LH_FILE_PARTITION_VALUES LH_BIT(1)
#define LH_FILE_SIZE LH_BIT(2)
#define LH_FILE_MODIFICATION_TIME LH_BIT(3)
#define LH_FILE_DELETION_TIMESTAMP LH_BIT(4)
#define LH_FILE_DATA_CHANGE LH_BIT(5)
#define LH_FILE_EXTENDED_METADATA LH_BIT(6)
#define LH_FILE_STATS LH_BIT(7)
#define LH_FILE_TAGS LH_BIT(8)
#define LH_FILE_DV LH_BIT(9)
#define LH_FILE_BASE_ROW_ID LH_BIT(10)
#define LH_FILE_DEFAULT_ROW_COMMIT_VERSION LH_BIT(11)
#define LH_FILE_CLUSTERING_PROVIDER LH_BIT(12)

/* --- metaData --------------------------------------------------------------------------------------------------- */
struct lh_format_spec {
    struct lh_part part;
    struct lh_slice provider;
    struct lh_map options;
};
#define LH_FORMAT_PROVIDER LH_BIT(0)
#define LH_FORMAT_OPTIONS LH_BIT(1)

struct lh_metadata {
    struct lh_part part;
    struct lh_slice id;
    struct lh_slice name;
    struct lh_slice description;
    struct lh_format_spec format;    /* iff LH_META_FORMAT is set */
    struct lh_slice schema_string;
    struct lh_list partition_columns;
    int64_t created_time_ms;
    struct lh_map configuration;
};
#define LH_META_ID LH_BIT(0)
#define LH_META_NAME LH_BIT(1)
#define LH_META_DESCRIPTION LH_BIT(2)
#define LH_META_FORMAT LH_BIT(3)
#define LH_META_SCHEMA LH_BIT(4)
#define LH_META_PARTITION_COLUMNS LH_BIT(5)
#define LH_META_CREATED_TIME LH_BIT(6)
#define LH_META_CONFIGURATION LH_BIT(7)

/* --- the small ones --------------------------------------------------------------------------------------------- */
struct lh_protocol {
    struct lh_part part;
    int64_t min_reader_version;
    int64_t min_writer_version;
    struct lh_list reader_features;
    struct lh_list writer_features;
};
#define LH_PROTOCOL_READER LH_BIT(0)
#define LH_PROTOCOL_WRITER LH_BIT(1)
#define LH_PROTOCOL_READER_FEATURES LH_BIT(2)
#define LH_PROTOCOL_WRITER_FEATURES LH_BIT(3)

struct lh_app_txn {
    struct lh_part part;
    struct lh_slice app_id;
    int64_t version;
    int64_t last_updated_ms;
};
#define LH_TXN_APP_ID LH_BIT(0)
#define LH_TXN_VERSION LH_BIT(1)
#define LH_TXN_LAST_UPDATED LH_BIT(2)

struct lh_domain {
    struct lh_part part;
    struct lh_slice domain;
    struct lh_slice configuration;
    bool removed;
};
#define LH_DOMAIN_NAME LH_BIT(0)
#define LH_DOMAIN_CONFIGURATION LH_BIT(1)
#define LH_DOMAIN_REMOVED LH_BIT(2)

struct lh_commit_info {
    struct lh_part part;
    int64_t timestamp_ms;
    int64_t in_commit_timestamp_ms;
    struct lh_slice operation;
    struct lh_slice operation_parameters; /* raw JSON */
    struct lh_slice operation_metrics;    /* raw JSON */
    int64_t read_version;
    struct lh_slice isolation_level;
    bool is_blind_append;
    struct lh_slice user_metadata;
    struct lh_slice engine_info;
    struct lh_slice txn_id;
    struct lh_slice tags;                 /* raw JSON */
    int64_t version;
};
#define LH_INFO_TIMESTAMP LH_BIT(0)
#define LH_INFO_IN_COMMIT_TIMESTAMP LH_BIT(1)
#define LH_INFO_OPERATION LH_BIT(2)
#define LH_INFO_OPERATION_PARAMETERS LH_BIT(3)
#define LH_INFO_OPERATION_METRICS LH_BIT(4)
#define LH_INFO_READ_VERSION LH_BIT(5)
#define LH_INFO_ISOLATION_LEVEL LH_BIT(6)
#define LH_INFO_IS_BLIND_APPEND LH_BIT(7)
#define LH_INFO_USER_METADATA LH_BIT(8)
#define LH_INFO_ENGINE_INFO LH_BIT(9)
#define LH_INFO_TXN_ID LH_BIT(10)
#define LH_INFO_TAGS LH_BIT(11)
#define LH_INFO_VERSION LH_BIT(12)

/* Iceberg's facts: of a file (add, remove), of the schema (metaData) or of the snapshot (commitInfo). */
struct lh_iceberg {
    struct lh_part part;
    int64_t snapshot_id;
    int64_t parent_snapshot_id;
    int64_t sequence_number;
    int64_t file_sequence_number;
    int64_t schema_id;
    int64_t spec_id;
    int64_t sort_order_id;
    int64_t first_row_id;
    int64_t added_rows;
    int64_t last_column_id;
    int64_t content;                 /* 0 data, 1 position deletes, 2 equality deletes */
    struct lh_slice file_format;
    int64_t record_count;
    struct lh_map summary;
    int64_t last_partition_id;
    struct lh_slice table_uuid;
    struct lh_slice partition_specs;      /* raw JSON: all of the table's, spec_id is the one in force */
};
#define LH_ICE_SNAPSHOT_ID LH_BIT(0)
#define LH_ICE_PARENT_SNAPSHOT_ID LH_BIT(1)
#define LH_ICE_SEQUENCE_NUMBER LH_BIT(2)
#define LH_ICE_FILE_SEQUENCE_NUMBER LH_BIT(3)
#define LH_ICE_SCHEMA_ID LH_BIT(4)
#define LH_ICE_SPEC_ID LH_BIT(5)
#define LH_ICE_SORT_ORDER_ID LH_BIT(6)
#define LH_ICE_FIRST_ROW_ID LH_BIT(7)
#define LH_ICE_ADDED_ROWS LH_BIT(8)
#define LH_ICE_LAST_COLUMN_ID LH_BIT(9)
#define LH_ICE_CONTENT LH_BIT(10)
#define LH_ICE_FILE_FORMAT LH_BIT(11)
#define LH_ICE_RECORD_COUNT LH_BIT(12)
#define LH_ICE_SUMMARY LH_BIT(13)
#define LH_ICE_LAST_PARTITION_ID LH_BIT(14)
#define LH_ICE_TABLE_UUID LH_BIT(15)
#define LH_ICE_PARTITION_SPECS LH_BIT(16)

struct lh_action {
    enum lh_action_kind kind;
    union {
        struct lh_part part;         /* of whichever it is, but UNKNOWN */
        struct lh_file_action file;  /* ADD, REMOVE, CDC, ADD_PARTITION, REMOVE_PARTITION */
        struct lh_metadata metadata;
        struct lh_protocol protocol;
        struct lh_app_txn txn;
        struct lh_domain domain;
        struct lh_commit_info info;
    };
    struct lh_slice line;            /* UNKNOWN: the whole line. Others: further members of the line, as `extra` */
    struct lh_iceberg iceberg;       /* part.set == 0: none */
};

/* Name of the action's member in Delta JSON ("add"), "addPartition" and the like for the native ones. */
const char *lh_action_name(enum lh_action_kind kind);

/* What decoding needs: a token array and memory for what can't be borrowed. One decoder decodes many actions; they stay
 * valid until lh_decoder_reset(), and as long as the text that they borrow from. */
struct lh_decoder {
    struct lh_json json;
    struct lh_arena arena;
};
#define LH_DECODER_INIT {LH_JSON_INIT, LH_ARENA_INIT}
void lh_decoder_done(struct lh_decoder *decoder);
void lh_decoder_reset(struct lh_decoder *decoder);

/* Decode one line of a commit. INVAL: no JSON, no object, two known actions in one line, or a known action that is no
 * object. A field of an unexpected type is no failure: it is kept raw and not set. */
vde_status lh_action_from_json(struct lh_decoder *decoder, struct lh_slice line, struct lh_action *ret_action);
/* The same from an already indexed document's object: for our own transaction documents. */
vde_status lh_action_from_tokens(struct lh_decoder *decoder, const struct lh_json *json, uint32_t object,
                                 struct lh_action *ret_action);
/* Append the Delta JSON line without line end; nothing for the native-only kinds. */
void lh_action_to_json(const struct lh_action *action, struct lh_buffer *out);

/* Append the compact form: self-delimiting, so that many may stand in a row. */
void lh_action_to_bytes(const struct lh_action *action, struct lh_buffer *out);
/* Append an add with both row ids set, but without their values: these go in at the returned place of the buffer, each as a
 * zigzag number, once they are known. */
size_t lh_add_to_bytes_open(const struct lh_action *add, struct lh_buffer *out);
/* Decode the compact form at the reader's offset and move behind it. Any bytes are safe; CORRUPT when they are no action
 * or of a later version. Slices borrow from the reader's bytes. */
vde_status lh_action_from_bytes(struct lh_decoder *decoder, struct lh_reader *reader, struct lh_action *ret_action);

/* The last pair with this key, or NULL. */
const struct lh_pair *lh_map_find(const struct lh_map *map, struct lh_slice key);
bool lh_list_has(const struct lh_list *list, struct lh_slice item);
/* The same items in the same order. */
bool lh_list_equal(const struct lh_list *a, const struct lh_list *b);
/* Equal as maps: order and shadowed duplicates don't count. */
bool lh_map_equal(const struct lh_map *a, const struct lh_map *b);

/* Append a deletion vector's unique id: storageType + pathOrInlineDv [+ "@" + offset]. */
void lh_dv_unique_id(const struct lh_dv *dv, struct lh_buffer *out);
/* Append the key that tells logical files apart: path, and when there is a deletion vector the byte 0xFF (never part of
 * UTF-8) and its unique id. */
void lh_file_key(const struct lh_file_action *file, struct lh_buffer *out);
/* Rows in the file out of its statistics (physical rows; deletion vectors not deducted). False: unknown. */
bool lh_file_num_records(struct lh_decoder *decoder, const struct lh_file_action *file, int64_t *ret_rows);
#endif
