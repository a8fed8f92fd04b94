/* SPDX-License-Identifier: Apache-2.0 */
/* scrub.c -- what an open would not need: older superblocks, and bitmap pages and index of the checkpoint before. */
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"
#include "check/checker.h"
#include "format/alloc.h"

/* The slot that a power cut may have left torn: the next one in ring A, the newest one in ring B. */
static bool may_be_torn(const struct checker *c, unsigned ring, unsigned slot)
{
    uint64_t next = c->sb.sequence + (ring ? 0 : 1);
    return next % RING_SLOTS == slot && !(c->sb.autoclear & FEATURE_AUTOCLEAR_CLEAN);
}

static vde_status check_slot(struct checker *c, unsigned ring, unsigned slot, struct superblock *before)
{
    struct superblock sb;
    uint64_t newest = c->sb.sequence - (c->sb.sequence - slot) % RING_SLOTS; /* that should be there */
    if (newest == 0 || newest > c->sb.sequence)
        return VDE_OK; /* never written */
    VDE_TRY(check_read(c, superblock_block(&c->label.layout, ring, slot), c->block, 1));
    vde_status status = superblock_decode((const struct disk_superblock *)(const void *)c->block, c->label.uuid,
                                          &c->label.layout, ring, slot, &sb);
    if (status != VDE_OK)
        return may_be_torn(c, ring, slot) ? VDE_OK : check_note(c, status);
    if (sb.sequence + 1 == c->sb.sequence)
        *before = sb;
    if (sb.sequence < newest && !may_be_torn(c, ring, slot))
        check_report(c, "superblock ring %c slot %u|sequence %llu|%llu", ring ? 'B' : 'A', slot,
                     (unsigned long long)sb.sequence, (unsigned long long)newest);
    return VDE_OK;
}

static vde_status check_page(struct checker *c, const struct layout *layout, uint64_t page,
                             const struct disk_alloc_entry *entry)
{
    if (!entry->written || entry->slot > 1)
        return VDE_OK;
    uint64_t block = bitmap_slot_block(layout, page, entry->slot);
    VDE_TRY(check_read(c, block, c->block, 1));
    uint64_t sum = checksum(c->block, BLOCK_BYTES, c->seed ^ block);
    if (sum != le64_get(entry->checksum))
        check_report(c, "bitmap page %llu slot %u of the checkpoint before|checksum %016llx|%016llx",
                     (unsigned long long)page, entry->slot, (unsigned long long)sum,
                     (unsigned long long)le64_get(entry->checksum));
    return VDE_OK;
}

/* Only after a clean close: a checkpoint that was cut short may have begun to write there. */
static vde_status check_before(struct checker *c, const struct superblock *before, const struct layout *layout,
                               uint8_t *index, uint64_t blocks)
{
    uint64_t at = alloc_index_block(layout, before->alloc_slot);
    VDE_TRY(check_read(c, at, index, blocks));
    uint64_t sum = checksum(index, blocks * BLOCK_BYTES, c->seed ^ at);
    if (sum != before->alloc_checksum) {
        check_report(c, "alloc index slot %u of the checkpoint before|checksum %016llx|%016llx", before->alloc_slot,
                     (unsigned long long)sum, (unsigned long long)before->alloc_checksum);
        return VDE_OK;
    }
    for (uint64_t page = 0; page < layout->alloc_pages; page++) {
        struct disk_alloc_entry entry;
        memcpy(&entry, index + sizeof(struct disk_alloc_index) + page * sizeof entry, sizeof entry);
        VDE_TRY(check_page(c, layout, page, &entry));
    }
    return VDE_OK;
}

vde_status check_spares(struct checker *c)
{
    struct superblock before = {.sequence = 0};
    for (unsigned ring = 0; ring < 2; ring++)
        for (unsigned slot = 0; slot < RING_SLOTS; slot++)
            VDE_TRY(check_slot(c, ring, slot, &before));
    bool grew = before.growths != c->sb.growths;
    if (before.sequence == 0 || (before.alloc_slot == c->sb.alloc_slot && !grew) ||
        !(c->sb.autoclear & FEATURE_AUTOCLEAR_CLEAN))
        return VDE_OK;
    struct layout layout; /* of then: the image may have grown since */
    VDE_TRY(superblock_layout(&before, &c->label.layout, &layout));
    uint64_t blocks = alloc_index_blocks(layout.alloc_pages);
    uint8_t *index = aligned_alloc(BLOCK_BYTES, blocks * BLOCK_BYTES);
    if (!index)
        return fail_nomem("alloc index");
    vde_status status = check_before(c, &before, &layout, index, blocks);
    free(index);
    return status;
}
