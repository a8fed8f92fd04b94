/* SPDX-License-Identifier: Apache-2.0 */
/* error.h -- the one status list and the per-thread error detail.
 *
 * Every fallible call returns a vde_status; VDE_OK is 0. On failure the calling thread's detail, read with
 * vde_last_error(), names the object, what was found and what was expected. The detail is written once, where the
 * fault is found, without allocating. Statuses from 100 on belong to liblakehouse (lakehouse/status.h) and share the
 * same detail. Numbers are never reused.
 *
 * Threads: all functions may be called from any thread; the detail is thread-local. */
#ifndef VDE_ERROR_H
#define VDE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VDE_API __attribute__((visibility("default")))
#define VDE_MUST_CHECK __attribute__((warn_unused_result))
#define VDE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define VDE_API
#define VDE_MUST_CHECK
#define VDE_PRINTF(fmt, args)
#endif

/* x(name, number, text) */
#define VDE_STATUS_LIST(x)                                                                                            \
    x(OK, 0, "success")                                                                                               \
    x(INVAL, 1, "invalid argument")                                                                                   \
    x(NOMEM, 2, "out of memory")                                                                                      \
    x(IO, 3, "input/output error")                                                                                    \
    x(NOSPC, 4, "no space left in the image")                                                                         \
    x(NOT_FOUND, 5, "not found")                                                                                      \
    x(EXISTS, 6, "exists already")                                                                                    \
    x(GAP, 7, "would leave a gap")                                                                                    \
    x(BUSY, 8, "in use by another process")                                                                           \
    x(READ_ONLY, 9, "image is open read-only")                                                                        \
    x(CORRUPT, 10, "damaged")                                                                                         \
    x(UNSUPPORTED, 11, "not supported")                                                                               \
    x(POISONED, 12, "image is poisoned by an earlier write failure; this change is certainly absent")                 \
    x(COMMIT_UNKNOWN, 13, "the device failed after the record was handed to it; reopen to learn whether it landed")    \
    x(PIN_EXPIRED, 14, "the view is too old")                                                                         \
    x(TOO_LARGE, 15, "larger than the limit")                                                                         \
    x(TIMED_OUT, 16, "timed out")

typedef int vde_status;
enum {
#define VDE_STATUS_ENUM(name, number, text) VDE_##name = (number),
    VDE_STATUS_LIST(VDE_STATUS_ENUM)
#undef VDE_STATUS_ENUM
};

/* Detail of the last failure on the calling thread. Texts are NUL-terminated and may be empty, never NULL. */
struct vde_error {
    vde_status status;
    int os_errno;        /* 0 when no system call failed */
    bool retryable;      /* the same call may succeed later without a change by the caller */
    char code[32];       /* the status' name without prefix, e.g. "CORRUPT" */
    char object[320];    /* what the failure is about, e.g. "superblock ring A slot 3" */
    char found[320];
    char expected[320];
    char text[1024];     /* one line: "<object>: found <found>, expected <expected>", or free text */
};

/* The calling thread's detail. Borrowed: valid until the next failing call on this thread. Never NULL. */
VDE_API const struct vde_error *vde_last_error(void);

/* Forget the calling thread's detail. */
VDE_API void vde_error_clear(void);

/* Record a failure: `object` printf-formatted by the caller beforehand; `found` and `expected` may be NULL.
 * Returns `status`, so that a caller can write: return vde_error_set(VDE_CORRUPT, "x", "1", "2"). */
VDE_API vde_status vde_error_set(vde_status status, const char *object, const char *found, const char *expected);

/* As vde_error_set, with a free text instead of found/expected: "<object>: <text>". */
VDE_API vde_status vde_error_text(vde_status status, const char *object, const char *format, ...) VDE_PRINTF(3, 4);

/* Record a failed system call; `os_errno` maps to IO, NOSPC, NOMEM, NOT_FOUND, EXISTS, BUSY, READ_ONLY or INVAL. */
VDE_API vde_status vde_error_errno(int os_errno, const char *object, const char *call);

/* Mark the calling thread's detail retryable. */
VDE_API void vde_error_set_retryable(bool retryable);

/* Name ("CORRUPT") and one-line text of an engine status; "UNKNOWN" for a number that is not in the list.
 * Static storage. lh_status_name() also knows the statuses of liblakehouse. */
VDE_API const char *vde_status_name(vde_status status);
VDE_API const char *vde_status_text(vde_status status);

/* Register names for statuses >= 100 (called once by liblakehouse; idempotent). `names` must be static. */
struct vde_status_name {
    vde_status status;
    const char *name;
    const char *text;
};
VDE_API void vde_status_register(const struct vde_status_name *names, unsigned count);

#ifdef __cplusplus
}
#endif
#endif
