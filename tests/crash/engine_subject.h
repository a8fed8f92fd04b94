/* SPDX-License-Identifier: Apache-2.0 */
/* engine_subject.h -- the operations of libvde as a subject for the explorer and for programs that make I/O fail. */
#ifndef TESTS_CRASH_ENGINE_SUBJECT_H
#define TESTS_CRASH_ENGINE_SUBJECT_H

#include "explore.h"

enum engine_kind {
    PUT, PUT_LARGE, DELETE, APPEND, MULTI, CREATE, DROP, SNAPSHOT, UNSNAPSHOT, FILE_WRITE, FILE_REMOVE, STREAM_DROP,
    CHECKPOINT, REOPEN, SUBMIT, ENGINE_KINDS
};

/* A workload with every operation in it, and its length. */
extern const unsigned engine_workload[];
extern const unsigned engine_workload_length;

extern const struct subject engine_subject;
#endif
