/* SPDX-License-Identifier: Apache-2.0 */
/* places.h -- where the bytes of a listed file are: in the image, outside it, or nowhere. */
#ifndef VDECTL_PLACES_H
#define VDECTL_PLACES_H

#include "cli.h"

/* Percent-decoding of a path in the log, for finding the stored file that it names. The caller's to free. */
char *log_path_decode(const char *path);

/* The files stored for one table, to look paths up in. */
struct places {
    struct lh_stored_files *stored;
    bool external; /* the table was imported by reference: what is not stored lies outside */
};
vde_status places_open(lh_lakehouse *lakehouse, const struct lh_table_info *info, struct places *ret_places);
void places_close(struct places *places);
/* "image", "outside" or "missing" for a path as the log has it. */
const char *places_find(const struct places *places, const char *path);

#endif
