/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/described.h"

#include <stdlib.h>

#include "state/fail.h"

/* --- copying: the same bytes elsewhere, with the pointers into them moved ----------------------------------------- */
struct move {
    const char *from;
    char *to;
    size_t size;
};

static void *moved(const struct move *move, const void *pointer)
{
    uintptr_t at = (uintptr_t)pointer, from = (uintptr_t)move->from;
    /* An empty array may stand at the very end. */
    return at >= from && at - from <= move->size ? move->to + (at - from) : (void *)at;
}

static struct lh_table_info *copy(const struct lh_table_info *info, size_t size)
{
    char *to = malloc(size);
    if (!to)
        return NULL;
    memcpy(to, info, size);
    struct move move = {(const char *)info, to, size};
    struct lh_table_info *own = (struct lh_table_info *)(void *)to;
    const char **texts[] = {&own->name, &own->uri,         &own->opaque, &own->origin,      &own->note,
                            &own->ddl,  &own->description, &own->schema_json, &own->table_uuid, &own->protocol_json};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = moved(&move, *texts[i]);
    struct lh_column *columns = moved(&move, own->columns);
    for (size_t i = 0; i < own->column_count; i++) {
        columns[i].name = moved(&move, columns[i].name);
        columns[i].type = moved(&move, columns[i].type);
        columns[i].comment = moved(&move, columns[i].comment);
    }
    const char **partitions = moved(&move, own->partition_columns);
    for (size_t i = 0; i < own->partition_count; i++)
        partitions[i] = moved(&move, partitions[i]);
    struct lh_property *properties = moved(&move, own->properties);
    for (size_t i = 0; i < own->property_count; i++) {
        properties[i].key = moved(&move, properties[i].key);
        properties[i].value = moved(&move, properties[i].value);
    }
    own->columns = columns;
    own->partition_columns = partitions;
    own->properties = properties;
    return own;
}

vde_status lh_described_copy(const struct lh_described *described, struct lh_table_info **ret_info)
{
    *ret_info = copy(described->info, described->size);
    return *ret_info ? VDE_OK : lh_fail_nomem("answer");
}

/* --- keeping ---------------------------------------------------------------------------------------------------- */
static struct lh_described **slot_of(struct lh_lakehouse *lakehouse, uint64_t id)
{
    return &lakehouse->described[(size_t)(id * 0x9e3779b97f4a7c15u >> 32) % LH_DESCRIBED_MAX];
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* What the record says may change without a new version: a name, an import's end. */
static bool fits(const struct lh_table_info *info, const struct lh_table_record *record, uint64_t first, uint64_t latest)
{
    return info->id == record->id && info->version == latest && info->first_version == first &&
           info->format == record->format && info->imported == ((record->flags & LH_TABLE_IMPORTED) != 0) &&
           info->external == ((record->flags & LH_TABLE_EXTERNAL) != 0) && info->created_us == record->created_us &&
           same_text(info->name, record->name) && same_text(info->origin, record->origin) && !record->opaque;
}

struct lh_described *lh_described_find(struct lh_lakehouse *lakehouse, const struct lh_table_record *record, uint64_t first,
                                       uint64_t latest)
{
    lh_lock_take(&lakehouse->described_lock);
    struct lh_described *found = *slot_of(lakehouse, record->id);
    if (found && fits(found->info, record, first, latest))
        atomic_fetch_add(&found->refs, 1);
    else
        found = NULL;
    lh_lock_drop(&lakehouse->described_lock);
    return found;
}

void lh_described_keep(struct lh_lakehouse *lakehouse, const struct lh_table_info *info, size_t size)
{
    if (info->opaque || info->note || info->version != info->latest_version || size > LH_DESCRIBED_BYTES_MAX)
        return;
    struct lh_described *own = calloc(1, sizeof *own);
    struct lh_table_info *info_copy = own ? copy(info, size) : NULL;
    if (!info_copy) {
        free(own);
        return;
    }
    info_copy->replayed_entries = 0; /* by those who are answered from here */
    *own = (struct lh_described){.info = info_copy, .size = size};
    atomic_store(&own->refs, 1);
    lh_lock_take(&lakehouse->described_lock);
    struct lh_described **slot = slot_of(lakehouse, info->id), *other = *slot;
    /* A reader that was slow must not put back what is older. */
    bool older = other && other->info->id == info->id && other->info->version > info->version;
    if (!older) {
        *slot = own;
        own = other;
    }
    lh_lock_drop(&lakehouse->described_lock);
    lh_described_unref(own);
}

void lh_described_unref(struct lh_described *described)
{
    if (!described || atomic_fetch_sub(&described->refs, 1) != 1)
        return;
    free(described->info);
    free(described);
}
