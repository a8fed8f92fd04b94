/* SPDX-License-Identifier: Apache-2.0 */
/* list.c -- names of tables and namespaces, in byte order. */
#include <lakehouse/namespace.h>

#include <stdlib.h>

#include "state/fail.h"
#include "txlog/catalog.h"
#include "txlog/pack.h"

struct listing {
    struct lh_catalog *catalog;
    char letter;             /* 'N' or 'T': what is listed */
    bool recursive;
    unsigned depth;
    struct lh_buffer prefix; /* "a.b." */
    struct lh_buffer names;  /* NUL-terminated, in a row */
    size_t count;
    /* of the namespaces right below, to be visited */
    struct lh_buffer *below;
};

static vde_status take_name(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct listing *l = context;
    (void)value;
    (void)size;
    lh_buffer_add(&l->names, l->prefix.data, l->prefix.size);
    lh_buffer_slice(&l->names, rest);
    lh_buffer_byte(&l->names, '\0');
    l->count++;
    return VDE_OK;
}

static vde_status take_below(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct listing *l = context;
    struct lh_reader reader = {value, size, 0, false};
    lh_buffer_varint(l->below, lh_reader_varint(&reader));
    lh_buffer_sized(l->below, rest);
    return reader.failed ? vde_error_set(VDE_CORRUPT, "catalog of namespaces", "a number that ends early", "an id") : VDE_OK;
}

static vde_status list_in(struct listing *l, uint64_t id)
{
    if (l->depth++ > LH_NAME_DEPTH_MAX)
        return vde_error_set(VDE_CORRUPT, "catalog of namespaces", "a deeper nesting", "16 levels at most");
    if (l->letter == 'T' || !l->recursive)
        LH_TRY(lh_catalog_walk(l->catalog, l->letter, &id, take_name, l));
    if (l->recursive) {
        struct lh_buffer below = LH_BUFFER_INIT;
        l->below = &below; /* cppcheck-suppress autoVariables; used by this walk only */
        vde_status status = lh_catalog_walk(l->catalog, 'N', &id, take_below, l);
        if (status == VDE_OK)
            status = lh_buffer_status(&below);
        struct lh_reader reader = {(const uint8_t *)below.data, below.size, 0, false};
        while (status == VDE_OK && reader.offset < reader.size) {
            uint64_t child = lh_reader_varint(&reader);
            struct lh_slice leaf = lh_reader_sized(&reader);
            size_t length = l->prefix.size;
            if (l->letter == 'N')
                status = take_name(l, leaf, NULL, 0);
            lh_buffer_slice(&l->prefix, leaf);
            lh_buffer_byte(&l->prefix, '.');
            if (status == VDE_OK)
                status = lh_buffer_status(&l->prefix);
            if (status == VDE_OK)
                status = list_in(l, child);
            l->prefix.size = length;
        }
        lh_buffer_done(&below);
        LH_TRY(status);
    }
    l->depth--;
    return VDE_OK;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static vde_status pack_names(const struct listing *l, struct lh_strings **ret_names)
{
    struct lh_pack pack = LH_PACK_INIT;
    while (lh_pack_pass(&pack)) {
        struct lh_strings *all = lh_pack_alloc(&pack, 1, sizeof *all);
        const char **items = lh_pack_alloc(&pack, l->count, sizeof *items);
        if (all)
            *all = (struct lh_strings){l->count, items};
        const char *at = l->names.data;
        for (size_t i = 0; i < l->count; i++) {
            struct lh_slice name = lh_slice_of(at);
            const char *copy = lh_pack_text(&pack, name);
            if (all)
                items[i] = copy;
            at += name.size + 1;
        }
        /* Keys stand in byte order, but of one namespace: a table's name may sort behind those of a namespace beside it. */
        if (all && l->count > 1)
            qsort(items, l->count, sizeof *items, by_bytes);
    }
    return lh_pack_done(&pack, (void **)ret_names);
}

static vde_status list(lh_lakehouse *lakehouse, const char *parent, char letter, bool recursive,
                       struct lh_strings **ret_names)
{
    struct lh_catalog catalog;
    uint64_t id;
    struct lh_slice name = lh_slice_of(parent);
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    struct listing l = {.catalog = &catalog, .letter = letter, .recursive = recursive};
    vde_status status = lh_catalog_namespace(&catalog, name, &id);
    if (name.size) {
        lh_buffer_slice(&l.prefix, name);
        lh_buffer_byte(&l.prefix, '.');
    }
    if (status == VDE_OK)
        status = list_in(&l, id);
    if (status == VDE_OK)
        status = lh_buffer_status(&l.names);
    if (status == VDE_OK)
        status = pack_names(&l, ret_names);
    lh_catalog_close(&catalog);
    lh_buffer_done(&l.prefix);
    lh_buffer_done(&l.names);
    return status;
}

vde_status lh_table_list(lh_lakehouse *lakehouse, const char *name_space, bool recursive, struct lh_strings **ret_names)
{
    return list(lakehouse, name_space, 'T', recursive, ret_names);
}

vde_status lh_namespace_list(lh_lakehouse *lakehouse, const char *parent, bool recursive, struct lh_strings **ret_names)
{
    return list(lakehouse, parent, 'N', recursive, ret_names);
}
