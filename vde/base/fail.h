/* SPDX-License-Identifier: Apache-2.0 */
/* fail.h -- how the library's own code raises and passes errors. */
#ifndef VDE_BASE_FAIL_H
#define VDE_BASE_FAIL_H

#include <vde/error.h>

/* Pass a failure up; the only macro that hides a return. */
#define VDE_TRY(expr)                                                                                                  \
    do {                                                                                                               \
        vde_status vde_try_status_ = (expr);                                                                           \
        if (vde_try_status_ != VDE_OK)                                                                                 \
            return vde_try_status_;                                                                                    \
    } while (0)

/* Damage: printf-formatted object, found and expected in one call, separated by '|':
 *   return fail_corrupt("node at block %llu|level %u|at most %u", ...); */
vde_status fail_corrupt(const char *format, ...) VDE_PRINTF(1, 2);
/* The same for any status. */
vde_status fail_as(vde_status status, const char *format, ...) VDE_PRINTF(2, 3);
vde_status fail_nomem(const char *what);

/* Keep the detail across cleanup calls that may fail themselves. */
void error_save(struct vde_error *ret_error);
void error_restore(const struct vde_error *error);
#endif
