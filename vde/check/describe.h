/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h -- keys and values of the engine's own datasets in words. */
#ifndef VDE_CHECK_DESCRIBE_H
#define VDE_CHECK_DESCRIBE_H

#include <vde/inspect.h>

#include "format/frame.h"
#include "format/node.h"

#define DESCRIBE_TEXT 1024u

struct described {
    struct vde_inspected item;
    char key[DESCRIBE_TEXT], value[DESCRIBE_TEXT];
};
/* Fill in `item`, whose texts then stand in `ret_described`; key and value are borrowed. A dataset with DATASET_DEAD_BIT is a
 * dead tree. Trusts nothing of the bytes. */
void describe(const struct op *record, struct described *ret_described);
#endif
