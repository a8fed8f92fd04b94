/* SPDX-License-Identifier: Apache-2.0 */
/* One log frame with its checksum made right: after frame_verify every operation can be used without a check. */
#include <string.h>

#include "format/frame.h"
#include "format/run.h"
#include "fuzz.h"

#define SEED 99u
#define INPUT_MAX (64u << 10)

static size_t put_key(uint8_t *to, unsigned number)
{
    uint8_t value[56] = {0};
    struct disk_ptr p = {le64(200), le32(1), le32(100), le64(0), le64(7)};
    memcpy(value, &p, sizeof p);
    struct op op = {number + 1, (const uint8_t *)"some key", 8,
                    number == 1 ? VALUE_EXTENT : number == 2 ? VALUE_DELETE : 0, value, number == 2 ? 0 : sizeof p};
    op_put(to, &op);
    return op_size(op.key_size, op.value_size);
}

/* A plain run, a compressed frame, an unmap. */
static size_t put_blocks(uint8_t *to, unsigned number)
{
    static const uint8_t sums[5 * 8];
    uint8_t key[RUN_KEY_BYTES], value[RUN_VALUE_MAX];
    struct block_run run = {.block = 160, .blocks = number ? RUN_FRAME_BLOCKS : 5, .stored = 5, .address = 300,
                            .tail = number ? 9 : 0, .checksums = sums};
    vde_le64 blocks = le64(4096);
    size_t size = run_put(&run, key, value);
    struct op op = {20, key, sizeof key, number == 2 ? VALUE_UNMAP : VALUE_RUN, value, size};
    if (number == 2) {
        op.value = (const uint8_t *)&blocks;
        op.value_size = sizeof blocks;
    }
    op_put(to, &op);
    return op_size(op.key_size, op.value_size);
}

size_t fuzz_seed(unsigned number, uint8_t *data, size_t max_size)
{
    if (number >= 7 || max_size < 4096)
        return 0;
    bool volume = number >= 5;
    if (volume)
        number -= 4;
    memset(data, 0, 4096);
    size_t at = sizeof(struct disk_frame);
    for (unsigned r = 0; r < number; r++) {
        size_t start = at;
        at += sizeof(struct disk_record);
        for (unsigned o = 0; o < 3; o++)
            at += volume ? put_blocks(data + at, o) : put_key(data + at, o);
        struct disk_record record = {le64(50 + r), le64(1000 + r), le32((uint32_t)(at - start)), le32(3), le32(0), le32(0)};
        memcpy(data + start, &record, sizeof record);
    }
    struct frame frame = {.epoch = 1, .position = 8192, .first_lsn = 50, .chain = 3, .flushed_through = 49, .count = number,
                          .bytes = (uint32_t)at};
    frame_seal(data, &frame, SEED);
    return at;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate(data, size, max_size < INPUT_MAX ? max_size : INPUT_MAX, seed);
}

static void use_blocks(const struct op *op)
{
    uint64_t blocks = run_op_blocks(op->kind, op->value), block = be64_get(op->key);
    volatile uint64_t sum = 0;
    FUZZ_ASSERT(op->key_size == RUN_KEY_BYTES && blocks > 0 && block + blocks <= RUN_BLOCK_LIMIT);
    if (op->kind == VALUE_UNMAP) {
        FUZZ_ASSERT(blocks <= UNMAP_BLOCKS_MAX);
        return;
    }
    struct block_run run = run_get(op->key, op->value);
    FUZZ_ASSERT(run.blocks <= RUN_BLOCKS_MAX && run.address > 0);
    for (unsigned i = 0; i < (run_compressed(&run) ? 1 : run.blocks); i++)
        sum += run_checksum(&run, i);
    (void)sum;
}

static void use_records(const uint8_t *bytes, const struct frame *frame)
{
    const uint8_t *at = bytes + sizeof(struct disk_frame), *end = bytes + frame->bytes;
    for (uint32_t r = 0; r < frame->count; r++) {
        struct disk_record record;
        FUZZ_ASSERT(at + sizeof record <= end);
        memcpy(&record, at, sizeof record);
        const uint8_t *op_at = at + sizeof record;
        at += le32_get(record.bytes);
        FUZZ_ASSERT(at <= end);
        for (uint32_t o = 0; o < le32_get(record.count); o++) {
            struct op op;
            op_at = op_get(op_at, &op);
            FUZZ_ASSERT(op_at <= at && op.key_size > 0 && op.key_size <= NODE_KEY_MAX);
            if (op.kind == VALUE_RUN || op.kind == VALUE_UNMAP)
                use_blocks(&op);
            if (op.kind == VALUE_DELETE || value_verify(op.kind, op.value, op.value_size, 1024, "operation") != VDE_OK)
                continue;
            for (unsigned e = 0; e < value_extents(op.kind, op.value); e++)
                FUZZ_ASSERT(value_extent(op.kind, op.value, e).blocks > 0);
        }
        FUZZ_ASSERT(op_at == at);
    }
    FUZZ_ASSERT(at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame frame;
    if (size < sizeof(struct disk_frame) || size > INPUT_MAX)
        return 0;
    uint8_t *bytes = calloc(1, size < 4096 ? 4096 : size);
    FUZZ_ASSERT(bytes != NULL);
    memcpy(bytes, data, size);
    struct disk_frame *head = (struct disk_frame *)(void *)bytes;
    head->magic = le32(FRAME_MAGIC);
    head->version = le32(FRAME_VERSION);
    head->seed = le64(SEED);
    head->bytes = le32((uint32_t)size);
    if (frame_peek(bytes, SEED, &frame)) {
        frame.checksum = frame_seal(bytes, &frame, SEED);
        if (frame_verify(bytes, &frame, SEED) == VDE_OK)
            use_records(bytes, &frame);
    }
    free(bytes);
    return 0;
}
