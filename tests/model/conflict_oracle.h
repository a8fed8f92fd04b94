/* SPDX-License-Identifier: Apache-2.0 */
/* conflict_oracle.h -- what Spark's rules say of one commit after another, on sets of small numbers: files, days, features.
 * It knows which files a reader saw, where the engine must conclude that from what it was told. */
#ifndef TESTS_CONFLICT_ORACLE_H
#define TESTS_CONFLICT_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#define DAYS 3u
#define ACTIVE_MAX 192u
#define LIST_MAX 8u
#define APPS 2u
#define DOMAINS 2u
#define FEATURES 5u
#define SOFT_FEATURES 3u /* the first ones bind nobody when they are added */
#define KEPT 12u         /* versions back that a transaction may have read */

struct file {
    uint32_t number;
    uint8_t day;
    uint32_t vector; /* 0: none */
    bool rearranged; /* came without a change of data: rows of older files, so that their readers have read it */
};
struct files {
    unsigned count;
    struct file items[ACTIVE_MAX];
};

/* A table at one version. */
struct table_state {
    struct files active;
    int64_t apps[APPS];
    unsigned features; /* bits */
    unsigned columns;
};

enum metadata_change { METADATA_NONE, METADATA_SOFT, METADATA_HARD, METADATA_SCHEMA };
enum protocol_change { PROTOCOL_NONE, PROTOCOL_ADDS_SOFT, PROTOCOL_BINDS };

/* One table's part in a transaction. */
struct part {
    unsigned table;
    int64_t read_version;
    bool reads_all;
    unsigned read_days;          /* bits; 0: no predicate */
    struct file read_files[LIST_MAX];
    unsigned read_file_count;
    struct file adds[LIST_MAX], removes[LIST_MAX];
    unsigned add_count, remove_count;
    bool data;                   /* file actions change data */
    int remove_day;              /* -1: none. Resolved when committing */
    struct files taken;          /* what it took, once committed */
    int app, read_app, domain;   /* -1: none */
    int64_t app_version;
    enum metadata_change metadata;
    enum protocol_change protocol;
    unsigned features;           /* after it */
    int64_t expect;              /* -1: any */
    struct files seen;           /* active at the read version */
};

enum verdict {
    VERDICT_NONE,
    VERDICT_PROTOCOL,
    VERDICT_METADATA,
    VERDICT_DOMAIN,
    VERDICT_APP,
    VERDICT_APPEND,
    VERDICT_DELETE_READ,
    VERDICT_DELETE_DELETE,
    VERDICT_WRITE,
    VERDICT_APPLIED,
};

const struct file *files_find(const struct files *files, uint32_t number);
void files_remove(struct files *files, uint32_t number);
/* Whether the part, judged after a winner of the same table, spoils. */
enum verdict judge(const struct part *loser, bool write_serializable, const struct part *winner);
/* The next state. Fills part->taken. */
void apply(struct table_state *state, struct part *part);
bool part_is_empty(const struct part *part);
#endif
