/* SPDX-License-Identifier: Apache-2.0 */
/* Which schema may follow which. */
#include "model/schema_type.h"

struct evolution {
    enum lh_flavor flavor;
    struct lh_schema_refusal *refusal;
    bool widened;
    char path[256];      /* dotted, of the field that is looked at */
};

static void type_text(const struct lh_type *type, char *text, size_t size)
{
    struct lh_buffer out = LH_BUFFER_INIT;
    lh_type_print(type, &out);
    size_t length = out.size < size ? out.size : size - 1;
    if (length)
        memcpy(text, out.data, length);
    text[length] = '\0';
    lh_buffer_done(&out);
}

static bool refuse(struct evolution *evolution, const char *rule, const char *found, const char *expected)
{
    struct lh_schema_refusal *refusal = evolution->refusal;
    memset(refusal, 0, sizeof *refusal);
    memcpy(refusal->column, evolution->path, sizeof refusal->column);
    refusal->rule = rule;
    strncpy(refusal->found, found, sizeof refusal->found - 1);
    strncpy(refusal->expected, expected, sizeof refusal->expected - 1);
    return false;
}

/* --- types ------------------------------------------------------------------------------------------------------ */

/* Decimal digits that every value of an integer type fits in, as the widening list counts them. */
static int32_t integer_digits(enum lh_type_kind kind) { return kind == LH_TYPE_LONG ? 20 : 10; }

static bool widens_delta(const struct lh_type *from, const struct lh_type *to)
{
    bool small = from->kind == LH_TYPE_BYTE || from->kind == LH_TYPE_SHORT || from->kind == LH_TYPE_INT;
    switch (to->kind) {
    case LH_TYPE_SHORT:
    case LH_TYPE_INT:
    case LH_TYPE_LONG:
        return small && from->kind < to->kind;
    case LH_TYPE_DOUBLE:
        return small || from->kind == LH_TYPE_FLOAT;
    case LH_TYPE_TIMESTAMP_NTZ:
        return from->kind == LH_TYPE_DATE;
    case LH_TYPE_DECIMAL:
        if (from->kind == LH_TYPE_DECIMAL)
            return to->scale >= from->scale && to->precision - from->precision >= to->scale - from->scale;
        if (small || from->kind == LH_TYPE_LONG)
            return to->precision - integer_digits(from->kind) >= to->scale;
        return false;
    default:
        return false;
    }
}

static bool widens_iceberg(const struct lh_type *from, const struct lh_type *to)
{
    switch (to->kind) {
    case LH_TYPE_LONG:
        return from->kind == LH_TYPE_INT;
    case LH_TYPE_DOUBLE:
        return from->kind == LH_TYPE_FLOAT;
    case LH_TYPE_DECIMAL:
        return from->kind == LH_TYPE_DECIMAL && to->scale == from->scale && to->precision >= from->precision;
    default:
        return false;
    }
}

bool lh_type_may_widen(const struct lh_type *from, const struct lh_type *to, enum lh_flavor flavor)
{
    if (lh_type_equal(from, to))
        return true;
    return flavor == LH_FLAVOR_ICEBERG ? widens_iceberg(from, to) : widens_delta(from, to);
}

/* --- columns ---------------------------------------------------------------------------------------------------- */

static const struct lh_field *counterpart(const struct lh_type *type, const struct lh_field *field)
{
    for (uint32_t i = 0; i < type->count; i++) {
        const struct lh_field *other = &type->fields[i];
        if (field->id && other->id ? field->id == other->id : lh_slice_equal(field->name, other->name))
            return other;
    }
    return NULL;
}

static size_t enter(struct evolution *evolution, struct lh_slice name)
{
    size_t before = strlen(evolution->path), room = sizeof evolution->path - before - 1;
    size_t at = before;
    if (before > 0 && room > 1) {
        evolution->path[at++] = '.';
        room--;
    }
    size_t size = name.size < room ? name.size : room;
    if (size)
        memcpy(evolution->path + at, name.data, size);
    evolution->path[at + size] = '\0';
    return before;
}

static bool evolve_children(struct evolution *evolution, const struct lh_type *old, const struct lh_type *next);

static bool evolve_field(struct evolution *evolution, const struct lh_field *old, const struct lh_field *next)
{
    if (old->nullable && !next->nullable)
        return refuse(evolution, "makes a nullable column required", "NOT NULL", "nullable, as it was");
    if (old->type.kind == next->type.kind && old->type.kind >= LH_TYPE_STRUCT)
        return evolve_children(evolution, &old->type, &next->type);
    if (lh_type_equal(&old->type, &next->type))
        return true;
    char found[96], expected[96];
    type_text(&next->type, found, sizeof found);
    type_text(&old->type, expected, sizeof expected);
    if (lh_type_may_widen(&old->type, &next->type, evolution->flavor)) {
        evolution->widened = true;
        return true;
    }
    bool narrower = lh_type_may_widen(&next->type, &old->type, LH_FLAVOR_DELTA);
    return refuse(evolution, narrower ? "narrows the type" : "changes the type", found, expected);
}

static bool evolve_children(struct evolution *evolution, const struct lh_type *old, const struct lh_type *next)
{
    for (uint32_t i = 0; i < old->count; i++) {
        const struct lh_field *field = &old->fields[i], *other = counterpart(next, field);
        size_t before = enter(evolution, field->name);
        if (!other && !field->nullable)
            return refuse(evolution, "removes a required column", "no such column", "the column");
        if (other && !evolve_field(evolution, field, other))
            return false;
        evolution->path[before] = '\0';
    }
    /* A table without columns can't hold rows, so its first columns may be required. */
    for (uint32_t i = 0; i < next->count && old->count > 0; i++) {
        const struct lh_field *field = &next->fields[i];
        if (field->nullable || counterpart(old, field))
            continue;
        enter(evolution, field->name);
        return refuse(evolution, "adds a required column", "NOT NULL", "nullable, since older rows have no value");
    }
    return true;
}

bool lh_schema_may_evolve(const struct lh_schema *old, const struct lh_schema *next, enum lh_flavor flavor,
                          struct lh_schema_refusal *ret_refusal, bool *ret_widened)
{
    struct evolution evolution = {.flavor = flavor, .refusal = ret_refusal};
    bool allowed = evolve_children(&evolution, &old->root, &next->root);
    if (ret_widened)
        *ret_widened = allowed && evolution.widened;
    return allowed;
}
