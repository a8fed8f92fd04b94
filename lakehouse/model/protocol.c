/* SPDX-License-Identifier: Apache-2.0 */
#include "model/protocol.h"

#include <stdio.h>

static void say(struct lh_verdict *verdict, const char *kind, struct lh_slice name)
{
    int size = name.size > 100 ? 100 : (int)name.size;
    snprintf(verdict->what, sizeof verdict->what, "%s %.*s", kind, size, name.data ? name.data : "");
}

static void opaque(struct lh_verdict *verdict, const char *kind, struct lh_slice name)
{
    verdict->native = verdict->writable = false;
    say(verdict, kind, name);
}

/* The first feature of a list that readers, or writers, don't understand; NULL: all are. */
static const struct lh_slice *not_understood(const struct lh_list *list, bool to_write)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct lh_feature *feature = lh_feature_find(list->items[i]);
        if (!feature || !(to_write ? feature->written : feature->read))
            return &list->items[i];
    }
    return NULL;
}

static bool judge_versions(const struct lh_protocol *protocol, struct lh_verdict *verdict)
{
    const struct lh_part *part = &protocol->part;
    int64_t reader = protocol->min_reader_version, writer = protocol->min_writer_version;
    if (!lh_has(part, LH_PROTOCOL_READER) || !lh_has(part, LH_PROTOCOL_WRITER)) {
        opaque(verdict, "protocol without", LH_SLICE("versions"));
        return false;
    }
    if (reader < 1 || reader > 3 || writer < 1) {
        bool bad_reader = reader < 1 || reader > 3;
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)(bad_reader ? reader : writer));
        opaque(verdict, bad_reader ? "reader version" : "writer version", lh_slice_of(text));
        return false;
    }
    return true;
}

/* Readers need not know what only binds writers. */
static void judge_writing(const struct lh_protocol *protocol, struct lh_verdict *verdict)
{
    const struct lh_slice *name = not_understood(&protocol->writer_features, true);
    char text[24];
    if (protocol->min_writer_version > 7) {
        snprintf(text, sizeof text, "%lld", (long long)protocol->min_writer_version);
        say(verdict, "writer version", lh_slice_of(text));
    } else if (name) {
        say(verdict, "writer feature", *name);
    } else {
        return;
    }
    verdict->writable = false;
}

void lh_protocol_judge(const struct lh_protocol *protocol, const struct lh_schema *schema, struct lh_verdict *ret_verdict)
{
    *ret_verdict = (struct lh_verdict){.native = true, .writable = true};
    if (!judge_versions(protocol, ret_verdict))
        return;
    const struct lh_slice *name = not_understood(&protocol->reader_features, false);
    char type[120];
    if (name)
        opaque(ret_verdict, "reader feature", *name);
    else if (schema && lh_schema_unknown_type(schema, type, sizeof type))
        opaque(ret_verdict, "type of column", lh_slice_of(type));
    else
        judge_writing(protocol, ret_verdict);
}

vde_status lh_protocol_judge_actions(const struct lh_protocol *protocol, const struct lh_metadata *metadata,
                                     struct lh_verdict *ret_verdict)
{
    struct lh_arena arena = LH_ARENA_INIT;
    struct lh_schema schema;
    vde_status status = lh_schema_parse_delta(&arena, metadata->schema_string, &schema);
    lh_protocol_judge(protocol, status == VDE_OK ? &schema : NULL, ret_verdict);
    if (status != VDE_OK && status != VDE_NOMEM) {
        if (ret_verdict->native)
            opaque(ret_verdict, "schema that can't be read:", lh_slice_of(vde_last_error()->found));
        status = VDE_OK;
    }
    lh_arena_done(&arena);
    return status;
}

static vde_status illegal(const char *found, const char *expected)
{
    return vde_error_set(VDE_INVAL, "protocol", found, expected);
}

vde_status lh_protocol_check(const struct lh_protocol *protocol)
{
    const struct lh_part *part = &protocol->part;
    if (!lh_has(part, LH_PROTOCOL_READER) || !lh_has(part, LH_PROTOCOL_WRITER))
        return illegal("no versions", "minReaderVersion and minWriterVersion");
    bool lists_reader = lh_has(part, LH_PROTOCOL_READER_FEATURES), lists_writer = lh_has(part, LH_PROTOCOL_WRITER_FEATURES);
    if (lists_reader != (protocol->min_reader_version == 3))
        return illegal(lists_reader ? "readerFeatures below version 3" : "no readerFeatures in version 3",
                       "readerFeatures exactly in reader version 3");
    if (lists_writer != (protocol->min_writer_version == 7))
        return illegal(lists_writer ? "writerFeatures below version 7" : "no writerFeatures in version 7",
                       "writerFeatures exactly in writer version 7");
    if (lists_reader && !lists_writer)
        return illegal("reader version 3 without writer version 7", "both");
    for (uint32_t i = 0; lists_reader && i < protocol->reader_features.count; i++) {
        if (!lh_list_has(&protocol->writer_features, protocol->reader_features.items[i]))
            return illegal("a reader feature that writerFeatures lacks", "reader features in both lists");
    }
    for (uint32_t i = 0; lists_writer && i < protocol->writer_features.count; i++) {
        const struct lh_feature *known = lh_feature_find(protocol->writer_features.items[i]);
        bool listed = lh_list_has(&protocol->reader_features, protocol->writer_features.items[i]);
        /* Column mapping may be a legacy reader feature: reader version 2 beside writer version 7. */
        bool legacy = known && known->legacy_reader_version && protocol->min_reader_version >= known->legacy_reader_version &&
                      !lists_reader;
        if (known && known->reader && !listed && !legacy)
            return illegal("a reader feature that readerFeatures lacks", "reader features in both lists");
    }
    return VDE_OK;
}
