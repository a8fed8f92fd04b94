/* SPDX-License-Identifier: Apache-2.0 */
/* warnings.h -- remarks collected on the way for a report: the first hundred in full, the others counted. */
#ifndef LH_DELTA_WARNINGS_H
#define LH_DELTA_WARNINGS_H

#include <lakehouse/status.h>

#include "model/buffer.h"

#define DELTA_WARNINGS_MAX 100u

struct delta_warnings {
    char *items[DELTA_WARNINGS_MAX + 1];
    size_t count;
    uint64_t left_out;
};
/* Lack of memory loses the remark, not the work. */
void delta_warn(struct delta_warnings *warnings, const char *format, ...) VDE_PRINTF(2, 3);
/* Add the closing remark on those left out. */
void delta_warnings_close(struct delta_warnings *warnings);
void delta_warnings_done(struct delta_warnings *warnings);

/* Memory for a report as one allocation for lh_free(): `report_size` bytes for the struct, which the caller copies there
 * last, then the array of warnings and all texts. *ret_warnings points to the array; each of `texts` is replaced by its copy
 * (NULL stays). NULL: out of memory. */
void *delta_report_pack(size_t report_size, const struct delta_warnings *warnings, const char *const **ret_warnings,
                        const char **texts[], size_t text_count);
#endif
