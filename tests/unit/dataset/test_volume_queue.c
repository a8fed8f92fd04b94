/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes through queues: requests in flight against a plain array, callbacks, eventfd, depth, large and odd requests. */
#include <criterion/criterion.h>
#include <poll.h>

#include "unit/dataset/volumes.h"

#define KIB 1024u
#define DEPTH 16u

struct slot {
    struct vde_volume_request request;
    uint8_t *buffer;
    uint64_t size, offset;
    bool busy;
};

static void check_slot(struct shadow *shadow, struct slot *slot)
{
    OK(slot->request.status);
    if (slot->request.op == VDE_VOLUME_OP_READ)
        cr_assert_arr_eq(slot->request.buffer, shadow->bytes + slot->offset, slot->size);
    slot->busy = false;
}

/* A range that no request in flight touches, blocks that it shares included. */
static bool place(struct shadow *shadow, const struct slot *slots, struct slot *slot)
{
    uint64_t largest = draw(&shadow->random, 20) == 0 ? 700 * KIB : 24 * KIB;
    slot->size = (1 + draw(&shadow->random, largest / 512)) * 512;
    slot->offset = draw(&shadow->random, (shadow->size - slot->size) / 512) * 512;
    if (draw(&shadow->random, 4)) {
        slot->offset = slot->offset / 4096 * 4096;
        slot->size = slot->size > 4096 ? slot->size / 4096 * 4096 : 4096;
    }
    for (unsigned i = 0; i < DEPTH; i++)
        if (slots[i].busy && slots[i].offset / 4096 * 4096 < slot->offset + slot->size + 4095 &&
            slot->offset / 4096 * 4096 < slots[i].offset + slots[i].size + 4095)
            return false;
    return slot->offset + slot->size <= shadow->size;
}

static void start(struct shadow *shadow, vde_volume_queue *queue, struct slot *slot)
{
    uint64_t kind = draw(&shadow->random, 10);
    slot->request = (struct vde_volume_request){.volume = shadow->volume, .size = slot->size, .offset = slot->offset,
                                                .buffer = slot->buffer + draw(&shadow->random, 2) * 512,
                                                .context = slot};
    slot->request.flags = draw(&shadow->random, 10) == 0 ? VDE_VOLUME_FUA : 0;
    if (kind < 4) {
        slot->request.op = VDE_VOLUME_OP_READ;
        slot->request.flags = 0;
    } else if (kind < 8) {
        slot->request.op = VDE_VOLUME_OP_WRITE;
        shadow_fill(shadow, slot->size, slot->offset);
        memcpy(slot->request.buffer, shadow->bytes + slot->offset, slot->size);
    } else if (kind == 8) {
        slot->request.op = VDE_VOLUME_OP_FLUSH;
        slot->request.flags = 0;
    } else {
        slot->request.op = VDE_VOLUME_OP_WRITE_ZEROES;
        memset(shadow->bytes + slot->offset, 0, slot->size);
    }
    slot->busy = true;
    OK(vde_volume_submit(queue, &slot->request));
    if (slot->request.op == VDE_VOLUME_OP_WRITE) /* copied by submit */
        memset(slot->request.buffer, 0xee, slot->size);
}

static void reap(struct shadow *shadow, vde_volume_queue *queue, bool wait)
{
    struct vde_volume_request *done[DEPTH];
    uint32_t count;
    OK(vde_volume_reap(queue, done, 1 + (uint32_t)draw(&shadow->random, DEPTH), wait, &count));
    for (uint32_t i = 0; i < count; i++)
        check_slot(shadow, done[i]->context);
}

static void random_requests(struct vde_device *device, uint32_t level, unsigned rounds)
{
    struct slot slots[DEPTH] = {0};
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 6 * MIB, level);
    vde_volume_queue *queue;
    OK(vde_volume_queue_create(image, DEPTH, &queue));
    for (unsigned i = 0; i < DEPTH; i++)
        slots[i].buffer = aligned_buffer(704 * KIB);
    for (unsigned i = 0; i < rounds; i++) {
        struct slot *slot = &slots[draw(&shadow.random, DEPTH)];
        if (!slot->busy && place(&shadow, slots, slot))
            start(&shadow, queue, slot);
        else
            reap(&shadow, queue, draw(&shadow.random, 2) != 0);
        if (i % 400 == 399)
            OK(vde_image_checkpoint(image));
    }
    for (bool busy = true; busy;) {
        busy = false;
        for (unsigned i = 0; i < DEPTH; i++)
            busy |= slots[i].busy;
        if (busy)
            reap(&shadow, queue, true);
    }
    shadow_check_all(&shadow);
    vde_volume_queue_destroy(queue);
    shadow_reopen(&shadow, &image, device, "a");
    shadow_check_all(&shadow);
    for (unsigned i = 0; i < DEPTH; i++)
        free(slots[i].buffer);
    shadow_done(&shadow);
    close_clean(image, device);
}

Test(volume_queue, random_requests_in_flight, .timeout = 120)
{
    random_requests(memory_image(32 * MIB), 0, 4000);
    random_requests(memory_image(32 * MIB), 1, 1500);
}

Test(volume_queue, random_requests_in_flight_on_a_file, .timeout = 120)
{
    char path[TMP_PATH_BYTES];
    struct vde_device *device;
    tmp_path(path, NULL, "volume-queue");
    OK(vde_device_open(path, "auto", VDE_DEVICE_CREATE, 32 * MIB, &device));
    format_on(device, 0);
    random_requests(device, 0, 3000);
    tmp_remove(path);
}

static void count_done(struct vde_volume_request *request)
{
    OK(request->status);
    ++*(unsigned *)request->context;
}

Test(volume_queue, callbacks_and_depth)
{
    struct vde_device *device = memory_image(8 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    vde_volume_queue *queue;
    struct vde_volume_request requests[5], *reaped[8];
    unsigned called = 0;
    uint32_t count;
    EXPECT(VDE_INVAL, vde_volume_queue_create(image, 0, &queue));
    EXPECT(VDE_INVAL, vde_volume_queue_create(image, 1025, &queue));
    OK(vde_volume_queue_create(image, 4, &queue));
    OK(vde_volume_reap(queue, reaped, 8, true, &count));
    cr_assert_eq(count, 0);
    shadow_fill(&shadow, 64 * KIB, 0);
    for (unsigned i = 0; i < 5; i++)
        requests[i] = (struct vde_volume_request){.volume = shadow.volume, .op = VDE_VOLUME_OP_WRITE, .size = 16 * KIB,
                                                  .offset = i * 16 * KIB, .buffer = shadow.bytes + i * 16 * KIB,
                                                  .done = i < 4 ? count_done : NULL, .context = &called};
    for (unsigned i = 0; i < 4; i++)
        OK(vde_volume_submit(queue, &requests[i]));
    EXPECT(VDE_BUSY, vde_volume_submit(queue, &requests[4]));
    for (unsigned total = 0; total < 4; total += count)
        OK(vde_volume_reap(queue, NULL, 8, true, &count));
    cr_assert_eq(called, 4);
    shadow_check_all(&shadow);
    requests[4].offset = 1 * MIB;
    OK(vde_volume_submit(queue, &requests[4]));
    OK(vde_volume_reap(queue, reaped, 8, true, &count));
    cr_assert(count == 1 && reaped[0] == &requests[4] && requests[4].status == VDE_INVAL);
    vde_volume_queue_destroy(queue);
    vde_volume_queue_destroy(NULL);
    shadow_done(&shadow);
    close_clean(image, device);
}

static bool readable(int fd, int wait_ms)
{
    struct pollfd polled = {fd, POLLIN, 0};
    return poll(&polled, 1, wait_ms) == 1;
}

Test(volume_queue, the_eventfd_tells_of_every_completion)
{
    char path[TMP_PATH_BYTES];
    struct vde_device *device;
    tmp_path(path, NULL, "volume-fd");
    OK(vde_device_open(path, "auto", VDE_DEVICE_CREATE, 16 * MIB, &device));
    format_on(device, 0);
    vde_image *image = open_quiet(device);
    struct shadow shadow = shadow_create(image, "a", 1 * MIB, 0);
    vde_volume_queue *queue;
    struct vde_volume_request requests[12], *reaped[12];
    OK(vde_volume_queue_create(image, 32, &queue));
    int fd = vde_volume_queue_fd(queue);
    cr_assert_geq(fd, 0);
    for (unsigned round = 0; round < 20; round++) {
        uint32_t total = 0, count;
        for (unsigned i = 0; i < 12; i++) {
            requests[i] = (struct vde_volume_request){.volume = shadow.volume, .op = VDE_VOLUME_OP_WRITE, .size = 4096,
                                                      .offset = i * 4096, .buffer = shadow.bytes + i * 4096};
            requests[i].op = i == 7 ? VDE_VOLUME_OP_FLUSH : VDE_VOLUME_OP_WRITE;
            requests[i].flags = i == 3 ? VDE_VOLUME_FUA : 0;
            requests[i].size = i == 5 ? 512 : 4096;
            OK(vde_volume_submit(queue, &requests[i]));
        }
        while (total < 12) {
            cr_assert(readable(fd, 5000), "%u of 12 in round %u", total, round);
            OK(vde_volume_reap(queue, reaped, 1 + round % 5, false, &count));
            for (uint32_t i = 0; i < count; i++)
                OK(reaped[i]->status);
            total += count;
        }
    }
    shadow_check_all(&shadow);
    vde_volume_queue_destroy(queue);
    shadow_done(&shadow);
    close_clean(image, device);
    tmp_remove(path);
}

Test(volume_queue, two_queues_and_volumes_share_an_image)
{
    struct vde_device *device = memory_image(16 * MIB);
    vde_image *image = open_quiet(device);
    struct shadow a = shadow_create(image, "a", 1 * MIB, 0), b = shadow_create(image, "b", 1 * MIB, 2);
    vde_volume_queue *queues[2];
    struct vde_volume_request requests[8], *reaped[8];
    uint32_t count;
    OK(vde_volume_queue_create(image, 8, &queues[0]));
    OK(vde_volume_queue_create(image, 8, &queues[1]));
    shadow_fill(&a, 512 * KIB, 0);
    shadow_fill(&b, 512 * KIB, 0);
    for (unsigned i = 0; i < 8; i++) {
        struct shadow *shadow = i / 2 % 2 ? &b : &a;
        requests[i] = (struct vde_volume_request){.volume = shadow->volume, .op = VDE_VOLUME_OP_WRITE, .size = 128 * KIB,
                                                  .offset = i / 4 * 256 * KIB + i % 2 * 128 * KIB};
        requests[i].buffer = shadow->bytes + requests[i].offset;
        OK(vde_volume_submit(queues[i / 4], &requests[i]));
    }
    for (unsigned q = 0; q < 2; q++)
        for (uint32_t total = 0; total < 4; total += count) {
            OK(vde_volume_reap(queues[q], reaped, 8, true, &count));
            for (uint32_t i = 0; i < count; i++)
                OK(reaped[i]->status);
        }
    shadow_check_all(&a);
    shadow_check_all(&b);
    vde_volume_queue_destroy(queues[0]);
    vde_volume_queue_destroy(queues[1]);
    shadow_done(&a);
    shadow_done(&b);
    close_clean(image, device);
}
