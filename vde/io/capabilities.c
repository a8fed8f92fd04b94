/* SPDX-License-Identifier: Apache-2.0 */
/* capabilities.c -- try what an image would use. */
#include <vde/capabilities.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/compress.h"
#include "base/fail.h"
#include "io/aio.h"
#include "io/file_probe.h"
#include "io/request.h"
#include "io/uring.h"

/* A temporary file of one written block, open for buffered reading and writing. */
struct scratch {
    char path[512];
    int fd;
    const char *call; /* what failed, when fd is -1 */
    int os_errno;
    void *block;      /* aligned */
};

static void VDE_PRINTF(3, 4) say(struct vde_capability *entry, bool works, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(entry->detail, sizeof entry->detail, format, args);
    va_end(args);
    entry->works = works;
}

static void say_errno(struct vde_capability *entry, const char *call, int os_errno)
{
    char text[96];
    say(entry, false, "%s: %s", call, strerror_r(os_errno, text, sizeof text));
}

static void scratch_open(struct scratch *scratch, const char *folder)
{
    memset(scratch, 0, sizeof *scratch);
    scratch->fd = -1;
    scratch->call = "memory for a block";
    scratch->os_errno = ENOMEM;
    scratch->block = aligned_alloc(REQUEST_UNIT_BYTES, REQUEST_UNIT_BYTES);
    if (!scratch->block)
        return;
    memset(scratch->block, 0x5a, REQUEST_UNIT_BYTES);
    int size = snprintf(scratch->path, sizeof scratch->path, "%s/.vde-capabilities-XXXXXX", folder);
    scratch->call = "a temporary file";
    scratch->os_errno = ENAMETOOLONG;
    if (size < 0 || (size_t)size >= sizeof scratch->path)
        return;
    scratch->fd = mkostemp(scratch->path, O_CLOEXEC);
    if (scratch->fd >= 0 && pwrite(scratch->fd, scratch->block, REQUEST_UNIT_BYTES, 0) == REQUEST_UNIT_BYTES &&
        fsync(scratch->fd) == 0)
        return;
    scratch->os_errno = errno;
    if (scratch->fd >= 0) {
        unlink(scratch->path);
        close(scratch->fd);
        scratch->fd = -1;
    }
}

static void scratch_close(struct scratch *scratch)
{
    if (scratch->fd >= 0) {
        unlink(scratch->path);
        close(scratch->fd);
    }
    free(scratch->block);
}

static void try_uring(struct vde_capability *entry, struct scratch *scratch)
{
    (void)scratch;
    char reason[128];
    bool works = uring_works(reason, sizeof reason);
    say(entry, works, "%s", reason);
}

static void try_aio(struct vde_capability *entry, struct scratch *scratch)
{
    (void)scratch;
    char reason[128];
    bool works = aio_works(reason, sizeof reason);
    say(entry, works, "%s", reason);
}

static void try_direct(struct vde_capability *entry, struct scratch *scratch)
{
    struct vde_device_info info = {0};
    int fd = open(scratch->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        say_errno(entry, "open", errno);
        return;
    }
    file_probe_direct(fd, &info);
    if (info.direct)
        say(entry, true, "4096 bytes read back with O_DIRECT");
    else
        say(entry, false, "%s", info.note);
    close(fd);
}

static void try_lock(struct vde_capability *entry, struct scratch *scratch)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(scratch->fd, F_OFD_SETLK, &lock) != 0) {
        say_errno(entry, "F_OFD_SETLK", errno);
        return;
    }
    int other = open(scratch->path, O_RDWR | O_CLOEXEC);
    if (other < 0)
        say_errno(entry, "second open", errno);
    else if (fcntl(other, F_OFD_SETLK, &lock) == 0)
        say(entry, false, "two write locks were granted on one file");
    else
        say(entry, true, "write lock taken, a second one refused");
    if (other >= 0)
        close(other);
}

static void try_dsync(struct vde_capability *entry, struct scratch *scratch)
{
    struct iovec part = {.iov_base = scratch->block, .iov_len = REQUEST_UNIT_BYTES};
    if (pwritev2(scratch->fd, &part, 1, 0, RWF_DSYNC) == REQUEST_UNIT_BYTES)
        say(entry, true, "4096 bytes written with RWF_DSYNC");
    else
        say_errno(entry, "pwritev2 with RWF_DSYNC (fdatasync is used instead)", errno);
}

static void try_eventfd(struct vde_capability *entry, struct scratch *scratch)
{
    (void)scratch;
    uint64_t sent = 7, received = 0;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        say_errno(entry, "eventfd", errno);
        return;
    }
    if (write(fd, &sent, sizeof sent) != sizeof sent || read(fd, &received, sizeof received) != sizeof received)
        say_errno(entry, "signal through an eventfd", errno);
    else
        say(entry, received == sent, "signalled %llu, received %llu", (unsigned long long)sent,
            (unsigned long long)received);
    close(fd);
}

static void try_zstd(struct vde_capability *entry, struct scratch *scratch)
{
    (void)scratch;
    uint8_t raw[1024], packed[2048], back[sizeof raw];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i % 61);
    size_t size = compress_pack(packed, sizeof packed, raw, sizeof raw, 3);
    if (size == 0)
        say(entry, false, "compressing 1024 bytes failed");
    else if (compress_unpack(back, sizeof back, packed, size, "round trip") != VDE_OK)
        say(entry, false, "%s", vde_last_error()->found);
    else
        say(entry, memcmp(raw, back, sizeof raw) == 0, "1024 bytes to %zu and back", size);
}

static void try_xxh3(struct vde_capability *entry, struct scratch *scratch)
{
    (void)scratch;
    uint64_t found = checksum("abc", 3, 0);
    bool right = found == 0x78af5f94892f3950u && checksum("", 0, 0) == 0x2d06800538d394c2u;
    say(entry, right, "XXH3-64 of \"abc\" is %016llx", (unsigned long long)found);
}

static const struct {
    const char *name;
    bool needs_file;
    void (*attempt)(struct vde_capability *entry, struct scratch *scratch);
} attempts[] = {
    {"io_uring", false, try_uring},  {"libaio", false, try_aio},        {"o_direct", true, try_direct},
    {"ofd_lock", true, try_lock},    {"rwf_dsync", true, try_dsync},    {"eventfd", false, try_eventfd},
    {"zstd", false, try_zstd},       {"xxh3", false, try_xxh3},
};

vde_status vde_capabilities(const char *folder, struct vde_capability *ret_list, size_t capacity, size_t *ret_count)
{
    size_t count = sizeof attempts / sizeof attempts[0];
    if (capacity < count)
        return fail_as(VDE_INVAL, "list of capabilities|room for %zu|%zu", capacity, count);
    if (!folder)
        folder = getenv("TMPDIR");
    struct scratch scratch;
    scratch_open(&scratch, folder && folder[0] ? folder : "/tmp");
    for (size_t i = 0; i < count; i++) {
        struct vde_capability *entry = &ret_list[i];
        memset(entry, 0, sizeof *entry);
        snprintf(entry->name, sizeof entry->name, "%s", attempts[i].name);
        if (attempts[i].needs_file && scratch.fd < 0)
            say_errno(entry, scratch.call, scratch.os_errno);
        else
            attempts[i].attempt(entry, &scratch);
    }
    scratch_close(&scratch);
    *ret_count = count;
    return VDE_OK;
}
