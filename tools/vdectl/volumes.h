/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.h -- what the verbs of volumes and snapshots share: names, descriptions, and moving the bytes of a volume. */
#ifndef VDECTL_VOLUMES_H
#define VDECTL_VOLUMES_H

#include "cli.h"

#include <vde/snapshot.h>
#include <vde/volume.h>

/* NAME[@SNAP]. What stands behind the last '@' is the snapshot; "NA@ME@" is the volume alone, for names that hold an '@'. */
struct volume_ref {
    char *volume;
    const char *snapshot; /* NULL: none */
};
struct volume_ref volume_ref_take(const char *text);
void volume_ref_done(struct volume_ref *ref);

/* Open the image and the volume, or its snapshot, that an argument names; INVAL for "NAME@", where a snapshot is missing. On VDE_OK both are the caller's to release. */
vde_status volume_open(struct cli *cli, const char *text, struct volume_ref *ret_ref, vde_volume **ret_volume);

/* Print the failure of a call about `name`, which the message then holds; returns the exit status. */
int volume_failed(const struct cli *cli, vde_status status, const char *name);

/* The id of a volume's dataset. */
vde_status volume_dataset(struct cli *cli, const char *name, uint64_t *ret_id);

/* "none", "zstd:3". */
const char *compression_text(uint32_t compression, char text[OUT_TEXT]);
/* --compress none|zstd|zstd:1..9 and --prealloc into the options. Prints a usage error and returns false on other text. */
bool volume_options_take(const struct cli *cli, struct vde_volume_opts *opts);
extern const char volume_compress_help[], volume_prealloc_help[];

json_t *volume_json(const struct vde_volume_info *info);

/* {"volume": ..., "snapshot": ... or null}: what ranges and transfers are about. */
json_t *volume_ref_json(const struct volume_ref *ref);

/* A list printed as a table, or as the array `key` of an object that begins with the members of `head`. Nothing is printed
 * as JSON before the first item is there, so that a verb that fails at once prints its failure alone. */
struct listing {
    const struct cli *cli;
    json_t *head; /* NULL: printed */
    const char *key;
    struct json_stream stream;
    struct out_table table;
};
void listing_begin(struct listing *listing, const struct cli *cli, json_t *head, const char *key, uint32_t columns,
                   const char *const *headings);
void listing_item(struct listing *listing, json_t *item); /* steals item */
/* Print what is left, and the failure if there is one, which is about `name`; returns the exit status. */
int listing_end(struct listing *listing, vde_status status, const char *name);

#endif
