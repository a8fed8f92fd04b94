/* SPDX-License-Identifier: Apache-2.0 */
/* root.c -- encode and verify tree roots. */
#include "format/root.h"

#include <string.h>

#include "base/fail.h"

struct disk_root root_put(struct tree_root root)
{
    struct disk_root d;
    memset(&d, 0, sizeof d);
    d.node = ptr_put(root.node);
    d.records = le64(root.records);
    d.nodes = le64(root.nodes);
    d.level = root.level;
    return d;
}

vde_status root_get(const struct disk_root *disk, const struct layout *layout, const char *object, struct tree_root *ret_root)
{
    struct tree_root root = {ptr_get(&disk->node), disk->level, le64_get(disk->records), le64_get(disk->nodes)};
    if (root.level > TREE_LEVEL_MAX)
        return fail_corrupt("%s root|level %u|at most %u", object, root.level, TREE_LEVEL_MAX);
    if (ptr_is_null(root.node) && (root.records || root.nodes || root.level))
        return fail_corrupt("%s root|null with %llu records|no records", object, (unsigned long long)root.records);
    if (!ptr_is_null(root.node) && (!layout_allocatable(layout, root.node.address) || root.node.blocks != 1 ||
                                    root.node.bytes != BLOCK_BYTES || root.nodes == 0 || root.records == 0))
        return fail_corrupt("%s root|block %llu of %u blocks|one block in the heap", object,
                            (unsigned long long)root.node.address, root.node.blocks);
    for (unsigned i = 0; i < sizeof disk->reserved; i++)
        if (disk->reserved[i])
            return fail_corrupt("%s root|reserved byte %u is not zero|zero", object, i);
    *ret_root = root;
    return VDE_OK;
}
