/* SPDX-License-Identifier: Apache-2.0 */
/* transforms.c -- a line "transform<TAB>type as DDL<TAB>value" in, the partition value out; "null" for null. For
 * test-transforms.py. */
#include <stdio.h>
#include <string.h>

#include "model/transform.h"

static vde_status answer(struct lh_arena *arena, char *line, struct lh_buffer *out)
{
    char ddl[128];
    struct lh_transform transform;
    struct lh_schema schema;
    struct lh_type result;
    struct lh_value value;
    char *type = strchr(line, '\t'), *text = type ? strchr(type + 1, '\t') : NULL;
    if (!text)
        return VDE_INVAL;
    *type++ = *text++ = '\0';
    snprintf(ddl, sizeof ddl, "x %s", type);
    vde_status status = lh_schema_parse_ddl(arena, lh_slice_of(ddl), &schema);
    if (status == VDE_OK)
        status = lh_transform_parse(lh_slice_of(line), &transform);
    const struct lh_type *source = status == VDE_OK ? &schema.root.fields[0].type : NULL;
    if (status == VDE_OK)
        status = lh_transform_result(&transform, source, &result);
    if (status == VDE_OK)
        status = lh_value_parse(source, lh_slice_of(text), arena, &value);
    if (status != VDE_OK)
        return status;
    struct lh_value changed = lh_transform_apply(&transform, source, &value);
    if (changed.null)
        lh_buffer_text(out, "null");
    else
        lh_value_print(&result, &changed, out);
    return lh_buffer_status(out);
}

int main(void)
{
    static char line[4096];
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_buffer out = LH_BUFFER_INIT;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        lh_buffer_clear(&out);
        lh_arena_reset(&arena);
        if (answer(&arena, line, &out) != VDE_OK)
            printf("error: %s\n", vde_last_error()->text);
        else
            printf("%.*s\n", (int)out.size, out.data ? out.data : "");
    }
    lh_buffer_done(&out);
    lh_arena_done(&arena);
    return 0;
}
