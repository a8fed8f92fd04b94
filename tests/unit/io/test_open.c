/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: locks, what may be opened, which backend is taken and what is said about it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vde/device.h>

#include "support/refuse.h"
#include "support/support.h"

#define SIZE (1u << 20)

static char path[TMP_PATH_BYTES];

static void set_up(void) { tmp_path(path, NULL, "open"); }
static void tear_down(void) { tmp_remove(path); }
TestSuite(open, .init = set_up, .fini = tear_down);

static struct vde_device *must_open(const char *backend, unsigned flags)
{
    struct vde_device *device = NULL;
    vde_status status = vde_device_open(path, backend, flags, SIZE, &device);
    if (status == VDE_UNSUPPORTED)
        cr_assert_fail("this machine forbids io_uring, which these tests need: %s", vde_last_error()->text);
    cr_assert_eq(status, VDE_OK, "%s", vde_last_error()->text);
    return device;
}

static vde_status try_open(const char *backend, unsigned flags)
{
    struct vde_device *device = NULL;
    vde_status status = vde_device_open(path, backend, flags, SIZE, &device);
    if (status == VDE_OK)
        device->ops->close(device);
    else
        cr_assert_null(device);
    return status;
}

static void make_file(off_t size)
{
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    cr_assert(fd >= 0 && ftruncate(fd, size) == 0);
    close(fd);
}

Test(open, second_writer_is_busy_and_the_message_names_the_path)
{
    struct vde_device *device = must_open("sync", VDE_DEVICE_CREATE);
    cr_assert_eq(try_open("sync", 0), VDE_BUSY);
    cr_assert(strstr(vde_last_error()->text, path));
    cr_assert(strstr(vde_last_error()->text, "writing"));
    cr_assert(vde_last_error()->retryable);
    cr_assert_eq(try_open("sync", VDE_DEVICE_READ_ONLY), VDE_BUSY);
    device->ops->close(device);
    cr_assert_eq(try_open("sync", 0), VDE_OK);
}

Test(open, another_process_is_refused_as_well)
{
    struct vde_device *device = must_open("auto", VDE_DEVICE_CREATE);
    pid_t child = fork();
    if (child == 0) {
        struct vde_device *second;
        _exit(vde_device_open(path, "sync", 0, 0, &second));
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == VDE_BUSY);
    device->ops->close(device);
}

Test(open, reopening_right_after_close_is_never_busy)
{
    for (int i = 0; i < 50; i++) {
        struct vde_device *device = must_open("uring", VDE_DEVICE_CREATE);
        cr_assert_eq(write_seed(device, 0, 65536, 1, 0), VDE_OK);
        cr_assert_eq(device->ops->flush(device), VDE_OK);
        device->ops->close(device);
    }
}

Test(open, readers_share_and_keep_writers_out)
{
    make_file(SIZE);
    struct vde_device *first = must_open("uring", VDE_DEVICE_READ_ONLY);
    struct vde_device *second = must_open("sync", VDE_DEVICE_READ_ONLY);
    cr_assert(reads_zeroes(first, 0, 4096) && reads_zeroes(second, 0, 4096));
    cr_assert_eq(try_open("sync", 0), VDE_BUSY);
    cr_assert(strstr(vde_last_error()->text, "reading"));
    first->ops->close(first);
    cr_assert_eq(try_open("sync", 0), VDE_BUSY);
    second->ops->close(second);
    cr_assert_eq(try_open("sync", 0), VDE_OK);
}

Test(open, read_only_device_takes_no_writes)
{
    make_file(SIZE);
    const char *backends[] = {"uring", "sync"};
    for (int i = 0; i < 2; i++) {
        struct vde_device *device = must_open(backends[i], VDE_DEVICE_READ_ONLY);
        struct vde_device_info info;
        device->ops->info(device, &info);
        cr_assert(info.read_only);
        cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_READ_ONLY);
        cr_assert_eq(write_seed(device, 0, 4096, 1, VDE_IO_DSYNC), VDE_READ_ONLY);
        cr_assert_eq(device->ops->discard(device, 0, 4096), VDE_READ_ONLY);
        cr_assert_eq(device->ops->flush(device), VDE_OK);
        cr_assert(reads_zeroes(device, 0, 4096));
        device->ops->close(device);
    }
}

Test(open, peeking_without_lock_works_under_a_writer)
{
    struct vde_device *writer = must_open("uring", VDE_DEVICE_CREATE);
    cr_assert_eq(write_seed(writer, 8192, 4096, 9, 0), VDE_OK);
    struct vde_device *peek = must_open("sync", VDE_DEVICE_READ_ONLY | VDE_DEVICE_NO_LOCK);
    cr_assert(reads_seed(peek, 8192, 4096, 9));
    peek->ops->close(peek);
    cr_assert_eq(try_open("sync", 0), VDE_BUSY, "the peek took the writer's lock with it");
    writer->ops->close(writer);
}

Test(open, create_makes_grows_and_never_shrinks)
{
    cr_assert_eq(try_open("sync", 0), VDE_NOT_FOUND);
    cr_assert_eq(try_open("sync", VDE_DEVICE_READ_ONLY), VDE_NOT_FOUND);
    cr_assert_eq(try_open("sync", VDE_DEVICE_CREATE | VDE_DEVICE_READ_ONLY), VDE_INVAL);
    cr_assert_eq(try_open("sync", 64), VDE_INVAL);
    cr_assert(access(path, F_OK) != 0);
    struct stat st;
    cr_assert_eq(try_open("sync", VDE_DEVICE_CREATE), VDE_OK);
    cr_assert(stat(path, &st) == 0 && st.st_size == SIZE);
    cr_assert(truncate(path, 8192) == 0);
    cr_assert_eq(try_open("sync", VDE_DEVICE_CREATE), VDE_OK);
    cr_assert(stat(path, &st) == 0 && st.st_size == SIZE);
    cr_assert(truncate(path, 2 * SIZE) == 0);
    cr_assert_eq(try_open("sync", VDE_DEVICE_CREATE), VDE_OK);
    cr_assert(stat(path, &st) == 0 && st.st_size == 2 * SIZE);
}

Test(open, create_that_fails_leaves_no_file)
{
    struct vde_device *device;
    cr_assert_neq(vde_device_open(path, "sync", VDE_DEVICE_CREATE, UINT64_MAX / 4, &device), VDE_OK);
    cr_assert(access(path, F_OK) != 0);
    cr_assert_eq(vde_device_open(path, "sync", VDE_DEVICE_CREATE, 0, &device), VDE_INVAL);
    cr_assert(access(path, F_OK) != 0);
}

Test(open, empty_or_truncated_file_is_refused)
{
    make_file(0);
    cr_assert_eq(try_open("sync", 0), VDE_INVAL);
    cr_assert(strstr(vde_last_error()->text, "0 bytes"));
    cr_assert(truncate(path, 4095) == 0);
    cr_assert_eq(try_open("auto", VDE_DEVICE_READ_ONLY), VDE_INVAL);
    cr_assert(strstr(vde_last_error()->text, "truncated"));
}

Test(open, size_is_whole_blocks)
{
    make_file(3 * 4096 + 100);
    struct vde_device *device = must_open("auto", 0);
    struct vde_device_info info;
    device->ops->info(device, &info);
    cr_assert_eq(info.size_bytes, 3 * 4096);
    device->ops->close(device);
}

Test(open, file_truncated_under_an_open_device_is_an_io_error)
{
    const char *backends[] = {"uring", "sync"};
    for (int i = 0; i < 2; i++) {
        struct vde_device *device = must_open(backends[i], VDE_DEVICE_CREATE);
        cr_assert(truncate(path, 8192) == 0);
        cr_assert(reads_zeroes(device, 4096, 4096));
        cr_assert(!reads_zeroes(device, 0, 16384));
        cr_assert_eq(vde_last_error()->status, VDE_IO);
        cr_assert(strstr(vde_last_error()->text, "the file ends"), "%s", vde_last_error()->text);
        device->ops->close(device);
    }
}

Test(open, a_folder_and_a_fifo_are_named)
{
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(try_open(NULL, 0), VDE_INVAL);
    cr_assert(strstr(vde_last_error()->text, "a folder"));
    cr_assert_eq(try_open(NULL, VDE_DEVICE_READ_ONLY), VDE_INVAL);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(try_open(NULL, VDE_DEVICE_READ_ONLY), VDE_INVAL);
    cr_assert(strstr(vde_last_error()->text, "a fifo"));
    cr_assert_eq(try_open(NULL, VDE_DEVICE_CREATE), VDE_INVAL);
    struct vde_device *device;
    cr_assert_eq(vde_device_open("/dev/null", NULL, 0, 0, &device), VDE_INVAL);
    cr_assert(strstr(vde_last_error()->text, "a character device"));
}

Test(open, unknown_backend_is_unsupported_and_creates_nothing)
{
    cr_assert_eq(try_open("mmap", VDE_DEVICE_CREATE), VDE_UNSUPPORTED);
    cr_assert(strstr(vde_last_error()->text, "mmap"));
    cr_assert_eq(try_open("memory", VDE_DEVICE_CREATE), VDE_UNSUPPORTED);
    cr_assert(access(path, F_OK) != 0);
}

Test(open, tmpfs_falls_back_to_buffered_and_says_so)
{
    tmp_path(path, "/dev/shm", "open");
    struct vde_device *device = must_open("sync", VDE_DEVICE_CREATE);
    struct vde_device_info info;
    device->ops->info(device, &info);
    cr_assert(!info.direct);
    cr_assert(strstr(info.note, "buffered"), "%s", info.note);
    device->ops->close(device);
}

Test(open, missing_uring_is_unsupported_by_name_and_a_noted_fallback_by_auto)
{
    refuse_call(__NR_io_uring_setup, -1, 0, EPERM);
    cr_assert_eq(try_open("uring", VDE_DEVICE_CREATE), VDE_UNSUPPORTED);
    cr_assert(strstr(vde_last_error()->text, "Operation not permitted"), "%s", vde_last_error()->text);
    cr_assert(access(path, F_OK) != 0);
    struct vde_device *device = must_open("auto", VDE_DEVICE_CREATE);
    struct vde_device_info info;
    device->ops->info(device, &info);
    cr_assert_str_eq(info.backend, "aio");
    cr_assert(strstr(info.note, "io_uring: Operation not permitted; libaio: context set up"), "%s", info.note);
    cr_assert_eq(write_seed(device, 0, 65536, 1, 0), VDE_OK);
    device->ops->close(device);
    refuse_call(__NR_io_setup, -1, 0, EAGAIN);
    cr_assert_eq(try_open("aio", VDE_DEVICE_CREATE), VDE_UNSUPPORTED);
    cr_assert(strstr(vde_last_error()->text, "libaio: Resource temporarily unavailable"), "%s", vde_last_error()->text);
    device = must_open(NULL, 0);
    device->ops->info(device, &info);
    cr_assert_str_eq(info.backend, "sync");
    cr_assert(strstr(info.note, "io_uring: Operation not permitted; libaio: Resource temporarily unavailable"), "%s",
              info.note);
    cr_assert(reads_seed(device, 0, 65536, 1));
    device->ops->close(device);
}

Test(open, discards_punch_holes_only_when_asked_for)
{
    static const char *const names[] = {"uring", "aio", "sync"};
    for (int i = 0; i < 6; i++) {
        struct vde_device *device = must_open(names[i / 2], VDE_DEVICE_CREATE | (i & 1 ? VDE_DEVICE_DISCARD : 0));
        struct stat before, after;
        cr_assert_eq(write_seed(device, 65536, 262144, 1, 0), VDE_OK);
        cr_assert(device->ops->flush(device) == VDE_OK && stat(path, &before) == 0);
        cr_assert_eq(device->ops->discard(device, 131072, 65536), VDE_OK);
        cr_assert(device->ops->flush(device) == VDE_OK && stat(path, &after) == 0);
        cr_assert_eq(after.st_size, before.st_size);
        if (i & 1) {
            cr_assert_eq(before.st_blocks - after.st_blocks, 65536 / 512);
            cr_assert(reads_zeroes(device, 131072, 65536));
        } else {
            cr_assert_eq(before.st_blocks, after.st_blocks);
        }
        device->ops->close(device);
        tmp_remove(path);
    }
}

Test(open, refresh_learns_that_the_file_has_grown)
{
    static const char *const names[] = {"uring", "aio", "sync"};
    for (int i = 0; i < 3; i++) {
        struct vde_device *device = must_open(names[i], VDE_DEVICE_CREATE);
        struct vde_device_info info;
        cr_assert_eq(truncate(path, 2 * SIZE + 100), 0);
        cr_assert_eq(write_seed(device, SIZE, 4096, 1, 0), VDE_INVAL, "nobody said so yet");
        cr_assert_eq(device->ops->refresh(device), VDE_OK);
        device->ops->info(device, &info);
        cr_assert_eq(info.size_bytes, 2 * SIZE, "whole blocks only");
        cr_assert_str_eq(info.backend, names[i]);
        cr_assert_eq(write_seed(device, 2 * SIZE - 4096, 4096, 1, 0), VDE_OK);
        cr_assert_eq(truncate(path, SIZE), 0);
        cr_assert_eq(device->ops->refresh(device), VDE_INVAL, "files don't shrink under an image");
        device->ops->close(device);
        tmp_remove(path);
    }
}
