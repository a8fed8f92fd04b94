/* SPDX-License-Identifier: Apache-2.0 */
/* overlay.h -- changes that are in the log but not yet in the trees: a multi-version sorted map in memory, ordered by
 * (dataset, key ascending, LSN descending). One writer at a time (the gate), any number of readers without a lock:
 * an insert-only skip list in an arena, entries immutable once linked. Freed as a whole with its last reference. */
#ifndef VDE_TREE_OVERLAY_H
#define VDE_TREE_OVERLAY_H

#include "tree/tree.h"

struct overlay;

vde_status overlay_create(struct overlay **ret_overlay);
void overlay_ref(struct overlay *overlay);
void overlay_unref(struct overlay *overlay);

/* Make sure that the next `entries` inserts, carrying `bytes` bytes of keys and values together, can't fail. Counted from
 * now: a second call before the inserts does not add to the first. Writer only. */
vde_status overlay_reserve(struct overlay *overlay, size_t entries, size_t bytes);
/* Insert one version. Needs the reservation; can't fail. (dataset, key, lsn) may repeat: the later insert wins. */
void overlay_insert(struct overlay *overlay, uint64_t dataset, const void *key, size_t key_size, uint64_t lsn,
                    enum value_kind kind, const void *value, size_t value_size);
/* Bytes of memory in use (atomic). */
size_t overlay_bytes(const struct overlay *overlay);
size_t overlay_entries(const struct overlay *overlay);

struct overlay_entry {
    uint64_t dataset;
    const uint8_t *key;
    size_t key_size;
    uint64_t lsn;
    enum value_kind kind;
    const uint8_t *value;
    size_t value_size;
};

/* The newest version of a key with LSN <= max_lsn; false if there is none. Borrowed while a reference is held. */
bool overlay_get(const struct overlay *overlay, uint64_t dataset, const void *key, size_t key_size, uint64_t max_lsn,
                 struct overlay_entry *ret_entry);

/* An iterator over the newest versions with LSN <= max_lsn (deletions included), in (dataset, key) order. */
struct overlay_iterator {
    const struct overlay *overlay;
    uint64_t max_lsn;
    uint64_t dataset; /* when bounded */
    bool bounded;
    const void *position;
};
void overlay_seek(struct overlay_iterator *iterator, const struct overlay *overlay, uint64_t max_lsn, uint64_t dataset,
                  const void *key, size_t key_size);
/* The same, ending with the dataset. */
void overlay_seek_within(struct overlay_iterator *iterator, const struct overlay *overlay, uint64_t max_lsn,
                         uint64_t dataset, const void *key, size_t key_size);
/* Stand on the greatest key <= `key` within `dataset`; position NULL if none. */
void overlay_seek_before(struct overlay_iterator *iterator, const struct overlay *overlay, uint64_t max_lsn,
                         uint64_t dataset, const void *key, size_t key_size);
bool overlay_valid(const struct overlay_iterator *iterator);
void overlay_entry(const struct overlay_iterator *iterator, struct overlay_entry *ret_entry);
void overlay_next(struct overlay_iterator *iterator);

/* Every version, newest first within a key, for the checkpoint: position moves over all of them. */
void overlay_next_version(struct overlay_iterator *iterator);
#endif
