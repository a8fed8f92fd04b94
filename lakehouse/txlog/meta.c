/* SPDX-License-Identifier: Apache-2.0 */
/* meta.c -- protocol and metaData in force, decoded once per change. */
#include <stdlib.h>

#include <lakehouse/txn.h>

#include "model/protocol.h"
#include "state/fail.h"
#include "txlog/lakehouse.h"

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

static vde_status judge(struct lh_meta *meta, enum lh_table_format format)
{
    const struct lh_metadata *m = &meta->metadata.metadata;
    const struct lh_protocol *p = &meta->protocol.protocol;
    struct lh_verdict verdict;
    meta->rules = lh_feature_rules(p, m);
    meta->isolation = lh_property_is(&m->configuration, "delta.isolationLevel", "WriteSerializable") ? LH_WRITE_SERIALIZABLE
                      : lh_property_is(&m->configuration, "delta.isolationLevel", "Serializable")    ? LH_SERIALIZABLE
                                                                                                     : -1;
    if (format == LH_FORMAT_ICEBERG)
        meta->rules &= LH_ASKS_APPEND_ONLY;
    else
        LH_TRY(lh_feature_duties(p, m, &meta->duties));
    lh_protocol_judge(p, NULL, &verdict);
    if (!verdict.writable)
        memcpy(meta->refusal, verdict.what, sizeof meta->refusal);
    return VDE_OK;
}

vde_status lh_meta_create(const struct lh_meta_source *source, struct lh_meta **ret_meta)
{
    struct lh_meta *meta = calloc(1, sizeof *meta);
    if (!meta)
        return lh_fail_nomem("table head");
    atomic_store(&meta->refs, 1);
    meta->protocol_version = source->protocol_version;
    meta->metadata_version = source->metadata_version;
    vde_status status = decode(meta, source->protocol, source->metadata);
    if (status == VDE_OK)
        status = lh_arena_copy(&meta->arena, source->clustering, &meta->clustering);
    if (status == VDE_OK)
        status = judge(meta, source->format);
    if (status == VDE_OK) {
        vde_status read = lh_partition_keys_read(&meta->decoder.arena, &meta->metadata, &meta->partitions);
        meta->partitions_known = read == VDE_OK;
        status = read == VDE_NOMEM ? read : VDE_OK;
    }
    if (status != VDE_OK) {
        lh_meta_unref(meta);
        return status;
    }
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
    lh_arena_done(&meta->arena);
    free(meta);
}
