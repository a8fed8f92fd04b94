/* SPDX-License-Identifier: Apache-2.0 */
/* analysis.h -- put in front of every file that clang-tidy looks at. The analyzer sees one file at a time and would follow
 * paths on which a function that raises a failure returns VDE_OK. This tells it what those return. */
#ifndef LINT_ANALYSIS_H
#define LINT_ANALYSIS_H

#include <vde/error.h>

#define vde_error_set(status, ...) ((void)vde_error_set(status, __VA_ARGS__), (status))
#define vde_error_text(status, ...) ((void)vde_error_text(status, __VA_ARGS__), (status))
#define vde_error_errno(...) ((void)vde_error_errno(__VA_ARGS__), VDE_IO)

#if __has_include(<base/fail.h>)
#include <base/fail.h>
#define fail_corrupt(...) ((void)fail_corrupt(__VA_ARGS__), VDE_CORRUPT)
#define fail_as(status, ...) ((void)fail_as(status, __VA_ARGS__), (status))
#define fail_nomem(...) ((void)fail_nomem(__VA_ARGS__), VDE_NOMEM)
#endif

#if __has_include(<state/fail.h>)
#include <state/fail.h>
#define lh_fail(status, ...) ((void)lh_fail(status, __VA_ARGS__), (status))
#define lh_fail_conflict(...) ((void)lh_fail_conflict(__VA_ARGS__), LH_CONFLICT)
#define lh_fail_nomem(...) ((void)lh_fail_nomem(__VA_ARGS__), VDE_NOMEM)
#endif
#endif
