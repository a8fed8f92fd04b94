/* SPDX-License-Identifier: Apache-2.0 */
/* A device that failed a write: what every call says from then on, and what the next open finds. */
#include <criterion/criterion.h>

#include <errno.h>
#include <poll.h>

#include "unit/pool/engine.h"

/* A commit whose log write or flush failed. */
static vde_image *poisoned(struct vde_device *device, uint64_t *ret_dataset)
{
    vde_image *image = open_quiet(device);
    *ret_dataset = new_dataset(image, "d");
    put_text(image, *ret_dataset, "k", "before");
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, *ret_dataset, "k", "unknown"));
    simulated_fail(device, SIMULATED_WRITE | SIMULATED_FLUSH, 1, 1, EIO);
    EXPECT(VDE_COMMIT_UNKNOWN, commit_status(txn));
    simulated_clear_faults(device);
    return image;
}

Test(poison, readers_stay_and_writers_are_told)
{
    uint64_t d, found;
    struct vde_device *device = simulated_image(4 * MIB, 1);
    vde_image *image = poisoned(device, &d);
    cr_assert(info_of(image).poisoned);
    cr_assert(has(image, d, 0, "k", "before"));
    OK(find_name(image, "d", &found));
    EXPECT(VDE_POISONED, vde_image_checkpoint(image));
    vde_txn *txn;
    vde_status status = vde_txn_create(image, &txn);
    if (status == VDE_OK) {
        struct vde_commit done;
        status = txn_put_text(txn, d, "k", "after");
        if (status == VDE_OK)
            status = vde_txn_submit(txn, &done);
        vde_txn_destroy(txn);
    }
    cr_assert_eq(status, VDE_POISONED);
    uint64_t changes = simulated_count(device);
    OK(vde_image_close(image)); /* nothing is written any more */
    cr_assert_eq(simulated_count(device), changes);
    image = open_quiet(device);
    cr_assert(has(image, d, 0, "k", "before") || has(image, d, 0, "k", "unknown"));
    put_text(image, d, "k", "works again");
    close_clean(image, device);
}

Test(poison, a_failed_write_is_never_tried_again)
{
    uint64_t d;
    struct vde_device *device = simulated_image(4 * MIB, 2);
    vde_image *image = open_quiet(device);
    struct simulated_counts before, after;
    d = new_dataset(image, "d");
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "k", "v"));
    simulated_counts(device, &before);
    simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
    EXPECT(VDE_COMMIT_UNKNOWN, commit_status(txn));
    simulated_counts(device, &after);
    cr_assert_eq(after.writes - before.writes, 1);
    cr_assert_eq(after.flushes, before.flushes);
    cr_assert(has(image, d, 0, "k", NULL));
    OK(vde_image_close(image));
    simulated_clear_faults(device);
    image = open_quiet(device);
    close_clean(image, device);
}

Test(poison, a_failed_flush_is_never_tried_again)
{
    struct vde_device *device = simulated_image(8 * MIB, 3);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    struct simulated_counts before, after;
    vde_txn *txn = begin(image);
    OK(txn_put_seed(txn, d, "k", 200000, 1)); /* data beside the record: a flush follows */
    simulated_fail(device, SIMULATED_FLUSH, 1, 1, EIO);
    simulated_counts(device, &before);
    EXPECT(VDE_COMMIT_UNKNOWN, commit_status(txn));
    simulated_counts(device, &after);
    cr_assert_eq(after.flushes - before.flushes, 1);
    OK(vde_image_close(image));
    simulated_counts(device, &after);
    cr_assert_eq(after.flushes - before.flushes, 1);
    simulated_clear_faults(device);
    image = open_quiet(device);
    close_clean(image, device);
}

Test(poison, by_a_checkpoint_keeps_what_was_acknowledged)
{
    struct vde_device *device = simulated_image(4 * MIB, 4);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    put_text(image, d, "k", "acknowledged");
    simulated_fail(device, SIMULATED_FLUSH, 1, 1, EIO);
    cr_assert_neq(vde_image_checkpoint(image), VDE_OK);
    cr_assert(info_of(image).poisoned);
    cr_assert(has(image, d, 0, "k", "acknowledged"));
    simulated_clear_faults(device);
    OK(vde_image_close(image));
    image = open_quiet(device);
    cr_assert(has(image, d, 0, "k", "acknowledged"));
    close_clean(image, device);
}

Test(poison, every_record_of_a_failed_group_is_unknown_and_the_queue_says_so)
{
    struct vde_device *device = simulated_image(4 * MIB, 5);
    vde_image *image = open_quiet(device);
    uint64_t d = new_dataset(image, "d");
    struct vde_commit first, second;
    vde_queue *queue;
    OK(vde_queue_create(image, &queue));
    vde_txn *a = begin(image), *b = begin(image);
    OK(txn_put_text(a, d, "a", "1"));
    OK(vde_txn_submit(a, &first));
    OK(txn_put_text(b, d, "b", "2"));
    OK(vde_txn_submit_async(b, queue, 9));
    simulated_fail(device, SIMULATED_WRITE, 1, 1, EIO);
    EXPECT(VDE_COMMIT_UNKNOWN, vde_image_wait(image, first.lsn)); /* both went out in one group */
    EXPECT(VDE_COMMIT_UNKNOWN, vde_image_wait(image, first.lsn));
    struct vde_completion completion;
    size_t count;
    OK(vde_queue_reap(queue, &completion, 1, true, &count));
    cr_assert_eq(count, 1);
    cr_assert_eq(completion.tag, 9);
    cr_assert_eq(completion.status, VDE_COMMIT_UNKNOWN);
    second = completion.commit;
    EXPECT(VDE_INVAL, vde_image_wait(image, second.lsn + 1)); /* no transaction has it */
    vde_txn_destroy(a);
    vde_txn_destroy(b);
    vde_queue_destroy(queue);
    OK(vde_image_close(image));
    close_device(device);
}

Test(poison, lets_an_eventfd_ring)
{
    struct vde_device *device = simulated_image(4 * MIB, 6);
    vde_image *image = open_flags(device, 0);
    uint64_t d = new_dataset(image, "d");
    vde_queue *queue;
    struct vde_completion completion;
    size_t count = 0;
    OK(vde_queue_create(image, &queue));
    struct pollfd poll_fd = {.fd = vde_queue_fd(queue), .events = POLLIN};
    cr_assert_geq(poll_fd.fd, 0);
    simulated_fail(device, SIMULATED_WRITE, 1, SIMULATED_ALWAYS, EIO);
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, d, "k", "v"));
    vde_status status = vde_txn_submit_async(txn, queue, 1);
    vde_txn_destroy(txn);
    if (status == VDE_OK) {
        for (unsigned tries = 0; count == 0 && tries < 100; tries++) {
            cr_assert_eq(poll(&poll_fd, 1, 10000), 1);
            OK(vde_queue_reap(queue, &completion, 1, false, &count));
        }
        cr_assert(completion.status == VDE_COMMIT_UNKNOWN || completion.status == VDE_POISONED);
    }
    vde_queue_destroy(queue);
    OK(vde_image_close(image));
    close_device(device);
}
