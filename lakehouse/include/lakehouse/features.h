/* SPDX-License-Identifier: Apache-2.0 */
/* features.h -- Delta's table features: which are understood, and what each asks of a commit.
 *
 * A table whose protocol names a reader feature that is not read is opaque: its log is kept and exported, its state is not
 * decoded. A writer feature that is not written, or one that is not listed here, lets the table be read; commits are refused
 * with LH_FEATURE and its name. Some rules can be kept only by whoever wrote the rows of a data file: commits that add data
 * to a table which uses such a feature name it with lh_txn_guarantee(), or are refused with LH_FEATURE. */
#ifndef LAKEHOUSE_FEATURES_H
#define LAKEHOUSE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lakehouse/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lh_feature {
    const char *name;
    bool reader;                   /* readers must know it, too */
    uint8_t legacy_reader_version; /* implied from this version on where there is no list; 0: never */
    uint8_t legacy_writer_version;
    bool read;                     /* tables that have it are read */
    bool written;                  /* and committed to */
    const char *checked;           /* what every commit is checked for or completed with; NULL: nothing */
    const char *guaranteed;        /* what only the data's writer can guarantee; NULL: nothing */
};
/* The features in a fixed order; NULL past the last. Static storage. */
LH_API const struct lh_feature *lh_feature_at(size_t index);

#ifdef __cplusplus
}
#endif
#endif
