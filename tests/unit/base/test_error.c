/* SPDX-License-Identifier: Apache-2.0 */
/* The status list and the error detail. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/fail.h"

Test(error, every_status_has_a_name_and_a_text)
{
#define ENTRY(name, number, text)                                                                                      \
    cr_assert_eq(VDE_##name, number);                                                                                  \
    cr_assert_str_eq(vde_status_name(number), #name);                                                                  \
    cr_assert_str_eq(vde_status_text(number), text);
    VDE_STATUS_LIST(ENTRY)
#undef ENTRY
    cr_assert_str_eq(vde_status_name(99), "UNKNOWN");
    cr_assert_str_eq(vde_status_name(-1), "UNKNOWN");
    cr_assert_str_eq(vde_status_text(12345), "unknown status");
}

Test(error, names_can_be_added)
{
    static const struct vde_status_name names[] = {{150, "TEST", "a test"}, {151, "MORE", "another"}};
    vde_status_register(names, 2);
    vde_status_register(names, 2);
    cr_assert_str_eq(vde_status_name(151), "MORE");
    cr_assert_str_eq(vde_status_text(150), "a test");
    cr_assert_str_eq(vde_status_name(152), "UNKNOWN");
    cr_assert_str_eq(vde_status_name(VDE_OK), "OK");
    cr_assert_eq(vde_error_set(150, "x", NULL, NULL), 150);
    cr_assert_str_eq(vde_last_error()->code, "TEST");
    cr_assert_str_eq(vde_last_error()->text, "x: a test");
}

Test(error, found_and_expected)
{
    const struct vde_error *e = vde_last_error();
    cr_assert_eq(vde_error_set(VDE_CORRUPT, "node", "3", "4"), VDE_CORRUPT);
    cr_assert_eq(e->status, VDE_CORRUPT);
    cr_assert_str_eq(e->code, "CORRUPT");
    cr_assert_str_eq(e->object, "node");
    cr_assert_str_eq(e->found, "3");
    cr_assert_str_eq(e->expected, "4");
    cr_assert_str_eq(e->text, "node: found 3, expected 4");
    cr_assert_not(e->retryable);
    cr_assert_eq(e->os_errno, 0);
    vde_error_set(VDE_INVAL, "node", "3", NULL);
    cr_assert_str_eq(e->text, "node: found 3");
    vde_error_set(VDE_INVAL, "node", NULL, "4");
    cr_assert_str_eq(e->text, "node: expected 4");
    vde_error_set(VDE_NOMEM, "node", NULL, NULL);
    cr_assert_str_eq(e->text, "node: out of memory");
    vde_error_text(VDE_IO, "disk", "%d of %s", 3, "four");
    cr_assert_str_eq(e->text, "disk: 3 of four");
    vde_error_clear();
    cr_assert_eq(e->status, VDE_OK);
    cr_assert_str_empty(e->text);
    cr_assert_str_empty(e->object);
}

Test(error, formatted_with_bars)
{
    const struct vde_error *e = vde_last_error();
    cr_assert_eq(fail_corrupt("block %d|level %d|at most %d", 1, 2, 3), VDE_CORRUPT);
    cr_assert_str_eq(e->text, "block 1: found level 2, expected at most 3");
    cr_assert_eq(fail_as(VDE_GAP, "stream|7"), VDE_GAP);
    cr_assert_str_eq(e->text, "stream: found 7");
    cr_assert_eq(fail_nomem("cache"), VDE_NOMEM);
    cr_assert_str_eq(e->object, "cache");
}

Test(error, retryable_follows_the_status)
{
    vde_error_set(VDE_BUSY, "x", NULL, NULL);
    cr_assert(vde_last_error()->retryable);
    vde_error_set(VDE_TIMED_OUT, "x", NULL, NULL);
    cr_assert(vde_last_error()->retryable);
    vde_error_set(VDE_EXISTS, "x", NULL, NULL);
    cr_assert_not(vde_last_error()->retryable);
    vde_error_set_retryable(true);
    cr_assert(vde_last_error()->retryable);
}

static bool is_utf8(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned more = *p < 0x80 ? 0 : *p >> 5 == 6 ? 1 : *p >> 4 == 14 ? 2 : *p >> 3 == 30 ? 3 : 9;
        if (more == 9)
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* Long texts are cut between characters, in every field and at every offset. */
Test(error, texts_are_cut_at_characters)
{
    static const char *const characters[] = {"x", "é", "€", "😀"};
    char longest[2000];
    for (unsigned c = 0; c < 4; c++)
        for (unsigned shift = 0; shift < 4; shift++) {
            size_t size = strlen(characters[c]), at = shift;
            memset(longest, 'a', shift);
            for (; at + size < sizeof longest; at += size)
                memcpy(longest + at, characters[c], size);
            longest[at] = '\0';
            const struct vde_error *e = vde_last_error();
            vde_error_set(VDE_CORRUPT, longest, longest, longest);
            cr_assert(is_utf8(e->object) && is_utf8(e->found) && is_utf8(e->expected));
            cr_assert_geq(strlen(e->object), sizeof e->object - 4);
            cr_assert(is_utf8(e->text));
            vde_error_text(VDE_CORRUPT, longest, "%s", longest);
            cr_assert(is_utf8(e->object));
            cr_assert(is_utf8(e->found), "text of size %zu", strlen(e->found));
            cr_assert(is_utf8(e->text), "text of size %zu", strlen(e->text));
        }
}

Test(error, system_calls)
{
    static const struct {
        int os_errno;
        vde_status status;
    } map[] = {{EIO, VDE_IO}, {ENOSPC, VDE_NOSPC}, {EDQUOT, VDE_NOSPC}, {ENOMEM, VDE_NOMEM}, {ENOENT, VDE_NOT_FOUND},
               {EEXIST, VDE_EXISTS}, {EBUSY, VDE_BUSY}, {EAGAIN, VDE_BUSY}, {EROFS, VDE_READ_ONLY},
               {EACCES, VDE_READ_ONLY}, {EINVAL, VDE_INVAL}, {ENXIO, VDE_IO}, {9999, VDE_IO}};
    for (unsigned i = 0; i < sizeof map / sizeof map[0]; i++) {
        cr_assert_eq(vde_error_errno(map[i].os_errno, "/a/path", "open"), map[i].status);
        const struct vde_error *e = vde_last_error();
        cr_assert_eq(e->os_errno, map[i].os_errno);
        cr_assert_str_eq(e->object, "/a/path");
        cr_assert(strstr(e->text, "open: "));
    }
}

static void *other_thread(void *argument)
{
    (void)argument;
    cr_assert_eq(vde_last_error()->status, VDE_OK);
    vde_error_set(VDE_GAP, "other", NULL, NULL);
    return NULL;
}

Test(error, each_thread_has_its_own_and_it_can_be_kept)
{
    pthread_t thread;
    struct vde_error kept;
    vde_error_set(VDE_IO, "mine", "1", "2");
    error_save(&kept);
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_join(thread, NULL);
    cr_assert_str_eq(vde_last_error()->object, "mine");
    vde_error_set(VDE_GAP, "later", NULL, NULL);
    error_restore(&kept);
    cr_assert_str_eq(vde_last_error()->text, "mine: found 1, expected 2");
}
