/* SPDX-License-Identifier: Apache-2.0 */
/* repair.c -- labels and superblocks from their copies. */
#include "check/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"

void repair_tell(struct repair *r, enum vde_repair_kind kind, const char *object, const char *what)
{
    struct vde_repair_action action = {kind, object, what};
    r->summary.planned += kind == VDE_REPAIR_PLANNED;
    r->summary.done += kind == VDE_REPAIR_DONE;
    r->summary.notes += kind == VDE_REPAIR_NOTE;
    r->summary.impossible += kind == VDE_REPAIR_IMPOSSIBLE;
    if (r->opts.action)
        r->opts.action(r->opts.context, &action);
}

bool repair_plan(struct repair *r, const char *object, const char *what)
{
    if (r->opts.flags & VDE_REPAIR_APPLY)
        return true;
    repair_tell(r, VDE_REPAIR_PLANNED, object, what);
    return false;
}

/* --- labels --------------------------------------------------------------------------------------------------------- */

static bool names_good(struct repair *r)
{
    const struct disk_feature_names *d = (const struct disk_feature_names *)(const void *)r->block;
    return memcmp(d->magic, "VDEfeats", 8) == 0 && memcmp(d->uuid, r->source.label.uuid, 16) == 0 &&
           checksum(d, offsetof(struct disk_feature_names, checksum), 0) == le64_get(d->checksum);
}

static uint64_t label_block(const struct repair *r, unsigned copy)
{
    return layout_region(&r->source.label.layout, copy ? REGION_LABEL_B : REGION_LABEL_A)->block;
}

static vde_status repair_label(struct repair *r, unsigned copy)
{
    const char *object = copy ? "label B" : "label A";
    const char *what = copy ? "written again from label A" : "written again from label B";
    if (r->source.label_good[copy] || !repair_plan(r, object, what))
        return VDE_OK;
    label_encode(&r->source.label, copy, (struct disk_label *)(void *)r->block);
    VDE_TRY(source_write(&r->source, label_block(r, copy), r->block, 1));
    repair_tell(r, VDE_REPAIR_DONE, object, what);
    return VDE_OK;
}

/* The names of another build's features are only in the other copy. */
static vde_status repair_names(struct repair *r, unsigned copy)
{
    const char *object = copy ? "feature names B" : "feature names A";
    VDE_TRY(source_read(&r->source, label_block(r, copy) + 1, r->block, 1));
    if (names_good(r))
        return VDE_OK;
    VDE_TRY(source_read(&r->source, label_block(r, !copy) + 1, r->block, 1));
    bool other = names_good(r);
    const char *what = other ? "written again from the other copy" : "written again from the names that this build knows";
    if (!repair_plan(r, object, what))
        return VDE_OK;
    if (!other)
        feature_names_encode(&r->source.label, (struct disk_feature_names *)(void *)r->block);
    VDE_TRY(source_write(&r->source, label_block(r, copy) + 1, r->block, 1));
    repair_tell(r, VDE_REPAIR_DONE, object, what);
    return VDE_OK;
}

/* Each growth added a copy of label B. */
static vde_status repair_growth(struct repair *r, uint32_t growth)
{
    char object[64];
    struct label label;
    uint64_t block = r->source.label.layout.growth[growth].label.block;
    struct disk_label *disk = (struct disk_label *)(void *)r->block;
    snprintf(object, sizeof object, "label B of growth %u", growth + 1);
    VDE_TRY(source_read(&r->source, block, r->block, 1));
    if (label_decode(disk, r->source.device_blocks, object, &label) == VDE_OK &&
        memcmp(label.uuid, r->source.label.uuid, 16) == 0)
        return VDE_OK;
    if (!repair_plan(r, object, "written again from the other labels"))
        return VDE_OK;
    label_encode(&r->source.label, 1, disk);
    VDE_TRY(source_write(&r->source, block, r->block, 1));
    feature_names_encode(&r->source.label, (struct disk_feature_names *)(void *)r->block);
    VDE_TRY(source_write(&r->source, block + 1, r->block, 1));
    repair_tell(r, VDE_REPAIR_DONE, object, "written again from the other labels");
    return VDE_OK;
}

/* --- superblocks ---------------------------------------------------------------------------------------------------- */

static vde_status copy_slot(struct repair *r, unsigned ring, unsigned slot, const struct superblock *sb)
{
    char object[64], what[96];
    snprintf(object, sizeof object, "superblock ring %c slot %u", ring ? 'B' : 'A', slot);
    snprintf(what, sizeof what, "sequence %llu written again from ring %c", (unsigned long long)sb->sequence,
             ring ? 'A' : 'B');
    if (!repair_plan(r, object, what))
        return VDE_OK;
    uint64_t place = superblock_block(&r->source.label.layout, ring, slot);
    superblock_encode(sb, r->source.label.uuid, ring, place, (struct disk_superblock *)(void *)r->block);
    VDE_TRY(source_write(&r->source, place, r->block, 1));
    repair_tell(r, VDE_REPAIR_DONE, object, what);
    return VDE_OK;
}

/* A slot that both rings lost: of an older checkpoint nobody needs it; the next one's means that this one was fallen
 * back to. */
static void tell_lost(struct repair *r, unsigned slot)
{
    char object[64], what[256];
    uint64_t newest = r->source.sb.sequence;
    uint64_t was = newest - (newest - slot) % RING_SLOTS;
    if (was == 0 || was > newest) /* never written, unless it is the next one */
        was = 0;
    snprintf(object, sizeof object, "superblock slot %u", slot);
    if ((newest + 1) % RING_SLOTS == slot)
        snprintf(what, sizeof what, "damaged in both rings: if it was that of checkpoint %llu, then opening falls back to "
                 "checkpoint %llu and its log, which loses nothing", (unsigned long long)newest + 1,
                 (unsigned long long)newest);
    else
        snprintf(what, sizeof what, "checkpoint %llu is damaged in both rings; nothing needs it any more",
                 (unsigned long long)was);
    repair_tell(r, VDE_REPAIR_NOTE, object, what);
}

static vde_status is_empty(struct repair *r, unsigned ring, unsigned slot, bool *ret_empty)
{
    VDE_TRY(source_read(&r->source, superblock_block(&r->source.label.layout, ring, slot), r->block, 1));
    *ret_empty = true;
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        *ret_empty &= r->block[i] == 0;
    return VDE_OK;
}

static vde_status repair_slot(struct repair *r, unsigned slot)
{
    struct superblock sb[2] = {{.sequence = 0}, {.sequence = 0}};
    bool good[2], empty[2];
    for (unsigned ring = 0; ring < 2; ring++) {
        VDE_TRY(source_superblock(&r->source, ring, slot, &sb[ring], &good[ring]));
        VDE_TRY(is_empty(r, ring, slot, &empty[ring]));
    }
    if (good[0] && (!good[1] || sb[1].sequence < sb[0].sequence))
        return copy_slot(r, 1, slot, &sb[0]);
    if (good[1] && (!good[0] || sb[0].sequence < sb[1].sequence))
        return copy_slot(r, 0, slot, &sb[1]);
    if (!good[0] && !good[1] && !(empty[0] && empty[1]))
        tell_lost(r, slot);
    return VDE_OK;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static vde_status check_again(struct repair *r)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.flags = 0;
    opts.finding = r->opts.finding;
    opts.progress = r->opts.progress;
    opts.context = r->opts.context;
    VDE_TRY(vde_check_device(r->source.device, &opts, &summary));
    r->summary.findings = summary.findings;
    return VDE_OK;
}

static vde_status run(struct repair *r)
{
    VDE_TRY(source_expect(&r->source));
    for (unsigned copy = 0; copy < 2; copy++) {
        VDE_TRY(repair_label(r, copy));
        VDE_TRY(repair_names(r, copy));
    }
    for (uint32_t i = 0; i < r->source.label.layout.growths; i++)
        VDE_TRY(repair_growth(r, i));
    for (unsigned slot = 0; slot < RING_SLOTS; slot++)
        VDE_TRY(repair_slot(r, slot));
    VDE_TRY(source_flush(&r->source));
    VDE_TRY(repair_bitmaps(r));
    return r->opts.flags & VDE_REPAIR_APPLY ? check_again(r) : VDE_OK;
}

static vde_status finish(struct repair *r, vde_status status, struct vde_repair_summary *ret_summary)
{
    if (status == VDE_OK) {
        r->block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
        status = r->block ? run(r) : fail_nomem("repair");
        source_close(&r->source);
    }
    free(r->block);
    if (status == VDE_OK)
        *ret_summary = r->summary;
    return status;
}

static struct repair prepare(const struct vde_repair_opts *opts)
{
    struct repair r = {.opts = VDE_REPAIR_OPTS_INIT};
    if (opts)
        memcpy(&r.opts, opts, min_u64(opts->size, sizeof r.opts));
    return r;
}

vde_status vde_repair(const char *path, const struct vde_repair_opts *opts, struct vde_repair_summary *ret_summary)
{
    struct repair r = prepare(opts);
    vde_status status = source_open(&r.source, path, r.opts.backend, r.opts.flags & VDE_REPAIR_APPLY);
    return finish(&r, status, ret_summary);
}

vde_status vde_repair_device(struct vde_device *device, const struct vde_repair_opts *opts,
                             struct vde_repair_summary *ret_summary)
{
    struct repair r = prepare(opts);
    vde_status status = source_init(&r.source, device);
    return finish(&r, status, ret_summary);
}
