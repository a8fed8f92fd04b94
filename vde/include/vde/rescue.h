/* SPDX-License-Identifier: Apache-2.0 */
/* rescue.h -- salvage what an image holds when its superblocks, catalog or labels are gone: reads the whole device, takes
 * every node that says it is one, and hands out volumes, files, stream entries and the records of key-value datasets with what
 * is known of each. Left out are snapshots and what was dropped: the newest state is what is salvaged.
 *
 * Nothing whose checksum fails is handed out: it is told as missing. The image is only read. */
#ifndef VDE_RESCUE_H
#define VDE_RESCUE_H

#include <stddef.h>

#include <vde/device.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vde_rescue_kind {
    VDE_RESCUE_VOLUME = 0,
    VDE_RESCUE_FILE = 1,
    VDE_RESCUE_ENTRY = 2,     /* of a stream */
    VDE_RESCUE_MAP = 3,       /* a key-value dataset: its records come by `record` */
};
struct vde_rescue_item {
    enum vde_rescue_kind kind;
    uint64_t id;              /* of the volume's or map's dataset, the file or the stream */
    uint64_t number;          /* entries */
    uint64_t lsn, time_us;    /* entries */
    const char *name;         /* volumes and maps: empty when it has none or it is not known */
    uint64_t size_bytes;      /* 0: not known */
    bool loose;               /* put together from nodes that nothing leads to: parts of it may be older than others */
    /* when it ends */
    uint64_t good_bytes;      /* handed out */
    uint64_t missing_bytes;   /* known to be there and not readable */
    bool gaps;                /* a part is damaged of which it is not known what it held */
};

struct vde_rescue_record {    /* borrowed until the call returns */
    const void *key;
    size_t key_size;
    const void *value;        /* NULL: removed, or not readable */
    size_t value_size;
    bool removed;
};

/* Takes what is found; a status other than VDE_OK ends the rescue and is returned. */
struct vde_rescue_sink {
    vde_status (*begin)(void *context, const struct vde_rescue_item *item);
    /* `bytes` NULL: zeroes. May come again for the same place, the later counts. */
    vde_status (*data)(void *context, uint64_t offset, const void *bytes, size_t size);
    /* Not readable; `why` says what is wrong. `size` 0: from `offset` on, as far as it goes. */
    vde_status (*missing)(void *context, uint64_t offset, uint64_t size, const char *why);
    vde_status (*end)(void *context, const struct vde_rescue_item *item);
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *context;
    /* May be NULL: no maps then. The same key may come again: the last counts, also when it is removed there. */
    vde_status (*record)(void *context, const struct vde_rescue_record *record);
};

struct vde_rescue_summary {
    bool label, superblock;   /* a valid one is left */
    bool catalog;             /* found whole; else what it says was put together from loose nodes */
    uint64_t catalog_lsn;     /* the state that was found */
    bool stale;               /* there was a later state, of which not all is left */
    uint64_t nodes;           /* found on the device */
    uint64_t volumes, files, entries;
    uint64_t incomplete;      /* of them */
    uint64_t log_records;     /* applied on top */
    uint64_t maps;
};

/* CORRUPT: nothing on the device looks like a node. BUSY, NOT_FOUND, IO, NOMEM. */
VDE_API VDE_MUST_CHECK vde_status vde_rescue(const char *path, const char *backend, const struct vde_rescue_sink *sink,
                                             struct vde_rescue_summary *ret_summary);
VDE_API VDE_MUST_CHECK vde_status vde_rescue_device(struct vde_device *device, const struct vde_rescue_sink *sink,
                                                    struct vde_rescue_summary *ret_summary);

#ifdef __cplusplus
}
#endif
#endif
