/* SPDX-License-Identifier: Apache-2.0 */
/* volume_subject.h -- volumes, snapshots, clones and image snapshots as a subject for the explorer and for programs that make
 * requests and allocations fail. */
#ifndef TESTS_CRASH_VOLUME_SUBJECT_H
#define TESTS_CRASH_VOLUME_SUBJECT_H

#include "explore.h"
#include "volume_model.h"

enum volume_kind {
    WRITE, WRITE_PART, WRITE_SPAN, WRITE_FUA, WRITE_PACKED, WRITE_FRAME, WRITE_CLONE, FLUSH, DISCARD, DISCARD_PACKED, ZEROES,
    SNAPSHOT, UNSNAPSHOT, ROLLBACK, CLONE, UNCLONE, IMAGE_SNAPSHOT, IMAGE_UNSNAPSHOT, IMAGE_ROLLBACK, GROW,
    SHRINK, DROP, RENAME, CHECKPOINT, REOPEN, VOLUME_KINDS
};

/* A workload with every operation in it, and its length. */
extern const unsigned volume_workload[];
extern const unsigned volume_workload_length;

/* An image with room, and one that is full: there operations that need space may be refused, those that give some back
 * may not. */
extern const struct subject volume_subject;
extern const struct subject full_volume_subject;
#endif
