/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_tree.c -- nodes and records of one version of a tree, found by names or numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "check/describe.h"
#include "check/inspect.h"
#include "format/catalog.h"

struct tree {
    uint64_t dataset;  /* as records are described */
    uint64_t id;       /* in the nodes */
    struct tree_root root;
};

struct tree_walk {
    uint64_t dataset;
    vde_status (*each)(void *context, const struct vde_tree_item *item);
    void *context;
    struct described described;
};

static vde_status on_node(void *context, struct ptr p, unsigned depth, const struct disk_node *node)
{
    struct tree_walk *w = context;
    struct vde_tree_item item = {.is_node = true, .depth = depth, .block = p.address, .birth = p.birth, .damage = ""};
    if (node) {
        item.level = node->level;
        item.records = node_count(node);
    } else {
        item.damage = vde_last_error()->text;
    }
    return w->each(w->context, &item);
}

static vde_status on_record(void *context, const struct node_record *record)
{
    struct tree_walk *w = context;
    struct op op = {w->dataset, record->key, record->key_size, record->kind, record->value, record->value_size};
    describe(&op, &w->described);
    struct vde_tree_item item = {.damage = "", .record = w->described.item};
    return w->each(w->context, &item);
}

static bool parse_id(const char *text, uint64_t *ret_id)
{
    char *end;
    *ret_id = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0;
}

static vde_status catalog_get(struct source *source, const uint8_t *key, size_t key_size, uint8_t *value, size_t capacity,
                              size_t *ret_size)
{
    return source_get(source, DATASET_CATALOG, &source->sb.catalog, key, key_size, value, capacity, ret_size);
}

/* A name as it is, or as a volume's. */
static vde_status id_of_name(struct source *source, const char *name, uint64_t *ret_id)
{
    uint8_t key[CATALOG_KEY_MAX];
    char full[sizeof VOLUME_NAME_PREFIX + DATASET_NAME_MAX] = VOLUME_NAME_PREFIX;
    vde_le64 id;
    size_t size, length = strlen(name), prefix = sizeof VOLUME_NAME_PREFIX - 1;
    if (length == 0 || length > DATASET_NAME_MAX)
        return fail_as(VDE_NOT_FOUND, "dataset|a name of %zu bytes|1 to %u", length, DATASET_NAME_MAX);
    memcpy(full + prefix, name, length + 1);
    vde_status status = catalog_get(source, key, key_name(key, full, prefix + length), (uint8_t *)&id, sizeof id, &size);
    if (status == VDE_NOT_FOUND)
        status = catalog_get(source, key, key_name(key, name, length), (uint8_t *)&id, sizeof id, &size);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "%s|no such dataset or volume|an id, a name, catalog, history, files, dead or dead:ID",
                       name);
    VDE_TRY(status);
    *ret_id = le64_get(id);
    return VDE_OK;
}

static vde_status get_record(struct source *source, uint64_t id, struct dataset_record *ret_record)
{
    uint8_t key[CATALOG_KEY_MAX], value[DATASET_VALUE_MAX];
    size_t size;
    vde_status status = catalog_get(source, key, key_dataset(key, id), value, sizeof value, &size);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "dataset %llu|no such dataset|one that exists", (unsigned long long)id);
    VDE_TRY(status);
    return dataset_record_get(value, size, id, &source->label.layout, ret_record);
}

static vde_status find_newest(struct source *source, const char *name, struct tree *ret_tree)
{
    struct dataset_record record;
    static const struct { const char *name; uint64_t id; } known[] = {{"history", DATASET_HISTORY}, {"files", DATASET_FILES}};
    bool dead = strncmp(name, "dead:", 5) == 0;
    uint64_t id = 0;
    *ret_tree = (struct tree){DATASET_CATALOG, DATASET_CATALOG, source->sb.catalog};
    if (strcmp(name, "catalog") == 0)
        return VDE_OK;
    if (strcmp(name, "dead") == 0) {
        ret_tree->dataset = ret_tree->id = DATASET_CATALOG | DATASET_DEAD_BIT;
        ret_tree->root = source->sb.catalog_dead;
        return VDE_OK;
    }
    name += dead ? 5 : 0;
    for (unsigned i = 0; i < 2; i++)
        if (strcmp(name, known[i].name) == 0)
            id = known[i].id;
    if (id == 0 && !parse_id(name, &id))
        VDE_TRY(id_of_name(source, name, &id));
    if (id == DATASET_CATALOG)
        return VDE_OK;
    vde_status status = get_record(source, id, &record);
    if (status == VDE_NOT_FOUND && (id == DATASET_HISTORY || id == DATASET_FILES)) /* it has none until it is used */
        record = (struct dataset_record){.tree = id};
    else
        VDE_TRY(status);
    *ret_tree = dead ? (struct tree){id | DATASET_DEAD_BIT, id | DATASET_DEAD_BIT, record.dead}
                     : (struct tree){id, record.tree, record.root};
    return VDE_OK;
}

static vde_status find_snapshot(struct source *source, const char *snapshot, struct tree *tree)
{
    uint8_t key[CATALOG_KEY_MAX], value[SNAPSHOT_VALUE_MAX];
    struct snapshot_record record;
    vde_le64 number;
    size_t size, length = strlen(snapshot);
    uint64_t tag;
    vde_status status = VDE_NOT_FOUND;
    if (length > 0 && length <= SNAPSHOT_NAME_MAX)
        status = catalog_get(source, key, key_alias(key, tree->dataset, snapshot, length), (uint8_t *)&number,
                             sizeof number, &size);
    if (status == VDE_OK)
        tag = le64_get(number);
    else if (status == VDE_NOT_FOUND && parse_id(snapshot, &tag))
        status = VDE_OK;
    if (status == VDE_OK)
        status = catalog_get(source, key, key_snapshot(key, tree->dataset, tag), value, sizeof value, &size);
    if (status == VDE_NOT_FOUND)
        return fail_as(VDE_NOT_FOUND, "snapshot %s|none of dataset %llu|its name or tag", snapshot,
                       (unsigned long long)tree->dataset);
    VDE_TRY(status);
    VDE_TRY(snapshot_record_get(value, size, &source->label.layout, &record));
    tree->root = record.root;
    return VDE_OK;
}

vde_status vde_inspect_tree(vde_inspect *inspect, const char *dataset, const char *snapshot,
                            vde_status (*each)(void *context, const struct vde_tree_item *item), void *context)
{
    struct source *source = &inspect->source;
    struct tree tree;
    VDE_TRY(source_expect(source));
    VDE_TRY(find_newest(source, dataset, &tree));
    if (snapshot)
        VDE_TRY(find_snapshot(source, snapshot, &tree));
    struct tree_walk *w = calloc(1, sizeof *w);
    if (!w)
        return fail_nomem("inspection");
    *w = (struct tree_walk){.dataset = tree.dataset, .each = each, .context = context};
    struct source_walk walk = {.node = on_node, .record = on_record, .context = w};
    vde_status status = source_tree(source, tree.id, &tree.root, &walk);
    free(w);
    return status;
}
