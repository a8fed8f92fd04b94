/* SPDX-License-Identifier: Apache-2.0 */
/* path.h -- from the paths of a log to names in the table's folder: pure text. */
#ifndef LH_MODEL_PATH_H
#define LH_MODEL_PATH_H

#include "model/action.h"

/* "file:///x", "s3://b/x", "/x": not in the table's folder. */
bool delta_path_is_external(struct lh_slice path);
/* Append the path with its percent escapes decoded; malformed ones stay as they are. */
void delta_path_decode(struct lh_slice path, struct lh_buffer *out);
/* Append the path percent-encoded as Delta's writers do. */
void delta_path_encode(struct lh_slice path, struct lh_buffer *out);
/* A relative name that can be stored and written out again: no empty, "." or ".." part, no control characters, not in the
 * _delta_log, of bounded length. */
bool delta_path_is_storable(struct lh_slice name);
/* Append the name of the file that holds a deletion vector, relative to the table ("deletion_vector_<uuid>.bin"), or its
 * absolute path. False: it is inline, or malformed. */
bool delta_dv_path(const struct lh_dv *dv, struct lh_buffer *out);
#endif
