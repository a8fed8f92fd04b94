/* SPDX-License-Identifier: Apache-2.0 */
/* tree.h -- folders of files for the golden tests: copy, set times, compare. All functions print what is wrong and return
 * false. */
#ifndef GOLDEN_TREE_H
#define GOLDEN_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *data;
    size_t size;
};
bool read_all(const char *path, struct bytes *ret);

/* Copy a table: its _delta_log for real, everything else as links. */
bool copy_table(const char *from, const char *to);
/* Give every NNN.json of a log a time with nanoseconds: mode 0 ascending, 1 all equal, 2 descending. */
bool set_commit_times(const char *table, unsigned mode);
/* Every NNN.json of `a` is in `b` with the same bytes and time. */
bool same_commits(const char *a, const char *b);
/* Every other regular file of `b` (data, checkpoints ...) is in `a` with the same bytes; *ret_count of them. */
bool same_other_files(const char *a, const char *b, size_t *ret_count);
/* Every NNN.json of `a` and `b` holds the same actions as JSON values with number text compared. */
bool same_actions(const char *a, const char *b);
bool remove_tree(const char *path);
bool is_commit_name(const char *name);
#endif
