/* SPDX-License-Identifier: Apache-2.0 */
/* check.c -- the offline check from the outside: opens the device, runs the parts in order, reports. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "check/checker.h"

vde_status check_note(struct checker *c, vde_status status)
{
    if (status != VDE_CORRUPT && status != VDE_UNSUPPORTED)
        return status;
    c->summary->findings++;
    if (c->opts.finding) {
        struct vde_error detail;
        error_save(&detail);
        struct vde_finding finding = {status, detail.object, detail.found, detail.expected};
        c->opts.finding(c->opts.context, &finding);
    }
    return VDE_OK;
}

void check_report(struct checker *c, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check_note(c, fail_corrupt("%s", text));
}

vde_status check_read(struct checker *c, uint64_t block, void *buffer, uint64_t blocks)
{
    uint64_t bytes = blocks * BLOCK_BYTES;
    for (uint64_t done = 0; done < bytes;) {
        struct vde_io ios[8];
        size_t count = 0;
        memset(ios, 0, sizeof ios);
        for (; count < 8 && done < bytes; count++) {
            uint64_t size = min_u64(bytes - done, VDE_IO_MAX_BYTES);
            ios[count] = (struct vde_io){.op = VDE_IO_READ, .size = (uint32_t)size,
                                         .offset = block * BLOCK_BYTES + done, .buffer = (uint8_t *)buffer + done};
            done += size;
        }
        VDE_TRY(c->device->ops->run(c->device, ios, count));
    }
    return VDE_OK;
}

vde_status check_grow(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return VDE_OK;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*array, wanted * size);
    if (!grown)
        return fail_nomem("check");
    *array = grown;
    *capacity = wanted;
    return VDE_OK;
}

static vde_status run_parts(struct checker *c)
{
    bool found = false;
    VDE_TRY(check_label(c, &found));
    if (!found)
        return VDE_OK;
    uint64_t pages = c->label.layout.alloc_pages;
    VDE_TRY(blockset_init(&c->reached, pages));
    VDE_TRY(blockset_init(&c->dataset, pages));
    VDE_TRY(blockset_init(&c->version, pages));
    VDE_TRY(blockset_init(&c->head, pages));
    VDE_TRY(check_superblock(c, &found));
    if (!found)
        return VDE_OK;
    VDE_TRY(check_catalog(c));
    VDE_TRY(check_bitmaps(c));
    return check_log(c);
}

vde_status vde_check_device(struct vde_device *device, const struct vde_check_opts *opts,
                            struct vde_check_summary *ret_summary)
{
    struct vde_check_summary summary;
    memset(&summary, 0, sizeof summary);
    struct checker c;
    memset(&c, 0, sizeof c);
    struct vde_check_opts defaults = VDE_CHECK_OPTS_INIT;
    c.opts = opts ? *opts : defaults;
    c.device = device;
    c.summary = &summary;
    struct vde_device_info info;
    device->ops->info(device, &info);
    c.device_blocks = info.size_bytes / BLOCK_BYTES;
    c.block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    vde_status status = c.block ? run_parts(&c) : fail_nomem("check");
    blockset_done(&c.reached);
    blockset_done(&c.dataset);
    blockset_done(&c.version);
    blockset_done(&c.head);
    free(c.extent);
    free(c.block);
    if (status != VDE_OK)
        return status;
    *ret_summary = summary;
    return VDE_OK;
}

vde_status vde_check(const char *path, const struct vde_check_opts *opts, struct vde_check_summary *ret_summary)
{
    struct vde_device *device;
    VDE_TRY(vde_device_open(path, opts ? opts->backend : NULL, VDE_DEVICE_READ_ONLY, 0, &device));
    vde_status status = vde_check_device(device, opts, ret_summary);
    struct vde_error detail;
    error_save(&detail);
    device->ops->close(device);
    error_restore(&detail);
    return status;
}
