/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h -- every verb, defined in the cmd_*.c file of its noun. */
#ifndef VDECTL_COMMANDS_H
#define VDECTL_COMMANDS_H

#include "cli.h"

extern const struct cli_command cmd_format, cmd_info, cmd_check, cmd_capabilities, cmd_checkpoint, cmd_copy, cmd_grow,
    cmd_manifest;
extern const struct cli_command cmd_scrub, cmd_repair, cmd_rescue;
extern const struct cli_command cmd_dump_superblock, cmd_dump_log, cmd_dump_tree, cmd_dump_alloc, cmd_dump_stream;
extern const struct cli_command cmd_volume_create, cmd_volume_clone, cmd_volume_list, cmd_volume_show, cmd_volume_read,
    cmd_volume_write, cmd_volume_import, cmd_volume_export, cmd_volume_map, cmd_volume_diff, cmd_volume_resize,
    cmd_volume_rename, cmd_volume_defrag, cmd_volume_delete;
extern const struct cli_command cmd_snapshot_create, cmd_snapshot_list, cmd_snapshot_rollback, cmd_snapshot_delete;
extern const struct cli_command cmd_namespace_create, cmd_namespace_list, cmd_namespace_show, cmd_namespace_set,
    cmd_namespace_drop;
extern const struct cli_command cmd_table_create, cmd_table_list, cmd_table_show, cmd_table_files, cmd_table_history,
    cmd_table_add, cmd_table_remove, cmd_table_overwrite, cmd_table_evolve, cmd_table_diff, cmd_table_tag,
    cmd_table_changes, cmd_table_restore, cmd_table_undrop, cmd_table_drop;
extern const struct cli_command cmd_file_put, cmd_file_get, cmd_file_list, cmd_file_remove;
extern const struct cli_command cmd_txn_commit, cmd_txn_show;
extern const struct cli_command cmd_delta_import, cmd_delta_export;

#endif
