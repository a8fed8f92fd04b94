/* SPDX-License-Identifier: Apache-2.0 */
/* Actions from hostile text and hostile bytes. What is accepted must survive the way through all forms unchanged. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/path.h"
#include "delta/refs.h"
#include "model/action.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
    if (!cond)
        abort();
}

static void same_json(struct lh_slice a, struct lh_slice b)
{
    struct lh_json x = LH_JSON_INIT, y = LH_JSON_INIT;
    must(lh_json_parse(&x, a.data, a.size) == VDE_OK && lh_json_parse(&y, b.data, b.size) == VDE_OK);
    must(lh_json_equal(&x, 0, &y, 0));
    lh_json_done(&x);
    lh_json_done(&y);
}

/* The line's effective content: duplicate members of an action's map are kept, those of the action itself are not. */
static void round_trip(struct lh_decoder *decoder, struct lh_slice line)
{
    struct lh_action action, again;
    struct lh_buffer bytes = LH_BUFFER_INIT, text = LH_BUFFER_INIT, path = LH_BUFFER_INIT;
    int64_t rows;
    if (lh_action_from_json(decoder, line, &action) != VDE_OK)
        return;
    lh_action_to_bytes(&action, &bytes);
    struct lh_reader reader = {(const uint8_t *)bytes.data, bytes.size, 0, false};
    must(lh_action_from_bytes(decoder, &reader, &again) == VDE_OK && reader.offset == bytes.size);
    lh_action_to_json(&again, &text);
    must(lh_buffer_status(&bytes) == VDE_OK && lh_buffer_status(&text) == VDE_OK);
    same_json(line, (struct lh_slice){text.data, text.size});
    if (action.kind == LH_ACTION_ADD) {
        (void)lh_file_num_records(decoder, &action.file, &rows);
        lh_file_key(&action.file, &path);
        if (lh_has(&action.part, LH_FILE_DV))
            (void)delta_dv_path(&action.file.dv, &path);
    }
    struct delta_refs refs = DELTA_REFS_INIT;
    must(delta_refs_note(&refs, &action, 1) == VDE_OK);
    delta_refs_done(&refs);
    lh_buffer_done(&path);
    lh_buffer_done(&text);
    lh_buffer_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_decoder decoder = LH_DECODER_INIT;
    struct lh_slice rest = {(const char *)data, size}, line;
    while (lh_ndjson_next(&rest, &line))
        round_trip(&decoder, line);
    struct lh_reader reader = {data, size, 0, false};
    struct lh_action action;
    struct lh_buffer out = LH_BUFFER_INIT;
    while (reader.offset < size && lh_action_from_bytes(&decoder, &reader, &action) == VDE_OK)
        lh_action_to_json(&action, &out);
    lh_buffer_done(&out);
    lh_decoder_done(&decoder);
    return 0;
}
