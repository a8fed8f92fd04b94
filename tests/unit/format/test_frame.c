/* SPDX-License-Identifier: Apache-2.0 */
/* Log frames: what is sealed verifies, and no flipped byte gets through. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/checksum.h"
#include "format/frame.h"

#define SEED 0x1234567890abcdefull

static _Alignas(4096) uint8_t buffer[3 * BLOCK_BYTES];

/* Records of 0 to 4 operations each; returns the size with the header. */
static uint32_t build_records(unsigned records, uint64_t first_lsn)
{
    memset(buffer, 0, sizeof buffer);
    size_t at = sizeof(struct disk_frame);
    for (unsigned r = 0; r < records; r++) {
        size_t start = at;
        at += sizeof(struct disk_record);
        for (unsigned o = 0; o < r % 5; o++) {
            uint8_t key[40], value[100];
            memset(key, (int)(r + o), sizeof key);
            memset(value, (int)(r * o), sizeof value);
            struct op op = {16 + r, key, 1 + (r * 13 + o) % sizeof key, o, value, o == 3 ? 0 : (r * 31 + o) % 100};
            op_put(buffer + at, &op);
            at += op_size(op.key_size, op.value_size);
        }
        struct disk_record d = {le64(first_lsn + r), le64(1000 + r), le32((uint32_t)(at - start)), le32(r % 5),
                                le32(0), le32(0)};
        memcpy(buffer + start, &d, sizeof d);
    }
    return (uint32_t)at;
}

static struct frame sealed(unsigned records)
{
    struct frame frame = {.epoch = 4, .position = 40960, .first_lsn = 100, .chain = 9, .flushed_through = 99,
                          .count = records, .bytes = build_records(records, 100)};
    frame.checksum = frame_seal(buffer, &frame, SEED);
    return frame;
}

Test(frame, reads_back_what_was_sealed)
{
    for (unsigned records = 0; records < 20; records++) {
        struct frame frame = sealed(records), got;
        cr_assert(frame_peek(buffer, SEED, &got));
        cr_assert_eq(got.epoch, frame.epoch);
        cr_assert_eq(got.position, frame.position);
        cr_assert_eq(got.first_lsn, frame.first_lsn);
        cr_assert_eq(got.count, frame.count);
        cr_assert_eq(got.bytes, frame.bytes);
        cr_assert_eq(got.chain, frame.chain);
        cr_assert_eq(got.flushed_through, frame.flushed_through);
        cr_assert_eq(got.checksum, frame.checksum);
        cr_assert_eq(frame_verify(buffer, &got, SEED), VDE_OK, "%s", vde_last_error()->text);
    }
}

Test(frame, operations_read_back)
{
    uint8_t at[64];
    struct op op = {77, (const uint8_t *)"key", 3, 2, (const uint8_t *)"value", 5}, got;
    op_put(at, &op);
    cr_assert_eq(op_get(at, &got), at + op_size(3, 5));
    cr_assert_eq(got.dataset, 77);
    cr_assert_eq(got.kind, 2);
    cr_assert_eq(got.key_size, 3);
    cr_assert_arr_eq(got.key, "key", 3);
    cr_assert_eq(got.value_size, 5);
    cr_assert_arr_eq(got.value, "value", 5);
}

/* What a reader does: peek, bound by its buffer, verify. */
static bool passes(void)
{
    struct frame got;
    return frame_peek(buffer, SEED, &got) && got.bytes <= sizeof buffer && frame_verify(buffer, &got, SEED) == VDE_OK;
}

Test(frame, every_flipped_bit_is_rejected)
{
    struct frame frame = sealed(12);
    for (size_t i = 0; i < frame.bytes; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            buffer[i] ^= (uint8_t)(1u << bit);
            cr_assert(!passes(), "byte %zu bit %u", i, bit);
            buffer[i] ^= (uint8_t)(1u << bit);
        }
    cr_assert(passes());
}

/* Bytes changed and the checksum made right again: never out of bounds (the sanitizer watches), and every operation of a
 * frame that passes lies inside it. */
Test(frame, with_repaired_checksum_is_safe)
{
    struct frame frame = sealed(12);
    static const uint8_t patterns[] = {0x01, 0x80, 0xff};
    for (size_t i = 0; i < frame.bytes; i++)
        for (size_t p = 0; p < sizeof patterns; p++) {
            buffer[i] ^= patterns[p];
            struct frame got;
            if (frame_peek(buffer, SEED, &got) && got.bytes <= sizeof buffer && got.bytes >= sizeof(struct disk_frame)) {
                struct frame again = got;
                again.checksum = frame_seal(buffer, &got, SEED);
                if (frame_verify(buffer, &again, SEED) == VDE_OK) {
                    const uint8_t *at = buffer + sizeof(struct disk_frame);
                    for (uint32_t r = 0; r < again.count; r++) {
                        struct disk_record d;
                        memcpy(&d, at, sizeof d);
                        const uint8_t *op_at = at + sizeof d;
                        struct op op;
                        for (uint32_t o = 0; o < le32_get(d.count); o++) {
                            op_at = op_get(op_at, &op);
                            cr_assert_leq(op.key_size, 768);
                        }
                        at += le32_get(d.bytes);
                        cr_assert_eq(op_at, at);
                    }
                    cr_assert_eq(at, buffer + again.bytes);
                }
            }
            sealed(12);
        }
}

Test(frame, of_another_image_or_position_is_rejected)
{
    struct frame frame = sealed(3), got;
    cr_assert(!frame_peek(buffer, SEED + 1, &got));
    struct disk_frame moved;
    memcpy(&moved, buffer, sizeof moved);
    moved.position = le64(frame.position + BLOCK_BYTES);
    memcpy(buffer, &moved, sizeof moved);
    cr_assert(!passes());
}

Test(frame, sizes_that_lie_are_rejected)
{
    struct frame got;
    struct disk_frame d;
    sealed(0);
    memcpy(&d, buffer, sizeof d);
    d.bytes = le32(10); /* less than the header */
    memcpy(buffer, &d, sizeof d);
    cr_assert(!frame_peek(buffer, SEED, &got));
    d.bytes = le32(96);
    d.position = le64(100);
    memcpy(buffer, &d, sizeof d);
    cr_assert(!frame_peek(buffer, SEED, &got));
}
