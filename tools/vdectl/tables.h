/* SPDX-License-Identifier: Apache-2.0 */
/* tables.h -- what the verbs about tables share: addresses, properties, commit results. */
#ifndef VDECTL_TABLES_H
#define VDECTL_TABLES_H

#include "cli.h"

/* Options that several verbs have. */
#define OPTION_SHOW_VALUES {"show-values", NULL, "show partition values and statistics too"}
#define OPTIONS_AT                                                                                                     \
    {"version", "N", "as of this version, like TABLE@vN"},                                                             \
    {"tag", "NAME", "as of the version with this tag, like TABLE@tag:NAME"},                                           \
    {"timestamp", "TIME", "as of this time, like TABLE@TIME: RFC 3339, a date, or an age like -2h"}

/* The table argument with --version, --timestamp or --tag as its '@' part: "ns.t@v3". The caller's to free; NULL after a
 * printed usage error. */
char *table_address(const struct cli *cli, const char *table);
/* "v3", a time or a tag out of what --from and the like hold: 3, v3, latest, RFC 3339, a date, an age, tag:NAME. */
char *table_point(const struct cli *cli, const char *option, const char *text);
/* Reads an option that holds a version. Prints a usage error and returns false for anything else. */
bool table_version_option(const struct cli *cli, const char *option, uint64_t *ret_version);

/* A growing list of properties; keys and values are copies. */
struct properties {
    struct lh_property *items;
    size_t count;
};
/* Add "KEY=VALUE", or with `null` also "KEY" alone for no value. CLI_USAGE with a message on other text. */
int properties_add(const struct cli *cli, struct properties *properties, const char *object, const char *text, bool null);
/* Add every --NAME of the command line, and every --unset as a key without a value. */
int properties_take(const struct cli *cli, struct properties *properties, const char *name, bool null);
void properties_done(struct properties *properties);
json_t *properties_json(const struct lh_property *properties, size_t count);
/* "a=1, b=null" for people; the caller's to free. */
char *properties_text(const struct lh_property *properties, size_t count);

/* A number that may be unknown: null in JSON, "unknown" in text. */
json_t *known_json(int64_t value);
const char *known_text(int64_t value, char text[OUT_TEXT]);
const char *known_size(const struct cli *cli, int64_t bytes, char text[OUT_TEXT]);
const char *format_name(enum lh_table_format format);

/* The tags as [{"name", "version", "created"}]; with `version` (may be NULL) the names of that version's alone. */
json_t *tags_json(const struct lh_tags *tags, const uint64_t *version);
/* "a, b": names of a version's tags, for people; the caller's to free. */
char *tags_text(const struct lh_tags *tags, uint64_t version);

/* What names one version of a table, in every answer about it. */
json_t *table_head_json(const struct lh_table_info *info);

/* A commit's result: as an object, or a line per table. */
json_t *commit_json(const struct lh_commit_result *result);
void commit_text(const struct lh_commit_result *result);
/* Print and release it, in the form that was asked for. CLI_DONE. */
int commit_print(const struct cli *cli, struct lh_commit_result *result);

/* Split the terms of --partition-by ("a,bucket(16,b)") at the commas between them into pointers of one block, the caller's;
 * *text is cut in place. CLI_USAGE with a message for an empty one. */
int columns_split(const struct cli *cli, char *text, const char ***ret_columns, size_t *ret_count);

/* Schema of --schema or --schema-file; *ret_text is the caller's, NULL when neither was given. */
int schema_take(const struct cli *cli, char **ret_text);

#endif
