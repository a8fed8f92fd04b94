/* SPDX-License-Identifier: Apache-2.0 */
/* capabilities.h -- what this machine can do for an image, each point really tried and not guessed from versions.
 *
 * Threads: any. */
#ifndef VDE_CAPABILITIES_H
#define VDE_CAPABILITIES_H

#include <stddef.h>

#include <vde/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vde_capability {
    char name[32];    /* "io_uring", "libaio", "o_direct", "ofd_lock", "rwf_dsync", "eventfd", "zstd", "xxh3" */
    bool works;
    char detail[200]; /* what was tried and what came of it */
};
#define VDE_CAPABILITIES_MAX 16

/* Try everything. Points that need a file use a temporary one in `folder` (NULL: $TMPDIR, else /tmp), which is gone
 * afterwards. Fills at most `capacity` entries, VDE_CAPABILITIES_MAX is always enough, and sets *ret_count. What does not
 * work, for whatever reason, is an entry with works == false and never a failure of the call; INVAL if `capacity` is too
 * small. */
VDE_API VDE_MUST_CHECK vde_status vde_capabilities(const char *folder, struct vde_capability *ret_list, size_t capacity,
                                                   size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
