/* SPDX-License-Identifier: Apache-2.0 */
/* engine_subject.h -- the operations of libvde as a subject for the explorer and for programs that make I/O fail. */
#ifndef TESTS_CRASH_ENGINE_SUBJECT_H
#define TESTS_CRASH_ENGINE_SUBJECT_H

#include "explore.h"

extern const struct subject engine_subject;
#endif
