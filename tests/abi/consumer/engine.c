/* SPDX-License-Identifier: Apache-2.0 */
/* A program that embeds the engine: formats an image, commits an entry and reads it back. */
#include <stdio.h>
#include <string.h>

#include <vde/vde.h>

static int failed(const char *what)
{
    printf("%s: %s\n", what, vde_last_error()->text);
    return 1;
}

static int write_entry(vde_image *image, uint64_t stream)
{
    vde_txn *txn;
    struct vde_commit commit;
    if (vde_txn_create(image, &txn) != VDE_OK)
        return failed("txn");
    if (vde_txn_append(txn, stream, 0, 0, "hello", 5) != VDE_OK || vde_txn_commit(txn, &commit) != VDE_OK)
        return failed("commit");
    vde_txn_destroy(txn);
    return 0;
}

static int read_entry(vde_image *image, uint64_t stream)
{
    vde_view *view;
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    int equal;
    if (vde_view_open(image, &view) != VDE_OK || vde_stream_open(view, stream, 0, &cursor) != VDE_OK ||
        vde_stream_next(cursor, &entry) != VDE_OK)
        return failed("read");
    equal = entry.size == 5 && memcmp(entry.data, "hello", 5) == 0;
    vde_stream_close(cursor);
    vde_view_close(view);
    return !equal;
}

int main(int argc, char **argv)
{
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_open_opts open = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    uint64_t stream;
    int status;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts(vde_version()) < 0;
    if (argc != 2)
        return 2;
    format.size_bytes = 16u << 20;
    if (vde_image_format(argv[1], &format) != VDE_OK)
        return failed("format");
    if (vde_image_open(argv[1], &open, &image) != VDE_OK)
        return failed("open");
    stream = vde_id_reserve(image);
    status = write_entry(image, stream) || read_entry(image, stream);
    if (vde_image_close(image) != VDE_OK)
        return failed("close");
    return status;
}
