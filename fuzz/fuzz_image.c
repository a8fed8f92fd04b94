/* SPDX-License-Identifier: Apache-2.0 */
/* A whole 4 MiB image, patched, the checksums of patched blocks made right up to the superblock: it opens or is refused, and
 * everything in it can be read, checked and written without a crash.
 * Input: patches of {block: 2 bytes, offset: 2 bytes, count: 1 byte, count bytes}. */
#include <string.h>

#include <vde/snapshot.h>
#include <vde/vde.h>
#include <vde/volume.h>

#include "base/checksum.h"
#include "format/alloc.h"
#include "format/frame.h"
#include "format/label.h"
#include "format/node.h"
#include "format/superblock.h"
#include "fuzz.h"
#include "io/simulated.h"

#define IMAGE_BLOCKS (VDE_IMAGE_MIN_BYTES / BLOCK_BYTES)
#define PATCHES_MAX 16u
#define REPAIR_DEPTH 6u

static struct vde_device *base;
static struct label label;
static uint64_t image_key; /* the image seed */
static uint16_t metadata[IMAGE_BLOCKS]; /* blocks worth patching */
static unsigned metadata_count;
static struct place { uint16_t child, block, at; } places[8192]; /* where pointers to nodes stand in metadata */
static unsigned place_count;

/* --- the image ----------------------------------------------------------------------------------------------------- */

static uint64_t clock_us = 1700000000000000u;
static uint64_t now(void *context) { (void)context; return clock_us += 10; }
static void no_random(void *context, void *buffer, size_t size) { (void)context; memset(buffer, 7, size); }
static const struct vde_env env = {now, no_random, NULL};

static void must(vde_status status)
{
    if (status != VDE_OK) {
        fprintf(stderr, "base image: %s\n", vde_last_error()->text);
        abort();
    }
}

static vde_status open_image(struct vde_device *device, unsigned flags, vde_image **ret_image)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_NO_THREADS | flags;
    opts.env = &env;
    opts.memory_bytes = 4 << 20;
    return vde_image_open_device(device, &opts, ret_image);
}

static void fill(vde_image *image, unsigned round)
{
    static uint8_t large[40000];
    vde_txn *txn;
    struct vde_commit commit;
    vde_file_writer *writer;
    uint64_t file;
    must(vde_txn_create(image, &txn));
    if (round == 0)
        must(vde_txn_dataset_create(txn, 16, "things"));
    for (unsigned i = 0; i < 60; i++) {
        char key[32];
        int size = snprintf(key, sizeof key, "key %u", i * (round + 1));
        must(vde_txn_put(txn, 16, key, (size_t)size, large, i == 5 ? sizeof large : i * 8));
    }
    must(vde_txn_append(txn, 17, round, 0, large, 100));
    must(vde_txn_append(txn, 18, round, 0, large, sizeof large));
    must(vde_file_create(image, &writer));
    must(vde_file_write(writer, large, sizeof large));
    must(vde_file_seal(writer, txn, &file));
    if (round % 2 == 0)
        must(vde_txn_snapshot_create(txn, 16, round + 1));
    must(vde_txn_commit(txn, &commit));
    vde_txn_destroy(txn);
}

static const char *const volume_names[] = {"plain", "packed", "clone"};

static void fill_volume(vde_image *image, unsigned number, unsigned round)
{
    static uint8_t bytes[96u << 10];
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    vde_volume *volume;
    opts.size_bytes = 1 << 20;
    opts.compression = number;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(number ? i / 5000 : i * (round + 3));
    if (round == 0)
        must(vde_volume_create(image, volume_names[number], &opts));
    must(vde_volume_open(image, volume_names[number], NULL, &volume));
    must(vde_volume_write(volume, bytes, sizeof bytes, round * 70000u / 512 * 512, 0));
    must(vde_volume_write(volume, bytes, 4096, 8192 * (round + 2), 0));
    must(vde_volume_discard(volume, 20480, round * 40960u, 0));
    must(vde_volume_flush(volume));
    vde_volume_close(volume);
}

static void fill_volumes(vde_image *image, unsigned round)
{
    struct vde_volume_info info;
    vde_view *view;
    uint64_t lsn;
    fill_volume(image, 0, round);
    fill_volume(image, 1, round);
    must(vde_view_open(image, &view));
    must(vde_volume_get(view, "plain", &info));
    vde_view_close(view);
    if (round == 1) {
        must(vde_snapshot_create(image, info.id, "old", &lsn));
        must(vde_volume_clone(image, "plain", "old", "clone"));
    } else if (round == 2) {
        must(vde_snapshot_create(image, VDE_DATASET_IMAGE, "all", &lsn));
    }
}

static void find_metadata(void)
{
    static const char *const magics[] = {"VDElabel", "VDEfeats", "VDEsuper", "BMAP", "INDX", "FRME", "VNOD"};
    uint8_t bytes[16];
    for (uint16_t block = 0; block < IMAGE_BLOCKS; block++) {
        simulated_peek(base, block * (uint64_t)BLOCK_BYTES, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
            if (memcmp(bytes, magics[i], strlen(magics[i])) == 0)
                metadata[metadata_count++] = block;
    }
}

/* Pointers to nodes begin with an address, a length of one block and the bytes of a block. */
#define POINTER_PATTERN 16u

static void find_pointers(uint16_t block)
{
    uint8_t bytes[BLOCK_BYTES], child[4];
    simulated_peek(base, block * (uint64_t)BLOCK_BYTES, bytes, BLOCK_BYTES);
    if (memcmp(bytes, "VNOD", 4) != 0 && memcmp(bytes, "VDEsuper", 8) != 0)
        return;
    for (uint16_t at = 0; at + sizeof(struct disk_ptr) <= BLOCK_BYTES; at++) {
        struct disk_ptr p;
        memcpy(&p, bytes + at, sizeof p);
        uint64_t address = le64_get(p.address);
        if (address == 0 || address >= IMAGE_BLOCKS || le32_get(p.blocks) != 1 || le32_get(p.bytes) != BLOCK_BYTES)
            continue;
        simulated_peek(base, address * BLOCK_BYTES, child, sizeof child);
        if (memcmp(child, "VNOD", 4) == 0 && place_count < sizeof places / sizeof places[0])
            places[place_count++] = (struct place){(uint16_t)address, block, at};
    }
}

static void make_base(void)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    struct vde_device *device;
    vde_image *image;
    static uint8_t block[BLOCK_BYTES];
    opts.env = &env;
    must(simulated_create(VDE_IMAGE_MIN_BYTES, 1, 0, &device));
    must(vde_image_format_device(device, &opts));
    must(open_image(device, 0, &image));
    for (unsigned round = 0; round < 4; round++) {
        fill(image, round);
        fill_volumes(image, round);
        if (round < 3)
            must(vde_image_checkpoint(image));
    }
    must(simulated_clone(device, &base)); /* as a killed process leaves it: records in the log */
    must(simulated_power_cycle(base, SIMULATED_ALL, 1));
    must(vde_image_close(image));
    device->ops->close(device);
    simulated_peek(base, LABEL_BLOCK * BLOCK_BYTES, block, BLOCK_BYTES);
    must(label_decode((struct disk_label *)(void *)block, IMAGE_BLOCKS, "label", &label));
    image_key = image_seed(label.uuid);
    find_metadata();
    for (unsigned i = 0; i < metadata_count; i++)
        find_pointers(metadata[i]);
}

/* --- repair -------------------------------------------------------------------------------------------------------- */

static void repair(struct vde_device *device, uint64_t block, unsigned depth);

/* Wherever a pointer to the node stood before the patches and still stands, put its new checksum. */
static void repair_parents(struct vde_device *device, uint64_t address, uint64_t sum, unsigned depth)
{
    const struct disk_ptr p = {le64(address), le32(1), le32(BLOCK_BYTES), le64(0), le64(0)};
    for (unsigned i = 0; i < place_count && depth < REPAIR_DEPTH; i++) {
        const struct place *place = &places[i];
        uint64_t at = place->block * (uint64_t)BLOCK_BYTES + place->at;
        struct disk_ptr found;
        simulated_peek(device, at, &found, sizeof found);
        if (place->child != address || memcmp(&found, &p, POINTER_PATTERN) != 0 || le64_get(found.checksum) == sum)
            continue;
        found.checksum = le64(sum);
        must(simulated_poke(device, at, &found, sizeof found));
        repair(device, place->block, depth + 1);
    }
}

static void repair_index(struct vde_device *device, uint64_t page_block, uint64_t sum)
{
    uint8_t block[BLOCK_BYTES];
    for (unsigned slot = 0; slot < 2; slot++) {
        uint64_t index = alloc_index_block(&label.layout, slot);
        uint64_t entry = index * BLOCK_BYTES + sizeof(struct disk_alloc_index);
        struct disk_alloc_entry e;
        simulated_peek(device, entry, &e, sizeof e);
        if (page_block && bitmap_slot_block(&label.layout, 0, e.slot) == page_block) {
            e.checksum = le64(sum);
            must(simulated_poke(device, entry, &e, sizeof e));
        }
        simulated_peek(device, index * BLOCK_BYTES, block, BLOCK_BYTES);
        uint64_t index_sum = checksum(block, BLOCK_BYTES, image_key ^ index);
        for (unsigned i = 0; i < metadata_count; i++) {
            simulated_peek(device, metadata[i] * (uint64_t)BLOCK_BYTES, block, BLOCK_BYTES);
            struct disk_superblock *sb = (struct disk_superblock *)(void *)block;
            if (memcmp(sb->magic, "VDEsuper", 8) != 0 || le32_get(sb->alloc_slot) != slot ||
                le64_get(sb->alloc_checksum) == index_sum)
                continue;
            sb->alloc_checksum = le64(index_sum);
            must(simulated_poke(device, metadata[i] * (uint64_t)BLOCK_BYTES, block, BLOCK_BYTES));
            repair(device, metadata[i], 0);
        }
    }
}

static void repair(struct vde_device *device, uint64_t block, unsigned depth)
{
    static uint8_t buffer[16 * BLOCK_BYTES];
    uint8_t bytes[BLOCK_BYTES];
    struct frame frame;
    simulated_peek(device, block * BLOCK_BYTES, bytes, BLOCK_BYTES);
    struct disk_superblock *sb = (struct disk_superblock *)(void *)bytes;
    if (memcmp(bytes, "VDElabel", 8) == 0 || memcmp(bytes, "VDEsuper", 8) == 0) {
        uint64_t seed = bytes[3] == 'l' ? 0 : image_key ^ block;
        sb->checksum = le64(checksum(bytes, BLOCK_BYTES - 8, seed));
        must(simulated_poke(device, block * BLOCK_BYTES, bytes, BLOCK_BYTES));
    } else if (memcmp(bytes, "VNOD", 4) == 0) {
        repair_parents(device, block, node_checksum(bytes, image_key, block), depth);
    } else if (memcmp(bytes, "BMAP", 4) == 0) {
        repair_index(device, block, checksum(bytes, BLOCK_BYTES, image_key ^ block));
    } else if (memcmp(bytes, "INDX", 4) == 0) {
        repair_index(device, 0, 0);
    } else if (frame_peek(bytes, image_key, &frame) && frame.bytes <= sizeof buffer &&
               block * BLOCK_BYTES + frame.bytes <= VDE_IMAGE_MIN_BYTES) {
        simulated_peek(device, block * BLOCK_BYTES, buffer, frame.bytes);
        frame_seal(buffer, &frame, image_key);
        must(simulated_poke(device, block * BLOCK_BYTES, buffer, sizeof(struct disk_frame)));
    }
}

/* --- target -------------------------------------------------------------------------------------------------------- */

size_t fuzz_seed(unsigned number, uint8_t *data, size_t max_size)
{
    if (!base)
        make_base();
    if (number >= 24 || max_size < 64)
        return 0;
    uint16_t block = metadata[number * 5 % metadata_count], offset = (uint16_t)(number * 37 % 300);
    const uint8_t patch[] = {(uint8_t)block, (uint8_t)(block >> 8), (uint8_t)offset, (uint8_t)(offset >> 8), 4, 1, 0, 0, 0};
    memcpy(data, patch, sizeof patch);
    return sizeof patch;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = fuzz_mutate(data, size, max_size < 256 ? max_size : 256, seed);
    if (size >= 5 && seed % 4) { /* aim at metadata, mostly at headers */
        uint16_t block = metadata[(seed >> 3) % metadata_count];
        data[0] = (uint8_t)block;
        data[1] = (uint8_t)(block >> 8);
        if (seed % 3)
            data[3] &= 1;
    }
    return size;
}

static void read_view(vde_image *image)
{
    vde_view *view;
    vde_kv *kv;
    if (vde_view_open(image, &view) != VDE_OK)
        return;
    for (uint64_t tag = 0; tag < 4; tag++) {
        vde_status status = tag ? vde_kv_open_snapshot(view, 16, tag, &kv) : vde_kv_open(view, 16, &kv);
        vde_cursor *cursor;
        if (status != VDE_OK)
            continue;
        const void *key, *value;
        size_t key_size, value_size;
        if (vde_cursor_open(kv, NULL, 0, &cursor) == VDE_OK) {
            for (unsigned i = 0; i < 1000 && vde_cursor_get(cursor, &key, &key_size, &value, &value_size) == VDE_OK; i++)
                if (vde_cursor_next(cursor) != VDE_OK)
                    break;
            vde_cursor_close(cursor);
        }
        vde_kv_close(kv);
    }
    for (uint64_t stream = 17; stream < 19; stream++) {
        vde_stream_cursor *cursor;
        struct vde_entry entry;
        if (vde_stream_open(view, stream, 0, &cursor) == VDE_OK) {
            for (unsigned i = 0; i < 100 && vde_stream_next(cursor, &entry) == VDE_OK; i++)
                ;
            vde_stream_close(cursor);
        }
    }
    static uint8_t bytes[40000];
    for (uint64_t id = 16; id < 24; id++) {
        vde_file *file;
        if (vde_file_open(view, id, &file) != VDE_OK)
            continue;
        (void)!vde_file_read(file, bytes, vde_file_size(file) < sizeof bytes ? vde_file_size(file) : sizeof bytes, 0);
        vde_file_close(file);
    }
    vde_view_close(view);
}

static vde_status ignore(void *context, const struct vde_diff_range *range)
{
    (void)context;
    (void)range;
    return VDE_OK;
}

static void use_volume(vde_image *image, const char *name, const char *snapshot, bool change)
{
    static uint8_t bytes[1 << 20];
    enum vde_block_state state;
    vde_volume *volume;
    uint64_t reach;
    if (vde_volume_open(image, name, snapshot, &volume) != VDE_OK)
        return;
    uint64_t size = vde_volume_size(volume) < sizeof bytes ? vde_volume_size(volume) : sizeof bytes;
    (void)!vde_volume_read(volume, bytes, size, 0);
    for (uint64_t at = 0; at < size && vde_volume_block_status(volume, at, size - at, &state, &reach) == VDE_OK; at += reach)
        FUZZ_ASSERT(reach > 0);
    if (change) {
        (void)!vde_volume_write(volume, bytes, 16384, 12288, 0);
        (void)!vde_volume_write(volume, bytes, 512, 512, 0);
        (void)!vde_volume_discard(volume, 65536, 32768, 0);
        (void)!vde_volume_flush(volume);
    }
    vde_volume_close(volume);
}

static void use_volumes(vde_image *image, bool change)
{
    vde_view *view;
    for (unsigned i = 0; i < 3; i++)
        use_volume(image, volume_names[i], NULL, change);
    use_volume(image, "plain", "old", false);
    if (vde_view_open(image, &view) != VDE_OK)
        return;
    (void)!vde_volume_diff(view, "plain", "old", NULL, ignore, NULL);
    (void)!vde_volume_diff(view, "packed", NULL, NULL, ignore, NULL);
    vde_view_close(view);
}

static void write_some(vde_image *image)
{
    vde_txn *txn;
    struct vde_commit commit;
    if (vde_txn_create(image, &txn) != VDE_OK)
        return;
    if (vde_txn_put(txn, 16, "key 1", 5, "new", 3) == VDE_OK && vde_txn_append(txn, 17, 4, 0, "x", 1) == VDE_OK)
        (void)!vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    (void)!vde_image_checkpoint(image);
    use_volumes(image, true);
    (void)!vde_image_checkpoint(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vde_device *device;
    struct vde_check_summary summary;
    vde_image *image;
    if (!base)
        make_base();
    must(simulated_clone(base, &device));
    for (unsigned patches = 0; size >= 5 && patches < PATCHES_MAX; patches++) {
        uint64_t block = (data[0] | (uint64_t)data[1] << 8) % IMAGE_BLOCKS;
        uint64_t offset = (data[2] | (uint64_t)data[3] << 8) % BLOCK_BYTES;
        size_t count = data[4] < size - 5 ? data[4] : size - 5;
        count = count < BLOCK_BYTES - offset ? count : BLOCK_BYTES - offset;
        must(simulated_poke(device, block * BLOCK_BYTES + offset, data + 5, count));
        repair(device, block, 0);
        data += 5 + count;
        size -= 5 + count;
    }
    if (open_image(device, VDE_OPEN_READ_ONLY, &image) == VDE_OK) {
        read_view(image);
        use_volumes(image, false);
        (void)!vde_image_close(image);
    }
    (void)!vde_check_device(device, NULL, &summary);
    if (open_image(device, 0, &image) == VDE_OK) {
        read_view(image);
        write_some(image);
        (void)!vde_image_close(image);
    }
    device->ops->close(device);
    return 0;
}
