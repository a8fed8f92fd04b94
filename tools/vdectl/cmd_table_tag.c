/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_tag.c -- vdectl table tag: names for versions of a table. */
#include "commands.h"
#include "tables.h"

#include <string.h>

static int run_tag(struct cli *cli)
{
    const char *table = cli->args[0], *tag = cli->args[1];
    bool delete = cli_switch(cli, "delete");
    uint64_t version = 0;
    if (delete && strchr(table, '@'))
        return cli_usage(cli, table, "a version after '@' and --delete", "the table alone: the tag says which version");
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = delete ? lh_tag_delete(cli->lakehouse, table, tag) : lh_tag_create(cli->lakehouse, table, tag, &version);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "table", json_stringn(table, strcspn(table, "@")));
        json_put(object, "tag", json_str(tag));
        json_put(object, "version", delete ? json_null() : json_u64(version));
        json_put(object, "deleted", json_boolean(delete));
        json_print(object);
    } else if (!delete) {
        out_text(stdout, table, strcspn(table, "@"));
        printf("@v%llu  ", (unsigned long long)version);
        out_text(stdout, tag, strlen(tag));
        putchar('\n');
    }
    return CLI_DONE;
}

static const struct cli_option tag_options[] = {
    {"delete", NULL, "forget the tag; its version stays"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_tag = {
    .noun = "table",
    .verb = "tag",
    .arguments = "TABLE[@VERSION|@TIME] NAME",
    .summary = "name a version of a table: TABLE@tag:NAME stands for it from then on",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 2,
    .max_args = 2,
    .options = tag_options,
    .notes = "Without a version the latest one is named. A tag never moves: delete it first. `vdectl table show` lists the tags.",
    .run = run_tag,
};
