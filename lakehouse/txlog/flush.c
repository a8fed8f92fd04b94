/* SPDX-License-Identifier: Apache-2.0 */
/* flush.c -- writing a table's next root. Commits go on meanwhile; nothing that was committed depends on it. */
#include <stdio.h>

#include "state/fail.h"
#include "txlog/catalog.h"

/* The table's datasets, made at its first root: under its lock, because a drop must either see them or come first. */
static vde_status make_datasets(struct lh_head *head)
{
    struct lh_lakehouse *lakehouse = head->lakehouse;
    vde_txn *txn = NULL;
    struct vde_commit commit = {0, 0};
    uint64_t state = vde_id_reserve(lakehouse->image), paths = vde_id_reserve(lakehouse->image);
    LH_TRY(vde_txn_create(lakehouse->image, &txn));
    vde_status status = vde_txn_dataset_create(txn, state, NULL);
    if (status == VDE_OK)
        status = vde_txn_dataset_create(txn, paths, NULL);
    lh_head_lock(head);
    if (status == VDE_OK && head->dropped)
        status = LH_TABLE_NOT_FOUND;
    if (status == VDE_OK) {
        struct lh_table_record record = head->record;
        record.state = state;
        record.paths = paths;
        status = lh_catalog_put_record(lakehouse, txn, 't', &record);
        if (status == VDE_OK)
            status = vde_txn_submit(txn, &commit);
        if (status == VDE_OK) {
            head->record.state = state;
            head->record.paths = paths;
        }
    }
    lh_head_unlock(head);
    vde_txn_destroy(txn);
    return status == VDE_OK ? vde_image_wait(lakehouse->image, commit.lsn) : status;
}

static vde_status write_root(struct lh_head *head, uint64_t *ret_actions)
{
    struct lh_catalog catalog;
    struct lh_table_record record;
    uint64_t first, last;
    LH_TRY(lh_catalog_open(head->lakehouse, false, &catalog));
    vde_status status = lh_catalog_record(&catalog, head->id, &record);
    if (status == VDE_OK) {
        char what[320];
        snprintf(what, sizeof what, "table %s", record.name);
        struct lh_state_ids ids = {record.id, record.state, record.paths};
        struct lh_state *state = NULL;
        lh_table_record_done(&record);
        status = vde_stream_range(catalog.view, ids.stream, &first, &last);
        if (status == VDE_OK)
            status = lh_state_load(catalog.view, &ids, last, what, &state);
        if (status == VDE_OK && state->root_tag != last + 1)
            status = lh_state_write(head->lakehouse->image, state);
        if (status == VDE_OK)
            *ret_actions = state->replayed_actions;
        lh_state_free(state);
    }
    lh_catalog_close(&catalog);
    return status;
}

void lh_flush_if_due(struct lh_head *head)
{
    lh_head_lock(head);
    bool due = lh_head_wants_root(head) && !head->lakehouse->read_only;
    bool fresh = head->record.state == 0;
    if (due)
        head->flushing = true;
    lh_head_unlock(head);
    if (!due)
        return;
    /* The caller's own outcome stands: what fails here must not show in its error detail. */
    struct lh_saved saved;
    lh_error_save(&saved);
    uint64_t actions = 0;
    vde_status status = fresh ? make_datasets(head) : VDE_OK;
    if (status == VDE_OK)
        status = write_root(head, &actions);
    if (status != VDE_OK) {
        if (saved.error.status == VDE_OK)
            vde_error_clear();
        else
            (void)lh_error_restore(&saved);
    }
    atomic_fetch_add(status == VDE_OK ? &head->lakehouse->states_written : &head->lakehouse->state_failures, 1);
    lh_head_lock(head);
    head->flushing = false;
    if (status == VDE_OK) {
        head->tail_actions -= actions < head->tail_actions ? actions : head->tail_actions;
        head->root_files = head->files;
        head->flush_after = 0;
    } else {
        head->flush_after = head->tail_actions * 2;
    }
    lh_head_unlock(head);
}
