/* SPDX-License-Identifier: Apache-2.0 */
/* engine_oracle.h -- what an image should hold, in plain arrays, and the comparison with what a view shows. */
#ifndef TESTS_MODEL_ENGINE_ORACLE_H
#define TESTS_MODEL_ENGINE_ORACLE_H

#include "unit/pool/engine.h"

#define DATASETS 5u
#define KEYS 60u
#define SNAPSHOTS 5u
#define STREAMS 4u
#define ENTRIES 600u
#define FILES 8u
#define KEY_BYTES 800
#define NAME_BYTES 64

struct value {
    bool exists;
    uint32_t seed, size;
};

struct dataset {
    uint64_t id;
    bool exists, fresh, busy; /* fresh, busy: this transaction made, dropped it */
    struct value keys[KEYS];
    struct {
        uint64_t tag;
        bool fresh, deleted;
        struct value keys[KEYS];
    } snapshots[SNAPSHOTS];
};

struct stream {
    uint64_t id, dropped, first, count; /* dropped: id of the one before */
    bool exists, busy;
    struct value entries[ENTRIES];
    uint64_t times[ENTRIES], lsns[ENTRIES];
    uint64_t sealed; /* entries whose time is known */
};

struct file {
    uint64_t id;
    bool fresh;
    struct value bytes;
};

struct oracle {
    struct dataset datasets[DATASETS];
    struct stream streams[STREAMS];
    struct file files[FILES];
    uint64_t seeds, time_us, lsn;
};

static inline uint64_t oracle_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Keys of all lengths up to the limit. */
static inline size_t key_text(unsigned key, char text[KEY_BYTES])
{
    size_t size = (size_t)snprintf(text, KEY_BYTES, "%u/", key * 7919u % 97u);
    size_t want = key % 10 == 0 ? VDE_KEY_MAX : key % 5 == 0 ? 100 : size;
    memset(text + size, 'k', want - size);
    return want;
}

static inline void name_text(unsigned slot, char text[NAME_BYTES])
{
    snprintf(text, NAME_BYTES, "dataset %u", slot);
}

/* Half of the values can be compressed. */
static inline void fill_value(const struct value *value, uint8_t *bytes)
{
    fill_bytes(bytes, value->size, value->seed);
    if (value->seed % 2)
        for (uint32_t i = 0; i < value->size; i++)
            bytes[i] &= 1;
}

static inline uint8_t *value_bytes(const struct value *value)
{
    uint8_t *bytes = malloc(value->size ? value->size : 1);
    fill_value(value, bytes);
    return bytes;
}

static inline bool value_equal(const struct value *value, const void *data, size_t size)
{
    if (size != value->size)
        return false;
    uint8_t *bytes = value_bytes(value);
    bool equal = size == 0 || memcmp(bytes, data, size) == 0;
    free(bytes);
    return equal;
}

static inline void oracle_begin(struct oracle *oracle)
{
    for (unsigned i = 0; i < DATASETS; i++) {
        oracle->datasets[i].fresh = oracle->datasets[i].busy = false;
        for (unsigned s = 0; s < SNAPSHOTS; s++)
            oracle->datasets[i].snapshots[s].fresh = oracle->datasets[i].snapshots[s].deleted = false;
    }
    for (unsigned i = 0; i < STREAMS; i++)
        oracle->streams[i].busy = false;
    for (unsigned i = 0; i < FILES; i++)
        oracle->files[i].fresh = false;
}

/* The transaction is in: snapshots and entries learn what it left behind. */
static inline void oracle_seal(struct oracle *oracle, uint64_t time_us, uint64_t lsn)
{
    oracle->time_us = time_us;
    oracle->lsn = lsn;
    for (unsigned i = 0; i < DATASETS; i++)
        for (unsigned s = 0; s < SNAPSHOTS; s++)
            if (oracle->datasets[i].snapshots[s].fresh)
                memcpy(oracle->datasets[i].snapshots[s].keys, oracle->datasets[i].keys, sizeof oracle->datasets[i].keys);
    for (unsigned i = 0; i < STREAMS; i++)
        for (struct stream *s = &oracle->streams[i]; s->sealed < s->count; s->sealed++) {
            s->times[s->sealed] = time_us;
            s->lsns[s->sealed] = lsn;
        }
}

/* A cursor from the start shows the keys in order, each with its value; single lookups agree. */
static inline void verify_keys(vde_kv *kv, const struct value keys[KEYS])
{
    unsigned order[KEYS], count = 0;
    char text[KEY_BYTES], other[KEY_BYTES];
    for (unsigned k = 0; k < KEYS; k++) {
        struct vde_bytes bytes = {0};
        size_t size = key_text(k, text);
        vde_status status = vde_kv_get(kv, text, size, &bytes);
        EXPECT(keys[k].exists ? VDE_OK : VDE_NOT_FOUND, status);
        if (!keys[k].exists)
            continue;
        REQUIRE(value_equal(&keys[k], bytes.data, bytes.size));
        vde_bytes_free(&bytes);
        unsigned at = count++;
        for (; at > 0; at--) {
            size_t other_size = key_text(order[at - 1], other);
            int cmp = memcmp(other, text, other_size < size ? other_size : size);
            if (cmp < 0 || (cmp == 0 && other_size < size))
                break;
            order[at] = order[at - 1];
        }
        order[at] = k;
    }
    vde_cursor *cursor;
    OK(vde_cursor_open(kv, NULL, 0, &cursor));
    const void *key, *data;
    size_t key_size, size;
    for (unsigned i = 0; i < count; i++) {
        OK(vde_cursor_get(cursor, &key, &key_size, &data, &size));
        REQUIRE(key_size == key_text(order[i], text) && memcmp(key, text, key_size) == 0);
        REQUIRE(value_equal(&keys[order[i]], data, size));
        OK(vde_cursor_next(cursor));
    }
    EXPECT(VDE_NOT_FOUND, vde_cursor_get(cursor, &key, &key_size, &data, &size));
    vde_cursor_close(cursor);
    if (count > 1) { /* from the middle */
        key_size = key_text(order[count / 2], text);
        OK(vde_cursor_open(kv, text, key_size, &cursor));
        OK(vde_cursor_get(cursor, &key, &key_size, &data, &size));
        REQUIRE(value_equal(&keys[order[count / 2]], data, size));
        vde_cursor_close(cursor);
    }
}

static inline void verify_dataset(vde_view *view, unsigned slot, const struct dataset *d)
{
    char name[NAME_BYTES];
    uint64_t id, tag, best = 0;
    name_text(slot, name);
    EXPECT(d->exists ? VDE_OK : VDE_NOT_FOUND, vde_dataset_find(view, name, &id));
    if (!d->exists)
        return;
    REQUIRE(id == d->id);
    vde_kv *kv;
    OK(vde_kv_open(view, id, &kv));
    verify_keys(kv, d->keys);
    vde_kv_close(kv);
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        if (!d->snapshots[i].tag)
            continue;
        if (d->snapshots[i].tag <= 125 && d->snapshots[i].tag > best)
            best = d->snapshots[i].tag;
        OK(vde_kv_open_snapshot(view, id, d->snapshots[i].tag, &kv));
        verify_keys(kv, d->snapshots[i].keys);
        vde_kv_close(kv);
        OK(vde_snapshot_find(view, id, d->snapshots[i].tag, &tag));
        REQUIRE(tag == d->snapshots[i].tag);
    }
    EXPECT(best ? VDE_OK : VDE_NOT_FOUND, vde_snapshot_find(view, id, 125, &tag));
    REQUIRE(!best || tag == best);
    EXPECT(VDE_NOT_FOUND, vde_kv_open_snapshot(view, id, 99, &kv));
}

static inline void verify_stream(vde_view *view, const struct stream *s)
{
    uint64_t first, last, number;
    vde_stream_cursor *cursor;
    struct vde_entry entry;
    if (s->dropped)
        EXPECT(VDE_NOT_FOUND, vde_stream_range(view, s->dropped, &first, &last));
    if (s->count == 0)
        return;
    OK(vde_stream_range(view, s->id, &first, &last));
    REQUIRE(first == s->first && last == s->first + s->count - 1);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint64_t at = pass == 0 ? 0 : s->count * 2 / 3;
        OK(vde_stream_open(view, s->id, pass == 0 ? 0 : s->first + at, &cursor));
        for (; at < s->count; at++) {
            OK(vde_stream_next(cursor, &entry));
            REQUIRE(entry.number == s->first + at);
            REQUIRE(entry.time_us == s->times[at] && entry.lsn == s->lsns[at]);
            REQUIRE(value_equal(&s->entries[at], entry.data, entry.size));
        }
        EXPECT(VDE_NOT_FOUND, vde_stream_next(cursor, &entry));
        vde_stream_close(cursor);
    }
    for (uint64_t at = 0; at < s->count; at += 1 + s->count / 7) {
        uint64_t expected = at;
        while (expected + 1 < s->count && s->times[expected + 1] == s->times[at])
            expected++;
        OK(vde_stream_find_time(view, s->id, s->times[at], &number));
        REQUIRE(number == s->first + expected);
    }
    EXPECT(VDE_NOT_FOUND, vde_stream_find_time(view, s->id, s->times[0] - 1, &number));
    OK(vde_stream_find_time(view, s->id, UINT64_MAX, &number));
    REQUIRE(number == last);
}

static inline void verify_file(vde_view *view, const struct file *f)
{
    vde_file *file;
    if (!f->id)
        return;
    OK(vde_file_open(view, f->id, &file));
    REQUIRE(vde_file_size(file) == f->bytes.size);
    uint8_t *bytes = malloc(f->bytes.size ? f->bytes.size : 1);
    OK(vde_file_read(file, bytes, f->bytes.size, 0));
    REQUIRE(value_equal(&f->bytes, bytes, f->bytes.size));
    free(bytes);
    vde_file_close(file);
}

static inline void oracle_verify(vde_view *view, const struct oracle *oracle)
{
    for (unsigned i = 0; i < DATASETS; i++)
        verify_dataset(view, i, &oracle->datasets[i]);
    for (unsigned i = 0; i < STREAMS; i++)
        verify_stream(view, &oracle->streams[i]);
    for (unsigned i = 0; i < FILES; i++)
        verify_file(view, &oracle->files[i]);
}
#endif
