/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices: loop devices over a temporary file, with sectors of 512 and 4096 bytes. They need root. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"

#define DEVICE_BYTES (16u << 20)

struct loop {
    char backend[16];
    uint32_t sector;
    char file[TMP_PATH_BYTES], path[64];
    int file_fd, fd;
};

static struct loop loops[] = {
    {.backend = "uring", .sector = 512}, {.backend = "uring", .sector = 4096}, {.backend = "aio", .sector = 512},
    {.backend = "aio", .sector = 4096},  {.backend = "sync", .sector = 512},   {.backend = "sync", .sector = 4096},
};

#define FOR_EVERY_DEVICE(test)                                                                                         \
    ParameterizedTestParameters(loop, test)                                                                            \
    {                                                                                                                  \
        return cr_make_param_array(struct loop, loops, sizeof loops / sizeof loops[0]);                                \
    }                                                                                                                  \
    ParameterizedTest(struct loop *loop, loop, test, .timeout = 60)

/* The device goes when its last descriptor is closed. */
static void set_up(struct loop *loop, uint32_t flags)
{
    tmp_path(loop->file, NULL, "loop");
    loop->file_fd = open(loop->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(loop->file_fd >= 0 && ftruncate(loop->file_fd, DEVICE_BYTES) == 0);
    unlink(loop->file);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    cr_assert_geq(control, 0, "/dev/loop-control: %s; these tests need root and the loop driver", strerror(errno));
    struct loop_config config = {.fd = (uint32_t)loop->file_fd, .block_size = loop->sector};
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | flags;
    int failed = -1;
    for (int i = 0; i < 100 && failed; i++) { /* somebody else may take the free one first */
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        cr_assert_geq(number, 0, "no free loop device: %s", strerror(errno));
        snprintf(loop->path, sizeof loop->path, "/dev/loop%d", number);
        loop->fd = open(loop->path, O_RDWR | O_CLOEXEC);
        failed = loop->fd < 0 ? -1 : ioctl(loop->fd, LOOP_CONFIGURE, &config);
        if (failed && loop->fd >= 0)
            close(loop->fd);
    }
    cr_assert_eq(failed, 0, "%s with sectors of %u bytes: %s", loop->path, loop->sector, strerror(errno));
    close(control);
}

static void tear_down(struct loop *loop)
{
    close(loop->fd);
    close(loop->file_fd);
}

static struct vde_device *must_open(const struct loop *loop, unsigned flags)
{
    struct vde_device *device = NULL;
    cr_assert_eq(vde_device_open(loop->path, loop->backend, flags, 0, &device), VDE_OK, "%s", vde_last_error()->text);
    return device;
}

static vde_status try_open(const struct loop *loop, unsigned flags)
{
    struct vde_device *device = NULL;
    vde_status status = vde_device_open(loop->path, loop->backend, flags, 0, &device);
    if (status == VDE_OK)
        device->ops->close(device);
    return status;
}

FOR_EVERY_DEVICE(is_described_written_and_read)
{
    set_up(loop, 0);
    struct vde_device *device = must_open(loop, 0);
    struct vde_device_info info;
    device->ops->info(device, &info);
    cr_assert(info.is_block_device && info.direct && !info.read_only);
    cr_assert_eq(info.size_bytes, DEVICE_BYTES);
    cr_assert_eq(info.logical_block_bytes, loop->sector);
    cr_assert_str_eq(info.backend, loop->backend);
    cr_assert_eq(write_seed(device, DEVICE_BYTES - VDE_IO_MAX_BYTES, VDE_IO_MAX_BYTES, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 4096, 4096, 2, VDE_IO_DSYNC), VDE_OK);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(reads_seed(device, DEVICE_BYTES - VDE_IO_MAX_BYTES, VDE_IO_MAX_BYTES, 1));
    device->ops->close(device);
    device = must_open(loop, VDE_DEVICE_READ_ONLY);
    cr_assert(reads_seed(device, 4096, 4096, 2));
    cr_assert_eq(write_seed(device, 4096, 4096, 3, 0), VDE_READ_ONLY);
    cr_assert_eq(device->ops->discard(device, 4096, 4096), VDE_READ_ONLY);
    device->ops->close(device);
    tear_down(loop);
}

FOR_EVERY_DEVICE(serves_a_queue)
{
    enum { COUNT = 32 };
    set_up(loop, 0);
    struct vde_device *device = must_open(loop, 0);
    struct vde_io_queue *queue = NULL;
    struct vde_async_io requests[COUNT], *list[COUNT];
    uint8_t *buffer = aligned_buffer(COUNT * 16384);
    cr_assert_eq(vde_io_queue_open(device, COUNT, &queue), VDE_OK);
    for (uint8_t op = VDE_IO_WRITE;; op = VDE_IO_READ) {
        for (unsigned i = 0; i < COUNT; i++) {
            list[i] = &requests[i];
            requests[i].io = (struct vde_io){.op = op, .size = 16384, .offset = i * 32768, .buffer = buffer + i * 16384};
            if (op == VDE_IO_WRITE)
                fill_bytes(requests[i].io.buffer, 16384, 40 + i);
        }
        cr_assert_eq(queue->ops->submit(queue, list, COUNT), VDE_OK);
        cr_assert_eq(queue->ops->reap(queue, list, COUNT, COUNT), COUNT);
        for (unsigned i = 0; i < COUNT; i++)
            cr_assert(requests[i].io.result == VDE_OK && bytes_equal_seed(requests[i].io.buffer, 16384, 40 + i));
        if (op == VDE_IO_READ)
            break;
        memset(buffer, 0, COUNT * 16384);
    }
    free(buffer);
    queue->ops->close(queue);
    device->ops->close(device);
    tear_down(loop);
}

FOR_EVERY_DEVICE(gets_discards_without_being_asked)
{
    struct stat before, after;
    set_up(loop, 0);
    struct vde_device *device = must_open(loop, 0);
    cr_assert_eq(write_seed(device, 0, 262144, 1, 0), VDE_OK);
    cr_assert(device->ops->flush(device) == VDE_OK && fstat(loop->file_fd, &before) == 0);
    cr_assert_eq(device->ops->discard(device, 65536, 131072), VDE_OK);
    cr_assert(device->ops->flush(device) == VDE_OK && fstat(loop->file_fd, &after) == 0);
    cr_assert_eq(before.st_blocks - after.st_blocks, 131072 / 512, "a loop device passes them on to its file");
    cr_assert(reads_zeroes(device, 65536, 131072));
    device->ops->close(device);
    tear_down(loop);
}

FOR_EVERY_DEVICE(has_one_writer)
{
    set_up(loop, 0);
    struct vde_device *device = must_open(loop, 0);
    cr_assert_eq(try_open(loop, 0), VDE_BUSY);
    cr_assert_eq(try_open(loop, VDE_DEVICE_READ_ONLY), VDE_BUSY);
    cr_assert_eq(try_open(loop, VDE_DEVICE_READ_ONLY | VDE_DEVICE_NO_LOCK), VDE_OK);
    int claim = open(loop->path, O_RDWR | O_EXCL | O_CLOEXEC);
    cr_assert(claim < 0 && errno == EBUSY, "mounts and other claims are refused");
    device->ops->close(device);
    cr_assert_eq(try_open(loop, 0), VDE_OK);
    tear_down(loop);
}

FOR_EVERY_DEVICE(that_is_write_protected_is_opened_for_reading_only)
{
    set_up(loop, LO_FLAGS_READ_ONLY);
    cr_assert_eq(try_open(loop, 0), VDE_READ_ONLY, "%s", vde_last_error()->text);
    struct vde_device *device = must_open(loop, VDE_DEVICE_READ_ONLY);
    cr_assert(reads_zeroes(device, 0, 65536));
    device->ops->close(device);
    tear_down(loop);
}

FOR_EVERY_DEVICE(may_grow)
{
    set_up(loop, 0);
    struct vde_device *device = must_open(loop, 0);
    struct vde_device_info info;
    cr_assert_eq(ftruncate(loop->file_fd, DEVICE_BYTES + 65536), 0);
    cr_assert_eq(ioctl(loop->fd, LOOP_SET_CAPACITY), 0);
    cr_assert_eq(write_seed(device, DEVICE_BYTES, 4096, 1, 0), VDE_INVAL);
    cr_assert_eq(device->ops->refresh(device), VDE_OK);
    device->ops->info(device, &info);
    cr_assert_eq(info.size_bytes, DEVICE_BYTES + 65536);
    cr_assert_eq(write_seed(device, DEVICE_BYTES + 61440, 4096, 1, 0), VDE_OK);
    cr_assert(reads_seed(device, DEVICE_BYTES + 61440, 4096, 1));
    device->ops->close(device);
    tear_down(loop);
}
