/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.c -- names and descriptions of volumes. */
#include "volumes.h"

#include <stdlib.h>
#include <string.h>

#define ZSTD_DEFAULT 3u

const char volume_compress_help[] = "none (default), zstd or zstd:1 to zstd:9; what does not shrink is stored as it is";
const char volume_prealloc_help[] = "keep space for the whole volume, so that writes never find the image full";

struct volume_ref volume_ref_take(const char *text)
{
    const char *at = strrchr(text, '@');
    struct volume_ref ref = {.volume = cli_copy(text, at ? (size_t)(at - text) : strlen(text))};
    if (at && at[1])
        ref.snapshot = at + 1;
    return ref;
}

void volume_ref_done(struct volume_ref *ref)
{
    free(ref->volume);
    *ref = (struct volume_ref){0};
}

vde_status volume_open(struct cli *cli, const char *text, struct volume_ref *ret_ref, vde_volume **ret_volume)
{
    size_t size = strlen(text);
    if (size > 0 && strchr(text, '@') == text + size - 1) {
        *ret_ref = (struct volume_ref){0};
        return vde_error_set(VDE_INVAL, text, "an empty snapshot name", "NAME or NAME@SNAPSHOT");
    }
    *ret_ref = volume_ref_take(text);
    vde_status status = cli_open(cli);
    if (status == VDE_OK)
        status = vde_volume_open(cli->image, ret_ref->volume, ret_ref->snapshot, ret_volume);
    if (status != VDE_OK)
        volume_ref_done(ret_ref);
    return status;
}

int volume_failed(const struct cli *cli, vde_status status, const char *name)
{
    const struct vde_error *error = vde_last_error();
    if (error->status == status && name[0] && !strstr(error->text, name) && !strstr(error->text, cli->image_path))
        cli_error_prefix(name);
    return cli_failed(cli, status);
}

vde_status volume_dataset(struct cli *cli, const char *name, uint64_t *ret_id)
{
    vde_view *view;
    struct vde_volume_info info;
    vde_status status = vde_view_open(cli->image, &view);
    if (status != VDE_OK)
        return status;
    status = vde_volume_get(view, name, &info);
    vde_view_close(view);
    if (status == VDE_OK)
        *ret_id = info.id;
    return status;
}

const char *compression_text(uint32_t compression, char text[OUT_TEXT])
{
    if (compression)
        snprintf(text, OUT_TEXT, "zstd:%u", compression);
    else
        snprintf(text, OUT_TEXT, "none");
    return text;
}

bool volume_options_take(const struct cli *cli, struct vde_volume_opts *opts)
{
    const char *text = cli_option(cli, "compress");
    uint64_t level = 0;
    if (cli_switch(cli, "prealloc"))
        opts->flags |= VDE_VOLUME_PREALLOC;
    bool good = !text || strcmp(text, "none") == 0;
    if (!good && strcmp(text, "zstd") == 0) {
        level = ZSTD_DEFAULT;
        good = true;
    } else if (!good && strncmp(text, "zstd:", 5) == 0) {
        good = parse_u64(text + 5, &level) && level >= 1 && level <= 9;
    }
    opts->compression = (uint32_t)level;
    if (!good)
        cli_usage(cli, "--compress", text, "none, zstd or zstd:1 to zstd:9");
    return good;
}

json_t *volume_json(const struct vde_volume_info *info)
{
    char text[OUT_TEXT];
    json_t *object = json_object(), *origin = json_null();
    if (info->origin_volume[0]) {
        origin = json_object();
        json_put(origin, "volume", json_str(info->origin_volume));
        json_put(origin, "snapshot", json_str(info->origin_snapshot));
    }
    json_put(object, "volume", json_str(info->name));
    json_put(object, "id", json_u64(info->id));
    json_put(object, "size_bytes", json_u64(info->size_bytes));
    json_put(object, "compression", json_str(compression_text(info->compression, text)));
    json_put(object, "preallocated", json_boolean(info->flags & VDE_VOLUME_PREALLOC));
    json_put(object, "created", json_time(info->created_us));
    json_put(object, "origin", origin);
    json_put(object, "mapped_bytes", json_u64(info->mapped_bytes));
    json_put(object, "stored_bytes", json_u64(info->stored_bytes));
    json_put(object, "metadata_bytes", json_u64(info->metadata_bytes));
    json_put(object, "snapshot_bytes", json_u64(info->snapshot_bytes));
    json_put(object, "snapshots", json_u64(info->snapshots));
    return object;
}

json_t *volume_ref_json(const struct volume_ref *ref)
{
    json_t *object = json_object();
    json_put(object, "volume", json_str(ref->volume));
    json_put(object, "snapshot", json_str(ref->snapshot));
    return object;
}

/* --- lists ------------------------------------------------------------------------------------------------------ */

void listing_begin(struct listing *listing, const struct cli *cli, json_t *head, const char *key, uint32_t columns,
                   const char *const *headings)
{
    *listing = (struct listing){.cli = cli, .head = head, .key = key};
    out_table_init(&listing->table, columns, headings);
}

void listing_item(struct listing *listing, json_t *item)
{
    if (listing->head)
        json_stream_begin(&listing->stream, listing->head, listing->key);
    listing->head = NULL;
    json_stream_item(&listing->stream, item);
}

int listing_end(struct listing *listing, vde_status status, const char *name)
{
    out_table_done(&listing->table);
    if (listing->cli->json && listing->head && status == VDE_OK) {
        json_stream_begin(&listing->stream, listing->head, listing->key);
        listing->head = NULL;
    }
    if (listing->cli->json && !listing->head)
        json_stream_end(&listing->stream);
    json_decref(listing->head);
    return status == VDE_OK ? CLI_DONE : volume_failed(listing->cli, status, name);
}
