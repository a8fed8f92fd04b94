/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian fields, checked arithmetic, compression, checksums, lock ranks. */
#include <criterion/criterion.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/checksum.h"
#include "base/compress.h"
#include "base/le.h"
#include "base/lock.h"
#include "support.h"

Test(le, fields_have_the_bytes_of_the_format)
{
    vde_le16 a = le16(0x1234);
    vde_le32 b = le32(0x12345678);
    vde_le64 c = le64(0x123456789abcdef0u);
    static const uint8_t expected[8] = {0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12};
    cr_assert(a.b[0] == 0x34 && a.b[1] == 0x12);
    cr_assert(b.b[0] == 0x78 && b.b[3] == 0x12);
    cr_assert_arr_eq(c.b, expected, 8);
    cr_assert_eq(le16_get(a), 0x1234);
    cr_assert_eq(le32_get(b), 0x12345678);
    cr_assert_eq(le64_get(c), 0x123456789abcdef0u);
    static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x80000000u, UINT32_MAX, INT64_MAX, UINT64_MAX};
    uint8_t last[8] = {0}, key[8];
    for (unsigned i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        cr_assert_eq(le64_get(le64(edges[i])), edges[i]);
        cr_assert_eq(le32_get(le32((uint32_t)edges[i])), (uint32_t)edges[i]);
        cr_assert_eq(le16_get(le16((uint16_t)edges[i])), (uint16_t)edges[i]);
        be64_put(key, edges[i]);
        cr_assert_eq(be64_get(key), edges[i]);
        cr_assert(i == 0 || memcmp(last, key, 8) < 0, "byte order is number order");
        memcpy(last, key, 8);
    }
}

Test(checked, arithmetic_does_not_wrap)
{
    uint64_t sum;
    size_t product;
    cr_assert(checked_add(1u, 2u, &sum) && sum == 3);
    cr_assert_not(checked_add(UINT64_MAX, 1u, &sum));
    cr_assert(checked_add(UINT64_MAX, 0u, &sum));
    cr_assert(checked_mul((size_t)3, (size_t)4, &product) && product == 12);
    cr_assert_not(checked_mul(SIZE_MAX / 2, (size_t)3, &product));
    cr_assert_eq(round_up(0, 4096), 0);
    cr_assert_eq(round_up(1, 4096), 4096);
    cr_assert_eq(round_up(4096, 4096), 4096);
    cr_assert_eq(div_up(0, 7), 0);
    cr_assert_eq(div_up(1, 7), 1);
    cr_assert_eq(div_up(14, 7), 2);
    cr_assert_eq(div_up(UINT64_MAX, 2), UINT64_MAX / 2 + 1);
    cr_assert_eq(min_u64(1, UINT64_MAX), 1);
    cr_assert_eq(max_u64(1, UINT64_MAX), UINT64_MAX);
}

Test(compress, round_trips_and_bounds)
{
    static const size_t sizes[] = {0, 1, 100, 4096, 65536, 1000000};
    for (unsigned i = 0; i < 6; i++)
        for (unsigned random = 0; random < 2; random++) {
            size_t size = sizes[i], bound = compress_bound(size);
            uint8_t *raw = calloc(1, size + 1), *packed = malloc(bound), *back = malloc(size + 1);
            if (random)
                fill_bytes(raw, size, i);
            size_t packed_size = compress_pack(packed, bound, raw, size, 3);
            cr_assert(packed_size > 0 && packed_size <= bound);
            cr_assert_eq(compress_unpack(back, size, packed, packed_size, "x"), VDE_OK);
            cr_assert_arr_eq(back, raw, size);
            if (random && size > 100)
                cr_assert_eq(compress_pack(packed, size - 1, raw, size, 3), 0, "it must not claim to fit");
            if (size > 0) {
                cr_assert_eq(compress_unpack(back, size - 1, packed, packed_size, "x"), VDE_CORRUPT);
                cr_assert_eq(compress_unpack(back, size + 1, packed, packed_size, "x"), VDE_CORRUPT);
                cr_assert_eq(compress_unpack(back, size, packed, packed_size - 1, "named"), VDE_CORRUPT);
                cr_assert(strstr(vde_last_error()->text, "named"));
                packed[0] ^= 0xff;
                cr_assert_eq(compress_unpack(back, size, packed, packed_size, "x"), VDE_CORRUPT);
            }
            free(raw);
            free(packed);
            free(back);
        }
}

Test(checksum, depends_on_every_bit_and_the_seed)
{
    uint8_t bytes[300];
    fill_bytes(bytes, sizeof bytes, 1);
    uint64_t sum = checksum(bytes, sizeof bytes, 5);
    cr_assert_eq(checksum(bytes, sizeof bytes, 5), sum);
    cr_assert_neq(checksum(bytes, sizeof bytes, 6), sum);
    cr_assert_neq(checksum(bytes, sizeof bytes - 1, 5), sum);
    for (unsigned bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(checksum(bytes, sizeof bytes, 5), sum);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(checksum(NULL, 0, 0), 0x2d06800538d394c2u, "XXH3-64 of nothing");
}

#ifdef VDE_ASSERTIONS
/* Did `first` then `second` end the process? */
static bool traps(enum lock_rank first, enum lock_rank second, bool drop)
{
    pid_t child = fork();
    if (child == 0) {
        struct lock a, b;
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        lock_init(&a, first);
        lock_init(&b, second);
        lock_take(&a);
        if (drop)
            lock_drop(&a);
        lock_take(&b);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

Test(lock, ranks_are_enforced)
{
    for (int first = LOCK_CHECKPOINT; first <= LOCK_DEVICE; first++)
        for (int second = LOCK_CHECKPOINT; second <= LOCK_DEVICE; second++)
            cr_assert_eq(traps((enum lock_rank)first, (enum lock_rank)second, false), second <= first, "%d then %d",
                         first, second);
    cr_assert_not(traps(LOCK_DEVICE, LOCK_CHECKPOINT, true));
}
#endif

Test(lock, knows_what_is_held)
{
    struct lock a;
    lock_init(&a, LOCK_GATE);
    lock_take(&a);
    cr_assert(lock_held(&a));
    lock_drop(&a);
#ifdef VDE_ASSERTIONS
    cr_assert_not(lock_held(&a));
#endif
    lock_done(&a);
}
