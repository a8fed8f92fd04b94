/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas, names and times from hostile text: what is accepted is printed in a form that is accepted again and means the
 * same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/name.h"
#include "model/schema.h"
#include "model/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
    if (!cond)
        abort();
}

static void again(struct lh_arena *arena, const struct lh_schema *schema)
{
    struct lh_schema other;
    struct lh_buffer delta = LH_BUFFER_INIT, iceberg = LH_BUFFER_INIT;
    struct lh_schema_refusal refusal;
    int32_t last = 0;
    char text[64];
    if (lh_schema_print_delta(schema, &delta) == VDE_OK) {
        must(lh_schema_parse_delta(arena, (struct lh_slice){delta.data, delta.size}, &other) == VDE_OK);
        must(lh_type_equal(&schema->root, &other.root));
    }
    (void)lh_schema_unknown_type(schema, text, sizeof text);
    /* Foreign schemas may name a column twice, so not even this has a fixed answer. */
    (void)lh_schema_may_evolve(schema, schema, LH_FLAVOR_DELTA, &refusal, NULL);
    other = *schema;
    lh_schema_assign_ids(&other, NULL, &last);
    (void)lh_schema_print_iceberg(&other, &iceberg);
    lh_buffer_done(&delta);
    lh_buffer_done(&iceberg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_slice text = {(const char *)data, size};
    struct lh_schema schema, other;
    struct lh_spec spec;
    uint64_t time, back;
    if (lh_schema_parse_ddl(&arena, text, &schema) == VDE_OK) {
        struct lh_buffer ddl = LH_BUFFER_INIT;
        lh_schema_print_ddl(&schema, &ddl);
        must(lh_schema_parse_ddl(&arena, (struct lh_slice){ddl.data, ddl.size}, &other) == VDE_OK);
        must(lh_type_equal(&schema.root, &other.root));
        lh_buffer_done(&ddl);
        again(&arena, &schema);
    }
    if (lh_schema_parse_delta(&arena, text, &schema) == VDE_OK)
        again(&arena, &schema);
    (void)lh_schema_parse_any(&arena, text, &schema);
    (void)lh_spec_parse(text, 1000000000, &spec);
    if (lh_time_read(text, 1000000000, &time) == VDE_OK && time < 253402300800000000u) {
        char printed[LH_TIME_TEXT_SIZE];
        lh_time_print(time, printed);
        must(lh_time_read(lh_slice_of(printed), 0, &back) == VDE_OK && back == time);
    }
    lh_arena_done(&arena);
    return 0;
}
