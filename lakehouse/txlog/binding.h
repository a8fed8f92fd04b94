/* SPDX-License-Identifier: Apache-2.0 */
/* binding.h -- whether a change of protocol or metaData binds commits that were built before it. */
#ifndef LH_TXLOG_BINDING_H
#define LH_TXLOG_BINDING_H

#include "model/action.h"

/* A protocol change binds when it drops a feature or adds one that asks something of every writer at once. */
bool lh_protocol_binds(const struct lh_protocol *before, const struct lh_protocol *after);

/* A change of metaData binds unless all that differs is
 *   - configuration keys that Spark's checker allows, set to the values for which it does (row tracking, deletion vectors
 *     and in-commit timestamps turned on, columns mapped by name from now on, the highest column id, the checkpoint policy);
 *   - configuration keys that say nothing to who writes data: those outside "delta.", retention, checkpoint interval;
 *   - of the schema what column mapping by name adds to its fields, and high-water marks of identity columns.
 * `after_protocol` is the protocol in force after the change. NOMEM only. */
vde_status lh_metadata_binds(const struct lh_metadata *before, const struct lh_metadata *after,
                             const struct lh_protocol *after_protocol, bool *ret_binds);
#endif
