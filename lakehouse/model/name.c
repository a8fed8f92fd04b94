/* SPDX-License-Identifier: Apache-2.0 */
#include "model/name.h"

#include "model/json.h"
#include "model/time.h"

static vde_status bad_name(const char *found, const char *expected)
{
    return vde_error_set(VDE_INVAL, "name", found, expected);
}

vde_status lh_name_check_part(struct lh_slice part)
{
    if (part.size == 0)
        return bad_name("an empty part", "1 to 255 bytes");
    if (part.size > LH_NAME_PART_MAX)
        return bad_name("a part of more than 255 bytes", "1 to 255 bytes");
    if (!lh_utf8_valid(part))
        return bad_name("bytes that are no UTF-8", "valid UTF-8");
    if (lh_slice_is(part, ".") || lh_slice_is(part, ".."))
        return bad_name("'.' or '..'", "a name");
    if (part.data[0] == '_' || part.data[0] == '.')
        return bad_name("a part that begins with '_' or '.'", "another first character");
    for (size_t i = 0; i < part.size; i++) {
        uint8_t c = (uint8_t)part.data[i];
        bool c1_control = c == 0xc2 && i + 1 < part.size && (uint8_t)part.data[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1_control)
            return bad_name("a control character", "none");
        if (c == '/' || c == '@')
            return bad_name(c == '/' ? "'/'" : "'@'", "none");
    }
    return VDE_OK;
}

vde_status lh_name_split(struct lh_slice text, struct lh_name *ret_name)
{
    struct lh_name name = {.count = 0};
    const char *at = text.size ? text.data : "", *end = at + text.size;
    for (;;) {
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        struct lh_slice part = {at, (size_t)((dot ? dot : end) - at)};
        if (name.count == LH_NAME_DEPTH_MAX)
            return bad_name("more than 16 parts", "at most 16");
        vde_status status = lh_name_check_part(part);
        if (status != VDE_OK)
            return status;
        name.parts[name.count++] = part;
        if (!dot)
            break;
        at = dot + 1;
    }
    *ret_name = name;
    return VDE_OK;
}

static size_t last_dot(struct lh_slice text)
{
    size_t at = text.size;
    while (at > 0 && text.data[at - 1] != '.')
        at--;
    return at;
}

struct lh_slice lh_name_parent(struct lh_slice text)
{
    size_t at = last_dot(text);
    return (struct lh_slice){text.data, at > 0 ? at - 1 : 0};
}

struct lh_slice lh_name_leaf(struct lh_slice text)
{
    size_t at = last_dot(text);
    return (struct lh_slice){text.data + at, text.size - at};
}

vde_status lh_spec_parse(struct lh_slice text, uint64_t now_us, struct lh_spec *ret_spec)
{
    struct lh_spec spec = {.name = text, .kind = LH_SPEC_LATEST};
    const char *mark = text.size ? memchr(text.data, '@', text.size) : NULL;
    if (mark)
        spec.name.size = (size_t)(mark - text.data);
    struct lh_name parts;
    vde_status status = lh_name_split(spec.name, &parts);
    if (status != VDE_OK)
        return status;
    if (mark) {
        struct lh_slice what = {mark + 1, text.size - spec.name.size - 1};
        int64_t version;
        if (what.size > 1 && what.data[0] == 'v') {
            if (!lh_json_int64_text((struct lh_slice){what.data + 1, what.size - 1}, &version) || version < 0)
                return bad_name("a malformed version", "@v and a number, such as @v3");
            spec.kind = LH_SPEC_VERSION;
            spec.version = (uint64_t)version;
        } else if (what.size >= 4 && memcmp(what.data, "tag:", 4) == 0) {
            spec.tag = (struct lh_slice){what.data + 4, what.size - 4};
            status = lh_name_check_part(spec.tag);
            if (status != VDE_OK)
                return status;
            spec.kind = LH_SPEC_TAG;
        } else {
            status = lh_time_read(what, now_us, &spec.time_us);
            if (status != VDE_OK)
                return status;
            spec.kind = LH_SPEC_TIME;
        }
    }
    *ret_spec = spec;
    return VDE_OK;
}
