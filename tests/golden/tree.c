/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/json.h"

static bool wrong(const char *path, const char *what)
{
    printf("  WRONG %s: %s\n", path, what);
    return false;
}

static void join(char *out, const char *folder, const char *name)
{
    if (snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        out[0] = '\0'; /* a name that nothing has */
}

bool is_commit_name(const char *name)
{
    return strlen(name) == 25 && strspn(name, "0123456789") == 20 && strcmp(name + 20, ".json") == 0;
}

bool read_all(const char *path, struct bytes *ret)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return wrong(path, strerror(errno));
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    ret->size = size > 0 ? (size_t)size : 0;
    ret->data = malloc(ret->size + 1);
    bool good = ret->data && fread(ret->data, 1, ret->size, file) == ret->size;
    fclose(file);
    if (!good) {
        free(ret->data);
        ret->data = NULL;
        return wrong(path, "can't be read");
    }
    return true;
}

static bool copy_file(const char *from, const char *to)
{
    struct bytes bytes;
    if (!read_all(from, &bytes))
        return false;
    FILE *file = fopen(to, "wb");
    bool good = file && fwrite(bytes.data, 1, bytes.size, file) == bytes.size;
    if (file && fclose(file) != 0)
        good = false;
    free(bytes.data);
    return good ? true : wrong(to, "can't be written");
}

static bool copy_log(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (!dir || mkdir(to, 0777) != 0)
        return wrong(to, "can't be copied");
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(dir));) {
        char source[PATH_MAX], target[PATH_MAX];
        struct stat stat_;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        join(source, from, entry->d_name);
        join(target, to, entry->d_name);
        if (stat(source, &stat_) != 0)
            continue;
        good = S_ISDIR(stat_.st_mode) ? copy_log(source, target) : copy_file(source, target);
    }
    closedir(dir);
    return good;
}

bool copy_table(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (!dir || mkdir(to, 0777) != 0)
        return wrong(to, "can't be copied");
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(dir));) {
        char source[PATH_MAX], target[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        join(source, from, entry->d_name);
        join(target, to, entry->d_name);
        if (strcmp(entry->d_name, "_delta_log") == 0)
            good = copy_log(source, target);
        else if (symlink(source, target) != 0)
            good = wrong(target, strerror(errno));
    }
    closedir(dir);
    return good;
}

/* Run `visit` for every NNN.json of a table's log. */
static bool each_commit(const char *table, bool (*visit)(const char *path, const char *name, void *context), void *context)
{
    char log[PATH_MAX], path[PATH_MAX];
    join(log, table, "_delta_log");
    DIR *dir = opendir(log);
    if (!dir)
        return wrong(log, strerror(errno));
    bool good = true;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!is_commit_name(entry->d_name))
            continue;
        join(path, log, entry->d_name);
        good = visit(path, entry->d_name, context) && good;
    }
    closedir(dir);
    return good;
}

static bool set_time(const char *path, const char *name, void *context)
{
    unsigned mode = *(unsigned *)context;
    long version = atol(name);
    time_t base = 1700000000;
    struct timespec times[2];
    times[0].tv_sec = mode == 0 ? base + version * 60 : mode == 1 ? base : base - version * 60;
    times[0].tv_nsec = 123456789 + (mode == 0 ? version : 0);
    times[1] = times[0];
    return utimensat(AT_FDCWD, path, times, 0) == 0 ? true : wrong(path, strerror(errno));
}

bool set_commit_times(const char *table, unsigned mode) { return each_commit(table, set_time, &mode); }

static bool same_bytes(const char *a, const char *b)
{
    struct bytes x = {NULL, 0}, y = {NULL, 0};
    bool good = read_all(a, &x) && read_all(b, &y);
    if (good && (x.size != y.size || memcmp(x.data, y.data, x.size) != 0))
        good = wrong(b, "differs from the original");
    free(x.data);
    free(y.data);
    return good;
}

static bool compare_commit(const char *path, const char *name, void *context)
{
    char other[PATH_MAX], log[PATH_MAX];
    struct stat a, b;
    join(log, context, "_delta_log");
    join(other, log, name);
    if (stat(path, &a) != 0 || stat(other, &b) != 0)
        return wrong(other, "is missing");
    if (a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec)
        return wrong(other, "has another time");
    return same_bytes(path, other);
}

bool same_commits(const char *a, const char *b)
{
    char context[PATH_MAX];
    snprintf(context, sizeof context, "%s", b);
    return each_commit(a, compare_commit, context);
}

static bool same_other_in(const char *a, const char *b, size_t *count)
{
    DIR *dir = opendir(b);
    if (!dir)
        return wrong(b, strerror(errno));
    bool good = true;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char mine[PATH_MAX], theirs[PATH_MAX];
        struct stat stat_;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        join(theirs, a, entry->d_name);
        join(mine, b, entry->d_name);
        if (stat(mine, &stat_) != 0)
            good = wrong(mine, strerror(errno));
        else if (S_ISDIR(stat_.st_mode))
            good = same_other_in(theirs, mine, count) && good;
        else if (!is_commit_name(entry->d_name) || strcmp(b + strlen(b) - strlen("_delta_log"), "_delta_log") != 0) {
            good = same_bytes(theirs, mine) && good;
            (*count)++;
        }
    }
    closedir(dir);
    return good;
}

bool same_other_files(const char *a, const char *b, size_t *ret_count)
{
    *ret_count = 0;
    return same_other_in(a, b, ret_count);
}

static bool same_lines(const char *path, struct bytes x, struct bytes y)
{
    struct lh_slice rest_x = {x.data, x.size}, rest_y = {y.data, y.size}, line_x, line_y;
    struct lh_json a = LH_JSON_INIT, b = LH_JSON_INIT;
    bool good = true;
    for (;;) {
        bool more_x = lh_ndjson_next(&rest_x, &line_x), more_y = lh_ndjson_next(&rest_y, &line_y);
        if (more_x != more_y)
            good = wrong(path, "has another number of actions");
        if (!more_x || !more_y)
            break;
        if (lh_json_parse(&a, line_x.data, line_x.size) != VDE_OK || lh_json_parse(&b, line_y.data, line_y.size) != VDE_OK ||
            !lh_json_equal(&a, 0, &b, 0)) {
            printf("  was %.*s\n  now %.*s\n", (int)line_x.size, line_x.data, (int)line_y.size, line_y.data);
            good = wrong(path, "has another action");
        }
    }
    lh_json_done(&a);
    lh_json_done(&b);
    return good;
}

static bool compare_actions(const char *path, const char *name, void *context)
{
    char other[PATH_MAX], log[PATH_MAX];
    struct bytes x = {NULL, 0}, y = {NULL, 0};
    join(log, context, "_delta_log");
    join(other, log, name);
    bool good = read_all(path, &x) && read_all(other, &y) && same_lines(other, x, y);
    free(x.data);
    free(y.data);
    return good;
}

bool same_actions(const char *a, const char *b)
{
    char context[PATH_MAX];
    snprintf(context, sizeof context, "%s", b);
    return each_commit(a, compare_actions, context);
}

static int remove_entry(const char *path, const struct stat *stat_, int kind, struct FTW *where)
{
    (void)stat_, (void)kind, (void)where;
    return remove(path);
}

bool remove_tree(const char *path) { return nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) == 0; }
