/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_namespace.c -- vdectl namespace create, list, show, set, drop. */
#include "commands.h"
#include "tables.h"

#include <string.h>

#define WIDTH 14

/* The answer of a verb that changed one namespace: quiet for people, an object for programs. */
static int changed(const struct cli *cli, const char *key, bool value)
{
    if (!cli->json)
        return CLI_DONE;
    json_t *object = json_object();
    json_put(object, "namespace", json_str(cli->args[0]));
    json_put(object, key, json_boolean(value));
    json_print(object);
    return CLI_DONE;
}

static int run_create(struct cli *cli)
{
    struct properties properties = {0};
    int result = properties_take(cli, &properties, "property", false);
    if (result == CLI_DONE) {
        vde_status status = cli_open_tables(cli);
        if (status == VDE_OK)
            status = lh_namespace_create(cli->lakehouse, cli->args[0], properties.items, properties.count);
        if (status == LH_NAMESPACE_EXISTS && cli_switch(cli, "if-not-exists"))
            result = changed(cli, "created", false);
        else
            result = status == VDE_OK ? changed(cli, "created", true) : cli_failed(cli, status);
    }
    properties_done(&properties);
    return result;
}

static const struct cli_option create_options[] = {
    {"property", "KEY=VALUE", "a property; may be given several times"},
    {"if-not-exists", NULL, "succeed when it exists already"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_namespace_create = {
    .noun = "namespace",
    .verb = "create",
    .arguments = "NAMESPACE",
    .summary = "create a namespace; a.b lies in a, which must exist",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = create_options,
    .run = run_create,
};

static int run_list(struct cli *cli)
{
    struct lh_strings *names;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_namespace_list(cli->lakehouse, cli->arg_count ? cli->args[0] : NULL,
                                   cli_switch(cli, "recursive"), &names);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        struct json_stream stream;
        json_stream_begin(&stream, json_object(), "namespaces");
        for (size_t i = 0; i < names->count; i++)
            json_stream_item(&stream, json_str(names->items[i]));
        json_stream_end(&stream);
    } else {
        for (size_t i = 0; i < names->count; i++) {
            out_text(stdout, names->items[i], strlen(names->items[i]));
            putchar('\n');
        }
    }
    lh_free(names);
    return CLI_DONE;
}

static const struct cli_option list_options[] = {
    {"recursive", NULL, "all below, not only right below"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_namespace_list = {
    .noun = "namespace",
    .verb = "list",
    .arguments = "[NAMESPACE]",
    .summary = "list the namespaces right below one, or of the top level",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 0,
    .max_args = 1,
    .options = list_options,
    .run = run_list,
};

static int run_show(struct cli *cli)
{
    struct lh_namespace_info *info;
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_namespace_show(cli->lakehouse, cli->args[0], &info);
    if (status != VDE_OK)
        return cli_failed(cli, status);
    if (cli->json) {
        json_t *object = json_object();
        json_put(object, "namespace", json_str(info->name));
        json_put(object, "id", json_u64(info->id));
        json_put(object, "created", json_time(info->created_us));
        json_put(object, "namespaces", json_u64(info->namespaces));
        json_put(object, "tables", json_u64(info->tables));
        json_put(object, "properties", properties_json(info->properties, info->property_count));
        json_print(object);
    } else {
        char text[OUT_TEXT];
        out_field("namespace", WIDTH, "%s", info->name);
        out_field("created", WIDTH, "%s", out_time(info->created_us, text));
        out_field("namespaces", WIDTH, "%llu", (unsigned long long)info->namespaces);
        out_field("tables", WIDTH, "%llu", (unsigned long long)info->tables);
        for (size_t i = 0; i < info->property_count; i++)
            out_field("property", WIDTH, "%s=%s", info->properties[i].key, info->properties[i].value);
    }
    lh_free(info);
    return CLI_DONE;
}

const struct cli_command cmd_namespace_show = {
    .noun = "namespace",
    .verb = "show",
    .arguments = "NAMESPACE",
    .summary = "show a namespace and its properties",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_READS,
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};

static int run_set(struct cli *cli)
{
    struct properties properties = {0};
    int result = CLI_DONE;
    for (uint32_t i = 1; i < cli->arg_count && result == CLI_DONE; i++)
        result = properties_add(cli, &properties, "property", cli->args[i], false);
    if (result == CLI_DONE)
        result = properties_take(cli, &properties, "property", false);
    if (result == CLI_DONE && properties.count == 0)
        result = cli_usage(cli, "properties", "none", "KEY=VALUE or --unset KEY");
    if (result == CLI_DONE) {
        vde_status status = cli_open_tables(cli);
        if (status == VDE_OK)
            status = lh_namespace_set(cli->lakehouse, cli->args[0], properties.items, properties.count);
        result = status == VDE_OK ? changed(cli, "changed", true) : cli_failed(cli, status);
    }
    properties_done(&properties);
    return result;
}

static const struct cli_option set_options[] = {
    {"property", "KEY=VALUE", "a property, as the arguments; may be given several times"},
    {"unset", "KEY", "take a property away; may be given several times"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_namespace_set = {
    .noun = "namespace",
    .verb = "set",
    .arguments = "NAMESPACE [KEY=VALUE...]",
    .summary = "set or take away properties of a namespace",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = CLI_ARGS_ANY,
    .options = set_options,
    .run = run_set,
};

static int run_drop(struct cli *cli)
{
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_namespace_drop(cli->lakehouse, cli->args[0]);
    if (status == LH_NAMESPACE_NOT_FOUND && cli_switch(cli, "if-exists"))
        return changed(cli, "dropped", false);
    return status == VDE_OK ? changed(cli, "dropped", true) : cli_failed(cli, status);
}

static const struct cli_option drop_options[] = {
    {"if-exists", NULL, "succeed when there is none"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_namespace_drop = {
    .noun = "namespace",
    .verb = "drop",
    .arguments = "NAMESPACE",
    .summary = "drop an empty namespace",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = drop_options,
    .run = run_drop,
};
