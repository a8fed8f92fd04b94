/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that make a write durable are really made: each is refused by the kernel, and that must show. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/refuse.h"
#include "support/support.h"

#define FLAGS_ARGUMENT 5 /* of pwritev2 */

static char path[TMP_PATH_BYTES];
enum { COUNT = 3 };
static const char *const backends[] = {"uring", "sync", "aio"};
static struct vde_device *devices[COUNT];

/* A file for each, so that all are open before the calls are refused. */
static void set_up(void)
{
    for (int i = 0; i < COUNT; i++) {
        tmp_path(path, NULL, "durable");
        vde_status status = vde_device_open(path, backends[i], VDE_DEVICE_CREATE, 1u << 20, &devices[i]);
        if (status == VDE_UNSUPPORTED)
            cr_assert_fail("this machine forbids io_uring, which these tests need: %s", vde_last_error()->text);
        cr_assert_eq(status, VDE_OK, "%s", vde_last_error()->text);
        unlink(path);
    }
}

static void tear_down(void)
{
    for (int i = 0; i < COUNT; i++)
        devices[i]->ops->close(devices[i]);
}

TestSuite(durable, .init = set_up, .fini = tear_down);

Test(durable, dsync_write_carries_the_flag)
{
    refuse_call(__NR_pwritev2, FLAGS_ARGUMENT, RWF_DSYNC, EIO);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(write_seed(devices[i], 0, 4096, 1, VDE_IO_DSYNC), VDE_IO);
        cr_assert_eq(vde_last_error()->os_errno, EIO);
        cr_assert_eq(write_seed(devices[i], 0, 4096, 1, 0), VDE_OK);
    }
}

Test(durable, without_the_flag_the_file_is_synced_instead)
{
    refuse_call(__NR_pwritev2, FLAGS_ARGUMENT, RWF_DSYNC, EOPNOTSUPP);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(write_seed(devices[i], 0, 8192, 2, VDE_IO_DSYNC), VDE_OK);
        cr_assert(reads_seed(devices[i], 0, 8192, 2));
    }
    refuse_call(__NR_fdatasync, -1, 0, EIO);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(write_seed(devices[i], 0, 8192, 2, VDE_IO_DSYNC), VDE_IO);
}

Test(durable, flush_reports_any_failure_as_lost_data)
{
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(devices[i]->ops->flush(devices[i]), VDE_OK);
    refuse_call(__NR_fdatasync, -1, 0, ENOSPC);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(devices[i]->ops->flush(devices[i]), VDE_IO);
        cr_assert_eq(vde_last_error()->os_errno, ENOSPC);
    }
}

Test(durable, no_space_is_told_apart_from_other_failures)
{
    refuse_call(__NR_pwritev, -1, 0, ENOSPC);
    cr_assert_eq(write_seed(devices[1], 0, 4096, 1, 0), VDE_NOSPC);
    cr_assert_eq(vde_last_error()->os_errno, ENOSPC);
}

Test(durable, reads_that_fail_are_io_errors)
{
    refuse_call(__NR_preadv, -1, 0, EINVAL);
    cr_assert(!reads_seed(devices[1], 0, 4096, 1));
    cr_assert_eq(vde_last_error()->status, VDE_IO, "the request was checked before, so it is not the caller's fault");
    cr_assert_eq(vde_last_error()->os_errno, EINVAL);
}
