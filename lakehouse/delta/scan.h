/* SPDX-License-Identifier: Apache-2.0 */
/* scan.h -- read a foreign log once and judge it, before anything is written. */
#ifndef LH_DELTA_SCAN_H
#define LH_DELTA_SCAN_H

#include "delta/folder.h"
#include "delta/refs.h"
#include "delta/warnings.h"

#define DELTA_REASON_SIZE 512u

struct delta_scan {
    enum lh_import_outcome outcome;
    char reason[DELTA_REASON_SIZE];      /* opaque or refused: why; native: why no commits are taken, else empty */
    uint64_t actions;
    uint64_t log_bytes;                  /* of the commits */
    struct delta_refs refs;
    struct delta_warnings warnings;
};
/* Judge the folder's log and set the commits' times. A log that must be refused is no failure: see `outcome`. */
vde_status delta_scan_log(struct delta_folder *folder, lh_progress_fn progress, void *context, struct delta_scan *ret_scan);
void delta_scan_done(struct delta_scan *scan);
#endif
