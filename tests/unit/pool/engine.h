/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h -- what tests of the open engine share: images on RAM devices, short forms of the calls, and a fixed clock.
 * A call that gives another status than expected ends the test with the place and the library's own words. */
#ifndef TESTS_UNIT_POOL_ENGINE_H
#define TESTS_UNIT_POOL_ENGINE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vde/vde.h>

#include "io/simulated.h"
#include "support.h"

static inline void expect_at(vde_status expected, vde_status status, const char *what, const char *file, int line)
{
    if (status == expected)
        return;
    fprintf(stderr, "%s:%d: %s: %s, expected %s; last error: %s\n", file, line, what, vde_status_name(status),
            vde_status_name(expected), vde_last_error()->text);
    abort();
}
#define EXPECT(expected, call) expect_at((expected), (call), #call, __FILE__, __LINE__)
#define OK(call) EXPECT(VDE_OK, call)

static inline void require_at(bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: not true: %s; last error: %s\n", file, line, what, vde_last_error()->text);
    abort();
}
#define REQUIRE(condition) require_at((condition), #condition, __FILE__, __LINE__)

/* --- a clock and randomness that tests control ---------------------------------------------------------------------- */

struct fixed_env {
    uint64_t now, step, random;
};

static inline uint64_t fixed_now(void *context)
{
    struct fixed_env *fixed = context;
    return fixed->now += fixed->step;
}

static inline void fixed_random(void *context, void *buffer, size_t size)
{
    struct fixed_env *fixed = context;
    fill_bytes(buffer, size, fixed->random++);
}

static inline struct vde_env fixed_env(struct fixed_env *fixed)
{
    return (struct vde_env){fixed_now, fixed_random, fixed};
}

/* --- devices and images --------------------------------------------------------------------------------------------- */

#define MIB (1ull << 20)

static inline void format_on(struct vde_device *device, uint64_t log_bytes)
{
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    opts.log_bytes = log_bytes;
    OK(vde_image_format_device(device, &opts));
}

static inline struct vde_device *memory_image(uint64_t bytes)
{
    struct vde_device *device;
    OK(vde_device_memory(bytes, &device));
    format_on(device, 0);
    return device;
}

static inline struct vde_device *simulated_image(uint64_t bytes, uint64_t seed)
{
    struct vde_device *device;
    OK(simulated_create(bytes, seed, 0, &device));
    format_on(device, 0);
    return device;
}

static inline vde_image *open_flags(struct vde_device *device, uint32_t flags)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    opts.flags = flags;
    OK(vde_image_open_device(device, &opts, &image));
    return image;
}

static inline vde_image *open_quiet(struct vde_device *device)
{
    return open_flags(device, VDE_OPEN_NO_THREADS);
}

static inline vde_image *open_rolled_back(struct vde_device *device, const char *snapshot, uint32_t flags)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *image;
    opts.flags = VDE_OPEN_NO_THREADS | VDE_OPEN_ROLLBACK | flags;
    opts.snapshot = snapshot;
    OK(vde_image_open_device(device, &opts, &image));
    return image;
}

static inline vde_image *reopen(vde_image *image, struct vde_device *device)
{
    OK(vde_image_close(image));
    return open_quiet(device);
}

static inline uint64_t device_size(struct vde_device *device)
{
    struct vde_device_info info;
    device->ops->info(device, &info);
    return info.size_bytes;
}

static inline void device_io(struct vde_device *device, uint8_t op, uint64_t offset, void *buffer, uint32_t size)
{
    struct vde_io io = {.op = op, .size = size, .offset = offset, .buffer = buffer};
    OK(device->ops->run(device, &io, 1));
}

/* The device's bytes in a new RAM device: what a killed process leaves behind. */
static inline struct vde_device *copy_device(struct vde_device *device)
{
    struct vde_device *copy;
    uint64_t size = device_size(device);
    OK(vde_device_memory(size, &copy));
    uint8_t *buffer = aligned_buffer(256u << 10);
    for (uint64_t at = 0; at < size; at += 256u << 10) {
        uint32_t part = (uint32_t)(size - at < 256u << 10 ? size - at : 256u << 10);
        device_io(device, VDE_IO_READ, at, buffer, part);
        device_io(copy, VDE_IO_WRITE, at, buffer, part);
    }
    free(buffer);
    return copy;
}

static inline void close_device(struct vde_device *device)
{
    device->ops->close(device);
}

static inline void print_finding(void *context, const struct vde_finding *finding)
{
    (void)context;
    fprintf(stderr, "finding: %s: found %s, expected %s\n", finding->object, finding->found, finding->expected);
}

/* The offline check finds nothing to complain about. */
static inline struct vde_check_summary check_clean(struct vde_device *device)
{
    struct vde_check_opts opts = VDE_CHECK_OPTS_INIT;
    struct vde_check_summary summary;
    opts.finding = print_finding;
    OK(vde_check_device(device, &opts, &summary));
    REQUIRE(summary.findings == 0);
    REQUIRE(summary.leaked_blocks == 0);
    REQUIRE(summary.unmarked_blocks == 0);
    REQUIRE(summary.doubly_owned_blocks == 0);
    return summary;
}

static inline void close_clean(vde_image *image, struct vde_device *device)
{
    OK(vde_image_close(image));
    check_clean(device);
    close_device(device);
}

static inline struct vde_image_info info_of(vde_image *image)
{
    struct vde_image_info info;
    vde_image_info(image, &info);
    return info;
}

/* --- transactions --------------------------------------------------------------------------------------------------- */

static inline vde_txn *begin(vde_image *image)
{
    vde_txn *txn;
    OK(vde_txn_create(image, &txn));
    return txn;
}

/* Commit and release, whatever comes of it. */
static inline vde_status commit_status(vde_txn *txn)
{
    struct vde_commit commit;
    vde_status status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    return status;
}

static inline struct vde_commit commit(vde_txn *txn)
{
    struct vde_commit done;
    OK(vde_txn_commit(txn, &done));
    vde_txn_destroy(txn);
    return done;
}

static inline uint64_t new_dataset(vde_image *image, const char *name)
{
    uint64_t id = vde_id_reserve(image);
    vde_txn *txn = begin(image);
    OK(vde_txn_dataset_create(txn, id, name));
    commit(txn);
    return id;
}

static inline vde_status txn_put_text(vde_txn *txn, uint64_t dataset, const char *key, const char *value)
{
    return vde_txn_put(txn, dataset, key, strlen(key), value, strlen(value));
}

static inline void put_text(vde_image *image, uint64_t dataset, const char *key, const char *value)
{
    vde_txn *txn = begin(image);
    OK(txn_put_text(txn, dataset, key, value));
    commit(txn);
}

static inline vde_status txn_put_seed(vde_txn *txn, uint64_t dataset, const char *key, size_t size, uint64_t seed)
{
    uint8_t *bytes = malloc(size ? size : 1);
    fill_bytes(bytes, size, seed);
    vde_status status = vde_txn_put(txn, dataset, key, strlen(key), bytes, size);
    free(bytes);
    return status;
}

static inline vde_status put_seed(vde_image *image, uint64_t dataset, const char *key, size_t size, uint64_t seed)
{
    vde_txn *txn = begin(image);
    vde_status status = txn_put_seed(txn, dataset, key, size, seed);
    if (status == VDE_OK)
        return commit_status(txn);
    vde_txn_destroy(txn);
    return status;
}

static inline void delete_key(vde_image *image, uint64_t dataset, const char *key)
{
    vde_txn *txn = begin(image);
    OK(vde_txn_delete(txn, dataset, key, strlen(key)));
    commit(txn);
}

static inline vde_status append_status(vde_image *image, uint64_t stream, uint64_t number, const char *text)
{
    vde_txn *txn = begin(image);
    vde_status status = vde_txn_append(txn, stream, number, 0, text, strlen(text));
    if (status == VDE_OK)
        return commit_status(txn);
    vde_txn_destroy(txn);
    return status;
}

static inline void snapshot(vde_image *image, uint64_t dataset, uint64_t tag)
{
    vde_txn *txn = begin(image);
    OK(vde_txn_snapshot_create(txn, dataset, tag));
    commit(txn);
}

static inline void unsnapshot(vde_image *image, uint64_t dataset, uint64_t tag)
{
    vde_txn *txn = begin(image);
    OK(vde_txn_snapshot_delete(txn, dataset, tag));
    commit(txn);
}

static inline vde_status drop_dataset_status(vde_image *image, uint64_t dataset)
{
    vde_txn *txn = begin(image);
    vde_status status = vde_txn_dataset_drop(txn, dataset);
    if (status == VDE_OK)
        return commit_status(txn);
    vde_txn_destroy(txn);
    return status;
}

static inline uint64_t write_file(vde_image *image, size_t size, uint64_t seed)
{
    vde_file_writer *writer;
    uint64_t file;
    uint8_t *bytes = malloc(size ? size : 1);
    fill_bytes(bytes, size, seed);
    OK(vde_file_create(image, &writer));
    OK(vde_file_write(writer, bytes, size));
    free(bytes);
    vde_txn *txn = begin(image);
    OK(vde_file_seal(writer, txn, &file));
    commit(txn);
    return file;
}

static inline void remove_file(vde_image *image, uint64_t file)
{
    vde_txn *txn = begin(image);
    OK(vde_txn_file_remove(txn, file));
    commit(txn);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static inline vde_view *view_of(vde_image *image)
{
    vde_view *view;
    OK(vde_view_open(image, &view));
    return view;
}

/* The value of a key in a dataset or (tag != 0) a snapshot equals `text`; NULL: there is none. */
static inline bool view_has(vde_view *view, uint64_t dataset, uint64_t tag, const char *key, const char *text)
{
    vde_kv *kv;
    struct vde_bytes value = {0};
    OK(tag ? vde_kv_open_snapshot(view, dataset, tag, &kv) : vde_kv_open(view, dataset, &kv));
    vde_status status = vde_kv_get(kv, key, strlen(key), &value);
    bool equal = text ? status == VDE_OK && value.size == strlen(text) && memcmp(value.data, text, value.size) == 0
                      : status == VDE_NOT_FOUND;
    if (status == VDE_OK)
        vde_bytes_free(&value);
    vde_kv_close(kv);
    return equal;
}

static inline bool has(vde_image *image, uint64_t dataset, uint64_t tag, const char *key, const char *text)
{
    vde_view *view = view_of(image);
    bool equal = view_has(view, dataset, tag, key, text);
    vde_view_close(view);
    return equal;
}

static inline bool has_seed(vde_image *image, uint64_t dataset, uint64_t tag, const char *key, size_t size, uint64_t seed)
{
    vde_view *view = view_of(image);
    vde_kv *kv;
    struct vde_bytes value = {0};
    OK(tag ? vde_kv_open_snapshot(view, dataset, tag, &kv) : vde_kv_open(view, dataset, &kv));
    OK(vde_kv_get(kv, key, strlen(key), &value));
    bool equal = value.size == size && bytes_equal_seed(value.data, size, seed);
    vde_bytes_free(&value);
    vde_kv_close(kv);
    vde_view_close(view);
    return equal;
}

static inline vde_status find_name(vde_image *image, const char *name, uint64_t *ret_id)
{
    vde_view *view = view_of(image);
    vde_status status = vde_dataset_find(view, name, ret_id);
    vde_view_close(view);
    return status;
}

/* Numbers of a stream: false when there is none. */
static inline bool stream_range(vde_image *image, uint64_t stream, uint64_t *ret_first, uint64_t *ret_last)
{
    vde_view *view = view_of(image);
    vde_status status = vde_stream_range(view, stream, ret_first, ret_last);
    vde_view_close(view);
    REQUIRE(status == VDE_OK || status == VDE_NOT_FOUND);
    return status == VDE_OK;
}

static inline bool stream_is(vde_image *image, uint64_t stream, uint64_t first, uint64_t last)
{
    uint64_t a, b;
    return stream_range(image, stream, &a, &b) && a == first && b == last;
}

/* Read a file whole and compare. */
static inline bool file_is(vde_image *image, uint64_t file, size_t size, uint64_t seed)
{
    vde_view *view = view_of(image);
    vde_file *f;
    uint8_t *bytes = malloc(size ? size : 1);
    OK(vde_file_open(view, file, &f));
    REQUIRE(vde_file_size(f) == size);
    OK(vde_file_read(f, bytes, size, 0));
    bool equal = bytes_equal_seed(bytes, size, seed);
    vde_file_close(f);
    vde_view_close(view);
    free(bytes);
    return equal;
}
#endif
