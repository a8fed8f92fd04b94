/* SPDX-License-Identifier: Apache-2.0 */
/* rescue_catalog.c -- the newest catalog whose nodes are all there; else what its loose leaves say, the newest of each. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "check/rescue.h"

#define CANDIDATES_MAX 256u

struct found_dataset *rescue_dataset(struct rescue *r, uint64_t id)
{
    for (size_t i = 0; i < r->dataset_count; i++)
        if (r->datasets[i].id == id)
            return &r->datasets[i];
    return NULL;
}

static vde_status add(struct rescue *r, uint64_t id, struct found_dataset **ret_dataset)
{
    *ret_dataset = rescue_dataset(r, id);
    if (*ret_dataset)
        return VDE_OK;
    void *array = r->datasets;
    VDE_TRY(rescue_grow(&array, &r->dataset_capacity, r->dataset_count, sizeof *r->datasets));
    r->datasets = array;
    *ret_dataset = &r->datasets[r->dataset_count++];
    memset(*ret_dataset, 0, sizeof **ret_dataset);
    (*ret_dataset)->id = (*ret_dataset)->tree = id;
    return VDE_OK;
}

static vde_status take_dataset(struct rescue *r, const struct node_record *record)
{
    struct dataset_record found;
    struct found_dataset *d;
    if (dataset_record_get(record->value, record->value_size, be64_get(record->key + 1), &r->source.label.layout, &found))
        return VDE_OK;
    VDE_TRY(add(r, found.id, &d));
    d->tree = found.tree;
    d->root = found.root;
    d->has_root = true;
    d->volume |= found.kind == DATASET_KIND_VOLUME;
    if (!d->volume)
        memcpy(d->name, found.name, sizeof found.name);
    return VDE_OK;
}

static vde_status take_name(struct rescue *r, const struct node_record *record)
{
    vde_le64 id;
    struct found_dataset *d;
    size_t prefix = sizeof VOLUME_NAME_PREFIX - 1, size = record->key_size - 1u;
    if (record->value_size != sizeof id || size <= prefix || size - prefix > DATASET_NAME_MAX ||
        memcmp(record->key + 1, VOLUME_NAME_PREFIX, prefix) != 0)
        return VDE_OK;
    memcpy(&id, record->value, sizeof id);
    VDE_TRY(add(r, le64_get(id), &d));
    memcpy(d->name, record->key + 1 + prefix, size - prefix);
    d->name[size - prefix] = 0;
    return VDE_OK;
}

static vde_status take(void *context, const struct node_record *record)
{
    struct rescue *r = context;
    struct found_dataset *d;
    uint8_t tag = record->key[0];
    if (record->kind != VALUE_INLINE)
        return VDE_OK;
    if (tag == CATALOG_KEY_DATASET && record->key_size == 9)
        return take_dataset(r, record);
    if (tag == CATALOG_KEY_NAME)
        return take_name(r, record);
    if (tag == CATALOG_KEY_VOLUME && record->key_size == 9) {
        struct volume_record volume;
        if (volume_record_get(record->value, record->value_size, be64_get(record->key + 1), &volume) != VDE_OK)
            return VDE_OK;
        VDE_TRY(add(r, be64_get(record->key + 1), &d));
        d->volume = true;
        d->size_bytes = volume.size_bytes;
    } else if (tag == CATALOG_KEY_ZOMBIE && record->key_size == 10 && record->key[1] == 'd') {
        VDE_TRY(add(r, be64_get(record->key + 2), &d));
        d->dropped = true;
    }
    return VDE_OK;
}

/* --- which root ----------------------------------------------------------------------------------------------------- */

struct count {
    uint64_t damaged, records;
};

static vde_status count_node(void *context, struct ptr p, unsigned depth, const struct disk_node *node)
{
    struct count *count = context;
    (void)p;
    (void)depth;
    count->damaged += !node;
    count->records += node && node->level == 0 ? node_count(node) : 0;
    return VDE_OK;
}

vde_status rescue_whole(struct rescue *r, uint64_t tree, const struct tree_root *root, bool *ret_whole, uint64_t *ret_records)
{
    struct count count = {0, 0};
    struct source_walk walk = {.node = count_node, .context = &count};
    VDE_TRY(source_tree(&r->source, tree, root, &walk));
    *ret_whole = count.damaged == 0;
    *ret_records = count.records;
    return VDE_OK;
}

/* Candidates are the nodes of the catalog's tree from the newest on; of one birth the highest level first. */
static vde_status find_root(struct rescue *r, struct tree_root *ret_root, bool *ret_found)
{
    uint8_t *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    vde_status status = block ? VDE_OK : fail_nomem("rescue");
    uint64_t records;
    unsigned tried = 0;
    *ret_found = false;
    for (size_t i = r->node_count; i-- > 0 && status == VDE_OK && !*ret_found && tried < CANDIDATES_MAX;) {
        if (r->nodes[i].tree != DATASET_CATALOG)
            continue;
        tried++;
        status = rescue_node(r, &r->nodes[i], block, &ret_root->node);
        ret_root->level = r->nodes[i].level;
        if (status == VDE_OK)
            status = rescue_whole(r, DATASET_CATALOG, ret_root, ret_found, &records);
        if (status == VDE_CORRUPT || status == VDE_IO)
            status = VDE_OK;
    }
    free(block);
    return status;
}

/* Volumes that only their runs tell of. */
static vde_status add_nameless(struct rescue *r)
{
    for (size_t i = 0; i < r->node_count; i++) {
        uint64_t tree = r->nodes[i].tree;
        struct found_dataset *d;
        if ((i > 0 && r->nodes[i - 1].tree == tree) || tree & DATASET_DEAD_BIT || tree == DATASET_CATALOG)
            continue;
        VDE_TRY(add(r, tree, &d));
    }
    return VDE_OK;
}

/* What the log adds: datasets made since, names; a dataset that is known has its root from the tree. */
static vde_status on_op(void *context, uint64_t lsn, uint64_t time_us, const struct op *op)
{
    struct rescue *r = context;
    (void)lsn;
    (void)time_us;
    bool dataset = op->key[0] == CATALOG_KEY_DATASET && op->key_size == 9;
    if (op->kind != VALUE_INLINE || (dataset && rescue_dataset(r, be64_get(op->key + 1))))
        return VDE_OK;
    struct node_record record = {op->key, op->value, (uint16_t)op->key_size, (uint16_t)op->value_size, VALUE_INLINE};
    return op->value_size <= UINT16_MAX ? take(r, &record) : VDE_OK;
}

/* Is there a sign of anything later than the catalog found and the records that follow it without a gap? */
static bool is_stale(const struct rescue *r)
{
    uint64_t end = r->summary.catalog_lsn, newest = 0;
    for (size_t i = 0; i < r->frame_count; i++) {
        uint64_t last = r->frames[i].first_lsn + r->frames[i].count - 1;
        if (r->frames[i].first_lsn <= end + 1 && last > end)
            end = last;
        newest = last > newest ? last : newest;
    }
    for (size_t i = 0; i < r->node_count; i++)
        newest = r->nodes[i].birth > newest ? r->nodes[i].birth : newest;
    return newest > end;
}

static vde_status find_catalog(struct rescue *r)
{
    struct tree_root root = {.level = 0};
    bool whole = false;
    uint64_t records;
    struct source_walk walk = {.record = take, .context = r};
    if (r->source.has_superblock) {
        root = r->source.sb.catalog;
        VDE_TRY(rescue_whole(r, DATASET_CATALOG, &root, &whole, &records));
        r->summary.catalog_lsn = r->source.sb.checkpoint_lsn;
    }
    if (!whole) {
        VDE_TRY(find_root(r, &root, &whole));
        r->summary.catalog_lsn = whole ? root.node.birth : 0;
    }
    r->summary.catalog = whole;
    if (whole)
        return source_tree(&r->source, DATASET_CATALOG, &root, &walk);
    VDE_TRY(rescue_loose(r, DATASET_CATALOG, take, r));
    return add_nameless(r);
}

vde_status rescue_catalog(struct rescue *r)
{
    VDE_TRY(find_catalog(r));
    r->summary.stale = is_stale(r);
    return rescue_log(r, DATASET_CATALOG, on_op, r);
}
