/* SPDX-License-Identifier: Apache-2.0 */
/* status.h -- statuses of liblakehouse. They continue the engine's list (vde/error.h) and share its thread-local detail:
 * read it with vde_last_error(). lh_open() registers the names, so that vde_status_name() knows them too.
 * Numbers are never reused. Threads: all functions may be called from any thread. */
#ifndef LAKEHOUSE_STATUS_H
#define LAKEHOUSE_STATUS_H

#include <vde/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_API VDE_API
#define LH_MUST_CHECK VDE_MUST_CHECK

/* x(name, number, text) */
#define LH_STATUS_LIST(x)                                                                                              \
    x(NAMESPACE_EXISTS, 100, "the namespace exists already")                                                           \
    x(NAMESPACE_NOT_FOUND, 101, "no such namespace")                                                                   \
    x(NAMESPACE_NOT_EMPTY, 102, "the namespace is not empty")                                                          \
    x(TABLE_EXISTS, 103, "the table exists already")                                                                   \
    x(TABLE_NOT_FOUND, 104, "no such table")                                                                           \
    x(VERSION_EXISTS, 105, "the version exists already")                                                               \
    x(VERSION_NOT_FOUND, 106, "no such version")                                                                       \
    x(FILE_EXISTS, 107, "the file exists already")                                                                     \
    x(FILE_NOT_FOUND, 108, "no such file")                                                                             \
    x(SNAPSHOT_EXISTS, 109, "the snapshot exists already")                                                             \
    x(SNAPSHOT_NOT_FOUND, 110, "no such snapshot")                                                                     \
    x(SCHEMA, 111, "the schema is not valid")                                                                          \
    x(SCHEMA_INCOMPATIBLE, 112, "the schema may not follow the present one")                                           \
    x(VALIDATION, 113, "the request is not valid")                                                                     \
    x(CONFLICT, 114, "a concurrent commit conflicts")                                                                  \
    x(ALREADY_APPLIED, 115, "the application's transaction was applied before")                                        \
    x(WRITE, 116, "a data file could not be written")                                                                  \
    x(ROLLBACK, 117, "the transaction was rolled back")                                                                \
    x(COMPACTION, 118, "compaction failed")                                                                            \
    x(OPAQUE, 119, "the table needs something that is not supported; only its log can be read and exported")           \
    x(JSON, 120, "not valid JSON, or not of the expected form")                                                        \
    x(NAME, 121, "the name is not valid")                                                                              \
    x(GROUP_NOT_FOUND, 122, "no such transaction group")                                                               \
    x(REFUSED, 123, "the foreign table can't be imported")                                                             \
    x(TAG_EXISTS, 124, "the tag exists already")                                                                       \
    x(TAG_NOT_FOUND, 125, "no such tag")                                                                               \
    x(FEATURE, 127, "a feature of the table does not let the commit in")

enum {
#define LH_STATUS_ENUM(name, number, text) LH_##name = (number),
    LH_STATUS_LIST(LH_STATUS_ENUM)
#undef LH_STATUS_ENUM
};

/* Which rule a LH_CONFLICT broke; the names are those of Delta's writers. The detail's `found` begins with the name. A
 * retryable conflict (vde_error.retryable) may succeed when the caller reads again and rebuilds its actions; a fatal one
 * does not go away by that. */
enum lh_conflict {
    LH_CONFLICT_NONE = 0,
    LH_CONFLICT_CONCURRENT_APPEND,        /* retryable: a file was added that this transaction should have read */
    LH_CONFLICT_CONCURRENT_DELETE_READ,   /* retryable: a file that was read was removed */
    LH_CONFLICT_CONCURRENT_DELETE_DELETE, /* retryable: a file that is removed here was removed already */
    LH_CONFLICT_CONCURRENT_WRITE,         /* retryable: the new version is not the expected one; fatal for a new table */
    LH_CONFLICT_METADATA_CHANGED,         /* retryable: schema or properties changed, in both or so that it binds writers */
    LH_CONFLICT_PROTOCOL_CHANGED,         /* retryable: the protocol changed likewise; what it asks for is told then */
    LH_CONFLICT_CONCURRENT_TRANSACTION    /* fatal: another instance of the application; retryable: the same domain */
};
/* Rule of the calling thread's last LH_CONFLICT; NONE when its last failure was another. */
LH_API enum lh_conflict lh_last_conflict(void);
/* "ConcurrentAppend" and so on; "" for NONE. Static storage. */
LH_API const char *lh_conflict_name(enum lh_conflict conflict);

/* As vde_status_name / vde_status_text, also before any lh_open(). Static storage. */
LH_API const char *lh_status_name(vde_status status);
LH_API const char *lh_status_text(vde_status status);

#ifdef __cplusplus
}
#endif
#endif
