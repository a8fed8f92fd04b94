/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_table_change.c -- vdectl table add, remove, overwrite, evolve: one commit to one table. */
#include "commands.h"
#include "places.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#define OPTIONS_COMMIT                                                                                                 \
    {"read-version", "N", "judge conflicts from this version on; the latest by default"},                              \
    {"expect-version", "N", "the new version has to be this one"},                                                     \
    {"operation", "NAME", "operation shown in the history"},                                                           \
    {"idempotency-key", "KEY", "the same command with the same key is committed once"}

/* Size and time of one added file: what --size says, else what is stored in the image under its path. */
static vde_status describe_file(struct cli *cli, const char *path, struct lh_add *add)
{
    struct lh_stored_file *stored;
    if (cli_switch(cli, "size"))
        return VDE_OK;
    char *decoded = log_path_decode(path);
    vde_status status = lh_file_stat(cli->lakehouse, cli->args[0], decoded, &stored);
    free(decoded);
    if (status == LH_FILE_NOT_FOUND)
        return vde_error_set(LH_FILE_NOT_FOUND, path, "no file of that path stored in the image",
                             "one, by vdectl file put, or --size for a file outside");
    if (status != VDE_OK)
        return status;
    add->size_bytes = (int64_t)stored->size_bytes;
    if (stored->modified_ns != LH_UNKNOWN)
        add->modification_time_ms = stored->modified_ns / 1000000;
    lh_free(stored);
    return VDE_OK;
}

static vde_status add_files(struct cli *cli, lh_txn *txn, size_t member, const struct lh_add *model)
{
    vde_status status = VDE_OK;
    if (cli->arg_count == 1)
        return lh_txn_add_partition(txn, member, model->partition_values, model->partition_count);
    for (uint32_t i = 1; i < cli->arg_count && status == VDE_OK; i++) {
        struct lh_add add = *model;
        add.path = cli->args[i];
        status = describe_file(cli, add.path, &add);
        if (status == VDE_OK)
            status = lh_txn_add_file(txn, member, &add);
    }
    return status;
}

static vde_status remove_files(struct cli *cli, lh_txn *txn, size_t member, const struct lh_add *model)
{
    vde_status status = VDE_OK;
    if (cli->arg_count == 1)
        return lh_txn_remove_partition(txn, member, model->partition_values, model->partition_count);
    for (uint32_t i = 1; i < cli->arg_count && status == VDE_OK; i++)
        status = lh_txn_remove_file(txn, member, cli->args[i], model->no_data_change);
    return status;
}

typedef vde_status (*fill_fn)(struct cli *cli, lh_txn *txn, size_t member, const struct lh_add *model);

static vde_status commit(struct cli *cli, fill_fn fill, const struct lh_member *member, const struct lh_add *model,
                         struct lh_commit_result **ret_result)
{
    lh_txn *txn = NULL;
    size_t index;
    const char *key = cli_option(cli, "idempotency-key");
    vde_status status = cli_open_tables(cli);
    if (status == VDE_OK)
        status = lh_txn_create(cli->lakehouse, &txn);
    if (status == VDE_OK && key)
        status = lh_txn_idempotency_key(txn, key);
    if (status == VDE_OK)
        status = lh_txn_table(txn, cli->args[0], member, &index);
    if (status == VDE_OK)
        status = fill(cli, txn, index, model);
    if (status == VDE_OK)
        status = lh_commit(txn, ret_result);
    lh_txn_destroy(txn);
    return status;
}

/* Statistics, records, size: what the command line says about the added files. */
static int take_model(const struct cli *cli, struct lh_add *model)
{
    uint64_t size, records;
    if (!cli_option_size(cli, "size", 0, &size) || !cli_option_u64(cli, "records", 0, &records))
        return CLI_USAGE;
    if (size > INT64_MAX || records > INT64_MAX)
        return cli_usage(cli, size > INT64_MAX ? "--size" : "--records", "a number beyond 63 bits", "a smaller one");
    model->size_bytes = (int64_t)size;
    model->modification_time_ms = (int64_t)(cli_now_us() / 1000);
    model->stats = cli_option(cli, "stats");
    model->records = cli_switch(cli, "records") ? (int64_t)records : LH_UNKNOWN;
    model->no_data_change = cli_switch(cli, "no-data-change");
    return CLI_DONE;
}

static int change(struct cli *cli, fill_fn fill, const struct properties *partition)
{
    struct lh_add model = LH_ADD_INIT;
    struct lh_member member = LH_MEMBER_INIT;
    struct lh_commit_result *committed;
    member.operation = cli_option(cli, "operation");
    if (!table_version_option(cli, "read-version", &member.read_version) ||
        !table_version_option(cli, "expect-version", &member.expect_version))
        return CLI_USAGE;
    int result = take_model(cli, &model);
    if (result != CLI_DONE)
        return result;
    model.partition_values = partition->items;
    model.partition_count = partition->count;
    vde_status status = commit(cli, fill, &member, &model, &committed);
    return status == VDE_OK ? commit_print(cli, committed) : cli_failed(cli, status);
}

static int run_change(struct cli *cli, fill_fn fill)
{
    struct properties partition = {0};
    int result = properties_take(cli, &partition, "partition", true);
    if (result == CLI_DONE && cli->arg_count == 1 && partition.count == 0)
        result = cli_usage(cli, "PATH", "none", "paths, or --partition COLUMN=VALUE for a whole partition");
    if (result == CLI_DONE && fill == remove_files && cli->arg_count > 1 && partition.count)
        result = cli_usage(cli, "--partition", "paths beside it", "either paths or a partition");
    if (result == CLI_DONE)
        result = change(cli, fill, &partition);
    properties_done(&partition);
    return result;
}

static int run_add(struct cli *cli)
{
    return run_change(cli, add_files);
}

static int run_remove(struct cli *cli)
{
    return run_change(cli, remove_files);
}

static const struct cli_option add_options[] = {
    {"partition", "COLUMN=VALUE", "partition value of the files, COLUMN alone for null; may be given several times"},
    {"size", "SIZE", "size of the files, for files that are not stored in the image"},
    {"records", "N", "records in each file"},
    {"stats", "JSON", "statistics of each file, as Delta writes them"},
    {"no-data-change", NULL, "the files hold no new data, only another arrangement of it"},
    OPTIONS_COMMIT,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_add = {
    .noun = "table",
    .verb = "add",
    .arguments = "TABLE [PATH...]",
    .summary = "add files to a table, or with --partition alone an empty partition",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = CLI_ARGS_ANY,
    .options = add_options,
    .notes = "PATH is written as in the log: percent-encoded, relative to the table or absolute. Size and time come from the\n"
             "file stored in the image under that path (vdectl file put), or else from --size.",
    .run = run_add,
};

static const struct cli_option remove_options[] = {
    {"partition", "COLUMN=VALUE", "every file with these partition values, COLUMN alone for null; may be given several times"},
    {"no-data-change", NULL, "no data goes, only its arrangement changes"},
    OPTIONS_COMMIT,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_remove = {
    .noun = "table",
    .verb = "remove",
    .arguments = "TABLE [PATH...]",
    .summary = "remove active files from a table, or with --partition a whole partition",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = CLI_ARGS_ANY,
    .options = remove_options,
    .notes = "PATH is written as `vdectl table files` prints it. Older versions keep the files.",
    .run = run_remove,
};

/* --- overwrite -------------------------------------------------------------------------------------------------- */

/* --where as columns with their values: several of one column are alternatives. Both blocks are the caller's. */
static size_t where_columns(const struct properties *where, struct lh_read_column **ret_columns, const char ***ret_values)
{
    struct lh_read_column *columns = cli_alloc(NULL, (where->count + 1) * sizeof columns[0]);
    const char **values = cli_alloc(NULL, (where->count + 1) * sizeof values[0]);
    size_t count = 0, used = 0;
    for (size_t i = 0; i < where->count; i++) {
        bool known = false;
        for (size_t j = 0; j < i && !known; j++)
            known = strcmp(where->items[j].key, where->items[i].key) == 0;
        if (known)
            continue;
        columns[count] = (struct lh_read_column){where->items[i].key, values + used, 0};
        for (size_t j = i; j < where->count; j++)
            if (strcmp(where->items[j].key, where->items[i].key) == 0)
                values[used + columns[count].value_count++] = where->items[j].value;
        used += columns[count++].value_count;
    }
    *ret_columns = columns;
    *ret_values = values;
    return count;
}

/* What --partition does not say and --where says once is the partition of the files. */
static int complete_partition(const struct cli *cli, const struct lh_read_column *columns, size_t count,
                              struct properties *partition)
{
    for (size_t i = 0; i < count; i++) {
        bool known = columns[i].value_count != 1;
        for (size_t j = 0; j < partition->count && !known; j++)
            known = strcmp(partition->items[j].key, columns[i].column) == 0;
        if (known)
            continue;
        const char *value = columns[i].values[0];
        size_t size = strlen(columns[i].column) + (value ? strlen(value) : 0) + 2;
        char *text = cli_alloc(NULL, size);
        snprintf(text, size, value ? "%s=%s" : "%s", columns[i].column, value);
        int result = properties_add(cli, partition, "--where", text, true);
        free(text);
        if (result != CLI_DONE)
            return result;
    }
    return CLI_DONE;
}

static vde_status overwrite_files(struct cli *cli, lh_txn *txn, size_t member, const struct lh_add *model)
{
    struct properties where = {0};
    struct lh_read_column *columns;
    const char **values, *path;
    uint32_t position = 0;
    vde_status status = properties_take(cli, &where, "where", true) == CLI_DONE ? VDE_OK : VDE_INVAL; /* taken before */
    size_t count = where_columns(&where, &columns, &values);
    if (status == VDE_OK && !cli_switch(cli, "replace"))
        status = lh_txn_overwrite(txn, member, columns, count);
    while (status == VDE_OK && (path = cli_option_next(cli, "replace", &position)) != NULL)
        status = lh_txn_replace_files(txn, member, &path, 1);
    if (status == VDE_OK && cli->arg_count > 1)
        status = add_files(cli, txn, member, model);
    free(values);
    free(columns);
    properties_done(&where);
    return status;
}

static int run_overwrite(struct cli *cli)
{
    static const char *const ways[] = {"where", "replace"};
    struct properties where = {0}, partition = {0};
    struct lh_read_column *columns = NULL;
    const char **values = NULL;
    int result = cli_exclusive(cli, ways, 2);
    if (result == CLI_DONE)
        result = properties_take(cli, &where, "where", true);
    if (result == CLI_DONE)
        result = properties_take(cli, &partition, "partition", true);
    if (result == CLI_DONE) {
        size_t count = where_columns(&where, &columns, &values);
        result = complete_partition(cli, columns, count, &partition);
    }
    if (result == CLI_DONE)
        result = change(cli, overwrite_files, &partition);
    free(values);
    free(columns);
    properties_done(&where);
    properties_done(&partition);
    return result;
}

static const struct cli_option overwrite_options[] = {
    {"where", "COLUMN=VALUE", "overwrite only files with this partition value, COLUMN alone for null; may be given several times"},
    {"replace", "PATH", "overwrite only this file, which has to be active; may be given several times"},
    {"partition", "COLUMN=VALUE", "partition value of the new files where --where does not say it; may be given several times"},
    {"size", "SIZE", "size of the files, for files that are not stored in the image"},
    {"records", "N", "records in each file"},
    {"stats", "JSON", "statistics of each file, as Delta writes them"},
    OPTIONS_COMMIT,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_overwrite = {
    .noun = "table",
    .verb = "overwrite",
    .arguments = "TABLE [PATH...]",
    .summary = "put files in the place of all active ones, of those in some partitions, or of single ones",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = CLI_ARGS_ANY,
    .options = overwrite_options,
    .notes = "One commit: what is overwritten is what is active when it takes place. Several --where of one column are\n"
             "alternatives, of several columns they all hold; new files have to fit them. Without PATH only the removal\n"
             "is done. With --read-version what others changed since in the same place is a conflict.",
    .run = run_overwrite,
};

/* --- evolve ----------------------------------------------------------------------------------------------------- */

/* The present columns and those of --add-column behind them, as one DDL text. */
static vde_status add_columns(struct cli *cli, char **ret_schema)
{
    struct lh_table_info *info;
    vde_status status = lh_table_describe(cli->lakehouse, cli->args[0], &info);
    if (status != VDE_OK)
        return status;
    const char *column;
    char *schema = cli_copy(info->ddl, strlen(info->ddl));
    for (uint32_t position = 0; (column = cli_option_next(cli, "add-column", &position)) != NULL;) {
        size_t size = strlen(schema) + strlen(column) + 3;
        char *longer = cli_alloc(NULL, size);
        snprintf(longer, size, "%s%s%s", schema, schema[0] ? ", " : "", column);
        free(schema);
        schema = longer;
    }
    *ret_schema = schema;
    lh_free(info);
    return VDE_OK;
}

static int run_evolve(struct cli *cli)
{
    static const char *const schemas[] = {"schema", "schema-file", "add-column"};
    struct lh_evolve evolve = LH_EVOLVE_INIT;
    struct properties properties = {0};
    static const char *const partitionings[] = {"partition-by", "unpartitioned"};
    const char *partition_text = cli_option(cli, "partition-by");
    const char **columns = NULL;
    char *schema = NULL, *partition_by = NULL;
    int result = cli_exclusive(cli, schemas, 3);
    if (result == CLI_DONE)
        result = cli_exclusive(cli, partitionings, 2);
    if (result == CLI_DONE && partition_text) {
        partition_by = cli_copy(partition_text, strlen(partition_text));
        result = columns_split(cli, partition_by, &columns, &evolve.partition_count);
        evolve.partition_columns = columns;
    }
    if (result == CLI_DONE && !table_version_option(cli, "expect-version", &evolve.expect_version))
        result = CLI_USAGE;
    if (result == CLI_DONE)
        result = schema_take(cli, &schema);
    if (result == CLI_DONE)
        result = properties_take(cli, &properties, "property", false);
    bool repartitions = partition_text || cli_switch(cli, "unpartitioned");
    if (result == CLI_DONE && !schema && !cli_switch(cli, "add-column") && properties.count == 0 && !repartitions)
        result = cli_usage(cli, "the change", "none", "--schema, --add-column, --property, --unset or --partition-by");
    if (result == CLI_DONE) {
        struct lh_commit_result *committed;
        vde_status status = cli_open_tables(cli);
        if (status == VDE_OK && cli_switch(cli, "add-column"))
            status = add_columns(cli, &schema);
        evolve.flags = (cli_switch(cli, "upgrade-protocol") ? LH_EVOLVE_UPGRADE_PROTOCOL : 0) |
                       (repartitions ? LH_EVOLVE_PARTITIONING : 0);
        evolve.schema = schema;
        evolve.properties = properties.items;
        evolve.property_count = properties.count;
        if (status == VDE_OK)
            status = lh_table_evolve(cli->lakehouse, cli->args[0], &evolve, &committed);
        result = status == VDE_OK ? commit_print(cli, committed) : cli_failed(cli, status);
    }
    properties_done(&properties);
    free(columns);
    free(partition_by);
    free(schema);
    return result;
}

static const struct cli_option evolve_options[] = {
    {"schema", "COLUMNS", "the whole new schema as DDL"},
    {"schema-file", "FILE", "the whole new schema as DDL or JSON; - for standard input"},
    {"add-column", "COLUMN", "a column behind the present ones: 'x INT'; may be given several times"},
    {"property", "KEY=VALUE", "set a property; may be given several times"},
    {"unset", "KEY", "take a property away; may be given several times"},
    {"partition-by", "COLUMN,...", "another partitioning, of Iceberg tables: columns or transforms of them"},
    {"unpartitioned", NULL, "no partitioning from now on, of Iceberg tables"},
    {"upgrade-protocol", NULL, "allow what locks older readers out, like wider types in Delta"},
    {"expect-version", "N", "the new version has to be this one"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_table_evolve = {
    .noun = "table",
    .verb = "evolve",
    .arguments = "TABLE",
    .summary = "change schema, properties or partitioning of a table as one commit",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_WRITES,
    .min_args = 1,
    .max_args = 1,
    .options = evolve_options,
    .notes = "Refused, naming column and rule: removing a required column, making one required, narrowing a type.",
    .run = run_evolve,
};
