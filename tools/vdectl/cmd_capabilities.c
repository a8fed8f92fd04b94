/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_capabilities.c -- vdectl capabilities: what this machine can do, each point tried. */
#include "commands.h"

#include <vde/capabilities.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The folder to try things in: the one that was named, or the one that the image lies in. NULL: the library's choice. */
static char *folder_of(const char *path)
{
    struct stat status;
    if (!path)
        return NULL;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return cli_copy(path, strlen(path));
    if (stat(path, &status) == 0 && S_ISBLK(status.st_mode))
        return NULL;
    const char *slash = strrchr(path, '/');
    if (!slash)
        return cli_copy(".", 1);
    return cli_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

static void print(const struct cli *cli, const struct vde_capability *list, size_t count)
{
    static const char *const headings[] = {"capability", "works", "detail"};
    struct out_table table;
    json_t *array = json_array();
    out_table_init(&table, 3, headings);
    for (size_t i = 0; i < count; i++) {
        if (!cli->json) {
            out_table_cell(&table, "%s", list[i].name);
            out_table_cell(&table, "%s", list[i].works ? "yes" : "no");
            out_table_cell(&table, "%s", list[i].detail);
            continue;
        }
        json_t *item = json_object();
        json_put(item, "name", json_str(list[i].name));
        json_put(item, "works", json_boolean(list[i].works));
        json_put(item, "detail", json_str(list[i].detail));
        json_add(array, item);
    }
    out_table_done(&table);
    if (!cli->json) {
        json_decref(array);
        return;
    }
    json_t *object = json_object();
    json_put(object, "version", json_str(vde_version()));
    json_put(object, "capabilities", array);
    json_print(object);
}

static int run(struct cli *cli)
{
    struct vde_capability list[VDE_CAPABILITIES_MAX];
    size_t count = 0;
    char *folder = folder_of(cli->image_path);
    struct stat status;
    int result = CLI_DONE;
    if (folder && stat(folder, &status) != 0) {
        result = cli_error(cli, VDE_NOT_FOUND, folder, "nothing", "a folder to try things in");
    } else {
        vde_status tried = vde_capabilities(folder, list, VDE_CAPABILITIES_MAX, &count);
        if (tried == VDE_OK)
            print(cli, list, count);
        else
            result = cli_failed(cli, tried);
    }
    free(folder);
    return result;
}

const struct cli_command cmd_capabilities = {
    .verb = "capabilities",
    .arguments = "",
    .summary = "try what this machine can do: io_uring, O_DIRECT, codecs and so on",
    .flags = CLI_IMAGE | CLI_NO_NEED,
    .notes = "What needs a file is tried in the folder of IMAGE, or in IMAGE when it is a folder, or else in $TMPDIR.",
    .run = run,
};
