/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>

#include "model/time.h"
#include "state/fail.h"
#include "txlog/catalog.h"
#include "txlog/described.h"

uint64_t lh_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t lh_random64(struct lh_lakehouse *lakehouse)
{
    /* splitmix64: a bijection of a counter, so that no value comes twice in 2^64 calls. */
    uint64_t z = atomic_fetch_add_explicit(&lakehouse->nonce, 0x9e3779b97f4a7c15u, memory_order_relaxed);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void lh_uuid_random(struct lh_lakehouse *lakehouse, uint8_t uuid[16])
{
    lh_be64_put(uuid, lh_random64(lakehouse));
    lh_be64_put(uuid + 8, lh_random64(lakehouse));
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

void lh_uuid_text(const uint8_t uuid[16], char text[LH_UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    char *out = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[uuid[i] >> 4];
        *out++ = digits[uuid[i] & 15];
    }
    *out = '\0';
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool lh_uuid_parse(const char *text, uint8_t uuid[16])
{
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        int high = hex(text[0]);
        int low = high < 0 ? -1 : hex(text[1]);
        if (low < 0)
            return false;
        uuid[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

vde_status lh_writable(const struct lh_lakehouse *lakehouse)
{
    if (lakehouse->read_only)
        return vde_error_set(VDE_READ_ONLY, "image", "open read-only", "open read-write");
    return VDE_OK;
}

void lh_note_wait(struct lh_lakehouse *lakehouse, uint64_t wait_us)
{
    unsigned long long max = atomic_load_explicit(&lakehouse->lock_wait_max_us, memory_order_relaxed);
    while (wait_us > max && !atomic_compare_exchange_weak(&lakehouse->lock_wait_max_us, &max, wait_us))
        ;
}

static vde_status make_datasets(struct lh_lakehouse *lakehouse)
{
    vde_txn *txn = NULL;
    struct vde_commit commit;
    uint64_t catalog = vde_id_reserve(lakehouse->image), files = vde_id_reserve(lakehouse->image);
    LH_TRY(vde_txn_create(lakehouse->image, &txn));
    vde_status status = vde_txn_dataset_create(txn, catalog, LH_CATALOG_DATASET);
    if (status == VDE_OK)
        status = vde_txn_dataset_create(txn, files, LH_FILES_DATASET);
    if (status == VDE_OK)
        status = vde_txn_commit(txn, &commit);
    vde_txn_destroy(txn);
    if (status == VDE_OK) {
        lakehouse->catalog = catalog;
        lakehouse->files = files;
    }
    return status;
}

static vde_status find_datasets(struct lh_lakehouse *lakehouse)
{
    vde_view *view = NULL;
    LH_TRY(vde_view_open(lakehouse->image, &view));
    vde_status status = vde_dataset_find(view, LH_CATALOG_DATASET, &lakehouse->catalog);
    if (status == VDE_OK)
        status = vde_dataset_find(view, LH_FILES_DATASET, &lakehouse->files);
    vde_view_close(view);
    return status;
}

/* --- what interrupted imports left ------------------------------------------------------------------------------ */
struct leftovers {
    uint64_t ids[64];
    unsigned count;
};

static vde_status note_leftover(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct leftovers *left = context;
    (void)value;
    (void)size;
    if (rest.size == 8 && left->count < 64)
        left->ids[left->count++] = lh_be64_get((const uint8_t *)rest.data);
    return VDE_OK;
}

static vde_status clean_imports(struct lh_lakehouse *lakehouse)
{
    struct leftovers left = {.count = 0};
    struct lh_catalog catalog;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    vde_status status = lh_catalog_walk(&catalog, 'i', NULL, note_leftover, &left);
    lh_catalog_close(&catalog);
    for (unsigned i = 0; i < left.count && status == VDE_OK; i++)
        status = lh_import_clean(lakehouse, left.ids[i]);
    return status;
}

static vde_status start(struct lh_lakehouse *lakehouse)
{
    vde_status status = find_datasets(lakehouse);
    if (status == VDE_NOT_FOUND && lakehouse->read_only) {
        lakehouse->catalog = lakehouse->files = 0;
        return VDE_OK;
    }
    if (status == VDE_NOT_FOUND)
        return make_datasets(lakehouse);
    LH_TRY(status);
    return lakehouse->read_only ? VDE_OK : clean_imports(lakehouse);
}

vde_status lh_open(vde_image *image, const struct lh_open_opts *opts, lh_lakehouse **ret_lakehouse)
{
    lh_status_register();
    if (!image || !ret_lakehouse)
        return vde_error_set(VDE_INVAL, "lh_open", "a NULL argument", "an image and a place for the result");
    struct lh_lakehouse *lakehouse = calloc(1, sizeof *lakehouse);
    if (!lakehouse)
        return lh_fail_nomem("table layer");
    struct vde_image_info info;
    vde_image_info(image, &info);
    lakehouse->image = image;
    lakehouse->read_only = info.read_only;
    lakehouse->record_limit = info.record_limit_bytes;
    lakehouse->flags = opts ? opts->flags : 0;
    lh_uuid_text(info.uuid, lakehouse->uuid);
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = lh_now_us() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
    atomic_store(&lakehouse->nonce, seed);
    if (lh_lock_init(&lakehouse->names, LH_LOCK_NAMES, 0) || lh_lock_init(&lakehouse->heads_lock, LH_LOCK_HEADS, 0) ||
        lh_lock_init(&lakehouse->described_lock, LH_LOCK_HEADS, 1)) {
        free(lakehouse);
        return lh_fail_nomem("locks of the table layer");
    }
    vde_status status = start(lakehouse);
    if (status != VDE_OK) {
        struct lh_saved saved;
        lh_error_save(&saved);
        lh_close(lakehouse);
        return saved.error.status == status ? lh_error_restore(&saved) : status;
    }
    *ret_lakehouse = lakehouse;
    return VDE_OK;
}

void lh_close(lh_lakehouse *lakehouse)
{
    if (!lakehouse)
        return;
    lh_heads_free(lakehouse);
    for (size_t i = 0; i < LH_DESCRIBED_MAX; i++)
        lh_described_unref(lakehouse->described[i]);
    lh_lock_done(&lakehouse->names);
    lh_lock_done(&lakehouse->heads_lock);
    lh_lock_done(&lakehouse->described_lock);
    free(lakehouse);
}

void lh_free(void *memory) { free(memory); }

void lh_image_uuid(lh_lakehouse *lakehouse, char text[LH_UUID_TEXT]) { memcpy(text, lakehouse->uuid, LH_UUID_TEXT); }

vde_status lh_time_parse(const char *text, uint64_t now_us, uint64_t *ret_us)
{
    if (!text || !ret_us)
        return vde_error_set(VDE_INVAL, "lh_time_parse", "a NULL argument", "a text and a place for the result");
    return lh_time_read(lh_slice_of(text), now_us, ret_us);
}

void lh_time_text(uint64_t time_us, char text[LH_TIME_TEXT]) { lh_time_print(time_us, text); }

/* --- counting --------------------------------------------------------------------------------------------------- */
struct counting {
    struct lh_catalog *catalog;
    struct lh_stats *stats;
};

static vde_status count_namespace(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct counting *counting = context;
    (void)rest;
    (void)value;
    (void)size;
    counting->stats->namespaces++;
    return VDE_OK;
}

static vde_status count_table(void *context, struct lh_slice rest, const void *value, size_t size)
{
    struct counting *counting = context;
    struct lh_reader reader = {value, size, 0, false};
    uint64_t id = lh_reader_varint(&reader), first, last;
    (void)rest;
    counting->stats->tables++;
    vde_status status = vde_stream_range(counting->catalog->view, id, &first, &last);
    if (status == VDE_OK) {
        counting->stats->versions += last + 1;
        counting->stats->entries += last - first + 1;
    }
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

vde_status lh_get_stats(lh_lakehouse *lakehouse, struct lh_stats *ret_stats)
{
    struct lh_stats stats = {0};
    struct lh_catalog catalog;
    LH_TRY(lh_catalog_open(lakehouse, false, &catalog));
    struct counting counting = {&catalog, &stats};
    vde_status status = lh_catalog_walk(&catalog, 'n', NULL, count_namespace, &counting);
    if (status == VDE_OK)
        status = lh_catalog_walk(&catalog, 'T', NULL, count_table, &counting);
    lh_catalog_close(&catalog);
    LH_TRY(status);
    stats.commits = atomic_load(&lakehouse->commits);
    stats.conflicts = atomic_load(&lakehouse->conflicts);
    stats.queries_latest = atomic_load(&lakehouse->queries_latest);
    stats.queries_by_version = atomic_load(&lakehouse->queries_version);
    stats.queries_by_time = atomic_load(&lakehouse->queries_time);
    stats.replayed_entries = atomic_load(&lakehouse->replayed);
    stats.states_written = atomic_load(&lakehouse->states_written);
    stats.state_failures = atomic_load(&lakehouse->state_failures);
    stats.lock_wait_max_us = atomic_load(&lakehouse->lock_wait_max_us);
    *ret_stats = stats;
    return VDE_OK;
}
