/* SPDX-License-Identifier: Apache-2.0 */
/* A full image: large requests find it full as a whole, and everything that frees space works and brings it back. */
#include <criterion/criterion.h>

#include <vde/snapshot.h>

#include "unit/dataset/volumes.h"

static void settle(vde_image *image)
{
    for (unsigned i = 0; i < 4; i++)
        OK(vde_image_checkpoint(image));
}

/* One request through a queue. */
static vde_status queued(vde_image *image, vde_volume *volume, void *buffer, uint64_t size, uint64_t offset)
{
    struct vde_volume_request request = {.volume = volume, .op = VDE_VOLUME_OP_WRITE, .buffer = buffer, .size = size,
                                         .offset = offset}, *reaped;
    vde_volume_queue *queue;
    uint32_t count;
    OK(vde_volume_queue_create(image, 4, &queue));
    OK(vde_volume_submit(queue, &request));
    OK(vde_volume_reap(queue, &reaped, 1, true, &count));
    vde_volume_queue_destroy(queue);
    return request.status;
}

/* A request of more than 128 KiB at any sector: done, or nothing of it. */
static bool large_request(struct shadow *shadow, vde_image *image, uint8_t *bytes)
{
    uint64_t size = 128 * 1024 + 512 * (1 + draw(&shadow->random, 1800)), unit = draw(&shadow->random, 2) ? 512 : 65536;
    size = size / unit * unit;
    uint64_t offset = draw(&shadow->random, (shadow->size - size) / unit) * unit, what = draw(&shadow->random, 8);
    bool zeroes = what == 0;
    fill_bytes(bytes, size, shadow->random);
    if (zeroes)
        memset(bytes, 0, size);
    vde_status status = zeroes          ? vde_volume_write_zeroes(shadow->volume, size, offset, 0)
                        : what % 2 == 0 ? queued(image, shadow->volume, bytes, size, offset)
                                        : vde_volume_write(shadow->volume, bytes, size, offset, 0);
    if (status != VDE_NOSPC) {
        OK(status);
        memcpy(shadow->bytes + offset, bytes, size);
    }
    return status == VDE_OK;
}

static void large_requests(uint32_t level)
{
    struct vde_device *device = memory_image(12 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 24 * MIB, level);
    uint8_t *bytes = aligned_buffer(2 * MIB);
    unsigned refused = 0;
    for (uint64_t at = 0; at < 6 * MIB; at += 8192) /* what is free lies scattered */
        shadow_write(&shadow, 4096, at);
    for (unsigned i = 0; i < 4000 && refused < 30; i++) {
        if (large_request(&shadow, image, bytes))
            continue;
        refused++;
        shadow_check_all(&shadow);
        if (refused % 3 == 0) {
            uint64_t offset = draw(&shadow.random, 40) * 512 * 1024;
            shadow_discard(&shadow, (1 + draw(&shadow.random, 2)) * MIB, offset);
            settle(image);
        }
    }
    cr_assert_eq(refused, 30);
    shadow_reopen(&shadow, &image, device, "a");
    shadow_check_all(&shadow);
    free(bytes);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_full, large_requests_happen_as_a_whole_or_not_at_all, .timeout = 60)
{
    large_requests(0);
    large_requests(1);
}

/* --- everything that frees space --------------------------------------------------------------------------------------- */

struct full {
    vde_image *image;
    struct vde_device *device;
    uint64_t disk, keys, stream, entries, files[256], file_count;
};

static void fill_stream(struct full *full)
{
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (full->entries = 1;; full->entries++) {
        fill_bytes(text, sizeof text - 1, full->entries);
        for (size_t i = 0; i < sizeof text - 1; i++)
            text[i] |= 1;
        vde_status status = append_status(full->image, full->stream, full->entries, text);
        if (status == VDE_NOSPC || full->entries > 400)
            return;
        OK(status);
    }
}

static vde_status add_file(struct full *full, size_t size)
{
    vde_file_writer *writer;
    uint8_t *bytes = malloc(size);
    vde_txn *txn = begin(full->image);
    fill_bytes(bytes, size, full->file_count);
    OK(vde_file_create(full->image, &writer));
    vde_status status = vde_file_write(writer, bytes, size), sealed = vde_file_seal(writer, txn, &full->files[full->file_count]);
    status = status == VDE_OK ? sealed : status;
    status = status == VDE_OK ? commit_status(txn) : (vde_txn_destroy(txn), status);
    full->file_count += status == VDE_OK;
    free(bytes);
    return status;
}

/* Volumes with a snapshot and a clone, keys, a stream and files, until nothing of any kind fits. */
static struct full fill_up(void)
{
    struct full full = {.device = memory_image(24 * MIB)};
    struct vde_volume_info info;
    uint64_t lsn;
    char key[32];
    full.image = open_quiet(full.device);
    struct shadow a = shadow_create(full.image, "a", 4 * MIB, 0), b = shadow_create(full.image, "b", 4 * MIB, 1);
    full.keys = new_dataset(full.image, "keys");
    full.stream = vde_id_reserve(full.image);
    create_volume(full.image, "b2", 4 * MIB, 0);
    for (uint64_t at = 0; at < 4 * MIB; at += MIB)
        shadow_write(&a, MIB, at);
    shadow_write(&b, MIB, 0);
    vde_view *view = view_of(full.image);
    OK(vde_volume_get(view, "a", &info));
    vde_view_close(view);
    full.disk = info.id;
    OK(vde_snapshot_create(full.image, info.id, "s", &lsn));
    OK(vde_volume_clone(full.image, "a", "s", "c"));
    for (unsigned i = 0; i < 2; i++)
        shadow_write(&a, MIB, i * MIB);
    shadow_done(&a);
    shadow_done(&b);
    fill_stream(&full);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "key %u", i);
        OK(put_seed(full.image, full.keys, key, 2000, i));
    }
    for (size_t size = MIB; size >= 4096; size /= 4)
        while (full.file_count < 256 && add_file(&full, size) == VDE_OK)
            ;
    struct shadow d = {.volume = open_volume(full.image, "b2")};
    uint8_t *bytes = aligned_buffer(4096);
    memset(bytes, 7, 4096);
    vde_status status = VDE_OK;
    for (uint64_t at = 0; at < 4 * MIB && status == VDE_OK; at += 4096)
        status = vde_volume_write(d.volume, bytes, 4096, at, 0);
    EXPECT(VDE_NOSPC, status);
    free(bytes);
    shadow_done(&d);
    EXPECT(VDE_NOSPC, add_file(&full, 65536));
    return full;
}

static uint64_t used_bytes(struct full *full)
{
    settle(full->image);
    return info_of(full->image).used_bytes;
}

static void gives_back(struct full *full, uint64_t *before, uint64_t least, const char *what)
{
    uint64_t now = used_bytes(full);
    cr_assert_leq(now + least, *before, "%s: %llu bytes in use, %llu before", what, (unsigned long long)now,
                  (unsigned long long)*before);
    *before = now;
}

static void discard_volume(struct full *full, const char *name, uint64_t size, uint64_t offset)
{
    vde_volume *volume = open_volume(full->image, name);
    OK(vde_volume_discard(volume, size, offset, 0));
    vde_volume_close(volume);
}

/* `first` of the six ways to free space comes first: in the full image. */
static void frees_everything(unsigned first)
{
    struct full full = fill_up();
    uint64_t before = used_bytes(&full);
    for (unsigned i = 0; i < 6; i++)
        switch ((first + i) % 6) {
        case 0:
            discard_volume(&full, "a", MIB, 0);
            gives_back(&full, &before, MIB - 65536, "a discard");
            break;
        case 1:
            discard_volume(&full, "b", MIB - 1024, 512); /* frames are rewritten at its ends */
            gives_back(&full, &before, 200 * 1024, "a discard in a compressed volume");
            break;
        case 2:
            remove_file(full.image, full.files[0]);
            gives_back(&full, &before, MIB - 65536, "a file");
            break;
        case 3:
            OK(drop_dataset_status(full.image, full.keys));
            gives_back(&full, &before, 300 * 1500, "keys");
            break;
        case 4: {
            vde_txn *txn = begin(full.image);
            OK(vde_txn_stream_drop(txn, full.stream));
            commit(txn);
            gives_back(&full, &before, 400 * 1500, "a stream");
            break;
        }
        default: /* the clone and the snapshot share their blocks: the last of them gives them back */
            OK(vde_volume_delete(full.image, "c"));
            OK(vde_snapshot_delete(full.image, full.disk, "s"));
            gives_back(&full, &before, 2 * MIB - 65536, "clone and snapshot");
        }
    OK(vde_volume_delete(full.image, "a"));
    OK(vde_volume_delete(full.image, "b"));
    OK(vde_volume_delete(full.image, "b2"));
    for (uint64_t i = 1; i < full.file_count; i++)
        remove_file(full.image, full.files[i]);
    cr_assert_leq(used_bytes(&full), 40 * 4096);
    close_clean(full.image, full.device);
}

Test(volume_full, everything_that_frees_space_works_and_brings_it_back, .timeout = 60)
{
    for (unsigned first = 0; first < 6; first++)
        frees_everything(first);
}
