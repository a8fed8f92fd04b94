/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c -- commits without waiting. */
#include <stdlib.h>

#include "state/fail.h"
#include "txlog/commit.h"

#define DUE_MAX 64u

struct lh_queue {
    struct lh_lakehouse *lakehouse;
    vde_queue *queue;
    struct lh_head *due[DUE_MAX]; /* heads that may want a root, seen to when reaping */
    size_t due_count;
    pthread_mutex_t mutex;       /* of due; a leaf */
};

vde_status lh_queue_create(lh_lakehouse *lakehouse, lh_queue **ret_queue)
{
    lh_queue *queue = calloc(1, sizeof *queue);
    if (!queue || pthread_mutex_init(&queue->mutex, NULL)) {
        free(queue);
        return lh_fail_nomem("queue");
    }
    queue->lakehouse = lakehouse;
    vde_status status = vde_queue_create(lakehouse->image, &queue->queue);
    if (status != VDE_OK) {
        pthread_mutex_destroy(&queue->mutex);
        free(queue);
        return status;
    }
    *ret_queue = queue;
    return VDE_OK;
}

void lh_queue_destroy(lh_queue *queue)
{
    if (!queue)
        return;
    vde_queue_destroy(queue->queue);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

int lh_queue_fd(lh_queue *queue) { return vde_queue_fd(queue->queue); }

static void note_due(struct lh_queue *queue, const struct lh_txn *txn)
{
    pthread_mutex_lock(&queue->mutex);
    for (size_t i = 0; i < txn->count; i++) {
        struct lh_head *head = txn->members[i]->head;
        bool known = txn->members[i]->version == LH_NO_VERSION;
        for (size_t d = 0; d < queue->due_count && !known; d++)
            known = queue->due[d] == head;
        if (!known && queue->due_count < DUE_MAX)
            queue->due[queue->due_count++] = head;
    }
    pthread_mutex_unlock(&queue->mutex);
}

vde_status lh_submit(lh_txn *txn, lh_queue *queue, uint64_t tag, struct lh_commit_result **ret_result)
{
    if (!txn || !queue)
        return vde_error_set(VDE_INVAL, "lh_submit", "a NULL argument", "a transaction and a queue");
    bool repeat;
    LH_TRY(lh_txn_submit_only(txn, &repeat));
    if (repeat && ret_result)
        LH_TRY(lh_group_result(txn->lakehouse, txn->group, ret_result));
    else if (ret_result)
        LH_TRY(lh_txn_result(txn, ret_result));
    note_due(queue, txn);
    if (repeat)
        txn->commit = (struct vde_commit){0, 0};
    return vde_queue_watch(queue->queue, txn->commit, tag);
}

vde_status lh_queue_reap(lh_queue *queue, struct lh_completion *completions, size_t max, bool wait, size_t *ret_count)
{
    struct vde_completion few[64];
    size_t count = 0;
    LH_TRY(vde_queue_reap(queue->queue, few, max < 64 ? max : 64, wait, &count));
    for (size_t i = 0; i < count; i++)
        completions[i] = (struct lh_completion){few[i].tag, few[i].status, few[i].commit.lsn, few[i].commit.time_us};
    *ret_count = count;
    if (count == 0)
        return VDE_OK;
    struct lh_head *due[DUE_MAX];
    pthread_mutex_lock(&queue->mutex);
    size_t due_count = queue->due_count;
    memcpy(due, queue->due, due_count * sizeof due[0]);
    queue->due_count = 0;
    pthread_mutex_unlock(&queue->mutex);
    for (size_t i = 0; i < due_count; i++)
        lh_flush_if_due(due[i]);
    return VDE_OK;
}
