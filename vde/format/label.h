/* SPDX-License-Identifier: Apache-2.0 */
/* label.h -- who the image is and its geometry; written at format time, two copies. docs/format.md "Label". */
#ifndef VDE_FORMAT_LABEL_H
#define VDE_FORMAT_LABEL_H

#include "format/layout.h"

#define LABEL_MAGIC "VDElabel"
#define FORMAT_VERSION 1u

struct disk_region {
    vde_le32 kind;
    vde_le32 reserved;   /* zero */
    vde_le64 block;
    vde_le64 blocks;
    vde_le64 reserved2;  /* zero */
};
static_assert(sizeof(struct disk_region) == 32, "region size");

struct disk_label {
    uint8_t magic[8];
    vde_le32 version;       /* FORMAT_VERSION */
    vde_le32 copy;          /* 0: A, 1: B */
    uint8_t uuid[16];
    vde_le64 created_us;
    vde_le64 blocks;        /* of the image */
    vde_le64 alloc_pages;
    vde_le64 compat;        /* an old build may ignore unknown bits here */
    vde_le64 ro_compat;     /* unknown bits: open read-only at most */
    vde_le64 incompat;      /* unknown bits: do not open */
    uint8_t reserved[40];   /* zero */
    struct disk_region regions[REGION_COUNT];
    uint8_t reserved2[3648]; /* zero */
    vde_le64 checksum;      /* XXH3 of all before it, seed 0 */
};
static_assert(sizeof(struct disk_label) == BLOCK_BYTES, "label size");

/* Names of feature bits, in the block behind each label copy, so that an old build can say what it lacks. */
struct disk_feature_name {
    uint8_t word;           /* 0 compat, 1 ro-compat, 2 incompat, 3 autoclear */
    uint8_t bit;
    uint8_t reserved[6];    /* zero */
    uint8_t name[24];       /* NUL-padded ASCII */
};
static_assert(sizeof(struct disk_feature_name) == 32, "feature name size");
struct disk_feature_names {
    uint8_t magic[8];       /* "VDEfeats" */
    uint8_t uuid[16];
    vde_le32 count;
    uint8_t reserved[36];   /* zero */
    struct disk_feature_name names[64];
    uint8_t reserved2[1976]; /* zero */
    vde_le64 checksum;
};
static_assert(sizeof(struct disk_feature_names) == BLOCK_BYTES, "feature names size");

/* Feature bits this build knows. */
#define FEATURE_INCOMPAT_STREAMS (1ull << 0)   /* log streams with history batches */
#define FEATURE_INCOMPAT_FILES (1ull << 1)     /* sealed blobs */
#define FEATURE_INCOMPAT_VOLUMES (1ull << 2)   /* runs, unmaps, clones */
#define FEATURE_INCOMPAT_SNAPSHOTS (1ull << 3) /* image snapshots, zombies */
#define FEATURE_INCOMPAT_KNOWN                                                                                        \
    (FEATURE_INCOMPAT_STREAMS | FEATURE_INCOMPAT_FILES | FEATURE_INCOMPAT_VOLUMES | FEATURE_INCOMPAT_SNAPSHOTS)
#define FEATURE_RO_COMPAT_KNOWN 0ull
#define FEATURE_AUTOCLEAR_CLEAN (1ull << 0)    /* closed cleanly: the log holds nothing to replay */

struct label {
    uint8_t uuid[16];
    uint64_t created_us;
    uint64_t compat, ro_compat, incompat;
    struct layout layout;
};

void label_encode(const struct label *label, unsigned copy, struct disk_label *ret_block);
/* Verify and decode; `object` names it in messages. UNSUPPORTED for a format version this build does not know. */
vde_status label_decode(const struct disk_label *block, uint64_t device_blocks, const char *object,
                        struct label *ret_label);
void feature_names_encode(const struct label *label, struct disk_feature_names *ret_block);
/* Name of a feature bit: from this build's list, else from the image's block (may be NULL or damaged), else "bit N". */
void feature_name(const struct disk_feature_names *block, unsigned word, unsigned bit, char *ret_name, size_t size);
/* The word mixed into every checksum of the image, so that a block of another image never passes. */
uint64_t image_seed(const uint8_t uuid[16]);
#endif
