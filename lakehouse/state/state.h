/* SPDX-License-Identifier: Apache-2.0 */
/* state.h -- what a table is at one version: small objects (protocol, metaData, application transactions, domains,
 * registered partitions) and the active files.
 *
 * The latest version and any older one are the same code: the nearest written root at or before it, and on top the entries
 * of the stream since. A root is a snapshot (tag = version + 1) of the table's state dataset:
 *   'f' be64(file id)  -> le64 hash of the file's key, zigzag bytes, zigzag records, the add action in compact form
 *   'o' name           -> varint version that set it, sized name, the action in compact form (a name too long for a key
 *                         is cut and followed by its hash)
 *   's'                -> totals; outside snapshots missing while the next root is written in several transactions
 * A file id is (version that added it) << 32 | index of the action. Object names: "p", "m", "t"appId, "d"domain,
 * "x"partition. The path dataset, which no snapshot covers, holds be64(hash of key) -> be64(file id)... for the newest
 * root; it may run ahead of that root while a new one is being written, but only for keys that the tail names.
 *
 * A state belongs to one thread and to the view it was loaded from. */
#ifndef LH_STATE_STATE_H
#define LH_STATE_STATE_H

#include <vde/view.h>

#include "state/map.h"
#include "state/record.h"

struct lh_state_ids {
    uint64_t stream;
    uint64_t state; /* dataset, 0: no root was written yet */
    uint64_t paths;
};

struct lh_totals {
    uint64_t files;
    int64_t bytes;
    uint64_t bytes_unknown;   /* files without a size */
    int64_t records;
    uint64_t records_unknown; /* files without a count of records */
};

struct lh_state {
    struct lh_state_ids ids;
    uint64_t version;
    uint64_t root_tag;        /* 0: none */
    struct lh_totals root_totals;
    uint64_t replayed_entries;
    uint64_t replayed_actions;
    uint64_t time_us;         /* of the last replayed entry; 0: none was replayed */
    struct lh_hash_map objects;
    struct lh_hash_map files; /* what the tail says: live adds and removed keys */
    struct lh_arena arena;
    struct lh_decoder decoder;
    vde_view *view;           /* borrowed */
    vde_kv *root;             /* NULL: none */
    char what[320];           /* for messages: "table ns.t" */
};

/* Load the state at `version`, which must be visible in the view. The view must outlive the state. */
vde_status lh_state_load(vde_view *view, const struct lh_state_ids *ids, uint64_t version, const char *what,
                         struct lh_state **ret_state);
void lh_state_free(struct lh_state *state);
/* Apply one entry: also for states built in memory (view NULL). `data` is copied where it is kept. */
vde_status lh_state_apply(struct lh_state *state, uint64_t version, const void *data, size_t size);
/* An empty state that is not bound to a view. */
vde_status lh_state_create(const char *what, struct lh_state **ret_state);

/* Bytes of the object in compact form; size 0 when there is none. *ret_version (may be NULL): which version set it. */
struct lh_slice lh_state_object(const struct lh_state *state, char kind, struct lh_slice name, uint64_t *ret_version);
/* Decode protocol or metaData; LH_VALIDATION when the table has none. Slices borrow from the state and the decoder. */
vde_status lh_state_protocol(const struct lh_state *state, struct lh_decoder *decoder, struct lh_action *ret_action);
vde_status lh_state_metadata(const struct lh_state *state, struct lh_decoder *decoder, struct lh_action *ret_action);

struct lh_active_file {
    uint64_t id;
    struct lh_slice encoded; /* the add, compact form */
};
/* The active file with this key (lh_file_key). Only for states at the newest version of their view. LH_FILE_NOT_FOUND
 * without detail when there is none: the caller knows the better words. */
vde_status lh_state_find_file(struct lh_state *state, struct lh_slice key, struct lh_arena *arena,
                              struct lh_active_file *ret_file);

/* Active files in the order of their ids. `encoded` is valid until the next call. */
struct lh_file_cursor {
    struct lh_state *state;
    vde_cursor *cursor;
    struct lh_map_item **added;
    size_t added_count, added_next;
    struct lh_buffer value, key;
    bool moved;              /* the cursor stands on a record that was returned */
    bool ended;
};
vde_status lh_file_cursor_open(struct lh_state *state, struct lh_file_cursor *ret_cursor);
/* VDE_NOT_FOUND past the end. `ret_totals` (may be NULL) gets the file added to it. */
vde_status lh_file_cursor_next(struct lh_file_cursor *cursor, struct lh_active_file *ret_file,
                               struct lh_totals *ret_totals);
void lh_file_cursor_close(struct lh_file_cursor *cursor);
/* Totals of the active files. At the newest version of the view the files that the tail names are looked up in the root,
 * elsewhere all are read one by one. */
vde_status lh_state_totals(struct lh_state *state, struct lh_totals *ret_totals);

/* Key of a registered partition: its values as a JSON object, columns in byte order. */
void lh_partition_text(const struct lh_map *values, struct lh_buffer *out);
/* Whether a file's partition values are exactly these. */
bool lh_partition_equal(const struct lh_map *a, const struct lh_map *b);

/* Values of 'f' and 's' records. */
void lh_file_value_encode(uint64_t hash, struct lh_decoder *decoder, const struct lh_action *add, struct lh_slice encoded,
                          struct lh_buffer *out, struct lh_totals *totals);
void lh_totals_encode(const struct lh_totals *totals, struct lh_buffer *out);
/* Take away a file with these sizes (INT64_MIN: unknown). */
void lh_totals_take(struct lh_totals *totals, int64_t bytes, int64_t records);
/* Whether the path index names all files of the state's root: the root is the newest one and no later writing was begun. */
vde_status lh_state_index_fits(const struct lh_state *state, bool *ret_fits);

/* Write the state as the table's next root into its datasets (which exist), in as many transactions as the log's record
 * limit asks for; the last one makes the snapshot. An interrupted writing is repaired by the next. */
vde_status lh_state_write(vde_image *image, struct lh_state *state);
#endif
