/* SPDX-License-Identifier: Apache-2.0 */
/* volume.c -- a virtual disk in a program of one's own: make an image, a volume in it, write, snapshot, clone, read both.
 *
 *   cc volume.c $(pkg-config --cflags --libs libvde) -o volume && ./volume demo.vde
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vde/vde.h>

#define BLOCK 4096u

/* Every call returns a status; what went wrong, and with what, is kept for the thread. */
static void check(vde_status status, const char *what)
{
    if (status != VDE_OK) {
        fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
        exit(1);
    }
}

static void write_text(vde_volume *volume, const char *text)
{
    char block[BLOCK];
    memset(block, 0, sizeof block);
    memcpy(block, text, strlen(text));
    check(vde_volume_write(volume, block, sizeof block, 0, 0), "write");
    check(vde_volume_flush(volume), "flush"); /* now it survives a power cut */
}

static void show(vde_image *image, const char *name, const char *snapshot)
{
    char block[BLOCK];
    vde_volume *volume;
    check(vde_volume_open(image, name, snapshot, &volume), name);
    check(vde_volume_read(volume, block, sizeof block, 0), "read");
    printf("%s%s%s: %s\n", name, snapshot ? "@" : "", snapshot ? snapshot : "", block);
    vde_volume_close(volume);
}

int main(int argc, char **argv)
{
    struct vde_format_opts format = VDE_FORMAT_OPTS_INIT;
    struct vde_volume_opts disk = VDE_VOLUME_OPTS_INIT;
    struct vde_volume_info info;
    const char *path = argc > 1 ? argv[1] : "demo.vde";
    vde_image *image;
    vde_volume *volume;
    vde_view *view;
    uint64_t lsn;

    format.size_bytes = 64u << 20;
    check(vde_image_format(path, &format), "format");
    check(vde_image_open(path, NULL, &image), "open");

    disk.size_bytes = 1ull << 40; /* a terabyte that takes no space until it is written */
    check(vde_volume_create(image, "disk", &disk), "create");
    check(vde_volume_open(image, "disk", NULL, &volume), "open volume");
    write_text(volume, "before");

    view = NULL;
    check(vde_view_open(image, &view), "view");
    check(vde_volume_get(view, "disk", &info), "describe");
    vde_view_close(view);
    check(vde_snapshot_create(image, info.id, "monday", &lsn), "snapshot");
    check(vde_volume_clone(image, "disk", "monday", "copy"), "clone");
    write_text(volume, "after");
    vde_volume_close(volume);

    show(image, "disk", NULL);
    show(image, "disk", "monday");
    show(image, "copy", NULL);
    check(vde_image_close(image), "close");
    return 0;
}
