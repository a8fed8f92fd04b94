/* SPDX-License-Identifier: Apache-2.0 */
/* rescue.h -- one rescue, shared by its files: the nodes that the device holds, the datasets that the catalog tells of, and
 * what the log adds. */
#ifndef VDE_CHECK_RESCUE_H
#define VDE_CHECK_RESCUE_H

#include <vde/rescue.h>

#include "check/source.h"
#include "format/catalog.h"
#include "format/frame.h"

/* A block that says that it is a node of this image. */
struct found_node {
    uint64_t address, tree, birth, seed;
    uint8_t level;
};
struct found_frame {
    uint64_t place, epoch, position, first_lsn, count;
};
struct found_dataset {
    uint64_t id, tree, size_bytes, lsn; /* lsn: birth of the leaf that told of it */
    struct tree_root root;
    bool volume, has_root, dropped;
    char name[DATASET_NAME_MAX + 1];    /* volumes: without the prefix; maps: as their record says */
};
#define LABELS_MAX 64u
struct rescue {
    struct source source;
    const struct vde_rescue_sink *sink;
    struct vde_rescue_summary summary;
    struct found_node *nodes;           /* by tree, then birth */
    size_t node_count, node_capacity;
    struct found_frame *frames;         /* in order of LSN, those that count */
    size_t frame_count, frame_capacity;
    uint64_t labels[LABELS_MAX];        /* blocks that look like one */
    unsigned label_count;
    struct found_dataset *datasets;
    size_t dataset_count, dataset_capacity;
    struct vde_rescue_item item;        /* at hand */
    uint8_t *buffer;                    /* RESCUE_BUFFER bytes, for content */
    uint8_t *frame;                     /* a frame */
    uint64_t frame_bytes;
};
#define RESCUE_BUFFER (8u << 20)

vde_status rescue_grow(void **array, size_t *capacity, size_t count, size_t size);

/* --- rescue_scan.c: the whole device --- */
vde_status rescue_scan(struct rescue *r);
/* Call `record` for every record of the leaves of a tree that can be read, from the oldest to the newest leaf. */
vde_status rescue_loose(struct rescue *r, uint64_t tree, vde_status (*record)(void *context, const struct node_record *record),
                        void *context);
/* Call `op` for every operation on a dataset (0: any) that the log adds to the state found, in order. */
vde_status rescue_log(struct rescue *r, uint64_t dataset,
                      vde_status (*op)(void *context, uint64_t lsn, uint64_t time_us, const struct op *op), void *context);
/* Count the records that the log adds. */
vde_status rescue_count_log(struct rescue *r);
/* Read a node that nothing vouches for, and verify what can be verified of it. */
vde_status rescue_node(struct rescue *r, const struct found_node *found, void *block, struct ptr *ret_ptr);

/* --- rescue_catalog.c: what there was --- */
vde_status rescue_catalog(struct rescue *r);
struct found_dataset *rescue_dataset(struct rescue *r, uint64_t id);
/* Whether every node of a tree can be read. */
vde_status rescue_whole(struct rescue *r, uint64_t tree, const struct tree_root *root, bool *ret_whole, uint64_t *ret_records);

/* --- contents --- */
vde_status rescue_volumes(struct rescue *r);
vde_status rescue_files(struct rescue *r);
vde_status rescue_streams(struct rescue *r);
vde_status rescue_maps(struct rescue *r);

/* Begin and end an item; `data` and `missing` keep its account. */
vde_status rescue_begin(struct rescue *r, const struct vde_rescue_item *item);
vde_status rescue_data(struct rescue *r, uint64_t offset, const void *bytes, size_t size);
vde_status rescue_missing(struct rescue *r, uint64_t offset, uint64_t size, const char *why);
vde_status rescue_end(struct rescue *r);
/* Read a run of blocks into r->buffer; *ret_good false: the device can't, or it lies outside. */
vde_status rescue_read(struct rescue *r, uint64_t address, uint64_t blocks, bool *ret_good);
/* The same, and verify the content of an extent. */
vde_status rescue_extent(struct rescue *r, struct ptr p, bool *ret_good);
/* A value out of line: malloc'd *ret_bytes, NULL when it can't be read; its size as far as it is known. */
vde_status rescue_spilled(struct rescue *r, const struct op *op, uint8_t **ret_bytes, size_t *ret_size);
#endif
