/* SPDX-License-Identifier: Apache-2.0 */
/* relocate.c -- copy one instant of an image into a geometry of its own: smaller, larger, or as a snapshot of the image shows it.
 *
 * The datasets' trees are moved (mover.c); the catalog and the dead trees, whose keys and records name addresses, are made anew
 * behind them. What all of it takes is known before anything is written. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "copy/copy.h"
#include "copy/instant.h"
#include "copy/mover.h"

struct relocation {
    struct copy *copy;
    struct instant instant;
    struct blockset reached;
    struct mover mover;
    struct layout layout;      /* of the copy */
    uint64_t next;             /* address for the next node of catalog and dead trees */
    uint64_t end;              /* what was counted on for them ends here */
    struct tree_store store;
    struct tree_writer writer;
    struct tree_op *ops;       /* of the tree being made; keys and values are owned */
    size_t op_count, op_capacity;
};

/* --- room ----------------------------------------------------------------------------------------------------------- */

/* Nodes of a tree with that many bytes of records: at least half of each is used, but for one a level. */
static uint64_t nodes_bound(uint64_t bytes)
{
    return bytes ? 3 * div_up(bytes, NODE_SPACE) + TREE_LEVEL_MAX : 0;
}

static uint64_t made_blocks(const struct instant *instant)
{
    uint64_t catalog = 0, nodes = 0;
    for (size_t i = 0; i < instant->entry_count; i++)
        catalog += instant->entries[i].key_size + instant->entries[i].value_size + NODE_RECORD_OVERHEAD;
    for (size_t i = 0; i < instant->member_count; i++)
        nodes += nodes_bound(instant->members[i].dead_count * (24 + sizeof(vde_le32) + NODE_RECORD_OVERHEAD));
    return nodes + nodes_bound(catalog);
}

static vde_status make_room(struct relocation *r)
{
    uint64_t made = made_blocks(&r->instant), total = layout_total(&r->layout);
    uint64_t used = r->reached.count + made, needed = used + r->instant.unmapped_blocks + space_slop(total);
    const struct region *heap = layout_region(&r->layout, REGION_HEAP);
    if (needed > total)
        return fail_as(VDE_NOSPC, "target|%llu bytes available|%llu bytes needed", (unsigned long long)total * BLOCK_BYTES,
                       (unsigned long long)needed * BLOCK_BYTES);
    uint64_t first = used <= heap->blocks ? heap->block : layout_region(&r->layout, REGION_HISTORY)->block;
    r->next = first + r->reached.count;
    r->end = r->next + made;
    r->copy->sb.used_blocks = used; /* for the progress, until it is known */
    return mover_init(&r->mover, r->copy, &r->reached, first);
}

/* --- trees that are made anew --------------------------------------------------------------------------------------- */

static vde_status allocate(void *context, uint32_t blocks, uint64_t *ret_address)
{
    struct relocation *r = context;
    if (blocks > r->end - r->next)
        return fail_as(VDE_NOSPC, "target|more nodes than were counted|%llu", (unsigned long long)(r->end - r->next));
    *ret_address = r->next;
    r->next += blocks;
    return VDE_OK;
}

static vde_status write_nodes(void *context, uint64_t address, const void *buffer, uint32_t blocks)
{
    struct relocation *r = context;
    return device_transfer(r->copy->target, VDE_IO_WRITE, address, (void *)(uintptr_t)buffer, blocks);
}

static vde_status read_node(void *context, struct ptr p, void *buffer)
{
    struct relocation *r = context;
    return device_transfer(r->copy->target, VDE_IO_READ, p.address, buffer, p.blocks);
}

static vde_status drop_nothing(void *context, uint64_t tree, struct ptr p)
{
    (void)context;
    (void)tree;
    (void)p;
    return VDE_OK;
}

static void drop_ops(struct relocation *r)
{
    for (size_t i = 0; i < r->op_count; i++)
        free((void *)(uintptr_t)r->ops[i].key);
    r->op_count = 0;
}

static vde_status add_op(struct relocation *r, const void *key, size_t key_size, const void *value, size_t value_size)
{
    uint8_t *bytes = malloc(key_size + value_size);
    void *array = r->ops;
    if (!bytes)
        return fail_nomem("copy");
    memcpy(bytes, key, key_size);
    if (value_size)
        memcpy(bytes + key_size, value, value_size);
    struct tree_op op = {bytes, key_size, VALUE_INLINE, bytes + key_size, value_size};
    vde_status status = instant_append(&array, &r->op_capacity, &r->op_count, &op, sizeof op);
    r->ops = array;
    if (status != VDE_OK)
        free(bytes);
    return status;
}

static vde_status make_tree(struct relocation *r, uint64_t tree, struct tree_root *ret_root)
{
    *ret_root = (struct tree_root){.level = 0};
    return r->op_count ? tree_apply(&r->writer, tree, ret_root, r->ops, r->op_count) : VDE_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct dead_run *x = a, *y = b;
    if (x->death != y->death)
        return x->death < y->death ? -1 : 1;
    if (x->birth != y->birth)
        return x->birth < y->birth ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static vde_status make_dead_tree(struct relocation *r, struct member *member)
{
    drop_ops(r);
    if (member->dead_count)
        qsort(member->dead, member->dead_count, sizeof *member->dead, by_key);
    for (size_t i = 0; i < member->dead_count; i++) {
        const struct dead_run *run = &member->dead[i];
        uint8_t key[CATALOG_KEY_MAX];
        vde_le32 blocks = le32((uint32_t)run->blocks);
        size_t size = key_dead(key, run->death, run->birth, mover_place(&r->mover, run->address));
        VDE_TRY(add_op(r, key, size, &blocks, sizeof blocks));
    }
    member->record.dead_blocks = member->dead_blocks;
    return make_tree(r, member->record.id | DATASET_DEAD_BIT, &member->record.dead);
}

/* --- the catalog ---------------------------------------------------------------------------------------------------- */

static vde_status add_dataset(struct relocation *r, const struct entry *entry, struct superblock *sb)
{
    uint8_t value[DATASET_VALUE_MAX];
    struct member *member = instant_member(&r->instant, be64_get(entry->bytes + 1));
    sb->meta_nodes += member->record.root.nodes;
    return add_op(r, entry->bytes, entry->key_size, value, dataset_record_put(&member->record, value));
}

static vde_status add_snapshot(struct relocation *r, const struct entry *entry)
{
    uint8_t value[SNAPSHOT_VALUE_MAX];
    const struct version *version =
        instant_version(&r->instant, be64_get(entry->bytes + 1), be64_get(entry->bytes + 9));
    return add_op(r, entry->bytes, entry->key_size, value, snapshot_record_put(&version->record, value));
}

/* The dataset's newest snapshot is the last in the list by LSN. */
static void set_newest(struct relocation *r)
{
    for (size_t i = 0; i < r->instant.member_count; i++)
        r->instant.members[i].record.newest_snapshot = 0;
    for (size_t i = 0; i < r->instant.entry_count; i++) {
        const struct entry *entry = &r->instant.entries[i];
        if (entry->bytes[0] == CATALOG_KEY_LSN && instant_keeps(&r->instant, entry))
            instant_member(&r->instant, be64_get(entry->bytes + 1))->record.newest_snapshot = be64_get(entry->bytes + 9);
    }
}

static vde_status make_catalog(struct relocation *r, struct superblock *sb)
{
    drop_ops(r);
    set_newest(r);
    for (size_t i = 0; i < r->instant.entry_count; i++) {
        const struct entry *entry = &r->instant.entries[i];
        if (!instant_keeps(&r->instant, entry))
            continue;
        if (entry->bytes[0] == CATALOG_KEY_DATASET)
            VDE_TRY(add_dataset(r, entry, sb));
        else if (entry->bytes[0] == CATALOG_KEY_SNAPSHOT)
            VDE_TRY(add_snapshot(r, entry));
        else
            VDE_TRY(add_op(r, entry->bytes, entry->key_size, entry_value(entry), entry->value_size));
    }
    VDE_TRY(make_tree(r, DATASET_CATALOG, &sb->catalog));
    sb->meta_nodes += sb->catalog.nodes;
    return VDE_OK;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static vde_status move_trees(struct relocation *r)
{
    struct instant *instant = &r->instant;
    for (size_t i = 0; i < instant->member_count; i++)
        if (instant->members[i].kept)
            VDE_TRY(mover_tree(&r->mover, instant->members[i].record.tree, &instant->members[i].record.root));
    for (size_t i = 0; i < instant->version_count; i++) {
        const struct member *of = instant_member(instant, instant->versions[i].dataset);
        if (of && of->kept)
            VDE_TRY(mover_tree(&r->mover, of->record.tree, &instant->versions[i].record.root));
    }
    return VDE_OK;
}

/* One run is in use: from the first block moved to the last node made. */
static vde_status write_space(struct relocation *r, struct superblock *sb)
{
    struct space *space;
    VDE_TRY(space_create(r->copy->target, &r->layout, r->mover.seed, &space));
    vde_status status = r->next > r->mover.first ? space_mark(space, r->mover.first, r->next - r->mover.first, true) : VDE_OK;
    if (status == VDE_OK)
        status = space_write(space, sb->sequence, sb);
    space_close(space);
    return status;
}

static vde_status write_all(struct relocation *r)
{
    const struct superblock *from = &r->copy->sb;
    struct superblock sb = {.sequence = 1, .epoch = from->epoch + 1, .checkpoint_lsn = r->instant.lsn,
                            .last_time_us = from->last_time_us, .next_id = from->next_id,
                            .written_us = image_now_us(r->copy->image)};
    VDE_TRY(target_clear(r->copy->target, &r->layout));
    copy_progress(r->copy, 0, 0, 1);
    VDE_TRY(move_trees(r));
    for (size_t i = 0; i < r->instant.member_count; i++)
        if (r->instant.members[i].kept)
            VDE_TRY(make_dead_tree(r, &r->instant.members[i]));
    VDE_TRY(make_catalog(r, &sb));
    VDE_TRY(write_space(r, &sb));
    r->copy->sb = sb;
    r->copy->label.layout = r->layout;
    r->copy->result.lsn = r->instant.lsn;
    r->copy->result.size_bytes = r->layout.blocks * BLOCK_BYTES;
    r->copy->result.copied_bytes = sb.used_blocks * BLOCK_BYTES;
    return VDE_OK;
}

static vde_status relocate(struct relocation *r, const char *snapshot)
{
    VDE_TRY(instant_load(&r->instant, snapshot));
    VDE_TRY(blockset_init(&r->reached, r->instant.layout->alloc_pages));
    VDE_TRY(instant_reach(&r->instant, &r->reached));
    VDE_TRY(make_room(r));
    r->store = (struct tree_store){.read = read_node, .context = r, .seed = r->mover.seed, .device_blocks = r->layout.blocks};
    r->writer = (struct tree_writer){&r->store, r, allocate, write_nodes, drop_nothing, r->instant.lsn};
    return write_all(r);
}

vde_status copy_relocated(struct copy *copy, const char *snapshot, const struct layout *layout)
{
    struct relocation r = {.copy = copy, .layout = *layout};
    struct layout source = copy->label.layout;
    r.instant = (struct instant){.image = copy->image, .layout = &source, .catalog = copy->sb.catalog,
                                 .lsn = copy->sb.checkpoint_lsn};
    vde_status status = relocate(&r, snapshot);
    mover_done(&r.mover);
    if (r.reached.bits)
        blockset_done(&r.reached);
    instant_done(&r.instant);
    drop_ops(&r);
    free(r.ops);
    return status;
}
