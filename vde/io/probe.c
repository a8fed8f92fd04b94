/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c -- recognise foreign content by its magic numbers, from the first MiB and the last block. */
#include "io/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/le.h"
#include "format/label.h"
#include "format/layout.h"
#include "io/request.h"

#define HEAD_BYTES (1u << 20)

vde_status probe_free_space(const char *path, uint64_t *ret_bytes)
{
    struct statvfs fs;
    int failed = statvfs(path, &fs);
    if (failed && errno == ENOENT) {
        char *folder = strdup(path);
        if (!folder)
            return fail_nomem("path");
        char *slash = strrchr(folder, '/');
        if (slash)
            slash[slash == folder] = '\0';
        failed = statvfs(slash ? folder : ".", &fs);
        int os_errno = errno;
        free(folder);
        errno = os_errno;
    }
    if (failed)
        return vde_error_errno(errno, path, "ask for free space");
    if (!checked_mul((uint64_t)fs.f_bavail, (uint64_t)fs.f_frsize, ret_bytes))
        *ret_bytes = UINT64_MAX;
    return VDE_OK;
}

struct magic {
    uint32_t offset;
    uint32_t size;
    const char *bytes;
    const char *name;
};

/* In this order: a boot sector signature also stands at the start of many file systems, so it comes last. */
static const struct magic magics[] = {
    {LABEL_BLOCK * 4096, 8, LABEL_MAGIC, "a VDE image"},
    {512, 8, "EFI PART", "a GPT partition table"},
    {4096, 8, "EFI PART", "a GPT partition table"},
    {0, 6, "LUKS\xba\xbe", "a LUKS volume"},
    {0, 4, "XFSB", "an XFS file system"},
    {0x10040, 8, "_BHRfS_M", "a btrfs file system"},
    {4096 - 10, 10, "SWAPSPACE2", "swap space"},
    {16384 - 10, 10, "SWAPSPACE2", "swap space"},
    {65536 - 10, 10, "SWAPSPACE2", "swap space"},
    {0, 8, "LABELONE", "an LVM physical volume"},
    {512, 8, "LABELONE", "an LVM physical volume"},
    {1024, 8, "LABELONE", "an LVM physical volume"},
    {1536, 8, "LABELONE", "an LVM physical volume"},
    {0, 4, "\xfc\x4e\x2b\xa9", "a member of a RAID array"},
    {4096, 4, "\xfc\x4e\x2b\xa9", "a member of a RAID array"},
    {1024, 4, "\x10\x20\xf5\xf2", "an F2FS file system"},
    {0, 4, "QFI\xfb", "a qcow2 image"},
    {0, 4, "KDMV", "a VMDK image"},
    {0, 8, "vhdxfile", "a VHDX image"},
    {0, 4, "hsqs", "a squashfs file system"},
    {32769, 5, "CD001", "an ISO 9660 file system"},
    {3, 8, "NTFS    ", "an NTFS file system"},
    {3, 8, "EXFAT   ", "an exFAT file system"},
    {82, 5, "FAT32", "a FAT file system"},
    {54, 3, "FAT", "a FAT file system"},
};

static bool holds(const uint8_t *head, uint64_t size, uint64_t offset, const char *bytes, uint32_t count)
{
    return offset + count <= size && memcmp(head + offset, bytes, count) == 0;
}

static const char *find_ext(const uint8_t *head, uint64_t size)
{
    enum { SUPERBLOCK = 1024, MAGIC = 56, COMPAT = 92, INCOMPAT = 96 };
    enum { HAS_JOURNAL = 4, EXTENTS = 0x40, IS_64BIT = 0x80 };
    vde_le32 compat, incompat;
    if (!holds(head, size, SUPERBLOCK + MAGIC, "\x53\xef", 2))
        return NULL;
    memcpy(&compat, head + SUPERBLOCK + COMPAT, sizeof compat);
    memcpy(&incompat, head + SUPERBLOCK + INCOMPAT, sizeof incompat);
    if (le32_get(incompat) & (EXTENTS | IS_64BIT))
        return "an ext4 file system";
    return le32_get(compat) & HAS_JOURNAL ? "an ext3 file system" : "an ext2 file system";
}

/* The second half of a ZFS label is an array of uberblocks, in the byte order of the machine that wrote it. */
static bool is_zfs(const uint8_t *head, uint64_t size)
{
    for (uint64_t offset = 128 * 1024; offset < 256 * 1024; offset += 1024)
        if (holds(head, size, offset, "\x0c\xb1\xba\0\0\0\0\0", 8) ||
            holds(head, size, offset, "\0\0\0\0\0\xba\xb1\x0c", 8))
            return true;
    return false;
}

static const char *recognise(const uint8_t *head, uint64_t size, const uint8_t *last)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (holds(head, size, magics[i].offset, magics[i].bytes, magics[i].size))
            return magics[i].name;
    const char *ext = find_ext(head, size);
    if (ext)
        return ext;
    if (is_zfs(head, size))
        return "a ZFS pool";
    if (holds(head, size, 510, "\x55\xaa", 2))
        return "a boot sector or MBR partition table";
    for (uint64_t i = 0; i < size; i++)
        if (head[i])
            return "data in its first MiB";
    /* Both places of the backup header, for 512-byte and 4096-byte sectors. */
    if (holds(last, REQUEST_UNIT_BYTES, REQUEST_UNIT_BYTES - 512, "EFI PART", 8) ||
        holds(last, REQUEST_UNIT_BYTES, 0, "EFI PART", 8))
        return "the backup of a GPT partition table";
    return "";
}

static uint64_t round_down(uint64_t bytes)
{
    return bytes / REQUEST_UNIT_BYTES * REQUEST_UNIT_BYTES;
}

vde_status probe_foreign_content(struct vde_device *device, char *ret_what, size_t size)
{
    struct vde_device_info info;
    device->ops->info(device, &info);
    uint64_t head = round_down(min_u64(info.size_bytes, HEAD_BYTES));
    uint8_t *buffer = aligned_alloc(REQUEST_UNIT_BYTES, HEAD_BYTES + REQUEST_UNIT_BYTES);
    if (!buffer)
        return fail_nomem("probe buffer");
    struct vde_io ios[3] = {0};
    size_t count = 0;
    for (uint64_t done = 0; done < head; done += VDE_IO_MAX_BYTES)
        ios[count++] = (struct vde_io){.op = VDE_IO_READ, .size = (uint32_t)min_u64(VDE_IO_MAX_BYTES, head - done),
                                       .offset = done, .buffer = buffer + done};
    const uint8_t *last = buffer + head - REQUEST_UNIT_BYTES;
    if (round_down(info.size_bytes) > head) {
        last = buffer + HEAD_BYTES;
        ios[count++] = (struct vde_io){.op = VDE_IO_READ, .size = REQUEST_UNIT_BYTES, .buffer = buffer + HEAD_BYTES,
                                       .offset = round_down(info.size_bytes) - REQUEST_UNIT_BYTES};
    }
    vde_status status = device->ops->run(device, ios, count);
    if (status == VDE_OK)
        snprintf(ret_what, size, "%s", recognise(buffer, head, last));
    free(buffer);
    return status;
}
