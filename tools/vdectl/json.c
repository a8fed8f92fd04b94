/* SPDX-License-Identifier: Apache-2.0 */
/* json.c -- JSON for programs: values without doubles, and long arrays printed as they come. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

json_t *json_u64(uint64_t value)
{
    /* jansson's integers are signed; nothing that an image counts comes near the limit. */
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *json_time(uint64_t us)
{
    char text[OUT_TEXT];
    return json_string(out_time(us, text));
}

json_t *json_bytes(const char *text, size_t size)
{
    json_t *value = json_stringn(text, size);
    if (value)
        return value;
    /* Not UTF-8: keep the ASCII part of it readable rather than fail. */
    char *copy = cli_alloc(NULL, size * 3 + 1);
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x80) {
            copy[used++] = text[i];
        } else {
            memcpy(copy + used, "\xef\xbf\xbd", 3);
            used += 3;
        }
    }
    value = json_stringn(copy, used);
    free(copy);
    return value;
}

json_t *json_str(const char *text)
{
    return text ? json_bytes(text, strlen(text)) : json_null();
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        cli_no_memory(); /* nothing else can be wrong here */
}

void json_add(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        cli_no_memory();
}

void json_print(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(value);
}

void json_print_line(FILE *stream, json_t *value)
{
    json_dumpf(value, stream, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', stream);
    json_decref(value);
}

void json_stream_begin(struct json_stream *stream, json_t *head, const char *key)
{
    const char *name;
    json_t *value;
    fputs("{\n", stdout);
    json_object_foreach(head, name, value)
    {
        json_t *quoted = json_str(name);
        fputs("  ", stdout);
        json_dumpf(quoted, stdout, JSON_ENCODE_ANY);
        fputs(": ", stdout);
        json_dumpf(value, stdout, JSON_ENCODE_ANY);
        fputs(",\n", stdout);
        json_decref(quoted);
    }
    printf("  \"%s\": [", key);
    stream->count = 0;
    json_decref(head);
}

void json_stream_item(struct json_stream *stream, json_t *item)
{
    fputs(stream->count++ ? ",\n    " : "\n    ", stdout);
    json_dumpf(item, stdout, JSON_ENCODE_ANY);
    json_decref(item);
}

void json_stream_end(struct json_stream *stream)
{
    fputs(stream->count ? "\n  ]\n}\n" : "]\n}\n", stdout);
}
