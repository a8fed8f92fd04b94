/* SPDX-License-Identifier: Apache-2.0 */
/* output.c -- text for people: sizes, times, escaped names, aligned tables. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16u

void cli_no_memory(void)
{
    fputs("vdectl: out of memory (NOMEM)\n", stderr);
    exit(CLI_FAILED);
}

void *cli_alloc(void *memory, size_t size)
{
    void *result = realloc(memory, size ? size : 1);
    if (!result)
        cli_no_memory();
    return result;
}

char *cli_copy(const char *text, size_t size)
{
    char *copy = cli_alloc(NULL, size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

const char *out_size(const struct cli *cli, uint64_t bytes, char text[OUT_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t tenths = bytes;
    if (cli->exact_bytes || bytes < 1024) {
        snprintf(text, OUT_TEXT, "%llu%s", (unsigned long long)bytes, cli->exact_bytes ? "" : " B");
        return text;
    }
    while (tenths >= 1024 && unit < 6 && (bytes >> (10 * (unit + 1))) > 0) {
        unit++;
        tenths = bytes >> (10 * unit);
    }
    uint64_t part = (bytes >> (10 * (unit - 1))) & 1023; /* the next 10 bits: tenths, cut, so that nothing rounds up */
    snprintf(text, OUT_TEXT, "%llu.%llu %s", (unsigned long long)tenths, (unsigned long long)(part * 10 / 1024),
             units[unit]);
    return text;
}

const char *out_time(uint64_t us, char text[OUT_TEXT])
{
    lh_time_text(us, text);
    return text;
}

const char *out_uuid(const uint8_t uuid[16], char text[OUT_TEXT])
{
    size_t used = 0;
    for (unsigned i = 0; i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        used += (size_t)snprintf(text + used, OUT_TEXT - used, "%s%02x", dash ? "-" : "", uuid[i]);
    }
    return text;
}

/* Length of the valid UTF-8 sequence at `p`, 0 if there is none: shortest forms only, no surrogates. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (p[0] >= 0xf5 || length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

void out_text(FILE *stream, const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(p + i, size - i);
        bool control = p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && length == 2 && p[i + 1] < 0xa0);
        if (length == 0 || control) {
            fprintf(stream, "\\x%02x", p[i]);
            i++;
        } else {
            fwrite(p + i, 1, length, stream);
            i += length;
        }
    }
}

void out_field(const char *key, int width, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int size = (int)strlen(key);
    printf("%s%s%*s", key, size ? ":" : " ", width > size ? width - size : 1, ""); /* no key: goes on from above */
    out_text(stdout, text, strlen(text));
    putchar('\n');
}

void out_table_init(struct out_table *table, uint32_t columns, const char *const *headings)
{
    *table = (struct out_table){.columns = columns, .headings = headings};
}

void out_table_cell(struct out_table *table, const char *format, ...)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = cli_alloc(table->cells, table->capacity * sizeof table->cells[0]);
    }
    va_list args;
    va_start(args, format);
    if (vasprintf(&table->cells[table->count], format, args) < 0)
        table->cells[table->count] = cli_copy("", 0);
    va_end(args);
    table->count++;
}

/* Columns that a cell takes on the screen: characters, not bytes; good enough for aligning. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(const char *text, int width, bool right, bool last)
{
    int pad = width - width_of(text);
    if (right && pad > 0)
        printf("%*s", pad, "");
    out_text(stdout, text, strlen(text));
    if (last)
        putchar('\n');
    else
        printf("%*s", (right || pad < 0 ? 0 : pad) + 2, "");
}

void out_table_done(struct out_table *table)
{
    int widths[COLUMNS_MAX] = {0};
    uint32_t columns = table->columns < COLUMNS_MAX ? table->columns : COLUMNS_MAX;
    if (columns == 0 || table->count == 0) {
        free(table->cells);
        return;
    }
    for (uint32_t i = 0; i < columns; i++)
        widths[i] = width_of(table->headings[i] + (table->headings[i][0] == '>'));
    for (size_t i = 0; i < table->count; i++) {
        int width = width_of(table->cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (uint32_t i = 0; i < columns; i++) {
        bool right = table->headings[i][0] == '>';
        print_cell(table->headings[i] + right, widths[i], right, i + 1 == columns);
    }
    for (size_t i = 0; i + columns <= table->count; i += columns) {
        uint32_t last = columns - 1; /* a row ends with its last cell that holds something: no trailing blanks */
        while (last > 0 && table->cells[i + last][0] == '\0')
            last--;
        for (uint32_t column = 0; column < columns; column++) {
            if (column <= last)
                print_cell(table->cells[i + column], widths[column], table->headings[column][0] == '>', column == last);
            free(table->cells[i + column]);
        }
    }
    free(table->cells);
    *table = (struct out_table){0};
}
