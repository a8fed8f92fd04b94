/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/change.h"

#include "state/fail.h"

vde_status lh_change_begin(struct lh_lakehouse *lakehouse, struct lh_change_txn *ret_change)
{
    struct lh_change_txn c = {.lakehouse = lakehouse};
    LH_TRY(lh_writable(lakehouse));
    LH_TRY(vde_txn_create(lakehouse->image, &c.txn));
    lh_note_wait(lakehouse, lh_lock_take(&lakehouse->names));
    vde_status status = lh_catalog_open(lakehouse, true, &c.catalog);
    if (status != VDE_OK) {
        lh_lock_drop(&lakehouse->names);
        vde_txn_destroy(c.txn);
        return status;
    }
    *ret_change = c;
    return VDE_OK;
}

vde_status lh_change_end(struct lh_change_txn *change, vde_status status)
{
    struct vde_commit commit = {vde_view_lsn(change->catalog.view), 0};
    lh_catalog_close(&change->catalog);
    if (status == VDE_OK)
        status = vde_txn_submit(change->txn, &commit);
    lh_lock_drop(&change->lakehouse->names);
    vde_txn_destroy(change->txn);
    if (status == VDE_OK)
        return vde_image_wait(change->lakehouse->image, commit.lsn);
    struct lh_saved saved;
    lh_error_save(&saved);
    LH_TRY(vde_image_wait(change->lakehouse->image, commit.lsn));
    return lh_error_restore(&saved);
}
