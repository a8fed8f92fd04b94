/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c -- seal and verify log frames. */
#include "format/frame.h"

#include <string.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/fail.h"
#include "format/catalog.h"
#include "format/run.h"

#define KEY_MAX 768u

uint64_t frame_seal(void *buffer, const struct frame *frame, uint64_t seed)
{
    struct disk_frame d;
    memset(&d, 0, sizeof d);
    d.magic = le32(FRAME_MAGIC);
    d.version = le32(FRAME_VERSION);
    d.seed = le64(seed);
    d.epoch = le64(frame->epoch);
    d.position = le64(frame->position);
    d.first_lsn = le64(frame->first_lsn);
    d.count = le32(frame->count);
    d.bytes = le32(frame->bytes);
    d.chain = le64(frame->chain);
    d.flushed_through = le64(frame->flushed_through);
    memcpy(buffer, &d, sizeof d);
    uint64_t sum = checksum(buffer, frame->bytes, seed ^ frame->position);
    d.checksum = le64(sum);
    memcpy(buffer, &d, sizeof d);
    return sum;
}

bool frame_peek(const void *block, uint64_t seed, struct frame *ret_frame)
{
    struct disk_frame d;
    memcpy(&d, block, sizeof d);
    if (le32_get(d.magic) != FRAME_MAGIC || le32_get(d.version) != FRAME_VERSION || le64_get(d.seed) != seed)
        return false;
    *ret_frame = (struct frame){le64_get(d.epoch),           le64_get(d.position), le64_get(d.first_lsn),
                                le64_get(d.chain),           le64_get(d.flushed_through), le64_get(d.checksum),
                                le32_get(d.count),           le32_get(d.bytes)};
    for (size_t i = 0; i < sizeof d.reserved; i++)
        if (d.reserved[i])
            return false;
    return ret_frame->bytes >= sizeof d && ret_frame->position % BLOCK_BYTES == 0;
}

/* Runs and unmaps must not expand to more than a record may. */
static vde_status verify_blocks(const struct op *op, uint64_t lsn, uint64_t *blocks)
{
    const char *object = "blocks in a log record";
    if (op->dataset < ID_FIRST || op->dataset >= ID_LIMIT)
        return fail_corrupt("log record %llu|blocks of dataset %llu|a volume", (unsigned long long)lsn,
                            (unsigned long long)op->dataset);
    VDE_TRY(run_verify(RUN_IN_LOG, op->key, op->key_size, op->kind, op->value, op->value_size, 0, object));
    *blocks += run_op_blocks(op->kind, op->value);
    if (*blocks > RECORD_RUN_BLOCKS_MAX)
        return fail_corrupt("log record %llu|%llu blocks of volumes|at most %u", (unsigned long long)lsn,
                            (unsigned long long)*blocks, RECORD_RUN_BLOCKS_MAX);
    return VDE_OK;
}

static vde_status verify_ops(const uint8_t *at, size_t size, uint32_t count, uint64_t lsn)
{
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct disk_op d;
        if (size < sizeof d)
            return fail_corrupt("log record %llu|ends inside operation %u|%u operations", (unsigned long long)lsn, i,
                                count);
        memcpy(&d, at, sizeof d);
        size_t key = le16_get(d.key_size), value = le32_get(d.value_size);
        if (key == 0 || key > KEY_MAX || d.kind > VALUE_UNMAP || d.reserved || value > size - sizeof d ||
            key > size - sizeof d - value || le64_get(d.dataset) == 0)
            return fail_corrupt("log record %llu operation %u|kind %u, key of %zu, value of %zu bytes|a legal operation",
                                (unsigned long long)lsn, i, d.kind, key, value);
        if (d.kind == VALUE_RUN || d.kind == VALUE_UNMAP) {
            struct op op;
            op_get(at, &op);
            VDE_TRY(verify_blocks(&op, lsn, &blocks));
        }
        at += sizeof d + key + value;
        size -= sizeof d + key + value;
    }
    if (size != 0)
        return fail_corrupt("log record %llu|%zu bytes behind its operations|none", (unsigned long long)lsn, size);
    return VDE_OK;
}

vde_status frame_verify(const void *buffer, const struct frame *frame, uint64_t seed)
{
    struct disk_frame head;
    memcpy(&head, buffer, sizeof head);
    struct disk_frame zeroed = head;
    zeroed.checksum = le64(0);
    /* The checksum is over the frame with the field zero: hash a copy of the header, never the caller's buffer twice. */
    uint8_t *bytes = (uint8_t *)(uintptr_t)buffer;
    memcpy(bytes, &zeroed, sizeof zeroed);
    uint64_t sum = checksum(bytes, frame->bytes, seed ^ frame->position);
    memcpy(bytes, &head, sizeof head);
    if (sum != frame->checksum)
        return fail_corrupt("log frame at position %llu|checksum %016llx|%016llx", (unsigned long long)frame->position,
                            (unsigned long long)sum, (unsigned long long)frame->checksum);
    const uint8_t *at = (const uint8_t *)buffer + sizeof head;
    size_t left = frame->bytes - sizeof head;
    uint64_t lsn = frame->first_lsn;
    for (uint32_t i = 0; i < frame->count; i++, lsn++) {
        struct disk_record r;
        if (left < sizeof r)
            return fail_corrupt("log frame at position %llu|ends inside record %u|%u records",
                                (unsigned long long)frame->position, i, frame->count);
        memcpy(&r, at, sizeof r);
        size_t bytes_of_record = le32_get(r.bytes);
        if (le64_get(r.lsn) != lsn || bytes_of_record < sizeof r || bytes_of_record > left ||
            le32_get(r.flags) & ~RECORD_FLUSHED ||
            le32_get(r.reserved))
            return fail_corrupt("log frame at position %llu record %u|LSN %llu of %zu bytes|LSN %llu",
                                (unsigned long long)frame->position, i, (unsigned long long)le64_get(r.lsn),
                                bytes_of_record, (unsigned long long)lsn);
        VDE_TRY(verify_ops(at + sizeof r, bytes_of_record - sizeof r, le32_get(r.count), lsn));
        at += bytes_of_record;
        left -= bytes_of_record;
    }
    if (left != 0)
        return fail_corrupt("log frame at position %llu|%zu bytes behind its records|none",
                            (unsigned long long)frame->position, left);
    return VDE_OK;
}

const uint8_t *op_get(const uint8_t *position, struct op *ret_op)
{
    struct disk_op d;
    memcpy(&d, position, sizeof d);
    ret_op->dataset = le64_get(d.dataset);
    ret_op->key = position + sizeof d;
    ret_op->key_size = le16_get(d.key_size);
    ret_op->kind = d.kind;
    ret_op->value = ret_op->key + ret_op->key_size;
    ret_op->value_size = le32_get(d.value_size);
    return ret_op->value + ret_op->value_size;
}

void op_put(uint8_t *to, const struct op *op)
{
    struct disk_op d = {le64(op->dataset), le32((uint32_t)op->value_size), le16((uint16_t)op->key_size),
                        (uint8_t)op->kind, 0};
    memcpy(to, &d, sizeof d);
    memcpy(to + sizeof d, op->key, op->key_size);
    if (op->value_size)
        memcpy(to + sizeof d + op->key_size, op->value, op->value_size);
}
