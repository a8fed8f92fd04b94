/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/files.h"

#include <stdlib.h>

#include "state/fail.h"

vde_status lh_path_check(struct lh_slice path)
{
    if (path.size == 0 || path.size > LH_PATH_MAX)
        return lh_fail(LH_NAME, "file path|%zu bytes|1 to %u", path.size, LH_PATH_MAX);
    size_t start = 0;
    for (size_t i = 0; i <= path.size; i++) {
        if (i < path.size && ((unsigned char)path.data[i] < 0x20 || path.data[i] == 0x7f))
            return lh_fail(LH_NAME, "file path|a control character|none");
        if (i < path.size && path.data[i] != '/')
            continue;
        size_t size = i - start;
        const char *part = path.data + start;
        if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
            return lh_fail(LH_NAME, "file path|an empty part, '.' or '..'|a relative path without them");
        start = i + 1;
    }
    return VDE_OK;
}

void lh_file_name_key(struct lh_key *key, uint64_t table, struct lh_slice path)
{
    lh_be64_put(key->data, table);
    size_t size = path.size <= LH_PATH_MAX ? path.size : LH_PATH_MAX;
    if (size)
        memcpy(key->data + 8, path.data, size);
    key->size = 8 + size;
}

vde_status lh_file_record_put(struct lh_lakehouse *lakehouse, vde_txn *txn, uint64_t table, struct lh_slice path,
                              const struct lh_file_record *record)
{
    struct lh_key key;
    struct lh_buffer value = LH_BUFFER_INIT;
    lh_file_name_key(&key, table, path);
    lh_buffer_varint(&value, record->file);
    lh_buffer_varint(&value, record->size_bytes);
    lh_buffer_zigzag(&value, record->modified_ns);
    vde_status status = lh_buffer_status(&value);
    if (status == VDE_OK)
        status = vde_txn_put(txn, lakehouse->files, key.data, key.size, value.data, value.size);
    lh_buffer_done(&value);
    return status;
}

vde_status lh_file_record_decode(const void *data, size_t size, struct lh_file_record *ret_record)
{
    struct lh_reader reader = {data, size, 0, false};
    ret_record->file = lh_reader_varint(&reader);
    ret_record->size_bytes = lh_reader_varint(&reader);
    ret_record->modified_ns = lh_reader_zigzag(&reader);
    return reader.failed ? vde_error_set(VDE_CORRUPT, "record of a data file", "one that ends early", "a whole one") : VDE_OK;
}

vde_status lh_file_record_get(struct lh_lakehouse *lakehouse, vde_view *view, uint64_t table, struct lh_slice path,
                              struct lh_file_record *ret_record)
{
    struct lh_key key;
    struct vde_bytes bytes = {NULL, 0};
    vde_kv *kv = NULL;
    if (!lakehouse->files)
        return VDE_NOT_FOUND;
    lh_file_name_key(&key, table, path);
    LH_TRY(vde_kv_open(view, lakehouse->files, &kv));
    vde_status status = vde_kv_get(kv, key.data, key.size, &bytes);
    if (status == VDE_OK)
        status = lh_file_record_decode(bytes.data, bytes.size, ret_record);
    vde_bytes_free(&bytes);
    vde_kv_close(kv);
    return status;
}

vde_status lh_file_store(struct lh_lakehouse *lakehouse, vde_txn *txn, lh_read_fn read, void *context,
                         struct lh_file_record *record)
{
    const size_t chunk = 256 * 1024;
    vde_file_writer *writer = NULL;
    char *buffer = malloc(chunk);
    if (!buffer)
        return lh_fail_nomem("file buffer");
    vde_status status = vde_file_create(lakehouse->image, &writer);
    uint64_t total = 0;
    while (status == VDE_OK) {
        size_t size = 0;
        status = read(context, buffer, chunk, &size);
        if (status != VDE_OK || size == 0)
            break;
        status = vde_file_write(writer, buffer, size);
        total += size;
    }
    free(buffer);
    if (status != VDE_OK) {
        if (writer)
            vde_file_abort(writer);
        return status;
    }
    record->size_bytes = total;
    return vde_file_seal(writer, txn, &record->file);
}
