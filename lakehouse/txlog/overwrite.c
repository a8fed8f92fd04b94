/* SPDX-License-Identifier: Apache-2.0 */
#include "txlog/overwrite.h"

#include "state/fail.h"

/* --- building ----------------------------------------------------------------------------------------------------- */
vde_status lh_txn_overwrite(lh_txn *txn, size_t member, const struct lh_read_column *columns, size_t count)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    if (m->overwrite)
        return lh_fail(LH_VALIDATION, "commit to table %s|two overwrites|one at most", m->name.data);
    for (size_t i = 0; i < count; i++) {
        if (!columns[i].column || columns[i].value_count == 0)
            return lh_fail(LH_VALIDATION, "overwrite of table %s|a column without values|one value at least", m->name.data);
        for (size_t j = 0; j < i; j++)
            if (strcmp(columns[i].column, columns[j].column) == 0)
                return lh_fail(LH_VALIDATION, "overwrite of table %s|a column named twice|once, with all its values", m->name.data);
    }
    uint32_t first = m->predicate_count;
    if (count)
        LH_TRY(lh_txn_read_partitions(txn, member, columns, count));
    else
        LH_TRY(lh_txn_read_all(txn, member));
    m->overwritten = m->predicates + first;
    m->overwritten_count = (uint32_t)count;
    m->overwrite = m->data_change = true;
    return VDE_OK;
}

vde_status lh_txn_replace_files(lh_txn *txn, size_t member, const char *const *paths, size_t count)
{
    struct lh_member_txn *m = NULL;
    LH_TRY(lh_txn_member_at(txn, member, &m));
    if (count == 0)
        return lh_fail(LH_VALIDATION, "commit to table %s|nothing to replace|one path at least", m->name.data);
    for (size_t i = 0; i < count; i++) {
        LH_TRY(lh_txn_remove_file(txn, member, paths[i], false));
        LH_TRY(lh_txn_read_file(txn, member, paths[i]));
    }
    return VDE_OK;
}

/* --- matching ----------------------------------------------------------------------------------------------------- */
static const struct lh_partition_key *key_of(const struct lh_meta *meta, struct lh_slice name)
{
    for (uint32_t i = 0; i < meta->partitions.count; i++)
        if (lh_slice_equal(meta->partitions.items[i].name, name))
            return &meta->partitions.items[i];
    return NULL;
}

/* The one text of a value that can be spelled in several ways. */
static vde_status settle_text(const struct lh_type *type, struct lh_slice text, struct lh_arena *arena, struct lh_slice *ret)
{
    struct lh_value value;
    struct lh_buffer out = LH_BUFFER_INIT;
    LH_TRY(lh_value_parse(type, text, arena, &value));
    if (value.null) {
        *ret = (struct lh_slice){NULL, 0};
        return VDE_OK;
    }
    lh_value_print(type, &value, &out);
    vde_status status = lh_buffer_status(&out);
    if (status == VDE_OK)
        status = lh_arena_copy(arena, (struct lh_slice){out.data, out.size}, ret);
    lh_buffer_done(&out);
    return status;
}

static vde_status predicate_holds(const struct lh_predicate *p, const struct lh_partition_key *key, const struct lh_pair *pair,
                                  struct lh_arena *arena, bool *ret_holds)
{
    bool is_null = !pair || pair->null || pair->value.size == 0;
    struct lh_slice text = {NULL, 0};
    *ret_holds = false;
    if (!is_null)
        LH_TRY(lh_fail_again(settle_text(&key->type, pair->value, arena, &text), LH_VALIDATION));
    for (uint32_t i = 0; i < p->count && !*ret_holds; i++) {
        struct lh_slice want = {NULL, 0};
        if (p->values[i].size)
            LH_TRY(settle_text(&key->type, p->values[i], arena, &want));
        *ret_holds = is_null ? want.size == 0 : want.size && lh_slice_equal(want, text);
    }
    return VDE_OK;
}

vde_status lh_overwrite_matches(const struct lh_member_txn *member, const struct lh_meta *meta, const struct lh_map *values,
                                struct lh_arena *arena, bool *ret_matches)
{
    *ret_matches = true;
    for (uint32_t i = 0; i < member->overwritten_count && *ret_matches; i++) {
        const struct lh_predicate *p = &member->overwritten[i];
        LH_TRY(predicate_holds(p, key_of(meta, p->column), lh_map_find(values, p->column), arena, ret_matches));
    }
    return VDE_OK;
}

/* --- judging ------------------------------------------------------------------------------------------------------ */
static vde_status check_predicate(const struct lh_member_txn *m, const struct lh_meta *meta, struct lh_arena *arena)
{
    for (uint32_t i = 0; i < m->overwritten_count; i++) {
        const struct lh_predicate *p = &m->overwritten[i];
        const struct lh_partition_key *key = key_of(meta, p->column);
        struct lh_slice text;
        if (!key)
            return lh_fail(LH_VALIDATION, "overwrite of table %s|column %.200s|one of its partition columns", m->name.data,
                           p->column.data);
        for (uint32_t v = 0; v < p->count; v++)
            if (p->values[v].size && settle_text(&key->type, p->values[v], arena, &text) != VDE_OK)
                return lh_fail(LH_VALIDATION, "overwrite of table %s|a value for column %.200s that is none of its type|"
                               "one of its type", m->name.data, p->column.data);
    }
    return VDE_OK;
}

static vde_status check_adds(const struct lh_member_txn *m, const struct lh_meta *meta, struct lh_decoder *decoder)
{
    struct lh_record record = {.action_count = m->action_count, .actions = {m->actions.data, m->actions.size}};
    struct lh_action_walk walk;
    struct lh_action action;
    vde_status status;
    lh_action_walk_init(&walk, decoder, &record);
    while ((status = lh_action_walk_next(&walk, &action)) == VDE_OK) {
        bool matches = true;
        if (action.kind == LH_ACTION_ADD)
            LH_TRY(lh_overwrite_matches(m, meta, &action.file.partition_values, &decoder->arena, &matches));
        if (!matches)
            return lh_fail(LH_VALIDATION, "overwrite of table %s|an added file outside of what is overwritten|files inside",
                           m->name.data);
    }
    return status == VDE_NOT_FOUND ? VDE_OK : status;
}

/* --- parameters --------------------------------------------------------------------------------------------------- */
/* As an SQL text literal. */
static void print_literal(struct lh_slice text, struct lh_buffer *out)
{
    lh_buffer_byte(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'' || text.data[i] == '\\')
            lh_buffer_byte(out, '\\');
        lh_buffer_byte(out, text.data[i]);
    }
    lh_buffer_byte(out, '\'');
}

static void print_name(struct lh_slice name, struct lh_buffer *out)
{
    bool plain = name.size > 0;
    for (size_t i = 0; i < name.size && plain; i++)
        plain = name.data[i] == '_' || (name.data[i] >= 'a' && name.data[i] <= 'z') || (name.data[i] >= 'A' && name.data[i] <= 'Z') ||
                (i && name.data[i] >= '0' && name.data[i] <= '9');
    for (size_t i = 0; i < name.size || (i == 0 && !plain); i++) {
        if (i == 0 && !plain)
            lh_buffer_byte(out, '`');
        if (i < name.size && name.data[i] == '`')
            lh_buffer_byte(out, '`');
        if (i < name.size)
            lh_buffer_byte(out, name.data[i]);
    }
    if (!plain)
        lh_buffer_byte(out, '`');
}

static void print_condition(const struct lh_predicate *p, struct lh_buffer *out)
{
    uint32_t values = 0;
    for (uint32_t i = 0; i < p->count; i++)
        values += p->values[i].size != 0;
    bool null = values < p->count;
    if (null && values)
        lh_buffer_byte(out, '(');
    if (null) {
        print_name(p->column, out);
        lh_buffer_text(out, " IS NULL");
    }
    if (null && values)
        lh_buffer_text(out, " OR ");
    if (values) {
        const char *before = values == 1 ? " = " : " IN (";
        print_name(p->column, out);
        for (uint32_t i = 0; i < p->count; i++) {
            if (p->values[i].size == 0)
                continue;
            lh_buffer_text(out, before);
            print_literal(p->values[i], out);
            before = ", ";
        }
    }
    if (values > 1)
        lh_buffer_byte(out, ')');
    if (null && values)
        lh_buffer_byte(out, ')');
}

/* Spark's: a JSON object whose values are texts. */
static void print_parameters(const struct lh_member_txn *m, const struct lh_meta *meta, struct lh_buffer *text,
                             struct lh_buffer *out)
{
    const struct lh_list *columns = &meta->metadata.metadata.partition_columns;
    lh_buffer_byte(text, '[');
    for (uint32_t i = 0; i < columns->count; i++) {
        if (i)
            lh_buffer_byte(text, ',');
        lh_json_print_string(text, columns->items[i]);
    }
    lh_buffer_byte(text, ']');
    lh_buffer_text(out, "{\"mode\":\"Overwrite\",\"partitionBy\":");
    lh_json_print_string(out, (struct lh_slice){text->data, text->size});
    if (m->overwritten_count) {
        lh_buffer_clear(text);
        for (uint32_t i = 0; i < m->overwritten_count; i++) {
            if (i)
                lh_buffer_text(text, " AND ");
            print_condition(&m->overwritten[i], text);
        }
        lh_buffer_text(out, ",\"predicate\":");
        lh_json_print_string(out, (struct lh_slice){text->data, text->size});
    }
    lh_buffer_byte(out, '}');
}

static vde_status add_info(struct lh_member_txn *m, const struct lh_meta *meta)
{
    struct lh_action info = {.kind = LH_ACTION_COMMIT_INFO};
    struct lh_buffer text = LH_BUFFER_INIT, parameters = LH_BUFFER_INIT;
    print_parameters(m, meta, &text, &parameters);
    vde_status status = lh_buffer_status(&text);
    if (status == VDE_OK)
        status = lh_buffer_status(&parameters);
    if (status == VDE_OK) {
        info.info.part.set = LH_INFO_OPERATION_PARAMETERS;
        info.info.operation_parameters = (struct lh_slice){parameters.data, parameters.size};
        lh_action_to_bytes(&info, &m->first);
        m->first_count++;
        m->flags |= LH_RECORD_OWN_INFO;
        status = lh_buffer_status(&m->first);
    }
    lh_buffer_done(&text);
    lh_buffer_done(&parameters);
    return status;
}

vde_status lh_overwrite_prepare(struct lh_member_txn *member, const struct lh_meta *meta)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    if (!member->overwrite)
        return VDE_OK;
    vde_status status = check_predicate(member, meta, &decoder.arena);
    if (status == VDE_OK && member->overwritten_count)
        status = check_adds(member, meta, &decoder);
    lh_decoder_done(&decoder);
    return status == VDE_OK && !member->has_info ? add_info(member, meta) : status;
}
