/* SPDX-License-Identifier: Apache-2.0 */
/* docs/format.md describes the structs that the code uses: every table row is compared with offsetof and sizeof. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/alloc.h"
#include "format/catalog.h"
#include "format/frame.h"
#include "format/label.h"
#include "format/node.h"
#include "format/superblock.h"

struct field {
    const char *owner, *name;
    size_t offset, size, owner_size;
};
#define FIELD(owner, name)                                                                                             \
    {#owner, #name, offsetof(struct owner, name), sizeof(((struct owner *)0)->name), sizeof(struct owner)}

static const struct field fields[] = {
    /* clang-format off */
    FIELD(disk_label, magic), FIELD(disk_label, version), FIELD(disk_label, copy), FIELD(disk_label, uuid),
    FIELD(disk_label, created_us), FIELD(disk_label, blocks), FIELD(disk_label, alloc_pages),
    FIELD(disk_label, compat), FIELD(disk_label, ro_compat), FIELD(disk_label, incompat),
    FIELD(disk_label, reserved), FIELD(disk_label, regions), FIELD(disk_label, reserved2),
    FIELD(disk_label, checksum),
    FIELD(disk_region, kind), FIELD(disk_region, reserved), FIELD(disk_region, block),
    FIELD(disk_region, blocks), FIELD(disk_region, reserved2),
    FIELD(disk_feature_names, magic), FIELD(disk_feature_names, uuid), FIELD(disk_feature_names, count),
    FIELD(disk_feature_names, reserved), FIELD(disk_feature_names, names), FIELD(disk_feature_names, reserved2),
    FIELD(disk_feature_names, checksum),
    FIELD(disk_feature_name, word), FIELD(disk_feature_name, bit), FIELD(disk_feature_name, reserved),
    FIELD(disk_feature_name, name),
    FIELD(disk_superblock, magic), FIELD(disk_superblock, uuid), FIELD(disk_superblock, sequence),
    FIELD(disk_superblock, epoch), FIELD(disk_superblock, checkpoint_lsn), FIELD(disk_superblock, log_start),
    FIELD(disk_superblock, log_chain), FIELD(disk_superblock, log_previous),
    FIELD(disk_superblock, last_time_us), FIELD(disk_superblock, next_id),
    FIELD(disk_superblock, alloc_checksum), FIELD(disk_superblock, used_blocks),
    FIELD(disk_superblock, alloc_slot), FIELD(disk_superblock, ring), FIELD(disk_superblock, autoclear),
    FIELD(disk_superblock, written_us), FIELD(disk_superblock, meta_nodes), FIELD(disk_superblock, catalog),
    FIELD(disk_superblock, catalog_dead), FIELD(disk_superblock, catalog_dead_blocks),
    FIELD(disk_superblock, growths), FIELD(disk_superblock, reserved0), FIELD(disk_superblock, grown_blocks),
    FIELD(disk_superblock, reserved), FIELD(disk_superblock, checksum),
    FIELD(disk_ptr, address), FIELD(disk_ptr, blocks), FIELD(disk_ptr, bytes), FIELD(disk_ptr, birth),
    FIELD(disk_ptr, checksum),
    FIELD(disk_root, node), FIELD(disk_root, records), FIELD(disk_root, nodes), FIELD(disk_root, level),
    FIELD(disk_root, reserved),
    FIELD(disk_bitmap, magic), FIELD(disk_bitmap, page), FIELD(disk_bitmap, sequence), FIELD(disk_bitmap, seed),
    FIELD(disk_bitmap, reserved), FIELD(disk_bitmap, bits),
    FIELD(disk_alloc_index, magic), FIELD(disk_alloc_index, reserved0), FIELD(disk_alloc_index, sequence),
    FIELD(disk_alloc_index, seed), FIELD(disk_alloc_index, pages), FIELD(disk_alloc_index, reserved),
    FIELD(disk_alloc_entry, checksum), FIELD(disk_alloc_entry, sequence), FIELD(disk_alloc_entry, used),
    FIELD(disk_alloc_entry, slot), FIELD(disk_alloc_entry, written),
    FIELD(disk_frame, magic), FIELD(disk_frame, version), FIELD(disk_frame, seed), FIELD(disk_frame, epoch),
    FIELD(disk_frame, position), FIELD(disk_frame, first_lsn), FIELD(disk_frame, count),
    FIELD(disk_frame, bytes), FIELD(disk_frame, chain), FIELD(disk_frame, flushed_through),
    FIELD(disk_frame, reserved), FIELD(disk_frame, checksum),
    FIELD(disk_record, lsn), FIELD(disk_record, time_us), FIELD(disk_record, bytes), FIELD(disk_record, count),
    FIELD(disk_record, flags), FIELD(disk_record, reserved),
    FIELD(disk_op, dataset), FIELD(disk_op, value_size), FIELD(disk_op, key_size), FIELD(disk_op, kind),
    FIELD(disk_op, reserved),
    FIELD(disk_node, magic), FIELD(disk_node, level), FIELD(disk_node, reserved), FIELD(disk_node, count),
    FIELD(disk_node, prefix), FIELD(disk_node, reserved2), FIELD(disk_node, seed), FIELD(disk_node, address),
    FIELD(disk_node, tree), FIELD(disk_node, birth),
    FIELD(disk_slot, offset), FIELD(disk_slot, key_size), FIELD(disk_slot, value_size), FIELD(disk_slot, kind),
    FIELD(disk_slot, reserved),
    FIELD(disk_spill, raw_bytes), FIELD(disk_spill, stored_bytes), FIELD(disk_spill, compression),
    FIELD(disk_spill, count), FIELD(disk_spill, reserved),
    FIELD(disk_run, address), FIELD(disk_run, birth), FIELD(disk_run, blocks), FIELD(disk_run, stored),
    FIELD(disk_run, tail),
    FIELD(disk_dataset, id), FIELD(disk_dataset, kind), FIELD(disk_dataset, name_size),
    FIELD(disk_dataset, reserved), FIELD(disk_dataset, root), FIELD(disk_dataset, dead),
    FIELD(disk_dataset, newest_snapshot), FIELD(disk_dataset, created_lsn), FIELD(disk_dataset, tree),
    FIELD(disk_dataset, origin), FIELD(disk_dataset, origin_tag), FIELD(disk_dataset, origin_lsn),
    FIELD(disk_dataset, mapped_blocks), FIELD(disk_dataset, stored_blocks), FIELD(disk_dataset, dead_blocks),
    FIELD(disk_snapshot, lsn), FIELD(disk_snapshot, created_us), FIELD(disk_snapshot, root),
    FIELD(disk_snapshot, size_bytes), FIELD(disk_snapshot, mapped_blocks), FIELD(disk_snapshot, stored_blocks),
    FIELD(disk_snapshot, name_size), FIELD(disk_snapshot, reserved),
    FIELD(disk_volume, size_bytes), FIELD(disk_volume, created_us), FIELD(disk_volume, flags),
    FIELD(disk_volume, compression), FIELD(disk_volume, reserved),
    FIELD(disk_zombie, dropped_lsn), FIELD(disk_zombie, lsn), FIELD(disk_zombie, tag), FIELD(disk_zombie, freeing),
    FIELD(disk_zombie, reserved),
    FIELD(disk_log_entry, time_us), FIELD(disk_log_entry, size), FIELD(disk_log_entry, flags),
    FIELD(disk_batch, count), FIELD(disk_batch, raw_bytes), FIELD(disk_batch, stored_bytes),
    FIELD(disk_batch, compression), FIELD(disk_batch, reserved), FIELD(disk_batch, first_time_us),
    FIELD(disk_batch, last_time_us),
    FIELD(disk_batch_entry, lsn), FIELD(disk_batch_entry, time_us), FIELD(disk_batch_entry, size),
    FIELD(disk_batch_entry, flags),
    FIELD(disk_file, size), FIELD(disk_file, extents), FIELD(disk_file, flags),
    /* clang-format on */
};
#define FIELDS (sizeof fields / sizeof fields[0])

static FILE *open_document(void)
{
    const char *root = getenv("VDE_SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/docs/format.md", root ? root : ".");
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s: not found", path);
    return file;
}

/* One row of a table below a heading "### struct ...". */
struct row {
    char owner[64], name[64];
    unsigned offset, size;
};

static bool next_row(FILE *file, struct row *row)
{
    char line[1024];
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' && sscanf(line, "### struct %63[a-z_0-9]", row->owner) != 1)
            row->owner[0] = '\0';
        if (row->owner[0] && sscanf(line, "| %u | %u | %63[a-z_0-9] |", &row->offset, &row->size, row->name) == 3)
            return true;
    }
    return false;
}

/* Row i of the document is field i of the code. */
Test(document, every_row_matches_the_code)
{
    FILE *file = open_document();
    struct row row = {.owner = ""};
    size_t i = 0;
    for (; next_row(file, &row); i++) {
        cr_assert_lt(i, FIELDS, "struct %s %s: not in the code's list", row.owner, row.name);
        cr_assert(strcmp(row.owner, fields[i].owner) == 0 && strcmp(row.name, fields[i].name) == 0,
                  "document has struct %s %s where the code has struct %s %s", row.owner, row.name, fields[i].owner,
                  fields[i].name);
        cr_assert(row.offset == fields[i].offset && row.size == fields[i].size,
                  "struct %s %s: document says %u bytes at %u, code says %zu at %zu", row.owner, row.name, row.size,
                  row.offset, fields[i].size, fields[i].offset);
    }
    fclose(file);
    cr_assert_eq(i, FIELDS, "the document ends before struct %s %s", fields[i % FIELDS].owner, fields[i % FIELDS].name);
}

/* Fields follow each other without a hole and fill their struct: none is missing from list and document. */
Test(document, fields_fill_their_structs)
{
    for (size_t i = 0; i < FIELDS; i++) {
        bool first = i == 0 || strcmp(fields[i].owner, fields[i - 1].owner) != 0;
        bool last = i + 1 == FIELDS || strcmp(fields[i].owner, fields[i + 1].owner) != 0;
        size_t expected = first ? 0 : fields[i - 1].offset + fields[i - 1].size;
        cr_assert_eq(fields[i].offset, expected, "struct %s: hole before %s", fields[i].owner, fields[i].name);
        size_t end = fields[i].offset + fields[i].size;
        cr_assert(!last || end == fields[i].owner_size, "struct %s ends at %zu, its fields at %zu", fields[i].owner,
                  fields[i].owner_size, end);
    }
}

/* Structs that the headers of vde/format define are all in the document. */
Test(document, every_struct_is_described)
{
    static const char *const headers[] = {"alloc", "catalog", "frame", "label", "node", "pointer", "root", "superblock"};
    const char *root = getenv("VDE_SOURCE_DIR");
    for (size_t h = 0; h < sizeof headers / sizeof headers[0]; h++) {
        char path[4096], line[512], name[64];
        snprintf(path, sizeof path, "%s/vde/format/%s.h", root ? root : ".", headers[h]);
        FILE *file = fopen(path, "r");
        cr_assert_not_null(file, "%s: not found", path);
        while (fgets(line, sizeof line, file)) {
            if (sscanf(line, "struct %63[a-z_0-9] {", name) != 1 || strncmp(name, "disk_", 5) != 0 ||
                !strchr(line, '{'))
                continue;
            bool known = false;
            for (size_t i = 0; i < FIELDS; i++)
                known = known || strcmp(fields[i].owner, name) == 0;
            cr_expect(known, "struct %s of %s.h is not in docs/format.md", name, headers[h]);
        }
        fclose(file);
    }
}

/* Constants that the text quotes. */
Test(document, numbers_in_the_text)
{
    cr_assert_eq(BITMAP_BITS, 32512);
    cr_assert_eq(NODE_RECORD_MAX, 2012);
    cr_assert_eq(SPILL_EXTENTS_MAX, 36);
    cr_assert_eq(NODE_KEY_MAX, 768);
    cr_assert_eq(TREE_LEVEL_MAX, 12);
    cr_assert_eq(RING_SLOTS, 16);
    cr_assert_eq(LABEL_BLOCK, 8);
    cr_assert_eq(DATASET_DEAD_BIT, 1ull << 62);
    cr_assert_eq(STREAM_BIG_BIT, 1ull << 63);
    cr_assert_eq(STREAM_INLINE_MAX, 65536);
    cr_assert_eq(FILE_CHUNK_BYTES, 65536);
    cr_assert_eq(FILE_EXTENT_MAX_BYTES, 4u << 20);
}
