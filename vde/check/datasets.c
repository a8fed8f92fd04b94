/* SPDX-License-Identifier: Apache-2.0 */
/* datasets.c -- walk what the catalog leads to: first the newest version and the dead tree of every dataset, which own all
 * that there is; then the snapshots of each and of the image, which must find what they reach among it; then ask of what
 * no snapshot reached why it is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "check/checker.h"

#define NAME_BYTES 320

struct run {
    struct checker *c;
    struct catalog catalog;
    struct owner image;              /* the catalog as a dataset */
    struct entry_dataset **ordered;  /* origins before their clones */
};

static bool reads_data(const struct checker *c, const struct dataset_record *r)
{
    return (c->opts.flags & VDE_CHECK_DATA) || (r->id != DATASET_FILES && r->kind != DATASET_KIND_VOLUME);
}

/* "dataset 17" or "volume NAME"; messages are cut at '|'. */
static void name_dataset(const struct entry_dataset *d, const char *suffix, char name[NAME_BYTES])
{
    const char *text = d->name;
    size_t prefix = sizeof VOLUME_NAME_PREFIX - 1;
    if (text && strncmp(text, VOLUME_NAME_PREFIX, prefix) == 0)
        text += prefix;
    if (d->record.kind == DATASET_KIND_VOLUME && text)
        snprintf(name, NAME_BYTES, "volume %s%s", text, suffix);
    else
        snprintf(name, NAME_BYTES, "%s %llu%s", d->record.kind == DATASET_KIND_VOLUME ? "volume" : "dataset",
                 (unsigned long long)d->record.id, suffix);
    for (char *at = name; *at; at++)
        if (*at == '|')
            *at = '?';
}

static struct check_tree tree_of(const struct checker *c, const struct entry_dataset *d, const char *name)
{
    uint64_t size = d->has_volume && !d->zombie ? d->volume.size_bytes : 0;
    uint64_t blocks = div_up(size, BLOCK_BYTES);
    if (d->volume.compression) /* the last frame may reach beyond the end */
        blocks = div_up(blocks, RUN_FRAME_BLOCKS) * RUN_FRAME_BLOCKS;
    return (struct check_tree){.claim = {&d->owner, name, CLAIM_NEWEST}, .tree = d->record.tree, .root = d->record.root,
                               .volume = d->record.kind == DATASET_KIND_VOLUME,
                               .volume_blocks = blocks, .skip_data = !reads_data(c, &d->record)};
}

/* --- dead trees ----------------------------------------------------------------------------------------------------- */

struct dead_walk {
    const struct run *run;
    const struct owner *owner;
    const char *name;
    bool claims;     /* the first time; else asks why what nobody reached is kept */
    bool freeing;    /* nobody needs to reach it */
    uint64_t blocks;
};

/* Kept for a snapshot that is being freed, or that waits to be: of the dataset, or of the image. */
static bool is_explained(const struct dead_walk *d, uint64_t birth, uint64_t death)
{
    const struct entry_zombie *z = d->run->catalog.zombies.items;
    for (size_t i = 0; i < d->run->catalog.zombies.count; i++)
        if ((z[i].dataset == d->owner->id || z[i].dataset == DATASET_CATALOG) && z[i].lsn >= birth && z[i].lsn <= death)
            return true;
    return false;
}

static vde_status visit_dead(struct checker *c, void *context, const struct check_record *r)
{
    struct dead_walk *d = context;
    vde_le32 value;
    if (r->key_size != 24 || r->kind != VALUE_INLINE || r->value_size != sizeof value) {
        check_report(c, "%s|a key of %zu bytes, a value of %zu|24 and 4", d->name, r->key_size, r->value_size);
        return VDE_OK;
    }
    memcpy(&value, r->value, sizeof value);
    uint64_t death = be64_get(r->key), birth = be64_get(r->key + 8), address = be64_get(r->key + 16);
    uint64_t blocks = le32_get(value);
    if (d->claims) {
        enum claimed got;
        struct claim claim = {d->owner, d->name, d->freeing ? CLAIM_NEWEST : CLAIM_DEAD};
        d->blocks += blocks;
        if (birth > death || birth <= d->owner->origin_lsn)
            check_report(c, "%s: blocks %llu + %llu|born at %llu, dropped under snapshot %llu|a snapshot that shows them",
                         d->name, (unsigned long long)address, (unsigned long long)blocks, (unsigned long long)birth,
                         (unsigned long long)death);
        return check_claim(c, &claim, address, blocks, birth, "entry", &got);
    }
    if (check_allocatable(c, address, blocks) && blockset_common(&c->dead, address, blocks) &&
        !is_explained(d, birth, death))
        check_report(c, "%s: blocks %llu + %llu|born at %llu, dropped under %llu, reached from no snapshot|reached by one",
                     d->name, (unsigned long long)address, (unsigned long long)blocks, (unsigned long long)birth,
                     (unsigned long long)death);
    return VDE_OK;
}

static vde_status walk_dead(struct run *run, const struct owner *of, const struct tree_root *root, uint64_t dead_blocks,
                            const struct entry_dataset *zombie, bool claims)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "dead tree of dataset %llu", (unsigned long long)of->id);
    struct owner nodes = {of->id | DATASET_DEAD_BIT, 0, NULL};
    struct dead_walk walk = {run, of, name, claims, zombie != NULL, 0};
    struct check_tree tree = {.claim = {&nodes, name, claims ? CLAIM_NEWEST : CLAIM_SNAPSHOT}, .tree = nodes.id,
                              .root = *root, .revisit = claims ? REVISIT_SOME : REVISIT_ALL, .visit = visit_dead,
                              .context = &walk};
    if (zombie && ptr_is_null(zombie->record.root.node)) {
        tree.resume = zombie->resume;
        tree.resume_size = zombie->resume_size;
    }
    VDE_TRY(check_walk(run->c, &tree));
    if (claims && tree.counts.whole && walk.blocks != dead_blocks)
        check_report(run->c, "%s|%llu blocks|%llu as its dataset says", name, (unsigned long long)walk.blocks,
                     (unsigned long long)dead_blocks);
    return VDE_OK;
}

static vde_status walk_dead_of(struct run *run, const struct entry_dataset *d, bool claims)
{
    return walk_dead(run, &d->owner, &d->record.dead, d->record.dead_blocks, d->freeing ? d : NULL, claims);
}

/* --- newest versions ------------------------------------------------------------------------------------------------ */

static vde_status walk_contents(struct checker *c, const struct catalog *catalog, struct check_tree *tree, uint64_t id)
{
    struct history_state history;
    struct files_state files;
    memset(&history, 0, sizeof history);
    memset(&files, 0, sizeof files);
    history.zombies = catalog->zombie_streams.items;
    history.zombie_count = catalog->zombie_streams.count;
    if (id == DATASET_HISTORY)
        tree->visit = check_history_record, tree->context = &history;
    if (id == DATASET_FILES)
        tree->visit = check_files_record, tree->context = &files;
    vde_status status = check_walk(c, tree);
    if (status == VDE_OK && id == DATASET_HISTORY)
        check_history_end(c, &history);
    if (status == VDE_OK && id == DATASET_FILES)
        check_files_end(c, &files);
    free(history.big);
    free(files.files);
    return status;
}

static void compare_counts(struct checker *c, const struct check_tree *tree, uint64_t mapped, uint64_t stored)
{
    if (tree->counts.whole && (tree->counts.mapped != mapped || tree->counts.blocks != stored))
        check_report(c, "%s|%llu blocks mapped, %llu stored|%llu and %llu as its record says", tree->claim.name,
                     (unsigned long long)tree->counts.mapped, (unsigned long long)tree->counts.blocks,
                     (unsigned long long)mapped, (unsigned long long)stored);
}

static vde_status walk_newest(struct run *run, struct entry_dataset *d)
{
    char name[NAME_BYTES];
    name_dataset(d, "", name);
    struct check_tree tree = tree_of(run->c, d, name);
    if (d->freeing) {
        tree.resume = d->resume;
        tree.resume_size = d->resume_size;
    }
    VDE_TRY(walk_contents(run->c, &run->catalog, &tree, d->record.id));
    if (!d->freeing)
        compare_counts(run->c, &tree, d->record.mapped_blocks, d->record.stored_blocks);
    return walk_dead_of(run, d, true);
}

static int by_creation(const void *a, const void *b)
{
    const struct entry_dataset *x = *(struct entry_dataset *const *)a, *y = *(struct entry_dataset *const *)b;
    if (x->record.created_lsn != y->record.created_lsn)
        return x->record.created_lsn < y->record.created_lsn ? -1 : 1;
    return x->record.id < y->record.id ? -1 : x->record.id > y->record.id;
}

/* Clones know their origins, which are older. */
static void link_clones(struct checker *c, struct catalog *catalog)
{
    struct entry_dataset *datasets = catalog->datasets.items;
    for (size_t i = 0; i < catalog->datasets.count; i++) {
        struct entry_dataset *d = &datasets[i];
        if (d->record.origin == 0)
            continue;
        struct entry_dataset *origin = check_find_dataset(catalog, d->record.origin);
        if (!origin || origin->record.created_lsn >= d->record.created_lsn || origin->record.tree != d->record.tree ||
            d->record.origin_lsn > d->record.created_lsn || origin->freeing) {
            check_report(c, "clone %llu|%s %llu|an older dataset with the same kind of nodes",
                         (unsigned long long)d->record.id, origin ? "origin" : "no dataset",
                         (unsigned long long)d->record.origin);
            c->incomplete = true;
            continue;
        }
        d->owner.origin = &origin->owner;
        d->owner.origin_lsn = d->record.origin_lsn;
    }
}

static vde_status walk_all_newest(struct run *run)
{
    size_t count = run->catalog.datasets.count;
    struct entry_dataset *datasets = run->catalog.datasets.items;
    run->ordered = calloc(count + 1, sizeof(struct entry_dataset *));
    if (!run->ordered)
        return fail_nomem("check");
    for (size_t i = 0; i < count; i++)
        run->ordered[i] = &datasets[i];
    qsort(run->ordered, count, sizeof(struct entry_dataset *), by_creation);
    link_clones(run->c, &run->catalog);
    for (size_t i = 0; i < count; i++)
        VDE_TRY(walk_newest(run, run->ordered[i]));
    return VDE_OK;
}

/* --- snapshots of datasets ------------------------------------------------------------------------------------------ */

static vde_status walk_snapshot(struct run *run, const struct entry_dataset *d, const struct entry_snapshot *s)
{
    char name[NAME_BYTES], suffix[48];
    snprintf(suffix, sizeof suffix, " snapshot %llu", (unsigned long long)s->tag);
    name_dataset(d, suffix, name);
    struct check_tree tree = tree_of(run->c, d, name);
    tree.claim.mode = CLAIM_SNAPSHOT;
    tree.root = s->root;
    tree.volume_blocks = 0;
    VDE_TRY(check_walk(run->c, &tree));
    compare_counts(run->c, &tree, s->mapped_blocks, s->stored_blocks);
    return VDE_OK;
}

static vde_status walk_snapshots(struct run *run)
{
    const struct entry_snapshot *s = run->catalog.snapshots.items;
    for (size_t i = 0; i < run->catalog.snapshots.count; i++) {
        const struct entry_dataset *d = check_find_dataset(&run->catalog, s[i].dataset);
        if (d && !d->freeing)
            VDE_TRY(walk_snapshot(run, d, &s[i]));
    }
    return VDE_OK;
}

/* --- snapshots of the image ----------------------------------------------------------------------------------------- */

struct image_walk {
    struct run *run;
    const struct entry_snapshot *snapshot;
};

/* The dataset if it was there, not dropped, when the image's snapshot was taken; else NULL. Nothing comes back once it was
 * dropped, so the newest catalog tells. */
static const struct entry_dataset *alive_then(const struct image_walk *w, uint64_t id)
{
    const struct entry_dataset *d = check_find_dataset(&w->run->catalog, id);
    return d && (!d->zombie || d->dropped_lsn > w->snapshot->lsn) ? d : NULL;
}

static vde_status walk_version(struct image_walk *w, const struct entry_dataset *d, const struct tree_root *root)
{
    char name[NAME_BYTES], suffix[64];
    if (ptr_is_null(root->node) || (root->node.address == d->record.root.node.address &&
                                    root->node.birth == d->record.root.node.birth && !d->freeing))
        return VDE_OK;
    snprintf(suffix, sizeof suffix, " in image snapshot %llu", (unsigned long long)w->snapshot->tag);
    name_dataset(d, suffix, name);
    struct check_tree tree = tree_of(w->run->c, d, name);
    tree.claim.mode = CLAIM_SNAPSHOT;
    tree.root = *root;
    tree.volume_blocks = 0;
    tree.revisit = REVISIT_NONE;
    return check_walk(w->run->c, &tree);
}

static vde_status visit_version(struct checker *c, void *context, const struct check_record *r)
{
    struct image_walk *w = context;
    bool dataset = r->key[0] == CATALOG_KEY_DATASET && r->key_size == 9;
    bool snapshot = r->key[0] == CATALOG_KEY_SNAPSHOT && r->key_size == 17;
    uint64_t id = dataset || snapshot ? be64_get(r->key + 1) : 0;
    if (r->kind != VALUE_INLINE || id == 0 || id == DATASET_CATALOG)
        return VDE_OK;
    const struct entry_dataset *d = alive_then(w, id);
    if (!d)
        return VDE_OK;
    struct dataset_record record;
    struct snapshot_record s = {.lsn = 0};
    vde_status status = dataset ? dataset_record_get(r->value, r->value_size, id, &c->label.layout, &record)
                                : snapshot_record_get(r->value, r->value_size, &c->label.layout, &s);
    if (status != VDE_OK) {
        c->incomplete = true;
        return check_note(c, status);
    }
    return walk_version(w, d, dataset ? &record.root : &s.root);
}

/* Oldest first: a leaf of the catalog that several have is looked at with the eyes of the first that has it. */
static vde_status walk_image_snapshots(struct run *run)
{
    const struct entry_snapshot *s = run->catalog.snapshots.items;
    for (size_t i = 0; i < run->catalog.snapshots.count && s[i].dataset == DATASET_CATALOG; i++) {
        char name[64];
        struct image_walk walk = {run, &s[i]};
        snprintf(name, sizeof name, "image snapshot %llu", (unsigned long long)s[i].tag);
        struct check_tree tree = {.claim = {&run->image, name, CLAIM_SNAPSHOT}, .tree = DATASET_CATALOG,
                                  .root = s[i].root, .revisit = REVISIT_NONE, .visit = visit_version, .context = &walk};
        VDE_TRY(check_walk(run->c, &tree));
    }
    return VDE_OK;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static void check_meta_nodes(struct run *run)
{
    const struct superblock *sb = &run->c->sb;
    const struct entry_dataset *datasets = run->catalog.datasets.items;
    uint64_t nodes = sb->catalog.nodes;
    for (size_t i = 0; i < run->catalog.datasets.count; i++)
        nodes += datasets[i].record.root.nodes;
    if (!run->c->incomplete && nodes != sb->meta_nodes)
        check_report(run->c, "superblock %llu|%llu tree nodes|%llu as the roots say", (unsigned long long)sb->sequence,
                     (unsigned long long)sb->meta_nodes, (unsigned long long)nodes);
}

static vde_status explain_dead(struct run *run)
{
    if (run->c->dead.count == 0 || run->c->incomplete)
        return VDE_OK;
    VDE_TRY(walk_dead(run, &run->image, &run->c->sb.catalog_dead, 0, NULL, false));
    for (size_t i = 0; i < run->catalog.datasets.count; i++)
        if (!run->ordered[i]->freeing)
            VDE_TRY(walk_dead_of(run, run->ordered[i], false));
    return VDE_OK;
}

static vde_status walk_everything(struct run *run)
{
    struct checker *c = run->c;
    struct check_tree tree = {.claim = {&run->image, "catalog", CLAIM_NEWEST}, .tree = DATASET_CATALOG,
                              .root = c->sb.catalog, .visit = check_catalog_record, .context = &run->catalog};
    VDE_TRY(check_walk(c, &tree));
    if (!c->incomplete)
        VDE_TRY(check_catalog_links(c, &run->catalog));
    VDE_TRY(walk_dead(run, &run->image, &c->sb.catalog_dead, c->sb.catalog_dead_blocks, NULL, true));
    VDE_TRY(walk_all_newest(run));
    VDE_TRY(walk_snapshots(run));
    VDE_TRY(walk_image_snapshots(run));
    check_meta_nodes(run);
    return explain_dead(run);
}

vde_status check_datasets(struct checker *c)
{
    struct run run = {.c = c, .image = {DATASET_CATALOG, 0, NULL}};
    uint64_t before = c->summary->findings;
    vde_status status = walk_everything(&run);
    c->walk_findings = c->summary->findings - before;
    check_catalog_free(&run.catalog);
    free(run.ordered);
    return status;
}
