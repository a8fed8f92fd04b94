/* SPDX-License-Identifier: Apache-2.0 */
/* check.c -- the offline check from the outside: opens the device, runs the parts in order, reports. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fail.h"
#include "check/checker.h"

#define PACE_MIN_US 1000u
#define WINDOW_BLOCKS 16u
#define PACE_MAX_US 1000000u

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

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void check_progress(struct checker *c)
{
    if (c->opts.progress)
        c->opts.progress(c->opts.context, c->marks.count * BLOCK_BYTES, c->sb.used_blocks * BLOCK_BYTES);
}

/* Wait until what was read so far is not more than the rate allows. */
static void pace(struct checker *c, uint64_t bytes)
{
    c->read_bytes += bytes;
    if (c->opts.rate_bytes == 0)
        return;
    uint64_t due_us = c->read_bytes / c->opts.rate_bytes * 1000000u +
                      c->read_bytes % c->opts.rate_bytes * 1000000u / c->opts.rate_bytes;
    uint64_t spent_us = now_us() - c->started_us;
    if (due_us > spent_us + PACE_MIN_US)
        usleep((useconds_t)min_u64(due_us - spent_us, PACE_MAX_US));
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

static vde_status read_blocks(struct checker *c, uint64_t block, void *buffer, uint64_t blocks)
{
    uint64_t bytes = blocks * BLOCK_BYTES;
    pace(c, bytes);
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

/* Read one by one, so that only what can't be read is missing. */
static vde_status read_singly(struct checker *c, uint64_t block, uint8_t *buffer, uint64_t blocks)
{
    for (uint64_t i = 0; i < blocks; i++) {
        vde_status status = read_blocks(c, block + i, buffer + i * BLOCK_BYTES, 1);
        if (status == VDE_OK)
            continue;
        if (status != VDE_IO)
            return status;
        c->summary->findings++;
        c->incomplete = true;
        memset(buffer + i * BLOCK_BYTES, 0, BLOCK_BYTES);
        char object[64];
        struct vde_error detail;
        error_save(&detail);
        snprintf(object, sizeof object, "block %llu", (unsigned long long)(block + i));
        struct vde_finding finding = {VDE_IO, object, detail.text, "a block that can be read"};
        if (c->opts.finding)
            c->opts.finding(c->opts.context, &finding);
    }
    return VDE_OK;
}

/* Nodes that were written together lie together: a window around one is read at once, and kept for a while. */
static bool read_window(struct checker *c, uint64_t block, void *buffer)
{
    uint64_t number = block / WINDOW_BLOCKS;
    struct check_window *window = &c->windows[number % CHECK_WINDOWS];
    if ((number + 1) * WINDOW_BLOCKS > c->device_blocks)
        return false;
    if (!window->bytes && !(window->bytes = aligned_alloc(BLOCK_BYTES, (size_t)WINDOW_BLOCKS * BLOCK_BYTES)))
        return false;
    if (!window->filled || window->number != number) {
        window->filled = read_blocks(c, number * WINDOW_BLOCKS, window->bytes, WINDOW_BLOCKS) == VDE_OK;
        window->number = number;
    }
    if (window->filled)
        memcpy(buffer, window->bytes + block % WINDOW_BLOCKS * BLOCK_BYTES, BLOCK_BYTES);
    return window->filled;
}

vde_status check_read(struct checker *c, uint64_t block, void *buffer, uint64_t blocks)
{
    if (blocks == 1 && read_window(c, block, buffer))
        return VDE_OK;
    vde_status status = read_blocks(c, block, buffer, blocks);
    return status == VDE_IO && (c->opts.flags & VDE_CHECK_SCRUB) ? read_singly(c, block, buffer, blocks) : status;
}

vde_status check_extent_room(struct checker *c, uint64_t blocks)
{
    size_t size = blocks * BLOCK_BYTES;
    if (size <= c->extent_capacity)
        return VDE_OK;
    free(c->extent);
    c->extent_capacity = 0;
    c->extent = aligned_alloc(BLOCK_BYTES, size);
    if (!c->extent)
        return fail_nomem("extent");
    c->extent_capacity = size;
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

vde_status check_begin(struct checker *c, struct vde_device *device, const struct vde_check_opts *opts,
                       struct vde_check_summary *summary)
{
    struct vde_check_opts defaults = VDE_CHECK_OPTS_INIT;
    struct vde_device_info info;
    memset(c, 0, sizeof *c);
    memset(summary, 0, sizeof *summary);
    c->opts = defaults;
    if (opts)
        memcpy(&c->opts, opts, min_u64(opts->size, sizeof c->opts));
    c->device = device;
    c->summary = summary;
    c->started_us = now_us();
    device->ops->info(device, &info);
    c->device_blocks = info.size_bytes / BLOCK_BYTES;
    c->block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    return c->block ? VDE_OK : fail_nomem("check");
}

vde_status check_reach(struct checker *c, bool *ret_found)
{
    VDE_TRY(check_label(c, ret_found));
    if (!*ret_found)
        return VDE_OK;
    VDE_TRY(check_superblock(c, ret_found)); /* it says how large the image is */
    if (!*ret_found)
        return VDE_OK;
    uint64_t pages = c->label.layout.alloc_pages;
    VDE_TRY(marks_init(&c->marks, pages));
    VDE_TRY(blockset_init(&c->dead, pages));
    VDE_TRY(blockset_init(&c->version, pages));
    return check_datasets(c);
}

void check_end(struct checker *c)
{
    marks_done(&c->marks);
    blockset_done(&c->dead);
    blockset_done(&c->version);
    for (unsigned i = 0; i < CHECK_WINDOWS; i++)
        free(c->windows[i].bytes);
    free(c->extent);
    free(c->block);
}

static vde_status run_parts(struct checker *c)
{
    bool found = false;
    VDE_TRY(check_reach(c, &found));
    if (!found)
        return VDE_OK;
    VDE_TRY(check_bitmaps(c));
    if (c->opts.flags & VDE_CHECK_SCRUB)
        VDE_TRY(check_spares(c));
    return check_log(c);
}

vde_status vde_check_device(struct vde_device *device, const struct vde_check_opts *opts,
                            struct vde_check_summary *ret_summary)
{
    struct vde_check_summary summary;
    struct checker c;
    vde_status status = check_begin(&c, device, opts, &summary);
    if (status == VDE_OK)
        status = run_parts(&c);
    check_end(&c);
    if (status == VDE_OK)
        *ret_summary = summary;
    return status;
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
