/* SPDX-License-Identifier: Apache-2.0 */
/* places.c -- where the bytes of a listed file are. */
#include "places.h"

#include <stdlib.h>
#include <string.h>

char *log_path_decode(const char *path)
{
    char *out = cli_alloc(NULL, strlen(path) + 1);
    size_t used = 0;
    for (const char *p = path; *p; p++) {
        unsigned byte;
        int taken = 0;
        if (*p == '%' && sscanf(p + 1, "%2x%n", &byte, &taken) == 1 && taken == 2 && byte != 0) {
            out[used++] = (char)byte;
            p += 2;
        } else {
            out[used++] = *p;
        }
    }
    out[used] = '\0';
    return out;
}

vde_status places_open(lh_lakehouse *lakehouse, const struct lh_table_info *info, struct places *ret_places)
{
    *ret_places = (struct places){.external = info->external};
    return lh_file_list(lakehouse, info->name, NULL, &ret_places->stored);
}

void places_close(struct places *places)
{
    lh_free(places->stored);
    *places = (struct places){0};
}

static int compare(const void *path, const void *file)
{
    return strcmp(path, ((const struct lh_stored_file *)file)->path);
}

/* An absolute path, or a URI with a scheme. */
static bool is_absolute(const char *path)
{
    size_t scheme = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return path[0] == '/' || (scheme > 0 && path[scheme] == ':');
}

const char *places_find(const struct places *places, const char *path)
{
    if (is_absolute(path))
        return "outside";
    char *decoded = log_path_decode(path);
    bool stored = places->stored->count > 0 && bsearch(decoded, places->stored->files, places->stored->count,
                                                       sizeof places->stored->files[0], compare) != NULL;
    free(decoded);
    return stored ? "image" : places->external ? "outside" : "missing";
}
