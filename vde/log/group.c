/* SPDX-License-Identifier: Apache-2.0 */
/* group.c -- group commit: append, lead, wait. Wake-ups follow what measurement favours: the first joiner leads on its
 * own thread, one futex word a group, waiters are woken before the next leader and never retake the mutex. */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "base/mutate.h"
#include "log/log_private.h"

static void futex_wait(atomic_uint *word, unsigned value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void group_unref(struct group *group)
{
    if (atomic_fetch_sub_explicit(&group->refs, 1, memory_order_acq_rel) == 1)
        free(group);
}

uint8_t *log_buffer_take(struct log *log, size_t capacity)
{
    if (capacity <= GROUP_CAP && log->spare_count > 0)
        return log->spare[--log->spare_count];
    return aligned_alloc(BLOCK_BYTES, max_u64(capacity, GROUP_CAP));
}

void log_buffer_give(struct log *log, struct group *group)
{
    if (group->capacity == GROUP_CAP && log->spare_count < SPARE_MAX)
        log->spare[log->spare_count++] = group->buffer;
    else
        free(group->buffer);
    group->buffer = NULL;
}

static bool fits(const struct group *group, size_t need)
{
    return group && group->size + need <= group->capacity && (group->count == 0 || group->size + need <= GROUP_CAP);
}

vde_status log_prepare(struct log *log, size_t ops_size)
{
    size_t need = sizeof(struct disk_record) + ops_size;
    if (need > log_record_limit(log))
        return fail_as(VDE_TOO_LARGE, "transaction record|%zu bytes|at most %llu", need,
                       (unsigned long long)log_record_limit(log));
    struct group *fresh = NULL;
    vde_status status = VDE_OK;
    lock_take(&log->lock);
    if (atomic_load_explicit(&log->poisoned, memory_order_relaxed)) {
        status = fail_as(VDE_POISONED, "image");
    } else {
        /* Worst case for the ring: this record in a frame of its own. */
        uint64_t used = log->head - log->retained + log->queued_bytes;
        if (used + log_group_bytes(sizeof(struct disk_frame) + need) + 2 * BLOCK_BYTES > log->ring_bytes)
            status = VDE_TIMED_OUT;
        else if (!fits(log->open, need)) {
            size_t capacity = round_up(max_u64(GROUP_CAP, sizeof(struct disk_frame) + need), BLOCK_BYTES);
            fresh = calloc(1, sizeof *fresh);
            uint8_t *buffer = fresh ? log_buffer_take(log, capacity) : NULL;
            if (!buffer) {
                free(fresh);
                status = fail_nomem("log group");
            } else {
                *fresh = (struct group){.buffer = buffer, .capacity = capacity, .size = sizeof(struct disk_frame)};
                atomic_init(&fresh->refs, 1);
                if (log->queue_tail)
                    log->queue_tail->next = fresh;
                else
                    log->queue_head = fresh;
                log->queue_tail = log->open = fresh;
                log->queued_bytes += BLOCK_BYTES;
            }
        }
    }
    lock_drop(&log->lock);
    return status;
}

void log_append(struct log *log, const void *ops, size_t ops_size, uint32_t count, uint64_t time_us,
                enum log_payload payload, uint64_t *ret_lsn)
{
    lock_take(&log->lock);
    struct group *group = log->open;
    uint64_t lsn = atomic_load_explicit(&log->last_lsn, memory_order_relaxed) + 1;
    if (!group) { /* poisoned since log_prepare(), which took the open group away: this record is certainly absent */
        atomic_store_explicit(&log->last_lsn, lsn, memory_order_release);
        lock_drop(&log->lock);
        *ret_lsn = lsn;
        return;
    }
    struct disk_record record = {le64(lsn), le64(time_us), le32((uint32_t)(sizeof record + ops_size)), le32(count),
                                 le32(payload == LOG_PAYLOAD_FLUSHED ? RECORD_FLUSHED : 0), le32(0)};
    uint64_t before = log_group_bytes(group->size);
    memcpy(group->buffer + group->size, &record, sizeof record);
    memcpy(group->buffer + group->size + sizeof record, ops, ops_size);
    group->size += sizeof record + ops_size;
    log->queued_bytes += log_group_bytes(group->size) - before;
    if (group->count++ == 0)
        group->first_lsn = lsn;
    group->last_lsn = lsn;
    group->flush |= payload == LOG_PAYLOAD_UNFLUSHED;
    atomic_store_explicit(&log->last_lsn, lsn, memory_order_release);
    lock_drop(&log->lock);
    *ret_lsn = lsn;
}

/* Is all that waits written already, so that nobody can join it? Lock held. */
static bool only_written(const struct log *log)
{
    const struct group *group = log->queue_head;
    return group && group->written && (!group->next || group->next->count == 0);
}

/* Take the oldest group out of the queue for writing; NULL when there is none with records. Lock held. */
static struct group *seal(struct log *log)
{
    struct group *group = log->queue_head;
    if (!group || group->count == 0)
        return NULL;
    if (group->written && !only_written(log)) { /* one flush for both */
        group->next->before = group;
        group->next->flush = true;
        group = group->next;
    }
    log->queue_head = group->next;
    if (!log->queue_head)
        log->queue_tail = NULL;
    if (log->open == group)
        log->open = NULL;
    log->in_flight = group;
    if (group->written)
        return group; /* it has its place */
    group->position = log->head;
    log->head += log_group_bytes(group->size);
    log->queued_bytes -= log_group_bytes(group->size);
    return group;
}

static void release(struct group *group)
{
    atomic_store_explicit(&group->word, GROUP_DONE, memory_order_release);
    futex_wake(&group->word, INT_MAX);
}

/* Fail everything that is queued: it was never handed to the device, unless it was written already. Lock held. */
static void fail_queue(struct log *log)
{
    for (struct group *group = log->queue_head; group;) {
        struct group *next = group->next;
        group->status = group->written ? VDE_COMMIT_UNKNOWN : VDE_POISONED;
        if (group->written)
            atomic_store(&log->unknown_through, group->last_lsn);
        log_buffer_give(log, group);
        release(group);
        group_unref(group);
        group = next;
    }
    log->queue_head = log->queue_tail = log->open = NULL;
    log->queued_bytes = 0;
}

/* Make one waiter of a group lead. A group that was failed in the meantime stays so: all of its waiters have gone, or
 * go, and an empty queue needs no leader. */
static void hand_over(struct group *group)
{
    unsigned word = atomic_load_explicit(&group->word, memory_order_relaxed);
    while (word != GROUP_DONE)
        if (atomic_compare_exchange_weak(&group->word, &word, GROUP_LEAD)) {
            futex_wake(&group->word, 1);
            return;
        }
}

/* Lock held. */
static void settle(struct log *log, struct group *group, vde_status status)
{
    group->status = status == VDE_OK ? VDE_OK : VDE_COMMIT_UNKNOWN;
    if (status == VDE_OK && group->cut) {
        log->cut_position = group->position + log_group_bytes(group->size);
        log->cut_chain = group->chain;
    }
    log->groups++;
    log->flushes += group->flushed;
    log->bytes_written += log_group_bytes(group->size);
    log_buffer_give(log, group);
}

/* The group is on the medium, or not: publish the outcome and hand over. */
static void finish(struct log *log, struct group *group, vde_status status)
{
    struct group *next_leader = NULL, *before = group->before;
    lock_take(&log->lock);
    if (atomic_load_explicit(&log->poisoned, memory_order_relaxed) && status == VDE_OK)
        status = VDE_COMMIT_UNKNOWN;
    if (before)
        settle(log, before, status);
    settle(log, group, status);
    if (status == VDE_OK) {
        log->chain = group->chain;
        atomic_store_explicit(&log->durable_lsn, group->last_lsn, memory_order_release);
    } else if (!MUTATED(MUTATE_FLUSH_RETRY)) {
        atomic_store(&log->unknown_through, group->last_lsn);
        atomic_store(&log->poisoned, true);
        fail_queue(log);
    }
    log->in_flight = NULL;
    /* The oldest group may have no waiter, being submitted asynchronously: then who waits for a later one leads it. */
    for (next_leader = log->queue_head; next_leader && next_leader->waiters == 0;)
        next_leader = next_leader->next;
    log->leader = next_leader != NULL; /* reserved for the waiter that is woken below */
    if (next_leader)
        atomic_fetch_add_explicit(&next_leader->refs, 1, memory_order_relaxed);
    lock_drop(&log->lock);
    release(group);
    if (before)
        release(before);
    if (next_leader) {
        hand_over(next_leader);
        group_unref(next_leader);
    }
    group_unref(group);
    if (before)
        group_unref(before);
    if (log->on_durable)
        log->on_durable(log->on_durable_context);
}

/* Lead one group. The caller holds the leadership (log->leader was set for it). */
static void lead(struct log *log)
{
    lock_take(&log->lock);
    struct group *group = only_written(log) ? seal(log) : NULL;
    lock_drop(&log->lock);
    if (group) {
        finish(log, group, log_write_group(log, group));
        return;
    }
    sched_yield(); /* let others that are about to append join: free with one writer, larger groups with many */
    /* The gate keeps a record that has its LSN but is not yet applied out of the frame: what is durable is applied. */
    lock_take(&log->gate);
    lock_take(&log->lock);
    group = seal(log);
    if (!group)
        log->leader = false;
    lock_drop(&log->lock);
    lock_drop(&log->gate);
    if (!group)
        return;
    finish(log, group, log_write_group(log, group));
}

static vde_status outcome(vde_status status)
{
    if (status == VDE_COMMIT_UNKNOWN)
        return fail_as(VDE_COMMIT_UNKNOWN, "image");
    if (status == VDE_POISONED)
        return fail_as(VDE_POISONED, "image");
    return status;
}

/* The group that holds `lsn`, referenced; NULL when it is already settled. Lock held. */
static struct group *find_group(struct log *log, uint64_t lsn)
{
    struct group *group = log->in_flight;
    if (!group || group->last_lsn < lsn)
        for (group = log->queue_head; group && (group->count == 0 || group->last_lsn < lsn); group = group->next)
            ;
    if (group)
        atomic_fetch_add_explicit(&group->refs, 1, memory_order_relaxed);
    return group;
}

vde_status log_wait_settled(struct log *log, uint64_t lsn)
{
    if (lsn <= log_durable_lsn(log))
        return VDE_OK;
    return outcome(lsn <= atomic_load(&log->unknown_through) ? VDE_COMMIT_UNKNOWN : VDE_POISONED);
}

static void wait_for(struct log *log, struct group *group)
{
    for (;;) {
        unsigned word = atomic_load_explicit(&group->word, memory_order_acquire);
        if (word == GROUP_DONE)
            return;
        if (word == GROUP_LEAD) {
            if (atomic_compare_exchange_strong(&group->word, &word, GROUP_LED))
                lead(log);
            continue;
        }
        futex_wait(&group->word, word);
    }
}

vde_status log_wait(struct log *log, uint64_t lsn)
{
    while (lsn > log_durable_lsn(log)) {
        lock_take(&log->lock);
        struct group *group = find_group(log, lsn);
        if (!group) {
            lock_drop(&log->lock);
            return log_wait_settled(log, lsn);
        }
        if (!log->leader) {
            log->leader = true;
            lock_drop(&log->lock);
            group_unref(group);
            lead(log);
            continue;
        }
        group->waiters++;
        lock_drop(&log->lock);
        wait_for(log, group);
        vde_status status = group->status;
        group_unref(group);
        return outcome(status);
    }
    return VDE_OK;
}

void log_cut(struct log *log)
{
    lock_take(&log->lock);
    struct group *last = log->queue_tail && log->queue_tail->count > 0 ? log->queue_tail : log->in_flight;
    if (last && last->marker) {
        /* Nobody waits for a marker, so its end is not known in time: it becomes the first frame of the new log. */
        log->cut_position = last->position;
        log->cut_chain = log->chain;
    } else if (last) {
        last->cut = true;
        if (log->open == last)
            log->open = NULL; /* later records belong behind the cut: a frame of their own */
    } else {
        log->cut_position = log->head;
        log->cut_chain = log->chain;
    }
    lock_drop(&log->lock);
}

void log_poison(struct log *log)
{
    lock_take(&log->lock);
    if (!atomic_load(&log->poisoned)) {
        if (log->in_flight) /* it may land still: nobody may call its records certainly absent */
            atomic_store(&log->unknown_through, log->in_flight->last_lsn);
        atomic_store(&log->poisoned, true);
        fail_queue(log);
    }
    lock_drop(&log->lock);
    if (log->on_durable)
        log->on_durable(log->on_durable_context);
}

vde_status log_mark(struct log *log)
{
    lock_take(&log->lock);
    uint64_t used = log->head - log->retained + log->queued_bytes;
    if (log->leader || log->queue_head || log->marked_lsn == log_durable_lsn(log) ||
        atomic_load(&log->poisoned) || used + 4 * BLOCK_BYTES > log->ring_bytes) {
        lock_drop(&log->lock);
        return VDE_OK;
    }
    log->leader = true;
    struct group *group = calloc(1, sizeof *group);
    uint8_t *buffer = group ? log_buffer_take(log, GROUP_CAP) : NULL;
    if (!buffer) {
        free(group);
        log->leader = false;
        lock_drop(&log->lock);
        return VDE_OK; /* a marker is a courtesy */
    }
    *group = (struct group){.buffer = buffer, .capacity = GROUP_CAP, .size = sizeof(struct disk_frame),
                            .last_lsn = log_durable_lsn(log), .first_lsn = log_durable_lsn(log) + 1, .marker = true};
    atomic_init(&group->refs, 1);
    log->in_flight = group;
    group->position = log->head;
    log->head += BLOCK_BYTES;
    log->marked_lsn = group->last_lsn;
    lock_drop(&log->lock);
    vde_status status = log_write_group(log, group);
    finish(log, group, status);
    return status;
}
