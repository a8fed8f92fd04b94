/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "state/fail.h"

void delta_warn(struct delta_warnings *warnings, const char *format, ...)
{
    char text[512];
    if (warnings->count >= DELTA_WARNINGS_MAX) {
        warnings->left_out++;
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *copy = strdup(text);
    if (copy)
        warnings->items[warnings->count++] = copy;
}

void delta_warnings_close(struct delta_warnings *warnings)
{
    char text[64];
    if (warnings->left_out == 0 || warnings->count > DELTA_WARNINGS_MAX)
        return;
    snprintf(text, sizeof text, "%llu more warnings", (unsigned long long)warnings->left_out);
    char *copy = strdup(text);
    if (copy)
        warnings->items[warnings->count++] = copy;
    warnings->left_out = 0;
}

void delta_warnings_done(struct delta_warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        free(warnings->items[i]);
}

/* Copy a text to *at and move behind it. */
static const char *lay_down(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    const char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

void *delta_report_pack(size_t report_size, const struct delta_warnings *warnings, const char *const **ret_warnings,
                        const char **texts[], size_t text_count)
{
    size_t head = (report_size + 15) / 16 * 16, size = head + warnings->count * sizeof(char *);
    for (size_t i = 0; i < warnings->count; i++)
        size += strlen(warnings->items[i]) + 1;
    for (size_t i = 0; i < text_count; i++)
        size += *texts[i] ? strlen(*texts[i]) + 1 : 0;
    char *block = malloc(size);
    if (!block) {
        lh_fail_nomem("report");
        return NULL;
    }
    const char **array = (const char **)(void *)(block + head);
    char *at = (char *)(array + warnings->count);
    for (size_t i = 0; i < warnings->count; i++)
        array[i] = lay_down(&at, warnings->items[i]);
    for (size_t i = 0; i < text_count; i++) {
        if (*texts[i])
            *texts[i] = lay_down(&at, *texts[i]);
    }
    *ret_warnings = array;
    return block;
}
