/* SPDX-License-Identifier: Apache-2.0 */
/* gen.c -- the files that commits add, a pure function of seed, table and number, and cheap enough not to matter. */
#include <string.h>

#include "bench.h"

char *gen_digits(char *text, uint64_t number, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; number /= 10)
        text[i] = (char)('0' + number % 10);
    return text + digits;
}

static char *gen_hex(char *text, uint64_t number)
{
    for (unsigned i = 16; i-- > 0; number >>= 4)
        text[i] = "0123456789abcdef"[number & 15];
    return text + 16;
}

char *gen_text(char *text, const char *more)
{
    size_t size = strlen(more);
    memcpy(text, more, size);
    return text + size;
}

/* {"numRecords":R,"minValues":{...},"maxValues":{...},"nullCount":{...}}: ids ascend, days and amounts vary. */
static void gen_stats(char *text, uint64_t number, uint64_t hash)
{
    char *at = gen_text(text, "{\"numRecords\":");
    at = gen_digits(at, 100000 + hash % 900000, 6);
    at = gen_text(at, ",\"minValues\":{\"id\":");
    at = gen_digits(at, 1000000000000 + number * 1000000, 13);
    at = gen_text(at, ",\"day\":\"2026-11-");
    at = gen_digits(at, 1 + hash % 15, 2);
    at = gen_text(at, "\",\"amount\":");
    at = gen_digits(at, 100 + (hash >> 8) % 900, 3);
    at = gen_text(at, ".25},\"maxValues\":{\"id\":");
    at = gen_digits(at, 1000000999999 + number * 1000000, 13);
    at = gen_text(at, ",\"day\":\"2026-11-");
    at = gen_digits(at, 16 + hash % 15, 2);
    at = gen_text(at, "\",\"amount\":");
    at = gen_digits(at, 1000 + (hash >> 20) % 9000, 4);
    at = gen_text(at, ".75},\"nullCount\":{\"id\":0,\"day\":0,\"amount\":");
    at = gen_digits(at, 10 + (hash >> 32) % 90, 2);
    at = gen_text(at, "}}");
    *at = 0;
}

void gen_file(uint64_t seed, unsigned table, uint64_t number, struct gen_file *ret_file)
{
    uint64_t hash = bench_mix(seed ^ bench_mix(((uint64_t)table << 40) + number));
    char *at = gen_text(ret_file->path, "part-");
    at = gen_digits(at, number, 10);
    *at++ = '-';
    at = gen_hex(at, hash);
    at = gen_text(at, ".c000.snappy.parquet");
    *at = 0;
    ret_file->size_bytes = (int64_t)(10000000 + hash % 90000000);
    ret_file->modified_ms = (int64_t)(1790000000000 + number);
    gen_stats(ret_file->stats, number, hash);
}

size_t gen_action(const struct gen_file *file, char *text)
{
    char *at = gen_text(text, "{\"add\":{\"path\":\"");
    at = gen_text(at, file->path);
    at = gen_text(at, "\",\"partitionValues\":{},\"size\":");
    at = gen_digits(at, (uint64_t)file->size_bytes, 8);
    at = gen_text(at, ",\"modificationTime\":");
    at = gen_digits(at, (uint64_t)file->modified_ms, 13);
    at = gen_text(at, ",\"dataChange\":true,\"stats\":\"");
    for (const char *from = file->stats; *from; from++) {
        if (*from == '"')
            *at++ = '\\';
        *at++ = *from;
    }
    at = gen_text(at, "\"}}");
    return (size_t)(at - text);
}

size_t gen_commit(const struct gen_file *file, char *text)
{
    char *at = gen_text(text, "{\"commitInfo\":{\"timestamp\":");
    at = gen_digits(at, (uint64_t)file->modified_ms, 13);
    at = gen_text(at, ",\"operation\":\"WRITE\",\"operationParameters\":{\"mode\":\"Append\"}}}\n");
    at += gen_action(file, at);
    *at++ = '\n';
    return (size_t)(at - text);
}

void gen_table_name(char name[32], const char *prefix, unsigned table)
{
    char *at = gen_text(name, "bench.");
    at = gen_text(at, prefix);
    at = gen_digits(at, table, 4);
    *at = 0;
}
