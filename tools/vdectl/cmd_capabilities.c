/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_capabilities.c -- vdectl capabilities: what this machine can do, each point tried. */
#include "commands.h"

#include <lakehouse/features.h>
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

/* --- Delta's table features ------------------------------------------------------------------------------------- */
static json_t *features_json(void)
{
    json_t *array = json_array();
    const struct lh_feature *feature;
    for (size_t i = 0; (feature = lh_feature_at(i)) != NULL; i++) {
        json_t *item = json_object();
        json_put(item, "name", json_str(feature->name));
        json_put(item, "reader", json_boolean(feature->reader));
        json_put(item, "legacy_reader_version",
                 feature->legacy_reader_version ? json_integer(feature->legacy_reader_version) : json_null());
        json_put(item, "legacy_writer_version",
                 feature->legacy_writer_version ? json_integer(feature->legacy_writer_version) : json_null());
        json_put(item, "read", json_boolean(feature->read));
        json_put(item, "written", json_boolean(feature->written));
        json_put(item, "checked", json_str(feature->checked));
        json_put(item, "guaranteed", json_str(feature->guaranteed));
        json_add(array, item);
    }
    return array;
}

static void print_features(void)
{
    static const char *const headings[] = {"table feature", "for", "read", "written", "what commits are checked for"};
    const struct lh_feature *feature;
    struct out_table table;
    putchar('\n');
    out_table_init(&table, 5, headings);
    for (size_t i = 0; (feature = lh_feature_at(i)) != NULL; i++) {
        out_table_cell(&table, "%s", feature->name);
        out_table_cell(&table, "%s", feature->reader ? "reader, writer" : "writer");
        out_table_cell(&table, "%s", feature->read ? "yes" : "no");
        out_table_cell(&table, "%s", feature->written ? "yes" : "no");
        out_table_cell(&table, "%s%s", feature->guaranteed ? "guarantee: " : "",
                       feature->guaranteed ? feature->guaranteed : feature->checked ? feature->checked : "");
    }
    out_table_done(&table);
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
        print_features();
        return;
    }
    json_t *object = json_object();
    json_put(object, "version", json_str(vde_version()));
    json_put(object, "capabilities", array);
    json_put(object, "features", features_json());
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
    .summary = "try what this machine can do: io_uring, O_DIRECT, codecs; and name the table features",
    .flags = CLI_IMAGE | CLI_NO_NEED,
    .notes = "What needs a file is tried in the folder of IMAGE, or in IMAGE when it is a folder, or else in $TMPDIR.\n"
             "Then Delta's table features: a table with one that is not read is opaque, one with one that is not written\n"
             "takes no commits. What is said behind \"guarantee\" only the data's writer can know: commits that add data to\n"
             "such a table list the feature in \"guarantees\" (txn commit), or are refused.",
    .run = run,
};
