/* SPDX-License-Identifier: Apache-2.0 */
#include "model/path.h"

#define NAME_MAX_BYTES 640u   /* with the table's id it is a key in the image */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool delta_path_is_external(struct lh_slice path)
{
    if (path.size > 0 && path.data[0] == '/')
        return true;
    /* A scheme ends at a colon; a slash must follow, since a file's name may hold a colon too. */
    for (size_t i = 0; i + 1 < path.size; i++) {
        char c = path.data[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (c == ':')
            return i > 0 && path.data[i + 1] == '/';
        if (!letter && (i == 0 || !later))
            return false;
    }
    return false;
}

void delta_path_decode(struct lh_slice path, struct lh_buffer *out)
{
    for (size_t i = 0; i < path.size; i++) {
        int high, low;
        if (path.data[i] == '%' && i + 2 < path.size && (high = hex_digit(path.data[i + 1])) >= 0 &&
            (low = hex_digit(path.data[i + 2])) >= 0) {
            lh_buffer_byte(out, (char)(high << 4 | low));
            i += 2;
        } else {
            lh_buffer_byte(out, path.data[i]);
        }
    }
}

void delta_path_encode(struct lh_slice path, struct lh_buffer *out)
{
    static const char hex[] = "0123456789ABCDEF", plain[] = "-_.~!*'();:@&=+$,/";
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        bool letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9');
        if (letter || (c && strchr(plain, c))) {
            lh_buffer_byte(out, c);
        } else {
            char escape[3] = {'%', hex[(uint8_t)c >> 4], hex[(uint8_t)c & 15]};
            lh_buffer_add(out, escape, 3);
        }
    }
}

bool delta_path_is_storable(struct lh_slice name)
{
    static const char log[] = "_delta_log/";
    if (name.size == 0 || name.size > NAME_MAX_BYTES || name.data[0] == '/' || !lh_utf8_valid(name))
        return false;
    if (name.size >= sizeof log - 1 && memcmp(name.data, log, sizeof log - 1) == 0)
        return false;
    size_t start = 0;
    for (size_t i = 0; i <= name.size; i++) {
        if (i < name.size && ((uint8_t)name.data[i] < 0x20 || name.data[i] == 0x7f))
            return false;
        if (i < name.size && name.data[i] != '/')
            continue;
        struct lh_slice part = {name.data + start, i - start};
        if (part.size == 0 || part.size > 255 || lh_slice_is(part, ".") || lh_slice_is(part, ".."))
            return false;
        start = i + 1;
    }
    return true;
}

/* Z85 with the alphabet of RFC 32/ZeroMQ: five characters are four bytes, big-endian. */
static bool decode_z85(struct lh_slice text, uint8_t *out)
{
    static const char alphabet[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    for (size_t i = 0; i + 5 <= text.size; i += 5) {
        uint64_t value = 0;
        for (size_t j = 0; j < 5; j++) {
            const char *hit = text.data[i + j] ? strchr(alphabet, text.data[i + j]) : NULL;
            if (!hit)
                return false;
            value = value * 85 + (uint64_t)(hit - alphabet);
        }
        if (value > UINT32_MAX)
            return false;
        for (int shift = 24; shift >= 0; shift -= 8)
            *out++ = (uint8_t)(value >> shift);
    }
    return true;
}

bool delta_dv_path(const struct lh_dv *dv, struct lh_buffer *out)
{
    static const char hex[] = "0123456789abcdef";
    struct lh_slice text = dv->path_or_inline;
    if (lh_slice_is(dv->storage_type, "p")) {
        lh_buffer_slice(out, text);
        return true;
    }
    uint8_t uuid[16];
    if (!lh_slice_is(dv->storage_type, "u") || text.size < 20 ||
        !decode_z85((struct lh_slice){text.data + text.size - 20, 20}, uuid))
        return false;
    if (text.size > 20) {
        lh_buffer_add(out, text.data, text.size - 20);
        lh_buffer_byte(out, '/');
    }
    lh_buffer_text(out, "deletion_vector_");
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            lh_buffer_byte(out, '-');
        lh_buffer_byte(out, hex[uuid[i] >> 4]);
        lh_buffer_byte(out, hex[uuid[i] & 15]);
    }
    lh_buffer_text(out, ".bin");
    return true;
}
