/* SPDX-License-Identifier: Apache-2.0 */
/* The log: groups, markers, the ring's end, a full ring, what a failed write means, and how a reader tells a torn tail
 * from damage. */
#include <criterion/criterion.h>

#include <errno.h>

#include "log/log.h"
#include "unit/pool/engine.h"

#define SEED 0x1234u
#define RING_BLOCK 16u

struct fixture {
    struct vde_device *device;
    struct region ring;
    struct log *log;
};

static struct log *open_log(struct fixture *f, struct log_start start)
{
    struct log *log;
    OK(log_open(f->device, &f->ring, SEED, &start, &log));
    return log;
}

static struct fixture fixture(uint64_t ring_blocks)
{
    struct fixture f = {.ring = {REGION_LOG, RING_BLOCK, ring_blocks}};
    OK(simulated_create((RING_BLOCK + ring_blocks + 16) * 4096, 1, 0, &f.device));
    f.log = open_log(&f, (struct log_start){.epoch = 5});
    return f;
}

static void done(struct fixture *f)
{
    log_close(f->log);
    close_device(f->device);
}

/* One operation of `size` bytes. */
static vde_status append(struct log *log, size_t size, bool flush, uint64_t *ret_lsn)
{
    uint8_t *value = malloc(size), *bytes = malloc(op_size(1, size));
    fill_bytes(value, size, size);
    struct op op = {20, (const uint8_t *)"k", 1, 0, value, size};
    op_put(bytes, &op);
    lock_take(log_gate(log));
    vde_status status = log_prepare(log, op_size(1, size));
    if (status == VDE_OK)
        log_append(log, bytes, op_size(1, size), 1, 7, flush ? LOG_PAYLOAD_UNFLUSHED : LOG_PAYLOAD_NONE, ret_lsn);
    lock_drop(log_gate(log));
    free(value);
    free(bytes);
    return status;
}

static uint64_t append_ok(struct log *log, size_t size)
{
    uint64_t lsn = 0;
    OK(append(log, size, false, &lsn));
    return lsn;
}

static void commit_one(struct log *log, size_t size)
{
    OK(log_wait(log, append_ok(log, size)));
}

struct read_result {
    vde_status status;
    uint64_t frames, markers, last_lsn, flushed_through;
    bool torn;
};

static struct read_result read_log(struct fixture *f, struct vde_device *device, uint64_t epoch, uint64_t position,
                                   uint64_t chain, uint64_t next_lsn)
{
    struct read_result r = {.last_lsn = next_lsn - 1};
    struct log_reader *reader;
    const uint8_t *bytes;
    struct frame frame;
    uint64_t end;
    OK(log_reader_open(device, &f->ring, SEED, epoch, position, chain, next_lsn, &reader));
    while ((r.status = log_reader_next(reader, &bytes, &frame)) == VDE_OK) {
        cr_assert_eq(frame.first_lsn, r.last_lsn + 1);
        r.last_lsn += frame.count;
        r.frames++;
        r.markers += frame.count == 0;
        r.flushed_through = frame.flushed_through;
    }
    log_reader_end(reader, &end, &chain, &r.torn);
    log_reader_close(reader);
    return r;
}

static struct read_result read_all(struct fixture *f)
{
    return read_log(f, f->device, 5, 0, 0, 1);
}

Test(log, a_group_takes_what_was_appended_before_it)
{
    struct fixture f = fixture(64);
    struct log_status status;
    for (uint64_t i = 1; i <= 5; i++)
        cr_assert_eq(append_ok(f.log, 100), i);
    cr_assert_eq(log_durable_lsn(f.log), 0);
    log_status(f.log, &status);
    cr_assert(status.pending);
    OK(log_wait(f.log, 2));
    cr_assert_eq(log_durable_lsn(f.log), 5, "all of the group is durable");
    OK(log_wait(f.log, 5));
    commit_one(f.log, 100);
    log_status(f.log, &status);
    cr_assert_eq(status.groups, 2);
    cr_assert_eq(status.head, 2 * 4096);
    cr_assert_not(status.pending);
    struct read_result r = read_all(&f);
    cr_assert(r.status == VDE_NOT_FOUND && r.frames == 2 && r.last_lsn == 6 && r.flushed_through == 5 && !r.torn);
    done(&f);
}

Test(log, markers_put_the_newest_flush_on_record_and_need_none)
{
    struct fixture f = fixture(64);
    struct simulated_counts before, after;
    OK(log_mark(f.log));
    cr_assert_eq(read_all(&f).frames, 0, "nothing to mark");
    commit_one(f.log, 100);
    simulated_counts(f.device, &before);
    OK(log_mark(f.log));
    OK(log_mark(f.log));
    simulated_counts(f.device, &after);
    cr_assert_eq(after.writes - before.writes, 1);
    cr_assert_eq(after.dsync_writes, before.dsync_writes);
    cr_assert_eq(after.flushes, before.flushes);
    struct read_result r = read_all(&f);
    cr_assert(r.frames == 2 && r.markers == 1 && r.flushed_through == 1);
    commit_one(f.log, 100); /* covers the marker: else its frame could be missing below a durable one */
    simulated_counts(f.device, &after);
    cr_assert_eq(after.flushes - before.flushes, 1);
    r = read_all(&f);
    cr_assert(r.frames == 3 && r.last_lsn == 2);
    done(&f);
}

Test(log, data_beside_a_record_is_flushed)
{
    struct fixture f = fixture(64);
    struct simulated_counts before, after;
    uint64_t lsn;
    simulated_counts(f.device, &before);
    OK(append(f.log, 100, true, &lsn));
    OK(log_wait(f.log, lsn));
    simulated_counts(f.device, &after);
    cr_assert_eq(after.flushes - before.flushes, 1);
    cr_assert_eq(after.dsync_writes, before.dsync_writes);
    done(&f);
}

Test(log, wraps_around_the_ring)
{
    struct fixture f = fixture(64);
    uint64_t position = 0, chain = 0, cut_lsn = 0;
    for (unsigned i = 0; i < 300; i++) {
        commit_one(f.log, 1 + i * 101 % 30000);
        if (i % 3 == 2) {
            cut_lsn = log_last_lsn(f.log);
            lock_take(log_gate(f.log));
            log_cut(f.log);
            lock_drop(log_gate(f.log));
            OK(log_wait(f.log, cut_lsn));
            log_cut_place(f.log, &position, &chain);
            log_retain(f.log, position);
        }
        struct read_result r = read_log(&f, f.device, 5, position, chain, cut_lsn + 1);
        cr_assert_eq(r.status, VDE_NOT_FOUND);
        cr_assert_eq(r.last_lsn, i + 1);
    }
    cr_assert_gt(position, 3 * 64 * 4096);
    done(&f);
}

Test(log, a_cut_ends_a_frame)
{
    struct fixture f = fixture(64);
    uint64_t position, chain;
    append_ok(f.log, 100);
    append_ok(f.log, 100);
    lock_take(log_gate(f.log));
    log_cut(f.log);
    lock_drop(log_gate(f.log));
    append_ok(f.log, 100);
    OK(log_wait(f.log, 3));
    log_cut_place(f.log, &position, &chain);
    cr_assert_eq(position, 4096);
    struct read_result r = read_log(&f, f.device, 5, position, chain, 3);
    cr_assert(r.frames == 1 && r.last_lsn == 3);
    cr_assert_eq(read_all(&f).frames, 2);
    done(&f);
}

Test(log, refuses_what_does_not_fit)
{
    struct fixture f = fixture(64);
    uint64_t lsn, limit = log_record_limit(f.log);
    size_t most = (size_t)limit - sizeof(struct disk_record) - op_size(1, 0);
    cr_assert_eq(limit, 64 * 4096 / 8 - 96);
    EXPECT(VDE_TOO_LARGE, append(f.log, most + 1, false, &lsn));
    unsigned count = 0;
    vde_status status;
    while ((status = append(f.log, most, false, &lsn)) == VDE_OK) {
        OK(log_wait(f.log, lsn));
        cr_assert_lt(++count, 9);
    }
    cr_assert_eq(status, VDE_TIMED_OUT);
    cr_assert_geq(count, 6);
    cr_assert_eq(log_last_lsn(f.log), count);
    cr_assert_eq(read_all(&f).last_lsn, count, "nothing was overwritten");
    log_retain(f.log, 32768);
    commit_one(f.log, most);
    done(&f);
}

/* Eight frames of one record each; the marker says that the last is durable. */
static struct fixture eight(bool marked, size_t size)
{
    struct fixture f = fixture(64);
    for (unsigned i = 0; i < 8; i++)
        commit_one(f.log, size);
    if (marked)
        OK(log_mark(f.log));
    return f;
}

Test(log, damage_of_an_acknowledged_record_is_never_taken_for_a_torn_tail)
{
    for (unsigned marked = 0; marked < 2; marked++) {
        struct fixture f = eight(marked, 5000);
        for (unsigned frame = 0; frame < 8; frame++)
            for (unsigned at = 0; at < 5100; at += at < 130 ? 7 : 977) {
                struct vde_device *copy;
                OK(simulated_clone(f.device, &copy));
                OK(simulated_flip_bit(copy, RING_BLOCK * 4096 + frame * 8192 + at, at % 8));
                struct read_result r = read_log(&f, copy, 5, 0, 0, 1);
                cr_assert_eq(r.last_lsn, frame);
                cr_assert_eq(r.status, frame < 7 || marked ? VDE_CORRUPT : VDE_NOT_FOUND,
                             "byte %u of frame %u: %s", at, frame, vde_status_name(r.status));
                close_device(copy);
            }
        done(&f);
    }
}

Test(log, a_cut_tail_ends_the_log)
{
    struct fixture f = eight(false, 5000);
    uint8_t zeroes[8192] = {0};
    OK(simulated_poke(f.device, RING_BLOCK * 4096 + 7 * 8192 + 4096, zeroes, 4096)); /* its second block is missing */
    struct read_result r = read_all(&f);
    cr_assert(r.status == VDE_NOT_FOUND && r.last_lsn == 7 && r.torn);
    OK(simulated_poke(f.device, RING_BLOCK * 4096 + 7 * 8192, zeroes, 8192));
    r = read_all(&f);
    cr_assert(r.status == VDE_NOT_FOUND && r.last_lsn == 7 && !r.torn);
    done(&f);
}

Test(log, a_frame_that_was_not_acknowledged_may_be_missing_before_one_that_is_there)
{
    struct fixture f = fixture(256);
    uint8_t zeroes[4096] = {0};
    append_ok(f.log, 100000);
    append_ok(f.log, 100000); /* groups of their own, the second sealed while the first was durable */
    OK(log_wait(f.log, 2));
    OK(simulated_poke(f.device, RING_BLOCK * 4096, zeroes, 4096));
    cr_assert_eq(read_all(&f).status, VDE_CORRUPT, "the second was written after the first was flushed");
    done(&f);
}

Test(log, a_higher_epoch_proves_that_a_superblock_is_lost)
{
    struct fixture f = eight(false, 100);
    struct log_status status;
    log_status(f.log, &status);
    struct log *next = open_log(&f, (struct log_start){.position = status.head, .last_lsn = 8, .epoch = 6});
    commit_one(next, 100);
    struct read_result r = read_all(&f);
    cr_assert_eq(r.status, VDE_CORRUPT);
    cr_assert(strstr(vde_last_error()->text, "superblock was lost"), "%s", vde_last_error()->text);
    r = read_log(&f, f.device, 6, status.head, 0, 9); /* as recovery with the right superblock reads */
    cr_assert(r.status == VDE_NOT_FOUND && r.last_lsn == 9);
    log_close(next);
    done(&f);
}

Test(log, frames_of_older_epochs_and_laps_are_nothing)
{
    struct fixture f = eight(true, 100);
    struct read_result r = read_log(&f, f.device, 7, 0, 0, 1);
    cr_assert(r.status == VDE_NOT_FOUND && r.frames == 0 && !r.torn);
    r = read_log(&f, f.device, 5, 64 * 4096, 0, 100); /* the same place, one lap later */
    cr_assert(r.status == VDE_NOT_FOUND && r.frames == 0 && !r.torn);
    r = read_log(&f, f.device, 5, 0, 999, 1); /* the chain does not fit: acknowledged records are missing */
    cr_assert_eq(r.status, VDE_CORRUPT);
    done(&f);
}

Test(log, of_another_image_is_nothing)
{
    struct fixture f = eight(true, 100);
    struct log_reader *reader;
    const uint8_t *bytes;
    struct frame frame;
    OK(log_reader_open(f.device, &f.ring, SEED + 1, 5, 0, 0, 1, &reader));
    EXPECT(VDE_NOT_FOUND, log_reader_next(reader, &bytes, &frame));
    log_reader_close(reader);
    done(&f);
}

static void failed(unsigned kinds, bool flush)
{
    struct fixture f = fixture(256);
    struct simulated_counts before, after;
    uint64_t first, second;
    commit_one(f.log, 100);
    OK(append(f.log, 100000, flush, &first));
    OK(append(f.log, 100000, false, &second)); /* does not fit into the same group */
    simulated_counts(f.device, &before);
    simulated_fail(f.device, kinds, 1, 1, EIO);
    EXPECT(VDE_POISONED, log_wait(f.log, second)); /* never handed to the device: certainly absent */
    EXPECT(VDE_COMMIT_UNKNOWN, log_wait(f.log, first));
    EXPECT(VDE_COMMIT_UNKNOWN, log_wait_settled(f.log, first));
    EXPECT(VDE_POISONED, log_wait_settled(f.log, second));
    OK(log_wait(f.log, 1));
    cr_assert(log_poisoned(f.log));
    cr_assert_eq(log_durable_lsn(f.log), 1);
    uint64_t lsn;
    EXPECT(VDE_POISONED, append(f.log, 10, false, &lsn));
    OK(log_mark(f.log)); /* does nothing */
    simulated_counts(f.device, &after);
    cr_assert_eq(after.writes - before.writes, 1);
    cr_assert_eq(after.flushes - before.flushes, flush ? 1 : 0);
    done(&f);
}

Test(log, a_failed_write_poisons) { failed(SIMULATED_WRITE, false); }
Test(log, a_failed_flush_poisons) { failed(SIMULATED_FLUSH, true); }

static void count_call(void *context)
{
    ++*(unsigned *)context;
}

Test(log, poison_from_elsewhere_fails_what_is_queued)
{
    struct fixture f = fixture(64);
    unsigned calls = 0;
    uint64_t lsn;
    log_on_durable(f.log, count_call, &calls);
    commit_one(f.log, 100);
    cr_assert_eq(calls, 1);
    lsn = append_ok(f.log, 100);
    log_poison(f.log);
    cr_assert_geq(calls, 2);
    EXPECT(VDE_POISONED, log_wait(f.log, lsn));
    OK(log_wait(f.log, 1));
    log_poison(f.log);
    cr_assert_eq(read_all(&f).last_lsn, 1);
    done(&f);
}

/* A device on which something else goes wrong while a group is being written. */
struct meddling {
    struct vde_device device;
    struct vde_device *below;
    struct log *log;
    vde_status seen;
};

static vde_status meddle(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct meddling *m = (struct meddling *)(void *)device;
    log_poison(m->log);
    m->seen = log_wait_settled(m->log, 1);
    return m->below->ops->run(m->below, ios, count);
}

static vde_status flush_below(struct vde_device *device)
{
    struct meddling *m = (struct meddling *)(void *)device;
    return m->below->ops->flush(m->below);
}

Test(log, a_record_in_flight_is_never_called_absent)
{
    static const struct vde_device_ops ops = {.run = meddle, .flush = flush_below};
    struct fixture f = fixture(64);
    struct meddling m = {.device = {&ops}, .below = f.device};
    struct log_start start = {.epoch = 5};
    OK(log_open(&m.device, &f.ring, SEED, &start, &m.log));
    EXPECT(VDE_COMMIT_UNKNOWN, log_wait(m.log, append_ok(m.log, 100)));
    cr_assert_eq(m.seen, VDE_COMMIT_UNKNOWN, "%s while its write was under way", vde_status_name(m.seen));
    EXPECT(VDE_COMMIT_UNKNOWN, log_wait_settled(m.log, 1));
    cr_assert_eq(read_all(&f).last_lsn, 1, "and so it is there");
    log_close(m.log);
    done(&f);
}
