/* SPDX-License-Identifier: Apache-2.0 */
/* dump.h -- what the verbs of `vdectl dump` share. */
#ifndef VDECTL_DUMP_H
#define VDECTL_DUMP_H

#include "cli.h"

#include <vde/inspect.h>

#define DUMP_SHOW_VALUES {"show-values", NULL, "show the bytes of values too"}

/* Open the image for inspection, waiting as asked. CLI_DONE, or an exit status with the error printed. */
int dump_open(struct cli *cli, vde_inspect **ret_inspect);
/* A record as {dataset, kind, key, value, key_size, value_size} and, with --show-values, value_hex. */
json_t *dump_record_json(const struct cli *cli, const struct vde_inspected *record);
/* "    key = value" and, with --show-values, the bytes. */
void dump_record_text(const struct cli *cli, const char *indent, const struct vde_inspected *record);
/* 64 bits as 16 digits. */
json_t *dump_hex(uint64_t value);

#endif
