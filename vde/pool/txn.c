/* SPDX-License-Identifier: Apache-2.0 */
/* txn.c -- build a transaction: every call encodes operations, so that submit only copies bytes. */
#include "pool/txn.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fail.h"
#include "pool/map.h"

#define TIME_MAX_US ((uint64_t)INT64_MAX) /* times grow from here without wrapping */

vde_status vde_txn_create(vde_image *image, vde_txn **ret_txn)
{
    if (image->read_only)
        return fail_as(VDE_READ_ONLY, "image");
    if (log_poisoned(image->log)) /* what a builder would read below could betray a change that never becomes durable */
        return fail_as(VDE_POISONED, "image");
    vde_txn *txn = calloc(1, sizeof *txn);
    if (!txn)
        return fail_nomem("transaction");
    txn->image = image;
    *ret_txn = txn;
    return VDE_OK;
}

void txn_reset(vde_txn *txn)
{
    if (!txn->submitted)
        for (size_t i = 0; i < txn->extent_count; i++)
            space_release(txn->image->space, txn->extents[i].address, txn->extents[i].blocks);
    txn->ops_size = 0;
    txn->count = 0;
    txn->touched_count = txn->append_count = txn->condition_count = txn->extent_count = txn->patch_count = 0;
    txn->expected_count = 0;
    txn->run_blocks = txn->data_bytes = txn->min_time_us = 0;
    txn->credit = NULL;
    txn->frees = txn->submitted = txn->lazy = false;
    txn->data_count = 0;
}

void vde_txn_destroy(vde_txn *txn)
{
    if (!txn)
        return;
    txn_reset(txn);
    free(txn->ops);
    free(txn->touched);
    free(txn->appends);
    free(txn->conditions);
    free(txn->extents);
    free(txn->patches);
    free(txn->expected);
    free(txn);
}

uint64_t vde_id_reserve(vde_image *image)
{
    return atomic_fetch_add(&image->next_id, 1);
}

size_t vde_txn_size(const vde_txn *txn)
{
    return sizeof(struct disk_record) + txn->ops_size;
}

void vde_txn_time_at_least(vde_txn *txn, uint64_t time_us)
{
    txn->min_time_us = max_u64(txn->min_time_us, min_u64(time_us, TIME_MAX_US));
}

void vde_txn_frees_space(vde_txn *txn)
{
    txn->frees = true;
}

vde_status txn_grow(void **array, size_t *capacity, size_t count, size_t element)
{
    if (count < *capacity)
        return VDE_OK;
    size_t more = *capacity ? *capacity * 2 : 4;
    void *grown = realloc(*array, more * element);
    if (!grown)
        return fail_nomem("transaction");
    *array = grown;
    *capacity = more;
    return VDE_OK;
}

static vde_status reserve_ops(vde_txn *txn, size_t size)
{
    size_t need;
    if (!checked_add(txn->ops_size, size, &need) || need > UINT32_MAX / 2)
        return fail_as(VDE_TOO_LARGE, "transaction|%zu bytes more|a smaller transaction", size);
    if (need <= txn->ops_capacity)
        return VDE_OK;
    size_t capacity = txn->ops_capacity ? txn->ops_capacity : 512;
    while (capacity < need)
        capacity *= 2;
    uint8_t *ops = realloc(txn->ops, capacity);
    if (!ops)
        return fail_nomem("transaction");
    txn->ops = ops;
    txn->ops_capacity = capacity;
    return VDE_OK;
}

vde_status txn_op(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size, enum value_kind kind,
                  const void *value, size_t value_size)
{
    VDE_TRY(reserve_ops(txn, op_size(key_size, value_size)));
    struct op op = {dataset, key, key_size, kind, value, value_size};
    op_put(txn->ops + txn->ops_size, &op);
    txn->ops_size += op_size(key_size, value_size);
    txn->count++;
    return VDE_OK;
}

struct txn_mark txn_mark(const vde_txn *txn)
{
    return (struct txn_mark){txn->ops_size, txn->condition_count, txn->patch_count, txn->count};
}

vde_status txn_rewind(vde_txn *txn, const struct txn_mark *mark, vde_status status)
{
    if (status != VDE_OK) {
        txn->ops_size = mark->ops_size;
        txn->condition_count = mark->condition_count;
        txn->patch_count = mark->patch_count;
        txn->count = mark->count;
    }
    return status;
}

vde_status txn_touch(vde_txn *txn, uint64_t dataset)
{
    if (txn->touched_count > 0 && txn->touched[txn->touched_count - 1] == dataset)
        return VDE_OK;
    VDE_TRY(txn_grow((void **)&txn->touched, &txn->touched_capacity, txn->touched_count, sizeof *txn->touched));
    VDE_TRY(registry_load_dataset(txn->image, dataset));
    txn->touched[txn->touched_count++] = dataset;
    return VDE_OK;
}

vde_status txn_condition(vde_txn *txn, const struct condition *condition)
{
    VDE_TRY(txn_grow((void **)&txn->conditions, &txn->condition_capacity, txn->condition_count, sizeof *txn->conditions));
    txn->conditions[txn->condition_count++] = *condition;
    return txn_check_conditions(txn);
}

vde_status txn_check_user_dataset(uint64_t dataset)
{
    if (dataset < ID_FIRST || dataset >= ID_LIMIT)
        return fail_as(VDE_INVAL, "dataset %llu|a reserved id|an id from vde_id_reserve", (unsigned long long)dataset);
    return VDE_OK;
}

/* The dataset must exist and hold keys and values. */
static vde_status touch_kv(vde_txn *txn, uint64_t dataset)
{
    if (txn->touched_count > 0 && txn->touched[txn->touched_count - 1] == dataset)
        return VDE_OK;
    VDE_TRY(txn_touch(txn, dataset));
    if (!registry_is_volume(txn->image, dataset))
        return VDE_OK;
    txn->touched_count--;
    return fail_as(VDE_INVAL, "dataset %llu|a volume|a dataset of keys and values", (unsigned long long)dataset);
}

static vde_status check_key(size_t key_size)
{
    if (key_size == 0 || key_size > VDE_KEY_MAX)
        return fail_as(VDE_INVAL, "key|%zu bytes|1 to %u", key_size, VDE_KEY_MAX);
    return VDE_OK;
}

vde_status vde_txn_put(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    VDE_TRY(txn_check_user_dataset(dataset));
    VDE_TRY(check_key(key_size));
    if (value_size > VDE_VALUE_MAX)
        return fail_as(VDE_TOO_LARGE, "value|%zu bytes|at most %u", value_size, VDE_VALUE_MAX);
    VDE_TRY(touch_kv(txn, dataset));
    if (value_size <= STREAM_INLINE_MAX && value_size <= log_record_limit(txn->image->log) / 2)
        return txn_op(txn, dataset, key, key_size, VALUE_INLINE, value, value_size);
    return txn_spill(txn, dataset, key, key_size, value, value_size);
}

vde_status vde_txn_delete(vde_txn *txn, uint64_t dataset, const void *key, size_t key_size)
{
    VDE_TRY(txn_check_user_dataset(dataset));
    VDE_TRY(check_key(key_size));
    VDE_TRY(touch_kv(txn, dataset));
    return txn_op(txn, dataset, key, key_size, VALUE_DELETE, NULL, 0);
}

/* Where this transaction leaves a stream; a new place when it has not touched it yet. */
static vde_status append_place(vde_txn *txn, uint64_t stream, struct append **ret_append)
{
    for (size_t i = txn->append_count; i-- > 0;)
        if (txn->appends[i].stream == stream) {
            *ret_append = &txn->appends[i];
            return VDE_OK;
        }
    VDE_TRY(txn_grow((void **)&txn->appends, &txn->append_capacity, txn->append_count, sizeof *txn->appends));
    VDE_TRY(registry_load_stream(txn->image, stream));
    *ret_append = &txn->appends[txn->append_count++];
    **ret_append = (struct append){.stream = stream};
    return VDE_OK;
}

vde_status vde_txn_append(vde_txn *txn, uint64_t stream, uint64_t number, uint64_t time_us, const void *data,
                          size_t size)
{
    VDE_TRY(txn_check_user_dataset(stream));
    if (size > VDE_VALUE_MAX)
        return fail_as(VDE_TOO_LARGE, "stream entry|%zu bytes|at most %u", size, VDE_VALUE_MAX);
    struct append *append;
    VDE_TRY(append_place(txn, stream, &append));
    if (append->count > 0 && number != append->first + append->count)
        return fail_as(number < append->first + append->count ? VDE_EXISTS : VDE_GAP,
                       "stream %llu|number %llu|%llu, the next in this transaction", (unsigned long long)stream,
                       (unsigned long long)number, (unsigned long long)(append->first + append->count));
    if (number < append->count) /* it wrapped */
        return fail_as(VDE_INVAL, "stream %llu|an entry behind number %llu|none", (unsigned long long)stream,
                       (unsigned long long)UINT64_MAX);
    if (time_us > TIME_MAX_US)
        return fail_as(VDE_INVAL, "stream %llu entry %llu|time %llu|at most %llu", (unsigned long long)stream,
                       (unsigned long long)number, (unsigned long long)time_us, (unsigned long long)TIME_MAX_US);
    /* The transaction's own time is not known yet, but it is not in the past. */
    if (time_us && append->untimed)
        return fail_as(VDE_INVAL, "stream %llu entry %llu|a time of its own behind one of the transaction's|the "
                       "transaction's time", (unsigned long long)stream, (unsigned long long)number);
    if (time_us && time_us < append->last_time_us)
        return fail_as(VDE_INVAL, "stream %llu entry %llu|a time before the entry ahead of it|times that never decrease",
                       (unsigned long long)stream, (unsigned long long)number);
    uint8_t key[16];
    struct disk_log_entry head = {le64(time_us), le32((uint32_t)size), le32(0)};
    bool big = size > STREAM_INLINE_MAX || size > log_record_limit(txn->image->log) / 2;
    VDE_TRY(txn_grow((void **)&txn->patches, &txn->patch_capacity, txn->patch_count, sizeof *txn->patches));
    struct txn_mark mark = txn_mark(txn);
    if (big) {
        head.flags = le32(ENTRY_BIG);
        VDE_TRY(txn_spill(txn, DATASET_HISTORY, key, key_stream(key, stream | STREAM_BIG_BIT, number), data, size));
    }
    size_t value_size = sizeof head + (big ? 0 : size);
    VDE_TRY(txn_rewind(txn, &mark, reserve_ops(txn, op_size(16, value_size))));
    uint8_t *at = txn->ops + txn->ops_size;
    struct disk_op op = {le64(DATASET_HISTORY), le32((uint32_t)value_size), le16(16), VALUE_INLINE, 0};
    memcpy(at, &op, sizeof op);
    key_stream(at + sizeof op, stream, number);
    memcpy(at + sizeof op + 16, &head, sizeof head);
    if (!big && size)
        memcpy(at + sizeof op + 16 + sizeof head, data, size);
    if (time_us == 0)
        txn->patches[txn->patch_count++] = txn->ops_size + sizeof op + 16;
    else
        append->last_time_us = time_us;
    append->timed |= time_us != 0;
    append->untimed |= time_us == 0;
    if (append->count == 0) {
        append->first = number;
        append->first_time_us = time_us;
    }
    append->count++;
    txn->ops_size += op_size(16, value_size);
    txn->count++;
    return VDE_OK;
}

vde_status txn_own_extent(vde_txn *txn, uint64_t address, uint64_t blocks)
{
    VDE_TRY(txn_grow((void **)&txn->extents, &txn->extent_capacity, txn->extent_count, sizeof *txn->extents));
    txn->extents[txn->extent_count++] = (struct extent){address, blocks};
    txn->data_bytes += blocks * BLOCK_BYTES;
    return VDE_OK;
}
