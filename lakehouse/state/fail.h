/* SPDX-License-Identifier: Apache-2.0 */
/* fail.h -- how the table layer raises and passes errors. */
#ifndef LH_STATE_FAIL_H
#define LH_STATE_FAIL_H

#include <lakehouse/status.h>

#include "model/buffer.h"

/* Pass a failure up; the only macro that hides a return. */
#define LH_TRY(expr)                                                                                                   \
    do {                                                                                                               \
        vde_status lh_try_status_ = (expr);                                                                            \
        if (lh_try_status_ != VDE_OK)                                                                                  \
            return lh_try_status_;                                                                                     \
    } while (0)

#ifdef VDE_ASSERTIONS
#define LH_ASSERT(cond) ((cond) ? (void)0 : __builtin_trap())
#else
#define LH_ASSERT(cond) ((void)0)
#endif

/* Raise with object, found and expected printf-formatted in one text, separated by '|'. */
vde_status lh_fail(vde_status status, const char *format, ...) VDE_PRINTF(2, 3);
/* Raise LH_CONFLICT: `kind` is remembered for lh_last_conflict() and begins `found`. Text as above: object|found|expected. */
vde_status lh_fail_conflict(enum lh_conflict kind, const char *format, ...) VDE_PRINTF(2, 3);
vde_status lh_fail_nomem(const char *what);
/* The model raises VDE_INVAL for texts that are not what they should be: raise it again as `to`. Other statuses pass. */
vde_status lh_fail_again(vde_status status, vde_status to);
/* Register the status names with the engine; idempotent. */
void lh_status_register(void);

/* Keep the detail across clean-up calls that may fail themselves. */
struct lh_saved {
    struct vde_error error;
    enum lh_conflict conflict;
};
void lh_error_save(struct lh_saved *ret_saved);
/* Put it back; returns its status. */
vde_status lh_error_restore(const struct lh_saved *saved);
#endif
