/* SPDX-License-Identifier: Apache-2.0 */
/* label.c -- encode and verify the label and the feature names. */
#include "format/label.h"

#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "base/fail.h"

static const struct {
    uint8_t word, bit;
    const char *name;
} known_features[] = {{2, 0, "streams"}, {2, 1, "files"}, {2, 2, "volumes"}, {2, 3, "snapshots"},
                      {3, 0, "clean"}};
#define KNOWN_FEATURES (sizeof known_features / sizeof known_features[0])

uint64_t image_seed(const uint8_t uuid[16])
{
    return checksum(uuid, 16, 0x5644452d73656564ull);
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

void label_encode(const struct label *label, unsigned copy, struct disk_label *ret_block)
{
    struct disk_label *d = ret_block;
    memset(d, 0, sizeof *d);
    memcpy(d->magic, LABEL_MAGIC, 8);
    d->version = le32(FORMAT_VERSION);
    d->copy = le32(copy);
    memcpy(d->uuid, label->uuid, 16);
    d->created_us = le64(label->created_us);
    struct layout layout; /* growths are the superblock's */
    layout_formatted(&label->layout, &layout);
    d->blocks = le64(layout.blocks);
    d->alloc_pages = le64(layout.alloc_pages);
    d->compat = le64(label->compat);
    d->ro_compat = le64(label->ro_compat);
    d->incompat = le64(label->incompat);
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        d->regions[i].kind = le32(label->layout.regions[i].kind);
        d->regions[i].block = le64(label->layout.regions[i].block);
        d->regions[i].blocks = le64(label->layout.regions[i].blocks);
    }
    d->checksum = le64(checksum(d, offsetof(struct disk_label, checksum), 0));
}

vde_status label_decode(const struct disk_label *block, uint64_t device_blocks, const char *object,
                        struct label *ret_label)
{
    if (memcmp(block->magic, LABEL_MAGIC, 8) != 0)
        return fail_corrupt("%s|no VDE magic|\"" LABEL_MAGIC "\"", object);
    uint64_t sum = checksum(block, offsetof(struct disk_label, checksum), 0);
    if (sum != le64_get(block->checksum))
        return fail_corrupt("%s|checksum %016llx|%016llx", object, (unsigned long long)sum,
                            (unsigned long long)le64_get(block->checksum));
    if (le32_get(block->version) != FORMAT_VERSION)
        return fail_as(VDE_UNSUPPORTED, "%s|format version %u|version %u", object, le32_get(block->version),
                       FORMAT_VERSION);
    if (!all_zero(block->reserved, sizeof block->reserved) || !all_zero(block->reserved2, sizeof block->reserved2))
        return fail_corrupt("%s|reserved bytes that are not zero|zero", object);
    if (le32_get(block->copy) > 1)
        return fail_corrupt("%s|copy %u|0 or 1", object, le32_get(block->copy));
    struct label label = {.created_us = le64_get(block->created_us),
                          .compat = le64_get(block->compat),
                          .ro_compat = le64_get(block->ro_compat),
                          .incompat = le64_get(block->incompat)};
    memcpy(label.uuid, block->uuid, 16);
    label.layout.blocks = label.layout.label_blocks = le64_get(block->blocks);
    label.layout.alloc_pages = le64_get(block->alloc_pages);
    for (unsigned i = 0; i < REGION_COUNT; i++)
        label.layout.regions[i] = (struct region){le32_get(block->regions[i].kind), le64_get(block->regions[i].block),
                                                  le64_get(block->regions[i].blocks)};
    VDE_TRY(layout_verify(&label.layout, device_blocks, object));
    *ret_label = label;
    return VDE_OK;
}

void feature_names_encode(const struct label *label, struct disk_feature_names *ret_block)
{
    struct disk_feature_names *d = ret_block;
    memset(d, 0, sizeof *d);
    memcpy(d->magic, "VDEfeats", 8);
    memcpy(d->uuid, label->uuid, 16);
    d->count = le32((uint32_t)KNOWN_FEATURES);
    for (unsigned i = 0; i < KNOWN_FEATURES; i++) {
        d->names[i].word = known_features[i].word;
        d->names[i].bit = known_features[i].bit;
        memcpy(d->names[i].name, known_features[i].name, strlen(known_features[i].name));
    }
    d->checksum = le64(checksum(d, offsetof(struct disk_feature_names, checksum), 0));
}

void feature_name(const struct disk_feature_names *block, unsigned word, unsigned bit, char *ret_name, size_t size)
{
    for (unsigned i = 0; i < KNOWN_FEATURES; i++)
        if (known_features[i].word == word && known_features[i].bit == bit) {
            snprintf(ret_name, size, "%s", known_features[i].name);
            return;
        }
    bool valid = block && memcmp(block->magic, "VDEfeats", 8) == 0 &&
                 le64_get(block->checksum) == checksum(block, offsetof(struct disk_feature_names, checksum), 0);
    uint32_t count = valid ? le32_get(block->count) : 0;
    for (uint32_t i = 0; i < count && i < 64; i++)
        if (block->names[i].word == word && block->names[i].bit == bit) {
            snprintf(ret_name, size, "%.24s", (const char *)block->names[i].name);
            return;
        }
    snprintf(ret_name, size, "bit %u", bit);
}
