/* SPDX-License-Identifier: Apache-2.0 */
/* rich_image.h -- a small image with one of everything: volumes, plain and compressed, snapshots of a volume, of a map and of
 * the image, a clone, a snapshot that only its clone keeps, a volume that only an image snapshot keeps, streams, files. */
#ifndef TESTS_UNIT_CHECK_RICH_IMAGE_H
#define TESTS_UNIT_CHECK_RICH_IMAGE_H

#include <vde/vde.h>

#include "format/label.h"
#include "format/superblock.h"
#include "unit/pool/engine.h"

#define RICH_BYTES (8 * MIB)
#define RICH_VOLUME_BYTES (1u << 20)

static inline void rich_bytes(uint8_t *bytes, size_t size, uint64_t seed, bool packs)
{
    fill_bytes(bytes, size, seed);
    for (size_t i = 0; packs && i < size; i++)
        bytes[i] = (uint8_t)(bytes[i / 64 * 64] & 15);
}

static inline void rich_write(vde_image *image, const char *name, uint64_t size, uint64_t offset, uint64_t seed)
{
    vde_volume *volume;
    uint8_t *bytes = malloc(size);
    rich_bytes(bytes, size, seed, name[0] == 'p');
    OK(vde_volume_open(image, name, NULL, &volume));
    OK(vde_volume_write(volume, bytes, size, offset, VDE_VOLUME_FUA));
    vde_volume_close(volume);
    free(bytes);
}

static inline uint64_t rich_id(vde_image *image, const char *name)
{
    struct vde_volume_info info;
    vde_view *view;
    OK(vde_view_open(image, &view));
    OK(vde_volume_get(view, name, &info));
    vde_view_close(view);
    return info.id;
}

static inline void rich_create(vde_image *image, const char *name, uint32_t level)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    opts.size_bytes = RICH_VOLUME_BYTES;
    opts.compression = level;
    OK(vde_volume_create(image, name, &opts));
}

/* A map, a stream, a file. */
static inline void rich_records(vde_image *image, unsigned round)
{
    static uint8_t bytes[90000];
    struct vde_commit commit;
    vde_file_writer *writer;
    uint64_t file;
    vde_txn *txn;
    rich_bytes(bytes, sizeof bytes, round + 100, false);
    OK(vde_txn_create(image, &txn));
    if (round == 0)
        OK(vde_txn_dataset_create(txn, 1000, "map"));
    OK(vde_txn_put(txn, 1000, "key", 3, bytes, 20000));
    OK(vde_txn_append(txn, 1001, round, 0, bytes, 300));
    OK(vde_txn_append(txn, 1002, round, 0, bytes, 70000));
    OK(vde_file_create(image, &writer));
    OK(vde_file_write(writer, bytes, sizeof bytes));
    OK(vde_file_seal(writer, txn, &file));
    if (round == 1)
        OK(vde_txn_snapshot_create(txn, 1000, 7));
    OK(vde_txn_commit(txn, &commit));
    vde_txn_destroy(txn);
}

/* Everything up to the last checkpoint is in the trees; the log holds nothing. */
static inline struct vde_device *rich_image(void)
{
    struct vde_device *device = simulated_image(RICH_BYTES, 3);
    vde_image *image = open_quiet(device);
    rich_create(image, "disk", 0);
    rich_create(image, "packed", 3);
    rich_create(image, "gone", 0);
    rich_records(image, 0);
    rich_write(image, "disk", 300 * 1024, 4096, 1);
    rich_write(image, "packed", 400 * 1024, 0, 2);
    rich_write(image, "gone", 64 * 1024, 0, 3);
    OK(vde_image_checkpoint(image));
    uint64_t disk = rich_id(image, "disk");
    OK(vde_snapshot_create(image, disk, "first", NULL));
    OK(vde_volume_clone(image, "disk", "first", "copy"));
    rich_write(image, "disk", 40 * 1024, 64 * 1024, 4);
    rich_write(image, "copy", 8 * 1024, 100 * 1024, 5);
    OK(vde_snapshot_create(image, VDE_DATASET_IMAGE, "all", NULL));
    rich_records(image, 1);
    rich_write(image, "packed", 100 * 1024, 32 * 1024, 6);
    OK(vde_image_checkpoint(image));
    OK(vde_snapshot_create(image, disk, "second", NULL));
    OK(vde_snapshot_delete(image, disk, "first")); /* its clone keeps it */
    OK(vde_volume_delete(image, "gone"));          /* the image's snapshot keeps it */
    rich_write(image, "disk", 12 * 1024, 4096, 7);
    rich_records(image, 2);
    OK(vde_image_close(image));
    return device;
}

/* Label and newest superblock as they stand on the device. */
static inline void rich_head(struct vde_device *device, struct label *ret_label, struct superblock *ret_sb)
{
    static _Alignas(4096) uint8_t raw[BLOCK_BYTES];
    struct superblock found;
    ret_sb->sequence = 0;
    simulated_peek(device, LABEL_BLOCK * BLOCK_BYTES, raw, BLOCK_BYTES);
    OK(label_decode((void *)raw, RICH_BYTES / BLOCK_BYTES, "label", ret_label));
    for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
        simulated_peek(device, (RING_A_BLOCK + slot) * BLOCK_BYTES, raw, BLOCK_BYTES);
        if (superblock_decode((void *)raw, ret_label->uuid, &ret_label->layout, 0, slot, &found) == VDE_OK &&
            found.sequence > ret_sb->sequence)
            *ret_sb = found;
    }
}
#endif
