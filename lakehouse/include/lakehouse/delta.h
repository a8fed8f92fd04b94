/* SPDX-License-Identifier: Apache-2.0 */
/* delta.h -- Delta Lake tables in and out of the image. See lakehouse.h for memory, durability and threads. */
#ifndef LAKEHOUSE_DELTA_H
#define LAKEHOUSE_DELTA_H

#include <lakehouse/table.h>

#ifdef __cplusplus
extern "C" {
#endif

/* done and total in bytes; total 0 while unknown. */
typedef void (*lh_progress_fn)(void *context, const char *step, uint64_t done, uint64_t total);

struct lh_import {
    uint32_t size;               /* sizeof(struct lh_import) */
    uint32_t flags;              /* LH_IMPORT_* */
    const char *table;           /* NULL: the folder's name in namespace "default" */
    lh_progress_fn progress;     /* may be NULL */
    void *context;
};
#define LH_IMPORT_REFERENCE 1u   /* leave data files where they are; they are never deleted by us */
#define LH_IMPORT_DRY_RUN 2u     /* only look: fills the report, changes nothing */
#define LH_IMPORT_CREATE_NAMESPACE 4u /* create missing namespaces */
#define LH_IMPORT_INIT { sizeof(struct lh_import), 0, 0, 0, 0 }

enum lh_import_outcome { LH_IMPORT_NATIVE = 1, LH_IMPORT_OPAQUE = 2, LH_IMPORT_REFUSED = 3 };
struct lh_import_report {
    enum lh_import_outcome outcome;
    const char *table;
    const char *reason;          /* opaque or refused: why; native: which feature commits lack, NULL: none */
    uint64_t versions;
    uint64_t actions;
    uint64_t log_bytes;
    uint64_t log_files_kept;     /* checkpoints, .crc and others, kept as they came */
    uint64_t log_files_dropped;  /* side files of file systems and staging names */
    uint64_t data_files;         /* named by any retained version */
    uint64_t data_bytes;
    uint64_t missing_files;      /* named, but not there: accepted */
    uint64_t active_missing;     /* of them named by the latest version */
    uint64_t external_files;     /* left outside */
    uint64_t bytes_needed;       /* in the image */
    size_t warning_count;
    const char *const *warnings;
};
/* Import the Delta table in folder `dir`: every version with its bytes and time, all or nothing. A refused table leaves
 * the image unchanged and returns LH_REFUSED with the report filled. `ret_report` may be NULL; it is also given on
 * LH_REFUSED. Statuses: LH_REFUSED, LH_TABLE_EXISTS, LH_NAMESPACE_NOT_FOUND, LH_NAME, VDE_NOT_FOUND (no such folder, no
 * log in it), VDE_NOSPC. */
LH_API LH_MUST_CHECK vde_status lh_delta_import(lh_lakehouse *lakehouse, const char *dir, const struct lh_import *import,
                                                struct lh_import_report **ret_report);

struct lh_export {
    uint32_t size;               /* sizeof(struct lh_export) */
    uint32_t flags;              /* LH_EXPORT_* */
    lh_progress_fn progress;
    void *context;
};
#define LH_EXPORT_LOG_ONLY 1u    /* NNN.json files only */
#define LH_EXPORT_FROM_STATE 2u  /* print every commit from its decoded actions instead of its kept bytes */
#define LH_EXPORT_STRICT 4u      /* missing data files are a failure */
#define LH_EXPORT_INIT { sizeof(struct lh_export), 0, 0, 0 }

struct lh_export_report {
    uint64_t versions;
    uint64_t log_bytes;
    uint64_t log_files;          /* beside the commits */
    uint64_t data_files;
    uint64_t data_bytes;
    uint64_t missing_files;
    uint64_t external_files;
    size_t warning_count;
    const char *const *warnings;
};
/* Write the table as a folder with its _delta_log. `dir` is created; it must not exist or be empty. Statuses:
 * LH_TABLE_NOT_FOUND, VDE_EXISTS (the folder holds something), VDE_IO, LH_FILE_NOT_FOUND with STRICT. */
LH_API LH_MUST_CHECK vde_status lh_delta_export(lh_lakehouse *lakehouse, const char *table, const char *dir,
                                                const struct lh_export *options, struct lh_export_report **ret_report);

#ifdef __cplusplus
}
#endif
#endif
