/* SPDX-License-Identifier: Apache-2.0 */
/* error.c -- the per-thread error detail: written once where a fault is found, without allocating. */
#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct vde_error last;

static const struct vde_status_name engine_names[] = {
#define ENTRY(name, number, text) {number, #name, text},
    VDE_STATUS_LIST(ENTRY)
#undef ENTRY
};

static const struct vde_status_name *registered;
static unsigned registered_count;

void vde_status_register(const struct vde_status_name *names, unsigned count)
{
    __atomic_store_n(&registered_count, count, __ATOMIC_RELEASE);
    __atomic_store_n(&registered, names, __ATOMIC_RELEASE);
}

static const struct vde_status_name *find_name(vde_status status)
{
    for (unsigned i = 0; i < sizeof engine_names / sizeof engine_names[0]; i++)
        if (engine_names[i].status == status)
            return &engine_names[i];
    const struct vde_status_name *names = __atomic_load_n(&registered, __ATOMIC_ACQUIRE);
    unsigned count = names ? __atomic_load_n(&registered_count, __ATOMIC_ACQUIRE) : 0;
    for (unsigned i = 0; i < count; i++)
        if (names[i].status == status)
            return &names[i];
    return NULL;
}

const char *vde_status_name(vde_status status)
{
    const struct vde_status_name *entry = find_name(status);
    return entry ? entry->name : "UNKNOWN";
}

const char *vde_status_text(vde_status status)
{
    const struct vde_status_name *entry = find_name(status);
    return entry ? entry->text : "unknown status";
}

const struct vde_error *vde_last_error(void)
{
    return &last;
}

void vde_error_clear(void)
{
    memset(&last, 0, sizeof last);
}

void error_save(struct vde_error *ret_error)
{
    *ret_error = last;
}

void error_restore(const struct vde_error *error)
{
    last = *error;
}

/* Copy with truncation at a UTF-8 boundary, so that a cut message is still text. */
static void copy_text(char *to, size_t capacity, const char *from)
{
    size_t size = from ? strlen(from) : 0;
    if (size >= capacity) {
        size = capacity - 1;
        while (size > 0 && ((unsigned char)from[size] & 0xc0) == 0x80)
            size--;
    }
    if (size > 0)
        memcpy(to, from, size);
    to[size] = '\0';
}

/* Take off the beginning of a character that formatting into a full buffer cut. */
static void trim_cut(char *text)
{
    size_t size = strlen(text), at = size;
    while (at > 0 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    if (at == 0)
        return;
    unsigned char lead = (unsigned char)text[at - 1];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (size - (at - 1) < need)
        text[at - 1] = '\0';
}

static void begin(vde_status status, const char *object)
{
    memset(&last, 0, sizeof last);
    last.status = status;
    last.retryable = status == VDE_BUSY || status == VDE_TIMED_OUT;
    copy_text(last.code, sizeof last.code, vde_status_name(status));
    copy_text(last.object, sizeof last.object, object);
}

vde_status vde_error_set(vde_status status, const char *object, const char *found, const char *expected)
{
    begin(status, object);
    copy_text(last.found, sizeof last.found, found);
    copy_text(last.expected, sizeof last.expected, expected);
    int size = snprintf(last.text, sizeof last.text, "%s", last.object);
    size_t used = size < 0 ? 0 : (size_t)size;
    if (last.found[0])
        used += (size_t)snprintf(last.text + used, sizeof last.text - used, ": found %s", last.found);
    if (last.expected[0])
        used += (size_t)snprintf(last.text + used, sizeof last.text - used, "%s expected %s",
                                 last.found[0] ? "," : ":", last.expected);
    if (!last.found[0] && !last.expected[0])
        snprintf(last.text + used, sizeof last.text - used, ": %s", vde_status_text(status));
    return status;
}

vde_status vde_error_text(vde_status status, const char *object, const char *format, ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trim_cut(text);
    begin(status, object);
    copy_text(last.found, sizeof last.found, text);
    snprintf(last.text, sizeof last.text, "%s: %s", last.object, text);
    return status;
}

static vde_status from_errno(int os_errno)
{
    switch (os_errno) {
    case ENOSPC: case EDQUOT: return VDE_NOSPC;
    case ENOMEM: return VDE_NOMEM;
    case ENOENT: case ENOTDIR: return VDE_NOT_FOUND;
    case EEXIST: return VDE_EXISTS;
    case EBUSY: case EWOULDBLOCK: case ETXTBSY: return VDE_BUSY;
    case EROFS: case EACCES: case EPERM: return VDE_READ_ONLY;
    case EINVAL: case EISDIR: case ENAMETOOLONG: return VDE_INVAL;
    default: return VDE_IO;
    }
}

vde_status vde_error_errno(int os_errno, const char *object, const char *call)
{
    char found[160], reason[96] = "";
#if defined(_GNU_SOURCE)
    const char *text = strerror_r(os_errno, reason, sizeof reason);
#else
    const char *text = strerror_r(os_errno, reason, sizeof reason) == 0 ? reason : "unknown error";
#endif
    snprintf(found, sizeof found, "%s: %s", call, text);
    begin(from_errno(os_errno), object);
    last.os_errno = os_errno;
    copy_text(last.found, sizeof last.found, found);
    snprintf(last.text, sizeof last.text, "%s: %s", last.object, found);
    return last.status;
}

void vde_error_set_retryable(bool retryable)
{
    last.retryable = retryable;
}

/* The format comes from the callers, whose declarations have it checked. */
VDE_PRINTF(2, 0)
static vde_status fail_with(vde_status status, const char *format, va_list args)
{
    char text[960];
    vsnprintf(text, sizeof text, format, args);
    trim_cut(text);
    char *found = strchr(text, '|');
    char *expected = NULL;
    if (found) {
        *found++ = '\0';
        expected = strchr(found, '|');
        if (expected)
            *expected++ = '\0';
    }
    return vde_error_set(status, text, found, expected);
}

vde_status fail_corrupt(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vde_status status = fail_with(VDE_CORRUPT, format, args);
    va_end(args);
    return status;
}

vde_status fail_as(vde_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_with(status, format, args);
    va_end(args);
    return status;
}

vde_status fail_nomem(const char *what)
{
    return vde_error_set(VDE_NOMEM, what, NULL, NULL);
}
