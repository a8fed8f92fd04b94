/* SPDX-License-Identifier: Apache-2.0 */
#include "state/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local enum lh_conflict last_conflict;

static const struct vde_status_name names[] = {
#define ROW(name, number, text) {number, #name, text},
    LH_STATUS_LIST(ROW)
#undef ROW
};

void lh_status_register(void) { vde_status_register(names, sizeof names / sizeof names[0]); }

static const struct vde_status_name *find(vde_status status)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].status == status)
            return &names[i];
    return NULL;
}

const char *lh_status_name(vde_status status)
{
    const struct vde_status_name *row = find(status);
    return row ? row->name : vde_status_name(status);
}

const char *lh_status_text(vde_status status)
{
    const struct vde_status_name *row = find(status);
    return row ? row->text : vde_status_text(status);
}

const char *lh_conflict_name(enum lh_conflict conflict)
{
    switch (conflict) {
    case LH_CONFLICT_CONCURRENT_APPEND: return "ConcurrentAppend";
    case LH_CONFLICT_CONCURRENT_DELETE_READ: return "ConcurrentDeleteRead";
    case LH_CONFLICT_CONCURRENT_DELETE_DELETE: return "ConcurrentDeleteDelete";
    case LH_CONFLICT_CONCURRENT_WRITE: return "ConcurrentWrite";
    case LH_CONFLICT_METADATA_CHANGED: return "MetadataChanged";
    case LH_CONFLICT_PROTOCOL_CHANGED: return "ProtocolChanged";
    case LH_CONFLICT_CONCURRENT_TRANSACTION: return "ConcurrentTransaction";
    case LH_CONFLICT_NONE: break;
    }
    return "";
}

enum lh_conflict lh_last_conflict(void)
{
    return vde_last_error()->status == LH_CONFLICT ? last_conflict : LH_CONFLICT_NONE;
}

/* Raise from "object|found|expected". */
static vde_status raise_parts(vde_status status, char *text)
{
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

vde_status lh_fail(vde_status status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return raise_parts(status, text);
}

vde_status lh_fail_conflict(enum lh_conflict kind, const char *format, ...)
{
    char body[900], text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(body, sizeof body, format, args);
    va_end(args);
    char *bar = strchr(body, '|');
    if (bar)
        *bar++ = '\0';
    snprintf(text, sizeof text, "%s|%s: %s", body, lh_conflict_name(kind), bar ? bar : "");
    last_conflict = kind;
    vde_status status = raise_parts(LH_CONFLICT, text);
    /* Another instance of the application did its transaction: reading again does not cure that there are two. */
    vde_error_set_retryable(kind != LH_CONFLICT_CONCURRENT_TRANSACTION);
    return status;
}

vde_status lh_fail_nomem(const char *what) { return vde_error_set(VDE_NOMEM, what, NULL, NULL); }

void lh_error_save(struct lh_saved *ret_saved)
{
    ret_saved->error = *vde_last_error();
    ret_saved->conflict = last_conflict;
}

vde_status lh_error_restore(const struct lh_saved *saved)
{
    const struct vde_error *e = &saved->error;
    if (e->found[0] || e->expected[0])
        vde_error_set(e->status, e->object, e->found[0] ? e->found : NULL, e->expected[0] ? e->expected : NULL);
    else if (strncmp(e->text, e->object, strlen(e->object)) == 0 && strlen(e->text) > strlen(e->object) + 2)
        vde_error_text(e->status, e->object, "%s", e->text + strlen(e->object) + 2);
    else
        vde_error_set(e->status, e->object, NULL, NULL);
    vde_error_set_retryable(e->retryable);
    last_conflict = saved->conflict;
    return e->status;
}

vde_status lh_fail_again(vde_status status, vde_status to)
{
    if (status != VDE_INVAL)
        return status;
    struct lh_saved saved;
    lh_error_save(&saved);
    saved.error.status = to;
    return lh_error_restore(&saved);
}
