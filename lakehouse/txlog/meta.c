/* SPDX-License-Identifier: Apache-2.0 */
/* meta.c -- protocol and metaData in force, decoded once per change. */
#include <stdlib.h>

#include <lakehouse/txn.h>

#include "model/protocol.h"
#include "state/fail.h"
#include "txlog/lakehouse.h"

static bool property_is(const struct lh_metadata *metadata, const char *key, const char *value)
{
    const struct lh_pair *pair = lh_map_find(&metadata->configuration, lh_slice_of(key));
    return pair && !pair->null && lh_slice_is(pair->value, value);
}

/* Rules that only whoever wrote the rows can keep. They bind when the table uses them, not when the protocol merely
 * allows them. */
static const char *find_writer_duty(const struct lh_metadata *metadata)
{
    static const struct {
        const char *in_schema;
        const char *feature;
    } marks[] = {{"delta.invariants", "invariants"},
                 {"delta.generationExpression", "generatedColumns"},
                 {"delta.identity.", "identityColumns"}};
    struct lh_slice schema = metadata->schema_string;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (schema.size && memmem(schema.data, schema.size, marks[i].in_schema, strlen(marks[i].in_schema)))
            return marks[i].feature;
    for (uint32_t i = 0; i < metadata->configuration.count; i++) {
        struct lh_slice key = metadata->configuration.pairs[i].key;
        if (key.size > 18 && memcmp(key.data, "delta.constraints.", 18) == 0)
            return "checkConstraints";
    }
    return property_is(metadata, "delta.enableRowTracking", "true") ? "rowTracking" : NULL;
}

static vde_status decode(struct lh_meta *meta, struct lh_slice protocol, struct lh_slice metadata)
{
    meta->protocol_size = protocol.size;
    lh_buffer_slice(&meta->bytes, protocol);
    lh_buffer_slice(&meta->bytes, metadata);
    LH_TRY(lh_buffer_status(&meta->bytes));
    struct lh_reader reader = {(const uint8_t *)meta->bytes.data, meta->bytes.size, 0, false};
    LH_TRY(lh_action_from_bytes(&meta->decoder, &reader, &meta->protocol));
    LH_TRY(lh_action_from_bytes(&meta->decoder, &reader, &meta->metadata));
    if (meta->protocol.kind != LH_ACTION_PROTOCOL || meta->metadata.kind != LH_ACTION_METADATA)
        return vde_error_set(VDE_CORRUPT, "table head", "other actions", "protocol and metaData");
    return VDE_OK;
}

vde_status lh_meta_create(struct lh_slice protocol, uint64_t protocol_version, struct lh_slice metadata,
                          uint64_t metadata_version, struct lh_meta **ret_meta)
{
    struct lh_meta *meta = calloc(1, sizeof *meta);
    if (!meta)
        return lh_fail_nomem("table head");
    atomic_store(&meta->refs, 1);
    meta->protocol_version = protocol_version;
    meta->metadata_version = metadata_version;
    vde_status status = decode(meta, protocol, metadata);
    if (status == VDE_OK) {
        vde_status read = lh_partition_keys_read(&meta->decoder.arena, &meta->metadata, &meta->partitions);
        meta->partitions_known = read == VDE_OK;
        status = read == VDE_NOMEM ? read : VDE_OK;
    }
    if (status != VDE_OK) {
        lh_meta_unref(meta);
        return status;
    }
    const struct lh_metadata *m = &meta->metadata.metadata;
    meta->append_only = property_is(m, "delta.appendOnly", "true");
    meta->in_commit_timestamps = property_is(m, "delta.enableInCommitTimestamps", "true");
    meta->isolation = property_is(m, "delta.isolationLevel", "WriteSerializable") ? LH_WRITE_SERIALIZABLE
                      : property_is(m, "delta.isolationLevel", "Serializable")    ? LH_SERIALIZABLE
                                                                                  : -1;
    meta->writer_duty = find_writer_duty(m);
    *ret_meta = meta;
    return VDE_OK;
}

struct lh_meta *lh_meta_ref(struct lh_meta *meta)
{
    if (meta)
        atomic_fetch_add(&meta->refs, 1);
    return meta;
}

void lh_meta_unref(struct lh_meta *meta)
{
    if (!meta || atomic_fetch_sub(&meta->refs, 1) != 1)
        return;
    lh_buffer_done(&meta->bytes);
    lh_decoder_done(&meta->decoder);
    free(meta);
}
