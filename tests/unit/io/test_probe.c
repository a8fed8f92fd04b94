/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign content, free space and capabilities. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vde/capabilities.h>

#include "io/probe.h"
#include "io/simulated.h"
#include "support/support.h"

#define SIZE (4u << 20)

static struct vde_device *make(uint64_t size)
{
    struct vde_device *device;
    cr_assert_eq(simulated_create(size, 1, 0, &device), VDE_OK);
    return device;
}

static void expect(struct vde_device *device, const char *wanted)
{
    char what[64];
    cr_assert_eq(probe_foreign_content(device, what, sizeof what), VDE_OK);
    cr_expect_str_eq(what, wanted, "found '%s' instead of '%s'", what, wanted);
}

Test(probe, blank_device_has_no_content)
{
    struct vde_device *device = make(SIZE);
    expect(device, "");
    cr_assert_eq(simulated_poke(device, 2u << 20, "far behind the first MiB", 24), VDE_OK);
    expect(device, "");
    device->ops->close(device);
    device = make(8192);
    expect(device, "");
    device->ops->close(device);
}

Test(probe, known_content_is_named)
{
    static const struct {
        uint64_t offset;
        const char *bytes;
        size_t size;
        const char *name;
    } cases[] = {
        {510, "\x55\xaa", 2, "a boot sector or MBR partition table"},
        {512, "EFI PART", 8, "a GPT partition table"},
        {SIZE - 512, "EFI PART", 8, "the backup of a GPT partition table"},
        {1080, "\x53\xef", 2, "an ext2 file system"},
        {0, "XFSB", 4, "an XFS file system"},
        {0x10040, "_BHRfS_M", 8, "a btrfs file system"},
        {4086, "SWAPSPACE2", 10, "swap space"},
        {0, "LUKS\xba\xbe", 6, "a LUKS volume"},
        {512, "LABELONE", 8, "an LVM physical volume"},
        {128 * 1024 + 3072, "\x0c\xb1\xba\0\0\0\0\0", 8, "a ZFS pool"},
        {0, "QFI\xfb", 4, "a qcow2 image"},
        {32768, "VDElabel", 8, "a VDE image"},
        {(1u << 20) - 1, "x", 1, "data in its first MiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vde_device *device = make(SIZE);
        cr_assert_eq(simulated_poke(device, cases[i].offset, cases[i].bytes, cases[i].size), VDE_OK);
        expect(device, cases[i].name);
        device->ops->close(device);
    }
}

Test(probe, ext_versions_are_told_apart)
{
    struct vde_device *device = make(SIZE);
    cr_assert_eq(simulated_poke(device, 1080, "\x53\xef", 2), VDE_OK);
    cr_assert_eq(simulated_poke(device, 1024 + 92, "\x04", 1), VDE_OK);
    expect(device, "an ext3 file system");
    cr_assert_eq(simulated_poke(device, 1024 + 96, "\x40", 1), VDE_OK);
    expect(device, "an ext4 file system");
    device->ops->close(device);
}

Test(probe, read_error_is_passed_on)
{
    struct vde_device *device = make(SIZE);
    char what[64];
    simulated_cut(device);
    cr_assert_eq(probe_foreign_content(device, what, sizeof what), VDE_IO);
    device->ops->close(device);
}

Test(probe, free_space_of_a_file_yet_to_come_is_its_folders)
{
    char path[TMP_PATH_BYTES];
    uint64_t here = 0, there = 0;
    tmp_path(path, NULL, "none");
    cr_assert_eq(probe_free_space(path, &here), VDE_OK);
    cr_assert_eq(probe_free_space("/tmp", &there), VDE_OK);
    cr_assert(here > 0 && there > 0);
    cr_assert_eq(probe_free_space("no-such-file", &here), VDE_OK);
    cr_assert_eq(probe_free_space("/no-such-file", &here), VDE_OK);
    cr_assert_eq(probe_free_space("/no-such-folder/file", &here), VDE_NOT_FOUND);
}

static const struct vde_capability *find(const struct vde_capability *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    cr_assert_fail("no capability %s", name);
    return NULL;
}

Test(capabilities, each_is_tried_and_explained)
{
    static const char *const names[] = {"io_uring", "libaio", "o_direct", "ofd_lock",
                                        "rwf_dsync", "eventfd", "zstd", "xxh3"};
    static const char *const certain[] = {"ofd_lock", "eventfd", "zstd", "xxh3"};
    struct vde_capability list[VDE_CAPABILITIES_MAX];
    size_t count = 0;
    cr_assert_eq(vde_capabilities(NULL, list, VDE_CAPABILITIES_MAX, &count), VDE_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert(strlen(find(list, count, names[i])->detail) > 0);
    for (size_t i = 0; i < sizeof certain / sizeof certain[0]; i++)
        cr_assert(find(list, count, certain[i])->works, "%s: %s", certain[i], find(list, count, certain[i])->detail);
    cr_assert_eq(vde_capabilities(NULL, list, 2, &count), VDE_INVAL);
}

Test(capabilities, missing_folder_is_a_detail_and_not_a_failure)
{
    struct vde_capability list[VDE_CAPABILITIES_MAX];
    size_t count = 0;
    cr_assert_eq(vde_capabilities("/no-such-folder", list, VDE_CAPABILITIES_MAX, &count), VDE_OK);
    cr_assert(!find(list, count, "o_direct")->works);
    cr_assert(strstr(find(list, count, "o_direct")->detail, "No such file"));
    cr_assert(find(list, count, "zstd")->works);
}

Test(capabilities, nothing_is_left_behind)
{
    char folder[TMP_PATH_BYTES];
    struct vde_capability list[VDE_CAPABILITIES_MAX];
    size_t count = 0;
    tmp_path(folder, NULL, "capabilities");
    strncat(folder, "-XXXXXX", sizeof folder - strlen(folder) - 1);
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(vde_capabilities(folder, list, VDE_CAPABILITIES_MAX, &count), VDE_OK);
    cr_assert_eq(rmdir(folder), 0);
}
