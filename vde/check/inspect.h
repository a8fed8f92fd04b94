/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h -- the handle behind vde/inspect.h. */
#ifndef VDE_CHECK_INSPECT_H
#define VDE_CHECK_INSPECT_H

#include <vde/inspect.h>

#include "check/source.h"

struct vde_inspect {
    struct source source;
};
#endif
